"""What the student runtime of a lesson has in place of the library's own answers to its tasks (homework/runtime.py).

A withheld function is not there: a call of it raises. One that the engine itself cannot do without is guarded: it is
there for minilm and for a lesson's properties, and refuses everybody else. That keeps a call of the library from being
the answer to a task; it is no lock, and nothing of the grading depends on it.
"""

import sys
from collections.abc import Callable
from typing import Any

from minilm.errors import MinilmError
from minilm.i18n import tr

OURS = ("minilm.", "minilm_lessons_")  # modules of the package, and of lessons as banks.py imports them


class WithheldError(MinilmError, RuntimeError):
    """A function that a task asks for, called in the runtime that comes with the task."""


def withheld(name: str, task: str) -> WithheldError:
    """The error for the call of a function that answers a task: `raise withheld("F.attention", "L3.3")`."""
    return WithheldError(
        tr(
            "{name} is not in this runtime of minilm, because it answers task {task}: write it yourself; to run a "
            "lesson, use the whole minilm",
            name=name,
            task=task,
        )
    )


def guarded(name: str, task: str) -> Callable:
    """A decorator: only minilm and the properties of lessons may call the function, anybody else gets the error."""

    def guard(function: Callable) -> Callable:
        def within(*args: Any, **kwargs: Any) -> Any:
            if not str(sys._getframe(1).f_globals.get("__name__")).startswith(OURS):
                raise withheld(name, task)
            return function(*args, **kwargs)

        within.__name__, within.__doc__ = name.rpartition(".")[2], function.__doc__
        return within

    return guard
