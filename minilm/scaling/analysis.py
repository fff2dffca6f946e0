"""Every fit that a table of runs allows: along size, data and compute, of both together, and the best size."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from minilm.errors import DataError
from minilm.scaling.approaches import Best, Profiles, along_surface, envelope, isoflop, surface_of
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
    """What was fitted, and to which runs; where these do not allow a fit it is not there.

    parts: the runs of each fit, by its name, as `parts_of` has them. missing: why a fit is not there, by the same.
    """

    parts: Mapping[str, Runs]
    along: dict[str, Along] = field(default_factory=dict)  # parameters, tokens, flops
    both: dict[str, Fitted] = field(default_factory=dict)  # chinchilla, kaplan, steps
    profiles: Profiles | None = None
    envelope: Best | None = None
    missing: dict[str, str] = field(default_factory=dict)

    @property
    def laws(self) -> dict[str, Fitted]:
        """Every fit by the formula that people read."""
        found = {}
        for column, one in self.along.items():
            x = LETTERS[column]
            found[f"L({x}) = A {x}^-alpha"] = one.plain
            if one.with_floor is not None:
                found[f"L({x}) = A {x}^-alpha + E"] = one.with_floor
            if one.excess is not None:
                found[f"L({x}) - H = A {x}^-alpha"] = one.excess
        return found | {FORMULAS[name]: law for name, law in self.both.items()}

    @property
    def best(self) -> dict[str, Best]:
        """The best sizes by each of the three approaches that there are: envelope, isoflop, surface."""
        found = {} if self.envelope is None else {"envelope": self.envelope}
        if self.profiles is not None:
            found["isoflop"] = self.profiles.best
        if "chinchilla" in self.both:
            flops = self.parts["chinchilla"]["flops"]
            budgets = np.geomspace(flops.min(), flops.max(), 20)
            found["surface"] = along_surface(surface_of(self.both["chinchilla"].fit), budgets)
        return found


LETTERS = {"parameters": "N", "tokens": "D", "flops": "C"}
FORMS: dict[str, Form] = {"chinchilla": CHINCHILLA, "kaplan": SIZE_AND_DATA, "steps": SIZE_AND_STEPS}
FORMULAS = {
    "chinchilla": "L(N, D) = A N^-alpha + B D^-beta + E",
    "kaplan": "L(N, D) = ((Nc/N)^(alpha_N/alpha_D) + Dc/D)^alpha_D",
    "steps": "L(N, S) = (Nc/N)^alpha_N + (Sc/S)^alpha_S",
}


def parts_of(runs: Runs) -> dict[str, Runs]:
    """Which runs of a table count for which fit: along the size those that had the most tokens, along the data those of
    the largest size, along the compute those that no cheaper run was as good as; for L(N, S) and the envelope whole
    learning curves."""
    ends = runs.ends
    return {
        "parameters": ends.where(ends["tokens"] == ends["tokens"].max()),
        "tokens": ends.where(ends["parameters"] == ends["parameters"].max()),
        "flops": frontier(runs),
        "chinchilla": ends,
        "kaplan": ends,
        "steps": runs,
        "profiles": ends,
        "envelope": runs,
    }


def analyse(parts: Mapping[str, Runs], rng: np.random.Generator, replicas: int = 500) -> Analysis:
    """All fits for which there are runs. ConfigError where a surface is to be fitted and SciPy is not installed."""
    found = Analysis(parts)

    def attempt(name: str, make: Callable[[Runs], Any]) -> Any:
        try:
            return make(parts[name])
        except DataError as error:
            found.missing[name] = str(error)

    for column in LETTERS:
        if column in parts:
            law = attempt(column, lambda runs, column=column: along(column, runs, rng, replicas))  # type: ignore[misc]
            if law is not None:
                found.along[column] = law
    for name, form in FORMS.items():
        if name in parts and _many_enough(form, parts[name]):
            law = attempt(name, lambda runs, form=form: fitted(form, runs, runs["loss"], rng, replicas))  # type: ignore[misc]
            if law is not None:
                found.both[name] = law
    if "profiles" in parts and "budget" in parts["profiles"]:
        found.profiles = attempt("profiles", isoflop)
    if "envelope" in parts and parts["envelope"].curves:
        found.envelope = attempt("envelope", envelope)
    return found


def _many_enough(form: Form, runs: Runs) -> bool:
    varied = all(column in runs and len(np.unique(runs[column])) > 2 for column in form.columns)
    return varied and len(runs) >= LEAST_RUNS


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
