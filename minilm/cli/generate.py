"""`minilm generate`: a trained model continues a text, printed as it is made; a published one may also converse."""

import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from minilm.errors import ConfigError
from minilm.i18n import tr

if TYPE_CHECKING:
    from minilm.models.gpt import GPT
    from minilm.published import LanguageModel
    from minilm.text.tokenizer import Tokenizer


def generate(
    source: str = typer.Argument(
        None, help=tr("A run folder, one of its checkpoints, or a Hugging Face folder."), metavar="FOLDER"
    ),
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
    pretrained: str = typer.Option(
        None, help=tr("In place of a run a model that others trained: smollm2, or a GGUF file of a LLaMA.")
    ),
    chat: bool = typer.Option(
        False, "--chat", help=tr("Ask a pretrained model; without a text, one question a line until the input ends.")
    ),
) -> None:
    from minilm.backend import use
    from minilm.cli.waiting import say
    from minilm.generation import stream_text

    use(backend)
    how: dict[str, Any] = {"temperature": temperature, "top_k": top_k, "top_p": top_p, "min_p": min_p, "seed": seed}
    how |= {"repetition_penalty": repetition_penalty, "no_repeat_ngram": no_repeat_ngram, "cache": cache}
    how |= {"beams": beams, "length_penalty": length_penalty, "on_notice": say}

    def text_after(trained: Any, start: Any, **more: Any) -> Iterator[str]:
        model, tokenizer, *_ = trained
        return stream_text(model, tokenizer, start, tokens, **how, **more)

    if pretrained is None:
        if source is None:
            raise typer.BadParameter(tr("give a run folder, or a model by --pretrained"))
        if chat:
            raise ConfigError(tr("--chat needs a model that learned to answer: --pretrained smollm2"))
        trained = load_trained(Path(source))
        show(text_after(trained, prompt, stop=trained[0].end_ids or None), prompt)
        return
    if prompt:
        raise typer.BadParameter(tr("--pretrained takes the place of the run folder: give one text, in quotes"))
    published = open_published(pretrained)
    if chat:
        converse(published, source, lambda start: text_after(published, start, stop=published.stop))
    else:
        text = source or ""
        show(text_after(published, published.prompt(text), stop=published.stop), text)


def show(pieces: Iterable[str], beginning: str = "") -> str:
    """Print a beginning, the pieces that follow it as they come, and a line end; gives the pieces in one."""
    typer.echo(beginning, nl=False)
    found = []
    for piece in pieces:
        typer.echo(piece, nl=False)
        sys.stdout.flush()
        found.append(piece)
    typer.echo("")
    return "".join(found)


def converse(model: "LanguageModel", question: str | None, answer: Callable[[list[int]], Iterator[str]]) -> None:
    """Answer one question; or those of the standard input, a line each, with all that was said before in mind."""
    from minilm.chat import ChatML

    form, said = ChatML.of_template(model.chat_template), []
    for line in [question] if question else sys.stdin:
        if text := line.strip():
            said.append(("user", text))
            start = [*model.begin, *form.ids(model.tokenizer, said)]  # type: ignore[arg-type]
            said.append(("assistant", show(answer(start))))


def open_published(name: str) -> "LanguageModel":
    """A model by the name under which it is published, or by its file; bars show what takes long."""
    from minilm.cli.waiting import bars, say
    from minilm.published import open_language_model

    with bars() as bar:
        return open_language_model(name, say, bar(tr("fetching")), bar(tr("weights")))


def load_trained(path: Path) -> "tuple[GPT, Tokenizer]":
    """The model and tokenizer of a run folder, of a checkpoint within one, or of a Hugging Face folder.

    CheckpointError where there is none, a file is damaged, or weights, settings and vocabulary do not belong together;
    ConfigError for a model that does not go on with a text.
    """
    from minilm.pretraining.trained import load_trained as load

    model, tokenizer, _ = load(path, ("gpt", "llama"), lambda sentence: typer.echo(f"minilm: {sentence}", err=True))
    return model, tokenizer
