"""A batch: submissions in, a folder of results out; begun, interrupted, gone on with, or graded again in part."""

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from pathlib import Path

import hypothesis
import numpy as np

from minilm.course.banks import FILES, Bank, find_lesson, find_lessons, load
from minilm.course.marks import Task
from minilm.errors import ConfigError
from minilm.homework import reports, sandbox
from minilm.homework.grading import Graded, Rules, record_of, refusal, unreadable
from minilm.homework.intake import Note, Submission, submissions
from minilm.homework.lanes import Done, Lost, Work, grade_here, grade_on_cluster
from minilm.homework.late import LatePolicy
from minilm.homework.ledger import Entry, Ledger, digest, folder_name
from minilm.homework.record import Record, TaskRecord
from minilm.homework.seeds import Secret, find_secret
from minilm.homework.stripping import student_source
from minilm.i18n import language, speaking, tr
from minilm.resources import write_atomically


@dataclass(frozen=True)
class Order:
    """What is to be graded, and how. Without `path`, what was handed in before, as the batch's folder keeps it.

    only, tasks: whom and what to grade again, everything else staying as it is. roster: student -> name. times: when
    they handed in; policy: what lateness costs.
    """

    out: Path
    path: Path | None = None
    lesson: str | None = None
    lang: str | None = None
    jobs: int = 1
    resume: bool = False
    only: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()
    roster: Mapping[str, str] | None = None
    policy: LatePolicy | None = None
    times: Mapping[str, datetime] = field(default_factory=dict)
    secret: Path | None = None
    strict: bool = False
    bwrap: bool = False
    scheduler: str | None = None

    @property
    def in_part(self) -> bool:
        return bool(self.only or self.tasks)


@dataclass
class Outcome:
    """What came of it. graded, kept: how many students; lost: those who could not be graded, by a fault of ours."""

    records: list[Record] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    layers: tuple[sandbox.Layer, ...] = ()
    problems: list[tuple[str, str]] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)
    graded: int = 0
    kept: int = 0


Progress = Callable[[int, int], None]


def run(order: Order, progress: Progress = lambda done, total: None, say: Callable[[str], None] = print) -> Outcome:
    """Grade, and write everything. say: told what a person should know before it begins."""
    reports.check_installed()
    with Ledger(order.out) as ledger:
        batch = Batch(order, ledger)
        for notice in batch.notices:
            say(notice)
        return batch.run(progress)


class Batch:
    """One run over a batch's folder."""

    def __init__(self, order: Order, ledger: Ledger):
        self.order, self.ledger = order, ledger
        self.before = ledger.batch
        self.notices: list[str] = []
        self.bank = self._lesson()
        layers = (*sandbox.LAYERS, "bwrap") if order.bwrap else None
        folder = self.bank.about.folder
        ours = folder.resolve() in [about.folder.resolve() for about in find_lessons()]
        self.lesson = self.bank.about.short if ours else str(folder.resolve())
        self.rules = Rules(self.lesson, order.lang or self.before.get("lang") or language(), layers=layers,
                           strict=order.strict)  # fmt: skip
        if order.strict and order.scheduler is None:
            self._refuse_without_walls()
        self.secret = self._secret()
        self.entries = ledger.entries()
        self.submissions = {one.student: one for one in self._submissions()}
        self.todo = self._todo()
        self.late = self._late()

    # ---------------------------------------------------------------------------------------------- what is to be done

    def _lesson(self) -> Bank:
        order, before = self.order, self.before.get("lesson")
        if before and not (order.resume or order.in_part):
            raise ConfigError(
                tr("{path} holds a batch already: go on with --resume, grade some again with --only or --task, or "
                   "take another folder", path=order.out)
            )  # fmt: skip
        if not before and order.path is None:
            raise ConfigError(tr("{path} holds no batch: name the submissions", path=order.out))
        name = order.lesson or before
        if name is None:
            raise ConfigError(tr("of which lesson is it the homework? Say it with --lesson"))
        bank = load(find_lesson(name))
        if before and find_lesson(before).folder.resolve() != bank.about.folder.resolve():
            raise ConfigError(
                tr("{path} holds a batch of {before}, not of {lesson}", path=order.out, before=before,
                   lesson=bank.about.short)
            )  # fmt: skip
        if not bank.tasks:
            raise ConfigError(
                tr("{lesson} has no tasks here: grading needs a full minilm, not the student runtime",
                   lesson=bank.about.short)
            )  # fmt: skip
        known = [number for number, task in bank.tasks.items() if not task.worked]
        for number in order.tasks:
            if number not in known:
                raise ConfigError(
                    tr("there is no task {number}; there are {known}", number=number, known=", ".join(known))
                )
        return bank

    def _refuse_without_walls(self) -> None:
        found = [one for one in sandbox.available() if one.name != "bwrap" or self.order.bwrap]
        lacking = sandbox.missing_for_strict(found)
        if lacking:
            raise ConfigError(refusal(lacking))

    def _secret(self) -> Secret:
        found = find_secret(self.order.secret, self.before.get("secret"))
        if found.notice:
            self.notices.append(found.notice)
        return found

    def _submissions(self) -> Iterator[Submission]:
        """Everybody's, in the order of their ids, with names, and with those who handed in nothing."""
        order = self.order
        if order.path is not None:
            names = [task.name for task in self.bank.tasks.values()]
            with speaking(self.rules.lang):
                found = {one.student: one for one in submissions(order.path, self.bank.about.short, names)}
        else:
            found = {student: self.ledger.submission(entry) for student, entry in self.entries.items()}
        roster = order.roster or {}
        with speaking(self.rules.lang):
            absent = Note("absent", tr("nothing was handed in"))
        for student in sorted({*found, *roster}):
            one = found.get(student) or Submission(student, "", None, "", (absent,))
            yield replace(one, name=one.name or roster.get(student, ""))
        strangers = sorted(set(found) - set(roster)) if order.roster is not None else []
        if strangers:
            self.notices.append(tr("not in the roster, and graded all the same: {students}",
                                   students=", ".join(strangers)))  # fmt: skip

    def key(self, submission: Submission) -> str:
        """The digest of all that a student's record depends on."""
        lesson = [path.read_bytes() for name in FILES if (path := self.bank.about.folder / f"{name}.py").is_file()]
        said = {
            "lesson": [self.bank.about.short, *map(digest, lesson)], "secret": self.secret.name,
            "versions": [hypothesis.__version__, np.__version__],
            "rules": {**asdict(self.rules), "strict": None, "layers": None, "lesson": None},
            "student": [submission.student, submission.name, submission.file, submission.notes],
            "source": None if submission.source is None else digest(submission.source),
        }  # fmt: skip
        return digest(json.dumps(said, sort_keys=True, default=list).encode("utf-8", "surrogatepass"))

    def _todo(self) -> list[Submission]:
        unknown = sorted(set(self.order.only) - set(self.submissions))
        if unknown:
            raise ConfigError(
                tr("--only: there is no student {students} among the {n} submissions", students=", ".join(unknown),
                   n=len(self.submissions))
            )  # fmt: skip
        if self.order.only:
            return [self.submissions[student] for student in dict.fromkeys(self.order.only)]
        if self.order.tasks:
            return list(self.submissions.values())
        return [one for one in self.submissions.values() if not self._is_done(one)]

    def _is_done(self, submission: Submission) -> bool:
        entry = self.entries.get(submission.student)
        return entry is not None and entry.key == self.key(submission) and self.ledger.record(entry) is not None

    def _late(self) -> Callable[[Record], Record]:
        """What lateness takes off, by this run's times and policy, else by those with which the batch was graded."""
        if self.order.policy is not None:
            policy, times = self.order.policy, dict(self.order.times)
            return lambda record: policy.applied(record, times.get(record.student))
        kept = self.before.get("late", {})
        return lambda record: replace(record, late=tuple(kept[record.student]) if record.student in kept else None)

    # ---------------------------------------------------------------------------------------------------------- the run

    def run(self, progress: Progress) -> Outcome:
        outcome = Outcome(kept=len(self.submissions) - len(self.todo), notices=self.notices)
        self._write_batch(outcome, running=True)
        work = [self._work(one) for one in self.todo]
        progress(0, len(work))
        with contextlib.closing(self._grade([w for w in work if w.submission.source is not None])) as done:
            for one, found in done:
                self._keep(one, found, outcome)
                progress(outcome.graded, len(work))
        for one in work:
            if one.submission.source is None:
                self._keep(one, self._without_source(one.submission), outcome)
                progress(outcome.graded, len(work))
        self._write_all(outcome)
        return outcome

    def _work(self, submission: Submission) -> Work:
        short = self.bank.about.short
        seeds = {
            number: tuple(
                (self.secret.seed(short, None, number, i), self.secret.seed(short, submission.student, number, i))
                for i in range(len(self.bank.claims_of(number)))
            )
            for number in self.bank.tasks
        }
        return Work(submission, seeds, self.order.tasks if self._earlier(submission) is not None else ())

    def _earlier(self, submission: Submission) -> Record | None:
        """The record of the same source, whose other tasks stay as they are."""
        record = self.ledger.record(self.entries.get(submission.student)) if self.order.tasks else None
        source = submission.source
        return record if record is not None and source is not None and record.digest == digest(source) else None

    def _grade(self, work: Sequence[Work]) -> Done:
        if not work:
            return
        if self.order.scheduler is not None:
            yield from grade_on_cluster(work, self.rules, self.order.scheduler)
        else:
            yield from grade_here(work, self.rules, self.order.jobs)

    def _without_source(self, submission: Submission) -> Graded:
        with speaking(self.rules.lang):
            why = next((note.text for note in submission.notes if note.kind != "late"), "")
            why = why or tr("there is no file to grade")
            return Graded(self._unreadable(submission, "unreadable", why), 0.0, ())

    def _unreadable(self, submission: Submission, kind: str, why: str) -> Record:
        tasks = [task for task in self.bank.tasks.values() if not task.worked]
        return record_of(self.rules, self.bank, submission, tuple(unreadable(task, kind, why) for task in tasks))

    def _keep(self, work: Work, found: Graded | Lost, outcome: Outcome) -> None:
        """Write a student's results, the entry of the ledger last."""
        submission, key = work.submission, self.key(work.submission)
        earlier = self._earlier(submission)
        if isinstance(found, Lost):
            with speaking(self.rules.lang):
                record = self._unreadable(submission, "crash", tr("it could not be graded: {why}", why=found.why))
            found, key = Graded(record, 0.0, (), (found.why,)), ""
            outcome.lost.append(submission.student)
        record = found.record
        if earlier is not None and key:
            record = replace(record, tasks=_merged(earlier.tasks, record.tasks, list(self.bank.tasks.values())))
        self.ledger.begin(submission)
        self._write_student(submission, self.late(record), found.seconds, found.problems, key)
        outcome.graded += 1
        outcome.layers = _weakest(outcome.layers, found.layers)

    def _write_student(
        self, submission: Submission, record: Record, seconds: float, problems: tuple[str, ...], key: str
    ) -> None:
        folder = self.ledger.folder(submission.student)
        data = record.to_json().encode()
        write_atomically(folder / "record.json", data)
        reports.write_student(record, folder)
        source = "" if submission.source is None else digest(submission.source)
        entry = Entry(submission.student, submission.name, submission.file, submission.notes, source, key,
                      digest(data), round(seconds, 3), problems)  # fmt: skip
        self.ledger.finish(entry)

    def _write_all(self, outcome: Outcome) -> None:
        """What is made from all records, those that were kept too."""
        entries, sources = self.ledger.entries(), dict[str, bytes]()
        if not outcome.layers:
            outcome.layers = tuple(sandbox.Layer(**layer) for layer in self.before.get("layers", []))
        for student, submission in self.submissions.items():
            entry = entries.get(student)
            record = self.ledger.record(entry)
            if entry is None or record is None:
                continue
            late = self.late(record)
            if late != record:
                record = late
                self._write_student(submission, record, entry.seconds, entry.problems, entry.key)
            outcome.records.append(record)
            outcome.seconds[student] = entry.seconds
            outcome.problems += [(student, problem) for problem in entry.problems]
            if submission.source is not None:
                sources[student] = submission.source
        self._write_batch(outcome, running=False)
        reports.write_batch(
            self.order.out, outcome.records, sources, outcome.seconds, self.order.roster,
            folders={student: folder_name(student) for student in self.submissions}, given=self._given(),
            layers=[layer.name for layer in outcome.layers if layer.active], lang=self.rules.lang,
        )  # fmt: skip

    def _given(self) -> list[bytes]:
        """The student's file as it was given out, in each language."""
        texts = []
        for lang in ("en", "es"):
            with speaking(lang):
                texts.append(student_source(self.bank.about).encode())
        return texts

    def _write_batch(self, outcome: Outcome, *, running: bool) -> None:
        layers = [asdict(layer) for layer in outcome.layers]
        late = self.before.get("late", {}) if running else {r.student: r.late for r in outcome.records if r.late}
        self.ledger.write_batch({
            "lesson": self.lesson, "lang": self.rules.lang, "version": self.rules.version, "secret": self.secret.name,
            "cases": [self.rules.public, self.rules.hidden, self.rules.calls], "limits": asdict(self.rules.limits),
            "layers": layers, "late": late, "students": len(self.submissions), "finished": not running,
            "seconds": outcome.seconds, "problems": outcome.problems, "lost": outcome.lost,
        })  # fmt: skip


def _merged(old: Sequence[TaskRecord], new: Sequence[TaskRecord], tasks: Sequence[Task]) -> tuple[TaskRecord, ...]:
    """The new results where there are some, in the lesson's order."""
    found = {task.number: task for task in old} | {task.number: task for task in new}
    return tuple(found[task.number] for task in tasks if task.number in found)


def _weakest(old: tuple[sandbox.Layer, ...], new: tuple[sandbox.Layer, ...]) -> tuple[sandbox.Layer, ...]:
    """The walls that stood on every machine."""
    if not old or not new:
        return old or new
    other = {layer.name: layer for layer in new}
    return tuple(layer if not layer.active else other.get(layer.name, layer) for layer in old)
