"""Who is in the class: a list of ids, or the sheet that Moodle or Canvas exports. Student -> name, in their order."""

import csv
import io
import re
from pathlib import Path

from minilm.errors import DataError
from minilm.i18n import tr
from minilm.resources import read_text

# Headings of the columns, in lower case; the first one that is there counts.
STUDENT = ("student id", "id", "identifier", "identificador", "student", "estudiante", "alumno", "alumna")
NAME = ("full name", "nombre completo", "name", "nombre", "student", "estudiante")
FIRST, LAST = ("first name", "nombre"), ("last name", "surname", "apellido(s)", "apellidos")
MOODLE = re.compile(r"(?:participant|participante)\s+(\d+)", re.IGNORECASE)
NO_STUDENT = re.compile(r"\s*(points possible|puntos posibles|student, test)\s*", re.IGNORECASE)


def read_roster(path: Path) -> dict[str, str]:
    """Errors: DataError where nobody is in it, or somebody twice."""
    text = read_text(path)
    delimiter = max(",;\t", key=text.partition("\n")[0].count)
    rows = [(n, row) for n, row in enumerate(csv.reader(io.StringIO(text), delimiter=delimiter), 1)
            if any(cell.strip() for cell in row)]  # fmt: skip
    heading = [cell.strip().lower() for cell in rows[0][1]] if rows else []
    who = _place(heading, STUDENT)
    if who is not None:
        rows = rows[1:]
    found: dict[str, str] = {}
    for n, row in rows:
        student, name = _one(row, heading, who)
        if not student or NO_STUDENT.fullmatch(name):
            continue
        if student in found:
            raise DataError(tr("{path}, line {n}: {student} is there twice", path=path, n=n, student=student))
        found[student] = name
    if not found:
        raise DataError(
            tr("{path} names no student: wanted is a CSV with a column `student` or `ID`, or an id a line", path=path)
        )
    return found


def _one(row: list[str], heading: list[str], who: int | None) -> tuple[str, str]:
    cells = [cell.strip() for cell in row]
    if who is None:
        return cells[0], cells[1] if len(cells) > 1 else ""
    student = cells[who] if who < len(cells) else ""
    if moodle := MOODLE.fullmatch(student):
        student = moodle[1]
    name = _place(heading, NAME, but=who)
    first, last = _place(heading, FIRST, but=who), _place(heading, LAST, but=who)
    if last is not None and first is not None:
        return student, " ".join(cells[i] for i in (first, last) if i < len(cells))
    return student, cells[name] if name is not None and name < len(cells) else ""


def _place(heading: list[str], names: tuple[str, ...], but: int | None = None) -> int | None:
    return next((heading.index(name) for name in names if name in heading and heading.index(name) != but), None)
