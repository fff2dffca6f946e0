"""Mistakes to plant: what a mutant is, and those that cosmic-ray's operators make of every line.

Nothing is planted in annotations, imports, docstrings, `__all__` and the sentences of tr(...): a mistake there is no
wrong number; nor in zip's `strict`, which asserts what the code around it has made sure of. An operator whose result
is no Python, or is the same program, plants nothing either.
"""

import ast
import functools
import hashlib
import random
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.operators.provider import OperatorProvider

ROOT = Path(__file__).parents[2]
FOLDERS = ("minilm/autograd", "minilm/nn")  # where mistakes are planted

Place = tuple[int, int]  # line from 1, column from 0 in characters


@dataclass(frozen=True)
class Mutant:
    """A module with one mistake. before, after: the changed lines without indentation; "" where they are gone."""

    file: str
    line: int
    before: str
    after: str
    why: str  # the misconception, or cosmic-ray's operator
    source: str = field(repr=False)

    @property
    def module(self) -> str:
        return self.file.removesuffix(".py").replace("/", ".").removesuffix(".__init__")

    @property
    def key(self) -> str:
        return hashlib.sha256(f"{self.file}\n{self.source}".encode()).hexdigest()[:16]

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


def make(file: str, original: str, mutated: str, why: str) -> Mutant:
    """The Mutant, its changed lines found by comparing the two texts."""
    a, b = original.splitlines(), mutated.splitlines()
    start = 0
    while start < min(len(a), len(b)) and a[start] == b[start]:
        start += 1
    end = 0
    while end < min(len(a), len(b)) - start and a[-1 - end] == b[-1 - end]:
        end += 1
    before, after = ("\n".join(s.strip() for s in text[start : len(text) - end]) for text in (a, b))
    blank = len(before) - len(before.lstrip("\n"))
    return Mutant(file, start + blank + 1, before.strip("\n"), after.strip("\n"), why, mutated)


def files(root: Path = ROOT) -> list[str]:
    """Every file that mistakes are planted in, relative to `root`."""
    return sorted(str(p.relative_to(root)) for folder in FOLDERS for p in (root / folder).rglob("*.py"))


# ------------------------------------------------------------------------------------------------------- by cosmic-ray

ARITHMETIC = ("Add", "Sub", "Mul", "Div", "FloorDiv", "Mod", "Pow")
BITS = ("BitOr", "BitAnd", "BitXor")
SHIFTS = ("LShift", "RShift")
ORDER = ("Eq", "NotEq", "Lt", "LtE", "Gt", "GtE")
IDENTITY = ("Is", "IsNot")
# Left out: arithmetic for bits and == for `is`, which nobody mistakes; +x, where -x is deleted; those with arguments.
OTHERS = (
    "ReplaceUnaryOperator_Delete_USub", "ReplaceUnaryOperator_Delete_Invert", "ReplaceUnaryOperator_Delete_Not",
    "AddNot", "ReplaceTrueWithFalse", "ReplaceFalseWithTrue", "ReplaceAndWithOr", "ReplaceOrWithAnd",
    "ReplaceBreakWithContinue", "ReplaceContinueWithBreak", "ExceptionReplacer", "NumberReplacer", "RemoveDecorator",
    "ZeroIterationForLoop",
)  # fmt: skip


def operator_names() -> list[str]:
    """The operators of cosmic-ray that plant a plausible mistake in numeric code."""
    swaps = [("Binary", group) for group in (ARITHMETIC, BITS, SHIFTS)]
    swaps += [("Comparison", group) for group in (ORDER, IDENTITY)]
    names = [f"Replace{kind}Operator_{a}_{b}" for kind, group in swaps for a in group for b in group if a != b]
    known = set(OperatorProvider())
    return [name for name in [*names, *OTHERS] if name in known]


@dataclass(frozen=True)
class Candidate:
    """The n-th place where an operator applies to a part of a file."""

    file: str
    operator: str
    part: int
    occurrence: int


def candidates(file: str, source: str) -> list[Candidate]:
    """Every mistake that an operator can make in a file outside what is left out."""
    skipped, found = left_out(source), []
    operators = {name: OperatorProvider()[name]() for name in operator_names()}
    for part, top in enumerate(parsed(source).children):
        nodes = list(ast_nodes(top))
        for name, operator in operators.items():
            places = ((node, start) for node in nodes for start, _ in operator.mutation_positions(node))
            for i, (node, start) in enumerate(places):
                marks_parameters = node.parent is not None and node.parent.type in ("parameters", "param", "lambdef")
                star = marks_parameters and getattr(node, "value", "") in ("*", "**")  # no multiplication
                if not star and not any(a <= start < b for a, b in skipped):
                    found.append(Candidate(file, name, part, i))
    return found


@functools.cache
def parsed(source: str) -> Any:
    """A module's syntax tree, which nobody changes."""
    return get_ast(source)


@functools.cache
def parts(source: str) -> list[str]:
    """The text of each statement at the top of a module: what is parsed again to change it, not the whole module."""
    return [top.get_code() for top in parsed(source).children]


def apply(candidate: Candidate, source: str) -> Mutant | None:
    """The mutant, or None where the operator makes no program, or the same one."""
    operator = OperatorProvider()[candidate.operator]()
    texts = parts(source)
    changed = mutate_code(texts[candidate.part], operator, candidate.occurrence)
    try:
        with warnings.catch_warnings(action="ignore"):  # `1 is 2` is no good style
            same = changed is None or ast.dump(ast.parse(changed)) == ast.dump(ast.parse(texts[candidate.part]))
    except SyntaxError:
        return None
    if same:
        return None
    mutated = "".join([*texts[: candidate.part], changed, *texts[candidate.part + 1 :]])
    return make(candidate.file, source, mutated, candidate.operator)


def left_out(source: str) -> list[tuple[Place, Place]]:
    """The stretches of a file where nothing is planted."""
    lines = source.splitlines()

    def place(line: int, byte: int) -> Place:  # ast counts bytes, parso characters
        return line, len(lines[line - 1].encode()[:byte].decode())

    tree = ast.parse(source)
    nodes = [n for top in ast.walk(tree) for n in _unplantable(top)] + _type_names(tree)
    return [(place(n.lineno, n.col_offset), place(n.end_lineno, n.end_col_offset)) for n in nodes]


def _unplantable(node: ast.AST) -> Iterator[ast.AST]:
    """The parts of a node that are no computation."""
    match node:
        case ast.Import() | ast.ImportFrom() | ast.JoinedStr():
            yield node
        case ast.arg(annotation=annotation) | ast.AnnAssign(annotation=annotation) if annotation:
            yield annotation
        case ast.FunctionDef(returns=returns) if returns:
            yield returns
        case ast.Expr(value=ast.Constant(value=str())):
            yield node
        case ast.If(test=ast.Name(id="TYPE_CHECKING")):
            yield node
        case ast.Assign(targets=[ast.Name(id="__all__")]):
            yield node
        case ast.Call(func=ast.Name(id="tr" | "ntr")):
            yield node
        case ast.Call(func=ast.Name(id="cast"), args=[kind, _]):
            yield kind
        case ast.Call(func=ast.Name(id="zip"), keywords=[strict]):
            yield strict


def _type_names(tree: ast.Module) -> list[ast.AST]:
    """`Axis = int | None`: names of types, made at the top of a module."""
    top = [node for node in tree.body if isinstance(node, ast.Assign)]
    return [node for node in top if isinstance(node.value, ast.BinOp) and isinstance(node.value.op, ast.BitOr)]


def by_machine(sources: dict[str, str], seed: int, count: int | None = None) -> Iterator[Mutant]:
    """All mutants, or a sample of `count`, from each file as many as its share of all places."""
    places = {file: candidates(file, source) for file, source in sources.items()}
    for file, found in places.items():
        random.Random(f"{seed} {file}").shuffle(found)
    total = sum(map(len, places.values()))
    quota = {file: len(found) if count is None else count * len(found) / total for file, found in places.items()}
    for file, wanted in zip(quota, _whole(list(quota.values())), strict=True):
        yield from _first(wanted, (apply(c, sources[file]) for c in places[file]))


def _whole(quotas: list[float]) -> list[int]:
    """Whole numbers with the same sum, each within 1 of its quota."""
    ends = [round(sum(quotas[: i + 1])) for i in range(len(quotas))]
    return [b - a for a, b in zip([0, *ends], ends, strict=False)]


def _first(count: int, mutants: Iterable[Mutant | None]) -> Iterator[Mutant]:
    """The first so many different ones."""
    seen: set[str] = set()
    if count:
        for mutant in mutants:
            if mutant is not None and mutant.source not in seen:
                seen.add(mutant.source)
                yield mutant
                if len(seen) == count:
                    return
