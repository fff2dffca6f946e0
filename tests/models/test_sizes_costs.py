"""Memory and FLOPs: by hand, by the figures that papers print, and by what the engine itself counts."""

import math
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minilm as ml
from minilm.errors import ConfigError
from minilm.models import (
    GPT,
    T5,
    BertConfig,
    BertForPreTraining,
    GPTConfig,
    Llama,
    LlamaConfig,
    Shape,
    T5Config,
    count_parameters,
)
from minilm.models.sizes import (
    PUBLISHED,
    activation_memory,
    flops_by_kaplan,
    flops_by_parameters,
    kv_cache_per_token,
    non_embedding_parameters,
    published,
    serving_memory,
    training_memory,
)


def shape(name):
    return published(name).shape


class TestTrainingMemory:
    def test_of_gpt2_by_hand(self):
        """16 bytes for each of 124,439,808 parameters."""
        assert training_memory(shape("gpt2")) == {
            "weights": 497_759_232,
            "gradients": 497_759_232,
            "adam_moments": 995_518_464,
        }
        assert training_memory(shape("gpt2"), "bf16") == {
            "weights": 248_879_616,
            "gradients": 248_879_616,
            "master_weights": 497_759_232,
            "adam_moments": 995_518_464,
        }

    def test_of_zeros_example(self):
        """Rajbhandari et al. 2020, section 3.1: 1.5 billion parameters need at least 24 GB."""
        total = sum(training_memory(shape("gpt2-xl"), "bf16").values())
        assert total == 16 * 1_557_611_200 and round(total / 1e9) == 25

    def test_is_what_the_optimizer_holds(self):
        config = GPTConfig(11, 8, 8, 1, 2)
        model = GPT(config)
        optimizer = ml.optim.AdamW(model.named_parameters(), rate=1e-3)
        moments = optimizer.memory.values()
        wanted = training_memory(Shape.of(config))
        assert sum(p.data.nbytes for p in model.parameters()) == wanted["weights"]
        assert sum(a.nbytes for a in moments) == wanted["adam_moments"]


class TestActivations:
    def test_of_gpt_are_the_papers_but_for_dropout(self):
        """Korthikanti et al. 2022, equation 1: s b h (34 + 5 a s / h) bytes a layer, of which 2 s b h are masks."""
        gpt = shape("gpt3-175b")
        assert activation_memory(gpt, "bf16", batch=3, context=512) == 96 * 3 * 512 * 12_288 * (34 - 2)

    def test_of_grouped_queries_and_a_gate_by_hand(self):
        """SmolLM2-135M, each block: norms 1152, in 576, q 576, k and v 192 each, out 576, in 576, MLP 3 · 1536."""
        assert activation_memory(shape("smollm2-135m"), "float32", 1, 1) == 4 * 30 * (
            1152 + 576 + 576 + 192 + 192 + 576 + 576 + 4608
        )

    def test_of_a_decoder_beside_an_encoder_by_hand(self):
        """T5-small: attention 2 · 512 + 4 · 512 (its norm in it), MLP 2 · 512 + 2 · 2048; six and six layers."""
        attention, mlp = 1024 + 2048, 1024 + 4096
        assert activation_memory(shape("t5-small"), "bf16", 2, 10) == 2 * 20 * (18 * attention + 12 * mlp)

    @pytest.mark.parametrize(
        ("model", "config"),
        [
            (GPT, lambda L: GPTConfig(50, 64, 64, L, 4)),
            (BertForPreTraining, lambda L: BertConfig(50, 64, 64, L, 4)),
            (Llama, lambda L: LlamaConfig(50, 64, 64, L, 4, kv_heads=2, mlp_width=192)),
            (T5, lambda L: T5Config(50, 64, L, heads=4, head_width=16)),
        ],
    )
    def test_our_engine_keeps_no_less_and_at_most_twice_as_much(self, model, config):
        """Of two more blocks, as what the embeddings and all else keep is the same."""
        kept = [held(model(config(L))) for L in (1, 3)]
        formula = [activation_memory(Shape.of(config(L)), "float32", 4, 64) for L in (1, 3)]
        assert 1 <= (kept[1] - kept[0]) / (formula[1] - formula[0]) <= 2


def held(model):
    """The bytes that are held when the forward of a batch of 4 × 64 tokens is done."""
    ids = np.random.default_rng(0).integers(0, 50, (4, 64))
    arguments = (ids, ids) if isinstance(model, T5) else (ids,)
    forward = model.bert if isinstance(model, BertForPreTraining) else model.hidden
    tracemalloc.start()
    result = forward(*arguments)
    found, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    del result
    return found


class TestServing:
    @pytest.mark.parametrize(
        ("name", "by_hand"),
        [
            ("gpt2", 2 * 12 * 768),
            ("gpt3-175b", 2 * 96 * 12_288),
            ("llama2-7b", 2 * 32 * 4096),
            ("llama2-70b", 2 * 80 * 8 * 128),
            ("smollm2-135m", 2 * 30 * 3 * 64),
            ("llama3.2-3b", 2 * 28 * 8 * 128),
            ("t5-11b", 2 * 24 * 128 * 128),
            ("bert-base-cased", 0),
        ],
    )
    def test_keys_and_values_of_a_token(self, name, by_hand):
        assert kv_cache_per_token(shape(name)) == 4 * by_hand
        assert kv_cache_per_token(shape(name), "bf16") == 2 * by_hand

    @given(st.integers(1, 3), st.integers(1, 3), st.integers(1, 4), st.integers(1, 9), st.integers(1, 3))
    def test_is_what_the_cache_holds(self, layers, heads, head_width, context, batch):
        config = GPTConfig(7, context, heads * head_width, layers, heads)
        cache = GPT(config).new_cache(batch)
        wanted = serving_memory(Shape.of(config), "float32", batch)
        assert cache.keys.nbytes + cache.values.nbytes == wanted["kv_cache"]
        assert wanted["weights"] == 4 * count_parameters(config)

    def test_an_encoder_beside_a_decoder_keeps_as_much(self):
        """T5-small, two texts of 10 tokens from 10 tokens: 2 · 20 · 24,576 bytes."""
        assert kv_cache_per_token(shape("t5-small")) == 24_576
        assert serving_memory(shape("t5-small"), "float32", 2, 10)["kv_cache"] == 2 * 20 * 24_576


class TestFlops:
    @pytest.mark.parametrize(
        ("name", "kaplan"),
        [
            ("gpt2", 84_934_656),
            ("gpt2-medium", 301_989_888),
            ("gpt2-large", 707_788_800),
            ("gpt2-xl", 1_474_560_000),
            ("smollm2-135m", 30 * (2 * 576 * 576 + 2 * 576 * 192 + 3 * 576 * 1536)),
            ("albert-base", 84_934_656),
            ("t5-small", 6 * (3 * 4 * 512 * 512 + 2 * 2 * 512 * 2048)),
        ],
    )
    def test_kaplans_n(self, name, kaplan):
        assert non_embedding_parameters(shape(name)) == kaplan

    def test_of_gpt3_as_printed(self):
        """Table D.1: the parameters in millions, the FLOPs of 300 billion tokens, and these in PF-days of 8.64e19."""
        printed = {
            "gpt3-small": (125, 2.25e20, 2.60),
            "gpt3-medium": (356, 6.41e20, 7.42),
            "gpt3-large": (760, 1.37e21, 15.8),
            "gpt3-xl": (1320, 2.38e21, 27.5),
            "gpt3-2.7b": (2650, 4.77e21, 55.2),
            "gpt3-6.7b": (6660, 1.20e22, 139),
            "gpt3-13b": (12_850, 2.31e22, 268),
            "gpt3-175b": (174_600, 3.14e23, 3640),
        }
        for name, (millions, flops, days) in printed.items():
            found = 300e9 * flops_by_parameters(shape(name)).training
            assert float(f"{found:.2e}") == pytest.approx(flops, rel=0.006), name
            assert found / 8.64e19 == pytest.approx(days, rel=0.006), name
            assert count_parameters(shape(name)) / 1e6 == pytest.approx(millions, abs=5), name
        assert f"{300e9 * flops_by_parameters(shape('gpt3-175b')).training:.2e}" == "3.14e+23"

    def test_of_gpt2_by_hand(self):
        """2 · 84,934,656 + 2 · 12 · 1024 · 768 forward, three times that in all."""
        assert flops_by_kaplan(shape("gpt2")) == (188_743_680, 566_231_040)
        assert flops_by_kaplan(shape("gpt2"), context=1).forward == 2 * 84_934_656 + 2 * 12 * 768
        assert flops_by_parameters(shape("gpt2")) == (248_879_616, 746_638_848)

    def test_without_a_mask_attention_is_twice_as_much(self):
        assert flops_by_kaplan(shape("bert-base-cased")).forward == 2 * 84_934_656 + 4 * 12 * 512 * 768

    def test_of_an_encoder_beside_a_decoder(self):
        """T5-small: attention 4 in the encoder, 2 in the decoder, 4 across, each times 6 · 10 · 512."""
        assert flops_by_kaplan(shape("t5-small"), 10).forward == 2 * 44_040_192 + 10 * 6 * 10 * 512

    def test_a_shared_layer_counts_as_often_as_it_is_used(self):
        albert = shape("albert-base")
        unshared = replace(albert, shared_layers=False)
        assert flops_by_parameters(albert) == flops_by_parameters(unshared)
        assert flops_by_kaplan(albert) == flops_by_kaplan(unshared)
        assert count_parameters(unshared) - count_parameters(albert) == 11 * (12 * 768**2 + 13 * 768)

    @given(st.integers(2, 9), st.integers(1, 3), st.integers(1, 3), st.integers(1, 4), st.integers(1, 9), st.booleans())
    def test_are_what_the_engine_counts(self, T, layers, heads, head_width, mlp_width, causal):
        """Products alone: Kaplan's, the half that a causal mask hides but the engine counts, and the head, 2 D V."""
        D, V, B = heads * head_width, 11, 2
        ids = np.arange(B * T).reshape(B, T) % V
        if causal:
            config = GPTConfig(V, T, D, layers, heads, mlp_width)
            run, hidden = lambda: GPT(config).loss(ids, ids), 2 * layers * T * D
            head = 2 * D * V
        else:
            config = BertConfig(V, T, D, layers, heads, mlp_width)
            run, hidden = lambda: BertForPreTraining(config, next_sentence=False).loss(ids, ids).mlm, 0
            head = 2 * D * V + 2 * D * D
        with ml.trace(memory=False) as traced:
            run().backward()
        wanted = B * T * (flops_by_kaplan(Shape.of(config), T).forward + hidden + head)
        for direction, times in (("forward", 1), ("backward", 2)):
            found = sum(r.products for r in traced.records if r.direction == direction)
            assert found == times * wanted, direction


class TestBadInput:
    def test_context_batch_and_precision(self):
        gpt2 = shape("gpt2")
        for f in (activation_memory, serving_memory):
            with pytest.raises(ConfigError, match="context is 1025; this model reads 1 to 1024 tokens at once"):
                f(gpt2, "float32", 1, 1025)
            with pytest.raises(ConfigError, match="batch is 0; it must be a whole number of at least 1"):
                f(gpt2, "float32", 0)
            with pytest.raises(ConfigError, match="precision is 'fp8'; it must be one of 'float32', 'bf16'"):
                f(gpt2, "fp8")
        with pytest.raises(ConfigError, match="context is 0"):
            flops_by_kaplan(gpt2, 0)

    def test_t5_reads_as_much_as_one_likes(self):
        assert flops_by_kaplan(shape("t5-small"), 5000) > flops_by_kaplan(shape("t5-small"))
        with pytest.raises(ConfigError, match="context is 0"):
            flops_by_kaplan(shape("t5-small"), 0)


@pytest.mark.parametrize("name", PUBLISHED)
def test_parts_are_whole_numbers_and_positive(name):
    for found in (
        training_memory(shape(name)), serving_memory(shape(name)), {"": activation_memory(shape(name))},
        flops_by_kaplan(shape(name))._asdict(), flops_by_parameters(shape(name))._asdict(),
    ):  # fmt: skip
        assert all(type(n) is int and n >= 0 and math.isfinite(n) for n in found.values())
