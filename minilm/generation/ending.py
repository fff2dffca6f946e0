"""When a sequence ends, and what stands after its end while others of the batch go on."""

from collections.abc import Collection
from dataclasses import dataclass, field

import numpy as np

from minilm.errors import ConfigError
from minilm.i18n import tr


@dataclass(frozen=True)
class Ending:
    """A ConfigError names a setting that cannot be.

    stop: a token, or several, that ends a sequence and is part of it. pad: the token that fills up a row that ended
    before others; None: it repeats its stop. min_new_tokens: so many come before a stop may.
    """

    stop: int | Collection[int] | None = None
    pad: int | None = None
    min_new_tokens: int = 0
    stops: np.ndarray = field(init=False)  # (n,)

    def __post_init__(self) -> None:
        stop, least = self.stop, self.min_new_tokens
        stops = [] if stop is None else [stop] if isinstance(stop, (int, np.integer)) else list(stop)
        object.__setattr__(self, "stops", np.array(stops, np.int64))
        if not isinstance(least, (int, np.integer)) or least < 0:
            raise ConfigError(tr("min_new_tokens is {got!r}; it must be a whole number, 0 or more", got=least))

    def check(self, vocab_size: int) -> None:
        """ConfigError for a pad that the model could not read."""
        pad = self.pad
        if pad is not None and (not isinstance(pad, (int, np.integer)) or not 0 <= pad < vocab_size):
            raise ConfigError(
                tr("pad is {got!r}; it must be a token of the vocabulary, 0 to {last}", got=pad, last=vocab_size - 1)
            )

    def banned(self, made: int) -> np.ndarray | None:
        """The tokens that may not come next, `made` new ones being there: the stops, or None."""
        return self.stops if made < self.min_new_tokens and self.stops.size else None
