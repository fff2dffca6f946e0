"""The pictures of scaling: each shows what it is given, in grey too."""

import numpy as np
import pytest

from minilm.scaling import plots
from minilm.scaling.analysis import along, analyse, frontier, parts_of
from minilm.scaling.bootstrap import Bootstrap
from minilm.scaling.published import EPOCH
from minilm.scaling.runs import Runs, runs_of

RNG = np.random.default_rng


def table(floor=True) -> Runs:
    """isoFLOP profiles and learning curves in one: every run at five points of its training."""
    rows = [(n, C, C / 6 / n, f"{C:.2g} {n:.3g}") for C in (1e18, 1e19, 1e20)
            for n in EPOCH.optimum(C)[0] * np.geomspace(0.25, 4, 5)]  # fmt: skip
    columns = {"parameters": [], "tokens": [], "budget": []}
    names = []
    for n, C, D, name in rows:
        for part in (0.01, 0.03, 0.1, 0.3, 1.0):
            columns["parameters"].append(n)
            columns["tokens"].append(D * part)
            columns["budget"].append(C)
            names.append(name)
    N, D = (np.array(columns[name]) for name in ("parameters", "tokens"))
    loss = EPOCH.loss(N, D) * np.exp(0.002 * RNG(0).standard_normal(len(N)))
    return runs_of({**columns, "loss": loss, **({"floor": np.full(len(N), EPOCH.E)} if floor else {})}, names)


@pytest.fixture(scope="module")
def runs():
    return table()


@pytest.fixture(scope="module")
def found(runs):
    return analyse(parts_of(runs), RNG(0), 40)


@pytest.fixture
def figures(monkeypatch):
    """What would be written, unrendered: the command's tests render each kind once."""
    caught = []
    monkeypatch.setattr(plots, "_save", lambda figure, path: caught.append(figure))
    return caught


def lines(axes):
    """Label -> line, of those that the legend names."""
    return {line.get_label(): line for line in axes.get_lines() if not line.get_label().startswith("_")}


def test_laws_show_points_fits_intervals_and_the_floor(found, figures):
    plots.laws("a.png", found.along, "title")
    loss, excess = figures[0].axes
    one = found.along["flops"]
    plain, floored, source = lines(loss).values()
    alpha = one.plain.fit.constants["alpha"]
    assert plain.get_label().startswith(f"no floor: α = {alpha:.3f} (")
    x, y = floored.get_data()
    np.testing.assert_allclose(y, one.with_floor.fit.predict(flops=x))
    assert set(source.get_ydata()) == {one.floor} and len(loss.collections) == 2  # two bands
    band = loss.collections[0].get_paths()[0].vertices[:, 1]
    assert band.min() == pytest.approx(one.plain.draws.band(flops=plain.get_xdata())[0].min())
    points = excess.get_lines()[0].get_ydata()
    np.testing.assert_allclose(points, one.runs.excess)
    assert f"R² = {one.excess.fit.r_squared_of_means:.3f}" in next(iter(lines(excess)))


def test_without_a_known_floor_there_is_one_row(figures):
    runs = table(floor=False)
    law = along("flops", frontier(runs), RNG(0), 20)
    plots.laws("a.png", {"flops": law}, "title")
    (axes,) = figures[0].axes
    assert len(lines(axes)) == 2 and not any("source" in label for label in lines(axes))


def test_profiles_show_each_budget_and_its_lowest_point(found, runs, figures):
    plots.profiles("a.png", runs.ends, found.profiles, "title")
    left, right = figures[0].axes
    assert list(lines(left)) == ["1e+18", "1e+19", "1e+20"]
    white = [line for line in left.get_lines() if line.get_markerfacecolor() == "white"]
    assert [line.get_xdata()[0] for line in white] == [p.parameters for p in found.profiles.parabolas]
    assert next(iter(lines(right))) == f"best N, as C to the {found.profiles.best.size.exponent:.2f}"


def test_curves_show_their_envelope(found, runs, figures):
    plots.learning_curves("a.png", runs, found.envelope, "title")
    left, right = figures[0].axes
    assert len(left.get_lines()) == len(runs.curves) + 1
    np.testing.assert_array_equal(lines(left)["envelope"].get_ydata(), found.envelope.loss)
    assert len(lines(right)) == 2


def test_residuals_are_in_percent_with_a_panel_a_law(found, figures):
    plots.residuals("a.png", found.both | {"C": found.along["flops"].plain}, "title")
    assert len(figures[0].axes) == len(found.both) + 1
    law, axes = found.both["chinchilla"], figures[0].axes[0]
    given, left = axes.get_lines()[1].get_data()
    np.testing.assert_allclose(given * (1 + left / 100), np.exp(law.fit.log_loss))
    assert axes.get_title(loc="left") == f"chinchilla\nR² = {law.fit.r_squared:.4f}"


def test_constants_have_a_histogram_each_and_the_truth_as_a_line(found, figures):
    draws = found.both["chinchilla"].draws
    plots.constants("a.png", draws, {"E": EPOCH.E}, "title")
    low, high = draws.interval("E")
    assert [len(axes.get_lines()) for axes in figures[0].axes] == [0, 0, 1, 0, 0]
    assert figures[0].axes[2].get_title(loc="left") == f"E: {low:.3g}–{high:.3g}"


def test_constants_that_run_away_are_left_out_of_the_picture(found, figures):
    draws = found.both["chinchilla"].draws
    theta = draws.theta.copy()
    theta[0, 0] = 1e4  # A = e^10000
    plots.constants("a.png", Bootstrap(draws.form, theta), {}, "title")
    A = figures[0].axes[0]
    values = np.sort(draws.draws[1:, 0])
    assert A.get_xlim()[1] < 2 * values[-1]
    assert sum(bar.get_height() for bar in A.patches[1:]) >= 0.9 * len(values)  # the first is the interval


def test_no_two_lines_of_a_panel_differ_in_colour_alone(found, runs, figures):
    plots.laws("a.png", found.along, "title")
    plots.profiles("a.png", runs.ends, found.profiles, "title")
    for axes in [axes for figure in figures for axes in figure.axes]:
        looks = [(str(line._dash_pattern), line.get_marker()) for line in lines(axes).values()]
        assert len(set(looks)) == len(looks) > 0
