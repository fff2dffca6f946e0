"""What stands in a lesson's files, read from their syntax trees."""

import ast
import importlib
import types
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from minilm.course.cells import Cell, read_cells


@dataclass
class Script:
    """lesson.py: its cells, and what it says to L."""

    cells: list[Cell]
    asked: dict[str, ast.Dict] = field(default_factory=dict)  # label -> options
    calls: list[tuple[str, str, int]] = field(default_factory=list)  # (ask or answer, label, line of the cell)
    said: list[str] = field(default_factory=list)
    captions: list[str] = field(default_factory=list)
    literals: set[int] = field(default_factory=set)

    @property
    def prose(self) -> list[str]:
        return [cell.prose for cell in self.cells if cell.prose is not None]

    @property
    def code(self) -> list[Cell]:
        return [cell for cell in self.cells if cell.prose is None]


def read_script(path: Path) -> Script:
    """The script, as far as its calls have literal arguments."""
    script = Script(read_cells(path))
    for cell in script.code:
        for node in ast.walk(ast.parse(cell.source)):
            if isinstance(node, ast.Constant) and type(node.value) is int:
                script.literals.add(node.value)
        for call in calls_of(cell.source, "L"):
            name = call.func.attr
            texts = [a.value if isinstance(a, ast.Constant) else None for a in call.args]
            if name in ("ask", "answer"):
                script.calls.append((name, texts[0], cell.line))
            if name == "ask" and isinstance(call.args[2], ast.Dict):
                script.asked[texts[0]] = call.args[2]
            if name == "said":
                script.said.append(texts[0] or "")
            if name == "figure":
                script.captions.append(texts[2] or "")
    return script


def calls_of(source: str, owner: str) -> Iterator[Any]:
    """Calls of `owner.method(…)`, in the order of the text."""
    found = [
        node
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id == owner
    ]
    return iter(sorted(found, key=lambda node: (node.lineno, node.col_offset)))


def length(source: str) -> int:
    """Lines of a cell that are not blank."""
    return sum(bool(line.strip()) for line in source.split("\n"))


def function_length(function: types.FunctionType, source: str) -> int:
    """Lines of code of a function: without decorators, docstring, comments and blank lines."""
    (node,) = [n for n in ast.parse(source).body if isinstance(n, ast.FunctionDef) and n.name == function.__name__]
    body = node.body[1:] if ast.get_docstring(node) is not None else node.body
    lines = source.split("\n")
    head = lines[node.lineno - 1 : node.body[0].lineno - 1]
    inner = lines[body[0].lineno - 1 : node.end_lineno] if body else []
    return sum(bool(line.strip()) and not line.strip().startswith("#") for line in [*head, *inner])


# ------------------------------------------------------------------------------------------------- names of minilm


def resolve(name: str) -> Any:
    """The object that a dotted name of a lesson.toml means: `F.softmax`, `nn.Linear`, `Tensor`, `mundito.World`."""
    first, *rest = name.split(".")
    return _walk("minilm.functional" if first == "F" else "minilm", rest if first == "F" else [first, *rest])[0]


def _walk(module: str, names: list[str]) -> tuple[Any, str]:
    """Follow names from a module to the first that is no module; the object and its dotted name."""
    found: Any = importlib.import_module(module)
    path = module
    for name in names:
        if not isinstance(found, types.ModuleType):
            break
        try:
            found = getattr(found, name)
        except AttributeError:
            found = importlib.import_module(f"{path}.{name}")
        path = f"{found.__name__}" if isinstance(found, types.ModuleType) else f"{path}.{name}"
    return found, path


def names_used(source: str) -> dict[str, Any]:
    """Every name of minilm that a source uses, dotted, with its object; minilm.course is free."""
    tree = ast.parse(source)
    aliases: dict[str, tuple[str, list[str]]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for a in node.names:
                if a.name.partition(".")[0] == "minilm":
                    aliases[a.asname or "minilm"] = (a.name if a.asname else "minilm", [])
        elif isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "minilm" and not node.level:
            for a in node.names:
                aliases[a.asname or a.name] = (node.module or "", [a.name])
    used: dict[str, Any] = {}
    for chain in _chains(tree):
        if chain[0] in aliases:
            module, first = aliases[chain[0]]
            found, path = _walk(module, [*first, *chain[1:]])
            ours = path.startswith("minilm.") and not path.startswith("minilm.course.")
            if ours and not isinstance(found, types.ModuleType):
                used[path.replace("minilm.functional.", "F.").removeprefix("minilm.")] = found
    return used


def _chains(tree: ast.AST) -> Iterator[list[str]]:
    """a.b.c as ["a", "b", "c"], once, for each such expression."""
    inner = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    for node in ast.walk(tree):
        if isinstance(node, (ast.Attribute, ast.Name)) and id(node) not in inner:
            names: list[str] = []
            while isinstance(node, ast.Attribute):
                names.insert(0, node.attr)
                node = node.value
            if isinstance(node, ast.Name):
                yield [node.id, *names]
