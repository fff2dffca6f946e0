"""Engines timed by turns: minilm, PyTorch, minilm, PyTorch, …, so that what disturbs the machine disturbs all."""

import concurrent.futures
import contextlib
import functools
import math
import os
import queue
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
from environment import has_avx512, processors
from processes import EngineProcess, Turn
from products import flops, of_step
from recipe import Unavailable
from rows import Contender, Row
from workloads import CHECKED, WORKLOADS

BASE = "torch"  # the engine that the others are compared with
TURN, MOST = 0.3, 16  # seconds that a turn should last at least, by as many steps as that takes; at most so many
AT_ONCE = 4  # engines that get ready at the same time, at most: each may take two gigabytes
NO_AVX512 = "this processor has no AVX-512: what it does without forcing is on AVX2"


@dataclass
class Result:
    """What was measured of a row, by engine: seconds of a step in each round; memory, bytes of its process at most and
    after its imports; busy, how many processors it kept busy; kernels, with which it computes.

    what: its size in words. plan: what was to be measured, for who wants to know whether that is done. tokens: of a
    step; 0 where engines differ in it. took: seconds for all.
    unavailable: why an engine is not there. others: the share of the machine that other processes took meanwhile, None
    where unknown. problem: why the row counts for nothing, or None. skipped: why it was not measured, or None.
    losses: the first ones. positions: of generation, the seconds at each position. grows: of costs, the number that is
    changed, and the FLOPs in matrix products, of each.
    """

    name: str
    what: str
    threads: int
    plan: str
    tokens: int = 0
    took: float = 0.0
    seconds: dict[str, list[float]] = field(default_factory=dict)
    memory: dict[str, list[int]] = field(default_factory=dict)
    busy: dict[str, float] = field(default_factory=dict)
    kernels: dict[str, str] = field(default_factory=dict)
    unavailable: dict[str, str] = field(default_factory=dict)
    others: float | None = None
    problem: str | None = None
    skipped: str | None = None
    losses: dict[str, list[float]] = field(default_factory=dict)
    positions: dict[str, list[float]] = field(default_factory=dict)
    grows: dict[str, list[float]] = field(default_factory=dict)

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


def plan(row: Row) -> str:
    """What it takes to measure a row, in one line: a row that was measured by another plan is another one."""
    engines = ", ".join(contender.name for contender in row.contenders)
    return (
        f"{row.size}; {row.threads} threads; {row.rounds} rounds in {row.budget:g} s, at least {row.least}; {engines}"
    )


def run(row: Row, tell: Callable[[str], None] = lambda stage: None) -> Result:
    """Time a row: every engine one turn in each round, in the same order, on the same input.

    tell: is called with what happens now.
    """
    if row.avx2 and not has_avx512():
        return Result(row.name, str(row.size), row.threads, plan(row), skipped=NO_AVX512)
    with _Race(row) as race:
        tell("the engines get ready")
        race.warm_up()
        machine, steps = _MachineTime(), race.steps()
        for number in range(row.rounds):
            if number >= row.least and machine.elapsed() > row.budget:
                break
            tell(f"round {number + 1}")
            for contender in row.contenders:
                if contender.rounds is None or number < contender.rounds:
                    count = steps[contender.name]
                    race.take(contender, row.warm_up + number * count, count, race.cpus)
        return race.result(machine)


class _Race:
    """The engines of a row, each in its process, and what they have done so far."""

    def __init__(self, row: Row):
        self.began = time.perf_counter()
        self.row, self.workload = row, WORKLOADS[row.workload]
        self.cpus = processors(row.threads)
        self.turns: dict[str, list[Turn]] = {}
        self.unavailable: dict[str, str] = {}
        self.kernels: dict[str, str] = {}
        self._engines: dict[str, EngineProcess] = {}
        self.inputs = functools.lru_cache(maxsize=4)(self._inputs)  # all engines of a round get the same

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            self._weights: dict[Any, str] = {}
            for size in {self._size(contender) for contender in self.row.contenders}:
                self._weights[size] = str(folder / f"{len(self._weights)}.npz")
                np.savez(self._weights[size], **self.workload.weights(size))
            stack.callback(self._end)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def _end(self) -> None:
        for engine in list(self._engines.values()):
            engine.close()

    def _size(self, contender: Contender) -> Any:
        return contender.size or self.row.size

    def warm_up(self) -> None:
        """Make the engines and let them do their first steps, a few at once, each on processors of its own where there
        are enough, since some compile for a minute; those first."""
        cpus, threads = processors(AT_ONCE), self.row.threads
        free = queue.SimpleQueue[list[int]]()
        for i in range(len(cpus) or 1):
            free.put(cpus[i : i + threads] if i + threads <= len(cpus) else self.cpus)

        def prepare(contender: Contender) -> None:
            place = free.get()
            self._start(contender, place)
            self.take(contender, 0, self.row.warm_up, place)
            free.put(place)

        with concurrent.futures.ThreadPoolExecutor(free.qsize()) as pool:
            try:
                list(pool.map(prepare, sorted(self.row.contenders, key=lambda contender: not contender.slow_start)))
            except BaseException:  # an interrupt: whoever waits for an engine's answer sees that it has ended
                pool.shutdown(wait=False, cancel_futures=True)
                self._end()
                raise
        self.turns = {c.name: self.turns[c.name] for c in self.row.contenders if c.name in self.turns}

    def _start(self, contender: Contender, cpus: list[int]) -> None:
        order = {
            "program": contender.program,
            "workload": self.workload.engine,
            "size": self._size(contender),
            "weights": self._weights[self._size(contender)],
            "threads": self.row.threads,
            "options": contender.options,
            "cpus": cpus,
        }
        self._engines[contender.name] = engine = EngineProcess(order, self.row.environment)
        try:
            self.kernels[contender.name] = engine.ready()
            self.turns[contender.name] = []
        except Unavailable as error:
            self._drop(contender.name, str(error))

    def take(self, contender: Contender, first: int, count: int, cpus: list[int]) -> None:
        """An engine's turn of `count` steps from number `first` on, if it is there."""
        if contender.name in self._engines:
            try:
                inputs = self.inputs(self._size(contender), first, count)
                self.turns[contender.name].append(self._engines[contender.name].turn(inputs, cpus))
            except Unavailable as error:
                self._drop(contender.name, str(error))

    def _inputs(self, size: Any, first: int, count: int) -> list[Any]:
        return [self.workload.input(size, number) for number in range(first, first + count)]

    def _drop(self, name: str, reason: str) -> None:
        self._engines.pop(name).close()
        self.turns.pop(name, None)
        self.unavailable[name] = reason

    def steps(self) -> dict[str, int]:
        """How many make a turn that lasts long enough: the same for all, unless each has a size of its own."""
        alone = {name: max(1, min(MOST, math.ceil(TURN / turns[0].seconds[-1]))) for name, turns in self.turns.items()}
        shared = max(alone.values(), default=1)
        return {c.name: alone.get(c.name, 1) if c.size else shared for c in self.row.contenders}

    def result(self, machine: "_MachineTime") -> Result:
        """All that was measured since `machine` was made."""
        row, timed = self.row, {name: turns[1:] for name, turns in self.turns.items()}
        found = Result(
            row.name,
            str(row.size),
            row.threads,
            plan(row),
            tokens=0 if row.axis else self.workload.tokens(row.size),
            took=time.perf_counter() - self.began,
            seconds={name: [statistics.mean(turn.seconds) for turn in turns] for name, turns in timed.items()},
            memory={name: list(self._engines[name].memory) for name in timed},
            kernels={name: self.kernels[name] for name in timed},
            unavailable=self.unavailable,
            problem=self._problem(),
        )
        used = {name: sum(sum(turn.processor) for turn in turns) for name, turns in timed.items()}
        found.busy = {name: used[name] / sum(sum(turn.seconds) for turn in turns) for name, turns in timed.items()}
        found.others = machine.share_of_others(sum(used.values()))
        for name, outcomes in self._outcomes().items():
            if self.workload.positions is not None:
                found.positions[name] = self.workload.positions(outcomes)
            elif isinstance(outcomes[0], float):
                found.losses[name] = outcomes[:CHECKED]
        for contender in row.contenders if row.axis else ():
            size = self._size(contender)
            found.grows[contender.name] = [getattr(size, row.axis), flops(of_step(self.workload.engine, size))]
        return found

    def _outcomes(self) -> dict[str, list[Any]]:
        """Of all steps, the first ones too, of those engines that have any."""
        found = {name: [x for turn in turns for x in turn.outcomes] for name, turns in self.turns.items()}
        return {name: outcomes for name, outcomes in found.items() if outcomes[0] is not None}

    def _problem(self) -> str | None:
        """Why the row counts for nothing, or None."""
        if missing := [name for name in ("minilm", BASE) if name in self.unavailable]:
            return f"{missing[0]} is not there"
        outcomes = self._outcomes()
        return self.workload.disagreement(outcomes) if outcomes else None


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

    def elapsed(self) -> float:
        """Seconds since then."""
        return time.perf_counter() - self.began

    def share_of_others(self, engines: float) -> float | None:
        """The share of all processors that neither the engines (so many seconds) nor this process took."""
        worked, own = self._worked(), time.process_time() - self.own
        if worked is None or self.worked is None:
            return None
        available = self.elapsed() * (os.cpu_count() or 1)
        return max(0.0, (worked - self.worked - engines - own) / available)
