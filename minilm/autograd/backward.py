"""The walk back: each node after all its consumers, each freed as soon as its gradient rules have run."""

from collections.abc import Iterator, Sequence
from typing import Any, cast

from minilm.autograd.devices import explain_devices
from minilm.autograd.guards import check_guards
from minilm.autograd.later import Later, made
from minilm.autograd.operation import Node
from minilm.autograd.state import observers, set_recording, state
from minilm.autograd.tensor import Tensor, shape, wrap
from minilm.backend import xp
from minilm.errors import GraphError, ShapeError
from minilm.i18n import tr


def differentiate(
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
    saved_tape, state.tape = state.tape, {}
    try:
        replayed = _replay(output, {id(t.node or t): t for t in inputs or ()})
        yield from _walk(replayed.node or replayed, inputs, g if isinstance(g, Tensor) else wrap(g, None), True)
    finally:
        state.tape = saved_tape


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
    if isinstance(cotangent, Tensor):
        explain_devices("backward", [("cotangent", cotangent)], None)
        return cotangent
    return xp.asarray(cotangent, dtype=output.dtype)


def _parents(source: Any) -> list[Any]:
    """What a source was made from; for one that a replay made anew, its new self."""
    if isinstance(source, Tensor):
        return []
    again = state.tape.get(source) if state.tape is not None else None
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


def leaves_of(output: Tensor) -> list[Tensor]:
    """The leaves that `output` was computed from and that require a gradient."""
    if not output.requires_grad:
        return []
    return [source for source in _order(output.node or output, None)[0] if isinstance(source, Tensor)]


def _walk(end: Any, inputs: Sequence[Tensor] | None, g: Any, retain_graph: bool) -> Iterator[tuple[Tensor, Any, bool]]:
    """Carry the cotangent `g` of `end` back, each node after all its consumers, each freed as soon as it is done."""
    targets = None if inputs is None else {id(t.node or t): t for t in inputs}
    order, useful = _order(end, None if targets is None else set(targets))
    cotangents: dict[int, tuple[Any, bool]] = {id(end): (g, False)}
    with set_recording(state.tape is not None):
        while order:
            source = order.pop()
            if id(source) not in cotangents:
                continue
            g, owned = cotangents.pop(id(source))
            if targets is None and isinstance(source, Tensor):
                yield source, g, owned
            elif targets is not None and id(source) in targets:
                yield targets[id(source)], g, owned and isinstance(source, Tensor)
            if isinstance(source, Node) and id(source) in useful:
                for parent, d, fresh in _passed_on(source, g, cotangents, useful):
                    if targets is None and state.tape is None and isinstance(parent, Tensor):
                        yield parent, d, fresh  # at once, so that it can be made where it will lie
                    else:
                        _add(cotangents, parent, made(d), fresh)
                if not retain_graph:
                    source.free()


def _passed_on(
    node: Node, g: Any, cotangents: dict[int, tuple[Any, bool]], useful: set[int]
) -> Iterator[tuple[Any, Any, bool]]:
    """Run the gradient rules of one node: (source, its cotangent, whether the array is surely nobody else's).

    The rules see Tensors while a gradient is itself differentiated, else arrays.
    """
    if state.tape is None:
        check_guards(node)
        g = g._data if isinstance(g, Tensor) else g
    elif isinstance(again := state.tape.get(node), Node):
        _add(cotangents, again, g, False)
        return
    found = node.operation.cotangents(node, g, useful)
    if observers and not node.operation.transparent:
        found = ((parent, made(d)) for parent, d in found)
        for observer in observers:
            found = observer.backward(node, g, found)
    for parent, d in found:
        d = _checked(node, parent, d)
        yield parent, d, d is not g and not isinstance(d, Tensor) and getattr(d, "base", None) is None


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
    return d if d.dtype == parent.dtype else made(d).astype(parent.dtype)


def _add(cotangents: dict[int, tuple[Any, bool]], source: Any, d: Any, fresh: bool) -> None:
    """Sum what the uses of a value send back; in place where the array is surely nobody else's."""
    raw = not isinstance(d, Tensor)
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


def accumulate(leaf: Tensor, g: Any, fresh: bool) -> None:
    """Add to `leaf.grad`, in the optimizer's buffer if there is one."""
    if isinstance(g, Tensor):
        leaf.grad = g if leaf.grad is None else leaf.grad + g
    elif leaf.grad is not None and not leaf.grad.requires_grad:
        _add_to(leaf.grad._data, g)
    elif leaf.grad is not None:
        with set_recording(True):  # the walk that brings g records nothing, but this gradient has a history to keep
            leaf.grad = leaf.grad + made(g)
    elif leaf.grad_buffer is not None:
        _write_to(leaf.grad_buffer, g)
        leaf.grad = wrap(leaf.grad_buffer, None)
    else:
        leaf.grad = wrap(xp.asarray(made(g)) if fresh else xp.array(g), None)


def _add_to(out: Any, g: Any) -> None:
    if isinstance(g, Later):
        g.add(out)
    else:
        out += g


def _write_to(out: Any, g: Any) -> None:
    if isinstance(g, Later):
        g.write(out)
    else:
        out[...] = g


def _replay(output: Tensor, inputs: dict[int, Tensor]) -> Tensor:
    """Compute `output` again from the leaves with the plain twins, noting each new node's values on the tape.

    An input that is no leaf stays itself, so that results can be differentiated by it; the tape leads from its node to
    the new one.
    """
    order, _ = _order(output.node or output, set())
    made: dict[int, Tensor] = {}
    tape = cast(dict, state.tape)
    with set_recording(True):
        for source in order:
            if isinstance(source, Tensor):
                made[id(source)] = source
                continue
            check_guards(source, replay=True)
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
    for t, g, _ in differentiate(output, wanted, cotangent, create_graph, retain_graph):
        found[id(t.node or t)] = g
    results = [found.get(id(t.node or t)) for t in wanted]
    results = [xp.zeros(t.shape, t.dtype) if g is None else g for t, g in zip(wanted, results, strict=True)]
    results = [g if isinstance(g, Tensor) else wrap(xp.array(g), None) for g in results]
    return results[0] if isinstance(inputs, Tensor) else results
