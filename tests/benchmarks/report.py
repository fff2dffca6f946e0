"""Results for people (a table, or plain lines where the output is no terminal) and for programs (JSON)."""

import json
import statistics
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from alternation import BASE, Result
from rich.console import Console
from rich.table import Table

from minilm.training.durable import replace_file

QUIET = 0.9  # of a processor for each thread: with less, the milliseconds are not to be trusted
COLUMNS = ("", "size", "engine", "ms a round", "tokens/s", "times torch (middle half)")


def lines(result: Result) -> list[tuple[str, ...]]:
    """A line of the table for each engine."""
    found = []
    for i, (engine, seconds) in enumerate(result.seconds.items()):
        head = (result.row.name, str(result.row.size)) if i == 0 else ("", "")
        middle = 1000 * statistics.median(seconds)
        speed = f"{result.tokens_per_second(engine):,.{0 if result.tokens_per_second(engine) >= 100 else 1}f}"
        found.append((*head, engine, f"{middle:.1f}", speed, _ratio(result, engine)))
    return found


def _ratio(result: Result, engine: str) -> str:
    if result.problem:
        return "INVALID"
    if engine == BASE:
        return "1.00"
    low, middle, high = result.ratio(engine)
    return f"{middle:.2f} ({low:.2f} to {high:.2f})"


def show(machine: dict[str, str], results: list[Result]) -> None:
    """Print the table, the machine, and what makes rows invalid."""
    facts = "; ".join(f"{name} {value}" for name, value in machine.items())
    notes = [note for result in results for note in _notes(result)]
    rows = [line for result in results for line in lines(result)]
    if sys.stdout.isatty():
        table = Table(*COLUMNS, caption=facts)
        for result in results:
            for line in lines(result):
                table.add_row(*line)
            table.add_section()
        Console().print(table)
    else:
        for line in [COLUMNS, *rows]:
            print("  ".join(f"{cell:{width}}" for cell, width in zip(line, _widths(rows), strict=True)).rstrip())
        print(facts)
    for note in notes:
        print(note)


def _notes(result: Result) -> list[str]:
    """What the reader must know of a row besides its numbers."""
    found = []
    if result.peak_memory:
        peaks = ", ".join(f"{engine} {size / 1e6:,.0f} MB" for engine, size in result.peak_memory.items())
        found.append(f"{result.row.name}: peak memory of a process of its own, loading too: {peaks}")
    if result.problem:
        found.append(f"{result.row.name} is INVALID: {result.problem}")
    if result.processor < QUIET * result.row.threads:
        found.append(
            f"{result.row.name}: the processor was shared, this process had {result.processor:.0%} of one; "
            "run it again on a quiet machine"
        )
    return found


def _widths(rows: list[tuple[str, ...]]) -> list[int]:
    return [max(map(len, column)) for column in zip(COLUMNS, *rows, strict=True)]


def as_json(machine: dict[str, str], results: list[Result]) -> dict[str, Any]:
    """Everything, each round's seconds too."""
    return {"machine": machine, "rows": [_row_as_json(result) for result in results]}


def _row_as_json(result: Result) -> dict[str, Any]:
    engines = {
        engine: {
            "tokens_per_second": result.tokens_per_second(engine),
            "times_torch": dict(zip(("lower_quartile", "median", "upper_quartile"), result.ratio(engine), strict=True)),
            "seconds": seconds,
        }
        for engine, seconds in result.seconds.items()
    }
    row = {"name": result.row.name, **asdict(result.row), "tokens": result.tokens, "processor": result.processor}
    return {**row, "problem": result.problem, "engines": engines, "peak_memory": result.peak_memory}


def write_json(path: Path, machine: dict[str, str], results: list[Result]) -> None:
    """Write `as_json` to a file, all or nothing."""
    replace_file(path, (json.dumps(as_json(machine, results), indent=1) + "\n").encode())
