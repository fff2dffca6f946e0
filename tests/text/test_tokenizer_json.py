"""tokenizer.json, read by our own code: files that the `tokenizers` library wrote, on which ours equals theirs.

Random characters are those whose kind is the same in Unicode 3.2 and now; the two follow different versions since.
"""

import json
import unicodedata
from functools import cache
from itertools import product

import pytest
from hard_strings import HARD, KINDS
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers
from tokenizers import pre_tokenizers as pre
from tokenizers.trainers import BpeTrainer, WordPieceTrainer

from minilm.errors import DataError
from minilm.text import load_corpus, load_tokenizer
from minilm.text.splitting import SPLITTINGS
from minilm.text.tokenizer_json import read_tokenizer_json

UNICODE_3 = unicodedata.ucd_3_2_0
SPECIAL = ["<unk>", "<s>", "</s>", "<|im_start|>"]
BERT_SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
LLAMA3_REGEX = (  # as LLaMA-3's own file has it
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
GPT4_STYLE = pre.Sequence([pre.Split(Regex(LLAMA3_REGEX), "removed", True), pre.ByteLevel(False, use_regex=False)])
LLAMA3 = pre.Sequence([pre.Split(Regex(LLAMA3_REGEX), "isolated"), pre.ByteLevel(False, use_regex=False)])


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


def without_merges(theirs):
    """A third of the merges taken out, so that tokens are left that only a whole piece can be."""
    content = json.loads(theirs.to_str())
    del content["model"]["merges"][::3]
    return Tokenizer.from_str(json.dumps(content))


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
    "llama3, whole pieces": lambda: without_merges(bpe(LLAMA3, ignore_merges=True)),
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


@cache
def written(kind):
    """The content of such a file."""
    return KINDS_OF_FILES[kind]().to_str()


@pytest.fixture(scope="module", params=KINDS_OF_FILES)
def both(request, tmp_path_factory):
    return read(Tokenizer.from_str(written(request.param)), tmp_path_factory.mktemp("json"))


def read(theirs, folder):
    theirs.save(str(folder / "tokenizer.json"))
    return read_tokenizer_json(folder / "tokenizer.json"), theirs


def check_equal(ours, theirs, text, decoded=True):
    expected = theirs.encode(text, add_special_tokens=False)
    ids = ours.encode(text, "all")
    assert ids == expected.ids
    if hasattr(ours, "encode_with_offsets"):
        assert ours.encode_with_offsets(text, "all") == (ids, expected.offsets)
    for skip in (True, False) if decoded else ():
        assert ours.decode(ids, skip_special=skip) == theirs.decode(ids, skip_special_tokens=skip)


@given(TEXT)
def test_equals_on_any_text(both, text):
    check_equal(*both, text)


@pytest.mark.parametrize(
    ("name", "theirs"),
    [("gpt2", pre.ByteLevel(False)), ("smollm", digits(True)), ("llama3", pre.Split(Regex(LLAMA3_REGEX), "isolated"))],
)
def test_the_named_splittings_cut_as_theirs(name, theirs):
    for text in filter(lambda text: all(map(of_one_kind, text)), HARD):
        pieces = [text[start:end] for _, (start, end) in theirs.pre_tokenize_str(text)]
        assert SPLITTINGS[name].pieces(text) == pieces


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
ADDED = ["NEW", "É", "new word", "x y", "<a>", "<a><b>", "self", "中文", "1.5"]


WITH_ADDED = pytest.mark.parametrize("kind", ["gpt2", "no accents", "bert uncased", "bert cased"])
PLACES = "NEW aNEW NEWa  NEW  b\n\tNEW\xa0NEWNEW. NEW_ e\u0301NEW NEW\u0301 new New\u3000 \x1cNEW\x1c"


def check_added(kind, tokens, text, folder):
    theirs = Tokenizer.from_str(written(kind))
    theirs.add_tokens([AddedToken(token, **flags) for token, flags in tokens.items() if not theirs.token_to_id(token)])
    as_written = not any(flags.get("normalized") for flags in tokens.values())  # theirs forgets the others' capitals
    check_equal(*read(theirs, folder), text, decoded=as_written)


@WITH_ADDED
def test_every_flag_of_an_added_token(kind, tmp_path):
    for flags in product([False, True], repeat=5):
        check_added(kind, {"NEW": dict(zip(FLAGS, flags, strict=True))}, PLACES, tmp_path)
    check_added(kind, {"<a>": {}, "<a><b>": {}, "<a": {"single_word": True}}, "<a><b><a> <a x<a", tmp_path)


@pytest.mark.slow
@WITH_ADDED
def test_added_tokens_beside_each_other(kind, tmp_path):
    flags = st.fixed_dictionaries(dict.fromkeys(FLAGS, st.booleans()))
    around = st.sampled_from([*ADDED, *SPECIAL, "new", "É", "e\u0301", " ", "  ", "\n", "a", "_", ".", "\u200d", "x"])

    @given(st.dictionaries(st.sampled_from(ADDED), flags), st.lists(around, max_size=12).map("".join))
    def check(tokens, text):
        check_added(kind, tokens, text, tmp_path)

    check()


# ---------------------------------------------------------------------------------------------------------- refusals


def changed(folder, kind, change):
    content = json.loads(written(kind))
    change(content)
    (folder / "tokenizer.json").write_text(json.dumps(content))
    return folder / "tokenizer.json"


def put(*path):
    """A change of a file: the value at the end of a path of keys is the path's last item."""

    def change(content):
        for key in path[:-2]:
            content = content[key]
        content[path[-2]] = path[-1]

    return change


TEMPLATE = {"type": "TemplateProcessing", "special_tokens": {}, "single": [], "pair": []}
REFUSED = [
    (
        "gpt2",
        put("model", "type", "Unigram"),
        r'is of type "Unigram", which is not supported; BPE, WordPiece are',
    ),
    ("gpt2", put("model", "byte_fallback", True), r"model has byte_fallback = true, .* only false is"),
    ("gpt2", put("model", "byte_fallback", 0), r"model has byte_fallback = 0"),
    ("gpt2", put("model", "dropout", 0.1), r"model has dropout = 0\.1"),
    ("gpt2", put("model", "end_of_word_suffix", "</w>"), r'model has end_of_word_suffix = "</w>"'),
    ("gpt2", put("model", "new_switch", True), r"model has new_switch, which is not supported"),
    ("gpt2", put("new_part", {}), r"tokenizer\.json has new_part, which is not supported"),
    ("gpt2", put("version", "2.0"), r'has version = "2\.0"'),
    ("gpt2", put("model", "merges", 0, ["Ġ", "zz"]), r"merge 0, \['Ġ', 'zz'\], must be two tokens"),
    ("gpt2", lambda c: c["model"]["merges"].append(c["model"]["merges"][0]), r"merge 440, .* stands there twice"),
    ("gpt2", put("model", "vocab", "<s>", 5000), r"gives '<s>' the id 5000, but added_tokens gives it 1"),
    ("gpt2", lambda c: c["model"]["vocab"].pop("Ġthe"), r"the ids of .* must be 0 … 698, each once"),
    ("gpt2", lambda c: c["model"]["vocab"].update({"中": 700}), r"the token '中' has '中', which stands for no byte"),
    ("gpt2", put("decoder", None), r"decoder must be a JSON object, not null"),
    ("gpt2", put("decoder", "type", "Metaspace"), r'decoder is of type "Metaspace"'),
    ("gpt2", put("pre_tokenizer", {"type": "Whitespace"}), r'pre_tokenizer is of type "Whitespace"'),
    ("gpt2", put("pre_tokenizer", {"type": "Digits"}), r"pre_tokenizer must end in ByteLevel"),
    ("gpt2", put("normalizer", {"type": "Replace"}), r'normalizer is of type "Replace", .*; NFC, NFD'),
    ("gpt2", put("post_processor", TEMPLATE), r"post_processor, single must have each text once"),
    ("gpt2", put("truncation", {"stride": 2}), r"truncation has stride = 2"),
    ("llama3", put("pre_tokenizer", "pretokenizers", 0, "behavior", "MergedWithNext"), r'behavior = "MergedWithNext"'),
    (
        "llama3",
        put("pre_tokenizer", "pretokenizers", 0, "pattern", "Regex", "("),
        r"\( is no regular expression",
    ),
    ("bert uncased", put("pre_tokenizer", {"type": "Punctuation"}), r'"Punctuation", which is not supported; BertPre'),
    ("bert uncased", put("normalizer", {"type": "NFC"}), r'normalizer is of type "NFC", .* BertNormalizer'),
    ("bert uncased", put("normalizer", "new", 1), r"normalizer has new, which is not supported"),
    ("bert uncased", put("decoder", "prefix", "@@"), r'decoder has prefix = "@@", .* only "##" is'),
    ("bert uncased", put("model", "unk_token", "<none>"), r"names the token <none>, which the vocabulary lacks"),
    ("bert uncased", put("model", "vocab", ["a"]), r"vocab must map each token to its id"),
    ("bert uncased", put("added_tokens", [{"id": 0}]), r"added_tokens lacks content"),
]


@pytest.mark.parametrize(("kind", "change", "message"), REFUSED)
def test_what_cannot_be_honoured_is_named(tmp_path, kind, change, message):
    path = changed(tmp_path, kind, change)
    with pytest.raises(DataError, match=message) as error:
        read_tokenizer_json(path)
    assert "\n" not in str(error.value)


def test_a_token_that_is_both_added_and_made_by_a_merge(tmp_path):
    def add(content):
        content["added_tokens"].append({"id": content["model"]["vocab"]["se"], "content": "se"})

    path = changed(tmp_path, "gpt2", add)
    with pytest.raises(DataError, match="makes 'se' by a merge, but it is an added token too"):
        read_tokenizer_json(path)


def test_merges_of_old_files_are_strings_and_models_say_no_type(tmp_path):
    def old(content):
        content["model"]["merges"] = [" ".join(merge) for merge in content["model"]["merges"]]
        del content["model"]["type"]

    path = changed(tmp_path, "gpt2", old)
    check_equal(read_tokenizer_json(path), Tokenizer.from_file(str(path)), "the self of 123\n")


def test_a_damaged_file(tmp_path):
    path = changed(tmp_path, "gpt2", put("model", "merges", 3))
    with pytest.raises(DataError, match=r"tokenizer\.json is a damaged tokenizer file"):
        read_tokenizer_json(path)
