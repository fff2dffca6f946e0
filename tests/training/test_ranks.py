"""Several ranks train what one process trains, whoever plays them: threads here, and below the processes of mpirun."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from ranked import training
from small_training import Batches, SmallModel, new_run
from strict import use_double
from thread_ranks import Aborted, Comm, Meeting, ThreadRanks, mpi, with_threads

import minilm.functional as F
from minilm import backend
from minilm.autograd import fast
from minilm.errors import ConfigError, DataError, TrainingError
from minilm.models import GPT, GPTConfig
from minilm.mundito import Mundito, MunditoBatches, MunditoConfig
from minilm.text import TokenBatches
from minilm.training import Interrupted, KnownSource, NextToken, Run, TrainConfig, Trainer, parallel, read_log
from minilm.training import ranks as ranks_module
from minilm.training import trainer as trainer_module
from minilm.training.checkpoint import checkpoints_in
from minilm.training.interrupt import StopRequest
from minilm.training.parallel import split
from minilm.training.ranks import ALONE, Ranks

HERE = Path(__file__).parent
ENVIRONMENT = os.environ | {"PYTHONPATH": str(HERE.parents[1])}
LOSSES = ("loss", "validation_loss", "gradient_norm", "tokens")


def records(run):
    return [{name: record[name] for name in LOSSES if name in record} for record in read_log(run.log)]


def assert_close(ours, theirs, tolerance):
    assert len(ours) == len(theirs) > 0
    for one, other in zip(ours, theirs, strict=True):
        assert one.keys() == other.keys()
        for name in one:
            assert abs(one[name] - other[name]) <= tolerance, (name, one, other)


def trained(trainer):
    trainer.train()
    return trainer


def names(run):
    return [path.name for path in checkpoints_in(run.checkpoints)]


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """What one process made of it: 100 steps in float64."""
    return trained(training(new_run(tmp_path_factory.mktemp("alone") / "run")))


# ------------------------------------------------------------------------------------------------- the same training


@pytest.mark.parametrize("size", [2, 5])
def test_any_number_of_ranks_trains_what_one_process_trains(size, alone, tmp_path, monkeypatch):
    """Batches of 7, so shares differ in size; 3 batches to validate on, so of five ranks two have none."""
    saved, save = [], trainer_module.save_checkpoint
    monkeypatch.setattr(trainer_module, "save_checkpoint", lambda *how: (saved.append(how[1]), save(*how)))
    run = new_run(tmp_path / "run")
    made = with_threads(size, lambda ranks: trained(training(Run(run.folder), ranks)))
    assert_close(records(run), records(alone.run), 1e-9)
    assert names(run) == names(alone.run) and saved == sorted(set(saved)) and set(range(10, 101, 10)) <= {*saved}
    weights = [one.optimizer.flat.values for one in made]
    assert all(np.array_equal(weights[0], other) for other in weights)
    np.testing.assert_allclose(weights[0], alone.optimizer.flat.values, rtol=0, atol=1e-9)
    assert [one.tokens for one in made] == [alone.tokens] * size


class Sparing(SmallModel):
    """One that has no use for its bias but in sequences that begin with 0, and few do."""

    def loss(self, ids, targets, reduction="sum"):
        h = self.table[ids] @ self.weight
        begins = (ids[:, :1, None] == 0).astype(h.dtype)
        h = F.tanh(h + self.bias * begins if begins.any() else h)
        counted = (targets != -100).astype(h.dtype)
        chosen = F.take_along_axis(h @ self.head, np.maximum(targets, 0)[..., None], -1)[..., 0]
        return F.sum((F.logsumexp(h @ self.head, axis=-1) - chosen) * counted)


def test_a_rank_whose_share_has_no_gradient_of_a_parameter_gets_that_of_the_others():
    wanted = trained(training(kind=Sparing, steps=20))
    assert wanted.model.bias.numpy().std() > 0.2
    for made in with_threads(3, lambda ranks: trained(training(kind=Sparing, ranks=ranks, steps=20))):
        np.testing.assert_allclose(made.model.bias.numpy(), wanted.model.bias.numpy(), rtol=0, atol=1e-9)


def test_two_ranks_of_one_thread_are_one_process_of_two_to_the_bit():
    """Dropout too: what shard i of a step draws does not depend on whose it is."""
    how = {"dropout": 0.3, "accumulation": 1, "steps": 20}
    wanted = trained(training(**how, threads=2))
    for made in with_threads(2, lambda ranks: trained(training(ranks=ranks, **how))):
        assert np.array_equal(made.optimizer.flat.values, wanted.optimizer.flat.values)
        assert made.record["loss"] == wanted.record["loss"]


def test_no_two_shards_draw_the_same_dropout_though_ranks_differ_in_threads(monkeypatch):
    drawn, generator = [], parallel.generator
    monkeypatch.setattr(parallel, "generator", lambda *key: (drawn.append(key), generator(*key))[1])
    threads = [1, 2, 1]
    how = {"batch_size": 12, "steps": 3, "dropout": 0.3}
    with_threads(3, lambda ranks: trained(training(ranks=ranks, threads=threads[ranks.rank], **how)))
    assert len(drawn) == len({*drawn}) == 3 * 2 * 4  # steps, parts, shards


def test_the_counts_are_those_of_the_whole_batch():
    """Each rank holds targets that the others have not: the mean is over all."""
    counts = {"tokens": int(np.count_nonzero(Batches(7).at(4)["targets"] != -100))}
    for part, found, size in with_threads(3, lambda ranks: ranks.share(Batches(7), 4, NextToken())):
        assert found == counts and size == 7 and len(part["ids"]) in (2, 3)


def test_a_source_makes_only_the_rows_of_its_rank():
    batches, made = MunditoBatches(Mundito(MunditoConfig(facts_only=True)), 8, 7, seed=3), []
    row = batches.row
    batches.row = lambda number: (made.append(number), row(number))[1]
    parts = [batches.share(2, rank, 3) for rank in range(3)]
    assert made == list(range(14, 21))
    whole = batches.at(2)
    for ours, theirs in zip(parts, split(whole, 3), strict=True):
        assert ours.keys() == theirs.keys() and all(np.array_equal(ours[name], theirs[name]) for name in theirs)
    made.clear()
    for i, (part, counts, size) in enumerate(with_threads(3, lambda ranks: ranks.share(batches, 2, KnownSource()))):
        assert counts == KnownSource().counts(whole) and size == 7
        assert np.array_equal(part["ids"], parts[i]["ids"])
    assert sorted(made) == list(range(14, 21))


TEXT = np.frombuffer(b"the cat sat on the mat and the dog sat on the log. " * 8, np.uint8).astype(np.int64)


def gpt_training(ranks=ALONE):
    model = GPT(GPTConfig(vocab_size=128, context=8, width=8, layers=1, heads=2, dropout=0), seed=1).astype(np.float64)
    config = TrainConfig(steps=4, batch_size=3, threads=1, rate=5e-3, clip=0.05)
    return Trainer(model, NextToken(), TokenBatches(TEXT, 8, 3, seed=4), config, show=False, ranks=ranks)


def test_ranks_on_a_strict_device_train_what_one_process_trains_on_numpy():
    """Their gradients go through the host, and come back."""
    with fast(False):
        wanted = trained(gpt_training())
    with use_double() as xp:
        for made in with_threads(2, lambda ranks: trained(gpt_training(ranks))):
            assert isinstance(made.optimizer.flat.values, xp.ndarray)
            found = backend.to_numpy(made.optimizer.flat.values)
            np.testing.assert_allclose(found, wanted.optimizer.flat.values, rtol=0, atol=1e-12)


# ------------------------------------------------------------------------------------------- stopping and going on


class Until(Batches):
    """Batches that end, as a process may."""

    def __init__(self, last):
        super().__init__(7)
        self.last = last

    def at(self, step):
        if step > self.last:  # the one after the last is asked for by the checkpoint
            raise DataError("no more")
        return super().at(step)


def go_on_until(run, last, ranks=ALONE, **how):
    made = training(Run(run.folder), ranks, Until(last), **how).resume()
    with pytest.raises(DataError, match="no more"):
        made.train()


def test_other_numbers_of_ranks_go_on_with_a_training_and_say_so(alone, tmp_path, capsys):
    run = new_run(tmp_path / "run")
    go_on_until(run, 40)
    with_threads(3, lambda ranks: go_on_until(run, 70, ranks))

    def to_the_end(ranks):
        made = training(Run(run.folder), ranks)
        made.show = ranks.rank == 0
        trained(made.resume())

    with_threads(2, to_the_end)
    assert "the checkpoint was made with 3 ranks, this is 2" in capsys.readouterr().out
    assert_close(records(run), records(alone.run), 1e-9)
    assert names(run) == names(alone.run)


def test_ranks_that_go_on_all_know_the_best_so_far(tmp_path, monkeypatch):
    """Else they would not agree on whether to save."""
    run, how = new_run(tmp_path / "run"), {"checkpoint_every": 30, "evaluate_every": 20, "steps": 70}
    go_on_until(run, 30, **how)
    monkeypatch.setattr(trainer_module, "metric_of", lambda path, metric: 0.0)  # which no loss is below
    with_threads(2, lambda ranks: trained(training(Run(run.folder), ranks, **how).resume()))
    assert names(run)[-2:] == ["step-00000060", "step-00000070"]


def test_the_same_number_of_ranks_goes_on_to_the_same_bits(tmp_path, capsys):
    whole, parted, how = new_run(tmp_path / "whole"), new_run(tmp_path / "parted"), {"steps": 40, "dropout": 0.2}
    wanted, _ = with_threads(2, lambda ranks: trained(training(Run(whole.folder), ranks, **how)))
    with_threads(2, lambda ranks: go_on_until(parted, 24, ranks, **how))
    found, _ = with_threads(2, lambda ranks: trained(training(Run(parted.folder), ranks, **how).resume()))
    assert np.array_equal(found.optimizer.flat.values, wanted.optimizer.flat.values)
    assert records(parted) == records(whole) and names(parted) == names(whole)
    assert "was made with" not in capsys.readouterr().out


@pytest.mark.parametrize("asked", [0, 1])
def test_ranks_stop_after_the_same_step_whichever_is_asked_to(asked, alone, tmp_path, monkeypatch):
    run, requests = new_run(tmp_path / "run"), {}

    class Request(StopRequest):
        def __enter__(self):
            requests[threading.get_ident()] = self
            return super().__enter__()

    class Asking(Batches):
        def at(self, step):
            if step == 16:
                requests[threading.get_ident()].asked = True
            return super().at(step)

    monkeypatch.setattr(trainer_module, "StopRequest", Request)

    def until_stopped(ranks):
        with pytest.raises(Interrupted) as stopped:
            training(Run(run.folder), ranks, (Asking if ranks.rank == asked else Batches)(7)).train()
        return str(stopped.value)

    command = f"`mpirun -n 2 minilm pretrain gpt --resume {run.folder} --mpi`"
    assert with_threads(2, until_stopped) == [f"stopped at step 17 and saved; go on with {command}"] * 2
    assert run.load().state["ranks"] == 2 and run.load().step == 17
    assert names(run) == ["step-00000010", "step-00000017"]
    if asked == 1:
        with_threads(2, lambda ranks: trained(training(Run(run.folder), ranks).resume()))
        assert_close(records(run), records(alone.run), 1e-9)


# ------------------------------------------------------------------------------------------------- what cannot be


def test_more_ranks_than_sequences_is_an_error():
    for batches in (Batches(2), MunditoBatches(Mundito(MunditoConfig(facts_only=True)), 8, 2)):
        with pytest.raises(ConfigError, match="a batch has 2 sequences for 3 ranks: choose a larger --batch"):
            with_threads(3, lambda ranks, batches=batches: ranks.share(batches, 0, KnownSource()))


class Drifting(Batches):
    """Batches with which one rank's weights drift off at a step."""

    def at(self, step):
        if step == 13 and self.rank == 1:
            self.flat.values.flags.writeable = True
            self.flat.values[3] *= 1 + 1e-15
        return super().at(step)


def test_weights_that_drift_apart_are_seen_before_they_are_saved(tmp_path):
    run = new_run(tmp_path / "run")

    def drift(ranks):
        batches = Drifting(7)
        made = training(Run(run.folder), ranks, batches)
        batches.rank, batches.flat = ranks.rank, made.optimizer.flat
        made.train()

    with pytest.raises(TrainingError, match="the weights of rank 1 are not those of rank 0"):
        with_threads(3, drift)
    assert names(run) == ["step-00000010"]


def test_weights_that_differ_at_the_start_are_seen_before_a_step():
    with pytest.raises(TrainingError, match="the weights of rank 1, 2 are not those of rank 0"):
        with_threads(3, lambda ranks: training(ranks=ranks, seed=int(ranks.rank > 0)).train())


def test_alone_nothing_is_asked_of_anybody():
    """No hash of the weights above all, which takes its time."""
    ALONE.check_alike(object())
    assert ALONE.add({"a": 1}) == {"a": 1} and ALONE.before(3) == 0 and not ALONE.any(False) and ALONE.any(True)


def started(monkeypatch, comm, **environment):
    """`Ranks()` where mpi4py has this communicator."""
    monkeypatch.setitem(sys.modules, "mpi4py", SimpleNamespace(MPI=mpi(comm)))
    for name in ranks_module.STARTED:
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return Ranks()


class Crowd(Comm):
    """Rank 1 of four on a machine, two on its first processors and two on the others."""

    def __init__(self):
        super().__init__(Meeting(4), 1)

    def allgather(self, value):
        return [{0, 1}, value, {2, 3}, {2, 3}]


def test_a_rank_shares_its_cores_with_those_that_may_use_them(monkeypatch):
    monkeypatch.setattr(ranks_module, "allowed_cpus", lambda: {0, 1})
    found = started(monkeypatch, Crowd(), PMI_SIZE="4")
    assert (found.rank, found.size, found.here, found.gpu, found.sharing) == (1, 4, 4, 1, 2)
    assert found.patience == ranks_module.PATIENCE
    monkeypatch.setattr(trainer_module, "available_cores", lambda: 6)
    assert training(ranks=found, threads=0).threads == 3
    assert training(threads=0).threads == 6
    monkeypatch.setattr(trainer_module, "available_cores", lambda: 1)
    assert training(ranks=found, threads=0).threads == 1


@pytest.mark.parametrize("name", ranks_module.STARTED)
def test_an_mpirun_of_another_mpi_is_found_out(monkeypatch, name):
    """Each of its processes is rank 0 of 1: without a word, each would train the whole model."""
    with pytest.raises(ConfigError, match=r"4 processes were started, .* alone: .* \(Threads 1.0\); start them"):
        started(monkeypatch, Comm(Meeting(1), 0), **{name: "4"})
    assert started(monkeypatch, Comm(Meeting(1), 0), **{name: "1"}).size == 1


def test_without_mpi4py_or_an_mpi_it_is_said_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "mpi4py", None)
    with pytest.raises(ConfigError, match=r"--mpi needs mpi4py and an MPI .*: pip install 'minilm\[mpi\]', and"):
        Ranks()


# ------------------------------------------------------------------------------------------------ when one is lost


def end_of(rank, error, **how):
    """What a rank of two says, and what it raises, when that error comes to it."""
    with ThreadRanks(Meeting(2), rank).together(**how):
        raise error


@pytest.mark.parametrize("rank", [0, 1])
def test_an_error_of_a_rank_ends_all_in_one_sentence(rank, monkeypatch, capsys):
    monkeypatch.setattr(ranks_module, "HEAD_START", 0.0)
    who = ["minilm: ", "minilm: rank 1: "][rank]
    with pytest.raises(Aborted):
        end_of(rank, DataError("no data"))
    assert capsys.readouterr().err == f"{who}no data\n"
    with pytest.raises(Aborted):
        end_of(rank, OSError("disk"), explain=lambda error: f"explained {error}")
    assert capsys.readouterr().err == f"{who}explained disk\n"
    with pytest.raises(Aborted):
        end_of(rank, ZeroDivisionError("by zero"))
    assert capsys.readouterr().err.startswith(f"{who}Traceback")
    monkeypatch.setenv("MINILM_DEBUG", "1")
    with pytest.raises(Aborted):
        end_of(rank, DataError("no data"))
    assert capsys.readouterr().err.startswith(f"{who}Traceback")


def test_a_stop_that_all_agreed_on_is_told_by_rank_0_and_aborts_nothing(capsys):
    with pytest.raises(Interrupted, match="and saved"):
        end_of(0, Interrupted("and saved"))
    with pytest.raises(SystemExit) as left:
        end_of(1, Interrupted("and saved"))
    assert left.value.code == 130 and capsys.readouterr().err == ""


def test_a_rank_that_hears_nothing_ends_all(monkeypatch, capsys):
    alone_there = ThreadRanks(Meeting(2), 1, patience=0.05)
    aborted = threading.Event()
    monkeypatch.setattr(
        alone_there._all, "Abort", lambda status: (aborted.set(), alone_there._all.meeting.barrier.abort())
    )
    monkeypatch.setattr(ranks_module.os, "_exit", lambda status: None)
    with pytest.raises(threading.BrokenBarrierError), alone_there.watched(None):
        alone_there.any(False)
    assert aborted.is_set() and "minilm: rank 1: no word from the other ranks for 0 s" in capsys.readouterr().err


def test_a_rank_that_computes_for_long_is_not_taken_for_lost():
    """Patience is for waiting alone."""

    def work(ranks):
        ranks.patience = 0.2
        with ranks.watched(None):
            ranks.any(True)
            time.sleep(0.5)
            return ranks.any(False)

    assert with_threads(2, work) == [False, False]


LEAVING = """
import os, sys
sys.path.insert(0, sys.argv[3])
from last_words import unless_left  # without minilm, which takes its time to import
with unless_left("go on from CHECKPOINT", sys.argv[1], "its beginning"):
    if sys.argv[2] == "killed":
        os.kill(os.getpid(), 9)
    if sys.argv[2] == "failed":
        sys.exit(3)
"""


def test_the_last_words_are_said_of_a_process_that_was_killed_and_of_no_other(tmp_path):
    for name in ("step-00000010", "step-00000120", "aside-step-00000130", ".step-00000140.partial"):
        (tmp_path / name).mkdir()
    (tmp_path / "none" / "aside-step-00000130").mkdir(parents=True)
    for folder, end, said in ((tmp_path, "killed", "minilm: go on from step-00000120\n"),
                              (tmp_path / "none", "killed", "minilm: go on from its beginning\n"),
                              (tmp_path, "failed", ""), (tmp_path, "left", "")):  # fmt: skip
        command = [sys.executable, "-c", LEAVING, str(folder), end, str(Path(ranks_module.__file__).parent)]
        ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        assert (ran.stderr, ran.returncode) == (said, {"killed": -9, "failed": 3, "left": 0}[end])


# ------------------------------------------------------------------------------------------------------- with an MPI

MPIRUN = Path(sys.executable).with_name("mpirun")  # of the package mpich, which the test extra brings


def mpirun(*program, ranks=2, patience=60.0, **how):
    environment = ENVIRONMENT | {"MINILM_MPI_PATIENCE": str(patience)}
    command = [str(MPIRUN), "-n", str(ranks), sys.executable, *map(str, program)]
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False, timeout=120, **how)


def ranked(folder, *options, **how):
    return mpirun(HERE / "ranked.py", folder, *options, **how)


def test_two_processes_train_what_one_trains(alone, tmp_path):
    ran = ranked(tmp_path / "two")
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")
    run = Run(tmp_path / "two")
    assert len(records(run)) == 100 and run.load().state["ranks"] == 2
    assert_close(records(run), records(alone.run), 1e-9)
    assert names(run) == names(alone.run)


def said_at_the_end(folder, checkpoint):
    return (f"minilm: a process of this training ended, and with it the training; go on from {checkpoint} with "
            f"`mpirun -n 2 minilm pretrain gpt --resume {folder} --mpi`\n")  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("rank", [0, 1])
def test_a_rank_that_is_killed_ends_all_and_nothing_before_the_checkpoint_is_lost(rank, alone, tmp_path):
    folder, whole = tmp_path / "killed", tmp_path / "whole"
    assert ranked(whole).returncode == 0
    ran = ranked(folder, f"die={rank}:57")
    assert ran.returncode != 0 and ran.stderr.count(said_at_the_end(folder, "step-00000050")) == 1, ran.stderr
    assert Run(folder).load().step == 50
    again = ranked(folder)
    assert again.returncode == 0, again.stderr
    ours, theirs = Run(folder).load(), Run(whole).load()
    assert ours.step == theirs.step == 100
    for a, b in ((ours.weights, theirs.weights), (ours.optimizer, theirs.optimizer)):
        assert a.keys() == b.keys() and all(np.array_equal(a[name], b[name]) for name in b)
    assert records(Run(folder)) == records(Run(whole))


@pytest.mark.slow
def test_what_two_processes_began_one_ends_and_the_other_way_round(alone, tmp_path):
    run = new_run(tmp_path / "run")
    assert ranked(run.folder, "die=1:57").returncode != 0
    trained(training(run).resume())
    assert_close(records(run), records(alone.run), 1e-9)
    run = new_run(tmp_path / "other")
    go_on_until(run, 57)
    assert ranked(run.folder).returncode == 0
    assert_close(records(run), records(alone.run), 1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("rank", [0, 1])
def test_a_rank_that_hangs_is_given_up(rank, tmp_path):
    began = time.monotonic()
    ran = ranked(tmp_path / "run", f"hang={rank}:35", patience=3)
    assert ran.returncode != 0 and time.monotonic() - began < 60
    who = ["rank 1: ", ""][rank]
    assert f"minilm: {who}no word from the other ranks for 3 s" in ran.stderr
    assert said_at_the_end(tmp_path / "run", "step-00000030") in ran.stderr
    assert Run(tmp_path / "run").load().step == 30


@pytest.mark.slow
@pytest.mark.parametrize("rank", [0, 1])
def test_an_error_of_one_process_ends_both_and_is_told_once(rank, tmp_path):
    ran = ranked(tmp_path / "run", f"fail={rank}:15")
    assert ran.returncode != 0 and ran.stderr.count("this rank's disk is gone") == 1
    assert ("minilm: rank 1: this rank's disk" in ran.stderr) == (rank == 1)
    assert (said_at_the_end(tmp_path / "run", "step-00000010") in ran.stderr) == (rank == 1)


MINILM = ["-m", "minilm", "pretrain", "gpt", "--data", "mundito", "--config", "tiny", "--facts"]


@pytest.mark.slow
def test_the_command_trains_with_ranks(tmp_path):
    ran = mpirun(*MINILM, "--out", "two", "--mpi", "--steps", "60", "--threads", "1", cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.count("run folder: two") == 1 and "ranks: 2, of which 2 on this machine" in ran.stdout
    command = [sys.executable, *MINILM, "--out", "one", "--steps", "60", "--threads", "1"]
    one = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True, env=ENVIRONMENT)
    assert "ranks" not in one.stdout
    assert_close(records(Run(tmp_path / "two")), records(Run(tmp_path / "one")), 1e-4)  # float32
    last = [re.search(r"excess (\S+) ±", out).group(1) for out in (ran.stdout, one.stdout)]
    assert abs(float(last[0]) - float(last[1])) < 1e-3


@pytest.mark.slow
def test_the_command_trains_with_ranks_on_a_text(tmp_path):
    """Each rank reads the text, and the tokenizer that rank 0 learned."""
    rng = np.random.default_rng(0)
    sentences = [
        " ".join(rng.choice("the cat dog sat ran on a mat log".split(), rng.integers(3, 9))) for _ in range(900)
    ]
    text = "\n\n".join(". ".join(sentences[i : i + 3]) + "." for i in range(0, 900, 3))
    (tmp_path / "text.txt").write_text(text, encoding="utf-8")
    for kind, more in (("gpt", []), ("bert", ["--vocabulary", "40"])):
        command = ["-m", "minilm", "pretrain", kind, "--data", "text.txt", "--config", "tiny", "--steps", "12", *more]
        ran = mpirun(*command, "--out", kind, "--mpi", cwd=tmp_path)
        assert ran.returncode == 0, ran.stderr
        assert Run(tmp_path / kind).load().state["ranks"] == 2


@pytest.mark.slow
def test_the_command_says_what_cannot_be_once(tmp_path):
    ran = mpirun(*MINILM, "--out", "few", "--mpi", "--batch", "1", cwd=tmp_path)
    assert ran.returncode != 0 and ran.stderr.count("minilm: a batch has 1 sequences for 2 ranks") == 1
    ran = mpirun(*MINILM[:4], "--resume", "nothing", "--mpi", cwd=tmp_path)
    assert ran.returncode != 0 and ran.stderr.count("minilm: nothing is no run") == 1
    assert "Traceback" not in ran.stderr


@pytest.mark.slow
@pytest.mark.parametrize("whom", ["mpirun", "its group", "a rank"])
def test_stopping_them_saves_and_says_how_to_go_on(whom, tmp_path):
    """Ctrl-C goes to the group of what runs in the terminal; a batch system may tell mpirun or any process."""
    command = [str(MPIRUN), "-n", "2", sys.executable, *MINILM, "--out", "run", "--mpi", "--steps", "100000"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          env=ENVIRONMENT, start_new_session=True) as started:  # fmt: skip
        log = tmp_path / "run" / "log.jsonl"
        while not (log.exists() and log.stat().st_size > 500):
            assert started.poll() is None
            time.sleep(0.1)
        if whom == "its group":
            os.killpg(started.pid, signal.SIGINT)
        else:
            os.kill(started.pid if whom == "mpirun" else trainings(started.pid)[-1], signal.SIGINT)
        _, errors = started.communicate(timeout=60)
    assert errors.count("minilm: stopped at step") == 1, errors
    assert "and saved; go on with `mpirun -n 2 minilm pretrain gpt --resume run --mpi`" in errors
    state = json.loads((Run(tmp_path / "run").latest() / "state.json").read_text())
    assert state["ranks"] == 2 and state["step"] > 0
    assert "ended, and with it the training" not in errors


def trainings(pid):
    """The trainings among the processes beneath that one, by their command line."""
    found, beneath = [], [pid]
    while beneath:
        children = Path(f"/proc/{(parent := beneath.pop())}/task/{parent}/children")
        for child in map(int, children.read_text().split()):
            beneath.append(child)
            if "pretrain" in Path(f"/proc/{child}/cmdline").read_text().split("\0")[:4]:
                found.append(child)
    return found
