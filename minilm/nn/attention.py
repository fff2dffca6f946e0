"""Multi-head self-attention (Vaswani et al. 2017, section 3.2) and the cache that spares generation its past."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from minilm import functional as F
from minilm.autograd import Tensor, is_recording, value
from minilm.backend import xp
from minilm.errors import ConfigError, GraphError, ShapeError
from minilm.i18n import tr
from minilm.nn.init import STD
from minilm.nn.layers import Dropout, Linear
from minilm.nn.module import Module


class MultiHeadAttention(Module):
    """y_t = [Σ_s p_ts v_s for each head] W_out, with p_t = softmax_s(scale · q_t·k_s) over the s that t may see.

    causal: t sees s ≤ t only. mask: boolean, broadcast to (B, H, T, S), False where a key is not to be seen, e.g.
    (B, 1, 1, S) for padding; a query that sees nothing gets zeros. dropout: of the weights p. scale: 1/√K if None.
    x, y: (B, T, D). ConfigError unless heads divides width.
    """

    def __init__(
        self,
        width: int,
        heads: int,
        rng: np.random.Generator,
        causal: bool = True,
        dropout: float = 0.0,
        std: float = STD,
        out_std: float = STD,
        *,
        scale: float | None = None,
    ):
        check_heads(width, heads)
        self.heads, self.causal, self.scale = heads, causal, scale
        self.qkv = Linear(width, 3 * width, rng, std=std)
        self.out = Linear(width, width, rng, std=out_std)
        self.dropout = Dropout(dropout)

    def __call__(self, x: Any, mask: Any = None, cache: "LayerCache | None" = None) -> Any:
        B, T, _ = x.shape
        S = T + (cache.length if cache else 0)
        qkv = self.qkv(x)  # (B, T, 3D)
        keep, keep_scale = self.dropout.mask(B, self.heads, T, S)  # (B, H, T, S), or None
        how = (mask, self.causal, self.scale, keep, keep_scale)
        if cache is None:
            y = F.self_attention(qkv, self.heads, *how)  # (B, T, D)
        else:
            query, key, val = split_heads(qkv, self.heads)  # each (B, H, T, K)
            key, val = cache.append(key, val)  # each (B, H, S, K)
            y = merge_heads(F.attention(query, key, val, *how))  # (B, T, D)
        return self.out(y)

    def weights(self, x: Any, mask: Any = None) -> Any:
        """p itself, (B, H, T, T): what attention returns if position s has for its value the s-th unit vector."""
        query, key, _ = split_heads(self.qkv(x), self.heads)  # each (B, H, T, K)
        units = xp.broadcast_to(xp.eye(x.shape[1], dtype=x.dtype), (*query.shape[:3], x.shape[1]))  # (B, H, T, T)
        return F.attention(query, key, units, mask=mask, causal=self.causal, scale=self.scale)


def check_heads(width: int, heads: int) -> None:
    """ConfigError unless `heads` divides `width`."""
    if heads < 1 or width % heads:
        raise ConfigError(
            tr(
                "heads is {heads}, width is {width}: heads must divide width, since each takes width / heads features",
                heads=heads,
                width=width,
            )
        )


def split_heads(qkv: Any, heads: int) -> tuple[Any, Any, Any]:
    """(B, T, 3D) -> query, key and value, each (B, H, T, K) with K = D / H."""
    B, T, D3 = qkv.shape
    parts = qkv.reshape(B, T, 3, heads, D3 // (3 * heads)).transpose(2, 0, 3, 1, 4)  # (3, B, H, T, K)
    return parts[0], parts[1], parts[2]


def merge_heads(x: Any) -> Any:
    """(B, H, T, K) -> (B, T, D), the heads side by side: the inverse of splitting."""
    B, H, T, K = x.shape
    return x.transpose(0, 2, 1, 3).reshape(B, T, H * K)


class KVCache:
    """The keys and values of all positions read so far, so that a new token costs one position's work, not T.

    Memory for `capacity` positions is taken at once: keys, values (L, B, H, capacity, K). `length` positions are held.
    It carries no gradient: use it within `no_grad()`.
    """

    def __init__(self, layers: int, batch: int, heads: int, capacity: int, head_width: int, dtype: Any = np.float32):
        self.keys = xp.zeros((layers, batch, heads, capacity, head_width), dtype)
        self.values = xp.zeros_like(self.keys)
        self.batch, self.capacity = batch, capacity
        self.length = 0

    def layer(self, index: int) -> "LayerCache":
        """What the attention of one layer sees."""
        return LayerCache(self, index)

    def advance(self, count: int) -> None:
        """Count `count` new positions as held, once every layer has appended them."""
        self.length += count

    def clear(self) -> None:
        """Forget everything; the memory stays."""
        self.length = 0

    def reorder(self, rows: Any) -> None:
        """Row i becomes what row rows[i] was, as beam search needs it; rows: integers (B,)."""
        rows = xp.asarray(rows)
        for held in (self.keys, self.values):
            held[:, :, :, : self.length] = held[:, rows, :, : self.length]


@dataclass(frozen=True)
class LayerCache:
    """One layer's part of a KVCache."""

    cache: KVCache
    index: int

    @property
    def length(self) -> int:
        """How many positions were held before this call of the model."""
        return self.cache.length

    def append(self, key: Any, val: Any) -> tuple[Any, Any]:
        """Store keys and values (B, H, T, K) after those held; all of them, as views (B, H, length + T, K)."""
        if is_recording() and isinstance(key, Tensor) and key.requires_grad:
            raise GraphError(tr("cache: no gradient flows through it; generate within `with ml.no_grad():`"))
        keys, values = self.cache.keys[self.index], self.cache.values[self.index]
        B, H, T, K = key.shape
        start, end = self.length, self.length + T
        if (keys.shape[0], keys.shape[1], keys.shape[3]) != (B, H, K) or end > self.cache.capacity:
            raise ShapeError(
                tr(
                    "cache: {got} more positions (B, H, T, K) do not fit one of shape {wanted} that holds {held}",
                    got=key.shape,
                    wanted=keys.shape,
                    held=start,
                )
            )
        keys[:, :, start:end] = value(key)
        values[:, :, start:end] = value(val)
        return keys[:, :, :end], values[:, :, :end]
