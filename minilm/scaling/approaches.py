"""How the best size grows with compute, measured in Chinchilla's three ways (Hoffmann et al. 2022, section 3)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from minilm.errors import DataError
from minilm.i18n import tr
from minilm.scaling.fitting import Fit
from minilm.scaling.published import Growth
from minilm.scaling.runs import Runs
from minilm.scaling.surface import Surface

BUDGETS = 1500  # logarithmically spaced, on the envelope (Hoffmann et al. 2022, section 3.1)


@dataclass(frozen=True)
class Best:
    """Budgets (k,), the best size and data for each, the loss there, and the powers of C that they follow."""

    compute: np.ndarray
    parameters: np.ndarray
    tokens: np.ndarray
    loss: np.ndarray

    @property
    def size(self) -> Growth:
        """N = factor · C^a, by least squares on logarithms."""
        return _growth(self.compute, self.parameters)

    @property
    def data(self) -> Growth:
        """D = factor · C^b."""
        return _growth(self.compute, self.tokens)


def _growth(x: np.ndarray, y: np.ndarray) -> Growth:
    slope, height = np.polyfit(np.log(x), np.log(y), 1)
    return Growth(float(np.exp(height)), float(slope))


# ------------------------------------------------------------------------- approach 1: the envelope of learning curves


def envelope(runs: Runs, budgets: int = BUDGETS) -> Best:
    """For each of many budgets, the run whose learning curve is lowest there (approach 1).

    A curve is read between its points by a line in ln C and ln L. A budget counts only if sizes on both sides of the
    best one were tried there: where the smallest or the largest is best, the true best may lie beyond. DataError where
    there are no learning curves, or none of the budgets counts.
    """
    curves = runs.curves
    if len({float(curve["parameters"][0]) for curve in curves}) < 3:
        raise DataError(tr("an envelope needs the learning curves of at least three sizes: several rows for each run"))
    ends = [curve["flops"] for curve in curves]
    C = np.geomspace(min(c[0] for c in ends), max(c[-1] for c in ends), budgets)
    losses = np.stack([_along(curve, C) for curve in curves])  # (runs, budgets), inf where not trained so far
    sizes = np.array([curve["parameters"][0] for curve in curves])
    there = np.isfinite(losses)
    best = np.argmin(losses, axis=0)
    low = np.where(there, sizes[:, None], np.inf).min(0)
    high = np.where(there, sizes[:, None], -np.inf).max(0)
    inside = (low < sizes[best]) & (sizes[best] < high)
    if len(np.unique(best[inside])) < 2:
        raise DataError(
            tr("on the envelope of these learning curves only the smallest or the largest sizes are best: train others")
        )
    N, at = sizes[best[inside]], C[inside]
    per_token = np.array([curve["flops"][-1] / curve["tokens"][-1] for curve in curves])[best[inside]]
    return Best(at, N, at / per_token, losses[best[inside], np.flatnonzero(inside)])


def _along(curve: Runs, C: np.ndarray) -> np.ndarray:
    found = np.exp(np.interp(np.log(C), np.log(curve["flops"]), np.log(curve["loss"])))
    return np.where((curve["flops"][0] <= C) & (curve["flops"][-1] >= C), found, np.inf)


# ------------------------------------------------------------------------------------- approach 2: isoFLOP parabolas


@dataclass(frozen=True)
class Parabola:
    """L = c0 + c1 u + c2 u² with u = ln N, fitted to the runs of one budget; where it is least."""

    budget: float
    coefficients: np.ndarray  # (3,), highest power first, of u − middle
    middle: float
    parameters: float
    loss: float

    def __call__(self, N: Any) -> np.ndarray:
        return np.polyval(self.coefficients, np.log(N) - self.middle)


@dataclass(frozen=True)
class Profiles:
    """The parabolas, the best sizes along them, and the budgets that were left out."""

    parabolas: list[Parabola]
    best: Best
    left_out: list[float]


def isoflop(runs: Runs) -> Profiles:
    """A parabola in ln N for the runs of each budget; its lowest point is the best size for it (approach 2).

    A budget is left out if its parabola has no lowest point, or has it outside of the sizes tried. Runs of the same
    budget say so in the column `budget`. DataError where fewer than two budgets are left.
    """
    if "budget" not in runs:
        raise DataError(
            tr("isoFLOP profiles need the column {column}: the budget that each run belongs to", column="budget")
        )
    found, left_out = [], []
    for budget in np.unique(runs["budget"]):
        of_budget = runs.where(runs["budget"] == budget)
        parabola = _parabola(float(budget), of_budget)
        if parabola is None:
            left_out.append(float(budget))
        else:
            found.append(parabola)
    if len(found) < 2:
        raise DataError(
            tr("of {all} budgets only {n} have a lowest point within their sizes: add sizes on both sides",
               all=len(found) + len(left_out), n=len(found))
        )  # fmt: skip
    C, N = np.array([p.budget for p in found]), np.array([p.parameters for p in found])
    D = np.exp([_at(N_best, runs.where(runs["budget"] == c)) for c, N_best in zip(C, N, strict=True)])
    return Profiles(found, Best(C, N, D, np.array([p.loss for p in found])), left_out)


def _parabola(budget: float, runs: Runs) -> Parabola | None:
    log_N = np.log(runs["parameters"])
    if len(np.unique(log_N)) < 3:
        return None
    middle = float(log_N.mean())
    coefficients = np.polyfit(log_N - middle, runs["loss"], 2)
    bend, slope = coefficients[0], coefficients[1]
    if not bend > 0:
        return None
    lowest = -slope / (2 * bend)
    if not log_N.min() <= middle + lowest <= log_N.max():
        return None
    return Parabola(
        budget, coefficients, middle, float(np.exp(middle + lowest)), float(np.polyval(coefficients, lowest))
    )


def _at(N: float, runs: Runs) -> float:
    """ln D at a size, between the runs of a budget: its FLOPs may be more than 6 N D."""
    order = np.argsort(runs["parameters"])
    log_D = np.log(runs["tokens"][order])
    return float(np.interp(np.log(N), np.log(runs["parameters"][order]), log_D))


# ---------------------------------------------------------------------------------------- approach 3: a fitted surface


def surface_of(constants: Fit | Mapping[str, float]) -> Surface:
    """The surface of a fit of Chinchilla's form (approach 3); its `optimum` is the best size for a budget."""
    found = constants.constants if isinstance(constants, Fit) else constants
    return Surface(**{name: found[name] for name in Surface._fields})


def along_surface(surface: Surface, C: Any) -> Best:
    """The best size and data for these budgets on a surface, 6 N D = C."""
    C = np.asarray(C, float)
    N, D = surface.optimum(C)
    return Best(C, N, D, surface.loss(N, D))
