"""Fused operations: a plain twin to read, and beneath it a NumPy kernel that computes the same several times faster.

The twin is composed of the operations of ops.py: it is the definition, what CuPy runs, and what a gradient of a
gradient differentiates. The kernel returns the value together with the residuals from which one backward makes all
gradients. What buys the speed, here and in attention.py and losses.py:

- big arrays are worked through in chunks that stay in the processor's cache, in place, one simple NumPy function a pass;
- the forward keeps what makes the backward cheap: the derivative itself, or the normalised row;
- sums over rows and columns are products with a constant vector, which the BLAS does faster than `sum`;
- nothing is float64 in a float32 graph.
"""

import math
from typing import Any

import numpy as np

from minilm import backend
from minilm.autograd import ops
from minilm.autograd.ops import erf, exp, getitem, matmul, sigmoid, sqrt, tanh, where
from minilm.autograd.tensor import shape
from minilm.autograd.tensor import value as raw
from minilm.backend import xp
from minilm.errors import ConfigError, DataError, DTypeError, ShapeError
from minilm.i18n import tr

__all__ = [
    "dropout", "dropout_mask", "embedding", "gelu", "layer_norm", "linear", "log_softmax", "masked_scale", "rms_norm",
    "silu", "softmax",
]  # fmt: skip


# ------------------------------------------------------------------------------------------------- checks of arguments


def check_floats(op: str, **arrays: Any) -> None:
    """DTypeError, naming the argument, where an array does not hold floating numbers."""
    for name, a in arrays.items():
        if hasattr(a, "dtype") and a.dtype.kind != "f":
            raise DTypeError(
                tr(
                    "{op}: {name} is of {got}; it needs floating numbers: float32 or float64",
                    op=op,
                    name=name,
                    got=a.dtype,
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
    if indices.size and (int(indices.min()) < 0 or int(indices.max()) >= size):
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


def softmax(x, axis=-1):
    """p_i = exp(x_i) / Σ_j exp(x_j) along an axis, shifted by max x so that exp cannot overflow. Any shape."""
    check_floats("softmax", x=x)
    e = exp(x - xp.max(raw(x), axis=axis, keepdims=True))
    return e / ops.sum(e, axis, keepdims=True)


def log_softmax(x, axis=-1):
    """y_i = x_i - ln Σ_j exp(x_j) along an axis. Any shape."""
    check_floats("log_softmax", x=x)
    return x - ops.logsumexp(x, axis, keepdims=True)


# ------------------------------------------------------------------------------------------------------- activations


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


def silu(x):
    """y = x σ(x), σ(x) = 1 / (1 + e⁻ˣ). Any shape. Source: Elfwing et al. 2018; also called swish."""
    check_floats("silu", x=x)
    return x * sigmoid(x)


# ---------------------------------------------------------------------------------------------------- normalisation


def layer_norm(x, weight, bias, epsilon=1e-5):
    """y = weight ⊙ (x - mean x) / √(var x + ε) + bias, over the last axis; var divides by D.

    x: (..., D); weight, bias: (D,) or None. Source: Ba et al. 2016, section 3.1.
    """
    _check_norm("layer_norm", x, weight, bias)
    centred = x - ops.mean(x, -1, keepdims=True)
    y = centred / sqrt(ops.mean(centred * centred, -1, keepdims=True) + epsilon)
    y = y if weight is None else y * weight
    return y if bias is None else y + bias


def rms_norm(x, weight, epsilon=1e-6):
    """y = weight ⊙ x / √(mean x² + ε), over the last axis. x: (..., D); weight: (D,) or None.

    Source: Zhang & Sennrich 2019, equation 4.
    """
    _check_norm("rms_norm", x, weight)
    y = x / sqrt(ops.mean(x * x, -1, keepdims=True) + epsilon)
    return y if weight is None else y * weight


def _check_norm(op: str, x: Any, weight: Any, bias: Any = None) -> None:
    check_floats(op, x=x, weight=weight, bias=bias)
    if not shape(x):
        raise ShapeError(tr("{op}: x is a single number; it needs an axis to normalise over", op=op))
    check_shape(op, "weight", weight, shape(x)[-1:])
    check_shape(op, "bias", bias, shape(x)[-1:])


# ------------------------------------------------------------------------------------------------------ linear layers


def linear(x, weight, bias=None):
    """y = x W + b. x: (..., D), weight: (D, F), bias: (F,) or None -> (..., F)."""
    _check_linear(x, weight, bias)
    y = matmul(x, weight)
    return y if bias is None else y + bias


def _check_linear(x: Any, weight: Any, bias: Any) -> None:
    check_floats("linear", x=x, weight=weight, bias=bias)
    if not shape(x) or len(shape(weight)) != 2 or shape(x)[-1] != shape(weight)[0]:
        raise ShapeError(
            tr("linear: x {x} @ weight {weight}: wanted (..., D) @ (D, F)", x=shape(x), weight=shape(weight))
        )
    check_shape("linear", "bias", bias, shape(weight)[1:])


def embedding(ids, weight):
    """y = the rows of `weight` that `ids` name. ids: integers (...), weight: (V, D) -> (..., D).

    Errors: DataError for an id that is not from 0 to V-1, DTypeError for ids that are no integers.
    """
    _check_embedding(ids, weight)
    return getitem(weight, raw(ids))


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


def masked_scale(x, keep, scale):
    """y = scale · x where keep, else 0. keep: boolean, of x's shape; scale: a number."""
    check_floats("masked_scale", x=x)
    check_shape("masked_scale", "keep", keep, shape(x))
    return where(keep, x * scale, 0)
