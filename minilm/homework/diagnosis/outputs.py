"""Causes that are seen by comparing what was got with what was expected: a factor, a sign, axes, an order, a sum."""

import itertools
import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from minilm.homework.diagnosis.evidence import ANYTHING, NOTHING, Explanation, Pair, accounts, enough
from minilm.homework.diagnosis.sizes import as_size
from minilm.i18n import tr


def causes_of(pairs: Sequence[Pair]) -> Iterator[Explanation]:
    """All that account for these pairs, which belong to one part of the answer."""
    for search in (constant, factor, offset, shape, transpose, turned, elementwise, order, reductions, normalised,
                   sequences, kinds, missing, multiplied, masked):  # fmt: skip
        yield from search(pairs)


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


# ------------------------------------------------------------------------------------------------------------ a factor

KNOWN = {
    2.0: "2", 0.5: "½", 3.0: "3", 4.0: "4", 0.25: "¼", 1 / 3: "⅓", 6.0: "6", 1 / 6: "1/6", 8.0: "8",
    math.log(2): "ln 2", 1 / math.log(2): "1/ln 2", math.pi: "π", math.sqrt(2): "√2", math.sqrt(0.5): "1/√2",
    math.e: "e", 10.0: "10", 100.0: "100", 1000.0: "1000", math.log(10): "ln 10", 1 / math.log(10): "1/ln 10",
}  # fmt: skip


def number(x: float) -> str:
    """A factor as it is read: ½, ln 2, 0.37."""
    for known, text in KNOWN.items():
        if abs(abs(x) - known) <= 1e-7 * known:
            return ("−" if x < 0 else "") + text
    return f"{x:.6g}".replace("-", "−")


@arrays_only
def constant(pairs: Sequence[Pair]) -> Iterator[Explanation]:
    """One number everywhere, where others are expected."""
    values = {round(float(v), 9) for p in pairs for v in np.ravel(p.got)[:1000]}
    expected = {round(float(v), 9) for p in pairs for v in np.ravel(p.expected)[:1000]}
    if len(values) == 1 and len(expected) > 2 and same_shapes(pairs) and sum(p.wrong for p in pairs) >= 3:
        what = number(values.pop() + 0.0)
        yield Explanation("constant", tr("Always {n}: the answer does not depend on the arguments", n=what), 0)


@arrays_only
def factor(pairs: Sequence[Pair]) -> Iterator[Explanation]:
    """got = c · expected, with c the same for all entries of a question: a number, or made of sizes."""
    if not same_shapes(pairs):
        return
    telling = [p for p in pairs if p.expected.dtype.kind in "if" and np.any(p.expected)]
    used = [(p, fitted(p)) for p in telling if np.isfinite(p.expected).all()]
    if not used:
        return
    of = {id(p): c for p, c in used}
    if not accounts(pairs, lambda p: p.expected * of[id(p)] if id(p) in of else NOTHING):
        return
    factors = [c for _, c in used]
    c = factors[int(np.argmax(np.abs(np.array(factors) - 1)))]
    if np.allclose(factors, c, rtol=1e-7, atol=0):
        if c == 0:
            return
        if abs(c + 1) < 1e-7:
            yield Explanation("sign", tr("Sign: every number is the negative of the right one"), 1)
        else:
            yield Explanation(
                "constant_factor", tr("Constant factor: every number is {c} times the right one", c=number(c)), 2
            )
        return
    many = len({round(f, 7) for f in factors})
    fits = as_size(factors, [p.sizes for p, _ in used])
    if not fits or many < 2 or (many < 3 and sum(np.size(p.expected) > 1 for p, _ in used) < 3):
        return
    text, form, times = fits[0]
    others = [other for other, same, k in fits[1:] if k == times and same == form]
    said = text if not others else tr("{a} (or {b}, which is the same here)", a=text, b=others[0])
    yield _sized(form, times, said)


def fitted(pair: Pair) -> float:
    """The factor of one question, by the largest expected entry."""
    i = np.argmax(np.abs(pair.expected))
    return float(np.ravel(pair.got)[i] / np.ravel(pair.expected)[i])


def _sized(form: str, times: float, text: str) -> Explanation:
    if times == 1.0 and form in ("1/{s}", "1/({s} · {t})"):
        line = tr("Constant factor {c}: a mean where a sum is wanted, or divided once too often", c=text)
        return Explanation("mean_for_sum", line, 2)
    if times == 1.0 and form in ("{s}", "{s} · {t}"):
        line = tr("Constant factor {c}: a sum where a mean is wanted, or not divided", c=text)
        return Explanation("sum_for_mean", line, 2)
    if "√" in form:
        return Explanation("wrong_scale", tr("Wrong scale: every number is the right one times {c}", c=text), 2)
    return Explanation(
        "constant_factor", tr("Constant factor {c}: every number is the right one times that", c=text), 2
    )


@arrays_only
def offset(pairs: Sequence[Pair]) -> Iterator[Explanation]:
    """got = expected + c."""
    if not same_shapes(pairs) or any(p.expected.dtype.kind == "b" or p.got.dtype.kind == "b" for p in pairs):
        return
    wrong = [p for p in pairs if p.wrong and p.got.size and np.isfinite(p.got).all()]
    gaps = [float(np.ravel(p.got - p.expected)[0]) for p in wrong]
    if gaps and accounts(pairs, lambda p: p.expected + gaps[0]):
        if all(p.expected.dtype.kind == "i" for p in pairs) and abs(gaps[0]) == 1:
            yield Explanation("off_by_one", tr("Off by one: every number is {c} too large", c=number(gaps[0])), 3)
        else:
            yield Explanation("offset", tr("Every number is too large by the same amount, {c}", c=number(gaps[0])), 6)


# ---------------------------------------------------------------------------------------------------- axes and entries


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
        where = _axis(axis)
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


def _axis(axis: int) -> str:
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
    most = min(p.expected.ndim for p in wrong)
    for axis in range(-1, -most - 1, -1):
        moves = [(p, _moved(p, axis)) for p in telling]
        if all(m is not None for _, m in moves) and _sorted_alike(wrong):
            heads = [_heads(p, m) for p, m in moves if m is not None]
            if all(heads):
                line = tr("Order of heads: the numbers are right, but those of {name} groups interleave", name=heads[0])
                yield Explanation("order_of_heads", line, 5)
            else:
                line = tr("Order: the numbers are right, but stand in another order along {axis}", axis=_axis(axis))
                yield Explanation("order", line, 7)
            return
    if all(p.expected.size > 1 for p in wrong) and _sorted_alike(wrong):
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


# -------------------------------------------------------------------------------------------------- sums and functions


@arrays_only
def reductions(pairs: Sequence[Pair]) -> Iterator[Explanation]:
    """A sum or mean over axes that was not taken, or was taken and should not."""
    wrong = [p for p in pairs if p.wrong]
    if not wrong or any("b" in (p.expected.dtype.kind, p.got.dtype.kind) for p in pairs):
        return
    if any(p.got.size > p.expected.size for p in wrong):
        for f, text in (
            (np.sum, tr("Missing reduction: not summed over an axis; wanted is shape {wanted}, got is {got}")),
            (np.mean, tr("Missing reduction: no mean over an axis; wanted is shape {wanted}, got is {got}")),
        ):
            if accounts_reduced(pairs, f):
                p = max(wrong, key=lambda p: p.got.size)
                yield Explanation("missing_reduction", text.format(wanted=p.expected.shape, got=p.got.shape), 2)
    most = max(p.expected.ndim for p in pairs)
    for axis in [*range(-most, 0), None]:
        over = _axis(axis) if axis is not None else tr("all axes")
        for f, text in (
            (np.sum, tr("Reduced too far: the right numbers, summed over {axis}")),
            (np.mean, tr("Reduced too far: the right numbers, averaged over {axis}")),
        ):
            for keep in ("no", "yes", "repeated"):
                if accounts(pairs, partial(_over_axis, f=f, axis=axis, keep=keep)):
                    yield Explanation("extra_reduction", text.format(axis=over), 6)


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
        if maps([replace(p, expected=p.expected.astype(float)) for p in pairs], f):
            yield Explanation("another_function", tr("Instead of each right number, there is {what}", what=text), 5)


@arrays_only
def normalised(pairs: Sequence[Pair]) -> Iterator[Explanation]:
    """Divided, or not divided, by the sum over an axis; a softmax too many; running sums."""
    if not same_shapes(pairs) or any("b" in (p.expected.dtype.kind, p.got.dtype.kind) for p in pairs):
        return
    most = max(p.expected.ndim for p in pairs)
    for axis in range(-most, 0):
        where = _axis(axis)
        for text, f in (
            (tr("Normalised once too often: the right numbers, divided by their sum over {axis}"), _shares),
            (tr("A softmax too many: that of the right numbers, over {axis}"), _softmax),
            (tr("Running sums of the right numbers along {axis}"), np.cumsum),
            (tr("Centred: the right numbers, minus their mean over {axis}"), _centred),
        ):
            if maps(pairs, partial(f, axis=axis), -axis):
                yield Explanation("normalised", text.format(axis=where), 5)
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
    wrong = [p for p in pairs if p.wrong]
    if len({repr(p.got) for p in wrong}) < 4:
        return
    if not all(_is_sequence(x) for p in pairs for x in (p.expected, p.got)):
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


# ----------------------------------------------------------------------------------------------------------- arguments


def _floats(pair: Pair) -> Iterator[tuple[str, np.ndarray]]:
    for name, value in pair.arguments.items():
        if isinstance(value, np.ndarray) and value.dtype.kind == "f":
            yield name, value


@arrays_only
def missing(pairs: Sequence[Pair]) -> Iterator[Explanation]:
    """got = expected + c · an argument, with one number c for all questions."""
    if not same_shapes(pairs) or not all(p.expected.dtype.kind == "f" for p in pairs):
        return
    wrong = [p for p in pairs if p.wrong]
    if not wrong:
        return
    first = max(wrong, key=lambda p: p.expected.size)
    for name, value in _floats(first):
        wide = _wide(value, first.expected)
        c = round(float(np.sum((first.got - first.expected) * wide) / max(float(np.sum(wide * wide)), 1e-300)), 9)
        if np.isfinite(c) and c and accounts(pairs, partial(_with, name=name, c=c)):
            term = f"`{name}`" if abs(c) == 1 else f"{number(abs(c))} · `{name}`"
            if c < 0:
                yield Explanation("missing_term", tr("Missing term: {term} is not added", term=term), 4)
            else:
                yield Explanation("extra_term", tr("A term too many: {term} is added", term=term), 4)


def _with(p: Pair, name: str, c: float) -> Any:
    return p.expected + c * _wide(p.arguments[name], p.expected)


def _wide(value: Any, like: np.ndarray) -> np.ndarray:
    try:
        return np.broadcast_to(value, like.shape)
    except ValueError:
        return np.full(like.shape, np.nan)


@arrays_only
def multiplied(pairs: Sequence[Pair]) -> Iterator[Explanation]:
    """Multiplied or divided, entry by entry, by an argument once too often, or once too few."""
    if not same_shapes(pairs) or not all(p.expected.dtype.kind == "f" for p in pairs):
        return
    for name, _ in _floats(pairs[0]) if pairs else ():
        if accounts(pairs, partial(_times, name=name)):
            line = tr("A factor too many: multiplied by `{name}` once too often", name=name)
            yield Explanation("extra_factor", line, 4)
        if accounts(pairs, partial(_over, name=name)):
            line = tr("A factor is missing: multiply by `{name}`", name=name)
            yield Explanation("missing_factor", line, 4)


def _times(pair: Pair, name: str) -> Any:
    return pair.expected * _wide(pair.arguments[name], pair.expected)


def _over(pair: Pair, name: str) -> Any:
    """What was expected, divided by an argument; where that is 0, whatever was got."""
    by = _wide(pair.arguments[name], pair.expected)
    return np.where(by == 0, pair.got, pair.expected / np.where(by == 0, 1.0, by))


@arrays_only
def masked(pairs: Sequence[Pair]) -> Iterator[Explanation]:
    """Zero where a boolean argument, or a triangle, says so."""
    if not same_shapes(pairs):
        return
    of_first = pairs[0].arguments if pairs else {}
    for name, value in of_first.items():
        if not (isinstance(value, np.ndarray) and value.dtype.kind == "b"):
            continue
        for line, zero in (
            (tr("Mask on the wrong side: the result is 0 where `{name}` is True", name=name), True),
            (tr("Mask on the wrong side: the result is 0 where `{name}` is False", name=name), False),
        ):
            if accounts(pairs, partial(_zeroed, name=name, zero=zero)):
                yield Explanation("mask_side", line, 4)


def _zeroed(pair: Pair, name: str, zero: bool) -> Any:
    return pair.expected * (_mask(pair, name) != zero)


def _mask(pair: Pair, name: str) -> np.ndarray:
    value = np.asarray(pair.arguments[name])
    for shaped in (value, value[..., None]):
        try:
            return np.broadcast_to(shaped, pair.expected.shape)
        except ValueError:
            continue
    return np.ones(pair.expected.shape, bool)
