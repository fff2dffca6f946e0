"""An encoder-decoder writes: against whole forwards, with the cache and without, each row as it would be alone."""

import numpy as np
import pytest

from minilm.errors import DataError, ShapeError
from minilm.generation import beam_search, generate, stream
from minilm.models.t5 import T5, T5Config
from minilm.nn.attention import FIRST_ROOM

START = 4


@pytest.fixture(scope="module")
def t5():
    config = T5Config(vocab_size=11, width=12, layers=2, heads=3, head_width=4, gated=True, start_id=START)
    model = T5(config).astype(np.float64).eval()
    for i, p in enumerate(model.parameters()):
        p.assign(np.random.default_rng([3, i]).standard_normal(p.shape) * 0.6)
    return model


def padded(seed):
    """Prompts of different lengths, and them in one batch with padding on either side: (prompts, ids, mask)."""
    rng = np.random.default_rng(seed)
    prompts = [rng.integers(0, 11, rng.integers(1, 8)) for _ in range(3)]
    ids, mask = rng.integers(0, 11, (3, 7)), np.zeros((3, 7), bool)
    for row, prompt in enumerate(prompts):
        where = slice(None, len(prompt)) if row % 2 else slice(7 - len(prompt), None)
        ids[row, where], mask[row, where] = prompt, True
    return prompts, ids, mask


def slow_greedy(model, prompt, count):
    """Greedy by the definition: a whole forward for each token."""
    written = [START]
    for _ in range(count):
        written.append(int(model(prompt[None], np.array([written])).numpy()[0, -1].argmax()))
    return written


@pytest.mark.parametrize("cache", [True, False])
def test_greedy_is_its_definition_for_each_row_of_a_padded_batch(t5, cache):
    for seed in range(8):
        prompts, ids, mask = padded(seed)
        together = generate(t5, ids, 12, temperature=0, attention_mask=mask, cache=cache).tolist()
        assert together == [slow_greedy(t5, prompt, 12) for prompt in prompts], seed


def test_a_text_longer_than_the_caches_first_room(t5):
    prompts, _, _ = padded(1)
    found = [generate(t5, prompts[0], FIRST_ROOM + 9, seed=0, cache=cache).tolist() for cache in (True, False)]
    assert found[0] == found[1] and len(found[0]) == 1 + FIRST_ROOM + 9


@pytest.mark.parametrize("cache", [True, False])
def test_its_beams_are_those_of_each_prompt_alone(t5, cache):
    how = {"stop": [1, 2], "num_return_sequences": 3, "pad": 0, "repetition_penalty": 1.1}
    for seed in range(4):
        prompts, ids, mask = padded(seed)
        together = beam_search(t5, ids, 9, 4, attention_mask=mask, cache=cache, **how)
        for row, prompt in enumerate(prompts):
            alone = beam_search(t5, prompt, 9, 4, cache=not cache, **how)
            mine = slice(3 * row, 3 * row + 3)
            n = alone.ids.shape[1]
            assert (together.ids[mine, :n] == alone.ids).all() and (together.ids[mine, n:] == 0).all(), seed
            np.testing.assert_allclose(together.scores[mine], alone.scores, rtol=1e-9)


def test_stop_pad_and_stream(t5):
    prompts, ids, mask = padded(2)
    free = generate(t5, ids, 30, seed=5, attention_mask=mask)
    found = generate(t5, ids, 30, seed=5, attention_mask=mask, stop=7, pad=9)
    assert (found[:, 0] == START).all() and found.dtype == ids.dtype
    ends = [row.tolist().index(7) for row in free]
    assert found.shape[1] == max(ends) + 1 and len(set(ends)) > 1
    for row, all_of_it, end in zip(found, free, ends, strict=True):
        assert (row[: end + 1] == all_of_it[: end + 1]).all() and (row[end + 1 :] == 9).all()
    alone = generate(t5, prompts[0], 8, seed=5)
    assert alone.tolist() == [START, *stream(t5, prompts[0], 8, seed=5)]


def test_the_encoder_reads_once():
    read = []

    class Watched(T5):
        def encode(self, ids, attention_mask=None):
            read.append(ids.shape)
            return super().encode(ids, attention_mask)

    model = Watched(T5Config(vocab_size=11, width=12, layers=1, heads=3, head_width=4))
    generate(model, [[1, 2, 3]], 5, beams=4)
    assert read == [(1, 3)]


def test_refusals(t5):
    with pytest.raises(DataError, match="got id 11, but the model's vocabulary"):
        stream(t5, [1, 11], 3)
    with pytest.raises(ShapeError, match=r"attention_mask: got shape \(1, 2\), wanted \(1, 3\)"):
        stream(t5, [1, 2, 3], 3, attention_mask=[1, 1])
