"""What the README says of the sweep "tails" is what its table, docs/scaling.csv, gives."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from minilm.sweeps.config import read_sweep
from minilm.sweeps.points import planned
from minilm.sweeps.table import COLUMNS, as_csv, rows_in

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("make_scaling", ROOT / "docs" / "make_scaling.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def rows(script):
    return rows_in(script.TABLE.read_text())


def test_the_table_is_of_that_sweep(script, rows):
    plan = {one.point.name: one for one in planned(read_sweep("tails"), 362)}
    assert {row["run"] for row in rows} == set(plan) and len(rows) == 90
    for row in rows:
        recipe = plan[row["run"]].point.recipe
        assert (row["width"], row["steps"], row["rate"]) == (recipe.width, recipe.steps, recipe.rate)
        assert row["families"] == " ".join(sorted(plan[row["run"]].families))
        assert not row["excess"] / row["excess_se"] <= -3
    assert as_csv(rows, COLUMNS) == script.TABLE.read_text()


FAMILIES = [
    (1.0, "parameters", "sizes"),
    (1.0, "tokens", "data"),
    (0.5, "parameters", "sizes"),
    (0.5, "tokens", "data"),
]


@pytest.mark.parametrize(("tail", "column", "family"), FAMILIES)
def test_exponents_and_r_squared_are_those_of_a_line(tail, column, family, script, rows):
    some = [row for row in rows if row["tail"] == tail and family in row["families"].split()]
    x = np.log([row[column] for row in some])
    page = script.README.read_text()
    part = page[page.index(script.BEGIN) : page.index(script.END)]
    (line,) = [line for line in part.splitlines() if line.startswith(f"| {tail:g} | {script.ALONG[column]}")]
    for name, place in (("excess", 3), ("loss", 5)):
        y = np.log([row[name] for row in some])
        slope = np.polyfit(x, y, 1)[0]
        means = np.array([[at, y[x == at].mean()] for at in np.unique(x)])
        r_squared = np.corrcoef(means.T)[0, 1] ** 2
        exponent, squared = line.split("|")[place].split("(")[0], line.split("|")[place + 1]
        assert float(exponent) == pytest.approx(-slope, abs=5.1e-4)
        assert float(squared) == pytest.approx(r_squared, abs=5.1e-5)


def test_the_default_sweep_has_the_laws_that_it_should(script, rows):
    """At tail 1: R² of .97 against size and .95 against data, the slope about .48; see the paper's figure 1."""
    for column, family, least in (("parameters", "sizes", 0.97), ("tokens", "data", 0.95)):
        some = [row for row in rows if row["tail"] == 1 and family in row["families"].split()]
        x, y = np.log([row[column] for row in some]), np.log([row["excess"] for row in some])
        means = np.array([[at, y[x == at].mean()] for at in np.unique(x)])
        assert np.corrcoef(means.T)[0, 1] ** 2 >= least
        if column == "parameters":
            assert -np.polyfit(x, y, 1)[0] == pytest.approx(0.48, abs=0.05)


@pytest.mark.slow
def test_the_readme_has_every_number(script, rows):
    page = script.README.read_text()
    assert script.renewed(page, script.numbers(rows, script.analysed(rows))) == page, "run: python docs/make_scaling.py"
