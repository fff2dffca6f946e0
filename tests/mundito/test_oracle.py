"""What can be known of a hidden word: equal to trying every word, whole texts and broken ones, one mask or more."""

import math
import random

import numpy as np
import pytest

from minilm.errors import ConfigError, DataError
from minilm.mundito import Mundito, MunditoConfig
from minilm.mundito.oracle import fill_distribution

WORLDS = {language: Mundito(MunditoConfig(language, seed=2)) for language in ("es", "en")}
FACTS = Mundito(MunditoConfig("en", seed=1, facts_only=True))
worlds = pytest.mark.parametrize("world", WORLDS.values(), ids=WORLDS.keys())


def by_trying(world, tokens, position, other=None):
    """p of each word at `position` by Bayes, over every word there and at `other`."""
    found = np.zeros(world.vocab_size)
    places = sorted({position, position if other is None else other})

    def add(text, left):
        if not left:
            found[text[position]] += math.exp(world.logp(text).sum())
            return
        for w in range(world.vocab_size):
            changed = [*text[: left[0]], w, *text[left[0] + 1 :]]
            if np.isfinite(world.logp(changed[: left[0] + 1])[-1]):
                add(changed, left[1:])

    add(list(tokens), places)
    return found / found.sum()


def documents(world, count, seed):
    rng = random.Random(seed)
    return [[t.id for t in world.document(rng)] for _ in range(count)], rng


@worlds
def test_one_word_is_known_as_well_as_by_trying_all(world, sized):
    certain, count = 0, sized(10, 25)
    for document in (found := documents(world, count, 1))[0]:
        text = document[: found[1].randrange(20, 60)]  # it may break off amid a sentence
        position = found[1].randrange(1, len(text))
        expected = by_trying(world, text, position)
        got = fill_distribution(world, text, position)
        np.testing.assert_allclose(got, expected, atol=1e-12)
        assert got[text[position]] > 0
        hidden = [*text[:position], world.id_of["[MASK]"], *text[position + 1 :]]
        np.testing.assert_array_equal(fill_distribution(world, hidden, position), got)
        certain += got.max() > 1 - 1e-9
    assert 0 < certain < count


def test_two_hidden_words_are_summed_over(sized):
    mask, differ = FACTS.id_of["[MASK]"], 0
    for document in documents(FACTS, sized(1, 2), 4)[0]:
        a, b = len(document) - 2, len(document) - 4  # the object and the verb
        hidden = [mask if t in (a, b) else token for t, token in enumerate(document)]
        for position, other in ((a, b), (b, a)):
            got = fill_distribution(FACTS, hidden, position)
            np.testing.assert_allclose(got, by_trying(FACTS, document, position, other), atol=1e-12)
            differ += not np.allclose(got, fill_distribution(FACTS, document, position), atol=1e-3)
    assert differ


def test_a_hidden_word_at_the_end_may_lead_anywhere(sized):
    """Its states are many, and each counts for the word before."""
    for document in documents(FACTS, sized(1, 2), 5)[0]:
        text = document[:7]  # <bos> in the park the dogs buy
        position = len(text) - 2
        hidden = [*text[:-1], FACTS.id_of["[MASK]"]]
        got = fill_distribution(FACTS, hidden, position)
        np.testing.assert_allclose(got, by_trying(FACTS, text, position, len(text) - 1), atol=1e-12)


@worlds
def test_what_follows_counts(world):
    """After the text alone it is what the automaton says; a later sentence can make it certain."""
    of = world.id_of
    intro = {"es": "<bos> Ana tiene una paloma", "en": "<bos> Ann has a"}[world.config.language]
    state = world.start
    for token in world.encode(intro):
        state = world.step(state, token)
    text = [*world.encode(intro), of["[MASK]"]]
    np.testing.assert_allclose(fill_distribution(world, text, len(text) - 1), world.dist(state), atol=1e-15)
    if world.config.language == "es":
        later = world.encode(". Luis tiene un gato feo .".replace("feo", "negro") + " la paloma de Ana es blanca")
        known = fill_distribution(world, [*text, *later], len(text) - 1)
        assert known[of["blanca"]] == 1 and known.sum() == 1


def test_a_long_text_does_not_underflow():
    texts, _ = documents(WORLDS["es"], 30, 9)
    long = [token for text in texts for token in text]
    assert WORLDS["es"].logp(long).sum() < -1500
    got = fill_distribution(WORLDS["es"], long, len(long) - 5)
    last = len(texts[-1])
    np.testing.assert_allclose(got, fill_distribution(WORLDS["es"], texts[-1], last - 5), atol=1e-12)


def test_bad_input():
    world = WORLDS["es"]
    with pytest.raises(DataError, match="cannot write this text: after '<bos> Ana tiene' there is no 'perro'"):
        fill_distribution(world, world.encode("<bos> Ana tiene perro ."), 4)
    with pytest.raises(ConfigError, match="position is 3, but the text has 3 words: it must be from 0 to 2"):
        fill_distribution(world, world.encode("<bos> Ana tiene"), 3)
