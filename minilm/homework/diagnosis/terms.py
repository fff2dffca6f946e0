"""Wrong by an argument: one that is added or multiplied once too often or too few, a mask on the wrong side."""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np

from minilm.homework.diagnosis.evidence import (
    Explanation,
    Pair,
    accounts,
    arrays_only,
    same_shapes,
)
from minilm.homework.diagnosis.factors import number
from minilm.i18n import tr


def _floats(pair: Pair) -> Iterator[tuple[str, np.ndarray]]:
    for name, value in pair.arguments.items():
        if isinstance(value, np.ndarray) and value.dtype.kind == "f":
            yield name, value


@arrays_only
def missing(pairs: Sequence[Pair]) -> Iterator[Explanation]:
    """got = expected + c · an argument, with one number c for all questions."""
    if not same_shapes(pairs) or not all(p.expected.dtype.kind == "f" for p in pairs):
        return
    wrong = [p for p in pairs if p.wrong]
    if not wrong:
        return
    first = max(wrong, key=lambda p: p.expected.size)
    for name, value in _floats(first):
        wide = _wide(value, first.expected)
        c = round(float(np.sum((first.got - first.expected) * wide) / max(float(np.sum(wide * wide)), 1e-300)), 9)
        if np.isfinite(c) and c and accounts(pairs, partial(_with, name=name, c=c)):
            term = f"`{name}`" if abs(c) == 1 else f"{number(abs(c))} · `{name}`"
            if c < 0:
                yield Explanation("missing_term", tr("Missing term: {term} is not added", term=term), 4)
            else:
                yield Explanation("extra_term", tr("A term too many: {term} is added", term=term), 4)


def _with(p: Pair, name: str, c: float) -> Any:
    return p.expected + c * _wide(p.arguments[name], p.expected)


def _wide(value: Any, like: np.ndarray) -> np.ndarray:
    try:
        return np.broadcast_to(value, like.shape)
    except ValueError:
        return np.full(like.shape, np.nan)


@arrays_only
def multiplied(pairs: Sequence[Pair]) -> Iterator[Explanation]:
    """Multiplied or divided, entry by entry, by an argument once too often, or once too few."""
    if not same_shapes(pairs) or not all(p.expected.dtype.kind == "f" for p in pairs):
        return
    for name, _ in _floats(pairs[0]) if pairs else ():
        if accounts(pairs, partial(_times, name=name)):
            line = tr("A factor too many: multiplied by `{name}` once too often", name=name)
            yield Explanation("extra_factor", line, 4)
        if accounts(pairs, partial(_over, name=name)):
            line = tr("A factor is missing: multiply by `{name}`", name=name)
            yield Explanation("missing_factor", line, 4)


def _times(pair: Pair, name: str) -> Any:
    return pair.expected * _wide(pair.arguments[name], pair.expected)


def _over(pair: Pair, name: str) -> Any:
    """What was expected, divided by an argument; where that is 0, whatever was got."""
    by = _wide(pair.arguments[name], pair.expected)
    return np.where(by == 0, pair.got, pair.expected / np.where(by == 0, 1.0, by))


@arrays_only
def masked(pairs: Sequence[Pair]) -> Iterator[Explanation]:
    """Zero where a boolean argument, or a triangle, says so."""
    if not same_shapes(pairs):
        return
    of_first = pairs[0].arguments if pairs else {}
    for name, value in of_first.items():
        if not (isinstance(value, np.ndarray) and value.dtype.kind == "b"):
            continue
        for line, zero in (
            (tr("Mask on the wrong side: the result is 0 where `{name}` is True", name=name), True),
            (tr("Mask on the wrong side: the result is 0 where `{name}` is False", name=name), False),
        ):
            if accounts(pairs, partial(_zeroed, name=name, zero=zero)):
                yield Explanation("mask_side", line, 4)


def _zeroed(pair: Pair, name: str, zero: bool) -> Any:
    return pair.expected * (_mask(pair, name) != zero)


def _mask(pair: Pair, name: str) -> np.ndarray:
    value = np.asarray(pair.arguments[name])
    for shaped in (value, value[..., None]):
        try:
            return np.broadcast_to(shaped, pair.expected.shape)
        except ValueError:
            continue
    return np.ones(pair.expected.shape, bool)
