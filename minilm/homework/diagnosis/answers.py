"""What was answered, in a form that can be compared: parts that are arrays of numbers, or plain data."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

RIGHT = 1e-8  # an answer is right if it is this near, of max(1, |expected|)
NEAR = 1e-6  # a cause explains an answer if it is this near
SHARE = 1e-3  # … and what it leaves unexplained is at most this share of the mistake


@dataclass(frozen=True)
class Failed:
    """There was no answer. kind: as in Raised. error: the exception's class, where the text names one."""

    kind: str
    error: str
    text: str


@dataclass(frozen=True)
class Parts:
    """An answer taken apart: the path of each part ("", "0", "key.1") and the part, an array or plain data."""

    leaves: dict[str, Any]


Answer = Failed | Parts


def parts(answer: Any) -> Parts:
    """Tuples, dicts and lists of arrays are taken apart; numbers, and lists of numbers, are arrays."""
    return Parts(dict(_split(answer, "")))


def parts_like(answer: Any, model: Parts) -> Parts:
    """The same for an answer that should look like the model, but may be an array where a tuple is wanted."""
    found = parts(answer)
    if found.leaves.keys() == model.leaves.keys() or list(found.leaves) != [""]:
        return found
    one, wanted = found.leaves[""], list(model.leaves)
    if (
        isinstance(one, np.ndarray)
        and one.ndim
        and len(one) == len(wanted)
        and wanted == [str(i) for i in range(len(one))]
    ):
        return Parts({str(i): np.asarray(row) for i, row in enumerate(one)})
    return found


def _split(answer: Any, path: str) -> Iterator[tuple[str, Any]]:
    numbers = as_numbers(answer)
    if isinstance(answer, dict) and answer:
        for key, part in answer.items():
            yield from _split(part, f"{path}.{key}".lstrip("."))
    elif numbers is not None and not isinstance(answer, tuple):
        yield path, numbers
    elif isinstance(answer, tuple) or (isinstance(answer, list) and _holds_arrays(answer)):
        for i, part in enumerate(answer):
            yield from _split(part, f"{path}.{i}".lstrip("."))
        if not answer:
            yield path, ()
    else:
        yield path, frozen(answer)


def _holds_arrays(answer: list) -> bool:
    return any(isinstance(part, (np.ndarray, tuple, dict)) or _is_numbers_list(part) for part in answer)


def _is_numbers_list(part: Any) -> bool:
    return isinstance(part, list) and bool(part) and as_numbers(part) is not None


def as_numbers(x: Any) -> np.ndarray | None:
    """A number, an array, or a list of them of one shape, as an array."""
    if isinstance(x, np.ndarray):
        return x
    if isinstance(x, (bool, int, float)):
        return _array(x)
    if isinstance(x, (list, tuple)) and x and all(isinstance(part, (bool, int, float, list, tuple)) for part in x):
        return _array(x)
    return None


def _array(x: Any) -> np.ndarray | None:
    try:
        found = np.asarray(x)
    except (ValueError, OverflowError):
        return None
    return found if found.dtype.kind in "biuf" else None


def frozen(x: Any) -> Any:
    """Plain data in which lists and tuples are the same, so that == compares it."""
    if isinstance(x, (list, tuple)):
        return tuple(frozen(part) for part in x)
    if isinstance(x, np.ndarray):
        return frozen(x.tolist())
    return x


# ---------------------------------------------------------------------------------------------------------- comparing


def is_right(got: Any, expected: Any) -> bool:
    """Whether one part is as good as the expected one. Numbers of every kind compare as numbers."""
    if isinstance(expected, np.ndarray) and isinstance(got, np.ndarray):
        return got.shape == expected.shape and bool(_close(got, expected, RIGHT, 1.0).all())
    return type(got) is type(expected) and _equal(got, expected)


def explains(predicted: Any, got: Any, expected: Any = None) -> bool:
    """Whether a cause that predicts this part accounts for what was got, and for all but a trace of the mistake."""
    if isinstance(predicted, np.ndarray) and isinstance(got, np.ndarray):
        if predicted.shape != got.shape:
            return False
        near = NEAR
        if isinstance(expected, np.ndarray) and expected.shape == predicted.shape:
            near = max(1e-10, min(NEAR, SHARE * _distance(predicted, expected)))
        return bool(_close(got, predicted, near, 1e-4 * _size(predicted), lax=True).all())
    return type(got) is type(predicted) and _equal(got, predicted)


def alike(a: Answer, b: Answer) -> bool:
    """Whether two answers are equal in all parts, for the purposes of `is_right`."""
    if isinstance(a, Failed) or isinstance(b, Failed):
        return isinstance(a, Failed) and isinstance(b, Failed)
    return a.leaves.keys() == b.leaves.keys() and all(is_right(a.leaves[k], b.leaves[k]) for k in b.leaves)


def finite(answer: Answer) -> bool:
    """Whether it is an answer, without NaN and infinities."""
    if isinstance(answer, Failed):
        return False
    return all(np.isfinite(x).all() for x in answer.leaves.values() if isinstance(x, np.ndarray))


def _close(got: np.ndarray, wanted: np.ndarray, near: float, floor: float, lax: bool = False) -> np.ndarray:
    """Entry by entry |got − wanted| ≤ near · max(floor, |wanted|). lax: NaN and infinities are all the same."""
    if got.dtype.kind == "b" and wanted.dtype.kind == "b":
        return np.asarray(got == wanted)
    a, b = got.astype(np.float64), wanted.astype(np.float64)
    odd = ~np.isfinite(b)
    with np.errstate(all="ignore"):
        same = ~np.isfinite(a) if lax else (a == b) | (np.isnan(a) & np.isnan(b))
        return np.where(odd, same, np.abs(a - b) <= near * np.maximum(max(floor, 1e-300), np.abs(b)))


def _distance(a: np.ndarray, b: np.ndarray) -> float:
    """The largest difference, as a share of the size."""
    with np.errstate(all="ignore"):
        gap = np.abs(a.astype(np.float64) - b.astype(np.float64))
    gap = gap[np.isfinite(gap)]
    return float(gap.max()) / max(_size(a), _size(b), 1e-300) if gap.size else 0.0


def _size(x: np.ndarray) -> float:
    values = np.abs(x.astype(np.float64))
    values = values[np.isfinite(values)]
    return float(values.max()) if values.size else 0.0


def _equal(a: Any, b: Any) -> bool:
    if isinstance(a, float) and isinstance(b, float):
        return a == b or abs(a - b) <= RIGHT * max(1.0, abs(b))
    if isinstance(a, tuple) and isinstance(b, tuple):
        return len(a) == len(b) and all(_equal(x, y) for x, y in zip(a, b, strict=True))
    return bool(a == b)
