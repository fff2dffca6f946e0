"""Results for people: a table, or plain lines where the output is no terminal, and what must be known beside it."""

import sys

import numpy as np
from alternation import BASE, Result
from rich.console import Console
from rich.table import Table
from rows import ATTENTION, PARTS, PRODUCTS, exponent

QUIET = 0.1  # of the machine at most that others may take: with more, the milliseconds are not to be trusted
COLUMNS = ("", "size", "engine", "ms a step", "tokens/s", "times torch (middle half)", "busy", "peak MB (imports)")


def lines(result: Result) -> list[tuple[str, ...]]:
    """A line of the table for each engine."""
    found = []
    for engine in result.seconds:
        peak, imports = result.memory[engine]
        found.append(
            (
                engine,
                f"{result.milliseconds(engine):.1f}",
                _speed(result, engine),
                _ratio(result, engine),
                f"{result.busy[engine]:.2f}",
                f"{peak / 1e6:,.0f} ({imports / 1e6:,.0f})",
            )
        )
    found += [(engine, "not available", "", "", "", "") for engine in result.unavailable]
    if result.skipped:
        found = [("", "not measured", "", "", "", "")]
    heads = [(result.name, result.what), *[("", "")] * len(found)]
    return [(*head, *line) for head, line in zip(heads, found, strict=False)]


def _speed(result: Result, engine: str) -> str:
    if engine in PARTS or not result.tokens:
        return ""
    speed = result.tokens_per_second(engine)
    return f"{speed:,.{0 if speed >= 100 else 1}f}"


def _ratio(result: Result, engine: str) -> str:
    if result.problem:
        return "INVALID"
    if engine == BASE:
        return "1.00"
    if engine in PARTS or BASE not in result.seconds:
        return ""
    return spread(result.ratio(engine))


def spread(of: tuple[float, float, float]) -> str:
    """A median and the middle half."""
    low, middle, high = of
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
        for note in notes(result):
            print(f"{result.name}: {note}")
    for reason in dict.fromkeys(result.skipped for result in results if result.skipped):
        names = ", ".join(result.name for result in results if result.skipped == reason)
        print(f"not measured: {names}: {reason}")


def notes(result: Result) -> list[str]:
    """What the reader must know of a row besides its numbers."""
    found = []
    if result.problem:
        found.append(f"INVALID: {result.problem}")
    if {PRODUCTS.name, "minilm"} <= result.seconds.keys():
        times = spread(result.ratio(PRODUCTS.name, "minilm"))
        found.append(f"a step of minilm takes {times} times its matrix products' own time")
    if {"minilm", BASE} <= result.memory.keys():
        (ours, ours_imported), (theirs, theirs_imported) = result.memory["minilm"], result.memory[BASE]
        less = (ours - ours_imported) / (theirs - theirs_imported)
        found.append(f"minilm's peak memory is {ours / theirs:.2f} times torch's; less what imports take, {less:.2f}")
    if result.name.endswith("-avx2") and result.kernels:
        found.append("kernels: " + "; ".join(dict.fromkeys(result.kernels.values())))
    if result.grows:
        found.append(growth(result))
    if {"minilm", ATTENTION.name} <= result.positions.keys():
        found.append(by_position(result))
    found += [f"{engine} is not available: {reason}" for engine, reason in result.unavailable.items()]
    if result.others is not None and result.others > QUIET:
        found.append(f"others took {result.others:.0%} of the machine meanwhile; run it again when it is quiet")
    return found


def growth(result: Result) -> str:
    """The exponents of a cost."""
    points = [result.grows[name] for name in result.seconds]
    values, products = [value for value, _ in points], [count for _, count in points]
    of_time = exponent(values, [result.milliseconds(name) for name in result.seconds])
    letter = result.name.rpartition("-")[2]
    return f"time grows as {letter}^{of_time:.2f}, FLOPs of the products as {letter}^{exponent(values, products):.2f}"


def by_position(result: Result) -> str:
    """What a token takes at the first position and how much more at each later one, all of it and without attention."""
    whole, attention = (np.array(result.positions[name]) for name in ("minilm", ATTENTION.name))
    said = []
    for seconds in (whole, whole - attention):
        slope, start = line_through(seconds)
        said.append(f"{1e3 * start:.3f} ms + {1e6 * slope:.2f} µs a position")
    return f"a token takes {said[0]}; without attention, {said[1]}"


def line_through(seconds: np.ndarray) -> tuple[float, float]:
    """Slope and start of the line by least squares, of medians over every sixteen positions, which outliers spare."""
    size = 16 if len(seconds) >= 64 else 1
    parts = [seconds[i : i + size] for i in range(0, len(seconds) - size + 1, size)]
    slope, start = np.polyfit([i * size + (size - 1) / 2 for i in range(len(parts))], [np.median(p) for p in parts], 1)
    return float(slope), float(start)
