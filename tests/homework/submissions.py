"""Files as students hand them in, made from a lesson; and when two data are the same."""

import ast
from pathlib import Path

import numpy as np

from minilm.course.marks import Mutant, Task, Variant


def reference(folder: Path) -> str:
    """tasks.py without its marks."""
    return ast.unparse(_unmarked(ast.parse((folder / "tasks.py").read_text("utf-8"))))


def answer(folder: Path, mark: Mutant | Variant) -> str:
    """The reference with a mutant's or variant's function in its place; what that file imports from .tasks is there."""
    name = "mutants.py" if isinstance(mark, Mutant) else "variants.py"
    tree = ast.parse((folder / name).read_text("utf-8"))
    wanted = mark.function.__code__.co_firstlineno
    before, after = [], []
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and node.level:
            before += [ast.parse(f"{a.asname or a.name} = {a.name}").body[0] for a in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module == "minilm.course":
            continue
        elif isinstance(node, ast.FunctionDef) and _marked(node):
            if node.decorator_list[0].lineno == wanted:
                after.append(node)
        else:
            before.append(node)
    assert len(after) == 1
    module = ast.Module([*before, *after], [])
    return reference(folder) + "\n" + ast.unparse(_unmarked(module))


def of_task(folder: Path, mark: Task | Mutant | Variant) -> bytes:
    return (reference(folder) if isinstance(mark, Task) else answer(folder, mark)).encode()


def _marked(node: ast.FunctionDef) -> bool:
    return any(
        isinstance(d, ast.Call) and isinstance(d.func, ast.Name) and d.func.id in ("task", "mutant", "variant")
        for d in node.decorator_list
    )


def _unmarked(tree: ast.Module) -> ast.Module:
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and _marked(node):
            node.decorator_list = []
    tree.body = [n for n in tree.body if not (isinstance(n, ast.ImportFrom) and n.module == "minilm.course")]
    return ast.fix_missing_locations(tree)


def same(a, b) -> bool:
    """Whether two data are equal to the last bit, NaN included."""
    if type(a) is not type(b):
        return False
    if isinstance(a, (tuple, list)):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    return a == b or (a != a and b != b)
