"""`minilm embed`: which lines it finds, what it writes, and a sentence for every file that cannot be read so."""

import io
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from safetensors.numpy import load_file
from small_encoder import MODEL, TOKENIZER, alone

from minilm.cli import embed as command
from minilm.cli.app import main
from minilm.embedding import Encoder

LINES = ["el gato duerme", "", "un perro come pan", "  ", "el ñandú en la casa\r", "la casa"]


@pytest.fixture
def minilm(capsys, monkeypatch):
    monkeypatch.setattr(command, "open_encoder", lambda name: Encoder(MODEL, TOKENIZER, 8))

    def run(*args):
        try:
            status = main(["embed", *map(str, args)])
        except SystemExit as stopped:
            status = stopped.code
        said = capsys.readouterr()
        return status, said.out, said.err

    return run


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "lines.txt"
    path.write_bytes("\n".join(LINES).encode())
    return path


def wanted(query, numbers=(1, 3, 5, 6)):
    """The lines by the cosine of their vectors with the query's."""
    texts = {n: LINES[n - 1].strip() for n in numbers}
    scores = {n: float(alone(text, 8) @ alone(query, 8)) for n, text in texts.items()}
    return [f"{scores[n]:.4f}\t{n}\t{texts[n]}" for n in sorted(scores, key=lambda n: -scores[n])]


def test_the_nearest_lines_with_their_scores_and_numbers(file, minilm):
    status, out, err = minilm(file, "un gato")
    assert (status, out.splitlines(), err) == (0, wanted("un gato"), "minilm: 2 empty lines were left out\n")
    assert minilm(file, "un gato", "--top", 2, "--batch", 1)[1].splitlines() == wanted("un gato")[:2]


def test_lines_from_a_pipe(minilm, monkeypatch):
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO("\n".join(LINES[:3]).encode())))
    assert minilm("-", "pan")[1].splitlines() == wanted("pan", (1, 3))


def test_a_mark_at_the_beginning_is_no_part_of_the_first_line(file, minilm):
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())
    assert minilm(file, "un gato")[1].splitlines() == wanted("un gato")


def test_vectors_are_written_in_the_order_of_the_lines(file, tmp_path, minilm):
    vectors = np.array([alone(LINES[i].strip(), 8) for i in (0, 2, 4, 5)])
    status, out, err = minilm(file, "--out", tmp_path / "v.npy")
    assert status == 0 and out == "" and err.splitlines()[1] == f"minilm: {tmp_path / 'v.npy'}: 4 vectors of 12 numbers"
    assert np.abs(np.load(tmp_path / "v.npy") - vectors).max() <= 1e-5
    assert minilm(file, "pan", "--out", tmp_path / "v.safetensors")[1].splitlines() == wanted("pan")
    found = load_file(tmp_path / "v.safetensors")
    assert (found["vectors"] == np.load(tmp_path / "v.npy")).all() and found["lines"].tolist() == [1, 3, 5, 6]


def test_long_lines_are_counted(file, minilm):
    file.write_text("gato " * 7 + "\nel gato\n")
    assert minilm(file, "pan " * 9)[2] == (
        "minilm: 1 text is longer than the 8 tokens that are read: its end was cut off\n" * 2
    )


@pytest.mark.parametrize(
    ("content", "args", "said"),
    [
        (b"one\ntwo \xff\n", ["x"], "line 2 of {file} is not UTF-8: byte 0xff at position 4; convert the file first"),
        (b"", ["x"], "{file} has no line with text"),
        (b"\n  \n", ["x"], "{file} has no line with text"),
        (None, ["x"], "{file} cannot be read (No such file or directory)"),
        (b"one", [], "there is nothing to do: give a question after the file, or --out FILE for the vectors"),
        (b"one", ["--out", "v.txt"], "--out is v.txt; it must end in .npy or .safetensors"),
    ],
)
def test_what_cannot_be_is_one_sentence(file, minilm, content, args, said):
    if content is None:
        file.unlink()
    else:
        file.write_bytes(content)
    assert minilm(file, *args) == (1, "", f"minilm: {said.format(file=file)}\n")


def test_a_folder_that_is_none(file, capsys):
    with pytest.raises(SystemExit):
        main(["embed", str(file), "x", "--model", str(file.parent)])
    assert "give a folder that sentence-transformers wrote" in capsys.readouterr().err
