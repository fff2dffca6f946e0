"""Planted mistakes that are none: no input shows a difference, or only in speed or memory. Each with its reason.

An entry speaks of every place in the file whose line reads as `before` and was mutated to `after`. One that a test
kills after all, or that is planted no more, is an error: remove or update it.
"""

from typing import NamedTuple


class Equivalent(NamedTuple):
    """before, after: the changed lines, without indentation, as the list of survivors prints them."""

    file: str
    before: str
    after: str
    reason: str


EQUIVALENT: list[Equivalent] = []
