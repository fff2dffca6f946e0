"""What students write instead, and the question that leads on."""

import math

import numpy as np

import minilm.functional as F
from minilm.course import mutant

from .tasks import attention_weights as weights_of
from .tasks import scores as scores_of

# ----------------------------------------------------------------------------------------------------------------- L3.1


@mutant(
    "L3.1",
    misconception="lookup_is_the_best_match",
    hint="Which number tells how much more the best key counts than the second best? What is read at sharpness 0?",
)
def soft_lookup(query, key, value, sharpness):
    best = np.argmax((query @ key.T).numpy(), axis=-1)
    return value[best]


@mutant(
    "L3.1",
    misconception="softmax_over_queries",
    hint="Each query divides its attention among the entries. Over which axis do weights sum to 1?",
)
def soft_lookup(query, key, value, sharpness):
    return F.softmax(sharpness * (query @ key.T), axis=0) @ value


@mutant(
    "L3.1", misconception="weights_are_not_normalised", hint="If all values are 1, what is their mean? What do you get?"
)
def soft_lookup(query, key, value, sharpness):
    return F.exp(sharpness * (query @ key.T)) @ value


@mutant(
    "L3.1",
    misconception="sharpness_after_the_softmax",
    hint="A mean of values lies between the smallest and the largest. Does yours when sharpness is 2?",
)
def soft_lookup(query, key, value, sharpness):
    return sharpness * F.softmax(query @ key.T) @ value


@mutant(
    "L3.1",
    misconception="sharpness_is_temperature",
    hint="Should a larger sharpness move the weights apart or together? You divide by it.",
)
def soft_lookup(query, key, value, sharpness):
    return F.softmax((query @ key.T) / (sharpness + 1e-9)) @ value


@mutant(
    "L3.1",
    misconception="keys_are_what_is_read",
    hint="The key says where, the value says what. Which of the two is handed back?",
)
def soft_lookup(query, key, value, sharpness):
    return F.softmax(sharpness * (query @ key.T)) @ key


@mutant(
    "L3.1",
    misconception="values_are_matched",
    hint="With what is a query compared: with what an entry is labelled by, or with what it holds?",
)
def soft_lookup(query, key, value, sharpness):
    return F.softmax(sharpness * (query @ value.T)) @ value


@mutant(
    "L3.1",
    misconception="softmax_is_dividing_by_the_sum",
    hint="What are your weights if two scores are 1 and −1? What keeps a softmax's denominator above 0?",
)
def soft_lookup(query, key, value, sharpness):
    match = sharpness * (query @ key.T)
    return match / F.sum(match, -1, keepdims=True) @ value


@mutant(
    "L3.1",
    misconception="only_directions_match",
    hint="Does a query twice as long match twice as well? The task asks for the inner product itself.",
)
def soft_lookup(query, key, value, sharpness):
    lengths = F.sqrt(F.sum(query * query, -1, keepdims=True) + 1e-12), F.sqrt(F.sum(key * key, -1) + 1e-12)
    return F.softmax(sharpness * (query @ key.T) / lengths[0] / lengths[1]) @ value


@mutant(
    "L3.1",
    misconception="sharpness_is_forgotten",
    hint="Change sharpness from 0 to 100: does anything you return change?",
)
def soft_lookup(query, key, value, sharpness):
    return F.softmax(query @ key.T) @ value


# ----------------------------------------------------------------------------------------------------------------- L3.2


@mutant(
    "L3.2",
    misconception="no_scale",
    hint="Each score is a sum of K products. What is its spread if each product has spread 1?",
)
def scores(query, key):
    return query @ F.swapaxes(key, -1, -2)


@mutant(
    "L3.2",
    misconception="scale_by_k",
    hint="Variances add up, spreads do not. Is the spread of a sum of K terms K, or √K?",
)
def scores(query, key):
    return query @ F.swapaxes(key, -1, -2) / query.shape[-1]


@mutant(
    "L3.2",
    misconception="scale_is_multiplied",
    hint="Wider vectors give larger products. Should the factor grow with K or shrink?",
)
def scores(query, key):
    return query @ F.swapaxes(key, -1, -2) * math.sqrt(query.shape[-1])


@mutant(
    "L3.2",
    misconception="scale_by_the_number_of_keys",
    hint="Over what does the inner product sum: over the keys, or over the features of one key?",
)
def scores(query, key):
    return query @ F.swapaxes(key, -1, -2) / math.sqrt(key.shape[-2])


@mutant(
    "L3.2",
    misconception="transpose_turns_every_axis",
    hint="`.T` reverses all axes. Which two should change places when there are axes before them?",
)
def scores(query, key):
    return query @ key.T / math.sqrt(query.shape[-1])


@mutant("L3.2", misconception="queries_meet_queries", hint="Change the keys: does your result change?")
def scores(query, key):
    return query @ F.swapaxes(query, -1, -2) / math.sqrt(query.shape[-1])


@mutant(
    "L3.2",
    misconception="scale_twice",
    hint="Queries and keys are each divided by √K. By what is their product divided?",
)
def scores(query, key):
    root = math.sqrt(query.shape[-1])
    return (query / root) @ F.swapaxes(key / root, -1, -2)


@mutant(
    "L3.2",
    misconception="scores_are_transposed",
    hint="Which axis of the result counts the queries: the last, or the one before it?",
)
def scores(query, key):
    return key @ F.swapaxes(query, -1, -2) / math.sqrt(query.shape[-1])


@mutant(
    "L3.2",
    misconception="scores_are_weights",
    hint="Scores may be negative, and do not sum to 1. Which step comes too early?",
)
def scores(query, key):
    return F.softmax(query @ F.swapaxes(key, -1, -2) / math.sqrt(query.shape[-1]))


@mutant(
    "L3.2",
    misconception="matching_is_closeness",
    hint="Your scores are never above 0. What is the inner product of a vector with itself?",
)
def scores(query, key):
    gap = F.expand_dims(query, -2) - F.expand_dims(key, -3)
    return -F.sum(gap * gap, -1) / math.sqrt(query.shape[-1])


# ----------------------------------------------------------------------------------------------------------------- L3.3


@mutant(
    "L3.3",
    misconception="masking_is_multiplying",
    hint="A score of 0 is not “no weight”: exp(0) = 1. What score has the exponential 0?",
)
def attention_weights(scores, mask):
    return F.softmax(scores * mask)


@mutant(
    "L3.3",
    misconception="mask_after_the_softmax",
    hint="What do the weights of a row sum to after you have struck some out? And who still moves the denominator?",
)
def attention_weights(scores, mask):
    return F.softmax(scores) * mask


@mutant(
    "L3.3",
    misconception="a_large_number_is_infinite",
    hint="What if a forbidden score is 1,000,000? Is it, minus 10,000, far below the others?",
)
def attention_weights(scores, mask):
    return F.softmax(scores + F.where(mask, 0.0, -1e4)) * mask.any(-1, keepdims=True)


@mutant(
    "L3.3",
    misconception="filled_with_a_number",
    hint="Shift a row by −100,000: the forbidden scores, at −10,000, are the largest now. What is always lower?",
)
def attention_weights(scores, mask):
    return F.softmax(F.where(mask, scores, -1e4)) * mask.any(-1, keepdims=True)


@mutant("L3.3", misconception="mask_is_inverted", hint="Is True “may be read” or “is hidden”? The task says which.")
def attention_weights(scores, mask):
    return weights_of(scores, ~mask)


@mutant(
    "L3.3",
    misconception="softmax_over_queries_of_scores",
    hint="A reader divides its attention among what it reads. Over which axis do your weights sum to 1?",
)
def attention_weights(scores, mask):
    return F.swapaxes(weights_of(F.swapaxes(scores, -1, -2), mask.swapaxes(-1, -2)), -1, -2)


@mutant(
    "L3.3",
    misconception="no_shift_before_the_exponential",
    hint="exp(10,000) is infinite. What may you subtract from a whole row without changing its weights?",
)
def attention_weights(scores, mask):
    e = F.exp(F.where(mask, scores, -math.inf))
    return e / F.where(mask.any(-1, keepdims=True), F.sum(e, -1, keepdims=True), 1.0)


@mutant(
    "L3.3",
    misconception="shift_by_a_forbidden_score",
    hint="If the largest score of a row is a forbidden one at 1,000,000, what is exp of the others minus it?",
)
def attention_weights(scores, mask):
    e = F.exp(scores - F.max(scores, -1, keepdims=True)) * mask
    return e / F.where(mask.any(-1, keepdims=True), F.sum(e, -1, keepdims=True), 1.0)


@mutant(
    "L3.3",
    misconception="nothing_to_read_is_nan",
    hint="In a row without a single True, what is −∞ − (−∞)? What should its weights be?",
)
def attention_weights(scores, mask):
    allowed = F.where(mask, scores, -math.inf)
    e = F.exp(allowed - F.max(allowed, -1, keepdims=True))
    return e / F.sum(e, -1, keepdims=True)


@mutant(
    "L3.3",
    misconception="nothing_to_read_is_reading_all",
    hint="A row without a single True gets equal weights from you. May it read what it may not?",
)
def attention_weights(scores, mask):
    some = mask.any(-1, keepdims=True)
    return F.where(some, weights_of(scores, mask), 1 / scores.shape[-1])


@mutant(
    "L3.3",
    misconception="masked_after_the_exponential",
    hint="The values are right, the gradient is not a number: 0 · ∞. Where is exp infinite before it is struck out?",
)
def attention_weights(scores, mask):
    some = mask.any(-1, keepdims=True)
    top = F.max(F.where(mask, scores, -1e300), -1, keepdims=True)
    e = F.where(mask, F.exp(scores - top), 0.0)
    return e / F.where(some, F.sum(e, -1, keepdims=True), 1.0)


@mutant(
    "L3.3", misconception="filled_with_zero", hint="You give forbidden positions the score 0. What is its exponential?"
)
def attention_weights(scores, mask):
    return F.softmax(F.where(mask, scores, 0.0))


# ----------------------------------------------------------------------------------------------------------------- L3.4


@mutant(
    "L3.4",
    misconception="mask_is_transposed",
    hint="Rows are readers. What may the first reader read, and what does your first row allow?",
)
def reading_mask(real):
    return real[:, None, :] & np.tri(real.shape[1], dtype=bool).T


@mutant(
    "L3.4",
    misconception="cannot_see_itself",
    hint="The token at t is known when t predicts the next one. May t read itself?",
)
def reading_mask(real):
    return real[:, None, :] & np.tri(real.shape[1], k=-1, dtype=bool)


@mutant(
    "L3.4",
    misconception="sees_one_ahead",
    hint="At t the model has to predict token t + 1. Does your row t hold the answer?",
)
def reading_mask(real):
    return real[:, None, :] & np.tri(real.shape[1], k=1, dtype=bool)


@mutant("L3.4", misconception="padding_is_enough", hint="You hide the padding. Who hides the future?")
def reading_mask(real):
    return np.repeat(real[:, None, :], real.shape[1], axis=1)


@mutant("L3.4", misconception="causal_is_enough", hint="Padding on the left lies in everybody's past. Who hides it?")
def reading_mask(real):
    T = real.shape[1]
    return np.broadcast_to(np.tri(T, dtype=bool), (len(real), T, T))


@mutant(
    "L3.4",
    misconception="padding_hides_readers",
    hint="Is it the reader that must not be padding, or what is read? Which axis of the mask counts what is read?",
)
def reading_mask(real):
    return real[:, :, None] & np.tri(real.shape[1], dtype=bool)


@mutant(
    "L3.4",
    misconception="one_of_two_is_enough",
    hint="A position must pass both tests to be read. Which word joins them: and, or?",
)
def reading_mask(real):
    return real[:, None, :] | np.tri(real.shape[1], dtype=bool)


@mutant(
    "L3.4",
    misconception="true_is_hidden",
    hint="True stands for “may be read” here. What does your first row say of its own position?",
)
def reading_mask(real):
    return ~(real[:, None, :] & np.tri(real.shape[1], dtype=bool))


@mutant(
    "L3.4",
    misconception="padding_is_at_the_end",
    hint="You count the real tokens and take the first so many. What if the padding comes first?",
)
def reading_mask(real):
    T = real.shape[1]
    return (np.arange(T) < real.sum(1)[:, None])[:, None, :] & np.tri(T, dtype=bool)


@mutant(
    "L3.4",
    misconception="one_row_for_the_batch",
    hint="Each text of a batch has padding of its own. Which one do you look at?",
)
def reading_mask(real):
    T = real.shape[1]
    return np.broadcast_to(real[0] & np.tri(T, dtype=bool), (len(real), T, T))


# ----------------------------------------------------------------------------------------------------------------- L3.6


def apart(x, heads):
    """(T, D) -> (H, T, K)."""
    T, D = x.shape
    return x.reshape(T, heads, D // heads).transpose(1, 0, 2)


def together(y):
    """(H, T, K) -> (T, D)."""
    H, T, K = y.shape
    return y.transpose(1, 0, 2).reshape(T, H * K)


def read(q, k, v, mask):
    return weights_of(scores_of(q, k), np.broadcast_to(mask, (q.shape[0], *mask.shape))) @ v


@mutant(
    "L3.6",
    misconception="heads_by_reshape_alone",
    hint="reshape does not move numbers. Head 0 should hold columns 0 … K−1 of every position. What does yours?",
)
def multi_head(x, w_query, w_key, w_value, w_out, heads, mask):
    T, D = x.shape
    q, k, v = ((x @ w).reshape(heads, T, D // heads) for w in (w_query, w_key, w_value))
    return together(read(q, k, v, mask)) @ w_out


@mutant(
    "L3.6",
    misconception="merge_without_transpose",
    hint="Rows of your result mix several positions: change the last token and look at the first row.",
)
def multi_head(x, w_query, w_key, w_value, w_out, heads, mask):
    q, k, v = (apart(x @ w, heads) for w in (w_query, w_key, w_value))
    return read(q, k, v, mask).reshape(*x.shape) @ w_out


@mutant("L3.6", misconception="one_projection_for_all", hint="Which of your four matrices has no gradient?")
def multi_head(x, w_query, w_key, w_value, w_out, heads, mask):
    q = apart(x @ w_query, heads)
    return together(read(q, q, q, mask)) @ w_out


@mutant(
    "L3.6",
    misconception="scale_of_the_whole_width",
    hint="A head's inner products sum over its own K features, not over all D.",
)
def multi_head(x, w_query, w_key, w_value, w_out, heads, mask):
    q, k, v = (apart(x @ w, heads) for w in (w_query, w_key, w_value))
    return together(read(q / math.sqrt(heads), k, v, mask)) @ w_out


@mutant(
    "L3.6",
    misconception="no_output_projection",
    hint="What is w_out for? Without it, no feature of one head ever meets one of another.",
)
def multi_head(x, w_query, w_key, w_value, w_out, heads, mask):
    q, k, v = (apart(x @ w, heads) for w in (w_query, w_key, w_value))
    return together(read(q, k, v, mask))


@mutant(
    "L3.6", misconception="heads_are_averaged", hint="You add up what the heads read. Can w_out still tell them apart?"
)
def multi_head(x, w_query, w_key, w_value, w_out, heads, mask):
    q, k, v = (apart(x @ w, heads) for w in (w_query, w_key, w_value))
    mean = F.mean(read(q, k, v, mask), 0)
    return F.concatenate([mean] * heads, -1) @ w_out


@mutant(
    "L3.6", misconception="mask_is_forgotten", hint="Change a position that nobody may read: does your result change?"
)
def multi_head(x, w_query, w_key, w_value, w_out, heads, mask):
    q, k, v = (apart(x @ w, heads) for w in (w_query, w_key, w_value))
    return together(read(q, k, v, np.ones_like(mask))) @ w_out


@mutant("L3.6", misconception="heads_interleave", hint="Head 0 has columns 0 … K−1. You give it every H-th column.")
def multi_head(x, w_query, w_key, w_value, w_out, heads, mask):
    T, D = x.shape
    q, k, v = ((x @ w).reshape(T, D // heads, heads).transpose(2, 0, 1) for w in (w_query, w_key, w_value))
    return together(read(q, k, v, mask)) @ w_out


@mutant(
    "L3.6",
    misconception="one_wide_head",
    hint="How many maps does your function make? The number of heads does not occur in it.",
)
def multi_head(x, w_query, w_key, w_value, w_out, heads, mask):
    q, k, v = (apart(x @ w, 1) for w in (w_query, w_key, w_value))
    return together(read(q, k, v, mask)) @ w_out


@mutant("L3.6", misconception="values_are_not_projected", hint="What is read is x w_value. You read x itself.")
def multi_head(x, w_query, w_key, w_value, w_out, heads, mask):
    q, k = (apart(x @ w, heads) for w in (w_query, w_key))
    return together(read(q, k, apart(x, heads), mask)) @ w_out


@mutant(
    "L3.6",
    misconception="mask_transposed_in_heads",
    hint="mask[t, s] says whether t may read s. Which of your axes is t?",
)
def multi_head(x, w_query, w_key, w_value, w_out, heads, mask):
    q, k, v = (apart(x @ w, heads) for w in (w_query, w_key, w_value))
    return together(read(q, k, v, mask.T)) @ w_out


# ----------------------------------------------------------------------------------------------------------------- L3.8


def waves(length, frequency, first=0):
    """Sine and cosine of the positions at the frequencies, in turn."""
    angle = np.arange(first, first + length)[:, None] * frequency
    return np.stack([np.sin(angle), np.cos(angle)], -1).reshape(length, -1)


@mutant(
    "L3.8",
    misconception="exponent_doubled_twice",
    hint="The columns 2i already count in twos. By how much does your exponent grow from pair to pair?",
)
def sinusoids(length, width):
    return waves(length, 10000.0 ** (-2 * np.arange(0, width, 2) / width))


@mutant(
    "L3.8",
    misconception="sines_then_cosines",
    hint="In which column does the cosine of the first frequency stand? The task puts it beside its sine.",
)
def sinusoids(length, width):
    angle = np.arange(length)[:, None] * 10000.0 ** (-np.arange(0, width, 2) / width)
    return np.concatenate([np.sin(angle), np.cos(angle)], -1)


@mutant("L3.8", misconception="cosine_comes_first", hint="What is row 0? The sines of 0 are 0.")
def sinusoids(length, width):
    return (
        waves(length, 10000.0 ** (-np.arange(0, width, 2) / width))
        .reshape(length, -1, 2)[:, :, ::-1]
        .reshape(length, -1)
    )


@mutant(
    "L3.8",
    misconception="positions_from_one",
    hint="Which position does your first row belong to? They are counted from 0.",
)
def sinusoids(length, width):
    return waves(length, 10000.0 ** (-np.arange(0, width, 2) / width), first=1)


@mutant(
    "L3.8",
    misconception="frequencies_rise",
    hint="The first pair turns fastest, 1 radian a step. What does your last pair do in one step?",
)
def sinusoids(length, width):
    return waves(length, 10000.0 ** (np.arange(0, width, 2) / width))


@mutant("L3.8", misconception="only_sines", hint="With sines alone, is a step a rotation? sin(a + b) needs cos(a) too.")
def sinusoids(length, width):
    return np.sin(np.arange(length)[:, None] * np.repeat(10000.0 ** (-np.arange(0, width, 2) / width), 2))


@mutant(
    "L3.8",
    misconception="a_frequency_for_each_column",
    hint="Sine and cosine of a pair share one frequency. How many different ones do you have?",
)
def sinusoids(length, width):
    angle = np.arange(length)[:, None] * 10000.0 ** (-np.arange(width) / width)
    return np.where(np.arange(width) % 2 == 0, np.sin(angle), np.cos(angle))


@mutant(
    "L3.8",
    misconception="scaled_to_the_length",
    hint="Row 3 of a table of 10 rows should equal row 3 of a table of 20. Does it?",
)
def sinusoids(length, width):
    return waves(length, 10000.0 ** (-np.arange(0, width, 2) / width) / length)


@mutant(
    "L3.8",
    misconception="the_other_base",
    hint="Natural logarithms and exp give powers of e. Where does 10000 stand in your formula?",
)
def sinusoids(length, width):
    return waves(length, np.exp(-np.arange(0, width, 2) / width))


@mutant(
    "L3.8", misconception="whole_division", hint="`//` drops the fraction. How many different frequencies are left?"
)
def sinusoids(length, width):
    return waves(length, 10000.0 ** -(np.arange(0, width, 2) // width).astype(float))


# ----------------------------------------------------------------------------------------------------------------- L3.9


def parts(ids, vocabulary):
    """One-hot tokens (T, V), the mask of the first attention and that of the second."""
    T = len(ids)
    return np.eye(vocabulary)[ids], np.tri(T, k=-1, dtype=bool), np.tri(T, dtype=bool)


@mutant(
    "L3.9",
    misconception="copies_the_token_itself",
    hint="You find where this token was before, and read that same token. What stood after it?",
)
def induction(ids, vocabulary, sharpness):
    token, _, upto = parts(ids, vocabulary)
    return weights_of(sharpness * (token @ token.T), upto) @ token


@mutant(
    "L3.9",
    misconception="reads_what_the_key_says",
    hint="The key of s is the token before s; it finds the place. What is to be read there is token s.",
)
def induction(ids, vocabulary, sharpness):
    token, past, upto = parts(ids, vocabulary)
    before = weights_of(sharpness * np.eye(len(ids), k=-1), past) @ token
    return weights_of(sharpness * (token @ before.T), upto) @ before


@mutant(
    "L3.9",
    misconception="two_back_instead_of_one",
    hint="np.eye(T, k=−2) points two positions back. How far is the token before?",
)
def induction(ids, vocabulary, sharpness):
    token, past, upto = parts(ids, vocabulary)
    before = weights_of(sharpness * np.eye(len(ids), k=-2), past) @ token
    return weights_of(sharpness * (token @ before.T), upto) @ token


@mutant("L3.9", misconception="reads_the_future", hint="Add a token at the end: do your earlier predictions change?")
def induction(ids, vocabulary, sharpness):
    token, past, upto = parts(ids, vocabulary)
    before = weights_of(sharpness * np.eye(len(ids), k=-1), past) @ token
    return weights_of(sharpness * (token @ before.T), np.ones_like(upto)) @ token


@mutant(
    "L3.9",
    misconception="cannot_read_the_newest",
    hint="After “a a”, the follower of “a” is the newest token itself. May your second attention read it?",
)
def induction(ids, vocabulary, sharpness):
    token, past, _ = parts(ids, vocabulary)
    before = weights_of(sharpness * np.eye(len(ids), k=-1), past) @ token
    return weights_of(sharpness * (token @ before.T), past) @ token


@mutant(
    "L3.9",
    misconception="first_attention_is_blunt",
    hint="Without sharpness, the first attention gives the mean of all earlier tokens. Is that the one before?",
)
def induction(ids, vocabulary, sharpness):
    token, past, upto = parts(ids, vocabulary)
    before = weights_of(np.eye(len(ids), k=-1), past) @ token
    return weights_of(sharpness * (token @ before.T), upto) @ token


@mutant(
    "L3.9",
    misconception="second_attention_is_blunt",
    hint="A match scores 1, a mismatch 0. How much more weight does a match get, if nothing sharpens?",
)
def induction(ids, vocabulary, sharpness):
    token, past, upto = parts(ids, vocabulary)
    before = weights_of(sharpness * np.eye(len(ids), k=-1), past) @ token
    return weights_of(token @ before.T, upto) @ token


@mutant(
    "L3.9",
    misconception="asks_for_the_token_before",
    hint="The query of t is the token that stands at t. You ask with the one before it.",
)
def induction(ids, vocabulary, sharpness):
    token, past, upto = parts(ids, vocabulary)
    before = weights_of(sharpness * np.eye(len(ids), k=-1), past) @ token
    return weights_of(sharpness * (before @ before.T), upto) @ token


@mutant(
    "L3.9",
    misconception="only_the_last_time_counts",
    hint="If “a” was followed by “b” twice and by “c” once, what are the shares? You look at the last time only.",
)
def induction(ids, vocabulary, sharpness):
    token, past, upto = parts(ids, vocabulary)
    before = weights_of(sharpness * np.eye(len(ids), k=-1), past) @ token
    recent = 0.01 * sharpness * np.arange(len(ids))
    return weights_of(sharpness * (token @ before.T) + recent, upto) @ token


@mutant("L3.9", misconception="scores_are_predictions", hint="Row t is to be a distribution. What do your rows sum to?")
def induction(ids, vocabulary, sharpness):
    token, past, upto = parts(ids, vocabulary)
    before = weights_of(sharpness * np.eye(len(ids), k=-1), past) @ token
    return (sharpness * (token @ before.T) * upto) @ token


@mutant(
    "L3.9",
    misconception="shifted_by_one",
    hint="You put the prediction for t + 1 into row t + 1. Which row is asked what follows token t?",
)
def induction(ids, vocabulary, sharpness):
    token, past, upto = parts(ids, vocabulary)
    before = weights_of(sharpness * np.eye(len(ids), k=-1), past) @ token
    return np.roll(weights_of(sharpness * (token @ before.T), upto) @ token, 1, axis=0)
