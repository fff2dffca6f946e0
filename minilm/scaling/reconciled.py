"""Kaplan's .73 and Chinchilla's .50 on one surface: embeddings left out, and small models (Pearce and Song 2024)."""

from typing import Any

import numpy as np

from minilm.errors import ConfigError
from minilm.i18n import tr
from minilm.scaling.published import EPOCH
from minilm.scaling.surface import FLOPS_PER_PARAMETER, Surface

OMEGA = 47491  # of Kaplan's family of models (Pearce and Song 2024)
KAPLAN_SIZES = 768, 1.5e9  # parameters without embeddings (Kaplan et al. 2020, section 3)


def all_parameters(n: Any, omega: float = OMEGA) -> Any:
    """N = n + ω n^(1/3): the embeddings grow with the width, so with the cube root of n, the other parameters."""
    return n + omega * np.cbrt(n)


def best_compute(n: Any, surface: Surface = EPOCH, omega: float = OMEGA) -> Any:
    """The compute 6 n D, embeddings left out, for which n is the best size: where n and D save as much for a percent.

    α A N^−α · s = β B D^−β with s = d ln N / d ln n = (n + ω n^(1/3) / 3) / N. No training and no search.
    """
    N = all_parameters(n, omega)
    share = (n + omega * np.cbrt(n) / 3) / N
    A, B, alpha, beta = surface[1:]
    D = (beta * B * N**alpha / (alpha * A * share)) ** (1 / beta)
    return FLOPS_PER_PARAMETER * n * D


def local_exponent(n: Any, surface: Surface = EPOCH, omega: float = OMEGA) -> Any:
    """d ln n / d ln C along that optimum: 1 for tiny models bends to β / (α + β) for large ones.

    With u = ω n^(−2/3): s = (1 + u/3) / (1 + u), d ln s / d ln n = 4u / (3 (1 + u) (3 + u)), and from the condition
    d ln D / d ln n = (α s − d ln s / d ln n) / β.
    """
    u = omega * np.asarray(n, float) ** (-2 / 3)
    share = (1 + u / 3) / (1 + u)
    bend = 4 * u / (3 * (1 + u) * (3 + u))
    return 1 / (1 + (surface.alpha * share - bend) / surface.beta)


def measured_exponent(low: float, high: float, surface: Surface = EPOCH, omega: float = OMEGA) -> float:
    """The slope of ln n by ln C that one would fit to the best sizes from low to high, at evenly spaced budgets.

    .788 over Kaplan's sizes, 768 to 1.5e9; .519 over 1e9 to 8e10. ConfigError unless 0 < low < high.
    """
    if not 0 < low < high:
        raise ConfigError(tr("sizes from {low} to {high}: wanted 0 < low < high", low=low, high=high))
    n = np.geomspace(low, high, 4001)
    log_C = np.log(best_compute(n, surface, omega))
    even = np.linspace(log_C[0], log_C[-1], 401)
    return float(np.polyfit(even, np.interp(even, log_C, np.log(n)), 1)[0])
