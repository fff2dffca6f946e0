"""The runs that laws are fitted to: a table with a row for each, read from a file or made by a sweep.

Columns: `parameters` (N), `tokens` (D) and `loss` (nats a token) in every row. If there, in every row as well: `steps`
(optimizer steps), `flops` (of the training; 6 N D if not there), `floor` (the known loss of the source itself),
`budget` (the FLOPs of the isoFLOP profile to which the run belongs), `run` (a name: rows of the same run are its
learning curve, of which the row with the most tokens is the end). Other columns are left alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from minilm.errors import DataError
from minilm.i18n import tr
from minilm.scaling.surface import FLOPS_PER_PARAMETER

REQUIRED = ("parameters", "tokens", "loss")
OPTIONAL = ("steps", "flops", "floor", "budget")
NAMED = "run"


@dataclass(frozen=True)
class Runs:
    """Columns of numbers (n,), `flops` always among them; names: which run each row belongs to, None if each is one."""

    columns: Mapping[str, np.ndarray]
    names: tuple[str, ...] | None = None

    def __getitem__(self, column: str) -> np.ndarray:
        return self.columns[column]

    def __contains__(self, column: str) -> bool:
        return column in self.columns

    def __len__(self) -> int:
        return len(self.columns["loss"])

    def where(self, rows: np.ndarray) -> "Runs":
        """Those rows, by a mask or by indices."""
        kept = np.arange(len(self))[rows]
        names = None if self.names is None else tuple(self.names[i] for i in kept)
        return Runs({name: column[kept] for name, column in self.columns.items()}, names)

    @property
    def ends(self) -> "Runs":
        """The last row of each run, in the order of the runs."""
        if self.names is None:
            return self
        last: dict[str, int] = {}
        for i, name in enumerate(self.names):
            if name not in last or self["tokens"][i] >= self["tokens"][last[name]]:
                last[name] = i
        return self.where(np.array(list(last.values())))

    @property
    def curves(self) -> list["Runs"]:
        """Each run of at least two rows, its rows by tokens."""
        if self.names is None:
            return []
        named = np.array(self.names)
        found = [self.where(np.flatnonzero(named == name)) for name in dict.fromkeys(self.names)]
        return [run.where(np.argsort(run["tokens"], kind="stable")) for run in found if len(run) > 1]

    @property
    def excess(self) -> np.ndarray | None:
        """Loss above the known floor, (n,); None where none is known."""
        return self["loss"] - self["floor"] if "floor" in self else None


def runs_of(columns: Mapping[str, Sequence[Any]], names: Sequence[str] | None = None) -> Runs:
    """Runs out of columns; DataError for one that is missing or of another length, or a number that is not above 0."""
    if missing := [name for name in REQUIRED if name not in columns]:
        raise DataError(
            tr("the table has no column {missing}; it needs {wanted}, and has {known}", missing=", ".join(missing),
               wanted=", ".join(REQUIRED), known=", ".join(columns))
        )  # fmt: skip
    found: dict[str, np.ndarray] = {}
    for name in (*REQUIRED, *OPTIONAL):
        if name in columns:
            found[name] = _numbers(name, columns[name])
    n = len(found["loss"])
    for name, column in found.items():
        if len(column) != n:
            raise DataError(tr("{name} has {got} values, loss has {n}", name=name, got=len(column), n=n))
    found.setdefault("flops", FLOPS_PER_PARAMETER * found["parameters"] * found["tokens"])
    return Runs(found, None if names is None else tuple(map(str, names)))


def _numbers(name: str, values: Sequence[Any]) -> np.ndarray:
    found = []
    for row, value in enumerate(values, 1):
        try:
            number = float(value)
        except (TypeError, ValueError):
            number = float("nan")
        if not (0 < number < float("inf")) and not (name == "floor" and number == 0):
            raise DataError(
                tr("{name} in row {row} is {value!r}; wanted a number above 0", name=name, row=row, value=value)
            )
        found.append(number)
    return np.array(found)


def read_runs(path: str | Path) -> Runs:
    """The runs of a CSV, TSV or JSON-lines file with these columns; DataError says what is wrong and on which line."""
    from minilm.transfer.tables import read_table

    table = read_table(path)
    table.check(*REQUIRED)
    columns = {name: table.column(name) for name in (*REQUIRED, *OPTIONAL) if name in table.columns}
    for name in columns:
        for record in table.records:
            _check(path, name, record)
    return runs_of(columns, table.column(NAMED) if NAMED in table.columns else None)


def _check(path: str | Path, name: str, record: Any) -> None:
    try:
        _numbers(name, [record.values[name]])
    except DataError:
        raise DataError(
            tr("{path}, line {line}: {name} is {value!r}; wanted a number above 0", path=path, line=record.line,
               name=name, value=record.values[name])
        ) from None  # fmt: skip
