"""What readers are promised: an engine of one sitting, each gradient beneath its operation, and short files."""

import ast
import io
import re
import tokenize
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCES = sorted((ROOT / "minilm").rglob("*.py"))
ENGINE = ROOT / "minilm" / "autograd"


def lines_of_code(source: str) -> int:
    """Lines that hold more than comments, docstrings and nothing."""
    docstrings: set[int] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and ast.get_docstring(node, clean=False):
            docstrings.update(range(node.body[0].lineno, (node.body[0].end_lineno or 0) + 1))
    silent = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    code = {line for t in tokens if t.type not in silent for line in range(t.start[0], t.end[0] + 1)}
    return len(code - docstrings)


def strangers_between(source: str) -> list[str]:
    """Gradient rules (`@name.vjp(…)`, kernels too) that do not follow `name` with only its own helpers in between."""
    found: list[str] = []
    current = ""
    for node in ast.parse(source).body:
        if not isinstance(node, ast.FunctionDef):
            continue
        decorators = [ast.unparse(d).split("(")[0] for d in node.decorator_list]
        if {"primitive", "fused"} & set(decorators):
            current = node.name
        for decorator in decorators:
            owner, _, kind = decorator.partition(".")
            if kind == "vjp" and owner != current:
                found.append(f"{owner}, line {node.lineno}, after {current}")
    return found


def test_the_counts_count() -> None:
    source = '"""Doc\nstring."""\n\n# why\nx = 1  # one\n\n\ndef f():\n    """Two."""\n    return (\n        x\n    )\n'
    assert lines_of_code(source) == 5
    rule = '@{}.vjp("x")\ndef _(g):\n    return g\n'
    operations = "@primitive\ndef a(x):\n    return x\n@primitive\ndef b(x):\n    return x\n"
    assert strangers_between(operations + rule.format("b")) == []
    assert strangers_between(operations + rule.format("a")) == ["a, line 8, after b"]


def test_the_engine_fits_one_sitting() -> None:
    assert sum(lines_of_code((ENGINE / name).read_text("utf-8")) for name in ("tensor.py", "ops.py")) <= 700


@pytest.mark.parametrize("path", sorted(ENGINE.glob("*.py")), ids=lambda path: path.name)
def test_each_gradient_stands_beneath_its_operation(path: Path) -> None:
    assert strangers_between(path.read_text("utf-8")) == []


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_file_is_longer_than_can_be_read(path: Path) -> None:
    assert len(path.read_text("utf-8").splitlines()) <= 500


def test_the_readme_names_the_order_in_which_to_read() -> None:
    """Every file of the engine, the first ones first, and each exists."""
    named = re.findall(r"`((?:\w+/)*\w+\.py)`", (ROOT / "README.md").read_text("utf-8").partition("## Reading")[2])
    assert [name.rpartition("/")[2] for name in named[:4]] == ["backend.py", "tensor.py", "operation.py", "backward.py"]
    for path in ENGINE.glob("*.py"):
        assert path.name == "__init__.py" or path.name in [name.rpartition("/")[2] for name in named], path.name
