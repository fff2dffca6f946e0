"""Submissions, from a file, a folder, a zip, or what Moodle and Canvas let an instructor download. Nothing runs.

Each student comes once, in order, with the bytes of one source, read once: what is graded later is these bytes. What
cannot be read is no error of the batch: the student comes without a source, and with a note that says why.

    Moodle   Ana Díaz_1234567_assignsubmission_file_/l03.py      in folders, or flat:
             Ana Díaz_1234567_assignsubmission_file_l03.py       the student is 1234567, "Participant 1234567" of its
             Participant_1234567_assignsubmission_file/l03.py    grading sheet; a team that has no number is its name
    Canvas   diazana_LATE_4711_900001_l03-1.py                   the student is 4711, the ID of its gradebook
             anon_x7Gh2_900001_l03.py                            the student is anon_x7Gh2
    others   ana.py, ana.zip, ana/…                              the student is ana
"""

import os
import re
import stat
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from minilm.errors import DataError
from minilm.homework.archives import DOWNLOAD, STUDENT, Item, Limits, Refused, printable, zip_items
from minilm.homework.assignment import count_defined
from minilm.homework.notebooks import code_of
from minilm.i18n import tr

MANIFEST = "homework.json"  # what marks a zip that `minilm homework pack` made
READ = (".py", ".ipynb")
TAR = (".tar", ".tgz", ".gz", ".bz2", ".xz", ".7z", ".rar")
LITTER = re.compile(r"__MACOSX|__pycache__|\..*|desktop\.ini|Thumbs\.db", re.IGNORECASE)  # of a path's parts
DEEP = 6  # folders in each other
NOTEBOOK = 8  # times a source's bytes for a notebook's, which holds pictures and results as well
FEW = 20  # files of which the one that was meant is chosen

MOODLE = re.compile(
    r"(?P<name>[^_]+?)(?:_(?P<id>\d+))?_assignsubmission_(?P<plugin>file|onlinetext|comments)(?:_(?P<rest>.*)|$)",
    re.DOTALL,
)
CANVAS = re.compile(
    r"(?:(?!LATE_)(?P<name>\w*?)_)?(?P<late>LATE_)?(?P<id>\d+|anon_[A-Za-z0-9]+)_(?P<file>\d+)_(?P<rest>.+)", re.DOTALL
)


class Note(NamedTuple):
    """kind: refused, missing, chosen, ignored or late; text: what a reader is told."""

    kind: str
    text: str


@dataclass(frozen=True)
class Submission:
    """What one student handed in. student: as the school's system calls them; name: as people do, or "".

    source: Python, as bytes, or None where there is none to be graded; file: which one it was.
    """

    student: str
    name: str
    source: bytes | None
    file: str
    notes: tuple[Note, ...] = ()


class _Whose(NamedTuple):
    """Who handed a file in, and what the file is called without that."""

    student: str
    name: str
    rest: tuple[str, ...]
    late: bool = False
    text: bool = False  # typed into Moodle's page: HTML, not a file


def submissions(
    path: Path, lesson: str, names: Collection[str], limits: Limits = STUDENT, download: Limits = DOWNLOAD
) -> Iterator[Submission]:
    """Every student's submission in a file, a folder or a zip, in the order of their ids.

    lesson: "l03", names: those of its tasks, by which the right one of several files is known. Errors: DataError where
    `path` itself cannot be read.
    """
    if not path.exists():
        raise DataError(tr("there is no file or folder {path}: check its name", path=path))
    items = list(folder_items(path, limits) if path.is_dir() else _items_of_file(path, download))
    if path.is_file() and _is_one_students(items, lesson):
        name = printable(path.name)
        whose, item = _Whose(printable(path.stem), "", (name,)), file_item(path.resolve(), (name,))
        yield _submission(whose.student, [(whose, item)], lesson, names, limits)
        return
    items = [item for item in items if not any(LITTER.fullmatch(part) and part != ".." for part in item.parts)]
    groups: dict[str, list[tuple[_Whose, Item]]] = {}
    canvas = _is_of_canvas([item.parts for item in items])
    for item in items:
        if ".." in item.parts:
            raise DataError(tr("{path} cannot be read: {reason}", path=path, reason=item.problem))
        whose = whose_is(item.parts, canvas)
        groups.setdefault(whose.student, []).append((whose, item))
    for student in sorted(groups):
        yield _submission(student, groups[student], lesson, names, limits)


def _items_of_file(path: Path, download: Limits) -> list[Item]:
    if path.suffix.lower() in READ:
        return [file_item(path)]
    try:
        return zip_items(path, download)
    except Refused as error:
        raise DataError(tr("{path} cannot be read: {reason}", path=path, reason=error)) from error


def _is_one_students(items: list[Item], lesson: str) -> bool:
    """Whether a file is what one student hands in, rather than what an instructor downloads."""
    top = {item.parts[0].lower() for item in items}
    alone = len(items) == 1 and items[0].path.lower().endswith(READ) and len(items[0].parts) == 1
    return alone or bool(top & {MANIFEST, *(f"{lesson}{end}" for end in READ)})


def _is_of_canvas(paths: list[tuple[str, ...]]) -> bool:
    """Whether files are named by Canvas: all of them, each with a number of its own, and each student with one name.

    So `ana_2024_05_l03.py` and `luis_2024_05_l03.py` are not.
    """
    found = [CANVAS.fullmatch(parts[0]) for parts in paths if len(parts) == 1]
    matches = [match for match in found if match]
    names = {(match["id"], match["name"]) for match in matches}
    files = {match["file"] for match in matches}
    ids = {student for student, _ in names}
    return len(matches) == len(paths) and len(files) == len(matches) and len(ids) == len(names)


def whose_is(parts: tuple[str, ...], canvas: bool = False) -> _Whose:
    """The student that a path within a batch belongs to. canvas: the batch is a download of Canvas."""
    top, below = parts[0], parts[1:]
    if moodle := MOODLE.fullmatch(top):
        student, rest = moodle["id"] or moodle["name"], (moodle["rest"],) if moodle["rest"] else ()
        return _Whose(student, moodle["name"], (*rest, *below), text=moodle["plugin"] != "file")
    if canvas and (match := CANVAS.fullmatch(top)):
        return _Whose(match["id"], match["name"] or "", (match["rest"],), late=bool(match["late"]))
    return _Whose(top if below else os.path.splitext(top)[0], "", below or (top,))


# ------------------------------------------------------------------------------------------------------- one student


def _submission(
    student: str, given: list[tuple[_Whose, Item]], lesson: str, names: Collection[str], limits: Limits
) -> Submission:
    """The one file of all those a student handed in that is to be graded."""
    name = given[0][0].name
    notes = [Note("late", tr("handed in late, says Canvas"))] if any(w.late for w, _ in given) else []

    def without(*more: Note) -> Submission:
        return Submission(student, name, None, "", (*notes, *more))

    if len(given) > limits.members:
        return without(Note("refused", tr("there are more than {most} files; hand in the one that was asked for",
                                          most=limits.members)))  # fmt: skip
    try:
        found = list(_unpacked(given, limits, notes))
    except Refused as error:
        return without(Note("refused", str(error)))
    if not found:
        return without(
            Note("missing", tr("there is no Python file and no notebook: hand in {name}", name=f"{lesson}.py"))
        )
    sources: list[tuple[str, bytes]] = []
    for file, item in _likely(found, lesson)[:FEW]:
        try:
            sources.append((file, read_source(item, limits)))
        except Refused as error:
            notes.append(Note("refused", str(error)))
    if not sources:
        return without()
    best = max(range(len(sources)), key=lambda i: (count_defined(sources[i][1], list(names)), -i))
    file, source = sources[best]
    if len(found) > 1:
        notes.append(Note("chosen", tr("of {n} files, {file} is graded", n=len(found), file=file)))
    return Submission(student, name, source, file, tuple(notes))


def _unpacked(given: list[tuple[_Whose, Item]], limits: Limits, notes: list[Note]) -> Iterator[tuple[str, Item]]:
    """The Python files and notebooks, those within zips too, each with its path in what was handed in."""
    for whose, item in given:
        file = "/".join(whose.rest) or item.parts[-1]
        if item.problem:
            raise Refused(item.problem)
        end = os.path.splitext(file.lower())[1]
        if end == ".zip":
            for inner in zip_items(item.read(limits.archive), limits):
                if inner.problem:
                    raise Refused(inner.problem)
                if any(LITTER.fullmatch(part) for part in inner.parts):
                    continue
                if inner.path.lower().endswith(".zip"):
                    notes.append(Note("ignored", tr("{file} is a zip in a zip, and is not opened", file=inner.path)))
                elif inner.path.lower().endswith(READ):
                    yield f"{file}/{inner.path}", inner
        elif end in READ:
            yield file, item
        elif end in TAR:
            text = tr("{file} is not opened: hand in the .py, or the zip that `minilm homework pack` makes", file=file)
            notes.append(Note("ignored", text))
        elif whose.text:
            notes.append(Note("ignored", tr("what was typed into the page is not read: hand in the file")))


def _likely(found: list[tuple[str, Item]], lesson: str) -> list[tuple[str, Item]]:
    """The files, those first that are named as the lesson's, then Python before notebooks, then what lies on top."""

    def key(pair: tuple[str, Item]) -> tuple:
        stem, end = os.path.splitext(pair[0].rpartition("/")[2].lower())
        return stem != lesson, not stem.startswith(lesson), end != ".py", pair[0].count("/"), pair[0]

    return sorted(found, key=key)


def read_source(item: Item, limits: Limits) -> bytes:
    """The Python of a file or a notebook, read now and once. Refused where it is too long, or cannot be read."""
    if item.path.lower().endswith(".ipynb"):
        code = code_of(item.read(NOTEBOOK * limits.source), item.parts[-1])
        if len(code) > limits.source:
            raise Refused(tr("{name} has more than {most} bytes", name=item.parts[-1], most=limits.source))
        return code
    return item.read(limits.source)


# ------------------------------------------------------------------------------------------------------ files, folders


def file_item(path: Path, parts: tuple[str, ...] = ()) -> Item:
    """A file of the disk; whatever is no regular file has a problem instead of contents."""

    def read(most: int) -> bytes:
        try:
            handle = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
        except OSError as error:
            raise Refused(
                tr("{file} cannot be read ({reason})", file=printable(path.name), reason=error.strerror)
            ) from error
        with os.fdopen(handle, "rb") as file:
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                raise Refused(tr("{file} is a link or no file at all", file=printable(path.name)))
            data = file.read(most + 1)
        if len(data) > most:
            raise Refused(tr("{name} has more than {most} bytes", name=printable(path.name), most=most))
        return data

    return Item(parts or (printable(path.name),), read)


def folder_items(folder: Path, limits: Limits) -> Iterator[Item]:
    """The files below a folder, links not followed, and of each entry of it no more than one beyond the limit."""
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        for count, item in enumerate(_walk(entry, (), 0)):
            yield item
            if count > limits.members:
                break


def _walk(entry: os.DirEntry, above: tuple[str, ...], depth: int) -> Iterator[Item]:
    parts = (*above, printable(entry.name))
    if LITTER.fullmatch(entry.name):
        return
    if entry.is_symlink() or not (entry.is_file() or entry.is_dir()):
        yield Item(parts, _unreadable, tr("{file} is a link or no file at all", file=parts[-1]))
    elif entry.is_file():
        yield file_item(Path(entry.path), parts)
    elif depth >= DEEP:
        yield Item(parts, _unreadable, tr("{file}: more than {deep} folders in each other", file=parts[-1], deep=DEEP))
    else:
        try:
            inner = sorted(os.scandir(entry.path), key=lambda entry: entry.name)
        except OSError as error:
            yield Item(
                parts, _unreadable, tr("{file} cannot be read ({reason})", file=parts[-1], reason=error.strerror)
            )
            return
        for one in inner:
            yield from _walk(one, parts, depth + 1)


def _unreadable(most: int) -> bytes:
    raise Refused(tr("it cannot be read"))
