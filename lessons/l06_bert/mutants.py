"""What students write instead."""

import math

import numpy as np

import minilm.functional as F
from minilm.course import mutant

# ------------------------------------------------------------------------------------------------- L6.1, one block


def run(x, real, w, mask=None, norm="post", gelu="none", divide=None, epsilon=1e-12):
    """The block with what is asked for turned."""
    mask = np.broadcast_to(real, (len(real),) * 2) if mask is None else mask
    scale = math.sqrt(x.shape[-1]) if divide is None else divide

    def first(x):
        return F.layer_norm(x, w["scale1"], w["shift1"], epsilon)

    def second(x):
        return F.layer_norm(x, w["scale2"], w["shift2"], epsilon)

    def attend(x):
        scores = (x @ w["query"]) @ (x @ w["key"]).T / scale
        return F.softmax(F.where(mask, scores, -math.inf)) @ (x @ w["value"]) @ w["output"]

    def think(x):
        h = x @ w["up"]
        return (F.maximum(h, 0) if gelu == "relu" else F.gelu(h, gelu)) @ w["down"]

    if norm == "pre":
        x = x + attend(first(x))
        return x + think(second(x))
    if norm == "inside":
        x = x + first(attend(x))
        return x + second(think(x))
    x = first(x + attend(x))
    return second(x + think(x))


@mutant(
    "L6.1",
    misconception="causal_mask_kept",
    hint="Which positions behind t may t read here? What would a GPT's mask hide from it?",
)
def encoder_block(x, real, weights):
    mask = np.tri(len(real), dtype=bool)
    return run(x, real, weights, mask & (real | np.eye(len(real), dtype=bool)))


@mutant(
    "L6.1",
    misconception="norm_before_as_in_gpt2",
    hint="Where does the norm stand in GPT-2, where in GPT-1? With which of them does BERT go?",
)
def encoder_block(x, real, weights):
    return run(x, real, weights, norm="pre")


@mutant(
    "L6.1",
    misconception="norm_inside_the_sum",
    hint="Is the result of every sum normalized, or only what is added to it?",
)
def encoder_block(x, real, weights):
    return run(x, real, weights, norm="inside")


@mutant(
    "L6.1",
    misconception="gelu_by_tanh",
    hint="What is gelu(1) to five digits by the formula with tanh, and what is 1 · Φ(1)?",
)
def encoder_block(x, real, weights):
    return run(x, real, weights, gelu="tanh")


@mutant("L6.1", misconception="relu_for_gelu", hint="What does your activation give at −1? x Φ(x) is not 0 there.")
def encoder_block(x, real, weights):
    return run(x, real, weights, gelu="relu")


@mutant(
    "L6.1",
    misconception="mask_on_the_readers",
    hint="Does `real` say who may read, or what may be read? Which axis of the scores is which?",
)
def encoder_block(x, real, weights):
    T = len(real)
    return run(x, real, weights, np.broadcast_to(real[:, None], (T, T)) | np.eye(T, dtype=bool))


@mutant(
    "L6.1",
    misconception="padding_is_read",
    hint="If you put other vectors where padding stands, does a real position's output move?",
)
def encoder_block(x, real, weights):
    return run(x, real, weights, np.ones((len(real),) * 2, bool))


@mutant(
    "L6.1",
    misconception="masking_is_multiplying",
    hint="A score of 0 is a score like any other: which score has the exponential 0?",
)
def encoder_block(x, real, weights):
    w = weights
    scores = (x @ w["query"]) @ (x @ w["key"]).T / math.sqrt(x.shape[-1])
    x = F.layer_norm(x + F.softmax(scores * real) @ (x @ w["value"]) @ w["output"], w["scale1"], w["shift1"], 1e-12)
    return F.layer_norm(x + F.gelu(x @ w["up"], "none") @ w["down"], w["scale2"], w["shift2"], 1e-12)


@mutant(
    "L6.1", misconception="scores_not_scaled", hint="By what are the scores divided, and why did lesson 3 want that?"
)
def encoder_block(x, real, weights):
    return run(x, real, weights, divide=1)


@mutant(
    "L6.1",
    misconception="second_residual_from_the_input",
    hint="Between the two norms, what flows past the MLP: the block's input, or what N₁ gave?",
)
def encoder_block(x, real, weights):
    w = weights
    scores = F.where(real, (x @ w["query"]) @ (x @ w["key"]).T / math.sqrt(x.shape[-1]), -math.inf)
    h = F.layer_norm(x + F.softmax(scores) @ (x @ w["value"]) @ w["output"], w["scale1"], w["shift1"], 1e-12)
    return F.layer_norm(x + F.gelu(h @ w["up"], "none") @ w["down"], w["scale2"], w["shift2"], 1e-12)


@mutant(
    "L6.1",
    misconception="no_residual",
    hint="With all products zero the block should give N₂(N₁(x)). What does yours give?",
)
def encoder_block(x, real, weights):
    w = weights
    scores = F.where(real, (x @ w["query"]) @ (x @ w["key"]).T / math.sqrt(x.shape[-1]), -math.inf)
    h = F.layer_norm(F.softmax(scores) @ (x @ w["value"]) @ w["output"], w["scale1"], w["shift1"], 1e-12)
    return F.layer_norm(F.gelu(h @ w["up"], "none") @ w["down"], w["scale2"], w["shift2"], 1e-12)


# --------------------------------------------------------------------------------------------------- L6.4, embedding


def sum_of(ids, segments, token, segment, position):
    """E[ids] + S[segments] + P[0 …]."""
    return token[ids] + segment[segments] + position[: len(ids)]


@mutant("L6.4", misconception="no_segments", hint="Do two texts change places without your output noticing?")
def embed(ids, segments, token, segment, position, scale, shift):
    return F.layer_norm(token[ids] + position[: len(ids)], scale, shift, 1e-12)


@mutant("L6.4", misconception="segments_swapped", hint="Which row of S belongs to the first text, whose segment is 0?")
def embed(ids, segments, token, segment, position, scale, shift):
    return F.layer_norm(sum_of(ids, 1 - segments, token, segment, position), scale, shift, 1e-12)


@mutant(
    "L6.4",
    misconception="no_positions",
    hint="The blocks see a set. What tells them which of two equal tokens comes first?",
)
def embed(ids, segments, token, segment, position, scale, shift):
    return F.layer_norm(token[ids] + segment[segments], scale, shift, 1e-12)


@mutant(
    "L6.4",
    misconception="positions_restart_in_the_second_text",
    hint="What is the position of the second text's first token: 0, or one more than the first [SEP]'s?",
)
def embed(ids, segments, token, segment, position, scale, shift):
    places = np.arange(len(ids)) - segments * np.argmax(segments)
    x = token[ids] + segment[segments] + position[places]
    return F.layer_norm(x, scale, shift, 1e-12)


@mutant("L6.4", misconception="positions_from_one", hint="Which row of P belongs to [CLS]?")
def embed(ids, segments, token, segment, position, scale, shift):
    x = token[ids] + segment[segments] + position[1 : len(ids) + 1]
    return F.layer_norm(x, scale, shift, 1e-12)


@mutant(
    "L6.4",
    misconception="norm_before_the_sum",
    hint="Is it the token's vector that is normalized, or the sum of all three?",
)
def embed(ids, segments, token, segment, position, scale, shift):
    x = F.layer_norm(token[ids], scale, shift, 1e-12)
    return x + segment[segments] + position[: len(ids)]


@mutant(
    "L6.4", misconception="no_embedding_norm", hint="GPT's blocks begin with a sum that nobody normalized. Do BERT's?"
)
def embed(ids, segments, token, segment, position, scale, shift):
    return sum_of(ids, segments, token, segment, position)


@mutant(
    "L6.4",
    misconception="norm_over_positions",
    hint="Over which axis are mean and variance taken: over the features of one position, or over the positions?",
)
def embed(ids, segments, token, segment, position, scale, shift):
    x = sum_of(ids, segments, token, segment, position)
    gap = x - F.mean(x, 0, True)
    return gap / F.sqrt(F.mean(gap * gap, 0, True) + 1e-12) * scale + shift


@mutant(
    "L6.4",
    misconception="tokens_times_root_of_width",
    hint="Vaswani's model multiplies the token's vector by √D before adding. Does the formula here?",
)
def embed(ids, segments, token, segment, position, scale, shift):
    x = token[ids] * math.sqrt(token.shape[1]) + segment[segments] + position[: len(ids)]
    return F.layer_norm(x, scale, shift, 1e-12)


@mutant(
    "L6.4",
    misconception="lookup_leaves_the_graph",
    hint="Which gradient reaches E when its rows are taken from a NumPy array?",
)
def embed(ids, segments, token, segment, position, scale, shift):
    x = token.numpy()[ids] + segment[segments] + position[: len(ids)]
    return F.layer_norm(x, scale, shift, 1e-12)


# --------------------------------------------------------------------------------------------------------- L6.5, pairs


def laid_out(a, b, length, special, first=None):
    """The row of two texts that fit; first: how many tokens are of segment 0."""
    ids = [special["cls"], *a, special["sep"], *b, special["sep"]]
    n, fill = len(a) + 2 if first is None else first, length - len(ids)
    segments = [0] * n + [1] * (len(ids) - n) + [0] * fill
    return ids + [special["pad"]] * fill, segments, [True] * len(ids) + [False] * fill


def shortened(a, b, length):
    """As the task asks."""
    a, b = list(a), list(b)
    while len(a) + len(b) + 3 > length:
        (a if len(a) > len(b) else b).pop()
    return a, b


@mutant(
    "L6.5",
    misconception="first_separator_in_segment_one",
    hint="To which text does the first [SEP] belong: does it end a or begin b?",
)
def pair_input(a, b, length, special):
    a, b = shortened(a, b, length)
    return laid_out(a, b, length, special, len(a) + 1)


@mutant(
    "L6.5", misconception="one_segment_for_all", hint="Where does your row say which token belongs to the second text?"
)
def pair_input(a, b, length, special):
    ids, segments, real = laid_out(*shortened(a, b, length), length, special)
    return ids, [0] * len(segments), real


@mutant(
    "L6.5",
    misconception="segments_one_and_two",
    hint="How many rows has the table of segments, and what are their numbers?",
)
def pair_input(a, b, length, special):
    ids, segments, real = laid_out(*shortened(a, b, length), length, special)
    return ids, [s + r for s, r in zip(segments, real, strict=True)], real


@mutant("L6.5", misconception="no_last_separator", hint="How many [SEP] has an input of two texts?")
def pair_input(a, b, length, special):
    ids, segments, real = laid_out(*shortened(a, b, length), length, special)
    last = len(ids) - 1 - ids[::-1].index(special["sep"])
    ids[last], segments[last], real[last] = special["pad"], 0, False
    return ids, segments, real


@mutant(
    "L6.5",
    misconception="cut_after_laying_out",
    hint="If the whole row is cut at its end, what becomes of b, and of the last [SEP]?",
)
def pair_input(a, b, length, special):
    n = max(length, len(a) + len(b) + 3)
    return tuple(part[:length] for part in laid_out(a, b, n, special))


@mutant("L6.5", misconception="only_second_text_is_cut", hint="What is left of b when a alone fills the row?")
def pair_input(a, b, length, special):
    a = a[: length - 4]
    return laid_out(a, b[: length - 3 - len(a)], length, special)


@mutant("L6.5", misconception="each_text_gets_half", hint="If a has two tokens, how many of b's could stay?")
def pair_input(a, b, length, special):
    half = (length - 3) // 2
    return laid_out(a[: length - 3 - half], b[:half], length, special)


@mutant(
    "L6.5",
    misconception="equal_texts_cut_the_first",
    hint="Where both texts are equally long, which of them loses a token?",
)
def pair_input(a, b, length, special):
    a, b = list(a), list(b)
    while len(a) + len(b) + 3 > length:
        (a if len(a) >= len(b) else b).pop()
    return laid_out(a, b, length, special)


@mutant(
    "L6.5", misconception="special_tokens_not_counted", hint="How many tokens does a row have besides those of a and b?"
)
def pair_input(a, b, length, special):
    a, b = shortened(a, b, length + 3)
    return laid_out(a, b, length, special)


@mutant("L6.5", misconception="padding_is_real", hint="What does `real` say of a token that stands for nothing?")
def pair_input(a, b, length, special):
    ids, segments, real = laid_out(*shortened(a, b, length), length, special)
    return ids, segments, [True] * len(real)


@mutant("L6.5", misconception="padding_in_segment_one", hint="Behind the last [SEP], does the second text go on?")
def pair_input(a, b, length, special):
    ids, segments, real = laid_out(*shortened(a, b, length), length, special)
    return ids, [s if r else 1 for s, r in zip(segments, real, strict=True)], real


@mutant("L6.5", misconception="cut_at_the_front", hint="From which end of a text are tokens taken?")
def pair_input(a, b, length, special):
    n, m = map(len, shortened(a, b, length))
    return laid_out(a[len(a) - n :], b[len(b) - m :], length, special)


# -------------------------------------------------------------------------------------------------------- L6.6, pooled


@mutant(
    "L6.6",
    misconception="last_token_as_in_gpt",
    hint="GPT's last token has read everything. Where does BERT's summary stand?",
)
def pooled(hidden, weight, bias):
    return F.tanh(hidden[:, -1] @ weight + bias)


@mutant("L6.6", misconception="mean_of_all", hint="Does your result move when a later position's state does?")
def pooled(hidden, weight, bias):
    return F.tanh(F.mean(hidden, 1) @ weight + bias)


@mutant("L6.6", misconception="largest_of_all", hint="Is it the first position's state, or the largest entry of any?")
def pooled(hidden, weight, bias):
    return F.tanh(F.max(hidden, 1) @ weight + bias)


@mutant(
    "L6.6",
    misconception="first_state_itself",
    hint="Between [CLS]'s state and the pooled vector stands a layer. Which?",
)
def pooled(hidden, weight, bias):
    return hidden[:, 0]


@mutant("L6.6", misconception="no_tanh", hint="Between which two numbers does every entry of a pooled vector lie?")
def pooled(hidden, weight, bias):
    return hidden[:, 0] @ weight + bias


@mutant("L6.6", misconception="sigmoid_for_tanh", hint="Can an entry of your result be negative?")
def pooled(hidden, weight, bias):
    return F.sigmoid(hidden[:, 0] @ weight + bias)


@mutant(
    "L6.6",
    misconception="tanh_before_the_product",
    hint="Is tanh taken of the state, or of what the layer makes of it?",
)
def pooled(hidden, weight, bias):
    return F.tanh(hidden[:, 0]) @ weight + bias


@mutant("L6.6", misconception="weight_transposed", hint="Which index of W is summed over, the first or the second?")
def pooled(hidden, weight, bias):
    return F.tanh(hidden[:, 0] @ weight.T + bias)


@mutant("L6.6", misconception="bias_forgotten", hint="What comes out when the state is 0?")
def pooled(hidden, weight, bias):
    return F.tanh(hidden[:, 0] @ weight)


# ----------------------------------------------------------------------------------------------------- L6.7, WordPiece


def cut(word, vocabulary, ends, mark="##", lost=None):
    """From left to right; ends(n, start): where a piece may end, best first. lost: what a part without piece gives."""
    pieces, start = [], 0
    while start < len(word):
        prefix = mark if start else ""
        end = next((e for e in ends(len(word), start) if prefix + word[start:e] in vocabulary), None)
        if end is None:
            if lost is None:
                return ["[UNK]"]
            return [*pieces, *lost(word, start)]
        pieces.append(prefix + word[start:end])
        start = end
    return pieces


def backwards(n, start):
    return range(n, start, -1)


@mutant(
    "L6.7", misconception="shortest_piece_first", hint="If both 'a' and 'ab' are in the vocabulary, which begins 'abc'?"
)
def wordpiece(word, vocabulary):
    return cut(word, vocabulary, lambda n, start: range(start + 1, n + 1))


@mutant("L6.7", misconception="no_mark_on_what_goes_on", hint="How is a piece written that goes on a word?")
def wordpiece(word, vocabulary):
    return cut(word, vocabulary, backwards, "")


@mutant("L6.7", misconception="mark_ignored_when_looking_up", hint="Are 'b' and '##b' the same piece?")
def wordpiece(word, vocabulary):
    plain = [piece.removeprefix("##") for piece in vocabulary]
    pieces = cut(word, plain, backwards, "")
    return pieces if pieces == ["[UNK]"] else [("##" if i else "") + p for i, p in enumerate(pieces)]


@mutant(
    "L6.7",
    misconception="unknown_for_the_rest_only",
    hint="If only the end of a word has no piece, what is said of its beginning?",
)
def wordpiece(word, vocabulary):
    return cut(word, vocabulary, backwards, lost=lambda word, start: ["[UNK]"])


@mutant("L6.7", misconception="unknown_letters_one_by_one", hint="How many [UNK] can a word give?")
def wordpiece(word, vocabulary):
    return cut(word, vocabulary, backwards, lost=lambda word, start: ["[UNK]"] * (len(word) - start))


@mutant("L6.7", misconception="unknown_letters_are_left_out", hint="Do your pieces spell the word?")
def wordpiece(word, vocabulary):
    return cut(word, vocabulary, backwards, lost=lambda word, start: []) or ["[UNK]"]


@mutant(
    "L6.7",
    misconception="the_whole_word_is_no_piece",
    hint="What is a word that stands in the vocabulary as it is cut into?",
)
def wordpiece(word, vocabulary):
    return cut(word, vocabulary, lambda n, start: range(n if start else max(n - 1, 1), start, -1))


@mutant(
    "L6.7",
    misconception="going_back_when_stuck",
    hint="When the longest piece leads nowhere, does WordPiece try a shorter one?",
)
def wordpiece(word, vocabulary):
    def search(start):
        if start == len(word):
            return []
        for end in backwards(len(word), start):
            piece = ("##" if start else "") + word[start:end]
            rest = search(end) if piece in vocabulary else None
            if rest is not None:
                return [piece, *rest]
        return None

    return search(0) or ["[UNK]"]


@mutant(
    "L6.7",
    misconception="first_fitting_of_the_vocabulary",
    hint="Does the order of the vocabulary matter, or only the length of a piece?",
)
def wordpiece(word, vocabulary):
    pieces, rest = [], word
    while rest:
        fitting = [
            p for p in vocabulary if p.startswith("##") == bool(pieces) and rest.startswith(p.removeprefix("##"))
        ]
        if not fitting:
            return ["[UNK]"]
        pieces.append(fitting[0])
        rest = rest[len(fitting[0].removeprefix("##")) :]
    return pieces


@mutant(
    "L6.7",
    misconception="fewest_pieces",
    hint="WordPiece does not look for the shortest cut of the word. From where does it go where?",
)
def wordpiece(word, vocabulary):
    best = [[]] + [None] * len(word)
    for end in range(1, len(word) + 1):
        for start in range(end):
            piece = ("##" if start else "") + word[start:end]
            found = best[start]
            if found is not None and piece in vocabulary and len(found) + 1 < len(best[end] or word + "."):
                best[end] = [*found, piece]
    return best[-1] or ["[UNK]"]


# ----------------------------------------------------------------------------------------------------- L6.8, counting


def count(V, C, S, D, L, F, pooler, extra=0, per_block=0):
    """The right number, and what a mistake adds."""
    block = 4 * (D * D + D) + 2 * D * F + F + D + 4 * D
    return (V + C + S) * D + 2 * D + L * (block + per_block) + (D * D + D) * bool(pooler) + extra


@mutant("L6.8", misconception="no_biases", hint="In GPT and BERT, does a product with a matrix have a bias?")
def parameters(V, C, S, D, L, F, pooler):
    return count(V, C, S, D, L, F, pooler, -D * bool(pooler), -(5 * D + F))


@mutant(
    "L6.8",
    misconception="embedding_norm_not_counted",
    hint="What stands between the sum of the three tables and the first block?",
)
def parameters(V, C, S, D, L, F, pooler):
    return count(V, C, S, D, L, F, pooler, -2 * D)


@mutant("L6.8", misconception="one_norm_a_block", hint="How many sums has a block, and what follows each?")
def parameters(V, C, S, D, L, F, pooler):
    return count(V, C, S, D, L, F, pooler, 0, -2 * D)


@mutant("L6.8", misconception="norm_has_only_a_scale", hint="What does layer norm have beside its scale?")
def parameters(V, C, S, D, L, F, pooler):
    return count(V, C, S, D, L, F, pooler, -D, -2 * D)


@mutant(
    "L6.8",
    misconception="final_norm_as_in_gpt2",
    hint="GPT-2 ends with a norm because its blocks do not. With what does a block of BERT end?",
)
def parameters(V, C, S, D, L, F, pooler):
    return count(V, C, S, D, L, F, pooler, 2 * D)


@mutant(
    "L6.8",
    misconception="no_output_projection",
    hint="How many matrices has attention: three, or one more that writes back?",
)
def parameters(V, C, S, D, L, F, pooler):
    return count(V, C, S, D, L, F, pooler, 0, -(D * D + D))


@mutant("L6.8", misconception="segments_not_counted", hint="Which three tables are added before the first block?")
def parameters(V, C, S, D, L, F, pooler):
    return count(V, C, S, D, L, F, pooler, -S * D)


@mutant("L6.8", misconception="positions_not_counted", hint="Are BERT's positions computed, or learned?")
def parameters(V, C, S, D, L, F, pooler):
    return count(V, C, S, D, L, F, pooler, -C * D)


@mutant(
    "L6.8",
    misconception="output_layer_over_the_vocabulary",
    hint="An encoder gives vectors. Is there a layer that turns them into words?",
)
def parameters(V, C, S, D, L, F, pooler):
    return count(V, C, S, D, L, F, pooler, V * D)


@mutant("L6.8", misconception="pooler_always", hint="What if there is no pooler?")
def parameters(V, C, S, D, L, F, pooler):
    return count(V, C, S, D, L, F, True)


@mutant("L6.8", misconception="mlp_always_four_times_as_wide", hint="Where does F stand in your formula?")
def parameters(V, C, S, D, L, F, pooler):
    return count(V, C, S, D, L, 4 * D, pooler)
