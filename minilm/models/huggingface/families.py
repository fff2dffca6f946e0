"""Every kind of model that is read from and written to Hugging Face folders, by its "model_type"."""

from minilm.models.huggingface.bert import BERT
from minilm.models.huggingface.gpt import GPT1, GPT2
from minilm.models.huggingface.llama import LLAMA
from minilm.models.huggingface.t5 import T5_FAMILY
from minilm.models.huggingface.tables import Family

FAMILIES: dict[str, Family] = {family.model_type: family for family in (GPT1, GPT2, BERT, LLAMA, T5_FAMILY)}
