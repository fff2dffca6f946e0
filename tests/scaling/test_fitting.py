"""Fits: constants that are known come back; the notes' measured points give the notes' numbers; what is refused."""

import builtins
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minilm.errors import ConfigError, DataError
from minilm.scaling.fitting import fit
from minilm.scaling.forms import CHINCHILLA, SIZE_AND_DATA, SIZE_AND_STEPS, power
from minilm.scaling.minimizing import PATIENT, PLAIN_MEAN, PLAIN_SUM, minimize
from minilm.scaling.published import EPOCH, HOFFMANN, loss_of_size_and_data, loss_of_size_and_steps

# The course's notes: excess over the source's .8051 nats, facts only, tail 1; widths 4 to 64, and the widest on less.
H = 0.8051
WIDTHS = np.array([4, 6, 8, 12, 16, 24, 32, 48, 64])
SIZES = np.array([2176, 3552, 5120, 8832, 13312, 24576, 38912, 76800, 126976], float)
BY_SIZE = np.array([0.595, 0.444, 0.286, 0.173, 0.154, 0.109, 0.070, 0.050, 0.046])
TOKENS = np.array([47e3, 94e3, 187e3, 375e3, 750e3, 1.5e6, 3e6])
BY_DATA = np.array([1.217, 0.694, 0.543, 0.385, 0.182, 0.091, 0.0465])
LINE = {"delta": np.inf}


def grid():
    """Every size with every amount of data."""
    N, D = np.meshgrid(np.geomspace(1e6, 1e9, 7), np.geomspace(1e8, 1e11, 7))
    return N.ravel(), D.ravel()


class TestKnownConstants:
    """Without noise a fit has nothing to be unsure of."""

    def test_chinchilla(self):
        N, D = grid()
        for surface in (HOFFMANN, EPOCH):
            found = fit(CHINCHILLA, {"parameters": N, "tokens": D}, surface.loss(N, D))
            assert {name: pytest.approx(v, rel=1e-4) for name, v in found.constants.items()} == surface._asdict()
            assert found.r_squared == pytest.approx(1) and np.abs(found.residuals).max() < 1e-6
            np.testing.assert_allclose(found.predict(parameters=1e10, tokens=[1e10, 1e12]),
                                       surface.loss(1e10, np.array([1e10, 1e12])), rtol=1e-5)  # fmt: skip

    def test_kaplans_size_and_data(self):
        N, D = grid()
        found = fit(SIZE_AND_DATA, {"parameters": N, "tokens": D}, loss_of_size_and_data(N, D))
        wanted = {"Nc": 6.4e13, "Dc": 1.8e13, "alpha_N": 0.076, "alpha_D": 0.103}
        assert found.constants == {name: pytest.approx(v, rel=1e-3) for name, v in wanted.items()}

    def test_kaplans_size_and_steps(self):
        N, S = grid()
        S = S / 1e6
        found = fit(SIZE_AND_STEPS, {"parameters": N, "steps": S}, loss_of_size_and_steps(N, S))
        wanted = {"Nc": 6.5e13, "Sc": 2.1e3, "alpha_N": 0.077, "alpha_S": 0.76}
        assert found.constants == {name: pytest.approx(v, rel=1e-3) for name, v in wanted.items()}

    @settings(max_examples=4)
    @given(st.floats(0.05, 1.5), st.floats(0.1, 3), st.floats(0.2, 2), st.integers(0, 99))
    def test_a_power_with_a_floor(self, alpha, E, top, seed):
        x = np.geomspace(1e4, 1e8, 12)
        A = top * x[0] ** alpha
        order = np.random.default_rng(seed).permutation(12)
        found = fit(power("tokens", floor=True), {"tokens": x[order]}, (A * x**-alpha + E)[order])
        wanted = {"A": A, "E": E, "alpha": alpha}
        assert found.constants == {name: pytest.approx(v, rel=2e-2) for name, v in wanted.items()}

    @given(st.floats(-1, 2), st.floats(-5, 20), st.integers(0, 99))
    def test_a_line_is_least_squares(self, alpha, height, seed):
        """With δ = ∞ the line is exact; the minimizer, begun elsewhere, agrees with it."""
        rng = np.random.default_rng(seed)
        x = np.exp(rng.uniform(0, 15, 9))
        loss = np.exp(height) * x**-alpha * np.exp(0.1 * rng.standard_normal(9))
        found = fit(power("tokens"), {"tokens": x}, loss, **LINE)
        slope, top = np.polyfit(np.log(x), np.log(loss), 1)
        assert found.theta == pytest.approx([top, -slope])
        again = minimize(found.form, found.logs, found.log_loss, np.ones(9), delta=np.inf)
        assert again.theta == pytest.approx(found.theta, rel=1e-5, abs=1e-5)
        assert again.value == pytest.approx(found.value, rel=1e-8)


class TestNotes:
    """The measurements in the course's notes, fitted again."""

    @pytest.mark.parametrize(
        ("x", "y", "alpha", "r_squared"),
        [
            (SIZES, BY_SIZE, 0.65, 0.977),
            (24.0 * WIDTHS**2, BY_SIZE, 0.48, 0.988),
            (TOKENS, BY_DATA, 0.77, 0.974),
            (TOKENS[-4:], BY_DATA[-4:], 1.01, 0.9994),
            (SIZES, BY_SIZE + H, 0.116, 0.85),
        ],
        ids=["all parameters", "blocks", "tokens", "last four", "loss with its floor"],
    )
    def test_slopes(self, x, y, alpha, r_squared):
        found = fit(power("tokens"), {"tokens": x}, y, **LINE)
        assert found.constants["alpha"] == pytest.approx(alpha, abs=6e-3)
        assert found.r_squared == pytest.approx(r_squared, abs=2e-3)

    @pytest.mark.parametrize(
        ("x", "y", "floor"), [(SIZES, BY_SIZE, 0.838), (TOKENS[-5:], BY_DATA[-5:], 0.768)], ids=["sizes", "data"]
    )
    def test_fitted_floors(self, x, y, floor):
        """Two floors of one source, on both sides of .8051: nine points know it badly."""
        found = fit(power("tokens", floor=True), {"tokens": x}, y + H)
        assert found.constants["E"] == pytest.approx(floor, abs=6e-3)


class TestMinimizer:
    def test_a_failed_run_moves_huber_little_and_least_squares_much(self, sample):
        columns, loss = sample(0)
        loss[np.argsort(loss)[:5]] *= 1.3  # five of the best, diverged
        near, far = (fit(CHINCHILLA, columns, loss, delta=delta).constants for delta in (1e-3, np.inf))
        clean = fit(CHINCHILLA, *sample(0)).constants
        moved = [abs(found["E"] - clean["E"]) for found in (near, far)]
        assert moved[0] < 0.02 and moved[1] > 0.1

    def test_the_mean_stops_early_and_the_sum_does_not(self, sample):
        """The same minimum, the same starts and tolerances: SciPy's own."""
        columns, loss = sample(0)
        best, plain, mean = (fit(CHINCHILLA, columns, loss, rule=rule) for rule in (PATIENT, PLAIN_SUM, PLAIN_MEAN))
        assert plain.value <= best.value * (1 + 1e-5)
        assert mean.value > 1.2 * best.value
        growth = [f.constants["beta"] / (f.constants["alpha"] + f.constants["beta"]) for f in (best, plain, mean)]
        assert abs(growth[0] - HOFFMANN.growth) < 0.01 and abs(growth[1] - HOFFMANN.growth) < 0.01
        assert abs(growth[2] - HOFFMANN.growth) > 0.03
        patient = fit(CHINCHILLA, columns, loss, rule=PATIENT._replace(mean=True))
        assert patient.constants == {name: pytest.approx(v, rel=1e-3) for name, v in best.constants.items()}

    def test_weights_are_repetitions(self, sample):
        columns, loss = sample(1, runs=30)
        found = fit(CHINCHILLA, columns, loss)
        times = np.random.default_rng(0).integers(0, 3, 30)
        weighted = minimize(CHINCHILLA, found.logs, found.log_loss, times.astype(float), starts=found.theta[None])
        rows = np.repeat(np.arange(30), times)
        repeated = minimize(CHINCHILLA, found.logs[rows], found.log_loss[rows], np.ones(len(rows)),
                            starts=found.theta[None])  # fmt: skip
        assert weighted.value == pytest.approx(repeated.value, rel=1e-9)
        assert weighted.theta == pytest.approx(repeated.theta, rel=1e-4)

    def test_r_squared_of_the_means_forgets_the_noise_of_seeds(self):
        rng = np.random.default_rng(0)
        x = np.repeat(np.geomspace(1e3, 1e6, 8), 3)
        noise = rng.standard_normal((8, 3)) * 0.3
        noise -= noise.mean(1, keepdims=True)
        found = fit(power("tokens"), {"tokens": x}, x**-0.3 * np.exp(noise.ravel()), **LINE)
        assert found.r_squared < 0.95 and found.r_squared_of_means == pytest.approx(1)


class TestRefuses:
    def test_columns_that_are_missing(self):
        with pytest.raises(DataError, match="the runs say nothing of tokens; they have parameters"):
            fit(CHINCHILLA, {"parameters": [1.0, 2.0]}, [1.0, 2.0])

    def test_numbers_without_a_logarithm(self):
        for bad in (0.0, -0.1, np.nan, np.inf):
            with pytest.raises(DataError, match=f"loss of run 2 is {bad}; a power law needs numbers above 0"):
                fit(power("tokens"), {"tokens": [1.0, 2.0, 3.0]}, [1.0, bad, 2.0])
        with pytest.raises(DataError, match="tokens of run 1 is -1"):
            fit(power("tokens"), {"tokens": [-1.0, 2.0, 3.0]}, [1.0, 1.0, 2.0])

    def test_lengths_that_differ(self):
        with pytest.raises(DataError, match="tokens has 2 values, loss has 3"):
            fit(power("tokens"), {"tokens": [1.0, 2.0]}, [1.0, 1.0, 2.0])

    def test_too_few_runs(self):
        with pytest.raises(DataError, match=r"too few different runs \(2\) for 3 constants"):
            fit(power("tokens", floor=True), {"tokens": [1.0, 2.0]}, [2.0, 1.0])
        with pytest.raises(DataError, match="all have the same tokens"):
            fit(power("tokens"), {"tokens": [2.0, 2.0, 2.0]}, [2.0, 1.0, 3.0])

    def test_a_machine_without_scipy(self, monkeypatch, sample):
        real = builtins.__import__

        def without(name, *args, **more):
            if name.partition(".")[0] == "scipy":
                raise ImportError(name)
            return real(name, *args, **more)

        for name in [name for name in sys.modules if name.partition(".")[0] == "scipy"]:
            monkeypatch.delitem(sys.modules, name)
        monkeypatch.setattr(builtins, "__import__", without)
        with pytest.raises(ConfigError, match=r"install the extra 'minilm\[scaling\]', the package SciPy"):
            fit(CHINCHILLA, *sample(0, runs=20))
        assert fit(power("tokens"), {"tokens": [1.0, 2.0, 4.0]}, [4.0, 2.0, 1.0], **LINE).constants == {
            "A": pytest.approx(4), "alpha": pytest.approx(1)
        }  # fmt: skip
