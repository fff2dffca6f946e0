"""The settings of a training, checked when they are made."""

import dataclasses
from dataclasses import dataclass
from typing import Any

from minilm.errors import ConfigError
from minilm.i18n import tr
from minilm.training.optim import SGD, AdamW, Named, Optimizer
from minilm.training.schedule import check_schedule, learning_rate

# What may differ when a training is resumed, because no weight depends on it (threads: but for rounding).
FREE = ("threads", "recompute", "log_every", "evaluate_every", "checkpoint_every", "keep", "keep_best")


@dataclass(frozen=True)
class TrainConfig:
    """How to train; a ConfigError names the first setting that cannot be.

    steps            number of updates
    batch_size       sequences an update, all threads and parts together
    accumulation     parts that the batch is computed in, one after another, to save memory; the gradient is the same
    recompute        keep only each block's input for the backward, to save memory; the gradient is the same bits
    rate, schedule, warmup, floor     as `peak`, `shape`, `warmup` and `floor` of `learning_rate`
    optimizer        "adamw" (betas, epsilon, decay, bias_correction) or "sgd" (momentum, nesterov, decay)
    clip             largest norm of the gradient; None never clips
    seed             of what the training draws (dropout); the batches and the model have seeds of their own
    threads          0: one for each physical core that the process may use
    evaluate_every, checkpoint_every, log_every    in steps; 0: only after the last
    keep, keep_best  how many of the newest checkpoints stay; whether that of the lowest validation loss does
    """

    steps: int
    batch_size: int
    accumulation: int = 1
    recompute: bool = False
    rate: float = 1e-3
    schedule: str = "cosine"
    warmup: int = 0
    floor: float = 0.1
    optimizer: str = "adamw"
    betas: tuple[float, float] = (0.9, 0.95)
    epsilon: float = 1e-8
    bias_correction: bool = True
    decay: float = 0.1
    momentum: float = 0.9
    nesterov: bool = False
    clip: float | None = 1.0
    seed: int = 0
    threads: int = 0
    evaluate_every: int = 0
    checkpoint_every: int = 0
    log_every: int = 10
    keep: int = 2
    keep_best: bool = False

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size", "accumulation", "keep"):
            self._check_integer(name, 1)
        for name in ("warmup", "seed", "threads", "evaluate_every", "checkpoint_every", "log_every"):
            self._check_integer(name, 0)
        check_schedule(peak=self.rate, steps=self.steps, warmup=self.warmup, shape=self.schedule, floor=self.floor)
        if self.accumulation > self.batch_size:
            raise ConfigError(
                tr(
                    "accumulation is {got}, but the batch has {size} sequences: choose at most {size}",
                    got=self.accumulation,
                    size=self.batch_size,
                )
            )
        if self.optimizer not in ("adamw", "sgd"):
            raise ConfigError(tr("optimizer is {got!r}; choose one of {names}", got=self.optimizer, names="adamw, sgd"))
        if self.clip is not None and not self.clip > 0:
            raise ConfigError(tr("clip is {got}; it must be above 0, or None to never clip", got=self.clip))

    def _check_integer(self, name: str, least: int) -> None:
        value = getattr(self, name)
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise ConfigError(
                tr("{name} is {got!r}; it must be a whole number >= {least}", name=name, got=value, least=least)
            )

    def rate_at(self, step: int) -> float:
        """The learning rate of the update that leads to `step`."""
        return learning_rate(
            step, peak=self.rate, steps=self.steps, warmup=self.warmup, shape=self.schedule, floor=self.floor
        )

    def make_optimizer(self, parameters: Named) -> Optimizer:
        """The optimizer that these settings describe, over `parameters`. ConfigError if one of them cannot be."""
        if self.optimizer == "sgd":
            return SGD(parameters, self.rate, self.momentum, self.nesterov, self.decay)
        return AdamW(parameters, self.rate, self.betas, self.epsilon, self.decay, self.bias_correction)

    def as_json(self) -> dict[str, Any]:
        """The settings as JSON has them: lists for tuples."""
        return {
            key: list(value) if isinstance(value, tuple) else value for key, value in dataclasses.asdict(self).items()
        }
