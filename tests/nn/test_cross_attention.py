"""Cross-attention against loops; biases of positions in all kinds of attention; the block that reads a memory."""

import math

import numpy as np
import pytest

from minilm.autograd import Tensor, fast, grad, no_grad
from minilm.autograd.gradcheck import gradcheck
from minilm.backend import asarray, to_numpy
from minilm.errors import ConfigError
from minilm.nn import MLP, Block, CrossAttention, GatedMLP, KVCache, MultiHeadAttention

pytestmark = pytest.mark.every_device
KERNELS = pytest.mark.parametrize("kernels", [True, False])


def rng(seed=0):
    return np.random.default_rng(seed)


def randomized(module, seed=5, scale=0.5):
    module.astype(np.float64).eval()
    for i, p in enumerate(module.parameters()):
        p.assign(scale * rng([seed, i]).standard_normal(p.shape))
    return module


def linear(layer, x):
    y = x @ layer.weight.numpy()
    return y if layer.bias is None else y + layer.bias.numpy()


def by_loops(layer, x, memory, visible):
    """Attention of each row, head and query by itself, straight from the formula. visible: (B, T, S)."""
    (B, T, _), H, G = x.shape, layer.heads, layer.heads // layer.kv_heads
    q, kv = linear(layer.query, x), linear(layer.key_value, memory)
    K = q.shape[-1] // H
    scale = 1 / math.sqrt(K) if layer.scale is None else layer.scale
    y = np.zeros(q.shape)
    for n in range(B):
        for h in range(H):
            k, v = (kv[n][:, (part * layer.kv_heads + h // G) * K :][:, :K] for part in (0, 1))
            for t in range(T):
                seen = [s for s in range(memory.shape[1]) if visible[n, t, s]]
                weights = [math.exp(scale * q[n, t, h * K : (h + 1) * K] @ k[s]) for s in seen]
                for w, s in zip(weights, seen, strict=True):
                    y[n, t, h * K : (h + 1) * K] += w / sum(weights) * v[s]
    return linear(layer.out, y)


SWITCHES = [{}, {"head_width": 5, "bias": False, "scale": 1.0}, {"kv_heads": 2}, {"kv_heads": 1, "head_width": 3}]


@KERNELS
@pytest.mark.parametrize("T", [1, 6])
@pytest.mark.parametrize("switches", SWITCHES, ids=str)
def test_cross_attention_equals_loops(switches, T, kernels):
    layer = randomized(CrossAttention(12, 4, rng(), **switches))
    x, memory = rng(1).standard_normal((2, T, 12)), rng(2).standard_normal((2, 7, 12))
    real = np.arange(7) < np.array([[7], [3]])
    visible = np.broadcast_to(real[:, None], (2, T, 7))
    with fast(kernels):
        y = layer(asarray(x), layer.read(asarray(memory)), asarray(real)[:, None, None])
        np.testing.assert_allclose(to_numpy(y.data), by_loops(layer, x, memory, visible), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("switches", SWITCHES, ids=str)
def test_gradients_through_cross_attention(switches):
    layer = randomized(CrossAttention(12, 4, rng(), **switches))
    x, memory = rng(1).standard_normal((2, 3, 12)), rng(2).standard_normal((2, 4, 12))
    gradcheck(lambda x, m: layer(x, layer.read(m)), x, memory, order=2)


def test_a_memory_in_another_order_is_the_same_memory():
    layer = randomized(CrossAttention(12, 4, rng()))
    x, memory, order = (
        asarray(rng(1).standard_normal((1, 3, 12))),
        rng(2).standard_normal((1, 6, 12)),
        rng(3).permutation(6),
    )
    y, z = (layer(x, layer.read(asarray(m))).numpy() for m in (memory, memory[:, order]))
    np.testing.assert_allclose(y, z, rtol=1e-11)


def test_cross_attention_drops_weights():
    layer = randomized(CrossAttention(12, 4, rng(), dropout=0.5)).train()
    x, memory = asarray(rng(1).standard_normal((1, 3, 12))), asarray(rng(2).standard_normal((1, 6, 12)))
    layer.set_generator(rng(3))
    y, z = (layer(x, layer.read(memory)).numpy() for _ in range(2))
    assert (y != z).any()
    layer.eval()
    np.testing.assert_array_equal(layer(x, layer.read(memory)).numpy(), layer(x, layer.read(memory)).numpy())


def test_heads_that_do_not_divide():
    with pytest.raises(ConfigError, match="heads is 5, width is 12"):
        CrossAttention(12, 5, rng())
    with pytest.raises(ConfigError, match="kv_heads is 3, heads is 4"):
        CrossAttention(12, 4, rng(), kv_heads=3)


# --------------------------------------------------------------------------------------------- biases of the scores


@KERNELS
@pytest.mark.parametrize("switches", SWITCHES, ids=str)
def test_a_position_bias_is_what_a_mask_is_in_the_limit(switches, kernels):
    """-1e4 hides, 0 changes nothing; and what lies between does something."""
    layer = randomized(MultiHeadAttention(12, 4, rng(), causal=False, **switches))
    x, seen = asarray(rng(1).standard_normal((2, 5, 12))), rng(2).random((4, 5, 5)) < 0.7
    seen |= np.eye(5, dtype=bool)
    with fast(kernels):
        masked = layer(x, asarray(seen)).numpy()
        biased = layer(x, position_bias=asarray(np.where(seen, 0.0, -1e4))).numpy()
        np.testing.assert_allclose(biased, masked, rtol=1e-10, atol=1e-12)
        between = layer(x, position_bias=asarray(np.where(seen, 0.0, -1.0))).numpy()
        assert abs(between - masked).max() > 1e-3
        weights = to_numpy(layer.weights(x, position_bias=asarray(np.where(seen, 0.0, -1e4))).data)
        assert (weights[:, ~seen] < 1e-9).all()


@KERNELS
@pytest.mark.parametrize("switches", SWITCHES, ids=str)
def test_a_position_bias_with_a_cache(switches, kernels):
    layer = randomized(MultiHeadAttention(12, 4, rng(), **switches))
    x, bias = asarray(rng(1).standard_normal((2, 6, 12))), asarray(rng(2).standard_normal((4, 6, 6)))
    with no_grad(), fast(kernels):
        whole = layer(x, position_bias=bias).numpy()
        for past in range(6):
            cache = KVCache(1, 2, layer.kv_heads, 6, switches.get("head_width", 3), np.float64)
            layer(x[:, :past], cache=cache.layer(0), position_bias=bias[:, :past, :past]) if past else None
            cache.advance(past)
            late = layer(x[:, past:], cache=cache.layer(0), position_bias=bias[:, past:])
            np.testing.assert_allclose(late.numpy(), whole[:, past:], rtol=1e-10, atol=1e-12)


# ---------------------------------------------------------------------------------------------------------- the block


@pytest.mark.parametrize("gated", [False, True])
@pytest.mark.parametrize("norm", ["pre", "post"])
def test_a_block_that_reads_a_memory_is_its_formula(norm, gated):
    block = randomized(Block(12, 4, rng(), 10, norm, "rms", cross=True, gated=gated, mlp_bias=False, scale=1.0))
    x, memory = asarray(rng(1).standard_normal((2, 5, 12))), asarray(rng(2).standard_normal((2, 7, 12)))
    bias, real = asarray(rng(3).standard_normal((4, 5, 5))), asarray(np.arange(7) < np.array([[7], [3]]))[:, None, None]
    read = block.cross.read(memory)
    got = block(x, position_bias=bias, memory=read, memory_mask=real).numpy()
    own = lambda x: block.attention(x, position_bias=bias)  # noqa: E731
    crossed = lambda x: block.cross(x, read, real)  # noqa: E731
    y = x
    for part, n in ((own, block.norm1), (crossed, block.cross_norm), (block.mlp, block.norm2)):
        y = y + part(n(y)) if norm == "pre" else n(y + part(y))
    np.testing.assert_allclose(got, y.numpy(), rtol=1e-11)
    assert block.cross.scale == 1.0


def test_a_recomputed_block_sends_gradients_to_memory_and_bias():
    block = randomized(Block(12, 4, rng(), 10, cross=True, dropout=0.2, mlp_dropout=0.3)).train()
    x, memory, bias = (Tensor(rng(i).standard_normal(s), requires_grad=True)
                       for i, s in enumerate([(2, 5, 12), (2, 7, 12), (4, 5, 5)]))  # fmt: skip
    u, found = asarray(rng(4).standard_normal((2, 5, 12))), []
    for again in (False, True):
        block.set_recompute(again).set_generator(rng(5))
        y = block(x, position_bias=bias, memory=block.cross.read(memory))
        found.append([g.numpy() for g in grad(y, [x, memory, bias, *block.parameters()], u)])
    for a, b in zip(*found, strict=True):
        np.testing.assert_array_equal(a, b)
        assert abs(a).max() > 1e-6


@pytest.mark.parametrize("kind", [MLP, GatedMLP])
@pytest.mark.parametrize("activation", ["relu", "silu"])
def test_dropout_inside_an_mlp_falls_on_what_the_last_layer_reads(kind, activation):
    layer = randomized(kind(6, 8, rng(), activation, dropout=0.5)).train()
    layer.down.weight.assign(np.eye(8)[:, :6])
    if layer.down.bias is not None:
        layer.down.bias.assign(np.zeros(6))
    x = asarray(rng(1).standard_normal((200, 6)))
    kept = layer.eval()(x).numpy()
    dropped = layer.train().set_generator(rng(2))(x).numpy()
    zero = dropped == 0
    assert 0.4 < zero[kept != 0].mean() < 0.6
    np.testing.assert_allclose(dropped[~zero], 2 * kept[~zero], rtol=1e-12)
