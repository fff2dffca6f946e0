"""`minilm data`: the texts to learn from."""

import sys
from typing import Any

import typer

from minilm.errors import DataError
from minilm.i18n import ntr, tr

app = typer.Typer(no_args_is_help=True, add_completion=False)


@app.command("list", help=tr("The built-in texts, their sizes, and whether they are here."))
def list_texts() -> None:
    from minilm.text.corpora import built_in_corpora

    rows = [_row(name, recorded) for name, recorded in built_in_corpora().items()]
    rows.append(["mundito", tr("a little world whose every word has a known probability"), "∞", tr("here")])
    _show([tr("name"), tr("what it is"), tr("size"), tr("state")], rows)
    typer.echo(tr("Any UTF-8 text file, or folder of them, serves as well: give its path for the name."))


@app.command("show", help=tr("A text's origin, licence, size, checksum, split and beginning."))
def show(
    text: str = typer.Argument(help=tr("A built-in text's name, a text file, a folder of them, or mundito.")),
    characters: int = typer.Option(300, min=0, help=tr("How many characters of its beginning to show.")),
    documents: int = typer.Option(3, min=1, help=tr("mundito: how many documents to show.")),
    language: str = typer.Option("es", help=tr("mundito: its language, es or en.")),
    seed: int = typer.Option(0, min=0, help=tr("mundito: which world.")),
    facts: bool = typer.Option(False, "--facts", help=tr("mundito: documents of one fact each.")),
    tail: float = typer.Option(1.0, help=tr("mundito: the exponent of the facts' tail.")),
) -> None:
    from minilm.text.corpora import load_corpus

    if text == "mundito":
        from minilm.cli.mundito import show_mundito

        return show_mundito(language, seed, documents, facts, tail)
    corpus = load_corpus(text)
    train, valid = corpus.split()
    for name, value in (
        (tr("name"), corpus.name),
        (tr("origin"), corpus.provenance),
        (tr("licence"), corpus.licence),
        (tr("size"), _size(corpus)),
        ("sha256", corpus.sha256),
        (tr("training"), _part(train)),
        (tr("validation"), _part(valid)),
    ):
        typer.echo(f"{name}: {value}")
    if characters:
        typer.echo("\n" + corpus.documents[0][:characters])


@app.command("fetch", help=tr("Download a built-in text, check it and keep it."))
def fetch(name: str = typer.Argument(help=tr("A built-in text's name."))) -> None:
    from minilm.text.fetch import fetch_corpus

    corpus = fetch_corpus(name)
    typer.echo(tr("{name} is here: {size}", name=corpus.name, size=_size(corpus)))


def _row(name: str, recorded: dict[str, Any]) -> list[str]:
    from minilm.text.corpora import fetched_folder, load_corpus

    what = {
        "pydocs": tr("the documentation that every Python carries"),
        "shakespeare": tr("plays and poems"),
    }.get(name, recorded["summary"])
    if recorded["fetched"] and not fetched_folder(name, recorded).is_dir():
        state = tr("to fetch: minilm data fetch {name}", name=name)
        return [name, what, _megabytes(recorded["bytes"]), state]
    try:
        return [name, what, _megabytes(load_corpus(name).size), tr("here")]
    except DataError:
        return [name, what, "?", tr("damaged or missing: minilm data show {name} says why", name=name)]


def _size(corpus: Any) -> str:
    n = len(corpus.documents)
    return ntr("{size}, {n} document", "{size}, {n} documents", n, size=_megabytes(corpus.size))


def _part(documents: tuple[str, ...]) -> str:
    n = sum(map(len, documents))
    return ntr("{n} character", "{n} characters", n)


def _megabytes(n: int) -> str:
    return f"{n / 1e6:.2f} MB" if n >= 10_000 else ntr("{n} byte", "{n} bytes", n)


def _show(names: list[str], rows: list[list[str]]) -> None:
    """A table on a terminal; elsewhere lines with tabs between the columns."""
    if not sys.stdout.isatty():
        for row in [names, *rows]:
            typer.echo("\t".join(row))
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(*names)
    for row in rows:
        table.add_row(*map(Text, row))
    Console().print(table)
