"""Handed in late: times, a deadline and a rule such as "10% per day, at most 50%" give the points to take off.

Every unit that has begun counts whole, and a share is of the points that the homework gives in all, as Canvas has it;
"10% of earned per day" takes it of what the student has earned. Grace excuses who comes within it, and shifts nothing.
"""

import csv
import io
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone, tzinfo
from fractions import Fraction
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from minilm.errors import ConfigError, DataError
from minilm.homework.record import Record
from minilm.i18n import speaking, tr
from minilm.resources import read_text

NUMBER = r"(?P<{0}>\d+(?:[.,]\d+)?)\s*(?P<{0}_unit>%|points?|puntos?)"
RULE = re.compile(
    NUMBER.format("rate")
    + r"(?P<earned>\s+(?:of|de)\s+(?:the\s+|lo\s+)?(?:earned|obtenido)(?:\s+points)?)?"
    + r"\s*(?:per|a|each|every|por|cada|/)\s*(?P<every>day|hour|week|día|dia|hora|semana)"
    + r"(?:\s*[,;]?\s*(?:at most|max(?:imum)?\.?|como máximo|máximo|maximo|hasta)\s+" + NUMBER.format("most") + r")?",
    re.IGNORECASE,
)  # fmt: skip
UNITS = {"day": 24, "día": 24, "dia": 24, "hour": 1, "hora": 1, "week": 168, "semana": 168}  # in hours
STUDENT = {"student", "id", "estudiante", "alumno", "alumna"}
TIME = {"time", "submitted", "hora", "entrega", "entregado", "fecha"}


@dataclass(frozen=True)
class LatePolicy:
    """A deadline and what lateness costs. rate, most: shares of 1, or points where `points` says so. hours: a unit."""

    deadline: datetime
    rate: Fraction
    hours: int
    most: Fraction | None = None
    points: bool = False
    earned: bool = False
    grace: timedelta = timedelta(0)

    def late(self, handed_in: datetime, earned: float, of: float) -> tuple[str, float] | None:
        """How late, in words, and the points to take off; None in time. earned, of: points without lateness."""
        after = handed_in - self.deadline
        if after <= self.grace:
            return None
        begun = math.ceil(after / timedelta(hours=self.hours))
        share = self.rate * begun if self.most is None else min(self.rate * begun, self.most)
        whole = Fraction(1) if self.points else Fraction(earned if self.earned else of)
        return how_late(after), round(float(min(share * whole, Fraction(earned))), 4)

    def applied(self, record: Record, handed_in: datetime | None) -> Record:
        """The record with its lateness, in its own language; without a time it is in time."""
        if handed_in is None:
            return replace(record, late=None)
        with speaking(record.lang):
            earned = sum(task.earned for task in record.tasks)
            return replace(record, late=self.late(handed_in, earned, record.of))


def policy(deadline: str, rule: str, zone: str | None = None, grace: float = 0) -> LatePolicy:
    """The policy that two texts say. zone: that of times without one; grace: minutes. ConfigError where they do not."""
    found = RULE.fullmatch(rule.strip())
    if found is None:
        raise ConfigError(
            tr("late policy {rule!r}: wanted is a rule like \"10% per day, at most 50%\", \"2 points per day\" or "
               "\"5% per hour of what was earned\"", rule=rule)
        )  # fmt: skip
    in_points = found["rate_unit"] != "%"
    if found["most"] and (found["most_unit"] != "%") != in_points:
        raise ConfigError(tr("late policy {rule!r}: give both numbers as percentages or both as points", rule=rule))
    if in_points and found["earned"]:
        raise ConfigError(tr("late policy {rule!r}: only a percentage can be of what was earned", rule=rule))
    if not 0 <= grace < math.inf:
        raise ConfigError(tr("the grace is {grace} minutes; it must be at least 0", grace=grace))
    scale = 1 if in_points else 100
    try:
        when = moment(deadline, zone_of(zone))
    except ValueError as error:
        raise ConfigError(tr("deadline {got!r}: {reason}", got=deadline, reason=error)) from error
    return LatePolicy(
        when, _number(found["rate"]) / scale, UNITS[found["every"].lower()],
        _number(found["most"]) / scale if found["most"] else None, in_points, bool(found["earned"]),
        timedelta(minutes=grace),
    )  # fmt: skip


def read_times(path: Path, zone: str | None = None) -> dict[str, datetime]:
    """Student -> when they handed in, from a CSV with a line for each: student, time. The latest counts.

    Columns are found by their heading, or are the first two. Commas, semicolons or tabs part them. Errors: DataError
    names the line.
    """
    text = read_text(path)
    delimiter = max(",;\t", key=text.partition("\n")[0].count)
    lines = [(n, row) for n, row in enumerate(csv.reader(io.StringIO(text), delimiter=delimiter), 1) if any(row)]
    who, when, start = _columns([cell.strip().lower() for cell in lines[0][1]] if lines else [])
    times: dict[str, datetime] = {}
    for n, row in lines[start:]:
        if len(row) <= max(who, when) or not row[who].strip():
            raise DataError(tr("{path}, line {n}: wanted are a student and a time", path=path, n=n))
        try:
            at = moment(row[when], zone_of(zone))
        except ValueError as error:
            raise DataError(tr("{path}, line {n}: {reason}", path=path, n=n, reason=error)) from error
        student = row[who].strip()
        times[student] = max(at, times.get(student, at))
    return times


def _columns(heading: list[str]) -> tuple[int, int, int]:
    """Where student and time stand, and in which line the students begin."""
    who = next((i for i, name in enumerate(heading) if name in STUDENT), None)
    when = next((i for i, name in enumerate(heading) if name in TIME), None)
    return (0, 1, 0) if who is None or when is None else (who, when, 1)


def zone_of(name: str | None) -> tzinfo | None:
    """A zone by its name, as America/Mexico_City, or its distance, as -06:00."""
    if name is None:
        return None
    if found := re.fullmatch(r"(?:UTC)?([+-])(\d{1,2}):?(\d{2})?", name.strip()):
        distance = timedelta(hours=int(found[2]), minutes=int(found[3] or 0))
        if distance < timedelta(hours=24):
            return timezone(-distance if found[1] == "-" else distance)
    try:
        return ZoneInfo(name.strip())
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ConfigError(
            tr("there is no time zone {name!r}; give one like America/Mexico_City, UTC or -06:00", name=name)
        ) from error


def moment(text: str, zone: tzinfo | None) -> datetime:
    """ISO 8601, as 2026-03-01T23:59-06:00. ValueError, with a reason, where it is none or in no zone."""
    try:
        at = datetime.fromisoformat(text.strip())
    except ValueError:
        raise ValueError(tr("{text!r} is no time; write it like 2026-03-01T23:59-06:00", text=text)) from None
    if at.tzinfo is None and zone is None:
        raise ValueError(
            tr("{text!r} is in no time zone: write it like 2026-03-01T23:59-06:00, or name the zone", text=text)
        )
    return at if at.tzinfo is not None else at.replace(tzinfo=zone)


def how_late(after: timedelta) -> str:
    """2 days 3 h 10 min"""
    minutes = math.ceil(after / timedelta(minutes=1))
    days, hours, rest = minutes // 1440, minutes // 60 % 24, minutes % 60
    parts = [(days, tr("{n} d", n=days)), (hours, tr("{n} h", n=hours)), (rest, tr("{n} min", n=rest))]
    return " ".join(text for n, text in parts if n)


def without_times(times: Mapping[str, datetime], students: list[str]) -> list[str]:
    """The students of whom no time is known: to be told, since they count as in time."""
    return [student for student in students if student not in times]


def _number(text: str) -> Fraction:
    return Fraction(text.replace(",", "."))
