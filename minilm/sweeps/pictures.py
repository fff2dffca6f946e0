"""The pictures of a sweep, each source's in a folder of its own."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from minilm.i18n import tr
from minilm.plots import INK, MUTED, VALIDATION, VALIDATION_2, _figure, _quiet, _save
from minilm.scaling import plots
from minilm.scaling.analysis import Along, Analysis
from minilm.sweeps.findings import LEVEL
from minilm.sweeps.table import Row

MARKERS = "osD^vP*X<>"
STYLES = ("-", plots.DASHED, plots.DOTTED, (0, (5, 2, 1, 2)))


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
        axes.plot(
            sizes, [np.mean(one) for one in losses], marker + "-", markersize=4, label=tr("width {width}", width=width)
        )
        for size, one in zip(sizes, losses, strict=True):
            axes.plot([size] * len(one), one, marker, color=VALIDATION, markersize=3, alpha=0.5)
    floors = [row["floor"] for row in rows if "floor" in row]
    if floors:
        axes.axhline(float(np.mean(floors)), color=INK, linewidth=1.1, linestyle=plots.DOTTED, label=tr("the source"))
    axes.set(xscale="log", xlabel=tr("tokens of a batch"), ylabel=tr("loss (nats a token)"))
    tried = sorted({row["batch"] * row["context"] for row in rows})
    axes.set_xticks(tried, [f"{size:,}" for size in tried])
    axes.set_xticks([], minor=True)
    axes.legend(frameon=False, fontsize=8, labelcolor=INK)
    _quiet(axes)
    axes.tick_params(which="both", labelsize=8, length=0, colors=MUTED)
    figure.suptitle(title, x=0.01, ha="left", color=INK, fontsize=11)
    return _save(figure, path)


def tails(path: Path, found: Mapping[float, Analysis], title: str) -> Path:
    """The excess along size and data for each tail of the source, with its law: the exponents side by side."""
    columns = [column for column in ("parameters", "tokens") if any(column in one.along for one in found.values())]
    figure = _figure(4.6 * len(columns), 4.0)
    for place, column in enumerate(columns, 1):
        axes = figure.add_subplot(1, len(columns), place)
        for i, (tail, one) in enumerate(sorted(found.items(), reverse=True)):
            law = one.along.get(column)
            if law is not None and law.excess is not None:
                _tail(axes, law, tr("tail {tail:g}", tail=tail), i)
        plots.logarithmic(axes, column)
        if place == 1:
            axes.set_ylabel(tr("excess over the source (nats a token)"), color=INK)
    figure.suptitle(title, x=0.01, ha="left", color=INK, fontsize=11)
    return _save(figure, path)


def _tail(axes: Any, law: Along, name: str, i: int) -> None:
    values, above = law.runs[law.column], law.runs.excess
    if above is None or law.excess is None:
        return
    color = (VALIDATION, VALIDATION_2, plots.GREEN)[i % 3]
    axes.plot(
        values, np.where(above > 0, above, np.nan), MARKERS[i % len(MARKERS)], color=color, markersize=4.5, alpha=0.75
    )
    x = np.geomspace(values.min() / 1.3, values.max() * 1.3, 100)
    low, high = law.excess.draws.interval("alpha", LEVEL)
    label = f"{name}: α = {law.excess.fit.constants['alpha']:.3f} ({low:.3f}–{high:.3f})"
    plots.line(axes, law.column, law.excess, x, color, STYLES[i % 4], label)
