"""A table of text in which single cells are filled in, and of which every other byte stays as it was.

Delimiter, quotes, byte order mark, line ends and encoding are those of the file, since the program that exported it is
the one that will read it again.
"""

import codecs
import re
from collections.abc import Mapping
from dataclasses import dataclass

from minilm.errors import DataError
from minilm.i18n import tr

DELIMITERS = ",;\t"
ENCODINGS = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}


@dataclass(frozen=True)
class Cell:
    """A cell's text, and where it stands, its quotes included."""

    text: str
    start: int
    end: int


@dataclass(frozen=True)
class Sheet:
    """A table as it was read. text: the whole file; encoding: by which it becomes the same bytes again."""

    text: str
    encoding: str
    delimiter: str
    rows: tuple[tuple[Cell, ...], ...]

    @classmethod
    def read(cls, data: bytes, name: str) -> "Sheet":
        """DataError where it is no table."""
        encoding = next((found for mark, found in ENCODINGS.items() if data.startswith(mark)), "utf-8")
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            encoding, text = "latin-1", data.decode("latin-1")  # which gives every byte back, whatever it meant
        first = text.lstrip("\ufeff").partition("\n")[0]
        delimiter = max(DELIMITERS, key=_outside_quotes(first).count)
        rows = tuple(_rows(text, delimiter, len(text) - len(text.lstrip("\ufeff"))))
        if len(rows) < 2 or len(rows[0]) < 2 or "\0" in text:
            raise DataError(
                tr("{name} is no table: wanted is the CSV that Moodle or Canvas exports, with its headings", name=name)
            )
        return cls(text, encoding, delimiter, rows)

    def filled(self, cells: Mapping[tuple[int, int], str]) -> bytes:
        """The file with other texts in these cells: (row, column) -> text."""
        parts, at = [], 0
        for row, column in sorted(cells):
            cell = self.rows[row][column]
            quoted = self.text[cell.start : cell.start + 1] == '"'
            parts += [self.text[at : cell.start], self._written(cells[row, column], quoted)]
            at = cell.end
        return "".join([*parts, self.text[at:]]).encode(self.encoding, "replace")

    def _written(self, text: str, quoted: bool) -> str:
        if quoted or re.search(r'["\r\n]', text) or self.delimiter in text:
            return '"' + text.replace('"', '""') + '"'
        return text


def _outside_quotes(line: str) -> str:
    return re.sub(r'"(?:[^"]|"")*("|$)', "", line)


def _rows(text: str, delimiter: str, start: int) -> list[tuple[Cell, ...]]:
    """The rows of RFC 4180, empty ones left out; quotes within a cell that does not begin with one are letters."""
    cell = re.compile(rf'(?P<quoted>"(?P<inner>(?:[^"]|"")*)"?(?P<after>[^{delimiter}\r\n]*))|[^{delimiter}\r\n]*')
    rows: list[tuple[Cell, ...]] = []
    row: list[Cell] = []
    at = start
    while True:
        found = cell.match(text, at)
        assert found is not None  # it matches nothing at all as well
        inner = found["inner"].replace('""', '"') + found["after"] if found["quoted"] is not None else found[0]
        row.append(Cell(inner, found.start(), found.end()))
        at = found.end()
        if text[at : at + 1] == delimiter:
            at += 1
            continue
        if len(row) > 1 or row[0].text:
            rows.append(tuple(row))
        row = []
        if at >= len(text):
            return rows
        at += 1  # of "\r\n" the first; the row between them is empty
        if at >= len(text):
            return rows
