"""T5: gradients of the whole, where information may flow, padding, the cache, distances, how it begins, refusals."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minilm.autograd import Tensor, fast, no_grad
from minilm.autograd.gradcheck import slope
from minilm.backend import asarray, to_numpy, xp
from minilm.errors import ConfigError, DataError, DTypeError, GraphError, ShapeError
from minilm.models import T5, T5Config, T5Encoder
from minilm.models.t5 import bucket
from minilm.nn.attention import FIRST_ROOM

pytestmark = pytest.mark.every_device

IDS = np.random.default_rng(7).integers(0, 13, (2, 9))
TARGETS = np.where(
    np.random.default_rng(8).random((2, 6)) < 0.2, -100, np.random.default_rng(9).integers(0, 13, (2, 6))
)
WRITTEN = np.random.default_rng(6).integers(0, 13, (2, 6))
KERNELS = pytest.mark.parametrize("kernels", [True, False])
GATED = {"gated": True, "activation": "gelu_tanh", "tied": False}
SMOOTH = {"activation": "gelu"}  # a difference must not step over relu's kink


# -------------------------------------------------------------------------------------------------------- gradients


@KERNELS
@pytest.mark.parametrize("settings", [{}, GATED, {"dropout": 0.3}, {"scale_head": False}], ids=str)
def test_gradient_of_all_parameters_in_one_direction(lively_t5, settings, kernels):
    model = lively_t5(**SMOOTH | settings).train(settings.get("dropout", 0) > 0)
    rng = np.random.default_rng(1)
    leaves = model.parameters()
    at = [leaf.numpy().copy() for leaf in leaves]
    directions = [rng.standard_normal(a.shape) for a in at]
    norm = math.sqrt(sum((d * d).sum() for d in directions))

    def f(t):
        for leaf, a, d in zip(leaves, at, directions, strict=True):
            leaf.assign(a + t / norm * d)
        model.set_generator(np.random.default_rng(2))  # the same dropout each time
        return model.loss(IDS, TARGETS)

    with fast(kernels):
        f(0).backward()
        found = sum(float((leaf.grad.numpy() * d).sum()) for leaf, d in zip(leaves, directions, strict=True)) / norm
        with no_grad():
            expected = slope(lambda t: f(t).item(), 1e-4)
    assert not abs(found) < 1e-3, "the direction shows nothing"
    assert not abs(found - expected) > 1e-7 * abs(expected)


@pytest.mark.parametrize("settings", [{}, GATED], ids=str)
def test_every_parameter_has_its_own_right_gradient(lively_t5, settings):
    """Each parameter by itself: a mistake in a small one would drown in the direction of all."""
    model = lively_t5(**SMOOTH | settings)
    rng = np.random.default_rng(3)
    u = rng.standard_normal((2, 6, 13))
    (model(IDS, WRITTEN) * asarray(u)).sum().backward()
    for name, p in model.named_parameters():
        at, d = p.numpy().copy(), rng.standard_normal(p.shape)
        d /= np.linalg.norm(d)

        def f(t, p=p, at=at, d=d):
            p.assign(at + t * d)
            return float((model(IDS, WRITTEN).numpy() * u).sum())

        with no_grad():
            expected = slope(f, 1e-4)
        p.assign(at)
        found = float((p.grad.numpy() * d).sum())
        assert abs(found - expected) <= 1e-7 * abs(expected) + 1e-10 and abs(found) > 1e-6, name


def test_recomputing_blocks_changes_no_gradient(lively_t5, device):
    found = []
    for again in (False, True):
        model = lively_t5(dropout=0.2).train().set_recompute(again)
        model.set_generator(np.random.default_rng(0)).loss(IDS, TARGETS).backward()
        found.append([p.grad.numpy() for p in model.parameters()])
    for a, b in zip(*found, strict=True):  # bits, but for what a device adds up in no fixed order
        np.testing.assert_allclose(a, b, rtol=0, atol=0 if device == "numpy" else 1e-14)


# ------------------------------------------------------------------------------------------------- information flow


@KERNELS
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("T", [2, 5, 40])
def test_what_is_written_later_changes_no_earlier_logit_by_a_bit(lively_t5, dtype, kernels, T):
    model, rng = lively_t5(dtype), np.random.default_rng(T)
    ids = rng.integers(0, 13, (2, T))
    with no_grad(), fast(kernels):
        logits = model(IDS, ids).numpy()
        for t in range(0, T, 1 + T // 9):
            changed = ids.copy()
            changed[:, t:] = (changed[:, t:] + rng.integers(1, 13, (2, T - t))) % 13
            again = model(IDS, changed).numpy()
            assert (again[:, :t] == logits[:, :t]).all()
            assert (again[:, t:] != logits[:, t:]).any(-1).all()  # while each later one sees it


@KERNELS
def test_every_position_of_the_text_reaches_every_position_of_memory_and_output(lively_t5, kernels):
    model = lively_t5()
    with no_grad(), fast(kernels):
        memory, logits = model.encode(IDS).numpy(), model(IDS, WRITTEN).numpy()
        for s in range(9):
            changed = IDS.copy()
            changed[:, s] = (changed[:, s] + 1) % 13
            assert (abs(model.encode(changed).numpy() - memory).max(-1) > 1e-6).all()
            assert (abs(model(changed, WRITTEN).numpy() - logits).max(-1) > 1e-6).all()


def test_the_gradient_says_the_same(lively_t5):
    """Of the t-th output: all of the memory, but padding, and what is written up to t."""
    model, real = lively_t5(), np.arange(9) < np.array([[9], [4]])
    for t in range(6):
        memory = Tensor(np.random.default_rng(0).standard_normal((2, 9, 12)), requires_grad=True)
        y = model.decode(WRITTEN, memory, real)
        model.zero_grad()
        (y[:, t] * asarray(np.random.default_rng(1).standard_normal((2, 12)))).sum().backward()
        moved = abs(memory.grad.numpy()).max(-1)
        assert (moved[real] > 1e-8).all() and (moved[~real] == 0).all()
        read = abs(model.token_embedding.weight.grad.numpy()).max(-1) > 0
        assert set(np.flatnonzero(read)) == set(WRITTEN[:, : t + 1].flat)


def test_order_matters_though_no_position_has_an_embedding(lively_t5):
    model = lively_t5()
    order = [1, 0, *range(2, 9)]
    assert abs(model.encode(IDS[:, order]).numpy()[:, 8] - model.encode(IDS).numpy()[:, 8]).max() > 1e-6
    again = model(IDS, WRITTEN[:, [1, 0, 2, 3, 4, 5]]).numpy()
    assert abs(again[:, 5] - model(IDS, WRITTEN).numpy()[:, 5]).max() > 1e-6


def test_rows_of_a_batch_are_independent(lively_t5):
    model = lively_t5()
    together = model(IDS, WRITTEN).numpy()
    for b in range(2):
        alone = model(IDS[b : b + 1], WRITTEN[b : b + 1]).numpy()[0]
        np.testing.assert_allclose(alone, together[b], rtol=1e-10, atol=1e-12)


# ---------------------------------------------------------------------------------------------------------- padding


def sided(lengths, T, side):
    return np.array([[(t >= T - n) if side == "left" else (t < n) for t in range(T)] for n in lengths])


@KERNELS
@pytest.mark.parametrize("decoder_side", ["left", "right"])
@pytest.mark.parametrize("side", ["left", "right"])
def test_padding_changes_nothing(lively_t5, side, decoder_side, kernels):
    model, rng = lively_t5(), np.random.default_rng(0)
    ids, written = rng.integers(0, 13, (3, 9)), rng.integers(0, 13, (3, 6))
    mask, decoder_mask = sided((3, 9, 1), 9, side), sided((6, 2, 4), 6, decoder_side)
    with no_grad(), fast(kernels):
        logits = model(ids, written, mask.astype(np.int64), decoder_mask).numpy()
        for b in range(3):
            alone = model(ids[b, mask[b]][None], written[b, decoder_mask[b]][None]).numpy()[0]
            np.testing.assert_allclose(logits[b, decoder_mask[b]], alone, rtol=1e-10, atol=1e-12)
        others, instead = np.where(mask, ids, (ids + 5) % 13), np.where(decoder_mask, written, (written + 5) % 13)
        again = model(others, instead, mask, decoder_mask).numpy()
        assert (again[decoder_mask] == logits[decoder_mask]).all()


@KERNELS
def test_padding_gets_no_gradient_and_gives_none(lively_t5, kernels):
    mask, decoder_mask = sided((5, 9), 9, "left"), sided((2, 6), 6, "right")
    targets = np.where(decoder_mask, TARGETS, -100)
    with fast(kernels):
        model = lively_t5()
        model.loss(IDS, targets, "sum", attention_mask=mask, decoder_mask=decoder_mask).backward()
        alone = lively_t5()
        (alone.loss(IDS[:1, 4:], targets[:1, :2], "sum") + alone.loss(IDS[1:], targets[1:], "sum")).backward()
    for (name, p), q in zip(model.named_parameters(), alone.parameters(), strict=True):
        np.testing.assert_allclose(p.grad.numpy(), q.grad.numpy(), rtol=1e-8, atol=1e-11, err_msg=name)


# ------------------------------------------------------------------------------------------------------------ cache


@KERNELS
@pytest.mark.parametrize("padded", [False, True])
def test_cached_logits_equal_uncached_for_every_split(lively_t5, padded, kernels):
    model = lively_t5()
    mask, decoder_mask = (sided((9, 4), 9, "right"), sided((3, 6), 6, "left")) if padded else (None, None)
    counted = np.ones((2, 6), bool) if decoder_mask is None else decoder_mask
    with no_grad(), fast(kernels):
        memory = model.encode(IDS, mask)
        whole = model(IDS, WRITTEN, mask, decoder_mask).numpy()[counted]
        for split in range(1, 6):
            cache, parts = model.new_cache(2), []
            for a, b in ((0, split), (split, 6)):
                read = None if decoder_mask is None else decoder_mask[:, :b]
                parts.append(model.logits(model.decode(WRITTEN[:, a:b], memory, mask, read, cache)).numpy())
            np.testing.assert_allclose(np.concatenate(parts, 1)[counted], whole, rtol=1e-9, atol=1e-11)
            assert cache.length == 6


@given(st.lists(st.sampled_from([1, 2, 30, FIRST_ROOM]), min_size=1, max_size=4))
def test_a_cache_grows_with_what_is_written_in_any_pieces(pieces):
    model = T5(T5Config(13, 12, 2, 2, 3, 4), seed=3).astype(np.float64).eval()
    ids = np.random.default_rng(0).integers(0, 13, (1, sum(pieces)))
    with no_grad():
        cache, memory, found, start = model.new_cache(), model.encode(IDS[:1]), [], 0
        for n in pieces:
            found.append(model.decode(ids[:, start : start + n], memory, cache=cache).numpy())
            start += n
        whole = model.decode(ids, memory).numpy()
    np.testing.assert_allclose(np.concatenate(found, 1), whole, rtol=1e-9, atol=1e-11)


def test_the_memory_is_read_once(lively_t5):
    model = lively_t5()
    with no_grad():
        cache, memory = model.new_cache(2), model.encode(IDS)
        first = model.decode(WRITTEN[:, :2], memory, cache=cache).numpy()
        other = Tensor(np.full(memory.shape, np.nan))  # only its shape is looked at
        second = model.decode(WRITTEN[:, 2:], other, cache=cache).numpy()
        whole = model.decode(WRITTEN, memory).numpy()
    np.testing.assert_allclose(np.concatenate([first, second], 1), whole, rtol=1e-9, atol=1e-11)


def test_a_reordered_cache_goes_on_from_the_rows_that_were_chosen(lively_t5):
    """As beam search has it: each row with its own past and its own memory."""
    model, rows = lively_t5(), np.array([1, 1, 0])
    ids, written = np.concatenate([IDS, IDS[:1, ::-1]]), np.concatenate([WRITTEN, WRITTEN[:1, ::-1]])
    with no_grad():
        cache, memory = model.new_cache(3), model.encode(ids)
        model.decode(written[:, :4], memory, cache=cache)
        cache.reorder(rows)
        found = model.decode(written[:, 4:], memory, cache=cache)
        wanted = model(ids[rows], np.concatenate([written[rows, :4], written[:, 4:]], 1))
        np.testing.assert_allclose(model.logits(found).numpy(), wanted.numpy()[:, 4:], rtol=1e-9, atol=1e-11)


def test_a_cleared_cache_is_a_new_one_for_another_memory(lively_t5):
    model = lively_t5()
    with no_grad():
        cache = model.new_cache(2)
        model.decode(WRITTEN, model.encode(IDS[:, ::-1]), cache=cache)
        shorter = model.encode(IDS[:, :4])
        with pytest.raises(ShapeError, match=r"memory: got shape \(2, 4, 12\), but the cache was begun with \(2, 9\)"):
            model.decode(WRITTEN, shorter, cache=cache)
        cache.clear()
        found = model.decode(WRITTEN, shorter, cache=cache).numpy()
        np.testing.assert_allclose(found, model.decode(WRITTEN, shorter).numpy(), rtol=1e-9, atol=1e-11)


def test_a_cache_has_the_models_dtype_and_refuses_gradients(lively_t5):
    model = lively_t5(np.float32)
    cache = model.new_cache(2)
    assert cache.keys.dtype == np.float32 and cache.keys.shape == (3, 2, 3, FIRST_ROOM, 5)
    with pytest.raises(GraphError, match="no_grad"):
        model.decode(WRITTEN, model.encode(IDS), cache=cache)


@pytest.mark.parametrize("settings", [{}, GATED], ids=str)
def test_a_bare_model_computes_the_same_to_the_bit(lively_t5, settings):
    model, mask = lively_t5(np.float32, **settings), np.arange(9) > np.array([[3], [-1]])
    bare = model.bare()
    with no_grad():
        memory, caches = model.encode(IDS, mask), [m.new_cache(2) for m in (bare, model)]
        for a, b in ((0, 5), (5, 6)):
            y, z = (m.logits(m.decode(WRITTEN[:, a:b], m.encode(IDS, mask), mask, cache=c))
                    for m, c in zip((bare, model), caches, strict=True))  # fmt: skip
            assert type(y) is xp.ndarray and y.dtype == np.float32
            assert (to_numpy(y) == z.numpy()).all()
        assert (to_numpy(bare.encode(IDS, mask)) == memory.numpy()).all()


# ----------------------------------------------------------------------------------------------- states, loss, head


def test_hidden_states_are_those_on_the_way(lively_t5):
    model = lively_t5()
    states = model.hidden_states(IDS, WRITTEN)
    assert [h.shape for h in states.encoder] == [(2, 9, 12)] * 3
    assert [h.shape for h in states.decoder] == [(2, 6, 12)] * 4
    E = model.token_embedding.weight.numpy()
    np.testing.assert_array_equal(states.encoder[0].numpy(), E[IDS])
    np.testing.assert_array_equal(states.decoder[0].numpy(), E[WRITTEN])
    np.testing.assert_array_equal(states.encoder[-1].numpy(), model.encode(IDS).numpy())
    np.testing.assert_array_equal(states.decoder[-1].numpy(), model.hidden(IDS, WRITTEN).numpy())


def test_an_encoder_alone_begins_and_reads_as_the_one_of_a_whole():
    config = T5Config(13, 12, 2, 1, 3, 4, dropout=0.1)
    whole, alone = T5(config, seed=4).eval(), T5Encoder(config, seed=4).eval()
    np.testing.assert_array_equal(alone(IDS, IDS > 3).numpy(), whole.encode(IDS, IDS > 3).numpy())
    np.testing.assert_array_equal(alone.hidden_states(IDS)[-1].numpy(), alone(IDS).numpy())


@pytest.mark.parametrize("settings", [{}, GATED, {"start_id": 5, "pad_id": 7}], ids=str)
def test_loss_is_of_targets_read_one_place_later(lively_t5, settings):
    model = lively_t5(**settings)
    start, pad = settings.get("start_id", 0), settings.get("pad_id", 0)
    used = TARGETS != -100
    assert used[:, :-1].any() and not used[:, :-1].all()
    inputs = np.concatenate([np.full((2, 1), start), np.where(used, TARGETS, pad)[:, :-1]], 1)
    np.testing.assert_array_equal(to_numpy(model.shifted(TARGETS)), inputs)
    logits = model(IDS, inputs).numpy()
    nll = np.log(np.exp(logits).sum(-1)) - np.take_along_axis(logits, np.maximum(TARGETS, 0)[..., None], -1)[..., 0]
    assert model.loss(IDS, TARGETS).item() == pytest.approx(nll[used].mean(), rel=1e-12)
    assert model.loss(IDS, TARGETS, reduction="sum").item() == pytest.approx(nll[used].sum(), rel=1e-12)
    assert model.loss(IDS.tolist(), TARGETS.tolist()).item() == model.loss(IDS, TARGETS).item()
    assert (TARGETS[~used] == -100).all()  # the caller's array is as it was


def test_another_index_may_be_ignored(lively_t5):
    model = lively_t5(pad_id=4)
    assert model.loss(IDS, np.where(TARGETS < 0, 4, TARGETS), ignore_index=4).item() == pytest.approx(
        model.loss(IDS, np.where((TARGETS < 0) | (TARGETS == 4), -100, TARGETS)).item(), rel=1e-12
    )


def test_a_tied_head_reads_what_is_divided_by_the_root_of_the_width(lively_t5):
    model, untied = lively_t5(), lively_t5(tied=False)
    E = model.token_embedding.weight.numpy()
    hidden = model.hidden(IDS, WRITTEN).numpy()
    np.testing.assert_allclose(model(IDS, WRITTEN).numpy(), hidden @ E.T / math.sqrt(12), rtol=1e-11)
    hidden = untied.hidden(IDS, WRITTEN).numpy()
    np.testing.assert_allclose(untied(IDS, WRITTEN).numpy(), hidden @ untied.head.weight.numpy(), rtol=1e-11)
    assert untied.num_parameters() - model.num_parameters() == 13 * 12
    for settings, factor in (({"scale_head": False}, 1), ({"tied": False, "scale_head": True}, 1 / math.sqrt(12))):
        model = lively_t5(**settings)
        head = model.head.weight.numpy() if model.head else model.token_embedding.weight.numpy().T
        hidden = model.hidden(IDS, WRITTEN).numpy()
        np.testing.assert_allclose(model(IDS, WRITTEN).numpy(), factor * hidden @ head, rtol=1e-11)


def test_a_layer_of_the_encoder_is_its_formula(lively_t5):
    """Straight from the paper: no scaling of scores, no bias, a norm without mean, distances added to the scores."""
    model = lively_t5(layers=1)
    block, x = model.encoder.blocks[0], model.token_embedding.weight.numpy()[IDS]

    def normed(x, norm):
        return x / np.sqrt((x * x).mean(-1, keepdims=True) + 0.05) * norm.weight.numpy()

    qkv = (normed(x, block.norm1) @ block.attention.qkv.weight.numpy()).reshape(2, 9, 3, 3, 5)
    q, k, v = qkv.transpose(2, 0, 3, 1, 4)  # (B, H, T, K)
    e = np.exp(q @ k.swapaxes(2, 3) + to_numpy(model.encoder.biases(9).data))
    y = (e / e.sum(-1, keepdims=True) @ v).transpose(0, 2, 1, 3).reshape(2, 9, 15)
    x = x + y @ block.attention.out.weight.numpy()
    h = np.maximum(normed(x, block.norm2) @ block.mlp.up.weight.numpy(), 0)
    x = x + h @ block.mlp.down.weight.numpy()
    np.testing.assert_allclose(model.encode(IDS).numpy(), normed(x, model.encoder.final_norm), rtol=1e-10)


# -------------------------------------------------------------------------------------------------------- distances


def test_near_distances_have_buckets_of_their_own_and_far_ones_share():
    assert bucket(-np.arange(9), False, 8, 16).tolist() == [0, 1, 2, 3, 4, 4, 5, 5, 6]
    assert bucket(np.arange(-5, 6), True, 8, 16).tolist() == [3 - 1, 2, 2, 2, 1, 0, 5, 6, 6, 6, 6]
    assert bucket([-15, -16, -1000], False, 8, 16).tolist() == [7, 7, 7]
    assert bucket([3, 1000], False, 8, 16).tolist() == [0, 0]


@given(st.integers(4, 64), st.integers(1, 300), st.booleans())
def test_buckets_are_all_used_in_order_and_the_last_from_the_largest_distance_on(count, more, both_ways):
    largest = count // 2 + more
    found = bucket(-np.arange(3 * largest), both_ways, count, largest)
    half = count // 2 if both_ways else count
    assert found[0] == 0 and (np.diff(found) >= 0).all() and (found[largest:] == half - 1).all()
    assert (found[: half // 2] == np.arange(half // 2)).all()
    if both_ways:
        ahead = bucket(np.arange(1, 3 * largest), True, count, largest)
        assert (ahead == found[1:] + half).all()


def test_all_layers_of_a_stack_share_one_table_and_the_stacks_have_their_own(lively_t5):
    model = lively_t5()
    tables = [(name, p.shape) for name, p in model.named_parameters() if "position" in name]
    assert tables == [("encoder.position_bias.weight", (8, 3)), ("decoder.position_bias.weight", (8, 3))]
    for stack, both_ways in ((model.encoder, True), (model.decoder, False)):
        found, table = to_numpy(stack.biases(7).data), stack.position_bias.weight.numpy()
        for t in range(7):
            for s in range(7):
                np.testing.assert_array_equal(found[:, t, s], table[int(bucket(s - t, both_ways, 8, 6))])
        np.testing.assert_array_equal(to_numpy(stack.biases(7, 4).data), found[:, 4:])


# ------------------------------------------------------------------------------------------------------------ begin


@pytest.mark.parametrize("settings", [{}, {"initial_factor": 0.3, **GATED}], ids=str)
def test_it_begins_as_t5_does(settings):
    model = T5(T5Config(500, 96, 4, 4, 6, 32, 300, **settings))
    D, HK, F, K = 96, 192, 300, 32
    expected = {"token_embedding": 1, "head": 1, "position_bias": D**-0.5, "query": (D * K) ** -0.5, "out": HK**-0.5,
                "key_value": D**-0.5, "gate": D**-0.5, "up": D**-0.5, "down": F**-0.5}  # fmt: skip
    factor, seen = settings.get("initial_factor", 1), {}
    for name, p in model.named_parameters():
        part, a = name.split(".")[-2], p.numpy() / factor
        if "norm" in part:
            np.testing.assert_allclose(a, 1, rtol=1e-6)
        elif part == "qkv":
            seen.setdefault("query", []).append(a[:, :HK])
            seen.setdefault("key_value", []).append(a[:, HK:])
        else:
            seen.setdefault(part, []).append(a)
    assert set(seen) == set(expected) - (set() if settings else {"head", "gate"})
    for part, arrays in seen.items():
        for a in arrays:
            assert abs(a.std() / expected[part] - 1) < (0.2 if part == "position_bias" else 0.04), part


def test_scores_begin_of_order_one_without_being_scaled():
    """What the smaller queries are for."""
    model = T5(T5Config(500, 96, 2, 2, 6, 32))
    x = np.random.default_rng(0).standard_normal((400, 96))
    q, k, _ = np.split(x @ model.encoder.blocks[0].attention.qkv.weight.numpy(), 3, 1)
    assert abs((q[:, :32] @ k[:, :32].T).std() - 1) < 0.15


def test_weights_are_a_function_of_the_seed():
    config = T5Config(11, 8, 1, 1, 2, 4)
    a, b, c = (T5(config, seed=s).state_dict() for s in (1, 1, 2))
    assert all((a[n] == b[n]).all() for n in a) and (a["token_embedding.weight"] != c["token_embedding.weight"]).all()


def test_dropout_falls_in_training_only_and_in_all_its_places():
    model = T5(T5Config(13, 12, 1, 1, 3, 5, 17, dropout=0.2))
    draws = []

    class Counting:
        bit_generator = property(lambda self: self)

        def random_raw(self, count):
            draws.append(count)
            return np.random.default_rng(0).bit_generator.random_raw(count)

    model.set_generator(Counting())(IDS, WRITTEN)
    # 4 numbers a draw: a stack's input; weights and what is added, of each attention; the MLP's inside and what it
    # adds; a stack's output
    read, written = -(-2 * 9 * 12 // 4), -(-2 * 6 * 12 // 4)
    encoder = [read, -(-2 * 3 * 9 * 9 // 4), read, -(-2 * 9 * 17 // 4), read, read]
    own, crossed = -(-2 * 3 * 6 * 6 // 4), -(-2 * 3 * 6 * 9 // 4)
    decoder = [written, own, written, crossed, written, -(-2 * 6 * 17 // 4), written, written]
    assert draws == encoder + decoder
    draws.clear()
    model.eval()(IDS, WRITTEN)
    assert draws == []


# --------------------------------------------------------------------------------------------------------- refusals


def test_ids_masks_and_memories_that_do_not_fit(lively_t5):
    model = lively_t5()
    memory = model.encode(IDS)
    with pytest.raises(ShapeError, match=r"^ids: got shape \(3,\), wanted \(B, T\)"):
        model([1, 2, 3], WRITTEN)
    with pytest.raises(ShapeError, match=r"^decoder_ids: got shape \(1, 0\).* decoder_ids\[None\] makes a batch"):
        model(IDS, [[]])
    with pytest.raises(DTypeError, match="^decoder_ids: got float64, wanted integers"):
        model.decode([[0.5], [1.0]], memory)
    with pytest.raises(DataError, match="^decoder_ids: got id 13, but the model's vocabulary has ids 0 to 12"):
        model(IDS, np.full((2, 6), 13))
    with pytest.raises(DataError, match="^targets: got id -1"):
        model.loss(IDS, np.full((2, 6), -1))
    with pytest.raises(ShapeError, match=r"^targets: got shape \(6,\)"):
        model.loss(IDS, TARGETS[0])
    with pytest.raises(ShapeError, match=r"^decoder_mask: got shape \(2, 5\), wanted \(2, 6\)"):
        model(IDS, WRITTEN, decoder_mask=np.ones((2, 5), bool))
    with pytest.raises(ShapeError, match=r"^memory_mask: got shape \(2, 8\), wanted \(2, 9\)"):
        model.decode(WRITTEN, memory, np.ones((2, 8), bool))
    with pytest.raises(DTypeError, match="^attention_mask: wanted booleans"):
        model.encode(IDS, np.full((2, 9), 2))
    for wrong in (model.encode(IDS[:1]), memory[0], memory[:, :, :11]):
        with pytest.raises(ShapeError, match=r"^memory: got shape .*, wanted \(B, S, D\) with B = 2 and D = 12"):
            model.decode(WRITTEN, wrong)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"vocab_size": 0}, "vocab_size is 0"),
        ({"layers": True}, "layers is True"),
        ({"decoder_layers": 0}, "decoder_layers is 0"),
        ({"head_width": 2.5}, "head_width is 2.5"),
        ({"mlp_width": -1}, "mlp_width is -1"),
        ({"gated": "yes"}, "gated is 'yes'; it must be True or False"),
        ({"scale_head": 1}, "scale_head is 1; it must be True or False"),
        ({"activation": "tanh"}, "activation is 'tanh'; it must be one of"),
        ({"buckets": 3}, "buckets is 3, max_distance is 128: there must be at least 4 buckets"),
        ({"buckets": 32, "max_distance": 16}, "max_distance must be above half of them"),
        ({"epsilon": 0}, "epsilon is 0"),
        ({"dropout": 1.0}, "dropout is 1.0"),
        ({"initial_factor": 0}, "initial_factor is 0; it must be above 0"),
        ({"pad_id": 10}, "pad_id is 10; it must be an id of the vocabulary, 0 to 9"),
        ({"start_id": None}, "start_id is None"),
    ],
    ids=str,
)
def test_configurations_that_cannot_be(settings, said):
    with pytest.raises(ConfigError, match=said):
        T5Config(**{"vocab_size": 10, **settings})


def test_configuration_as_json():
    config = T5Config(10, mlp_width=7, decoder_layers=2, tied=False)
    assert T5Config.from_dict(config.to_dict()) == config
    assert (config.depth(False), config.depth(True), config.scale_head) == (4, 2, False)
    assert (T5Config(10).mlp_width, T5Config(10).decoder_layers, T5Config(10).scale_head) == (512, 4, True)
    with pytest.raises(ConfigError, match="a T5 has no setting colour"):
        T5Config.from_dict({"vocab_size": 3, "colour": 1})
