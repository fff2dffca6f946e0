"""Attention: every query reads the values whose keys it matches (Vaswani et al. 2017, section 3.2).

The kernel works on tiles: a few query rows of a few heads at a time, so that their scores never leave the cache between
the product that makes them and the product that uses them; a causal tile ends at the last position that it may read.
Queries, keys and values are read where they lie, as strided views, never copied into heads; what is scaled is scores,
in one pass, rather than many short rows of K numbers. The shift m of the softmax exp(s - m) / Σ exp(s - m), which keeps
exp from overflowing, is the row's largest score; but 0, two passes less, where |q| times the largest |k| says that no
score of the row can be large.
"""

import functools
import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from minilm import backend
from minilm.autograd import ops
from minilm.autograd.fused import check_floats, kernel_fits
from minilm.autograd.operation import fused, unbroadcast
from minilm.autograd.ops import exp, where
from minilm.autograd.products import matmul
from minilm.autograd.shapes import reshape, swapaxes, transpose
from minilm.autograd.tensor import shape
from minilm.autograd.tensor import value as raw
from minilm.backend import xp
from minilm.errors import ConfigError, DTypeError, ShapeError
from minilm.i18n import tr

__all__ = ["attention", "self_attention"]

TILE_ROWS = 64  # query rows of a causal tile: the fewer, the more of the masked half is skipped
FEW = 8  # queries that need no tiles: one, or where all read every key, a group of heads of one
TILE_BYTES = 1 << 19  # memory of a tile's scores: they stay in the L2 cache, or just outside
SMALL = 60  # scores up to this size need no shift: sums of exp(±60), and 1 over them, are far from float32's limits


@fused
def attention(query, key, value, mask=None, causal=False, scale=None, keep=None, keep_scale=1.0, bias=None):
    """y = softmax(scale · q kᵀ + bias) v, each row of the softmax over the positions that its query may read.

    query: (B, H, T, K), key: (B, H, S, K), value: (B, H, S, Kv) -> (B, H, T, Kv).
    mask: booleans that broadcast to (B, H, T, S), True where a query may read; None: everywhere.
    causal: position t also reads nothing after s = t + S - T, so that the last query reads all (a KV cache has S > T).
    scale: 1/√K where None. keep, keep_scale: dropout of the weights, as `dropout_mask` draws it for (B, H, T, S).
    bias: floats that broadcast to (B, H, T, S), added to the scores before masking; None: 0.
    A query that may read nothing gives 0, and its gradients are 0. What is masked is not read at all, however large
    its score; but it must be finite, since 0 · ∞ is not a number.
    Source: Vaswani et al. 2017, equation 1; dropout of the weights: GPT-2's and BERT's code; bias: Raffel et al. 2020,
    section 2.1, whose relative positions it holds.
    """
    _check_attention("attention", query, key, value, mask, keep, bias)
    scores = matmul(query * _scale_of(scale, query), swapaxes(key))  # (B, H, T, S)
    if bias is not None:
        scores = scores + bias
    visible = _visible(mask, causal, *shape(scores)[-2:])
    if visible is not None:
        scores = where(visible, scores, -math.inf)
    top = xp.max(raw(scores), axis=-1, keepdims=True)
    e = exp(scores - xp.where(top == -math.inf, 0, top))
    total = ops.sum(e, -1, keepdims=True)
    weights = e / where(raw(total) == 0, 1, total)  # (B, H, T, S)
    if keep is not None:
        weights = where(backend.asarray(raw(keep)), weights * keep_scale, 0)
    return matmul(weights, value)


@fused
def self_attention(qkv, heads, mask=None, causal=False, scale=None, keep=None, keep_scale=1.0, bias=None):
    """`attention` of a sequence to itself, in `heads` heads, all in one array of queries, keys and values side by side.

    qkv: (B, T, 3D), the last axis laid out as (3, H, K) -> (B, T, D). The other arguments are those of `attention`.
    Errors: ConfigError where the number of heads does not divide the width.
    """
    B, T, D = _check_packed(qkv, heads, mask, keep, bias)
    packed = transpose(reshape(qkv, (B, T, 3, heads, D // heads)), (2, 0, 3, 1, 4))  # (3, B, H, T, K)
    y = attention(packed[0], packed[1], packed[2], mask, causal, scale, keep, keep_scale, bias)
    return reshape(transpose(y, (0, 2, 1, 3)), (B, T, D))


# -------------------------------------------------------------------------------------------------------- the kernel


class _Reading(NamedTuple):
    """How queries read: what is hidden (0 or -∞ to add to the scores, (B, H, T, S)), dropout of the weights, and bias.

    The bias has the four axes of the scores, those that it is the same along of length 1. large: which rows may have a
    score that is, (B, H, T, 1); None if none.
    """

    scale: float
    hidden: np.ndarray | None
    causal: bool
    keep: np.ndarray | None
    keep_scale: float
    bias: np.ndarray | None
    large: np.ndarray | None


class _Tile(NamedTuple):
    """Query rows [i, j) of some batch entries and heads, which read the first `end` positions."""

    block: tuple[slice, slice]
    i: int
    j: int
    end: int
    first: bool

    def of_queries(self, a: np.ndarray) -> np.ndarray:
        return a[self.block][:, :, self.i : self.j]

    def of_keys(self, a: np.ndarray) -> np.ndarray:
        return a[self.block][:, :, : self.end]

    def of_scores(self, a: np.ndarray) -> np.ndarray:
        return a[self.block][:, :, self.i : self.j, : self.end]

    def of_bias(self, a: np.ndarray) -> np.ndarray:
        parts = (*self.block, slice(self.i, self.j), slice(self.end))
        return a[tuple([part if n > 1 else slice(None) for part, n in zip(parts, a.shape, strict=True)])]


def _tiles(scores: tuple[int, int, int, int], itemsize: int, causal: bool) -> Iterator[_Tile]:
    """All tiles. Those of the same keys follow each other, and the first of them reaches to the last key."""
    B, H, T, S = scores
    most = max(TILE_ROWS, TILE_BYTES // (S * itemsize))  # the more, the better, where none is skipped
    rows = min(T, TILE_ROWS if causal else most)
    matrices = max(1, TILE_BYTES // (rows * S * itemsize))
    heads, batch = min(H, matrices), max(1, min(B, matrices // H))
    for b in range(0, B, batch):
        for h in range(0, H, heads):
            block = (slice(b, b + batch), slice(h, h + heads))
            for j in range(T, 0, -rows):
                yield _Tile(block, max(0, j - rows), j, max(1, j + S - T) if causal else S, j == T)


@functools.lru_cache(maxsize=64)
def _future(rows: int, columns: int, k: int, kind: str) -> tuple[np.ndarray, np.ndarray]:
    """Whether column - row ≥ k, and -∞ where it is, else 0."""
    future = np.triu(np.ones((rows, columns), bool), k)
    return future, np.where(future, -np.inf, 0).astype(kind)


def _weights(tile: _Tile, q: np.ndarray, k: np.ndarray, how: _Reading) -> np.ndarray:
    """p = exp(s - m) / Σ exp(s - m) of the scores s of a tile; p = 0 for a row that reads nothing."""
    s = np.matmul(tile.of_queries(q), tile.of_keys(k).swapaxes(2, 3))
    s *= how.scale
    if how.bias is not None:
        s += tile.of_bias(how.bias)
    if how.hidden is not None:
        s += tile.of_scores(how.hidden)
    if how.causal:
        future, hidden = _future(*s.shape[2:], tile.i + k.shape[2] - q.shape[2] + 1, s.dtype.char)
        if how.large is None:
            s += hidden
        else:  # a score may be NaN, which no addition takes away
            np.copyto(s, -np.inf, where=future)
    if how.large is not None:
        top = np.where(tile.of_queries(how.large), s.max(-1, keepdims=True), s.dtype.type(0))
        s -= np.maximum(top, np.finfo(s.dtype).min, out=top)  # where all is -∞: exp(-∞ - a finite number) is 0
    np.exp(s, out=s)
    total = np.matmul(s, np.ones((s.shape[3], 1), s.dtype))
    total += total == 0  # of a row that reads nothing
    s *= np.divide(1, total, out=total)
    return s


def _large(lengths, sizes, scale, mask, causal, bias) -> np.ndarray | None:
    """The rows (B, H, T, 1) that may have a score above SMALL in size, as |q · k| ≤ |q| |k|; None if none may.

    lengths: |q|, (B, H, T, 1); sizes: |k|, (B, H, S, 1). What a row may not read, future or padding, has no say.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        if mask is not None and mask.ndim == 4 and mask.shape[1:3] == (1, 1):
            sizes = np.where(mask.swapaxes(2, 3), sizes, 0)
        elif mask is not None:
            return np.ones(lengths.shape, bool)  # which keys a row may read is then a matter of the row
        if causal:
            T, S = lengths.shape[2], sizes.shape[2]
            last = np.maximum(np.arange(T) + (S - T), 0)  # the last key that each row may read, if it may read any
            sizes = np.maximum.accumulate(sizes, axis=2)[:, :, last]
        else:
            sizes = sizes.max(2, keepdims=True)
        bounds = abs(scale) * lengths * sizes
        large = ~(bounds + (0 if bias is None else np.abs(bias).max()) <= SMALL)  # so that NaN is large too
    return large if large.any() else None


def _lengths(a: np.ndarray) -> np.ndarray:
    """|a| over the last axis, (…, K) -> (…, 1), of an array whose memory has no gaps: one product with ones."""
    with np.errstate(over="ignore"):
        squares = np.square(a).reshape(-1, a.shape[-1])
        return np.sqrt(squares @ np.ones((a.shape[-1], 1), a.dtype)).reshape(*a.shape[:-1], 1)


def _attend(q: np.ndarray, k: np.ndarray, v: np.ndarray, out: np.ndarray, how: _Reading, save: bool) -> list:
    """Write attention into `out`; all are views (B, H, T or S, K). Returns what each tile's backward needs."""
    saved = []
    for tile in _tiles((*q.shape[:3], k.shape[2]), q.itemsize, how.causal):
        p = _weights(tile, q, k, how)
        np.matmul(p if how.keep is None else _kept(p, tile, how), tile.of_keys(v), out=tile.of_queries(out))
        if save:
            saved.append((tile, p))
    return saved


def _kept(p: np.ndarray, tile: _Tile, how: _Reading) -> np.ndarray:
    """keep_scale · p where keep, else 0."""
    assert how.keep is not None
    kept = p * tile.of_scores(how.keep)
    kept *= how.keep_scale
    return kept


def _attend_vjp(g, q, k, v, out, how, saved, gq, gk, gv) -> np.ndarray | None:
    """Write the cotangents of q, k and v, and return that of the bias. With w = keep_scale keep ⊙ p, d = ⟨g, y⟩:

    v̄ = wᵀ g, s̄ = p ⊙ (keep_scale keep ⊙ (g vᵀ) - d), q̄ = scale · s̄ k, k̄ = scale · s̄ᵀ q;
    that of the bias is s̄ itself, summed over the axes along which the bias is the same.
    """
    gbias = None if how.bias is None else np.zeros(how.bias.shape, g.dtype)
    for tile, p in saved:
        gi = tile.of_queries(g)
        _accumulate(tile, gv, p if how.keep is None else _kept(p, tile, how), gi)
        ds = np.matmul(gi, tile.of_keys(v).swapaxes(2, 3))
        if how.keep is not None:
            ds = _kept(ds, tile, how)
        ds -= np.vecdot(gi, tile.of_queries(out))[..., None]
        ds *= p
        if gbias is not None:
            part = tile.of_bias(gbias)
            part += unbroadcast(ds, part.shape)
        ds *= how.scale
        np.matmul(ds, tile.of_keys(k), out=tile.of_queries(gq))
        _accumulate(tile, gk, ds, tile.of_queries(q))
    return gbias


def _accumulate(tile: _Tile, total: np.ndarray, a: np.ndarray, b: np.ndarray) -> None:
    """Add aᵀ b to the tile's rows of `total`; the first tile of a block reaches all of them, and sets them."""
    if tile.first:
        np.matmul(a.swapaxes(2, 3), b, out=tile.of_keys(total))
    else:
        y = tile.of_keys(total)
        y += np.matmul(a.swapaxes(2, 3), b)


def _reading(scores, lengths, sizes, scale, mask, causal, keep, keep_scale, bias) -> _Reading:
    """The options of a call, masks stretched (not copied) to (B, H, T, S). lengths, sizes: those of q and k."""
    dtype = lengths.dtype
    bias = None if bias is None else bias.reshape((1,) * (4 - bias.ndim) + bias.shape)
    hidden = None
    if mask is not None:
        hidden = np.broadcast_to(np.where(mask, dtype.type(0), dtype.type(-np.inf)), scores)
    keep, keep_scale = (None, 1.0) if keep is None else (np.broadcast_to(keep, scores), float(keep_scale))
    large = _large(lengths, sizes, scale, mask, causal, bias)
    return _Reading(float(scale), hidden, causal, keep, keep_scale, bias, large)


def _attend_once(q: np.ndarray, k: np.ndarray, v: np.ndarray, scale: float, bias: np.ndarray | None) -> np.ndarray:
    """A few queries that read every key, as in generation with a cache: the arithmetic of a tile, without the tiles."""
    s = np.matmul(q * scale, k.swapaxes(2, 3))  # (B, H, T, S)
    if bias is not None:
        s += bias
    s -= s.max(-1, keepdims=True)
    np.exp(s, out=s)
    y = np.matmul(s, v)  # (B, H, T, Kv)
    y *= 1 / np.matmul(s, np.ones((s.shape[3], 1), s.dtype))
    return y


@attention.kernel
def _(query, key, value, mask, causal, scale, keep, keep_scale, bias, *, save):
    if not kernel_fits(query, key, value, bias):
        return NotImplemented
    _check_attention("attention", query, key, value, mask, keep, bias)
    if query.shape[2] <= (1 if causal else FEW) and mask is None and keep is None and not save:
        return _attend_once(query, key, value, _scale_of(scale, query), bias), None
    scores = (*query.shape[:3], key.shape[2])
    lengths, sizes = _lengths(query), _lengths(key)
    how = _reading(scores, lengths, sizes, _scale_of(scale, query), mask, causal, keep, keep_scale, bias)
    y = np.empty((*query.shape[:3], value.shape[3]), query.dtype)
    saved = _attend(query, key, value, y, how, save)
    return y, (query, key, value, y, how, saved, shape(bias))


@attention.kernel_vjp("query", "key", "value", "bias")
def _(g, residuals):
    query, key, value, y, how, saved, bias_shape = residuals
    gradients = [np.empty(a.shape, a.dtype) for a in (query, key, value)]
    gbias = _attend_vjp(g, query, key, value, y, how, saved, *gradients)
    return *gradients, None if gbias is None else gbias.reshape(bias_shape)


@self_attention.kernel
def _(qkv, heads, mask, causal, scale, keep, keep_scale, bias, *, save):
    if not kernel_fits(qkv, bias):
        return NotImplemented
    B, T, D = _check_packed(qkv, heads, mask, keep, bias)
    q, k, v = _unpacked(qkv, heads, 3)
    lengths = _lengths(qkv.reshape(B, T, 3, heads, D // heads)).transpose(2, 0, 3, 1, 4)  # (3, B, H, T, 1)
    how = _reading((B, heads, T, T), lengths[0], lengths[1], _scale_of(scale, q), mask, causal, keep, keep_scale, bias)
    y = np.empty((B, T, D), qkv.dtype)
    (out,) = _unpacked(y, heads, 1)
    saved = _attend(q, k, v, out, how, save)
    return y, (qkv, y, heads, how, saved, shape(bias))


@self_attention.kernel_vjp("qkv", "bias")
def _(g, residuals):
    qkv, y, heads, how, saved, bias_shape = residuals
    gqkv = np.empty(qkv.shape, qkv.dtype)
    (gy,), (out,) = _unpacked(g, heads, 1), _unpacked(y, heads, 1)
    (q, k, v), (gq, gk, gv) = _unpacked(qkv, heads, 3), _unpacked(gqkv, heads, 3)
    gbias = _attend_vjp(gy, q, k, v, out, how, saved, gq, gk, gv)
    return gqkv, None if gbias is None else gbias.reshape(bias_shape)


def _unpacked(a: np.ndarray, heads: int, parts: int) -> list[np.ndarray]:
    """The parts of a packed (B, T, parts · D), each as a view (B, H, T, K)."""
    B, T, D = a.shape
    return list(a.reshape(B, T, parts, heads, D // parts // heads).transpose(2, 0, 3, 1, 4))


# ------------------------------------------------------------------------------------------------- arguments, checked


def _scale_of(scale: float | None, query: Any) -> float:
    return 1 / math.sqrt(shape(query)[-1]) if scale is None else scale


def _visible(mask: Any, causal: bool, T: int, S: int) -> Any:
    """Booleans that broadcast to (B, H, T, S): where a query may read. None: everywhere."""
    mask = None if mask is None else backend.asarray(raw(mask))
    if not causal:
        return mask
    past = xp.arange(S)[None, :] <= xp.arange(T)[:, None] + (S - T)  # (T, S)
    return past if mask is None else mask & past


def _check_attention(op: str, query: Any, key: Any, value: Any, mask: Any, keep: Any, bias: Any) -> None:
    check_floats(op, query=query, key=key, value=value, bias=bias)
    q, k, v = shape(query), shape(key), shape(value)
    if not (
        len(q) == len(k) == len(v) == 4 and q[:2] == k[:2] == v[:2] and q[3] == k[3] and k[2] == v[2] and k[2] and k[3]
    ):
        wanted = "(B, H, T, K), (B, H, S, K), (B, H, S, Kv)"
        raise ShapeError(
            tr(
                "{op}: query {q}, key {k}, value {v} do not fit: wanted {wanted}, S at least 1",
                op=op,
                q=q,
                k=k,
                v=v,
                wanted=wanted,
            )
        )
    _check_scores(op, mask, keep, bias, (*q[:3], k[2]))


def _check_packed(qkv: Any, heads: int, mask: Any, keep: Any, bias: Any) -> tuple[int, int, int]:
    """(B, T, D) of a packed array that fits."""
    check_floats("self_attention", qkv=qkv, bias=bias)
    if len(shape(qkv)) != 3 or shape(qkv)[2] % 3 or not shape(qkv)[1]:
        raise ShapeError(tr("self_attention: qkv has shape {got}, wanted (B, T, 3D), T at least 1", got=shape(qkv)))
    B, T, D = *shape(qkv)[:2], shape(qkv)[2] // 3
    if heads < 1 or D % heads:
        raise ConfigError(tr("self_attention: {heads} heads do not divide the width {D}", heads=heads, D=D))
    _check_scores("self_attention", mask, keep, bias, (B, heads, T, T))
    return B, T, D


def _check_scores(op: str, mask: Any, keep: Any, bias: Any, scores: tuple[int, ...]) -> None:
    for name, a in (("mask", mask), ("keep", keep), ("bias", bias)):
        if a is None:
            continue
        if name != "bias" and getattr(getattr(a, "dtype", None), "kind", None) != "b":
            raise DTypeError(
                tr(
                    "{op}: {name} must be a boolean array (True: may be read), not {got}",
                    op=op,
                    name=name,
                    got=getattr(a, "dtype", type(a)),
                )
            )
        try:
            fits = np.broadcast_shapes(shape(a), scores) == scores
        except ValueError:
            fits = False
        if not fits:
            raise ShapeError(
                tr(
                    "{op}: {name} has shape {got}, which does not broadcast to (B, H, T, S) = {wanted}",
                    op=op,
                    name=name,
                    got=shape(a),
                    wanted=scores,
                )
            )
