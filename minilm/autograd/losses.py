"""Cross-entropy, alone and together with the head that makes the logits."""

from typing import Any

from minilm.autograd import ops
from minilm.autograd.fused import check_floats, check_indices, check_shape, log_softmax
from minilm.autograd.ops import where
from minilm.autograd.products import matmul
from minilm.autograd.shapes import expand_dims, squeeze, swapaxes, take_along_axis
from minilm.autograd.tensor import shape
from minilm.autograd.tensor import value as raw
from minilm.backend import xp
from minilm.errors import ConfigError, ShapeError
from minilm.i18n import tr

__all__ = ["cross_entropy", "linear_cross_entropy"]


def cross_entropy(logits, targets, ignore_index=-100, label_smoothing=0.0, class_weights=None, reduction="mean"):
    """ℓ_i = -Σ_c q_ic ln p_ic, p = softmax(logits), q_ic = (1 - λ) w_y [c = y] + (λ/V) w_c, y the target of row i.

    logits: (..., V); targets: integers (...); class_weights w: (V,) or None (all 1); label_smoothing λ: from 0 to 1.
    A row whose target is `ignore_index` has ℓ = 0. reduction: "none" gives ℓ (...), "sum" Σ ℓ, "mean" Σ ℓ / Σ w_y over
    the rows that count, and 0 with zero gradients if none does.
    Source: PyTorch's cross_entropy, whose values these are; smoothing: Szegedy et al. 2016, section 7.
    Errors: DataError for a target outside 0 … V-1.
    """
    _check_loss("cross_entropy", logits, targets, ignore_index, label_smoothing, class_weights, reduction)
    targets = raw(targets)
    V, dtype = shape(logits)[-1], logits.dtype
    used = targets != ignore_index
    y = xp.where(used, targets, 0)
    w = xp.ones(V, dtype) if class_weights is None else raw(class_weights).astype(dtype)
    w_y = xp.where(used, w[y], 0)  # (...)
    logp = log_softmax(logits)
    losses = -(1 - label_smoothing) * w_y * squeeze(take_along_axis(logp, expand_dims(y, -1), -1), -1)
    if label_smoothing:
        losses = losses - (label_smoothing / V) * matmul(logp, w)
    losses = where(used, losses, 0)
    if reduction == "none":
        return losses
    return ops.sum(losses) if reduction == "sum" else ops.sum(losses) / _or_one(w_y.sum())


def linear_cross_entropy(
    x, weight, targets, bias=None, ignore_index=-100, label_smoothing=0.0, class_weights=None, reduction="mean"
):
    """cross_entropy(x Wᵀ + b, targets, …), reduction "mean" or "sum", without an array of (rows, V) logits.

    x: (..., D); weight: (V, D), as a token embedding has it; bias: (V,) or None; targets: integers (...).
    """
    _check_head(x, weight, targets, bias, ignore_index, label_smoothing, class_weights, reduction)
    logits = matmul(x, swapaxes(weight))  # (..., V)
    logits = logits if bias is None else logits + bias
    return cross_entropy(logits, targets, ignore_index, label_smoothing, class_weights, reduction)


def _or_one(denominator: Any) -> Any:
    """What a mean divides by: nothing to average is 0 / 1."""
    return xp.where(denominator == 0, 1, denominator)


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
        targets = targets[targets != ignore_index]
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
