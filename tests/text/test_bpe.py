"""ByteBPE against a slow reference written from the definition, and the properties of its files."""

import json
import time
from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minilm.errors import DataError
from minilm.text import ByteBPE, load_corpus, load_tokenizer
from minilm.text.bpe import byte_symbols
from minilm.text.splitting import SPLITTINGS

UNICODE = st.text(st.characters(exclude_categories=["Cs"]))
WORDS = st.lists(st.sampled_from(["low", "lower", "newest", "wide", "aaaa", "aaa", "¿", " ", "\n", "1", "日本"])).map(
    "".join
)
END = "<|endoftext|>"
split = SPLITTINGS["gpt2"].pieces


def replaced(ids, pair, new):
    result = []
    for id in ids:
        if result and (result[-1], id) == pair:
            result[-1] = new
        else:
            result.append(id)
    return result


def slow_train(documents, count):
    """All pairs counted anew for each merge."""
    pieces = [list(piece.encode()) for document in documents for piece in split(document)]
    merges = []
    for new in range(256, 256 + count):
        pairs = Counter(pair for piece in pieces for pair in pairwise(piece))
        pair = min(pairs, key=lambda pair: (-pairs[pair], pair))
        merges.append(pair)
        pieces = [replaced(piece, pair, new) for piece in pieces]
    return merges


def slow_encode(text, merges):
    """Every merge in the order in which it was learned, over every piece."""
    ids = []
    for piece in split(text):
        part = list(piece.encode())
        for rank, pair in enumerate(merges):
            part = replaced(part, tuple(pair), 256 + rank)
        ids += part
    return ids


@pytest.fixture(scope="module")
def pydocs():
    return load_corpus("pydocs").documents


@pytest.fixture(scope="module")
def trained(pydocs):
    return ByteBPE.train(pydocs, 600, [END])


@given(st.lists(WORDS, min_size=1), st.integers(0, 12))
def test_training_equals_counting_anew(documents, count):
    try:
        tokenizer = ByteBPE.train(documents, 256 + count)
    except DataError as error:
        assert "no pair occurs twice" in str(error)
        return
    assert [tuple(pair) for pair in tokenizer.description()["merges"]] == slow_train(documents, count)


def test_training_equals_counting_anew_on_real_text(pydocs):
    documents = [document[:3000] for document in pydocs[:4]]
    merges = ByteBPE.train(documents, 256 + 120).description()["merges"]
    assert [tuple(pair) for pair in merges] == slow_train(documents, 120)


def test_ties_take_the_smallest_ids():
    merges = ByteBPE.train("ba dc ba dc", 256 + 3).description()["merges"]
    assert merges == [[ord(" "), ord("d")], [ord("b"), ord("a")], [256, ord("c")]]


@given(UNICODE | WORDS)
def test_encoding_equals_applying_the_merges_in_order(trained, text):
    assert trained.encode(text) == slow_encode(text, trained.description()["merges"])


def test_encoding_of_real_text_equals_applying_the_merges_in_order(trained, pydocs):
    text = pydocs[7][:4000]
    assert trained.encode(text) == slow_encode(text, trained.description()["merges"])


def check_round_trip(tokenizer, text):
    ids = tokenizer.encode(text)
    assert tokenizer.decode(ids) == text
    assert tokenizer.special_tokens[END] not in ids
    assert b"".join(map(tokenizer.token_bytes, ids)) == text.encode()


@settings(max_examples=300, deadline=None)
@given(UNICODE)
def test_round_trip(trained, text):
    check_round_trip(trained, text)


@pytest.mark.slow
@settings(max_examples=10_000, deadline=None)
@given(UNICODE)
def test_round_trip_of_10_000_texts(trained, text):
    check_round_trip(trained, text)


@given(UNICODE)
def test_pieces_join_to_the_text(text):
    assert "".join(split(text)) == text


def test_pieces():
    assert split("Hello  world, it's 42!\n\n  x") == [
        "Hello",
        " ",
        " world",
        ",",
        " it",
        "'s",
        " 42",
        "!",
        "\n\n ",
        " x",
    ]


def test_byte_symbols():
    symbols = byte_symbols()
    assert len(set(symbols)) == 256
    assert (symbols[ord("A")], symbols[ord(" ")], symbols[0], symbols[255], symbols[0xAD]) == ("A", "Ġ", "Ā", "ÿ", "Ń")
    assert all(symbol.isprintable() and not symbol.isspace() for symbol in symbols)


def test_lone_surrogate_is_named(trained):
    for call in (trained.encode, lambda text: ByteBPE.train(text, 300)):
        with pytest.raises(DataError, match=r"lone surrogate \(U\+D83D\) at position 2"):
            call("ab\ud83dc")


def test_cut_characters_decode_to_replacements():
    tokenizer = ByteBPE.train("", 256)
    ids = tokenizer.encode("a€")
    assert tokenizer.decode(ids) == "a€"
    assert tokenizer.decode(ids[:-1]) == "a\ufffd"


def test_special_tokens_are_text_unless_allowed(trained):
    end = trained.special_tokens[END]
    assert end == trained.vocab_size - 1 == 599
    text = f"one{END}two{END}"
    plain = trained.encode(text)
    assert end not in plain and trained.decode(plain) == text
    for allowed in ("all", END, {END}, [END]):
        ids = trained.encode(text, allowed_special=allowed)
        assert ids == [*trained.encode("one"), end, *trained.encode("two"), end]
        assert trained.decode(ids) == text
    with pytest.raises(DataError, match=r"<\|pad\|> is no special token of this tokenizer; it has: <\|endoftext\|>"):
        trained.encode(text, allowed_special={"<|pad|>"})


def test_of_two_special_tokens_the_longer_is_read():
    tokenizer = ByteBPE.train("", 258, ["<a>", "<a><b>"])
    assert tokenizer.encode("<a><b><a>", "all") == [257, 256]


@pytest.mark.parametrize("special", [[""], ["a"], ["é"], ["<x>", "<x>"], ["aa"]])
def test_special_tokens_that_cannot_be(special):
    with pytest.raises(DataError, match="special token"):
        ByteBPE.train("aaaa aaaa", 257 + len(special), special)


def test_vocabularies_that_cannot_be():
    with pytest.raises(DataError, match=r"vocab_size 256 is too small: 256 bytes and 1 special tokens"):
        ByteBPE.train("abc", 256, [END])
    with pytest.raises(DataError, match=r"vocab_size 999 is too large for this text: after 258 tokens"):
        ByteBPE.train("abc abc", 999)
    assert ByteBPE.train("abc abc", 258).vocab_size == 258


def test_progress_is_told():
    calls = []
    ByteBPE.train("abcabcabc abcabc", 259, progress=lambda *now: calls.append(now))
    assert calls == [(1, 3), (2, 3), (3, 3)]


@settings(max_examples=20)
@given(UNICODE)
def test_files_and_json_bring_the_same_tokenizer_back(tmp_path_factory, trained, text):
    folder = tmp_path_factory.mktemp("bpe")
    trained.save_files(folder)
    trained.save(folder / "tokenizer.json")
    for again in (
        ByteBPE.from_files(folder / "vocab.json", folder / "merges.txt"),
        load_tokenizer(folder / "tokenizer.json"),
    ):
        assert again.fingerprint == trained.fingerprint
        assert again.encode(text + END, "all") == trained.encode(text + END, "all")


def test_the_layout_of_the_files(tmp_path, trained):
    trained.save_files(tmp_path)
    vocab = json.loads((tmp_path / "vocab.json").read_text())
    lines = (tmp_path / "merges.txt").read_text(encoding="utf-8").split("\n")
    assert vocab[END] == 599 and vocab["Ġ"] == 32 and len(vocab) == 600
    assert lines[0] == "#version: 0.2" and lines[-1] == "" and len(lines) == 600 - 256 - 1 + 2
    assert lines[1] == "Ġ Ġ"


def broken_files(folder, change):
    ByteBPE.train("abc abc abd", 259, [END]).save_files(folder)
    vocab = json.loads((folder / "vocab.json").read_text())
    lines = (folder / "merges.txt").read_text(encoding="utf-8").split("\n")
    change(vocab, lines)
    (folder / "vocab.json").write_text(json.dumps(vocab))
    (folder / "merges.txt").write_text("\n".join(lines), encoding="utf-8")
    return folder / "vocab.json", folder / "merges.txt"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda vocab, lines: vocab.pop("Ā"), r"ids of .*vocab\.json must be 0 … 257"),
        (lambda vocab, lines: vocab.update({"no": vocab.pop("Ā")}), r"lacks the byte Ā"),
        (lambda vocab, lines: vocab.update({"ab": "1"}), r"must map each token to its id, \{token: id\}"),
        (lambda vocab, lines: lines.insert(1, "a b c"), r"line 2 of .*merges\.txt must be two tokens"),
        (lambda vocab, lines: lines.insert(1, "ab c"), r"line 2 of .*merges\.txt merges ab, which no earlier line"),
        (lambda vocab, lines: lines.insert(2, "c d"), r"line 3 of .*merges\.txt makes cd, which .*vocab\.json lacks"),
    ],
)
def test_files_that_do_not_fit(tmp_path, change, message):
    with pytest.raises(DataError, match=message):
        ByteBPE.from_files(*broken_files(tmp_path, change))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DataError, match=r"no file .*vocab\.json"):
        ByteBPE.from_files(tmp_path / "vocab.json", tmp_path / "merges.txt")


def test_a_very_long_piece_takes_no_quadratic_time(trained):
    start = time.perf_counter()
    text = "ab" * 100_000
    assert trained.decode(trained.encode(text)) == text
    assert time.perf_counter() - start < 5
