"""The one JSON file of a tokenizer: damage is seen, another vocabulary has another fingerprint."""

import json
import os

import numpy as np
import pytest

from minilm.errors import DataError
from minilm.resources import read_text, write_atomically
from minilm.text import ByteBPE, CharTokenizer, WordPiece, load_tokenizer


def tokenizers():
    text = "the cat sat on the mat; the rat sat on the cat"
    return [
        CharTokenizer.train(text),
        CharTokenizer.train(text, unknown=True),
        CharTokenizer.train(text + "!"),
        ByteBPE.train(text, 262),
        ByteBPE.train(text, 263),
        ByteBPE.train(text, 263, ["<|endoftext|>"]),
        ByteBPE.train(text, 263, ["<|end|>"]),
        WordPiece.train(text, 28),
        WordPiece.train(text, 28, lower=False),
        WordPiece.train(text, 29),
    ]


def test_fingerprints_differ_and_survive_saving(tmp_path):
    prints = []
    for i, tokenizer in enumerate(tokenizers()):
        tokenizer.save(tmp_path / f"{i}.json")
        prints.append(tokenizer.fingerprint)
        assert load_tokenizer(tmp_path / f"{i}.json").fingerprint == tokenizer.fingerprint
    assert len(set(prints)) == len(prints)
    assert prints == [tokenizer.fingerprint for tokenizer in tokenizers()]


CHANGES = {
    0: {"characters": "ab"},
    5: {"merges": [[1, 999]], "special_tokens": {}, "tokens": ["a"]},
    7: {"tokens": ["a"], "special_tokens": ["[SEP]"], "lower": False, "strip_accents": False},
}


@pytest.mark.parametrize("number", CHANGES)
def test_any_change_of_the_file_is_refused(tmp_path, number):
    path = tmp_path / "tokenizer.json"
    tokenizers()[number].save(path)
    whole = path.read_text()
    for end in (0, 1, len(whole) // 2, len(whole) - 3):
        path.write_text(whole[:end])
        with pytest.raises(DataError, match=r"tokenizer\.json"):
            load_tokenizer(path)
    content = json.loads(whole)
    changes = {"format": "x", "kind": "y", "fingerprint": "z"} | CHANGES[number]
    for key, value in changes.items():
        path.write_text(json.dumps(content | {key: value}))
        with pytest.raises(DataError, match=r"tokenizer\.json"):
            load_tokenizer(path)
        path.write_text(json.dumps({k: v for k, v in content.items() if k != key}))
        with pytest.raises(DataError, match=r"tokenizer\.json"):
            load_tokenizer(path)


def test_missing_binary_and_undecodable_files_are_named(tmp_path):
    with pytest.raises(DataError, match=r"no file .*nothing\.json"):
        load_tokenizer(tmp_path / "nothing.json")
    (tmp_path / "a.bin").write_bytes(b"ab\0cd")
    with pytest.raises(DataError, match=r"a\.bin is binary \(a zero at byte 2\)"):
        read_text(tmp_path / "a.bin")
    (tmp_path / "latin.txt").write_bytes("año".encode("latin-1"))
    with pytest.raises(DataError, match=r"latin\.txt is not UTF-8 text: byte 0xf1 at position 1"):
        read_text(tmp_path / "latin.txt")
    with pytest.raises(DataError, match="cannot be read"):
        read_text(tmp_path)


def test_line_ends_and_byte_order_mark(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbfone\r\ntwo\rthree\n")
    assert read_text(tmp_path / "a.txt") == "one\ntwo\nthree\n"


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    path = tmp_path / "a.json"
    write_atomically(path, "old")

    def full(*_):
        raise OSError(28, "No space left on device")

    for call in ("fsync", "replace"):
        with monkeypatch.context() as patch:
            patch.setattr(os, call, full)
            with pytest.raises(DataError, match=r"a\.json could not be written \(.*No space left"):
                write_atomically(path, "new")
        assert path.read_text() == "old"
        assert list(tmp_path.iterdir()) == [path]
    write_atomically(path, "new")
    assert path.read_text() == "new"


def test_decode_takes_arrays():
    tokenizer = CharTokenizer.train("abc")
    assert tokenizer.decode(np.array([2, 1, 0], np.int32)) == "cba"
    assert tokenizer.decode([]) == tokenizer.decode(np.empty(0)) == ""
