"""The check itself: it passes what is right, and fails what is wrong with a report that says how."""

import numpy as np
import pytest

from minilm import functional as F
from minilm.autograd import GradientError, Tensor, gradcheck, primitive
from minilm.autograd.gradcheck import slope
from minilm.backend import asarray, xp
from minilm.errors import DTypeError

pytestmark = pytest.mark.every_device

X = np.random.default_rng(0).standard_normal((2, 3))


def with_rule(rule):
    """tanh with another gradient rule."""

    @primitive
    def broken(x):
        return xp.tanh(x)

    broken.vjp("x")(rule)
    return broken


WRONG = {
    "zero": lambda g, y: g * 0,
    "negative": lambda g, y: -g * (1 - y * y),
    "twice": lambda g, y: 2 * g * (1 - y * y),
    "dropped term": lambda g, y: g,
    "one entry": lambda g, y: g * (1 - y * y) * (xp.arange(6).reshape(2, 3) != 4),
    "one entry by 1e-5": lambda g, y: g * (1 - y * y) * (1 + 1e-5 * (xp.arange(6).reshape(2, 3) == 4)),
    "nan": lambda g, y: g * np.nan,
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_gradients_are_caught(name: str) -> None:
    for seed in range(5):
        with pytest.raises(GradientError):
            gradcheck(with_rule(WRONG[name]), X, seed=seed)


def test_the_right_one_passes() -> None:
    assert gradcheck(with_rule(lambda g, y: g * (1 - y * y)), X, order=2, every_entry=True)


def test_a_softmax_with_zero_gradient_passes_a_sum_but_not_this_check() -> None:
    @primitive
    def softmax(x):
        e = xp.exp(x)
        return e / e.sum(-1, keepdims=True)

    @softmax.vjp("x")
    def _(g):
        return g * 0

    x = Tensor(X, requires_grad=True)
    F.sum(softmax(x)).backward()
    difference = slope(lambda t: float(softmax(asarray(X + t)).sum()))
    assert abs(x.grad.numpy().sum() - difference) < 1e-9  # the naive check is content
    with pytest.raises(GradientError):
        gradcheck(softmax, X)


def test_the_report_names_argument_index_values_and_ratio() -> None:
    @primitive
    def product(a, b):
        return a * b

    product.vjp("a")(lambda g, b: g * b)
    product.vjp("b")(lambda g, a: g * a * xp.where(xp.arange(3) == 1, 3.0, 1.0))
    with pytest.raises(GradientError) as error:
        gradcheck(product, np.ones(3), np.full(3, 2.0))
    text = str(error.value)
    assert "argument 1 is wrong in 1 of 3 entries" in text
    assert "worst entry (1,)" in text
    assert "ratio 3" in text

    with pytest.raises(GradientError, match="every entry is 2 times"):
        gradcheck(with_rule(WRONG["twice"]), X)


def test_a_wrong_second_order_is_caught() -> None:
    """A right first gradient whose own history is cut: the gradient's gradient loses a term."""
    cut = with_rule(lambda g, y: g * (1 - (y.detach() if isinstance(y, Tensor) else y) ** 2))
    assert gradcheck(cut, X)
    with pytest.raises(GradientError, match="gradient of the gradient"):
        gradcheck(cut, X, order=2)


def test_what_is_not_checked() -> None:
    ids = np.array([1, 0, 1])
    assert gradcheck(lambda x, ids, scale: x[ids] * scale, X, asarray(ids), 2.0)
    assert gradcheck(lambda x: x * 2, Tensor(X.astype(np.float32)))  # as a float64 copy
    with pytest.raises(DTypeError, match="returned float32"):
        gradcheck(lambda x: F.astype(x, np.float32), X)
    assert gradcheck(F.multiply, np.zeros((0, 3)), X[:1])  # nothing to check, nothing wrong


def test_what_cancels_to_nothing_is_no_mistake() -> None:
    """Attention to one key has a weight of 1 whatever the query: its slope is 0, its gradient what rounding leaves."""
    rng = np.random.default_rng(0)
    for seed in range(20):
        q, k, v = (rng.standard_normal((2, 2, n, 3)) for n in (4, 1, 1))
        assert gradcheck(F.attention, q, k, v, order=2, seed=seed, every_entry=True)


def test_slope_is_of_fourth_order() -> None:
    assert abs(slope(np.sin) - 1) < 1e-12
    assert abs(slope(lambda t: t**4 + 3 * t) - 3) < 1e-12
