"""Pictures of what a training did: its loss beside the n-grams', and where attention looks."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from minilm.i18n import tr

INK, MUTED, GRID = "#1f2933", "#7b8794", "#e4e7eb"
TRAIN, VALIDATION = "#9ec5e8", "#0b62a3"


def _figure(width: float, height: float) -> Any:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=150, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def _save(figure: Any, path: str | Path) -> Path:
    """Write a PNG, whole or not at all."""
    path = Path(path)
    draft = path.with_name(f".{path.stem}.partial.png")
    try:
        figure.savefig(draft)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    return path


def loss_curve(
    path: str | Path,
    records: Sequence[dict[str, Any]],
    ngrams: Sequence[dict[str, float]],
    bits: Any,
    final: float,
    title: str,
) -> Path:
    """Bits per byte against tokens seen, training and validation, with a line for each n-gram order.

    records: a run's log. bits: turns nats per token into bits per byte. final: the model's bits per byte at the end.
    """
    figure = _figure(8, 4.8)
    axes = figure.add_subplot()
    tokens = np.array([r["tokens"] for r in records]) / 1e6
    train = np.array([bits(r["loss"]) for r in records])
    evaluated = [r for r in records if "validation_loss" in r]
    axes.plot(tokens, train, color=TRAIN, linewidth=1.2, label=tr("training"))
    seen = [r["tokens"] / 1e6 for r in evaluated]
    axes.plot(seen, [bits(r["validation_loss"]) for r in evaluated], color=VALIDATION, linewidth=2, marker="o",
              markersize=3.5, label=tr("validation"))  # fmt: skip
    right = tokens[-1] if len(tokens) else 1.0
    for row in ngrams:
        axes.axhline(row["bits"], color=MUTED, linewidth=0.9, linestyle=(0, (4, 3)), zorder=0)
        label = tr("{n}-gram", n=int(row["order"]))
        axes.annotate(f" {label}  {row['bits']:.2f}", (right * 1.02, row["bits"]), color=MUTED, fontsize=8, va="center")
    axes.plot([right], [final], marker="o", color=VALIDATION, markersize=7, zorder=5)
    axes.annotate(f" GPT  {final:.2f}", (right * 1.02, final), color=VALIDATION, fontsize=9, weight="bold", va="center")
    top = max([row["bits"] for row in ngrams] + [final]) * 1.08
    axes.set(xlim=(0, right * 1.16), ylim=(min([final, *[r["bits"] for r in ngrams]]) * 0.85, top))
    axes.set_xlabel(tr("tokens seen (millions)"), color=INK)
    axes.set_ylabel(tr("bits per byte"), color=INK)
    axes.set_title(title, loc="left", color=INK, fontsize=11)
    axes.legend(frameon=False, loc="upper right", bbox_to_anchor=(0.86, 1.0), labelcolor=INK)
    _quiet(axes)
    return _save(figure, path)


def attention_map(path: str | Path, weights: np.ndarray, tokens: Sequence[str], title: str) -> Path:
    """One panel a head: row t shows with which weights position t reads the positions up to itself.

    weights: (H, T, T), rows sum to 1. tokens: T labels.
    """
    heads = len(weights)
    columns = min(heads, 4)
    rows = -(-heads // columns)
    figure = _figure(3.4 * columns, 3.7 * rows)
    labels = [t.replace("\n", "⏎").replace(" ", "␣") for t in tokens]
    for head in range(heads):
        axes = figure.add_subplot(rows, columns, head + 1)
        image = axes.imshow(weights[head], cmap="Blues", vmin=0, vmax=1)
        axes.set_title(tr("head {n}", n=head + 1), fontsize=9, color=INK)
        axes.set_xticks(range(len(labels)), labels, fontsize=5, family="monospace")
        axes.set_yticks(range(len(labels)), labels, fontsize=5, family="monospace")
        axes.tick_params(length=0, colors=MUTED)
        for side in axes.spines.values():
            side.set_color(GRID)
    figure.colorbar(image, ax=figure.axes, shrink=0.7, label=tr("weight"))
    figure.suptitle(title, color=INK, fontsize=10)
    return _save(figure, path)


def _quiet(axes: Any) -> None:
    """Nothing but the data and a pale grid."""
    axes.grid(axis="y", color=GRID, linewidth=0.7)
    axes.set_axisbelow(True)
    axes.tick_params(colors=MUTED, length=0)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(GRID)
