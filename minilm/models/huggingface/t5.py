"""T5 as Hugging Face publishes it, whole or its encoder alone.

Their linear layers are PyTorch's, (out, in), so ours are their transposes; query, key and value of self-attention stand
side by side in our one matrix, key and value of cross-attention in another. The table of relative positions, which all
layers of a stack share, is stored in the first of them.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from minilm.errors import ConfigError
from minilm.i18n import tr
from minilm.models.huggingface.settings import ACTIVATIONS, Settings, their_activation
from minilm.models.huggingface.tables import Family, Weight, layers, linear, same
from minilm.models.t5 import T5, T5Config, T5Encoder

_UNREAD_TABLE = r"decoder\.block\.0\.layer\.1\.EncDecAttention\.relative_attention_bias\.weight"
_EMBEDDING, _HEAD = "shared.weight", "lm_head.weight"


# ------------------------------------------------------------------------------------------------------------ weights


def weights(model: T5 | T5Encoder) -> list[Weight]:
    """Ours = theirs."""
    table = [*same("token_embedding", "shared", "weight"), *_stack("encoder", model.config)]
    if isinstance(model, T5):
        table += _stack("decoder", model.config)
        table += [] if model.config.tied else linear("head", "lm_head", bias=False)
    return table


def _stack(name: str, c: T5Config) -> list[Weight]:
    """The rows of "encoder" or "decoder", whose cross-attention stands between self-attention and MLP."""
    ours, theirs = f"{name}.blocks.{{i}}", f"{name}.block.{{i}}.layer"
    decoder = name == "decoder"
    own, crossed, mlp = f"{theirs}.0.SelfAttention", f"{theirs}.1.EncDecAttention", f"{theirs}.{1 + decoder}"
    block = [
        *same(f"{ours}.norm1", f"{theirs}.0.layer_norm", "weight"),
        *linear(f"{ours}.attention.qkv", f"{own}.q", f"{own}.k", f"{own}.v", bias=False),
        *linear(f"{ours}.attention.out", f"{own}.o", bias=False),
    ]
    if decoder:
        block += [
            *same(f"{ours}.cross_norm", f"{theirs}.1.layer_norm", "weight"),
            *linear(f"{ours}.cross.query", f"{crossed}.q", bias=False),
            *linear(f"{ours}.cross.key_value", f"{crossed}.k", f"{crossed}.v", bias=False),
            *linear(f"{ours}.cross.out", f"{crossed}.o", bias=False),
        ]
    inner = {"gate": "wi_0", "up": "wi_1"} if c.gated else {"up": "wi"}
    block += same(f"{ours}.norm2", f"{mlp}.layer_norm", "weight")
    for part, called in {**inner, "down": "wo"}.items():
        block += linear(f"{ours}.mlp.{part}", f"{mlp}.DenseReluDense.{called}", bias=False)
    positions = own.format(i=0)
    return [
        *same(f"{name}.position_bias", f"{positions}.relative_attention_bias", "weight"),
        *layers(c.depth(decoder), block),
        *same(f"{name}.final_norm", f"{name}.final_layer_norm", "weight"),
    ]


def copies(model: T5 | T5Encoder) -> dict[str, str]:
    """The embedding, which older files hold once more for each stack, and for a tied head."""
    stacks = ["encoder", "decoder"] if isinstance(model, T5) else ["encoder"]
    copied = {f"{stack}.embed_tokens.weight": _EMBEDDING for stack in stacks}
    return copied | ({_HEAD: _EMBEDDING} if isinstance(model, T5) and model.config.tied else {})


# ----------------------------------------------------------------------------------------------------------- settings


def read_config(settings: Settings) -> T5Config:
    """Their settings -> ours; the defaults are theirs.

    tie_word_embeddings says there whether the head reads hidden / √D, unless scale_decoder_outputs does; whether the
    head is tied, the weights say (see `_whole`).
    """
    gated, act = _feed_forward(settings.take("feed_forward_proj", "relu"))
    settings.ignore("is_encoder_decoder")  # the architecture says it
    settings.keep("classifier_dropout", "n_positions")  # of a head that is not built here; of how it was trained
    settings.keep("tie_word_embeddings", "feed_forward_proj")  # others say what they mean, and are written too
    scaled = settings.take("tie_word_embeddings", True) is not False
    pad_id = settings.take("pad_token_id", 0)
    return T5Config(
        vocab_size=settings.take("vocab_size", 32128),
        width=settings.take("d_model", 512),
        layers=settings.take("num_layers", 6),
        decoder_layers=settings.take("num_decoder_layers", None),
        heads=settings.take("num_heads", 8),
        head_width=settings.take("d_kv", 64),
        mlp_width=settings.take("d_ff", 2048),
        gated=settings.take("is_gated_act", gated),
        activation=settings.activation("dense_act_fn", act),
        scale_head=settings.take("scale_decoder_outputs", scaled),
        buckets=settings.take("relative_attention_num_buckets", 32),
        max_distance=settings.take("relative_attention_max_distance", 128),
        epsilon=settings.take("layer_norm_epsilon", 1e-6),
        dropout=settings.take("dropout_rate", 0.1),
        initial_factor=settings.take("initializer_factor", 1.0),
        pad_id=pad_id,
        start_id=settings.take("decoder_start_token_id", pad_id),  # theirs has none then; pad is what T5 starts with
    )


def _feed_forward(said: Any) -> tuple[bool, str]:
    """Whether the MLP is gated, and their name of its activation: "relu", "gated-gelu", …"""
    parts = said.split("-") if isinstance(said, str) else []
    gated = len(parts) == 2 and parts[0] == "gated"
    if not (gated or len(parts) == 1) or parts[-1] not in ACTIVATIONS:
        known = [f"{prefix}{name}" for prefix in ("", "gated-") for name in ACTIVATIONS]
        raise ConfigError(
            tr("{name} is {got!r}; minilm builds models with {wanted} only", name="feed_forward_proj", got=said,
               wanted=", ".join(map(repr, known)))
        )  # fmt: skip
    return gated, "gelu_new" if said == "gated-gelu" else parts[-1]


def write_config(model: T5 | T5Encoder) -> dict[str, Any]:
    """Our settings -> theirs."""
    c = model.config
    act = their_activation(c.activation)
    return {
        "vocab_size": c.vocab_size,
        "d_model": c.width,
        "num_layers": c.layers,
        "num_decoder_layers": c.decoder_layers,
        "num_heads": c.heads,
        "d_kv": c.head_width,
        "d_ff": c.mlp_width,
        "feed_forward_proj": f"gated-{act.removesuffix('_new')}" if c.gated else act,
        "is_gated_act": c.gated,
        "dense_act_fn": act,
        "tie_word_embeddings": c.tied,
        "scale_decoder_outputs": c.scale_head,
        "relative_attention_num_buckets": c.buckets,
        "relative_attention_max_distance": c.max_distance,
        "layer_norm_epsilon": c.epsilon,
        "dropout_rate": c.dropout,
        "initializer_factor": c.initial_factor,
        "pad_token_id": c.pad_id,
        "decoder_start_token_id": c.start_id,
        "eos_token_id": None,  # theirs without a word is of the published vocabulary
        "is_encoder_decoder": isinstance(model, T5),
    }


# ------------------------------------------------------------------------------------------------------------- family


def _whole(config: T5Config, published: Mapping[str, Any], stored: Mapping[str, Any]) -> T5:
    """With a head of its own if the folder has one that differs from the embedding, as transformers has it."""
    own = _HEAD in stored and _EMBEDDING in stored
    untied = own and not np.array_equal(stored[_HEAD].read(), stored[_EMBEDDING].read())
    return T5(dataclasses.replace(config, tied=not untied))


def _encoder(config: T5Config, published: Mapping[str, Any], stored: Mapping[str, Any]) -> T5Encoder:
    return T5Encoder(config)


def _published_as(model: Any) -> str | None:
    return {T5: "T5ForConditionalGeneration", T5Encoder: "T5EncoderModel"}.get(type(model))


T5_FAMILY = Family(
    model_type="t5",
    architectures={
        "T5ForConditionalGeneration": _whole,
        "T5WithLMHeadModel": _whole,  # its first name
        "T5Model": _whole,  # without a head: it gets the tied one
        "T5EncoderModel": _encoder,
    },
    architecture_of=_published_as,
    read_config=read_config,
    write_config=write_config,
    weights=weights,
    copies=copies,
    unread=(_UNREAD_TABLE,),
)
