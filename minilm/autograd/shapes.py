"""The same entries elsewhere: operations that move, pick, repeat and join entries, their gradients beneath."""

import itertools
from typing import Any

import numpy as np

from minilm.autograd.operation import primitive, unbroadcast
from minilm.autograd.tensor import shape, value
from minilm.backend import xp
from minilm.errors import ShapeError
from minilm.i18n import tr


@primitive
def reshape(x, shape):
    """The same entries, in the same order, in another shape; one size may be -1."""
    try:
        return xp.reshape(x, shape)
    except ValueError:
        raise ShapeError(
            tr("reshape: {n} entries of shape {got} do not fit shape {wanted}", n=x.size, got=x.shape, wanted=shape)
        ) from None


@reshape.vjp("x")
def _(g, x_shape):
    return reshape(g, x_shape)


@primitive
def transpose(x, axes=None):
    """The axes in another order; reversed where none is given."""
    return xp.transpose(x, axes)


@transpose.vjp("x")
def _(g, axes):
    """The inverse permutation."""
    if axes is None:
        return transpose(g)
    return transpose(g, tuple(sorted(range(len(axes)), key=lambda i: axes[i] % len(axes))))


@primitive
def swapaxes(x, a=-1, b=-2):
    """Two axes exchanged; the last two where none is named."""
    return xp.swapaxes(x, a, b)


@swapaxes.vjp("x")
def _(g, a, b):
    return swapaxes(g, a, b)


@primitive
def broadcast_to(x, shape):
    """x repeated along axes of size 1 (and new leading axes) until it has the shape."""
    try:
        return xp.broadcast_to(x, shape)
    except ValueError:
        raise ShapeError(
            tr("broadcast_to: shape {got} does not broadcast to {wanted}", got=getattr(x, "shape", ()), wanted=shape)
        ) from None


@broadcast_to.vjp("x")
def _(g, x_shape):
    return unbroadcast(g, x_shape)


def expand_dims(x, axis):
    """A new axis of size 1 at position `axis`."""
    at = axis % (len(shape(x)) + 1)
    return reshape(x, (*shape(x)[:at], 1, *shape(x)[at:]))


def squeeze(x, axis):
    """Without the axis of size 1 at position `axis`."""
    if shape(x)[axis] != 1:
        raise ShapeError(tr("squeeze: axis {axis} of shape {got} is not of size 1", axis=axis, got=shape(x)))
    at = axis % len(shape(x))
    return reshape(x, (*shape(x)[:at], *shape(x)[at + 1 :]))


@primitive
def _concatenate(*xs, axis):
    return xp.concatenate(xs, axis=axis)


_concatenate.name = "concatenate"  # to those who read an error


@_concatenate.vjp("xs")
def _(g, i, xs_shape, axis):
    """Each part receives its slice of g."""
    start = sum(of[axis] for of in xs_shape[:i])
    return g[(slice(None),) * (axis % len(xs_shape[i])) + (slice(start, start + xs_shape[i][axis]),)]


def concatenate(xs, axis=0):
    """The parts one after the other along an axis; all other sizes must be equal."""
    shapes = [shape(x) for x in xs]
    rests = {(*of[: axis % len(of)], *of[axis % len(of) + 1 :]) for of in shapes if of}
    if not shapes or () in shapes or len(rests) != 1:
        raise ShapeError(tr("concatenate: shapes {got} differ in another axis than {axis}", got=shapes, axis=axis))
    return _concatenate(*xs, axis=axis)


def stack(xs, axis=0):
    """Parts of equal shape side by side along a new axis."""
    if len({shape(x) for x in xs}) != 1:
        raise ShapeError(tr("stack: shapes {got} are not all equal", got=[shape(x) for x in xs]))
    return _concatenate(*[expand_dims(x, axis) for x in xs], axis=axis)


def split(x, parts, axis=0):
    """A list of pieces along an axis: `parts` equal ones, or of the sizes listed."""
    n = shape(x)[axis]
    sizes = [n // parts] * parts if isinstance(parts, int) else list(parts)
    if sum(sizes) != n:
        raise ShapeError(tr("split: an axis of size {n} does not make parts {parts}", n=n, parts=parts))
    before = (slice(None),) * (axis % len(shape(x)))
    ends = itertools.accumulate(sizes)
    return [x[(*before, slice(end - size, end))] for size, end in zip(sizes, ends, strict=True)]


@primitive
def pad(x, widths, fill=0.0):
    """`fill` before and after each axis: widths is one (before, after) per axis."""
    return xp.pad(x, widths, constant_values=fill)


@pad.vjp("x")
def _(g, x_shape, widths):
    return g[tuple(slice(before, before + n) for (before, _), n in zip(widths, x_shape, strict=True))]


@primitive
def triu(x, k=0):
    """x with 0 below the k-th diagonal of its last two axes."""
    return xp.triu(x, k)


@triu.vjp("x")
def _(g, k):
    return triu(g, k)


@primitive
def tril(x, k=0):
    """x with 0 above the k-th diagonal of its last two axes."""
    return xp.tril(x, k)


@tril.vjp("x")
def _(g, k):
    return tril(g, k)


# ----------------------------------------------------------------------------------------------------------- indexing


def _raw_index(index: Any) -> Any:
    """The index as arrays take it; a list becomes an array where the others are."""
    if isinstance(index, tuple):
        return tuple([_raw_index(i) for i in index])
    return xp.asarray(index) if isinstance(index, list) and index else value(index)


def _is_basic(index: Any) -> bool:
    """Whether an index picks no entry twice: integers, slices, ... and None only."""
    parts = index if isinstance(index, tuple) else (index,)
    return all(i is None or i is Ellipsis or isinstance(i, (int, slice, np.integer)) for i in parts)


@primitive
def getitem(x, index):
    """x[index]: integers, slices, ..., None, boolean masks and integer arrays, as in NumPy."""
    try:
        return x[_raw_index(index)]
    except IndexError as error:
        raise ShapeError(
            tr("index {index} does not fit shape {got}: {why}", index=index, got=x.shape, why=error)
        ) from None


@getitem.vjp("x")
def _(g, x_shape, index):
    """Entries that were picked receive g, added up where one was picked more than once; the others 0."""
    return scatter(g, index, x_shape)


@primitive
def scatter(x, index, shape):
    """The adjoint of indexing: zeros of the shape, with x added at the index."""
    x = xp.asarray(x)  # the cotangent of a single entry may be a bare number
    y = xp.zeros(shape, dtype=x.dtype)
    if _is_basic(index):
        y[index] = x
    else:
        xp.add.at(y, _raw_index(index), x)
    return y


@scatter.vjp("x")
def _(g, index):
    return getitem(g, index)


def take_along_axis(x, indices, axis):
    """y[…, i, …] = x[…, indices[…, i, …], …]: one choice of its own for each position; sizes must match elsewhere."""
    indices, ndim = value(indices), len(shape(x))
    if len(shape(indices)) != ndim:
        raise ShapeError(
            tr(
                "take_along_axis: indices of shape {got} for an array of shape {wanted}",
                got=shape(indices),
                wanted=shape(x),
            )
        )
    grid = [xp.arange(n).reshape([n if j == i else 1 for j in range(ndim)]) for i, n in enumerate(shape(indices))]
    grid[axis % ndim] = indices
    return getitem(x, tuple(grid))
