"""Folders that cannot be used: one clear sentence each. Shards and dtypes; and nothing half written."""

import dataclasses
import json
import pickle
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from minilm import resources
from minilm.errors import CheckpointError, ConfigError, DataError
from minilm.models import GPT, Bert, BertConfig, GPTConfig, GPTForTokenClassification
from minilm.models.base import Model
from minilm.models.huggingface.folder import is_published

sys.path.insert(0, str(Path(__file__).parents[2] / "training"))
from failing_disk import Disk

CONFIG, WEIGHTS, INDEX = "config.json", "model.safetensors", "model.safetensors.index.json"
SHAPE = GPTConfig(vocab_size=13, context=9, width=12, layers=2, heads=3)


@pytest.fixture
def folder(tmp_path):
    GPT(SHAPE, seed=3).save_pretrained(tmp_path / "gpt")
    return tmp_path / "gpt"


def settings(folder, **changes):
    """Change config.json; ... takes a setting away."""
    found = {**json.loads((folder / CONFIG).read_text("utf-8")), **changes}
    (folder / CONFIG).write_text(json.dumps({n: v for n, v in found.items() if v is not Ellipsis}))


def arrays(folder, **changes):
    """Change model.safetensors, dots being __; None takes an array away."""
    found = {**load_file(folder / WEIGHTS), **{n.replace("__", "."): a for n, a in changes.items()}}
    save_file({n: np.ascontiguousarray(a) for n, a in found.items() if a is not None}, folder / WEIGHTS)


def shards(folder, limit=2000):
    model = GPT.from_pretrained(folder)
    for path in folder.iterdir():
        path.unlink()
    model.save_pretrained(folder, max_shard_bytes=limit)


def index(folder, change):
    shards(folder)
    found = json.loads((folder / INDEX).read_text("utf-8"))
    change(found)
    (folder / INDEX).write_text(json.dumps(found))


def first(found, name):
    """Say that the first array of an index is in another file."""
    found["weight_map"][min(found["weight_map"])] = name


def pickled(folder):
    (folder / WEIGHTS).unlink()
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps({}))


def zipped(folder):
    with zipfile.ZipFile(folder / WEIGHTS, "w") as file:
        file.writestr("archive/data.pkl", pickle.dumps({}))


def cut(folder):
    (folder / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes()[:-7])


FLOAT, WTE = np.float32, "transformer__wte__weight"
BAD = {
    "no config": (lambda f: (f / CONFIG).unlink(), "has no config.json, which says what model it is"),
    "no JSON": (lambda f: (f / CONFIG).write_text("{"), "config.json is no JSON: "),
    "a list": (lambda f: (f / CONFIG).write_text("[]"), "config.json holds no JSON object"),
    "another kind": (
        lambda f: settings(f, model_type="mamba"),
        "model_type is 'mamba'; minilm builds openai-gpt, gpt2, ",
    ),
    "no kind": (lambda f: settings(f, model_type=...), "model_type is None; minilm builds "),
    "another architecture": (
        lambda f: settings(f, architectures=["GPT2DoubleHeadsModel"]),
        r"architectures is \['GPT2DoubleHeadsModel'\]; of a gpt2, minilm builds one of GPT2LMHeadModel, GPT2Model",
    ),
    "no architecture": (lambda f: settings(f, architectures=None), "architectures is None; of a gpt2"),
    "keys that nobody knows": (
        lambda f: settings(f, sliding_window=4, alibi=True),
        "a gpt2 here has no setting alibi, sliding_window: nothing is known of what it would change",
    ),
    "a value that is not built": (
        lambda f: settings(f, add_cross_attention=True),
        "add_cross_attention is True; minilm builds models with False only",
    ),
    "a setting that cannot be": (lambda f: settings(f, n_head=5), "heads is 5, width is 12: heads must divide width"),
    "a switch that is none": (
        lambda f: settings(f, tie_word_embeddings="yes"),
        "tied is 'yes'; it must be True or False",
    ),
    "a cut file": (cut, "model.safetensors is no whole safetensors file .*: fetch it again"),
    "an empty file": (lambda f: (f / WEIGHTS).write_bytes(b""), "is no whole safetensors file .*: fetch it again"),
    "a page of HTML": (lambda f: (f / WEIGHTS).write_text("<!doctype html>" * 9), "is no whole safetensors file"),
    "no weights": (lambda f: (f / WEIGHTS).unlink(), "has neither model.safetensors nor model.safetensors.index.json"),
    "a pickle": (
        pickled,
        "as pytorch_model.bin, a pickle, which can run any program when it is opened, so minilm never does; .* convert "
        "it once with transformers, `GPT2LMHeadModel.from_pretrained.*save_pretrained",
    ),
    "a pickle by another name": (
        lambda f: (f / WEIGHTS).write_bytes(pickle.dumps({})),
        "is no safetensors file but a pickle",
    ),
    "a zip of one": (zipped, "is no safetensors file but a pickle, .*: convert it with transformers' save_pretrained"),
    "a missing weight": (
        lambda f: arrays(f, **{WTE: None}),
        "do not fit its config.json: missing: transformer.wte.weight$",
    ),
    "an unexpected weight": (lambda f: arrays(f, more=np.ones(2, FLOAT)), "unexpected: more$"),
    "a weight of another shape": (
        lambda f: arrays(f, transformer__ln_f__bias=np.ones(3, FLOAT)),
        r"of another shape: transformer.ln_f.bias \(3,\) ≠ \(12,\)$",
    ),
    "a vocabulary of another size": (
        lambda f: settings(f, vocab_size=14),
        "transformer.wte.weight has 13 rows, but vocab_size is 14: the vocabulary is of another size$",
    ),
    "a copy that differs": (
        lambda f: arrays(f, lm_head__weight=np.ones((13, 12), FLOAT)),
        r"lm_head.weight differs from wte.weight, though config.json says that they are one \(tie_word_embeddings\)",
    ),
    "a weight of whole numbers": (
        lambda f: arrays(f, **{WTE: np.ones((13, 12), np.int32)}),
        "transformer.wte.weight holds I32; wanted floats of 16, 32 or 64 bits",
    ),
    "a weight twice": (
        lambda f: arrays(f, wte__weight=np.ones((13, 12), FLOAT)),
        "transformer.wte.weight and wte.weight are names of the same weight|wte.weight and transformer.wte.weight are",
    ),
    "an index without a map": (lambda f: index(f, lambda x: x.pop("weight_map")), "index.json has no weight_map"),
    "a shard that is missing": (
        lambda f: (shards(f), next(f.glob("model-00002*")).unlink()),
        r"names model-00002-of-\d+.safetensors, which is missing: fetch it too",
    ),
    "a shard outside": (
        lambda f: index(f, lambda x: first(x, "../model.safetensors")),
        "names '../model.safetensors', which lies outside",
    ),
    "a shard at the root": (
        lambda f: index(f, lambda x: first(x, "/etc/passwd")),
        "names '/etc/passwd', which lies outside",
    ),
    "an index of another file": (
        lambda f: index(f, lambda x: first(x, "model-00002-of-00019.safetensors")),
        "do not agree on which of them has",
    ),
}


@pytest.mark.parametrize(("damage", "said"), BAD.values(), ids=BAD)
def test_what_cannot_be_used_is_said_in_one_sentence(folder, damage, said):
    damage(folder)
    with pytest.raises((CheckpointError, ConfigError), match=said) as caught:
        Model.from_pretrained(folder)
    assert str(caught.value).startswith(str(folder)) and "\n" not in str(caught.value)


def test_a_name_of_the_hub_is_no_folder():
    with pytest.raises(CheckpointError, match="there is no folder openai-community/gpt2: .*; nothing is downloaded"):
        GPT.from_pretrained("openai-community/gpt2")


def test_a_class_reads_its_own_kind(folder):
    assert isinstance(Model.from_pretrained(folder), GPT)
    with pytest.raises(ConfigError, match="holds a GPT2LMHeadModel, here a GPT, not a Bert: use GPT.from_pretrained"):
        Bert.from_pretrained(folder)


@given(length=st.integers(0, 7000))
def test_no_beginning_of_a_file_is_taken_for_the_whole(tmp_path_factory, length):
    folder = tmp_path_factory.mktemp("cut")
    GPT(SHAPE).save_pretrained(folder)
    whole = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).write_bytes(whole[: min(length, len(whole) - 1)])
    with pytest.raises(CheckpointError, match="is no whole safetensors file"):
        GPT.from_pretrained(folder)


# ------------------------------------------------------------------------------------------------- shapes and numbers


def equal(a, b):
    a, b = a.state_dict(), b.state_dict()
    return a.keys() == b.keys() and all(np.array_equal(a[n], b[n]) and a[n].dtype == b[n].dtype for n in a)


@given(
    norm=st.sampled_from(["pre", "post"]),
    heads=st.integers(1, 5),
    layers=st.integers(1, 3),
    tied=st.booleans(),
    rates=st.tuples(*[st.sampled_from([0.0, 0.1, 0.5])] * 3),
    std=st.floats(0.01, 1.0),
    double=st.booleans(),
    limit=st.none() | st.integers(1, 20_000),
)
def test_a_gpt_comes_back_as_it_was(tmp_path_factory, norm, heads, layers, tied, rates, std, double, limit):
    names = ("dropout", "embedding_dropout", "attention_dropout")
    c = GPTConfig(
        7, 5, 2 * heads, layers, heads, norm=norm, tied=tied, initial_std=std, **dict(zip(names, rates, strict=True))
    )
    model = GPT(c, seed=1).astype(np.float64 if double else np.float32)
    folder = tmp_path_factory.mktemp("gpt")
    model.save_pretrained(folder, limit)
    found = GPT.from_pretrained(folder)
    assert found.config == c and equal(found, model) and not found.training


@given(classes=st.integers(1, 4), segments=st.integers(1, 3), rate=st.none() | st.sampled_from([0.0, 0.3]))
def test_a_bert_with_a_head_comes_back_as_it_was(tmp_path_factory, classes, segments, rate):
    from minilm.models import BertForSequenceClassification

    c = BertConfig(7, 5, 6, 2, 3, segments=segments, attention_dropout=0.1, classifier_dropout=rate)
    model, folder = BertForSequenceClassification(c, classes, seed=1), tmp_path_factory.mktemp("bert")
    model.save_pretrained(folder)
    found = BertForSequenceClassification.from_pretrained(folder)
    assert found.config == c and found.classes == classes and equal(found, model)


def test_shards_are_as_large_as_allowed_and_hold_each_array_once(folder):
    model = GPT.from_pretrained(folder)
    shards(folder, 2500)
    files = sorted(folder.glob("*.safetensors"))
    held = [load_file(file) for file in files]
    assert len(files) > 2 and not (folder / WEIGHTS).exists()
    assert all(sum(a.nbytes for a in part.values()) <= 2500 or len(part) == 1 for part in held)
    found = json.loads((folder / INDEX).read_text("utf-8"))
    assert found["weight_map"] == {name: file.name for file, part in zip(files, held, strict=True) for name in part}
    assert found["metadata"]["total_size"] == sum(a.nbytes for part in held for a in part.values())
    assert equal(GPT.from_pretrained(folder), model)
    with safe_open(files[0], framework="numpy") as file:
        assert file.metadata() == {"format": "pt"}  # without which some readers refuse a file


@pytest.mark.parametrize("kind", ["float16", "bfloat16", "float64", "float32"])
def test_half_precision_becomes_float32_to_the_bit(tmp_path, kind):
    import torch
    from agreement import make
    from transformers import AutoModelForCausalLM

    theirs = make("GPT2LMHeadModel", vocab_size=7, n_positions=5, n_embd=6, n_layer=1, n_head=2).to(
        getattr(torch, kind)
    )
    theirs.save_pretrained(tmp_path, max_shard_size="1KB")
    assert (tmp_path / INDEX).exists()
    ours, wanted = GPT.from_pretrained(tmp_path), torch.float64 if kind == "float64" else torch.float32
    ours.save_pretrained(tmp_path / "ours")
    back = AutoModelForCausalLM.from_pretrained(tmp_path / "ours")
    for name, array in theirs.state_dict().items():
        assert back.state_dict()[name].dtype == wanted
        assert torch.equal(array.to(wanted), back.state_dict()[name]), name


# ------------------------------------------------------------------------------------------------------------ writing


def test_after_a_disk_that_fails_nothing_is_left(tmp_path, monkeypatch):
    """At whichever of its calls: no folder, or the one that there was with what it held."""
    model, kept = GPT(SHAPE), tmp_path / "kept"
    kept.mkdir()
    (kept / "vocab.json").write_text("{}")
    disk = Disk()
    monkeypatch.setattr(resources, "os", disk)
    model.save_pretrained(tmp_path / "whole", 5000)
    assert disk.count > 4
    for call in range(1, disk.count + 1):
        for folder in (tmp_path / "new", kept):
            monkeypatch.setattr(resources, "os", Disk(at=call))
            with pytest.raises(DataError, match="could not be written"):
                model.save_pretrained(folder, 5000)
        assert not (tmp_path / "new").exists() and [path.name for path in kept.iterdir()] == ["vocab.json"]


def test_a_model_is_never_written_over(folder):
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(ConfigError, match="already holds a model .config.json.: choose another name"):
        GPT(SHAPE).save_pretrained(folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    with pytest.raises(ConfigError, match="model.safetensors is a file: choose another name"):
        GPT(SHAPE).save_pretrained(folder / WEIGHTS)


def test_what_nobody_publishes_is_not_saved(tmp_path):
    model = GPTForTokenClassification(SHAPE, 3)
    with pytest.raises(ConfigError, match="no class that Hugging Face publishes computes what a GPTForTokenClassific"):
        model.save_pretrained(tmp_path / "new")
    with pytest.raises(ConfigError, match="max_shard_bytes is 0; it must be at least 1"):
        GPT(SHAPE).save_pretrained(tmp_path / "new", 0)
    assert not (tmp_path / "new").exists()


def test_a_run_folder_is_told_from_a_published_one(folder, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / CONFIG).write_text(json.dumps({"command": "minilm pretrain gpt", "model": SHAPE.to_dict()}))
    assert is_published(folder) and not is_published(tmp_path / "run") and not is_published(tmp_path)


def test_settings_that_say_nothing_of_the_shape_are_kept(folder):
    settings(folder, eos_token_id=[3, 4], task_specific_params={"text": {"length": 5}}, reorder_and_upcast_attn=True)
    model = GPT.from_pretrained(folder)
    assert model.published["eos_token_id"] == [3, 4] and model.config == dataclasses.replace(
        SHAPE, embedding_dropout=0.0, attention_dropout=0.0
    )
    model.save_pretrained(folder / "again")
    found = json.loads((folder / "again" / CONFIG).read_text("utf-8"))
    assert found == json.loads((folder / CONFIG).read_text("utf-8"))
