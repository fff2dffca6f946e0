"""What a property says: `expect(condition, what)`, `expect_close(got, expected, what)`, `expect_gradient(f, …)`."""

import contextlib
import zlib
from collections.abc import Iterator, Sequence
from contextvars import ContextVar
from typing import Any

import numpy as np

from minilm.autograd.gradcheck import ROUNDING, STEP, slope
from minilm.course.implementations import is_float, leaves_of
from minilm.errors import ConfigError, MinilmError
from minilm.i18n import tr

FLOOR = 1e-9  # of a slope: what differences leave where values and gradient are 0, f⁽⁵⁾ STEP⁴/30 and rounding inside

_HELD: ContextVar[list[tuple[str, Any, Any]] | None] = ContextVar("held", default=None)


@contextlib.contextmanager
def compared() -> Iterator[list[tuple[str, Any, Any]]]:
    """Within it, all that is compared and as expected is written down: what it was, what was expected, what was got."""
    held: list[tuple[str, Any, Any]] = []
    token = _HELD.set(held)
    try:
        yield held
    finally:
        _HELD.reset(token)


def _hold(what: str, expected: Any, got: Any) -> None:
    held = _HELD.get()
    if held is not None:
        held.append((what, expected, got))


class Unmet(MinilmError, AssertionError):
    """An expectation that does not hold. what: in words; expected, got: data, None where there is nothing to compare.

    kind: value, shape, type, nan, gradient, or constant (the answer does not depend on what is asked).
    """

    def __init__(self, what: str, expected: Any = None, got: Any = None, *, kind: str = "value"):
        super().__init__(what)
        self.what, self.kind, self.expected, self.got = what, kind, expected, got


def expect(condition: Any, what: str, *, expected: Any = None, got: Any = None) -> None:
    """Unmet unless every entry of the condition is True. It must be a boolean or an array of booleans.

    what: the thing that should be so, in words: "the weight of a forbidden position is 0".
    """
    holds = np.asarray(condition)
    if holds.dtype != bool:
        raise ConfigError(
            tr("expect “{what}”: the condition is {got}; it must be booleans", what=what, got=holds.dtype)
        )
    if not holds.all():
        at = "" if holds.ndim == 0 else _at(np.unravel_index(int(np.argmin(holds)), holds.shape))
        raise Unmet(what + at, expected, got)


def expect_shape(got: Any, shape: Sequence[int], what: str = "the result") -> None:
    """Unmet unless `got` is an array (or, for shape (), a number) of that shape."""
    found = _array(got)
    if found is None or found.shape != tuple(shape):
        seen = type(got).__name__ if found is None else found.shape
        said = tr("{what}: wanted shape {wanted}, got {seen}", what=what, wanted=tuple(shape), seen=seen)
        raise Unmet(said, tuple(shape), seen, kind="shape")


def expect_close(got: Any, expected: Any, what: str, tolerance: float = 1e-9) -> None:
    """Unmet unless |got − expected| ≤ tolerance · max(1, |expected|) entry by entry, of the same shape, and never NaN.

    Tuples, lists and dicts are compared part by part; text, booleans and None must be equal.
    """
    if isinstance(expected, dict):
        if not isinstance(got, dict) or set(got) != set(expected):
            raise Unmet(tr("{what}: other keys", what=what), expected, got, kind="type")
        for key, part in expected.items():
            expect_close(got[key], part, f"{what}, {key}", tolerance)
    elif isinstance(expected, (tuple, list)) and not _is_numbers(expected):
        if not isinstance(got, (tuple, list)) or len(got) != len(expected):
            raise Unmet(tr("{what}: wanted {n} parts", what=what, n=len(expected)), expected, got, kind="type")
        for i, (g, e) in enumerate(zip(got, expected, strict=True)):
            expect_close(g, e, f"{what}, {i}", tolerance)
    elif expected is None or isinstance(expected, (str, bool)):
        if type(got) is not type(expected) or got != expected:
            raise Unmet(what, expected, got)
    else:
        _expect_close_arrays(got, np.asarray(expected), what, tolerance)


def _expect_close_arrays(got: Any, expected: np.ndarray, what: str, tolerance: float) -> None:
    found = _array(got)
    if found is None:
        said = tr("{what}: wanted numbers, got {seen}", what=what, seen=type(got).__name__)
        raise Unmet(said, expected, got, kind="type")
    expect_shape(found, expected.shape, what)
    if expected.dtype.kind == "b" and found.dtype.kind != "b":
        said = tr("{what}: wanted booleans, got {seen}", what=what, seen=found.dtype)
        raise Unmet(said, expected, found, kind="type")
    if not np.isfinite(expected).all():
        same = (found == expected) | (np.isnan(found) & np.isnan(expected))
        wrong = ~np.where(
            np.isfinite(expected), _near(found, np.where(np.isfinite(expected), expected, 0), tolerance), same
        )
    else:
        wrong = ~_near(found, expected, tolerance)
    if wrong.any():
        kind = "nan" if np.isnan(found[wrong]).any() else "value"
        at = "" if wrong.ndim == 0 else _at(np.unravel_index(int(np.argmax(wrong)), wrong.shape))
        raise Unmet(what + at, expected, found, kind=kind)
    _hold(what, expected, found)


def _near(found: np.ndarray, expected: np.ndarray, tolerance: float) -> np.ndarray:
    """Entry by entry; False for NaN."""
    if expected.dtype.kind == "b":
        return found == expected
    with np.errstate(invalid="ignore"):
        difference = np.abs(found.astype(np.float64) - expected)
        return difference <= tolerance * np.maximum(1, np.abs(expected))


def expect_gradient(
    function: Any,
    arguments: Sequence[Any],
    wrt: Sequence[int] = (0,),
    what: str = "",
    tolerance: float = 1e-6,
) -> None:
    """Unmet unless the gradient that autograd finds through the function is the slope of its own values.

    The cotangent is random (of a seed made from the arguments), one for each floating part of the result. Each
    argument in wrt is checked along a random direction by central differences in float64; a wrong one is then compared
    entry by entry. So the function must be smooth where it is called.
    """
    rng = np.random.default_rng(_seed(arguments))
    leaves = [np.asarray(leaf) for leaf in leaves_of(function(*arguments)) if is_float(leaf)]
    if not leaves:
        raise Unmet(tr("{name} returns no floating numbers", name=function.name), kind="type")
    cotangents = [rng.standard_normal(leaf.shape) for leaf in leaves]
    found = function.gradient(arguments, wrt, cotangents)
    noise = ROUNDING * sum(float(np.abs(u * y).sum()) for u, y in zip(cotangents, leaves, strict=True)) / STEP
    for place, i in enumerate(wrt):
        x = np.array(arguments[i], np.float64)

        def along(direction: np.ndarray, i: int = i, x: np.ndarray = x) -> float:
            def value(t: float) -> float:
                moved = [x + t * direction if j == i else a for j, a in enumerate(arguments)]
                after = [np.asarray(leaf) for leaf in leaves_of(function(*moved)) if is_float(leaf)]
                return sum(float((u * y).sum()) for u, y in zip(cotangents, after, strict=True))

            return slope(value)

        g = np.zeros(x.shape) if found is None else np.asarray(found[place])
        title = what or tr("the gradient of {name} with respect to argument {i}", name=function.name, i=i + 1)
        if g.shape != x.shape:
            said = tr("{what}: wanted shape {wanted}, got {seen}", what=title, wanted=x.shape, seen=g.shape)
            raise Unmet(said, x.shape, g.shape, kind="gradient")
        v = rng.standard_normal(x.shape)
        numeric, exact = along(v), float((g * v).sum())
        scale = max(abs(numeric), abs(exact), 0.1 * float(np.sqrt((g * g).sum())))
        if not (abs(numeric - exact) <= tolerance * scale + noise + FLOOR):
            slopes = np.array([along(unit.reshape(x.shape)) for unit in np.eye(x.size)]).reshape(x.shape)
            if found is None:
                title = tr("{what}: no gradient flows, the result has left the graph", what=title)
            raise Unmet(title, slopes, g, kind="gradient")
        _hold(title, g, g)


def _seed(arguments: Sequence[Any]) -> int:
    """A number made from the arguments, so that the same case has the same cotangent."""
    parts = [np.ascontiguousarray(a).tobytes() for a in leaves_of(list(arguments)) if isinstance(a, np.ndarray)]
    return zlib.crc32(b"".join(parts))


def _array(x: Any) -> np.ndarray | None:
    """A number, an array, or lists of numbers as an array; None for anything else."""
    if isinstance(x, (np.ndarray, bool, int, float)) or _is_numbers(x):
        found = np.asarray(x)
        return found if found.dtype.kind in "biuf" else None
    return None


def _is_numbers(x: Any) -> bool:
    """Whether it is a list, or lists, of nothing but numbers, all of one length."""
    if not isinstance(x, (list, tuple)) or not x or not all(isinstance(part, (int, float, list, tuple)) for part in x):
        return False
    try:
        return np.asarray(x).dtype.kind in "biuf"
    except ValueError:
        return False


def _at(index: Any) -> str:
    return tr(", at {index}", index=tuple(int(i) for i in index))
