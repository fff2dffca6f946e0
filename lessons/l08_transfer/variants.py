"""Other ways that are as right."""

import math

import numpy as np

import minilm.functional as F
from minilm.course import variant

# ----------------------------------------------------------------------------------------------------------------- L8.1


@variant("L8.1", "row by row")
def class_logits(hidden, real, weight, bias, causal):
    at = [np.flatnonzero(row)[-1 if causal else 0] for row in real]
    return F.stack([hidden[b, t] @ weight + bias for b, t in enumerate(at)])


@variant("L8.1", "all positions are classified, then one is read")
def class_logits(hidden, real, weight, bias, causal):
    place = np.where(real, np.arange(real.shape[1]), -1 if causal else real.shape[1])
    at = place.max(1) if causal else place.min(1)
    return (hidden @ weight + bias)[np.arange(len(real)), at]


@variant("L8.1", "a one-hot row picks the state")
def class_logits(hidden, real, weight, bias, causal):
    count = np.cumsum(real[:, ::-1], 1)[:, ::-1] if causal else np.cumsum(real, 1)
    pick = (count == 1) & real  # True once a row
    return F.sum(hidden * pick[:, :, None], axis=1) @ weight + bias


# ----------------------------------------------------------------------------------------------------------------- L8.3


@variant("L8.3", "a list that grows")
def piece_tags(tags, pieces, length):
    labels = []
    for tag, count in zip(tags, pieces, strict=True):
        labels += [tag] + [-100] * (count - 1)
    labels = labels[: length - 2]
    return np.array([-100, *labels, -100] + [-100] * (length - 2 - len(labels)))


@variant("L8.3", "which word each position is of")
def piece_tags(tags, pieces, length):
    word = np.repeat(np.arange(len(tags)), pieces)[: length - 2]
    first = np.diff(word, prepend=-1) > 0
    inside = np.where(first, np.asarray(tags)[word], -100)
    return np.pad(inside, (1, length - 1 - len(word)), constant_values=-100)


@variant("L8.3", "position by position")
def piece_tags(tags, pieces, length):
    label_at = {1 + sum(pieces[:w]): tag for w, tag in enumerate(tags)}
    return np.array([-100 if t == length - 1 else label_at.get(t, -100) for t in range(length)])


# ----------------------------------------------------------------------------------------------------------------- L8.4


@variant("L8.4", "two loops")
def best_span(start, end, passage, longest):
    found, best = None, -math.inf
    for i in np.flatnonzero(passage):
        for j in range(i, min(i + longest, len(end))):
            if passage[j] and start[i] + end[j] > best:
                found, best = (int(i), j), start[i] + end[j]
    return found


@variant("L8.4", "all spans in a list, the best one taken")
def best_span(start, end, passage, longest):
    inside = np.flatnonzero(passage).tolist()
    spans = [(i, j) for i in inside for j in inside if 0 <= j - i < longest]
    return max(spans, key=lambda span: start[span[0]] + end[span[1]], default=None)


@variant("L8.4", "length by length, in the passage alone")
def best_span(start, end, passage, longest):
    inside = np.flatnonzero(passage)
    first, last = start[inside], end[inside]
    found = []
    for more in range(min(longest, len(inside))):
        total = first[: len(inside) - more] + last[more:]
        i = int(total.argmax())
        found.append((-total[i], int(inside[i]), int(inside[i] + more)))
    return min(found)[1:] if found else None


# ----------------------------------------------------------------------------------------------------------------- L8.5


@variant("L8.5", "by precision, recall, and the correlation of the numbers")
def scores(gold, guessed):
    right = (gold * guessed).sum()
    precision, recall = right / max(guessed.sum(), 1), right / max(gold.sum(), 1)
    f1 = 2 * precision * recall / (precision + recall) if right else 0.0
    spread = gold.std() * guessed.std()
    covariance = ((gold - gold.mean()) * (guessed - guessed.mean())).mean()
    return float((gold == guessed).mean()), float(f1), float(covariance / spread) if spread else 0.0


@variant("L8.5", "pair by pair")
def scores(gold, guessed):
    pairs = list(zip(gold.tolist(), guessed.tolist(), strict=True))
    tp, tn, fp, fn = (pairs.count(pair) for pair in ((1, 1), (0, 0), (0, 1), (1, 0)))
    f1 = tp / (tp + (fp + fn) / 2) if tp + fp + fn else 0.0
    sides = (tp + fp, tp + fn, tn + fp, tn + fn)
    return (tp + tn) / len(pairs), f1, 0.0 if 0 in sides else (tp * tn - fp * fn) / math.prod(sides) ** 0.5


@variant("L8.5", "from the table of counts")
def scores(gold, guessed):
    table = np.bincount(2 * gold + guessed, minlength=4).reshape(2, 2).astype(float)
    f1 = 2 * table[1, 1] / max(table[1].sum() + table[:, 1].sum(), 1)
    below = np.sqrt(table.sum(0).prod() * table.sum(1).prod())
    matthews = float(np.linalg.det(table) / below) if below else 0.0
    return float(np.trace(table) / table.sum()), float(f1), matthews


# ----------------------------------------------------------------------------------------------------------------- L8.6


@variant("L8.6", "the name taken apart at its points")
def layer_rates(names, layers, rate, factor, frozen):
    def level(name):
        parts = name.split(".")
        if "blocks" in parts:
            return int(parts[parts.index("blocks") + 1]) + 1
        return 0 if "embedding" in name else layers + 1

    return {name: rate * factor ** (layers + 1 - level(name)) * (level(name) >= frozen) for name in names}


@variant("L8.6", "the rates of the levels first, from the top")
def layer_rates(names, layers, rate, factor, frozen):
    of_level = [rate]
    for _ in range(layers + 1):
        of_level.insert(0, of_level[0] * factor)
    of_level[:frozen] = [0.0] * frozen
    found = {}
    for name in names:
        inside = [n for n in range(layers) if f"blocks.{n}." in name]
        found[name] = of_level[inside[0] + 1 if inside else 0 if "embedding" in name else -1]
    return found


@variant("L8.6", "by logarithms")
def layer_rates(names, layers, rate, factor, frozen):
    def of(name):
        at = name.find("blocks.")
        level = layers + 1 if at < 0 else int(name[at + 7 :].split(".")[0]) + 1
        level = 0 if "embedding" in name else level
        return 0.0 if frozen > level else math.exp(math.log(rate) + (layers + 1 - level) * math.log(factor))

    return dict(zip(names, map(of, names), strict=True))


# ----------------------------------------------------------------------------------------------------------------- L8.8


@variant("L8.8", "text by text")
def similarity(hidden, real):
    means = [F.mean(hidden[b, np.flatnonzero(real[b])], axis=0) for b in range(hidden.shape[0])]
    lengths = [F.sqrt(u @ u) for u in means]
    return F.stack([
        F.stack([u @ v / (m * n) for v, n in zip(means, lengths, strict=True)])
        for u, m in zip(means, lengths, strict=True)
    ])  # fmt: skip


@variant("L8.8", "sums: the number of tokens does not matter for an angle")
def similarity(hidden, real):
    total = F.sum(F.where(real[:, :, None], hidden, 0.0), axis=1)
    products = total @ total.T
    squares = F.sum(total * total, -1)
    return products / F.sqrt(F.expand_dims(squares, 0) * F.expand_dims(squares, 1))


@variant("L8.8", "the mean as a product with a row of weights")
def similarity(hidden, real):
    weights = real[:, None, :] / real.sum(1)[:, None, None]  # (B, 1, T)
    mean = (weights @ hidden).reshape(hidden.shape[0], -1)
    return F.einsum("bd,cd->bc", mean, mean) / (F.sum(mean * mean, -1, keepdims=True) ** 0.5 @ (
        F.sum(mean * mean, -1, keepdims=True) ** 0.5).T)  # fmt: skip


# ----------------------------------------------------------------------------------------------------------------- L8.9


@variant("L8.9", "token by token")
def answer_scores(logits, ids, prompt, lengths, per_token):
    found = []
    for c, n in enumerate(lengths.tolist()):
        parts = [F.log_softmax(logits[c, t - 1])[int(ids[c, t])] for t in range(prompt, n)]
        total = F.sum(F.stack(parts))
        found.append(total / len(parts) if per_token else total)
    return F.stack(found)


@variant("L8.9", "by cross-entropy")
def answer_scores(logits, ids, prompt, lengths, per_token):
    targets = ids[:, 1:].copy()
    at = np.arange(1, ids.shape[1])
    targets[(at < prompt) | (at >= lengths[:, None])] = -100
    total = -F.sum(F.cross_entropy(logits[:, :-1], targets, reduction="none"), axis=1)
    return total / (lengths - prompt) if per_token else total


@variant("L8.9", "one-hot vectors and log Σ exp")
def answer_scores(logits, ids, prompt, lengths, per_token):
    hot = np.eye(logits.shape[-1])[ids[:, 1:]]  # (C, T − 1, V)
    each = F.sum(logits[:, :-1] * hot, -1) - F.logsumexp(logits[:, :-1], -1)
    at = np.arange(1, ids.shape[1])
    weights = ((at >= prompt) & (at < lengths[:, None])).astype(float)
    if per_token:
        weights = weights / weights.sum(1, keepdims=True)
    return F.sum(each * weights, axis=1)
