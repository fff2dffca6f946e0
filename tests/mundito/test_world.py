"""The automaton tells the truth: distributions sum to 1, what it writes has the probabilities that it says."""

import functools
import math
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minilm.errors import ConfigError, DataError
from minilm.mundito import Mundito, MunditoBatches, MunditoConfig
from minilm.mundito.lexicon import ENGLISH, LEXICONS, SPANISH

WORLDS = {
    "es": Mundito(MunditoConfig("es", seed=0)),
    "en": Mundito(MunditoConfig("en", seed=1)),
    "facts": Mundito(MunditoConfig("es", seed=2, tail=0.5, facts_only=True)),
}
worlds = pytest.mark.parametrize("world", WORLDS.values(), ids=WORLDS.keys())
# both tests of what was drawn from a world run in one process, which draws once
names = pytest.mark.parametrize("name", [pytest.param(n, marks=pytest.mark.xdist_group(f"drawn {n}")) for n in WORLDS])


def walk(world, tokens, seed):
    """(state, choice, token drawn) of a text of so many tokens."""
    rng, state = random.Random(seed), world.start
    for _ in range(tokens):
        choice = world.choice(state)
        token = choice.tokens[choice.draw(rng.random())]
        yield state, choice, token
        state = world.step(state, token)


@worlds
def test_every_distribution_sums_to_one(world, sized):
    """At every state that 10^5 tokens reach; each possible token once, none with probability 0."""
    states = {state for state, _, _ in walk(world, sized(20_000, 100_000), seed=1)}
    for state in states:
        p = world.dist(state)
        assert p.shape == (world.vocab_size,)
        assert abs(p.sum() - 1) <= 1e-12
        assert np.count_nonzero(p) == len(world.choice(state).tokens) and p.min() >= 0


@functools.lru_cache
def drawn(name, tokens):
    """For each distribution that so many tokens come from: it, and how often each of its tokens came."""
    found = {}
    for _, choice, token in walk(WORLDS[name], tokens, seed=2):
        _, counts = found.setdefault(id(choice), (choice, dict.fromkeys(choice.tokens, 0)))
        counts[token] += 1
    return [(choice, counts) for choice, counts in found.values() if len(counts) > 1]


@names
def test_the_mean_of_one_over_p_is_the_number_of_possible_tokens(name, sized):
    """E[1/p(x)] = Σ p/p = the size of the support: within 3 standard errors in each context often enough met.

    Of so many contexts one in 370 is beyond 3 by chance; none may be beyond 4.
    """
    z = []
    for choice, counts in drawn(name, sized(170000, 200_000)):
        n, p = sum(counts.values()), np.array(choice.probabilities)
        c = np.array(list(counts.values()))
        mean, variance = (c / p).sum() / n, (1 / p).sum() - len(p) ** 2
        if n * p.min() >= 20 and variance > 1e-9:
            z.append((mean - len(p)) / math.sqrt(variance / n))
    assert len(z) >= 8
    assert np.sum(np.abs(z) <= 3) >= 8 and np.mean(np.abs(z) > 3) <= 0.1 and np.abs(z).max() <= 4, np.sort(np.abs(z))


@names
def test_frequencies_are_those_that_it_says(name, sized):
    """Pearson's X², standardised, of each distribution often enough drawn from; all together too."""
    found = []
    for choice, counts in drawn(name, sized(170000, 200_000)):
        expected = sum(counts.values()) * np.array(choice.probabilities)
        if expected.min() >= 10:
            square = ((np.array(list(counts.values())) - expected) ** 2 / expected).sum()
            found.append((square, len(expected) - 1))
    squares, freedom = np.array(found).T
    assert len(found) >= 8
    assert abs((squares.sum() - freedom.sum()) / math.sqrt(2 * freedom.sum())) <= 4
    assert ((squares - freedom) / np.sqrt(2 * freedom)).max() <= 8


@given(seed=st.integers(0, 2**31), name=st.sampled_from(sorted(WORLDS)))
def test_a_document_has_the_log_probability_that_is_said(seed, name):
    """By the sampler and, independently, by reading the words again from dist and step."""
    world = WORLDS[name]
    document = world.document(random.Random(seed))
    tokens = [t.id for t in document]
    state = world.start
    for token, logp in document:
        assert abs(math.log(world.dist(state)[token]) - logp) <= 1e-12
        state = world.step(state, token)
    assert state == world.start
    np.testing.assert_allclose(world.logp(tokens), [t.logp for t in document], atol=1e-12)
    assert world.encode(world.text(tokens)) == tokens


def test_a_text_that_cannot_be_is_impossible_from_there_on():
    world = WORLDS["es"]
    logp = world.logp(world.encode("<bos> Raúl tiene una vaca roja . Raúl tiene"))
    assert np.isfinite(logp[:7]).all() and np.isneginf(logp[7:]).all()
    state = world.start
    for token in world.encode("<bos> Raúl tiene una"):
        state = world.step(state, token)
    with pytest.raises(DataError, match="'perro' cannot come here; possible: "):
        world.step(state, world.id_of["perro"])
    with pytest.raises(DataError, match="no word 'gnu'"):
        world.encode("el gnu")


def logp_after(world, text, word):
    """ln p(word | text)."""
    return world.logp(world.encode(f"<bos> {text} {word}"))[-1]


INTRODUCTION = "Raúl tiene una paloma negra . Julia tiene una vaca roja ."


def test_copying_agreement_and_moods_are_what_they_should_be():
    world = WORLDS["es"]
    assert logp_after(world, f"{INTRODUCTION} ¿ cómo es la vaca de Julia ?", "roja") == 0
    assert logp_after(world, f"{INTRODUCTION} la paloma de Raúl es", "negra") == 0
    assert logp_after(world, f"{INTRODUCTION} ¿ cómo es la", "vaca") == math.log(1 / 2)
    head = "en la granja las zorras que viven con el oso"
    assert logp_after(world, f"{INTRODUCTION} {head}", "venden") > -20
    assert logp_after(world, f"{INTRODUCTION} {head}", "vende") == -math.inf
    sad = f"{INTRODUCTION} Julia está triste porque la paloma"
    nice = sum(math.exp(logp_after(world, f"{sad} no es", forms[1])) for forms in SPANISH.good)
    assert abs(nice - 0.95) <= 1e-12
    nice = sum(math.exp(logp_after(world, f"{sad} es", forms[1])) for forms in SPANISH.good)
    assert abs(nice - 0.05) <= 1e-12
    again = f"{sad} es fea . Julia está"
    assert abs(sum(math.exp(logp_after(world, again, forms[1])) for forms in SPANISH.sad) - 0.9) <= 1e-12
    assert abs(sum(math.exp(logp_after(world, f"{sad} es fea . Raúl está", f[0])) for f in SPANISH.sad) - 0.5) <= 1e-12


def test_the_facts_tail_is_the_exponent():
    p = np.sort(WORLDS["facts"].joint.ravel())[::-1]
    ranks = np.arange(len(p)) + 21
    slope = np.polyfit(np.log(ranks), np.log(p), 1)[0]
    assert abs(slope + 1.5) <= 1e-9


def test_lexicons_are_of_one_size_and_give_each_word_one_role():
    for name in ("names", "animals", "objects", "places", "verbs", "colours", "good", "bad", "happy", "sad"):
        assert len(getattr(ENGLISH, name)) == len(getattr(SPANISH, name)), name
    for lexicon in LEXICONS.values():
        forms = [
            [n.singular for n in lexicon.names],
            [n.form(i) for n in lexicon.animals for i in (0, 1)],
            [v for forms in lexicon.verbs for v in forms],
            [n.singular for n in lexicon.objects],
        ]
        for words in forms:
            assert len(set(words)) == len(words)
        assert lexicon.categories and len(set(lexicon.words)) == len(lexicon.words)


def test_the_seed_makes_the_world():
    a, b = Mundito(MunditoConfig(seed=3)), Mundito(MunditoConfig(seed=3))
    assert a.document(random.Random(0)) == b.document(random.Random(0))
    assert not np.array_equal(a.joint, Mundito(MunditoConfig(seed=4)).joint)


@pytest.mark.parametrize(
    ("changes", "words"),
    [({"language": "fr"}, "no language 'fr'"), ({"seed": -1}, "seed is -1"), ({"tail": 0}, "tail is 0")],
)
def test_settings_that_cannot_be_are_named(changes, words):
    with pytest.raises(ConfigError, match=words):
        MunditoConfig(**changes)


@worlds
def test_rows_begin_at_a_document_and_carry_the_true_loss(world):
    batches = MunditoBatches(world, context=24, batch_size=5, seed=7)
    batch = batches.at(3)
    assert {name: a.shape for name, a in batch.items()} == dict.fromkeys(["ids", "targets", "oracle"], (5, 24))
    for ids, targets, oracle in zip(batch["ids"], batch["targets"], batch["oracle"], strict=True):
        tokens = [*ids, targets[-1]]
        assert tokens[0] == world.id_of["<bos>"] and list(targets[:-1]) == list(ids[1:])
        np.testing.assert_allclose(-world.logp(tokens)[1:], oracle, atol=1e-12)
    again = MunditoBatches(world, context=24, batch_size=5, seed=7).at(3)
    for name in batch:
        np.testing.assert_array_equal(again[name], batch[name])
    assert not np.array_equal(batches.at(4)["ids"], batch["ids"])
    other = MunditoBatches(world, 24, 5, seed=7, part="validation")
    assert not np.array_equal(other.at(3)["ids"], batch["ids"])
    with pytest.raises(ValueError, match="read-only"):
        batch["ids"][0, 0] = 1


def test_rows_may_be_few_and_come_again():
    batches = MunditoBatches(WORLDS["es"], context=8, batch_size=4, rows=6)
    rows = [tuple(r) for step in range(3) for r in batches.at(step)["ids"]]
    assert len(set(rows)) == 6 and rows[:6] == rows[6:]
    windows = list(batches.windows(6))
    assert [len(b["ids"]) for b in windows] == [4, 2]
    with pytest.raises(ConfigError, match="rows is 0"):
        MunditoBatches(WORLDS["es"], context=8, batch_size=4, rows=0)
