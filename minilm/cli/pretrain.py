"""`minilm pretrain`: a language model from nothing but a text."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import typer

from minilm.cli import options as o
from minilm.cli.reports import describe, report, show_ladder
from minilm.errors import ConfigError
from minilm.i18n import tr

__all__ = ["app", "describe", "recipe_of", "show_ladder"]

app = typer.Typer(no_args_is_help=True, add_completion=False)


@app.command("gpt", help=tr("Train a GPT to predict the next token, or go on with a stopped training."))
def gpt(
    data: str = o.DATA,
    config: str = o.CONFIG,
    out: Path = o.OUT,
    resume: Path = o.RESUME,
    checkpoint: str = o.CHECKPOINT,
    threads: int = o.THREADS,
    recompute: bool = o.RECOMPUTE,
    seed: int = o.SEED,
    language: str = o.LANGUAGE,
    world: int = o.WORLD,
    facts: bool = o.FACTS,
    tail: float = o.TAIL,
    tokenizer: str = typer.Option(None, help=tr("char, or bpe.")),
    vocabulary: int = o.VOCABULARY,
    width: int = o.WIDTH,
    layers: int = o.LAYERS,
    heads: int = o.HEADS,
    context: int = o.CONTEXT,
    norm: str = typer.Option(None, help=tr("pre, as in GPT-2, or post, as in GPT-1.")),
    causal: bool = typer.Option(
        None, " /--no-causal", help=tr("Without the mask, to see what becomes of a model that sees the future.")
    ),
    dropout: float = o.DROPOUT,
    batch: int = o.BATCH,
    steps: int = o.STEPS,
    rate: float = o.RATE,
    warmup: int = o.WARMUP,
    decay: float = o.DECAY,
    evaluate_every: int = o.EVALUATE_EVERY,
    backend: str = o.BACKEND,
    mpi: bool = o.MPI,
    ngrams: bool = typer.Option(True, help=tr("On a text: set the n-gram models beside the result.")),
) -> None:
    pretrain("gpt", locals().copy())


@app.command("bert", help=tr("Train a BERT to fill masks and to tell the next sentence, or go on with it."))
def bert(
    data: str = o.DATA,
    config: str = o.CONFIG,
    out: Path = o.OUT,
    resume: Path = o.RESUME,
    checkpoint: str = o.CHECKPOINT,
    threads: int = o.THREADS,
    recompute: bool = o.RECOMPUTE,
    seed: int = o.SEED,
    language: str = o.LANGUAGE,
    world: int = o.WORLD,
    facts: bool = o.FACTS,
    tail: float = o.TAIL,
    tokenizer: str = typer.Option(None, help=tr("wordpiece, or bpe.")),
    vocabulary: int = o.VOCABULARY,
    width: int = o.WIDTH,
    layers: int = o.LAYERS,
    heads: int = o.HEADS,
    context: int = o.CONTEXT,
    dropout: float = o.DROPOUT,
    next_sentence: bool = typer.Option(None, " /--no-nsp", help=tr("Ablation: masked words alone.")),
    left_to_right: bool = typer.Option(
        None, "--left-to-right", help=tr("Ablation: it reads what stands before only, and guesses the next token.")
    ),
    masking: str = typer.Option(
        None, help=tr("80/10/10: percents that become [MASK], become random, stay; or span, or whole-word.")
    ),
    static_masks: bool = typer.Option(
        None, "--static-masks", help=tr("Ablation: the same pairs with the same masks in every epoch.")
    ),
    documents: int = typer.Option(None, help=tr("mundito: how many documents to learn from.")),
    batch: int = o.BATCH,
    steps: int = o.STEPS,
    rate: float = o.RATE,
    warmup: int = o.WARMUP,
    decay: float = o.DECAY,
    evaluate_every: int = o.EVALUATE_EVERY,
    backend: str = o.BACKEND,
    mpi: bool = o.MPI,
) -> None:
    pretrain("bert", locals().copy())


def pretrain(kind: str, options: dict[str, Any]) -> None:
    """Begin a training of that kind, or go on with one of whichever kind the run is; then say what came of it."""
    from minilm.backend import use
    from minilm.cli.app import explain
    from minilm.pretraining import Pretraining
    from minilm.training.ranks import ALONE, Ranks

    ranks = Ranks() if options["mpi"] else ALONE
    with ranks.together(explain):
        use(options["backend"], ranks.gpu)
        pretraining = begun(kind, options) if ranks.rank == 0 else None
        folder = ranks.from_first(pretraining and str(pretraining.run.folder))
        pretraining = pretraining or Pretraining.open(folder)  # the other ranks read what rank 0 has made
        trainer = pretraining.trainer(options["threads"], recompute=options["recompute"], ranks=ranks)
        if options["resume"] is not None:
            trainer.resume(options["checkpoint"])
        if ranks.rank == 0:
            describe(pretraining, trainer)
        trainer.train()
        if ranks.rank == 0:
            report(pretraining, trainer, options)


def begun(kind: str, options: dict[str, Any]) -> Any:
    """The pretraining that these options ask for, or that of the run to go on with."""
    from minilm.pretraining import Pretraining, free_folder
    from minilm.pretraining.recipes import KINDS

    fields = [field.name for field in dataclasses.fields(KINDS[kind])]
    changes = {name: options[name] for name in fields if options.get(name) is not None}
    world = {name: options[name] for name in WORLD_OPTIONS if options[name] is not None}
    resume = options["resume"]
    if resume is not None:
        wrong = [*changes, *world, *(name for name in ("out", "config") if options[name] is not None)]
        if wrong:
            raise ConfigError(
                tr("--resume goes on with the run's own settings: leave out {options}", options=_as_options(wrong))
            )
        return Pretraining.open(resume)
    data = source_of(options["data"], world, changes)
    name = options["config"] or (options["data"] if options["data"] == "mundito" else "small")
    recipe = recipe_of(name, changes, kind)
    folder = options["out"] or free_folder(Path("runs") / f"{kind}-{name}")
    return Pretraining.start(data, recipe, folder, options["seed"])


WORLD_OPTIONS = {"language": "language", "world": "seed", "facts": "facts_only", "tail": "tail"}
SPELLED = {"next_sentence": "--no-nsp", "causal": "--no-causal"}  # where an option is not named like its setting


def _as_options(names: Sequence[str]) -> str:
    return ", ".join(SPELLED.get(name, f"--{name.replace('_', '-')}") for name in names)


def source_of(data: str, world: dict[str, Any], changes: dict[str, Any]) -> Any:
    """What Pretraining.start reads: the name of a text, or the settings of a Mundito. ConfigError for an option of the
    one with the other."""
    if data != "mundito":
        if world:
            raise ConfigError(
                tr("only Mundito has {options}: give --data mundito too, or leave them out",
                   options=_as_options([*world]))
            )  # fmt: skip
        return data
    from minilm.mundito import MunditoConfig

    if wrong := [name for name in ("tokenizer", "vocabulary") if name in changes]:
        raise ConfigError(
            tr("Mundito brings its own tokenizer, one token a word: leave out {options}", options=_as_options(wrong))
        )
    return MunditoConfig(**{WORLD_OPTIONS[name]: got for name, got in world.items()})


def recipe_of(name: str, changes: dict[str, Any], kind: str = "gpt") -> Any:
    """The recipe of that name with the changes that the command line asks for."""
    from minilm.pretraining import RECIPES_OF

    recipes = RECIPES_OF[kind]
    if name not in recipes:
        raise ConfigError(tr("config is {got!r}; choose one of {names}", got=name, names=", ".join(recipes)))
    recipe = recipes[name]
    if "steps" in changes:  # a short training warms up and evaluates within it
        changes.setdefault("warmup", min(recipe.warmup, changes["steps"] // 10))
        changes.setdefault("evaluate_every", min(recipe.evaluate_every, changes["steps"]))
    if changes.get("tokenizer") == "bpe":
        changes.setdefault("vocabulary", max(1024, recipe.vocabulary))
    return dataclasses.replace(recipe, **changes)
