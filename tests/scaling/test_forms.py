"""The formulas: each gradient against differences, overflow, centring; constants there and back."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minilm.scaling.forms import CHINCHILLA, SIZE_AND_DATA, SIZE_AND_STEPS, Powers, as_logs, power, theta_of
from minilm.scaling.minimizing import huber, objective
from minilm.scaling.published import HOFFMANN, loss_of_size_and_data, loss_of_size_and_steps

FORMS = [power("parameters"), power("tokens", floor=True), CHINCHILLA, SIZE_AND_DATA, SIZE_AND_STEPS]
NAMES = ["power", "power with floor", "Chinchilla", "Kaplan's L(N, D)", "Kaplan's L(N, S)"]


def random_theta(form, rng):
    """Any θ with slopes of 0.05 to 1.5 and terms of a like size at e^16."""
    if form is SIZE_AND_DATA:
        return np.array([*rng.uniform(14, 20, 2), *rng.uniform(0.05, 1.5, 2)])
    slopes = rng.uniform(0.05, 1.5, len(form.columns))
    return np.array([*(16 * slopes + rng.uniform(-2, 2, len(slopes))), *rng.uniform(-1, 1, int(form.floor)), *slopes])


def runs(form, rng, n=7):
    return rng.uniform(12, 20, (n, len(form.columns))), rng.uniform(0.2, 2, n)


@pytest.mark.parametrize("form", FORMS, ids=NAMES)
@given(seed=st.integers(0, 10**6), delta=st.sampled_from([1e-3, 0.1, np.inf]))
def test_the_gradient_is_what_differences_give(form, seed, delta):
    """Along a random direction, of the objective with random weights: a wrong sign or term of any constant shows."""
    rng = np.random.default_rng(seed)
    theta, (logs, log_loss) = random_theta(form, rng), runs(form, rng)
    weights, along = rng.uniform(0, 3, len(log_loss)), rng.standard_normal(len(theta))
    _, slope = objective(form, theta, logs, log_loss, weights, delta)
    h = 1e-6
    up, down = (objective(form, theta + s * h * along, logs, log_loss, weights, delta)[0] for s in (1, -1))
    scale = float(np.abs(slope) @ np.abs(along))
    assert abs((up - down) / (2 * h) - slope @ along) <= 1e-6 * max(scale, 1e-3)


@pytest.mark.parametrize("form", FORMS, ids=NAMES)
def test_many_vectors_at_once_are_each_alone(form):
    rng = np.random.default_rng(0)
    logs, _ = runs(form, rng)
    many = np.array([random_theta(form, rng) for _ in range(4)])
    value, slopes = form.gradient(many, logs)
    assert value.shape == (4, 7) and slopes.shape == (len(form.names), 4, 7)
    for i, theta in enumerate(many):
        alone, slope = form.gradient(theta, logs)
        np.testing.assert_allclose(value[i], alone, rtol=1e-12)
        np.testing.assert_allclose(slopes[:, i], slope, rtol=1e-10, atol=1e-12)
        np.testing.assert_allclose(form.log_loss(many, logs)[i], alone, rtol=1e-12)


@pytest.mark.parametrize("form", FORMS, ids=NAMES)
@given(seed=st.integers(0, 10**6))
def test_columns_over_their_mean_give_the_same_loss(form, seed):
    rng = np.random.default_rng(seed)
    theta, (logs, _) = random_theta(form, rng), runs(form, rng)
    centre = logs.mean(0)
    moved = form.centred(theta, centre)
    np.testing.assert_allclose(form.log_loss(moved, logs - centre), form.log_loss(theta, logs), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(form.centred(moved, centre, back=True), theta, rtol=1e-9)


def test_the_formulas_are_the_published_ones():
    N, D, S = np.array([1e6, 3e8, 2e9]), np.array([1e8, 1e9, 3e10]), np.array([1e3, 1e4, 1e5])
    theta = theta_of(CHINCHILLA, **HOFFMANN._asdict())
    np.testing.assert_allclose(np.exp(CHINCHILLA.log_loss(theta, as_logs([N, D]))), HOFFMANN.loss(N, D))
    theta = np.array([np.log(6.4e13), np.log(1.8e13), 0.076, 0.103])
    np.testing.assert_allclose(np.exp(SIZE_AND_DATA.log_loss(theta, as_logs([N, D]))), loss_of_size_and_data(N, D))
    theta = theta_of(SIZE_AND_STEPS, Nc=6.5e13, Sc=2.1e3, alpha_N=0.077, alpha_S=0.76)
    np.testing.assert_allclose(np.exp(SIZE_AND_STEPS.log_loss(theta, as_logs([N, S]))), loss_of_size_and_steps(N, S))
    np.testing.assert_allclose(SIZE_AND_STEPS.constants(theta), [6.5e13, 2.1e3, 0.077, 0.76])


def test_nothing_overflows():
    theta = np.array([800.0, 900.0, -700.0, 1.0, 1.0])
    value, slopes = CHINCHILLA.gradient(theta, np.array([[1.0, 1.0]]))
    assert value[0] == pytest.approx(899) and np.isfinite(slopes).all()
    assert np.isinf(CHINCHILLA.constants(theta)[1])  # named constants may, and say so


def test_the_starts_are_hoffmanns_grid():
    starts = CHINCHILLA.starts(np.zeros((2, 2)), np.log([2.0, 3.0]))
    assert starts.shape == (6 * 6 * 5 * 5 * 5, 5)
    wanted = [np.arange(0, 30, 5), np.arange(0, 30, 5), np.arange(-1, 1.5, 0.5), *[np.arange(0, 2.5, 0.5)] * 2]
    for column, values in zip(starts.T, wanted, strict=True):
        np.testing.assert_array_equal(np.unique(column), values)
    low = power("tokens", floor=True).starts(np.zeros((2, 1)), np.log([0.01, 0.3]))
    assert np.unique(low[:, 1]).max() < np.log(0.01)  # no floor begins above the least loss


@given(st.floats(-10, 10), st.floats(1e-4, 5))
def test_hubers_function(residual, delta):
    wanted = residual**2 / 2 if abs(residual) <= delta else delta * (abs(residual) - delta / 2)
    assert huber(np.array(residual), delta) == pytest.approx(wanted)
    assert huber(np.array(residual), np.inf) == pytest.approx(residual**2 / 2)


def test_a_form_says_which_columns_it_reads():
    assert power("flops").columns == ("flops",) and isinstance(CHINCHILLA, Powers)
    assert SIZE_AND_STEPS.columns == ("parameters", "steps")
