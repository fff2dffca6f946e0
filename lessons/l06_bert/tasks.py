"""The tasks of lesson 6."""

import math

import minilm.functional as F
from minilm.course import task


@task("L6.1", points=3)
def encoder_block(x, real, weights):
    """One block of BERT with one head and without the biases of its products.

    x: (T, D). real: booleans (T,), False where a position is padding, True somewhere. weights: a dict of "query",
    "key", "value", "output" (D, D), "up" (D, F), "down" (F, D), and of the two norms "scale1", "shift1", "scale2",
    "shift2" (D,). Result (T, D).

    Every position reads every real position, before and behind it, with weights softmax(q·k / √D); what it read, times
    "output", is added to x, and the sum is normalized (N₁). Then up, the exact GELU x Φ(x), down; that is added too,
    and the sum is normalized (N₂). N: layer norm with ε = 1e-12. Rows of padding are computed like the others.
    """
    w = weights
    scores = (x @ w["query"]) @ (x @ w["key"]).T / math.sqrt(x.shape[-1])
    read = F.softmax(F.where(real, scores, -math.inf)) @ (x @ w["value"])
    x = F.layer_norm(x + read @ w["output"], w["scale1"], w["shift1"], 1e-12)
    hidden = F.gelu(x @ w["up"], "none")
    return F.layer_norm(x + hidden @ w["down"], w["scale2"], w["shift2"], 1e-12)


@task("L6.4", points=2, keep=1)
def embed(ids, segments, token, segment, position, scale, shift):
    """What the first block of BERT reads, h₀ = N(E[ids] + S[segments] + P[0 … T−1]).

    ids, segments: integers (T,). token: E (V, D), segment: S (2, D), position: P (C, D) with C ≥ T. scale, shift: (D,)
    of the layer norm N, with ε = 1e-12. Result (T, D). Positions are counted from 0 through both texts.
    """
    T = len(ids)
    x = token[ids] + segment[segments] + position[:T]
    return F.layer_norm(x, scale, shift, 1e-12)


@task("L6.5", points=2, plain=True)
def pair_input(a, b, length, special):
    """Two texts as one row of exactly `length` tokens: [CLS] a [SEP] b [SEP] and padding.

    a, b: lists of token ids, not empty. special: {"cls": id, "sep": id, "pad": id}. length ≥ 5.
    What is too long loses tokens one by one, each from the end of the text that is longer at that moment, of b where
    both are equally long. Result: three lists, (ids, segments, real). Segments: 0 for [CLS] a [SEP], 1 for b [SEP], 0
    for padding. real: True for tokens, False for padding.
    """
    a, b = list(a), list(b)
    while len(a) + len(b) + 3 > length:
        (a if len(a) > len(b) else b).pop()
    first, second = [special["cls"], *a, special["sep"]], [*b, special["sep"]]
    fill = length - len(first) - len(second)
    ids = first + second + [special["pad"]] * fill
    segments = [0] * len(first) + [1] * len(second) + [0] * fill
    return ids, segments, [True] * (length - fill) + [False] * fill


@task("L6.6", worked=True)
def pooled(hidden, weight, bias):
    """One vector for each row, tanh(h W + b), where h is the last hidden state of [CLS], the first token.

    hidden: (B, T, D). weight: W (D, D), used as h @ W. bias: (D,). Result (B, D).
    """
    return F.tanh(hidden[:, 0] @ weight + bias)


@task("L6.7", points=2)
def wordpiece(word, vocabulary):
    """A word cut into pieces, from left to right, each the longest that the vocabulary has.

    word: text of one letter or more. vocabulary: a list of pieces; one that goes on a word is written "##" before its
    letters. Result: a list of pieces as the vocabulary writes them: "una", "##ffa", "##ble". A word of which some part
    has no piece is ["[UNK]"], the whole of it. What was cut is never cut otherwise.
    """
    pieces, start = [], 0
    while start < len(word):
        prefix, end = "##" if start else "", len(word)
        while end > start and prefix + word[start:end] not in vocabulary:
            end -= 1
        if end == start:
            return ["[UNK]"]
        pieces.append(prefix + word[start:end])
        start = end
    return pieces


@task("L6.8", points=2)
def parameters(vocabulary, context, segments, width, layers, mlp_width, pooler):
    """How many numbers a BERT learns, as an integer, without making it.

    vocabulary V, context C, segments, width D, layers L, mlp_width F: whole numbers. pooler: whether it has one.
    It has three tables (tokens, positions, segments) and a norm after their sum. A block has queries, keys, values and
    output, each D × D with a bias; an MLP D -> F -> D with two biases; two norms. A norm has a scale and a shift. The
    pooler is D × D with a bias. Nothing stands after the last block.
    """
    D, norm = width, 2 * width
    tables = (vocabulary + context + segments) * D + norm
    attention = 4 * (D * D + D)
    mlp = D * mlp_width + mlp_width + mlp_width * D + D
    return tables + layers * (attention + mlp + 2 * norm) + (D * D + D if pooler else 0)
