"""GPT-1 and GPT-2 as Hugging Face publishes them.

Their linear layers there are "Conv1D", whose weights are (in, out) like ours, so nothing is transposed but an untied
head; query, key and value are packed side by side as ours are.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

from minilm.errors import ConfigError
from minilm.i18n import tr
from minilm.models.gpt import GPT, GPTConfig
from minilm.models.huggingface.settings import Settings, their_activation
from minilm.models.huggingface.tables import Family, Weight, layers, same

_OF_GPT1 = {"gelu": "gelu_tanh", "relu": "relu", "silu": "silu", "swish": "silu"}  # what GPT-1 calls "gelu" is its tanh
_BLOCK = [
    *same("blocks.{i}.norm1", "transformer.h.{i}.ln_1"),
    *same("blocks.{i}.attention.qkv", "transformer.h.{i}.attn.c_attn"),
    *same("blocks.{i}.attention.out", "transformer.h.{i}.attn.c_proj"),
    *same("blocks.{i}.norm2", "transformer.h.{i}.ln_2"),
    *same("blocks.{i}.mlp.up", "transformer.h.{i}.mlp.c_fc"),
    *same("blocks.{i}.mlp.down", "transformer.h.{i}.mlp.c_proj"),
]
_CAUSAL_MASK = (r"h\.\d+\.attn\.(bias|masked_bias)",)  # 1 where s ≤ t; and the number written where s > t


# ------------------------------------------------------------------------------------------------------------ weights


def gpt1_weights(model: GPT) -> list[Weight]:
    """Ours = theirs."""
    return [
        *same("token_embedding", "transformer.tokens_embed", "weight"),
        *same("position_embedding", "transformer.positions_embed", "weight"),
        *layers(model.config.layers, _BLOCK),
        *_head(model),
    ]


def gpt2_weights(model: GPT) -> list[Weight]:
    """Ours = theirs."""
    return [
        *same("token_embedding", "transformer.wte", "weight"),
        *same("position_embedding", "transformer.wpe", "weight"),
        *layers(model.config.layers, _BLOCK),
        *same("final_norm", "transformer.ln_f"),
        *_head(model),
    ]


def _head(model: GPT) -> list[Weight]:
    return [] if model.config.tied else [Weight("head.weight", ("lm_head.weight",), transpose=True)]


# ----------------------------------------------------------------------------------------------------------- settings


def read_gpt1(settings: Settings) -> GPTConfig:
    """Their settings -> ours."""
    activation = settings.activation("afn", "gelu", _OF_GPT1)
    return GPTConfig(norm="post", activation=activation, **_read(settings, vocab_size=40478, context=512))


def read_gpt2(settings: Settings) -> GPTConfig:
    """Their settings -> ours."""
    settings.keep("reorder_and_upcast_attn")  # of mixed precision
    return GPTConfig(
        norm="pre",
        activation=settings.activation("activation_function", "gelu_new"),
        mlp_width=settings.take("n_inner", None),
        scale_attention=settings.take("scale_attn_weights", True),
        scale_by_layer=settings.take("scale_attn_by_inverse_layer_idx", False),
        **_read(settings, vocab_size=50257, context=1024),
    )


def _read(settings: Settings, vocab_size: int, context: int) -> dict[str, Any]:
    """What both have; the defaults are theirs."""
    context = settings.take("n_positions", context)
    settings.require("n_ctx", context)  # an older name of the same
    settings.keep("n_special", "predict_special_tokens")  # of how GPT-1's vocabulary was made
    for part in ("type", "use_proj", "activation", "proj_to_labels", "first_dropout"):
        settings.keep(f"summary_{part}")  # of a second head, which these architectures have not
    return {
        "vocab_size": settings.take("vocab_size", vocab_size),
        "context": context,
        "width": settings.take("n_embd", 768),
        "layers": settings.take("n_layer", 12),
        "heads": settings.take("n_head", 12),
        "dropout": settings.take("resid_pdrop", 0.1),
        "embedding_dropout": settings.take("embd_pdrop", 0.1),
        "attention_dropout": settings.take("attn_pdrop", 0.1),
        "epsilon": settings.take("layer_norm_epsilon", 1e-5),
        "initial_std": settings.take("initializer_range", 0.02),
        "tied": settings.take("tie_word_embeddings", True),
    }


def write_gpt1(model: GPT) -> dict[str, Any]:
    """Our settings -> theirs."""
    c = model.config
    if c.mlp_width != 4 * c.width or not c.scale_attention or c.scale_by_layer:
        raise ConfigError(
            tr("a published GPT-1 has mlp_width = 4 · width and scores divided by √K: this one cannot be saved for "
               "Hugging Face")
        )  # fmt: skip
    return {"afn": their_activation(c.activation, _OF_GPT1), **_write(c)}


def write_gpt2(model: GPT) -> dict[str, Any]:
    """Our settings -> theirs."""
    c = model.config
    return {
        "activation_function": their_activation(c.activation),
        "n_inner": None if c.mlp_width == 4 * c.width else c.mlp_width,
        "scale_attn_weights": c.scale_attention,
        "scale_attn_by_inverse_layer_idx": c.scale_by_layer,
        **_write(c),
    }


def _write(c: GPTConfig) -> dict[str, Any]:
    if not c.causal:
        raise ConfigError(tr("every published GPT has a causal mask: this one cannot be saved for Hugging Face"))
    return {
        "vocab_size": c.vocab_size,
        "n_positions": c.context,
        "n_embd": c.width,
        "n_layer": c.layers,
        "n_head": c.heads,
        "resid_pdrop": c.dropout,
        "embd_pdrop": c.dropout if c.embedding_dropout is None else c.embedding_dropout,
        "attn_pdrop": c.dropout if c.attention_dropout is None else c.attention_dropout,
        "layer_norm_epsilon": c.epsilon,
        "initializer_range": c.initial_std,
        "tie_word_embeddings": c.tied,
        "bos_token_id": None,  # theirs without a word are of the published vocabulary
        "eos_token_id": None,
    }


# ----------------------------------------------------------------------------------------------------------- families


def _with_head(config: GPTConfig, published: Mapping[str, Any], arrays: Mapping[str, Any]) -> GPT:
    return GPT(config)


def _without_head(config: GPTConfig, published: Mapping[str, Any], arrays: Mapping[str, Any]) -> GPT:
    """A body alone gets the head that is tied to its embedding."""
    return GPT(dataclasses.replace(config, tied=True))


def _published_as(name: str, norm: str) -> Any:
    return lambda model: name if isinstance(model, GPT) and model.config.norm == norm else None


GPT1 = Family(
    model_type="openai-gpt",
    architectures={"OpenAIGPTLMHeadModel": _with_head, "OpenAIGPTModel": _without_head},
    architecture_of=_published_as("OpenAIGPTLMHeadModel", "post"),
    read_config=read_gpt1,
    write_config=write_gpt1,
    weights=gpt1_weights,
    prefix="transformer.",
    copies=lambda model: {"lm_head.weight": "transformer.tokens_embed.weight"} if model.config.tied else {},
    buffers=_CAUSAL_MASK,
)
GPT2 = Family(
    model_type="gpt2",
    architectures={"GPT2LMHeadModel": _with_head, "GPT2Model": _without_head},
    architecture_of=_published_as("GPT2LMHeadModel", "pre"),
    read_config=read_gpt2,
    write_config=write_gpt2,
    weights=gpt2_weights,
    prefix="transformer.",
    copies=lambda model: {"lm_head.weight": "transformer.wte.weight"} if model.config.tied else {},
    buffers=_CAUSAL_MASK,
)
