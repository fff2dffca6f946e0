"""The tasks of lesson 5, answered."""

import math
from collections import Counter
from itertools import pairwise

import numpy as np

import minilm.functional as F
from minilm.course import task


@task("L5.1", worked=True)
def merge(ids, pair, new):
    """The ids with each occurrence of a pair of neighbours, from left to right, replaced by one new id.

    ids: a list of integers, pair: (left, right), new: an integer -> a list of integers. Occurrences do not overlap: of
    three equal ids in a row, the first two are a pair.
    """
    found, i = [], 0
    while i < len(ids):
        if tuple(ids[i : i + 2]) == tuple(pair):
            found.append(new)
            i += 2
        else:
            found.append(ids[i])
            i += 1
    return found


@task("L5.2", points=4)
def learn_merges(pieces, count):
    """Byte-pair encoding: join the most frequent pair of neighbours into a new token, again and again.

    pieces: a list of texts, count: the most merges that are wanted -> a list of pairs of ids, in the order of learning.
    Ids 0 … 255 are the bytes of the pieces in UTF-8; the merge number k, from 0, makes id 256 + k. All
    neighbours within a piece count, overlapping ones too, and a piece that stands in the list twice counts twice; no
    pair reaches from one piece into the next. Of equally frequent pairs take the smallest (left, right). Stop when no
    pair occurs twice. You may use `merge`.
    """
    words = [list(piece.encode("utf-8")) for piece in pieces]
    merges = []
    while len(merges) < count:
        counts = Counter(pair for word in words for pair in pairwise(word))
        best = min(counts, key=lambda pair: (-counts[pair], pair), default=None)
        if best is None or counts[best] < 2:
            break
        words = [merge(word, best, 256 + len(merges)) for word in words]
        merges.append(best)
    return merges


@task("L5.3", points=2, keep=2)
def encode(piece, merges):
    """The tokens of one piece of text, by merges that were learned elsewhere.

    piece: a text, merges: a list of pairs as from L5.2 -> a list of ids. Begin with the bytes in UTF-8; as long as some
    pair of neighbours is among the merges, join the one that was learned first, everywhere in the piece.
    """
    ids = list(piece.encode("utf-8"))
    rank = {tuple(pair): k for k, pair in enumerate(merges)}
    while len(ids) > 1:
        first = min(pairwise(ids), key=lambda pair: rank.get(pair, math.inf))
        if first not in rank:
            break
        ids = merge(ids, first, 256 + rank[first])
    return ids


@task("L5.4", points=2)
def windows(documents, separator, context):
    """From documents to what a model reads and what it has to say.

    documents: a list of lists of ids, separator: an id, context: T ≥ 1 -> (ids, targets), integers (n, T) each. All
    documents stand in one row, with one separator between any two. The row is cut into windows of T tokens, one after
    the other, as many as have a next token for each of theirs; what is left at the end is dropped. targets[i, t] is the
    token after ids[i, t] in the row. If the row is too short, n is 0.
    """
    row = []
    for i, document in enumerate(documents):
        row += ([separator] if i else []) + list(document)
    n = max(0, len(row) - 1) // context
    row = np.array(row[: n * context + 1], np.int64)
    return row[:-1][: n * context].reshape(n, context), row[1:].reshape(n, context)


@task("L5.5", points=3)
def next_token_loss(logits, targets):
    """The mean of −log p(target), in nats, over the targets that count.

    logits: (B, T, V), targets: integers (B, T), −100 where a target does not count; at least one does -> a number.
    The mean is taken over all targets of the batch that count, whatever row they are in.
    """
    counts = targets != -100
    chosen = np.eye(logits.shape[-1])[np.where(counts, targets, 0)] * counts[:, :, None]  # (B, T, V), one-hot or zeros
    return -F.sum(F.log_softmax(logits) * chosen) / counts.sum()


@task("L5.6", points=2)
def learning_rate(step, peak, warmup, steps, floor):
    """A linear warm-up, then half a cosine down to a fraction of the peak.

    step: from 0, the rate of the update that leads to it; steps: their number; warmup < steps: how many of them lead
    up; floor: the fraction of the peak that is left at the end -> a number. Rate 0 at step 0 if there is a warm-up, the
    peak at step `warmup`, floor · peak at `steps` and after; between these two
    peak · (floor + (1 − floor) · (1 + cos πu) / 2), with u from 0 to 1. Without warm-up it begins at the peak.
    """
    if step < warmup:
        return peak * step / warmup
    u = min(1.0, (step - warmup) / (steps - warmup))
    return peak * (floor + (1 - floor) * (1 + math.cos(math.pi * u)) / 2)


@task("L5.8", points=3)
def gpt1_rows(kind, texts, start, delimiter, extract):
    """GPT-1's input transformations: every task as rows of tokens, and where each row is asked for its answer.

    texts: a list of lists of ids; start, delimiter, extract: the ids of the three added tokens. kind and rows:
    "classify", [text]:  start text extract
    "entail", [premise, hypothesis]:  start premise delimiter hypothesis extract
    "similar", [a, b]:  two rows, as for entailment, a before b and b before a
    "choice", [context, answer 1, answer 2, …]:  for each answer, as for entailment, the context and that answer
    -> (ids, at): integers (N, T), the rows filled up at the end with 0 to the longest, and (N,), the place of extract.
    """
    first, *others = texts
    pairs = {"classify": [[first]], "entail": [texts], "similar": [texts, texts[::-1]]}
    rows = []
    for parts in pairs.get(kind, [[first, other] for other in others]):
        row = [start, *parts[0]]
        for part in parts[1:]:
            row += [delimiter, *part]
        rows.append([*row, extract])
    T = max(map(len, rows))
    return np.array([row + [0] * (T - len(row)) for row in rows]), np.array([len(row) - 1 for row in rows])


@task("L5.9", points=3)
def finetuning_loss(class_logits, labels, token_logits, ids, real, weight):
    """GPT-1's objective in fine-tuning: the task's loss plus `weight` times the language model's.

    class_logits: (B, C), labels: integers (B,), token_logits: (B, T, V), ids: integers (B, T), real: booleans (B, T),
    False where a row was filled up at its end, weight: a number -> a number. The task's loss is the mean of
    −log p(label) over the rows. The language model's is, for each row, the mean of −log p(ids[t]) by the logits at
    t − 1, over its real tokens t ≥ 1 (each row has one at least); then the mean of that over the rows. You may use
    `next_token_loss`.
    """
    task_loss = next_token_loss(class_logits.reshape(1, *class_logits.shape), labels[None])
    targets = np.where(real, ids, -100)[:, 1:]
    language = 0.0
    for b in range(len(ids)):
        language = language + next_token_loss(token_logits[b : b + 1, :-1], targets[b : b + 1])
    return task_loss + weight * language / len(ids)
