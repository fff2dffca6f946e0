"""Normalisation: each position's vector brought to a common size, so that depth does not blow it up or fade it out."""

import functools
from typing import Any

import numpy as np

from minilm.autograd import ops
from minilm.autograd.fused import CHUNK, check_floats, check_shape, column_sums, kernel_fits, row_chunks
from minilm.autograd.operation import fused
from minilm.autograd.ops import sqrt
from minilm.autograd.tensor import shape
from minilm.errors import ShapeError
from minilm.i18n import tr

__all__ = ["layer_norm", "rms_norm"]


@fused
def layer_norm(x, weight, bias, epsilon=1e-5):
    """y = weight ⊙ (x - mean x) / √(var x + ε) + bias, over the last axis; var divides by D.

    x: (..., D); weight, bias: (D,) or None. Source: Ba et al. 2016, section 3.1.
    """
    _check_norm("layer_norm", x, weight, bias)
    centred = x - ops.mean(x, -1, keepdims=True)
    y = centred / sqrt(ops.mean(centred * centred, -1, keepdims=True) + epsilon)
    y = y if weight is None else y * weight
    return y if bias is None else y + bias


@layer_norm.kernel
def _(x, weight, bias, epsilon, *, save):
    if not (kernel_fits(x, weight, bias) and _parts_fit(x, weight, bias)):
        return NotImplemented  # the twin says what is wrong
    rows = x.reshape(-1, x.shape[-1])
    if not save and rows.size <= CHUNK:  # as in generation, where each call of NumPy counts
        y = np.subtract(rows, rows @ _averaging(rows.shape[1], x.dtype.char))
        y *= _inverse_root(y, epsilon)
        return _affine(y, weight, bias, y).reshape(x.shape), None
    normal, y = np.empty(rows.shape, x.dtype), np.empty(rows.shape, x.dtype)
    inverse = np.empty((len(rows), 1), x.dtype)
    for part in row_chunks(len(rows), rows.shape[1], CHUNK):
        n = np.subtract(rows[part], rows[part] @ _averaging(rows.shape[1], x.dtype.char), out=normal[part])
        inverse[part] = _inverse_root(n, epsilon)
        n *= inverse[part]
        _affine(n, weight, bias, y[part])
    return y.reshape(x.shape), (normal, inverse, weight, bias is not None)


@layer_norm.kernel_vjp("x", "weight", "bias")
def _(g, residuals):
    """x̄ = (h - mean h - n mean(h n)) / √(var x + ε), h = g ⊙ weight, n the normalised x.

    The cotangent of weight is Σ g ⊙ n, that of bias Σ g.
    """
    normal, inverse, weight, has_bias = residuals
    g2 = g.reshape(normal.shape)
    D, gx = normal.shape[1], np.empty(normal.shape, g.dtype)
    gweight = None if weight is None else np.zeros(D, g.dtype)
    for part in row_chunks(len(normal), normal.shape[1], CHUNK):
        n, h = normal[part], _scale_back(g2[part], normal[part], weight, gx[part], gweight)
        rest = n * (np.vecdot(h, n)[:, None] * (1 / D))
        rest += h @ _averaging(D, g.dtype.char)
        h -= rest
        h *= inverse[part]
    return gx.reshape(g.shape), gweight, column_sums(g2) if has_bias else None


@functools.lru_cache(maxsize=64)
def _averaging(D: int, kind: str) -> np.ndarray:
    """The (D, 1) vector of 1/D: rows @ it is the mean of each row, several times faster than `mean`."""
    return np.full((D, 1), 1 / D, kind)


def _inverse_root(rows, epsilon):
    """1 / √(mean row² + ε) of each row. (N, D) -> (N, 1)"""
    r = np.vecdot(rows, rows)[:, None]
    r *= 1 / rows.shape[1]
    r += epsilon
    np.sqrt(r, out=r)
    return np.divide(1, r, out=r)


def _affine(rows, weight, bias, out):
    """rows ⊙ weight + bias, each None for 1 or 0, into `out`."""
    if weight is not None:
        np.multiply(rows, weight, out=out)
    elif out is not rows:
        out[...] = rows
    if bias is not None:
        out += bias
    return out


def _scale_back(g, normal, weight, out, gweight):
    """g ⊙ weight, into `out`; Σ g ⊙ normal, the cotangent of weight, is added to `gweight`, if there is one."""
    if weight is not None:
        gweight += column_sums(np.multiply(g, normal, out=out))
    return _affine(g, weight, None, out)


@fused
def rms_norm(x, weight, epsilon=1e-6):
    """y = weight ⊙ x / √(mean x² + ε), over the last axis. x: (..., D); weight: (D,) or None.

    Source: Zhang & Sennrich 2019, equation 4.
    """
    _check_norm("rms_norm", x, weight)
    y = x / sqrt(ops.mean(x * x, -1, keepdims=True) + epsilon)
    return y if weight is None else y * weight


@rms_norm.kernel
def _(x, weight, epsilon, *, save):
    if not (kernel_fits(x, weight) and _parts_fit(x, weight)):
        return NotImplemented
    rows = x.reshape(-1, x.shape[-1])
    if not save and rows.size <= CHUNK:
        y = rows * _inverse_root(rows, epsilon)
        return _affine(y, weight, None, y).reshape(x.shape), None
    normal, y = np.empty(rows.shape, x.dtype), np.empty(rows.shape, x.dtype)
    inverse = np.empty((len(rows), 1), x.dtype)
    for part in row_chunks(len(rows), rows.shape[1], CHUNK):
        inverse[part] = _inverse_root(rows[part], epsilon)
        np.multiply(rows[part], inverse[part], out=normal[part])
        _affine(normal[part], weight, None, y[part])
    return y.reshape(x.shape), (normal, inverse, weight)


@rms_norm.kernel_vjp("x", "weight")
def _(g, residuals):
    """x̄ = (h - n mean(h n)) / √(mean x² + ε), h = g ⊙ weight, n the normalised x; that of weight is Σ g ⊙ n."""
    normal, inverse, weight = residuals
    g2, gx = g.reshape(normal.shape), np.empty(normal.shape, g.dtype)
    gweight = None if weight is None else np.zeros(normal.shape[1], g.dtype)
    for part in row_chunks(len(normal), normal.shape[1], CHUNK):
        n, h = normal[part], _scale_back(g2[part], normal[part], weight, gx[part], gweight)
        h -= n * (np.vecdot(h, n)[:, None] * (1 / n.shape[1]))
        h *= inverse[part]
    return gx.reshape(g.shape), gweight


def _check_norm(op: str, x: Any, weight: Any, bias: Any = None) -> None:
    check_floats(op, x=x, weight=weight, bias=bias)
    if not shape(x):
        raise ShapeError(tr("{op}: x is a single number; it needs an axis to normalise over", op=op))
    check_shape(op, "weight", weight, shape(x)[-1:])
    check_shape(op, "bias", bias, shape(x)[-1:])


def _parts_fit(x: np.ndarray, *parts: np.ndarray | None) -> bool:
    """Whether weight and bias, where there are any, are of the size that x is normalised over."""
    return x.ndim > 0 and all([p is None or p.shape == x.shape[-1:] for p in parts])
