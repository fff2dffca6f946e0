"""What students write instead, and the question that leads on."""

import math
import re

import numpy as np

import minilm.functional as F
from minilm.course import mutant

from .tasks import best_span as span_right
from .tasks import layer_rates as rates_right
from .tasks import piece_tags as tags_right
from .tasks import scores as scores_right


def logits_at(hidden, at, weight, bias):
    return hidden[np.arange(hidden.shape[0]), at] @ weight + bias


def first(real):
    return np.argmax(real, axis=1)


def last(real):
    return real.shape[1] - 1 - np.argmax(real[:, ::-1], axis=1)


# ----------------------------------------------------------------------------------------------------------------- L8.1


@mutant(
    "L8.1",
    misconception="state_of_padding",
    hint="Index −1 is the end of the array. What stands there in a row that is shorter than its neighbours?",
)
def class_logits(hidden, real, weight, bias, causal):
    at = np.full(len(real), real.shape[1] - 1) if causal else first(real)
    return logits_at(hidden, at, weight, bias)


@mutant(
    "L8.1",
    misconception="padding_is_on_the_right",
    hint="You count the real tokens. Is the n-th position the last real one if the padding stands on the left?",
)
def class_logits(hidden, real, weight, bias, causal):
    at = real.sum(1) - 1 if causal else first(real)
    return logits_at(hidden, at, weight, bias)


@mutant("L8.1", misconception="cls_is_at_zero",
        hint="[CLS] is the first token of the text. Where is that in a row that is padded on the left?")  # fmt: skip
def class_logits(hidden, real, weight, bias, causal):
    at = last(real) if causal else np.zeros(len(real), int)
    return logits_at(hidden, at, weight, bias)


@mutant("L8.1", misconception="gpt_reads_the_first",
        hint="Under a causal mask, how many tokens has the first position read?")  # fmt: skip
def class_logits(hidden, real, weight, bias, causal):
    return logits_at(hidden, first(real), weight, bias)


@mutant("L8.1", misconception="bert_reads_the_last",
        hint="BERT was taught to gather the text in one place. Is that its last token?")  # fmt: skip
def class_logits(hidden, real, weight, bias, causal):
    return logits_at(hidden, last(real), weight, bias)


@mutant(
    "L8.1",
    misconception="places_the_wrong_way_round",
    hint="Which of the two models has a token at the end that has read all, and which reads both sides anyhow?",
)
def class_logits(hidden, real, weight, bias, causal):
    return logits_at(hidden, first(real) if causal else last(real), weight, bias)


@mutant("L8.1", misconception="before_the_first_padding",
        hint="You look for the first padding and step back. What if the row begins with padding?")  # fmt: skip
def class_logits(hidden, real, weight, bias, causal):
    ends = np.where(real.all(1), real.shape[1], np.argmin(real, axis=1)) - 1
    return logits_at(hidden, np.maximum(ends, 0) if causal else first(real), weight, bias)


@mutant("L8.1", misconception="mean_of_all_tokens",
        hint="A mean is another way to get one vector. Which single state is asked for here?")  # fmt: skip
def class_logits(hidden, real, weight, bias, causal):
    weights = real / real.sum(1, keepdims=True)
    return F.sum(hidden * weights[:, :, None], axis=1) @ weight + bias


@mutant("L8.1", misconception="the_bias_is_left_out",
        hint="Set the state to zeros. What should the logits be then?")  # fmt: skip
def class_logits(hidden, real, weight, bias, causal):
    return logits_at(hidden, last(real) if causal else first(real), weight, 0.0)


@mutant("L8.1", misconception="probabilities_are_logits",
        hint="The loss takes a softmax of what you give it. What comes of a softmax of a softmax?")  # fmt: skip
def class_logits(hidden, real, weight, bias, causal):
    return F.softmax(logits_at(hidden, last(real) if causal else first(real), weight, bias))


@mutant("L8.1", misconception="one_place_for_the_batch",
        hint="You found where the longest row ends. Do all rows end there?")  # fmt: skip
def class_logits(hidden, real, weight, bias, causal):
    at = np.full(len(real), last(real).max()) if causal else np.full(len(real), first(real).min())
    return logits_at(hidden, at, weight, bias)


# ----------------------------------------------------------------------------------------------------------------- L8.3


@mutant("L8.3", misconception="every_piece_is_a_word",
        hint="A word of four pieces would count four times in the loss. How often was it labelled?")  # fmt: skip
def piece_tags(tags, pieces, length):
    inside = np.repeat(tags, pieces)[: length - 2]
    return np.pad(inside, (1, length - 1 - len(inside)), constant_values=-100)


@mutant("L8.3", misconception="the_last_piece_speaks",
        hint="You label the piece where the word ends. Which one does the task name?")  # fmt: skip
def piece_tags(tags, pieces, length):
    labels = np.full(length, -100)
    ends = np.cumsum(pieces)
    fits = ends < length - 1
    labels[ends[fits]] = np.array(tags)[fits]
    return labels


@mutant("L8.3", misconception="cls_is_forgotten",
        hint="Which token stands at position 0 of the row?")  # fmt: skip
def piece_tags(tags, pieces, length):
    return np.append(tags_right(tags, pieces, length + 1)[1:-1], -100)


@mutant("L8.3", misconception="ignored_is_class_zero",
        hint="0 is the number of a label. What does the loss do with a piece that has it?")  # fmt: skip
def piece_tags(tags, pieces, length):
    found = tags_right(tags, pieces, length)
    return np.where(found == -100, 0, found)


@mutant("L8.3", misconception="ignored_is_minus_one",
        hint="Which number does the loss leave out? What does it do with −1 as an index?")  # fmt: skip
def piece_tags(tags, pieces, length):
    found = tags_right(tags, pieces, length)
    return np.where(found == -100, -1, found)


@mutant(
    "L8.3",
    misconception="one_label_a_token",
    hint="You go through words and tokens side by side. What happens after the first word that is cut in two?",
)
def piece_tags(tags, pieces, length):
    inside = np.array(tags)[: length - 2]
    return np.pad(inside, (1, length - 1 - len(inside)), constant_values=-100)


@mutant("L8.3", misconception="the_next_pieces_are_inside",
        hint="You give later pieces a label of their own, one up. Who asked for a second kind of label?")  # fmt: skip
def piece_tags(tags, pieces, length):
    inside = [tag + (k > 0) for tag, count in zip(tags, pieces, strict=True) for k in range(count)][: length - 2]
    return np.pad(inside, (1, length - 1 - len(inside)), constant_values=-100)


@mutant(
    "L8.3",
    misconception="sep_gets_a_label",
    hint="How many pieces have room in a row of T positions that begins with [CLS] and ends with [SEP]?",
)
def piece_tags(tags, pieces, length):
    return tags_right(tags, pieces, length + 1)[:-1]


@mutant("L8.3", misconception="only_whole_words",
        hint="A word's end is cut off, its first piece is there. Has it a label?")  # fmt: skip
def piece_tags(tags, pieces, length):
    while sum(pieces) > length - 2 and len(pieces) > 1:
        tags, pieces = tags[:-1], pieces[:-1]
    return tags_right(tags, pieces, length)


@mutant("L8.3", misconception="cut_at_the_front",
        hint="The row is too short. Which end of the text does the task keep?")  # fmt: skip
def piece_tags(tags, pieces, length):
    whole = tags_right(tags, pieces, sum(pieces) + 2)
    if len(whole) <= length:
        return np.pad(whole, (0, length - len(whole)), constant_values=-100)
    return np.concatenate([[-100], whole[1:-1][-(length - 2) :], [-100]])


@mutant("L8.3", misconception="words_in_one_piece_only",
        hint="You label words that are a single token. What of those that are cut?")  # fmt: skip
def piece_tags(tags, pieces, length):
    kept = [tag if count == 1 else -100 for tag, count in zip(tags, pieces, strict=True)]
    return tags_right(kept, pieces, length)


# ----------------------------------------------------------------------------------------------------------------- L8.4


@mutant(
    "L8.4",
    misconception="start_and_end_apart",
    hint="You take the best start and the best end, each for itself. Must the second come after the first?",
)
def best_span(start, end, passage, longest):
    if not passage.any():
        return None
    return tuple(int(np.where(passage, x, -np.inf).argmax()) for x in (start, end))


@mutant("L8.4", misconception="exchanged_if_reversed",
        hint="End before start, so you exchange them. Which scores has the span that you then return?")  # fmt: skip
def best_span(start, end, passage, longest):
    if not passage.any():
        return None
    i, j = (int(np.where(passage, x, -np.inf).argmax()) for x in (start, end))
    return min(i, j), max(i, j)


@mutant("L8.4", misconception="start_first_then_end",
        hint="You fix the best start. Might a slightly worse start have a far better end?")  # fmt: skip
def best_span(start, end, passage, longest):
    if not passage.any():
        return None
    i = int(np.where(passage, start, -np.inf).argmax())
    allowed = [j for j in range(i, min(i + longest, len(end))) if passage[j]]
    return i, max(allowed, key=lambda j: end[j])


@mutant("L8.4", misconception="the_question_answers",
        hint="The row holds the question too. May the answer lie in it?")  # fmt: skip
def best_span(start, end, passage, longest):
    return span_right(start, end, passage | True, longest) if passage.any() else None


@mutant("L8.4", misconception="one_token_too_long",
        hint="A span i … j has j − i + 1 tokens. Which j is the last one allowed?")  # fmt: skip
def best_span(start, end, passage, longest):
    return span_right(start, end, passage, longest + 1)


@mutant("L8.4", misconception="any_length",
        hint="What in your function knows `longest`?")  # fmt: skip
def best_span(start, end, passage, longest):
    return span_right(start, end, passage, len(start))


@mutant("L8.4", misconception="scores_are_multiplied",
        hint="Two logits below 0: what is the sign of their product? Which scores would you prefer?")  # fmt: skip
def best_span(start, end, passage, longest):
    spans = [(i, j) for i in np.flatnonzero(passage).tolist() for j in range(i, min(i + longest, len(end)))]
    spans = [(i, j) for i, j in spans if passage[j]]
    return max(spans, key=lambda s: start[s[0]] * end[s[1]], default=None)


@mutant("L8.4", misconception="end_is_not_counted",
        hint="Python's slices end before j. Does the label of an answer?")  # fmt: skip
def best_span(start, end, passage, longest):
    found = span_right(start, end, passage, longest)
    return found and (found[0], found[1] + 1)


@mutant("L8.4", misconception="probabilities_are_added",
        hint="The probability of a span is p(start) · p(end). What is that in logarithms?")  # fmt: skip
def best_span(start, end, passage, longest):
    p, q = (np.exp(x) / np.exp(x).sum() for x in (start, end))
    return span_right(p, q, passage, longest)


@mutant("L8.4", misconception="two_tokens_at_least",
        hint="May an answer be a single word? Where do its start and end stand?")  # fmt: skip
def best_span(start, end, passage, longest):
    spans = [(i, j) for i in np.flatnonzero(passage).tolist() for j in range(i + 1, min(i + longest, len(end)))]
    spans = [(i, j) for i, j in spans if passage[j]]
    return max(spans, key=lambda s: start[s[0]] + end[s[1]], default=span_right(start, end, passage, 1))


@mutant("L8.4", misconception="score_of_a_token",
        hint="You divide by the length. Does the model's score grow with it?")  # fmt: skip
def best_span(start, end, passage, longest):
    spans = [(i, j) for i in np.flatnonzero(passage).tolist() for j in range(i, min(i + longest, len(end)))]
    spans = [(i, j) for i, j in spans if passage[j]]
    return max(spans, key=lambda s: (start[s[0]] + end[s[1]]) / (s[1] - s[0] + 1), default=None)


@mutant("L8.4", misconception="places_in_the_passage",
        hint="Position 0 of your answer is the first token of the passage. Of what should it be?")  # fmt: skip
def best_span(start, end, passage, longest):
    inside = np.flatnonzero(passage)
    return span_right(start[inside], end[inside], passage[inside], longest) if len(inside) else None


# ----------------------------------------------------------------------------------------------------------------- L8.5


def counts(gold, guessed):
    """tp, tn, fp, fn."""
    return tuple(int(((gold == g) & (guessed == p)).sum()) for g, p in ((1, 1), (0, 0), (0, 1), (1, 0)))


@mutant("L8.5", misconception="f1_of_the_no",
        hint="Which of the two answers is F1 asked of?")  # fmt: skip
def scores(gold, guessed):
    accuracy, _, matthews = scores_right(gold, guessed)
    return accuracy, scores_right(1 - gold, 1 - guessed)[1], matthews


@mutant("L8.5", misconception="mean_of_both_f1",
        hint="The mean over both classes is macro F1. Does the number of right noes enter F1?")  # fmt: skip
def scores(gold, guessed):
    accuracy, f1, matthews = scores_right(gold, guessed)
    return accuracy, (f1 + scores_right(1 - gold, 1 - guessed)[1]) / 2, matthews


@mutant("L8.5", misconception="arithmetic_mean",
        hint="Precision .1 and recall 1: is a guesser who always says yes worth .55?")  # fmt: skip
def scores(gold, guessed):
    accuracy, _, matthews = scores_right(gold, guessed)
    tp, _, fp, fn = counts(gold, guessed)
    return accuracy, (tp / max(tp + fp, 1) + tp / max(tp + fn, 1)) / 2, matthews


@mutant("L8.5", misconception="f1_is_precision",
        hint="Say yes once, and rightly. Is that as good as finding all of them?")  # fmt: skip
def scores(gold, guessed):
    accuracy, _, matthews = scores_right(gold, guessed)
    tp, _, fp, _ = counts(gold, guessed)
    return accuracy, tp / max(tp + fp, 1), matthews


@mutant("L8.5", misconception="f1_is_recall",
        hint="Say yes always. Is that a good answer?")  # fmt: skip
def scores(gold, guessed):
    accuracy, _, matthews = scores_right(gold, guessed)
    tp, _, _, fn = counts(gold, guessed)
    return accuracy, tp / max(tp + fn, 1), matthews


@mutant("L8.5", misconception="no_square_root",
        hint="Guesses that are all right should have the correlation 1. What do yours have when N is 6?")  # fmt: skip
def scores(gold, guessed):
    accuracy, f1, _ = scores_right(gold, guessed)
    tp, tn, fp, fn = counts(gold, guessed)
    below = (tp + fp) * (tp + fn) * (tn + fp) * (tn + fn)
    return accuracy, f1, (tp * tn - fp * fn) / below if below else 0.0


@mutant("L8.5", misconception="wrong_ones_do_not_count",
        hint="All guesses wrong: what should a correlation be?")  # fmt: skip
def scores(gold, guessed):
    accuracy, f1, _ = scores_right(gold, guessed)
    tp, tn, fp, fn = counts(gold, guessed)
    below = math.sqrt((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn))
    return accuracy, f1, tp * tn / below if below else 0.0


@mutant("L8.5", misconception="undefined_is_perfect",
        hint="Somebody always says no. Does he deserve a 1?")  # fmt: skip
def scores(gold, guessed):
    accuracy, f1, matthews = scores_right(gold, guessed)
    return accuracy, f1, matthews if gold.std() * guessed.std() else 1.0


@mutant(
    "L8.5",
    misconception="kappa",
    hint="Agreement above chance over what is possible above chance is Cohen's kappa. When do the two differ?",
)
def scores(gold, guessed):
    accuracy, f1, _ = scores_right(gold, guessed)
    chance = gold.mean() * guessed.mean() + (1 - gold.mean()) * (1 - guessed.mean())
    return accuracy, f1, float((accuracy - chance) / (1 - chance)) if chance < 1 else 0.0


@mutant(
    "L8.5",
    misconception="two_rates_minus_one",
    hint="Recall of the yes plus recall of the no, less 1: is it the same when gold and guesses change places?",
)
def scores(gold, guessed):
    accuracy, f1, _ = scores_right(gold, guessed)
    tp, tn, fp, fn = counts(gold, guessed)
    return accuracy, f1, tp / (tp + fn) + tn / (tn + fp) - 1 if (tp + fn) * (tn + fp) else 0.0


@mutant("L8.5", misconception="accuracy_twice_less_one",
        hint="2 · accuracy − 1 is 0 for a coin. What is it for one who always says the frequent answer?")  # fmt: skip
def scores(gold, guessed):
    accuracy, f1, _ = scores_right(gold, guessed)
    return accuracy, f1, 2 * accuracy - 1


# ----------------------------------------------------------------------------------------------------------------- L8.6


def level(name, layers):
    block = re.search(r"blocks\.(\d+)\.", name)
    return int(block[1]) + 1 if block else 0 if "embedding" in name else layers + 1


@mutant("L8.6", misconception="fastest_at_the_bottom",
        hint="Which layers know what all texts have in common, and which must change most for your task?")  # fmt: skip
def layer_rates(names, layers, rate, factor, frozen):
    levels = {name: level(name, layers) for name in names}
    return {name: 0.0 if n < frozen else rate * factor**n for name, n in levels.items()}


@mutant("L8.6", misconception="the_head_is_a_block",
        hint="The last block and the head have the same rate in yours. Which of them is new?")  # fmt: skip
def layer_rates(names, layers, rate, factor, frozen):
    levels = {name: level(name, layers) for name in names}
    return {name: 0.0 if n < frozen else rate * factor ** max(layers - n, 0) for name, n in levels.items()}


@mutant("L8.6", misconception="embeddings_belong_to_the_first_block",
        hint="Are the embeddings one level below the first block, or on the same one?")  # fmt: skip
def layer_rates(names, layers, rate, factor, frozen):
    levels = {name: level(name, layers) for name in names}
    return {name: 0.0 if n < frozen else rate * factor ** (layers + 1 - max(n, 1)) for name, n in levels.items()}


@mutant("L8.6", misconception="block_ten_is_block_one",
        hint="\"blocks.1\" is also how \"blocks.11.\" begins. What ends the number?")  # fmt: skip
def layer_rates(names, layers, rate, factor, frozen):
    found = {}
    for name in names:
        inside = [n for n in range(layers) if f"blocks.{n}" in name]
        n = inside[0] + 1 if inside else level(name, layers)
        found[name] = 0.0 if n < frozen else rate * factor ** (layers + 1 - n)
    return found


@mutant("L8.6", misconception="one_level_too_many",
        hint="frozen = 0 freezes nothing. What does it freeze in yours?")  # fmt: skip
def layer_rates(names, layers, rate, factor, frozen):
    levels = {name: level(name, layers) for name in names}
    return {name: 0.0 if n <= frozen else rate * factor ** (layers + 1 - n) for name, n in levels.items()}


@mutant("L8.6", misconception="frozen_from_the_top",
        hint="Which end of the model is kept as it is, the one by the text or the one by the labels?")  # fmt: skip
def layer_rates(names, layers, rate, factor, frozen):
    levels = {name: level(name, layers) for name in names}
    return {name: 0.0 if layers + 1 - n < frozen else rate * factor ** (layers + 1 - n) for name, n in levels.items()}


@mutant("L8.6", misconception="nearly_frozen",
        hint="A small rate times many steps is not 0. And what does Adam make of a small gradient?")  # fmt: skip
def layer_rates(names, layers, rate, factor, frozen):
    free = rates_right(names, layers, rate, factor, 0)
    return {name: r * 1e-3 if level(name, layers) < frozen else r for name, r in free.items()}


@mutant("L8.6", misconception="what_is_no_block_is_below",
        hint="Pooler and final norm have no block's number. Do they stand below the blocks?")  # fmt: skip
def layer_rates(names, layers, rate, factor, frozen):
    found = {}
    for name in names:
        n = 0 if "pooler" in name or "final_norm" in name else level(name, layers)
        found[name] = 0.0 if n < frozen else rate * factor ** (layers + 1 - n)
    return found


@mutant("L8.6", misconception="falls_along_a_line",
        hint="From level to level, do you multiply by the same factor?")  # fmt: skip
def layer_rates(names, layers, rate, factor, frozen):
    levels = {name: level(name, layers) for name in names}
    return {name: 0.0 if n < frozen else rate * (1 - (1 - factor) * (layers + 1 - n) / (layers + 2))
            for name, n in levels.items()}  # fmt: skip


@mutant(
    "L8.6",
    misconception="rates_from_the_frozen_up",
    hint="You spread the rates over what is not frozen. Should freezing the embeddings slow the last block down?",
)
def layer_rates(names, layers, rate, factor, frozen):
    levels = {name: level(name, layers) for name in names}
    return {name: 0.0 if n < frozen else rate * factor ** (layers + 1 - n + frozen) for name, n in levels.items()}


@mutant("L8.6", misconception="biases_are_free",
        hint="Weight decay often leaves biases and norms out. Does this schedule?")  # fmt: skip
def layer_rates(names, layers, rate, factor, frozen):
    right = rates_right(names, layers, rate, factor, frozen)
    return {name: rate if name.endswith("bias") else r for name, r in right.items()}


# ----------------------------------------------------------------------------------------------------------------- L8.8


def means(hidden, real):
    weights = real / real.sum(1, keepdims=True)
    return F.sum(hidden * weights[:, :, None], axis=1)


def lengths_of(x):
    return F.sqrt(F.sum(x * x, -1, keepdims=True))


def cosines(x):
    unit = x / lengths_of(x)
    return unit @ unit.T


@mutant("L8.8", misconception="padding_is_in_the_mean",
        hint="A text is embedded alone, then beside a longer one. Is its vector the same?")  # fmt: skip
def similarity(hidden, real):
    return cosines(F.mean(hidden, axis=1))


@mutant("L8.8", misconception="the_first_token_stands_for_all",
        hint="You read [CLS]. What was it trained to hold in this model?")  # fmt: skip
def similarity(hidden, real):
    return cosines(hidden[np.arange(len(real)), first(real)])


@mutant("L8.8", misconception="the_last_token_stands_for_all",
        hint="One token of many: where are the others in your vector?")  # fmt: skip
def similarity(hidden, real):
    return cosines(hidden[np.arange(len(real)), last(real)])


@mutant("L8.8", misconception="largest_instead_of_mean",
        hint="The largest entry over the tokens is another pooling. Which one is asked for?")  # fmt: skip
def similarity(hidden, real):
    return cosines(F.max(F.where(real[:, :, None], hidden, -1e9), axis=1))


@mutant("L8.8", misconception="product_is_cosine",
        hint="How like itself is a text in yours? And if its vector is made twice as long?")  # fmt: skip
def similarity(hidden, real):
    mean = means(hidden, real)
    return mean @ mean.T


@mutant(
    "L8.8",
    misconception="tokens_of_one_length",
    hint="You bring each token to length 1 and no more. What is the length of the mean of unit vectors?",
)
def similarity(hidden, real):
    mean = means(hidden / lengths_of(hidden), real)
    return mean @ mean.T


@mutant("L8.8", misconception="one_side_is_normalised",
        hint="The table should be the same when rows and columns are exchanged. Is yours?")  # fmt: skip
def similarity(hidden, real):
    mean = means(hidden, real)
    return (mean / lengths_of(mean)) @ mean.T


@mutant("L8.8", misconception="sum_of_squares_is_length",
        hint="Is the length of (3, 4) 25?")  # fmt: skip
def similarity(hidden, real):
    mean = means(hidden, real)
    unit = mean / F.sum(mean * mean, -1, keepdims=True)
    return unit @ unit.T


@mutant(
    "L8.8",
    misconception="normalised_over_the_batch",
    hint="You divide each feature by its size over all texts. Over which axis is the length of one text's vector?",
)
def similarity(hidden, real):
    mean = means(hidden, real)
    unit = mean / F.sqrt(F.sum(mean * mean, 0, keepdims=True))
    return unit @ unit.T


@mutant(
    "L8.8",
    misconception="correlation",
    hint="You take each vector's own mean away first. What is then the angle between (1, 2) and (3, 4)?",
)
def similarity(hidden, real):
    mean = means(hidden, real)
    return cosines(mean - F.mean(mean, -1, keepdims=True))


@mutant("L8.8", misconception="every_token_weighs_the_same",
        hint="You bring each state to length 1 before the mean. Does the task's mean know of that?")  # fmt: skip
def similarity(hidden, real):
    return cosines(means(hidden / lengths_of(hidden), real))


@mutant("L8.8", misconception="distance_is_similarity",
        hint="The distance of a text from itself is 0. How like itself is it?")  # fmt: skip
def similarity(hidden, real):
    mean = means(hidden, real)
    unit = mean / lengths_of(mean)
    gap = F.expand_dims(unit, 0) - F.expand_dims(unit, 1)
    return F.sum(gap * gap, -1)


# ----------------------------------------------------------------------------------------------------------------- L8.9


def log_p_of(logits, ids):
    """log p of the token at t + 1, (C, T − 1), and the places t + 1."""
    C, T, _ = logits.shape
    log_p = F.log_softmax(logits[:, :-1])
    return log_p[np.arange(C)[:, None], np.arange(T - 1), ids[:, 1:]], np.arange(1, T)


def scored(each, answer, per_token, count=None):
    total = F.sum(F.where(answer, each, 0.0), axis=1)
    return total / (answer.sum(1) if count is None else count) if per_token else total


@mutant("L8.9", misconception="not_shifted",
        hint="The logits at position t say what comes next. Which token does yours look up there?")  # fmt: skip
def answer_scores(logits, ids, prompt, lengths, per_token):
    C, T, _ = logits.shape
    each = F.log_softmax(logits)[np.arange(C)[:, None], np.arange(T), ids]
    at = np.arange(T)
    return scored(each, (at >= prompt) & (at < lengths[:, None]), per_token)


@mutant("L8.9", misconception="the_prompt_counts_too",
        hint="All answers share the prompt. What does its probability say of any of them?")  # fmt: skip
def answer_scores(logits, ids, prompt, lengths, per_token):
    each, at = log_p_of(logits, ids)
    return scored(each, at < lengths[:, None], per_token)


@mutant("L8.9", misconception="padding_is_answered",
        hint="The rows are filled up. Whose tokens are those after the answer?")  # fmt: skip
def answer_scores(logits, ids, prompt, lengths, per_token):
    each, at = log_p_of(logits, ids)
    return scored(each, (at >= prompt) & (at < lengths[:, None] + 1), per_token, lengths - prompt)


@mutant("L8.9", misconception="logits_are_log_probabilities",
        hint="Add 5 to all logits of a position. What should change?")  # fmt: skip
def answer_scores(logits, ids, prompt, lengths, per_token):
    C, T, _ = logits.shape
    each, at = logits[np.arange(C)[:, None], np.arange(T - 1), ids[:, 1:]], np.arange(1, T)
    return scored(each, (at >= prompt) & (at < lengths[:, None]), per_token)


@mutant("L8.9", misconception="probabilities_are_added",
        hint="The probability of two tokens in a row: is it a sum or a product?")  # fmt: skip
def answer_scores(logits, ids, prompt, lengths, per_token):
    each, at = log_p_of(logits, ids)
    return F.log(scored(F.exp(each), (at >= prompt) & (at < lengths[:, None]), per_token))


@mutant("L8.9", misconception="divided_by_the_whole_row",
        hint="The mean is over the tokens that you added up. How many are those?")  # fmt: skip
def answer_scores(logits, ids, prompt, lengths, per_token):
    each, at = log_p_of(logits, ids)
    return scored(each, (at >= prompt) & (at < lengths[:, None]), per_token, lengths)


@mutant("L8.9", misconception="never_normalised",
        hint="What does your function do differently when per_token is True?")  # fmt: skip
def answer_scores(logits, ids, prompt, lengths, per_token):
    each, at = log_p_of(logits, ids)
    return scored(each, (at >= prompt) & (at < lengths[:, None]), False)


@mutant("L8.9", misconception="always_normalised",
        hint="What is the probability of a whole answer: that of its mean token?")  # fmt: skip
def answer_scores(logits, ids, prompt, lengths, per_token):
    each, at = log_p_of(logits, ids)
    return scored(each, (at >= prompt) & (at < lengths[:, None]), True)


@mutant("L8.9", misconception="the_first_token_is_given",
        hint="Which position's logits speak of the first token of the answer?")  # fmt: skip
def answer_scores(logits, ids, prompt, lengths, per_token):
    each, at = log_p_of(logits, ids)
    return scored(each, (at > prompt) & (at < lengths[:, None]), per_token, lengths - prompt)


@mutant("L8.9", misconception="the_last_token_is_left_out",
        hint="Count the tokens that your sum holds, for an answer of one token.")  # fmt: skip
def answer_scores(logits, ids, prompt, lengths, per_token):
    each, at = log_p_of(logits, ids)
    return scored(each, (at >= prompt) & (at < lengths[:, None] - 1), per_token, lengths - prompt)


@mutant("L8.9", misconception="loss_is_score",
        hint="The best answer has the largest score. Has it the largest loss?")  # fmt: skip
def answer_scores(logits, ids, prompt, lengths, per_token):
    each, at = log_p_of(logits, ids)
    return -scored(each, (at >= prompt) & (at < lengths[:, None]), per_token)


@mutant("L8.9", misconception="softmax_over_the_answers",
        hint="Over which axis do the probabilities of the next token sum to 1?")  # fmt: skip
def answer_scores(logits, ids, prompt, lengths, per_token):
    C, T, _ = logits.shape
    log_p = F.log_softmax(logits[:, :-1], axis=1)
    each, at = log_p[np.arange(C)[:, None], np.arange(T - 1), ids[:, 1:]], np.arange(1, T)
    return scored(each, (at >= prompt) & (at < lengths[:, None]), per_token)
