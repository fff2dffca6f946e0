"""The tasks of lesson 8, answered."""

import math
import re

import numpy as np

import minilm.functional as F
from minilm.course import task


@task("L8.1", points=2, keep=1)
def class_logits(hidden, real, weight, bias, causal):
    """The logits of each text's class: one state of each row, times weight, plus bias.

    hidden: (B, T, D), real: booleans (B, T), False where a row was filled up with padding, on either side or both,
    weight: (D, C), bias: (C,), causal: True or False -> (B, C). With causal the state is that of the row's last real
    token, which has read all of them; without, that of its first one, [CLS]. Every row has a real token.
    """
    B, T, _ = hidden.shape
    at = T - 1 - np.argmax(real[:, ::-1], axis=1) if causal else np.argmax(real, axis=1)
    return hidden[np.arange(B), at] @ weight + bias


@task("L8.3", points=2)
def piece_tags(tags, pieces, length):
    """The label of each position of a row, out of those of the words.

    tags: W integers, one a word; pieces: W integers, into how many pieces each word is cut, at least 1; length: T, at
    least 3 -> integers (T,). The row is [CLS], the pieces of all words, [SEP], padding. Of pieces that do not fit
    between [CLS] and [SEP], the last ones are cut off. The first piece of a word, where it is there, has the word's
    label; every other position has -100.
    """
    labels = np.full(length, -100)
    starts = 1 + np.cumsum(pieces) - np.array(pieces)  # (W,)
    fits = starts < length - 1
    labels[starts[fits]] = np.array(tags)[fits]
    return labels


@task("L8.4", points=3, plain=True)
def best_span(start, end, passage, longest):
    """The span i … j, both ends counted, with the largest start[i] + end[j]; its ends as a tuple (i, j).

    start, end: (T,), passage: booleans (T,), True along the passage and nowhere else, longest: an integer of at least
    1. Allowed are spans that lie in the passage, with i ≤ j, of at most `longest` tokens. Of equals the first, by i
    and then by j. None where nothing is allowed.
    """
    T = len(start)
    i, j = np.indices((T, T))
    allowed = (i <= j) & (j < i + longest) & passage[:, None] & passage
    score = np.where(allowed, start[:, None] + end, -math.inf)
    if not allowed.any():
        return None
    return tuple(int(at) for at in divmod(score.argmax(), T))


@task("L8.5", worked=True, plain=True)
def scores(gold, guessed):
    """How good guesses at a yes-or-no question are: (accuracy, F1, Matthews' correlation).

    gold, guessed: integers (N,), 0 or 1, with N at least 1 -> three numbers. With the counts of yes that are yes (tp),
    no that are no (tn), wrongly yes (fp), wrongly no (fn): F1 = 2 tp / (2 tp + fp + fn), and Matthews is
    (tp tn − fp fn) / √((tp + fp)(tp + fn)(tn + fp)(tn + fn)). What would be 0 / 0 is 0.
    """
    tp, tn = int(((gold == 1) & (guessed == 1)).sum()), int(((gold == 0) & (guessed == 0)).sum())
    fp, fn = int(((gold == 0) & (guessed == 1)).sum()), int(((gold == 1) & (guessed == 0)).sum())
    below = math.sqrt((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn))
    f1 = 2 * tp / (2 * tp + fp + fn) if tp else 0.0
    return (tp + tn) / len(gold), f1, (tp * tn - fp * fn) / below if below else 0.0


@task("L8.6", points=2)
def layer_rates(names, layers, rate, factor, frozen):
    """The learning rate of each parameter: lower with every level down, and 0 for what is frozen.

    names: texts such as "gpt.blocks.3.norm.weight"; layers: L, the number of blocks; rate: that of the top; factor:
    above 0; frozen: an integer, 0 … L + 1 -> a dict, name: rate. Levels: 0 for names with "embedding" in them, l + 1
    for those with "blocks.l.", L + 1 for all others (final norm, pooler, head). Level n has the rate
    rate · factor^(L + 1 − n), and the lowest `frozen` levels have 0.
    """
    found = {}
    for name in names:
        block = re.search(r"blocks\.(\d+)\.", name)
        level = int(block[1]) + 1 if block else 0 if "embedding" in name else layers + 1
        found[name] = 0.0 if level < frozen else rate * factor ** (layers + 1 - level)
    return found


@task("L8.8", points=2)
def similarity(hidden, real):
    """How alike texts are: the cosine of the means of their states, for each two of them.

    hidden: (B, T, D), real: booleans (B, T), at least one True in each row -> (B, B). A text's vector is the mean of
    the states of its real tokens; the cosine of u and v is u · v / (‖u‖ ‖v‖). No text's vector is 0.
    """
    weights = real / real.sum(1, keepdims=True)  # (B, T)
    mean = F.sum(hidden * weights[:, :, None], axis=1)  # (B, D)
    unit = mean / F.sqrt(F.sum(mean * mean, -1, keepdims=True))
    return unit @ unit.T


@task("L8.9", points=3)
def answer_scores(logits, ids, prompt, lengths, per_token):
    """How probable each of C answers is after the same prompt, in nats.

    logits: (C, T, V), those at position t for the token at t + 1; ids: integers (C, T), row c the prompt, answer c,
    and then padding; prompt: P, its number of tokens, at least 1; lengths: integers (C,), the tokens of prompt and
    answer together, above P -> (C,): the sum of log p(token | all before it) over the tokens of the answer, divided
    by their number if per_token is True.
    """
    C, T, _ = logits.shape
    log_p = F.log_softmax(logits[:, :-1])  # (C, T − 1, V)
    each = log_p[np.arange(C)[:, None], np.arange(T - 1), ids[:, 1:]]  # (C, T − 1)
    at = np.arange(1, T)
    answer = (at >= prompt) & (at < lengths[:, None])
    total = F.sum(F.where(answer, each, 0.0), axis=1)
    return total / answer.sum(1) if per_token else total
