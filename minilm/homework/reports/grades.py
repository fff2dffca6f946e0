"""grades.csv: a line for each student, sorted, the same bytes for the same records.

A cell that a spreadsheet would take for a formula begins with an apostrophe (OWASP, "CSV Injection"). The first line
names the columns in English whatever the language: programs read it.
"""

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

from minilm.homework.record import Record
from minilm.homework.reports.cleaning import line
from minilm.homework.reports.telling import worked

FORMULA = ("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠")  # fullwidth ones too: some programs fold them


def safe(text: object) -> str:
    """Text as a cell that is text for every spreadsheet. A number stays one."""
    shown = line(text)
    if not isinstance(text, (int, float)) and shown.lstrip("\"' ").startswith(FORMULA):
        return "'" + shown
    return shown


def grades(records: Sequence[Record], roster: Mapping[str, str]) -> str:
    """student, name, state, points, of, late, and the points of each task; then who is on the roster alone."""
    numbers = list(dict.fromkeys(task.number for record in records for task in record.tasks if not worked(task)))
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    head = ["student", "name", "state", "points", "of", "late", *numbers]
    writer.writerow([safe(name) for name in head])
    rows: dict[str, list[Any]] = {
        student: [student, name, "nothing", "", "", "", *("" for _ in numbers)] for student, name in roster.items()
    }
    for record in records:
        rows[record.student] = _row(record, numbers, roster)
    for student in sorted(rows):
        writer.writerow([safe(cell) for cell in rows[student]])
    return out.getvalue()


def _row(record: Record, numbers: Sequence[str], roster: Mapping[str, str]) -> list[Any]:
    earned = {task.number: round(task.earned, 4) for task in record.tasks}
    late = round(record.late[1], 4) if record.late else 0
    name = record.name or roster.get(record.student, "")
    state = "graded" if record.digest else "nothing"
    return [
        record.student,
        name,
        state,
        record.points,
        round(record.of, 4),
        late,
        *(earned.get(n, "") for n in numbers),
    ]
