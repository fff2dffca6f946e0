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

import contextlib
import inspect
import threading
import types
import warnings
import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, cast

import numpy as np

from minilm import backend
from minilm.backend import xp
from minilm.errors import DTypeError, GraphError, ShapeError
from minilm.i18n import tr


class _State(threading.local):
    """What a thread is doing: whether it records, and where a replay writes the values of each new node."""

    recording = True
    tape: "dict[Node, Any] | None" = None


_state = _State()
_kernels_on = True


class UpcastWarning(UserWarning):
    """A float64 array met a float32 Tensor, so the result is float64: twice the memory, half the speed."""


# ---------------------------------------------------------------------------------------------------------- Tensor


class Tensor:
    """An array whose history may be differentiated.

    data: anything NumPy can make an array of. Python floats become float32; arrays keep their dtype and memory.
    requires_grad: make this a leaf that `backward` fills `.grad` of (floating dtypes only, else DTypeError).
    """

    __slots__ = ("__weakref__", "_data", "grad", "grad_buffer", "name", "node", "requires_grad", "version")
    __array_priority__ = 1000  # so that array * Tensor is Tensor.__rmul__

    # The operators and the remaining methods are attached by ops.py, beside the operations that they name.
    __add__: Any; __radd__: Any; __sub__: Any; __rsub__: Any; __mul__: Any; __rmul__: Any  # noqa: E702
    __truediv__: Any; __rtruediv__: Any; __neg__: Any; __pow__: Any; __matmul__: Any; __getitem__: Any  # noqa: E702
    __lt__: Any; __le__: Any; __gt__: Any; __ge__: Any  # noqa: E702
    reshape: Any; transpose: Any; swapaxes: Any; sum: Any; mean: Any; max: Any; min: Any; argmax: Any  # noqa: E702

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
        if array is not self._data and not self._data.flags.writeable:
            raise GraphError(
                tr("data: this parameter's memory belongs to an optimizer; write into it with tensor.assign(array)")
            )
        self._data = backend.asarray(array)
        self.version += 1

    def assign(self, array: Any) -> None:
        """Write `array` into this leaf's memory, wherever that lies (ShapeError if the shapes differ)."""
        if np.shape(array) != self.shape:
            raise ShapeError(tr("assign: got shape {got}, wanted {wanted}", got=np.shape(array), wanted=self.shape))
        with writable(self._data) as memory:
            memory[...] = array
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
        return _wrap(self._data, None)

    def backward(self, cotangent: Any = None, create_graph: bool = False, retain_graph: bool = False) -> None:
        """Add d⟨cotangent, self⟩/d leaf to `.grad` of every leaf that requires a gradient.

        cotangent: array of this tensor's shape; may be left out for a single number, where it is 1.
        create_graph: let the gradients be differentiated again. retain_graph: keep the graph for another backward.
        Errors: GraphError where there is no graph, or it was freed; ShapeError for a cotangent that does not fit.
        """
        for leaf, g, fresh in _differentiate(self, None, cotangent, create_graph, retain_graph):
            _accumulate(leaf, g, fresh)

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


def _wrap(array: Any, node: "Node | None") -> Tensor:
    """A Tensor around an operation's output, made without the checks that a user's data needs."""
    t = Tensor.__new__(Tensor)
    t._data, t.node, t.requires_grad = array, node, node is not None
    t.grad, t.grad_buffer, t.name, t.version = None, None, "", 0
    return t


def value(x: Any) -> Any:
    """The raw array of a Tensor; anything else as it is, but a float64 scalar as a Python float, which never upcasts."""
    if isinstance(x, Tensor):
        return x._data
    return float(x) if type(x) is np.float64 else x


def shape(x: Any) -> tuple[int, ...]:
    """The shape of a Tensor, an array or a number."""
    return x.shape if hasattr(x, "shape") else np.shape(x)


# ------------------------------------------------------------------------------------------------------ recording


class Node:
    """One recorded operation: its sources (a Node, or a leaf Tensor) and what its gradient rules need of its values."""

    __slots__ = ("arguments", "dtype", "guards", "keywords", "operation", "saved", "shape")

    def __init__(self, operation: Any, arguments: tuple, keywords: dict, y: Any):
        self.operation = operation
        self.arguments: tuple | None = tuple(_source(a) for a in arguments)  # None once freed
        self.keywords = keywords
        self.shape, self.dtype = y.shape, y.dtype
        self.saved: Any = None
        self.guards: list[tuple] = []

    @property
    def label(self) -> str:
        return self.operation.name

    def sources(self) -> list[tuple[int, "Node | Tensor"]]:
        """Where gradients go: each differentiable argument's position and source."""
        if self.arguments is None:
            raise GraphError(
                tr(
                    "{op}: this graph was freed by an earlier backward; run the forward again, or pass "
                    "retain_graph=True to the first backward",
                    op=self.label,
                )
            )
        return [(i, a) for i, a in enumerate(self.arguments) if isinstance(a, (Node, Tensor))]

    def free(self) -> None:
        self.arguments, self.saved, self.guards = None, None, []


def _source(a: Any) -> Any:
    """What a graph keeps of an argument: nothing but the origin of a differentiable one, else its raw value."""
    if isinstance(a, Tensor):
        return (a.node or a) if a.requires_grad else a._data
    return a


class _Operation:
    """What primitive and fused operations share: binding of arguments, recording, and being a method of Tensor."""

    def __init__(self, function: Callable):
        self.__doc__ = function.__doc__
        self.__wrapped__ = function  # so that inspect shows the operation's own source
        self.forward = function
        self.name = function.__name__
        parameters = inspect.signature(function).parameters.values()
        self.variadic = any(p.kind is p.VAR_POSITIONAL for p in parameters)
        self.parameters = [p.name for p in parameters]
        self.defaults = {p.name: p.default for p in parameters if p.default is not p.empty}

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        return self if instance is None else types.MethodType(cast(Callable, self), instance)

    def __repr__(self) -> str:
        return f"<operation {self.name}>"

    def _bind(self, args: tuple, kwargs: dict) -> tuple[tuple, dict]:
        """All arguments in their order, defaults filled in (a variadic operation's options stay keywords)."""
        if self.variadic:
            return args, self.defaults | kwargs
        missing = self.parameters[len(args) :]
        try:
            args += tuple([kwargs.pop(p) if p in kwargs else self.defaults[p] for p in missing])
        except KeyError as error:
            raise TypeError(tr("{op}: argument {name} is missing", op=self.name, name=error)) from None
        if kwargs or len(args) > len(self.parameters):
            extra = ", ".join(kwargs) or len(args)
            wanted = ", ".join(self.parameters)
            raise TypeError(
                tr("{op}: unexpected arguments ({extra}); it takes {wanted}", op=self.name, extra=extra, wanted=wanted)
            )
        return args, {}


class Primitive(_Operation):
    """An array function with, for each differentiable argument, the product of a cotangent with its Jacobian."""

    def __init__(self, function: Callable):
        super().__init__(function)
        self.rules: dict[str, tuple[Callable, list[str]]] = {}  # argument -> its rule and the names the rule asks for

    def vjp(self, argument: str) -> Callable:
        """Declare the gradient rule of an argument (of each argument, for a variadic one)."""

        def declare(rule: Callable) -> Callable:
            names = list(inspect.signature(rule).parameters)[1:]
            self.rules[argument] = (rule, names)
            return rule

        return declare

    def rule(self, i: int) -> tuple[Callable, list[str]] | None:
        return self.rules.get(self.parameters[0 if self.variadic else i])

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        args, kwargs = self._bind(args, kwargs)
        y = self.forward(*[value(a) for a in args], **kwargs)
        if not any([isinstance(a, Tensor) for a in args]):
            return y
        y = _frozen(xp.asarray(y), args)
        _warn_of_upcast(self.name, y, args)
        live = [i for i, a in enumerate(args) if isinstance(a, Tensor) and a.requires_grad and self.rule(i)]
        if not (live and _state.recording and y.dtype.kind == "f"):
            return _wrap(y, None)
        node = Node(self, args, kwargs, y)
        node.saved = self._values(live, args, kwargs, y)
        for i, a in enumerate(args):
            _guard(node, a, needed=not self.variadic and self.parameters[i] in node.saved)
        out = _wrap(y, node)
        if _state.tape is not None:
            _state.tape[node] = (out, args)
        return out

    def _values(self, live: Sequence[int], args: tuple, kwargs: dict, y: Any, get: Callable = value) -> dict[str, Any]:
        """The value of every name that the rules of the live arguments ask for."""
        found: dict[str, Any] = {}
        for i in live:
            for name in self.rule(i)[1]:  # type: ignore[index]
                if name in found or name == "i":
                    continue
                if name == "y":
                    found[name] = get(y)
                elif name in kwargs:
                    found[name] = kwargs[name]
                elif name in self.parameters:
                    found[name] = get(args[self.parameters.index(name)])
                elif self.variadic:
                    found[name] = [shape(a) for a in args]
                else:
                    found[name] = shape(args[self.parameters.index(name.removesuffix("_shape"))])
        return found

    def cotangents(self, node: Node, g: Any, wanted: set[int]) -> Iterator[tuple[Any, Any]]:
        """(source, its cotangent), for each source that is wanted."""
        values = node.saved
        live = node.sources()
        if _state.tape is not None:  # differentiating a gradient: the rules see Tensors
            out, args = _state.tape[node]
            values = self._values([i for i, _ in live], args, node.keywords, out, get=lambda x: x)
        for i, source in live:
            if id(source) in wanted:
                rule, names = self.rule(i)  # type: ignore[misc]
                yield source, rule(g, *[i if n == "i" else values[n] for n in names])


class Fused(_Operation):
    """A plain twin composed of primitives, and a NumPy kernel that gives the value and all gradients faster.

    `kernel(*arguments, save=…)` returns (value, residuals); `kernel_vjp(g, residuals)` returns one fresh cotangent for
    each differentiable argument, None where there is none. A kernel may return NotImplemented: then the twin runs.
    """

    def kernel(self, function: Callable) -> Callable:
        self._kernel = function
        return function

    def kernel_vjp(self, *arguments: str) -> Callable:
        """Declare the kernel's backward and the arguments whose cotangents it returns, in that order."""
        self.differentiable = [self.parameters.index(a) for a in arguments]

        def declare(rule: Callable) -> Callable:
            self._kernel_vjp = rule
            return rule

        return declare

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if not _kernels_on or _state.tape is not None or not backend.is_numpy():
            return self.forward(*args, **kwargs)
        args, _ = self._bind(args, kwargs)
        live = _state.recording and any(
            [isinstance(args[i], Tensor) and args[i].requires_grad for i in self.differentiable]
        )
        result = self._kernel(*[value(a) for a in args], save=live)
        if result is NotImplemented:
            return self.forward(*args)
        y, residuals = result
        if not any([isinstance(a, Tensor) for a in args]):
            return y
        y = _frozen(np.asarray(y), args)
        _warn_of_upcast(self.name, y, args)
        if not live:
            return _wrap(y, None)
        node = Node(self, args, {}, y)
        node.saved = residuals
        for a in args:
            _guard(node, a, needed=True)
        return _wrap(y, node)

    def cotangents(self, node: Node, g: Any, wanted: set[int]) -> Iterator[tuple[Any, Any]]:
        """(source, its cotangent), for each source that is wanted."""
        gradients = dict(zip(self.differentiable, self._kernel_vjp(g, node.saved), strict=True))
        for i, source in node.sources():
            if id(source) in wanted and gradients.get(i) is not None:
                yield source, gradients[i]


primitive = Primitive
fused = Fused


def unbroadcast(g: Any, to: tuple[int, ...]) -> Any:
    """The adjoint of broadcasting: a value used many times receives the sum of its uses' cotangents."""
    if shape(g) == to:
        return g
    extra = len(shape(g)) - len(to)
    stretched = [i + extra for i, n in enumerate(to) if n == 1 and shape(g)[i + extra] != 1]
    return g.sum(axis=(*range(extra), *stretched), keepdims=True).reshape(to)


# -------------------------------------------------------------------------- values that a gradient needs do not change


def _owner(array: Any) -> Any:
    """The array that owns the memory that this one shows."""
    while isinstance(array.base, type(array)):
        array = array.base
    return array


def _frozen(y: Any, args: Sequence[Any]) -> Any:
    """`y`, read-only, so that nobody changes an output in place; memory that an argument owns is left as it is."""
    if isinstance(y, np.ndarray):
        owner = _owner(y)
        if any([isinstance(a, (Tensor, np.ndarray)) and _owner(value(a)) is owner for a in args]):
            y = y.view()
        else:
            owner.flags.writeable = False
        y.flags.writeable = False
    return y


def _guard(node: Node, a: Any, needed: bool) -> None:
    """Remember what a value is, if it could change: an array's checksum, a leaf's version.

    needed: whether a gradient rule uses the value; if not, only a replay asks for it.
    """
    leaf = a if isinstance(a, Tensor) and a.node is None else None
    array = value(a)
    if not isinstance(array, np.ndarray) or not _owner(array).flags.writeable or not (needed or leaf is not None):
        array = None
    if array is not None or leaf is not None:
        node.guards.append((array, array is not None and _checksum(array), leaf, 0 if leaf is None else leaf.version, needed))


def _checksum(array: np.ndarray) -> int:
    entries: Any = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
    return zlib.crc32(entries)


def _check_guards(node: Node, replay: bool = False) -> None:
    """GraphError if a value that the gradient (or a replay of the forward) needs is no longer what it was."""
    for array, checksum, leaf, version, needed in node.guards:
        replaced = leaf is not None and leaf.version != version and (array is None or replay)
        changed = array is not None and _checksum(array) != checksum
        if (needed or replay) and (replaced or changed):
            raise GraphError(
                tr(
                    "{op}: an array of shape {shape} that its gradient needs was changed in place after the forward; "
                    "change it after backward, or work on a copy",
                    op=node.label,
                    shape=node.shape if array is None else array.shape,
                )
            )


@contextlib.contextmanager
def writable(array: Any) -> Iterator[Any]:
    """`array`, unlocked for as long as the block runs: for optimizers and loading. They count up each leaf's version."""
    locked = [a for a in (_owner(array), array) if isinstance(a, np.ndarray) and not a.flags.writeable]
    for a in locked:
        a.flags.writeable = True
    try:
        yield array
    finally:
        for a in reversed(locked):
            a.flags.writeable = False


def _warn_of_upcast(name: str, y: Any, args: Sequence[Any]) -> None:
    if y.dtype == np.float64 and any([isinstance(a, Tensor) and a._data.dtype == np.float32 for a in args]):
        message = tr("{op}: float32 and float64 were mixed, so the result is float64; cast one of them", op=name)
        warnings.warn(message, UpcastWarning, stacklevel=3)


# ------------------------------------------------------------------------------------------------------- backward


def _differentiate(
    output: Tensor, inputs: Sequence[Tensor] | None, cotangent: Any, create_graph: bool, retain_graph: bool
) -> Iterator[tuple[Tensor, Any, bool]]:
    """Yield (input, a contribution to its cotangent, whether the array is nobody else's).

    inputs: the Tensors asked for; None for every leaf.
    """
    if not output.requires_grad:
        raise GraphError(tr("backward: nothing in the graph of this tensor requires a gradient"))
    g = _initial_cotangent(output, cotangent)
    if not create_graph:
        yield from _walk(output.node or output, inputs, g, retain_graph)
        return
    saved_tape, _state.tape = _state.tape, {}
    try:
        replayed = _replay(output, {id(t.node or t): t for t in inputs or ()})
        yield from _walk(replayed.node or replayed, inputs, g if isinstance(g, Tensor) else _wrap(g, None), True)
    finally:
        _state.tape = saved_tape


def _initial_cotangent(output: Tensor, cotangent: Any) -> Any:
    if cotangent is None:
        if output.size != 1:
            raise GraphError(
                tr(
                    "backward: an output of shape {got} is not a single number, so a cotangent of that shape is "
                    "needed: y.backward(cotangent)",
                    got=output.shape,
                )
            )
        return xp.ones(output.shape, output.dtype)
    if shape(cotangent) != output.shape:
        raise ShapeError(
            tr("backward: cotangent of shape {got}, wanted {wanted}", got=shape(cotangent), wanted=output.shape)
        )
    return cotangent if isinstance(cotangent, Tensor) else xp.asarray(cotangent, dtype=output.dtype)


def _parents(source: Any) -> list[Any]:
    """What a source was made from; for one that a replay made anew, its new self."""
    if isinstance(source, Tensor):
        return []
    again = _state.tape.get(source) if _state.tape is not None else None
    return [again] if isinstance(again, Node) else [s for _, s in source.sources()]


def _order(end: Any, wanted: set[int] | None) -> tuple[list[Any], set[int]]:
    """The sources from leaves to `end`, and the ids of those through which a wanted one is reached; no recursion."""
    order: list[Any] = []
    useful: set[int] = set()
    seen: set[int] = set()
    stack: list[tuple[Any, list[Any] | None]] = [(end, None)]
    while stack:
        source, parents = stack.pop()
        if parents is not None:
            order.append(source)
            target = isinstance(source, Tensor) if wanted is None else id(source) in wanted
            if target or any([id(p) in useful for p in parents]):
                useful.add(id(source))
        elif id(source) not in seen:
            seen.add(id(source))
            parents = _parents(source)
            stack.append((source, parents))
            stack.extend([(p, None) for p in parents])
    return order, useful


def _walk(end: Any, inputs: Sequence[Tensor] | None, g: Any, retain_graph: bool) -> Iterator[tuple[Tensor, Any, bool]]:
    """Carry the cotangent `g` of `end` back, each node after all its consumers, each freed as soon as it is done."""
    targets = None if inputs is None else {id(t.node or t): t for t in inputs}
    order, useful = _order(end, None if targets is None else set(targets))
    cotangents: dict[int, tuple[Any, bool]] = {id(end): (g, False)}
    with _set_recording(_state.tape is not None):
        while order:
            source = order.pop()
            if id(source) not in cotangents:
                continue
            g, owned = cotangents.pop(id(source))
            if targets is None and isinstance(source, Tensor):
                yield source, g, owned
            elif targets is not None and id(source) in targets:
                yield targets[id(source)], g, False
            if isinstance(source, Node) and id(source) in useful:
                _pass_on(source, g, cotangents, useful)
                if not retain_graph:
                    source.free()


def _pass_on(node: Node, g: Any, cotangents: dict[int, tuple[Any, bool]], useful: set[int]) -> None:
    """Run the gradient rules of one node. They see Tensors while a gradient is itself differentiated, else arrays."""
    if _state.tape is None:
        _check_guards(node)
        g = g._data if isinstance(g, Tensor) else g
    elif isinstance(again := _state.tape.get(node), Node):
        _add(cotangents, again, g, False)
        return
    for parent, d in node.operation.cotangents(node, g, useful):
        _add(cotangents, parent, _checked(node, parent, d), d is not g)


def _checked(node: Node, parent: Any, d: Any) -> Any:
    """A cotangent has the shape and dtype of the value that it belongs to; a rule that says otherwise is wrong."""
    if shape(d) != parent.shape:
        raise ShapeError(
            tr(
                "{op}: a gradient rule returned shape {got} for an argument of shape {wanted}",
                op=node.label,
                got=shape(d),
                wanted=parent.shape,
            )
        )
    return d if d.dtype == parent.dtype else d.astype(parent.dtype)


def _add(cotangents: dict[int, tuple[Any, bool]], source: Any, d: Any, fresh: bool) -> None:
    """Sum what the uses of a value send back; in place where the array is surely nobody else's."""
    raw = not isinstance(d, Tensor)
    fresh = fresh and raw and d.base is None
    if id(source) not in cotangents:
        cotangents[id(source)] = (d, fresh)
        return
    g, owned = cotangents[id(source)]
    if owned and isinstance(g, xp.ndarray):
        g += d
    elif fresh and isinstance(d, xp.ndarray):
        d += g
        g = d
    else:
        g = g + d
    cotangents[id(source)] = (g, raw)


def _accumulate(leaf: Tensor, g: Any, fresh: bool) -> None:
    """Add to `leaf.grad`, in the optimizer's buffer if there is one."""
    if isinstance(g, Tensor):
        leaf.grad = g if leaf.grad is None else leaf.grad + g
    elif leaf.grad is not None and not leaf.grad.requires_grad:
        leaf.grad._data += g
    elif leaf.grad is not None:
        leaf.grad = leaf.grad + g
    elif leaf.grad_buffer is not None:
        leaf.grad_buffer[...] = g
        leaf.grad = _wrap(leaf.grad_buffer, None)
    else:
        leaf.grad = _wrap(xp.asarray(g) if fresh else xp.array(g), None)


def _replay(output: Tensor, inputs: dict[int, Tensor]) -> Tensor:
    """Compute `output` again from the leaves with the plain twins, noting each new node's values on the tape.

    An input that is no leaf stays itself, so that results can be differentiated by it; the tape leads from its node to
    the new one.
    """
    order, _ = _order(output.node or output, set())
    made: dict[int, Tensor] = {}
    tape = cast(dict, _state.tape)
    with _set_recording(True):
        for source in order:
            if isinstance(source, Tensor):
                made[id(source)] = source
                continue
            _check_guards(source, replay=True)
            args = [made[id(a)] if isinstance(a, (Node, Tensor)) else a for a in source.arguments]
            new = source.operation(*args, **source.keywords)
            if id(source) in inputs:
                tape[source] = new.node
                new = inputs[id(source)]
            made[id(source)] = new
    return made[id(output.node or output)]


def grad(
    output: Tensor,
    inputs: Tensor | Sequence[Tensor],
    cotangent: Any = None,
    create_graph: bool = False,
    retain_graph: bool = False,
) -> Any:
    """d⟨cotangent, output⟩/d input for each input (leaf or not), as Tensors; zeros where output does not depend on it.

    One Tensor for one input, a list for a list. `.grad` is left alone. The graph is freed unless retain_graph (with
    create_graph it is always kept). Errors as in `Tensor.backward`.
    """
    wanted = [inputs] if isinstance(inputs, Tensor) else list(inputs)
    for i, t in enumerate(wanted):
        if not (isinstance(t, Tensor) and t.requires_grad):
            raise GraphError(tr("grad: input {i} does not require a gradient", i=i))
    found: dict[int, Any] = {}
    for t, g, _ in _differentiate(output, wanted, cotangent, create_graph, retain_graph):
        found[id(t.node or t)] = g
    results = [found.get(id(t.node or t)) for t in wanted]
    results = [xp.zeros(t.shape, t.dtype) if g is None else g for t, g in zip(wanted, results, strict=True)]
    results = [g if isinstance(g, Tensor) else _wrap(xp.array(g), None) for g in results]
    return results[0] if isinstance(inputs, Tensor) else results


# ------------------------------------------------------------------------------------------------------- switches


@contextlib.contextmanager
def _set_recording(on: bool) -> Iterator[None]:
    before, _state.recording = _state.recording, on
    try:
        yield
    finally:
        _state.recording = before


def no_grad() -> Any:
    """Within this block (or decorated function) nothing is recorded: less memory, and no gradients."""
    return _set_recording(False)


def is_recording() -> bool:
    """Whether operations of this thread are being recorded."""
    return _state.recording


class fast(contextlib.ContextDecorator):  # noqa: N801 -- reads as the function that it is: ml.fast(False)
    """Turn the fused kernels on or off at once, for every thread; as a `with` block, only within the block."""

    def __init__(self, on: bool = True):
        global _kernels_on
        self.before, _kernels_on = _kernels_on, on

    def __enter__(self) -> "fast":
        return self

    def __exit__(self, *exc: object) -> None:
        global _kernels_on
        _kernels_on = self.before
