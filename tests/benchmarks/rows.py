"""The rows of the table: which engines do what, at which size, with how many threads."""

from dataclasses import dataclass, field
from typing import Any

from environment import AVX2
from sizes import L, M, S, Size
from smollm2 import SMOLLM2


@dataclass(frozen=True)
class Contender:
    """An engine as it is shown, and what makes it: the module `program`, with options.

    rounds: in how many it takes part, where it is too slow for all.
    """

    name: str
    program: str
    options: dict[str, Any] = field(default_factory=dict)
    rounds: int | None = None


MINILM = Contender("minilm", "minilm_engines")
TORCH = Contender("torch", "torch_engines")
EXPLICIT = Contender("torch, explicit attention", "torch_engines", {"explicit": True})
FUSED = Contender("torch, fused AdamW", "torch_engines", {"fused": True})
COMPILED = Contender("torch.compile", "torch_engines", {"compiled": True})
PRODUCTS = Contender("matrix products alone", "product_engines")
ATTENTION = Contender("attention alone", "minilm_engines", {"only_attention": True})
PARTS = (PRODUCTS.name, ATTENTION.name)  # what minilm cannot do without, timed by itself; no rivals

EAGER = (MINILM, TORCH, EXPLICIT, FUSED)


@dataclass(frozen=True)
class Row:
    """One row: a workload at a size by some contenders.

    rounds: at most so many are timed, after `warm_up` steps that are not; budget: no new one begins after so many
    seconds, but there are `least` at least.
    environment: variables for all engines of the row; avx2: whether they hold the libraries to AVX2.
    """

    name: str
    workload: str
    size: Any
    threads: int
    contenders: tuple[Contender, ...]
    rounds: int = 30
    budget: float = 45.0
    least: int = 3
    warm_up: int = 2
    avx2: bool = False

    @property
    def environment(self) -> dict[str, str]:
        return AVX2 if self.avx2 else {}


def _training(workload: str, size: Size, threads: int) -> Row:
    name = f"{workload}-{size.name}" + ("" if threads == 1 else f"-{threads}threads")
    contenders = (*EAGER, PRODUCTS) if threads == 1 else EAGER
    return Row(name, workload, size, threads, contenders)


def _generation(workload: str, size: Size, name: str) -> Row:
    return Row(name, workload, size, 1, (MINILM, TORCH, ATTENTION), rounds=15, budget=30, warm_up=1)


ROWS = [
    *[_training("training", size, threads) for size in (S, M, L) for threads in (1, 2)],
    _generation("generation", S, "generation-S"),
    _generation("generation", M, "generation-M"),
    _generation("generation-16", M, "generation-M-batch16"),
    Row(
        "smollm2",
        "smollm2",
        SMOLLM2,
        1,
        tuple(Contender(name, "smollm2", {"by": name}) for name in ("minilm", "torch")),
        rounds=5,
        warm_up=1,
    ),
]
