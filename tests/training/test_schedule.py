import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minilm.errors import ConfigError
from minilm.training import learning_rate

SHAPES = ("cosine", "linear", "constant")


@pytest.mark.parametrize("shape", SHAPES)
@given(peak=st.floats(1e-6, 10), warmup=st.integers(1, 50), more=st.integers(1, 500), floor=st.floats(0, 1))
def test_ends_are_exact(shape, peak, warmup, more, floor):
    settings = {"peak": peak, "steps": warmup + more, "warmup": warmup, "shape": shape, "floor": floor}
    end = peak if shape == "constant" else floor * peak
    assert learning_rate(0, **settings) == 0
    assert abs(learning_rate(warmup, **settings) - peak) <= 1e-12 * peak
    assert abs(learning_rate(warmup + more, **settings) - end) <= 1e-12 * peak
    assert abs(learning_rate(warmup + more + 7, **settings) - end) <= 1e-12 * peak
    rates = [learning_rate(s, **settings) for s in range(warmup + more + 1)]
    assert all(a < b for a, b in itertools.pairwise(rates[: warmup + 1]))
    assert all(a >= b - 1e-12 * peak for a, b in itertools.pairwise(rates[warmup:]))


def test_halfway_values():
    def at(step, shape):
        return learning_rate(step, peak=2.0, steps=120, warmup=20, shape=shape, floor=0.1)

    assert at(5, "cosine") == 0.5  # a quarter of the warm-up
    assert math.isclose(at(70, "cosine"), 2 * (0.1 + 0.9 / 2))
    assert math.isclose(at(45, "cosine"), 2 * (0.1 + 0.9 * (1 + math.sqrt(0.5)) / 2))
    assert math.isclose(at(45, "linear"), 2 * (0.1 + 0.9 * 0.75))
    assert at(119, "constant") == 2.0


def test_no_warmup_starts_at_the_peak():
    assert learning_rate(0, peak=0.3, steps=10) == 0.3


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"shape": "exponential"}, "schedule"),
        ({"peak": -1.0}, "rate"),
        ({"peak": math.nan}, "rate"),
        ({"warmup": 11}, "warmup"),
        ({"warmup": -1}, "warmup"),
        ({"floor": 1.5}, "floor"),
        ({"step": -1}, "step"),
    ],
)
def test_what_cannot_be_is_named(wrong, named):
    settings = {"step": 1, "peak": 1.0, "steps": 10, "warmup": 2, "shape": "linear", "floor": 0.0, **wrong}
    with pytest.raises(ConfigError, match=named):
        learning_rate(**settings)
