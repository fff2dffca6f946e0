"""Multi-head attention against four loops, its masks, its weights, its cache; the block against its formulas."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minilm import functional as F
from minilm.autograd import Tensor, fast, no_grad
from minilm.backend import asarray, to_numpy, xp
from minilm.errors import ConfigError, GraphError, ShapeError
from minilm.nn import Block, KVCache, MultiHeadAttention
from minilm.nn.attention import merge_heads, split_heads

pytestmark = pytest.mark.every_device


def rng(seed=0):
    return np.random.default_rng(seed)


def randomized(module, seed=5, scale=0.5):
    module.astype(np.float64).eval()
    for i, p in enumerate(module.parameters()):
        p.assign(scale * rng([seed, i]).standard_normal(p.shape))
    return module


def by_loops(layer, x, visible):
    """Attention of each batch row, head and query by itself, straight from the formula. visible: (B, T, S)."""
    B, T, D = x.shape
    H = layer.heads
    K = D // H
    W, b = layer.qkv.weight.numpy(), layer.qkv.bias.numpy()
    y = np.zeros((B, T, D))
    for n in range(B):
        for h in range(H):
            q, k, v = (
                x[n] @ W[:, i * D + h * K : i * D + (h + 1) * K] + b[i * D + h * K : i * D + (h + 1) * K]
                for i in range(3)
            )
            for t in range(T):
                seen = [s for s in range(T) if visible[n, t, s]]
                weights = [math.exp(q[t] @ k[s] / math.sqrt(K)) for s in seen]
                for w, s in zip(weights, seen, strict=True):
                    y[n, t, h * K : (h + 1) * K] += w / sum(weights) * v[s]
    return y @ layer.out.weight.numpy() + layer.out.bias.numpy()


@pytest.mark.parametrize("kernels", [True, False])
@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("padded", [True, False])
def test_equals_four_loops(causal, padded, kernels):
    layer = randomized(MultiHeadAttention(12, 3, rng(), causal=causal))
    x = rng(1).standard_normal((2, 7, 12))
    real = np.ones((2, 7), bool)
    if padded:
        real[0, :3] = real[1, 5:] = False
    visible = np.broadcast_to(real[:, None, :], (2, 7, 7)) & (np.tri(7, dtype=bool) | (not causal))
    with fast(kernels):
        y = layer(Tensor(x), real[:, None, None, :] if padded else None).numpy()
    np.testing.assert_allclose(y, by_loops(layer, x, visible), rtol=1e-10, atol=1e-12)


def test_weights_are_those_that_attention_uses():
    layer = randomized(MultiHeadAttention(12, 3, rng()))
    x = rng(1).standard_normal((2, 7, 12))
    weights = layer.weights(Tensor(x)).numpy()  # (B, H, T, S)
    np.testing.assert_allclose(weights.sum(-1), 1, rtol=1e-12)
    assert (np.triu(weights, 1) == 0).all() and (weights[..., np.tri(7, dtype=bool)] > 0).all()
    _, _, value = split_heads(layer.qkv(Tensor(x)), 3)
    expected = merge_heads(weights @ value.numpy()) @ layer.out.weight.numpy() + layer.out.bias.numpy()
    np.testing.assert_allclose(layer(Tensor(x)).numpy(), expected, rtol=1e-10)


@given(st.integers(1, 3), st.integers(1, 5), st.integers(1, 3), st.integers(1, 4))
def test_merge_undoes_split(B, T, H, K):
    qkv = rng().standard_normal((B, T, 3 * H * K))
    parts = split_heads(asarray(qkv), H)
    assert all(part.shape == (B, H, T, K) for part in parts)
    np.testing.assert_array_equal(np.concatenate([to_numpy(merge_heads(part)) for part in parts], -1), qkv)


@pytest.mark.parametrize("heads", [5, 0, -3])
def test_heads_must_divide_width(heads):
    with pytest.raises(ConfigError, match=f"heads is {heads}, width is 12: heads must divide width"):
        MultiHeadAttention(12, heads, rng())


def test_dropout_falls_on_the_weights():
    """With values that are all equal, a row's output is value · (Σ kept weights) / (1 − p), so it varies."""
    layer = randomized(MultiHeadAttention(4, 1, rng(), dropout=0.5)).train()
    layer.qkv.weight.assign(np.zeros((4, 12)))
    layer.qkv.bias.assign(np.r_[np.zeros(8), np.ones(4)])
    layer.out.weight.assign(np.eye(4))
    layer.out.bias.assign(np.zeros(4))
    layer.set_generator(rng())
    zeros = Tensor(np.zeros((1, 4, 4)))
    y = layer(zeros).numpy()[0, :, 0]
    for t in range(4):  # weights are 1/(t+1), each kept one doubled
        assert (y[t] * (t + 1) / 2) == pytest.approx(round(y[t] * (t + 1) / 2))
    many = np.mean([layer(zeros).numpy()[0, :, 0] for _ in range(500)], axis=0)
    np.testing.assert_allclose(many, 1, atol=0.15)
    np.testing.assert_allclose(layer.eval()(zeros).numpy(), 1)


# ------------------------------------------------------------------------------------------------------------ cache


@given(st.lists(st.integers(1, 4), min_size=1, max_size=5), st.integers(1, 3))
def test_cache_in_any_pieces_equals_the_whole(pieces, B):
    layer = randomized(MultiHeadAttention(12, 3, rng()))
    T = sum(pieces)
    x = rng(2).standard_normal((B, T, 12))
    cache = KVCache(1, B, 3, T, 4, np.float64)
    found, start = [], 0
    with no_grad():
        for n in pieces:
            found.append(layer(Tensor(x[:, start : start + n]), cache=cache.layer(0)).numpy())
            cache.advance(n)
            start += n
        np.testing.assert_allclose(np.concatenate(found, 1), layer(Tensor(x)).numpy(), rtol=1e-10, atol=1e-13)
    assert cache.length == T


def test_cache_that_is_full_or_of_another_batch_refuses_and_stays_as_it_was():
    layer = randomized(MultiHeadAttention(12, 3, rng()))
    cache = KVCache(1, 2, 3, 4, 4, np.float64)
    with no_grad():
        layer(Tensor(np.ones((2, 3, 12))), cache=cache.layer(0))
        cache.advance(3)
        held = to_numpy(cache.keys).copy()
        for shape in ((2, 2, 12), (1, 1, 12)):
            with pytest.raises(ShapeError, match="holds 3"):
                layer(Tensor(np.ones(shape)), cache=cache.layer(0))
    assert cache.length == 3
    np.testing.assert_array_equal(to_numpy(cache.keys), held)
    cache.clear()
    assert cache.length == 0


@pytest.mark.parametrize("rows", [[2, 0, 0], [1, 2, 0], [0, 1, 2]])
def test_a_reordered_cache_is_that_of_the_rows_in_their_new_order(rows):
    layer = randomized(MultiHeadAttention(12, 3, rng())).astype(np.float64)
    x, new = rng(1).standard_normal((3, 4, 12)), rng(2).standard_normal((3, 1, 12))
    caches = KVCache(1, 3, 3, 5, 4, np.float64), KVCache(1, 3, 3, 5, 4, np.float64)
    with no_grad():
        for cache, past in zip(caches, (x, x[rows]), strict=True):
            layer(Tensor(past), cache=cache.layer(0))
            cache.advance(4)
        caches[0].reorder(np.array(rows))
        found, wanted = (layer(Tensor(new), cache=cache.layer(0)).numpy() for cache in caches)
    assert caches[0].length == 4
    np.testing.assert_array_equal(found, wanted)


def test_cache_refuses_to_be_differentiated():
    layer = MultiHeadAttention(12, 3, rng())
    with pytest.raises(GraphError, match="no_grad"):
        layer(Tensor(np.ones((1, 2, 12), np.float32)), cache=KVCache(1, 1, 3, 4, 4).layer(0))


# ------------------------------------------------------------------------------------------------------------ block


@pytest.mark.parametrize("norm_kind", ["layer", "rms"])
@pytest.mark.parametrize("norm", ["pre", "post"])
def test_block_is_its_formula(norm, norm_kind):
    block = randomized(Block(12, 3, rng(), norm=norm, norm_kind=norm_kind))
    x = rng(1).standard_normal((2, 5, 12))
    A, M = (lambda z: block.attention(Tensor(z)).numpy()), (lambda z: block.mlp(Tensor(z)).numpy())
    N1, N2 = (lambda z: block.norm1(Tensor(z)).numpy()), (lambda z: block.norm2(Tensor(z)).numpy())
    if norm == "pre":
        h = x + A(N1(x))
        expected = h + M(N2(h))
    else:
        h = N1(x + A(x))
        expected = N2(h + M(h))
    np.testing.assert_allclose(block(Tensor(x)).numpy(), expected, rtol=1e-12)


def test_a_block_that_adds_nothing_is_the_identity():
    block = randomized(Block(12, 3, rng()))
    for projection in (block.attention.out, block.mlp.down):
        for p in projection.parameters():
            p.assign(np.zeros(p.shape))
    x = rng(1).standard_normal((2, 5, 12))
    np.testing.assert_array_equal(block(Tensor(x)).numpy(), x)


def test_block_without_causality_sees_both_ways():
    x = rng(1).standard_normal((1, 5, 12))
    changed = x.copy()
    changed[0, 4] += 1
    for causal in (True, False):
        block = randomized(Block(12, 3, rng(), causal=causal))
        same = (block(Tensor(x)).numpy()[0, :4] == block(Tensor(changed)).numpy()[0, :4]).all(-1)
        assert same.all() if causal else not same.any()


def test_residual_dropout_falls_on_both_branches():
    block = randomized(Block(12, 3, rng(), dropout=0.5)).train()
    block.attention.dropout.eval()
    x = rng(1).standard_normal((1, 50, 12))
    h = block.norm1(Tensor(x))
    attention = block.attention(h).numpy()
    block.set_generator(rng(3))
    with_mlp = block(Tensor(x)).numpy()
    for p in block.mlp.down.parameters():
        p.assign(np.zeros(p.shape))
    block.set_generator(rng(3))
    added = block(Tensor(x)).numpy() - x
    kept = np.isclose(added, 2 * attention)
    assert 0.4 < kept.mean() < 0.6 and (kept | (added == 0)).all()
    changed = ~np.isclose(with_mlp - x, added)
    assert 0.4 < changed.mean() < 0.6


@pytest.mark.parametrize(("name", "got"), [("norm", "middle"), ("norm_kind", "batch")])
def test_unknown_switch_lists_the_choices(name, got):
    with pytest.raises(ConfigError, match=f"{name} is '{got}'; it must be one of '"):
        Block(12, 3, rng(), **{name: got})


# ---------------------------------------------------------------------------------------------------------- defaults


def test_what_a_block_is_made_of_when_nothing_is_said():
    block = Block(12, 3, rng())
    assert block.mlp.up.weight.shape == (12, 48) and block.mlp.down.weight.shape == (48, 12)
    assert Block(12, 3, rng(), mlp_width=7).mlp.up.weight.shape == (12, 7)
    assert block.norm_first and block.attention.causal and block.dropout.p == block.attention.dropout.p == 0
    assert block.norm1.epsilon == block.norm2.epsilon == 1e-5 and hasattr(block.norm1, "bias")
    x = asarray(rng(1).standard_normal((1, 4, 12)).astype(np.float32))
    np.testing.assert_array_equal(block(x).numpy(), Block(12, 3, rng(), activation="gelu_tanh")(x).numpy())


def test_how_a_blocks_weights_begin():
    block = Block(60, 3, rng(), std=0.1, residual_std=0.01)
    for layer, std in ((block.attention.qkv, 0.1), (block.attention.out, 0.01), (block.mlp.up, 0.1),
                       (block.mlp.down, 0.01)):  # fmt: skip
        assert abs(layer.weight.numpy().std() / std - 1) < 0.05
    plain = Block(60, 3, rng())
    for layer in (plain.attention.qkv, plain.attention.out, plain.mlp.up, plain.mlp.down):
        assert abs(layer.weight.numpy().std() / 0.02 - 1) < 0.05
    alone = MultiHeadAttention(60, 3, rng())
    assert alone.causal and alone.dropout.p == 0
    for layer in (alone.qkv, alone.out):
        assert abs(layer.weight.numpy().std() / 0.02 - 1) < 0.05


def test_dropout_with_a_cache_falls_on_the_held_positions_too():
    layer = randomized(MultiHeadAttention(12, 3, rng(), dropout=0.5)).train()
    x, held = asarray(rng(1).standard_normal((2, 5, 12))), 3
    cache = KVCache(1, 2, 3, 5, 4, np.float64)
    with no_grad():
        query, key, value = split_heads(layer.qkv(x), 3)
        cache.layer(0).append(key[:, :, :held], value[:, :, :held])
        cache.advance(held)
        y = layer.set_generator(rng(7))(x[:, held:], cache=cache.layer(0)).numpy()
        keep, scale = layer.set_generator(rng(7)).dropout.mask(2, 3, 2, 5)
        expected = F.attention(query[:, :, held:], key, value, causal=True, keep=keep, keep_scale=scale)
        np.testing.assert_allclose(y, layer.out(merge_heads(expected)).numpy(), rtol=1e-12)


def test_a_cache_takes_exactly_its_capacity_and_keeps_layers_apart():
    cache = KVCache(2, 1, 1, 4, 2, np.float64)
    assert (cache.length, cache.capacity, cache.batch) == (0, 4, 1) and not to_numpy(cache.keys).any()
    k, v = asarray(rng(1).standard_normal((2, 1, 1, 4, 2)))
    for index, factor in ((0, 1.0), (1, 2.0)):
        keys, values = cache.layer(index).append(factor * k, -factor * v)
        np.testing.assert_array_equal(to_numpy(keys), to_numpy(factor * k))
        np.testing.assert_array_equal(to_numpy(values), to_numpy(-factor * v))
    k0, v0 = to_numpy(k)[0, 0], to_numpy(v)[0, 0]
    np.testing.assert_array_equal(to_numpy(cache.keys)[:, 0, 0], [k0, 2 * k0])
    np.testing.assert_array_equal(to_numpy(cache.values)[:, 0, 0], [-v0, -2 * v0])
    cache.advance(3)
    cache.advance(1)
    assert cache.length == 4
    with pytest.raises(ShapeError, match="holds 4"):
        cache.layer(0).append(k[:, :, :1], v[:, :, :1])
    cache.clear()
    for wrong in (k[:, :, :, :1], xp.concatenate([k, k], 1), xp.concatenate([k, k])):
        with pytest.raises(ShapeError, match="do not fit"):
            cache.layer(0).append(wrong, wrong)
    assert KVCache(1, 1, 1, 1, 1).keys.dtype == np.float32
