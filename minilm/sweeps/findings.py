"""The laws that a sweep measured: of each source, along each family; and one source's beside another's."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from minilm.errors import ConfigError, DataError
from minilm.scaling.analysis import Along, Analysis, along, frontier
from minilm.scaling.approaches import isoflop
from minilm.scaling.runs import Runs, runs_of
from minilm.sweeps.points import Planned
from minilm.sweeps.table import Row

LEVEL = 0.9  # of the intervals by which two tails are told apart
COLUMNS = ("parameters", "tokens", "flops", "loss", "floor")


@dataclass(frozen=True)
class Law:
    """The exponent along a column. of: "excess" over the known source, or "loss" itself. low, high: the middle 90 % of
    the bootstrap over runs. r_squared: of the geometric means over seeds. floor, known: the fitted and the true one."""

    column: str
    of: str
    exponent: float
    low: float
    high: float
    r_squared: float
    floor: float | None = None
    known: float | None = None


def analysis_of(rows: Sequence[Row], plan: Sequence[Planned], replicas: int) -> Analysis | None:
    """The laws of one source's rows, so far as there are enough; None where there is none yet."""
    main = [row for row in rows if {"sizes", "data"} & set(row["families"].split())]
    found = Analysis(_runs(main or rows)) if rows else None
    if found is None:
        return None
    rng = np.random.default_rng(0)

    def attempt(name: str, make: Callable[[], Any]) -> Any:
        try:
            return make()
        except (DataError, ConfigError) as error:  # too few runs; SciPy is not installed
            found.missing[name] = str(error)
            return None

    parts = {"parameters": _family(main, "sizes", "tokens"), "tokens": _family(main, "data", "width")}
    for column, some in parts.items():
        if some and (law := attempt(column, lambda c=column, r=some: along(c, _runs(r), rng, replicas))):  # type: ignore[misc]
            found.along[column] = law
    if found.along and (law := attempt("flops", lambda: along("flops", frontier(found.runs), rng, replicas))):
        found.along["flops"] = law
    if profiled := profile_runs(rows, plan):
        found.profiles = attempt("profiles", lambda: isoflop(profiled))
    return found


def _family(rows: Sequence[Row], family: str, largest: str) -> list[Row]:
    """The rows of a family; of several, e.g. sizes at two amounts of data, that of the most."""
    members = [row for row in rows if family in row["families"].split()]
    most = max((row[largest] for row in members), default=None)
    return [row for row in members if row[largest] == most]


def _runs(rows: Sequence[Row], **more: Sequence[float]) -> Runs:
    columns = {name: [row[name] for row in rows] for name in COLUMNS if all(name in row for row in rows)}
    return runs_of({**columns, **more}, [row["run"] for row in rows])


def profile_runs(rows: Sequence[Row], plan: Sequence[Planned]) -> Runs | None:
    """The runs of the isoFLOP profiles, each with its budget."""
    budgets = {one.point.name: sorted(one.budgets) for one in plan}
    pairs = [(row, budget) for row in rows for budget in budgets[row["run"]]]
    if not pairs:
        return None
    return _runs([row for row, _ in pairs], budget=[budget for _, budget in pairs])


def laws_of(found: Analysis) -> list[Law]:
    """Of each column the exponent of the excess, where the source is known, and of the loss itself."""
    return [law for column, one in found.along.items() if column != "flops" for law in _laws(column, one)]


def _laws(column: str, one: Along) -> list[Law]:
    floor = None if one.with_floor is None else one.with_floor.fit.constants["E"]
    laws = []
    for of, fitted in (("excess", one.excess), ("loss", one.plain)):
        if fitted is not None:
            interval = fitted.draws.interval("alpha", LEVEL)
            fit = fitted.fit
            laws.append(
                Law(column, of, fit.constants["alpha"], *interval, fit.r_squared_of_means, floor, one.floor)
            )  # fmt: skip
    return laws


def lowest_excess(rows: Sequence[Row]) -> float | None:
    """The least excess over its standard error: below -3 a model would have seen what it should predict."""
    return min((row["excess"] / row["excess_se"] for row in rows if row.get("excess_se")), default=None)


@dataclass(frozen=True)
class Comparison:
    """The exponents of two tails along a column; apart: their 90 % intervals are disjoint."""

    column: str
    larger: float
    smaller: float
    exponents: tuple[float, float]
    apart: bool


def compared(laws: dict[float, list[Law]]) -> list[Comparison]:
    """Neighbouring tails, the larger first."""
    found = []
    tails = sorted(laws, reverse=True)
    for larger, smaller in zip(tails, tails[1:], strict=False):
        for one in laws[larger]:
            for other in laws[smaller]:
                if one.of == other.of == "excess" and one.column == other.column:
                    apart = one.low > other.high or other.low > one.high
                    pair = (one.exponent, other.exponent)
                    found.append(Comparison(one.column, larger, smaller, pair, apart))
    return found
