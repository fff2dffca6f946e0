"""The class's page: how the points are spread, which tasks and misconceptions cost them, and where to look twice."""

import math
import statistics
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from minilm.homework.diagnosis.diagnosing import ENDING, NOTHING_WRONG, UNKNOWN
from minilm.homework.failures import explain
from minilm.homework.record import Record, TaskRecord
from minilm.homework.reports.cleaning import line
from minilm.homework.reports.rendering import render
from minilm.homework.reports.similarity import Alike
from minilm.homework.reports.telling import notes, points, worked
from minilm.i18n import tr

NOT_A_CAUSE = ("", UNKNOWN, NOTHING_WRONG, *ENDING)
SLOWEST, FEW, NAMED = 10, 40, 12
BARS, TALL = 10, 120  # of the histogram: how many, and the height of the highest


def overview(
    records: Sequence[Record],
    alike: Alike,
    seconds: Mapping[str, float],
    roster: Mapping[str, str],
    folders: Mapping[str, str],
    layers: Sequence[str] = (),
) -> str:
    """The HTML, in the language in use. folders: student -> the name of the folder with the page."""
    people = _People(records, roster, folders)
    first = records[0] if records else None
    return render(
        "overview.html",
        lesson=line(first.lesson, 40) if first else "",
        title=line(first.title, 120) if first else "",
        facts=_facts(records, roster),
        chart=_chart([record.points for record in records], records[0].of if records else 0),
        tasks=_tasks(records),
        causes=_causes(records, people),
        kinds=_kinds(records),
        slowest=_slowest(records, seconds, people),
        suspicious=_suspicious(records, people),
        groups=[[people.of(student) for student in group[:FEW]] for group in alike.groups],
        pairs=[
            {"who": [people.of(s) for s in pair.students], "share": f"{100 * pair.share:.0f} %",
             "lines": [line(at, 80) for at in pair.lines]}
            for pair in alike.pairs
        ],
        noted=[(people.of(r.student), notes(r)) for r in records if notes(r)],
        absent=[people.of(student) for student in sorted(roster) if student not in people.known],
        students=[_student(record, people) for record in records],
        footer=_footer(first, layers),
        words=_words(),
    )  # fmt: skip


class _People:
    """Students as they are named in the page: id, name, and where their own page is."""

    def __init__(self, records: Sequence[Record], roster: Mapping[str, str], folders: Mapping[str, str]):
        self.known = {record.student: record for record in records}
        self._roster, self._folders = roster, folders

    def of(self, student: str) -> dict[str, str]:
        record = self.known.get(student)
        name = (record.name if record else "") or self._roster.get(student, "")
        folder = self._folders.get(student, "")
        return {
            "id": line(student, 60),
            "name": line(name, 80),
            "page": f"students/{folder}/index.html" if _is_plain(folder) else "",
        }


def _is_plain(folder: str) -> bool:
    """Whether a folder's name needs no escape in an address. Others are not linked to."""
    return (
        bool(folder) and not folder.startswith(".") and all(c.isascii() and (c.isalnum() or c in "._-") for c in folder)
    )


def _facts(records: Sequence[Record], roster: Mapping[str, str]) -> list[tuple[str, str]]:
    earned = [record.points for record in records]
    facts = [(str(len(records)), tr("graded"))]
    if roster:
        absent = sum(student not in {record.student for record in records} for student in roster)
        facts.append((str(absent), tr("handed in nothing")))
    if earned:
        full = sum(p >= record.of for p, record in zip(earned, records, strict=True))
        facts += [
            (f"{points(statistics.median(earned))} / {points(records[0].of)}", tr("median")),
            (points(statistics.fmean(earned)), tr("mean")),
            (str(full), tr("with all points")),
            (str(sum(record.late is not None for record in records)), tr("late")),
        ]
    return facts


def _chart(earned: Sequence[float], of: float) -> dict[str, Any]:
    """A histogram as rectangles: the points in up to BARS ranges of equal width, the last one closed."""
    if not earned or of <= 0:
        return {"bars": []}
    width = next((w for w in (0.5, 1, 2, 2.5, 5, 10, 20, 25, 50, 100) if of / w <= BARS), of / BARS)
    n = max(1, math.ceil(of / width - 1e-9))
    counts = Counter(min(int(max(0.0, p) / width + 1e-9), n - 1) for p in earned)
    most, step = max(counts.values()), 420 / n
    bars = []
    for i in range(n):
        tall = TALL * counts[i] / most
        low, high = i * width, min((i + 1) * width, of)
        bars.append({
            "x": round(i * step + 2, 2), "y": round(TALL + 20 - tall, 2), "width": round(step - 4, 2),
            "height": round(tall, 2), "middle": round((i + 0.5) * step, 2), "count": counts[i] or "",
            "label": f"{low:g}–{high:g}",
        })  # fmt: skip
    said = "; ".join(f"{bar['label']}: {bar['count'] or 0}" for bar in bars)
    return {"bars": bars, "said": tr("How many students have how many points: {said}", said=said)}


def _tasks(records: Sequence[Record]) -> list[dict[str, Any]]:
    """For each task how it went."""
    by_number: dict[str, list[TaskRecord]] = defaultdict(list)
    for record in records:
        for task in record.tasks:
            if not worked(task):
                by_number[task.number].append(task)
    rows = []
    for number, tasks in by_number.items():
        n = len(tasks)
        states = Counter(task.state for task in tasks)
        shares = [task.earned / task.points for task in tasks]
        rows.append({
            "number": line(number, 20), "name": line(tasks[0].name, 60), "points": points(tasks[0].points),
            "mean": points(statistics.fmean(task.earned for task in tasks)),
            "solved": states["solved"], "partial": states["partial"], "failed": states["failed"],
            "rest": n - states["solved"] - states["partial"] - states["failed"],
            "all": round(100 * states["solved"] / n, 2), "share": round(100 * statistics.fmean(shares), 2),
        })  # fmt: skip
    return rows


def _causes(records: Sequence[Record], people: _People) -> list[dict[str, Any]]:
    """The misconceptions, the most frequent first: task, name, hint, how many, who."""
    who: dict[tuple[str, str], list[str]] = defaultdict(list)
    hints: dict[tuple[str, str], str] = {}
    for record in records:
        for task in record.tasks:
            cause = task.cause
            if cause is None or (not cause.misconception and cause.cause in NOT_A_CAUSE):
                continue
            key = (task.number, cause.misconception or cause.cause)
            who[key].append(record.student)
            hints.setdefault(key, cause.hint or cause.line)
    order = sorted(who, key=lambda key: (-len(who[key]), key))
    return [
        {"number": line(key[0], 20), "name": line(key[1], 60).replace("_", " "), "hint": line(hints[key]),
         "count": len(who[key]), "share": f"{100 * len(who[key]) / len(records):.0f} %",
         "who": [people.of(student) for student in who[key][:NAMED]],
         "more": tr("and {n} more", n=len(who[key]) - NAMED) if len(who[key]) > NAMED else ""}
        for key in order[:FEW]
    ]  # fmt: skip


def _kinds(records: Sequence[Record]) -> list[tuple[str, int]]:
    """In which way tasks fail, and how many do."""
    counts = Counter(task.kind for record in records for task in record.tasks if task.kind)
    return [(explain(kind).title, n) for kind, n in sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))[:FEW]]


def _slowest(records: Sequence[Record], seconds: Mapping[str, float], people: _People) -> list[tuple[dict, str]]:
    known = [record.student for record in records if record.student in seconds]
    order = sorted(known, key=lambda student: (-seconds[student], student))[:SLOWEST]
    return [(people.of(student), f"{seconds[student]:.1f} s") for student in order]


def _suspicious(records: Sequence[Record], people: _People) -> list[tuple[dict, list[str]]]:
    return [
        (
            people.of(record.student),
            [tr("line {n}: {what}", n=n, what=line(what, 120)) for n, what in record.suspicious[:NAMED]],
        )
        for record in records
        if record.suspicious
    ]


def _student(record: Record, people: _People) -> dict[str, Any]:
    return {
        **people.of(record.student),
        "points": points(record.points),
        "late": points(record.late[1]) if record.late else "",
        "tasks": [points(task.earned) for task in record.tasks if not worked(task)],
    }


def _footer(first: Record | None, layers: Sequence[str]) -> list[str]:
    lines = [tr("graded by minilm {version}", version=line(first.version, 40))] if first else []
    if layers:
        lines.append(tr("what kept the students' files apart: {layers}", layers=", ".join(line(x, 60) for x in layers)))
    return lines


def _words() -> dict[str, str]:
    return {
        "overview": tr("Overview"), "distribution": tr("How the points are spread"), "tasks": tr("Tasks"),
        "task": tr("task"), "points": tr("points"), "mean": tr("mean"), "solved": tr("solved"),
        "partial": tr("in part"), "failed": tr("fails"), "rest": tr("not written or not read"),
        "share": tr("share of the points"), "causes": tr("Misconceptions"),
        "about_causes": tr("Named by the doctor, where it is sure. The question is the one that the student is asked."),
        "misconception": tr("misconception"), "students": tr("students"), "student": tr("student"),
        "count": tr("how many"), "kinds": tr("How tasks fail"), "slowest": tr("Slowest"),
        "suspicious": tr("Suspicious imports and names"),
        "about_suspicious": tr("Nothing of this cost points. Most have a harmless reason; read the lines."),
        "alike": tr("Nearly the same"),
        "about_alike": tr(
            "Files that agree once names, numbers, texts and comments no longer count, and what was handed out and "
            "what much of the class shares is taken off. It says where to look, and proves nothing."
        ),
        "same": tr("The same but for names, numbers, texts and comments:"), "agree": tr("agreement"),
        "lines": tr("lines"), "noted": tr("Of the hand-ins"), "absent": tr("Handed in nothing"), "none": tr("none"),
        "late": tr("late"), "everyone": tr("Everyone"),
    }  # fmt: skip
