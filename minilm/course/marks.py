"""The decorators of a lesson's files. A mark is put into the marked function's own module, so lessons share nothing."""

import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from minilm.errors import ConfigError
from minilm.i18n import tr

NUMBER = re.compile(r"L(\d+)\.(\d+)")
MARKS = "__course__"  # the list of marks, in the globals of the module that made them


@dataclass(frozen=True)
class Task:
    """A function that the student writes. Its docstring is its text; `function` is the reference.

    keep: how many leading statements of the body the student is given. worked: given whole, as an example, for 0
    points. plain: its floating arrays arrive as NumPy arrays instead of Tensors, so nobody asks for its gradient.
    """

    number: str
    function: Callable
    points: float
    keep: int
    worked: bool
    plain: bool

    @property
    def name(self) -> str:
        """The function's name, by which an implementation is asked for it."""
        return self.function.__name__


@dataclass(frozen=True)
class Claim:
    """A property: `check(impl, *case)` about a task, or `check(*case)` about minilm, for each case of a strategy."""

    number: str
    what: str
    check: Callable
    strategies: tuple[Any, ...]
    examples: int | None

    @property
    def of_task(self) -> bool:
        """Whether it is about an implementation of a task, rather than about minilm."""
        return next(iter(inspect.signature(self.check).parameters), None) == "impl"

    @property
    def arguments(self) -> list[str]:
        """The names of what a case consists of."""
        return list(inspect.signature(self.check).parameters)[self.of_task :]


@dataclass(frozen=True)
class Mutant:
    """A wrong answer that students give: the name of the misconception, and a question that leads on."""

    number: str
    function: Callable
    misconception: str
    hint: str


@dataclass(frozen=True)
class Variant:
    """Another right answer, and in which way it is another."""

    number: str
    function: Callable
    how: str


def task(number: str, points: float = 1, keep: int = 0, *, worked: bool = False, plain: bool = False) -> Callable:
    """Mark a reference answer. A worked example is shown whole and gives no points."""
    check_number(number)
    if keep < 0 or points < 0:
        raise ConfigError(tr("task {number}: points and keep must be at least 0", number=number))
    return lambda function: _put(function, Task(number, function, 0 if worked else points, keep, worked, plain))


def claim(number: str, what: str, *strategies: Any, examples: int | None = None) -> Callable:
    """Mark a property. One strategy yields whole cases (tuples); of several each yields one argument; none: one run.

    examples: the most cases that are ever tried, for checks that take long.
    """
    check_number(number)
    return lambda function: _put(function, Claim(number, what, function, strategies, examples))


def mutant(number: str, *, misconception: str, hint: str) -> Callable:
    """Mark a wrong answer; its name is the task's. misconception: in lower case, words joined by `_`."""
    check_number(number)
    if not re.fullmatch(r"[a-z][a-z0-9_]*", misconception):
        raise ConfigError(
            tr("mutant of {number}: misconception {got!r} must be like this_one", number=number, got=misconception)
        )
    return lambda function: _put(function, Mutant(number, function, misconception, hint))


def variant(number: str, how: str) -> Callable:
    """Mark another right answer; its name is the task's."""
    check_number(number)
    return lambda function: _put(function, Variant(number, function, how))


def check_number(number: str) -> None:
    """ConfigError unless it is like "L3.2"."""
    if not NUMBER.fullmatch(number):
        raise ConfigError(tr("{got!r} is no number of a claim; it must be like L3.2", got=number))


def _put(function: Callable, mark: Any) -> Callable:
    function.__globals__.setdefault(MARKS, []).append(mark)
    return function
