"""Attention: each kernel against its plain twin and PyTorch, at tiles that do and do not divide the shapes."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import minilm.functional as F
from minilm.autograd import Tensor, fast, grad
from minilm.autograd.gradcheck import gradcheck
from minilm.backend import asarray, to_numpy
from minilm.errors import ConfigError, DTypeError, ShapeError

pytestmark = pytest.mark.every_device

seeds = st.integers(0, 2**32 - 1)
small = st.integers(1, 3)
lengths = st.integers(1, 11)
tile_rows = st.sampled_from([1, 2, 3, 5, 64])
tile_bytes = st.sampled_from([8, 200, 700, 1 << 18])
MASKS = {
    "none": lambda rng, B, H, T, S: None,
    "padding": lambda rng, B, H, T, S: (np.arange(S) < rng.integers(0, S + 1, (B, 1)))[:, None, None, :],
    "arbitrary": lambda rng, B, H, T, S: rng.random((B, H, T, S)) < 0.6,
    "for all heads": lambda rng, B, H, T, S: rng.random((1, 1, T, S)) < 0.6,
    "one matrix": lambda rng, B, H, T, S: rng.random((T, S)) < 0.6,
    "some rows hidden": lambda rng, B, H, T, S: np.repeat(rng.random((B, 1, T, 1)) < 0.5, S, axis=3),
}


def torchs_attention(mask, causal, scale, keep, keep_scale):
    """The definition, written with PyTorch; a hidden row's NaN becomes 0."""

    def f(q, k, v, bias=0):
        T, S = q.shape[2], k.shape[2]
        visible = torch.ones(T, S, dtype=torch.bool) if mask is None else torch.tensor(np.array(mask))
        if causal:
            visible = visible & torch.ones(T, S, dtype=torch.bool).tril(S - T)
        visible = visible.broadcast_to(*q.shape[:3], S)
        scores = (q @ k.transpose(2, 3)) * (q.shape[-1] ** -0.5 if scale is None else scale) + bias
        some = visible.any(-1, keepdim=True)
        scores = scores.masked_fill(~visible & some, -math.inf)
        weights = torch.softmax(scores, -1) * some
        if keep is not None:
            weights = weights * torch.tensor(np.array(keep)) * keep_scale
        return weights @ v

    return f


@given(st.data(), small, small, lengths, lengths, st.booleans(), st.booleans(), tile_rows, tile_bytes, seeds)
def test_attention(check, tiles, data, B, H, T, S, causal, dropout, rows, size, seed):
    rng = np.random.default_rng([seed, 0])
    K, width = data.draw(small), data.draw(small)
    q, k, v = (rng.standard_normal((B, H, *s)) for s in ((T, K), (S, K), (S, width)))
    mask = MASKS[data.draw(st.sampled_from(sorted(MASKS)))](rng, B, H, T, S)
    keep = rng.random((B, H, T, S)) < 0.7 if dropout else None
    options = {"mask": mask, "causal": causal, "scale": data.draw(st.sampled_from([None, 0.3, 2.0]))}
    options |= {"keep": keep, "keep_scale": 1 / 0.7}
    with tiles(TILE_ROWS=rows, TILE_BYTES=size):
        check(F.attention, [q, k, v], options, torchs_attention(*options.values()), seed)


@given(st.data(), small, small, lengths, st.integers(1, 3), st.booleans(), tile_rows, tile_bytes, seeds)
def test_self_attention(check, tiles, data, B, H, T, K, causal, rows, size, seed):
    rng = np.random.default_rng([seed, 0])
    qkv = rng.standard_normal((B, T, 3 * H * K))
    mask = MASKS[data.draw(st.sampled_from(sorted(MASKS)))](rng, B, H, T, T)
    keep = rng.random((B, H, T, T)) < 0.7 if data.draw(st.booleans()) else None
    options = {"mask": mask, "causal": causal, "scale": None, "keep": keep, "keep_scale": 1 / 0.7}

    def reference(qkv, heads):
        q, k, v = qkv.reshape(B, T, 3, H, K).permute(2, 0, 3, 1, 4)
        return torchs_attention(*options.values())(q, k, v).transpose(1, 2).reshape(B, T, H * K)

    with tiles(TILE_ROWS=rows, TILE_BYTES=size):
        check(F.self_attention, [qkv, H], options, reference, seed)


def biases(scores):
    """Shapes that broadcast to (B, H, T, S), with fewer axes too."""
    stretched = st.tuples(*[st.sampled_from([1, n]) for n in scores])
    return st.integers(0, 4).flatmap(lambda n: stretched.map(lambda of: of[n:]))


@given(st.data(), small, small, lengths, lengths, st.booleans(), st.booleans(), tile_rows, tile_bytes, seeds)
def test_attention_with_a_bias(check, tiles, data, B, H, T, S, causal, dropout, rows, size, seed):
    rng = np.random.default_rng([seed, 0])
    q, k, v = (rng.standard_normal((B, H, n, 2)) for n in (T, S, S))
    bias = rng.standard_normal(data.draw(biases((B, H, T, S))))
    mask = MASKS[data.draw(st.sampled_from(sorted(MASKS)))](rng, B, H, T, S)
    how = (mask, causal, 0.6, rng.random((B, H, T, S)) < 0.7 if dropout else None, 1 / 0.7)
    reference = torchs_attention(*how)
    with tiles(TILE_ROWS=rows, TILE_BYTES=size):
        check(F.attention, [q, k, v, *how, bias], None, lambda q, k, v, *rest: reference(q, k, v, rest[-1]), seed)


@given(st.data(), small, small, lengths, st.booleans(), st.booleans(), tile_rows, tile_bytes, seeds)
def test_self_attention_with_a_bias(check, tiles, data, B, H, T, causal, dropout, rows, size, seed):
    rng = np.random.default_rng([seed, 0])
    qkv, bias = rng.standard_normal((B, T, 3 * H * 2)), rng.standard_normal(data.draw(biases((B, H, T, T))))
    mask = MASKS[data.draw(st.sampled_from(sorted(MASKS)))](rng, B, H, T, T)
    how = (mask, causal, None, rng.random((B, H, T, T)) < 0.7 if dropout else None, 1 / 0.7)

    def reference(qkv, heads, *rest):
        q, k, v = qkv.reshape(B, T, 3, H, 2).permute(2, 0, 3, 1, 4)
        return torchs_attention(*how)(q, k, v, rest[-1]).transpose(1, 2).reshape(B, T, H * 2)

    with tiles(TILE_ROWS=rows, TILE_BYTES=size):
        check(F.self_attention, [qkv, H, *how, bias], None, reference, seed)


@pytest.mark.parametrize(("T", "S"), [(130, 130), (70, 150), (150, 70), (1, 200)])
def test_attention_at_the_real_tile_sizes(check, T, S):
    rng = np.random.default_rng(7)
    q, k, v = (rng.standard_normal((3, 13, *s)) for s in ((T, 8), (S, 8), (S, 8)))
    for mask in (None, rng.random((3, 1, 1, S)) < 0.7):
        check(F.attention, [q, k, v], {"mask": mask, "causal": True}, torchs_attention(mask, True, None, None, 1))


@pytest.mark.parametrize("on", [True, False], ids=["kernel", "twin"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_what_is_hidden_stays_hidden_at_any_score(on, dtype):
    """Visible scores of -3e4, hidden ones of +3e4: a finite penalty would let the hidden win."""
    q = np.full((1, 1, 2, 1), 1.0, dtype)
    k = np.array([-3e4, -3e4, 3e4], dtype).reshape(1, 1, 3, 1)
    v = np.array([1.0, 3, 1e9], dtype).reshape(1, 1, 3, 1)
    q, k, v = (asarray(a) for a in (q, k, v))
    with fast(on):
        y = F.attention(q, k, v, mask=np.array([True, True, False]), scale=1.0)
        np.testing.assert_array_equal(to_numpy(y), np.full((1, 1, 2, 1), 2, dtype))
        first = F.attention(q, k, v, causal=True, scale=1.0)[0, 0, 0]
        np.testing.assert_array_equal(to_numpy(first), [2])


@pytest.mark.parametrize("on", [True, False], ids=["kernel", "twin"])
def test_a_query_that_may_read_nothing_gives_zeros(on):
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal((2, 2, n, 3)) for n in (5, 4, 4)]
    mask = rng.random((2, 2, 5, 4)) < 0.7
    mask[:, :, 2] = False
    with fast(on), np.errstate(all="raise"):
        q, k, v = (Tensor(a, requires_grad=True) for a in arrays)
        for options, dead in (({"mask": mask}, 2), ({"causal": True}, 0), ({"mask": np.zeros(4, bool)}, slice(None))):
            y = F.attention(q, k, v, **options)
            gq, gk, gv = grad(y, [q, k, v], rng.standard_normal(y.shape))
            np.testing.assert_array_equal(y.numpy()[:, :, dead], 0)
            np.testing.assert_array_equal(gq.numpy()[:, :, dead], 0)
            assert all(np.isfinite(g.numpy()).all() for g in (y, gq, gk, gv))


@given(st.integers(2, 40), st.data(), tile_rows, seeds)
def test_the_future_does_not_change_a_bit_of_the_past(tiles, T, data, rows, seed):
    rng = np.random.default_rng(seed)
    qkv = rng.standard_normal((2, T, 24)).astype(np.float32)
    t = data.draw(st.integers(1, T - 1))
    other = qkv.copy()
    other[:, t:] = 1e3 * rng.standard_normal((2, T - t, 24))
    with tiles(TILE_ROWS=rows):
        a, b = (to_numpy(F.self_attention(asarray(x), 2, causal=True)) for x in (qkv, other))
    np.testing.assert_array_equal(a[:, :t], b[:, :t])
    assert not np.array_equal(a[:, t:], b[:, t:])


def test_a_future_key_may_hold_anything():
    """NaN or ∞ in a key that no row may read yet: earlier rows do not see it (a value must be finite: 0 · ∞ = NaN)."""
    rng = np.random.default_rng(0)
    q, k, v = (rng.standard_normal((1, 2, 9, 4)) for _ in range(3))
    y = to_numpy(F.attention(*map(asarray, (q, k, v)), causal=True))
    k[:, :, 6:] = [np.nan, np.inf, -np.inf, 0]
    again = to_numpy(F.attention(*map(asarray, (q, k, v)), causal=True))
    np.testing.assert_array_equal(again[:, :, :6], y[:, :, :6])


@given(st.integers(2, 9), st.data(), seeds)
def test_causal_means_the_end_aligned(T, data, seed):
    """The last n queries alone, against all keys, give the last n rows: what a KV cache relies on."""
    rng = np.random.default_rng(seed)
    q, k, v = (asarray(rng.standard_normal((2, 2, T, 3))) for _ in range(3))
    n = data.draw(st.integers(1, T))
    all_rows, last = (to_numpy(F.attention(x, k, v, causal=True)) for x in (q, q[:, :, -n:]))
    np.testing.assert_allclose(last, all_rows[:, :, -n:], rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("on", [True, False], ids=["kernel", "twin"])
def test_gradients_to_order_2(on):
    rng = np.random.default_rng(2)
    q, k, v = (rng.standard_normal((1, 2, n, 2)) for n in (3, 4, 4))
    mask = rng.random((3, 4)) < 0.7
    mask[1] = False
    keep = rng.random((1, 2, 3, 4)) < 0.8
    with fast(on):
        gradcheck(lambda q, k, v: F.attention(q, k, v, causal=True), q, k, v, order=2, seed=1)
        gradcheck(lambda q, k, v: F.attention(q, k, v, mask, False, 0.7, keep, 1.25), q, k, v, order=2, seed=1)
        qkv = rng.standard_normal((2, 3, 12))
        gradcheck(lambda x: F.self_attention(x, 2, causal=True), qkv, order=2, seed=1)
        bias = rng.standard_normal((2, 1, 4))
        gradcheck(lambda q, k, v, b: F.attention(q, k, v, mask, bias=b), q, k, v, bias, order=2, seed=1)
        gradcheck(lambda x, b: F.self_attention(x, 2, bias=b), qkv, bias[..., :3], order=2, seed=1)


def test_attention_to_the_same_tensor_adds_its_three_gradients():
    rng = np.random.default_rng(3)
    x = rng.standard_normal((2, 2, 5, 3))
    gradcheck(lambda x: F.attention(x, x, x, causal=True), x, every_entry=True)


@pytest.mark.parametrize("on", [True, False], ids=["kernel", "twin"])
def test_bad_arguments_get_one_sentence_that_names_them(on):
    q = np.zeros((2, 3, 4, 5))
    with fast(on):
        with pytest.raises(ShapeError, match=r"query \(2, 3, 4, 5\), key \(2, 3, 4, 6\)"):
            F.attention(q, np.zeros((2, 3, 4, 6)), q)
        with pytest.raises(ShapeError, match=r"value \(2, 1, 4, 5\) do not fit"):
            F.attention(q, q, q[:, :1])
        with pytest.raises(ShapeError, match="S at least 1"):
            F.attention(q, q[:, :, :0], q[:, :, :0])
        with pytest.raises(DTypeError, match=r"mask must be a boolean array \(True: may be read\), not int64"):
            F.attention(q, q, q, mask=np.ones((4, 4), np.int64))
        with pytest.raises(ShapeError, match=r"mask has shape \(2, 4\), which does not broadcast"):
            F.attention(q, q, q, mask=np.ones((2, 4), bool))
        with pytest.raises(ShapeError, match=r"keep has shape \(7, 2, 3, 4, 4\)"):
            F.attention(q, q, q, keep=np.ones((7, 2, 3, 4, 4), bool))
        with pytest.raises(ShapeError, match=r"attention: bias has shape \(2, 1, 4, 4\), which does not broadcast"):
            F.attention(q[:1], q[:1], q[:1], bias=np.zeros((2, 1, 4, 4)))
        with pytest.raises(DTypeError, match="attention: bias is of int64"):
            F.attention(q, q, q, bias=np.zeros((4, 4), np.int64))
        with pytest.raises(ShapeError, match=r"self_attention: bias has shape \(3, 4\), which does not broadcast"):
            F.self_attention(np.zeros((2, 4, 24)), 2, bias=np.zeros((3, 4)))
        with pytest.raises(DTypeError, match="self_attention: bias is of bool"):
            F.self_attention(np.zeros((2, 4, 24)), 2, bias=np.zeros((4, 4), bool))
        with pytest.raises(DTypeError, match="query is of int64"):
            F.attention(q.astype(np.int64), q, q)
        with pytest.raises(ConfigError, match="5 heads do not divide the width 8"):
            F.self_attention(np.zeros((2, 3, 24)), 5)
        with pytest.raises(ShapeError, match=r"qkv has shape \(2, 3, 25\), wanted \(B, T, 3D\)"):
            F.self_attention(np.zeros((2, 3, 25)), 5)
        with pytest.raises(DTypeError, match="qkv is of bool"):
            F.self_attention(np.zeros((2, 3, 24), bool), 2)


@pytest.mark.parametrize("on", [True, False], ids=["kernel", "twin"])
def test_one_query_heeds_mask_bias_and_dropout(on):
    """As in generation: one query, no gradient, nothing recorded."""
    rng = np.random.default_rng(0)
    q, k, v = (rng.standard_normal((2, 3, n, 4)) for n in (1, 6, 6))
    mask, keep = rng.random((2, 1, 1, 6)) < 0.6, rng.random((2, 3, 1, 6)) < 0.6
    e = np.exp(q @ k.swapaxes(2, 3) / 2)

    def attend(q, **options):
        return to_numpy(F.attention(*map(asarray, (q, k, v)), **options))

    with fast(on):
        np.testing.assert_allclose(attend(q), e / e.sum(-1, keepdims=True) @ v, rtol=1e-12)
        wanted = keep * 1.5 * e / e.sum(-1, keepdims=True) @ v
        np.testing.assert_allclose(attend(q, keep=keep, keep_scale=1.5), wanted, rtol=1e-12)
        wanted = e * mask / (e * mask).sum(-1, keepdims=True) @ v
        np.testing.assert_allclose(attend(q, mask=mask), wanted, rtol=1e-12)
        bias = rng.standard_normal((3, 1, 6))
        b = e * np.exp(bias)
        np.testing.assert_allclose(attend(q, bias=asarray(bias)), b / b.sum(-1, keepdims=True) @ v, rtol=1e-12)
        large = attend(1e4 * q)  # unshifted, exp would overflow
        best = (q @ k.swapaxes(2, 3)).argmax(-1)
        np.testing.assert_allclose(large, np.take_along_axis(v, best[..., None], 2), rtol=1e-12)


def test_queries_before_the_first_key_read_nothing_in_any_tile(tiles):
    """Four queries, one key: only the last reads it, although both tiles of two rows see one column."""
    q, k, v = (asarray(np.ones((1, 1, n, 1))) for n in (4, 1, 1))
    for rows in (1, 2, 3, 4):
        with tiles(TILE_ROWS=rows):
            np.testing.assert_array_equal(to_numpy(F.attention(q, k, v, causal=True)).ravel(), [0, 0, 0, 1])


@given(st.data(), st.sampled_from([20, 59, 61, 95, 300, 700]), st.booleans(), seeds)
def test_scores_of_any_size(data, size, causal, seed):
    """In float32, whose exp overflows beyond 88, from scores that need no shift to those that do, wherever they come
    from: a key, be it the first, which all rows read, or one of the middle; or the bias."""
    rng = np.random.default_rng(seed)
    T, K, at = 6, 3, data.draw(st.integers(0, 5))
    q, k, v = (rng.standard_normal((1, 1, T, K)) for _ in range(3))
    by_bias = data.draw(st.booleans())
    bias = np.zeros((T, T))
    if by_bias:
        bias[:, at] = size
    else:
        q, k[0, 0, at] = q / np.linalg.norm(q, axis=-1, keepdims=True), size * np.sqrt(K) * q[0, 0, -1]
    q, k, v, bias = (a.astype(np.float32) for a in (q, k, v, bias))
    s = q.astype(np.float64) @ k.swapaxes(2, 3) / np.sqrt(K) + bias
    s = np.where(np.tril(np.ones((T, T), bool)) | (not causal), s, -np.inf)
    e = np.exp(s - s.max(-1, keepdims=True))
    wanted = e / e.sum(-1, keepdims=True) @ v
    got = F.attention(*(Tensor(asarray(a), requires_grad=True) for a in (q, k, v)), causal=causal, bias=asarray(bias))
    np.testing.assert_allclose(got.numpy(), wanted, atol=1e-6 * max(size, 60), rtol=0)
