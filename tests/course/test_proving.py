"""A verdict is of the seed alone, names the smallest case that fails, and no answer that says nothing passes."""

import contextlib
import importlib
import sys
import time

import numpy as np
import pytest
from hypothesis import assume
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from planted import CHECKS, MUTANTS, VARIANTS, plant

from minilm.course import Claim, Local, Task, expect, expect_close, load, prove, proving
from minilm.course.checking import check_own, check_task
from minilm.course.implementations import Constant, Implementation, Raised
from minilm.course.strategies import floats, integers
from minilm.errors import ConfigError


def implementation(function, plain=False):
    return Local({"L1.1": Task("L1.1", function, 1, 0, False, plain)})


def verdict(function, check, *strategies, **how):
    """That of a property `check(impl, *case)` about a function named f."""
    return prove(Claim("L1.1", "what", check, strategies, None), implementation(function), "f", **how)


def is_square(impl, x):
    expect_close(impl.f(x), x * x, "the square")


class TestVerdict:
    def test_a_claim_that_holds(self):
        found = verdict(_f(lambda x: x * x), is_square, floats(3))
        assert (found.passed, found.kind, found.message, found.examples) == (True, "", "", 100)

    def test_one_that_does_not_names_the_smallest_case(self):
        found = verdict(_f(lambda x: x + x), is_square, floats(3))
        assert not found.passed and found.kind == "value" and found.message == "the square, at (2,)"
        assert found.case["x"].tolist() == [0, 0, 0.125]
        assert found.got.tolist() == [0, 0, 0.25] and found.expected.tolist() == [0, 0, 0.125**2]

    def test_without_shrinking_it_stops_at_the_first(self):
        tried = []

        def check(impl, n):
            tried.append(n)
            expect(impl.f(n) < 500, "small")

        found = verdict(_f(lambda n: n), check, integers(0, 1000), shrink=False)
        assert not found.passed and sum(n >= 500 for n in tried) <= 2  # the first, and its replay

    @pytest.mark.parametrize("tries", [0, 3, 30])
    def test_the_search_for_a_smaller_case_is_bounded(self, tries):
        def run():
            tried = []

            def check(impl, n):
                tried.append(n)
                expect(impl.f(n) < 500, "small")

            found = verdict(_f(lambda n: n), check, integers(0, 10**6), tries=tries)
            first = next(i for i, n in enumerate(tried) if n >= 500)
            assert not found.passed and found.case["n"] == [n for n in tried if n >= 500][-1]
            return len(tried) - first - 1, found.case["n"]

        after, smallest = run()
        assert after <= tries and run() == (after, smallest)
        assert smallest == 500 or tries < 30

    @pytest.mark.parametrize(("calls", "examples"), [(None, 30), (55, 6), (5, 4)])
    def test_calls_may_be_bounded(self, calls, examples):
        def check(impl, x):
            for _ in range(10):
                is_square(impl, x)

        found = verdict(_f(lambda x: x * x), check, floats(3), examples=30, calls=calls)
        assert found.passed and found.examples == examples
        assert not verdict(_f(lambda x: x + x), check, floats(3), examples=30, calls=calls).passed

    def test_a_time_that_the_search_took_does_not_hide_what_failed(self):
        calls = []

        def slow(x):
            calls.append(x)
            if len(calls) > 5:
                late = Raised("late", kind="time")
                late.fatal = True
                raise late
            return x + x

        class Late(Implementation):
            def call(self, name, arguments):
                return slow(*arguments)

        found = prove(Claim("L1.1", "what", is_square, (floats(3),), None), Late(), "f")
        assert (found.kind, found.message.partition(",")[0]) == ("value", "the square") and len(calls) == 6

    def test_a_long_answer_is_looked_at_in_no_time(self):
        before = time.perf_counter()
        watched = proving.Watched(implementation(_f(lambda n: list(range(n)))), "f")
        watched.call("f", (20_000,))
        assert watched._seen == [0, 1] and time.perf_counter() - before < 1, "two entries tell enough"

    def test_a_function_that_raises(self):
        found = verdict(_f(lambda x: [][0]), is_square, floats(3))
        assert (found.passed, found.kind) == (False, "raised") and "IndexError" in found.message

    def test_an_answer_that_cannot_be_used(self):
        def check(impl, x):
            expect(impl.f(x)[5] == 0, "the sixth")

        found = verdict(_f(lambda x: x), check, floats(3))
        assert (found.passed, found.kind) == (False, "unusable") and "IndexError" in found.message

    def test_an_answer_that_changes_by_itself(self):
        rng = np.random.default_rng(0)

        def check(impl, x):
            expect(impl.f(x) < 0.9, "below")

        found = verdict(_f(lambda x: float(rng.random())), check, floats(3))
        assert not found.passed and found.kind in ("unstable", "value") and found.case is not None

    def test_nan_never_passes(self):
        assert verdict(_f(lambda x: x * np.nan), is_square, floats(3)).kind == "nan"

    @pytest.mark.parametrize("answer", [np.full(3, np.nan), np.array([1.0, 2.0, np.nan])])
    def test_nan_does_not_pass_as_equal_to_itself(self, answer):
        def is_the_same_twice(impl, x):
            expect_close(impl.f(x) + 0 * x, impl.f(x) + 0 * x, "the answer")

        found = verdict(_f(lambda x: answer), is_the_same_twice, floats(3))
        assert not found.passed and found.kind == "nan"
        again = proving.prove_on(found.claim, [(np.ones(3),)], implementation(_f(lambda x: answer)), "f")
        assert not again.passed and again.kind == "nan"

    def test_a_claim_without_cases_runs_once(self):
        claim = Claim("L1.1", "what", lambda: expect(True, "so"), (), None)
        assert prove(claim).passed and prove(claim).examples == 1
        assert prove(Claim("L1.1", "what", lambda: expect(False, "so"), (), None)).message == "so"

    def test_a_claim_may_allow_fewer_cases(self):
        claim = Claim("L1.1", "what", lambda x: None, (floats(1),), 7)
        assert [prove(claim, examples=n).examples for n in (None, 5, 50)] == [7, 5, 7]

    def test_several_strategies_give_one_argument_each(self):
        def check(impl, x, n):
            expect_close(impl.f(x, n), x * n, "the product")

        found = verdict(_f(lambda x, n: x + n), check, floats(2), integers(0, 5))
        assert set(found.case) == {"x", "n"} and not found.passed

    def test_assume_is_not_a_failure(self):
        def check(impl, x):
            assume(x[0] > 0)
            expect_close(impl.f(x), x * x, "the square")

        assert verdict(_f(lambda x: x * x), check, floats(1)).passed

    def test_a_claim_that_no_case_fits_is_the_authors_fault(self):
        def check(impl, x):
            assume(False)

        with pytest.raises(Unsatisfiable):
            verdict(_f(lambda x: x), check, floats(1))

    def test_a_fault_of_the_author_is_named(self):
        def check(impl, x):
            expect(impl.f(x), "not compared")

        found = verdict(_f(lambda x: x), check, floats(1))
        assert found.kind == "unusable" and "must be booleans" in found.message
        with pytest.raises(ZeroDivisionError):
            prove(Claim("L1.1", "what", lambda n: 1 // 0, (integers(0, 1),), None))
        with pytest.raises(ConfigError, match="needs an implementation"):
            prove(Claim("L1.1", "what", is_square, (floats(1),), None))


def _f(function):
    """The function, named f."""

    def f(*arguments):
        return function(*arguments)

    return f


class TestConstants:
    """An answer that is always the same passes nothing, even where it happens to be right."""

    @pytest.mark.parametrize("answer", [0, 1, 0.0, True, None, "", [], np.zeros(3), (np.ones(2), 1.0)], ids=repr)
    def test_one_number_passes_nothing(self, answer):
        def check(impl, x):
            impl.f(x)

        found = verdict(_f(lambda x: answer), check, floats(3))
        assert (found.passed, found.kind) == (False, "constant") and "always answers" in found.message

    def test_two_numbers_may(self):
        def check(impl, x):
            impl.f(x)

        assert verdict(_f(lambda x: np.array([0.0, 1.0])), check, floats(3)).passed
        assert verdict(_f(lambda x: bool(x[0] > 0)), check, floats(3)).passed

    def test_a_function_that_is_never_asked(self):
        found = verdict(_f(lambda x: x), lambda impl, x: None, floats(3))
        assert (found.passed, found.kind) == (False, "constant") and "not called once" in found.message

    def test_zeros_and_ones_have_the_shape_of_the_answer(self):
        tasks = {"L1.1": Task("L1.1", _f(lambda x: (x * x, [3, "a", None, True, np.arange(2)])), 1, 0, False, False)}
        zeros, ones = (Constant(tasks, "f", n).f(np.full((2, 2), 3.0)) for n in (0, 1))
        assert zeros[0].tolist() == [[0, 0], [0, 0]] and ones[0].tolist() == [[1, 1], [1, 1]]
        assert zeros[1][:4] == [0, "", None, False] and ones[1][:4] == [1, "1", None, True]
        assert zeros[1][4].dtype == np.arange(2).dtype


class TestSeed:
    def cases(self, seed=0):
        seen = []

        def check(x, n, text):
            seen.append((x.tolist(), n, text))

        strategies = floats(3), integers(0, 10**6), st.text(max_size=5)
        prove(Claim("L1.1", "what", check, strategies, None), seed=seed, examples=120)
        return seen

    def test_the_cases_are_of_the_seed_alone(self, tmp_path, monkeypatch):
        """Also where other modules are loaded, whose constants hypothesis by itself would mix in."""
        monkeypatch.syspath_prepend(tmp_path)
        before, usual = self.cases(), []
        for module in ("mine", "yours"):
            (tmp_path / f"{module}.py").write_text(f"a = [123456, 654321, 77777, 424242]\nb = 'from {module}'\n")
            monkeypatch.setitem(sys.modules, module, importlib.import_module(module))
            assert self.cases() == before
            with monkeypatch.context() as planted:
                planted.setattr(proving, "_of_the_seed_alone", contextlib.nullcontext)
                usual.append(self.cases())
        assert before not in usual, "hypothesis by itself mixes nothing in: the test would see nothing"
        assert self.cases(seed=1) != before


def names(mutants):
    return [mutant.misconception for mutant in mutants]


class TestCheck:
    """`minilm lesson check` on a small lesson, whole and with mistakes planted into it."""

    def checked(self, tmp_path, number="L7.1", **files):
        bank = load(plant(tmp_path / "l07_squares", **files))
        return check_task(bank, bank.tasks[number], right=15, wrong=15)

    def test_a_good_one(self, tmp_path):
        found = self.checked(tmp_path)
        assert found.perfect and len(found.killed) == 2 and sum(c.killed for c in found.claims) == 2
        assert [c.right for c in found.claims] == [2, 2]

    def test_a_mutant_that_survives(self, tmp_path):
        found = self.checked(tmp_path, checks_py=CHECKS.replace("[v * v for v in x.tolist()]", "impl.square(x)"))
        assert not found.perfect and names(found.survivors) == ["square_is_double"]  # the other has no gradient at 0

    def test_a_claim_that_refuses_a_right_answer(self, tmp_path):
        wrong = CHECKS.replace("[v * v for v in x.tolist()]", "[v * v + 1e-3 for v in x.tolist()]")
        found = self.checked(tmp_path, checks_py=wrong)
        assert [how for how, _ in found.claims[0].failed] == ["reference", "as a power"] and not found.perfect

    def test_a_variant_that_is_wrong(self, tmp_path):
        found = self.checked(tmp_path, variants_py=VARIANTS.replace("2.0", "3.0"))
        assert [how for how, _ in found.claims[0].failed] == ["as a power"]

    def test_a_mutant_that_is_right(self, tmp_path):
        found = self.checked(tmp_path, mutants_py=MUTANTS.replace("x + x", "x * x"))
        assert names(found.survivors) == ["square_is_double"]

    def test_every_claim_refuses_zeros_and_ones(self, tmp_path):
        """Also one that is true of them."""
        weak = CHECKS.replace(
            'expect_close(impl.square(x), [v * v for v in x.tolist()], "the squares")', "impl.square(x)"
        )
        found = self.checked(tmp_path, checks_py=weak)
        assert [c.passed for c in found.claims] == [[], []]

    def test_claims_about_minilm(self, tmp_path):
        bank = load(plant(tmp_path / "l07_squares", checks_py=CHECKS.replace("n >= 0", "n >= 1")))
        assert [c.failed[0][1].message for c in check_own(bank)] == ["not negative"]
