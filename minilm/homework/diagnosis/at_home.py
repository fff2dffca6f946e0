"""The doctor where there is no reference, as on a student's machine: what the properties expected, and what they got.

A property may compare the function's answer with the right one, or two answers of the function with each other. Only
the first kind tells a cause, so each case is run once more with all answers scaled: the right one then stays.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from minilm.course.expecting import Unmet, compared
from minilm.course.implementations import Implementation, copied
from minilm.course.marks import Claim, Task
from minilm.course.proving import Verdict, cases_of
from minilm.homework.diagnosis.answers import as_numbers, is_right
from minilm.homework.diagnosis.diagnosing import UNKNOWN, Diagnosis, told
from minilm.homework.diagnosis.evidence import ENTRIES, QUESTIONS, Pair
from minilm.homework.diagnosis.outputs import causes_of
from minilm.homework.diagnosis.questions import Question
from minilm.homework.diagnosis.sizes import sizes_of_names
from minilm.i18n import tr

CASES, ENOUGH = 60, 12  # that are tried; that fail, of which no more are needed
SCALE = 1.37


class _Scaled(Implementation):
    """An implementation whose floating answers are larger by a factor."""

    def __init__(self, impl: Implementation):
        self._impl = impl

    def call(self, name: str, arguments: Sequence[Any]) -> Any:
        return _times(self._impl.call(name, arguments))

    def gradient(self, name: str, arguments: Sequence[Any], wrt: Sequence[int], cotangents: Sequence[Any]) -> Any:
        return self._impl.gradient(name, arguments, wrt, cotangents)


def _times(answer: Any) -> Any:
    if isinstance(answer, (tuple, list)):
        return type(answer)(_times(part) for part in answer)
    if isinstance(answer, dict):
        return {key: _times(part) for key, part in answer.items()}
    return answer * SCALE if isinstance(answer, (float, np.ndarray)) else answer


def diagnose_by_properties(task: Task, impl: Implementation, verdict: Verdict, seed: int) -> Diagnosis:
    """A cause that accounts for all that the failing property expected and got: where it failed, and where it held."""
    pairs = _pairs(impl, task, verdict, seed)
    causes = sorted(causes_of(pairs), key=lambda cause: cause.rank) if _varied(pairs) else []
    if not causes:
        return Diagnosis(UNKNOWN, tr("The cause is not known: no cause accounts for all that was expected and got"))
    return told(causes[0], ())


def _varied(pairs: Sequence[Pair]) -> bool:
    """Whether wrong answers differ enough to tell causes apart: 0 for 1 is a sine for a cosine, or an exponential."""
    wrong = [pair for pair in pairs if pair.wrong]
    if any(pair.expected.dtype.kind == "b" or pair.expected.shape != pair.got.shape for pair in wrong):
        return len(wrong) >= QUESTIONS
    entries = {
        (round(float(e), 9), round(float(g), 9))
        for pair in wrong
        for e, g in zip(pair.expected.ravel()[:1000], pair.got.ravel()[:1000], strict=True)
        if not abs(e - g) <= 1e-8
    }
    return len(wrong) >= QUESTIONS and len(entries) >= ENTRIES


def _pairs(impl: Implementation, task: Task, verdict: Verdict, seed: int) -> list[Pair]:
    """What was expected and got in cases that are all different, so that nothing is learnt from one case twice."""
    pairs: list[Pair] = []
    seen: set[bytes] = set()
    for case in cases_of(verdict.claim, seed + 1, CASES):
        key = Question(case).key()
        if key in seen:
            continue
        seen.add(key)
        named = dict(zip(verdict.claim.arguments, case, strict=False))
        with compared() as held:
            error = _unmet(verdict.claim, impl, named)
        if error is None:
            pairs += [_made(e, g, named) for what, e, g in held if _plain(what) == _what(verdict)]
        elif _plain(str(error)) == _what(verdict) and error.kind == verdict.kind:
            pair = _pair(error, verdict.claim, impl, named)
            if pair is None:
                return []
            pairs.append(pair)
        if sum(pair.wrong for pair in pairs) == ENOUGH:
            break
    return pairs


def _what(verdict: Verdict) -> str:
    return _plain(verdict.message)


def _plain(what: str) -> str:
    """What was expected, without the place."""
    return what.partition(tr(", at {index}", index="("))[0].partition(" (")[0].rstrip("0123456789")


def _pair(error: Unmet, claim: Claim, impl: Implementation, case: dict[str, Any]) -> Pair | None:
    """What was expected and got in a failing case, if the first is the right answer and the second the function's."""
    expected, got = as_numbers(error.expected), as_numbers(error.got)
    if expected is None or got is None:
        return None
    if error.kind != "gradient":
        again = _unmet(claim, _Scaled(impl), case)
        if again is None or not is_right(as_numbers(again.expected), expected):
            return None
        if not is_right(as_numbers(again.got), np.asarray(got * SCALE)):
            return None
    return _made(expected, got, case)


def _made(expected: np.ndarray, got: np.ndarray, case: dict[str, Any]) -> Pair:
    """A pair of arrays: a number alone is one of one entry."""
    if expected.ndim == got.ndim == 0:
        expected, got = expected.reshape(1), got.reshape(1)
    return Pair(expected, got, dict(case), sizes_of_names(case))


def _unmet(claim: Claim, impl: Implementation, case: dict[str, Any]) -> Unmet | None:
    try:
        claim.check(impl, *copied(list(case.values())))
    except Unmet as error:
        return error
    except Exception:  # it raised, or the property stumbled over what it answered
        return None
    return None
