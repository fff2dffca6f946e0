"""Module: parameters found and named, saved and loaded all or nothing, replicas, modes, the printed tree."""

import re

import numpy as np
import pytest

from minilm.autograd import Tensor
from minilm.backend import asarray, to_numpy, xp
from minilm.errors import CheckpointError, GraphError
from minilm.models import GPT, GPTConfig
from minilm.nn import Dropout, LayerNorm, Linear, Module, Parameter

pytestmark = pytest.mark.every_device


def rng(seed=0):
    return np.random.default_rng(seed)


class Tied(Module):
    """Two layers that share a weight, a list, a bare parameter and attributes that are no parts."""

    def __init__(self):
        self.name = "tied"
        self.first = Linear(3, 3, rng())
        self.layers = [Linear(3, 2, rng(1)), Dropout(0.5)]
        self.second = Linear(3, 3, rng(2))
        self.second.weight = self.first.weight
        self.scale = Parameter(np.ones(2, np.float32))
        self.frozen = Tensor(np.ones(4))
        self.nothing = None


NAMES = ["first.weight", "first.bias", "layers.0.weight", "layers.0.bias", "second.bias", "scale"]


def test_names_in_order_of_assignment_and_tied_once():
    model = Tied()
    assert [name for name, _ in model.named_parameters()] == NAMES
    assert [id(p) for p in model.parameters()] == [id(p) for _, p in model.named_parameters()]
    assert model.num_parameters() == 9 + 3 + 6 + 2 + 3 + 2


def test_gpt_names():
    model = GPT(GPTConfig(vocab_size=5, context=4, width=4, layers=2, heads=2))
    block = ["norm1.weight", "norm1.bias", "attention.qkv.weight", "attention.qkv.bias", "attention.out.weight",
             "attention.out.bias", "norm2.weight", "norm2.bias", "mlp.up.weight", "mlp.up.bias", "mlp.down.weight",
             "mlp.down.bias"]  # fmt: skip
    expected = ["token_embedding.weight", "position_embedding.weight"]
    expected += [f"blocks.{i}.{name}" for i in range(2) for name in block]
    assert list(model.state_dict()) == [*expected, "final_norm.weight", "final_norm.bias"]


def test_a_parameter_is_a_leaf_that_keeps_memory_and_dtype():
    array = asarray(rng().standard_normal((2, 3)))
    p = Parameter(array)
    assert p.requires_grad and p.node is None and p.data is array and p.dtype == np.float64


def test_state_dict_is_a_copy():
    model = Tied()
    state = model.state_dict()
    state["scale"][...] = 7
    assert (model.scale.data == 1).all()


def test_load_restores_every_value_and_keeps_memory_and_dtype():
    model, other = Tied(), Tied()
    memory = {name: p.data for name, p in model.named_parameters()}
    state = {name: rng(9).standard_normal(a.shape) for name, a in other.state_dict().items()}  # float64
    model.load_state_dict(state)
    for name, p in model.named_parameters():
        assert p.data is memory[name] and p.dtype == np.float32
        np.testing.assert_array_equal(p.numpy(), state[name].astype(np.float32))
    np.testing.assert_array_equal(model.second.weight.numpy(), state["first.weight"].astype(np.float32))


@pytest.mark.numpy_only("CuPy cannot lock memory")
def test_load_writes_into_memory_that_belongs_to_an_optimizer():
    model = LayerNorm(4)
    flat = np.zeros(8, np.float32)
    for p, part in zip(model.parameters(), (flat[:4], flat[4:]), strict=True):
        p._data = part
    flat.flags.writeable = False
    for p in model.parameters():
        p._data.flags.writeable = False
    model.load_state_dict({"weight": np.full(4, 2.0), "bias": np.full(4, 3.0)})
    np.testing.assert_array_equal(flat, [2] * 4 + [3] * 4)
    assert not flat.flags.writeable
    with pytest.raises(GraphError):
        model.weight.data = np.zeros(4, np.float32)


def test_load_names_every_fault_and_changes_nothing():
    model = Tied()
    before, state = model.state_dict(), model.state_dict()
    state = {name: a + 1 for name, a in state.items()}
    del state["first.bias"], state["second.bias"]
    state["scale"] = np.ones(3)
    state["layers.0.weight"] = np.ones((2, 3))
    state["head.weight"] = state["a"] = np.ones(1)
    state["layers.0.bias"] = np.array(["a", "b"])
    with pytest.raises(CheckpointError) as caught:
        model.load_state_dict(state)
    said = str(caught.value)
    assert "missing: first.bias, second.bias;" in said
    assert "unexpected: a, head.weight;" in said
    assert "of another shape: layers.0.weight (2, 3) ≠ (3, 2), scale (3,) ≠ (2,);" in said
    assert "not numbers of this kind: layers.0.bias (<U1)" in said
    assert said.startswith("these weights do not fit Tied: ")
    for name, p in model.named_parameters():
        np.testing.assert_array_equal(p.numpy(), before[name])


@pytest.mark.parametrize("fault", ["missing", "unexpected", "shape"])
def test_each_fault_alone_is_refused(fault):
    model = Tied()
    state = model.state_dict()
    if fault == "missing":
        del state["scale"]
    elif fault == "unexpected":
        state["second.weight"] = state["first.weight"]  # a tied tensor is saved under its first name only
    else:
        state["scale"] = state["scale"][None]  # would broadcast
    with pytest.raises(CheckpointError):
        model.load_state_dict(state)


def test_replica_shares_values_and_nothing_else():
    model = Tied()
    twin = model.replica()
    assert [n for n, _ in twin.named_parameters()] == NAMES
    assert twin.second.weight is twin.first.weight
    for p, q in zip(model.parameters(), twin.parameters(), strict=True):
        assert q is not p and q.data is p.data
    assert twin.layers is not model.layers and twin.layers[0] is not model.layers[0]
    x = asarray(rng(3).standard_normal((5, 3)).astype(np.float32))
    y = twin.second(twin.first(x))
    y.backward(rng(4).standard_normal(y.shape).astype(np.float32))
    assert twin.first.weight.grad is not None and all(p.grad is None for p in model.parameters())
    model.scale.data -= 0.5
    model.first.bias.assign(np.full(3, 8.0))
    np.testing.assert_array_equal(twin.first.bias.numpy(), [8, 8, 8])
    twin.eval()
    assert model.training and model.layers[0].training and not twin.layers[0].training


def test_gpt_replica_keeps_the_head_tied():
    model = GPT(GPTConfig(vocab_size=7, context=4, width=4, layers=1, heads=2))
    twin = model.replica()
    ids = np.array([[1, 2, 3]])
    for m in (model, twin):
        m.loss(ids, ids).backward()
    assert len(twin.parameters()) == len(model.parameters())
    for (name, p), q in zip(model.named_parameters(), twin.parameters(), strict=True):
        np.testing.assert_array_equal(p.grad.numpy(), q.grad.numpy(), err_msg=name)
        assert p.grad.data is not q.grad.data


def test_bare_has_arrays_for_parameters_and_computes_the_same():
    model = Tied()
    bare = model.bare()
    assert type(bare) is Tied and bare.parameters() == [] and len(model.parameters()) == len(NAMES)
    assert bare.first.weight is model.first.weight.data is bare.second.weight
    assert bare.layers[0].bias is model.layers[0].bias.data and bare.frozen is model.frozen
    x = asarray(rng(3).standard_normal((5, 3)).astype(np.float32))
    y = bare.layers[0](bare.second(x))
    assert type(y) is xp.ndarray
    np.testing.assert_array_equal(to_numpy(y), model.layers[0](model.second(x)).numpy())
    bare.eval()
    assert model.training and model.layers[0].training


def test_modes_and_generator_reach_every_part():
    model = Tied()
    assert model.eval() is model and not any(m.training for _, m in model.named_modules())
    assert model.train() is model and all(m.training for _, m in model.named_modules())
    generator = rng()
    assert model.set_generator(generator).layers[1].generator is generator
    assert model.replica().layers[1].generator is None


def test_evaluating_restores_each_part_even_after_an_error():
    model = Tied()
    model.layers[1].training = False
    with pytest.raises(KeyError), model.evaluating():
        assert not any(m.training for _, m in model.named_modules())
        raise KeyError
    assert model.training and model.first.training and not model.layers[1].training


def test_zero_grad_and_astype():
    model = Tied()
    model.first(Tensor(np.ones((1, 3), np.float32))).backward(np.ones((1, 3)))
    assert model.first.weight.grad is not None
    model.zero_grad()
    assert model.first.weight.grad is None
    assert all(p.dtype == np.float64 for p in model.astype(np.float64).parameters())
    assert model.second.weight is model.first.weight


def test_repr_is_a_tree_with_shapes():
    model = GPT(GPTConfig(vocab_size=5, context=4, width=4, layers=3, heads=2))
    lines = repr(model).split("\n")
    assert lines[0] == f"GPT: {model.num_parameters():,}"
    assert lines[1:3] == ["  token_embedding: Embedding", "    weight (5, 4)"]
    assert lines.count("  blocks.0…2: Block") == 1
    assert "      qkv: Linear" in lines and "        weight (4, 12)" in lines
    assert not re.search("blocks.1", repr(model))
    assert "  layers.0: Linear\n    weight (3, 2)" in repr(Tied())


def test_names_of_modules_are_paths():
    assert [name for name, _ in Tied().named_modules()] == ["", "first", "layers.0", "layers.1", "second"]
    model = GPT(GPTConfig(vocab_size=5, context=4, width=4, layers=2, heads=2))
    named = dict(model.named_modules())
    assert named[""] is model and named["blocks.1.attention.qkv"] is model.blocks[1].attention.qkv
    assert [name for name, _ in model.blocks[0].mlp.named_modules("mlp")] == [
        "mlp",
        "mlp.up",
        "mlp.down",
        "mlp.dropout",
    ]
