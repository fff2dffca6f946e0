"""`minilm grade`: a class's submissions in, points, causes and pages out."""

from pathlib import Path
from typing import Any

import typer

from minilm.errors import ConfigError
from minilm.i18n import tr


def grade(
    path: Path = typer.Argument(
        None, metavar="SUBMISSIONS", help=tr("A folder or zip of submissions, Moodle's and Canvas's downloads too.")
    ),
    lesson: str = typer.Option(None, help=tr("The lesson: l03, l03_attention or 3.")),
    out: Path = typer.Option(..., help=tr("The folder for the results.")),
    jobs: int = typer.Option(
        None, min=1, help=tr("How many processes grade; as many as there are cores if not given.")
    ),
    resume: bool = typer.Option(False, "--resume", help=tr("Go on with a batch; what is graded and unchanged stays.")),
    roster: Path = typer.Option(None, help=tr("Who is in the class: a CSV, or Moodle's or Canvas's own sheet.")),
    lang: str = typer.Option(None, help=tr("The language of what students read: en or es; yours if not given.")),
    secret_file: Path = typer.Option(
        None, help=tr("The file of the course's secret, from which hidden cases are made; your own if not given.")
    ),
    only: list[str] = typer.Option(None, metavar="STUDENT", help=tr("Grade this student again; may be repeated.")),
    task: list[str] = typer.Option(None, metavar="NUMBER", help=tr("Grade this task again; may be repeated.")),
    times: Path = typer.Option(None, help=tr("A CSV of when each student handed in: student, time.")),
    deadline: str = typer.Option(None, help=tr("Until when one is in time, as 2026-03-01T23:59-06:00.")),
    late_policy: str = typer.Option(None, help=tr('What lateness costs, as "10% per day, at most 50%".')),
    zone: str = typer.Option(None, help=tr("The time zone of times without one, as America/Mexico_City.")),
    grace: float = typer.Option(0.0, min=0, help=tr("Minutes after the deadline that are excused.")),
    require_sandbox: str = typer.Option(
        None, metavar="strict", help=tr("Refuse to start unless every layer of the sandbox stands here.")
    ),
    bwrap: bool = typer.Option(False, "--bwrap", help=tr("Run submissions within bubblewrap as well.")),
    dask: str = typer.Option(
        None, metavar="SCHEDULER", help=tr("Let the workers of a Dask cluster grade; the scheduler's address.")
    ),
) -> None:
    from minilm.cli.waiting import bars, say
    from minilm.homework.batch import Order, run
    from minilm.homework.roster import read_roster

    if require_sandbox not in (None, "strict"):
        raise ConfigError(tr("--require-sandbox is {got!r}; it can be strict", got=require_sandbox))
    policy, handed_in = _late(times, deadline, late_policy, zone, grace)
    order = Order(
        out=out, path=path, lesson=lesson, lang=_language(lang), jobs=jobs or _cores(), resume=resume,
        only=tuple(only or ()), tasks=tuple(task or ()), roster=read_roster(roster) if roster else None,
        policy=policy, times=handed_in, secret=secret_file, strict=require_sandbox == "strict", bwrap=bwrap,
        scheduler=dask,
    )  # fmt: skip
    done = (0, 0)
    try:
        with bars() as bar:
            shown = bar(tr("grading"))

            def progress(n: int, total: int) -> None:
                nonlocal done
                done = n, total
                if shown is not None:
                    shown(n, total)

            outcome = run(order, progress, say)
    except KeyboardInterrupt:
        say(tr("{n} of {all} are graded and kept; go on with the same command and --resume", n=done[0], all=done[1]))
        raise
    _summary(outcome, out)


def _cores() -> int:
    from minilm.cores import available_cores

    return available_cores()


def _language(lang: str | None) -> str | None:
    from minilm.i18n import language, speaking

    if lang is None:
        return None
    with speaking(lang):
        if language() != lang:
            raise ConfigError(tr("--lang is {got!r}; there are en and es", got=lang))
    return lang


def _late(times: Path | None, deadline: str | None, rule: str | None, zone: str | None, grace: float) -> Any:
    """The policy, and when each student handed in; (None, {}) without them."""
    from minilm.homework.late import policy, read_times

    given = {"--times": times, "--deadline": deadline, "--late-policy": rule}
    lacking = [name for name, value in given.items() if value is None]
    if len(lacking) == len(given):
        return None, {}
    if lacking:
        raise ConfigError(tr("{names} is missing: lateness needs --times, --deadline and --late-policy",
                             names=", ".join(lacking)))  # fmt: skip
    assert times is not None and deadline is not None and rule is not None
    return policy(deadline, rule, zone, grace), read_times(times, zone)


def _summary(outcome: Any, out: Path) -> None:
    """What an instructor wants to know at once."""
    from minilm.cli.waiting import say
    from minilm.course.tables import table
    from minilm.homework.sandbox import missing_for_strict

    missing = [layer.name for layer in missing_for_strict(outcome.layers)]
    if missing:
        say(tr("these layers of the sandbox did not stand: {layers} (see `minilm doctor`)", layers=", ".join(missing)))
    rows = []
    tasks = outcome.records[0].tasks if outcome.records else ()
    for i, task in enumerate(tasks):
        found = [record.tasks[i] for record in outcome.records if i < len(record.tasks)]
        solved = sum(one.state == "solved" for one in found)
        mean = sum(one.earned for one in found) / len(found)
        rows.append((task.number, task.name, f"{task.points:g}", f"{mean:.2f}", f"{solved}/{len(found)}"))
    table([tr("task"), tr("function"), tr("points"), tr("mean"), tr("solved")], rows, right=(2, 3, 4))
    points = [record.points for record in outcome.records]
    of = outcome.records[0].of if outcome.records else 0
    mean = sum(points) / len(points) if points else 0.0
    typer.echo(tr("{n} students, {mean:.2f} of {of:g} points on average; {graded} graded now, {kept} kept",
                  n=len(points), mean=mean, of=of, graded=outcome.graded, kept=outcome.kept))  # fmt: skip
    for student, problem in outcome.problems:
        say(f"{student}: {problem}")
    if outcome.lost:
        say(tr("{n} could not be graded, through no fault of theirs; try them again with --resume: {students}",
               n=len(outcome.lost), students=", ".join(outcome.lost)))  # fmt: skip
    typer.echo(str(out / "grades.csv"))
    typer.echo(str(out / "overview.html"))
    raise typer.Exit(1 if outcome.lost else 0)
