"""Attention: every query reads the values whose keys it matches (Vaswani et al. 2017, section 3.2)."""

import math
from typing import Any

import numpy as np

from minilm.autograd import ops
from minilm.autograd.fused import check_floats
from minilm.autograd.ops import exp, where
from minilm.autograd.products import matmul
from minilm.autograd.shapes import reshape, swapaxes, transpose
from minilm.autograd.tensor import shape
from minilm.autograd.tensor import value as raw
from minilm.backend import xp
from minilm.errors import ConfigError, DTypeError, ShapeError
from minilm.i18n import tr

__all__ = ["attention", "self_attention"]


def attention(query, key, value, mask=None, causal=False, scale=None, keep=None, keep_scale=1.0):
    """y = softmax(scale · q kᵀ) v, each row of the softmax over the positions that its query may read.

    query: (B, H, T, K), key: (B, H, S, K), value: (B, H, S, Kv) -> (B, H, T, Kv).
    mask: booleans that broadcast to (B, H, T, S), True where a query may read; None: everywhere.
    causal: position t also reads nothing after s = t + S - T, so that the last query reads all (a KV cache has S > T).
    scale: 1/√K where None. keep, keep_scale: dropout of the weights, as `dropout_mask` draws it for (B, H, T, S).
    A query that may read nothing gives 0, and its gradients are 0. What is masked is not read at all, however large
    its score; but it must be finite, since 0 · ∞ is not a number.
    Source: Vaswani et al. 2017, equation 1; dropout of the weights: GPT-2's and BERT's code.
    """
    _check_attention("attention", query, key, value, mask, keep)
    scores = matmul(query * _scale_of(scale, query), swapaxes(key))  # (B, H, T, S)
    visible = _visible(mask, causal, shape(scores)[-2:])
    if visible is not None:
        scores = where(visible, scores, -math.inf)
    top = xp.max(raw(scores), axis=-1, keepdims=True)
    e = exp(scores - xp.where(top == -math.inf, 0, top))
    total = ops.sum(e, -1, keepdims=True)
    weights = e / where(raw(total) == 0, 1, total)  # (B, H, T, S)
    if keep is not None:
        weights = where(keep, weights * keep_scale, 0)
    return matmul(weights, value)


def self_attention(qkv, heads, mask=None, causal=False, scale=None, keep=None, keep_scale=1.0):
    """`attention` of a sequence to itself, in `heads` heads, all in one array of queries, keys and values side by side.

    qkv: (B, T, 3D), the last axis laid out as (3, H, K) -> (B, T, D). The other arguments are those of `attention`.
    Errors: ConfigError where the number of heads does not divide the width.
    """
    B, T, D = _check_packed(qkv, heads, mask, keep)
    packed = transpose(reshape(qkv, (B, T, 3, heads, D // heads)), (2, 0, 3, 1, 4))  # (3, B, H, T, K)
    y = attention(packed[0], packed[1], packed[2], mask, causal, scale, keep, keep_scale)
    return reshape(transpose(y, (0, 2, 1, 3)), (B, T, D))


# ------------------------------------------------------------------------------------------------- arguments, checked


def _scale_of(scale: float | None, query: Any) -> float:
    return 1 / math.sqrt(shape(query)[-1]) if scale is None else scale


def _visible(mask: Any, causal: bool, last_two: tuple[int, ...]) -> Any:
    """Booleans that broadcast to (B, H, T, S): where a query may read. None: everywhere."""
    mask = raw(mask)
    if not causal:
        return mask
    T, S = last_two
    past = xp.arange(S)[None, :] <= xp.arange(T)[:, None] + (S - T)  # (T, S)
    return past if mask is None else mask & past


def _check_attention(op: str, query: Any, key: Any, value: Any, mask: Any, keep: Any) -> None:
    check_floats(op, query=query, key=key, value=value)
    q, k, v = shape(query), shape(key), shape(value)
    if not (len(q) == len(k) == len(v) == 4 and q[:2] == k[:2] == v[:2] and q[3] == k[3] and k[2] == v[2] and k[2]):
        wanted = "(B, H, T, K), (B, H, S, K), (B, H, S, Kv)"
        raise ShapeError(
            tr(
                "{op}: query {q}, key {k}, value {v} do not fit: wanted {wanted}, S at least 1",
                op=op,
                q=q,
                k=k,
                v=v,
                wanted=wanted,
            )
        )
    _check_mask(op, mask, keep, (*q[:3], k[2]))


def _check_packed(qkv: Any, heads: int, mask: Any, keep: Any) -> tuple[int, int, int]:
    """(B, T, D) of a packed array that fits."""
    check_floats("self_attention", qkv=qkv)
    if len(shape(qkv)) != 3 or shape(qkv)[2] % 3 or not shape(qkv)[1]:
        raise ShapeError(tr("self_attention: qkv has shape {got}, wanted (B, T, 3D), T at least 1", got=shape(qkv)))
    B, T, D = *shape(qkv)[:2], shape(qkv)[2] // 3
    if heads < 1 or D % heads:
        raise ConfigError(tr("self_attention: {heads} heads do not divide the width {D}", heads=heads, D=D))
    _check_mask("self_attention", mask, keep, (B, heads, T, T))
    return B, T, D


def _check_mask(op: str, mask: Any, keep: Any, scores: tuple[int, ...]) -> None:
    for name, a in (("mask", mask), ("keep", keep)):
        if a is None:
            continue
        if getattr(a, "dtype", np.dtype(object)).kind != "b":
            raise DTypeError(
                tr(
                    "{op}: {name} must be a boolean array (True: may be read), not {got}",
                    op=op,
                    name=name,
                    got=getattr(a, "dtype", type(a)),
                )
            )
        try:
            fits = np.broadcast_shapes(shape(a), scores) == scores
        except ValueError:
            fits = False
        if not fits:
            raise ShapeError(
                tr(
                    "{op}: {name} has shape {got}, which does not broadcast to (B, H, T, S) = {wanted}",
                    op=op,
                    name=name,
                    got=shape(a),
                    wanted=scores,
                )
            )
