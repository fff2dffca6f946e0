"""What a sweep may ask for: the files that come with minilm, and everything that cannot be, named."""

import copy
import tomllib

import pytest

from minilm.errors import ConfigError
from minilm.sweeps.config import CONFIGS, ModelSettings, named, read_sweep, sweep_of

TINY = tomllib.loads((CONFIGS / "tiny.toml").read_text())


def test_the_default_is_what_the_course_measures():
    sweep = read_sweep("facts")
    assert (sweep.source.data, sweep.source.facts, sweep.source.tails) == ("mundito", True, (1.0,))
    sizes, data = sweep.families
    assert sizes.widths == (4, 6, 8, 12, 16, 24, 32, 48, 64) and sizes.tokens == 3_000_000
    assert len(data.tokens) == 7 and data.width == 64 and data.tokens[-1] == sizes.tokens
    training = sweep.training
    assert (training.seeds, training.batch_tokens, training.rate, training.rate_by_width) == (3, 2048, 0.06, 0.5)
    assert (training.warmup, sweep.model.layers, sweep.model.context) == (0.05, 2, 32)


def test_two_tails_differ_from_the_default_in_nothing_else():
    one, two = read_sweep("facts").as_json(), read_sweep("tails").as_json()
    assert two["source"].pop("tails") == (1.0, 0.5)
    assert one["source"].pop("tails") == (1.0,)
    assert one.pop("title") != two.pop("title") and one == two


@pytest.mark.parametrize("name", named())
def test_what_is_stored_is_what_was_read(name):
    sweep = read_sweep(name)
    stored = copy.deepcopy(sweep.as_json())
    assert sweep_of(stored, "stored") == sweep and sweep.with_seeds(7).training.seeds == 7


def test_a_file_of_ones_own(tmp_path):
    (tmp_path / "mine.toml").write_text(
        '[source]\ndata = "notes.txt"\n[[families]]\nkind = "isoflop"\nflops = [1e9, 2e9]\nwidths = [4, 8]\n'
        '[[families]]\nkind = "batches"\nwidth = 8\ntokens = 5_000\nbatch_tokens = [64, 128]\n'
    )
    sweep = read_sweep(tmp_path / "mine.toml")
    assert sweep.title == "mine" and [type(one).__name__ for one in sweep.families] == ["IsoFlop", "Batches"]
    assert sweep.training.seeds == 3


def test_heads_divide_the_width():
    heads = ModelSettings().heads
    assert [heads(d) for d in (4, 16, 24, 32, 40, 48, 64)] == [1, 1, 1, 2, 2, 3, 4]
    assert all(d % heads(d) == 0 for d in range(1, 200))


@pytest.mark.parametrize(
    ("place", "value", "said"),
    [
        (("sise",), 3, "tiny has a setting sise that is not known; there are title, families, source, model"),
        (("model", "depth"), 3, r"tiny \[model\] has a setting depth that is not known; there are layers, context"),
        (("model",), 3, r"tiny \[model\] is 3; it must be a table of settings"),
        (("model", "layers"), 0, "layers is 0; wanted a whole number from 1 up"),
        (("model", "layers"), "two", r"tiny \[model\]: layers is 'two'; write it like 3"),
        (("model", "layers"), True, "layers is True; write it like 3"),
        (("training", "rate"), 0, "rate is 0; wanted a number above 0"),
        (("training", "warmup"), 1.0, "warmup is 1.0; wanted a share from 0 to below 1"),
        (("training", "dropout"), -0.1, "dropout is -0.1; wanted a share"),
        (("training", "seeds"), 0, "seeds is 0; wanted a whole number from 1 up"),
        (("evaluation", "rows"), 1, "rows is 1; wanted a whole number from 2 up"),
        (("source", "facts"), "yes", "facts is 'yes'; write it like true"),
        (("source", "tails"), [0.0], r"tails is \[0.0\]; wanted numbers above 0"),
        (("source", "tails"), [], r"tails is \[\]; write it like \[1.0, 2.0\]"),
        (("source", "language"), "xx", "xx"),
        (("families",), [], r"tiny has no \[\[families\]\]: say what to train"),
        (("families", 0, "kind"), "size", r"\[\[families\]\] 1: kind is 'size'; choose one of sizes, data, isoflop"),
        (("families", 0, "widths"), [8, 4], r"widths is \[8, 4\]; wanted numbers above 0, from the smallest"),
        (("families", 0, "widths"), [4, 4], r"widths is \[4, 4\]"),
        (("families", 0, "widths"), [4.5], r"widths is \[4.5\]; write it like \[1, 2, 3\]"),
        (("families", 0, "tokens"), [10], r"tokens is \[10\]; write it like 3"),
        (("families", 1, "tokens"), 10, r"\[\[families\]\] 2: tokens is 10; write it like \[1, 2, 3\]"),
        (("families", 1, "width"), 0, "width is 0; wanted a whole number from 1 up"),
    ],
)
def test_what_cannot_be_is_named(place, value, said):
    settings = copy.deepcopy(TINY)
    inside = settings
    for step in place[:-1]:
        inside = inside[step]
    inside[place[-1]] = value
    with pytest.raises(ConfigError, match=said):
        sweep_of(settings, "tiny")


def test_what_is_missing_is_named():
    settings = copy.deepcopy(TINY)
    del settings["families"][1]["width"], settings["families"][1]["tokens"]
    with pytest.raises(ConfigError, match=r"\[\[families\]\] 2 lacks width, tokens"):
        sweep_of(settings, "tiny")


def test_files_that_are_none(tmp_path):
    with pytest.raises(ConfigError, match="there is no sweep huge: give a TOML file, or one of facts, tails, tiny"):
        read_sweep("huge")
    (tmp_path / "a.toml").write_text("[model\n")
    with pytest.raises(ConfigError, match="a.toml is no TOML file"):
        read_sweep(tmp_path / "a.toml")
    (tmp_path / "a.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="a.toml is no TOML file"):
        read_sweep(tmp_path / "a.toml")
