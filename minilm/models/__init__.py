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
    BERT_SIZES,
    SIZES,
    bert_config,
    bert_parameters_by_part,
    count_bert_parameters,
    count_parameters,
    gpt_config,
    parameters_by_part,
)
from minilm.models.t5 import T5, T5Config, T5Encoder

__all__ = [
    "BERT_SIZES",
    "GPT",
    "SIZES",
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
    "T5Config",
    "T5Encoder",
    "bert_config",
    "bert_parameters_by_part",
    "best_spans",
    "count_bert_parameters",
    "count_parameters",
    "gpt_config",
    "parameters_by_part",
]
