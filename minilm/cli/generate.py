"""`minilm generate`: a trained model continues a text, printed as it is made or found."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from minilm.i18n import tr

if TYPE_CHECKING:
    from minilm.models.gpt import GPT
    from minilm.text.tokenizer import Tokenizer


def generate(
    source: Path = typer.Argument(help=tr("A run folder, or one of its checkpoints."), metavar="RUN_OR_CHECKPOINT"),
    prompt: str = typer.Argument("", help=tr("The text to go on from.")),
    tokens: int = typer.Option(200, min=0, help=tr("How many tokens to make.")),
    temperature: float = typer.Option(1.0, help=tr("Below 1 more cautious, 0 always the most probable token.")),
    top_k: int = typer.Option(None, help=tr("Choose among the k most probable tokens only.")),
    top_p: float = typer.Option(None, help=tr("Choose among the most probable tokens that together reach p only.")),
    min_p: float = typer.Option(None, help=tr("Choose among tokens at least p times as probable as the best only.")),
    repetition_penalty: float = typer.Option(1.0, help=tr("Above 1: what is there already becomes less probable.")),
    no_repeat_ngram: int = typer.Option(None, help=tr("Never write the same n tokens in a row twice.")),
    beams: int = typer.Option(1, help=tr("Search so many continuations at once for the most probable; draw nothing.")),
    length_penalty: float = typer.Option(1.0, help=tr("Of a search: above 0 for longer texts, below 0 for shorter.")),
    seed: int = typer.Option(None, min=0, help=tr("Of the draws: the same seed makes the same text.")),
    cache: bool = typer.Option(True, help=tr("Keep keys and values of what was read; the text is the same without.")),
    backend: str = typer.Option("numpy", help=tr("What computes: numpy, or cupy on an NVIDIA GPU.")),
) -> None:
    from minilm.backend import use
    from minilm.generation import stream_text

    use(backend)
    model, tokenizer = load_trained(source)
    pieces = stream_text(
        model,
        tokenizer,
        prompt,
        tokens,
        temperature=temperature,
        top_k=top_k,
        top_p=top_p,
        min_p=min_p,
        repetition_penalty=repetition_penalty,
        no_repeat_ngram=no_repeat_ngram,
        beams=beams,
        length_penalty=length_penalty,
        seed=seed,
        cache=cache,
        on_notice=lambda sentence: typer.echo(f"minilm: {sentence}", err=True),
    )
    typer.echo(prompt, nl=False)
    for piece in pieces:
        typer.echo(piece, nl=False)
        sys.stdout.flush()
    typer.echo("")


def load_trained(path: Path) -> "tuple[GPT, Tokenizer]":
    """The model and tokenizer of a run folder, of a checkpoint within one, or of a Hugging Face folder.

    CheckpointError where there is none, a file is damaged, or weights, settings and vocabulary do not belong together;
    ConfigError for a model that does not go on with a text.
    """
    from minilm.pretraining.trained import load_trained as load

    model, tokenizer, _ = load(path, ("gpt", "llama"), lambda sentence: typer.echo(f"minilm: {sentence}", err=True))
    return model, tokenizer
