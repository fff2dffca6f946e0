"""Activation checkpointing: keep a part's inputs only, and compute what lies inside again when its gradient is asked.

Memory for time (Chen et al. 2016): of L blocks only the L inputs stay, and the inner values of the one block whose
gradient is being made; the price is a second forward. The generators that dropout draws from are wound back for it, so
the same entries are dropped, and every gradient is the same to the last bit.
"""

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from minilm import backend
from minilm.autograd.backward import differentiate, leaves_of
from minilm.autograd.guards import guard
from minilm.autograd.operation import Node
from minilm.autograd.state import no_grad, set_recording, state
from minilm.autograd.tensor import Tensor, value, wrap
from minilm.errors import GraphError
from minilm.i18n import tr


def recompute(function: Callable, *inputs: Any, parameters: Iterable[Tensor] = (), generators: Iterable = ()) -> Tensor:
    """y = function(*inputs), computed again for its gradient instead of keeping its inner values.

    function: Tensors in, one Tensor out, the same whenever it is called, but for what it draws from `generators`.
    parameters: every leaf that it uses without being given it. A leaf that is missing there would have no gradient:
    GraphError, in the backward. Source: Chen et al. 2016, section 4.
    """
    if not state.recording or state.tape is not None:
        return function(*inputs)
    again = _Again(function, len(inputs), list(generators))
    with no_grad():
        y = function(*inputs)
    if not isinstance(y, Tensor):
        raise GraphError(tr("recompute: the function returned {got}, wanted one Tensor", got=type(y).__name__))
    sources = (*inputs, *parameters)
    if not any([isinstance(a, Tensor) and a.requires_grad for a in sources]):
        return y
    node = Node(again, sources, {}, y)
    node.saved = [value(x) for x in inputs]
    for a in sources:
        guard(node, a, needed=True)
    return wrap(y.data, node)


class _Again:
    """The operation of one such call: its function, and where the generators stood before it."""

    name = "recompute"
    transparent = True  # whoever looks on sees the operations inside instead

    def __init__(self, function: Callable, count: int, generators: Sequence[Any]):
        self.function, self.count, self.generators = function, count, generators
        self.states = [backend.generator_state(rng) for rng in generators]

    def __call__(self, *sources: Any) -> Tensor:
        """The forward once more, on Tensors that lead into the graph: for a gradient that is itself differentiated."""
        with self._wound_back():
            return self.function(*sources[: self.count])

    def cotangents(self, node: Node, g: Any, wanted: set[int]) -> Iterator[tuple[Any, Any]]:
        """(source, its cotangent), for each source that is wanted."""
        inputs = list(node.saved)
        origin: dict[int, tuple[Tensor, Any]] = {}  # id of a leaf of the new graph -> it, and what it stands for
        for i, source in node.sources():
            leaf: Any = source
            if i < self.count:
                leaf = inputs[i] = Tensor(inputs[i], requires_grad=True)
            origin[id(leaf)] = (leaf, source)
        with set_recording(True):
            y = self(*inputs)
        self._check_leaves(y, origin)
        targets = [leaf for leaf, source in origin.values() if id(source) in wanted]
        for leaf, d, owned in differentiate(y, targets, g, create_graph=False, retain_graph=False):
            yield origin[id(leaf)][1], d if owned else d[...]  # a view is nobody's to add to

    @contextlib.contextmanager
    def _wound_back(self) -> Iterator[None]:
        """The generators as they stood before the first forward, and afterwards as they are now."""
        now = [backend.generator_state(rng) for rng in self.generators]
        for rng, then in zip(self.generators, self.states, strict=True):
            backend.set_generator_state(rng, then)
        try:
            yield
        finally:
            for rng, s in zip(self.generators, now, strict=True):
                backend.set_generator_state(rng, s)

    @staticmethod
    def _check_leaves(y: Tensor, origin: dict[int, Any]) -> None:
        missing = [leaf for leaf in leaves_of(y) if id(leaf) not in origin]
        if missing:
            raise GraphError(
                tr(
                    "recompute: the function uses a leaf {name}of shape {got} that it was not given; name it in "
                    "parameters, or it would have no gradient",
                    name=f"{missing[0].name} " if missing[0].name else "",
                    got=missing[0].shape,
                )
            )
