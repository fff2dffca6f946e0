"""Tables that people read: drawn on a terminal and in a notebook, lines with tabs elsewhere."""

import sys
from collections.abc import Sequence

GOOD, BAD = "green", "bold red"


def table(
    columns: Sequence[str], rows: Sequence[Sequence[str]], bad: Sequence[bool] = (), right: Sequence[int] = ()
) -> None:
    """Print it. bad: for each row whether it is to stand out. right: the columns of numbers."""
    if in_notebook():
        return _in_notebook(columns, rows, right)
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


def _in_notebook(columns: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int]) -> None:
    from IPython.display import Markdown, display

    marks = ["--:" if i in right else ":--" for i in range(len(columns))]
    cells = [[cell.replace("|", "\\|") for cell in row] for row in [columns, marks, *rows]]
    display(Markdown("\n".join("| " + " | ".join(row) + " |" for row in cells)))


def in_notebook() -> bool:
    """Whether a notebook's kernel runs this."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return shell is not None and hasattr(shell, "kernel")
