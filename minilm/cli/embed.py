"""`minilm embed`: the lines of a file that mean what a question means, whatever words they have."""

import io
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from minilm.errors import ConfigError, DataError
from minilm.i18n import ntr, tr

if TYPE_CHECKING:
    import numpy as np

    from minilm.embedding import Encoder

SUFFIXES = (".npy", ".safetensors")


def embed(
    file: str = typer.Argument(help=tr("A UTF-8 text file, read line by line; - for what comes in by a pipe.")),
    query: str = typer.Argument(None, help=tr("What to look for: the nearest lines are shown.")),
    top: int = typer.Option(5, min=1, help=tr("How many lines to show.")),
    out: Path = typer.Option(None, help=tr("Write the vectors of all lines there (.npy or .safetensors).")),
    model: str = typer.Option("all-minilm", help=tr("all-minilm, or a folder that sentence-transformers wrote.")),
    batch: int = typer.Option(32, min=1, help=tr("How many lines are read at once.")),
) -> None:
    from minilm.cli.waiting import bars, say
    from minilm.embedding import embed as vectors_of
    from minilm.embedding import nearest

    if query is None and out is None:
        raise ConfigError(tr("there is nothing to do: give a question after the file, or --out FILE for the vectors"))
    if out is not None and out.suffix not in SUFFIXES:
        raise ConfigError(tr("--out is {got}; it must end in .npy or .safetensors", got=out))
    numbers, lines = read_lines(file)
    encoder = open_encoder(model)
    with bars() as bar:
        vectors = vectors_of(*encoder[:2], lines, batch, encoder.longest, say, bar(tr("lines")))
    if out is not None:
        write_vectors(out, vectors, numbers)
        say(tr("{file}: {count} vectors of {width} numbers", file=out, count=len(vectors), width=vectors.shape[1]))
    if query is not None:
        asked = vectors_of(*encoder[:2], [query], longest=encoder.longest, on_notice=say)[0]
        for hit in nearest(vectors, asked, top):
            typer.echo(f"{hit.score:.4f}\t{numbers[hit.number]}\t{lines[hit.number]}")


def open_encoder(name: str) -> "Encoder":
    """An encoder by the name under which it is published, or by its folder."""
    from minilm.cli.waiting import bars, say
    from minilm.embedding import load_encoder
    from minilm.published import ALL_MINILM

    if name != ALL_MINILM.name:
        return load_encoder(name)
    with bars() as bar:
        folder = ALL_MINILM.fetched(say, bar(tr("fetching")))
    return load_encoder(folder)


def read_lines(file: str) -> tuple[list[int], list[str]]:
    """The lines that hold more than blanks, and their numbers from 1; how many were empty is said.

    DataError for a file that is missing or empty, and for a line that is not UTF-8, by its number.
    """
    from minilm.cli.waiting import say

    path = tr("the standard input") if file == "-" else file
    if file == "-":
        data = sys.stdin.buffer.read()
    else:
        try:
            data = Path(file).read_bytes()
        except OSError as error:
            raise DataError(
                tr("{path} cannot be read ({reason})", path=path, reason=error.strerror or error)
            ) from error
    numbers, lines, empty = [], [], 0
    for number, line in enumerate(data.removeprefix(b"\xef\xbb\xbf").splitlines(), start=1):
        try:
            text = line.decode("utf-8").strip()
        except UnicodeDecodeError as error:
            raise DataError(
                tr("line {n} of {path} is not UTF-8: byte {byte} at position {position}; convert the file first",
                   n=number, path=path, byte=f"0x{line[error.start]:02x}", position=error.start)
            ) from error  # fmt: skip
        if text:
            numbers.append(number)
            lines.append(text)
        else:
            empty += 1
    if not lines:
        raise DataError(tr("{path} has no line with text", path=path))
    if empty:
        say(ntr("{n} empty line was left out", "{n} empty lines were left out", empty))
    return numbers, lines


def write_vectors(path: Path, vectors: "np.ndarray", numbers: list[int]) -> None:
    """Write vectors (N, D), whole or not at all: as .npy, or as .safetensors with `lines`, the number of each line."""
    import numpy as np
    from safetensors.numpy import save

    from minilm.resources import write_atomically

    if path.suffix == ".safetensors":
        write_atomically(path, save({"vectors": vectors, "lines": np.array(numbers, np.int64)}))
    else:
        content = io.BytesIO()
        np.save(content, vectors)
        write_atomically(path, content.getvalue())
