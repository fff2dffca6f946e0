"""`minilm scaling run` as a command: what it says, what it leaves, how it ends."""

import json
import os
import signal
import subprocess
import time

import pytest
from small_sweep import command, in_process, run, small, tables, toml

from minilm.cli import scaling_run
from minilm.cli.app import main
from minilm.errors import TrainingError
from minilm.sweeps import rows, training
from minilm.sweeps import sweep as sweeps
from minilm.sweeps.sweep import RUNS
from minilm.sweeps.training import RESULT


@pytest.fixture(autouse=True)
def quick(monkeypatch, request):
    """Files of few rows, no waiting for the disk, intervals of few draws."""
    if not request.node.get_closest_marker("slow"):
        analyse = sweeps.analyse
        monkeypatch.setattr(rows, "ROWS", 64)
        monkeypatch.setattr(os, "fsync", lambda descriptor: None)
        monkeypatch.setattr(sweeps, "analyse", lambda parts, rng, replicas: analyse(parts, rng, 5))


@pytest.fixture
def cli(capsys):
    """The command's exit status, what it says, and what it says of errors; jobs run in this process."""

    def call(*args, order=lambda jobs: jobs):
        with in_process(order) as begun:
            try:
                status = main(["scaling", "run", *map(str, args)])
            except SystemExit as end:
                status = end.code
        said = capsys.readouterr()
        assert "Traceback" not in said.err
        return status, said.out, said.err, [name for name in begun if "/" not in name]

    return call


def test_it_trains_fits_and_says_where_all_is(cli, tmp_path, monkeypatch):
    out = tmp_path / "out"
    status, said, _, begun = cli(toml(tmp_path), "--out", out, "--jobs", 1)
    assert status == 0 and len(begun) == 6
    assert "small: 6 trainings of 2 sizes, 2 seeds, 2.56e+03 tokens in all; 0 are done" in said
    assert f"1 process; folder: {out}" in said and "1/6 done" in said and "6/6 done, 0:00 left" in said
    assert f"table: {out / 'table.csv'}; learning curves: {out / 'curves.csv'}" in said
    assert "the least excess of all" in said and "tail1" in json.loads((out / "findings.json").read_text())
    before = tables(out)
    monkeypatch.setattr(scaling_run, "finish", lambda running: None)
    status, said, _, begun = cli("--resume", "--out", out)
    assert status == 0 and begun == [] and "6 are done" in said and tables(out) == before
    status, said, _, begun = cli("--resume", "--out", out, "--seeds", 1)
    assert status == 0 and begun == [] and "3 trainings" in said
    status, _, said, _ = cli(toml(tmp_path), "--out", out)
    assert status == 1 and "already holds a sweep: go on with --resume" in said


def test_what_failed_is_told_at_the_end_and_by_the_exit_status(cli, tmp_path, monkeypatch):
    trained = training._trained

    def fails(point, *_):
        raise TrainingError("the loss is nan at step 3: lower the rate")

    monkeypatch.setattr(training, "_trained", fails)
    status, said, errors, _ = cli(toml(tmp_path), "--out", tmp_path / "out")
    assert status == 1 and said.count("failed: the loss is nan at step 3") == 6
    assert "6 trainings failed: give the command again with --resume" in errors
    monkeypatch.setattr(training, "_trained", trained)
    monkeypatch.setattr(scaling_run, "finish", lambda running: None)
    status, _, errors, begun = cli("--out", tmp_path / "out", "--resume", "--seeds", 1)
    assert status == 0 and not errors and len(begun) == 3


def test_ctrl_c_says_how_to_go_on(cli, tmp_path, monkeypatch):
    def stops(jobs):
        yield from jobs[:5]
        raise KeyboardInterrupt

    status, _, said, _ = cli(toml(tmp_path), "--out", tmp_path / "out", "--seeds", 1, order=stops)
    assert status == 130 and f"go on with `minilm scaling run --out {tmp_path / 'out'} --resume`" in said
    assert len(list((tmp_path / "out" / RUNS).glob(f"*/{RESULT}"))) == 2
    monkeypatch.setattr(scaling_run, "finish", lambda running: None)
    status, said, _, begun = cli("--out", tmp_path / "out", "--resume")
    assert status == 0 and "2 are done" in said and len(begun) == 1


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--resume"], "--resume goes on with the sweep of a folder: give --out too"),
        (["nothing"], "there is no sweep nothing: give a TOML file, or one of facts, "),
        (["--resume", "--out", "{}/none"], "there is no sweep in {}/none: leave out --resume"),
        (["tiny", "--out", "{}/out", "--dask", "tcp://127.0.0.1:9"], "no Dask scheduler answers at tcp://127.0.0.1:9"),
    ],
)
def test_what_cannot_be_is_one_sentence(cli, tmp_path, args, said, monkeypatch):
    from distributed import Client

    monkeypatch.setattr(Client, "__init__", refuses)
    status, _, errors, _ = cli(*(arg.format(tmp_path) for arg in args))
    assert status == 1 and errors.startswith(f"minilm: {said.format(tmp_path)}") and errors.count("\n") == 1


def refuses(self, *_, **__):
    raise OSError("Timed out")


@pytest.mark.slow
def test_ctrl_c_of_real_processes_leaves_none(tmp_path):
    call = command(toml(tmp_path, 40_000, 20_000), tmp_path / "out", "--jobs", 2)
    with subprocess.Popen(call, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          start_new_session=True) as process:  # fmt: skip
        until = time.monotonic() + 120
        while not list(tmp_path.rglob("step-*")) and time.monotonic() < until:
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 130 and "--resume" in said and "Traceback" not in said
    until = time.monotonic() + 20
    with pytest.raises(ProcessLookupError):
        while time.monotonic() < until:
            os.killpg(process.pid, 0)
            time.sleep(0.1)


@pytest.mark.slow
@pytest.mark.parametrize(("data", "tokenizer", "vocabulary"), [("pydocs", "char", 0), ("mine.txt", "bpe", 300)])
def test_a_text_by_one_process_and_by_two(tmp_path, data, tokenizer, vocabulary):
    if data == "mine.txt":
        data = str(tmp_path / data)
        words = [f"{a}{b}" for a in "bdfgklmnprst" for b in "aeiou"]
        text = " ".join(words[(i * i + i // 7) % len(words)] for i in range(6000))
        (tmp_path / "mine.txt").write_text(text)
    sweep = small(data=data, tokenizer=tokenizer, vocabulary=vocabulary).with_seeds(1)
    run(sweep, tmp_path / "one", jobs=1)
    run(sweep, tmp_path / "two", jobs=2)
    assert tables(tmp_path / "one") == tables(tmp_path / "two")
    assert "excess" not in tables(tmp_path / "one")[0].decode()
