"""Pictures of transfer: accuracy against labelled examples, arm beside arm, what was taken for what."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from minilm.errors import ShapeError
from minilm.i18n import tr
from minilm.plots import GRID, INK, MUTED, TRAIN, VALIDATION, _figure, _quiet, _save
from minilm.transfer.experiment import Row

COLOURS = (MUTED, VALIDATION, "#d9822b", "#3f9142", "#8d4bbb", "#c23030", TRAIN)


def labels_curve(path: str | Path, rows: Sequence[Row], measure: str, title: str) -> Path:
    """The measure against the number of labelled examples, a line for each arm, with its deviation over the seeds."""
    figure = _figure(8, 4.8)
    axes = figure.add_subplot()
    names = list(dict.fromkeys(row.arm for row in rows))
    for name, colour in zip(names, COLOURS * len(names), strict=False):
        of_arm = sorted((row for row in rows if row.arm == name), key=lambda row: row.labels)
        x, y = [row.labels for row in of_arm], [row.mean for row in of_arm]
        axes.errorbar(x, y, [row.deviation for row in of_arm], color=colour, linewidth=2, marker="o", markersize=4,
                      capsize=3, elinewidth=1, label=name)  # fmt: skip
    ticks = sorted({row.labels for row in rows})
    axes.set_xscale("log")
    axes.set_xticks(ticks, [f"{n:,}" for n in ticks], minor=False)
    axes.set_xticks([], minor=True)
    axes.set_xlabel(tr("labelled examples"), color=INK)
    axes.set_ylabel(measure, color=INK)
    axes.set_title(title, loc="left", color=INK, fontsize=11)
    figure.legend(loc="outside lower center", ncols=min(len(names), 3), frameon=False, labelcolor=INK)
    _quiet(axes)
    return _save(figure, path)


def arms_bars(path: str | Path, rows: Sequence[Row], measure: str, title: str) -> Path:
    """The measure of each arm at one number of labelled examples: the mean, and each seed as a dot."""
    figure = _figure(8, 0.6 * len(rows) + 1.6)
    axes = figure.add_subplot()
    at = np.arange(len(rows))[::-1]
    axes.barh(at, [row.mean for row in rows], color=TRAIN, height=0.6)
    for y, row in zip(at, rows, strict=True):
        axes.plot(row.scores, [y] * len(row.scores), "o", color=VALIDATION, markersize=4, clip_on=False)
        axes.annotate(f"{row.mean:.3f}", (0, y), xytext=(4, 0), textcoords="offset points", va="center", color=INK,
                      fontsize=8)  # fmt: skip
    axes.set_yticks(at, [row.arm for row in rows])
    axes.set_xlim(0, 1.015 * max(1.0, max(max(row.scores) for row in rows)))
    axes.set_xlabel(tr("{measure} (bar: the mean; dots: the seeds)", measure=measure), color=INK)
    axes.set_title(title, loc="left", color=INK, fontsize=11)
    _quiet(axes)
    axes.grid(axis="x", color=GRID, linewidth=0.7)
    axes.grid(axis="y", visible=False)
    axes.tick_params(axis="y", colors=INK)
    return _save(figure, path)


def confusion_matrix(path: str | Path, counts: np.ndarray, names: Sequence[str], title: str) -> Path:
    """How often each class (row) was taken for each (column); shades are shares of the row. ShapeError unless there is
    a name for each class."""
    counts = np.asarray(counts)
    if counts.shape != (len(names), len(names)):
        raise ShapeError(tr("counts: got shape {got}, wanted {wanted}", got=counts.shape,
                            wanted=(len(names), len(names))))  # fmt: skip
    size = 2.2 + 0.5 * len(names)
    figure = _figure(size + 1, size)
    axes = figure.add_subplot()
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for i, j in np.ndindex(*counts.shape):
        colour = "white" if shares[i, j] > 0.6 else INK
        axes.text(j, i, f"{counts[i, j]:,}", ha="center", va="center", color=colour, fontsize=8)
    at = np.arange(len(names))
    axes.set_xticks(at, names, rotation=45, ha="right")
    axes.set_yticks(at, names)
    axes.set_xlabel(tr("predicted"), color=INK)
    axes.set_ylabel(tr("true"), color=INK)
    axes.set_title(title, loc="left", color=INK, fontsize=10)
    axes.tick_params(colors=INK, length=0)
    for side in axes.spines.values():
        side.set_visible(False)
    return _save(figure, path)
