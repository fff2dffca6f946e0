"""The next token: scores changed by processors in a fixed order, then the largest, or a draw."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from minilm import backend
from minilm.autograd import value
from minilm.errors import ConfigError, DataError, ShapeError
from minilm.generation import processors
from minilm.i18n import tr


@dataclass(frozen=True)
class Sampling:
    """How the next token is chosen from logits; a ConfigError names a setting that cannot be.

    The processors run in this order, which is that of transformers:

    repetition_penalty: what was there already becomes less likely; 1 changes nothing.
    no_repeat_ngram: no n-gram of this length comes twice.
    temperature: logits are divided by it; 0 takes the most probable token (the first of equal ones).
    top_k: only the k most probable tokens; of equal ones at the border, those of lower id, so that exactly k remain.
    top_p: only the most probable tokens whose mass first reaches p, the one that crosses p included; of what top_k
    left, whose probabilities are normalised first.
    min_p: only tokens at least min_p times as probable as the most probable one.

    None: no such processor. Formulas and sources: minilm/generation/processors.py.
    """

    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None
    min_p: float | None = None
    repetition_penalty: float = 1.0
    no_repeat_ngram: int | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.temperature < math.inf:
            raise ConfigError(tr("temperature is {got}; it must be 0 (greedy) or above", got=self.temperature))
        check_count("top_k", self.top_k)
        check_count("no_repeat_ngram", self.no_repeat_ngram)
        if self.top_p is not None and not 0 < self.top_p <= 1:
            raise ConfigError(
                tr("top_p is {got}; it must be above 0 and at most 1, or None for no cut", got=self.top_p)
            )
        if self.min_p is not None and not 0 <= self.min_p <= 1:
            raise ConfigError(
                tr("min_p is {got}; it must be at least 0 and at most 1, or None for no cut", got=self.min_p)
            )
        if not 0 < self.repetition_penalty < math.inf:
            raise ConfigError(
                tr(
                    "repetition_penalty is {got}; it must be above 0: above 1 against repetition, 1 for none",
                    got=self.repetition_penalty,
                )
            )

    @property
    def remembers(self) -> bool:
        """Whether the scores depend on the ids so far."""
        return self.repetition_penalty != 1 or self.no_repeat_ngram is not None

    def penalized(self, z: np.ndarray, history: np.ndarray | None, banned: np.ndarray | None = None) -> np.ndarray:
        """Scores z (B, V) after the processors that look back, and without the tokens `banned` (n,).

        history: the ids so far (B, n), -1 where padding is; needed only where `remembers`.
        """
        if self.remembers:
            if history is None:
                raise ConfigError(tr("history is None, but repetition_penalty and no_repeat_ngram need the ids so far"))
            if self.repetition_penalty != 1:
                z = processors.penalize_repetition(z, history, self.repetition_penalty)
            if self.no_repeat_ngram is not None:
                z = processors.ban_repeated_ngrams(z, history, self.no_repeat_ngram)
        return z if banned is None else processors.ban(z, banned)

    def probabilities(
        self, logits: Any, history: np.ndarray | None = None, banned: np.ndarray | None = None
    ) -> np.ndarray:
        """The distribution that the next token is drawn from: logits (B, V) to float64 (B, V), rows that sum to 1.

        history, banned: as in `penalized`. DataError where a row has a NaN or +inf, or nothing but -inf.
        """
        z = self._allowed(logits, history, banned)
        if self.temperature == 0:
            return np.eye(z.shape[1])[z.argmax(axis=1)]
        z = processors.scale(z, self.temperature)
        if self.top_k is not None:
            z = processors.keep_top_k(z, self.top_k)
        if self.top_p is not None:
            z = processors.keep_top_p(z, self.top_p)
        if self.min_p is not None:
            z = processors.keep_min_p(z, self.min_p)
        return processors.softmax(z)

    def choose(
        self,
        logits: Any,
        rng: np.random.Generator,
        history: np.ndarray | None = None,
        banned: np.ndarray | None = None,
    ) -> np.ndarray:
        """One token for each row of logits (B, V): integers (B,). Each row uses up one number of `rng`, unless greedy.

        history, banned, errors: as in `probabilities`.
        """
        if self.temperature == 0:
            return self._allowed(logits, history, banned).argmax(axis=1)
        cumulated = np.cumsum(self.probabilities(logits, history, banned), axis=1)  # (B, V)
        drawn = rng.random((len(cumulated), 1)) * cumulated[:, -1:]  # (B, 1), below the total
        return (cumulated <= drawn).sum(axis=1)

    def _allowed(self, logits: Any, history: np.ndarray | None, banned: np.ndarray | None) -> np.ndarray:
        z = checked_logits(logits)
        if not self.remembers and banned is None:
            return z
        z = self.penalized(z, history, banned)
        if (hopeless := np.flatnonzero(z.max(axis=1) == -math.inf)).size:
            raise nothing_left(int(hopeless[0]))
        return z


def nothing_left(row: int) -> DataError:
    """The error where every token is banned."""
    return DataError(
        tr(
            "row {row}: no token is left to go on with; use a larger no_repeat_ngram, or fewer new tokens or stop "
            "tokens",
            row=row,
        )
    )


def check_count(name: str, got: Any) -> None:
    """ConfigError unless the setting is a whole number of at least 1, or None."""
    if got is not None and (not isinstance(got, (int, np.integer)) or isinstance(got, bool) or got < 1):
        raise ConfigError(
            tr("{name} is {got!r}; it must be a whole number of at least 1, or None for no limit", name=name, got=got)
        )


def checked_logits(logits: Any) -> np.ndarray:
    """Logits as float64 (B, V) on the host."""
    z = backend.to_numpy(value(logits)).astype(np.float64)
    if z.ndim != 2:
        raise ShapeError(tr("logits: got shape {got}, wanted (B, V)", got=z.shape))
    top = z.max(axis=1)  # NaN where there is one
    if not np.isfinite(top).all():
        row = int(np.flatnonzero(~np.isfinite(top))[0])
        raise DataError(
            tr(
                "logits: row {row} gives no distribution (its largest entry is {top}): the model's weights are damaged "
                "or its training diverged",
                row=row,
                top=top[row],
            )
        )
    return z
