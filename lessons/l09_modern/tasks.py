"""The tasks of lesson 9, answered."""

import math

import numpy as np

import minilm.functional as F
from minilm.course import task


@task("L9.1", points=2)
def rms_norm(x, weight, epsilon):
    """Each vector divided by the root of its mean square, then scaled feature by feature.

    x: (…, D), weight: (D,), epsilon: ε, a number above 0 -> (…, D): y = w x / √(mean x² + ε), the mean over the D
    features. No mean is subtracted, and there is no bias. A vector of zeros gives zeros.
    """
    mean_square = F.mean(x * x, -1, keepdims=True)
    return weight * x / F.sqrt(mean_square + epsilon)


@task("L9.2", points=3, keep=2)
def rotate(x, positions, theta):
    """Queries or keys, turned by angles that grow with their positions (RoPE, in the order of LLaMA's weights).

    x: (…, T, K) with K even, positions: integers (T,), theta: θ, a number above 1 -> (…, T, K). With K/2 = h, feature
    i of the first half and feature i + h are one pair (a, b), for i = 0 … h − 1. At position t it is turned by the
    angle α = t θ^(−2i/K): it becomes (a cos α − b sin α, b cos α + a sin α), each in its own place.
    """
    h = x.shape[-1] // 2
    angles = positions[:, None] * theta ** (-np.arange(h) / h)  # (T, h)
    cos, sin = np.cos(angles), np.sin(angles)
    a, b = x[..., :h], x[..., h:]
    return F.concatenate([a * cos - b * sin, b * cos + a * sin], -1)


@task("L9.3", points=2)
def swiglu(x, w_gate, w_up, w_down):
    """A gated MLP without biases: (silu(x W_gate) ⊙ x W_up) W_down, with silu(z) = z / (1 + e^−z).

    x: (T, D), w_gate, w_up: (D, F), w_down: (F, D) -> (T, D). ⊙ is the product entry by entry.
    """
    gate = x @ w_gate  # (T, F)
    return (gate * F.sigmoid(gate) * (x @ w_up)) @ w_down


@task("L9.4", points=3)
def grouped_attention(query, key, value):
    """Causal attention in which groups of neighbouring query heads share a head of keys and values.

    query: (H, T, K), key, value: (G, T, K), G divides H -> (H, T, K). With H / G = n, query heads 0 … n − 1 read head
    0 of keys and values, the next n read head 1, and so on. Scores are divided by √K; position t reads s ≤ t.
    """
    (H, T, K), G = query.shape, key.shape[0]
    of = np.arange(H) // (H // G)  # the head that each query head reads
    scores = query @ F.swapaxes(key[of], -1, -2) / math.sqrt(K)  # (H, T, T)
    weights = F.softmax(F.where(np.tri(T, dtype=bool), scores, -math.inf))
    return weights @ value[of]


@task("L9.5", points=1)
def cache_bytes(batch, tokens, layers, heads, kv_heads, width, number):
    """How many bytes the cache of a model with grouped queries holds.

    All integers -> an integer. batch: texts that are written at once, tokens: read so far in each, heads: of queries,
    kv_heads: of keys and values, width: D, so that a head is D / heads wide, number: bytes of one number (2 in
    bfloat16, 4 in float32). Each layer keeps a key and a value of each head of keys and values for each token.
    """
    return 2 * batch * tokens * layers * kv_heads * (width // heads) * number


@task("L9.6", points=3, plain=True)
def relative_bucket(distance, both_ways, buckets, max_distance):
    """T5's number for a distance: near ones have a bucket each, far ones share one with those about as far.

    distance: an integer, s − t, where position t reads position s; both_ways: whether t may also read what comes
    after it; buckets: even, at least 4 (8 if both_ways, then a multiple of 4); max_distance: above buckets -> an
    integer from 0 to buckets − 1.
    both_ways: the first half of the buckets is for s ≤ t, the second half for s > t; in either half count as follows.
    Not both_ways: all buckets are for s ≤ t, and s > t counts as distance 0.
    With n buckets and e = n / 2: d = |s − t| < e has bucket d. A larger d has e + ⌊e · ln(d / e) / ln(max_distance /
    e)⌋, but at most n − 1. In the second half n is added.
    """
    n = buckets // 2 if both_ways else buckets
    d = abs(distance) if both_ways else max(-distance, 0)
    e = n // 2
    place = d
    if d >= e:
        place = min(n - 1, e + math.floor(e * math.log(d / e) / math.log(max_distance / e)))
    return place + n if both_ways and distance > 0 else place


@task("L9.7", points=3, plain=True)
def corrupt(ids, spans, sentinels):
    """T5's question and answer: spans of a text are cut out, and a sentinel marks each place.

    ids: a list of integers; spans: a list of pairs (start, end), end excluded, start < end, from left to right, with
    at least one token between two of them; sentinels: a list of integers, more than there are spans -> a tuple (input,
    target) of two lists. In the input, span i is replaced by the one token sentinels[i]. The target holds, for each
    span, its sentinel and then its tokens, and after the last span one sentinel more, the next one, which says that
    this is the end.
    """
    shown, target, at = [], [], 0
    for sentinel, (start, end) in zip(sentinels, spans, strict=False):
        shown += [*ids[at:start], sentinel]
        target += [sentinel, *ids[start:end]]
        at = end
    return shown + ids[at:], [*target, sentinels[len(spans)]]
