"""Every fit that a table of runs allows: along size, data and compute, of both together, and the best size."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from minilm.errors import DataError
from minilm.scaling.approaches import Best, Profiles, envelope, isoflop
from minilm.scaling.bootstrap import Bootstrap, bootstrap
from minilm.scaling.extrapolation import Extrapolation, extrapolate
from minilm.scaling.fitting import Fit, fit
from minilm.scaling.forms import CHINCHILLA, SIZE_AND_DATA, SIZE_AND_STEPS, Form, power
from minilm.scaling.minimizing import DELTA
from minilm.scaling.runs import Runs

FLOOR_VALUES = 5  # of a column: three constants and something left over
LEAST_RUNS = 8  # for a law of two columns: four or five constants and something left over


class Fitted(NamedTuple):
    """A fit and its bootstrap."""

    fit: Fit
    draws: Bootstrap


@dataclass(frozen=True)
class Along:
    """The loss along one column of some runs.

    plain: A x^−α of the loss itself, by least squares on logarithms, as Kaplan fits. with_floor: E + A x^−α, E fitted;
    None for fewer than five values of x. excess: A x^−α of the loss above the known floor, None where none is known;
    left_out: runs whose excess is not above 0 and has no logarithm. floor: the mean of the known one. test: the best
    of these laws fitted to the smaller two thirds of the values, and what it predicts of the others.
    """

    column: str
    runs: Runs
    plain: Fitted
    with_floor: Fitted | None = None
    excess: Fitted | None = None
    floor: float | None = None
    left_out: int = 0
    test: Extrapolation | None = None


@dataclass
class Analysis:
    """What was fitted; where the table does not allow a fit it is not there. missing: why, by name of the fit."""

    runs: Runs
    along: dict[str, Along] = field(default_factory=dict)  # parameters, tokens, flops
    both: dict[str, Fitted] = field(default_factory=dict)  # chinchilla, kaplan, steps
    profiles: Profiles | None = None
    envelope: Best | None = None
    missing: dict[str, str] = field(default_factory=dict)


def analyse(runs: Runs, rng: np.random.Generator, replicas: int = 500) -> Analysis:
    """All fits. Along the size those runs count that had the most tokens, along the data those of the largest size,
    along the compute those that no cheaper run was as good as."""
    ends, found = runs.ends, Analysis(runs)
    parts = {
        "parameters": ends.where(ends["tokens"] == ends["tokens"].max()),
        "tokens": ends.where(ends["parameters"] == ends["parameters"].max()),
        "flops": frontier(runs),
    }

    def attempt(name: str, make: Callable[[], Any]) -> Any:
        try:
            return make()
        except DataError as error:
            found.missing[name] = str(error)

    for column, some in parts.items():
        law = attempt(column, lambda column=column, some=some: along(column, some, rng, replicas))  # type: ignore[misc]
        if law is not None:
            found.along[column] = law
    for name, form in (("chinchilla", CHINCHILLA), ("kaplan", SIZE_AND_DATA), ("steps", SIZE_AND_STEPS)):
        rows = runs if name == "steps" else ends
        if all(column in rows and len(np.unique(rows[column])) > 2 for column in form.columns) and (
            len(rows) >= LEAST_RUNS
        ):
            law = attempt(name, lambda form=form, rows=rows: fitted(form, rows, rows["loss"], rng, replicas))  # type: ignore[misc]
            if law is not None:
                found.both[name] = law
    if "budget" in ends:
        found.profiles = attempt("profiles", lambda: isoflop(ends))
    if runs.curves:
        found.envelope = attempt("envelope", lambda: envelope(runs))
    return found


def along(column: str, runs: Runs, rng: np.random.Generator, replicas: int) -> Along:
    """The laws in one column of these runs; DataError where they are too few or all alike."""
    plain = fitted(power(column), runs, runs["loss"], rng, replicas, delta=np.inf)
    values = len(np.unique(runs[column]))
    floored = fitted(power(column, floor=True), runs, runs["loss"], rng, replicas) if values >= FLOOR_VALUES else None
    excess, small = runs.excess, -(-2 * values // 3)
    if excess is None:
        floor = small >= FLOOR_VALUES
        test = _tested(column, runs, runs["loss"], small, floor, rng, replicas)
        return Along(column, runs, plain, floored, test=test)
    above = excess > 0
    kept = runs.where(above)
    law = fitted(power(column), kept, excess[above], rng, replicas, delta=np.inf)
    test = _tested(column, kept, excess[above], small, False, rng, replicas)
    return Along(column, runs, plain, floored, law, float(runs["floor"].mean()), int((~above).sum()), test)


def _tested(
    column: str, runs: Runs, loss: np.ndarray, small: int, floor: bool, rng: np.random.Generator, replicas: int
) -> Extrapolation | None:
    """The law with a floor if one can be fitted to so few values, else without; None where no value is left."""
    if not 3 <= small < len(np.unique(runs[column])):
        return None
    delta = DELTA if floor else np.inf
    return extrapolate(power(column, floor), runs.columns, loss, column, small, replicas, rng, delta=delta)


def fitted(form: Form, runs: Runs, loss: np.ndarray, rng: np.random.Generator, replicas: int, **how: Any) -> Fitted:
    """A fit to runs, and its bootstrap over them."""
    found = fit(form, runs.columns, loss, **how)
    return Fitted(found, bootstrap(found, replicas, rng))


def frontier(runs: Runs) -> Runs:
    """The rows that no row of as few FLOPs or fewer beats or equals, by FLOPs."""
    order = np.lexsort((runs["loss"], runs["flops"]))
    before = np.minimum.accumulate(np.concatenate(([np.inf], runs["loss"][order][:-1])))
    return runs.where(order[runs["loss"][order] < before])
