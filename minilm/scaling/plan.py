"""What a training would take on several machines, by the costs that `make bench` measured on one.

A step on p machines takes the time of its share of the batch, and then one all-reduce of the flat gradient buffer:

    seconds = FLOPs a token · tokens a step / p / (FLOPs a second of a machine)  +  2 (p − 1)/p · 4 N / bandwidth
              + 2 (p − 1) · latency

The second line is a ring's (Patarasuk and Yuan 2009): every machine sends and receives 2 (p − 1)/p of the buffer. What
is assumed: the rate measured at one size holds at another; the machines are alike and none waits for data; nothing of
the all-reduce hides behind the backward; the update by Adam is within the measured rate; each machine holds weights,
gradients and both moments whole, 16 N bytes, and the activations of as many texts at once as it is told.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from minilm.errors import ConfigError, DataError
from minilm.i18n import tr
from minilm.models.gpt import GPTConfig
from minilm.models.sizes import Shape, activation_memory, checked_context, count_parameters, training_memory
from minilm.scaling.counting import flops_by_operation

BATCH_TOKENS = 2**19  # of a step, as Kaplan et al. 2020 have it (section 2.2)
HEAD_ROWS = 512  # logits that the head's kernel holds at once
GRADIENT_BYTES = 4  # float32
SIZED = ("training-S", "training-M", "training-L")  # rows of the benchmark, small to large
PAIRED = "training-M-2threads"  # one thread against two


@dataclass(frozen=True)
class Measured:
    """One machine, as measured: FLOPs in matrix products a second of a training, on so many threads, and its memory.

    spread: the slowest and the fastest rate of the rounds, as shares of the median. activations: how many times the
    formula of `activation_memory` a training holds. base: bytes of a process that has trained nothing yet.
    """

    flops_per_second: float
    threads: int
    spread: tuple[float, float]
    activations: float
    base: float
    machine: str


@dataclass(frozen=True)
class Network:
    """Bytes a second between machines, each way at once, and seconds until a message arrives."""

    bandwidth: float = 1e9 / 8  # Gigabit Ethernet
    latency: float = 50e-6


@dataclass(frozen=True)
class Plan:
    """A training on so many machines: seconds of a step, and what follows. Bytes are of one machine."""

    machines: int
    steps: int
    compute_seconds: float
    all_reduce_seconds: float
    all_reduce_bytes: int
    memory_bytes: int
    tokens_per_second: float
    days: float

    @property
    def efficiency(self) -> float:
        """The share of a step that computes."""
        return self.compute_seconds / (self.compute_seconds + self.all_reduce_seconds)


def plan(
    shape: Shape,
    measured: Measured,
    machines: int,
    tokens: float,
    *,
    batch_tokens: int = BATCH_TOKENS,
    context: int | None = None,
    texts_at_once: int = 1,
    network: Network = Network(),
) -> Plan:
    """The training of a model on `tokens`, its batch shared out over the machines in whole texts.

    texts_at_once: of its share a machine computes so many texts at a time and adds up their gradients. ConfigError
    where the batch has fewer texts than there are machines, or a number is not above 0.
    """
    numbers = {
        "machines": machines,
        "tokens": tokens,
        "batch_tokens": batch_tokens,
        "texts_at_once": texts_at_once,
        "bandwidth": network.bandwidth,
        "flops_per_second": measured.flops_per_second,
    }
    for name, value in numbers.items():
        if not value > 0:
            raise ConfigError(tr("{name} is {got!r}; it must be above 0", name=name, got=value))
    T = checked_context(shape, context)
    texts = batch_tokens // T
    if texts < machines:
        raise ConfigError(
            tr("a batch of {tokens:,} tokens has {texts} texts of {context}, too few for {machines} machines: take a "
               "larger batch or fewer machines", tokens=batch_tokens, texts=texts, context=T, machines=machines)
        )  # fmt: skip
    share = -(-texts // machines) * T  # tokens of the machine that has most
    compute = training_products(shape, T) * share / measured.flops_per_second
    buffer = GRADIENT_BYTES * count_parameters(shape)
    moved = 2 * (machines - 1) / machines * buffer
    reduce = moved / network.bandwidth + 2 * (machines - 1) * network.latency
    steps = -(-int(tokens) // (texts * T))
    seconds = compute + reduce
    return Plan(
        machines,
        steps,
        compute,
        reduce,
        round(moved),
        round(memory(shape, texts_at_once, T, measured)),
        texts * T / seconds,
        steps * seconds / 86_400,
    )


def training_products(shape: Shape, context: int) -> int:
    """FLOPs in matrix products to train on one token."""
    return sum(flops.training for flops in flops_by_operation(shape, context).values())


def memory(shape: Shape, texts: int, context: int, measured: Measured) -> float:
    """Bytes of a training: 16 N, activations as often as measured, one chunk of logits, the process itself."""
    fixed = sum(training_memory(shape).values()) + GRADIENT_BYTES * HEAD_ROWS * shape.vocab_size + measured.base
    return fixed + measured.activations * activation_memory(shape, batch=texts, context=context)


# ------------------------------------------------------------------------------------------ what `make bench` measured


def read_speed(path: str | Path) -> dict[str, Any]:
    """The numbers that `make bench BENCH='--json FILE'` writes, docs/speed.json; DataError where there are none."""
    try:
        found = json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(
            tr("there is no file {path}: measure this machine by make bench BENCH='--json {path}', or give --flops",
               path=path)
        ) from None  # fmt: skip
    except (OSError, ValueError) as error:
        raise DataError(tr("{path} cannot be read ({reason})", path=path, reason=error)) from error
    if not isinstance(found, dict) or not isinstance(found.get("rows"), list):
        raise DataError(tr("{path} holds no rows of a benchmark; make bench writes such a file", path=path))
    return found


def by_hand(flops_per_second: float) -> Measured:
    """A machine of which only the rate is known; its memory by the formulas, activations twice, an empty process 0."""
    return Measured(flops_per_second, 1, (1.0, 1.0), 2.0, 0.0, "")


def measured(speed: Mapping[str, Any]) -> Measured:
    """One machine out of the benchmark's rows.

    The rate is that of the largest model trained on one thread, times what two threads bring in the row that has both;
    activations are what best explains the peak memory of all sizes, by least squares. DataError where no training was
    measured.
    """
    rows = {row["name"]: row for row in speed["rows"] if not row.get("problem") and "minilm" in row.get("seconds", {})}
    sized = [rows[name] for name in SIZED if name in rows]
    if not sized:
        raise DataError(tr("the benchmark has no row {names} of minilm: run make bench again", names=", ".join(SIZED)))
    largest = sized[-1]
    seconds = largest["seconds"]["minilm"]
    middle = median(seconds)
    shape, context = shape_of(largest["what"])
    rate = training_products(shape, context) * largest["tokens"] / middle
    gain, threads = 1.0, 1
    single = rows.get(PAIRED.removesuffix("-2threads"))
    if PAIRED in rows and single is not None:
        gain, threads = median(single["seconds"]["minilm"]) / median(rows[PAIRED]["seconds"]["minilm"]), 2
    base = median(row["memory"]["minilm"][1] for row in sized)
    spread = (middle / max(seconds), middle / min(seconds))
    machine = str(speed.get("machine", {}).get("processor", ""))
    return Measured(rate * gain, threads, spread, _activations(sized), base, machine)


def _activations(rows: Sequence[Mapping[str, Any]]) -> float:
    """f of peak − base − 16 N − logits = f · activations, by least squares over the rows."""
    upper = lower = 0.0
    for row in rows:
        shape, context = shape_of(row["what"])
        formula = activation_memory(shape, batch=row["tokens"] // context, context=context)
        peak, base = row["memory"]["minilm"]
        fixed = sum(training_memory(shape).values()) + GRADIENT_BYTES * HEAD_ROWS * shape.vocab_size
        upper += formula * (peak - base - fixed)
        lower += formula * formula
    return max(upper / lower, 0.0)


def shape_of(what: str) -> tuple[Shape, int]:
    """The GPT of a benchmark's row, which says it as "d=768 L=2 H=12 T=256 B=2 V=50257", and its context."""
    found = {name: int(value) for name, value in re.findall(r"\b([dLHTV])=(\d+)", what)}
    if len(found) < 5:
        raise DataError(tr("a row of the benchmark says {what!r}; wanted d, L, H, T and V", what=what))
    config = GPTConfig(vocab_size=found["V"], context=found["T"], width=found["d"], layers=found["L"], heads=found["H"])
    return Shape.of(config), found["T"]
