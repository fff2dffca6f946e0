"""What `minilm homework check` shows: a table of the tasks; of what fails: what, where, why, what to do."""

import contextlib
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from minilm.cli.waiting import bars
from minilm.course.proving import Verdict
from minilm.course.tables import table
from minilm.errors import DataError
from minilm.homework.archives import printable
from minilm.homework.failures import explain
from minilm.homework.home import Explained, Home, Tested, Trouble, lesson, read
from minilm.homework.shown import beside, shown
from minilm.i18n import tr

LABEL = 12  # letters of the names beside what is told
ADVISED = {
    "nan": "nan",
    "overflow": "nan",
    "unstable": "unstable",
    "shape": "shape",
}  # causes that say more than a kind
POLL, SETTLED = 0.3, 0.2  # seconds between two looks at a file; for which it must stay as it is


def check_once(file: Path, numbers: Sequence[str], name: str | None, cases: int) -> bool:
    """Check a file and print what is found; whether all is well."""
    source = read(file)
    with Home(lesson(file, source, name), cases=cases) as home:
        return report(home, source, numbers)


def watch(file: Path, numbers: Sequence[str], name: str | None, cases: int) -> None:
    """Check a file whenever it changes, until Ctrl-C. One that cannot be read is said to be so, and waited for."""
    home: Home | None = None
    seen: Any = None
    try:
        while True:
            seen = _changed(file, seen)
            _clear(file)
            try:
                source = read(file)
                if home is None:
                    home = Home(lesson(file, source, name), cases=cases)
                report(home, source, numbers)
            except DataError as error:
                typer.echo(str(error))
            typer.secho(tr("waiting for {file} to change; Ctrl-C ends", file=file.name), dim=True)
    except KeyboardInterrupt:
        typer.echo("")
    finally:
        if home is not None:
            home.close()


def _changed(file: Path, seen: Any) -> Any:
    """Wait until a file is another one than was seen, and then stays as it is: editors write in several steps."""
    since, last = 0.0, seen
    while True:
        try:
            about = file.stat()
            now: Any = (about.st_mtime_ns, about.st_size, about.st_ino)
        except OSError:
            now = None
        if now != last:
            since, last = time.monotonic(), now
        if now is not None and now != seen and (seen is None or time.monotonic() - since >= SETTLED):
            return now
        if now is None and seen is None:
            raise DataError(tr("there is no file or folder {path}: check its name", path=file))
        time.sleep(SETTLED if now != seen else POLL)


def _clear(file: Path) -> None:
    if sys.stdout.isatty():
        Console().clear()
    typer.secho(f"{file.name}  {time.strftime('%H:%M:%S')}", bold=True)


# ------------------------------------------------------------------------------------------------------------ reports


def report(home: Home, source: bytes, numbers: Sequence[str]) -> bool:
    """Try the tasks, print the table, then each failure as soon as its cause is found. Whether all is well."""
    chosen = home.chosen(numbers)
    trouble = home.trouble(source)
    if trouble is not None:
        _tell_trouble(trouble, source)
        return False
    tested = _test(home, source, [task for task in chosen if numbers or not task.worked])
    _print_table(home, chosen, {one.task.number: one for one in tested})
    for one in tested:
        if one.state == "failed":
            with _looking():
                found = home.explain(source, one)
            _tell(one, found, source)
    waiting = [one for one in tested if one.state in ("unsolved", "missing")]
    for kind in ("unsolved", "missing"):
        names = [f"{one.task.number} {one.task.name}" for one in waiting if one.state == kind]
        if names:
            _tell_kind(kind, names)
    return all(one.state == "solved" for one in tested)


def _test(home: Home, source: bytes, tasks: Sequence[Any]) -> list[Tested]:
    total, done = sum(len(home.bank.claims_of(task.number)) for task in tasks), 0
    with bars() as bar:
        shows = bar(home.about.short)

        def progress() -> None:
            nonlocal done
            done += 1
            if shows is not None:
                shows(done, total)

        return [home.test(source, task, progress) for task in tasks]


@contextlib.contextmanager
def _looking() -> Iterator[None]:
    """Says that something is going on, where that is a terminal: the cause may take some seconds."""
    if not sys.stderr.isatty():
        yield
        return
    with Console(stderr=True).status(tr("looking for the cause")):
        yield


def _print_table(home: Home, chosen: Sequence[Any], found: dict[str, Tested]) -> None:
    rows = [_row(task, found.get(task.number)) for task in chosen]
    bad = [one is not None and one.state != "solved" for one in (found.get(task.number) for task in chosen)]
    table([tr("task"), tr("function"), tr("points"), tr("properties"), tr("verdict")], rows, bad, (2, 3))
    solved = [one for one in found.values() if one.state == "solved"]
    points = sum(one.task.points for one in solved)
    total = sum(one.task.points for one in found.values())
    typer.echo(tr("{k} of {n} tasks hold, {points:g} of {total:g} points, in the public cases",
                  n=len(found), k=len(solved), points=points, total=total))  # fmt: skip
    if len(solved) == len(found):
        typer.echo(tr("A grade is made with other cases as well; pack it: minilm homework pack"))
    elif home.alone and any(one.state == "failed" for one in found.values()):
        typer.echo(tr("Mend the first one first: here, a task that uses an earlier one uses yours."))


def _row(task: Any, one: Tested | None) -> tuple[str, ...]:
    points = "–" if task.worked else f"{task.points:g}"
    if one is None:
        return task.number, task.name, points, "–", tr("example")
    held = f"{len(one.verdicts) - len(one.failed)}/{len(one.claims)}"
    match one.state:
        case "solved":
            verdict = tr("holds")
        case "unsolved":
            verdict = tr("UNSOLVED")
        case "missing":
            verdict = tr("MISSING")
        case _:
            verdict = tr("FAILS: {what}", what=explain(one.failed[0].kind).title)
    return task.number, task.name, points, held, verdict


def _tell_trouble(trouble: Trouble, source: bytes) -> None:
    said = explain(trouble.kind)
    console = Console(highlight=False)
    console.print(Text(said.title, style="bold red"))
    rows = [(tr("what"), _clean(trouble.message))]
    rows += [(tr("line"), line_of(source, trouble.line))] if trouble.line else []
    _print_rows(console, [*rows, (tr("try"), said.advice)])


def _tell_kind(kind: str, names: Sequence[str]) -> None:
    """What is to be done about tasks that are not there, once for all of them."""
    console = Console(highlight=False)
    console.print("")
    console.print(Text(f"{explain(kind).title}: {', '.join(names)}", style="bold"))
    _print_rows(console, [(tr("try"), explain(kind).advice)])


def _tell(one: Tested, found: Explained, source: bytes) -> None:
    """All that is known of one task that fails."""
    console = Console(highlight=False)
    said = explain(one.failed[0].kind)
    title = f"{one.task.number} {one.task.name}: {said.title}"
    console.print("")
    console.print(Rule(Text(title, style="bold red"), align="left") if console.is_terminal else Text(title))
    _print_rows(console, told(one, found, source, max(40, console.width - LABEL - 2)))


def told(one: Tested, found: Explained, source: bytes, width: int) -> list[tuple[str, str]]:
    """(label, text) of a failure: what, where, with which input, expected and got, why, where to read, what to try."""
    verdict, cause = one.failed[0], found.diagnosis
    rows = [(tr("property"), verdict.claim.what), (tr("what"), _clean(verdict.message))]
    rows += [(tr("line"), line_of(source, one.line))] if one.line else []
    rows += [(tr("input"), text) for text in _inputs(verdict, width)]
    if verdict.expected is not None or verdict.got is not None:
        expected, got = beside(verdict.expected, verdict.got, width)
        rows += [(tr("expected"), expected), (tr("got"), got)]
    rows += [(tr("printed"), _clean(found.printed, lines=8))] if found.printed.strip() else []
    if cause.line != verdict.message and (cause.known or verdict.kind != "raised"):
        rows.append((tr("cause"), _clean("\n".join([cause.line, *cause.details]))))
    rows += [(tr("hint"), cause.hint)] if cause.hint else []
    rows += [(tr("read"), cause.read)] if cause.read else []
    rows.append((tr("try"), explain(ADVISED.get(cause.cause, verdict.kind)).advice))
    others = [other.claim.what for other in one.failed[1:]]
    return [*rows, *((tr("fails too"), what) for what in others)]


def line_of(source: bytes, line: int) -> str:
    """A line's number and what stands in it; of a notebook, which has no numbers, that is what it is found by."""
    lines = source.decode("utf-8", "replace").split("\n")
    code = lines[line - 1].strip() if line <= len(lines) else ""
    return f"{line}: {printable(code)[:200]}"


def _inputs(verdict: Verdict, width: int) -> list[str]:
    """The smallest failing case, an argument of the property each."""
    texts = []
    for name, value in (verdict.case or {}).items():
        text = shown(value, width - len(name) - 3)
        texts.append(f"{name} = " + text.replace("\n", "\n" + " " * (len(name) + 3)))
    return texts


def _clean(text: str, lines: int = 4) -> str:
    """What a student's file has a hand in, without what steers a terminal, and not too long."""
    kept = [printable(line)[:600] for line in text.strip("\n").split("\n")]
    return "\n".join(kept if len(kept) <= lines else [*kept[:lines], "…"])


def _print_rows(console: Console, rows: Sequence[tuple[str, str]]) -> None:
    """Two columns; off a terminal, lines that nothing wraps."""
    if not console.is_terminal:
        size = max(LABEL, *(len(label) + 2 for label, _ in rows))
        for label, text in rows:
            typer.echo(f"{label:<{size}}" + text.replace("\n", "\n" + " " * size))
        return
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="bold", no_wrap=True, min_width=LABEL - 2)
    grid.add_column(overflow="fold")
    before = ""
    for label, text in rows:
        grid.add_row(Text("" if label == before else label), Text(text))
        before = label
    console.print(grid)
