"""`minilm finetune`: a pretrained model learns a task from a file of labelled texts."""

from pathlib import Path

import typer

from minilm.errors import ConfigError
from minilm.i18n import tr


def finetune(
    run: Path = typer.Argument(
        help=tr("A run folder, one of its checkpoints, or a Hugging Face folder."), metavar="FOLDER"
    ),
    task: str = typer.Option(..., help=tr("classify, pair, regress, tag, spans or choice.")),
    train: Path = typer.Option(..., help=tr("Labelled texts to learn from: .csv, .tsv or .jsonl with named columns.")),
    dev: Path = typer.Option(..., help=tr("Labelled texts to choose the learning rate by and to measure on.")),
    out: Path = typer.Option(None, help=tr("The folder to make; runs/TASK if not given.")),
    text_column: str = typer.Option("text", help=tr("The column of the text, of the passage, of words to tag.")),
    second_column: str = typer.Option("second", help=tr("The column of a pair's other text, or of the question.")),
    label_column: str = typer.Option(
        "label", help=tr("The column of the class, number, tags, answer or right choice.")
    ),
    choice_columns: str = typer.Option("choices", help=tr("The columns of the choices, separated by commas.")),
    classes: str = typer.Option(None, help=tr("The classes, separated by commas; else those of the training file.")),
    symmetric: bool = typer.Option(False, "--symmetric", help=tr("Neither text of a pair comes first.")),
    rates: str = typer.Option(None, help=tr("Learning rates to try, separated by commas, e.g. 1e-3,3e-3.")),
    epochs: float = typer.Option(3.0, help=tr("Times through the training file.")),
    steps: int = typer.Option(None, min=1, help=tr("Number of updates, instead of epochs.")),
    batch: int = typer.Option(32, min=1, help=tr("B, sequences an update.")),
    decay: float = typer.Option(0.01, help=tr("Weight decay, on matrices only.")),
    auxiliary: float = typer.Option(0.0, help=tr("GPT: weight of the language model's loss beside the task's.")),
    layers: str = typer.Option("all", help=tr("How much is taken over: none, 0 (embeddings), n blocks, or all.")),
    freeze: str = typer.Option("none", help=tr("How much of it is not learned: none, 0, n blocks, or all.")),
    max_length: int = typer.Option(None, min=1, help=tr("Longest input in tokens; the model's context if not given.")),
    seed: int = typer.Option(0, min=0, help=tr("What all randomness derives from.")),
    threads: int = typer.Option(0, min=0, help=tr("Threads over the batch; 0: one a physical core.")),
) -> None:
    from minilm.pretraining import free_folder
    from minilm.transfer.finetuning import FineTuning
    from minilm.transfer.pretrained import Pretrained
    from minilm.transfer.texts import Columns
    from minilm.transfer.workflow import PICTURE, PREDICTIONS, Request, in_words
    from minilm.transfer.workflow import run as run_workflow

    columns = Columns(text_column, second_column, label_column, tuple(choice_columns.split(",")))
    settings = FineTuning(
        epochs=epochs, steps=steps, batch_size=batch, decay=decay, auxiliary=auxiliary, seed=seed, threads=threads
    )
    request = Request(
        task, train, dev, columns, settings, numbers("rates", rates), tuple(classes.split(",")) if classes else (),
        symmetric, layers_of("layers", layers), layers_of("freeze", freeze), max_length,
    )  # fmt: skip
    folder = out or free_folder(Path("runs") / task)
    pretrained = Pretrained.open(run, lambda sentence: typer.echo(f"minilm: {sentence}", err=True))
    chosen = run_workflow(pretrained, request, folder, typer.echo)
    typer.echo(tr("best on {file}: rate {rate:g}, {scores}", file=dev, rate=chosen.settings.rate,
                  scores=in_words(chosen.scores)))  # fmt: skip
    typer.echo(tr("predictions: {path}", path=folder / PREDICTIONS))
    if (folder / PICTURE).exists():
        typer.echo(tr("confusion matrix: {path}", path=folder / PICTURE))
    typer.echo(tr("use it: {command}", command=f'minilm predict {folder} "…"'))


def numbers(name: str, text: str | None) -> tuple[float, ...]:
    """Numbers separated by commas; ConfigError for anything else."""
    try:
        return tuple(float(part) for part in (text or "").split(",") if part.strip())
    except ValueError:
        raise ConfigError(
            tr("--{name} is {got!r}; give numbers separated by commas, e.g. 1e-3,3e-3", name=name, got=text)
        ) from None


def layers_of(name: str, text: str) -> int | str | None:
    """None, a number of blocks, or "all"; ConfigError for anything else."""
    if text in ("none", "all"):
        return None if text == "none" else "all"
    try:
        return int(text)
    except ValueError:
        raise ConfigError(
            tr("--{name} is {got!r}; choose none, 0 (embeddings), a number of blocks, or all", name=name, got=text)
        ) from None
