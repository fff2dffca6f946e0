"""Models by name: the published ones, and those that this house trains; and how many parameters a configuration has."""

from typing import Any

from minilm.errors import ConfigError
from minilm.i18n import tr
from minilm.models.bert import BertConfig
from minilm.models.gpt import GPTConfig

# Radford et al. 2018, section 4.1, and the released vocabulary of 40,478.
_GPT1 = {"vocab_size": 40_478, "context": 512, "width": 768, "layers": 12, "heads": 12, "dropout": 0.1, "norm": "post"}
# Radford et al. 2019, table 2; heads as in the released weights.
_GPT2 = {"vocab_size": 50_257, "context": 1024, "dropout": 0.1}

SIZES: dict[str, dict[str, Any]] = {
    "gpt": _GPT1,
    "gpt2": {**_GPT2, "width": 768, "layers": 12, "heads": 12},
    "gpt2-medium": {**_GPT2, "width": 1024, "layers": 24, "heads": 16},
    "gpt2-large": {**_GPT2, "width": 1280, "layers": 36, "heads": 20},
    "gpt2-xl": {**_GPT2, "width": 1600, "layers": 48, "heads": 25},
    # For tests; its vocabulary is the tokenizer's. What trains here has recipes in pretraining/recipes.py.
    "tiny": {"context": 32, "width": 32, "layers": 2, "heads": 2},
}

# Devlin et al. 2019, section 3; vocabularies and activation as in the released weights.
_BASE = {"width": 768, "layers": 12, "heads": 12, "dropout": 0.1}
_LARGE = {"width": 1024, "layers": 24, "heads": 16, "dropout": 0.1}

BERT_SIZES: dict[str, dict[str, Any]] = {
    "bert-base-uncased": {**_BASE, "vocab_size": 30_522},
    "bert-base-cased": {**_BASE, "vocab_size": 28_996},
    "bert-large-uncased": {**_LARGE, "vocab_size": 30_522},
    "bert-large-cased": {**_LARGE, "vocab_size": 28_996},
    "tiny": {"context": 32, "width": 32, "layers": 2, "heads": 2},
}


def gpt_config(name: str, **changes: Any) -> GPTConfig:
    """The configuration of that name with some settings changed, e.g. gpt_config("tiny", vocab_size=65)."""
    if name not in SIZES:
        raise ConfigError(tr("there is no model size {got!r}; there are {known}", got=name, known=", ".join(SIZES)))
    return GPTConfig.from_dict({**SIZES[name], **changes})


def bert_config(name: str, **changes: Any) -> BertConfig:
    """The configuration of that name with some settings changed, e.g. bert_config("tiny", vocab_size=65)."""
    if name not in BERT_SIZES:
        raise ConfigError(
            tr("there is no model size {got!r}; there are {known}", got=name, known=", ".join(BERT_SIZES))
        )
    return BertConfig.from_dict({**BERT_SIZES[name], **changes})


def _block(D: int, F: int) -> int:
    """How many parameters a block has, 12D² + 13D for F = 4D."""
    return (4 * D * D + 4 * D) + (2 * D * F + F + D) + 4 * D


def parameters_by_part(config: GPTConfig) -> dict[str, int]:
    """Part -> how many parameters; the blocks together. With biases and F = 4D a block has 12D² + 13D:

    attention 3D² + 3D for q, k, v and D² + D for the output; MLP 2DF + F + D; two norms 4D.
    """
    c = config
    D, F = c.width, c.mlp_width or 4 * c.width
    return {
        "token_embedding": c.vocab_size * D,
        "position_embedding": c.context * D,
        "blocks": c.layers * _block(D, F),
        "final_norm": 2 * D if c.norm == "pre" else 0,
        "head": 0 if c.tied else c.vocab_size * D,
    }


def count_parameters(config: GPTConfig) -> int:
    """(V + context) D + L (12D² + 13D) [+ 2D for a final norm] [+ V D for an untied head], for F = 4D."""
    return sum(parameters_by_part(config).values())


def bert_parameters_by_part(config: BertConfig) -> dict[str, int]:
    """Part -> how many parameters; a model has the encoder's, the first five, and those of its task.

    "classifier" is one output of a task's linear layer: times the classes.
    """
    c = config
    D, F = c.width, c.mlp_width or 4 * c.width
    return {
        "token_embedding": c.vocab_size * D,
        "segment_embedding": c.segments * D,
        "position_embedding": c.context * D,
        "embedding_norm": 2 * D,
        "blocks": c.layers * _block(D, F),
        "pooler": D * D + D,
        "masked_lm": D * D + D + 2 * D + c.vocab_size,
        "next_sentence": 2 * (D + 1),
        "classifier": D + 1,
    }


def count_bert_parameters(config: BertConfig, *parts: str, classes: int = 1) -> int:
    """(V + context + segments + 2) D + L (12D² + 13D), for F = 4D, and the named parts of `bert_parameters_by_part`.

    E.g. count_bert_parameters(config, "pooler", "masked_lm", "next_sentence") for `BertForPreTraining`.
    """
    by_part = bert_parameters_by_part(config)
    if unknown := [part for part in parts if part not in by_part]:
        raise ConfigError(
            tr("a BERT has no part {names}; it has {known}", names=", ".join(unknown), known=", ".join(by_part))
        )
    encoder = ("token_embedding", "segment_embedding", "position_embedding", "embedding_norm", "blocks")
    return sum(by_part[part] * (classes if part == "classifier" else 1) for part in (*encoder, *parts))
