"""Other ways that are as right."""

import math

import numpy as np

import minilm.functional as F
from minilm.course import variant

from .tasks import attention_weights as weights_of
from .tasks import scores as scores_of

# ----------------------------------------------------------------------------------------------------------------- L3.1


@variant("L3.1", "query by query")
def soft_lookup(query, key, value, sharpness):
    rows = []
    for t in range(query.shape[0]):
        weight = F.softmax(sharpness * (key @ query[t]))  # (S,)
        rows.append(weight @ value)
    return F.stack(rows)


@variant("L3.1", "by the logarithm of the sum of exponentials")
def soft_lookup(query, key, value, sharpness):
    match = sharpness * (query @ key.T)
    return F.exp(match - F.logsumexp(match, -1, keepdims=True)) @ value


@variant("L3.1", "the query is sharpened, the mean divided last")
def soft_lookup(query, key, value, sharpness):
    match = (sharpness * query) @ key.T
    e = F.exp(match - F.max(match, -1, keepdims=True))
    return (e @ value) / F.sum(e, -1, keepdims=True)


@variant("L3.1", "by the library's attention")
def soft_lookup(query, key, value, sharpness):
    q, k, v = (x.reshape(1, 1, *x.shape) for x in (query, key, value))
    return F.attention(q, k, v, scale=sharpness)[0, 0]


# ----------------------------------------------------------------------------------------------------------------- L3.2


@variant("L3.2", "the query is scaled first")
def scores(query, key):
    return (query * query.shape[-1] ** -0.5) @ F.swapaxes(key, -1, -2)


@variant("L3.2", "half of the scale on either side")
def scores(query, key):
    half = query.shape[-1] ** 0.25
    return (query / half) @ F.swapaxes(key / half, -1, -2)


@variant("L3.2", "products summed over the last axis")
def scores(query, key):
    products = F.expand_dims(query, -2) * F.expand_dims(key, -3)  # (…, T, S, K)
    return F.sum(products, -1) / math.sqrt(query.shape[-1])


@variant("L3.2", "the mean of the products, times √K")
def scores(query, key):
    products = F.expand_dims(query, -2) * F.expand_dims(key, -3)
    return F.mean(products, -1) * math.sqrt(key.shape[-1])


# ----------------------------------------------------------------------------------------------------------------- L3.3


@variant("L3.3", "the softmax of what may be read, rows with nothing set to 0 before and after")
def attention_weights(scores, mask):
    some = mask.any(-1, keepdims=True)
    safe = F.where(mask, scores, F.where(some, -math.inf, 0.0))
    return F.where(some, F.softmax(safe), 0.0)


@variant("L3.3", "exponentials of differences, row by row")
def attention_weights(scores, mask):
    flat, allowed = scores.reshape(-1, scores.shape[-1]), mask.reshape(-1, mask.shape[-1])
    rows = []
    for t in range(flat.shape[0]):
        weights = [0.0 * F.sum(flat[t] * allowed[t])] * allowed.shape[1]
        for s in np.flatnonzero(allowed[t]):
            weights[s] = 1 / F.sum(F.exp(flat[t][np.flatnonzero(allowed[t])] - flat[t, s]))
        rows.append(F.stack(weights))
    return F.stack(rows).reshape(scores.shape)


@variant("L3.3", "by the logarithm of the sum of exponentials")
def attention_weights(scores, mask):
    some = mask.any(-1, keepdims=True)
    allowed = F.where(some, F.where(mask, scores, -math.inf), 0.0)
    return F.exp(allowed - F.logsumexp(allowed, -1, keepdims=True)) * mask


@variant("L3.3", "by the library: keys and values that are unit vectors")
def attention_weights(scores, mask):
    T, S = scores.shape[-2:]
    units = np.broadcast_to(np.eye(S), (scores.size // (T * S), 1, S, S))
    q, may = scores.reshape(-1, 1, T, S), mask.reshape(-1, 1, T, S)
    return F.attention(q, units, units, mask=may, scale=1.0).reshape(scores.shape)


# ----------------------------------------------------------------------------------------------------------------- L3.4


@variant("L3.4", "position numbers compared")
def reading_mask(real):
    at = np.arange(real.shape[1])
    return (at[None, :, None] >= at[None, None, :]) & real[:, None, :]


@variant("L3.4", "the lower triangle of the padding mask")
def reading_mask(real):
    return np.tril(np.repeat(real[:, None, :], real.shape[1], axis=1))


@variant("L3.4", "entry by entry")
def reading_mask(real):
    B, T = real.shape
    may = np.zeros((B, T, T), bool)
    for b in range(B):
        for s in np.flatnonzero(real[b]):
            may[b, s:, s] = True
    return may


@variant("L3.4", "nothing that is after, nothing that is padding")
def reading_mask(real):
    after = np.triu(np.ones((real.shape[1], real.shape[1]), bool), k=1)
    return ~(after[None] | ~real[:, None, :])


# ----------------------------------------------------------------------------------------------------------------- L3.6


@variant("L3.6", "head after head, side by side")
def multi_head(x, w_query, w_key, w_value, w_out, heads, mask):
    K = x.shape[1] // heads
    outputs = []
    for h in range(heads):
        own = slice(h * K, (h + 1) * K)
        weights = weights_of(scores_of(x @ w_query[:, own], x @ w_key[:, own]), mask)
        outputs.append(weights @ (x @ w_value[:, own]))
    return F.concatenate(outputs, axis=-1) @ w_out


@variant("L3.6", "a sum over the heads")
def multi_head(x, w_query, w_key, w_value, w_out, heads, mask):
    total = 0.0
    for columns in np.split(np.arange(x.shape[1]), heads):
        q, k, v = ((x @ w)[:, columns] for w in (w_query, w_key, w_value))
        total = total + weights_of(scores_of(q, k), mask) @ (v @ w_out[columns])
    return total


@variant("L3.6", "by einsum")
def multi_head(x, w_query, w_key, w_value, w_out, heads, mask):
    T, D = x.shape
    q, k, v = ((x @ w).reshape(T, heads, D // heads) for w in (w_query, w_key, w_value))
    score = F.einsum("thk,shk->hts", q, k) / math.sqrt(D // heads)
    weights = weights_of(score, np.broadcast_to(mask, score.shape))
    return F.einsum("hts,shk->thk", weights, v).reshape(T, D) @ w_out


@variant("L3.6", "by the library, queries, keys and values packed")
def multi_head(x, w_query, w_key, w_value, w_out, heads, mask):
    packed = x @ F.concatenate([w_query, w_key, w_value], axis=-1)  # (T, 3D)
    return F.self_attention(packed.reshape(1, *packed.shape), heads, mask=mask)[0] @ w_out


# ----------------------------------------------------------------------------------------------------------------- L3.8


@variant("L3.8", "number by number")
def sinusoids(length, width):
    table = np.zeros((length, width))
    for t in range(length):
        for column in range(width):
            angle = t * 10000 ** (-(column - column % 2) / width)
            table[t, column] = math.cos(angle) if column % 2 else math.sin(angle)
    return table


@variant("L3.8", "columns filled by steps of two")
def sinusoids(length, width):
    angle = np.outer(np.arange(length), np.exp(-np.arange(0, width, 2) * math.log(10000) / width))
    table = np.empty((length, width))
    table[:, 0::2], table[:, 1::2] = np.sin(angle), np.cos(angle)
    return table


@variant("L3.8", "powers of a complex number")
def sinusoids(length, width):
    wave = np.exp(1j * np.arange(length)[:, None] * 10000.0 ** (-np.arange(0, width, 2) / width))
    return np.stack([wave.imag, wave.real], -1).reshape(length, width)


@variant("L3.8", "a cosine is a sine a quarter turn ahead")
def sinusoids(length, width):
    column = np.arange(width)
    frequency = 10000.0 ** (-2 * (column // 2) / width)
    return np.sin(np.arange(length)[:, None] * frequency + (column % 2) * math.pi / 2)


# ----------------------------------------------------------------------------------------------------------------- L3.9


@variant("L3.9", "by the library's attention, twice")
def induction(ids, vocabulary, sharpness):
    T = len(ids)
    token = np.eye(vocabulary)[ids][None, None]  # (1, 1, T, V)
    place = np.eye(T)[None, None]
    one_before = np.eye(T, k=-1)[None, None]
    before = F.attention(one_before, place, token, np.tri(T, k=-1, dtype=bool), scale=sharpness)
    return F.attention(token, before, token, causal=True, scale=sharpness)[0, 0]


@variant("L3.9", "sums of exponentials, position by position")
def induction(ids, vocabulary, sharpness):
    T = len(ids)
    before, predicted = np.zeros((T, vocabulary)), np.zeros((T, vocabulary))
    for t in range(T):
        weight = np.exp(sharpness * (np.arange(t) == t - 1.0))
        np.add.at(before[t], ids[:t], weight / max(weight.sum(), 1.0))
        match = np.exp(sharpness * before[: t + 1, ids[t]])
        np.add.at(predicted[t], ids[: t + 1], match / match.sum())
    return predicted


@variant("L3.9", "the first attention in closed form")
def induction(ids, vocabulary, sharpness):
    token = np.eye(vocabulary)[ids]
    T, gain = len(ids), math.exp(sharpness)
    earlier = np.cumsum(token, 0) - token  # how often each token stands before t
    last = np.vstack([np.zeros((1, vocabulary)), token[:-1]])
    count = np.arange(T)[:, None]
    before = (earlier + (gain - 1) * last) / np.where(count > 0, count + gain - 1, 1)
    return weights_of(sharpness * (token @ before.T), np.tri(T, dtype=bool)) @ token
