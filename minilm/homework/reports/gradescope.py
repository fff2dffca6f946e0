"""results.json, as Gradescope's autograder reads it (its documentation: "Autograder specifications")."""

import json
from collections.abc import Iterator
from typing import Any

from minilm.homework.record import Record, TaskRecord
from minilm.homework.reports.cleaning import block, line
from minilm.homework.reports.comparing import Row
from minilm.homework.reports.telling import Failure, failures, held, notes, summary, worked
from minilm.i18n import tr


def results(record: Record) -> str:
    """The JSON, in the language in use. Nothing in it is HTML: its texts are shown as they are."""
    found = failures(record)
    parts = [summary(record), *notes(record)]
    if record.printed.strip():
        parts += ["", tr("Your file printed:"), block(record.printed)]
    data = {
        "score": record.points,
        "output": "\n".join(parts),
        "output_format": "text",
        "test_output_format": "text",
        "test_name_format": "text",
        "visibility": "visible",
        "stdout_visibility": "hidden",
        "tests": [_test(task, found) for task in record.tasks if not worked(task)],
    }
    return json.dumps(data, ensure_ascii=False, indent=1) + "\n"


def _test(task: TaskRecord, found: list[Failure]) -> dict[str, Any]:
    failure = next((one for one in found if task in one.tasks), None)
    lines = [tr("public: {public}; hidden: {hidden}", public=held(task.public), hidden=held(task.hidden))]
    return {
        "number": line(task.number, 20),
        "name": line(task.name, 60),
        "score": round(task.earned, 4),
        "max_score": round(task.points, 4),
        "status": "passed" if task.state == "solved" else "failed",
        "output": "\n".join(lines + (list(told(failure)) if failure else [])),
        "output_format": "text",
        "visibility": "visible",
    }


def told(failure: Failure) -> Iterator[str]:
    """A failure as lines of text."""
    yield f"{failure.sign} {failure.title}: {failure.said}" if failure.said else f"{failure.sign} {failure.title}"
    if failure.at:
        yield failure.at
    if failure.case:
        yield from ("", tr("Smallest input on which it fails"))
        for name, value in failure.case:
            yield from _indented(f"{name} = ", value)
    for title, rows in ((tr("Expected"), failure.expected), (tr("Got"), failure.got)):
        if rows:
            yield from ("", title)
            yield from (f"{'≠' if row.differs else ' '} {_text(row)}" for row in rows)
    if failure.cause:
        yield from ("", tr("Likely cause"), failure.cause, *failure.details)
    yield from ("", tr("What to try"), *filter(None, [failure.hint, failure.advice]))
    if failure.read:
        yield from ("", tr("Where to read"), failure.read)


def _indented(name: str, value: str) -> Iterator[str]:
    for i, one in enumerate(value.split("\n")):
        yield (name if i == 0 else " " * len(name)) + one


def _text(row: Row) -> str:
    return "".join(span.text for span in row.spans)
