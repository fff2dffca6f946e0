"""The laws that a sweep measured: of each source, along each family; and one source's beside another's."""

from collections.abc import Sequence
from dataclasses import dataclass

from minilm.scaling.analysis import Along, Analysis, frontier
from minilm.scaling.runs import OPTIONAL, REQUIRED, Runs, runs_of
from minilm.sweeps.points import Planned
from minilm.sweeps.table import Row

LEVEL = 0.9  # of the intervals by which two tails are told apart
COLUMNS = (*REQUIRED, *OPTIONAL)


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


def parts_of(rows: Sequence[Row], curves: Sequence[Row] = (), plan: Sequence[Planned] = ()) -> dict[str, Runs]:
    """Which rows of one source count for which fit (analysis.py): along the size and the data those of that family, for
    surfaces and along the compute those of both, for L(N, S) and the envelope the learning curves of the sizes."""
    sizes, data = _family(rows, "sizes", "tokens"), _family(rows, "data", "width")
    both = _members(rows, "sizes", "data") or rows
    names = {row["run"] for row in sizes}
    some = {"parameters": sizes, "tokens": data, "chinchilla": both, "kaplan": both, "profiles": profiled(rows, plan)}
    whole = [row for row in curves if row["run"] in names]
    parts = {name: _runs(those) for name, those in {**some, "steps": whole, "envelope": whole}.items() if those}
    return parts | {"flops": frontier(_runs(both))}


def _members(rows: Sequence[Row], *families: str) -> list[Row]:
    return [row for row in rows if set(families) & set(row["families"].split())]


def _family(rows: Sequence[Row], family: str, largest: str) -> list[Row]:
    """The rows of a family; of several, e.g. sizes at two amounts of data, that of the most."""
    members = _members(rows, family)
    most = max((row[largest] for row in members), default=None)
    return [row for row in members if row[largest] == most]


def profiled(rows: Sequence[Row], plan: Sequence[Planned]) -> list[Row]:
    """The rows of the isoFLOP profiles, once for each budget that they belong to."""
    budgets = {one.point.name: sorted(one.budgets) for one in plan}
    return [{**row, "budget": budget} for row in rows for budget in budgets.get(row["run"], ())]


def _runs(rows: Sequence[Row]) -> Runs:
    columns = {name: [row[name] for row in rows] for name in COLUMNS if all(row.get(name) is not None for row in rows)}
    return runs_of(columns, [row["run"] for row in rows])


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
