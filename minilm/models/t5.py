"""T5, the encoder-decoder Transformer: one text is read in both directions, another is written while reading it.

    memory = N(h_L),  h₀ = E[ids]                          the encoder: A reads everything
    hidden = N(h_L),  h₀ = E[decoder ids]                  the decoder: A is causal, and C reads the memory
    x ← x + A(N(x)),  x ← x + C(N(x), memory),  h_l = x + M(N(x))     l = 1 … L; the encoder has no C
    logits = hidden Eᵀ / √D                                or hidden W, with a head of its own and no division (1.1)

N is an RMS norm, no layer has a bias, and scores are not divided by √K. Where a position is, only attention is told: to
the score of t reading s the head h adds b[bucket(s − t), h], from a table that all layers of a stack share
(Raffel et al. 2020, section 2.1).
"""

import math
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from minilm import functional as F
from minilm.autograd import Tensor, value
from minilm.backend import anywhere, asarray, xp
from minilm.errors import ConfigError, ShapeError
from minilm.i18n import tr
from minilm.models.base import Config, Model, last
from minilm.models.checks import (
    check_counts,
    check_dropout,
    check_epsilon,
    check_switch,
    checked_ids,
    checked_mask,
)
from minilm.models.gpt import DROPOUT, INIT
from minilm.nn.attention import KVCache
from minilm.nn.block import Block, check_choice
from minilm.nn.layers import ACTIVATIONS, Dropout, Embedding, Linear, RMSNorm
from minilm.nn.module import Module

ANY_LENGTH = sys.maxsize  # relative positions know no longest text


@dataclass(frozen=True)
class T5Config(Config):
    """What fixes a T5's shape; a ConfigError names the first setting that cannot be.

    vocab_size V, width D, layers L (of the encoder), decoder_layers (L if None), heads H, head_width K (of its own,
    whatever D / H is), mlp_width F, 4 D if None. gated, activation: of the MLP; the first T5 has a plain "relu", T5 1.1
    a gated "gelu_tanh". tied: the head is the token embedding. scale_head: the head reads hidden / √D; as `tied` if
    None. buckets, max_distance: how many distances are told apart, and from which on all are one. dropout: at every
    place, the attention's weights and the inside of the MLP among them. initial_factor: of all weights to begin with.
    pad_id: what the decoder reads for a target that does not count. start_id: what it reads first.
    """

    kind = "T5"

    vocab_size: int
    width: int = 128
    layers: int = 4
    decoder_layers: int | None = None
    heads: int = 4
    head_width: int = 32
    mlp_width: int | None = None
    gated: bool = False
    activation: str = "relu"
    tied: bool = True
    scale_head: bool | None = None
    buckets: int = 32
    max_distance: int = 128
    epsilon: float = 1e-6
    dropout: float = 0.0
    initial_factor: float = 1.0
    pad_id: int = 0
    start_id: int = 0

    def __post_init__(self) -> None:
        check_counts(self, ("vocab_size", "width", "layers", "heads", "head_width", "buckets", "max_distance"))
        derived = {"decoder_layers": self.layers, "mlp_width": 4 * self.width, "scale_head": self.tied}
        for name, default in derived.items():
            if getattr(self, name) is None:
                object.__setattr__(self, name, default)
        check_counts(self, ("decoder_layers", "mlp_width"))
        for name in ("gated", "tied", "scale_head"):
            check_switch(self, name)
        check_choice("activation", self.activation, ACTIVATIONS)
        check_buckets(self.buckets, self.max_distance)
        check_epsilon(self.epsilon)
        check_dropout(self, "dropout")
        if not (isinstance(self.initial_factor, (int, float)) and self.initial_factor > 0):
            raise ConfigError(tr("initial_factor is {got!r}; it must be above 0", got=self.initial_factor))
        for name in ("pad_id", "start_id"):
            got = getattr(self, name)
            if not isinstance(got, int) or isinstance(got, bool) or not 0 <= got < self.vocab_size:
                raise ConfigError(
                    tr("{name} is {got!r}; it must be an id of the vocabulary, 0 to {last}", name=name, got=got,
                       last=self.vocab_size - 1)
                )  # fmt: skip

    def depth(self, decoder: bool) -> int:
        """How many layers the decoder or the encoder has."""
        return (self.decoder_layers if decoder else None) or self.layers


# -------------------------------------------------------------------------------------------------------- positions


def check_buckets(buckets: int, max_distance: int) -> None:
    """ConfigError unless either half of the buckets holds a distance in either direction, and some are beyond it."""
    if buckets < 4 or max_distance <= buckets // 2:
        raise ConfigError(
            tr(
                "buckets is {buckets}, max_distance is {max_distance}: there must be at least 4 buckets, and "
                "max_distance must be above half of them, which hold one distance each",
                buckets=buckets,
                max_distance=max_distance,
            )
        )


def bucket(distance: Any, both_ways: bool, buckets: int = 32, max_distance: int = 128) -> np.ndarray:
    """The bucket of each distance s − t, from reader t to what is read s; integers of any shape.

    With n buckets, the first n/2 hold the distances 0 … n/2 − 1 into the past, one each; the others are as wide as
    they are far: n/2 + ⌊log(d / (n/2)) / log(max_distance / (n/2)) · n/2⌋, at most n − 1. both_ways: one half of all
    buckets is for the past, the other for the future; else the future is all 0.
    In float32 as in T5's code, so that a distance on a border falls where it did in training.
    """
    distance = np.asarray(distance)
    side: Any = 0
    if both_ways:
        buckets //= 2
        side, distance = np.where(distance > 0, buckets, 0), np.abs(distance)
    else:
        distance = np.maximum(-distance, 0)
    exact = buckets // 2
    far = np.maximum(distance, exact).astype(np.float32) / np.float32(exact)
    steps = np.log(far) / np.float32(math.log(max_distance / exact)) * np.float32(buckets - exact)
    return side + np.where(distance < exact, distance, np.minimum(exact + steps.astype(int), buckets - 1))


# ------------------------------------------------------------------------------------------------- encoder, decoder


class T5Stack(Module):
    """Either half of a T5: blocks with one table of relative positions for all, and a norm at the end.

    decoder: causal, and with cross-attention to a memory; else it is the encoder.
    """

    def __init__(self, config: T5Config, rng: np.random.Generator, decoder: bool):
        c = config
        self.decoder, self.max_distance = decoder, c.max_distance
        self.position_bias = Embedding(c.buckets, c.heads, rng, std=1.0)
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
                causal=decoder,
                dropout=c.dropout,
                std=1.0,
                residual_std=1.0,
                gated=c.gated,
                mlp_bias=False,
                mlp_dropout=c.dropout,
                cross=decoder,
                head_width=c.head_width,
                bias=False,
                scale=1.0,
            )
            for _ in range(c.depth(decoder))
        ]
        self.final_norm = RMSNorm(c.width, c.epsilon)
        self.dropout = Dropout(c.dropout)

    def biases(self, total: int, past: int = 0) -> Any:
        """What is added to the scores of positions past … total − 1 reading 0 … total − 1: (H, total − past, total)."""
        distance = np.arange(total)[None, :] - np.arange(past, total)[:, None]  # (T, S)
        table = self.position_bias.weight
        places = bucket(distance, not self.decoder, table.shape[0], self.max_distance)
        return F.transpose(F.embedding(places, table), (2, 0, 1))  # (T, S, H) -> (H, T, S)

    def states(
        self, x: Any, real: Any = None, memory: Any = None, memory_real: Any = None, cache: "T5Cache | None" = None
    ) -> Iterator[Any]:
        """h₀ … h_{L−1} and N(h_L), (B, T, D), one by one, so that each can be freed when the next is made.

        x: token embeddings. real, memory_real: booleans (B, S), False where a position is padding; None: nowhere.
        """
        T, past = x.shape[1], cache.length if cache else 0
        position_bias = self.biases(past + T, past)  # (H, T, S)
        mask, memory_mask = _for_all_queries(real), _for_all_queries(memory_real)  # (B, 1, 1, S)
        x = self.dropout(x)
        for i, block in enumerate(self.blocks):
            yield x
            layer = cache.layer(i) if cache else None
            read = cache.memory[i] if cache else block.cross.read(memory) if block.cross else None
            x = block(x, mask, layer, None, position_bias, read, memory_mask)  # (B, T, D)
        if cache:
            cache.advance(T)
        yield self.dropout(self.final_norm(x))


def _for_all_queries(real: Any) -> Any:
    return None if real is None else asarray(real)[:, None, None, :]


class T5Cache(KVCache):
    """What a decoder keeps of what it has read, so that a new token costs one position's work: the keys and values of
    what was written, as KVCache, and of the memory, which are made once.

    memory: of each layer, what its cross-attention read, (B, S, 2 H K); empty before the first call. There is no
    longest text.
    """

    def __init__(self, layers: int, batch: int, heads: int, head_width: int, dtype: Any = np.float32):
        super().__init__(layers, batch, heads, ANY_LENGTH, head_width, dtype)
        self.memory: list[Any] = []

    def read(self, blocks: list[Block], memory: Any) -> None:
        """Read the memory, the first time; ShapeError where a later one is of another shape."""
        if not self.memory:
            self.memory = [value(block.cross.read(memory)) for block in blocks if block.cross]
        if memory.shape[:2] != self.memory[0].shape[:2]:
            raise ShapeError(
                tr("memory: got shape {got}, but the cache was begun with {wanted} of (B, S): clear it for another "
                   "memory", got=memory.shape, wanted=self.memory[0].shape[:2])
            )  # fmt: skip

    def clear(self) -> None:
        """Forget everything, the memory too."""
        super().clear()
        self.memory = []

    def reorder(self, rows: Any) -> None:
        super().reorder(rows)
        self.memory = [read[xp.asarray(rows)] for read in self.memory]


# ------------------------------------------------------------------------------------------------------- the models


class T5States(NamedTuple):
    """h₀ … h_{L−1} and N(h_L) of either stack, each (B, T, D)."""

    encoder: list[Any]
    decoder: list[Any]


class T5(Model):
    """A T5 of the given shape, its weights a pure function of `seed`.

    They begin as N(0, σ²): embeddings and head with σ = 1, what reads n numbers with σ = 1/√n, queries with 1/√(DK),
    which does what scores are not divided by, and norms as 1; all times `initial_factor`. Source: Mesh TensorFlow's
    Transformer (Shazeer et al. 2018), T5's own code, and Hugging Face after it.
    """

    def __init__(self, config: T5Config, seed: int = 0):
        self.config = c = config
        rng = np.random.default_rng([seed, INIT])
        self.token_embedding = Embedding(c.vocab_size, c.width, rng, std=1.0)
        self.encoder = T5Stack(c, rng, decoder=False)
        self.decoder = T5Stack(c, rng, decoder=True)
        self.head = None if c.tied else Linear(c.width, c.vocab_size, rng, bias=False, std=1.0)
        begin(self, c)
        self.set_generator(np.random.default_rng([seed, DROPOUT]))

    def __call__(self, ids: Any, decoder_ids: Any, attention_mask: Any = None, decoder_mask: Any = None) -> Any:
        """Logits (B, T, V): softmax(logits[b, t]) is the distribution of the token after decoder_ids[b, :t + 1].

        ids: integers (B, S), the text that is read. decoder_ids: (B, T), what is written, `start_id` first.
        attention_mask: (B, S), bool or 0/1, False where ids are padding, on either side, which nothing reads;
        decoder_mask: (B, T), likewise. Errors: ShapeError, DTypeError, DataError (an id outside the vocabulary).
        """
        return self.logits(self.hidden(ids, decoder_ids, attention_mask, decoder_mask))  # (B, T, V)

    def hidden(self, ids: Any, decoder_ids: Any, attention_mask: Any = None, decoder_mask: Any = None) -> Any:
        """The decoder's last hidden states (B, T, D), before the head; arguments as for a call."""
        return self.decode(decoder_ids, self.encode(ids, attention_mask), attention_mask, decoder_mask)

    def hidden_states(
        self, ids: Any, decoder_ids: Any, attention_mask: Any = None, decoder_mask: Any = None
    ) -> T5States:
        """All hidden states of encoder and decoder; arguments as for a call."""
        encoder = list(encoder_states(self, ids, attention_mask))
        decoder = self._decoder_states(decoder_ids, encoder[-1], attention_mask, decoder_mask, None)
        return T5States(encoder, list(decoder))

    def encode(self, ids: Any, attention_mask: Any = None) -> Any:
        """The memory, (B, S, D), of texts ids (B, S)."""
        return last(encoder_states(self, ids, attention_mask))

    def decode(
        self,
        decoder_ids: Any,
        memory: Any,
        memory_mask: Any = None,
        decoder_mask: Any = None,
        cache: T5Cache | None = None,
    ) -> Any:
        """The decoder's last hidden states (B, T, D). memory: from `encode`; memory_mask: its attention_mask.

        cache: from `new_cache`; decoder_ids are then what follows the positions that it holds, decoder_mask (B, past +
        T) covers those too, and of the memory only the shape is looked at after the first call.
        """
        return last(self._decoder_states(decoder_ids, memory, memory_mask, decoder_mask, cache))

    def _decoder_states(
        self, decoder_ids: Any, memory: Any, memory_mask: Any, decoder_mask: Any, cache: T5Cache | None
    ) -> Iterator[Any]:
        ids = checked_ids(decoder_ids, self.config.vocab_size, ANY_LENGTH, name="decoder_ids")
        (B, T), past = ids.shape, cache.length if cache else 0
        if memory.ndim != 3 or (memory.shape[0], memory.shape[2]) != (B, self.config.width):
            raise ShapeError(
                tr("memory: got shape {got}, wanted (B, S, D) with B = {B} and D = {D}, as `encode` makes it",
                   got=memory.shape, B=B, D=self.config.width)
            )  # fmt: skip
        real = _checked(decoder_mask, (B, past + T), "decoder_mask")
        memory_real = _checked(memory_mask, memory.shape[:2], "memory_mask")
        if cache:
            cache.read(self.decoder.blocks, memory)
        return self.decoder.states(self.token_embedding(ids), real, memory, memory_real, cache)

    def logits(self, hidden: Any) -> Any:
        """The decoder's hidden states (…, D) to logits (…, V)."""
        return F.linear(self._scaled(hidden), F.transpose(self._head()))

    def loss(
        self,
        ids: Any,
        targets: Any,
        reduction: str = "mean",
        ignore_index: int = -100,
        attention_mask: Any = None,
        decoder_mask: Any = None,
    ) -> Tensor:
        """−Σ log p(targets[b, t] | targets[b, :t], ids[b]) in nats, over what is not ignore_index; or the mean.

        ids: integers (B, S). targets: (B, T); the decoder reads them one place later, see `shifted`. The (B, T, V)
        logits are never held as a whole.
        """
        targets = anywhere(value(targets))
        hidden = self.hidden(ids, self.shifted(targets, ignore_index), attention_mask, decoder_mask)  # (B, T, D)
        return F.linear_cross_entropy(
            self._scaled(hidden), self._head(), targets, ignore_index=ignore_index, reduction=reduction
        )

    def shifted(self, targets: Any, ignore_index: int = -100) -> Any:
        """What the decoder reads to write `targets` (B, T): start_id, then all but the last; pad_id if ignored."""
        ids = anywhere(value(targets)).copy()
        ids[ids == ignore_index] = self.config.pad_id
        ids = checked_ids(ids, self.config.vocab_size, ANY_LENGTH, name="targets")
        ids[:, 1:] = ids[:, :-1].copy()
        ids[:, 0] = self.config.start_id
        return ids

    def new_cache(self, batch: int = 1) -> T5Cache:
        """An empty cache for `batch` texts to be written."""
        c = self.config
        return T5Cache(len(self.decoder.blocks), batch, c.heads, c.head_width, self.token_embedding.weight.dtype)

    def _scaled(self, hidden: Any) -> Any:
        return hidden * self.config.width**-0.5 if self.config.scale_head else hidden

    def _head(self) -> Any:
        """The head's weights (V, D)."""
        return F.transpose(self.head.weight) if self.head else self.token_embedding.weight


class T5Encoder(Model):
    """The encoder alone, for what needs to read and not to write; its weights are those of a T5 of the same seed."""

    def __init__(self, config: T5Config, seed: int = 0):
        self.config = c = config
        rng = np.random.default_rng([seed, INIT])
        self.token_embedding = Embedding(c.vocab_size, c.width, rng, std=1.0)
        self.encoder = T5Stack(c, rng, decoder=False)
        begin(self, c)
        self.set_generator(np.random.default_rng([seed, DROPOUT]))

    def __call__(self, ids: Any, attention_mask: Any = None) -> Any:
        """The last hidden states (B, S, D); arguments as for `T5.encode`."""
        return last(encoder_states(self, ids, attention_mask))

    def hidden_states(self, ids: Any, attention_mask: Any = None) -> list[Any]:
        """h₀ … h_{L−1} and N(h_L), each (B, S, D)."""
        return list(encoder_states(self, ids, attention_mask))


def encoder_states(model: Any, ids: Any, attention_mask: Any) -> Iterator[Any]:
    """The hidden states of a model's encoder for texts ids (B, S)."""
    ids = checked_ids(ids, model.config.vocab_size, ANY_LENGTH)
    real = _checked(attention_mask, ids.shape, "attention_mask")
    return model.encoder.states(model.token_embedding(ids), real)


def begin(model: Module, config: T5Config) -> None:
    """Give weights that were drawn from N(0, 1) the σ that T5's begin with."""
    for name, p in model.named_parameters():
        part, std = name.split(".")[-2], xp.full(p.shape[-1], config.initial_factor, dtype=p.dtype)
        if part == "position_bias":
            std *= config.width**-0.5
        elif ".blocks." in name and p.ndim == 2:
            std *= p.shape[0] ** -0.5  # it adds up so many numbers
        if part in ("qkv", "query"):
            std[: config.heads * config.head_width] *= config.head_width**-0.5
        p.data *= std


def _checked(mask: Any, wanted: tuple[int, int], name: str) -> Any:
    return None if mask is None else checked_mask(mask, wanted, name)
