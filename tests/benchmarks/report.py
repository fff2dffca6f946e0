"""Results for people (a table, or plain lines where the output is no terminal) and for programs (JSON)."""

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from alternation import BASE, Result
from rich.console import Console
from rich.table import Table
from rows import PARTS, PRODUCTS

from minilm.training.durable import replace_file

QUIET = 0.1  # of the machine at most that others may take: with more, the milliseconds are not to be trusted
FLOOR = PRODUCTS.name
COLUMNS = ("", "size", "engine", "ms a step", "tokens/s", "times torch (middle half)", "busy", "peak MB (imports)")


def lines(result: Result) -> list[tuple[str, ...]]:
    """A line of the table for each engine."""
    found = []
    for engine in result.seconds:
        speed = result.tokens_per_second(engine)
        peak, imports = result.memory[engine]
        found.append(
            (
                engine,
                f"{result.milliseconds(engine):.1f}",
                "" if engine in PARTS else f"{speed:,.{0 if speed >= 100 else 1}f}",
                _ratio(result, engine),
                f"{result.busy[engine]:.2f}",
                f"{peak / 1e6:,.0f} ({imports / 1e6:,.0f})",
            )
        )
    found += [(engine, "not available", "", "", "", "") for engine in result.unavailable]
    heads = [(result.name, result.what), *[("", "")] * len(found)]
    return [(*head, *line) for head, line in zip(heads, found, strict=False)]


def _ratio(result: Result, engine: str) -> str:
    if result.problem:
        return "INVALID"
    if engine == BASE or engine in PARTS or BASE not in result.seconds:
        return "1.00" if engine == BASE else ""
    low, middle, high = result.ratio(engine)
    return f"{middle:.2f} ({low:.2f} to {high:.2f})"


def show(machine: dict[str, str], results: list[Result]) -> None:
    """Print the table, the machine, and what must be known beside it."""
    rows = [line for result in results for line in lines(result)]
    facts = "; ".join(f"{name} {value}" for name, value in machine.items())
    if sys.stdout.isatty():
        table = Table(*COLUMNS, caption=facts)
        for result in results:
            for line in lines(result):
                table.add_row(*line)
            table.add_section()
        Console().print(table)
    else:
        widths = [max(map(len, column)) for column in zip(COLUMNS, *rows, strict=True)]
        for line in [COLUMNS, *rows]:
            print("  ".join(f"{cell:{width}}" for cell, width in zip(line, widths, strict=True)).rstrip())
        print(facts)
    for result in results:
        for note in _notes(result):
            print(f"{result.name}: {note}")


def _notes(result: Result) -> list[str]:
    """What the reader must know of a row besides its numbers."""
    found = []
    if result.problem:
        found.append(f"INVALID: {result.problem}")
    if FLOOR in result.seconds and "minilm" in result.seconds:
        low, middle, high = result.ratio(FLOOR, "minilm")
        found.append(f"a step takes {middle:.2f} ({low:.2f} to {high:.2f}) times its matrix products' own time")
    if result.memory.keys() >= {"minilm", BASE}:
        (ours, ours_imported), (theirs, theirs_imported) = result.memory["minilm"], result.memory[BASE]
        less = (ours - ours_imported) / (theirs - theirs_imported)
        found.append(f"peak memory {ours / theirs:.2f} times torch's; less what imports take, {less:.2f} times")
    found += [f"{engine} is not available: {reason}" for engine, reason in result.unavailable.items()]
    if result.others is not None and result.others > QUIET:
        found.append(f"others took {result.others:.0%} of the machine meanwhile; run it again when it is quiet")
    return found


def as_json(machine: dict[str, str], results: list[Result]) -> dict[str, Any]:
    """Everything, each round's seconds too."""
    return {"machine": machine, "rows": [_row_as_json(result) for result in results]}


def _row_as_json(result: Result) -> dict[str, Any]:
    engines = {
        engine: {
            "tokens_per_second": result.tokens_per_second(engine),
            "times_torch": dict(zip(("lower_quartile", "median", "upper_quartile"), result.ratio(engine), strict=True)),
        }
        for engine in result.seconds
        if BASE in result.seconds
    }
    return {**asdict(result), "engines": engines}


def write_json(path: Path, machine: dict[str, str], results: list[Result]) -> None:
    """Write `as_json` to a file, all or nothing."""
    replace_file(path, (json.dumps(as_json(machine, results), indent=1) + "\n").encode())
