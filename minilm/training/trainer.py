"""The loop: forward, backward, clip, step; and around it evaluation, log, checkpoints, resuming and stopping.

A training is a pure function of its settings: what a step draws depends on (seed, purpose, step, part, shard) and which
batch it sees on the step alone. So weights, what the optimizer remembers and the step are all of its state, and one
that was stopped anywhere goes on from its last checkpoint to the same bits.
"""

import contextlib
import hashlib
import math
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from minilm.backend import is_numpy, to_numpy
from minilm.cores import available_cores
from minilm.errors import CheckpointError, ConfigError, MinilmError, TrainingError
from minilm.i18n import tr
from minilm.training.checkpoint import (
    Checkpoint,
    checkpoint_name,
    checkpoints_in,
    metric_of,
    prune,
    remove_leftovers,
    save_checkpoint,
    set_aside,
    step_of,
)
from minilm.training.config import FREE, TrainConfig
from minilm.training.interrupt import Interrupted, StopRequest
from minilm.training.log import Log
from minilm.training.optim import clip_by_global_norm, global_norm
from minilm.training.parallel import DROPOUT, Batch, DataParallel, Threads
from minilm.training.progress import TrainingDisplay
from minilm.training.ranks import ALONE, Alone
from minilm.training.run import Run

RNG = "minilm.backend.generator(seed, purpose, step, part, shard)"


class Batches(Protocol):
    """Where batches come from: a pure function of the step. It may have a `fingerprint` that names its data."""

    def at(self, step: int) -> Batch: ...


Callback = Callable[["Trainer", dict[str, Any]], str | None]


@dataclass(frozen=True)
class TrainResult:
    """Where a training ended: the last step, its record (as in the log), and the seconds it took."""

    step: int
    record: dict[str, Any]
    seconds: float


class Trainer:
    """Trains a model; `Trainer(…).train()` from the start, `Trainer(…).resume().train()` from a run's checkpoint."""

    def __init__(
        self,
        model: Any,
        objective: Any,
        batches: Batches,
        config: TrainConfig,
        validation: Iterable[Batch] | None = None,
        run: Run | None = None,
        callback: Callback | None = None,
        show: bool = True,
        ranks: Alone = ALONE,
    ):
        """model: a Module. objective: see objectives.py. validation: batches to evaluate on.

        run: where log and checkpoints go; without one nothing is saved. callback(trainer, record) is called after
        each logged or evaluated step, with the model in evaluation mode; text that it returns is shown.
        show: report progress on the screen. ranks: the processes that train this model together (ranks.py).
        """
        self.ranks, self._leads = ranks, ranks.rank == 0
        self.model, self.objective, self.batches, self.config = model, objective, batches, config
        self.validation = None if validation is None else list(validation)
        self.run, self.callback, self.show = run, callback, show and self._leads
        model.set_recompute(config.recompute)
        self.optimizer = config.make_optimizer(model.trainable_parameters())
        cores = max(1, available_cores() // ranks.sharing)
        self.threads = config.threads or (cores if is_numpy() else 1)
        self.step, self.tokens, self.seconds = 0, 0, 0.0
        self.record: dict[str, Any] = {}
        self._best = math.inf  # the lowest validation loss
        self._parallel: DataParallel | None = None
        self._resumed: Checkpoint | None = None
        self._first_shard = 0  # the threads of the ranks before this one: shards are numbered through
        self._may_start_over = run is None or run.latest() is None

    # ------------------------------------------------------------------------------------------------- resuming

    def resume(self, checkpoint: str | None = None) -> "Trainer":
        """Go on from the run's newest checkpoint, or the one of that name (`step-00000400`); returns the trainer.

        Raises CheckpointError, with nothing changed, if it is damaged (an earlier whole one is named, and taken only
        when asked for by name) or belongs to another model, other data or other settings. Later checkpoints than the
        one asked for are renamed to `aside-step-…`. Before a run's first checkpoint, resuming is starting.
        """
        if self.run is None:
            raise ConfigError(tr("resume: this trainer has no run to resume"))
        if checkpoint is None and self.run.latest() is None:
            return self
        found = self.run.load(checkpoint)
        self._check_same_training(found)
        try:
            self.optimizer.check_state_dict(found.optimizer)
            self.model.load_state_dict(found.weights)
            self.optimizer.load_state_dict(found.optimizer)
        except MinilmError as error:
            raise CheckpointError(
                tr("checkpoint {name} is not of this model: {problem}", name=found.folder, problem=error)
            ) from error
        self.step, self.tokens, self.seconds = found.step, found.state["tokens"], found.state["seconds"]
        self.record = found.state["metrics"]
        self._resumed, self._may_start_over = found, True
        return self

    def _check_same_training(self, found: Checkpoint) -> None:
        """The settings that the weights depend on, and the next batch, are those of the checkpoint."""
        for key, now in self.config.as_json().items():
            then = found.state["config"].get(key)
            if key not in FREE and then != now:
                raise CheckpointError(
                    tr(
                        "checkpoint {name} was made with {key}={then}, this training has {key}={now}: "
                        "resume with the same, or start a new run",
                        name=found.folder,
                        key=key,
                        then=then,
                        now=now,
                    )
                )
        if found.state["data"] != self._data_position(found.step):
            raise CheckpointError(
                tr(
                    "checkpoint {name} was made with other data: its next batch was another; "
                    "resume with the same corpus, tokenizer and seed, or start a new run",
                    name=found.folder,
                )
            )

    def _data_position(self, step: int) -> dict[str, Any]:
        """Where the data stands: the step, and the hash of the batch that comes next (of the last one at the end)."""
        digest = hashlib.sha256()
        for name, array in sorted(self.batches.at(min(step, self.config.steps - 1)).items()):
            digest.update(f"{name} {array.dtype.str} {array.shape} ".encode() + np.ascontiguousarray(array).tobytes())
        fingerprint = getattr(self.batches, "fingerprint", None)
        return {"step": step, "fingerprint": fingerprint, "next_batch": digest.hexdigest()}

    # ------------------------------------------------------------------------------------------------- training

    def train(self) -> TrainResult:
        """Train to the last step and return where that ended.

        Raises TrainingError when a loss or gradient is not a finite number (the last good checkpoint stays),
        Interrupted after Ctrl-C or SIGTERM (which finish the step and save; a second one stops at once), and
        CheckpointError when a checkpoint cannot be written (the one before it stays).
        """
        if not self._may_start_over:
            raise ConfigError(
                tr(
                    "{folder} already has checkpoints: go on with `{command}`, or choose another name",
                    folder=self.run.folder,  # type: ignore[union-attr]
                    command=self.ranks.resume_command(self.run),
                )
            )
        with contextlib.ExitStack() as stack:
            stack.enter_context(self.ranks.watched(self.run))
            self.ranks.check_alike(self.optimizer.flat.values)  # here all have read what rank 0 may now remove
            self._first_shard = self.ranks.before(self.threads)
            self._log = self._open_run(stack) if self._leads else None
            self._best = self.ranks.from_first(self._best)
            stack.enter_context(self._workers())
            self._display = stack.enter_context(TrainingDisplay(self.config.steps, self.step, self.show))
            self._greet()
            stop = stack.enter_context(StopRequest())
            self._clock, self._window = time.perf_counter() - self.seconds, (0, 0.0)
            self._started_at = (self.step, time.perf_counter())
            while self.step < self.config.steps:
                self._one_step()
                if self.step < self.config.steps and self.ranks.any(stop.asked):
                    self._stop()
        return TrainResult(self.step, self.record, self.seconds)

    def _open_run(self, stack: contextlib.ExitStack) -> Log | None:
        """Take the run for this process and bring it to the step that the training goes on from."""
        if self.run is None:
            return None
        stack.enter_context(self.run.lock())
        remove_leftovers(self.run.checkpoints)
        for later in checkpoints_in(self.run.checkpoints):
            if step_of(later) > self.step:
                set_aside(later)
        self._prune(self.run)  # a kill may have come between a checkpoint and this
        kept = checkpoints_in(self.run.checkpoints)
        self._best = min((metric_of(path, "validation_loss") for path in kept), default=math.inf)
        return stack.enter_context(contextlib.closing(Log(self.run.log, self.step)))

    def _greet(self) -> None:
        if self._resumed is None:
            return
        self._display.say(tr("going on from {name}, step {step}", name=self._resumed.folder.name, step=self.step))
        then, now = self._resumed.state.get("ranks", 1), self.ranks.size
        if then != now:
            self._display.say(
                tr("the checkpoint was made with {then} ranks, this is {now}: sums are rounded in another order, so "
                   "the last bits may differ from an uninterrupted training's", then=then, now=now)
            )  # fmt: skip
        if self._resumed.state["threads"] != self.threads:
            self._display.say(
                tr(
                    "the checkpoint was made with {then} threads, this is {now}: sums are rounded in another order, "
                    "so the last bits may differ from an uninterrupted training's",
                    then=self._resumed.state["threads"],
                    now=self.threads,
                )
            )

    def _one_step(self) -> None:
        """One update, and what is due after it: evaluation, log, callback, checkpoint."""
        started = time.perf_counter()
        loss, norm, metrics, tokens = self._update()
        self.tokens += tokens
        self._window = (self._window[0] + tokens, self._window[1] + time.perf_counter() - started)
        logged = self._due(self.config.log_every)
        record = {"step": self.step, "loss": loss, **metrics, "rate": self.config.rate_at(self.step)}
        record |= {"gradient_norm": norm, "tokens": self.tokens}
        if self.validation is not None and self._due(self.config.evaluate_every):
            record |= self._validate(self.validation)
            logged = True
        self.seconds = time.perf_counter() - self._clock
        record |= {"seconds": round(self.seconds, 3), "tokens_per_second": round(self._window[0] / self._window[1], 1)}
        self.record = record
        if logged:
            self._report(record)
        else:
            self._display.update(record, self._seconds_left(), logged=False)
        if self.run and (self._is_best(record) or self._due(self.config.checkpoint_every)):
            self._save()

    def _due(self, every: int) -> bool:
        return self.step == self.config.steps or (every > 0 and self.step % every == 0)

    def _update(self) -> tuple[float, float, dict[str, float], int]:
        """Take the step: the batch's gradient, clipped, into the weights. Returns loss, norm, metrics and tokens."""
        batch, counts, size = self.ranks.share(self.batches, self.step, self.objective)
        if size != self.config.batch_size:
            raise ConfigError(
                tr(
                    "batch_size is {wanted}, but the batches have {got} sequences: make them the same",
                    wanted=self.config.batch_size,
                    got=size,
                )
            )
        key, accumulation = (self.config.seed, DROPOUT, self.step), self.config.accumulation
        with self._workers() as workers:
            loss, metrics = workers.gradients(self.objective, batch, accumulation, key, counts, self._first_shard)
            loss, metrics, tokens = self._of_all_ranks(workers, loss, metrics, batch["ids"].size)
        self._check_finite(tr("the loss"), loss, self.step + 1)
        norm = global_norm([self.optimizer.flat.gradients])
        self._check_finite(tr("the norm of the gradient"), norm, self.step + 1)
        if self.config.clip is not None and norm > self.config.clip:
            clip_by_global_norm(self.optimizer.parameters, self.config.clip)
        self.step += 1
        self.optimizer.step(self.config.rate_at(self.step), workers.threads)
        self.optimizer.zero_grad()
        return loss, norm, metrics, tokens

    def _of_all_ranks(
        self, workers: DataParallel, loss: float, metrics: dict[str, float], tokens: int
    ) -> tuple[float, dict[str, float], int]:
        """Gradient, loss, metrics and tokens of a step, from each rank's share of them."""
        if self.ranks.size > 1:
            self.ranks.add_gradients(self.optimizer.flat.gradients)
            workers.own_gradients()
        found = self.ranks.add({" loss": loss, " tokens": tokens, **metrics})
        return found.pop(" loss"), found, int(found.pop(" tokens"))

    def _check_finite(self, what: str, number: float, step: int) -> None:
        if math.isfinite(number):
            return
        latest = self.run.latest() if self.run else None
        advice = tr("lower the rate (now {rate:g}), warm up longer, or clip the gradient", rate=self.config.rate)
        if latest is None:
            raise TrainingError(
                tr("{what} is {number} at step {step}: {advice}", what=what, number=number, step=step, advice=advice)
            )
        raise TrainingError(
            tr(
                "{what} is {number} at step {step}, and training stopped; the last good checkpoint is {name}: {advice}",
                what=what,
                number=number,
                step=step,
                name=latest,
                advice=advice,
            )
        )

    def evaluate(self, batches: Iterable[Batch]) -> dict[str, float]:
        """{"loss": the objective's mean over all terms of all `batches`, and what else it reports}, without dropout."""
        with self._workers() as workers:
            loss, metrics = workers.evaluate(self.objective, batches)
        return self._finished({" loss": loss, **metrics})

    def _finished(self, sums: dict[str, float]) -> dict[str, float]:
        finish = getattr(self.objective, "finish", dict)
        return {"loss": sums.pop(" loss"), **finish(sums)}

    def _validate(self, batches: Iterable[Batch]) -> dict[str, float]:
        with self._workers() as workers:
            loss, metrics = workers.evaluate(self.objective, batches, self.ranks.part_of)
        found = self._finished(self.ranks.add({" loss": loss, **metrics}))
        self._check_finite(tr("the validation loss"), found["loss"], self.step)
        return {f"validation_{name}": value for name, value in found.items()}

    @contextlib.contextmanager
    def _workers(self) -> Iterator[DataParallel]:
        """The threads and their replicas: those of the training that is going on, else some for this block."""
        if self._parallel is not None:
            yield self._parallel
            return
        with Threads(self.threads) as threads:
            self._parallel = DataParallel(self.model, self.optimizer.flat, threads)
            try:
                yield self._parallel
            finally:
                self._parallel = None

    def _report(self, record: dict[str, Any]) -> None:
        """Log a record, show it, and let the callback see it."""
        self._window = (0, 0.0)
        if self._log:
            self._log.append(record)
        self._display.update(record, self._seconds_left(), logged=True)
        if self.callback and self._leads:
            with self._workers() as workers, workers.evaluating():
                text = self.callback(self, record)
            if text:
                self._display.say(text)

    def _seconds_left(self) -> float:
        step, time_then = self._started_at
        return (time.perf_counter() - time_then) / (self.step - step) * (self.config.steps - self.step)

    # --------------------------------------------------------------------------------------------------- saving

    def _is_best(self, record: dict[str, Any]) -> bool:
        """Whether this step's validation loss is lower than every earlier one, if the best is to be kept."""
        loss = record.get("validation_loss", math.inf)
        better = self.config.keep_best and loss < self._best
        self._best = min(self._best, loss)
        return better

    def _save(self) -> None:
        """Write the checkpoint of this step, then let go of those that are no longer kept."""
        run, log = self.run, self._log
        assert run is not None
        self.ranks.check_alike(self.optimizer.flat.values)
        if not self._leads:
            return
        assert log is not None
        if (run.checkpoints / checkpoint_name(self.step)).exists():
            return
        self._check_finite(tr("the norm of the weights"), global_norm([self.optimizer.flat.values]), self.step)
        log.sync()
        state = {
            "config": self.config.as_json(),
            "seed": self.config.seed,
            "rng": RNG,
            "numpy": np.__version__,
            "threads": self.threads,
            "ranks": self.ranks.size,
            "data": self._data_position(self.step),
            "metrics": self.record,
            "tokens": self.tokens,
            "seconds": self.seconds,
        }
        weights = {name: to_numpy(array) for name, array in self.model.state_dict().items()}
        save_checkpoint(run.checkpoints, self.step, weights, self.optimizer.state_dict(), state)
        self._prune(run)

    def _prune(self, run: Run) -> None:
        prune(run.checkpoints, self.config.keep, "validation_loss" if self.config.keep_best else None)

    def _stop(self) -> None:
        """Save after Ctrl-C, and say how to go on."""
        if self.run is None:
            raise Interrupted(tr("stopped at step {step}; without a run folder nothing is saved", step=self.step))
        self._save()
        raise Interrupted(
            tr(
                "stopped at step {step} and saved; go on with `{command}`",
                step=self.step,
                command=self.ranks.resume_command(self.run),
            )
        )
