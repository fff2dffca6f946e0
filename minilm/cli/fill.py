"""`minilm fill`: a trained BERT guesses what stands behind [MASK]; on Mundito, beside what can be known of it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import typer

from minilm.i18n import tr


def fill(
    source: Path = typer.Argument(
        help=tr("A run folder, one of its checkpoints, or a Hugging Face folder."), metavar="FOLDER"
    ),
    text: str = typer.Argument(help=tr("A text with [MASK] in it, once or more often.")),
    second: str = typer.Argument(None, help=tr("A second text, which stands beside the first.")),
    words: int = typer.Option(3, min=1, help=tr("How many words to show for each mask.")),
) -> None:
    from minilm.cli.reports import show_fill
    from minilm.filling import fill as fill_masks
    from minilm.pretraining import load_trained

    def say(sentence: str) -> None:
        typer.echo(f"minilm: {sentence}", err=True)

    trained = load_trained(source, "bert", say)
    model, tokenizer, _ = trained
    found = fill_masks(model, tokenizer, text, second, words, say)
    known = known_of(trained.data, tokenizer, text if second is None else f"{text} {second}", len(found))
    for number, (mask, truth) in enumerate(zip(found, known, strict=True), start=1):
        if len(found) > 1:
            typer.echo(tr("[MASK] number {n}", n=number))
        show_fill(tokenizer, mask.best, truth)


def known_of(data: Mapping[str, Any], tokenizer: Any, text: str, count: int) -> list[Any]:
    """The true distribution at each mask where the run's source is Mundito and could have begun a document so, else
    None; says which."""
    world = data.get("world")
    if world is None:
        return [None] * count
    from minilm.errors import DataError
    from minilm.filling import MASK, encode_masked
    from minilm.mundito import Mundito, MunditoConfig
    from minilm.mundito.oracle import fill_distribution

    mundito = Mundito(MunditoConfig(**world))
    ids = [mundito.id_of["<bos>"], *encode_masked(tokenizer, text)]
    try:
        return [fill_distribution(mundito, ids, t) for t, token in enumerate(ids) if token == mundito.id_of[MASK]]
    except DataError as error:
        typer.echo(tr("no document begins like this, so there is nothing to set the guesses beside: {why}", why=error))
        return [None] * count
