"""Every elementary operation, its gradient right beneath it.

An operation takes arrays, numbers or Tensors; arrays in, array out. A gradient rule is written with the same
operations, so that it runs on arrays in an ordinary backward and on Tensors when a gradient is differentiated. In the
formulas x̄ is the cotangent of x, ȳ = g that of the output; with broadcasting, shapes are those after it.
"""

import math
from typing import Any

import numpy as np

from minilm import backend
from minilm.autograd.operation import primitive, unbroadcast
from minilm.autograd.shapes import broadcast_to, reshape
from minilm.autograd.tensor import shape, value
from minilm.backend import xp
from minilm.errors import ShapeError
from minilm.i18n import tr

Axis = int | tuple[int, ...] | None  # None: all axes


def check_broadcast(name: str, a: tuple[int, ...], b: tuple[int, ...]) -> None:
    """ShapeError if the two shapes do not broadcast."""
    try:
        np.broadcast_shapes(a, b)
    except ValueError:
        raise ShapeError(
            tr("{op}: shapes {a} and {b} do not broadcast: each size must be equal, or 1", op=name, a=a, b=b)
        ) from None


def _elementwise(name: str, function: Any, a: Any, b: Any) -> Any:
    """function(a, b), its error in our words."""
    try:
        return function(a, b)
    except ValueError:
        check_broadcast(name, shape(a), shape(b))
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
