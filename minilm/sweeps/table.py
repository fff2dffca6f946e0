"""What a sweep found, a row a training: sorted, every digit, no times, so that the same sweep gives the same bytes.

`minilm scaling fit` reads it, and the table of learning curves beside it.
"""

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

from minilm.sweeps.points import Planned

COLUMNS = ("run", "families", "tail", "width", "layers", "heads", "context", "batch", "steps", "seed", "rate",
           "parameters", "all_parameters", "tokens", "flops", "loss", "floor", "excess", "excess_se")  # fmt: skip
CURVE = ("run", "tail", "width", "seed", "parameters", "steps", "tokens", "flops", "loss", "floor")

Row = dict[str, Any]


def rows_of(plan: Sequence[Planned], results: Mapping[str, Mapping[str, Any]]) -> list[Row]:
    """A row for each training that is done, by tail, width, tokens, batch and seed."""
    rows = [_row(one, results[one.point.name]) for one in plan if one.point.name in results]
    return sorted(rows, key=lambda row: (-(row["tail"] or 0), row["width"], row["tokens"], row["batch"], row["seed"]))


def _row(one: Planned, result: Mapping[str, Any]) -> Row:
    recipe, point = one.point.recipe, one.point
    known = {}
    if "excess" in result:
        known = {"floor": result["loss"] - result["excess"], "excess": result["excess"],
                 "excess_se": result["excess_se"]}  # fmt: skip
    return {
        "run": point.name,
        "families": " ".join(sorted(one.families)),
        "tail": None if point.world is None else point.world.tail,
        **{name: getattr(recipe, name) for name in ("width", "layers", "heads", "context", "batch", "steps", "rate")},
        "seed": point.seed,
        **{name: result[name] for name in ("parameters", "all_parameters", "tokens", "flops", "loss")},
        **known,
    }


def curves_of(rows: Sequence[Row], results: Mapping[str, Mapping[str, Any]]) -> list[Row]:
    """A row for each evaluation in training, which was on fewer rows than that of the table."""
    found = []
    for row in rows:
        each = row["flops"] // row["tokens"]
        for at in results[row["run"]]["curve"]:
            known = {"floor": at["loss"] - at["excess"]} if "excess" in at else {}
            shared = {name: row[name] for name in ("run", "tail", "width", "seed", "parameters")}
            so_far = {"steps": row["steps"] * at["tokens"] // row["tokens"], "tokens": at["tokens"],
                      "flops": each * at["tokens"]}  # fmt: skip
            found.append({**shared, **so_far, "loss": at["loss"], **known})
    return found


def as_csv(rows: Sequence[Row], columns: Sequence[str]) -> str:
    """The rows as CSV; columns that no row has are left out."""
    used = [name for name in columns if any(row.get(name) is not None for row in rows)]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(used)
    for row in rows:
        writer.writerow([repr(row[name]) if isinstance(row[name], float) else row[name] for name in used])
    return out.getvalue()


def rows_in(text: str) -> list[Row]:
    """The rows of such a CSV."""
    words = ("run", "families")

    def number(value: str) -> int | float:
        return int(value) if value.isdecimal() else float(value)

    rows = csv.DictReader(io.StringIO(text))
    return [{name: value if name in words else number(value) for name, value in row.items() if value} for row in rows]
