"""Pictures of scaling laws, after Kaplan's figure 1 and Hoffmann's figures 2 and 3, which grey tells apart too."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from minilm.i18n import tr
from minilm.plots import GRID, INK, MUTED, TRAIN, VALIDATION, VALIDATION_2, _figure, _quiet, _save
from minilm.scaling.analysis import Along, Analysis, Fitted
from minilm.scaling.approaches import Best, Profiles
from minilm.scaling.bootstrap import Bootstrap, middle
from minilm.scaling.runs import Runs

GREEN = "#2e8b57"
DASHED, DOTTED = (0, (5, 2)), (0, (1, 1.5))
MARKERS = "osD^vP*X<>"


def _axis_name(column: str) -> str:
    return {
        "parameters": tr("N (parameters)"),
        "tokens": tr("D (tokens)"),
        "flops": tr("C (FLOPs of the training)"),
        "steps": tr("S (steps)"),
    }[column]


def every(folder: Path, found: Analysis, name: str) -> list[Path]:
    """All the pictures that an analysis allows, into a folder: laws, isoflop, envelope, residuals, constants."""
    folder.mkdir(parents=True, exist_ok=True)
    pictures = []
    if found.along:
        pictures.append(laws(folder / "laws.png", found.along, tr("{name}: loss and its laws", name=name)))
    if found.profiles is not None:
        title = tr("{name}: the best size for a budget", name=name)
        pictures.append(profiles(folder / "isoflop.png", found.parts["profiles"], found.profiles, title))
    if found.envelope is not None:
        title = tr("{name}: learning curves and their envelope", name=name)
        pictures.append(learning_curves(folder / "envelope.png", found.parts["envelope"], found.envelope, title))
    if found.laws:
        title = tr("{name}: what the laws leave over", name=name)
        pictures.append(residuals(folder / "residuals.png", found.laws, title))
    if "chinchilla" in found.both:
        title = tr("{name}: constants over the bootstrap", name=name)
        pictures.append(constants(folder / "constants.png", found.both["chinchilla"].draws, {}, title))
    return pictures


# ------------------------------------------------------------------------------------------------- loss along N, D, C


def laws(path: str | Path, found: Mapping[str, Along], title: str) -> Path:
    """Loss against size, data and compute, a panel each, with the fitted laws, their 95 % and the floor.

    Where a floor is known, a second row shows the excess over it, whose law is a line; R² is that of the seeds' means.
    """
    excess = any(one.excess is not None for one in found.values())
    rows = 2 if excess else 1
    figure = _figure(4.3 * len(found), 3.9 * rows)
    for place, one in enumerate(found.values(), 1):
        _loss_panel(figure.add_subplot(rows, len(found), place), one, place == 1)
        if one.excess is not None:
            _excess_panel(figure.add_subplot(rows, len(found), len(found) + place), one, place == 1)
    figure.suptitle(title, x=0.01, ha="left", color=INK, fontsize=11)
    return _save(figure, path)


def _loss_panel(axes: Any, law: Along, first: bool) -> None:
    x = np.geomspace(law.runs[law.column].min() / 1.3, law.runs[law.column].max() * 1.3, 100)
    axes.plot(law.runs[law.column], law.runs["loss"], "o", color=VALIDATION, markersize=4.5, alpha=0.75, zorder=3)
    line(axes, law.column, law.plain, x, VALIDATION_2, DASHED, tr("no floor: α = {alpha}", alpha=_exponent(law.plain)))
    if law.with_floor is not None:
        E = law.with_floor.fit.constants["E"]
        label = tr("fitted floor {E:.3g}: α = {alpha}", E=E, alpha=_exponent(law.with_floor))
        line(axes, law.column, law.with_floor, x, VALIDATION, "-", label)
    if law.floor is not None:
        axes.axhline(
            law.floor, color=INK, linewidth=1.1, linestyle=DOTTED, label=tr("the source: {E:.3g}", E=law.floor)
        )
    logarithmic(axes, law.column)
    if first:
        axes.set_ylabel(tr("loss (nats a token)"), color=INK)


def _excess_panel(axes: Any, law: Along, first: bool) -> None:
    above = law.runs.excess
    if law.excess is None or above is None:
        return
    values = law.runs[law.column]
    x = np.geomspace(values.min() / 1.3, values.max() * 1.3, 100)
    axes.plot(values, np.where(above > 0, above, np.nan), "s", color=GREEN, markersize=4.5, alpha=0.75, zorder=3)
    label = f"α = {_exponent(law.excess)}, R² = {law.excess.fit.r_squared_of_means:.3f}"
    line(axes, law.column, law.excess, x, GREEN, "-", label)
    logarithmic(axes, law.column)
    if first:
        axes.set_ylabel(tr("excess over the source (nats a token)"), color=INK)


def line(axes: Any, column: str, law: Fitted, x: np.ndarray, color: str, style: Any, label: str) -> None:
    """A fitted law at x, and the 95 % of its bootstrap."""
    at: dict[str, Any] = {column: x}
    axes.plot(x, law.fit.predict(**at), color=color, linestyle=style, linewidth=1.6, label=label, zorder=2)
    axes.fill_between(x, *law.draws.band(**at), color=color, alpha=0.16, linewidth=0, zorder=1)


def _exponent(law: Fitted, name: str = "alpha") -> str:
    low, high = law.draws.interval(name)
    return f"{law.fit.constants[name]:.3f} ({low:.3f}–{high:.3f})"


def logarithmic(axes: Any, column: str) -> None:
    """Both axes logarithmic with readable numbers, and the legend: when everything is drawn."""
    from matplotlib.ticker import LogFormatterSciNotation

    axes.set(xscale="log", yscale="log")
    _numbered(axes.yaxis)
    axes.xaxis.set_major_formatter(LogFormatterSciNotation())
    axes.set_xlabel(_axis_name(column), color=INK)
    _quiet(axes)
    axes.tick_params(which="both", labelsize=8, length=0, colors=MUTED)
    axes.legend(frameon=False, fontsize=7.5, labelcolor=INK, loc="best")


def _numbered(axis: Any) -> None:
    """A logarithmic axis with plain numbers, as many as find room."""
    from matplotlib.ticker import LogLocator, NullFormatter

    low, high = axis.get_view_interval()
    few, many = (1.0, 2.0, 5.0), (1.0, 1.2, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0)
    axis.set_major_locator(LogLocator(subs=many if high < 4 * low else few, numticks=12))
    axis.set_major_formatter(lambda value, _: f"{value:.3g}")
    axis.set_minor_formatter(NullFormatter())


# ---------------------------------------------------------------------------------------------------- the best size


def profiles(path: str | Path, runs: Runs, found: Profiles, title: str) -> Path:
    """Loss against size for each budget, its parabola and lowest point; beside it the best sizes against compute."""
    figure = _figure(10.5, 4.3)
    left, right = figure.add_subplot(1, 2, 1), figure.add_subplot(1, 2, 2)
    shades = _shades(len(found.parabolas))
    for i, (parabola, shade) in enumerate(zip(found.parabolas, shades, strict=True)):
        some = runs.where(runs["budget"] == parabola.budget)
        x = np.geomspace(some["parameters"].min(), some["parameters"].max(), 100)
        marker = MARKERS[i % len(MARKERS)]
        left.plot(some["parameters"], some["loss"], marker, color=shade, markersize=4, label=f"{parabola.budget:.2g}")
        left.plot(x, parabola(x), color=shade, linewidth=1.2)
        left.plot([parabola.parameters], [parabola.loss], marker, markerfacecolor="white", markeredgecolor=INK,
                  markeredgewidth=1.4, markersize=7, zorder=4)  # fmt: skip
    left.set(xscale="log", xlabel=_axis_name("parameters"), ylabel=tr("loss (nats a token)"))
    left.legend(
        frameon=False, fontsize=7.5, labelcolor=INK, title=tr("FLOPs; white: lowest points"), title_fontsize=7.5
    )
    _grown(right, found.best)
    for axes in (left, right):
        _quiet(axes)
        axes.tick_params(which="both", labelsize=8, length=0, colors=MUTED)
    figure.suptitle(title, x=0.01, ha="left", color=INK, fontsize=11)
    return _save(figure, path)


def learning_curves(path: str | Path, runs: Runs, best: Best, title: str) -> Path:
    """Learning curves against compute with their envelope; beside it the sizes that are best along it."""
    figure = _figure(10.5, 4.3)
    left, right = figure.add_subplot(1, 2, 1), figure.add_subplot(1, 2, 2)
    curves = sorted(runs.curves, key=lambda curve: float(curve["parameters"][0]))
    sizes = list(dict.fromkeys(float(curve["parameters"][0]) for curve in curves))
    styles, shades, named = ("-", DASHED, DOTTED, (0, (5, 2, 1, 2))), _shades(len(sizes)), len(sizes) <= 12
    for i, curve in enumerate(curves):
        place = sizes.index(float(curve["parameters"][0]))
        first = i == 0 or curves[i - 1]["parameters"][0] != sizes[place]
        left.plot(curve["flops"], curve["loss"], color=shades[place], linestyle=styles[place % 4], linewidth=1.3,
                  label=f"{sizes[place]:.2g}" if named and first else None)  # fmt: skip
    left.plot(best.compute, best.loss, color=VALIDATION_2, linewidth=4, alpha=0.45, zorder=1, label=tr("envelope"))
    left.set(xscale="log", yscale="log", xlabel=_axis_name("flops"), ylabel=tr("loss (nats a token)"))
    _numbered(left.yaxis)
    left.legend(frameon=False, fontsize=7.5, labelcolor=INK, title=tr("parameters") if named else None,
                title_fontsize=7.5)  # fmt: skip
    _grown(right, best)
    for axes in (left, right):
        _quiet(axes)
        axes.tick_params(which="both", labelsize=8, length=0, colors=MUTED)
    figure.suptitle(title, x=0.01, ha="left", color=INK, fontsize=11)
    return _save(figure, path)


def _grown(axes: Any, best: Best) -> None:
    """The best size, and the data that go with it, against compute."""
    size, data = best.size, best.data
    small = 4 if len(best.compute) < 40 else 1.2  # of an envelope's many budgets, a staircase
    axes.plot(best.compute, best.parameters, "o", color=VALIDATION, markersize=small)
    axes.plot(best.compute, best.tokens, "s", color=VALIDATION_2, markersize=small)
    x = np.geomspace(best.compute.min(), best.compute.max(), 50)
    axes.plot(x, size(x), color=VALIDATION, label=tr("best N, as C to the {a:.2f}", a=size.exponent))
    label = tr("D with it, as C to the {a:.2f}", a=data.exponent)
    axes.plot(x, data(x), color=VALIDATION_2, linestyle=DASHED, label=label)
    axes.set(xscale="log", yscale="log", xlabel=_axis_name("flops"), ylabel=tr("parameters; tokens"))
    axes.legend(frameon=False, fontsize=8, labelcolor=INK)


def _shades(n: int) -> list[Any]:
    """From pale to dark, which grey shows too."""
    from matplotlib import colormaps

    return [colormaps["viridis_r"](value) for value in np.linspace(0.15, 1, n)]


# -------------------------------------------------------------------------------------------------- what is left over


def residuals(path: str | Path, fits: Mapping[str, Fitted], title: str) -> Path:
    """How far each run lies from each law, in percent of its loss, against the loss that the law gives.

    A law that holds leaves a band without shape around 0; a bend says what the formula lacks.
    """
    figure = _figure(4.3 * min(len(fits), 3), 3.3 * -(-len(fits) // 3))
    for place, (name, law) in enumerate(fits.items(), 1):
        axes = figure.add_subplot(-(-len(fits) // 3), min(len(fits), 3), place)
        left = 100 * np.expm1(law.fit.residuals)
        given = np.exp(law.fit.form.log_loss(law.fit.theta, law.fit.logs))
        axes.axhline(0, color=INK, linewidth=0.9)
        axes.plot(given, left, "o", color=VALIDATION, markersize=4, alpha=0.75)
        axes.set_xscale("log")
        _numbered(axes.xaxis)
        axes.set_title(f"{name}\nR² = {law.fit.r_squared:.4f}", fontsize=9, color=INK, loc="left")
        axes.set_xlabel(tr("loss as the law gives it"), color=INK)
        if place % 3 == 1:
            axes.set_ylabel(tr("measured − given (%)"), color=INK)
        _quiet(axes)
        axes.tick_params(which="both", labelsize=8, length=0, colors=MUTED)
    figure.suptitle(title, x=0.01, ha="left", color=INK, fontsize=11)
    return _save(figure, path)


def constants(path: str | Path, draws: Bootstrap, known: Mapping[str, float], title: str) -> Path:
    """Each constant over the bootstrap, a histogram with its 95 % and, if known, the truth as a line.

    A draw that leaves a constant open sends it far away: what is beyond the middle 98 % is not shown.
    """
    names: Sequence[str] = draws.form.names
    figure = _figure(2.6 * len(names), 2.7)
    for place, name in enumerate(names, 1):
        axes = figure.add_subplot(1, len(names), place)
        values = draws.draws[:, place - 1]
        low, high = draws.interval(name)
        shown = middle(values[np.isfinite(values)], 0.98)
        axes.axvspan(max(low, shown[0]), min(high, shown[1]), color=GRID)
        axes.hist(values, bins=30, range=shown, color=TRAIN, edgecolor=MUTED, linewidth=0.3)
        if name in known:
            axes.axvline(known[name], color=VALIDATION_2, linewidth=1.8, linestyle=DASHED)
        axes.set_title(f"{name}: {low:.3g}–{high:.3g}", fontsize=9, color=INK, loc="left")
        axes.set_yticks([])
        _quiet(axes)
        axes.grid(visible=False)
        axes.tick_params(labelsize=7)
    figure.suptitle(title, x=0.01, ha="left", color=INK, fontsize=11)
    return _save(figure, path)
