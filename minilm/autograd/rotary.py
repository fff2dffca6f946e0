"""Rotary positions: a query or key is turned by angles that grow with its place (Su et al. 2021, section 3.2).

The product of a query turned by mθ with a key turned by nθ is that of the query turned by (m - n)θ with the key as it
is: attention reads how far apart two positions are, not where they stand.
"""

from typing import Any

import numpy as np

from minilm import backend
from minilm.autograd.fused import check_floats, kernel_fits
from minilm.autograd.operation import fused
from minilm.autograd.shapes import concatenate
from minilm.autograd.tensor import shape
from minilm.autograd.tensor import value as raw
from minilm.errors import ShapeError
from minilm.i18n import tr

__all__ = ["rotary"]


@fused
def rotary(x, cos, sin):
    """Each pair (a, b) = (x_i, x_{i+K/2}) turned by an angle θ_i: (a cos θ_i - b sin θ_i, b cos θ_i + a sin θ_i).

    x: (..., K), K even. cos, sin: of the angles, constants that broadcast to (..., K/2), cast to x's dtype.
    Source: Su et al. 2021, equation 34; the paper pairs neighbours, x_{2i} with x_{2i+1}; this is the order of GPT-NeoX
    and of LLaMA's weights as Hugging Face stores them.
    """
    _check_rotary(x, cos, sin)
    half = shape(x)[-1] // 2
    cos, sin = backend.asarray(raw(cos), x.dtype), backend.asarray(raw(sin), x.dtype)
    a, b = x[..., :half], x[..., half:]
    return concatenate([a * cos - b * sin, b * cos + a * sin], -1)


@rotary.kernel
def _(x, cos, sin, *, save):
    if not kernel_fits(x, cos, sin):
        return NotImplemented
    _check_rotary(x, cos, sin)
    return _turned(x, cos, sin), (cos, sin)


@rotary.kernel_vjp("x")
def _(g, residuals):
    """x̄ = g turned back, by the angles -θ."""
    cos, sin = residuals
    return (_turned(g, cos, -sin),)


def _turned(x: np.ndarray, cos: np.ndarray, sin: np.ndarray) -> np.ndarray:
    y = np.empty(x.shape, x.dtype)
    half = x.shape[-1] // 2
    (a, b), (c, d) = (x[..., :half], x[..., half:]), (y[..., :half], y[..., half:])
    np.multiply(a, cos, out=c)
    c -= b * sin
    np.multiply(b, cos, out=d)
    d += a * sin
    return y


def _check_rotary(x: Any, cos: Any, sin: Any) -> None:
    check_floats("rotary", x=x, cos=cos, sin=sin)
    if not shape(x) or shape(x)[-1] % 2:
        raise ShapeError(tr("rotary: x has shape {got}, wanted (..., K) with an even K", got=shape(x)))
    wanted = (*shape(x)[:-1], shape(x)[-1] // 2)
    for name, a in (("cos", cos), ("sin", sin)):
        try:
            fits = np.broadcast_shapes(shape(a), wanted) == wanted
        except ValueError:
            fits = False
        if not fits:
            raise ShapeError(
                tr(
                    "rotary: {name} has shape {got}, which does not broadcast to (..., K/2) = {wanted}",
                    name=name,
                    got=shape(a),
                    wanted=wanted,
                )
            )
