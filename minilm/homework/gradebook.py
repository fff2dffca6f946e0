"""The grade sheet that Moodle or Canvas exported, filled in from a batch's records, and otherwise untouched.

    Moodle   the grading worksheet of an assignment: Identifier ("Participant 1234567"), Grade, Maximum Grade, Grade can
             be changed, Feedback comments; in English or Spanish
    Canvas   the export of the gradebook: Student, ID, SIS User ID, SIS Login ID, Section, a column for each assignment,
             a row "Points Possible"

Points are scaled to the sheet's own maximum. Students of the sheet who are in no record keep what they have.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

from minilm.errors import ConfigError, DataError
from minilm.homework.record import Record
from minilm.homework.reports.cleaning import line
from minilm.homework.reports.telling import SIGNS, points, word_of, worked
from minilm.homework.sheets import Cell, Sheet
from minilm.i18n import speaking, tr

IDENTIFIER = {"identifier", "identificador"}
GRADE = {"grade", "calificación", "calificacion", "nota"}
MAXIMUM = {"maximum grade", "calificación máxima", "calificacion maxima", "nota máxima", "nota maxima"}
FEEDBACK = re.compile(r"feedback comments|comentarios de retroalimentación|(?:retroalimentación|comentarios).*")
LOCKED = re.compile(
    r"(?:the )?grade can be changed|.*calificación puede (?:ser )?(?:cambiar|cambiarse|cambiada|modificar).*"
)
OTHER_IDS = {"id number", "número de id", "numero de id", "email address", "dirección de correo", "username",
             "nombre de usuario", "sis user id", "sis login id", "integration id"}  # fmt: skip
CANVAS_OWN = {"student", "estudiante", "id", "sis user id", "sis login id", "integration id", "section", "sección",
              "root account"}  # fmt: skip
POSSIBLE = re.compile(r"\s*(?:points possible|puntos posibles)\s*", re.IGNORECASE)
NO_TAGS = str.maketrans("<>", "‹›")  # Moodle shows feedback as HTML, and a cause may quote the student
READ_ONLY = re.compile(r".*\((?:read only|solo lectura)\)\s*", re.IGNORECASE)


@dataclass
class Filled:
    """What was done. data: the sheet's new bytes; left: students of the sheet without a record; locked: whose grade the
    sheet does not let change; unknown: records that the sheet does not have."""

    data: bytes
    column: str
    students: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    locked: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    scaled: tuple[float, float] | None = None


@dataclass(frozen=True)
class _Layout:
    """Where things stand. ids: columns by which a student may be known, the surest first; first: the first student."""

    ids: tuple[int, ...]
    grade: int
    feedback: int | None
    locked: int | None
    maximum: Callable[[Sequence[Cell]], str]
    students: tuple[int, ...]
    name: int


def read_records(out: Path) -> list[Record]:
    """The records of a batch's folder. DataError where there is none, or one that cannot be read."""
    paths = sorted((out / "students").glob("*/record.json"))
    if not paths:
        raise DataError(tr("{path} holds no results: give the folder that `minilm grade --out` wrote", path=out))
    records = []
    for path in paths:
        try:
            records.append(Record.from_json(path.read_text("utf-8")))
        except (ValueError, KeyError, TypeError, OSError) as error:
            raise DataError(tr("{path} cannot be read ({reason})", path=path, reason=error)) from error
    return sorted(records, key=lambda record: record.student)


def fill(sheet_path: Path, records: Sequence[Record], column: str | None = None) -> Filled:
    """Fill a sheet in. column: the heading of the grades', if it is not clear.

    Errors: DataError where the sheet is none of the two, or a row belongs to two records; ConfigError where the column
    is not there, or not clear.
    """
    try:
        sheet = Sheet.read(sheet_path.read_bytes(), str(sheet_path))
    except OSError as error:
        raise DataError(tr("{path} cannot be read ({reason})", path=sheet_path, reason=error.strerror)) from error
    heading = [cell.text.strip() for cell in sheet.rows[0]]
    layout = _moodle(sheet, heading, column) or _canvas(sheet, heading, column, records)
    if layout is None:
        raise DataError(
            tr("{path} is no sheet of Moodle or Canvas: it has neither a column Identifier nor the columns Student and "
               "ID", path=sheet_path)
        )  # fmt: skip
    return _filled(sheet, layout, heading, records, sheet_path)


# ------------------------------------------------------------------------------------------------------------- layouts


def _moodle(sheet: Sheet, heading: list[str], column: str | None) -> _Layout | None:
    lower = [name.lower() for name in heading]
    who = next((i for i, name in enumerate(lower) if name in IDENTIFIER), None)
    if who is None:
        return None
    grade = _named(heading, column) if column else _first(lower, GRADE.__contains__)
    if grade is None:
        raise _no_column(column, heading)
    top = _first(lower, MAXIMUM.__contains__)
    others = [i for i, name in enumerate(lower) if name in OTHER_IDS]
    return _Layout(
        (who, *others), grade, _first(lower, lambda name: bool(FEEDBACK.fullmatch(name))),
        _first(lower, lambda name: bool(LOCKED.fullmatch(name))),
        lambda row: row[top].text if top is not None and top < len(row) else "",
        tuple(range(1, len(sheet.rows))), min(who + 1, len(heading) - 1),
    )  # fmt: skip


def _canvas(sheet: Sheet, heading: list[str], column: str | None, records: Sequence[Record]) -> _Layout | None:
    lower = [name.lower() for name in heading]
    who = _first(lower, "id".__eq__)
    if who is None or lower[0] not in ("student", "estudiante"):
        return None
    assignments = [i for i, name in enumerate(lower) if name not in CANVAS_OWN and not READ_ONLY.fullmatch(name)]
    grade = _named(heading, column) if column else _meant([heading[i] for i in assignments], assignments, records)
    if grade is None or grade not in assignments:
        raise _no_column(column, [heading[i] for i in assignments])
    possible = next((row for row in sheet.rows[1:] if POSSIBLE.fullmatch(row[0].text)), None)
    top = possible[grade].text if possible and grade < len(possible) else ""
    students = tuple(i for i, row in enumerate(sheet.rows) if i and who < len(row) and row[who].text.strip())
    others = [i for i, name in enumerate(lower) if name in OTHER_IDS]
    return _Layout((who, *others), grade, None, None, lambda row: top, students, 0)


def _meant(names: list[str], places: list[int], records: Sequence[Record]) -> int | None:
    """The only assignment, or the only one that is called like the lesson."""
    if len(places) == 1:
        return places[0]
    wanted = {word.lower() for record in records[:1] for word in (record.lesson, record.title) if word}
    found = [
        i
        for i, name in zip(places, names, strict=True)
        if any(re.search(rf"(?<!\w){re.escape(word)}(?!\w)", name.lower()) for word in wanted)
    ]
    return found[0] if len(found) == 1 else None


def _named(heading: list[str], column: str) -> int | None:
    """A column by its heading, with or without the number that Canvas puts behind: "Homework 3 (4711)"."""
    for names in (heading, [re.sub(r"\s*\(\d+\)$", "", name) for name in heading]):
        found = [i for i, name in enumerate(names) if name.lower() == column.strip().lower()]
        if len(found) == 1:
            return found[0]
    return None


def _no_column(column: str | None, names: Sequence[str]) -> ConfigError:
    known = ", ".join(line(name, 60) for name in names)
    if column:
        return ConfigError(tr("--column is {column!r}; there are: {known}", column=column, known=known))
    return ConfigError(tr("which column is for these grades? Say it with --column; there are: {known}", known=known))


def _first(names: Sequence[str], wanted: Callable[[str], bool]) -> int | None:
    return next((i for i, name in enumerate(names) if wanted(name)), None)


# ------------------------------------------------------------------------------------------------------------- filling


def _filled(sheet: Sheet, layout: _Layout, heading: list[str], records: Sequence[Record], path: Path) -> Filled:
    rows = _matched(sheet, layout, records, path)
    done = Filled(b"", heading[layout.grade])
    cells: dict[tuple[int, int], str] = {}
    comma = _comma(sheet, layout)
    for i in layout.students:
        row = sheet.rows[i]
        shown = line(row[layout.name].text or row[layout.ids[0]].text, 80)
        record = rows.get(i)
        if record is None:
            done.left.append(shown)
        elif _is_locked(row, layout):
            done.locked.append(shown)
        elif layout.grade >= len(row):
            raise DataError(tr("{path}: the row of {student} has too few cells", path=path, student=shown))
        else:
            grade, scaled = _scaled(record, layout.maximum(row))
            done.scaled = scaled or done.scaled
            cells[i, layout.grade] = grade.replace(".", ",") if comma else grade
            if layout.feedback is not None and layout.feedback < len(row):
                cells[i, layout.feedback] = feedback(record)
            done.students.append(record.student)
    matched = {record.student for record in rows.values()}
    done.unknown = [line(record.student, 80) for record in records if record.student not in matched]
    done.data = sheet.filled(cells)
    return done


def _matched(sheet: Sheet, layout: _Layout, records: Sequence[Record], path: Path) -> dict[int, Record]:
    """Row -> record. A student is looked for in one column after the other, where a text stands in one row only."""
    found: dict[int, Record] = {}
    tables = [_by_id(sheet, layout, column) for column in layout.ids]
    for record in records:
        i = next((table[key] for table in tables for key in [record.student.lower()] if key in table), None)
        if i is None:
            continue
        if i in found:
            raise DataError(
                tr("{path}: {one} and {other} are one student in the sheet", path=path, one=found[i].student,
                   other=record.student)
            )  # fmt: skip
        found[i] = record
    return found


def _by_id(sheet: Sheet, layout: _Layout, column: int) -> dict[str, int]:
    table: dict[str, list[int]] = {}
    for i in layout.students:
        row = sheet.rows[i]
        text = row[column].text.strip().lower() if column < len(row) else ""
        if column == layout.ids[0] and (number := re.fullmatch(r"[^\W\d]+\s*(\d+)", text)):
            text = number[1]  # "Participant 1234567"
        for key in {text, text.partition("@")[0]} - {""}:
            table.setdefault(key, []).append(i)
    return {key: rows[0] for key, rows in table.items() if len(rows) == 1}


def _is_locked(row: Sequence[Cell], layout: _Layout) -> bool:
    at = layout.locked
    return at is not None and at < len(row) and row[at].text.strip().lower() == "no"


def _comma(sheet: Sheet, layout: _Layout) -> bool:
    """Whether the sheet writes 7,5: some number of its grades or maxima does, or cells are parted by semicolons."""
    texts = [row[layout.grade].text for row in sheet.rows[1:] if layout.grade < len(row)]
    texts += [layout.maximum(row) for row in sheet.rows[1:]]
    if any(re.fullmatch(r"\s*\d+,\d+\s*", text) for text in texts):
        return True
    return sheet.delimiter == ";" and not any(re.fullmatch(r"\s*\d+\.\d+\s*", text) for text in texts)


def _scaled(record: Record, maximum: str) -> tuple[str, tuple[float, float] | None]:
    """The grade in the sheet's own points, and (of, maximum) where these differ."""
    found = re.fullmatch(r"\s*(\d+(?:[.,]\d+)?)\s*", maximum)
    top = Fraction(found[1].replace(",", ".")) if found else Fraction(0)
    of, earned = Fraction(str(round(record.of, 4))), Fraction(str(record.points))
    if not top or not of or top == of:
        return f"{round(record.points, 2):.2f}", None
    return f"{round(float(earned * top / of), 2):.2f}", (record.of, float(top))


def feedback(record: Record) -> str:
    """A line for each task, in the record's language: what was earned, and the cause where something is wrong."""
    with speaking(record.lang):
        lines = []
        for task in record.tasks:
            if worked(task):
                continue
            sign = SIGNS.get(task.state, "✗")
            said = (
                f"{sign} {line(task.number, 20)} {line(task.name, 60)}: {points(task.earned)} / {points(task.points)}"
            )
            cause = line(task.cause.line, 200) if task.cause else ""
            lines.append(f"{said}, {word_of(task.state)}" + (f". {cause}" if cause else ""))
        if record.late:
            lines.append(tr("late; points taken off: {points}", points=points(record.late[1])))
        return "\n".join(lines).translate(NO_TAGS)
