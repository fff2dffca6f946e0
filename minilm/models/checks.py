"""What every model refuses, in the same words: settings that cannot be, ids and masks that do not fit it."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from minilm.autograd import value
from minilm.backend import anywhere, extremes
from minilm.errors import ConfigError, DataError, DTypeError, ShapeError
from minilm.i18n import tr


def check_counts(config: Any, names: Iterable[str]) -> None:
    """ConfigError unless each of these settings is a whole number of at least 1."""
    for name in names:
        got = getattr(config, name)
        if not isinstance(got, int) or isinstance(got, bool) or got < 1:
            raise ConfigError(tr("{name} is {got!r}; it must be a whole number of at least 1", name=name, got=got))


def check_dropout(config: Any, name: str) -> None:
    """ConfigError unless 0 ≤ dropout < 1, or None for one that is then as another."""
    got = getattr(config, name)
    if got is None and name != "dropout":
        return
    if not (isinstance(got, (int, float)) and 0 <= got < 1):
        raise ConfigError(tr("{name} is {got!r}; it must be at least 0 and below 1", name=name, got=got))


def check_epsilon(got: Any) -> None:
    """ConfigError unless epsilon > 0."""
    if not (isinstance(got, (int, float)) and got > 0):
        raise ConfigError(tr("epsilon is {got!r}; it must be above 0", got=got))


def check_initial_std(got: Any) -> None:
    """ConfigError unless initial_std > 0."""
    if not (isinstance(got, (int, float)) and got > 0):
        raise ConfigError(tr("initial_std is {got!r}; it must be above 0", got=got))


def check_switch(config: Any, name: str) -> None:
    """ConfigError unless this setting is True or False."""
    got = getattr(config, name)
    if not isinstance(got, bool):
        raise ConfigError(tr("{name} is {got!r}; it must be True or False", name=name, got=got))


def checked_ids(ids: Any, vocab_size: int, context: int, past: int = 0, name: str = "ids") -> Any:
    """ids as an integer array (B, T) that fits vocabulary and context, of which `past` is taken; else an error."""
    ids = anywhere(value(ids))
    if ids.ndim != 2 or not ids.size:
        raise ShapeError(
            tr(
                "{name}: got shape {got}, wanted (B, T), both at least 1; {name}[None] makes a batch of one row",
                name=name,
                got=ids.shape,
            )
        )
    if ids.dtype.kind not in "iu":
        raise DTypeError(
            tr("{name}: got {got}, wanted integers, the token ids that a tokenizer gives", name=name, got=ids.dtype)
        )
    total = past + ids.shape[1]
    if total > context:
        raise ShapeError(
            tr("{name}: {got} positions are longer than the model's context of {limit}", name=name, got=total,
               limit=context)
        )  # fmt: skip
    low, high = extremes(ids)
    if low < 0 or high >= vocab_size:
        raise DataError(
            tr(
                "{name}: got id {got}, but the model's vocabulary has ids 0 to {last}; use the tokenizer that it was "
                "trained with",
                name=name,
                got=low if low < 0 else high,
                last=vocab_size - 1,
            )
        )
    return ids


def checked_segments(segments: Any, wanted: tuple[int, int], count: int) -> Any:
    """Segment ids as integers (B, T) below `count`, all 0 for None; else an error."""
    if segments is None:
        return np.zeros(wanted, int)
    segments = anywhere(value(segments))
    if segments.shape != wanted:
        raise ShapeError(
            tr("segments: got shape {got}, wanted {wanted}: one entry for each position", got=segments.shape,
               wanted=wanted)
        )  # fmt: skip
    if segments.dtype.kind not in "iu":
        raise DTypeError(tr("segments: got {got}, wanted integers, 0 for the first text", got=segments.dtype))
    low, high = extremes(segments)
    if low < 0 or high >= count:
        raise DataError(
            tr("segments: got {got}, but the model has segments 0 to {last}", got=low if low < 0 else high,
               last=count - 1)
        )  # fmt: skip
    return segments


def checked_mask(mask: Any, wanted: tuple[int, int], name: str = "attention_mask") -> Any:
    """The attention mask as booleans (B, S), else an error."""
    mask = anywhere(value(mask))
    if mask.shape != wanted:
        raise ShapeError(
            tr(
                "{name}: got shape {got}, wanted {wanted}: one entry for each position",
                name=name,
                got=mask.shape,
                wanted=wanted,
            )
        )
    if mask.dtype.kind not in "biu" or (mask.dtype.kind != "b" and bool(((mask != 0) & (mask != 1)).any())):
        raise DTypeError(tr("{name}: wanted booleans or integers 0 and 1, 1 where a token is real", name=name))
    return mask.astype(bool)
