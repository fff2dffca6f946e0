"""NaN and infinities: do they begin at some size of the input, so that they are an overflow?"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from minilm.course.implementations import Implementation
from minilm.homework.diagnosis.answers import Answer, Parts, finite
from minilm.homework.diagnosis.evidence import Explanation
from minilm.homework.diagnosis.examining import Examination, Item, right
from minilm.homework.diagnosis.questions import Question, ask
from minilm.i18n import tr

STEPS = 12  # halvings of the interval in which the overflow begins


def overflow(exam: Examination, impl: Implementation, odd: Sequence[Item]) -> Explanation | None:
    """Looks at questions whose answer should be finite and is not. Found only if in each of up to three of them the
    same arguments, made small enough, are answered rightly."""
    begins = []
    for item in odd[:3]:
        found = _begins(exam, impl, item)
        if found is None:
            return None
        begins.append(found)
    if not begins:
        return None
    size = f"{min(begins):.3g}"
    line = tr("NaN from overflow: it begins where entries are as large as about {n}", n=size)
    return Explanation("overflow", line, 1)


def _begins(exam: Examination, impl: Implementation, item: Item) -> float | None:
    """The size of the largest entry at which the answer stops to be finite."""
    size = max((float(np.abs(x).max()) for x in _floats(item.question.arguments) if x.size), default=0.0)
    if size < 20 or not np.isfinite(size):
        return None
    low, high = 1.0 / size, 1.0
    if not _good(exam, impl, item, low) or _good(exam, impl, item, high):
        return None
    for _ in range(STEPS):
        middle = float(np.sqrt(low * high))
        if _good(exam, impl, item, middle):
            low = middle
        else:
            high = middle
    return high * size


def _good(exam: Examination, impl: Implementation, item: Item, scale: float) -> bool:
    made = exam.item(Question(_times(item.question.arguments, scale), item.question.wrt, item.question.cotangents))
    if made is None:
        return True
    got: Answer = ask(impl, exam.task.name, made.question, made.expected)
    return isinstance(got, Parts) and finite(got) and right(got, made)


def _floats(data: Any) -> list[np.ndarray]:
    if isinstance(data, np.ndarray):
        return [data] if data.dtype.kind == "f" else []
    if isinstance(data, dict):
        data = list(data.values())
    return [x for part in data for x in _floats(part)] if isinstance(data, (list, tuple)) else []


def _times(data: Any, scale: float) -> Any:
    if isinstance(data, np.ndarray):
        return data * scale if data.dtype.kind == "f" else data
    if isinstance(data, dict):
        return {key: _times(part, scale) for key, part in data.items()}
    if isinstance(data, (list, tuple)):
        return type(data)(_times(part, scale) for part in data)
    return data
