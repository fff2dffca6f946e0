"""Texts as a model reads them: special tokens, truncation, padding, segments and spans equal those of `tokenizers`."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, normalizers, processors
from tokenizers import pre_tokenizers as pre

from minilm.errors import ConfigError, DataError
from minilm.text import ByteBPE, CharTokenizer, WordPiece, encode_batch, encode_pair, encode_text
from minilm.text.inputs import InputRules, Layout, Padding, Truncation
from minilm.text.tokenizer_json import read_tokenizer_json

TOKENS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "b", "##b", "c", "."]
SPECIAL = [("[CLS]", 2), ("[SEP]", 3), ("[MASK]", 4)]
PROCESSORS = {
    "none": None,
    "bert": processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2)),
    "roberta": processors.RobertaProcessing(("[SEP]", 3), ("[CLS]", 2)),
    "template": processors.TemplateProcessing("$A [SEP]", "[CLS]:2 $B:1 [MASK] $A:3 [SEP]:1", SPECIAL),
    "sequence": processors.Sequence(
        [processors.ByteLevel(), processors.TemplateProcessing("[CLS] $A", "[CLS] $A $B:1", SPECIAL)]
    ),
}
TEXT = st.lists(st.sampled_from(["a", "ab", "abb", "c.", "x", "[MASK]", " "]), min_size=1, max_size=12).map(" ".join)
SIDES, STRATEGIES = ["left", "right"], ["longest_first", "only_first", "only_second"]


@pytest.fixture(params=PROCESSORS)
def file(request, tmp_path):
    theirs = Tokenizer(models.WordPiece({token: i for i, token in enumerate(TOKENS)}, unk_token="[UNK]"))
    theirs.normalizer, theirs.pre_tokenizer = normalizers.BertNormalizer(), pre.BertPreTokenizer()
    theirs.decoder = decoders.WordPiece()
    theirs.add_special_tokens(TOKENS[:5])
    if PROCESSORS[request.param] is not None:
        theirs.post_processor = PROCESSORS[request.param]
    return theirs, tmp_path / "tokenizer.json"


def read(theirs, path):
    theirs.save(str(path))
    return read_tokenizer_json(path)


def check_equal(batch, expected):
    assert batch["ids"].tolist() == [e.ids for e in expected]
    assert batch["segments"].tolist() == [e.type_ids for e in expected]
    assert batch["attention_mask"].tolist() == [[bool(m) for m in e.attention_mask] for e in expected]
    assert batch["spans"].tolist() == [[list(span) for span in e.offsets] for e in expected]


PADDINGS = st.fixed_dictionaries(
    {"direction": st.sampled_from(SIDES), "pad_type_id": st.integers(0, 2)},
    optional={"length": st.integers(1, 30), "pad_to_multiple_of": st.integers(1, 8)},
)


def test_batches_are_theirs(file):
    theirs, path = file

    @given(st.data())
    def check(data):
        pairs = data.draw(st.booleans())
        rows = data.draw(st.lists(st.tuples(TEXT, TEXT), min_size=1, max_size=3))
        strategy = data.draw(st.sampled_from(STRATEGIES if pairs else STRATEGIES[:1]))
        length, side = data.draw(st.integers(8, 30)), data.draw(st.sampled_from(SIDES))
        theirs.enable_truncation(length, strategy=strategy, direction=side)
        theirs.enable_padding(**data.draw(PADDINGS))
        ours = read(theirs, path)
        given = [list(column) for column in zip(*rows, strict=True)] if pairs else [[a for a, _ in rows]]
        special = data.draw(st.booleans())
        try:
            expected = theirs.encode_batch(rows if pairs else given[0], add_special_tokens=special)
        except Exception as error:
            assert "too short" in str(error)
            with pytest.raises(DataError, match=f"truncation {strategy} cannot take"):
                encode_batch(ours, *given, special_tokens=special, allowed_special="all")
            return
        batch = encode_batch(ours, *given, special_tokens=special, allowed_special="all")
        if len({len(e.ids) for e in expected}) == 1:  # with a length of padding theirs may be ragged
            check_equal(batch, expected)
        theirs.no_truncation()
        theirs.no_padding()
        whole = [len(theirs.encode(*(row if pairs else row[:1]), add_special_tokens=special).ids) for row in rows]
        kept = [len(e.ids) - e.attention_mask.count(0) for e in expected]
        assert batch["truncated"].tolist() == [w - k for w, k in zip(whole, kept, strict=True)]

    check()


def wordpiece(inputs=None):
    return WordPiece(TOKENS, TOKENS[:5], inputs=inputs)


def test_without_a_file_a_wordpiece_makes_berts_inputs():
    tokenizer = wordpiece()
    found = encode_text(tokenizer, "a ab", "c")
    expected = encode_pair(tokenizer, tokenizer.encode("a ab"), tokenizer.encode("c"))
    for ours, theirs in zip(found[:3], expected[:3], strict=True):
        assert (ours == theirs).all() and ours.dtype == theirs.dtype
    assert found.spans.tolist() == [[0, 0], [0, 1], [2, 3], [3, 4], [0, 0], [0, 1], [0, 0]]
    batch = encode_batch(tokenizer, ["a", "a b c"], truncation=4)
    assert batch["ids"].tolist() == [[2, 5, 3, 0], [2, 5, 6, 3]] and batch["truncated"].tolist() == [0, 1]


def test_special_tokens_in_a_text_are_plain_unless_allowed():
    assert 4 not in encode_text(wordpiece(), "a [MASK]").ids
    assert encode_text(wordpiece(), "a [MASK]", allowed_special="all").ids.tolist() == [2, 5, 4, 3]


def test_other_tokenizers_have_their_texts_alone():
    bytes_alone = ByteBPE.train("", 257, ["<|pad|>"])
    found = encode_text(bytes_alone, "hi", "x", 2)
    assert (found.ids.tolist(), found.segments.tolist(), found.truncated, found.spans) == ([104, 120], [0, 1], 1, None)
    assert encode_batch(CharTokenizer.train("ab"), ["ab", "ba"])["ids"].tolist() == [[0, 1], [1, 0]]
    with pytest.raises(DataError, match="not equally long, and the tokenizer has no padding token"):
        encode_batch(bytes_alone, ["a", "ab"])
    bytes_alone.inputs = InputRules(roles={"pad": "<|pad|>"})
    assert encode_batch(bytes_alone, ["a", "ab"])["ids"].tolist() == [[97, 256], [97, 98]]


@given(st.integers(0, 40), st.integers(0, 40), st.integers(2, 50), st.sampled_from(STRATEGIES))
def test_what_is_kept(a, b, room, strategy):
    try:
        kept = Truncation(room + 3, strategy).kept([a, b], 3)
    except DataError:
        which = STRATEGIES.index(strategy) - 1
        assert which >= 0 and [a, b][1 - which] >= room
        return
    assert sum(kept) == min(room, a + b) and all(k <= n for k, n in zip(kept, (a, b), strict=True))
    if strategy == "longest_first" and sum(kept) < a + b:
        assert abs(kept[0] - kept[1]) <= 1 or kept[np.argmin([a, b])] == min(a, b)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: Truncation(9, "longest"), ConfigError, r"strategy is 'longest'; choose one of longest_first"),
        (lambda: Truncation(9, side="up"), ConfigError, r"side is 'up'; choose one of right, left"),
        (lambda: Padding(0, side="up"), ConfigError, r"side is 'up'"),
        (lambda: encode_text(wordpiece(), "a", truncation=2), ConfigError, r"max_length is 2; .* at least 3"),
        (lambda: encode_batch(wordpiece(), "a"), DataError, r"texts must be a list of one text or more"),
        (lambda: encode_batch(wordpiece(), []), DataError, r"texts must be a list"),
        (lambda: encode_batch(wordpiece(), ["a"], ["b", "c"]), DataError, r"1 texts and 2 second texts"),
        (
            lambda: encode_text(wordpiece(), "a a", "b b b b", Truncation(6, "only_first")),
            DataError,
            r"truncation only_first cannot take 3 tokens from a text of 2; choose longest_first",
        ),
    ],
)
def test_inputs_that_cannot_be(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_rules_come_back_from_their_description():
    rules = InputRules(
        Layout((((1, 2), 0), ("a", 1))), Truncation(9, "only_first"), Padding(3, side="left"), {"eos": "x"}
    )
    assert InputRules.from_description(rules.description()) == rules
