"""Corpora: what is read, in which order, how it is split, and what is said of texts that cannot be read."""

import hashlib
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minilm import resources
from minilm.errors import DataError
from minilm.text import Corpus, built_in_corpora, load_corpus
from minilm.text.corpora import without_repeats


def corpus(*documents):
    return Corpus("test", documents, "here", "none")


def joined(documents):
    return "".join(documents)


@given(st.lists(st.text("ab \n", min_size=1), min_size=1), st.floats(0.05, 0.5))
def test_a_split_loses_nothing_and_repeats_nothing(documents, fraction):
    try:
        train, valid = corpus(*documents).split(fraction)
    except DataError as error:
        assert "too few to split" in str(error) or "is empty" in str(error)
        return
    assert joined(train) + joined(valid) == joined(documents)
    assert train and valid and all(train) and all(valid)


@given(st.lists(st.integers(50, 150), min_size=40, max_size=80))
def test_many_documents_are_split_at_a_border(sizes):
    documents = tuple("x" * size for size in sizes)
    train, valid = corpus(*documents).split()
    assert train + valid == documents
    assert abs(len(joined(valid)) - sum(sizes) / 10) <= 75 + 1


def test_one_document_is_cut_once_near_nine_tenths():
    text = "".join(f"line {i}\n" for i in range(1000))
    train, valid = corpus(text).split()
    assert len(train) == len(valid) == 1
    assert train[0] + valid[0] == text
    assert train[0].endswith("\n") and valid[0].startswith("line")
    assert 0.095 < len(valid[0]) / len(text) < 0.11
    assert [len(part[0]) for part in corpus("x" * 1000).split()] == [900, 100]


@pytest.mark.parametrize("sizes", [(500, 500), (990, 10), (10, 990), (950, 1, 49)])
def test_a_few_unequal_documents_are_cut_inside(sizes):
    valid = corpus(*("x" * size for size in sizes)).split()[1]
    assert 50 <= len(joined(valid)) <= 200


@pytest.mark.parametrize("fraction", [0, 1, -0.1, 1.5, float("nan")])
def test_fractions_that_cannot_be(fraction):
    with pytest.raises(DataError, match="fraction must lie between 0 and 1"):
        corpus("some text").split(fraction)


def test_a_text_too_short_to_split():
    with pytest.raises(DataError, match="corpus test has 1 characters, too few to split"):
        corpus("x").split()


def test_what_is_recorded():
    texts = corpus("año", "b")
    assert (texts.characters, texts.size) == (4, 5)
    assert texts.sha256 == hashlib.sha256("año\0b".encode()).hexdigest()


def test_a_file(tmp_path):
    path = tmp_path / "story.log"
    path.write_bytes("Érase\nuna vez\n".encode())
    texts = load_corpus(path)
    assert (texts.name, texts.documents, texts.provenance) == ("story.log", ("Érase\nuna vez\n",), str(path))
    assert texts.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert load_corpus(str(path)) == texts


def test_a_folder(tmp_path):
    for name in ("b.txt", "a/z.md", "a/y.py", "a/b/x.RST", ".hidden/a.txt", "a/.secret.txt", "image.png", "c.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("" if name == "c.txt" else name)
    (tmp_path / "image.png").write_bytes(b"\x89PNG\0")
    texts = load_corpus(tmp_path)
    assert texts.documents == ("a/b/x.RST", "a/y.py", "a/z.md", "b.txt")
    assert texts.name == tmp_path.name


def test_a_folder_with_an_undecodable_file_names_it(tmp_path):
    (tmp_path / "good.txt").write_text("good")
    (tmp_path / "bad.txt").write_bytes(b"caf\xe9")
    with pytest.raises(DataError, match=r"bad\.txt is not UTF-8 text: byte 0xe9 at position 3"):
        load_corpus(tmp_path)


def test_nothing_to_read(tmp_path):
    with pytest.raises(DataError, match=r"no corpus, file or folder .*nowhere; built-in corpora: pydocs, shakespeare"):
        load_corpus(tmp_path / "nowhere")
    with pytest.raises(DataError, match="has no text file"):
        load_corpus(tmp_path)
    (tmp_path / "empty.txt").write_text(" \n")
    for path in (tmp_path / "empty.txt", tmp_path):
        with pytest.raises(DataError, match="is empty"):
            load_corpus(path)
    (tmp_path / "data.txt").write_bytes(b"\0\1")
    with pytest.raises(DataError, match=r"data\.txt is binary"):
        load_corpus(tmp_path / "data.txt")


def test_pydocs():
    texts = load_corpus("pydocs")
    assert texts == load_corpus("pydocs")
    assert 250_000 < texts.size < 2_000_000
    assert f"{sys.version_info.major}.{sys.version_info.minor}." in texts.provenance
    train, valid = texts.split()
    assert train + valid == texts.documents
    assert 0.05 < len(joined(valid)) / texts.characters < 0.2


def test_pydocs_validation_is_new_to_training():
    train, valid = load_corpus("pydocs").split()
    seen = {line.strip() for document in train for line in document.splitlines()}
    lines = [line.strip() for document in valid for line in document.splitlines() if len(line.strip()) >= 30]
    assert sum(line in seen for line in lines) < 0.03 * len(lines)


def test_pydocs_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "pydoc_data.topics", None)
    with pytest.raises(DataError, match=r"this Python lacks its documentation \(pydoc_data\.topics\)"):
        load_corpus("pydocs")


def test_repeats_are_left_out_and_the_order_stays():
    lines = [f"this is line number {i} of the text" for i in range(40)]
    whole, part, other = (
        "\n".join(lines),
        "\n".join(f"   {line}" for line in lines[5:16]),
        "something else entirely, new",
    )
    half = "\n".join([*lines[:10], *(f"a new line, number {i}, of its own" for i in range(10))])
    assert without_repeats([part, other, whole, half]) == (other, whole, half)
    assert without_repeats([other, other]) == (other,)
    assert without_repeats(["a", "a"]) == ("a", "a")


def test_manifest():
    for name, recorded in built_in_corpora().items():
        assert recorded["provenance"] and recorded["licence"] and recorded["summary"], name
        assert not recorded["fetched"] or len(recorded["sha256"]) == len(recorded["archive_sha256"]) == 64


def test_data_of_a_checkout_and_of_a_wheel(tmp_path, monkeypatch):
    monkeypatch.setattr(resources, "PACKAGE", tmp_path / "site" / "minilm")
    with pytest.raises(DataError, match="install minilm again"):
        resources.data_folder()
    for folder in (tmp_path / "site" / "data", tmp_path / "site" / "minilm" / "data"):
        folder.mkdir(parents=True)
        (folder / "corpora.json").write_text("{}")
        assert resources.data_folder() == folder


def test_cache_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("MINILM_CACHE", str(tmp_path / "chosen"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert resources.cache_folder() == tmp_path / "chosen"
    monkeypatch.delenv("MINILM_CACHE")
    assert resources.cache_folder() == tmp_path / "minilm"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    for platform, place in (("linux", ".cache/minilm"), ("darwin", "Library/Caches/minilm")):
        monkeypatch.setattr(sys, "platform", platform)
        assert resources.cache_folder() == tmp_path / place
