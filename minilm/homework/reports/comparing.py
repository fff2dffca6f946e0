"""Expected and got as text, one above the other or side by side, so that the eye finds where they differ.

Where `minilm.homework.shown.beside` put a star behind the numbers that differ, these are they, and no others.
"""

import re
from dataclasses import dataclass

PIECE = re.compile(r"[^\s\[\](){},]+|[\[\](){},]")
NUMBER = re.compile(r"([-+]?(?:\d+|nan|inf|True|False))((?:\.\d*)?(?:e[-+]?\d+)?)(\*?)")


@dataclass(frozen=True)
class Span:
    """A stretch of a line, and whether the other one has something else there."""

    text: str
    differs: bool


@dataclass(frozen=True)
class Row:
    """A line: its stretches, and whether anything in it differs."""

    spans: tuple[Span, ...]
    differs: bool


@dataclass(frozen=True)
class _Line:
    """A line in pieces: brackets, commas, and what stands between them. gaps: the space before each piece."""

    text: str
    pieces: tuple[str, ...]
    gaps: tuple[str, ...]

    @classmethod
    def of(cls, text: str) -> "_Line":
        found = list(PIECE.finditer(text))
        ends = [0, *(one.end() for one in found)]
        return cls(
            text, tuple(m[0] for m in found), tuple(text[e : m.start()] for e, m in zip(ends, found, strict=False))
        )

    @property
    def built(self) -> list[str]:
        """Brackets and commas, a number as N, another word as itself."""
        return ["N" if NUMBER.fullmatch(piece) else piece for piece in self.pieces]

    @property
    def numbers(self) -> list[re.Match]:
        return [found for piece in self.pieces if (found := NUMBER.fullmatch(piece))]


def compare(expected: str, got: str) -> tuple[list[Row], list[Row]]:
    """The lines of both. Where they are built alike, of as many lines, brackets and numbers, all the numbers of a
    column stand below each other with their points, and those that differ are known; elsewhere whole lines differ."""
    left, right = ([_Line.of(text) for text in one.split("\n")] for one in (expected, got))
    if [line.built for line in left] != [line.built for line in right]:
        return _whole(left, right), _whole(right, left)
    widths = _widths([*left, *right])
    starred = any(number[3] for line in (*left, *right) for number in line.numbers)
    rows = [
        (_aligned(a, b, widths, starred), _aligned(b, a, widths, starred)) for a, b in zip(left, right, strict=True)
    ]
    return [a for a, _ in rows], [b for _, b in rows]


def _whole(lines: list[_Line], others: list[_Line]) -> list[Row]:
    rows = []
    for i, line in enumerate(lines):
        differs = i >= len(others) or others[i].text != line.text
        rows.append(Row((Span(line.text, differs),), differs))
    return rows


def _widths(lines: list[_Line]) -> list[tuple[int, int]]:
    """Of each column of numbers the room that is needed before the point, and from it on."""
    columns: dict[int, list[re.Match]] = {}
    for line in lines:
        for i, number in enumerate(line.numbers):
            columns.setdefault(i, []).append(number)
    return [tuple(max(len(n[part]) for n in columns[i]) for part in (1, 2)) for i in range(len(columns))]  # type: ignore


def _aligned(line: _Line, other: _Line, widths: list[tuple[int, int]], starred: bool) -> Row:
    spans, column, room = [], 0, ""
    for i, (piece, gap) in enumerate(zip(line.pieces, line.gaps, strict=True)):
        found = NUMBER.fullmatch(piece)
        if piece != ",":
            gap = gap if i == 0 else " " * ((bool(gap) or bool(other.gaps[i])) and piece not in "])}")
            spans.append(Span(room + gap, False))
            room = ""
        if found:
            before, after = widths[column]
            column += 1
            differs = bool(found[3]) if starred else piece != other.pieces[i]
            spans += [Span(" " * (before - len(found[1])), False), Span(found[1] + found[2], differs)]
            room = " " * (after - len(found[2]))  # a comma comes before it
        else:
            spans.append(Span(piece, False))
    shown = tuple(span for span in (*spans, Span(room, False)) if span.text)
    return Row(shown, any(span.differs for span in shown))
