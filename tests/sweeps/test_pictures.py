"""The pictures of a sweep: all that its analysis has, and the batches."""

import matplotlib.image
import numpy as np
import pytest
from made_sweep import BATCHES, FAMILIES, ISOFLOP, H, sweep, tables

from minilm.scaling import plots
from minilm.scaling.analysis import analyse
from minilm.sweeps import pictures
from minilm.sweeps.findings import parts_of


@pytest.fixture
def figures(monkeypatch):
    """What would be written, unrendered."""
    caught = {}
    for module in (plots, pictures):
        monkeypatch.setattr(module, "_save", lambda figure, path: caught.setdefault(path.stem, figure) and path)
    return caught


def drawn(folder, made, **how):
    plan, rows, curves = tables(made, **how)
    found = analyse(parts_of(rows, curves, plan), np.random.default_rng(0), 20)
    return rows, pictures.draw(folder, "made", found, rows)


def test_everything_is_drawn_that_can_be(tmp_path, figures):
    _, paths = drawn(tmp_path / "new", sweep((*FAMILIES, ISOFLOP, BATCHES), seeds=2))
    assert [path.stem for path in paths] == list(figures)
    assert {"laws", "residuals", "constants", "batches"} <= set(figures)
    assert len(figures["laws"].axes) == 6 and (tmp_path / "new").is_dir()


def test_without_batches_there_is_no_picture_of_them(tmp_path, figures):
    drawn(tmp_path, sweep(seeds=1))
    assert "batches" not in figures


def test_batches_show_each_seed_their_mean_and_the_source(tmp_path, figures):
    rows, _ = drawn(tmp_path, sweep((BATCHES,)))
    (axes,) = figures["batches"].axes
    lines = {line.get_label(): line for line in axes.get_lines()}
    x, y = lines["width 8"].get_data()
    assert list(x) == [64, 256, 1024]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["64", "256", "1,024"]
    losses = [[row["loss"] for row in rows if row["batch"] * 32 == size] for size in x]
    np.testing.assert_allclose(y, np.mean(losses, axis=1))
    points = sorted(value for line in axes.get_lines() if line.get_linestyle() == "None" for value in line.get_ydata())
    assert points == sorted(np.ravel(losses).tolist())
    assert lines["the source"].get_ydata()[0] == pytest.approx(H)


def test_a_curve_of_each_seed_and_a_name_for_each_size(tmp_path):
    plan, rows, curves = tables(sweep())
    runs = parts_of(rows, curves, plan)["envelope"]
    caught = []
    best = type("Best", (), {"compute": np.array([1e9, 2e9]), "loss": np.array([1.0, 0.9])})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plots, "_save", lambda figure, path: caught.append(figure))
        patch.setattr(plots, "_grown", lambda axes, best: None)
        plots.learning_curves(tmp_path / "a.png", runs, best, "title")
    left = caught[0].axes[0]
    names = [line.get_label() for line in left.get_lines() if not line.get_label().startswith("_")]
    assert len(left.get_lines()) == 21 + 1 and len(names) == 7 + 1 and names[0] == "3.8e+02"
    first = left.get_lines()[:3]
    assert len({line.get_color() for line in first}) == 1 == len({line.get_linestyle() for line in first})


@pytest.mark.slow
def test_the_batches_are_rendered(tmp_path):
    _, paths = drawn(tmp_path, sweep((BATCHES,)))
    image = matplotlib.image.imread(paths[-1])
    assert paths[-1].stem == "batches" and image.shape[0] > 300 and image[..., :3].std() > 0.01


def test_tails_are_side_by_side(tmp_path, figures):
    plan, rows, _ = tables(sweep(tails=(1.0, 0.5)))
    found = {}
    for tail in (0.5, 1.0):
        parts = parts_of([row for row in rows if row["tail"] == tail], plan=plan)
        two = {name: parts[name] for name in ("parameters", "tokens")}
        found[tail] = analyse(two, np.random.default_rng(0), 20)
    pictures.tails(tmp_path / "tails.png", found, "made")
    size, data = figures["tails"].axes
    for axes, column in ((size, "parameters"), (data, "tokens")):
        named = [line for line in axes.get_lines() if not line.get_label().startswith("_")]
        for line, tail in zip(named, (1.0, 0.5), strict=True):
            law = found[tail].along[column].excess
            low, high = law.draws.interval("alpha", 0.9)
            alpha = law.fit.constants["alpha"]
            assert line.get_label() == f"tail {tail:g}: α = {alpha:.3f} ({low:.3f}–{high:.3f})"
            np.testing.assert_allclose(line.get_ydata(), law.fit.predict(**{column: line.get_xdata()}))
        assert len({str(line._dash_pattern) for line in named}) == 2
        markers = [line.get_marker() for line in axes.get_lines() if line.get_linestyle() == "None"]
        assert len(set(markers)) == 2
