"""The tasks of lesson 4, answered."""

import math

import numpy as np

import minilm.functional as F
from minilm.course import task


@task("L4.1", worked=True)
def embed(ids, token_table, position_table, past):
    """What flows into the first block: the vector of each token plus the vector of its position.

    ids: integers (T,) below V, token_table: (V, D), position_table: (C, D), past: how many tokens were read before
    these, with past + T ≤ C -> (T, D). Row t is token_table[ids[t]] + position_table[past + t].
    """
    T = len(ids)
    return token_table[ids] + position_table[past : past + T]


@task("L4.2", points=3, keep=3)
def block(x, w, heads, norm):
    """One Transformer block, with its norms before what it adds ("pre") or after each sum ("post").

    x: (T, D) -> (T, D). A is causal self-attention with its output projection, M the MLP with GELU (its tanh form):
        norm "pre":   h = x + A(N1(x)),  result h + M(N2(h))
        norm "post":  h = N1(x + A(x)),  result N2(h + M(h))
    w: a dict of arrays: norm1.weight, norm1.bias (D,), qkv.weight (D, 3D), qkv.bias, out.weight (D, D), out.bias,
    norm2.weight, norm2.bias (D,), up.weight (D, F), up.bias, down.weight (F, D), down.bias. The columns of qkv are all
    queries, then all keys, then all values. The norms' ε is 1e-5. `F.self_attention(qkv, heads, causal=True)` takes
    (1, T, 3D).
    """

    def linear(name, x):
        return x @ w[f"{name}.weight"] + w[f"{name}.bias"]

    def attend(x):
        qkv = linear("qkv", x).reshape(1, x.shape[0], -1)  # (1, T, 3D)
        return linear("out", F.self_attention(qkv, heads, causal=True)[0])

    def mlp(x):
        return linear("down", F.gelu(linear("up", x), "tanh"))

    n1, n2 = (lambda x, n=n: F.layer_norm(x, w[f"{n}.weight"], w[f"{n}.bias"], 1e-5) for n in ("norm1", "norm2"))
    if norm == "pre":
        x = x + attend(n1(x))
        return x + mlp(n2(x))
    x = n1(x + attend(x))
    return n2(x + mlp(x))


@task("L4.3", points=2)
def gpt_logits(ids, w, blocks, heads, norm):
    """A GPT: embeddings, blocks one after the other, the final norm where there is one, and the tied head.

    ids: (T,) -> logits (T, V). w: token_table (V, D), position_table (C, D) and, for norm "pre" only,
    final_norm.weight and final_norm.bias (D,), ε = 1e-5. blocks: a list of dicts as in L4.2. norm: "pre" is GPT-2,
    "post" is GPT-1, which has no final norm. The logit of token v at position t is the inner product of what comes out
    at t with row v of the token table. You may use `embed` and `block`.
    """
    x = embed(ids, w["token_table"], w["position_table"], 0)  # (T, D)
    for one in blocks:
        x = block(x, one, heads, norm)
    if norm == "pre":
        x = F.layer_norm(x, w["final_norm.weight"], w["final_norm.bias"], 1e-5)
    return x @ w["token_table"].T  # (T, V)


@task("L4.4", points=2)
def count_parameters(vocabulary, context, width, layers, norm, tied):
    """How many numbers a GPT learns, without making one.

    Integers V, C, D, L; norm "pre" (with a final norm) or "post" (without); tied: whether the head is the token table,
    or else a matrix (D, V) of its own, without a bias -> an integer. Every linear layer of a block has a bias; a layer
    norm has 2D numbers; the MLP is 4D wide. How many heads there are does not matter.
    """
    D = width
    attention = (D * 3 * D + 3 * D) + (D * D + D)
    mlp = (D * 4 * D + 4 * D) + (4 * D * D + D)
    of_block = attention + mlp + 2 * 2 * D
    head = 0 if tied else D * vocabulary
    final = 2 * D if norm == "pre" else 0
    return (vocabulary + context) * D + layers * of_block + final + head


@task("L4.5", points=3, plain=True)
def initialise(shapes, layers, seed):
    """GPT-2's weights as they begin.

    shapes: a dict, name -> shape -> a dict, name -> float64 array. Names end in .bias (zeros), in norm1.weight,
    norm2.weight or final_norm.weight (ones), or are weights: independent draws from N(0, σ²), with σ = .02, but
    σ = .01 for position_table, and σ = .02 / √(2 layers) for what writes into the residual stream: names that end in
    out.weight or down.weight. The same seed gives the same arrays; no two draws are the same numbers.
    """
    rng = np.random.default_rng(seed)
    found = {}
    for name, shape in shapes.items():
        std = 0.01 if name == "position_table" else 0.02
        if name.endswith(("out.weight", "down.weight")):
            std /= math.sqrt(2 * layers)
        if name.endswith(".bias"):
            found[name] = np.zeros(shape)
        elif name.endswith(("norm.weight", "norm1.weight", "norm2.weight")):
            found[name] = np.ones(shape)
        else:
            found[name] = std * rng.standard_normal(shape)
    return found


@task("L4.6", points=4, plain=True)
def next_distribution(logits, temperature, top_k, top_p):
    """The distribution that the next token is drawn from.

    logits: (V,), temperature > 0, top_k: a whole number of at least 1 or None, top_p: above 0 and at most 1, or None
    -> (V,), float64, sums to 1. In this order: divide the logits by the temperature; keep the top_k largest, of equal
    ones at the border those of lower index, so that exactly top_k remain; take the softmax of what is left; of its
    tokens from the most probable down (of equal ones the lower index first) keep those before which less than top_p
    lies, so that the one which reaches top_p stays; divide by the sum. What is not kept has probability 0.
    """
    z = (logits - logits.max()) / temperature
    order = np.argsort(-z, kind="stable")[: top_k or len(z)]
    p = np.exp(z[order])
    p = p / p.sum()
    if top_p is not None:
        before = np.cumsum(p) - p
        p = np.where(before < top_p, p, 0.0)
    found = np.zeros(len(z))
    found[order] = p / p.sum()
    return found


@task("L4.7", points=3)
def attend_with_cache(query, key, value, old_keys, old_values):
    """Causal attention of n new positions that come after m old ones, whose keys and values were kept.

    query, key, value: (H, n, K), old_keys, old_values: (H, m, K), m ≥ 0 -> (y, keys, values): what the new positions
    read, (H, n, K), and all keys and values in order of position, (H, m + n, K), for the next call. New position i is
    position m + i of the text: it reads all old ones and the new ones up to itself. Scores are divided by √K.
    """
    n, K = query.shape[1:]
    m = old_keys.shape[1]
    keys, values = F.concatenate([old_keys, key], 1), F.concatenate([old_values, value], 1)
    scores = query @ F.swapaxes(keys, 1, 2) / math.sqrt(K)  # (H, n, m + n)
    may = np.tri(n, m + n, k=m, dtype=bool)
    weights = F.softmax(F.where(may, scores, -math.inf))
    return weights @ values, keys, values


@task("L4.9", points=3, keep=2)
def generation_flops(prompt, new, width, layers, vocabulary, cached):
    """FLOPs in matrix products to write `new` ≥ 1 tokens after a prompt of `prompt` ≥ 1, all within the context.

    All integers, cached a boolean -> an integer. A product (n, k) @ (k, m) counts 2 n k m. A position that is read
    costs the four matrices of each block, of D × 3D, D × D, D × 4D and 4D × D numbers. In each block, n positions that
    read s cost, by the scores and by the sums of values, 2 n s D each, masked ones counted. Each new token costs the
    head once, D × V, at the last position only. Without a cache every token is chosen by reading all tokens so far
    again; with one, the whole prompt is read at first, and then only the newest token, beside the keys and values that
    are kept. The last token that is written is not read.
    """
    D = width
    total = 0
    for i in range(new):
        s = prompt + i  # so many tokens there are
        n = 1 if cached and i > 0 else s
        per_block = 2 * n * 12 * D * D + 2 * 2 * n * s * D
        total += layers * per_block + 2 * D * vocabulary
    return total
