"""The array module: NumPy or CuPy under one name, `xp`, and the little that the two do not share.

Numeric code says `from minilm.backend import xp` and runs on either; `use("cupy")` switches. A kernel written for
NumPy alone asks `is_numpy()` first.
"""

import importlib
import math
from typing import Any

import numpy as np

from minilm.errors import ConfigError
from minilm.i18n import tr

FLOAT = np.float32  # what a Python float becomes: float32 to train; float64 arrays, to check, stay as they are


class _ArrayModule:
    """Stands for the array module in use: `xp.exp` is NumPy's or CuPy's, looked up once and then kept."""

    def __init__(self, module: Any):
        self._module = module

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._module, name)
        self.__dict__[name] = found
        return found


xp = _ArrayModule(np)


def use(backend: Any, gpu: int | None = None) -> None:
    """Compute with "numpy", "cupy" or any module that offers their functions. Existing arrays stay where they are.

    gpu: which of the machine's GPUs the calling thread has CuPy compute on, counted round where there are fewer.
    """
    if isinstance(backend, str):
        if backend not in _LOADERS:
            raise ConfigError(tr("backend {got!r} is unknown: use 'numpy' or 'cupy'", got=backend))
        backend = _LOADERS[backend](gpu)
    xp.__dict__.clear()
    xp._module = backend


def try_cupy(cupy: Any) -> None:
    """Raise what CuPy says where it cannot compute: a kernel and a product use all of CUDA that minilm needs, and of
    which the driver alone is not enough."""
    ones = cupy.ones((2, 2))
    (ones @ ones).sum().item()


def _import_cupy(gpu: int | None = None) -> Any:
    try:
        cupy = importlib.import_module("cupy")
        if gpu is not None:
            cupy.cuda.Device(gpu % cupy.cuda.runtime.getDeviceCount()).use()
        try_cupy(cupy)
    except Exception as error:  # CuPy's own errors depend on what is missing: the wheel, the driver, the device
        problem = str(error).strip().split("\n")[0]
        raise ConfigError(
            tr(
                "CuPy cannot compute here ({problem}): install the extra 'minilm[cupy]' on a machine with an NVIDIA "
                "GPU and its driver, or stay with backend 'numpy'",
                problem=problem,
            )
        ) from error
    return cupy


_LOADERS = {"numpy": lambda gpu: np, "cupy": _import_cupy}


def name() -> str:
    """The name of the module in use, e.g. "numpy"."""
    return xp._module.__name__


def is_numpy() -> bool:
    """Whether arrays are NumPy's, so that a NumPy kernel can run on them."""
    return xp._module is np


def is_array(a: object) -> bool:
    """Whether `a` is an array (or array scalar) of the module in use."""
    return isinstance(a, (xp.ndarray, np.generic))


def asarray(a: Any, dtype: Any = None) -> Any:
    """`a` as an array of the module in use. Python floats become `FLOAT`; an array keeps its dtype if none is named."""
    if dtype is None and not hasattr(a, "dtype"):
        a = np.asarray(a)
        dtype = FLOAT if a.dtype == np.float64 else None
    return xp.asarray(a, dtype=dtype)


def anywhere(a: Any) -> Any:
    """`a` as an array where it lies, on the device or on the host; numbers and lists lie on the host."""
    return a if isinstance(a, xp.ndarray) else np.asarray(a)


def extremes(a: Any) -> tuple[int, int]:
    """The least and the largest entry of an integer array, wherever it lies: one transfer from a device."""
    if isinstance(a, np.ndarray):
        return int(a.min()), int(a.max())
    low, high = xp.stack([a.min(), a.max()]).tolist()
    return low, high


def to_numpy(a: Any) -> np.ndarray:
    """`a` on the host, as a NumPy array; a copy only where it was on a device."""
    return a.get() if hasattr(a, "get") and not isinstance(a, np.ndarray) else np.asarray(a)


def generator(*key: int) -> Any:
    """A random generator of the module in use that is a pure function of `key`, e.g. (seed, purpose, step, shard)."""
    seed = key[0] if len(key) == 1 else np.random.SeedSequence(key).generate_state(1, np.uint64)[0]
    return xp.random.default_rng(int(seed))


def generator_state(rng: Any) -> Any:
    """Where a generator stands, to come back to with `set_generator_state`."""
    bits = rng.bit_generator
    return bits.state if isinstance(rng, np.random.Generator) else bits._state.copy()  # CuPy: an array on the device


def set_generator_state(rng: Any, state: Any) -> None:
    """Let a generator go on from a state that `generator_state` gave."""
    if isinstance(rng, np.random.Generator):
        rng.bit_generator.state = state
    else:
        rng.bit_generator._state[...] = state


def bernoulli(rng: Any, p: float, shape: tuple[int, ...]) -> Any:
    """A boolean array, True with probability p, rounded to a multiple of 2^-16 so that 16 random bits an entry do.

    A NumPy generator draws the same on every device (and what it draws is moved); `generator`'s own draw in place.
    """
    count = math.prod(shape)
    threshold = round(p * 65536)
    if threshold == 65536:
        return xp.ones(shape, dtype=bool)
    if not is_numpy() and isinstance(rng, xp.random.Generator):
        return (rng.integers(0, 65536, size=count) < threshold).reshape(shape)
    bits = rng.bit_generator.random_raw(-(-count // 4)).view(np.uint16)[:count]
    return xp.asarray(bits < threshold).reshape(shape)


# erf(x) = x T(x²)/U(x²) for |x| < 1, else sign(x) (1 - exp(-x²) P(|x|)/Q(|x|)), with the coefficients of Moshier's
# Cephes library (ndtr.c), highest power first; NumPy has no erf. Largest error 1.2e-16 + 2 ulp.
_T = (9.60497373987051638749e0, 9.00260197203842689217e1, 2.23200534594684319226e3, 7.00332514112805075473e3,
      5.55923013010394962768e4)  # fmt: skip
_U = (1.0, 3.35617141647503099647e1, 5.21357949780152679795e2, 4.59432382970980127987e3, 2.26290000613890934246e4,
      4.92673942608635921086e4)  # fmt: skip
_P = (2.46196981473530512524e-10, 5.64189564831068821977e-1, 7.46321056442269912687e0, 4.86371970985681366614e1,
      1.96520832956077098242e2, 5.26445194995477358631e2, 9.34528527171957607540e2, 1.02755188689515710272e3,
      5.57535335369399327526e2)  # fmt: skip
_Q = (1.0, 1.32281951154744992508e1, 8.67072140885989742329e1, 3.54937778887819891062e2, 9.75708501743205489753e2,
      1.82390916687909736289e3, 2.24633760818710981792e3, 1.65666309194161350182e3,
      5.57535340817727675546e2)  # fmt: skip


def _polynomial(coefficients: tuple[float, ...], x: Any) -> Any:
    result = coefficients[0]
    for c in coefficients[1:]:
        result = result * x + c
    return result


def erf(x: Any) -> Any:
    """2/√π ∫₀ˣ exp(-t²) dt, elementwise, in the precision of x."""
    if not is_numpy():
        return importlib.import_module("cupyx.scipy.special").erf(x)
    z = np.minimum(np.abs(x), 6)  # erf(6) is 1 to the last bit, and exp(-36) is no denormal
    near = z < 1
    inner = np.where(near, z, 0)
    small = inner * _polynomial(_T, inner * inner) / _polynomial(_U, inner * inner)
    outer = np.where(near, 1, z)
    large = 1 - np.exp(-outer * outer) * _polynomial(_P, outer) / _polynomial(_Q, outer)
    return np.copysign(np.where(near, small, large), x)
