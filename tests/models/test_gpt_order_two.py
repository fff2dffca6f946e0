"""The second order of a whole GPT: Hessian-vector products of its loss against differences of its gradient."""

import numpy as np
import pytest

import minilm as ml
from minilm.autograd.gradcheck import slope
from minilm.models import GPT, GPTConfig

pytestmark = pytest.mark.every_device


def small(norm, activation, dropout, tied):
    config = GPTConfig(
        11, context=6, width=8, layers=2, heads=2, norm=norm, activation=activation, dropout=dropout, tied=tied
    )
    model = GPT(config, seed=1).astype(np.float64)
    rng = np.random.default_rng(2)
    for p in model.parameters():
        p.assign(p.numpy() + 0.2 * rng.standard_normal(p.shape))  # away from the symmetric start, so that all matters
    ids, targets = rng.integers(0, 11, (2, 2, 6))
    targets[0, 1] = -100
    return model, ids, targets, rng


@pytest.mark.parametrize("again", [False, True], ids=["kept", "recomputed"])
@pytest.mark.parametrize(
    ("norm", "activation", "dropout", "tied"),
    [("pre", "gelu_tanh", 0.0, True), ("post", "gelu", 0.2, True), ("pre", "silu", 0.0, False)],
)
def test_hessian_vector_product_is_the_slope_of_the_gradient(norm, activation, dropout, tied, again):
    """With the fused kernels on: they make the gradients that differ, their twins the product."""
    model, ids, targets, rng = small(norm, activation, dropout, tied)
    model.set_recompute(again)
    parameters = model.parameters()
    start = [p.numpy().copy() for p in parameters]
    u, v = ([rng.standard_normal(p.shape) for p in parameters] for _ in range(2))

    def loss():
        model.set_generator(np.random.default_rng(3))
        return model.loss(ids, targets)

    def along(t):
        """⟨∇ loss(θ + t v), u⟩."""
        for p, a, b in zip(parameters, start, v, strict=True):
            p.assign(a + t * b)
        return sum(float((g.numpy() * b).sum()) for g, b in zip(ml.grad(loss(), parameters), u, strict=True))

    expected = slope(along)
    along(0.0)
    products = ml.hvp(loss(), parameters, v)
    got = sum(float((h.numpy() * b).sum()) for h, b in zip(products, u, strict=True))
    assert abs(expected) > 1e-3
    assert abs(got - expected) <= 1e-5 * abs(expected), (got, expected)
    mirrored = sum(float((h.numpy() * b).sum()) for h, b in zip(ml.hvp(loss(), parameters, u), v, strict=True))
    assert abs(got - mirrored) <= 1e-9 * abs(got)  # a Hessian is symmetric


def test_jacobian_vector_product_is_the_slope_of_the_loss():
    model, ids, targets, rng = small("pre", "gelu_tanh", 0.0, True)
    parameters = model.parameters()
    start, v = [p.numpy().copy() for p in parameters], [rng.standard_normal(p.shape) for p in parameters]

    def along(t):
        for p, a, b in zip(parameters, start, v, strict=True):
            p.assign(a + t * b)
        return model.loss(ids, targets).item()

    expected = slope(along, 1e-4)
    along(0.0)
    got = ml.jvp(model.loss(ids, targets), parameters, v).item()
    assert abs(got - expected) <= 1e-8 * abs(expected)


def test_an_entry_of_the_hessian_of_the_last_norm():
    """All entries of one block, so that no direction can hide a wrong one."""
    model, ids, targets, _ = small("pre", "gelu_tanh", 0.0, True)
    weight = model.final_norm.weight
    matrix = ml.hessian(model.loss(ids, targets), weight).numpy()
    start = weight.numpy().copy()

    def gradient(i, t):
        weight.assign(start + t * (np.arange(start.size) == i))
        return ml.grad(model.loss(ids, targets), weight).numpy()

    h = 1e-4
    columns = [(gradient(i, h) - gradient(i, -h)) / (2 * h) for i in range(start.size)]
    error = np.abs(matrix - np.stack(columns, axis=1)).max()
    assert error <= 1e-6 * np.abs(matrix).max()
