"""How a fused kernel is held to its plain twin, to PyTorch and to the rules of the engine."""

import contextlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from minilm import backend
from minilm import functional as F
from minilm.autograd import Tensor, attention, fast, fused, grad, losses, no_grad
from minilm.autograd.later import made

sys.path.insert(0, str(Path(__file__).parent))  # operation_cases and its like are imported by name


class Watched(np.ndarray):
    """A float32 array that does not let itself be turned into float64, nor anything computed from it."""

    def __array_ufunc__(self, ufunc, method, *inputs, out=None, **kwargs):
        plain = [x.view(np.ndarray) if isinstance(watched(x), Watched) else x for x in inputs]
        if out is not None:
            kwargs["out"] = tuple(x.view(np.ndarray) if isinstance(x, Watched) else x for x in out)
        result = getattr(ufunc, method)(*plain, **kwargs)
        if out is not None:
            return out[0]
        return watched(result)


def watched(x: Any) -> Any:
    dtype = getattr(x, "dtype", None)
    assert dtype != np.float64, "a float64 array in a float32 graph"
    return x.view(Watched) if isinstance(x, np.ndarray) and dtype == np.float32 else x


def no_float64(x: Any) -> None:
    """No array anywhere in the residuals is float64."""
    if isinstance(x, np.ndarray):
        assert x.dtype != np.float64
    for part in x if isinstance(x, (tuple, list)) else vars(x).values() if hasattr(x, "__dict__") else ():
        if part is not x and not isinstance(x, np.ndarray):
            no_float64(part)


def close(got: Any, wanted: Any, tolerance: float = 1e-11) -> None:
    got, wanted = np.asarray(got), np.asarray(wanted)
    assert got.shape == wanted.shape
    error, size = np.abs(got - wanted).max(initial=0), np.abs(wanted).max(initial=0)
    assert error <= tolerance * (1 + size), f"off by {error} at size {size}"


class Check:
    """check(operation, arguments, options, torch's function): every rule that holds for every kernel."""

    def __call__(
        self, op: Any, args: list, options: dict | None = None, theirs: Callable | None = None, seed: int = 0
    ) -> Any:
        options = options or {}
        for a in (*args, *options.values()):
            if isinstance(a, np.ndarray):
                a.flags.writeable = False  # inputs belong to others: writing into one raises
        y, gradients, u = self.run(op, args, options, seed)
        with fast(False):
            twin, twins_gradients, _ = self.run(op, args, options, seed)
        close(y, twin)
        for g, wanted in zip(gradients, twins_gradients, strict=True):
            close(g, wanted)
        if theirs is not None:
            self.compare_with_torch(theirs, args, u, y, gradients)
        self.raw_and_unrecorded(op, args, options, y)
        if backend.is_numpy():  # elsewhere no kernel runs
            self.stays_float32(op, args, options, y, gradients, u)
        return y

    @staticmethod
    def run(op: Any, args: list, options: dict, seed: int) -> tuple[Any, list, Any]:
        """Value, gradients, from two backwards that agree to the last bit, and the random cotangent.

        The gradient of an embedding alone is not held to the last bit on a device, which adds it up in no fixed order.
        """
        tensors = [Tensor(a, requires_grad=True) if is_float(a) else a for a in args]
        live = [t for t in tensors if isinstance(t, Tensor)]
        y = op(*tensors, **options)
        u = np.random.default_rng([seed, 1]).standard_normal(y.shape)
        u.flags.writeable = False
        first = [g.numpy() for g in grad(y, live, u, retain_graph=True)]
        second = [g.numpy() for g in grad(y, live, u)]
        agree = np.testing.assert_array_equal if backend.is_numpy() or op is not F.embedding else close
        for a, b in zip(first, second, strict=True):
            agree(a, b)
        return y.numpy(), first, u

    @staticmethod
    def compare_with_torch(theirs: Callable, args: list, u: Any, y: Any, gradients: list) -> None:
        tensors = [torch.tensor(a, requires_grad=is_float(a)) if isinstance(a, np.ndarray) else a for a in args]
        expected = theirs(*tensors)
        close(y, expected.detach().numpy(), 1e-10)
        live = [t for t in tensors if isinstance(t, torch.Tensor) and t.requires_grad]
        for g, wanted in zip(gradients, torch.autograd.grad(expected, live, torch.tensor(u)), strict=True):
            close(g, wanted.numpy(), 1e-10)

    @staticmethod
    def raw_and_unrecorded(op: Any, args: list, options: dict, y: Any) -> None:
        raw = op(*[backend.asarray(a) if isinstance(a, np.ndarray) else a for a in args], **options)
        assert isinstance(raw, (backend.xp.ndarray, np.generic))
        with no_grad():
            unrecorded = op(*[Tensor(a, requires_grad=True) if is_float(a) else a for a in args], **options)
        assert not unrecorded.requires_grad
        np.testing.assert_array_equal(unrecorded.numpy(), backend.to_numpy(raw))
        if op is attention.attention:  # for a few queries it has a shorter way, which rounds differently
            close(unrecorded.numpy(), y, 1e-14)
        else:
            np.testing.assert_array_equal(unrecorded.numpy(), y)

    @staticmethod
    def stays_float32(op: Any, args: list, options: dict, y: Any, gradients: list, u: Any) -> None:
        narrow = [a.astype(np.float32).view(Watched) if is_float(a) else a for a in args]
        options = {k: v.astype(np.float32) if is_float(v) else v for k, v in options.items()}
        bound, _ = op._bind(tuple(narrow), dict(options))
        result = op._kernel(*bound, save=True)
        assert result is not NotImplemented, "the kernel did not run"
        y32, residuals = result
        no_float64(residuals)
        found = [made(d) for d in op._kernel_vjp(np.asarray(u, np.float32).view(Watched), residuals)]
        wanted = dict(zip([i for i, a in enumerate(args) if is_float(a)], gradients, strict=True))
        assert y32.dtype == np.float32
        close(y32, y, 1e-4)
        for i, g in zip(op.differentiable, found, strict=True):
            if i in wanted:
                assert g.dtype == np.float32
                close(g, wanted[i], 1e-3)


def is_float(a: Any) -> bool:
    return isinstance(a, np.ndarray) and a.dtype.kind == "f"


@pytest.fixture(scope="session")
def check() -> Check:
    return Check()


MODULES = {
    "CHUNK": fused,
    "ROW_CHUNK": fused,
    "TILE_ROWS": attention,
    "TILE_BYTES": attention,
    "LOGITS_ROWS": losses,
    "LOGITS_BYTES": losses,
}


@pytest.fixture(scope="session")
def tiles() -> Callable:
    """tiles(CHUNK=7): a block in which tiles are so small that small shapes have many, the last one partial."""

    @contextlib.contextmanager
    def changed(**sizes: int) -> Iterator[None]:
        before = {name: getattr(MODULES[name], name) for name in sizes}
        for name, size in sizes.items():
            setattr(MODULES[name], name, size)
        try:
            yield
        finally:
            for name, size in before.items():
                setattr(MODULES[name], name, size)

    return changed
