"""The matrix products of a step and nothing else: np.matmul on arrays that lie as they do in a step."""

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from products import Product, of_step
from sizes import Size
from threadpoolctl import threadpool_info

Operands = tuple[np.ndarray, np.ndarray, np.ndarray]  # a, b and where a @ b goes


def kernels() -> str:
    """The BLAS that NumPy computes with, and for which processors its kernels are."""
    found = [pool for pool in threadpool_info() if pool["user_api"] == "blas"]
    return ", ".join(f"{pool['internal_api']} {pool.get('architecture', '')}".strip() for pool in found)


@contextlib.contextmanager
def products(workload: str, size: Size, weights: str, threads: int) -> Iterator[Callable[[Any], None]]:
    """A step does each product as often as a training step does it, all arrays made beforehand."""
    arrays = _Arrays(size)
    ready = [(p.times, arrays.operands(p)) for p in of_step(workload, size)]

    def step(given: Any) -> None:
        for times, operands in ready:
            for _ in range(times):
                for a, b, out in operands:
                    np.matmul(a, b, out=out)

    yield step


class _Arrays:
    """Arrays of the shapes that a step has. Products of the same shape share them, as those of one layer share theirs
    with the next: that is kind to the cache, and makes the floor a little lower than any step can reach."""

    def __init__(self, size: Size):
        self.size, self.rng = size, np.random.default_rng(0)
        self.plain = functools.cache(self._random)  # by what it is for, and its shape
        of = (size.batch, size.context, 3, size.heads, size.width // size.heads)
        self.heads = np.moveaxis(self._random("packed", *of), (2, 3), (0, 2))  # (3, B, H, T, K), a view
        self.merged = np.swapaxes(self._random("merged", *of[:2], *of[3:]), 1, 2)  # (B, H, T, K), a view

    def _random(self, use: str, *shape: int) -> np.ndarray:
        return self.rng.standard_normal(shape, np.float32)

    def operands(self, p: Product) -> list[Operands]:
        """A product's arrays; of a stack those of each sequence, for all of its heads."""
        if p.stack == 1:
            a = self.plain("a", p.n, p.k) if p.a == "rows" else self.plain("a", p.k, p.n).T
            b = self.plain("b", p.k, p.m) if p.b == "rows" else self.plain("b", p.m, p.k).T
            return [(a, b, self.plain("out", p.n, p.m))]
        return [self._of_sequence(p, i) for i in range(self.size.batch)]

    def _of_sequence(self, p: Product, i: int) -> Operands:
        """Queries, keys, values where they lie in one array; the scores of a tile, by themselves, in the cache."""
        query, key = self.heads[0, i], self.heads[1, i]  # (H, T, K)
        H = self.size.heads
        if p.b == "heads, columns":
            return query[:, : p.n], key[:, : p.m].swapaxes(1, 2), self.plain("scores", H, p.n, p.m)
        if p.a == "rows":
            return self.plain("scores", H, p.n, p.k), key[:, : p.k], self.merged[i, :, : p.n]
        return self.plain("scores", H, p.k, p.n).swapaxes(1, 2), query[:, : p.k], self.plain("gradient", H, p.n, p.m)


ENGINES = {workload: functools.partial(products, workload) for workload in ("training", "bert", "llama", "finetuning")}
