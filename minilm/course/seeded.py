"""Hypothesis's own way to make values, but from the seed alone; apart, because it imports hypothesis."""

from typing import Any

from hypothesis.internal.conjecture.providers import HypothesisProvider


class SeededProvider(HypothesisProvider):
    """Draws no constants that were found in loaded modules."""

    def _maybe_draw_constant(self, *args: Any, **kwargs: Any) -> None:
        return None
