"""One Transformer block: attention mixes positions, an MLP works on each; both add to what flows past them."""

from typing import Any

import numpy as np

from minilm.autograd import recompute
from minilm.errors import ConfigError
from minilm.i18n import tr
from minilm.nn.attention import LayerCache, MultiHeadAttention
from minilm.nn.cross_attention import CrossAttention
from minilm.nn.init import STD
from minilm.nn.layers import MLP, Dropout, GatedMLP, LayerNorm, RMSNorm
from minilm.nn.module import Module
from minilm.nn.rotary import Rotation

NORMS: dict[str, Any] = {"layer": LayerNorm, "rms": RMSNorm}
NORM_PLACES = ("pre", "post")


def check_choice(name: str, got: Any, known: Any) -> None:
    """ConfigError, with the choices there are, unless `got` is one of them."""
    if got not in known:
        raise ConfigError(
            tr("{name} is {got!r}; it must be one of {known}", name=name, got=got, known=", ".join(map(repr, known)))
        )


class Block(Module):
    """norm="pre":  x ← x + A(N₁(x)),  y = x + M(N₂(x))   (GPT-2: Radford et al. 2019, section 2.3)
    norm="post": x ← N₁(x + A(x)),  y = N₂(x + M(x))   (GPT-1 and BERT, as in Vaswani et al. 2017, section 3.1)

    A: multi-head attention; M: MLP, a gated one or not, with biases (mlp_bias) or without; N: a norm of norm_kind
    "layer" or "rms"; dropout falls on what A and M add and on the attention's weights, unless these have a rate of
    their own; mlp_dropout inside M. attention: the other switches of MultiHeadAttention: kv_heads, head_width, bias,
    scale. cross: whether, between A and M, cross-attention reads a memory, with a norm of its own and in the same way.
    x, y: (B, T, D). mask, cache, rotary, position_bias: as in MultiHeadAttention; memory, memory_mask: what
    `block.cross.read` made of the memory, and where it may be read, as in CrossAttention.
    With `block.recompute = True` its inner values are not kept for the backward but computed again: see `recompute`.
    """

    recompute = False

    def __init__(
        self,
        width: int,
        heads: int,
        rng: np.random.Generator,
        mlp_width: int | None = None,
        norm: str = "pre",
        norm_kind: str = "layer",
        epsilon: float = 1e-5,
        activation: str = "gelu_tanh",
        causal: bool = True,
        dropout: float = 0.0,
        std: float = STD,
        residual_std: float = STD,
        attention_dropout: float | None = None,
        gated: bool = False,
        mlp_bias: bool = True,
        mlp_dropout: float = 0.0,
        cross: bool = False,
        **attention: Any,
    ):
        check_choice("norm", norm, NORM_PLACES)
        check_choice("norm_kind", norm_kind, NORMS)
        self.norm_first = norm == "pre"
        self.norm1 = NORMS[norm_kind](width, epsilon)
        of_weights = dropout if attention_dropout is None else attention_dropout
        self.attention = MultiHeadAttention(width, heads, rng, causal, of_weights, std, residual_std, **attention)
        self.cross_norm = NORMS[norm_kind](width, epsilon) if cross else None
        self.cross = CrossAttention(width, heads, rng, of_weights, std, residual_std, **attention) if cross else None
        self.norm2 = NORMS[norm_kind](width, epsilon)
        kind = GatedMLP if gated else MLP
        self.mlp = kind(width, mlp_width or 4 * width, rng, activation, std, residual_std, mlp_bias, mlp_dropout)
        self.dropout = Dropout(dropout)

    def __call__(
        self,
        x: Any,
        mask: Any = None,
        cache: LayerCache | None = None,
        rotary: Rotation | None = None,
        position_bias: Any = None,
        memory: Any = None,
        memory_mask: Any = None,
    ) -> Any:
        how = (mask, cache, rotary, position_bias, memory, memory_mask)
        if self.recompute and cache is None:
            return recompute(self._forward, x, *how, parameters=self.parameters(), generators=self._generators())
        return self._forward(x, *how)

    def _generators(self) -> list[Any]:
        """The generators that dropout draws from now, each once."""
        modules = [m for _, m in self.named_modules() if isinstance(m, Dropout) and m.active]
        return list({id(m.generator): m.generator for m in modules}.values())

    def _forward(
        self,
        x: Any,
        mask: Any,
        cache: LayerCache | None,
        rotary: Rotation | None,
        position_bias: Any,
        memory: Any,
        memory_mask: Any,
    ) -> Any:
        how = (mask, cache, rotary, position_bias)
        if self.norm_first:
            x = x + self.dropout(self.attention(self.norm1(x), *how))  # (B, T, D)
            if self.cross and self.cross_norm:
                x = x + self.dropout(self.cross(self.cross_norm(x), memory, memory_mask))  # (B, T, D)
            return x + self.dropout(self.mlp(self.norm2(x)))  # (B, T, D)
        x = self.norm1(x + self.dropout(self.attention(x, *how)))  # (B, T, D)
        if self.cross and self.cross_norm:
            x = self.cross_norm(x + self.dropout(self.cross(x, memory, memory_mask)))  # (B, T, D)
        return self.norm2(x + self.dropout(self.mlp(x)))  # (B, T, D)
