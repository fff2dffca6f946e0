"""What an operation is: an array function and its gradient rules, recorded as a node of the graph when it runs."""

import inspect
import types
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any, cast

import numpy as np

from minilm import backend
from minilm.autograd.devices import explain_devices
from minilm.autograd.guards import frozen, guard
from minilm.autograd.state import fast, observed, observers, state
from minilm.autograd.tensor import Tensor, shape, value, wrap
from minilm.backend import xp
from minilm.errors import GraphError
from minilm.i18n import tr


class Node:
    """One recorded operation: its sources (a Node, or a leaf Tensor) and what its gradient rules need of its values."""

    __slots__ = ("__weakref__", "arguments", "dtype", "guards", "keywords", "operation", "saved", "shape")

    def __init__(self, operation: Any, arguments: tuple, keywords: dict, y: Any):
        self.operation = operation
        self.arguments: tuple | None = tuple(_source(a) for a in arguments)  # None once freed
        self.keywords = keywords
        self.shape, self.dtype = y.shape, y.dtype
        self.saved: Any = None
        self.guards: list[tuple] = []
        for observer in observers:
            observer.recorded(self)

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


class UpcastWarning(UserWarning):
    """A float64 array met a float32 Tensor, so the result is float64: twice the memory, half the speed."""


class _Operation:
    """What primitive and fused operations share: binding of arguments, recording, and being a method of Tensor."""

    transparent = False  # whether those who look on see, in its backward, operations inside rather than itself

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

    def _named(self, args: tuple) -> Iterator[tuple[str, Any]]:
        """Each argument with its name, as far as errors need it."""
        return zip(self.parameters[:1] * len(args) if self.variadic else self.parameters, args, strict=False)

    def _bind(self, args: tuple, kwargs: dict) -> tuple[tuple, dict]:
        """All arguments in their order, defaults filled in (a variadic operation's options stay keywords)."""
        if self.variadic:
            return args, self.defaults | kwargs
        if not kwargs and len(args) == len(self.parameters):
            return args, kwargs
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
        compute = observed(self, self.forward) if observers else self.forward
        try:
            y = compute(*[value(a) for a in args], **kwargs)
        except TypeError as error:
            explain_devices(self.name, self._named(args), error)
            raise
        if not any([isinstance(a, Tensor) for a in args]):
            return y
        if not isinstance(y, xp.ndarray):  # a number, or what a foreign array made of itself
            explain_devices(self.name, self._named(args), None)
            y = xp.asarray(y)
        y = frozen(y, args)
        _warn_of_upcast(self.name, y, args)
        live = [i for i, a in enumerate(args) if isinstance(a, Tensor) and a.requires_grad and self.rule(i)]
        if not (live and state.recording and y.dtype.kind == "f"):
            return wrap(y, None)
        node = Node(self, args, kwargs, y)
        node.saved = self._values(live, args, kwargs, y)
        for i, a in enumerate(args):
            guard(node, a, needed=not self.variadic and self.parameters[i] in node.saved)
        out = wrap(y, node)
        if state.tape is not None:
            state.tape[node] = (out, args)
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
        if state.tape is not None:  # differentiating a gradient: the rules see Tensors
            out, args = state.tape[node]
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
        if not fast.on or state.tape is not None or not backend.is_numpy():
            return self._twin(args, kwargs)
        if kwargs or len(args) != len(self.parameters):
            args, _ = self._bind(args, kwargs)
        kernel = observed(self, self._kernel) if observers else self._kernel
        for a in args:
            if isinstance(a, Tensor):
                break
        else:  # bare arrays, as in generation, where these few microseconds count
            result = kernel(*args, save=False)
            return self.forward(*args) if result is NotImplemented else result[0]
        live = state.recording and any(
            [isinstance(args[i], Tensor) and args[i].requires_grad for i in self.differentiable]
        )
        result = kernel(*[value(a) for a in args], save=live)
        if result is NotImplemented:
            return self.forward(*args)
        y, residuals = result
        y = frozen(np.asarray(y), args)
        _warn_of_upcast(self.name, y, args)
        if not live:
            return wrap(y, None)
        node = Node(self, args, {}, y)
        node.saved = residuals
        for a in args:
            guard(node, a, needed=True)
        return wrap(y, node)

    def _twin(self, args: tuple, kwargs: dict) -> Any:
        try:
            return self.forward(*args, **kwargs)
        except TypeError as error:  # integers and booleans may lie on the host: the twin moves them
            explain_devices(self.name, [*self._named(args), *kwargs.items()], error, kinds="f")
            raise

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


def _warn_of_upcast(name: str, y: Any, args: Sequence[Any]) -> None:
    narrow = y.dtype == np.float64 and any([isinstance(a, Tensor) and a._data.dtype == np.float32 for a in args])
    if narrow and name != "astype":  # which was asked to
        message = tr("{op}: float32 and float64 were mixed, so the result is float64; cast one of them", op=name)
        warnings.warn(message, UpcastWarning, stacklevel=3)
