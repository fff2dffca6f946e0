"""Zero-shot: a task put as a text to go on from, and the answer that a language model finds most probable.

    score(c) = log p(continuation of c | prompt) = Σ_t log p(x_t | prompt, x_<t)

Nothing is learned. Sources: Radford et al. 2018, section 5 and figure 2; Brown et al. 2020, section 2.4, who also
divide by the number of tokens, or by the score without the question where some answers are likelier before it.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minilm import functional as F
from minilm.autograd import no_grad, value
from minilm.backend import to_numpy
from minilm.errors import ConfigError, DataError
from minilm.i18n import tr

NORMS = ("sum", "token", "prior")


def log_probabilities(
    model: Any, prompts: Sequence[Sequence[int]], continuations: Sequence[Sequence[int]], batch_size: int = 64
) -> np.ndarray:
    """log p(continuation | prompt) in nats for each pair, (n,). DataError where one is empty or longer than the
    context: a prompt that is cut off would be another question."""
    if len(prompts) != len(continuations):
        raise DataError(tr("{a} prompts and {b} continuations; give one for each", a=len(prompts),
                           b=len(continuations)))  # fmt: skip
    pairs = [([*p, *c], len(p)) for p, c in zip(prompts, continuations, strict=True)]
    limit = model.config.context
    for row, start in pairs:
        if not 0 < start < len(row):
            raise DataError(tr("a prompt or a continuation is empty; both need a token"))
        if len(row) - 1 > limit:
            raise DataError(
                tr("a prompt with its continuation has {n} tokens, more than the model's context of {limit}",
                   n=len(row), limit=limit + 1)
            )  # fmt: skip
    parts = [pairs[i : i + batch_size] for i in range(0, len(pairs), batch_size)]
    with no_grad(), model.evaluating():
        return np.concatenate([_of_batch(model, part) for part in parts] or [np.zeros(0)])


def _of_batch(model: Any, pairs: Sequence[tuple[list[int], int]]) -> np.ndarray:
    T = max(len(row) for row, _ in pairs) - 1
    ids, targets = np.zeros((len(pairs), T), np.int64), np.full((len(pairs), T), -100, np.int64)
    mask = np.zeros((len(pairs), T), bool)
    for b, (row, start) in enumerate(pairs):
        n = len(row) - 1
        ids[b, :n], mask[b, :n], targets[b, start - 1 : n] = row[:-1], True, row[start:]
    losses = F.cross_entropy(model(ids, mask), targets, reduction="none")
    return -to_numpy(value(losses)).astype(np.float64).sum(1)


def choose(
    model: Any,
    prompts: Sequence[Sequence[int]],
    continuations: Sequence[Sequence[Sequence[int]]],
    norm: str = "sum",
    prior: Sequence[int] = (),
) -> tuple[np.ndarray, np.ndarray]:
    """The best continuation's number for each prompt (n,), and all scores (n, C).

    continuations: C for each prompt. norm: "sum", log p(c | prompt); "token", that by its number of tokens; "prior",
    log p(c | prompt) − log p(c | prior), `prior` being a prompt that asks nothing.
    """
    if norm not in NORMS:
        raise ConfigError(tr("norm is {got!r}; choose one of {known}", got=norm, known=", ".join(NORMS)))
    C = len(continuations[0])
    if any(len(of_prompt) != C for of_prompt in continuations):
        raise DataError(tr("every prompt needs as many continuations as the others"))
    flat = [c for of_prompt in continuations for c in of_prompt]
    scores = log_probabilities(model, [p for p in prompts for _ in range(C)], flat)
    if norm == "token":
        scores = scores / [len(c) for c in flat]
    elif norm == "prior":
        scores = scores - log_probabilities(model, [prior] * len(flat), flat)
    table = scores.reshape(-1, C)
    return table.argmax(1), table


def classify(
    model: Any, encode: Callable[[str], list[int]], template: str, texts: Sequence[str], answers: Sequence[str],
    norm: str = "sum",
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """The most probable of `answers` after template.format(text=…) for each text, and all scores, as `choose`.

    encode: of the tokenizer, with what rows begin with. ConfigError for a template without {text}.
    """
    if "{text}" not in template:
        raise ConfigError(
            tr("template is {got!r}; it must have {name} where the text goes", got=template, name="{text}")
        )
    prompts = [encode(template.replace("{text}", text)) for text in texts]
    start = len(encode(""))
    continuations = [encode(f" {answer}")[start:] for answer in answers]
    return choose(model, prompts, [continuations] * len(prompts), norm, encode(template.replace("{text}", "")))
