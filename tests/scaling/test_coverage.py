"""Intervals that keep what they promise: on points of known constants, how often is the truth within?

Two promises. Each constant alone is within its 95 % interval. All five together are within their 99 % intervals, which
is what five at once need to miss in no more than 5 of 100 (Bonferroni).
"""

import numpy as np
import pytest

from minilm.scaling.bootstrap import bootstrap
from minilm.scaling.fitting import fit
from minilm.scaling.forms import CHINCHILLA
from minilm.scaling.minimizing import PATIENT, PLAIN_MEAN, PLAIN_SUM
from minilm.scaling.published import HOFFMANN

TRUTH = np.array([HOFFMANN._asdict()[name] for name in CHINCHILLA.names])


def covered(sample, repetitions, replicas, **design):
    """(repetitions, 5) of whether each constant is within 95 %, and within 99 %; and the fitted constants."""
    alone, together, found = [], [], []
    for seed in range(repetitions):
        one = fit(CHINCHILLA, *sample(seed, **design), rule=PATIENT._replace(best=3))
        draws = bootstrap(one, replicas, np.random.default_rng(1000 + seed))
        found.append(one.form.constants(one.theta))
        for level, inside in ((0.95, alone), (0.99, together)):
            ends = np.array([draws.interval(name, level) for name in CHINCHILLA.names])
            inside.append((ends[:, 0] <= TRUTH) & (ends[:, 1] >= TRUTH))
    return np.array(alone), np.array(together), np.array(found)


def growth(sample, rule, repetitions, **design):
    """β / (α + β) of fits to samples under a rule."""
    constants = [fit(CHINCHILLA, *sample(seed, **design), rule=rule).constants for seed in range(repetitions)]
    return np.array([c["beta"] / (c["alpha"] + c["beta"]) for c in constants])


def test_a_few_samples(sample):
    """The small version: of 6 samples no more than one misses; the constants lie around the truth."""
    _, together, found = covered(sample, 6, 120, runs=80)
    assert together.all(1).sum() >= 5
    assert np.abs(np.median(found, 0) / TRUTH - 1).max() < 0.2


def test_the_mean_is_biased(sample):
    """Few samples: what the sum finds scatters about the truth, what the mean finds is off on one side of it."""
    runs = {"runs": 100}
    by_sum, by_mean = (growth(sample, rule._replace(best=3), 4, **runs) for rule in (PLAIN_SUM, PLAIN_MEAN))
    assert abs(by_sum.mean() - HOFFMANN.growth) < 0.01
    assert abs(by_mean.mean() - HOFFMANN.growth) > 0.03


@pytest.mark.slow
def test_chinchillas_constants_are_within_their_intervals_in_90_of_100(sample):
    alone, together, found = covered(sample, 100, 500)
    print("within 95 %, each:", alone.sum(0), "within 99 %, all five:", together.all(1).sum())
    assert (alone.sum(0) >= 90).all()
    assert together.all(1).sum() >= 90
    assert np.abs(found.mean(0) / TRUTH - 1).max() < 0.05


@pytest.mark.slow
def test_the_mean_is_biased_over_thirty_samples(sample):
    by_sum, by_mean = growth(sample, PLAIN_SUM, 30), growth(sample, PLAIN_MEAN, 30)
    print("sum", by_sum.mean(), by_sum.std(), "mean", by_mean.mean(), by_mean.std(), "truth", HOFFMANN.growth)
    assert abs(by_sum.mean() - HOFFMANN.growth) < 3 * by_sum.std() / np.sqrt(30)
    bias, error = abs(by_mean.mean() - HOFFMANN.growth), by_mean.std() / np.sqrt(30)
    assert bias > 0.1 and bias > 4 * error


@pytest.mark.slow
def test_the_starts_that_are_followed_are_enough(sample):
    """Many more of the grid's starts find nothing better."""
    for seed in range(5):
        columns, loss = sample(seed)
        few, many = (fit(CHINCHILLA, columns, loss, rule=PATIENT._replace(best=n)) for n in (PATIENT.best, 150))
        assert few.value <= many.value * (1 + 1e-6)
