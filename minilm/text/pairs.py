"""Two texts side by side, as BERT reads them, and pairs of which the second text follows the first or does not.

Next-sentence prediction (Devlin et al. 2019, sections 3.1 and A.2) asks whether B is what stood after A. It teaches
something only if nothing but the words tells. In BERT's own procedure the lengths do: a B from elsewhere is cut to
what room there is, while the true one often ends early with its document. Here both kinds have the same lengths:

Every chunk of a document is cut into A and its true continuation B. Then the pairs are taken two by two, from different
documents and as equal in length as can be; of both, B is cut to the shorter one. A fair coin for each A says whether it
keeps its B or gets the other's. So lengths are settled before the coin is thrown, and each B is as likely true as not.
Where a B begins or ends amid a sentence tells nothing either, since it does so as often among pairs of these lengths.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from minilm.errors import ConfigError, DataError
from minilm.i18n import tr
from minilm.text.batches import Batch, read_only
from minilm.text.inputs import collate, encode_pair, kept_lengths
from minilm.text.special import SpecialIds
from minilm.text.tokenizer import Tokenizer

PAIRS, ORDER = 0x70616972, 0x0BDE5  # purposes in the key of a generator
IS_NEXT, NOT_NEXT = 0, 1
LOOK_BACK = 32  # how many pairs that wait for a partner are looked at


# ------------------------------------------------------------------------------------------------------------ pairs


class Pairs(NamedTuple):
    """Rows of pairs: where A and B begin and end in the tokens of all documents, the label, and the document of each.

    `counts`: "pairs"; "truncated", tokens that did not fit; "cut", tokens of B cut off to make lengths equal; "single",
    chunks of one sentence, which have no B of their own; "forced", those that got a strange one; "left_out", pairs
    for which no partner from another document was found.
    """

    a: np.ndarray  # (n, 2)
    b: np.ndarray  # (n, 2)
    label: np.ndarray  # (n,)
    documents: np.ndarray  # (n, 2)
    counts: dict[str, int]


class SentenceDocuments:
    """Documents as sentences as token ids, in one array, with the bounds of every sentence."""

    def __init__(self, documents: Iterable[Iterable[Sequence[int]]]):
        self.bounds: list[list[int]] = []
        parts, end = [np.empty(0, np.int64)], 0
        for document in documents:
            bounds = [end]
            for sentence in document:
                if len(sentence):
                    parts.append(np.asarray(sentence))
                    end += len(sentence)
                    bounds.append(end)
            if len(bounds) > 1:
                self.bounds.append(bounds)
        self.tokens = np.concatenate(parts)
        if self.tokens.dtype.kind not in "iu":
            raise DataError(
                tr("a sentence must be a row of integers, the ids of its tokens, not {kind}", kind=self.tokens.dtype)
            )

    def check_pairs(self) -> None:
        """DataError unless two documents have two sentences each."""
        usable = sum(len(bounds) > 2 for bounds in self.bounds)
        if usable < 2:
            raise DataError(
                tr(
                    "next-sentence pairs need at least two documents of two sentences or more, but of {all} documents "
                    "{usable} have two sentences; give more documents, or leave next-sentence prediction out",
                    all=len(self.bounds),
                    usable=usable,
                )
            )

    def targets(self, room: int, short: float, rng: np.random.Generator) -> Iterator[tuple[list[int], int]]:
        """(bounds, tokens wanted in a chunk) of each document: `room`, or with probability `short` a random number
        from 2 on, so that short inputs are known too (section A.2 and the code that made BERT's data)."""
        for bounds in self.bounds:
            yield bounds, int(rng.integers(2, room + 1)) if rng.random() < short else room


def _chunk(bounds: list[int], i: int, target: int, rng: np.random.Generator) -> tuple[int, int]:
    """(cut, j): sentences i … j−1 reach the target or end the document; A ends at a random sentence's end, `cut`.

    A chunk of one sentence has cut = j.
    """
    j = min(bisect_left(bounds, bounds[i] + target, i + 1), len(bounds) - 1)
    return (j if j == i + 1 else int(rng.integers(i + 1, j))), j


def matched_pairs(documents: SentenceDocuments, room: int, short: float, rng: np.random.Generator) -> Pairs:
    """Pairs whose lengths say nothing about the label, as the head of this file describes."""
    found, single = [], 0
    for d, (bounds, target) in enumerate(documents.targets(room, short, rng)):
        i = 0
        while i < len(bounds) - 1:
            cut, j = _chunk(bounds, i, target, rng)
            if cut == j:
                single += 1
            else:
                found.append((d, bounds[i], bounds[cut], bounds[j]))
            i = j
    document, a0, a1, b1 = np.array(found, np.int64).reshape(-1, 4).T
    a, b, truncated = _truncated(a0, a1, a1, b1, room, rng)
    partner = _partners(documents.tokens, document, a, b, room, rng)
    kept = np.flatnonzero(partner >= 0)
    partner, label = partner[kept], rng.integers(0, 2, len(kept))
    length = np.minimum(b[kept, 1] - b[kept, 0], b[partner, 1] - b[partner, 0])
    source = np.where(label == NOT_NEXT, partner, kept)
    first = b[source, 0]
    counts = {
        "pairs": len(kept),
        "truncated": int(truncated[kept].sum()),
        "cut": int((b[kept, 1] - b[kept, 0] - length).sum()),
        "single": single,
        "forced": 0,
        "left_out": len(document) - len(kept),
    }
    return Pairs(a[kept], np.stack([first, first + length], 1), label, document[np.stack([kept, source], 1)], counts)


def _partners(
    tokens: np.ndarray, document: np.ndarray, a: np.ndarray, b: np.ndarray, room: int, rng: np.random.Generator
) -> np.ndarray:
    """For each pair the number of its partner, −1 for none: of another document, with another B of nearly its length.

    Partners are neighbours in the order of: the room is full or not, length of B, length of A, chance. Nothing here
    knows a label, and i is j's partner exactly when j is i's, so the two are interchangeable.
    """
    length_a, length = a[:, 1] - a[:, 0], b[:, 1] - b[:, 0]
    partner, waiting = np.full(len(b), -1), list[int]()
    for i in np.lexsort((rng.random(len(b)), length_a, length, length_a + length == room)).tolist():
        for place in range(len(waiting) - 1, max(-1, len(waiting) - 1 - LOOK_BACK), -1):
            j = waiting[place]
            shared = min(length[i], length[j])
            differ = tokens[b[i, 0] : b[i, 0] + shared] != tokens[b[j, 0] : b[j, 0] + shared]
            if document[i] != document[j] and differ.any():
                partner[i], partner[j] = j, i
                del waiting[place]
                break
        else:
            waiting.append(i)
    return partner


def bert_pairs(documents: SentenceDocuments, room: int, short: float, rng: np.random.Generator) -> Pairs:
    """Pairs by BERT's own procedure, lengths and all: a strange B is read from a random sentence of another document
    until the room is full or that document ends; a chunk of one sentence is forced to take one (section A.2)."""
    rows, single, many = [], 0, len(documents.bounds)
    for d, (bounds, target) in enumerate(documents.targets(room, short, rng)):
        i = 0
        while i < len(bounds) - 1:
            cut, j = _chunk(bounds, i, target, rng)
            single += cut == j
            if cut < j and rng.random() < 0.5:
                rows.append((d, bounds[i], bounds[cut], bounds[cut], bounds[j], IS_NEXT, d))
                i = j
            else:
                other = (d + 1 + int(rng.integers(many - 1))) % many
                there = documents.bounds[other]
                k = int(rng.integers(len(there) - 1))
                wanted = max(1, target - (bounds[cut] - bounds[i]))
                end = there[min(bisect_left(there, there[k] + wanted, k + 1), len(there) - 1)]
                rows.append((d, bounds[i], bounds[cut], there[k], end, NOT_NEXT, other))
                i = cut  # the sentences that were not used come again
    document, a0, a1, b0, b1, label, source = np.array(rows, np.int64).reshape(-1, 7).T
    a, b, truncated = _truncated(a0, a1, b0, b1, room, rng)
    counts = {"pairs": len(rows), "truncated": int(truncated.sum()), "cut": 0}
    counts |= {"single": single, "forced": single, "left_out": 0}
    return Pairs(a, b, label, np.stack([document, source], 1), counts)


def _truncated(a0: Any, a1: Any, b0: Any, b1: Any, room: int, rng: np.random.Generator) -> tuple[Any, Any, Any]:
    """Bounds (n, 2) of A and B that fit into `room`, and how many tokens each pair lost: from the longer text, each
    from its front or end at random."""
    kept_a, kept_b = kept_lengths(a1 - a0, b1 - b0, room)
    lost_a, lost_b = a1 - a0 - kept_a, b1 - b0 - kept_b
    a0, b0 = a0 + rng.binomial(lost_a, 0.5), b0 + rng.binomial(lost_b, 0.5)
    return np.stack([a0, a0 + kept_a], 1), np.stack([b0, b0 + kept_b], 1), lost_a + lost_b


def single_texts(documents: SentenceDocuments, room: int, short: float, rng: np.random.Generator) -> Pairs:
    """The same chunks without a second text: B is empty, and there is no label to guess."""
    rows = []
    for d, (bounds, target) in enumerate(documents.targets(room, short, rng)):
        i = 0
        while i < len(bounds) - 1:
            _, j = _chunk(bounds, i, target, rng)
            rows.append((d, bounds[i], bounds[j]))
            i = j
    document, start, end = np.array(rows, np.int64).T
    a, b, truncated = _truncated(start, end, end, end, room, rng)
    counts = {"pairs": len(rows), "truncated": int(truncated.sum()), "cut": 0, "single": 0, "forced": 0, "left_out": 0}
    return Pairs(a, b, np.zeros(len(rows), np.int64), np.stack([document, document], 1), counts)


# ---------------------------------------------------------------------------------------------------------- batches


class PairBatches:
    """Batches of next-sentence pairs: ids, segments, attention_mask (B, T = max_length) and next_label (B,).

    next_label: 0 where B is what stood after A, 1 where it is of another document; half and half.
    """

    def __init__(
        self,
        documents: Iterable[Iterable[Sequence[int]]],
        tokenizer: Tokenizer | Mapping[str, int] | SpecialIds,
        max_length: int,
        batch_size: int,
        seed: int = 0,
        *,
        next_sentence: bool = True,
        match_lengths: bool = True,
        short: float = 0.1,
        versions: int | None = None,
    ):
        """documents: lists of sentences, lists of token ids. tokenizer: or its special tokens.

        next_sentence=False: single texts [CLS] a [SEP], and no label. match_lengths=False: BERT's own procedure, whose
        lengths tell. short: the probability of a shorter input. versions: the data is made anew each epoch, or, with a
        number, comes back after that many (BERT's code writes 10). Errors: DataError for documents that give no pair,
        ConfigError for numbers that cannot be.
        """
        least = [
            ("max_length", max_length, 5 if next_sentence else 3),
            ("batch_size", batch_size, 1),
            ("seed", seed, 0),
            ("versions", 1 if versions is None else versions, 1),
        ]
        for name, got, smallest in least:
            if not isinstance(got, (int, np.integer)) or got < smallest:
                raise ConfigError(
                    tr("{name} must be an integer of at least {least}, not {got}", name=name, least=smallest, got=got)
                )
        if not 0 <= short <= 1:
            raise ConfigError(tr("short is a probability from 0 to 1, not {got}", got=short))
        self.special, self.max_length, self.batch_size = SpecialIds.of(tokenizer), int(max_length), int(batch_size)
        self.seed, self.short, self.versions, self.next_sentence = int(seed), short, versions, next_sentence
        self.documents = SentenceDocuments(documents)
        if next_sentence:
            self.documents.check_pairs()
        elif not self.documents.bounds:
            raise DataError(tr("there is no document with a sentence in it; give more text"))
        self._make: Any = single_texts if not next_sentence else matched_pairs if match_lengths else bert_pairs
        self._made: dict[int, Pairs] = {}
        self.pairs_per_epoch = len(self.pairs(0).label)
        if not self.pairs_per_epoch:
            raise DataError(
                tr("no pair found a partner in another document; give more documents, or set match_lengths=False")
            )

    @property
    def steps_per_epoch(self) -> float:
        """How many batches go once through the documents."""
        return self.pairs_per_epoch / self.batch_size

    def pairs(self, epoch: int) -> Pairs:
        """The pairs of an epoch in the order in which they come, a pure function of (seed, epoch)."""
        version = epoch if self.versions is None else epoch % self.versions
        if version not in self._made:
            rng = np.random.default_rng([self.seed, PAIRS, version])
            room = self.max_length - (3 if self.next_sentence else 2)
            found = self._make(self.documents, room, self.short, rng)
            order = rng.permutation(len(found.label))
            if len(self._made) >= 4:
                self._made.clear()
            a, b, label, documents = (array[order] for array in found[:4])
            self._made[version] = Pairs(a, b, label, documents, found.counts)
        return self._made[version]

    def keys(self, step: int) -> list[tuple[int, int]]:
        """(version, place) of each row of a batch: equal where an example comes again.

        Every epoch has as many rows as the first has pairs; one with fewer begins again from its start.
        """
        if not isinstance(step, (int, np.integer)) or step < 0:
            raise ConfigError(tr("step must be an integer of at least 0, not {got}", got=step))
        first = int(step) * self.batch_size
        found = [divmod(first + row, self.pairs_per_epoch) for row in range(self.batch_size)]
        return [(e if self.versions is None else e % self.versions, i % len(self.pairs(e).label)) for e, i in found]

    def at(self, step: int) -> Batch:
        """The batch of a step ≥ 0, a pure function of (seed, step)."""
        return self._batch(self.keys(step))

    def epoch(self, epoch: int = 0) -> Iterator[Batch]:
        """Batches with every example of one epoch once, e.g. to evaluate on; the last may have fewer rows."""
        count = len(self.pairs(epoch).label)
        for first in range(0, count, self.batch_size):
            yield self._batch([(epoch, i) for i in range(first, min(first + self.batch_size, count))])

    def _batch(self, keys: list[tuple[int, int]]) -> Batch:
        rows, labels, tokens = [], [], self.documents.tokens
        for version, i in keys:
            found = self.pairs(version)
            a, b = tokens[slice(*found.a[i])], tokens[slice(*found.b[i])]
            rows.append(encode_pair(self.special, a, b if self.next_sentence else None, self.max_length))
            labels.append(found.label[i])
        batch = collate(rows, self.special.pad, self.max_length)
        return read_only(**batch, **({"next_label": np.array(labels)} if self.next_sentence else {}))
