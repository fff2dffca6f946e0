"""Pictures of what a training did: its loss beside what it can be set beside, and where attention looks."""

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from minilm.errors import ShapeError
from minilm.i18n import tr

INK, MUTED, GRID = "#1f2933", "#7b8794", "#e4e7eb"
TRAIN, VALIDATION = "#9ec5e8", "#0b62a3"
TRAIN_2, VALIDATION_2 = "#f3c99f", "#b4540a"  # of a second quantity


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
    ngrams: Sequence[dict[str, Any]],
    bits: Any,
    final: float,
    title: str,
) -> Path:
    """Bits per byte against tokens seen, training and validation, with a line for each n-gram order.

    records: a run's log. ngrams: their order and bits per byte. bits: turns nats per token into bits per byte.
    final: the model's bits per byte at the end.
    """
    figure = _figure(8, 4.8)
    axes = figure.add_subplot()
    tokens = np.array([r["tokens"] for r in records]) / 1e6
    train = smoothed(np.array([bits(r["loss"]) for r in records]), 9)
    evaluated = [r for r in records if "validation_loss" in r]
    axes.plot(tokens, train, color=TRAIN, linewidth=1.4, label=tr("training (running mean)"))
    seen = [r["tokens"] / 1e6 for r in evaluated]
    axes.plot(seen, [bits(r["validation_loss"]) for r in evaluated], color=VALIDATION, linewidth=2, marker="o",
              markersize=3.5, label=tr("validation"))  # fmt: skip
    right = tokens[-1] if len(tokens) else 1.0
    axes.hlines([row["bits"] for row in ngrams], 0, right, color=MUTED, linewidth=0.9, linestyle=(0, (4, 3)), zorder=0)
    axes.plot([right], [final], marker="o", color=VALIDATION, markersize=7, zorder=5)
    labels = [(row["bits"], tr("{n}-gram", n=int(row["order"])), MUTED) for row in ngrams] + [
        (final, "GPT", VALIDATION)
    ]
    low, high = min(labels)[0] * 0.85, max(labels)[0] * 1.08
    places = spread([value for value, _, _ in sorted(labels)], 0.045 * (high - low))
    for (value, label, color), y in zip(sorted(labels), places, strict=True):
        axes.annotate(f"{label}  {value:.2f}", (right * 1.02, y), color=color, fontsize=8, va="center")
    axes.set(xlim=(0, right * 1.17), ylim=(low, high))
    axes.set_xlabel(tr("tokens seen (millions)"), color=INK)
    axes.set_ylabel(tr("bits per byte"), color=INK)
    axes.set_title(title, loc="left", color=INK, fontsize=11)
    axes.legend(frameon=True, facecolor="white", edgecolor="none", framealpha=1, loc="upper right",
                bbox_to_anchor=(0.84, 0.82), labelcolor=INK)  # fmt: skip
    _quiet(axes)
    return _save(figure, path)


def known_source_curve(
    path: str | Path, records: Sequence[dict[str, Any]], final: dict[str, float], title: str
) -> Path:
    """Nats per token against tokens seen, and as a dashed line the loss of the source itself, which no model beats.

    records: a run's log, with validation_loss and validation_excess. final: loss, excess and excess_se at the end.
    """
    figure = _figure(8, 4.8)
    axes = figure.add_subplot()
    right = _curves(axes, records, "loss", (TRAIN, VALIDATION), tr("training (running mean)"), tr("validation"))
    oracle = final["loss"] - final["excess"]
    axes.hlines(oracle, 0, right, color=MUTED, linewidth=1.1, linestyle=(0, (4, 3)), zorder=0)
    axes.plot([right], [final["loss"]], marker="o", color=VALIDATION, markersize=7, zorder=5)
    top = max([final["loss"], *(r["loss"] for r in records)])
    places = spread([oracle, final["loss"]], 0.06 * (top - oracle * 0.85))
    excess = tr("excess {excess} ± {error}", excess=f"{final['excess']:.4f}", error=f"{final['excess_se']:.4f}")
    labels = (tr("the source  {loss}", loss=f"{oracle:.3f}"), MUTED), (f"{final['loss']:.3f}  {excess}", VALIDATION)
    for (label, color), y in zip(labels, places, strict=True):
        axes.annotate(label, (right * 1.02, y), color=color, fontsize=8, va="center")
    axes.set(xlim=(0, right * 1.34), ylim=(oracle * 0.85, top * 1.03))
    axes.set_xlabel(tr("tokens seen (millions)"), color=INK)
    axes.set_ylabel(tr("nats per token"), color=INK)
    axes.set_title(title, loc="left", color=INK, fontsize=11)
    axes.legend(frameon=False, loc="upper right", labelcolor=INK)
    _quiet(axes)
    return _save(figure, path)


def masked_curve(path: str | Path, records: Sequence[dict[str, Any]], title: str) -> Path:
    """BERT's two tasks apart against tokens seen: their losses in one panel, the parts guessed right in the other.

    records: a run's log, with mlm_loss and mlm_accuracy, and nsp_loss and nsp_accuracy where there are pairs.
    """
    figure = _figure(10.5, 4.4)
    tasks = [("mlm", (TRAIN, VALIDATION), tr("words")), ("nsp", (TRAIN_2, VALIDATION_2), tr("next sentence"))]
    for place, (quantity, label) in enumerate((("loss", tr("nats")), ("accuracy", tr("part guessed right")))):
        axes = figure.add_subplot(1, 2, place + 1)
        for task, colors, name in tasks:
            if any(f"{task}_{quantity}" in r for r in records):
                _curves(axes, records, f"{task}_{quantity}", colors, None, name)
        axes.set_ylim(bottom=0, top=1 if quantity == "accuracy" else None)
        axes.set_xlabel(tr("tokens seen (millions)"), color=INK)
        axes.set_ylabel(label, color=INK)
        _quiet(axes)
        axes.legend(frameon=False, labelcolor=INK, loc="best", title=tr("validation; pale: training"), title_fontsize=8)
    figure.get_layout_engine().set(wspace=0.05)
    figure.suptitle(title, x=0.01, ha="left", color=INK, fontsize=11)
    return _save(figure, path)


def _curves(
    axes: Any,
    records: Sequence[dict[str, Any]],
    quantity: str,
    colors: tuple[str, str],
    train_label: str | None,
    label: str,
) -> float:
    """A quantity of a log in training, as a running mean, and in validation; the millions of tokens at the end."""
    trained = [r for r in records if quantity in r]
    tokens = np.array([r["tokens"] for r in trained]) / 1e6
    axes.plot(tokens, smoothed(np.array([r[quantity] for r in trained]), 9), color=colors[0], linewidth=1.4,
              label=train_label)  # fmt: skip
    evaluated = [r for r in records if f"validation_{quantity}" in r]
    axes.plot([r["tokens"] / 1e6 for r in evaluated], [r[f"validation_{quantity}"] for r in evaluated],
              color=colors[1], linewidth=2, marker="o", markersize=3.5, label=label)  # fmt: skip
    return float(tokens[-1]) if len(tokens) else 1.0


def smoothed(values: np.ndarray, width: int) -> np.ndarray:
    """The mean of each value and those around it, `width` in all, fewer at the ends."""
    sums = np.cumsum(np.concatenate(([0.0], values)))
    at = np.arange(len(values))
    start, stop = np.maximum(at - width // 2, 0), np.minimum(at + width // 2 + 1, len(values))
    return (sums[stop] - sums[start]) / (stop - start)


def spread(heights: Sequence[float], gap: float) -> list[float]:
    """Rising heights, moved apart until neighbours are `gap` from each other, each cluster about its own middle."""
    clusters: list[list[float]] = []
    for height in heights:
        clusters.append([height])
        while len(clusters) > 1 and _bottom(clusters[-1], gap) < _top(clusters[-2], gap) + gap:
            last = clusters.pop()
            clusters[-1] += last
    return [_bottom(cluster, gap) + i * gap for cluster in clusters for i in range(len(cluster))]


def _bottom(cluster: list[float], gap: float) -> float:
    return sum(cluster) / len(cluster) - gap * (len(cluster) - 1) / 2


def _top(cluster: list[float], gap: float) -> float:
    return sum(cluster) / len(cluster) + gap * (len(cluster) - 1) / 2


def attention_map(path: str | Path, weights: np.ndarray, tokens: Sequence[str], title: str) -> Path:
    """One panel a head: row t shows with which weights position t reads the positions up to itself.

    weights: (H, T, T), rows sum to 1. tokens: T labels; ShapeError if they are not.
    """
    heads = len(weights)
    if weights.shape[1:] != (len(tokens), len(tokens)):
        raise ShapeError(
            tr(
                "attention map: weights of shape {got} for {n} tokens; wanted (H, T, T)",
                got=weights.shape,
                n=len(tokens),
            )
        )
    columns = min(heads, 2 if heads <= 4 else 4)
    rows = -(-heads // columns)
    figure = _figure(4.4 * columns, 4.4 * rows)
    labels = [t.replace("\n", "⏎").replace(" ", "␣") for t in tokens]
    for head in range(heads):
        axes = figure.add_subplot(rows, columns, head + 1)
        image = axes.imshow(weights[head], cmap="Blues", vmin=0, vmax=1)
        axes.set_title(tr("head {n}", n=head + 1), fontsize=9, color=INK)
        axes.set_xticks(range(len(labels)), labels, fontsize=6, family="monospace", rotation=90)
        axes.set_yticks(range(len(labels)), labels, fontsize=6, family="monospace")
        axes.tick_params(length=0, colors=MUTED)
        for side in axes.spines.values():
            side.set_color(GRID)
    figure.colorbar(image, ax=figure.axes, shrink=0.7, label=tr("weight"))
    figure.suptitle(title, color=INK, fontsize=10)
    return _save(figure, path)


class FilledMask(NamedTuple):
    """What is asked for; the text with its [MASK]; words, each with the model's and the source's probability."""

    what: str
    text: str
    words: Sequence[tuple[str, float, float]]


def filled_masks(path: str | Path, masks: Sequence[FilledMask], title: str) -> Path:
    """One panel a text: the words that may stand at its mask, with the model's probability of each and the source's."""
    columns = min(len(masks), 2)
    rows = -(-len(masks) // columns)
    figure = _figure(5.2 * columns, 2.9 * rows + 0.5)
    for number, mask in enumerate(masks):
        axes = figure.add_subplot(rows, columns, number + 1)
        at = np.arange(len(mask.words))[::-1]
        for shift, place, color, label in ((0.2, 1, VALIDATION, tr("model")), (-0.2, 2, MUTED, tr("source"))):
            p = [float(word[place]) for word in mask.words]
            axes.barh(at + shift, p, 0.36, color=color, label=label)
            for y, share in zip(at + shift, p, strict=True):
                axes.annotate(f"{share:.2f}", (share + 0.015, y), color=color, fontsize=7.5, va="center")
        axes.set_yticks(at, [word for word, _, _ in mask.words])
        axes.set(xlim=(0, 1.12), ylim=(-0.6, len(mask.words) - 0.4), xticks=[0, 0.25, 0.5, 0.75, 1])
        text = textwrap.fill(mask.text.replace(" .", "\N{NO-BREAK SPACE}."), 58)  # no full stop by itself
        axes.set_title(f"{mask.what}\n", loc="left", color=INK, fontsize=10, pad=12 + 11 * (text.count("\n")))
        axes.annotate(
            text, (0, 1), (0, 5), xycoords="axes fraction", textcoords="offset points", color=MUTED, fontsize=8
        )
        _quiet(axes)
        axes.grid(axis="x", color=GRID, linewidth=0.7)
        axes.grid(axis="y", visible=False)
        axes.tick_params(axis="y", colors=INK)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=2, frameon=False, labelcolor=INK)
    figure.suptitle(title, x=0.01, ha="left", color=INK, fontsize=11)
    return _save(figure, path)


def _quiet(axes: Any) -> None:
    """Nothing but the data and a pale grid."""
    axes.grid(axis="y", color=GRID, linewidth=0.7)
    axes.set_axisbelow(True)
    axes.tick_params(colors=MUTED, length=0)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(GRID)
