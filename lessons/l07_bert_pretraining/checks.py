"""What lesson 7 proves."""

import itertools
import math
from collections import Counter
from fractions import Fraction

import numpy as np
from hypothesis import strategies as st

import minilm.functional as F
from minilm import Tensor, grad
from minilm.course import claim, expect, expect_close, expect_gradient, expect_shape
from minilm.course.strategies import booleans, composite, floats, ids, integers, permutations
from minilm.models import BertConfig, BertForPreTraining
from minilm.mundito import Mundito
from minilm.mundito.oracle import fill_distribution
from minilm.mundito.tasks import documents
from minilm.text import PairBatches
from minilm.training import MaskedLMAndNextSentence

SPECIAL = {"[PAD]": 0, "[CLS]": 2, "[SEP]": 3, "[MASK]": 4}


def seeded(draw):
    """A generator for numbers without ties."""
    return np.random.default_rng(draw(integers(0, 2**32 - 1)))


# --------------------------------------------------------------------------------------------------- L7.1, choosing


@composite
def rows(draw):
    """real, special, priority, rate, most."""
    n, padding = draw(integers(3, 16)), draw(integers(0, 4))
    real = np.arange(n + padding) < n
    special = ~real | (np.arange(n + padding) == 0) | (np.arange(n + padding) == n - 1)
    special[1:n] |= draw(booleans(n - 1)) & draw(booleans(n - 1))
    priority = (draw(permutations(n + padding)) + 0.5) / (n + padding)
    return real, special, priority, draw(st.sampled_from([0.125, 0.25, 0.375])), draw(integers(1, 5))


@claim("L7.1", "as many are chosen as the rate says of all real tokens, at least one, at most `most`", rows())
def how_many(impl, real, special, priority, rate, most):
    chosen = impl.choose(real, special, priority, rate, most)
    expect_shape(chosen, real.shape)
    n, free = int(np.count_nonzero(real)), int(np.count_nonzero(real & ~special))
    wanted = min(most, max(1, round(Fraction(rate) * n)), free)
    expect_close(int(np.count_nonzero(chosen)), wanted, f"how many of {n} real tokens")


@claim("L7.1", "no special token and no padding is ever chosen", rows())
def never_special(impl, real, special, priority, rate, most):
    chosen = np.asarray(impl.choose(real, special, priority, rate, most))
    expect(chosen.dtype == bool, "booleans")
    expect(~chosen[special | ~real], "what may not be chosen")


@claim("L7.1", "who is chosen is decided by priority alone: none that was left out has a smaller one", rows())
def by_priority(impl, real, special, priority, rate, most):
    chosen = np.asarray(impl.choose(real, special, priority, rate, most), bool)
    left_out = real & ~special & ~chosen
    expect(priority[chosen][:, None] < priority[left_out][None], "the chosen come before those left out")
    again = np.asarray(impl.choose(real, special, priority / 7, rate, most), bool)
    expect(again == chosen, "only the order of the priorities counts")


# ------------------------------------------------------------------------------------------------- L7.2, corrupting


@composite
def tokens(draw):
    """ids, chosen, fate, draw, mask, ordinary: 0 … 4 are special, 5 … 11 are not."""
    T = draw(integers(1, 6))
    rng = seeded(draw)
    fate = np.where(rng.random(T) < 0.4, rng.random(T), 0.8 + 0.2 * rng.random(T))
    return draw(ids(T, vocabulary=7)) + 5, draw(booleans(T)), fate, rng.random(T), 4, np.arange(5, 12)


@claim("L7.2", "what was not chosen is read as it is; what was chosen is asked, and nothing else", tokens())
def asked(impl, original, chosen, fate, draw, mask, ordinary):
    inputs, targets = map(np.asarray, impl.corrupt(original, chosen, fate, draw, mask, ordinary))
    expect_close(inputs[~chosen], original[~chosen], "inputs that were not chosen")
    expect_close(targets, np.array([o if c else -100 for o, c in zip(original, chosen, strict=True)], int), "targets")


@claim("L7.2", "a chosen token becomes [MASK], another one or itself, as its fate says", tokens())
def fates(impl, original, chosen, fate, draw, mask, ordinary):
    inputs = np.asarray(impl.corrupt(original, chosen, fate, draw, mask, ordinary)[0])
    for t in np.flatnonzero(chosen):
        kind = ["[MASK]", "random", "itself"][int(fate[t] >= 0.8) + int(fate[t] >= 0.9)]
        wanted = {"[MASK]": 4, "random": 5 + math.floor(7 * draw[t]), "itself": int(original[t])}[kind]
        expect_close(int(inputs[t]), wanted, f"token {t}, whose fate {fate[t]:.2f} says {kind}")


@claim("L7.2", "of many chosen tokens 80 % become [MASK], 10 % random and 10 % stay; random ones are evenly spread",
       integers(0, 99), examples=5)  # fmt: skip
def parts(impl, seed):
    rng, n = np.random.default_rng(seed), 20_000
    original, chosen = rng.integers(5, 12, n), rng.random(n) < 0.5
    inputs = np.asarray(impl.corrupt(original, chosen, rng.random(n), rng.random(n), 4, np.arange(5, 12))[0])
    total = int(chosen.sum())

    def near(part, count, what):
        expect(abs(count - part * total) < 5 * math.sqrt(part * (1 - part) * total), what, expected=part,
               got=count / total)  # fmt: skip

    near(0.8, int((inputs[chosen] == 4).sum()), "the part that becomes [MASK]")
    near(0.1 + 0.1 / 7, int((inputs == original)[chosen].sum()), "the part that is still there, some by chance")
    for token in range(5, 12):
        other = chosen & (original != token)
        count, expected = int((inputs[other] == token).sum()), 0.1 / 7 * int(other.sum())
        expect(abs(count - expected) < 5 * math.sqrt(expected), f"how often token {token} replaces another",
               expected=expected, got=count)  # fmt: skip


# -------------------------------------------------------------------------------------------- L7.3, the best guess


@composite
def guesses(draw):
    """p as whole numbers of a total, masked and random as eighths."""
    V = draw(integers(2, 5))
    counts = [draw(integers(1, 9)) for _ in range(V)]
    masked, random = draw(st.sampled_from([(6, 1), (4, 2), (1, 4), (2, 4), (5, 1), (1, 2)]))
    return np.array(counts, float) / sum(counts), draw(integers(0, V - 1)), masked / 8, random / 8


@claim("L7.3", "it is what a table of all originals and all they can turn into says", guesses())
def by_table(impl, p, shown, masked, random):
    V = len(p)
    column = []
    for w in range(V):
        becomes = [Fraction(random) / V] * V
        becomes[w] += 1 - Fraction(masked) - Fraction(random)
        column.append(Fraction(p[w]) * becomes[shown])
    wanted = np.array([float(c / sum(column)) for c in column])
    expect_close(impl.best_guess(p, shown, masked, random), wanted, f"when token {shown} is shown")


@claim("L7.3", "[MASK] says nothing, a token that never was random says all, one that never stayed nothing", guesses())
def extremes(impl, p, shown, masked, random):
    V = len(p)
    expect_close(impl.best_guess(p, V, masked, random), p, "under [MASK]")
    expect_close(impl.best_guess(p, shown, masked, 0.0), np.eye(V)[shown], "when random tokens do not occur")
    expect_close(impl.best_guess(p, shown, masked, 1 - masked), p, "when no token stays")


@claim("L7.3", "guesses, each weighted by how often it is shown, give back what was known before", guesses())
def total(impl, p, shown, masked, random):
    V, stay = len(p), 1 - masked - random
    back = masked * np.asarray(impl.best_guess(p, V, masked, random))
    for s in range(V):
        back = back + (random / V + stay * p[s]) * np.asarray(impl.best_guess(p, s, masked, random))
    expect_close(back, p, "the mean of all guesses")


@claim("L7.3", "its gradient is that of its values", guesses(), examples=40)
def guess_gradient(impl, p, shown, masked, random):
    expect_gradient(impl.best_guess, (p, shown, masked, random), tolerance=1e-5)


# ---------------------------------------------------------------------------------------------------- L7.4, the loss


@composite
def scored(draw):
    """logits (B, T, V), targets (B, T)."""
    B, T, V = draw(integers(1, 3)), draw(integers(1, 4)), draw(integers(2, 5))
    return draw(floats(B, T, V)), np.where(draw(booleans(B, T)), draw(ids(B, T, vocabulary=V)), -100)


@claim("L7.4", "it is the mean of −log p over the positions that are asked, of the whole batch", scored())
def mean_of_asked(impl, logits, targets):
    losses = []
    for b, t in zip(*np.nonzero(targets >= 0), strict=True):
        row = logits[b, t]
        losses.append(math.log(math.fsum(math.exp(z) for z in row)) - row[targets[b, t]])
    expect_close(impl.masked_loss(logits, targets), math.fsum(losses) / max(len(losses), 1), "the loss")


@claim("L7.4", "logits of positions that are not asked change nothing, and get no gradient", scored())
def others(impl, logits, targets):
    loss = impl.masked_loss(logits, targets)
    changed = np.where((targets == -100)[..., None], -2 * logits + np.arange(logits.shape[-1]), logits)
    expect_close(impl.masked_loss(changed, targets), loss, "the loss with other logits where nothing is asked")
    expect_gradient(impl.masked_loss, (logits, targets))


# --------------------------------------------------------------------------------------------------- L7.5, the pairs


@composite
def continuations(draw):
    """own: the first has tokens from 1 on, the second from 101 on; two coins."""
    n, m = draw(integers(1, 5)), draw(integers(1, 5))
    return [list(range(1, n + 1)), list(range(101, m + 101))], draw(booleans(2)).tolist()


@claim("L7.5", "whatever the coins say, the second texts are as long", continuations())
def same_length(impl, own, coins):
    n = min(len(own[0]), len(own[1]))
    lengths = [[len(t) for t in impl.next_or_not(own, list(c))[0]] for c in itertools.product([False, True], repeat=2)]
    expect_close(lengths, [[n, n]] * 4, "the lengths for all four falls of the coins")


@claim("L7.5", "each coin decides for its own pair, and the label says what it decided", continuations())
def decided(impl, own, coins):
    seconds, labels = impl.next_or_not(own, coins)
    for i in (0, 1):
        source = own[1 - i] if coins[i] else own[i]
        expect(seconds[i] == source[: len(seconds[i])] and len(seconds[i]) > 0, f"the second text of pair {i}",
               expected=source, got=seconds[i])  # fmt: skip
        expect_close(int(labels[i]), 1 if coins[i] else 0, f"the label of pair {i}")


@claim("L7.5", "over all falls of the coins every text stands as often with label 0 as with label 1", continuations())
def balanced(impl, own, coins):
    seen = Counter()
    for both in itertools.product([False, True], repeat=2):
        for second, label in zip(*impl.next_or_not(own, list(both)), strict=True):
            seen[tuple(second), int(label)] += 1
    expect({label for _, label in seen} == {0, 1}, "both labels occur")
    for second, _ in list(seen):
        expect_close(seen[second, 0], seen[second, 1], f"how often {list(second)} has label 0 and 1")


# ------------------------------------------------------------------------------------------- L7.6, what a label leaks


@composite
def examples(draw):
    """feature, labels."""
    n = draw(integers(2, 16))
    return draw(ids(n, vocabulary=3)), draw(ids(n, vocabulary=2))


@claim("L7.6", "it is what counting by hand gives", examples())
def by_hand(impl, feature, labels):
    half, right = len(labels) // 2, 0
    for i in range(half, len(labels)):
        alike = [int(labels[j]) for j in range(half) if feature[j] == feature[i]]
        right += int(labels[i]) == int(2 * sum(alike) > len(alike))
    expect_close(impl.told_by(feature, labels), right / (len(labels) - half), "the part that is told")


@claim("L7.6", "what values are called does not matter, only which are equal", examples(), permutations(3))
def names(impl, case, order):
    feature, labels = case
    expect_close(impl.told_by(10 * order[feature] - 5, labels), impl.told_by(feature, labels), "with other values")
    half = len(labels) // 2
    turned = np.concatenate([np.arange(half), np.arange(half, len(labels))[::-1]])
    expect_close(impl.told_by(feature[turned], labels[turned]), impl.told_by(feature, labels), "in another order")


@claim("L7.6", "a label that chance decided cannot be told, one that the feature decides can", integers(0, 99),
       examples=5)  # fmt: skip
def chance(impl, seed):
    rng, n = np.random.default_rng(seed), 4000
    feature, noise = rng.integers(0, 1000, n), rng.integers(0, 2, n)
    expect(abs(impl.told_by(feature, noise) - 0.5) < 0.06, "by chance, with few examples of each value")
    expect_close(impl.told_by(feature % 10, feature % 10 % 2), 1.0, "by the feature")


# --------------------------------------------------------------------------------------------------- of minilm itself


@claim("L7.7", "BERT's own way to make pairs lets lengths tell the label; minilm's does not", examples=1)
def lengths_tell():
    matched, by_bert = (told_by_lengths(match) for match in (True, False))
    expect(abs(matched - 0.5) < 0.03, "lengths matched: no better than a coin", expected=0.5, got=matched)
    expect(by_bert > 0.55, "BERT's procedure: better", expected=0.55, got=by_bert)


def told_by_lengths(match):
    """How well the length of b tells the label: learned on half of the pairs of a few epochs, tested on the rest."""
    batches = PairBatches(documents(Mundito(), 1500, seed=0), SPECIAL, 64, 32, seed=0, match_lengths=match)
    found = [batches.pairs(epoch) for epoch in range(3)]
    lengths = np.concatenate([pairs.b[:, 1] - pairs.b[:, 0] for pairs in found])
    labels = np.concatenate([pairs.label for pairs in found])
    half = len(labels) // 2
    votes = np.bincount(lengths[:half], 2 * labels[:half] - 1, minlength=lengths.max() + 1)
    return float(((votes[lengths[half:]] > 0) == labels[half:]).mean())


@claim("L7.8", "the loss is a mean over asked words plus one over pairs; those enter where asked, these by [CLS]",
       ids(3, 6, vocabulary=9), booleans(3, 6), ids(3, vocabulary=2), examples=20)  # fmt: skip
def two_means(original, chosen, labels):
    chosen = chosen | (np.arange(6) == 1)
    targets = np.where(chosen, original, -100)
    model = BertForPreTraining(BertConfig(9, 8, 8, 1, heads=2, initial_std=0.3), seed=1).astype(np.float64)
    batch = {"ids": original, "targets": targets, "next_label": labels}
    objective = MaskedLMAndNextSentence()
    loss = objective(model, batch, objective.counts(batch))[0].item()
    words, answers = (logits.numpy() for logits in model(original))
    logp = words - np.log(np.exp(words).sum(-1, keepdims=True))
    mlm = -np.mean([logp[b, t, original[b, t]] for b, t in zip(*np.nonzero(chosen), strict=True)])
    nsp = -np.mean([answers[b, y] - np.log(np.exp(answers[b]).sum()) for b, y in enumerate(labels)])
    expect_close(loss, mlm + nsp, "the loss")
    hidden = Tensor(model.bert(original).hidden.numpy(), requires_grad=True)
    (g,) = grad(model.word_loss(hidden, targets)[0], [hidden])
    expect((abs(g.numpy()).max(-1) > 0) == chosen, "which positions' last states the words' loss reaches")
    (g,) = grad(F.cross_entropy(model.next_sentence(model.bert.pool(hidden)), labels), [hidden])
    expect((abs(g.numpy()).max(-1) > 0) == (np.arange(6) == 0), "which positions' last states the pairs' loss reaches")


@claim("L7.9", "the oracle's guess of a hidden word is Bayes' rule over all words that could stand there",
       integers(0, 10**6), examples=20)  # fmt: skip
def oracle_is_bayes(seed):
    world, rng = Mundito(), np.random.default_rng(seed)
    (document,) = documents(world, 1, seed)
    text = [world.id_of["<bos>"], *itertools.chain(*document)]
    at = int(rng.integers(1, len(text)))
    joint = np.zeros(world.vocab_size)
    for word in range(world.vocab_size):
        joint[word] = math.exp(math.fsum(world.logp([*text[:at], word, *text[at + 1 :]])) - math.fsum(world.logp(text)))
    expect_close(fill_distribution(world, text, at), joint / joint.sum(), f"the word at {at}", 1e-7)


@claim("L7.9", "in the mean both sides know more of a word than the left one alone", examples=1)
def both_sides_know_more():
    world, gains, rng = Mundito(), [], np.random.default_rng(0)
    for document in documents(world, 150, seed=5):
        text = [world.id_of["<bos>"], *itertools.chain(*document)]
        at = int(rng.integers(1, len(text)))
        gains.append(math.log(fill_distribution(world, text, at)[text[at]]) - world.logp(text)[at])
    error = np.std(gains) / math.sqrt(len(gains))
    expect(np.mean(gains) > 3 * error, "nats gained by the right side", expected=3 * error, got=np.mean(gains))
