"""Activation checkpointing: the same bits with less memory, at every order, and a leaf that was forgotten is named."""

import tracemalloc

import numpy as np
import pytest

import minilm as ml
from minilm import functional as F
from minilm.autograd import Tensor, gradcheck
from minilm.errors import GraphError
from minilm.nn.block import Block

pytestmark = pytest.mark.every_device


def block(dropout=0.0, norm="pre", dtype=np.float64, seed=0, width=8):
    made = Block(width, 2, np.random.default_rng(seed), dropout=dropout, norm=norm).astype(dtype)
    return made.set_generator(np.random.default_rng(5)).train()


def gradients(made, x, u, again, layers=1):
    """Value, cotangents of x and all parameters, and where the generator ends; `layers` passes through one block."""
    made.set_recompute(again).zero_grad()
    made.set_generator(np.random.default_rng(5))
    t = Tensor(x, requires_grad=True)
    y = t
    for _ in range(layers):
        y = made(y)
    y.backward(u)
    rng = made.dropout.generator
    return [y.numpy(), t.grad.numpy(), *[p.grad.numpy() for p in made.parameters()], rng.random(3)]


@pytest.mark.parametrize("norm", ["pre", "post"])
@pytest.mark.parametrize("dropout", [0.0, 0.3])
@pytest.mark.parametrize("fast", [True, False])
def test_value_and_gradients_are_the_same_bits(norm, dropout, fast):
    rng = np.random.default_rng(0)
    x, u = rng.standard_normal((2, 2, 5, 8))
    made = block(dropout, norm)
    with ml.fast(fast):
        for kept, again in zip(gradients(made, x, u, False), gradients(made, x, u, True), strict=True):
            np.testing.assert_array_equal(again, kept)


def test_parameters_of_two_passes_add_up():
    rng = np.random.default_rng(1)
    x, u = rng.standard_normal((2, 2, 5, 8))
    for kept, again in zip(
        gradients(block(0.2), x, u, False, layers=3), gradients(block(0.2), x, u, True, layers=3), strict=True
    ):
        np.testing.assert_allclose(again, kept, rtol=1e-12, atol=1e-13)


def test_it_is_right_by_its_own_slopes_to_order_two():
    w = np.random.default_rng(2).standard_normal((3, 3))
    x = np.random.default_rng(3).standard_normal((2, 3))

    def f(x, w):
        inner = ml.recompute(lambda a: F.tanh(a @ w) * a, x, parameters=[w])
        return ml.recompute(lambda a, b: F.exp(a) @ b, inner, w)

    gradcheck(f, x, w, every_entry=True)
    gradcheck(f, x, w, order=2)


def test_a_gradient_of_a_gradient_drops_the_same_entries():
    made = block(0.4).set_recompute()
    t = Tensor(np.random.default_rng(4).standard_normal((1, 3, 8)), requires_grad=True)
    u = np.random.default_rng(6).standard_normal(t.shape)
    y = made(t)
    (g,) = ml.grad(y, [t], u, create_graph=True)
    made.set_recompute(False).set_generator(np.random.default_rng(5))
    (kept,) = ml.grad(made(t), [t], u)
    np.testing.assert_allclose(g.numpy(), kept.numpy(), rtol=1e-11, atol=1e-12)


def test_two_sources_that_share_a_cotangent_do_not_share_memory():
    """What else flows into s must not be added to what t received, which is read later."""
    a, b = (Tensor(np.array([x, 1.0]), requires_grad=True) for x in (1.0, 2.0))
    s, t = a * 1.0, b * 1.0
    y = (ml.recompute(lambda s, t: F.exp(s + t), s, t) + 3 * s) + t
    y.backward(np.array([1.0, 1.0]))
    np.testing.assert_allclose(a.grad.numpy(), np.exp([3, 2]) + 3)
    np.testing.assert_allclose(b.grad.numpy(), np.exp([3, 2]) + 1)


def test_only_what_is_asked_for_is_given_and_nested_calls_work():
    x, w = Tensor(np.array([0.5, 1.5]), requires_grad=True), Tensor(np.array([2.0, 3.0]), requires_grad=True)
    y = ml.recompute(lambda x: ml.recompute(lambda x: F.exp(x) * w, x, parameters=[w]) * w, x, parameters=[w])
    (g,) = ml.grad(y, [w], np.array([1.0, 10.0]))
    np.testing.assert_allclose(g.numpy(), 2 * np.exp(x.numpy()) * w.numpy() * [1, 10])
    assert x.grad is None and w.grad is None


def test_without_recording_or_without_a_leaf_nothing_is_kept():
    w = Tensor(np.ones(2), requires_grad=True)
    with ml.no_grad():
        assert not ml.recompute(lambda x: x * w, Tensor(np.ones(2)), parameters=[w]).requires_grad
    assert not ml.recompute(F.exp, Tensor(np.ones(2))).requires_grad


def test_a_leaf_that_was_not_named_is_an_error_and_not_a_missing_gradient():
    x, w = Tensor(np.ones(2), requires_grad=True), Tensor(np.ones(2), requires_grad=True, name="w")
    y = ml.recompute(lambda x: x * w, x)
    with pytest.raises(GraphError, match=r"a leaf w of shape \(2,\) that it was not given"):
        y.backward(np.ones(2))
    with pytest.raises(GraphError, match="returned tuple, wanted one Tensor"):
        ml.recompute(lambda x: (x, x), x)


@pytest.mark.numpy_only("checksums are of NumPy's arrays")
def test_an_input_changed_in_place_before_the_backward_is_noticed():
    x = Tensor(np.ones(2), requires_grad=True)
    y = ml.recompute(F.exp, x)
    x.data[0] = 5
    with pytest.raises(GraphError, match="recompute: an array of shape"):
        y.backward(np.ones(2))


@pytest.mark.numpy_only("its memory is measured by tracemalloc")
def test_memory_of_many_blocks_is_that_of_one_and_their_inputs():
    made = block(0.1, dtype=np.float32, width=64)
    x = np.random.default_rng(0).standard_normal((4, 32, 64)).astype(np.float32)
    peaks = []
    for again in (False, True):
        tracemalloc.start()
        gradients(made, x, x, again, layers=12)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] <= 0.4 * peaks[0], peaks
