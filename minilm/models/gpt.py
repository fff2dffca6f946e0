"""GPT, the decoder-only Transformer language model, from token ids to logits and loss.

    h₀ = E[ids] + P[0…T−1]        token and position embeddings
    h_l = Block(h_{l−1})          l = 1 … L, causal: position t sees positions ≤ t
    logits = N(h_L) Eᵀ            the head is tied to E; the final norm N is GPT-2's, GPT-1 has none

norm="pre" is GPT-2 (Radford et al. 2019, section 2.3), norm="post" is GPT-1 (Radford et al. 2018, sections 3.1, 4.1).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from minilm import functional as F
from minilm.autograd import Tensor, no_grad, value
from minilm.backend import anywhere, asarray, to_numpy
from minilm.errors import ConfigError
from minilm.i18n import tr
from minilm.models.base import Config, Model, last
from minilm.models.checks import (
    check_counts,
    check_dropout,
    check_epsilon,
    check_initial_std,
    check_switch,
    checked_ids,
    checked_mask,
)
from minilm.nn.attention import KVCache, check_heads
from minilm.nn.block import NORM_PLACES, Block, check_choice
from minilm.nn.init import STD, residual_std
from minilm.nn.layers import ACTIVATIONS, Dropout, Embedding, LayerNorm, Linear

INIT, DROPOUT = 0x696E6974, 0x64726F70  # purposes in the key of a generator: "init" and "drop" in ASCII


@dataclass(frozen=True)
class GPTConfig(Config):
    """What fixes a GPT's shape; a ConfigError names the first setting that cannot be.

    vocab_size V, context (the most positions it can read), width D, layers L, heads H (must divide D).
    mlp_width: F, 4 D if None. norm: "pre" (GPT-2, with a final norm) or "post" (GPT-1, without).
    activation: of the MLP, "gelu_tanh" in both. tied: the head is the token embedding. epsilon: of the norms.
    dropout: of what attention and MLP add, and, if they are None, embedding_dropout, of the embeddings' sum, and
    attention_dropout, of the attention's weights.
    causal: False takes the mask away, so that every position reads the very tokens that it is to predict. Such a model
    is of no use but to see what a leak looks like.
    scale_attention: whether scores are divided by √K. scale_by_layer: whether those of block l are by l as well.
    initial_std: of the weights.
    """

    kind: ClassVar[str] = "GPT"

    vocab_size: int
    context: int = 256
    width: int = 128
    layers: int = 4
    heads: int = 4
    mlp_width: int | None = None
    dropout: float = 0.0
    norm: str = "pre"
    activation: str = "gelu_tanh"
    tied: bool = True
    epsilon: float = 1e-5
    causal: bool = True
    embedding_dropout: float | None = None
    attention_dropout: float | None = None
    scale_attention: bool = True
    scale_by_layer: bool = False
    initial_std: float = STD

    def __post_init__(self) -> None:
        if self.mlp_width is None:
            object.__setattr__(self, "mlp_width", 4 * self.width if isinstance(self.width, int) else None)
        check_counts(self, ("vocab_size", "context", "width", "layers", "heads", "mlp_width"))
        check_heads(self.width, self.heads)
        check_choice("norm", self.norm, NORM_PLACES)
        check_choice("activation", self.activation, ACTIVATIONS)
        for name in ("dropout", "embedding_dropout", "attention_dropout"):
            check_dropout(self, name)
        check_epsilon(self.epsilon)
        check_initial_std(self.initial_std)
        for name in ("tied", "causal", "scale_attention", "scale_by_layer"):
            check_switch(self, name)

    def attention_scale(self, layer: int) -> float | None:
        """What the scores of block `layer`, from 0, are multiplied by; None for 1/√K."""
        if self.scale_attention and not self.scale_by_layer:
            return None
        scale = (self.width // self.heads) ** -0.5 if self.scale_attention else 1.0
        return scale / (layer + 1) if self.scale_by_layer else scale


class GPT(Model):
    """A GPT of the given shape, its weights a pure function of `seed`.

    Weights begin as N(0, σ²), σ = initial_std = .02, biases as 0. In GPT-2 the position embeddings begin with σ/2 and
    the projections that write into the residual stream with σ/√(2L).
    """

    def __init__(self, config: GPTConfig, seed: int = 0):
        self.config = c = config
        rng = np.random.default_rng([seed, INIT])
        gpt2, std = c.norm == "pre", c.initial_std
        self.token_embedding = Embedding(c.vocab_size, c.width, rng, std)
        self.position_embedding = Embedding(c.context, c.width, rng, std / 2 if gpt2 else std)
        self.dropout = Dropout(c.dropout if c.embedding_dropout is None else c.embedding_dropout)
        self.blocks = [
            Block(
                c.width,
                c.heads,
                rng,
                mlp_width=c.mlp_width,
                norm=c.norm,
                epsilon=c.epsilon,
                activation=c.activation,
                causal=c.causal,
                dropout=c.dropout,
                attention_dropout=c.attention_dropout,
                scale=c.attention_scale(i),
                std=std,
                residual_std=residual_std(c.layers, std) if gpt2 else std,
            )
            for i in range(c.layers)
        ]
        self.final_norm = LayerNorm(c.width, c.epsilon) if gpt2 else None
        self.head = None if c.tied else Linear(c.width, c.vocab_size, rng, bias=False, std=std)
        self.set_generator(np.random.default_rng([seed, DROPOUT]))

    def __call__(self, ids: Any, attention_mask: Any = None, cache: KVCache | None = None) -> Any:
        """Logits (B, T, V): softmax(logits[b, t]) is the distribution of the token after ids[b, :t + 1].

        ids: integers (B, T), T at most the context. attention_mask: (B, T), bool or 0/1, False where ids are padding,
        on either side; padding is seen by no one, and positions count only what is not padding.
        cache: from `new_cache`; ids are then what follows the positions that it holds, and attention_mask (B, S)
        covers those too. Errors: ShapeError, DTypeError, DataError (an id outside the vocabulary).
        """
        return self.logits(self.hidden(ids, attention_mask, cache))  # (B, T, V)

    def hidden(self, ids: Any, attention_mask: Any = None, cache: KVCache | None = None) -> Any:
        """The last hidden states (B, T, D), before the head; arguments as for a call."""
        return self.transform(self.embed(ids, attention_mask, cache), attention_mask, cache)

    def embed(self, ids: Any, attention_mask: Any = None, cache: KVCache | None = None) -> Any:
        """h₀ = E[ids] + P[positions], (B, T, D)."""
        past = cache.length if cache else 0
        ids = checked_ids(ids, self.config.vocab_size, self.config.context, past)
        B, T = ids.shape
        if attention_mask is None:
            places = F.getitem(self.position_embedding.weight, slice(past, past + T))  # (T, D)
        else:
            real = checked_mask(attention_mask, (B, past + T))
            places = self.position_embedding((real.cumsum(axis=1) - 1).clip(0)[:, past:])  # (B, T, D)
        return self.dropout(self.token_embedding(ids) + places)

    def transform(self, x: Any, attention_mask: Any = None, cache: KVCache | None = None) -> Any:
        """From embeddings h₀ to the last hidden states, both (B, T, D)."""
        return last(self._states(x, attention_mask, cache))

    def hidden_states(self, ids: Any, attention_mask: Any = None, cache: KVCache | None = None) -> list[Any]:
        """h₀ … h_L, each (B, T, D), the last one after the final norm where there is one; arguments as for a call."""
        return list(self._states(self.embed(ids, attention_mask, cache), attention_mask, cache))

    def _states(self, x: Any, attention_mask: Any, cache: KVCache | None) -> Iterator[Any]:
        """h₀ … h_L, one by one, so that each can be freed when the next is made."""
        B, T, _ = x.shape
        mask = None
        if attention_mask is not None:
            real = checked_mask(attention_mask, (B, T + (cache.length if cache else 0)))
            mask = asarray(real)[:, None, None, :]  # (B, 1, 1, S)
        yield x
        for i, block in enumerate(self.blocks):
            x = block(x, mask, cache.layer(i) if cache else None)  # (B, T, D)
            if i < len(self.blocks) - 1:
                yield x
        if cache:
            cache.advance(T)
        yield self.final_norm(x) if self.final_norm else x

    def logits(self, hidden: Any) -> Any:
        """Hidden states (…, D) to logits (…, V)."""
        return F.linear(hidden, F.transpose(self._head()))

    def loss(
        self, ids: Any, targets: Any, reduction: str = "mean", ignore_index: int = -100, attention_mask: Any = None
    ) -> Tensor:
        """−Σ log p(targets[b, t] | ids[b, :t + 1]) in nats, over the targets that are not ignore_index; or their mean.

        ids, targets: integers (B, T), targets[b, t] being the token after ids[b, t]. The (B, T, V) logits are never
        held as a whole.
        """
        hidden = self.hidden(ids, attention_mask)  # (B, T, D)
        targets = anywhere(value(targets))
        return F.linear_cross_entropy(hidden, self._head(), targets, ignore_index=ignore_index, reduction=reduction)

    def new_cache(self, batch: int = 1) -> KVCache:
        """An empty cache for `batch` sequences of up to `context` positions. ConfigError without the causal mask."""
        c = self.config
        if not c.causal:
            raise ConfigError(
                tr("this GPT has no causal mask: what it reads changes with every new token, so use no cache")
            )
        dtype = self.token_embedding.weight.dtype
        return KVCache(c.layers, batch, c.heads, c.context, c.width // c.heads, dtype)

    def _head(self) -> Any:
        """The head's weights (V, D)."""
        return F.transpose(self.head.weight) if self.head else self.token_embedding.weight


@no_grad()
def attention_weights(model: GPT, ids: Any) -> list[np.ndarray]:
    """For each block, the weights with which position t reads position s: ids (B, T) -> L arrays (B, H, T, T).

    For ids (T,) they are (H, T, T). Rows sum to 1; nothing is dropped.
    """
    found, ids = [], to_numpy(value(ids))
    with model.evaluating():
        x = model.embed(np.atleast_2d(ids))  # (B, T, D)
        for block in model.blocks:
            weights = block.attention.weights(block.norm1(x) if block.norm_first else x)
            found.append(to_numpy(value(weights)))
            x = block(x)
    return found if ids.ndim == 2 else [weights[0] for weights in found]
