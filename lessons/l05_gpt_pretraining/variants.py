"""Other ways that are as right."""

import math
from collections import defaultdict
from itertools import pairwise

import numpy as np

import minilm.functional as F
from minilm.course import variant

from .tasks import merge as merge_right
from .tasks import next_token_loss as loss_right

# ----------------------------------------------------------------------------------------------------------------- L5.1


@variant("L5.1", "one id at a time, looking back")
def merge(ids, pair, new):
    found, fresh = [], False  # fresh: whether the last one may still be the left half of a pair
    for token in ids:
        if fresh and (found[-1], token) == tuple(pair):
            found[-1], fresh = new, False
        else:
            found.append(token)
            fresh = True
    return found


@variant("L5.1", "recursively")
def merge(ids, pair, new):
    if len(ids) < 2:
        return list(ids)
    if (ids[0], ids[1]) == tuple(pair):
        return [new, *merge(ids[2:], pair, new)]
    return [ids[0], *merge(ids[1:], pair, new)]


@variant("L5.1", "by replacing in a text whose characters are the ids")
def merge(ids, pair, new):
    text = "".join(chr(1000 + i) for i in ids)
    text = text.replace(chr(1000 + pair[0]) + chr(1000 + pair[1]), chr(1000 + new))
    return [ord(c) - 1000 for c in text]


# ----------------------------------------------------------------------------------------------------------------- L5.2


@variant("L5.2", "different pieces once, with how often they are there")
def learn_merges(pieces, count):
    words = {piece: list(piece.encode()) for piece in pieces}
    often = {piece: pieces.count(piece) for piece in words}
    merges = []
    for k in range(count):
        counts = defaultdict(int)
        for piece, word in words.items():
            for i in range(len(word) - 1):
                counts[word[i], word[i + 1]] += often[piece]
        most = max(counts.values(), default=0)
        if most < 2:
            return merges
        merges.append(min(pair for pair, n in counts.items() if n == most))
        words = {piece: merge_right(word, merges[k], 256 + k) for piece, word in words.items()}
    return merges


@variant("L5.2", "pairs sorted")
def learn_merges(pieces, count):
    rows, found = [[*piece.encode("utf-8")] for piece in pieces], []
    while len(found) < count:
        pairs = sorted(pair for row in rows for pair in zip(row, row[1:], strict=False))
        runs = {pair: pairs.count(pair) for pair in pairs}
        if not runs or max(runs.values()) == 1:
            break
        pair = max(runs, key=runs.get)  # the first of equals, and they are sorted
        found.append(pair)
        rows = [merge_right(row, pair, 255 + len(found)) for row in rows]
    return found


@variant("L5.2", "recursively, merge after merge")
def learn_merges(pieces, count):
    def more(words, k):
        counts = defaultdict(int)
        for word in words:
            for pair in pairwise(word):
                counts[pair] += 1
        best = min(counts, key=lambda pair: (-counts[pair], *pair), default=(0, 0))
        if k == count or counts[best] < 2:
            return []
        return [best, *more([merge_right(word, best, 256 + k) for word in words], k + 1)]

    return more([list(piece.encode()) for piece in pieces], 0)


# ----------------------------------------------------------------------------------------------------------------- L5.3


@variant("L5.3", "merge after merge, in the order of learning")
def encode(piece, merges):
    ids = list(piece.encode("utf-8"))
    for k, pair in enumerate(merges):
        ids = merge_right(ids, pair, 256 + k)
    return ids


@variant("L5.3", "one place at a time")
def encode(piece, merges):
    ids = list(piece.encode("utf-8"))
    order = [tuple(pair) for pair in merges]
    while True:
        places = [(order.index(pair), i) for i, pair in enumerate(pairwise(ids)) if pair in order]
        if not places:
            return ids
        k, i = min(places)
        ids[i : i + 2] = [256 + k]


@variant("L5.3", "by replacing in a text whose characters are the ids")
def encode(piece, merges):
    text = "".join(chr(1000 + byte) for byte in piece.encode("utf-8"))
    for k, (left, right) in enumerate(merges):
        text = text.replace(chr(1000 + left) + chr(1000 + right), chr(1256 + k))
    return [ord(c) - 1000 for c in text]


# ----------------------------------------------------------------------------------------------------------------- L5.4


@variant("L5.4", "window by window")
def windows(documents, separator, context):
    row = []
    for document in documents:
        row += [*document, separator]
    row.pop()
    starts = range(0, len(row) - context, context)
    ids = [row[start : start + context] for start in starts]
    targets = [row[start + 1 : start + context + 1] for start in starts]
    return tuple(np.array(rows, np.int64).reshape(-1, context) for rows in (ids, targets))


@variant("L5.4", "one token longer, then both ends cut")
def windows(documents, separator, context):
    row = np.concatenate([[separator, *document] for document in documents])[1:]
    n = max(0, len(row) - 1) // context
    at = np.arange(n)[:, None] * context + np.arange(context + 1)
    both = row[at] if n else np.zeros((0, context + 1), np.int64)
    return both[:, :-1], both[:, 1:]


@variant("L5.4", "tokens and their successors in pairs")
def windows(documents, separator, context):
    row = [token for i, document in enumerate(documents) for token in ([separator] * (i > 0) + list(document))]
    pairs = list(pairwise(row))
    pairs = pairs[: len(pairs) // context * context]
    both = np.array(pairs, np.int64).reshape(-1, context, 2)
    return both[:, :, 0], both[:, :, 1]


# ----------------------------------------------------------------------------------------------------------------- L5.5


@variant("L5.5", "target by target")
def next_token_loss(logits, targets):
    total, n = 0.0, 0
    for b, t in np.argwhere(targets != -100):
        z = logits[int(b), int(t)]
        total = total + F.logsumexp(z) - z[int(targets[b, t])]
        n += 1
    return total / n


@variant("L5.5", "by the library's cross-entropy")
def next_token_loss(logits, targets):
    return F.cross_entropy(logits, targets, ignore_index=-100)


@variant("L5.5", "only the rows that count, picked first")
def next_token_loss(logits, targets):
    B, T, V = logits.shape
    at = np.flatnonzero(targets.ravel() != -100)
    z = logits.reshape(B * T, V)[at]
    one_hot = np.eye(V)[targets.ravel()[at]]
    return F.mean(F.logsumexp(z, -1) - F.sum(z * one_hot, -1))


# ----------------------------------------------------------------------------------------------------------------- L5.6


@variant("L5.6", "by interpolation between floor and peak")
def learning_rate(step, peak, warmup, steps, floor):
    if warmup > step:
        return peak / warmup * step
    if step >= steps:
        return floor * peak
    high, low = peak, floor * peak
    w = math.cos(math.pi / 2 * (step - warmup) / (steps - warmup)) ** 2  # (1 + cos x) / 2 = cos² (x / 2)
    return high * w + low * (1 - w)


@variant("L5.6", "the smaller of both curves on the way up")
def learning_rate(step, peak, warmup, steps, floor):
    up = step / warmup if warmup else 1.0
    u = np.clip((step - warmup) / (steps - warmup), 0.0, 1.0)
    down = floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * u))
    return peak * up if step < warmup else peak * down


@variant("L5.6", "by the sine of the way that is left")
def learning_rate(step, peak, warmup, steps, floor):
    left = max(0, steps - max(step, warmup)) / (steps - warmup)
    scale = 1.0 if step >= warmup else step / warmup
    return peak * scale * (floor + (1 - floor) * math.sin(math.pi / 2 * left) ** 2)


# ----------------------------------------------------------------------------------------------------------------- L5.8


@variant("L5.8", "case by case")
def gpt1_rows(kind, texts, start, delimiter, extract):
    if kind == "classify":
        rows = [[start, *texts[0], extract]]
    elif kind in ("entail", "similar"):
        a, b = texts
        rows = [[start, *a, delimiter, *b, extract]]
        if kind == "similar":
            rows.append([start, *b, delimiter, *a, extract])
    else:
        rows = [[start, *texts[0], delimiter, *answer, extract] for answer in texts[1:]]
    ids = np.zeros((len(rows), max(len(row) for row in rows)), int)
    for i, row in enumerate(rows):
        ids[i, : len(row)] = row
    return ids, np.array([len(row) - 1 for row in rows])


@variant("L5.8", "the place found by looking for extract")
def gpt1_rows(kind, texts, start, delimiter, extract):
    first, *rest = texts
    pairs = [(first, other) for other in rest]
    if kind == "similar":
        pairs.append((rest[0], first))
    rows = [[start, *a, delimiter, *b, extract] for a, b in pairs] or [[start, *first, extract]]
    longest = max(map(len, rows))
    ids = np.stack([np.pad(row, (0, longest - len(row))) for row in rows])
    return ids, (ids == extract).argmax(axis=1)


@variant("L5.8", "joined by the delimiter")
def gpt1_rows(kind, texts, start, delimiter, extract):
    orders = {"similar": [[0, 1], [1, 0]], "choice": [[0, i] for i in range(1, len(texts))]}
    rows = []
    for order in orders.get(kind, [range(len(texts))]):
        inner = [token for i in order for token in [delimiter, *texts[i]]][1:]
        rows.append([start, *inner, extract])
    places = [len(row) - 1 for row in rows]
    return np.array([row + [0] * (max(places) + 1 - len(row)) for row in rows]), np.array(places)


# ----------------------------------------------------------------------------------------------------------------- L5.9


@variant("L5.9", "all tokens at once, each weighted by its row's share")
def finetuning_loss(class_logits, labels, token_logits, ids, real, weight):
    B, V = len(ids), token_logits.shape[-1]
    share = real[:, 1:] / real[:, 1:].sum(1, keepdims=True) / B
    chosen = np.eye(V)[ids[:, 1:]] * share[:, :, None]
    language = -F.sum(F.log_softmax(token_logits[:, :-1]) * chosen)
    task = -F.sum(F.log_softmax(class_logits) * np.eye(class_logits.shape[1])[labels]) / B
    return task + weight * language


@variant("L5.9", "by the library's cross-entropy, row by row without its filling")
def finetuning_loss(class_logits, labels, token_logits, ids, real, weight):
    language = []
    for b in range(len(ids)):
        n = int(real[b].sum())
        language.append(F.cross_entropy(token_logits[b, : n - 1], ids[b, 1:n]))
    return F.cross_entropy(class_logits, labels) + weight * F.mean(F.stack(language))


@variant("L5.9", "example by example")
def finetuning_loss(class_logits, labels, token_logits, ids, real, weight):
    total = 0.0
    for b in range(len(ids)):
        own = -F.log_softmax(class_logits[b])[int(labels[b])]
        targets = np.where(real[b : b + 1], ids[b : b + 1], -100)[:, 1:]
        total = total + own + weight * loss_right(token_logits[b : b + 1, :-1], targets)
    return total / len(ids)
