"""The probes' scores: by hand, by the source itself, and their errors by repetition."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minilm.autograd import Tensor, no_grad
from minilm.errors import ConfigError
from minilm.models import GPT, GPTConfig
from minilm.mundito import Mundito, MunditoConfig
from minilm.mundito.probes import accuracy, area, next_log_probabilities, probe
from minilm.mundito.tasks import Probe

WORLD = Mundito()


class Source:
    """The source as a language model; less: subtracted from what it says of the last word of each group."""

    def __call__(self, ids):
        p = np.full((*ids.shape, WORLD.vocab_size), 1e-12)
        for b, row in enumerate(ids):
            state = WORLD.start
            for token in row:
                state = WORLD.step(state, token)
            p[b, -1] += WORLD.dist(state)
        return Tensor(np.log(p))


class Says:
    """A model that says the same after every prompt: weights (V,)."""

    def __init__(self, weights):
        self.weights = np.asarray(weights, float)

    def __call__(self, ids):
        return Tensor(np.log(np.broadcast_to(self.weights, (*np.shape(ids), len(self.weights)))))


def test_the_source_itself_passes_every_probe():
    found = probe(Source(), WORLD, 60, seed=1)
    assert list(found) == ["agreement", "questions", "claims"]
    assert all(score.value == 1 and score.error == 0 for score in found.values())
    assert [round(score.chance, 3) for score in found.values()] == [0.5, 0.042, 0.5]


def test_a_model_that_knows_nothing_is_at_chance():
    found = probe(Says(np.ones(WORLD.vocab_size)), WORLD, 200, seed=1)
    assert abs(found["agreement"].value - 0.5) <= 4 * found["agreement"].error
    assert found["claims"].value == 0.5 or abs(found["claims"].value - 0.5) < 1e-12  # all ties


def test_accuracy_adds_up_the_words_of_a_group():
    """Words 1 and 2 together are more probable than word 3, which is the most probable one."""
    model = Says([0.1, 0.3, 0.25, 0.35])
    probes = [Probe((0,), ((1, 2), (3,)), answer) for answer in (0, 0, 0, 1)]
    score = accuracy(model, probes)
    assert score.value == 0.75 and abs(score.error - np.sqrt(0.75 * 0.25 / 4)) <= 1e-15 and score.chance == 0.5


def test_prompts_of_any_lengths_are_read_each_by_itself():
    model = GPT(GPTConfig(WORLD.vocab_size, context=12, width=16, layers=1, heads=2, dropout=0.5), seed=1)
    rng = np.random.default_rng(0)
    prompts = [tuple(rng.integers(0, WORLD.vocab_size, n)) for n in (3, 7, 3, 12, 1)]
    found = next_log_probabilities(model, prompts)
    with no_grad(), model.evaluating():
        for row, prompt in zip(found, prompts, strict=True):
            logits = model(np.array([prompt])).numpy()[0, -1].astype(float)
            np.testing.assert_allclose(row, logits - np.log(np.exp(logits).sum()), atol=1e-5)
    assert model.training


def test_what_cannot_be_probed():
    model = GPT(GPTConfig(WORLD.vocab_size, context=12, width=16, layers=1, heads=2), seed=1)
    with pytest.raises(ConfigError, match="but the model reads only 12 at once: train one with --context"):
        probe(model, WORLD, 10)
    with pytest.raises(ConfigError, match="facts only has no one to ask about"):
        probe(model, Mundito(MunditoConfig(facts_only=True)), 10)
    with pytest.raises(ConfigError, match="two examples of each kind, not 1 and 3"):
        area(np.ones(1), np.ones(3))


scores = st.lists(st.integers(-3, 3), min_size=2, max_size=9)


@given(scores, scores)
def test_the_area_is_the_part_of_pairs_in_order(positive, negative):
    wins = sum((p > n) + 0.5 * (p == n) for p in positive for n in negative)
    value, error = area(np.array(positive, float), np.array(negative, float))
    assert abs(value - wins / (len(positive) * len(negative))) <= 1e-12 and error >= 0
    opposite, same = area(np.array(negative, float), np.array(positive, float))
    assert abs(value + opposite - 1) <= 1e-12 and abs(same - error) <= 1e-12


def test_the_areas_error_is_how_much_it_varies():
    rng = np.random.default_rng(0)
    found = np.array([area(rng.normal(1.0, 1, 40), rng.normal(0, 2, 60)) for _ in range(2000)])
    assert abs(found[:, 1].mean() / found[:, 0].std() - 1) <= 0.06
