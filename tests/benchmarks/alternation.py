"""Engines timed by turns: minilm, PyTorch, minilm, PyTorch, …, so that what disturbs the machine disturbs all."""

import concurrent.futures
import contextlib
import math
import os
import statistics
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
from environment import processors
from processes import EngineProcess, Turn
from recipe import Unavailable
from rows import Contender, Row
from workloads import WORKLOADS

BASE = "torch"  # the engine that the others are compared with
TURN = 0.3  # seconds that a turn should last at least: short steps are done several times in one


@dataclass
class Result:
    """What was measured of a row, by engine: seconds of a step in each round; memory, bytes of its process at most and
    after its imports; busy, how many processors it kept busy; kernels, with which it computes.

    unavailable: why an engine is not there. others: the share of the machine that other processes took meanwhile, None
    where unknown. problem: why the row counts for nothing, or None. positions: of generation, the seconds of a step at
    each position, the median of all rounds.
    """

    name: str
    what: str
    threads: int
    tokens: int
    seconds: dict[str, list[float]] = field(default_factory=dict)
    memory: dict[str, list[int]] = field(default_factory=dict)
    busy: dict[str, float] = field(default_factory=dict)
    kernels: dict[str, str] = field(default_factory=dict)
    unavailable: dict[str, str] = field(default_factory=dict)
    others: float | None = None
    problem: str | None = None
    positions: dict[str, list[float]] = field(default_factory=dict)

    def milliseconds(self, engine: str) -> float:
        """Of the median round."""
        return 1000 * statistics.median(self.seconds[engine])

    def tokens_per_second(self, engine: str) -> float:
        """By the median round."""
        return 1000 * self.tokens / self.milliseconds(engine)

    def ratio(self, engine: str, base: str = BASE) -> tuple[float, float, float]:
        """How many times as fast as the base, round for round: the lower quartile, the median, the upper quartile."""
        pairs = zip(self.seconds[base], self.seconds[engine], strict=False)  # a slow engine has fewer rounds
        ratios = [theirs / own for theirs, own in pairs]
        low, middle, high = statistics.quantiles(ratios, n=4, method="inclusive") if ratios[1:] else ratios * 3
        return low, middle, high


def run(row: Row) -> Result:
    """Time a row: every engine one turn in each round, in the same order, on the same input."""
    with _Race(row) as race:
        race.warm_up()
        steps = race.steps()
        machine, began = _MachineTime(), time.perf_counter()
        for number in range(row.rounds):
            if number >= row.least and time.perf_counter() - began > row.budget:
                break
            first = row.warm_up + number * steps
            inputs = race.inputs(range(first, first + steps))
            for contender in row.contenders:
                if contender.rounds is None or number < contender.rounds:
                    race.take(contender, inputs, race.cpus)
        return race.result(machine)


class _Race:
    """The engines of a row, each in its process, and what they have done so far."""

    def __init__(self, row: Row):
        self.row, self.workload = row, WORKLOADS[row.workload]
        self.cpus = processors(row.threads)
        self.turns: dict[str, list[Turn]] = {}
        self.unavailable: dict[str, str] = {}
        self.kernels: dict[str, str] = {}
        self._engines: dict[str, EngineProcess] = {}

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            self._weights = str(Path(folder) / "weights.npz")
            np.savez(self._weights, **self.workload.weights(self.row.size))
            stack.callback(lambda: [engine.close() for engine in self._engines.values()])
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def warm_up(self) -> None:
        """Make the engines and let them do their first steps, several at once, each on processors of its own: some
        compile for a minute."""
        cpus = processors(os.cpu_count() or 1)
        places = [cpus[i : i + self.row.threads] for i in range(0, len(cpus), self.row.threads)] or [[]]
        places = [place for place in places if len(place) == len(self.cpus)]

        inputs = self.inputs(range(self.row.warm_up))

        def prepare(i: int) -> None:
            for contender in self.row.contenders[i :: len(places)]:
                self._start(contender, places[i])
                self.take(contender, inputs, places[i])

        with concurrent.futures.ThreadPoolExecutor(len(places)) as pool:
            list(pool.map(prepare, range(len(places))))
        order = [contender.name for contender in self.row.contenders]
        self.turns = dict(sorted(self.turns.items(), key=lambda pair: order.index(pair[0])))

    def _start(self, contender: Contender, cpus: list[int]) -> None:
        row = self.row
        order = {
            "program": contender.program,
            "workload": row.workload,
            "size": row.size,
            "weights": self._weights,
            "threads": row.threads,
            "options": contender.options,
            "cpus": cpus,
        }
        self._engines[contender.name] = engine = EngineProcess(order, row.environment)
        try:
            self.kernels[contender.name] = engine.ready()
            self.turns[contender.name] = []
        except Unavailable as error:
            self._drop(contender.name, str(error))

    def inputs(self, numbers: Iterable[int]) -> list[Any]:
        """What every engine gets in the steps of those numbers."""
        return [self.workload.input(self.row.size, number) for number in numbers]

    def take(self, contender: Contender, inputs: list[Any], cpus: list[int]) -> None:
        """An engine's turn, if it is there."""
        if contender.name in self._engines:
            try:
                self.turns[contender.name].append(self._engines[contender.name].turn(inputs, cpus))
            except Unavailable as error:
                self._drop(contender.name, str(error))

    def _drop(self, name: str, reason: str) -> None:
        self._engines.pop(name).close()
        self.turns.pop(name, None)
        self.unavailable[name] = reason

    def steps(self) -> int:
        """How many make a turn that lasts long enough, whoever it is that takes it."""
        quickest = min(turns[0].seconds[-1] for turns in self.turns.values())
        return max(1, min(self.workload.most_steps, math.ceil(TURN / quickest)))

    def result(self, machine: "_MachineTime") -> Result:
        """All that was measured since `machine` was made."""
        timed = {name: turns[1:] for name, turns in self.turns.items()}
        outcomes = {
            name: [outcome for turn in turns for outcome in turn.outcomes]
            for name, turns in self.turns.items()
            if turns[0].outcomes[0] is not None
        }
        found = Result(
            self.row.name,
            str(self.row.size),
            self.row.threads,
            self.workload.tokens(self.row.size),
            seconds={name: [statistics.mean(turn.seconds) for turn in turns] for name, turns in timed.items()},
            memory={name: list(engine.memory) for name, engine in self._engines.items()},
            kernels={name: self.kernels[name] for name in timed},
            unavailable=self.unavailable,
            problem=self.workload.disagreement(outcomes),
        )
        if self.workload.positions is not None:
            found.positions = {name: self.workload.positions(all_of_them) for name, all_of_them in outcomes.items()}
        used = 0.0
        for name, turns in timed.items():
            processor = sum(sum(turn.processor) for turn in turns)
            found.busy[name] = processor / sum(sum(turn.seconds) for turn in turns)
            used += processor
        found.others = machine.share_of_others(used)
        return found


class _MachineTime:
    """Since when, and how much all processors of the machine had worked by then (seconds)."""

    def __init__(self) -> None:
        self.began, self.own, self.worked = time.perf_counter(), time.process_time(), self._worked()

    @staticmethod
    def _worked() -> float | None:
        """All that the processors did since the system began, and what the system below it took from them."""
        facts = Path("/proc/stat")
        if not facts.is_file():
            return None
        user, nice, system, _, _, irq, softirq, steal = map(int, facts.read_text().split(maxsplit=9)[1:9])
        return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")

    def share_of_others(self, engines: float) -> float | None:
        """The share of all processors that neither the engines (so many seconds) nor this process took."""
        worked, own = self._worked(), time.process_time() - self.own
        if worked is None or self.worked is None:
            return None
        available = (time.perf_counter() - self.began) * (os.cpu_count() or 1)
        return max(0.0, (worked - self.worked - engines - own) / available)
