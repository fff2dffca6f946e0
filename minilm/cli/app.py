"""The roof: `minilm COMMAND …`. A command's module is imported when the command is called; an error is one sentence."""

import contextlib
import errno
import importlib
import os
import sys
import traceback
from collections.abc import Iterable, Iterator
from typing import Any, Literal

import typer
from typer.core import TyperCommand, TyperGroup

import minilm
from minilm.errors import MinilmError
from minilm.i18n import tr

# Boxes and colours on a terminal, plain lines in a file or a pipe.
RICH: Literal["rich"] | None = "rich" if sys.stdout.isatty() else None

FLAGS = {"help": False, "install_completion": False, "show_completion": False}  # those that typer adds by itself


def commands() -> dict[str, tuple[str, str]]:
    """Name -> (where it is, what it does). Where: module:function, or module:app for one with commands of its own."""
    return {
        "tour": (
            "minilm.cli.tour:tour",
            tr("A GPT learns real text and writes; a BERT fills masks and learns a task."),
        ),
        "data": ("minilm.cli.data:app", tr("The texts to learn from: list them, look at one, fetch one.")),
        "pretrain": ("minilm.cli.pretrain:app", tr("Train a GPT or a BERT from nothing on a text.")),
        "generate": ("minilm.cli.generate:generate", tr("Let a trained GPT continue a text.")),
        "fill": ("minilm.cli.fill:fill", tr("Let a trained BERT guess the words behind [MASK].")),
        "embed": ("minilm.cli.embed:embed", tr("Find the lines of a file that mean what a question means.")),
        "probe": ("minilm.cli.probe:probe", tr("What a GPT of Mundito knows without having been asked in training.")),
        "finetune": ("minilm.cli.finetune:finetune", tr("Teach a pretrained model a task from labelled texts.")),
        "predict": ("minilm.cli.predict:predict", tr("Let a fine-tuned model answer for a file or a text.")),
        "transfer": ("minilm.cli.transfer:transfer", tr("Measure what pretraining brings on mundito's tasks.")),
        "zeroshot": ("minilm.cli.zeroshot:zeroshot", tr("Ask a language model for a class it was never taught.")),
        "sizes": ("minilm.cli.sizes:sizes", tr("Published models: exact parameter counts, memory and FLOPs.")),
        "blocks": ("minilm.cli.blocks:blocks", tr("One block, many models: what each of them does differently.")),
        "scaling": ("minilm.cli.scaling:app", tr("Scaling laws: what was published, fits to your runs, a plan.")),
        "lesson": ("minilm.cli.lesson:app", tr("The course's lessons: list them, run one, open it as a notebook.")),
        "homework": ("minilm.cli.homework:app", tr("A lesson's homework: give it out, try it at home, hand it in.")),
        "grade": ("minilm.cli.grade:grade", tr("Grade a class's homework: points, causes, a page for each student.")),
        "doctor": ("minilm.cli.doctor:doctor", tr("What this machine has, what will be slow on it, and why.")),
    }


def unset(commands: Iterable[str | None] = ()) -> dict[str, Any]:
    """Context settings in which typer's own flags, here and in the commands beneath, are False unless given.

    Typer leaves them at None, and to convert a None it imports pydantic, longer than all else that a help page takes.
    """
    return {"default_map": {**FLAGS, **{str(name): FLAGS for name in commands}}}


def load(name: str) -> Any:
    """The command itself, its module imported now."""
    target, help = commands()[name]
    module, _, attribute = target.partition(":")
    found = getattr(importlib.import_module(module), attribute)
    if isinstance(found, typer.Typer):
        app = found
        app.info.help, app.info.name, app.rich_markup_mode = help, name, RICH
        app.info.context_settings = unset(command.name for command in app.registered_commands)
        return typer.main.get_group(app)
    app = typer.Typer(add_completion=False, rich_markup_mode=RICH)
    app.command(name, help=help, context_settings=unset())(found)
    return typer.main.get_command(app)


class LazyGroup(TyperGroup):
    """Lists the commands from the table alone and imports the one that is called."""

    def __init__(self, **settings: Any):
        super().__init__(**settings)
        self.commands = {name: TyperCommand(name, help=help) for name, (_, help) in commands().items()}

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        name, listed, rest = super().resolve_command(ctx, args)
        return name, listed and load(str(name)), rest

    def invoke(self, ctx: Any) -> Any:
        with one_sentence():
            return super().invoke(ctx)


@contextlib.contextmanager
def one_sentence() -> Iterator[None]:
    """Turn the errors that people can mend into one sentence on stderr and an exit status: 1, or 130 for Ctrl-C."""
    try:
        yield
    except (MinilmError, OSError, MemoryError, KeyboardInterrupt) as error:
        sentence = explain(error)
        if sentence is None:
            raise
        if os.environ.get("MINILM_DEBUG"):
            traceback.print_exc()
        typer.echo(f"minilm: {sentence}", err=True)
        status = 130 if isinstance(error, KeyboardInterrupt) else getattr(error, "exit_status", 1)
        raise typer.Exit(status) from None


def explain(error: BaseException) -> str | None:
    """The sentence for an error; None for one that we do not foresee."""
    match error:
        case MinilmError():
            return str(error)
        case KeyboardInterrupt():
            return tr("stopped by Ctrl-C")
        case MemoryError() if type(error).__name__ == "OutOfMemoryError":  # CuPy's, which need not be installed
            return tr(
                "the memory of the GPU is full ({problem}): take a smaller batch, context or model, or end what else "
                "computes there",
                problem=str(error).split("\n")[0],
            )
        case MemoryError():
            return tr("the memory is full: take a smaller batch, context or model, or close other programs")
        case OSError(errno=errno.ENOSPC | errno.EDQUOT):
            return tr("the disk is full{where}: free some space and run the same command again", where=_where(error))
        case PermissionError() | OSError(errno=errno.EROFS):
            return tr(
                "may not write or read{where}: choose another folder or change its permissions", where=_where(error)
            )
        case FileNotFoundError(filename=str() as path):
            return tr("there is no file or folder {path}: check its name", path=path)
    return None


def _where(error: OSError) -> str:
    return f" ({error.filename})" if error.filename else ""


def typer_app() -> typer.Typer:
    """The whole command line."""
    app = typer.Typer(cls=LazyGroup, rich_markup_mode=RICH, pretty_exceptions_enable=False, context_settings=unset())

    @app.callback(
        invoke_without_command=True,
        help=tr("How language models are pretrained, every part built from scratch in NumPy."),
    )
    def roof(
        context: typer.Context,
        version: bool = typer.Option(False, "--version", help=tr("Print the version and stop.")),
    ) -> None:
        if version:
            typer.echo(f"minilm {minilm.__version__}")
            raise typer.Exit
        if context.invoked_subcommand is None:
            typer.echo(context.get_help())

    return app


def main(args: list[str] | None = None) -> int:
    """Run a command line; the process's exit status (usage errors and `typer.Exit` leave by SystemExit)."""
    try:
        typer.main.get_command(typer_app()).main(args, prog_name="minilm")
    except Exception:
        traceback.print_exc()
        report = tr("minilm: this is a fault of minilm: please report the lines above and what `minilm doctor` prints")
        typer.echo(report, err=True)
        return 1
    return 0
