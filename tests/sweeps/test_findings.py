"""The laws of a sweep whose truth is known, and one tail's beside another's."""

import numpy as np
import pytest
from made_sweep import BATCHES, FAMILIES, ISOFLOP, H, excess, sweep, tables

from minilm.scaling.analysis import analyse
from minilm.sweeps.config import Data, Sizes
from minilm.sweeps.findings import Comparison, Law, compared, laws_of, lowest_excess, parts_of

pytestmark = pytest.mark.xdist_group("findings")  # one process makes the fits that most tests look at


def analysed(made, replicas=60, **how):
    plan, rows, curves = tables(made, **how)
    return analyse(parts_of(rows, curves, plan), np.random.default_rng(0), replicas)


@pytest.fixture(scope="module")
def found():
    return analysed(sweep())


@pytest.fixture(scope="module")
def laws(found):
    return {(law.column, law.of): law for law in laws_of(found)}


def test_the_exponents_are_those_that_the_losses_were_made_of(laws):
    assert set(laws) == {(column, of) for column in ("parameters", "tokens") for of in ("excess", "loss")}
    for column, exponent in (("parameters", 0.5), ("tokens", 0.8)):
        law = laws[column, "excess"]
        assert law.exponent == pytest.approx(exponent, abs=0.03) and law.low < exponent < law.high
        assert law.r_squared > 0.995 and law.known == pytest.approx(H)


def test_the_raw_loss_hides_the_law(laws):
    """With the floor in it the loss has hardly a slope: what the comparison of the two is for."""
    for column in ("parameters", "tokens"):
        raw, above = laws[column, "loss"], laws[column, "excess"]
        assert raw.exponent < above.exponent / 2 and raw.r_squared < above.r_squared
        assert raw.floor == above.floor == pytest.approx(H, abs=0.05)


def test_r_squared_is_of_the_means_of_seeds(found, laws):
    fit = found.along["parameters"].excess.fit
    N = fit.logs[:, 0]
    means = np.array([fit.log_loss[n == N].mean() for n in np.unique(N)])
    left = means - np.array([fit.form.log_loss(fit.theta, np.array([[n]]))[0] for n in np.unique(N)])
    r_squared = 1 - (left**2).sum() / ((means - means.mean()) ** 2).sum()
    assert laws["parameters", "excess"].r_squared == pytest.approx(r_squared) != fit.r_squared


def test_intervals_are_of_ninety_percent(found, laws):
    draws = found.along["parameters"].excess.draws
    draws = draws.draws[:, draws.form.names.index("alpha")]
    law = laws["parameters", "excess"]
    assert (law.low, law.high) == pytest.approx(np.quantile(draws, [0.05, 0.95]))


def test_each_law_counts_its_own_family(found):
    parts = found.parts
    assert set(parts["parameters"]["tokens"]) == {798_720}  # 390 whole batches
    assert set(parts["tokens"]["parameters"]) == {12 * 2 * 32**2}
    assert (len(parts["parameters"]), len(parts["tokens"]), len(parts["chinchilla"])) == (21, 18, 36)
    assert set(parts["envelope"].names) == set(parts["parameters"].names) and len(parts["steps"]) == 63
    assert "profiles" not in parts and set(found.both) == {"chinchilla", "kaplan", "steps"}
    assert np.all(np.diff(parts["flops"]["loss"]) < 0)


def test_of_two_families_of_sizes_that_with_more_data_counts():
    made = sweep((Sizes((4, 8, 16), 100_000), Sizes((4, 8, 16, 32), 400_000), Data(16, (50_000, 100_000, 200_000))))
    plan, rows, curves = tables(made)
    parts = parts_of(rows, curves, plan)
    assert set(parts["parameters"]["tokens"]) == {399_360} and len(np.unique(parts["parameters"]["parameters"])) == 4
    assert set(parts["tokens"]["parameters"]) == {12 * 2 * 16**2}


def test_profiles_have_their_budgets():
    plan, rows, curves = tables(sweep((ISOFLOP,), seeds=2))
    runs = parts_of(rows, curves, plan)["profiles"]
    assert sorted(set(runs["budget"])) == [1e9, 3e9, 9e9] and len(runs) == 30
    for budget in set(runs["budget"]):
        assert len(set(runs.where(runs["budget"] == budget)["parameters"])) == 5


def test_batches_count_for_no_law_of_size_or_data():
    plan, rows, curves = tables(sweep((*FAMILIES, BATCHES)))
    parts = parts_of(rows, curves, plan)
    assert all("-b2-" not in name for part in ("parameters", "tokens", "chinchilla") for name in parts[part].names)


def test_a_sweep_that_has_only_begun_has_few_laws():
    plan, rows, curves = tables(sweep())
    for n in range(1, 8):
        found = analyse(parts_of(rows[:n], curves, plan), np.random.default_rng(0), 20)
        assert set(found.along) <= {"parameters", "tokens", "flops"}
    assert "parameters" in found.along


def test_a_larger_tail_has_the_larger_exponents():
    plan, rows, curves = tables(sweep(tails=(1.0, 0.5)))
    laws = {}
    for tail in (1.0, 0.5):
        own = [row for row in rows if row["tail"] == tail]
        names = {row["run"] for row in own}
        parts = parts_of(own, [row for row in curves if row["run"] in names], plan)
        laws[tail] = laws_of(analyse({name: parts[name] for name in ("parameters", "tokens")},
                                     np.random.default_rng(0), 60))  # fmt: skip
    size, data = compared(laws)
    assert (size.column, size.larger, size.smaller, size.apart) == ("parameters", 1.0, 0.5, True)
    assert size.exponents == pytest.approx((0.5, 0.3), abs=0.03)
    assert data.exponents == pytest.approx((0.8, 0.5), abs=0.03) and data.apart


def test_intervals_that_touch_are_not_apart():
    def law(low, high):
        return Law("tokens", "excess", (low + high) / 2, low, high, 0.9)

    def pair(one, other):
        return compared({1.0: [law(*one)], 0.5: [law(*other)]})

    assert pair((0.5, 0.6), (0.3, 0.4)) == [Comparison("tokens", 1.0, 0.5, pytest.approx((0.55, 0.35)), True)]
    assert not pair((0.5, 0.6), (0.4, 0.5))[0].apart and not pair((0.4, 0.5), (0.3, 0.6))[0].apart
    assert compared({1.0: [law(0.5, 0.6)]}) == []


def test_the_least_excess_is_in_standard_errors():
    rows = [{"excess": 0.5, "excess_se": 0.01}, {"excess": -0.02, "excess_se": 0.005}, {"loss": 1.0}]
    assert lowest_excess(rows) == pytest.approx(-4) and lowest_excess([{"loss": 1.0}]) is None


def test_the_law_that_makes_the_losses_is_one():
    assert excess(24_576, 800_000) == pytest.approx(0.01)
    assert excess(4 * 24_576, 800_000) == pytest.approx(0.005) and excess(24_576, 8e5, 0.5) == pytest.approx(0.01)
