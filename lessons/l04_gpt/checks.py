"""What lesson 4 proves."""

import math

import numpy as np

import minilm as ml
from minilm import models
from minilm.course import claim, expect, expect_close, expect_gradient, expect_shape
from minilm.course.strategies import booleans, composite, floats, ids, integers, st

seeds = integers(0, 10**6)
norms = st.sampled_from(["pre", "post"])

# ------------------------------------------------------------------------------------------------------ L4.1 embeddings


@composite
def texts_and_tables(draw):
    """ids (T,), token_table (V, D), position_table (C, D), past."""
    V, D, T, past, spare = draw(integers(2, 5)), draw(integers(1, 4)), *(draw(integers(0, 3)) for _ in range(3))
    T += 1
    return draw(ids(T, vocabulary=V)), draw(floats(V, D)), draw(floats(past + T + spare, D)), past


@claim("L4.1", "row t is the vector of token t plus that of its position, which is counted from the begin of the text",
       texts_and_tables())  # fmt: skip
def is_a_sum_of_two_vectors(impl, ids, token_table, position_table, past):
    found = impl.embed(ids, token_table, position_table, past)
    expect_shape(found, (len(ids), token_table.shape[1]), "the vectors")
    for t, token in enumerate(ids):
        for i in range(token_table.shape[1]):
            wanted = float(token_table[token, i]) + float(position_table[past + t, i])
            expect_close(found[t, i], wanted, f"entry {i} of the vector at position {past + t}")


@claim("L4.1", "a text that is read in two parts gets the vectors that it gets at once", texts_and_tables())
def can_be_read_in_parts(impl, ids, token_table, position_table, past):
    whole = impl.embed(ids, token_table, position_table, past)
    expect_shape(whole, (len(ids), token_table.shape[1]), "the vectors")
    for cut in range(1, len(ids)):
        rest = impl.embed(ids[cut:], token_table, position_table, past + cut)
        expect_close(rest, whole[cut:], f"the vectors from token {cut} on, read after the others")


@claim("L4.1", "its gradient is that of its values, summed where a token stands twice", texts_and_tables(), examples=40)
def embedding_has_its_gradient(impl, ids, token_table, position_table, past):
    expect_gradient(impl.embed, (ids, token_table, position_table, past), wrt=(1, 2))


# ----------------------------------------------------------------------------------------------------------- L4.2 block


def weights_of_block(rng, D, F):
    """Weights large enough that every part is seen, and norms that do something."""
    shapes = {"qkv": (D, 3 * D), "out": (D, D), "up": (D, F), "down": (F, D)}
    w = {f"{name}.weight": rng.standard_normal(shape) / math.sqrt(shape[0]) for name, shape in shapes.items()}
    w |= {f"{name}.bias": rng.standard_normal(shape[1]) / 2 for name, shape in shapes.items()}
    for name in ("norm1", "norm2"):
        w |= {f"{name}.weight": 1 + rng.standard_normal(D) / 2, f"{name}.bias": rng.standard_normal(D) / 2}
    return w


@composite
def block_cases(draw):
    """x (T, D), w, heads, norm."""
    heads, K, T, F = draw(integers(1, 2)), draw(integers(1, 2)), draw(integers(1, 4)), draw(integers(1, 5))
    rng = np.random.default_rng(draw(seeds))
    D = 4 * heads * K
    return rng.standard_normal((T, D)) * 2, weights_of_block(rng, D, F), heads, draw(norms)


def plain_norm(x, weight, bias):
    rows = []
    for row in x:
        mean = math.fsum(row) / len(row)
        variance = math.fsum((v - mean) ** 2 for v in row) / len(row)
        rows.append((row - mean) / math.sqrt(variance + 1e-5) * weight + bias)
    return np.array(rows)


def plain_attention(x, w, heads):
    T, D = x.shape
    K = D // heads
    q, k, v = np.split(x @ w["qkv.weight"] + w["qkv.bias"], 3, axis=1)
    read = np.zeros((T, D))
    for h in range(heads):
        own = slice(h * K, (h + 1) * K)
        for t in range(T):
            e = [math.exp(q[t, own] @ k[s, own] / math.sqrt(K)) for s in range(t + 1)]
            read[t, own] = sum(e[s] * v[s, own] for s in range(t + 1)) / math.fsum(e)
    return read @ w["out.weight"] + w["out.bias"]


def plain_mlp(x, w):
    inner = x @ w["up.weight"] + w["up.bias"]
    gelu = [[v / 2 * (1 + math.tanh(math.sqrt(2 / math.pi) * (v + 0.044715 * v**3))) for v in row] for row in inner]
    return np.array(gelu) @ w["down.weight"] + w["down.bias"]


@claim("L4.2", "it computes the two formulas, position by position and head by head", block_cases(), examples=60)
def computes_the_formulas(impl, x, w, heads, norm):
    n1, n2 = ((lambda x, n=n: plain_norm(x, w[f"{n}.weight"], w[f"{n}.bias"])) for n in ("norm1", "norm2"))
    if norm == "pre":
        h = x + plain_attention(n1(x), w, heads)
        wanted = h + plain_mlp(n2(h), w)
    else:
        h = n1(x + plain_attention(x, w, heads))
        wanted = n2(h + plain_mlp(h, w))
    expect_close(impl.block(x, w, heads, norm), wanted, f"what comes out of a {norm}-norm block", 1e-8)


@claim("L4.2", "if attention and MLP add nothing, a pre-norm block passes x on as it is, a post-norm block normalises "
       "it twice", block_cases(), examples=40)  # fmt: skip
def passes_on_what_flows_past(impl, x, w, heads, norm):
    silent = {name: 0 * a if name.startswith(("out", "down")) else a for name, a in w.items()}
    if norm == "pre":
        wanted = x
    else:
        once = plain_norm(x, w["norm1.weight"], w["norm1.bias"])
        wanted = plain_norm(once, w["norm2.weight"], w["norm2.bias"])
    expect_close(impl.block(x, silent, heads, norm), wanted, "the result where nothing is added", 1e-8)


@claim("L4.2", "later positions change nothing before them", block_cases(), examples=40)
def block_is_causal(impl, x, w, heads, norm):
    whole = np.asarray(impl.block(x, w, heads, norm))
    expect_shape(whole, x.shape, "the result")
    for n in range(1, len(x)):
        expect_close(impl.block(x[:n], w, heads, norm), whole[:n], f"the result for the first {n} positions alone")


@claim("L4.2", "its gradient is that of its values", block_cases(), examples=20)
def block_has_its_gradient(impl, x, w, heads, norm):
    expect_gradient(impl.block, (x, w, heads, norm), wrt=(0,), tolerance=1e-5)


# ------------------------------------------------------------------------------------------------------------- L4.3 GPT


def whole_gpt(seed, norm, layers, T=4, V=6, heads=2, D=4):
    """(ids, w, blocks, heads, norm): a GPT of minilm with large weights, as arrays; and that GPT, in float64."""
    config = models.GPTConfig(vocab_size=V, context=T + 1, width=D, layers=layers, heads=heads, norm=norm)
    rng = np.random.default_rng(seed)
    model = models.GPT(config).astype(np.float64)
    of_block = [weights_of_block(rng, D, 4 * D) for _ in range(layers)]
    w = {"token_table": rng.standard_normal((V, D)), "position_table": rng.standard_normal((T + 1, D))}
    if norm == "pre":
        w |= {"final_norm.weight": 1 + rng.standard_normal(D) / 2, "final_norm.bias": rng.standard_normal(D)}
    state = {"token_embedding.weight": w["token_table"], "position_embedding.weight": w["position_table"]}
    state |= {name: a for name, a in w.items() if name.startswith("final_norm")}
    places = {"qkv": "attention.", "out": "attention.", "up": "mlp.", "down": "mlp."}
    for i, one in enumerate(of_block):
        state |= {f"blocks.{i}.{places.get(name.split('.')[0], '')}{name}": a for name, a in one.items()}
    model.load_state_dict(state)
    return (rng.integers(0, V, T), w, of_block, heads, norm), model


@claim("L4.3", "its logits are those of minilm's GPT with the same weights", seeds, norms, integers(1, 3), examples=40)
def are_those_of_the_library(impl, seed, norm, layers):
    case, model = whole_gpt(seed, norm, layers)
    with ml.no_grad():
        wanted = model(case[0][None]).numpy()[0]
    expect_close(impl.gpt_logits(*case), wanted, f"the logits of a GPT with {norm}-norm", 1e-7)


@claim("L4.3", "what comes after t changes no logit at t", seeds, norms, integers(1, 2), examples=40)
def gpt_is_causal(impl, seed, norm, layers):
    (text, *rest), _ = whole_gpt(seed, norm, layers)
    whole = np.asarray(impl.gpt_logits(text, *rest))
    expect_shape(whole, (4, 6), "the logits")
    for n in range(1, len(text)):
        expect_close(impl.gpt_logits(text[:n], *rest), whole[:n], f"the logits after the first {n} tokens", 1e-8)


@claim("L4.3", "the row of a token that the text does not hold decides that token's logit and no other", seeds, norms,
       examples=40)  # fmt: skip
def head_is_the_token_table(impl, seed, norm):
    (text, w, *rest), _ = whole_gpt(seed, norm, 1)
    absent = next(v for v in range(6) if v not in text)
    before = np.asarray(impl.gpt_logits(text, w, *rest))
    expect_shape(before, (4, 6), "the logits")
    table = w["token_table"].copy()
    table[absent] *= 3
    after = np.asarray(impl.gpt_logits(text, w | {"token_table": table}, *rest))
    expect_close(after[:, absent], 3 * before[:, absent], "the logit of the token whose row is now threefold", 1e-8)
    others = np.arange(6) != absent
    expect_close(after[:, others], before[:, others], "the logits of the others", 1e-8)


# ------------------------------------------------------------------------------------------------------ L4.4 parameters


@composite
def sizes(draw):
    """Vocabulary, context, width, layers, norm, tied."""
    V, C, half, L = (draw(integers(1, 9)) for _ in range(4))
    return V, C, 2 * half, L, draw(norms), draw(st.booleans())


@claim("L4.4", "it is the number of parameters of the GPT that minilm makes of these sizes", sizes(), examples=60)
def is_what_minilm_makes(impl, V, C, D, L, norm, tied):
    config = models.GPTConfig(vocab_size=V, context=C, width=D, layers=L, heads=2, norm=norm, tied=tied)
    expect_close(impl.count_parameters(V, C, D, L, norm, tied), models.GPT(config).num_parameters(), "the number")


PUBLISHED = {  # counted by Hugging Face's transformers 5.23
    (40478, 512, 768, 12, "post"): 116_534_784,
    (50257, 1024, 768, 12, "pre"): 124_439_808,
    (50257, 1024, 1024, 24, "pre"): 354_823_168,
    (50257, 1024, 1280, 36, "pre"): 774_030_080,
    (50257, 1024, 1600, 48, "pre"): 1_557_611_200,
}


@claim("L4.4", "it gives the five published sizes of GPT-1 and GPT-2, to the last parameter",
       st.sampled_from(sorted(PUBLISHED)).map(lambda size: (size,)), examples=20)  # fmt: skip
def gives_the_published_sizes(impl, size):
    wanted = PUBLISHED[tuple(size)]
    expect_close(impl.count_parameters(*size, True), wanted, "the number of parameters", 1e-12)


@claim("L4.4", "one more block adds 12 D² + 13 D, one more token D or, untied, 2 D, one more position D", sizes())
def grows_by_its_parts(impl, V, C, D, L, norm, tied):
    n = impl.count_parameters(V, C, D, L, norm, tied)
    expect_close(impl.count_parameters(V, C, D, L + 1, norm, tied) - n, 12 * D**2 + 13 * D, "what a block adds")
    expect_close(impl.count_parameters(V + 1, C, D, L, norm, tied) - n, (2 - tied) * D, "what a token adds")
    expect_close(impl.count_parameters(V, C + 1, D, L, norm, tied) - n, D, "what a position adds")


# ------------------------------------------------------------------------------------------------------- L4.5 beginning

WEIGHTS = {"token_table": (250, 24), "position_table": (200, 24), "block.qkv.weight": (40, 120),
           "block.out.weight": (60, 60), "block.up.weight": (40, 120), "block.down.weight": (120, 40)}  # fmt: skip
OTHERS = {"block.qkv.bias": (120,), "block.out.bias": (60,), "block.up.bias": (120,), "block.down.bias": (40,),
          "block.norm1.weight": (40,), "block.norm1.bias": (40,), "block.norm2.weight": (40,),
          "final_norm.weight": (40,), "final_norm.bias": (40,)}  # fmt: skip


def wanted_std(name, layers):
    if name == "position_table":
        return 0.01
    return 0.02 / (2 * layers) ** 0.5 if ".out." in name or ".down." in name else 0.02


@claim("L4.5", "weights are normal, with the spread that is asked for", integers(1, 12), seeds, examples=30)
def have_the_spread(impl, layers, seed):
    found = impl.initialise(WEIGHTS, layers, seed)
    for name, shape in WEIGHTS.items():
        expect_shape(found[name], shape, name)
        z = np.asarray(found[name]) / wanted_std(name, layers)
        n = z.size
        expect(abs(z.std() - 1) < 6 / math.sqrt(2 * n), f"the spread of {name}", expected=wanted_std(name, layers),
               got=float(np.std(found[name])))  # fmt: skip
        expect(abs(z.mean()) < 6 / math.sqrt(n), f"the mean of {name} is 0", expected=0.0, got=float(z.mean()))
        beyond = float((np.abs(z) > 2).mean())
        expect(abs(beyond - 0.0455) < 6 * math.sqrt(0.0455 / n), f"how many of {name} lie beyond two spreads",
               expected=0.0455, got=beyond)  # fmt: skip


@claim("L4.5", "biases begin at 0 and norms at 1", integers(1, 12), seeds, examples=30)
def biases_and_norms(impl, layers, seed):
    found = impl.initialise(OTHERS, layers, seed)
    for name, shape in OTHERS.items():
        wanted = np.zeros(shape) if name.endswith("bias") else np.ones(shape)
        expect_close(found[name], wanted, name)


@claim("L4.5", "the same seed gives the same weights, another one others, and no weight repeats another's draws",
       integers(1, 4), seeds, examples=30)  # fmt: skip
def draws_are_independent(impl, layers, seed):
    found = impl.initialise(WEIGHTS, layers, seed)
    again, other = impl.initialise(WEIGHTS, layers, seed), impl.initialise(WEIGHTS, layers, seed + 1)
    first = []
    for name in WEIGHTS:
        expect_close(again[name], found[name], f"{name}, from the same seed")
        first += [np.ravel(a[name])[:3000] for a in (found, other)]
    size = np.corrcoef(np.stack(first)) - np.eye(len(first))
    expect(np.abs(size) < 7 / math.sqrt(3000), "no two weights, nor the same of two seeds, go together",
           expected=0.0, got=float(np.abs(size).max()))  # fmt: skip


# -------------------------------------------------------------------------------------------------------- L4.6 sampling


@composite
def choices(draw):
    """Logits in general position, temperature, top_k, top_p."""
    rng = np.random.default_rng(draw(seeds))
    V = draw(integers(2, 6))
    top_k = draw(st.sampled_from([None, 1, 2, 3, V, V + 1]))
    top_p = draw(st.sampled_from([None, None, "drawn", "drawn", "drawn", 1.0]))
    logits = np.round(1.5 * rng.standard_normal(V), 3)
    temperature = draw(st.sampled_from([0.5, 1.0, 2.0]))
    return logits, temperature, top_k, float(rng.uniform(0.05, 0.99)) if top_p == "drawn" else top_p


@claim("L4.6", "it keeps what the text says, in the ratios of the softmax at that temperature", choices())
def keeps_what_is_asked(impl, logits, temperature, top_k, top_p):
    left = sorted(range(len(logits)), key=lambda v: -logits[v])[: top_k or None]
    mass = {v: math.exp(logits[v] / temperature) for v in left}
    total, kept, so_far = math.fsum(mass.values()), [], 0.0
    for v in left:
        if top_p is None or so_far < top_p * total:
            kept.append(v)
        so_far += mass[v]
    wanted = [mass[v] / math.fsum(mass[u] for u in kept) if v in kept else 0.0 for v in range(len(logits))]
    expect_close(impl.next_distribution(logits, temperature, top_k, top_p), np.array(wanted), "the distribution")


@claim("L4.6", "top-p keeps the fewest tokens whose mass reaches p: without the last of them it would not",
       choices())  # fmt: skip
def nucleus_is_the_smallest(impl, logits, temperature, top_k, top_p):
    full = np.asarray(impl.next_distribution(logits, temperature, top_k, None))
    p = 0.6 if top_p is None else top_p
    found = np.asarray(impl.next_distribution(logits, temperature, top_k, p))
    expect_shape(found, logits.shape, "the distribution")
    kept = found > 0
    expect(kept.any(), "something is kept")
    expect(full[kept].sum() >= p - 1e-9, "the mass that is kept reaches p", expected=p, got=float(full[kept].sum()))
    spared = full[kept].sum() - full[kept].min()
    expect(spared < p + 1e-9, "without the least of them it would not", expected=p, got=float(spared))


@claim("L4.6", "exactly top_k tokens remain, also among equals, of which those of lower index stay",
       integers(2, 6).flatmap(lambda V: floats(V, low=-0.25, high=0.25)), integers(1, 7))  # fmt: skip
def ties_are_cut(impl, logits, top_k):
    found = np.asarray(impl.next_distribution(logits, 0.5, top_k, None))
    expect_shape(found, logits.shape, "the distribution")
    best = sorted(range(len(logits)), key=lambda v: (-logits[v], v))[:top_k]
    expect_close(np.flatnonzero(found > 0), np.array(sorted(best), np.int64), "the tokens that remain")


@claim("L4.6", "a constant added to all logits changes nothing, be it 10,000, and probabilities sum to 1", choices())
def only_differences_count(impl, logits, temperature, top_k, top_p):
    found = np.asarray(impl.next_distribution(logits, temperature, top_k, top_p))
    expect_shape(found, logits.shape, "the distribution")
    expect_close(found.sum(), 1.0, "the sum of the probabilities")
    for shift in (1e4, -1e4):
        shifted = impl.next_distribution(logits + shift, temperature, top_k, top_p)
        expect_close(shifted, found, f"the distribution with {shift} added to all logits", 1e-7)


# ----------------------------------------------------------------------------------------------------------- L4.7 cache


@composite
def news_and_olds(draw):
    """query, key, value (H, n, K), old_keys, old_values (H, m, K)."""
    H, n, m, K = draw(integers(1, 2)), draw(integers(1, 3)), draw(integers(0, 3)), draw(integers(1, 3))
    return tuple(draw(floats(H, s, K)) for s in (n, n, n, m, m))


@claim("L4.7", "new position i reads all old positions and the new ones up to itself, by the softmax of its scores",
       news_and_olds())  # fmt: skip
def reads_old_and_new(impl, query, key, value, old_keys, old_values):
    y, _, _ = impl.attend_with_cache(query, key, value, old_keys, old_values)
    (H, n, K), m = query.shape, old_keys.shape[1]
    expect_shape(y, (H, n, K), "what is read")
    for h, i in np.ndindex(H, n):
        pairs = [*zip(old_keys[h], old_values[h], strict=True), *zip(key[h, : i + 1], value[h, : i + 1], strict=True)]
        e = [math.exp(math.fsum(query[h, i] * k) / math.sqrt(K)) for k, _ in pairs]
        wanted = sum(w * v for w, (_, v) in zip(e, pairs, strict=True)) / math.fsum(e)
        expect_close(y[h, i], wanted, f"what position {m + i} reads")


@claim("L4.7", "a text read in any parts, each with the cache of those before, reads what it reads at once",
       news_and_olds(), integers(1, 4))  # fmt: skip
def parts_do_not_matter(impl, case, size):
    query, key, value = (np.concatenate([a, b], 1) for a, b in zip((case[3], case[3], case[4]), case[:3], strict=True))
    none = np.zeros((query.shape[0], 0, query.shape[2]))
    whole, keys, values = impl.attend_with_cache(query, key, value, none, none)
    found, held = [], (none, none)
    for first in range(0, query.shape[1], size):
        part = slice(first, first + size)
        y, *held = impl.attend_with_cache(query[:, part], key[:, part], value[:, part], *held)
        found.append(y)
    expect_close(np.concatenate(found, 1), whole, f"what is read {size} at a time")
    expect_close(tuple(held), (keys, values), "the keys and values that are kept in the end")


@claim("L4.7", "it keeps every key and value as it is, in the order of the text", news_and_olds())
def keeps_keys_and_values(impl, query, key, value, old_keys, old_values):
    _, keys, values = impl.attend_with_cache(query, key, value, old_keys, old_values)
    expect_close(keys, np.concatenate([old_keys, key], 1), "the keys")
    expect_close(values, np.concatenate([old_values, value], 1), "the values")


# ----------------------------------------------------------------------------------------------------- L4.8 same tokens


@claim("L4.8", "our generate writes the same tokens with the cache and without, also beyond the context and in a batch",
       seeds, norms, booleans(3), examples=12)  # fmt: skip
def cache_changes_no_token(seed, norm, switches):
    many, sharp, cut = (bool(s) for s in switches)
    config = models.GPTConfig(vocab_size=7, context=8, width=8, layers=2, heads=2, norm=norm, initial_std=0.4)
    model = models.GPT(config, seed=seed)
    prompt = np.random.default_rng(seed).integers(0, 7, (3, 4) if many else 4)
    how = {"temperature": 0.5 if sharp else 1.5, "top_k": 4 if cut else None, "top_p": 0.9 if cut else None}
    with_cache, without = (ml.generate(model, prompt, 14, seed=seed, cache=c, **how) for c in (True, False))
    expect_close(with_cache, without, "the tokens")


# ------------------------------------------------------------------------------------------------------------ L4.9 work


@composite
def writings(draw):
    """prompt, new, width, layers, vocabulary, cached."""
    return (*(draw(integers(1, 6)) for _ in range(2)), 4 * draw(integers(1, 3)), draw(integers(1, 3)),
            draw(integers(2, 9)), draw(st.booleans()))  # fmt: skip


@claim("L4.9", "it is what ml.trace counts while our GPT writes", writings(), examples=20)
def is_what_is_counted(impl, prompt, new, width, layers, vocabulary, cached):
    config = models.GPTConfig(vocab_size=vocabulary, context=12, width=width, layers=layers, heads=2)
    model = models.GPT(config)
    with ml.trace(memory=False) as t:
        ml.generate(model, np.zeros(prompt, np.int64), new, seed=0, cache=cached)
    found = impl.generation_flops(prompt, new, width, layers, vocabulary, cached)
    expect_close(found, t.products, "FLOPs in matrix products")


@claim("L4.9", "in closed form: sums of 1, s and s² over the lengths s = prompt … prompt + new − 1", writings())
def has_a_closed_form(impl, prompt, new, D, L, V, cached):
    def powers(k, n):  # 1^k + … + n^k
        return {0: n, 1: n * (n + 1) // 2, 2: n * (n + 1) * (2 * n + 1) // 6}[k]

    one, s, s2 = (powers(k, prompt + new - 1) - powers(k, prompt - 1) for k in range(3))
    if cached:
        positions, pairs = prompt + new - 1, prompt**2 + s - prompt
    else:
        positions, pairs = s, s2
    wanted = L * (24 * D**2 * positions + 4 * D * pairs) + 2 * D * V * one
    expect_close(impl.generation_flops(prompt, new, D, L, V, cached), wanted, "FLOPs in matrix products")


@claim("L4.9", "without a cache, a + b tokens are a tokens and then b; with one, the first token costs the same and "
       "any more cost less", writings(), integers(1, 5))  # fmt: skip
def adds_up(impl, case, more):
    prompt, new, *of, _ = case
    whole = impl.generation_flops(prompt, new + more, *of, False)
    parts = impl.generation_flops(prompt, new, *of, False) + impl.generation_flops(prompt + new, more, *of, False)
    expect_close(whole, parts, "FLOPs of both parts together")
    first = [impl.generation_flops(prompt, 1, *of, cached) for cached in (True, False)]
    expect_close(*first, "FLOPs of the first token with a cache, and without")
    expect(impl.generation_flops(prompt, new + more, *of, True) < whole, "with a cache it is less")
