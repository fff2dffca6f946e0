"""Other right answers."""

import math

import numpy as np

import minilm.functional as F
from minilm.course import variant


@variant("L7.1", "token by token, the smallest first")
def choose(real, special, priority, rate, most):
    n = sum(bool(r) for r in real)
    wanted = min(most, max(1, round(rate * n)))
    places = sorted((t for t in range(len(real)) if real[t] and not special[t]), key=lambda t: priority[t])
    chosen = np.zeros(len(real), bool)
    for t in places[:wanted]:
        chosen[t] = True
    return chosen


@variant("L7.1", "by a threshold: the priority of the last one chosen")
def choose(real, special, priority, rate, most):
    allowed = np.logical_and(real, np.logical_not(special))
    k = min(most, max(1, int(np.rint(rate * real.sum()))), allowed.sum())
    if k == 0:
        return allowed
    return allowed & (priority <= np.sort(priority[allowed])[k - 1])


@variant("L7.1", "by rank: fewer than k allowed ones before it")
def choose(real, special, priority, rate, most):
    allowed = real & ~special
    before = ((priority[None] < priority[:, None]) & allowed[None]).sum(1)
    return allowed & (before < min(most, max(1, round(rate * real.sum()))))


@variant("L7.2", "token by token")
def corrupt(ids, chosen, fate, draw, mask, ordinary):
    inputs, targets = [], []
    for t, token in enumerate(ids):
        targets.append(int(token) if chosen[t] else -100)
        if chosen[t] and fate[t] < 0.8:
            inputs.append(mask)
        elif chosen[t] and fate[t] < 0.9:
            inputs.append(int(ordinary[int(draw[t] * len(ordinary))]))
        else:
            inputs.append(int(token))
    return inputs, targets


@variant("L7.2", "into copies, by places")
def corrupt(ids, chosen, fate, draw, mask, ordinary):
    inputs, targets = ids.copy(), np.full_like(ids, -100)
    targets[chosen] = ids[chosen]
    strange = chosen & (fate >= 0.8) & (fate < 0.9)
    inputs[strange] = ordinary[np.floor(draw[strange] * len(ordinary)).astype(int)]
    inputs[chosen & (fate < 0.8)] = mask
    return inputs, targets


@variant("L7.2", "by the kinds' numbers")
def corrupt(ids, chosen, fate, draw, mask, ordinary):
    kind = np.where(chosen, np.digitize(fate, [0.8, 0.9]), 2)
    choices = np.stack([np.full(len(ids), mask), np.take(ordinary, (draw * len(ordinary)).astype(int)), ids])
    return choices[kind, np.arange(len(ids))], ids * chosen - 100 * ~chosen


@variant("L7.3", "by the whole table of originals and what they become")
def best_guess(p, shown, masked, random):
    V = p.shape[0]
    becomes = np.full((V, V + 1), random / V)
    becomes[np.arange(V), np.arange(V)] += 1 - masked - random
    becomes[:, V] = masked
    column = p * becomes[:, shown]
    return column / F.sum(column)


@variant("L7.3", "as a mixture of what is shown and what was known")
def best_guess(p, shown, masked, random):
    V, stay = p.shape[0], 1 - masked - random
    if shown == V:
        return p * 1.0
    kept = stay * p[shown] / (stay * p[shown] + random / V)
    return kept * (np.arange(V) == shown) + (1 - kept) * p


@variant("L7.3", "in logarithms")
def best_guess(p, shown, masked, random):
    V = p.shape[0]
    if shown == V:
        return p / F.sum(p)
    with np.errstate(divide="ignore"):
        log_likelihood = np.log(random / V + (1 - masked - random) * np.eye(V)[shown])
    return F.softmax(F.log(p) + log_likelihood)


@variant("L7.4", "by the library")
def masked_loss(logits, targets):
    n = int((targets != -100).sum())
    return F.cross_entropy(logits, targets, reduction="sum") / max(n, 1)


@variant("L7.4", "by one-hot targets that are all 0 where nothing is asked")
def masked_loss(logits, targets):
    wanted = np.eye(logits.shape[-1])[targets.clip(0)] * (targets >= 0)[..., None]
    return -F.sum((logits - F.logsumexp(logits, -1, True)) * wanted) / max(1, int(wanted.sum()))


@variant("L7.4", "position by position")
def masked_loss(logits, targets):
    losses = []
    for b, row in enumerate(targets):
        for t, target in enumerate(row):
            if target >= 0:
                losses.append(F.logsumexp(logits[b, t]) - logits[b, t, int(target)])
    return sum(losses) / len(losses) if losses else 0.0


@variant("L7.5", "cut first, then exchanged")
def next_or_not(own, coins):
    first, second = own[0][: len(own[1])], own[1][: len(own[0])]
    return [second if coins[0] else first, first if coins[1] else second], [1 if coin else 0 for coin in coins]


@variant("L7.5", "by the number of the source")
def next_or_not(own, coins):
    n = len(own[0]) if len(own[0]) < len(own[1]) else len(own[1])
    sources = [i ^ int(coins[i]) for i in range(2)]
    return [list(own[s])[:n] for s in sources], [i ^ s for i, s in enumerate(sources)]


@variant("L7.5", "token by token")
def next_or_not(own, coins):
    seconds = [[], []]
    for pair in zip(*own, strict=False):
        for i in range(2):
            seconds[i].append(pair[(i + coins[i]) % 2])
    return seconds, [int(coins[0]), int(coins[1])]


@variant("L7.6", "by the mean label of equal values")
def told_by(feature, labels):
    half, right = len(labels) // 2, []
    for value, label in zip(feature[half:], labels[half:], strict=True):
        alike = labels[:half][feature[:half] == value]
        right.append(bool(label) == (len(alike) > 0 and alike.mean() > 0.5))
    return sum(right) / len(right)


@variant("L7.6", "by a table of counts")
def told_by(feature, labels):
    half = len(labels) // 2
    values, number = np.unique(feature, return_inverse=True)
    counts = np.zeros((len(values), 2), int)
    np.add.at(counts, (number[:half], labels[:half]), 1)
    return float(np.mean(counts.argmax(1)[number[half:]] == labels[half:]))


@variant("L7.6", "by all pairs of examples")
def told_by(feature, labels):
    half = len(labels) // 2
    alike = feature[half:, None] == feature[None, :half]
    votes = (alike * (2 * labels[:half] - 1)).sum(1)
    return math.fsum((votes > 0) == labels[half:]) / (len(labels) - half)
