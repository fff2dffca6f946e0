"""Labels are true: read again from the text by other means, balanced, and a pure function of the seed."""

import math

import numpy as np
import pytest

from minilm.errors import ConfigError
from minilm.mundito import Mundito, MunditoConfig, tasks

WORLDS = {language: Mundito(MunditoConfig(language)) for language in ("es", "en")}
worlds = pytest.mark.parametrize("world", WORLDS.values(), ids=WORLDS.keys())


def words(world, ids):
    return world.text(ids).split()


@worlds
@pytest.mark.parametrize("task", tasks.TASKS)
def test_examples_are_a_pure_function_of_the_seed_and_new_for_another(world, task):
    first = tasks.examples(world, task, 40, seed=1)
    assert first == tasks.examples(world, task, 40, seed=1) and len(first) == 40
    assert first[:20] == tasks.examples(world, task, 20, seed=1)
    assert first != tasks.examples(world, task, 40, seed=2)
    assert all(0 <= t < world.vocab_size for e in first for t in (*e.text, *e.second))


@worlds
def test_sentiment_is_the_adjectives_turned_by_a_negation(world):
    lex = world.lexicon
    found = tasks.sentiment(world, 600, seed=0)
    good = {form for forms in lex.good for form in forms}
    for example in found:
        text = words(world, example.text)
        assert example.label == ((text[-2] in good) != (lex.denies[0] in text))
    assert abs(np.mean([e.label for e in found]) - 0.5) <= 4 * 0.5 / math.sqrt(600)


@worlds
def test_entailment_follows_contradicts_or_neither(world):
    """By the automaton itself: what follows is the colour that it would write for sure, if it could write the claim."""
    found = tasks.entailment(world, 300, seed=0)
    for example in found:
        claim = world.logp([world.id_of["<bos>"], *example.text, *example.second])[1 + len(example.text) :]
        colour = len(example.second) - 2
        possible = np.isfinite(claim[:colour]).all()
        label = 2 if not possible else 0 if claim[colour] == 0 else 1
        assert example.label == label, (world.text(example.text), world.text(example.second))
    assert min(np.bincount([e.label for e in found])) >= 70


@worlds
def test_the_span_is_the_answer_that_the_world_gives(world):
    for example in tasks.span_questions(world, 200, seed=0):
        (first, last) = example.label
        answer = example.text[first]
        logp = world.logp([world.id_of["<bos>"], *example.text, *example.second, answer])
        assert first == last and logp[-1] == 0


@worlds
def test_every_word_is_tagged_by_its_role(world):
    seen = set()
    for example in tasks.tagging(world, 300, seed=0):
        assert len(example.text) == len(example.label)
        for word, tag in zip(words(world, example.text), example.label, strict=True):
            assert tasks.TAGS[tag] == world.lexicon.categories.get(word, "O")
            seen.add(tag)
    assert seen == set(range(len(tasks.TAGS)))


@worlds
def test_documents_come_apart_into_sentences_and_lose_only_their_ends(world):
    for document in tasks.documents(world, 20, seed=3):
        assert all(sentence[-1] == world.id_of["."] and sentence.count(world.id_of["."]) == 1 for sentence in document)
        whole = [world.id_of["<bos>"], *(t for sentence in document for t in sentence), world.id_of["<eos>"]]
        assert np.isfinite(world.logp(whole)).all()


@worlds
@pytest.mark.parametrize("probe", [tasks.agreement, tasks.colour_questions])
def test_the_source_itself_answers_every_probe(world, probe):
    answers = []
    for prompt, groups, answer in probe(world, 100, seed=0):
        state = world.start
        for token in prompt:
            state = world.step(state, token)
        p = world.dist(state)
        given = [p[list(group)].sum() for group in groups]
        assert int(np.argmax(given)) == answer and given[answer] > 0.6
        answers.append(answer)
    assert len(set(answers)) > 1


@worlds
def test_true_claims_are_certain_and_false_ones_impossible(world):
    truths = []
    for prompt, token, true in tasks.claims(world, 100, seed=0):
        assert world.logp([*prompt, token])[-1] == (0 if true else -math.inf)
        truths.append(true)
    assert 25 <= sum(truths) <= 75


def test_an_unknown_task_is_named():
    with pytest.raises(ConfigError, match="task is 'parsing'; choose one of sentiment, entailment"):
        tasks.examples(WORLDS["es"], "parsing", 1, 0)
