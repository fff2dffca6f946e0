"""Several ranks train what one process trains; what becomes of them when one is lost."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from minilm.errors import ConfigError, TrainingError
from minilm.mundito import Mundito, MunditoBatches, MunditoConfig
from minilm.training import KnownSource, NextToken, Run, read_log
from minilm.training.parallel import split
from minilm.training.ranks import Alone, Ranks

sys.path.insert(0, str(Path(__file__).parent))
from ranked import training
from small_training import Batches, new_run

HERE = Path(__file__).parent
MPIRUN = Path(sys.executable).with_name("mpirun")
LOSSES = ("loss", "validation_loss", "gradient_norm")


def mpirun(program, *arguments, ranks=2, patience=60.0, **how):
    environment = os.environ | {"MINILM_MPI_PATIENCE": str(patience), "PYTHONPATH": str(HERE.parents[1])}
    command = [str(MPIRUN), "-n", str(ranks), sys.executable, *program, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False, timeout=120, **how)


def ranked(folder, *options, **how):
    return mpirun([str(HERE / "ranked.py")], folder, *options, **how)


def numbers(log):
    return [{name: record[name] for name in LOSSES if name in record} for record in log]


def close(ours, theirs, tolerance):
    assert len(ours) == len(theirs) > 0
    for one, other in zip(ours, theirs, strict=True):
        assert one.keys() == other.keys()
        for name in one:
            assert abs(one[name] - other[name]) <= tolerance, (name, one, other)


@pytest.fixture
def alone(tmp_path):
    """The log of one process's training."""
    made = training(new_run(tmp_path / "alone"))
    made.train()
    return made


# ---------------------------------------------------------------------------------------------- ranks without an MPI


class Meeting:
    """Where threads that play ranks exchange what they have."""

    def __init__(self, size):
        self.size, self.barrier, self.brought = size, threading.Barrier(size, timeout=30), [None] * size

    def exchange(self, rank, value):
        self.brought[rank] = value
        self.barrier.wait()
        found = list(self.brought)
        self.barrier.wait()
        return found


class Comm:
    """As much of an MPI communicator as ranks.py uses."""

    def __init__(self, meeting, rank):
        self.meeting, self.rank = meeting, rank

    def Allreduce(self, in_place, array):
        array[...] = sum(self.meeting.exchange(self.rank, array.copy()))

    def allgather(self, value):
        return self.meeting.exchange(self.rank, value)

    def bcast(self, value):
        return self.meeting.exchange(self.rank, value)[0]

    def Barrier(self):
        self.meeting.exchange(self.rank, None)


class ThreadRanks(Ranks):
    def __init__(self, meeting, rank):
        self.rank, self.size, self.on_this_machine, self._place = rank, meeting.size, meeting.size, rank
        self._all, self.patience, self._deadline = Comm(meeting, rank), 30.0, None
        self._mpi = type("MPI", (), {"IN_PLACE": None})

    watched = Alone.watched


def with_threads(size, work):
    """[work(ranks) for each of `size` ranks], side by side."""
    meeting, found, errors = Meeting(size), [None] * size, []

    def one(rank):
        try:
            found[rank] = work(ThreadRanks(meeting, rank))
        except Exception as error:
            errors.append(error)
            meeting.barrier.abort()

    threads = [threading.Thread(target=one, args=(rank,)) for rank in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise min(errors, key=lambda error: isinstance(error, threading.BrokenBarrierError))
    return found


@pytest.mark.parametrize("size", [2, 3, 5])
def test_any_number_of_ranks_trains_what_one_process_trains(size, alone, tmp_path):
    new_run(tmp_path / "ranks")
    trained = with_threads(size, lambda ranks: train(training(Run(tmp_path / "ranks"), ranks)))
    close(numbers(read_log(tmp_path / "ranks" / "log.jsonl")), numbers(read_log(alone.run.log)), 1e-9)
    weights = [made.optimizer.flat.values for made in trained]
    assert all(np.array_equal(weights[0], other) for other in weights)
    assert [made.tokens for made in trained] == [alone.tokens] * size


def train(made):
    made.train()
    return made


def test_a_rank_resumes_where_one_process_stopped_and_says_so(alone, tmp_path, capsys):
    new_run(tmp_path / "run")
    training(Run(tmp_path / "run"), checkpoint_every=25, keep=9).train()

    def go_on(ranks):
        made = training(Run(tmp_path / "run"), ranks)
        made.show = ranks.rank == 0
        return train(made.resume("step-00000050"))

    with_threads(2, go_on)
    assert "made with 1 ranks, this is 2" in capsys.readouterr().out
    close(numbers(read_log(tmp_path / "run" / "log.jsonl")), numbers(read_log(alone.run.log)), 1e-9)


def test_more_ranks_than_sequences_is_an_error():
    with pytest.raises(ConfigError, match="a batch has 2 sequences for 3 ranks"):
        with_threads(3, lambda ranks: ranks.share(Batches(2), 0, NextToken()))


def test_weights_that_drift_apart_are_seen():
    with pytest.raises(TrainingError, match="weights of rank 1 are no longer those of rank 0"):
        with_threads(3, lambda ranks: ranks.check_alike(np.full(3, 1.0 + (ranks.rank == 1) * 1e-15)))


def test_a_source_writes_only_the_rows_of_its_rank():
    batches, made = MunditoBatches(Mundito(MunditoConfig(facts_only=True)), 8, 7, seed=3), []
    batches.row = lambda number, row=batches.row: (made.append(number), row(number))[1]
    parts = [batches.share(2, rank, 3) for rank in range(3)]
    assert made == list(range(14, 21))
    for ours, theirs in zip(parts, split(batches.at(2), 3), strict=True):
        assert all(np.array_equal(ours[name], theirs[name]) for name in theirs)
    whole = batches.at(2)
    for part, counts, size in with_threads(3, lambda ranks: ranks.share(batches, 2, KnownSource())):
        assert counts == KnownSource().counts(whole) and size == 7 and len(part["ids"]) in (2, 3)


# ------------------------------------------------------------------------------------------------------- with an MPI


def test_two_ranks_of_mpirun_train_what_one_process_trains(alone, tmp_path):
    ran = ranked(tmp_path / "two")
    assert ran.returncode == 0, ran.stderr
    ours, theirs = read_log(tmp_path / "two" / "log.jsonl"), read_log(alone.run.log)
    assert len(ours) == 100
    close(numbers(ours), numbers(theirs), 1e-9)
    assert ran.stdout == ran.stderr == ""  # nothing is said that is not asked for


@pytest.mark.slow
@pytest.mark.parametrize("rank", [0, 1])
def test_a_rank_that_is_killed_ends_the_run_and_loses_nothing_before_the_checkpoint(rank, alone, tmp_path):
    folder, whole = tmp_path / "killed", tmp_path / "whole"
    assert ranked(whole).returncode == 0
    ran = ranked(folder, f"die={rank}:57")
    assert ran.returncode != 0
    said = "a process of this training ended, and with it the training; go on from step-00000050 with "
    assert said + f"`mpirun -n 2 minilm pretrain gpt --resume {folder} --mpi`" in ran.stderr
    saved = Run(folder).load()
    assert saved.step == 50
    again = ranked(folder)
    assert again.returncode == 0, again.stderr
    ours, theirs = Run(folder).load(), Run(whole).load()
    assert ours.step == theirs.step == 100
    for a, b in ((ours.weights, theirs.weights), (ours.optimizer, theirs.optimizer)):
        assert all(np.array_equal(a[name], b[name]) for name in b)
    close(numbers(read_log(folder / "log.jsonl")), numbers(read_log(whole / "log.jsonl")), 0.0)


@pytest.mark.slow
def test_what_two_ranks_began_one_process_ends(alone, tmp_path):
    assert ranked(tmp_path / "run", "die=1:57").returncode != 0
    training(Run(tmp_path / "run")).resume().train()
    close(numbers(read_log(tmp_path / "run" / "log.jsonl")), numbers(read_log(alone.run.log)), 1e-9)


@pytest.mark.slow
def test_a_rank_that_hangs_is_given_up(tmp_path):
    began = time.monotonic()
    ran = ranked(tmp_path / "run", "hang=1:30", patience=3)
    assert ran.returncode != 0 and time.monotonic() - began < 60
    assert "rank 0 has heard nothing from the others for 3 s" in ran.stderr
    assert "go on from step-00000030" in ran.stderr
    assert Run(tmp_path / "run").load().step == 30


@pytest.mark.slow
@pytest.mark.parametrize("rank", [0, 1])
def test_an_error_of_one_rank_ends_them_all_and_is_told_once(rank, tmp_path):
    ran = ranked(tmp_path / "run", f"fail={rank}:15")
    assert ran.returncode != 0
    assert ran.stderr.count("this rank's disk is gone") == 1
    assert ("minilm: rank 1: this rank's disk" in ran.stderr) == (rank == 1)


MINILM = ["-m", "minilm", "pretrain", "gpt", "--data", "mundito", "--config", "tiny", "--facts"]


@pytest.mark.slow
def test_the_command_trains_with_ranks_and_goes_on(tmp_path):
    ran = mpirun(MINILM, "--out", "two", "--mpi", "--steps", "60", cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.count("run folder: two") == 1 and "2 ranks" in ran.stdout
    one = subprocess.run([sys.executable, *MINILM, "--out", "one", "--steps", "60", "--threads", "1"], cwd=tmp_path,
                         capture_output=True, text=True, check=True)  # fmt: skip
    assert "ranks" not in one.stdout
    ours, theirs = (numbers(read_log(tmp_path / name / "log.jsonl")) for name in ("two", "one"))
    close(ours, theirs, 1e-4)  # float32
    last = [re.search(r"excess (\S+) ±", out).group(1) for out in (ran.stdout, one.stdout)]
    assert abs(float(last[0]) - float(last[1])) < 1e-3


@pytest.mark.slow
def test_the_command_says_what_cannot_be_once(tmp_path):
    ran = mpirun(MINILM, "--out", "few", "--mpi", "--batch", "1", cwd=tmp_path)
    assert ran.returncode != 0
    assert ran.stderr.count("a batch has 1 sequences for 2 ranks: choose a larger --batch") == 1
    ran = mpirun(MINILM, "--resume", "nothing", "--mpi", cwd=tmp_path)
    assert ran.returncode != 0 and "Traceback" not in ran.stderr


@pytest.mark.slow
def test_stopping_them_saves_and_says_how_to_go_on(tmp_path):
    command = [str(MPIRUN), "-n", "2", sys.executable, *MINILM, "--out", "run", "--mpi", "--steps", "100000"]
    environment = os.environ | {"PYTHONPATH": str(HERE.parents[1])}
    started = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                               env=environment)  # fmt: skip
    log = tmp_path / "run" / "log.jsonl"
    while not (log.exists() and log.stat().st_size > 500):
        assert started.poll() is None
        time.sleep(0.1)
    pids = children_of(started.pid, "minilm")
    for pid in pids:
        os.kill(pid, signal.SIGTERM)
    _, errors = started.communicate(timeout=60)
    assert "minilm: stopped at step" in errors and "and saved; go on with" in errors
    state = json.loads((Run(tmp_path / "run").latest() / "state.json").read_text())
    assert state["ranks"] == 2 and state["step"] > 0


def children_of(pid, word):
    """The processes beneath `pid` whose command line has the word."""
    found, open_ = [], [pid]
    while open_:
        parent = open_.pop()
        listed = Path(f"/proc/{parent}/task/{parent}/children")
        for child in map(int, listed.read_text().split() if listed.exists() else []):
            open_.append(child)
            if word in Path(f"/proc/{child}/cmdline").read_text().split("\0"):
                found.append(child)
    return found
