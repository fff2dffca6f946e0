"""Where lessons lie, and what is in one: its lesson.toml, and the marks that its files leave."""

import contextlib
import functools
import hashlib
import importlib
import re
import sys
import tomllib
import types
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from minilm.course.marks import MARKS, NUMBER, Claim, Mutant, Task, Variant
from minilm.errors import DataError
from minilm.i18n import tr
from minilm.resources import PACKAGE

FILES = ("tasks", "checks", "mutants", "variants")
FIELDS = {"number": int, "title": str, "slide": str, "minutes": int, "after": list, "introduces": list, "terms": list,
          "summary": str}  # fmt: skip
MAY_LACK = {"withheld": dict, "guarded": dict}


@dataclass(frozen=True)
class About:
    """A lesson's lesson.toml, and where it lies.

    withheld: task -> the names of minilm that answer it in one call, e.g. {"L3.3": ["F.attention"]}; the student
    runtime comes without them. guarded: the same of what minilm itself, or a property, cannot do without; there they
    are, for these alone.
    """

    folder: Path
    number: int
    title: str
    slide: str
    minutes: int
    after: list[str]
    introduces: list[str]
    terms: list[str]
    summary: str
    withheld: dict[str, list[str]] = field(default_factory=dict)
    guarded: dict[str, list[str]] = field(default_factory=dict)

    @property
    def short(self) -> str:
        """What it is called on the command line: l03."""
        return self.folder.name.partition("_")[0]


@dataclass(frozen=True)
class Bank:
    """All that a lesson knows of its tasks. Without tasks.py, as a student has it, there are no tasks."""

    about: About
    tasks: dict[str, Task] = field(default_factory=dict)  # by number
    claims: list[Claim] = field(default_factory=list)
    mutants: list[Mutant] = field(default_factory=list)
    variants: list[Variant] = field(default_factory=list)

    def claims_of(self, number: str) -> list[Claim]:
        """The properties of a task, in the order of checks.py."""
        return [claim for claim in self.claims if claim.number == number]

    def mutants_of(self, number: str) -> list[Mutant]:
        return [mutant for mutant in self.mutants if mutant.number == number]

    def variants_of(self, number: str) -> list[Variant]:
        return [variant for variant in self.variants if variant.number == number]

    def hint(self, misconception: str) -> str | None:
        """The question that leads on from a misconception, if a mutant has it."""
        return next((m.hint for m in self.mutants if m.misconception == misconception), None)


def lessons_folder() -> Path:
    """`minilm/lessons` in an installed wheel, `lessons` beside the package in a checkout."""
    for folder in (PACKAGE / "lessons", PACKAGE.parent / "lessons"):
        if folder.is_dir():
            return folder
    raise DataError(tr("the lessons are missing beside {package}; install minilm again", package=PACKAGE))


def find_lessons(within: Path | None = None) -> list[About]:
    """All lessons of a folder, in order."""
    folders = sorted(p.parent for p in (within or lessons_folder()).glob("l[0-9]*/lesson.toml"))
    return sorted((read_about(folder) for folder in folders), key=lambda about: about.number)


def markdown_map(lessons: list[About]) -> str:
    """The table of lessons/README.md, as it is in every language."""
    lines = ["| lesson | slide | minutes | after | what it shows |", "|---|---|---|---|---|"]
    for about in lessons:
        title = f"[{about.short} {about.title}]({about.folder.name}/lesson.py)"
        after = ", ".join(about.after) or "–"
        lines.append(f"| {title} | {about.slide} | {about.minutes} | {after} | {about.summary} |")
    return "\n".join(lines)


def find_lesson(name: str | Path) -> About:
    """A lesson by its short or whole name (l03, l03_attention), its number, or the path of its folder."""
    if isinstance(name, Path) or "/" in name:
        return read_about(Path(name))
    known = find_lessons()
    for about in known:
        if name.lower() in (about.short, about.folder.name, str(about.number)):
            return about
    raise DataError(
        tr("there is no lesson {name!r}; there are: {known}", name=name, known=", ".join(a.folder.name for a in known))
    )


def read_about(folder: Path) -> About:
    """lesson.toml, every field of its kind. DataError names the one that is not."""
    path = folder / "lesson.toml"
    if not path.is_file():
        raise DataError(tr("{folder} is no lesson: it has no lesson.toml", folder=folder))
    try:
        read = tomllib.loads(path.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise DataError(tr("{path} is not TOML ({reason})", path=path, reason=error)) from error
    known = {**FIELDS, **MAY_LACK}
    for name in {**FIELDS, **read}:
        if name not in known:
            raise DataError(tr("{path}: {name} is no field; there are {known}", path=path, name=name,
                               known=", ".join(known)))  # fmt: skip
        if not isinstance(read.get(name), known[name]):
            raise DataError(tr("{path}: {name} is missing or no {kind}", path=path, name=name,
                               kind=known[name].__name__))  # fmt: skip
    return About(folder, **read)


def load(name: str | Path | About) -> Bank:
    """Import a lesson's files and gather their marks. DataError where they contradict each other."""
    about = name if isinstance(name, About) else find_lesson(name)
    return _load(about.folder.resolve(), _stamp(about.folder))


def _stamp(folder: Path) -> tuple:
    """What changes when a file of the lesson does."""
    paths = [folder / f"{name}.py" for name in FILES]
    return tuple((p.stat().st_mtime_ns, p.stat().st_size) for p in paths if p.exists())


@functools.lru_cache(maxsize=64)
def _load(folder: Path, stamp: tuple) -> Bank:
    marks = [mark for module in modules(folder, stamp) for mark in vars(module).get(MARKS, [])]
    kinds: dict[type, list[Any]] = {Task: [], Claim: [], Mutant: [], Variant: []}
    for mark in marks:
        kinds[type(mark)].append(mark)
    bank = Bank(read_about(folder), _by_number(kinds[Task]), kinds[Claim], kinds[Mutant], kinds[Variant])
    _check(bank)
    return bank


def modules(folder: Path, stamp: tuple = ()) -> list[types.ModuleType]:
    """The lesson's files as modules of a package of their own, so that `from .tasks import …` works in them."""
    package = types.ModuleType(f"minilm_lessons_{hashlib.sha256(repr((folder, stamp)).encode()).hexdigest()[:12]}")
    package.__path__ = [str(folder)]
    sys.modules[package.__name__] = package
    importlib.invalidate_caches()
    names = [name for name in FILES if (folder / f"{name}.py").is_file()]
    with _no_bytecode():
        return [importlib.import_module(f"{package.__name__}.{name}") for name in names]


@contextlib.contextmanager
def _no_bytecode() -> Iterator[None]:
    """Lessons lie among what is shipped, and change while they are written: nothing compiled is left beside them."""
    before, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        yield
    finally:
        sys.dont_write_bytecode = before


def _by_number(tasks: list[Task]) -> dict[str, Task]:
    found: dict[str, Task] = {}
    for task in tasks:
        if task.number in found or task.name in [t.name for t in found.values()]:
            raise DataError(tr("task {number} or the name {name} is there twice", number=task.number, name=task.name))
        found[task.number] = task
    return found


def _check(bank: Bank) -> None:
    """What a lesson's files must agree about."""
    marks: list[Any] = [*bank.tasks.values(), *bank.claims, *bank.mutants, *bank.variants]
    for mark in marks:
        match = NUMBER.fullmatch(mark.number)
        if not match or int(match[1]) != bank.about.number:
            raise DataError(
                tr("{lesson}: {number} is a number of another lesson", lesson=bank.about.short, number=mark.number)
            )
    if not bank.tasks:
        return
    for claim in bank.claims:
        if claim.of_task != (claim.number in bank.tasks):
            raise DataError(
                tr(
                    "{number} “{what}”: a claim of a task takes `impl` first, and a claim without a task does not",
                    number=claim.number,
                    what=claim.what,
                )
            )
    answers: list[Any] = [*bank.mutants, *bank.variants]
    for other in answers:
        known = bank.tasks.get(other.number)
        if known is None or known.name != other.function.__name__:
            raise DataError(
                tr("{number}: no task of that number is named {name}", number=other.number,
                   name=other.function.__name__)
            )  # fmt: skip


def natural(number: str) -> tuple[int, ...]:
    """A key that puts L3.10 after L3.9."""
    return tuple(int(part) for part in re.findall(r"\d+", number))
