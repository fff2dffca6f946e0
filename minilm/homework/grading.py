"""One submission to one record: every property of every task, with seeds that all may know and seeds that none can.

The two are kept apart. What a worker has answered in public cases, and what the doctor has asked, is over before the
first hidden case reaches that worker, and after it nothing is taken from there but whether a property held. So no
hidden input finds its way into a record, not even by a file that remembers and prints, raises or answers it.
"""

import functools
import random
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import minilm
from minilm.course.banks import Bank, find_lesson, load
from minilm.course.implementations import Local
from minilm.course.marks import Claim, Task
from minilm.course.proving import Verdict, cases_of, prove, prove_on
from minilm.errors import ConfigError
from minilm.homework import sandbox
from minilm.homework.assignment import Asked
from minilm.homework.diagnosis import diagnose
from minilm.homework.diagnosis.diagnosing import ENDING, UNKNOWN
from minilm.homework.failures import explain
from minilm.homework.home import PUBLIC_CASES, PUBLIC_SEED, TRIES
from minilm.homework.intake import Submission
from minilm.homework.limits import MIB, Limits
from minilm.homework.record import Cause, ClaimRecord, Record, TaskRecord
from minilm.homework.remote import FATAL, Remote
from minilm.homework.runtime import runtime_files
from minilm.homework.shown import beside, shown
from minilm.homework.wire import Frame
from minilm.homework.zygote import Allowance, Worker, Zygote
from minilm.i18n import speaking, tr

LIVES = 3  # workers that a task may lose; once one has lost them all, the tasks after it have one each
BUDGET = 20.0  # seconds for all that is asked about one task
LIMITS = Limits(answer=1.0, load=4.0, wall=BUDGET, cpu=BUDGET, memory=512 * MIB)
LETTERS, PRINTED = 600, 2000  # of a message, and of what a file prints
ADDRESS = re.compile(r"\b0x[0-9a-fA-F]{6,}")  # which differs from run to run


@dataclass(frozen=True)
class Rules:
    """What all submissions of a batch are graded by. public, hidden: cases of each property. calls: of a property whose
    cases make many calls, as few cases as make this many together, but no fewer than `least`.

    layers: the walls that are wanted, None for all. strict: refuse to start without those that a strict grader needs.
    """

    lesson: str
    lang: str = "en"
    public: int = PUBLIC_CASES
    hidden: int = 32
    calls: int = 24
    least: int = 3
    layers: tuple[str, ...] | None = None
    strict: bool = False
    limits: Limits = LIMITS
    version: str = minilm.__version__


@dataclass(frozen=True)
class Graded:
    """What grading gives back. problems: what went wrong on our side, and cost the student nothing."""

    record: Record
    seconds: float
    layers: tuple[sandbox.Layer, ...]
    problems: tuple[str, ...] = ()


# A task's number -> for each of its claims the seed of a course's hidden cases, and that of a student's own among them.
Seeds = Mapping[str, tuple[tuple[int, int], ...]]


class Grader:
    """A lesson's bank, and two warm processes: one for submissions, one for the lesson's own answers."""

    def __init__(self, rules: Rules):
        if rules.version != minilm.__version__:
            raise ConfigError(
                tr("this machine has minilm {here}, and the batch is graded with {there}: install the same version",
                   here=minilm.__version__, there=rules.version)
            )  # fmt: skip
        self.rules = rules
        self.bank = load(find_lesson(rules.lesson))
        self.tasks = {number: task for number, task in self.bank.tasks.items() if not task.worked}
        self.plain = [task.name for task in self.bank.tasks.values() if task.plain]
        with speaking(rules.lang):
            self.zygote = Zygote(rules.layers, runtime=runtime_files(self.bank.about))
            lacking = sandbox.missing_for_strict(self.zygote.layers) if rules.strict else []
            if lacking:
                self.zygote.close()
                raise ConfigError(refusal(lacking))
            self.references = Zygote(lesson=self.bank.about.folder)
        self._cases: dict[tuple[int, int], list[tuple[Any, ...]]] = {}
        self._calls: dict[int, float] = {}
        self.known: dict[bytes, Frame] = {}  # what the lesson's own functions answered

    def __enter__(self) -> "Grader":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End both."""
        self.zygote.close()
        self.references.close()

    def grade(self, submission: Submission, seeds: Seeds, only: tuple[str, ...] = ()) -> Graded:
        """The record of a student. only: the numbers of the tasks to grade; all if there are none."""
        began = time.monotonic()
        with speaking(self.rules.lang):
            found = _One(self, submission, seeds, only)
            record = found.record()
        return Graded(record, time.monotonic() - began, tuple(self.zygote.layers), tuple(found.problems))

    def public(self, claim: Claim) -> list[tuple[Any, ...]]:
        """The cases that everybody may see."""
        return self._made(claim, PUBLIC_SEED, self.rules.public)[: self._fewer(claim, self.rules.public)]

    def hidden(self, claim: Claim, seeds: tuple[int, int]) -> list[tuple[Any, ...]]:
        """A student's own: so many of twice as many of the course, which are made once for all students."""
        most = self._fewer(claim, self.rules.hidden)
        pool = self._made(claim, seeds[0], 2 * most)
        chosen = sorted(random.Random(seeds[1]).sample(range(len(pool)), min(most, len(pool))))
        return [pool[i] for i in chosen]

    def _fewer(self, claim: Claim, most: int) -> int:
        """As many cases as the calls allow that they make of the reference: the same on every machine."""
        if id(claim) not in self._calls:
            cases = self._made(claim, PUBLIC_SEED, self.rules.public)
            task = self.bank.tasks[claim.number]
            counted = Counted(self.bank.tasks)
            prove_on(claim, cases, counted, task.name)
            earlier = {other.name for other in self.bank.tasks.values()} & set(task.function.__code__.co_names)
            each = 1 + len(earlier)  # what it asks of earlier tasks comes back to us
            self._calls[id(claim)] = max(1.0, each * counted.calls / max(1, len(cases)))
        return min(most, max(self.rules.least, int(self.rules.calls / self._calls[id(claim)])))

    def _made(self, claim: Claim, seed: int, examples: int) -> list[tuple[Any, ...]]:
        key = (id(claim), seed)
        if key not in self._cases:
            few = claim.examples or examples
            self._cases[key] = cases_of(claim, seed, min(few, examples))
        return self._cases[key]


class Counted(Local):
    """The reference, and how often it was asked."""

    def __init__(self, tasks: Mapping[str, Task]):
        super().__init__(tasks)
        self.calls = 0

    def call(self, name: str, arguments: Sequence[Any]) -> Any:
        self.calls += 1
        return super().call(name, arguments)

    def gradient(
        self, name: str, arguments: Sequence[Any], wrt: Sequence[int], cotangents: Sequence[Any]
    ) -> list[Any] | None:
        self.calls += 1
        return super().gradient(name, arguments, wrt, cotangents)


def refusal(lacking: list[sandbox.Layer]) -> str:
    """Why a strict grader does not start."""
    return tr(
        "--require-sandbox strict: these layers are missing here: {layers}",
        layers=", ".join(f"{layer.name} ({layer.why})" for layer in lacking),
    )


@dataclass
class _Proof:
    """What a task's properties were found to be, with one kind of seeds."""

    verdicts: list[Verdict] = field(default_factory=list)

    def failed(self) -> Iterator[Verdict]:
        return (verdict for verdict in self.verdicts if not verdict.passed)


class _One:
    """One submission, being graded."""

    def __init__(self, grader: Grader, submission: Submission, seeds: Seeds, only: tuple[str, ...]):
        self.grader, self.rules, self.bank = grader, grader.rules, grader.bank
        self.submission, self.source = submission, submission.source or b""
        self.seeds = seeds
        self.tasks = [task for number, task in grader.tasks.items() if not only or number in only]
        self.lives = LIVES
        self.problems: list[str] = []
        self.suspicious: tuple[tuple[int, str], ...] = ()
        self.printed = ""

    def record(self) -> Record:
        if self.submission.source is None:
            tasks = tuple(unreadable(task, "unreadable", _why(self.submission)) for task in self.tasks)
        else:
            self.suspicious = self.look()
            failure = self.load()
            tasks = tuple(self.task(task) if failure is None else unreadable(task, *failure) for task in self.tasks)
        return record_of(self.rules, self.bank, self.submission, tasks, suspicious=self.suspicious,
                         printed=self.printed)  # fmt: skip

    def look(self) -> tuple[tuple[int, str], ...]:
        """Imports and names that no homework needs, as a process of its own finds them."""
        import numpy as np

        with self.grader.references.start() as worker:
            kind, found = worker.request("look", {"source": np.frombuffer(self.source, np.uint8)})
        return tuple((line, _clean(what)) for line, what in found) if kind == "value" else ()

    def start(self, allowance: Allowance | None = None) -> Worker:
        return self.grader.zygote.start(self.source, self.rules.limits, self.grader.plain, allowance)

    def load(self) -> tuple[str, str, int] | None:
        """Run the file, once more if time or its process ran out: why no task can be asked, as kind, text and line."""
        for _ in range(2):
            with self.start() as worker:
                self.printed = _clean(worker.printed, PRINTED) if worker.failure is None else ""
                if worker.failure is None:
                    return None
                failure = worker.failure
            if failure["kind"] not in FATAL:
                break
        return failure["kind"], _said_of_file(failure, self.rules.limits), failure["line"]

    # -------------------------------------------------------------------------------------------------------- one task

    @contextmanager
    def remote(self, task: Task, lives: int) -> Iterator[Remote]:
        allowance = Allowance(BUDGET)
        references = self.grader.references
        with Remote(lambda: self.start(allowance), self.bank.tasks, task.number, references=lambda: references.start(),
                    lives=lives, known=self.grader.known) as remote:  # fmt: skip
            yield remote

    def task(self, task: Task) -> TaskRecord:
        claims = self.bank.claims_of(task.number)
        seeds = self.seeds[task.number]
        public, hidden = _Proof(), _Proof()
        with self.remote(task, self.lives) as remote:
            public.verdicts = [self.smallest(claim, task, remote) for claim in claims]
            line = getattr(remote.last, "line", 0)
            cause = self.cause(task, next(_worst(public), None))
            for place, claim in enumerate(claims):
                again = None
                if claim.strategies:
                    again = self.verdict(claim, task, remote, self.grader.hidden(claim, seeds[place]))
                hidden.verdicts.append(again or public.verdicts[place])
            if remote.spent:
                self.lives = 1
        secret = next(_worst(hidden), None)
        if not any(public.failed()) and secret is not None:
            cause = self.cause(task, replace(secret, message="", case=None, expected=None, got=None))
            line = 0
        return _task_record(task, public, hidden, cause, line)

    def smallest(self, claim: Claim, task: Task, remote: Remote) -> Verdict:
        """The verdict on the public cases; where it is worth it, of the smallest case that fails."""
        found = self.verdict(claim, task, remote, self.grader.public(claim))
        if found.passed or found.kind in ENDING or not claim.strategies:
            return found
        shrunk = prove(claim, remote, task.name, seed=PUBLIC_SEED, examples=self.rules.public, tries=TRIES)
        return found if shrunk.passed or shrunk.kind in ENDING else shrunk

    def verdict(self, claim: Claim, task: Task, remote: Remote, cases: list[tuple[Any, ...]]) -> Verdict:
        """A claim's verdict. What only a lost worker or a late answer says is asked once more, while lives are left.

        What the reference fails as well is a fault of the claim, and costs nobody anything.
        """
        for _ in range(2):
            found = prove_on(claim, cases, remote, task.name)
            if found.kind not in FATAL:
                break
        if found.passed or found.kind in ENDING or prove_on(claim, cases, Local(self.bank.tasks), task.name).passed:
            return found
        self.problems.append(
            tr("{number} “{what}”: the reference fails it too, so it counts as met", number=task.number,
               what=claim.what)
        )  # fmt: skip
        return Verdict(claim, True, examples=found.examples)

    def cause(self, task: Task, verdict: Verdict | None) -> Cause | None:
        """What the doctor says; he asks a worker of his own. His own failure costs nobody anything."""
        if verdict is None:
            return None
        if verdict.kind in ENDING:
            read = tr("lesson {lesson}, section {number}", lesson=self.bank.about.short, number=task.number)
            return Cause(verdict.kind, _clean(verdict.message) or explain(verdict.kind).title, read=read)
        try:
            with self.remote(task, 1) as remote:
                found = diagnose(self.bank, task, remote, verdict, PUBLIC_SEED)
        except Exception as error:
            what = f"{type(error).__name__}: {error}"
            self.problems.append(tr("{number}: the doctor failed: {what}", number=task.number, what=_clean(what)))
            return Cause(UNKNOWN, tr("The cause is not known"))
        if found.cause == "time":  # the doctor asks much: that it takes long says nothing about the mistake
            return Cause(UNKNOWN, tr("The cause is not known"), read=found.read)
        return Cause(found.cause, _clean(found.line), tuple(map(_clean, found.details)), found.misconception or "",
                     found.hint or "", found.read)  # fmt: skip


def _worst(proof: _Proof) -> Iterator[Verdict]:
    """The failed verdicts, those first from which a cause can be found."""
    failed = list(proof.failed())
    yield from sorted(failed, key=lambda verdict: verdict.kind in ENDING)


# ------------------------------------------------------------------------------------------------------------- records


def _task_record(task: Task, public: _Proof, hidden: _Proof, cause: Cause | None, line: int) -> TaskRecord:
    held = [a.passed and b.passed for a, b in zip(public.verdicts, hidden.verdicts, strict=True)]
    first = next(public.failed(), None)
    secret = next(hidden.failed(), None)
    failed = first or secret
    kind = failed.kind if failed else ""
    message = ""
    if first is not None:
        message = _clean(first.message)
    elif secret is not None:
        message = tr("it holds in the cases that all may see, and not in the hidden ones")
    return TaskRecord(
        **_of_task(task),
        earned=round(task.points * sum(held) / len(held), 4) if held else 0.0,
        state=_state(held, kind),
        kind=kind,
        message=message,
        line=line if kind in ("raised", "unsolved", "import", "syntax", "memory") else 0,
        public=tuple(_open(verdict) for verdict in public.verdicts),
        hidden=tuple(ClaimRecord(v.claim.what, v.passed, v.examples, v.kind) for v in hidden.verdicts),
        cause=cause,
    )


def _state(held: list[bool], kind: str) -> str:
    if all(held):
        return "solved"
    if any(held):
        return "partial"
    return kind if kind in ("unsolved", "missing") else "failed"


def _open(verdict: Verdict) -> ClaimRecord:
    """A verdict with all that is known of it."""
    if verdict.passed:
        return ClaimRecord(verdict.claim.what, True, verdict.examples)
    case = tuple((name, shown(value)) for name, value in (verdict.case or {}).items())
    texts = ("", "")
    if verdict.expected is not None or verdict.got is not None:
        texts = beside(verdict.expected, verdict.got)
    return ClaimRecord(verdict.claim.what, False, verdict.examples, verdict.kind, _clean(verdict.message),
                       tuple((name, _clean(text, 4000)) for name, text in case),
                       *(_clean(text, 4000) for text in texts))  # fmt: skip


def unreadable(task: Task, kind: str, message: str, line: int = 0) -> TaskRecord:
    """A task that could not be asked about at all."""
    return TaskRecord(
        **_of_task(task), earned=0.0, state="unreadable", kind=kind, message=_clean(message), line=line, public=(),
        hidden=(), cause=None,
    )  # fmt: skip


def _of_task(task: Task) -> dict[str, Any]:
    asked = Asked.of(task)
    return {"number": asked.number, "name": asked.name, "summary": asked.summary, "points": float(asked.points)}


def record_of(
    rules: Rules,
    bank: Bank,
    submission: Submission,
    tasks: tuple[TaskRecord, ...],
    suspicious: tuple[tuple[int, str], ...] = (),
    printed: str = "",
) -> Record:
    """The record of a student whose tasks are known."""
    import hashlib

    source = submission.source
    return Record(
        version=rules.version, lesson=bank.about.short, title=bank.about.title, student=submission.student,
        name=submission.name, file=submission.file, digest="" if source is None else hashlib.sha256(source).hexdigest(),
        lang=rules.lang, notes=tuple((note.kind, note.text) for note in submission.notes), suspicious=suspicious,
        tasks=tasks, printed=printed,
    )  # fmt: skip


def _why(submission: Submission) -> str:
    """Why there is nothing to grade."""
    texts = [note.text for note in submission.notes if note.kind in ("refused", "missing", "absent")]
    return texts[0] if texts else tr("there is no file to grade")


def _said_of_file(failure: Mapping[str, Any], limits: Limits) -> str:
    """What a student reads of a file that cannot be run."""
    kind, error, text, line = failure["kind"], failure["type"], failure["text"], failure["line"]
    match kind:
        case "syntax":
            return tr("line {line} is not Python: {what}", line=line, what=text)
        case "time":
            return tr("to run the file takes longer than {seconds:g} seconds", seconds=limits.load)
        case "memory":
            return tr("to run the file takes more than the {n} MiB of memory that it may have", n=limits.memory >> 20)
        case "crash":
            return tr("the process that ran the file ended ({how})", how=text)
        case "protocol":
            return tr("what came back when the file was run is no answer ({what})", what=text)
    return tr("the file cannot be run: {kind} in line {line}: {what}", kind=error, line=line, what=text)


def _clean(text: str, most: int = LETTERS) -> str:
    """Text that any file can hold and that is the same in every run."""
    text = ADDRESS.sub("0x…", text[: 4 * most].encode("utf-8", "replace").decode())
    return text if len(text) <= most else text[: most - 1] + "…"


# --------------------------------------------------------------------------------------------- in a process of the pool


_ALONE = threading.Lock()


@functools.cache
def grader_of(rules: Rules) -> Grader:
    """This process's grader by these rules, made once."""
    import atexit

    made = Grader(rules)
    atexit.register(made.close)
    return made


def grade_one(rules: Rules, submission: Submission, seeds: Seeds, only: tuple[str, ...] = ()) -> Graded:
    """What a process of the pool, or a machine of a cluster, is given to do; one at a time in each process."""
    with _ALONE:
        return grader_of(rules).grade(submission, seeds, only)


Grade = Callable[[Rules, Submission, Seeds, tuple[str, ...]], Graded]
