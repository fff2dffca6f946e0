"""The distribution that a token is drawn from, against its definition; draws; what is refused."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minilm.errors import ConfigError, DataError
from minilm.generation import Sampling

logit_rows = st.lists(st.integers(-6, 6).map(lambda n: n / 2), min_size=1, max_size=9)  # with many ties


def softmax(z):
    e = [math.exp(x - max(z)) for x in z]
    return [x / sum(e) for x in e]


def ranked(z):
    """Indices from the largest, of equals the lower index first."""
    return sorted(range(len(z)), key=lambda i: (-z[i], i))


def brute_force(z, temperature, k, p):
    """The distribution by its definition, sets and all."""
    z = [x / temperature for x in z]
    allowed = set(ranked(z)[: k or len(z)])
    probabilities = softmax([x if i in allowed else -math.inf for i, x in enumerate(z)])
    if p is not None and p < 1:
        nucleus, mass = set(), 0.0
        for i in ranked(probabilities):
            nucleus.add(i)
            mass += probabilities[i]
            if mass >= p - 1e-12:
                break
        probabilities = [q if i in nucleus else 0.0 for i, q in enumerate(probabilities)]
        probabilities = [q / sum(probabilities) for q in probabilities]
    return probabilities


@given(
    logit_rows,
    st.sampled_from([0.25, 1.0, 3.0]),
    st.one_of(st.none(), st.integers(1, 12)),
    st.one_of(st.none(), st.floats(0.013, 1.0)),
)
def test_distribution_equals_brute_force(z, temperature, k, p):
    found = Sampling(temperature, k, p).probabilities(np.array([z]))[0]
    np.testing.assert_allclose(found, brute_force(z, temperature, k, p), rtol=1e-9, atol=1e-15)


@given(logit_rows, st.integers(1, 12))
def test_top_k_keeps_exactly_k_of_lower_ids_among_equals(z, k):
    kept = np.flatnonzero(Sampling(top_k=k).probabilities(np.array([z]))[0])
    assert sorted(kept) == sorted(ranked(z)[:k])


def test_top_p_keeps_the_token_that_crosses():
    logits = np.log([[0.5, 0.3, 0.15, 0.05]])
    for p, count in ((0.1, 1), (0.49, 1), (0.51, 2), (0.79, 2), (0.81, 3), (0.96, 4), (1.0, 4)):
        assert np.count_nonzero(Sampling(top_p=p).probabilities(logits)) == count, p


def test_top_p_after_top_k_counts_what_is_left():
    """0.5 and 0.3 are 5/8 and 3/8 of the two that top_k leaves, so p = 0.6 needs only the first."""
    logits = np.log([[0.5, 0.3, 0.15, 0.05]])
    np.testing.assert_allclose(Sampling(top_k=2, top_p=0.6).probabilities(logits), [[1, 0, 0, 0]])


def test_rows_are_cut_each_by_itself():
    rows = np.random.default_rng(0).standard_normal((20, 9))
    sampling = Sampling(0.7, 4, 0.8)
    together = sampling.probabilities(rows)
    for row, found in zip(rows, together, strict=True):
        np.testing.assert_allclose(sampling.probabilities(row[None])[0], found)


@given(logit_rows)
def test_no_temperature_is_greedy_and_a_small_one_nearly(z):
    assert Sampling(0).choose(np.array([z]), np.random.default_rng(0)) == [ranked(z)[0]]
    np.testing.assert_array_equal(Sampling(0).probabilities([z])[0], np.eye(len(z))[ranked(z)[0]])
    for tiny in (1e-3, 1e-12, 5e-324):
        top = [i for i, x in enumerate(z) if x == max(z)]
        np.testing.assert_allclose(Sampling(tiny).probabilities([z])[0][top], 1 / len(top))


def test_draws_follow_the_distribution():
    """χ² of 20,000 draws; and what has probability 0 is never drawn."""
    logits = np.array([[0.0, 2.0, 1.0, -1.0, 1.5, -math.inf]])
    for sampling in (Sampling(), Sampling(0.5, 4), Sampling(2.0, None, 0.9)):
        p = sampling.probabilities(logits)[0]
        drawn = sampling.choose(np.repeat(logits, 20_000, 0), np.random.default_rng(0))
        counts = np.bincount(drawn, minlength=6)
        assert (counts[p == 0] == 0).all()
        expected = 20_000 * p[p > 0]
        assert ((counts[p > 0] - expected) ** 2 / expected).sum() < 20  # 5 degrees of freedom at most: p > .001


def test_a_draw_at_the_very_edge_is_a_possible_token():
    class Edge:
        def __init__(self, u):
            self.u = u

        def random(self, shape):
            return np.full(shape, self.u)

    logits = np.array([[-math.inf, 0.0, -math.inf, 0.0, -math.inf]])
    assert Sampling().choose(logits, Edge(0.0)) == [1]
    assert Sampling().choose(logits, Edge(np.nextafter(1, 0))) == [3]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"temperature": -0.1}, "temperature is -0.1"),
        ({"temperature": math.nan}, "temperature is nan"),
        ({"temperature": math.inf}, "temperature is inf"),
        ({"top_k": 0}, "top_k is 0"),
        ({"top_k": 1.5}, "top_k is 1.5"),
        ({"top_k": True}, "top_k is True"),
        ({"top_p": 0.0}, "top_p is 0.0"),
        ({"top_p": 1.1}, "top_p is 1.1"),
        ({"top_p": math.nan}, "top_p is nan"),
    ],
)
def test_settings_that_cannot_be(settings, said):
    with pytest.raises(ConfigError, match=said):
        Sampling(**settings)


@pytest.mark.parametrize("bad", [[0.0, math.nan], [math.inf, 0.0], [-math.inf, -math.inf]])
@pytest.mark.parametrize("temperature", [0, 1])
def test_logits_that_are_no_distribution(bad, temperature):
    with pytest.raises(DataError, match="logits: row 1 gives no distribution"):
        Sampling(temperature).choose(np.array([[0.0, 1.0], bad]), np.random.default_rng(0))
