"""The formulas that are fitted, each as ln L̂ of its parameters θ, with its gradient written by hand.

Constants that must be above 0 appear in θ by their logarithms, so that no step of a minimizer can leave where they make
sense, and ln L̂ is the logarithm of a sum of exponentials of lines in θ, which cannot overflow.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np


class Form(Protocol):
    """What the fits ask of a formula. logs: ln of the columns, (n, k) for n runs; theta: (p,) or (m, p)."""

    @property
    def columns(self) -> tuple[str, ...]:
        """What a run has to say of itself, beside its loss."""

    @property
    def names(self) -> tuple[str, ...]:
        """The p constants, as people name them, in the order of θ."""

    def log_loss(self, theta: np.ndarray, logs: np.ndarray) -> np.ndarray:
        """ln L̂ of each run: (n,), or (m, n) for m vectors at once."""

    def gradient(self, theta: np.ndarray, logs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """ln L̂ (n,) and d ln L̂ / dθ (p, n); for m vectors (m, n) and (p, m, n)."""

    def starts(self, logs: np.ndarray, log_loss: np.ndarray) -> np.ndarray:
        """Places to begin from, (m, p)."""

    def constants(self, theta: np.ndarray) -> np.ndarray:
        """θ as the named constants; (..., p) -> (..., p)."""

    def centred(self, theta: np.ndarray, centre: np.ndarray, back: bool = False) -> np.ndarray:
        """θ of the same formula for columns divided by e^centre, (k,); or back again."""


@dataclass(frozen=True)
class Powers:
    """L = Σ_k A_k x_k^−α_k [+ E]; θ = (ln A_1, …, [ln E,] α_1, …).

    One power is a power law, with or without an irreducible loss; two with E are Chinchilla's form, two without it
    Kaplan's L(N, S). critical: name the scale as Kaplan does, (x_c / x)^α, with x_c = A^(1/α). The gradient by a line's
    height is its share of L̂, by its slope −ln x times the share.
    """

    columns: tuple[str, ...]
    names: tuple[str, ...]
    floor: bool = True
    critical: bool = False

    def _lines(self, theta: np.ndarray, logs: np.ndarray) -> np.ndarray:
        """(k [+ 1], n) or (k [+ 1], m, n): the logarithm of each summand."""
        k, n = len(self.columns), len(logs)
        heights, slopes = theta[..., :k], theta[..., -k:]
        lines = [heights[..., i, None] - slopes[..., i, None] * logs[:, i] for i in range(k)]
        if self.floor:
            lines.append(np.broadcast_to(theta[..., k, None], (*theta.shape[:-1], n)))
        return np.stack(lines)

    def log_loss(self, theta: np.ndarray, logs: np.ndarray) -> np.ndarray:
        return _log_sum(self._lines(theta, logs))[0]

    def gradient(self, theta: np.ndarray, logs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        total, shares = _log_sum(self._lines(theta, logs))
        x = logs.T.reshape(-1, *[1] * (theta.ndim - 1), len(logs))  # (k, n) or (k, 1, n)
        return total, np.concatenate([shares, -shares[: len(self.columns)] * x])

    def starts(self, logs: np.ndarray, log_loss: np.ndarray) -> np.ndarray:
        """Hoffmann's grid (2022, appendix D.3) for two powers; for one, what its scale leaves of it.

        α, β in {0, .5, …, 2}, ln E in {−1, −.5, …, 1}, ln A, ln B in {0, 5, …, 25}. A floor cannot be above the least
        loss, so ln E goes down from there instead where the least loss is below e^−1.
        """
        k, least = len(self.columns), float(log_loss.min())
        floors = np.arange(-1, 1.5, 0.5) if least > -1 else least - np.array([0.01, 0.5, 1.5, 3])
        scales = [np.arange(0, 30, 5.0)] * k if k > 1 else [np.arange(-5, 30, 2.5)]
        grid = [*scales, *([floors] if self.floor else []), *[np.arange(0, 2.5, 0.5)] * k]
        return np.array(list(itertools.product(*grid)))

    def constants(self, theta: np.ndarray) -> np.ndarray:
        k, found = len(self.columns), np.array(theta, float)
        with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
            if self.critical:
                found[..., :k] = np.exp(theta[..., :k] / theta[..., -k:])
            else:
                found[..., :k] = np.exp(theta[..., :k])
            found[..., k:-k] = np.exp(theta[..., k:-k])
        return found

    def centred(self, theta: np.ndarray, centre: np.ndarray, back: bool = False) -> np.ndarray:
        k, moved = len(self.columns), np.array(theta, float)
        shift = moved[..., -k:] * centre
        moved[..., :k] += shift if back else -shift
        return moved


@dataclass(frozen=True)
class SizeAndData:
    """Kaplan's L(N, D) = [(Nc/N)^(αN/αD) + Dc/D]^αD (2020, equation 1.5); θ = (ln Nc, ln Dc, αN, αD).

    ln L̂ = αD ln(e^z1 + e^z2), z1 = αN/αD (ln Nc − ln N), z2 = ln Dc − ln D. With the share p1 of e^z1:
    d/d ln Nc = αN p1, d/d ln Dc = αD p2, d/dαN = p1 (ln Nc − ln N), d/dαD = ln(e^z1 + e^z2) − p1 z1.
    """

    columns: tuple[str, ...] = ("parameters", "tokens")
    names: tuple[str, ...] = ("Nc", "Dc", "alpha_N", "alpha_D")

    def _parts(self, theta: np.ndarray, logs: np.ndarray) -> tuple[Any, ...]:
        log_Nc, log_Dc, alpha_N, alpha_D = (theta[..., i, None] for i in range(4))
        above = log_Nc - logs[:, 0]
        ratio = alpha_N / alpha_D
        return alpha_N, alpha_D, above, np.stack([ratio * above, log_Dc - logs[:, 1]])

    def log_loss(self, theta: np.ndarray, logs: np.ndarray) -> np.ndarray:
        _, alpha_D, _, lines = self._parts(theta, logs)
        return alpha_D * _log_sum(lines)[0]

    def gradient(self, theta: np.ndarray, logs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        alpha_N, alpha_D, above, lines = self._parts(theta, logs)
        total, (p1, p2) = _log_sum(lines)
        return alpha_D * total, np.stack([alpha_N * p1, alpha_D * p2, p1 * above, total - p1 * lines[0]])

    def starts(self, logs: np.ndarray, log_loss: np.ndarray) -> np.ndarray:
        """Exponents from .03 to 1.5; scales at which the term alone would be the middle of all losses."""
        middle, (n, d) = float(np.median(log_loss)), np.median(logs, axis=0)
        exponents = (0.03, 0.08, 0.2, 0.5, 1.0, 1.5)
        return np.array([
            (n + middle / alpha_N + up, d + middle / alpha_D + down, alpha_N, alpha_D)
            for alpha_N, alpha_D in itertools.product(exponents, exponents)
            for up, down in itertools.product((-2.0, 0.0), (-2.0, 0.0))
        ])  # fmt: skip

    def constants(self, theta: np.ndarray) -> np.ndarray:
        found = np.array(theta, float)
        with np.errstate(over="ignore"):
            found[..., :2] = np.exp(theta[..., :2])
        return found

    def centred(self, theta: np.ndarray, centre: np.ndarray, back: bool = False) -> np.ndarray:
        moved = np.array(theta, float)
        moved[..., :2] += centre if back else -centre
        return moved


def _log_sum(lines: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """ln Σ e^line over the first axis, and the share of each summand."""
    top = lines.max(0)
    parts = np.exp(lines - top)
    total = parts.sum(0)
    return top + np.log(total), parts / total


def power(column: str, floor: bool = False) -> Powers:
    """A power law in one column: A x^−α, or A x^−α + E."""
    return Powers((column,), ("A", "E", "alpha") if floor else ("A", "alpha"), floor)


CHINCHILLA = Powers(("parameters", "tokens"), ("A", "B", "E", "alpha", "beta"))
SIZE_AND_DATA = SizeAndData()
SIZE_AND_STEPS = Powers(("parameters", "steps"), ("Nc", "Sc", "alpha_N", "alpha_S"), floor=False, critical=True)


def as_logs(columns: Sequence[Any]) -> np.ndarray:
    """ln of columns of numbers above 0, (n, k)."""
    return np.log(np.stack([np.asarray(column, float) for column in columns], axis=1))


def theta_of(form: Powers, **constants: float) -> np.ndarray:
    """θ of a sum of powers from its named constants; the inverse of `constants`."""
    k, values = len(form.columns), [constants[name] for name in form.names]
    heights = [math.log(v) * (slope if form.critical else 1) for v, slope in zip(values, values[-k:], strict=False)][:k]
    return np.array([*heights, *map(math.log, values[k:-k]), *values[-k:]])
