"""KneserNey against dictionaries and the formula; every distribution sums to one."""

import math
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minilm.errors import ConfigError, DataError
from minilm.ngram import KneserNey, estimate_discounts, ladder
from minilm.text import load_corpus

IDS = st.lists(st.integers(0, 3), min_size=6, max_size=60)


class Slow:
    """p_k(w | h) straight from the formula, with tuples as keys."""

    def __init__(self, ids, order, vocab_size):
        self.V = vocab_size
        grams = Counter(tuple(ids[i - order : i]) for i in range(order, len(ids) + 1))
        self.counts = {order: grams}
        for n in range(order - 1, 0, -1):
            self.counts[n] = Counter(gram[1:] for gram in self.counts[n + 1])
        self.order = order
        self.discounts = {n: self.discount(Counter(counts.values())) for n, counts in self.counts.items()}

    @staticmethod
    def discount(n):
        y = n[1] / (n[1] + 2 * n[2]) if n[1] and n[2] else 0.5
        d = {0: 0.0}
        for c in (1, 2, 3):
            d[c] = c - (c + 1) * y * n[c + 1] / n[c] if n[c] and n[c + 1] else y
            if not 0 < d[c] < c:
                d[c] = y
        return d

    def p(self, word, context):
        context = tuple(context)[-(self.order - 1) :] if self.order > 1 else ()
        n = len(context) + 1
        lower = self.p_lower(word, context)
        counts, d = self.counts[n], self.discounts[n]
        following = {v: counts[(*context, v)] for v in range(self.V) if counts[(*context, v)]}
        if not following:
            return lower
        total = sum(following.values())
        gamma = sum(d[min(c, 3)] for c in following.values()) / total
        c = following.get(word, 0)
        return (c - d[min(c, 3)]) / total + gamma * lower

    def p_lower(self, word, context):
        if not context:
            return 1 / self.V
        shorter = Slow.__new__(Slow)
        shorter.__dict__ = self.__dict__ | {"order": len(context)}
        return shorter.p(word, context[1:])


@settings(deadline=None)
@given(IDS, IDS, st.integers(1, 6))
def test_equals_the_formula(train, test, order):
    model, slow = KneserNey(order).fit(np.array(train), 5), Slow(train, order, 5)
    expected = [math.log(slow.p(word, test[max(0, i - order + 1) : i])) for i, word in enumerate(test)]
    np.testing.assert_allclose(model.log_probabilities(np.array(test)), expected, rtol=0, atol=1e-12)


def test_equals_the_formula_on_real_text():
    text = np.frombuffer(load_corpus("pydocs").documents[0].encode(), np.uint8)
    train, test = text[:900].tolist(), text[900:1100].tolist()
    for order in (1, 3, 6):
        slow = Slow(train, order, 256)
        expected = [math.log(slow.p(word, test[max(0, i - order + 1) : i])) for i, word in enumerate(test)]
        actual = KneserNey(order).fit(np.array(train), 256).log_probabilities(np.array(test))
        np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-12)


@settings(deadline=None)
@given(IDS, st.lists(st.integers(0, 5), max_size=8), st.integers(1, 6))
def test_distributions_sum_to_one_and_leave_nothing_out(train, context, order):
    model = KneserNey(order).fit(np.array(train), 6)
    p = model.distribution(context)
    assert p.shape == (6,) and (p > 0).all()
    assert abs(p.sum() - 1) <= 1e-12
    for word in range(6):
        last = model.log_probabilities(np.array([*context, word]))[-1]
        assert abs(math.exp(last) - p[word]) <= 1e-12


def test_every_context_of_a_real_text_sums_to_one():
    text = np.frombuffer(load_corpus("pydocs").documents[1].encode(), np.uint8)
    model = KneserNey(4).fit(text, 256)
    for i in range(0, len(text), 97):
        assert abs(model.distribution(text[max(0, i - 5) : i]).sum() - 1) <= 1e-12


def test_continuation_counts_are_used_below():
    """The classic: "francisco" is frequent, but only after "san"; where the context is new, "glasses" is likelier."""
    san, francisco, glasses, others = 0, 1, 2, [3, 4, 5, 6]
    text = [san, francisco] * 10 + [token for other in others for token in (other, glasses)]
    p = KneserNey(2).fit(np.array(text), 8).distribution([7])
    assert p[glasses] > p[francisco]


def test_a_longer_context_helps_and_a_known_text_is_cheap():
    text = np.array([0, 1, 2, 3, 0, 2, 1, 3] * 50)
    nats = [rung.nats_per_token for rung in ladder(text, text, vocab_size=4, valid_bytes=len(text), orders=(1, 2, 3))]
    assert nats[0] > nats[1] > nats[2]
    assert nats[2] < 0.3


def test_token_ids_up_to_two_to_the_31_do_not_collide():
    V = 2**31
    tokens = np.array([V - 1, 0, V - 2, 1, V - 1, 0, V - 2, 1, V - 1, 2], np.int64)
    names = sorted(set(tokens.tolist()))
    small = np.searchsorted(names, tokens)
    large = KneserNey(6).fit(tokens, V).log_probabilities(tokens)
    # The same counts, so the same p but for the uniform part: that of a hundred thousand names is as good as none.
    np.testing.assert_allclose(large, KneserNey(6).fit(small, 10**9).log_probabilities(small), rtol=0, atol=1e-7)


def test_discounts():
    counts = np.repeat([1, 2, 3, 4, 9], [100, 40, 20, 10, 5])
    y = 100 / 180
    expected = (1 - 2 * y * 0.4, 2 - 3 * y * 0.5, 3 - 4 * y * 0.5)
    np.testing.assert_allclose(estimate_discounts(counts), expected, rtol=1e-15)
    assert estimate_discounts(np.array([5, 7])) == (0.5, 0.5, 0.5)
    assert all(0 < d < 1 for d in estimate_discounts(np.repeat([1, 2, 3, 4], [1, 5, 50, 500])))


def test_ladder_on_pydocs():
    """For orientation, this text has 4.71, 3.48, 2.61, 2.10, 1.92 and 1.86 bits per byte under CPython 3.11."""
    train, valid = (
        np.frombuffer("\n\n".join(documents).encode(), np.uint8) for documents in load_corpus("pydocs").split()
    )
    rungs = ladder(train, valid, vocab_size=256, valid_bytes=len(valid))
    bits = [rung.bits_per_byte for rung in rungs]
    assert [rung.order for rung in rungs] == [1, 2, 3, 4, 5, 6]
    assert all(high > low for high, low in pairwise(bits))
    assert 4.4 < bits[0] < 5 and 1.5 < bits[5] < 2.1
    for rung in rungs:
        assert rung.bits_per_byte == pytest.approx(rung.nats_per_token / math.log(2), rel=1e-12)


def test_bad_input():
    with pytest.raises(ConfigError, match="order of an n-gram model must be an integer of at least 1, not 0"):
        KneserNey(0)
    with pytest.raises(DataError, match="has 2 tokens, too few to count 3-grams"):
        KneserNey(3).fit(np.array([0, 1]), 2)
    with pytest.raises(DataError, match=r"run from 0 to 2, outside the vocabulary's 0 … 1"):
        KneserNey(1).fit(np.array([0, 2]), 2)
    with pytest.raises(DataError, match="float64"):
        KneserNey(1).fit(np.array([0.0, 2.0]), 2)
    with pytest.raises(DataError, match="counted nothing yet"):
        KneserNey(1).log_probabilities(np.array([0]))
    with pytest.raises(DataError, match="validation text is empty"):
        ladder(np.array([0, 1]), np.array([], int), vocab_size=2, valid_bytes=0)


def test_nothing_to_score():
    assert KneserNey(3).fit(np.array([0, 1, 0, 1]), 2).log_probabilities(np.array([], int)).shape == (0,)
