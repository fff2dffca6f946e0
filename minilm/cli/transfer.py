"""`minilm transfer`: what pretraining brings, measured on Mundito's tasks over paired seeds."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import typer

from minilm.cli.finetune import numbers
from minilm.errors import ConfigError
from minilm.i18n import ntr, tr


def transfer(
    run: Path = typer.Argument(help=tr("A run folder of minilm pretrain on mundito."), metavar="RUN"),
    task: str = typer.Option("sentiment", help=tr("sentiment, entailment, questions or tagging.")),
    compare: str = typer.Option("pretraining", help=tr("pretraining, auxiliary, layers, features or frozen.")),
    against: Path = typer.Option(None, help=tr("Another run, to compare with: e.g. one from left to right.")),
    labels: str = typer.Option("16,64,256", help=tr("Numbers of labelled examples, separated by commas.")),
    seeds: int = typer.Option(5, min=1, help=tr("Runs of each arm, paired by seed.")),
    rates: str = typer.Option("1e-3,3e-3", help=tr("Learning rates that each arm tries on the development set.")),
    trials: int = typer.Option(2, min=1, help=tr("Seeds that try every rate.")),
    steps: int = typer.Option(300, min=1, help=tr("Number of updates of a run.")),
    auxiliary: float = typer.Option(0.5, help=tr("--compare auxiliary: weight of the language model's loss.")),
    test: int = typer.Option(1000, min=1, help=tr("Examples to measure on.")),
    out: Path = typer.Option(None, help=tr("The folder of results; one that was stopped goes on from there.")),
) -> None:
    from minilm.training.interrupt import Interrupted
    from minilm.transfer.comparisons import arms_of, mundito_data, world_of
    from minilm.transfer.experiment import Experiment, Plan
    from minilm.transfer.pretrained import Pretrained

    models = {run.name or "pretrained": Pretrained.open(run)}
    if against is not None:
        if against.name in models:
            raise ConfigError(tr("both runs are called {name}: rename one", name=against.name))
        models[against.name] = Pretrained.open(against)
    blocks = min(model.config.layers for model in models.values())
    arms = tuple(arms_of(compare, blocks, tuple(models), auxiliary))
    counts = whole_numbers("labels", labels)
    plan = Plan(arms, counts, seeds, numbers("rates", rates), trials, steps)
    data = mundito_data(world_of(next(iter(models.values()))), task, test=test)
    folder = out or Path("runs") / f"transfer-{task}-{compare}"
    experiment = Experiment(models, data, plan, folder)
    if experiment.cells:
        typer.echo(ntr("going on: {n} run is there already", "going on: {n} runs are there already",
                       len(experiment.cells)))  # fmt: skip
    try:
        rows = experiment.run(tell)
    except Interrupted:
        raise Interrupted(
            tr("stopped; the runs that ended are kept in {folder}: the same command goes on from there", folder=folder)
        ) from None
    show(rows)
    _draw(folder, rows, task, compare)
    typer.echo(tr("every number: {path}", path=folder / "results.json"))


def whole_numbers(name: str, text: str) -> tuple[int, ...]:
    """Whole numbers separated by commas; ConfigError for anything else."""
    found = numbers(name, text)
    if not found or any(n != int(n) for n in found):
        raise ConfigError(
            tr("--{name} is {got!r}; give whole numbers separated by commas, e.g. 16,64", name=name, got=text)
        )
    return tuple(int(n) for n in found)


def tell(cell: Any, done: int, most: int) -> None:
    typer.echo(
        tr("{done}/{most}  {arm}, {labels} labels, seed {seed}, rate {rate:g}: {score:.3f}", done=done, most=most,
           arm=cell.arm, labels=cell.labels, seed=cell.seed, rate=cell.rate, score=cell.test)
    )  # fmt: skip


def show(rows: Sequence[Any]) -> None:
    """The table: mean, deviation over the seeds, and the paired difference to the first arm with its standard error."""
    from minilm.cli.reports import table

    lines = []
    for row in rows:
        same = row.arm == next(r for r in rows if r.labels == row.labels).arm
        against = "" if same else f"{row.difference:+.3f} ± {row.difference_se:.3f}"
        lines.append((row.arm, f"{row.labels:,}", f"{row.rate:g}", f"{row.mean:.3f} ± {row.deviation:.3f}", against))
    columns = [tr("arm"), tr("labels"), tr("rate"), tr("score ± deviation"), tr("difference ± its error")]
    table("", columns, lines)


def _draw(folder: Path, rows: Sequence[Any], task: str, compare: str) -> None:
    from minilm.transfer.pictures import arms_bars, labels_curve

    title = tr("{task}: {compare}", task=task, compare=compare)
    measure = {"questions": tr("exact match"), "tagging": tr("part of the words that are tagged right")}.get(
        task, tr("accuracy")
    )
    counts = sorted({row.labels for row in rows})
    if len(counts) > 1:
        typer.echo(tr("picture: {path}", path=labels_curve(folder / "labels.png", rows, measure, title)))
    for n in counts if compare != "pretraining" else ():
        of_count = [row for row in rows if row.labels == n]
        heading = ntr("{title}, {n} labelled example", "{title}, {n} labelled examples", n, title=title)
        path = arms_bars(folder / f"arms-{n}.png", of_count, measure, heading)
        typer.echo(tr("picture: {path}", path=path))
