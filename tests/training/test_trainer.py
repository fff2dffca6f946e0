import contextlib
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from failing_disk import Disk, Killed, install
from small_training import KILLED, Batches, SmallModel, bits, config, new_run, trainer

from minilm.errors import CheckpointError, ConfigError, DataError, MinilmError, TrainingError
from minilm.training import Interrupted, NextToken, Run, TrainConfig, read_log
from minilm.training import trainer as trainer_module
from minilm.training.checkpoint import checkpoints_in, load_checkpoint
from minilm.training.log import TIMES, Log

PROGRAM = Path(__file__).with_name("small_training.py")


def log_of(run):
    """The log without what differs between two runs of the same training."""
    return [{key: value for key, value in record.items() if key not in TIMES} for record in read_log(run.log)]


def steps_kept(run):
    return [int(path.name[5:]) for path in checkpoints_in(run.checkpoints)]


# -------------------------------------------------------------------------------------------------------- learning


def test_it_learns_and_logs_what_it_says(tmp_path):
    run = new_run(tmp_path / "r")
    training = trainer(run, steps=160, dropout=0.0, evaluate_every=40, log_every=5, rate=0.1)
    result = training.train()
    assert all(p.grad is None for p in training.model.parameters())
    records = read_log(run.log)
    assert [r["step"] for r in records] == list(range(5, 161, 5))
    assert [r["step"] for r in records if "validation_loss" in r] == [40, 80, 120, 160]
    assert records[0]["loss"] > 1.9
    assert records[-1]["loss"] < 1.0  # ln 2 is the noise that nobody can predict
    assert abs(records[-1]["validation_loss"] - math.log(2)) < 0.2
    assert [r["tokens"] for r in records] == [36 * r["step"] for r in records]
    assert all(r["rate"] == training.config.rate_at(r["step"]) for r in records)
    assert all(r["tokens_per_second"] > 0 and r["gradient_norm"] > 0 for r in records)
    assert result.step == 160
    assert result.record == records[-1]


def test_a_step_is_the_optimizer_on_the_clipped_mean():
    """The first two steps against the same done by hand in the order of the formula."""
    training = trainer(steps=2, dropout=0.0, clip=0.05, validation=False, accumulation=2, threads=2)
    twin = SmallModel()
    optimizer = training.config.make_optimizer(twin.named_parameters())
    training.train()
    for step in range(2):
        batch = Batches(6).at(step)
        optimizer.zero_grad()
        NextToken()(twin, batch, NextToken().counts(batch))[0].backward()
        norm = math.sqrt(sum(float((p.grad.data**2).sum()) for p in optimizer.parameters))
        assert norm > 0.05
        for p in optimizer.parameters:
            p.grad.data[...] *= 0.05 / norm
        optimizer.step(training.config.rate_at(step + 1))
    for name, array in twin.state_dict().items():
        assert np.abs(array - training.model.state_dict()[name]).max() <= 1e-6


def test_threads_and_parts_change_the_result_by_rounding_only():
    wanted = trainer(dropout=0.0).train().record
    for changes in ({"threads": 2}, {"threads": 4}, {"accumulation": 3}, {"threads": 2, "accumulation": 2}):
        found = trainer(dropout=0.0, **changes).train().record
        assert abs(found["loss"] - wanted["loss"]) <= 1e-5 * wanted["loss"]
        assert abs(found["validation_loss"] - wanted["validation_loss"]) <= 1e-5


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_same_seed_same_bits(optimizer):
    first, second, other = (trainer(threads=2, seed=s, optimizer=optimizer) for s in (1, 1, 2))
    for training in (first, second, other):
        training.train()
    assert bits(first.model) == bits(second.model)
    assert bits(first.model) != bits(other.model)  # dropout draws differ


def test_evaluation_on_request_is_that_of_the_log():
    training = trainer(threads=2)
    last = training.train().record["validation_loss"]
    assert training.evaluate(iter(training.validation)) == {"loss": last}
    with pytest.raises(DataError, match="no batch to evaluate on"):
        training.evaluate([])


def test_the_callback_sees_each_record_in_evaluation_mode(capsys):
    seen = []

    def callback(training, record):
        seen.append((record["step"], training.model.training))
        return f"sample at {record['step']}"

    training = trainer(log_every=5, evaluate_every=4)
    training.callback, training.show = callback, True
    training.train()
    assert seen == [(4, False), (5, False), (8, False), (10, False), (12, False)]
    assert training.model.training
    lines = capsys.readouterr().out.splitlines()
    assert "sample at 8" in lines
    assert any(line.startswith("step 12/12  loss ") and "tokens/s" in line and "validation" in line for line in lines)


# -------------------------------------------------------------------------------------------------------- resuming


def test_resuming_from_any_checkpoint_gives_the_same_bits_and_log(tmp_path):
    whole = new_run(tmp_path / "whole")
    reference = trainer(whole, checkpoint_every=1, evaluate_every=3, keep=20, threads=2)
    reference.train()
    for step in range(1, 13):
        training = trainer(whole, checkpoint_every=1, evaluate_every=3, keep=20, threads=2)
        training.resume(f"step-{step:08d}")
        assert training.step == step
        training.train()
        assert bits(training.model) == bits(reference.model)
        assert log_of(whole)[-1]["step"] == 12
    assert steps_kept(whole) == list(range(1, 13))
    other = new_run(tmp_path / "other")
    trainer(other, checkpoint_every=1, evaluate_every=3, keep=20, threads=2).train()
    assert log_of(other) == log_of(whole)


def test_a_finished_training_has_nothing_to_do(tmp_path):
    run = new_run(tmp_path / "r")
    trainer(run).train()
    before = {path: path.read_bytes() for path in run.folder.rglob("*") if path.is_file()}
    result = trainer(run).resume().train()
    assert result.step == 12
    assert result.record["step"] == 12
    assert {path: path.read_bytes() for path in run.folder.rglob("*") if path.is_file()} == before


def test_a_run_with_checkpoints_is_not_started_over(tmp_path):
    run = new_run(tmp_path / "r")
    trainer(run).train()
    with pytest.raises(ConfigError, match="go on with `minilm pretrain gpt --resume"):
        trainer(run).train()


def test_the_best_checkpoint_stays(tmp_path):
    run = new_run(tmp_path / "r")
    trainer(run, steps=60, rate=4.0, warmup=60, evaluate_every=2, checkpoint_every=1, keep_best=True, clip=None).train()
    scores = {r["step"]: r["validation_loss"] for r in read_log(run.log) if "validation_loss" in r}
    best = min(scores, key=scores.get)
    assert best < 59
    assert steps_kept(run) == [best, 59, 60]


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"rate": 0.03}, "rate=0.02, this training has rate=0.03"),
        ({"seed": 4}, "seed"),
        ({"betas": (0.9, 0.99)}, "betas"),
        ({"batches": Batches(seed=1)}, "other data"),
        ({"batches": Batches(fingerprint="tripling")}, "other data"),
    ],
)
def test_another_training_is_not_resumed(tmp_path, changes, named):
    run = new_run(tmp_path / "r")
    trainer(run).train()
    other = trainer(run, **changes)
    before = bits(other.model)
    with pytest.raises(CheckpointError, match=named):
        other.resume()
    assert bits(other.model) == before
    assert other.step == 0


def test_after_resuming_only_a_better_loss_is_the_best(tmp_path):
    run = new_run(tmp_path / "r")
    settings = {"steps": 60, "rate": 4.0, "warmup": 60, "evaluate_every": 2, "keep_best": True, "clip": None}
    stopped = trainer(run, **settings)
    stopped.callback = lambda t, record: os.kill(os.getpid(), signal.SIGINT) if record["step"] == 51 else None
    with pytest.raises(Interrupted):
        stopped.train()
    trainer(run, **settings).resume().train()
    scores = {r["step"]: r["validation_loss"] for r in read_log(run.log) if "validation_loss" in r}
    best = min(scores, key=scores.get)
    assert best < 50
    assert steps_kept(run) == [best, 51, 60]


def test_leftovers_of_a_killed_training_are_removed(tmp_path):
    run = new_run(tmp_path / "r")
    for name in (".step-00000003.partial", ".step-00000001.removed"):
        (run.checkpoints / name).mkdir()
        (run.checkpoints / name / "model.safetensors").write_bytes(b"half")
    trainer(run).train()
    assert [path.name for path in run.checkpoints.iterdir()] == ["step-00000012"]


def test_a_run_is_trained_by_one_process_at_a_time(tmp_path):
    run = new_run(tmp_path / "r")
    with run.lock(), pytest.raises(ConfigError, match="another training"):
        trainer(run).train()
    assert trainer(run).train().step == 12


def test_the_log_is_on_the_disk_before_the_checkpoint_that_follows_it(tmp_path, monkeypatch):
    events = []
    sync, save = Log.sync, trainer_module.save_checkpoint
    monkeypatch.setattr(Log, "sync", lambda log: (events.append(len(read_log(log.path))), sync(log)))
    monkeypatch.setattr(trainer_module, "save_checkpoint", lambda *a: (events.append("saved"), save(*a)))
    trainer(new_run(tmp_path / "r"), checkpoint_every=6).train()
    assert events == [6, "saved", 12, "saved"]


@pytest.mark.parametrize("changes", [{"width": 9}, {"dtype": np.float64}])
def test_another_model_is_not_resumed(tmp_path, changes):
    run = new_run(tmp_path / "r")
    trainer(run).train()
    other = trainer(run)
    other.model = SmallModel(**changes)
    other.optimizer = other.config.make_optimizer(other.model.named_parameters())
    before = bits(other.model)
    with pytest.raises(CheckpointError, match="not of this model"):
        other.resume()
    assert bits(other.model) == before


def test_other_threads_resume_with_a_word(tmp_path, capsys):
    run = new_run(tmp_path / "r")
    trainer(run, checkpoint_every=6, keep=5).train()
    training = trainer(run, checkpoint_every=6, keep=5, threads=2)
    training.show = True
    training.resume("step-00000006").train()
    said = capsys.readouterr().out
    assert "going on from step-00000006" in said
    assert "made with 1 threads, this is 2" in said


def test_a_damaged_checkpoint_is_refused_and_the_one_before_taken_when_asked(tmp_path):
    run = new_run(tmp_path / "r")
    reference = trainer(run, checkpoint_every=4)
    reference.train()
    assert steps_kept(run) == [8, 12]
    weights = run.latest() / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-4])
    training = trainer(run, checkpoint_every=4)
    with pytest.raises(CheckpointError, match=r"model\.safetensors has .* the one before it, step-00000008, is whole"):
        training.resume()
    assert training.step == 0
    training.resume("step-00000008").train()
    assert bits(training.model) == bits(reference.model)
    assert (run.checkpoints / "aside-step-00000012").exists()
    assert steps_kept(run) == [8, 12]
    assert load_checkpoint(run.latest()).step == 12


# ---------------------------------------------------------------------------------------------------- going wrong


class Poisoned(NextToken):
    """The loss is not a number from a given batch on; or only its gradient."""

    def __init__(self, what, calls):
        self.what, self.calls = what, calls

    def __call__(self, model, shard, counts):
        loss, metrics = super().__call__(model, shard, counts)
        self.calls -= model.training
        if self.calls >= 0:
            return loss, metrics
        head = dict(model.named_parameters())["head"]
        poison = (head * 0.0).sum()
        return loss + (poison * math.nan if self.what == "loss" else poison**0.5), metrics


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize(
    ("what", "named"), [("loss", "the loss is nan"), ("gradient", "the norm of the gradient is nan")]
)
def test_nan_stops_at_its_step_and_keeps_the_last_good_checkpoint(tmp_path, what, named):
    run = new_run(tmp_path / "r")
    training = trainer(run, checkpoint_every=2, objective=Poisoned(what, 7))
    with pytest.raises(TrainingError, match=rf"{named} at step 8, .*step-00000006") as caught:
        training.train()
    assert "lower the rate" in str(caught.value)
    assert [r["step"] for r in read_log(run.log)] == list(range(1, 8))
    assert steps_kept(run) == [4, 6]
    assert all(np.isfinite(a).all() for a in training.model.state_dict().values())
    healthy = trainer(run, checkpoint_every=2)
    healthy.resume().train()
    reference = trainer()
    reference.train()
    assert bits(healthy.model) == bits(reference.model)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_nan_without_a_run_says_the_step():
    with pytest.raises(TrainingError, match="the loss is nan at step 3: lower the rate"):
        trainer(objective=Poisoned("loss", 2)).train()


def test_weights_that_are_no_numbers_are_not_saved(tmp_path):
    run = new_run(tmp_path / "r")
    training = trainer(run, checkpoint_every=1, log_every=1, validation=False)

    def spoil(training, record):
        if record["step"] == 3:
            training.model.bias.assign(np.full(8, np.inf, np.float32))

    training.callback = spoil
    with pytest.raises(TrainingError, match="weights is inf at step 3"):
        training.train()
    assert steps_kept(run) == [1, 2]


SHORT = {"steps": 2, "checkpoint_every": 1, "keep": 1, "batch_size": 2, "validation": False}


def disk_calls(folder, monkeypatch):
    """How often a short training touches the disk, and where it ends."""
    run = new_run(folder)
    disk = Disk()
    with monkeypatch.context() as patch:
        install(patch, disk)
        training = trainer(run, **SHORT)
        training.train()
    return disk.count, bits(training.model), log_of(run)


@pytest.mark.parametrize("how", ["full", "full once", "kill"])
def test_a_disk_that_fails_at_any_call_loses_nothing(tmp_path, monkeypatch, how):
    count, wanted, wanted_log = disk_calls(tmp_path / "counted", monkeypatch)
    assert count > 40
    for at in range(1, count + 1):
        run = new_run(tmp_path / f"{at}")
        with monkeypatch.context() as patch:
            install(patch, Disk(at, forever=how == "full", kill=how == "kill"))
            with pytest.raises(Killed if how == "kill" else MinilmError) as caught:
                trainer(run, **SHORT).train()
        if how != "kill":
            assert "\n" not in str(caught.value)
            assert not [p for p in run.checkpoints.iterdir() if p.name.endswith(".partial")]
        for path in checkpoints_in(run.checkpoints):
            load_checkpoint(path)
        training = trainer(run, **SHORT)
        training.resume().train()
        assert bits(training.model) == wanted
        assert log_of(run) == wanted_log
        assert [p.name for p in run.checkpoints.iterdir()] == ["step-00000002"]


# ------------------------------------------------------------------------------------------------- being stopped


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_finishes_the_step_saves_and_goes_on_exactly(tmp_path, number):
    reference = trainer(threads=2)
    reference.train()
    whole = new_run(tmp_path / "whole")
    trainer(whole, threads=2).train()
    run = new_run(tmp_path / "r")
    training = trainer(run, threads=2)
    training.callback = lambda t, record: os.kill(os.getpid(), number) if record["step"] == 5 else None
    before = signal.getsignal(number)
    with pytest.raises(Interrupted, match="stopped at step 5 and saved") as caught:
        training.train()
    assert f"go on with `minilm pretrain gpt --resume {run.folder}`" in str(caught.value)
    assert caught.value.exit_status == 130
    assert signal.getsignal(number) == before
    assert steps_kept(run) == [5]
    rest = trainer(run, threads=2)
    rest.resume().train()
    assert bits(rest.model) == bits(reference.model)
    assert log_of(run) == log_of(whole)


def test_a_second_ctrl_c_stops_at_once(tmp_path):
    run = new_run(tmp_path / "r")

    class Impatient(Batches):
        def at(self, step):
            if step == 5:
                os.kill(os.getpid(), signal.SIGINT)
                os.kill(os.getpid(), signal.SIGINT)
                raise AssertionError("still running")
            return super().at(step)

    with pytest.raises(KeyboardInterrupt):
        trainer(run, batches=Impatient(), checkpoint_every=2).train()
    assert steps_kept(run) == [2, 4]


def test_ctrl_c_without_a_run_says_that_nothing_is_saved():
    training = trainer()
    training.callback = lambda t, record: os.kill(os.getpid(), signal.SIGINT)
    with pytest.raises(Interrupted, match="nothing is saved"):
        training.train()


def test_ctrl_c_in_the_last_step_is_too_late(tmp_path):
    training = trainer(new_run(tmp_path / "r"))
    training.callback = lambda t, record: os.kill(os.getpid(), signal.SIGINT) if record["step"] == 12 else None
    assert training.train().step == 12


@contextlib.contextmanager
def started(folder):
    """The program in a process of its own, and the step that it goes on from, once it trains."""
    with subprocess.Popen([sys.executable, PROGRAM, folder], stdout=subprocess.PIPE, text=True) as process:
        yield process, int(process.stdout.readline().split()[1])


def steps_logged(folder):
    return (folder / "log.jsonl").read_bytes().count(b"\n") if (folder / "log.jsonl").exists() else 0


def test_killed_at_random_moments_and_resumed_it_ends_with_the_same_bits(tmp_path, sized):
    whole, folder = new_run(tmp_path / "whole"), tmp_path / "killed"
    reference = trainer(whole, **KILLED)
    a_step = reference.train().seconds / KILLED["steps"]
    rng = np.random.default_rng()  # other moments each time; the outcome must never depend on them
    reached = []
    for _ in range(sized(4, 10)):
        with started(folder) as (process, step):
            reached.append(step)
            wanted, delay = step + rng.integers(12), rng.uniform(0, 3 * a_step)
            while steps_logged(folder) < wanted:
                time.sleep(a_step / 10)
            time.sleep(delay)
            process.kill()
            assert process.wait() == -signal.SIGKILL
    assert reached == sorted(reached)
    assert 0 < reached[-1] < KILLED["steps"]
    with started(folder) as (process, _):
        assert process.wait() == 0
    run = Run(folder)
    assert log_of(run) == log_of(whole)
    assert steps_kept(run) == steps_kept(whole)
    mine, theirs = (load_checkpoint(r.latest()) for r in (run, whole))
    for got, wanted in ((mine.weights, theirs.weights), (mine.optimizer, theirs.optimizer)):
        assert {k: a.tobytes() for k, a in got.items()} == {k: a.tobytes() for k, a in wanted.items()}
    assert b"".join(a.tobytes() for _, a in sorted(mine.weights.items())) == bits(reference.model)
    assert not [p for p in run.checkpoints.iterdir() if p.name.startswith(".")]


# -------------------------------------------------------------------------------------------------------- settings


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"steps": 0}, "steps is 0"),
        ({"steps": 2.5}, "steps is 2.5"),
        ({"batch_size": 0}, "batch_size"),
        ({"accumulation": 7}, "accumulation is 7, but the batch has 6"),
        ({"rate": -1.0}, "rate"),
        ({"warmup": 13}, "warmup is 13 steps of 12"),
        ({"schedule": "step"}, "schedule"),
        ({"optimizer": "adam"}, "optimizer"),
        ({"clip": 0.0}, "clip"),
        ({"threads": -1}, "threads"),
        ({"keep": 0}, "keep"),
        ({"seed": -1}, "seed"),
    ],
)
def test_a_setting_that_cannot_be_is_named(wrong, named):
    with pytest.raises(ConfigError, match=named):
        config(**wrong)


def test_an_optimizer_setting_that_cannot_be_is_named():
    with pytest.raises(ConfigError, match="betas"):
        trainer(betas=(0.9, 1.0))


def test_batches_of_another_size_are_an_error():
    with pytest.raises(ConfigError, match="batch_size is 6, but the batches have 4"):
        trainer(batches=Batches(4)).train()


def test_settings_survive_json():
    import json

    made = TrainConfig(steps=5, batch_size=2)
    again = json.loads(json.dumps(made.as_json()))
    assert TrainConfig(**{**again, "betas": tuple(again["betas"])}) == made
