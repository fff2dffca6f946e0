"""Calls of every elementary operation, drawn by hypothesis, and what PyTorch computes of the same arrays.

CASES names for each operation a function that draws a `Call`: shapes and options by hypothesis, so that a failure
shrinks, and numbers from a seed. fused_cases.py adds the fused operations.
"""

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from hypothesis import assume
from hypothesis import strategies as st
from hypothesis.extra.numpy import (
    array_shapes,
    basic_indices,
    broadcastable_shapes,
    integer_array_indices,
    mutually_broadcastable_shapes,
)

import minilm.functional as F
from minilm.autograd import Tensor
from minilm.autograd.products import _matmul
from minilm.autograd.shapes import _concatenate


@dataclass
class Call:
    """One call: arrays that may be differentiated, and what to do with them; all else is inside the functions."""

    ours: Callable  # of Tensors, float32 or float64
    theirs: Callable  # of PyTorch's tensors, float64
    arrays: list[np.ndarray]
    smooth: bool = True  # no kink within reach of a difference, and no slope so small that rounding hides it
    differentiable: bool = True
    twice: bool = True  # PyTorch has a gradient of the gradient
    layouts: list[str] = field(default_factory=list)  # how each array, and last the cotangent, lies in memory
    seed: int = 0  # of cotangents and directions

    def inputs(self, dtype: Any) -> list[np.ndarray]:
        return [laid_out(a.astype(dtype), how) for a, how in zip(self.arrays, self.layouts, strict=False)]


def laid_out(a: np.ndarray, how: str) -> np.ndarray:
    """The same numbers in another order of memory, amid others (NaN, huge indices) that nobody may read."""
    if not a.ndim or how == "as made":
        return a
    if how == "columns first":
        return np.asfortranarray(a)
    if how == "backwards":
        every = (slice(None, None, -1),) * a.ndim
        return np.ascontiguousarray(a[every])[every]
    other = {"f": np.nan, "b": True}.get(a.dtype.kind) or np.iinfo(a.dtype).max
    wide = np.full((*a.shape, 2), other, a.dtype)
    wide[..., 0] = a
    return wide[..., 0]


layouts = st.sampled_from(["as made", "columns first", "backwards", "every second"])
seeds = st.integers(0, 2**32 - 1)
squares = st.tuples(st.lists(st.integers(1, 2), max_size=1), st.integers(2, 3)).map(lambda t: (*t[0], t[1], t[1]))
full = array_shapes(min_dims=1, max_dims=4, max_side=4) | squares
shapes = array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4) | full
pairs = mutually_broadcastable_shapes(num_shapes=2, max_dims=4, min_side=0, max_side=4).map(
    lambda s: s.input_shapes
) | squares.flatmap(lambda s: st.sampled_from([(s, s), (s, s), (s, (2, 1, 1)), ((2, 1, 1), s)]))

CASES: dict[str, Callable] = {}


def case(*names: str) -> Callable:
    """Register a function (draw, rng, name) -> Call for these operations."""

    def register(function: Callable) -> Callable:
        for name in names:
            assert name not in CASES
            CASES[name] = functools.partial(function, name=name)
        return function

    return register


@st.composite
def calls(draw: Any, name: str) -> Call:
    """Any call of the operation of that name."""
    call = CASES[name](draw, np.random.default_rng(draw(seeds)))
    call.layouts = [draw(layouts) for _ in range(len(call.arrays) + 1)]
    call.seed = draw(seeds)
    return call


def positive(x: Any) -> Any:
    return np.abs(x) + 0.3


def nonzero(x: Any) -> Any:
    return np.where(x < 0, -1, 1) * positive(x)


def double(x: Any) -> torch.Tensor:
    return torch.tensor(np.array(x), dtype=torch.float64)


# ---------------------------------------------------------------------------------------------- two arrays, one array


@case("add", "subtract", "multiply", "divide", "maximum", "minimum")
def _(draw, rng, name):
    ours, theirs, smooth = getattr(F, name), getattr(torch, name), True
    a, b = (rng.standard_normal(s) for s in draw(pairs))
    left, right = 0.75, 0.75
    if name in ("maximum", "minimum"):
        smooth = draw(st.booleans())  # else many ties, which share
        apart = 0.25 if smooth else 0
        a, b = np.round(2 * a) / 2, np.round(2 * b) / 2 + apart
        left, right = 0.5, 0.5 + apart
    b = nonzero(b) if name == "divide" else b
    alone = draw(st.sampled_from(["", "", "a", "b"]))
    if alone == "a":
        return Call(lambda a: ours(a, right), lambda a: theirs(a, double(right)), [a], smooth)
    if alone == "b":
        return Call(lambda b: ours(left, b), lambda b: theirs(double(left), b), [b], smooth)
    return Call(ours, theirs, [a, b], smooth)


@case("power")
def _(draw, rng, name):
    a, b = (rng.standard_normal(s) for s in draw(pairs))
    kind = draw(st.sampled_from(["arrays", "arrays", "whole", "root", "number", "zeros"]))
    if kind == "arrays":
        return Call(F.power, torch.pow, [positive(a), b])
    if kind == "whole":
        k = draw(st.integers(-3, 4))
        return Call(lambda a: F.power(a, k), lambda a: a**k, [nonzero(a)])
    if kind == "root":
        return Call(lambda a: F.power(a, 0.5), lambda a: a**0.5, [positive(a)])
    if kind == "number":
        return Call(lambda b: F.power(1.7, b), lambda b: torch.pow(double(1.7), b), [b])
    exponents = rng.integers(0, 4, b.shape).astype(float)
    theirs = double(exponents)
    bases = np.round(a)  # 0 to the power of 0, 1, 2, 3; there PyTorch's second derivatives are NaN, ours 0
    return Call(
        lambda a: F.power(a, exponents.astype(a.dtype)), lambda a: torch.pow(a, theirs), [bases], False, twice=False
    )


@case("negative", "exp", "log", "sqrt", "tanh", "sigmoid", "erf", "abs", "sign")
def _(draw, rng, name):
    x = rng.standard_normal(draw(shapes))
    if name in ("log", "sqrt"):
        x = positive(x)
    kinks, scale = False, 1
    if name in ("abs", "sign"):
        kinks = draw(st.booleans())
        x = np.round(x) if kinks else nonzero(x)
    elif name in ("tanh", "sigmoid", "erf"):
        scale = draw(st.sampled_from([0.1, 1, 20]))
    return Call(
        getattr(F, name), getattr(torch, name), [scale * x], not kinks and scale <= 1, differentiable=name != "sign"
    )


@case("clip")
def _(draw, rng, name):
    of, other = draw(pairs)
    x, smooth = np.round(2 * rng.standard_normal(of)) / 2, draw(st.booleans())
    x = x + 0.25 if smooth else x  # else many at the bounds
    low, high = draw(st.sampled_from([(-0.5, 1.0), (None, 0.5), (-1.0, None), ("arrays", "arrays")]))
    if low != "arrays":
        return Call(lambda x: F.clip(x, low, high), lambda x: x.clamp(low, high), [x], smooth)
    low = np.round(2 * rng.standard_normal(other)) / 2
    high = low + 1
    ours = lambda x: F.clip(x, low.astype(x.dtype), high.astype(x.dtype))  # noqa: E731
    return Call(ours, lambda x: torch.clamp(x, double(low), double(high)), [x], smooth)


@case("astype")
def _(draw, rng, name):
    return Call(lambda x: F.astype(x, x.dtype), lambda x: x.clone(), [rng.standard_normal(draw(shapes))])


@case("equal", "greater", "greater_equal", "less", "less_equal")
def _(draw, rng, name):
    arrays = [rng.integers(0, 3, s).astype(float) for s in draw(pairs)]
    theirs = torch.eq if name == "equal" else getattr(torch, name)
    return Call(getattr(F, name), theirs, arrays, differentiable=False)


@case("where")
def _(draw, rng, name):
    of = draw(
        mutually_broadcastable_shapes(num_shapes=3, max_dims=3, min_side=0, max_side=4).map(lambda s: s.input_shapes)
        | squares.map(lambda s: (s, s, s))
    )
    condition = laid_out(rng.random(of[0]) < 0.5, draw(layouts))
    a, b = (rng.standard_normal(s) for s in of[1:])
    asked = Tensor(condition) if draw(st.booleans()) else condition
    theirs = torch.tensor(np.array(condition))
    alone = draw(st.sampled_from(["", "", "a", "b"]))
    if alone == "a":
        return Call(lambda a: F.where(asked, a, 0), lambda a: torch.where(theirs, a, 0.0), [a])
    if alone == "b":
        return Call(lambda b: F.where(asked, -1.5, b), lambda b: torch.where(theirs, -1.5, b), [b])
    return Call(lambda a, b: F.where(asked, a, b), lambda a, b: torch.where(theirs, a, b), [a, b])


# --------------------------------------------------------------------------------------------------------- reductions


@st.composite
def reduced_axes(draw: Any, ndim: int) -> Any:
    """None, one axis, several or none, counted from either end."""
    one = st.integers(-ndim, ndim - 1)
    if not ndim or draw(st.booleans()):
        return draw(st.sampled_from([None, ()]) if not ndim else st.none() | one)
    return tuple(draw(st.lists(one, max_size=ndim, unique_by=lambda i: i % ndim)))


def over(x: torch.Tensor, axis: Any, keepdims: bool, f: Callable) -> torch.Tensor:
    """f, which reduces the last axis, over any axes."""
    n = x.ndim
    axes = range(n) if axis is None else [i % n for i in ((axis,) if isinstance(axis, int) else axis)]
    kept = [i for i in range(n) if i not in axes]
    y = f(x.permute([*kept, *axes]).reshape([*[x.shape[i] for i in kept], math.prod(x.shape[i] for i in axes)]))
    return y.reshape([1 if i in axes else x.shape[i] for i in range(n)]) if keepdims else y


@case("sum", "mean", "var", "max", "min", "logsumexp")
def _(draw, rng, name):
    x = rng.standard_normal(draw(shapes))
    axis, keep = draw(reduced_axes(x.ndim)), draw(st.booleans())
    count = over(torch.ones(x.shape), axis, False, lambda x: x.sum(-1)).max().item() if x.size else 0
    assume(name == "sum" or count)
    options, smooth = {}, True
    theirs = {"sum": torch.sum, "mean": torch.mean, "max": torch.amax, "min": torch.amin}.get(name, torch.logsumexp)
    if name == "var":
        options = {"correction": draw(st.integers(0, 1)) if count > 1 else 0}
        theirs = functools.partial(torch.var, **options)
    elif name in ("max", "min"):
        smooth = draw(st.booleans())  # else many equal, which share
        x = rng.permutation(x.size).reshape(x.shape) / 3 - 2 if smooth else np.round(x)
    elif name == "logsumexp" and draw(st.booleans()):
        x, smooth = 300 * x, False
    return Call(
        lambda x: getattr(F, name)(x, axis, keepdims=keep, **options),
        lambda x: over(x, axis, keep, lambda x: theirs(x, -1)),
        [x],
        smooth,
    )


@case("cumsum", "argmax")
def _(draw, rng, name):
    of = draw(full)
    x, axis = rng.permutation(math.prod(of)).reshape(of) / 3.0 - 2, draw(st.integers(-len(of), len(of) - 1))
    ours, theirs = getattr(F, name), getattr(torch, name)
    return Call(lambda x: ours(x, axis), lambda x: theirs(x, axis), [x], differentiable=name == "cumsum")


# ------------------------------------------------------------------------------------------------------------- shapes


@case("reshape")
def _(draw, rng, name):
    x = rng.standard_normal(draw(shapes))
    to = [*draw(st.permutations(x.shape)), *[1] * draw(st.integers(0, 2))]
    if len(to) > 1 and draw(st.booleans()):
        to = [to[0] * to[1], *to[2:]]
    if to and x.size and draw(st.booleans()):
        to[draw(st.integers(0, len(to) - 1))] = -1
    return Call(lambda x: F.reshape(x, tuple(to)), lambda x: x.reshape(to), [x])


@case("transpose", "swapaxes")
def _(draw, rng, name):
    x = rng.standard_normal(draw(shapes))
    n = x.ndim
    backwards = tuple(range(n))[::-1]
    if name == "transpose" and draw(st.booleans()):
        return Call(F.transpose, lambda x: x.permute(backwards), [x])
    if name == "transpose":
        order = [draw(st.sampled_from([i, i - n])) for i in draw(st.permutations(range(n)))]
        return Call(lambda x: F.transpose(x, tuple(order)), lambda x: x.permute(order), [x])
    assume(n)
    if n > 1 and draw(st.booleans()):
        return Call(F.swapaxes, lambda x: x.mT, [x])
    i, j = (draw(st.integers(-n, n - 1)) for _ in range(2))
    return Call(lambda x: F.swapaxes(x, i, j), lambda x: x.swapaxes(i, j), [x])


@case("broadcast_to", "unbroadcast")
def _(draw, rng, name):
    wide = draw(shapes)
    narrow = draw(broadcastable_shapes(wide, min_dims=0, max_dims=len(wide), min_side=min(wide, default=1)))
    narrow = narrow if np.broadcast_shapes(narrow, wide) == wide else wide
    if draw(st.booleans()):
        wide, narrow = (2, *wide), wide
    if name == "unbroadcast":  # the adjoint, of use by itself in a new operation's gradient
        return Call(lambda x: F.unbroadcast(x, narrow), lambda x: x.sum_to_size(narrow), [rng.standard_normal(wide)])
    return Call(lambda x: F.broadcast_to(x, wide), lambda x: x.expand(wide), [rng.standard_normal(narrow)])


@case("expand_dims", "squeeze")
def _(draw, rng, name):
    of = draw(shapes)
    at = draw(st.integers(-len(of) - 1, len(of)))
    if name == "expand_dims":
        return Call(lambda x: F.expand_dims(x, at), lambda x: x.unsqueeze(at), [rng.standard_normal(of)])
    x = np.expand_dims(rng.standard_normal(of), at)
    return Call(lambda x: F.squeeze(x, at), lambda x: x.squeeze(at), [x])


@case("_concatenate", "concatenate", "stack")
def _(draw, rng, name):
    of = draw(array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=3) | squares)
    axis = draw(st.integers(-len(of), len(of) - 1))
    sizes = draw(st.lists(st.integers(0, 3), min_size=1, max_size=3))
    if name == "stack":
        axis = draw(st.integers(-len(of) - 1, len(of)))
        return Call(
            lambda *xs: F.stack(xs, axis), lambda *xs: torch.stack(xs, axis), [rng.standard_normal(of) for _ in sizes]
        )
    parts = [rng.standard_normal([n if i == axis % len(of) else m for i, m in enumerate(of)]) for n in sizes]
    if name == "concatenate":
        return Call(lambda *xs: F.concatenate(xs, axis), lambda *xs: torch.cat(xs, axis), parts)
    return Call(lambda *xs: _concatenate(*xs, axis=axis), lambda *xs: torch.cat(xs, axis), parts)


@case("split")
def _(draw, rng, name):
    of, n = list(draw(full)), draw(st.integers(1, 3))
    axis = draw(st.integers(-len(of), len(of) - 1))
    sizes = draw(st.lists(st.integers(0, 3), min_size=n, max_size=n))
    parts = draw(st.sampled_from([n, sizes]))
    size = of[axis]
    of[axis] = n * size if parts is n else sum(sizes)
    part = draw(st.integers(0, n - 1))
    theirs = size if parts is n else sizes
    return Call(
        lambda x: F.split(x, parts, axis)[part],
        lambda x: torch.split(x, theirs, axis)[part],
        [rng.standard_normal(of)],
    )


@case("pad")
def _(draw, rng, name):
    x, fill = rng.standard_normal(draw(full)), draw(st.sampled_from([0.0, -1.5]))
    widths = [tuple(draw(st.integers(0, 2)) for _ in range(2)) for _ in x.shape]
    flat = [w for pair in widths[::-1] for w in pair]
    return Call(lambda x: F.pad(x, widths, fill), lambda x: torch.nn.functional.pad(x, flat, value=fill), [x])


@case("triu", "tril")
def _(draw, rng, name):
    x, k = rng.standard_normal(draw(array_shapes(min_dims=2, max_side=4) | squares)), draw(st.integers(-3, 3))
    return Call(lambda x: getattr(F, name)(x, k), lambda x: getattr(torch, name)(x, k), [x])


# ----------------------------------------------------------------------------------------------------------- indexing


def indices_of(draw: Any, rng: np.random.Generator, of: tuple[int, ...]) -> Any:
    """Basic, boolean or integer indices with repeats, or a mixture."""
    kind = draw(st.sampled_from(["basic", "boolean", "integers", "list", "mixture"]))
    if kind == "boolean":
        front = draw(st.integers(1, len(of)))
        mask = laid_out(rng.random(of[:front]) < 0.6, draw(layouts))
        return (mask, *[slice(None, None, draw(st.sampled_from([-1, 2]))) for _ in of[front:]])
    if kind == "integers":
        return draw(integer_array_indices(of, result_shape=array_shapes(min_side=0, max_dims=3, max_side=4)))
    if kind == "list":
        return draw(st.lists(st.integers(-of[0], of[0] - 1), min_size=1, max_size=4))
    if kind == "basic":
        return draw(basic_indices(of, allow_newaxis=True, allow_ellipsis=True))
    parts: list[Any] = []
    for n in of[: draw(st.integers(1, len(of)))]:
        part = draw(st.sampled_from(["integers", "number", "slice", "new axis"]))
        if part == "integers":
            array = rng.integers(-n, n, draw(st.sampled_from([(2, 3), (2, 1), (3,), (1,)])))
            parts.append(Tensor(array) if draw(st.booleans()) else laid_out(array, draw(layouts)))
        elif part == "number":
            parts.append(draw(st.integers(-n, n - 1)))
        else:
            parts += [slice(draw(st.integers(0, 1)), None)] if part == "slice" else [None, slice(None)]
    return tuple(parts)


def raw_index(index: Any) -> Any:
    return tuple(i.numpy() if isinstance(i, Tensor) else i for i in index) if isinstance(index, tuple) else index


@case("getitem", "scatter")
def _(draw, rng, name):
    of = draw(full)
    index = indices_of(draw, rng, of)
    places = torch.tensor(np.array(np.arange(math.prod(of)).reshape(of)[raw_index(index)], order="C"))
    if name == "getitem":
        return Call(lambda x: F.getitem(x, index), lambda x: x.reshape(-1)[places], [rng.standard_normal(of)])

    def theirs(x):
        flat = torch.zeros(math.prod(of), dtype=torch.float64)
        return flat.index_put((places.reshape(-1),), x.reshape(-1), accumulate=True).reshape(of)

    return Call(lambda x: F.scatter(x, index, of), theirs, [rng.standard_normal(tuple(places.shape))])


@case("take_along_axis")
def _(draw, rng, name):
    of = draw(full)
    axis, count = draw(st.integers(-len(of), len(of) - 1)), draw(st.integers(0, 4))
    indices = rng.integers(0, of[axis], [count if i == axis % len(of) else n for i, n in enumerate(of)])
    theirs, indices = torch.tensor(indices), laid_out(indices, draw(layouts))
    return Call(
        lambda x: F.take_along_axis(x, indices, axis), lambda x: x.gather(axis, theirs), [rng.standard_normal(of)]
    )


# ----------------------------------------------------------------------------------------------------------- products


@case("_matmul", "matmul")
def _(draw, rng, name):
    left, right = draw(mutually_broadcastable_shapes(num_shapes=2, max_dims=2, max_side=3)).input_shapes
    side = st.integers(0, 4)
    n, k, m = draw(st.tuples(side, side, side) | st.integers(2, 3).map(lambda n: (n, n, n)))
    if name == "_matmul":
        return Call(_matmul, torch.matmul, [rng.standard_normal((*left, n, k)), rng.standard_normal((*right, k, m))])
    a = (k,) if draw(st.booleans()) else (*left, n, k)
    b = (k,) if draw(st.booleans()) else (*right, k, m)
    return Call(F.matmul, torch.matmul, [rng.standard_normal(a), rng.standard_normal(b)])


@case("einsum")
def _(draw, rng, name):
    term = st.lists(st.sampled_from("abcd"), min_size=1, max_size=3, unique=True).map("".join)
    terms = draw(st.lists(term, min_size=1, max_size=3))
    letters = sorted(set("".join(terms)))
    output = "".join(draw(st.lists(st.sampled_from(letters), max_size=4, unique=True)))
    spec = ",".join(terms) + "->" + output
    sizes = {c: draw(st.integers(1, 3)) for c in letters}
    arrays = [rng.standard_normal([sizes[c] for c in t]) for t in terms]
    return Call(lambda *xs: F.einsum(spec, *xs), lambda *xs: torch.einsum(spec, *xs), arrays)
