"""Every way to fail has a text of its own, in both languages; and values are shown so that they can be compared."""

import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from minilm.homework import remote, zygote
from minilm.homework.failures import KINDS, explain
from minilm.homework.shown import LINES, beside, differing, shown
from minilm.i18n import speaking

ROOT = Path(__file__).parents[2]


class TestTexts:
    @pytest.mark.parametrize("language", ["en", "es"])
    def test_each_kind_has_its_own(self, language):
        with speaking(language):
            said = {kind: explain(kind) for kind in KINDS if kind != "dtype"}
        assert all(one.title and len(one.advice) > 40 for one in said.values())
        assert len({one.title for one in said.values()}) == len({one.advice for one in said.values()}) == len(said)

    def test_none_is_the_same_in_both_languages(self):
        for kind in KINDS:
            with speaking("en"):
                english = explain(kind)
            with speaking("es"):
                spanish = explain(kind)
            assert english.title != spanish.title and english.advice != spanish.advice, kind

    def test_every_kind_that_arises_is_there(self):
        """Those that Unmet, Raised and Verdict are made with, and those that a worker may claim."""
        files = [ROOT / "minilm/course" / f"{name}.py" for name in ("expecting", "proving", "implementations")]
        found = {kind for file in files for kind in re.findall(r'kind="(\w+)"', file.read_text("utf-8"))}
        found |= set(re.findall(r'False, "(\w+)",', files[1].read_text("utf-8")))
        assert {"shape", "type", "gradient", "missing", "unstable", "constant"} <= found
        assert {*found, *zygote.KINDS, *remote.FATAL, "value", "nan", "raised", "unusable", "unreadable"} <= set(KINDS)

    def test_an_unknown_one_has_the_general_text(self):
        assert explain("no such kind") == explain("failed") != explain("value")


finite = st.floats(-1e3, 1e3).map(lambda x: round(x, 3))
numbers = arrays.arrays(np.float64, arrays.array_shapes(max_dims=3, max_side=4), elements=finite)
anything = st.recursive(
    st.none() | st.text() | st.floats() | st.integers() | numbers,
    lambda part: st.lists(part) | st.tuples(part, part) | st.dictionaries(st.text(), part),
)


class TestShown:
    @given(st.data())
    def test_what_differs_looks_different_and_is_marked_at_its_place(self, data):
        expected = data.draw(numbers)
        change = data.draw(arrays.arrays(bool, expected.shape))
        a, b = beside(expected, np.where(change, expected + 0.01, expected))
        assert len(a) == len(b) and a.count("\n") == b.count("\n")
        entries = [re.findall(r"[-+\d.e]+\*?", text) for text in (a, b)]
        assert [x != y for x, y in zip(*entries, strict=True)] == change.ravel().tolist()
        assert ["*" in x for x in entries[0]] == ["*" in x for x in entries[1]] == change.ravel().tolist()

    @given(numbers)
    def test_equal_ones_look_equal_and_have_no_mark(self, x):
        a, b = beside(x, x.copy())
        assert a == b and "*" not in a

    def test_a_small_difference_is_seen(self):
        assert beside(1 / 3, 1 / 3 + 1e-8) == ("0.33333333", "0.33333334")
        small = np.array([2e-4, 0.0]), np.array([2e-4, 1e-5])
        assert beside(*small) == ("[0.00020 , 0.00000*]", "[0.00020 , 0.00001*]")

    def test_nan_and_infinities_have_their_names(self):
        assert beside(np.array([1.0, 2.0]), np.array([1.0, np.nan])) == ("[1.0 , 2.0*]", "[1.0 , nan*]")
        assert not differing(np.array([np.nan, np.inf]), np.array([np.nan, np.inf])).any()

    @pytest.mark.parametrize(
        ("value", "text"),
        [
            (0.1, "0.1"), (3, "3"), (True, "True"), (None, "None"), ("a\x1b[2J\n", "'a\\x1b[2J\\n'"),
            ((1.0, 2), "(1.0, 2)"),
            ({"a": np.ones(2)}, "{'a': [1.0, 1.0]}"), (np.zeros((0, 3)), "[] (0, 3)"), (np.array(2.5), "2.5"),
            (np.array([[True, False]]), "[[ True, False]]"), (np.arange(3), "[0, 1, 2]"), (1e-30, "1e-30"),
        ],
    )  # fmt: skip
    def test_values(self, value, text):
        assert shown(value) == text

    @given(anything)
    def test_whatever_it_is_nothing_steers_the_terminal(self, value):
        text = shown(value)
        assert all(line.isprintable() for line in text.split("\n")) and text.count("\n") < LINES

    def test_what_is_huge_is_cut(self):
        for value in (np.zeros((1000, 1000)), list(range(10**5)), "x" * 10**6, [[list(range(100))] * 100] * 100):
            assert len(shown(value)) < 10_000
        a, b = beside(np.zeros((1000, 1000)), np.ones((1000, 1000)))
        assert len(a) < 10_000 and a != b
