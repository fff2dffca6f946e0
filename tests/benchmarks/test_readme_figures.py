"""The README's figures are those of a run, whose numbers lie beside its picture."""

import json

import keeping
import pytest
import readme
from alternation import Result
from rows import PRODUCTS, ROWS


@pytest.fixture(scope="module")
def run():
    """The machine and the rows of docs/speed.json."""
    machine = json.loads(readme.NUMBERS.read_text(encoding="utf-8"))["machine"]
    return machine, list(keeping.read(readme.NUMBERS, machine).values())


def test_the_readme_shows_the_numbers_that_were_kept(run):
    assert readme.section(*run) in readme.README.read_text(encoding="utf-8")
    assert readme.PICTURE.read_bytes().startswith(b"\x89PNG")


def test_what_was_kept_are_rows_of_the_table_without_a_problem(run):
    names = [row.name for row in ROWS]
    assert all(result.name in names and result.problem is None for result in run[1]) and len(run[1]) > 1


def test_a_table_is_put_between_its_marks(tmp_path, monkeypatch):
    found = Result(
        "training-S",
        "",
        1,
        "",
        tokens=100,
        seconds={"minilm": [0.1, 0.1], "torch": [0.2, 0.2], "jax": [0.3, 0.3], PRODUCTS.name: [0.08, 0.08]},
        memory={"minilm": [30, 10], "torch": [100, 50]},
    )
    wrong = Result("bert-S", "", 1, "", seconds={"minilm": [1.0], "torch": [1.0]}, problem="the losses differ")
    monkeypatch.setattr(readme, "README", tmp_path / "README.md")
    readme.README.write_text(f"before\n{readme.BEGIN}\nold\n{readme.END}\nafter\n")
    readme.put({"processor": "P", "numpy": "N", "torch": "T"}, [found, wrong])
    text = readme.README.read_text()
    assert text.startswith(f"before\n{readme.BEGIN}\n") and text.endswith(f"{readme.END}\nafter\n")
    assert "| `training-S` | 1,000 | 2.00 |  |  |  | 3.00 |  | 0.30 | 1.25 |" in text
    assert "Measured on P; NumPy N; PyTorch T." in text and "old" not in text and "bert-S" not in text
