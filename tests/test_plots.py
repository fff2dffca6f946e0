"""The pictures: that they are made whole, and that labels stay apart."""

from pathlib import Path

import matplotlib.image
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minilm import plots
from minilm.errors import ShapeError
from minilm.plots import attention_map, known_source_curve, loss_curve, masked_curve, smoothed, spread

RECORDS = [{"tokens": 1000 * i, "loss": 4 / i, **({"validation_loss": 4.1 / i} if i % 5 == 0 else {})}
           for i in range(1, 31)]  # fmt: skip
NGRAMS = [{"order": i, "bits": b} for i, b in ((1, 4.7), (2, 3.5), (3, 1.9), (4, 1.86), (5, 1.85))]


@pytest.fixture(autouse=True)
def coarse(monkeypatch: pytest.MonkeyPatch) -> None:
    """A third of the pixels: rendering is most of these tests' time."""
    whole = plots._figure
    monkeypatch.setattr(plots, "_figure", lambda *size: (figure := whole(*size), figure.set_dpi(90))[0])


def drawn(path: Path) -> np.ndarray:
    """The picture's pixels; a torn PNG would not load."""
    assert not list(path.parent.glob(".*"))
    return matplotlib.image.imread(path)


def test_a_loss_curve_shows_what_it_is_given(tmp_path: Path) -> None:
    whole = drawn(loss_curve(tmp_path / "a.png", RECORDS, NGRAMS, lambda x: x, 1.8, "title"))
    assert whole.shape[0] > 400 and whole.std() > 0.01
    for records, ngrams, final in ((RECORDS[:20], NGRAMS, 1.8), (RECORDS, NGRAMS[:2], 1.8), (RECORDS, NGRAMS, 1.2)):
        other = drawn(loss_curve(tmp_path / "b.png", records, ngrams, lambda x: x, final, "title"))
        assert not np.array_equal(whole, other)


def test_a_known_sources_curve_shows_model_and_source(tmp_path: Path) -> None:
    final = {"loss": 1.0, "excess": 0.2, "excess_se": 0.01}
    whole = drawn(known_source_curve(tmp_path / "a.png", RECORDS, final, "title"))
    for records, end in (
        (RECORDS[:20], final),
        (RECORDS, {**final, "loss": 1.3, "excess": 0.5}),
        (RECORDS, {**final, "excess": 0.4}),
        (RECORDS, {**final, "excess_se": 0.02}),
    ):
        assert not np.array_equal(whole, drawn(known_source_curve(tmp_path / "b.png", records, end, "title")))


def test_a_masked_models_curves_show_both_tasks(tmp_path: Path) -> None:
    names = ("mlm_loss", "nsp_loss", "mlm_accuracy", "nsp_accuracy")
    records = []
    for r in RECORDS:
        parts = ("", "validation_") if "validation_loss" in r else ("",)
        more = {part + name: 0.3 + 0.1 * i + r["loss"] / 20 for i, name in enumerate(names) for part in parts}
        records.append({**r, **more})
    whole = drawn(masked_curve(tmp_path / "a.png", records, "title"))
    for name in names:
        for part in ("", "validation_"):
            other = [{**r, **({part + name: r[part + name] / 2} if part + name in r else {})} for r in records]
            assert not np.array_equal(whole, drawn(masked_curve(tmp_path / "b.png", other, "title"))), part + name
    alone = [{name: x for name, x in r.items() if "nsp" not in name} for r in records]
    assert not np.array_equal(whole, drawn(masked_curve(tmp_path / "b.png", alone, "title")))


def test_an_attention_map_has_a_panel_a_head(tmp_path: Path) -> None:
    weights = np.tril(np.full((6, 8, 8), 0.1))
    weights[5, 7, 0] = 1
    path = attention_map(tmp_path / "a.png", weights, list("ab cd\nef"), "title")
    six = drawn(path)
    assert not np.array_equal(six, drawn(attention_map(path, weights[:, ::-1], list("ab cd\nef"), "title")))
    assert six.shape[1] > drawn(attention_map(path, weights[:4], list("ab cd\nef"), "title")).shape[1]


def test_a_picture_that_fails_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"old")
    with pytest.raises(ShapeError, match="for 2 tokens"):
        attention_map(path, np.eye(3)[None], ["too", "few"], "title")
    with pytest.raises(ValueError):
        loss_curve(path, RECORDS, NGRAMS, lambda x: x, 1.8, "an $unreadable^^ formula$")
    assert path.read_bytes() == b"old"


@given(st.lists(st.floats(0, 10), min_size=1, max_size=12).map(sorted))
def test_labels_are_apart_and_in_order(heights: list[float]) -> None:
    places = spread(heights, 0.5)
    assert all(b - a >= 0.5 - 1e-9 for a, b in zip(places, places[1:], strict=False))
    if all(b - a >= 0.5 for a, b in zip(heights, heights[1:], strict=False)):
        np.testing.assert_allclose(places, heights)
    np.testing.assert_allclose(np.mean(places), np.mean(heights), atol=1e-9)


def test_a_running_mean() -> None:
    np.testing.assert_allclose(smoothed(np.array([0.0, 3, 6, 9]), 3), [1.5, 3, 6, 7.5])


def test_filled_masks_show_a_bar_for_each_word_of_model_and_source(tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(plots, "_save", lambda figure, path: drawn.append(figure) or path)
    masks = [plots.FilledMask("a colour", "a very long text . " * 9, [("red", 0.7, 1.0), ("blue", 0.2, 0.0)])] * 3
    plots.filled_masks(tmp_path / "masks.png", masks, "title")
    (figure,) = drawn
    assert len(figure.axes) == 3
    for axes in figure.axes:
        assert [bar.get_width() for bar in axes.patches] == [0.7, 0.2, 1.0, 0.0]
        assert [label.get_text() for label in axes.get_yticklabels()] == ["red", "blue"]
        text = next(t.get_text() for t in axes.texts if "long" in t.get_text())
        assert "\n" in text and not any(line.strip() == "." for line in text.split("\n"))
