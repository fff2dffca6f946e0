"""The graph: what is recorded, in which order it is walked, what is freed, and what is refused."""

import gc
import threading
import time
import weakref

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minilm import functional as F
from minilm.autograd import (
    Tensor,
    UpcastWarning,
    fast,
    grad,
    gradcheck,
    is_recording,
    no_grad,
    primitive,
    unbroadcast,
    writable,
)
from minilm.autograd.operation import fused
from minilm.autograd.state import Observer
from minilm.backend import asarray, to_numpy
from minilm.errors import DTypeError, GraphError, ShapeError

pytestmark = pytest.mark.every_device


def leaf(*shape: int, seed: int = 0) -> Tensor:
    return Tensor(np.random.default_rng(seed).standard_normal(shape), requires_grad=True)


def cotangent(y: Tensor, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(y.shape)


# ---------------------------------------------------------------------------------------------------- walking the graph


def test_a_value_used_twice_receives_both_cotangents() -> None:
    x = leaf(3)
    y = x * x + F.exp(x)
    u = cotangent(y)
    y.backward(u)
    np.testing.assert_allclose(x.grad.numpy(), u * (2 * x.numpy() + np.exp(x.numpy())), rtol=1e-14)


def test_consumers_come_before_producers() -> None:
    """h feeds a short and a long path; walking it before the long one is done would lose that path's part."""
    x = leaf(4)
    h = F.tanh(x)
    y = h * 2
    for _ in range(5):
        y = F.exp(y * 0.3) + h
    gradcheck(lambda x: _ladder(x), x.data, order=2)
    u = cotangent(y)
    g = grad(y, [x, h], u)
    np.testing.assert_allclose(g[0].numpy(), g[1].numpy() * (1 - np.tanh(x.numpy()) ** 2), rtol=1e-13)


def _ladder(x: Tensor) -> Tensor:
    h = F.tanh(x)
    y = h * 2
    for _ in range(5):
        y = F.exp(y * 0.3) + h
    return y


@pytest.mark.numpy_only("the graph is the same on every device")
def test_a_long_chain_neither_recurses_nor_dawdles() -> None:
    x, step = leaf(1), Tensor(np.array([1e-5]), requires_grad=True)
    h, times = x, [time.thread_time()]  # this thread's own, whatever else the machine does
    for _ in range(20_000):
        h = h + step
    times.append(time.thread_time())
    h.backward(np.ones(1))
    times.append(time.thread_time())
    assert step.grad.item() == 20_000
    assert x.grad.item() == 1
    forward, backward = np.diff(times)
    assert backward < 10 * forward  # on any machine, unless each step goes through a list of all: hundreds of times
    deep = x
    for _ in range(60_000):
        deep = deep + step
    del deep  # a recursive deallocation would overflow the stack here


def test_gradients_accumulate_in_leaves_only() -> None:
    x = leaf(2)
    h = F.exp(x)
    y = h * 3
    y.backward(np.ones(2), retain_graph=True)
    once = x.grad.numpy().copy()
    y.backward(np.ones(2))
    np.testing.assert_array_equal(x.grad.numpy(), 2 * once)
    assert h.grad is None
    assert y.grad is None


def test_backward_is_idempotent_while_the_graph_is_kept() -> None:
    x = leaf(3, 4)
    y = F.logsumexp(x @ F.transpose(x), axis=1)
    u, results = cotangent(y), []
    for _ in range(3):
        x.grad = None
        y.backward(u, retain_graph=True)
        results.append(x.grad.numpy().copy())
    np.testing.assert_array_equal(results[0], results[1])
    np.testing.assert_array_equal(results[0], results[2])


def test_a_gradient_is_written_into_the_buffer_that_an_optimizer_gave() -> None:
    x = leaf(3)
    x.grad_buffer = asarray(np.full(3, np.nan))
    for n in (1, 2):
        (x * 2).backward(np.ones(3))
        np.testing.assert_array_equal(to_numpy(x.grad_buffer), [2.0 * n] * 3)
        assert x.grad.data is x.grad_buffer


def test_no_contribution_is_aliased() -> None:
    """add hands the same array to both sides; summing into it in place would corrupt the other side."""
    a, b = leaf(3, seed=1), leaf(3, seed=2)
    s = a + b
    y = s + a * 2 + b * 3
    u = np.array([1.0, 10.0, 100.0])
    before = u.copy()
    ga, gb, gs = grad(y, [a, b, s], u)
    np.testing.assert_array_equal(ga.numpy(), 3 * before)
    np.testing.assert_array_equal(gb.numpy(), 4 * before)
    np.testing.assert_array_equal(gs.numpy(), before)
    np.testing.assert_array_equal(u, before)
    (a + b).backward(u)
    a.grad.data[...] = 0
    np.testing.assert_array_equal(b.grad.numpy(), before)
    np.testing.assert_array_equal(u, before)


def test_grad_leaves_dot_grad_alone_and_gives_zeros_where_nothing_depends() -> None:
    x, other = leaf(3), leaf(2)
    g, zero = grad((x * x).sum(), [x, other])
    np.testing.assert_allclose(g.numpy(), 2 * x.numpy())
    np.testing.assert_array_equal(zero.numpy(), [0, 0])
    assert x.grad is None
    assert isinstance(grad((x * x).sum(), x), Tensor)


def test_only_the_paths_to_the_inputs_are_walked() -> None:
    calls = []

    @primitive
    def watched(x):
        return x * 1

    @watched.vjp("x")
    def _(g):
        calls.append(1)
        return g

    x, w = leaf(2, seed=1), leaf(2, seed=2)
    grad((watched(w) + x).sum(), x)
    assert not calls
    grad((watched(w) + x).sum(), w)
    assert calls == [1]


# ------------------------------------------------------------------------------------------------------------- memory


def test_activations_are_freed_as_the_walk_goes() -> None:
    """When the first operation's rule runs, the values that later operations saved are gone already."""
    alive_at_the_end = []

    @primitive
    def watched(x):
        return x * 1

    @watched.vjp("x")
    def _(g):
        alive_at_the_end.extend(r() is not None for r in refs)
        return g

    x = leaf(100)
    h, refs = watched(x), []
    for _ in range(5):
        h = F.exp(h * 0.1)
        refs.append(weakref.ref(h.data))
    y = h.sum()
    del h
    assert all(r() is not None for r in refs)
    gc.disable()  # a cycle would need the collector; there must be none
    try:
        y.backward()
    finally:
        gc.enable()
    assert alive_at_the_end == [False] * 5


def test_dropping_the_output_frees_the_graph_without_the_collector() -> None:
    x = leaf(10)
    gc.disable()
    try:
        h = F.exp(x)
        ref = weakref.ref(h.data)
        y = h * h
        del h
        assert ref() is not None
        del y
        assert ref() is None
    finally:
        gc.enable()


def test_only_what_a_rule_names_is_kept() -> None:
    x = leaf(10)
    h = x * 2
    ref = weakref.ref(h.data)
    y = h + 1  # addition's gradient needs no value
    del h
    assert ref() is None
    assert y.requires_grad


def test_backward_twice_without_retain_graph_is_refused() -> None:
    x = leaf(2)
    h = F.exp(x)
    y = h.sum()
    y.backward()
    with pytest.raises(GraphError, match=r"sum: this graph was freed .* retain_graph=True"):
        y.backward()
    with pytest.raises(GraphError, match="freed"):
        (h * 2).sum().backward()


# ------------------------------------------------------------------------------------------- a gradient of a gradient


@given(seed=st.integers(0, 1000))
def test_third_order(seed: int) -> None:
    x = Tensor(np.random.default_rng(seed).uniform(0.5, 2, 3), requires_grad=True)
    y = x * x * x * x
    for factor, power in ((4, 3), (12, 2), (24, 1)):
        y = grad(y, x, np.ones(3), create_graph=True)
        np.testing.assert_allclose(y.numpy(), factor * x.numpy() ** power, rtol=1e-12)


def test_create_graph_by_a_tensor_inside_the_graph_and_by_its_own_leaf() -> None:
    w = leaf(3)
    h = F.exp(w * 0.5)
    z = (h * h * h).sum()
    by_h, by_w = grad(z, [h, w], create_graph=True)
    np.testing.assert_allclose(by_h.numpy(), 3 * h.numpy() ** 2)
    np.testing.assert_allclose(by_w.numpy(), 1.5 * h.numpy() ** 3)
    np.testing.assert_allclose(grad(by_h.sum(), h, retain_graph=True).numpy(), 6 * h.numpy())
    np.testing.assert_allclose(grad(by_h.sum(), w, retain_graph=True).numpy(), 3 * h.numpy() ** 2)
    np.testing.assert_allclose(grad(by_w.sum(), w, retain_graph=True).numpy(), 2.25 * h.numpy() ** 3)
    np.testing.assert_allclose(grad(z, h).numpy(), 3 * h.numpy() ** 2)  # and z's own graph is still there


def test_backward_with_create_graph_leaves_differentiable_gradients() -> None:
    x = leaf(3)
    (x * x * x).backward(np.ones(3), create_graph=True)
    np.testing.assert_allclose(grad(x.grad, x, np.ones(3)).numpy(), 6 * x.numpy())


def test_a_jacobian_vector_product_by_differentiating_the_cotangent() -> None:
    x, u, v = leaf(4), leaf(4, seed=1), np.random.default_rng(2).standard_normal(4)
    jtu = grad(F.tanh(x), x, u, create_graph=True)
    np.testing.assert_allclose(grad(jtu, u, v).numpy(), v * (1 - np.tanh(x.numpy()) ** 2), rtol=1e-13)


# ---------------------------------------------------------------------------------------------------------- recording


def test_no_grad_records_nothing_in_this_thread_only() -> None:
    x, seen = leaf(2), []
    with no_grad():
        assert not is_recording()
        assert not (x * 2).requires_grad
        thread = threading.Thread(target=lambda: seen.append((x * 2).requires_grad))
        thread.start()
        thread.join()
    assert seen == [True]
    assert (x * 2).requires_grad

    @no_grad()
    def evaluate() -> Tensor:
        return x * 2

    assert not evaluate().requires_grad
    with pytest.raises(ZeroDivisionError), no_grad():
        1 / 0  # noqa: B018
    assert is_recording()


def test_detach_and_constants_carry_no_gradient() -> None:
    x = leaf(2)
    assert not (x.detach() * 2).requires_grad
    assert not (Tensor([1.0]) * 2).requires_grad
    y = x * x.detach()
    y.backward(np.ones(2))
    np.testing.assert_array_equal(x.grad.numpy(), x.numpy())


def test_dtypes() -> None:
    assert Tensor([1.0, 2.0]).dtype == Tensor(3.0).dtype == np.float32
    assert Tensor(np.ones(2)).dtype == np.float64
    assert Tensor([1, 2]).dtype == np.int64
    assert (Tensor([1.0]) * 3.7 * np.float64(2)).dtype == np.float32
    assert (2**0.5 * Tensor([1.0]) / np.float64(3)).dtype == np.float32
    with pytest.raises(DTypeError, match="a tensor of int64 has no gradient"):
        Tensor([1, 2], requires_grad=True)
    with pytest.warns(UpcastWarning, match="add: float32 and float64"):
        assert (Tensor([1.0]) + asarray(np.ones(1))).dtype == np.float64
    assert Tensor([1.0]).astype(np.float64).dtype == np.float64  # which was asked for: no warning


def test_arrays_and_tensors_mix() -> None:
    a, x = asarray(np.array([1.0, 2.0])), leaf(2)
    for y in (a * x, a + x, a - x, a / x, a @ x):
        assert isinstance(y, Tensor)
        assert y.requires_grad
    np.testing.assert_array_equal(np.asarray(x.detach()), x.numpy())
    with pytest.raises(GraphError, match=r"use \.numpy\(\)"):
        np.asarray(x)
    w = leaf(2)
    (w * a).backward(np.ones(2))
    before = w.numpy().copy()
    w.data -= 0.5 * w.grad.data
    np.testing.assert_allclose(w.numpy(), before - 0.5 * to_numpy(a))


def test_python_protocols() -> None:
    x = Tensor(np.arange(6.0).reshape(2, 3))
    assert len(x) == 2
    assert [row.shape for row in x] == [(3,), (3,)]
    assert float(Tensor(2.5)) == 2.5
    assert bool(Tensor([1]))
    assert {x: 1}[x] == 1
    assert "requires_grad" in repr(leaf(2))
    assert "by exp" in repr(F.exp(leaf(2)))
    assert x.T.shape == (3, 2)
    assert (x.ndim, x.size) == (2, 6)
    with pytest.raises(ShapeError, match="has 6 entries"):
        x.item()
    with pytest.raises(ShapeError, match="no length"):
        len(Tensor(1.0))


# ---------------------------------------------------------------------------------------------- changes in place


@pytest.mark.numpy_only("CuPy cannot lock memory")
def test_an_operations_output_cannot_change() -> None:
    x = leaf(3)
    y = F.exp(x)
    with pytest.raises(ValueError, match="read-only"):
        y.data[0] = 1
    with pytest.raises(GraphError, match="output of exp"):
        y.data = np.zeros(3)
    z = Tensor(np.ones(3)) * 2
    with pytest.raises(ValueError, match="read-only"):
        z.data += 1


@pytest.mark.numpy_only("CuPy cannot lock memory")
def test_a_view_of_a_leaf_leaves_the_leaf_writable() -> None:
    x = leaf(2, 2)
    y = x.reshape(4)
    with pytest.raises(ValueError, match="read-only"):
        y.data[0] = 1
    x.data[0, 0] = 5.0
    same = F.astype(x, np.float64)
    x.data[0, 0] = 6.0
    assert same.shape == (2, 2)


CHANGES = {
    "entry": lambda x: x.data.__setitem__(0, 9.0),
    "entry through a view": lambda x: x.data[1:].__setitem__(0, 9.0),
    "in-place arithmetic": lambda x: setattr(x, "data", x.data.__isub__(1.0)),
    "swap": lambda x: x.data.__setitem__([0, 1], x.data[[1, 0]]),
    "assign": lambda x: x.assign(np.zeros(3)),
}


@pytest.mark.numpy_only("checksums of arrays are taken on the host")
@pytest.mark.parametrize("how", CHANGES)
def test_a_change_of_what_a_gradient_needs_is_detected(how: str) -> None:
    for make in (lambda x: x * x, lambda x: F.log(x.reshape(3) * 1.0 + 9) * x, lambda x: _cube(x)):
        x = leaf(3)
        y = make(x)
        CHANGES[how](x)
        with pytest.raises(GraphError, match=r"changed in place after the forward"):
            y.backward(np.ones(3))
    x = leaf(3)
    y = x + 1  # needs no value: the gradient is right all the same
    CHANGES[how](x)
    y.backward(np.ones(3))
    np.testing.assert_array_equal(x.grad.numpy(), [1, 1, 1])
    y = F.exp(x)  # needs its output, which did not change; a replay would need the input
    x.data[0] += 1
    with pytest.raises(GraphError, match="changed in place"):
        grad(y, x, np.ones(3), create_graph=True)


@pytest.mark.numpy_only("checksums of arrays are taken on the host")
def test_a_constant_array_that_a_gradient_needs_is_watched_too() -> None:
    x, c = leaf(3), np.ones(3)
    y = x * c
    c[1] = 7
    with pytest.raises(GraphError, match="changed in place"):
        y.backward(np.ones(3))


@pytest.mark.numpy_only("checksums of arrays are taken on the host")
def test_replacing_a_leafs_array_keeps_the_old_gradient_right() -> None:
    x = leaf(3)
    old = x.numpy().copy()
    y = x * x
    x.data = np.zeros(3)
    y.backward(np.ones(3), retain_graph=True)
    np.testing.assert_array_equal(x.grad.numpy(), 2 * old)
    with pytest.raises(GraphError, match="changed in place"):
        grad(y, x, np.ones(3), create_graph=True)


@pytest.mark.numpy_only("CuPy cannot lock memory")
def test_memory_of_an_optimizer_is_locked_but_assignable() -> None:
    flat = np.zeros(4)
    x = leaf(2)
    view = flat[1:3]
    view.flags.writeable = flat.flags.writeable = False
    x.data = view
    with pytest.raises(GraphError, match="belongs to an optimizer"):
        x.data = np.ones(2)
    with pytest.raises(ValueError, match="read-only"):
        x.data[0] = 1
    y = x * x
    x.assign(np.array([3.0, 4.0]))
    np.testing.assert_array_equal(flat, [0, 3, 4, 0])
    assert not flat.flags.writeable
    assert not x.data.flags.writeable
    with pytest.raises(GraphError, match="changed in place"):
        y.backward(np.ones(2))
    with pytest.raises(ShapeError, match="assign: got shape"):
        x.assign(np.ones(3))
    with writable(flat) as memory:
        memory[0] = 1
    assert not flat.flags.writeable


# -------------------------------------------------------------------------------------------------------------- errors


def test_misuse_is_refused_in_words() -> None:
    x = leaf(2)
    with pytest.raises(GraphError, match=r"shape \(2,\) is not a single number"):
        (x * 2).backward()
    with pytest.raises(ShapeError, match=r"cotangent of shape \(3,\), wanted \(2,\)"):
        (x * 2).backward(np.ones(3))
    with pytest.raises(GraphError, match="nothing in the graph"):
        Tensor([1.0]).backward()
    with pytest.raises(GraphError, match="input 1 does not require"):
        grad((x * 2).sum(), [x, Tensor([1.0])])


def test_a_rule_of_the_wrong_shape_is_refused() -> None:
    @primitive
    def wrong(a, b):
        return a + b

    @wrong.vjp("b")
    def _(g):
        return g  # unbroadcast is missing

    with pytest.raises(ShapeError, match=r"wrong: a gradient rule returned shape \(2, 3\) for .* \(3,\)"):
        wrong(asarray(np.ones((2, 3))), leaf(3)).backward(np.ones((2, 3)))


# ----------------------------------------------------------------------------------------------------- fused operations


def make_cube(scale: float = 3.0):
    @fused
    def cube(x, weight=None):
        return x * x * x

    @cube.kernel
    def _(x, weight, *, save):
        if x.ndim > 3:
            return NotImplemented
        return x * x * x, (x,) if save else None

    @cube.kernel_vjp("x", "weight")
    def _(g, residuals):
        (x,) = residuals
        return scale * g * x * x, None

    return cube


_cube = make_cube()


@pytest.mark.numpy_only("kernels run on NumPy alone")
def test_a_fused_operation_runs_its_kernel_and_its_twin() -> None:
    odd, x = make_cube(scale=5.0), leaf(3)  # the kernel's gradient betrays which of the two ran
    u = np.ones(3)
    np.testing.assert_allclose(grad(odd(x), x, u).numpy(), 5 * x.numpy() ** 2)
    with fast(False):
        np.testing.assert_allclose(grad(odd(x), x, u).numpy(), 3 * x.numpy() ** 2)
    np.testing.assert_allclose(grad(odd(x), x, u, create_graph=True).numpy(), 3 * x.numpy() ** 2)
    np.testing.assert_allclose(grad(odd(x), x, u).numpy(), 5 * x.numpy() ** 2)
    high = leaf(1, 1, 1, 3)  # the kernel declines four axes
    np.testing.assert_allclose(grad(odd(high), high, np.ones(high.shape)).numpy(), 3 * high.numpy() ** 2)
    fast(False)
    np.testing.assert_allclose(grad(odd(x), x, u).numpy(), 3 * x.numpy() ** 2)
    fast(True)
    np.testing.assert_allclose(grad(odd(x), x, u).numpy(), 5 * x.numpy() ** 2)


def test_a_fused_operation_in_every_surrounding() -> None:
    x = leaf(3)
    assert isinstance(_cube(x.numpy()), np.ndarray)
    assert not _cube(x.detach()).requires_grad
    with no_grad():
        assert not _cube(x).requires_grad
    gradcheck(lambda x: F.exp(_cube(x) * 0.1), x.data, order=2, every_entry=True)
    h = _cube(x)
    by_h, by_x = grad((h * h).sum(), [h, x], create_graph=True)
    np.testing.assert_allclose(grad(by_h.sum(), h, retain_graph=True).numpy(), [2, 2, 2])
    np.testing.assert_allclose(grad(by_x.sum(), x).numpy(), 30 * x.numpy() ** 4)


def test_unbroadcast() -> None:
    g = np.arange(24.0).reshape(2, 3, 4)
    np.testing.assert_array_equal(unbroadcast(g, (3, 1)), g.sum((0, 2))[:, None])
    np.testing.assert_array_equal(unbroadcast(g, ()), g.sum())
    assert unbroadcast(g, (2, 3, 4)) is g


def test_repr_shows_four_digits_and_the_ends_of_long_ones() -> None:
    assert repr(Tensor(np.array([1.23456, 2.0]))) == "Tensor([1.2346, 2.    ], float64)"
    assert repr(Tensor(np.array([[1.0, 2.0], [3.0, 4.0]]))) == "Tensor([[1., 2.],\n        [3., 4.]], float64)"
    assert "..." not in repr(Tensor(np.zeros(20)))
    assert "..." in repr(Tensor(np.zeros(21)))


def test_squeezed_and_swapped_operators() -> None:
    a, b = np.array([[2.0, 3.0]]), np.array([[4.0], [5.0]])
    np.testing.assert_array_equal((asarray(a) @ Tensor(b)).numpy(), a @ b)
    np.testing.assert_array_equal((2.0 ** Tensor(a)).numpy(), 2.0**a)
    np.testing.assert_array_equal((7.0 - Tensor(a)).numpy(), 7.0 - a)
    np.testing.assert_array_equal((7.0 / Tensor(a)).numpy(), 7.0 / a)
    x = Tensor(np.arange(6.0).reshape(1, 6))
    assert x.reshape(2, 3).shape == x.reshape((2, 3)).shape == (2, 3)
    assert x.reshape(-1).shape == (6,)
    assert x.transpose().shape == x.transpose(1, 0).shape == x.transpose((1, 0)).shape == (6, 1)


def test_unbroadcast_sums_only_what_was_stretched() -> None:
    g = np.random.default_rng(0).standard_normal((2, 1, 3, 4))
    np.testing.assert_allclose(unbroadcast(g, (1, 3, 1)), g.sum((0, 3), keepdims=True)[0])
    np.testing.assert_allclose(unbroadcast(g, (1, 1, 1, 1)), g.sum().reshape(1, 1, 1, 1))
    np.testing.assert_allclose(unbroadcast(g, (4,)), g.sum((0, 1, 2)))
    assert unbroadcast(g, (1, 3, 4)).shape == (1, 3, 4)


def test_a_gradient_that_has_a_history_is_added_to_not_overwritten() -> None:
    x = leaf(3)
    (x * x * x).backward(np.ones(3), create_graph=True)
    (x * 2).backward(np.ones(3))
    np.testing.assert_allclose(x.grad.numpy(), 3 * x.numpy() ** 2 + 2)
    (x * x).backward(np.ones(3), create_graph=True)
    np.testing.assert_allclose(x.grad.numpy(), 3 * x.numpy() ** 2 + 2 + 2 * x.numpy())
    np.testing.assert_allclose(grad(x.grad, x, np.ones(3)).numpy(), 6 * x.numpy() + 2)


@pytest.mark.numpy_only("np.shares_memory looks at NumPy's memory")
def test_gradients_share_memory_with_nobody() -> None:
    u = np.array([1.0, 2.0])
    a, b = leaf(2, seed=1), leaf(2, seed=2)
    (a + b).backward(u)
    for one, other in ((a.grad.data, b.grad.data), (a.grad.data, u), (b.grad.data, u)):
        assert not np.shares_memory(one, other)
    x, y = leaf(2, seed=3), leaf(2, 1, seed=4)
    gx, gy = grad(x.reshape(2, 1) + y, [x, y], np.ones((2, 1)))
    assert not np.shares_memory(gx.data, gy.data)


def test_no_grad_and_fast_nest() -> None:
    with no_grad():
        with no_grad():
            pass
        assert not is_recording()
    assert is_recording()
    with fast(False):
        with fast(True):
            assert fast.on
        assert not fast.on
    assert fast.on


def test_a_backward_within_no_grad_and_after_an_error_in_create_graph() -> None:
    x = leaf(2)
    y = F.exp(x)
    with no_grad():
        np.testing.assert_allclose(grad(y, x, np.ones(2), retain_graph=True).numpy(), np.exp(x.numpy()))

    @primitive
    def broken(x):
        return x * 1

    @broken.vjp("x")
    def _(g):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        grad(broken(x), x, np.ones(2), create_graph=True)
    first = grad(y, x, np.ones(2))
    assert first.node is None  # an ordinary backward again, that records nothing


def test_gradients_have_the_shape_and_dtype_of_their_values() -> None:
    x, other = Tensor([1.0, 2.0], requires_grad=True), Tensor(np.ones((2, 3)), requires_grad=True)
    g, zero = grad(x * 2, [x, other], np.ones(2))  # a float64 cotangent of a float32 value
    assert (g.dtype, zero.dtype, zero.shape) == (np.float32, np.float64, (2, 3))
    for create_graph in (False, True):
        assert grad(x, x, np.ones(2), create_graph=create_graph).dtype == np.float32  # the value itself
        (zero,) = grad(x * 2, [other], np.ones(2), create_graph=create_graph)
        assert (zero.numpy() == 0).all() and zero.shape == (2, 3)
    x.backward(np.array([3.0, 4.0]))
    assert x.grad.dtype == np.float32
    np.testing.assert_array_equal(x.grad.numpy(), [3, 4])


def test_a_backward_frees_values_even_while_the_output_is_held() -> None:
    for op in (lambda h: F.exp(h) * h, F.softmax):
        x = leaf(5)
        h = x * 2
        ref = weakref.ref(h.data)
        y = op(h)
        del h
        gc.disable()
        try:
            assert ref() is not None or op is F.softmax  # which saves its output only
            saved = [weakref.ref(a) for a in (y.node.saved if isinstance(y.node.saved, tuple) else ())
                     if isinstance(a, np.ndarray) and a is not y.data and a is not y.data.base]  # fmt: skip
            y.backward(np.ones(5))
            assert ref() is None and all(r() is None for r in saved)
            assert y.node.saved is None and not y.node.guards
        finally:
            gc.enable()


@pytest.mark.numpy_only("CuPy cannot lock memory")
def test_every_output_is_locked_down_to_the_memory_that_it_owns() -> None:
    x = leaf(2, 3)
    for y in (F.softmax(x), F.gelu(x), F.linear(x, np.ones((3, 2))), F.logsumexp(x, 1), F.exp(x), F.sum(x, 0),
              F.layer_norm(x, None, None), F.masked_scale(x, x.numpy() > 0, 2.0), x.detach() + 1):  # fmt: skip
        array = y.data
        while isinstance(array, np.ndarray):
            assert not array.flags.writeable
            array = array.base


@pytest.mark.numpy_only("CuPy cannot lock memory")
def test_an_operation_that_hands_its_input_on_does_not_lock_it() -> None:
    @primitive
    def same(x):
        return x

    @fused
    def same_by_a_kernel(x):
        return x * 1

    @same_by_a_kernel.kernel
    def _(x, *, save):
        return x, None

    @same_by_a_kernel.kernel_vjp("x")
    def _(g, residuals):
        return (g,)

    for op in (same, same_by_a_kernel):
        x = leaf(2)
        y = op(x)
        with pytest.raises(ValueError, match="read-only"):
            y.data[0] = 7
        x.data[0] = 5.0
        assert x.numpy()[0] == 5


def test_an_empty_output_is_no_single_number() -> None:
    with pytest.raises(GraphError, match=r"shape \(0,\) is not a single number"):
        (leaf(0) * 2).backward()
    with pytest.raises(ShapeError, match="has 0 entries"):
        Tensor(np.zeros(0)).item()


@pytest.mark.numpy_only("of a fused operation kernels are seen, or on a device its twin's parts")
def test_an_observer_sees_every_operation_and_rule_within_its_block_only() -> None:
    class Seen(Observer):
        def __init__(self) -> None:
            self.told: list = []

        def forward(self, operation, function):
            self.told.append(("forward", operation.name))
            return lambda *args, **options: function(*args, **options)

        def recorded(self, node):
            self.told.append(("recorded", node.label))

        def backward(self, node, g, cotangents):
            self.told.append(("backward", node.label))
            return cotangents

    x = leaf(3)
    before = F.softmax(F.exp(x))
    with Seen() as outer, Seen() as inner:
        y = F.softmax(F.exp(x))
        F.exp(x.numpy())
        F.softmax(x.numpy())
        grad(y, x, np.ones(3))
    wanted = [("forward", "exp"), ("recorded", "exp"), ("forward", "softmax"), ("recorded", "softmax"),
              ("forward", "exp"), ("forward", "softmax"), ("backward", "softmax"), ("backward", "exp")]  # fmt: skip
    assert outer.told == inner.told == wanted
    grad(before, x, np.ones(3))
    F.exp(x)
    assert outer.told == wanted


def test_only_floating_numbers_carry_a_gradient() -> None:
    for array in (np.array([True]), np.array([1], np.uint8), np.array([1]), np.array([1j])):
        with pytest.raises(DTypeError, match=f"a tensor of {array.dtype} has no gradient"):
            Tensor(array, requires_grad=True)


def test_the_warning_of_an_upcast_points_at_the_users_line() -> None:
    x = Tensor([1.0])
    for operation in (lambda: x + asarray(np.ones(1)), lambda: F.exp(x) * asarray(np.ones(1))):
        with pytest.warns(UpcastWarning) as seen:
            operation()
        assert (seen[0].filename, seen[0].lineno) == (__file__, operation.__code__.co_firstlineno)


def test_a_cotangent_of_too_many_entries_is_refused_too() -> None:
    @primitive
    def doubled(x):
        return x * 2

    doubled.vjp("x")(lambda g: g.sum())
    with pytest.raises(ShapeError, match=r"doubled: a gradient rule returned shape \(\) for .* \(3,\)"):
        doubled(leaf(3)).backward(np.ones(3))

    @primitive
    def picked(x):
        return x[0]

    picked.vjp("x")(lambda g, x_shape: asarray(np.ones((9, *x_shape))))
    with pytest.raises(ShapeError, match=r"picked: a gradient rule returned shape \(9, 3\) for .* \(3,\)"):
        picked(leaf(3)).backward()


def test_any_name_but_y_is_an_argument() -> None:
    @primitive
    def square(z):
        return z * z

    square.vjp("z")(lambda g, z: 2 * g * z)
    x = leaf(3)
    np.testing.assert_allclose(grad(square(x), x, np.ones(3)).numpy(), 2 * x.numpy())
