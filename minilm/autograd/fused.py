"""Fused operations: a plain twin to read, and beneath it a NumPy kernel that computes the same several times faster.

The twin is composed of the operations of ops.py: it is the definition, what CuPy runs, and what a gradient of a
gradient differentiates. The kernel returns the value together with the residuals from which one backward makes all
gradients. What buys the speed, here and in norms.py, attention.py and losses.py:

- big arrays are worked through in chunks that stay in the processor's cache, in place, one NumPy function a pass;
- the forward keeps what makes the backward cheap: the derivative itself, or the normalised row;
- sums over rows and columns are products with a constant vector, which the BLAS does faster than `sum`;
- nothing is float64 in a float32 graph.
"""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from minilm import backend
from minilm.autograd import ops
from minilm.autograd.later import Product, Rows
from minilm.autograd.operation import fused
from minilm.autograd.ops import erf, exp, sigmoid, tanh
from minilm.autograd.products import matmul
from minilm.autograd.shapes import getitem
from minilm.autograd.tensor import shape
from minilm.autograd.tensor import value as raw
from minilm.backend import xp
from minilm.errors import ConfigError, DataError, DTypeError, ShapeError
from minilm.i18n import tr

__all__ = [
    "dropout", "dropout_mask", "embedding", "gelu", "linear", "log_softmax", "masked_scale", "silu", "softmax",
]  # fmt: skip


# Entries that a pass works on before the next pass does: few enough to stay in a cache (L2; L3 for passes over rows,
# of which NumPy does each row by itself), many enough to outweigh the microsecond that a call costs.
CHUNK = 1 << 14
ROW_CHUNK = 1 << 17


# ---------------------------------------------------------------------------------------------- what all kernels share


def kernel_fits(*arrays: Any) -> bool:
    """Whether a kernel can run: arrays (or None) of one dtype, float32 or float64, none empty; else the twin runs."""
    kind = None
    for a in arrays:
        if a is None:
            continue
        if not isinstance(a, np.ndarray) or a.size == 0:
            return False
        if a.dtype.char != kind:
            if kind is not None or a.dtype.char not in "fd":
                return False
            kind = a.dtype.char
    return kind is not None


def row_chunks(rows: int, width: int, entries: int | None = None) -> Iterator[slice]:
    """Slices of rows that hold about so many entries each, ROW_CHUNK if None."""
    step = max(1, (entries or ROW_CHUNK) // width)
    return (slice(i, i + step) for i in range(0, rows, step))


def chunks(entries: int) -> Iterator[slice]:
    """Slices of CHUNK entries, the last perhaps of fewer."""
    return (slice(i, min(i + CHUNK, entries)) for i in range(0, entries, CHUNK))


def column_sums(a: np.ndarray) -> np.ndarray:
    """Σ over the rows of a matrix, as a product with ones. (n, m) -> (m,)"""
    return np.ones(len(a), a.dtype) @ a


# ------------------------------------------------------------------------------------------------- checks of arguments


def check_floats(op: str, **arrays: Any) -> None:
    """DTypeError, naming the argument, where an array does not hold floating numbers."""
    for name, a in arrays.items():
        dtype = getattr(a, "dtype", None)
        if dtype is not None and dtype.kind != "f":
            raise DTypeError(
                tr(
                    "{op}: {name} is of {got}; it needs floating numbers: float32 or float64",
                    op=op,
                    name=name,
                    got=dtype,
                )
            )


def check_shape(op: str, name: str, a: Any, wanted: tuple[int, ...]) -> None:
    """ShapeError, naming the argument, where an array that may be None has another shape."""
    if a is not None and shape(a) != wanted:
        raise ShapeError(
            tr("{op}: {name} has shape {got}, wanted {wanted}", op=op, name=name, got=shape(a), wanted=wanted)
        )


def check_indices(op: str, name: str, indices: Any, size: int) -> None:
    """DTypeError for indices that are no integers, DataError naming the first that is not in 0 … size-1."""
    if not hasattr(indices, "dtype") or indices.dtype.kind not in "iu":
        raise DTypeError(
            tr(
                "{op}: {name} must be an array of integers, not {got}",
                op=op,
                name=name,
                got=getattr(indices, "dtype", type(indices)),
            )
        )
    if not indices.size:
        return
    low, high = backend.extremes(indices)
    if low < 0 or high >= size:
        indices = backend.to_numpy(indices)
        bad = int(indices[(indices < 0) | (indices >= size)][0])
        raise DataError(
            tr(
                "{op}: {name} holds {bad}; each must be from 0 to {last}, as V = {size}",
                op=op,
                name=name,
                bad=bad,
                last=size - 1,
                size=size,
            )
        )


# ---------------------------------------------------------------------------------------------------------- softmax


@fused
def softmax(x, axis=-1):
    """p_i = exp(x_i) / Σ_j exp(x_j) along an axis, shifted by max x so that exp cannot overflow. Any shape."""
    check_floats("softmax", x=x)
    e = exp(x - xp.max(raw(x), axis=axis, keepdims=True))
    return e / ops.sum(e, axis, keepdims=True)


@softmax.kernel
def _(x, axis, *, save):
    if not kernel_fits(x):
        return NotImplemented
    rows = _rows_of(x, axis)
    p = np.empty(rows.shape, x.dtype)
    for part in row_chunks(*p.shape):
        e = np.subtract(rows[part], rows[part].max(-1, keepdims=True), out=p[part])
        np.exp(e, out=e)
        e *= 1 / np.matmul(e, np.ones((e.shape[1], 1), e.dtype))
    return _rows_back(p, x.shape, axis), (p, axis)


@softmax.kernel_vjp("x")
def _(g, residuals):
    """x̄ = p ⊙ (g - ⟨g, p⟩)."""
    p, axis = residuals
    rows = _rows_of(g, axis)
    gx = np.empty(p.shape, p.dtype)
    for part in row_chunks(*p.shape):
        np.subtract(rows[part], np.vecdot(rows[part], p[part])[:, None], out=gx[part])
        gx[part] *= p[part]
    return (_rows_back(gx, g.shape, axis),)


def _rows_of(x: np.ndarray, axis: int) -> np.ndarray:
    """x as a matrix with the axis last."""
    return np.moveaxis(x, axis, -1).reshape(-1, x.shape[axis])


def _rows_back(rows: np.ndarray, of: tuple[int, ...], axis: int) -> np.ndarray:
    """The inverse of `_rows_of`."""
    axis %= len(of)
    rest = (*of[:axis], *of[axis + 1 :], of[axis])
    return np.moveaxis(rows.reshape(rest), -1, axis)


@fused
def log_softmax(x, axis=-1):
    """y_i = x_i - ln Σ_j exp(x_j) along an axis. Any shape."""
    check_floats("log_softmax", x=x)
    return x - ops.logsumexp(x, axis, keepdims=True)


@log_softmax.kernel
def _(x, axis, *, save):
    if not kernel_fits(x):
        return NotImplemented
    y = x - x.max(axis, keepdims=True)
    y -= np.log(np.exp(y).sum(axis, keepdims=True))
    return y, (y, axis)


@log_softmax.kernel_vjp("x")
def _(g, residuals):
    """x̄ = g - p Σ g."""
    y, axis = residuals
    gx = np.exp(y)
    gx *= g.sum(axis, keepdims=True)
    return (np.subtract(g, gx, out=gx),)


# ------------------------------------------------------------------------------------------------------- activations


@fused
def gelu(x, approximate="tanh"):
    """y = x Φ(x), Φ the normal distribution function, exact ("none") or by tanh. Any shape.

    "none": Φ(x) = (1 + erf(x/√2)) / 2; "tanh": Φ(x) ≈ (1 + tanh(√(2/π) (x + 0.044715 x³))) / 2.
    Source: Hendrycks & Gimpel 2016, section 2; GPT and GPT-2 use "tanh", BERT "none".
    """
    check_floats("gelu", x=x)
    if approximate == "tanh":
        return 0.5 * x * (1 + tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * (x * x * x))))
    if approximate == "none":
        return 0.5 * x * (1 + erf(x * math.sqrt(0.5)))
    raise ConfigError(tr("gelu: approximate is 'tanh' or 'none', not {got!r}", got=approximate))


@fused
def silu(x):
    """y = x σ(x), σ(x) = 1 / (1 + e⁻ˣ). Any shape. Source: Elfwing et al. 2018; also called swish."""
    check_floats("silu", x=x)
    return x * sigmoid(x)


def _by_chunks(formula: Any, x: np.ndarray, save: bool) -> tuple[np.ndarray, np.ndarray | None]:
    """y and, if asked for, dy/dx of a function of one number. formula(x, y, dy/dx or None, scratch) fills a chunk."""
    h = x.reshape(-1)
    y = np.empty(h.size, h.dtype)
    d = np.empty(h.size, h.dtype) if save else None
    scratch = np.empty((3, min(CHUNK, h.size)), h.dtype)
    if h.size <= CHUNK:
        formula(h, y, d, scratch)
    else:
        for part in chunks(h.size):
            formula(h[part], y[part], None if d is None else d[part], scratch[:, : part.stop - part.start])
    return y.reshape(x.shape), None if d is None else d.reshape(x.shape)


def _times_sigmoid(x, v, y, d, e):
    """y = x s, s = 1 / (1 + eᵛ). d, if given, holds -v' and becomes dy/dx = s - y (1 - s) v'. Uses up v and e.

    1 - s is made as s eᵛ, which loses no digits; eᵛ stops at e⁸⁰, where s is 0 for all purposes.
    """
    e.fill(80)
    np.minimum(v, e, out=v)  # three times as fast with an array as with a number
    np.exp(v, out=e)
    s = np.add(e, 1, out=v)
    np.divide(1, s, out=s)
    np.multiply(x, s, out=y)
    if d is not None:
        d *= y
        e *= s
        d *= e
        d += s


def _gelu_tanh(x, y, d, scratch):
    """(1 + tanh(u/2)) / 2 = 1 / (1 + e⁻ᵘ), u = 2 √(2/π) (x + 0.044715 x³)."""
    c = math.sqrt(8 / math.pi)
    square, v, _ = scratch
    np.multiply(x, x, out=square)
    square *= -0.044715 * c
    np.subtract(square, c, out=v)
    v *= x
    if d is not None:
        np.multiply(square, -3, out=d)
        d += c
    _times_sigmoid(x, v, y, d, square)


def _silu(x, y, d, scratch):
    v, e, _ = scratch
    np.negative(x, out=v)
    if d is not None:
        d.fill(1)
    _times_sigmoid(x, v, y, d, e)


def _gelu_erf(x, y, d, scratch):
    """y = x Φ, dy/dx = Φ + x exp(-x²/2) / √(2π)."""
    phi, bell, _ = scratch
    np.multiply(x, math.sqrt(0.5), out=phi)
    phi[...] = backend.erf(phi)
    phi += 1
    phi *= 0.5
    np.multiply(x, phi, out=y)
    if d is not None:
        np.multiply(x, x, out=bell)
        bell *= -0.5
        np.exp(bell, out=bell)
        bell *= 1 / math.sqrt(2 * math.pi)
        np.multiply(x, bell, out=d)
        d += phi


# Φ(-a) = exp(-a²/2) (t b₁ + … + t⁵ b₅) with t = 1 / (1 + b₀ a), a ≥ 0, within 8e-8, which is float32's own rounding:
# Abramowitz & Stegun 7.1.26, for erf(a/√2), their coefficients halved.
_TAIL = (0.3275911 * math.sqrt(0.5), 0.127414796, -0.142248368, 0.7107068705, -0.7265760135, 0.5307027145)


def _gelu_erf_float32(x, y, d, scratch):
    """With q = Φ(-|x|), which shares its exp with dy/dx: y = max(x, 0) - |x| q, dy/dx = ½ ± (½ - q + |x| φ(x))."""
    t, q, a = scratch
    np.abs(x, out=a)
    np.multiply(a, _TAIL[0], out=t)
    t += 1
    np.divide(1, t, out=t)
    np.multiply(t, _TAIL[-1], out=q)
    for b in _TAIL[-2:0:-1]:
        q += b
        q *= t
    bell = np.multiply(a, a, out=t)
    bell *= -0.5
    np.exp(bell, out=bell)
    q *= bell
    np.multiply(a, q, out=y)
    np.subtract(np.maximum(x, np.zeros_like(x)), y, out=y)
    if d is not None:
        bell *= 1 / math.sqrt(2 * math.pi)
        bell *= a
        bell -= q
        bell += 0.5
        np.copysign(bell, x, out=d)
        d += 0.5


@gelu.kernel
def _(x, approximate, *, save):
    if not kernel_fits(x) or approximate not in ("tanh", "none"):
        return NotImplemented
    exact = _gelu_erf_float32 if x.dtype == np.float32 else _gelu_erf
    return _by_chunks(_gelu_tanh if approximate == "tanh" else exact, x, save)


@gelu.kernel_vjp("x")
def _(g, derivative):
    return (g * derivative,)


@silu.kernel
def _(x, *, save):
    return _by_chunks(_silu, x, save) if kernel_fits(x) else NotImplemented


@silu.kernel_vjp("x")
def _(g, derivative):
    return (g * derivative,)


# ------------------------------------------------------------------------------------------------------ linear layers


@fused
def linear(x, weight, bias=None):
    """y = x W + b. x: (..., D), weight: (D, F), bias: (F,) or None -> (..., F)."""
    _check_linear(x, weight, bias)
    y = matmul(x, weight)
    return y if bias is None else y + bias


@linear.kernel
def _(x, weight, bias, *, save):
    if not kernel_fits(x, weight, bias) or weight.ndim != 2 or x.shape[-1:] != weight.shape[:1]:
        return NotImplemented  # the twin says what is wrong
    check_shape("linear", "bias", bias, weight.shape[1:])
    rows = x.reshape(-1, x.shape[-1])
    y = rows @ weight  # (B·T, F)
    if bias is not None:
        y += bias
    return y.reshape(*x.shape[:-1], -1), (rows, weight, bias is not None)


@linear.kernel_vjp("x", "weight", "bias")
def _(g, residuals):
    """x̄ = g Wᵀ, W̄ = xᵀ g, b̄ = Σ g: one product each, over all rows at once."""
    rows, weight, has_bias = residuals
    g2 = g.reshape(len(rows), -1)
    gx = Product(g2, weight.T, (*g.shape[:-1], len(weight)))
    return gx, Product(rows.T, g2), column_sums(g2) if has_bias else None


def _check_linear(x: Any, weight: Any, bias: Any) -> None:
    check_floats("linear", x=x, weight=weight, bias=bias)
    if not shape(x) or len(shape(weight)) != 2 or shape(x)[-1] != shape(weight)[0]:
        raise ShapeError(
            tr("linear: x {x} @ weight {weight}: wanted (..., D) @ (D, F)", x=shape(x), weight=shape(weight))
        )
    check_shape("linear", "bias", bias, shape(weight)[1:])


@fused
def embedding(ids, weight):
    """y = the rows of `weight` that `ids` name. ids: integers (...), weight: (V, D) -> (..., D).

    ids of the host are looked at there and then moved; those of a device cost the transfer of two numbers to check.
    Errors: DataError for an id that is not from 0 to V-1, DTypeError for ids that are no integers.
    """
    _check_embedding(ids, weight)
    return getitem(weight, backend.asarray(raw(ids)))


@embedding.kernel
def _(ids, weight, *, save):
    if not (isinstance(ids, np.ndarray) and ids.size and kernel_fits(weight)):
        return NotImplemented
    _check_embedding(ids, weight)
    return weight[ids], (ids, weight.shape)


@embedding.kernel_vjp("weight")
def _(g, residuals):
    """Row v of the cotangent is Σ g over the places of id v: sorted by id, each sum is a run of neighbouring rows."""
    ids, (V, D) = residuals
    ids = ids.reshape(-1).astype(np.uint16 if V <= 1 << 16 else np.int64)  # NumPy sorts 16 bits by counting: faster
    order = np.argsort(ids, kind="stable")
    ids = ids[order]
    starts = np.flatnonzero(np.concatenate(([True], ids[1:] != ids[:-1])))
    return (Rows(ids[starts], np.add.reduceat(g.reshape(-1, D)[order], starts, axis=0), (V, D)),)


def _check_embedding(ids: Any, weight: Any) -> None:
    check_floats("embedding", weight=weight)
    if len(shape(weight)) != 2:
        raise ShapeError(tr("embedding: weight has shape {got}, wanted (V, D)", got=shape(weight)))
    check_indices("embedding", "ids", raw(ids), shape(weight)[0])


# ---------------------------------------------------------------------------------------------------------- dropout


def dropout_mask(p: float, rng: Any, of: tuple[int, ...]) -> tuple[Any, float]:
    """(keep, scale): a boolean array of shape `of`, False with probability p, and 1 over the probability of True.

    p is rounded to a multiple of 2^-16, and `scale` is that of the rounded one, so that keep · scale is 1 on average.
    Errors: ConfigError for p outside [0, 1].
    """
    if not 0 <= p <= 1:
        raise ConfigError(tr("dropout: p is a probability from 0 to 1, not {got}", got=p))
    kept = round((1 - p) * 65536) / 65536
    keep = backend.bernoulli(rng, kept, of)
    if isinstance(keep, np.ndarray):
        for a in (keep, keep.base):
            if a is not None:
                a.flags.writeable = False  # nobody changes it, so the engine need not look
    return keep, 1 / kept if kept else 0.0


def dropout(x, p, rng, training=True):
    """Each entry is 0 with probability p, else divided by 1 - p; x itself where p = 0 or not training. Any shape.

    rng: the generator that the mask is drawn from (16 bits an entry). Source: Srivastava et al. 2014, section 10
    ("inverted": the scaling is done when training).
    """
    check_floats("dropout", x=x)
    if not training or p == 0:
        return x
    return masked_scale(x, *dropout_mask(p, rng, shape(x)))


@fused
def masked_scale(x, keep, scale):
    """y = scale · x where keep, else 0. keep: boolean, of x's shape; scale: a number."""
    check_floats("masked_scale", x=x)
    check_shape("masked_scale", "keep", keep, shape(x))
    return x * backend.asarray(raw(keep)) * scale


@masked_scale.kernel
def _(x, keep, scale, *, save):
    if not (kernel_fits(x) and isinstance(keep, np.ndarray)):
        return NotImplemented
    check_shape("masked_scale", "keep", keep, x.shape)
    return _masked(x, keep, scale), (keep, scale)


@masked_scale.kernel_vjp("x")
def _(g, residuals):
    """x̄ = scale · g where keep, else 0."""
    return (_masked(g, *residuals),)


def _masked(x, keep, scale):
    """scale · x where keep, else 0."""
    y = np.multiply(x, keep)
    y *= scale
    return y
