"""The tasks of lesson 1, answered."""

import math

import numpy as np

import minilm.functional as F
from minilm.course import task


@task("L1.1", worked=True, plain=True)
def conditionals(joint, ids):
    """The factors of the chain rule: P(x_t | x_1 … x_{t−1}) for each word of a text.

    joint: positive numbers (V, …, V), one axis a position, T of them, that sum to 1: joint[x_1, …, x_T] is the
    probability of that text. ids: integers (T,) -> (T,). The first factor is P(x_1). Their product is joint[x_1, …,
    x_T].
    """
    prefix = [joint.sum()]  # P of the first 0, 1, … T words
    for t in range(1, len(ids) + 1):
        prefix.append(joint[tuple(ids[:t])].sum())  # whatever follows
    return np.array([prefix[t] / prefix[t - 1] for t in range(1, len(ids) + 1)])


@task("L1.2", points=1, keep=2, plain=True)
def smoothed_bigrams(ids, vocabulary, k):
    """Bigram probabilities with k added to every count: p(b | a) = (c(ab) + k) / (Σ_b' c(ab') + k V).

    ids: integers (N,) below V = vocabulary, one text, k: a number of at least 0 -> (V, V), row a the distribution of
    the word after a. c(ab) counts how often b stands right after a. A row without any count, with k = 0, is uniform.
    """
    count = np.zeros((vocabulary, vocabulary))
    np.add.at(count, (ids[:-1], ids[1:]), 1)
    weight = count + k
    weight[weight.sum(1) == 0] = 1
    return weight / weight.sum(1, keepdims=True)


@task("L1.3", points=3, plain=True)
def kneser_ney(ids, vocabulary, discount):
    """Interpolated Kneser-Ney bigrams: p(b | a) = max(c(ab) − d, 0) / c(a) + d n(a) / c(a) · q(b).

    ids: integers (N,) below V, N ≥ 2, discount: d, 0 < d < 1 -> (V, V). c(ab) counts how often b stands right after a,
    c(a) = Σ_b c(ab), and n(a) is how many different words stand right after a. q(b) is how many different words stand
    right before b, as a share of the sum of these numbers over all b. Where c(a) = 0, row a is q.
    """
    count = np.zeros((vocabulary, vocabulary))
    np.add.at(count, (ids[:-1], ids[1:]), 1)
    seen = count > 0
    q = seen.sum(0) / seen.sum()
    total = count.sum(1, keepdims=True)
    kept = np.maximum(count - discount, 0) / np.maximum(total, 1)
    reserve = np.where(total > 0, discount * seen.sum(1, keepdims=True) / np.maximum(total, 1), 1)
    return kept + reserve * q


@task("L1.4", points=2, plain=True)
def information(p, q):
    """Entropy of p, cross-entropy of p and q, and their difference, the divergence of q from p, in bits.

    p, q: (n,), distributions -> three numbers: H(p) = −Σ p log₂ p, H(p, q) = −Σ p log₂ q, KL(p ‖ q). An outcome with
    p = 0 adds 0 to each, whatever q. An outcome with p > 0 and q = 0 makes the second and the third infinite. No
    warning may be printed.
    """
    possible = p > 0
    p, q = p[possible], q[possible]
    entropy = -np.sum(p * np.log2(p))
    cross = -np.sum(p * np.log2(q)) if np.all(q > 0) else math.inf
    return entropy, cross, cross - entropy


@task("L1.5", points=2, plain=True)
def perplexity_and_bits(losses, texts):
    """Perplexity per token and bits per byte of a model on several documents.

    losses: a list of arrays, one a document: −ln p of each of its tokens, in nats. texts: the list of the documents,
    as text -> two numbers: e to the mean loss over all tokens of all documents, and the sum of all losses in bits,
    divided by the number of bytes of all the texts in UTF-8. Documents differ in length; each token, and each byte,
    counts alike.
    """
    nats = np.concatenate(losses)
    size = sum(len(text.encode("utf-8")) for text in texts)
    return math.exp(nats.mean()), nats.sum() / (math.log(2) * size)


@task("L1.7", points=3)
def bigram_loss(table, ids, starts):
    """What a neural bigram minimizes: the mean of −ln p(ids[t + 1] | ids[t]), with row a of the table softmax's logits.

    table: (V, V), p(b | a) = exp(table[a, b]) / Σ_b' exp(table[a, b']). ids: integers (N,). starts: booleans (N,), True
    where a document begins: the first word of a document is not predicted, and the mean is over the words that are. If
    there are none the loss is 0. Finite logits of any size are served. -> a number.
    """
    predicted = np.flatnonzero(~starts[1:])  # the t whose next word counts
    logits = table[ids[predicted]]  # (n, V)
    right = logits[np.arange(len(predicted)), ids[predicted + 1]]
    return F.sum(F.logsumexp(logits, -1) - right) / max(len(predicted), 1)


@task("L1.8", points=2, plain=True)
def zero_shot(log_p, prompt, options):
    """Let a bigram model answer a question without having been trained to: which continuation is the most probable?

    log_p: (V, V), log_p[a, b] = ln p(b | a). prompt: a list of word ids, at least one. options: a list of lists of word
    ids, none of them empty -> the log-probabilities of the options given the prompt, (n,), and the number of the best
    (the first among equals). All words of an option count, each given the word before it.
    """
    scores = []
    for option in options:
        words = [prompt[-1], *option]
        scores.append(sum(log_p[a, b] for a, b in zip(words[:-1], words[1:], strict=True)))
    return np.array(scores), int(np.argmax(scores))
