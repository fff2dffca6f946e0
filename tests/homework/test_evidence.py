"""What it takes to believe a cause: every answer accounted for, closely, and too many of them for chance."""

import numpy as np
import pytest

from minilm.homework.diagnosis.answers import Failed, Parts, explains, is_right, parts, parts_like
from minilm.homework.diagnosis.evidence import ANYTHING, NOTHING, Pair, accounts
from minilm.homework.diagnosis.examining import Item
from minilm.homework.diagnosis.known import same, weight
from minilm.homework.diagnosis.questions import Question, redrawn
from minilm.homework.diagnosis.sizes import as_size, axis_names


def pairs(f, n=5, seed=0):
    """Of a function of the right numbers."""
    rng = np.random.default_rng(seed)
    right = [rng.standard_normal((2, 3)) for _ in range(n)]
    return [Pair(x, f(x)) for x in right]


def double(p):
    return 2 * p.expected


class TestAccounts:
    def test_for_all_of_them(self):
        assert accounts(pairs(lambda x: 2 * x), double)

    def test_not_for_all_but_one(self):
        one = Pair(np.ones(3), np.full(3, 3.0))
        assert not accounts([*pairs(lambda x: 2 * x), one], double)

    def test_not_if_a_right_answer_should_be_wrong(self):
        assert not accounts([*pairs(lambda x: 2 * x), *pairs(lambda x: x, 1)], double)

    def test_not_if_nothing_is_said_of_a_wrong_one(self):
        found = pairs(lambda x: 2 * x)
        assert not accounts(found, lambda p: NOTHING if p is found[0] else double(p))
        assert accounts(found, lambda p: ANYTHING if p is found[0] else double(p))

    def test_not_by_two_answers(self):
        assert not accounts(pairs(lambda x: 2 * x, 2), double)

    def test_not_by_a_few_booleans(self):
        few = [Pair(np.array([True, False]), np.array([False, True])) for _ in range(4)]
        assert not accounts(few, lambda p: ~p.expected)
        assert accounts(few * 4, lambda p: ~p.expected)

    def test_not_what_was_lost(self):
        assert not accounts([*pairs(lambda x: 2 * x), Pair(np.ones(2), None, lost=True)], double)


class TestExplains:
    expected = np.array([1.0, -2.0, 0.5])

    @pytest.mark.parametrize(("by", "holds"), [(1e-8, True), (1e-5, False)])
    def test_to_a_millionth(self, by, holds):
        assert explains(2 * self.expected, 2 * self.expected + by, self.expected) is holds

    def test_all_but_a_thousandth_of_the_mistake(self):
        """A prediction that is right explains no small mistake."""
        assert not explains(self.expected, self.expected + 1e-7, self.expected)
        assert not explains(self.expected + 1e-6, self.expected + 1.1e-6, self.expected)
        assert explains(self.expected + 1e-6, self.expected + 1e-6 + 1e-11, self.expected)

    def test_small_entries_count_beside_large_ones(self):
        assert not explains(np.array([1e6, 1.0]), np.array([1e6, 1.001]))

    def test_nan_is_like_infinity_but_like_no_number(self):
        assert explains(np.array([np.nan, 1.0]), np.array([np.inf, 1.0]))
        assert not explains(np.array([np.nan, 1.0]), np.array([0.0, 1.0]))

    def test_plain_data(self):
        assert explains(("a", (1, 2)), ("a", (1, 2))) and not explains(("a",), ("b",))


def test_lists_of_numbers_are_arrays_and_tuples_are_parts():
    assert is_right(parts([1, 2.5]).leaves[""], np.array([1, 2.5]))
    assert list(parts((1.0, np.ones(2))).leaves) == ["0", "1"]
    assert list(parts({"a": 1.0, "b": [1, 2]}).leaves) == ["a", "b"]
    assert parts(["un", "o"]).leaves == {"": ("un", "o")}
    assert list(parts_like(np.ones(3), parts((1.0, 2.0, 3.0))).leaves) == ["0", "1", "2"]


class TestKnown:
    def test_right_gradients_that_differ_are_not_compared(self):
        a, b = (Parts({"0": np.array([x, 1.0])}) for x in (1.0, 2.0))
        asked = Question((), (0,), (1.0,))
        assert same(a, b, Item(asked, [a, b])) and not same(a, b, Item(asked, [a]))

    def test_exceptions_are_the_same_by_their_class(self):
        item = Item(Question(()), [Parts({"": np.ones(2)})])
        index, value = Failed("raised", "IndexError", "…"), Failed("raised", "ValueError", "…")
        assert same(index, Failed("raised", "IndexError", "other words"), item) and not same(index, value, item)
        assert weight(index, item) == 1 and weight(Failed("raised", "RecursionError", "…"), item) == 3


class TestSizes:
    def test_the_docstring_names_the_axes(self):
        doc = "How well.\n\n    query: (…, T, K), key: (…, S, K) -> (…, T, S). Rows (one each). heads: H.\n"
        assert axis_names(doc) == {"query": ["…", "T", "K"], "key": ["…", "S", "K"]}

    def test_a_long_docstring_is_read_at_once(self):
        assert axis_names("word, " * 400 + "(no axes)") == {}

    def test_factors_are_told_by_size(self):
        sizes = [{"T": float(t), "K": float(k)} for t, k in ((2, 3), (4, 3), (5, 2), (3, 7))]
        assert as_size([1 / np.sqrt(s["K"]) for s in sizes], sizes)[0][0] == "1/√K"
        assert as_size([s["T"] / s["K"] for s in sizes], sizes)[0][0] == "T/K"
        assert as_size([-2 * s["T"] for s in sizes], sizes)[0][0] == "−2 · T"
        assert as_size([0.1, 0.7, 0.3, 0.9], sizes) == []

    def test_probabilities_and_brackets(self):
        sizes = [{"p": p} for p in (0.1, 0.35, 0.8)]
        told = {
            "1 − p": lambda p: 1 - p, "p/(1 − p)": lambda p: p / (1 - p), "p − 1": lambda p: p - 1,
            "2 · (p − 1)": lambda p: -2 * (1 - p), "½ · (p + 1)": lambda p: (p + 1) / 2,
        }  # fmt: skip
        for said, factor in told.items():
            assert as_size([factor(s["p"]) for s in sizes], sizes)[0][0] == said


def test_fresh_numbers_are_of_the_kind_that_was_seen():
    rng = np.random.default_rng(0)
    seen = [Question((rng.dirichlet(np.ones(3), 2), rng.uniform(1, 2, 3), 0.5, rng.standard_normal(4), 3, "a"))
            for _ in range(6)]  # fmt: skip
    found = list(redrawn(seen, 6, rng))
    assert len(found) == 6 and all(q.fresh for q in found)
    for question in found:
        rows, positive, part, normal, whole, word = question.arguments
        np.testing.assert_allclose(rows.sum(-1), 1)
        assert (positive > 0).all() and 0 <= part < 1 and normal.shape == (4,)
        assert (whole, word) == (3, "a") and not any(np.array_equal(rows, q.arguments[0]) for q in seen)
