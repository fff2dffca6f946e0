"""An implementation of a lesson's tasks: functions from data to data, here or in another process.

A property sees `impl.attention_weights(q, k, mask)`, and `expect_gradient` asks that function for its gradient. What
crosses the border is data: arrays, numbers, booleans, text, None, and tuples, lists and dicts of these. So a grader's
implementation, which sends them through a pipe, overrides the same two methods as the one below.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from minilm.autograd import Tensor, grad
from minilm.course.marks import Task
from minilm.errors import DTypeError, MinilmError
from minilm.i18n import tr


class Raised(MinilmError):
    """The function under test could not answer: it raised, or gave back no data. kind: raised, missing, type.

    fatal: asking again would cost more than it tells, so no smaller case is looked for.
    """

    fatal = False

    def __init__(self, message: str, *, kind: str = "raised"):
        super().__init__(message)
        self.kind = kind


class Implementation:
    """What a property is run against. Subclasses say how a function is called and how its gradient is had."""

    def call(self, name: str, arguments: Sequence[Any]) -> Any:
        """The function's result as data. Errors: Raised."""
        raise NotImplementedError

    def gradient(
        self, name: str, arguments: Sequence[Any], wrt: Sequence[int], cotangents: Sequence[Any]
    ) -> list[Any] | None:
        """d Σ ⟨cotangent, output⟩ / d argument i for each i in wrt, over the result's floating leaves in their order.

        None where the result carries no gradient at all. Errors: Raised.
        """
        raise NotImplementedError

    def __getattr__(self, name: str) -> "Function":
        if name.startswith("_"):
            raise AttributeError(name)
        return Function(self, name)


class Function:
    """One function of an implementation."""

    def __init__(self, impl: Implementation, name: str):
        self.impl, self.name = impl, name

    def __call__(self, *arguments: Any) -> Any:
        return self.impl.call(self.name, arguments)

    def gradient(self, arguments: Sequence[Any], wrt: Sequence[int], cotangents: Sequence[Any]) -> list[Any] | None:
        """As in Implementation."""
        return self.impl.gradient(self.name, arguments, wrt, cotangents)


class Local(Implementation):
    """The reference of every task, but for the functions that replace some: {"attention_weights": f}.

    Floating arrays arrive as float64 Tensors (as arrays, for a task that is `plain`), everything else as it is, all of
    it copied, so that a function that writes into its arguments harms nobody.
    """

    def __init__(self, tasks: Mapping[str, Task], replaced: Mapping[str, Callable] | None = None):
        self._functions = {task.name: task.function for task in tasks.values()} | dict(replaced or {})
        self._plain = {task.name for task in tasks.values() if task.plain}

    def call(self, name: str, arguments: Sequence[Any]) -> Any:
        make = copied if name in self._plain else tensors
        return data_of(name, self._run(name, [make(a) for a in arguments]))

    def gradient(
        self, name: str, arguments: Sequence[Any], wrt: Sequence[int], cotangents: Sequence[Any]
    ) -> list[Any] | None:
        if name in self._plain:
            raise DTypeError(tr("{name} is a plain task: its arrays are no Tensors, and have no gradient", name=name))
        given = [tensors(a) for a in arguments]
        inputs = [Tensor(np.array(arguments[i], np.float64), requires_grad=True) for i in wrt]
        for i, x in zip(wrt, inputs, strict=True):
            given[i] = x
        leaves = [leaf for leaf in leaves_of(self._run(name, given)) if is_float(leaf)]
        total = None
        for leaf, u in zip(leaves, cotangents, strict=False):
            if isinstance(leaf, Tensor) and leaf.requires_grad:
                part = (leaf * np.broadcast_to(u, leaf.shape)).sum()
                total = part if total is None else total + part
        return None if total is None else [g.numpy() for g in grad(total, inputs)]

    def _run(self, name: str, arguments: list[Any]) -> Any:
        if name not in self._functions:
            raise Raised(tr("there is no function {name}", name=name), kind="missing")
        try:
            return self._functions[name](*arguments)
        except Exception as error:
            raise Raised(
                tr("{name} raised {kind}: {what}", name=name, kind=type(error).__name__, what=error)
            ) from error


# ---------------------------------------------------------------------------------------------------- data, there, back


def tensors(data: Any) -> Any:
    """Data with each floating array as a float64 Tensor of its own memory."""
    return _each(data, lambda leaf: Tensor(np.array(leaf, np.float64)) if _is_float_array(leaf) else _copy(leaf))


def copied(data: Any) -> Any:
    """Data whose arrays are nobody else's."""
    return _each(data, _copy)


def data_of(name: str, result: Any) -> Any:
    """What a function returned, as data: Tensors as arrays, NumPy's numbers as Python's. Raised if it is none."""

    def leaf(x: Any) -> Any:
        if isinstance(x, Tensor):
            return np.array(x.numpy())
        if isinstance(x, np.generic):
            return x.item()
        if isinstance(x, np.ndarray) and x.dtype.kind in "biuf":
            return np.array(x)
        if x is None or isinstance(x, (bool, int, float, str)):
            return x
        raise Raised(
            tr("{name} returned {kind}; wanted are arrays, numbers, text, or tuples of these", name=name,
               kind=type(x).__name__),
            kind="type",
        )  # fmt: skip

    return _each(result, leaf)


def leaves_of(data: Any) -> Iterator[Any]:
    """The leaves of tuples, lists and dicts, in order."""
    if isinstance(data, (tuple, list)):
        for part in data:
            yield from leaves_of(part)
    elif isinstance(data, dict):
        for part in data.values():
            yield from leaves_of(part)
    else:
        yield data


def is_float(x: Any) -> bool:
    """Whether a leaf is a floating number, array or Tensor."""
    return isinstance(x, float) or getattr(getattr(x, "dtype", None), "kind", "") == "f"


def _is_float_array(x: Any) -> bool:
    return isinstance(x, np.ndarray) and x.dtype.kind == "f"


def _copy(leaf: Any) -> Any:
    return leaf.copy() if isinstance(leaf, np.ndarray) else leaf


def _each(data: Any, f: Callable[[Any], Any]) -> Any:
    """The same data with f of each leaf."""
    if isinstance(data, tuple):
        return tuple([_each(part, f) for part in data])
    if isinstance(data, list):
        return [_each(part, f) for part in data]
    if isinstance(data, dict):
        return {key: _each(part, f) for key, part in data.items()}
    return f(data)


class Constant(Local):
    """The reference, but one function answers with one number wherever it should answer with many: 0, or 1."""

    def __init__(self, tasks: Mapping[str, Task], name: str, number: int):
        super().__init__(tasks)
        reference = self._functions[name]
        self._functions[name] = lambda *arguments: _each(
            data_of(name, reference(*arguments)), lambda leaf: constant(leaf, number)
        )


def constant(leaf: Any, number: int) -> Any:
    """A leaf of the same kind that says nothing: full of one number; "" or "1" for text."""
    if isinstance(leaf, np.ndarray):
        return np.full(leaf.shape, number, leaf.dtype)
    if leaf is None:
        return None
    return type(leaf)(number) if not isinstance(leaf, str) else "" if number == 0 else str(number)
