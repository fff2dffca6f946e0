"""From a function that failed to the name of what is wrong with it, or to the plain admission that it is not known."""

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from minilm.course.banks import Bank
from minilm.course.implementations import Implementation
from minilm.course.marks import Mutant, Task
from minilm.course.proving import Verdict
from minilm.homework.diagnosis.alterations import CANNOT, SAME, Alteration
from minilm.homework.diagnosis.answers import Answer, Failed, Parts, alike, explains, finite, is_right
from minilm.homework.diagnosis.evidence import ANYTHING, NOTHING, Explanation, Pair, accounts
from minilm.homework.diagnosis.examining import Examination, Item, examination, right
from minilm.homework.diagnosis.known import equal_mutants
from minilm.homework.diagnosis.outputs import causes_of
from minilm.homework.diagnosis.overflow import overflow
from minilm.homework.diagnosis.questions import Question, ask, asked_in
from minilm.homework.diagnosis.sizes import argument_names, sizes_of
from minilm.i18n import tr

TWICE = 8  # questions that are asked again, to see whether the answer stays
ENDING = ("time", "memory", "crash", "import", "syntax", "protocol", "unsolved", "missing")  # nothing more to ask then
UNKNOWN, NOTHING_WRONG = "unknown", "nothing"
LOG = logging.getLogger(__name__)
LOG.addHandler(logging.NullHandler())  # a reader of a report sees no traceback of ours


@dataclass(frozen=True)
class Diagnosis:
    """What is wrong. cause: a name such as "sign" or "wrong_axis", else a misconception, else "unknown"; "nothing" if
    nothing is. line: the cause in words. misconception, hint: of the mistake in the bank whose answers are the
    student's. read: where the matter is explained."""

    cause: str
    line: str
    details: tuple[str, ...] = ()
    misconception: str | None = None
    hint: str | None = None
    read: str = ""

    @property
    def known(self) -> bool:
        return self.cause not in (UNKNOWN, NOTHING_WRONG)


def diagnose(bank: Bank, task: Task, impl: Implementation, verdict: Verdict, seed: int = 0) -> Diagnosis:
    """Why an implementation of a task fails. It never guesses.

    The function is asked what the task's claims ask, in cases made from the seed and in the verdict's own, and the same
    with fresh numbers. A cause is named if it accounts for every answer to 1e-6, the right ones too, and for all but a
    thousandth of each mistake; a mistake of the bank if all its answers are the function's. verdict: one that failed.
    A bank without the reference, as a student has it, leaves what the properties themselves expected and got.
    """
    read = tr("lesson {lesson}, section {number}", lesson=bank.about.short, number=task.number)
    if verdict.passed:
        return Diagnosis(NOTHING_WRONG, tr("Nothing is wrong: the property holds"), read=read)
    if verdict.kind in ENDING:
        return Diagnosis(verdict.kind, verdict.message, read=read)
    if task.number not in bank.tasks:
        from minilm.homework.diagnosis.at_home import diagnose_by_properties

        with np.errstate(all="ignore"):
            return replace(diagnose_by_properties(task, impl, verdict, seed), read=read)
    with np.errstate(all="ignore"):
        return replace(_Visit(examination(bank, task, seed), impl, verdict).diagnosis(), read=read)


def diagnose_safely(bank: Bank, task: Task, impl: Implementation, verdict: Verdict, seed: int = 0) -> Diagnosis:
    """`diagnose` for those who must go on whatever happens: a fault of the doctor's own is logged, and the cause is not
    known."""
    try:
        return diagnose(bank, task, impl, verdict, seed)
    except Exception:
        LOG.exception("%s: the diagnosis failed", task.number)
        return Diagnosis(UNKNOWN, tr("The cause is not known: the diagnosis itself failed"))


class _Visit:
    """One function's answers, and what follows from them."""

    def __init__(self, exam: Examination, impl: Implementation, verdict: Verdict):
        self.exam, self.impl, self.verdict = exam, impl, verdict
        of_case = [item for q in asked_in(exam.bank, exam.task, verdict) if (item := exam.item(q)) is not None]
        self.items = [*of_case, *exam.items]
        self.spent: list[float] = []  # seconds for each answer

    def slow(self) -> bool:
        """Whether the time went for all questions together, rather than for the last one, which then is endless."""
        *others, last = self.spent
        return sum(others) > max(2 * last, 0.5)

    def ask(self, of_gradient: bool) -> tuple[list[Item], list[Answer]]:
        """All questions of a kind and their answers; it ends early where asking on would only cost time."""
        items, answers = [], []
        for item in self.items:
            if item.question.of_gradient == of_gradient:
                items.append(item)
                before = time.perf_counter()
                answers.append(ask(self.impl, self.exam.task.name, item.question, item.expected))
                self.spent.append(time.perf_counter() - before)
                if isinstance(answers[-1], Failed) and answers[-1].kind in ENDING:
                    break
        return items, answers

    def diagnosis(self) -> Diagnosis:
        items, answers = self.ask(False)
        ended = next((a for a in answers if isinstance(a, Failed) and a.kind in ENDING), None)
        if ended is not None and ended.kind == "time" and self.slow():
            return Diagnosis(UNKNOWN, tr("The cause is not known: the function is too slow to be asked more"))
        if ended is not None:
            return Diagnosis(ended.kind, ended.text)
        if not self.stable(items, answers):
            return Diagnosis("unstable", tr("Unstable: asked the same twice, it answers differently; it depends on "
                                            "something other than its arguments"))  # fmt: skip
        wrong = [item for item, answer in zip(items, answers, strict=True) if not right(answer, item)]
        if wrong:
            return self.of_values(items, answers)
        items, answers = self.ask(True)
        if any(not right(answer, item) for item, answer in zip(items, answers, strict=True)):
            return self.of_gradients(items, answers)
        return self.of_kinds() or Diagnosis(
            UNKNOWN, tr("The cause is not known: {n} other questions are answered rightly", n=len(self.items))
        )

    def stable(self, items: Sequence[Item], answers: Sequence[Answer]) -> bool:
        """Whether some questions, asked again in another order, have the same answers."""
        for i in range(min(TWICE, len(items)) - 1, -1, -1):
            again = ask(self.impl, self.exam.task.name, items[i].question, items[i].expected)
            if not (alike(again, answers[i]) if isinstance(again, Failed) else _identical(again, answers[i])):
                return False
        return True

    # -------------------------------------------------------------------------------------------------------- values

    def of_values(self, items: list[Item], answers: list[Answer]) -> Diagnosis:
        mutants = equal_mutants(self.exam, items, answers)
        found = self.structural(items, answers)
        if found or mutants:
            return told(found, mutants)
        return self.unknown(items, answers) or Diagnosis(
            UNKNOWN,
            tr("The cause is not known: wrong are {k} of {n} answers, and no cause accounts for all of them",
               k=sum(not right(a, i) for i, a in zip(items, answers, strict=True)), n=len(items)),
        )  # fmt: skip

    def structural(self, items: list[Item], answers: list[Answer]) -> Explanation | None:
        """A cause that does not need the bank; only where right answers are unique."""
        if not all(item.unique for item in items):
            return None
        if (found := self.not_finite(items, answers)) is not None:
            return found
        if (found := exchanged_parts(items, answers)) is not None:
            return found
        by_part = pairs_by_part(self.exam.task, items, answers)
        best: list[list[Explanation]] = []
        for path, pairs in by_part.items():
            if any(pair.wrong for pair in pairs):
                causes = list(causes_of([p for p in pairs if not p.lost])) if not any(p.lost for p in pairs) else []
                causes += self.altered(path, items, pairs)
                if not causes:
                    return None
                best.append(sorted(causes, key=lambda cause: cause.rank))
        return common(best, [path for path, pairs in by_part.items() if any(p.wrong for p in pairs)], len(by_part))

    def altered(self, path: str, items: Sequence[Item], pairs: Sequence[Pair]) -> Iterator[Explanation]:
        """The alterations of the arguments that account for one part of the answers."""
        items = [item for item in items if path in item.expected.leaves]  # of lists some have fewer parts than others
        order = sorted(range(len(items)), key=lambda i: (not pairs[i].wrong, -np.size(pairs[i].expected)))
        items, pairs = [items[i] for i in order], [pairs[i] for i in order]
        of = {id(pair): item for pair, item in zip(pairs, items, strict=True)}
        for change in self.exam.alterations:
            if accounts(pairs, partial(self.predicted, change=change, path=path, of=of)):
                yield Explanation(change.cause, change.line, change.rank)

    def predicted(self, pair: Pair, change: Alteration, path: str, of: Mapping[int, Item]) -> Any:
        """What the reference answers to altered arguments, in this part. of: the question of each pair, by its id."""
        item = of[id(pair)]
        with np.errstate(all="ignore"):
            try:
                made = change.alter(item.question.arguments)
            except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError):
                made = CANNOT
            if made is SAME and change.after is None:
                return NOTHING
            if made is CANNOT:
                return ANYTHING if pair.lost or not pair.wrong else None
            answer = self.exam.altered(change.key, item, item.question.arguments if made is SAME else made)
            if isinstance(answer, Failed):
                return ANYTHING if pair.lost else None
            part = answer.leaves.get(path)
            return part if change.after is None else change.after(part, item.question.arguments)

    def not_finite(self, items: Sequence[Item], answers: Sequence[Answer]) -> Explanation | None:
        """All that is wrong is NaN, or infinite, where it should not be."""
        wrong = [(i, a) for i, a in zip(items, answers, strict=True) if not right(a, i)]
        if not all(isinstance(a, Parts) and not finite(a) and finite(i.expected) for i, a in wrong):
            return None
        large = sorted((i for i, _ in wrong), key=lambda i: _largest(i.question))
        found = overflow(self.exam, self.impl, large)
        if found is not None:
            return found
        where = tr("NaN: {k} of {n} answers are not finite numbers, and it is no matter of their size; look for 0/0, "
                   "log 0 or ∞ − ∞", k=len(wrong), n=len(items))  # fmt: skip
        return Explanation("nan", where, 30)

    # ----------------------------------------------------------------------------------------------------- gradients

    def of_gradients(self, items: list[Item], answers: list[Answer]) -> Diagnosis:
        mutants = equal_mutants(self.exam, items, answers)
        found = self.of_gradient(items, answers) if all(item.unique for item in items) else None
        if found is not None:
            found = replace(found, line=tr("The values are right, the gradient is not. {line}", line=found.line))
        if found or mutants:
            return told(found, mutants)
        return Diagnosis(UNKNOWN, tr("The values are right, the gradient is not. What is wrong with it is not known"))

    def of_gradient(self, items: list[Item], answers: list[Answer]) -> Explanation | None:
        if all(isinstance(a, Parts) and not a.leaves for a in answers):
            line = tr("Detached: no gradient flows; the result has left the graph, as by .numpy() or .data")
            return Explanation("detached", line, 0)
        if (found := self.not_finite(items, answers)) is not None:
            return found
        best, paths, whole = [], [], pairs_by_part(self.exam.task, items, answers)
        for path, pairs in whole.items():
            if not any(pair.wrong for pair in pairs):
                continue
            causes = [] if any(p.lost for p in pairs) else [*detached(pairs), *causes_of(pairs)]
            if not causes:
                return None
            best.append(sorted(causes, key=lambda cause: cause.rank))
            paths.append(path)
        return common(best, paths, len(whole))

    # -------------------------------------------------------------------------------------------------- what is left

    def unknown(self, items: Sequence[Item], answers: Sequence[Answer]) -> Diagnosis | None:
        """It raises, or its answers have other parts; else None."""
        failed = [a for i, a in zip(items, answers, strict=True) if isinstance(a, Failed)]
        others = [i for i, a in zip(items, answers, strict=True) if not isinstance(a, Failed) and not right(a, i)]
        if failed and not others:
            return Diagnosis("raised", failed[0].text, (tr("on {k} of {n} questions", k=len(failed), n=len(items)),))
        return None

    def of_kinds(self) -> Diagnosis | None:
        """Right numbers, but of another kind than the property takes."""
        if self.verdict.kind in ("type", "shape", "unusable"):
            return Diagnosis("dtype" if self.verdict.kind == "type" else self.verdict.kind, self.verdict.message)
        return None


# ------------------------------------------------------------------------------------------------------------- helpers


def told(found: Explanation | None, mutants: Sequence[Mutant]) -> Diagnosis:
    """The diagnosis of a structural cause, of mistakes in the bank, or of both, which then say the same."""
    names = [mutant.misconception.replace("_", " ") for mutant in mutants[:2]]
    known = ""
    if len(names) == 1:
        known = tr("the known mistake “{name}”", name=names[0])
    elif names:
        known = tr("the known mistake “{a}” or “{b}”", a=names[0], b=names[1])
    if found is not None:
        line = found.line if not names else tr("{line} ({known})", line=found.line, known=known)
    else:
        line = tr("All answers are those of {known}", known=known)
    first = mutants[0] if mutants else None
    return Diagnosis(
        found.cause if found is not None else mutants[0].misconception,
        line,
        misconception=first.misconception if first else None,
        hint=first.hint if first else None,
    )


def pairs_by_part(task: Task, items: Sequence[Item], answers: Sequence[Answer]) -> dict[str, list[Pair]]:
    """For each part of the answer what was expected and got; gradients by the argument's name."""
    names = argument_names(task)
    found: dict[str, list[Pair]] = {}
    for item, answer in zip(items, answers, strict=True):
        arguments = dict(zip(names, item.question.arguments, strict=False))
        sizes = sizes_of(task, item.question.arguments)
        for path, expected in item.expected.leaves.items():
            lost = isinstance(answer, Failed) or path not in answer.leaves
            got = None if isinstance(answer, Failed) else answer.leaves.get(path)
            shown = names[item.question.wrt[int(path)]] if item.question.of_gradient else path
            found.setdefault(shown, []).append(Pair(expected, got, arguments, sizes, lost))
    return found


def common(best: Sequence[Sequence[Explanation]], paths: Sequence[str], n: int) -> Explanation | None:
    """One cause of all wrong parts, if there is one; else that of the first, if each has one."""
    if not best:
        return None
    shared = [c for c in best[0] if all(any(c.line == other.line for other in rest) for rest in best[1:])]
    found = (shared or best[0])[0]
    if n == 1 or (shared and len(paths) == n):
        return found
    named = ", ".join(_part(path) for path in (paths if shared else paths[:1]))
    return replace(found, line=tr("{line} (in: {parts})", line=found.line, parts=named))


def _part(path: str) -> str:
    return tr("part {i} of the result", i=int(path) + 1) if path.isdigit() else f"`{path}`"


def exchanged_parts(items: Sequence[Item], answers: Sequence[Answer]) -> Explanation | None:
    """Two parts of the result that have changed places."""
    keys = list(items[0].expected.leaves)
    for i, a in enumerate(keys):
        for b in keys[i + 1 :]:
            changed = {a: b, b: a}
            surprising = 0
            for item, answer in zip(items, answers, strict=True):
                expected = item.expected.leaves
                if isinstance(answer, Failed) or answer.leaves.keys() != expected.keys() or b not in expected:
                    break
                if not all(explains(expected[changed.get(k, k)], g) for k, g in answer.leaves.items()):
                    break
                surprising += not right(answer, item)
            else:
                if surprising >= 5:
                    line = tr("Exchanged: {a} and {b} have changed places", a=_part(a), b=_part(b))
                    return Explanation("exchanged", line, 1)
    return None


def detached(pairs: Sequence[Pair]) -> Iterator[Explanation]:
    """A gradient of zeros: all of it, or some entries, where the others are right."""
    wrong = [p for p in pairs if p.wrong]
    if len(wrong) < 3 or not all(p.got.shape == p.expected.shape for p in wrong):
        return
    if all(not p.got.any() for p in pairs):
        line = tr("Detached: the gradient is 0; the way to this argument has left the graph")
        yield Explanation("detached", line, 0)
    elif all(np.all((p.got == 0) | np.isclose(p.got, p.expected, rtol=1e-7, atol=1e-9)) for p in wrong):
        line = tr("Detached in part: some entries have the gradient 0, the others are right")
        yield Explanation("detached", line, 3)


def _identical(a: Answer, b: Answer) -> bool:
    if isinstance(a, Failed) or isinstance(b, Failed):
        return isinstance(a, Failed) and isinstance(b, Failed)
    return a.leaves.keys() == b.leaves.keys() and all(
        explains(a.leaves[k], b.leaves[k]) or is_right(a.leaves[k], b.leaves[k]) for k in b.leaves
    )


def _largest(question: Question) -> float:
    arrays = [x for x in question.arguments if isinstance(x, np.ndarray) and x.dtype.kind == "f" and x.size]
    return max((float(np.abs(x).max()) for x in arrays), default=0.0)
