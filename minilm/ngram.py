"""N-gram models: what counting alone can predict, in the same unit as a network's loss.

Interpolated, modified Kneser-Ney smoothing: Kneser and Ney 1995; Chen and Goodman 1999, "An empirical study of
smoothing techniques for language modeling", sections 2.7 and 3.
"""

from collections.abc import Iterable
from typing import NamedTuple, Self

import numpy as np

from minilm.errors import ConfigError, DataError
from minilm.i18n import tr
from minilm.text.units import bits_per_byte


class Order(NamedTuple):
    """The counts of all n-grams of one length m + 1: a context of m tokens, as a number, and the token after it."""

    contexts: np.ndarray  # sorted keys (number of the context's last m − 1 tokens) · V + the token before them
    grams: np.ndarray  # sorted keys (number of the context) · V + token
    kept: np.ndarray  # (c − D(c)) / Σ c of each n-gram
    reserve: np.ndarray  # γ of each context: the mass that its discounts leave to the lower order; 1 without a count


class KneserNey:
    """p_k(w | h) = max(c(h w) − D(c), 0) / Σ_v c(h v) + γ(h) · p_{k−1}(w | h less its first token), p_0 = 1 / V.

    c counts occurrences at the highest order, and at lower ones the distinct tokens that stand before h w (its
    continuation count). D(1), D(2), D(3 or more) are estimated per order, and γ(h) makes the sum over w equal 1.
    """

    def __init__(self, order: int):
        """`order` n ≥ 1: the n − 1 tokens before are the context."""
        if not isinstance(order, (int, np.integer)) or order < 1:
            raise ConfigError(tr("the order of an n-gram model must be an integer of at least 1, not {got}", got=order))
        self.order = int(order)
        self.vocab_size = 0
        self.discounts: list[tuple[float, float, float]] = []
        self._orders: list[Order] = []

    def fit(self, ids: np.ndarray, vocab_size: int) -> Self:
        """Count the n-grams of `ids` (N,), integers in [0, V); N ≥ n. DataError otherwise. O(n N log N), no hashing.

        A context's number is found from its tokens outwards, the last one first: number of (v, h) = place of
        number(h) · V + v among all such keys. Equal numbers are equal contexts; nothing can collide.
        """
        ids = _checked(ids, vocab_size)
        if len(ids) < self.order:
            raise DataError(
                tr(
                    "the text has {tokens} tokens, too few to count {order}-grams; give more text or a lower order",
                    tokens=len(ids),
                    order=self.order,
                )
            )
        self.vocab_size = V = int(vocab_size)
        number = np.zeros(len(ids), np.int64)  # of the context before each token, of the length reached so far
        keys = [np.zeros(1, np.int64)]
        for m in range(1, self.order):
            unique, inverse = np.unique(number[1:] * V + ids[: len(ids) - m], return_inverse=True)
            keys.append(unique)
            number = inverse.astype(np.int64)
        grams, counts = np.unique(number * V + ids[self.order - 1 :], return_counts=True)
        self._orders, self.discounts = [], []
        for m in reversed(range(self.order)):
            level, discounts = _level(keys[m], grams, counts, V)
            self._orders.insert(0, level)
            self.discounts.insert(0, discounts)
            if m:  # one lower: each distinct n-gram counts once for what it ends in
                shorter = keys[m][grams // V] // V * V + grams % V
                grams, counts = np.unique(shorter, return_counts=True)
        return self

    def log_probabilities(self, ids: np.ndarray) -> np.ndarray:
        """ln p(ids[i] | the up to n − 1 tokens before it in `ids`), nats, (N,) float64; never −∞."""
        V = self._fitted()
        ids = _checked(ids, V)
        p = np.full(len(ids), 1.0 / V)
        number = np.zeros(len(ids), np.int64)
        known = np.ones(len(ids), bool)  # whether the context occurs in the text that was counted
        for m, level in enumerate(self._orders[: len(ids)]):
            if m:
                number[m:], found = _find(level.contexts, number[m:] * V + ids[: len(ids) - m])
                known[m:] &= found
                known[:m] = False
            here = np.flatnonzero(known)
            place, found = _find(level.grams, number[here] * V + ids[here])
            p[here] = np.where(found, level.kept[place], 0.0) + level.reserve[number[here]] * p[here]
        return np.log(p)

    def distribution(self, context: Iterable[int]) -> np.ndarray:
        """p(· | context) over all tokens, (V,) float64, by the last n − 1 tokens of `context`; sums to 1."""
        V = self._fitted()
        context = _checked(np.array(list(context), np.int64), V)
        p = np.full(V, 1.0 / V)
        number = np.zeros(1, np.int64)
        for m, level in enumerate(self._orders[: len(context) + 1]):
            if m:
                number, found = _find(level.contexts, number * V + context[-m])
                if not found[0]:
                    break
            first, last = np.searchsorted(level.grams, [number[0] * V, (number[0] + 1) * V])
            p *= level.reserve[number[0]]
            p[level.grams[first:last] - number[0] * V] += level.kept[first:last]
        return p

    def _fitted(self) -> int:
        if not self._orders:
            raise DataError(tr("this n-gram model has counted nothing yet; call fit(ids, vocab_size) first"))
        return self.vocab_size


class Rung(NamedTuple):
    """One line of the ladder."""

    order: int
    nats_per_token: float
    bits_per_byte: float


def ladder(
    train: np.ndarray, valid: np.ndarray, *, vocab_size: int, valid_bytes: int, orders: Iterable[int] = range(1, 7)
) -> list[Rung]:
    """For each order, the mean −ln p of the tokens of `valid` under the model counted on `train`.

    `train`, `valid`: ids (N,) of any tokenizer. `valid_bytes`: the UTF-8 bytes of the text that `valid` encodes; with
    bytes as tokens, len(valid).
    """
    if len(valid) == 0:
        raise DataError(tr("the validation text is empty; give more text"))
    rungs = []
    for order in orders:
        nats = -float(KneserNey(order).fit(train, vocab_size).log_probabilities(valid).mean())
        rungs.append(Rung(order, nats, bits_per_byte(nats, len(valid), valid_bytes)))
    return rungs


def estimate_discounts(counts: np.ndarray) -> tuple[float, float, float]:
    """D(1), D(2), D(3+): with Y = n1 / (n1 + 2 n2), D(c) = c − (c + 1) Y n_{c+1} / n_c; n_c n-grams have count c.

    Chen and Goodman 1999, equation 26. Where the text is too small for an estimate (an n_c is 0, or D(c) leaves
    (0, c)), D(c) is Y, and Y is 1/2: some mass must always be left for what was never seen.
    """
    n = np.bincount(np.minimum(counts, 5), minlength=6).astype(float)
    y = n[1] / (n[1] + 2 * n[2]) if n[1] and n[2] else 0.5

    def discount(c: int) -> float:
        if not (n[c] and n[c + 1]):
            return y
        value = c - (c + 1) * y * n[c + 1] / n[c]
        return value if 0 < value < c else y

    return discount(1), discount(2), discount(3)


def _level(
    contexts: np.ndarray, grams: np.ndarray, counts: np.ndarray, vocab_size: int
) -> tuple[Order, tuple[float, float, float]]:
    discounts = estimate_discounts(counts)
    context = grams // vocab_size
    discount = np.array([0.0, *discounts])[np.minimum(counts, 3)]
    total = np.bincount(context, counts, minlength=len(contexts))
    left = np.bincount(context, discount, minlength=len(contexts))
    # A context that only begins the text has no continuation count: all its mass is the lower order's.
    reserve = np.divide(left, total, out=np.ones(len(contexts)), where=total > 0)
    return Order(contexts, grams, (counts - discount) / total[context], reserve), discounts


def _find(keys: np.ndarray, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The place of each wanted key among the sorted `keys`, and whether it is there at all."""
    place = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return place, keys[place] == wanted


def _checked(ids: np.ndarray, vocab_size: int) -> np.ndarray:
    ids = np.asarray(ids)
    if ids.ndim != 1 or (ids.size and ids.dtype.kind not in "iu"):
        raise DataError(
            tr("token ids must be one row of integers, not {kind} of shape {shape}", kind=ids.dtype, shape=ids.shape)
        )
    if ids.size and (ids.min() < 0 or ids.max() >= vocab_size):
        raise DataError(
            tr(
                "token ids run from {least} to {most}, outside the vocabulary's 0 … {last}; "
                "use the tokenizer's own size",
                least=ids.min(),
                most=ids.max(),
                last=vocab_size - 1,
            )
        )
    return ids.astype(np.int64)
