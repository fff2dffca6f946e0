"""Each processor by its definition, a row at a time; tests/generation/test_equals_transformers.py has the other half."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minilm.errors import ConfigError, DataError
from minilm.generation import Sampling, processors

V = 6
scores = st.lists(st.integers(-4, 4).map(lambda n: n / 2), min_size=V, max_size=V)  # with ties, zeros and both signs
ids = st.lists(st.integers(0, V - 1), max_size=12)


def one(processor, z, *arguments):
    """What a processor makes of a single row."""
    return processor(np.array([z], float), *arguments)[0].tolist()


def past(ids, padding=0):
    """Ids as a history of one row that begins with padding."""
    return np.array([[-1] * padding + ids], int)


@given(scores, ids, st.sampled_from([0.5, 1.0, 1.3, 4.0]), st.integers(0, 3))
def test_repetition_penalty_lowers_what_was_there_once_whatever_its_sign(z, ids, penalty, padding):
    wanted = [(x / penalty if x > 0 else x * penalty) if i in ids else x for i, x in enumerate(z)]
    assert one(processors.penalize_repetition, z, past(ids, padding), penalty) == wanted


@given(scores, ids, st.integers(1, 4), st.integers(0, 3))
def test_no_ngram_comes_twice(z, ids, n, padding):
    seen = {tuple(ids[i : i + n]) for i in range(len(ids) - n + 1)}
    last = ids[len(ids) - n + 1 :]
    wanted = [-math.inf if len(last) == n - 1 and (*last, i) in seen else x for i, x in enumerate(z)]
    assert one(processors.ban_repeated_ngrams, z, past(ids, padding), n) == wanted


@given(scores, st.lists(st.integers(0, V - 1)))
def test_banned_tokens_are_out(z, banned):
    wanted = [-math.inf if i in banned else x for i, x in enumerate(z)]
    assert one(processors.ban, z, np.array(banned, int)) == wanted


@given(scores, st.sampled_from([0.0, 0.1, math.exp(-1.5), 0.5, 1.0]))
def test_min_p_keeps_what_is_nearly_as_probable_as_the_best(z, share):
    p = np.exp(z) / np.sum(np.exp(z))
    wanted = [x if q >= share * p.max() * (1 - 1e-12) else -math.inf for x, q in zip(z, p, strict=True)]
    assert one(processors.keep_min_p, z, share) == wanted


def test_temperature_divides_logits_not_probabilities():
    """At temperature 1/2 the odds of .8 to .2 are squared: .64 to .04."""
    p = Sampling(0.5).probabilities(np.log([[0.8, 0.2]]))
    np.testing.assert_allclose(p, [[0.64 / 0.68, 0.04 / 0.68]])


def test_penalties_come_before_temperature_and_temperature_before_the_cuts():
    """In the other order, each gives something else."""
    z, history = np.array([[2.0, 1.0, 0.9, -3.0]]), np.array([[0, 3]])
    rest = {"top_k": 3, "top_p": 0.8, "min_p": 0.3}
    found = Sampling(0.5, repetition_penalty=2.0, **rest).probabilities(z, history)
    heated = np.array([[1.0, 1.0, 0.9, -6.0]]) / 0.5
    np.testing.assert_allclose(found, Sampling(**rest).probabilities(heated))
    assert np.count_nonzero(found) == 3
    cut_to_two = np.log([[0.5, 0.3, 0.2]])  # of which top_p = .6 leaves the first alone: min_p is asked of 5/8 and 3/8
    np.testing.assert_allclose(Sampling(top_k=2, top_p=0.7, min_p=0.61).probabilities(cut_to_two), [[1, 0, 0]])


def test_nothing_left_is_said_in_a_sentence():
    z, history = np.zeros((2, 3)), np.array([[0, 0, 0, 0], [0, 1, 2, 0]])
    for temperature in (0, 1):
        with pytest.raises(DataError, match="row 1: no token is left to go on with"):
            Sampling(temperature, no_repeat_ngram=1).choose(z, np.random.default_rng(0), history)
    with pytest.raises(DataError, match="row 0: no token is left"):
        Sampling().choose(z, np.random.default_rng(0), banned=np.arange(3))


def test_a_processor_that_looks_back_needs_the_past():
    for settings in ({"repetition_penalty": 1.1}, {"no_repeat_ngram": 2}):
        with pytest.raises(ConfigError, match="need the ids so far"):
            Sampling(**settings).probabilities(np.zeros((1, 3)))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"min_p": -0.1}, "min_p is -0.1"),
        ({"min_p": 1.01}, "min_p is 1.01"),
        ({"min_p": math.nan}, "min_p is nan"),
        ({"repetition_penalty": 0.0}, "repetition_penalty is 0.0"),
        ({"repetition_penalty": math.inf}, "repetition_penalty is inf"),
        ({"repetition_penalty": math.nan}, "repetition_penalty is nan"),
        ({"no_repeat_ngram": 0}, "no_repeat_ngram is 0"),
        ({"no_repeat_ngram": True}, "no_repeat_ngram is True"),
    ],
)
def test_settings_that_cannot_be(settings, said):
    with pytest.raises(ConfigError, match=said):
        Sampling(**settings)
