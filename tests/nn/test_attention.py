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
from minilm.nn import Block, GatedMLP, KVCache, MultiHeadAttention
from minilm.nn.attention import FIRST_ROOM, grouped_attention, merge_heads, split_heads
from minilm.nn.rotary import Rotary

pytestmark = pytest.mark.every_device


def rng(seed=0):
    return np.random.default_rng(seed)


def randomized(module, seed=5, scale=0.5):
    module.astype(np.float64).eval()
    for i, p in enumerate(module.parameters()):
        p.assign(scale * rng([seed, i]).standard_normal(p.shape))
    return module


def by_loops(layer, x, visible, scale=None, turn=lambda x, t: x):
    """Attention of each batch row, head and query by itself, straight from the formula. visible: (B, T, S)."""
    B, T, _ = x.shape
    H, Hkv = layer.heads, layer.kv_heads
    out, bias = layer.out.weight.numpy(), 0 if layer.out.bias is None else layer.out.bias.numpy()
    K = len(out) // H
    qkv = layer.qkv(Tensor(x)).numpy()
    y = np.zeros((B, T, H * K))
    for n in range(B):
        for h in range(H):
            own = h // (H // Hkv)  # the head of keys and values that it reads
            q, k, v = (qkv[n, :, i * K : (i + 1) * K] for i in (h, H + own, H + Hkv + own))
            for t in range(T):
                seen = [s for s in range(T) if visible[n, t, s]]
                scores = [turn(q[t], t) @ turn(k[s], s) for s in seen]
                weights = [math.exp(score * (scale or 1 / math.sqrt(K))) for score in scores]
                for w, s in zip(weights, seen, strict=True):
                    y[n, t, h * K : (h + 1) * K] += w / sum(weights) * v[s]
    return y @ out + bias


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


def turned_by_hand(x, t):
    """LLaMA's rotation of one vector at position t, θ = 100."""
    angles = t * 100.0 ** (-2 * np.arange(len(x) // 2) / len(x))
    a, b = np.split(x, 2)
    return np.concatenate([a * np.cos(angles) - b * np.sin(angles), b * np.cos(angles) + a * np.sin(angles)])


SWITCHES = [
    {"kv_heads": 2},
    {"kv_heads": 1, "bias": False},
    {"kv_heads": 6, "head_width": 6, "scale": 0.3},
    {"kv_heads": 3, "head_width": 4, "bias": False, "scale": 1.0},
]


@pytest.mark.parametrize("kernels", [True, False])
@pytest.mark.parametrize("rotary", [True, False])
@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("T", [1, 5])
@pytest.mark.parametrize("switches", SWITCHES, ids=str)
def test_groups_of_queries_equal_four_loops(switches, T, causal, rotary, kernels):
    layer = randomized(MultiHeadAttention(12, 6, rng(), causal=causal, **switches))
    K = switches.get("head_width", 2)
    assert layer.qkv.weight.shape == (12, (6 + 2 * switches["kv_heads"]) * K)
    assert (layer.qkv.bias is None) == (layer.out.bias is None) == (not switches.get("bias", True))
    x, real = rng(1).standard_normal((2, T, 12)), np.ones((2, T), bool)
    real[0, : T // 2] = False
    visible = np.broadcast_to(real[:, None, :], (2, T, T)) & (np.tri(T, dtype=bool) | (not causal))
    turns = Rotary(K, 100.0)(np.arange(T), np.float64) if rotary else None
    with fast(kernels):
        y = layer(Tensor(x), asarray(real[:, None, None, :]), rotary=turns).numpy()
    turn = turned_by_hand if rotary else lambda x, t: x
    np.testing.assert_allclose(y, by_loops(layer, x, visible, layer.scale, turn), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("kernels", [True, False])
@pytest.mark.parametrize("T", [1, 4])
def test_groups_are_heads_whose_keys_and_values_are_repeated(T, kernels):
    """The same weights in a layer without groups: values, and gradients, those of what is repeated added up."""
    H, Hkv, K = 6, 2, 4
    shared, plain = (randomized(MultiHeadAttention(12, H, rng(), head_width=K, kv_heads=n)) for n in (Hkv, H))
    columns = np.arange((H + 2 * Hkv) * K).reshape(-1, K)
    heads = [*range(H), *np.repeat(np.arange(H, H + Hkv), 3), *np.repeat(np.arange(H + Hkv, H + 2 * Hkv), 3)]
    copied = columns[heads].reshape(-1)
    state = shared.state_dict()
    state |= {name: state[name][..., copied] for name in ("qkv.weight", "qkv.bias")}
    plain.load_state_dict(state)
    x, g = rng(1).standard_normal((2, 3, T, 12))
    with fast(kernels):
        y, wanted = shared(Tensor(x)), plain(Tensor(x))
        np.testing.assert_allclose(y.numpy(), wanted.numpy(), rtol=1e-11, atol=1e-13)
        y.backward(g)
        wanted.backward(g)
    for name in ("weight", "bias"):
        total = np.zeros(getattr(shared.qkv, name).shape)
        np.add.at(total, (..., copied), getattr(plain.qkv, name).grad.numpy())
        np.testing.assert_allclose(getattr(shared.qkv, name).grad.numpy(), total, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("T", [1, 5])
@pytest.mark.parametrize("kv_heads", [1, 2, 6])
def test_dropout_falls_on_each_query_heads_own_weights(kv_heads, T):
    layer = randomized(MultiHeadAttention(12, 6, rng(), dropout=0.5, kv_heads=kv_heads)).train()
    x = asarray(rng(1).standard_normal((2, T, 12)))
    y = layer.set_generator(rng(7))(x).numpy()
    keep, scale = layer.set_generator(rng(7)).dropout.mask(2, 6, T, T)
    query, key, val = split_heads(layer.qkv(x), 6, kv_heads)
    key, val = (F.concatenate([a[:, h : h + 1] for h in np.repeat(np.arange(kv_heads), 6 // kv_heads).tolist()], 1)
                for a in (key, val))  # fmt: skip
    wanted = layer.out(merge_heads(F.attention(query, key, val, causal=True, keep=keep, keep_scale=scale)))
    np.testing.assert_allclose(y, wanted.numpy(), rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("kernels", [True, False])
@pytest.mark.parametrize("masked", [True, False])
@given(pieces=st.lists(st.integers(1, 3), min_size=1, max_size=4), kv_heads=st.sampled_from([1, 2, 6]))
def test_groups_with_a_cache_in_any_pieces_equal_the_whole(kernels, masked, pieces, kv_heads):
    layer = randomized(MultiHeadAttention(12, 6, rng(), kv_heads=kv_heads, head_width=4, bias=False))
    T = sum(pieces)
    x, rotary = rng(2).standard_normal((2, T, 12)), Rotary(4, 100.0)
    mask = asarray(rng(3).random((2, 1, 1, T)) < 0.7) if masked else None
    cache = KVCache(1, 2, kv_heads, T, 4, np.float64)
    found, start = [], 0
    with no_grad(), fast(kernels):
        for n in pieces:
            turns, end = rotary(np.arange(start, start + n), np.float64), start + n
            part = layer(Tensor(x[:, start:end]), mask[..., :end] if masked else None, cache.layer(0), turns)
            found.append(part.numpy())
            cache.advance(n)
            start = end
        whole = layer(Tensor(x), mask, rotary=rotary(np.arange(T), np.float64)).numpy()
    np.testing.assert_allclose(np.concatenate(found, 1), whole, rtol=1e-9, atol=1e-12)


@pytest.mark.numpy_only("np.shares_memory looks at NumPy's memory")
def test_one_head_of_keys_is_never_copied(monkeypatch):
    """Nor is any where one query reads them all."""
    seen = []
    monkeypatch.setattr(F, "attention", lambda query, key, *rest: seen.append((query.shape, key)) or query)
    query, key = rng().standard_normal((2, 6, 5, 4)), rng().standard_normal((2, 1, 9, 4))
    grouped_attention(query, key, key)
    grouped_attention(query[:, :, :1], key, key)
    groups = rng().standard_normal((2, 3, 9, 4))
    grouped_attention(query[:, :, :1], groups, groups)
    (whole, a), (_, b), (grouped, c) = seen
    assert whole == (2, 6, 5, 4) and a.shape == (2, 6, 9, 4) and np.shares_memory(a, key)
    assert b is key and c is groups and grouped == (2, 3, 2, 4)


@pytest.mark.parametrize("kv_heads", [4, 12, -1])
def test_kv_heads_must_divide_heads(kv_heads):
    with pytest.raises(ConfigError, match=f"kv_heads is {kv_heads}, heads is 6: kv_heads must divide heads"):
        MultiHeadAttention(12, 6, rng(), kv_heads=kv_heads)


def test_weights_of_groups_and_rotations_are_those_that_attention_uses():
    layer = randomized(MultiHeadAttention(12, 6, rng(), kv_heads=2, scale=0.4))
    x, turns = Tensor(rng(1).standard_normal((2, 5, 12))), Rotary(2, 100.0)(np.arange(5), np.float64)
    weights = layer.weights(x, rotary=turns).numpy()  # (B, H, T, S)
    assert weights.shape == (2, 6, 5, 5) and (np.triu(weights, 1) == 0).all()
    _, _, val = split_heads(layer.qkv(x), 6, 2)
    read = merge_heads(weights @ np.repeat(val.numpy(), 3, axis=1))
    np.testing.assert_allclose(
        layer(x, rotary=turns).numpy(), read @ layer.out.weight.numpy() + layer.out.bias.numpy(), rtol=1e-10
    )


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


@pytest.mark.parametrize("pieces", [(300, 1), (1, 255, 1, 255, 1, 187), (700,), (256, 300)])
def test_a_cache_takes_memory_as_it_fills_and_keeps_what_it_holds(pieces):
    cache, held = KVCache(2, 1, 2, 700, 3, np.float64), []
    assert cache.keys.shape == cache.values.shape == (2, 1, 2, FIRST_ROOM, 3)
    x, start = rng(1).standard_normal((2, 1, 2, 700, 3)), 0
    for n in pieces:
        piece = asarray(x[:, :, :, start : start + n])
        held = [cache.layer(i).append(piece[i], -piece[i]) for i in (0, 1)]
        cache.advance(n)
        start += n
    for i, (keys, values) in enumerate(held):
        np.testing.assert_array_equal(to_numpy(keys), x[i, :, :, :start])
        np.testing.assert_array_equal(to_numpy(values), -x[i, :, :, :start])
    assert start <= cache.keys.shape[3] <= min(700, 2 * start) and cache.capacity == 700


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


@pytest.mark.parametrize("recomputed", [True, False])
def test_a_llama_block_is_its_formula_and_hands_the_rotations_on(recomputed):
    switches = {"kv_heads": 2, "head_width": 4, "bias": False, "scale": 0.7}
    block = Block(12, 6, rng(), 20, norm_kind="rms", activation="silu", gated=True, mlp_bias=False, **switches)
    randomized(block).set_recompute(recomputed)
    assert isinstance(block.mlp, GatedMLP) and block.mlp.gate.weight.shape == (12, 20) and block.mlp.gate.bias is None
    assert (block.attention.kv_heads, block.attention.scale, block.attention.qkv.bias) == (2, 0.7, None)
    x, turns = Tensor(rng(1).standard_normal((2, 5, 12))), Rotary(4, 100.0)(np.arange(5), np.float64)
    h = x + block.attention(block.norm1(x), rotary=turns)
    wanted = (h + block.mlp(block.norm2(h))).numpy()
    np.testing.assert_allclose(block(x, rotary=turns).numpy(), wanted, rtol=1e-12)
    assert abs(block(x).numpy() - wanted).max() > 1e-3
    assert Block(12, 3, rng(), mlp_bias=False).mlp.up.bias is None


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
    changed[0, 4, 0] += 1  # all twelve alike would not outlive the norm
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
