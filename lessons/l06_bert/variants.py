"""Other right answers."""

import math
import re

import numpy as np

import minilm.functional as F
from minilm.course import variant


def normal(x, scale, shift):
    """Layer norm, written out."""
    gap = x - F.mean(x, -1, True)
    return gap / F.sqrt(F.mean(gap * gap, -1, True) + 1e-12) * scale + shift


@variant("L6.1", "by attention for one head, norms written out")
def encoder_block(x, real, weights):
    w = weights
    q, k, v = ((x @ w[name])[None, None] for name in ("query", "key", "value"))
    x = normal(
        x + F.attention(q, k, v, np.broadcast_to(real, (len(real),) * 2))[0, 0] @ w["output"], w["scale1"], w["shift1"]
    )
    h = x @ w["up"]
    return normal(x + (h * (F.erf(h / math.sqrt(2)) + 1) / 2) @ w["down"], w["scale2"], w["shift2"])


@variant("L6.1", "only the real positions as keys, weights by exp")
def encoder_block(x, real, weights):
    w, places = weights, np.flatnonzero(real)
    e = F.exp((x @ w["query"]) @ (x[places] @ w["key"]).T / math.sqrt(x.shape[-1]))
    read = (e / F.sum(e, -1, True)) @ x[places] @ w["value"] @ w["output"]
    x = normal(x + read, w["scale1"], w["shift1"])
    return normal(x + F.gelu(x @ w["up"], "none") @ w["down"], w["scale2"], w["shift2"])


@variant("L6.1", "position by position")
def encoder_block(x, real, weights):
    w, T, rows = weights, len(real), []
    for t in range(T):
        scores = F.stack([F.sum((x[t] @ w["query"]) * (x[s] @ w["key"])) for s in range(T) if real[s]])
        p = F.softmax(scores / math.sqrt(x.shape[-1]))
        read = sum(p[i] * (x[s] @ w["value"]) for i, s in enumerate(np.flatnonzero(real)))
        h = F.layer_norm(x[t] + read @ w["output"], w["scale1"], w["shift1"], 1e-12)
        rows.append(F.layer_norm(h + F.gelu(h @ w["up"], "none") @ w["down"], w["scale2"], w["shift2"], 1e-12))
    return F.stack(rows)


@variant("L6.4", "one-hot rows times tables")
def embed(ids, segments, token, segment, position, scale, shift):
    T = len(ids)
    x = np.eye(token.shape[0])[ids] @ token + np.eye(2)[segments] @ segment + np.eye(T, position.shape[0]) @ position
    return normal(x, scale, shift)


@variant("L6.4", "position by position")
def embed(ids, segments, token, segment, position, scale, shift):
    rows = [token[int(i)] + segment[int(s)] + position[t] for t, (i, s) in enumerate(zip(ids, segments, strict=True))]
    return normal(F.stack(rows), scale, shift)


@variant("L6.4", "segment 0 for all, and the difference where it is 1")
def embed(ids, segments, token, segment, position, scale, shift):
    places = np.arange(len(ids))
    x = position[places] + segment[0] + segments[:, None] * (segment[1] - segment[0])
    return F.layer_norm(x + token[ids], scale, shift, 1e-12)


@variant("L6.5", "kept lengths by formula")
def pair_input(a, b, length, special):
    room = length - 3
    kept_a = len(a) if len(a) + len(b) <= room else min(len(a), max(room - len(b), (room + 1) // 2))
    a, b = a[:kept_a], b[: min(len(b), room - kept_a)]
    real = len(a) + len(b) + 3
    ids = [special["cls"], *a, special["sep"], *b, special["sep"], *([special["pad"]] * (length - real))]
    return ids, [int(len(a) + 2 <= t < real) for t in range(length)], [t < real for t in range(length)]


@variant("L6.5", "into a row of padding")
def pair_input(a, b, length, special):
    n, m = len(a), len(b)
    for _ in range(max(0, n + m + 3 - length)):
        n, m = (n - 1, m) if n > m else (n, m - 1)
    ids, segments = np.full(length, special["pad"]), np.zeros(length, int)
    ids[0], ids[n + 1], ids[n + m + 2] = special["cls"], special["sep"], special["sep"]
    ids[1 : n + 1], ids[n + 2 : n + m + 2], segments[n + 2 : n + m + 3] = a[:n], b[:m], 1
    return ids.tolist(), segments.tolist(), (np.arange(length) < n + m + 3).tolist()


@variant("L6.5", "segments counted by the [SEP] that stand before")
def pair_input(a, b, length, special):
    a, b = a[:], b[:]
    while len(a) + len(b) > length - 3:
        del (b if len(b) >= len(a) else a)[-1]
    ids, segments, seen = [special["cls"], *a, special["sep"], *b, special["sep"]], [], 0
    for token in ids:
        segments.append(seen)
        seen = 1 if token == special["sep"] else seen
    fill = length - len(ids)
    return ids + fill * [special["pad"]], segments + fill * [0], [True] * len(ids) + [False] * fill


@variant("L6.6", "by a linear layer")
def pooled(hidden, weight, bias):
    return F.tanh(F.linear(hidden[:, 0, :], weight, bias))


@variant("L6.6", "row by row, tanh by exponentials")
def pooled(hidden, weight, bias):
    rows = [hidden[b, 0] @ weight + bias for b in range(hidden.shape[0])]
    return F.stack([1 - 2 / (F.exp(2 * row) + 1) for row in rows])


@variant("L6.6", "of all positions, then the first")
def pooled(hidden, weight, bias):
    return F.tanh(hidden @ weight + bias)[:, 0]


@variant("L6.7", "by recursion")
def wordpiece(word, vocabulary):
    def rest(start, prefix):
        for end in range(len(word), start, -1):
            if prefix + word[start:end] in vocabulary:
                following = rest(end, "##") if end < len(word) else []
                return following if following == ["[UNK]"] else [prefix + word[start:end], *following]
        return ["[UNK]"]

    return rest(0, "")


@variant("L6.7", "by the longest match of a pattern")
def wordpiece(word, vocabulary):
    pieces, rest = [], word
    while rest:
        fitting = [
            p for p in vocabulary if p.startswith("##") == bool(pieces) and rest.startswith(p.removeprefix("##"))
        ]
        if not fitting:
            return ["[UNK]"]
        pieces.append(max(fitting, key=len))
        rest = re.sub("^" + re.escape(pieces[-1].removeprefix("##")), "", rest)
    return pieces


@variant("L6.7", "over the candidates from the longest on")
def wordpiece(word, vocabulary):
    found, known, start = [], set(vocabulary), 0
    while start < len(word):
        ends = [e for e in range(start + 1, len(word) + 1) if "##" * bool(start) + word[start:e] in known]
        if not ends:
            return ["[UNK]"]
        found.append("##" * bool(start) + word[start : ends[-1]])
        start = ends[-1]
    return found


@variant("L6.8", "layer by layer")
def parameters(vocabulary, context, segments, width, layers, mlp_width, pooler):
    count = vocabulary * width + context * width + segments * width + width + width
    for _ in range(layers):
        count += width * 3 * width + 3 * width + width * width + width
        count += (width + 1) * mlp_width + (mlp_width + 1) * width
        count += 4 * width
    return count + (width + 1) * width * pooler


@variant("L6.8", "as the shapes of all arrays")
def parameters(vocabulary, context, segments, width, layers, mlp_width, pooler):
    D = width
    block = [(D, 3 * D), (3 * D,), (D, D), (D,), (D, mlp_width), (mlp_width,), (mlp_width, D), (D,), *[(D,)] * 4]
    shapes = [(vocabulary, D), (context, D), (segments, D), (D,), (D,), *block * layers, *[(D, D), (D,)] * pooler]
    return sum(math.prod(shape) for shape in shapes)


@variant("L6.8", "weights, then biases, then norms")
def parameters(vocabulary, context, segments, width, layers, mlp_width, pooler):
    D, L = width, layers
    weights = D * (vocabulary + context + segments + L * (4 * D + 2 * mlp_width) + (D if pooler else 0))
    biases = L * (5 * D + mlp_width) + (D if pooler else 0)
    return weights + biases + (2 * L + 1) * 2 * D
