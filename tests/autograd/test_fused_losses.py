"""Cross-entropy and the head with it: each kernel against its plain twin and PyTorch, with every option."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as theirs
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes

import minilm.functional as F
from minilm.autograd import Tensor, fast, grad
from minilm.autograd.gradcheck import gradcheck
from minilm.backend import asarray, to_numpy
from minilm.errors import ConfigError, DataError, DTypeError, ShapeError

pytestmark = pytest.mark.every_device

seeds = st.integers(0, 2**32 - 1)
chunks = st.sampled_from([1, 3, 10, 25, 1 << 14])
leading = array_shapes(min_dims=1, max_dims=3, max_side=6)
options = st.fixed_dictionaries(
    {
        "ignore_index": st.sampled_from([-100, -1, 0, 2]),
        "label_smoothing": st.sampled_from([0.0, 0.1, 1.0]),
        "weighted": st.booleans(),
        "reduction": st.sampled_from(["mean", "sum", "none"]),
    }
)


def targets_and_options(rng: np.random.Generator, shape: tuple[int, ...], V: int, drawn: dict) -> tuple:
    """Targets, some of them ignored and at least one not, and the options with class weights made."""
    given_options = {k: v for k, v in drawn.items() if k != "weighted"}
    given_options["class_weights"] = rng.random(V) + 0.1 if drawn["weighted"] else None
    targets = rng.integers(0, V, shape)
    targets[rng.random(shape) < 0.4] = drawn["ignore_index"]
    if (targets == drawn["ignore_index"]).all():
        targets.flat[0] = (drawn["ignore_index"] + 1) % V if drawn["ignore_index"] >= 0 else 0
    return targets, given_options


def torchs(given_options):
    """PyTorch's function of flat logits (n, V) and targets (n,)."""
    w = given_options["class_weights"]

    def f(logits, targets):
        return theirs.cross_entropy(
            logits.reshape(-1, logits.shape[-1]),
            targets.reshape(-1),
            None if w is None else torch.tensor(np.array(w)),
            ignore_index=given_options["ignore_index"],
            label_smoothing=given_options["label_smoothing"],
            reduction=given_options["reduction"],
        )

    return f


@given(leading, st.integers(2, 9), options, chunks, seeds)
def test_cross_entropy(check, tiles, shape, V, drawn, chunk, seed):
    rng = np.random.default_rng([seed, 0])
    targets, given_options = targets_and_options(rng, shape, V, drawn)
    logits = 3 * rng.standard_normal((*shape, V))

    def reference(z, t):
        y = torchs(given_options)(z, t)
        return y.reshape(shape) if y.ndim else y

    with tiles(ROW_CHUNK=chunk):
        check(F.cross_entropy, [logits, targets], given_options, reference, seed)


@given(
    leading, st.integers(2, 9), st.integers(1, 4), options, st.booleans(), chunks, st.integers(1, 6),
    st.sampled_from([1, 300, 1 << 25]), seeds,
)  # fmt: skip
def test_linear_cross_entropy(check, tiles, shape, V, D, drawn, with_bias, chunk, rows, size, seed):
    rng = np.random.default_rng([seed, 0])
    drawn = drawn | {"reduction": "mean" if drawn["reduction"] == "none" else drawn["reduction"]}
    targets, given_options = targets_and_options(rng, shape, V, drawn)
    args = [rng.standard_normal((*shape, D)), rng.standard_normal((V, D)), targets]
    args += [rng.standard_normal(V)] if with_bias else []

    def reference(x, w, t, b=None):
        return torchs(given_options)(theirs.linear(x, w, b), t)

    with tiles(ROW_CHUNK=chunk, LOGITS_ROWS=rows, LOGITS_BYTES=size):
        check(F.linear_cross_entropy, args, given_options, reference, seed)


def test_the_head_at_the_real_chunk_sizes(check):
    rng = np.random.default_rng(1)
    targets = rng.integers(0, 9001, (5, 230))
    targets[:, ::7] = -100
    args = [rng.standard_normal((5, 230, 6)), rng.standard_normal((9001, 6)), targets]
    check(
        F.linear_cross_entropy, args, {}, lambda x, w, t: theirs.cross_entropy((x @ w.T).reshape(-1, 9001), t.ravel())
    )


@pytest.mark.parametrize("on", [True, False], ids=["kernel", "twin"])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_nothing_to_predict_is_no_loss_and_no_gradient(on, reduction):
    rng = np.random.default_rng(0)
    with fast(on), np.errstate(all="raise"):
        z = Tensor(rng.standard_normal((2, 3, 5)), requires_grad=True)
        targets = np.full((2, 3), -100)
        y = F.cross_entropy(z, targets, label_smoothing=0.1, reduction=reduction)
        np.testing.assert_array_equal(y.numpy(), np.zeros((2, 3) if reduction == "none" else ()))
        np.testing.assert_array_equal(grad(y, z, np.ones(y.shape)).numpy(), 0)
        if reduction != "none":
            w = Tensor(rng.standard_normal((4, 5)), requires_grad=True)
            y = F.linear_cross_entropy(z, w, targets, reduction=reduction)
            assert y.item() == 0
            assert all((g.numpy() == 0).all() for g in grad(y, [z, w]))


@pytest.mark.parametrize("on", [True, False], ids=["kernel", "twin"])
def test_logits_of_any_size(on):
    z = asarray(np.array([[1e4, -1e4, 0], [-math.inf, 5, 5]]))
    with fast(on):
        losses = F.cross_entropy(z, np.array([1, 2]), reduction="none")
    np.testing.assert_allclose(to_numpy(losses), [2e4, math.log(2)])


def test_rows_that_are_ignored_may_hold_anything():
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((4, 3)), rng.standard_normal((5, 3))
    targets = np.array([1, -100, 2, 0])
    wanted = F.linear_cross_entropy(asarray(x), asarray(w), targets)
    x[1] = np.nan
    assert F.linear_cross_entropy(asarray(x), asarray(w), targets) == wanted
    assert math.isfinite(F.cross_entropy(asarray(x @ w.T), targets))


@given(st.integers(1, 30), seeds)
def test_the_mean_is_the_sum_over_the_count(n, seed):
    rng = np.random.default_rng(seed)
    z, t = asarray(rng.standard_normal((n, 7))), rng.integers(0, 7, n)
    assert math.isclose(F.cross_entropy(z, t), F.cross_entropy(z, t, reduction="sum") / n, rel_tol=1e-12)


@pytest.mark.parametrize("on", [True, False], ids=["kernel", "twin"])
def test_gradients_to_order_2(on):
    rng = np.random.default_rng(2)
    z, x, w, b = (rng.standard_normal(s) for s in ((3, 4), (3, 2), (4, 2), (4,)))
    t = np.array([2, -100, 0])
    rest = (-100, 0.2, rng.random(4) + 0.1)
    with fast(on):
        for reduction in ("mean", "sum", "none"):
            gradcheck(lambda z, r=reduction: F.cross_entropy(z, t, *rest, r), z, order=2, seed=1)
        gradcheck(lambda x, w, b: F.linear_cross_entropy(x, w, t, b, *rest), x, w, b, order=2, seed=1)


@pytest.mark.parametrize("on", [True, False], ids=["kernel", "twin"])
def test_bad_arguments_get_one_sentence_that_names_them(on):
    z, t = np.zeros((2, 3, 5)), np.zeros((2, 3), np.int64)
    x, w = np.zeros((2, 3, 4)), np.zeros((5, 4))
    bad = t.copy()
    bad[1, 1] = 5
    with fast(on):
        for loss in (lambda t, **o: F.cross_entropy(z, t, **o), lambda t, **o: F.linear_cross_entropy(x, w, t, **o)):
            with pytest.raises(DataError, match="targets holds 5; each must be from 0 to 4, as V = 5"):
                loss(bad)
            with pytest.raises(DataError, match="targets holds -1"):
                loss(t - 1)
            with pytest.raises(DTypeError, match="targets must be an array of integers, not float64"):
                loss(t.astype(float))
            with pytest.raises(ShapeError, match=r"targets has shape \(6,\), wanted \(2, 3\)"):
                loss(t.reshape(-1))
            with pytest.raises(ConfigError, match=r"label_smoothing is from 0 to 1, not 1.5"):
                loss(t, label_smoothing=1.5)
            with pytest.raises(ShapeError, match=r"class_weights has shape \(4,\), wanted \(5,\)"):
                loss(t, class_weights=np.ones(4))
            with pytest.raises(ConfigError, match="reduction 'average' is unknown: use one of mean, sum"):
                loss(t, reduction="average")
        with pytest.raises(DTypeError, match="logits is of int64"):
            F.cross_entropy(z.astype(int), t)
        with pytest.raises(ShapeError, match=r"x \(2, 3, 4\) and weight \(5, 6\)"):
            F.linear_cross_entropy(x, np.zeros((5, 6)), t)
        with pytest.raises(ShapeError, match=r"bias has shape \(4,\), wanted \(5,\)"):
            F.linear_cross_entropy(x, w, t, np.zeros(4))


@pytest.mark.parametrize("on", [True, False], ids=["kernel", "twin"])
def test_with_one_class_nothing_is_left_to_learn(on):
    """The only class is certain; a row that is ignored must not be looked up beyond it."""
    logits = Tensor(np.array([[2.0], [3.0]]), requires_grad=True)
    with fast(on):
        loss = F.cross_entropy(logits, asarray(np.array([0, -100])))
        loss.backward()
    assert loss.item() == 0 and not logits.grad.numpy().any()
