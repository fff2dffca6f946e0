"""Cases for claims: small sizes, and arrays whose entries are eighths, so that the smallest failing one can be read.

These are hypothesis strategies; any other may stand beside them. An array is one draw of as many bytes as it has
entries, which costs a fraction of a draw for each entry and shrinks as well; strategies are made once for each shape.
"""

import functools
import math
from collections.abc import Sequence

import numpy as np
from hypothesis import strategies as st

from minilm.errors import ConfigError
from minilm.i18n import tr

__all__ = ["booleans", "composite", "floats", "ids", "integers", "permutations", "st"]

composite = st.composite  # @composite on def name(draw): …; `draw(strategy)` gives a value; returns the case, a tuple
integers = st.integers


@functools.cache
def floats(*shape: int, low: float = -3, high: float = 3) -> st.SearchStrategy[np.ndarray]:
    """Arrays of float64 of this shape whose entries are eighths between low and high; they shrink towards 0."""
    eighths = range(math.ceil(8 * low), math.floor(8 * high) + 1)
    return _levels(shape, np.array(sorted(eighths, key=lambda n: (abs(n), n < 0))) / 8)


@functools.cache
def booleans(*shape: int) -> st.SearchStrategy[np.ndarray]:
    """Arrays of booleans of this shape; they shrink towards False."""
    return _levels(shape, np.array([False, True]))


@functools.cache
def ids(*shape: int, vocabulary: int) -> st.SearchStrategy[np.ndarray]:
    """Arrays of int64 of this shape, from 0 to vocabulary - 1; they shrink towards 0."""
    return _levels(shape, np.arange(vocabulary, dtype=np.int64))


@functools.cache
def permutations(n: int) -> st.SearchStrategy[np.ndarray]:
    """Orders of 0 … n - 1, as arrays of int64; they shrink towards the natural one."""
    return st.permutations(range(n)).map(lambda order: np.array(order, np.int64))


def _levels(shape: Sequence[int], levels: np.ndarray) -> st.SearchStrategy[np.ndarray]:
    """Arrays of entries that are among at most 256 levels, the simplest first."""
    if not 1 <= len(levels) <= 256:
        raise ConfigError(tr("a strategy of arrays takes 1 to 256 different entries, not {n}", n=len(levels)))
    n = math.prod(shape)
    numbers = st.binary(min_size=n, max_size=n)
    return numbers.map(lambda drawn: levels[np.frombuffer(drawn, np.uint8) % len(levels)].reshape(shape))
