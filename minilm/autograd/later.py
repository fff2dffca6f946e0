"""Cotangents that are not made yet: each says how it is made, and is made where it will lie.

The gradient of a large weight belongs in the optimizer's buffer. An array made elsewhere would be memory taken,
written, read and copied, which for a token embedding costs more than the layer norms of the whole model. And what
nobody asks for, such as the gradient of a frozen weight, is never made at all.
"""

from typing import Any

import numpy as np


class Later:
    """An array of known shape and dtype. `write` sets `out` to it, `add` adds it to `out`."""

    def __init__(self, shape: tuple[int, ...], dtype: np.dtype):
        self.shape, self.dtype = shape, dtype

    def write(self, out: np.ndarray) -> None:
        raise NotImplementedError

    def add(self, out: np.ndarray) -> None:
        out += self.made()

    def made(self) -> np.ndarray:
        """The array, by itself."""
        out = np.empty(self.shape, self.dtype)
        self.write(out)
        return out


class Product(Later):
    """a @ b of two matrices, in the given shape."""

    def __init__(self, a: np.ndarray, b: np.ndarray, shape: tuple[int, ...] | None = None):
        super().__init__(shape or (a.shape[0], b.shape[1]), a.dtype)
        self.a, self.b = a, b

    def write(self, out: np.ndarray) -> None:
        np.matmul(self.a, self.b, out=out.reshape(self.a.shape[0], self.b.shape[1]))


class Scaled(Later):
    """factor · a."""

    def __init__(self, a: np.ndarray, factor: Any):
        super().__init__(a.shape, a.dtype)
        self.a, self.factor = a, factor

    def write(self, out: np.ndarray) -> None:
        np.multiply(self.a, self.factor, out=out)


class Rows(Later):
    """Zeros but for some rows: row places[i] is rows[i]. No place is named twice."""

    def __init__(self, places: np.ndarray, rows: np.ndarray, shape: tuple[int, ...]):
        super().__init__(shape, rows.dtype)
        self.places, self.rows = places, rows

    def write(self, out: np.ndarray) -> None:
        out[...] = 0
        out[self.places] = self.rows

    def add(self, out: np.ndarray) -> None:
        out[self.places] += self.rows


def made(d: Any) -> Any:
    """The array that `d` stands for; what is no `Later` as it is."""
    return d.made() if isinstance(d, Later) else d
