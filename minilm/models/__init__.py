"""Models: whole networks built of layers, one file each."""

from minilm.models.gpt import GPT, GPTConfig
from minilm.models.sizes import SIZES, count_parameters, gpt_config, parameters_by_part

__all__ = ["GPT", "SIZES", "GPTConfig", "count_parameters", "gpt_config", "parameters_by_part"]
