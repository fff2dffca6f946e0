"""What `minilm scaling fit` or `run` found, for people and for programs."""

from typing import Any

import typer

from minilm.i18n import tr


def as_numbers(found: Any) -> dict[str, Any]:
    """Every constant with its 95 %, R squared, the tests and the best sizes, as JSON has it."""
    laws = {name: _law_numbers(law) for name, law in found.laws.items()}
    best = {name: {"size": one.size._asdict(), "data": one.data._asdict()} for name, one in found.best.items()}
    tests = {
        column: {"values": one.test.x.tolist(), "predicted": one.test.predicted.tolist(),
                 "measured": one.test.measured.tolist()}
        for column, one in found.along.items() if one.test is not None
    }  # fmt: skip
    floors = {column: one.floor for column, one in found.along.items() if one.floor is not None}
    return {"laws": laws, "extrapolations": tests, "known_floor": floors, "best": best, "missing": found.missing}


def _law_numbers(law: Any) -> dict[str, Any]:
    constants = {
        name: {"value": value, "interval": law.draws.interval(name)} for name, value in law.fit.constants.items()
    }
    squared = {"r_squared": law.fit.r_squared, "r_squared_of_means": law.fit.r_squared_of_means}
    return {"constants": constants, **squared, "runs": len(law.fit.log_loss)}


def show(found: Any) -> None:
    """Tables: the constants, the known floor beside the fitted one, the extrapolations, the best sizes."""
    from minilm.cli.reports import paragraph, table

    rows = []
    for name, law in found.laws.items():
        for i, (constant, value) in enumerate(law.fit.constants.items()):
            low, high = law.draws.interval(constant)
            first = (name, f"{law.fit.r_squared:.4f}", str(len(law.fit.log_loss))) if i == 0 else ("", "", "")
            rows.append((*first, constant, f"{value:.4g}", f"{low:.4g} – {high:.4g}"))
    columns = [tr("law"), "R²", tr("runs"), tr("constant"), tr("value"), tr("bootstrap interval (95 %)")]
    table("", columns, rows, words=(0, 3))
    for column, one in found.along.items():
        _show_floor(column, one)
        _show_test(column, one)
    if any(one.floor is not None and one.with_floor is not None for one in found.along.values()):
        paragraph(tr("A floor fitted along one column also holds what the other columns cost, e.g. too few tokens."))
    _show_best(found)
    for name, why in found.missing.items():
        typer.echo(tr("not fitted: {name}: {why}", name=name, why=why))


def _show_floor(column: str, one: Any) -> None:
    if one.floor is None:
        return
    if one.with_floor is not None:
        E = one.with_floor.fit.constants["E"]
        low, high = one.with_floor.draws.interval("E")
        typer.echo(
            tr("{column}: the fitted floor is {E:.4f} ({low:.4f} – {high:.4f}), the known one {floor:.4f}: off by "
               "{off:+.4f}", column=column, E=E, low=low, high=high, floor=one.floor, off=E - one.floor)
        )  # fmt: skip
    if one.left_out:
        typer.echo(
            tr("{column}: {n} runs are not above the known floor and were left out of the law of the excess",
               column=column, n=one.left_out)
        )  # fmt: skip


def _show_test(column: str, one: Any) -> None:
    if one.test is None:
        return
    rows = zip(one.test.x, one.test.ratio, one.test.low, one.test.high, strict=True)
    said = ", ".join(f"{x:.3g}: {r:.2f} ({low:.2f} – {high:.2f})" for x, r, low, high in rows)
    typer.echo(
        tr("{column}: fitted to the smaller two thirds, predicted over measured of the others: {said}", column=column,
           said=said)
    )  # fmt: skip


def _show_best(found: Any) -> None:
    from minilm.cli.reports import table

    names = {"envelope": tr("envelope of the learning curves"), "isoflop": tr("isoFLOP parabolas"),
             "surface": tr("fitted surface")}  # fmt: skip
    rows = [
        (names[name], f"{one.size.factor:.3g} C^{one.size.exponent:.3f}",
         f"{one.data.factor:.3g} C^{one.data.exponent:.3f}")
        for name, one in found.best.items()
    ]  # fmt: skip
    if rows:
        table("", [tr("approach"), tr("best N"), tr("D with it, tokens")], rows)
