"""What `a + b` and x.sum() stand for: the operators and methods of a Tensor, attached to it."""

from typing import Any

from minilm.autograd.ops import (
    abs,
    add,
    argmax,
    astype,
    clip,
    cumsum,
    divide,
    equal,
    exp,
    greater,
    greater_equal,
    less,
    less_equal,
    log,
    logsumexp,
    max,
    mean,
    min,
    multiply,
    negative,
    power,
    sigmoid,
    sqrt,
    subtract,
    sum,
    tanh,
    var,
)  # fmt: skip
from minilm.autograd.products import matmul
from minilm.autograd.shapes import getitem, reshape, squeeze, swapaxes, transpose
from minilm.autograd.tensor import Tensor


def _varargs(operation):
    """x.reshape(2, 3) as well as x.reshape((2, 3))."""

    def method(self: Tensor, *args: Any) -> Tensor:
        return operation(self, args[0] if len(args) == 1 and not isinstance(args[0], int) else args or None)

    method.__doc__ = operation.__doc__
    return method


def _swapped(operation):
    return lambda self, other: operation(other, self)


_METHODS: dict[str, Any] = {
    "__add__": add, "__radd__": _swapped(add), "__sub__": subtract, "__rsub__": _swapped(subtract),
    "__mul__": multiply, "__rmul__": _swapped(multiply), "__truediv__": divide, "__rtruediv__": _swapped(divide),
    "__neg__": negative, "__pow__": power, "__rpow__": _swapped(power),
    "__matmul__": matmul, "__rmatmul__": _swapped(matmul), "__getitem__": getitem,
    "__eq__": equal, "__lt__": less, "__le__": less_equal, "__gt__": greater, "__ge__": greater_equal,
    "reshape": _varargs(reshape), "transpose": _varargs(transpose), "swapaxes": swapaxes,
    "sum": sum, "mean": mean, "var": var, "max": max, "min": min, "argmax": argmax, "logsumexp": logsumexp,
    "exp": exp, "log": log, "sqrt": sqrt, "tanh": tanh, "sigmoid": sigmoid, "abs": abs, "clip": clip,
    "astype": astype, "cumsum": cumsum, "squeeze": squeeze, "T": property(transpose),
}  # fmt: skip

for _name, _method in _METHODS.items():
    setattr(Tensor, _name, _method)
