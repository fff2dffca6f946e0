"""What a pretraining says before it begins and after it has ended: a report for each kind of model on each source."""

import math
import shutil
import sys
import textwrap
from collections.abc import Sequence
from typing import Any

import typer

from minilm.i18n import ntr, tr

NAMES = {"gpt": "GPT", "bert": "BERT"}


def wrapped(text: str, indent: str = "") -> str:
    """Lines of a text that fit the terminal, broken between words."""
    width = min(100, shutil.get_terminal_size().columns)
    return textwrap.fill(text, width, initial_indent=indent, subsequent_indent=indent)


def paragraph(text: str) -> None:
    """A text of some length: on a terminal in its lines, elsewhere as one."""
    typer.echo(wrapped(text) if sys.stdout.isatty() else text)


def table(
    title: str,
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    bold_last: bool = False,
    words: Sequence[int] = (0,),
) -> None:
    """A table on a terminal, elsewhere plain lines with tabs. words: the columns that are left-aligned."""
    if not sys.stdout.isatty():
        if title:
            typer.echo(title)
        for row in (columns, *rows):
            typer.echo("\t".join(row))
        return
    from rich.console import Console
    from rich.table import Table

    found = Table(title=title or None)
    for i, column in enumerate(columns):
        found.add_column(column, justify="left" if i in words else "right")
    for i, row in enumerate(rows):
        found.add_row(*row, style="bold" if bold_last and i == len(rows) - 1 else None)
    Console().print(found)


# ---------------------------------------------------------------------------------------------------------- before


def describe(pretraining: Any, trainer: Any) -> None:
    """What is about to be trained, on what, and where it will lie."""
    recipe, source = pretraining.recipe, pretraining.source
    typer.echo(DESCRIPTIONS[recipe.kind, source.kind](pretraining))
    settings = {
        "kind": NAMES[recipe.kind],
        "n": trainer.model.num_parameters(),
        "width": recipe.width,
        "layers": recipe.layers,
        "heads": recipe.heads,
        "context": recipe.context,
        "steps": recipe.steps,
        "batch": recipe.batch,
        "threads": trainer.threads,
    }
    if pretraining.data.steps_per_epoch is None:
        tokens = recipe.steps * recipe.batch * recipe.context
        line = tr(
            "model: {kind} of {n:,} parameters (width {width}, {layers} layers, {heads} heads, context {context}); "
            "{steps:,} steps of {batch} sequences, {tokens:,} tokens that never come again; threads: {threads}",
            **settings,
            tokens=tokens,
        )
    else:
        line = tr(
            "model: {kind} of {n:,} parameters (width {width}, {layers} layers, {heads} heads, context {context}); "
            "{steps:,} steps of {batch} sequences, {epochs:.1f} times through the text; threads: {threads}",
            **settings,
            epochs=recipe.steps / pretraining.data.steps_per_epoch,
        )
    typer.echo(line)
    if trainer.ranks.size > 1:
        typer.echo(
            tr("ranks: {n}, of which {here} on this machine, each with so many threads and its share of every batch",
               n=trainer.ranks.size, here=trainer.ranks.here)
        )  # fmt: skip
    typer.echo(tr("run folder: {folder}", folder=pretraining.run.folder))


def _gpt_text(pretraining: Any) -> str:
    return tr(
        "text: {name}, {size:,} bytes; {train:,} tokens to train on, {valid:,} to validate on, {vocab:,} different",
        name=pretraining.corpus.name,
        size=pretraining.corpus.size,
        train=len(pretraining.train_ids),
        valid=len(pretraining.validation_ids),
        vocab=pretraining.tokenizer.vocab_size,
    )


def _mundito(pretraining: Any) -> str:
    config = pretraining.source.world.config
    return tr(
        "text: Mundito {seed} ({language}), {words} words whose every probability is known",
        seed=config.seed,
        language=config.language,
        words=pretraining.tokenizer.vocab_size,
    )


def _bert_text(pretraining: Any) -> str:
    return tr(
        "text: {name}, {size:,} bytes, {vocab:,} different tokens; {pairs}",
        name=pretraining.corpus.name,
        size=pretraining.corpus.size,
        vocab=pretraining.tokenizer.vocab_size,
        pairs=_pairs(pretraining),
    )


def _bert_mundito(pretraining: Any) -> str:
    return f"{_mundito(pretraining)}; {_pairs(pretraining)}"


def _pairs(pretraining: Any) -> str:
    """How many examples an epoch has, and how many tokens did not fit into them."""
    counts, next_sentence = pretraining.data.counts, pretraining.recipe.next_sentence
    if next_sentence:
        line = ntr("{n} pair of texts an epoch", "{n} pairs of texts an epoch", counts["pairs"])
    else:
        line = ntr("{n} text an epoch", "{n} texts an epoch", counts["pairs"])
    lost = counts["truncated"] + counts["cut"]
    return line + (", " + ntr("{n} token did not fit", "{n} tokens did not fit", lost) if lost else "")


DESCRIPTIONS = {
    ("gpt", "text"): _gpt_text,
    ("gpt", "mundito"): _mundito,
    ("bert", "text"): _bert_text,
    ("bert", "mundito"): _bert_mundito,
}


# ----------------------------------------------------------------------------------------------------------- after


def report(pretraining: Any, trainer: Any, options: dict[str, Any]) -> None:
    """How good the trained model is, beside what it can be set beside; a picture; and what to do with it."""
    REPORTS[pretraining.recipe.kind, pretraining.source.kind](pretraining, trainer, options)
    typer.echo(tr("checkpoint: {path}", path=pretraining.run.latest()))
    for line in NEXT[pretraining.recipe.kind, pretraining.source.kind](pretraining):
        typer.echo(line)


def _title(pretraining: Any, trainer: Any) -> str:
    names = {"kind": NAMES[pretraining.recipe.kind], "name": pretraining.source.name}
    return tr("A {kind} of {n:,} parameters on {name}", n=trainer.model.num_parameters(), **names)


def _records(pretraining: Any) -> Any:
    from minilm.training.log import read_log

    return read_log(pretraining.run.log)


def _report_gpt_text(pretraining: Any, trainer: Any, options: dict[str, Any]) -> None:
    from minilm.plots import loss_curve

    loss, bits = pretraining.final_loss(trainer), pretraining.bits_per_byte
    rows = pretraining.ngrams() if options.get("ngrams", True) else []
    show_ladder(pretraining, rows, loss)
    path, title = pretraining.run.folder / "loss.png", _title(pretraining, trainer)
    picture = loss_curve(path, _records(pretraining), rows, bits, bits(loss), title)
    typer.echo(tr("loss curve: {path}", path=picture))


def show_ladder(pretraining: Any, rows: list[dict[str, Any]], loss: float) -> None:
    """Each n-gram order and the model, in nats per token and bits per byte of the same text."""
    bits = pretraining.bits_per_byte(loss)
    lines = [(tr("{n}-gram", n=row["order"]), f"{row['nats']:.4f}", f"{row['bits']:.4f}") for row in rows]
    table(
        tr("on the validation part of {name}", name=pretraining.corpus.name),
        [tr("model"), tr("nats per token"), tr("bits per byte")],
        [*lines, ("GPT", f"{loss:.4f}", f"{bits:.4f}")],
        bold_last=True,
    )
    below = [str(row["order"]) for row in rows if bits < row["bits"]]
    if below:
        typer.echo(tr("the GPT is below the n-gram models of orders {orders}", orders=", ".join(below)))
    elif rows:
        typer.echo(tr("the GPT is not yet below any n-gram model: train longer"))


def _report_gpt_mundito(pretraining: Any, trainer: Any, options: dict[str, Any]) -> None:
    from minilm.errors import ConfigError
    from minilm.mundito.probes import probe
    from minilm.plots import known_source_curve

    found = pretraining.final(trainer)
    typer.echo(
        tr(
            "on new documents: {loss:.4f} nats per word, the source itself {oracle:.4f}; excess {excess:.4f} ± "
            "{error:.4f}",
            loss=found["loss"],
            oracle=found["loss"] - found["excess"],
            excess=found["excess"],
            error=found["excess_se"],
        )
    )
    try:
        show_probes(probe(trainer.model, pretraining.source.world))
    except ConfigError as error:
        typer.echo(tr("not probed: {why}", why=error))
    path, title = pretraining.run.folder / "loss.png", _title(pretraining, trainer)
    picture = known_source_curve(path, _records(pretraining), found, title)
    typer.echo(tr("loss curve: {path}", path=picture))


def show_probes(scores: dict[str, Any]) -> None:
    """Each probe, what it measures, the score with its standard error, and what a guess gets."""
    what = {
        "agreement": tr("verb agrees with its noun over another one (accuracy)"),
        "questions": tr("colour asked for (accuracy)"),
        "claims": tr("claims that follow before those that contradict (area under the curve)"),
    }
    table(
        tr("what it knows without having been asked in training"),
        [tr("probe"), tr("score"), tr("by chance")],
        [(what[name], f"{s.value:.3f} ± {s.error:.3f}", f"{s.chance:.3f}") for name, s in scores.items()],
    )


def _report_bert(pretraining: Any, trainer: Any, options: dict[str, Any]) -> None:
    from minilm.plots import masked_curve

    found, recipe = pretraining.final(trainer), pretraining.recipe
    what = tr("next token") if recipe.left_to_right else tr("masked words")
    rows = [(what, f"{found['mlm_loss']:.4f}", f"{found['mlm_accuracy']:.1%}")]
    if recipe.next_sentence:
        right, n = found["nsp_accuracy"], found["texts"]
        error = math.sqrt(right * (1 - right) / n)
        rows.append((tr("next sentence"), f"{found['nsp_loss']:.4f}", f"{right:.1%} ± {error:.1%}"))
    table(tr("on texts that it has not read"), [tr("task"), tr("nats"), tr("right")], rows)
    if not recipe.left_to_right:
        show_guesses(pretraining.tokenizer, pretraining.guesses(trainer.model))
    path, title = pretraining.run.folder / "loss.png", _title(pretraining, trainer)
    typer.echo(tr("loss curve: {path}", path=masked_curve(path, _records(pretraining), title)))


def show_guesses(tokenizer: Any, guesses: Sequence[Any]) -> None:
    """Texts with a hidden word, what the model guesses, and what can be known where the source is known."""
    from minilm.filling import best

    for guess in guesses:
        typer.echo("\n" + tokenizer.decode(guess.ids))
        show_fill(tokenizer, best(tokenizer, guess.distribution, 3), guess.truth)
        typer.echo(tr("it was: {word}", word=guess.word))
    typer.echo("")


def show_fill(tokenizer: Any, guessed: Sequence[tuple[str, float]], truth: Any = None) -> None:
    """The model's words for one mask with their probabilities, and beside them the source's."""
    from minilm.filling import best

    lines = [(word, f"{p:.4f}") for word, p in guessed]
    columns = [tr("model"), tr("probability")]
    if truth is not None:
        columns += [tr("source"), tr("probability")]
        known = [(word, f"{p:.4f}") if p > 0 else ("", "") for word, p in best(tokenizer, truth, len(lines))]
        lines = [(*line, *other) for line, other in zip(lines, known, strict=True)]  # type: ignore[misc]
    table("", columns, lines, words=(0, 2))


REPORTS = {
    ("gpt", "text"): _report_gpt_text,
    ("gpt", "mundito"): _report_gpt_mundito,
    ("bert", "text"): _report_bert,
    ("bert", "mundito"): _report_bert,
}


def _generate(pretraining: Any) -> list[str]:
    return [tr("let it write: {command}", command=f'minilm generate {pretraining.run.folder} "…"')]


def _probe(pretraining: Any) -> list[str]:
    more = [] if pretraining.source.world.config.facts_only else [f"minilm probe {pretraining.run.folder}"]
    return _generate(pretraining) + [tr("probe it: {command}", command=command) for command in more]


def _fill(pretraining: Any) -> list[str]:
    if pretraining.recipe.left_to_right:
        return []
    return [tr("let it guess: {command}", command=f'minilm fill {pretraining.run.folder} "… [MASK] …"')]


NEXT = {("gpt", "text"): _generate, ("gpt", "mundito"): _probe, ("bert", "text"): _fill, ("bert", "mundito"): _fill}
