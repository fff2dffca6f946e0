"""Labelled texts out of a file: CSV, TSV or JSON lines with named columns, each row with the line it stands on."""

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from minilm.errors import DataError
from minilm.i18n import tr

FORMATS = {".csv": "csv", ".tsv": "tsv", ".jsonl": "jsonl", ".ndjson": "jsonl"}


class Record(NamedTuple):
    """The values of a row by column, and its line in the file (from 1)."""

    values: dict[str, Any]
    line: int


class Table(NamedTuple):
    """A file's rows and the columns that it names."""

    path: Path
    columns: tuple[str, ...]
    records: list[Record]

    def column(self, name: str) -> list[Any]:
        """The values of a column, one in every row, else a DataError."""
        self.check(name)
        return [record.values[name] for record in self.records]

    def check_column(self, name: str) -> None:
        """DataError unless there is such a column; it names those that there are."""
        if name not in self.columns:
            raise DataError(
                tr("{path} has no column {name}; it has {known}", path=self.path, name=name,
                   known=", ".join(self.columns))
            )  # fmt: skip

    def check(self, *names: str) -> None:
        """DataError unless there are columns of these names, in every row."""
        for name in names:
            self.check_column(name)
            for record in self.records:
                if record.values.get(name) is None:
                    raise DataError(
                        tr("{path}, line {line}: there is no value for {name}", path=self.path, line=record.line,
                           name=name)
                    )  # fmt: skip


def read_table(path: str | Path) -> Table:
    """The rows of a file, its kind told by the name's end. DataError for another kind, a file that is missing or empty,
    bytes that are no UTF-8 (the line is named), or a row that does not fit."""
    path = Path(path)
    kind = FORMATS.get(path.suffix.lower())
    if kind is None:
        raise DataError(
            tr("{path}: its name ends in none of {known}, so what it holds is unknown", path=path,
               known=", ".join(FORMATS))
        )  # fmt: skip
    text = _text(path)
    if not text.strip():
        raise DataError(tr("{path} is empty; give rows with named columns", path=path))
    columns, records = (
        _json_lines(path, text) if kind == "jsonl" else _separated(path, text, "\t" if kind == "tsv" else ",")
    )
    if not records:
        raise DataError(tr("{path} has column names but no rows", path=path))
    return Table(path, columns, records)


def _text(path: Path) -> str:
    """The file as text; DataError that names the line where it is no UTF-8."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise DataError(tr("there is no file {path}; check its name", path=path)) from None
    except OSError as error:
        raise DataError(tr("{path} cannot be read ({reason})", path=path, reason=error.strerror or error)) from error
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(
            tr("{path}, line {line}: byte {byte} is not UTF-8; convert the file to UTF-8 first", path=path,
               line=data.count(b"\n", 0, error.start) + 1, byte=f"0x{data[error.start]:02x}")
        ) from error  # fmt: skip


def _separated(path: Path, text: str, delimiter: str) -> tuple[tuple[str, ...], list[Record]]:
    """The rows of CSV (RFC 4180) or TSV, whose first line names the columns."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    records: list[Record] = []
    columns: tuple[str, ...] = ()
    line = 1
    try:
        for row in reader:
            if not columns:
                columns = tuple(name.strip() for name in row)
                if len(set(columns)) != len(columns) or not all(columns):
                    raise DataError(tr("{path}, line 1: every column needs a name of its own", path=path))
            elif row:
                if len(row) != len(columns):
                    raise DataError(
                        tr("{path}, line {line}: {got} values for {wanted} columns", path=path, line=line,
                           got=len(row), wanted=len(columns))
                    )  # fmt: skip
                records.append(Record(dict(zip(columns, row, strict=True)), line))
            line = reader.line_num + 1
    except csv.Error as error:
        raise DataError(
            tr("{path}, line {line}: this is no row ({reason})", path=path, line=reader.line_num, reason=error)
        ) from error
    return columns, records


def _json_lines(path: Path, text: str) -> tuple[tuple[str, ...], list[Record]]:
    """One JSON object a line; the columns are the names of all of them."""
    records = []
    columns: dict[str, None] = {}
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            values = json.loads(line)
        except ValueError as error:
            raise DataError(
                tr("{path}, line {line}: this is no JSON ({reason})", path=path, line=number, reason=error)
            ) from error
        if not isinstance(values, dict):
            raise DataError(
                tr(
                    '{path}, line {line}: wanted an object such as {{"text": "…", "label": "…"}}',
                    path=path,
                    line=number,
                )
            )
        columns |= dict.fromkeys(values)
        records.append(Record(values, number))
    return tuple(columns), records


def write_csv(path: str | Path, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Write rows under column names, whole or not at all; tab-separated where the name ends in .tsv."""
    from minilm.resources import write_atomically

    text = io.StringIO()
    writer = csv.writer(text, delimiter="\t" if Path(path).suffix == ".tsv" else ",", lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    write_atomically(path, text.getvalue())
