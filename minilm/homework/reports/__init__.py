"""Reports: what was found out about each student and about the class, made from records alone.

cleaning.py    text of strangers, made harmless
comparing.py   expected and got, aligned
telling.py     what a record says, in words; of hidden cases only how many
gradescope.py  results.json
page.py        a student's page
grades.py      grades.csv, and cells that no spreadsheet takes for a formula
similarity.py  who handed in nearly the same: winnowing of tokens
overview.py    the class's page
rendering.py   templates; a policy under which a browser asks for nothing
"""

from collections.abc import Iterable, Mapping
from pathlib import Path

from minilm.homework.record import Record
from minilm.homework.reports.gradescope import results
from minilm.homework.reports.page import page
from minilm.homework.reports.rendering import check_installed
from minilm.i18n import speaking
from minilm.resources import write_atomically

__all__ = ["check_installed", "write_student"]


def write_student(record: Record, folder: Path) -> None:
    """results.json and index.html in a student's folder, each whole or not at all. The same record, the same bytes."""
    with speaking(record.lang):
        write_atomically(folder / "results.json", results(record))
        write_atomically(folder / "index.html", page(record))
