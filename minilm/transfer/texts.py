"""From a table of texts and labels to examples for a model, and from its answers back to words."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np

from minilm.errors import ConfigError, DataError, MinilmError
from minilm.i18n import tr
from minilm.text.tokenizer import Tokenizer
from minilm.transfer.examples import IGNORE, Example, Task
from minilm.transfer.tables import Record, Table

WHAT = ("classify", "pair", "regress", "tag", "spans", "choice")
NEEDED = {
    "classify": ("text",),
    "pair": ("text", "second"),
    "regress": ("text",),
    "tag": ("text",),
    "spans": ("text", "second"),
    "choice": ("text", "choices"),
}


@dataclass(frozen=True)
class Columns:
    """Which column holds what. text: the text, passage, or what choices share. second: the other text of a pair, or the
    question. label: the class, number, tags, answer, or right choice. choices: the columns of the continuations, or one
    that holds a list. answer_start: where in the passage the answer starts, in characters, if it is told."""

    text: str = "text"
    second: str = "second"
    label: str = "label"
    choices: tuple[str, ...] = ("choices",)
    answer_start: str = "answer_start"

    def as_json(self) -> dict[str, Any]:
        """The names as JSON has them."""
        return asdict(self)


class Labelled(NamedTuple):
    """Examples, and the table's rows that they came from with the places of their tokens: (start, end) in characters
    for spans, positions of the words for tags."""

    examples: list[Example]
    records: list[Record]
    places: list[Any]


@dataclass(frozen=True)
class TextTask:
    """What is asked of texts: `what` is of WHAT ("pair" is to classify two), `task` what it is to the model; columns;
    by_last: whether a word's tag stands at its last piece (GPT has read no more at the first) or its first (BERT)."""

    what: str
    task: Task
    columns: Columns
    tokenizer: Tokenizer
    by_last: bool

    def read(self, table: Table, labelled: bool = True) -> Labelled:
        """The examples of a table. DataError, with the line, for a row that cannot be one."""
        table.check(*self.needed(table))
        if labelled:
            table.check_column(self.columns.label)
        if labelled and self.what != "spans":  # a question may have no answer
            table.check(self.columns.label)
        found = Labelled([], [], [])
        for record in table.records:
            try:
                example, place = self._example(record, table, labelled)
            except MinilmError as error:
                raise DataError(f"{table.path}, {tr('line {line}', line=record.line)}: {error}") from error
            found.examples.append(example)
            found.records.append(record)
            found.places.append(place)
        return found

    def needed(self, table: Table) -> list[str]:
        """The columns without the label."""
        names = [getattr(self.columns, name) for name in NEEDED[self.what] if name != "choices"]
        if self.what in ("classify", "regress") and self.columns.second in table.columns:
            names.append(self.columns.second)
        return names + (list(self.columns.choices) if self.what == "choice" else [])

    def _example(self, record: Record, table: Table, labelled: bool) -> tuple[Example, Any]:
        values, c = record.values, self.columns
        label = values[c.label] if labelled else None
        if self.what == "tag":
            return self._tagged(values[c.text], label)
        text = str(values[c.text])
        if self.what == "spans":
            return self._span(text, str(values[c.second]), label, values.get(c.answer_start))
        ids = self._encode(text, c.text)
        if self.what == "choice":
            texts = self._choices(values)
            choices = tuple(self._encode(str(t), tr("a choice")) for t in texts)
            return Example(ids, None if label is None else choice_number(label, texts), (), choices), texts
        second = self._encode(str(values[c.second]), c.second) if c.second in self.needed(table) else ()
        return Example(ids, None if label is None else self._label(label), second), None

    def _label(self, label: Any) -> Any:
        if self.what == "regress":
            return number(label)
        return self.class_number(str(label).strip())

    def class_number(self, label: str) -> int:
        """A label's number; DataError names those that there are."""
        if label not in self.task.labels:
            raise DataError(
                tr("the label {label} is unknown; the training data has {known}", label=repr(label),
                   known=shortened(self.task.labels))
            )  # fmt: skip
        return self.task.labels.index(label)

    def _encode(self, text: str, name: str) -> list[int]:
        ids = self.tokenizer.encode(text)
        if not ids:
            raise DataError(tr("the {name} is empty; leave the row out or fill it in", name=name))
        return ids

    def _choices(self, values: dict[str, Any]) -> list[Any]:
        c = self.columns.choices
        if len(c) > 1:
            return [values[name] for name in c]
        found = values[c[0]]
        if not isinstance(found, list):
            raise DataError(
                tr("{name} must be a list of texts (JSON lines); in CSV name a column for each choice", name=c[0])
            )
        return found

    def _tagged(self, text: Any, label: Any) -> tuple[Example, Any]:
        """Words, each with a tag at one of its pieces; the place is (words, the position of each one's tag)."""
        words = text.split() if isinstance(text, str) else [str(word) for word in text]
        if not words:
            raise DataError(tr("the {name} is empty; leave the row out or fill it in", name=self.columns.text))
        ids, bounds = encode_words(self.tokenizer, words)
        at = [end - 1 if self.by_last else start for start, end in bounds]
        tags = np.full(len(ids), IGNORE, np.int64)
        tags[at] = 0
        if label is not None:
            names = label.split() if isinstance(label, str) else [str(tag) for tag in label]
            if len(names) != len(words):
                raise DataError(tr("{tags} tags for {words} words; give one for each", tags=len(names),
                                   words=len(words)))  # fmt: skip
            tags[at] = [self.class_number(name) for name in names]
        return Example(ids, tuple(tags.tolist()), ()), (words, at)

    def _span(self, passage: str, question: str, answer: Any, start: Any) -> tuple[Example, Any]:
        """The answer as tokens of the passage; the place is (passage, where its tokens stand)."""
        ids, places = encode_with_places(self.tokenizer, passage)
        if not ids:
            raise DataError(tr("the {name} is empty; leave the row out or fill it in", name=self.columns.text))
        span = None
        if answer is not None and str(answer):
            span = span_of(passage, str(answer), start, places)
        asked = self._encode(question, self.columns.second)
        return Example(ids, span, asked), (passage, places)

    def said(self, label: Any, place: Any) -> Any:
        """An answer in words: a label, a number, tags, a piece of the passage, a choice."""
        if self.what in ("classify", "pair"):
            return self.task.labels[label]
        if self.what == "regress":
            return label
        if self.what == "choice":
            return place[label]
        if self.what == "tag":
            words, at = place
            return [self.task.labels[label[i]] if i < len(label) else "" for i in at][: len(words)]
        passage, places = place
        return "" if label is None else passage[places[label[0]][0] : places[label[1]][1]]


def number(value: Any) -> float:
    """A number out of a cell; DataError where it is none."""
    try:
        found = float(value)
    except (TypeError, ValueError):
        found = float("nan")
    if not np.isfinite(found):
        raise DataError(tr("{value} is no number; to regress, labels are numbers", value=repr(value)))
    return found


def choice_number(label: Any, texts: Sequence[Any]) -> int:
    """The right choice's number from its text or its number from 0; DataError where it is neither."""
    if label in texts:
        return texts.index(label)
    try:
        found = int(label)
    except (TypeError, ValueError):
        found = -1
    if not 0 <= found < len(texts):
        raise DataError(
            tr("the label {label} is no choice; give its text, or its number from 0 to {last}", label=repr(label),
               last=len(texts) - 1)
        )  # fmt: skip
    return found


def span_of(passage: str, answer: str, start: Any, places: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """(first, last), the tokens that hold the answer; DataError where it is not in the passage."""
    if start is None or start == "":
        first = passage.find(answer)
    else:
        first = int(number(start))
        if passage[first : first + len(answer)] != answer or first < 0:
            first = -1
    if first < 0:
        raise DataError(tr("the answer {answer} is not in the passage (there)", answer=repr(answer)))
    end = first + len(answer)
    inside = [i for i, (a, b) in enumerate(places) if a < end and b > first]
    if not inside:
        raise DataError(tr("the answer {answer} has no token in the passage", answer=repr(answer)))
    return inside[0], inside[-1]


def encode_with_places(tokenizer: Any, text: str) -> tuple[list[int], list[tuple[int, int]]]:
    """Token ids, and where in the text each stands; or where its word does, if the tokenizer cannot tell."""
    if hasattr(tokenizer, "encode_with_offsets"):
        return tokenizer.encode_with_offsets(text)
    ids: list[int] = []
    places: list[tuple[int, int]] = []
    for found in re.finditer(r"\s*(\S+)", text):
        pieces = tokenizer.encode(found[0])
        ids += pieces
        places += [found.span(1)] * len(pieces)
    return ids, places


def encode_words(tokenizer: Any, words: Sequence[str]) -> tuple[list[int], list[tuple[int, int]]]:
    """The ids of words, and for each (start, end) of its pieces among them."""
    if hasattr(tokenizer, "encode_words"):
        ids, firsts = tokenizer.encode_words(words)
        return ids, list(zip(firsts, [*firsts[1:], len(ids)], strict=True))
    ids, bounds = [], []
    for i, word in enumerate(words):
        pieces = tokenizer.encode(f" {word}" if i else word) or tokenizer.encode(" ")
        bounds.append((len(ids), len(ids) + len(pieces)))
        ids = ids + pieces
    return ids, bounds


# ------------------------------------------------------------------------------------------------------------ labels


def labels_of(table: Table, what: str, columns: Columns, wanted: Sequence[str] = ()) -> tuple[str, ...]:
    """The labels of a training table in alphabetical order (or `wanted`, of which each must be there and no other).

    DataError for one class only, and for a class with a single example, which can be learned but not measured.
    """
    if what not in WHAT:
        raise ConfigError(tr("task is {got!r}; choose one of {known}", got=what, known=", ".join(WHAT)))
    if what in ("regress", "spans", "choice"):
        return ()
    table.check(columns.label)
    counts: Counter[str] = Counter()
    for record in table.records:
        value = record.values[columns.label]
        names = [str(value).strip()]
        if what == "tag":
            names = value.split() if isinstance(value, str) else [str(v) for v in value]
        if "" in names:
            raise DataError(tr("{path}, line {line}: the label is empty", path=table.path, line=record.line))
        if wanted and (strange := [n for n in names if n not in wanted]):
            raise DataError(
                tr("{path}, line {line}: the label {label} is unknown; there are {known}", path=table.path,
                   line=record.line, label=repr(strange[0]), known=shortened(wanted))
            )  # fmt: skip
        counts.update(names)
    if len(counts) < 2:
        raise DataError(
            tr("{path} has the label {label} only; there is nothing to tell apart", path=table.path,
               label=repr(next(iter(counts), "")))
        )  # fmt: skip
    single = sorted(label for label, n in counts.items() if n == 1)
    if single and what != "tag":
        raise DataError(
            tr("{path} has a single example of {labels}; give each class at least two, or leave it out",
               path=table.path, labels=shortened(single))
        )  # fmt: skip
    return tuple(wanted) or tuple(sorted(counts))


def check_same_labels(train: Table, dev: Table, labels: Sequence[str], what: str, columns: Columns) -> list[str]:
    """DataError where the development data has labels that the training data lacks; returns those that only the
    training data has."""
    if not labels:
        return []
    dev.check(columns.label)
    seen: dict[str, None] = {}
    for value in dev.column(columns.label):
        names = [str(value).strip()]
        if what == "tag":
            names = value.split() if isinstance(value, str) else [str(v) for v in value]
        seen |= dict.fromkeys(names)
    if strange := [name for name in seen if name not in labels]:
        raise DataError(
            tr("{dev} has labels that {train} lacks: {strange}; {train} has {known}", dev=dev.path, train=train.path,
               strange=shortened(strange), known=shortened(labels))
        )  # fmt: skip
    return [name for name in labels if name not in seen]


def shortened(names: Sequence[str], most: int = 12) -> str:
    """The first names of many, separated by commas."""
    return ", ".join([*map(str, names[:most]), *(["…"] if len(names) > most else [])])
