"""`minilm tour`: the main job from end to end. A GPT learns real text, a BERT a little world and then a task."""

import contextlib
import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from minilm.errors import CheckpointError, ConfigError
from minilm.i18n import tr

SETTINGS = "tour.json"  # written first: a folder with it is a tour that can be gone on with
Places = list[tuple[str, Path]]  # what lies where


def tour(
    out: Path = typer.Option(None, help=tr("The folder to make; runs/tour if not given.")),
    resume: Path = typer.Option(None, help=tr("Go on with the tour of this folder.")),
    threads: int = typer.Option(0, min=0, help=tr("Threads over the batch; 0: one a physical core.")),
    steps: int = typer.Option(None, min=1, help=tr("Most updates of each training, to shorten the tour.")),
) -> None:
    from minilm.cli import tour_bert, tour_gpt

    folder, most = open_folder(out, resume, steps)
    with resumable(folder):
        places = tour_gpt.first_half(folder, threads, most)
        places += tour_bert.second_half(folder, threads, most)
    heading(tr("7. Where everything lies"))
    for what, path in places:
        typer.echo(f"  {what}: {path}")
    heading(tr("What to try next"))
    for what, command in next_commands(folder):
        typer.echo(f"  {what}:\n      {command}")


def next_commands(folder: Path) -> list[tuple[str, str]]:
    """What one can do with what the tour made, and after it."""
    return [
        (tr("let the GPT go on writing"), f'minilm generate {folder / "gpt"} "The module " --temperature 0.8'),
        (tr("let the BERT guess, in words of the little world"), f'minilm fill {folder / "bert"} "… [MASK] …"'),
        (tr("teach it a task of your own"), f"minilm finetune {folder / 'bert'} --task classify --train … --dev …"),
        (tr("train a GPT that beats every n-gram (under half an hour)"), "minilm pretrain gpt --config small"),
        (tr("train on your own text"), "minilm pretrain gpt --data FILE_OR_FOLDER --config tour"),
        (tr("see what this machine has"), "minilm doctor"),
    ]


# ------------------------------------------------------------------------------------------------ stopping, going on


def open_folder(out: Path | None, resume: Path | None, steps: int | None) -> tuple[Path, int | None]:
    """The tour's folder, made or found again, and the most updates of each training, None for the recipes' own."""
    from minilm.pretraining import free_folder
    from minilm.resources import write_atomically
    from minilm.transfer.folder import new_folder

    if resume is not None:
        if wrong := [name for name, got in (("--out", out), ("--steps", steps)) if got is not None]:
            raise ConfigError(
                tr("--resume goes on with the tour's own settings: leave out {options}", options=", ".join(wrong))
            )
        try:
            return resume, json.loads((resume / SETTINGS).read_text("utf-8"))["steps"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise CheckpointError(
                tr("{folder} is no tour: give a folder that `minilm tour` made", folder=resume)
            ) from error
    folder = out or free_folder(Path("runs") / "tour")
    if (folder / SETTINGS).exists():
        raise ConfigError(
            tr("{folder} already is a tour: go on with `minilm tour --resume {folder}`, or choose another name",
               folder=folder)
        )  # fmt: skip
    write_atomically(new_folder(folder) / SETTINGS, json.dumps({"steps": steps}) + "\n")
    return folder, steps


@contextlib.contextmanager
def resumable(folder: Path) -> Iterator[None]:
    """What Ctrl-C says: how to go on with the tour, not with the training in hand alone."""
    from minilm.training.interrupt import Interrupted

    how = f"minilm tour --resume {folder}"
    try:
        yield
    except Interrupted:
        raise Interrupted(tr("stopped and saved; go on with `{command}`", command=how)) from None
    except KeyboardInterrupt:
        raise Interrupted(tr("stopped; go on from what was saved before with `{command}`", command=how)) from None


# ------------------------------------------------------------------------------------------- what both halves share


def heading(text: str) -> None:
    typer.echo("")
    typer.secho(text, bold=True)


def shortened(recipe: Any, steps: int | None) -> Any:
    """The recipe with at most that many updates, and warm-up, evaluations and documents that fit them."""
    if steps is None or steps >= recipe.steps:
        return recipe
    warmup, every = min(recipe.warmup, steps // 10), min(recipe.evaluate_every, steps)
    changes: dict[str, Any] = {"steps": steps, "warmup": warmup, "evaluate_every": every}
    if hasattr(recipe, "documents"):
        changes["documents"] = min(recipe.documents, max(100, recipe.batch * steps))
    return dataclasses.replace(recipe, **changes)


def trained(data: Any, recipe: Any, folder: Path, threads: int, callback: Any = None) -> tuple[Any, Any]:
    """The pretraining of that folder, begun or gone on with, and its trainer at the end of it.

    callback: made from the pretraining, what the trainer calls.
    """
    from minilm.cli.reports import describe
    from minilm.pretraining import Pretraining

    begun = (folder / "config.json").exists()
    pretraining = Pretraining.open(folder) if begun else Pretraining.start(data, recipe, folder)
    trainer = pretraining.trainer(threads, callback=callback and callback(pretraining)).resume()
    describe(pretraining, trainer)
    trainer.train()
    return pretraining, trainer
