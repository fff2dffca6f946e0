"""Every elementary operation: value and gradient against PyTorch's, gradients to order 2 by their own slopes."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, mutually_broadcastable_shapes

from minilm import functional as F
from minilm.autograd import Tensor, grad, gradcheck
from minilm.backend import asarray, to_numpy
from minilm.errors import ConfigError, ShapeError

pytestmark = pytest.mark.every_device

seeds = st.integers(0, 2**32 - 1)
shapes = array_shapes(max_dims=4, max_side=4)
matrices = array_shapes(min_dims=2, max_dims=4, max_side=4)
pairs = mutually_broadcastable_shapes(num_shapes=2, max_dims=4, max_side=4).map(lambda s: s.input_shapes)


def any_axis(draw: Any, ndim: int) -> Any:
    """None, one axis or several, negative ones too: what a reduction accepts."""
    one = st.integers(-ndim, ndim - 1)
    several = st.lists(st.integers(0, ndim - 1), min_size=1, max_size=ndim, unique=True).map(tuple)
    return draw(st.one_of(st.none(), one, several))


def positive(x: np.ndarray) -> np.ndarray:
    return np.abs(x) + 0.3


def away_from(x: np.ndarray, *kinks: float) -> np.ndarray:
    """The same numbers, moved off the points where a function has no slope, which a difference would straddle."""
    for kink in kinks:
        x = np.where(np.abs(x - kink) < 0.05, x + 0.2, x)
    return x


def compare(ours: Any, theirs: Any, arrays: list[np.ndarray], rng: np.random.Generator) -> None:
    """Value and all gradients equal PyTorch's, gradients are right to order 2, entry by entry at order 1."""
    tensors = [Tensor(a, requires_grad=True) for a in arrays]
    references = [torch.tensor(a, requires_grad=True) for a in arrays]
    y, expected = ours(*tensors), theirs(*references)
    assert y.shape == tuple(expected.shape)
    np.testing.assert_allclose(y.numpy(), expected.detach().numpy(), rtol=1e-12, atol=1e-12)
    u = rng.standard_normal(y.shape)
    wanted = torch.autograd.grad(expected, references, torch.tensor(u), allow_unused=True)
    for a, g, w in zip(arrays, grad(y, tensors, u), wanted, strict=True):
        assert g.shape == a.shape
        w = np.zeros(a.shape) if w is None else w.numpy()
        np.testing.assert_allclose(g.numpy(), w, rtol=1e-10, atol=1e-11)
    raw = ours(*[asarray(a) for a in arrays])  # arrays in, the same array out
    assert not isinstance(raw, Tensor)
    np.testing.assert_array_equal(to_numpy(raw), y.numpy())
    seed = int(rng.integers(2**32))
    gradcheck(ours, *arrays, seed=seed, every_entry=True)
    gradcheck(ours, *arrays, seed=seed, order=2)


@dataclass
class Case:
    ours: Any
    theirs: Any
    prepare: tuple[Any, ...] = ()  # for each argument, what makes random numbers fit the domain


def identity(x: np.ndarray) -> np.ndarray:
    return x


BINARY = {
    "add": Case(F.add, torch.add),
    "subtract": Case(F.subtract, torch.subtract),
    "multiply": Case(F.multiply, torch.multiply),
    "divide": Case(F.divide, torch.divide, (identity, positive)),
    "power": Case(F.power, torch.pow, (positive, identity)),
    "maximum": Case(F.maximum, torch.maximum),
    "minimum": Case(F.minimum, torch.minimum),
    "a + b": Case(lambda a, b: a + b, torch.add),
    "a - b": Case(lambda a, b: a - b, torch.subtract),
    "a * b": Case(lambda a, b: a * b, torch.multiply),
    "a / b": Case(lambda a, b: a / b, torch.divide, (identity, positive)),
    "a ** b": Case(lambda a, b: a**b, torch.pow, (positive, identity)),
}


@pytest.mark.parametrize("name", BINARY)
@given(of=pairs, seed=seeds)
def test_binary(name: str, of: tuple, seed: int) -> None:
    case, rng = BINARY[name], np.random.default_rng(seed)
    prepare = case.prepare or (identity, identity)
    a, b = (p(rng.standard_normal(s)) for p, s in zip(prepare, of, strict=True))
    if name in ("maximum", "minimum"):
        b = np.where(np.abs(a - b) < 0.02, b + 0.1, b) if a.shape == b.shape else b + 10 * np.sign(b)
        rounded_a, rounded_b = np.round(2 * a) / 2, np.round(2 * b) / 2 + 0.25
        a, b = rounded_a, rounded_b  # never closer than a quarter
    compare(case.ours, case.theirs, [a, b], rng)


UNARY = {
    "negative": Case(F.negative, torch.negative),
    "exp": Case(F.exp, torch.exp),
    "log": Case(F.log, torch.log, (positive,)),
    "sqrt": Case(F.sqrt, torch.sqrt, (positive,)),
    "tanh": Case(F.tanh, torch.tanh),
    "sigmoid": Case(F.sigmoid, torch.sigmoid),
    "erf": Case(F.erf, torch.erf),
    "abs": Case(F.abs, torch.abs, (lambda x: away_from(x, 0),)),
    "clip": Case(lambda x: F.clip(x, -0.5, 0.7), lambda x: x.clamp(-0.5, 0.7), (lambda x: away_from(x, -0.5, 0.7),)),
    "clip below": Case(lambda x: F.clip(x, low=0.1), lambda x: x.clamp(min=0.1), (lambda x: away_from(x, 0.1),)),
    "clip above": Case(lambda x: F.clip(x, high=0.1), lambda x: x.clamp(max=0.1), (lambda x: away_from(x, 0.1),)),
    "x ** 3": Case(lambda x: x**3, lambda x: x**3),
    "x ** 0": Case(lambda x: x**0, lambda x: x**0),
    "2 ** x": Case(lambda x: F.power(2.0, x), lambda x: 2.0**x),
    "1 - x": Case(lambda x: 1 - x, lambda x: 1 - x),
    "1 / x": Case(lambda x: 1 / x, lambda x: 1 / x, (positive,)),
    "x + x * x": Case(lambda x: x + x * x, lambda x: x + x * x),
    "astype": Case(lambda x: F.astype(x, np.float64), lambda x: x.double()),
    "sign has no slope": Case(lambda x: x * F.sign(x), lambda x: x * x.sign(), (lambda x: away_from(x, 0),)),
}


@pytest.mark.parametrize("name", UNARY)
@given(of=shapes, seed=seeds)
def test_unary(name: str, of: tuple, seed: int) -> None:
    case, rng = UNARY[name], np.random.default_rng(seed)
    x = rng.standard_normal(of)
    compare(case.ours, case.theirs, [case.prepare[0](x) if case.prepare else x], rng)


REDUCTIONS = {
    "sum": (F.sum, torch.sum),
    "mean": (F.mean, torch.mean),
    "var": (F.var, lambda x, axis, keepdim: torch.var(x, axis, correction=0, keepdim=keepdim)),
    "max": (F.max, torch.amax),
    "min": (F.min, torch.amin),
    "logsumexp": (F.logsumexp, torch.logsumexp),
}


@pytest.mark.parametrize("name", REDUCTIONS)
@given(data=st.data(), of=shapes, seed=seeds, keep=st.booleans())
def test_reductions(name: str, data: Any, of: tuple, seed: int, keep: bool) -> None:
    (ours, theirs), rng = REDUCTIONS[name], np.random.default_rng(seed)
    axis = any_axis(data.draw, len(of))
    every = tuple(range(len(of))) if axis is None else axis
    x = rng.permutation(math.prod(of)).reshape(of) / 3.0 - 2  # distinct, so that the largest has a slope
    compare(lambda x: ours(x, axis, keepdims=keep), lambda x: theirs(x, every, keepdim=keep), [x], rng)


@given(of=shapes, seed=seeds)
def test_var_with_correction(of: tuple, seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((*of, 3))
    compare(lambda x: F.var(x, -1, correction=1), lambda x: torch.var(x, -1, correction=1), [x], rng)


@given(of=shapes, seed=seeds, data=st.data())
def test_equal_maxima_share_the_gradient(of: tuple, seed: int, data: Any) -> None:
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 3, of).astype(float)
    axis = data.draw(st.integers(0, len(of) - 1))
    for ours, theirs in ((F.max, torch.amax), (F.min, torch.amin)):
        t, reference = Tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
        u = rng.standard_normal(np.delete(of, axis))
        g = grad(ours(t, axis), t, u)
        w = torch.autograd.grad(theirs(reference, axis), reference, torch.tensor(u))[0]
        np.testing.assert_allclose(g.numpy(), w.numpy(), rtol=1e-12)


@given(of=pairs, seed=seeds)
def test_ties_of_maximum_and_minimum_share_the_gradient(of: tuple, seed: int) -> None:
    rng = np.random.default_rng(seed)
    arrays = [rng.integers(0, 2, s).astype(float) for s in of]
    for ours, theirs in ((F.maximum, torch.maximum), (F.minimum, torch.minimum)):
        tensors = [Tensor(a, requires_grad=True) for a in arrays]
        references = [torch.tensor(a, requires_grad=True) for a in arrays]
        y = ours(*tensors)
        u = rng.standard_normal(y.shape)
        for g, w in zip(grad(y, tensors, u), torch.autograd.grad(theirs(*references), references, torch.tensor(u)),
                        strict=True):  # fmt: skip
            np.testing.assert_allclose(g.numpy(), w.numpy(), rtol=1e-12, atol=1e-12)


@given(of=pairs, seed=seeds)
def test_where(of: tuple, seed: int) -> None:
    rng = np.random.default_rng(seed)
    condition = rng.integers(0, 2, of[0]).astype(bool)
    a, b = (rng.standard_normal(s) for s in of)
    compare(
        lambda a, b: F.where(asarray(condition), a, b),
        lambda a, b: torch.where(torch.tensor(condition), a, b),
        [a, b],
        rng,
    )


@pytest.mark.parametrize("name", ["equal", "greater", "greater_equal", "less", "less_equal"])
@given(of=pairs, seed=seeds)
def test_comparisons_carry_no_gradient(name: str, of: tuple, seed: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = (rng.integers(0, 3, s).astype(float) for s in of)
    y = getattr(F, name)(Tensor(a, requires_grad=True), asarray(b))
    assert not y.requires_grad
    np.testing.assert_array_equal(y.numpy(), getattr(np, name)(a, b))


def test_operators_compare() -> None:
    a, b = Tensor([1.0, 2.0, 3.0]), Tensor([2.0, 2.0, 2.0])
    for y, expected in (
        (a < b, [1, 0, 0]),
        (a <= b, [1, 1, 0]),
        (a > b, [0, 0, 1]),
        (a >= b, [0, 1, 1]),
        (a == b, [0, 1, 0]),
    ):
        np.testing.assert_array_equal(y.numpy(), np.array(expected, dtype=bool))


@given(of=shapes, seed=seeds, data=st.data())
def test_cumsum_and_argmax(of: tuple, seed: int, data: Any) -> None:
    rng = np.random.default_rng(seed)
    axis = data.draw(st.integers(-len(of), len(of) - 1))
    x = rng.standard_normal(of)
    compare(lambda x: F.cumsum(x, axis), lambda x: torch.cumsum(x, axis), [x], rng)
    np.testing.assert_array_equal(F.argmax(Tensor(x), axis).numpy(), x.argmax(axis))


@given(of=shapes, seed=seeds, data=st.data())
def test_shapes(of: tuple, seed: int, data: Any) -> None:
    rng = np.random.default_rng(seed)
    n = len(of)
    x = rng.standard_normal(of)
    order = data.draw(st.permutations(range(n)).map(tuple))
    signed = tuple(i - n if rng.integers(2) else i for i in order)
    i, j = data.draw(st.integers(-n, n - 1)), data.draw(st.integers(-n, n - 1))
    compare(lambda x: F.transpose(x, signed), lambda x: x.permute(order), [x], rng)
    compare(lambda x: F.transpose(x), lambda x: x.permute(tuple(range(n))[::-1]), [x], rng)
    compare(lambda x: F.swapaxes(x, i, j), lambda x: x.swapaxes(i, j), [x], rng)
    compare(lambda x: F.reshape(x, (-1,)), lambda x: x.reshape(-1), [x], rng)
    compare(lambda x: F.expand_dims(x, i), lambda x: x.unsqueeze(i), [x], rng)
    compare(lambda x: F.squeeze(F.expand_dims(x, i), i), lambda x: x, [x], rng)
    wide = (2, *of)
    compare(lambda x: F.broadcast_to(x, wide), lambda x: x.expand(wide), [x], rng)
    widths = [tuple(int(w) for w in rng.integers(0, 3, 2)) for _ in of]
    flat = [w for pair in widths[::-1] for w in pair]
    compare(lambda x: F.pad(x, widths, 1.5), lambda x: torch.nn.functional.pad(x, flat, value=1.5), [x], rng)


@given(of=matrices, seed=seeds, k=st.integers(-3, 3))
def test_triangles(of: tuple, seed: int, k: int) -> None:
    rng = np.random.default_rng(seed)
    x = rng.standard_normal(of)
    compare(lambda x: F.triu(x, k), lambda x: torch.triu(x, k), [x], rng)
    compare(lambda x: F.tril(x, k), lambda x: torch.tril(x, k), [x], rng)


@given(of=shapes, seed=seeds, data=st.data())
def test_concatenate_stack_split(of: tuple, seed: int, data: Any) -> None:
    rng = np.random.default_rng(seed)
    axis = data.draw(st.integers(-len(of), len(of) - 1))
    sizes = data.draw(st.lists(st.integers(1, 3), min_size=1, max_size=3))
    parts = [rng.standard_normal([n if i == axis % len(of) else m for i, m in enumerate(of)]) for n in sizes]
    compare(lambda *xs: F.concatenate(xs, axis), lambda *xs: torch.cat(xs, axis), parts, rng)
    same = [rng.standard_normal(of) for _ in sizes]
    compare(lambda *xs: F.stack(xs, axis), lambda *xs: torch.stack(xs, axis), same, rng)
    whole = np.concatenate(parts, axis)
    weights = [rng.standard_normal() for _ in sizes]
    summed = [sum(float((p * w).sum()) for p, w in zip(F.split(asarray(whole), sizes, axis), weights, strict=True))]
    np.testing.assert_allclose(summed, sum((p * w).sum() for p, w in zip(parts, weights, strict=True)))
    compare(
        lambda x: F.concatenate([p * w for p, w in zip(F.split(x, sizes, axis), weights, strict=True)], axis),
        lambda x: torch.cat([p * w for p, w in zip(torch.split(x, sizes, axis), weights, strict=True)], axis),
        [whole],
        rng,
    )
    pieces = F.split(asarray(np.repeat(whole, 2, axis)), 2, axis)
    assert [p.shape for p in pieces] == [whole.shape] * 2


INDICES = {
    "integer": 1,
    "negative": -1,
    "slice": slice(1, None),
    "reversed": slice(None, None, -2),
    "ellipsis": (..., 0),
    "new axis": (None, slice(None), None),
    "mixed basic": (0, slice(0, 2), -1),
    "repeated rows": np.array([0, 2, 2, 0, 1]),
    "matrix of rows": np.array([[0, 1], [1, 1]]),
    "pairs": (np.array([0, 2, 0]), np.array([1, 1, 1])),
    "rows and slice": (np.array([0, 0]), slice(None), np.array([2, 2])),
    "list": [2, 0, 2],
    "mask": np.arange(3 * 4 * 5).reshape(3, 4, 5) % 3 == 0,
    "row mask": np.array([True, False, True]),
}


def placed(part: Any) -> Any:
    return asarray(part) if isinstance(part, np.ndarray) else part


@pytest.mark.parametrize("name", INDICES)
def test_indexing(name: str) -> None:
    rng, index = np.random.default_rng(0), INDICES[name]
    here = tuple(map(placed, index)) if isinstance(index, tuple) else placed(index)
    if name in ("reversed",):  # PyTorch has no negative steps
        compare(lambda x: x[here], lambda x: x.flip(0)[::2], [rng.standard_normal((3, 4, 5))], rng)
        return
    theirs = torch.tensor(index) if isinstance(index, np.ndarray) else index
    if isinstance(index, tuple):
        theirs = tuple(torch.tensor(i) if isinstance(i, np.ndarray) else i for i in index)
    compare(lambda x: F.getitem(x, here), lambda x: x[theirs], [rng.standard_normal((3, 4, 5))], rng)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_entries_picked_one_by_one(dtype: type) -> None:
    """The cotangent of each is a bare number."""
    x = Tensor(np.array([2, 3, 5], dtype), requires_grad=True)
    (x[0] * x[1] * x[1]).backward()
    np.testing.assert_array_equal(x.grad.numpy(), np.array([9, 12, 0], dtype))


def test_indexing_by_a_tensor() -> None:
    rng = np.random.default_rng(0)
    x, ids = rng.standard_normal((5, 2)), np.array([4, 0, 4])
    np.testing.assert_array_equal(F.getitem(Tensor(x), Tensor(ids)).numpy(), x[ids])


@given(of=matrices, seed=seeds, data=st.data())
def test_take_along_axis(of: tuple, seed: int, data: Any) -> None:
    rng = np.random.default_rng(seed)
    axis = data.draw(st.integers(-len(of), len(of) - 1))
    count = data.draw(st.integers(1, 4))
    indices = rng.integers(0, of[axis], [count if i == axis % len(of) else n for i, n in enumerate(of)])
    x = rng.standard_normal(of)
    theirs = torch.tensor(indices)
    compare(lambda x: F.take_along_axis(x, asarray(indices), axis), lambda x: x.gather(axis, theirs), [x], rng)


products = st.tuples(
    mutually_broadcastable_shapes(num_shapes=2, max_dims=2, max_side=3).map(lambda s: s.input_shapes),
    st.tuples(st.integers(1, 4), st.integers(1, 4), st.integers(1, 4)),
)


@given(of=products, seed=seeds)
def test_matmul(of: tuple, seed: int) -> None:
    rng = np.random.default_rng(seed)
    (left, right), (n, k, m) = of
    compare(F.matmul, torch.matmul, [rng.standard_normal((*left, n, k)), rng.standard_normal((*right, k, m))], rng)
    compare(F.matmul, torch.matmul, [rng.standard_normal(k), rng.standard_normal((*right, k, m))], rng)
    compare(F.matmul, torch.matmul, [rng.standard_normal((*left, n, k)), rng.standard_normal(k)], rng)
    compare(lambda a, b: a @ b, torch.matmul, [rng.standard_normal(k), rng.standard_normal(k)], rng)


EINSUMS = ["ij,jk->ik", "bthk,bshk->bhts", "i,i->", "i,j->ij", "ij->ji", "ijk->i", "bij,bj->bi", "ij,jk,kl->il",
           "ij,ij->j", "ab,cd->", "bij,kj,bk->bi"]  # fmt: skip


@pytest.mark.parametrize("spec", EINSUMS)
@given(seed=seeds)
def test_einsum(spec: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    sizes = {c: int(rng.integers(1, 4)) for c in sorted(set(spec) & set("abcdhijklst"))}
    arrays = [rng.standard_normal([sizes[c] for c in term]) for term in spec.split("->")[0].split(",")]
    compare(lambda *xs: F.einsum(spec, *xs), lambda *xs: torch.einsum(spec, *xs), arrays, rng)


def test_extreme_values() -> None:
    big = Tensor(np.array([[1000.0, 1001.0], [-np.inf, -np.inf], [-np.inf, 0.0]]), requires_grad=True)
    y = F.logsumexp(big, axis=1)
    np.testing.assert_allclose(y.numpy(), [1001 + math.log1p(math.exp(-1)), -np.inf, 0])
    g = grad(y, big, np.ones(3)).numpy()
    p = 1 / (1 + math.e)
    np.testing.assert_allclose(g, [[p, 1 - p], [0, 0], [0, 1]])
    s = Tensor(np.array([-1e4, 1e4]), requires_grad=True)
    np.testing.assert_array_equal(F.sigmoid(s).numpy(), [0, 1])
    np.testing.assert_array_equal(grad(F.sigmoid(s), s, np.ones(2)).numpy(), [0, 0])
    zero = Tensor(np.array([0.0, 2.0]), requires_grad=True)
    np.testing.assert_array_equal(grad(zero**0, zero, np.ones(2)).numpy(), [0, 0])
    np.testing.assert_array_equal(grad(F.power(asarray(np.array([0.0, 1.0])), zero), zero, np.ones(2)).numpy(), [0, 0])


@given(of=pairs, seed=seeds)
def test_float32_stays_float32(of: tuple, seed: int) -> None:
    rng = np.random.default_rng(seed)
    arrays = [positive(rng.standard_normal(s)).astype(np.float32) for s in of]
    for name, case in BINARY.items():
        tensors = [Tensor(a, requires_grad=True) for a in arrays]
        y = case.ours(*tensors)
        gradients = grad(y, tensors, np.ones(y.shape))
        assert [y.dtype, *[g.dtype for g in gradients]] == [np.float32] * 3, name
    for name, case in UNARY.items():
        if name == "astype":
            continue
        x = Tensor(arrays[0], requires_grad=True)
        y = case.ours(x) * np.float64(2) + 1.0
        assert y.dtype == grad(y, x, np.ones(y.shape)).dtype == np.float32, name


ERRORS = {
    "add: shapes (2,) and (3,) do not broadcast": lambda: Tensor([1.0, 2]) + Tensor([1.0, 2, 3]),
    "multiply: shapes (2,) and (3,)": lambda: Tensor([1.0, 2]) * Tensor([1.0, 2, 3]),
    "matmul: (8, 16) @ (32, 4): inner sizes 16 and 32 differ": lambda: Tensor(np.ones((8, 16))) @ np.ones((32, 4)),
    "matmul: shapes (2,) and (3,)": lambda: F.matmul(np.ones((2, 1, 1)), np.ones((3, 1, 1))),
    "matmul: () @ (2,)": lambda: F.matmul(Tensor(1.0), np.ones(2)),
    "reshape: 6 entries of shape (2, 3) do not fit shape (4,)": lambda: Tensor(np.ones((2, 3))).reshape(4),
    "broadcast_to: shape (2,)": lambda: F.broadcast_to(Tensor([1.0, 2]), (3,)),
    "squeeze: axis 0": lambda: F.squeeze(Tensor([1.0, 2]), 0),
    "concatenate: shapes": lambda: F.concatenate([np.ones((2, 3)), np.ones((2, 4))], axis=0),
    "stack: shapes": lambda: F.stack([Tensor([1.0]), Tensor([1.0, 2])]),
    "split: an axis of size 5": lambda: F.split(Tensor(np.ones(5)), 2),
    "index 5 does not fit shape (2,)": lambda: Tensor([1.0, 2])[5],
    "take_along_axis: indices of shape (1,)": lambda: F.take_along_axis(np.ones((2, 2)), np.array([0]), 0),
    "einsum: 'ij' does not fit shape (3,)": lambda: F.einsum("ij->i", Tensor(np.ones(3))),
}


@pytest.mark.parametrize("message", ERRORS)
def test_errors_name_the_shapes(message: str) -> None:
    with pytest.raises(ShapeError) as error:
        ERRORS[message]()
    assert message in str(error.value)


@pytest.mark.parametrize("spec", ["ij", "ii->i", "ij,jk->ik", "ij->z"])
def test_einsum_refuses_what_it_cannot_read(spec: str) -> None:
    with pytest.raises(ConfigError, match="einsum"):
        F.einsum(spec, Tensor(np.ones((2, 2))))


def test_wrong_arguments_are_named() -> None:
    with pytest.raises(TypeError, match="power: argument 'b' is missing"):
        F.power(Tensor([1.0]))
    with pytest.raises(TypeError, match="exp: unexpected arguments"):
        F.exp(Tensor([1.0]), axis=0)
