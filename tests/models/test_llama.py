"""LLaMA: gradients of the whole, where information may flow, padding, the cache, how it begins, what it refuses."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minilm.autograd import Tensor, fast, no_grad
from minilm.autograd.gradcheck import slope
from minilm.backend import asarray, to_numpy, xp
from minilm.errors import ConfigError, DataError, GraphError, ShapeError
from minilm.generation import generate
from minilm.models import Llama, LlamaConfig

pytestmark = pytest.mark.every_device

IDS = np.random.default_rng(7).integers(0, 13, (2, 9))
TARGETS = np.where(
    np.random.default_rng(8).random((2, 9)) < 0.2, -100, np.random.default_rng(9).integers(0, 13, (2, 9))
)
FIXED = [
    None,
    {"kind": "linear", "factor": 2.0},
    {"kind": "yarn", "factor": 4.0, "original_context": 8, "beta_fast": 1.0, "beta_slow": 0.2},
    {"kind": "llama3", "factor": 4.0, "original_context": 8, "low_freq_factor": 1.0, "high_freq_factor": 4.0},
]
VARYING = [
    {"kind": "dynamic", "factor": 3.0, "original_context": 5},
    {"kind": "longrope", "factor": 4.0, "original_context": 5, "short_factor": [1.0, 1.2], "long_factor": [2.0, 5.0]},
]
kinds = lambda scaling: scaling["kind"] if scaling else "plain"  # noqa: E731


# -------------------------------------------------------------------------------------------------------- gradients


@pytest.mark.parametrize("kernels", [True, False])
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"tied": True, "kv_heads": 1},
        {"attention_bias": True, "mlp_bias": True, "kv_heads": 6},
        {"rope_scaling": FIXED[2], "activation": "gelu_tanh"},
        {"dropout": 0.3},
    ],
    ids=str,
)
def test_gradient_of_all_parameters_and_the_embeddings_in_one_direction(lively_llama, settings, kernels):
    """f = loss + ⟨u, logits⟩, the second a function of input embeddings x; its slope along a random direction."""
    model = lively_llama(**settings).train(settings.get("dropout", 0) > 0)
    rng = np.random.default_rng(1)
    u, x = rng.standard_normal((2, 9, 13)), Tensor(rng.standard_normal((2, 9, 12)), requires_grad=True)
    leaves = [*model.parameters(), x]
    at = [leaf.numpy().copy() for leaf in leaves]
    directions = [rng.standard_normal(a.shape) for a in at]
    norm = math.sqrt(sum((d * d).sum() for d in directions))

    def f(t):
        for leaf, a, d in zip(leaves, at, directions, strict=True):
            leaf.assign(a + t / norm * d)
        model.set_generator(np.random.default_rng(2))  # the same dropout each time
        return model.loss(IDS, TARGETS) + (model.logits(model.transform(x)) * asarray(u)).sum()

    with fast(kernels):
        f(0).backward()
        found = sum(float((leaf.grad.numpy() * d).sum()) for leaf, d in zip(leaves, directions, strict=True)) / norm
        with no_grad():
            expected = slope(lambda t: f(t).item(), 1e-3)
    assert not abs(found) < 1e-3, "the direction shows nothing"
    error = abs(found - expected) / abs(expected)
    assert error <= 1e-7


def test_every_parameter_has_its_own_right_gradient(lively_llama):
    """Each parameter by itself: a mistake in a small one would drown in the direction of all."""
    model = lively_llama(attention_bias=True, mlp_bias=True)
    rng = np.random.default_rng(3)
    u = rng.standard_normal((2, 9, 13))
    (model(IDS) * asarray(u)).sum().backward()
    for name, p in model.named_parameters():
        at, d = p.numpy().copy(), rng.standard_normal(p.shape)
        d /= np.linalg.norm(d)

        def f(t, p=p, at=at, d=d):
            p.assign(at + t * d)
            return float((model(IDS).numpy() * u).sum())

        with no_grad():
            expected = slope(f)
        p.assign(at)
        found = float((p.grad.numpy() * d).sum())
        assert abs(found - expected) <= 1e-7 * abs(expected) + 1e-10, name
        assert abs(found) > 1e-6, name  # a key's bias too: rotations give it a meaning that GPT's has not


def test_recomputed_blocks_have_the_same_gradients(lively_llama, device):
    model, again = lively_llama(dropout=0.3).train(), lively_llama(dropout=0.3).train().set_recompute()
    mask = np.arange(9) >= np.array([[4], [0]])
    for m in (model, again):
        m.set_generator(np.random.default_rng(2)).loss(IDS, TARGETS, attention_mask=mask).backward()
    for p, q in zip(model.parameters(), again.parameters(), strict=True):
        # bits, but for what a device adds up in no fixed order
        np.testing.assert_allclose(p.grad.numpy(), q.grad.numpy(), rtol=0, atol=0 if device == "numpy" else 1e-14)


# ------------------------------------------------------------------------------------------------- information flow


@pytest.mark.parametrize("kernels", [True, False])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kv_heads", [1, 2, 6])
@pytest.mark.parametrize("T", [2, 5, 16])
def test_a_future_token_changes_no_earlier_logit_by_a_bit(lively_llama, kv_heads, dtype, kernels, T):
    model = lively_llama(dtype, kv_heads=kv_heads)
    rng = np.random.default_rng(T)
    ids = rng.integers(0, 13, (2, T))
    with no_grad(), fast(kernels):
        logits = model(ids).numpy()
        for t in range(T):
            changed = ids.copy()
            changed[:, t:] = (changed[:, t:] + rng.integers(1, 13, (2, T - t))) % 13
            again = model(changed).numpy()
            assert (again[:, :t] == logits[:, :t]).all()
            assert (again[:, t:] != logits[:, t:]).any(-1).all()  # while each later one sees it


def test_every_earlier_token_and_its_place_matters(lively_llama):
    model = lively_llama()
    ids = np.arange(10)[None]
    logits = model(ids).numpy()[0, -1]
    for t in range(10):
        changed = ids.copy()
        changed[0, t] = 12
        assert abs(model(changed).numpy()[0, -1] - logits).max() > 1e-6
    assert abs(model(ids[:, [1, 0, *range(2, 10)]]).numpy()[0, -1] - logits).max() > 1e-6


def test_the_gradient_says_the_same(lively_llama):
    model = lively_llama()
    for t in range(9):
        x = Tensor(np.random.default_rng(0).standard_normal((1, 9, 12)), requires_grad=True)
        y = model.logits(model.transform(x))[0, t]
        y.backward(np.random.default_rng(1).standard_normal(13))
        moved = abs(x.grad.numpy()[0]).max(-1)
        assert (moved[: t + 1] > 1e-8).all() and (moved[t + 1 :] == 0).all()


def test_rows_of_a_batch_are_independent(lively_llama):
    model = lively_llama()
    together = model(IDS).numpy()
    for b in range(2):
        np.testing.assert_allclose(model(IDS[b : b + 1]).numpy()[0], together[b], rtol=1e-10, atol=1e-12)


def test_hidden_states_are_the_embeddings_every_block_and_the_final_norm(lively_llama):
    model = lively_llama(layers=3)
    states = model.hidden_states(IDS)
    assert len(states) == 4
    np.testing.assert_array_equal(states[0].numpy(), model.token_embedding.weight.numpy()[IDS])
    rotary = model.rotary(np.arange(9), np.float64)
    for i in (0, 1):
        np.testing.assert_array_equal(model.blocks[i](states[i], rotary=rotary).numpy(), states[i + 1].numpy())
    last = model.final_norm(model.blocks[2](states[2], rotary=rotary)).numpy()
    np.testing.assert_array_equal(states[3].numpy(), last)
    np.testing.assert_array_equal(model.hidden(IDS).numpy(), last)
    np.testing.assert_array_equal(model.logits(states[3]).numpy(), model(IDS).numpy())


# ---------------------------------------------------------------------------------------------------------- padding


@pytest.mark.parametrize("kernels", [True, False])
@pytest.mark.parametrize("scaling", [*FIXED, VARYING[0]], ids=kinds)
@pytest.mark.parametrize("side", ["left", "right"])
def test_padding_changes_nothing(lively_llama, scaling, side, kernels):
    model = lively_llama(rope_scaling=scaling)
    lengths, T = ((3, 9, 6), 9) if scaling not in VARYING else ((3, 5, 4), 7)
    ids = np.random.default_rng(0).integers(0, 13, (3, T))
    mask = np.array([[(t >= T - n) if side == "left" else (t < n) for t in range(T)] for n in lengths])
    with no_grad(), fast(kernels):
        logits = model(ids, attention_mask=mask.astype(np.int64)).numpy()
        for b in range(3):
            alone = model(ids[b, mask[b]][None]).numpy()[0]
            np.testing.assert_allclose(logits[b, mask[b]], alone, rtol=1e-9, atol=1e-11)
        others = np.where(mask, ids, (ids + 5) % 13)
        assert (model(others, attention_mask=mask).numpy()[mask] == logits[mask]).all()


@pytest.mark.parametrize("kernels", [True, False])
def test_padding_gets_no_gradient_and_gives_none(lively_llama, kernels):
    """A row that begins with padding has queries that see nothing: no NaN, and gradients as without the padding."""
    mask = np.array([[False] * 4 + [True] * 5, [True] * 9])
    targets = np.where(mask, TARGETS, -100)
    with fast(kernels):
        model = lively_llama()
        model.loss(IDS, targets, reduction="sum", attention_mask=mask).backward()
        alone = lively_llama()
        total = alone.loss(IDS[:1, 4:], targets[:1, 4:], "sum") + alone.loss(IDS[1:], targets[1:], "sum")
        total.backward()
    for (name, p), q in zip(model.named_parameters(), alone.parameters(), strict=True):
        np.testing.assert_allclose(p.grad.numpy(), q.grad.numpy(), rtol=1e-8, atol=1e-11, err_msg=name)


# ------------------------------------------------------------------------------------------------------------ cache


@pytest.mark.parametrize("kernels", [True, False])
@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("settings", [{}, {"kv_heads": 1}, {"kv_heads": 6, "rope_scaling": FIXED[2]}], ids=str)
def test_cached_logits_equal_uncached_for_every_split(lively_llama, settings, padded, kernels):
    model = lively_llama(**settings)
    mask = np.ones((2, 9), bool)
    if padded:
        mask[0, :3] = False
    with no_grad(), fast(kernels):
        whole = model(IDS, mask if padded else None).numpy()[mask]
        for split in range(1, 9):
            cache = model.new_cache(2)
            parts = [
                model(IDS[:, a:b], mask[:, :b] if padded else None, cache=cache).numpy()
                for a, b in ((0, split), (split, 9))
            ]
            np.testing.assert_allclose(np.concatenate(parts, 1)[mask], whole, rtol=1e-9, atol=1e-11)
            assert cache.length == 9


@pytest.mark.parametrize("scaling", [FIXED[3], *VARYING], ids=kinds)
@given(pieces=st.lists(st.integers(1, 4), min_size=1, max_size=4), pad=st.sampled_from([None, 0, 1]))
def test_cache_in_any_pieces_gives_what_each_length_gives(scaling, pieces, pad):
    """Also where the frequencies change with the length, so that what was read must be read again."""
    small = {"vocab_size": 13, "context": 16, "width": 12, "layers": 2, "heads": 6, "kv_heads": 2, "head_width": 4}
    model = Llama(LlamaConfig(**small, rope_scaling=scaling, initial_std=0.3), seed=3).astype(np.float64).eval()
    rng = np.random.default_rng(0)
    ids = rng.integers(0, 13, (2, sum(pieces)))
    mask = None if pad is None else np.arange(sum(pieces)) >= np.array([[pad], [0]])
    cache, start = model.new_cache(2), 0
    with no_grad():
        for n in pieces:
            end = start + n
            seen = None if mask is None else mask[:, :end]
            states = model.hidden_states(ids[:, start:end], seen, cache)
            wanted = model.hidden_states(ids[:, :end], seen)
            assert cache.length == end
            for found, whole in zip(states, wanted, strict=True):
                assert found.shape == (2, n, 12)
                real = np.ones((2, n), bool) if mask is None else mask[:, start:end]
                np.testing.assert_allclose(found.numpy()[real], whole.numpy()[:, start:][real], rtol=1e-9, atol=1e-12)
            start = end


@pytest.mark.parametrize("scaling", [None, *VARYING], ids=kinds)
def test_generation_is_the_same_with_and_without_a_cache(lively_llama, scaling):
    """Beyond the context too, where the window moves."""
    model = lively_llama(rope_scaling=scaling)
    for settings in ({"temperature": 0.0}, {"temperature": 1.5, "seed": 5}):
        ids = [generate(model, IDS[:, :4], 30, **settings, cache=cache) for cache in (True, False)]
        np.testing.assert_array_equal(*ids)
        assert ids[0].shape == (2, 34)
    one = generate(model, IDS[0, :4], 30, temperature=0.0)
    with no_grad():
        for t in range(4, 16):
            assert model(one[None, :t]).numpy()[0, -1].argmax() == one[t]


def test_a_reordered_cache_is_that_of_the_reordered_rows(lively_llama):
    model, rows, other = lively_llama(rope_scaling=VARYING[1]), np.array([1, 1]), np.array([[3], [4]])
    with no_grad():
        for held in (3, 5):  # after which keys are kept, and read again
            cache = model.new_cache(2)
            model(IDS[:, :held], cache=cache)
            cache.reorder(rows)
            wanted = model(np.concatenate([IDS[rows, :held], other], 1)).numpy()[:, -1:]
            np.testing.assert_allclose(model(other, cache=cache).numpy(), wanted, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("settings", [{}, {"tied": True}, {"rope_scaling": VARYING[1]}], ids=str)
def test_a_bare_model_computes_the_same_to_the_bit(lively_llama, settings):
    model = lively_llama(np.float32, **settings)
    bare, mask = model.bare(), np.arange(9) > np.array([[3], [-1]])
    with no_grad():
        for options in ({}, {"attention_mask": mask}):
            logits = bare(IDS, cache=bare.new_cache(2), **options)
            assert type(logits) is xp.ndarray and logits.dtype == np.float32
            assert (to_numpy(logits) == model(IDS, cache=model.new_cache(2), **options).numpy()).all()
            assert (to_numpy(bare(IDS, **options)) == model(IDS, **options).numpy()).all()


def test_cache_has_the_models_dtype_holds_its_key_heads_and_refuses_gradients(lively_llama):
    model = lively_llama(np.float32)
    assert model.new_cache(2).keys.dtype == np.float32
    assert model.new_cache(3).keys.shape == (2, 3, 2, 16, 4)
    with pytest.raises(GraphError, match="no_grad"):
        model(IDS, cache=model.new_cache(2))


# ------------------------------------------------------------------------------------------------------------- loss


def test_loss_is_the_mean_over_what_counts(lively_llama):
    model = lively_llama()
    logits = model(IDS).numpy()
    nll = np.log(np.exp(logits).sum(-1)) - np.take_along_axis(logits, np.maximum(TARGETS, 0)[..., None], -1)[..., 0]
    used = TARGETS != -100
    assert model.loss(IDS, TARGETS).item() == pytest.approx(nll[used].mean(), rel=1e-12)
    assert model.loss(IDS, TARGETS, reduction="sum").item() == pytest.approx(nll[used].sum(), rel=1e-12)
    other = np.where(used, TARGETS, 4)
    assert model.loss(IDS.tolist(), other.tolist(), ignore_index=4).item() == pytest.approx(nll[other != 4].mean())


def test_the_head_is_tied_where_asked(lively_llama):
    """One tensor, whose gradient is that of its use as embedding plus that as head."""
    tied, untied = lively_llama(tied=True), lively_llama()
    state = tied.state_dict()
    untied.load_state_dict({**state, "head.weight": state["token_embedding.weight"].T})
    for model in (tied, untied):
        model.loss(IDS, TARGETS).backward()
    np.testing.assert_allclose(tied(IDS).numpy(), untied(IDS).numpy(), rtol=1e-12)
    both = untied.token_embedding.weight.grad.numpy() + untied.head.weight.grad.numpy().T
    np.testing.assert_allclose(tied.token_embedding.weight.grad.numpy(), both, rtol=1e-10, atol=1e-14)


# ------------------------------------------------------------------------------------------------------------ begin


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("biases", [True, False])
@pytest.mark.parametrize("head_width", [None, 6])
def test_the_number_of_parameters_is_the_formula(head_width, biases, tied):
    """(2 − tied) V D + L (2 D H K + 2 D Hkv K + 3 D F + 2 D) + D, and the biases."""
    V, D, L, H, Hkv, F = 50, 16, 3, 4, 2, 20
    K = head_width or D // H
    settings = {"kv_heads": Hkv, "head_width": head_width, "mlp_width": F, "tied": tied}
    model = Llama(LlamaConfig(V, 8, D, L, H, attention_bias=biases, mlp_bias=biases, **settings))
    count = (2 - tied) * V * D + L * (2 * D * H * K + 2 * D * Hkv * K + 3 * D * F + 2 * D) + D
    count += biases * L * (H * K + 2 * Hkv * K + D + 2 * F + D)
    assert model.num_parameters() == count


def test_llama_begins_as_hugging_faces():
    model = Llama(LlamaConfig(300, 300, 96, 3, 4, initial_std=0.05, attention_bias=True, mlp_bias=True))
    for name, p in model.named_parameters():
        values = p.numpy()
        if name.endswith("bias"):
            assert (values == 0).all(), name
        elif "norm" in name:
            assert (values == 1).all(), name
        else:
            assert abs(values.std() / 0.05 - 1) < 0.05 and abs(values.mean()) < 0.05 * 0.05, name
    assert LlamaConfig(7).initial_std == 0.02
    state = model.state_dict()
    assert (state["blocks.0.mlp.up.weight"] != state["blocks.1.mlp.up.weight"]).any()


def test_weights_are_a_function_of_the_seed():
    config = LlamaConfig(vocab_size=11, context=8, width=8, layers=1, heads=2)
    a, b, c = (Llama(config, seed=s).state_dict() for s in (1, 1, 2))
    assert all((a[n] == b[n]).all() for n in a) and (a["head.weight"] != c["head.weight"]).all()


def test_epsilon_reaches_every_norm(lively_llama):
    model = lively_llama(epsilon=0.3)
    assert {model.final_norm.epsilon, *(n.epsilon for b in model.blocks for n in (b.norm1, b.norm2))} == {0.3}


def test_dropout_falls_on_the_attentions_weights_in_training_only():
    model, draws = Llama(LlamaConfig(13, 16, 12, 2, 3, dropout=0.2)), []

    class Counting:
        bit_generator = property(lambda self: self)

        def random_raw(self, count):
            draws.append(count)
            return np.random.default_rng(0).bit_generator.random_raw(count)

    model.set_generator(Counting())(IDS)
    assert draws == [-(-2 * 3 * 9 * 9 // 4)] * 2
    draws.clear()
    model.eval()(IDS)
    assert draws == []


# --------------------------------------------------------------------------------------------------------- refusals


def test_ids_that_the_model_cannot_read(lively_llama):
    model = lively_llama()
    with pytest.raises(ShapeError, match="ids: 17 positions are longer than the model's context of 16"):
        model(np.zeros((1, 17), int))
    with pytest.raises(DataError, match="got id 13, but the model's vocabulary has ids 0 to 12"):
        model([[13]])
    with pytest.raises(ShapeError, match="attention_mask"):
        model(IDS, np.ones((2, 8), bool))


def test_what_a_configuration_is_when_nothing_is_said():
    c = LlamaConfig(100, width=96, heads=6)
    assert (c.kv_heads, c.head_width, c.mlp_width) == (6, 16, 256)
    assert LlamaConfig(100, width=4096, heads=32).mlp_width == 11008  # LLaMA 7B's
    assert (c.epsilon, c.theta, c.rope_scaling, c.activation, c.tied) == (1e-6, 1e4, None, "silu", False)


@pytest.mark.parametrize("scaling", [*FIXED, *VARYING], ids=kinds)
def test_configuration_as_json(scaling):
    import json

    config = LlamaConfig(13, 16, 12, 2, 6, 2, 4, 10, 1e-5, 50.0, scaling, True, True, True, "relu", 0.1, 0.3)
    assert LlamaConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config
    with pytest.raises(ConfigError, match="a LLaMA has no setting norm; it has vocab_size, "):
        LlamaConfig.from_dict({"vocab_size": 5, "norm": "pre"})
    with pytest.raises(ConfigError, match="a LLaMA's settings need vocab_size"):
        LlamaConfig.from_dict({})


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"heads": 5}, "heads is 5, width is 128: heads must divide width"),
        ({"kv_heads": 3}, "kv_heads is 3, heads is 4: kv_heads must divide heads"),
        ({"kv_heads": 0}, "kv_heads is 0; it must be a whole number of at least 1"),
        ({"head_width": 7}, "head_width is 7; rotary positions turn pairs of features, so it must be even"),
        ({"head_width": 8.0}, "head_width is 8.0; it must be a whole number"),
        ({"mlp_width": 0}, "mlp_width is 0"),
        ({"width": "128"}, "width is '128'"),
        ({"theta": 1}, "theta is 1; it must be above 1"),
        ({"epsilon": 0}, "epsilon is 0"),
        ({"dropout": 1.0}, "dropout is 1.0"),
        ({"initial_std": 0}, "initial_std is 0"),
        ({"tied": 1}, "tied is 1; it must be True or False"),
        ({"attention_bias": None}, "attention_bias is None"),
        ({"mlp_bias": "no"}, "mlp_bias is 'no'"),
        ({"activation": "swish"}, "activation is 'swish'; it must be one of 'gelu_tanh'"),
        ({"rope_scaling": {"kind": "magic"}}, "rope_scaling: kind is 'magic'"),
    ],
)
def test_settings_that_cannot_be(settings, said):
    with pytest.raises(ConfigError) as error:
        LlamaConfig(**{"vocab_size": 13, **settings})
    assert said in str(error.value)
    assert LlamaConfig(13, width=12, heads=5, head_width=4).head_width == 4  # which need not be D / H
