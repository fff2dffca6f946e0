"""How weights begin: small normal numbers, smaller still where many layers add up."""

import contextlib
import math
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

import numpy as np

from minilm import backend
from minilm.backend import xp

STD = 0.02  # GPT-1 (Radford et al. 2018, section 4.1), and GPT-2 and BERT after it


_BLANK = ContextVar("blank weights", default=False)


@contextlib.contextmanager
def blank_weights() -> Iterator[None]:
    """Models that are made within it draw nothing, since their weights are read next, and drawing takes longer.

    Weights begin as 0, so that one which is not read shows.
    """
    token = _BLANK.set(True)
    try:
        yield
    finally:
        _BLANK.reset(token)


def normal(rng: np.random.Generator, shape: tuple[int, ...], std: float = STD) -> Any:
    """Independent N(0, std²) in float32; the same numbers whichever array module is in use."""
    if _BLANK.get():
        return zeros(*shape)
    values = rng.standard_normal(shape, dtype=np.float32)
    values *= np.float32(std)
    return backend.asarray(values)


def residual_std(layers: int, std: float = STD) -> float:
    """std / √(2L), for the projections that write into the residual stream (Radford et al. 2019, section 2.3).

    2L of them add up, each of variance std² D σ²; with the factor their sum has the variance of one.
    """
    return std / math.sqrt(2 * layers)


def zeros(*shape: int) -> Any:
    """All 0 in float32: how biases begin."""
    return xp.zeros(shape, dtype=np.float32)


def ones(*shape: int) -> Any:
    """All 1 in float32: how a norm's weights begin."""
    return xp.ones(shape, dtype=np.float32)


class TruncatedGenerator(np.random.Generator):
    """A generator whose normal numbers stay within two standard deviations: those beyond are drawn again.

    So BERT's code begins (TensorFlow's truncated_normal_initializer); σ of what is left is .8796 of the normal's.
    """

    def standard_normal(self, size: Any = None, dtype: Any = np.float64, out: Any = None) -> Any:
        values = np.asarray(super().standard_normal(size, dtype=dtype, out=out))
        while (beyond := np.abs(values) > 2).any():
            values[beyond] = super().standard_normal(int(beyond.sum()), dtype=dtype)
        return values
