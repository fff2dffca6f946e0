"""Beam search: the continuations of a prompt whose whole probability is largest, as far as a few at a time can find.

    score(y) = Σ_t log p(y_t | prompt, y_<t) / n^length_penalty,  n = the number of new tokens

Each step extends every live beam by every token and goes on with the best. A beam that ends leaves its place to the
next best, so that as many live ones remain. What is found, and when the search stops, is as in transformers.
"""

import math
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import numpy as np

from minilm.errors import ConfigError, DataError
from minilm.generation import processors
from minilm.generation.ending import Ending
from minilm.generation.reading import Reader, history
from minilm.generation.sampling import Sampling, checked_logits, nothing_left
from minilm.i18n import tr
from minilm.models.checks import check_counts


@dataclass(frozen=True)
class Beams:
    """How wide to search; a ConfigError names a setting that cannot be. beams = 1 is no search at all.

    length_penalty: above 0 for longer sequences, below 0 for shorter ones (log-probabilities are negative).
    early_stopping: when a prompt is done, of which `beams` sequences ended. True: at once. False: when the best live
    beam would not beat the worst of them if it ended now. "never": nor if it ended where that is best for it, which
    is at the last token if length_penalty is above 0.
    num_return_sequences: how many of the best sequences are given back.
    """

    beams: int = 1
    length_penalty: float = 1.0
    early_stopping: bool | Literal["never"] = False
    num_return_sequences: int = 1

    def __post_init__(self) -> None:
        check_counts(self, ("beams", "num_return_sequences"))
        if self.num_return_sequences > self.beams:
            raise ConfigError(
                tr(
                    "num_return_sequences is {got}, but beams is {beams}: search at least as many beams",
                    got=self.num_return_sequences,
                    beams=self.beams,
                )
            )
        if not -50 <= self.length_penalty <= 50:  # so that n^length_penalty is a number
            raise ConfigError(tr("length_penalty is {got}; it must be between -50 and 50", got=self.length_penalty))
        if self.early_stopping != "never" and not isinstance(self.early_stopping, bool):
            raise ConfigError(
                tr('early_stopping is {got!r}; it must be True, False or "never"', got=self.early_stopping)
            )

    def check(self, sampling: Sampling) -> None:
        """ConfigError for a setting that cuts or bends what is drawn from: beam search draws nothing."""
        drawn = {name: getattr(sampling, name) for name in ("temperature", "top_k", "top_p", "min_p")}
        for name, got in drawn.items():
            if got is not None and not (name == "temperature" and got in (0, 1)):
                raise ConfigError(
                    tr("{name} is {got}, but beam search draws nothing at random: leave it out", name=name, got=got)
                )


class Found(NamedTuple):
    """A sequence that ended: its score, and its new tokens (n,)."""

    score: float
    tokens: np.ndarray


@dataclass
class _Prompt:
    """What was found for one prompt: at most `beams` sequences, the best first."""

    how: Beams
    found: list[Found] = field(default_factory=list)
    done: bool = False

    def add(self, score: float, tokens: np.ndarray) -> None:
        if score > -math.inf:
            self.found.append(Found(score, tokens))
            self.found.sort(key=lambda found: -found.score)
            del self.found[self.how.beams :]

    def settle(self, best: float, made: int, count: int) -> None:
        """Done or not, `made` of at most `count` tokens being there and `best` the best live beam's log-probability."""
        how, full = self.how, len(self.found) == self.how.beams
        end = count if how.early_stopping == "never" and how.length_penalty > 0 else made
        hopeless = full and best / end**how.length_penalty <= self.found[-1].score
        self.done = self.done or hopeless or (full and how.early_stopping is True) or best == -math.inf


def search(
    reader: Reader,
    ids: np.ndarray,
    pads: np.ndarray | None,
    count: int,
    how: Beams,
    sampling: Sampling,
    ending: Ending,
) -> tuple[np.ndarray, np.ndarray]:
    """The best continuations by up to `count` tokens, (B·R, n), those of a prompt together, and their scores (B·R,).

    ids: (B·W, T), each prompt W = `beams` times; pads: (B·W,), or None. Errors: DataError.
    """
    W, T = how.beams, ids.shape[1]
    prompts = [_Prompt(how) for _ in range(len(ids) // W)]
    if count == 0:
        scores = np.zeros(len(prompts) * how.num_return_sequences)
        return np.empty((len(scores), 0), int), scores
    first_rows = W * np.arange(len(prompts))[:, None]  # (B, 1)
    scores = np.full((len(prompts), W), -math.inf)
    scores[:, 0] = 0  # the beams of a prompt are equal so far: only the first goes on, into all
    width = W * max(2, 1 + len(ending.stops))  # candidates of a prompt, of which W do not end
    for made in range(1, count + 1):
        z = processors.log_softmax(checked_logits(reader.logits(ids)))
        z = sampling.penalized(z, history(ids, pads), ending.banned(made - 1))  # (B·W, V)
        totals = (scores.reshape(-1, 1) + z).reshape(len(prompts), -1)  # (B, W·V)
        best = _best(totals, width)
        scores, rows, tokens = _take(totals, best), first_rows + best // z.shape[1], best % z.shape[1]  # (B, width)
        ends = np.isin(tokens, ending.stops) | (made == count)
        for b, prompt in enumerate(prompts):
            for i in () if prompt.done else np.flatnonzero(ends[b, :W]):
                prompt.add(scores[b, i] / made**how.length_penalty, np.append(ids[rows[b, i], T:], tokens[b, i]))
        live = np.argsort(ends, axis=1, kind="stable")[:, :W]  # the best that do not end
        scores = _take(np.where(ends, -math.inf, scores), live)  # (B, W)
        for b, prompt in enumerate(prompts):
            prompt.settle(scores[b, 0], made, count)
        if all(prompt.done for prompt in prompts):
            break
        rows = _take(rows, live).ravel()
        ids = np.concatenate([ids[rows], _take(tokens, live).reshape(-1, 1)], axis=1)  # (B·W, T + made)
        reader.reorder(rows)
    return _table([prompt.found for prompt in prompts], how.num_return_sequences, ending.pad)


def _best(totals: np.ndarray, k: int) -> np.ndarray:
    """Indices of the k largest entries of each row (B, n), the largest first, of equal ones the lower index."""
    k = min(k, totals.shape[1])
    chosen = np.nonzero(processors.largest(totals, k))[1].reshape(-1, k)
    return _take(chosen, np.argsort(-_take(totals, chosen), axis=1, kind="stable"))


def _take(a: np.ndarray, indices: np.ndarray) -> np.ndarray:
    return np.take_along_axis(a, indices, axis=1)


def _table(found: list[list[Found]], wanted: int, pad: int | None) -> tuple[np.ndarray, np.ndarray]:
    """The `wanted` best of each prompt as rows of one length, and their scores."""
    for row, sequences in enumerate(found):
        if not sequences:
            raise nothing_left(row)
        if len(sequences) < wanted:
            raise DataError(
                tr(
                    "row {row}: beam search found {got} sequences, num_return_sequences is {wanted}; ask for fewer, or "
                    "for more new tokens",
                    row=row,
                    got=len(sequences),
                    wanted=wanted,
                )
            )
    best = [sequence for sequences in found for sequence in sequences[:wanted]]
    longest = max(len(sequence.tokens) for sequence in best)
    rows = [
        np.pad(y, (0, longest - len(y)), constant_values=y[-1] if pad is None else pad)
        for y in (sequence.tokens for sequence in best)
    ]
    return np.stack(rows), np.array([sequence.score for sequence in best])
