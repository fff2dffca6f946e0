"""Other ways that are as right."""

import math

import numpy as np

import minilm.functional as F
from minilm.course import variant

from .tasks import block as block_right
from .tasks import embed as embed_right

# ----------------------------------------------------------------------------------------------------------------- L4.1


@variant("L4.1", "by one-hot vectors and products")
def embed(ids, token_table, position_table, past):
    at = past + np.arange(len(ids))
    return np.eye(token_table.shape[0])[ids] @ token_table + np.eye(position_table.shape[0])[at] @ position_table


@variant("L4.1", "token by token")
def embed(ids, token_table, position_table, past):
    return F.stack([token_table[int(token)] + position_table[past + t] for t, token in enumerate(ids)])


@variant("L4.1", "by the library's embedding, positions first")
def embed(ids, token_table, position_table, past):
    return F.embedding(np.arange(past, past + len(ids)), position_table) + F.embedding(ids, token_table)


# ----------------------------------------------------------------------------------------------------------------- L4.2


def _linear(w, name, x):
    return F.linear(x, w[f"{name}.weight"], w[f"{name}.bias"])


def _norm(w, name, x):
    z = x - F.mean(x, -1, keepdims=True)
    z = z / F.sqrt(F.mean(z * z, -1, keepdims=True) + 1e-5)
    return z * w[f"{name}.weight"] + w[f"{name}.bias"]


def _heads(w, x, heads):
    T, D = x.shape
    q, k, v = (a.reshape(T, heads, D // heads).transpose(1, 0, 2) for a in F.split(_linear(w, "qkv", x), 3, -1))
    scores = F.where(np.tri(T, dtype=bool), q @ F.swapaxes(k, 1, 2) / math.sqrt(D // heads), -math.inf)
    return _linear(w, "out", (F.softmax(scores) @ v).transpose(1, 0, 2).reshape(T, D))


def _gelu(x):
    return 0.5 * x * (1 + F.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x)))


@variant("L4.2", "every part written out")
def block(x, w, heads, norm):
    before, after = (_norm, lambda w, name, x: x) if norm == "pre" else (lambda w, name, x: x, _norm)
    x = after(w, "norm1", x + _heads(w, before(w, "norm1", x), heads))
    inner = _gelu(_linear(w, "up", before(w, "norm2", x)))
    return after(w, "norm2", x + _linear(w, "down", inner))


@variant("L4.2", "what is added is computed apart")
def block(x, w, heads, norm):
    pre = norm == "pre"
    added = _heads(w, _norm(w, "norm1", x) if pre else x, heads)
    h = x + added if pre else _norm(w, "norm1", x + added)
    added = _linear(w, "down", _gelu(_linear(w, "up", _norm(w, "norm2", h) if pre else h)))
    return h + added if pre else _norm(w, "norm2", h + added)


@variant("L4.2", "the MLP position by position")
def block(x, w, heads, norm):
    def mlp(x):
        rows = [F.gelu(x[t] @ w["up.weight"] + w["up.bias"], "tanh") for t in range(x.shape[0])]
        return F.stack([row @ w["down.weight"] + w["down.bias"] for row in rows])

    if norm == "pre":
        h = x + _heads(w, _norm(w, "norm1", x), heads)
        return h + mlp(_norm(w, "norm2", h))
    h = _norm(w, "norm1", x + _heads(w, x, heads))
    return _norm(w, "norm2", h + mlp(h))


# ----------------------------------------------------------------------------------------------------------------- L4.3


@variant("L4.3", "logits one token of the vocabulary at a time")
def gpt_logits(ids, w, blocks, heads, norm):
    x = embed_right(ids, w["token_table"], w["position_table"], 0)
    for one in blocks:
        x = block_right(x, one, heads, norm)
    if norm == "pre":
        x = _norm(w, "final_norm", x)
    return F.stack([F.sum(x * w["token_table"][v], -1) for v in range(w["token_table"].shape[0])], -1)


@variant("L4.3", "every prefix by itself, its last row kept")
def gpt_logits(ids, w, blocks, heads, norm):
    rows = []
    for n in range(1, len(ids) + 1):
        x = w["token_table"][ids[:n]] + w["position_table"][:n]
        for one in blocks:
            x = block_right(x, one, heads, norm)
        x = _norm(w, "final_norm", x) if norm == "pre" else x
        rows.append(F.linear(x[n - 1], w["token_table"].T))
    return F.stack(rows)


@variant("L4.3", "recursively")
def gpt_logits(ids, w, blocks, heads, norm):
    def hidden(n):
        if n == 0:
            return w["position_table"][: len(ids)] + F.embedding(ids, w["token_table"])
        return block_right(hidden(n - 1), blocks[n - 1], heads, norm)

    x = hidden(len(blocks))
    if norm != "post":
        x = F.layer_norm(x, w["final_norm.weight"], w["final_norm.bias"], 1e-5)
    return F.swapaxes(w["token_table"] @ F.swapaxes(x, 0, 1), 0, 1)


# ----------------------------------------------------------------------------------------------------------------- L4.4


@variant("L4.4", "by the formula 12 D² + 13 D")
def count_parameters(vocabulary, context, width, layers, norm, tied):
    n = (vocabulary * (1 if tied else 2) + context) * width + layers * (12 * width * width + 13 * width)
    return n + 2 * width * (norm == "pre")


@variant("L4.4", "by a list of shapes")
def count_parameters(vocabulary, context, width, layers, norm, tied):
    D = width
    block = [(D, 3 * D), (3 * D,), (D, D), (D,), (D, 4 * D), (4 * D,), (4 * D, D), (D,), (D,), (D,), (D,), (D,)]
    shapes = [(vocabulary, D), (context, D)] + layers * block
    shapes += [(D,), (D,)] if norm == "pre" else []
    shapes += [] if tied else [(D, vocabulary)]
    return sum(math.prod(shape) for shape in shapes)


@variant("L4.4", "matrices and vectors apart")
def count_parameters(vocabulary, context, width, layers, norm, tied):
    matrices = vocabulary * width + context * width + layers * 12 * width**2 + (not tied) * vocabulary * width
    vectors = layers * (3 + 1 + 4 + 1 + 4) + 2 * (norm == "pre")
    return matrices + vectors * width


# ----------------------------------------------------------------------------------------------------------------- L4.5


def _spread(name, layers):
    if name == "position_table":
        return 0.01
    return 0.02 / math.sqrt(2 * layers) if name.endswith(("out.weight", "down.weight")) else 0.02


@variant("L4.5", "by the generator's own normal")
def initialise(shapes, layers, seed):
    rng, found = np.random.default_rng(seed), {}
    for name, shape in shapes.items():
        if name.endswith("bias"):
            found[name] = np.zeros(shape)
        elif "norm" in name:
            found[name] = np.ones(shape)
        else:
            found[name] = rng.normal(0.0, _spread(name, layers), shape)
    return found


@variant("L4.5", "a generator for each weight, of seed and number")
def initialise(shapes, layers, seed):
    found = {}
    for i, (name, shape) in enumerate(shapes.items()):
        draws = np.random.default_rng([seed, i]).standard_normal(shape) * _spread(name, layers)
        found[name] = draws if len(shape) > 1 else np.full(shape, float(name.endswith("weight")))
    return found


@variant("L4.5", "all draws in one row, cut afterwards")
def initialise(shapes, layers, seed):
    row = np.random.default_rng(seed).standard_normal(sum(math.prod(shape) for shape in shapes.values()))
    found, start = {}, 0
    for name, shape in shapes.items():
        stop = start + math.prod(shape)
        found[name] = row[start:stop].reshape(shape) * _spread(name, layers)
        if name.endswith("bias") or "norm" in name:
            found[name] = found[name] * 0 + (not name.endswith("bias"))
        start = stop
    return found


# ----------------------------------------------------------------------------------------------------------------- L4.6


@variant("L4.6", "token by token, in plain Python")
def next_distribution(logits, temperature, top_k, top_p):
    ranked = sorted(range(len(logits)), key=lambda v: (-logits[v], v))[:top_k]
    mass = {v: math.exp((logits[v] - logits[ranked[0]]) / temperature) for v in ranked}
    total, so_far, kept = sum(mass.values()), 0.0, {}
    for v in ranked:
        if top_p is not None and so_far >= top_p * total:
            break
        kept[v] = mass[v]
        so_far += mass[v]
    return np.array([kept.get(v, 0.0) / sum(kept.values()) for v in range(len(logits))])


@variant("L4.6", "forbidden logits at −∞, one cut after the other")
def next_distribution(logits, temperature, top_k, top_p):
    def softmax(z):
        e = np.exp(z - z.max())
        return e / e.sum()

    z = logits / temperature
    rank = np.argsort(np.argsort(-z, kind="stable"), kind="stable")
    if top_k is not None:
        z = np.where(rank < top_k, z, -np.inf)
    if top_p is not None:
        p = softmax(z)
        before = np.array([p[rank < r].sum() for r in rank])
        z = np.where(before < top_p, z, -np.inf)
    return softmax(z)


@variant("L4.6", "probabilities raised to the power 1 / temperature")
def next_distribution(logits, temperature, top_k, top_p):
    p = np.exp(logits - logits.max()) ** (1 / temperature)
    order = np.argsort(-logits, kind="stable")
    p[order[len(p) if top_k is None else top_k :]] = 0.0
    p /= p.sum()
    if top_p is not None:
        reached = np.cumsum(p[order])
        p[order[1:][reached[:-1] >= top_p]] = 0.0
    return p / p.sum()


# ----------------------------------------------------------------------------------------------------------------- L4.7


@variant("L4.7", "new position by new position")
def attend_with_cache(query, key, value, old_keys, old_values):
    rows = []
    for i in range(query.shape[1]):
        keys = F.concatenate([old_keys, key[:, : i + 1]], 1)
        values = F.concatenate([old_values, value[:, : i + 1]], 1)
        weights = F.softmax(query[:, i : i + 1] @ F.swapaxes(keys, 1, 2) / math.sqrt(query.shape[2]))
        rows.append(weights @ values)
    return F.concatenate(rows, 1), keys, values


@variant("L4.7", "by the library's attention with a mask")
def attend_with_cache(query, key, value, old_keys, old_values):
    keys, values = F.concatenate([old_keys, key], 1), F.concatenate([old_values, value], 1)
    n, S = query.shape[1], keys.shape[1]
    may = np.arange(S) <= np.arange(S - n, S)[:, None]
    y = F.attention(*(F.expand_dims(a, 0) for a in (query, keys, values)), mask=may[None, None])
    return y[0], keys, values


@variant("L4.7", "exponentials of old and new scores, divided by their common sum")
def attend_with_cache(query, key, value, old_keys, old_values):
    n, K = query.shape[1:]
    scores = [query @ F.swapaxes(k, 1, 2) / math.sqrt(K) for k in (old_keys, key)]
    old, new = F.exp(scores[0]), F.exp(scores[1]) * np.tri(n)
    total = F.sum(old, -1, keepdims=True) + F.sum(new, -1, keepdims=True)
    y = (old @ old_values + new @ value) / total
    return y, F.concatenate([old_keys, key], 1), F.concatenate([old_values, value], 1)


# ----------------------------------------------------------------------------------------------------------------- L4.9


@variant("L4.9", "positions and pairs counted first")
def generation_flops(prompt, new, width, layers, vocabulary, cached):
    lengths = range(prompt, prompt + new)
    positions = prompt + new - 1 if cached else sum(lengths)
    pairs = prompt**2 + sum(lengths) - prompt if cached else sum(s * s for s in lengths)
    return layers * (24 * width**2 * positions + 4 * width * pairs) + new * 2 * width * vocabulary


@variant("L4.9", "matrix by matrix")
def generation_flops(prompt, new, width, layers, vocabulary, cached):
    def product(n, k, m):
        return 2 * n * k * m

    D, total = width, 0
    for s in range(prompt, prompt + new):
        n = s if s == prompt or not cached else 1
        for _ in range(layers):
            total += product(n, D, 3 * D) + product(n, D, D) + product(n, D, 4 * D) + product(n, 4 * D, D)
            total += product(n, D, s) + product(n, s, D)
        total += product(1, D, vocabulary)
    return total


@variant("L4.9", "recursively, from the last token back")
def generation_flops(prompt, new, width, layers, vocabulary, cached):
    if new == 0:
        return 0
    s = prompt + new - 1
    n = 1 if cached and new > 1 else s
    last = layers * (24 * n * width**2 + 4 * n * s * width) + 2 * width * vocabulary
    return last + generation_flops(prompt, new - 1, width, layers, vocabulary, cached)
