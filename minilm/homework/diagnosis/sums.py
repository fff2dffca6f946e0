"""Right numbers, and then something more or less: a sum, a mean, a function, a rounding, an end of a list."""

import itertools
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np

from minilm.homework.diagnosis.axes import axis_said
from minilm.homework.diagnosis.evidence import (
    NOTHING,
    Explanation,
    Pair,
    accounts,
    arrays_only,
    enough,
    maps,
    same_shapes,
)
from minilm.i18n import tr


@arrays_only
def reductions(pairs: Sequence[Pair]) -> Iterator[Explanation]:
    """A sum or mean over axes that was not taken, or was taken and should not."""
    wrong = [p for p in pairs if p.wrong]
    if not wrong or any("b" in (p.expected.dtype.kind, p.got.dtype.kind) for p in pairs):
        return
    if any(p.got.size > p.expected.size for p in wrong):
        largest = max(wrong, key=lambda p: p.got.size)
        wanted, got = largest.expected.shape, largest.got.shape
        for f, text in (
            (np.sum, tr("Missing reduction: not summed over an axis; wanted is shape {wanted}, got is {got}",
                        wanted=wanted, got=got)),
            (np.mean, tr("Missing reduction: no mean over an axis; wanted is shape {wanted}, got is {got}",
                         wanted=wanted, got=got)),
        ):  # fmt: skip
            if accounts_reduced(pairs, f):
                yield Explanation("missing_reduction", text, 2)
    most = max(p.expected.ndim for p in pairs)
    for axis in [*range(-most, 0), None]:
        over = axis_said(axis) if axis is not None else tr("all axes")
        for f, text in (
            (np.sum, tr("Reduced too far: the right numbers, summed over {axis}", axis=over)),
            (np.mean, tr("Reduced too far: the right numbers, averaged over {axis}", axis=over)),
        ):
            for keep in ("no", "yes", "repeated"):
                if accounts(pairs, partial(_over_axis, f=f, axis=axis, keep=keep)):
                    yield Explanation("extra_reduction", text, 6)


def _over_axis(p: Pair, f: Callable, axis: int | None, keep: str) -> Any:
    """What was expected, reduced over an axis, which goes, stays with one entry, or is filled with copies."""
    if p.expected.ndim < (1 if axis is None else -axis) or not p.expected.size:
        return NOTHING
    made = np.asarray(f(p.expected, axis=axis, keepdims=keep != "no"))
    return np.broadcast_to(made, p.expected.shape) if keep == "repeated" else made


def accounts_reduced(pairs: Sequence[Pair], f: Callable) -> bool:
    """Whether each got, reduced to the shape of the expected one, is it."""
    surprising = []
    for p in pairs:
        if not p.wrong:
            continue
        if p.got.ndim < p.expected.ndim or not p.got.size:
            return False
        dims = range(p.got.ndim)
        every = [axes for n in range(1, p.got.ndim + 1) for axes in itertools.combinations(dims, n)]
        reduced = [_unbroadcast(p, f), *(_reduced(p, f, axes) for axes in every)]
        if not any(r is not None and np.allclose(r, p.expected, rtol=1e-7, atol=1e-9) for r in reduced):
            return False
        surprising.append(p)
    return enough([Pair(np.zeros(p.got.shape), p.got) for p in surprising])


def _unbroadcast(pair: Pair, f: Callable) -> np.ndarray | None:
    """What was got, reduced over all axes that broadcasting the expected one to it would add or stretch."""
    made = np.asarray(f(pair.got, axis=tuple(range(pair.got.ndim - pair.expected.ndim))))
    stretched = tuple(i for i, (n, m) in enumerate(zip(made.shape, pair.expected.shape, strict=True)) if m == 1 < n)
    made = np.asarray(f(made, axis=stretched, keepdims=True))
    return made if made.shape == pair.expected.shape else None


def _reduced(pair: Pair, f: Callable, axes: tuple[int, ...]) -> np.ndarray | None:
    for keep in (False, True):
        made = np.asarray(f(pair.got, axis=axes, keepdims=keep))
        if made.shape == pair.expected.shape:
            return made
    return None


@arrays_only
def elementwise(pairs: Sequence[Pair]) -> Iterator[Explanation]:
    """A function of each right number."""
    if not same_shapes(pairs):
        return
    if all(p.expected.dtype.kind == "b" for p in pairs):
        if maps(pairs, np.logical_not):
            line = tr("Inverted: True stands where False should, and False where True should")
            yield Explanation("inverted", line, 1)
        return
    for text, f in (
        (tr("its reciprocal"), lambda x: 1 / x),
        (tr("its absolute value: the sign is lost"), np.abs),
        (tr("its square"), np.square),
        (tr("its square root"), np.sqrt),
        (tr("its exponential"), np.exp),
        (tr("its natural logarithm"), np.log),
        (tr("its logarithm to base 2"), np.log2),
        (tr("2 to the power of it"), np.exp2),
        (tr("1 minus it"), lambda x: 1 - x),
        (tr("minus its logarithm"), lambda x: -np.log(x)),
        (tr("the exponential of its negative"), lambda x: np.exp(-x)),
        (tr("its positive part"), lambda x: np.maximum(x, 0)),
    ):
        if maps(pairs, partial(_in_floats, f=f)):
            yield Explanation("another_function", tr("Instead of each right number, there is {what}", what=text), 5)


def _in_floats(x: np.ndarray, f: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    return f(x.astype(np.float64))


@arrays_only
def normalised(pairs: Sequence[Pair]) -> Iterator[Explanation]:
    """Divided, or not divided, by the sum over an axis; a softmax too many; running sums."""
    if not same_shapes(pairs) or any("b" in (p.expected.dtype.kind, p.got.dtype.kind) for p in pairs):
        return
    most = max(p.expected.ndim for p in pairs)
    for axis in range(-most, 0):
        where = axis_said(axis)
        for text, f in (
            (tr("Normalised once too often: the right numbers, divided by their sum over {axis}", axis=where), _shares),
            (tr("A softmax too many: that of the right numbers, over {axis}", axis=where), _softmax),
            (tr("Running sums of the right numbers along {axis}", axis=where), np.cumsum),
            (tr("Centred: the right numbers, minus their mean over {axis}", axis=where), _centred),
        ):
            if maps(pairs, partial(f, axis=axis), -axis):
                yield Explanation("normalised", text, 5)
        if all(p.expected.ndim >= -axis for p in pairs) and _share(pairs, axis):
            yield Explanation("not_normalised", tr("Not normalised: divide by the sum over {axis}", axis=where), 5)


def _shares(x: np.ndarray, axis: int) -> np.ndarray:
    return np.asarray(x / x.sum(axis, keepdims=True))


def _centred(x: np.ndarray, axis: int) -> np.ndarray:
    return np.asarray(x - x.mean(axis, keepdims=True))


def _softmax(x: np.ndarray, axis: int) -> np.ndarray:
    e = np.exp(x - x.max(axis, keepdims=True))
    return np.asarray(e / e.sum(axis, keepdims=True))


def _share(pairs: Sequence[Pair], axis: int) -> bool:
    """Whether got, divided by its sum over the axis, is expected, in more than a few rows of three and more."""
    rows = 0
    for p in pairs:
        total = p.got.sum(axis, keepdims=True)
        if not np.all(total) or not np.allclose(p.got / total, p.expected, rtol=1e-7, atol=1e-10):
            return False
        rows += p.got.shape[axis] >= 3 and p.wrong
    return rows >= 5


def sequences(pairs: Sequence[Pair]) -> Iterator[Explanation]:
    """Lists and text: an end that is missing or too much, the reverse, another order."""
    if not all(_is_sequence(x) for p in pairs for x in (p.expected, p.got)):
        return
    if len({repr(p.got) for p in pairs if p.wrong}) < 4:
        return
    pairs_of = [(_tuple(p.expected), _tuple(p.got)) for p in pairs]
    if sum(p.wrong and len(_tuple(p.expected)) > 1 for p in pairs) < 4:
        return
    for cause, line, test in (
        ("off_by_one", tr("Off by one: the last one is missing"), lambda e, g: g == e[:-1]),
        ("off_by_one", tr("Off by one: the first one is missing"), lambda e, g: g == e[1:]),
        ("off_by_one", tr("Off by one: there is one too many at the end"), lambda e, g: g[:-1] == e and len(g) > 0),
        ("off_by_one", tr("Off by one: there is one too many at the start"), lambda e, g: g[1:] == e and len(g) > 0),
        ("reversed", tr("Reversed: the right ones, in reverse order"), lambda e, g: g == e[::-1]),
        ("order", tr("Order: the right ones, but in another order"), lambda e, g: Counter(g) == Counter(e)),
    ):  # fmt: skip
        if all(test(e, g) or not (e or g) for e, g in pairs_of):
            yield Explanation(cause, line, 4)
            return


def _is_sequence(x: Any) -> bool:
    return isinstance(x, (tuple, str)) or (isinstance(x, np.ndarray) and x.ndim == 1 and x.dtype.kind in "bi")


def _tuple(x: Any) -> tuple:
    return tuple(x.tolist()) if isinstance(x, np.ndarray) else tuple(x)


@arrays_only
def kinds(pairs: Sequence[Pair]) -> Iterator[Explanation]:
    """The right numbers, rounded: to whole numbers, or to single or half precision."""
    if not same_shapes(pairs):
        return
    for text, f in (
        (tr("Data type: the right numbers, cut off to whole ones"), np.trunc),
        (tr("Data type: the right numbers, rounded to whole ones"), np.round),
        (tr("Data type: the right numbers, rounded down to whole ones"), np.floor),
    ):
        if all(p.expected.dtype.kind == "f" for p in pairs) and maps(pairs, f):
            yield Explanation("dtype", text, 3)
    wrong = [p for p in pairs if p.wrong]
    for name, eps in (("float32", 1e-6), ("float16", 1e-2)):
        close = [p.got.dtype == name and np.allclose(p.got, p.expected, rtol=eps, atol=eps) for p in wrong]
        if len(wrong) >= 3 and all(close):
            line = tr("Data type: the numbers are {name}, which is not precise enough", name=name)
            yield Explanation("dtype", line, 3)
