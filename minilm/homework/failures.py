"""The ways in which an answer fails: what each means, and what a student can do about it. The one place that says so.

A kind is that of a Verdict or of a Raised. The terminal and the reports say what happened in their own line; this
stands beside it.
"""

from collections.abc import Callable
from dataclasses import dataclass

from minilm.i18n import tr


@dataclass(frozen=True)
class Explanation:
    """title: what the failure means, in a few words. advice: what to do next."""

    title: str
    advice: str


def explain(kind: str) -> Explanation:
    """A failure's meaning and advice, in the language in use; of a kind that nobody knows, the general one."""
    return Explanation(*KINDS.get(kind, KINDS["failed"])())


KINDS: dict[str, Callable[[], tuple[str, str]]] = {
    "unsolved": lambda: (
        tr("Not written yet"),
        tr("Write the function in the place of its `raise NotImplementedError`. The text above it says what it "
           "returns, and of which shape."),
    ),
    "missing": lambda: (
        tr("The function is not there"),
        tr("A function of exactly this name must stand in the file, at the left edge and outside of every class. Was "
           "it renamed or deleted? Take its first line from the file that you were given."),
    ),
    "unreadable": lambda: (
        tr("There is no file that can be read"),
        tr("Hand in one .py or .ipynb, or the zip that `minilm homework pack` makes. It checks the file at once."),
    ),
    "syntax": lambda: (
        tr("The file is not Python"),
        tr("No task can be tried before that. Look at the line that is named and at the one before it: is a bracket, a "
           "quote or a colon missing, and do the lines of a block begin in one column?"),
    ),
    "import": lambda: (
        tr("The file cannot be run"),
        tr("No task can be tried before that. Whatever stands outside of the functions runs when the file is loaded: "
           "mend the line that is named, or put your own trials behind `if __name__ == \"__main__\":`. What may be "
           "imported is the standard library, NumPy and minilm."),
    ),
    "raised": lambda: (
        tr("It stops with an error"),
        tr("Call the function with the input that is shown and follow the error to its line. Print the shapes just "
           "before it: most errors here are two arrays that do not fit together."),
    ),
    "time": lambda: (
        tr("It takes too long"),
        tr("Does a loop never end, or wait for something? Else let NumPy do the loop: one operation on whole arrays "
           "instead of one for each entry."),
    ),
    "memory": lambda: (
        tr("It needs too much memory"),
        tr("Look for an array that has an axis too many, as broadcasting (n, 1) against (n,) makes one, and for a list "
           "that grows without end."),
    ),
    "crash": lambda: (
        tr("Its process ended"),
        tr("Nothing in a task may end Python: look for exit(), sys.exit(), os._exit(), signals, and for a recursion "
           "that never stops."),
    ),
    "protocol": lambda: (
        tr("What came back is no answer"),
        tr("A task returns its result and does nothing else. Take out all that talks to other processes, opens "
           "descriptors, or changes minilm or NumPy itself."),
    ),
    "type": lambda: (
        tr("The result is of another type"),
        tr("Compare the type that came back with what the task's text says: a Tensor or an array, of floats, whole "
           "numbers or booleans; one value or several; in a list or a dict. A function without `return` gives None."),
    ),
    "shape": lambda: (
        tr("The result has another shape"),
        tr("Write the shape behind each line of the function, as a comment, and find the first that is not as you "
           "thought. Often it is a reduction along another axis, or one without keepdims."),
    ),
    "nan": lambda: (
        tr("The result holds NaN"),
        tr("NaN comes from 0/0, inf − inf, inf · 0, or the root or logarithm of a negative number. Does an exponential "
           "overflow? Take the largest entry off first. Is a whole row masked?"),
    ),
    "value": lambda: (
        tr("The values are not right"),
        tr("Work the input that is shown out by hand: it is the smallest that was found. Then compare entry by entry: "
           "are all wrong, or some rows, and by a factor, a sign or a place?"),
    ),
    "gradient": lambda: (
        tr("The gradient is not that of the function"),
        tr("The expected one is the slope of your function's own values. Look for a step that leaves the graph "
           "(.numpy(), .data, a plain NumPy function), or, in a gradient rule of your own, for a factor, a sign, a "
           "transpose or a sum over a broadcast axis."),
    ),
    "constant": lambda: (
        tr("It always gives the same answer"),
        tr("The answer must depend on the arguments. Is one of them overwritten, or is the result made before they are "
           "used?"),
    ),
    "unstable": lambda: (
        tr("The same question has two answers"),
        tr("The answer may depend on nothing but the arguments. Look for random numbers without a seed, for values "
           "kept between calls (a global, a default argument that is a list), and for writing into an argument."),
    ),
    "unusable": lambda: (
        tr("The answer cannot be used"),
        tr("Something in it is not as promised: another number of parts, a shape, a key of a dict. Compare what the "
           "function returns, part by part, with the text of the task."),
    ),
    "failed": lambda: (
        tr("The property does not hold"),
        tr("Call the function with the input that is shown, and compare what it returns with what the text of the task "
           "asks for."),
    ),
}  # fmt: skip
KINDS["dtype"] = KINDS["type"]
