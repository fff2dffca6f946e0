"""On GPT-2's own two files, ByteBPE equals tiktoken, on 2,000 random texts and the hard ones; special tokens too."""

import json
import unicodedata

import pytest
from hard_strings import END, HARD
from hypothesis import given, settings
from hypothesis import strategies as st

from minilm.errors import DataError
from minilm.text import ByteBPE, load_corpus
from minilm.text.splitting import GPT2_PATTERN

pytestmark = pytest.mark.network

# No unassigned characters: later versions of Unicode give them a kind, which regex and tiktoken learn at other times.
TEXT = st.text(st.characters(exclude_categories=["Cs", "Cn"])) | st.lists(
    st.sampled_from(
        [
            "the",
            " quick",
            "'s",
            "  ",
            "\n",
            "\t",
            "123",
            " 45",
            "!?",
            "é",
            " ñandú",
            "日本語",
            "👩‍👩‍👧",
            "\u2028",
            "\xa0",
        ]
    )
).map("".join)


@pytest.fixture(scope="module")
def ours(gpt2_files):
    return ByteBPE.from_files(*gpt2_files)


@pytest.fixture(scope="module")
def theirs(gpt2_files):
    """tiktoken's engine, the ranks read from the same files by its own reader."""
    import tiktoken
    from tiktoken.load import data_gym_to_mergeable_bpe_ranks

    ranks = data_gym_to_mergeable_bpe_ranks(vocab_bpe_file=str(gpt2_files[1]), encoder_json_file=str(gpt2_files[0]))
    pattern = r"""'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s"""
    return tiktoken.Encoding(
        "gpt2-by-hand", pat_str=pattern, mergeable_ranks=ranks, special_tokens={"<|endoftext|>": 50256}
    )


def check_equal(ours, theirs, text):
    ids = ours.encode(text)
    assert ids == theirs.encode_ordinary(text)
    assert ours.decode(ids) == text
    cut = ids[1::2]
    assert ours.decode(cut) == theirs.decode(cut)


def test_the_vocabulary(ours, theirs):
    assert (ours.vocab_size, ours.special_tokens) == (50257, {"<|endoftext|>": 50256})
    assert [ours.token_bytes(i) for i in range(50256)] == [theirs.decode_single_token_bytes(i) for i in range(50256)]
    assert ours.encode("Hello world<|endoftext|>", "all") == [15496, 995, 50256]


@settings(max_examples=2000, deadline=None)
@given(TEXT)
def test_equals_tiktoken(ours, theirs, text):
    check_equal(ours, theirs, text)


def test_equals_tiktoken_on_hard_strings(ours, theirs):
    for text in [*HARD, " ".join(HARD), "".join(HARD)]:
        check_equal(ours, theirs, text)


@settings(max_examples=2000, deadline=None)
@given(st.lists(TEXT | st.sampled_from([END, END[:-1], END[1:], "<|", "|>"])).map("".join))
def test_special_tokens_are_read_as_tiktoken_reads_them(ours, theirs, text):
    """Allowed, refused, or plain text, as `allowed_special` and `disallowed_special` say."""
    assert ours.encode(text, "all") == theirs.encode(text, allowed_special="all")
    assert ours.encode(text, {END}, "all") == theirs.encode(text, allowed_special={END}, disallowed_special="all")
    assert ours.encode(text) == theirs.encode(text, disallowed_special=())
    if END in text:
        for encode, error in ((theirs.encode, ValueError), (ours.encode, DataError)):
            with pytest.raises(error, match=r"<\|endoftext\|>"):
                encode(text, disallowed_special="all")


def test_special_tokens_in_hard_strings(ours, theirs):
    for text in HARD:
        assert ours.encode(text, "all") == theirs.encode(text, allowed_special="all")


@pytest.mark.slow
@settings(max_examples=10_000, deadline=None)
@given(TEXT)
def test_equals_tiktoken_on_10_000_texts(ours, theirs, text):
    check_equal(ours, theirs, text)


def test_equals_tiktoken_on_real_text(ours, theirs):
    for document in load_corpus("pydocs").documents:
        check_equal(ours, theirs, document)


@pytest.mark.slow
def test_equals_tiktoken_beside_every_character(ours, theirs):
    """Every assigned code point is a letter, number, space or other sign for both."""
    codes = [code for code in range(0x110000) if unicodedata.category(chr(code)) not in ("Cs", "Cn")]
    for first in range(0, len(codes), 4096):
        text = "".join(f"a{chr(code)}b  {chr(code)}{chr(code)} 1{chr(code)}2 !" for code in codes[first : first + 4096])
        assert ours.encode(text) == theirs.encode_ordinary(text), f"U+{codes[first]:04X} and the 4095 after it"


def test_writing_the_files_again(ours, gpt2_files, tmp_path):
    ours.save_files(tmp_path)
    assert json.loads((tmp_path / "vocab.json").read_text()) == json.loads(gpt2_files[0].read_text())
    merges = (tmp_path / "merges.txt").read_text(encoding="utf-8")
    assert merges == gpt2_files[1].read_text(encoding="utf-8")


def test_the_pattern_is_the_published_one():
    assert GPT2_PATTERN == r"""'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"""
