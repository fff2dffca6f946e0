"""Puts what the sweep "tails" found into the README, with its picture.

`python docs/make_scaling.py runs/sweep-tails` after another sweep, whose table becomes docs/scaling.csv; without a
folder from the table that is there.
"""

import re
import shutil
import sys
from pathlib import Path

import numpy as np

from minilm.scaling import plots
from minilm.scaling.analysis import Analysis, analyse
from minilm.sweeps.findings import LEVEL, compared, laws_of, lowest_excess, parts_of
from minilm.sweeps.table import Row, rows_in

ROOT = Path(__file__).parent.parent
README, TABLE, PICTURE = ROOT / "README.md", ROOT / "docs" / "scaling.csv", ROOT / "docs" / "scaling.png"
BEGIN, END = "<!-- scaling: begin (python docs/make_scaling.py) -->", "<!-- scaling: end -->"
ALONG = {"parameters": "size N (12 L D²)", "tokens": "data D"}
HEADER = ("tail", "along", "excess falls as", "R²", "loss itself as", "R²", "fitted floor", "true floor")


def analysed(rows: list[Row]) -> dict[float, Analysis]:
    """Tail -> the laws along size, data and compute, as `minilm scaling run` fits them."""
    found = {}
    for tail in sorted({row["tail"] for row in rows}, reverse=True):
        parts = parts_of([row for row in rows if row["tail"] == tail])
        some = {name: parts[name] for name in ("parameters", "tokens", "flops")}
        found[tail] = analyse(some, np.random.default_rng(0))
    return found


def numbers(rows: list[Row], found: dict[float, Analysis]) -> str:
    """The part of the README that holds numbers, as Markdown."""
    lines = [f"| {' | '.join(HEADER)} |", f"| --- | --- |{' ---: |' * (len(HEADER) - 2)}"]
    laws = {tail: laws_of(one) for tail, one in found.items()}
    for tail, some in laws.items():
        for column in ALONG:
            above, raw = (
                next(law for law in some if (law.column, law.of) == (column, of)) for of in ("excess", "loss")
            )
            low, high = found[tail].along[column].with_floor.draws.interval("E")
            lines.append(
                f"| {tail:g} | {ALONG[column]} | {above.exponent:.3f} ({above.low:.3f}–{above.high:.3f}) "
                f"| {above.r_squared:.4f} | {raw.exponent:.3f} ({raw.low:.3f}–{raw.high:.3f}) | {raw.r_squared:.4f} "
                f"| {above.floor:.3f} ({low:.3f}–{high:.3f}) | {above.known:.3f} |"
            )
    pairs = compared(laws)
    apart = "do not touch" if all(one.apart for one in pairs) else "touch"
    test = found[max(found)].along["parameters"].test
    said = [
        f"{len(rows)} trainings. Exponents have the middle {100 * LEVEL:.0f} % of a bootstrap over the trainings,",
        "floors 95 %; R² is that of the seeds' geometric means.",
        f"The intervals of the two tails {apart}.",
        f"The least excess of all is {lowest_excess(rows):.0f} standard errors above 0.",
        f"The test of a law: fitted to the smaller two thirds of the sizes, that of tail {max(found):g} predicts",
        f"{test.ratio[-1]:.2f} of what the largest has left to learn ({test.low[-1]:.2f}–{test.high[-1]:.2f}).",
        "There the data are what is scarce, and no line through the smaller ones knows it.",
    ]
    lines += ["", " ".join(said)]
    return "\n".join(lines)


def renewed(page: str, text: str) -> str:
    """The README with these numbers."""
    pattern = re.compile(f"{re.escape(BEGIN)}.*{re.escape(END)}", re.DOTALL)
    return pattern.sub(lambda _: f"{BEGIN}\n\n{text}\n\n{END}", page)


if __name__ == "__main__":
    if sys.argv[1:]:
        shutil.copy(Path(sys.argv[1]) / "table.csv", TABLE)
    rows = rows_in(TABLE.read_text(encoding="utf-8"))
    found = analysed(rows)
    README.write_text(renewed(README.read_text(encoding="utf-8"), numbers(rows, found)), "utf-8")
    plots.laws(PICTURE, found[max(found)].along, "Mundito's facts, tail 1: loss against size, data and compute")
