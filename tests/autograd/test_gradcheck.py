"""The check itself: it passes what is right, and fails what is wrong with a report that says how."""

import numpy as np
import pytest

from minilm import backend
from minilm import functional as F
from minilm.autograd import GradientError, Tensor, gradcheck, primitive
from minilm.autograd.gradcheck import DIRECTIONS, slope
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


def test_an_input_that_was_drawn_from_the_same_seed_is_not_the_cotangent() -> None:
    """u = x would hide that a rule takes the one for the other, and make a norm's slope, of ⟨x, f(x + t v)⟩, vanish."""

    @primitive
    def square(x):
        return x * x

    square.vjp("x")(lambda g, x: 2 * g * g)
    for seed in range(3):
        x = np.random.default_rng(seed).standard_normal((3, 4))
        with pytest.raises(GradientError):
            gradcheck(square, x, seed=seed)
        assert gradcheck(lambda x: F.layer_norm(x, None, None), x, seed=seed, order=2)


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


def test_what_cancels_to_nothing_is_no_mistake(sized) -> None:
    """Attention to one key has a weight of 1 whatever the query: its slope is 0, its gradient what rounding leaves."""
    rng = np.random.default_rng(0)
    for seed in range(sized(6, 20)):
        q, k, v = (rng.standard_normal((1, 1, n, 3)) for n in (2, 1, 1))
        assert gradcheck(F.attention, q, k, v, order=2, seed=seed, every_entry=True)


def test_slope_is_of_fourth_order() -> None:
    assert abs(slope(np.sin) - 1) < 1e-12
    assert abs(slope(lambda t: t**4 + 3 * t) - 3) < 1e-12


def off_by(error: float):
    """tanh whose gradient is wrong by a factor 1 + error."""
    return with_rule(lambda g, y: (1 + error) * g * (1 - y * y))


def test_tolerances() -> None:
    assert gradcheck(off_by(1e-9), X)
    for error in (1e-6, -1e-6):
        with pytest.raises(GradientError, match="^gradient of argument 0"):
            gradcheck(off_by(error), X)
        with pytest.raises(GradientError, match="^gradient of argument 0"):
            gradcheck(off_by(error), X, order=2)  # order 1 keeps its own tolerance
    assert gradcheck(off_by(1e-6), X, tolerance=1e-5)
    with pytest.raises(GradientError):
        gradcheck(off_by(1e-3), X, tolerance=1e-4)
    assert gradcheck(off_by(1e-3), X, tolerance=1e-2, every_entry=True)


def test_every_entry_sees_what_a_direction_may_miss() -> None:
    """One entry of a hundred is wrong by a part in 10⁷ of the largest: little along a direction, plain by itself."""
    wrong = with_rule(lambda g, y: g * (1 - y * y) + 2e-7 * xp.abs(g).max() * (xp.arange(100) == 7))
    x = 0.1 * np.random.default_rng(3).standard_normal(100)
    with pytest.raises(GradientError, match=r"wrong in 1 of 100 entries[\s\S]*worst entry \(7,\)"):
        gradcheck(wrong, x, every_entry=True)


def test_the_whole_report() -> None:
    @primitive
    def scaled(x):
        return x * asarray(np.array([1.0, 2.0, 4.0]))

    scaled.vjp("x")(lambda g: g * asarray(np.array([1.0, 6.0, 4.0])))
    with pytest.raises(GradientError) as error:
        gradcheck(scaled, np.ones(3), seed=1)
    rng = np.random.default_rng([1, DIRECTIONS])
    u, v = rng.standard_normal(3), rng.standard_normal(3)
    lines = str(error.value).split("\n")
    right, wrong = (float((u * np.array(w) * v).sum()) for w in ([1.0, 2, 4], [1.0, 6, 4]))
    assert lines[0] == "gradient of argument 0 is wrong in 1 of 3 entries"
    assert lines[1] == f"  along a random direction: expected {right:.8g}, got {wrong:.8g}"
    assert lines[2] == f"  worst entry (1,): expected {2 * u[1]:.8g}, got {6 * u[1]:.8g}, ratio 3"
    assert len(lines) == 3  # no common factor


def test_a_common_factor_is_named_whatever_the_size() -> None:
    """Entries near 0, whose own differences are noise, have no say; tiny functions are judged like large ones."""

    @primitive
    def half_square(x):
        return x * x / 2

    half_square.vjp("x")(lambda g, x: 3 * g * x)
    for x in (np.array([1e-10, 1.0, 2.0]), np.array([1e-5, 3e4, 5e4]), np.array([2e-4, 3e-4])):
        with pytest.raises(GradientError, match="every entry is 3 times what it should be"):
            gradcheck(half_square, x)


def test_a_gradient_where_there_should_be_none() -> None:
    """No ratio to 0 is made, and none is named."""

    @primitive
    def nothing(x):
        return x * 0

    nothing.vjp("x")(lambda g: g + 1)
    with pytest.raises(GradientError) as error:
        gradcheck(nothing, X)
    assert "ratio nan" in str(error.value) and "every entry" not in str(error.value)


def test_the_worst_entry_is_the_worst() -> None:
    wrong = with_rule(lambda g, y: g * (1 - y * y) + asarray(np.array([[0.1, 0, 0.3], [0, -0.7, 0.2]])))
    with pytest.raises(GradientError, match=r"wrong in 4 of 6 entries[\s\S]*worst entry \(1, 1\)"):
        gradcheck(wrong, X)
    nan = with_rule(lambda g, y: xp.where(xp.arange(6).reshape(2, 3) == 2, np.nan, 2 * g * (1 - y * y)))
    with pytest.raises(GradientError, match=r"in 6 of 6 entries[\s\S]*worst entry \(0, 2\): expected .*, got nan"):
        gradcheck(nan, X)


def test_a_function_that_computes_in_another_precision_is_refused() -> None:
    for dtype in (np.float16, *((np.longdouble,) if backend.is_numpy() else ())):  # which a device does not have
        with pytest.raises(DTypeError, match="must compute in float64"):
            gradcheck(lambda x, dtype=dtype: F.astype(x, dtype), X)


def test_a_constant_function_has_gradient_zero() -> None:
    assert gradcheck(lambda x: Tensor(np.ones(2)), X)
    with pytest.raises(GradientError, match="expected"):
        gradcheck(lambda x: x.detach() * 2.0, X)


def test_slope_of_a_cubic_is_exact_at_any_step() -> None:
    for step in (1e-3, 0.1, 1.0):
        assert abs(slope(lambda t: t**3 + 2 * t**2 - 5 * t + 7, step) + 5) < 1e-9
    assert abs(slope(lambda t: t**5, 1.0) + 4) < 1e-9  # the first error term: -4 step⁴


def test_a_direction_along_which_nothing_changes_is_judged_by_the_whole_gradient() -> None:
    """⟨g, v⟩ = 0, so the little that differences miss of so curved a function is large beside it, not beside g."""
    rng = np.random.default_rng(5)
    rng.standard_normal(())
    v, x, w = rng.standard_normal(50), *np.random.default_rng(6).standard_normal((2, 50))
    w[-1] = -(w * np.sin(10 * x) * v)[:-1].sum() / (np.sin(10 * x) * v)[-1]
    assert gradcheck(lambda x: (_cos(10 * x) * Tensor(w)).sum(), x, seed=5)


@primitive
def _cos(x):
    return xp.cos(x)


@_cos.vjp("x")
def _(g, x):
    return -g * xp.sin(x)


def test_a_small_step_along_the_direction_is_no_excuse() -> None:
    """One entry, a direction of a third: an error of 1.5 parts in 10⁷ is above the tolerance all the same."""
    for seed in range(100):
        rng = np.random.default_rng(seed)
        _, v = rng.standard_normal(1), rng.standard_normal(1)
        if 0.25 < abs(v[0]) < 0.5:
            break
    with pytest.raises(GradientError):
        gradcheck(off_by(1.5e-7), np.array([0.4]), seed=seed)
    assert gradcheck(off_by(0.5e-7), np.array([0.4]), seed=seed)


def test_a_tiny_function_is_judged_by_its_own_size() -> None:
    """What rounding is allowed shrinks with the function, and so does what is allowed of its gradient."""

    @primitive
    def tiny(x):
        return x * x * 1e-12

    tiny.vjp("x")(lambda g, x: 3e-12 * g * x)
    with pytest.raises(GradientError, match=r"wrong in 3 of 3 entries[\s\S]*every entry is 1\.5 times"):
        gradcheck(tiny, np.array([1.0, 2.0, 3.0]))
