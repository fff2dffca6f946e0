"""What a record says, in words: the parts of a student's page and of results.json, still unescaped but made harmless.

Of hidden cases nothing is told but how many there were and whether they held, whatever the record holds.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from minilm.homework.failures import explain
from minilm.homework.record import ClaimRecord, Record, TaskRecord
from minilm.homework.reports.cleaning import block, line
from minilm.homework.reports.comparing import Row, compare
from minilm.i18n import tr

SIGNS = {"solved": "✓", "partial": "◐", "failed": "✗", "unsolved": "○", "missing": "?", "unreadable": "!"}
OF_THE_FILE = ("syntax", "import", "unreadable")  # one cause for all tasks
NOT_OF_A_CASE = (*OF_THE_FILE, "missing", "unsolved")  # whose message cannot hold an input
CASE_LINES = 14


@dataclass(frozen=True)
class Failure:
    """A task that lost points, or several that lost them for one reason."""

    tasks: tuple[TaskRecord, ...]
    where: str  # "L3.3"
    name: str
    points: str
    state: str
    sign: str
    said: str  # what failed, in one line
    title: str
    advice: str
    at: str  # "line 12", or ""
    case: tuple[tuple[str, str], ...]
    expected: tuple[Row, ...]
    got: tuple[Row, ...]
    cause: str
    details: tuple[str, ...]
    hint: str
    read: str
    claims: tuple[tuple[str, bool, bool | None], ...]  # what, public, hidden
    counts: str


def points(value: float) -> str:
    """A number of points, without the noise of binary."""
    return f"{round(value, 2):g}"


def word_of(state: str) -> str:
    """A task's state as students read it."""
    words = {
        "solved": tr("solved"), "partial": tr("in part"), "failed": tr("fails"), "unsolved": tr("not written"),
        "missing": tr("missing"), "unreadable": tr("not read"),
    }  # fmt: skip
    return words.get(state, line(state, 40))


def held(claims: Sequence[ClaimRecord]) -> str:
    """How many of them hold: "3 of 4", or a dash where none was tried."""
    return tr("{n} of {all}", n=sum(claim.passed for claim in claims), all=len(claims)) if claims else "–"


def worked(task: TaskRecord) -> bool:
    """Whether it is an example, for which there are no points."""
    return task.points == 0


def failures(record: Record) -> list[Failure]:
    """One for each task that lost points, in their order; tasks that failed for one reason of the file, together."""
    groups: dict[object, list[TaskRecord]] = {}
    for task in record.tasks:
        if task.state == "solved" or worked(task):
            continue
        together = task.kind in OF_THE_FILE or task.state in ("unreadable", "unsolved")
        key: object = (task.state, task.kind, task.message * (task.state != "unsolved")) if together else task.number
        groups.setdefault(key, []).append(task)
    return [_failure(tasks) for tasks in groups.values()]


def _failure(tasks: list[TaskRecord]) -> Failure:
    task = tasks[0]
    shown = next((claim for claim in task.public if not claim.passed), None) if len(tasks) == 1 else None
    kind = (shown.kind if shown else "") or task.kind or task.state
    meaning = explain(kind)
    expected, got = compare(block(shown.expected), block(shown.got)) if shown and _comparable(shown) else ([], [])
    cause = task.cause if task.cause and len(tasks) == 1 else None
    return Failure(
        tuple(tasks),
        ", ".join(line(one.number, 20) for one in tasks),
        line(task.name, 60) if len(tasks) == 1 else "",
        f"{points(sum(t.earned for t in tasks))} / {points(sum(t.points for t in tasks))}",
        word_of(task.state),
        SIGNS.get(task.state, "✗"),
        what_failed(task, shown),
        meaning.title,
        meaning.advice,
        tr("line {n} of your file", n=task.line) if task.line > 0 else "",
        tuple((line(name, 40), block(value, CASE_LINES)) for name, value in shown.case[:12]) if shown else (),
        tuple(expected),
        tuple(got),
        line(cause.line) if cause else "",
        tuple(line(one) for one in cause.details[:6]) if cause else (),
        line(cause.hint, 600) if cause else "",
        line(cause.read) if cause else "",
        _claims(task) if len(tasks) == 1 else (),
        _counts(task) if len(tasks) == 1 else "",
    )  # fmt: skip


def what_failed(task: TaskRecord, shown: ClaimRecord | None) -> str:
    """The one line that says what happened. A message that may hold a hidden input is not told."""
    if shown is not None:
        what, message = line(shown.what, 200), line(shown.message)
        return message if not what or what in message else f"{what}: {message}" if message else what
    if task.message and (task.kind in NOT_OF_A_CASE or task.state in NOT_OF_A_CASE or not task.hidden):
        return line(task.message)
    lost = next((claim for claim in task.hidden if not claim.passed), None)
    if lost is None:
        return ""
    return tr(
        "{what}: it holds for all inputs that are shown, and not for some of those that are not",
        what=line(lost.what, 200),
    )


def _comparable(claim: ClaimRecord) -> bool:
    return bool(claim.expected or claim.got)


def _claims(task: TaskRecord) -> tuple[tuple[str, bool, bool | None], ...]:
    pairs = len(task.hidden) == len(task.public)
    found = []
    for i, claim in enumerate(task.public[:30]):
        found.append((line(claim.what, 200), claim.passed, task.hidden[i].passed if pairs else None))
    return tuple(found)


def _counts(task: TaskRecord) -> str:
    """How many inputs were tried."""
    public, hidden = (sum(claim.of for claim in claims) for claims in (task.public, task.hidden))
    if not public and not hidden:
        return ""
    return tr("inputs tried: {public} that may be shown, {hidden} that may not", public=public, hidden=hidden)


def notes(record: Record) -> list[str]:
    """What is to be said of the hand-in as a whole."""
    said = [line(text) for _, text in record.notes[:20]]
    if record.late:
        said.append(
            tr("Handed in late by {how_late}; points taken off: {points}",
               how_late=line(record.late[0], 60), points=points(record.late[1]))
        )  # fmt: skip
    return said


def summary(record: Record) -> str:
    """How much is done, in one sentence."""
    asked = [task for task in record.tasks if not worked(task)]
    solved = sum(task.state == "solved" for task in asked)
    if solved == len(asked):
        return tr("Every task is solved.")
    return tr("{done} of {all} tasks are solved.", done=solved, all=len(asked))
