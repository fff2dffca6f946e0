"""Normalisation: each position's vector brought to a common size, so that depth does not blow it up or fade it out."""

from typing import Any

import numpy as np

from minilm.autograd import ops
from minilm.autograd.fused import check_floats, check_shape, column_sums, kernel_fits, row_chunks
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
    if not kernel_fits(x, weight, bias):
        return NotImplemented
    _check_norm("layer_norm", x, weight, bias)
    D, rows = x.shape[-1], x.reshape(-1, x.shape[-1])
    average = np.full((D, 1), 1 / D, x.dtype)
    normal, y = np.empty_like(rows, order="C"), np.empty_like(rows, order="C")
    inverse = np.empty((len(rows), 1), x.dtype)  # 1 / √(var x + ε)
    for part in row_chunks(*rows.shape):
        h, r = normal[part], inverse[part]
        np.subtract(rows[part], rows[part] @ average, out=h)
        _inverse_root(h, epsilon, out=r)
        h *= r
        _scale_shift(h, weight, bias, out=y[part])
    return y.reshape(x.shape), (normal, inverse, weight, bias is not None)


@layer_norm.kernel_vjp("x", "weight", "bias")
def _(g, residuals):
    """x̄ = (h - mean h - n mean(h n)) / √(var x + ε), h = g ⊙ weight, n the normalised x.

    The cotangent of weight is Σ g ⊙ n, that of bias Σ g.
    """
    normal, inverse, weight, has_bias = residuals
    g2, D = g.reshape(normal.shape), normal.shape[-1]
    average = np.full((D, 1), 1 / D, g.dtype)
    gx = np.empty_like(normal)
    gweight = None if weight is None else np.zeros(D, g.dtype)
    for part in row_chunks(*normal.shape):
        h, n = gx[part], normal[part]
        _scale_back(g2[part], n, weight, gweight, out=h)
        inner = np.vecdot(h, n)[:, None] * (1 / D)
        h -= h @ average
        h -= n * inner
        h *= inverse[part]
    return gx.reshape(g.shape), gweight, column_sums(g2) if has_bias else None


def _inverse_root(h, epsilon, out):
    """1 / √(mean h² + ε) of each row."""
    np.multiply(np.vecdot(h, h)[:, None], 1 / h.shape[-1], out=out)
    out += epsilon
    np.sqrt(out, out=out)
    np.divide(1, out, out=out)


def _scale_shift(h, weight, bias, out):
    """weight ⊙ h + bias, either of which may be None."""
    if weight is None:
        out[...] = h
    else:
        np.multiply(h, weight, out=out)
    if bias is not None:
        out += bias


def _scale_back(g, normal, weight, gweight, out):
    """g ⊙ weight; adds Σ g ⊙ normal to `gweight`."""
    if weight is None:
        out[...] = g
    else:
        np.multiply(g, normal, out=out)
        gweight += column_sums(out)
        np.multiply(g, weight, out=out)


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
    if not kernel_fits(x, weight):
        return NotImplemented
    _check_norm("rms_norm", x, weight)
    rows = x.reshape(-1, x.shape[-1])
    normal, y = np.empty_like(rows, order="C"), np.empty_like(rows, order="C")
    inverse = np.empty((len(rows), 1), x.dtype)  # 1 / √(mean x² + ε)
    for part in row_chunks(*rows.shape):
        _inverse_root(rows[part], epsilon, out=inverse[part])
        np.multiply(rows[part], inverse[part], out=normal[part])
        _scale_shift(normal[part], weight, None, out=y[part])
    return y.reshape(x.shape), (normal, inverse, weight)


@rms_norm.kernel_vjp("x", "weight")
def _(g, residuals):
    """x̄ = (h - n mean(h n)) / √(mean x² + ε), h = g ⊙ weight, n the normalised x; that of weight is Σ g ⊙ n."""
    normal, inverse, weight = residuals
    g2, D = g.reshape(normal.shape), normal.shape[-1]
    gx = np.empty_like(normal)
    gweight = None if weight is None else np.zeros(D, g.dtype)
    for part in row_chunks(*normal.shape):
        h, n = gx[part], normal[part]
        _scale_back(g2[part], n, weight, gweight, out=h)
        h -= n * (np.vecdot(h, n)[:, None] * (1 / D))
        h *= inverse[part]
    return gx.reshape(g.shape), gweight


def _check_norm(op: str, x: Any, weight: Any, bias: Any = None) -> None:
    check_floats(op, x=x, weight=weight, bias=bias)
    if not shape(x):
        raise ShapeError(tr("{op}: x is a single number; it needs an axis to normalise over", op=op))
    check_shape(op, "weight", weight, shape(x)[-1:])
    check_shape(op, "bias", bias, shape(x)[-1:])
