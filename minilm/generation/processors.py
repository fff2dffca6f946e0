"""What changes the scores z of the next token before it is chosen, one function each: (B, V) to (B, V), float64.

z are logits, or log-probabilities; the two differ by a constant of the row, which only `penalize_repetition` notices. A
token that may not be chosen gets z = -∞. `history`: the ids so far, integers (B, n), -1 where a row has padding.
"""

import math

import numpy as np


def penalize_repetition(z: np.ndarray, history: np.ndarray, penalty: float) -> np.ndarray:
    """z_i / penalty where z_i > 0, else z_i · penalty, for each i of the history, once however often it is there.

    Source: Keskar et al. 2019 (CTRL), section 4.1, who divide; a negative score is multiplied, as in transformers, so
    that a penalty above 1 never raises one.
    """
    penalized = np.where(z < 0, z * penalty, z / penalty)
    return np.where(_members(history, z.shape[1]), penalized, z)


def ban_repeated_ngrams(z: np.ndarray, history: np.ndarray, n: int) -> np.ndarray:
    """z_i = -∞ for each i with which the last n - 1 ids would make an n-gram that the history holds already.

    Source: Paulus et al. 2017, section 2.5 (there trigrams).
    """
    length = history.shape[1]
    if length < n:
        return z
    ngrams = np.lib.stride_tricks.sliding_window_view(history, n, axis=1)  # (B, length - n + 1, n)
    begun = (ngrams[:, :, :-1] == history[:, None, length - n + 1 :]).all(axis=2)
    return np.where(_members(np.where(begun, ngrams[:, :, -1], -1), z.shape[1]), -math.inf, z)


def ban(z: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """z_i = -∞ for each i of ids (n,), in every row."""
    return np.where(_members(ids[None], z.shape[1]), -math.inf, z)


def scale(z: np.ndarray, temperature: float) -> np.ndarray:
    """(z - max z) / temperature: p ∝ p^(1/temperature), sharper below 1, flatter above (Ackley et al. 1985)."""
    with np.errstate(over="ignore"):  # a tiny temperature sends all but the largest to -∞, as it should
        return (z - z.max(axis=1, keepdims=True)) / temperature


def keep_top_k(z: np.ndarray, k: int) -> np.ndarray:
    """The k largest z_i (Fan et al. 2018, section 5.4); of equal ones at the border, those of lower id.

    transformers keeps all that equal the k-th, so that more than k may remain.
    """
    return np.where(largest(z, k), z, -math.inf) if k < z.shape[1] else z


def keep_top_p(z: np.ndarray, mass: float) -> np.ndarray:
    """The most probable tokens before which lies less than `mass`: the one that crosses it stays.

    Source: nucleus sampling, Holtzman et al. 2020, section 3.1. Of equal ones at the border, those of lower id.
    """
    if mass == 1:
        return z
    p = softmax(z)
    order = np.argsort(-p, axis=1, kind="stable")
    ordered = np.take_along_axis(p, order, axis=1)
    before = np.cumsum(ordered, axis=1) - ordered
    chosen = np.empty(p.shape, bool)
    np.put_along_axis(chosen, order, before < mass, axis=1)
    return np.where(chosen, z, -math.inf)


def keep_min_p(z: np.ndarray, share: float) -> np.ndarray:
    """Tokens with p_i ≥ share · max p, that is z_i ≥ max z + log share (Nguyen et al. 2024, section 3)."""
    if share == 0:
        return z
    return np.where(z >= z.max(axis=1, keepdims=True) + math.log(share), z, -math.inf)


# --------------------------------------------------------------------------------------------------------- helpers


def softmax(z: np.ndarray) -> np.ndarray:
    """p_i = exp(z_i) / Σ_j exp(z_j) of each row, one of whose entries at least is finite."""
    p = np.exp(z - z.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    return p


def log_softmax(z: np.ndarray) -> np.ndarray:
    """log softmax(z), each row: z - log Σ_j exp(z_j)."""
    z = z - z.max(axis=1, keepdims=True)
    return z - np.log(np.exp(z).sum(axis=1, keepdims=True))


def largest(z: np.ndarray, k: int) -> np.ndarray:
    """True at the k largest entries of each row (B, V), those of lower index first among equals."""
    border = np.partition(z, -k, axis=1)[:, -k, None]  # (B, 1), the k-th largest
    above, at = z > border, z == border
    spare = k - above.sum(axis=1, keepdims=True)
    return above | (at & (np.cumsum(at, axis=1) <= spare))


def _members(ids: np.ndarray, size: int) -> np.ndarray:
    """True at [b, i] where row b of ids (B, n) holds i: (B, size)."""
    found = np.zeros((len(ids), size + 1), bool)  # a spare column takes the ids -1
    np.put_along_axis(found, ids, True, axis=1)
    return found[:, :-1]
