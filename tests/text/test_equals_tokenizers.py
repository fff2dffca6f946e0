"""WordPiece equals Hugging Face's `tokenizers` (an implementation in Rust) on tokens, positions and normalized words.

Where the two differ on purpose, ours does as the program that Google published with BERT; each difference is tested:
- a Σ at the end of a word is ς in lower case, as Python's str.lower knows; theirs lowers each character by itself.
- U+2B820 … U+2B91F are CJK characters (their table has a gap).
- private-use characters stay; theirs drops them.
- which characters are punctuation, marks or control characters depends on the version of Unicode: theirs is older,
  but for its capitals, which are newer than Python's.
"""

import sys
import unicodedata
from functools import cached_property

import pytest
from hard_strings import HARD
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders
from tokenizers.implementations import BertWordPieceTokenizer
from tokenizers.models import WordPiece as Model
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer

from minilm.text import WordPiece, load_corpus
from minilm.text.basic import BasicTokenization, is_cjk

UNICODE_3 = unicodedata.ucd_3_2_0
GAP = range(0x2B820, 0x2B920)
KINDS = {"uncased": (True, None), "cased": (False, None), "spanish": (True, False), "cased, no accents": (False, True)}


def same_in_both(character: str) -> bool:
    """Whether both know the character: it is as old as Unicode 3.2 and has kept its kind, or it is no mark or sign."""
    now = unicodedata.category(character)
    if now in ("Cs", "Co", "Cn") or character == "Σ" or ord(character) in GAP:
        return False
    before = UNICODE_3.category(character)
    return before == now or (before == "Cn" and now[0] in "LNS")


PIECES = [
    "the",
    "The",
    "una",
    "ffable",
    "Classes",
    "instance",
    "año",
    "Ñandú",
    "naïve",
    "cafe\u0301",
    "Ἀθήνα",
    "Straße",
]
PIECES += [
    "日本語",
    "中文",
    "カタカナ",
    "한국어",
    "각",
    "豈",
    "𠀀",
    "🙂",
    "👩‍👩‍👧",
    "❤\ufe0f",
    "İ",
    "ǅ",
    "ﬁ",
    "ΐ",
    "≠",
    "\u1fef",
    "\u212b",
]
PIECES += [*".,;:!?'\"()[]{}#$%&*+-/<=>@\\^_`|~¿¡«»“”‘’–—…·", "##", "##s", "'s", "...", "3.14", "x" * 99, "y" * 101]
PIECES += [" ", " ", "  ", "\n", "\t", "\r", "\xa0", "\u2003", "\u3000", "\u2028", "\x85", "\x1c", "\x0b"]
PIECES += ["\x00", "\x07", "\x7f", "\xad", "\u200b", "\u200d", "\u200e", "\ufeff", "\ufffd"]
PIECES += ["\u0301", "\u0316", "\u0327", "\u0308", "\u0345", "\u034f", "\u093c", "\u064b", "\u20dd", "\u0903"]
CHARACTERS = st.characters(exclude_categories=["Cs", "Co", "Cn"]).filter(same_in_both)
TEXT = st.lists(st.sampled_from(PIECES) | CHARACTERS).map("".join) | st.text(CHARACTERS)


class Theirs:
    """Their normalizer, pre-tokenizer and model by themselves, and their BERT tokenizer, which reads special tokens."""

    def __init__(self, ours: WordPiece):
        self.vocabulary = {token: i for i, token in enumerate(ours.tokens)}
        self.options = {"clean_text": True, "handle_chinese_chars": True}
        self.options |= {"lowercase": ours.basic.lower, "strip_accents": ours.basic.strip_accents}
        self.plain = Tokenizer(Model(self.vocabulary, unk_token="[UNK]", max_input_chars_per_word=100))
        self.plain.normalizer = BertNormalizer(**self.options)
        self.plain.pre_tokenizer = BertPreTokenizer()
        self.plain.decoder = decoders.WordPiece(cleanup=False)

    @cached_property
    def bert(self):
        return BertWordPieceTokenizer(self.vocabulary, **self.options)

    def words(self, text):
        normalized = self.plain.normalizer.normalize_str(text)
        return [word for word, _ in self.plain.pre_tokenizer.pre_tokenize_str(normalized)]


@pytest.fixture(scope="module", params=KINDS)
def both(request):
    lower, strip_accents = KINDS[request.param]
    documents = [*load_corpus("pydocs").documents[:12], " ".join(PIECES * 2)]
    ours = WordPiece.train(documents, 1100, lower, strip_accents)
    return ours, Theirs(ours)


def check_equal(ours, theirs, text):
    ids, spans = ours.encode_with_offsets(text)
    expected = theirs.plain.encode(text)
    assert ours.basic.words(text) == theirs.words(text)
    assert (ids, spans) == (expected.ids, expected.offsets)
    assert ours.tokenize(text) == expected.tokens
    assert ours.decode(ids, clean=False) == theirs.plain.decode(ids, skip_special_tokens=False)


@given(TEXT)
def test_equals_on_any_text(both, text):
    check_equal(*both, text)


@pytest.mark.slow
@settings(max_examples=3000, deadline=None)
@given(TEXT)
def test_equals_on_3000_texts(both, text):
    check_equal(*both, text)


def test_equals_on_hard_strings(both):
    """All but those with a character that is not the same in both."""
    alike = [text for text in HARD if all(map(same_in_both, text))]
    assert len(alike) > 200
    for text in alike:
        check_equal(*both, text)


def test_equals_on_real_text(both):
    for document in load_corpus("pydocs").documents[12:30]:
        check_equal(*both, document)


@given(st.lists(TEXT), st.data())
def test_special_tokens_are_read_alike(both, texts, data):
    ours, theirs = both
    special = st.sampled_from([*ours.special_tokens, "[mask]", "[SEP"])
    text = "".join(part for text in texts for part in (text, data.draw(special)))
    expected = theirs.bert.encode(text, add_special_tokens=False)
    assert ours.encode_with_offsets(text, "all") == (expected.ids, expected.offsets)


def test_the_longest_word(both):
    ours, theirs = both
    for text in ("a" * 100, "a" * 101, "a" * 99 + "\u0301" + "b", "İ" * 50, "İ" * 51, "각" * 33, "각" * 34, "中" * 101):
        check_equal(ours, theirs, f"{text} {text}.")


def test_a_sigma_at_the_end_of_a_word():
    """The difference that every Greek text shows; the words are otherwise equal."""
    ours = WordPiece(["[UNK]"], ["[UNK]"])
    text = "ΟΔΟΣ, Ὀδυσσεύς ΣΑΣ"
    assert ours.basic.words(text) == ["οδος", ",", "οδυσσευς", "σας"]
    assert Theirs(ours).words(text) == ["οδοσ", ",", "οδυσσευς", "σασ"]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["uncased", "cased"])
def test_every_character_but_the_named_ones(kind):
    """Between two letters, each code point alike to both is treated alike; the others differ as the module says."""
    lower, strip_accents = KINDS[kind]
    ours = WordPiece(["[UNK]"], ["[UNK]"], lower, strip_accents)
    theirs = Theirs(ours)
    differing = set()
    for code in (code for code in range(sys.maxunicode + 1) if not 0xD800 <= code < 0xE000):
        text = f"A{chr(code)}b"
        if ours.basic.words(text) != theirs.words(text):
            differing.add(chr(code))
    assert not {c for c in differing if same_in_both(c)}
    assert {c for c in differing if is_cjk(c)} == {chr(code) for code in GAP if unicodedata.category(chr(code)) == "Lo"}
    private = {c for c in differing if unicodedata.category(c) == "Co"}
    assert len(private) == 137_468
    others = {c for c in differing if not is_cjk(c)} - private
    kinds = {unicodedata.category(c) for c in others}
    assert {kind for kind in kinds if kind[0] != "P"} <= {"Cn", "Cf", "Mn", "Mc", "So"}
    assert len(others) < 2000


@pytest.fixture(scope="module")
def bert(bert_files):
    ours = WordPiece.from_vocab(bert_files[0])
    return ours, Theirs(ours)


@pytest.mark.network
def test_the_ids_of_berts_own_vocabulary(bert, bert_files, tmp_path):
    ours, _ = bert
    assert ours.vocab_size == 30522
    assert list(ours.special_tokens.values()) == [0, 100, 101, 102, 103]
    tokens = ["john", "johan", "##son", "'", "s", "house", ",", "una", "##ffa", "##ble"]
    assert ours.tokenize("John Johanson's house, unaffable") == tokens
    assert ours.encode("[CLS] Hello, world! [SEP]", "all") == [101, 7592, 1010, 2088, 999, 102]
    ours.save_vocab(tmp_path / "vocab.txt")
    assert (tmp_path / "vocab.txt").read_bytes() == bert_files[0].read_bytes()


@pytest.mark.network
@settings(max_examples=2000, deadline=None)
@given(TEXT)
def test_equals_with_berts_own_vocabulary(bert, text):
    check_equal(*bert, text)


@pytest.mark.network
def test_equals_with_berts_own_vocabulary_on_hard_strings(bert):
    for text in HARD:
        if all(map(same_in_both, text)):
            check_equal(*bert, text)


@pytest.mark.network
def test_equals_with_berts_own_vocabulary_on_real_text(bert):
    for document in load_corpus("pydocs").documents:
        check_equal(*bert, document)


def test_the_basic_tokenization_is_bert_uncased_by_default():
    assert WordPiece(["[UNK]"], []).basic == BasicTokenization(True, True)
    assert WordPiece(["[UNK]"], [], lower=False).basic == BasicTokenization(False, False)
    assert WordPiece(["[UNK]"], [], strip_accents=False).basic == BasicTokenization(True, False)
