"""Each gradient of the engine replaced by zero, its negative, twice itself and its transpose: every one is caught.

A check that passes what is right shows nothing until it has failed what is wrong. Two checks are tried, on the calls
that test_equals_pytorch.py draws from: `gradcheck`, and the comparison with PyTorch. Each must fail whenever the
planted gradient differs from the right one, and pass whenever it does not.
"""

import contextlib
import functools
import itertools
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from pytorch_check import ENGINE, Call, Difference, calls, equals_pytorch, equals_pytorch_twice

import minilm.autograd
import minilm.functional as F
from minilm.autograd import GradientError, Tensor, grad, gradcheck, primitive
from minilm.autograd.gradcheck import slope
from minilm.autograd.later import made
from minilm.autograd.operation import Fused, Primitive


@primitive
def times(x, factor):
    return np.multiply(x, factor)


@times.vjp("x")
def _(g, factor):
    return times(g, factor)


@primitive
def flipped(x):
    return np.swapaxes(x, -1, -2)


@flipped.vjp("x")
def _(g):
    return flipped(g)


def transposed(g: Any) -> Any:
    """The last two axes exchanged where they are equally long, so that the mistake keeps its shape."""
    return flipped(g) if len(g.shape) > 1 and g.shape[-1] == g.shape[-2] else g


MISTAKES: dict[str, Callable] = {
    "zero": lambda g: times(g, 0),
    "negative": lambda g: times(g, -1),
    "twice": lambda g: times(g, 2),
    "transpose": transposed,
}


def arguments(operation: Primitive | Fused) -> list[str]:
    """The arguments that have a gradient."""
    if isinstance(operation, Fused):
        return [operation.parameters[i] for i in operation.differentiable]
    return list(operation.rules)


PAIRS = [(name, argument) for name, operation in ENGINE.items() for argument in arguments(operation)]
VECTORS = {  # arguments of one axis, which have no transpose
    ("layer_norm", "weight"), ("layer_norm", "bias"), ("rms_norm", "weight"), ("linear", "bias"),
    ("linear_cross_entropy", "bias"),
}  # fmt: skip


class Planted:
    """How far the planted gradients that ran were from the right ones, relative to both."""

    def __init__(self) -> None:
        self.off = 0.0

    def note(self, right: Any, wrong: Any) -> Any:
        a, b = (x.data if isinstance(x, Tensor) else np.asarray(x) for x in (right, wrong))
        size = max(np.abs(a).max(initial=1e-3), np.abs(b).max(initial=0))
        self.off = max(self.off, np.abs(a - b).max(initial=0) / size)
        return wrong


@contextlib.contextmanager
def planted(operation: Primitive | Fused, argument: str, mistake: Callable) -> Iterator[Planted]:
    """In this block, the gradient of one argument of one operation is mistaken."""
    plant = Planted()
    if isinstance(operation, Fused):
        kernel, i = operation._kernel_vjp, arguments(operation).index(argument)

        def kernel_with_mistake(g: Any, residuals: Any) -> list:
            gradients = [made(d) for d in kernel(g, residuals)]
            if gradients[i] is not None:
                gradients[i] = np.array(plant.note(gradients[i], mistake(gradients[i])))
            return gradients

        operation._kernel_vjp = kernel_with_mistake
    else:
        rule, names = operation.rules[argument]

        def rule_with_mistake(g: Any, *values: Any) -> Any:
            right = rule(g, *values)
            return plant.note(right, mistake(right))

        operation.rules[argument] = (rule_with_mistake, names)
    try:
        yield plant
    finally:
        if isinstance(operation, Fused):
            operation._kernel_vjp = kernel
        else:
            operation.rules[argument] = (rule, names)


def by_gradcheck(call: Call) -> None:
    gradcheck(call.ours, *call.inputs(np.float64), seed=call.seed)


CHECKS = {by_gradcheck: GradientError, equals_pytorch: Difference}


def caught(check: Callable, call: Call) -> bool:
    try:
        check(call)
    except CHECKS.get(check, Difference):
        return True
    return False


@functools.cache
def drawn(name: str, round: int) -> list[Call]:
    """The same calls of an operation each time."""
    some: list[Call] = []

    @seed(round)
    @settings(max_examples=50, database=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
    @given(calls(name))
    def collect(call: Call) -> None:
        some.append(call)

    collect()
    return some


THOROUGH = settings.default.max_examples >= 200
ENOUGH = 10 if THOROUGH else 1  # times that a check catches a mistake


def sample(name: str, rounds: int) -> Iterator[Call]:
    """So many rounds of calls, drawn as far as they are asked for."""
    return itertools.chain.from_iterable(drawn(name, i) for i in range(rounds))


@pytest.mark.parametrize("mistake", MISTAKES)
@pytest.mark.parametrize(("name", "argument"), PAIRS)
def test_a_planted_gradient_is_caught(name: str, argument: str, mistake: str) -> None:
    operation, times_caught = ENGINE[name], dict.fromkeys(CHECKS, 0)
    nothing_to_plant = (name, argument) in VECTORS and mistake == "transpose"
    for call in sample(name, 1 if nothing_to_plant else 40):
        for check in CHECKS:
            if times_caught[check] == ENOUGH or (check is by_gradcheck and not call.smooth):
                continue
            with planted(operation, argument, MISTAKES[mistake]) as plant:
                found = caught(check, call)
            if plant.off == 0 or plant.off > 1e-3:
                assert found == (plant.off > 0), f"{check.__name__}, {plant.off:.3g} off: {call}"
                times_caught[check] += found
        if min(times_caught.values()) == ENOUGH:
            break
    if nothing_to_plant:
        assert not any(times_caught.values())
    else:
        assert min(times_caught.values()) == ENOUGH, f"too few calls in which it matters: {times_caught}"


PRIMITIVES = [(name, argument) for name, argument in PAIRS if isinstance(ENGINE[name], Primitive)]


@pytest.mark.parametrize("mistake", MISTAKES)
@pytest.mark.parametrize(("name", "argument"), PRIMITIVES)
def test_a_planted_gradient_is_caught_under_create_graph(name: str, argument: str, mistake: str) -> None:
    """Where the same rule runs on Tensors."""
    found = 0
    for call in sample(name, 40):
        if not (call.twice and all(a.size for a in call.arrays)):
            continue
        with planted(ENGINE[name], argument, MISTAKES[mistake]) as plant:
            wrong = caught(equals_pytorch_twice, call)
        assert wrong or plant.off <= 1e-3, f"{plant.off:.3g} off: {call}"
        found += wrong
        if found == ENOUGH:
            break
    assert found == ENOUGH


@pytest.mark.parametrize("name", [name for name in ENGINE if arguments(ENGINE[name])])
def test_what_is_right_is_not_accused(name: str) -> None:
    for call in sample(name, 8 if THOROUGH else 1):
        for check in CHECKS:
            assert (check is by_gradcheck and not call.smooth) or not caught(check, call)


def test_every_gradient_in_the_source_was_planted() -> None:
    """The decorators, counted in the text of minilm/autograd, not by asking the engine."""
    source = "".join(p.read_text("utf-8") for p in Path(minilm.autograd.__path__[0]).glob("*.py"))
    rules = re.findall(r'^@(\w+)\.vjp\("(\w+)"\)', source, re.M)
    kernels = [
        (name, argument)
        for name, wanted in re.findall(r"^@(\w+)\.kernel_vjp\((.*)\)", source, re.M)
        for argument in re.findall(r'"(\w+)"', wanted)
    ]
    assert sorted(PAIRS) == sorted(rules + kernels)
    assert len(set(PAIRS)) == len(PAIRS) >= 60
    assert set(PAIRS) >= VECTORS


SUMS_TO_A_CONSTANT = {
    "softmax": F.softmax,
    "layer_norm": lambda x: F.layer_norm(x, None, None),
}


@pytest.mark.parametrize("name", SUMS_TO_A_CONSTANT)
def test_a_check_by_sum_passes_a_gradient_of_zero_and_ours_do_not(name: str) -> None:
    """The rows of a softmax sum to 1 and those of a layer norm to 0, whatever x is: so do their neighbours'."""
    operation, rng = SUMS_TO_A_CONSTANT[name], np.random.default_rng(0)
    x, v = rng.standard_normal((3, 4)), rng.standard_normal((3, 4))
    with planted(ENGINE[name], "x", MISTAKES["zero"]) as plant:
        t = Tensor(x, requires_grad=True)
        F.sum(operation(t)).backward()
        expected = slope(lambda s: float(F.sum(operation(x + s * v))))
        assert abs(float((t.grad.numpy() * v).sum()) - expected) < 1e-10
        with pytest.raises(GradientError):
            gradcheck(operation, x)
        assert any(caught(equals_pytorch, call) for call in sample(name, 1))
    assert plant.off == 1
    u = rng.standard_normal((3, 4))
    assert np.abs(grad(operation(t), t, u).numpy()).max() > 0.1  # without the mistake: far from zero
