"""The same work done by minilm and by PyTorch: steps of training, and greedy generation with a cache, by random models
and by a real one.

An engine is a context manager that makes its model once and yields a function from a round's input to its outcome. All
engines of a workload begin with the same weights and get the same input in each round, so their outcomes must agree.
"""

import contextlib
import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

import numpy as np
import smollm2
import torch
from sizes import Size
from torch.nn import functional
from torch_gpt import TorchGPT

from minilm.generation import generate
from minilm.models import GPT
from minilm.training import AdamW, NextToken, clip_by_global_norm
from minilm.training.parallel import DataParallel, Threads

RATE, BETAS, EPSILON, DECAY, CLIP = 1e-3, (0.9, 0.95), 1e-8, 0.1, 1.0
TOLERANCE = 1e-4  # between the first losses

Weights = dict[str, np.ndarray]
Engine = Callable[[Any, Weights, int], contextlib.AbstractContextManager[Callable[[Any], Any]]]


@dataclass(frozen=True)
class Workload:
    """What is timed. tokens: how many a round makes. disagreement: a sentence, or None where all outcomes agree."""

    name: str
    engines: dict[str, Engine]
    weights: Callable[[Any], Weights]
    input: Callable[[Any, int], Any]
    tokens: Callable[[Any], int]
    disagreement: Callable[[dict[str, list]], str | None]
    peak_memory: Callable[[str], int] | None = None  # of an engine, in bytes, by a process of its own


# -------------------------------------------------------------------------------------------------------- training


@contextlib.contextmanager
def minilm_training(size: Size, weights: Weights, threads: int) -> Iterator[Callable[[Any], float]]:
    """What `Trainer` does in a step, without its log and checkpoints."""
    model = GPT(size.config)
    model.load_state_dict(weights)
    optimizer = AdamW(model.named_parameters(), RATE, BETAS, EPSILON, DECAY)
    objective = NextToken()
    with Threads(threads) as workers:
        parallel = DataParallel(model, optimizer.flat, workers)

        def step(batch: dict[str, np.ndarray]) -> float:
            loss, _ = parallel.gradients(objective, batch, accumulation=1, key=(0,))
            clip_by_global_norm(optimizer.parameters, CLIP)
            optimizer.step(threads=workers)
            optimizer.zero_grad()
            return loss

        yield step


@contextlib.contextmanager
def torch_training(
    size: Size, weights: Weights, threads: int, fused: bool | None = None
) -> Iterator[Callable[[Any], float]]:
    """Eager PyTorch as it comes, or with the fused one of its AdamWs, the fastest."""
    torch.set_num_threads(threads)
    model = TorchGPT(size.config, weights)
    matrices = [p for p in model.parameters() if p.ndim >= 2]
    others = [p for p in model.parameters() if p.ndim < 2]
    groups = [{"params": matrices, "weight_decay": DECAY}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=RATE, betas=BETAS, eps=EPSILON, fused=fused)

    def step(batch: dict[str, np.ndarray]) -> float:
        ids, targets = torch.from_numpy(batch["ids"]), torch.from_numpy(batch["targets"])
        loss = functional.cross_entropy(model(ids).flatten(0, 1), targets.flatten())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP)
        optimizer.step()
        optimizer.zero_grad()
        return loss.item()

    yield step


def batch(size: Size, number: int) -> dict[str, np.ndarray]:
    """The batch of a round: tokens drawn uniformly, whose loss is ln V at first."""
    ids = np.random.default_rng([1, number]).integers(0, size.vocab_size, (size.batch, size.context + 1))
    return {"ids": ids[:, :-1].copy(), "targets": ids[:, 1:].copy()}


def first_losses_differ(losses: dict[str, list[float]]) -> str | None:
    first = {name: found[0] for name, found in losses.items()}
    wanted = next(iter(first.values()))
    if all(abs(loss - wanted) <= TOLERANCE for loss in first.values()):
        return None
    said = ", ".join(f"{name} {loss:.6f}" for name, loss in first.items())
    return f"the first losses differ by more than {TOLERANCE:g}: {said}"


# ------------------------------------------------------------------------------------------------------ generation


@contextlib.contextmanager
def minilm_generation(size: Size, weights: Weights, threads: int) -> Iterator[Callable[[Any], list[int]]]:
    model = GPT(size.config)
    model.load_state_dict(weights)
    with Threads(threads):
        yield lambda prompt: generate(model, prompt, size.context, temperature=0).tolist()


@contextlib.contextmanager
def torch_generation(size: Size, weights: Weights, threads: int) -> Iterator[Callable[[Any], list[int]]]:
    torch.set_num_threads(threads)
    model = TorchGPT(size.config, weights)
    yield lambda prompt: model.generate(torch.from_numpy(prompt)[None], size.context)[0].tolist()


def restless_weights(size: Size) -> Weights:
    """Random weights so large that a text wanders instead of repeating one token, so that a wrong cache shows in it."""
    weights = GPT(size.config).state_dict()
    large = {name for name, a in weights.items() if a.ndim == 2} - {"token_embedding.weight"} | {"final_norm.weight"}
    return {name: 8 * a if name in large else a for name, a in weights.items()}


def prompt(size: Size, number: int) -> np.ndarray:
    """One token, which `context` new ones follow: the last of them reads a full context."""
    return np.random.default_rng([2, number]).integers(0, size.vocab_size, 1)


def tokens_differ(sequences: dict[str, list[list[int]]]) -> str | None:
    first = next(iter(sequences))
    for name, found in sequences.items():
        for number, (wanted, got) in enumerate(zip(sequences[first], found, strict=True)):
            if wanted != got:
                same = len(list(takewhile(lambda pair: pair[0] == pair[1], zip(wanted, got, strict=True))))
                return f"{first} and {name} go apart after {same} tokens of text {number}"
    return None


TRAINING = Workload(
    "training",
    {
        "minilm": minilm_training,
        "torch": torch_training,
        "torch, fused AdamW": functools.partial(torch_training, fused=True),
    },
    lambda size: GPT(size.config).state_dict(),
    batch,
    lambda size: size.batch * size.context,
    first_losses_differ,
)
GENERATION = Workload(
    "generation",
    {"minilm": minilm_generation, "torch": torch_generation},
    restless_weights,
    prompt,
    lambda size: size.context,
    tokens_differ,
)
REAL_MODEL = Workload(
    smollm2.SMOLLM2.name,
    smollm2.ENGINES,
    lambda size: {},  # each reads the file
    smollm2.prompt,
    lambda size: size.new_tokens,
    tokens_differ,
    smollm2.peak_memory,
)
WORKLOADS = {workload.name: workload for workload in (TRAINING, GENERATION, REAL_MODEL)}
