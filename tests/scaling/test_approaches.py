"""Chinchilla's three approaches on one known surface: all give its exponent; what is at an edge is left out."""

import numpy as np
import pytest

from minilm.errors import DataError
from minilm.scaling.approaches import along_surface, envelope, isoflop, surface_of
from minilm.scaling.fitting import fit
from minilm.scaling.forms import CHINCHILLA
from minilm.scaling.published import EPOCH, HOFFMANN
from minilm.scaling.runs import runs_of


def profiles(surface, budgets=6, sizes=9, around=4.0, noise=0.0, seed=0):
    """Runs at sizes around the best of each budget."""
    rng, N, C = np.random.default_rng(seed), [], []
    for budget in np.geomspace(1e18, 1e21, budgets):
        N += list(surface.optimum(budget)[0] * np.geomspace(1 / around, around, sizes))
        C += [budget] * sizes
    N, C = np.array(N), np.array(C)
    loss = surface.loss(N, C / 6 / N) * np.exp(noise * rng.standard_normal(len(N)))
    return runs_of({"parameters": N, "tokens": C / 6 / N, "loss": loss, "budget": C})


def curves(surface, sizes, tokens=(2.0, 200.0), points=60):
    """Learning curves: the surface's loss along the tokens, from 2 to 200 a parameter."""
    N, D, names = [], [], []
    for n in sizes:
        N += [n] * points
        D += list(np.geomspace(tokens[0] * n, tokens[1] * n, points))
        names += [f"{n:.3g}"] * points
    return runs_of({"parameters": N, "tokens": D, "loss": surface.loss(np.array(N), np.array(D))}, names)


@pytest.mark.parametrize("surface", [HOFFMANN, EPOCH], ids=["Hoffmann", "Epoch"])
class TestOneSurface:
    def test_approach_1(self, surface):
        """A staircase of sizes, whose middle follows the optimum; finer sizes, finer steps."""
        middle = surface.optimum(1e20)[0]
        found = envelope(curves(surface, middle * np.geomspace(1 / 60, 60, 25), (0.3, 3000)))
        assert found.size.exponent == pytest.approx(surface.growth, abs=0.02)
        assert found.data.exponent == pytest.approx(1 - surface.growth, abs=0.02)
        best, _ = surface.optimum(found.compute)
        assert np.abs(np.log(found.parameters / best)).max() < 1.5 * np.log(60**2) / 24
        assert found.loss == pytest.approx(surface.loss(*surface.optimum(found.compute)), rel=2e-3)
        assert 6 * found.parameters * found.tokens == pytest.approx(found.compute)

    def test_approach_2(self, surface):
        found = isoflop(profiles(surface, noise=5e-4))
        assert found.left_out == [] and len(found.parabolas) == 6
        assert found.best.size.exponent == pytest.approx(surface.growth, abs=0.02)
        assert found.best.parameters == pytest.approx(surface.optimum(found.best.compute)[0], rel=0.15)
        assert 6 * found.best.parameters * found.best.tokens == pytest.approx(found.best.compute)
        lowest = found.parabolas[2]
        around = lowest.parameters * np.array([0.9, 1.0, 1.1])
        assert lowest(around).argmin() == 1 and lowest(around)[1] == pytest.approx(lowest.loss)

    def test_approach_3(self, surface):
        runs = profiles(surface, noise=1e-4)
        found = surface_of(fit(CHINCHILLA, runs.columns, runs["loss"]))
        best = along_surface(found, np.geomspace(1e18, 1e24, 5))
        assert best.size.exponent == pytest.approx(found.growth) and found.growth == pytest.approx(
            surface.growth, abs=0.02
        )
        assert best.size.factor == pytest.approx(found.G / 6**found.growth)


def test_budgets_whose_best_is_at_an_edge_are_left_out():
    runs = profiles(EPOCH)
    largest = runs["budget"] == runs["budget"].max()
    best = EPOCH.optimum(runs["budget"].max())[0]
    found = isoflop(runs.where(~largest | (runs["parameters"] < 0.8 * best)))
    assert found.left_out == [runs["budget"].max()] and len(found.parabolas) == 5
    small = runs_of({"parameters": [1e6, 2e6, 3e6] * 2, "tokens": [1e9] * 6, "loss": [3, 2.5, 2.2] * 2,
                     "budget": [1e18] * 3 + [1e19] * 3})  # fmt: skip
    with pytest.raises(DataError, match="of 2 budgets only 0 have a lowest point"):
        isoflop(small)
    with pytest.raises(DataError, match="need the column budget"):
        isoflop(runs_of({"parameters": [1e6], "tokens": [1e9], "loss": [3]}))


def test_where_the_smallest_or_the_largest_is_best_the_envelope_is_not_believed():
    sizes = np.geomspace(1e8, 1e9, 5)
    found = envelope(curves(EPOCH, sizes, (0.3, 3000)))
    assert found.parameters.min() > sizes[0] and found.parameters.max() < sizes[-1]
    with pytest.raises(DataError, match="learning curves of at least three sizes"):
        envelope(curves(EPOCH, sizes[:2]))
    with pytest.raises(DataError, match="learning curves of at least three sizes"):
        envelope(profiles(EPOCH))
    with pytest.raises(DataError, match="only the smallest or the largest sizes are best"):
        envelope(curves(EPOCH, [1e6, 1e8, 1e12], (1.0, 1.1)))


def test_flops_beyond_6_n_d_are_taken_as_they_are():
    """A study that counts attention has more FLOPs for the same tokens; D with the best size is what was trained."""
    plain = curves(EPOCH, np.geomspace(1e8, 1e9, 7), (0.3, 3000))
    more = runs_of({**plain.columns, "flops": 1.25 * plain["flops"]}, plain.names)
    one, other = envelope(plain), envelope(more)
    assert other.compute[[0, -1]] == pytest.approx(1.25 * one.compute[[0, -1]], rel=1e-2)
    assert 7.5 * other.parameters * other.tokens == pytest.approx(other.compute)


def test_a_parabola_is_read_where_it_is_lowest_wherever_its_sizes_lie():
    """Losses that are a parabola in ln N with its lowest point off the middle of the sizes, and known."""
    N, columns = np.geomspace(1e7, 1e9, 6), {"parameters": [], "tokens": [], "loss": [], "budget": []}
    for budget, lowest in ((1e18, 2e7), (1e19, 6e8)):
        columns["parameters"] += list(N)
        columns["tokens"] += list(budget / 6 / N)
        columns["loss"] += list(2.5 + 0.07 * np.log(N / lowest) ** 2)
        columns["budget"] += [budget] * len(N)
    found = isoflop(runs_of(columns))
    assert [p.parameters for p in found.parabolas] == pytest.approx([2e7, 6e8])
    assert [p.loss for p in found.parabolas] == pytest.approx([2.5, 2.5])
    assert found.parabolas[0](np.array([2e8])) == pytest.approx(2.5 + 0.07 * np.log(10) ** 2)
