"""GGUF files: our LLaMA computes what llama.cpp does from the same arrays, and what does not fit is named."""

import sys

import gguf
import numpy as np
import pytest
from gguf import GGMLQuantizationType as Kind
from hypothesis import given
from hypothesis import strategies as st
from tiny_gguf import SIZES, TOKENS, arrays, logits, write

from minilm.errors import CheckpointError, ConfigError, DataError
from minilm.generation import generate
from minilm.models.gguf import load_gguf

IDS = [5, 90, 17, 17, 101, 44, 3, 60, 72, 8, 31]


@pytest.fixture
def rng():
    return np.random.default_rng(7)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "tiny.gguf"


def difference(model, wanted):
    return np.abs(model(np.array([IDS])).numpy()[0] - wanted).max()


WIDE = {"llama.attention.key_length": 32, "llama.attention.value_length": 32, "llama.rope.dimension_count": 32}
FACTORS = [1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 8.0]
MODELS = {
    "tied, grouped queries": ({}, {}, {}),
    "a head of its own": ({"tied": False}, {}, {}),
    "biases": ({"biases": True}, {}, {}),
    "one head of keys": ({"kv_heads": 1}, {"llama.attention.head_count_kv": 1}, {}),
    "as many heads of keys as of queries": ({"kv_heads": 4}, {"llama.attention.head_count_kv": None}, {}),
    "heads of a width of their own": ({"head_width": 32}, WIDE, {}),
    "a factor for each frequency": ({"factors": FACTORS}, {}, {"factors": FACTORS}),
    "one factor for all": ({}, {"llama.rope.scaling.type": "linear", "llama.rope.scaling.factor": 4.0}, {"factors": 4}),
    "a factor of unsaid kind is linear": ({}, {"llama.rope.scaling.factor": 4.0}, {"factors": 4}),
    "a factor that is turned off": ({}, {"llama.rope.scaling.type": "none", "llama.rope.scaling.factor": 4.0}, {}),
    "theta and epsilon as they are unless said": (
        {},
        {"llama.rope.freq_base": None, "llama.attention.layer_norm_rms_epsilon": 0.5},
        {"theta": 1e4, "epsilon": 0.5},
    ),
}


@pytest.mark.parametrize(("shape", "settings", "how"), MODELS.values(), ids=MODELS.keys())
def test_logits_are_llama_cpps(path, rng, shape, settings, how):
    made = arrays(rng, **shape)
    model, _ = load_gguf(write(path, made, settings))
    sizes = {name: size for name, size in shape.items() if name in SIZES}
    assert difference(model, logits(made, IDS, **how, **sizes)) <= 2e-5
    assert model.training is False and {p.dtype for p in model.parameters()} == {np.dtype(np.float32)}


def test_yarn_is_the_published_one(path, rng):
    settings = {"llama.rope.scaling.type": "yarn", "llama.rope.scaling.factor": 4.0}
    settings["llama.rope.scaling.original_context_length"] = 12
    model, _ = load_gguf(write(path, arrays(rng), settings))
    assert model.config.rope_scaling.to_dict() == {
        **{"kind": "yarn", "factor": 4.0, "original_context": 12, "attention_factor": None, "truncate": True},
        **{"beta_fast": 32.0, "beta_slow": 1.0, "mscale": None, "mscale_all_dim": None},
    }


@pytest.mark.parametrize("kind", [Kind.F16, Kind.BF16, Kind.Q8_0, Kind.Q4_0, Kind.Q4_1, Kind.Q5_1])
def test_quantized_weights_are_what_gguf_makes_of_them(path, rng, kind):
    made = arrays(rng, tied=False)
    model, _ = load_gguf(write(path, made, kind=kind))
    read = {
        name: gguf.quants.dequantize(gguf.quants.quantize(a, kind), kind) if a.ndim == 2 else a
        for name, a in made.items()
    }
    assert any((read[name] != made[name]).any() for name in made)
    assert difference(model, logits(read, IDS)) <= 2e-5


@pytest.mark.parametrize("factors", [None, FACTORS])
def test_it_generates_with_a_cache_what_it_does_without(path, rng, factors):
    model, _ = load_gguf(write(path, arrays(rng, factors=factors)))
    texts = [generate(model, IDS, 30, temperature=0, cache=cache).tolist() for cache in (True, False)]
    assert texts[0] == texts[1] and len(set(texts[0])) > 5


def test_progress_counts_the_weights(path, rng):
    seen = []
    model, _ = load_gguf(write(path, arrays(rng, tied=False)), lambda done, total: seen.append((done, total)))
    assert [done for done, _ in seen] == sorted({done for done, _ in seen})
    assert seen[-1] == (model.num_parameters(), model.num_parameters())


# -------------------------------------------------------------------------------------------------------- tokenizer


def speech(path, rng, **settings):
    return load_gguf(write(path, arrays(rng), {f"tokenizer.{k}": v for k, v in settings.items()}))[1]


def test_the_vocabulary_of_the_file(path, rng):
    tokenizer, begin, stop, template = speech(path, rng)
    assert (begin, stop, template) == ((), (2,), None)
    assert tokenizer.special_tokens == {"<|endoftext|>": 0, "<|im_start|>": 1, "<|im_end|>": 2}
    assert [TOKENS[i] for i in tokenizer.encode("in the 12\n")] == ["i", "n", "Ġthe", "Ġ", "1", "2", "Ċ"]
    assert tokenizer.encode("<|im_end|>", "all") == [2] and len(tokenizer.encode("<|im_end|>")) == 10
    assert tokenizer.decode(tokenizer.encode("in the 12\n")) == "in the 12\n"


def test_what_begins_and_what_ends_a_text(path, rng):
    ends = {"ggml.bos_token_id": 1, "ggml.eos_token_id": 2, "ggml.eot_token_id": 0, "ggml.eom_token_id": 2}
    found = speech(path, rng, **{**ends, "ggml.add_bos_token": True, "chat_template": "{{ x }}"})
    assert found[1:] == ((1,), (2, 0), "{{ x }}")
    assert speech(path, rng, **{**ends, "ggml.add_bos_token": False}).begin == ()


def test_each_way_to_cut_digits(path, rng):
    for pre, pieces in (("smollm", ["1", "2"]), ("gpt-2", ["12"]), ("llama-bpe", ["12"])):
        tokenizer = speech(path, rng, **{"ggml.pre": pre}).tokenizer
        assert [TOKENS[i] for i in tokenizer.encode("12")] == pieces


def test_llama_3_begins_its_texts_unless_the_file_says_otherwise(path, rng):
    how = {"ggml.pre": "llama-bpe", "ggml.bos_token_id": 1}
    found = speech(path, rng, **how)
    assert found.begin == (1,) and found.tokenizer.whole_pieces
    assert [TOKENS[i] for i in found.tokenizer.encode("a1234")] == ["a", "12", "3", "4"]
    assert speech(path, rng, **how, **{"ggml.add_bos_token": False}).begin == ()


def test_a_word_that_was_added_is_read_wherever_it_stands(path, rng):
    kinds = [4, 3, 3] + [1] * (len(TOKENS) - 3)
    tokenizer = speech(path, rng, **{"ggml.token_type": kinds}).tokenizer
    assert tokenizer.encode("a<|endoftext|>") == [TOKENS.index("a"), 0]
    assert "<|endoftext|>" not in tokenizer.special_tokens


# ------------------------------------------------------------------------------------------------------- what is wrong

REFUSED = {
    "another architecture": ("general.architecture is 'qwen2'; minilm reads files with 'llama' only", {}),
    "an adapter": ("general.type is 'adapter'", {"general.type": "adapter"}),
    "one file of several": ("split.count is 3", {"split.count": 3}),
    "a mixture of experts": ("llama.expert_count is 8", {"llama.expert_count": 8}),
    "attention both ways": ("llama.attention.causal is False", {"llama.attention.causal": False}),
    "values of another width": ("llama.attention.value_length is 8", {"llama.attention.value_length": 8}),
    "half a head turned": ("llama.rope.dimension_count is 8", {"llama.rope.dimension_count": 8}),
    "a window": ("nothing is known of what llama.attention.sliding_window", {"llama.attention.sliding_window": 9}),
    "an unknown scaling": ("llama.rope.scaling.type is 'longrope'", {"llama.rope.scaling.type": "longrope"}),
    "yarn's own amplitude": ("llama.rope.scaling.attn_factor", {"llama.rope.scaling.attn_factor": 2.0}),
    "another vocabulary size": ("llama.vocab_size is 104; .* 103 only", {"llama.vocab_size": 104}),
    "no number of layers": ("its metadata lack llama.block_count", {"llama.block_count": None}),
    "layers that differ": (r"head_count is \[4, 2\]; .* one whole number", {"llama.attention.head_count": [4, 2]}),
    "heads that do not divide": ("kv_heads is 3", {"llama.attention.head_count_kv": 3}),
    "keys of nobody": ("what general.colour, mood would change", {"general.colour": "red", "mood": 1}),
    "a SentencePiece vocabulary": (
        "tokenizer.ggml.model is 'llama'; .* 'gpt2' only",
        {"tokenizer.ggml.model": "llama"},
    ),
    "another way to cut": ("tokenizer.ggml.pre is 'qwen2'; .* 'gpt-2', 'smollm'", {"tokenizer.ggml.pre": "qwen2"}),
    "no way to cut": ("its metadata lack tokenizer.ggml.pre", {"tokenizer.ggml.pre": None}),
    "a space in front": ("tokenizer.ggml.add_space_prefix is True", {"tokenizer.ggml.add_space_prefix": True}),
    "scores of tokens": ("what tokenizer.ggml.scores would", {"tokenizer.ggml.scores": [0.5] * 103}),
    "kinds of too few tokens": ("token_type has 3 entries for 103", {"tokenizer.ggml.token_type": [1, 1, 1]}),
    "bytes as tokens": ("tokens of kind 6", {"tokenizer.ggml.token_type": [6] * 103}),
    "an end beyond the vocabulary": ("it names token 103, .* 0 to 102", {"tokenizer.ggml.eos_token_id": 103}),
}


@pytest.mark.parametrize(("said", "settings"), REFUSED.values(), ids=REFUSED.keys())
def test_a_setting_that_is_not_built_here_is_named(path, rng, said, settings):
    write(path, arrays(rng), settings, architecture="llama" if settings else "qwen2")
    with pytest.raises(ConfigError, match=f"tiny.gguf: .*{said}"):
        load_gguf(path)


def test_two_scalings_at_once(path, rng):
    write(path, arrays(rng, factors=FACTORS), {"llama.rope.scaling.type": "linear", "llama.rope.scaling.factor": 2.0})
    with pytest.raises(ConfigError, match="scales rotary positions twice, by linear and by rope_freqs"):
        load_gguf(path)


def test_merges_of_another_vocabulary(path, rng):
    write(path, arrays(rng), {"tokenizer.ggml.merges": ["t h", "q u"]})
    with pytest.raises(DataError, match=r"tiny\.gguf: merge 1, 'q u'"):
        load_gguf(path)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"blk.1.ffn_up.weight": None}, "missing: blk.1.ffn_up.weight"),
        ({"token_embd.weight": None}, "missing: token_embd.weight"),
        ({"blk.0.attn_rot_embd.weight": (8, 8)}, "unexpected: blk.0.attn_rot_embd.weight"),
        ({"blk.0.attn_q.bias": (64,)}, "missing: blk.0.attn_k.bias"),
        ({"blk.0.attn_v.weight": (64, 64)}, r"of another shape: blk.0.attn_v.weight \(64, 64\) ≠ \(32, 64\)"),
        ({"output_norm.weight": (63,)}, r"of another shape: output_norm.weight \(63,\) ≠ \(64,\)"),
    ],
)
def test_arrays_that_do_not_fit_are_named(path, rng, change, said):
    made = arrays(rng) | {name: shape and np.ones(shape, np.float32) for name, shape in change.items()}
    settings = {"llama.vocab_size": len(TOKENS)}
    write(path, {name: a for name, a in made.items() if a is not None}, settings)
    with pytest.raises(CheckpointError, match=f"its arrays do not fit its metadata: .*{said}"):
        load_gguf(path)


def test_numbers_that_gguf_cannot_read(path, rng):
    made = arrays(rng)
    made["output_norm.weight"] = np.ones(64, np.int8)
    with pytest.raises(CheckpointError, match="output_norm.weight holds I8, which the package gguf cannot"):
        load_gguf(write(path, made))


def test_files_that_are_none(tmp_path, path):
    for content in (b"", b"GGU", b"\x80\x02pickle", b"GGUF", b"GGUF" + bytes(60)):
        path.write_bytes(content)
        said = "is truncated or damaged" if content[:4] == b"GGUF" else "is no GGUF file: it begins with"
        with pytest.raises(CheckpointError, match=said):
            load_gguf(path)
    for wrong in (tmp_path, tmp_path / "nowhere.gguf"):
        with pytest.raises(CheckpointError, match=r"cannot be read \((Is a|No such)"):
            load_gguf(wrong)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    made = arrays(np.random.default_rng(0))
    file = write(tmp_path_factory.mktemp("gguf") / "whole.gguf", made, kind=Kind.Q8_0)
    load_gguf(file)
    return file


@given(share=st.floats(0, 1, exclude_max=True), gone=st.integers(1, 64))
def test_a_truncated_file_is_one_sentence(whole, tmp_path_factory, share, gone):
    content = whole.read_bytes()
    for end in (int(share * len(content)), len(content) - gone):
        cut = tmp_path_factory.getbasetemp() / "cut.gguf"
        cut.write_bytes(content[:end])
        with pytest.raises(CheckpointError) as error:
            load_gguf(cut)
        assert "\n" not in str(error.value)


def test_without_the_package_the_extra_is_named(whole, monkeypatch):
    monkeypatch.setitem(sys.modules, "gguf", None)
    with pytest.raises(ConfigError, match=r"install the extra 'minilm\[smollm\]'"):
        load_gguf(whole)
