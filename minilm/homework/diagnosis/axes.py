"""Right numbers at the wrong places: another shape, axes exchanged, shifted, reversed, in another order."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np

from minilm.homework.diagnosis.evidence import (
    ANYTHING,
    NOTHING,
    Explanation,
    Pair,
    accounts,
    arrays_only,
    maps,
    same_shapes,
)
from minilm.i18n import tr


@arrays_only
def shape(pairs: Sequence[Pair]) -> Iterator[Explanation]:
    """The right numbers in another shape."""
    wrong = [p for p in pairs if p.wrong]
    if any(p.got.shape == p.expected.shape for p in wrong) or not wrong:
        return

    def reshaped(p: Pair) -> Any:
        if not p.wrong:
            return NOTHING
        return p.expected.reshape(p.got.shape) if p.got.size == p.expected.size else p.expected

    if accounts(pairs, reshaped):
        p = max(wrong, key=lambda p: p.got.size)
        yield Explanation("shape", tr("Shape: the numbers are right, but in shape {got} instead of {wanted}",
                                      got=p.got.shape, wanted=p.expected.shape), 1)  # fmt: skip
    p = max(wrong, key=lambda p: p.got.size)
    if accounts(pairs, _repeated):
        yield Explanation("shape", tr("Shape: the right numbers, repeated along an axis; in shape {got}, not {wanted}",
                                      got=p.got.shape, wanted=p.expected.shape), 4)  # fmt: skip
    if accounts(pairs, _shrunk):
        yield Explanation("shape", tr("Shape: an axis of equal numbers is missing; in shape {got}, not {wanted}",
                                      got=p.got.shape, wanted=p.expected.shape), 4)  # fmt: skip


def _repeated(p: Pair) -> Any:
    """The expected one, broadcast to the shape of what was got."""
    try:
        return np.broadcast_to(p.expected, p.got.shape) if p.wrong else NOTHING
    except ValueError:
        return p.expected


def _shrunk(p: Pair) -> Any:
    """What was got, if broadcasting it gives the expected one."""
    try:
        same = np.allclose(np.broadcast_to(p.got, p.expected.shape), p.expected, rtol=1e-7, atol=1e-9)
    except ValueError:
        return p.expected
    return NOTHING if not p.wrong else p.got if same else p.expected


@arrays_only
def transpose(pairs: Sequence[Pair]) -> Iterator[Explanation]:
    """The axes in another order."""
    dims = {p.expected.ndim for p in pairs}
    if not any(2 <= n <= 4 for n in dims):
        return
    orders: list[tuple[str, Callable[[np.ndarray], np.ndarray]]] = [
        (tr("the last two axes have changed places"), lambda x: np.swapaxes(x, -1, -2)),
        (tr("all axes are in reverse order"), np.transpose),
    ]
    if len(dims) == 1:
        for axes in list(itertools.permutations(range(max(dims))))[1:]:
            said = tr("the axes are in the order {axes}", axes=axes)
            orders.append((said, partial(np.transpose, axes=axes)))
    for said, move in orders:
        if maps(pairs, move, 2):
            yield Explanation("transpose", tr("Transposed: the numbers are right, but {how}", how=said), 3)
            return


@arrays_only
def turned(pairs: Sequence[Pair]) -> Iterator[Explanation]:
    """Shifted or reversed along an axis."""
    if not same_shapes(pairs):
        return
    most = max(p.expected.ndim for p in pairs)
    for axis in range(-most, 0):
        where = axis_said(axis)
        if maps(pairs, partial(np.flip, axis=axis), -axis):
            line = tr("Reversed: the numbers are right, but in reverse along {axis}", axis=where)
            yield Explanation("reversed", line, 4)
        for k in (1, -1, 2, -2):
            roll = partial(np.roll, shift=k, axis=axis)
            if maps(pairs, roll, -axis) or accounts(pairs, partial(_slid, k=k, axis=axis)):
                yield _moved_by(k, where)


def _moved_by(k: int, where: str) -> Explanation:
    by = f"{k:+d}".replace("-", "−")
    if abs(k) == 1:
        line = tr("Off by one: everything stands {k} place along {axis} from where it should", k=by, axis=where)
        return Explanation("off_by_one", line, 4)
    line = tr("Shifted: everything stands {k} places along {axis} from where it should", k=by, axis=where)
    return Explanation("shifted", line, 4)


def axis_said(axis: int) -> str:
    return tr("the last axis") if axis == -1 else tr("axis {axis}", axis=axis)


def _slid(pair: Pair, k: int, axis: int) -> Any:
    """The expected entries moved by k; whatever comes in at the edge is taken as it was got."""
    x, g = pair.expected, pair.got
    if x.ndim < -axis:
        return NOTHING
    n = x.shape[axis]
    made = np.array(g)
    if n > abs(k):
        to, of = (slice(k, None), slice(None, -k)) if k > 0 else (slice(None, k), slice(-k, None))
        np.moveaxis(made, axis, 0)[to] = np.moveaxis(x, axis, 0)[of]
        return made
    return ANYTHING if pair.wrong else NOTHING


@arrays_only
def order(pairs: Sequence[Pair]) -> Iterator[Explanation]:
    """The right numbers, all different ones, in another order; whole columns or rows of them, or single ones."""
    wrong = [p for p in pairs if p.wrong]
    if not same_shapes(pairs) or any(p.expected.dtype.kind != "f" or p.expected.size < 2 for p in wrong):
        return
    telling = [p for p in wrong if len(np.unique(np.round(p.expected, 9))) == p.expected.size > 3]
    if len(telling) < 3:
        return
    if not _sorted_alike(wrong):
        return
    most = min(p.expected.ndim for p in wrong)
    for axis in range(-1, -most - 1, -1):
        moves = [(p, _moved(p, axis)) for p in telling]
        if all(m is not None for _, m in moves):
            heads = [_heads(p, m) for p, m in moves if m is not None]
            if all(heads):
                line = tr("Order of heads: the numbers are right, but those of {name} groups interleave", name=heads[0])
                yield Explanation("order_of_heads", line, 5)
            else:
                line = tr("Order: the numbers are right, but stand in another order along {axis}", axis=axis_said(axis))
                yield Explanation("order", line, 7)
            return
    if all(p.expected.size > 1 for p in wrong):
        yield Explanation("order", tr("Order: the numbers are right, but they stand at other places"), 8)


def _sorted_alike(pairs: Sequence[Pair]) -> bool:
    return all(np.allclose(np.sort(p.expected, None), np.sort(p.got, None), rtol=1e-7, atol=1e-10) for p in pairs)


def _moved(pair: Pair, axis: int) -> np.ndarray | None:
    """The order along an axis that turns what was expected into what was got."""
    x, g = np.moveaxis(pair.expected, axis, 0), np.moveaxis(pair.got, axis, 0)
    found = []
    for row in g:
        at = [i for i, other in enumerate(x) if np.allclose(row, other, rtol=1e-7, atol=1e-10)]
        if len(at) != 1:
            return None
        found.append(at[0])
    return np.array(found) if sorted(found) == list(range(len(x))) else None


def _heads(pair: Pair, move: np.ndarray | None) -> str:
    """The whole number among the arguments by which the order interleaves groups."""
    for name, h in pair.arguments.items():
        if move is not None and type(h) is int and 1 < h < len(move) and len(move) % h == 0:
            woven = np.arange(len(move)).reshape(h, -1).T.ravel()
            if np.array_equal(move, woven) or np.array_equal(woven[move], np.arange(len(move))):
                return f"`{name}`"
    return ""
