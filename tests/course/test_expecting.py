"""Expectations: each finds the mistake it is there for, and lets right answers pass."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minilm.functional as F
from minilm.autograd import primitive
from minilm.course import Local, Raised, Task, Unmet, expect, expect_close, expect_gradient, expect_shape
from minilm.course.strategies import booleans, floats, ids, permutations
from minilm.errors import ConfigError


def local(function, plain=False):
    """An implementation of one task, and that task's function in it."""
    impl = Local({"L1.1": Task("L1.1", function, 1, 0, False, plain)})
    return getattr(impl, function.__name__)


class TestExpect:
    @pytest.mark.parametrize("condition", [True, np.True_, np.array([True, True]), np.zeros((0, 3), bool)])
    def test_what_is_true_passes(self, condition):
        expect(condition, "so it is")

    @pytest.mark.parametrize(("condition", "where"), [(False, ""), (np.array([[True, True], [True, False]]), "(1, 1)")])
    def test_what_is_false_is_named(self, condition, where):
        with pytest.raises(Unmet) as unmet:
            expect(condition, "so it is", expected=1, got=2)
        assert str(unmet.value) == "so it is" + (f", at {where}" if where else "")
        assert (unmet.value.kind, unmet.value.expected, unmet.value.got) == ("value", 1, 2)

    @pytest.mark.parametrize("condition", [1, np.nan, np.array([1.0]), None, "yes"])
    def test_a_condition_is_boolean(self, condition):
        """NaN is true in Python; an author who forgets to compare hears of it."""
        with pytest.raises(ConfigError, match="must be booleans"):
            expect(condition, "so it is")


class TestExpectClose:
    @pytest.mark.parametrize(
        ("got", "expected"),
        [
            (1.0, 1.0 + 1e-10),
            (np.float64(1e12), 1e12 + 100),
            (np.array([1.0, 2.0]), [1.0, 2.0]),
            ([1, 2], np.array([1.0, 2.0])),
            (np.array(3.0), 3.0),
            (np.array([np.inf, 1.0]), np.array([np.inf, 1.0])),
            (np.array([True, False]), np.array([True, False])),
            ((np.ones(2), "a", None), (np.ones(2), "a", None)),
            ({"a": 1.0}, {"a": 1.0}),
            (["a", "b"], ["a", "b"]),
            ((), ()),
            (True, True),
        ],
    )
    def test_what_is_close_passes(self, got, expected):
        expect_close(got, expected, "it")

    @pytest.mark.parametrize(
        ("got", "expected", "kind"),
        [
            (1.0, 1.0 + 1e-8, "value"),
            (1e12 + 1e4, 1e12, "value"),
            (np.nan, 1.0, "nan"),
            (np.array([1.0, np.nan]), np.array([1.0, 2.0]), "nan"),
            (np.nan, np.nan, "ok"),
            (np.inf, 1.0, "value"),
            (1.0, np.inf, "value"),
            (-np.inf, np.inf, "value"),
            (np.ones((2, 1)), np.ones(2), "shape"),
            (np.ones(1), 1.0, "shape"),
            (1.0, np.ones(2), "shape"),
            (None, 1.0, "type"),
            ("1", 1.0, "type"),
            ([1.0, "a"], np.ones(2), "type"),
            (np.array([1, 0]), np.array([True, False]), "type"),
            (1, True, "value"),
            ("a", "b", "value"),
            (0.0, None, "value"),
            ((1.0,), (1.0, "a"), "type"),
            ({"a": 1.0}, {"b": 1.0}, "type"),
            ({"a": 1.0}, {"a": 2.0}, "value"),
        ],
    )
    def test_what_is_not_is_named(self, got, expected, kind):
        if kind == "ok":
            return expect_close(got, expected, "it")
        with pytest.raises(Unmet) as unmet:
            expect_close(got, expected, "it")
        assert unmet.value.kind == kind

    def test_the_place_of_the_first_wrong_entry_is_named(self):
        with pytest.raises(Unmet, match=r"it, at \(1, 0\)"):
            expect_close(np.array([[1.0, 2.0], [0.0, 0.0]]), np.array([[1.0, 2.0], [3.0, 0.0]]), "it")

    def test_shapes(self):
        expect_shape(np.ones((2, 3)), (2, 3))
        expect_shape(1.0, ())
        for got in (np.ones((3, 2)), None, "a", 1.0):
            with pytest.raises(Unmet):
                expect_shape(got, (2, 3))


@primitive
def wrong_by_a_factor(x):
    return x * x


@wrong_by_a_factor.vjp("x")
def _(g, x):
    return g * x


@primitive
def wrong_in_one_entry(x):
    return x * 1.0


@wrong_in_one_entry.vjp("x")
def _(g, x):
    g = g.copy()
    g[0] += 1e-3
    return g


class TestExpectGradient:
    @given(x=floats(2, 3), w=floats(3, 2))
    def test_a_right_one_passes(self, x, w):
        def f(x, w, n):
            return F.tanh(x @ w) * n, {"sum": F.sum(x * x)}, "text", n

        expect_gradient(local(f), (x, w, 3), wrt=(0, 1))

    @pytest.mark.filterwarnings("ignore:overflow", "ignore:invalid value")  # exp(1000), struck out too late
    @pytest.mark.parametrize(
        "operation", [wrong_by_a_factor, wrong_in_one_entry, lambda x: F.where(x > 0, F.exp(-1e3 * x), 0.0)]
    )
    def test_a_wrong_one_is_named(self, operation):
        def f(x):
            return operation(x)

        with pytest.raises(Unmet, match="gradient of f with respect to argument 1") as unmet:
            expect_gradient(local(f), (np.array([-1.0, 2.0, -3.0]),))
        assert unmet.value.kind == "gradient" and unmet.value.expected.shape == (3,)

    def test_only_what_is_asked_for_is_looked_at(self):
        def f(x, y):
            return wrong_by_a_factor(x) * y

        x, y = np.ones(2), np.full(2, 3.0)
        expect_gradient(local(f), (x, y), wrt=(1,))
        with pytest.raises(Unmet):
            expect_gradient(local(f), (x, y), wrt=(0, 1))

    def test_a_result_that_left_the_graph_is_named(self):
        def f(x):
            return x.numpy() ** 2

        with pytest.raises(Unmet, match="has left the graph"):
            expect_gradient(local(f), (np.ones(2),))

    def test_no_gradient_where_there_is_no_slope_passes(self):
        def f(x):
            return np.floor(x.numpy())

        expect_gradient(local(f), (np.full(2, 0.5),))

    @pytest.mark.parametrize(
        "operation",
        [lambda x: F.tanh(x) - x, lambda x: (F.exp(x) - 1) ** 2, lambda x: F.sum(F.softmax(x)) - 1, lambda x: x * 0.0],
    )
    def test_where_value_and_gradient_are_zero_a_right_one_passes(self, operation):
        """Differences leave 1e-12 there, which is much beside nothing."""

        def f(x):
            return operation(x)

        expect_gradient(local(f), (np.zeros(3),))

    def test_where_they_are_zero_a_wrong_one_is_named(self):
        def f(x):
            return x.detach() * 1e-5 + 0.0 * x

        with pytest.raises(Unmet):
            expect_gradient(local(f), (np.zeros(3),))

    def test_a_sum_does_not_hide_a_wrong_one(self):
        """Softmax with a zero gradient: the check that backpropagates a plain sum passes it."""

        def f(x):
            return F.softmax(x.detach()) + 0.0 * x

        with pytest.raises(Unmet):
            expect_gradient(local(f), (np.array([0.5, -1.0, 2.0]),))

    def test_nothing_floating_is_named(self):
        def f(x):
            return 3

        with pytest.raises(Unmet, match="no floating numbers"):
            expect_gradient(local(f), (np.ones(2),))


class TestLocal:
    def test_floats_arrive_as_tensors_and_leave_as_arrays(self):
        seen = []

        def f(*arguments):
            seen.extend(arguments)
            return arguments[0] * 2.0, np.float64(3), [np.int64(4), True, None, "a"], {"k": arguments[0]}

        x = np.array([1.0, 2.0], np.float32)
        result = local(f)(x, np.array([1, 2]), 3, "a", None, (x, [True]))
        assert type(seen[0]).__name__ == "Tensor" and seen[0].dtype == np.float64 and not seen[0].requires_grad
        assert type(seen[1]) is np.ndarray and seen[2:5] == [3, "a", None]
        assert type(seen[5][0]).__name__ == "Tensor" and seen[5][1] == [True]
        assert type(result[0]) is np.ndarray and result[0].tolist() == [2.0, 4.0]
        assert [type(v) for v in (result[1], *result[2])] == [float, int, bool, type(None), str]
        assert result[3]["k"].tolist() == [1.0, 2.0]

    def test_a_plain_task_sees_arrays(self):
        def f(x):
            return str(type(x).__name__)

        assert local(f, plain=True)(np.ones(2)) == "ndarray"

    def test_what_a_function_does_to_its_arguments_harms_nobody(self):
        def f(x, n):
            x[0], n[0] = 7, 7
            return 1

        x, n = np.zeros(2), np.zeros(2, int)
        local(f, plain=True)(x, n)
        assert x.tolist() == [0.0, 0.0] and n.tolist() == [0, 0]

    @pytest.mark.parametrize(
        "result", [object(), np.array(["a"]), {1, 2}, (1, object())], ids=["object", "text", "set", "tuple"]
    )
    def test_what_is_no_data_is_refused(self, result):
        def f():
            return result

        with pytest.raises(Raised, match="f returned") as raised:
            local(f)()
        assert raised.value.kind == "type"

    def test_an_error_is_named(self):
        def f():
            return 1 // 0

        with pytest.raises(Raised, match="f raised ZeroDivisionError") as raised:
            local(f)()
        assert raised.value.kind == "raised"

    def test_a_missing_function_is_named(self):
        impl = Local({})
        with pytest.raises(Raised, match="no function g") as raised:
            impl.g()
        assert raised.value.kind == "missing"


class TestStrategies:
    @given(st.data())
    def test_arrays_are_what_they_say(self, data):
        x = data.draw(floats(2, 3, low=-1, high=2))
        assert x.shape == (2, 3) and x.dtype == np.float64 and (x >= -1).all() and (x <= 2).all()
        assert (8 * x == np.round(8 * x)).all()
        assert data.draw(booleans(4)).dtype == bool and data.draw(floats()).shape == ()
        n = data.draw(ids(5, vocabulary=3))
        assert n.dtype == np.int64 and set(n.tolist()) <= {0, 1, 2}
        assert sorted(data.draw(permutations(4)).tolist()) == [0, 1, 2, 3]

    def test_every_entry_occurs(self):
        from hypothesis import find

        for wanted in (-3.0, 3.0, 0.0, 0.125):
            assert find(floats(1), lambda x, wanted=wanted: x[0] == wanted)[0] == wanted
        assert find(floats(2), lambda x: x.sum() > 1).tolist() in ([0.0, 1.125], [1.125, 0.0])

    def test_too_many_levels_are_refused(self):
        with pytest.raises(ConfigError, match="1 to 256"):
            floats(2, low=-100, high=100)
