"""What a shape costs: bytes to train and to serve it, FLOPs for each token. Estimates by stated formulas, no arrays."""

import math
from dataclasses import replace
from typing import NamedTuple

from minilm.errors import ConfigError
from minilm.i18n import tr
from minilm.models.sizes.counting import attention_weights, count_parameters, mlp_weights
from minilm.models.sizes.shape import Shape

BYTES = {"float32": 4, "bf16": 2}


class Flops(NamedTuple):
    """FLOPs for each token: to read it, and to learn from it, which is three times as much."""

    forward: int
    training: int


# ---------------------------------------------------------------------------------------------------------- memory


def training_memory(shape: Shape, precision: str = "float32") -> dict[str, int]:
    """Part -> bytes that training with Adam holds, whatever the batch: 16 N either way (Rajbhandari et al. 2020, 3.1).

    "float32": weights 4 N, gradients 4 N, Adam's two moments 8 N. "bf16": weights and gradients 2 N each, and a float32
    copy of the weights, which small steps would not change in bf16, 4 N, beside the moments, 8 N. GPT-2's 124,439,808
    parameters need 1,991,036,928 bytes. What grows with the batch is `activation_memory`.
    """
    N, item = count_parameters(shape), _bytes(precision)
    masters = {} if precision == "float32" else {"master_weights": 4 * N}
    return {"weights": item * N, "gradients": item * N, **masters, "adam_moments": 8 * N}


def activation_memory(shape: Shape, precision: str = "float32", batch: int = 1, context: int | None = None) -> int:
    """Bytes that the blocks keep for the backward: for each token and block

        what both norms read, 2 D; what attention reads, D, its q, k, v and its output, 2 (H + H′) K; what the MLP
        reads, D, and its hidden features before and after φ, 2 F (with a gate, before it and their product, 3 F).

    For GPT 16 D numbers: 32 B T D bytes in bf16, the 34 of Korthikanti et al. 2022 (section 4.1) but for the masks of
    dropout. Not in it: attention's weights (2 H T for each token where they are kept; our kernel makes them again), the
    embeddings, the logits, and what a program keeps beyond need: our engine, up to twice as much in all. A decoder's
    block reads as many tokens of the encoder as of its own.
    """
    s, B, T = shape, batch, checked_context(shape, context)
    _check_batch(batch)
    attention = 2 * s.width + 2 * (s.heads + s.kv_heads) * s.head_width
    mlp = 2 * s.width + (3 if s.gated else 2) * s.mlp_width
    numbers = s.layers * (attention + mlp) + s.decoder_layers * (2 * attention + mlp)
    return _bytes(precision) * B * T * numbers


def kv_cache_per_token(shape: Shape, precision: str = "float32") -> int:
    """Bytes that generating keeps of each token: a key and a value in each layer, 2 L H′ K numbers. 0 for an encoder.

    A decoder beside an encoder keeps as much again of each token that the encoder read. GPT-2 in float32:
    4 · 2 · 12 · 12 · 64 = 73,728.
    """
    layers = shape.decoder_layers or shape.layers * shape.causal
    return _bytes(precision) * 2 * layers * shape.kv_heads * shape.head_width


def serving_memory(
    shape: Shape, precision: str = "float32", batch: int = 1, context: int | None = None
) -> dict[str, int]:
    """Part -> bytes that generating holds: the weights, and the cache of `batch` texts of `context` tokens."""
    _check_batch(batch)
    tokens = batch * checked_context(shape, context) * (2 if shape.decoder_layers else 1)
    return {
        "weights": _bytes(precision) * count_parameters(shape),
        "kv_cache": tokens * kv_cache_per_token(shape, precision),
    }


# ----------------------------------------------------------------------------------------------------------- FLOPs


def non_embedding_parameters(shape: Shape) -> int:
    """Kaplan's N: the matrices of the blocks, 2 D L (2 H K + F), without biases, norms and embeddings.

    12 L D² for F = 4D, so 84,934,656 for GPT-2 (Kaplan et al. 2020, equation 2.1). A layer that is used L times counts
    as often.
    """
    attentions = shape.layers + 2 * shape.decoder_layers
    mlps = shape.layers + shape.decoder_layers
    return attentions * attention_weights(shape) + mlps * mlp_weights(shape)


def flops_by_parameters(shape: Shape) -> Flops:
    """2 N and 6 N, with N all parameters: a multiplication and an addition for each, twice that in the backward.

    So GPT-3's 3.14e23 FLOP arise from 174.6e9 parameters and 300e9 tokens (Brown et al. 2020, appendix D). It takes the
    token embedding for the head, which costs as much, and leaves out what grows with the context. A layer that is
    used L times counts L times. With an encoder and a decoder: for one token of each.
    """
    N = count_parameters(replace(shape, shared_layers=False))
    return Flops(2 * N, 6 * N)


def flops_by_kaplan(shape: Shape, context: int | None = None) -> Flops:
    """2 N + 2 L T H K, and three times that, with N the `non_embedding_parameters` (Kaplan et al. 2020, table 1).

    A token's scores and the mean of values over a context of T cost 4 T H K in each layer; under a causal mask half of
    the context is hidden, on average, which leaves the formula's 2. Without a mask, as in BERT, it is 4. The head,
    2 D V, is left out. With an encoder and a decoder: for one token of each, both contexts T long.
    """
    s, T = shape, checked_context(shape, context)
    masked = s.decoder_layers or s.layers * s.causal
    whole = s.layers + 2 * s.decoder_layers - masked
    forward = 2 * non_embedding_parameters(s) + (2 * masked + 4 * whole) * T * s.heads * s.head_width
    return Flops(forward, 3 * forward)


# ---------------------------------------------------------------------------------------------------------- checks


def checked_context(shape: Shape, context: int | None) -> int:
    """The context, the shape's own if None; ConfigError unless the model reads as many tokens, which T5 always does."""
    T = shape.context if context is None else context
    longest = math.inf if shape.buckets else shape.context
    if not 1 <= T <= longest:
        raise ConfigError(tr("context is {got}; this model reads 1 to {limit} tokens at once", got=T, limit=longest))
    return T


def _check_batch(batch: int) -> None:
    if batch < 1:
        raise ConfigError(tr("{name} is {got!r}; it must be a whole number of at least 1", name="batch", got=batch))


def _bytes(precision: str) -> int:
    if precision not in BYTES:
        raise ConfigError(
            tr("{name} is {got!r}; it must be one of {known}", name="precision", got=precision,
               known=", ".join(map(repr, BYTES)))
        )  # fmt: skip
    return BYTES[precision]
