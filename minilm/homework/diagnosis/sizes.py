"""The sizes of what a function is given, with the names that its docstring gives them: T, K, the length of `ids`."""

import functools
import inspect
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from minilm.course.marks import Task
from minilm.i18n import tr

DESCRIBED = re.compile(r"\b(\w[\w.]*(?:(?:, | and )\w[\w.]*)*): [^:;.()>]*\(([^()]*)\)")
AXIS = re.compile(r"…|[A-Za-z]\w?|\d+|[A-Z] [A-Z]")
LETTER = re.compile(r"([A-Za-z_]\w*): ([A-Z])\b")


def argument_names(task: Task) -> list[str]:
    """As the reference names them."""
    return list(inspect.signature(task.function).parameters)


@functools.cache
def axis_names(doc: str) -> dict[str, list[str]]:
    """The axes of each argument that a docstring says: {"query": ["…", "T", "K"]}."""
    text = " ".join(doc.split())
    found: dict[str, list[str]] = {}
    for names, axes in DESCRIBED.findall(text):
        listed = [axis.strip() for axis in axes.split(",") if axis.strip()]
        if all(AXIS.fullmatch(axis) for axis in listed):
            for name in re.split(r", | and ", names):
                found.setdefault(name, listed)
    return found


@functools.cache
def _letters(doc: str) -> dict[str, str]:
    """The letter of a number: {"heads": "H"}."""
    return dict(LETTER.findall(" ".join(doc.split())))


def named_axis(doc: str, argument: str, axis: int, ndim: int) -> str:
    """What an axis of an argument is called; a letter where the docstring has one."""
    axes = axis_names(doc).get(argument, [])
    from_end = axis - ndim
    fits = len(axes) == ndim or (axes[:1] == ["…"] and len(axes) - 1 >= -from_end)
    if fits and re.fullmatch(r"[A-Za-z]\w?", axes[from_end]):
        return axes[from_end]
    return tr("the size of axis {axis} of `{name}`", axis=axis, name=argument)


def sizes_of(task: Task, arguments: Sequence[Any]) -> dict[str, float]:
    """Each size above 0 by its name: axes, lengths, whole numbers, how many entries, how many are True."""
    named = dict(zip(argument_names(task), arguments, strict=False))
    return sizes_of_names(named, task.function.__doc__ or "")


def sizes_of_names(arguments: Mapping[str, Any], doc: str = "") -> dict[str, float]:
    """The same for arguments by name, with the names that a docstring has for their axes."""
    found: dict[str, float] = {}
    letters = _letters(doc)
    for name, value in arguments.items():
        if isinstance(value, np.ndarray):
            for axis, n in enumerate(value.shape):
                found.setdefault(named_axis(doc, name, axis, value.ndim), n)
            if value.ndim > 1:
                found[tr("the number of entries of `{name}`", name=name)] = value.size
            if value.dtype.kind == "b":
                found[tr("the number of True in `{name}`", name=name)] = int(value.sum())
        elif isinstance(value, (list, str)):
            found[tr("the length of `{name}`", name=name)] = len(value)
        elif isinstance(value, (int, float)) and not isinstance(value, bool):
            found.setdefault(letters.get(name, f"`{name}`"), value)
    return {name: float(n) for name, n in found.items() if np.isfinite(n) and n > 0}


FORMS: list[tuple[str, Any]] = [
    ("{s}", lambda n: n),
    ("1/{s}", lambda n: 1 / n),
    ("√{s}", np.sqrt),
    ("1/√{s}", lambda n: 1 / np.sqrt(n)),
    ("{s}²", lambda n: n * n),
    ("1/{s}²", lambda n: 1 / (n * n)),
    ("1 − {s}", lambda n: 1 - n),
    ("1/(1 − {s})", lambda n: np.divide(1, 1 - n)),
    ("{s}/(1 − {s})", lambda n: np.divide(n, 1 - n)),
    ("(1 − {s})/{s}", lambda n: (1 - n) / n),
    ("{s}/({s} − 1)", lambda n: np.divide(n, n - 1)),
    ("({s} − 1)/{s}", lambda n: (n - 1) / n),
    ("{s} − 1", lambda n: n - 1),
    ("1/({s} − 1)", lambda n: np.divide(1, n - 1)),
    ("{s} + 1", lambda n: n + 1),
    ("1/({s} + 1)", lambda n: 1 / (n + 1)),
    ("ln {s}", np.log),
    ("1/ln {s}", lambda n: np.divide(1, np.log(n))),
]
SUMS = ("1 − {s}", "{s} − 1", "{s} + 1")  # which a factor puts into brackets
PAIRS: list[tuple[str, Any]] = [
    ("{s} · {t}", lambda n, m: n * m),
    ("1/({s} · {t})", lambda n, m: 1 / (n * m)),
    ("{s}/{t}", lambda n, m: n / m),
    ("√({s}/{t})", lambda n, m: np.sqrt(n / m)),
    ("√({s} · {t})", lambda n, m: np.sqrt(n * m)),
]
TIMES = (1.0, -1.0, 2.0, 0.5, -2.0, -0.5)


def as_size(factors: Sequence[float], sizes: Sequence[dict[str, float]]) -> list[tuple[str, str, float]]:
    """Formulas of sizes that give all these factors, the simplest first: (text, form, what it is multiplied by).

    factors: one for each question, sizes: those of each question.
    """
    wanted = np.array(factors)
    names = [name for name in sizes[0] if all(name in other for other in sizes)]
    values = {name: np.array([other[name] for other in sizes]) for name in names}
    found = []
    with np.errstate(all="ignore"):
        for form, f in FORMS:
            for s in names:
                found += _matching(form.format(s=s), form, f(values[s]), wanted)
        for form, f2 in PAIRS:
            for i, s in enumerate(names):
                for t in names[i + 1 :] + (names[:i] if form in ("{s}/{t}", "√({s}/{t})") else []):
                    found += _matching(form.format(s=s, t=t), form, f2(values[s], values[t]), wanted)
    return sorted(found, key=lambda item: (abs(item[2]) != 1.0, item[2] < 0))


def _matching(text: str, form: str, made: np.ndarray, wanted: np.ndarray) -> list[tuple[str, str, float]]:
    for k in TIMES:
        if np.all(np.abs(k * made - wanted) <= 1e-7 * np.abs(wanted)):
            shown = {1.0: "", -1.0: "−", 2.0: "2 · ", 0.5: "½ · ", -2.0: "−2 · ", -0.5: "−½ · "}[k]
            return [(f"{shown}({text})" if shown and form in SUMS else shown + text, form, k)]
    return []
