"""`minilm homework`: a lesson's homework given out, tried at home, and handed in."""

from pathlib import Path
from typing import Any

import typer

from minilm.errors import ConfigError
from minilm.i18n import tr

app = typer.Typer(no_args_is_help=True, add_completion=False)


@app.command("release", help=tr("Make a lesson's homework: the file to fill in, a notebook, a README, a runtime."))
def release(
    name: str = typer.Argument(help=tr("The lesson: l03, l03_attention or 3.")),
    out: Path = typer.Option(None, help=tr("The folder to write; homework/NAME here if not given.")),
    lang: str = typer.Option(None, help=tr("The language of what students read: en or es; yours if not given.")),
    force: bool = typer.Option(False, "--force", help=tr("Write over files that are there.")),
) -> None:
    from minilm.course.banks import find_lesson
    from minilm.homework.release import release as make
    from minilm.i18n import language

    about = find_lesson(name)
    made = make(about, out or Path("homework") / about.short, lang or language(), force)
    for path in made.paths:
        typer.echo(str(path))
    solve = [task for task in made.tasks if not task.worked]
    total = sum(task.points for task in solve)
    typer.echo(tr("{n} tasks, {points:g} points; give out the whole folder", n=len(solve), points=total))


@app.command("check", help=tr("Try your homework: what holds, and for what fails the smallest case, why, what to do."))
def check(
    file: Path = typer.Argument(help=tr("Your .py or .ipynb.")),
    task: list[str] = typer.Option(None, help=tr("Only this task, as L3.2 or by its name; may be given again.")),
    watch: bool = typer.Option(False, "--watch", help=tr("Again whenever the file changes, until Ctrl-C.")),
    lesson: str = typer.Option(None, help=tr("Which lesson's homework it is; found out if not given.")),
    cases: int = typer.Option(None, min=6, help=tr("The cases that each property is tried on; 12 if not given.")),
) -> None:
    from minilm.cli import check as checking
    from minilm.homework.home import PUBLIC_CASES

    if watch:
        return checking.watch(file, task or [], lesson, cases or PUBLIC_CASES)
    good = checking.check_once(file, task or [], lesson, cases or PUBLIC_CASES)
    raise typer.Exit(0 if good else 1)


@app.command("pack", help=tr("Make the zip to hand in, and check it: does it import, and what is still unsolved?"))
def pack(
    file: Path = typer.Argument(help=tr("Your .py or .ipynb.")),
    out: Path = typer.Option(None, help=tr("The zip to write; l03.zip beside the file if not given.")),
    lesson: str = typer.Option(None, help=tr("Which lesson's homework it is; found out if not given.")),
    seconds: float = typer.Option(60.0, min=1, help=tr("The longest that importing the file may take.")),
) -> None:
    from minilm.course.tables import table
    from minilm.homework.pack import pack as make

    if out is not None and out.suffix.lower() != ".zip":
        raise ConfigError(tr("--out is {path}; what is handed in is a .zip", path=out))
    made = make(file, out, lesson, seconds)
    columns = [tr("task"), tr("function"), tr("points"), tr("state")]
    table(columns, [_row(made, task) for task in made.tasks], [made.state(task) in BAD for task in made.tasks], (2,))
    unsolved = [task for task in made.tasks if made.state(task) in BAD]
    if unsolved:
        lost = sum(task.points for task in unsolved)
        typer.echo(tr("{n} tasks are unsolved, of {points:g} points", n=len(unsolved), points=lost))
    typer.echo(tr("{path}: {size} bytes, ready to hand in", path=made.path, size=made.size))


@app.command("gradescope", help=tr("Make the autograder of a lesson for Gradescope: a zip to upload there."))
def gradescope(
    name: str = typer.Argument(help=tr("The lesson: l03, l03_attention or 3.")),
    out: Path = typer.Option(None, help=tr("The zip to write; l03-gradescope.zip here if not given.")),
    lang: str = typer.Option(None, help=tr("The language of what students read: en or es; yours if not given.")),
    secret_file: Path = typer.Option(
        None, help=tr("The file of the course's secret, from which hidden cases are made; your own if not given.")
    ),
) -> None:
    from minilm.course.banks import find_lesson
    from minilm.homework.autograder import build
    from minilm.homework.seeds import find_secret
    from minilm.i18n import language
    from minilm.resources import write_atomically

    about, secret = find_lesson(name), find_secret(secret_file)
    path = out or Path(f"{about.short}-gradescope.zip")
    write_atomically(path, build(about, lang or language(), secret.key))
    if secret.notice:
        typer.echo(secret.notice, err=True)
    typer.echo(tr("{path}: upload it as the autograder; it holds the answers and the secret, show it to no student",
                  path=path))  # fmt: skip


@app.command("gradebook", help=tr("Fill in the grade sheet that Moodle or Canvas exported; the rest of it stays."))
def gradebook(
    folder: Path = typer.Argument(metavar="DIR", help=tr("The folder that `minilm grade --out` wrote.")),
    sheet: Path = typer.Argument(help=tr("Moodle's grading worksheet, or Canvas's gradebook, as CSV.")),
    out: Path = typer.Option(None, help=tr("The sheet to write; NAME.filled.csv beside it if not given.")),
    column: str = typer.Option(None, help=tr("The heading of the column for the grades, if it is not clear.")),
) -> None:
    from minilm.homework.gradebook import fill, read_records
    from minilm.resources import write_atomically

    done = fill(sheet, read_records(folder), column)
    path = out or sheet.with_name(f"{sheet.stem}.filled{sheet.suffix}")
    write_atomically(path, done.data)
    n = len(done.students)
    typer.echo(tr("{path}: filled in, column {column}: {n}", path=path, column=done.column, n=n))
    if done.scaled:
        typer.echo(tr("scaled from {of:g} points to the sheet's {top:g}", of=done.scaled[0], top=done.scaled[1]))
    if done.left:
        typer.echo(tr("handed in nothing, left as they are: {students}", students=", ".join(done.left)))
    if done.locked:
        typer.echo(tr("the sheet does not let these be changed: {students}", students=", ".join(done.locked)))
    if done.unknown:
        typer.echo(tr("graded, but not in the sheet: {students}", students=", ".join(done.unknown)))


BAD = ("unsolved", "missing")


def _row(made: Any, task: Any) -> tuple[str, ...]:
    state = made.state(task)
    said = {"solved": tr("written"), "unsolved": tr("UNSOLVED"), "missing": tr("MISSING"), "example": tr("example")}
    return task.number, task.name, "–" if task.worked else f"{task.points:g}", said[state]
