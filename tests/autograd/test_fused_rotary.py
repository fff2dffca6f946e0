"""Rotary positions and SwiGLU's gate: each kernel against its plain twin, PyTorch, and what a rotation is."""

import numpy as np
import pytest
import torch
import torch.nn.functional as theirs
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes

import minilm.functional as F
from minilm.autograd import Tensor, fast, grad
from minilm.backend import asarray, to_numpy
from minilm.errors import DTypeError, ShapeError

pytestmark = pytest.mark.every_device

seeds = st.integers(0, 2**32 - 1)


def angles_of(seed, *of):
    theta = 3 * np.random.default_rng([seed, 2]).standard_normal(of)
    return np.cos(theta), np.sin(theta)


@given(st.data(), array_shapes(min_dims=1, max_dims=4, max_side=5), seeds)
def test_rotary(check, data, shape, seed):
    *rows, K = shape
    some = data.draw(st.sampled_from([rows, rows[1:], [1] * len(rows)]))
    cos, sin = angles_of(seed, *some, K)
    x = np.random.default_rng([seed, 0]).standard_normal((*rows, 2 * K))

    def torchs(x):
        a, b = x.chunk(2, -1)
        return torch.cat([a, b], -1) * torch.tensor(np.concatenate([cos, cos], -1)) + torch.cat(
            [-b, a], -1
        ) * torch.tensor(np.concatenate([sin, sin], -1))

    check(F.rotary, [x], {"cos": cos, "sin": sin}, torchs, seed)


@pytest.mark.parametrize("kernels", [True, False])
def test_a_rotation_keeps_lengths_and_its_gradient_turns_back(kernels):
    x, g = np.random.default_rng(0).standard_normal((2, 3, 5, 8))
    cos, sin = map(asarray, angles_of(1, 5, 4))
    with fast(kernels):
        t = Tensor(x, requires_grad=True)
        y = F.rotary(t, cos, sin)
        back = grad(y, t, g).numpy()
        np.testing.assert_allclose((y.numpy() ** 2).sum(-1), (x**2).sum(-1), rtol=1e-12)
        np.testing.assert_allclose(to_numpy(F.rotary(asarray(back), cos, sin)), g, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("kernels", [True, False])
def test_angles_in_float64_do_not_make_float32_wider(kernels):
    cos, sin = map(asarray, angles_of(1, 5, 4))
    x = np.random.default_rng(0).standard_normal((3, 5, 8)).astype(np.float32)
    with fast(kernels):
        y = F.rotary(Tensor(x, requires_grad=True), cos, sin)
    assert y.dtype == np.float32
    np.testing.assert_allclose(y.numpy(), to_numpy(F.rotary(asarray(x.astype(np.float64)), cos, sin)), atol=1e-6)


@pytest.mark.parametrize("kernels", [True, False])
def test_rotary_refuses_what_does_not_fit(kernels):
    x, (cos, sin) = Tensor(np.ones((2, 5, 8))), map(asarray, angles_of(1, 5, 4))
    with fast(kernels):
        with pytest.raises(ShapeError, match=r"rotary: x has shape \(2, 5, 7\), wanted \(..., K\) with an even K"):
            F.rotary(x[..., :7], cos, sin)
        with pytest.raises(ShapeError, match="rotary: x has shape"):
            F.rotary(asarray(np.array(1.0)), cos, sin)
        for name, angles in (("cos", (cos[:, :3], sin)), ("sin", (cos, sin[:4]))):
            with pytest.raises(ShapeError, match=rf"rotary: {name} has shape .*K/2\) = \(2, 5, 4\)"):
                F.rotary(x, *angles)
        with pytest.raises(ShapeError, match="rotary: cos"):
            F.rotary(x[0], cos[None], sin)  # which would make the output larger than x
        with pytest.raises(DTypeError, match="rotary: cos"):
            F.rotary(x, asarray(np.ones((5, 4), int)), sin)


@given(array_shapes(min_dims=1, max_dims=4, max_side=7), st.sampled_from([1, 2, 5, 7, 1 << 14]), seeds)
def test_silu_gate(check, tiles, shape, chunk, seed):
    gate, x = 2 * np.random.default_rng([seed, 0]).standard_normal((2, *shape))
    with tiles(CHUNK=chunk):
        check(F.silu_gate, [gate, x], {}, lambda gate, x: theirs.silu(gate) * x, seed)


@pytest.mark.parametrize("kernels", [True, False])
def test_silu_gate_refuses_another_shape_and_integers(kernels):
    with fast(kernels):
        with pytest.raises(ShapeError, match=r"silu_gate: x has shape \(3,\), wanted \(2, 3\)"):
            F.silu_gate(asarray(np.ones((2, 3))), asarray(np.ones(3)))
        with pytest.raises(DTypeError, match="silu_gate: gate"):
            F.silu_gate(asarray(np.ones(3, int)), asarray(np.ones(3)))
