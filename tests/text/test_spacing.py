"""Words as text again: spaces alone change, and common text comes back."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import decoders

from minilm.text import WordPiece
from minilm.text.basic import BasicTokenization
from minilm.text.spacing import joined_as_tokenizers, spaced

WORDS = st.lists(
    st.sampled_from([*".,;:!?%…()[]{}«»“”¿¡'’\"-_/中文", "don", "t", "s", "ll", "3", "14", "ñu", "[SEP]", "“a"])
)


@pytest.mark.parametrize(
    "text",
    [
        "hello, world! (well-known) don't we'll it's",
        "¿qué tal? ¡hola! «sí» “no” ‘x’",
        "at 10:30, 3.14 and 1, 2, 3... 50% of self_test",
        "f (x) [0]: {a; b}",
        "中文。日本 abc 中",
        "it is ' quoted '",
        'she said " yes ".',
        "end. 3 cats; rock’ n’ roll; don’t",
        "",
        "...",
    ],
)
def test_common_text_comes_back(text):
    assert spaced(BasicTokenization(False, False).words(text)) == text


@given(WORDS)
def test_only_spaces_are_left_out(words):
    text = spaced(words)
    assert text.replace(" ", "") == "".join(words).replace(" ", "")
    assert text == text.strip() and "  " not in text


def test_decoding_uses_it():
    tokenizer = WordPiece(["[UNK]", *"don't.!", "##o", "##n", "(", ")", "a"], ["[UNK]"])
    ids = tokenizer.encode("Don't (a)!.")
    assert tokenizer.decode(ids) == "don't (a)!."
    assert tokenizer.decode(ids, clean=False) == "don ' t ( a ) ! ."


ENGLISH = ["x", ".", "?", "!", ",", "'", "n't", "'m", "do not", "'s", "'ve", "'re", "##'s", "##x", "'sx", "s ' t"]


@pytest.mark.parametrize("clean", [True, False])
def test_the_librarys_own_way(clean):
    theirs = decoders.WordPiece("##", clean)
    for tokens in product(ENGLISH, repeat=3):
        assert joined_as_tokenizers(tokens, "##", clean) == theirs.decode(list(tokens))
