"""What an operation does when its options are left out, and when there is nothing in its arrays."""

import math

import numpy as np
import pytest

from minilm import functional as F
from minilm.autograd import Tensor, fast, grad
from minilm.errors import ConfigError, DataError, DTypeError, ShapeError

X = np.random.default_rng(0).standard_normal((2, 3, 4))
BOTH = pytest.mark.parametrize("on", [True, False], ids=["kernel", "twin"])


def test_axes_and_fillings_that_nobody_named() -> None:
    for ours, theirs in ((F.sum, np.sum), (F.mean, np.mean), (F.var, np.var), (F.max, np.max), (F.min, np.min)):
        np.testing.assert_allclose(ours(X), theirs(X), rtol=1e-13)
        assert ours(X, 1).shape == (2, 4)
    np.testing.assert_allclose(F.logsumexp(X), np.log(np.exp(X).sum()), rtol=1e-13)
    assert F.logsumexp(X, 1).shape == (2, 4)
    np.testing.assert_array_equal(F.argmax(X), X.argmax(-1))
    np.testing.assert_array_equal(F.swapaxes(X), X.swapaxes(-1, -2))
    np.testing.assert_array_equal(F.transpose(X), X.transpose(2, 1, 0))
    np.testing.assert_array_equal(F.concatenate([X, X]), np.concatenate([X, X], 0))
    np.testing.assert_array_equal(F.stack([X, X]), np.stack([X, X], 0))
    for part, wanted in zip(F.split(X, 2), np.split(X, 2, 0), strict=True):
        np.testing.assert_array_equal(part, wanted)
    np.testing.assert_array_equal(F.pad(X, [(1, 0), (0, 2), (0, 0)]), np.pad(X, [(1, 0), (0, 2), (0, 0)]))
    np.testing.assert_array_equal(F.triu(X), np.triu(X))
    np.testing.assert_array_equal(F.tril(X), np.tril(X))
    np.testing.assert_array_equal(F.clip(X), X)


@BOTH
def test_options_of_fused_operations_that_nobody_named(on: bool) -> None:
    weight, bias = np.arange(1.0, 5), np.arange(4.0)
    small = 1e-3 * X  # so that ε shows
    with fast(on):
        np.testing.assert_allclose(F.softmax(X), np.exp(X) / np.exp(X).sum(-1, keepdims=True), rtol=1e-12)
        np.testing.assert_allclose(F.log_softmax(X), np.log(F.softmax(X, -1)), rtol=1e-12)
        np.testing.assert_array_equal(F.gelu(X), F.gelu(X, "tanh"))
        centred = small - small.mean(-1, keepdims=True)
        wanted = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5) * weight + bias
        np.testing.assert_allclose(F.layer_norm(small, weight, bias), wanted, rtol=1e-10)
        wanted = small / np.sqrt((small**2).mean(-1, keepdims=True) + 1e-6) * weight
        np.testing.assert_allclose(F.rms_norm(small, weight), wanted, rtol=1e-10)
        q, k, v = (np.random.default_rng(i).standard_normal((1, 2, 5, 3)) for i in range(3))
        scores = np.exp(q @ k.swapaxes(2, 3) / math.sqrt(3))
        wanted = scores / scores.sum(-1, keepdims=True) @ v
        np.testing.assert_allclose(F.attention(q, k, v), wanted, rtol=1e-12)
        packed = np.stack([q, k, v], 0).transpose(1, 3, 0, 2, 4).reshape(1, 5, 18)
        np.testing.assert_allclose(
            F.self_attention(packed, 2), wanted.transpose(0, 2, 1, 3).reshape(1, 5, 6), rtol=1e-12
        )
        keep = np.ones((1, 2, 5, 5), bool)  # dropout without a scale: 1
        np.testing.assert_allclose(F.attention(q, k, v, keep=keep), wanted, rtol=1e-12)
        np.testing.assert_allclose(F.self_attention(packed, 2, keep=keep), F.self_attention(packed, 2), rtol=1e-12)


@BOTH
def test_losses_are_plain_means_by_default_and_leave_out_minus_100(on: bool) -> None:
    rng = np.random.default_rng(1)
    x, w, targets = rng.standard_normal((4, 3)), rng.standard_normal((5, 3)), np.array([1, -100, 4, 0])
    z = x @ w.T
    logp = z - np.log(np.exp(z).sum(-1, keepdims=True))
    wanted = -(logp[0, 1] + logp[2, 4] + logp[3, 0]) / 3
    with fast(on):
        assert math.isclose(F.cross_entropy(z, targets), wanted, rel_tol=1e-12)
        assert math.isclose(F.linear_cross_entropy(x, w, targets), wanted, rel_tol=1e-12)


@BOTH
def test_nothing_in_nothing_out(on: bool) -> None:
    none = np.zeros((0, 3))
    w, b = np.ones((3, 2)), np.ones(2)
    with fast(on):
        for op in (F.softmax, F.log_softmax, F.gelu, F.silu, lambda x: F.layer_norm(x, np.ones(3), np.ones(3)),
                   lambda x: F.rms_norm(x, np.ones(3)), lambda x: F.masked_scale(x, none > 0, 2.0)):  # fmt: skip
            t = Tensor(none, requires_grad=True)
            y = op(t)
            assert y.shape == (0, 3) and grad(y, t, none).shape == (0, 3)
        x, weight, bias = (Tensor(a, requires_grad=True) for a in (none, w, b))
        y = F.linear(x, weight, bias)
        gx, gw, gb = grad(y, [x, weight, bias], np.zeros((0, 2)))
        assert (y.shape, gx.shape) == ((0, 2), (0, 3))
        assert (gw.numpy() == 0).all() and (gb.numpy() == 0).all()
        y = F.embedding(np.zeros((2, 0), int), weight)
        assert y.shape == (2, 0, 2) and (grad(y, weight, np.zeros((2, 0, 2))).numpy() == 0).all()
        q = Tensor(np.zeros((0, 2, 4, 3)), requires_grad=True)
        assert grad(F.attention(q, q, q), q, np.zeros((0, 2, 4, 3))).shape == (0, 2, 4, 3)
        z = Tensor(none, requires_grad=True)
        loss = F.cross_entropy(z, np.zeros(0, int))
        assert loss.item() == 0 and grad(loss, z).shape == (0, 3)


@BOTH
def test_a_row_of_zeros_is_normalised_by_epsilon_alone(on: bool) -> None:
    with fast(on):
        for op in (lambda x: F.layer_norm(x, None, None, 1e-4), lambda x: F.rms_norm(x, None, 1e-4)):
            x = Tensor(np.zeros((2, 4)), requires_grad=True)
            y = op(x)
            u = np.array([[3.0, -1, -1, -1], [0, 2, -2, 0]])  # sums to 0, so that layer norm takes nothing off
            np.testing.assert_array_equal(y.numpy(), 0)
            np.testing.assert_allclose(grad(y, x, u).numpy(), 100 * u, rtol=1e-12)


@BOTH
def test_the_number_of_axes_is_checked(on: bool) -> None:
    x = np.zeros((2, 3))
    with fast(on):
        for weight in (np.ones(3), np.ones((3, 4, 4))):
            with pytest.raises(ShapeError, match="linear: x"):
                F.linear(x, weight)
            with pytest.raises(ShapeError, match="embedding: weight has shape"):
                F.embedding(np.array([0]), weight)
        for weight in (np.ones(3), np.ones((5, 3, 3))):
            with pytest.raises(ShapeError, match="linear_cross_entropy: x"):
                F.linear_cross_entropy(x, weight, np.zeros(2, int))
        with pytest.raises(ShapeError, match="linear: x"):
            F.linear(np.array(1.0), np.ones((1, 1)))
        for op in (lambda x: F.layer_norm(x, None, None), lambda x: F.rms_norm(x, None)):
            with pytest.raises(ShapeError, match="single number"):
                op(np.array(1.0))
        with pytest.raises(ShapeError, match="logits is a single number"):
            F.cross_entropy(np.array(1.0), np.array(0))
        with pytest.raises(ShapeError, match="linear_cross_entropy: x"):
            F.linear_cross_entropy(np.array(1.0), np.ones((1, 1)), np.array(0))
        q = np.zeros((2, 3, 4, 5))
        flat = q.reshape(2, 3, 20)
        for wrong in ((flat, q, q), (q, flat, q), (q, q, q[..., 0]), (flat, flat, flat), (q[None], q[None], q[None]),
                      (q[:1], q, q), (q, q[:1], q), (q, q, q[:1]), (q[:, :2], q, q), (q, q[:, :2], q), (q, q, q[:, :2]),
                      (q, q, q[:, :, :3]), (q, q[:, :, :3], q), (q[..., :4], q, q), (q, q[..., :4], q)):  # fmt: skip
            with pytest.raises(ShapeError, match="do not fit: wanted"):
                F.attention(*wrong)
        with pytest.raises(ShapeError, match="S at least 1"):
            F.attention(q[..., :0], q[..., :0], q)
        for wrong in (np.zeros((3, 24)), np.zeros((2, 0, 24)), np.zeros((1, 2, 3, 24))):
            with pytest.raises(ShapeError, match="qkv has shape"):
                F.self_attention(wrong, 2)
        with pytest.raises(ConfigError, match="0 heads do not divide"):
            F.self_attention(np.zeros((2, 3, 24)), 0)
        np.testing.assert_array_equal(F.self_attention(np.zeros((2, 1, 3)), 1), np.zeros((2, 1, 1)))


@BOTH
def test_the_ends_of_what_is_allowed_are_allowed(on: bool) -> None:
    rng = np.random.default_rng(2)
    w = rng.standard_normal((3, 2))
    z, targets = rng.standard_normal((2, 3)), np.array([0, 2])
    with fast(on):
        np.testing.assert_array_equal(F.embedding(np.array([0, 2]), w), w[[0, 2]])
        for bad, word in ((np.array([1, 3]), "3"), (np.array([-1, 1]), "-1"), (np.array([-2, 7]), "-2")):
            with pytest.raises(DataError, match=f"ids holds {word};"):
                F.embedding(bad, w)
        with pytest.raises(DTypeError, match="ids must be an array of integers, not <class 'list'>"):
            F.embedding([0, 1], w)
        for smoothing in (0, 1):
            assert math.isfinite(F.cross_entropy(z, targets, label_smoothing=smoothing))
        for smoothing in (-0.01, 1.01, math.nan):
            with pytest.raises(ConfigError, match="label_smoothing"):
                F.cross_entropy(z, targets, label_smoothing=smoothing)


def test_kernels_take_one_floating_dtype_only() -> None:
    """Two dtypes, or half precision: the twin computes, with NumPy's own rules."""
    x, w = np.ones((2, 3), np.float32), np.arange(6.0).reshape(3, 2) / 3
    np.testing.assert_array_equal(F.linear(x, w), x @ w)
    assert F.linear(x, w).dtype == np.float64
    narrow = w.astype(np.float32)
    np.testing.assert_array_equal(F.linear(x, narrow, np.full(2, 1e-9)), (x @ narrow).astype(float) + 1e-9)
    assert F.layer_norm(x, np.ones(3), None).dtype == F.rms_norm(x, np.ones(3)).dtype == np.float64
    half = np.array([[1.0, 2.0]], np.float16)
    assert F.softmax(half).dtype == np.float16
    np.testing.assert_allclose(F.softmax(half).astype(float), F.softmax(half.astype(float)), rtol=2e-3)


def test_powers_at_zero() -> None:
    """0⁰ = 1 with slope 0 by its base, whether the exponent is a number, an array or a Tensor."""
    for exponent in (0, 0.0, np.zeros(2), Tensor(np.zeros(2), requires_grad=True)):
        x = Tensor(np.array([0.0, 2.0]), requires_grad=True)
        with np.errstate(all="raise"):
            y = x**exponent
            np.testing.assert_array_equal(y.numpy(), [1, 1])
            np.testing.assert_array_equal(grad(y, x, np.array([3.0, 5.0])).numpy(), [0, 0])


@BOTH
@pytest.mark.parametrize("name", ["", "exact", "sigmoid", "zero"])
def test_gelu_knows_two_names(on: bool, name: str) -> None:
    with fast(on), pytest.raises(ConfigError, match=f"not '{name}'"):
        F.gelu(X, name)


def test_einsum_wants_a_letter_for_each_axis() -> None:
    for spec in ("i->i", "ijk->i"):
        with pytest.raises(ShapeError, match="does not fit shape"):
            F.einsum(spec, np.ones((2, 2)))
    with pytest.raises(ShapeError, match="'jk' does not fit shape"):
        F.einsum("ij,jk->ik", np.ones((2, 3)), np.ones((2, 3)))
    with pytest.raises(ShapeError, match="'jk' does not fit shape"):
        F.einsum("ij,jk->ik", np.ones((2, 3)), np.ones((4, 3)))
    with pytest.raises(ConfigError, match="no letter twice"):
        F.einsum("ij->ii", np.ones((2, 2)))
    with pytest.raises(ConfigError, match="for 1 operands"):
        F.einsum("i,i->", np.ones(2))
    with pytest.raises(ConfigError, match="for 2 operands"):
        F.einsum("i->i", np.ones(2), np.ones(2))
    np.testing.assert_array_equal(F.einsum(" i j -> j i ", X[0]), X[0].T)


def test_bounds_of_clip_may_be_arrays_that_stretch_x() -> None:
    x = Tensor(np.array([[-1.0], [0.5], [2.0]]), requires_grad=True)
    low, high = np.array([-2.0, 0.0, 1.0]), np.array([1.0, 3.0, 1.5])
    u = np.random.default_rng(0).standard_normal((3, 3))
    for bounds in ((low, high), (low, None), (None, high)):
        y = F.clip(x, *bounds)
        np.testing.assert_array_equal(y.numpy(), np.clip(x.numpy(), *bounds))
        inside = (y.numpy() == x.numpy()) * u
        np.testing.assert_allclose(grad(y, x, u).numpy(), inside.sum(1, keepdims=True), rtol=1e-13)
    x = Tensor(np.array([0.0, 1.0, 2.0]), requires_grad=True)  # at a bound, g still passes
    np.testing.assert_array_equal(grad(F.clip(x, 0.0, 2.0), x, np.ones(3)).numpy(), 1)


@pytest.mark.parametrize("spec", ["ij,ij,j->i", "i,i,i->", "ij,ij,ij->j", "ij,jk,jk->ik"])
def test_einsum_keeps_a_letter_until_its_last_operand(spec: str) -> None:
    rng = np.random.default_rng(0)
    sizes = {"i": 2, "j": 3, "k": 4}
    arrays = [rng.standard_normal([sizes[c] for c in term]) for term in spec.split("->")[0].split(",")]
    np.testing.assert_allclose(F.einsum(spec, *arrays), np.einsum(spec, *arrays), rtol=1e-12)


def test_too_many_arguments_are_counted_in_words() -> None:
    for call in (lambda: F.exp(X, 0), lambda: F.softmax(X, -1, 3), lambda: F.add(X, X, X)):
        with pytest.raises(TypeError, match=r"unexpected arguments \([23]\); it takes"):
            call()


def test_an_empty_axis_is_not_squeezed() -> None:
    with pytest.raises(ShapeError, match=r"squeeze: axis 0 of shape \(0, 2\) is not of size 1"):
        F.squeeze(np.zeros((0, 2)), 0)


@BOTH
def test_integers_are_not_scaled_by_a_mask(on: bool) -> None:
    with fast(on), pytest.raises(DTypeError, match="masked_scale: x is of int64"):
        F.masked_scale(np.arange(3), np.ones(3, bool), 2.0)
