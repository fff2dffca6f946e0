"""Scores of continuations against a loop, and choices by them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_models import small, words_tokenizer

from minilm import functional as F
from minilm.errors import ConfigError, DataError
from minilm.transfer import take_over
from minilm.transfer.zero_shot import choose, classify, log_probabilities

PRETRAINED = small("gpt")
MODEL = PRETRAINED.body(0)
take_over(MODEL, PRETRAINED, "all")
ids = st.lists(st.integers(0, 20), min_size=1, max_size=6)


def slowly(prompt: list[int], continuation: list[int]) -> float:
    total = 0.0
    for i, token in enumerate(continuation):
        row = np.array([[*prompt, *continuation[:i]]])
        total += float(F.log_softmax(MODEL(row), axis=-1).numpy()[0, -1, token])
    return total


@given(st.lists(st.tuples(ids, ids), min_size=1, max_size=5), st.integers(1, 3))
def test_scores_are_sums_over_the_continuation(pairs, batch) -> None:
    prompts, continuations = zip(*pairs, strict=True)
    found = log_probabilities(MODEL, prompts, continuations, batch)
    assert not (np.abs(found - [slowly(p, c) for p, c in pairs]).max() > 1e-3)


def test_norms() -> None:
    prompts, answers = [[6, 7], [8]], [[[9], [10, 11]], [[12], [13, 14, 15]]]
    plain = np.array([[slowly(p, c) for c in cs] for p, cs in zip(prompts, answers, strict=True)])
    lengths = np.array([[1, 2], [1, 3]])
    prior = np.array([[slowly([5], c) for c in cs] for cs in answers])
    for norm, wanted in (("sum", plain), ("token", plain / lengths), ("prior", plain - prior)):
        best, scores = choose(MODEL, prompts, answers, norm, [5])
        assert not (np.abs(scores - wanted).max() > 1e-3)
        assert (best == wanted.argmax(1)).all()


def test_texts_by_a_template() -> None:
    tokenizer = words_tokenizer()
    begin = lambda text: [1, *tokenizer.encode(text)]  # noqa: E731
    best, scores = classify(MODEL, begin, "{text} was", ["the cat", "it"], ["good", "bad house"])
    wanted = [
        [slowly(begin(f"{t} was"), tokenizer.encode(a)) for a in ("good", "bad house")] for t in ("the cat", "it")
    ]
    assert not (np.abs(scores - wanted).max() > 1e-3)
    assert (best == np.argmax(wanted, 1)).all()
    with pytest.raises(ConfigError, match=r"\{text\}"):
        classify(MODEL, begin, "was", ["it"], ["good", "bad"])


def test_what_cannot_be() -> None:
    with pytest.raises(DataError, match="empty"):
        log_probabilities(MODEL, [[1]], [[]])
    with pytest.raises(DataError, match="26 tokens, more than the model's context of 25"):
        log_probabilities(MODEL, [[1] * 24], [[2, 3]])
    with pytest.raises(DataError, match="2 prompts and 1"):
        log_probabilities(MODEL, [[1], [2]], [[2]])
    with pytest.raises(ConfigError, match="norm is 'mean'"):
        choose(MODEL, [[1]], [[[2], [3]]], "mean")
