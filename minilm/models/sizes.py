"""Models by name: the published ones, and those that this house trains; and how many parameters a configuration has."""

from typing import Any

from minilm.errors import ConfigError
from minilm.i18n import tr
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
    # For tests; its vocabulary is the tokenizer's. What trains here has recipes in pretraining.py.
    "tiny": {"context": 32, "width": 32, "layers": 2, "heads": 2},
}


def gpt_config(name: str, **changes: Any) -> GPTConfig:
    """The configuration of that name with some settings changed, e.g. gpt_config("tiny", vocab_size=65)."""
    if name not in SIZES:
        raise ConfigError(tr("there is no model size {got!r}; there are {known}", got=name, known=", ".join(SIZES)))
    return GPTConfig.from_dict({**SIZES[name], **changes})


def parameters_by_part(config: GPTConfig) -> dict[str, int]:
    """Part -> how many parameters; the blocks together. With biases and F = 4D a block has 12D² + 13D:

    attention 3D² + 3D for q, k, v and D² + D for the output; MLP 2DF + F + D; two norms 4D.
    """
    c = config
    D, F = c.width, c.mlp_width or 4 * c.width
    block = (4 * D * D + 4 * D) + (2 * D * F + F + D) + 4 * D
    return {
        "token_embedding": c.vocab_size * D,
        "position_embedding": c.context * D,
        "blocks": c.layers * block,
        "final_norm": 2 * D if c.norm == "pre" else 0,
        "head": 0 if c.tied else c.vocab_size * D,
    }


def count_parameters(config: GPTConfig) -> int:
    """(V + context) D + L (12D² + 13D) [+ 2D for a final norm] [+ V D for an untied head], for F = 4D."""
    return sum(parameters_by_part(config).values())
