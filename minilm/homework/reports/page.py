"""A student's page: what was earned, and for each task that lost points what to look at next."""

from typing import Any

from minilm.homework.record import Record, TaskRecord
from minilm.homework.reports.cleaning import block, line
from minilm.homework.reports.rendering import render
from minilm.homework.reports.telling import SIGNS, Failure, failures, held, notes, points, summary, word_of, worked
from minilm.i18n import tr


def page(record: Record) -> str:
    """The HTML, in the language in use."""
    found = failures(record)
    who, name = line(record.student, 80), line(record.name, 120)
    return render(
        "student.html",
        lesson=line(record.lesson, 40),
        title=line(record.title, 120),
        who=name or who,
        id=who if name else "",
        summary=summary(record),
        earned=points(record.points),
        of=points(record.of),
        share=round(100 * min(1.0, record.points / record.of), 2) if record.of else 0,
        notes=notes(record),
        rows=[_row(task, found) for task in record.tasks],
        failures=found,
        states=list(SIGNS),
        printed=block(record.printed) if record.printed.strip() else "",
        footer=_footer(record),
        words=_words(),
    )


def _row(task: TaskRecord, found: list[Failure]) -> dict[str, Any]:
    at = next((i for i, failure in enumerate(found, 1) if task in failure.tasks), 0)
    example = worked(task)
    return {
        "number": line(task.number, 20),
        "name": line(task.name, 60),
        "link": f"t{at}" if at else "",
        "css": task.state if task.state in SIGNS and not example else "",
        "sign": "·" if example else SIGNS.get(task.state, "✗"),
        "state": tr("example") if example else word_of(task.state),
        "points": "–" if example else f"{points(task.earned)} / {points(task.points)}",
        "public": held(task.public),
        "hidden": held(task.hidden),
    }


def _footer(record: Record) -> list[str]:
    lines = [tr("graded by minilm {version}", version=line(record.version, 40))]
    if record.file:
        lines.append(tr("what was graded: {file}", file=line(record.file, 120)))
    if record.digest:
        lines.append(f"SHA-256 {line(record.digest, 64)}")
    return lines


def _words() -> dict[str, str]:
    return {
        "homework": tr("Homework"),
        "tasks": tr("Tasks"),
        "task": tr("task"),
        "state": tr("state"),
        "points": tr("points"),
        "public": tr("public"),
        "hidden": tr("hidden"),
        "about_hidden": tr(
            "The same properties are tried twice: on inputs that you may see, and on inputs that stay hidden. Points "
            "are for the properties that hold on both."
        ),
        "to_do": tr("What to look at"),
        "cause": tr("Likely cause"),
        "case": tr("Smallest input on which it fails"),
        "expected": tr("Expected"),
        "got": tr("Got"),
        "next": tr("What to try"),
        "read": tr("Where to read"),
        "properties": tr("What has to hold"),
        "yes": tr("holds"),
        "no": tr("fails"),
        "printed": tr("What your file printed"),
    }
