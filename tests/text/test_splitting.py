"""Where byte-level BPE may not merge: the named splittings, and byte-level BPE that is cut by them."""

import pytest
from hard_strings import HARD
from hypothesis import given
from hypothesis import strategies as st

from minilm.errors import DataError
from minilm.text import ByteBPE, WordPiece, load_tokenizer
from minilm.text.bpe import byte_symbols
from minilm.text.splitting import SPLITTINGS, Cut, Splitting

TEXT = st.text(st.characters(exclude_categories=["Cs"])) | st.sampled_from(HARD)


@pytest.mark.parametrize(
    ("name", "pieces"),
    [
        ("gpt2", ["I", "'m", " 12345", " IT", "'", "S", " x", "!", "\n\n  ", " a"]),
        ("smollm", ["I", "'m", " ", "1", "2", "3", "4", "5", " IT", "'", "S", " x", "!", "\n\n  ", " a"]),
        ("llama3", ["I", "'m", " ", "123", "45", " IT", "'S", " x", "!\n\n", "  ", " a"]),
    ],
)
def test_pieces(name, pieces):
    assert SPLITTINGS[name].pieces("I'm 12345 IT'S x!\n\n   a") == pieces


@given(TEXT)
def test_pieces_join_to_the_text(text):
    for splitting in SPLITTINGS.values():
        pieces = splitting.pieces(text)
        assert "".join(pieces) == text and all(pieces)


@given(TEXT)
def test_a_group_in_a_pattern_changes_nothing(text):
    assert Cut(r"(\p{N})").pieces(text) == Cut(r"\p{N}").pieces(text)


@pytest.mark.parametrize(
    ("cut", "pieces"),
    [
        (Cut("b"), ["a", "b", "b", "c"]),
        (Cut("b", keep=False), ["a", "c"]),
        (Cut("b", between=False), ["b", "b"]),
        (Cut("(b)", between=False), ["b", "b"]),
        (Cut("b", space=True), [" a", "b", "b", "c"]),
        (Cut(None, space=True), [" abbc"]),
    ],
)
def test_what_a_cut_keeps(cut, pieces):
    text = "abbc"
    assert cut.pieces(text) == pieces
    assert Splitting.of(Splitting((cut,)).description()) == Splitting((cut,))


def test_splittings_that_cannot_be():
    with pytest.raises(DataError, match=r"splitting is 'gpt5'; choose one of gpt2, smollm, llama3"):
        ByteBPE.train("ab", 256, splitting="gpt5")
    with pytest.raises(DataError, match=r"the pattern \[ is no regular expression"):
        Cut("[")


def test_a_tokenizer_learned_with_another_splitting(tmp_path):
    ours = ByteBPE.train("111 111 111 ab ab", 258, splitting="smollm")
    assert ours.encode("11 ab") == [49, 49, 257] and ByteBPE.train("111 111 111", 257).encode("11") == [256]
    ours.save(tmp_path / "t.json")
    assert load_tokenizer(tmp_path / "t.json").encode("11 ab") == [49, 49, 257]


def test_a_vocabulary_of_byte_symbols():
    tokens = ["<s>", *byte_symbols()[32:127], "Ġa", "ab"]
    ours = ByteBPE.from_vocabulary(tokens, ["Ġ a", ("a", "b")], {"<s>": 0})
    a = tokens.index("a")
    assert ours.encode(" a ab<s>", "all") == [96, 96, a + 1, 0] and ours.encode("ab") == [97]
    assert len(ours.missing_bytes) == 161 and ours.encode("aéb") == [97]
    known = ByteBPE.from_vocabulary(tokens, [], {"<s>": 0}, unknown=0)
    assert known.encode("aéb") == [a, 0, 0, a + 1]
    assert ours.decode([0, a], skip_special=True) == "a"
    with pytest.raises(DataError, match=r"merge 1, 'a x y', must be two tokens of the vocabulary"):
        ByteBPE.from_vocabulary(tokens, ["a b", "a x y"], {"<s>": 0})
    with pytest.raises(DataError, match=r"unknown is 99, which is no id"):
        ByteBPE.from_vocabulary(tokens, [], {"<s>": 0}, unknown=99)


def test_refused_special_tokens_are_named_with_their_place():
    ours = ByteBPE.train("", 258, ["<a>", "<b>"])
    with pytest.raises(DataError, match=r"special token <b> at position 2; allow it"):
        ours.encode("x <b><a>", "<a>", "all")
    assert ours.encode("x<b>", "<b>", "all") == [120, 257] and ours.encode("x", (), "all") == [120]
    words = WordPiece(["[UNK]", "[SEP]"], ["[SEP]"])
    with pytest.raises(DataError, match=r"special token \[SEP\] at position 1"):
        words.encode("a[SEP]", disallowed_special={"[SEP]"})


def test_fingerprints_of_files_that_exist():
    """Tokenizers saved before there were splittings and switches keep their fingerprints."""
    bpe = ByteBPE.train("abc abc abd", 259, ["<|endoftext|>"])
    assert bpe.fingerprint == "92414583fb25ed39dc375aecc197f904aa086345fa79b5381ac8bc4f694d4b97"
    words = WordPiece(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "##b"])
    assert words.fingerprint == "15163251eb60aaa0f7db67cd08d1408a5eeff9ffaa9c48e5da5545646212b2ed"
