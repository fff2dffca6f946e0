"""Other ways that are as right."""

import itertools
import math

import numpy as np

import minilm.functional as F
from minilm.course import variant

# ----------------------------------------------------------------------------------------------------------- L9.1


@variant("L9.1", "divided by the vector's length, times √D")
def rms_norm(x, weight, epsilon):
    D = x.shape[-1]
    return x * weight * math.sqrt(D) * (F.sum(x * x, -1, keepdims=True) + D * epsilon) ** -0.5


@variant("L9.1", "the square root by exp and log")
def rms_norm(x, weight, epsilon):
    square = F.mean(x * x, axis=-1, keepdims=True) + epsilon
    return x * F.exp(-0.5 * F.log(square)) * weight


@variant("L9.1", "with an inner product for the sum of squares")
def rms_norm(x, weight, epsilon):
    rows = x.reshape(-1, 1, x.shape[-1])
    square = (rows @ F.swapaxes(rows, -1, -2)).reshape(*x.shape[:-1], 1) / x.shape[-1]
    return weight * (x / F.sqrt(square + epsilon))


@variant("L9.1", "by the library")
def rms_norm(x, weight, epsilon):
    return F.rms_norm(x, weight, epsilon)


# ----------------------------------------------------------------------------------------------------------- L9.2


@variant("L9.2", "as x cos + (−b, a) sin")
def rotate(x, positions, theta):
    K = x.shape[-1]
    angle = np.tile(positions[:, None] * theta ** (-np.arange(0, K, 2) / K), 2)  # (T, K)
    turned = F.concatenate([-x[..., K // 2 :], x[..., : K // 2]], -1)
    return x * np.cos(angle) + turned * np.sin(angle)


@variant("L9.2", "a matrix for each position")
def rotate(x, positions, theta):
    K = x.shape[-1]
    rows = []
    for t, position in enumerate(positions):
        angle = position * theta ** (-np.arange(0, K, 2) / K)
        c, s = np.diag(np.cos(angle)), np.diag(np.sin(angle))
        rows.append(x[..., t, :] @ np.block([[c, s], [-s, c]]))
    return F.stack(rows, -2)


@variant("L9.2", "pair by pair")
def rotate(x, positions, theta):
    h = x.shape[-1] // 2
    first, second = [], []
    for i in range(h):
        angle = positions * math.exp(-math.log(theta) * i / h)
        a, b = x[..., i], x[..., i + h]
        first.append(a * np.cos(angle) - b * np.sin(angle))
        second.append(b * np.cos(angle) + a * np.sin(angle))
    return F.stack(first + second, -1)


@variant("L9.2", "by the library")
def rotate(x, positions, theta):
    K = x.shape[-1]
    angle = positions[:, None] * theta ** (-np.arange(0, K, 2) / K)
    return F.rotary(x, np.cos(angle), np.sin(angle))


# ----------------------------------------------------------------------------------------------------------- L9.3


@variant("L9.3", "by the library's silu")
def swiglu(x, w_gate, w_up, w_down):
    return (F.silu(x @ w_gate) * (x @ w_up)) @ w_down


@variant("L9.3", "both ways up in one product")
def swiglu(x, w_gate, w_up, w_down):
    width = w_gate.shape[1]
    both = x @ F.concatenate([w_gate, w_up], 1)
    gate, up = both[:, :width], both[:, width:]
    return (up * gate * F.sigmoid(gate)) @ w_down


@variant("L9.3", "sigmoid by tanh")
def swiglu(x, w_gate, w_up, w_down):
    gate = x @ w_gate
    return (0.5 * gate * (1 + F.tanh(gate / 2)) * (x @ w_up)) @ w_down


# ----------------------------------------------------------------------------------------------------------- L9.4


@variant("L9.4", "queries of a group side by side, nothing is repeated")
def grouped_attention(query, key, value):
    (H, T, K), G = query.shape, key.shape[0]
    query = query.reshape(G, H // G, T, K)
    scores = query @ F.swapaxes(F.expand_dims(key, 1), -1, -2) / math.sqrt(K)  # (G, n, T, T)
    weights = F.softmax(F.where(np.tri(T, dtype=bool), scores, -math.inf))
    return (weights @ F.expand_dims(value, 1)).reshape(H, T, K)


@variant("L9.4", "head by head")
def grouped_attention(query, key, value):
    n, T = query.shape[0] // key.shape[0], query.shape[1]
    heads = []
    for j in range(query.shape[0]):
        scores = query[j] @ key[j // n].T / math.sqrt(query.shape[-1])
        heads.append(F.softmax(F.where(np.tri(T, dtype=bool), scores, -math.inf)) @ value[j // n])
    return F.stack(heads)


@variant("L9.4", "by the library, keys and values repeated")
def grouped_attention(query, key, value):
    (H, T, K), G = query.shape, key.shape[0]
    key, value = (F.stack([a] * (H // G), 1).reshape(1, H, T, K) for a in (key, value))
    return F.attention(query.reshape(1, H, T, K), key, value, causal=True)[0]


# ----------------------------------------------------------------------------------------------------------- L9.5


@variant("L9.5", "the share of multi-head attention")
def cache_bytes(batch, tokens, layers, heads, kv_heads, width, number):
    return 2 * batch * tokens * layers * width * number * kv_heads // heads


@variant("L9.5", "array by array")
def cache_bytes(batch, tokens, layers, heads, kv_heads, width, number):
    shape = (batch, kv_heads, tokens, width // heads)
    return sum(math.prod(shape) * number for _ in range(layers) for _ in ("key", "value"))


@variant("L9.5", "by NumPy's own count")
def cache_bytes(batch, tokens, layers, heads, kv_heads, width, number):
    cache = np.zeros((2, layers, batch, kv_heads, tokens, width // heads), f"V{number}")
    return cache.nbytes


# ----------------------------------------------------------------------------------------------------------- L9.6


@variant("L9.6", "count the borders that are reached")
def relative_bucket(distance, both_ways, buckets, max_distance):
    n = buckets // 2 if both_ways else buckets
    side, d = (n, distance) if both_ways and distance > 0 else (0, max(-distance, 0))
    e = n // 2
    borders = [math.log(e) + k / e * math.log(max_distance / e) for k in range(1, e)]
    return side + (d if d < e else e + sum(math.log(d) >= border - 1e-12 for border in borders))


@variant("L9.6", "with arrays")
def relative_bucket(distance, both_ways, buckets, max_distance):
    n = buckets // 2 if both_ways else buckets
    e = n // 2
    d = np.abs(distance) if both_ways else np.maximum(-distance, 0)
    far = e + np.floor(e * np.log(np.maximum(d, e) / e) / np.log(max_distance / e))
    return int(np.where(d < e, d, np.minimum(far, n - 1)) + n * (both_ways and distance > 0))


@variant("L9.6", "one side at a time")
def relative_bucket(distance, both_ways, buckets, max_distance):
    if distance > 0:
        return buckets // 2 + relative_bucket(-distance, True, buckets, max_distance) if both_ways else 0
    n = buckets // 2 if both_ways else buckets
    e = n // 2
    if -distance < e:
        return -distance
    return min(n - 1, e + int(e * math.log(-distance / e, max_distance / e)))


# ----------------------------------------------------------------------------------------------------------- L9.7


@variant("L9.7", "token by token")
def corrupt(ids, spans, sentinels):
    shown, target = [], []
    for i, token in enumerate(ids):
        k = next((k for k, (start, end) in enumerate(spans) if start <= i < end), None)
        if k is None:
            shown.append(token)
            continue
        if spans[k][0] == i:
            shown.append(sentinels[k])
            target.append(sentinels[k])
        target.append(token)
    return shown, [*target, sentinels[len(spans)]]


@variant("L9.7", "from the right, in place")
def corrupt(ids, spans, sentinels):
    shown, target = list(ids), [sentinels[len(spans)]]
    for k in range(len(spans) - 1, -1, -1):
        start, end = spans[k]
        target[:0] = [sentinels[k], *ids[start:end]]
        shown[start:end] = [sentinels[k]]
    return shown, target


@variant("L9.7", "the target is what the same cuts leave of the complement")
def corrupt(ids, spans, sentinels):
    edges = [0, *itertools.chain(*spans), len(ids)]
    pieces = [ids[a:b] for a, b in itertools.pairwise(edges)]  # shown, cut, shown, …, shown
    shown, cut = pieces[::2], pieces[1::2]
    question = [*shown[0], *(t for s, piece in zip(sentinels, shown[1:], strict=False) for t in (s, *piece))]
    answer = [t for s, piece in zip(sentinels, cut, strict=False) for t in (s, *piece)]
    return question, [*answer, sentinels[len(cut)]]
