"""BERT's basic tokenization: each rule by example, and what must hold for every text."""

import sys
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from minilm.text.basic import BasicTokenization, _decomposed, chunks, is_cjk, is_punctuation

UNCASED, CASED, SPANISH = BasicTokenization(), BasicTokenization(False, False), BasicTokenization(True, False)
EVERY_KIND = [UNCASED, CASED, SPANISH, BasicTokenization(False, True)]
MARKS = "\u0301\u0316\u0327\u0345\u034f\u093c\u302e\U0001d165\U0001d16d\u0f71\u0f72"
TEXT = st.text(
    st.characters(exclude_categories=["Cs"])
    | st.sampled_from("aAéÉñÑÇßİΣσ각ﬁ豈\u212b\u0344 \t\x00\u200d\ufffd.,-_$中かカ🙂" + MARKS)
)


@pytest.mark.parametrize(
    ("text", "uncased", "cased"),
    [
        ("Hello, World!", "hello , world !", "Hello , World !"),
        ("Don't", "don ' t", "Don ' t"),
        ("self.x_1+=$2`|~", "self . x _ 1 + = $ 2 ` | ~", "self . x _ 1 + = $ 2 ` | ~"),
        ("¿Qué año?", "¿ que ano ?", "¿ Qué año ?"),
        ("“x” – y…", "“ x ” – y …", "“ x ” – y …"),
        (" a\tb\r\nc\xa0d\u2003e\u3000f\u2028g ", "a b c d e f g", "a b c d e f g"),
        ("a\x00b\x0bc\x85d\u200be\u200df\ufeffg\ufffdh\x7fi\xadj", "abcdefghij", "abcdefghij"),
        ("x中文y 日本ごはんカナ 한국", "x 中 文 y 日 本 こはんカナ 한국", "x 中 文 y 日 本 ごはんカナ 한국"),
        ("x𠀀y𫠠z豈w", "x 𠀀 y 𫠠 z 豈 w", "x 𠀀 y 𫠠 z 豈 w"),
        ("cafe\u0301 a\u0327\u0301z", "cafe az", "cafe\u0301 a\u0327\u0301z"),
        ("ÅÉÎÑÕÜÇ", "aeinouc", "ÅÉÎÑÕÜÇ"),
        ("Ærø Łódź ß", "ærø łodz ß", "Ærø Łódź ß"),
        ("İI", "ii", "İI"),
        ("ΟΔΟΣ. ΣΑΣ", "οδος . σας", "ΟΔΟΣ . ΣΑΣ"),
        ("hi🙂x ❤\ufe0f", "hi🙂x ❤", "hi🙂x ❤\ufe0f"),
        ("\u0301 \x00 \u200b", "", "\u0301"),
        ("\ue000\u0378", "\ue000\u0378", "\ue000\u0378"),
        ("", "", ""),
    ],
)
def test_words(text, uncased, cased):
    assert " ".join(UNCASED.words(text)) == unicodedata.normalize("NFD", uncased)
    assert " ".join(CASED.words(text)) == cased
    assert " ".join(SPANISH.words(text)) == " ".join(CASED.words(text)).lower()


def test_spanish_keeps_its_accents():
    assert SPANISH.words("El Niño está ahí; CAFÉ") == ["el", "niño", "está", "ahí", ";", "café"]
    assert BasicTokenization(False, True).words("El Niño CAFÉ") == ["El", "Nino", "CAFE"]


def test_positions():
    first, second, third = CASED.cut("a\x00b.é")
    assert (first.text, first.positions, second.positions, third.span(0, 1)) == ("ab", (0, 2), (3,), (4, 5))
    (word,) = UNCASED.cut("\u200bİe\u0301각x")
    assert word.text == "ie\u1100\u1161\u11a8x" and word.positions == (1, 2, 4, 4, 4, 5)
    assert word.span(0, 2) == (1, 3) and word.span(2, 3) == word.span(4, 5) == (4, 5)
    (word,) = SPANISH.cut("İx")
    assert word.text == "i\u0307x" and word.positions == (0, 0, 1)
    assert list(chunks(" ab\x00 c\n")) == [("ab\x00", 1), ("c", 5)]


@given(TEXT)
@example("a\u0301\u0316\u034f\u0327b\U0001d16d\U0001d165")
def test_decomposition_is_unicodes(text):
    parts = _decomposed([(character, i) for i, character in enumerate(text)])
    assert "".join(character for character, _ in parts) == unicodedata.normalize("NFD", text)
    assert all(character in unicodedata.normalize("NFD", text[i]) for character, i in parts)


@pytest.mark.parametrize("basic", EVERY_KIND)
@given(TEXT)
def test_a_second_time_changes_nothing(basic, text):
    words = basic.words(text)
    assert basic.words(" ".join(words)) == words
    assert all(words) and not any(character.isspace() for word in words for character in word)


@pytest.mark.parametrize("basic", EVERY_KIND)
@given(TEXT)
def test_words_are_a_plain_pipeline_over_the_whole_text(basic, text):
    """The published order: clean, set CJK apart, split at spaces; in each word lower case, accents, punctuation."""
    kept = [c for c in text if c != "\ufffd" and (c in "\t\n\r" or unicodedata.category(c) not in ("Cc", "Cf"))]
    words = "".join(f" {c} " if is_cjk(c) else c for c in kept).split()
    if basic.lower:
        words = [word.lower() for word in words]
    if basic.strip_accents:
        words = ["".join(c for c in unicodedata.normalize("NFD", w) if unicodedata.category(c) != "Mn") for w in words]
    spaced = "".join(f" {c} " if is_punctuation(c) else c for word in words for c in f"{word} ")
    assert basic.words(text) == spaced.split()


@pytest.mark.parametrize("basic", EVERY_KIND)
@given(TEXT)
def test_positions_point_at_what_a_word_was_made_from(basic, text):
    for chunk, _ in chunks(text):
        last = -1
        for word in basic.cut(chunk):
            assert len(word.text) == len(word.positions)
            assert last <= min(word.positions)  # one character can end in a sign of its own: ≠ is = and a mark
            last = max(word.positions)
            for character, i in zip(word.text, word.positions, strict=True):
                made = chunk[i].lower() if basic.lower else chunk[i]
                made = unicodedata.normalize("NFD", made) if basic.strip_accents else made
                assert character in made or (character, chunk[i]) == ("ς", "Σ")


def test_a_character_is_cjk_before_decomposition_if_it_is_after():
    """WordPiece learns no ##c for CJK characters, because each is a word by itself."""
    for character in map(chr, range(sys.maxunicode + 1)):
        changes = unicodedata.decomposition(character) or character != character.lower()
        if changes and any(is_cjk(c) for c in unicodedata.normalize("NFD", character.lower())):
            assert is_cjk(character), f"U+{ord(character):04X}"


@pytest.mark.parametrize(
    ("first", "last"),
    [(0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x2A6DF), (0x2A700, 0x2CEAF), (0x2F800, 0x2FA1F)],
)
def test_the_blocks_of_cjk(first, last):
    assert is_cjk(chr(first)) and is_cjk(chr(last)) and is_cjk(chr((first + last) // 2))
    assert not is_cjk(chr(first - 1)) and not is_cjk(chr(last + 1))
