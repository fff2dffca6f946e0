"""From an example to the row of tokens that a model reads: GPT-1's input transformations, and BERT's.

    classify     [start] text [extract]                             [CLS] text [SEP]
    a pair       [start] text [delimiter] second [extract]          [CLS] text [SEP] second [SEP]
    similarity   both orders of the pair                            as a pair
    choice       a row for each: text [delimiter] choice [extract]  a row for each: text [SEP] choice

What does not fit is cut off the longer text, and counted. A passage that is asked about is never cut: where it is too
long, it is read in windows that overlap by half, so that an answer of up to half a window stands whole in one of them.

Sources: Radford et al. 2018, section 3.3 and figure 1; Devlin et al. 2019, section 4 and figure 4, and the windows
("doc stride") of their code for SQuAD.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np

from minilm.errors import ConfigError, DataError
from minilm.i18n import tr
from minilm.text.batches import Batch
from minilm.text.inputs import encode_pair, kept_lengths
from minilm.text.special import SpecialIds
from minilm.text.tokenizer import Tokenizer
from minilm.transfer.examples import IGNORE, Example, Task

BEGINS = ("<bos>",)  # tokens that documents began with in pretraining, and so may rows


class Row(NamedTuple):
    """One sequence: ids, segments (1 from the second text on), and where the two texts stand in it.

    first, second: how many tokens were kept of each text, and the position of the first one.
    """

    ids: np.ndarray
    segments: np.ndarray
    first: tuple[int, int]
    second: tuple[int, int]
    truncated: int


class Reader(Protocol):
    """Makes rows for one kind of model."""

    max_length: int
    pad: int
    segments: bool  # whether the model is told which text a token is of
    both_orders: bool  # whether a symmetric pair is read twice

    def row(self, a: Sequence[int], b: Sequence[int] | None = None) -> Row: ...


@dataclass(frozen=True)
class TaskTokens:
    """The ids of start, delimiter and extract, and how many of them were added behind the vocabulary."""

    start: int
    delimiter: int
    extract: int
    added: int

    @classmethod
    def after(cls, vocab_size: int, tokenizer: Tokenizer | None = None) -> "TaskTokens":
        """New ones behind a vocabulary of that size. A tokenizer whose documents begin with a token of their own
        (<bos>) gives that for the start: the model has learned to begin there."""
        known = tokenizer.special_tokens if tokenizer is not None else {}
        start = next((known[name] for name in BEGINS if name in known), None)
        if start is not None:
            return cls(start, vocab_size, vocab_size + 1, 2)
        return cls(vocab_size, vocab_size + 1, vocab_size + 2, 3)


class GPTReader:
    """[start] a [extract], or [start] a [delimiter] b [extract]."""

    segments, both_orders, pad = False, True, 0

    def __init__(self, tokens: TaskTokens, max_length: int):
        self.tokens, self.max_length = tokens, max_length

    def row(self, a: Sequence[int], b: Sequence[int] | None = None) -> Row:
        """The row of one text, or of two; DataError for an empty one, ConfigError where there is no room."""
        t, specials = self.tokens, 2 if b is None else 3
        for text in (a,) if b is None else (a, b):
            _check_text(text)
        room = self.max_length - specials
        if room < specials - 1:
            raise ConfigError(
                tr("max_length is {got}; it must be at least {least}: the special tokens, and one of each text",
                   got=self.max_length, least=2 * specials - 1)
            )  # fmt: skip
        if b is None:
            n = min(len(a), room)
            ids = [t.start, *a[:n], t.extract]
            return Row(np.array(ids, np.int64), np.zeros(n + 2, np.int64), (1, n), (0, 0), len(a) - n)
        n, m = (int(kept) for kept in kept_lengths(len(a), len(b), room))
        ids = [t.start, *a[:n], t.delimiter, *b[:m], t.extract]
        segments = np.arange(n + m + 3) > n + 1
        return Row(np.array(ids, np.int64), segments.astype(np.int64), (1, n), (n + 2, m), len(a) + len(b) - n - m)


class BertReader:
    """[CLS] a [SEP], or [CLS] a [SEP] b [SEP]."""

    segments, both_orders = True, False

    def __init__(self, tokenizer: Any, max_length: int):
        self.special, self.max_length = SpecialIds.of(tokenizer), max_length
        self.pad = self.special.pad

    def row(self, a: Sequence[int], b: Sequence[int] | None = None) -> Row:
        """The row of one text, or of two; DataError for an empty one, ConfigError where there is no room."""
        for text in (a,) if b is None else (a, b):
            _check_text(text)
        found = encode_pair(self.special, a, b, self.max_length)
        m = max(int((found.segments == 1).sum()) - 1, 0)
        n = len(found.ids) - 2 - (m + 1 if b is not None else 0)
        return Row(found.ids, found.segments, (1, n), (n + 2, m) if b is not None else (0, 0), found.truncated)


def _check_text(text: Sequence[int]) -> None:
    if not len(text):
        raise DataError(tr("a text is empty: it has no tokens; leave it out"))


# ----------------------------------------------------------------------------------------------------- labelled rows


class Encoded(NamedTuple):
    """An example as a model reads it: its rows (one, or two orders, or one a choice), and its label there.

    label: as in the batch: a number; tags (T,); (start, end) for a span, (0, 0) for none. passage: (first position,
    number of tokens) of what an answer may stand in. lost: whether there is an answer and nothing to learn of it.
    begin: which token of the passage the window begins with. more: the windows after the first.
    """

    rows: tuple[Row, ...]
    label: Any
    passage: tuple[int, int]
    lost: bool
    begin: int = 0
    more: "tuple[Encoded, ...]" = ()

    @property
    def windows(self) -> "tuple[Encoded, ...]":
        """All of them: of most examples, just this one."""
        return (self._replace(more=()), *self.more)

    @property
    def truncated(self) -> int:
        """How many tokens did not fit."""
        return max(row.truncated for row in self.rows)


def encode(reader: Reader, task: Task, example: Example) -> Encoded:
    """The rows of an example and its label. DataError for an empty text, or a label that does not fit the text."""
    text, second = example.text, example.second
    if task.kind == "choice":
        if len(example.choices) < 2:
            raise DataError(tr("an example has {n} choices; give at least two", n=len(example.choices)))
        rows = tuple(reader.row(text, choice) for choice in example.choices)
        return Encoded(rows, example.label, (0, 0), False)
    if task.kind == "spans":
        return _spans(reader, task, example)
    row = reader.row(text, second if len(second) else None)
    if task.kind == "tag":
        return Encoded((row,), None if example.label is None else _tags(row, example), row.first, False)
    if task.symmetric and reader.both_orders and len(second):
        return Encoded((row, reader.row(second, text)), example.label, (0, 0), False)
    return Encoded((row,), example.label, (0, 0), False)


def _tags(row: Row, example: Example) -> np.ndarray:
    """A tag for each position of the row, -100 for special tokens."""
    if len(example.label) != len(example.text):
        raise DataError(tr("{tags} tags for {tokens} tokens; give one for each", tags=len(example.label),
                           tokens=len(example.text)))  # fmt: skip
    tags = np.full(len(row.ids), IGNORE, np.int64)
    start, n = row.first
    tags[start : start + n] = example.label[:n]
    return tags


def _spans(reader: Reader, task: Task, example: Example) -> Encoded:
    """The first window of the passage, with those that follow: without an answer where none stands in them, which
    teaches that there may be none, and teaches nothing where there always is one."""
    if not len(example.second):
        raise DataError(tr("a question is empty: it has no tokens; leave it out"))
    if example.label is not None:
        first, last = example.label
        if not 0 <= first <= last < len(example.text):
            raise DataError(tr("an answer at tokens {first} to {last} is not in a text of {n}", first=first, last=last,
                               n=len(example.text)))  # fmt: skip
    whole = _window(reader, task, example, 0, len(example.text))
    size = whole.passage[1]  # as much of it as fits
    windows = [_window(reader, task, example, at, at + size) for at in window_starts(len(example.text), size)]
    if example.label is not None and all(window.label == (0, 0) for window in windows):
        windows = [window._replace(lost=True) for window in windows]  # an answer that is longer than they are
    return windows[0]._replace(more=tuple(windows[1:]))


def window_starts(length: int, size: int) -> list[int]:
    """Where windows of that size begin that cover a passage: every half size, the last one as far back as it fills."""
    last = max(length - size, 0)
    return [*range(0, last, max(size // 2, 1)), last]


def _window(reader: Reader, task: Task, example: Example, begin: int, end: int) -> Encoded:
    """The question, and tokens `begin` up to `end` of the passage as far as they fit."""
    text = example.text[begin:end]
    row = reader.row(example.second, text) if task.question_first else reader.row(text, example.second)
    start, n = row.second if task.question_first else row.first
    if example.label is None:
        return Encoded((row,), (0, 0), (start, n), False, begin)
    first, last = (place - begin for place in example.label)
    if not 0 <= first <= last < n:
        return Encoded((row,), (0, 0), (start, n), not task.no_answer, begin)
    return Encoded((row,), (start + first, start + last), (start, n), False, begin)


def is_lost(example: Encoded) -> bool:
    """Whether nothing can be learned of an example: its answer stands whole in no window."""
    return all(window.lost for window in example.windows)


def collate_task(reader: Reader, task: Task, encoded: Sequence[Encoded]) -> Batch:
    """A batch: ids, attention_mask and, for BERT, segments, each (B, T), or (B, C, T) where an example has C rows,
    padded at the end to the longest; and labels (B,) or (B, T), or starts and ends (B,) and passage (B, T)."""
    B, C = len(encoded), len(encoded[0].rows)
    if any(len(e.rows) != C for e in encoded):
        raise DataError(tr("examples have different numbers of choices; give each as many as the others"))
    T = max(len(row.ids) for e in encoded for row in e.rows)
    ids, segments = np.full((B, C, T), reader.pad, np.int64), np.zeros((B, C, T), np.int64)
    mask = np.zeros((B, C, T), bool)
    for b, e in enumerate(encoded):
        for c, row in enumerate(e.rows):
            n = len(row.ids)
            ids[b, c, :n], segments[b, c, :n], mask[b, c, :n] = row.ids, row.segments, True
    batch = {"ids": ids, "attention_mask": mask, **({"segments": segments} if reader.segments else {})}
    if C == 1:
        batch = {name: array[:, 0] for name, array in batch.items()}
    return batch | _labels(task, encoded, T)


def _labels(task: Task, encoded: Sequence[Encoded], T: int) -> Batch:
    labels = [e.label for e in encoded]
    if task.kind == "spans":
        spans, passage = np.array(labels, np.int64), np.zeros((len(encoded), T), bool)
        for b, e in enumerate(encoded):
            passage[b, e.passage[0] : sum(e.passage)] = True
        return {"starts": spans[:, 0], "ends": spans[:, 1], "passage": passage}
    if any(label is None for label in labels):
        return {}
    if task.kind == "tag":
        tags = np.full((len(encoded), T), IGNORE, np.int64)
        for b, label in enumerate(labels):
            tags[b, : len(label)] = label
        return {"labels": tags}
    return {"labels": np.array(labels, np.float32 if task.kind == "regress" else np.int64)}


class TaskBatches:
    """Examples in shuffled batches: `.at(step)` is a pure function of (seed, step), each epoch in an order of its own.

    Each window of a long passage counts as an example; those from which nothing can be learned are left out.
    A batch has min(batch_size, number of examples) rows; where an epoch ends within one, the next begins there.
    """

    def __init__(self, reader: Reader, task: Task, examples: Sequence[Example], batch_size: int, seed: int = 0):
        if not examples:
            raise DataError(tr("there is no example to learn from"))
        self.reader, self.task, self.seed = reader, task, seed
        encoded = [encode(reader, task, e) for e in examples]
        self.truncated = sum(e.truncated for e in encoded)
        self.truncated_examples = sum(e.truncated > 0 for e in encoded)
        self.lost = sum(is_lost(e) for e in encoded)
        self.encoded = [window for e in encoded for window in e.windows if not window.lost]
        if not self.encoded:
            raise DataError(tr("every answer is longer than what the model reads at once; its context is too short"))
        self.batch_size = min(batch_size, len(self.encoded))
        self._orders: dict[int, np.ndarray] = {}

    def __len__(self) -> int:
        return len(self.encoded)

    def order(self, epoch: int) -> np.ndarray:
        """In which order an epoch goes through the examples."""
        if epoch not in self._orders:
            if len(self._orders) > 4:
                self._orders.clear()
            self._orders[epoch] = np.random.default_rng([self.seed, 0x7461736B, epoch]).permutation(len(self.encoded))
        return self._orders[epoch]

    def at(self, step: int) -> Batch:
        """The batch of a step ≥ 0."""
        numbers = range(step * self.batch_size, (step + 1) * self.batch_size)
        places = [divmod(n, len(self.encoded)) for n in numbers]
        return collate_task(self.reader, self.task, [self.encoded[self.order(epoch)[i]] for epoch, i in places])


def in_order(reader: Reader, task: Task, encoded: Sequence[Encoded], batch_size: int = 128) -> list[Batch]:
    """Batches of all examples, one after another."""
    return [collate_task(reader, task, encoded[i : i + batch_size]) for i in range(0, len(encoded), batch_size)]
