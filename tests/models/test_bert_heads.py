"""BERT's heads for tasks: what padding may not change, spans that can be answers, where softmax runs, refusals."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minilm.autograd import no_grad
from minilm.errors import ConfigError, DataError, DTypeError, ShapeError
from minilm.models import (
    BertConfig,
    BertForMultipleChoice,
    BertForPreTraining,
    BertForQuestionAnswering,
    BertForSequenceClassification,
    BertForTokenClassification,
    best_spans,
)
from minilm.models.heads import SpanLogits

RNG = np.random.default_rng(5)
IDS = RNG.integers(0, 13, (3, 9))
LENGTHS = np.array([9, 6, 4])
MASK = np.arange(9) < LENGTHS[:, None]
KINDS = [BertForSequenceClassification, BertForTokenClassification, BertForQuestionAnswering]
CONFIG = BertConfig(vocab_size=13, context=16, width=12, layers=1, heads=3)


@pytest.mark.parametrize("kind", KINDS)
def test_changing_pad_ids_changes_no_bit_of_logits_or_loss(lively_bert, kind):
    model = lively_bert(kind, dtype=np.float32)
    others = np.where(MASK, IDS, (IDS + RNG.integers(1, 13, IDS.shape)) % 13)
    labels = {
        BertForSequenceClassification: (np.array([0, 1, 1]),),
        BertForTokenClassification: (np.where(MASK, IDS % 2, -100),),
        BertForQuestionAnswering: (np.array([2, 0, 3]), np.array([8, 0, 3])),
    }[kind]
    with no_grad():
        found = [model(ids, attention_mask=MASK) for ids in (IDS, others)]
        losses = [model.loss(ids, *labels, attention_mask=MASK).item() for ids in (IDS, others)]
    assert losses[0] == losses[1]
    one, two = (f.numpy() if hasattr(f, "numpy") else np.stack([x.numpy() for x in f], -1) for f in found)
    assert (one == two).all() if kind is BertForSequenceClassification else (one[MASK] == two[MASK]).all()


def test_a_span_never_lies_on_padding_and_the_loss_knows(lively_bert):
    model = lively_bert(BertForQuestionAnswering)
    start, end = model(IDS, attention_mask=MASK)
    for x in (start.numpy(), end.numpy()):
        assert (x[~MASK] == -1e9).all() and (abs(x[MASK]) < 100).all()
    model.loss(IDS, np.array([2, 0, 3]), np.array([8, 0, 3]), attention_mask=MASK).backward()
    assert all(np.isfinite(p.grad.numpy()).all() for p in model.parameters())


@pytest.mark.parametrize("causal", [False, True])
def test_the_row_is_read_at_cls_and_from_left_to_right_at_the_last_real_token(lively_bert, causal):
    """Left to right, only the last real token has read all of them; a padded end is never read."""
    model = lively_bert(BertForSequenceClassification, causal=causal)
    whole = model(IDS, attention_mask=MASK).numpy()
    for b, n in enumerate(LENGTHS):
        for t in range(9):
            changed = IDS.copy()
            changed[b, t] = (changed[b, t] + 1) % 13
            moved = abs(model(changed, attention_mask=MASK).numpy() - whole).max(1) > 1e-9
            assert moved.tolist() == [row == b and t < n for row in range(3)]


def test_choices_of_one_row_compete_and_no_others(lively_bert):
    model = lively_bert(BertForMultipleChoice)
    ids = RNG.integers(0, 13, (2, 4, 5))
    logits = model(ids).numpy()
    assert logits.shape == (2, 4)
    labels = np.array([3, 1])
    nll = np.log(np.exp(logits).sum(1)) - logits[np.arange(2), labels]
    assert model.loss(ids, labels).item() == pytest.approx(nll.mean(), rel=1e-12)
    one, two = (model.loss(ids[b : b + 1], labels[b : b + 1]).item() for b in range(2))
    assert model.loss(ids, labels, reduction="sum").item() == pytest.approx(one + two, rel=1e-12)


def test_pretrained_weights_find_their_place_under_every_head():
    state = BertForPreTraining(CONFIG, seed=3).bert.state_dict()
    for kind in [*KINDS, BertForMultipleChoice]:
        model = kind(CONFIG, seed=4)
        names = set(model.bert.state_dict())
        model.bert.load_state_dict({name: array for name, array in state.items() if name in names})
        assert names ^ set(state) <= {"pooler.weight", "pooler.bias"}


def test_heads_begin_small_and_differ_with_the_seed():
    a, b = (BertForTokenClassification(CONFIG, 5, seed=s).classifier for s in (0, 1))
    assert a.weight.shape == (12, 5) and 0 < abs(a.weight.numpy()).max() <= 0.04 and (a.bias.numpy() == 0).all()
    assert (a.weight.numpy() != b.weight.numpy()).any()


def test_dropout_falls_before_the_classifier_in_training_only():
    model = BertForSequenceClassification(BertConfig(13, 16, 12, 1, 3, dropout=0.5), 3)
    assert len({model(IDS).numpy().tobytes() for _ in range(3)}) == 3
    drawn = []
    model.dropout = lambda x: drawn.append(x.shape) or x
    model(IDS)
    assert drawn == [(3, 12)]
    model = BertForSequenceClassification(BertConfig(13, 16, 12, 1, 3, dropout=0.5), 3).eval()
    assert len({model(IDS).numpy().tobytes() for _ in range(3)}) == 1


# ------------------------------------------------------------------------------------------------------------ spans


@given(st.integers(0, 10**6), st.integers(1, 4), st.integers(1, 9), st.integers(1, 9),
       st.one_of(st.none(), st.floats(-3, 3)))  # fmt: skip
def test_best_spans_are_the_best_of_all_that_can_be(seed, B, T, longest, threshold):
    rng = np.random.default_rng(seed)
    start, end, passage = rng.standard_normal((B, T)), rng.standard_normal((B, T)), rng.random((B, T)) < 0.6
    found = best_spans(SpanLogits(start, end), passage, longest, threshold)
    for b in range(B):
        scores = {
            (i, j): start[b, i] + end[b, j]
            for i in range(T)
            for j in range(i, min(T, i + longest))
            if passage[b, i] and passage[b, j]
        }
        null = start[b, 0] + end[b, 0]
        best = max(scores, key=scores.get, default=(0, 0))
        margin = scores.get(best, -np.inf) - null
        if not scores or (threshold is not None and not margin > threshold):
            best = (0, 0)
        assert (found.start[b], found.end[b]) == best
        assert found.margin[b] == pytest.approx(margin, rel=1e-12)
        assert found.end[b] >= found.start[b]


def test_a_span_that_ends_before_it_starts_or_lies_in_the_question_is_no_answer():
    """The largest start is at 4 and the largest end at 2; 1 … 2, the question's, would be the best span of all."""
    start, end = np.array([[0, 5, 0, 1, 9, 2.0]]), np.array([[0, 0, 9, 3, 1, 0.5]])
    passage = np.array([[False, False, False, True, True, True]])
    found = best_spans(SpanLogits(start, end), passage)
    assert (found.start[0], found.end[0], found.margin[0]) == (4, 4, 10.0)
    assert best_spans(SpanLogits(start, end), passage, threshold=9.5).start[0] == 4
    none = best_spans(SpanLogits(start, end), passage, threshold=10.0)
    assert (none.start[0], none.end[0]) == (0, 0)
    with pytest.raises(ShapeError, match="passage: got shape"):
        best_spans(SpanLogits(start, end), passage[:, 1:])


# --------------------------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize("classes", [0, -1, 2.0, True])
def test_numbers_of_classes_that_cannot_be(classes):
    with pytest.raises(ConfigError, match=f"classes is {classes}; it must be a whole number of at least 1"):
        BertForSequenceClassification(CONFIG, classes)


def test_labels_that_cannot_be(lively_bert):
    model = lively_bert(BertForSequenceClassification, options={"classes": 3})
    with pytest.raises(DataError, match="targets"):
        model.loss(IDS, np.array([0, 3, 1]))
    with pytest.raises(DTypeError, match="targets"):
        model.loss(IDS, np.array([0.0, 2.0, 1.0]))
    number = lively_bert(BertForSequenceClassification, options={"classes": 1})
    with pytest.raises(ShapeError, match=r"labels: got shape \(3, 1\), wanted \(3,\)"):
        number.loss(IDS, np.zeros((3, 1)))
    spans = lively_bert(BertForQuestionAnswering)
    with pytest.raises(DataError, match="ends: row 1 ends before it starts"):
        spans.loss(IDS, np.array([1, 5, 2]), np.array([1, 4, 2]))
    with pytest.raises(ShapeError, match=r"ids: got shape \(3, 9\), wanted \(B, C, T\)"):
        lively_bert(BertForMultipleChoice)(IDS)
