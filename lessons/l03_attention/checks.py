"""What lesson 3 proves."""

import math

import numpy as np

import minilm as ml
from minilm import nn
from minilm.course import claim, expect, expect_close, expect_gradient, expect_shape
from minilm.course.strategies import booleans, composite, floats, ids, integers, permutations, st

# ----------------------------------------------------------------------------------------------- L3.1 a soft dictionary


@composite
def dictionaries(draw):
    """Query (T, K), key (S, K), value (S, C), sharpness."""
    T, S, K, C = (draw(integers(1, 4)) for _ in range(4))
    sharpness = draw(integers(0, 16)) / 8
    return draw(floats(T, K)), draw(floats(S, K)), draw(floats(S, C)), sharpness


@claim("L3.1", "what is read is the mean of the values, weighted by exp(sharpness · match)", dictionaries())
def is_a_weighted_mean(impl, query, key, value, sharpness):
    read = impl.soft_lookup(query, key, value, sharpness)
    expect_shape(read, (len(query), value.shape[1]), "what is read")
    for t, q in enumerate(query):
        weight = [math.exp(sharpness * math.fsum(a * b for a, b in zip(q, k, strict=True))) for k in key]
        for c in range(value.shape[1]):
            mean = math.fsum(w * v for w, v in zip(weight, value[:, c], strict=True)) / math.fsum(weight)
            expect_close(read[t, c], mean, "the weighted mean")


@claim("L3.1", "blunt, it is the plain mean; sharp, it is the value of the best matching key", dictionaries())
def has_two_limits(impl, query, key, value, sharpness):
    expect_close(impl.soft_lookup(query, key, value, 0.0), np.tile(value.mean(0), (len(query), 1)), "at sharpness 0")
    match = (query[:, None, :] * key).sum(-1)
    read = impl.soft_lookup(query, key, value, 4000.0)
    for t, row in enumerate(match):
        expect_close(read[t], value[row == row.max()].mean(0), "at sharpness 4000")


@claim("L3.1", "the order of the entries does not matter", dictionaries(), examples=60)
def forgets_the_order(impl, query, key, value, sharpness):
    read = impl.soft_lookup(query, key, value, sharpness)
    expect_close(impl.soft_lookup(query, key[::-1], value[::-1], sharpness), read, "with the entries in reverse")
    twice = impl.soft_lookup(query, np.vstack([key, key]), np.vstack([value, value]), sharpness)
    expect_close(twice, read, "with every entry twice")


@claim("L3.1", "its gradient is that of its values", dictionaries(), examples=40)
def lookup_has_its_gradient(impl, query, key, value, sharpness):
    expect_gradient(impl.soft_lookup, (query, key, value, sharpness), wrt=(0, 1, 2))


# ------------------------------------------------------------------------------------------------------- L3.2 the scale


@composite
def queries_and_keys(draw):
    """Query (…, T, K), key (…, S, K), with none, one or two axes before."""
    before = draw(st.sampled_from([(), (2,), (1,), (2, 3)]))
    T, S, K = (draw(integers(1, 4)) for _ in range(3))
    return draw(floats(*before, T, K)), draw(floats(*before, S, K))


@claim("L3.2", "a score is the inner product divided by √K", queries_and_keys())
def is_a_scaled_product(impl, query, key):
    found = impl.scores(query, key)
    expect_shape(found, (*query.shape[:-1], key.shape[-2]), "the scores")
    K = query.shape[-1]
    for *b, t, s in np.ndindex(found.shape):
        product = math.fsum(query[(*b, t, i)] * key[(*b, s, i)] for i in range(K))
        expect_close(found[(*b, t, s)] ** 2 * K, product**2, "the square of a score, times K", 1e-8)
        expect(found[(*b, t, s)] * product >= 0, "a score has the sign of the inner product")


@claim(
    "L3.2",
    "scores of random queries and keys have spread 1, however wide they are",
    integers(0, 10**6),
    st.sampled_from([16, 64, 256]),
    examples=20,
)
def have_spread_one(impl, seed, K):
    rng = np.random.default_rng(seed)
    spread = float(np.std(impl.scores(rng.standard_normal((80, K)), rng.standard_normal((120, K)))))
    expect(0.8 < spread < 1.25, "the standard deviation of the scores is near 1", expected=1.0, got=spread)


@claim("L3.2", "the same features twice over raise a score by √2 only", queries_and_keys())
def grow_with_the_root(impl, query, key):
    once = impl.scores(query, key)
    twice = impl.scores(np.concatenate([query, query], -1), np.concatenate([key, key], -1))
    expect_close(twice, math.sqrt(2) * np.asarray(once), "scores of queries and keys that are doubled")


@claim("L3.2", "its gradient is that of its values", queries_and_keys(), examples=40)
def scores_have_their_gradient(impl, query, key):
    expect_gradient(impl.scores, (query, key), wrt=(0, 1))


# --------------------------------------------------------------------------------------------------------- L3.3 weights


@composite
def scores_and_masks(draw):
    """Scores (…, T, S) and a mask of their shape."""
    shape = (*draw(st.sampled_from([(), (2,)])), draw(integers(1, 4)), draw(integers(1, 4)))
    return draw(floats(*shape)), draw(booleans(*shape))


@claim("L3.3", "a forbidden position has weight exactly 0, and its score changes nothing", scores_and_masks())
def forbids(impl, scores, mask):
    weights = impl.attention_weights(scores, mask)
    expect_shape(weights, scores.shape, "the weights")
    expect(weights[~mask] == 0, "the weight of a forbidden position is 0")
    for other in (1e6, -1e6):
        expect_close(
            impl.attention_weights(np.where(mask, scores, other), mask), weights, f"forbidden scores at {other}"
        )


@claim("L3.3", "a row sums to 1, or to 0 where nothing may be read", scores_and_masks())
def sums_to_one(impl, scores, mask):
    weights = impl.attention_weights(scores, mask)
    expect(weights >= 0, "no weight is negative")
    expect_close(weights.sum(-1), np.where(mask.any(-1), 1.0, 0.0), "the sum of a row")


@claim("L3.3", "two weights of a row are in the ratio exp(difference of their scores)", scores_and_masks())
def keeps_ratios(impl, scores, mask):
    weights = impl.attention_weights(scores, mask)
    for *row, s in np.argwhere(mask).tolist():
        for other in np.flatnonzero(mask[tuple(row)]):
            ratio = math.exp(scores[(*row, s)] - scores[(*row, other)])
            expect_close(weights[(*row, s)], weights[(*row, other)] * ratio, "a weight, from another of its row")


@claim("L3.3", "a constant added to all scores changes nothing, be it 10,000 or −100,000", scores_and_masks())
def is_only_about_differences(impl, scores, mask):
    weights = impl.attention_weights(scores, mask)
    for shift in (1e4, -1e5):
        expect_close(impl.attention_weights(scores + shift, mask), weights, f"scores shifted by {shift}", 1e-7)


@claim("L3.3", "its gradient is that of its values, and 0 where reading is forbidden", scores_and_masks())
def weights_have_their_gradient(impl, scores, mask):
    expect_gradient(impl.attention_weights, (scores, mask))
    rng = np.random.default_rng(0)
    found = impl.attention_weights.gradient((scores, mask), (0,), [rng.standard_normal(scores.shape)])
    expect(found is None or np.all(found[0][~mask] == 0), "the gradient of a forbidden score is 0")


# ----------------------------------------------------------------------------------------------------------- L3.4 masks


@composite
def texts_and_padding(draw):
    """Booleans (B, T): texts of any length, padded on the right, on the left, or in the middle."""
    return draw(booleans(draw(integers(1, 3)), draw(integers(1, 5))))


@claim("L3.4", "t reads s if s is not after t and is no padding", texts_and_padding())
def is_the_definition(impl, real):
    found = impl.reading_mask(real)
    B, T = real.shape
    wanted = [[[s <= t and bool(real[b, s]) for s in range(T)] for t in range(T)] for b in range(B)]
    expect_close(found, np.array(wanted, bool), "the mask")


@claim("L3.4", "what comes later changes nothing for those before", texts_and_padding())
def is_causal(impl, real):
    found = np.asarray(impl.reading_mask(real))
    expect_shape(found, (*real.shape, real.shape[1]), "the mask")
    for n in range(1, real.shape[1]):
        expect_close(impl.reading_mask(real[:, :n]), found[:, :n, :n], f"the mask of the first {n} positions")
        expect(~found[:, :n, n:], f"none of the first {n} positions reads a later one")


@claim("L3.4", "a text reads the same with padding before it or after it", booleans(1, 5))
def does_not_care_for_the_side(impl, real):
    n = int(real.sum()) + 1
    text = np.ones((1, n), bool)
    alone = impl.reading_mask(text)
    before, after = np.zeros((1, 2), bool), np.zeros((1, 3), bool)
    padded = np.asarray(impl.reading_mask(np.concatenate([before, text, after], 1)))
    expect_shape(padded, (1, n + 5, n + 5), "the mask")
    expect_close(padded[:, 2 : n + 2, 2 : n + 2], alone, "the part of the mask within the text")
    expect(~padded[:, :, :2] & ~padded[:, :, 2:][:, :, n:].any(), "nobody reads padding")


# --------------------------------------------------------------------------------------------------- L3.5 the Jacobian


def attention_in_float64(seed, heads, causal):
    """Our layer, with weights large enough that every dependence is seen."""
    layer = nn.MultiHeadAttention(4, heads, np.random.default_rng(seed), causal=causal, std=0.5, out_std=0.5)
    for parameter in layer.parameters():
        parameter.data = parameter.data.astype(np.float64)
    return layer


@claim(
    "L3.5",
    "the derivative of what position t gets is exactly 0 by what t may not read, and not 0 by the rest",
    integers(0, 10**6),
    st.sampled_from([1, 2, 4]),
    st.sampled_from([None, "left", "right"]),
    examples=20,
)
def jacobian_is_triangular(seed, heads, padding):
    T = 4
    x = ml.Tensor(np.random.default_rng(seed + 1).standard_normal((1, T, 4)), requires_grad=True)
    real = np.array([[padding != "left", True, True, padding != "right"]])
    y = attention_in_float64(seed, heads, causal=True)(x, mask=real[:, None, None, :])
    size = np.abs(ml.jacobian(y, x).numpy()[0, :, :, 0]).sum((1, 3))  # (T, T), entry [t, s]
    may = np.tri(T, dtype=bool) & real
    read = may | (np.eye(T, dtype=bool) & may.any(1))  # its own query counts, wherever there is anything to read
    only_itself = may.sum(1) == 1  # of one key the weight is 1, whatever the query
    read[only_itself] = may[only_itself]
    expect(size[~read] == 0, "derivatives by what may not be read are 0")
    expect(size[read] > 1e-8, "derivatives by what is read are not 0")


# ----------------------------------------------------------------------------------------------------------- L3.6 heads


@composite
def sequences_and_matrices(draw):
    """x (T, D), four matrices (D, D), heads, mask (T, T) in which every position reads itself."""
    heads, K, T = draw(integers(1, 3)), draw(integers(1, 2)), draw(integers(1, 4))
    D = heads * K
    rng = np.random.default_rng(draw(integers(0, 10**6)))
    x, *matrices = (rng.standard_normal(shape) for shape in [(T, D), *4 * [(D, D)]])
    return x, *matrices, heads, draw(booleans(T, T)) | np.eye(T, dtype=bool)


@claim(
    "L3.6",
    "it is the sum over the heads of what each reads by itself, through its rows of w_out",
    sequences_and_matrices(),
)
def is_a_sum_over_heads(impl, x, w_query, w_key, w_value, w_out, heads, mask):
    T, D = x.shape
    K = D // heads
    total = np.zeros((T, D))
    for h in range(heads):
        own = slice(h * K, (h + 1) * K)
        q, k, v = x @ w_query[:, own], x @ w_key[:, own], x @ w_value[:, own]
        for t in range(T):
            weight = np.array([math.exp(q[t] @ k[s] / math.sqrt(K)) if mask[t, s] else 0.0 for s in range(T)])
            total[t] += (weight / weight.sum()) @ v @ w_out[own]
    expect_close(impl.multi_head(x, w_query, w_key, w_value, w_out, heads, mask), total, "the sum over the heads", 1e-8)


@claim("L3.6", "the heads may stand in any order", sequences_and_matrices(), examples=40)
def heads_have_no_order(impl, x, w_query, w_key, w_value, w_out, heads, mask):
    columns = np.arange(x.shape[1]).reshape(heads, -1)[::-1].ravel()
    moved = impl.multi_head(x, w_query[:, columns], w_key[:, columns], w_value[:, columns], w_out[columns], heads, mask)
    expect_close(moved, impl.multi_head(x, w_query, w_key, w_value, w_out, heads, mask), "heads in reverse", 1e-8)


@claim("L3.6", "a position that may not be read changes nothing", sequences_and_matrices(), examples=40)
def heads_obey_the_mask(impl, x, w_query, w_key, w_value, w_out, heads, mask):
    before = np.asarray(impl.multi_head(x, w_query, w_key, w_value, w_out, heads, mask))
    expect_shape(before, x.shape, "the result")
    for s in range(len(x)):
        other = x.copy()
        other[s] = 3 - other[s]
        after = np.asarray(impl.multi_head(other, w_query, w_key, w_value, w_out, heads, mask))
        blind = ~mask[:, s]
        expect_close(after[blind], before[blind], f"rows that may not read position {s}, which was changed")


@claim("L3.6", "its gradient is that of its values", sequences_and_matrices(), examples=20)
def heads_have_their_gradient(impl, *case):
    expect_gradient(impl.multi_head, case, wrt=(0, 1, 2, 3, 4))


# ----------------------------------------------------------------------------------------------------------- L3.7 order


@composite
def orders(draw):
    """A seed, heads, and an order of 5 positions of which the first four are not all in their place."""
    order = draw(permutations(4).filter(lambda p: not np.array_equal(p, np.arange(4))))
    return draw(integers(0, 10**6)), draw(st.sampled_from([1, 2])), np.append(order, 4)


def depth(seed, heads, causal, layers):
    """Layers of our attention, each added to what flows past it; no positions."""
    stack = [attention_in_float64(seed + i, heads, causal) for i in range(layers)]

    def run(x):
        for layer in stack:
            x = x + layer(x).numpy()
        return x

    return run


@claim("L3.7", "without mask and positions, layers give a token the same wherever it stands", orders(), examples=20)
def is_equivariant(seed, heads, order):
    x = np.random.default_rng(seed).standard_normal((1, 5, 4))
    read = depth(seed, heads, causal=False, layers=3)
    expect_close(read(x[:, order]), read(x)[:, order], "the outputs for the reordered tokens")


@claim(
    "L3.7",
    "one causal layer without positions gives the last token the same for any order of those before it",
    orders(),
    examples=20,
)
def one_causal_layer_sees_a_set(seed, heads, order):
    x = np.random.default_rng(seed).standard_normal((1, 5, 4))
    read = depth(seed, heads, causal=True, layers=1)
    expect_close(read(x[:, order])[:, -1], read(x)[:, -1], "the output of the last token")


@claim("L3.7", "two causal layers do see an order", orders(), examples=20)
def two_causal_layers_see_order(seed, heads, order):
    x = np.random.default_rng(seed).standard_normal((1, 5, 4))
    read = depth(seed, heads, causal=True, layers=2)
    gap = float(np.abs(read(x[:, order])[:, -1] - read(x)[:, -1]).max())
    expect(gap > 1e-7, "the output of the last token changes", got=gap)


# ------------------------------------------------------------------------------------------------------- L3.8 positions


@claim("L3.8", "row t holds sin(t ω) and cos(t ω) in turn, the slowest ω last", integers(1, 40), integers(1, 6))
def is_sine_and_cosine(impl, length, half):
    found = impl.sinusoids(length, 2 * half)
    expect_shape(found, (length, 2 * half), "the table")
    for t in range(length):
        angles = [t / math.pow(10000, 2 * i / (2 * half)) for i in range(half)]
        expect_close(found[t, 0::2], np.array([math.sin(angle) for angle in angles]), f"row {t}, the even columns")
        expect_close(found[t, 1::2], np.array([math.cos(angle) for angle in angles]), f"row {t}, the odd columns")


@claim("L3.8", "the inner product of two rows depends on their distance alone", integers(2, 12), integers(1, 6))
def knows_distances(impl, length, half):
    found = np.asarray(impl.sinusoids(length, 2 * half))
    expect_shape(found, (length, 2 * half), "the table")
    gram = found @ found.T
    expect_close(np.diag(gram), np.full(length, float(half)), "the squared length of a row")
    for d in range(1, length):
        expect_close(np.diag(gram, d), np.full(length - d, gram[0, d]), f"inner products of rows {d} apart")


@claim(
    "L3.8",
    "a step of k positions is one rotation, the same wherever it begins",
    integers(4, 12),
    integers(1, 5),
    integers(1, 3),
)
def steps_are_rotations(impl, length, half, k):
    found = np.asarray(impl.sinusoids(length, 2 * half))
    expect_shape(found, (length, 2 * half), "the table")
    wave = found[:, 1::2] + 1j * found[:, ::2]  # cos + i sin: a rotation is a product with a number of length 1
    turn = wave[k] / wave[0]
    expect_close(np.abs(turn), np.ones(half), "how a step changes lengths")
    moved = wave[:-k] * turn
    expect_close(moved.real, wave[k:].real, f"rows {k} further on, by rotation")
    expect_close(moved.imag, wave[k:].imag, f"rows {k} further on, by rotation")


# ------------------------------------------------------------------------------------------------------- L3.9 induction


@composite
def token_sequences(draw):
    """Ids (T,), of a vocabulary V."""
    V = draw(integers(2, 5))
    return draw(ids(draw(integers(1, 9)), vocabulary=V)), V


@claim(
    "L3.9",
    "sharp, it predicts what followed this token before, by its shares; if it is new, all tokens so far",
    token_sequences(),
)
def counts_what_followed(impl, ids, V):
    found = impl.induction(ids, V, 60.0)
    expect_shape(found, (len(ids), V), "the predictions")
    for t, token in enumerate(ids):
        followed = [int(ids[s + 1]) for s in range(t) if ids[s] == token] or [int(i) for i in ids[: t + 1]]
        share = np.bincount(followed, minlength=V) / len(followed)
        expect_close(found[t], share, f"the prediction after position {t}")


@claim("L3.9", "blunt, it predicts every token so far by its share", token_sequences(), examples=50)
def blunt_it_counts_all(impl, ids, V):
    found = impl.induction(ids, V, 0.0)
    shares = np.cumsum(np.eye(V)[ids], 0) / np.arange(1, len(ids) + 1)[:, None]
    expect_close(found, shares, "the predictions at sharpness 0")


@claim("L3.9", "later tokens change no earlier prediction", token_sequences(), integers(0, 24))
def is_a_language_model(impl, case, sharpness):
    ids, V = case
    found = np.asarray(impl.induction(ids, V, sharpness / 8))
    expect_close(found.sum(-1), np.ones(len(ids)), "the sum of a row")
    for n in range(1, len(ids)):
        expect_close(impl.induction(ids[:n], V, sharpness / 8), found[:n], f"the predictions of the first {n} tokens")


@claim("L3.9", "other names for the tokens are only other names", token_sequences(), integers(0, 24))
def names_do_not_matter(impl, case, sharpness):
    ids, V = case
    found = np.asarray(impl.induction(ids, V, sharpness / 8))
    renamed = impl.induction((ids + 1) % V, V, sharpness / 8)
    expect_close(renamed, np.roll(found, 1, axis=-1), "the predictions for renamed tokens")
