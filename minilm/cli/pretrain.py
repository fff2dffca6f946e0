"""`minilm pretrain`: a language model from nothing but a text."""

import dataclasses
from pathlib import Path
from typing import Any

import typer

from minilm.errors import ConfigError
from minilm.i18n import tr

app = typer.Typer(no_args_is_help=True, add_completion=False)


@app.callback()
def _group() -> None:
    """Keeps `gpt` a command of its own while it is the only one."""


@app.command("gpt", help=tr("Train a GPT to predict the next token, or go on with a stopped training."))
def gpt(
    data: str = typer.Option("pydocs", help=tr("A built-in text's name, a text file, or a folder of text files.")),
    config: str = typer.Option("small", help=tr("The recipe to begin from: tiny, tour or small.")),
    out: Path = typer.Option(None, help=tr("The run folder to make; runs/NAME if not given.")),
    resume: Path = typer.Option(None, help=tr("Go on with the training of this run folder.")),
    checkpoint: str = typer.Option(None, help=tr("With --resume: from this checkpoint, e.g. step-00000400.")),
    threads: int = typer.Option(0, min=0, help=tr("Threads over the batch; 0: one a physical core.")),
    recompute: bool = typer.Option(
        False,
        "--recompute",
        help=tr("Save memory: keep only each block's input and compute the rest again for the backward; same bits."),
    ),
    seed: int = typer.Option(0, min=0, help=tr("What all randomness derives from.")),
    tokenizer: str = typer.Option(None, help=tr("char, or bpe.")),
    vocabulary: int = typer.Option(None, help=tr("Entries of a bpe vocabulary.")),
    width: int = typer.Option(None, help=tr("D, the width of the model.")),
    layers: int = typer.Option(None, help=tr("L, the number of blocks.")),
    heads: int = typer.Option(None, help=tr("H, the attention heads; they divide the width.")),
    context: int = typer.Option(None, help=tr("T, how many tokens the model sees at once.")),
    norm: str = typer.Option(None, help=tr("pre, as in GPT-2, or post, as in GPT-1.")),
    dropout: float = typer.Option(None, help=tr("The share of activations dropped in training.")),
    batch: int = typer.Option(None, help=tr("B, sequences an update.")),
    steps: int = typer.Option(None, help=tr("Number of updates.")),
    rate: float = typer.Option(None, help=tr("The highest learning rate.")),
    warmup: int = typer.Option(None, help=tr("Steps in which the rate rises to it.")),
    decay: float = typer.Option(None, help=tr("Weight decay, on matrices only.")),
    evaluate_every: int = typer.Option(None, help=tr("Steps between two evaluations (and checkpoints).")),
    backend: str = typer.Option("numpy", help=tr("What computes: numpy, or cupy on an NVIDIA GPU.")),
    ngrams: bool = typer.Option(True, help=tr("Set the n-gram models beside the result.")),
) -> None:
    from minilm.backend import use
    from minilm.pretraining import Pretraining, free_folder

    use(backend)
    changes = {k: v for k, v in locals().copy().items() if k in _RECIPE_OPTIONS and v is not None}
    if resume is not None:
        if changes or out is not None:
            wrong = ", ".join(f"--{k.replace('_', '-')}" for k in (*changes, *(["out"] if out else [])))
            raise ConfigError(tr("--resume goes on with the run's own settings: leave out {options}", options=wrong))
        pretraining = Pretraining.open(resume)
        trainer = pretraining.trainer(threads, recompute=recompute).resume(checkpoint)
    else:
        folder = out or free_folder(Path("runs") / f"gpt-{config}")
        pretraining = Pretraining.start(data, recipe_of(config, changes), folder, seed)
        trainer = pretraining.trainer(threads, recompute=recompute)
    train_and_report(pretraining, trainer, ngrams)


_RECIPE_OPTIONS = (
    "tokenizer", "vocabulary", "width", "layers", "heads", "context", "norm", "dropout", "batch", "steps", "rate",
    "warmup", "decay", "evaluate_every",
)  # fmt: skip


def recipe_of(name: str, changes: dict[str, Any]) -> Any:
    """The recipe of that name with the changes that the command line asks for."""
    from minilm.pretraining import RECIPES

    if name not in RECIPES:
        raise ConfigError(tr("config is {got!r}; choose one of {names}", got=name, names=", ".join(RECIPES)))
    recipe = RECIPES[name]
    if "steps" in changes:  # a short training warms up and evaluates within it
        changes.setdefault("warmup", min(recipe.warmup, changes["steps"] // 10))
        changes.setdefault("evaluate_every", min(recipe.evaluate_every, changes["steps"]))
    if changes.get("tokenizer") == "bpe":
        changes.setdefault("vocabulary", 1024)
    return dataclasses.replace(recipe, **changes)


def train_and_report(pretraining: Any, trainer: Any, ngrams: bool) -> None:
    """Train to the end; print the model's loss beside the n-grams' and draw the curve."""
    from minilm.plots import loss_curve
    from minilm.training.log import read_log

    describe(pretraining, trainer)
    trainer.train()
    loss, run, bits = pretraining.final_loss(trainer), pretraining.run, pretraining.bits_per_byte
    rows = pretraining.ngrams() if ngrams else []
    show_ladder(pretraining, rows, loss)
    title = tr("A GPT of {n:,} parameters on {name}", n=trainer.model.num_parameters(), name=pretraining.corpus.name)
    picture = loss_curve(run.folder / "loss.png", read_log(run.log), rows, bits, bits(loss), title)
    typer.echo(tr("loss curve: {path}", path=picture))
    typer.echo(tr("checkpoint: {path}", path=run.latest()))
    typer.echo(tr("let it write: {command}", command=f'minilm generate {run.folder} "…"'))


def describe(pretraining: Any, trainer: Any) -> None:
    """What is about to be trained, on what, and where it will lie."""
    from minilm.text.batches import TokenBatches

    recipe, corpus = pretraining.recipe, pretraining.corpus
    epoch = TokenBatches(pretraining.train_ids, recipe.context, recipe.batch).steps_per_epoch
    typer.echo(
        tr(
            "text: {name}, {size:,} bytes; {train:,} tokens to train on, {valid:,} to validate on, {vocab:,} different",
            name=corpus.name,
            size=corpus.size,
            train=len(pretraining.train_ids),
            valid=len(pretraining.validation_ids),
            vocab=pretraining.tokenizer.vocab_size,
        )
    )
    typer.echo(
        tr(
            "model: GPT of {n:,} parameters (width {width}, {layers} layers, {heads} heads, context {context}); "
            "{steps:,} steps of {batch} sequences, {epochs:.1f} times through the text; threads: {threads}",
            n=trainer.model.num_parameters(),
            width=recipe.width,
            layers=recipe.layers,
            heads=recipe.heads,
            context=recipe.context,
            steps=recipe.steps,
            batch=recipe.batch,
            epochs=recipe.steps / epoch,
            threads=trainer.threads,
        )
    )
    typer.echo(tr("run folder: {folder}", folder=pretraining.run.folder))


def show_ladder(pretraining: Any, rows: list[dict[str, Any]], loss: float) -> None:
    """Each n-gram order and the model, in nats per token and bits per byte of the same text."""
    from rich.console import Console
    from rich.table import Table

    bits = pretraining.bits_per_byte(loss)
    table = Table(title=tr("on the validation part of {name}", name=pretraining.corpus.name))
    table.add_column(tr("model"))
    table.add_column(tr("nats per token"), justify="right")
    table.add_column(tr("bits per byte"), justify="right")
    for row in rows:
        table.add_row(tr("{n}-gram", n=row["order"]), f"{row['nats']:.4f}", f"{row['bits']:.4f}")
    table.add_row("GPT", f"{loss:.4f}", f"{bits:.4f}", style="bold")
    Console().print(table)
    below = [str(row["order"]) for row in rows if bits < row["bits"]]
    if below:
        typer.echo(tr("the GPT is below the n-gram models of orders {orders}", orders=", ".join(below)))
    elif rows:
        typer.echo(tr("the GPT is not yet below any n-gram model: train longer"))
