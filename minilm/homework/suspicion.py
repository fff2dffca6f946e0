"""What a homework has no use for: imports, names and attributes by which a file reaches for what is not its own.

No points are taken for any of it: walls stop what it does, and an instructor reads the line that is named.
"""

import ast
from collections.abc import Iterator

MOST = 20  # lines that are told of

# Whatever else is imported is told. Of minilm, what no lesson's file imports is too.
USUAL = {
    "__future__", "abc", "array", "bisect", "cmath", "collections", "contextlib", "copy", "dataclasses", "decimal",
    "doctest", "enum", "fractions", "functools", "heapq", "hypothesis", "itertools", "json", "logging", "math",
    "matplotlib", "minilm", "numbers", "numpy", "operator", "pprint", "random", "re", "regex", "statistics", "string",
    "textwrap", "time", "timeit", "types", "typing", "typing_extensions", "unicodedata", "unittest", "warnings",
}  # fmt: skip
UNUSUAL = ("minilm.cli", "minilm.course", "minilm.homework", "minilm.lessons", "numpy.ctypeslib", "numpy.distutils",
           "numpy.f2py", "numpy.testing")  # fmt: skip
OURS = {"task", "claim", "mutant", "variant"}  # of minilm.course
NAMES = {"__builtins__", "__import__", "__loader__", "__spec__", "breakpoint", "compile", "eval", "exec", "exit",
         "globals", "input", "locals", "memoryview", "open", "quit", "vars"}  # fmt: skip
ATTRIBUTES = {
    "__array_finalize__", "__array_function__", "__array_interface__", "__array_struct__", "__array_ufunc__",
    "__bases__", "__base__", "__builtins__", "__class_getitem__", "__closure__", "__code__", "__defaults__", "__dict__",
    "__getattribute__", "__globals__", "__import__", "__instancecheck__", "__kwdefaults__", "__loader__", "__mro__",
    "__reduce__", "__reduce_ex__", "__self__", "__spec__", "__subclasses__", "__subclasshook__", "__wrapped__",
    "_getframe", "ag_frame", "cr_frame", "ctypes", "f_back", "f_builtins", "f_globals", "f_locals", "fromfile",
    "gi_frame", "memmap", "meta_path", "modules", "tb_frame", "tofile",
}  # fmt: skip


def suspicious(source: bytes) -> list[tuple[int, str]]:
    """(line, what), in the order of lines, each of them once. Empty where the source is no Python."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []
    found = dict.fromkeys(sorted({one for node in ast.walk(tree) for one in _of(node)}))
    first: dict[str, int] = {}
    for line, what in found:
        first.setdefault(what, line)
    return sorted((line, what) for what, line in first.items())[:MOST]


def _of(node: ast.AST) -> Iterator[tuple[int, str]]:
    match node:
        case ast.Import(names=names):
            yield from ((node.lineno, f"import {a.name}") for a in names if not _is_usual(a.name))
        case ast.ImportFrom(module=None) | ast.ImportFrom(level=1 | 2 | 3):
            yield node.lineno, "from . import"
        case ast.ImportFrom(module=str() as module, names=names):
            whole = all(a.name in OURS for a in names) if module == "minilm.course" else _is_usual(module)
            if not whole or any(not _is_usual(f"{module}.{a.name}") for a in names if module != "minilm.course"):
                yield node.lineno, f"from {module} import {', '.join(a.name for a in names)}"[:100]
        case ast.Name(id=name) if name in NAMES:
            yield node.lineno, name
        case ast.Attribute(attr=name) if name in ATTRIBUTES or name in NAMES - {"compile", "input", "exit"}:
            yield node.lineno, f".{name}"
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) if name in ATTRIBUTES:
            yield node.lineno, f"def {name}"


def _is_usual(module: str) -> bool:
    if any(module == name or module.startswith(f"{name}.") for name in UNUSUAL):
        return False
    return module.partition(".")[0] in USUAL
