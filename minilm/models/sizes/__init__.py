"""The sizes of published models, counted and costed by formula: no array is made.

Read shape.py (what fixes a size), counting.py (parameters), costs.py (memory and FLOPs), published.py (the table).
"""

from minilm.models.sizes.costs import (
    BYTES,
    Flops,
    activation_memory,
    checked_context,
    flops_by_kaplan,
    flops_by_parameters,
    kv_cache_per_token,
    non_embedding_parameters,
    serving_memory,
    training_memory,
)
from minilm.models.sizes.counting import count_parameters, parameters_by_part
from minilm.models.sizes.published import (
    ALIASES,
    PUBLISHED,
    Published,
    bert_config,
    gpt_config,
    llama_config,
    published,
    resolve,
    t5_config,
)
from minilm.models.sizes.shape import Shape

__all__ = [
    "ALIASES",
    "BYTES",
    "PUBLISHED",
    "Flops",
    "Published",
    "Shape",
    "activation_memory",
    "bert_config",
    "checked_context",
    "count_parameters",
    "flops_by_kaplan",
    "flops_by_parameters",
    "gpt_config",
    "kv_cache_per_token",
    "llama_config",
    "non_embedding_parameters",
    "parameters_by_part",
    "published",
    "resolve",
    "serving_memory",
    "t5_config",
    "training_memory",
]
