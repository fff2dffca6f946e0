"""Tables that people read: drawn on a terminal, lines with tabs elsewhere."""

import sys
from collections.abc import Sequence

GOOD, BAD = "green", "bold red"


def table(
    columns: Sequence[str], rows: Sequence[Sequence[str]], bad: Sequence[bool] = (), right: Sequence[int] = ()
) -> None:
    """bad: for each row whether it is to stand out. right: the columns of numbers."""
    if not sys.stdout.isatty():
        for row in [columns, *rows]:
            print("\t".join(row))
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    drawn = Table()
    for i, column in enumerate(columns):
        drawn.add_column(column, justify="right" if i in right else "left", overflow="fold")
    for i, row in enumerate(rows):
        drawn.add_row(*map(Text, row), style=BAD if i < len(bad) and bad[i] else None)
    Console().print(drawn)
