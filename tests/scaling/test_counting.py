"""Counting: parameters are the arrays' own, FLOPs a token are what the trace counts, operation by operation."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minilm as ml
from minilm.errors import ConfigError
from minilm.models import GPT, Bert, BertConfig, GPTConfig, Llama, LlamaConfig, T5Config
from minilm.models.sizes import PUBLISHED
from minilm.scaling.counting import (
    critical_batch_size,
    flops_by_operation,
    parameters,
    traced_flops,
    training_flops,
)

GPTS = st.builds(
    lambda vocab, context, heads, k, layers, mlp, tied: GPTConfig(
        vocab_size=vocab, context=context, width=heads * k, layers=layers, heads=heads, mlp_width=mlp, tied=tied
    ),
    st.integers(2, 40), st.integers(2, 9), st.integers(1, 3), st.integers(1, 4).map(lambda n: 2 * n),
    st.integers(1, 3), st.integers(1, 30), st.booleans(),
)  # fmt: skip


def traced(model, B, T, V):
    ids = np.random.default_rng(0).integers(0, V, (B, T))
    with ml.trace(memory=False) as record:
        model.loss(ids, ids).backward()
    return record


@settings(max_examples=6)
@given(GPTS, st.integers(1, 3))
def test_a_gpts_flops_are_what_the_trace_counts(config, batch):
    record = traced(GPT(config, seed=0), batch, config.context, config.vocab_size)
    by_operation = flops_by_operation(config)
    assert sum(f.training for f in by_operation.values()) * batch * config.context == record.products
    assert training_flops(config).products * batch * config.context == record.products
    head = record.flops_of("forward", "linear_cross_entropy") if config.tied else None
    if head is not None:  # its products, and 2 V + 2 others a token
        others = (2 * config.vocab_size + 2) * batch * config.context + 1
        assert abs(by_operation["head"].forward * batch * config.context + others - head) <= batch * config.context


def test_a_llamas_flops_are_what_the_trace_counts():
    config = LlamaConfig(vocab_size=50, context=12, width=24, layers=2, heads=4, kv_heads=2, mlp_width=20)
    record = traced(Llama(config, seed=0), 2, 12, 50)
    assert training_flops(config).products * 24 == record.products


def test_an_encoders_flops_are_what_the_trace_counts():
    config = BertConfig(vocab_size=50, context=12, width=24, layers=2, heads=4)
    model = Bert(config, seed=0, pooler=False)
    ids = np.random.default_rng(0).integers(0, 50, (2, 12))
    with ml.trace(memory=False) as record:
        out = model(ids)
        hidden = out[0]
        hidden.backward(np.ones(hidden.shape, hidden.dtype))
    assert flops_by_operation(config)["head"].training == 0
    assert sum(f.training for f in flops_by_operation(config).values()) * 24 == record.products


@settings(max_examples=6)
@given(GPTS)
def test_parameters_are_the_arrays_own(config):
    model, counts = GPT(config, seed=0), parameters(config)
    arrays = dict(model.named_parameters())
    assert counts.all == model.num_parameters() == sum(a.data.size for a in arrays.values())
    looked_up = sum(a.data.size for name, a in arrays.items() if "embedding" in name)
    head = 0 if config.tied else config.vocab_size * config.width
    assert counts.without_embeddings == counts.all - looked_up - head
    assert counts.blocks == sum(a.data.size for name, a in arrays.items() if a.data.ndim == 2 and "block" in name)
    assert counts.in_products == counts.blocks + config.vocab_size * config.width


def test_gpt2s_counts():
    counts, flops = parameters(PUBLISHED["gpt2"].shape), training_flops(PUBLISHED["gpt2"].shape)
    assert (counts.all, counts.blocks) == (124_439_808, 84_934_656)
    assert counts.without_embeddings == 124_439_808 - (50_257 + 1024) * 768
    assert counts.in_products == 84_934_656 + 50_257 * 768
    assert flops.products == 6 * counts.in_products + 12 * 12 * 1024 * 768
    assert flops.by_all_parameters == 6 * counts.all and flops.by_blocks == 6 * counts.blocks
    assert flops.kaplan == 6 * counts.blocks + 6 * 12 * 1024 * 768
    half = flops_by_operation(PUBLISHED["gpt2"].shape, causal_half=True)
    assert sum(f.training for name, f in half.items() if name != "head") == flops.kaplan


def test_everything_that_runs_is_little_more_than_its_products():
    config = GPTConfig(vocab_size=362, context=32, width=64, layers=2, heads=4)
    model = GPT(config, seed=0)
    ids = np.random.default_rng(0).integers(0, 362, (2, 32))
    before = np.random.default_rng(1).standard_normal(model.token_embedding.weight.shape).astype(np.float32)
    model.token_embedding.weight.grad = ml.Tensor(before)
    flops = traced_flops(model, ids)
    record = traced(model, 2, 32, 362)
    assert flops.training == record.flops // 64 and flops.forward == record.flops_of("forward") // 64
    assert 1 < flops.training / training_flops(config).products < 1.1


def test_gradients_that_were_there_are_kept():
    model = GPT(GPTConfig(vocab_size=20, context=8, width=8, layers=1, heads=2), seed=0)
    ids = np.zeros((1, 8), int)
    traced_flops(model, ids)
    assert all(parameter.grad is None for _, parameter in model.named_parameters())


def test_the_critical_batch_in_texts():
    assert critical_batch_size(3.0) == pytest.approx(1.07e6, rel=5e-3)
    assert critical_batch_size(3.0, context=1024) == pytest.approx(1.07e6 / 1024, rel=5e-3)
    with pytest.raises(ConfigError, match="loss is 0"):
        critical_batch_size(0)


def test_two_stacks_are_refused():
    with pytest.raises(ConfigError, match="one stack of blocks"):
        flops_by_operation(T5Config(vocab_size=50, width=8, layers=1, heads=2))
    with pytest.raises(ConfigError, match="one stack of blocks"):
        training_flops(PUBLISHED["bert-base-uncased"].shape)
