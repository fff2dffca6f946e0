"""Masks filled: the model's own distribution at each, whatever stands around; a sentence for what cannot be."""

import numpy as np
import pytest

from minilm.autograd import no_grad
from minilm.errors import ConfigError, DataError
from minilm.filling import encode_masked, fill
from minilm.models import BertConfig, BertForPreTraining
from minilm.text import ByteBPE, WordPiece, WordTokenizer
from minilm.text.special import BERT_TOKENS

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
WORDS = WordTokenizer([*SPECIAL, *"the cat sat on a mat .".split()], SPECIAL)
TEXT = "the cats were sitting on the mats and the cats were seated"
PIECES = WordPiece([*SPECIAL, "the", "cat", "##s", "sat", ".", "on", "mat"], SPECIAL)
BYTES = ByteBPE.train(TEXT, 266, BERT_TOKENS)


def bert(tokenizer, causal=False, context=16):
    config = BertConfig(
        tokenizer.vocab_size, context, width=16, layers=2, heads=2, dropout=0.3, initial_std=0.5, causal=causal
    )
    return BertForPreTraining(config, seed=1)


def probabilities(model, ids, segments, position):
    with no_grad(), model.evaluating():
        logits = model(np.array([ids]), np.array([segments])).mlm.numpy()[0, position].astype(float)
    return np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum()


def test_each_mask_is_filled_by_itself():
    model, of = bert(WORDS), WORDS.encode
    found = fill(model, WORDS, "the [MASK] sat on [MASK] mat .", k=4)
    ids = [2, *of("the [MASK] sat on [MASK] mat ."), 3]
    assert [mask.position for mask in found] == [2, 5] and model.training
    for mask in found:
        expected = probabilities(model, ids, [0] * 9, mask.position)
        np.testing.assert_allclose(mask.distribution, expected, rtol=1e-4)
        order = np.argsort(-expected)[:4]
        assert [word for word, _ in mask.best] == [WORDS.words[i] for i in order]
        np.testing.assert_allclose([p for _, p in mask.best], expected[order], rtol=1e-4)


def test_a_second_text_stands_beside_the_first():
    model = bert(WORDS)
    (mask,) = fill(model, WORDS, "the cat sat", "on [MASK] mat")
    ids, segments = [2, *WORDS.encode("the cat sat"), 3, *WORDS.encode("on [MASK] mat"), 3], [0] * 5 + [1] * 4
    np.testing.assert_allclose(mask.distribution, probabilities(model, ids, segments, 6), rtol=1e-4)


def test_a_mask_may_touch_what_stands_beside_it():
    assert encode_masked(PIECES, "The [MASK]s sat.") == [*PIECES.encode("the"), 4, *PIECES.encode("s sat.")]
    assert encode_masked(PIECES, "[MASK]") == [4]
    assert encode_masked(WORDS, "the[MASK]sat") == WORDS.encode("the [MASK] sat")
    mask = BYTES.special_tokens["[MASK]"]
    ids = encode_masked(BYTES, "the [MASK] sat")
    assert ids.count(mask) == 1 and BYTES.decode(ids) == "the [MASK] sat"


def test_words_are_shown_as_they_are_written():
    found = fill(bert(PIECES), PIECES, "the [MASK] sat", k=PIECES.vocab_size)[0].best
    assert "##s" in dict(found) and abs(sum(p for _, p in found) - 1) <= 1e-6
    assert all(a[1] >= b[1] for a, b in zip(found, found[1:], strict=False))


def test_what_is_unknown_or_does_not_fit_is_said():
    said = []
    fill(bert(WORDS), WORDS, "[MASK] cow sat", on_notice=said.append)
    fill(bert(WORDS), WORDS, "[MASK]" + " the" * 20, on_notice=said.append)
    assert said == [
        "1 word is not known to the model",
        "the text is longer than the 16 tokens that the model reads: 7 were cut off",
    ]


def test_what_cannot_be_filled():
    with pytest.raises(DataError, match=r"the text has no \[MASK\]: write \[MASK\] where"):
        fill(bert(WORDS), WORDS, "the cat")
    with pytest.raises(DataError, match=r"a \[MASK\] is in what was cut off"):
        fill(bert(WORDS), WORDS, "the " * 20 + "[MASK]")
    with pytest.raises(ConfigError, match="trained from left to right"):
        fill(bert(WORDS, causal=True), WORDS, "the [MASK]")
    with pytest.raises(DataError, match=r"no \[MASK\]"):
        plain = WordTokenizer(["the", "[UNK]"])
        fill(bert(WORDS), plain, "the [MASK]")
