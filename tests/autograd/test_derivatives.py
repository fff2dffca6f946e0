"""Products with Jacobian and Hessian, and the matrices themselves: against slopes, PyTorch and one another."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import minilm as ml
from minilm import functional as F
from minilm.autograd import Tensor
from minilm.errors import GraphError, ShapeError

seeds = st.integers(0, 2**32 - 1)

pytestmark = pytest.mark.every_device


def off_by(got, wanted):
    got, wanted = np.asarray(got), np.asarray(wanted)
    assert got.shape == wanted.shape
    return np.abs(got - wanted).max() / (1e-3 + np.abs(wanted).max())


def network(x, w, tanh=F.tanh, logsumexp=lambda z: F.logsumexp(z, axis=-1)):
    """Two inputs, a product of both, nothing linear: (B, n), (n, m) -> (B,)."""
    return logsumexp(tanh(x @ w) * (x @ w)) * (w * w).sum()


def torch_network(x, w):
    return network(x, w, torch.tanh, lambda z: torch.logsumexp(z, -1))


def inputs(seed, B=3, n=4, m=2):
    rng = np.random.default_rng(seed)
    arrays = [rng.standard_normal((B, n)), rng.standard_normal((n, m))]
    return arrays, [Tensor(a, requires_grad=True) for a in arrays], rng


@given(seeds)
def test_jacobian_and_its_products_are_pytorchs(seed):
    arrays, tensors, rng = inputs(seed)
    tangents = [rng.standard_normal(a.shape) for a in arrays]
    y = network(*tensors)
    theirs = tuple(torch.tensor(a) for a in arrays)
    expected = torch.autograd.functional.jacobian(torch_network, theirs)
    for got, wanted in zip(ml.jacobian(y, tensors), expected, strict=True):
        assert off_by(got.numpy(), wanted.numpy()) <= 1e-10
    along = sum(np.tensordot(j.numpy(), v, axes=v.ndim) for j, v in zip(expected, tangents, strict=True))
    assert off_by(ml.jvp(y, tensors, tangents).numpy(), along) <= 1e-10
    assert off_by(ml.jvp(y, tensors[1], tangents[1]).numpy(), np.tensordot(expected[1], tangents[1], axes=2)) <= 1e-10


@given(seeds)
def test_hessian_and_its_products_are_pytorchs(seed):
    arrays, tensors, rng = inputs(seed)
    vectors = [rng.standard_normal(a.shape) for a in arrays]
    y = (network(*tensors) * Tensor(np.arange(1.0, 4.0))).sum()
    theirs = tuple(torch.tensor(a) for a in arrays)
    expected = torch.autograd.functional.hessian(
        lambda x, w: (torch_network(x, w) * torch.arange(1.0, 4.0, dtype=torch.float64)).sum(), theirs
    )
    blocks = ml.hessian(y, tensors)
    products = ml.hvp(y, tensors, vectors)
    for m in range(2):
        for n in range(2):
            assert off_by(blocks[m][n].numpy(), expected[m][n].numpy()) <= 1e-9
        along = sum(np.tensordot(expected[m][n], vectors[n], axes=2) for n in range(2))
        assert off_by(products[m].numpy(), along) <= 1e-9
    assert off_by(ml.hessian(y, tensors[0]).numpy(), expected[0][0].numpy()) <= 1e-9
    assert off_by(ml.hvp(y, tensors[0], vectors[0]).numpy(), np.tensordot(expected[0][0], vectors[0], axes=2)) <= 1e-9


def test_an_input_may_be_an_inner_value():
    x = Tensor(np.array([0.3, -0.7]), requires_grad=True)
    h = F.exp(x)
    y = (h * h * h).sum()
    assert off_by(ml.hessian(y, h).numpy(), np.diag(6 * h.numpy())) <= 1e-12
    assert off_by(ml.jvp(h, x, np.array([1.0, 2.0])).numpy(), h.numpy() * [1, 2]) <= 1e-12


def test_what_is_constant_has_zero_derivatives_of_the_right_shape():
    x = Tensor(np.ones((2, 3)), requires_grad=True)
    w = Tensor(np.ones(4), requires_grad=True)
    linear = (x * 3.0).sum()
    assert not ml.hvp(linear, x, np.ones((2, 3))).numpy().any()
    assert ml.hessian(linear, x).shape == (2, 3, 2, 3)
    assert not ml.hessian(linear, [x, w])[0][1].numpy().any()
    assert ml.hessian(linear, [x, w])[0][1].shape == (2, 3, 4)
    assert not ml.jvp(linear, w, np.ones(4)).numpy().any()
    assert ml.jacobian(x[:0], x).shape == (0, 3, 2, 3)


def test_they_keep_the_graph_and_leave_grad_alone():
    x = Tensor(np.array([0.5, 2.0]), requires_grad=True)
    y = F.sum(F.exp(x))
    for _ in range(2):
        ml.hvp(y, x, np.ones(2)), ml.jacobian(y, x), ml.hessian(y, x), ml.jvp(y, x, np.ones(2))
    assert x.grad is None
    y.backward()
    np.testing.assert_array_equal(x.grad.numpy(), np.exp(x.numpy()))


def test_what_does_not_fit_is_said():
    x = Tensor(np.ones((2, 3)), requires_grad=True)
    with pytest.raises(ShapeError, match=r"jvp: the vector for input 0 has shape \(3,\), wanted \(2, 3\)"):
        ml.jvp(x * x, x, np.ones(3))
    with pytest.raises(ShapeError, match="hvp: 1 inputs, but 2 vectors"):
        ml.hvp(F.sum(x * x), [x], [np.ones((2, 3)), 1])
    for f in (lambda y: ml.hvp(y, x, np.ones((2, 3))), lambda y: ml.hessian(y, x)):
        with pytest.raises(GraphError, match=r"the output has shape \(2, 3\)"):
            f(x * x)
    with pytest.raises(GraphError, match="does not require a gradient"):
        ml.jacobian(x * x, Tensor(np.ones(2)))
