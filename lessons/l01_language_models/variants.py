"""Other ways that are as right."""

import math

import numpy as np

import minilm.functional as F
from minilm.course import variant

# ----------------------------------------------------------------------------------------------------------------- L1.1


@variant("L1.1", "the joint is narrowed word by word, its sum taken before and after")
def conditionals(joint, ids):
    found = []
    for word in ids:
        found.append(joint[word].sum() / joint.sum())
        joint = joint[word]
    return np.array(found)


@variant("L1.1", "what is left is made a distribution again after each word")
def conditionals(joint, ids):
    found = []
    for word in ids:
        first = joint.reshape(len(joint), -1).sum(1)
        found.append(first[word])
        joint = joint[word] / first[word]
    return np.array(found)


@variant("L1.1", "by logarithms of prefixes")
def conditionals(joint, ids):
    logs = [0.0]
    for t in range(len(ids)):
        logs.append(math.log(np.sum(joint[tuple(ids[: t + 1])])))
    return np.exp(np.diff(logs))


# ----------------------------------------------------------------------------------------------------------------- L1.2


@variant("L1.2", "pair by pair, row by row")
def smoothed_bigrams(ids, vocabulary, k):
    weight = [[k] * vocabulary for _ in range(vocabulary)]
    for a, b in zip(ids[:-1], ids[1:], strict=True):
        weight[a][b] += 1
    rows = [[w / sum(row) if sum(row) else 1 / vocabulary for w in row] for row in weight]
    return np.array(rows)


@variant("L1.2", "a pair as one number, counted by bincount")
def smoothed_bigrams(ids, vocabulary, k):
    pair = ids[:-1] * vocabulary + ids[1:]
    weight = np.bincount(pair, minlength=vocabulary**2).reshape(vocabulary, vocabulary) + k
    total = weight.sum(1, keepdims=True)
    return np.where(total > 0, weight / np.where(total > 0, total, 1), 1 / vocabulary)


@variant("L1.2", "a product of one-hot vectors; a mean of frequencies and of the uniform distribution")
def smoothed_bigrams(ids, vocabulary, k):
    one = np.eye(vocabulary)[ids]
    count = one[:-1].T @ one[1:]
    total = count.sum(1, keepdims=True)
    uniform = np.where(total > 0, k * vocabulary / np.maximum(total + k * vocabulary, 1e-300), 1.0)
    return (1 - uniform) * count / np.maximum(total, 1) + uniform / vocabulary


# ----------------------------------------------------------------------------------------------------------------- L1.3


@variant("L1.3", "sets of pairs, entry by entry")
def kneser_ney(ids, vocabulary, discount):
    pairs = list(zip(ids[:-1].tolist(), ids[1:].tolist(), strict=True))
    types = set(pairs)
    table = np.zeros((vocabulary, vocabulary))
    for a in range(vocabulary):
        total, different = sum(x == a for x, _ in pairs), sum(x == a for x, _ in types)
        for b in range(vocabulary):
            q = sum(y == b for _, y in types) / len(types)
            kept = max(pairs.count((a, b)) - discount, 0)
            table[a, b] = (kept + discount * different * q) / total if total else q
    return table


@variant("L1.3", "the reserve is what the discounts leave to 1")
def kneser_ney(ids, vocabulary, discount):
    count = np.zeros((vocabulary, vocabulary))
    np.add.at(count, (ids[:-1], ids[1:]), 1)
    q = np.count_nonzero(count, axis=0) / np.count_nonzero(count)
    kept = np.clip(count - discount, 0, None) / np.clip(count.sum(1, keepdims=True), 1, None)
    return kept + (1 - kept.sum(1, keepdims=True)) * q


@variant("L1.3", "distinct pairs by np.unique")
def kneser_ney(ids, vocabulary, discount):
    types, times = np.unique(ids[:-1] * vocabulary + ids[1:], return_counts=True)
    q = np.bincount(types % vocabulary, minlength=vocabulary) / len(types)
    table = np.tile(q, (vocabulary, 1))
    for a in np.unique(types // vocabulary):
        own = types // vocabulary == a
        table[a] *= discount * own.sum() / times[own].sum()
        table[a, types[own] % vocabulary] += (times[own] - discount) / times[own].sum()
    return table


# ----------------------------------------------------------------------------------------------------------------- L1.4


@variant("L1.4", "outcome by outcome")
def information(p, q):
    entropy = cross = 0.0
    for a, b in zip(p.tolist(), q.tolist(), strict=True):
        if a > 0:
            entropy -= a * math.log2(a)
            cross = cross - a * math.log2(b) if b > 0 else math.inf
    return entropy, cross, cross - entropy


@variant("L1.4", "the divergence first, by the ratio; natural logarithms, divided by ln 2")
def information(p, q):
    some = p > 0
    entropy = -np.sum(p[some] * np.log(p[some])) / math.log(2)
    if np.any(q[some] == 0):
        return entropy, math.inf, math.inf
    divergence = np.sum(p[some] * np.log(p[some] / q[some])) / math.log(2)
    return entropy, entropy + divergence, divergence


@variant("L1.4", "zeros of p replaced by 1 inside the logarithm")
def information(p, q):
    with np.errstate(divide="ignore"):
        surprise = -np.log2(np.where(p > 0, q, 1.0))
    entropy = float(-(p @ np.log2(np.where(p > 0, p, 1.0))))
    cross = float(p[p > 0] @ surprise[p > 0])
    return entropy, cross, cross - entropy


# ----------------------------------------------------------------------------------------------------------------- L1.5


@variant("L1.5", "running sums, document by document")
def perplexity_and_bits(losses, texts):
    nats, tokens, size = 0.0, 0, 0
    for document, text in zip(losses, texts, strict=True):
        nats, tokens, size = nats + float(document.sum()), tokens + len(document), size + len(text.encode())
    return math.exp(nats / tokens), nats / math.log(2) / size


@variant("L1.5", "in bits from the start")
def perplexity_and_bits(losses, texts):
    bits = np.hstack(losses) * math.log2(math.e)
    return 2.0 ** bits.mean(), bits.sum() / len(b"".join(text.encode() for text in texts))


@variant("L1.5", "means of documents, weighted by their tokens and bytes")
def perplexity_and_bits(losses, texts):
    tokens, sizes = [len(x) for x in losses], [len(text.encode()) for text in texts]
    nats = np.average([x.mean() for x in losses], weights=tokens)
    ratios = [x.sum() / size for x, size in zip(losses, sizes, strict=True)]
    return math.exp(nats), np.average(ratios, weights=sizes) / math.log(2)


# ----------------------------------------------------------------------------------------------------------------- L1.7


@variant("L1.7", "pair by pair")
def bigram_loss(table, ids, starts):
    total, n = 0.0 * F.sum(table), 0
    for t in range(1, len(ids)):
        if not starts[t]:
            row = table[int(ids[t - 1])]
            total, n = total + F.logsumexp(row, -1) - row[int(ids[t])], n + 1
    return total / max(n, 1)


@variant("L1.7", "by counts of pairs: every word given takes part as often as it stands there")
def bigram_loss(table, ids, starts):
    count = np.zeros(table.shape)
    t = np.flatnonzero(~starts[1:])
    np.add.at(count, (ids[t], ids[t + 1]), 1)
    return F.sum((F.logsumexp(table, -1, keepdims=True) - table) * count) / max(len(t), 1)


@variant("L1.7", "the first words have weight 0")
def bigram_loss(table, ids, starts):
    weight = 1.0 - starts[1:]
    logits = table[ids[:-1]]
    top = F.max(logits, -1, keepdims=True)
    log_p = logits - top - F.log(F.sum(F.exp(logits - top), -1, keepdims=True))
    return -F.sum(log_p[np.arange(len(ids) - 1), ids[1:]] * weight) / max(weight.sum(), 1)


# ----------------------------------------------------------------------------------------------------------------- L1.8


@variant("L1.8", "by two index arrays")
def zero_shot(log_p, prompt, options):
    scores = np.array([log_p[[prompt[-1], *option[:-1]], option].sum() for option in options])
    return scores, int(scores.argmax())


@variant("L1.8", "the whole text's score less the prompt's")
def zero_shot(log_p, prompt, options):
    def text(ids):
        return sum(log_p[ids[i], ids[i + 1]] for i in range(len(ids) - 1))

    scores = [text([*prompt, *option]) - text(prompt) for option in options]
    return np.array(scores), max(range(len(options)), key=lambda i: log_p[prompt[-1], options[i][0]] + text(options[i]))


@variant("L1.8", "the best so far, kept while reading")
def zero_shot(log_p, prompt, options):
    scores, best = np.zeros(len(options)), 0
    for i, option in enumerate(options):
        before = prompt[-1]
        for word in option:
            scores[i] += log_p[before, word]
            before = word
        best = i if scores[i] > scores[best] else best
    return scores, best
