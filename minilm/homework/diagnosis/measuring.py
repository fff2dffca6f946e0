"""How good the doctor is: the right cause for every mistake of the bank; no false one for right answers, for rewritten
ones and for random wrong programs."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from minilm.course.banks import Bank
from minilm.course.checking import right_answers
from minilm.course.implementations import Implementation, Local
from minilm.course.marks import Task
from minilm.course.proving import Verdict, prove
from minilm.homework.diagnosis.diagnosing import Diagnosis, diagnose
from minilm.homework.diagnosis.programs import Wrong, rewritten

SEED = 20  # of the cases that a verdict is found on; the doctor's own are of another

SAME_MEANING = {"unstable": ("nobody_knows_the_seed",)}  # structural causes that say all that the misconception says


@dataclass(frozen=True)
class Seen:
    """What the doctor said of one function. wanted: the misconception that it has; None if it is right."""

    number: str
    what: str
    wanted: str | None
    diagnosis: Diagnosis

    @property
    def named(self) -> bool:
        """Whether the first line names the cause: the misconception itself, or the structural cause that it is."""
        return self.wanted is not None and (
            self.wanted.replace("_", " ") in self.diagnosis.line
            or self.wanted in SAME_MEANING.get(self.diagnosis.cause, ())
        )


def failing(bank: Bank, task: Task, impl: Implementation, examples: int = 100) -> Verdict | None:
    """The first verdict against an implementation, of so many cases of each claim."""
    for claim in bank.claims_of(task.number):
        verdict = prove(claim, impl, task.name, seed=SEED, examples=examples, shrink=False)
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


def of_rewritten(bank: Bank, task: Task, seed: int = 0, examples: int = 10) -> Iterator[Seen]:
    """The reference and the variants, rewritten by rule; only those that still meet every claim."""
    verdict = Verdict(bank.claims_of(task.number)[0], False, "value", "")
    for function in [task.function, *(v.function for v in bank.variants_of(task.number))]:
        made = rewritten(function, seed)
        if made is None:
            continue
        impl = Local(bank.tasks, {task.name: made})
        claims = bank.claims_of(task.number)
        if all(prove(c, impl, task.name, seed=seed, examples=examples, shrink=False).passed for c in claims):
            yield Seen(task.number, "rewritten", None, diagnose(bank, task, impl, verdict, seed))


def of_wrong(bank: Bank, task: Task, numbers: range, seed: int = 0) -> Iterator[Seen]:
    """Random wrong programs, as many as there are numbers; only those that fail a claim."""
    others = [Local(bank.tasks, {task.name: m.function}) for m in bank.mutants_of(task.number)[:2]]
    for number in numbers:
        impl = Wrong(Local(bank.tasks), task.name, others, number)
        verdict = failing(bank, task, impl)
        if verdict is not None:
            yield Seen(task.number, f"{number}: {impl.way}", None, diagnose(bank, task, impl, verdict, seed))


def of_strangers(bank: Bank, task: Task, seed: int = 0) -> Iterator[Seen]:
    """Every mistake of the bank, as if the bank did not hold it: what the doctor can say of what it has never seen."""
    for mutant in bank.mutants_of(task.number):
        impl = Local(bank.tasks, {task.name: mutant.function})
        verdict = failing(bank, task, impl)
        if verdict is not None:
            other = replace(bank, mutants=[m for m in bank.mutants if m is not mutant])
            yield Seen(
                task.number, mutant.misconception, mutant.misconception, diagnose(other, task, impl, verdict, seed)
            )
