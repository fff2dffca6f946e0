"""More than a gradient: Jacobians, Hessians, and their products with a vector, which need neither whole matrix.

All take what `grad` takes: an output that was computed already, and the inputs to differentiate by. The Hessian of n
parameters has n² entries; its product with a vector costs a few gradients (Pearlmutter 1994), as does the Jacobian's,
here by two backwards: u ↦ Jᵀu is linear, so its own gradient along v is J v.
"""

from collections.abc import Sequence
from typing import Any

from minilm.autograd.backward import grad
from minilm.autograd.ops import multiply, sum
from minilm.autograd.tensor import Tensor, shape, value, wrap
from minilm.backend import xp
from minilm.errors import GraphError, ShapeError
from minilm.i18n import tr

Tensors = Tensor | Sequence[Tensor]


def jvp(output: Tensor, inputs: Tensors, tangents: Any) -> Tensor:
    """J v: how `output` moves when the inputs move along `tangents`. Output's shape.

    inputs: a Tensor or a list of them, tangents: an array of the same shape for each. The graph is kept.
    Errors: ShapeError for tangents that do not fit, GraphError as in `grad`.
    """
    xs, vs = _paired("jvp", inputs, tangents)
    cotangent = Tensor(xp.zeros(output.shape, output.dtype), requires_grad=True)
    (product,) = _gradient_along(grad(output, xs, cotangent, create_graph=True), vs, [cotangent])
    return product


def hvp(output: Tensor, inputs: Tensors, vectors: Any) -> Any:
    """H v, H the Hessian of the single number `output`: one Tensor of its input's shape, or a list for a list.

    inputs: a Tensor or a list of them, vectors: an array of the same shape for each. The graph is kept.
    Errors: ShapeError for vectors that do not fit, GraphError for an output that is not a single number.
    """
    xs, vs = _paired("hvp", inputs, vectors)
    products = _gradient_along(_gradients("hvp", output, xs), vs, xs)
    return products[0] if isinstance(inputs, Tensor) else products


def jacobian(output: Tensor, inputs: Tensors) -> Any:
    """J[i, j] = ∂ output_i / ∂ input_j, of shape (*output.shape, *input.shape); a list for a list of inputs.

    One backward for each entry of the output. The graph is kept.
    """
    xs = [inputs] if isinstance(inputs, Tensor) else list(inputs)
    rows = [_row(output, xs, i) for i in range(output.size)]
    found = []
    for k, x in enumerate(xs):
        entries = [row[k] for row in rows]
        whole = xp.stack(entries) if entries else xp.zeros((0,), x.dtype)
        found.append(wrap(whole.reshape(*output.shape, *x.shape), None))
    return found[0] if isinstance(inputs, Tensor) else found


def hessian(output: Tensor, inputs: Tensors) -> Any:
    """H[i, j] = ∂² output / ∂ input_i ∂ input_j, of shape (*input.shape, *input.shape); for a list of inputs a list of
    lists, the block of inputs m and n at [m][n]. output: a single number. The graph is kept.
    """
    xs = [inputs] if isinstance(inputs, Tensor) else list(inputs)
    blocks = [_jacobian_or_zero(g, xs) for g in _gradients("hessian", output, xs)]
    return blocks[0][0] if isinstance(inputs, Tensor) else blocks


def _gradients(name: str, output: Tensor, xs: list[Tensor]) -> list[Tensor]:
    """The gradients of a single number, to be differentiated again."""
    if output.size != 1:
        raise GraphError(
            tr(
                "{op}: the output has shape {got}; a Hessian is that of a single number, such as a loss",
                op=name,
                got=output.shape,
            )
        )
    return grad(output, xs, xp.ones(output.shape, output.dtype), create_graph=True)


def _gradient_along(gradients: list[Tensor], directions: list[Any], by: list[Tensor]) -> list[Tensor]:
    """The gradient of Σ ⟨gradient, direction⟩; zeros where that does not depend on `by`."""
    along = Tensor(xp.zeros((), by[0].dtype))
    for g, v in zip(gradients, directions, strict=True):
        if g.requires_grad:
            along = along + sum(multiply(g, v))
    if not along.requires_grad:
        return [wrap(xp.zeros(t.shape, t.dtype), None) for t in by]
    return grad(along, by, retain_graph=True)


def _row(output: Tensor, xs: list[Tensor], i: int) -> list[Any]:
    """The gradient of entry i of the output, counted in memory order."""
    unit = xp.zeros(output.size, output.dtype)
    unit[i] = 1
    return [value(g) for g in grad(output, xs, unit.reshape(output.shape), retain_graph=True)]


def _jacobian_or_zero(g: Tensor, xs: list[Tensor]) -> list[Tensor]:
    """The Jacobian of a gradient, which is 0 where the gradient is constant."""
    if g.requires_grad:
        return jacobian(g, xs)
    return [wrap(xp.zeros((*g.shape, *x.shape), x.dtype), None) for x in xs]


def _paired(name: str, inputs: Tensors, vectors: Any) -> tuple[list[Tensor], list[Any]]:
    """Inputs and vectors as lists of equal length, each vector of its input's shape and dtype."""
    xs = [inputs] if isinstance(inputs, Tensor) else list(inputs)
    vs = [vectors] if isinstance(inputs, Tensor) else list(vectors)
    if len(xs) != len(vs):
        raise ShapeError(tr("{op}: {n} inputs, but {m} vectors; give one for each", op=name, n=len(xs), m=len(vs)))
    for i, (x, v) in enumerate(zip(xs, vs, strict=True)):
        if shape(v) != x.shape:
            raise ShapeError(
                tr(
                    "{op}: the vector for input {i} has shape {got}, wanted {wanted}",
                    op=name,
                    i=i,
                    got=shape(v),
                    wanted=x.shape,
                )
            )
    return xs, [xp.asarray(value(v), dtype=x.dtype) for x, v in zip(xs, vs, strict=True)]
