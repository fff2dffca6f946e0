"""GPT's heads: where they read, what they add up, and what padding and the other rows of a batch must not change."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minilm as ml
from minilm import functional as F
from minilm.errors import DataError, ShapeError
from minilm.models import GPTConfig
from minilm.models.gpt_heads import (
    GPTForMultipleChoice,
    GPTForQuestionAnswering,
    GPTForSequenceClassification,
    GPTForTokenClassification,
)

CONFIG = GPTConfig(20, context=12, width=16, layers=2, heads=2)
seeds = st.integers(0, 10**6)


def loud(model: Any, seed: int = 0) -> Any:
    """The model in float64 with weights that matter, in evaluation mode."""
    rng = np.random.default_rng(seed)
    model.astype(np.float64)
    for p in model.parameters():
        p.assign(p.numpy() + 0.3 * rng.standard_normal(p.shape))
    return model.eval()


def rows(seed: int, lengths: list[int], T: int) -> tuple[np.ndarray, np.ndarray]:
    """Random ids (B, T), padded at the end with random ids too, and their mask."""
    ids = np.random.default_rng(seed).integers(0, 20, (len(lengths), T))
    return ids, np.arange(T) < np.array(lengths)[:, None]


CLASSIFIER = loud(GPTForSequenceClassification(CONFIG, 3))
REGRESSION = loud(GPTForSequenceClassification(CONFIG, 1))
CHOICE = loud(GPTForMultipleChoice(CONFIG))
TAGGER = loud(GPTForTokenClassification(CONFIG, 4))
SPANS = loud(GPTForQuestionAnswering(CONFIG))


def apart(a: Any, b: Any) -> float:
    return float(np.abs(np.asarray(a) - np.asarray(b)).max())


class TestExtract:
    @given(seeds, st.lists(st.integers(1, 9), min_size=1, max_size=4), st.integers(0, 3))
    def test_position_is_the_last_real_one(self, seed: int, lengths: list[int], more: int) -> None:
        """Mutant 54: the extract position taken at the padded end."""
        T = max(lengths) + more
        ids, mask = rows(seed, lengths, T)
        found = CLASSIFIER(ids, mask).numpy()
        for b, n in enumerate(lengths):
            alone = CLASSIFIER(ids[b : b + 1, :n]).numpy()[0]
            assert not (apart(found[b], alone) > 1e-9)
            hidden = CLASSIFIER.gpt.hidden(ids[b : b + 1, :n]).numpy()[0, n - 1]
            weight, bias = CLASSIFIER.classifier.weight.numpy(), CLASSIFIER.classifier.bias.numpy()
            assert not (apart(found[b], hidden @ weight + bias) > 1e-9)

    @given(seeds)
    def test_what_padding_holds_changes_no_bit(self, seed: int) -> None:
        ids, mask = rows(seed, [3, 6, 2], 7)
        other = np.where(mask, ids, (ids + 1 + seed % 18) % 20)
        for model in (CLASSIFIER, REGRESSION):
            assert (model(ids, mask).numpy() == model(other, mask).numpy()).all()
        for a, b in zip(SPANS(ids, mask), SPANS(other, mask), strict=True):
            assert (a.numpy() == b.numpy()).all()
        assert (TAGGER(ids, mask).numpy()[mask] == TAGGER(other, mask).numpy()[mask]).all()

    @given(seeds)
    def test_every_token_reaches_it(self, seed: int) -> None:
        ids, mask = rows(seed, [6], 6)
        for t in range(6):
            other = ids.copy()
            other[0, t] = (ids[0, t] + 7) % 20
            assert apart(CLASSIFIER(ids, mask).numpy(), CLASSIFIER(other, mask).numpy()) > 1e-6


class TestSimilarity:
    @given(seeds)
    def test_order_does_not_matter_and_states_are_added(self, seed: int) -> None:
        ids, mask = rows(seed, [5, 6, 4, 6], 6)
        pairs, masks = ids.reshape(2, 2, 6), mask.reshape(2, 2, 6)
        found = CLASSIFIER(pairs, masks).numpy()
        assert not (apart(found, CLASSIFIER(pairs[:, ::-1], masks[:, ::-1]).numpy()) > 1e-9)
        bias = CLASSIFIER.classifier.bias.numpy()
        each = CLASSIFIER(ids, mask).numpy() - bias
        assert not (apart(found, each.reshape(2, 2, 3).sum(1) + bias) > 1e-9)


class TestChoice:
    @given(seeds)
    def test_choices_compete_within_their_row(self, seed: int) -> None:
        """Mutant 53: softmax over the batch."""
        rng = np.random.default_rng(seed)
        ids, labels = rng.integers(0, 20, (3, 4, 6)), rng.integers(0, 4, 3)
        logits = CHOICE(ids).numpy()
        p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
        wanted = -np.log(p[np.arange(3), labels]).mean()
        assert not (abs(CHOICE.loss(ids, labels=labels).item() - wanted) > 1e-9)
        each = [CHOICE.loss(ids[b : b + 1], labels=labels[b : b + 1]).item() for b in range(3)]
        assert not (abs(np.mean(each) - wanted) > 1e-9)

    def test_wants_three_axes(self) -> None:
        with pytest.raises(ShapeError, match=r"\(B, C, T\)"):
            CHOICE(np.zeros((2, 3), int))


class TestTagsAndSpans:
    @given(seeds)
    def test_tags_do_not_see_the_future(self, seed: int) -> None:
        ids, _ = rows(seed, [6], 6)
        other = ids.copy()
        other[0, 4:] = (ids[0, 4:] + 3) % 20
        assert (TAGGER(ids).numpy()[0, :4] == TAGGER(other).numpy()[0, :4]).all()
        labels = np.full((1, 6), -100)
        labels[0, 2] = 1
        logits = TAGGER(ids).numpy()[0, 2]
        wanted = np.log(np.exp(logits).sum()) - logits[1]
        assert not (abs(TAGGER.loss(ids, labels=labels).item() - wanted) > 1e-9)

    @given(seeds)
    def test_a_span_is_a_start_and_an_end(self, seed: int) -> None:
        ids, mask = rows(seed, [6, 4], 6)
        starts, ends = np.array([2, 0]), np.array([4, 3])
        start, end = (F.log_softmax(x, axis=-1).numpy() for x in SPANS(ids, mask))
        wanted = -0.5 * np.mean([start[b, starts[b]] + end[b, ends[b]] for b in range(2)])
        assert not (abs(SPANS.loss(ids, mask, starts=starts, ends=ends).item() - wanted) > 1e-9)
        assert start[1, 4:].max() < -1e6

    def test_an_end_before_its_start_is_refused(self) -> None:
        with pytest.raises(DataError, match="row 1 ends before it starts"):
            SPANS.loss(np.zeros((2, 5), int), starts=np.array([0, 3]), ends=np.array([2, 2]))


def language_loss(model: Any, ids: np.ndarray, lengths: list[int]) -> float:
    """Σ over sequences of the mean of −log p over a sequence's own tokens, one sequence at a time."""
    total = 0.0
    for row, n in zip(ids, lengths, strict=True):
        if n > 1:
            p = F.log_softmax(model.gpt(row[None, : n - 1]), axis=-1).numpy()[0]
            total -= np.mean([p[t, row[t + 1]] for t in range(n - 1)])
    return total


class TestAuxiliaryLoss:
    @given(seeds, st.lists(st.integers(2, 9), min_size=1, max_size=4))
    def test_is_a_mean_for_each_sequence(self, seed: int, lengths: list[int]) -> None:
        """Not over all tokens: a long text weighs as much as a short one."""
        ids, mask = rows(seed, lengths, max(lengths) + 1)
        labels = np.random.default_rng(seed).integers(0, 3, len(lengths))
        found = CLASSIFIER.losses(ids, mask, labels=labels)
        assert not (abs(found.language.item() - language_loss(CLASSIFIER, ids, lengths)) > 1e-8)
        assert not (abs(found.task.item() - CLASSIFIER.loss(ids, mask, "sum", labels=labels).item()) > 1e-9)

    def test_counts_every_order_and_choice(self) -> None:
        ids, mask = rows(1, [5, 6, 4, 6], 6)
        found = CHOICE.losses(ids.reshape(2, 2, 6), mask.reshape(2, 2, 6), labels=np.array([0, 1]))
        assert not (abs(found.language.item() - language_loss(CHOICE, ids, [5, 6, 4, 6])) > 1e-8)


@pytest.mark.parametrize("model", [CLASSIFIER, REGRESSION, CHOICE, TAGGER, SPANS], ids=lambda m: type(m).__name__)
def test_gradients(model: Any) -> None:
    """Of both losses together, with every parameter, in random directions."""
    ids, mask = rows(3, [5, 6, 4, 6], 6)
    labels: dict[str, Any] = {"labels": np.array([0, 1, 2, 1])}
    if model is CHOICE:
        ids, mask, labels = ids.reshape(2, 2, 6), mask.reshape(2, 2, 6), {"labels": np.array([1, 0])}
    elif model is REGRESSION:
        labels = {"labels": np.array([0.5, -1, 2, 0])}
    elif model is TAGGER:
        labels = {"labels": np.where(mask, ids % 4, -100)}
    elif model is SPANS:
        labels = {"starts": np.array([1, 2, 0, 3]), "ends": np.array([1, 4, 0, 5])}
    found = model.losses(ids, mask, **labels)
    loss = found.task + found.language * 0.7
    names, parameters = zip(*model.named_parameters(), strict=True)
    gradients = ml.grad(loss, list(parameters))
    rng, step = np.random.default_rng(0), 1e-5
    before = [p.numpy().copy() for p in parameters]
    directions = [rng.standard_normal(p.shape) for p in parameters]

    def at(scale: float) -> float:
        for p, x, d in zip(parameters, before, directions, strict=True):
            p.assign(x + scale * d)
        found = model.losses(ids, mask, **labels)
        return (found.task + found.language * 0.7).item()

    numeric = (at(step) - at(-step)) / (2 * step)
    at(0)
    analytic = sum(float((g.numpy() * d).sum()) for g, d in zip(gradients, directions, strict=True))
    assert not (abs(numeric - analytic) > 1e-5 * max(1, abs(numeric)))
    silent = [n for n, g in zip(names, gradients, strict=True) if not np.abs(g.numpy()).max() > 0]
    assert silent == []
