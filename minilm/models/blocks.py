"""One block, many models: what GPT, BERT, LLaMA and T5 do differently, read off the modules themselves.

Nothing here knows what a model should be: each trait asks the switches of a model that is there, so the table changes
with the code.
"""

from collections.abc import Callable
from typing import Any

from minilm.errors import ConfigError
from minilm.i18n import tr
from minilm.models.bert import BertConfig, BertForPreTraining
from minilm.models.gpt import GPT, GPTConfig
from minilm.models.llama import Llama, LlamaConfig
from minilm.models.sizes import published
from minilm.models.t5 import T5, T5Config
from minilm.nn.block import Block
from minilm.nn.layers import ACTIVATIONS, GatedMLP, LayerNorm

COMPARED = ("gpt1", "gpt2", "bert-base-uncased", "llama-7b", "t5-small")


# ------------------------------------------------------------------------------------------------------ tiny models


def tiny(name: str) -> Any:
    """A published model made tiny: one layer of a few features, every switch as published."""
    found = published(name)
    make = _TINY.get(found.kind)
    if make is None:
        raise ConfigError(
            tr("{name}: no model of its kind is built here, but those of {known} are", name=name,
               known=", ".join(COMPARED))
        )  # fmt: skip
    return make({**found.settings, "vocab_size": 8, "width": 8, "layers": 1, "mlp_width": 8})


def _tiny_llama(settings: dict[str, Any]) -> Llama:
    """As many query heads for each head of keys and values as published."""
    group = settings["heads"] // settings["kv_heads"]
    return Llama(LlamaConfig.from_dict({**settings, "context": 8, "heads": group, "kv_heads": 1, "head_width": 8}))


_TINY: dict[Callable[..., Any], Callable[[dict[str, Any]], Any]] = {
    GPTConfig: lambda settings: GPT(GPTConfig.from_dict({**settings, "context": 8, "heads": 1})),
    BertConfig: lambda settings: BertForPreTraining(BertConfig.from_dict({**settings, "context": 8, "heads": 1})),
    LlamaConfig: _tiny_llama,
    T5Config: lambda settings: T5(T5Config.from_dict({**settings, "heads": 1, "head_width": 8})),
}


# ----------------------------------------------------------------------------------------------------------- traits


def traits(model: Any) -> dict[str, str]:
    """Trait -> what this model has, in the language in use; the traits are those of `trait_names`."""
    return {name: trait(model) for name, trait in _TRAITS.items()}


def trait_names() -> dict[str, str]:
    """Trait -> its name, in the language in use."""
    return {
        "mask": tr("a position reads"),
        "norm": tr("norm"),
        "place": tr("where it stands"),
        "positions": tr("positions"),
        "heads": tr("keys and values"),
        "scale": tr("scale of the scores"),
        "mlp": tr("MLP"),
        "biases": tr("biases"),
        "head": tr("head"),
        "objective": tr("learns to guess"),
    }


def _stack(model: Any) -> Any:
    """What has blocks: the model, or BERT's or T5's encoder."""
    return next((getattr(model, name) for name in ("bert", "encoder") if hasattr(model, name)), model)


def _block(model: Any) -> Block:
    return _stack(model).blocks[0]


def _mask(model: Any) -> str:
    if not isinstance(model, T5):
        return _reads(_block(model))
    encoder, decoder = _reads(model.encoder.blocks[0]), _reads(model.decoder.blocks[0])
    return tr("encoder: {encoder}; decoder: {decoder}", encoder=encoder, decoder=decoder)


def _reads(block: Block) -> str:
    reads = tr("itself and what stands before") if block.attention.causal else tr("everything")
    return tr("{reads}, and the encoder's output", reads=reads) if block.cross else reads


def _norm(model: Any) -> str:
    return tr("layer norm") if isinstance(_block(model).norm1, LayerNorm) else tr("RMS norm")


def _place(model: Any) -> str:
    stack = _stack(model)
    places = [tr("before attention and MLP") if _block(model).norm_first else tr("after each sum")]
    if getattr(stack, "embedding_norm", None):
        places.append(tr("after the embeddings"))
    if getattr(stack, "final_norm", None):
        places.append(tr("at the end"))
    return ", ".join(places)


def _positions(model: Any) -> str:
    stack = _stack(model)
    if getattr(stack, "rotary", None):
        return tr("rotary: queries and keys are turned")
    if getattr(stack, "position_bias", None):
        return tr("a learned number for each distance, added to the scores")
    return tr("a learned table, added") if getattr(stack, "position_embedding", None) else tr("none")


def _heads(model: Any) -> str:
    attention = _block(model).attention
    group = attention.heads // attention.kv_heads
    return tr("of each head its own") if group == 1 else tr("shared by {n} heads of queries", n=group)


def _scale(model: Any) -> str:
    scale = _block(model).attention.scale
    return "1/√K" if scale is None else f"{scale:g}"


def _mlp(model: Any) -> str:
    mlp = _block(model).mlp
    activation = next(name for name, function in ACTIVATIONS.items() if function is mlp.activation)
    return tr("{activation}, gated", activation=activation) if isinstance(mlp, GatedMLP) else activation


def _biases(model: Any) -> str:
    block = _block(model)
    parts = {tr("attention"): block.attention.qkv, "MLP": block.mlp.up}
    return ", ".join(name for name, linear in parts.items() if linear.bias is not None) or tr("none")


def _head(model: Any) -> str:
    own = model.decoder if isinstance(model, BertForPreTraining) else model.head
    words = tr("the token embedding") if own is None else tr("its own")
    if getattr(model.config, "scale_head", False):
        words = tr("{words}, divided by √D", words=words)
    return tr("dense, norm, then {words}", words=words) if hasattr(model, "dense") else words


def _objective(model: Any) -> str:
    if isinstance(model, BertForPreTraining):
        masked = tr("masked tokens")
        return masked if model.next_sentence is None else tr("{masked}; whether text B follows A", masked=masked)
    if isinstance(model, T5):
        return tr("a second text, token by token: the spans that the first one lacks")
    return tr("the next token") if _block(model).attention.causal else tr("nothing: it reads what it should guess")


_TRAITS: dict[str, Callable[[Any], str]] = {
    "mask": _mask,
    "norm": _norm,
    "place": _place,
    "positions": _positions,
    "heads": _heads,
    "scale": _scale,
    "mlp": _mlp,
    "biases": _biases,
    "head": _head,
    "objective": _objective,
}
