"""Layers against their formulas, how they begin, and what dropout does."""

import math

import numpy as np
import pytest

from minilm.autograd import Tensor, fast
from minilm.autograd.gradcheck import gradcheck
from minilm.backend import asarray, to_numpy
from minilm.errors import ConfigError, ShapeError
from minilm.nn import MLP, Dropout, Embedding, GatedMLP, LayerNorm, Linear, RMSNorm
from minilm.nn.init import normal, residual_std
from minilm.nn.layers import ACTIVATIONS

pytestmark = pytest.mark.every_device


def rng(seed=0):
    return np.random.default_rng(seed)


def randomized(module, seed=5):
    module.astype(np.float64)
    for i, p in enumerate(module.parameters()):
        p.assign(rng([seed, i]).standard_normal(p.shape))
    return module


X = rng(1).standard_normal((2, 5, 6))


def test_linear_is_x_w_plus_b():
    layer = randomized(Linear(6, 4, rng()))
    np.testing.assert_allclose(layer(Tensor(X)).numpy(), X @ layer.weight.numpy() + layer.bias.numpy(), rtol=1e-12)
    bare = Linear(6, 4, rng(), bias=False)
    assert bare.bias is None and bare.num_parameters() == 24
    assert layer.num_parameters() == 28


def test_norms_are_their_formulas():
    layer = randomized(LayerNorm(6, epsilon=1e-3))
    centred = X - X.mean(-1, keepdims=True)
    expected = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-3)
    np.testing.assert_allclose(
        layer(Tensor(X)).numpy(), expected * layer.weight.numpy() + layer.bias.numpy(), rtol=1e-12
    )
    layer = randomized(RMSNorm(6, epsilon=1e-3))
    expected = X / np.sqrt((X**2).mean(-1, keepdims=True) + 1e-3) * layer.weight.numpy()
    np.testing.assert_allclose(layer(Tensor(X)).numpy(), expected, rtol=1e-12)


def test_embedding_rows():
    layer = Embedding(7, 3, rng())
    ids = np.array([[0, 6], [6, 2]])
    np.testing.assert_array_equal(layer(ids).numpy(), layer.weight.numpy()[ids])


def phi(x):
    return 0.5 * (1 + math.erf(x / math.sqrt(2)))


FORMULAS = {
    "gelu": lambda x: x * phi(x),
    "gelu_tanh": lambda x: 0.5 * x * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))),
    "silu": lambda x: x / (1 + math.exp(-x)),
    "relu": lambda x: max(x, 0.0),
}


@pytest.mark.parametrize("name", sorted(ACTIVATIONS))
def test_mlp_is_its_formula_with_each_activation(name):
    layer = randomized(MLP(6, 9, rng(), name))
    hidden = X @ layer.up.weight.numpy() + layer.up.bias.numpy()
    hidden = np.vectorize(FORMULAS[name])(hidden)
    expected = hidden @ layer.down.weight.numpy() + layer.down.bias.numpy()
    np.testing.assert_allclose(layer(Tensor(X)).numpy(), expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("kernels", [True, False])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("name", sorted(ACTIVATIONS))
def test_gated_mlp_is_its_formula_with_each_activation(name, bias, kernels):
    layer = randomized(GatedMLP(6, 9, rng(), name, bias=bias))
    gate, up, down = (
        lambda x, part=part: x @ part.weight.numpy() + (part.bias.numpy() if bias else 0)
        for part in (layer.gate, layer.up, layer.down)
    )
    expected = down(np.vectorize(FORMULAS[name])(gate(X)) * up(X))
    with fast(kernels):
        np.testing.assert_allclose(layer(Tensor(X)).numpy(), expected, rtol=1e-9, atol=1e-12)
    assert layer.num_parameters() == 3 * 6 * 9 + bias * (9 + 9 + 6)


def test_how_a_gated_mlp_begins():
    layer = GatedMLP(200, 300, rng(), std=0.1, out_std=0.01)
    assert layer.activation is ACTIVATIONS["silu"] and layer.gate.bias is layer.up.bias is layer.down.bias is None
    for part, std in ((layer.gate, 0.1), (layer.up, 0.1), (layer.down, 0.01)):
        assert abs(part.weight.numpy().std() / std - 1) < 0.02
    assert (layer.gate.weight.numpy() != layer.up.weight.numpy()).all()
    assert MLP(4, 8, rng(), bias=False).up.bias is None


def test_the_two_gelus_differ_as_published():
    assert abs(float(ACTIVATIONS["gelu_tanh"](asarray(np.array([1.0])))[0]) - 0.84119) < 5e-6
    assert abs(float(ACTIVATIONS["gelu"](asarray(np.array([1.0])))[0]) - 0.84134) < 5e-6


@pytest.mark.parametrize("make", [lambda: Linear(6, 4, rng()), lambda: LayerNorm(6), lambda: RMSNorm(6),
                                  lambda: MLP(6, 9, rng()), lambda: GatedMLP(6, 9, rng(), bias=True)])  # fmt: skip
def test_gradients_of_parameters_and_input(make):
    layer = randomized(make())
    parameters = layer.parameters()

    def f(x, *values):
        names = [name for name, _ in layer.named_parameters()]
        return _with_parameters(layer, dict(zip(names, values, strict=True)))(x)

    assert gradcheck(f, X, *[p.numpy() for p in parameters])


def _with_parameters(layer, values):
    """A replica whose parameters are replaced by Tensors."""
    twin = layer.replica()
    for path, tensor in values.items():
        *parents, name = path.split(".")
        owner = twin
        for parent in parents:
            owner = getattr(owner, parent)
        setattr(owner, name, tensor)
    return twin


def test_unknown_activation_lists_those_there_are():
    with pytest.raises(ConfigError, match="activation 'swish' is unknown: use one of gelu, gelu_tanh, relu, silu"):
        MLP(4, 8, rng(), "swish")


@pytest.mark.parametrize("layer", [Linear(4, 3, rng()), LayerNorm(4), RMSNorm(4)])
def test_wrong_width_is_an_error(layer):
    with pytest.raises(ShapeError, match=r"6"):
        layer(X.astype(np.float32))


# ------------------------------------------------------------------------------------------------------------ begin


def test_normal_is_normal_and_a_function_of_the_generator():
    a = to_numpy(normal(rng(), (300, 400), 0.02))
    assert a.dtype == np.float32
    np.testing.assert_array_equal(a, to_numpy(normal(rng(), (300, 400), 0.02)))
    assert abs(a.std() / 0.02 - 1) < 0.01 and abs(a.mean()) < 3e-4
    beyond = (abs(a) > 3 * 0.02).mean()
    assert 0.0022 < beyond < 0.0032  # .27 % of a normal, none of a uniform


def test_residual_std():
    assert residual_std(12) == 0.02 / math.sqrt(24)


# ---------------------------------------------------------------------------------------------------------- dropout


def test_dropout_drops_in_training_only_and_keeps_the_mean():
    layer = Dropout(0.25).set_generator(rng())
    x = asarray(np.ones((100, 1000), np.float32))
    y = to_numpy(layer(x))
    assert set(np.unique(y)) == {np.float32(0), np.float32(1 / 0.75)}
    assert abs(y.mean() - 1) < 0.01 and abs((y == 0).mean() - 0.25) < 0.005
    assert layer.eval()(x) is x
    assert Dropout(0.0)(x) is x


def test_dropout_is_a_function_of_its_generator():
    x = Tensor(np.ones((8, 8)))
    layer = Dropout(0.5)
    a, b, c = (layer.set_generator(rng(s))(x).numpy() for s in (1, 1, 2))
    assert (a == b).all() and (a != c).any()


def test_dropout_without_generator_says_what_to_do():
    with pytest.raises(ConfigError, match="set_generator"):
        Dropout(0.5)(np.ones(3))


def test_attention_mask_of_dropout():
    keep, scale = Dropout(0.5).set_generator(rng()).mask(2, 3, 4, 4)
    assert keep.shape == (2, 3, 4, 4) and keep.dtype == bool and scale == 2
    assert Dropout(0.5).eval().mask(1) == (None, 1.0)


@pytest.mark.parametrize("p", [-0.1, 1.0, math.nan])
def test_dropout_must_be_a_probability_below_one(p):
    with pytest.raises(ConfigError, match="dropout is"):
        Dropout(p)


# --------------------------------------------------------------------------------------------------------- defaults


def test_epsilons_are_the_published_ones():
    x = 1e-3 * X  # so small that ε shows
    centred = x - x.mean(-1, keepdims=True)
    expected = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5)
    np.testing.assert_allclose(LayerNorm(6).astype(np.float64)(Tensor(x)).numpy(), expected, rtol=1e-10)
    expected = x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-6)
    np.testing.assert_allclose(RMSNorm(6).astype(np.float64)(Tensor(x)).numpy(), expected, rtol=1e-10)


def test_layers_begin_as_they_say():
    for layer in (Linear(200, 300, rng()), Embedding(300, 200, rng())):
        assert abs(layer.weight.numpy().std() / 0.02 - 1) < 0.02
    assert (Linear(3, 4, rng()).bias.numpy() == 0).all()
    norm = LayerNorm(5)
    assert (norm.weight.numpy() == 1).all() and (norm.bias.numpy() == 0).all()
    assert (RMSNorm(5).weight.numpy() == 1).all()
    layer = MLP(200, 300, rng(), std=0.1, out_std=0.01)
    assert abs(layer.up.weight.numpy().std() / 0.1 - 1) < 0.02
    assert abs(layer.down.weight.numpy().std() / 0.01 - 1) < 0.02
    assert MLP(4, 8, rng()).activation is ACTIVATIONS["gelu_tanh"]
    assert residual_std(2, 0.1) == 0.05
    assert all(p.dtype == np.float32 for p in layer.parameters())


def test_dropout_is_active_at_any_positive_probability():
    assert Dropout(1e-6).active and Dropout(0.999).active and not Dropout(0.0).active
