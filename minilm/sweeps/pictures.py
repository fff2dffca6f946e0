"""The pictures of a sweep, each source's in a folder of its own."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from minilm.i18n import tr
from minilm.plots import INK, MUTED, VALIDATION, _figure, _quiet, _save
from minilm.scaling import plots
from minilm.scaling.analysis import Analysis
from minilm.sweeps.table import Row

MARKERS = "osD^vP*X<>"


def draw(folder: Path, name: str, found: Analysis, rows: Sequence[Row]) -> list[Path]:
    """All that the analysis has to show, and the loss against the batch where several were tried."""
    pictures = plots.every(folder, found, name)
    batches = [row for row in rows if "batches" in row["families"].split()]
    if len({row["batch"] for row in batches}) > 1:
        title = tr("{name}: the same data in larger batches", name=name)
        pictures.append(batch_sizes(folder / "batches.png", batches, title))
    return pictures


def batch_sizes(path: Path, rows: Sequence[Row], title: str) -> Path:
    """Loss against the tokens of a batch, each width a line through the means of its seeds, and the known floor."""
    figure = _figure(6.2, 4.2)
    axes = figure.add_subplot()
    for i, width in enumerate(sorted({row["width"] for row in rows})):
        some = [row for row in rows if row["width"] == width]
        sizes = sorted({row["batch"] * row["context"] for row in some})
        losses = [[row["loss"] for row in some if row["batch"] * row["context"] == size] for size in sizes]
        marker = MARKERS[i % len(MARKERS)]
        axes.plot(sizes, [np.mean(one) for one in losses], marker + "-", markersize=4, label=f"D = {width}")
        for size, one in zip(sizes, losses, strict=True):
            axes.plot([size] * len(one), one, marker, color=VALIDATION, markersize=3, alpha=0.5)
    floors = [row["floor"] for row in rows if "floor" in row]
    if floors:
        axes.axhline(float(np.mean(floors)), color=INK, linewidth=1.1, linestyle=plots.DOTTED, label=tr("the source"))
    axes.set(xscale="log", xlabel=tr("tokens of a batch"), ylabel=tr("loss (nats a token)"))
    axes.legend(frameon=False, fontsize=8, labelcolor=INK)
    _quiet(axes)
    axes.tick_params(which="both", labelsize=8, length=0, colors=MUTED)
    figure.suptitle(title, x=0.01, ha="left", color=INK, fontsize=11)
    return _save(figure, path)
