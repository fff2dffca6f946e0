"""Batches: pure functions of (seed, step); an epoch reads every window once; evaluation scores every token once."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minilm.errors import ConfigError, DataError
from minilm.text import ByteBPE, CharTokenizer, TokenBatches, bits_per_byte, encode_documents
from minilm.text.batches import IGNORE

SHAPES = st.tuples(st.integers(1, 9), st.integers(1, 5), st.integers(0, 120), st.integers(0, 3))


def make(shape):
    """Tokens that tell their own position."""
    context, batch_size, more, seed = shape
    return TokenBatches(np.arange(context + 1 + more, dtype=np.int32), context, batch_size, seed)


@given(SHAPES, st.integers(0, 50))
def test_shapes_targets_and_purity(shape, step):
    batches = make(shape)
    batch = batches.at(step)
    ids, targets = batch["ids"], batch["targets"]
    assert ids.shape == targets.shape == (batches.batch_size, batches.context)
    assert ids.dtype == targets.dtype == np.int64
    assert (np.diff(ids, axis=1) == 1).all() and (targets == ids + 1).all()
    other = make(shape)
    for before in (step + 3, 0, step):
        again = other.at(before)
    assert (again["ids"] == ids).all() and (again["targets"] == targets).all()


@given(SHAPES)
def test_an_epoch_reads_each_window_once(shape):
    batches = make(shape)
    n, T, B = batches.windows_per_epoch, batches.context, batches.batch_size
    row = np.concatenate([batches.at(step)["ids"][:, 0] for step in range(3 * n // B + 2)])
    for epoch in range(3):
        starts = np.sort(row[epoch * n : (epoch + 1) * n])
        assert (np.diff(starts) == T).all(), "windows of an epoch follow one another without overlap"
        assert starts[0] >= 0 and starts[-1] + T < len(batches.tokens)
        assert len(batches.tokens) - 1 - n * T < 2 * T, "less than two windows are left over"


def test_epochs_differ_in_offset_and_order_and_cover_everything():
    batches = TokenBatches(np.arange(8 * 16 + 1), 8, batch_size=15)
    first = [batches.at(step)["ids"][:, 0] for step in range(60)]
    offsets = {int(starts.min()) for starts in first}
    assert offsets == set(range(9))
    assert any((np.diff(starts) < 0).any() for starts in first)
    assert len({tuple(np.argsort(starts)) for starts in first}) > 50
    targets = np.concatenate([batches.at(step)["targets"].ravel() for step in range(60)])
    assert set(targets) == set(range(1, 8 * 16 + 1))


def test_seeds_differ():
    tokens = np.arange(1000)
    a, b = (TokenBatches(tokens, 8, 4, seed).at(0)["ids"] for seed in (0, 1))
    assert (a != b).any()


def test_arrays_are_read_only():
    batches = make((4, 2, 20, 0))
    for batch in (batches.at(0), next(batches.windows())):
        for array in batch.values():
            with pytest.raises(ValueError, match="read-only"):
                array[0, 0] = 1


@given(SHAPES, st.data())
def test_evaluation_scores_each_token_once_with_enough_context(shape, data):
    batches = make(shape)
    T, N = batches.context, len(batches.tokens)
    stride = data.draw(st.integers(1, T))
    scored = []
    all_batches = list(batches.windows(stride))
    for b, batch in enumerate(all_batches):
        ids, targets = batch["ids"], batch["targets"]
        assert ids.shape == targets.shape and ids.shape[1] == T and ids.dtype == targets.dtype == np.int64
        assert len(ids) == batches.batch_size or b == len(all_batches) - 1
        for w, (row, goal) in enumerate(zip(ids, targets, strict=True)):
            here = np.flatnonzero(goal != IGNORE)
            assert here.size, "no window is idle"
            assert (goal[here] == row[here] + 1).all()
            assert (np.diff(row[: here[-1] + 1]) == 1).all()
            if b or w:
                assert here[0] >= T - stride
            scored += goal[here].tolist()
    assert scored == list(range(1, N))


def test_evaluation_without_overlap_is_the_default():
    batches = TokenBatches(np.arange(10), 4, 2)
    rows = np.concatenate([batch["targets"] for batch in batches.windows()])
    assert rows.tolist() == [[1, 2, 3, 4], [5, 6, 7, 8], [9, IGNORE, IGNORE, IGNORE]]


def test_a_text_shorter_than_the_context():
    TokenBatches(np.arange(9), 8, 1)
    with pytest.raises(DataError, match="has 8 tokens but a context of 8 needs at least 9"):
        TokenBatches(np.arange(8), 8, 1)
    with pytest.raises(DataError, match="has 0 tokens"):
        TokenBatches(np.empty(0), 8, 1)


@pytest.mark.parametrize("change", [{"context": 0}, {"batch_size": 0}, {"batch_size": 1.5}, {"seed": -1}])
def test_numbers_that_cannot_be(change):
    with pytest.raises(ConfigError, match=f"{next(iter(change))} must be an integer of at least"):
        TokenBatches(np.arange(9), **({"context": 2, "batch_size": 1, "seed": 0} | change))


def test_tokens_steps_and_strides_that_cannot_be():
    with pytest.raises(DataError, match=r"one row of integers, not float64 of shape \(9,\)"):
        TokenBatches(np.zeros(9), 2, 1)
    batches = TokenBatches(np.arange(9), 2, 1)
    with pytest.raises(ConfigError, match="step"):
        batches.at(-1)
    for stride in (0, 3, 1.0):
        with pytest.raises(ConfigError, match="stride must be an integer from 1 to the context 2"):
            batches.windows(stride)


def test_documents_are_joined_by_the_separator():
    tokenizer = CharTokenizer.train("ab\n")
    assert encode_documents(tokenizer, ["a", "b"]).tolist() == [1, 0, 0, 2]
    assert encode_documents(tokenizer, ["a", "b"], None).tolist() == [1, 2]
    bpe = ByteBPE.train("", 257, ["<|endoftext|>"])
    ids = encode_documents(bpe, ["a", "b", "c"], bpe.special_tokens["<|endoftext|>"])
    assert ids.tolist() == [97, 256, 98, 256, 99] and ids.dtype == np.int64
    assert encode_documents(bpe, []).shape == (0,)
    with pytest.raises(DataError, match="token id 257"):
        encode_documents(bpe, ["a", "b"], 257)


def test_bits_per_byte():
    assert bits_per_byte(np.log(2), 8, 4) == pytest.approx(2.0, abs=1e-15)
    with pytest.raises(DataError, match="0 bytes"):
        bits_per_byte(1.0, 3, 0)
