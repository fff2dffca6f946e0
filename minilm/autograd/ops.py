"""Every elementary operation, its gradient right beneath it.

An operation takes arrays, numbers or Tensors; arrays in, array out. A gradient rule is written with the same
operations, so that it runs on arrays in an ordinary backward and on Tensors when a gradient is differentiated. In the
formulas x̄ is the cotangent of x, ȳ = g that of the output; with broadcasting, shapes are those after it.
"""

import builtins
import math
from typing import Any

import numpy as np

from minilm import backend
from minilm.autograd.tensor import Tensor, primitive, shape, unbroadcast, value
from minilm.backend import xp
from minilm.errors import ConfigError, ShapeError
from minilm.i18n import tr

Axis = int | tuple[int, ...] | None  # None: all axes


def _same_shape_after_broadcast(name: str, a: Any, b: Any) -> None:
    try:
        np.broadcast_shapes(shape(a), shape(b))
    except ValueError:
        raise ShapeError(
            tr("{op}: shapes {a} and {b} do not broadcast: each size must be equal, or 1", op=name, a=shape(a), b=shape(b))
        ) from None


def _elementwise(name: str, function: Any, a: Any, b: Any) -> Any:
    """function(a, b), its error in our words."""
    try:
        return function(a, b)
    except ValueError:
        _same_shape_after_broadcast(name, a, b)
        raise


# ------------------------------------------------------------------------------------------------------ arithmetic


@primitive
def add(a, b):
    """y = a + b."""
    return _elementwise("add", xp.add, a, b)


@add.vjp("a")
def _(g, a_shape):
    return unbroadcast(g, a_shape)


@add.vjp("b")
def _(g, b_shape):
    return unbroadcast(g, b_shape)


@primitive
def subtract(a, b):
    """y = a - b."""
    return _elementwise("subtract", xp.subtract, a, b)


@subtract.vjp("a")
def _(g, a_shape):
    return unbroadcast(g, a_shape)


@subtract.vjp("b")
def _(g, b_shape):
    return unbroadcast(-g, b_shape)


@primitive
def multiply(a, b):
    """y = a ⊙ b."""
    return _elementwise("multiply", xp.multiply, a, b)


@multiply.vjp("a")
def _(g, a_shape, b):
    """ā = g ⊙ b."""
    return unbroadcast(g * b, a_shape)


@multiply.vjp("b")
def _(g, a, b_shape):
    """b̄ = g ⊙ a."""
    return unbroadcast(g * a, b_shape)


@primitive
def divide(a, b):
    """y = a / b."""
    return _elementwise("divide", xp.true_divide, a, b)


@divide.vjp("a")
def _(g, a_shape, b):
    """ā = g / b."""
    return unbroadcast(g / b, a_shape)


@divide.vjp("b")
def _(g, y, b):
    """b̄ = -g y / b."""
    return unbroadcast(-g * y / b, shape(b))


@primitive
def negative(x):
    """y = -x."""
    return xp.negative(x)


@negative.vjp("x")
def _(g):
    return -g


@primitive
def power(a, b):
    """y = aᵇ; prefer x * x * x to x ** 3, which is far slower."""
    return _elementwise("power", xp.power, a, b)


@power.vjp("a")
def _(g, a, b):
    """ā = g b aᵇ⁻¹, and 0 where b is 0."""
    below = (b - 1 if b else 1) if isinstance(b, (int, float)) else where(equal(b, 0), 1, b - 1)
    return unbroadcast(g * b * power(a, below), shape(a))


@power.vjp("b")
def _(g, y, a, b):
    """b̄ = g y ln a, and 0 where a is 0."""
    return unbroadcast(g * y * log(where(equal(a, 0), 1, a)), shape(b))


@primitive
def maximum(a, b):
    """y = max(a, b), elementwise."""
    return _elementwise("maximum", xp.maximum, a, b)


@maximum.vjp("a")
def _(g, a, b):
    """The larger one receives g; at a tie each receives half."""
    return unbroadcast(_choose(g, greater(a, b), equal(a, b)), shape(a))


@maximum.vjp("b")
def _(g, a, b):
    return unbroadcast(_choose(g, greater(b, a), equal(a, b)), shape(b))


@primitive
def minimum(a, b):
    """y = min(a, b), elementwise."""
    return _elementwise("minimum", xp.minimum, a, b)


@minimum.vjp("a")
def _(g, a, b):
    """The smaller one receives g; at a tie each receives half."""
    return unbroadcast(_choose(g, less(a, b), equal(a, b)), shape(a))


@minimum.vjp("b")
def _(g, a, b):
    return unbroadcast(_choose(g, less(b, a), equal(a, b)), shape(b))


def _choose(g, chosen, tie):
    return where(chosen, g, where(tie, 0.5 * g, 0))


# ------------------------------------------------------------------------------------------ functions of one number


@primitive
def exp(x):
    """y = eˣ."""
    return xp.exp(x)


@exp.vjp("x")
def _(g, y):
    """x̄ = g y."""
    return g * y


@primitive
def log(x):
    """y = ln x."""
    return xp.log(x)


@log.vjp("x")
def _(g, x):
    """x̄ = g / x."""
    return g / x


@primitive
def sqrt(x):
    """y = √x."""
    return xp.sqrt(x)


@sqrt.vjp("x")
def _(g, y):
    """x̄ = g / 2y."""
    return 0.5 * g / y


@primitive
def tanh(x):
    """y = tanh x."""
    return xp.tanh(x)


@tanh.vjp("x")
def _(g, y):
    """x̄ = g (1 - y²)."""
    return g * (1 - y * y)


@primitive
def sigmoid(x):
    """y = 1 / (1 + e⁻ˣ), as (1 + tanh(x/2)) / 2, which cannot overflow."""
    return 0.5 * (1 + xp.tanh(0.5 * x))


@sigmoid.vjp("x")
def _(g, y):
    """x̄ = g y (1 - y)."""
    return g * y * (1 - y)


@primitive
def erf(x):
    """y = 2/√π ∫₀ˣ exp(-t²) dt."""
    return backend.erf(x)


@erf.vjp("x")
def _(g, x):
    """x̄ = g 2/√π exp(-x²)."""
    return g * (2 / math.sqrt(math.pi)) * exp(-x * x)


@primitive
def sign(x):
    """-1, 0 or 1; its gradient is 0 wherever it has one."""
    return xp.sign(x)


@primitive
def abs(x):
    """y = |x|; at 0 the gradient is 0."""
    return xp.abs(x)


@abs.vjp("x")
def _(g, x):
    """x̄ = g sign(x)."""
    return g * sign(x)


@primitive
def clip(x, low=None, high=None):
    """y = min(max(x, low), high); either bound may be None. low, high: numbers or constant arrays."""
    return xp.clip(x, low, high)


@clip.vjp("x")
def _(g, x, low, high):
    """x̄ = g where low ≤ x ≤ high, else 0."""
    g = g if low is None else where(less(x, low), 0, g)
    return unbroadcast(g if high is None else where(greater(x, high), 0, g), shape(x))


@primitive
def astype(x, dtype):
    """The same numbers in another floating precision (an integer or bool result carries no gradient)."""
    return x.astype(dtype)


@astype.vjp("x")
def _(g):
    return g  # the engine gives every cotangent its value's own dtype


# --------------------------------------------------------------------------------- comparisons: no gradient, ever


@primitive
def equal(a, b):
    """a = b, elementwise: a boolean Tensor."""
    return xp.equal(a, b)


@primitive
def greater(a, b):
    """a > b, elementwise: a boolean Tensor."""
    return _elementwise("greater", xp.greater, a, b)


@primitive
def greater_equal(a, b):
    """a ≥ b, elementwise: a boolean Tensor."""
    return _elementwise("greater_equal", xp.greater_equal, a, b)


@primitive
def less(a, b):
    """a < b, elementwise: a boolean Tensor."""
    return _elementwise("less", xp.less, a, b)


@primitive
def less_equal(a, b):
    """a ≤ b, elementwise: a boolean Tensor."""
    return _elementwise("less_equal", xp.less_equal, a, b)


@primitive
def argmax(x, axis=-1):
    """The index of the (first) largest entry along an axis: an integer Tensor."""
    return xp.argmax(x, axis=axis)


@primitive
def where(condition, a, b):
    """y = a where condition, else b. condition: boolean."""
    return xp.where(condition, a, b)


@where.vjp("a")
def _(g, condition, a_shape):
    return unbroadcast(where(condition, g, 0), a_shape)


@where.vjp("b")
def _(g, condition, b_shape):
    return unbroadcast(where(condition, 0, g), b_shape)


# ------------------------------------------------------------------------------------------------------ reductions


def _axes(axis: Axis, ndim: int) -> tuple[int, ...]:
    """The axes that a reduction runs over, none negative."""
    if axis is None:
        return tuple(range(ndim))
    return tuple(sorted(i % ndim for i in ((axis,) if isinstance(axis, int) else axis)))


def _kept(to: tuple[int, ...], axis: Axis) -> tuple[int, ...]:
    """The shape `to` with the reduced axes kept as 1."""
    axes = _axes(axis, len(to))
    return tuple(1 if i in axes else n for i, n in enumerate(to))


@primitive
def sum(x, axis=None, keepdims=False):
    """y = Σ x over the axes."""
    return xp.sum(x, axis=axis, keepdims=keepdims)


@sum.vjp("x")
def _(g, x_shape, axis):
    """Every summand receives g."""
    return broadcast_to(reshape(g, _kept(x_shape, axis)), x_shape)


def mean(x, axis=None, keepdims=False):
    """y = (1/n) Σ x over the axes."""
    return sum(x, axis, keepdims) * (1 / _count(x, axis))


def var(x, axis=None, keepdims=False, correction=0):
    """y = Σ (x - mean x)² / (n - correction) over the axes."""
    centred = x - mean(x, axis, keepdims=True)
    return sum(centred * centred, axis, keepdims) * (1 / (_count(x, axis) - correction))


def _count(x, axis):
    """n, the number of entries that a reduction puts into one."""
    return math.prod(shape(x)[i] for i in _axes(axis, len(shape(x))))


@primitive
def max(x, axis=None, keepdims=False):
    """y = the largest x over the axes."""
    return xp.max(x, axis=axis, keepdims=keepdims)


@max.vjp("x")
def _(g, y, x, axis):
    """The largest entry receives g; equal ones share it evenly."""
    return _share_among_equals(g, y, x, axis)


@primitive
def min(x, axis=None, keepdims=False):
    """y = the smallest x over the axes."""
    return xp.min(x, axis=axis, keepdims=keepdims)


@min.vjp("x")
def _(g, y, x, axis):
    """The smallest entry receives g; equal ones share it evenly."""
    return _share_among_equals(g, y, x, axis)


def _share_among_equals(g, y, x, axis):
    kept = _kept(shape(x), axis)
    chosen = equal(x, reshape(y, kept))
    count = astype(sum(chosen, axis, keepdims=True), value(x).dtype)
    return where(chosen, reshape(g, kept) / count, 0)


@primitive
def logsumexp(x, axis=None, keepdims=False):
    """y = ln Σ eˣ over the axes, shifted by max x so that exp cannot overflow; -inf where every x is."""
    top = xp.max(x, axis=axis, keepdims=True)
    top = xp.where(xp.isfinite(top), top, 0)
    with np.errstate(divide="ignore"):
        y = xp.log(xp.sum(xp.exp(x - top), axis=axis, keepdims=True)) + top
    return y if keepdims else xp.squeeze(y, axis=axis)


@logsumexp.vjp("x")
def _(g, y, x, axis):
    """x̄ = g eˣ⁻ʸ, the softmax; 0 where y = -inf."""
    kept = _kept(shape(x), axis)
    y = reshape(y, kept)
    return reshape(g, kept) * exp(x - where(equal(y, -math.inf), 0, y))


@primitive
def cumsum(x, axis):
    """y_i = Σ_{j ≤ i} x_j along one axis."""
    return xp.cumsum(x, axis=axis)


@cumsum.vjp("x")
def _(g, axis):
    """x̄_j = Σ_{i ≥ j} g_i."""
    backwards = (slice(None),) * (axis % len(shape(g))) + (slice(None, None, -1),)
    return cumsum(g[backwards], axis)[backwards]


# ---------------------------------------------------------------------------------------------------------- shapes


@primitive
def reshape(x, shape):
    """The same entries, in the same order, in another shape; one size may be -1."""
    try:
        return xp.reshape(x, shape)
    except ValueError:
        raise ShapeError(
            tr("reshape: {n} entries of shape {got} do not fit shape {wanted}", n=x.size, got=x.shape, wanted=shape)
        ) from None


@reshape.vjp("x")
def _(g, x_shape):
    return reshape(g, x_shape)


@primitive
def transpose(x, axes=None):
    """The axes in another order; reversed where none is given."""
    return xp.transpose(x, axes)


@transpose.vjp("x")
def _(g, axes):
    """The inverse permutation."""
    return transpose(g, None if axes is None else tuple(int(i) for i in np.argsort([a % len(axes) for a in axes])))


@primitive
def swapaxes(x, a=-1, b=-2):
    """Two axes exchanged; the last two where none is named."""
    return xp.swapaxes(x, a, b)


@swapaxes.vjp("x")
def _(g, a, b):
    return swapaxes(g, a, b)


@primitive
def broadcast_to(x, shape):
    """x repeated along axes of size 1 (and new leading axes) until it has the shape."""
    try:
        return xp.broadcast_to(x, shape)
    except ValueError:
        raise ShapeError(
            tr("broadcast_to: shape {got} does not broadcast to {wanted}", got=np.shape(x), wanted=shape)
        ) from None


@broadcast_to.vjp("x")
def _(g, x_shape):
    return unbroadcast(g, x_shape)


def expand_dims(x, axis):
    """A new axis of size 1 at position `axis`."""
    at = axis % (len(shape(x)) + 1)
    return reshape(x, (*shape(x)[:at], 1, *shape(x)[at:]))


def squeeze(x, axis):
    """Without the axis of size 1 at position `axis`."""
    if shape(x)[axis] != 1:
        raise ShapeError(tr("squeeze: axis {axis} of shape {got} is not of size 1", axis=axis, got=shape(x)))
    at = axis % len(shape(x))
    return reshape(x, (*shape(x)[:at], *shape(x)[at + 1 :]))


@primitive
def _concatenate(*xs, axis):
    return xp.concatenate(xs, axis=axis)


@_concatenate.vjp("xs")
def _(g, i, xs_shape, axis):
    """Each part receives its slice of g."""
    start = builtins.sum(of[axis] for of in xs_shape[:i])
    return g[(slice(None),) * (axis % len(xs_shape[i])) + (slice(start, start + xs_shape[i][axis]),)]


def concatenate(xs, axis=0):
    """The parts one after the other along an axis; all other sizes must be equal."""
    shapes = [shape(x) for x in xs]
    rests = {(*of[: axis % len(of)], *of[axis % len(of) + 1 :]) for of in shapes if of}
    if not shapes or () in shapes or len(rests) != 1:
        raise ShapeError(tr("concatenate: shapes {got} differ in another axis than {axis}", got=shapes, axis=axis))
    return _concatenate(*xs, axis=axis)


def stack(xs, axis=0):
    """Parts of equal shape side by side along a new axis."""
    if len({shape(x) for x in xs}) != 1:
        raise ShapeError(tr("stack: shapes {got} are not all equal", got=[shape(x) for x in xs]))
    return _concatenate(*[expand_dims(x, axis) for x in xs], axis=axis)


def split(x, parts, axis=0):
    """A list of pieces along an axis: `parts` equal ones, or of the sizes listed."""
    n = shape(x)[axis]
    sizes = [n // parts] * parts if isinstance(parts, int) else list(parts)
    if builtins.sum(sizes) != n:
        raise ShapeError(tr("split: an axis of size {n} does not make parts {parts}", n=n, parts=parts))
    before = (slice(None),) * (axis % len(shape(x)))
    ends = np.cumsum(sizes).tolist()
    return [x[(*before, slice(end - size, end))] for size, end in zip(sizes, ends, strict=True)]


@primitive
def pad(x, widths, fill=0.0):
    """`fill` before and after each axis: widths is one (before, after) per axis."""
    return xp.pad(x, widths, constant_values=fill)


@pad.vjp("x")
def _(g, x_shape, widths):
    return g[tuple(slice(before, before + n) for (before, _), n in zip(widths, x_shape, strict=True))]


@primitive
def triu(x, k=0):
    """x with 0 below the k-th diagonal of its last two axes."""
    return xp.triu(x, k)


@triu.vjp("x")
def _(g, k):
    return triu(g, k)


@primitive
def tril(x, k=0):
    """x with 0 above the k-th diagonal of its last two axes."""
    return xp.tril(x, k)


@tril.vjp("x")
def _(g, k):
    return tril(g, k)


# -------------------------------------------------------------------------------------------------------- indexing


def _raw_index(index: Any) -> Any:
    return tuple(value(i) for i in index) if isinstance(index, tuple) else value(index)


def _is_basic(index: Any) -> bool:
    """Whether an index picks no entry twice: integers, slices, ... and None only."""
    parts = index if isinstance(index, tuple) else (index,)
    return all(i is None or i is Ellipsis or isinstance(i, (int, slice, np.integer)) for i in parts)


@primitive
def getitem(x, index):
    """x[index]: integers, slices, ..., None, boolean masks and integer arrays, as in NumPy."""
    try:
        return x[_raw_index(index)]
    except IndexError as error:
        raise ShapeError(tr("index {index} does not fit shape {got}: {why}", index=index, got=x.shape, why=error)) from None


@getitem.vjp("x")
def _(g, x_shape, index):
    """Entries that were picked receive g, added up where one was picked more than once; the others 0."""
    return scatter(g, index, x_shape)


@primitive
def scatter(x, index, shape):
    """The adjoint of indexing: zeros of the shape, with x added at the index."""
    y = xp.zeros(shape, dtype=x.dtype)
    if _is_basic(index):
        y[index] = x
    else:
        xp.add.at(y, _raw_index(index), x)
    return y


@scatter.vjp("x")
def _(g, index):
    return g[index]


def take_along_axis(x, indices, axis):
    """y[…, i, …] = x[…, indices[…, i, …], …]: one choice of its own for each position; sizes must match elsewhere."""
    indices, ndim = value(indices), len(shape(x))
    if len(shape(indices)) != ndim:
        raise ShapeError(
            tr("take_along_axis: indices of shape {got} for an array of shape {wanted}", got=shape(indices), wanted=shape(x))
        )
    grid = [
        xp.arange(n).reshape([-1 if j == i else 1 for j in range(ndim)])
        for i, n in enumerate(np.broadcast_shapes(_kept(shape(x), axis), _kept(shape(indices), axis)))
    ]
    grid[axis % ndim] = indices
    return getitem(x, tuple(grid))


# -------------------------------------------------------------------------------------------------------- products


@primitive
def _matmul(a, b):
    return xp.matmul(a, b)


@_matmul.vjp("a")
def _(g, a_shape, b):
    """ā = g bᵀ, summed over stretched batch axes."""
    return unbroadcast(_matmul(g, swapaxes(b)), a_shape)


@_matmul.vjp("b")
def _(g, a, b_shape):
    """b̄ = aᵀ g."""
    return unbroadcast(_matmul(swapaxes(a), g), b_shape)


def matmul(a, b):
    """y = a b over the last two axes, batch axes broadcast: (…, n, k) @ (…, k, m) -> (…, n, m); vectors as in NumPy."""
    if not shape(a) or not shape(b):
        raise ShapeError(tr("matmul: {a} @ {b}: a single number has no axis to multiply over", a=shape(a), b=shape(b)))
    row, column = len(shape(a)) == 1, len(shape(b)) == 1
    left = expand_dims(a, 0) if row else a
    right = expand_dims(b, 1) if column else b
    if shape(left)[-1] != shape(right)[-2]:
        raise ShapeError(
            tr(
                "matmul: {a} @ {b}: inner sizes {m} and {n} differ",
                a=shape(a),
                b=shape(b),
                m=shape(left)[-1],
                n=shape(right)[-2],
            )
        )
    _same_shape_after_broadcast("matmul", xp.empty(shape(left)[:-2]), xp.empty(shape(right)[:-2]))
    y = _matmul(left, right)
    y = squeeze(y, -1) if column else y
    return squeeze(y, -1 if column else -2) if row else y


def einsum(spec, *operands):
    """Σ over the letters that are not in the output, e.g. einsum("bthk,bshk->bhts", q, k).

    Composed, two operands at a time, of transpose, reshape and matmul: for reading, not for speed. A letter may not
    repeat within one operand, and the output must be written out.
    """
    inputs, arrow, output = spec.replace(" ", "").partition("->")
    terms = inputs.split(",")
    if not arrow or len(terms) != len(operands) or any(len(set(t)) != len(t) for t in (*terms, output)):
        raise ConfigError(
            tr("einsum: {spec!r} for {n} operands: wanted 'ab,bc->ac', no letter twice in a term", spec=spec, n=len(operands))
        )
    sizes: dict[str, int] = {}
    for term, x in zip(terms, operands, strict=True):
        if len(term) != len(shape(x)) or any(sizes.setdefault(c, n) != n for c, n in zip(term, shape(x), strict=True)):
            raise ShapeError(tr("einsum: {term!r} does not fit shape {got}", term=term, got=shape(x)))
    if not set(output) <= set(sizes):
        raise ConfigError(tr("einsum: the output of {spec!r} has a letter that no operand has", spec=spec))
    letters, result = terms[0], operands[0]
    for i in range(1, len(operands)):
        later = set(output).union(*terms[i + 1 :])
        letters, result = _contract(letters, result, terms[i], operands[i], later, sizes)
    extra = tuple(i for i, c in enumerate(letters) if c not in output)
    result = sum(result, extra) if extra else result
    letters = "".join(c for c in letters if c in output)
    return transpose(result, tuple(letters.index(c) for c in output))


def _contract(s: str, a: Any, t: str, b: Any, later: set[str], sizes: dict[str, int]) -> tuple[str, Any]:
    """Multiply two operands and sum over the letters that both have and nobody needs later, as one matmul."""
    batch = [c for c in s if c in t and c in later]
    inner = [c for c in s if c in t and c not in later]
    left, right = [c for c in s if c not in t], [c for c in t if c not in s]

    def arranged(x: Any, letters: str, *groups: list[str]) -> Any:
        flat = transpose(x, tuple(letters.index(c) for group in groups for c in group))
        return reshape(flat, tuple(math.prod(sizes[c] for c in group) for group in groups))

    y = matmul(arranged(a, s, batch, left, inner), arranged(b, t, batch, inner, right))
    out = "".join(batch + left + right)
    return out, reshape(y, tuple(sizes[c] for c in out))


# ------------------------------------------------------------------------------- what `a + b` and x.sum() stand for


def _varargs(operation):
    """x.reshape(2, 3) as well as x.reshape((2, 3))."""

    def method(self: Tensor, *args: Any) -> Tensor:
        return operation(self, args[0] if len(args) == 1 and not isinstance(args[0], int) else args or None)

    method.__doc__ = operation.__doc__
    return method


def _swapped(operation):
    return lambda self, other: operation(other, self)


_METHODS: dict[str, Any] = {
    "__add__": add, "__radd__": _swapped(add), "__sub__": subtract, "__rsub__": _swapped(subtract),
    "__mul__": multiply, "__rmul__": _swapped(multiply), "__truediv__": divide, "__rtruediv__": _swapped(divide),
    "__neg__": negative, "__pow__": power, "__rpow__": _swapped(power),
    "__matmul__": matmul, "__rmatmul__": _swapped(matmul), "__getitem__": getitem,
    "__eq__": equal, "__lt__": less, "__le__": less_equal, "__gt__": greater, "__ge__": greater_equal,
    "reshape": _varargs(reshape), "transpose": _varargs(transpose), "swapaxes": swapaxes,
    "sum": sum, "mean": mean, "var": var, "max": max, "min": min, "argmax": argmax, "logsumexp": logsumexp,
    "exp": exp, "log": log, "sqrt": sqrt, "tanh": tanh, "sigmoid": sigmoid, "abs": abs, "clip": clip,
    "astype": astype, "cumsum": cumsum, "squeeze": squeeze, "T": property(transpose),
}  # fmt: skip

for _name, _method in _METHODS.items():
    setattr(Tensor, _name, _method)
