"""Programs to try the doctor on: right answers, rewritten by rule, and random wrong ones that nobody has in mind."""

import ast
import hashlib
import inspect
import random
import textwrap
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minilm.course.implementations import Implementation

# ------------------------------------------------------------------------------------------------ right ones, rewritten


def rewritten(function: Callable, seed: int) -> Callable | None:
    """The same function by other statements; None if no rule applies. Not every rule holds for every type, so the
    caller makes sure that the result still meets the claims."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    definition = tree.body[0]
    assert isinstance(definition, ast.FunctionDef)
    definition.decorator_list = []
    rules = _Rewrite(random.Random(f"{seed} {function.__name__}"), definition)
    tree = ast.fix_missing_locations(rules.visit(tree))
    if not rules.applied:
        return None
    names = dict(function.__globals__)
    exec(compile(tree, "<rewritten>", "exec"), names)  # the course's own source
    found: Callable = names[function.__name__]
    return found


class _Rewrite(ast.NodeTransformer):
    """Each rule where it applies, at most places."""

    def __init__(self, rng: random.Random, definition: ast.FunctionDef):
        self.rng, self.applied = rng, 0
        used = {node.id for node in ast.walk(definition) if isinstance(node, ast.Name)}
        stored = {n.id for n in ast.walk(definition) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
        functions = [n for n in ast.walk(definition) if isinstance(n, (ast.FunctionDef, ast.Lambda))]
        inner = {a.arg for n in functions for a in n.args.args}
        self.names = {name: f"{name}_" for name in stored - inner if f"{name}_" not in used}

    def often(self) -> bool:
        if self.rng.random() < 0.7:
            self.applied += 1
            return True
        return False

    def visit_Name(self, node: ast.Name) -> ast.AST:
        if node.id in self.names:
            self.applied += 1
            node.id = self.names[node.id]
        return node

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        self.generic_visit(node)
        a, b = node.left, node.right
        if isinstance(node.op, ast.Mult) and not _is_sequence(a) and not _is_sequence(b) and self.often():
            return ast.BinOp(b, ast.Mult(), a)
        if isinstance(node.op, ast.Sub) and self.often():
            return ast.BinOp(ast.UnaryOp(ast.USub(), b), ast.Add(), a)
        if isinstance(node.op, ast.Div) and self.often():
            return ast.BinOp(a, ast.Mult(), ast.BinOp(ast.Constant(1), ast.Div(), b))
        squares = isinstance(node.op, ast.Pow) and isinstance(b, ast.Constant) and b.value == 2
        if squares and isinstance(a, ast.Name) and self.often():
            return ast.BinOp(a, ast.Mult(), ast.Name(a.id, ast.Load()))
        return node

    def visit_Compare(self, node: ast.Compare) -> ast.AST:
        self.generic_visit(node)
        turned: dict[type, type] = {ast.Lt: ast.Gt, ast.Gt: ast.Lt, ast.LtE: ast.GtE, ast.GtE: ast.LtE}
        other = turned.get(type(node.ops[0]))
        if len(node.ops) == 1 and other and self.often():
            return ast.Compare(node.comparators[0], [other()], [node.left])
        return node

    def visit_IfExp(self, node: ast.IfExp) -> ast.AST:
        self.generic_visit(node)
        return ast.IfExp(ast.UnaryOp(ast.Not(), node.test), node.orelse, node.body) if self.often() else node

    def visit_Return(self, node: ast.Return) -> Any:
        self.generic_visit(node)
        if node.value is None or not self.often():
            return node
        return [ast.Assign([ast.Name("answer_", ast.Store())], node.value), ast.Return(ast.Name("answer_", ast.Load()))]

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        if type(node.value) is float and node.value == 0.5 and self.often():
            return ast.BinOp(ast.Constant(1), ast.Div(), ast.Constant(2))
        return node


def _is_sequence(node: ast.AST) -> bool:
    return isinstance(node, (ast.List, ast.Tuple, ast.ListComp, ast.JoinedStr)) or (
        isinstance(node, ast.Constant) and isinstance(node.value, str)
    )


# --------------------------------------------------------------------------------------------------- wrong ones, random


class Wrong(Implementation):
    """A right implementation whose answers, to one function, are spoiled in a random way that is none of the causes."""

    def __init__(self, impl: Implementation, name: str, others: Sequence[Implementation], seed: int):
        self._impl, self._name, self._others = impl, name, others
        self._rng = np.random.default_rng(seed)
        self._numbers = self._rng.uniform(0.4, 1.6, 8)
        self.way = WAYS[seed % len(WAYS)]

    def call(self, name: str, arguments: Sequence[Any]) -> Any:
        if name != self._name:
            return self._impl.call(name, arguments)
        if self.way == "moved arguments":
            return self._impl.call(name, tuple(self._moved(a) for a in arguments))
        answer = self._impl.call(name, arguments)
        if self.way == "the gradient":
            return answer
        if self.way == "two mistakes by turns":
            which = self._hash(arguments) % (len(self._others) + 1)
            return answer if which == len(self._others) else self._others[which].call(name, arguments)
        return self._spoil(answer, self._hash(arguments), 0)

    def gradient(self, name: str, arguments: Sequence[Any], wrt: Sequence[int], cotangents: Sequence[Any]) -> Any:
        found = self._impl.gradient(name, arguments, wrt, cotangents)
        if name != self._name or found is None:
            return found
        return [self._spoil(np.asarray(g), 0, i) for i, g in enumerate(found)]

    def _hash(self, arguments: Any) -> int:
        shown = repr([a.tolist() if isinstance(a, np.ndarray) else a for a in arguments])
        return int.from_bytes(hashlib.sha256(shown.encode()).digest()[:4], "big")

    def _moved(self, x: Any) -> Any:
        if isinstance(x, np.ndarray) and x.dtype.kind == "f":
            a, b, c, *_ = self._numbers
            return x + 0.1 * a * np.sin(b * x + c + np.arange(x.size).reshape(x.shape))
        return x

    def _spoil(self, x: Any, of_question: int, part: int) -> Any:
        """The answer, spoiled. of_question: a number that belongs to the arguments."""
        if isinstance(x, (tuple, list)):
            parts = [self._spoil(y, of_question, part + i) for i, y in enumerate(x)]
            if isinstance(x, list) and parts and of_question % 3 == 0 and not isinstance(x[0], (float, np.ndarray)):
                parts = parts[: of_question % (len(parts) + 1)]
            return tuple(parts) if isinstance(x, tuple) else parts
        if isinstance(x, dict):
            return {key: self._spoil(y, of_question, part + i) for i, (key, y) in enumerate(x.items())}
        if isinstance(x, str):
            return x[: of_question % (len(x) + 1)] if of_question % 2 else x
        if isinstance(x, bool):
            return x ^ (of_question % 5 < 2)
        if isinstance(x, int):
            return x + of_question % 4
        array = np.asarray(x)
        if array.dtype.kind in "bi":
            noise = np.random.default_rng(of_question).integers(0, 2, array.shape)
            return (array ^ noise.astype(bool)) if array.dtype.kind == "b" else array + 3 * noise
        made = self._smooth(array, of_question, part)
        return float(made) if isinstance(x, float) else made

    def _smooth(self, x: np.ndarray, of_question: int, part: int) -> np.ndarray:
        a, b, c, d, *_ = self._numbers
        place = np.arange(x.size).reshape(x.shape) + part
        if self.way == "a wave added":
            return np.asarray(x + 0.3 * a * np.sin(b * x + c * place + d))
        if self.way == "bent":
            return np.asarray(x + a * np.tanh(b * x + c) ** 2)
        if self.way == "a factor for each question":
            return np.asarray(x * (1 + (of_question % 1000) / 1000 * a) + 1e-3 * b)
        if self.way == "noise of the arguments":
            return np.asarray(x + 0.5 * np.random.default_rng(of_question).standard_normal(x.shape))
        return np.asarray(x * (1 + 0.4 * a * np.sin(b * place + c)) + 0.01 * d)


WAYS = (
    "a wave added", "bent", "a factor for each question", "noise of the arguments", "a factor for each entry",
    "moved arguments", "two mistakes by turns", "the gradient",
)  # fmt: skip
