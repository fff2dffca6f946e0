"""The table of differences is true: a switch that changes, changes its cell; what a cell says, the model does."""

import numpy as np
import pytest

from minilm.autograd import no_grad
from minilm.errors import ConfigError
from minilm.models import GPT, BertConfig, BertForPreTraining, GPTConfig, Llama, LlamaConfig
from minilm.models.blocks import COMPARED, tiny, trait_names, traits

GPT_BASE = {"vocab_size": 8, "context": 8, "width": 8, "layers": 2, "heads": 2}
KINDS = {
    "gpt": lambda **changes: GPT(GPTConfig(**{**GPT_BASE, **changes})),
    "bert": lambda next_sentence=True, **changes: BertForPreTraining(
        BertConfig(**{**GPT_BASE, **changes}), next_sentence=next_sentence
    ),
    "llama": lambda **changes: Llama(LlamaConfig(**{**GPT_BASE, "mlp_width": 8, **changes})),
}
# kind, the switch, and what of the table it changes: (before, after), nothing else.
SWITCHES = [
    ("gpt", {"norm": "post"}, {"place": ("before attention and MLP, before the head", "after each sum")}),
    ("gpt", {"tied": False}, {"head": ("the token embedding", "its own")}),
    ("gpt", {"activation": "relu"}, {"mlp": ("gelu_tanh", "relu")}),
    (
        "gpt",
        {"causal": False},
        {
            "mask": ("what stands before", "everything"),
            "objective": ("the next token", "nothing: it reads what it should guess"),
        },
    ),
    ("bert", {"causal": True}, {"mask": ("everything", "what stands before")}),
    ("bert", {"tied": False}, {"head": ("dense, norm, then the token embedding", "dense, norm, then its own")}),
    (
        "bert",
        {"next_sentence": False},
        {"objective": ("masked tokens; whether text B follows A", "masked tokens")},
    ),
    ("llama", {"kv_heads": 1}, {"heads": ("of each head its own", "shared by 2 heads of queries")}),
    ("llama", {"attention_bias": True}, {"biases": ("none", "attention")}),
    ("llama", {"mlp_bias": True}, {"biases": ("none", "MLP")}),
    ("llama", {"activation": "gelu"}, {"mlp": ("silu, gated", "gelu, gated")}),
    ("llama", {"tied": True}, {"head": ("its own", "the token embedding")}),
]


@pytest.mark.parametrize(("kind", "switch", "change"), SWITCHES, ids=lambda x: str(x) if isinstance(x, dict) else x)
def test_a_switch_changes_its_cell_and_no_other(kind, switch, change):
    before, after = traits(KINDS[kind]()), traits(KINDS[kind](**switch))
    assert {name: (before[name], after[name]) for name in before if before[name] != after[name]} == change


def test_a_module_that_changes_changes_its_cell():
    """It is the modules that are asked, not the configuration."""
    model = KINDS["gpt"]()
    before = traits(model)
    model.blocks[0].attention.scale = 1.0
    model.blocks[0].norm1, model.final_norm = KINDS["llama"]().blocks[0].norm1, None
    after = traits(model)
    assert (before["scale"], after["scale"]) == ("1/√K", "1")
    assert (before["norm"], after["norm"]) == ("layer norm", "RMS norm")
    assert after["place"] == "before attention and MLP"


@pytest.mark.parametrize("name", COMPARED)
def test_has_every_trait_of_every_model(name):
    found = traits(tiny(name))
    assert list(found) == list(trait_names()) and all(found.values())


def test_the_published_models():
    gpt1, gpt2, bert, llama = (traits(tiny(name)) for name in COMPARED[:4])
    assert {name for name in gpt1 if gpt1[name] != gpt2[name]} == {"place"}
    assert {name for name in gpt1 if gpt1[name] != bert[name]} == {"mask", "place", "mlp", "head", "objective"}
    assert {name for name in gpt2 if gpt2[name] == llama[name]} == {"mask", "place", "heads", "scale", "objective"}
    assert traits(tiny("llama2-70b"))["heads"] == "shared by 8 heads of queries"


@pytest.mark.parametrize("name", COMPARED[:4])
def test_a_position_reads_what_the_table_says(name):
    model = tiny(name).eval()
    hidden = model.hidden if not isinstance(model, BertForPreTraining) else lambda ids: model.bert(ids).hidden
    rng = np.random.default_rng(0)
    for p in model.parameters():
        p.assign(rng.standard_normal(p.shape))
    ids = np.array([[1, 2, 3, 4]])
    with no_grad():
        before, after = (np.asarray(hidden(x).numpy()) for x in (ids, np.where(ids == 4, 5, ids)))
    moved = np.abs(before - after).max(axis=(0, 2)) > 0
    assert moved[-1] and moved[:-1].all() == (traits(model)["mask"] == "everything")


def test_one_that_is_not_built():
    with pytest.raises(ConfigError, match="roberta-base: no model of its kind is built here, but those of gpt1, gpt2,"):
        tiny("roberta-base")
