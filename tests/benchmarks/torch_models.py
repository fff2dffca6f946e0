"""GPT, BERT and LLaMA in plain PyTorch, as its users write them: modules, and a cache that is taken at once.

Attention is scaled_dot_product_attention, or, with explicit=True, written out as in textbooks. Each model is made from
a `Size` and the weights of minilm's model, by minilm's names; `loss` takes a batch of batches.py as tensors.
"""

import math
from collections.abc import Mapping
from typing import Any

import torch
from sizes import Size
from torch import Tensor, nn
from torch.nn import functional

Batch = dict[str, Tensor]


def attend(query: Tensor, key: Tensor, val: Tensor, visible: Tensor | None, causal: bool, explicit: bool) -> Tensor:
    """(B, H, T, K), (B, H, S, K) twice -> (B, H, T, K). visible: True where a query may read; None: by `causal`."""
    if not explicit:
        return functional.scaled_dot_product_attention(query, key, val, visible, is_causal=causal)
    scores = query @ key.transpose(2, 3) * (1 / math.sqrt(query.shape[3]))  # (B, H, T, S)
    if visible is not None:
        scores = scores.masked_fill(~visible, -math.inf)
    return scores.softmax(-1) @ val


class Block(nn.Module):
    """What the three share: attention and an MLP, each added to what flows past."""

    def __init__(self, size: Size, explicit: bool, bias: bool = True):
        super().__init__()
        self.heads, self.explicit = size.heads, explicit
        self.qkv = nn.Linear(size.width, 3 * size.width, bias)
        self.out = nn.Linear(size.width, size.width, bias)

    def split(self, x: Tensor) -> tuple[Tensor, ...]:
        """Queries, keys and values, (B, T, D) -> (B, H, T, K) each."""
        B, T, D = x.shape
        return tuple(a.view(B, T, self.heads, -1).transpose(1, 2) for a in self.qkv(x).split(D, dim=2))

    def merge(self, y: Tensor) -> Tensor:
        """(B, H, T, K) -> (B, T, D)."""
        return self.out(y.transpose(1, 2).flatten(2))


# -------------------------------------------------------------------------------------------------------------- GPT


class GPTBlock(Block):
    """x ← x + A(N₁(x)), y = x + M(N₂(x))."""

    def __init__(self, size: Size, explicit: bool):
        super().__init__(size, explicit)
        self.norm1 = nn.LayerNorm(size.width, 1e-5)
        self.norm2 = nn.LayerNorm(size.width, 1e-5)
        self.up = nn.Linear(size.width, size.mlp_width)
        self.down = nn.Linear(size.mlp_width, size.width)

    def forward(self, x: Tensor, visible: Tensor | None, layer: tuple[Tensor, Tensor] | None, past: int) -> Tensor:
        query, key, val = self.split(self.norm1(x))
        T = x.shape[1]
        if layer is not None:
            keys, values = layer
            keys[:, :, past : past + T] = key
            values[:, :, past : past + T] = val
            key, val = keys[:, :, : past + T], values[:, :, : past + T]  # (B, H, S, K)
        x = x + self.merge(attend(query, key, val, visible, T > 1, self.explicit))  # (B, T, D)
        return x + self.down(functional.gelu(self.up(self.norm2(x)), approximate="tanh"))  # (B, T, D)


class TorchGPT(nn.Module):
    """Pre-norm, tanh GELU, tied head, as GPT-2."""

    def __init__(self, size: Size, weights: Mapping[str, Any], explicit: bool = False):
        super().__init__()
        self.size = size
        self.token_embedding = nn.Embedding(size.vocab_size, size.width)
        self.position_embedding = nn.Embedding(size.context, size.width)
        self.blocks = nn.ModuleList([GPTBlock(size, explicit) for _ in range(size.layers)])
        self.final_norm = nn.LayerNorm(size.width, 1e-5)
        past = torch.ones(size.context, size.context, dtype=torch.bool).tril() if explicit else None
        self.register_buffer("past", past, persistent=False)
        load(self, weights)

    def forward(self, ids: Tensor, cache: "Cache | None" = None) -> Tensor:
        """Logits (B, T, V); with a cache only those of the last position, (B, 1, V)."""
        past, T = cache.length if cache else 0, ids.shape[1]
        x = self.token_embedding(ids) + self.position_embedding(torch.arange(past, past + T))  # (B, T, D)
        visible = self.past[:T, :T] if self.past is not None and T > 1 else None
        for i, block in enumerate(self.blocks):
            x = block(x, visible, cache.layers[i] if cache else None, past)
        if cache:
            cache.length += T
            x = x[:, -1:]
        return functional.linear(self.final_norm(x), self.token_embedding.weight)

    def loss(self, batch: Batch) -> Tensor:
        return functional.cross_entropy(self(batch["ids"]).flatten(0, 1), batch["targets"].flatten())


class Cache:
    """Keys and values of some sequences: for each layer two arrays (B, H, context, K), of which `length` rows hold."""

    def __init__(self, size: Size, rows: int):
        of = (rows, size.heads, size.context, size.width // size.heads)
        self.layers = [(torch.zeros(of), torch.zeros(of)) for _ in range(size.layers)]
        self.length = 0


# ------------------------------------------------------------------------------------------------------------- BERT


class BertBlock(Block):
    """x ← N₁(x + A(x)), y = N₂(x + M(x))."""

    def __init__(self, size: Size, explicit: bool):
        super().__init__(size, explicit)
        self.norm1 = nn.LayerNorm(size.width, 1e-12)
        self.norm2 = nn.LayerNorm(size.width, 1e-12)
        self.up = nn.Linear(size.width, size.mlp_width)
        self.down = nn.Linear(size.mlp_width, size.width)

    def forward(self, x: Tensor, visible: Tensor) -> Tensor:
        x = self.norm1(x + self.merge(attend(*self.split(x), visible, False, self.explicit)))  # (B, T, D)
        return self.norm2(x + self.down(functional.gelu(self.up(x))))  # (B, T, D)


class TorchBert(nn.Module):
    """The encoder; pooled is of [CLS]."""

    def __init__(self, size: Size, explicit: bool):
        super().__init__()
        self.token_embedding = nn.Embedding(size.vocab_size, size.width)
        self.segment_embedding = nn.Embedding(2, size.width)
        self.position_embedding = nn.Embedding(size.context, size.width)
        self.embedding_norm = nn.LayerNorm(size.width, 1e-12)
        self.blocks = nn.ModuleList([BertBlock(size, explicit) for _ in range(size.layers)])
        self.pooler = nn.Linear(size.width, size.width)

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Hidden states (B, T, D) and pooled ones (B, D)."""
        ids = batch["ids"]
        x = self.token_embedding(ids) + self.segment_embedding(batch["segments"])
        x = self.embedding_norm(x + self.position_embedding.weight[: ids.shape[1]])  # (B, T, D)
        visible = batch["attention_mask"][:, None, None, :]  # (B, 1, 1, T)
        for block in self.blocks:
            x = block(x, visible)
        return x, torch.tanh(self.pooler(x[:, 0]))


class TorchBertForPreTraining(nn.Module):
    """Masked words, of which alone logits are made, and whether the second text follows the first."""

    def __init__(self, size: Size, weights: Mapping[str, Any], explicit: bool = False):
        super().__init__()
        self.bert = TorchBert(size, explicit)
        self.dense = nn.Linear(size.width, size.width)
        self.norm = nn.LayerNorm(size.width, 1e-12)
        self.bias = nn.Parameter(torch.zeros(size.vocab_size))
        self.next_sentence = nn.Linear(size.width, 2)
        load(self, weights)

    def loss(self, batch: Batch) -> Tensor:
        """batch: with the places of the masked tokens in the flat batch, (n,), and the tokens that stood there."""
        hidden, pooled = self.bert(batch)
        features = self.norm(functional.gelu(self.dense(hidden.flatten(0, 1)[batch["places"]])))  # (n, D)
        words = functional.linear(features, self.bert.token_embedding.weight, self.bias)  # (n, V)
        follows = functional.cross_entropy(self.next_sentence(pooled), batch["next_label"])
        return functional.cross_entropy(words, batch["words"]) + follows


class TorchBertForClassification(nn.Module):
    """A text, or a pair, to one of two classes."""

    def __init__(self, size: Size, weights: Mapping[str, Any], explicit: bool = False):
        super().__init__()
        self.bert = TorchBert(size, explicit)
        self.classifier = nn.Linear(size.width, 2)
        load(self, weights)

    def loss(self, batch: Batch) -> Tensor:
        return functional.cross_entropy(self.classifier(self.bert(batch)[1]), batch["labels"])


# ------------------------------------------------------------------------------------------------------------ LLaMA


class LlamaBlock(Block):
    """GPT's block with RMS norms, turned queries and keys, and SwiGLU."""

    def __init__(self, size: Size, explicit: bool):
        super().__init__(size, explicit, bias=False)
        self.norm1 = nn.RMSNorm(size.width, 1e-6)
        self.norm2 = nn.RMSNorm(size.width, 1e-6)
        self.gate = nn.Linear(size.width, size.gated_width, bias=False)
        self.up = nn.Linear(size.width, size.gated_width, bias=False)
        self.down = nn.Linear(size.gated_width, size.width, bias=False)

    def forward(self, x: Tensor, visible: Tensor | None, cos: Tensor, sin: Tensor) -> Tensor:
        query, key, val = self.split(self.norm1(x))
        query, key = (a * cos + _half_turned(a) * sin for a in (query, key))
        x = x + self.merge(attend(query, key, val, visible, True, self.explicit))  # (B, T, D)
        y = self.norm2(x)
        return x + self.down(functional.silu(self.gate(y)) * self.up(y))  # (B, T, D)


def _half_turned(x: Tensor) -> Tensor:
    """(a, b) -> (-b, a), a and b the halves of the last axis."""
    a, b = x.chunk(2, dim=-1)
    return torch.cat([-b, a], dim=-1)


class TorchLlama(nn.Module):
    """RMS norm, rotary positions, SwiGLU, no biases, a head of its own."""

    def __init__(self, size: Size, weights: Mapping[str, Any], explicit: bool = False):
        super().__init__()
        self.token_embedding = nn.Embedding(size.vocab_size, size.width)
        self.blocks = nn.ModuleList([LlamaBlock(size, explicit) for _ in range(size.layers)])
        self.final_norm = nn.RMSNorm(size.width, 1e-6)
        self.head = nn.Linear(size.width, size.vocab_size, bias=False)
        K, T = size.width // size.heads, size.context
        angles = torch.arange(T)[:, None] * 1e4 ** (-torch.arange(0, K, 2, dtype=torch.float64) / K)
        angles = torch.cat([angles, angles], dim=1)  # (T, K)
        self.register_buffer("cos", angles.cos().float(), persistent=False)
        self.register_buffer("sin", angles.sin().float(), persistent=False)
        past = torch.ones(T, T, dtype=torch.bool).tril() if explicit else None
        self.register_buffer("past", past, persistent=False)
        load(self, weights)

    def loss(self, batch: Batch) -> Tensor:
        x = self.token_embedding(batch["ids"])  # (B, T, D)
        for block in self.blocks:
            x = block(x, self.past, self.cos, self.sin)
        logits = self.head(self.final_norm(x))  # (B, T, V)
        return functional.cross_entropy(logits.flatten(0, 1), batch["targets"].flatten())


# ---------------------------------------------------------------------------------------------------------- weights


def load(model: nn.Module, weights: Mapping[str, Any]) -> None:
    """Give a model minilm's weights: a linear layer's is (out, in) here. One array at a time, to spare memory."""
    theirs = model.state_dict()
    named = {name.replace("attention.", "").replace("mlp.", ""): name for name in weights}
    if named.keys() != theirs.keys():
        raise ValueError(f"weights do not fit: {sorted(named.keys() ^ theirs.keys())}")
    for plain, name in named.items():
        array = weights[name]
        transposed = array.ndim == 2 and "embedding" not in name
        theirs[plain].copy_(torch.from_numpy(array.T if transposed else array))
