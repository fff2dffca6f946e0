"""A model that reads ever longer ids: its cache of keys and values, its window on a long text, rows that are padded.

Where the text outgrows the model's context, the model reads a window of it. The window begins at a multiple of half
the context, as a function of the length alone, so that it is the same with the cache and without; the cache is filled
anew only when the window moves, once in half a context. In a batch of prompts padded on the left, each row has the
window, and the positions, that it would have alone; a row reads nothing before its own window.
"""

from typing import Any, Protocol

import numpy as np


class Reader(Protocol):
    """Asks a model for the logits that follow ever longer ids, one row for each sequence."""

    def logits(self, ids: np.ndarray) -> Any:
        """Of the token after ids (B, n): (B, V). From call to call, ids only grow."""
        ...

    def reorder(self, rows: np.ndarray) -> None:
        """Row i goes on from what was row rows[i], one of the same prompt."""
        ...


class DecoderReader:
    """Reads with a decoder-only model, such as GPT or Llama. pads: (B,), how much padding each row begins with."""

    def __init__(self, model: Any, batch: int, cached: bool, pads: np.ndarray | None = None):
        self.model = model.bare().eval()  # a copy of the structure: the model itself stays in its mode
        self.cache = model.new_cache(batch) if cached else None
        self.pads = pads
        self.begins: Any = 0  # the column at which the window begins that the cache holds, or one for each row

    def logits(self, ids: np.ndarray) -> Any:
        begins, start, mask = self._window(ids.shape[1])
        if self.cache is not None and np.any(begins != self.begins):
            self.cache.clear()
        self.begins = begins
        held = self.cache.length if self.cache is not None else 0
        hidden = self.model.hidden(ids[:, start + held :], mask, self.cache)  # (B, t, D), t the ids not yet read
        return self.model.logits(hidden[:, -1])  # (B, V)

    def reorder(self, rows: np.ndarray) -> None:
        if self.cache is not None:
            self.cache.reorder(rows)

    def _window(self, length: int) -> tuple[Any, int, np.ndarray | None]:
        """Where the windows of rows of `length` columns begin, the first of these columns, and the attention mask."""
        context = self.model.config.context
        if self.pads is None:
            start = window_start(length, context)
            return start, start, None
        begins = np.array([pad + window_start(length - pad, context) for pad in self.pads.tolist()])  # (B,)
        start = int(begins.min())
        return begins, start, np.arange(start, length) >= begins[:, None]  # (B, S)


def window_start(length: int, context: int) -> int:
    """Where the window that a model reads of `length` tokens begins: the least multiple of context/2 that fits."""
    hop = max(1, context // 2)
    return -(-max(0, length - context) // hop) * hop


def history(ids: np.ndarray, pads: np.ndarray | None) -> np.ndarray:
    """The ids so far as processors take them: (B, n), -1 in place of the padding that each row begins with."""
    return ids if pads is None else np.where(np.arange(ids.shape[1]) < pads[:, None], -1, ids)
