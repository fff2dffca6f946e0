"""The published laws: every check value of the course's notes, as a table; the formulas that hang together."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar

from minilm.errors import ConfigError
from minilm.models.sizes import PUBLISHED, count_parameters, non_embedding_parameters
from minilm.scaling import published as p
from minilm.scaling import reconciled as r
from minilm.scaling.surface import Surface

B = 1e9

# (what, got, wanted, how far off it may be): half a unit of the last digit that is printed.
CHECKS = [
    ("L(N = 1e6)", p.LOSS_OF_SIZE(1e6), 4.016, 5e-4),
    ("L(N = 1e8)", p.LOSS_OF_SIZE(1e8), 2.830, 5e-4),
    ("L(N = 1e9)", p.LOSS_OF_SIZE(1e9), 2.376, 5e-4),
    ("L(N = 1.5e9)", p.LOSS_OF_SIZE(1.5e9), 2.304, 5e-4),
    ("L(N = 1.5e9, D = 22B)", p.loss_of_size_and_data(1.5e9, 22e9), 2.313, 5e-4),
    ("L(N = 1.5e9, S = 2.5e5)", p.loss_of_size_and_steps(1.5e9, 2.5e5), 2.302, 5e-4),
    ("Bcrit(L = 3)", p.critical_batch(3), 1.07e6, 5e3),
    ("a PF-day", p.PF_DAY, 8.64e19, 0),
    ("exponent of compute from the others", p.exponent_of_compute(), 0.0520, 5e-5),
    ("exponent of the size from the others", p.LOSS_OF_COMPUTE.exponent / p.LOSS_OF_SIZE.exponent, 0.66, 5e-3),
    ("exponent of the steps from the others", p.LOSS_OF_COMPUTE.exponent / p.STEPS["alpha_S"], 0.066, 5e-4),
    ("stop so far above the converged loss", p.share_above_convergence(), 0.10, 5e-3),
    ("fixed batch: exponent", p.LOSS_AT_FIXED_BATCH.exponent, 0.057, 0),
    ("fixed batch: loss at its scale", p.LOSS_AT_FIXED_BATCH(1.6e7), 1, 1e-12),
    ("figure 1's scale of L(C)", p.LOSS_OF_COMPUTE_FIGURE(2.3e8), 1, 1e-12),
    ("best N at a PF-day", p.OPTIMAL_SIZE(1), 1.3e9, 0),
    ("best N at 1e4 PF-days", p.OPTIMAL_SIZE(1e4), 1.3e9 * 10**2.92, 1),
    ("batch at 1e4 PF-days", p.OPTIMAL_BATCH(1e4), 2.0e6 * 10**0.96, 1),
    ("steps at 1e4 PF-days", p.OPTIMAL_STEPS(1e4), 5.4e3 * 10**0.12, 1e-6),
    ("tokens at 1e4 PF-days", p.OPTIMAL_DATA(1e4), 2e10 * 10**1.08, 1),
    ("tokens that 1e9 do not overfit", p.ENOUGH_DATA(1e9), 5e3 * 10**6.66, 1),
    ("learning rate of 1e6", float(p.learning_rate(1e6)), 0.003239 - 0.0001395 * 6 * math.log(10), 1e-15),
    ("GPT-3: 6 · 174.6e9 · 300e9", 6 * 174.6e9 * 300e9, 3.14e23, 5e20),
    ("GPT-3 in PF-days, from 3.14e23", 3.14e23 / p.PF_DAY, 3634, 0.5),
    ("GPT-3 exactly", p.training_compute("gpt3-175b", 300e9), 3.14e23, 5e20),
    ("LLaMA 65B", p.training_compute("llama-65b", 1.4e12), 5.48e23, 5e20),
    ("A1: a", p.GROWTH_BY_APPROACH[1], 0.50, 0),
    ("A2: a", p.GROWTH_BY_APPROACH[2], 0.49, 0),
    ("A3: a", p.HOFFMANN_TEX.growth, p.GROWTH_BY_APPROACH[3], 5e-3),
    ("Epoch: a", p.EPOCH.growth, 0.513, 5e-4),
    ("Chinchilla's budget, rounded: N", p.HOFFMANN.optimum(5.76e23)[0], 32.2 * B, 0.05 * B),
    ("Chinchilla's budget, TeX: N", p.HOFFMANN_TEX.optimum(5.76e23)[0], 40.3 * B, 0.05 * B),
    ("Chinchilla's budget, Epoch: N", p.EPOCH.optimum(5.76e23)[0], 72.2 * B, 0.05 * B),
    ("rounded: D/N", np.divide(*p.HOFFMANN.optimum(5.76e23)[::-1]), 93, 0.5),
    ("TeX: D/N", np.divide(*p.HOFFMANN_TEX.optimum(5.76e23)[::-1]), 59, 0.5),
    ("Epoch: D/N", np.divide(*p.EPOCH.optimum(5.76e23)[::-1]), 18.4, 0.05),
    ("Pearce and Song, Kaplan's sizes", r.measured_exponent(768, 1.5e9), 0.788, 1e-3),
    ("Pearce and Song, 1e9 to 8e10", r.measured_exponent(1e9, 8e10), 0.519, 5e-4),
    ("GPT-2's blocks", non_embedding_parameters(PUBLISHED["gpt2"].shape), 84_934_656, 0),
    ("GPT-2 medium's blocks", non_embedding_parameters(PUBLISHED["gpt2-medium"].shape), 301_989_888, 0),
    ("GPT-2 large's blocks", non_embedding_parameters(PUBLISHED["gpt2-large"].shape), 707_788_800, 0),
    ("GPT-2 XL's blocks", non_embedding_parameters(PUBLISHED["gpt2-xl"].shape), 1_474_560_000, 0),
]


@pytest.mark.parametrize(("got", "wanted", "off"), [c[1:] for c in CHECKS], ids=[c[0] for c in CHECKS])
def test_a_check_value_comes_out(got, wanted, off):
    assert abs(got - wanted) <= off, (got, wanted)


def test_the_laws_cross_where_the_paper_says_to_an_order_of_magnitude():
    at, said = p.crossing(), (1e4, 1e12, 1e12, 1.7)
    assert p.LOSS_OF_DATA(p.OPTIMAL_DATA(at.compute)) == pytest.approx(p.LOSS_OF_COMPUTE(at.compute), rel=1e-12)
    assert all(0.1 < found / wanted < 10 for found, wanted in zip(at, said, strict=True))
    assert at.compute == pytest.approx(1.1e4, rel=0.03) and at.parameters == pytest.approx(1.2e12, rel=0.03)
    assert at.tokens == pytest.approx(2.5e11, rel=0.02) and at.loss == pytest.approx(1.67, abs=5e-3)


@pytest.mark.parametrize("one", [t for t in p.TRAININGS if t.said], ids=lambda t: t.model)
def test_the_compute_that_a_paper_prints_is_six_times_size_and_tokens(one):
    """Brown et al. take the size in three or four digits, 1,320 million for the XL model's 1,315.7."""
    assert p.training_compute(one.model, one.tokens) == pytest.approx(one.said, rel=6e-3)


def test_llamas_compute_is_what_its_days_say():
    """380 tokens a second on each of 2048 devices, about 21 days, 1,022,362 hours of a device (Touvron et al. 2023)."""
    seconds = 1.4e12 / (380 * 2048)
    assert round(seconds / 86_400) == 21
    assert 2048 * seconds / 3600 == pytest.approx(1_022_362, rel=2e-3)
    per_device = p.training_compute("llama-65b", 1.4e12) / (2048 * seconds)
    assert 0.4 < per_device / 312e12 < 0.55  # of an A100's dense bf16 peak: believable


@given(st.floats(1e3, 1e12), st.floats(1e3, 1e14))
def test_each_joint_law_holds_the_law_of_each(N, D):
    both, steps = p.BOTH, p.STEPS
    assert p.loss_of_size_and_data(N, 1e60) == pytest.approx((both["Nc"] / N) ** both["alpha_N"], rel=1e-6)
    assert p.loss_of_size_and_data(1e99, D) == pytest.approx((both["Dc"] / D) ** both["alpha_D"], rel=1e-6)
    assert p.loss_of_size_and_steps(N, 1e60) == pytest.approx((steps["Nc"] / N) ** steps["alpha_N"], rel=1e-6)


@given(st.floats(1, 1e6), st.floats(1e3, 1e9), st.floats(1.0, 8.0))
def test_steps_and_compute_trade_by_the_critical_batch(S, B, L):
    """S/Smin − 1 = 1 / (E/Emin − 1), with E = B S tokens: McCandlish et al. 2018, equation 5.1 of Kaplan."""
    least = p.least_steps(S, B, L)
    tokens = p.least_compute(1.0, B, L)  # as C is proportional to the tokens
    assert (S / least - 1) * (1 / tokens - 1) == pytest.approx(1, rel=1e-6)
    critical = p.critical_batch(L)
    assert S / p.least_steps(S, critical, L) == pytest.approx(2) and 1 / p.least_compute(1, critical, L) == 2


@given(st.sampled_from(list(p.SURFACES.values())), st.floats(15, 26))
def test_the_optimum_is_where_a_search_finds_it(surface, power):
    C = 10**power
    N, D = surface.optimum(C)
    assert pytest.approx(C) == 6 * N * D
    found = minimize_scalar(
        lambda u: surface.loss(np.exp(u), C / 6 / np.exp(u)), bracket=(np.log(N) - 2, np.log(N) + 3)
    )
    assert np.exp(found.x) == pytest.approx(N, rel=1e-3)
    assert surface.optimum(100 * C)[0] / N == pytest.approx(100**surface.growth)


def test_the_rule_for_the_rate_ends_where_it_reaches_0():
    assert p.learning_rate(1e10) > 0 and p.learning_rate(np.array([1e3, 1e6])).shape == (2,)
    with pytest.raises(ConfigError, match="reaches 0 at 1.2e"):
        p.learning_rate(2e10)


# -------------------------------------------------------------------------------------------------------- reconciled


@given(st.floats(3, 13), st.floats(0, 1e5), st.floats(0.1, 0.6), st.floats(0.1, 0.6))
def test_the_local_exponent_is_the_slope_of_the_best_sizes(power, omega, alpha, beta):
    surface, n = Surface(1.8, 480.0, 2000.0, alpha, beta), 10**power
    near = np.array([n * 0.999, n * 1.001])
    slope = np.diff(np.log(near)) / np.diff(np.log(r.best_compute(near, surface, omega)))
    assert r.local_exponent(n, surface, omega) == pytest.approx(slope[0], rel=1e-4)


def test_the_best_compute_is_where_a_search_finds_the_size():
    for n in (1e4, 1e7, 1e10):
        C = r.best_compute(n)
        sizes = np.geomspace(n / 3, 3 * n, 20_001)
        losses = p.EPOCH.loss(r.all_parameters(sizes), C / 6 / sizes)
        assert sizes[losses.argmin()] == pytest.approx(n, rel=1e-3)


def test_without_embeddings_it_is_chinchillas_exponent_and_for_large_models_too():
    assert r.local_exponent(1e6, omega=0) == pytest.approx(p.EPOCH.growth)
    assert r.local_exponent(1e18) == pytest.approx(p.EPOCH.growth, abs=1e-4)
    with pytest.raises(ConfigError, match="wanted 0 < low < high"):
        r.measured_exponent(10, 10)


def test_porians_steps_lead_from_kaplan_to_chinchilla():
    first, *_, last = p.PORIAN.values()
    assert first == (0.835, 0.864) and last == (0.497, 0.518)
    assert all(
        a > b for a, b in zip([v[0] for v in p.PORIAN.values()], [v[0] for v in p.PORIAN.values()][1:], strict=False)
    )


def test_every_training_is_of_a_model_whose_size_is_known():
    assert all(count_parameters(PUBLISHED[one.model].shape) > 1e8 for one in p.TRAININGS)
