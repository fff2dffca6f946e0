"""How good the doctor is: the right cause for every mistake of the bank, and no false one for what is right."""

from collections.abc import Iterator
from dataclasses import dataclass

from minilm.course.banks import Bank
from minilm.course.checking import right_answers
from minilm.course.implementations import Implementation, Local
from minilm.course.marks import Task
from minilm.course.proving import Verdict, prove
from minilm.homework.diagnosis.diagnosing import Diagnosis, diagnose

SEED = 20  # of the cases that a verdict is found on; the doctor's own are of another


@dataclass(frozen=True)
class Seen:
    """What the doctor said of one function. wanted: the misconception that it has; None if it is right."""

    number: str
    what: str
    wanted: str | None
    diagnosis: Diagnosis

    @property
    def named(self) -> bool:
        """Whether the first line names the cause: the misconception itself, or a structural cause beside which the
        bank's mistake was found too."""
        return self.wanted is not None and self.wanted.replace("_", " ") in self.diagnosis.line


def failing(bank: Bank, task: Task, impl: Implementation, seed: int = SEED) -> Verdict | None:
    """The first verdict against an implementation."""
    for claim in bank.claims_of(task.number):
        verdict = prove(claim, impl, task.name, seed=seed, shrink=False)
        if not verdict.passed:
            return verdict
    return None


def of_mutants(bank: Bank, task: Task, seed: int = 0) -> Iterator[Seen]:
    """Every mistake in the bank, as if a student had handed it in."""
    for mutant in bank.mutants_of(task.number):
        impl = Local(bank.tasks, {task.name: mutant.function})
        verdict = failing(bank, task, impl)
        if verdict is not None:
            found = diagnose(bank, task, impl, verdict, seed)
            yield Seen(task.number, mutant.misconception, mutant.misconception, found)


def of_right_answers(bank: Bank, task: Task, seed: int = 0) -> Iterator[Seen]:
    """The reference and the variants, with a verdict that says, wrongly, that they fail."""
    verdict = Verdict(bank.claims_of(task.number)[0], False, "value", "")
    for how, impl in right_answers(bank, task):
        yield Seen(task.number, how, None, diagnose(bank, task, impl, verdict, seed))
