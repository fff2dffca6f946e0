"""Fine-tuning: a task's examples through the trainer of pretraining, for finite epochs, the rate rising and falling.

The rate warms up over the first tenth and then falls to 0 along a line (Radford et al. 2018, section 4.1; Devlin et al.
2019, section A.3). Which peak is best depends on task and model, so several are tried and a development set decides.
"""

import dataclasses
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from minilm.errors import ConfigError
from minilm.i18n import tr
from minilm.training.config import TrainConfig
from minilm.training.trainer import Trainer
from minilm.transfer.examples import Example, Task
from minilm.transfer.inputs import Reader, TaskBatches
from minilm.transfer.objective import TaskLoss
from minilm.transfer.predicting import evaluate


@dataclass(frozen=True)
class FineTuning:
    """How to fine-tune; a ConfigError names the first setting that cannot be.

    rate: the peak. epochs: times through the examples. steps: number of updates, instead of epochs. batch_size,
    decay, clip: of TrainConfig. warmup: the share of the steps in which the rate rises. auxiliary: λ, the weight of
    the language model's loss. seed: of the order of the examples and of dropout.
    """

    rate: float = 1e-3
    epochs: float = 3.0
    steps: int | None = None
    batch_size: int = 32
    warmup: float = 0.1
    decay: float = 0.01
    clip: float | None = 1.0
    auxiliary: float = 0.0
    seed: int = 0
    threads: int = 1

    def __post_init__(self) -> None:
        if not (math.isfinite(self.epochs) and self.epochs > 0):
            raise ConfigError(tr("epochs is {got}; it must be above 0", got=self.epochs))
        if not 0 <= self.warmup < 1:
            raise ConfigError(tr("warmup is {got}; it is a share of the steps, at least 0 and below 1",
                                 got=self.warmup))  # fmt: skip
        self.train_config(max(self.batch_size, 1))
        TaskLoss(self.auxiliary)

    def train_config(self, examples: int) -> TrainConfig:
        """The settings of the trainer for that many examples."""
        batch = min(self.batch_size, examples)
        steps = self.steps or max(1, round(self.epochs * examples / batch)) if batch > 0 else 1
        return TrainConfig(
            steps=steps,
            batch_size=batch,
            rate=self.rate,
            schedule="linear",
            warmup=int(self.warmup * steps),
            floor=0.0,
            betas=(0.9, 0.999),
            decay=self.decay,
            clip=self.clip,
            seed=self.seed,
            threads=self.threads,
            log_every=max(1, steps // 10),
        )


def fine_tune(
    model: Any, reader: Reader, task: Task, examples: Sequence[Example], settings: FineTuning, show: bool = False
) -> TaskBatches:
    """Train the model on the examples, as they are, to the end; returns the batches, which count what was cut off."""
    batches = TaskBatches(reader, task, examples, settings.batch_size, settings.seed)
    config = settings.train_config(len(batches))
    Trainer(model, TaskLoss(settings.auxiliary), batches, config, show=show).train()
    return batches


@dataclass(frozen=True)
class Chosen:
    """The model with the best rate, its scores on the development set, and those of every rate that was tried."""

    model: Any
    settings: FineTuning
    scores: dict[str, float]
    tried: dict[float, dict[str, float]]
    batches: TaskBatches


def choose_rate(
    make: Callable[[], Any],
    reader: Reader,
    task: Task,
    train: Sequence[Example],
    dev: Sequence[Example],
    rates: Sequence[float],
    settings: FineTuning,
    show: bool = False,
    tell: Callable[[float, dict[str, float]], None] = lambda rate, scores: None,
) -> Chosen:
    """Fine-tune `make()` once with each rate and keep the one with the best first score on the development set; of
    equals the lower rate. tell: called with each rate and its scores."""
    if not rates:
        raise ConfigError(tr("rates: give at least one learning rate to try"))
    best: Chosen | None = None
    tried: dict[float, dict[str, float]] = {}
    for rate in sorted(rates):
        at_rate = dataclasses.replace(settings, rate=rate)
        model = make()
        batches = fine_tune(model, reader, task, train, at_rate, show)
        tried[rate] = scores = evaluate(model, reader, task, dev)
        tell(rate, scores)
        if best is None or first(scores) > first(best.scores):
            best = Chosen(model, at_rate, scores, tried, batches)
    assert best is not None
    return best


def first(scores: dict[str, float]) -> float:
    """The score that choices are made by."""
    return next(iter(scores.values()))
