"""The rows of the table: which engines do what, at which size, with how many threads."""

import math
from dataclasses import dataclass, field, replace
from typing import Any

from environment import AVX2
from sizes import COST, L, M, S, Size
from smollm2 import SMOLLM2


@dataclass(frozen=True)
class Contender:
    """An engine as it is shown, and what makes it: the module `program`, with options.

    rounds: in how many it takes part, where it is too slow for all. slow_start: whether it takes long to get ready.
    size: its own, where a row compares sizes instead of engines.
    """

    name: str
    program: str
    options: dict[str, Any] = field(default_factory=dict)
    rounds: int | None = None
    slow_start: bool = False
    size: Size | None = None


MINILM = Contender("minilm", "minilm_engines")
TORCH = Contender("torch", "torch_engines")
EXPLICIT = Contender("torch, explicit attention", "torch_engines", {"explicit": True})
FUSED = Contender("torch, fused AdamW", "torch_engines", {"fused": True})
COMPILED = Contender("torch.compile", "torch_engines", {"compiled": True}, slow_start=True)
JAX = Contender("jax", "jax_engines", slow_start=True)
AUTOGRAD = Contender("autograd", "autograd_engines", rounds=2)
PRODUCTS = Contender("matrix products alone", "product_engines")
ATTENTION = Contender("attention alone", "minilm_engines", {"only_attention": True})

PARTS = (PRODUCTS.name, ATTENTION.name)  # what minilm cannot do without, timed by itself; no rivals
EAGER = (MINILM, TORCH, EXPLICIT, FUSED)


@dataclass(frozen=True)
class Row:
    """One row: a workload at a size by some contenders.

    rounds: at most so many are timed, after `warm_up` steps that are not; budget: no new one begins after so many
    seconds, but there are `least` at least. avx2: whether the libraries are held to AVX2.
    axis: the attribute of a size that is changed, where a row tells how time grows with it.
    """

    name: str
    workload: str
    size: Any
    threads: int
    contenders: tuple[Contender, ...]
    rounds: int = 30
    budget: float = 25.0
    least: int = 3
    warm_up: int = 2
    avx2: bool = False
    axis: str | None = None

    @property
    def environment(self) -> dict[str, str]:
        """What is set for all of its engines."""
        return AVX2 if self.avx2 else {}

    def quick(self) -> "Row":
        """The same in a third of the time: fewer rounds, without what takes long to compile or to compute."""
        kept = [c for c in self.contenders if not c.slow_start and c.rounds is None]
        return replace(self, contenders=tuple(kept), budget=self.budget / 4, least=2, warm_up=1)


# ------------------------------------------------------------------------------------------------------- the table


def _training(workload: str, size: Size, threads: int) -> Row:
    name = f"{workload}-{size.name}" + ("" if threads == 1 else f"-{threads}threads")
    contenders = (*EAGER, COMPILED, JAX, AUTOGRAD)
    return Row(name, workload, size, threads, (*contenders, PRODUCTS) if threads == 1 else contenders)


def _on_avx2(workload: str, size: Size) -> Row:
    return Row(f"{workload}-{size.name}-avx2", workload, size, 1, (*EAGER, PRODUCTS), budget=15, avx2=True)


def _generation(workload: str, size: Size, name: str) -> Row:
    return Row(name, workload, size, 1, (MINILM, TORCH, ATTENTION), rounds=15, warm_up=1)


def _cost(letter: str, axis: str, values: tuple[int, ...]) -> Row:
    """Training at sizes that differ in one number; heads keep their width."""
    points = []
    for value in values:
        heads = COST.heads * value // COST.width if axis == "width" else COST.heads
        size = replace(COST, heads=heads, **{axis: value})
        points.append(replace(MINILM, name=f"{letter}={value}", size=size))
    return Row(f"cost-{letter}", "cost", COST, 1, tuple(points), rounds=7, budget=10, axis=axis)


TRAINED, SIZES = ("training", "bert"), (S, M, L)
ROWS = [
    *[_training(workload, size, threads) for workload in TRAINED for size in SIZES for threads in (1, 2)],
    *[_on_avx2(workload, size) for workload in TRAINED for size in SIZES],
    Row("llama-S", "llama", S, 1, (MINILM, TORCH, EXPLICIT, PRODUCTS), budget=15),
    Row("finetuning-M", "finetuning", M, 1, (*EAGER, PRODUCTS)),
    _generation("generation", S, "generation-S"),
    _generation("generation", M, "generation-M"),
    _generation("generation-16", M, "generation-M-batch16"),
    Row("smollm2", "smollm2", SMOLLM2, 1, tuple(replace(c, program="smollm2_" + c.program) for c in (MINILM, TORCH))),
    _cost("B", "batch", (1, 2, 4, 8, 16)),
    _cost("T", "context", (32, 64, 128, 256, 512)),
    _cost("d", "width", (64, 128, 256, 512)),
    _cost("L", "layers", (1, 2, 4, 8, 16)),
]


def exponent(values: list[float], costs: list[float]) -> float:
    """The e of cost = c · value^e, by least squares on the logarithms."""
    x, y = [math.log(value) for value in values], [math.log(cost) for cost in costs]
    mean_x, mean_y = sum(x) / len(x), sum(y) / len(y)
    return sum((a - mean_x) * (b - mean_y) for a, b in zip(x, y, strict=True)) / sum((a - mean_x) ** 2 for a in x)
