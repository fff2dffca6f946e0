"""A student's file executed once, in a process of its own: `python -m minilm.homework.trying RESULT NAME…` < source.

What it found is written to the file RESULT as JSON: names that are defined, those that still raise NotImplementedError,
and what went wrong. The file is the student's, and so is the machine: a grader uses a worker instead.
"""

import ast
import json
import sys
import traceback
import types
from collections.abc import Sequence
from pathlib import Path

MODULE = "submission"


def main(args: Sequence[str]) -> int:
    result, *names = args
    source = sys.stdin.buffer.read()
    Path(result).write_text(json.dumps(tried(source, names)), "utf-8")
    return 0


def tried(source: bytes, names: Sequence[str]) -> dict:
    """What a source defines of these names, and the first thing that is wrong with it: its kind, line and text."""
    found: dict = {"defined": [], "unsolved": [], "problem": None}
    try:
        tree = ast.parse(source)
        code = compile(source, MODULE, "exec", dont_inherit=True)
    except SyntaxError as error:
        return found | {"problem": {"kind": "syntax", "line": error.lineno, "what": str(error.msg)}}
    except (ValueError, RecursionError, MemoryError) as error:
        return found | {"problem": {"kind": "syntax", "line": None, "what": str(error)}}
    module = types.ModuleType(MODULE)
    sys.modules[MODULE] = module
    try:
        exec(code, vars(module))
    except BaseException as error:  # SystemExit too: a file that ends the process cannot be graded
        lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == MODULE]
        what = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        found["problem"] = {"kind": "raised", "line": lines[-1] if lines else None, "what": what[:500]}
    found["defined"] = [name for name in names if callable(getattr(module, name, None))]
    last = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    found["unsolved"] = [name for name in names if name in last and is_unsolved(last[name])]
    return found


def is_unsolved(function: ast.FunctionDef) -> bool:
    """Whether a function still ends where the stub does: it raises NotImplementedError, and returns nowhere."""
    raises = any(isinstance(node, ast.Raise) and _is_not_implemented(node.exc) for node in function.body)
    return raises and not any(isinstance(node, ast.Return) for node in _own(function))


def _is_not_implemented(raised: ast.expr | None) -> bool:
    called = raised.func if isinstance(raised, ast.Call) else raised
    return isinstance(called, ast.Name) and called.id == "NotImplementedError"


def _own(function: ast.AST) -> list[ast.AST]:
    """The nodes of a function that are not another function's within it."""
    found: list[ast.AST] = []
    waiting = list(ast.iter_child_nodes(function))
    while waiting:
        node = waiting.pop()
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)):
            found.append(node)
            waiting += ast.iter_child_nodes(node)
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
