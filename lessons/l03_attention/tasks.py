"""The tasks of lesson 3, answered."""

import math

import numpy as np

import minilm.functional as F
from minilm.course import task


@task("L3.1", worked=True)
def soft_lookup(query, key, value, sharpness):
    """What each query reads from a dictionary of S entries: the mean of the values, each with the weight of its match.

    query: (T, K), key: (S, K), value: (S, C), sharpness: a number of at least 0 -> (T, C). The weights of query t are
    the softmax, over the S entries, of sharpness times the inner products q_t · k_s.
    """
    match = query @ key.T  # (T, S)
    weights = F.softmax(sharpness * match)  # (T, S)
    return weights @ value


@task("L3.2", points=1, keep=1)
def scores(query, key):
    """How well each query matches each key: score[t, s] = q_t · k_s / √K.

    query: (…, T, K), key: (…, S, K) -> (…, T, S). The axes before the last two are equal, and there may be none.
    """
    K = query.shape[-1]
    return query @ F.swapaxes(key, -1, -2) / math.sqrt(K)


@task("L3.3", points=3)
def attention_weights(scores, mask):
    """Row t holds the weights with which position t reads the S positions: the softmax over those that it may read.

    scores: (…, T, S), mask: booleans of the same shape, True where reading is allowed -> (…, T, S). A forbidden
    position has weight exactly 0, and its score, however large, changes no weight and gets the gradient 0. A row that
    may read nothing is all zeros, with gradients 0. Scores of any finite size are served, without overflow.
    """
    some = mask.any(axis=-1, keepdims=True)  # (…, T, 1)
    allowed = F.where(mask, scores, -math.inf)
    top = F.where(some, F.max(allowed, -1, keepdims=True), 0.0)
    e = F.exp(allowed - top)
    return e / F.where(some, F.sum(e, -1, keepdims=True), 1.0)


@task("L3.4", points=2)
def reading_mask(real):
    """Who may read whom in a GPT: position t reads position s if s ≤ t and s is a token of the text.

    real: booleans (B, T), False where a row was filled up with padding, on whichever side -> booleans (B, T, T), True
    at [b, t, s] where t may read s. A position of padding is a reader like any other: nobody uses what it reads.
    """
    T = real.shape[1]
    return real[:, None, :] & np.tri(T, dtype=bool)


@task("L3.6", points=3)
def multi_head(x, w_query, w_key, w_value, w_out, heads, mask):
    """Attention of a sequence to itself, in several heads, each with the scale of its own width.

    x: (T, D), the four matrices: (D, D), heads: H, which divides D, mask: booleans (T, T) -> (T, D). With K = D / H,
    head h has the queries (x w_query)[:, hK : (h+1)K], and keys and values in the same columns of x w_key and
    x w_value. What the heads read stands side by side in the same order, (T, D), and is multiplied by w_out.
    """
    T, D = x.shape

    def split(w):
        return (x @ w).reshape(T, heads, D // heads).transpose(1, 0, 2)  # (H, T, K)

    weights = attention_weights(scores(split(w_query), split(w_key)), np.broadcast_to(mask, (heads, T, T)))
    return (weights @ split(w_value)).transpose(1, 0, 2).reshape(T, D) @ w_out


@task("L3.8", points=2)
def sinusoids(length, width):
    """A vector for each position: sine and cosine of the position at width / 2 frequencies, in turn.

    length: T, width: D, which is even -> float64 (T, D). With ω_i = 10000^(−2i / D) for i = 0 … D/2 − 1, row t holds
    sin(t ω_i) in column 2i and cos(t ω_i) in column 2i + 1; positions are counted from 0.
    """
    frequency = 10000.0 ** (-np.arange(0, width, 2) / width)  # (D / 2,)
    angle = np.arange(length)[:, None] * frequency  # (T, D / 2)
    return np.stack([np.sin(angle), np.cos(angle)], axis=-1).reshape(length, width)


@task("L3.9", points=4)
def induction(ids, vocabulary, sharpness):
    """Two attentions in a row that guess the next token: what followed this token when it was here before?

    ids: integers (T,) below vocabulary V, sharpness: a number -> (T, V), row t a distribution over the next token. The
    first attention gives each position the token before it: t reads the one-hot vectors (V) of the positions s < t,
    with scores sharpness where s = t − 1 and 0 elsewhere; position 0 gets zeros. The second one reads the one-hot
    vectors of the positions s ≤ t; its scores are sharpness times the inner product of the query, the one-hot vector
    of token t, with the key, what the first gave position s.
    """
    T = len(ids)
    token = np.eye(vocabulary)[ids]  # (T, V)
    before = attention_weights(sharpness * np.eye(T, k=-1), np.tri(T, k=-1, dtype=bool)) @ token
    return attention_weights(sharpness * (token @ before.T), np.tri(T, dtype=bool)) @ token
