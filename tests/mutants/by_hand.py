"""Mistakes that people make and tools do not, each once somewhere in the engine or the layers."""

from collections.abc import Iterator

from planting import Mutant, make
from trials import CannotTest

Slip = tuple[str, str, str, str]  # file, its text as it is (there just once), as it is mistaken, the misconception

BY_HAND: list[Slip] = []


def planted_by_hand(sources: dict[str, str], slips: list[Slip]) -> Iterator[Mutant]:
    """The mutants; CannotTest where a text is not, or not only once, in its file."""
    for file, old, new, why in slips:
        if file in sources:
            count = sources[file].count(old)
            if count != 1:
                raise CannotTest(
                    f"by_hand.py: “{why}” no longer applies: its text is {count} times in {file}, wanted once; "
                    f"update it: {old!r}"
                )
            yield make(file, sources[file], sources[file].replace(old, new), why)
