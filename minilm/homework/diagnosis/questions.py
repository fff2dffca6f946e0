"""What a function is asked: what the claims ask in cases of their own strategies, and the same with fresh numbers."""

import contextlib
import dataclasses
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from minilm.course.banks import Bank
from minilm.course.implementations import Implementation, Local, Raised, copied, leaves_of
from minilm.course.marks import Claim, Task
from minilm.course.proving import Verdict, prove
from minilm.homework.diagnosis.answers import Answer, Failed, Parts, parts, parts_like

LARGEST = 50_000  # entries of a question that is asked again with fresh numbers


@dataclass(frozen=True, eq=False)
class Question:
    """A call, or (where cotangents are given) a gradient. fresh: its numbers were drawn here, and by no strategy."""

    arguments: tuple[Any, ...]
    wrt: tuple[int, ...] = ()
    cotangents: tuple[Any, ...] | None = None
    fresh: bool = False

    @property
    def of_gradient(self) -> bool:
        return self.cotangents is not None

    def key(self) -> bytes:
        """Equal for equal questions."""
        whole = (self.arguments, self.wrt, self.cotangents)
        shown = [(x.tobytes(), x.shape) if isinstance(x, np.ndarray) else repr(x) for _, x in _leaves(whole)]
        return repr((shown, _mapped(whole, lambda path, leaf: 0))).encode()


def ask(impl: Implementation, name: str, question: Question, model: Parts | None = None) -> Answer:
    """The answer in parts. No gradient at all is an answer of no parts."""
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            if question.of_gradient:
                found = impl.gradient(name, question.arguments, question.wrt, question.cotangents or ())
                return Parts({}) if found is None else parts(tuple(np.asarray(g) for g in found))
            result = impl.call(name, question.arguments)
        return parts(result) if model is None else parts_like(result, model)
    except Raised as error:
        named = re.search(r"\b[A-Z]\w*(Error|Exception|Exit|Interrupt|Iteration)\b", str(error))
        return Failed(error.kind, named[0] if named else "", str(error))
    except Exception as error:  # an answer that the cotangents do not fit
        return Failed("unusable", type(error).__name__, str(error))


class Recorder(Implementation):
    """An implementation that writes down what one of its functions is asked; it answers as another one does."""

    def __init__(self, impl: Implementation, name: str):
        self._impl, self._name = impl, name
        self._cases: list[list[Question]] = [[]]

    def begin(self) -> None:
        """Another case."""
        self._cases.append([])

    def questions(self) -> list[list[Question]]:
        """What was asked, case by case, each question once."""
        return [case for case in self._cases if case]

    def call(self, name: str, arguments: Any) -> Any:
        if name == self._name:
            self._note(Question(tuple(copied(list(arguments)))))
        return self._impl.call(name, arguments)

    def gradient(self, name: str, arguments: Any, wrt: Any, cotangents: Any) -> Any:
        if name == self._name:
            given = tuple(copied(list(arguments)))
            self._note(Question(given, tuple(wrt), tuple(copied(list(cotangents)))))
        return self._impl.gradient(name, arguments, wrt, cotangents)

    def _note(self, question: Question) -> None:
        """A call next to one that was made before belongs to a difference quotient."""
        case = self._cases[-1]
        if not any(
            question.of_gradient == old.of_gradient and _beside(question.arguments, old.arguments) for old in case
        ):
            case.append(question)


def _beside(a: Any, b: Any) -> bool:
    """Whether two are the same, but for less than .05 in floating arrays."""
    mine, other = list(leaves_of(list(a))), list(leaves_of(list(b)))
    if len(mine) != len(other):
        return False
    for x, y in zip(mine, other, strict=True):
        if isinstance(x, np.ndarray) and isinstance(y, np.ndarray):
            if x.shape != y.shape or x.dtype != y.dtype:
                return False
            if x.dtype.kind == "f" and not np.allclose(x, y, rtol=0, atol=0.05, equal_nan=True):
                return False
            if x.dtype.kind != "f" and not np.array_equal(x, y):
                return False
        elif type(x) is not type(y) or x != y:
            return False
    return True


def asked_by(bank: Bank, task: Task, claim: Claim, *, seed: int, examples: int) -> list[list[Question]]:
    """What a claim asks, case by case, if the reference answers."""
    recorder = Recorder(Local(bank.tasks), task.name)

    def check(impl: Implementation, *case: Any) -> None:
        recorder.begin()
        claim.check(impl, *case)

    prove(dataclasses.replace(claim, check=check), recorder, task.name, seed=seed, examples=examples, shrink=False)
    return recorder.questions()


def asked_in(bank: Bank, task: Task, verdict: Verdict) -> list[Question]:
    """What was asked in the case that a verdict is about."""
    if verdict.case is None and verdict.claim.strategies:
        return []
    recorder = Recorder(Local(bank.tasks), task.name)
    with contextlib.suppress(Exception), warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        verdict.claim.check(recorder, *(verdict.case or {}).values())
    return [question for case in recorder.questions() for question in case]


# ------------------------------------------------------------------------------------------------------- fresh numbers


def redrawn(questions: Sequence[Question], count: int, rng: np.random.Generator) -> Iterator[Question]:
    """Up to `count` questions with other floating numbers, of the kind that was seen at each place: positive ones,
    parts from 0 to 1, distributions, logarithms of distributions, or any."""
    kinds: dict[tuple, str] = {}
    for question in questions:
        for path, leaf in _leaves(question.arguments):
            kinds[path] = _common(kinds.get(path), leaf)
    for i in rng.permutation(len(questions))[:count]:
        question = questions[i]
        sized = sum(leaf.size for leaf in leaves_of(list(question.arguments)) if isinstance(leaf, np.ndarray))
        if sized <= LARGEST and any(kinds[path] for path, _ in _leaves(question.arguments)):
            drawn = _mapped(question.arguments, lambda path, leaf: _draw(kinds[path], leaf, rng))
            yield dataclasses.replace(question, arguments=drawn, fresh=True)


def _leaves(data: Any, path: tuple = ()) -> Iterator[tuple[tuple, Any]]:
    if isinstance(data, (list, tuple)):
        for i, part in enumerate(data):
            yield from _leaves(part, (*path, i if not path else "*"))
    elif isinstance(data, dict):
        for key, part in data.items():
            yield from _leaves(part, (*path, key))
    else:
        yield path, data


def _mapped(data: Any, f: Callable[[tuple, Any], Any], path: tuple = ()) -> Any:
    if isinstance(data, (list, tuple)):
        made = [_mapped(part, f, (*path, i if not path else "*")) for i, part in enumerate(data)]
        return tuple(made) if isinstance(data, tuple) else made
    if isinstance(data, dict):
        return {key: _mapped(part, f, (*path, key)) for key, part in data.items()}
    return f(path, data)


KINDS: dict[str, Callable[[np.ndarray], bool]] = {
    "joint": lambda x: x.ndim > 0 and bool((x >= 0).all()) and abs(x.sum() - 1) < 1e-9,
    "rows": lambda x: x.ndim > 0 and bool((x >= 0).all()) and bool((np.abs(x.sum(-1) - 1) < 1e-9).all()),
    "log rows": lambda x: x.ndim > 0 and bool((np.abs(np.exp(np.minimum(x, 9)).sum(-1) - 1) < 1e-9).all()),
    "part": lambda x: bool((x >= 0).all() and (x < 1).all()),
    "positive": lambda x: bool((x > 0).all()),
    "not negative": lambda x: bool((x >= 0).all()),
    "not positive": lambda x: bool((x <= 0).all()),
    "any": lambda x: True,
}


def _common(before: str | None, leaf: Any) -> str:
    """The narrowest kind that all of them are; "" for what is never drawn again."""
    if before == "" or not (isinstance(leaf, float) or (isinstance(leaf, np.ndarray) and leaf.dtype.kind == "f")):
        return ""
    names = list(KINDS)
    x = np.asarray(leaf)
    if not np.isfinite(x).all():
        return ""
    return next(name for name in names[names.index(before or names[0]) :] if KINDS[name](x))


def _draw(kind: str, leaf: Any, rng: np.random.Generator) -> Any:
    """Another leaf of the kind, about as large."""
    if not kind or not np.size(leaf):
        return leaf
    x = np.asarray(leaf, np.float64)
    normal = rng.standard_normal(x.shape)
    with np.errstate(all="ignore"):
        size = min(float(np.sqrt(np.mean(x * x))), 1e6) or 1.0
    if kind == "joint":
        e = np.exp(normal) * (x > 0) if x.sum() else np.exp(normal)
        drawn = e / e.sum()
    elif kind == "rows":
        e = np.exp(normal) * (x > 0)
        drawn = e / e.sum(-1, keepdims=True)
    elif kind == "log rows":
        drawn = normal - np.log(np.exp(normal).sum(-1, keepdims=True))
    elif kind == "part":
        drawn = rng.uniform(0.05, 0.95, x.shape) * (x > 0)
    elif kind in ("positive", "not negative"):
        drawn = x * np.exp(0.4 * normal)
    elif kind == "not positive":
        drawn = -np.abs(normal) * size
    else:
        drawn = normal * min(max(size, 0.5), 1e3)
    return float(drawn) if isinstance(leaf, float) else drawn
