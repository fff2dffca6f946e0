"""tokenizer.json, read by our own code: files that the `tokenizers` library wrote, on which ours equals theirs.

Random characters are those whose kind is the same in Unicode 3.2 and now; the two follow different versions since.
"""

import json
import unicodedata

import pytest
from hard_strings import HARD, KINDS
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers
from tokenizers import pre_tokenizers as pre
from tokenizers.trainers import BpeTrainer, WordPieceTrainer

from minilm.text import load_corpus, load_tokenizer
from minilm.text.splitting import LLAMA3_PATTERN
from minilm.text.tokenizer_json import read_tokenizer_json

UNICODE_3 = unicodedata.ucd_3_2_0
SPECIAL = ["<unk>", "<s>", "</s>", "<|im_start|>"]
BERT_SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
GPT4_STYLE = pre.Sequence([pre.Split(Regex(LLAMA3_PATTERN), "removed", True), pre.ByteLevel(False, use_regex=False)])
LLAMA3 = pre.Sequence([pre.Split(Regex(LLAMA3_PATTERN), "isolated"), pre.ByteLevel(False, use_regex=False)])


def of_one_kind(character):
    return UNICODE_3.category(character) == unicodedata.category(character) != "Cn"


CHARACTERS = st.characters(exclude_categories=["Cs"]).filter(of_one_kind)
PIECES = [*SPECIAL, *BERT_SPECIAL, *"the, a,self,123, 45,'s,'S,\n\n,  ,é,e\u0301,中,Σ,NEW".split(",")]
TEXT = st.lists(st.sampled_from(PIECES) | CHARACTERS).map("".join) | st.sampled_from(HARD).filter(
    lambda text: all(map(of_one_kind, text))
)


def bpe(pre_tokenizer, every_byte=True, unknown=None, normalizer=None, ignore_merges=False):
    theirs = Tokenizer(models.BPE(unk_token=unknown, ignore_merges=ignore_merges))
    theirs.pre_tokenizer, theirs.decoder = pre_tokenizer, decoders.ByteLevel()
    if normalizer is not None:
        theirs.normalizer = normalizer
    alphabet = pre.ByteLevel.alphabet() if every_byte else []
    trainer = BpeTrainer(vocab_size=700, special_tokens=SPECIAL, initial_alphabet=alphabet, show_progress=False)
    theirs.train_from_iterator(load_corpus("pydocs").documents[:12], trainer)
    return theirs


def wordpiece(unknown="[UNK]", prefix="##", longest=100, cleanup=True, special=BERT_SPECIAL, **switches):
    theirs = Tokenizer(models.WordPiece(unk_token=unknown, max_input_chars_per_word=longest))
    theirs.normalizer, theirs.pre_tokenizer = normalizers.BertNormalizer(**switches), pre.BertPreTokenizer()
    theirs.decoder = decoders.WordPiece(prefix, cleanup)
    special = list(dict.fromkeys([*special, unknown]))
    trainer = WordPieceTrainer(
        vocab_size=900, special_tokens=special, continuing_subword_prefix=prefix, show_progress=False
    )
    theirs.train_from_iterator([*load_corpus("pydocs").documents[:12], *HARD], trainer)
    content = json.loads(theirs.to_str())  # the trainer does not tell the model its prefix
    content["model"] |= {"continuing_subword_prefix": prefix}
    return Tokenizer.from_str(json.dumps(content))


def digits(individual):
    return pre.Sequence([pre.Digits(individual), pre.ByteLevel(False)])


KINDS_OF_FILES = {
    "gpt2": lambda: bpe(pre.ByteLevel(add_prefix_space=False)),
    "a space in front": lambda: bpe(pre.ByteLevel(add_prefix_space=True)),
    "smollm, bytes left out": lambda: bpe(digits(True), every_byte=False),
    "digits together, unknown bytes": lambda: bpe(digits(False), every_byte=False, unknown="<unk>"),
    "llama3": lambda: bpe(LLAMA3),
    "llama3, whole pieces": lambda: bpe(LLAMA3, ignore_merges=True),
    "gpt4, matches kept": lambda: bpe(GPT4_STYLE),
    "split at a string": lambda: bpe(pre.Sequence([pre.Split("e", "removed"), pre.ByteLevel(True)])),
    "nfc": lambda: bpe(pre.ByteLevel(False), normalizer=normalizers.NFC()),
    "no accents": lambda: bpe(
        pre.ByteLevel(False),
        normalizer=normalizers.Sequence([normalizers.NFKD(), normalizers.StripAccents(), normalizers.Lowercase()]),
    ),
    "bert uncased": lambda: wordpiece(),
    "bert cased": lambda: wordpiece(lowercase=False),
    "accents kept": lambda: wordpiece(strip_accents=False),
    "not cleaned": lambda: wordpiece(clean_text=False),
    "cjk together": lambda: wordpiece(handle_chinese_chars=False, lowercase=False, strip_accents=True),
    "other marks": lambda: wordpiece("<unk>", "@@", 7, cleanup=False, special=["<unk>", "<s>"]),
}


@pytest.fixture(scope="module", params=KINDS_OF_FILES)
def both(request, tmp_path_factory):
    return read(KINDS_OF_FILES[request.param](), tmp_path_factory.mktemp("json"))


def read(theirs, folder):
    theirs.save(str(folder / "tokenizer.json"))
    return read_tokenizer_json(folder / "tokenizer.json"), theirs


def check_equal(ours, theirs, text):
    expected = theirs.encode(text, add_special_tokens=False)
    ids = ours.encode(text, "all")
    assert ids == expected.ids
    if hasattr(ours, "encode_with_offsets"):
        assert ours.encode_with_offsets(text, "all") == (ids, expected.offsets)
    for skip in (True, False):
        assert ours.decode(ids, skip_special=skip) == theirs.decode(ids, skip_special_tokens=skip)


@given(TEXT)
def test_equals_on_any_text(both, text):
    check_equal(*both, text)


@pytest.mark.slow
@settings(max_examples=2000, deadline=None)
@given(TEXT)
def test_equals_on_2000_texts(both, text):
    check_equal(*both, text)


def test_equals_on_hard_strings(both):
    alike = [text for text in HARD if all(map(of_one_kind, text))]
    assert len(alike) > 200
    for text in alike:
        check_equal(*both, text)


def test_saved_in_our_own_format_it_is_the_same(both, tmp_path):
    ours, theirs = both
    ours.save(tmp_path / "ours.json")
    again = load_tokenizer(tmp_path / "ours.json")
    assert again.fingerprint == ours.fingerprint and again.inputs == ours.inputs
    for text in KINDS["special tokens and what looks like them"]:
        check_equal(again, theirs, text)


FLAGS = ["single_word", "lstrip", "rstrip", "normalized", "special"]
ADDED = ["NEW", "É", "new word", " x", "<a>", "<a><b>", "self", "中文", "1.5"]


@pytest.mark.parametrize("kind", ["gpt2", "no accents", "bert uncased", "bert cased"])
def test_added_tokens_are_found_alike(kind, tmp_path):
    content = KINDS_OF_FILES[kind]().to_str()
    added = st.dictionaries(st.sampled_from(ADDED), st.fixed_dictionaries(dict.fromkeys(FLAGS, st.booleans())))
    around = st.sampled_from([*ADDED, *SPECIAL, "new", "É", "e\u0301", " ", "  ", "\n", "a", "_", ".", "\u200d", "x"])

    @settings(max_examples=100)
    @given(added, st.lists(around, max_size=12).map("".join))
    def check(tokens, text):
        theirs = Tokenizer.from_str(content)
        for token, flags in tokens.items():
            if theirs.token_to_id(token) is None:
                theirs.add_tokens([AddedToken(token, **flags)])
        ours, _ = read(theirs, tmp_path)
        expected = theirs.encode(text, add_special_tokens=False)
        assert ours.encode(text, "all") == expected.ids

    check()
