"""What students write instead, and the question that leads on."""

import math

import numpy as np

import minilm.functional as F
from minilm.course import mutant

# ----------------------------------------------------------------------------------------------------------------- L1.1


@mutant("L1.1", misconception="words_are_independent",
        hint="Your factor for position t does not look at the words before it. What does the bar in P(x_t | "
             "x_<t) mean?")  # fmt: skip
def conditionals(joint, ids):
    T = len(ids)
    return np.array([joint.sum(tuple(s for s in range(T) if s != t))[ids[t]] for t in range(T)])


@mutant("L1.1", misconception="joint_is_conditional",
        hint="P(a, b) and P(b | a) differ by a factor. Which? Do your numbers at the last position sum to 1 "
             "over the words?")  # fmt: skip
def conditionals(joint, ids):
    return np.array([joint[tuple(ids[: t + 1])].sum() for t in range(len(ids))])


@mutant("L1.1", misconception="order_of_the_rule_is_reversed",
        hint="Your product is right, but each word is given what follows it. What is known when the text is "
             "written?")  # fmt: skip
def conditionals(joint, ids):
    T = len(ids)
    suffix = [joint[(*[slice(None)] * t, *ids[t:])].sum() for t in range(T)] + [joint.sum()]
    return np.array([suffix[t] / suffix[t + 1] for t in range(T)])


@mutant("L1.1", misconception="only_the_last_word_counts",
        hint="A condition on one word is a bigram model. Does your third factor change with "
             "the first word?")  # fmt: skip
def conditionals(joint, ids):
    T, found = len(ids), [joint[ids[0]].sum()]
    for t in range(1, T):
        pair = joint.sum(tuple(s for s in range(T) if s not in (t - 1, t)))
        found.append(pair[ids[t - 1], ids[t]] / pair[ids[t - 1]].sum())
    return np.array(found)


@mutant("L1.1", misconception="divided_by_the_wrong_prefix",
        hint="P(x_t | x_<t) is P(x_1 … x_t) over the probability of which prefix? Yours has one "
             "word too few.")  # fmt: skip
def conditionals(joint, ids):
    prefix = [joint.sum(), *(joint[tuple(ids[:t])].sum() for t in range(1, len(ids) + 1))]
    return np.array([prefix[t] / prefix[max(t - 2, 0)] for t in range(1, len(ids) + 1)])


@mutant("L1.1", misconception="the_future_is_not_summed_out",
        hint="Whatever may follow, the prefix is the same. Over what is P(x_1 … x_t) a sum?")  # fmt: skip
def conditionals(joint, ids):
    T = len(ids)
    prefix = [1.0, *(joint[(*ids[:t], *[0] * (T - t))] for t in range(1, T + 1))]
    return np.array([prefix[t] / prefix[t - 1] for t in range(1, T + 1)])


@mutant("L1.1", misconception="the_future_is_known",
        hint="You fill up with the text's own later words. May the factor at position t change when they "
             "change?")  # fmt: skip
def conditionals(joint, ids):
    T, found = len(ids), []
    for t in range(T):
        row = joint[(*ids[:t], slice(None), *ids[t + 1 :])]
        found.append(row[ids[t]] / row.sum())
    return np.array(found)


@mutant("L1.1", misconception="the_first_word_is_free",
        hint="The first word has a probability too. What is the product if a text has one word?")  # fmt: skip
def conditionals(joint, ids):
    prefix = [joint[tuple(ids[:t])].sum() for t in range(1, len(ids) + 1)]
    return np.array([1.0, *(b / a for a, b in zip(prefix[:-1], prefix[1:], strict=True))])


@mutant("L1.1", misconception="logarithm_is_asked",
        hint="The task asks for the factors themselves. Can a probability be negative?")  # fmt: skip
def conditionals(joint, ids):
    prefix = [joint.sum(), *(joint[tuple(ids[:t])].sum() for t in range(1, len(ids) + 1))]
    return np.diff(np.log(prefix))


# ----------------------------------------------------------------------------------------------------------------- L1.2


def pairs(ids, vocabulary):
    count = np.zeros((vocabulary, vocabulary))
    np.add.at(count, (ids[:-1], ids[1:]), 1)
    return count


def shares(weight):
    total = weight.sum(1, keepdims=True)
    return np.divide(weight, total, out=np.full(weight.shape, 1 / len(weight)), where=total > 0)


@mutant("L1.2", misconception="fancy_index_adds_once",
        hint="`count[a, b] += 1` with arrays of indices reads all, then writes all. What happens to a pair that "
             "is there twice?")  # fmt: skip
def smoothed_bigrams(ids, vocabulary, k):
    count = np.zeros((vocabulary, vocabulary))
    count[ids[:-1], ids[1:]] += 1
    return shares(count + k)


@mutant("L1.2", misconception="rows_are_what_follows",
        hint="Row a is to be the distribution of the word after a. Which axis does your sum run over?")  # fmt: skip
def smoothed_bigrams(ids, vocabulary, k):
    return shares((pairs(ids, vocabulary) + k).T)


@mutant("L1.2", misconception="columns_are_normalised",
        hint="What do your rows sum to? Of which word is p(b | a) a distribution?")  # fmt: skip
def smoothed_bigrams(ids, vocabulary, k):
    return shares((pairs(ids, vocabulary) + k).T).T


@mutant("L1.2", misconception="k_is_added_once_below",
        hint="You add k to each of the V counts of a row. By how much has their sum grown?")  # fmt: skip
def smoothed_bigrams(ids, vocabulary, k):
    count = pairs(ids, vocabulary)
    total = count.sum(1, keepdims=True) + k
    return np.divide(count + k, total, out=np.full(count.shape, 1 / vocabulary), where=total > 0)


@mutant("L1.2", misconception="only_zeros_are_smoothed",
        hint="Adding k to the unseen pairs alone can make them more frequent than seen ones. To which counts is "
             "k added?")  # fmt: skip
def smoothed_bigrams(ids, vocabulary, k):
    count = pairs(ids, vocabulary)
    return shares(np.where(count > 0, count, k))


@mutant("L1.2", misconception="the_last_word_is_a_context",
        hint="Nothing follows the last word of the text. How often does it count as the first of a pair?")  # fmt: skip
def smoothed_bigrams(ids, vocabulary, k):
    total = np.bincount(ids, minlength=vocabulary)[:, None] + k * vocabulary
    weight = pairs(ids, vocabulary) + k
    return np.divide(weight, total, out=np.full(weight.shape, 1 / vocabulary), where=total > 0)


@mutant("L1.2", misconception="the_text_is_a_circle",
        hint="`np.roll` puts the first word after the last one. Is that pair in the text?")  # fmt: skip
def smoothed_bigrams(ids, vocabulary, k):
    count = np.zeros((vocabulary, vocabulary))
    np.add.at(count, (ids, np.roll(ids, -1)), 1)
    return shares(count + k)


@mutant("L1.2", misconception="zero_by_zero",
        hint="What does your function give with k = 0 for a word that nothing follows?")  # fmt: skip
def smoothed_bigrams(ids, vocabulary, k):
    weight = pairs(ids, vocabulary) + k
    return weight / np.maximum(weight.sum(1, keepdims=True), 1e-12)


@mutant("L1.2", misconception="joint_is_conditional",
        hint="You divide by the number of all pairs. What should each row sum to?")  # fmt: skip
def smoothed_bigrams(ids, vocabulary, k):
    weight = pairs(ids, vocabulary) + k
    return weight / weight.sum()


@mutant("L1.2", misconception="smoothed_after_dividing",
        hint="k is added to counts. You added it to probabilities: how much is it worth beside "
             "1,000 counts?")  # fmt: skip
def smoothed_bigrams(ids, vocabulary, k):
    p = shares(pairs(ids, vocabulary)) + k
    return p / p.sum(1, keepdims=True)


# ----------------------------------------------------------------------------------------------------------------- L1.3


def parts(ids, vocabulary):
    count = pairs(ids, vocabulary)
    seen, total = count > 0, count.sum(1, keepdims=True)
    return count, seen, total, seen.sum(0) / seen.sum()


def interpolated(kept, reserve, q, total):
    return np.where(total > 0, kept / np.maximum(total, 1) + reserve / np.maximum(total, 1) * q, q)


@mutant("L1.3", misconception="continuation_is_frequency",
        hint="A word that is frequent, but always after the same word, is a bad guess elsewhere. What does q "
             "count?")  # fmt: skip
def kneser_ney(ids, vocabulary, discount):
    count, seen, total, _ = parts(ids, vocabulary)
    q = count.sum(0) / count.sum()
    return interpolated(np.maximum(count - discount, 0), discount * seen.sum(1, keepdims=True), q, total)


@mutant("L1.3", misconception="successors_for_predecessors",
        hint="q(b) is about the words that stand before b. Along which axis are they?")  # fmt: skip
def kneser_ney(ids, vocabulary, discount):
    count, seen, total, _ = parts(ids, vocabulary)
    q = seen.sum(1) / seen.sum()
    return interpolated(np.maximum(count - discount, 0), discount * seen.sum(1, keepdims=True), q, total)


@mutant("L1.3", misconception="discount_is_lost",
        hint="What do your rows sum to? Every seen pair gave up d: to whom did it go?")  # fmt: skip
def kneser_ney(ids, vocabulary, discount):
    count, _, total, q = parts(ids, vocabulary)
    return interpolated(np.maximum(count - discount, 0), 0.0, q, total)


@mutant("L1.3", misconception="nothing_is_taken",
        hint="The reserve has to come from somewhere. What do your rows sum to?")  # fmt: skip
def kneser_ney(ids, vocabulary, discount):
    count, seen, total, q = parts(ids, vocabulary)
    return interpolated(count, discount * seen.sum(1, keepdims=True), q, total)


@mutant("L1.3", misconception="unseen_counts_go_negative",
        hint="What is c − d of a pair that was never seen? What should be taken from it?")  # fmt: skip
def kneser_ney(ids, vocabulary, discount):
    count, seen, total, q = parts(ids, vocabulary)
    return interpolated(count - discount, discount * seen.sum(1, keepdims=True), q, total)


@mutant("L1.3", misconception="reserve_is_one_discount",
        hint="The discount was taken once from every different word seen after a. How many were there?")  # fmt: skip
def kneser_ney(ids, vocabulary, discount):
    count, _, total, q = parts(ids, vocabulary)
    return interpolated(np.maximum(count - discount, 0), discount, q, total)


@mutant("L1.3", misconception="only_unseen_pairs_back_off",
        hint="Interpolated: the second term is added for every b. Here seen pairs do not get it, and the rows "
             "miss it.")  # fmt: skip
def kneser_ney(ids, vocabulary, discount):
    count, seen, total, q = parts(ids, vocabulary)
    p = interpolated(np.maximum(count - discount, 0), discount * seen.sum(1, keepdims=True), q, total)
    return np.where(seen, np.maximum(count - discount, 0) / np.maximum(total, 1), p)


@mutant("L1.3", misconception="new_context_has_nothing",
        hint="A word that ends the text and stands nowhere else was never a context. What "
             "should follow it?")  # fmt: skip
def kneser_ney(ids, vocabulary, discount):
    count, seen, total, q = parts(ids, vocabulary)
    reserve = discount * seen.sum(1, keepdims=True) / np.maximum(total, 1)
    return np.maximum(count - discount, 0) / np.maximum(total, 1) + reserve * q


@mutant("L1.3", misconception="lower_order_is_uniform",
        hint="Your reserve goes to all words alike. Which words are the likelier to turn up in "
             "a new place?")  # fmt: skip
def kneser_ney(ids, vocabulary, discount):
    count, seen, total, _ = parts(ids, vocabulary)
    q = np.full(vocabulary, 1 / vocabulary)
    return interpolated(np.maximum(count - discount, 0), discount * seen.sum(1, keepdims=True), q, total)


@mutant("L1.3", misconception="denominator_is_discounted",
        hint="Counts were lowered, and the difference was handed on. By what is the lowered "
             "count divided?")  # fmt: skip
def kneser_ney(ids, vocabulary, discount):
    count, _, total, q = parts(ids, vocabulary)
    kept = np.maximum(count - discount, 0)
    left = kept.sum(1, keepdims=True)
    return np.where(total > 0, (1 - discount) * kept / np.maximum(left, 1e-12) + discount * q, q)


# ----------------------------------------------------------------------------------------------------------------- L1.4


def surprise(p):
    return -np.log2(np.maximum(p, 1e-300))


@mutant("L1.4", misconception="nats_for_bits",
        hint="Eight equal chances take three yes-or-no questions. What does your function say of them?")  # fmt: skip
def information(p, q):
    cross = math.inf if np.any((q == 0) & (p > 0)) else float(np.sum(p * surprise(q)) * math.log(2))
    H = float(np.sum(p * surprise(p)) * math.log(2))
    return H, cross, cross - H


@mutant("L1.4", misconception="p_and_q_are_swapped",
        hint="Who writes the text, p or q? The mean is taken over what is written.")  # fmt: skip
def information(p, q):
    cross = math.inf if np.any((p == 0) & (q > 0)) else float(np.sum(q * surprise(p)))
    H = float(np.sum(p * surprise(p)))
    return H, cross, cross - H


@mutant("L1.4", misconception="epsilon_hides_the_impossible",
        hint="You added a small number before taking the logarithm. What should it cost to hold possible what "
             "happens impossible?")  # fmt: skip
def information(p, q):
    H, cross = -np.sum(p * np.log2(p + 1e-12)), -np.sum(p * np.log2(q + 1e-12))
    return H, cross, cross - H


@mutant("L1.4", misconception="zero_times_infinity",
        hint="0 · log 0 is not a number to NumPy. What does an outcome that never happens add to a mean?")  # fmt: skip
def information(p, q):
    with np.errstate(all="ignore"):
        H, cross = -np.sum(p * np.log2(p)), -np.sum(p * np.log2(q))
    return H, cross, cross - H


@mutant("L1.4", misconception="impossible_is_left_out",
        hint="You leave out what q holds impossible, though it happens. Does a worse model get a better number "
             "that way?")  # fmt: skip
def information(p, q):
    both = (p > 0) & (q > 0)
    H = float(np.sum(p * surprise(p)))
    cross = float(-np.sum(p[both] * np.log2(q[both])))
    return H, cross, cross - H


@mutant("L1.4", misconception="divergence_has_no_direction",
        hint="You take the mean of both directions. Is KL(p ‖ q) then still the difference of your other two "
             "numbers?")  # fmt: skip
def information(p, q):
    H = float(np.sum(p * surprise(p)))
    cross = math.inf if np.any((q == 0) & (p > 0)) else float(np.sum(p * surprise(q)))
    back = math.inf if np.any((p == 0) & (q > 0)) else float(np.sum(q * (surprise(p) - surprise(q))))
    return H, cross, (cross - H + back) / 2


@mutant("L1.4", misconception="every_outcome_counts_alike",
        hint="You take the plain mean of the surprises. How often does each of them happen?")  # fmt: skip
def information(p, q):
    some = p > 0
    H = float(np.mean(surprise(p[some])))
    cross = math.inf if np.any(q[some] == 0) else float(np.mean(surprise(q[some])))
    return H, cross, cross - H


@mutant("L1.4", misconception="divergence_is_cross_entropy",
        hint="How far is p from itself? Your third number is not 0 there.")  # fmt: skip
def information(p, q):
    H = float(np.sum(p * surprise(p)))
    cross = math.inf if np.any((q == 0) & (p > 0)) else float(np.sum(p * surprise(q)))
    return H, cross, cross


@mutant("L1.4", misconception="sign_is_forgotten",
        hint="A logarithm of a probability is negative. Can an entropy be?")  # fmt: skip
def information(p, q):
    H = -float(np.sum(p * surprise(p)))
    cross = -math.inf if np.any((q == 0) & (p > 0)) else -float(np.sum(p * surprise(q)))
    return H, cross, H - cross


# ----------------------------------------------------------------------------------------------------------------- L1.5


def size_of(texts):
    return sum(len(text.encode()) for text in texts)


@mutant("L1.5", misconception="mean_of_perplexities",
        hint="You average the documents' perplexities. The exponential of a mean is not the mean of "
             "exponentials: which is asked?")  # fmt: skip
def perplexity_and_bits(losses, texts):
    nats = sum(float(x.sum()) for x in losses)
    return float(np.mean([math.exp(x.mean()) for x in losses])), nats / math.log(2) / size_of(texts)


@mutant("L1.5", misconception="documents_count_alike",
        hint="A document of one token and one of five: how much should a token of each weigh in the mean?")  # fmt: skip
def perplexity_and_bits(losses, texts):
    nats = sum(float(x.sum()) for x in losses)
    return math.exp(np.mean([x.mean() for x in losses])), nats / math.log(2) / size_of(texts)


@mutant("L1.5", misconception="mean_of_inverse_probabilities",
        hint="You take the mean of 1 / p. Which mean of probabilities does the exponential of the mean loss "
             "invert?")  # fmt: skip
def perplexity_and_bits(losses, texts):
    nats = np.concatenate(losses)
    return float(np.exp(nats).mean()), nats.sum() / math.log(2) / size_of(texts)


@mutant("L1.5", misconception="characters_for_bytes",
        hint="How many bytes has ñ in UTF-8? And how many does len() of a text count?")  # fmt: skip
def perplexity_and_bits(losses, texts):
    nats = np.concatenate(losses)
    return math.exp(nats.mean()), nats.sum() / math.log(2) / sum(map(len, texts))


@mutant("L1.5", misconception="nats_for_bits",
        hint="The losses are in nats, a byte has eight bits. Where is the factor ln 2?")  # fmt: skip
def perplexity_and_bits(losses, texts):
    nats = np.concatenate(losses)
    return math.exp(nats.mean()), nats.sum() / size_of(texts)


@mutant("L1.5", misconception="two_to_the_nats",
        hint="Base and unit belong together: 2 to bits, e to nats. In which unit are the losses?")  # fmt: skip
def perplexity_and_bits(losses, texts):
    nats = np.concatenate(losses)
    return 2.0 ** float(nats.mean()), nats.sum() / math.log(2) / size_of(texts)


@mutant("L1.5", misconception="bits_of_a_mean_token",
        hint="You divide the mean loss of a token by all the bytes. How many tokens were written in those "
             "bytes?")  # fmt: skip
def perplexity_and_bits(losses, texts):
    nats = np.concatenate(losses)
    return math.exp(nats.mean()), nats.mean() / math.log(2) / size_of(texts)


@mutant("L1.5", misconception="bits_per_token",
        hint="Cut every token in two: your number halves. Should it, if the text and its probability are the "
             "same?")  # fmt: skip
def perplexity_and_bits(losses, texts):
    nats = np.concatenate(losses)
    return math.exp(nats.mean()), nats.mean() / math.log(2)


@mutant("L1.5", misconception="ratios_are_averaged",
        hint="You average the documents' bits per byte. Does a short document weigh as much "
             "as a long one?")  # fmt: skip
def perplexity_and_bits(losses, texts):
    nats = np.concatenate(losses)
    ratios = [x.sum() / len(text.encode()) for x, text in zip(losses, texts, strict=True)]
    return math.exp(nats.mean()), float(np.mean(ratios)) / math.log(2)


@mutant("L1.5", misconception="only_the_last_document",
        hint="Which documents does your function look at? Change the first one: does the result change?")  # fmt: skip
def perplexity_and_bits(losses, texts):
    for nats, text in zip(losses, texts, strict=True):
        result = math.exp(nats.mean()), nats.sum() / math.log(2) / len(text.encode())
    return result


# ----------------------------------------------------------------------------------------------------------------- L1.7


def chosen(ids, starts):
    t = np.flatnonzero(~starts[1:])
    return ids[t], ids[t + 1], max(len(t), 1)


def picked(logits, target):
    return logits[np.arange(len(target)), target]


@mutant("L1.7", misconception="predicts_itself",
        hint="You ask the model for the very word that it was given. Which word is it to predict?")  # fmt: skip
def bigram_loss(table, ids, starts):
    a, _, n = chosen(ids, starts)
    return F.sum(F.logsumexp(table[a], -1) - picked(table[a], a)) / n


@mutant("L1.7", misconception="predicts_backwards",
        hint="Row a of the table is the word given. Which of the two words is given, which predicted?")  # fmt: skip
def bigram_loss(table, ids, starts):
    a, b, n = chosen(ids, starts)
    return F.sum(F.logsumexp(table[b], -1) - picked(table[b], a)) / n


@mutant("L1.7", misconception="softmax_over_contexts",
        hint="Over which axis do the probabilities of the next word sum to 1?")  # fmt: skip
def bigram_loss(table, ids, starts):
    a, b, n = chosen(ids, starts)
    return F.sum(F.logsumexp(table, 0)[b] - picked(table[a], b)) / n


@mutant("L1.7", misconception="logits_are_log_probabilities",
        hint="Add 5 to a row: the probabilities stay the same, and your loss does not. What is missing?")  # fmt: skip
def bigram_loss(table, ids, starts):
    a, b, n = chosen(ids, starts)
    return -F.sum(picked(table[a], b)) / n


@mutant("L1.7", misconception="documents_run_into_each_other",
        hint="The first word of a document does not depend on the last one of another. Which pairs should not "
             "count?")  # fmt: skip
def bigram_loss(table, ids, starts):
    a, b = ids[:-1], ids[1:]
    return F.sum(F.logsumexp(table[a], -1) - picked(table[a], b)) / max(len(a), 1)


@mutant("L1.7", misconception="the_first_word_is_skipped_as_context",
        hint="You leave out pairs whose first word begins a document. Which of the two words of a pair must not "
             "begin one?")  # fmt: skip
def bigram_loss(table, ids, starts):
    t = np.flatnonzero(~starts[:-1])
    a, b = ids[t], ids[t + 1]
    return F.sum(F.logsumexp(table[a], -1) - picked(table[a], b)) / max(len(t), 1)


@mutant("L1.7", misconception="mean_over_all_words",
        hint="The sum runs over the words that are predicted. By how many words do you divide it?")  # fmt: skip
def bigram_loss(table, ids, starts):
    a, b, _ = chosen(ids, starts)
    return F.sum(F.logsumexp(table[a], -1) - picked(table[a], b)) / len(ids)


@mutant("L1.7", misconception="sum_for_mean",
        hint="Twice the same text: does your loss double? A mean does not.")  # fmt: skip
def bigram_loss(table, ids, starts):
    a, b, _ = chosen(ids, starts)
    return F.sum(F.logsumexp(table[a], -1) - picked(table[a], b))


@mutant("L1.7", misconception="overflow_of_exponentials",
        hint="What is exp(1000) in floating point? What may be subtracted from a row without changing "
             "anything?")  # fmt: skip
def bigram_loss(table, ids, starts):
    a, b, n = chosen(ids, starts)
    return F.sum(F.log(F.sum(F.exp(table[a]), -1)) - picked(table[a], b)) / n


@mutant("L1.7", misconception="nats_for_bits",
        hint="The loss is asked in nats. Which logarithm did you take?")  # fmt: skip
def bigram_loss(table, ids, starts):
    a, b, n = chosen(ids, starts)
    return F.sum(F.logsumexp(table[a], -1) - picked(table[a], b)) / (n * math.log(2))


@mutant("L1.7", misconception="gradient_is_cut",
        hint="The value is right, the gradient is not: part of your loss left the graph. Which?")  # fmt: skip
def bigram_loss(table, ids, starts):
    a, b, n = chosen(ids, starts)
    return F.sum(F.logsumexp(table[a], -1).detach() - picked(table[a], b)) / n


# ----------------------------------------------------------------------------------------------------------------- L1.8


def score(log_p, before, option):
    words = [before, *option]
    return float(sum(log_p[a, b] for a, b in zip(words[:-1], words[1:], strict=True)))


@mutant("L1.8", misconception="mean_for_sum",
        hint="You divide by the length of the option. Is that still the logarithm of its probability?")  # fmt: skip
def zero_shot(log_p, prompt, options):
    scores = [score(log_p, prompt[-1], option) / len(option) for option in options]
    return np.array(scores), int(np.argmax(scores))


@mutant("L1.8", misconception="prompt_is_ignored",
        hint="Change the prompt: do your scores change? What is the first word of an option given?")  # fmt: skip
def zero_shot(log_p, prompt, options):
    scores = [score(log_p, option[0], option[1:]) for option in options]
    return np.array(scores), int(np.argmax(scores))


@mutant("L1.8", misconception="first_word_of_the_prompt",
        hint="A bigram model looks at the word just before. Which word of the prompt is that?")  # fmt: skip
def zero_shot(log_p, prompt, options):
    scores = [score(log_p, prompt[0], option) for option in options]
    return np.array(scores), int(np.argmax(scores))


@mutant("L1.8", misconception="only_the_first_word_counts",
        hint="Two options that begin alike get the same score. Do the words after the first not count?")  # fmt: skip
def zero_shot(log_p, prompt, options):
    scores = [float(log_p[prompt[-1], option[0]]) for option in options]
    return np.array(scores), int(np.argmax(scores))


@mutant("L1.8", misconception="words_all_follow_the_prompt",
        hint="You score every word as if it came right after the prompt. What stands before the "
             "second word?")  # fmt: skip
def zero_shot(log_p, prompt, options):
    scores = [float(sum(log_p[prompt[-1], word] for word in option)) for option in options]
    return np.array(scores), int(np.argmax(scores))


@mutant("L1.8", misconception="least_probable",
        hint="Logarithms of probabilities are negative. Is the largest of them the best, or the smallest?")  # fmt: skip
def zero_shot(log_p, prompt, options):
    scores = [score(log_p, prompt[-1], option) for option in options]
    return np.array(scores), int(np.argmin(scores))


@mutant("L1.8", misconception="sum_of_probabilities",
        hint="Probabilities of words that all must come are multiplied. What do you add up?")  # fmt: skip
def zero_shot(log_p, prompt, options):
    scores = []
    for option in options:
        words = [prompt[-1], *option]
        scores.append(math.log(sum(math.exp(log_p[a, b]) for a, b in zip(words[:-1], words[1:], strict=True))))
    return np.array(scores), int(np.argmax(scores))


@mutant("L1.8", misconception="rows_are_what_follows",
        hint="log_p[a, b] is ln p(b | a). Which of your two words is given?")  # fmt: skip
def zero_shot(log_p, prompt, options):
    scores = [score(log_p.T, prompt[-1], option) for option in options]
    return np.array(scores), int(np.argmax(scores))


@mutant("L1.8", misconception="last_among_equals",
        hint="Of options with the same probability, the first is asked for. Which does your "
             "comparison keep?")  # fmt: skip
def zero_shot(log_p, prompt, options):
    scores = np.array([score(log_p, prompt[-1], option) for option in options])
    return scores, len(scores) - 1 - int(np.argmax(scores[::-1]))


@mutant("L1.8", misconception="normalised_among_the_options",
        hint="You make the options' probabilities sum to 1. The task asks for the probability of each under the "
             "model.")  # fmt: skip
def zero_shot(log_p, prompt, options):
    scores = np.array([score(log_p, prompt[-1], option) for option in options])
    return scores - np.log(np.exp(scores).sum()), int(np.argmax(scores))
