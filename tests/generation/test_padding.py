"""Prompts of different lengths in one batch, padded on the left: each row is what it would be alone."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minilm.errors import DataError, DTypeError, ShapeError
from minilm.generation import beam_search, generate
from minilm.generation.reading import DecoderReader
from minilm.generation.task import prepare

CONTEXT = 8  # of the model `wild`


def padded(prompts, rng):
    """(ids, mask) of prompts of different lengths; what stands in the padding is anything."""
    width = max(map(len, prompts))
    ids = rng.integers(0, 11, (len(prompts), width))
    mask = np.zeros(ids.shape, int)
    for row, prompt in enumerate(prompts):
        ids[row, width - len(prompt) :] = prompt
        mask[row, width - len(prompt) :] = 1
    return ids, mask


def some_prompts(seed, longest):
    rng = np.random.default_rng(seed)
    return [rng.integers(0, 11, rng.integers(1, longest + 1)) for _ in range(rng.integers(2, 5))], rng


SETTINGS = {
    "greedy": {},
    "repetition penalty": {"repetition_penalty": 1.7},
    "no repeated bigram": {"no_repeat_ngram": 2},
    "stops": {"stop": [3, 5], "min_new_tokens": 2, "pad": 0},
}


@pytest.mark.parametrize("cache", [True, False])
@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize("longest", [CONTEXT // 2, 2 * CONTEXT + 3])
def test_each_row_goes_on_as_it_would_alone(wild, name, cache, longest, sized):
    """Within the context and past it, where each row's window moves at its own time."""
    settings = {"temperature": 0, "cache": cache, "on_notice": str, **SETTINGS[name]}
    for seed in range(sized(4, 8)):
        prompts, rng = some_prompts(seed, longest)
        ids, mask = padded(prompts, rng)
        together = generate(wild, ids, 14, attention_mask=mask, **settings)
        for row, prompt in zip(together[:, ids.shape[1] :], prompts, strict=True):
            alone = generate(wild, prompt, 14, **settings)[len(prompt) :]
            assert row[: len(alone)].tolist() == alone.tolist(), seed
            assert (row[len(alone) :] == 0).all()  # the pad


@given(st.integers(0, 10**6), st.sampled_from([3, CONTEXT, 20]), st.booleans())
def test_its_logits_are_those_of_the_row_alone(wild, seed, longest, cached):
    prompts, rng = some_prompts(seed, longest)
    ids, mask = padded(prompts, rng)
    reader = DecoderReader(wild, len(ids), cached, mask.argmax(axis=1))
    alone = [DecoderReader(wild, 1, cached) for _ in prompts]
    new = rng.integers(0, 11, (len(ids), 10))
    for n in range(10):
        found = reader.logits(np.concatenate([ids, new[:, :n]], axis=1))
        for row, prompt in enumerate(prompts):
            wanted = alone[row].logits(np.concatenate([prompt, new[row, :n]])[None])[0]
            np.testing.assert_allclose(found[row], wanted, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("cache", [True, False])
def test_its_beams_are_those_of_the_row_alone(wild, cache):
    for seed in range(6):
        prompts, rng = some_prompts(seed, 12)
        ids, mask = padded(prompts, rng)
        how = {"stop": [1, 2], "num_return_sequences": 2, "repetition_penalty": 1.2, "no_repeat_ngram": 3, "pad": 0}
        together = beam_search(wild, ids, 9, 3, attention_mask=mask, cache=cache, on_notice=str, **how)
        for row, prompt in enumerate(prompts):
            alone = beam_search(wild, prompt, 9, 3, cache=cache, on_notice=str, **how)
            np.testing.assert_allclose(together.scores[2 * row : 2 * row + 2], alone.scores, rtol=1e-9)
            mine = together.ids[2 * row : 2 * row + 2, ids.shape[1] :]
            n = alone.ids.shape[1] - len(prompt)
            assert (mine[:, :n] == alone.ids[:, len(prompt) :]).all() and (mine[:, n:] == 0).all()


def test_padding_is_found_in_the_mask(wild):
    ids = np.arange(8).reshape(2, 4)
    assert prepare(wild, ids, 1, attention_mask=np.array([[0, 0, 1, 1], [1, 1, 1, 1]])).pads.tolist() == [2, 0]
    assert prepare(wild, ids, 1, attention_mask=np.ones((2, 4), bool)).pads is None
    assert generate(wild, [5, 1, 2], 3, temperature=0, attention_mask=[0, 1, 1])[3:].tolist() == (
        generate(wild, [1, 2], 3, temperature=0)[2:].tolist()
    )


def test_how_long_a_prompt_is_does_not_count_its_padding(wild):
    said = []
    ids, mask = np.ones((2, 12), int), np.arange(12) >= np.array([[5], [3]])
    generate(wild, ids[:1], 1, attention_mask=mask[:1], on_notice=said.append)
    assert said == []
    generate(wild, ids, 1, attention_mask=mask, on_notice=said.append)
    assert said == ["the prompt has 9 tokens, more than the model's context of 8: only the last 5 are read"]


@pytest.mark.parametrize(
    ("mask", "error", "said"),
    [
        ([[1, 1, 1], [1, 1, 0]], DataError, "attention_mask: row 1 has padding after a token"),
        ([[1, 0, 1], [1, 1, 1]], DataError, "attention_mask: row 0 has padding after a token"),
        ([[1, 1, 1], [0, 0, 0]], DataError, "attention_mask: row 1 has no token"),
        ([[1, 1], [1, 1]], ShapeError, r"attention_mask: got shape \(2, 2\), wanted \(2, 3\)"),
        ([[2, 1, 1], [1, 1, 1]], DTypeError, "attention_mask: wanted booleans or integers 0 and 1"),
    ],
)
def test_masks_that_are_no_left_padding(wild, mask, error, said):
    with pytest.raises(error, match=said):
        generate(wild, [[1, 2, 3], [4, 5, 6]], 2, attention_mask=mask)
