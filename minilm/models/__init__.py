"""Models: whole networks built of layers, one file each."""

from minilm.models.base import Model
from minilm.models.bert import Bert, BertConfig, BertForPreTraining
from minilm.models.gpt import GPT, GPTConfig
from minilm.models.gpt_heads import (
    GPTForMultipleChoice,
    GPTForQuestionAnswering,
    GPTForSequenceClassification,
    GPTForTokenClassification,
)
from minilm.models.heads import (
    BertForMultipleChoice,
    BertForQuestionAnswering,
    BertForSequenceClassification,
    BertForTokenClassification,
    best_spans,
)
from minilm.models.llama import Llama, LlamaConfig
from minilm.models.sizes import (
    Shape,
    bert_config,
    count_parameters,
    gpt_config,
    llama_config,
    parameters_by_part,
    t5_config,
)
from minilm.models.t5 import T5, T5Config, T5Encoder

__all__ = [
    "GPT",
    "T5",
    "Bert",
    "BertConfig",
    "BertForMultipleChoice",
    "BertForPreTraining",
    "BertForQuestionAnswering",
    "BertForSequenceClassification",
    "BertForTokenClassification",
    "GPTConfig",
    "GPTForMultipleChoice",
    "GPTForQuestionAnswering",
    "GPTForSequenceClassification",
    "GPTForTokenClassification",
    "Llama",
    "LlamaConfig",
    "Model",
    "Shape",
    "T5Config",
    "T5Encoder",
    "bert_config",
    "best_spans",
    "count_parameters",
    "gpt_config",
    "llama_config",
    "parameters_by_part",
    "t5_config",
]
