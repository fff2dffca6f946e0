"""load_pretrained_tokenizer: each of the three layouts of a folder, and a sentence for what is none of them."""

import json

import pytest
from hard_strings import HARD
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer
from tokenizers.implementations import ByteLevelBPETokenizer

from minilm.errors import DataError
from minilm.text import ByteBPE, WordPiece, encode_batch, load_corpus, load_pretrained_tokenizer

END = "<|endoftext|>"
VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "hello", "Hello", "año", "ano", "中", "中文", ",", "##s"]


def write(folder, **files):
    for name, content in files.items():
        text = content if isinstance(content, str) else json.dumps(content)
        (folder / name.replace("__", ".")).write_text(text, encoding="utf-8")
    return folder


def vocabulary(folder, tokens=VOCABULARY, **files):
    return write(folder, vocab__txt="".join(f"{token}\n" for token in tokens), **files)


@pytest.fixture
def gpt2(tmp_path):
    ByteBPE.train(load_corpus("pydocs").documents[:4], 400, [END]).save_files(tmp_path)
    return tmp_path


def test_vocab_json_and_merges(gpt2):
    write(gpt2, special_tokens_map__json={"eos_token": END, "pad_token": {"content": END, "lstrip": False}})
    tokenizer = load_pretrained_tokenizer(gpt2)
    theirs = ByteLevelBPETokenizer.from_file(str(gpt2 / "vocab.json"), str(gpt2 / "merges.txt"))
    for text in HARD:
        assert tokenizer.encode(text) == theirs.encode(text).ids
    assert tokenizer.inputs.roles == {"eos": END, "pad": END}
    assert encode_batch(tokenizer, ["a", "\n\n1"])["attention_mask"].sum(1).tolist() == [1, 3]


def test_gpt2s_switches(gpt2):
    write(gpt2, tokenizer_config__json={"add_prefix_space": True, "add_bos_token": True, "bos_token": END})
    tokenizer = load_pretrained_tokenizer(gpt2)
    theirs = ByteLevelBPETokenizer.from_file(str(gpt2 / "vocab.json"), str(gpt2 / "merges.txt"), add_prefix_space=True)
    for text in HARD:
        assert tokenizer.encode(text) == theirs.encode(text).ids
    assert encode_batch(tokenizer, ["the"])["ids"][0].tolist() == [399, *theirs.encode("the").ids]


def test_vocab_txt(tmp_path):
    tokenizer = load_pretrained_tokenizer(vocabulary(tmp_path))
    assert tokenizer.tokenize("Hello, AÑO 中文s") == ["hello", ",", "ano", "中", "[UNK]", "[UNK]"]
    assert encode_batch(tokenizer, ["hello"], ["año"])["ids"].tolist() == [[2, 5, 3, 8, 3]]
    assert tokenizer.inputs.roles["pad"] == "[PAD]"


def test_berts_switches(tmp_path):
    settings = {"do_lower_case": False, "tokenize_chinese_chars": False, "padding_side": "left"}
    tokenizer = load_pretrained_tokenizer(vocabulary(tmp_path, tokenizer_config__json=settings))
    assert tokenizer.tokenize("Hello año 中文s") == ["Hello", "año", "中文", "##s"]
    assert encode_batch(tokenizer, ["Hello", "Hello,"])["ids"].tolist() == [[0, 2, 6, 3], [2, 6, 11, 3]]
    write(tmp_path, tokenizer_config__json={"strip_accents": False})
    assert load_pretrained_tokenizer(tmp_path).tokenize("AÑO") == ["año"]


def test_special_tokens_of_other_names(tmp_path):
    roles = {"unk_token": "<u>", "cls_token": "<c>", "sep_token": "<s>", "pad_token": "<p>"}
    vocabulary(tmp_path, ["<p>", "<u>", "<c>", "<s>", "a"], special_tokens_map__json=roles)
    tokenizer = load_pretrained_tokenizer(tmp_path)
    assert encode_batch(tokenizer, ["a x", "a"])["ids"].tolist() == [[2, 4, 1, 3], [2, 4, 3, 0]]


def test_tokenizer_json_comes_first(tmp_path, gpt2):
    theirs = ByteLevelBPETokenizer.from_file(str(gpt2 / "vocab.json"), str(gpt2 / "merges.txt"), add_prefix_space=True)
    theirs.add_special_tokens([END])
    theirs.save(str(tmp_path / "tokenizer.json"))
    write(tmp_path, tokenizer_config__json={"eos_token": END, "truncation_side": "left"})
    tokenizer = load_pretrained_tokenizer(tmp_path)
    assert tokenizer.encode(f"hi{END}", "all") == theirs.encode(f"hi{END}").ids
    assert tokenizer.inputs.roles == {"eos": END}


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, r"has no tokenizer that can be read: neither tokenizer\.json, nor vocab\.json with merges\.txt, nor"),
        ({"vocab__json": {}}, r"has no tokenizer that can be read"),
        ({"vocab__json": {"a</w>": 0}, "merges__txt": ""}, r"has GPT-1's BPE, whose words end in </w>"),
        ({"tokenizer__json": "[]"}, r"tokenizer\.json must be a JSON object, not \[\]"),
        ({"vocab__txt": "[UNK]\na\n"}, r"the special tokens cls, sep are not in the vocabulary"),
        (
            {"vocab__txt": "[UNK]\n[CLS]\n[SEP]\n", "tokenizer_config__json": {"tokenizer_class": "T5Tokenizer"}},
            r"has no tokenizer\.json but a tokenizer of class T5Tokenizer, .*BertTokenizer",
        ),
        (
            {"vocab__txt": "[UNK]\n[CLS]\n[SEP]\n", "tokenizer_config__json": {"never_split": ["a"]}},
            r'has never_split = \["a"\], which is not supported',
        ),
        (
            {"vocab__txt": "[UNK]\n[CLS]\n[SEP]\n", "tokenizer_config__json": {"eos_token": "</s>"}},
            r"names '</s>' as its eos_token, which is no special token of its vocabulary",
        ),
    ],
)
def test_folders_that_have_none(tmp_path, files, message):
    write(tmp_path, **files)
    with pytest.raises(DataError, match=message) as error:
        load_pretrained_tokenizer(tmp_path)
    assert "\n" not in str(error.value)


@pytest.fixture(scope="module")
def minilm(bert_files):
    """all-MiniLM-L6-v2's own tokenizer.json, and the library's reading of it."""
    theirs = Tokenizer.from_file(str(bert_files[1]))
    theirs.no_padding()
    return load_pretrained_tokenizer(bert_files[1].parent), theirs


def check_equal(both, text):
    ours, theirs = both
    expected = theirs.encode(text)
    found = encode_batch(ours, [text], allowed_special="all")
    used = found["attention_mask"][0]
    assert found["ids"][0][used].tolist() == expected.ids and len(used) == 128
    assert list(map(tuple, found["spans"][0][used].tolist())) == expected.offsets
    assert ours.decode(expected.ids, skip_special=True) == theirs.decode(expected.ids)


@pytest.mark.network
def test_minilms_tokenizer_on_hard_strings(minilm):
    assert isinstance(minilm[0], WordPiece) and minilm[0].vocab_size == 30522
    for text in HARD:
        check_equal(minilm, text)


@pytest.mark.network
@settings(max_examples=2000, deadline=None)
@given(st.text(st.characters(max_codepoint=0x24F)) | st.lists(st.sampled_from(HARD), max_size=4).map("".join))
def test_minilms_tokenizer_on_2000_texts(minilm, text):
    check_equal(minilm, text)


@pytest.mark.network
def test_minilms_tokenizer_on_real_text_is_cut_at_128(minilm):
    for document in load_corpus("pydocs").documents[:40]:
        check_equal(minilm, document)
