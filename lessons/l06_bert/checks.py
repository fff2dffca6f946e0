"""What lesson 6 proves."""

import math
import re

import numpy as np
from hypothesis import strategies as st

import minilm.functional as F
from minilm import Tensor, jacobian, nn, optim
from minilm.course import claim, expect, expect_close, expect_gradient, expect_shape
from minilm.course.strategies import booleans, composite, ids, integers
from minilm.models import GPT, Bert, BertConfig, GPTConfig

SPECIAL = {"cls": 101, "sep": 102, "pad": 0}


def uniform(rng, *shape):
    """Numbers between 1/2 and 3/2 with either sign: no ties, no zeros, no rows without variance."""
    return (rng.random(shape) + 0.5) * rng.choice([-1, 1], shape)


# ------------------------------------------------------------------------------------------------- L6.1, one block


@composite
def blocks(draw):
    """x (T, D), real (T,), weights."""
    T, D, hidden = draw(integers(2, 4)), draw(integers(3, 4)), draw(integers(1, 5))  # two numbers normalized are ±1
    real = draw(booleans(T))
    real[draw(integers(0, T - 1))] = True
    rng = np.random.default_rng(draw(integers(0, 2**32 - 1)))
    weights = {name: uniform(rng, D, D) / 8 for name in ("query", "key", "value", "output")}
    weights |= {"up": uniform(rng, D, hidden) / 8, "down": uniform(rng, hidden, D) / 8}
    weights |= {f"scale{i}": abs(uniform(rng, D)) for i in (1, 2)} | {f"shift{i}": uniform(rng, D) / 4 for i in (1, 2)}
    return uniform(rng, T, D) / 4 + np.arange(D), real, weights  # no row is nearly constant: its norm would be steep


def of_minilm(weights):
    """minilm's block with these weights: GPT-2's, with three switches turned."""
    D, hidden = weights["up"].shape
    rng = np.random.default_rng(0)
    block = nn.Block(D, 1, rng, hidden, causal=False, norm="post", activation="gelu", epsilon=1e-12).astype(np.float64)
    state = {name: np.zeros(array.shape) for name, array in block.state_dict().items()}
    state["attention.qkv.weight"] = np.concatenate([weights[n] for n in ("query", "key", "value")], 1)
    state |= {"attention.out.weight": weights["output"]}
    state |= {f"mlp.{name}.weight": weights[name] for name in ("up", "down")}
    state |= {f"norm{i}.weight": weights[f"scale{i}"] for i in (1, 2)}
    block.load_state_dict(state | {f"norm{i}.bias": weights[f"shift{i}"] for i in (1, 2)})
    return block


@claim("L6.1", "BERT's block is GPT-2's with three switches turned: mask, place of the norm, GELU", blocks())
def switches(impl, x, real, weights):
    wanted = of_minilm(weights)(Tensor(x[None]), real[None, None, None])
    expect_close(impl.encoder_block(x, real, weights), wanted.numpy()[0], "the block's output", 1e-8)


@claim("L6.1", "to a block the positions are a set: in another order it gives the same in that order", blocks())
def order(impl, x, real, weights):
    turned = np.roll(np.arange(len(x)), 1)
    found = impl.encoder_block(x, real, weights)
    expect_close(impl.encoder_block(x[turned], real[turned], weights), found[turned], "after turning the order", 1e-8)


@claim("L6.1", "what padding holds changes no real position; what a real one holds changes every other", blocks())
def readers(impl, x, real, weights):
    found = impl.encoder_block(x, real, weights)
    for s in range(len(x)):
        moved = x.copy()
        moved[s] += np.linspace(1, 2, x.shape[1]) ** 2
        change = np.abs(impl.encoder_block(moved, real, weights) - found).max(1)
        others = np.arange(len(x)) != s
        expect(change[others] > 1e-12 if real[s] else change[others] == 0, f"who reads position {s}")


@claim("L6.1", "its gradient is that of its values", blocks(), examples=40)
def block_gradient(impl, x, real, weights):
    expect_gradient(impl.encoder_block, (x, real, weights), wrt=(0,), tolerance=1e-5)


# --------------------------------------------------------------------------------------- L6.2 and L6.3, both sides


def influence(model, tokens, mask=None):
    """|∂ h_t / ∂ x_s| as a matrix (T, T): x is what the first block reads, h what the last one gives."""
    x = Tensor(np.asarray(model.embed(tokens[None]).numpy(), np.float64), requires_grad=True)
    J = jacobian(model.transform(x, mask), x).numpy()[0, :, :, 0]  # (T, D, T, D)
    return np.sqrt((J**2).sum((1, 3)))


def small(kind, config, seed, **how):
    """A small model in float64 whose weights are large enough to see."""
    sizes = {"vocab_size": 11, "context": 8, "width": 6, "layers": 2, "heads": 2, "initial_std": 0.3}
    return kind(config(**sizes, **how), seed=seed).astype(np.float64)


@claim("L6.2", "in BERT every position reads every other; in GPT the derivative by a later one is exactly 0",
       ids(5, vocabulary=11), integers(0, 99), examples=15)  # fmt: skip
def both_sides(tokens, seed):
    of_bert, of_gpt = (influence(small(*kind, seed), tokens) for kind in ((Bert, BertConfig), (GPT, GPTConfig)))
    expect(of_bert > 0, "BERT: every entry of the Jacobian is there")
    expect(np.triu(of_gpt, 1) == 0, "GPT: nothing above the diagonal")
    expect(of_gpt[np.tri(5, dtype=bool)] > 0, "GPT: everything on and below it")


@claim("L6.2", "no real position reads padding",
       ids(5, vocabulary=11), integers(1, 4), integers(0, 99), examples=15)  # fmt: skip
def padding(tokens, n, seed):
    found = influence(small(Bert, BertConfig, seed), tokens, np.arange(5)[None] < n)
    expect(found[:n, n:] == 0, "the derivative of real positions by padding")
    expect(found[:n, :n] > 0, "the derivative of real positions by each other")


def next_token_losses(causal, steps=150, V=8, T=8, seed=0):
    """Losses of a next-token training on tokens that nothing predicts: each is any of V, whatever stands before."""
    rng = np.random.default_rng(seed)
    model = GPT(GPTConfig(V, T, width=32, layers=1, heads=2, causal=causal, initial_std=0.1), seed)
    optimizer, losses = optim.AdamW(list(model.named_parameters()), rate=1e-2), []
    for _ in range(steps):
        rows = rng.integers(0, V, (32, T + 1))
        loss = F.cross_entropy(model(rows[:, :-1]), rows[:, 1:])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


@claim("L6.3", "on tokens that nothing predicts GPT stays at ln V; with its mask taken away it falls below, by reading")
def cheating():
    honest, cheat = (np.mean(next_token_losses(causal)[-20:]) for causal in (True, False))
    expect(honest > math.log(8) - 0.05, "with the mask: not below the entropy", expected=math.log(8), got=honest)
    expect(cheat < math.log(8) / 2, "without it: below half of the entropy", expected=math.log(8) / 2, got=cheat)


# --------------------------------------------------------------------------------------------------- L6.4, embedding


@composite
def inputs(draw):
    """ids, segments, the three tables, scale and shift."""
    T, V, D = draw(integers(2, 5)), draw(integers(2, 6)), draw(integers(3, 4))
    tokens, cut = draw(ids(T, vocabulary=V)), draw(integers(1, T - 1))
    rng = np.random.default_rng(draw(integers(0, 2**32 - 1)))
    tables = [uniform(rng, n, D) / 4 for n in (V, 2, T + draw(integers(1, 3)))]
    tables[2] += 3 * np.arange(D)  # no sum is nearly constant: its norm would be steep
    return tokens, (np.arange(T) >= cut).astype(np.int64), *tables, uniform(rng, D), uniform(rng, D)


@claim("L6.4", "each row is the sum of three vectors, brought to mean 0 and variance 1, scaled and shifted", inputs())
def sum_of_three(impl, tokens, segments, token, segment, position, scale, shift):
    found = impl.embed(tokens, segments, token, segment, position, scale, shift)
    T, D = len(tokens), token.shape[1]
    expect_shape(found, (T, D))
    for t in range(T):
        x = [token[tokens[t], i] + segment[segments[t], i] + position[t, i] for i in range(D)]
        mean = math.fsum(x) / D
        deviation = math.sqrt(math.fsum((v - mean) ** 2 for v in x) / D + 1e-12)
        wanted = [scale[i] * (x[i] - mean) / deviation + shift[i] for i in range(D)]
        expect_close(found[t], np.array(wanted), f"position {t}", 1e-7)


@claim("L6.4", "position, segment and token are seen apart: moving one table's row changes only rows that use it",
       inputs())  # fmt: skip
def apart(impl, tokens, segments, token, segment, position, scale, shift):
    arguments = [tokens, segments, token, segment, position, scale, shift]
    found, places = impl.embed(*arguments), np.arange(len(tokens))
    for i, used in ((2, tokens), (3, segments), (4, places)):
        changed = arguments[i].copy()
        changed[used[0]] += np.linspace(1, 2, token.shape[1]) ** 2
        after = impl.embed(*arguments[:i], changed, *arguments[i + 1 :])
        expect((np.abs(after - found).max(1) > 1e-9) == (used == used[0]), f"who uses a row of table {i - 1}")


@claim("L6.4", "its gradient is that of its values, for each table", inputs(), examples=40)
def embed_gradient(impl, *case):
    expect_gradient(impl.embed, case, wrt=(2, 3, 4), tolerance=1e-5)


# --------------------------------------------------------------------------------------------------------- L6.5, pairs


@composite
def texts(draw):
    """a, b, a length, special."""
    a, b = (draw(st.lists(integers(1, 9), min_size=1, max_size=6)) for _ in range(2))
    return a, b, draw(integers(5, 18)), SPECIAL


def taken_apart(row, real):
    """The two texts between the special tokens of a row's real part."""
    tokens = [token for token, is_real in zip(row, real, strict=True) if is_real]
    expect(tokens[:1] == [101], "[CLS] is first", expected=101, got=tokens[:1])
    expect(tokens.count(102) == 2 and tokens[-1] == 102, "[SEP] ends both texts", got=tokens)
    cut = tokens.index(102)
    return tokens[1:cut], tokens[cut + 1 : -1]


@claim("L6.5", "taken apart again it gives the beginnings of both texts, in a row of the length asked for", texts())
def parts(impl, a, b, length, special):
    row, segments, real = impl.pair_input(a, b, length, special)
    expect([len(row), len(segments), len(real)] == [length] * 3, "three lists of `length`")
    expect(all(type(r) is bool for r in real), "real holds booleans")
    first, second = taken_apart(row, real)
    expect(first == a[: len(first)] and second == b[: len(second)], "what stands between", expected=[a, b], got=row)


@claim("L6.5", "segment 0 ends with the first [SEP]; behind the last one is padding, in segment 0", texts())
def sides(impl, a, b, length, special):
    row, segments, real = impl.pair_input(a, b, length, special)
    first, second = taken_apart(row, real)
    n, m = len(first) + 2, len(second) + 1
    expect_close(segments, [0] * n + [1] * m + [0] * (length - n - m), "segments")
    expect_close(np.array(real), np.arange(length) < n + m, "real")
    expect_close(row[n + m :], [0] * (length - n - m), "padding")


@claim("L6.5", "nothing is lost that fits, and what is lost is lost by the longer text", texts())
def fair(impl, a, b, length, special):
    row, _, real = impl.pair_input(a, b, length, special)
    first, second = map(len, taken_apart(row, real))
    expect(first + second == min(len(a) + len(b), length - 3), "as much as fits", got=row)
    expect(first == len(a) or first >= second, "a lost tokens only while it was longer", got=row)
    expect(second == len(b) or second >= first - 1, "b lost tokens only while it was not shorter", got=row)


# -------------------------------------------------------------------------------------------------------- L6.6, pooled


@composite
def states(draw):
    """hidden (B, T, D), weight, bias."""
    B, T, D = draw(integers(2, 3)), draw(integers(2, 4)), draw(integers(2, 4))
    rng = np.random.default_rng(draw(integers(0, 2**32 - 1)))
    return uniform(rng, B, T, D), uniform(rng, D, D) / 2, uniform(rng, D)


@claim("L6.6", "each entry is tanh of a weighted sum of the first position's state", states())
def of_first(impl, hidden, weight, bias):
    found = impl.pooled(hidden, weight, bias)
    B, _, D = hidden.shape
    sums = [[math.fsum([*(hidden[b, 0, i] * weight[i, j] for i in range(D)), bias[j]]) for j in range(D)]
            for b in range(B)]  # fmt: skip
    expect_close(found, np.array([[math.tanh(x) for x in row] for row in sums]), "the pooled vectors")


@claim("L6.6", "states of later positions change nothing, and get no gradient", states())
def only_first(impl, hidden, weight, bias):
    later = hidden.copy()
    later[:, 1:] *= -2
    expect_close(impl.pooled(later, weight, bias), impl.pooled(hidden, weight, bias), "with other later states")
    expect_gradient(impl.pooled, (hidden, weight, bias), wrt=(0, 1, 2))


# ----------------------------------------------------------------------------------------------------- L6.7, WordPiece


@composite
def words(draw):
    """A word of a and b, and a vocabulary: pieces of up to three letters, now and then with the word itself, or few
    that leave the longest piece without an end, though a shorter one has one."""
    word = draw(st.text("ab", min_size=1, max_size=7))
    every = [p + s for p in ("", "##") for s in ("a", "b", "aa", "ab", "ba", "bb", "aab", "aba", "bab", "bba")]
    kept = draw(booleans(len(every))) | (draw(booleans(1)) & np.array([len(p.strip("#")) == 1 for p in every]))
    kind = draw(integers(0, 4))
    if kind == 4 and len(word) > 2:
        return word, [word[:1], word[:2], "##" + word[1:]]
    whole = [word] if kind == 3 else []
    return word, list(dict.fromkeys(whole + [piece for piece, keep in zip(every, kept, strict=True) if keep]))


def spelled(pieces):
    """The letters of pieces."""
    return "".join(p[2:] if i else p for i, p in enumerate(pieces))


@claim(
    "L6.7", "the pieces are of the vocabulary and spell the word; else the answer is [UNK] and nothing else", words()
)
def spelling(impl, word, vocabulary):
    pieces = impl.wordpiece(word, vocabulary)
    if "[UNK]" in pieces:
        expect(pieces == ["[UNK]"], "an unknown word is one [UNK]", expected=["[UNK]"], got=pieces)
    else:
        expect(all(p in vocabulary for p in pieces), "pieces are of the vocabulary", got=pieces)
        expect(
            all(p.startswith("##") == (i > 0) for i, p in enumerate(pieces)), "all but the first have ##", got=pieces
        )
        expect(spelled(pieces) == word, "the pieces spell the word", expected=word, got=pieces)


@claim("L6.7", "each piece is the longest one that fits where it begins", words())
def longest(impl, word, vocabulary):
    pieces = impl.wordpiece(word, vocabulary)
    start = 0
    for i, piece in enumerate(pieces if pieces != ["[UNK]"] else []):
        end = start + len(piece.removeprefix("##"))
        longer = [word[start:e] for e in range(end + 1, len(word) + 1) if "##" * (i > 0) + word[start:e] in vocabulary]
        expect(longer == [], f"no longer piece fits at letter {start}", expected=longer, got=pieces)
        start = end


@claim("L6.7", "a word is unknown exactly when reading the longest pieces gets stuck, even if another cut exists",
       words())  # fmt: skip
def stuck(impl, word, vocabulary):
    def pattern(pieces):
        return re.compile("|".join(sorted(map(re.escape, pieces), key=len, reverse=True)) or "(?!)")

    begins = pattern([p for p in vocabulary if not p.startswith("##")])
    goes_on = pattern([p[2:] for p in vocabulary if p.startswith("##")])
    place, read = 0, begins.match(word)
    while read:
        place, read = read.end(), goes_on.match(word, read.end())
    unknown = impl.wordpiece(word, vocabulary) == ["[UNK]"]
    expect(unknown == (place < len(word)), "whether the word is unknown", expected=place < len(word), got=unknown)


# ----------------------------------------------------------------------------------------------------- L6.8, counting


@composite
def shapes(draw):
    """V, C, segments, D, L, F, pooler."""
    V, C, D = draw(integers(6, 12)), draw(integers(2, 5)), 2 * draw(integers(1, 4))
    return V, C, draw(integers(1, 3)), D, draw(integers(1, 3)), draw(integers(1, 20)), bool(draw(booleans(1))[0])


@claim("L6.8", "the formula counts what a model really has", shapes())
def really(impl, V, C, segments, D, L, hidden, pooler):
    config = BertConfig(V, C, D, L, heads=2, mlp_width=hidden, segments=segments)
    model = Bert(config, pooler=pooler)
    wanted = sum(math.prod(array.shape) for array in model.state_dict().values())
    expect_close(impl.parameters(V, C, segments, D, L, hidden, pooler), wanted, "the number of parameters")


@claim("L6.8", "BERT-base has 109,482,240 parameters, 108,891,648 without pooler; BERT-large has 335,141,888")
def published(impl):
    found = [impl.parameters(30522, 512, 2, 768, 12, 3072, pooler) for pooler in (True, False)]
    expect_close(found, [109_482_240, 108_891_648], "BERT-base, uncased")
    expect_close(impl.parameters(30522, 512, 2, 1024, 24, 4096, True), 335_141_888, "BERT-large, uncased")


@claim("L6.8", "with F = 4 D a block costs 12 D² + 13 D, and a token D, whatever the rest", shapes())
def rates(impl, V, C, segments, D, L, hidden, pooler):
    found = impl.parameters(V, C, segments, D, L, 4 * D, pooler)
    block = impl.parameters(V, C, segments, D, L + 1, 4 * D, pooler) - found
    expect_close(block, 12 * D * D + 13 * D, "one more block")
    expect_close(impl.parameters(V + 1, C, segments, D, L, 4 * D, pooler) - found, D, "one more token")
