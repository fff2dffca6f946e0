"""What students write instead, and the question that leads on."""

import math
from collections import Counter
from itertools import pairwise

import numpy as np

import minilm.functional as F
from minilm.course import mutant

from .tasks import encode as encode_right
from .tasks import finetuning_loss as finetuning_right
from .tasks import gpt1_rows as rows_right
from .tasks import learning_rate as rate_right
from .tasks import merge as merge_right
from .tasks import next_token_loss as loss_right
from .tasks import windows as windows_right

# ----------------------------------------------------------------------------------------------------------------- L5.1


@mutant("L5.1", misconception="only_the_first_is_joined",
        hint="After the first occurrence you stop. How many are there?")  # fmt: skip
def merge(ids, pair, new):
    for i in range(len(ids) - 1):
        if tuple(ids[i : i + 2]) == tuple(pair):
            return [*ids[:i], new, *ids[i + 2 :]]
    return list(ids)


@mutant("L5.1", misconception="pairs_overlap",
        hint="Of three equal ids in a row, how many pairs can be joined when each id is used once?")  # fmt: skip
def merge(ids, pair, new):
    found, used = [], False
    for i, token in enumerate(ids):
        if tuple(ids[i : i + 2]) == tuple(pair):
            found.append(new)
            used = True
        elif not used:
            found.append(token)
        else:
            used = False
    return found


@mutant("L5.1", misconception="the_last_id_is_lost",
        hint="The last id begins no pair. Does your loop still copy it?")  # fmt: skip
def merge(ids, pair, new):
    found, i = [], 0
    while i < len(ids) - 1:
        joined = tuple(ids[i : i + 2]) == tuple(pair)
        found.append(new if joined else ids[i])
        i += 1 + joined
    return found


@mutant("L5.1", misconception="the_second_id_stays",
        hint="After a pair has become one id, by how many places must you go on?")  # fmt: skip
def merge(ids, pair, new):
    return [new if tuple(ids[i : i + 2]) == tuple(pair) else token for i, token in enumerate(ids)]


@mutant("L5.1", misconception="from_the_right",
        hint="Of three equal ids, which two are a pair when you read from the left?")  # fmt: skip
def merge(ids, pair, new):
    return merge_right(list(ids)[::-1], tuple(pair)[::-1], new)[::-1]


@mutant("L5.1", misconception="order_within_a_pair",
        hint="Is “ab” the same pair as “ba”?")  # fmt: skip
def merge(ids, pair, new):
    left, right = pair
    once = merge_right(ids, (left, right), new)
    return merge_right(once, (right, left), new) if left != right else once


@mutant("L5.1", misconception="each_member_is_replaced",
        hint="Is the left id of the pair alone, without the right one, to be replaced?")  # fmt: skip
def merge(ids, pair, new):
    return [new if token in tuple(pair) else token for token in merge_right(ids, pair, new)]


@mutant("L5.1", misconception="the_pair_is_deleted",
        hint="What stands where the pair stood?")  # fmt: skip
def merge(ids, pair, new):
    return [token for token in merge_right(ids, pair, new) if token != new]


@mutant("L5.1", misconception="a_merge_feeds_itself",
        hint="May the new id be half of another pair in the same pass, or what it stood for be joined "
             "twice?")  # fmt: skip
def merge(ids, pair, new):
    found = []
    for token in ids:
        if found and (found[-1], token) == tuple(pair):
            found[-1] = new
        elif found and found[-1] == new and token == pair[1]:
            continue
        else:
            found.append(token)
    return found


# ----------------------------------------------------------------------------------------------------------------- L5.2


def _learn(pieces, count, tally=None, rank=None, least=2, new=None, split=True, words=None):
    words = words or [list(piece.encode("utf-8")) for piece in pieces]
    if not split:
        words = [[byte for word in words for byte in word]]
    merges = []
    while len(merges) < count:
        counts = (tally or (lambda words: Counter(pair for word in words for pair in pairwise(word))))(words)
        key = rank or (lambda pair, counts: (-counts[pair], pair))
        best = min(counts, key=lambda pair: key(pair, counts), default=None)
        if best is None or counts[best] < least:
            break
        words = [merge_right(word, best, 256 + len(merges) if new is None else new(merges)) for word in words]
        merges.append(best)
    return merges


@mutant("L5.2", misconception="pieces_are_glued",
        hint="Can a token reach from the end of one piece into the next? Where do your pairs come from?")  # fmt: skip
def learn_merges(pieces, count):
    return _learn(pieces, count, split=False)


@mutant("L5.2", misconception="each_piece_counts_once",
        hint="“the” stands in the text a thousand times. How often do its pairs count?")  # fmt: skip
def learn_merges(pieces, count):
    return _learn(list(dict.fromkeys(pieces)), count)


@mutant("L5.2", misconception="counted_once_and_for_all",
        hint="After the first merge there are new pairs. When do you count them?")  # fmt: skip
def learn_merges(pieces, count):
    counts = Counter(pair for piece in pieces for pair in pairwise(piece.encode("utf-8")))
    best = sorted(counts, key=lambda pair: (-counts[pair], pair))
    return [pair for pair in best if counts[pair] > 1][:count]


@mutant("L5.2", misconception="ties_by_first_seen",
        hint="Put the pieces in another order: are the merges still the same?")  # fmt: skip
def learn_merges(pieces, count):
    return _learn(pieces, count, rank=lambda pair, counts: -counts[pair])


@mutant("L5.2", misconception="ties_by_the_largest",
        hint="Of equally frequent pairs, which one does the task ask for?")  # fmt: skip
def learn_merges(pieces, count):
    return _learn(pieces, count, rank=lambda pair, counts: (-counts[pair], -pair[0], -pair[1]))


@mutant("L5.2", misconception="joins_what_occurs_once",
        hint="A pair that occurs once makes no text shorter elsewhere. When should you stop?")  # fmt: skip
def learn_merges(pieces, count):
    return _learn(pieces, count, least=1)


@mutant("L5.2", misconception="the_rarest_first",
        hint="Which pair saves the most tokens when it is joined?")  # fmt: skip
def learn_merges(pieces, count):
    return _learn(pieces, count, rank=lambda pair, counts: (counts[pair] < 2, counts[pair], pair))


@mutant("L5.2", misconception="characters_are_bytes",
        hint="How many bytes is “é” in UTF-8? Which ids do they have?")  # fmt: skip
def learn_merges(pieces, count):
    return _learn(pieces, count, words=[[ord(c) for c in piece] for piece in pieces])


@mutant("L5.2", misconception="overlaps_do_not_count",
        hint="How many neighbours are there in “aaa”: one pair of a's, or two?")  # fmt: skip
def learn_merges(pieces, count):
    def tally(words):
        counts = Counter()
        for word in words:
            for pair in set(pairwise(word)):
                counts[pair] += merge_right(word, pair, -1).count(-1)
        return counts

    return _learn(pieces, count, tally)


@mutant("L5.2", misconception="a_pair_counts_once_a_piece",
        hint="“abab” holds the pair “ab” twice. How often do you count it?")  # fmt: skip
def learn_merges(pieces, count):
    return _learn(pieces, count, lambda words: Counter(pair for word in words for pair in set(pairwise(word))))


@mutant("L5.2", misconception="ids_do_not_move_on",
        hint="Your second merge makes the same id as the first. How many ids are there after k merges?")  # fmt: skip
def learn_merges(pieces, count):
    return _learn(pieces, count, new=lambda merges: 256)


@mutant("L5.2", misconception="one_merge_too_many",
        hint="How many merges do you return when `count` is 1?")  # fmt: skip
def learn_merges(pieces, count):
    return _learn(pieces, count + 1)


# ----------------------------------------------------------------------------------------------------------------- L5.3


@mutant("L5.3", misconception="left_to_right",
        hint="The leftmost pair that is a merge may have been learned late. Which one comes first?")  # fmt: skip
def encode(piece, merges):
    ids = list(piece.encode("utf-8"))
    rank = {tuple(pair): k for k, pair in enumerate(merges)}
    while (first := next((pair for pair in pairwise(ids) if pair in rank), None)) is not None:
        ids = merge_right(ids, first, 256 + rank[first])
    return ids


@mutant("L5.3", misconception="the_latest_merge_first",
        hint="Merges are applied in the order of learning. Which end of the list do you begin with?")  # fmt: skip
def encode(piece, merges):
    ids = list(piece.encode("utf-8"))
    rank = {tuple(pair): k for k, pair in enumerate(merges)}
    while pairs := [pair for pair in pairwise(ids) if pair in rank]:
        last = max(pairs, key=rank.get)
        ids = merge_right(ids, last, 256 + rank[last])
    return ids


@mutant("L5.3", misconception="the_longest_token_wins",
        hint="BPE does not look for the longest token. Which rule made the tokens of the training text?")  # fmt: skip
def encode(piece, merges):
    spelled = {bytes([i]): i for i in range(256)}
    names = {i: bytes([i]) for i in range(256)}
    for k, (left, right) in enumerate(merges):
        names[256 + k] = names[left] + names[right]
        spelled.setdefault(names[256 + k], 256 + k)
    text, found = piece.encode("utf-8"), []
    while text:
        size = max(n for n in range(1, len(text) + 1) if text[:n] in spelled)
        found.append(spelled[text[:size]])
        text = text[size:]
    return found


@mutant("L5.3", misconception="each_merge_joins_once",
        hint="A pair may stand in the piece several times. Which of them do you join?")  # fmt: skip
def encode(piece, merges):
    ids = list(piece.encode("utf-8"))
    for k, pair in enumerate(merges):
        for i in range(len(ids) - 1):
            if tuple(ids[i : i + 2]) == tuple(pair):
                ids[i : i + 2] = [256 + k]
                break
    return ids


@mutant("L5.3", misconception="one_merge_is_enough",
        hint="After a merge there are new neighbours. Do you look again?")  # fmt: skip
def encode(piece, merges):
    ids = list(piece.encode("utf-8"))
    rank = {tuple(pair): k for k, pair in enumerate(merges)}
    first = min(pairwise(ids), key=lambda pair: rank.get(pair, math.inf), default=None)
    return merge_right(ids, first, 256 + rank[first]) if first in rank else ids


@mutant("L5.3", misconception="only_pairs_of_bytes",
        hint="The halves of a late merge are tokens themselves. Do you ever join two of those?")  # fmt: skip
def encode(piece, merges):
    ids = list(piece.encode("utf-8"))
    for k, pair in enumerate(merges):
        if max(pair) < 256:
            ids = merge_right(ids, pair, 256 + k)
    return ids


@mutant("L5.3", misconception="characters_for_bytes",
        hint="Which ids has a character beyond 255? A text is bytes first.")  # fmt: skip
def encode(piece, merges):
    ids = [ord(c) % 256 for c in piece]
    for k, pair in enumerate(merges):
        ids = merge_right(ids, pair, 256 + k)
    return ids


@mutant("L5.3", misconception="ids_from_zero",
        hint="Ids 0 … 255 are the bytes. Which id does the first merge make?")  # fmt: skip
def encode(piece, merges):
    ids = list(piece.encode("utf-8"))
    for k, pair in enumerate(merges):
        ids = merge_right(ids, pair, 256 + k)
    return [i - 256 if i >= 256 else i for i in ids]


@mutant("L5.3", misconception="accents_are_dropped",
        hint="Decode what you encoded. Where is the “é”?")  # fmt: skip
def encode(piece, merges):
    return encode_right(piece.encode("ascii", "ignore").decode(), merges)


@mutant("L5.3", misconception="pieces_are_stripped",
        hint="The space before a word belongs to its piece. Is it there after decoding?")  # fmt: skip
def encode(piece, merges):
    return encode_right(piece.strip(), merges)


# ----------------------------------------------------------------------------------------------------------------- L5.4


def _row(documents, separator):
    row = []
    for i, document in enumerate(documents):
        row += ([separator] if i else []) + list(document)
    return row


def _cut(row, context, n=None):
    n = max(0, len(row) - 1) // context if n is None else n
    row = np.array([*row, *[0] * context], np.int64)
    return row[: n * context].reshape(n, context), row[1 : n * context + 1].reshape(n, context)


@mutant("L5.4", misconception="targets_are_the_inputs",
        hint="Your model is asked for the token that it is shown. What should it be asked for?")  # fmt: skip
def windows(documents, separator, context):
    ids, _ = windows_right(documents, separator, context)
    return ids, ids


@mutant("L5.4", misconception="shifted_twice",
        hint="The loss shifts, and so do you. Which token does position t predict in the end?")  # fmt: skip
def windows(documents, separator, context):
    row = _row(documents, separator)
    n = max(0, len(row) - 1) // context
    padded = np.array([*row, *row[:1]], np.int64)
    return padded[: n * context].reshape(n, context), padded[2 : n * context + 2].reshape(n, context)


@mutant("L5.4", misconception="shifted_the_wrong_way",
        hint="Your targets are the tokens before. Does a language model predict the past?")  # fmt: skip
def windows(documents, separator, context):
    ids, targets = windows_right(documents, separator, context)
    return targets, ids


@mutant("L5.4", misconception="shifted_within_a_window",
        hint="What is the target of the last token of a window: the first token of the same window?")  # fmt: skip
def windows(documents, separator, context):
    ids, _ = windows_right(documents, separator, context)
    return ids, np.roll(ids, -1, axis=1)


@mutant("L5.4", misconception="a_target_is_skipped",
        hint="With windows of T + 1 tokens that do not overlap, one token in T + 1 is never a target. "
             "Which?")  # fmt: skip
def windows(documents, separator, context):
    row = _row(documents, separator)
    n = len(row) // (context + 1)
    cut = np.array(row[: n * (context + 1)], np.int64).reshape(n, context + 1)
    return cut[:, :-1], cut[:, 1:]


@mutant("L5.4", misconception="windows_at_every_token",
        hint="How often is each token a target in one pass of yours?")  # fmt: skip
def windows(documents, separator, context):
    row = _row(documents, separator)
    n = max(0, len(row) - context)
    cut = np.array([row[i : i + context + 1] for i in range(n)], np.int64).reshape(n, context + 1)
    return cut[:, :-1], cut[:, 1:]


@mutant("L5.4", misconception="no_separator",
        hint="How does the model learn that a document has ended?")  # fmt: skip
def windows(documents, separator, context):
    return _cut([token for document in documents for token in document], context)


@mutant("L5.4", misconception="separator_everywhere",
        hint="Between any two documents, says the task. What stands before your first one?")  # fmt: skip
def windows(documents, separator, context):
    return _cut([separator, *_row(documents, separator)], context)


@mutant("L5.4", misconception="documents_are_cut_alone",
        hint="A document that is shorter than the context gives you no window at all. How much text is "
             "lost?")  # fmt: skip
def windows(documents, separator, context):
    parts = [windows_right([document], separator, context) for document in documents]
    return np.concatenate([ids for ids, _ in parts]), np.concatenate([targets for _, targets in parts])


@mutant("L5.4", misconception="the_last_has_no_next",
        hint="If the row has exactly n T tokens, has the last one a next token?")  # fmt: skip
def windows(documents, separator, context):
    row = _row(documents, separator)
    return _cut(row, context, len(row) // context)


@mutant("L5.4", misconception="cut_across",
        hint="Read the first window aloud: do its tokens follow each other in the text?")  # fmt: skip
def windows(documents, separator, context):
    ids, targets = windows_right(documents, separator, context)
    return tuple(a.ravel().reshape(context, -1).T for a in (ids, targets))


@mutant("L5.4", misconception="one_window_too_few",
        hint="How many full windows are there? Is the last one of them among yours?")  # fmt: skip
def windows(documents, separator, context):
    row = _row(documents, separator)
    return _cut(row, context, max(0, (len(row) - 1) // context - 1))


# ----------------------------------------------------------------------------------------------------------------- L5.5


def _picked(logits, targets):
    """log p of each target, 0 where none counts, and where they do."""
    counts = targets != -100
    chosen = np.eye(logits.shape[-1])[np.where(counts, targets, 0)] * counts[:, :, None]
    return F.sum(F.log_softmax(logits) * chosen, -1), counts


@mutant("L5.5", misconception="mean_over_all_places",
        hint="Half of the targets do not count. By how many terms do you divide?")  # fmt: skip
def next_token_loss(logits, targets):
    return -F.mean(_picked(logits, targets)[0])


@mutant("L5.5", misconception="mean_of_means",
        hint="One row has one target, another has hundred. Should that one weigh as much as the hundred?")  # fmt: skip
def next_token_loss(logits, targets):
    logp, counts = _picked(logits, targets)
    n = counts.sum(1)
    return -F.sum(F.sum(logp, 1) / np.maximum(n, 1)) / (n > 0).sum()


@mutant("L5.5", misconception="a_sum_is_a_mean",
        hint="Twice the batch, twice the loss. What should stay the same when the batch grows?")  # fmt: skip
def next_token_loss(logits, targets):
    return -F.sum(_picked(logits, targets)[0])


@mutant("L5.5", misconception="only_the_last_counts",
        hint="Every position has a next token. How many of them teach your model something?")  # fmt: skip
def next_token_loss(logits, targets):
    logp, counts = _picked(logits, targets)
    return -F.sum(logp[:, -1]) / max(int(counts[:, -1].sum()), 1)


@mutant("L5.5", misconception="minus_hundred_is_a_class",
        hint="An index of −100 wraps around in an array. Which token's probability do you take for it?")  # fmt: skip
def next_token_loss(logits, targets):
    chosen = np.eye(logits.shape[-1])[targets % logits.shape[-1]]
    return -F.mean(F.sum(F.log_softmax(logits) * chosen, -1))


@mutant("L5.5", misconception="zero_does_not_count",
        hint="Token 0 is a token like any other. Which number says that a target does not count?")  # fmt: skip
def next_token_loss(logits, targets):
    kept = np.where(targets == 0, -100, targets)
    return loss_right(logits, kept) if (kept != -100).any() else 0.0 * F.sum(logits)


@mutant("L5.5", misconception="sign_is_lost",
        hint="Training makes the loss small. What does it do to the probability of the right token in "
             "yours?")  # fmt: skip
def next_token_loss(logits, targets):
    return -loss_right(logits, targets)


@mutant("L5.5", misconception="probability_for_surprise",
        hint="1 − p is at most 1. What should be the loss of an event that was held for impossible?")  # fmt: skip
def next_token_loss(logits, targets):
    counts = targets != -100
    chosen = np.eye(logits.shape[-1])[np.where(counts, targets, 0)] * counts[:, :, None]
    return 1 - F.sum(F.softmax(logits) * chosen) / counts.sum()


@mutant("L5.5", misconception="bits_for_nats",
        hint="Your loss of equal logits is log₂ V. Which unit is asked for?")  # fmt: skip
def next_token_loss(logits, targets):
    return loss_right(logits, targets) / math.log(2)


@mutant("L5.5", misconception="perplexity_for_loss",
        hint="e to the loss is the perplexity. What has the additive unit?")  # fmt: skip
def next_token_loss(logits, targets):
    return F.exp(loss_right(logits, targets))


@mutant("L5.5", misconception="the_loss_shifts_too",
        hint="The targets have been shifted already. Against which token is the logit at t held in yours?")  # fmt: skip
def next_token_loss(logits, targets):
    if targets.shape[1] < 2 or not (targets[:, 1:] != -100).any():
        return loss_right(logits, targets)
    return loss_right(logits[:, :-1], targets[:, 1:])


@mutant("L5.5", misconception="softmax_twice",
        hint="What you take for logits are probabilities already. What is the softmax of a softmax?")  # fmt: skip
def next_token_loss(logits, targets):
    return loss_right(F.softmax(logits), targets)


# ----------------------------------------------------------------------------------------------------------------- L5.6


def _down(step, peak, warmup, steps, floor, shape):
    if step < warmup:
        return peak * step / warmup
    return peak * (floor + (1 - floor) * shape(min(1.0, (step - warmup) / (steps - warmup))))


@mutant("L5.6", misconception="no_warmup",
        hint="What is your rate at step 0, when there is a warm-up?")  # fmt: skip
def learning_rate(step, peak, warmup, steps, floor):
    return rate_right(step, peak, 0, steps, floor)


@mutant("L5.6", misconception="warmup_off_by_one",
        hint="At step `warmup` the rate should be the peak. At which step is yours?")  # fmt: skip
def learning_rate(step, peak, warmup, steps, floor):
    if step < warmup:
        return peak * (step + 1) / (warmup + 1)
    return rate_right(step, peak, warmup, steps, floor)


@mutant("L5.6", misconception="cosine_from_step_zero",
        hint="Where on the cosine is the step at which the warm-up ends: at its begin, or already on the way "
             "down?")  # fmt: skip
def learning_rate(step, peak, warmup, steps, floor):
    if step < warmup:
        return peak * step / warmup
    return peak * (floor + (1 - floor) * (1 + math.cos(math.pi * min(1.0, step / steps))) / 2)


@mutant("L5.6", misconception="a_whole_cosine",
        hint="Your rate comes up again at the end. How much of the cosine's period goes from 1 down to "
             "−1?")  # fmt: skip
def learning_rate(step, peak, warmup, steps, floor):
    return _down(step, peak, warmup, steps, floor, lambda u: (1 + math.cos(2 * math.pi * u)) / 2)


@mutant("L5.6", misconception="a_quarter_cosine",
        hint="At the end yours falls the fastest. Which part of the cosine is flat at both ends?")  # fmt: skip
def learning_rate(step, peak, warmup, steps, floor):
    return _down(step, peak, warmup, steps, floor, lambda u: math.cos(math.pi * u / 2))


@mutant("L5.6", misconception="linear_is_cosine",
        hint="Yours is a straight line. Which one stays near the peak for longer?")  # fmt: skip
def learning_rate(step, peak, warmup, steps, floor):
    return _down(step, peak, warmup, steps, floor, lambda u: 1 - u)


@mutant("L5.6", misconception="falls_to_zero",
        hint="What is left at the end? `floor` is a fraction of the peak.")  # fmt: skip
def learning_rate(step, peak, warmup, steps, floor):
    return rate_right(step, peak, warmup, steps, 0.0)


@mutant("L5.6", misconception="floor_is_a_rate",
        hint="Is `floor` a learning rate, or a fraction of the peak?")  # fmt: skip
def learning_rate(step, peak, warmup, steps, floor):
    if step < warmup:
        return peak * step / warmup
    u = min(1.0, (step - warmup) / (steps - warmup))
    return floor + (peak - floor) * (1 + math.cos(math.pi * u)) / 2


@mutant("L5.6", misconception="floor_is_a_bound",
        hint="A maximum with the floor makes a corner. Does the curve of the task have one?")  # fmt: skip
def learning_rate(step, peak, warmup, steps, floor):
    found = rate_right(step, peak, warmup, steps, 0.0)
    return found if step < warmup else max(found, floor * peak)


@mutant("L5.6", misconception="goes_on_after_the_end",
        hint="Train for one step more than planned: does your rate rise again?")  # fmt: skip
def learning_rate(step, peak, warmup, steps, floor):
    if step < warmup:
        return peak * step / warmup
    u = (step - warmup) / (steps - warmup)
    return peak * (floor + (1 - floor) * (1 + math.cos(math.pi * u)) / 2)


@mutant("L5.6", misconception="the_way_down_takes_all_steps",
        hint="The steps that lead up are among `steps`. When is yours at the floor?")  # fmt: skip
def learning_rate(step, peak, warmup, steps, floor):
    return rate_right(step, peak, warmup, steps + warmup, floor)


@mutant("L5.6", misconception="warmup_begins_at_the_floor",
        hint="At step 0 the rate is 0. Where does yours begin?")  # fmt: skip
def learning_rate(step, peak, warmup, steps, floor):
    if step < warmup:
        return peak * (floor + (1 - floor) * step / warmup)
    return rate_right(step, peak, warmup, steps, floor)


# ----------------------------------------------------------------------------------------------------------------- L5.8


def _filled(rows, left=False):
    T = max(map(len, rows))
    fill = [[0] * (T - len(row)) for row in rows]
    full = [[*f, *row] if left else [*row, *f] for row, f in zip(rows, fill, strict=True)]
    return np.array(full), np.array([T - 1 if left else len(row) - 1 for row in rows])


def _unfilled(kind, texts, *tokens):
    ids, at = rows_right(kind, texts, *tokens)
    return [row[: place + 1].tolist() for row, place in zip(ids, at, strict=True)]


@mutant("L5.8", misconception="asked_at_the_filled_end",
        hint="A short row is filled up. What stands at its last place?")  # fmt: skip
def gpt1_rows(kind, texts, start, delimiter, extract):
    ids, _ = rows_right(kind, texts, start, delimiter, extract)
    spare = np.zeros((len(ids), 1), ids.dtype)
    return np.concatenate([ids, spare], 1), np.full(len(ids), ids.shape[1])


@mutant("L5.8", misconception="asked_at_the_start",
        hint="What has a causal model read when it is at the first token?")  # fmt: skip
def gpt1_rows(kind, texts, start, delimiter, extract):
    ids, at = rows_right(kind, texts, start, delimiter, extract)
    return ids, 0 * at


@mutant("L5.8", misconception="one_order_is_enough",
        hint="Neither of two similar texts is the first. What does a model that reads from left to right make of "
             "it?")  # fmt: skip
def gpt1_rows(kind, texts, start, delimiter, extract):
    return rows_right("entail" if kind == "similar" else kind, texts, start, delimiter, extract)


@mutant("L5.8", misconception="entailment_in_both_orders",
        hint="Does a hypothesis follow from its premise the other way round as well?")  # fmt: skip
def gpt1_rows(kind, texts, start, delimiter, extract):
    return rows_right("similar" if kind == "entail" else kind, texts, start, delimiter, extract)


@mutant("L5.8", misconception="no_delimiter",
        hint="Where does the premise end and the hypothesis begin? Can your model see it?")  # fmt: skip
def gpt1_rows(kind, texts, start, delimiter, extract):
    return _filled([[t for t in row if t != delimiter] for row in _unfilled(kind, texts, start, delimiter, extract)])


@mutant("L5.8", misconception="no_extract",
        hint="At which token does the model know that it has read everything and is asked?")  # fmt: skip
def gpt1_rows(kind, texts, start, delimiter, extract):
    return _filled([row[:-1] for row in _unfilled(kind, texts, start, delimiter, extract)])


@mutant("L5.8", misconception="no_start",
        hint="With what do all rows begin?")  # fmt: skip
def gpt1_rows(kind, texts, start, delimiter, extract):
    return _filled([row[1:] for row in _unfilled(kind, texts, start, delimiter, extract)])


@mutant("L5.8", misconception="answers_without_their_context",
        hint="Read one of your rows: could you say whether the answer fits?")  # fmt: skip
def gpt1_rows(kind, texts, start, delimiter, extract):
    if kind == "choice":
        return _filled([[start, *answer, extract] for answer in texts[1:]])
    return rows_right(kind, texts, start, delimiter, extract)


@mutant("L5.8", misconception="all_answers_in_one_row",
        hint="Each answer gets a score of its own. How many rows does that need?")  # fmt: skip
def gpt1_rows(kind, texts, start, delimiter, extract):
    if kind == "choice":
        return _filled([[start, *texts[0], *[t for text in texts[1:] for t in [delimiter, *text]], extract]])
    return rows_right(kind, texts, start, delimiter, extract)


@mutant("L5.8", misconception="filled_on_the_left",
        hint="Where is the filling to stand, and at which position does your text begin then?")  # fmt: skip
def gpt1_rows(kind, texts, start, delimiter, extract):
    ids, at = _filled(_unfilled(kind, texts, start, delimiter, extract), left=True)
    return np.concatenate([np.zeros((len(ids), 1), ids.dtype), ids], 1), at + 1


@mutant("L5.8", misconception="delimiter_is_extract",
        hint="There are three added tokens. Which two have you made one?")  # fmt: skip
def gpt1_rows(kind, texts, start, delimiter, extract):
    return rows_right(kind, texts, start, start, extract) if len(texts) > 1 else _filled([[start, *texts[0], start]])


@mutant("L5.8", misconception="place_is_the_length",
        hint="Places are counted from 0. What stands at place n of a row with n tokens?")  # fmt: skip
def gpt1_rows(kind, texts, start, delimiter, extract):
    ids, at = rows_right(kind, texts, start, delimiter, extract)
    return np.concatenate([ids, np.zeros((len(ids), 1), ids.dtype)], 1), at + 1


# ----------------------------------------------------------------------------------------------------------------- L5.9


def _language(token_logits, ids, real, shift=True):
    """The language model's loss of each row."""
    targets = np.where(real, ids, -100)
    if shift:
        token_logits, targets = token_logits[:, :-1], targets[:, 1:]
    return [loss_right(token_logits[b : b + 1], targets[b : b + 1]) for b in range(len(ids))]


def _task(class_logits, labels):
    return loss_right(class_logits.reshape(1, *class_logits.shape), labels[None])


@mutant("L5.9", misconception="weight_on_the_task",
        hint="With weight 0, what is left of your loss: the task, or the language model?")  # fmt: skip
def finetuning_loss(class_logits, labels, token_logits, ids, real, weight):
    return weight * _task(class_logits, labels) + sum(_language(token_logits, ids, real)) / len(ids)


@mutant("L5.9", misconception="weights_sum_to_one",
        hint="The task's loss keeps its weight 1, whatever that of the other. Which is it in yours?")  # fmt: skip
def finetuning_loss(class_logits, labels, token_logits, ids, real, weight):
    return (1 - weight) * _task(class_logits, labels) + weight * sum(_language(token_logits, ids, real)) / len(ids)


@mutant("L5.9", misconception="no_language_loss",
        hint="Change the weight: does your loss change?")  # fmt: skip
def finetuning_loss(class_logits, labels, token_logits, ids, real, weight):
    return _task(class_logits, labels) + 0.0 * F.sum(token_logits)


@mutant("L5.9", misconception="weight_is_always_half",
        hint="The paper took .5. What does your caller ask for?")  # fmt: skip
def finetuning_loss(class_logits, labels, token_logits, ids, real, weight):
    return finetuning_right(class_logits, labels, token_logits, ids, real, 0.5)


@mutant("L5.9", misconception="long_rows_weigh_more",
        hint="Each row's loss is a mean of its own. What weight has a row of 500 tokens beside one of 5 in "
             "yours?")  # fmt: skip
def finetuning_loss(class_logits, labels, token_logits, ids, real, weight):
    targets = np.where(real, ids, -100)[:, 1:]
    return _task(class_logits, labels) + weight * loss_right(token_logits[:, :-1], targets)


@mutant("L5.9", misconception="rows_are_summed",
        hint="Twice as many rows, twice the language loss. And the task's?")  # fmt: skip
def finetuning_loss(class_logits, labels, token_logits, ids, real, weight):
    return _task(class_logits, labels) + weight * sum(_language(token_logits, ids, real))


@mutant("L5.9", misconception="tokens_are_summed",
        hint="Is a row's language loss the sum over its tokens, or their mean?")  # fmt: skip
def finetuning_loss(class_logits, labels, token_logits, ids, real, weight):
    n = real[:, 1:].sum(1)
    sums = [k * row for k, row in zip(n.tolist(), _language(token_logits, ids, real), strict=True)]
    return _task(class_logits, labels) + weight * sum(sums) / len(ids)


@mutant("L5.9", misconception="filling_is_learned",
        hint="Do you teach the model to predict the filling behind a text?")  # fmt: skip
def finetuning_loss(class_logits, labels, token_logits, ids, real, weight):
    return finetuning_right(class_logits, labels, token_logits, ids, np.ones_like(real), weight)


@mutant("L5.9", misconception="language_loss_is_not_shifted",
        hint="At t the model has read token t. Which token does it have to predict there?")  # fmt: skip
def finetuning_loss(class_logits, labels, token_logits, ids, real, weight):
    return _task(class_logits, labels) + weight * sum(_language(token_logits, ids, real, shift=False)) / len(ids)


@mutant("L5.9", misconception="language_loss_shifts_back",
        hint="By which logits is token t predicted: those before it, or those after it?")  # fmt: skip
def finetuning_loss(class_logits, labels, token_logits, ids, real, weight):
    targets = np.where(real, ids, -100)[:, :-1]
    rows = [loss_right(token_logits[b : b + 1, 1:], targets[b : b + 1]) for b in range(len(ids))]
    return _task(class_logits, labels) + weight * sum(rows) / len(ids)


@mutant("L5.9", misconception="divided_by_all_places",
        hint="A row with three tokens of ten places: by how many terms do you divide?")  # fmt: skip
def finetuning_loss(class_logits, labels, token_logits, ids, real, weight):
    n, T = real[:, 1:].sum(1), real.shape[1] - 1
    rows = _language(token_logits, ids, real)
    shares = [k / T * row for k, row in zip(n.tolist(), rows, strict=True)]
    return _task(class_logits, labels) + weight * sum(shares) / len(ids)


@mutant("L5.9", misconception="labels_are_summed",
        hint="Is the task's loss the mean over the rows in yours, however many there are?")  # fmt: skip
def finetuning_loss(class_logits, labels, token_logits, ids, real, weight):
    right = finetuning_right(class_logits, labels, token_logits, ids, real, weight)
    return right + (len(labels) - 1) * _task(class_logits, labels)
