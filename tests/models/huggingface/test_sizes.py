"""The counts of published models are those of transformers' models, made of the same settings without their memory."""

import pytest
import torch
import transformers

from minilm.models.sizes import PUBLISHED, count_parameters, published

FAMILIES = {  # the beginning of a name -> transformers' class
    "gpt1": "OpenAIGPTLMHeadModel",
    "gpt": "GPT2LMHeadModel",
    "bert": "BertForPreTraining",
    "beto": "BertForPreTraining",
    "roberta": "RobertaForMaskedLM",
    "distilbert": "DistilBertModel",
    "albert": "AlbertModel",
    "electra": "ElectraForPreTraining",
    "t5": "T5ForConditionalGeneration",
    "mistral": "MistralForCausalLM",
    "": "LlamaForCausalLM",
}
ONE_EACH = ("gpt1", "gpt2-xl", "bert-tiny", "roberta-base", "distilbert", "albert-base", "electra-small", "t5-small",
            "t5-v1.1-small", "mistral-7b", "smollm2-135m")  # fmt: skip


def settings(architecture, s):
    """A shape's numbers by transformers' names."""
    if "GPT" in architecture:
        return {"n_embd": s.width, "n_layer": s.layers, "n_head": s.heads, "n_positions": s.positions}
    if "T5" in architecture:
        plain = {"d_model": s.width, "d_ff": s.mlp_width, "num_layers": s.layers, "num_heads": s.heads}
        gated = {"feed_forward_proj": "gated-gelu" if s.gated else "relu"}
        return {**plain, **gated, "d_kv": s.head_width, "relative_attention_num_buckets": s.buckets}
    if "Distil" in architecture:
        return {"dim": s.width, "hidden_dim": s.mlp_width, "n_layers": s.layers, "n_heads": s.heads}
    found = {
        "hidden_size": s.width,
        "intermediate_size": s.mlp_width,
        "num_hidden_layers": s.layers,
        "num_attention_heads": s.heads,
    }
    if s.positions:
        bert = {"max_position_embeddings": s.positions, "type_vocab_size": s.segments}
        return {**found, **bert, "embedding_size": s.embedding_width}
    return {**found, "num_key_value_heads": s.kv_heads, "head_dim": s.head_width, "tie_word_embeddings": s.tied}


def theirs(name):
    """transformers' model of these settings, on a device that holds no numbers."""
    shape = published(name).shape
    architecture = next(kind for start, kind in FAMILIES.items() if name.startswith(start))
    kind = getattr(transformers, architecture)
    config = kind.config_class(vocab_size=shape.vocab_size, **settings(architecture, shape))
    with torch.device("meta"):
        model = kind(config)
        if "T5" in architecture and not shape.tied:  # T5 1.1's files have the head that this class always ties
            model.lm_head.weight = torch.nn.Parameter(torch.empty_like(model.lm_head.weight))
    return model


def check(name):
    unique = {id(p): p.numel() for p in theirs(name).parameters()}
    assert sum(unique.values()) == count_parameters(published(name).shape)


@pytest.mark.parametrize("name", ONE_EACH)
def test_one_of_each_family(name):
    check(name)


@pytest.mark.slow
@pytest.mark.parametrize("name", PUBLISHED)
def test_every_one(name):
    check(name)
