"""GPT-2 in plain PyTorch, as its users write it: modules, scaled_dot_product_attention, a cache taken at once."""

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from minilm.models import GPTConfig


class Block(nn.Module):
    """x ← x + A(N₁(x)), y = x + M(N₂(x))."""

    def __init__(self, config: GPTConfig):
        super().__init__()
        D, self.heads = config.width, config.heads
        self.norm1 = nn.LayerNorm(D, config.epsilon)
        self.qkv = nn.Linear(D, 3 * D)
        self.out = nn.Linear(D, D)
        self.norm2 = nn.LayerNorm(D, config.epsilon)
        self.up = nn.Linear(D, config.mlp_width)
        self.down = nn.Linear(config.mlp_width, D)

    def forward(self, x: Tensor, layer: tuple[Tensor, Tensor] | None, past: int) -> Tensor:
        x = x + self.attention(self.norm1(x), layer, past)  # (B, T, D)
        return x + self.down(functional.gelu(self.up(self.norm2(x)), approximate="tanh"))  # (B, T, D)

    def attention(self, x: Tensor, layer: tuple[Tensor, Tensor] | None, past: int) -> Tensor:
        B, T, D = x.shape
        query, key, val = (a.view(B, T, self.heads, -1).transpose(1, 2) for a in self.qkv(x).split(D, dim=2))
        if layer is not None:
            keys, values = layer
            keys[:, :, past : past + T] = key
            values[:, :, past : past + T] = val
            key, val = keys[:, :, : past + T], values[:, :, : past + T]  # (B, H, S, K)
        y = functional.scaled_dot_product_attention(query, key, val, is_causal=T > 1)  # (B, H, T, K)
        return self.out(y.transpose(1, 2).reshape(B, T, D))


class TorchGPT(nn.Module):
    """The GPT of a minilm configuration: pre-norm, tanh GELU, tied head. weights: a minilm GPT's state_dict()."""

    def __init__(self, config: GPTConfig, weights: dict[str, np.ndarray]):
        super().__init__()
        self.config = config
        self.token_embedding = nn.Embedding(config.vocab_size, config.width)
        self.position_embedding = nn.Embedding(config.context, config.width)
        self.blocks = nn.ModuleList([Block(config) for _ in range(config.layers)])
        self.final_norm = nn.LayerNorm(config.width, config.epsilon)
        self.load_state_dict(_translated(weights))

    def forward(self, ids: Tensor, cache: "Cache | None" = None) -> Tensor:
        """Logits (B, T, V); with a cache only those of the last position, (B, 1, V)."""
        past = cache.length if cache else 0
        positions = torch.arange(past, past + ids.shape[1])
        x = self.token_embedding(ids) + self.position_embedding(positions)  # (B, T, D)
        for i, block in enumerate(self.blocks):
            x = block(x, cache.layers[i] if cache else None, past)
        if cache:
            cache.length += ids.shape[1]
            x = x[:, -1:]
        return functional.linear(self.final_norm(x), self.token_embedding.weight)

    @torch.inference_mode()
    def generate(self, ids: Tensor, count: int) -> Tensor:
        """ids (1, T) with the `count` most probable tokens that follow, one by one. T + count - 1 ≤ the context."""
        cache, new = Cache(self.config), ids
        for _ in range(count):
            new = self(new, cache).argmax(-1)  # (1, 1)
            ids = torch.cat([ids, new], dim=1)
        return ids


class Cache:
    """Keys and values of one sequence: for each layer two arrays (1, H, context, K), of which `length` rows hold."""

    def __init__(self, config: GPTConfig):
        of = (1, config.heads, config.context, config.width // config.heads)
        self.layers = [(torch.zeros(of), torch.zeros(of)) for _ in range(config.layers)]
        self.length = 0


def _translated(weights: dict[str, np.ndarray]) -> dict[str, Tensor]:
    """minilm's names and layouts to PyTorch's: a linear layer's weight is (out, in) there."""
    found = {}
    for name, array in weights.items():
        plain = name.replace("attention.", "").replace("mlp.", "")
        transposed = array.ndim == 2 and "embedding" not in name
        found[plain] = torch.tensor(array.T.copy() if transposed else array)
    return found
