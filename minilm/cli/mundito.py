"""`minilm data show mundito`: documents of the little world, each word coloured by its true probability."""

import math
import random
import sys
from typing import Any

import typer

from minilm.i18n import tr

# From what could not be otherwise to what hardly anyone would guess; dark to light, so that grey shows it too.
SHADES = ((1.0, "grey50"), (0.5, "blue"), (0.1, "cyan"), (0.02, "yellow"), (0.0, "bold bright_white"))


def show_mundito(language: str, seed: int, documents: int, facts_only: bool, tail: float) -> None:
    """Print documents, the scale of the colours, and the entropy rate measured on more of them."""
    from rich.console import Console

    from minilm.mundito import Mundito, MunditoConfig

    world = Mundito(MunditoConfig(language, seed, tail, facts_only))
    console = Console()
    rng = random.Random(f"show {seed}")
    for _ in range(documents):
        document = world.document(rng)
        nats = -math.fsum(token.logp for token in document)
        if sys.stdout.isatty():
            console.print(_coloured(world, document))
        else:
            typer.echo(" ".join(_plain(world.words[t.id], math.exp(t.logp)) for t in document))
        typer.echo(tr("{n} words, {nats:.2f} nats", n=len(document), nats=nats) + "\n")
    if sys.stdout.isatty():
        console.print(_scale())
    mean, error, n = entropy_rate(world, rng)
    typer.echo(
        tr(
            "entropy: {mean:.4f} ± {error:.4f} nats per word (of {n:,} words; {v} different ones): no model can do "
            "better",
            mean=mean,
            error=error,
            n=n,
            v=world.vocab_size,
        )
    )


def entropy_rate(world: Any, rng: random.Random, words: int = 100_000) -> tuple[float, float, int]:
    """Mean of -ln p over whole documents, its standard error (a ratio of sums over documents), and the words read."""
    lengths: list[int] = []
    nats: list[float] = []
    while sum(lengths) < words:
        document = world.document(rng)
        lengths.append(len(document))
        nats.append(-math.fsum(token.logp for token in document))
    total = sum(lengths)
    mean = math.fsum(nats) / total
    squares = math.fsum((s - mean * n) ** 2 for s, n in zip(nats, lengths, strict=True))
    return mean, math.sqrt(squares) / total, total


def _plain(word: str, p: float) -> str:
    return word if p == 1 else f"{word}({p:.2g})"


def _coloured(world: Any, document: Any) -> Any:
    from rich.text import Text

    text = Text()
    for token in document:
        text.append(world.words[token.id] + " ", _shade(math.exp(token.logp)))
    return text


def _shade(p: float) -> str:
    return next(style for least, style in SHADES if p >= least)


def _scale() -> Any:
    from rich.text import Text

    text = Text(tr("probability: "))
    names = ["1", *(f"≥ {least:g}" for least, _ in SHADES[1:-1]), f"< {SHADES[-2][0]:g}"]
    for name, (_, style) in zip(names, SHADES, strict=True):
        text.append(f"{name}  ", style)
    return text
