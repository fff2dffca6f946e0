"""NaN and infinity are named where they arise, and what is meant to be infinite is let pass."""

import gc
import inspect
import threading
import warnings

import numpy as np
import pytest

import minilm as ml
from minilm import functional as F
from minilm.autograd import anomaly
from minilm.autograd.state import observers
from minilm.errors import AnomalyError, MinilmError
from minilm.training.parallel import Threads

INF, NAN = np.inf, np.nan


def leaf(*values: float, dtype=np.float32) -> ml.Tensor:
    return ml.Tensor(np.array(values, dtype), requires_grad=True)


def alarm(run, *words: str) -> str:
    """The sentence of the anomaly in run(), which must have all these words."""
    with pytest.raises(AnomalyError) as caught, ml.detect_anomaly():
        run()
    for word in words:
        assert word in str(caught.value), str(caught.value)
    return str(caught.value)


def gpt(**changes):
    settings = {"vocab_size": 31, "context": 8, "width": 12, "layers": 3, "heads": 3, "dropout": 0.2, **changes}
    model = ml.models.GPT(ml.models.GPTConfig(**settings), seed=0)
    rng = np.random.default_rng(0)
    return model, rng.integers(0, 31, (4, 8)), rng.integers(0, 31, (4, 8))


# ------------------------------------------------------------------------------------------------------- the forward


@pytest.mark.parametrize(
    ("run", "words"),
    [
        (lambda: F.log(leaf(0, 1, 0)), ("log: the forward gave 2 infinities", "shape (3,)", "made here")),
        (lambda: leaf(0, 1) / leaf(0, 1), ("divide: the forward gave 1 NaN in", "from arguments of shape (2,), (2,)")),
        (lambda: leaf(0, 1) / leaf(0, 0), ("divide: the forward gave 1 NaN and 1 infinity",)),
        (lambda: F.exp(leaf(88, 89)), ("exp: the forward gave 1 infinity", "made here, from finite numbers")),
        (lambda: leaf(2e38) * 2, ("multiply", "1 infinity")),
        (lambda: F.sqrt(leaf(-1)), ("sqrt", "1 NaN")),
        (lambda: F.sum(leaf(3e38, 3e38)), ("sum", "1 infinity in an array of shape ()")),
        (lambda: F.matmul(leaf(3e38), leaf(3e38)), ("matmul: the forward", "1 infinity")),
        (lambda: F.log(np.zeros(2)), ("log", "2 infinities")),
        (lambda: F.softmax(leaf(-INF, -INF)), ("softmax", "2 NaN", "received an infinity, in the array of shape (2,)")),
        (lambda: leaf(INF) - leaf(INF), ("subtract", "1 NaN", "received an infinity")),
        (lambda: F.astype(leaf(1e300, dtype=np.float64), np.float32), ("astype", "1 infinity", "made here")),
    ],
)
def test_the_operation_that_made_it_is_named(run, words) -> None:
    alarm(run, *words)


def test_a_nan_that_came_with_the_data_is_said_to_be_received() -> None:
    x = np.random.default_rng(0).standard_normal((4, 12)).astype(np.float32)
    x[1, 2] = NAN
    mlp = ml.nn.MLP(12, 8, np.random.default_rng(0))
    alarm(lambda: mlp(x), "linear: the forward gave 8 NaN in an array of shape (4, 8)", "(4, 12), (12, 8), (8,)",
          "it received NaN, in the array of shape (4, 12): look at what was passed in")  # fmt: skip
    with ml.fast(False):
        alarm(lambda: mlp(x), "matmul", "received NaN")


@pytest.mark.parametrize("fast", [True, False])
@pytest.mark.parametrize(
    "run",
    [
        lambda: F.where(np.array([True, False]), leaf(1, 2), -INF),
        lambda: F.maximum(leaf(1, 2), -INF),
        lambda: F.max(leaf(-INF, -INF)),
        lambda: F.exp(leaf(-INF, 1)),
        lambda: F.logsumexp(leaf(-INF, 1)).backward(),
        lambda: F.logsumexp(leaf(-INF, -INF)).backward(),
        lambda: F.log_softmax(leaf(-INF, 1)).backward(np.array([0.0, 1.0])),
        lambda: F.softmax(leaf(-INF, 1)).backward(np.array([1.0, 1.0])),
        lambda: F.pad(leaf(1), ((1, 1),), -INF),
        lambda: F.clip(leaf(1), -INF, INF).backward(np.ones(1)),
        lambda: (leaf(1) * INF).backward(np.ones(1)),
        lambda: F.exp(leaf()),
        lambda: F.equal(leaf(NAN), 1),
        lambda: F.argmax(leaf(1, 2)),
        lambda: F.sum(leaf(3e38, 3e38).reshape(2, 1), 1),
    ],
)
def test_infinities_that_were_passed_in_are_let_pass(run, fast: bool) -> None:
    with ml.fast(fast), ml.detect_anomaly():
        run()


# ------------------------------------------------------------------------------------------------------- the backward


def test_the_gradient_rule_that_made_it_is_named_with_the_line_of_the_forward() -> None:
    x = leaf(0, 4)
    with ml.detect_anomaly():
        y = F.sqrt(x); line = inspect.currentframe().f_lineno  # fmt: skip # noqa: E702
        z = F.sum(y)
        with pytest.raises(AnomalyError) as caught:
            z.backward()
    said = str(caught.value)
    assert "sqrt: its gradient rule gave 1 infinity in an array of shape (2,), as the cotangent of x" in said
    assert "made here, from finite numbers" in said
    assert f"{__file__}:{line}, test_the_gradient_rule" in said and "y = F.sqrt(x)" in said
    assert isinstance(caught.value, ArithmeticError) and isinstance(caught.value, MinilmError)


def test_other_gradients_that_overflow_or_are_not_numbers() -> None:
    alarm(lambda: F.sum(F.power(leaf(0), 0.5)).backward(), "power: its gradient rule gave 1 infinity")
    alarm(lambda: (leaf(1) / leaf(1e-38)).backward(), "divide: its gradient rule gave 1 infinity", "cotangent of")
    alarm(lambda: F.sum(leaf(1e30) * 1e-30).backward(1e38 * np.ones(())) or F.sum(leaf(1) * 1e30).backward(1e38),
          "multiply: its gradient rule", "cotangent of a")  # fmt: skip


def test_a_cotangent_that_was_not_finite_is_said_to_be_received() -> None:
    alarm(
        lambda: F.exp(leaf(1, 2)).backward(np.array([NAN, 1])), "exp: its gradient rule gave 1 NaN", "it received NaN"
    )
    alarm(lambda: F.exp(leaf(1, 2)).backward(np.array([INF, 1])), "1 infinity", "it received an infinity")


def test_a_rule_is_judged_by_what_it_returns() -> None:
    """The rule of a power takes the logarithm of a where a is not 0, and of 1 where it is."""
    a, b = leaf(0, 2), leaf(2, 3)
    with ml.detect_anomaly():
        F.sum(F.power(a, b)).backward()
        x = leaf(1, 2)
        ml.grad(ml.grad(F.sum(F.exp(x)), x, create_graph=True), x, np.ones(2))
    y = leaf(0, 4)
    alarm(lambda: ml.grad(F.sum(F.sqrt(y)), y, create_graph=True), "sqrt: its gradient rule gave 1 infinity")


def test_what_a_rule_makes_on_its_way_is_its_own_matter() -> None:
    @ml.autograd.primitive
    def steep(x):
        return x * 2

    @steep.vjp("x")
    def _(g, x):
        return F.minimum(F.exp(x * 1000), g)

    x = leaf(1)
    with ml.detect_anomaly():
        steep(x).backward(np.ones(1))
    assert x.grad.item() == 1


@pytest.mark.parametrize("fast", [True, False])
def test_an_exploding_weight_deep_in_a_gpt_is_found_in_its_block(fast: bool) -> None:
    model, ids, targets = gpt()
    weight = model.blocks[1].mlp.up.weight
    weight.assign(weight.numpy() * 1e38 * 20)
    with ml.fast(fast):
        said = alarm(lambda: model.loss(ids, targets).backward(), "infinit", "made here")
    chain = said.split("\n")
    assert chain[0].startswith("linear:" if fast else "matmul:")
    assert __file__ in chain[2] and "model.loss(ids, targets)" in chain[2]
    files = [line.split(":")[0].strip().rsplit("/")[-1] for line in chain[3:]]
    assert set(files[:-4]) == {"gpt.py", "base.py"} and files[-4:-2] == ["block.py"] * 2
    assert files[-2:] == ["layers.py"] * 2
    assert "self.up(x)" in said and anomaly.ENGINE not in said


def test_where_minilm_alone_calls_its_lines_are_shown() -> None:
    places = [anomaly.Place(f"{anomaly.PACKAGE}/nn/block.py", 1, "f"), anomaly.Place(f"{anomaly.PACKAGE}/x.py", 2, "g")]
    shown = anomaly._shown(places)
    assert "block.py:1, f" in shown and "x.py:2, g" in shown
    assert anomaly._shown([]) == ""
    mine = [anomaly.Place("a.py", 1, "main"), places[0], anomaly.Place("b.py", 3, "mine"), places[1]]
    assert [line.split("/")[-1].strip() for line in anomaly._shown(mine).split("\n")[1:]] == [
        "b.py:3, mine",
        "x.py:2, g",
    ]


# -------------------------------------------------------------------------------------------------- what stays in peace


@pytest.mark.parametrize("fast", [True, False])
@pytest.mark.parametrize("changes", [{}, {"norm": "post", "activation": "relu"}])
def test_no_alarm_in_a_healthy_training_step(fast: bool, changes: dict) -> None:
    model, ids, targets = gpt(**changes)
    targets[0, :3] = -100
    mask = np.arange(8)[None] >= np.array([0, 3, 5, 0])[:, None]  # padding on the left: queries that see nothing
    with ml.fast(fast):
        model.loss(ids, targets, attention_mask=mask).backward()
        expected = [p.grad.numpy() for p in model.parameters()]
        model.zero_grad()
        model, ids, _ = gpt(**changes)
        with ml.detect_anomaly():
            model.loss(ids, targets, attention_mask=mask).backward()
    for p, g in zip(model.parameters(), expected, strict=True):
        np.testing.assert_array_equal(p.grad.numpy(), g)


def test_it_is_off_before_and_after_the_block() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        F.log(leaf(0))
        alarm(lambda: F.log(leaf(0)))
        assert observers == []
        y = F.log(leaf(0))
        assert np.isinf(y.numpy())
    with pytest.warns(RuntimeWarning):
        F.log(leaf(0))  # NumPy speaks again


def test_after_an_alarm_the_same_block_still_watches() -> None:
    with ml.detect_anomaly():
        for _ in range(2):
            x = leaf(0, 4)
            with pytest.raises(AnomalyError, match="sqrt: its gradient"):
                F.sum(F.sqrt(x)).backward()
            with pytest.raises(AnomalyError, match="log: the forward"):
                F.log(x)


def test_other_threads_are_watched_too() -> None:
    model, ids, targets = gpt(dropout=0.0)
    model.blocks[2].norm1.weight.data[3] = NAN

    def one(rows: slice) -> None:
        model.loss(ids[rows], targets[rows]).backward()

    with ml.detect_anomaly(), Threads(2) as threads, pytest.raises(AnomalyError, match="layer_norm.*received NaN"):
        threads.map(one, [slice(0, 2), slice(2, 4)])
    found = []

    def quiet() -> None:
        try:
            F.exp(leaf(1000))  # no RuntimeWarning in a thread either
        except AnomalyError as error:
            found.append(str(error))

    with ml.detect_anomaly():
        thread = threading.Thread(target=quiet)
        thread.start()
        thread.join()
    assert found and "quiet" in found[0]


def test_places_go_with_their_nodes() -> None:
    with ml.detect_anomaly() as watch:
        y = F.exp(leaf(1))
        assert len(watch._places) == 1
        del y
        gc.collect()
        assert len(watch._places) == 0


def test_only_real_anomalies_of_large_numbers() -> None:
    """The quick look at a sum must not mistake finite entries with an infinite sum."""
    with ml.detect_anomaly():
        F.negative(leaf(3e38, 3e38, 3e38))
        assert not anomaly.all_finite(np.array([INF, -INF]))
    assert anomaly.all_finite(np.zeros((0, 3))) and anomaly.all_finite(1.5) and not anomaly.all_finite(NAN)
    assert anomaly.all_finite(np.array([1])) and anomaly.all_finite(None)
    assert not anomaly.all_finite(np.float32(INF))


@pytest.mark.parametrize(("which", "a", "b"), [("a", 1.0, 1e300), ("b", 1e300, 1.0)])
def test_the_cotangent_is_named_by_its_own_argument(which, a, b) -> None:
    """ā = g b and b̄ = g a: only the one with the large factor overflows."""
    x, y = (ml.Tensor(np.array([value]), requires_grad=True) for value in (a, b))
    product = x * y
    with ml.detect_anomaly(), pytest.raises(AnomalyError, match=f"as the cotangent of {which}"):
        product.backward(np.array([1e10]))


@pytest.mark.parametrize(("bad", "said"), [(np.inf, "received an infinity, in"), (np.nan, "received NaN, in")])
def test_what_a_gradient_rule_received_is_told_from_what_it_made(bad, said) -> None:
    x = ml.Tensor(np.ones(2), requires_grad=True)
    y = x * 2.0
    with ml.detect_anomaly(), pytest.raises(AnomalyError, match=rf"it {said} the array of shape \(2,\)"):
        y.backward(np.array([1.0, bad]))
