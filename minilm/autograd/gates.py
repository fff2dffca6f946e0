"""Gates: one half of what an MLP computes says how much passes of the other half (Shazeer 2020)."""

from typing import Any

import numpy as np

from minilm.autograd import fused as kernels
from minilm.autograd.fused import check_floats, check_shape, kernel_fits, silu
from minilm.autograd.operation import fused
from minilm.autograd.tensor import shape

__all__ = ["silu_gate"]


@fused
def silu_gate(gate, x):
    """y = silu(gate) ⊙ x, both of one shape. Source: Shazeer 2020, equation 6, the gate of SwiGLU."""
    _check_gate(gate, x)
    return silu(gate) * x


@silu_gate.kernel
def _(gate, x, *, save):
    if not kernel_fits(gate, x) or gate.shape != x.shape:
        return NotImplemented
    a, b = gate.reshape(-1), x.reshape(-1)
    y = np.empty(a.size, a.dtype)
    h, d = (np.empty_like(y), np.empty_like(y)) if save else (y, None)
    scratch = np.empty((3, min(kernels.CHUNK, a.size)), a.dtype)
    for part in kernels.chunks(a.size):
        slope = None if d is None else d[part]
        kernels._silu(a[part], h[part], slope, scratch[:, : part.stop - part.start])
        np.multiply(h[part], b[part], out=y[part])
        if slope is not None:
            slope *= b[part]
    return y.reshape(x.shape), (h, d)


@silu_gate.kernel_vjp("gate", "x")
def _(g, residuals):
    """The cotangent of gate is g ⊙ silu'(gate) ⊙ x, that of x is g ⊙ silu(gate)."""
    h, d = (a.reshape(g.shape) for a in residuals)
    return g * d, g * h


def _check_gate(gate: Any, x: Any) -> None:
    check_floats("silu_gate", gate=gate, x=x)
    check_shape("silu_gate", "x", x, shape(gate))
