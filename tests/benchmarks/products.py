"""The matrix products of a training step: the floor under its time, since no order of the other work spares one.

`of_step` lists them all, forward and backward, as (n, k) @ (k, m), so many times; attention's in tiles of query rows,
of which a causal one ends at the last position that it may read. `ml.trace()` counts the same FLOPs where nothing is
left out (whole=True); a test holds the two together.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from sizes import Size

TILE_ROWS = 32  # query rows of attention at a time
HEAD_ROWS = 512  # rows of logits at a time, of which there may be too many to hold


@dataclass(frozen=True)
class Product:
    """(n, k) @ (k, m) for each of `stack` pairs of matrices, done `times` times in a step.

    a, b: how the operands lie: "rows", as they are; "columns", as the transpose of an array (k, n) or (m, k);
    "heads", strided, as a head's part of an array (B, T, 3, H, K).
    """

    name: str
    n: int
    k: int
    m: int
    a: str = "rows"
    b: str = "rows"
    stack: int = 1
    times: int = 1

    @property
    def flops(self) -> int:
        return 2 * self.n * self.k * self.m * self.stack * self.times


def of_step(workload: str, size: Size, whole: bool = False) -> list[Product]:
    """All products of a step. whole: attention's masked half too."""
    return list(_STEPS[workload](size, whole))


def flops(products: list[Product]) -> int:
    return sum(p.flops for p in products)


def _linear(name: str, rows: int, inputs: int, outputs: int, times: int = 1) -> Iterator[Product]:
    """y = x W; x̄ = ȳ Wᵀ; W̄ = xᵀ ȳ."""
    yield Product(f"{name}, forward", rows, inputs, outputs, times=times)
    yield Product(f"{name}, to its input", rows, outputs, inputs, b="columns", times=times)
    yield Product(f"{name}, to its weight", inputs, rows, outputs, a="columns", times=times)


def _attention(size: Size, causal: bool, layers: int) -> Iterator[Product]:
    """q kᵀ and p v; p̄ = ȳ vᵀ, q̄ = s̄ k, v̄ = pᵀ ȳ, k̄ = s̄ᵀ q: of each tile, for every head of every sequence."""
    T, K, stack = size.context, size.width // size.heads, size.batch * size.heads
    for start in range(0, T, TILE_ROWS):
        n = min(TILE_ROWS, T - start)
        end = start + n if causal else T
        how = {"stack": stack, "times": layers}
        yield Product("scores", n, K, end, a="heads", b="heads, columns", **how)
        yield Product("values", n, end, K, b="heads", **how)
        yield Product("to the weights", n, K, end, a="heads", b="heads, columns", **how)
        yield Product("to the queries", n, end, K, b="heads", **how)
        yield Product("to the values", end, n, K, a="columns", b="heads", **how)
        yield Product("to the keys", end, n, K, a="columns", b="heads", **how)


def _head(name: str, rows: int, width: int, vocab_size: int) -> Iterator[Product]:
    """Logits z = x Eᵀ; x̄ = z̄ E; Ē = z̄ᵀ x: in parts of some hundred rows."""
    for start in range(0, rows, HEAD_ROWS):
        n = min(HEAD_ROWS, rows - start)
        yield Product(f"{name}, forward", n, width, vocab_size, b="columns")
        yield Product(f"{name}, to its input", n, vocab_size, width)
        yield Product(f"{name}, to its weight", vocab_size, n, width, a="columns")


def _blocks(size: Size, causal: bool) -> Iterator[Product]:
    rows, D = size.tokens, size.width
    yield from _linear("queries, keys, values", rows, D, 3 * D, size.layers)
    yield from _attention(size, causal, size.layers)
    yield from _linear("attention's output", rows, D, D, size.layers)


def _gpt(size: Size, whole: bool) -> Iterator[Product]:
    yield from _blocks(size, causal=not whole)
    yield from _linear("MLP, up", size.tokens, size.width, size.mlp_width, size.layers)
    yield from _linear("MLP, down", size.tokens, size.mlp_width, size.width, size.layers)
    yield from _head("head", size.tokens, size.width, size.vocab_size)


def _encoder(size: Size) -> Iterator[Product]:
    yield from _blocks(size, causal=False)
    yield from _linear("MLP, up", size.tokens, size.width, size.mlp_width, size.layers)
    yield from _linear("MLP, down", size.tokens, size.mlp_width, size.width, size.layers)
    yield from _linear("pooler", size.batch, size.width, size.width)


def _bert(size: Size, whole: bool) -> Iterator[Product]:
    words = size.batch * size.masked
    yield from _encoder(size)
    yield from _linear("next sentence", size.batch, size.width, 2)
    yield from _linear("masked words", words, size.width, size.width)
    yield from _head("head", words, size.width, size.vocab_size)


def _llama(size: Size, whole: bool) -> Iterator[Product]:
    yield from _blocks(size, causal=not whole)
    yield from _linear("MLP, gate", size.tokens, size.width, size.gated_width, size.layers)
    yield from _linear("MLP, up", size.tokens, size.width, size.gated_width, size.layers)
    yield from _linear("MLP, down", size.tokens, size.gated_width, size.width, size.layers)
    yield from _head("head", size.tokens, size.width, size.vocab_size)


def _finetuning(size: Size, whole: bool) -> Iterator[Product]:
    yield from _encoder(size)
    yield from _linear("classes", size.batch, size.width, 2)


_STEPS = {"training": _gpt, "bert": _bert, "llama": _llama, "finetuning": _finetuning}
