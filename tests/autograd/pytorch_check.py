"""How a call is held to PyTorch: value, gradients, and gradients of gradients, in float64; and in float32."""

import importlib
import pkgutil
from collections.abc import Sequence
from typing import Any

import fused_cases
import numpy as np
import torch
from hypothesis import settings
from operation_cases import CASES, Call, calls, laid_out

import minilm.autograd
from minilm.autograd import Tensor, grad
from minilm.autograd.operation import Fused, Primitive

__all__ = ["CASES", "ENGINE", "Difference", "calls", "equals_pytorch", "examples", "fused_cases", "modes"]

TOLERANCE = {np.float64: 1e-10, np.float32: 3e-5}
SECOND_ORDER = 1e-8
# Numbers are of order 1: what rounding leaves of terms that cancel is compared with this, not with itself.
FLOOR = {np.float64: 1e-3, np.float32: 1}

ENGINE: dict[str, Any] = {
    name: operation
    for module in pkgutil.iter_modules(minilm.autograd.__path__, "minilm.autograd.")
    for name, operation in vars(importlib.import_module(module.name)).items()
    if isinstance(operation, (Primitive, Fused))
}


def examples(fast: int, thorough: int) -> settings:
    """So many examples in the profile of every day, and so many in the thorough one."""
    return settings(max_examples=thorough if settings.default.max_examples >= 200 else fast)


def modes(name: str) -> Sequence[bool]:
    """Kernels on, and for what has a kernel also off."""
    return (True, False) if name == "dropout" or isinstance(ENGINE.get(name), Fused) else (True,)


class Difference(AssertionError):
    """Ours and PyTorch's are not equal."""


def relative_error(got: Any, wanted: Any, dtype: Any = np.float64) -> float:
    """max |got - wanted| / max(max |wanted|, FLOOR); NaN where either holds one."""
    if got.shape != wanted.shape:
        raise Difference(f"shape {got.shape}, wanted {wanted.shape}")
    error, size = np.abs(got - wanted).max(initial=0), np.abs(wanted).max(initial=FLOOR[dtype])
    return float(error / size)


def require_equal(what: str, got: Any, wanted: Any, tolerance: float, dtype: Any = np.float64) -> None:
    error = relative_error(got, wanted, dtype)
    if not (error <= tolerance):  # so that NaN fails
        raise Difference(f"{what}: relative error {error:.3g}\ngot\n{got}\nwanted\n{wanted}")


def random(call: Call, of: tuple[int, ...], which: int) -> np.ndarray:
    """The call's cotangent (0), and directions (1, 2, ...)."""
    return np.random.default_rng([call.seed, which]).standard_normal(of)


def torchs_tensors(arrays: Sequence[np.ndarray]) -> list[torch.Tensor]:
    return [torch.tensor(np.array(a, np.float64, order="C"), requires_grad=True) for a in arrays]


def equals_pytorch(call: Call, dtype: Any = np.float64) -> None:
    """Value and gradients are PyTorch's, computed in float64 of the same numbers; dtypes are the inputs'."""
    tolerance = TOLERANCE[dtype]
    arrays = call.inputs(dtype)
    tensors, references = [Tensor(a, requires_grad=True) for a in arrays], torchs_tensors(arrays)
    y, expected = call.ours(*tensors), call.theirs(*references)
    if not call.differentiable:
        assert not y.requires_grad
        np.testing.assert_array_equal(y.numpy(), expected.numpy(force=True))
        return
    assert y.dtype == dtype, f"{y.dtype} of {dtype}"
    require_equal("value", y.numpy(), expected.numpy(force=True), tolerance, dtype)
    u = laid_out(random(call, y.shape, 0).astype(dtype), call.layouts[-1])
    y = y if y.ndim else y * 1.0  # so that the cotangent is a bare number, as in the midst of a graph
    wanted = torch.autograd.grad(
        expected,
        references,
        torch.tensor(np.array(u, np.float64, order="C")),
        allow_unused=True,
        materialize_grads=True,
    )
    for i, (g, w) in enumerate(zip(grad(y, tensors, u), wanted, strict=True)):
        assert g.dtype == dtype, f"gradient {i}: {g.dtype} of {dtype}"
        require_equal(f"gradient {i}", g.numpy(), w.numpy(force=True), tolerance, dtype)


def equals_pytorch_twice(call: Call) -> None:
    """With create_graph: the gradients, and those of Σ ⟨direction, gradient⟩ by the cotangent and every input."""
    arrays = call.inputs(np.float64)
    tensors, references = [Tensor(a, requires_grad=True) for a in arrays], torchs_tensors(arrays)
    y, expected = call.ours(*tensors), call.theirs(*references)
    u = Tensor(random(call, y.shape, 0), requires_grad=True)
    reference = torch.tensor(u.numpy(), requires_grad=True)
    first = grad(y, tensors, u, create_graph=True)
    wanted = torch.autograd.grad(
        expected, references, reference, create_graph=True, allow_unused=True, materialize_grads=True
    )
    for i, (g, w) in enumerate(zip(first, wanted, strict=True)):
        require_equal(f"gradient {i} with create_graph", g.numpy(), w.numpy(force=True), SECOND_ORDER)
    directions = [random(call, a.shape, 1 + i) for i, a in enumerate(arrays)]
    s = sum(((g * v).sum() for g, v in zip(first, directions, strict=True)), start=(u * 0).sum())
    expected = sum((w * torch.tensor(v)).sum() for w, v in zip(wanted, directions, strict=True)) + (reference * 0).sum()
    wanted = torch.autograd.grad(expected, [reference, *references], allow_unused=True, materialize_grads=True)
    for i, (g, w) in enumerate(zip(grad(s, [u, *tensors]), wanted, strict=True)):
        require_equal(f"gradient of the gradient {i}", g.numpy(), w.numpy(force=True), SECOND_ORDER)
