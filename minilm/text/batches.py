"""From documents to token ids, and from token ids to the batches that a step of training or evaluation reads."""

import math
from collections.abc import Iterable, Iterator

import numpy as np

from minilm.errors import ConfigError, DataError
from minilm.i18n import tr
from minilm.text.tokenizer import Tokenizer

Batch = dict[str, np.ndarray]
IGNORE = -100  # a target that is not scored
ORDER = 0x0BDE5  # the purpose, in the generator's key, of what a TokenBatches draws


def encode_documents(
    tokenizer: Tokenizer, documents: Iterable[str], separator: str | int | None = "\n\n"
) -> np.ndarray:
    """All documents as one array of ids (N,) int64, with `separator` between any two.

    `separator`: a text that is encoded, the id of a token (e.g. tokenizer.special_tokens["<|endoftext|>"]), or None.
    """
    documents = list(documents)
    between: list[int] = []
    if len(documents) < 2:
        separator = None  # a tokenizer need not know what is not used
    if isinstance(separator, str):
        between = tokenizer.encode(separator)
    elif separator is not None:
        between = tokenizer.checked([separator])
    parts: list[np.ndarray] = []
    for document in documents:
        if parts and between:
            parts.append(np.array(between, np.int64))
        parts.append(np.array(tokenizer.encode(document), np.int64))
    return np.concatenate(parts) if parts else np.empty(0, np.int64)


class TokenBatches:
    """Windows of `context` tokens and their next tokens, out of one long array of ids.

    A batch is {"ids": (B, T), "targets": (B, T)}, int64, read-only, with targets[b, t] the token after ids[b, t].
    """

    def __init__(self, tokens: np.ndarray, context: int, batch_size: int, seed: int = 0):
        """`tokens`: (N,) integers, N ≥ context + 1. DataError if there are fewer; ConfigError for the other numbers."""
        tokens = np.asarray(tokens)
        for name, value, least in (("context", context, 1), ("batch_size", batch_size, 1), ("seed", seed, 0)):
            if not isinstance(value, (int, np.integer)) or value < least:
                raise ConfigError(
                    tr("{name} must be an integer of at least {least}, not {got}", name=name, least=least, got=value)
                )
        if tokens.ndim != 1 or (tokens.size and tokens.dtype.kind not in "iu"):
            raise DataError(
                tr(
                    "tokens must be one row of integers, not {kind} of shape {shape}",
                    kind=tokens.dtype,
                    shape=tokens.shape,
                )
            )
        if len(tokens) < context + 1:
            raise DataError(
                tr(
                    "the text has {tokens} tokens but a context of {context} needs at least {least}; "
                    "give more text or a shorter context",
                    tokens=len(tokens),
                    context=context,
                    least=context + 1,
                )
            )
        self.tokens, self.context, self.batch_size, self.seed = tokens, int(context), int(batch_size), int(seed)
        # As many as fit after any offset in [0, T); the offset then moves within all that is spare.
        self.windows_per_epoch = max(1, (len(tokens) - self.context) // self.context)
        self._epochs: dict[int, np.ndarray] = {}

    @property
    def steps_per_epoch(self) -> float:
        """How many batches go once through the text."""
        return self.windows_per_epoch / self.batch_size

    @property
    def tokens_per_step(self) -> int:
        """B · T, the targets of one batch."""
        return self.batch_size * self.context

    def at(self, step: int) -> Batch:
        """The batch of a step ≥ 0, a pure function of (seed, step).

        Epoch e cuts the text, from a random offset, into windows that do not overlap, and puts them in a random order.
        All epochs have the same number of windows; the offset is drawn from all that leave room for them. Batch `step`
        takes windows step · B … step · B + B − 1 of that endless row, across the end of an epoch too.
        """
        if not isinstance(step, (int, np.integer)) or step < 0:
            raise ConfigError(tr("step must be an integer of at least 0, not {got}", got=step))
        numbers = int(step) * self.batch_size + np.arange(self.batch_size)
        epochs, places = np.divmod(numbers, self.windows_per_epoch)
        starts = np.array([self._starts(int(epoch))[place] for epoch, place in zip(epochs, places, strict=True)])
        span = self.tokens[starts[:, None] + np.arange(self.context + 1)].astype(np.int64)  # (B, T+1)
        return read_only(ids=span[:, :-1], targets=span[:, 1:])

    def _starts(self, epoch: int) -> np.ndarray:
        """Where the windows of an epoch begin, in the order in which they come."""
        starts = self._epochs.get(epoch)
        if starts is None:
            rng = np.random.default_rng([self.seed, ORDER, epoch])
            spare = len(self.tokens) - 1 - self.windows_per_epoch * self.context
            starts = rng.integers(spare + 1) + self.context * rng.permutation(self.windows_per_epoch)
            if len(self._epochs) >= 4:
                self._epochs.clear()
            self._epochs[epoch] = starts
        return starts

    def windows(self, stride: int | None = None) -> Iterator[Batch]:
        """Batches for evaluation, in which every token but the very first is a target exactly once.

        Windows begin every `stride` tokens (1 … T; T if None). Each scores only what no earlier one did, so that each
        target but the first window's has at least T − stride tokens before it; the other targets, and the padding (id
        0) of the last window, are −100. The last batch may have fewer rows.
        """
        stride = self.context if stride is None else stride
        if not isinstance(stride, (int, np.integer)) or not 1 <= stride <= self.context:
            raise ConfigError(
                tr("stride must be an integer from 1 to the context {context}, not {got}",
                   context=self.context, got=stride)
            )  # fmt: skip
        return self._windows(int(stride))

    def _windows(self, stride: int) -> Iterator[Batch]:
        last = len(self.tokens) - 1
        count = 1 + math.ceil((last - self.context) / stride)
        for first in range(0, count, self.batch_size):
            numbers = np.arange(first, min(first + self.batch_size, count))
            places = numbers[:, None] * stride + np.arange(self.context)  # (B, T)
            ids = np.where(places <= last, self.tokens[np.minimum(places, last)], 0).astype(np.int64)
            targets = self.tokens[np.minimum(places + 1, last)].astype(np.int64)
            new = (numbers[:, None] == 0) | (np.arange(self.context) >= self.context - stride)
            targets[~new | (places + 1 > last)] = IGNORE
            yield read_only(ids=ids, targets=targets)


def read_only(**arrays: np.ndarray) -> Batch:
    """A batch of these arrays, which nobody can change."""
    batch = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    for array in batch.values():
        array.flags.writeable = False
    return batch
