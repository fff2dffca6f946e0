"""What a language model knows of Mundito without having been asked in training: it only says what comes next.

A language model is anything with `model(ids) -> logits (B, T, V)` that reads from left to right.
"""

import contextlib
import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from minilm.autograd import no_grad, value
from minilm.backend import to_numpy
from minilm.errors import ConfigError
from minilm.i18n import tr
from minilm.mundito.tasks import Probe, agreement, claims, colour_questions
from minilm.mundito.world import Mundito

ROWS = 256  # as many prompts are read at once


class Score(NamedTuple):
    """A measured part or area, its standard error, and what a guess would get."""

    value: float
    error: float
    chance: float


def next_log_probabilities(model: Any, prompts: Sequence[Sequence[int]]) -> np.ndarray:
    """ln p(next word | prompt) of each prompt, (n, V). ConfigError for one that is longer than the model's context."""
    longest, context = max(map(len, prompts)), getattr(getattr(model, "config", None), "context", None)
    if context is not None and longest > context:
        raise ConfigError(
            tr("the questions have up to {n} words, but the model reads only {context} at once: train one with "
               "--context {n} or more", n=longest, context=context)
        )  # fmt: skip
    of_length = defaultdict(list)
    for i, prompt in enumerate(prompts):
        of_length[len(prompt)].append(i)
    found: list[Any] = [None] * len(prompts)
    with no_grad(), getattr(model, "evaluating", contextlib.nullcontext)():
        for rows in of_length.values():
            for first in range(0, len(rows), ROWS):
                part = rows[first : first + ROWS]
                logits = to_numpy(value(model(np.array([prompts[i] for i in part]))))[:, -1].astype(np.float64)
                shifted = logits - logits.max(-1, keepdims=True)
                for i, row in zip(part, shifted - np.log(np.exp(shifted).sum(-1, keepdims=True)), strict=True):
                    found[i] = row
    return np.stack(found)


def accuracy(model: Any, probes: Sequence[Probe]) -> Score:
    """How often the model gives the right group of words the most probability; the error is √(a (1 − a) / n)."""
    p = np.exp(next_log_probabilities(model, [probe.prompt for probe in probes]))  # (n, V)
    right = [
        int(np.argmax([row[list(group)].sum() for group in probe.groups])) == probe.answer
        for row, probe in zip(p, probes, strict=True)
    ]
    a, n = sum(right) / len(right), len(right)
    return Score(a, math.sqrt(a * (1 - a) / n), 1 / len(probes[0].groups))


def area(positive: np.ndarray, negative: np.ndarray) -> tuple[float, float]:
    """The area under the ROC curve, P(score of a positive > of a negative), ties counting one half; and its standard
    error (DeLong et al. 1988, equations 3 to 5). positive: (m,), negative: (n,), at least two of each."""
    m, n = len(positive), len(negative)
    if min(m, n) < 2:
        raise ConfigError(tr("an area needs two examples of each kind, not {m} and {n}", m=m, n=n))
    above = np.asarray(positive)[:, None] - np.asarray(negative)[None, :]
    wins = (above > 0) + 0.5 * (above == 0)  # (m, n)
    variance = wins.mean(1).var(ddof=1) / m + wins.mean(0).var(ddof=1) / n
    return float(wins.mean()), math.sqrt(variance)


def entailment_area(model: Any, asked: Sequence[tuple[tuple[int, ...], int, int]]) -> Score:
    """Do claims that follow get more probability than those that contradict? The area under the ROC curve of
    ln p(the claim's last word | all before)."""
    found = next_log_probabilities(model, [prompt for prompt, _, _ in asked])
    scores = np.array([row[token] for row, (_, token, _) in zip(found, asked, strict=True)])
    true = np.array([label == 1 for _, _, label in asked])
    return Score(*area(scores[true], scores[~true]), 0.5)


PROBES: dict[str, Callable[[Any, Mundito, int, int], Score]] = {
    "agreement": lambda model, world, count, seed: accuracy(model, agreement(world, count, seed)),
    "questions": lambda model, world, count, seed: accuracy(model, colour_questions(world, count, seed)),
    "claims": lambda model, world, count, seed: entailment_area(model, claims(world, count, seed)),
}


def probe(model: Any, world: Mundito, count: int = 500, seed: int = 0) -> dict[str, Score]:
    """Every probe by its name, on `count` items each: agreement over an attractor and colour questions (accuracy),
    claims that follow or contradict (area under the ROC curve).

    ConfigError for a world of facts only, which has never seen what is asked, or a model that reads less than asked.
    """
    if world.config.facts_only:
        raise ConfigError(tr("a Mundito of facts only has no one to ask about: train on the whole one to probe"))
    return {name: ask(model, world, count, seed) for name, ask in PROBES.items()}
