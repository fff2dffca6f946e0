"""Masks filled by a trained BERT: for each [MASK] of a text the most probable tokens, each mask by itself."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from minilm.autograd import no_grad, value
from minilm.backend import to_numpy
from minilm.errors import ConfigError, DataError
from minilm.i18n import ntr, tr
from minilm.models.bert import BertForPreTraining
from minilm.text.inputs import Encoding, encode_pair
from minilm.text.tokenizer import Tokenizer

MASK = "[MASK]"


class Filled(NamedTuple):
    """What may stand at one mask: its position among the tokens, the distribution (V,), and its k largest entries."""

    position: int
    distribution: np.ndarray
    best: tuple[tuple[str, float], ...]  # (token as text, probability), the largest first


def fill(
    model: Any,
    tokenizer: Tokenizer,
    text: str,
    second: str | None = None,
    k: int = 3,
    on_notice: Callable[[str], None] | None = None,
) -> list[Filled]:
    """The masks of `text`, and of a second text beside it, in their order.

    model: a BertForPreTraining. on_notice: called with a sentence about words that are unknown or did not fit.
    Errors: DataError for a text without [MASK], or whose mask is beyond what the model reads.
    """
    a, b = encode_masked(tokenizer, text), None if second is None else encode_masked(tokenizer, second)
    mask, every = tokenizer.special_tokens.get(MASK, -1), a + (b or [])
    wanted = every.count(mask)
    if not wanted:
        raise DataError(tr("the text has no {mask}: write {mask} where a word is to be guessed", mask=MASK))
    encoding = encode_pair(tokenizer, a, b, max_length=model.config.context)
    positions = np.flatnonzero(encoding.ids == mask)
    if len(positions) < wanted:
        raise DataError(
            tr("the text is longer than the {n} tokens that the model reads, and a {mask} is in what was cut off: give "
               "a shorter text", n=model.config.context, mask=MASK)
        )  # fmt: skip
    for notice in _notices(tokenizer, every, encoding, model.config.context) if on_notice else ():
        on_notice(notice)  # type: ignore[misc]
    p = fill_positions(model, encoding, positions)
    return [Filled(int(t), row, best(tokenizer, row, k)) for t, row in zip(positions, p, strict=True)]


def fill_positions(model: Any, encoding: Encoding, positions: Sequence[int] | np.ndarray) -> np.ndarray:
    """The model's distributions of the tokens at these positions of one input, (n, V). ConfigError for a model that
    reads from left to right, which sees nothing of what follows."""
    if not isinstance(model, BertForPreTraining):
        raise ConfigError(tr("a {kind} guesses no words: filling masks needs a BERT with its masked-word head",
                             kind=type(model).__name__))  # fmt: skip
    if model.config.causal:
        raise ConfigError(tr("this BERT was trained from left to right: it guesses the next token and fills no masks"))
    with no_grad(), model.evaluating():
        logits = model(encoding.ids[None], encoding.segments[None], encoding.attention_mask[None]).mlm
    chosen = to_numpy(value(logits))[0, positions].astype(np.float64)  # (n, V)
    p = np.exp(chosen - chosen.max(-1, keepdims=True))
    return p / p.sum(-1, keepdims=True)


def best(tokenizer: Tokenizer, p: np.ndarray, k: int) -> tuple[tuple[str, float], ...]:
    """The k most probable tokens of a distribution (V,), and how probable they are."""
    return tuple((token_text(tokenizer, int(i)), float(p[i])) for i in np.argsort(-p, kind="stable")[:k])


def token_text(tokenizer: Tokenizer, token: int) -> str:
    """A token as one reads it: a WordPiece with its ##."""
    return tokenizer.tokens[token] if tokenizer.name == "wordpiece" else tokenizer.decode([token])  # type: ignore[attr-defined]


def encode_masked(tokenizer: Tokenizer, text: str) -> list[int]:
    """The ids of a text in which [MASK] stands for a token, whatever it touches."""
    pieces = text.split(MASK)
    if len(pieces) > 1 and MASK not in tokenizer.special_tokens:
        return tokenizer.encode(text)
    ids: list[int] = []
    for i, piece in enumerate(pieces):
        ids += ([tokenizer.special_tokens[MASK]] if i else []) + (tokenizer.encode(piece) if piece else [])
    return ids


def _notices(tokenizer: Tokenizer, ids: list[int], encoding: Encoding, context: int) -> Iterator[str]:
    if unknown := ids.count(tokenizer.special_tokens.get("[UNK]", -1)):
        yield ntr("{n} word is not known to the model", "{n} words are not known to the model", unknown)
    if encoding.truncated:
        yield ntr(
            "the text is longer than the {context} tokens that the model reads: {n} was cut off",
            "the text is longer than the {context} tokens that the model reads: {n} were cut off",
            encoding.truncated,
            context=context,
        )
