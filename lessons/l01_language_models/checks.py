"""What lesson 1 proves."""

import functools
import itertools
import math
import random

import numpy as np

from minilm.course import claim, expect, expect_close, expect_gradient, expect_shape
from minilm.course.strategies import booleans, composite, floats, ids, integers, st
from minilm.mundito import Mundito, MunditoConfig
from minilm.ngram import KneserNey

# ------------------------------------------------------------------------------------------ L1.1 the chain rule


@composite
def joints(draw):
    """A joint distribution over texts of T words, and one of the texts."""
    V, T = draw(integers(2, 3)), draw(integers(1, 4))
    rng = np.random.default_rng(draw(integers(0, 10**6)))
    joint = rng.gamma(1.0, size=(V,) * T) + 0.05
    return joint / joint.sum(), draw(ids(T, vocabulary=V))


def probability_of_prefix(joint, prefix):
    V, T = joint.shape[0], joint.ndim
    rest = itertools.product(range(V), repeat=T - len(prefix))
    return math.fsum(float(joint[(*prefix, *later)]) for later in rest)


@claim("L1.1", "the factors multiply to the probability of the text", joints())
def multiply_to_the_joint(impl, joint, text):
    factors = impl.conditionals(joint, text)
    expect_shape(factors, (len(text),), "the factors")
    expect_close(math.prod(np.asarray(factors).tolist()), joint[tuple(text)], "the product of the factors")
    for n in range(1, len(text)):
        prefix = probability_of_prefix(joint, text[:n])
        expect_close(math.prod(np.asarray(factors)[:n].tolist()), prefix, f"the product of the first {n}")


@claim("L1.1", "each factor is a distribution over the words that may stand there", joints())
def are_distributions(impl, joint, text):
    for t in range(len(text)):
        total = 0.0
        for word in range(joint.shape[0]):
            other = text.copy()
            other[t] = word
            total += float(impl.conditionals(joint, other)[t])
        expect_close(total, 1.0, f"the sum over the words at position {t + 1}")
    expect_close(impl.conditionals(joint, text)[0], probability_of_prefix(joint, text[:1]), "the first factor")


@claim("L1.1", "a factor does not depend on what comes later", joints(), examples=40)
def do_not_see_the_future(impl, joint, text):
    factors = np.asarray(impl.conditionals(joint, text))
    for t in range(1, len(text)):
        other = text.copy()
        other[t:] = (other[t:] + 1) % joint.shape[0]
        expect_close(
            np.asarray(impl.conditionals(joint, other))[:t], factors[:t], f"the first {t}, with other words later"
        )


# -------------------------------------------------------------------------------------------------- L1.2 counting


@composite
def texts(draw):
    """A text of 2 to 9 words, and its vocabulary."""
    V = draw(integers(2, 4))
    return draw(ids(draw(integers(2, 9)), vocabulary=V)), V


@composite
def texts_and_k(draw):
    return *draw(texts()), draw(st.sampled_from([0.5, 0.125, 1.0, 3.0]))


def how_often(text, a, b):
    return sum(1 for x, y in zip(text[:-1].tolist(), text[1:].tolist(), strict=True) if (x, y) == (a, b))


@claim("L1.2", "probabilities are in the ratio of the counts with k added", texts_and_k())
def are_counts_with_k(impl, text, V, k):
    p = np.asarray(impl.smoothed_bigrams(text, V, k))
    expect_shape(p, (V, V), "the probabilities")
    for a in range(V):
        weights = [how_often(text, a, b) + k for b in range(V)]
        expect_close(p[a], np.array(weights) / math.fsum(weights), f"row {a}")


@claim("L1.2", "without smoothing they are relative frequencies, and uniform after a word without successor", texts())
def without_smoothing(impl, text, V):
    p = np.asarray(impl.smoothed_bigrams(text, V, 0.0))
    expect_shape(p, (V, V), "the probabilities")
    for a in range(V):
        after = [b for x, b in zip(text[:-1].tolist(), text[1:].tolist(), strict=True) if x == a]
        row = [after.count(b) / len(after) if after else 1 / V for b in range(V)]
        expect_close(p[a], np.array(row), f"row {a} with k = 0")


@claim(
    "L1.2",
    "relative frequencies are the bigram model under which the text itself is most probable",
    texts(),
    examples=40,
)
def are_most_probable(impl, text, V):
    def log_likelihood(p):
        return math.fsum(math.log(max(float(p[a, b]), 1e-300)) for a, b in zip(text[:-1], text[1:], strict=True))

    p = np.asarray(impl.smoothed_bigrams(text, V, 0.0))
    expect_close(p.sum(1), np.ones(V), "the sum of a row")
    rng = np.random.default_rng(len(text))
    for _ in range(5):
        other = 0.7 * p + 0.3 * rng.dirichlet(np.ones(V), V)
        expect(log_likelihood(p) >= log_likelihood(other) - 1e-12, "no other table makes the text more probable")


# ----------------------------------------------------------------------------------------------- L1.3 Kneser-Ney


@composite
def texts_and_discounts(draw):
    return *draw(texts()), draw(integers(1, 7)) / 8


def followers(text, V):
    return [{b for a, b in zip(text[:-1].tolist(), text[1:].tolist(), strict=True) if a == x} for x in range(V)]


@claim("L1.3", "every row is a distribution, also after a word that was never a context", texts_and_discounts())
def rows_sum_to_one(impl, text, V, d):
    p = np.asarray(impl.kneser_ney(text, V, d))
    expect_shape(p, (V, V), "the probabilities")
    expect(p >= -1e-12, "no probability is negative")
    expect_close(p.sum(1), np.ones(V), "the sum of a row")


@claim("L1.3", "what a word gets by being unseen here is in proportion to how many words it follows elsewhere",
       texts_and_discounts())  # fmt: skip
def unseen_words_get_continuations(impl, text, V, d):
    p, after = np.asarray(impl.kneser_ney(text, V, d)), followers(text, V)
    before = [sum(b in words for words in after) for b in range(V)]
    for a in range(V):
        total = sum(how_often(text, a, b) for b in range(V))
        reserve = d * len(after[a]) / total if total else 1.0
        for b in range(V):
            if b not in after[a]:
                expect_close(p[a, b], reserve * before[b] / sum(before), f"p({b} | {a}), which was not seen")


@claim("L1.3", "two words seen after the same word differ by their counts, and by nothing but their continuations",
       texts_and_discounts())  # fmt: skip
def seen_words_keep_their_counts(impl, text, V, d):
    p, after = np.asarray(impl.kneser_ney(text, V, d)), followers(text, V)
    before = [sum(b in words for words in after) for b in range(V)]
    for a in range(V):
        total = sum(how_often(text, a, b) for b in range(V))
        for b in after[a]:
            lower = d * len(after[a]) / total * before[b] / sum(before)
            expect_close((p[a, b] - lower) * total, how_often(text, a, b) - d, f"the discounted count of {a} {b}")


# ------------------------------------------------------------------------------------------------- L1.4 information


@composite
def pairs_of_distributions(draw):
    """p with zeros now and then, q without any where p is positive."""
    n = draw(integers(2, 5))
    rng = np.random.default_rng(draw(integers(0, 10**6)))
    p, q = rng.gamma(0.7, size=(2, n)) + 0.01
    p = np.where(draw(booleans(n)) & (np.arange(n) > 0), 0.0, p)
    q = np.where(draw(booleans(n)) & (p == 0), 0.0, q)
    return p / p.sum(), q / q.sum()


@claim("L1.4", "they are the expected surprise in bits, under p, of p and of q", pairs_of_distributions())
def are_expected_surprise(impl, p, q):
    H, cross, divergence = impl.information(p, q)
    outcomes = [(float(a), float(b)) for a, b in zip(p, q, strict=True) if a > 0]
    expect_close(H, math.fsum(a * math.log(1 / a, 2) for a, b in outcomes), "the entropy")
    expect_close(cross, math.fsum(a * math.log(1 / b, 2) for a, b in outcomes), "the cross-entropy")
    expect_close(divergence, math.fsum(a * math.log(a / b, 2) for a, b in outcomes), "the divergence")


@claim("L1.4", "no q has a smaller cross-entropy than p itself (Gibbs' inequality)", pairs_of_distributions())
def gibbs(impl, p, q):
    H, cross, divergence = impl.information(p, q)
    same = impl.information(p, p)
    expect_close(same[1], H, "the cross-entropy of p with itself")
    expect_close(same[2], 0.0, "the divergence of p from itself")
    expect(divergence >= -1e-12 and cross >= H - 1e-12, "the cross-entropy is at least the entropy")
    fair = np.full(8, 1 / 8)
    expect_close(impl.information(fair, fair)[0], 3.0, "the entropy of eight equal chances, in bits")


@claim("L1.4", "the entropy of two independent draws is the sum of their entropies", pairs_of_distributions())
def adds_up(impl, p, q):
    both, other = np.outer(p, q).ravel(), np.outer(q, p).ravel()
    expect_close(impl.information(both, both)[0], impl.information(p, p)[0] + impl.information(q, q)[0], "the entropy")
    mixed = 0.5 * both + 0.5 * other
    expect(impl.information(mixed, mixed)[0] >= impl.information(both, both)[0] - 1e-9, "mixing does not lose entropy")


@claim("L1.4", "what is possible and was held impossible costs infinitely much", pairs_of_distributions(), examples=40)
def impossible_is_infinite(impl, p, q):
    p, q = np.append(p * 0.75, 0.25), np.append(q, 0.0)
    H, cross, divergence = impl.information(p, q)
    expect(cross == math.inf and divergence == math.inf, "cross-entropy and divergence are infinite", got=cross)
    expect_close(
        H, 0.75 * impl.information(p[:-1] / 0.75, p[:-1] / 0.75)[0] - 0.75 * math.log2(0.75) + 0.5, "the entropy"
    )


# --------------------------------------------------------------------------------------------------------- L1.5 units


@composite
def documents(draw):
    """Losses of several documents, and their texts, some with letters of two and three bytes."""
    texts = draw(st.lists(st.sampled_from(["sol", "año", "el pingüino", "¿qué?", "ñu", "5 €"]), min_size=1, max_size=4))
    rng = np.random.default_rng(draw(integers(0, 10**6)))
    return [rng.gamma(1.0, size=draw(integers(1, 5))) + 0.1 for _ in texts], texts


@claim("L1.5", "perplexity is the inverse of the geometric mean of the probabilities of all tokens", documents())
def is_a_geometric_mean(impl, losses, texts):
    perplexity, _ = impl.perplexity_and_bits(losses, texts)
    tokens = [float(x) for document in losses for x in document]
    expect_close(
        perplexity ** len(tokens), math.exp(math.fsum(tokens)), "the perplexity to the power of the tokens", 1e-8
    )


@claim("L1.5", "bits per byte times bytes is what an arithmetic coder would write", documents())
def are_bits_of_the_whole(impl, losses, texts):
    _, bits = impl.perplexity_and_bits(losses, texts)
    size = len("".join(texts).encode("utf-8"))
    whole = math.fsum(-math.log2(math.exp(-float(x))) for document in losses for x in document)
    expect_close(bits * size, whole, "all bits of all documents")


@claim("L1.5", "neither depends on how the text is divided into documents", documents())
def do_not_depend_on_documents(impl, losses, texts):
    once = impl.perplexity_and_bits([np.concatenate(losses)], ["".join(texts)])
    expect_close(tuple(impl.perplexity_and_bits(losses, texts)), tuple(once), "in one document, or in several")


@claim("L1.5", "tokens cut in two change the perplexity and not the bits per byte", documents(), examples=40)
def depends_on_the_tokens(impl, losses, texts):
    perplexity, bits = impl.perplexity_and_bits(losses, texts)
    halves = [np.repeat(document / 2, 2) for document in losses]
    finer = impl.perplexity_and_bits(halves, texts)
    expect_close(finer[1], bits, "bits per byte of the finer tokens")
    expect_close(finer[0] ** 2, perplexity, "perplexity per token of the finer tokens, squared")


# --------------------------------------------------------------------------------------------------- L1.6 the source


@functools.cache
def world(seed=0):
    return Mundito(MunditoConfig(seed=seed))


def documents_of(source, n, seed):
    rng = random.Random(seed)
    return [source.document(rng) for _ in range(n)]


@claim("L1.6", "at every word, Mundito's probabilities sum to 1, and are those that its documents carry",
       integers(0, 10**6), examples=40)  # fmt: skip
def oracle_is_a_language_model(seed):
    source = world()
    tokens = documents_of(source, 1, seed)[0]
    state = source.start
    for token in tokens:
        p = source.dist(state)
        expect_close(p.sum(), 1.0, "the sum over all words")
        expect_close(math.log(p[token.id]), token.logp, "the log-probability of the word")
        state = source.step(state, token.id)


@claim("L1.6", "1 / p, on average over what the source writes, is the number of words that can come",
       integers(0, 10**6), examples=5)  # fmt: skip
def mean_of_inverse_probability(seed):
    source, rng = world(), np.random.default_rng(seed)
    p = source.dist(source.step(source.start, source.id_of["<bos>"]))  # of the first name
    inverse = 1 / p[rng.choice(len(p), 4000, p=p)]
    error = inverse.std() / math.sqrt(len(inverse))
    possible = np.count_nonzero(p)
    expect(
        abs(inverse.mean() - possible) < 4 * error, "the mean of 1 / p", expected=possible, got=float(inverse.mean())
    )


@claim(
    "L1.6",
    "n-grams of no order are better than the source on what it writes",
    integers(0, 10**6),
    integers(1, 4),
    examples=6,
)
def never_beats_the_source(seed, order):
    source = world()
    train, held_out = documents_of(source, 60, seed), documents_of(source, 40, seed + 1)
    model = KneserNey(order).fit(np.array([t.id for d in train for t in d]), source.vocab_size)
    excess = []
    for tokens in held_out:
        q = model.log_probabilities(np.array([t.id for t in tokens]))
        excess.append(float(np.sum([t.logp for t in tokens] - q)))
    error = np.std(excess) / math.sqrt(len(excess))
    expect(np.mean(excess) > -3 * error, "what is lost against the source, per document", got=float(np.mean(excess)))


# ------------------------------------------------------------------------------------------- L1.7 a neural bigram


@composite
def tables_and_texts(draw):
    """Logits (V, V), ids (N,), starts (N,); the first word starts a document."""
    V, N = draw(integers(2, 4)), draw(integers(2, 6))
    starts = draw(booleans(N))
    starts = np.where(np.arange(N) == 0, True, starts)
    return draw(floats(V, V)), draw(ids(N, vocabulary=V)), starts


@claim("L1.7", "it is the mean surprise at every word but the first of a document", tables_and_texts())
def is_the_mean_surprise(impl, table, text, starts):
    surprise = []
    for t in range(1, len(text)):
        if not starts[t]:
            row = [math.exp(x) for x in table[text[t - 1]]]
            surprise.append(-math.log(row[text[t]] / math.fsum(row)))
    expect_close(impl.bigram_loss(table, text, starts), math.fsum(surprise) / max(len(surprise), 1), "the loss")


@claim("L1.7", "only differences within a row count, be the logits as large as they like", tables_and_texts())
def only_differences_count(impl, table, text, starts):
    loss = impl.bigram_loss(table, text, starts)
    shift = 2000.0 * np.arange(len(table))[:, None] - 1000.0
    expect_close(impl.bigram_loss(table + shift, text, starts), loss, "after adding a number to each row", 1e-7)
    V = len(table)
    alone = np.zeros(len(text), bool)
    expect_close(impl.bigram_loss(np.zeros((V, V)), text, alone), math.log(V), "with all logits 0")


@claim("L1.7", "its gradient is that of its values", tables_and_texts(), examples=40)
def loss_has_its_gradient(impl, table, text, starts):
    expect_gradient(impl.bigram_loss, (table, text, starts))


@claim("L1.7", "it is least where the probabilities are the relative frequencies", tables_and_texts(), examples=40)
def is_least_at_the_frequencies(impl, table, text, starts):
    predicted = [(text[t - 1], text[t]) for t in range(1, len(text)) if not starts[t]]
    count = np.full(table.shape, 1e-30)
    for pair in predicted:
        count[pair] += 1
    least = impl.bigram_loss(np.log(count), text, starts)
    share = [count[pair] / count[pair[0]].sum() for pair in predicted]
    expect_close(least, -math.fsum(map(math.log, share)) / max(len(share), 1), "the loss at the relative frequencies")
    expect(least <= impl.bigram_loss(table, text, starts) + 1e-9, "no table has a smaller loss", got=least)


# ----------------------------------------------------------------------------------------------------- L1.8 zero-shot


@composite
def questions(draw):
    """A table of log-probabilities, a prompt, and options of different lengths."""
    V = draw(integers(2, 4))
    rng = np.random.default_rng(draw(integers(0, 10**6)))
    p = rng.gamma(0.6, size=(V, V)) + 0.01
    words = st.lists(integers(0, V - 1), min_size=1, max_size=3)
    return np.log(p / p.sum(1, keepdims=True)), draw(words), draw(st.lists(words, min_size=2, max_size=4))


@claim("L1.8", "an option's score is the log-probability of its words, given the prompt", questions())
def scores_are_log_probabilities(impl, log_p, prompt, options):
    scores, _ = impl.zero_shot(log_p, prompt, options)
    expect_shape(scores, (len(options),), "the scores")
    for option, score in zip(options, scores, strict=True):
        p, before = 1.0, prompt[-1]
        for word in option:
            p *= math.exp(log_p[before, word])
            before = word
        expect_close(math.exp(score), p, f"the probability of option {option}")


@claim("L1.8", "the answer is the first of the most probable options", questions())
def answer_is_the_best(impl, log_p, prompt, options):
    doubled = [*options, *options]
    scores, best = impl.zero_shot(log_p, prompt, doubled)
    expect(isinstance(best, (int, np.integer)), "the answer is a whole number", got=best)
    expect(best < len(options), "of equal options the first is chosen", got=best)
    expect(scores[best] >= np.max(scores) - 1e-12, "no option is more probable", got=best)
    for option in options:
        alone, _ = impl.zero_shot(log_p, prompt, [option])
        expect(alone[0] <= scores[best] + 1e-12, "the score of each option, asked alone, is no better")


@claim(
    "L1.8",
    "the probabilities of all one-word options sum to 1, and of all two-word options too",
    questions(),
    examples=40,
)
def are_probabilities(impl, log_p, prompt, options):
    V = len(log_p)
    for length in (1, 2):
        every = [list(words) for words in itertools.product(range(V), repeat=length)]
        scores, _ = impl.zero_shot(log_p, prompt, every)
        expect_close(float(np.exp(scores).sum()), 1.0, f"the sum over all options of {length}")
    longer = [[*option, 0] for option in options]
    expect(impl.zero_shot(log_p, prompt, longer)[0] < impl.zero_shot(log_p, prompt, options)[0] + 1e-12,
           "a longer option is less probable than its beginning")  # fmt: skip
