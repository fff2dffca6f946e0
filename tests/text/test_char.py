"""CharTokenizer: every text it was trained on comes back; what it does not know is named."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minilm.errors import DataError
from minilm.text import CharTokenizer, load_tokenizer


@given(st.text(min_size=1))
def test_round_trip(text):
    tokenizer = CharTokenizer.train(text)
    ids = tokenizer.encode(text)
    assert tokenizer.decode(ids) == text
    assert len(ids) == len(text)
    assert tokenizer.vocab_size == len(set(text)) == max(ids) + 1


def test_ids_follow_code_points():
    tokenizer = CharTokenizer.train(["banana", "c é"])
    assert tokenizer.characters == " abcné"
    assert tokenizer.encode("abé") == [1, 2, 5]


def test_unknown_character_is_named_with_its_position():
    tokenizer = CharTokenizer.train("abc")
    with pytest.raises(DataError, match=r"'\\u20ac' \(U\+20AC\) at position 2 is not among the tokenizer's 3"):
        tokenizer.encode("ab€a€")


def test_unknown_token():
    tokenizer = CharTokenizer.train("abc", unknown=True)
    assert tokenizer.vocab_size == 4
    assert tokenizer.encode("a€c") == [0, 3, 2]
    assert tokenizer.decode([0, 3, 2]) == "a<unk>c"


def test_empty_training_text():
    with pytest.raises(DataError, match="empty"):
        CharTokenizer.train("")
    with pytest.raises(DataError, match="empty"):
        CharTokenizer.train([])


@settings(max_examples=50)
@given(st.text(min_size=1), st.booleans())
def test_save_and_load(tmp_path_factory, text, unknown):
    path = tmp_path_factory.mktemp("char") / "tokenizer.json"
    tokenizer = CharTokenizer.train(text.replace("\ud800", "") or "a", unknown)
    tokenizer.save(path)
    again = load_tokenizer(path)
    assert (again.characters, again.unknown) == (tokenizer.characters, tokenizer.unknown)
    assert again.fingerprint == tokenizer.fingerprint


@pytest.mark.parametrize("ids", [[0, 3], [-1], [0.5], [[0]]])
def test_ids_that_are_no_tokens(ids):
    with pytest.raises(DataError, match="token id"):
        CharTokenizer.train("abc").decode(ids)
