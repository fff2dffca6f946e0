"""LLaMA, the modern decoder-only Transformer: GPT's block with other parts in it (Touvron et al. 2023a, section 2.2).

    h₀ = E[ids]                                    token embeddings only: positions turn queries and keys instead
    x ← x + A(N(x)),  h_l = x + M(N(x))            l = 1 … L, N an RMS norm, M a SwiGLU, A causal and rotary
    logits = N(h_L) W                              a head of its own, or Eᵀ where tied

No biases, unless asked for. Groups of query heads may share one head of keys and values (LLaMA 2, 70B: Touvron et al.
2023b, section 2.2), and the rotations may be scaled for long texts (LLaMA 3.1; see nn/rotary.py).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from minilm import functional as F
from minilm.autograd import Tensor, value
from minilm.backend import anywhere, asarray, xp
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
from minilm.models.gpt import DROPOUT, INIT
from minilm.nn.attention import KVCache, check_heads, check_kv_heads
from minilm.nn.block import Block, check_choice
from minilm.nn.init import STD
from minilm.nn.layers import ACTIVATIONS, Embedding, Linear, RMSNorm
from minilm.nn.rotary import Rotary, rope_scaling


@dataclass(frozen=True)
class LlamaConfig(Config):
    """What fixes a LLaMA's shape; a ConfigError names the first setting that cannot be.

    vocab_size V, context (the most positions it reads), width D, layers L, heads H.
    kv_heads: of keys and values, H if None; must divide H. head_width: K, even; D / H if None.
    mlp_width: F, 8 D / 3 rounded up to a multiple of 256 if None, as in LLaMA's code. epsilon: of the norms.
    theta: what the rotary frequencies are powers of. rope_scaling: a scaling of nn/rotary.py, or its settings, such as
    {"kind": "linear", "factor": 2.0}. attention_bias, mlp_bias: whether those layers have biases. tied: the head is
    the token embedding. activation: of the MLP's gate. dropout: of the attention's weights, the only one that Hugging
    Face's LLaMA has; the published ones were trained without. initial_std: of all weights to begin with.
    """

    kind: ClassVar[str] = "LLaMA"

    vocab_size: int
    context: int = 256
    width: int = 128
    layers: int = 4
    heads: int = 4
    kv_heads: int | None = None
    head_width: int | None = None
    mlp_width: int | None = None
    epsilon: float = 1e-6
    theta: float = 1e4
    rope_scaling: Any = None  # a Scaling, or None
    attention_bias: bool = False
    mlp_bias: bool = False
    tied: bool = False
    activation: str = "silu"
    dropout: float = 0.0
    initial_std: float = STD

    def __post_init__(self) -> None:
        check_counts(self, ("vocab_size", "context", "width", "layers", "heads"))
        if self.head_width is None:
            check_heads(self.width, self.heads)
        derived = {
            "kv_heads": self.heads,
            "head_width": self.width // self.heads,
            "mlp_width": -(-(8 * self.width // 3) // 256) * 256,
        }
        for name, default in derived.items():
            if getattr(self, name) is None:
                object.__setattr__(self, name, default)
        check_counts(self, derived)
        check_kv_heads(self.heads, self.kv_heads)  # type: ignore[arg-type]
        check_choice("activation", self.activation, ACTIVATIONS)
        check_dropout(self, "dropout")
        check_epsilon(self.epsilon)
        check_initial_std(self.initial_std)
        for name in ("attention_bias", "mlp_bias", "tied"):
            check_switch(self, name)
        if not (isinstance(self.theta, (int, float)) and self.theta > 1):
            raise ConfigError(tr("theta is {got!r}; it must be above 1", got=self.theta))
        if isinstance(self.rope_scaling, Mapping):
            object.__setattr__(self, "rope_scaling", rope_scaling(self.rope_scaling))
        self.rotary()

    def rotary(self) -> Rotary:
        """The rotations of its positions; ConfigError for a head or a scaling that cannot be."""
        return Rotary(self.head_width, self.theta, self.rope_scaling)  # type: ignore[arg-type]

    def to_dict(self) -> dict[str, Any]:
        """The settings as JSON has them."""
        return {**super().to_dict(), "rope_scaling": self.rope_scaling.to_dict() if self.rope_scaling else None}


class Llama(Model):
    """A LLaMA of the given shape, its weights a pure function of `seed`: N(0, initial_std²), biases 0, norms 1.

    So does Hugging Face's LlamaForCausalLM begin (`initializer_range`); the papers do not say how theirs did.
    """

    def __init__(self, config: LlamaConfig, seed: int = 0):
        self.config = c = config
        rng, std = np.random.default_rng([seed, INIT]), c.initial_std
        self.token_embedding = Embedding(c.vocab_size, c.width, rng, std)
        self.blocks = [
            Block(
                c.width,
                c.heads,
                rng,
                mlp_width=c.mlp_width,
                norm="pre",
                norm_kind="rms",
                epsilon=c.epsilon,
                activation=c.activation,
                attention_dropout=c.dropout,
                std=std,
                residual_std=std,
                gated=True,
                mlp_bias=c.mlp_bias,
                kv_heads=c.kv_heads,
                head_width=c.head_width,
                bias=c.attention_bias,
            )
            for _ in range(c.layers)
        ]
        self.final_norm = RMSNorm(c.width, c.epsilon)
        self.head = None if c.tied else Linear(c.width, c.vocab_size, rng, bias=False, std=std)
        self.rotary = c.rotary()
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
        """The last hidden states N(h_L), (B, T, D), before the head; arguments as for a call."""
        return self.transform(self.embed(ids, attention_mask, cache), attention_mask, cache)

    def hidden_states(self, ids: Any, attention_mask: Any = None, cache: KVCache | None = None) -> list[Any]:
        """h₀ … h_{L−1} and N(h_L), L + 1 arrays (B, T, D); arguments as for a call."""
        return list(self._states(self.embed(ids, attention_mask, cache), attention_mask, cache))

    def embed(self, ids: Any, attention_mask: Any = None, cache: KVCache | None = None) -> Any:
        """h₀ = E[ids], (B, T, D)."""
        past = cache.length if cache else 0
        return self.token_embedding(checked_ids(ids, self.config.vocab_size, self.config.context, past))

    def transform(self, x: Any, attention_mask: Any = None, cache: KVCache | None = None) -> Any:
        """From embeddings h₀ to the last hidden states N(h_L), both (B, T, D)."""
        return last(self._states(x, attention_mask, cache))

    def _states(self, x: Any, attention_mask: Any, cache: Any) -> Iterator[Any]:
        """h₀ … h_{L−1} and N(h_L), each (B, T, D), one after the other."""
        (B, T, _), past = x.shape, cache.length if cache else 0
        real = None if attention_mask is None else checked_mask(attention_mask, (B, past + T))  # (B, S)
        mask = None if real is None else asarray(real)[:, None, None, :]  # (B, 1, 1, S)
        positions = xp.arange(past + T) if real is None else (real.cumsum(axis=1) - 1).clip(0)  # (S,) or (B, S)
        if past and self.rotary.stage(positions) != self.rotary.stage(positions[..., :past]):
            x, past = cache.start_over(x), 0  # (B, S, D)
        rotary, inputs = self.rotary(positions[..., past:], x.dtype), x
        for i, block in enumerate(self.blocks):
            yield x[:, -T:] if x.shape[1] > T else x
            x = block(x, mask, cache.layer(i) if cache else None, rotary)  # (B, T, D)
        if isinstance(cache, RereadCache):
            cache.hold(inputs)
        if cache:
            cache.advance(x.shape[1])
        yield self.final_norm(x[:, -T:] if x.shape[1] > T else x)

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
        """An empty cache for `batch` sequences of up to `context` positions."""
        c = self.config
        dtype = self.token_embedding.weight.dtype
        shape: Any = {"layers": c.layers, "heads": c.kv_heads, "capacity": c.context, "head_width": c.head_width}
        if self.rotary.scaling.varies:
            return RereadCache(c.width, batch=batch, dtype=dtype, **shape)
        return KVCache(batch=batch, dtype=dtype, **shape)

    def _head(self) -> Any:
        """The head's weights (V, D)."""
        return F.transpose(self.head.weight) if self.head else self.token_embedding.weight


class RereadCache(KVCache):
    """A cache that holds what was read as well, h₀ (B, capacity, D), for frequencies that change with the length.

    Keys and values of the old ones are then of no use, in no layer: all is read again.
    """

    def __init__(self, width: int, **shape: Any):
        super().__init__(**shape)
        self.inputs = xp.zeros((self.batch, self.capacity, width), self.keys.dtype)

    def hold(self, x: Any) -> None:
        """Note what the next positions read, (B, T, D)."""
        self.inputs[:, self.length : self.length + x.shape[1]] = value(x)

    def start_over(self, x: Any) -> Any:
        """Forget the keys and values; all that was read, followed by x (B, T, D)."""
        everything = F.concatenate([self.inputs[:, : self.length], x], 1)
        self.clear()
        return everything

    def reorder(self, rows: Any) -> None:
        super().reorder(rows)
        self.inputs = self.inputs[xp.asarray(rows)]
