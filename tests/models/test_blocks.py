"""The table of differences is true: a switch that changes, changes its cell; what a cell says, the model does."""

import numpy as np
import pytest

from minilm.autograd import no_grad
from minilm.errors import ConfigError
from minilm.models import GPT, T5, BertConfig, BertForPreTraining, GPTConfig, Llama, LlamaConfig, T5Config
from minilm.models.blocks import COMPARED, tiny, trait_names, traits

GPT_BASE = {"vocab_size": 8, "context": 8, "width": 8, "layers": 2, "heads": 2}
KINDS = {
    "gpt": lambda **changes: GPT(GPTConfig(**{**GPT_BASE, **changes})),
    "bert": lambda next_sentence=True, **changes: BertForPreTraining(
        BertConfig(**{**GPT_BASE, **changes}), next_sentence=next_sentence
    ),
    "llama": lambda **changes: Llama(LlamaConfig(**{**GPT_BASE, "mlp_width": 8, **changes})),
    "t5": lambda **changes: T5(T5Config(8, 8, 1, heads=2, head_width=4, **changes)),
}
# kind, the switch, and what of the table it changes: (before, after), nothing else.
SWITCHES = [
    ("gpt", {"norm": "post"}, {"place": ("before attention and MLP, at the end", "after each sum")}),
    ("gpt", {"tied": False}, {"head": ("the token embedding", "its own")}),
    ("gpt", {"activation": "relu"}, {"mlp": ("gelu_tanh", "relu")}),
    (
        "gpt",
        {"causal": False},
        {
            "mask": ("itself and what stands before", "everything"),
            "objective": ("the next token", "nothing: it reads what it should guess"),
        },
    ),
    ("bert", {"causal": True}, {"mask": ("everything", "itself and what stands before")}),
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
    ("t5", {"gated": True}, {"mlp": ("relu", "relu, gated")}),
    ("t5", {"scale_head": False}, {"head": ("the token embedding, divided by √D", "the token embedding")}),
    ("t5", {"tied": False}, {"head": ("the token embedding, divided by √D", "its own")}),
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
    gpt1, gpt2, bert, llama, t5 = (traits(tiny(name)) for name in COMPARED)
    assert {name for name in gpt1 if gpt1[name] != gpt2[name]} == {"place"}
    assert {name for name in gpt1 if gpt1[name] != bert[name]} == {"mask", "place", "mlp", "head", "objective"}
    assert {name for name in gpt2 if gpt2[name] == llama[name]} == {"mask", "place", "heads", "scale", "objective"}
    assert {name for name in llama if llama[name] == t5[name]} == {"norm", "place", "heads", "biases"}
    assert traits(tiny("llama2-70b"))["heads"] == "shared by 8 heads of queries"


@pytest.mark.parametrize(
    ("name", "hidden", "reads"),
    [
        *(
            (name, lambda model, ids: model.hidden(ids), "itself and what stands before")
            for name in ("gpt1", "gpt2", "llama-7b")
        ),
        ("bert-base-uncased", lambda model, ids: model.bert(ids).hidden, "everything"),
        ("t5-small", lambda model, ids: model.encode(ids), "encoder: everything"),
        ("t5-small", lambda model, ids: model.hidden(ids[:, :2], ids), "decoder: itself and what stands before"),
        ("t5-small", lambda model, ids: model.hidden(ids, ids * 0), ", and the encoder's output"),
    ],
)
def test_a_position_reads_what_the_table_says(name, hidden, reads):
    model = tiny(name).astype(np.float64).eval()
    assert reads in traits(model)["mask"]
    rng = np.random.default_rng(0)
    for p in model.parameters():
        p.assign(0.4 * rng.standard_normal(p.shape))
    ids = np.array([[1, 2, 3, 4]])
    with no_grad():
        before, after = (hidden(model, x).numpy() for x in (ids, np.where(ids == 4, 5, ids)))
    moved = np.abs(before - after).max(axis=(0, 2)) > 0
    assert moved.tolist() == [reads.split()[-1] != "before"] * 3 + [True]


def test_one_that_is_not_built():
    with pytest.raises(ConfigError, match="roberta-base: no model of its kind is built here, but those of gpt1, gpt2,"):
        tiny("roberta-base")
