"""`minilm tour` from end to end, shortened: what it prints and leaves, and how it goes on after a stop."""

import json
import signal
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from minilm.cli import tour, tour_bert, tour_gpt
from minilm.cli.app import main
from minilm.mundito import Mundito, MunditoConfig
from minilm.mundito.oracle import fill_distribution
from minilm.pretraining import BERT_RECIPES, RECIPES
from minilm.training.run import Run

HEADINGS = [f"{n}. " for n in range(1, 8)]
LEFT = ("gpt/loss.png", "gpt/attention.png", "gpt/samples.txt", "bert/loss.png", "bert/masks.png",
        "tagging/arms.png", "tagging/results.json")  # fmt: skip


@pytest.fixture
def minilm(capsys: Any, monkeypatch: Any, tmp_path_factory: Any) -> Any:
    """Run a command line in this process, on a short text and few examples: exit status, stdout, stderr."""
    for name, value in (("LABELS", 4), ("SEEDS", 2), ("DEV", 10), ("TEST", 10), ("GUESSED", 6)):
        monkeypatch.setattr(tour_bert, name, value)
    words = [f"{a}{b}{c}" for a in "bcdfghjk" for b in "aeiou" for c in "lmnrstvz"]
    text = tmp_path_factory.mktemp("texts") / "text.txt"
    said = [f"The {a}{b} is a class definition. If the {b} is {a}, no." for a, b in pairwise(words)]
    text.write_text("\n\n".join(said * 2))
    monkeypatch.setattr(tour_gpt, "TEXT", str(text))

    def run(*args: object) -> tuple[int, str, str]:
        try:
            status = main([str(a) for a in args])
        except SystemExit as stopped:
            status = int(stopped.code or 0)
        said = capsys.readouterr()
        assert "Traceback" not in said.err, said.err
        return status, said.out, said.err

    return run


def test_from_end_to_end_and_on_after_a_stop_in_each_half(minilm: Any, tmp_path: Path, monkeypatch: Any) -> None:
    folder, batches = tmp_path / "tour", []
    stops = {"gpt": 2, "bert": 3}  # Ctrl-C while this training is at this step

    def at(self: Any, step: int, then: Any = None) -> Any:
        kind = "bert" if type(self).__name__ == "MaskedBatches" else "gpt"
        batches.append((kind, step))
        if stops.get(kind) == step:
            del stops[kind]
            signal.raise_signal(signal.SIGINT)
        return then(self, step)

    from minilm.text.batches import TokenBatches
    from minilm.text.masking import MaskedBatches

    for cls in (TokenBatches, MaskedBatches):
        monkeypatch.setattr(cls, "at", lambda self, step, then=cls.at: at(self, step, then))
    how = f"go on with `minilm tour --resume {folder}`\n"
    status, said, err = minilm("tour", "--out", folder, "--steps", 5, "--threads", 1)
    assert (status, err) == (130, f"minilm: stopped and saved; {how}")
    assert [h for h in HEADINGS if f"\n{h}" in said] == HEADINGS[:1]
    status, said, err = minilm("tour", "--resume", folder, "--threads", 1)
    assert (status, err) == (130, f"minilm: stopped and saved; {how}")
    assert "going on from step-00000003" in said and [h for h in HEADINGS if f"\n{h}" in said] == HEADINGS[:4]
    before = len(batches)
    status, said, err = minilm("tour", "--resume", folder, "--threads", 1)
    assert (status, err) == (0, "") and [h for h in HEADINGS if f"\n{h}" in said] == HEADINGS
    assert {step for kind, step in batches[before:] if kind == "bert"} == {4}  # what was done is not done again
    for name in LEFT:
        assert (folder / name).stat().st_size > 500 and (name.endswith(".json") or str(folder / name) in said), name
    assert [Run(folder / kind).latest().name for kind in ("gpt", "bert")] == ["step-00000005"] * 2
    status, _, err = minilm("tour", "--out", folder)
    assert status == 1 and f"already is a tour: go on with `minilm tour --resume {folder}`" in err


def test_what_ctrl_c_says_is_true_wherever_it_comes(minilm: Any, tmp_path: Path, monkeypatch: Any) -> None:
    folder = tmp_path / "tour"

    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("minilm.pretraining.Pretraining.start", stop)
    status, _, err = minilm("tour", "--out", folder, "--steps", 3)
    assert status == 130 and err == (
        f"minilm: stopped; go on from what was saved before with `minilm tour --resume {folder}`\n"
    )
    assert tour.open_folder(None, folder, None) == (folder, 3)


def test_one_sentence_for_what_cannot_be(minilm: Any, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("x")
    for options, sentence in (
        (("--out", tmp_path), "choose another name"),
        (("--resume", tmp_path), "is no tour: give a folder that `minilm tour` made"),
        (("--resume", tmp_path, "--steps", 3, "--out", "x"), "leave out --out, --steps"),
    ):
        status, _, err = minilm("tour", *options)
        assert status == 1 and sentence in err and err.count("\n") == 1
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize("recipe", [RECIPES["tour"], BERT_RECIPES["tour"]], ids=["gpt", "bert"])
def test_a_recipe_is_shortened_and_never_lengthened(recipe: Any) -> None:
    assert tour.shortened(recipe, None) is tour.shortened(recipe, 10**6) is recipe
    short = tour.shortened(recipe, 20)
    assert (short.steps, short.warmup, short.evaluate_every) == (20, 2, 20)
    assert getattr(short, "documents", 640) == 640


@pytest.mark.parametrize("language", ["en", "es"])
def test_the_world_can_write_what_is_asked_and_the_hidden_word_is_possible(language: str) -> None:
    world = Mundito(MunditoConfig(language=language))
    for what, ids, place, _, right in tour_bert.questions(world):
        assert len(ids) + 2 <= BERT_RECIPES["tour"].context, what
        truth = fill_distribution(world, [world.id_of["<bos>"], *ids], place + 1)
        assert ids[place] in right and truth[ids[place]] > 0 and not (truth[right].sum() < 0.9), what


def test_settings_are_kept(tmp_path: Path) -> None:
    folder, steps = tour.open_folder(tmp_path / "tour", None, 7)
    assert (steps, json.loads((folder / tour.SETTINGS).read_text())) == (7, {"steps": 7})
