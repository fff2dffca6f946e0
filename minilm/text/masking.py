"""Masked language modelling: which tokens are to be guessed, and what stands in their place (Devlin et al. 2019, A.1).

Of a row with n tokens, [CLS] and [SEP] counted, min(max_predictions, max(1, round(.15 n))) are chosen, never a special
one. Of the chosen 80 % become [MASK], 10 % a random token and 10 % stay; the target is always the original. Everything
is a pure function of (seed, key of the row): the row's step and number, or what names the example.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from minilm.errors import ConfigError, DataError, ShapeError
from minilm.i18n import tr
from minilm.text.batches import IGNORE, Batch, read_only
from minilm.text.special import SpecialIds
from minilm.text.tokenizer import Tokenizer

MASK = 0x6D61736B  # the purpose, in the key of a generator ("mask" in ASCII)
UNITS = ("token", "word", "span")
# Joshi et al. 2020 (SpanBERT), section 3.1: a span has ℓ words with probability ∝ .2 · .8^(ℓ−1), ℓ ≤ 10; mean 3.8.
SPAN_LENGTHS = np.cumsum(0.2 * 0.8 ** np.arange(10)) / np.sum(0.2 * 0.8 ** np.arange(10))


@dataclass(frozen=True)
class Masking:
    """How to mask; a ConfigError names the setting that cannot be.

    rate: of the tokens. max_predictions: at most so many a row; None: no limit (BERT: 20 of 128, 76 of 512).
    masked, random: the parts of the chosen that become [MASK] and a random token; the rest stay.
    unit: what is chosen as one: "token"; "word", with all its pieces (whole-word masking, in BERT's later code);
    "span" of words, which all meet the same fate (Joshi et al. 2020, section 3.1).
    """

    rate: float = 0.15
    max_predictions: int | None = None
    masked: float = 0.8
    random: float = 0.1
    unit: str = "token"

    def __post_init__(self) -> None:
        for name in ("rate", "masked", "random"):
            got = getattr(self, name)
            if not isinstance(got, (int, float)) or isinstance(got, bool) or not 0 <= got <= 1:
                raise ConfigError(tr("{name} is a part from 0 to 1, not {got!r}", name=name, got=got))
        if self.masked + self.random > 1 + 1e-12:
            raise ConfigError(
                tr("masked {masked} and random {random} are more than all of the chosen tokens: they must add up to at "
                   "most 1", masked=self.masked, random=self.random)
            )  # fmt: skip
        if self.max_predictions is not None and (
            not isinstance(self.max_predictions, int)
            or isinstance(self.max_predictions, bool)
            or self.max_predictions < 1
        ):
            raise ConfigError(
                tr("{name} is {got!r}; it must be a whole number of at least 1", name="max_predictions",
                   got=self.max_predictions)
            )  # fmt: skip
        if self.unit not in UNITS:
            raise ConfigError(
                tr("{name} is {got!r}; it must be one of {known}", name="unit", got=self.unit,
                   known=", ".join(map(repr, UNITS)))
            )  # fmt: skip

    def count(self, lengths: Any) -> Any:
        """How many tokens are chosen in rows of these lengths: min(max_predictions, max(1, round(rate · length)))."""
        found = np.maximum(1, np.rint(np.asarray(lengths) * self.rate).astype(np.int64))
        return found if self.max_predictions is None else np.minimum(self.max_predictions, found)


class Masker:
    """Chooses tokens and replaces them: `masker(ids, attention_mask, keys)` -> (ids, targets)."""

    def __init__(
        self,
        tokenizer: Tokenizer | Mapping[str, int] | SpecialIds,
        vocab_size: int | None = None,
        masking: Masking | None = None,
        seed: int = 0,
        continues: Any = None,
    ):
        """tokenizer: or its special tokens. vocab_size: V, the tokenizer's if None; a random token is any of the V that
        is not special, all equally likely. continues: booleans (V,), True for tokens that go on a word; None: the
        tokenizer's, as WordPiece has them, or that every token is a word.
        """
        if vocab_size is None:
            if not isinstance(tokenizer, Tokenizer):
                raise ConfigError(tr("vocab_size is needed beside special tokens: how many tokens are there?"))
            vocab_size = tokenizer.vocab_size
        self.special, self.masking, self.seed = SpecialIds.of(tokenizer), masking or Masking(), seed
        self.is_special = np.zeros(vocab_size, bool)
        if vocab_size <= self.special.every.max():
            raise ConfigError(
                tr("vocab_size is {got}, but there is a special token with id {id}", got=vocab_size,
                   id=self.special.every.max())
            )  # fmt: skip
        self.is_special[self.special.every] = True
        self.replacements = np.flatnonzero(~self.is_special)
        if not self.replacements.size:
            raise ConfigError(tr("vocab_size is {got}: there is no token but special ones", got=vocab_size))
        continues = getattr(tokenizer, "continues", None) if continues is None else continues
        self.continues = np.zeros(vocab_size, bool) if continues is None else np.asarray(continues, bool)
        if self.continues.shape != (vocab_size,):
            raise ShapeError(
                tr("continues: got shape {got}, wanted {wanted}: one for each token", got=self.continues.shape,
                   wanted=(vocab_size,))
            )  # fmt: skip

    def __call__(
        self, ids: np.ndarray, attention_mask: Any = None, keys: Sequence[Sequence[int]] | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """The ids with some replaced, and the targets: the original where a token is to be guessed, -100 elsewhere.

        ids: (B, T). attention_mask: (B, T), False where padding; what is not [PAD] if None. keys: for each row the
        numbers that, with the seed, decide what is drawn for it; the row's number if None. DataError for an id that is
        not in the vocabulary.
        """
        ids = np.asarray(ids)
        if ids.size and not (ids.min() >= 0 and ids.max() < len(self.is_special)):
            raise DataError(
                tr("ids: got ids {low} to {high}, but the vocabulary has 0 to {last}", low=ids.min(), high=ids.max(),
                   last=len(self.is_special) - 1)
            )  # fmt: skip
        real = ids != self.special.pad if attention_mask is None else np.asarray(attention_mask, bool)
        generators = [
            np.random.default_rng([self.seed, MASK, *key]) for key in keys or [(row,) for row in range(len(ids))]
        ]
        # Three numbers a position: its priority, its fate, its replacement; those of a row do not depend on padding.
        priority, fate, token = np.stack([rng.random((ids.shape[1], 3)) for rng in generators]).transpose(2, 0, 1)
        maskable = real & ~self.is_special[ids]
        counts = np.minimum(self.masking.count(real.sum(1)), maskable.sum(1))
        chosen = self._choose(ids, maskable, counts, priority, fate, generators)
        m, strange = self.masking, self.replacements[(token * len(self.replacements)).astype(np.int64)]
        replaced = np.where(fate < m.masked, self.special.mask, np.where(fate < m.masked + m.random, strange, ids))
        return np.where(chosen, replaced, ids), np.where(chosen, ids, IGNORE)

    def _choose(
        self,
        ids: np.ndarray,
        maskable: np.ndarray,
        counts: np.ndarray,
        priority: np.ndarray,
        fate: np.ndarray,
        generators: list[np.random.Generator],
    ) -> np.ndarray:
        """Which positions (B, T) are to be guessed; spans make their tokens' fates one, in place."""
        chosen = np.zeros(ids.shape, bool)
        if self.masking.unit == "token":
            order = np.argsort(np.where(maskable, priority, 2), axis=1)  # (B, T)
            np.put_along_axis(chosen, order, np.arange(ids.shape[1]) < counts[:, None], axis=1)
            return chosen
        for row, rng in enumerate(generators):
            words = _words(maskable[row], self.continues[ids[row]])
            if self.masking.unit == "word":
                _choose_words(chosen[row], words, int(counts[row]), priority[row])
            else:
                _choose_spans(chosen[row], words, int(counts[row]), fate[row], rng)
        return chosen


def _words(maskable: np.ndarray, continues: np.ndarray) -> np.ndarray:
    """(n, 2): where each word begins and ends; its pieces are neighbours that can be masked."""
    before = np.concatenate([[False], maskable[:-1]])
    first = maskable & ~(continues & before)
    word = np.cumsum(first) - 1
    starts = np.flatnonzero(first)
    return np.stack([starts, starts + np.bincount(word[maskable], minlength=len(starts))], 1)


def _choose_words(chosen: np.ndarray, words: np.ndarray, count: int, priority: np.ndarray) -> None:
    """Whole words in random order, those that fit into `count`; the first one drawn if none fits."""
    order = words[np.argsort(priority[words[:, 0]])].tolist()
    for start, end in order:
        if end - start <= count:
            chosen[start:end] = True
            count -= end - start
        if not count:
            break
    if order and not chosen.any():
        chosen[slice(*order[0])] = True


def _choose_spans(
    chosen: np.ndarray, words: np.ndarray, count: int, fate: np.ndarray, rng: np.random.Generator
) -> None:
    """Spans of words from random ones on, until `count` tokens are chosen, which cuts the last one."""
    while count > 0:
        free = np.flatnonzero(~chosen[words[:, 0]])
        first = int(free[rng.integers(len(free))])
        length = 1 + int(np.searchsorted(SPAN_LENGTHS, rng.random()))
        start, end = words[first]
        for following in words[first + 1 : first + length]:
            if following[0] != end or chosen[following[0]]:
                break
            end = following[1]
        end = min(end, start + count)
        chosen[start:end], fate[start:end] = True, fate[start]
        count -= int(end - start)


# ---------------------------------------------------------------------------------------------------------- batches


class MaskedBatches:
    """The batches of a source, masked: `ids` with some tokens replaced, and `targets`; what else they hold stays.

    The mask is a pure function of (seed, key of the row). A source with `keys(step)`, as PairBatches, names its
    examples: then an example that comes again has the same mask again (static: PairBatches(…, versions=1), or 10 as
    in BERT), and one that is made anew a new one (dynamic, as in RoBERTa). For another source the key is (step, row).
    """

    def __init__(self, source: Any, masker: Masker):
        self.source, self.masker = source, masker

    def at(self, step: int) -> Batch:
        """The masked batch of a step."""
        batch = self.source.at(step)
        if hasattr(self.source, "keys"):
            return self._masked(batch, self.source.keys(step))
        return self._masked(batch, [(int(step), row) for row in range(len(batch["ids"]))])

    def epoch(self, epoch: int = 0) -> Iterator[Batch]:
        """Every example of one epoch of the source once, masked, e.g. to evaluate on."""
        place = 0
        for batch in self.source.epoch(epoch):
            rows = len(batch["ids"])
            yield self._masked(batch, [(epoch, place + row) for row in range(rows)])
            place += rows

    def _masked(self, batch: Batch, keys: Sequence[Sequence[int]]) -> Batch:
        ids, targets = self.masker(batch["ids"], batch.get("attention_mask"), keys)
        return read_only(**{**batch, "ids": ids, "targets": targets})


class LeftToRightBatches:
    """The batches of a source with the next token as target, for a BERT that reads from left to right ("LTR & No NSP",
    Devlin et al. 2019, section 5.1): nothing is masked, and every real token but the first is guessed."""

    def __init__(self, source: Any):
        self.source = source

    def at(self, step: int) -> Batch:
        """The batch of a step."""
        return self._shifted(self.source.at(step))

    def epoch(self, epoch: int = 0) -> Iterator[Batch]:
        """Every example of one epoch of the source once."""
        return (self._shifted(batch) for batch in self.source.epoch(epoch))

    def _shifted(self, batch: Batch) -> Batch:
        targets = np.full(batch["ids"].shape, IGNORE, np.int64)
        targets[:, :-1] = np.where(batch["attention_mask"][:, 1:], batch["ids"][:, 1:], IGNORE)
        return read_only(**{**batch, "targets": targets})
