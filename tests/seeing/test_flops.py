"""FLOPs: each formula against its twin's operations, products against those that ran, a GPT's in closed form."""

import importlib
import math
import pkgutil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minilm as ml
import minilm.autograd
from minilm import functional as F
from minilm.autograd.operation import Fused, Primitive
from minilm.backend import xp
from minilm.seeing.flops import COSTS
from minilm.seeing.tracing import trace

sizes = st.integers(1, 5)


def leaf(*shape: int) -> ml.Tensor:
    return ml.Tensor(np.random.default_rng(0).standard_normal(shape), requires_grad=True)


def fixed(*shape: int) -> ml.Tensor:
    """A Tensor without a gradient; of bare arrays a twin computes some without the engine."""
    return ml.Tensor(np.random.default_rng(0).standard_normal(shape))


def operations() -> dict:
    """Every primitive and fused operation of the engine, by name."""
    found = {}
    for module in pkgutil.iter_modules(minilm.autograd.__path__, "minilm.autograd."):
        for operation in vars(importlib.import_module(module.name)).values():
            if isinstance(operation, (Primitive, Fused)):
                found[operation.name] = operation
    return found


def traced(y, u=None) -> trace:
    """The trace of y() and of its backward with a random cotangent."""
    with ml.trace(memory=False) as t:
        out = y()
        out.backward(np.random.default_rng(1).standard_normal(out.shape) if u is None else u)
    return t


def test_every_operation_of_the_engine_has_its_formula_and_no_other() -> None:
    assert set(operations()) == set(COSTS)
    assert len(COSTS) > 40


# ---------------------------------------------------------------------------------------------- primitives, by hand


@given(sizes, sizes, sizes, sizes)
def test_a_product_is_2nkm_and_twice_that_backward(b: int, n: int, k: int, m: int) -> None:
    x, w = leaf(b, n, k), leaf(k, m)
    t = traced(lambda: x @ w)
    assert t.flops_of("forward") == t.flops_of("forward", "matmul") == 2 * b * n * k * m
    assert t.flops_of("backward") == 4 * b * n * k * m
    assert t.products == t.flops == 6 * b * n * k * m


def test_a_gradient_that_nobody_asked_for_counts_nothing() -> None:
    x, w = np.ones((3, 4)), leaf(4, 5)
    assert traced(lambda: F.matmul(x, w)).flops_of("backward") == 2 * 3 * 4 * 5
    assert traced(lambda: F.linear(x, w)).flops_of("backward") == 2 * 3 * 4 * 5
    y = leaf(3, 4)
    with ml.trace(memory=False) as t:
        ml.grad(F.sum(y @ w * (w @ leaf(5, 5))[:3]), y)
    (matmul,) = [r for r in t.records if (r.operation, r.direction) == ("matmul", "backward")]
    assert matmul.flops == 2 * 3 * 4 * 5


@pytest.mark.parametrize(
    ("y", "forward", "backward"),
    [
        (lambda x: x + x[:1], 12, 24),
        (lambda x: F.exp(x), 12, 12),
        (lambda x: F.sigmoid(x * 2), 24, 24),
        (lambda x: F.sum(x, 0), 12, 12),
        (lambda x: F.max(x), 12, 12),
        (lambda x: F.logsumexp(x, axis=1), 12, 12),
        (lambda x: F.cumsum(x, 0), 12, 12),
        (lambda x: F.where(x.data > 0, x, 0), 0, 0),
        (lambda x: F.transpose(x.reshape(2, 6)), 0, 0),
        (lambda x: x[np.array([0, 0, 1])], 0, 0),
        (lambda x: F.concatenate([x, x]), 0, 0),
        (lambda x: F.broadcast_to(x, (5, 3, 4)), 0, 0),
        (lambda x: F.mean(x, -1, keepdims=True) * x, 12 + 3 + 12, 12 + 3 + 24),
    ],
)
def test_a_small_expression_counted_by_hand(y, forward: int, backward: int) -> None:
    x = leaf(3, 4)
    t = traced(lambda: y(x))
    assert (t.flops_of("forward"), t.flops_of("backward"), t.products) == (forward, backward, 0)


def test_an_operation_of_ones_own_counts_1_per_entry() -> None:
    @ml.autograd.primitive
    def cube(x):
        return x * x * x

    @cube.vjp("x")
    def _(g, x):
        return g * 3 * x * x

    x = leaf(3, 4)
    t = traced(lambda: cube(x))
    assert (t.flops_of("forward", "cube"), t.flops_of("backward", "cube")) == (12, 12)


# ------------------------------------------------------------------------------------------- fused, against the twins


def keep(*shape: int):
    return np.random.default_rng(2).random(shape) < 0.7


def targets(*shape: int, V: int = 7):
    return np.random.default_rng(3).integers(0, V, shape)


B, T, S, H, K, D, V = 2, 5, 6, 3, 4, 12, 7
CASES = {
    "linear": [lambda: F.linear(leaf(B, T, D), leaf(D, 5), leaf(5)), lambda: F.linear(leaf(T, D), leaf(D, 5)),
        lambda: F.linear(fixed(T, D), fixed(D, 5), leaf(5)), lambda: F.linear(leaf(T, D), fixed(D, 5), fixed(5))],
    "embedding": [lambda: F.embedding(targets(B, T), leaf(V, D))],
    "softmax": [lambda: F.softmax(leaf(B, T, D)), lambda: F.softmax(leaf(B, T), axis=0)],
    "log_softmax": [lambda: F.log_softmax(leaf(B, T, D)), lambda: F.log_softmax(leaf(B, T), axis=0)],
    "gelu": [lambda: F.gelu(leaf(B, T)), lambda: F.gelu(leaf(B, T), "none")],
    "silu": [lambda: F.silu(leaf(B, T))],
    "silu_gate": [lambda: F.silu_gate(leaf(B, T), leaf(B, T)), lambda: F.silu_gate(fixed(B, T), leaf(B, T)),
        lambda: F.silu_gate(leaf(B, T), fixed(B, T))],
    "rotary": [lambda: F.rotary(leaf(B, H, T, K), fixed(T, K // 2), fixed(T, K // 2))],
    "masked_scale": [lambda: F.masked_scale(leaf(B, T), keep(B, T), 1.5)],
    "layer_norm": [
        lambda: F.layer_norm(leaf(B, T, D), leaf(D), leaf(D)),
        lambda: F.layer_norm(leaf(B, T, D), None, leaf(D)),
        lambda: F.layer_norm(leaf(B, T, D), leaf(D), None),
        lambda: F.layer_norm(leaf(T, D), None, None),
        lambda: F.layer_norm(fixed(T, D), leaf(D), leaf(D)),
        lambda: F.layer_norm(fixed(T, D), fixed(D), leaf(D)),
    ],
    "rms_norm": [
        lambda: F.rms_norm(leaf(B, T, D), leaf(D)),
        lambda: F.rms_norm(leaf(T, D), None),
        lambda: F.rms_norm(fixed(T, D), leaf(D)),
    ],
    "attention": [
        lambda: F.attention(leaf(B, H, T, K), leaf(B, H, S, K), leaf(B, H, S, 3)),
        lambda: F.attention(leaf(B, H, T, K), leaf(B, H, S, K), leaf(B, H, S, 3), keep(B, 1, 1, S), True, 0.3),
        lambda: F.attention(
            leaf(B, H, T, K), leaf(B, H, S, K), leaf(B, H, S, K), keep=keep(B, H, T, S), keep_scale=1.4
        ),
        lambda: F.attention(leaf(B, H, T, K), fixed(B, H, S, K), fixed(B, H, S, K)),
        lambda: F.attention(fixed(B, H, T, K), leaf(B, H, S, K), fixed(B, H, S, K)),
        lambda: F.attention(fixed(B, H, T, K), fixed(B, H, S, K), leaf(B, H, S, 5)),
        lambda: F.attention(leaf(B, H, T, K), leaf(B, H, S, K), leaf(B, H, S, K), bias=leaf(1, H, T, S)),
        lambda: F.attention(leaf(B, H, T, K), leaf(B, H, S, K), leaf(B, H, S, K), bias=fixed(T, S)),
        lambda: F.attention(fixed(B, H, T, K), fixed(B, H, S, K), fixed(B, H, S, K), bias=leaf(B, H, T, S)),
    ],
    "self_attention": [
        lambda: F.self_attention(leaf(B, T, 3 * D), H, causal=True),
        lambda: F.self_attention(leaf(B, T, 3 * D), H, keep(B, 1, 1, T), keep=keep(B, H, T, T), keep_scale=1.4),
        lambda: F.self_attention(leaf(B, T, 3 * D), H, bias=leaf(1, H, T, T)),
        lambda: F.self_attention(leaf(B, T, 3 * D), H, bias=fixed(H, 1, T)),
        lambda: F.self_attention(fixed(B, T, 3 * D), H, bias=leaf(H, T, 1)),
    ],
    "cross_entropy": [
        lambda: F.cross_entropy(leaf(B, T, V), targets(B, T)),
        lambda: F.cross_entropy(leaf(B, V), targets(B), reduction="sum"),
        lambda: F.cross_entropy(leaf(B, V), targets(B), reduction="none", label_smoothing=0.1),
        lambda: F.cross_entropy(leaf(B, T, V), targets(B, T), label_smoothing=0.1, class_weights=np.ones(V)),
    ],
    "linear_cross_entropy": [
        lambda: F.linear_cross_entropy(leaf(B, T, D), leaf(V, D), targets(B, T)),
        lambda: F.linear_cross_entropy(leaf(B, T, D), leaf(V, D), targets(B, T), leaf(V), reduction="sum"),
        lambda: F.linear_cross_entropy(leaf(T, D), leaf(V, D), targets(T), fixed(V), label_smoothing=0.1),
        lambda: F.linear_cross_entropy(leaf(T, D), fixed(V, D), targets(T), ignore_index=3),
        lambda: F.linear_cross_entropy(fixed(T, D), fixed(V, D), targets(T), leaf(V)),
    ],
}  # fmt: skip


def test_every_fused_operation_has_its_cases() -> None:
    assert {name for name, op in operations().items() if isinstance(op, Fused)} == set(CASES)


@pytest.mark.parametrize(
    ("name", "case"),
    [pytest.param(name, case, id=f"{name}-{i}") for name in CASES for i, case in enumerate(CASES[name])],
)
def test_a_kernel_counts_what_its_twin_does(name: str, case) -> None:
    kernel = traced(case)
    assert [(r.operation, r.direction) for r in kernel.records] == [(name, "forward"), (name, "backward")]
    with ml.fast(False):
        twin = traced(case)
    assert name not in {r.operation for r in twin.records}
    for direction in ("forward", "backward"):
        assert kernel.flops_of(direction) == twin.flops_of(direction)
    assert kernel.products == twin.products == sum(r.flops for r in twin.records if r.operation == "matmul")


# ------------------------------------------------------------------------------------------------------------- a GPT


def gpt(**changes) -> tuple:
    settings = {"vocab_size": 31, "context": 8, "width": 12, "layers": 2, "heads": 3, **changes}
    model = ml.models.GPT(ml.models.GPTConfig(**settings), seed=0)
    rng = np.random.default_rng(0)
    return model, rng.integers(0, 31, (4, 8)), rng.integers(0, 31, (4, 8))


@pytest.mark.parametrize("changes", [{}, {"dropout": 0.2}, {"norm": "post", "activation": "gelu"}, {"tied": False}])
def test_a_gpt_step_counts_the_same_with_kernels_and_twins_and_in_closed_form(changes: dict, monkeypatch) -> None:
    model, ids, goals = gpt(**changes)
    kernels = traced(lambda: model.loss(ids, goals), np.ones(()))
    model.set_generator(np.random.default_rng(0))
    ran = 0
    matmul = np.matmul

    def counting(a, b):
        nonlocal ran
        y = matmul(a, b)
        ran += 2 * y.size * a.shape[-1]
        return y

    monkeypatch.setitem(xp.__dict__, "matmul", counting)
    with ml.fast(False):
        twins = traced(lambda: model.loss(ids, goals), np.ones(()))
    c, tokens = model.config, ids.size
    weights = c.layers * 12 * c.width**2 + c.vocab_size * c.width  # what a token is multiplied with
    scores = c.layers * len(ids) * c.heads * ids.shape[1] ** 2
    forward = 2 * weights * tokens + 4 * scores * (c.width // c.heads)
    assert kernels.products == twins.products == ran == 3 * forward
    assert sum(r.products for r in kernels.records if r.direction == "forward") == forward
    for direction in ("forward", "backward"):
        assert kernels.flops_of(direction) == twins.flops_of(direction)
    assert kernels.flops > kernels.products > 0.8 * kernels.flops


def test_flops_are_whole_numbers_however_large() -> None:
    from minilm.seeing.flops import Call, forward_flops
    from minilm.seeing.tracing import Record

    assert Record.__slots__
    call = Call(
        F.linear, (np.broadcast_to(0.0, (10**6, 10**6)), np.broadcast_to(0.0, (10**6, 10**7)), None), (10**6, 10**7)
    )
    assert forward_flops(call).total == 2 * 10**19 > math.pow(2, 63)
