"""The table of runs: what is read, what follows from it, what is refused and where."""

import json

import numpy as np
import pytest

from minilm.errors import DataError
from minilm.scaling.analysis import along, analyse, frontier, parts_of
from minilm.scaling.runs import read_runs, runs_of
from minilm.scaling.surface import Surface

FACTS = Surface(0.8, 250.0, 3e4, 0.75, 0.85)


def facts(seeds=3, noise=0.05):
    """What a sweep on a known source gives: sizes at all the data, data at the largest size, with seeds."""
    rng = np.random.default_rng(0)
    rows = [(n, 3e6) for n in np.geomspace(2e3, 1.3e5, 8)] + [(1.3e5, 3e6 / 2**k) for k in range(1, 7)]
    N, D = (np.tile(column, seeds) for column in np.array(rows).T)
    excess = (FACTS.loss(N, D) - FACTS.E) * np.exp(noise * rng.standard_normal(len(N)))
    return {"parameters": N, "tokens": D, "loss": FACTS.E + excess, "floor": np.full(len(N), FACTS.E)}


def test_a_file_is_read_and_flops_follow(tmp_path):
    (tmp_path / "a.csv").write_text("tokens,seed,loss,parameters\n1e6,0,2.5,1000\n2e6,1,2.25,1000\n")
    runs = read_runs(tmp_path / "a.csv")
    assert len(runs) == 2 and runs["flops"].tolist() == [6e9, 1.2e10] and runs["loss"].tolist() == [2.5, 2.25]
    assert "seed" not in runs and "floor" not in runs and runs.excess is None and runs.curves == []
    rows = [{"parameters": 10, "tokens": 5, "loss": 2, "flops": 700, "floor": 0, "run": "b"}]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, rows)))
    runs = read_runs(tmp_path / "a.jsonl")
    assert runs["flops"].tolist() == [700] and runs.excess.tolist() == [2] and runs.names == ("b",)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("tokens,loss\n1,2\n", "has no column parameters; it has tokens, loss"),
        ("parameters,tokens,loss\n1,2,3\n1,2,x\n", "line 3: loss is 'x'; wanted a number above 0"),
        ("parameters,tokens,loss\n1,0,3\n", "line 2: tokens is '0'; wanted a number above 0"),
        ("parameters,tokens,loss,floor\n1,1,3,-1\n", "line 2: floor is '-1'"),
        ("parameters,tokens,loss\n1,inf,3\n", "line 2: tokens is 'inf'"),
        ("parameters,tokens,loss\n", "has column names but no rows"),
    ],
)
def test_a_file_is_refused_with_its_line(text, said, tmp_path):
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(DataError, match=said):
        read_runs(tmp_path / "a.csv")


def test_columns_are_refused():
    with pytest.raises(DataError, match="no column tokens; it needs parameters, tokens, loss, and has parameters"):
        runs_of({"parameters": [1], "loss": [2]})
    with pytest.raises(DataError, match="tokens has 2 values, loss has 1"):
        runs_of({"parameters": [1], "tokens": [1, 2], "loss": [2]})
    with pytest.raises(DataError, match="loss in row 2 is None"):
        runs_of({"parameters": [1, 1], "tokens": [1, 2], "loss": [2, None]})


def test_ends_and_curves():
    runs = runs_of({"parameters": [1, 2, 1, 2, 3], "tokens": [20, 10, 10, 30, 5], "loss": [3, 5, 4, 2, 9]}, "ababc")
    assert runs.ends["loss"].tolist() == [3, 2, 9] and runs.ends.names == ("a", "b", "c")
    assert [curve["loss"].tolist() for curve in runs.curves] == [[4, 3], [5, 2]]


def test_the_frontier_is_what_no_cheaper_run_beats():
    runs = runs_of({"parameters": [1, 2, 3, 4, 5, 5], "tokens": [1] * 6, "loss": [9, 5, 6, 5, 4, 3]})
    assert frontier(runs)["loss"].tolist() == [9, 5, 3]


@pytest.fixture(scope="module")
def found():
    return analyse(parts_of(runs_of(facts())), np.random.default_rng(0), 60)


class TestAnalysis:
    def test_each_law_counts_its_own_runs(self, found):
        assert set(found.along) == {"parameters", "tokens", "flops"} and not found.missing
        assert (len(found.along["parameters"].runs), len(found.along["tokens"].runs)) == (24, 21)
        assert set(found.both) == {"chinchilla", "kaplan"} and found.profiles is None and found.envelope is None

    def test_the_excess_falls_faster_than_the_loss(self, found):
        for column, power in (("parameters", 0.75), ("tokens", 0.85)):
            one = found.along[column]
            plain, excess = one.plain.fit.constants["alpha"], one.excess.fit.constants["alpha"]
            assert plain < excess - 0.2 and excess < power
            assert one.floor == pytest.approx(0.8) and one.excess.fit.r_squared > 0.97
            assert len(one.test.x) == len(np.unique(one.runs[column])) - -(-2 * len(np.unique(one.runs[column])) // 3)

    def test_a_floor_along_one_column_holds_what_the_other_limits(self, found):
        """E + B / D^β for the sizes, at the most tokens; the surface of both separates them."""
        E = found.along["parameters"].with_floor.fit.constants["E"]
        assert pytest.approx(FACTS.E + FACTS.B * 3e6**-FACTS.beta, abs=0.03) == E and E > 0.85
        low, high = found.both["chinchilla"].draws.interval("E", 0.99)
        assert low < 0.8 < high

    def test_runs_below_the_floor_are_counted_and_left_out(self):
        columns = facts(seeds=1)
        columns["loss"][3] = 0.79
        runs = runs_of(columns)
        one = along("parameters", runs.where(runs["tokens"] == 3e6), np.random.default_rng(0), 20)
        assert one.left_out == 1 and len(one.excess.fit.log_loss) == len(one.plain.fit.log_loss) - 1

    def test_what_cannot_be_fitted_is_said(self):
        runs = runs_of({"parameters": [1e3, 2e3], "tokens": [1e6, 2e6], "loss": [2, 1.5]})
        found = analyse(parts_of(runs), np.random.default_rng(0), 20)
        assert found.both == {} and set(found.missing) == {"parameters", "tokens"}
        assert "too few different runs" in found.missing["tokens"]
