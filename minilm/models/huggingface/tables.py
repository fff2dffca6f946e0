"""How a kind of model is published: which arrays its parameters are, and what else there is to know of it."""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from minilm.models.huggingface.settings import Settings


@dataclass(frozen=True)
class Weight:
    """One parameter of ours and the published arrays that it is made of, side by side along its last axis.

    transpose: theirs are (out, in), as a PyTorch Linear has them, where ours is (in, out). sizes: how wide the parts
    are along our last axis; None: all the same.
    """

    ours: str
    theirs: tuple[str, ...]
    transpose: bool = False
    sizes: tuple[int, ...] | None = None

    def parts(self, shape: tuple[int, ...]) -> Iterator[tuple[str, slice, tuple[int, ...]]]:
        """(their name, where it stands on the last axis of ours, its published shape), for ours of that shape."""
        sizes = self.sizes or (shape[-1] // len(self.theirs),) * len(self.theirs)
        start = 0
        for name, size in zip(self.theirs, sizes, strict=True):
            part = (*shape[:-1], size)
            yield name, slice(start, start + size), part[::-1] if self.transpose else part
            start += size

    def join(self, arrays: list[np.ndarray]) -> np.ndarray:
        """Theirs to ours."""
        turned = [a.T if self.transpose else a for a in arrays]
        return turned[0] if len(turned) == 1 else np.concatenate(turned, axis=-1)

    def split(self, array: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
        """Ours to theirs: (their name, array)."""
        for name, where, _ in self.parts(array.shape):
            yield name, array[..., where].T if self.transpose else array[..., where]


# (our configuration, what config.json says beside it, the published arrays by plain name) -> a model of ours
Make = Callable[[Any, Mapping[str, Any], Mapping[str, Any]], Any]


@dataclass(frozen=True)
class Family:
    """One "model_type" of config.json.

    architectures: the published classes, by the name that config.json gives them, and how ours is made of its settings.
    architecture_of: the name under which a model of ours is published, None if it is none of these; a ConfigError where
    it has a setting that no published class knows.
    read_config: their settings -> our configuration; `Settings` sees to it that none is passed over.
    write_config: a model -> their settings, all that shape what it computes.
    weights: the table, with the names that transformers writes.
    prefix: what stands before the names of the body in a model with a head. A file may lack it, or have it, anywhere.
    older: endings of names that older files have -> those of today.
    copies: arrays that a file may hold as copies of others, because they are tied -> what they must equal.
    spare: arrays that theirs has and never reads -> that of which they are written as copies.
    buffers: patterns of names (without the prefix) of arrays that are computed and not learned; they are passed over.
    unread: patterns of learned arrays that an architecture may have and does not read; a notice names them.
    """

    model_type: str
    architectures: Mapping[str, Make]
    architecture_of: Callable[[Any], str | None]
    read_config: Callable[[Settings], Any]
    write_config: Callable[[Any], dict[str, Any]]
    weights: Callable[[Any], list[Weight]]
    prefix: str = ""
    older: Mapping[str, str] = field(default_factory=dict)
    copies: Callable[[Any], Mapping[str, str]] = lambda model: {}
    spare: Callable[[Any], Mapping[str, str]] = lambda model: {}
    buffers: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()

    def plain(self, name: str) -> str:
        """A published name without the prefix, in today's spelling."""
        name = name.removeprefix(self.prefix)
        for old, new in self.older.items():
            if name.endswith(old):
                return name.removesuffix(old) + new
        return name


def layers(count: int, table: list[Weight]) -> list[Weight]:
    """The rows of one block, with {i} in their names, for each of `count` blocks."""
    return [
        Weight(w.ours.format(i=i), tuple(name.format(i=i) for name in w.theirs), w.transpose, w.sizes)
        for i in range(count)
        for w in table
    ]


def linear(ours: str, *theirs: str, bias: bool = True, sizes: tuple[int, ...] | None = None) -> list[Weight]:
    """A Linear of ours, made of one or more of PyTorch's side by side."""
    weight = Weight(f"{ours}.weight", tuple(f"{name}.weight" for name in theirs), True, sizes)
    return [weight, Weight(f"{ours}.bias", tuple(f"{name}.bias" for name in theirs), False, sizes)][: 1 + bias]


def same(ours: str, theirs: str, *parts: str) -> list[Weight]:
    """The named parts ("weight" and "bias" if none is named) of a layer that both store alike."""
    return [Weight(f"{ours}.{part}", (f"{theirs}.{part}",)) for part in parts or ("weight", "bias")]


def bytes_of(shape: tuple[int, ...], dtype: Any) -> int:
    """How many bytes an array takes."""
    return math.prod(shape) * np.dtype(dtype).itemsize
