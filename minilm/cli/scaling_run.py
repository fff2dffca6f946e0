"""`minilm scaling run`: a family of small models trained, the table and the laws that come of it."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import typer

from minilm.errors import ConfigError
from minilm.i18n import ntr, tr


def run(
    config: str = typer.Argument(
        None, help=tr("A sweep: facts, the default; tails; tiny; or a TOML file. With --resume: the folder's own.")
    ),
    out: Path = typer.Option(None, help=tr("The folder of the sweep; runs/sweep-NAME if not given.")),
    jobs: int = typer.Option(0, min=0, help=tr("Processes side by side; 0: one a physical core.")),
    resume: bool = typer.Option(False, "--resume", help=tr("Go on with the sweep in the folder: what is done stays.")),
    dask: str = typer.Option(
        None, metavar="SCHEDULER", help=tr("Train on the workers of a Dask cluster, e.g. tcp://10.0.0.1:8786.")
    ),
    seeds: int = typer.Option(
        None, min=1, help=tr("Trainings of each setting, in place of those that the sweep says.")
    ),
) -> None:
    from minilm.cores import available_cores
    from minilm.scaling.minimizing import lbfgs
    from minilm.sweeps.config import read_sweep
    from minilm.sweeps.sweep import Running, stored_sweep

    if resume and out is None and config is None:
        raise ConfigError(tr("--resume goes on with the sweep of a folder: give --out too"))
    lbfgs()  # the laws are fitted last: what they need is asked for first
    name = config or "facts"
    folder = out or Path("runs") / f"sweep-{Path(name).stem}"
    sweep = stored_sweep(folder) if resume and config is None else read_sweep(name)
    sweep = sweep if seeds is None else sweep.with_seeds(seeds)
    running, jobs = Running(sweep, folder), jobs or available_cores()
    with running.taken(resume):
        announce(running, jobs, dask)
        try:
            with shown() as running.progress:
                running.run(jobs, dask)
        except KeyboardInterrupt:
            raise stopped(folder) from None
    finish(running)


def stopped(folder: Path) -> Exception:
    from minilm.training.interrupt import Interrupted

    command = f"minilm scaling run --out {folder} --resume"
    return Interrupted(tr("stopped; what is done is kept: go on with `{command}`", command=command))


def announce(running: Any, jobs: int, scheduler: str | None) -> None:
    """What is about to be trained, how much of it is done, and where it lies."""
    typer.echo(
        tr("{title}: {n} trainings of {sizes} sizes, {seeds} seeds, {tokens:.3g} tokens in all; {done} are done",
           title=running.sweep.title, n=len(running.plan), sizes=len({p.point.recipe.width for p in running.plan}),
           seeds=running.sweep.training.seeds, tokens=float(sum(p.point.tokens for p in running.plan)),
           done=len(running.results))
    )  # fmt: skip
    if scheduler is None:
        typer.echo(ntr("{n} process; folder: {folder}", "{n} processes; folder: {folder}", jobs, folder=running.folder))
    else:
        typer.echo(tr("Dask cluster at {address}; folder: {folder}", address=scheduler, folder=running.folder))


@contextmanager
def shown() -> Iterator[Callable[[Any, str], None]]:
    """A bar over the whole sweep on a terminal; elsewhere a line for each training that is done."""
    from minilm.training.progress import duration

    def line(running: Any) -> str:
        return tr("{done}/{n} done, {left} left", done=len(running.results), n=len(running.plan),
                  left=duration(running.seconds_left()))  # fmt: skip

    if not sys.stdout.isatty():

        def write(running: Any, sentence: str) -> None:
            if sentence:
                typer.echo(f"{sentence}  {line(running)}")

        yield write
        return
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

    with Progress(TextColumn("{task.description}"), BarColumn(), TaskProgressColumn()) as bar:
        task = bar.add_task("", total=1.0)

        def move(running: Any, sentence: str) -> None:
            if sentence:
                bar.console.print(sentence, markup=False, highlight=False)
            bar.update(task, completed=running.share_done(), description=line(running))

        yield move


def finish(running: Any) -> None:
    """The laws, the pictures, the table. Exit status 1 if a training failed."""
    from minilm.cli import scaling_fits
    from minilm.sweeps.findings import compared, laws_of, lowest_excess

    found, pictures = running.draw()
    laws = {name: laws_of(one) for name, one in found.items()}
    for name, one in found.items():
        typer.echo(f"\n{name}")
        scaling_fits.show(one)
    show_laws(laws)
    tails = {rows[0]["tail"]: laws[name] for name, rows in running.sources.items() if rows[0]["tail"] is not None}
    show_comparison(compared(tails))
    lowest = lowest_excess(running.rows)
    if lowest is not None:
        typer.echo(tr("the least excess of all: {lowest:+.1f} standard errors (below -3 a model sees what it should "
                      "predict)", lowest=lowest))  # fmt: skip
    save_findings(running.folder / "findings.json", found, laws)
    for picture in pictures:
        typer.echo(tr("picture: {path}", path=picture))
    typer.echo(tr("table: {path}; learning curves: {curves}", path=running.folder / "table.csv",
                  curves=running.folder / "curves.csv"))  # fmt: skip
    if running.failed:
        typer.echo(tr("{n} trainings failed: give the command again with --resume, or change their settings",
                      n=len(running.failed)), err=True)  # fmt: skip
        raise typer.Exit(1)


def show_laws(laws: dict[str, Any]) -> None:
    """The excess's exponent and the loss's own side by side; the fitted floor and the true one."""
    from minilm.cli.reports import table

    rows = [
        (name, law.column, tr("excess") if law.of == "excess" else tr("loss"), f"{law.exponent:.3f}",
         f"{law.low:.3f} – {law.high:.3f}", f"{law.r_squared:.4f}", _or_dash(law.floor), _or_dash(law.known))
        for name, some in laws.items() for law in some
    ]  # fmt: skip
    columns = [tr("source"), tr("along"), tr("of"), tr("exponent"), tr("bootstrap interval (90 %)"),
               tr("R² of the seeds' means"), tr("fitted floor"), tr("true floor")]  # fmt: skip
    if rows:
        typer.echo("")
        table("", columns, rows, words=(0, 1, 2))


def _or_dash(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"


def show_comparison(found: Any) -> None:
    for one in found:
        larger, smaller = one.exponents
        said = {"column": one.column, "a": f"{larger:.3f}", "tail": f"{one.larger:g}", "b": f"{smaller:.3f}",
                "other": f"{one.smaller:g}"}  # fmt: skip
        apart = tr(
            "{column}: exponent {a} at tail {tail}, {b} at tail {other}: their intervals (90 %) are apart", **said
        )
        alike = tr("{column}: exponent {a} at tail {tail}, {b} at tail {other}: their intervals (90 %) overlap", **said)
        typer.echo(apart if one.apart else alike)


def save_findings(path: Path, found: dict[str, Any], laws: dict[str, Any]) -> None:
    """Every number, as JSON."""
    import dataclasses
    import json

    from minilm.cli import scaling_fits
    from minilm.resources import write_atomically

    numbers = {
        name: {"exponents": [dataclasses.asdict(law) for law in laws[name]], **scaling_fits.as_numbers(one)}
        for name, one in found.items()
    }
    write_atomically(path, json.dumps(numbers, indent=1) + "\n")
