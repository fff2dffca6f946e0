"""Softmax, activations, norms, linear, embedding, dropout: each kernel against its plain twin and PyTorch."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as theirs
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes

import minilm.functional as F
from minilm.autograd import Tensor, fast, grad
from minilm.autograd.gradcheck import gradcheck
from minilm.backend import asarray, to_numpy
from minilm.errors import ConfigError, DataError, DTypeError, ShapeError

pytestmark = pytest.mark.every_device

seeds = st.integers(0, 2**32 - 1)
chunks = st.sampled_from([1, 2, 5, 7, 1 << 14])
shapes = array_shapes(min_dims=1, max_dims=4, max_side=7)
rows = array_shapes(min_dims=1, max_dims=4, max_side=6)  # (..., D)


def normal(seed: int, *of: tuple[int, ...]) -> list[np.ndarray]:
    rng = np.random.default_rng([seed, 0])
    return [2 * rng.standard_normal(s) for s in of]


@given(st.data(), shapes, chunks, seeds)
def test_softmax_and_log_softmax(check, tiles, data, shape, chunk, seed):
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    with tiles(CHUNK=chunk, ROW_CHUNK=chunk):
        check(F.softmax, normal(seed, shape), {"axis": axis}, lambda x: torch.softmax(x, axis), seed)
        check(F.log_softmax, normal(seed, shape), {"axis": axis}, lambda x: torch.log_softmax(x, axis), seed)


def test_softmax_of_large_and_of_hidden_scores():
    x = asarray(np.array([[1e4, 1e4 - 1, -1e4], [-math.inf, 0, 0]]))
    for on in (True, False):
        with fast(on):
            np.testing.assert_allclose(
                to_numpy(F.softmax(x)), [[1 / (1 + math.exp(-1)), 1 / (1 + math.e), 0], [0, 0.5, 0.5]]
            )
            assert F.log_softmax(x)[1, 0] == -math.inf


@given(shapes, chunks, seeds)
def test_activations(check, tiles, shape, chunk, seed):
    (x,) = normal(seed, shape)
    with tiles(CHUNK=chunk, ROW_CHUNK=chunk):
        check(F.gelu, [x], {}, lambda x: theirs.gelu(x, approximate="tanh"), seed)
        check(F.gelu, [x], {"approximate": "none"}, theirs.gelu, seed)
        check(F.silu, [x], {}, theirs.silu, seed)


@pytest.mark.parametrize("op", [F.gelu, lambda x: F.gelu(x, "none"), F.silu], ids=["tanh", "exact", "silu"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_an_activation_far_out_is_0_or_x_and_its_slope_0_or_1(op, dtype):
    x = np.array([-1e4, -200.0, -90, 90, 200, 1e4], dtype)
    with np.errstate(all="raise", under="ignore"):
        t = Tensor(x, requires_grad=True)
        y = op(t)
        slope = grad(y, t, np.ones(6))
    np.testing.assert_allclose(y.numpy(), [0, 0, 0, 90, 200, 1e4], rtol=1e-6, atol=1e-30)
    np.testing.assert_allclose(slope.numpy(), [0, 0, 0, 1, 1, 1], rtol=1e-6, atol=1e-20)


@pytest.mark.numpy_only("float32's precision is the kernel's: the twin loses digits where tanh is near -1")
@pytest.mark.parametrize("approximate", ["tanh", "none"])
def test_gelu_in_float32_is_as_exact_as_float32(approximate):
    """Every float32 between -9 and 9 on a fine grid: within 3e-7 of the float64 value, in value and slope."""
    x = np.linspace(-9, 9, 200_001).astype(np.float32)
    t = Tensor(x, requires_grad=True)
    y = F.gelu(t, approximate)
    slope = grad(y, t, np.ones(x.shape))
    wide = torch.tensor(x.astype(np.float64), requires_grad=True)
    expected = theirs.gelu(wide, approximate=approximate)
    (expected_slope,) = torch.autograd.grad(expected.sum(), wide)
    np.testing.assert_allclose(y.numpy(), expected.detach().numpy(), rtol=3e-7, atol=3e-7)
    np.testing.assert_allclose(slope.numpy(), expected_slope.numpy(), rtol=5e-7, atol=5e-7)


@given(rows, st.booleans(), st.booleans(), chunks, st.sampled_from([1e-5, 0.3]), seeds)
def test_layer_norm(check, tiles, shape, with_weight, with_bias, chunk, epsilon, seed):
    x, weight, bias = normal(seed, shape, shape[-1:], shape[-1:])
    args = [x, weight if with_weight else None, bias if with_bias else None]

    def layer_norm(x, weight, bias):
        return theirs.layer_norm(x, shape[-1:], weight, bias, epsilon)

    with tiles(CHUNK=chunk, ROW_CHUNK=chunk):
        check(F.layer_norm, args, {"epsilon": epsilon}, layer_norm if shape[-1] > 1 else None, seed)


@given(rows, st.booleans(), chunks, seeds)
def test_rms_norm(check, tiles, shape, with_weight, chunk, seed):
    x, weight = normal(seed, shape, shape[-1:])
    args = [x, weight if with_weight else None]
    with tiles(CHUNK=chunk, ROW_CHUNK=chunk):
        check(F.rms_norm, args, {"epsilon": 1e-3}, lambda x, w: theirs.rms_norm(x, shape[-1:], w, 1e-3), seed)


@given(rows, st.integers(1, 5), st.booleans(), seeds)
def test_linear(check, shape, width, with_bias, seed):
    x, weight, bias = normal(seed, shape, (shape[-1], width), (width,))
    args = [x, weight, bias] if with_bias else [x, weight]
    check(F.linear, args, {}, lambda x, w, b=None: theirs.linear(x, w.T, b), seed)


@given(array_shapes(max_dims=3, max_side=6), st.integers(1, 9), st.integers(1, 5), seeds)
def test_embedding(check, shape, V, D, seed):
    ids = np.random.default_rng(seed).integers(0, V, shape)
    check(F.embedding, [ids, *normal(seed, (V, D))], {}, theirs.embedding, seed)


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.uint64])
def test_embedding_takes_any_integers_and_large_vocabularies(dtype):
    ids = np.array([[3, 200], [3, 0]], dtype)
    weight = Tensor(np.random.default_rng(0).standard_normal((70_000, 2)), requires_grad=True)
    y = F.embedding(ids, weight)
    np.testing.assert_array_equal(y.numpy(), weight.numpy()[ids.astype(int)])
    (g,) = grad(y, [weight], np.ones((2, 2, 2)))
    wanted = np.zeros((70_000, 2))
    wanted[[0, 3, 200]] = [[1, 1], [2, 2], [1, 1]]
    np.testing.assert_array_equal(g.numpy(), wanted)


def test_embedding_keeps_ids_above_16_bits_apart():
    weight = Tensor(np.zeros((70_000, 1)), requires_grad=True)
    (g,) = grad(F.embedding(np.array([1, 65_537]), weight), [weight], np.array([[2.0], [3.0]]))
    assert (g.numpy()[1, 0], g.numpy()[65_537, 0]) == (2, 3)


@given(shapes, seeds)
def test_masked_scale(check, shape, seed):
    keep = np.random.default_rng(seed).random(shape) < 0.6
    check(F.masked_scale, [*normal(seed, shape), keep, 1.7], {}, lambda x, k, s: x * k * s, seed)


def test_dropout_keeps_the_expectation_and_draws_from_its_generator():
    x = Tensor(np.ones((300, 400), np.float32), requires_grad=True)
    y = F.dropout(x, 0.3, np.random.default_rng(5))
    again = F.dropout(x, 0.3, np.random.default_rng(5))
    np.testing.assert_array_equal(y.numpy(), again.numpy())
    zeros = (y.numpy() == 0).mean()
    assert abs(zeros - 0.3) < 5 * math.sqrt(0.21 / x.size)
    kept = round(0.7 * 65536) / 65536
    np.testing.assert_allclose(np.unique(y.numpy()), [0, 1 / kept], rtol=1e-6)
    g = grad(y, x, np.ones(x.shape))
    np.testing.assert_array_equal(g.numpy(), y.numpy())


def test_dropout_at_its_ends():
    x = Tensor(np.ones(50, np.float32), requires_grad=True)
    rng = np.random.default_rng(0)
    assert F.dropout(x, 0.0, rng) is x
    assert F.dropout(x, 0.5, rng, training=False) is x
    np.testing.assert_array_equal(F.dropout(x, 1.0, rng).numpy(), np.zeros(50))
    for p in (-0.1, 1.1, math.nan):
        with pytest.raises(ConfigError, match="probability from 0 to 1"):
            F.dropout(x, p, rng)


def test_a_replay_reproduces_the_dropped_entries():
    """The second derivative of Σ dropout(x)³: 6 x m³ with the very mask of the forward."""
    x = Tensor(np.arange(1.0, 41), requires_grad=True)
    y = F.dropout(x, 0.5, np.random.default_rng(1))
    m = y.numpy() / x.numpy()
    first = grad((y * y * y).sum(), x, create_graph=True)
    np.testing.assert_allclose(first.numpy(), 3 * m**3 * x.numpy() ** 2)
    np.testing.assert_allclose(grad(first.sum(), x).numpy(), 6 * m**3 * x.numpy())


ids = np.array([[0, 2, 2], [1, 0, 2]])
TO_ORDER_2 = {
    "softmax": (F.softmax, (3, 4)),
    "log_softmax": (lambda x: F.log_softmax(x, 0), (3, 4)),
    "gelu tanh": (F.gelu, (7,)),
    "gelu exact": (lambda x: F.gelu(x, "none"), (7,)),
    "silu": (F.silu, (7,)),
    "layer_norm": (F.layer_norm, (2, 3, 4), (4,), (4,)),
    "layer_norm, nothing else": (lambda x: F.layer_norm(x, None, None), (3, 4)),
    "rms_norm": (F.rms_norm, (2, 3, 4), (4,)),
    "linear": (F.linear, (2, 3, 4), (4, 5), (5,)),
    "embedding": (lambda w: F.embedding(ids, w), (3, 4)),
    "masked_scale": (lambda x: F.masked_scale(x, ids > 0, 1.5), (2, 3)),
}


@pytest.mark.parametrize("name", TO_ORDER_2)
@pytest.mark.parametrize("on", [True, False], ids=["kernel", "twin"])
def test_gradients_to_order_2(name, on):
    op, *of = TO_ORDER_2[name]
    with fast(on):
        gradcheck(op, *normal(3, *of), order=2, seed=4)


def test_arguments_that_need_no_gradient():
    x, w, b = normal(0, (2, 3), (3, 4), (4,))
    weight = Tensor(w, requires_grad=True)
    (g,) = grad(F.linear(asarray(x), weight, asarray(b)), [weight], np.ones((2, 4)))
    np.testing.assert_allclose(g.numpy(), x.T @ np.ones((2, 4)))
    shift = Tensor(b, requires_grad=True)
    (g,) = grad(F.layer_norm(Tensor(w), None, shift), [shift], w)
    np.testing.assert_allclose(g.numpy(), w.sum(0))


def test_a_strided_input_and_cotangent():
    x, u = normal(0, (4, 5), (5, 4))
    for op in (F.gelu, F.silu, F.softmax, lambda x: F.layer_norm(x, None, None), lambda x: F.rms_norm(x, None)):
        results = []
        for array, cotangent in ((x.T, u), (np.ascontiguousarray(x.T), np.asfortranarray(u))):
            t = Tensor(array, requires_grad=True)
            results.append([op(t).numpy(), grad(op(t), t, cotangent).numpy()])
        for a, b in zip(*results, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-13)


@pytest.mark.parametrize("on", [True, False], ids=["kernel", "twin"])
def test_bad_arguments_get_one_sentence_that_names_them(on):
    x = np.zeros((2, 3))
    whole = np.zeros((2, 3), np.int64)
    with fast(on):
        for op in (F.softmax, F.log_softmax, F.gelu, F.silu, lambda x: F.layer_norm(x, None, None)):
            with pytest.raises(DTypeError, match="x is of int64; it needs floating"):
                op(whole)
        with pytest.raises(DTypeError, match="weight is of int64"):
            F.linear(x, np.zeros((3, 4), np.int64))
        with pytest.raises(ConfigError, match="'tanh' or 'none', not 'sigmoid'"):
            F.gelu(x, "sigmoid")
        with pytest.raises(ShapeError, match=r"weight has shape \(2,\), wanted \(3,\)"):
            F.layer_norm(x, np.ones(2), None)
        with pytest.raises(ShapeError, match=r"bias has shape \(2,\), wanted \(3,\)"):
            F.layer_norm(x, None, np.ones(2))
        with pytest.raises(ShapeError, match=r"rms_norm: weight has shape \(3, 1\)"):
            F.rms_norm(x, np.ones((3, 1)))
        with pytest.raises(ShapeError, match=r"x \(2, 3\) @ weight \(4, 5\)"):
            F.linear(x, np.ones((4, 5)))
        with pytest.raises(ShapeError, match=r"linear: bias has shape \(4,\), wanted \(5,\)"):
            F.linear(x, np.ones((3, 5)), np.ones(4))
        with pytest.raises(DataError, match="ids holds 3; each must be from 0 to 2, as V = 3"):
            F.embedding(np.array([0, 3]), np.ones((3, 2)))
        with pytest.raises(DataError, match="ids holds -1"):
            F.embedding(np.array([0, -1]), np.ones((3, 2)))
        with pytest.raises(DTypeError, match="ids must be an array of integers, not float64"):
            F.embedding(np.array([0.0]), np.ones((3, 2)))
        with pytest.raises(ShapeError, match=r"keep has shape \(3,\), wanted \(2, 3\)"):
            F.masked_scale(x, np.ones(3, bool), 1.0)


def test_a_dropout_mask_is_locked_down_to_its_memory():
    """So that the engine need not look whether it changes; and it is of the shape and the probability asked for."""
    keep, scale = F.dropout_mask(0.25, np.random.default_rng(0), (300, 101))
    assert keep.shape == (300, 101) and keep.dtype == bool and scale == 1 / 0.75
    assert abs(keep.mean() - 0.75) < 0.01
    while isinstance(keep, np.ndarray):
        assert not keep.flags.writeable
        keep = keep.base
