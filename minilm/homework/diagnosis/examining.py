"""The questions of one task, with all that is known of them: the right answers, and those of each known mistake."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from minilm.course.banks import Bank
from minilm.course.implementations import Implementation, Local
from minilm.course.marks import Mutant, Task
from minilm.course.proving import prove
from minilm.homework.diagnosis.alterations import Alteration, alterations
from minilm.homework.diagnosis.answers import Answer, Failed, Parts, alike, finite, is_right
from minilm.homework.diagnosis.questions import Question, ask, asked_by, asked_in, redrawn

CASES = 24  # of each claim
CALLS, GRADIENTS = 100, 40  # that a student's function is asked
FRESH = 24  # of each, with fresh numbers
SEARCH = (8, 120)  # cases of each claim, to find some that tell a known mistake from the right answer


@dataclass(eq=False)
class Item:
    """A question and its right answers: the reference's first, then those of the bank's variants that differ."""

    question: Question
    right: list[Answer]
    of_mutants: dict[int, Answer] = field(default_factory=dict)

    @property
    def expected(self) -> Parts:
        first = self.right[0]
        assert isinstance(first, Parts)
        return first

    @property
    def unique(self) -> bool:
        """Whether there is but one right answer."""
        return len(self.right) == 1


class Examination:
    """What is asked about one task, the same for all students. Made once for a bank, a task and a seed."""

    def __init__(self, bank: Bank, task: Task, seed: int):
        self.bank, self.task = bank, task
        self.reference: Implementation = Local(bank.tasks)
        self._variants = [Local(bank.tasks, {task.name: v.function}) for v in bank.variants_of(task.number)]
        self.mutants: list[Mutant] = bank.mutants_of(task.number)
        self._mutants = [Local(bank.tasks, {task.name: m.function}) for m in self.mutants]
        self._altered: dict[tuple[str, int], Answer | None] = {}
        self.items: list[Item] = self._make(seed)

    def _make(self, seed: int) -> list[Item]:
        claims = self.bank.claims_of(self.task.number)
        telling: dict[bytes, Question] = {}
        for impl in self._mutants:
            telling |= {question.key(): question for question in self._telling(impl, seed)}
        cases = [c for claim in claims for c in asked_by(self.bank, self.task, claim, seed=seed, examples=CASES)]
        pools: dict[bool, list[Question]] = {False: [], True: []}
        for case in cases:
            for question in case:
                pools[question.of_gradient].append(question)
        rng = np.random.default_rng(seed)
        chosen = list(telling.values())
        for of_gradient, most in ((False, CALLS), (True, GRADIENTS)):
            pool = pools[of_gradient]
            order = sorted(rng.permutation(len(pool))[: most - FRESH].tolist())
            chosen += [pool[i] for i in order] + list(redrawn(pool, FRESH, rng))
        return [item for question in chosen if (item := self.item(question)) is not None]

    def _telling(self, impl: Implementation, seed: int) -> list[Question]:
        """What is asked in cases that a mistake fails: two of them, if there are as many."""
        for examples in SEARCH:
            for claim in self.bank.claims_of(self.task.number):
                found: list[Question] = []
                for other in (seed + 1, seed + 2) if claim.strategies else (seed,):
                    verdict = prove(claim, impl, self.task.name, seed=other, examples=examples, shrink=False)
                    found += [] if verdict.passed else asked_in(self.bank, self.task, verdict)
                if found:
                    return found
        return []

    def item(self, question: Question) -> Item | None:
        """The question with its right answers; None if the reference has none, or if it was drawn outside of the
        task's domain, where right answers go apart."""
        first = ask(self.reference, self.task.name, question)
        if isinstance(first, Failed):
            return None
        right: list[Answer] = [first]
        for impl in self._variants:
            other = ask(impl, self.task.name, question, first)
            if question.of_gradient and not finite(other):
                continue
            if not any(alike(other, known) for known in right):
                right.append(other)
        if question.fresh and (len(right) > 1 or not finite(first)):
            return None
        return Item(question, [r for r in right if not isinstance(r, Failed)])

    def of_mutant(self, i: int, item: Item) -> Answer:
        """What a known mistake answers."""
        if i not in item.of_mutants:
            item.of_mutants[i] = ask(self._mutants[i], self.task.name, item.question, item.expected)
        return item.of_mutants[i]

    @functools.cached_property
    def alterations(self) -> list[Alteration]:
        """Those that may be tried."""
        return list(alterations(self.task, [item.question.arguments for item in self.items]))

    def altered(self, key: str, item: Item, arguments: Sequence[Any]) -> Answer:
        """What the reference answers to altered arguments, remembered under the alteration's key."""
        place = (key, id(item))
        if place not in self._altered:
            question = Question(tuple(arguments))
            self._altered[place] = ask(self.reference, self.task.name, question)
        found = self._altered[place]
        assert found is not None
        return found


@functools.lru_cache(maxsize=32)
def _kept(folder: str, bank_id: int, number: str, seed: int) -> dict[str, Examination]:
    return {}


def examination(bank: Bank, task: Task, seed: int) -> Examination:
    """The examination of a task, kept for the next student. `bank` must be the same object then."""
    kept = _kept(str(bank.about.folder), id(bank), task.number, seed)
    if "made" not in kept or kept["made"].bank is not bank:
        kept["made"] = Examination(bank, task, seed)
    return kept["made"]


def right(answer: Answer, item: Item) -> bool:
    """Whether it is one of the right answers."""
    return any(
        isinstance(answer, Parts)
        and isinstance(known, Parts)
        and answer.leaves.keys() == known.leaves.keys()
        and all(is_right(answer.leaves[k], known.leaves[k]) for k in known.leaves)
        for known in item.right
    )
