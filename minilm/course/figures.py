"""Figures in one style: quiet axes, colours that differ in grey too, matrices with their numbers in them."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from minilm.plots import GRID, INK, MUTED

# Dark to pale, each with a line style and a marker of its own, so that print without colour still tells them apart.
COLORS = ("#0b3c5d", "#c1440e", "#2e8b57", "#8e6bbf", "#d9a400", "#7b8794")
STYLES = ("-", (0, (5, 2)), (0, (1, 1.5)), (0, (5, 2, 1, 2)), (0, (8, 3)), "-")
MARKERS = ("o", "s", "^", "D", "v", "x")


def subplots(rows: int = 1, columns: int = 1, width: float = 7, height: float = 4, **how: Any) -> tuple[Any, Any]:
    """(figure, axes) as Matplotlib's own `subplots`, in the course's style; sizes in inches."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=150, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, columns, **how)
    for one in np.ravel(np.asarray(axes, object)):
        quiet(one)
    return figure, axes


def quiet(axes: Any) -> None:
    """Nothing but the data and a pale grid."""
    axes.grid(color=GRID, linewidth=0.7)
    axes.set_axisbelow(True)
    axes.tick_params(which="both", colors=INK, length=0, labelsize=8)
    axes.xaxis.label.set(color=INK, size=9)
    axes.yaxis.label.set(color=INK, size=9)
    axes.title.set(color=INK, size=10)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(MUTED)


def matrix(
    axes: Any,
    values: Any,
    *,
    rows: Sequence[str] | None = None,
    columns: Sequence[str] | None = None,
    form: str | None = "{:.2f}",
    limit: float | None = None,
    title: str = "",
    xlabel: str = "",
    ylabel: str = "",
) -> Any:
    """A matrix as a picture with its entries written in; entries of 0 stay white and have no number.

    form: how an entry is written; None: not at all. limit: the value of the darkest colour; the largest, if not given.
    Negative entries are drawn in another hue, and written with their sign.
    """
    values = np.asarray(values, np.float64)
    top = limit if limit is not None else float(np.abs(values).max(initial=0)) or 1.0
    signed = bool((values < 0).any())
    image = axes.imshow(
        values, cmap="RdBu" if signed else "Blues", vmin=-top if signed else 0, vmax=top, aspect="equal"
    )
    for (i, j), v in np.ndenumerate(values):
        if form is not None and v != 0:
            axes.text(j, i, form.format(v), ha="center", va="center", fontsize=7,
                      color="white" if abs(v) > 0.55 * top else INK)  # fmt: skip
    axes.set_xticks(range(values.shape[1]), columns if columns is not None else range(values.shape[1]), fontsize=8)
    axes.set_yticks(range(values.shape[0]), rows if rows is not None else range(values.shape[0]), fontsize=8)
    axes.grid(False)
    axes.set_title(title, color=INK, size=10)
    axes.set_xlabel(xlabel)
    axes.set_ylabel(ylabel)
    for side in axes.spines.values():
        side.set(visible=True, color=GRID)
    return image
