"""Cross-entropy, alone and together with the head that makes the logits.

A loss is the end of the graph and its cotangent one number, so a kernel makes the gradient of the logits on its way
forward, in place of the logits, while they lie in the cache; with the head, it goes on at once to the gradients of the
hidden states and of the head, and the (rows, V) logits, the largest array of a training step, never exist at once.
"""

import math
from typing import Any, NamedTuple

import numpy as np

from minilm import backend
from minilm.autograd import ops
from minilm.autograd.fused import (
    check_floats,
    check_indices,
    check_shape,
    column_sums,
    kernel_fits,
    log_softmax,
    row_chunks,
)
from minilm.autograd.later import Later, Product, Scaled
from minilm.autograd.operation import fused
from minilm.autograd.ops import where
from minilm.autograd.products import matmul
from minilm.autograd.shapes import expand_dims, squeeze, swapaxes, take_along_axis
from minilm.autograd.tensor import shape
from minilm.autograd.tensor import value as raw
from minilm.backend import xp
from minilm.errors import ConfigError, ShapeError
from minilm.i18n import tr

__all__ = ["cross_entropy", "linear_cross_entropy"]

LOGITS_BYTES = 1 << 25  # memory of the logits that the head makes at once
LOGITS_ROWS = 512  # and at least so many rows of them, without which the products are slow


@fused
def cross_entropy(logits, targets, ignore_index=-100, label_smoothing=0.0, class_weights=None, reduction="mean"):
    """ℓ_i = -Σ_c q_ic ln p_ic, p = softmax(logits), q_ic = (1 - λ) w_y [c = y] + (λ/V) w_c, y the target of row i.

    logits: (..., V); targets: integers (...); class_weights w: (V,) or None (all 1); label_smoothing λ: from 0 to 1.
    A row whose target is `ignore_index` has ℓ = 0. reduction: "none" gives ℓ (...), "sum" Σ ℓ, "mean" Σ ℓ / Σ w_y over
    the rows that count, and 0 with zero gradients if none does.
    Source: PyTorch's cross_entropy, whose values these are; smoothing: Szegedy et al. 2016, section 7.
    Errors: DataError for a target outside 0 … V-1.
    """
    _check_loss("cross_entropy", logits, targets, ignore_index, label_smoothing, class_weights, reduction)
    return _cross_entropy(logits, targets, ignore_index, label_smoothing, class_weights, reduction)


def _cross_entropy(logits, targets, ignore_index, label_smoothing, class_weights, reduction):
    """The definition, of arguments that are in order."""
    targets = backend.asarray(raw(targets))
    V, dtype = shape(logits)[-1], logits.dtype
    used = targets != ignore_index
    y = xp.where(used, targets, 0)
    w = xp.ones(V, dtype) if class_weights is None else backend.asarray(raw(class_weights), dtype)
    w_y = xp.where(used, w[y], 0)  # (...)
    logp = log_softmax(logits)
    losses = -(1 - label_smoothing) * w_y * squeeze(take_along_axis(logp, expand_dims(y, -1), -1), -1)
    if label_smoothing:
        losses = losses - (label_smoothing / V) * matmul(logp, w)
    losses = where(used, losses, 0)
    if reduction == "none":
        return losses
    return ops.sum(losses) if reduction == "sum" else ops.sum(losses) / _or_one(w_y.sum())


@fused
def linear_cross_entropy(
    x, weight, targets, bias=None, ignore_index=-100, label_smoothing=0.0, class_weights=None, reduction="mean"
):
    """cross_entropy(x Wᵀ + b, targets, …), reduction "mean" or "sum", without an array of (rows, V) logits.

    x: (..., D); weight: (V, D), as a token embedding has it; bias: (V,) or None; targets: integers (...).
    """
    _check_head(x, weight, targets, bias, ignore_index, label_smoothing, class_weights, reduction)
    logits = matmul(x, swapaxes(weight))  # (..., V)
    logits = logits if bias is None else logits + bias
    return _cross_entropy(logits, targets, ignore_index, label_smoothing, class_weights, reduction)


def _or_one(denominator: Any) -> Any:
    """What a mean divides by: nothing to average is 0 / 1."""
    return xp.where(denominator == 0, 1, denominator)


# ------------------------------------------------------------------------------------------------------- the kernels


class _Goal(NamedTuple):
    """What the rows that count (n of them) are compared with: ℓ_i = -own_i ln p_iy - Σ_c all_c ln p_ic."""

    used: np.ndarray | None  # which rows count; None: all
    y: np.ndarray  # (n,)
    own: np.ndarray  # (1 - λ) w_y, (n,)
    all: np.ndarray | None  # λ/V w, (V,); None without smoothing
    factor: Any  # the loss is factor · Σ ℓ: 1, or 1 / Σ w_y

    def part(self, rows: slice) -> "_Goal":
        return self._replace(y=self.y[rows], own=self.own[rows])


def _goal(targets, V, dtype, ignore_index, label_smoothing, class_weights, reduction) -> _Goal:
    targets = targets.reshape(-1)
    used = np.flatnonzero(targets != ignore_index)
    y = targets[used]
    w = np.ones(V, dtype) if class_weights is None else np.asarray(class_weights, dtype)
    w_y = w[y]
    factor = 1 / _or_one(w_y.sum()) if reduction == "mean" else dtype.type(1)
    smooth = w * (label_smoothing / V) if label_smoothing else None
    return _Goal(None if len(y) == len(targets) else used, y, w_y * (1 - label_smoothing), smooth, factor)


def _losses(z: np.ndarray, goal: _Goal, save: bool) -> np.ndarray:
    """ℓ (n,) of logits z (n, V), which it overwrites, if asked, with the gradient of factor · Σ ℓ.

    ∂ℓ_i/∂z_ic = mass_i p_ic - own_i [c = y_i] - all_c, mass_i = own_i + Σ_c all_c.
    """
    at = (np.arange(len(z)), goal.y)
    z -= z.max(-1, keepdims=True)
    losses = -goal.own * z[at]
    mass = goal.own
    if goal.all is not None:
        losses -= z @ goal.all
        mass = mass + goal.all.sum()
    np.exp(z, out=z)
    total = z @ np.ones(z.shape[1], z.dtype)
    losses += mass * np.log(total)
    if save:
        z *= (mass * goal.factor / total)[:, None]
        z[at] -= goal.own * goal.factor
        if goal.all is not None:
            z -= goal.all * goal.factor
    return losses


def _all_rows(gradient: np.ndarray, used: np.ndarray | None, rows: int) -> np.ndarray:
    """The gradient of all rows, those that do not count being 0."""
    if used is None:
        return gradient
    full = np.zeros((rows, gradient.shape[1]), gradient.dtype)
    full[used] = gradient
    return full


@cross_entropy.kernel
def _(logits, targets, ignore_index, label_smoothing, class_weights, reduction, *, save):
    if not (kernel_fits(logits) and isinstance(targets, np.ndarray)):
        return NotImplemented
    _check_loss("cross_entropy", logits, targets, ignore_index, label_smoothing, class_weights, reduction)
    rows = logits.reshape(-1, logits.shape[-1])
    goal = _goal(targets, rows.shape[1], rows.dtype, ignore_index, label_smoothing, class_weights, reduction)
    n, V = len(goal.y), rows.shape[1]
    gradient = np.empty((n, V), rows.dtype) if save else None
    losses = np.empty(n, rows.dtype)
    for part in row_chunks(n, V):
        z = rows[part if goal.used is None else goal.used[part]]
        if gradient is not None:
            gradient[part] = z
            z = gradient[part]
        elif goal.used is None:
            z = z.copy()
        losses[part] = _losses(z, goal.part(part), save)
    if reduction == "none":
        losses = _all_rows(losses[:, None], goal.used, len(rows)).reshape(targets.shape)
    else:
        losses = losses.sum() * goal.factor
    return losses, (gradient, goal.used, logits.shape)


@cross_entropy.kernel_vjp("logits")
def _(g, residuals):
    gradient, used, of = residuals
    if g.ndim:
        g = g.reshape(-1, 1) if used is None else g.reshape(-1, 1)[used]
    return (_all_rows(gradient * g, used, math.prod(of[:-1])).reshape(of),)


@linear_cross_entropy.kernel
def _(x, weight, targets, bias, ignore_index, label_smoothing, class_weights, reduction, *, save):
    if not (kernel_fits(x, weight, bias) and isinstance(targets, np.ndarray)):
        return NotImplemented
    _check_head(x, weight, targets, bias, ignore_index, label_smoothing, class_weights, reduction)
    (V, D), dtype = weight.shape, x.dtype
    goal = _goal(targets, V, dtype, ignore_index, label_smoothing, class_weights, reduction)
    rows = x.reshape(-1, D) if goal.used is None else x.reshape(-1, D)[goal.used]  # (n, D)
    step = max(LOGITS_ROWS, LOGITS_BYTES // (V * dtype.itemsize))
    buffer = np.empty((min(step, len(rows)), V), dtype)
    gradients = _HeadGradients(rows, weight, bias) if save else None
    total = dtype.type(0)
    for i in range(0, len(rows), step):
        part = slice(i, min(i + step, len(rows)))
        z = np.matmul(rows[part], weight.T, out=buffer[: part.stop - i])
        if bias is not None:
            z += bias
        for some in row_chunks(*z.shape):
            total += _losses(z[some], goal.part(part).part(some), save).sum()
        if gradients is not None:
            gradients.add(part, z)
    return total * goal.factor, (gradients, goal.used, x.shape)


class _HeadGradients:
    """The cotangents of the head's arguments, summed over chunks of rows of the gradient of the logits.

    Where one chunk is all, it is kept, and the cotangent of the weight, often the model's largest array, is made by the
    backward where it will lie.
    """

    def __init__(self, rows: np.ndarray, weight: np.ndarray, bias: np.ndarray | None):
        self.rows, self.weight = rows, weight
        self.x = np.empty_like(rows)
        self.whole: np.ndarray | None = None  # the only chunk
        self.w: Any = np.zeros_like(weight, order="C") if not len(rows) else None
        self.b = None if bias is None else np.zeros_like(bias)

    def add(self, part: slice, z: np.ndarray) -> None:
        np.matmul(z, self.weight, out=self.x[part])
        if len(z) == len(self.rows):
            self.whole = z
        elif self.w is None:
            self.w = z.T @ self.rows[part]
        else:
            self.w += z.T @ self.rows[part]
        if self.b is not None:
            self.b += column_sums(z)

    def of_weight(self, g: Any) -> Later:
        """Its cotangent, where that of the loss is g."""
        return Scaled(self.w, g) if self.whole is None else Product(self.whole.T, self.rows * g)


@linear_cross_entropy.kernel_vjp("x", "weight", "bias")
def _(g, residuals):
    gradients, used, of = residuals
    gx = _all_rows(gradients.x * g, used, math.prod(of[:-1])).reshape(of)
    return gx, gradients.of_weight(g), None if gradients.b is None else gradients.b * g


# ------------------------------------------------------------------------------------------------- arguments, checked


def _check_loss(op, logits, targets, ignore_index, label_smoothing, class_weights, reduction) -> None:
    check_floats(op, logits=logits)
    if not shape(logits):
        raise ShapeError(tr("{op}: logits is a single number, wanted (..., V)", op=op))
    _check_targets(op, shape(logits)[:-1], shape(logits)[-1], targets, ignore_index)
    _check_options(op, shape(logits)[-1], label_smoothing, class_weights, reduction, ("mean", "sum", "none"))


def _check_head(x, weight, targets, bias, ignore_index, label_smoothing, class_weights, reduction) -> None:
    op = "linear_cross_entropy"
    check_floats(op, x=x, weight=weight, bias=bias)
    if not shape(x) or len(shape(weight)) != 2 or shape(x)[-1] != shape(weight)[1]:
        raise ShapeError(
            tr("{op}: x {x} and weight {weight}: wanted (..., D) and (V, D)", op=op, x=shape(x), weight=shape(weight))
        )
    check_shape(op, "bias", bias, shape(weight)[:1])
    _check_targets(op, shape(x)[:-1], shape(weight)[0], targets, ignore_index)
    _check_options(op, shape(weight)[0], label_smoothing, class_weights, reduction, ("mean", "sum"))


def _check_targets(op: str, rows: tuple[int, ...], V: int, targets: Any, ignore_index: int) -> None:
    targets = raw(targets)
    check_shape(op, "targets", targets, rows)
    if hasattr(targets, "dtype") and targets.dtype.kind in "iu":
        targets = targets * (targets != ignore_index)  # 0, which is in range
    check_indices(op, "targets", targets, V)


def _check_options(
    op: str, V: int, smoothing: float, class_weights: Any, reduction: str, known: tuple[str, ...]
) -> None:
    check_floats(op, class_weights=class_weights)
    check_shape(op, "class_weights", class_weights, (V,))
    if not 0 <= smoothing <= 1:
        raise ConfigError(tr("{op}: label_smoothing is from 0 to 1, not {got}", op=op, got=smoothing))
    if reduction not in known:
        raise ConfigError(
            tr("{op}: reduction {got!r} is unknown: use one of {known}", op=op, got=reduction, known=", ".join(known))
        )
