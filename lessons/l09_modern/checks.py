"""What lesson 9 proves."""

import math
from fractions import Fraction

import numpy as np

import minilm as ml
import minilm.functional as F
from minilm import models, nn
from minilm.course import claim, expect, expect_close, expect_gradient, expect_shape
from minilm.course.strategies import composite, floats, integers, st

# -------------------------------------------------------------------------------------------------------- L9.1 RMS norm


@composite
def vectors(draw):
    """x (…, D), weight (D,), ε."""
    before, D = draw(st.sampled_from([(), (2,), (1, 3)])), draw(integers(1, 4))
    return draw(floats(*before, D)), draw(floats(D)), draw(st.sampled_from([1e-6, 0.125, 1.0]))


@composite
def lively_vectors(draw):
    """Vectors of random normal numbers (T, D), with D at least 2."""
    rng = np.random.default_rng(draw(integers(0, 10**6)))
    D = draw(integers(2, 5))
    return rng.standard_normal((draw(integers(1, 3)), D)) + 0.3, rng.standard_normal(D)


@claim("L9.1", "y √(mean x² + ε) = w x, and zeros stay zeros", vectors())
def is_divided_by_its_root_mean_square(impl, x, weight, epsilon):
    y = impl.rms_norm(x, weight, epsilon)
    expect_shape(y, x.shape, "the result")
    D = x.shape[-1]
    for *row, i in np.ndindex(x.shape):
        square = math.fsum(x[(*row, j)] ** 2 for j in range(D)) / D
        expect_close(y[(*row, i)] ** 2 * (square + epsilon), (weight[i] * x[(*row, i)]) ** 2, "y² (mean x² + ε)")
        expect(y[(*row, i)] * weight[i] * x[(*row, i)] >= 0, "y has the sign of w x")


@claim("L9.1", "a vector ten thousand times as long gives the same, one that is shifted does not", lively_vectors())
def forgets_the_length_and_not_the_mean(impl, x, weight):
    ones = np.ones_like(weight)
    y = impl.rms_norm(x, ones, 1e-12)
    expect_close(impl.rms_norm(1e4 * x, ones, 1e-12), y, "of 10,000 x", 1e-6)
    expect_close((np.asarray(y) ** 2).mean(-1), np.ones(len(x)), "the mean square of the result", 1e-6)
    moved = np.abs(np.asarray(impl.rms_norm(x + 2.0, ones, 1e-12)) - y).max(-1)
    expect(moved > 1e-6, "of x + 2: not the same", got=moved)


@claim("L9.1", "each vector is normalised by itself", lively_vectors(), examples=50)
def vectors_do_not_meet(impl, x, weight):
    y = np.asarray(impl.rms_norm(np.stack([x, 3 * x + 1]), weight, 0.5))
    expect_close(y[0], impl.rms_norm(x, weight, 0.5), "the first ones, alone")
    expect_close(y[1, 0], impl.rms_norm(3 * x[0] + 1, weight, 0.5), "one of the others, alone")


@claim("L9.1", "its gradient is that of its values", vectors(), examples=40)
def norm_has_its_gradient(impl, x, weight, epsilon):
    expect_gradient(impl.rms_norm, (x, weight, max(epsilon, 0.125)), wrt=(0, 1))


# ----------------------------------------------------------------------------------------------------------- L9.2 RoPE


@composite
def queries_and_places(draw):
    """x (…, T, K), positions (T,), θ."""
    before, T, K = draw(st.sampled_from([(), (2,)])), draw(integers(1, 4)), 2 * draw(integers(1, 3))
    positions = np.array([draw(integers(0, 30)) for _ in range(T)])
    return draw(floats(*before, T, K)), positions, draw(st.sampled_from([10.0, 1e4]))


@claim("L9.2", "as complex numbers, pair i of position t is multiplied by exp(i t θ^(−2i/K))", queries_and_places())
def is_a_complex_product(impl, x, positions, theta):
    y = impl.rotate(x, positions, theta)
    expect_shape(y, x.shape, "the result")
    K = x.shape[-1]
    for *row, t, i in np.ndindex(*x.shape[:-1], K // 2):
        alpha = int(positions[t]) / math.pow(theta, 2 * i / K)
        z = complex(x[(*row, t, i)], x[(*row, t, i + K // 2)]) * complex(math.cos(alpha), math.sin(alpha))
        expect_close(y[(*row, t, i)], z.real, f"feature {i} of position {positions[t]}")
        expect_close(y[(*row, t, i + K // 2)], z.imag, f"feature {i + K // 2} of position {positions[t]}")


@composite
def two_texts(draw):
    """Random queries and keys (T, K), and how far both are shifted."""
    rng = np.random.default_rng(draw(integers(0, 10**6)))
    T, K = draw(integers(2, 4)), 2 * draw(integers(1, 4))
    return rng.standard_normal((T, K)), rng.standard_normal((T, K)), draw(integers(1, 50))


@claim("L9.2", "scores depend on the distance only: all positions shifted, nothing changes", two_texts())
def only_the_distance_counts(impl, query, key, shift):
    here = np.arange(len(query))
    scores = [np.asarray(impl.rotate(query, at, 100.0)) @ np.asarray(impl.rotate(key, at, 100.0)).T
              for at in (here, here + shift)]  # fmt: skip
    expect_close(scores[1], scores[0], f"scores of positions {shift} further on", 1e-8)
    read_late = np.asarray(impl.rotate(query, here + shift, 100.0)) @ np.asarray(impl.rotate(key, here, 100.0)).T
    expect(np.abs(read_late - scores[0]).max() > 1e-9, "queries shifted alone: another distance, other scores")


@claim("L9.2", "lengths are kept, and position 0 is not turned at all", queries_and_places())
def keeps_lengths(impl, x, positions, theta):
    y = np.asarray(impl.rotate(x, positions, theta))
    expect_close((y**2).sum(-1), (x**2).sum(-1), "the squared length", 1e-8)
    expect_close(impl.rotate(x, 0 * positions, theta), x, "at position 0")


@claim("L9.2", "read in two parts, the second one from where the first ended, it is the same", two_texts())
def parts_fit(impl, x, _, past):
    places = past + np.arange(len(x))
    whole = np.asarray(impl.rotate(x, places, 100.0))
    expect_shape(whole, x.shape, "the result")
    for cut in range(1, len(x)):
        expect_close(impl.rotate(x[cut:], places[cut:], 100.0), whole[cut:], f"positions from {places[cut]} on")


@claim("L9.2", "its gradient is that of its values", queries_and_places(), examples=30)
def rotation_has_its_gradient(impl, x, positions, theta):
    expect_gradient(impl.rotate, (x, positions, theta))


# --------------------------------------------------------------------------------------------------------- L9.3 SwiGLU


@composite
def gated(draw):
    """x (T, D), w_gate and w_up (D, F), w_down (F, D)."""
    T, D, width = (draw(integers(1, 4)) for _ in range(3))
    return draw(floats(T, D)), draw(floats(D, width)), draw(floats(D, width)), draw(floats(width, D))


@claim("L9.3", "feature by feature: z / (1 + e^−z) of the gate, times what goes up, summed on the way down", gated())
def is_a_gated_sum(impl, x, w_gate, w_up, w_down):
    y = impl.swiglu(x, w_gate, w_up, w_down)
    expect_shape(y, x.shape, "the result")
    D, width = w_gate.shape
    for t, c in np.ndindex(x.shape):
        terms = []
        for f in range(width):
            z = math.fsum(x[t, d] * w_gate[d, f] for d in range(D))
            terms.append(z / (1 + math.exp(-z)) * math.fsum(x[t, d] * w_up[d, f] for d in range(D)) * w_down[f, c])
        expect_close(y[t, c], math.fsum(terms), f"feature {c} of position {t}")


@claim("L9.3", "it is linear in W_up and in W_down, and not in W_gate", gated())
def is_linear_but_for_the_gate(impl, x, w_gate, w_up, w_down):
    w_gate, x = w_gate + 0.1, x + 0.1  # generic: no gate is exactly 0
    y = np.asarray(impl.swiglu(x, w_gate, w_up, w_down))
    expect_close(impl.swiglu(x, w_gate, 3 * w_up, w_down), 3 * y, "with W_up three times as large", 1e-8)
    expect_close(impl.swiglu(x, w_gate, w_up, -2 * w_down), -2 * y, "with W_down times −2", 1e-8)
    both = np.asarray(impl.swiglu(x, w_gate, w_up, w_down)) - np.asarray(impl.swiglu(x, -w_gate, w_up, w_down))
    expect_close(both, x @ w_gate * (x @ w_up) @ w_down, "W_gate minus −W_gate, as silu(z) − silu(−z) = z", 1e-8)


@claim("L9.3", "a gate that is far below 0 is shut, one far above lets its own size pass", gated(), examples=50)
def has_two_limits(impl, x, w_gate, w_up, w_down):
    one = np.ones((1, 1))
    expect_close(impl.swiglu(one, -800.0 * one, one, one), 0 * one, "gate at −800")
    expect_close(impl.swiglu(one, 800.0 * one, 0.5 * one, one), 400 * one, "gate at 800, half of 1 goes up")
    rows = np.asarray(impl.swiglu(x, w_gate, w_up, w_down))
    expect_close(impl.swiglu(x[:1], w_gate, w_up, w_down), rows[:1], "the first position alone")


@claim("L9.3", "its gradient is that of its values", gated(), examples=30)
def swiglu_has_its_gradient(impl, x, w_gate, w_up, w_down):
    generic = x / 4 + 0.31, w_gate / 2 + 0.17, w_up / 2 + 0.23, w_down / 2 + 0.11  # nothing is exactly 0
    expect_gradient(impl.swiglu, generic, wrt=(0, 1, 2, 3))


# ------------------------------------------------------------------------------------------------ L9.4 grouped queries


@composite
def groups(draw):
    """Query (H, T, K), key and value (G, T, K), random."""
    rng = np.random.default_rng(draw(integers(0, 10**6)))
    G, n, T, K = (draw(integers(1, 3)) for _ in range(4))
    return rng.standard_normal((G * n, T, K)), rng.standard_normal((G, T, K)), rng.standard_normal((G, T, K))


@claim("L9.4", "query head j reads head ⌊j G / H⌋ of keys and values, itself and the past", groups())
def neighbours_share(impl, query, key, value):
    y = impl.grouped_attention(query, key, value)
    expect_shape(y, query.shape, "the result")
    (H, T, K), G = query.shape, len(key)
    for j, t in np.ndindex(H, T):
        g = j * G // H
        weight = [math.exp(math.fsum(query[j, t] * key[g, s]) / math.sqrt(K)) for s in range(t + 1)]
        for c in range(K):
            mean = math.fsum(w * value[g, s, c] for s, w in enumerate(weight)) / math.fsum(weight)
            expect_close(y[j, t, c], mean, f"what head {j} reads at position {t}")


@claim("L9.4", "with G = H it is multi-head attention, with G = 1 multi-query attention", groups(), examples=60)
def has_two_ends(impl, query, key, value):
    H, G = len(query), len(key)
    many = [np.concatenate([a] * (H // G)) for a in (key, value)]  # H heads of their own, in any order
    alone = [F.attention(*(a[None, j : j + 1] for a in (query, *many)), causal=True)[0, 0] for j in range(H)]
    expect_close(impl.grouped_attention(query, *many), np.stack(alone), "G = H: each head alone", 1e-8)
    shared = F.attention(query[None], *(np.broadcast_to(a[None, :1], (1, *query.shape)) for a in (key, value)),
                         causal=True)[0]  # fmt: skip
    expect_close(impl.grouped_attention(query, key[:1], value[:1]), shared, "G = 1: all read one head", 1e-8)


@claim("L9.4", "groups change places with their queries; within a group queries change places freely", groups())
def groups_are_alike(impl, query, key, value):
    y = np.asarray(impl.grouped_attention(query, key, value))
    expect_shape(y, query.shape, "the result")
    n = len(query) // len(key)
    backwards = np.arange(len(query)).reshape(-1, n)[::-1].ravel()  # the groups in reverse, each as it was
    expect_close(impl.grouped_attention(query[backwards], key[::-1], value[::-1]), y[backwards], "groups in reverse")
    within = np.arange(len(query)).reshape(-1, n)[:, ::-1].ravel()
    expect_close(impl.grouped_attention(query[within], key, value), y[within], "each group's queries in reverse")


@claim("L9.4", "its gradient is that of its values: a shared head hears of all its readers", groups(), examples=30)
def attention_has_its_gradient(impl, query, key, value):
    expect_gradient(impl.grouped_attention, (query, key, value), wrt=(0, 1, 2))


# ------------------------------------------------------------------------------------------------------ L9.5 the cache


@composite
def models_and_texts(draw):
    """batch, tokens, layers, heads, kv_heads, width, number."""
    kv_heads, n, K = (draw(integers(1, 3)) for _ in range(3))
    heads = kv_heads * n
    of = [draw(integers(1, 4)) for _ in range(3)]
    return (*of, heads, kv_heads, heads * 2 * K, draw(st.sampled_from([2, 4])))


@claim("L9.5", "it is what our cache holds, array by array", models_and_texts(), examples=30)
def is_what_is_held(impl, batch, tokens, layers, heads, kv_heads, width, number):
    config = models.LlamaConfig(vocab_size=5, context=tokens, width=width, layers=layers, heads=heads,
                                kv_heads=kv_heads, mlp_width=4)  # fmt: skip
    model = models.Llama(config)
    cache = model.new_cache(batch)
    with ml.no_grad():
        model(np.zeros((batch, tokens), np.int64), cache=cache)
    held = sum(a[:, :, :, : cache.length].size for a in (cache.keys, cache.values)) * number
    expect_close(impl.cache_bytes(batch, tokens, layers, heads, kv_heads, width, number), held, "bytes")


@claim("L9.5", "it grows with each of its sizes in proportion, and shrinks by H / G with grouped queries",
       models_and_texts())  # fmt: skip
def is_proportional(impl, batch, tokens, layers, heads, kv_heads, width, number):
    of = [batch, tokens, layers, heads, kv_heads, width, number]
    once = impl.cache_bytes(*of)
    for place in (0, 1, 2, 5, 6):
        more = impl.cache_bytes(*(v * (1 + 2 * (i == place)) for i, v in enumerate(of)))
        expect_close(more, 3 * once, f"bytes, with argument {place} three times as large")
    own = impl.cache_bytes(batch, tokens, layers, heads, heads, width, number)
    expect(Fraction(own, max(once, 1)) == Fraction(heads, kv_heads), "with H heads: H / G as much")
    expect(once < impl.cache_bytes(batch, tokens + 1, layers, heads, kv_heads, width, number), "a token adds")


@claim("L9.5", "GPT-2 keeps 73,728 bytes a token, LLaMA 2 of 70B an eighth of what 64 heads would")
def knows_two_models(impl):
    expect_close(impl.cache_bytes(1, 1, 12, 12, 12, 768, 4), 73_728, "GPT-2, in float32")
    expect_close(
        impl.cache_bytes(1, 4096, 80, 64, 8, 8192, 2), 2**12 * 80 * 8 * 128 * 2 * 2, "LLaMA 2, 70B, 4,096 tokens"
    )


# ------------------------------------------------------------------------------------------------------- L9.6 buckets


@composite
def distances(draw):
    """distance, both_ways, buckets, max_distance."""
    both_ways, e = draw(st.booleans()), draw(integers(2, 8))
    buckets = e * (4 if both_ways else 2)
    far = draw(integers(2, 16)) * buckets
    return draw(integers(-2 * far, 2 * far)), both_ways, buckets, far


@claim("L9.6", "bucket e + k begins where (d / e)^e reaches (max_distance / e)^k, by whole numbers", distances())
def has_these_borders(impl, distance, both_ways, buckets, max_distance):
    n = buckets // 2 if both_ways else buckets
    e = n // 2
    found = impl.relative_bucket(distance, both_ways, buckets, max_distance)
    d = abs(distance) if both_ways or distance < 0 else 0
    side = n if both_ways and distance > 0 else 0
    wanted = d if d < e else e + max(k for k in range(e) if d**e * e**k >= e**e * max_distance**k)
    on_a_border = d > e and any(d**e * e**k == e**e * max_distance**k for k in range(1, e))
    if not on_a_border:  # there the logarithm's rounding decides
        expect_close(found, side + wanted, f"the bucket of {distance}")
    near = -min(e - 1, 2)
    expect_close(impl.relative_bucket(near, both_ways, buckets, max_distance), -near, f"the bucket of {near}")


@claim("L9.6", "further away is never a smaller bucket; from max_distance on it is the last", distances())
def never_falls(impl, distance, both_ways, buckets, max_distance):
    n = buckets // 2 if both_ways else buckets
    of = [impl.relative_bucket(-d, both_ways, buckets, max_distance) for d in range(0, 2 * max_distance, 3)]
    steps = np.diff(of)
    expect(steps >= 0, "buckets of the past, near to far")
    expect_close(of[0], 0, "the bucket of distance 0")
    expect_close(of[-1], n - 1, "the bucket of what is far")
    expect_close(impl.relative_bucket(-max_distance, both_ways, buckets, max_distance), n - 1, "at max_distance")


@claim("L9.6", "past and future have a half each, or the future has none", distances())
def sides_are_told_apart(impl, distance, both_ways, buckets, max_distance):
    d = abs(distance) + 1
    past, future = (impl.relative_bucket(s * d, both_ways, buckets, max_distance) for s in (-1, 1))
    expect(0 < past < buckets and 0 <= future < buckets, "buckets are numbers below `buckets`, 0 is distance 0")
    expect_close(future, past + buckets // 2 if both_ways else 0, f"the bucket of {d}, {d} back being in {past}")


@claim("L9.6", "it is that of our T5, for all distances up to 300", st.sampled_from([(True, 32, 128), (False, 32, 128),
       (True, 16, 60), (False, 8, 20)]), examples=20)  # fmt: skip
def is_that_of_our_t5(impl, *how):
    from minilm.models.t5 import bucket

    rng = np.random.default_rng(sum(how))
    both_ways, buckets, far = how
    e = buckets // (4 if both_ways else 2)
    for d in [*range(-20, 21), *rng.integers(-300, 301, 20).tolist()]:
        if any(abs(d) ** e * e**k == e**e * far**k for k in range(1, e)):
            continue  # on a border: our T5 takes logarithms in float32
        ours = int(bucket(np.array(d), *how))
        expect(abs(impl.relative_bucket(d, *how) - ours) <= 0, f"the bucket of {d}", expected=ours)


# ------------------------------------------------------------------------------------------------ L9.7 span corruption


@composite
def texts_with_spans(draw):
    """ids, spans with a token between them, sentinels from 100 down."""
    ids, spans = [], []
    for _ in range(draw(integers(1, 3))):
        ids += [draw(integers(1, 9)) for _ in range(draw(integers(1 if ids else 0, 3)))]
        start = len(ids)
        ids += [draw(integers(1, 9)) for _ in range(draw(integers(1, 3)))]
        spans.append((start, len(ids)))
    ids += [draw(integers(1, 9)) for _ in range(draw(integers(0, 3)))]
    return ids, spans, [100 - 7 * i for i in range(6)]


def put_back(shown, target, sentinels):
    """The text, from question and answer."""
    answers, current = {}, None
    for token in target:
        if token in sentinels:
            current = token
            answers[current] = []
        elif current is not None:
            answers[current].append(token)
    return [word for token in shown for word in (answers.get(token, [token]) if token in sentinels else [token])]


@claim("L9.7", "input and target together are the text", texts_with_spans())
def can_be_put_back(impl, ids, spans, sentinels):
    shown, target = impl.corrupt(ids, spans, sentinels)
    expect_close(np.array(put_back(shown, target, sentinels)), np.array(ids), "the text, put together again")
    expect_close(len(shown) + len(target), len(ids) + 2 * len(spans) + 1, "tokens of input and target together")


@claim("L9.7", "what is shown are the tokens outside of the spans, and a sentinel for each span, in order",
       texts_with_spans())  # fmt: skip
def shows_the_rest(impl, ids, spans, sentinels):
    shown, _ = impl.corrupt(ids, spans, sentinels)
    inside = {t for start, end in spans for t in range(start, end)}
    rest, wanted = [t for t in shown if t not in sentinels], [t for i, t in enumerate(ids) if i not in inside]
    expect_close(np.array(rest, int), np.array(wanted, int), "the tokens that are shown")
    expect_close(np.array([t for t in shown if t in sentinels]), np.array(sentinels[: len(spans)]), "the sentinels")
    expect_close(shown.index(sentinels[0]), spans[0][0], "where the first sentinel stands")


@claim("L9.7", "the target begins and ends with a sentinel, and no two ends are alike", texts_with_spans())
def target_has_both_ends(impl, ids, spans, sentinels):
    _, target = impl.corrupt(ids, spans, sentinels)
    of = [i for i, t in enumerate(target) if t in sentinels]
    expect_close(np.array([target[i] for i in of]), np.array(sentinels[: len(spans) + 1]), "sentinels of the target")
    expect_close(np.array(of[:1] + of[-1:]), np.array([0, len(target) - 1]), "where the first and the last one stand")
    gaps = np.diff(of) - 1
    expect_close(gaps, np.array([end - start for start, end in spans]), "tokens between two sentinels")


# ----------------------------------------------------------------------------------------------------- L9.8 the family


@claim("L9.8", "a block with every switch turned, RoPE and a tied head are our LLaMA, to the last bit of its logits",
       integers(0, 10**6), examples=5)  # fmt: skip
def switches_make_a_llama(seed):
    from minilm.nn.rotary import Rotary

    c = models.LlamaConfig(vocab_size=11, context=8, width=16, layers=2, heads=4, kv_heads=2, mlp_width=24, tied=True)
    llama, rng = models.Llama(c, seed), np.random.default_rng(0)
    blocks = [nn.Block(16, 4, rng, 24, "pre", "rms", 1e-6, "silu", gated=True, mlp_bias=False, kv_heads=2, bias=False)
              for _ in range(2)]  # fmt: skip
    for block, other in zip(blocks, llama.blocks, strict=True):
        for mine, its in zip(block.parameters(), other.parameters(), strict=True):
            mine.data = its.data
    ids = np.random.default_rng(seed).integers(0, 11, (2, 6))
    with ml.no_grad():
        x = llama.token_embedding(ids)
        for block in blocks:
            x = block(x, rotary=Rotary(4)(np.arange(6), x.dtype))
        x = llama.final_norm(x)
        expect_close((x @ llama.token_embedding.weight.T).numpy(), llama(ids).numpy(), "the logits", 1e-5)


@claim("L9.8", "formulas give the published integers: LLaMA 7B and 70B, T5, ALBERT")
def counts_are_the_published():
    from minilm.models.sizes import published

    V, D, L, width = 32_000, 4096, 32, 11_008
    llama = 2 * V * D + L * (4 * D * D + 3 * D * width + 2 * D) + D
    expect_close(models.count_parameters(published("llama-7b").shape), llama, "LLaMA 7B")
    expect_close(llama, 6_738_415_616, "LLaMA 7B, by hand")
    grouped = 2 * V * 8192 + 80 * (2 * 8192**2 + 2 * 8192 * 1024 + 3 * 8192 * 28_672 + 2 * 8192) + 8192
    expect_close(models.count_parameters(published("llama2-70b").shape), grouped, "LLaMA 2 70B")
    expect_close(grouped, 68_976_648_192, "LLaMA 2 70B, by hand")
    D, E = 768, 128
    albert = (30_000 + 512 + 2) * E + 2 * E + E * D + D + (12 * D * D + 13 * D) + D * D + D
    expect_close(models.count_parameters(published("albert-base").shape), albert, "ALBERT: one block, twelve times")
    D, H = 512, 8
    t5 = 32_128 * D + 2 * (32 * H + D) + 6 * ((4 + 8) * D * D + 2 * D) + 6 * ((8 + 8) * D * D + 3 * D)
    expect_close(models.count_parameters(published("t5-small").shape), t5, "T5 small, its table shared three times")
    expect_close(t5, 60_506_624, "T5 small, by hand")


@claim("L9.8", "a block that is used twice has the sum of both uses for its gradient", integers(0, 10**6), examples=10)
def shared_gradients_add(seed):
    rng = np.random.default_rng(seed)
    block, copy = (nn.Block(8, 2, np.random.default_rng(seed), std=0.3, residual_std=0.3) for _ in range(2))
    for module in (block, copy):
        for parameter in module.parameters():
            parameter.data = parameter.data.astype(np.float64)
    x, g = rng.standard_normal((1, 3, 8)), rng.standard_normal((1, 3, 8))
    block(block(ml.Tensor(x))).backward(g)
    shared = [p.grad.numpy().copy() for p in block.parameters()]
    for parameter in block.parameters():
        parameter.grad = None
    copy(block(ml.Tensor(x))).backward(g)
    for name, both, first, second in zip(dict(block.named_parameters()), shared, block.parameters(), copy.parameters(),
                                         strict=True):  # fmt: skip
        expect_close(both, first.grad.numpy() + second.grad.numpy(), f"the gradient of {name}", 1e-8)
