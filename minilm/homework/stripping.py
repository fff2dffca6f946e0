"""A student's file, made from a lesson's tasks.py: of each task its head, its text and what is kept; never its answer.

It is put together from the syntax tree and the places that the tree names, so a comment of the reference cannot slip
through: only worked examples are copied as they are. It is a script of cells (jupytext's py:percent), as lessons are.
"""

import ast
import io
import json
import sys
import textwrap
import tokenize
from dataclasses import dataclass
from pathlib import Path

from minilm.course.banks import About, load
from minilm.course.marks import Task
from minilm.errors import DataError
from minilm.homework.assignment import Asked
from minilm.i18n import tr

OURS = "minilm.course"  # whose marks are none of the student's business
TOOLS = {"math", "numpy", "minilm.functional"}
WIDTH = 80  # of a summary in an error's text, so that its line is no longer than 120

CODE, PROSE = "# %%\n", "# %% [markdown]\n"


@dataclass(frozen=True)
class _Piece:
    """A task's part of the student's file. code: its source; needs: the names that it uses."""

    task: Asked
    code: str
    needs: frozenset[str]


def student_source(about: About) -> str:
    """The text of the student's .py. DataError where the lesson has no reference answers here."""
    path = about.folder / "tasks.py"
    if not path.is_file():
        raise DataError(
            tr("{lesson} has no tasks.py, so there is nothing to make homework from; use the whole minilm",
               lesson=about.short)
        )  # fmt: skip
    source = path.read_text("utf-8")
    tree = ast.parse(source)
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    pieces = [_piece(task, functions[task.name], source, path) for task in load(about).tasks.values()]
    needed = frozenset().union(*(piece.needs for piece in pieces))
    helpers = _helpers(tree, source, needed, {piece.task.name for piece in pieces})
    needed |= {name for _, names in helpers for name in names}
    cells = [PROSE + _commented(_opening(about)), CODE + _imports(tree, needed)]
    cells += [CODE + code for code, _ in helpers]
    for piece in pieces:
        cells += [PROSE + _commented(_heading(piece.task)), CODE + piece.code]
    return "\n\n".join(cells) + "\n"


def _opening(about: About) -> str:
    return "\n\n".join(
        [
            tr("# Homework {lesson}: {title}", lesson=about.short, title=about.title),
            tr(
                "Write the functions below: each says in its text what it gets and what it returns. Take out the line "
                "that raises NotImplementedError when you have. How to check and to hand in stands in README.md."
            ),
        ]
    )


def _heading(task: Asked) -> str:
    if task.worked:
        return tr("## {number} {name}: a worked example, nothing to do", number=task.number, name=task.name)
    return tr("## {number} {name} (points: {points:g})", number=task.number, name=task.name, points=task.points)


def _commented(prose: str) -> str:
    lines = [wrapped for line in prose.split("\n") for wrapped in textwrap.wrap(line, 118) or [""]]
    return "\n".join(f"# {line}".rstrip() for line in lines)


# --------------------------------------------------------------------------------------------------------- one task


def _piece(task: Task, node: ast.FunctionDef, source: str, path: Path) -> _Piece:
    asked = Asked.of(task)
    if task.worked:
        return _Piece(asked, _lines(source, node.lineno, node.end_lineno), _names(node))
    kept = node.body[1 : 1 + task.keep]
    if ast.get_docstring(node) is None or task.keep >= len(node.body) - 1:
        raise DataError(
            tr(
                "{path}: {number} cannot be stripped: it needs a docstring and more statements than the {keep} kept",
                path=path,
                number=task.number,
                keep=task.keep,
            )
        )
    lines = _lines(source, node.lineno, node.body[task.keep].end_lineno).split("\n")
    lines[-1] = lines[-1].encode()[: node.body[task.keep].end_col_offset].decode()  # the tree counts bytes
    raised = f"    raise NotImplementedError({json.dumps(refusal(asked), ensure_ascii=False)})"
    needs = frozenset().union(_names(node.args), *map(_names, kept), _names(node.returns))
    below = "\n\n" if kept and isinstance(kept[-1], ast.FunctionDef) else "\n"
    return _Piece(asked, without_comments("\n".join(lines)) + below + raised, needs)


def refusal(task: Asked) -> str:
    """What an unsolved task says when it is called."""
    return f"{task.number}: {textwrap.shorten(task.summary, WIDTH, placeholder=' …')}"


def without_comments(code: str) -> str:
    """Code whose comments are gone, and the lines that held nothing else."""
    lines = code.split("\n")
    comments = [
        t.start for t in tokenize.generate_tokens(io.StringIO(code + "\n").readline) if t.type == tokenize.COMMENT
    ]
    for row, column in comments:
        lines[row - 1] = lines[row - 1][:column].rstrip()
    alone = {row for row, _ in comments if not lines[row - 1]}
    return "\n".join(line for row, line in enumerate(lines, 1) if row not in alone)


# ------------------------------------------------------------------------------------------------ what stands around


def _imports(tree: ast.Module, needed: frozenset[str]) -> str:
    """Those of TOOLS, for which anybody would reach; of all others the names that stay in use, since one tells how."""
    groups: dict[str, list[str]] = {"standard": [], "others": [], "minilm": []}
    for node in tree.body:
        if isinstance(node, ast.Import):
            names = [a for a in node.names if a.name in TOOLS or (a.asname or a.name).partition(".")[0] in needed]
            module, node = node.names[0].name, ast.Import(names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.module != OURS:
            names = [a for a in node.names if (a.asname or a.name) in needed]
            module, node = node.module, ast.ImportFrom(node.module, names, node.level)
        else:
            continue
        first = module.partition(".")[0]
        group = "minilm" if first == "minilm" else "standard" if first in sys.stdlib_module_names else "others"
        groups[group] += [ast.unparse(node)] if names else []
    return "\n\n".join("\n".join(lines) for lines in groups.values() if lines)


def _helpers(
    tree: ast.Module, source: str, needed: frozenset[str], tasks: set[str]
) -> list[tuple[str, frozenset[str]]]:
    """What else the file defines and what stays needs, with the names that it needs itself."""
    found: dict[int, tuple[str, frozenset[str]]] = {}
    rest = [n for n in tree.body if not isinstance(n, (ast.Import, ast.ImportFrom)) and not _defines(n) <= tasks]
    while more := [n for n in rest if id(n) not in found and _defines(n) & needed]:
        for node in more:
            found[id(node)] = without_comments(_lines(source, node.lineno, node.end_lineno)), _names(node)
            needed |= _names(node)
    return [found[id(node)] for node in rest if id(node) in found]


def _defines(node: ast.stmt) -> set[str]:
    """The names that a statement of a module gives a value to; {""} for one that gives none, as an expression."""
    if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
        return {node.name}
    stored = {n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    return stored or {""}


def _names(node: ast.AST | None) -> frozenset[str]:
    """The names that are read within a part of the tree."""
    return frozenset(n.id for n in ast.walk(node) if isinstance(n, ast.Name)) if node is not None else frozenset()


def _lines(source: str, first: int, last: int | None) -> str:
    return "\n".join(source.split("\n")[first - 1 : last])
