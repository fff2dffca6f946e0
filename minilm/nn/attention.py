"""Multi-head self-attention (Vaswani et al. 2017, section 3.2) and the cache that spares generation its past."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from minilm import functional as F
from minilm.autograd import Tensor, is_recording, value
from minilm.backend import asarray, xp
from minilm.errors import ConfigError, GraphError, ShapeError
from minilm.i18n import tr
from minilm.nn.init import STD
from minilm.nn.layers import Dropout, Linear
from minilm.nn.module import Module
from minilm.nn.rotary import Rotation


class MultiHeadAttention(Module):
    """y_t = [Σ_s p_ts v_s for each head] W_out, with p_t = softmax_s(scale · q_t·k_s) over the s that t may see.

    kv_heads: how many heads of keys and values there are, each read by H / kv_heads neighbouring query heads: grouped
    queries (Ainslie et al. 2023), with 1 multi-query attention (Shazeer 2019); H if None. head_width: K, D / H if None.
    bias: of both projections. scale: 1/√K if None. causal: t sees s ≤ t only. dropout: of the weights p.
    In qkv's output all queries come first, then all keys, then all values: (B, T, (H + 2 kv_heads) K).
    x, y: (B, T, D). ConfigError unless kv_heads divides heads and, without a head_width, heads divides width.
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
        kv_heads: int | None = None,
        head_width: int | None = None,
        bias: bool = True,
        scale: float | None = None,
    ):
        if head_width is None:
            check_heads(width, heads)
        self.heads, self.kv_heads = heads, kv_heads or heads
        check_kv_heads(heads, self.kv_heads)
        self.causal, self.scale = causal, scale
        K = head_width or width // heads
        self.qkv = Linear(width, (heads + 2 * self.kv_heads) * K, rng, bias, std)
        self.out = Linear(heads * K, width, rng, bias, out_std)
        self.dropout = Dropout(dropout)

    def __call__(
        self,
        x: Any,
        mask: Any = None,
        cache: "LayerCache | None" = None,
        rotary: Rotation | None = None,
        position_bias: Any = None,
    ) -> Any:
        """mask: boolean, broadcast to (B, H, T, S), False where a key is not to be seen, e.g. (B, 1, 1, S) for padding;
        a query that sees nothing gets zeros. cache: what was read before. rotary: how queries and keys are turned.
        position_bias: added to the scores, broadcast to (B, H, T, S).
        """
        B, T, _ = x.shape
        S = T + (cache.length if cache else 0)
        qkv = self.qkv(x)  # (B, T, (H + 2 Hkv) K)
        keep, keep_scale = self.dropout.mask(B, self.heads, T, S)  # (B, H, T, S), or None
        how = (mask, self.causal, self.scale, keep, keep_scale, position_bias)
        if cache is None and rotary is None and self.kv_heads == self.heads:
            return self.out(F.self_attention(qkv, self.heads, *how))  # (B, T, H K) -> (B, T, D)
        query, key, val = self._read(qkv, cache, rotary)
        return self.out(merge_heads(grouped_attention(query, key, val, *how)))

    def weights(self, x: Any, mask: Any = None, rotary: Rotation | None = None, position_bias: Any = None) -> Any:
        """p itself, (B, H, T, T): what attention returns if position s has for its value the s-th unit vector."""
        query, key, _ = self._read(self.qkv(x), None, rotary)
        T = x.shape[1]
        units = xp.broadcast_to(xp.eye(T, dtype=x.dtype), (*key.shape[:2], T, T))  # (B, Hkv, T, T)
        return grouped_attention(query, key, units, mask, self.causal, self.scale, bias=position_bias)

    def _read(self, qkv: Any, cache: "LayerCache | None", rotary: Rotation | None) -> tuple[Any, Any, Any]:
        """Query (B, H, T, K), key and value (B, Hkv, S, K), those of the cache first."""
        query, key, val = split_heads(qkv, self.heads, self.kv_heads, rotary)
        return (query, key, val) if cache is None else (query, *cache.append(key, val))


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


def check_kv_heads(heads: int, kv_heads: int) -> None:
    """ConfigError unless `kv_heads` divides `heads`."""
    if kv_heads < 1 or heads % kv_heads:
        raise ConfigError(
            tr(
                "kv_heads is {kv_heads}, heads is {heads}: kv_heads must divide heads, since each head of keys and "
                "values is read by heads / kv_heads heads of queries",
                kv_heads=kv_heads,
                heads=heads,
            )
        )


def split_heads(qkv: Any, heads: int, kv_heads: int | None = None, rotary: Rotation | None = None) -> Any:
    """(B, T, (H + 2 Hkv) K) -> query (B, H, T, K), key and value (B, Hkv, T, K), query and key turned by `rotary`."""
    B, T, width = qkv.shape
    both = heads + (kv_heads or heads)  # heads of queries and of keys
    parts = qkv.reshape(B, T, -1, width // (2 * both - heads)).transpose(0, 2, 1, 3)  # (B, H + 2 Hkv, T, K)
    turned = parts[:, :both] if rotary is None else rotary.turn(parts[:, :both])
    return turned[:, :heads], turned[:, heads:], parts[:, both:]


def merge_heads(x: Any) -> Any:
    """(B, H, T, K) -> (B, T, H K), the heads side by side: the inverse of splitting."""
    B, H, T, K = x.shape
    return x.transpose(0, 2, 1, 3).reshape(B, T, H * K)


def grouped_attention(
    query: Any,
    key: Any,
    val: Any,
    mask: Any = None,
    causal: bool = False,
    scale: float | None = None,
    keep: Any = None,
    keep_scale: float = 1.0,
    bias: Any = None,
) -> Any:
    """`F.attention` where each head of keys and values serves G neighbouring heads of queries.

    query: (B, H, T, K), key: (B, Hkv, S, K), val: (B, Hkv, S, Kv), H = G Hkv -> (B, H, T, Kv).
    """
    (B, H, T, K), (Hkv, S) = query.shape, key.shape[1:3]
    if Hkv == H:
        return F.attention(query, key, val, mask, causal, scale, keep, keep_scale, bias)
    if T > 1 or bias is not None:
        key, val = (_repeated(a, H // Hkv) for a in (key, val))  # each (B, H, S, K)
        return F.attention(query, key, val, mask, causal, scale, keep, keep_scale, bias)
    # One position, as in generation: the G queries of a group are rows of one product with keys that none repeats.
    mask, keep = (_by_group(a, (B, Hkv, H // Hkv, S)) for a in (mask, keep))  # (B, Hkv, G, S), or None
    y = F.attention(query.reshape(B, Hkv, H // Hkv, K), key, val, mask, False, scale, keep, keep_scale)
    return y.reshape(B, H, 1, -1)


def _repeated(x: Any, times: int) -> Any:
    """(B, Hkv, S, K) -> (B, Hkv · times, S, K), each head so many times in a row; of one head no copy is made."""
    B, Hkv, S, K = x.shape
    return F.broadcast_to(F.expand_dims(x, 2), (B, Hkv, times, S, K)).reshape(B, Hkv * times, S, K)


def _by_group(a: Any, grouped: tuple[int, int, int, int]) -> Any:
    """A mask of the scores of one position, (B, H, 1, S) or what broadcasts to it, as (B, Hkv, G, S)."""
    if a is None:
        return None
    B, Hkv, G, S = grouped
    return xp.broadcast_to(asarray(value(a)), (B, Hkv * G, 1, S)).reshape(grouped)


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

    def reorder(self, rows: Any) -> None:
        """Row i becomes what row rows[i] was, as beam search needs it; rows: integers (B,)."""
        rows = xp.asarray(rows)
        for held in (self.keys, self.values):
            held[:, :, :, : self.length] = held[:, rows, :, : self.length]

    def clear(self) -> None:
        """Forget everything; the memory stays."""
        self.length = 0


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
