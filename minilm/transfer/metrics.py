"""How good predictions are: one function a measure, each a number, each as the field defines it.

Labels are sequences of equal length of anything that compares; a measure that has no value (nothing to measure, no
variance) is 0, as in scikit-learn. Entities and answers as in the evaluations of CoNLL-2003 and SQuAD.
"""

import math
import re
import string
from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from typing import Any

import numpy as np

from minilm.errors import DataError
from minilm.i18n import tr

Labels = Sequence[Any] | np.ndarray
_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)


def accuracy(gold: Labels, guessed: Labels) -> float:
    """The part that is right."""
    gold, guessed = _checked(gold, guessed)
    return float(sum(g == p for g, p in zip(gold, guessed, strict=True)) / len(gold))


def confusion(gold: Labels, guessed: Labels, classes: Sequence[Hashable]) -> np.ndarray:
    """(C, C): how often class i was taken for class j."""
    gold, guessed = _checked(gold, guessed)
    number = {c: i for i, c in enumerate(classes)}
    found = np.zeros((len(classes), len(classes)), np.int64)
    for g, p in zip(gold, guessed, strict=True):
        found[number[g], number[p]] += 1
    return found


def f1(gold: Labels, guessed: Labels, positive: Hashable = 1) -> float:
    """2PR / (P + R) of one class, P = right / guessed, R = right / there are."""
    gold, guessed = _checked(gold, guessed)
    right = sum(g == p == positive for g, p in zip(gold, guessed, strict=True))
    return _f1(right, sum(p == positive for p in guessed), sum(g == positive for g in gold))


def macro_f1(gold: Labels, guessed: Labels) -> float:
    """The mean F1 of all classes that were there or guessed."""
    gold, guessed = _checked(gold, guessed)
    classes = sorted({*gold, *guessed}, key=str)
    return sum(f1(gold, guessed, c) for c in classes) / len(classes)


def matthews(gold: Labels, guessed: Labels) -> float:
    """Matthews' correlation, −1 … 1; with several classes Gorodkin's R_K (2004)."""
    gold, guessed = _checked(gold, guessed)
    classes = sorted({*gold, *guessed}, key=str)
    counts = confusion(gold, guessed, classes).astype(np.float64)
    n, right = counts.sum(), np.trace(counts)
    there, said = counts.sum(1), counts.sum(0)
    above = right * n - there @ said
    below = math.sqrt((n * n - there @ there) * (n * n - said @ said))
    return float(above / below) if below else 0.0


def pearson(x: Sequence[float] | np.ndarray, y: Sequence[float] | np.ndarray) -> float:
    """Σ (x − x̄)(y − ȳ) / √(Σ (x − x̄)² Σ (y − ȳ)²)."""
    a, b = (np.asarray(v, np.float64) for v in _checked(x, y))
    a, b = a - a.mean(), b - b.mean()
    below = math.sqrt((a @ a) * (b @ b))
    return float(a @ b) / below if below else 0.0


def spearman(x: Sequence[float] | np.ndarray, y: Sequence[float] | np.ndarray) -> float:
    """Pearson's correlation of the ranks; equal numbers share the mean of theirs."""
    return pearson(ranks(x), ranks(y))


def ranks(x: Sequence[float] | np.ndarray) -> np.ndarray:
    """Each number's place from 1 on in rising order, equal ones the mean of their places."""
    _, inverse, counts = np.unique(np.asarray(x, np.float64), return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return ((last - counts + 1 + last) / 2)[inverse]


def auc(positive: Labels, scores: Sequence[float] | np.ndarray) -> float:
    """The probability that a positive one scores above a negative one, ties counting half (Mann and Whitney's U)."""
    is_positive, scores = (np.asarray(v) for v in _checked(positive, scores))
    is_positive = is_positive.astype(bool)
    n, m = int(is_positive.sum()), int((~is_positive).sum())
    if not n or not m:
        raise DataError(tr("the area under the curve needs both positive and negative examples"))
    return float((ranks(scores)[is_positive].sum() - n * (n + 1) / 2) / (n * m))


# ----------------------------------------------------------------------------------------------------------- answers


def normalized_answer(text: str) -> str:
    """In lower case, without punctuation and English articles, one space between words (as SQuAD's evaluation)."""
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split())


def exact_match(gold: Sequence[str], guessed: Sequence[str]) -> float:
    """The part of the answers that are the same once normalized; "" is no answer."""
    gold, guessed = _checked(gold, guessed)
    return sum(normalized_answer(g) == normalized_answer(p) for g, p in zip(gold, guessed, strict=True)) / len(gold)


def answer_f1(gold: Sequence[str], guessed: Sequence[str]) -> float:
    """The mean over the answers of the F1 of their words."""
    gold, guessed = _checked(gold, guessed)
    return sum(_words_f1(g, p) for g, p in zip(gold, guessed, strict=True)) / len(gold)


def _words_f1(gold: str, guessed: str) -> float:
    there, said = normalized_answer(gold).split(), normalized_answer(guessed).split()
    if not there or not said:
        return float(there == said)
    return _f1((Counter(there) & Counter(said)).total(), len(said), len(there))


# ---------------------------------------------------------------------------------------------------------- entities


def entities(tags: Sequence[str]) -> list[tuple[str, int, int]]:
    """(type, first, last) of each entity of a row of tags O, B-type, I-type, as conlleval reads them: an I- that goes
    on with no entity of its type begins one."""
    found: list[tuple[str, int, int]] = []
    open_type: str | None = None
    for i, tag in enumerate(tags):
        prefix, _, kind = tag.partition("-")
        if prefix == "I" and kind == open_type:
            found[-1] = (kind, found[-1][1], i)
        elif prefix in ("B", "I"):
            found.append((kind, i, i))
            open_type = kind
        else:
            open_type = None
    return found


def entity_f1(gold: Sequence[Sequence[str]], guessed: Sequence[Sequence[str]]) -> float:
    """2PR / (P + R) over all entities of all rows; one is right if its type and both its ends are."""
    gold, guessed = _checked(gold, guessed)
    there, said = ({(row, *e) for row, tags in enumerate(rows) for e in entities(tags)} for rows in (gold, guessed))
    return _f1(len(there & said), len(said), len(there))


def is_bio(labels: Iterable[str]) -> bool:
    """Whether labels are O, B-type and I-type, so that entities can be read off them."""
    labels = list(labels)
    return all(x == "O" or x[:2] in ("B-", "I-") for x in labels) and any(x != "O" for x in labels)


def _f1(right: int, said: int, there: int) -> float:
    return float(2 * right / (said + there)) if said + there else 0.0


def _checked(gold: Labels, guessed: Labels) -> tuple[list, list]:
    """Both as lists; DataError unless they are as long as each other and not empty."""
    if len(gold) != len(guessed) or not len(gold):
        raise DataError(
            tr("{gold} labels and {guessed} predictions; there must be as many of both, and at least one",
               gold=len(gold), guessed=len(guessed))
        )  # fmt: skip
    return list(gold), list(guessed)
