"""What the engines read: every engine gets the same arrays in the same round, drawn by the round's number alone."""

from typing import Any

import numpy as np
from sizes import Size

IGNORE = -100  # a target that counts for nothing
CLS, SEP, MASK, FIRST = 1, 2, 3, 4  # tokens of BERT; words begin at FIRST
STRAYS = 0.25  # of the tokens are drawn at random; the others follow from the one before


def _walks(rng: np.random.Generator, size: Size, first: int, rows: int, length: int) -> np.ndarray:
    """Texts (rows, length) that can be learned: the next token is the one after next in the vocabulary, most often."""
    words = size.vocab_size - first
    moves = np.where(rng.random((rows, length)) < STRAYS, rng.integers(0, words, (rows, length)), 2)
    return first + np.cumsum(moves, axis=1) % words


def next_tokens(size: Size, number: int) -> dict[str, np.ndarray]:
    """ids and targets (B, T): the tokens, and those that follow them."""
    text = _walks(np.random.default_rng([1, number]), size, 0, size.batch, size.context + 1)
    return {"ids": text[:, :-1].copy(), "targets": text[:, 1:].copy()}


def masked_pairs(size: Size, number: int) -> dict[str, np.ndarray]:
    """A batch of BERT's: ids, segments, attention_mask, targets (B, T) and next_label (B,).

    One row in four is short, and has padding at its end. The same number of tokens is masked in each, so that a
    library that wants to know its shapes beforehand need not be told twice.
    """
    rng = np.random.default_rng([3, number])
    B, T = size.batch, size.context
    batch = _pairs(rng, size) | {"targets": np.full((B, T), IGNORE), "next_label": rng.integers(0, 2, B)}
    for row in range(B):
        words = np.flatnonzero(batch["ids"][row] >= FIRST)
        at = rng.choice(words, size.masked, replace=False)
        batch["targets"][row, at] = batch["ids"][row, at]
        batch["ids"][row, at] = np.where(rng.random(len(at)) < 0.8, MASK, batch["ids"][row, at])
    return batch


def with_places(batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """A batch of BERT's with the masked tokens and their places in the flat batch, from which alone logits are made, as
    users of other libraries have it; any other batch as it is."""
    if "next_label" not in batch:
        return batch
    targets = batch["targets"].ravel()
    places = np.flatnonzero(targets != IGNORE)
    return batch | {"places": places, "words": targets[places]}


def labelled(size: Size, number: int) -> dict[str, np.ndarray]:
    """A batch to fine-tune BERT with: ids, segments, attention_mask (B, T) and labels (B,)."""
    rng = np.random.default_rng([4, number])
    return _pairs(rng, size) | {"labels": rng.integers(0, 2, size.batch)}


def _pairs(rng: np.random.Generator, size: Size) -> dict[str, np.ndarray]:
    """[CLS] A [SEP] B [SEP], (B, T)."""
    B, T = size.batch, size.context
    ids, places = _walks(rng, size, FIRST, B, T), np.arange(T)
    lengths = np.where(rng.random(B) < 0.25, rng.integers(T // 2, T, B), T)[:, None]
    middle = rng.integers(T // 4, T // 2 - 1, B)[:, None]
    ids[:, 0] = CLS
    ids[(places == middle) | (places == lengths - 1)] = SEP
    real = places < lengths
    return {"ids": ids * real, "segments": ((places > middle) & real).astype(ids.dtype), "attention_mask": real}


def prompts(size: Size, number: int, rows: int = 1) -> np.ndarray:
    """One token for each row, (rows, 1), which `context` new ones follow: the last of them reads a full context."""
    return np.random.default_rng([2, number]).integers(0, size.vocab_size, (rows, 1))


INPUTS: dict[str, Any] = {
    "training": next_tokens,
    "bert": masked_pairs,
    "llama": next_tokens,
    "finetuning": labelled,
}
