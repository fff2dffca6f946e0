"""BERT: where information flows, padding, which gradients are 0, how it begins, dropout, what it refuses."""

import math

import numpy as np
import pytest

from minilm.autograd import Tensor, fast, no_grad
from minilm.autograd.gradcheck import slope
from minilm.backend import asarray
from minilm.errors import ConfigError, DataError, DTypeError, ShapeError
from minilm.models import Bert, BertConfig, BertForPreTraining, GPTConfig

RNG = np.random.default_rng(7)
IDS = RNG.integers(0, 13, (3, 9))
LENGTHS = np.array([9, 6, 3])
MASK = np.arange(9) < LENGTHS[:, None]
SEGMENTS = (np.arange(9) >= LENGTHS[:, None] // 2).astype(int)
TARGETS = np.where(MASK & (RNG.random((3, 9)) < 0.4), RNG.integers(0, 13, (3, 9)), -100)
TARGETS[:, 1] = 5
NEXT = np.array([0, 1, 1])


def both(model, **changes):
    """A mixture of both losses, so that neither's gradient can stand for the other's."""
    batch = {"targets": TARGETS, "next_label": NEXT, "segments": SEGMENTS, "attention_mask": MASK}
    losses = model.loss(IDS, **{**batch, **changes})
    return losses.mlm * 0.7 + losses.nsp * 1.9


def test_hidden_states_are_what_the_blocks_pass_on(lively_bert):
    model = lively_bert(Bert, layers=3)
    states = [state.numpy() for state in model.hidden_states(IDS, SEGMENTS, MASK)]
    assert len(states) == 4 and (states[0] == model.embed(IDS, SEGMENTS).numpy()).all()
    for block, state, after in zip(model.blocks, states, states[1:], strict=False):
        assert (block(asarray(state), asarray(MASK)[:, None, None]).numpy() == after).all()
    assert (states[-1] == model(IDS, SEGMENTS, MASK).hidden.numpy()).all()


@pytest.mark.parametrize("name", ["attention_dropout", "classifier_dropout", "embedding_dropout"])
def test_a_rate_of_its_own_must_be_one(name):
    kind = GPTConfig if name == "embedding_dropout" else BertConfig
    with pytest.raises(ConfigError, match=f"{name} is 1.5; it must be at least 0 and below 1"):
        kind(13, **{name: 1.5})


# ------------------------------------------------------------------------------------------------- information flow


def influence(model, mask, kernels):
    """|∂ position t / ∂ embedding s|, the largest entry, (B, T, S); each row's positions against all embeddings."""
    B, T, D = 3, 9, 12
    found = np.zeros((B, T, T))
    for t in range(T):
        x = Tensor(np.random.default_rng(0).standard_normal((B, T, D)), requires_grad=True)
        with fast(kernels):
            y = model.transform(x, mask)
            y.backward(np.random.default_rng(t).standard_normal((B, T, D)) * (np.arange(T) == t)[:, None])
        found[:, t] = abs(x.grad.numpy()).max(-1)
    return found


@pytest.mark.parametrize("kernels", [True, False])
@pytest.mark.parametrize("causal", [False, True])
def test_every_real_position_reaches_every_real_position_and_padding_none(lively_bert, causal, kernels):
    found = influence(lively_bert(Bert, causal=causal), MASK, kernels)
    for b, n in enumerate(LENGTHS):
        may = np.tril(np.ones((n, n), bool)) if causal else np.ones((n, n), bool)
        assert (found[b, :n, :n][may] > 1e-8).all(), "a position that should be read is not"
        assert (found[b, :n, :n][~may] == 0).all(), "left to right, but the future is read"
        assert (found[b, :n, n:] == 0).all(), "padding reaches a real position"


def test_without_a_mask_all_positions_are_real(lively_bert):
    assert (influence(lively_bert(Bert), None, True) > 1e-8).all()


def test_every_input_reaches_the_pooled_vector_and_both_losses(lively_bert):
    model = lively_bert()
    x = Tensor(RNG.standard_normal((3, 9, 12)), requires_grad=True)
    model.bert.pool(model.bert.transform(x, MASK), MASK).backward(RNG.standard_normal((3, 12)))
    reached = abs(x.grad.numpy()).max(-1)
    assert (reached[MASK] > 1e-9).all() and (reached[~MASK] == 0).all()


def test_the_pooler_reads_the_first_position_and_from_left_to_right_the_last_real_one(lively_bert):
    hidden = RNG.standard_normal((3, 9, 12))
    for causal, mask, at in ((False, MASK, [0] * 3), (False, None, [0] * 3), (True, MASK, LENGTHS - 1),
                             (True, None, [8] * 3)):  # fmt: skip
        h = Tensor(hidden, requires_grad=True)
        lively_bert(Bert, causal=causal).pool(h, mask).backward(RNG.standard_normal((3, 12)))
        read = abs(h.grad.numpy()).max(-1) > 0
        assert read.sum(1).tolist() == [1] * 3 and read.argmax(1).tolist() == list(at)


@pytest.mark.parametrize("kernels", [True, False])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_changing_pad_ids_changes_no_bit(lively_bert, dtype, kernels):
    model = lively_bert(dtype=dtype)
    others = np.where(MASK, IDS, (IDS + RNG.integers(1, 13, IDS.shape)) % 13)
    segments = np.where(MASK, SEGMENTS, 1 - SEGMENTS)
    with no_grad(), fast(kernels):
        one, two = model.bert(IDS, SEGMENTS, MASK), model.bert(others, segments, MASK.astype(int))
        assert (one.hidden.numpy()[MASK] == two.hidden.numpy()[MASK]).all()
        assert (one.pooled.numpy() == two.pooled.numpy()).all()
        a = model.loss(IDS, TARGETS, NEXT, SEGMENTS, MASK)
        b = model.loss(others, TARGETS, NEXT, segments, MASK)
        assert (a.mlm.item(), a.nsp.item()) == (b.mlm.item(), b.nsp.item())


def test_a_padded_row_is_what_it_is_alone(lively_bert):
    model = lively_bert(Bert)
    found = model(IDS, SEGMENTS, MASK)
    for b, n in enumerate(LENGTHS):
        alone = model(IDS[b : b + 1, :n], SEGMENTS[b : b + 1, :n])
        np.testing.assert_allclose(found.hidden.numpy()[b, :n], alone.hidden.numpy()[0], rtol=1e-10, atol=1e-12)
        np.testing.assert_allclose(found.pooled.numpy()[b], alone.pooled.numpy()[0], rtol=1e-10, atol=1e-12)


def test_words_their_places_and_segments_matter(lively_bert):
    model = lively_bert(Bert)
    pooled = model(IDS, SEGMENTS).pooled.numpy()
    swapped = IDS[:, [0, 2, 1, *range(3, 9)]]
    assert (IDS[:, 1] != IDS[:, 2]).any()
    for other in (model(swapped, SEGMENTS), model(IDS, 1 - SEGMENTS), model(IDS)):
        assert abs(other.pooled.numpy() - pooled).max() > 1e-6
    assert (model(IDS).pooled.numpy() == model(IDS, np.zeros_like(IDS)).pooled.numpy()).all()


# -------------------------------------------------------------------------------------------------------- gradients


def test_every_parameter_has_a_gradient_and_each_segment_and_position_too(lively_bert):
    """Only a key's bias moves nothing, as it adds the same to all scores of a query."""
    model = lively_bert()
    both(model).backward()
    for name, p in model.named_parameters():
        grad = abs(p.grad.numpy())
        assert grad.max() > 1e-6, name
        if name.endswith("qkv.bias"):
            query, key, val = grad.reshape(3, 12)
            assert key.max() < 1e-14 and min(query.min(), val.min()) > 1e-9
    bert = model.bert
    assert (abs(bert.segment_embedding.weight.grad.numpy()).max(1) > 1e-6).all()
    positions = abs(bert.position_embedding.weight.grad.numpy()).max(1)
    assert (positions[:9] > 1e-6).all() and (positions[9:] == 0).all()


def test_each_loss_moves_what_it_should(lively_bert):
    """NSP alone leaves the words' head alone; MLM alone leaves pooler and answers alone."""
    words = ("dense", "norm", "bias")
    answers = ("bert.pooler", "next_sentence")
    for which, idle in (("mlm", answers), ("nsp", words)):
        model = lively_bert()
        getattr(model.loss(IDS, TARGETS, NEXT, SEGMENTS, MASK), which).backward()
        for name, p in model.named_parameters():
            moved = p.grad is not None and abs(p.grad.numpy()).max() > 1e-6
            assert moved != name.startswith(idle), (which, name)


@pytest.mark.parametrize("kernels", [True, False])
def test_the_words_loss_has_gradient_exactly_0_outside_the_chosen(lively_bert, kernels):
    model = lively_bert()
    hidden = Tensor(RNG.standard_normal((3, 9, 12)), requires_grad=True)
    with fast(kernels):
        model.word_loss(hidden, TARGETS)[0].backward(RNG.standard_normal())
    moved = abs(hidden.grad.numpy()).max(-1)
    assert (moved[TARGETS == -100] == 0).all() and (moved[TARGETS != -100] > 1e-8).all()


def test_the_loss_is_the_mean_over_the_chosen_of_the_logits(lively_bert):
    model = lively_bert()
    logits, answers = (x.numpy() for x in model(IDS, SEGMENTS, MASK))
    nll = np.log(np.exp(logits).sum(-1)) - np.take_along_axis(logits, np.maximum(TARGETS, 0)[..., None], -1)[..., 0]
    used = TARGETS != -100
    assert 3 < used.sum() < used.size / 2
    nsp = np.log(np.exp(answers).sum(-1)) - answers[np.arange(3), NEXT]
    mean, total = (model.loss(IDS, TARGETS, NEXT, SEGMENTS, MASK, reduction=r) for r in ("mean", "sum"))
    assert mean.mlm.item() == pytest.approx(nll[used].mean(), rel=1e-12)
    assert total.mlm.item() == pytest.approx(nll[used].sum(), rel=1e-12)
    assert mean.nsp.item() == pytest.approx(nsp.mean(), rel=1e-12)
    assert total.nsp.item() == pytest.approx(nsp.sum(), rel=1e-12)
    assert (
        mean.mlm_right == (logits.argmax(-1) == TARGETS).sum() and mean.nsp_right == (answers.argmax(-1) == NEXT).sum()
    )
    nothing = model.loss(IDS, np.full_like(IDS, -100), segments=SEGMENTS)
    assert nothing.mlm.item() == 0 and nothing.mlm_right == 0 and nothing.nsp is None


@pytest.mark.parametrize("kernels", [True, False])
def test_logits_of_any_size_give_a_finite_loss_and_gradient(lively_bert, kernels):
    """Logits and attention's scores of 10⁴ and more, whose exponentials overflow."""
    model = lively_bert(dtype=np.float32)
    for name, p in model.named_parameters():
        if name.endswith(("norm.bias", "token_embedding.weight", "qkv.weight", "next_sentence.weight")):
            p.assign(p.numpy() * 3000)
    assert abs(model(IDS, SEGMENTS, MASK).mlm.numpy()).max() > 1e4
    with fast(kernels):
        loss = both(model)
        loss.backward()
    assert np.isfinite(loss.item()) and all(np.isfinite(p.grad.numpy()).all() for p in model.parameters())


def test_more_chosen_rows_than_are_counted_at_once(lively_bert, monkeypatch):
    model = lively_bert()
    wanted = model.loss(IDS, TARGETS).mlm_right
    best = model(IDS).mlm.numpy().argmax(-1)
    targets = np.where(TARGETS == -100, -100, np.where(np.arange(9) % 2, best, TARGETS))
    counted = int((best == targets).sum())
    monkeypatch.setattr("minilm.models.bert.ROWS", 2)
    assert model.loss(IDS, TARGETS).mlm_right == wanted
    assert model.loss(IDS, targets).mlm_right == counted > wanted


@pytest.mark.parametrize("again", [False, True], ids=["kept", "recomputed"])
@pytest.mark.parametrize("kernels", [True, False])
@pytest.mark.parametrize("settings", [{}, {"dropout": 0.3}, {"causal": True}], ids=str)
def test_gradient_of_all_parameters_in_one_direction(lively_bert, settings, kernels, again):
    model = lively_bert(**settings).train(settings.get("dropout", 0) > 0).set_recompute(again)
    rng = np.random.default_rng(1)
    leaves = model.parameters()
    at = [leaf.numpy().copy() for leaf in leaves]
    directions = [rng.standard_normal(a.shape) for a in at]
    norm = math.sqrt(sum((d * d).sum() for d in directions))

    def f(t):
        for leaf, a, d in zip(leaves, at, directions, strict=True):
            leaf.assign(a + t / norm * d)
        model.set_generator(np.random.default_rng(2))  # the same dropout each time
        return both(model)

    with fast(kernels):
        f(0).backward()
        found = sum(float((leaf.grad.numpy() * d).sum()) for leaf, d in zip(leaves, directions, strict=True)) / norm
        with no_grad():
            expected = slope(lambda t: f(t).item(), 1e-3)
    assert not abs(found) < 1e-3, "the direction shows nothing"
    error = abs(found - expected) / abs(expected)
    assert error <= 1e-7


# ------------------------------------------------------------------------------------------------- begin and dropout


def test_it_begins_as_berts_code_does():
    """N(0, .02²) cut off at 2σ, whose deviation is .8796 of .02; biases 0, norms 1."""
    model = BertForPreTraining(BertConfig(vocab_size=300, context=300, width=96, layers=4, heads=4), seed=3)
    for name, p in model.named_parameters():
        part, kind = ("", *name.split("."))[-2:]
        values = p.numpy()
        if kind == "bias":
            assert (values == 0).all(), name
        elif "norm" in part:
            assert (values == 1).all(), name
        else:
            assert abs(values).max() <= 0.04, name
            if values.size > 5000:
                assert abs(values.std() / (0.02 * 0.87963) - 1) < 0.03 and abs(values.mean()) < 1e-3, name
    state = model.state_dict()
    assert (state["bert.blocks.0.mlp.up.weight"] != state["bert.blocks.1.mlp.up.weight"]).any()
    assert abs(state["bert.pooler.weight"] - state["dense.weight"]).max() > 0.01


def test_weights_are_a_function_of_the_seed_and_the_encoder_the_same_under_each_head():
    config = BertConfig(vocab_size=11, context=8, width=8, layers=1, heads=2)
    a, b, c = (BertForPreTraining(config, seed=s).state_dict() for s in (1, 1, 2))
    assert all((a[n] == b[n]).all() for n in a)
    assert (a["bert.token_embedding.weight"] != c["bert.token_embedding.weight"]).any()
    assert (a["dense.weight"] != c["dense.weight"]).any()
    assert all((array == a[f"bert.{n}"]).all() for n, array in Bert(config, seed=1).state_dict().items())


def test_an_untrained_model_knows_nothing():
    model = BertForPreTraining(BertConfig(vocab_size=500, context=32, width=64))
    ids, targets = RNG.integers(0, 500, (2, 8, 32))
    losses = model.loss(ids, targets, RNG.integers(0, 2, 8))
    assert abs(losses.mlm.item() - math.log(500)) < 0.05 and abs(losses.nsp.item() - math.log(2)) < 0.05


def test_the_decoder_is_the_token_embedding(lively_bert):
    model = lively_bert()
    names = [name for name, p in model.named_parameters() if p.shape == (13, 12)]
    assert names == ["bert.token_embedding.weight"]
    word = model.bert.token_embedding.weight
    before = model(IDS % 12).mlm.numpy()
    changed = word.numpy().copy()
    changed[12] += 1
    word.assign(changed)  # a token that is not read: only its own logit changes
    moved = abs(model(IDS % 12).mlm.numpy() - before).max((0, 1)) > 1e-9
    assert moved.tolist() == [False] * 12 + [True]


def test_dropout_falls_in_training_only_and_in_all_its_places(lively_bert):
    model, draws = lively_bert(dropout=0.2).train(), []

    class Counting:
        bit_generator = property(lambda self: self)

        def random_raw(self, count):
            draws.append(count)
            return np.random.default_rng(len(draws)).bit_generator.random_raw(count)

    both(model.set_generator(Counting()))
    # embeddings; then for each block the attention's weights, and what attention and MLP add; 4 numbers a draw
    vectors, weights = -(-3 * 9 * 12 // 4), -(-3 * 3 * 9 * 9 // 4)
    assert draws == [vectors, *[weights, vectors, vectors] * 2]
    draws.clear()
    first, second = (both(model.eval()).item() for _ in range(2))
    assert draws == [] and first == second


def test_dropout_keeps_the_mean_and_differs_between_rows():
    """Equal rows: what is dropped differs from row to row, and what is kept is divided by 1 − p."""
    model = Bert(BertConfig(vocab_size=5, context=4, width=400, layers=1, heads=1, dropout=0.25))
    ids = np.tile([[1, 2, 3]], (40, 1))
    rows = model.embed(ids).numpy()
    kept = model.eval().embed(ids).numpy()
    assert not (rows[0] == rows[1]).all()
    assert abs((rows == 0).mean() - 0.25) < 0.01
    np.testing.assert_allclose(rows[rows != 0], (kept / 0.75)[rows != 0], rtol=1e-6)


# --------------------------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("error", "said", "arguments"),
    [
        (ShapeError, "ids: 17 positions are longer than the model's context of 16", (np.zeros((1, 17), int),)),
        (ShapeError, r"ids: got shape \(9,\), wanted \(B, T\)", (IDS[0],)),
        (DTypeError, "ids: got float64, wanted integers", (IDS.astype(float),)),
        (DataError, "got id 13, but the model's vocabulary has ids 0 to 12", (IDS + 1,)),
        (ShapeError, r"segments: got shape \(3, 8\), wanted \(3, 9\)", (IDS, SEGMENTS[:, 1:])),
        (DTypeError, "segments: got bool, wanted integers", (IDS, MASK)),
        (DataError, "segments: got 2, but the model has segments 0 to 1", (IDS, SEGMENTS * 2)),
        (DataError, "segments: got -1, but the model has segments 0 to 1", (IDS, SEGMENTS - 1)),
        (ShapeError, "attention_mask: got shape", (IDS, None, MASK[:, 1:])),
        (DTypeError, "attention_mask: wanted booleans or integers 0 and 1", (IDS, None, MASK * 2)),
        (DataError, "attention_mask: row 1 begins with padding", (IDS, None, (np.arange(9) >= [[0], [2], [1]]))),
    ],
    ids=str,
)
def test_inputs_that_cannot_be(lively_bert, error, said, arguments):
    assert IDS.max() == 12
    with pytest.raises(error, match=said):
        lively_bert(Bert)(*arguments)


def test_targets_and_labels_that_cannot_be(lively_bert):
    model = lively_bert()
    with pytest.raises(ShapeError, match=r"targets: got shape \(3, 8\), wanted \(3, 9\)"):
        model.loss(IDS, TARGETS[:, 1:])
    with pytest.raises(DataError, match="targets"):
        model.loss(IDS, np.where(TARGETS == -100, -100, 13))
    with pytest.raises(DTypeError, match="targets"):
        model.loss(IDS, TARGETS.astype(float))
    with pytest.raises(DataError, match="targets"):
        model.loss(IDS, TARGETS, np.array([0, 1, 2]))
    alone = lively_bert(options={"next_sentence": False})
    assert alone(IDS).nsp is None
    with pytest.raises(ConfigError, match="next_label: this model has no next-sentence head"):
        alone.loss(IDS, TARGETS, NEXT)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"heads": 5}, "heads is 5, width is 128: heads must divide width"),
        ({"vocab_size": 0}, "vocab_size is 0"),
        ({"context": 2.5}, "context is 2.5"),
        ({"layers": True}, "layers is True"),
        ({"mlp_width": 0}, "mlp_width is 0"),
        ({"segments": 0}, "segments is 0"),
        ({"dropout": 1.0}, "dropout is 1.0"),
        ({"activation": "tanh"}, "activation is 'tanh'; it must be one of"),
        ({"epsilon": 0}, "epsilon is 0"),
        ({"initial_std": 0}, "initial_std is 0; it must be above 0"),
        ({"initial_std": float("nan")}, "initial_std is nan"),
        ({"causal": "yes"}, "causal is 'yes'; it must be True or False"),
    ],
)
def test_configurations_that_cannot_be(settings, said):
    with pytest.raises(ConfigError, match=said):
        BertConfig(**{"vocab_size": 10, **settings})


def test_configuration_as_json():
    config = BertConfig(vocab_size=10, mlp_width=7, causal=True)
    assert BertConfig.from_dict(config.to_dict()) == config
    c = BertConfig(vocab_size=10)
    assert (c.mlp_width, c.context, c.epsilon, c.activation, c.segments) == (512, 512, 1e-12, "gelu", 2)
    with pytest.raises(ConfigError, match=r"a BERT has no setting norm; it has vocab_size, context"):
        BertConfig.from_dict({"vocab_size": 3, "norm": "pre"})
    with pytest.raises(ConfigError, match="vocab_size"):
        BertConfig.from_dict({"width": 4})


def test_a_bare_model_and_a_replica_compute_the_same(lively_bert):
    model = lively_bert(dtype=np.float32)
    with no_grad():
        wanted = model.bert(IDS, SEGMENTS, MASK)
        for other in (model.bare(), model.replica()):
            found = other.bert(IDS, SEGMENTS, MASK)
            assert (np.asarray(getattr(found.pooled, "data", found.pooled)) == wanted.pooled.numpy()).all()
