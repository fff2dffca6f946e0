"""Every operation that minilm.functional offers against PyTorch: value, gradient, gradient of the gradient."""

from types import FunctionType

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from operation_cases import seeds, shapes
from pytorch_check import (
    CASES,
    ENGINE,
    Difference,
    calls,
    equals_pytorch,
    equals_pytorch_twice,
    examples,
    modes,
    relative_error,
    require_equal,
)

import minilm.functional as F
from minilm.autograd import Tensor, fast, grad, gradcheck

NO_OPERATIONS = {
    "check_broadcast": "raises an error or does nothing",
    "dropout_mask": "draws at random: what is done with a mask is compared as dropout and masked_scale",
    "shape": "reads a shape",
    "value": "reads an array",
}

chunks = st.sampled_from([1, 3, 10, 1 << 15])


def offered() -> set[str]:
    """The public functions and operations of minilm.functional, and the engine's private operations."""
    public = {name: f for name, f in vars(F).items() if not name.startswith("_") and isinstance(f, FunctionType)}
    functions = {name for name, f in public.items() if f.__module__.startswith("minilm.autograd")}
    return (functions | {name for name in ENGINE if name.startswith("_") or hasattr(F, name)}) - set(NO_OPERATIONS)


def test_every_operation_has_a_case() -> None:
    assert set(CASES) == offered() == offered() | set(ENGINE)
    assert all(hasattr(F, name) for name in NO_OPERATIONS)


@pytest.mark.parametrize("name", CASES)
@examples(fast=12, thorough=200)
@given(data=st.data(), chunk=chunks)
def test_value_and_gradients(tiles, name: str, data: st.DataObject, chunk: int) -> None:
    call = data.draw(calls(name))
    with tiles(CHUNK=chunk, ROW_CHUNK=chunk, TILE_ROWS=min(chunk, 32), LOGITS_ROWS=chunk, LOGITS_BYTES=chunk):
        for on in modes(name):
            with fast(on):
                equals_pytorch(call)
                equals_pytorch(call, np.float32)


DIFFERENTIABLE = [name for name in CASES if name == "dropout" or not hasattr(ENGINE.get(name), "rules")
                  or ENGINE[name].rules]  # fmt: skip


@pytest.mark.parametrize("name", DIFFERENTIABLE)
@examples(fast=4, thorough=50)
@given(data=st.data())
def test_gradients_of_gradients(name: str, data: st.DataObject) -> None:
    call = data.draw(calls(name))
    if call.twice:
        equals_pytorch_twice(call)
    if call.smooth:
        gradcheck(call.ours, *call.inputs(np.float64), order=2, seed=call.seed)


@examples(fast=12, thorough=200)
@given(of=shapes, seed=seeds)
def test_through_the_other_precision_and_back(of: tuple, seed: int) -> None:
    """Value and cotangent are both rounded to float32 on their way."""
    x, u = np.random.default_rng(seed).standard_normal((2, *of))
    t, reference = Tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    y, expected = F.astype(F.astype(t, np.float32), np.float64), reference.float().double()
    np.testing.assert_array_equal(y.numpy(), expected.numpy(force=True))
    (wanted,) = torch.autograd.grad(expected, reference, torch.tensor(u))
    np.testing.assert_array_equal(grad(y, t, u).numpy(), wanted.numpy())


def test_an_error_is_relative_and_nan_is_one() -> None:
    one, nan = np.ones(3), np.array([1, np.nan, 1])
    assert relative_error(2e6 * one, 1e6 * one) == 1
    assert relative_error(1e-13 * one, 0 * one) == pytest.approx(1e-10)
    for got, wanted in ((nan, one), (one, nan), (nan, nan), (one, one[:2]), (one, one + 1e-9)):
        with pytest.raises(Difference):
            require_equal("value", got, wanted, 1e-10)
