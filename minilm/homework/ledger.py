"""The folder of a batch: what is known of each student, written so that kill -9 at any moment loses nothing finished.

    batch.json                lesson, language, secret's name, walls, seconds, problems
    ledger/STUDENT.json       what a student's result depends on, written last: without it there is no result
    students/STUDENT/         submission.py, record.json, and the pages made from it
    grades.csv overview.html  of all

Every file is written under another name, synced and renamed. A student's folder is named after them as far as every
file system allows, so two students never share one, whatever they are called.
"""

import hashlib
import json
import os
import re
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from minilm.errors import ConfigError, DataError
from minilm.homework.intake import Note, Submission
from minilm.homework.record import Record
from minilm.i18n import tr
from minilm.resources import write_atomically

PLAIN = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")
RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)|.*-[0-9a-f]{10}")  # of Windows, and of what is made below


def folder_name(student: str) -> str:
    """A name for a student's folder: the student's own where it is plain, else its letters and a digest."""
    if PLAIN.fullmatch(student) and not RESERVED.fullmatch(student):
        return student
    letters = re.sub(r"[^a-z0-9]+", "-", student.lower()).strip("-")[:30] or "x"
    return f"{letters}-{hashlib.sha256(student.encode('utf-8', 'surrogatepass')).hexdigest()[:10]}"


@dataclass(frozen=True)
class Entry:
    """A student who is graded. key: the digest of all that the record depends on; record: that of record.json."""

    student: str
    name: str
    file: str
    notes: tuple[tuple[str, str], ...]
    source: str
    key: str
    record: str
    seconds: float
    problems: tuple[str, ...] = ()

    @classmethod
    def read(cls, path: Path) -> "Entry | None":
        """None where there is none that can be read."""
        try:
            data = json.loads(path.read_text("utf-8"))
            notes = tuple((str(kind), str(text)) for kind, text in data.pop("notes"))
            return cls(**{**data, "notes": notes, "problems": tuple(data["problems"])})
        except (OSError, ValueError, TypeError, KeyError):
            return None


@dataclass
class Ledger:
    """A batch's folder, open for one grader."""

    out: Path
    _lock: Any = field(default=None, repr=False)

    def __enter__(self) -> "Ledger":
        self.out.mkdir(parents=True, exist_ok=True)
        self._lock = open(self.out / ".lock", "w")
        try:
            import fcntl

            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._lock.close()
            raise ConfigError(
                tr("{path} is being graded by another process: wait for it, or take another folder", path=self.out)
            ) from None
        self.clean()
        return self

    def __exit__(self, *_: object) -> None:
        self._lock.close()

    def clean(self) -> None:
        """Remove what was being written when a grader was killed."""
        for folder in (self.out, *(self.out / "students").glob("*"), self.out / "ledger"):
            for path in folder.glob(".*.tmp"):
                path.unlink(missing_ok=True)

    # -------------------------------------------------------------------------------------------------------- the batch

    @property
    def batch(self) -> dict[str, Any]:
        """batch.json, {} where there is none."""
        path = self.out / "batch.json"
        if not path.exists():
            return {}
        try:
            found = json.loads(path.read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise DataError(tr("{path} cannot be read ({reason})", path=path, reason=error)) from error
        return found if isinstance(found, dict) else {}

    def write_batch(self, data: dict[str, Any]) -> None:
        write_atomically(self.out / "batch.json", json.dumps(data, ensure_ascii=False, indent=1, sort_keys=True) + "\n")

    # ------------------------------------------------------------------------------------------------------- students

    def folder(self, student: str) -> Path:
        return self.out / "students" / folder_name(student)

    def entries(self) -> dict[str, Entry]:
        """Every student of whom a whole result is there."""
        found = (Entry.read(path) for path in sorted((self.out / "ledger").glob("*.json")))
        return {entry.student: entry for entry in found if entry is not None}

    def record(self, entry: Entry | None) -> Record | None:
        """The record of an entry, None where its file is not what was written."""
        if entry is None:
            return None
        try:
            data = (self.folder(entry.student) / "record.json").read_bytes()
            return Record.from_json(data.decode("utf-8")) if digest(data) == entry.record else None
        except (OSError, ValueError, TypeError, KeyError):
            return None

    def submission(self, entry: Entry) -> Submission:
        """What a student handed in, as it was kept."""
        source = None
        if entry.source:
            path = self.folder(entry.student) / "submission.py"
            try:
                source = path.read_bytes()
            except OSError as error:
                raise DataError(tr("{path} cannot be read ({reason})", path=path, reason=error.strerror)) from error
            if digest(source) != entry.source:
                raise DataError(
                    tr("{path} is no longer what {student} handed in: grade from the submissions again", path=path,
                       student=entry.student)
                )  # fmt: skip
        return Submission(entry.student, entry.name, source, entry.file, tuple(Note(*note) for note in entry.notes))

    def begin(self, submission: Submission) -> Path:
        """A student's folder with the submission in it. An earlier result counts no longer."""
        (self.out / "ledger" / f"{folder_name(submission.student)}.json").unlink(missing_ok=True)
        folder = self.folder(submission.student)
        folder.mkdir(parents=True, exist_ok=True)
        if submission.source is None:
            (folder / "submission.py").unlink(missing_ok=True)
        else:
            write_atomically(folder / "submission.py", submission.source)
        return folder

    def finish(self, entry: Entry) -> None:
        """Now the result is there."""
        path = self.out / "ledger" / f"{folder_name(entry.student)}.json"
        write_atomically(path, json.dumps(asdict(entry), indent=1) + "\n")
        handle = os.open(path.parent, os.O_RDONLY)  # the new name lies in it
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
