"""Reports: what was found out about each student and about the class, made from records alone.

cleaning.py    text of strangers, made harmless
comparing.py   expected and got, aligned
telling.py     what a record says, in words; of hidden cases only how many
gradescope.py  results.json
page.py        a student's page
grades.py      grades.csv, and cells that no spreadsheet takes for a formula
similarity.py  who handed in nearly the same: winnowing of tokens; by_compare50.py: compare50, where it is installed
overview.py    the class's page
rendering.py   templates; a policy under which a browser asks for nothing
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from minilm.homework.record import Record
from minilm.homework.reports.grades import grades
from minilm.homework.reports.gradescope import results
from minilm.homework.reports.overview import overview
from minilm.homework.reports.page import page
from minilm.homework.reports.rendering import check_installed
from minilm.homework.reports.similarity import near_identical
from minilm.i18n import language, speaking
from minilm.resources import write_atomically

__all__ = ["check_installed", "write_batch", "write_student"]


def write_student(record: Record, folder: Path) -> None:
    """results.json and index.html in a student's folder, each whole or not at all. The same record, the same bytes."""
    with speaking(record.lang):
        write_atomically(folder / "results.json", results(record))
        write_atomically(folder / "index.html", page(record))


def write_batch(
    out: Path,
    records: Sequence[Record],
    sources: Mapping[str, bytes],
    seconds: Mapping[str, float],
    roster: Mapping[str, str] | None = None,
    *,
    folders: Mapping[str, str] | None = None,
    given: Sequence[bytes] = (),
    layers: Sequence[str] = (),
    lang: str | None = None,
) -> None:
    """overview.html and grades.csv of a batch.

    sources, seconds: of each student what was graded, and how long it took, which the overview alone tells. roster:
    student -> name of all who could hand in. folders: student -> folder of `out/students`. given: the files that
    students were handed out, whose text nobody copied. layers: the walls that were active. lang: the overview's
    language; the records' own if not given.
    """
    ordered = sorted(records, key=lambda record: record.student)
    wanted = lang or (ordered[0].lang if ordered else language())
    alike = near_identical(sources, given)
    with speaking(wanted):
        html = overview(ordered, alike, seconds, roster or {}, folders or {}, layers)
    write_atomically(out / "grades.csv", grades(ordered, roster or {}))
    write_atomically(out / "overview.html", html)
