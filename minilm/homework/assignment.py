"""What a lesson asks for: numbers, names and points of its tasks, whether or not the answers are at hand.

Where there is a tasks.py, it says; in the student runtime a tasks.json does, which was made from it.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from minilm.course.banks import About, find_lesson, find_lessons, load
from minilm.course.marks import Task
from minilm.errors import DataError
from minilm.i18n import tr

FILE = "tasks.json"


@dataclass(frozen=True)
class Asked:
    """A task, without its answer. summary: the first paragraph of its text, in one line."""

    number: str
    name: str
    points: float
    worked: bool
    plain: bool
    summary: str

    @classmethod
    def of(cls, task: Task) -> "Asked":
        paragraph = (task.function.__doc__ or "").strip().partition("\n\n")[0]
        return cls(task.number, task.name, task.points, task.worked, task.plain, " ".join(paragraph.split()))


def asked_of(about: About) -> list[Asked]:
    """The tasks of a lesson, in their order. DataError where the lesson has none."""
    if (about.folder / "tasks.py").is_file():
        return [Asked.of(task) for task in load(about).tasks.values()]
    if (about.folder / FILE).is_file():
        return [Asked(**task) for task in json.loads((about.folder / FILE).read_text("utf-8"))]
    raise DataError(
        tr(
            "{lesson} has no tasks here: this is the student runtime of another lesson, or an incomplete minilm; "
            "install the wheel that came with the homework",
            lesson=about.short,
        )
    )


def as_json(tasks: Sequence[Asked]) -> str:
    """What `asked_of` reads again."""
    return json.dumps([asdict(task) for task in tasks], ensure_ascii=False, indent=1) + "\n"


def lesson_of(path: Path, source: bytes) -> About:
    """The lesson whose homework a file is: the one it is named after, else the one whose functions it defines."""
    homework = [about for about in find_lessons() if _has_tasks(about)]
    named = re.match(r"l\d{2}(?!\d)", path.name.lower())
    if named and named[0] in [about.short for about in homework]:
        return find_lesson(named[0])
    counts = {about.short: count_defined(source, [task.name for task in asked_of(about)]) for about in homework}
    best = max(counts, key=lambda short: counts[short], default="")
    if not best or not counts[best] or list(counts.values()).count(counts[best]) > 1:
        raise DataError(
            tr("{path}: of which lesson is this the homework? Say it with --lesson, or name the file like l03.py",
               path=path)
        )  # fmt: skip
    return find_lesson(best)


def count_defined(source: bytes, names: Sequence[str]) -> int:
    """How many of the names a source defines as functions, by its text alone: nothing of it is parsed or run."""
    found = re.findall(rb"^(?:async )?def[ \t]+([A-Za-z_]\w*)", source, re.MULTILINE)
    return len({name.decode("ascii", "replace") for name in found} & set(names))


def _has_tasks(about: About) -> bool:
    return any((about.folder / name).is_file() for name in ("tasks.py", FILE))
