"""A lesson as a notebook, by jupytext, which the extra `notebook` brings."""

import ast
from pathlib import Path

from minilm.course.banks import About
from minilm.course.cells import without
from minilm.errors import ConfigError, DataError
from minilm.i18n import tr
from minilm.resources import write_atomically

# A cell that only asks names the right option, so its code is folded away, in Jupyter and in Colab.
FOLDED = {"jupyter": {"source_hidden": True}, "cellView": "form", "tags": ["hide-input"]}


def quiet(source: str) -> str:
    """Code that shows in a notebook what it shows as a script: a semicolon hides the value of a last expression."""
    source = source.replace("  # fmt: skip", "")
    last = next(reversed(ast.parse(source).body), None)
    if not isinstance(last, ast.Expr):
        return source
    lines = [line.encode() for line in source.split("\n")]  # the syntax tree counts bytes
    row, end = (last.end_lineno or 1) - 1, last.end_col_offset or 0
    lines[row] = lines[row][:end] + b";" + lines[row][end:]
    return b"\n".join(lines).decode()


def make_notebook(about: About, path: Path, force: bool = False) -> Path:
    """Write the lesson to `path`. DataError where a file is already, unless force; ConfigError without jupytext."""
    try:
        import jupytext
    except ImportError as error:
        raise ConfigError(
            tr("a notebook is made by jupytext, which is not installed: pip install 'minilm[notebook]'")
        ) from error
    if path.exists() and not force:
        raise DataError(
            tr("{path} is there already; choose another name with --out, or --force to write over it", path=path)
        )
    notebook = jupytext.reads((about.folder / "lesson.py").read_text("utf-8"), fmt="py:percent")
    for cell in notebook.cells:
        if cell.cell_type == "code":
            if not without(cell.source, "ask"):
                cell.metadata |= FOLDED
            cell.source = quiet(cell.source)
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    write_atomically(path, jupytext.writes(notebook, fmt="ipynb"))
    return path
