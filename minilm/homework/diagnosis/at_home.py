"""The doctor where there is no reference, as on a student's machine: what the properties expected, and what they got.

A property may compare the function's answer with the right one, or two answers of the function with each other. Only
the first kind tells a cause, so each case is run once more with all answers scaled: the right one then stays.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from minilm.course.expecting import Unmet
from minilm.course.implementations import Implementation, Raised, copied
from minilm.course.marks import Claim, Task
from minilm.course.proving import Verdict, prove
from minilm.homework.diagnosis.answers import as_numbers, is_right
from minilm.homework.diagnosis.diagnosing import UNKNOWN, Diagnosis, told
from minilm.homework.diagnosis.evidence import Pair
from minilm.homework.diagnosis.outputs import causes_of
from minilm.homework.diagnosis.sizes import sizes_of_names
from minilm.i18n import tr

SEEDS, ENOUGH = 40, 12  # at most so many runs of a claim, each of which gives the first case that fails; so many cases
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
    """A cause that accounts for all that the failing property expected and got, in cases of several seeds."""
    pairs = []
    for k in range(SEEDS):
        found = prove(verdict.claim, impl, task.name, seed=seed + k, shrink=False)
        if found.passed or _what(found) != _what(verdict) or found.kind != verdict.kind:
            continue
        pair = _pair(found, impl)
        if pair is None:
            break
        pairs.append(pair)
        if len(pairs) == ENOUGH:
            break
    causes = sorted(causes_of(pairs), key=lambda cause: cause.rank) if pairs else []
    if not causes:
        return Diagnosis(UNKNOWN, tr("The cause is not known: no cause accounts for all that was expected and got"))
    return told(causes[0], ())


def _what(verdict: Verdict) -> str:
    """What was expected, without the place."""
    return verdict.message.partition(" (")[0].rstrip("0123456789")


def _pair(verdict: Verdict, impl: Implementation) -> Pair | None:
    """What was expected and got in a failing case, if the first is the right answer and the second the function's."""
    expected, got, case = as_numbers(verdict.expected), as_numbers(verdict.got), verdict.case or {}
    if expected is None or got is None:
        return None
    if verdict.kind != "gradient":
        again = _unmet(verdict.claim, _Scaled(impl), case)
        if again is None or not is_right(as_numbers(again.expected), expected):
            return None
        if not is_right(as_numbers(again.got), got * SCALE):
            return None
    return Pair(expected, got, dict(case), sizes_of_names(case))


def _unmet(claim: Claim, impl: Implementation, case: dict[str, Any]) -> Unmet | None:
    try:
        claim.check(impl, *copied(list(case.values())))
    except Unmet as error:
        return error
    except Raised:
        return None
    return None
