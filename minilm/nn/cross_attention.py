"""Cross-attention: a decoder reads what an encoder made, its memory (Vaswani et al. 2017, section 3.2.3)."""

from typing import Any

import numpy as np

from minilm.nn.attention import check_heads, check_kv_heads, grouped_attention, merge_heads
from minilm.nn.init import STD
from minilm.nn.layers import Dropout, Linear
from minilm.nn.module import Module


class CrossAttention(Module):
    """y_t = [Σ_s p_ts v_s for each head] W_out, p_t = softmax_s(scale · q_t·k_s): q of x, k and v of a memory m.

    No position is masked but where the memory is padding, and none has a place: what to read is told by content alone.
    x, y: (B, T, D), m: (B, S, D). kv_heads, head_width, bias, scale, dropout: as in MultiHeadAttention.
    """

    def __init__(
        self,
        width: int,
        heads: int,
        rng: np.random.Generator,
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
        self.heads, self.kv_heads, self.scale = heads, kv_heads or heads, scale
        check_kv_heads(heads, self.kv_heads)
        K = head_width or width // heads
        self.query = Linear(width, heads * K, rng, bias, std)
        self.key_value = Linear(width, 2 * self.kv_heads * K, rng, bias, std)
        self.out = Linear(heads * K, width, rng, bias, out_std)
        self.dropout = Dropout(dropout)

    def read(self, memory: Any) -> Any:
        """All keys of a memory, then all values: (B, S, D) -> (B, S, 2 Hkv K). In generation, once for all tokens."""
        return self.key_value(memory)

    def __call__(self, x: Any, memory: Any, mask: Any = None) -> Any:
        """memory: what `read` made of it. mask: booleans that broadcast to (B, H, T, S), False where it is padding."""
        (B, T, _), (S, width) = x.shape, memory.shape[1:]
        K = width // (2 * self.kv_heads)
        query = self.query(x).reshape(B, T, self.heads, K).transpose(0, 2, 1, 3)  # (B, H, T, K)
        both = memory.reshape(B, S, -1, K).transpose(0, 2, 1, 3)  # (B, 2 Hkv, S, K)
        keep, keep_scale = self.dropout.mask(B, self.heads, T, S)  # (B, H, T, S), or None
        how = (mask, False, self.scale, keep, keep_scale)
        y = grouped_attention(query, both[:, : self.kv_heads], both[:, self.kv_heads :], *how)  # (B, H, T, K)
        return self.out(merge_heads(y))  # (B, T, D)
