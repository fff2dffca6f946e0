"""The tasks of lesson 7."""

import numpy as np

import minilm.functional as F
from minilm.course import task


@task("L7.1", points=2, plain=True)
def choose(real, special, priority, rate, most):
    """Which tokens of a row are to be guessed, as booleans (T,).

    real: booleans (T,), False for padding. special: booleans (T,), True for [CLS], [SEP] and padding. priority: T
    different random numbers. rate: a part from 0 to 1. most: a whole number of at least 1.
    With n real tokens, special ones counted, min(most, max(1, round(rate · n))) tokens are chosen (Python's round);
    never a special one, so fewer where there are not as many others. Chosen are those with the smallest priorities.
    """
    allowed = real & ~special
    count = min(most, max(1, round(rate * int(real.sum()))), int(allowed.sum()))
    chosen = np.zeros(len(real), bool)
    chosen[np.argsort(np.where(allowed, priority, np.inf))[:count]] = True
    return chosen


@task("L7.2", points=3, keep=1, plain=True)
def corrupt(ids, chosen, fate, draw, mask, ordinary):
    """What the model reads, and what it is asked: two lists or arrays of integers (T,), (inputs, targets).

    ids: integers (T,). chosen: booleans (T,). fate, draw: random numbers (T,), 0 ≤ u < 1. mask: the id of [MASK].
    ordinary: integers (n,), the ids of all tokens that are not special.
    Where a token is chosen, the input is [MASK] if fate < .8, else a random token if fate < .9, else the token itself.
    The random token is ordinary[⌊draw · n⌋], which may be the token itself. The target is the original token wherever
    one is chosen, -100 elsewhere. `ids` stays as it is.
    """
    replacement = ordinary[(draw * len(ordinary)).astype(int)]
    fated = np.where(fate < 0.8, mask, np.where(fate < 0.9, replacement, ids))
    return np.where(chosen, fated, ids), np.where(chosen, ids, -100)


@task("L7.3", points=3)
def best_guess(p, shown, masked, random):
    """The best that anyone can guess at a chosen position: p(original | what is shown there, all around it), (V,).

    p: (V,), what the words around say of the original; positive, sums to 1. shown: an integer, 0 … V−1 for an ordinary
    token, V for [MASK]. masked, random: the parts of the chosen that become [MASK] and a random token (any of the V,
    equally likely); the rest stay. They are such that what is shown can come about.
    """
    V = p.shape[0]
    if shown == V:
        return p
    likelihood = random / V + (1 - masked - random) * (np.arange(V) == shown)
    joint = p * likelihood
    return joint / F.sum(joint)


@task("L7.4", points=2)
def masked_loss(logits, targets):
    """−(1/N) Σ log p(target), in nats, over the N positions of the whole batch that have a target; 0 if there is none.

    logits: (B, T, V). targets: integers (B, T), from 0 to V−1, or -100 where nothing is asked. Result: one number.
    """
    rows, places = np.nonzero(targets != -100)
    if not len(rows):
        return F.sum(logits) * 0
    asked = logits[rows, places]
    return F.mean(F.logsumexp(asked, -1) - asked[np.arange(len(rows)), targets[rows, places]])


@task("L7.5", points=2, plain=True)
def next_or_not(own, coins):
    """Two pairs for next-sentence prediction, whose lengths say nothing: (second texts, labels).

    own: two lists of token ids, the true continuations of two first texts of different documents. coins: two booleans.
    Both continuations are first cut, at their ends, to the length of the shorter one. Then, for each of the two first
    texts by itself: where its coin is False it keeps its own continuation, and its label is 0; where it is True it gets
    the other's, and its label is 1. Result: a list of the two second texts, and a list of the two labels.
    """
    n = min(map(len, own))
    seconds = [own[1 - i][:n] if coins[i] else own[i][:n] for i in (0, 1)]
    return seconds, [int(coin) for coin in coins]


@task("L7.6", worked=True, plain=True)
def told_by(feature, labels):
    """How well labels can be told from one whole number alone: a part from 0 to 1.

    feature, labels: integers (n,), n ≥ 2; labels are 0 or 1. The first ⌊n/2⌋ examples teach: for each value of the
    feature the label that came more often with it there. The others test: the result is the part of them whose label
    is what their feature's value says. A value that was never seen, or came with both labels equally often, says 0.
    """
    half = len(labels) // 2
    votes: dict[int, int] = {}
    for value, label in zip(feature[:half].tolist(), labels[:half].tolist(), strict=True):
        votes[value] = votes.get(value, 0) + (1 if label else -1)
    said = np.array([votes.get(value, 0) > 0 for value in feature[half:].tolist()])
    return float((said == labels[half:]).mean())
