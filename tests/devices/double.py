"""A strict stand-in for a GPU's arrays: NumPy computes, but the rules are CuPy's, and some are stricter.

An `ndarray` here lies "on the device". It

- never becomes a NumPy array by itself, is refused by NumPy's functions, and refuses arrays of the host as operands,
  indices and values (CuPy moves some of these in silence; here nothing moves in silence);
- counts every transfer that is asked for, with the line that asks: up by `array`, `asarray`, down by `get`, `item`,
  `tolist`, `float()`, `int()`, `bool()` and by what must know how many entries of a mask are true;
- comes out of a reduction, and out of an index that leaves one entry, with shape ();
- wraps integer-array indices that are out of range, takes no assignment through repeated indices (its outcome is
  undefined on a device), cannot be locked, and has memory of its own when made from a host array;
- comes out of a function of each entry, and of what puts arrays together, with its rows in order, where NumPy's result
  would lie as its operands do (a reduction's lies in order here, and on a GPU not always); has no dtype that a GPU has
  not.

What the functions of the array module take is in `strict.py`. Source of the rules: CuPy 14.2, its
`_core/_routines_indexing.pyx`, `_core/core.pyx` and documentation ("Differences between CuPy and NumPy"), and CuPy
itself on a GPU, which is asked again wherever there is one (test_double_is_cupy.py).
"""

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

DTYPES = frozenset(map(np.dtype, "? b h i q B H I Q e f d F D".split()))
SILENT = (__file__, os.path.join(os.path.dirname(__file__), "strict.py"), os.path.join("minilm", "backend.py"))


class Transfer(NamedTuple):
    """One copy between host and device: "up" to the device or "down" from it, by what, of which shape, from where."""

    direction: str
    by: str
    shape: tuple[int, ...]
    line: str

    def __str__(self) -> str:
        return f"{self.direction} by {self.by} of shape {self.shape} at {self.line}"


transfers: list[Transfer] = []
refused: list[str] = []  # what would have been a transfer in silence, or undefined


def _caller() -> str:
    """The line that asks, outside of the double and of what moves arrays on request."""
    frame: Any = sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.endswith(SILENT):
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno} in {frame.f_code.co_name}"


def count(direction: str, by: str, shape: tuple[int, ...]) -> None:
    """Note a transfer."""
    transfers.append(Transfer(direction, by, shape, _caller()))


def refuse(sentence: str) -> TypeError:
    """Note what is refused; the error to raise."""
    refused.append(f"{sentence}, at {_caller()}")
    return TypeError(sentence)


@contextlib.contextmanager
def counting() -> Iterator[list[Transfer]]:
    """The transfers of a `with` block."""
    start, found = len(transfers), []
    try:
        yield found
    finally:
        found += transfers[start:]


@contextlib.contextmanager
def refusing() -> Iterator[list[str]]:
    """A block that provokes refusals on purpose: they are listed, and count no more."""
    start, found = len(refused), []
    try:
        yield found
    finally:
        found += refused[start:]
        del refused[start:]


class Flags:
    """What CuPy's flags say; there is no `writeable`, neither to read nor to set."""

    __slots__ = ("c_contiguous", "f_contiguous", "owndata")

    def __init__(self, a: Any):
        self.c_contiguous, self.f_contiguous = a._a.flags.c_contiguous, a._a.flags.f_contiguous
        self.owndata = a.base is None


def is_scalar(x: Any) -> bool:
    """Whether a kernel takes it by value: a number of Python or of NumPy."""
    return isinstance(x, (bool, int, float, complex, np.generic))


def raw(x: Any, what: str = "operand") -> Any:
    """The NumPy array within a device array, or a number; what lies on the host is refused."""
    if isinstance(x, ndarray):
        return x._a
    if is_scalar(x):
        return x
    raise refuse(f"Unsupported type {type(x)}: this {what} is not on the device")


def device_raw(x: Any) -> np.ndarray:
    """The NumPy array within a device array; functions that only rearrange or reduce take nothing else."""
    if isinstance(x, ndarray):
        return x._a
    raise refuse(f"Unsupported type {type(x)}: the array is not on the device")


def on_device(result: Any, *sources: "ndarray", order: Any = "C") -> "ndarray":
    """A device array around what NumPy computed, whose base is the source that it is a view of.

    order: of new memory, rows in order unless "K", as NumPy made it; a view shows memory as it is.
    """
    out = ndarray.__new__(ndarray)
    out._a = np.asarray(result, order="K" if sources else order)
    if out.dtype not in DTYPES:
        raise ValueError(f"Unsupported dtype {out.dtype}")
    out.base = None
    for source in sources:
        if np.may_share_memory(out._a, source._a):
            out.base = source if source.base is None else source.base
    return out


class ndarray:  # noqa: N801 -- the name that array modules give it
    """An array on the device; see the file's first lines."""

    __slots__ = ("__weakref__", "_a", "base")
    __array_priority__ = 100
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, shape: Any, dtype: Any = float):
        self._a, self.base = np.empty(shape, dtype), None

    shape = property(lambda self: self._a.shape)
    ndim = property(lambda self: self._a.ndim)
    size = property(lambda self: self._a.size)
    dtype = property(lambda self: self._a.dtype)
    itemsize = property(lambda self: self._a.itemsize)
    nbytes = property(lambda self: self._a.nbytes)
    strides = property(lambda self: self._a.strides)
    flags = property(Flags)
    T = property(lambda self: on_device(self._a.T, self))

    # ---------------------------------------------------------------------------------------- what NumPy may not do

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        raise refuse("Implicit conversion to a NumPy array is not allowed: use .get()")

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        raise refuse(f"numpy.{function.__name__} is called on an array of the device")

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        """Only what `numpy_number * array` comes to; CuPy would take every NumPy ufunc for its own."""
        scalar_first = len(inputs) == 2 and isinstance(inputs[0], np.generic) and isinstance(inputs[1], ndarray)
        if method == "__call__" and scalar_first and not kwargs:
            return on_device(ufunc(inputs[0], inputs[1]._a))
        raise refuse(f"numpy.{ufunc.__name__} is called on an array of the device")

    # ------------------------------------------------------------------------------------------ down to the host

    def get(self, stream: Any = None, order: str = "C", out: Any = None, blocking: bool = True) -> np.ndarray:
        count("down", "get", self.shape)
        return self._a.copy()

    def item(self) -> Any:
        count("down", "item", self.shape)
        return self._a.item()

    def tolist(self) -> Any:
        count("down", "tolist", self.shape)
        return self._a.tolist()

    def __float__(self) -> float:
        count("down", "float", self.shape)
        return float(self._a)

    def __int__(self) -> int:
        count("down", "int", self.shape)
        return int(self._a)

    def __bool__(self) -> bool:
        count("down", "bool", self.shape)
        return bool(self._a)

    def __repr__(self) -> str:
        count("down", "repr", self.shape)
        return repr(self._a)

    # -------------------------------------------------------------------------------------------------- indexing

    def __len__(self) -> int:
        if not self.ndim:
            raise TypeError("len() of unsized object")
        return len(self._a)

    def __iter__(self) -> Iterator["ndarray"]:
        if not self.ndim:
            raise TypeError("iteration over a 0-d array")
        return (self[i] for i in range(len(self)))

    def _index(self, index: Any) -> tuple[tuple, bool]:
        """The index as NumPy takes it, integer arrays wrapped; whether one of them is an integer array."""
        parts = list(index) if isinstance(index, tuple) else [index]
        masks = [p.ndim if isinstance(p, ndarray) and p.dtype.kind == "b" else 1 for p in parts]
        used = sum(n for p, n in zip(parts, masks, strict=True) if p is not None and p is not Ellipsis)
        axis, found, picks = 0, [], False
        for part, width in zip(parts, masks, strict=True):
            if isinstance(part, ndarray):
                found.append(self._array_index(part, axis))
                picks = picks or part.dtype.kind != "b"
            elif part is None or part is Ellipsis or isinstance(part, (slice, int, np.integer)):
                found.append(part)
            else:
                raise refuse(f"an index of {type(part)} is not on the device")
            axis += 0 if part is None else self.ndim - used if part is Ellipsis else width
        return (*found, *(() if Ellipsis in [p for p in parts if not isinstance(p, ndarray)] else (...,))), picks

    def _array_index(self, part: "ndarray", axis: int) -> np.ndarray:
        if part.dtype.kind == "b":
            count("down", "mask", part.shape)  # how many are true
            return part._a
        if part.dtype.kind not in "iu":
            raise IndexError(f"arrays used as indices must be of integer or boolean type, not {part.dtype}")
        n = self.shape[axis] if axis < self.ndim else 0
        return part._a.astype(np.int64) % n if n else part._a

    def __getitem__(self, index: Any) -> "ndarray":
        return on_device(self._a[self._index(index)[0]], self)

    def __setitem__(self, index: Any, value: Any) -> None:
        index, picks = self._index(index)
        if picks and len(np.unique(places := np.arange(self.size).reshape(self.shape)[index])) != places.size:
            raise refuse("assignment through an index that repeats: which value stays is undefined on the device")
        self._a[index] = raw(value, "value")

    # --------------------------------------------------------------------------------------------------- methods

    def astype(self, dtype: Any, order: str = "K", casting: Any = None, subok: Any = None, copy: bool = True) -> Any:
        if not copy and self.dtype == dtype:
            return self
        return on_device(self._a.astype(dtype), order="K")

    def copy(self, order: str = "C") -> "ndarray":
        return on_device(self._a.copy(order), order="K")

    def fill(self, value: Any) -> None:
        self._a[...] = raw(value, "value")

    def view(self, dtype: Any = None) -> "ndarray":
        return on_device(self._a.view() if dtype is None else self._a.view(dtype), self)

    def reshape(self, *shape: Any, order: str = "C") -> "ndarray":
        return on_device(self._a.reshape(*shape, order=order), self)

    def ravel(self, order: str = "C") -> "ndarray":
        return on_device(self._a.ravel(order), self)

    def flatten(self, order: str = "C") -> "ndarray":
        return on_device(self._a.flatten(order))

    def transpose(self, *axes: Any) -> "ndarray":
        return on_device(self._a.transpose(*axes), self)

    def swapaxes(self, axis1: int, axis2: int) -> "ndarray":
        return on_device(self._a.swapaxes(axis1, axis2), self)

    def squeeze(self, axis: Any = None) -> "ndarray":
        if axis is None and 1 not in self.shape:
            return self
        return on_device(self._a.squeeze(axis), self)

    def repeat(self, repeats: Any, axis: Any = None) -> "ndarray":
        if not isinstance(repeats, int):
            raise refuse("repeat takes a whole number here")
        return on_device(self._a.repeat(repeats, axis))

    def take(self, indices: Any, axis: Any = None) -> "ndarray":
        return self.reshape(-1)[indices] if axis is None else self[(slice(None),) * (axis % self.ndim) + (indices,)]

    def sum(self, axis: Any = None, dtype: Any = None, out: None = None, keepdims: bool = False) -> "ndarray":
        return on_device(self._a.sum(axis, dtype, keepdims=keepdims))

    def prod(self, axis: Any = None, dtype: Any = None, out: None = None, keepdims: bool = False) -> "ndarray":
        return on_device(self._a.prod(axis, dtype, keepdims=keepdims))

    def mean(self, axis: Any = None, dtype: Any = None, out: None = None, keepdims: bool = False) -> "ndarray":
        return on_device(self._a.mean(axis, dtype, keepdims=keepdims))

    def max(self, axis: Any = None, out: None = None, keepdims: bool = False) -> "ndarray":
        return on_device(self._a.max(axis, keepdims=keepdims))

    def min(self, axis: Any = None, out: None = None, keepdims: bool = False) -> "ndarray":
        return on_device(self._a.min(axis, keepdims=keepdims))

    def any(self, axis: Any = None, out: None = None, keepdims: bool = False) -> "ndarray":
        return on_device(self._a.any(axis, keepdims=keepdims))

    def all(self, axis: Any = None, out: None = None, keepdims: bool = False) -> "ndarray":
        return on_device(self._a.all(axis, keepdims=keepdims))

    def argmax(self, axis: Any = None, out: None = None, dtype: None = None, keepdims: bool = False) -> "ndarray":
        return on_device(self._a.argmax(axis, keepdims=keepdims))

    def cumsum(self, axis: Any = None, dtype: Any = None, out: None = None) -> "ndarray":
        return on_device(self._a.cumsum(axis, dtype))

    def clip(self, min: Any = None, max: Any = None, out: None = None) -> "ndarray":
        bounds = [None if bound is None else raw(bound) for bound in (min, max)]
        return on_device(np.clip(self._a, *bounds))

    def dot(self, b: Any, out: None = None) -> "ndarray":
        return on_device(self._a.dot(device_raw(b)))

    def __copy__(self) -> "ndarray":
        return self.copy()

    def __deepcopy__(self, memo: Any) -> "ndarray":
        return self.copy()


# -------------------------------------------------------------------------------------------------------- operators

OPERATORS = {
    "add": np.add, "sub": np.subtract, "mul": np.multiply, "truediv": np.true_divide, "floordiv": np.floor_divide,
    "mod": np.remainder, "pow": np.power, "matmul": np.matmul, "and": np.bitwise_and, "or": np.bitwise_or,
    "xor": np.bitwise_xor, "lshift": np.left_shift, "rshift": np.right_shift,
}  # fmt: skip
COMPARISONS = {"eq": np.equal, "ne": np.not_equal, "lt": np.less, "le": np.less_equal, "gt": np.greater,
               "ge": np.greater_equal}  # fmt: skip


def _other(x: Any) -> Any:
    """The other operand; NotImplemented for what is no array, so that its own operator is tried (a Tensor's)."""
    if isinstance(x, (ndarray, np.ndarray)) or is_scalar(x):
        return raw(x)
    return NotImplemented


def _operator(ufunc: np.ufunc, swapped: bool = False) -> Callable:
    def method(self: ndarray, other: Any) -> Any:
        y = _other(other)
        if y is NotImplemented:
            return y
        return on_device(ufunc(y, self._a) if swapped else ufunc(self._a, y))

    return method


def _in_place(ufunc: np.ufunc) -> Callable:
    def method(self: ndarray, other: Any) -> Any:
        ufunc(self._a, raw(other), out=self._a, casting="same_kind")
        return self

    return method


for _name, _ufunc in OPERATORS.items():
    setattr(ndarray, f"__{_name}__", _operator(_ufunc))
    setattr(ndarray, f"__r{_name}__", _operator(_ufunc, swapped=True))
    if _name != "matmul":
        setattr(ndarray, f"__i{_name}__", _in_place(_ufunc))
for _name, _ufunc in COMPARISONS.items():
    setattr(ndarray, f"__{_name}__", _operator(_ufunc))
for _name, _ufunc in {"neg": np.negative, "abs": np.absolute, "invert": np.invert, "pos": np.positive}.items():
    setattr(ndarray, f"__{_name}__", lambda self, ufunc=_ufunc: on_device(ufunc(self._a)))
