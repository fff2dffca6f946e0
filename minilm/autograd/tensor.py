"""Reverse-mode automatic differentiation: a graph of recorded operations, walked once from the end to the leaves.

A `Tensor` is an array. When a gradient may be asked of it, it also knows the `Node` that made it: which operation ran,
on which sources, and exactly those values that its gradient rules name. `backward` visits the nodes, each after all
its consumers, and turns the cotangent of an output into cotangents of its inputs (Griewank & Walther 2008, ch. 3).

A primitive is an array function with one gradient rule per argument beneath it:

    @primitive
    def multiply(a, b):
        return a * b

    @multiply.vjp("a")
    def _(g, a_shape, b):
        return unbroadcast(g * b, a_shape)

A rule's parameters say what is kept until it runs: `g` is the cotangent of the output, `y` the output, any other name
an argument of the operation, `<argument>_shape` only its shape. A fused operation has a plain twin composed of
primitives, and a kernel that computes the same faster and all its gradients at once.

Differentiating a gradient (`create_graph=True`) replays the recorded graph from its leaves with the plain twins and
then runs the same rules on Tensors, so one formula serves every order and no kernel needs a second derivative.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from minilm import backend
from minilm.autograd.guards import is_locked, writable
from minilm.errors import DTypeError, GraphError, ShapeError
from minilm.i18n import tr

if TYPE_CHECKING:
    from minilm.autograd.operation import Node


class Tensor:
    """An array whose history may be differentiated.

    data: anything NumPy can make an array of. Python floats become float32; arrays keep their dtype and memory.
    requires_grad: make this a leaf that `backward` fills `.grad` of (floating dtypes only, else DTypeError).
    """

    __slots__ = ("__weakref__", "_data", "grad", "grad_buffer", "name", "node", "requires_grad", "version")
    __array_priority__ = 1000  # so that array * Tensor is Tensor.__rmul__

    # The operators and the remaining methods are attached by methods.py, one table of what each stands for.
    # fmt: off
    __add__: Any; __radd__: Any; __sub__: Any; __rsub__: Any; __mul__: Any; __rmul__: Any  # noqa: E702
    __truediv__: Any; __rtruediv__: Any; __neg__: Any; __pow__: Any; __matmul__: Any; __getitem__: Any  # noqa: E702
    __lt__: Any; __le__: Any; __gt__: Any; __ge__: Any  # noqa: E702
    reshape: Any; transpose: Any; swapaxes: Any; sum: Any; mean: Any; max: Any; min: Any; argmax: Any  # noqa: E702
    # fmt: on

    def __init__(self, data: Any, requires_grad: bool = False, name: str = ""):
        self._data: Any = backend.asarray(data._data if isinstance(data, Tensor) else data)
        if requires_grad and self._data.dtype.kind != "f":
            raise DTypeError(
                tr("requires_grad: a tensor of {got} has no gradient; it needs a floating dtype", got=self._data.dtype)
            )
        self.grad: Tensor | None = None
        self.grad_buffer: Any = None  # where an optimizer wants the gradient written, if it does
        self.name = name
        self.node: Node | None = None
        self.requires_grad = requires_grad
        self.version = 0  # counts the changes of `data`, so that a gradient never uses a changed value unnoticed

    @property
    def data(self) -> Any:
        """The array. An operation's output is read-only; a leaf's may be replaced or updated (`w.data -= …`)."""
        return self._data

    @data.setter
    def data(self, array: Any) -> None:
        if self.node is not None:
            raise GraphError(tr("data: the output of {op} cannot be changed; make a new Tensor", op=self.node.label))
        if array is not self._data and is_locked(self._data):
            raise GraphError(
                tr("data: this parameter's memory belongs to an optimizer; write into it with tensor.assign(array)")
            )
        self._data = backend.asarray(array)
        self.version += 1

    def assign(self, array: Any) -> None:
        """Write `array` into this leaf's memory, wherever that lies (ShapeError if the shapes differ)."""
        if shape(array) != self.shape:
            raise ShapeError(tr("assign: got shape {got}, wanted {wanted}", got=shape(array), wanted=self.shape))
        with writable(self._data) as memory:
            memory[...] = backend.asarray(value(array), self.dtype)
        self.version += 1

    shape = property(lambda self: self._data.shape, doc="The sizes of the axes.")
    ndim = property(lambda self: self._data.ndim, doc="The number of axes.")
    size = property(lambda self: self._data.size, doc="The number of entries.")
    dtype = property(lambda self: self._data.dtype, doc="The kind of number.")

    def numpy(self) -> np.ndarray:
        """The values as a NumPy array on the host, without history."""
        return backend.to_numpy(self._data)

    def item(self) -> Any:
        """The only entry, as a Python number (ShapeError if there are more)."""
        if self.size != 1:
            raise ShapeError(tr("item: a tensor of shape {got} has {n} entries, not one", got=self.shape, n=self.size))
        return self._data.item()

    def detach(self) -> "Tensor":
        """The same values without history: gradients stop here."""
        return wrap(self._data, None)

    def backward(self, cotangent: Any = None, create_graph: bool = False, retain_graph: bool = False) -> None:
        """Add d⟨cotangent, self⟩/d leaf to `.grad` of every leaf that requires a gradient.

        cotangent: array of this tensor's shape; may be left out for a single number, where it is 1.
        create_graph: let the gradients be differentiated again. retain_graph: keep the graph for another backward.
        Errors: GraphError where there is no graph, or it was freed; ShapeError for a cotangent that does not fit.
        """
        from minilm.autograd.backward import accumulate, differentiate  # which stand on this file

        for leaf, g, fresh in differentiate(self, None, cotangent, create_graph, retain_graph):
            accumulate(leaf, g, fresh)

    __hash__ = object.__hash__

    def __len__(self) -> int:
        if not self.ndim:
            raise ShapeError(tr("len: a single number has no length"))
        return self.shape[0]

    def __iter__(self) -> Iterator["Tensor"]:
        return (self[i] for i in range(len(self)))

    def __bool__(self) -> bool:
        return bool(self.item())

    def __float__(self) -> float:
        return float(self.item())

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        if self.requires_grad:
            raise GraphError(tr("a tensor that requires a gradient does not become an array by itself: use .numpy()"))
        return np.array(self.numpy(), dtype=dtype, copy=copy)

    def __repr__(self) -> str:
        made = f", by {self.node.label}" if self.node else ", requires_grad=True" if self.requires_grad else ""
        values = np.array2string(self.numpy(), precision=4, threshold=20, separator=", ", prefix="Tensor(")
        return f"Tensor({values}, {self.dtype}{made})"


def wrap(array: Any, node: "Node | None") -> Tensor:
    """A Tensor around an operation's output, made without the checks that a user's data needs."""
    t = Tensor.__new__(Tensor)
    t._data, t.node, t.requires_grad = array, node, node is not None
    t.grad, t.grad_buffer, t.name, t.version = None, None, "", 0
    return t


def value(x: Any) -> Any:
    """The raw array of a Tensor; anything else as it is, but a float64 scalar as a weak Python float."""
    if isinstance(x, Tensor):
        return x._data
    return float(x) if type(x) is np.float64 else x


def shape(x: Any) -> tuple[int, ...]:
    """The shape of a Tensor, an array or a number."""
    return x.shape if hasattr(x, "shape") else np.shape(x)
