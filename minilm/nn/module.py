"""Module: a thing with parameters. No registration: the parameters are found by walking the attributes.

class Line(Module):
    def __init__(self, rng):
        self.slope = Parameter(rng.standard_normal((1, 1)))
        self.offset = Parameter(np.zeros(1))

    def __call__(self, x):
        return x @ self.slope + self.offset
"""

import contextlib
import copy
from collections.abc import Callable, Iterator, Mapping
from itertools import groupby
from typing import Any, Self

import numpy as np

from minilm.autograd import Tensor
from minilm.autograd import value as raw
from minilm.backend import to_numpy
from minilm.errors import CheckpointError
from minilm.i18n import tr


class Parameter(Tensor):
    """A leaf Tensor that is learned: `requires_grad` is True. The array keeps its dtype and memory."""

    __slots__ = ()

    def __init__(self, data: Any):
        super().__init__(data, requires_grad=True)


class Module:
    """The base of every layer and model. Its attributes that are Parameters, Modules or lists of Modules are its parts.

    A part's name is the path to it: `blocks.0.norm1.weight`. A tensor that two attributes share (a tied one) is one
    parameter, under the first of its names.
    """

    training = True  # what dropout asks

    def _parts(self) -> Iterator[tuple[str, Any]]:
        """(attribute, Parameter or Module), in the order of assignment; a list's items are `blocks.0`, `blocks.1`, …"""
        for name, value in vars(self).items():
            if isinstance(value, (Parameter, Module)):
                yield name, value
            elif isinstance(value, (list, tuple)):
                yield from ((f"{name}.{i}", v) for i, v in enumerate(value) if isinstance(v, (Parameter, Module)))

    def named_modules(self, prefix: str = "") -> Iterator[tuple[str, "Module"]]:
        """(name, module) for this module, named "", and every one below it, each after the one it is part of."""
        yield prefix, self
        for name, part in self._parts():
            if isinstance(part, Module):
                yield from part.named_modules(f"{prefix}.{name}" if prefix else name)

    def named_parameters(self) -> Iterator[tuple[str, Parameter]]:
        """(name, parameter), each parameter once."""
        seen: set[int] = set()
        for name, parameter in self._all_names():
            if id(parameter) not in seen:
                seen.add(id(parameter))
                yield name, parameter

    def _all_names(self, prefix: str = "") -> Iterator[tuple[str, Parameter]]:
        """(name, parameter), a tied one under each of its names."""
        for name, part in self._parts():
            if isinstance(part, Module):
                yield from part._all_names(f"{prefix}{name}.")
            else:
                yield prefix + name, part

    def parameters(self) -> list[Parameter]:
        """The parameters, each once."""
        return [parameter for _, parameter in self.named_parameters()]

    def trainable_parameters(self) -> Iterator[tuple[str, Parameter]]:
        """(name, parameter) of those that are not frozen: what an optimizer is given."""
        return ((name, parameter) for name, parameter in self.named_parameters() if parameter.requires_grad)

    def num_parameters(self) -> int:
        """How many numbers are learned; a tied tensor counts once."""
        return sum(parameter.size for parameter in self.parameters())

    def freeze(self, on: bool = True) -> Self:
        """Let nothing here be learned: no gradient, and so no optimizer state and no decay; returns the module itself.

        `on=False` lets it be learned again. Frozen parts still drop in training mode.
        """
        for parameter in self.parameters():
            parameter.requires_grad, parameter.grad = not on, None
        return self

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for parameter in self.parameters():
            parameter.grad = None

    # ------------------------------------------------------------------------------------------------------- modes

    def train(self, on: bool = True) -> Self:
        """Switch to training (dropout drops), here and in all parts; returns the module itself."""
        for _, module in self.named_modules():
            module.training = on
        return self

    def eval(self) -> Self:
        """Switch to evaluation (dropout passes everything on); returns the module itself."""
        return self.train(False)

    @contextlib.contextmanager
    def evaluating(self) -> Iterator[None]:
        """Evaluation mode for a `with` block, then back to the mode before it."""
        modes = [(module, module.training) for _, module in self.named_modules()] if self.training else []
        for module, _ in modes:
            module.training = False
        try:
            yield
        finally:
            for module, mode in modes:
                module.training = mode

    def set_generator(self, rng: Any) -> Self:
        """Let every dropout here draw from `rng`, a random Generator; returns the module itself."""
        for _, module in self.named_modules():
            if hasattr(module, "generator"):
                module.generator = rng
        return self

    def set_recompute(self, on: bool = True) -> Self:
        """Let every block here keep only its input for the backward, and compute the rest again: the same gradients.

        A fraction of the memory for about a third more time; see `minilm.recompute`. Returns the module itself.
        """
        for _, module in self.named_modules():
            if hasattr(module, "recompute"):
                module.recompute = on
        return self

    def astype(self, dtype: Any) -> Self:
        """Give every parameter this floating dtype, in new memory and without gradients; returns the module itself."""
        for parameter in self.parameters():
            parameter.data, parameter.grad = parameter.data.astype(dtype), None
        return self

    # ------------------------------------------------------------------------------------------- saving and copying

    def state_dict(self) -> dict[str, np.ndarray]:
        """Name -> a copy of the parameter's values on the host."""
        return {name: np.array(parameter.numpy()) for name, parameter in self.named_parameters()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Write the arrays of `state` into the parameters, which keep their memory and dtype.

        Raises CheckpointError, and changes nothing, unless `state` has exactly this module's names with its shapes;
        the sentence lists every name that is missing, unexpected or of another shape.
        """
        parameters = dict(self.named_parameters())
        arrays = {name: to_numpy(raw(a)) for name, a in state.items()}
        faults = _misfits(parameters, arrays)
        if faults:
            raise CheckpointError(tr("these weights do not fit {name}: ", name=type(self).__name__) + "; ".join(faults))
        for name, parameter in parameters.items():
            parameter.assign(arrays[name])

    def replica(self) -> Self:
        """The same structure over the same memory, with gradients (and dropout generator) of its own, for a thread.

        Its Parameters are new Tensors around the arrays of these, tied where these are. Before it trains with dropout
        it needs its own generator: `replica.set_generator(rng)`.
        """
        return _replicate(self, _twin, {}).set_generator(None)

    def bare(self) -> Self:
        """The same structure with the plain arrays in place of the Parameters, and no dropout generator.

        It computes the same values from the same memory, records nothing and spares small work the cost of Tensors.
        """
        return _replicate(self, lambda parameter: parameter.data, {}).set_generator(None)

    def __repr__(self) -> str:
        return "\n".join([f"{type(self).__name__}: {self.num_parameters():,}", *_tree(self, "  ")])


def _misfits(parameters: Mapping[str, Parameter], arrays: Mapping[str, np.ndarray]) -> list[str]:
    """What keeps the arrays from being loaded, a phrase for each kind of fault."""
    missing = [name for name in parameters if name not in arrays]
    unexpected = sorted(set(arrays) - set(parameters))
    both = [(name, p, arrays[name]) for name, p in parameters.items() if name in arrays]
    shapes = [f"{name} {a.shape} ≠ {p.shape}" for name, p, a in both if a.shape != p.shape]
    kinds = [f"{name} ({a.dtype})" for name, p, a in both if not np.can_cast(a.dtype, p.dtype, "same_kind")]
    found = [
        (missing, tr("missing: {names}", names=", ".join(missing))),
        (unexpected, tr("unexpected: {names}", names=", ".join(unexpected))),
        (shapes, tr("of another shape: {names}", names=", ".join(shapes))),
        (kinds, tr("not numbers of this kind: {names}", names=", ".join(kinds))),
    ]
    return [phrase for names, phrase in found if names]


def _twin(parameter: Parameter) -> Parameter:
    twin = Parameter(parameter.data)
    twin.name, twin.requires_grad = parameter.name, parameter.requires_grad
    return twin


def _replicate(value: Any, leaf: Callable[[Parameter], Any], made: dict[int, Any]) -> Any:
    """A copy of Modules and lists, with leaf(p) for each Parameter p; `made` keeps shared what is shared."""
    if id(value) in made:
        return made[id(value)]
    if isinstance(value, Parameter):
        made[id(value)] = leaf(value)
    elif isinstance(value, Module):
        made[id(value)] = twin = copy.copy(value)
        for name, part in vars(value).items():
            setattr(twin, name, _replicate(part, leaf, made))
    elif isinstance(value, (list, tuple)) and _holds_parts(value):
        return type(value)([_replicate(part, leaf, made) for part in value])
    else:
        return value
    return made[id(value)]


def _holds_parts(values: Any) -> bool:
    return any(isinstance(v, (Parameter, Module)) for v in values)


def _tree(module: Module, indent: str) -> list[str]:
    """A line for each part, indented beneath what it is part of; equal neighbours in a list share one."""
    lines = []
    for path, group in groupby(module._parts(), key=lambda part: (part[0].split(".")[0], _kind(part[1]))):
        parts = list(group)
        name, part = parts[0]
        if len(parts) > 1:
            name = f"{path[0]}.0…{parts[-1][0].split('.')[1]}"
        if isinstance(part, Parameter):
            lines.append(f"{indent}{name} {part.shape}")
        else:
            lines += [f"{indent}{name}: {type(part).__name__}", *_tree(part, indent + "  ")]
    return lines


def _kind(part: Any) -> tuple:
    """Equal for parts that the tree prints alike."""
    return (part.shape,) if isinstance(part, Parameter) else (type(part).__name__, *_tree(part, ""))
