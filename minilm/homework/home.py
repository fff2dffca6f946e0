"""Homework tried at home: the public properties, on the very worker that a grader uses.

What is found is data; minilm/cli/check.py prints it. Where the lesson's answers are at hand, as in a checkout, each
task runs on the reference of the ones before it, as when it is graded. In the student runtime there is none: the file's
own functions stand for them.
"""

import contextlib
import warnings
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from minilm.course.banks import About, find_lesson, load
from minilm.course.implementations import Raised, copied
from minilm.course.marks import Claim, Task
from minilm.course.proving import Verdict, prove
from minilm.errors import ConfigError, DataError
from minilm.homework.archives import STUDENT, Refused
from minilm.homework.assignment import Asked, asked_of, lesson_of
from minilm.homework.diagnosis import Diagnosis, diagnose_safely
from minilm.homework.intake import READ, file_item, read_source
from minilm.homework.limits import Limits
from minilm.homework.remote import FATAL, Failed, Remote, sentence
from minilm.homework.runtime import runtime_files
from minilm.homework.zygote import Worker, Zygote
from minilm.i18n import tr

PUBLIC_SEED = 2018  # of the cases that everybody may see, at home and when it is graded
PUBLIC_CASES = 12  # of each property
CALLS = 150  # of a function for each property, after which fewer cases do
TRIES = 300  # cases in which a smaller failing one is looked for
LIMITS = Limits(answer=5.0, wall=30.0, cpu=30.0)
WHOLE = ("syntax", "import", "time", "memory", "crash", "protocol")  # how a file fails that cannot be loaded
PRINTED = 2000  # letters of what a function printed that are kept


@dataclass(frozen=True)
class Trouble:
    """Why a file cannot be run at all: a kind of homework/failures.py, a sentence, the line (0 if none is known)."""

    kind: str
    message: str
    line: int = 0


@dataclass(frozen=True)
class Tested:
    """What was found of one task. verdicts: one for each property that was tried; none are tried after a failure that
    ends the process. line: of the student's file, where it is known, else 0."""

    task: Asked
    claims: tuple[Claim, ...]
    verdicts: tuple[Verdict, ...] = ()
    line: int = 0

    @property
    def failed(self) -> list[Verdict]:
        return [verdict for verdict in self.verdicts if not verdict.passed]

    @property
    def state(self) -> str:
        """example, solved, failed, unsolved or missing."""
        if self.task.worked and not self.verdicts:
            return "example"
        if not self.failed:
            return "solved"
        kind = self.failed[0].kind
        return kind if kind in ("unsolved", "missing") else "failed"


@dataclass(frozen=True)
class Explained:
    """Why a task fails. printed: what the function printed when it was asked the smallest failing case."""

    diagnosis: Diagnosis
    printed: str = ""


class Home:
    """A lesson's tasks, and the warm process that tries them. One for as many tries as wanted; `close` it."""

    def __init__(self, about: About, *, cases: int = PUBLIC_CASES, layers: Iterable[str] | None = None):
        self.about, self.cases = about, cases
        self.alone = not (about.folder / "tasks.py").is_file()
        self._starters = ThreadPoolExecutor(2)
        self._zygote = self._begin(lambda: Zygote(layers, runtime=None if self.alone else runtime_files(about)))
        self._references = None if self.alone else self._begin(lambda: Zygote(lesson=about.folder))
        try:
            self.bank = load(about)
            self.asked = asked_of(about)
        except BaseException:
            self.close()
            raise
        self.tasks = dict(self.bank.tasks) or {task.number: _without_answer(task) for task in self.asked}
        self._plain = [task.name for task in self.asked if task.plain]

    def _begin(self, make: Callable[[], Zygote]) -> Future[Zygote]:
        """Start a process while the lesson is read, in the language that is spoken here."""
        return self._starters.submit(copy_context().run, make)

    def __enter__(self) -> "Home":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End all processes."""
        self._starters.shutdown()
        for begun in (self._zygote, self._references):
            if begun is not None and begun.exception() is None:
                begun.result().close()

    def chosen(self, numbers: Sequence[str]) -> list[Asked]:
        """The tasks of these numbers, or all; ConfigError for one that is not there."""
        known = {task.number.lower(): task for task in self.asked} | {task.name.lower(): task for task in self.asked}
        for number in numbers:
            if number.lower() not in known:
                raise ConfigError(
                    tr("--task {number}: lesson {lesson} has the tasks {known}", number=number,
                       lesson=self.about.short, known=", ".join(task.number for task in self.asked))
                )  # fmt: skip
        wanted = [known[number.lower()] for number in numbers]
        return [task for task in self.asked if task in wanted] if numbers else self.asked

    def start(self, source: bytes) -> Worker:
        """A worker with the file."""
        return self._zygote.result().start(source, LIMITS, self._plain)

    def trouble(self, source: bytes) -> Trouble | None:
        """Why a file cannot be run at all, or None."""
        with self.start(source) as worker:
            failure = worker.failure
            if failure is None or failure["kind"] not in WHOLE:
                return None
            return Trouble(failure["kind"], sentence(tr("the file"), failure, worker), failure["line"])

    def remote(self, source: bytes, task: Asked, started: Callable[[Worker], None] = lambda worker: None) -> Remote:
        """One task of a file as an implementation. A worker that is lost is not replaced."""

        def start() -> Worker:
            worker = self.start(source)
            started(worker)
            return worker

        begun = self._references
        others = None if begun is None else lambda: begun.result().start()
        return Remote(start, self.tasks, task.number, references=others, alone=self.alone, lives=1)

    def test(self, source: bytes, task: Asked, progress: Callable[[], None] = lambda: None) -> Tested:
        """The verdicts of a task's properties, each with the smallest failing case that was found."""
        claims = tuple(self.bank.claims_of(task.number))
        verdicts: list[Verdict] = []
        line = 0
        with self.remote(source, task) as remote:
            for claim in claims:
                verdicts.append(
                    prove(claim, remote, task.name, seed=PUBLIC_SEED, examples=self.cases, tries=TRIES, calls=CALLS)
                )
                progress()
                if not verdicts[-1].passed:
                    line = line or _line(remote.last, verdicts[-1])
                    if verdicts[-1].kind in (*FATAL, "memory", "unsolved", "missing"):
                        break
        return Tested(task, claims, tuple(verdicts), line)

    def explain(self, source: bytes, tested: Tested) -> Explained:
        """What the doctor says of the first property that fails, and what is printed in its smallest case."""
        verdict, number = tested.failed[0], tested.task.number
        with self.remote(source, tested.task) as remote:
            found = diagnose_safely(self.bank, self.tasks[number], remote, verdict, PUBLIC_SEED)
        return Explained(found, self.printed(source, tested.task, verdict))

    def printed(self, source: bytes, task: Asked, verdict: Verdict) -> str:
        """What a file prints when it is asked a verdict's case, beyond what it prints when it is loaded."""
        workers: list[tuple[Worker, int]] = []
        if verdict.case is None and verdict.claim.strategies:
            return ""
        with self.remote(source, task, lambda worker: workers.append((worker, len(worker.printed)))) as remote:
            with contextlib.suppress(Exception), warnings.catch_warnings(), np.errstate(all="ignore"):
                warnings.simplefilter("ignore")
                verdict.claim.check(remote, *copied(list((verdict.case or {}).values())))
            return "".join(worker.printed[before:] for worker, before in workers)[:PRINTED]


def _line(last: Failed | None, verdict: Verdict) -> int:
    """The student's line that a verdict is about."""
    return last.line if last is not None and str(last) == verdict.message else 0


def _without_answer(task: Asked) -> Task:
    """A task whose reference is not here."""

    def nothing(*arguments: Any) -> Any:
        raise Raised(tr("there is no function {name}", name=task.name), kind="missing")

    nothing.__name__, nothing.__doc__ = task.name, task.summary
    return Task(task.number, nothing, task.points, 0, task.worked, task.plain)


def read(file: Path) -> bytes:
    """The Python of a student's .py or .ipynb. DataError where there is none."""
    if file.suffix.lower() not in READ:
        raise DataError(tr("{path}: what is checked is the .py or the .ipynb of a homework", path=file))
    if not file.exists():
        raise DataError(tr("there is no file or folder {path}: check its name", path=file))
    try:
        return read_source(file_item(file.resolve(), (file.name,)), STUDENT)
    except Refused as error:
        raise DataError(tr("{path} cannot be read: {reason}", path=file, reason=error)) from error


def lesson(file: Path, source: bytes, name: str | None) -> About:
    """The lesson that a file is the homework of: the named one, or the one that it shows by itself."""
    return find_lesson(name) if name else lesson_of(file, source)
