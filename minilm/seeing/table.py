"""The table of a trace, for the terminal and the notebook, and its numbers as people read them."""

import io
from typing import Any

from minilm.i18n import tr


def table(t: Any) -> Any:
    """The rows of a trace, longest first, their totals, and beneath it what holds for the block as a whole."""
    from rich import box
    from rich.table import Table

    rows = t.rows()
    seconds = sum(row.seconds for row in rows)
    found = Table(box=box.SIMPLE_HEAD, show_footer=True, caption=caption(t, seconds), caption_justify="left")
    totals = (
        tr("total"),
        "",
        str(len(t.records)),
        time(seconds),
        "",
        size(sum(row.bytes for row in rows)),
        count(t.flops),
        rate(t.flops, seconds),
    )
    names = (tr("operation"), tr("direction"), tr("calls"), tr("time"), tr("share"), tr("written"), "FLOPs", "FLOP/s")
    for i, (name, footer) in enumerate(zip(names, totals, strict=True)):
        found.add_column(name, footer=footer, justify="left" if i < 2 else "right", no_wrap=True)
    directions = {"forward": tr("forward"), "backward": tr("backward")}
    for row in rows:
        found.add_row(
            row.operation,
            directions[row.direction],
            str(row.calls),
            time(row.seconds),
            f"{row.seconds / seconds:.1%}" if seconds else "",
            size(row.bytes),
            count(row.flops),
            rate(row.flops, row.seconds),
        )
    return found


def caption(t: Any, seconds: float) -> str:
    """Wall time, how much of it lay in operations, the threads where there are several, and the peak memory."""
    threads = len({record.thread for record in t.records})
    said = [
        tr("{wall} in all, of which {part} in operations", wall=time(t.seconds), part=time(seconds))
        if threads < 2
        else tr(
            "{wall} in all; in operations {part}, the sum of {n} threads",
            wall=time(t.seconds),
            part=time(seconds),
            n=threads,
        )
    ]
    if t.peak_bytes is not None:
        said.append(tr("peak memory {size} above the start", size=size(t.peak_bytes)))
    if any(record.operation.endswith("cross_entropy") for record in t.records):
        said.append(tr("a cross-entropy makes its gradients on its way forward: read its two rows together"))
    return "\n".join(said)


def rendered(found: Any, html: bool = False) -> str:
    """A table as plain text, or as HTML."""
    from rich.console import Console

    console = Console(file=io.StringIO(), width=110, record=html, color_system=None)
    console.print(found)
    if html:
        return console.export_html(inline_styles=True, code_format="<pre>{code}</pre>")
    return console.file.getvalue().rstrip()  # type: ignore[attr-defined]


def time(seconds: float) -> str:
    """1.23 s, 45.6 ms or 789 µs."""
    for unit, factor in (("s", 1.0), ("ms", 1e3)):
        if seconds * factor >= 1:
            return f"{_three_digits(seconds * factor)} {unit}"
    return f"{_three_digits(seconds * 1e6)} µs"


def size(n: int) -> str:
    """A number of bytes in B, KiB, MiB or GiB."""
    return _scaled(n, 1024, ("B", "KiB", "MiB", "GiB", "TiB"))


def count(n: float) -> str:
    """A number in thousands (k), millions (M), …"""
    return _scaled(n, 1000, ("", "k", "M", "G", "T", "P"))


def rate(flops: int, seconds: float) -> str:
    """FLOPs a second; nothing where there are none."""
    return count(flops / seconds) if flops and seconds else ""


def _scaled(n: float, step: int, units: tuple[str, ...]) -> str:
    scale = 0
    while n >= 999.5 and scale + 1 < len(units):
        n, scale = n / step, scale + 1
    digits = f"{n:.0f}" if scale == 0 else _three_digits(n)
    return f"{digits} {units[scale]}".strip()


def _three_digits(x: float) -> str:
    return f"{x:.2f}" if x < 9.995 else f"{x:.1f}" if x < 99.95 else f"{x:.0f}"
