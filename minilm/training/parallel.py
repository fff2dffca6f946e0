"""Threads over the batch: each takes a shard of the sequences through its own replica of the model.

NumPy lets go of Python's lock while it computes, so threads do run side by side. A replica shares the weights and has
gradients of its own; afterwards these are added up in the order of the shards, so a given number of threads gives the
same bits each time. BLAS keeps to one thread inside each: two kinds of threads would fight for the same cores.
"""

import contextlib
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any, Self

import numpy as np
from threadpoolctl import threadpool_limits

from minilm.autograd import Tensor, no_grad
from minilm.backend import generator
from minilm.errors import ConfigError, DataError
from minilm.i18n import tr
from minilm.training.malloc import kept_memory
from minilm.training.optim import FlatParameters

Batch = dict[str, np.ndarray]

DROPOUT = 0x64726F70  # the purpose, in the key of a generator, of what dropout draws in training ("drop" in ASCII)


# --------------------------------------------------------------------------------------------------------- threads


class Threads:
    """`with Threads(4) as threads:` keeps four threads for the block; `map` shares work out among them.

    Throughout the block BLAS computes with one thread, and memory that is freed stays with the process, for the next
    step. With a count of 1 everything runs in the caller's own thread.
    """

    def __init__(self, count: int):
        if count < 1:
            raise ConfigError(tr("threads is {got}; it must be 1 or more", got=count))
        self.count = count
        self._pool: ThreadPoolExecutor | None = None

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            stack.enter_context(threadpool_limits(1, user_api="blas"))
            stack.enter_context(kept_memory())
            if self.count > 1:
                # some BLAS builds keep their limit per thread, so each thread sets its own
                self._pool = ThreadPoolExecutor(self.count, "minilm", threadpool_limits, (1, "blas"))
                stack.callback(self._pool.shutdown, wait=False, cancel_futures=True)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def map(self, function: Callable[..., Any], *items: Iterable[Any]) -> list[Any]:
        """[function(*item) for each item], once all are done; the first error of one is raised with its traceback."""
        if self._pool is None:
            return [function(*item) for item in zip(*items, strict=True)]
        futures = [self._pool.submit(function, *item) for item in zip(*items, strict=True)]
        wait(futures)
        return [future.result() for future in futures]


# ---------------------------------------------------------------------------------------------------------- shards


def batch_size(batch: Batch) -> int:
    """The number of sequences: the common length of axis 0. Raises DataError when the arrays differ in it."""
    sizes = {name: len(array) for name, array in batch.items()}
    if len(set(sizes.values())) != 1:
        raise DataError(tr("batch: axis 0 differs between its arrays: {sizes}", sizes=sizes))
    return next(iter(sizes.values()))


def split(batch: Batch, count: int) -> list[Batch]:
    """The batch cut along axis 0 into `count` parts, as even as can be, in order; fewer where it has fewer rows."""
    size = batch_size(batch)
    count = min(count, size)
    cuts = [size * i // count for i in range(count + 1)]
    return [{name: a[i:j] for name, a in batch.items()} for i, j in itertools.pairwise(cuts)]


# -------------------------------------------------------------------------------------------------- data parallel


class DataParallel:
    """A model, its replicas for the other threads, and their gradients, in the layout of `flat`.

    flat: the optimizer's parameters, which must be `model.trainable_parameters()`.
    """

    def __init__(self, model: Any, flat: FlatParameters, threads: Threads):
        self.model, self.flat, self.threads = model, flat, threads
        self.replicas = [model, *(model.replica() for _ in range(threads.count - 1))]
        self._parameters = [flat.parameters, *(self._in_layout(replica) for replica in self.replicas[1:])]
        self._gradients = [flat.gradients, *(flat.gradient_array(p) for p in self._parameters[1:])]

    def _in_layout(self, replica: Any) -> list[Tensor]:
        by_name = dict(replica.named_parameters())
        return [by_name[name] for name in self.flat.names]

    def gradients(
        self,
        objective: Any,
        batch: Batch,
        accumulation: int,
        key: Sequence[int],
        counts: dict[str, int] | None = None,
        first: int = 0,
    ) -> tuple[float, dict[str, float]]:
        """Leave in `flat.gradients` (and each `.grad`) the gradient of the objective's mean over the whole batch.

        The batch is computed in `accumulation` parts one after another, and each of these in one shard per thread (a
        part with fewer sequences than threads leaves the last threads idle). Dropout draws from the generator of
        (*key, part, shard). Returns the loss and what else the objective reports, each for the whole batch.

        Where other processes have the rest of the batch: counts are those of all of it, and shards are numbered from
        `first` on; what is left and returned is this part's share.
        """
        counts = objective.counts(batch) if counts is None else counts
        parts = [split(part, self.threads.count) for part in split(batch, accumulation)]
        used = max(len(shards) for shards in parts)

        def one_thread(i: int, replica: Any) -> list[tuple[float, dict[str, float]]]:
            replica.train()
            for p in self._parameters[i]:
                p.grad = None
            found = []
            for part, shards in enumerate(parts):
                if i < len(shards):
                    replica.set_generator(generator(*key, part, first + i))
                    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):  # the trainer looks itself
                        loss, metrics = objective(replica, shards[i], counts)
                        loss.backward()
                    found.append((float(loss.item()), metrics))
            self.flat.collect(self._parameters[i])
            return found

        found = self.threads.map(one_thread, range(used), self.replicas[:used])
        self._add_up(used)
        return _sum(pair for pairs in found for pair in pairs)

    def own_gradients(self) -> None:
        """Make each `.grad` what `flat.gradients` holds of it: another's gradients may have been added there."""
        for p in self.flat.parameters:
            p.grad = Tensor(p.grad_buffer)

    def _add_up(self, used: int) -> None:
        """Add the gradients of all shards into the first one's, in order, each thread a part of the layout."""

        def one_part(part: slice) -> None:
            for other in self._gradients[1:used]:
                self._gradients[0][part] += other[part]

        if used > 1:
            self.threads.map(one_part, self.flat.parts(self.threads.count))
            self.own_gradients()

    def evaluate(
        self, objective: Any, batches: Iterable[Batch], part: Callable[[list[Batch]], Sequence[Batch]] = list
    ) -> tuple[float, dict[str, float]]:
        """The objective's mean over all `batches` together, without dropout and without recording a graph; or the share
        of it that the batches in `part(batches)` have, for other processes to add theirs."""
        batches = list(batches)
        if not batches:
            raise DataError(tr("evaluate: there is no batch to evaluate on"))
        counts: dict[str, int] = {}
        for batch in batches:
            for name, count in objective.counts(batch).items():
                counts[name] = counts.get(name, 0) + count

        def one_thread(replica: Any, shard: Batch) -> tuple[float, dict[str, float]]:
            with no_grad(), np.errstate(over="ignore", invalid="ignore", divide="ignore"):
                loss, metrics = objective(replica, shard, counts)
                return float(loss.item()), metrics

        with self.evaluating():
            found = []
            for batch in part(batches):
                shards = split(batch, self.threads.count)
                found += self.threads.map(one_thread, self.replicas[: len(shards)], shards)
        return _sum(found)

    @contextlib.contextmanager
    def evaluating(self) -> Iterator[None]:
        """Every replica in evaluation mode for the block, and back in the mode that the model was in."""
        training = self.model.training
        for replica in self.replicas:
            replica.eval()
        try:
            yield
        finally:
            for replica in self.replicas if training else ():
                replica.train()


def _sum(found: Iterable[tuple[float, dict[str, float]]]) -> tuple[float, dict[str, float]]:
    total, metrics = 0.0, dict[str, float]()
    for loss, more in found:
        total += loss
        for name, value in more.items():
            metrics[name] = metrics.get(name, 0.0) + float(value)
    return total, metrics
