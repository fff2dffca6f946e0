"""GPT: gradients of the whole, where information may flow, padding, the cache, how it begins, what it refuses."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minilm.autograd import Tensor, fast, no_grad
from minilm.autograd.gradcheck import slope
from minilm.backend import asarray, to_numpy, xp
from minilm.errors import ConfigError, DataError, DTypeError, GraphError, ShapeError
from minilm.models import GPT, GPTConfig
from minilm.models.gpt import attention_weights

pytestmark = pytest.mark.every_device

NORMS = ["pre", "post"]
IDS = np.random.default_rng(7).integers(0, 13, (2, 9))
TARGETS = np.where(
    np.random.default_rng(8).random((2, 9)) < 0.2, -100, np.random.default_rng(9).integers(0, 13, (2, 9))
)


# -------------------------------------------------------------------------------------------------------- gradients


@pytest.mark.parametrize("kernels", [True, False])
@pytest.mark.parametrize("settings", [{"norm": "pre"}, {"norm": "post"}, {"tied": False}, {"dropout": 0.3}], ids=str)
def test_gradient_of_all_parameters_and_the_embeddings_in_one_direction(lively_gpt, settings, kernels):
    """f = loss + ⟨u, logits⟩, the second a function of input embeddings x; its slope along a random direction."""
    model = lively_gpt(**settings).train(settings.get("dropout", 0) > 0)
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


@pytest.mark.parametrize("norm", NORMS)
def test_every_parameter_has_its_own_right_gradient(lively_gpt, norm):
    """Each parameter by itself: a mistake in a small one would drown in the direction of all."""
    model = lively_gpt(norm=norm)
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
        if not name.endswith("qkv.bias"):  # a key's bias changes nothing, but the others' do
            assert abs(found) > 1e-6, name


def test_only_a_keys_bias_has_no_gradient(lively_gpt):
    model = lively_gpt()
    model.loss(IDS, TARGETS).backward()
    grad = model.blocks[0].attention.qkv.bias.grad.numpy().reshape(3, 12)
    assert abs(grad[1]).max() < 1e-14 and abs(grad[[0, 2]]).min() > 1e-7


# ------------------------------------------------------------------------------------------------- information flow


@pytest.mark.parametrize("kernels", [True, False])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("T", [2, 5, 16])
def test_a_future_token_changes_no_earlier_logit_by_a_bit(lively_gpt, norm, dtype, kernels, T):
    model = lively_gpt(dtype, norm=norm)
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


@pytest.mark.parametrize("kernels", [True, False])
def test_no_leak_in_a_context_longer_than_a_tile(lively_gpt, kernels):
    model = lively_gpt(np.float32, context=300)
    ids = np.random.default_rng(0).integers(0, 13, (1, 300))
    with no_grad(), fast(kernels):
        logits = model(ids).numpy()
        for t in (1, 31, 32, 33, 63, 64, 65, 127, 128, 129, 200, 255, 256, 257, 299):
            changed = ids.copy()
            changed[:, t] = (changed[:, t] + 1) % 13
            again = model(changed).numpy()
            assert (again[:, :t] == logits[:, :t]).all() and (again[:, t] != logits[:, t]).any()


@pytest.mark.parametrize("norm", NORMS)
def test_every_earlier_token_and_its_place_matters(lively_gpt, norm):
    model = lively_gpt(norm=norm)
    ids = np.arange(10)[None]
    logits = model(ids).numpy()[0, -1]
    for t in range(10):
        changed = ids.copy()
        changed[0, t] = 12
        assert abs(model(changed).numpy()[0, -1] - logits).max() > 1e-6
    assert abs(model(ids[:, [1, 0, *range(2, 10)]]).numpy()[0, -1] - logits).max() > 1e-6


def test_the_gradient_says_the_same(lively_gpt):
    model = lively_gpt()
    for t in range(9):
        x = Tensor(np.random.default_rng(0).standard_normal((1, 9, 12)), requires_grad=True)
        y = model.logits(model.transform(x))[0, t]
        y.backward(np.random.default_rng(1).standard_normal(13))
        moved = abs(x.grad.numpy()[0]).max(-1)
        assert (moved[: t + 1] > 1e-8).all() and (moved[t + 1 :] == 0).all()


def test_rows_of_a_batch_are_independent(lively_gpt):
    model = lively_gpt()
    together = model(IDS).numpy()
    for b in range(2):
        np.testing.assert_allclose(model(IDS[b : b + 1]).numpy()[0], together[b], rtol=1e-10, atol=1e-12)


# ---------------------------------------------------------------------------------------------------------- padding


@pytest.mark.parametrize("kernels", [True, False])
@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("side", ["left", "right"])
def test_padding_changes_nothing(lively_gpt, norm, side, kernels):
    model = lively_gpt(norm=norm)
    lengths, T = (3, 9, 6), 9
    ids = np.random.default_rng(0).integers(0, 13, (3, T))
    mask = np.array([[(t >= T - n) if side == "left" else (t < n) for t in range(T)] for n in lengths])
    with no_grad(), fast(kernels):
        logits = model(ids, attention_mask=mask.astype(np.int64)).numpy()
        for b in range(3):
            alone = model(ids[b, mask[b]][None]).numpy()[0]
            np.testing.assert_allclose(logits[b, mask[b]], alone, rtol=1e-10, atol=1e-12)
        others = np.where(mask, ids, (ids + 5) % 13)
        assert (model(others, attention_mask=mask).numpy()[mask] == logits[mask]).all()


@pytest.mark.parametrize("kernels", [True, False])
def test_padding_gets_no_gradient_and_gives_none(lively_gpt, kernels):
    """A row that begins with padding has queries that see nothing: no NaN, and gradients as without the padding."""
    mask = np.array([[False] * 4 + [True] * 5, [True] * 9])
    targets = np.where(mask, TARGETS, -100)
    with fast(kernels):
        model = lively_gpt()
        model.loss(IDS, targets, reduction="sum", attention_mask=mask).backward()
        alone = lively_gpt()
        total = alone.loss(IDS[:1, 4:], targets[:1, 4:], "sum") + alone.loss(IDS[1:], targets[1:], "sum")
        total.backward()
    for (name, p), q in zip(model.named_parameters(), alone.parameters(), strict=True):
        np.testing.assert_allclose(p.grad.numpy(), q.grad.numpy(), rtol=1e-8, atol=1e-11, err_msg=name)


def test_a_mask_of_ones_is_no_mask(lively_gpt):
    model = lively_gpt()
    np.testing.assert_allclose(model(IDS, np.ones((2, 9), bool)).numpy(), model(IDS).numpy(), rtol=1e-12)


# ----------------------------------------------------------------------------------------------------- hidden states


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("layers", [1, 3])
def test_hidden_states_are_what_the_blocks_pass_on_and_the_last_is_what_the_head_reads(lively_gpt, norm, layers):
    model, mask = lively_gpt(norm=norm, layers=layers), np.ones((2, 9), bool)
    mask[0, :3] = False
    states = [state.numpy() for state in model.hidden_states(IDS, mask)]
    assert len(states) == layers + 1
    assert (states[0] == model.embed(IDS, mask).numpy()).all() and (states[-1] == model.hidden(IDS, mask).numpy()).all()
    for block, state, after in zip(model.blocks, states, states[1:-1], strict=False):
        assert (block(asarray(state), asarray(mask)[:, None, None]).numpy() == after).all()


@pytest.mark.parametrize("settings", [{"scale_attention": False}, {"scale_by_layer": True}], ids=str)
def test_scores_are_scaled_as_the_configuration_says(lively_gpt, settings):
    """A block's queries may carry the factor instead: with them so scaled, the plain model computes the same."""
    model, plain = lively_gpt(**settings), lively_gpt()
    for i, (block, other) in enumerate(zip(model.blocks, plain.blocks, strict=True)):
        factor = 2.0 if "scale_attention" in settings else 1 / (i + 1)  # √K is 2
        for p, q in ((block.attention.qkv.weight, other.attention.qkv.weight),
                     (block.attention.qkv.bias, other.attention.qkv.bias)):  # fmt: skip
            scaled = p.numpy().copy()
            scaled[..., :12] *= factor
            q.assign(scaled)
    np.testing.assert_allclose(model(IDS).numpy(), plain(IDS).numpy(), rtol=1e-9)
    for ours, theirs in zip(attention_weights(model, IDS), attention_weights(plain, IDS), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-9)


# ------------------------------------------------------------------------------------------------------------ cache


@pytest.mark.parametrize("kernels", [True, False])
@pytest.mark.parametrize("settings", [{"norm": "pre"}, {"norm": "post"}, {"scale_by_layer": True}], ids=str)
@pytest.mark.parametrize("padded", [False, True])
def test_cached_logits_equal_uncached_for_every_split(lively_gpt, settings, padded, kernels):
    model = lively_gpt(**settings)
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


@given(st.lists(st.integers(1, 4), min_size=1, max_size=4))
def test_cache_in_any_pieces(pieces):
    model = GPT(GPTConfig(vocab_size=13, context=16, width=12, layers=2, heads=3), seed=3).astype(np.float64).eval()
    ids = np.random.default_rng(0).integers(0, 13, (1, sum(pieces)))
    cache, found, start = model.new_cache(), [], 0
    with no_grad():
        for n in pieces:
            found.append(model(ids[:, start : start + n], cache=cache).numpy())
            start += n
        np.testing.assert_allclose(np.concatenate(found, 1), model(ids).numpy(), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("settings", [{"norm": "pre"}, {"norm": "post"}, {"tied": False}], ids=str)
def test_a_bare_model_computes_the_same_to_the_bit(lively_gpt, settings):
    model = lively_gpt(np.float32, **settings)
    bare, mask = model.bare(), np.arange(9) > np.array([[3], [-1]])
    with no_grad():
        for options in ({}, {"attention_mask": mask}):
            logits = bare(IDS, cache=bare.new_cache(2), **options)
            assert type(logits) is xp.ndarray and logits.dtype == np.float32
            assert (to_numpy(logits) == model(IDS, cache=model.new_cache(2), **options).numpy()).all()
            assert (to_numpy(bare(IDS, **options)) == model(IDS, **options).numpy()).all()


def test_a_cleared_cache_is_a_new_one(lively_gpt):
    model = lively_gpt()
    with no_grad():
        cache = model.new_cache(2)
        model(IDS[:, ::-1], cache=cache)
        cache.clear()
        np.testing.assert_allclose(model(IDS, cache=cache).numpy(), model(IDS).numpy(), rtol=1e-10)


def test_cache_has_the_models_dtype_and_refuses_gradients(lively_gpt):
    model = lively_gpt(np.float32)
    assert model.new_cache(2).keys.dtype == np.float32
    assert model.new_cache(2).keys.shape == (2, 2, 3, 16, 4)
    with pytest.raises(GraphError, match="no_grad"):
        model(IDS, cache=model.new_cache(2))


# ------------------------------------------------------------------------------------------------------------- loss


def test_loss_is_the_mean_over_what_counts(lively_gpt):
    model = lively_gpt()
    logits = model(IDS).numpy()
    nll = np.log(np.exp(logits).sum(-1)) - np.take_along_axis(logits, np.maximum(TARGETS, 0)[..., None], -1)[..., 0]
    used = TARGETS != -100
    assert used.any() and not used.all()
    assert model.loss(IDS, TARGETS).item() == pytest.approx(nll[used].mean(), rel=1e-12)
    assert model.loss(IDS, TARGETS, reduction="sum").item() == pytest.approx(nll[used].sum(), rel=1e-12)
    other = np.where(used, TARGETS, 4)
    assert model.loss(IDS.tolist(), TARGETS.tolist()).item() == model.loss(IDS, TARGETS).item()
    assert model.loss(IDS, other, ignore_index=4).item() == pytest.approx(nll[other != 4].mean(), rel=1e-12)


def test_an_untrained_model_knows_nothing():
    model = GPT(GPTConfig(vocab_size=500, context=32, width=64))
    rng = np.random.default_rng(0)
    loss = model.loss(rng.integers(0, 500, (4, 32)), rng.integers(0, 500, (4, 32))).item()
    assert abs(loss - math.log(500)) < 0.05


# ------------------------------------------------------------------------------------------------------------ begin


def test_gpt2_begins_as_gpt2_does():
    model = GPT(GPTConfig(vocab_size=300, context=300, width=96, layers=8, heads=4))
    expected = {"token_embedding": 0.02, "position_embedding": 0.01, "qkv": 0.02, "up": 0.02,
                "out": 0.02 / 4, "down": 0.02 / 4}  # fmt: skip
    for name, p in model.named_parameters():
        part, kind = name.split(".")[-2:]
        values = p.numpy()
        if kind == "bias":
            assert (values == 0).all(), name
        elif "norm" in part:
            assert (values == 1).all(), name
        else:
            assert abs(values.std() / expected[part] - 1) < 0.05 and abs(values.mean()) < 0.05 * expected[part], name
    state = model.state_dict()
    assert (state["blocks.0.mlp.up.weight"] != state["blocks.1.mlp.up.weight"]).any()


def test_gpt1_begins_as_gpt1_did_and_has_no_final_norm():
    model = GPT(GPTConfig(vocab_size=300, context=300, width=96, layers=8, heads=4, norm="post"))
    assert model.final_norm is None
    for name, p in model.named_parameters():
        if p.ndim == 2:
            assert abs(p.numpy().std() / 0.02 - 1) < 0.05, name


def test_weights_are_a_function_of_the_seed():
    config = GPTConfig(vocab_size=11, context=8, width=8, layers=1, heads=2)
    a, b, c = (GPT(config, seed=s).state_dict() for s in (1, 1, 2))
    assert all((a[n] == b[n]).all() for n in a) and (a["token_embedding.weight"] != c["token_embedding.weight"]).all()


def test_the_head_is_tied(lively_gpt):
    """One tensor, whose gradient is that of its use as embedding plus that as head."""
    tied, untied = lively_gpt(), lively_gpt(tied=False)
    assert untied.num_parameters() - tied.num_parameters() == 13 * 12
    state = tied.state_dict()
    untied.load_state_dict({**state, "head.weight": state["token_embedding.weight"].T})
    for model in (tied, untied):
        model.loss(IDS, TARGETS).backward()
    np.testing.assert_allclose(tied(IDS).numpy(), untied(IDS).numpy(), rtol=1e-12)
    both = untied.token_embedding.weight.grad.numpy() + untied.head.weight.grad.numpy().T
    np.testing.assert_allclose(tied.token_embedding.weight.grad.numpy(), both, rtol=1e-10, atol=1e-14)


def test_dropout_falls_in_training_only_and_in_all_its_places():
    config = GPTConfig(vocab_size=13, context=16, width=12, layers=2, heads=3, dropout=0.2)
    model, ids = GPT(config), IDS
    draws = []

    class Counting:
        bit_generator = property(lambda self: self)

        def random_raw(self, count):
            draws.append(count)
            return np.random.default_rng(0).bit_generator.random_raw(count)

    model.set_generator(Counting())(ids)
    # embeddings; then for each block the attention's weights, and what attention and MLP add; 4 numbers a draw
    vectors, weights = -(-2 * 9 * 12 // 4), -(-2 * 3 * 9 * 9 // 4)
    assert draws == [vectors, *[weights, vectors, vectors] * 2]
    draws.clear()
    model.eval()(ids)
    assert draws == []


def test_a_training_step_is_a_function_of_the_generator():
    model = GPT(GPTConfig(vocab_size=13, context=16, width=12, layers=2, heads=3, dropout=0.2))
    a, b, c = (model.set_generator(np.random.default_rng(s)).loss(IDS, TARGETS).item() for s in (1, 1, 2))
    assert a == b != c


# ------------------------------------------------------------------------------------------------ attention weights


@pytest.mark.parametrize("norm", NORMS)
def test_attention_weights_of_every_block(lively_gpt, norm):
    model = lively_gpt(norm=norm)
    batch, one = attention_weights(model, IDS), attention_weights(model, IDS[0])
    assert [w.shape for w in batch] == [(2, 3, 9, 9)] * 2 and [w.shape for w in one] == [(3, 9, 9)] * 2
    for w, v in zip(batch, one, strict=True):
        np.testing.assert_allclose(w.sum(-1), 1, rtol=1e-12)
        assert (np.triu(w, 1) == 0).all()
        np.testing.assert_allclose(w[0], v, rtol=1e-10)
    assert abs(batch[0] - batch[1]).max() > 0.01


# --------------------------------------------------------------------------------------------------------- refusals


def test_ids_longer_than_the_context(lively_gpt):
    model = lively_gpt()
    with pytest.raises(ShapeError, match="ids: 17 positions are longer than the model's context of 16"):
        model(np.zeros((1, 17), int))
    cache = model.new_cache()
    with no_grad():
        model(np.zeros((1, 10), int), cache=cache)
        with pytest.raises(ShapeError, match="ids: 17 positions are longer"):
            model(np.zeros((1, 7), int), cache=cache)


@pytest.mark.parametrize("ids", [[1, 2], 3, [[[1]]], [[]], np.zeros((0, 3), int)])
def test_ids_of_another_shape(lively_gpt, ids):
    with pytest.raises(ShapeError, match=r"ids: got shape .* wanted \(B, T\)"):
        lively_gpt()(ids)


@pytest.mark.parametrize("ids", [[[1.0, 2.0]], [[True, False]]])
def test_ids_that_are_no_integers(lively_gpt, ids):
    with pytest.raises(DTypeError, match=r"ids: got .* wanted integers"):
        lively_gpt()(ids)


@pytest.mark.parametrize("bad", [13, -1, 10**9])
def test_ids_outside_the_vocabulary(lively_gpt, bad):
    with pytest.raises(DataError, match=f"got id {bad}, but the model's vocabulary has ids 0 to 12; use the tokenizer"):
        lively_gpt()([[0, bad, 1]])


def test_mask_of_another_shape_or_kind(lively_gpt):
    model = lively_gpt()
    for shape in ((2, 8), (9,), (1, 9), (2, 1, 9)):
        with pytest.raises(ShapeError, match="attention_mask"):
            model(IDS, np.ones(shape, bool))
    for mask in (np.ones((2, 9)), np.full((2, 9), 2), np.full((2, 9), -1)):
        with pytest.raises(DTypeError, match="attention_mask"):
            model(IDS, mask)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"heads": 5}, "heads is 5, width is 128: heads must divide width"),
        ({"vocab_size": 0}, "vocab_size is 0"),
        ({"context": 2.5}, "context is 2.5"),
        ({"layers": True}, "layers is True"),
        ({"width": -4}, "width is -4"),
        ({"mlp_width": 0}, "mlp_width is 0"),
        ({"dropout": 1.0}, "dropout is 1.0"),
        ({"dropout": "0.1"}, "dropout is '0.1'"),
        ({"norm": "none"}, "norm is 'none'; it must be one of 'pre', 'post'"),
        ({"activation": "tanh"}, "activation is 'tanh'; it must be one of"),
        ({"epsilon": 0}, "epsilon is 0"),
    ],
)
def test_configurations_that_cannot_be(settings, said):
    with pytest.raises(ConfigError, match=said):
        GPTConfig(**{"vocab_size": 10, **settings})


def test_configuration_as_json():
    config = GPTConfig(vocab_size=10, norm="post", mlp_width=7)
    assert GPTConfig.from_dict(config.to_dict()) == config
    earlier = {"vocab_size": 10, "context": 8, "width": 4, "layers": 1, "heads": 1, "mlp_width": 7, "dropout": 0.1,
               "norm": "pre", "activation": "gelu_tanh", "tied": True, "epsilon": 1e-5, "causal": True}  # fmt: skip
    assert GPTConfig.from_dict(earlier) == GPTConfig(10, 8, 4, 1, 1, 7, 0.1)  # of runs before the others were there
    assert GPTConfig(vocab_size=10).mlp_width == 512
    with pytest.raises(ConfigError, match=r"no setting colour, size; it has vocab_size, context"):
        GPTConfig.from_dict({"vocab_size": 3, "colour": 1, "size": 2})
    with pytest.raises(ConfigError, match="vocab_size"):
        GPTConfig.from_dict({"width": 4})


@pytest.mark.parametrize("causal", [True, False])
def test_without_the_causal_mask_every_position_reads_what_follows(causal):
    config = GPTConfig(vocab_size=11, context=8, width=16, layers=1, heads=2, causal=causal)
    assert GPTConfig.from_dict(config.to_dict()) == config
    model = GPT(config, seed=0)
    ids = np.arange(8)[None] % 11
    other = ids.copy()
    other[0, 7] = 10
    before, after = (model(x).numpy()[0, :7] for x in (ids, other))
    assert (before == after).all(-1).all() if causal else (before != after).any(-1).all()
    if not causal:
        with pytest.raises(ConfigError, match="no causal mask"):
            model.new_cache()


def test_causal_is_yes_or_no():
    with pytest.raises(ConfigError, match="causal is 'maybe'"):
        GPTConfig(vocab_size=11, causal="maybe")
