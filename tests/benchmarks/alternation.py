"""Engines timed by turns: minilm, PyTorch, minilm, PyTorch, …, so that what disturbs the machine disturbs both."""

import contextlib
import statistics
import time
from dataclasses import dataclass, field
from typing import Any

from engines import WORKLOADS
from sizes import SIZES, Size
from smollm2 import SMOLLM2, Checkpoint

BASE = "torch"  # the engine that the others are compared with


@dataclass(frozen=True)
class Row:
    """One line of the table: a workload at a size. rounds: how many are timed, after `warm_up` that are not."""

    workload: str
    size: Size | Checkpoint
    threads: int
    rounds: int
    warm_up: int

    @property
    def name(self) -> str:
        return self.workload if self.workload == self.size.name else f"{self.workload}-{self.size.name}"


ROWS = [
    Row("training", SIZES["S"], threads=1, rounds=25, warm_up=4),
    Row("training", SIZES["M"], threads=1, rounds=12, warm_up=2),
    Row("generation", SIZES["S"], threads=1, rounds=25, warm_up=3),
    Row("generation", SIZES["M"], threads=1, rounds=9, warm_up=1),
    Row("smollm2", SMOLLM2, threads=1, rounds=5, warm_up=1),
]


@dataclass(frozen=True)
class Result:
    """The seconds of every timed round of each engine. problem: why the row counts for nothing, or None.

    processor: the share of a processor that this process got meanwhile; far below 1, others were busy on it.
    peak_memory: of each engine in a process of its own, in bytes, where that is measured.
    """

    row: Row
    tokens: int
    seconds: dict[str, list[float]]
    processor: float
    problem: str | None
    peak_memory: dict[str, int] = field(default_factory=dict)

    def tokens_per_second(self, engine: str) -> float:
        """By the median round."""
        return self.tokens / statistics.median(self.seconds[engine])

    def ratio(self, engine: str) -> tuple[float, float, float]:
        """How many times as fast as PyTorch, round for round: the lower quartile, the median, the upper quartile."""
        pairs = zip(self.seconds[BASE], self.seconds[engine], strict=True)
        low, middle, high = statistics.quantiles([base / own for base, own in pairs], n=4, method="inclusive")
        return low, middle, high


def run(row: Row) -> Result:
    """Time a row: every engine once in each round, in the same order, on the same input."""
    workload = WORKLOADS[row.workload]
    weights = workload.weights(row.size)
    with contextlib.ExitStack() as stack:
        engines = {
            name: stack.enter_context(make(row.size, weights, row.threads)) for name, make in workload.engines.items()
        }
        seconds: dict[str, list[float]] = {name: [] for name in engines}
        outcomes: dict[str, list[Any]] = {name: [] for name in engines}
        began, used = time.perf_counter(), time.process_time()
        for number in range(row.warm_up + row.rounds):
            given = workload.input(row.size, number)
            for name, engine in engines.items():
                start = time.perf_counter()
                outcome = engine(given)
                seconds[name].append(time.perf_counter() - start)
                outcomes[name].append(outcome)
        share = (time.process_time() - used) / (time.perf_counter() - began)
    timed = {name: all_of_them[row.warm_up :] for name, all_of_them in seconds.items()}
    memory = {name: workload.peak_memory(name) for name in engines} if workload.peak_memory else {}
    return Result(row, workload.tokens(row.size), timed, share, workload.disagreement(outcomes), memory)
