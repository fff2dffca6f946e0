"""One training in its folder: begun, gone on with, refused, and the same result each time."""

import dataclasses
import json
import os
import shutil
import time

import pytest

from minilm.errors import CheckpointError, ConfigError, TrainingError
from minilm.mundito.world import MunditoConfig
from minilm.pretraining.pretraining import Pretraining
from minilm.pretraining.recipes import Recipe
from minilm.sweeps import training
from minilm.sweeps.points import Point
from minilm.sweeps.rows import ROWS
from minilm.sweeps.training import RESULT, result_in, rows_needed, steps_done, train_point
from minilm.training import checkpoint, log
from minilm.training.checkpoint import checkpoints_in
from minilm.training.run import Run, take
from minilm.training.trainer import Trainer

FACTS = MunditoConfig("es", 0, 1.0, True)
RECIPE = Recipe("words", 0, 8, 1, 1, 8, batch=4, steps=6, rate=0.02, warmup=1, evaluate_every=2, validation=8)
POINT = Point("mundito", FACTS, RECIPE, 0)


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    return tmp_path_factory.mktemp("rows")


@pytest.fixture(scope="module")
def whole(tmp_path_factory, rows):
    """A finished training's folder, and its result."""
    folder = tmp_path_factory.mktemp("runs") / POINT.name
    return folder, train_point(POINT, folder, rows)


def copied(whole, tmp_path):
    shutil.copytree(whole[0], tmp_path / POINT.name)
    return tmp_path / POINT.name


def numbers(result):
    return {name: value for name, value in result.items() if name != "seconds"}


@pytest.fixture
def steps(monkeypatch):
    """How many updates were made."""
    made, update = [], Trainer._update

    def counted(self):
        made.append(self.step)
        return update(self)

    monkeypatch.setattr(Trainer, "_update", counted)
    return made


def test_the_result_is_that_of_an_ordinary_pretraining(whole, tmp_path):
    """Of the same recipe, without stored rows."""
    folder, result = whole
    alone = Pretraining.start(FACTS, RECIPE, tmp_path / "alone", 0)
    trainer = alone.trainer(threads=1, show=False)
    trainer.train()
    assert {name: result[name] for name in ("loss", "excess", "excess_se")} == alone.final(trainer)
    assert [at["tokens"] for at in result["curve"]] == [64, 128, 192] and result["tokens"] == POINT.tokens == 192
    assert result["curve"][-1]["loss"] == trainer.record["validation_loss"]
    assert json.loads((folder / RESULT).read_text()) == result
    assert Pretraining.open(folder).trainer(threads=1, show=False).resume().step == 6


def test_a_finished_one_is_not_trained_again(whole, rows, steps):
    folder, result = whole
    before = (folder / RESULT).stat().st_mtime_ns
    assert train_point(POINT, folder, rows) == result
    assert not steps and (folder / RESULT).stat().st_mtime_ns == before


def test_another_seed_is_another_training(whole, tmp_path, rows):
    other = train_point(dataclasses.replace(POINT, seed=1), tmp_path / "other", rows)
    assert other["loss"] != whole[1]["loss"] and other["settings"]["seed"] == 1


@pytest.mark.parametrize("at", [1, 3, 5])
def test_one_that_was_stopped_goes_on_to_the_same_bits(whole, tmp_path, rows, monkeypatch, steps, at):
    folder, update = tmp_path / POINT.name, Trainer._update

    def stops(self):
        if self.step == at:
            raise KeyboardInterrupt
        return update(self)

    with monkeypatch.context() as patched:
        patched.setattr(Trainer, "_update", stops)
        with pytest.raises(KeyboardInterrupt):
            train_point(POINT, folder, rows)
    saved = max((int(path.name[5:]) for path in checkpoints_in(Run(folder).checkpoints)), default=0)
    assert steps_done(folder) >= saved and not (folder / RESULT).exists()
    steps.clear()
    assert numbers(train_point(POINT, folder, rows)) == numbers(whole[1])
    assert steps == list(range(saved, 6))


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"settings": 1}', b"\xff"])
def test_a_damaged_result_is_made_again_without_training(whole, tmp_path, rows, steps, damage):
    folder = copied(whole, tmp_path)
    (folder / RESULT).write_bytes(damage)
    assert result_in(folder, POINT) is None
    assert numbers(train_point(POINT, folder, rows)) == numbers(whole[1]) and not steps


@pytest.mark.parametrize("what", ["checkpoint", "log", "config", "tokenizer and config", "all but a result's draft"])
def test_a_damaged_training_begins_anew(whole, tmp_path, rows, steps, what):
    folder = copied(whole, tmp_path)
    (folder / RESULT).unlink()
    if what == "checkpoint":
        (Run(folder).latest() / "model.safetensors").write_bytes(b"half")
    elif what == "log":
        (folder / "log.jsonl").write_bytes(b"no record\n" + (folder / "log.jsonl").read_bytes())
    elif what == "config":
        (folder / "config.json").write_text("{")
    elif what == "tokenizer and config":
        (folder / "config.json").unlink()
        (folder / "tokenizer.json").unlink()
    else:
        shutil.rmtree(folder)
        folder.mkdir()
        (folder / f".{RESULT}.x.tmp").write_text("half")
    assert numbers(train_point(POINT, folder, rows)) == numbers(whole[1]) and steps == list(range(6))


def test_another_settings_training_is_refused_and_left_alone(whole, tmp_path, rows):
    """Finished or not."""
    folder = copied(whole, tmp_path)
    changes = [
        {"recipe": dataclasses.replace(RECIPE, rate=0.03)},
        {"recipe": dataclasses.replace(RECIPE, layers=2)},
        {"world": MunditoConfig("es", 1, 1.0, True)},
        {"seed": 1},
    ]
    for finished in (True, False):
        if not finished:
            (folder / RESULT).unlink()
        before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        for change in changes:
            other = dataclasses.replace(POINT, **change)
            with pytest.raises(ConfigError, match="other settings than this sweep's"):
                train_point(other, folder, rows)
            with pytest.raises(ConfigError, match="other settings"):
                result_in(folder, other)
        assert before == {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_one_that_diverges_says_so_and_keeps_what_there_was(tmp_path, rows):
    wild = dataclasses.replace(POINT, recipe=dataclasses.replace(RECIPE, rate=1e30))
    for _ in range(2):  # and is tried again
        with pytest.raises(TrainingError, match=r"is (nan|inf) at step"):
            train_point(wild, tmp_path / "wild", rows)
    assert (tmp_path / "wild" / "config.json").exists() and not (tmp_path / "wild" / RESULT).exists()


def full(*_, **__):
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize(
    ("module", "name", "at", "then"),
    [(checkpoint, "write_synced", 4, [4, 5]), (log, "write_all", 5, [4, 5]), (training, "write_atomically", 5, []),
     (os, "open", 0, list(range(6)))],
    ids=["checkpoint", "log", "result", "at the beginning"],
)  # fmt: skip
def test_a_full_disk_is_one_sentence_and_loses_nothing(
    whole, tmp_path, rows, monkeypatch, steps, module, name, at, then
):
    """It goes on from the last checkpoint that there was."""
    folder, update = tmp_path / POINT.name, Trainer._update
    with monkeypatch.context() as patched:

        def fills(self):
            if self.step == at:
                patched.setattr(module, name, full)
            return update(self)

        patched.setattr(Trainer, "_update", fills)
        if module is os:
            patched.setattr(module, name, full)
        with pytest.raises((TrainingError, CheckpointError), match="No space left") as told:
            train_point(POINT, folder, rows)
    assert "\n" not in str(told.value)
    steps.clear()
    assert numbers(train_point(POINT, folder, rows)) == numbers(whole[1]) and steps == then


def test_it_waits_for_one_that_has_not_noticed_its_end(whole, tmp_path, rows, monkeypatch):
    """And not for ever."""
    folder = tmp_path / POINT.name
    lock = os.open(tmp_path / f".{POINT.name}.lock", os.O_RDWR | os.O_CREAT)
    take(lock)
    monkeypatch.setattr(training, "PATIENCE", 0.1)
    with pytest.raises(ConfigError, match="another training is writing to"):
        train_point(POINT, folder, rows)
    assert not folder.exists()
    monkeypatch.setattr(training, "PATIENCE", 60.0)
    sleep = time.sleep

    def frees(seconds):
        os.close(lock)
        monkeypatch.setattr(time, "sleep", sleep)

    monkeypatch.setattr(time, "sleep", frees)
    assert numbers(train_point(POINT, folder, rows)) == numbers(whole[1])


@pytest.mark.parametrize(("tokenizer", "vocabulary"), [("char", 0), ("bpe", 268)])
def test_a_text_of_ones_own(tmp_path, rows, tokenizer, vocabulary):
    """Its loss is known, its floor is not; another text in its place is refused."""
    path = tmp_path / "mine.txt"
    path.write_text("the cat sat on the mat. " * 60 + "a dog ran. " * 40)
    recipe = dataclasses.replace(RECIPE, tokenizer=tokenizer, vocabulary=vocabulary)
    point = Point(str(path), None, recipe, 0)
    folder = tmp_path / "runs" / point.name
    result = train_point(point, folder, rows)
    assert "excess" not in result and result["loss"] > 0 and result["text"]["size"]
    (folder / RESULT).unlink()
    path.write_text("quite another text. " * 90)
    training._SOURCES.clear()
    with pytest.raises(ConfigError, match="no longer what"):
        train_point(point, folder, rows)
    assert (folder / "config.json").exists()


def test_rows_that_are_needed_are_those_that_are_read(tmp_path):
    """No fewer, so that none is written by a training; no file more."""
    train_point(POINT, tmp_path / POINT.name, tmp_path / "rows")
    made = {path.parent.name: len(list(path.parent.iterdir())) for path in (tmp_path / "rows").rglob("*.npy")}
    needed = {f"{part}-seed0": -(-count // ROWS) for part, count in rows_needed(POINT).items()}
    assert made == needed
