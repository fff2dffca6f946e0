"""`minilm scaling`: a sweep trained, laws fitted to a table of runs, those published, a training on many machines."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import typer

from minilm.cli.scaling_run import run
from minilm.errors import ConfigError
from minilm.i18n import tr

app = typer.Typer(no_args_is_help=True, add_completion=False)

app.command("run", help=tr("Train families of small models and measure their laws; goes on where it was stopped."))(run)

AS_JSON = typer.Option(False, "--json", help=tr("Print exact numbers as JSON, for programs."))


# ---------------------------------------------------------------------------------------------------------------- laws


@app.command("laws", help=tr("Kaplan's and Chinchilla's laws at a size, an amount of data, a budget of compute."))
def laws(
    parameters: float = typer.Option(None, help=tr("N, e.g. 1.5e9; Kaplan counts it without embeddings.")),
    tokens: float = typer.Option(None, help=tr("D, the tokens of the training.")),
    compute: float = typer.Option(None, help=tr("C, the FLOPs of the training.")),
    as_json: bool = AS_JSON,
) -> None:
    for name, value in (("parameters", parameters), ("tokens", tokens), ("compute", compute)):
        if value is not None and not 0 < value < float("inf"):
            raise ConfigError(tr("{name} is {got!r}; it must be above 0", name=f"--{name}", got=value))
    if parameters is None and tokens is None and compute is None:
        return _trainings(as_json)
    found = law_values(parameters, tokens, compute)
    if as_json:
        return typer.echo(json.dumps({f"{source}: {what}": value for source, what, value in found}, indent=2))
    from minilm.cli.reports import table

    rows = [(source, what, written(value)) for source, what, value in found]
    table("", [tr("source"), tr("law"), tr("value")], rows, words=(0, 1))


def written(value: float) -> str:
    """Four digits of a number, or all before the point."""
    return f"{value:,.0f}" if 1e3 <= value < 1e7 else f"{value:.4g}"


def law_values(N: float | None, D: float | None, C: float | None) -> list[tuple[str, str, float]]:
    """(source, what, value) of every published law that these numbers allow."""
    from minilm.scaling import published as p

    found: list[tuple[str, str, float]] = []
    kaplan = "Kaplan 2020"
    if N is not None:
        found += [(kaplan, tr("L(N), nats a token"), p.LOSS_OF_SIZE(N)),
                  (kaplan, tr("tokens below which N overfits"), p.ENOUGH_DATA(N))]  # fmt: skip
        if N < p.LARGEST_FOR_THE_RATE:
            found.append((kaplan, tr("learning rate"), float(p.learning_rate(N))))
    if D is not None:
        found.append((kaplan, tr("L(D), nats a token"), p.LOSS_OF_DATA(D)))
    if N is not None and D is not None:
        L = p.loss_of_size_and_data(N, D)
        found += [(kaplan, tr("L(N, D), nats a token"), L),
                  (kaplan, tr("critical batch at that loss, tokens"), p.critical_batch(L))]  # fmt: skip
        found += [(name, tr("L(N, D), nats a token"), s.loss(N, D)) for name, s in p.SURFACES.items()]
        found.append((tr("both"), tr("C = 6 N D, FLOPs"), p.FLOPS_PER_PARAMETER * N * D))
    if C is not None:
        found += _spent(C)
    return found


def _spent(C: float) -> list[tuple[str, str, float]]:
    from minilm.scaling import published as p

    days = C / p.PF_DAY
    kaplan = [
        (tr("C in PF-days"), days),
        (tr("L(Cmin), nats a token"), p.LOSS_OF_COMPUTE(days)),
        (tr("best N"), p.OPTIMAL_SIZE(days)),
        (tr("D with it, tokens"), p.OPTIMAL_DATA(days)),
        (tr("batch, tokens"), p.OPTIMAL_BATCH(days)),
        (tr("steps"), p.OPTIMAL_STEPS(days)),
    ]
    found = [("Kaplan 2020", what, value) for what, value in kaplan]
    for name, surface in p.SURFACES.items():
        N, D = surface.optimum(C)
        found += [(name, tr("best N"), N), (name, tr("D with it, tokens"), D), (name, tr("tokens a parameter"), D / N),
                  (name, tr("L(N, D), nats a token"), surface.loss(N, D))]  # fmt: skip
    return found


def _trainings(as_json: bool) -> None:
    """What published models cost, by their exact sizes."""
    from minilm.cli.reports import paragraph, table
    from minilm.models.sizes import PUBLISHED, count_parameters
    from minilm.scaling import published as p

    found = []
    for one in p.TRAININGS:
        C = p.training_compute(one.model, one.tokens)
        N = count_parameters(PUBLISHED[one.model].shape)
        found.append({"model": one.model, "parameters": N, "tokens": one.tokens, "flops": C, "said": one.said,
                      "pf_days": C / p.PF_DAY, "loss": p.EPOCH.loss(N, one.tokens), "source": one.source})  # fmt: skip
    if as_json:
        return typer.echo(json.dumps(found, indent=2))
    columns = [tr("name"), tr("parameters"), tr("tokens"), tr("6 N D, FLOPs"), tr("as printed"), tr("PF-days"),
               tr("L(N, D), nats a token")]  # fmt: skip
    rows = [
        (r["model"], f"{r['parameters']:,}", f"{r['tokens']:.3g}", f"{r['flops']:.3g}",
         f"{r['said']:.3g}" if r["said"] else "–", written(r['pf_days']), f"{r['loss']:.3f}")
        for r in found
    ]  # fmt: skip
    table("", columns, rows)
    paragraph(
        tr(
            "The loss is what the surface of Besiroglu et al. 2024 gives, for Chinchilla's text and tokens. At a size, "
            "a number of tokens or a budget of your own: {command}",
            command="minilm scaling laws --parameters 1.5e9 --tokens 2.2e10 --compute 1e21",
        )
    )


# ----------------------------------------------------------------------------------------------------------------- fit


@app.command("fit", help=tr("Fit the laws to a table of runs: constants with intervals, tests, pictures."))
def fit(
    path: Path = typer.Argument(
        help=tr(
            "A CSV, TSV or JSON-lines file, a row for each run: columns parameters, tokens, loss; if known also steps, "
            "flops, floor (the loss of the source itself), budget (the FLOPs of an isoFLOP profile), run (a name; rows "
            "of one run are its learning curve)."
        ),
        metavar="TABLE",
    ),
    out: Path = typer.Option(None, help=tr("The folder for pictures and numbers; runs/scaling-NAME if not given.")),
    replicas: int = typer.Option(500, min=20, help=tr("Draws of the bootstrap.")),
    seed: int = typer.Option(0, min=0, help=tr("What all randomness derives from.")),
    as_json: bool = AS_JSON,
) -> None:
    import numpy as np

    from minilm.cli import scaling_fits as report
    from minilm.resources import write_atomically
    from minilm.scaling import plots
    from minilm.scaling.analysis import analyse, parts_of
    from minilm.scaling.runs import read_runs

    found = analyse(parts_of(read_runs(path)), np.random.default_rng(seed), replicas)
    folder = out or Path("runs") / f"scaling-{path.stem}"
    numbers = json.dumps(report.as_numbers(found), indent=2)
    write_atomically(folder / "fits.json", numbers + "\n")
    if as_json:
        return typer.echo(numbers)
    report.show(found)
    for picture in plots.every(folder, found, path.stem):
        typer.echo(tr("picture: {path}", path=picture))
    typer.echo(tr("every number: {path}", path=folder / "fits.json"))


# ---------------------------------------------------------------------------------------------------------------- plan


@app.command("plan", help=tr("What a training would take on several machines, by the costs measured on one."))
def plan(
    model: str = typer.Option("gpt2", help=tr("A published model, as minilm sizes lists them.")),
    machines: str = typer.Option("1,8,64", help=tr("Numbers of machines, separated by commas.")),
    tokens: float = typer.Option(None, help=tr("D, the tokens of the training; 20 a parameter if not given.")),
    batch_tokens: int = typer.Option(2**19, min=1, help=tr("Tokens of a step, over all machines.")),
    context: int = typer.Option(None, min=1, help=tr("Tokens of a text; if not given, as many as the model reads.")),
    gigabits: float = typer.Option(1.0, help=tr("The network between machines, in gigabits a second.")),
    latency: float = typer.Option(50e-6, help=tr("Seconds until a message between machines arrives.")),
    speed: Path = typer.Option(
        Path("docs/speed.json"), help=tr("What make bench measured, a file that BENCH='--json FILE' writes.")
    ),
    flops: float = typer.Option(None, help=tr("FLOPs a second of one machine, in place of those measured.")),
    as_json: bool = AS_JSON,
) -> None:
    from minilm.cli.transfer import whole_numbers
    from minilm.models import sizes as s
    from minilm.scaling import plan as p

    shape = s.published(s.resolve(model)).shape
    N = s.count_parameters(shape)
    tokens = tokens if tokens is not None else TOKENS_A_PARAMETER * N
    one = p.by_hand(flops) if flops is not None else p.measured(p.read_speed(speed))
    network = p.Network(gigabits * 1e9 / 8, latency)
    how: dict[str, Any] = {"batch_tokens": batch_tokens, "context": context, "network": network}
    found = [p.plan(shape, one, n, tokens, **how) for n in whole_numbers("machines", machines)]
    if as_json:
        return typer.echo(json.dumps([{**each.__dict__, "efficiency": each.efficiency} for each in found], indent=2))
    show_plan(s.resolve(model), N, tokens, one, gigabits, found)


TOKENS_A_PARAMETER = 20  # about what Chinchilla had: 1.4e12 for 70e9 (Hoffmann et al. 2022)


def show_plan(name: str, N: int, tokens: float, one: Any, gigabits: float, found: Sequence[Any]) -> None:
    """The plans as a table, the assumptions beneath."""
    from minilm.cli.reports import paragraph, table

    typer.echo(
        tr("{name}: {n:,} parameters, {tokens:.3g} tokens; a machine: {rate:.3g} FLOPs a second on {threads} threads; "
           "network: {gigabits:g} Gbit/s", name=name, n=N, tokens=tokens, rate=one.flops_per_second,
           threads=one.threads, gigabits=gigabits)
    )  # fmt: skip
    table("", plan_columns(), [plan_row(each) for each in found], words=())
    paragraph(
        tr(
            "Assumed: the rate holds at this size; machines are alike; a ring all-reduces the whole gradient once a "
            "step and hides behind nothing; each machine holds weights, gradients and Adam's moments, 16 bytes a "
            "parameter, and computes one text at a time."
        )
    )


def plan_columns() -> list[str]:
    return [tr("machines"), tr("seconds a step"), tr("of them all-reduce"), tr("tokens a second"), tr("days"),
            tr("efficiency"), tr("memory of each")]  # fmt: skip


def plan_row(each: Any) -> list[str]:
    """A plan as people read it."""
    from minilm.seeing.table import size

    seconds = each.compute_seconds + each.all_reduce_seconds
    return [f"{each.machines}", f"{seconds:,.4g}", f"{each.all_reduce_seconds:.3g}", f"{each.tokens_per_second:,.0f}",
            f"{each.days:,.1f}", f"{each.efficiency:.1%}", size(each.memory_bytes)]  # fmt: skip
