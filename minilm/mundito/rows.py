"""Rows of Mundito for a model to read, each beginning at a document, with the true loss of every target beside it.

A row is as many whole documents as it takes, the last one cut off; nothing of it depends on an earlier row. So the
oracle, who knows the automaton, has read exactly what the model has, and their difference on the very same tokens, the
*excess*, is what is left to learn: far less noisy than either loss, and never below 0 but by chance.
"""

import random
from collections.abc import Iterator
from typing import Any

import numpy as np

from minilm.errors import ConfigError
from minilm.i18n import tr
from minilm.mundito.world import Mundito

Batch = dict[str, np.ndarray]


class MunditoBatches:
    """Batches {"ids", "targets", "oracle"}, each (B, T); oracle is -ln p(target | all before it in its row), in nats.

    rows: how many different rows there are (a training that asks for more sees them again); None: new ones for ever.
    """

    def __init__(
        self, world: Mundito, context: int, batch_size: int, seed: int = 0, rows: int | None = None, part: str = "train"
    ):
        """part: "train", or another name for rows that are drawn apart from those ("validation")."""
        for name, got in (("context", context), ("batch_size", batch_size), ("rows", 1 if rows is None else rows)):
            if not isinstance(got, int) or got < 1:
                raise ConfigError(tr("{name} is {got!r}; it must be a whole number of at least 1", name=name, got=got))
        self.world, self.context, self.batch_size, self.seed = world, context, batch_size, seed
        self.rows, self.part = rows, part

    @property
    def fingerprint(self) -> str:
        """What the rows are a function of."""
        return f"mundito {self.world.config} {self.part} seed {self.seed} context {self.context} rows {self.rows}"

    def at(self, step: int) -> Batch:
        """The batch of a step ≥ 0, a pure function of the settings and the step."""
        numbers = range(step * self.batch_size, (step + 1) * self.batch_size)
        return self._batch(n if self.rows is None else n % self.rows for n in numbers)

    def share(self, step: int, i: int, k: int) -> Batch:
        """Rows B·i/k to B·(i+1)/k of that batch, made alone."""
        cuts = [step * self.batch_size + self.batch_size * j // k for j in (i, i + 1)]
        return self._batch(n if self.rows is None else n % self.rows for n in range(*cuts))

    def windows(self, count: int) -> Iterator[Batch]:
        """The first `count` rows once each, in batches; the last may have fewer."""
        for first in range(0, count, self.batch_size):
            yield self._batch(range(first, min(first + self.batch_size, count)))

    def row(self, number: int) -> list[tuple[int, float]]:
        """T + 1 tokens of row `number`, each with its log-probability."""
        rng = random.Random(f"{self.part} {self.seed} {number}")
        tokens: list[Any] = []
        while len(tokens) <= self.context:
            tokens += self.world.document(rng)
        return tokens[: self.context + 1]

    def _batch(self, numbers: Any) -> Batch:
        rows = np.array([self.row(n) for n in numbers])  # (B, T + 1, 2)
        ids = rows[..., 0].astype(np.int64)
        batch = {"ids": ids[:, :-1].copy(), "targets": ids[:, 1:].copy(), "oracle": -rows[:, 1:, 1]}
        for array in batch.values():
            array.flags.writeable = False
        return batch
