"""What is stored is what Mundito writes: the same rows, whichever the batch, the file and the order."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minilm.mundito.rows import MunditoBatches
from minilm.mundito.world import Mundito, MunditoConfig
from minilm.pretraining.data import KnownTokens
from minilm.pretraining.recipes import Recipe
from minilm.sweeps import rows
from minilm.sweeps.rows import Stock, StoredBatches, StoredMundito

WORLD = MunditoConfig("es", 0, 1.0, True)
CONTEXT, A_FILE = 7, 8


@pytest.fixture(autouse=True)
def short_files(monkeypatch):
    monkeypatch.setattr(rows, "ROWS", A_FILE)
    rows._mapped.cache_clear()


@pytest.fixture(scope="module")
def world():
    return Mundito(WORLD)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("stock")


def same(one, other):
    assert one.keys() == other.keys() == {"ids", "targets", "oracle"}
    for name in one:
        assert one[name].dtype == other[name].dtype and np.array_equal(one[name], other[name]), name
        assert not one[name].flags.writeable


@given(st.sampled_from(["train", "final"]), st.integers(0, 2), st.integers(1, 2 * A_FILE + 1), st.integers(0, 12),
       st.integers(1, 3))  # fmt: skip
def test_batches_are_those_of_mundito(world, folder, part, seed, size, step, k):
    """Across the borders of files, too."""
    fresh = MunditoBatches(world, CONTEXT, size, seed, part=part)
    stored = StoredBatches(Stock(folder, WORLD, CONTEXT, seed, part), world, size)
    same(stored.at(step), fresh.at(step))
    same(stored.share(step, k - 1, k), fresh.share(step, k - 1, k))
    assert stored.fingerprint == fresh.fingerprint
    for one, other in zip(stored.windows(step + 1), fresh.windows(step + 1), strict=True):
        same(one, other)


def test_a_training_reads_the_same_whether_they_are_stored_or_not(world, folder):
    recipe = Recipe("words", 0, 8, 1, 1, CONTEXT, batch=3, steps=9, rate=0.1, warmup=1, validation=10)
    stored, fresh = StoredMundito(WORLD, folder).tokens(recipe, 1), KnownTokens(world, recipe, 1)
    same(stored.batches.at(5), fresh.batches.at(5))
    assert len(stored.validation) == len(fresh.validation)
    for one, other in zip(stored.validation, fresh.validation, strict=True):
        same(one, other)


def test_worlds_contexts_seeds_and_parts_lie_apart(tmp_path):
    stocks = [
        Stock(tmp_path, world, context, seed, part)
        for world in (WORLD, MunditoConfig("es", 1, 1.0, True), MunditoConfig("es", 0, 0.5, True))
        for context in (7, 8)
        for seed in (0, 1)
        for part in ("train", "final")
    ]
    assert len({stock.file(0) for stock in stocks}) == len(stocks)


def test_what_is_missing_is_known_and_made_once(tmp_path):
    stock = Stock(tmp_path, WORLD, CONTEXT, 0, "train")
    assert stock.missing(1) == [0] and stock.missing(A_FILE) == [0] and stock.missing(A_FILE + 1) == [0, 1]
    stock.open(1)
    assert stock.missing(3 * A_FILE) == [0, 2] and stock.missing(0) == []
    before = stock.file(1).stat().st_mtime_ns
    rows._mapped.cache_clear()
    assert stock.open(1).shape == (A_FILE, CONTEXT + 1) and stock.file(1).stat().st_mtime_ns == before


@pytest.mark.parametrize("damage", [b"", b"\x93NUMPY", b"no rows at all"])
def test_a_file_that_cannot_be_read_is_made_again(tmp_path, damage):
    stock = Stock(tmp_path, WORLD, CONTEXT, 0, "train")
    whole = np.array(stock.open(0))
    rows._mapped.cache_clear()
    stock.file(0).write_bytes(damage)
    assert np.array_equal(stock.open(0), whole)
    assert not list(tmp_path.rglob("*.tmp"))
