"""`minilm lesson`: the course's lessons, each a script that proves what it says."""

import sys
from pathlib import Path
from typing import Any

import typer

from minilm.errors import ConfigError
from minilm.i18n import tr

app = typer.Typer(no_args_is_help=True, add_completion=False)

NAME = typer.Argument(help=tr("The lesson: l03, l03_attention or 3."))


@app.command("list", help=tr("The lessons in their order, what each is about, and how long it takes."))
def list_lessons(
    markdown: bool = typer.Option(False, "--markdown", help=tr("Print the table as lessons/README.md has it.")),
) -> None:
    from minilm.course.banks import find_lessons, markdown_map
    from minilm.course.tables import table

    if markdown:
        return typer.echo(markdown_map(find_lessons()))
    columns = [tr("lesson"), tr("title"), tr("slide"), tr("minutes"), tr("after"), tr("what it shows")]
    lessons = find_lessons()
    table(columns, [row(about) for about in lessons], right=(3,))
    if sys.stdout.isatty() and lessons:
        name = lessons[0].short
        typer.echo(tr("read one, cell by cell: minilm lesson run {name} --step", name=name))
        typer.echo(tr("or as a notebook: minilm lesson open {name}", name=name))


def row(about: Any) -> list[str]:
    """A lesson's line in the list."""
    after = ", ".join(about.after) or "–"
    return [about.short, about.title, about.slide, str(about.minutes), after, about.summary]


@app.command("run", help=tr("Run a lesson's script, or all of them; the exit status is 0 if every claim holds."))
def run(
    name: str = typer.Argument(None, help=tr("The lesson: l03, l03_attention or 3.")),
    every: bool = typer.Option(False, "--all", help=tr("All lessons, in their order.")),
    out: Path = typer.Option(None, help=tr("The folder for figures and claims; runs/lessons/NAME if not given.")),
    prose: bool = typer.Option(None, "--prose/--no-prose", help=tr("Show the text too; with --step it is shown.")),
    step: bool = typer.Option(False, "--step", help=tr("Wait at each cell; you answer the predictions.")),
    resume: bool = typer.Option(False, "--resume", help=tr("With --all: leave out those that held and are unchanged.")),
) -> None:
    from minilm.course.banks import find_lesson, find_lessons
    from minilm.course.executing import run_lesson

    if every == (name is not None) or (resume and not every):
        raise ConfigError(tr("give one lesson's name, or --all (and with it --resume, if wanted)"))
    prose = step if prose is None else prose
    if not every:
        about = find_lesson(name)
        ran = run_lesson(about, out or Path("runs") / "lessons" / about.short, prose, step)
        if ran.status == 130:
            raise KeyboardInterrupt
        raise typer.Exit(ran.status)
    run_all(find_lessons(), out or Path("runs") / "lessons", prose, step, resume)


def run_all(lessons: list[Any], out: Path, prose: bool, step: bool, resume: bool) -> None:
    """Each lesson in a process of its own; a table at the end; exit status 1 unless all hold."""
    from minilm.course.executing import earlier, run_lesson
    from minilm.course.tables import table

    found = []
    for about in lessons:
        typer.secho(f"\n{about.short}  {about.title}", bold=True)
        ran = (earlier(about, out / about.short) if resume else None) or run_lesson(
            about, out / about.short, prose, step
        )
        if not ran.again:
            typer.echo(tr("held before, and is unchanged"))
        if ran.status == 130:
            raise KeyboardInterrupt
        found.append(ran)
    typer.echo("")
    good = [ran.status == 0 for ran in found]
    rows = [
        (
            ran.about.short,
            ran.about.title,
            "–" if ran.claims is None else f"{ran.claims[0]}/{ran.claims[1]}",
            f"{ran.seconds:.0f}",
            tr("holds") if ran.status == 0 else tr("FAILS"),
        )
        for ran in found
    ]
    table([tr("lesson"), tr("title"), tr("claims"), tr("seconds"), tr("verdict")], rows, [not g for g in good], (2, 3))
    raise typer.Exit(0 if all(good) else 1)


@app.command("open", help=tr("Make a notebook of a lesson, in this folder."))
def open_lesson(
    name: str = NAME,
    out: Path = typer.Option(None, help=tr("The notebook to write; NAME.ipynb here if not given.")),
    force: bool = typer.Option(False, "--force", help=tr("Write over a notebook that is there.")),
) -> None:
    from minilm.course.banks import find_lesson
    from minilm.course.notebook import make_notebook

    about = find_lesson(name)
    path = make_notebook(about, out or Path(f"{about.folder.name}.ipynb"), force)
    typer.echo(tr("{path} is made; open it with `jupyter lab {path}`", path=path))


@app.command("check", help=tr("Do the claims tell right answers from wrong ones? A table, and status 1 if not."))
def check(
    name: str = typer.Argument(None, help=tr("One lesson; all of them if not given.")),
    examples: int = typer.Option(100, min=1, help=tr("Most cases for each claim and answer.")),
    seed: int = typer.Option(0, min=0, help=tr("What the cases are made from.")),
    mutants: bool = typer.Option(False, "--mutants", help=tr("A line for each wrong answer too: what refused it.")),
    fewest_mutants: int = typer.Option(8, min=0, help=tr("The fewest wrong answers that a task may have.")),
    fewest_variants: int = typer.Option(3, min=0, help=tr("The fewest right answers besides the reference.")),
) -> None:
    from minilm.course.banks import find_lesson, find_lessons, load
    from minilm.course.executing import keep_notes_away
    from minilm.course.tables import table

    keep_notes_away()
    rows: list[tuple[tuple[str, ...], bool]] = []  # each line, and whether it is bad
    summary: list[tuple[tuple[str, ...], bool]] = []  # the same of each task
    killed, survived = 0, 0
    for about in [find_lesson(name)] if name else find_lessons():
        tasks, own = _check(load(about), seed, examples)
        for found in tasks:
            killed, survived = killed + len(found.killed), survived + len(found.survivors)
            summary.append(_task_row(found, fewest_mutants, fewest_variants))
            rows += [(_claim_row(c, found.mutants), bool(c.failed or c.passed)) for c in found.claims]
            rows += [(_mutant_row(found.task, *kill), False) for kill in found.killed if mutants]
            rows += [(_mutant_row(found.task, mutant, None), True) for mutant in found.survivors]
        rows += [(_claim_row(c, None), bool(c.failed)) for c in own]
    _show(rows)
    columns = [tr("task"), tr("of"), tr("mutants killed"), tr("variants pass"), tr("zeros, ones pass"), tr("verdict")]
    table(columns, [row for row, _ in summary], [bad for _, bad in summary])
    n = killed + survived
    share = "100" if not survived else f"{100 * killed / n:.1f}"
    typer.echo(tr("{killed} of {n} mutants killed, {share} %", killed=killed, n=n, share=share))
    raise typer.Exit(1 if any(bad for _, bad in [*rows, *summary]) else 0)


def _check(bank: Any, seed: int, examples: int) -> tuple[list[Any], list[Any]]:
    """What was found for each task, and for the claims about minilm, with a bar meanwhile."""
    from minilm.cli.waiting import bars
    from minilm.course.checking import check_own, check_task, runs

    total, done = sum(runs(bank, task) for task in bank.tasks.values()), 0
    with bars() as bar:
        shown = bar(bank.about.short)

        def progress() -> None:
            nonlocal done
            done += 1
            if shown is not None:
                shown(done, total)

        tasks = [
            check_task(bank, task, seed=seed, right=examples, wrong=examples, progress=progress)
            for task in bank.tasks.values()
        ]
        return tasks, check_own(bank, seed=seed, examples=examples)


def _claim_row(checked: Any, mutants: int | None) -> tuple[str, ...]:
    wrong = [f"{how}: {verdict.message}" for how, verdict in checked.failed]
    wrong += [tr("passes {what}", what=what) for what in checked.passed]
    right = f"{checked.right - len(checked.failed)}/{checked.right}"
    kills = "" if mutants is None else f"{checked.killed}/{mutants}"
    return checked.claim.number, checked.name, checked.claim.what, right, kills, "; ".join(wrong) or tr("good")


def _mutant_row(task: Any, mutant: Any, verdict: Any) -> tuple[str, ...]:
    end = tr("SURVIVES") if verdict is None else f"{verdict.kind}: {verdict.message}"
    return task.number, task.name, tr("mutant {name}", name=mutant.misconception), "", "", end


def _task_row(found: Any, mutants: int, variants: int) -> tuple[tuple[str, ...], bool]:
    """A task's line, and whether anything in it is not as it should be."""
    refused = {how for checked in found.claims for how, _ in checked.failed}
    passed = sorted({what for checked in found.claims for what in checked.passed})
    wrong = [tr("mutants: {n} of at least {least}", n=found.mutants, least=mutants)] * (found.mutants < mutants)
    wrong += [tr("variants: {n} of at least {least}", n=found.variants, least=variants)] * (found.variants < variants)
    wrong += [tr("the reference is refused")] * ("reference" in refused)
    good = found.variants - len(refused - {"reference"})
    verdict = "; ".join(wrong) or (tr("good") if found.perfect else tr("BAD"))
    counts = f"{len(found.killed)}/{found.mutants}", f"{good}/{found.variants}"
    row = found.task.number, found.task.name, *counts, ", ".join(passed) or tr("none"), verdict
    return row, bool(wrong) or not found.perfect


def _show(rows: list[tuple[tuple[str, ...], bool]]) -> None:
    from minilm.course.tables import table

    columns = [tr("claim"), tr("of"), tr("what"), tr("right answers"), tr("first to kill"), tr("verdict")]
    table(columns, [row for row, _ in rows], [bad for _, bad in rows])
