"""The mistakes of the lesson's bank: which of them answers every question as the student's function does?"""

from collections.abc import Sequence

import numpy as np

from minilm.course.marks import Mutant
from minilm.homework.diagnosis.answers import Answer, Failed, Parts, explains, is_right
from minilm.homework.diagnosis.examining import Examination, Item, right

WEIGHT = 3  # how much evidence is wanted: see `weight`


def equal_mutants(exam: Examination, items: Sequence[Item], answers: Sequence[Answer]) -> list[Mutant]:
    """All that equal the student's on every question, and are wrong there in a way that is not met by chance."""
    wrong_first = sorted(
        zip(items, answers, strict=True), key=lambda pair: right(pair[1], pair[0])
    )  # so that most are ruled out by the first question
    mistakes = [(item, answer) for item, answer in wrong_first if not right(answer, item)]
    if sum(weight(answer, item) for item, answer in mistakes) < WEIGHT:
        return []
    return [
        mutant
        for i, mutant in enumerate(exam.mutants)
        if all(same(answer, exam.of_mutant(i, item), item) for item, answer in wrong_first)
    ]


def same(got: Answer, of_mutant: Answer, item: Item) -> bool:
    """Whether two answers are one and the same mistake, or both right."""
    if isinstance(got, Failed) or isinstance(of_mutant, Failed):
        return (
            isinstance(got, Failed)
            and isinstance(of_mutant, Failed)
            and (got.kind, got.error) == (of_mutant.kind, of_mutant.error)
        )
    if item.question.of_gradient and not item.unique:
        return True  # right gradients differ there, so equal mistakes may too
    if got.leaves.keys() != of_mutant.leaves.keys():
        return False
    expected = item.expected.leaves if item.unique else {}
    return all(explains(of_mutant.leaves[k], got.leaves[k], expected.get(k)) for k in got.leaves)


def weight(answer: Answer, item: Item) -> int:
    """How telling it is that a wrong answer is that of a mistake: 3 for numbers, 2 for words and whole numbers, 1 for
    booleans, NaN and exceptions of a common kind."""
    if isinstance(answer, Failed):
        return 3 if answer.error in ("RecursionError", "NotImplementedError", "MemoryError") else 1
    if answer.leaves.keys() != item.expected.leaves.keys():
        return 1
    return max((_of_part(answer.leaves[k], e) for k, e in item.expected.leaves.items()), default=1)


def _of_part(got: object, expected: object) -> int:
    if is_right(got, expected):
        return 0
    if not isinstance(got, np.ndarray):
        return 2
    if got.dtype.kind == "b" or not np.isfinite(got).all():
        return 1
    return 3 if got.dtype.kind == "f" and len(np.unique(np.round(got, 9))) > 1 else 2


def empty(answer: Answer) -> bool:
    """No gradient at all."""
    return isinstance(answer, Parts) and not answer.leaves
