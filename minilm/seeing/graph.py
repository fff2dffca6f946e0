"""What is to be seen of a computation graph: a box of text for each operation and leaf, and who feeds whom."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from minilm import backend
from minilm.autograd.backward import _order, differentiate
from minilm.autograd.guards import check_guards
from minilm.autograd.operation import Node
from minilm.autograd.state import Observer, no_grad
from minilm.autograd.tensor import Tensor, value
from minilm.errors import ConfigError
from minilm.i18n import tr

OPERATION, LEAF, CONSTANT = "operation", "leaf", "constant"
SMALL = 6  # arrays of so many entries are written out
LONGEST = 34  # characters of an option


class Box(NamedTuple):
    """What one box says: its title, then plain lines, then those about the value and about the gradient."""

    kind: str
    title: str
    lines: tuple[str, ...] = ()
    value: str = ""
    gradient: str = ""


class Picture(NamedTuple):
    """Boxes, each after those that feed it, and the pairs (from, to) of their positions."""

    boxes: list[Box]
    edges: list[tuple[int, int]]


def picture(tensor: Tensor, values: bool, gradients: bool, parameters: Any, cotangent: Any, limit: int) -> Picture:
    """The graph of a Tensor, as `draw` is asked for it."""
    end = tensor.node or tensor
    order, _ = _order(end, set())
    if len(order) > limit:
        raise ConfigError(
            tr(
                "draw: the graph has {n} operations and leaves, more than {limit}: draw a smaller model, or a part "
                "by itself (detach its input); or allow more with limit={n}",
                n=len(order),
                limit=limit,
            )
        )
    names = _names(parameters)
    found_values = values_of(tensor, order) if values else {}
    found_gradients = gradients_of(tensor, order, cotangent) if gradients else {}
    boxes: list[Box] = []
    edges: list[tuple[int, int]] = []
    at: dict[int, int] = {}

    def place(source: Any, box: Box) -> int:
        at[id(source)] = len(boxes)
        boxes.append(box)
        return at[id(source)]

    for source in order:
        told = (found_values.get(id(source), ""), found_gradients.get(id(source), ""))
        if isinstance(source, Tensor):
            place(source, _leaf(source, names, *told))
            continue
        feeding = []
        for a in source.arguments:
            if _is_constant(a) and id(a) not in at:
                place(a, _constant(a, values))
            if id(a) in at and at[id(a)] not in feeding:
                feeding.append(at[id(a)])
        to = place(source, _operation(source, *told))
        edges += [(i, to) for i in feeding]
    return Picture(boxes, edges)


def _names(parameters: Any) -> dict[int, str]:
    """id of a Tensor -> its name, from a module, a dict or pairs of names and Tensors."""
    if parameters is None:
        return {}
    pairs: Iterable[Any]
    if hasattr(parameters, "named_parameters"):
        pairs = parameters.named_parameters()
    else:
        pairs = parameters.items() if isinstance(parameters, Mapping) else parameters
    try:
        return {id(t): str(name) for name, t in pairs}
    except (TypeError, ValueError):
        raise ConfigError(
            tr("draw: parameters is a module, a dict from names to Tensors, or pairs of them; got {got!r}",
               got=type(parameters).__name__)
        ) from None  # fmt: skip


# -------------------------------------------------------------------------------------------------- what the boxes say


def _leaf(t: Tensor, names: dict[int, str], value: str, gradient: str) -> Box:
    kind = LEAF if t.requires_grad else CONSTANT
    title = names.get(id(t)) or t.name or ("Tensor" if t.requires_grad else tr("constant"))
    if t.grad is not None and gradient:
        gradient = f".grad {describe(t.grad.data)}"
    lines = (_kind_of(t), "requires_grad") if t.requires_grad else (_kind_of(t),)
    return Box(kind, title, lines, value, gradient)


def _constant(a: Any, values: bool) -> Box:
    return Box(CONSTANT, tr("constant"), (_kind_of(a),), _value_line(a) if values else "")


def _operation(node: Node, value: str, gradient: str) -> Box:
    options = _options(node)
    lines = (_kind_of(node), *options)
    return Box(OPERATION, node.label.lstrip("_"), lines, value, gradient)


def _is_constant(a: Any) -> bool:
    """Whether an argument is an array that deserves a box of its own."""
    return backend.is_array(a) and a.ndim > 0


def _kind_of(a: Any) -> str:
    return f"{tuple(a.shape)} {a.dtype}"


def _options(node: Node) -> list[str]:
    """The arguments that are neither arrays nor what they are by default: "axis=-1"."""
    operation: Any = node.operation
    names, defaults = getattr(operation, "parameters", []), getattr(operation, "defaults", {})
    given = dict(zip(names, node.arguments or (), strict=False)) if not getattr(operation, "variadic", False) else {}
    said = []
    for name, a in {**given, **node.keywords}.items():
        if isinstance(a, (Node, Tensor)) or _is_constant(a) or a is None:
            continue
        if name in defaults and type(a) is type(defaults[name]) and a == defaults[name]:
            continue
        text = f"{name}={_short(a)}"
        said.append(text if len(text) <= LONGEST else text[: LONGEST - 1] + "…")
    return said


def _short(a: Any) -> str:
    if isinstance(a, (tuple, list)):
        return f"({', '.join(_short(x) for x in a)})"
    if isinstance(a, slice):
        return ":".join("" if x is None else str(x) for x in (a.start, a.stop, a.step)[: 2 if a.step is None else 3])
    if isinstance(a, Tensor) or _is_constant(a):
        return _kind_of(a)
    if a is Ellipsis:
        return "…"
    if isinstance(a, (float, np.floating)) or (backend.is_array(a) and a.dtype.kind == "f"):
        return f"{float(a):.4g}"
    return str(a)


def describe(a: Any) -> str:
    """A small array written out; of a larger one the least, the largest and the mean, or how many are True."""
    a = backend.to_numpy(a)
    if a.size <= SMALL:
        digits: Any = {"float_kind": lambda x: f"{x:.4g}"}
        return " ".join(np.array2string(a, separator=", ", formatter=digits, max_line_width=10**6).split())
    if a.dtype.kind == "b":
        return tr("True at {n} of {size}", n=int(a.sum()), size=a.size)
    finite = np.isfinite(a)
    if not finite.all():
        return tr("{n} of {size} entries are NaN or infinite", n=int((~finite).sum()), size=a.size)
    mean = a.mean(dtype=np.float64)
    return tr("min {low} max {high} mean {mean}", low=f"{a.min():.3g}", high=f"{a.max():.3g}", mean=f"{mean:.3g}")


def _value_line(a: Any) -> str:
    return tr("value {what}", what=describe(a))


# ------------------------------------------------------------------------------------------------ values and gradients


@no_grad()
def values_of(tensor: Tensor, order: list[Any]) -> dict[int, str]:
    """id of each leaf and node -> what its value is; a node keeps none, so each operation runs once more."""
    made: dict[int, Any] = {}
    uses = {id(s): 0 for s in order}
    for node in order:
        for _, s in node.sources() if isinstance(node, Node) else ():
            uses[id(s)] += 1
    said = {}
    for source in order:
        if isinstance(source, Tensor):
            made[id(source)] = source
        else:
            check_guards(source, replay=True)
            args = [made[id(a)] if isinstance(a, (Node, Tensor)) else a for a in source.arguments or ()]
            made[id(source)] = tensor if source is tensor.node else source.operation(*args, **source.keywords)
            for _, s in source.sources():
                uses[id(s)] -= 1
                if not uses[id(s)]:
                    del made[id(s)]  # nobody needs it any more
        said[id(source)] = _value_line(value(made[id(source)]))
    return said


class _Cotangents(Observer):
    """Notes the cotangent with which a backward comes to each node of one graph."""

    def __init__(self, order: list[Any]):
        self.found = {id(source): "" for source in order}

    def backward(self, node: Any, g: Any, cotangents: Any) -> Any:
        if id(node) in self.found:  # other threads may be at work
            self.note(node, g)
        return cotangents

    def note(self, source: Any, g: Any) -> None:
        self.found[id(source)] = tr("gradient {what}", what=describe(value(g)))


def gradients_of(tensor: Tensor, order: list[Any], cotangent: Any) -> dict[int, str]:
    """id of each leaf and node -> the cotangent that a backward would bring it; neither graph nor `.grad` changes."""
    with _Cotangents(order) as seen:
        for leaf, g, _ in differentiate(tensor, None, cotangent, create_graph=False, retain_graph=True):
            seen.note(leaf, g)
    return seen.found
