"""What pretraining brings, measured: several arms on the same examples, several seeds, a rate for each arm.

An arm is a way to begin: from scratch, from a pretrained model, from some of its layers, from its features alone. All
arms have the same head, steps and grid of rates. For each arm and number of labelled examples the first seeds try every
rate and the development set decides; then all seeds run with that one and are scored on the test set. A seed decides
which examples are learned from, the head's weights and the order of the examples, for every arm alike, so arms are
compared in pairs. A finished run, a cell, is kept at once: a stopped experiment goes on from there.
"""

import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

from minilm.errors import ConfigError, DataError
from minilm.i18n import tr
from minilm.resources import write_atomically
from minilm.transfer.examples import Example, Task
from minilm.transfer.features import FeatureClassifier
from minilm.transfer.finetuning import FineTuning, fine_tune, first
from minilm.transfer.models import bare_model, make_model, reader_of
from minilm.transfer.predicting import evaluate
from minilm.transfer.pretrained import Layers, Pretrained, take_over


@dataclass(frozen=True)
class Arm:
    """A way to begin. name: in files; title: for readers. model: the name of a pretrained one.

    layers: how much of it is taken over; frozen: how much of that is not learned (see pretrained.py). auxiliary: λ.
    features: instead of a task's head, a linear layer on what these layers of the frozen body say, averaged over the
    text. rates: instead of the experiment's.
    """

    name: str
    model: str = "pretrained"
    layers: Layers = "all"
    frozen: Layers = None
    auxiliary: float = 0.0
    features: tuple[int, ...] | None = None
    rates: tuple[float, ...] | None = None
    title: str = ""


@dataclass(frozen=True)
class Data:
    """A task's examples: train(count, seed) draws some to learn from; dev to choose rates by, test to measure on."""

    name: str
    task: Task
    train: Callable[[int, int], Sequence[Example]]
    dev: Sequence[Example]
    test: Sequence[Example]


@dataclass(frozen=True)
class Plan:
    """What is compared: arms, numbers of labelled examples, seeds 0 … seeds − 1, rates to try in the first `trials`
    seeds, updates of a run."""

    arms: tuple[Arm, ...]
    labels: tuple[int, ...]
    seeds: int = 5
    rates: tuple[float, ...] = (1e-3, 3e-3)
    trials: int = 2
    steps: int = 300
    batch_size: int = 32

    def __post_init__(self) -> None:
        if not self.arms or not self.labels or not self.rates:
            raise ConfigError(tr("an experiment needs at least one arm, one number of labels and one rate"))
        if len({arm.name for arm in self.arms}) != len(self.arms):
            raise ConfigError(tr("two arms have the same name; call them differently"))
        for name, got in (("labels", min(self.labels)), ("seeds", self.seeds), ("trials", self.trials),
                          ("steps", self.steps)):  # fmt: skip
            if got < 1:
                raise ConfigError(tr("{name} is {got!r}; it must be a whole number of at least 1", name=name, got=got))


class Cell(NamedTuple):
    """One run and its scores on the development and test sets."""

    arm: str
    labels: int
    seed: int
    rate: float
    dev: float
    test: float

    @property
    def key(self) -> tuple[str, int, int, float]:
        return self[:4]


class Row(NamedTuple):
    """An arm (its title) at a number of labels.

    rate: the one chosen. scores: on the test set, of each seed; mean, deviation: of these. difference, difference_se:
    the mean of the paired differences to the first arm, and its standard error.
    """

    arm: str
    labels: int
    rate: float
    scores: tuple[float, ...]
    mean: float
    deviation: float
    difference: float
    difference_se: float


class Experiment:
    """`Experiment(…).run()`; with a folder it keeps its cells there and goes on from them."""

    def __init__(self, models: dict[str, Pretrained], data: Data, plan: Plan, folder: str | Path | None = None):
        """models: what arms name. ConfigError where one is missing, or where the folder holds another experiment."""
        if missing := {arm.model for arm in plan.arms} - set(models):
            raise ConfigError(tr("there is no pretrained model named {names}", names=", ".join(sorted(missing))))
        self.models, self.data, self.plan = models, data, plan
        self.folder = None if folder is None else Path(folder)
        self.cells: dict[tuple, Cell] = {}
        self._examples: dict[tuple[int, int], Sequence[Example]] = {}
        if self.folder is not None:
            self._open(self.folder)

    # ---------------------------------------------------------------------------------------------------- running

    def run(self, tell: Callable[[Cell, int, int], None] = lambda cell, done, most: None) -> list[Row]:
        """Run what is not there yet and return the table. tell(cell, number of runs done, of how many) after each."""
        most = sum(self._most(arm) for arm in self.plan.arms) * len(self.plan.labels)
        done = 0
        for labels in self.plan.labels:
            for arm in self.plan.arms:
                for seed, rate in self._runs(arm, labels):
                    cell = self.cell(arm, labels, seed, rate)
                    done += 1
                    tell(cell, done, most)
        rows = self.table()
        if self.folder is not None:
            self._save(rows)
        return rows

    def _rates(self, arm: Arm) -> tuple[float, ...]:
        return arm.rates or self.plan.rates

    def _trials(self, arm: Arm) -> int:
        """How many seeds try every rate."""
        return min(self.plan.trials, self.plan.seeds) if len(self._rates(arm)) > 1 else 0

    def _most(self, arm: Arm) -> int:
        return self._trials(arm) * len(self._rates(arm)) + self.plan.seeds - self._trials(arm)

    def _runs(self, arm: Arm, labels: int) -> Iterator[tuple[int, float]]:
        """(seed, rate) of each run: first the trials, then, once these are there, the other seeds."""
        trials = self._trials(arm)
        for seed in range(trials):
            for rate in self._rates(arm):
                yield seed, rate
        best = self.best_rate(arm, labels)
        for seed in range(trials, self.plan.seeds):
            yield seed, best

    def best_rate(self, arm: Arm, labels: int) -> float:
        """The rate with the highest mean score on the development set in the trials; of equals the lower one."""
        rates, trials = sorted(self._rates(arm)), self._trials(arm)
        if not trials:
            return rates[0]

        def score(rate: float) -> float:
            return sum(self.cells[arm.name, labels, seed, rate].dev for seed in range(trials)) / trials

        return max(rates, key=score)  # max takes the first of equals

    def cell(self, arm: Arm, labels: int, seed: int, rate: float) -> Cell:
        """The run of that arm, number of labels, seed and rate: from the folder, or now."""
        key = (arm.name, labels, seed, rate)
        if key not in self.cells:
            self.cells[key] = found = Cell(*key, *self._measure(arm, labels, seed, rate))
            if self.folder is not None:
                with (self.folder / "cells.jsonl").open("a", encoding="utf-8") as file:
                    file.write(json.dumps(found._asdict()) + "\n")
        return self.cells[key]

    def _measure(self, arm: Arm, labels: int, seed: int, rate: float) -> tuple[float, float]:
        """Scores on the development and the test set."""
        pretrained, task = self.models[arm.model], self.data.task
        reader = reader_of(pretrained)
        model = self._model(arm, pretrained, seed)
        settings = FineTuning(
            rate=rate, steps=self.plan.steps, batch_size=self.plan.batch_size, auxiliary=arm.auxiliary, seed=seed
        )
        fine_tune(model, reader, task, self._train(labels, seed), settings)
        dev, test = (first(evaluate(model, reader, task, part)) for part in (self.data.dev, self.data.test))
        return dev, test

    def _model(self, arm: Arm, pretrained: Pretrained, seed: int) -> Any:
        task = self.data.task
        if arm.features is None:
            return make_model(pretrained, task, seed, arm.layers, arm.frozen)
        if task.kind != "classify" or task.symmetric:
            raise ConfigError(tr("features are of whole texts: they serve to classify, not for {kind}", kind=task.kind))
        bare = bare_model(pretrained, task, seed)
        body = bare.gpt if pretrained.kind == "gpt" else bare.bert
        if arm.layers is not None:
            take_over(body, pretrained, arm.layers)
        return FeatureClassifier(body, len(task.labels), seed, arm.features)

    def _train(self, labels: int, seed: int) -> Sequence[Example]:
        if (labels, seed) not in self._examples:
            found = self.data.train(labels, seed)
            if len(found) != labels:
                raise DataError(tr("there are only {n} examples to learn from; {wanted} were asked for", n=len(found),
                                   wanted=labels))  # fmt: skip
            self._examples[labels, seed] = found
        return self._examples[labels, seed]

    # --------------------------------------------------------------------------------------------------- reporting

    def table(self) -> list[Row]:
        """A row for each number of labels and arm, all of whose cells are there."""
        rows = []
        for labels in self.plan.labels:
            base: tuple[float, ...] | None = None
            for arm in self.plan.arms:
                rate, seeds = self.best_rate(arm, labels), range(self.plan.seeds)
                scores = tuple(self.cells[arm.name, labels, seed, rate].test for seed in seeds)
                base = base or scores
                differences = [x - y for x, y in zip(scores, base, strict=True)]
                mean, deviation = mean_and_deviation(scores)
                difference, spread = mean_and_deviation(differences)
                rows.append(
                    Row(
                        arm.title or arm.name,
                        labels,
                        rate,
                        scores,
                        mean,
                        deviation,
                        difference,
                        spread / math.sqrt(len(scores)),
                    )
                )
        return rows

    def _settings(self) -> dict[str, Any]:
        """What cells depend on, as JSON has it; arms, seeds and labels may be added to."""
        return {
            "data": self.data.name,
            "steps": self.plan.steps,
            "batch_size": self.plan.batch_size,
            "arms": json.loads(json.dumps({arm.name: _settings_of(arm) for arm in self.plan.arms})),
            "models": {name: p.fingerprint for name, p in self.models.items()},
        }

    def _open(self, folder: Path) -> None:
        """Read the cells of an earlier run of the same experiment; one that was half written at the end is run anew."""
        settings, path = self._settings(), folder / "settings.json"
        if path.exists():
            then = json.loads(path.read_text("utf-8"))
            for key in ("arms", "models"):
                settings[key] = {**then[key], **{k: v for k, v in settings[key].items() if k not in then[key]}}
            now = self._settings()
            same = all(then[key] == now[key] for key in ("data", "steps", "batch_size"))
            same &= all(then[k].get(n, v) == v for k in ("arms", "models") for n, v in now[k].items())
            if not same:
                raise ConfigError(
                    tr("{folder} holds another experiment (its settings.json says which): choose another name",
                       folder=folder)
                )  # fmt: skip
        elif folder.exists() and any(folder.iterdir()):
            raise ConfigError(tr("{folder} already holds other files: choose another name", folder=folder))
        write_atomically(path, json.dumps(settings, indent=1) + "\n")
        self._read_cells(folder / "cells.jsonl")

    def _read_cells(self, path: Path) -> None:
        text = path.read_text("utf-8") if path.exists() else ""
        whole = text[: text.rfind("\n") + 1]
        if whole != text:
            write_atomically(path, whole)
        for line in whole.splitlines():
            cell = Cell(**json.loads(line))
            self.cells[cell.key] = cell

    def _save(self, rows: Sequence[Row]) -> None:
        """results.json: settings, table and every cell."""
        assert self.folder is not None
        content = {
            **self._settings(),
            "rates": self.plan.rates,
            "table": [row._asdict() for row in rows],
            "cells": [cell._asdict() for cell in self.cells.values()],
        }
        write_atomically(self.folder / "results.json", json.dumps(content, indent=1) + "\n")


def _settings_of(arm: Arm) -> dict[str, Any]:
    """What an arm's cells depend on."""
    return {name: value for name, value in asdict(arm).items() if name not in ("title", "rates")}


def mean_and_deviation(x: Sequence[float]) -> tuple[float, float]:
    """x̄ and √(Σ (x − x̄)² / (n − 1)), which is 0 for one number."""
    mean = sum(x) / len(x)
    return mean, math.sqrt(sum((v - mean) ** 2 for v in x) / (len(x) - 1)) if len(x) > 1 else 0.0
