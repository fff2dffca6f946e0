"""The table of a sweep: every digit, in one order, and what `minilm scaling fit` reads."""

import csv
import io
import random

import pytest
from made_sweep import BATCHES, FAMILIES, V, results, sweep, tables

from minilm.scaling.runs import read_runs
from minilm.sweeps.points import planned
from minilm.sweeps.table import COLUMNS, CURVE, as_csv, curves_of, rows_of


def test_the_order_of_what_is_done_changes_no_byte():
    plan = planned(sweep(tails=(1.0, 0.5)), V)
    found = results(plan)
    shuffled = list(found)
    random.Random(0).shuffle(shuffled)
    other = {name: found[name] for name in shuffled}
    rows = rows_of(plan, found)
    assert as_csv(rows, COLUMNS) == as_csv(rows_of(random.Random(1).sample(plan, len(plan)), other), COLUMNS)
    places = [(-row["tail"], row["width"], row["tokens"], row["batch"], row["seed"]) for row in rows]
    assert places == sorted(places) and len(rows) == len(plan)
    assert "seconds" not in as_csv(rows, COLUMNS)


def test_a_row_has_every_digit_of_its_training():
    plan, rows, _ = tables(sweep())
    read = list(csv.DictReader(io.StringIO(as_csv(rows, COLUMNS))))
    found = results(plan)
    for row in read:
        result = found[row["run"]]
        assert (float(row["loss"]), float(row["excess"])) == (result["loss"], result["excess"])
        assert float(row["floor"]) == pytest.approx(0.8) and int(row["flops"]) == result["flops"]
        assert row["run"].startswith(f"tail1-d{row['width']}-") and row["run"].endswith(f"seed{row['seed']}")
    assert {row["families"] for row in read} == {"sizes", "data", "data sizes"}


def test_only_what_is_done_is_there():
    plan = planned(sweep(), V)
    found = results(plan[:4])
    assert {row["run"] for row in rows_of(plan, found)} == set(found)
    assert as_csv([], COLUMNS) == "\n"


def test_a_source_that_is_not_known_has_no_floor():
    plan = planned(sweep(), V)
    rows = rows_of(plan, results(plan, known=False))
    header = as_csv(rows, COLUMNS).splitlines()[0].split(",")
    assert not {"floor", "excess", "excess_se"} & set(header) and "loss" in header


def test_curves_say_where_in_a_training_they_are():
    plan, rows, curves = tables(sweep((*FAMILIES, BATCHES)))
    assert len(curves) == 3 * len(rows)
    ends = {row["run"]: row for row in rows}
    for row in curves:
        end = ends[row["run"]]
        assert row["flops"] * end["tokens"] == end["flops"] * row["tokens"]
        assert row["steps"] == row["tokens"] // (end["batch"] * 32) <= end["steps"]
    assert curves == curves_of(rows, results(plan))


def test_both_files_are_read_by_the_command_that_fits(tmp_path):
    _, rows, curves = tables(sweep())
    (tmp_path / "table.csv").write_text(as_csv(rows, COLUMNS))
    (tmp_path / "curves.csv").write_text(as_csv(curves, CURVE))
    runs = read_runs(tmp_path / "table.csv")
    assert len(runs) == len(rows) and "floor" in runs and "steps" in runs
    runs = read_runs(tmp_path / "curves.csv")
    assert len(runs.curves) == len(rows) and runs.ends["loss"].tolist() == [row["loss"] for row in rows]
