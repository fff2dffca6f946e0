"""What the strict device says of CuPy is asked of CuPy itself, wherever there is a GPU; elsewhere, of NumPy.

Each expression below is computed by the double and by the other: the same kind of result, dtype, shape and numbers, and
on CuPy the same place in memory. Where the double refuses what CuPy takes (test_double.py), nothing is compared.
"""

import numpy as np
import pytest
from double import refusing
from strict import strict

from minilm import backend

# by what may go wrong; one expression between two bars
NUMBERS = """
    a * 2 | a * 2.0 | a * np.float64(2) | a * np.float32(2) | np.float64(2) * a | np.float32(2) * a | a + b | a * h |
    h * 2.0 | h * np.float32(2) | i * 2.0 | i * np.float32(2) | n * 2.0 | i / 2 | n / 2 | m * 2 | m * 2.0 | m + m |
    m * a | m / m.sum(1, keepdims=True) | u + 10 | u * 2.0 | a + z | i + z | z * 2 | z + b | a**2 | a**-1.0 | i**2 |
    2.0**a | a % 2 | a // 2 | -i % 3 | -i // 2 | a / 0 | ~m | m & m | m ^ m | 1 - a | 1.0 / b | a * np.int64(2) |
    i * np.int32(2) | a == 2 | a != a | i == 1.0 | f == f | a.astype(np.int64) | f.astype(bool) |
    a.astype(np.float16) | a.view(np.int32)
"""
FUNCTIONS = """
    xp.where(m, a, 0) | xp.where(m, a, -np.inf) | xp.where(m, b, a) | xp.where(m, 1, 0) | xp.where(m, 1.0, a) |
    xp.where(m, z, a) | xp.where(m, i, a) | xp.where(m, np.float64(1), a) | xp.maximum(a, 0) | xp.maximum(a, 0.0) |
    xp.maximum(a, np.float64(0)) | xp.maximum(f, 0) | xp.minimum(f, 0) | xp.clip(a, -1, 1) | xp.clip(a, None, 1) |
    a.clip(0, None) | xp.clip(i, 0, 1) | xp.sign(f) | xp.abs(f) | xp.sqrt(f) | xp.log(f) | xp.exp(f) | xp.exp(i) |
    xp.exp(m) | xp.exp(h) | xp.sqrt(i) | xp.tanh(n) | xp.isnan(f) | xp.isfinite(f) | xp.signbit(f) |
    xp.copysign(f, -1.0) | xp.square(i) | xp.floor(a) | xp.reciprocal(a)
"""
REDUCTIONS = """
    xp.sum(a) | xp.sum(n) | xp.sum(m) | xp.sum(h) | xp.sum(u) | a.sum(0) | a.sum((0, 1)) | a.mean() | i.mean() |
    h.mean() | m.mean() | a.max(0) | a.argmax(-1) | m.argmax(1) | m.any(1) | m.all() | a.prod(0) | xp.cumsum(a, 1) |
    xp.cumsum(m, 1) | xp.cumsum(n) | a.min() | e.sum(0) | e.sum() | f.max() | f.min() | f.argmax() | f.sum() |
    f.any() | a.sum().item()
"""
MAKING = """
    xp.arange(3) | xp.arange(3.0) | xp.zeros(3) | xp.ones((2,), dtype=bool) | xp.full(3, 1) | xp.full(3, 1.5) |
    xp.full(3, np.float32(1)) | xp.full_like(a, 7) | xp.eye(2, 3, 1, dtype=np.float32) | xp.asarray(3) |
    xp.asarray(3.0) | xp.asarray([1, 2]) | xp.asarray(True) | xp.asarray(np.float32(1)) |
    xp.asarray(a, dtype=np.float64) | xp.array([1.0, 2.0], dtype=np.float32)
"""
CHOOSING = """
    a.T | a[:, ::-1] | a[None] | a[..., 0] | a[1] | a[1, 2] | a[n[:2]] | a[:, n] | a[m] | a[-1] | a[..., None, n] |
    a.reshape(-1) | a.T.reshape(-1) | a.T.ravel() | a.swapaxes(0, 1) | xp.moveaxis(a, 0, 1) |
    xp.transpose(a, (1, 0)) | xp.broadcast_to(a, (4, 2, 3)) | xp.broadcast_to(z, (2,)) | xp.expand_dims(a, 0) |
    a[:, None].squeeze(1) | a.repeat(2, 1) | a.take(n) | a.take(n, 1) | xp.stack([a, b], -1) |
    xp.concatenate([a, b]) | xp.concatenate([a, i]) | xp.pad(a, ((0, 0), (1, 2)), constant_values=-1) |
    xp.triu(a, 1) | xp.tril(m) | xp.take_along_axis(a, i, 1) | len(a) | [row.shape for row in a] | a.tolist() |
    float(z)
"""
PRODUCTS = """
    xp.matmul(a, a.T) | a @ a[0] | a[0] @ a[0] | a @ b.T | xp.dot(a[0], a[0]) | xp.matmul(e, a.T) |
    xp.matmul(e.T, e) | i @ i.T | m @ m.T | h @ h.T | xp.matmul(a[None], xp.stack([a.T, a.T])) |
    xp.broadcast_to(a, (2, 2, 3)) @ a.T
"""
NO_DTYPES = """
    xp.asarray(np.ones(2, np.longdouble)) | a.astype(np.longdouble) | xp.asarray([None]) | xp.asarray(np.array(["a"]))
"""
PLACES = """
    a.strides | xp.asarray(np.zeros((2, 3)).T).strides | xp.asarray(np.zeros((4, 4))[::2, ::2]).strides |
    xp.ones_like(a.T).strides | a.T.strides | a.T.copy().strides | (a.T + 0).strides | (a.T + a.T).strides |
    (2 * a.T).strides | (-a.T).strides | (a.T < 1).strides | xp.exp(a.T).strides | xp.where(m.T, a.T, 0).strides |
    xp.clip(a.T, 0, 1).strides | a.T.clip(0, 1).strides | xp.zeros_like(a.T).strides | xp.empty_like(a.T).strides |
    xp.full_like(a.T, 1).strides | a.T.astype(np.float64).strides | a.T.flatten().strides |
    a[:, ::-1].flags.c_contiguous | a.T.flags.f_contiguous | a[0].base is a | a.reshape(-1).base is a |
    a.copy().base is None | (a + 0).base is None | a.T.base is a | a[None][0].base is a | a.view().base is a |
    a.ravel().base is a | a[...].base is a | a.reshape(2, 3) is a | a.astype(np.float32, copy=False) is a |
    xp.asarray(a) is a | xp.broadcast_to(a, (2, 2, 3)).base is a | xp.squeeze(a[None], 0).base is a |
    a.squeeze() is a | xp.cumsum(t, 0).strides | xp.stack([t, t]).strides | xp.concatenate([t, t]).strides |
    xp.pad(t, 1).strides | xp.triu(t).strides | (t @ t.swapaxes(1, 2)).strides | xp.matmul(a.T, a).strides |
    xp.dot(a.T, a).strides | t[n].strides | t[t > 5].strides | t.repeat(2, 1).strides
"""


def listed(table):
    return [" ".join(expression.split()) for expression in table.split("|") if expression.strip()]


EXPRESSIONS = [e for t in (NUMBERS, FUNCTIONS, REDUCTIONS, MAKING, CHOOSING, PRODUCTS) for e in listed(t)]


def given(xp):
    """What the letters stand for; f holds what is no ordinary number, z no axis, e no entry; t is turned round."""
    a = np.arange(6, dtype=np.float32).reshape(2, 3) - 2
    on_host = {
        "a": a, "b": a.astype(np.float64), "h": a.astype(np.float16), "m": a > 0, "z": np.array(2.5, np.float32),
        "i": np.array([[2, 0, 1], [1, 1, 0]]), "n": np.array([1, 0, 1], np.int32), "u": np.array([250, 3, 9], np.uint8),
        "e": np.zeros((0, 3), np.float32), "f": np.array([np.nan, 1, -np.inf, 0.0, -0.0], np.float32),
        "t": np.arange(24, dtype=np.float32).reshape(2, 3, 4),
    }  # fmt: skip
    made = {name: xp.asarray(array) for name, array in on_host.items()}
    return {"xp": xp, "np": np, **made, "t": made["t"].transpose(2, 0, 1)}


def outcome(expression, xp):
    """(kind, dtype, shape, values) of what it comes to; of an error, its kind alone."""
    try:
        with np.errstate(all="ignore"):
            y = eval(expression, given(xp))
    except Exception as error:
        return (type(error).__name__,)
    if not isinstance(y, xp.ndarray | np.generic):
        return "other", y
    y = backend.to_numpy(y)
    return "array", y.dtype, y.shape, y.astype(np.float64)


def same(found, wanted):
    if found[0] != "array" or wanted[0] != "array":
        return found == wanted
    precision = 2e-3 if found[1] == np.float16 else 1e-6
    return found[1:3] == wanted[1:3] and np.allclose(found[3], wanted[3], rtol=precision, atol=1e-30, equal_nan=True)


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_the_double_computes_what_numpy_computes(expression):
    assert same(outcome(expression, strict), outcome(expression, np))


@pytest.mark.gpu
@pytest.mark.parametrize("expression", EXPRESSIONS + listed(NO_DTYPES) + listed(PLACES))
def test_the_double_is_as_cupy_is(expression):
    import cupy

    with refusing():
        assert same(outcome(expression, strict), outcome(expression, cupy))


@pytest.mark.gpu
def test_cupy_adds_up_in_places_as_the_double_does():
    import cupy

    for xp in (strict, cupy):
        a = xp.zeros((3, 2))
        xp.add.at(a, xp.asarray([1, 4, 1, 0]), xp.asarray([[1.0], [2.0], [3.0], [4.0]]))  # 4 wraps to 1
        np.testing.assert_array_equal(a.get(), [[4, 4], [6, 6], [0, 0]])
        xp.add.at(a, xp.zeros(0, dtype=int), xp.zeros((0, 2)))
        xp.add.at(a, xp.asarray([[True, False], [False, True], [True, True]]), 1.0)
        np.testing.assert_array_equal(a.get(), [[5, 4], [6, 7], [1, 1]])
        with pytest.raises(TypeError):
            xp.add.at(xp.zeros(2, bool), xp.asarray([0]), True)
