"""What students write instead."""

import math

import numpy as np

import minilm.functional as F
from minilm.course import mutant

# --------------------------------------------------------------------------------------------------- L7.1, choosing


def smallest(allowed, priority, count):
    """The `count` allowed ones with the smallest priorities."""
    chosen = np.zeros(len(allowed), bool)
    order = np.argsort(np.where(allowed, priority, np.inf))
    chosen[order[: max(0, min(int(count), int(allowed.sum())))]] = True
    return chosen


@mutant(
    "L7.1",
    misconception="each_token_by_its_own_coin",
    hint="If each token is chosen with probability .15 by itself, how many are chosen of a row? Is it always one?",
)
def choose(real, special, priority, rate, most):
    return real & ~special & (priority < rate)


@mutant("L7.1", misconception="special_tokens_are_chosen", hint="What would the model learn from guessing [SEP]?")
def choose(real, special, priority, rate, most):
    return smallest(real, priority, min(most, max(1, round(rate * real.sum()))))


@mutant("L7.1", misconception="padding_is_chosen", hint="Can a token be guessed that stands for nothing?")
def choose(real, special, priority, rate, most):
    return smallest(~(special & real), priority, min(most, max(1, round(rate * real.sum()))))


@mutant(
    "L7.1",
    misconception="special_tokens_not_counted_in_the_length",
    hint="Of which n is 15 % taken: of all real tokens, or of those that can be chosen?",
)
def choose(real, special, priority, rate, most):
    allowed = real & ~special
    return smallest(allowed, priority, min(most, max(1, round(rate * allowed.sum()))))


@mutant(
    "L7.1",
    misconception="padding_counted_in_the_length",
    hint="Should a row with more padding have more tokens guessed?",
)
def choose(real, special, priority, rate, most):
    return smallest(real & ~special, priority, min(most, max(1, round(rate * len(real)))))


@mutant("L7.1", misconception="rounded_down", hint="15 % of 12 is 1.8. Is that one token, or two?")
def choose(real, special, priority, rate, most):
    return smallest(real & ~special, priority, min(most, max(1, int(rate * real.sum()))))


@mutant("L7.1", misconception="rounded_up", hint="15 % of 8 is 1.2. Is that one token, or two?")
def choose(real, special, priority, rate, most):
    return smallest(real & ~special, priority, min(most, max(1, math.ceil(rate * real.sum()))))


@mutant(
    "L7.1",
    misconception="short_rows_ask_nothing",
    hint="What does a row of three tokens ask, 15 % of which is less than a half?",
)
def choose(real, special, priority, rate, most):
    return smallest(real & ~special, priority, min(most, round(rate * real.sum())))


@mutant("L7.1", misconception="limit_forgotten", hint="What does `most` bound?")
def choose(real, special, priority, rate, most):
    return smallest(real & ~special, priority, max(1, round(rate * real.sum())))


@mutant("L7.1", misconception="first_tokens_first", hint="Does the priority decide who is chosen, or the place?")
def choose(real, special, priority, rate, most):
    return smallest(real & ~special, np.arange(len(real)), min(most, max(1, round(rate * real.sum()))))


@mutant(
    "L7.1",
    misconception="specials_leave_gaps",
    hint="If a special token has a small priority, does it take the place of another?",
)
def choose(real, special, priority, rate, most):
    return smallest(real, priority, min(most, max(1, round(rate * real.sum())))) & ~special


# ------------------------------------------------------------------------------------------------- L7.2, corrupting


def replaced(ids, fate, draw, mask, ordinary, first=0.8, second=0.9):
    """What each token would become if it were chosen."""
    strange = ordinary[(draw * len(ordinary)).astype(int)]
    return np.where(fate < first, mask, np.where(fate < second, strange, ids))


@mutant("L7.2", misconception="all_tokens_are_corrupted", hint="What does a token become that was not chosen?")
def corrupt(ids, chosen, fate, draw, mask, ordinary):
    return replaced(ids, fate, draw, mask, ordinary), np.where(chosen, ids, -100)


@mutant(
    "L7.2",
    misconception="always_the_mask",
    hint="When the model is used, there is no [MASK]. Which tokens does it then have to make something of?",
)
def corrupt(ids, chosen, fate, draw, mask, ordinary):
    return np.where(chosen, mask, ids), np.where(chosen, ids, -100)


@mutant(
    "L7.2",
    misconception="ten_percent_of_the_rest",
    hint="If 10 % of the 20 % that are left become random, how many per cent of all chosen ones are that?",
)
def corrupt(ids, chosen, fate, draw, mask, ordinary):
    return np.where(chosen, replaced(ids, fate, draw, mask, ordinary, 0.8, 0.82), ids), np.where(chosen, ids, -100)


@mutant("L7.2", misconception="twenty_percent_random", hint="How many of the chosen tokens stay as they are?")
def corrupt(ids, chosen, fate, draw, mask, ordinary):
    return np.where(chosen, replaced(ids, fate, draw, mask, ordinary, 0.8, 1.0), ids), np.where(chosen, ids, -100)


@mutant(
    "L7.2",
    misconception="targets_from_the_corrupted_text",
    hint="At a [MASK], which token is to be guessed: the one that stands there now?",
)
def corrupt(ids, chosen, fate, draw, mask, ordinary):
    inputs = np.where(chosen, replaced(ids, fate, draw, mask, ordinary), ids)
    return inputs, np.where(chosen, inputs, -100)


@mutant(
    "L7.2",
    misconception="tokens_that_stayed_are_not_asked",
    hint="A chosen token that stayed: is there something to guess? How would the model know that it stayed?",
)
def corrupt(ids, chosen, fate, draw, mask, ordinary):
    inputs = np.where(chosen, replaced(ids, fate, draw, mask, ordinary), ids)
    return inputs, np.where(inputs != ids, ids, -100)


@mutant(
    "L7.2",
    misconception="only_masks_are_asked",
    hint="How would the model learn to doubt a random word if nobody asks it?",
)
def corrupt(ids, chosen, fate, draw, mask, ordinary):
    inputs = np.where(chosen, replaced(ids, fate, draw, mask, ordinary), ids)
    return inputs, np.where(inputs == mask, ids, -100)


@mutant(
    "L7.2",
    misconception="every_token_is_a_target",
    hint="What does a model learn that may answer most questions by copying?",
)
def corrupt(ids, chosen, fate, draw, mask, ordinary):
    return np.where(chosen, replaced(ids, fate, draw, mask, ordinary), ids), ids


@mutant("L7.2", misconception="zero_for_not_asked", hint="0 is the id of a token. What says that nothing is asked?")
def corrupt(ids, chosen, fate, draw, mask, ordinary):
    return np.where(chosen, replaced(ids, fate, draw, mask, ordinary), ids), np.where(chosen, ids, 0)


@mutant("L7.2", misconception="random_among_all_ids", hint="Could your random token be [PAD], or [MASK]?")
def corrupt(ids, chosen, fate, draw, mask, ordinary):
    every = np.arange(ordinary.max() + 1)
    return np.where(chosen, replaced(ids, fate, draw, mask, every), ids), np.where(chosen, ids, -100)


@mutant(
    "L7.2",
    misconception="mask_written_over_the_random",
    hint="Of the tokens that became random, how many are still random when all is done?",
)
def corrupt(ids, chosen, fate, draw, mask, ordinary):
    strange = ordinary[(draw * len(ordinary)).astype(int)]
    inputs = np.where(chosen & (fate < 0.1), strange, ids)
    return np.where(chosen & (fate < 0.9), mask, inputs), np.where(chosen, ids, -100)


@mutant("L7.2", misconception="last_token_is_never_drawn", hint="Which draws give the last of the n ordinary tokens?")
def corrupt(ids, chosen, fate, draw, mask, ordinary):
    return (np.where(chosen, replaced(ids, fate, draw, mask, ordinary[:-1]), ids), np.where(chosen, ids, -100))


# -------------------------------------------------------------------------------------------- L7.3, the best guess


def by_bayes(p, likelihood):
    return p * likelihood / F.sum(p * likelihood)


@mutant(
    "L7.3",
    misconception="what_is_shown_says_nothing",
    hint="If a chosen token may have stayed, does what is shown say nothing of the original?",
)
def best_guess(p, shown, masked, random):
    return p * 1.0


@mutant(
    "L7.3",
    misconception="what_is_shown_is_right",
    hint="If a shown word fits nowhere here, what is more probable: that it stayed, or that it is random?",
)
def best_guess(p, shown, masked, random):
    V = p.shape[0]
    return p if shown == V else p * 0 + (np.arange(V) == shown)


@mutant(
    "L7.3",
    misconception="mixed_instead_of_bayes",
    hint="Does your weight of the shown word depend on how well it fits here?",
)
def best_guess(p, shown, masked, random):
    V, stay = p.shape[0], 1 - masked - random
    return p if shown == V else (stay * (np.arange(V) == shown) + random * p) / (stay + random)


@mutant("L7.3", misconception="not_divided_by_the_sum", hint="What do the probabilities that you give add up to?")
def best_guess(p, shown, masked, random):
    V = p.shape[0]
    return p if shown == V else p * (random / V + (1 - masked - random) * (np.arange(V) == shown))


@mutant(
    "L7.3",
    misconception="random_never_hits_the_token_itself",
    hint="Among how many words is a random one drawn, and is the original one of them?",
)
def best_guess(p, shown, masked, random):
    V, same = p.shape[0], np.arange(p.shape[0]) == shown
    return p if shown == V else by_bayes(p, np.where(same, 1 - masked - random, random / (V - 1)))


@mutant(
    "L7.3",
    misconception="random_share_not_spread",
    hint="How probable is it that a random token is just the one that is shown?",
)
def best_guess(p, shown, masked, random):
    V = p.shape[0]
    return p if shown == V else by_bayes(p, random + (1 - masked - random) * (np.arange(V) == shown))


@mutant(
    "L7.3",
    misconception="context_forgotten",
    hint="Two words are equally likely to become what is shown. Are they equally likely to have been there?",
)
def best_guess(p, shown, masked, random):
    V = p.shape[0]
    return p if shown == V else by_bayes(p * 0 + 1, random / V + (1 - masked - random) * (np.arange(V) == shown))


@mutant("L7.3", misconception="mask_means_any_word", hint="Under [MASK], do the words around say nothing?")
def best_guess(p, shown, masked, random):
    V = p.shape[0]
    likelihood = random / V + (1 - masked - random) * (np.arange(V) == shown)
    return p * 0 + 1 / V if shown == V else by_bayes(p, likelihood)


@mutant(
    "L7.3",
    misconception="masked_ones_counted_as_kept",
    hint="Which part of the chosen stays: 1 − random, or what is left of both?",
)
def best_guess(p, shown, masked, random):
    V = p.shape[0]
    return p if shown == V else by_bayes(p, random / V + (1 - random) * (np.arange(V) == shown))


@mutant(
    "L7.3",
    misconception="random_and_kept_swapped",
    hint="With no random tokens at all, how sure may one be of what is shown?",
)
def best_guess(p, shown, masked, random):
    V, stay = p.shape[0], 1 - masked - random
    return p if shown == V else by_bayes(p, stay / V + random * (np.arange(V) == shown) + 1e-300)


@mutant(
    "L7.3",
    misconception="prior_counted_twice",
    hint="The words around speak once, what is shown speaks once. How often does p stand in your product?",
)
def best_guess(p, shown, masked, random):
    V = p.shape[0]
    return p if shown == V else by_bayes(p * p, random / V + (1 - masked - random) * (np.arange(V) == shown))


# ---------------------------------------------------------------------------------------------------- L7.4, the loss


def losses(logits, targets):
    """−log p of each target, 0 where there is none (B, T)."""
    wanted = np.eye(logits.shape[-1])[targets.clip(0)] * (targets >= 0)[..., None]
    return -F.sum((logits - F.logsumexp(logits, -1, True)) * wanted, -1)


@mutant(
    "L7.4",
    misconception="divided_by_all_positions",
    hint="If padding is added to the batch, should the loss become smaller?",
)
def masked_loss(logits, targets):
    return F.mean(losses(logits, targets))


@mutant(
    "L7.4",
    misconception="mean_of_the_rows_means",
    hint="Two rows ask one and three words. How much does each of the four words count?",
)
def masked_loss(logits, targets):
    asked = (targets >= 0).sum(1)
    means = F.sum(losses(logits, targets), 1) / np.maximum(asked, 1)
    return F.sum(means) / max(1, int((asked > 0).sum()))


@mutant("L7.4", misconception="sum_for_mean", hint="Does your loss double when the batch is doubled?")
def masked_loss(logits, targets):
    return F.sum(losses(logits, targets))


@mutant(
    "L7.4", misconception="divided_by_the_rows", hint="Over how many terms is the mean taken: rows, or asked words?"
)
def masked_loss(logits, targets):
    return F.sum(losses(logits, targets)) / len(targets)


@mutant("L7.4", misconception="not_asked_counts_as_token_zero", hint="What does your loss do with a target of -100?")
def masked_loss(logits, targets):
    return F.cross_entropy(logits, np.maximum(targets, 0))


@mutant(
    "L7.4",
    misconception="minus_hundred_as_an_index",
    hint="In Python an index of -1 is the last one. What is yours of -100?",
)
def masked_loss(logits, targets):
    return F.cross_entropy(logits, targets % logits.shape[-1])


@mutant("L7.4", misconception="zero_by_zero", hint="What is the mean of no numbers in your code?")
def masked_loss(logits, targets):
    return F.sum(losses(logits, targets)) / float(np.float64((targets >= 0).sum()) or math.nan)


@mutant(
    "L7.4",
    misconception="softmax_over_positions",
    hint="Over which axis do the probabilities of the words at one position sum to 1?",
)
def masked_loss(logits, targets):
    wanted = np.eye(logits.shape[-1])[targets.clip(0)] * (targets >= 0)[..., None]
    return -F.sum((logits - F.logsumexp(logits, 1, True)) * wanted) / max(1, int(wanted.sum()))


@mutant(
    "L7.4",
    misconception="probability_for_its_logarithm",
    hint="Is it the probability of the target that is averaged, or its logarithm?",
)
def masked_loss(logits, targets):
    wanted = np.eye(logits.shape[-1])[targets.clip(0)] * (targets >= 0)[..., None]
    return -F.sum(F.softmax(logits) * wanted) / max(1, int(wanted.sum()))


@mutant("L7.4", misconception="in_bits", hint="To which base is the logarithm of a loss in nats?")
def masked_loss(logits, targets):
    return F.sum(losses(logits, targets)) / max(1, int((targets >= 0).sum())) / math.log(2)


@mutant(
    "L7.4",
    misconception="loss_leaves_the_graph",
    hint="Which gradient do the logits get when the loss is a Python number?",
)
def masked_loss(logits, targets):
    return F.sum(losses(logits, targets)).item() / max(1, int((targets >= 0).sum()))


# --------------------------------------------------------------------------------------------------- L7.5, the pairs


@mutant(
    "L7.5",
    misconception="lengths_not_matched",
    hint="If the strange text is always as long as it was, what does its length tell?",
)
def next_or_not(own, coins):
    return [own[1 - i] if coins[i] else own[i] for i in (0, 1)], [int(c) for c in coins]


@mutant(
    "L7.5",
    misconception="only_strange_texts_are_cut",
    hint="Does a text have the same length whichever way the coin falls?",
)
def next_or_not(own, coins):
    n = min(map(len, own))
    return [own[1 - i][:n] if coins[i] else own[i] for i in (0, 1)], [int(c) for c in coins]


@mutant("L7.5", misconception="label_one_for_is_next", hint="In BERT, which label has the pair that belongs together?")
def next_or_not(own, coins):
    n = min(map(len, own))
    return [(own[1 - i] if coins[i] else own[i])[:n] for i in (0, 1)], [int(not c) for c in coins]


@mutant("L7.5", misconception="one_coin_for_both", hint="If the first keeps its own text, must the second?")
def next_or_not(own, coins):
    n = min(map(len, own))
    return [(own[1 - i] if coins[0] else own[i])[:n] for i in (0, 1)], [int(coins[0])] * 2


@mutant(
    "L7.5",
    misconception="strange_text_of_the_same_document",
    hint="From which document is the text that does not follow?",
)
def next_or_not(own, coins):
    n = min(map(len, own))
    return [own[i][::-1][:n] if coins[i] else own[i][:n] for i in (0, 1)], [int(c) for c in coins]


@mutant("L7.5", misconception="label_of_the_other", hint="Whose coin is a pair's label?")
def next_or_not(own, coins):
    n = min(map(len, own))
    return [(own[1 - i] if coins[i] else own[i])[:n] for i in (0, 1)], [int(c) for c in coins[::-1]]


@mutant(
    "L7.5",
    misconception="cut_at_the_front_of_the_continuation",
    hint="If the first words of a continuation are cut off, does it still go on where the first text ended?",
)
def next_or_not(own, coins):
    n = min(map(len, own))
    cut = [text[len(text) - n :] for text in own]
    return [cut[1 - i] if coins[i] else cut[i] for i in (0, 1)], [int(c) for c in coins]


@mutant(
    "L7.5",
    misconception="short_texts_filled_up",
    hint="If the shorter text is filled up, how does one tell which it was?",
)
def next_or_not(own, coins):
    n = max(map(len, own))
    filled = [text + [0] * (n - len(text)) for text in own]
    return [filled[1 - i] if coins[i] else filled[i] for i in (0, 1)], [int(c) for c in coins]


@mutant(
    "L7.5", misconception="strange_text_taken_away_from_the_other", hint="If both coins say True, what does each get?"
)
def next_or_not(own, coins):
    n, texts = min(map(len, own)), list(own)
    for i in (0, 1):
        if coins[i]:
            texts[i] = texts[1 - i]
    return [text[:n] for text in texts], [int(c) for c in coins]


# ------------------------------------------------------------------------------------------- L7.6, what a label leaks


def accuracy(feature, labels, learn, test, guess=0, seen=None):
    """By votes of the examples `learn`, on those of `test`; guess: what a tie says, seen: what a new value says."""
    votes = {}
    for value, label in zip(feature[learn].tolist(), labels[learn].tolist(), strict=True):
        votes[value] = votes.get(value, 0) + (1 if label else -1)
    says = [
        (
            seen
            if value not in votes and seen is not None
            else guess
            if votes.get(value, 0) == 0
            else int(votes[value] > 0)
        )
        for value in feature[test].tolist()
    ]
    return float((np.array(says) == labels[test]).mean())


@mutant(
    "L7.6",
    misconception="tested_on_what_taught",
    hint="With a value of its own for each example, how well would your rule do on the examples that taught it?",
)
def told_by(feature, labels):
    half = slice(len(labels) // 2)
    return accuracy(feature, labels, half, half)


@mutant("L7.6", misconception="taught_by_all", hint="Do your votes know the labels of the examples that test them?")
def told_by(feature, labels):
    return accuracy(feature, labels, slice(None), slice(len(labels) // 2, None))


@mutant("L7.6", misconception="everything_on_everything", hint="Which examples teach, and which test?")
def told_by(feature, labels):
    return accuracy(feature, labels, slice(None), slice(None))


@mutant("L7.6", misconception="ties_say_one", hint="What does a value say that came with both labels equally often?")
def told_by(feature, labels):
    half = len(labels) // 2
    return accuracy(feature, labels, slice(half), slice(half, None), guess=1, seen=0)


@mutant("L7.6", misconception="new_values_say_one", hint="What does a value say that was never seen?")
def told_by(feature, labels):
    half = len(labels) // 2
    return accuracy(feature, labels, slice(half), slice(half, None), seen=1)


@mutant("L7.6", misconception="new_values_left_out", hint="Over how many test examples is your mean taken?")
def told_by(feature, labels):
    half = len(labels) // 2
    known = np.isin(feature[half:], feature[:half])
    test = half + np.flatnonzero(known)
    return accuracy(feature, labels, slice(half), test) if len(test) else 0.5


@mutant(
    "L7.6", misconception="halves_swapped", hint="Which half comes first: the one that teaches, or the one that tests?"
)
def told_by(feature, labels):
    half = len(labels) // 2
    return accuracy(feature, labels, slice(half, None), slice(half))


@mutant(
    "L7.6", misconception="long_means_strange", hint="Must the label grow with the feature for the feature to tell it?"
)
def told_by(feature, labels):
    half = len(labels) // 2
    border = feature[:half].mean() if half else 0
    return float(((feature[half:] > border) == labels[half:]).mean())


@mutant("L7.6", misconception="most_frequent_label", hint="Does your guess depend on the feature at all?")
def told_by(feature, labels):
    half = len(labels) // 2
    return float((labels[half:] == int(2 * labels[:half].sum() > half)).mean())


@mutant("L7.6", misconception="wrong_ones_counted", hint="Is your number the part that is told right, or wrong?")
def told_by(feature, labels):
    half = len(labels) // 2
    return 1 - accuracy(feature, labels, slice(half), slice(half, None))
