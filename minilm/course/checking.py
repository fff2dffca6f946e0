"""Do the claims tell right from wrong? The reference and every variant meet them; mutants, zeros and ones do not."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from minilm.course.banks import Bank
from minilm.course.implementations import Constant, Implementation, Local
from minilm.course.marks import Claim, Mutant, Task
from minilm.course.proving import Verdict, prove

MUTANTS, VARIANTS = 8, 3  # the fewest that a task should have, besides the reference
RIGHT, WRONG = 100, 100  # most cases that a claim is tried on for right answers and constants, and for mutants


@dataclass
class Checked:
    """What was found for one claim."""

    claim: Claim
    name: str = ""  # the task's function
    failed: list[tuple[str, Verdict]] = field(default_factory=list)  # reference and variants that it wrongly refuses
    passed: list[str] = field(default_factory=list)  # constants that it wrongly accepts
    right: int = 0  # how many right answers were tried
    killed: int = 0  # how many mutants it is the first to refuse


@dataclass
class CheckedTask:
    """What was found for the claims of one task together."""

    task: Task
    claims: list[Checked]
    killed: list[tuple[Mutant, Verdict]] = field(default_factory=list)  # each with the first verdict against it
    survivors: list[Mutant] = field(default_factory=list)  # those that no claim refuses
    variants: int = 0  # how many right answers there are besides the reference

    @property
    def mutants(self) -> int:
        return len(self.killed) + len(self.survivors)

    @property
    def perfect(self) -> bool:
        """Whether right answers pass every claim, constants none, and each mutant fails one."""
        return not self.survivors and not any(c.failed or c.passed for c in self.claims)


def check_task(
    bank: Bank,
    task: Task,
    *,
    seed: int = 0,
    right: int = RIGHT,
    wrong: int = WRONG,
    progress: Callable[[], None] = lambda: None,
) -> CheckedTask:
    """Run every claim of a task on everything in the bank; a run ends with the first case that fails."""
    claims = bank.claims_of(task.number)
    found = CheckedTask(task, [Checked(claim, task.name) for claim in claims])
    found.variants = len(bank.variants_of(task.number))

    def verdict(claim: Claim, impl: Implementation, n: int) -> Verdict:
        return prove(claim, impl, task.name, seed=seed, examples=n, shrink=False)

    for checked in found.claims:
        for how, impl in right_answers(bank, task):
            result = verdict(checked.claim, impl, right)
            checked.right += 1
            if not result.passed:
                checked.failed.append((how, result))
            progress()
        for number in (0, 1):
            if verdict(checked.claim, Constant(bank.tasks, task.name, number), right).passed:
                checked.passed.append(("zeros", "ones")[number])
    for mutant in bank.mutants_of(task.number):
        impl = Local(bank.tasks, {task.name: mutant.function})
        for checked in found.claims:
            against = verdict(checked.claim, impl, wrong)
            if not against.passed:
                found.killed.append((mutant, against))
                checked.killed += 1
                break
        else:
            found.survivors.append(mutant)
        progress()
    return found


def runs(bank: Bank, task: Task) -> int:
    """How often `check_task` calls its progress."""
    return len(bank.claims_of(task.number)) * (1 + len(bank.variants_of(task.number))) + len(
        bank.mutants_of(task.number)
    )


def right_answers(bank: Bank, task: Task) -> Iterator[tuple[str, Implementation]]:
    """The reference and the variants, each as an implementation."""
    yield "reference", Local(bank.tasks)
    for variant in bank.variants_of(task.number):
        yield variant.how, Local(bank.tasks, {task.name: variant.function})


def check_own(bank: Bank, *, seed: int = 0, examples: int = RIGHT) -> list[Checked]:
    """The claims about minilm itself, which nothing but minilm is tried on."""
    found = []
    for claim in bank.claims:
        if not claim.of_task:
            checked = Checked(claim, "minilm", right=1)
            result = prove(claim, seed=seed, examples=examples, shrink=False)
            if not result.passed:
                checked.failed.append(("minilm", result))
            found.append(checked)
    return found
