"""Reads minilm's source and lists what would not run on CuPy, by CuPy's own signatures.

Three rules, from the syntax tree alone:

1. Every `xp.…` is a name that the installed CuPy has, and a call of it has keywords and a number of arguments that
   CuPy's function takes; nobody gives such a function another name.
2. In code that runs on a device, every call of an array's method has keywords that CuPy's method takes.
3. In code that runs on a device, NumPy is asked only for what never touches data (HARMLESS).

Code that does not run on a device: the files of HOST_FILES; kernels, and what only they (or branches behind
`is_numpy()` or `isinstance(…, np.ndarray)`) call, which is found out by looking; the functions of HOST, with reasons.
"""

import ast
import dataclasses
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

HARMLESS = set(
    "bool_ dtype errstate finfo float16 float32 float64 floating generic inf int16 int32 int64 int8 integer nan "
    "ndarray newaxis pi random uint16 uint32 uint64 uint8 broadcast_shapes can_cast".split()
)
HOST_FILES = ("cli", "cluster.py", "course", "homework", "lanes.py", "scaling", "sweeps", "text", "mundito",
              "pretraining", "transfer", "doctor.py", "filling.py", "generation", "ngram.py", "plots.py",
              "resources.py",
              "seeing/drawing.py", "seeing/layout.py", "seeing/flops.py", "seeing/table.py",
              "training/checkpoint.py", "training/log.py", "training/run.py", "training/trainer.py",
              "training/objectives.py", "models/sizes", "models/huggingface", "models/gguf")  # fmt: skip
HOST = {
    "embedding.py:embed": "texts lie on the host, and so do the vectors that are kept",
    "embedding.py:_padded": "ids, which lie on the host as every tokenizer gives them",
    "embedding.py:nearest": "vectors that are kept lie on the host",
    "autograd/gradcheck.py:_check_entries": "works on a gradient that was brought down",
    "autograd/gradcheck.py:_report": "words about numbers of the host",
    "autograd/later.py:Later.made": "only kernels leave a cotangent for later",
    "autograd/guards.py:checksum_of": "guard() asks for it only where the array is NumPy's",
    "autograd/tensor.py:Tensor.__array__": "what numpy() brought down",
    "autograd/tensor.py:Tensor.__repr__": "what numpy() brought down",
    "autograd/tensor.py:shape": "of numbers and lists; an array says its own",
    "backend.py:asarray": "gives a list or a number its dtype before it is moved",
    "backend.py:anywhere": "lists and numbers, which lie on the host",
    "backend.py:to_numpy": "what is on the host already",
    "models/bert.py:Bert.pool": "which rows are read is known on the host",
    "models/checks.py:checked_segments": "segments of nobody, which lie on the host like others",
    "models/gpt.py:attention_weights": "ids that were brought down, before they are used",
    "models/gpt_heads.py:_Head._language_loss": "how many tokens are scored is asked of arrays that were brought down",
    "models/heads.py:best_spans": "works on logits that were brought down",
    "models/t5.py:T5Stack.biases": "distances between positions are known on the host",
    "models/t5.py:bucket": "distances are looked up on the host, where a border lies on the same side for all devices",
    "nn/init.py:TruncatedGenerator.standard_normal": "draws on the host, as every initialisation does",
    "nn/module.py:Module.state_dict": "copies what numpy() brought down",
    "seeing/graph.py:describe": "what to_numpy brought down",
    "training/optim.py:FlatParameters.__init__": "sizes of parameters",
    "training/optim.py:Optimizer.state_dict": "the number of steps",
    "training/optim.py:Optimizer.check_state_dict": "arrays that were read from a file",
}
# What CuPy has and a device program should not use, or what NumPy's random generators have and CuPy's have not.
DIFFERENT = {
    **dict.fromkeys(("nonzero", "flatnonzero", "argwhere", "unique", "extract"), "brings down how many there are"),
    **dict.fromkeys(("asnumpy", "load", "save"), "is a transfer: use backend.to_numpy"),
    **dict.fromkeys(("vectorize", "piecewise", "apply_along_axis"), "compiles, or calls back, instead of computing"),
}
GENERATOR_ONLY = ("choice", "permutation", "permuted", "shuffle", "normal", "multinomial", "multivariate_normal")


@dataclasses.dataclass(frozen=True)
class Problem:
    file: str
    line: int
    what: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.what}"


# ----------------------------------------------------------------------------------------- what CuPy's functions take


@dataclasses.dataclass(frozen=True)
class Takes:
    """Names of parameters; how many may be positional (None: any number); whether any keyword will do."""

    names: tuple[str, ...]
    positional: int | None
    any_keyword: bool = False

    def complaint(self, call: ast.Call) -> str | None:
        keywords = [k.arg for k in call.keywords if k.arg is not None]
        unknown = [] if self.any_keyword else [k for k in keywords if k not in self.names]
        if unknown:
            return f"takes no keyword {', '.join(unknown)}"
        if self.positional is not None and len(call.args) > self.positional:
            return f"takes {self.positional} arguments, not {len(call.args)}"
        return None


def takes(function: Any) -> Takes:
    """By inspection, or where C hides it, by the first line of the docstring that Cython writes."""
    if hasattr(function, "nin") and hasattr(function, "nargs"):
        return Takes(("out", "dtype", "casting"), function.nargs)
    try:
        parameters = inspect.signature(function).parameters.values()
    except (ValueError, TypeError):
        return _takes_by_docstring(function)
    kinds = [p.kind for p in parameters]
    several = any(k is inspect.Parameter.VAR_POSITIONAL for k in kinds)
    count = sum(k in (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD) for k in kinds)
    anything = any(k is inspect.Parameter.VAR_KEYWORD for k in kinds)
    return Takes(tuple(p.name for p in parameters), None if several else count, anything)


def _takes_by_docstring(function: Any) -> Takes:
    found = re.match(r"[\w.]+\((.*?)\)(?: ->.*)?$", (function.__doc__ or "").strip().split("\n")[0])
    if not found:
        raise LookupError(f"CuPy does not say what {function} takes")
    parts = [p.strip() for p in found[1].split(",") if p.strip() not in ("", "self", "/")]
    several = any(p.startswith("*") and p != "*" for p in parts)
    names = [p.split("=")[0].split()[-1] for p in parts if not p.startswith("*")]
    return Takes(tuple(names), None if several else len(names))


def look_up(cupy: Any, path: list[str]) -> Any:
    """cupy.a.b, or LookupError."""
    found = cupy
    for name in path:
        if not hasattr(found, name):
            raise LookupError(f"CuPy has no {'.'.join(path)}")
        found = getattr(found, name)
    return found


# --------------------------------------------------------------------------------------------- what the source says


@dataclasses.dataclass
class Unit:
    """A function, a method or what stands outside of them, and what it says."""

    file: str
    name: str
    kernel: bool = False
    numpy: list[tuple[int, str]] = dataclasses.field(default_factory=list)  # unguarded np.name
    calls: list[ast.Call] = dataclasses.field(default_factory=list)  # unguarded calls of attributes
    uses: set[str] = dataclasses.field(default_factory=set)  # names, unguarded
    mentions: set[str] = dataclasses.field(default_factory=set)  # names, guarded ones too

    @property
    def key(self) -> str:
        return f"{self.file}:{self.name}"


def _chain(node: ast.AST) -> list[str]:
    """["xp", "add", "at"] of xp.add.at; [] of what is no chain of names."""
    names: list[str] = []
    while isinstance(node, ast.Attribute):
        names.append(node.attr)
        node = node.value
    return [node.id, *reversed(names)] if isinstance(node, ast.Name) else []


def _guard(test: ast.expr) -> int:
    """1 if the test is true only on NumPy, -1 if it is false only there, else 0."""
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        return -_guard(test.operand)
    if isinstance(test, ast.BoolOp):
        guards = [_guard(value) for value in test.values]
        wanted = 1 if isinstance(test.op, ast.And) else -1
        return wanted if wanted in guards else 0
    if isinstance(test, ast.Call):
        name = _chain(test.func)[-1:]
        if name == ["isinstance"]:
            return int(_chain(test.args[1]) == ["np", "ndarray"])
        return int(name == ["is_numpy"])
    return 0


def _ends(body: list[ast.stmt]) -> bool:
    return isinstance(body[-1], (ast.Return, ast.Raise, ast.Continue))


class _Reader:
    """Walks one unit, leaving out what is behind a guard."""

    def __init__(self, unit: Unit):
        self.unit = unit

    def block(self, statements: list[ast.stmt]) -> None:
        for statement in statements:
            if isinstance(statement, ast.If) and (guard := _guard(statement.test)):
                self.node(statement.test)
                if guard > 0:
                    self.block(statement.orelse)
                    if statement.orelse and _ends(statement.orelse):
                        return
                else:
                    self.block(statement.body)
                    if _ends(statement.body):
                        return  # what follows runs on NumPy alone
            else:
                self.node(statement)

    def node(self, node: ast.AST) -> None:
        if isinstance(node, ast.IfExp) and (guard := _guard(node.test)):
            self.node(node.test)
            self.node(node.orelse if guard > 0 else node.body)
            return
        chain = _chain(node)
        if chain:
            self.unit.uses.update(chain)
            if chain[0] == "np" and len(chain) > 1:
                self.unit.numpy.append((node.lineno, chain[1]))  # type: ignore[attr-defined]
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            self.unit.calls.append(node)
        for field, value in ast.iter_fields(node):
            if isinstance(value, list) and value and isinstance(value[0], ast.stmt):
                self.block(value)
            elif not (chain and field == "value"):
                for child in value if isinstance(value, list) else [value]:
                    if isinstance(child, ast.AST):
                        self.node(child)


def units(file: str, tree: ast.Module) -> Iterator[Unit]:
    """The file's functions and methods, and a unit for all that stands outside of them."""
    rest = Unit(file, "")
    for node in tree.body:
        owned = [node] if isinstance(node, ast.FunctionDef) else []
        if isinstance(node, ast.ClassDef):
            owned = [part for part in node.body if isinstance(part, ast.FunctionDef)]
            for part in node.body:
                if not isinstance(part, ast.FunctionDef):
                    _Reader(rest).node(part)
        elif not owned and not isinstance(node, (ast.Import, ast.ImportFrom)):
            _Reader(rest).block([node])
        for function in owned:
            name = f"{node.name}.{function.name}" if isinstance(node, ast.ClassDef) else function.name
            marks = {_chain(d.func if isinstance(d, ast.Call) else d)[-1:][0] for d in function.decorator_list
                     if _chain(d.func if isinstance(d, ast.Call) else d)}  # fmt: skip
            unit = Unit(file, name, kernel=bool(marks & {"kernel", "kernel_vjp"}))
            for default in (*function.args.defaults, *function.decorator_list):
                _Reader(rest).node(default)
            _Reader(unit).block(function.body)
            unit.mentions = {name for n in ast.walk(function) for name in _chain(n)}
            yield unit
    yield rest


def numpy_only(found: list[Unit]) -> set[int]:
    """The ids of units that no device runs: kernels, and what only such units use."""
    alone = {id(u) for u in found if u.kernel}
    while True:
        more = set()
        for unit in found:
            name = unit.name.split(".")[0]  # a class as a whole
            if id(unit) in alone or unit.key in HOST or name in ("", "_"):
                continue
            others = [u for u in found if u.name.split(".")[0] != name]
            users = [u for u in others if name in u.uses]
            if all(id(u) in alone for u in users) and any(name in u.mentions for u in others):
                more.add(id(unit))
        if not more:
            return alone
        alone |= more


# ---------------------------------------------------------------------------------------------------------- the rules

METHODS = {name for name in dir(np.ndarray) if not name.startswith("_") and callable(getattr(np.ndarray, name))}
MODULES = {"F", "ops", "np", "xp", "math", "backend", "copy", "itertools", "contextlib", "functools", "warnings"}


def check_source(file: str, text: str, cupy: Any) -> Iterator[Problem]:
    """Rule 1, in any file."""
    tree = ast.parse(text)
    called = {id(n.func): n for n in ast.walk(tree) if isinstance(n, ast.Call)}
    inner = {id(n.value) for n in ast.walk(tree) if isinstance(n, ast.Attribute)}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and any(a.name == "xp" and a.asname for a in node.names):
            yield Problem(file, node.lineno, "xp under another name")
        if isinstance(node, ast.Assign) and _chain(node.value)[:1] == ["xp"] and len(_chain(node.value)) > 1:
            yield Problem(file, node.lineno, f"{'.'.join(_chain(node.value))} under another name")
        chain = _chain(node) if isinstance(node, ast.Attribute) and id(node) not in inner else []
        chain = chain[1:] if chain[:2] == ["backend", "xp"] else chain
        if chain[:1] != ["xp"] or chain[1:2] == ["_module"] or chain[1:2] == ["__dict__"]:
            continue
        name = ".".join(chain[1:])
        try:
            function = look_up(cupy, chain[1:])
            complaint = DIFFERENT.get(name) or (
                takes(function).complaint(called[id(node)]) if id(node) in called else None
            )
        except LookupError as error:
            complaint = str(error)
        if complaint:
            yield Problem(file, node.lineno, f"xp.{name}: {complaint}")


def check_units(found: list[Unit], cupy: Any) -> Iterator[Problem]:
    """Rules 2 and 3, in what runs on a device; and HOST names what there is, and what needs it."""
    alone = numpy_only(found)
    for unit in found:
        if id(unit) in alone or unit.key in HOST:
            continue
        for line, name in unit.numpy:
            if name not in HARMLESS:
                yield Problem(unit.file, line, f"np.{name} in {unit.name or 'the module'}, which runs on a device")
        for call in unit.calls:
            assert isinstance(call.func, ast.Attribute)
            name, receiver = call.func.attr, _chain(call.func.value)
            if receiver[:1] and receiver[0] in MODULES:
                continue
            if name in GENERATOR_ONLY:
                yield Problem(unit.file, call.lineno, f".{name}: CuPy's random Generator has no such method")
            if name in METHODS:
                method = getattr(cupy.ndarray, name, None)
                complaint = "CuPy's arrays have no such method" if method is None else takes(method).complaint(call)
                if complaint:
                    yield Problem(unit.file, call.lineno, f".{name}: {complaint}")
    needed = {u.key for u in found if any(name not in HARMLESS for _, name in u.numpy)}
    for key in sorted(set(HOST) - needed):
        if any(u.file == key.split(":")[0] for u in found):
            yield Problem(key, 0, "is in HOST, and there is nothing that needs it")


def audit(root: Path, cupy: Any) -> tuple[list[Problem], int]:
    """All problems of the package at `root`, and how many uses of `xp` were looked up."""
    problems, found, uses = [], [], 0
    for path in sorted(root.rglob("*.py")):
        file, text = path.relative_to(root).as_posix(), path.read_text(encoding="utf-8")
        problems += check_source(file, text, cupy)
        uses += len(re.findall(r"\bxp\.\w", text))
        if not file.startswith(HOST_FILES):
            found += units(file, ast.parse(text))
    return problems + list(check_units(found, cupy)), uses
