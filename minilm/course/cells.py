"""A lesson's script as cells (jupytext's py:percent): prose, a raw docstring, in `# %% [markdown]`; code in `# %%`."""

import ast
import re
from dataclasses import dataclass
from pathlib import Path

from minilm.errors import DataError
from minilm.i18n import tr

MARKER = re.compile(r"# %%(?: \[(markdown)\])?\s*$")


@dataclass(frozen=True)
class Cell:
    """prose: its Markdown, or None; source: its Python; line: the first of it in the file, from 1."""

    prose: str | None
    source: str
    line: int

    @property
    def heading(self) -> str | None:
        """The first heading of its prose, without marks."""
        match = re.search(r"^#+ +(.+)$", self.prose or "", re.MULTILINE)
        return match[1] if match else None


def without(source: str, *methods: str) -> str:
    """Code without its statements `L.method(…)`: without "ask", which names the right option, a learner may see it."""
    lines = source.split("\n")
    for node in ast.parse(source).body:
        if isinstance(node, ast.Expr) and ast.unparse(node).startswith(tuple(f"L.{method}(" for method in methods)):
            lines[node.lineno - 1 : node.end_lineno] = [""] * ((node.end_lineno or node.lineno) - node.lineno + 1)
    return "\n".join(lines).strip("\n")


def read_cells(path: Path) -> list[Cell]:
    """The cells of a script. DataError for a marker or a prose cell that is not as it should be."""
    lines = path.read_text("utf-8").split("\n")
    starts = [i for i, line in enumerate(lines) if line.startswith("# %%")]
    if not starts:
        raise DataError(tr("{path} has no cells: they begin with a line `# %%`", path=path))
    cells = []
    for start, end in zip(starts, [*starts[1:], len(lines)], strict=True):
        match = MARKER.match(lines[start])
        if not match:
            raise DataError(tr("{path}, line {line}: a cell begins with `# %%` or `# %% [markdown]`", path=path,
                               line=start + 1))  # fmt: skip
        first = next((i for i in range(start + 1, end) if lines[i].strip()), end)
        source = "\n".join(lines[first:end]).rstrip()
        cells.append(Cell(_prose(source, path, first + 1) if match[1] else None, source, first + 1))
    return cells


def _prose(source: str, path: Path, line: int) -> str:
    try:
        text = ast.literal_eval(source)
    except (SyntaxError, ValueError) as error:
        raise DataError(tr('{path}, line {line}: prose is one raw string, r"""…"""', path=path, line=line)) from error
    return str(text).strip("\n")
