"""Calls of every fused operation and of dropout, as operation_cases.py has those of the elementary ones."""

import math

import numpy as np
import torch
import torch.nn.functional as theirs
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes
from operation_cases import Call, case, double, full, laid_out, layouts, seeds, shapes, squares
from torch.nn.attention import SDPBackend, sdpa_kernel

import minilm.functional as F


@case("softmax", "log_softmax")
def _(draw, rng, name):
    of = draw(full)
    axis, scale = draw(st.integers(-len(of), len(of) - 1)), draw(st.sampled_from([1, 1, 20]))
    x, ours, torchs = scale * rng.standard_normal(of), getattr(F, name), getattr(torch, name)
    return Call(lambda x: ours(x, axis), lambda x: torchs(x, axis), [x], scale == 1)


@case("gelu", "silu")
def _(draw, rng, name):
    scale = draw(st.sampled_from([1, 1, 20]))
    x = scale * rng.standard_normal(draw(shapes))
    if name == "silu":
        return Call(F.silu, theirs.silu, [x], scale == 1)
    how = draw(st.sampled_from(["tanh", "none"]))
    return Call(lambda x: F.gelu(x, how), lambda x: theirs.gelu(x, approximate=how), [x], scale == 1)


@case("silu_gate")
def _(draw, rng, name):
    scale, of = draw(st.sampled_from([1, 1, 20])), draw(shapes)
    arrays = [scale * rng.standard_normal(of), rng.standard_normal(of)]
    return Call(F.silu_gate, lambda gate, x: theirs.silu(gate) * x, arrays, scale == 1)


@case("rotary")
def _(draw, rng, name):
    """PyTorch's side as a product of complex numbers, a + ib times e^iθ."""
    *of, K = draw(full)
    angles = draw(st.sampled_from([of, of[-1:], (), [*of[:-1], 1] if of else []]))  # leading axes broadcast
    theta = 3 * rng.standard_normal((*angles, K))
    turn, layout = torch.polar(torch.ones(1, dtype=torch.float64), double(theta)), draw(layouts)

    def ours(x):
        cos, sin = (laid_out(f(theta).astype(x.dtype), layout) for f in (np.cos, np.sin))
        return F.rotary(x, cos, sin)

    def torchs(x):
        y = torch.complex(x[..., :K], x[..., K:]) * turn
        return torch.cat([y.real, y.imag], -1)

    return Call(ours, torchs, [rng.standard_normal((*of, 2 * K))])


@case("layer_norm", "rms_norm")
def _(draw, rng, name):
    of = draw(array_shapes(min_dims=1, max_dims=4, max_side=6) | squares)
    # Of one or two numbers all but ε cancels: a gradient of order ε, of which both sides lose the digits.
    epsilon = draw(st.sampled_from([1e-5, 0.3])) if of[-1] > 2 else 0.3
    kinds = ["x"] + [n for n in ("weight", "bias")[: 1 if name == "rms_norm" else 2] if draw(st.booleans())]
    arrays = [2 * rng.standard_normal(of if kind == "x" else of[-1:]) for kind in kinds]

    def ours(*given):
        found = dict(zip(kinds, given, strict=True))
        rest = [found.get("weight")] + ([found.get("bias")] if name == "layer_norm" else [])
        return getattr(F, name)(found["x"], *rest, epsilon)

    def torchs(*given):
        found = dict(zip(kinds, given, strict=True))
        if name == "rms_norm":
            return theirs.rms_norm(found["x"], of[-1:], found.get("weight"), epsilon)
        # The bias apart, as PyTorch has no second derivative of a layer norm with a bias and no weight.
        return theirs.layer_norm(found["x"], of[-1:], found.get("weight"), None, epsilon) + found.get("bias", 0)

    return Call(ours, torchs, arrays, epsilon > 0.1)


@case("linear")
def _(draw, rng, name):
    of = draw(array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=5) | squares)
    width = draw(st.integers(1, 5) | st.just(max(1, of[-1])))
    arrays = [rng.standard_normal(of), rng.standard_normal((of[-1], width))]
    arrays += [rng.standard_normal(width)] if draw(st.booleans()) else []
    return Call(F.linear, lambda x, w, b=None: theirs.linear(x, w.T, b), arrays)


@case("embedding")
def _(draw, rng, name):
    V, D = draw(st.tuples(st.integers(1, 9), st.integers(1, 5)) | st.just((3, 3)))
    ids = rng.integers(0, V, draw(array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=5)))
    ids = laid_out(ids.astype(draw(st.sampled_from([np.int64, np.int32, np.uint8]))), draw(layouts))
    rows, weight = torch.tensor(np.array(ids, np.int64)), rng.standard_normal((V, D))
    # PyTorch has no second derivative of an embedding of nothing.
    return Call(lambda w: F.embedding(ids, w), lambda w: theirs.embedding(rows, w), [weight], twice=ids.size > 0)


@case("masked_scale", "dropout")
def _(draw, rng, name):
    x = rng.standard_normal(draw(shapes))
    p, seed, training = draw(st.sampled_from([0.0, 0.1, 0.5, 0.9, 1.0])), draw(seeds), True
    keep, scale = F.dropout_mask(p, np.random.default_rng(seed), x.shape)
    if name == "dropout":
        training = draw(st.sampled_from([True, True, False]))
        ours = lambda x: F.dropout(x, p, np.random.default_rng(seed), training) * 1.0  # noqa: E731
    else:
        keep = laid_out(keep, draw(layouts))
        ours = lambda x: F.masked_scale(x, keep, scale)  # noqa: E731
    factor = double(keep * scale if training else np.ones(x.shape))
    return Call(ours, lambda x: x * factor, [x])


# ---------------------------------------------------------------------------------------------------------- attention


@st.composite
def readings(draw, rng, scores):
    """(mask, causal, scale, keep, keep_scale) for scores (B, H, T, S)."""
    B, H, T, S = scores
    mask = draw(
        st.sampled_from(
            [
                None,
                (np.arange(S) < rng.integers(0, S + 1, (B, 1)))[:, None, None, :],  # padding
                rng.random((B, H, T, S)) < 0.6,
                rng.random((1, H, 1, S)) < 0.6,
                rng.random((T, S)) < 0.6,
                rng.random(S) < 0.6,
                np.repeat(rng.random((B, 1, T, 1)) < 0.5, S, axis=3),  # rows that read all or nothing
            ]
        )
    )
    mask = mask if mask is None else laid_out(mask, draw(layouts))
    keep = laid_out(rng.random(scores) < 0.7, draw(layouts)) if draw(st.booleans()) else None
    return mask, draw(st.booleans()), draw(st.sampled_from([None, 0.3])), keep, 1 / 0.7


@st.composite
def biases(draw, rng, scores):
    """[] or [bias], which broadcasts to scores (B, H, T, S)."""
    full = draw(st.lists(st.booleans(), min_size=4, max_size=4))
    of = [n if kept else 1 for n, kept in zip(scores, full, strict=True)]
    bias = rng.standard_normal(of[draw(st.integers(0, 4)) :])
    return draw(st.sampled_from([[], [bias], [rng.standard_normal(scores)]]))


def torchs_attention(q, k, v, mask, causal, scale, keep, keep_scale, bias=0):
    """PyTorch's own where it has one; by hand with bias or dropout. A query that may read nothing gives 0."""
    (T, S), scale = (q.shape[2], k.shape[2]), q.shape[3] ** -0.5 if scale is None else scale
    visible = torch.ones(T, S, dtype=torch.bool) if mask is None else torch.tensor(np.array(mask))
    visible = visible & torch.ones(T, S, dtype=torch.bool).tril(S - T) if causal else visible
    visible = visible.broadcast_to(*q.shape[:3], S)
    some = visible.any(-1, keepdim=True)
    if keep is None and isinstance(bias, int):
        with sdpa_kernel(SDPBackend.MATH):
            return theirs.scaled_dot_product_attention(q, k, v, visible | ~some, scale=scale) * some
    scores = (scale * q @ k.mT + bias).masked_fill(~visible & some, -math.inf)
    kept = 1 if keep is None else double(keep) * keep_scale
    return (torch.softmax(scores, -1) * kept) @ v * some


@case("attention")
def _(draw, rng, name):
    B, H, T, S, K, width = draw(
        st.tuples(*[st.integers(1, 3)] * 2, *[st.integers(1, 7)] * 2, *[st.integers(1, 4)] * 2)
        | st.integers(2, 3).map(lambda n: (2, 2, n, n, n, n))
    )
    how = draw(readings(rng, (B, H, T, S)))
    arrays = [rng.standard_normal((B, H, *s)) for s in ((T, K), (S, K), (S, width))]
    return Call(
        lambda q, k, v, *bias: F.attention(q, k, v, *how, *bias),
        lambda q, k, v, *bias: torchs_attention(q, k, v, *how, *bias),
        arrays + draw(biases(rng, (B, H, T, S))),
    )


@case("self_attention")
def _(draw, rng, name):
    B, H, T, K = draw(st.tuples(*[st.integers(1, 3)] * 2, st.integers(1, 7), st.integers(1, 3)) | st.just((2, 1, 3, 1)))
    how = draw(readings(rng, (B, H, T, T)))

    def torchs(qkv, *bias):
        q, k, v = qkv.reshape(B, T, 3, H, K).permute(2, 0, 3, 1, 4)
        return torchs_attention(q, k, v, *how, *bias).transpose(1, 2).reshape(B, T, H * K)

    arrays = [rng.standard_normal((B, T, 3 * H * K)), *draw(biases(rng, (B, H, T, T)))]
    return Call(lambda qkv, *bias: F.self_attention(qkv, H, *how, *bias), torchs, arrays)


# ------------------------------------------------------------------------------------------------------------- losses


@st.composite
def goals(draw, rng, of, V, reductions):
    """Targets and options, and PyTorch's loss of logits (..., V) with them; perhaps no row counts."""
    ignored = draw(st.sampled_from([-100, -1, 0, 2]))
    share = draw(st.sampled_from([0, 0.4, 1]))
    smoothing, reduction = draw(st.sampled_from([0.0, 0.1, 1.0])), draw(st.sampled_from(reductions))
    weights = rng.random(V) + 0.1 if draw(st.booleans()) else None
    targets = np.where(rng.random(of) < share, ignored, rng.integers(0, V, of))
    torchs, w = torch.tensor(targets.reshape(-1)), None if weights is None else double(weights)

    def loss(logits):
        if (targets == ignored).all():  # PyTorch's mean is 0/0 there, ours 0
            return 0 * logits[..., 0] if reduction == "none" else 0 * logits.sum()
        y = theirs.cross_entropy(
            logits.reshape(-1, V), torchs, w, ignore_index=ignored, label_smoothing=smoothing, reduction=reduction
        )
        return y.reshape(of) if reduction == "none" else y

    targets = laid_out(targets, draw(layouts))
    return targets, (ignored, smoothing, weights, reduction), loss


losses = array_shapes(min_dims=0, max_dims=3, max_side=5)


@case("cross_entropy")
def _(draw, rng, name):
    *of, V = draw(st.tuples(losses, st.integers(2, 6)).map(lambda t: (*t[0], t[1])) | squares)
    targets, options, loss = draw(goals(rng, of, V, ["mean", "sum", "none"]))
    return Call(lambda z: F.cross_entropy(z, targets, *options), loss, [2 * rng.standard_normal((*of, V))])


@case("linear_cross_entropy")
def _(draw, rng, name):
    *of, D = draw(st.tuples(losses, st.integers(1, 4)).map(lambda t: (*t[0], t[1])) | squares)
    V = draw(st.integers(2, 6) | st.just(max(2, D)))
    targets, options, loss = draw(goals(rng, of, V, ["mean", "sum"]))
    arrays = [rng.standard_normal((*of, D)), rng.standard_normal((V, D))]
    arrays += [rng.standard_normal(V)] if draw(st.booleans()) else []
    return Call(
        lambda x, w, b=None: F.linear_cross_entropy(x, w, targets, b, *options),
        lambda x, w, b=None: loss(theirs.linear(x, w, b)),
        arrays,
    )
