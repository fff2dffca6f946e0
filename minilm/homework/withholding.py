"""Functions cut out of minilm's own source, or kept for minilm alone, because they answer the tasks of a lesson.

What a lesson's `withheld` names is replaced, on the syntax tree, by an error; the kernels attached to it go too, and
the private helpers that nothing else uses. What its `guarded` names stays, and refuses strangers (minilm/withheld.py).
"""

import ast
import importlib
import inspect
import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import minilm
from minilm.errors import DataError
from minilm.i18n import tr


@dataclass(frozen=True)
class Place:
    """Where a name of minilm is defined: its module, and its name there, "ByteBPE.train" for a method."""

    module: str
    name: str
    said: str  # as lesson.toml has it: "text.ByteBPE.train"
    task: str


def places(names: Mapping[str, list[str]]) -> list[Place]:
    """Where the names of a lesson.toml are defined. DataError for one that is not there."""
    return [place(said, task) for task, listed in names.items() for said in listed]


def place(said: str, task: str = "") -> Place:
    """The home of a dotted name: `F.softmax`, `nn.Linear`, `Tensor.backward`, `text.ByteBPE.train`."""
    found: Any = minilm
    for part in said.split("."):
        step = getattr(found, part, None) if (found, part) != (minilm, "F") else minilm.functional
        if step is None and isinstance(found, types.ModuleType):
            step = _module(f"{found.__name__}.{part}")
        if step is None:
            raise DataError(
                tr("{name} is no name of minilm; look at withheld and guarded of the lesson.toml", name=said)
            )
        found = step
    function = inspect.unwrap(getattr(found, "__func__", found))
    if not isinstance(function, (type, types.FunctionType)):
        raise DataError(tr("{name} is no function and no class, so it cannot be withheld or guarded", name=said))
    return Place(function.__module__, function.__qualname__, said, task)


def _module(name: str) -> types.ModuleType | None:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError:
        return None


def _file_of(module: str, sources: Mapping[str, str]) -> str:
    path = module.replace(".", "/")
    return f"{path}.py" if f"{path}.py" in sources else f"{path}/__init__.py"


# ----------------------------------------------------------------------------------------------------- what is cut out


def withhold(sources: Mapping[str, str], names: list[Place]) -> dict[str, str]:
    """The sources with each of these functions and classes replaced by what says that it is withheld."""
    texts = dict(sources)
    lost: dict[str, set[str]] = {}  # file -> names that what is gone used
    for one in names:
        file = _file_of(one.module, texts)
        texts[file], used = _cut(texts[file], one)
        lost.setdefault(file, set()).update(used)
    for file, used in lost.items():
        texts[file] = _without_unused(file, texts, used)
    return texts


def _cut(source: str, one: Place) -> tuple[str, set[str]]:
    """A source without the body of one definition, and without what is attached to it by a decorator."""
    tree = ast.parse(source)
    node = _definition(tree, one)
    edits = [(_first_line(node), node.end_lineno or 0, _stub(node, one))]
    gone: list[ast.AST] = [node]
    for other in tree.body:
        if isinstance(other, ast.FunctionDef) and any(_roots(d) == one.name for d in other.decorator_list):
            edits.append((_first_line(other), other.end_lineno or 0, ""))
            gone.append(other)
    return _edited(source, edits), {name for part in gone for name in _names(part)}


def _definition(tree: ast.Module, one: Place) -> ast.FunctionDef | ast.ClassDef:
    body: list[ast.stmt] = tree.body
    for part in one.name.split("."):
        found = [n for n in body if isinstance(n, (ast.FunctionDef, ast.ClassDef)) and n.name == part]
        if not found:
            raise DataError(tr("{name} is not defined where it says, in {module}", name=one.said, module=one.module))
        body = found[0].body
    return found[0]


def _stub(node: ast.FunctionDef | ast.ClassDef, one: Place) -> str:
    """What stands in a definition's place: its name, and an error."""
    if isinstance(node, ast.ClassDef):
        lines = list(_class_stub(node, one))
    else:
        marks = {ast.unparse(decorator) for decorator in node.decorator_list} & {"classmethod", "staticmethod"}
        lines = [*(f"@{mark}" for mark in marks), f"def {node.name}(*args, **kwargs):"]
        lines += [f"    {line}" for line in _refusal(one)]
    return "\n".join((" " * node.col_offset + line).rstrip() for line in lines)


def _class_stub(node: ast.ClassDef, one: Place) -> Iterator[str]:
    """A class that nobody can make. What else it offers by its own name raises the same error."""
    yield f"class {node.name}:"
    yield f'    """Withheld: it answers {one.task}."""'
    methods = [n for n in node.body if isinstance(n, ast.FunctionDef) and n.decorator_list]
    named = {n.name for n in methods if ast.unparse(n.decorator_list[0]) in ("classmethod", "staticmethod")}
    for name in ["__new__", *sorted(n for n in named if not n.startswith("_"))]:
        yield ""
        yield from [] if name == "__new__" else ["    @classmethod"]
        yield f"    def {name}(cls, *args, **kwargs):"
        yield from (f"        {line}" for line in _refusal(one))


def _refusal(one: Place) -> list[str]:
    return [
        f'"""Withheld: it answers {one.task}."""',
        "from minilm.withheld import withheld",
        "",
        f'raise withheld("{one.said}", "{one.task}")',
    ]


def _without_unused(file: str, texts: Mapping[str, str], candidates: set[str]) -> str:
    """A source without those private definitions that only what was cut out has used, and what only these used."""
    source = texts[file]
    elsewhere = {name for other, text in texts.items() if other != file for name in candidates if name in text}
    while True:
        tree = ast.parse(source)
        defined = [n for n in tree.body if isinstance(n, (ast.FunctionDef, ast.ClassDef)) and n.name in candidates]
        unused = [n for n in defined if n.name.startswith("_") and n.name not in elsewhere and not _used(n, tree)]
        unused = [n for n in unused if n.name != "_"]  # of that name there are many: what is attached to operations
        if not unused:
            return source
        more = {name for node in unused for name in _names(node)} - candidates
        elsewhere |= {name for other, text in texts.items() if other != file for name in more if name in text}
        candidates = candidates | more
        source = _edited(source, [(_first_line(n), n.end_lineno or 0, "") for n in unused])


def _used(node: ast.FunctionDef | ast.ClassDef, tree: ast.Module) -> bool:
    return any(node.name in _names(other) for other in tree.body if other is not node)


# ------------------------------------------------------------------------------------------------------ what is guarded


def guard(sources: Mapping[str, str], names: list[Place]) -> dict[str, str]:
    """The sources with a line at the end of their modules for each of these functions and classes."""
    texts = dict(sources)
    for one in names:
        file = _file_of(one.module, texts)
        node = _definition(ast.parse(texts[file]), one)
        target = f"{one.name}.__init__" if isinstance(node, ast.ClassDef) else one.name
        guarded = f'guarded("{one.said}", "{one.task}")'
        marks = {ast.unparse(decorator) for decorator in node.decorator_list}
        if "classmethod" in marks:
            wrapped = f"classmethod({guarded}({target}.__func__))"
        elif "staticmethod" in marks:
            wrapped = f"staticmethod({guarded}({target}))"
        else:
            wrapped = f"{guarded}({target})"
        lines = ["", "", "from minilm.withheld import guarded  # noqa: E402", "", f"{target} = {wrapped}", ""]
        texts[file] = texts[file].rstrip("\n") + "\n".join(lines)
    return texts


# --------------------------------------------------------------------------------------------------------- the trees


def _edited(source: str, edits: list[tuple[int, int, str]]) -> str:
    """A source in which lines first … last (from 1) are replaced by a text, each."""
    lines = source.split("\n")
    for first, last, text in sorted(edits, reverse=True):
        lines[first - 1 : last] = text.split("\n") if text else []
    return "\n".join(lines)


def _first_line(node: ast.FunctionDef | ast.ClassDef) -> int:
    return min([node.lineno, *(d.lineno for d in node.decorator_list)])


def _roots(decorator: ast.expr) -> str:
    """The name that a decorator begins with: "softmax" of @softmax.kernel_vjp("x")."""
    while isinstance(decorator, (ast.Call, ast.Attribute)):
        decorator = decorator.func if isinstance(decorator, ast.Call) else decorator.value
    return decorator.id if isinstance(decorator, ast.Name) else ""


def _names(node: ast.AST) -> set[str]:
    """The names that a part of a tree reads, those in __all__ and other texts included."""
    read = {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}
    read |= {n.attr for n in ast.walk(node) if isinstance(n, ast.Attribute)}
    return read | {n.value for n in ast.walk(node) if isinstance(n, ast.Constant) and isinstance(n.value, str)}
