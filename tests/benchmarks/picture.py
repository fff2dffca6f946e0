"""A picture of the results: speed beside the other engines, a token's time by its position, a step's time by its size.

Engines differ by hatching and markers as well as by colour, so that it can be read in grey.
"""

import math
from pathlib import Path
from typing import Any

import numpy as np
from alternation import BASE, Result
from report import line_through
from rows import ATTENTION, PRODUCTS, exponent

INK, MUTED, GRID = "#1f2933", "#7b8794", "#e4e7eb"
LOOKS = {  # colour, hatching
    "minilm": ("#0b3c66", ""),
    "torch": ("#d9dde2", ""),
    "torch, explicit attention": ("#f4f5f7", "///"),
    "torch, fused AdamW": ("#b9c0c8", "..."),
    "torch.compile": ("#9aa5b1", "\\\\\\"),
    "jax": ("#f3c99f", "xx"),
    "autograd": ("#ffffff", "++"),
}
LINES = [("#0b3c66", "-", "o"), ("#7b8794", "--", "s"), ("#b4540a", ":", "^"), ("#1f2933", "-.", "D")]


def draw(path: Path, results: list[Result]) -> None:
    """Write a PNG of what there is: bars, positions, costs."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows = [r for r in results if r.seconds and BASE in r.seconds and not r.problem]
    positions = [r for r in results if r.positions and not r.problem]
    costs = [r for r in results if r.grows and not r.problem]
    bars = sum(len(_rivals(r)) + 1.4 for r in rows)
    figure = Figure(figsize=(11, max(2.0, 0.16 * bars) + 3.6), dpi=150, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    grid = figure.add_gridspec(2, 2, height_ratios=(max(2.0, 0.16 * bars), 3.2))
    _bars(figure.add_subplot(grid[0, :]), rows)
    below = [(panel, found) for panel, found in ((_positions, positions), (_costs, costs)) if found]
    for i, (panel, found) in enumerate(below):
        panel(figure.add_subplot(grid[1, i] if len(below) == 2 else grid[1, :]), found)
    figure.savefig(path)


def _rivals(result: Result) -> list[str]:
    return [engine for engine in result.seconds if engine in LOOKS]


def _bars(axes: Any, rows: list[Result]) -> None:
    """For each row a group of bars; a stroke where nothing but the matrix products would be."""
    place, marks = 0.0, []
    for row in rows:
        start = place
        for engine in _rivals(row):
            low, middle, high = row.ratio(engine)
            colour, hatch = LOOKS[engine]
            axes.barh(place, middle, 0.9, color=colour, hatch=hatch, edgecolor=INK, linewidth=0.5)
            axes.plot([low, high], [place, place], color=MUTED, linewidth=1.5)
            axes.annotate(f" {middle:.2f}", (max(high, middle), place), color=INK, fontsize=6, va="center")
            place += 1
        if PRODUCTS.name in row.seconds:
            floor = row.ratio(PRODUCTS.name)[1]
            axes.plot([floor, floor], [start - 0.5, place - 0.5], color="#b4540a", linewidth=1.6, linestyle=(0, (3, 1)))
        marks.append(((start + place - 1) / 2, row.name))
        place += 1.4
    axes.axvline(1, color=INK, linewidth=0.6, zorder=0)
    axes.set_yticks([y for y, _ in marks], [name for _, name in marks], fontsize=7)
    axes.invert_yaxis()
    axes.set_title("Tokens a second, times PyTorch eager's (stroke: the matrix products alone)", loc="left", fontsize=9)
    _legend(axes, rows)
    _quiet(axes, "x")


def _legend(axes: Any, rows: list[Result]) -> None:
    from matplotlib.patches import Patch

    shown = [engine for engine in LOOKS if any(engine in row.seconds for row in rows)]
    patches = [
        Patch(facecolor=LOOKS[engine][0], hatch=LOOKS[engine][1], edgecolor=INK, linewidth=0.5, label=engine)
        for engine in shown
    ]
    if patches:
        axes.legend(handles=patches, fontsize=7, frameon=False, loc="lower left", bbox_to_anchor=(1.0, 0.0))


def _positions(axes: Any, rows: list[Result]) -> None:
    """Milliseconds of one step by the position that it reads up to, of generation one row at a time or the first."""
    axes.set_title("A new token's time by its position", loc="left", fontsize=9)
    if rows:
        row = next((r for r in rows if r.name == "generation-M"), rows[0])
        curves = {name: np.array(found) for name, found in row.positions.items()}
        if {"minilm", ATTENTION.name} <= curves.keys():
            curves["minilm without attention"] = curves["minilm"] - curves[ATTENTION.name]
        for (name, seconds), (colour, style, _) in zip(curves.items(), LINES, strict=False):
            slope, start = line_through(seconds)
            axes.plot(1e3 * _smooth(seconds), color=colour, linestyle=style, linewidth=1.3, label=name)
            axes.plot(
                [0, len(seconds)], [1e3 * start, 1e3 * (start + slope * len(seconds))], color=colour, linewidth=0.5
            )
        axes.set_title(f"A new token's time by its position ({row.name})", loc="left", fontsize=9)
        axes.set_ylim(bottom=0)
        axes.legend(fontsize=7, frameon=False)
    axes.set_xlabel("tokens read before", fontsize=8)
    axes.set_ylabel("ms", fontsize=8)
    _quiet(axes, "y")


def _smooth(seconds: np.ndarray, of: int = 9) -> np.ndarray:
    """The median of so many neighbours, at the ends of the nearest that there are."""
    starts = [min(max(0, i - of // 2), max(0, len(seconds) - of)) for i in range(len(seconds))]
    return np.array([np.median(seconds[start : start + of]) for start in starts])


def _costs(axes: Any, rows: list[Result]) -> None:
    """Seconds of a step against the number that is changed, as a multiple of its smallest, with the fitted power."""
    axes.set_title("A step's time by its size", loc="left", fontsize=9)
    for row, (colour, style, marker) in zip(rows, LINES, strict=False):
        values = np.array([row.grows[name][0] for name in row.seconds])
        seconds = np.array([row.milliseconds(name) / 1e3 for name in row.seconds])
        e = exponent(values.tolist(), seconds.tolist())
        fitted = np.exp(np.log(seconds).mean() + e * (np.log(values) - np.log(values).mean()))
        letter = row.name.rpartition("-")[2]
        what = f"{letter} = {values[0]:g} … {values[-1]:g}: time ~ {letter}^{e:.2f}"
        axes.plot(values / values[0], fitted, color=colour, linestyle=style, linewidth=1.2, label=what)
        axes.plot(values / values[0], seconds, color=colour, linestyle="none", marker=marker, markersize=4)
    if rows:
        most = max(max(g for g, _ in row.grows.values()) / min(g for g, _ in row.grows.values()) for row in rows)
        axes.set(xscale="log", yscale="log")
        ticks = [2**i for i in range(int(math.log2(most)) + 1)]
        axes.set_xticks(ticks, [str(tick) for tick in ticks])
        axes.minorticks_off()
        low, high = axes.get_ylim()
        ticks = [digit * 10.0**power for power in range(-4, 3) for digit in (1, 2, 5)]
        ticks = [tick for tick in ticks if low <= tick <= high]
        axes.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
        axes.legend(fontsize=7, frameon=False)
    axes.set_xlabel("times the smallest", fontsize=8)
    axes.set_ylabel("seconds a step", fontsize=8)
    _quiet(axes, "both")


def _quiet(axes: Any, grid: str) -> None:
    axes.grid(axis=grid, color=GRID, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=7, colors=INK)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
