"""Intervals: the fits to draws are those of L-BFGS; the spread is the one theory gives; groups stay together."""

import numpy as np
import pytest

from minilm.errors import ConfigError, DataError
from minilm.scaling.bootstrap import bootstrap, drawn_weights, middle
from minilm.scaling.draws import minimize_draws
from minilm.scaling.extrapolation import extrapolate
from minilm.scaling.fitting import fit
from minilm.scaling.forms import CHINCHILLA, SIZE_AND_DATA, power
from minilm.scaling.minimizing import minimize
from minilm.scaling.published import loss_of_size_and_data


@pytest.mark.parametrize("form", [CHINCHILLA, SIZE_AND_DATA], ids=["Chinchilla", "Kaplan"])
@pytest.mark.parametrize("delta", [1e-3, np.inf])
def test_many_fits_at_once_end_where_l_bfgs_ends(form, delta, sample):
    rng = np.random.default_rng(0)
    columns, loss = sample(0, runs=80)
    if form is SIZE_AND_DATA:
        loss = loss_of_size_and_data(**{n: columns[c] for n, c in (("N", "parameters"), ("D", "tokens"))})
        loss = loss * np.exp(0.003 * rng.standard_normal(80))
    found = fit(form, columns, loss, delta=delta)
    weights = drawn_weights(found, 6, rng)
    together = minimize_draws(form, found.logs, found.log_loss, weights, found.theta, delta)
    for theta, row in zip(together, weights, strict=True):
        alone = minimize(form, found.logs, found.log_loss, row, starts=found.theta[None], delta=delta)
        assert theta == pytest.approx(alone.theta, rel=2e-4, abs=2e-4)


def test_the_spread_of_a_slope_is_its_standard_error():
    """Of a line with even noise: σ / √Σ(u − ū)², and 1.96 of it on either side."""
    rng = np.random.default_rng(1)
    x = np.geomspace(1, 1e6, 200)
    found = fit(power("tokens"), {"tokens": x}, x**-0.3 * np.exp(0.1 * rng.standard_normal(200)), delta=np.inf)
    draws = bootstrap(found, 800, rng)
    u = np.log(x) - np.log(x).mean()
    error = 0.1 / np.sqrt(u @ u)
    assert draws.draws[:, 1].std() == pytest.approx(error, rel=0.15)
    low, high = draws.interval("alpha")
    assert high - low == pytest.approx(2 * 1.96 * error, rel=0.15) and low < found.constants["alpha"] < high
    assert draws.of(lambda A, alpha: 2 * alpha) == pytest.approx((2 * low, 2 * high))
    lower, upper = draws.band(tokens=x)
    inside = (lower < found.predict(tokens=x)) & (found.predict(tokens=x) < upper)
    assert inside.all()
    middle_of_band = (upper / lower)[len(x) // 2]
    assert middle_of_band < (upper / lower)[0] and middle_of_band < (upper / lower)[-1]


def test_a_fit_without_noise_has_no_spread(sample):
    columns, loss = sample(0, runs=40, noise=0)
    draws = bootstrap(fit(CHINCHILLA, columns, loss), 10, np.random.default_rng(0))
    assert draws.draws.std(0) / draws.draws.mean(0) == pytest.approx(np.zeros(5), abs=1e-3)


def test_the_generator_decides():
    x = np.geomspace(1, 100, 9)
    found = fit(power("tokens"), {"tokens": x}, x**-0.4 + 0.01 * np.arange(9), delta=np.inf)
    one, same, other = (bootstrap(found, 5, np.random.default_rng(seed)).draws for seed in (3, 3, 4))
    np.testing.assert_array_equal(one, same)
    assert (one != other).any()


def test_groups_are_drawn_whole():
    x = np.repeat(np.geomspace(1, 100, 6), 3)
    found = fit(power("tokens"), {"tokens": x}, x**-0.4 * np.tile([1, 1.1, 0.9], 6), delta=np.inf)
    weights = drawn_weights(found, 50, np.random.default_rng(0), groups=list(x))
    by_group = weights.reshape(50, 6, 3)
    assert (by_group == by_group[:, :, :1]).all() and (weights.sum(1) == 18).all()
    assert len(np.unique(drawn_weights(found, 50, np.random.default_rng(0)).reshape(50, 6, 3).std(2))) > 1
    with pytest.raises(DataError, match="groups has 3 values, loss has 18"):
        drawn_weights(found, 2, np.random.default_rng(0), groups=[1, 2, 3])


def test_poor_draws_are_drawn_again():
    found = fit(power("tokens", floor=True), {"tokens": [1.0, 10.0, 100.0]}, [3.0, 2.0, 1.5])
    weights = drawn_weights(found, 20, np.random.default_rng(0))
    assert (weights == 1).all()  # only the three themselves determine three constants
    line = fit(power("tokens"), {"tokens": [1.0, 1.0, 10.0]}, [3.0, 3.1, 2.0], delta=np.inf)
    assert (drawn_weights(line, 100, np.random.default_rng(0))[:, 2] > 0).all()


def test_refuses():
    found = fit(power("tokens"), {"tokens": [1.0, 10.0, 100.0]}, [3.0, 2.0, 1.5], delta=np.inf)
    with pytest.raises(ConfigError, match="replicas is 0"):
        bootstrap(found, 0, np.random.default_rng(0))
    with pytest.raises(ConfigError, match="level is 95"):
        middle(np.arange(3.0), 95)


# ------------------------------------------------------------------------------------------------------ extrapolation

SIZES = np.array([2176, 3552, 5120, 8832, 13312, 24576, 38912, 76800, 126976], float)
EXCESS = np.array([0.595, 0.444, 0.286, 0.173, 0.154, 0.109, 0.070, 0.050, 0.046])


def test_the_notes_runs_bend_away_from_the_law_of_the_small():
    found = extrapolate(power("parameters"), {"parameters": SIZES}, EXCESS, "parameters", 6, 200,
                        np.random.default_rng(0), delta=np.inf)  # fmt: skip
    assert found.ratio == pytest.approx([1.01, 0.86, 0.64], abs=8e-3)
    assert (found.x == SIZES[6:]).all() and (found.measured == pytest.approx(EXCESS[6:]))
    assert (found.low < found.ratio).all() and (found.ratio < found.high).all()


def test_a_law_that_holds_is_extrapolated_to_1_and_seeds_are_one_run(sample):
    columns, loss = sample(0, runs=80, noise=1e-4)
    twice = {name: np.tile(column, 2) for name, column in columns.items()}
    both = np.concatenate([1.01 * loss, loss / 1.01])
    found = extrapolate(CHINCHILLA, twice, both, "tokens", 60, 20, np.random.default_rng(0), delta=np.inf)
    assert len(found.x) == 20 and found.ratio == pytest.approx(np.ones(20), abs=2e-3)
    assert sorted(found.x) == pytest.approx(np.sort(columns["tokens"])[60:])


def test_an_extrapolation_needs_something_to_predict():
    for small in (1, 9):
        with pytest.raises(ConfigError, match=f"small is {small}; parameters has 9 values, so wanted 2 to 8"):
            extrapolate(power("parameters"), {"parameters": SIZES}, EXCESS, "parameters", small, 20,
                        np.random.default_rng(0))  # fmt: skip
