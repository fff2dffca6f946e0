"""What fixes how many parameters a Transformer has and what it costs: plain numbers, of which no array is made."""

from dataclasses import dataclass, replace
from typing import Any

from minilm.errors import ConfigError
from minilm.i18n import tr
from minilm.models.bert import BertConfig
from minilm.models.gpt import GPTConfig
from minilm.models.llama import LlamaConfig
from minilm.models.t5 import T5Config

# What can stand on a stack of blocks; minilm/models/sizes/counting.py says what each has.
ON_TOP = ("language_model", "pooler", "masked_lm", "next_sentence", "discriminator", "classifier")
T5_CONTEXT = 512  # Raffel et al. 2020, section 3.1.2; its positions know no longest text


@dataclass(frozen=True, kw_only=True)
class Shape:
    """A Transformer by its numbers, whether or not this house has a model of its kind.

    vocab_size V. context: the most positions it reads; of T5, which knows no most, how many it learned with. width D,
    layers L (of the encoder where there is a decoder too), decoder_layers, heads H, kv_heads (those of keys and
    values), head_width K, mlp_width F. embedding_width E: of the embeddings, D but in ALBERT and ELECTRA. gated: the
    MLP has three matrices, not two. norm_kind: "layer" (weight and bias) or "rms" (weight). positions: rows of a
    learned table; buckets: of T5's learned distances, one number a head, once a stack; segments: rows of BERT's table.
    shared_layers: all layers are one (ALBERT). tied: the language model's head is the token embedding. on_top: what
    stands on the stack, names of ON_TOP; classes: outputs of a "classifier".
    """

    vocab_size: int
    context: int
    width: int
    layers: int
    heads: int
    kv_heads: int
    head_width: int
    mlp_width: int
    embedding_width: int
    decoder_layers: int = 0
    gated: bool = False
    attention_bias: bool = True
    mlp_bias: bool = True
    norm_kind: str = "layer"
    embedding_norm: bool = False
    final_norm: bool = False
    positions: int = 0
    buckets: int = 0
    segments: int = 0
    shared_layers: bool = False
    causal: bool = True
    tied: bool = True
    on_top: tuple[str, ...] = ()
    classes: int = 1

    def __post_init__(self) -> None:
        if unknown := [name for name in self.on_top if name not in ON_TOP]:
            raise ConfigError(
                tr("a model has no part {names}; on top it can have {known}", names=", ".join(unknown),
                   known=", ".join(ON_TOP))
            )  # fmt: skip

    @classmethod
    def of(cls, config: Any, *on_top: str, classes: int = 1) -> "Shape":
        """The shape of a model with this configuration and these parts on top; that of a decoder is always there.

        Of a Shape: itself, or with these parts in place of its own.
        """
        match config:
            case GPTConfig():
                return cls(**_of_gpt(config), on_top=("language_model", *on_top), classes=classes)
            case BertConfig():
                return cls(**_of_bert(config), on_top=on_top, classes=classes)
            case LlamaConfig():
                return cls(**_of_llama(config), on_top=("language_model", *on_top), classes=classes)
            case T5Config():
                return cls(**_of_t5(config), on_top=("language_model", *on_top), classes=classes)
            case Shape():
                return replace(config, on_top=on_top, classes=classes) if on_top else config
        raise ConfigError(tr("config: got {got}, wanted the configuration of a model", got=type(config).__name__))


def _common(config: Any) -> dict[str, Any]:
    """What all have alike; every head has its own keys and values, and D / H features, unless the model says more."""
    c = config
    return {
        "vocab_size": c.vocab_size,
        "width": c.width,
        "embedding_width": c.width,
        "layers": c.layers,
        "heads": c.heads,
        "kv_heads": c.heads,
        "head_width": c.width // c.heads,
        "mlp_width": c.mlp_width,
        "tied": c.tied,
    }


def _of_gpt(config: GPTConfig) -> dict[str, Any]:
    c = config
    positions = {"context": c.context, "positions": c.context}
    return {**_common(c), **positions, "causal": c.causal, "final_norm": c.norm == "pre"}


def _of_bert(config: BertConfig) -> dict[str, Any]:
    c = config
    embeddings = {"context": c.context, "positions": c.context, "segments": c.segments, "embedding_norm": True}
    return {**_common(c), **embeddings, "causal": c.causal}


def _of_llama(config: LlamaConfig) -> dict[str, Any]:
    c = config
    block = {"kv_heads": c.kv_heads, "head_width": c.head_width, "gated": True, "norm_kind": "rms", "final_norm": True}
    return {**_common(c), **block, "context": c.context, "attention_bias": c.attention_bias, "mlp_bias": c.mlp_bias}


def _of_t5(config: T5Config) -> dict[str, Any]:
    c = config
    stacks = {"context": T5_CONTEXT, "decoder_layers": c.decoder_layers, "buckets": c.buckets, "causal": False}
    block = {"head_width": c.head_width, "gated": c.gated, "norm_kind": "rms", "final_norm": True}
    return {**_common(c), **stacks, **block, "attention_bias": False, "mlp_bias": False}
