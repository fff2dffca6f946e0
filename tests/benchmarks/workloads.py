"""What is done in a step, from which weights, and how one sees that all engines did the same."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import takewhile
from typing import Any

import batches
import numpy as np
import smollm2
from sizes import COST, Size

FIRST = 1e-4  # tolerance between the first losses: one forward pass
LATER = 2e-3  # between the losses of the next steps: Adam divides by √v, so that rounding errors grow
CHECKED = 6  # losses are compared

APART = 0.05  # of the texts may go apart, where two tokens are as good as equally probable

Weights = dict[str, np.ndarray]


@dataclass(frozen=True)
class Workload:
    """engine: its name in the ENGINES of a program. input: what a step gets, by size and number. tokens: how many a
    step makes or reads. disagreement: a sentence, or None where all outcomes agree. positions: of generation, from all
    outcomes of an engine the seconds at each position."""

    engine: str

    input: Callable[[Any, int], Any]
    weights: Callable[[Any], Weights]
    tokens: Callable[[Any], int]
    disagreement: Callable[[dict[str, list]], str | None]
    positions: Callable[[list], list[float]] | None = None


def losses_differ(losses: dict[str, list[float]]) -> str | None:
    """Of the first steps, against those of the first engine."""
    reference = next(iter(losses))
    for name, found in losses.items():
        for step, (wanted, got) in enumerate(zip(losses[reference][:CHECKED], found, strict=False)):
            tolerance = FIRST if step == 0 else LATER
            if not abs(wanted - got) <= tolerance:
                return (
                    f"loss {step + 1} of {name} is {got:.6f}, of {reference} {wanted:.6f}: "
                    f"they differ by more than {tolerance:g}"
                )
    return None


def losses_stray(losses: dict[str, list[float]]) -> str | None:
    """Of models of different sizes: each guesses at first, so that its loss is ln V."""
    for name, found in losses.items():
        if not abs(found[0] - math.log(COST.vocab_size)) <= 0.2:
            return f"the first loss of {name} is {found[0]:.4f}, not near ln {COST.vocab_size}"
    return None


def texts_differ(outcomes: dict[str, list[dict[str, Any]]]) -> str | None:
    """More of the texts than chance explains, against those of the first engine."""
    texts = {
        name: [text for outcome in found for text in outcome["texts"]]
        for name, found in outcomes.items()
        if found[0]["texts"] is not None
    }
    reference = next(iter(texts))
    for name, found in texts.items():
        pairs = list(zip(texts[reference], found, strict=False))
        apart = [(number, wanted, got) for number, (wanted, got) in enumerate(pairs) if wanted != got]
        if len(apart) > APART * len(pairs):
            number, wanted, got = apart[0]
            same = len(list(takewhile(lambda pair: pair[0] == pair[1], zip(wanted, got, strict=False))))
            return (
                f"{len(apart)} of {len(pairs)} texts of {reference} and {name} go apart, "
                f"the first after {same} tokens of text {number}"
            )
    return None


def at_positions(outcomes: list[dict[str, Any]]) -> list[float]:
    """The median over all texts of the seconds at each position."""
    return np.median([outcome["seconds"] for outcome in outcomes], axis=0).tolist()


# ------------------------------------------------------------------------------------------------------- the table


def _weights(name: str) -> Callable[[Size], Weights]:
    def weights(size: Size) -> Weights:
        from minilm_engines import initial_weights

        return initial_weights(name, size)

    return weights


def _trained(name: str) -> Workload:
    return Workload(name, batches.INPUTS[name], _weights(name), lambda size: size.tokens, losses_differ)


def _generated(rows: int) -> Workload:
    return Workload(
        "generation",
        lambda size, number: batches.prompts(size, number, rows),
        _weights("generation"),
        lambda size: rows * size.context,
        texts_differ,
        positions=at_positions,
    )


WORKLOADS = {
    **{name: _trained(name) for name in ("training", "bert", "llama", "finetuning")},
    "generation": _generated(1),
    "generation-16": _generated(16),
    "cost": replace(_trained("training"), disagreement=losses_stray),
    "smollm2": Workload(
        "smollm2",
        smollm2.prompt,
        lambda size: {},  # each reads the file
        lambda size: size.new_tokens,
        texts_differ,
    ),
}
