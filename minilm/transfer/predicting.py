"""What a model answers: a class with its probabilities, a number, tags, a span, a choice; and how good that is."""

from collections.abc import Sequence
from itertools import islice
from typing import Any, NamedTuple

import numpy as np

from minilm.autograd import no_grad, value
from minilm.backend import to_numpy
from minilm.models.heads import SpanLogits, best_spans
from minilm.text.batches import Batch
from minilm.transfer import metrics
from minilm.transfer.examples import IGNORE, Example, Task
from minilm.transfer.inputs import Encoded, Reader, encode, in_order

LABELS = ("labels", "starts", "ends", "passage")


class Answer(NamedTuple):
    """What a model says of one example.

    label: as in `Example`: a class's or choice's number; a number; a tag for each token of the text, -100 for those
    that were cut off; (first, last) in the text or None. p: the probabilities of the classes or choices, else None.
    score: of a span, by how much it beats "no answer" where there may be none, else S·h_i + E·h_j.
    """

    label: Any
    p: np.ndarray | None = None
    score: float = 0.0


def answers(
    model: Any,
    reader: Reader,
    task: Task,
    encoded: Sequence[Encoded],
    batch_size: int = 128,
    threshold: float = 0.0,
) -> list[Answer]:
    """The model's answer to each example. threshold: τ, by how much a span must beat "no answer", where there may be
    none. Of a passage in several windows the best span of all wins; none is the answer only if it is that of each."""
    of_first = _in_batches(model, reader, task, encoded, batch_size, threshold)
    of_others = iter(_in_batches(model, reader, task, [w for e in encoded for w in e.more], batch_size, threshold))
    return [_best([answer, *islice(of_others, len(e.more))]) for answer, e in zip(of_first, encoded, strict=True)]


def _best(windows: list[Answer]) -> Answer:
    return max((a for a in windows if a.label is not None), key=lambda a: a.score, default=windows[0])


def _in_batches(
    model: Any, reader: Reader, task: Task, encoded: Sequence[Encoded], batch_size: int, threshold: float
) -> list[Answer]:
    """The answer of each row, or group of rows."""
    found: list[Answer] = []
    with no_grad(), model.evaluating():
        for start in range(0, len(encoded), batch_size):
            part = encoded[start : start + batch_size]
            for batch in in_order(reader, task, part, batch_size):
                inputs = {name: array for name, array in batch.items() if name not in LABELS}
                found += _of_batch(model(**inputs), task, part, batch, threshold)
    return found


def _of_batch(logits: Any, task: Task, part: Sequence[Encoded], batch: Batch, threshold: float) -> list[Answer]:
    if task.kind == "spans":
        spans = best_spans(SpanLogits(*logits), batch["passage"], threshold=threshold if task.no_answer else None)
        null = sum(to_numpy(value(x))[:, 0].astype(np.float64) for x in logits)
        scores = spans.margin if task.no_answer else spans.margin + null
        places = zip(part, spans.start, spans.end, scores, strict=True)
        return [Answer(_in_text(e, int(i), int(j)), None, float(score)) for e, i, j, score in places]
    scores = to_numpy(value(logits)).astype(np.float64)
    if task.kind == "regress":
        return [Answer(float(x)) for x in scores]
    if task.kind == "tag":
        return [Answer(row[e.passage[0] : sum(e.passage)].argmax(-1)) for e, row in zip(part, scores, strict=True)]
    p = np.exp(scores - scores.max(-1, keepdims=True))
    p /= p.sum(-1, keepdims=True)
    return [Answer(int(row.argmax()), row) for row in p]


def _in_text(e: Encoded, start: int, end: int) -> tuple[int, int] | None:
    """Positions of a row as tokens of the text; None for 0 … 0."""
    shift = e.begin - e.passage[0]
    return None if end < e.passage[0] else (start + shift, end + shift)


def score(task: Task, gold: Sequence[Example], found: Sequence[Answer]) -> dict[str, float]:
    """The measures of a task by name, the first being the one that choices are made by.

    classify: accuracy, F1 (of the second of two classes, else macro), Matthews. regress: Pearson, Spearman.
    tag: accuracy and macro F1 of the tokens, or first the entities' F1 where tags are B-, I- and O. spans: exact and
    overlapping, in tokens. choice: accuracy.
    """
    labels = [e.label for e in gold]
    said = [a.label for a in found]
    if task.kind == "regress":
        return {"pearson": metrics.pearson(labels, said), "spearman": metrics.spearman(labels, said)}
    if task.kind == "spans":
        return _span_scores(labels, said)
    if task.kind == "tag":
        return _tag_scores(task, labels, said)
    scores = {"accuracy": metrics.accuracy(labels, said)}
    if task.kind == "classify":
        binary = len(task.labels) == 2
        scores["f1"] = metrics.f1(labels, said, 1) if binary else metrics.macro_f1(labels, said)
        scores["matthews"] = metrics.matthews(labels, said)
    return scores


def _span_scores(labels: Sequence[Any], said: Sequence[Any]) -> dict[str, float]:
    def tokens(span: Any) -> str:
        return "" if span is None else " ".join(map(str, range(span[0], span[1] + 1)))

    there, guessed = [tokens(s) for s in labels], [tokens(s) for s in said]
    return {"exact_match": metrics.exact_match(there, guessed), "f1": metrics.answer_f1(there, guessed)}


def _tag_scores(task: Task, labels: Sequence[Any], said: Sequence[Any]) -> dict[str, float]:
    """Over the tagged tokens; one that was cut off counts as wrong, or, among entities, as O."""
    there, guessed = [], []
    for gold, tags in zip(labels, said, strict=True):
        whole = list(tags) + [IGNORE] * (len(gold) - len(tags))
        there.append([g for g in gold if g != IGNORE])
        guessed.append([p for g, p in zip(gold, whole, strict=True) if g != IGNORE])
    flat = [g for row in there for g in row], [p for row in guessed for p in row]
    scores = {"accuracy": metrics.accuracy(*flat), "macro_f1": metrics.macro_f1(*flat)}
    if not metrics.is_bio(task.labels):
        return scores
    names = [[["O" if t == IGNORE else task.labels[t] for t in row] for row in rows] for rows in (there, guessed)]
    return {"entity_f1": metrics.entity_f1(*names), **scores}


def evaluate(
    model: Any, reader: Reader, task: Task, examples: Sequence[Example], threshold: float = 0.0
) -> dict[str, float]:
    """The scores of a model on examples with labels."""
    encoded = [encode(reader, task, e) for e in examples]
    return score(task, examples, answers(model, reader, task, encoded, threshold=threshold))
