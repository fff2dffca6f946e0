"""Runs whose law is known: drawn from a published surface, with noise."""

import numpy as np
import pytest

from minilm.scaling.published import HOFFMANN
from minilm.scaling.surface import Surface


def drawn(seed: int, runs: int = 240, noise: float = 0.003, surface: Surface = HOFFMANN):
    """Columns and losses of runs as a study would choose them: budgets of 1e18 to 1e22 FLOPs, evenly in ln C, sizes up
    to 8 times smaller or larger than the best one, and noise of .3 % in ln L, as seeds give it."""
    rng = np.random.default_rng(seed)
    C = 10 ** rng.uniform(18, 22, runs)
    N = surface.optimum(C)[0] * 8 ** rng.uniform(-1, 1, runs)
    D = C / 6 / N
    return {"parameters": N, "tokens": D}, surface.loss(N, D) * np.exp(noise * rng.standard_normal(runs))


@pytest.fixture
def sample():
    return drawn
