"""LLaMA is what transformers' is: rotary frequencies, logits, hidden states, loss, gradients, folders.

transformers computes rotary angles and RMS norms in float32 whatever a model's dtype; ours are in the model's own. To
compare to 1e-8, its own code runs in `in_float64`, where every float32 that it asks for is a float64.
"""

import contextlib
import json

import numpy as np
import pytest
import torch
from agreement import agree, carried_over, check_round_trips, make, settings_of, tensor
from hypothesis import given
from hypothesis import strategies as st
from torch.overrides import TorchFunctionMode
from transformers import LlamaConfig as TheirConfig
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

from minilm.errors import CheckpointError, ConfigError
from minilm.generation import generate
from minilm.models import Llama, LlamaConfig
from minilm.models.base import Model
from minilm.models.huggingface.llama import read_llama
from minilm.models.huggingface.settings import Settings


class _Wide(TorchFunctionMode):
    """Runs PyTorch's functions with float64 wherever they are given the dtype float32."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        wide = lambda a: torch.float64 if a is torch.float32 else a  # noqa: E731
        function = torch.Tensor.double if function is torch.Tensor.float else function
        return function(*map(wide, args), **{name: wide(a) for name, a in (kwargs or {}).items()})


@contextlib.contextmanager
def in_float64():
    torch.set_default_dtype(torch.float64)
    try:
        with _Wide():
            yield
    finally:
        torch.set_default_dtype(torch.float32)


PLAIN = {"vocab_size": 13, "max_position_embeddings": 24, "hidden_size": 20, "intermediate_size": 14,
         "num_hidden_layers": 3, "num_attention_heads": 5, "rms_norm_eps": 0.03}  # fmt: skip
GROUPS = {**PLAIN, "hidden_size": 18, "num_attention_heads": 9, "num_key_value_heads": 3, "head_dim": 8}
BIASES = {"attention_bias": True, "mlp_bias": True}


def rope(kind, theta=300.0, **settings):
    return {"rope_parameters": {"rope_type": kind, "rope_theta": theta, **settings}}


WITHIN = {"original_max_position_embeddings": 12}
FACTORS = {"short_factor": [1.0, 1.1, 1.3, 1.9], "long_factor": [2.0, 3.0, 4.0, 6.0]}
CASES = {
    "plain": PLAIN,
    "groups, biases": {**GROUPS, **BIASES, **rope("default", 77.0)},
    "multi-query, tied": {**GROUPS, "num_key_value_heads": 1, "tie_word_embeddings": True, "pad_token_id": 4,
                          "hidden_act": "gelu_new"},
    "half the biases": {**PLAIN, "attention_bias": True, "hidden_act": "relu", "tie_word_embeddings": True},
    "linear": {**GROUPS, "mlp_bias": True, **rope("linear", factor=2.5)},
    "dynamic": {**GROUPS, **rope("dynamic", factor=2.0), "max_position_embeddings": 12},
    "yarn": {**GROUPS, **rope("yarn", factor=2.0, beta_fast=3, beta_slow=0.4, **WITHIN)},
    "yarn, two mscales": {**GROUPS, **rope("yarn", factor=3.0, beta_fast=2, truncate=False, mscale=0.7,
                                           mscale_all_dim=1.4, **WITHIN)},
    "llama3": {**GROUPS, **BIASES, **rope("llama3", factor=4.0, low_freq_factor=0.5, high_freq_factor=4.0, **WITHIN)},
    "longrope": {**GROUPS, **rope("longrope", factor=4.0, **FACTORS, **WITHIN)},
    "longrope, derived": {**GROUPS, **rope("longrope", attention_factor=1.2, **FACTORS, **WITHIN)},
}  # fmt: skip
RNG = np.random.default_rng(0)
TOKENS = [i for i in range(13) if i != 4]  # of 4, the padding, transformers keeps the embedding from learning
SHORT, LONG = RNG.choice(TOKENS, (3, 9)), RNG.choice(TOKENS, (2, 24))
RIGHT = np.arange(9) < np.array([[9], [5], [1]])  # padding behind
MASKS = {"behind": RIGHT, "before": RIGHT[:, ::-1].copy()}


def compare(theirs, ours, ids, mask=None):
    """Logits, every hidden state, the loss; and the gradients of them all."""
    real = np.ones(ids.shape, bool) if mask is None else mask
    places = None if mask is None else tensor((real.cumsum(1) - 1).clip(0))  # ours counts what is real by itself
    targets = np.pad(np.where(real, ids, -100)[:, 1:], ((0, 0), (0, 1)), constant_values=-100)
    targets[~real] = -100
    with in_float64():
        their = theirs(tensor(ids), tensor(None if mask is None else mask.astype(int)), places,
                       labels=tensor(ids), shift_labels=tensor(targets), output_hidden_states=True)  # fmt: skip
    states = ours.hidden_states(ids, mask)
    pairs = {f"h{i}": pair for i, pair in enumerate(zip(states, their.hidden_states, strict=True))}
    pairs["logits"] = (ours(ids, mask), their.logits)
    pairs["loss"] = (ours.loss(ids, targets, attention_mask=mask), their.loss)
    agree(theirs, ours, pairs, real)


@pytest.mark.parametrize("settings", CASES.values(), ids=CASES)
def test_it_computes_the_same_below_and_beyond_the_original_context(tmp_path, settings):
    with in_float64():
        theirs = make("LlamaForCausalLM", **settings)
    ours = carried_over(theirs, tmp_path)
    for ids in (SHORT, LONG):
        compare(theirs, ours, ids)


@pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS)
@pytest.mark.parametrize("name", ["groups, biases", "multi-query, tied", "yarn"])
def test_padding_too(tmp_path, name, mask):
    with in_float64():
        theirs = make("LlamaForCausalLM", **CASES[name])
    compare(theirs, carried_over(theirs, tmp_path), SHORT, mask)


def test_with_transformers_own_float32_it_agrees_as_far_as_that_goes(tmp_path):
    theirs = make("LlamaForCausalLM", **CASES["groups, biases"])
    ours = carried_over(theirs, tmp_path)
    wanted = theirs(tensor(LONG)).logits.detach().numpy()
    error = np.abs(ours(LONG).numpy() - wanted).max() / np.abs(wanted).max()
    assert 1e-9 < error < 1e-5


@pytest.mark.parametrize("name", ["groups, biases", "llama3"])
def test_greedy_generation_is_the_same(tmp_path, name):
    with in_float64():
        theirs = make("LlamaForCausalLM", **CASES[name])
        wanted = theirs.generate(tensor(SHORT[:, :4]), max_new_tokens=19, do_sample=False, eos_token_id=None)
    ours = carried_over(theirs, tmp_path)
    np.testing.assert_array_equal(generate(ours, SHORT[:, :4], 19, temperature=0.0), wanted.numpy())


# --------------------------------------------------------------------------------------------------------- frequencies

sizes = st.integers(8, 4096)
number = lambda low, high: st.floats(low, high, allow_nan=False)  # noqa: E731
PARAMETERS = {
    "linear": {"factor": number(1, 64)},
    "dynamic": {"factor": number(1, 64)},
    "llama3": {"factor": number(1, 64), "low_freq_factor": number(0.1, 2), "high_freq_factor": number(2.1, 8)},
    "yarn": {
        "factor": st.none() | number(1, 64),
        "attention_factor": st.none() | number(0.1, 2),
        "beta_fast": st.none() | number(4, 64),
        "beta_slow": st.none() | number(0.1, 3),
        "mscale": st.none() | number(0.1, 2),
        "mscale_all_dim": st.none() | number(0.1, 2),
        "truncate": st.booleans(),
    },
    "longrope": {"factor": st.none() | number(0.5, 64), "attention_factor": st.none() | number(0.1, 2)},
}


@pytest.mark.parametrize("kind", ["default", *PARAMETERS])
@given(st.data())
def test_frequencies_and_amplitudes_are_those_of_transformers(kind, data):
    K, context, length = 2 * data.draw(st.integers(2, 32)), data.draw(sizes), data.draw(sizes)
    parameters = {name: data.draw(values) for name, values in PARAMETERS.get(kind, {}).items()}
    parameters |= {"rope_type": kind, "rope_theta": data.draw(number(100, 1e6))}
    if kind == "longrope":
        factors = st.lists(number(1, 9), min_size=K // 2, max_size=K // 2)
        parameters |= {"short_factor": data.draw(factors), "long_factor": data.draw(factors)}
    if kind in ("yarn", "longrope", "llama3"):
        parameters["original_max_position_embeddings"] = data.draw(sizes)
    sizes_of = {"head_dim": K, "hidden_size": 6, "num_attention_heads": 3}
    check_frequencies({"max_position_embeddings": context, "rope_parameters": parameters, **sizes_of}, length)


def check_frequencies(published, length):
    """Those that both read from a config.json, for a text of that length; and the amplitude."""
    with in_float64():
        theirs = TheirConfig(**json.loads(json.dumps(published)))
        kind = theirs.rope_parameters["rope_type"]
        function = ROPE_INIT_FUNCTIONS.get(kind, LlamaRotaryEmbedding.compute_default_rope_parameters)
        wanted, amplitude = function(theirs, seq_len=length)
    rotary = read_llama(Settings(published)).rotary()
    found = rotary.scaling.frequencies(rotary.theta, rotary.head_width, rotary.stage(np.arange(length)))
    assert rotary.scaling.amplitude == pytest.approx(amplitude, rel=1e-12)
    np.testing.assert_allclose(found, wanted.numpy(), rtol=1e-10)


# ------------------------------------------------------------------------------------------------------------ folders


@pytest.mark.parametrize("name", [name for name in CASES if "derived" not in name])
def test_nothing_is_lost_on_the_way_there_and_back(tmp_path, name):
    check_round_trips(make("LlamaForCausalLM", **CASES[name]), tmp_path)


def test_what_settings_leave_to_be_derived_is_written_out(tmp_path):
    """By how much a context grew, where no factor is given."""
    ours = carried_over(make("LlamaForCausalLM", **CASES["longrope, derived"]), tmp_path / "theirs")
    ours.save_pretrained(tmp_path / "ours")
    before, after = (settings_of(tmp_path / name)["rope_parameters"] for name in ("theirs", "ours"))
    assert after == {**before, "factor": 2.0}


def test_a_body_alone_is_read_and_gets_the_tied_head(tmp_path):
    with in_float64():
        theirs = make("LlamaModel", **CASES["groups, biases"])
        ours = carried_over(theirs, tmp_path)
        assert isinstance(ours, Llama) and ours.config.tied
        agree(theirs, ours, {"hidden": (ours.hidden(SHORT), theirs(tensor(SHORT)).last_hidden_state)})


@pytest.mark.parametrize("scaling", [None, {"kind": "dynamic", "factor": 2.0, "original_context": 12}], ids=str)
def test_a_model_of_ours_is_loaded_by_transformers(tmp_path, scaling):
    from transformers import AutoModelForCausalLM

    config = LlamaConfig(13, 24, 12, 2, 3, 1, 8, 10, theta=90.0, rope_scaling=scaling, dropout=0.2, initial_std=0.3)
    ours = Llama(config, seed=1).eval()
    ours.save_pretrained(tmp_path)
    theirs = AutoModelForCausalLM.from_pretrained(tmp_path).eval()
    assert (theirs.config.attention_dropout, theirs.config.eos_token_id) == (0.2, None)
    for ids in (SHORT, LONG):
        wanted = theirs(tensor(ids)).logits.detach().numpy()
        np.testing.assert_allclose(ours(ids).numpy(), wanted, rtol=1e-3, atol=1e-5)
    assert Llama.from_pretrained(tmp_path).config == config


OLD = {"vocab_size": 13, "hidden_size": 24, "num_attention_heads": 3, "model_type": "llama",
       "max_position_embeddings": 64}  # fmt: skip
LLAMA3 = {"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}


@pytest.mark.parametrize(
    ("older", "today"),
    [
        ({"rope_theta": 300.0}, rope("default")),
        ({"rope_theta": 300, "rope_scaling": None}, rope("default")),
        ({"rope_theta": 300.0, "rope_scaling": {"type": "linear", "factor": 2.0}}, rope("linear", factor=2.0)),
        (
            {"rope_theta": 300.0, "rope_scaling": {"rope_type": "llama3", **LLAMA3, **WITHIN}},
            rope("llama3", **LLAMA3, **WITHIN),
        ),
        (
            {"rope_theta": 300.0, "rope_scaling": {"type": "yarn", "rope_type": "yarn", "factor": 2.0}},
            rope("yarn", factor=2.0, original_max_position_embeddings=64),
        ),
        (
            {**rope("longrope", **FACTORS), **WITHIN},
            rope("longrope", **FACTORS, **WITHIN, factor=64 / 12),
        ),
        ({**rope("yarn", factor=2.0, beta_fast=0), **WITHIN}, rope("yarn", factor=2.0, **WITHIN)),
        ({"rope_parameters": {"rope_theta": 300.0}}, rope("default")),
        ({}, rope("default", 1e4)),
        ({"rope_parameters": {"rope_type": "default"}, "rope_theta": 300.0}, rope("default")),
    ],
    ids=str,
)
def test_settings_of_older_files_mean_what_todays_do(older, today):
    old, new = (read_llama(Settings({**OLD, **rope})) for rope in (older, today))
    assert old == new
    check_frequencies({**OLD, **older}, 20)


def test_what_published_files_say_beside_that_changes_nothing():
    """SmolLM2's own settings, and arrays of frequencies that old files hold."""
    said = {"is_llama_config": True, "rope_interleaved": False, "pretraining_tp": 1, "use_cache": True,
            "torch_dtype": "bfloat16", "bos_token_id": 0, "rope_scaling": None, "rope_theta": 100000}  # fmt: skip
    settings = Settings({**OLD, **said})
    config = read_llama(settings)
    settings.finish()
    assert config.theta == 100000 and settings.published == {"pretraining_tp": 1, "bos_token_id": 0}


def test_frequencies_that_a_file_holds_are_passed_over_and_a_tied_head_must_be_the_embedding(tmp_path):
    from safetensors.torch import load_file, save_file

    theirs = make("LlamaForCausalLM", **CASES["half the biases"])
    ours, file = carried_over(theirs, tmp_path), tmp_path / "model.safetensors"
    arrays = load_file(file)
    arrays["model.layers.0.self_attn.rotary_emb.inv_freq"] = torch.ones(2)
    arrays["lm_head.weight"] = arrays["model.embed_tokens.weight"].clone()
    save_file(arrays, file)
    np.testing.assert_array_equal(Llama.from_pretrained(tmp_path)(SHORT).numpy(), ours(SHORT).numpy())
    arrays["lm_head.weight"][0, 0] += 1
    save_file(arrays, file)
    with pytest.raises(CheckpointError, match=r"lm_head.weight differs from .*embed_tokens.weight"):
        Llama.from_pretrained(tmp_path)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (rope("proportional", factor=2.0), "rope_type is 'proportional', with factor; minilm knows 'default'"),
        (rope("default", factor=2.0), "rope_type is 'default', with factor; minilm knows 'default', with nothing else"),
        (rope("linear", factor=2.0, mrope_section=[1, 1]), "rope_scaling linear: .*unknown: mrope_section"),
        (rope("linear"), "missing: factor"),
        (rope("llama3", factor="8", low_freq_factor=1.0, high_freq_factor=4.0), "rope_scaling llama3: factor is '8'"),
        (rope("linear", factor=2.0, partial_rotary_factor=0.5), "partial_rotary_factor"),
        ({"partial_rotary_factor": 0.25}, "partial_rotary_factor is 0.25; minilm builds models with 1.0, 1, None only"),
        ({"rope_interleaved": True}, "rope_interleaved is True; minilm builds models with False only"),
        ({"quantization_config": {"bits": 4}}, "a llama here has no setting quantization_config"),
        ({"sliding_window": 8}, "a llama here has no setting sliding_window"),
        ({"hidden_act": "mish"}, "hidden_act is 'mish'"),
        ({"num_key_value_heads": 2}, "kv_heads is 2, heads is 5: kv_heads must divide heads"),
        ({"is_decoder": True}, "is_decoder is True"),
    ],
    ids=str,
)
def test_settings_that_are_not_built_are_refused_by_name(tmp_path, settings, said):
    make("LlamaForCausalLM", **PLAIN).save_pretrained(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({**settings_of(tmp_path), **settings}))
    with pytest.raises(ConfigError, match=f"config.json: .*{said}"):
        Model.from_pretrained(tmp_path)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"width": 13, "head_width": 4}, "heads is 3, width is 13: in a published LLaMA heads divides width"),
        (
            {"rope_scaling": {"kind": "dynamic", "factor": 2.0, "original_context": 8}},
            r"context is 9: .* factor · original_context = 16 positions",
        ),
    ],
    ids=str,
)
def test_what_no_published_class_computes_is_not_saved(tmp_path, settings, said):
    with pytest.raises(ConfigError, match=said):
        Llama(LlamaConfig(**{"vocab_size": 13, "context": 9, "width": 12, "layers": 2, "heads": 3, **settings}))\
            .save_pretrained(tmp_path / "new")  # fmt: skip
    assert not (tmp_path / "new").exists()
