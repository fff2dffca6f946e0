"""When a cause is believed: it must account for every answer, right ones too, and enough of it must be surprising."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from minilm.homework.diagnosis.answers import explains, is_right

QUESTIONS = 3  # at least so many wrong answers must be accounted for
ENTRIES = 6  # … with so many wrong entries in all
BITS = 24  # of answers of few values, such as booleans, so many entries, in twice as many questions


@dataclass(eq=False)
class Pair:
    """One part of one answer: what was expected and what was got, of which arguments and of which sizes.

    lost: there was no such part, because the function raised or the answer has other parts; then `got` is None.
    """

    expected: Any
    got: Any
    arguments: dict[str, Any] = field(default_factory=dict)
    sizes: dict[str, float] = field(default_factory=dict)
    lost: bool = False

    def __post_init__(self) -> None:
        self.wrong = self.lost or not is_right(self.got, self.expected)


@dataclass(frozen=True)
class Explanation:
    """A cause that accounts for the answers. line: in words. rank: of several, the lowest is the simplest."""

    cause: str
    line: str
    rank: int = 50


Predict = Callable[[Pair], Any]
NOTHING = object()  # what a cause predicts where it changes nothing; then the answer must be right
ANYTHING = object()  # where it cannot say what comes out; then nothing is learnt


def accounts(pairs: Sequence[Pair], predict: Predict) -> bool:
    """Whether a prediction is what was got in every pair, and wrong ones are enough to believe it."""
    surprising: list[Pair] = []
    for pair in pairs:
        predicted = predict(pair)
        if predicted is ANYTHING:
            continue
        if predicted is NOTHING:
            if pair.wrong:
                return False
            continue
        if pair.lost or not explains(predicted, pair.got, pair.expected):
            return False
        if pair.wrong:
            surprising.append(pair)
    return enough(surprising)


def enough(surprising: Sequence[Pair]) -> bool:
    """Whether these wrong answers could not be what they are by chance."""
    if len(surprising) < QUESTIONS:
        return False
    values: set[Any] = set()
    entries, bits = 0, False
    for pair in surprising:
        expected, got = pair.expected, pair.got
        if isinstance(expected, np.ndarray) and isinstance(got, np.ndarray):
            wrong = got.ravel()
            if got.shape == expected.shape:
                with np.errstate(all="ignore"):
                    differ = ~(np.abs(got.astype(float) - expected.astype(float)) <= 1e-8)
                wrong = got[differ]
            entries += wrong.size
            bits = bits or expected.dtype.kind in "bi"
            values.update(np.round(wrong.astype(float), 6).tolist()[:20] if wrong.ndim else [float(wrong)])
        else:
            entries, bits = entries + 3, True
            values.add(repr(got))
    if bits and len(values) < ENTRIES:
        return entries >= BITS and len(surprising) >= 2 * QUESTIONS
    return entries >= ENTRIES


# ------------------------------------------------------------------------------------------------ helpers of searches


def arrays_only(search: Callable[[Sequence[Pair]], Iterator[Explanation]]) -> Callable:
    """A search that needs every pair to be of two arrays of numbers."""

    def guarded(pairs: Sequence[Pair]) -> Iterator[Explanation]:
        if all(isinstance(p.expected, np.ndarray) and isinstance(p.got, np.ndarray) for p in pairs):
            yield from search(pairs)

    return guarded


def maps(pairs: Sequence[Pair], f: Callable[[np.ndarray], Any], dims: int = 0) -> bool:
    """Whether what was got is a function of what was expected, where that has so many dimensions."""
    return accounts(pairs, lambda p: f(p.expected) if p.expected.ndim >= dims else NOTHING)


def same_shapes(pairs: Sequence[Pair]) -> bool:
    return all(p.expected.shape == p.got.shape for p in pairs)
