"""A small GPT, BERT, LLaMA and T5, their weights large and random so that no part is idle: attention far from even."""

import numpy as np
import pytest

from minilm.models import GPT, T5, BertConfig, BertForPreTraining, GPTConfig, Llama, LlamaConfig, T5Config


@pytest.fixture
def lively_gpt():
    """make(dtype, seed, **settings) -> a GPT in evaluation mode whose parameters all are random."""

    def make(dtype=np.float64, seed=0, **settings):
        config = GPTConfig(**{"vocab_size": 13, "context": 16, "width": 12, "layers": 2, "heads": 3, **settings})
        model = GPT(config).astype(dtype).eval()
        rng = np.random.default_rng(seed)
        for name, p in model.named_parameters():
            middle = 1.0 if "norm" in name and name.endswith("weight") else 0.0
            p.assign(middle + 0.4 * rng.standard_normal(p.shape))
        return model

    return make


@pytest.fixture
def lively_bert():
    """make(kind, dtype, seed, **settings) -> a BERT, or a model with a head on it, whose parameters all are random."""

    def make(kind=BertForPreTraining, dtype=np.float64, seed=0, options=None, **settings):
        config = BertConfig(
            **{"vocab_size": 13, "context": 16, "width": 12, "layers": 2, "heads": 3, "epsilon": 0.05, **settings}
        )
        model = kind(config, **(options or {})).astype(dtype).eval()
        rng = np.random.default_rng(seed)
        for name, p in model.named_parameters():
            middle = 1.0 if "norm" in name and name.endswith("weight") else 0.0
            p.assign(middle + 0.4 * rng.standard_normal(p.shape))
        return model

    return make


@pytest.fixture
def lively_llama():
    """make(dtype, seed, **settings) -> a LLaMA in evaluation mode whose parameters all are random."""

    def make(dtype=np.float64, seed=0, **settings):
        small = {"vocab_size": 13, "context": 16, "width": 12, "layers": 2, "heads": 6, "kv_heads": 2, "head_width": 4}
        model = Llama(LlamaConfig(**{**small, "mlp_width": 10, "theta": 50.0, **settings})).astype(dtype).eval()
        rng = np.random.default_rng(seed)
        for name, p in model.named_parameters():
            middle = 1.0 if "norm" in name else 0.0
            p.assign(middle + 0.4 * rng.standard_normal(p.shape))
        return model

    return make


@pytest.fixture
def lively_t5():
    """make(dtype, seed, **settings) -> a T5 in evaluation mode whose parameters all are random."""

    def make(dtype=np.float64, seed=0, kind=T5, **settings):
        shape = {"vocab_size": 13, "width": 12, "layers": 2, "decoder_layers": 3, "heads": 3, "head_width": 5}
        config = T5Config(**{**shape, "mlp_width": 17, "buckets": 8, "max_distance": 6, "epsilon": 0.05, **settings})
        model = kind(config).astype(dtype).eval()
        rng = np.random.default_rng(seed)
        for name, p in model.named_parameters():
            p.assign((1.0 if "norm" in name else 0.0) + 0.4 * rng.standard_normal(p.shape))
        return model

    return make
