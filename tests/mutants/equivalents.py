"""Planted mistakes that are none: no input shows a difference, or only in speed or memory: equivalents.toml."""

import tomllib
from pathlib import Path
from typing import NamedTuple


class Equivalent(NamedTuple):
    """before, after: the changed lines, without indentation, as the list of survivors prints them."""

    file: str
    before: str
    after: str
    reason: str


def read(text: str) -> list[Equivalent]:
    """The entries; one reason may stand for several mutations of a line."""
    return [
        Equivalent(file, entry["before"], after, entry["reason"])
        for file, entries in tomllib.loads(text).items()
        for entry in entries
        for after in ([entry["after"]] if isinstance(entry["after"], str) else entry["after"])
    ]


EQUIVALENT = read(Path(__file__).with_suffix(".toml").read_text("utf-8"))
