"""Mundito, written once for all trainings of a sweep: a row takes longer to write than a small model to learn from.

A row is a pure function of world, context, seed and number, so what is stored is no more than kept: the trainings see
the very batches of MunditoBatches. Files have so many rows each, are renamed into place when whole, and are made by
whoever first needs them.
"""

import dataclasses
import functools
import hashlib
import io
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

import minilm
from minilm.mundito.rows import Batch, MunditoBatches
from minilm.mundito.world import Mundito, MunditoConfig
from minilm.pretraining.data import KnownTokens
from minilm.pretraining.recipes import Recipe
from minilm.pretraining.sources import MunditoSource
from minilm.resources import write_atomically

ROWS = 512  # of a file
TOKEN = np.dtype([("id", "<u2"), ("log_p", "<f8")])


@dataclasses.dataclass(frozen=True)
class Stock:
    """The rows of one world, context, seed and part, in files of a folder."""

    folder: Path
    world: MunditoConfig
    context: int
    seed: int
    part: str

    @property
    def place(self) -> Path:
        key = json.dumps([minilm.__version__, dataclasses.asdict(self.world), self.context], sort_keys=True)
        digest = hashlib.sha256(key.encode()).hexdigest()[:8]
        return self.folder / f"tail{self.world.tail:g}-{digest}" / f"{self.part}-seed{self.seed}"

    def file(self, number: int) -> Path:
        return self.place / f"{number:06d}.npy"

    def missing(self, rows: int) -> list[int]:
        """The numbers of the files that are not there of those with the first `rows` rows."""
        return [number for number in range(-(-rows // ROWS)) if not self.file(number).exists()]

    def make(self, number: int) -> None:
        """Write a file; two that write it at once write the same."""
        batches = MunditoBatches(_world(self.world), self.context, 1, self.seed, part=self.part)
        rows = [batches.row(n) for n in range(number * ROWS, (number + 1) * ROWS)]
        buffer = io.BytesIO()
        np.save(buffer, np.array(rows, dtype=TOKEN))
        write_atomically(self.file(number), buffer.getvalue())

    def open(self, number: int) -> np.ndarray:
        """The rows of a file, (ROWS, T + 1), made now if they are not there, or cannot be read."""
        path = self.file(number)
        try:
            return _mapped(path)
        except (FileNotFoundError, ValueError, EOFError):
            self.make(number)
            return _mapped(path)


@functools.lru_cache(maxsize=2)
def _world(config: MunditoConfig) -> Mundito:
    return Mundito(config)


@functools.lru_cache(maxsize=64)
def _mapped(path: Path) -> np.ndarray:
    return np.load(path, mmap_mode="r")


class StoredBatches(MunditoBatches):
    """MunditoBatches out of a stock."""

    def __init__(self, stock: Stock, world: Mundito, batch_size: int):
        super().__init__(world, stock.context, batch_size, stock.seed, part=stock.part)
        self.stock = stock

    def _batch(self, numbers: Iterable[int]) -> Batch:
        places = np.array(list(numbers))
        rows = np.empty((len(places), self.context + 1), TOKEN)
        for number in np.unique(places // ROWS):
            here = places // ROWS == number
            rows[here] = self.stock.open(int(number))[places[here] % ROWS]
        ids = rows["id"].astype(np.int64)
        batch = {"ids": ids[:, :-1].copy(), "targets": ids[:, 1:].copy(), "oracle": -rows["log_p"][:, 1:]}
        for array in batch.values():
            array.flags.writeable = False
        return batch


class StoredTokens(KnownTokens):
    """KnownTokens out of a stock."""

    def __init__(self, folder: Path, world: Mundito, recipe: Recipe, seed: int):
        self.folder = folder
        super().__init__(world, recipe, seed)
        self.batches = self._stored("train")

    def _stored(self, part: str) -> StoredBatches:
        stock = Stock(self.folder, self.world.config, self.recipe.context, self.seed, part)
        return StoredBatches(stock, self.world, self.recipe.batch)

    def _rows(self, part: str, count: int) -> list[Batch]:
        return list(self._stored(part).windows(count))


class StoredMundito(MunditoSource):
    """The source Mundito; what a GPT learns from comes out of a stock."""

    def __init__(self, config: MunditoConfig, folder: Path):
        super().__init__(config)
        self.folder = folder

    def tokens(self, recipe: Any, seed: int) -> StoredTokens:
        return StoredTokens(self.folder, self.world, recipe, seed)
