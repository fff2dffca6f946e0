"""A model that reads ever longer ids: its cache of keys and values, its window on a long text, rows that are padded.

Where the text outgrows the model's context, the model reads a window of it. The window begins at a multiple of half
the context, as a function of the length alone, so that it is the same with the cache and without; the cache is filled
anew only when the window moves, once in half a context. In a batch of prompts padded on the left, each row has the
window, and the positions, that it would have alone; a row reads nothing before its own window.
"""

from typing import Any, NamedTuple, Protocol

import numpy as np

from minilm import backend
from minilm.autograd import value
from minilm.backend import xp
from minilm.errors import DataError
from minilm.i18n import tr
from minilm.models.checks import checked_mask


class Reader(Protocol):
    """Asks a model for the logits that follow ever longer ids, one row for each sequence."""

    def logits(self, ids: np.ndarray) -> Any:
        """Of the token after ids (B, n): (B, V). From call to call, ids only grow."""
        ...

    def reorder(self, rows: np.ndarray) -> None:
        """Row i goes on from what was row rows[i], one of the same prompt."""
        ...


class Opening(NamedTuple):
    """A reader, and the ids (B·W, T) that it begins with: each of B prompts W times."""

    reader: Reader
    ids: np.ndarray
    pads: np.ndarray | None  # (B·W,), how much padding each row begins with; None: no row has any


def open_prompts(model: Any, ids: np.ndarray, attention_mask: Any, cached: bool, copies: int) -> Opening:
    """Begin to read prompts ids (B, T), each `copies` times. attention_mask: (B, T), or None.

    An encoder-decoder, a model with `encode` and `decode`, reads them whole and begins to write at its start token.
    Another one goes on where they end, so that padding must stand before them. Errors: ShapeError, DTypeError,
    DataError.
    """
    mask = None
    if attention_mask is not None:
        mask = checked_mask(np.atleast_2d(backend.to_numpy(value(attention_mask))), (ids.shape[0], ids.shape[1]))
    if hasattr(model, "encode") and hasattr(model, "decode"):
        start = np.full((len(ids) * copies, 1), model.config.start_id, ids.dtype)
        return Opening(EncoderDecoderReader(model, ids, mask, cached, copies), start, None)
    ids = np.repeat(ids, copies, axis=0)  # (B·W, T)
    pads = None if mask is None or mask.all() else np.repeat(_padding(mask), copies)
    return Opening(DecoderReader(model, len(ids), cached, pads), ids, pads)


def _padding(real: np.ndarray) -> np.ndarray:
    """How much padding each row begins with: (B, T) to (B,)."""
    if (empty := np.flatnonzero(~real.any(axis=1))).size:
        raise DataError(tr("attention_mask: row {row} has no token; leave empty prompts out", row=int(empty[0])))
    pads = real.argmax(axis=1)  # where the first real token is
    if (wrong := np.flatnonzero(pads + real.sum(axis=1) != real.shape[1])).size:
        raise DataError(
            tr(
                "attention_mask: row {row} has padding after a token; it must stand on the left, before the prompt",
                row=int(wrong[0]),
            )
        )
    return pads


class DecoderReader:
    """Reads with a decoder-only model, such as GPT or Llama. pads: (B,), how much padding each row begins with."""

    def __init__(self, model: Any, batch: int, cached: bool, pads: np.ndarray | None = None):
        self.model = reading_copy(model)
        self.cache = model.new_cache(batch) if cached else None
        self.pads = pads
        self.start = 0  # the first column that the cache holds

    def logits(self, ids: np.ndarray) -> Any:
        start, mask = self._window(ids.shape[1])
        if self.cache is not None and start != self.start:  # a window that moves was full, so none began before it
            self.cache.clear()
        self.start = start
        held = self.cache.length if self.cache is not None else 0
        hidden = self.model.hidden(ids[:, start + held :], mask, self.cache)  # (B, t, D), t the ids not yet read
        return self.model.logits(hidden[:, -1])  # (B, V)

    def reorder(self, rows: np.ndarray) -> None:
        if self.cache is not None:
            self.cache.reorder(rows)

    def _window(self, length: int) -> tuple[int, np.ndarray | None]:
        """The first column that any row of `length` columns reads, and from there on the attention mask (B, S)."""
        context = self.model.config.context
        if self.pads is None:
            return window_start(length, context), None
        begins = [pad + window_start(length - pad, context) for pad in self.pads.tolist()]
        start = min(begins)
        return start, np.arange(start, length) >= np.reshape(begins, (-1, 1))  # (B, S)


class EncoderDecoderReader:
    """Reads with a model that has an encoder, such as T5: the prompts once and whole, then what the decoder wrote."""

    def __init__(self, model: Any, ids: np.ndarray, mask: np.ndarray | None, cached: bool, copies: int):
        self.model = reading_copy(model)
        rows = np.repeat(np.arange(len(ids)), copies)  # (B·W,)
        self.memory = self.model.encode(ids, mask)[xp.asarray(rows)]  # (B·W, S, D)
        self.mask = None if mask is None else mask[rows]  # (B·W, S)
        self.cache = model.new_cache(len(self.memory)) if cached else None

    def logits(self, ids: np.ndarray) -> Any:
        held = self.cache.length if self.cache is not None else 0
        hidden = self.model.decode(ids[:, held:], self.memory, self.mask, cache=self.cache)  # (B, t, D)
        return self.model.logits(hidden[:, -1])  # (B, V)

    def reorder(self, rows: np.ndarray) -> None:
        if self.cache is not None:
            self.cache.reorder(rows)


def reading_copy(model: Any) -> Any:
    """The same model in evaluation mode, its arrays bare and shared; the model itself stays in its mode.

    A head that is the token embedding (V, D) is a copy laid out by columns: the product of one row with its transpose
    then reads memory in order, up to twice as fast, which for a large vocabulary is a quarter of a token's time.
    """
    copy = model.bare().eval()
    embedding = getattr(copy, "token_embedding", None)
    if embedding is not None and copy.config.tied and backend.is_numpy():
        embedding.weight = np.asfortranarray(embedding.weight)
    return copy


def window_start(length: int, context: int) -> int:
    """Where the window that a model reads of `length` tokens begins: the least multiple of context/2 that fits."""
    hop = max(1, context // 2)
    return -(-max(0, length - context) // hop) * hop


def history(ids: np.ndarray, pads: np.ndarray | None) -> np.ndarray:
    """The ids so far as processors take them: (B, n), -1 in place of the padding that each row begins with."""
    return ids if pads is None else np.where(np.arange(ids.shape[1]) < pads[:, None], -1, ids)
