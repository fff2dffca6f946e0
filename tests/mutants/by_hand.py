"""Mistakes that people make and tools do not: by_hand.toml, each with the misconception behind it."""

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from planting import Mutant, make
from trials import CannotTest

BY_HAND: dict[str, list[dict[str, str]]] = tomllib.loads(Path(__file__).with_suffix(".toml").read_text("utf-8"))


def planted_by_hand(sources: dict[str, str], slips: Any = BY_HAND) -> Iterator[Mutant]:
    """The mutants of some files; CannotTest where a text is not, or not only once, in its file."""
    for file, source in sources.items():
        for slip in slips.get(file, ()):
            old, new, why = slip["old"], slip["new"], slip["why"]
            if (count := source.count(old)) != 1:
                raise CannotTest(
                    f"by_hand.toml: “{why}” no longer applies: its text is {count} times in {file}, wanted once; "
                    f"update it: {old!r}"
                )
            yield make(file, source, source.replace(old, new), why)
