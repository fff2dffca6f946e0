"""What grading found out about one student, as plain data: every report is made from it, and nothing else.

The same submission, secret and version give the same bytes: there is no time, no path and no machine in it. Nor are
hidden cases: of a claim that failed with hidden seeds alone, only that it failed, in which way, and the cause.
"""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class ClaimRecord:
    """A property of a task. of, passed: how many cases were tried, and whether all held. kind, message, case, expected,
    got: of the smallest failing case, as text; empty where it held or the case is hidden."""

    what: str
    passed: bool
    of: int
    kind: str = ""
    message: str = ""
    case: tuple[tuple[str, str], ...] = ()
    expected: str = ""
    got: str = ""


@dataclass(frozen=True)
class Cause:
    """What the doctor says: `minilm.homework.diagnosis.Diagnosis` as it is shown. "" where there is none."""

    cause: str
    line: str
    details: tuple[str, ...] = ()
    misconception: str = ""
    hint: str = ""
    read: str = ""


@dataclass(frozen=True)
class TaskRecord:
    """A task. state: solved, partial, failed, unsolved, missing, unreadable (the file could not be run or read).

    kind: of the first failure (value, gradient, shape, type, nan, time, memory, crash, import, syntax, …), "" if none.
    line: of the student's file, 0 if none is known. public, hidden: the same properties with two kinds of seeds.
    """

    number: str
    name: str
    summary: str
    points: float
    earned: float
    state: str
    kind: str
    message: str
    line: int
    public: tuple[ClaimRecord, ...]
    hidden: tuple[ClaimRecord, ...]
    cause: Cause | None = None


@dataclass(frozen=True)
class Record:
    """One student. notes: (kind, text) of reading what was handed in. printed: what the file printed, cut.

    late: (how late, as text; points taken off), or None. digest: SHA-256 of the graded source, "" if there is none.
    suspicious: (line, what) of imports and names that homework does not need. lang: of every text in it.
    """

    version: str
    lesson: str
    title: str
    student: str
    name: str
    file: str
    digest: str
    lang: str
    notes: tuple[tuple[str, str], ...]
    suspicious: tuple[tuple[int, str], ...]
    tasks: tuple[TaskRecord, ...]
    printed: str = ""
    late: tuple[str, float] | None = None

    @property
    def points(self) -> float:
        """What was earned, less what is taken off for lateness, at least 0."""
        earned = sum(task.earned for task in self.tasks)
        return round(max(0.0, earned - (self.late[1] if self.late else 0.0)), 4)

    @property
    def of(self) -> float:
        return sum(task.points for task in self.tasks)

    def to_json(self) -> str:
        """Sorted, so that equal records are equal bytes."""
        return json.dumps(asdict(self), ensure_ascii=False, indent=1, sort_keys=True) + "\n"

    @classmethod
    def from_json(cls, text: str) -> "Record":
        data = json.loads(text)
        tasks = tuple(_task(task) for task in data.pop("tasks"))
        for name in ("notes", "suspicious"):
            data[name] = tuple(tuple(pair) for pair in data[name])
        data["late"] = tuple(data["late"]) if data["late"] else None
        return cls(**data, tasks=tasks)


def _task(data: dict[str, Any]) -> TaskRecord:
    cause = data.pop("cause")
    public, hidden = (_claims(data.pop(name)) for name in ("public", "hidden"))
    found = None if cause is None else Cause(**{**cause, "details": tuple(cause["details"])})
    return TaskRecord(**data, public=public, hidden=hidden, cause=found)


def _claims(data: Iterable[dict[str, Any]]) -> tuple[ClaimRecord, ...]:
    return tuple(ClaimRecord(**{**one, "case": tuple(tuple(pair) for pair in one["case"])}) for one in data)
