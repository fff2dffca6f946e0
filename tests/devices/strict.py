"""The array module of the double: the functions that CuPy has, with no keyword that CuPy's do not take.

A test compares every name and parameter here with the installed CuPy's.
"""

import builtins
import contextlib
import math
import sys
import types
from collections.abc import Iterator
from typing import Any

import double
import numpy as np
from double import count, device_raw, is_scalar, ndarray, on_device, raw, refuse

from minilm import backend

# ------------------------------------------------------------------------------------------------- functions of numbers


ARRIVAL = np.random.default_rng(0)  # which of a GPU's threads comes first is another one each time


class ufunc:  # noqa: N801 -- the name that array modules give it
    """A function of each entry; it takes no `where`. What `at` adds up in one place comes in no fixed order."""

    def __init__(self, of: np.ufunc):
        self._of, self.__name__, self.nin = of, of.__name__, of.nin

    def __call__(self, *args: Any, out: Any = None, dtype: Any = None, casting: str = "same_kind") -> ndarray:
        if len(args) != self.nin:
            raise TypeError(f"{self.__name__} takes {self.nin} arrays, not {len(args)}")
        inputs = [raw(a) for a in args]
        if out is None:
            return on_device(self._of(*inputs, dtype=dtype, casting=casting))
        self._of(*inputs, out=device_raw(out), dtype=dtype, casting=casting)
        return out

    def at(self, a: ndarray, indices: Any, b: Any = None) -> None:
        if self.__name__ not in ("add", "maximum", "minimum"):
            raise NotImplementedError(f"{self.__name__}.at")
        if a.dtype.kind != "f" and a.dtype not in (np.int32, np.uint32, np.uint64):
            raise TypeError(f"{self.__name__}.at has no atomic operation for {a.dtype}")
        places = np.arange(a.size).reshape(a.shape)[a._index(indices)[0]]
        values, order = np.broadcast_to(raw(b, "value"), places.shape), ARRIVAL.permutation(places.size)
        flat = a._a.reshape(-1)  # a copy, where rows are not in order
        self._of.at(flat, places.reshape(-1)[order], values.reshape(-1)[order])
        a._a[...] = flat.reshape(a.shape)


UFUNCS = """
    absolute add arccos arcsin arctan arctan2 ceil copysign cos cosh divide equal exp exp2 expm1 floor floor_divide
    greater greater_equal hypot invert isfinite isinf isnan left_shift less less_equal log log10 log1p log2 logaddexp
    logaddexp2 logical_and logical_not logical_or logical_xor maximum minimum multiply negative not_equal power
    reciprocal remainder right_shift sign signbit sin sinh sqrt square subtract tan tanh true_divide trunc
    bitwise_and bitwise_or bitwise_xor
""".split()


# ------------------------------------------------------------------------------------------------------- making arrays


def array(obj, dtype=None, copy=True, order="K", subok=False, ndmin=0):
    if isinstance(obj, ndarray):
        return obj.astype(obj.dtype if dtype is None else dtype, copy=bool(copy))
    made = on_device(np.array(obj, dtype=dtype, ndmin=ndmin), order="K")  # refuses a list of device arrays
    count("up", "array", made.shape)
    return made


def asarray(a, dtype=None, order=None):
    return array(a, dtype, copy=False)


def asnumpy(a):
    return a.get()


def zeros(shape, dtype=float, order="C"):
    return on_device(np.zeros(shape, dtype))


def ones(shape, dtype=float, order="C"):
    return on_device(np.ones(shape, dtype))


def empty(shape, dtype=float, order="C"):
    """Memory as it was found: nothing that anybody should rely on."""
    return _as_found(np.empty(shape, dtype))


def _as_found(made):
    made.fill(np.nan if made.dtype.kind in "fc" else 77)
    return on_device(made, order="K")


def full(shape, fill_value, dtype=None, order="C"):
    return on_device(np.full(shape, raw(fill_value), dtype))


def zeros_like(a, dtype=None):
    return on_device(np.zeros_like(device_raw(a), dtype), order="K")


def ones_like(a, dtype=None):
    return on_device(np.ones_like(device_raw(a), dtype), order="K")


def empty_like(prototype, dtype=None):
    return _as_found(np.empty_like(device_raw(prototype), dtype))


def full_like(a, fill_value, dtype=None):
    return on_device(np.full_like(device_raw(a), raw(fill_value), dtype), order="K")


def eye(N, M=None, k=0, dtype=float, order="C"):
    return on_device(np.eye(N, M, k, dtype))


def arange(start, stop=None, step=1, dtype=None):
    if not builtins.all(x is None or is_scalar(x) for x in (start, stop, step)):
        raise refuse("arange takes numbers of the host")
    return on_device(np.arange(start, dtype=dtype) if stop is None else np.arange(start, stop, step, dtype))


# ------------------------------------------------------------------------------------- rearranging, choosing, reducing


def reshape(a, newshape, order="C"):
    return on_device(device_raw(a).reshape(newshape, order=order), a)


def transpose(a, axes=None):
    return on_device(device_raw(a).transpose(axes), a)


def swapaxes(a, axis1, axis2):
    return on_device(device_raw(a).swapaxes(axis1, axis2), a)


def moveaxis(a, source, destination):
    return on_device(np.moveaxis(device_raw(a), source, destination), a)


def squeeze(a, axis=None):
    device_raw(a)
    return a.squeeze(axis)


def expand_dims(a, axis):
    return on_device(np.expand_dims(device_raw(a), axis), a)


def broadcast_to(array, shape):
    return on_device(np.broadcast_to(device_raw(array), shape), array)


def concatenate(tup, axis=0, out=None, *, dtype=None, casting="same_kind"):
    return on_device(np.concatenate([device_raw(a) for a in tup], axis, dtype=dtype, casting=casting))


def stack(tup, axis=0, out=None):
    return on_device(np.stack([device_raw(a) for a in tup], axis))


def pad(array, pad_width, mode="constant", **kwargs):
    return on_device(np.pad(device_raw(array), pad_width, mode, **kwargs))


def triu(m, k=0):
    return on_device(np.triu(device_raw(m), k))


def tril(m, k=0):
    return on_device(np.tril(device_raw(m), k))


def where(condition, x=None, y=None):
    if x is None or y is None:
        raise refuse("where of a condition alone must know how many are true")
    return on_device(np.where(device_raw(condition), raw(x), raw(y)))


def clip(a, a_min, a_max, out=None):
    device_raw(a)
    return a.clip(a_min, a_max)


def take_along_axis(a, indices, axis):
    return on_device(np.take_along_axis(device_raw(a), device_raw(indices) % a.shape[axis], axis))


def sum(a, axis=None, dtype=None, out=None, keepdims=False):
    device_raw(a)
    return a.sum(axis, dtype, out, keepdims)


def prod(a, axis=None, dtype=None, out=None, keepdims=False):
    device_raw(a)
    return a.prod(axis, dtype, out, keepdims)


def mean(a, axis=None, dtype=None, out=None, keepdims=False):
    device_raw(a)
    return a.mean(axis, dtype, out, keepdims)


def max(a, axis=None, out=None, keepdims=False):
    device_raw(a)
    return a.max(axis, out, keepdims)


def min(a, axis=None, out=None, keepdims=False):
    device_raw(a)
    return a.min(axis, out, keepdims)


def any(a, axis=None, out=None, keepdims=False):
    device_raw(a)
    return a.any(axis, out, keepdims)


def all(a, axis=None, out=None, keepdims=False):
    device_raw(a)
    return a.all(axis, out, keepdims)


def argmax(a, axis=None, dtype=None, out=None, keepdims=False):
    device_raw(a)
    return a.argmax(axis, out, dtype, keepdims)


def cumsum(a, axis=None, dtype=None, out=None):
    device_raw(a)
    return a.cumsum(axis, dtype, out)


def dot(a, b, out=None):
    return on_device(np.dot(device_raw(a), device_raw(b)))


def matmul(*args):
    a, b = (device_raw(x) for x in args)
    return on_device(np.matmul(a, b))


# ------------------------------------------------------------------------------------------------------ random numbers


class BitGenerator:
    """Where a generator stands, as memory of the device: all that it will draw follows from it."""

    def __init__(self, seed: int | None = None):
        first = np.random.SeedSequence().generate_state(1, np.uint64)[0] if seed is None else seed
        self._state = on_device(np.array([first, 0], np.uint64))

    def next(self) -> np.random.Generator:
        """What makes the next draw."""
        made = np.random.default_rng(self._state._a.tolist())
        self._state._a[1] += 1
        return made


class Generator:
    """What CuPy's Generator offers of NumPy's; every draw is an array on the device."""

    def __init__(self, bit_generator: BitGenerator):
        self.bit_generator = bit_generator

    @property
    def _rng(self) -> np.random.Generator:
        return self.bit_generator.next()

    def random(self, size=None, dtype=np.float64, out=None):
        return on_device(self._rng.random(size, dtype))

    def integers(self, low, high=None, size=None, dtype=np.int64, endpoint=False):
        return on_device(self._rng.integers(low, high, size, dtype, endpoint))

    def standard_normal(self, size=None, dtype=np.float64, out=None):
        return on_device(self._rng.standard_normal(size, dtype))

    def uniform(self, low=0.0, high=1.0, size=None, dtype=np.float64):
        return on_device(self._rng.uniform(low, high, size).astype(dtype))

    def standard_exponential(self, size=None, dtype=np.float64, method="inv", out=None):
        return on_device(self._rng.standard_exponential(size, dtype))


def default_rng(seed=None):
    return Generator(BitGenerator(seed))


def erf(x: Any) -> ndarray:
    """Of cupyx.scipy.special: from the C library, one number at a time."""
    a = device_raw(x)
    return on_device(np.fromiter(map(math.erf, a.ravel().tolist()), float, a.size).reshape(a.shape).astype(a.dtype))


# ------------------------------------------------------------------------------------------------------------ modules

NUMBERS = ("bool_ int8 int16 int32 int64 uint8 uint16 uint32 uint64 float16 float32 float64 complex64 complex128 dtype "
           "generic number integer floating inf nan pi e newaxis finfo iinfo").split()  # fmt: skip
FUNCTIONS = (
    array, asarray, asnumpy, zeros, ones, empty, full, zeros_like, ones_like, empty_like, full_like, eye, arange,
    reshape, transpose, swapaxes, moveaxis, squeeze, expand_dims, broadcast_to, concatenate, stack, pad, triu, tril,
    where, clip, take_along_axis, sum, prod, mean, max, min, any, all, argmax, cumsum, dot, matmul,
)  # fmt: skip


def _module(name: str, **contents: Any) -> types.ModuleType:
    module = types.ModuleType(name, __doc__)
    module.__dict__.update(contents)
    return module


strict = _module(
    "strict",
    ndarray=ndarray,
    ufunc=ufunc,
    random=_module("strict.random", default_rng=default_rng, Generator=Generator),
    abs=ufunc(np.absolute),
    **{f.__name__: f for f in FUNCTIONS},
    **{name: ufunc(getattr(np, name)) for name in UFUNCS},
    **{name: getattr(np, name) for name in NUMBERS},
)


@contextlib.contextmanager
def use_double() -> Iterator[types.ModuleType]:
    """Compute on the double for a `with` block; at its end nothing may have been refused."""
    before, special = backend.xp._module, sys.modules.get("cupyx.scipy.special")
    sys.modules["cupyx.scipy.special"] = _module("cupyx.scipy.special", erf=erf)
    backend.use(strict)
    start = len(double.refused)
    try:
        yield strict
    finally:
        backend.use(before)
        if special is None:
            del sys.modules["cupyx.scipy.special"]
        else:
            sys.modules["cupyx.scipy.special"] = special
        del double.transfers[:]
    assert double.refused[start:] == [], "a transfer in silence, or an outcome undefined on a device"
