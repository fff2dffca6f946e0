"""BERT's published parameter counts, to the last one: by formula, and of the models themselves without their memory."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minilm.errors import ConfigError
from minilm.models import (
    BERT_SIZES,
    Bert,
    BertConfig,
    BertForMultipleChoice,
    BertForPreTraining,
    BertForQuestionAnswering,
    BertForSequenceClassification,
    BertForTokenClassification,
    bert_config,
    bert_parameters_by_part,
    count_bert_parameters,
)

KINDS = {
    "encoder": (lambda c: Bert(c, pooler=False), [], 1),
    "with pooler": (Bert, ["pooler"], 1),
    "masked LM": (lambda c: BertForPreTraining(c, next_sentence=False), ["masked_lm"], 1),
    "pretraining": (BertForPreTraining, ["pooler", "masked_lm", "next_sentence"], 1),
    "sequences": (BertForSequenceClassification, ["pooler", "classifier"], 2),
    "tokens": (BertForTokenClassification, ["classifier"], 2),
    "questions": (BertForQuestionAnswering, ["classifier"], 2),
    "choices": (BertForMultipleChoice, ["pooler", "classifier"], 1),
}
PUBLISHED = {
    ("bert-base-uncased", "encoder"): 108_891_648,
    ("bert-base-uncased", "with pooler"): 109_482_240,
    ("bert-base-uncased", "masked LM"): 109_514_298,
    ("bert-base-uncased", "pretraining"): 110_106_428,
    ("bert-base-uncased", "sequences"): 109_483_778,
    ("bert-base-uncased", "tokens"): 108_893_186,
    ("bert-base-uncased", "questions"): 108_893_186,
    ("bert-base-uncased", "choices"): 109_483_009,
    ("bert-base-cased", "with pooler"): 108_310_272,
    ("bert-base-cased", "pretraining"): 108_932_934,
    ("bert-large-uncased", "encoder"): 334_092_288,
    ("bert-large-uncased", "with pooler"): 335_141_888,
    ("bert-large-uncased", "masked LM"): 335_174_458,
    ("bert-large-uncased", "pretraining"): 336_226_108,
    ("bert-large-cased", "with pooler"): 333_579_264,
    ("bert-large-cased", "pretraining"): 334_661_958,
}


@pytest.fixture
def weightless(monkeypatch):
    """Weights that are one zero seen from everywhere: a model of any size takes no memory and no time."""

    def one_zero(*shape):
        return np.broadcast_to(np.float32(0), shape)

    monkeypatch.setattr("minilm.nn.layers.normal", lambda rng, shape, std=0.0: one_zero(*shape))
    for where in ("minilm.nn.layers.zeros", "minilm.nn.layers.ones", "minilm.models.bert.zeros"):
        monkeypatch.setattr(where, one_zero)


@pytest.mark.parametrize(("name", "kind"), PUBLISHED)
def test_published_counts(weightless, name, kind):
    make, parts, classes = KINDS[kind]
    config = bert_config(name)
    assert count_bert_parameters(config, *parts, classes=classes) == PUBLISHED[name, kind]
    assert make(config).num_parameters() == PUBLISHED[name, kind]


@given(
    st.sampled_from(list(KINDS)), st.integers(1, 40), st.integers(1, 20), st.integers(1, 3), st.integers(1, 3),
    st.integers(1, 4), st.one_of(st.none(), st.integers(1, 9)), st.integers(1, 3),
)  # fmt: skip
def test_formula_equals_the_modules(kind, vocab_size, context, layers, heads, head_width, mlp_width, segments):
    config = BertConfig(vocab_size, context, heads * head_width, layers, heads, mlp_width, segments=segments)
    make, parts, classes = KINDS[kind]
    model, wanted = make(config), count_bert_parameters(config, *parts, classes=classes)
    assert model.num_parameters() == wanted
    assert sum({id(p.data): p.size for p in model.parameters()}.values()) == wanted  # each array once: what is tied, is


def test_a_block_is_gpts():
    """12D² + 13D each."""
    parts = bert_parameters_by_part(bert_config("bert-base-uncased"))
    assert parts["blocks"] == 12 * (12 * 768**2 + 13 * 768)
    assert parts["next_sentence"] == 2 * 769 and parts["segment_embedding"] == 2 * 768


def test_names_and_changes():
    assert set(BERT_SIZES) == {*(name for name, _ in PUBLISHED), "tiny"}
    tiny = bert_config("tiny", vocab_size=65, dropout=0.5)
    assert (tiny.width, tiny.layers, tiny.heads, tiny.context, tiny.dropout) == (32, 2, 2, 32, 0.5)
    with pytest.raises(ConfigError, match="there is no model size 'huge'; there are bert-base-uncased, "):
        bert_config("huge")
    with pytest.raises(ConfigError, match="a BERT has no part head, tail; it has token_embedding"):
        count_bert_parameters(tiny, "head", "pooler", "tail")
