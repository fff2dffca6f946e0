"""What goes wrong for people who pretrain: one clear sentence, exit status 1, and nothing is lost."""

import errno
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from minilm.cli.app import main
from minilm.cli.generate import load_trained
from minilm.errors import ShapeError
from minilm.models import GPT, GPTConfig
from minilm.training import NextToken, Run, durable
from minilm.training.checkpoint import load_checkpoint

TEXT = "the cat sat on the mat, and the dog sat on the cat. " * 40


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "text.txt"
    path.write_text(TEXT)
    return path


@pytest.fixture
def minilm(capsys: Any) -> Any:
    """Run a command line in this process; its exit status and what it said on stderr, which is one line."""

    def run(*args: object) -> tuple[int, str]:
        try:
            status = main([str(a) for a in args])
        except SystemExit as stopped:
            status = int(stopped.code or 0)
        said = capsys.readouterr().err
        assert said.count("\n") <= 1, said
        assert "Traceback" not in said
        return status, said

    return run


def pretrain(minilm: Any, out: Path, data: object, *options: object) -> tuple[int, str]:
    settings = ("--config", "tiny", "--steps", 12, "--evaluate-every", 4, "--threads", 1, "--no-ngrams")
    return minilm("pretrain", "gpt", "--data", data, "--out", out, *settings, *options)


def make(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


REFUSED = {
    "a missing file": (lambda tmp: tmp / "nowhere.txt", [], "nowhere.txt"),
    "an empty file": (lambda tmp: make(tmp / "empty.txt", b""), [], "empty"),
    "an empty folder": (lambda tmp: (tmp / "folder").mkdir() or tmp / "folder", [], "folder"),
    "bytes that are no text": (lambda tmp: make(tmp / "noise.txt", b"\xff\xfe\x00\x01" * 99), [], "noise.txt"),
    "a text shorter than the context": (
        lambda tmp: make(tmp / "short.txt", b"only a few words"),
        [],
        "fewer than the context of 32",
    ),
    "heads that do not divide the width": (
        lambda tmp: make(tmp / "text.txt", TEXT.encode()),
        ["--heads", 3],
        "heads is 3, width is 32",
    ),
    "a rate below zero": (lambda tmp: make(tmp / "text.txt", TEXT.encode()), ["--rate", -1], "-1"),
    "no steps": (lambda tmp: make(tmp / "text.txt", TEXT.encode()), ["--steps", 0], "steps"),
    "an unknown recipe": (lambda tmp: make(tmp / "text.txt", TEXT.encode()), ["--config", "huge"], "'huge'"),
    "an unknown tokenizer": (lambda tmp: make(tmp / "text.txt", TEXT.encode()), ["--tokenizer", "word"], "'word'"),
    "too large a vocabulary": (
        lambda tmp: make(tmp / "text.txt", TEXT.encode()),
        ["--tokenizer", "bpe", "--vocabulary", 9999],
        "9999",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_be_is_refused_before_anything_is_made(what: str, minilm: Any, tmp_path: Path) -> None:
    data, options, words = REFUSED[what]
    status, said = pretrain(minilm, tmp_path / "run", data(tmp_path), *options)
    assert status == 1
    assert words in said
    assert not (tmp_path / "run").exists()


def test_a_run_is_not_overwritten(minilm: Any, text: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    assert pretrain(minilm, out, text) == (0, "")
    before = {p: p.read_bytes() for p in out.rglob("*") if p.is_file()}
    status, said = pretrain(minilm, out, text)
    assert status == 1
    assert "--resume" in said
    assert {p: p.read_bytes() for p in out.rglob("*") if p.is_file()} == before


def test_resume_keeps_the_runs_own_settings(minilm: Any, text: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    pretrain(minilm, out, text)
    status, said = minilm("pretrain", "gpt", "--resume", out, "--width", 64)
    assert (status, "--width" in said) == (1, True)
    status, said = minilm("pretrain", "gpt", "--resume", tmp_path / "none")
    assert (status, "none" in said) == (1, True)
    text.write_text(TEXT.replace("cat", "cow"))
    status, said = minilm("pretrain", "gpt", "--resume", out)
    assert (status, "is not what" in said) == (1, True)


def test_a_vocabulary_that_does_not_match_the_checkpoint(minilm: Any, text: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    pretrain(minilm, out, text)
    other = tmp_path / "other"
    text.write_text(TEXT.upper())
    pretrain(minilm, other, text)
    (out / "tokenizer.json").write_bytes((other / "tokenizer.json").read_bytes())
    status, said = minilm("generate", out, "the")
    assert status == 1
    assert "is not the tokenizer" in said
    text.write_text(TEXT)
    status, said = minilm("pretrain", "gpt", "--resume", out)
    assert (status, "is not the tokenizer" in said) == (1, True)


def test_a_context_longer_than_the_models() -> None:
    model = GPT(GPTConfig(vocab_size=5, context=8, width=8, layers=1, heads=2))
    with pytest.raises(ShapeError, match="9 positions are longer than the model's context of 8"):
        model(np.zeros((1, 9), np.int64))


def test_a_loss_that_is_no_number(minilm: Any, text: Path, tmp_path: Path, monkeypatch: Any) -> None:
    """Training stops, says at which step, and the last good checkpoint still resumes."""
    calls, whole = [], NextToken.__call__

    def broken(self: Any, model: Any, shard: Any, counts: Any) -> Any:
        loss, metrics = whole(self, model, shard, counts)
        calls.append(model.training)
        return loss * (math.nan if sum(calls) == 7 else 1.0), metrics

    monkeypatch.setattr(NextToken, "__call__", broken)
    status, said = pretrain(minilm, tmp_path / "run", text)
    assert status == 1
    assert "nan at step 7" in said
    assert "step-00000004" in said
    monkeypatch.undo()
    assert Run(tmp_path / "run").load().step == 4
    assert minilm("pretrain", "gpt", "--resume", tmp_path / "run", "--no-ngrams")[0] == 0
    assert Run(tmp_path / "run").load().step == 12


def test_a_full_disk(minilm: Any, text: Path, tmp_path: Path, monkeypatch: Any) -> None:
    """The checkpoint before stays whole, nothing half-written stays, and resuming ends at the same weights."""
    pretrain(minilm, tmp_path / "whole", text)
    write, written = durable.write_all, []

    def full(descriptor: int, data: bytes) -> None:
        written.append(len(data))
        if sum(written) > 500_000:
            raise OSError(errno.ENOSPC, "No space left on device")
        write(descriptor, data)

    monkeypatch.setattr(durable, "write_all", full)
    status, said = pretrain(minilm, tmp_path / "run", text)
    monkeypatch.undo()
    assert status == 1
    assert "space" in said or "disk" in said
    run = Run(tmp_path / "run")
    assert 0 < run.load().step < 12
    assert not list(run.checkpoints.glob(".*partial*"))
    assert minilm("pretrain", "gpt", "--resume", run.folder, "--threads", 1, "--no-ngrams")[0] == 0
    ours, expected = run.load().weights, Run(tmp_path / "whole").load().weights
    assert all(np.array_equal(ours[name], expected[name]) for name in expected)


def test_a_damaged_checkpoint_is_refused_by_name_and_the_one_before_is_offered(
    minilm: Any, text: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    pretrain(minilm, out, text)
    newest = Run(out).latest()
    assert newest is not None
    weights = newest / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    for command in (("generate", out, "the"), ("pretrain", "gpt", "--resume", out)):
        status, said = minilm(*command)
        assert status == 1
        assert newest.name in said
        assert "step-00000008" in said
    model, _ = load_trained(out / "checkpoints" / "step-00000008")
    assert model.num_parameters() > 0
    assert load_checkpoint(out / "checkpoints" / "step-00000008").step == 8
    assert minilm("pretrain", "gpt", "--resume", out, "--checkpoint", "step-00000008", "--no-ngrams")[0] == 0
    assert Run(out).load().step == 12


def test_the_config_of_a_run_says_where_its_text_came_from(minilm: Any, text: Path, tmp_path: Path) -> None:
    pretrain(minilm, tmp_path / "run", text)
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert set(config["data"]) == {"name", "sha256", "size", "licence", "provenance"}
    assert config["data"]["size"] == len(TEXT.strip()) or config["data"]["size"] == len(TEXT)
