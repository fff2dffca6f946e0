"""Beam search against the search of everything, with the cache and without, and its ends."""

import itertools
import math

import numpy as np
import pytest

from minilm.errors import ConfigError, DataError
from minilm.generation import beam_search, generate, stream
from minilm.generation.beams import Beams, _Prompt
from minilm.models import GPT, GPTConfig


@pytest.fixture(scope="module")
def small():
    """A GPT of three tokens, so that all its sequences can be listed."""
    model = GPT(GPTConfig(vocab_size=3, context=8, width=12, layers=1, heads=3)).astype(np.float64).eval()
    for i, p in enumerate(model.parameters()):
        p.assign(np.random.default_rng([2, i]).standard_normal(p.shape) * 0.4)
    return model


def log_probabilities(model, ids):
    z = model(np.array([ids])).numpy()[0]
    return z - np.log(np.exp(z).sum(-1, keepdims=True))


def everything(model, prompt, count, stop, penalty):
    """Every sequence that may follow the prompt with its score, the best first, by the definition."""
    found = []
    for n in range(1, count + 1):
        for new in itertools.product(range(3), repeat=n):
            if stop in new[:-1] or (n < count and new[-1] != stop):
                continue
            log_p = log_probabilities(model, [*prompt, *new])
            total = sum(log_p[len(prompt) + t - 1, token] for t, token in enumerate(new))
            found.append((total / n**penalty, new))
    return sorted(found, reverse=True)


@pytest.mark.parametrize("penalty", [-1.0, 0.0, 1.0, 2.5])
def test_enough_beams_find_the_best_of_all_sequences(small, penalty):
    wanted = everything(small, [0, 1], 4, 2, penalty)[:3]
    how = {"length_penalty": penalty, "early_stopping": "never", "stop": 2, "num_return_sequences": 3}
    found = beam_search(small, [0, 1], 4, 40, **how)
    np.testing.assert_allclose(found.scores, [score for score, _ in wanted], rtol=1e-9)
    for row, (_, new) in zip(found.ids.tolist(), wanted, strict=True):
        assert row == [0, 1, *new, *[2] * (len(row) - 2 - len(new))]


def test_scores_are_those_of_the_sequences_given_back(wild):
    found = beam_search(wild, [[1, 2], [3, 4]], 5, 4, num_return_sequences=4, length_penalty=0.7)
    assert found.ids.shape == (8, 7)
    for row, score in zip(found.ids, found.scores, strict=True):
        log_p = log_probabilities(wild, row)
        np.testing.assert_allclose(score, sum(log_p[t - 1, row[t]] for t in range(2, 7)) / 5**0.7, rtol=1e-9)
    assert all((np.diff(scores) <= 0).all() for scores in found.scores.reshape(2, 4))
    assert len({tuple(row) for row in found.ids}) == 8


@pytest.mark.parametrize("seed", range(6))
def test_same_beams_with_and_without_cache(wild, seed):
    """Past the context too, where the cache is filled anew; a cache whose rows stay where they were gives others."""
    rng = np.random.default_rng(seed)
    prompts = rng.integers(0, 11, (2, 3))
    settings = {
        "length_penalty": float(rng.choice([0.0, 1.0, 2.0])),
        "early_stopping": [False, True, "never"][seed % 3],
        "num_return_sequences": 3,
        "stop": rng.integers(0, 11, 2).tolist(),
    }
    found, wanted = (beam_search(wild, prompts, 12, 4, cache=cache, **settings) for cache in (True, False))
    assert (found.ids == wanted.ids).all()
    np.testing.assert_allclose(found.scores, wanted.scores, rtol=1e-9)


def test_one_beam_is_greedy(wild):
    for prompt in ([1], [4, 2]):
        assert beam_search(wild, prompt, 6, 1).ids[0].tolist() == generate(wild, prompt, 6, temperature=0).tolist()


def test_generate_and_stream_give_the_best_sequences(wild):
    prompts, how = np.array([[1, 2], [3, 4]], np.int32), {"beams": 3, "stop": 5}
    found = beam_search(wild, prompts, 6, num_return_sequences=2, **how)
    assert found.ids.dtype == np.int32 and len(found.ids) == 4
    assert (generate(wild, prompts, 6, num_return_sequences=2, **how) == found.ids).all()
    best = generate(wild, prompts, 6, **how)
    assert (best == found.ids[::2, : best.shape[1]]).all()
    heard = []
    alone = generate(wild, [1, 2], 6, on_token=heard.append, **how).tolist()
    assert alone == found.ids[0].tolist()[: len(alone)]
    assert heard == alone[2:] == list(stream(wild, [1, 2], 6, **how))
    assert len(generate(wild, [1, 2], 6, num_return_sequences=2, **how)) == 2


def test_no_new_tokens(wild):
    assert generate(wild, [1, 2], 0, beams=3).tolist() == [1, 2]
    assert generate(wild, [[1, 2]], 0, beams=3, num_return_sequences=2).tolist() == [[1, 2], [1, 2]]


def test_a_shorter_sequence_is_filled_up_with_the_pad_or_its_stop(small):
    how = {"stop": 2, "length_penalty": 0.0, "num_return_sequences": 9}
    ended = beam_search(small, [0], 3, 9, **how).ids[:, 1:]
    filled = beam_search(small, [0], 3, 9, pad=1, **how).ids[:, 1:]
    shorter = [row for row in range(9) if 2 in ended[row, :2].tolist()]
    assert shorter
    for row in shorter:
        end = ended[row].tolist().index(2)
        assert (ended[row, end:] == 2).all() and (filled[row, end + 1 :] == 1).all() and filled[row, end] == 2


def test_no_stop_before_its_time(small):
    """Where short sequences are worth most, the best one ends as soon as it may."""
    for least in range(4):
        best = generate(small, [0], 5, beams=30, length_penalty=-9.0, stop=2, min_new_tokens=least)[1:].tolist()
        assert best.index(2) == least == len(best) - 1


def test_as_many_beams_live_on_however_many_tokens_are_stops():
    """Four stops more probable than all else, and length worth more than anything: the best go on to the last token."""

    class Constant:
        config = GPTConfig(vocab_size=6, context=8)
        bare = eval = lambda self: self

        def hidden(self, ids, mask=None, cache=None):
            return np.zeros((len(ids), 1, 1))

        def logits(self, hidden):
            return np.tile(np.log([0.3, 0.25, 0.2, 0.15, 0.06, 0.04]), (len(hidden), 1))

    how = {"stop": range(4), "early_stopping": "never", "length_penalty": 20.0, "num_return_sequences": 2}
    found = beam_search(Constant(), [0], 3, 2, cache=False, **how)
    assert found.ids[:, 1:].tolist() == [[4, 4, 0], [4, 4, 1]]


def test_banned_beams_die_and_the_others_go_on(small):
    """After the first of three tokens each of the others once: two sequences of two, none of three."""
    found = beam_search(small, [0], 2, 8, no_repeat_ngram=1, num_return_sequences=2)
    assert sorted(row[1:].tolist() for row in found.ids) == [[1, 2], [2, 1]]
    with pytest.raises(DataError, match="row 0: no token is left"):
        beam_search(small, [0], 3, 8, no_repeat_ngram=1)


def test_fewer_sequences_than_were_asked_for(small):
    assert len(beam_search(small, [0], 1, 4, num_return_sequences=3).ids) == 3
    with pytest.raises(DataError, match="row 0: beam search found 3 sequences, num_return_sequences is 4"):
        beam_search(small, [0], 1, 4, num_return_sequences=4)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"beams": 0}, "beams is 0"),
        ({"beams": 2.0}, "beams is 2.0"),
        ({"beams": 2, "num_return_sequences": 3}, "num_return_sequences is 3, but beams is 2"),
        ({"beams": 2, "length_penalty": math.nan}, "length_penalty is nan"),
        ({"beams": 2, "length_penalty": 51}, "length_penalty is 51"),
        ({"beams": 2, "early_stopping": "always"}, "early_stopping is 'always'"),
        ({"beams": 2, "early_stopping": 1}, "early_stopping is 1"),
        ({"beams": 2, "temperature": 0.7}, "temperature is 0.7, but beam search draws nothing at random"),
        ({"beams": 2, "top_k": 3}, "top_k is 3, but beam search"),
        ({"beams": 2, "top_p": 0.3}, "top_p is 0.3, but beam search"),
        ({"beams": 2, "min_p": 0.0}, "min_p is 0.0, but beam search"),
    ],
)
def test_settings_that_cannot_be(wild, settings, said):
    with pytest.raises(ConfigError, match=said):
        stream(wild, [1], 3, **settings)


@pytest.mark.parametrize(
    ("early_stopping", "penalty", "live", "done"),
    [
        (False, 1.0, -0.9, True),  # -0.9 / 2 now is below -0.4, the worst that ended
        (False, 1.0, -0.7, False),
        (True, 1.0, -0.7, True),
        ("never", 1.0, -0.9, False),  # -0.9 / 10 at the last token would be above
        ("never", 1.0, -4.1, True),
        ("never", 0.0, -0.5, True),  # the end is worth no more than now
        ("never", 0.0, -0.3, False),
        ("never", -1.0, -0.3, True),  # -0.3 · 2 now; at the end it would be worse
        ("never", -1.0, -0.1, False),
        (False, 1.0, -0.8, True),  # as good as the worst is not better
        (False, 1.0, -math.inf, True),
    ],
)
def test_when_a_prompt_is_done(early_stopping, penalty, live, done):
    """After 2 of 10 tokens, three sequences of three having ended; and never with fewer, while a beam lives."""
    prompt = _Prompt(Beams(3, penalty, early_stopping))
    for score in (-0.3, -0.2, -0.4):
        prompt.settle(live, 2, 10)
        assert prompt.done is (live == -math.inf)
        prompt.add(score, np.array([1]))
    prompt.add(-0.5, np.array([1]))
    assert [found.score for found in prompt.found] == [-0.2, -0.3, -0.4]
    prompt.settle(live, 2, 10)
    assert prompt.done is done
    prompt.settle(0.0, 3, 10)
    assert prompt.done is (done or early_stopping is True)
