"""LLaMA as Hugging Face publishes it: LlamaForCausalLM, which SmolLM2, TinyLlama and many others are too.

Its linear layers are PyTorch's, so all are transposed; query, key and value are three there, one of ours. How rotary
positions are scaled stands in "rope_parameters" since transformers 5, before that in "rope_scaling" and "rope_theta".
"""

import dataclasses
from collections.abc import Collection, Mapping
from typing import Any

from minilm.errors import ConfigError
from minilm.i18n import tr
from minilm.models.huggingface.settings import Settings, their_activation
from minilm.models.huggingface.tables import Family, Weight, layers, linear, same
from minilm.models.llama import Llama, LlamaConfig
from minilm.nn.rotary import SCALINGS, DynamicScaling, Scaling, rope_scaling

# ------------------------------------------------------------------------------------------------------------ weights


def llama_weights(model: Llama) -> list[Weight]:
    """Ours = theirs."""
    c: Any = model.config
    layer = "model.layers.{i}"
    queries, keys = c.heads * c.head_width, c.kv_heads * c.head_width
    parts = [f"{layer}.self_attn.{part}_proj" for part in "qkv"]
    block = [
        *same("blocks.{i}.norm1", f"{layer}.input_layernorm", "weight"),
        *linear("blocks.{i}.attention.qkv", *parts, bias=c.attention_bias, sizes=(queries, keys, keys)),
        *linear("blocks.{i}.attention.out", f"{layer}.self_attn.o_proj", bias=c.attention_bias),
        *same("blocks.{i}.norm2", f"{layer}.post_attention_layernorm", "weight"),
        *linear("blocks.{i}.mlp.gate", f"{layer}.mlp.gate_proj", bias=c.mlp_bias),
        *linear("blocks.{i}.mlp.up", f"{layer}.mlp.up_proj", bias=c.mlp_bias),
        *linear("blocks.{i}.mlp.down", f"{layer}.mlp.down_proj", bias=c.mlp_bias),
    ]
    return [
        *same("token_embedding", "model.embed_tokens", "weight"),
        *layers(c.layers, block),
        *same("final_norm", "model.norm", "weight"),
        *([] if c.tied else linear("head", "lm_head", bias=False)),
    ]


# ----------------------------------------------------------------------------------------------------------- settings


def read_llama(settings: Settings) -> LlamaConfig:
    """Their settings -> ours."""
    settings.require("rope_interleaved", False)  # pairs are halves of a head, never neighbours
    settings.require("is_llama_config", True)  # as SmolLM2 says
    settings.keep("pretraining_tp", "max_sequence_length")  # in how many parts it was trained; an older name
    trained = settings.take("max_position_embeddings", 2048)
    theta, scaling = _read_rope(settings, trained)
    return LlamaConfig(
        vocab_size=settings.take("vocab_size", 32000),
        context=_stretched(scaling) if isinstance(scaling, DynamicScaling) else trained,
        width=settings.take("hidden_size", 4096),
        layers=settings.take("num_hidden_layers", 32),
        heads=settings.take("num_attention_heads", 32),
        kv_heads=settings.take("num_key_value_heads", None),
        head_width=settings.take("head_dim", None),
        mlp_width=settings.take("intermediate_size", 11008),
        epsilon=settings.take("rms_norm_eps", 1e-6),
        theta=theta,
        rope_scaling=scaling,
        attention_bias=settings.take("attention_bias", False),
        mlp_bias=settings.take("mlp_bias", False),
        tied=settings.take("tie_word_embeddings", False),
        activation=settings.activation("hidden_act", "silu"),
        dropout=settings.take("attention_dropout", 0.0),
        initial_std=settings.take("initializer_range", 0.02),
    )


def write_llama(model: Llama) -> dict[str, Any]:
    """Our settings -> theirs."""
    c = model.config
    if c.width % c.heads:
        raise ConfigError(
            tr("heads is {heads}, width is {width}: in a published LLaMA heads divides width, whatever head_width is, "
               "so this one cannot be saved for Hugging Face", heads=c.heads, width=c.width)
        )  # fmt: skip
    return {
        "vocab_size": c.vocab_size,
        "max_position_embeddings": _trained_context(c),
        "hidden_size": c.width,
        "num_hidden_layers": c.layers,
        "num_attention_heads": c.heads,
        "num_key_value_heads": c.kv_heads,
        "head_dim": c.head_width,
        "intermediate_size": c.mlp_width,
        "rms_norm_eps": c.epsilon,
        "rope_parameters": _write_rope(c),
        "attention_bias": c.attention_bias,
        "mlp_bias": c.mlp_bias,
        "tie_word_embeddings": c.tied,
        "hidden_act": their_activation(c.activation),
        "attention_dropout": c.dropout,
        "initializer_range": c.initial_std,
        "bos_token_id": None,  # theirs without a word are of the published vocabulary
        "eos_token_id": None,
    }


# ----------------------------------------------------------------------------------------------------- rotary positions


def _read_rope(settings: Settings, trained: int) -> tuple[float, Scaling | None]:
    """theta and the scaling, from "rope_scaling" if it says anything, else from "rope_parameters"."""
    current, older = settings.take("rope_parameters", None), settings.take("rope_scaling", None)
    theta, beside = settings.take("rope_theta", None), settings.take("original_max_position_embeddings", None)
    settings.require("partial_rotary_factor", 1.0, 1, None)
    rope = {name: got for name, got in (older or current or {}).items() if got is not None}
    if rope.pop("partial_rotary_factor", 1) != 1:
        raise ConfigError(tr("partial_rotary_factor: minilm builds LLaMAs with 1.0 only, which turn whole heads"))
    theta = rope.pop("rope_theta", theta) or 1e4
    older_name = rope.pop("type", "default")
    kind = rope.pop("rope_type", older_name)
    within = rope.pop("original_max_position_embeddings", trained)
    if kind == "default" and not rope:
        return theta, None
    if kind not in SCALINGS:
        raise ConfigError(
            tr("rope_type is {got!r}, with {names}; minilm knows 'default', with nothing else, and {known}", got=kind,
               names=", ".join(rope) or "-", known=", ".join(map(repr, SCALINGS)))
        )  # fmt: skip
    original = trained if kind == "dynamic" else beside or within  # what Phi-3 has beside the rest goes first
    if kind != "linear":
        rope["original_context"] = original
    if kind in ("yarn", "longrope"):
        rope.setdefault("factor", trained / original)
    for name in ("beta_fast", "beta_slow"):
        if rope.get(name) == 0:  # which is theirs for the default
            del rope[name]
    return theta, rope_scaling({"kind": kind, **rope})


def _write_rope(c: LlamaConfig) -> dict[str, Any]:
    if c.rope_scaling is None:
        return {"rope_type": "default", "rope_theta": c.theta}
    defaults = {field.name: field.default for field in dataclasses.fields(c.rope_scaling)}  # which are theirs too
    given = {name: got for name, got in c.rope_scaling.to_dict().items() if name == "kind" or got != defaults[name]}
    kind, original = given.pop("kind"), given.pop("original_context", None)
    if kind in ("yarn", "longrope", "llama3"):
        given["original_max_position_embeddings"] = original
    return {"rope_type": kind, "rope_theta": c.theta, **given}


def _stretched(scaling: DynamicScaling) -> int:
    """The context that a dynamic scaling is for: theirs has none but the one that was trained."""
    return int(scaling.factor * scaling.original_context)


def _trained_context(c: LlamaConfig) -> int:
    """Their max_position_embeddings."""
    if not isinstance(c.rope_scaling, DynamicScaling):
        return c.context
    if c.context != _stretched(c.rope_scaling):
        raise ConfigError(
            tr("context is {got}: a LLaMA of dynamic scaling is published with factor · original_context = {wanted} "
               "positions, so this one cannot be saved for Hugging Face", got=c.context,
               wanted=_stretched(c.rope_scaling))
        )  # fmt: skip
    return c.rope_scaling.original_context


# ------------------------------------------------------------------------------------------------------------- family


def _with_head(config: LlamaConfig, published: Mapping[str, Any], names: Collection[str]) -> Llama:
    return Llama(config)


def _without_head(config: LlamaConfig, published: Mapping[str, Any], names: Collection[str]) -> Llama:
    """A body alone gets the head that is tied to its embedding."""
    return Llama(dataclasses.replace(config, tied=True))


LLAMA = Family(
    model_type="llama",
    architectures={"LlamaForCausalLM": _with_head, "LlamaModel": _without_head},
    architecture_of=lambda model: "LlamaForCausalLM" if isinstance(model, Llama) else None,
    read_config=read_llama,
    write_config=write_llama,
    weights=llama_weights,
    prefix="model.",
    copies=lambda model: {"lm_head.weight": "model.embed_tokens.weight"} if model.config.tied else {},
    buffers=(r"(layers\.\d+\.self_attn\.)?rotary_emb\.inv_freq",),  # the frequencies, which theta says
)
