# %% [markdown]
r"""
# Lesson 3. Attention

The language model of lesson 2 reads a window, and has a weight for each place in it. It cannot say "the word that
this pronoun stands for, wherever that is". Attention can. Each position tells what it looks for and what it has to
offer, and how well the two match decides what is read.

This lesson proves:

- **L3.1** A query reads a weighted mean of values; the sharper the weights, the closer this is to looking up one entry.
- **L3.2** Divided by √K, scores keep the same spread at every width, and the softmax keeps its gradient.
- **L3.3** A forbidden position has weight exactly 0: no value comes from it and no gradient goes to it.
- **L3.4** In a GPT a position reads itself and the text before it: one mask hides the future, another the padding.
- **L3.5** A leak is an entry of the Jacobian. In our attention those of the future and of padding are exactly 0.
- **L3.6** H heads are H maps, with the parameters and the products of one.
- **L3.7** Without positions attention is blind to order; what a causal mask alone tells, it tells from the second layer on.
- **L3.8** With sine and cosine at many frequencies, a step is a rotation, and inner products depend on distance alone.
- **L3.9** Two attentions in a row find what followed a token the last time. Training finds the same map.
"""

# %%
import math

import numpy as np

import minilm as ml
import minilm.functional as F
from minilm import nn, optim
from minilm.course import lesson
from minilm.course.figures import COLORS, MARKERS, STYLES, matrix, subplots

L = lesson("l03")
rng = np.random.default_rng(3)

# %% [markdown]
r"""
## L3.1 A dictionary that can be blurred

Python's `dictionary[query]` finds the entry whose key *equals* the query. That cannot be learned: move the query a
little and either nothing changes or everything does, so there is no gradient to follow. Make keys and queries
vectors, let the inner product say how well they match, and read a mean:

$$y = \sum_s p_s v_s, \qquad p_s = \frac{e^{\beta\, q \cdot k_s}}{\sum_{s'} e^{\beta\, q \cdot k_{s'}}}$$

$q$ is the **query**, what is looked for; $k_s$ is the **key** of entry $s$, by which it is found; $v_s$ is its
**value**, what is handed over; $\beta \ge 0$ is the sharpness. The $p_s$ are a softmax, so they are above 0 and sum
to 1. With the cosine for a match, a neural Turing machine reads its memory like this (Graves et al. 2014, section
3.3.1); attention came to language in translation, where each word that is written looks back at the source (Bahdanau
et al. 2015). With the inner product and $\beta = 1/\sqrt{K}$, for keys of $K$ entries, it is that of the Transformer
(Vaswani et al. 2017, section 3.2.1).

Below, three animals stand in three directions, with their weights in kilograms for values; we ask in a direction
between cat and lion, nearer to the lion.
"""
# %%
L.ask("L3.1a", "The sharpness grows without bound. What does the query read in the end?", {
    "the mean of all values": "sharpness_is_temperature",
    "the value of the best match": True,
    "a sum that grows without bound": "weights_are_not_normalised",
})  # fmt: skip


# %%
def soft_lookup(query, key, value, sharpness):
    match = query @ key.T  # (T, S)
    weights = F.softmax(sharpness * match)  # (T, S)
    return weights @ value


def direction(degrees):
    return np.stack([np.cos(np.radians(degrees)), np.sin(np.radians(degrees))], -1)


cat, lion, dog = 4.0, 190.0, 20.0
keys, values = direction(np.array([0.0, 40.0, 150.0])), np.array([[cat], [lion], [dog]])
read = {beta: soft_lookup(direction(np.array([30.0])), keys, values, beta)[0, 0] for beta in (0, 1, 4, 16, 64, 256)}
print("\n".join(f"sharpness {beta:3}: {y:7.3f} kg" for beta, y in read.items()))

# %%
L.answer("L3.1a", "the value of the best match" if abs(read[256] - lion) < 1e-6 else "the mean of all values")
L.said("71.3", read[0])
L.said("119", read[4])

# %% [markdown]
r"""
Blunt, the query reads the plain mean, 71.3 kg; at sharpness 4 it reads 119 kg; sharp, it reads the lion. In between,
$y$ moves when the query, a key or a value moves: there is a gradient to each of them. At both ends there is none to
the query, which is the subject of the next section.

In a Transformer queries, keys and values all come from the positions themselves, through three matrices that are
learned: $q_t = x_t W_Q$, $k_s = x_s W_K$, $v_s = x_s W_V$. They are three because a token has three parts to play.
With $W_Q = W_K$ the score matrix $X W_Q W_K^\top X^\top$ would be symmetric: a pronoun could not look for its noun
unless the noun looked for it.
"""

# %% [markdown]
r"""
## L3.2 Why the scores are divided by √K

Let the entries of $q$ and $k$ be independent, with mean 0 and variance 1. Each product $q_i k_i$ has mean 0 and
variance 1, and their sum over $K$ features has variance $K$: its spread grows as $\sqrt K$ (Vaswani et al. 2017,
section 3.2.1). Why is that bad? The Jacobian of the softmax is $\operatorname{diag}(p) - p\,p^\top$. Its trace is
$1 - \sum_s p_s^2$, and when one weight is 1 and the others are 0, the whole matrix is 0: nothing is learned about
where to look.

We measure both, for 256 random queries and 32 keys.
"""
# %%
L.ask("L3.2a", "Queries and keys have 1,024 entries of spread 1. What is the spread of their inner products?", {
    "1": "no_scale",
    "32": True,
    "1024": "scale_by_k",
})  # fmt: skip


# %%
def spread_and_gradient(K, scale):
    """The standard deviation of the scores, and the mean trace of the softmax's Jacobian."""
    score = rng.standard_normal((256, K)) @ rng.standard_normal((K, 32)) * scale
    p = F.softmax(score)
    return score.std(), (1 - (p * p).sum(-1)).mean()


widths = 4 ** np.arange(7)
ways = {"as it is": lambda K: 1.0, "divided by √K": lambda K: K**-0.5, "divided by K": lambda K: 1 / K}
measured = {way: np.array([spread_and_gradient(K, scale(K)) for K in widths]) for way, scale in ways.items()}
for way, found in measured.items():
    print(f"{way:14} at K = 1,024: spread {found[5, 0]:7.3f}, trace of the Jacobian {found[5, 1]:.3f}")

# %%
spread, trace = measured["as it is"][5]
L.answer("L3.2a", f"{spread:.0f}")
L.said("about 0.07", trace)
L.said("about 0.93", measured["divided by √K"][5, 1])
L.said("about 0.97", measured["divided by K"][5, 1])

# %%
fig, axes = subplots(1, 2, width=9, height=3.4)
for axis, place, what in zip(axes, (0, 1), ("spread of the scores", "trace of the softmax's Jacobian"), strict=True):
    for i, (way, found) in enumerate(measured.items()):
        axis.plot(widths, found[:, place], color=COLORS[i], linestyle=STYLES[i], marker=MARKERS[i], label=way)
    axis.set(xscale="log", xlabel="K, the width of queries and keys", ylabel=what)
    axis.set_xticks(widths, [f"{K:,}" for K in widths])
axes[0].set_yscale("log")
axes[0].legend(frameon=False, fontsize=8)
axes[1].set_ylim(0, 1)
L.figure(
    fig, "scale", "Unscaled, scores spread as √K, and the softmax's Jacobian fades. Divided by √K, neither changes."
)

# %% [markdown]
r"""
At $K = 1{,}024$ the trace is about 0.07 without a scale and about 0.93 with it. Dividing by $K$ instead keeps the
gradient, about 0.97, but the scores shrink to nothing: whatever the query, all keys are read alike to begin with.
That is a matter of where training starts and not a law. Once queries and keys have learned to agree, their products
add up in step and grow as $K$; so for models that are to keep their settings when they are made wider, dividing by
$K$ is proposed (Yang et al. 2022).
"""

# %% [markdown]
r"""
## L3.3 A forbidden position has weight exactly 0

A model that can see the next token predicts it perfectly and has learned nothing. So a position that must not be read
has to have weight **exactly** 0, not a small one: a small weight is a channel, and training will use it.

$$p_{ts} = \frac{m_{ts}\, e^{a_{ts}}}{\sum_{s'} m_{ts'}\, e^{a_{ts'}}}, \qquad a_{ts} = \frac{q_t \cdot k_s}{\sqrt K}, \qquad m_{ts} \in \{0, 1\}$$

Three ways to write the mask follow. Predict which of them leak, then run.
"""
# %%
T = 4
past = np.tri(T, dtype=bool)  # True at [t, s] for s up to t


def product(score):
    return F.softmax(score * past)


def late(score):
    return F.softmax(score) * past


def before(score):
    return F.softmax(F.where(past, score, -math.inf))


# %%
L.ask("L3.3a", "Which of the three let position 0 know the last token?", {
    "product": "masking_is_multiplying",
    "late": "mask_after_the_softmax",
    "before": None,
    "product and late": True,
})  # fmt: skip


# %%
def jacobian_of_reading(way, x):
    """How what position t reads moves with token s: the largest derivative, (T, T). Here x is query, key and value."""
    x = ml.Tensor(x, requires_grad=True)
    y = way(x @ x.T / math.sqrt(x.shape[1])) @ x
    return np.abs(ml.jacobian(y, x).numpy()).max((1, 3))


x = rng.standard_normal((T, 8))
leaks = {way.__name__: jacobian_of_reading(way, x)[0, -1] for way in (product, late, before)}
for way, leak in leaks.items():
    print(f"{way:8} largest derivative of what position 0 reads by token 3: {leak:.2e}")

# %%
L.answer("L3.3a", " and ".join(way for way, leak in leaks.items() if leak > 0))

# %% [markdown]
r"""
`product` gives a forbidden position the score 0, and $e^0 = 1$: it is read with a weight like any other. `late`
strikes the forbidden weights out, but after the softmax has divided by a sum that contains them: the rows no longer
sum to 1, and what is missing tells of the future. `before` gives the score $-\infty$, whose exponential is 0 whatever
the other scores are.

Two traps remain. The first is a large number in place of $-\infty$: scores are not bounded, and L3.5 trains a model
that learns its way around one. The second is a row that may read nothing at all. Its softmax would be $0 / 0$. We
define it to be all zeros, and have to see to it that its gradient is 0 too: striking out a number that is infinite
helps its value only.
"""
# %%
score = ml.Tensor(np.array([[1000.0, 2000.0]]), requires_grad=True)
nothing = np.array([[False, False]])
with np.errstate(over="ignore", invalid="ignore"):
    after = F.where(nothing, F.exp(score), 0.0)  # struck out after exp
    first = F.exp(F.where(nothing, score, -math.inf))  # struck out before it
    for name, y in (("after exp", after), ("before exp", first)):
        gradient = ml.grad(y, score, np.ones((1, 2)))
        print(f"struck out {name:10} values {y.numpy()[0]}  gradient {gradient.numpy()[0]}")

# %% [markdown]
r"""
The cotangent 0 of the value that was struck out meets the derivative of $e^{1000}$, and $0 \cdot \infty$ is not a
number. One such row among the thousands of a batch is enough to spoil every parameter.
"""

# %% [markdown]
r"""
## L3.4 Two masks: the future, and padding

A GPT predicts token $t+1$ at position $t$, for all $t$ at once. The **causal mask** lets $t$ read every $s \le t$,
itself included, as the token at $t$ is known there. Texts of unequal length share a batch by being filled up, and the
**padding mask** hides what was filled in. A position is read if both masks let it be.

Two texts of 3 tokens are filled up to 5 places: the first on the right, the second on the left.
"""
# %%
real = np.array([[True, True, True, False, False], [False, False, True, True, True]])
causal = np.tri(5, dtype=bool)
print("   ".join(["text padded on the right", "text padded on the left"]))
for t in range(5):
    print("   ".join("".join("#" if may else "." for may in causal[t] & row).ljust(24) for row in real).rstrip())

# %%
L.ask("L3.4a", "Somebody keeps the causal mask and forgets the padding mask. Whose tokens read padding?", {
    "both texts'": None,
    "neither's: what is filled in comes last": "causal_is_enough",
    "those of the text padded on the left": True,
})  # fmt: skip
# %%
pairs = [int((causal & ~row)[row].sum()) for row in real]
print(f"pairs of a token and the padding that it reads: {pairs[0]} on the right, {pairs[1]} on the left")
L.answer("L3.4a", {(True, False): "those of the text padded on the left", (True, True): "both texts'"}.get(
    (pairs[1] > 0, pairs[0] > 0), "neither's: what is filled in comes last"))  # fmt: skip

q, k, v = (rng.standard_normal((2, 1, 5, 8)) for _ in range(3))  # batch, heads, positions, features
together = F.attention(q, k, v, mask=real[:, None, None, :], causal=True)
alone = [F.attention(*(a[b : b + 1, :, row] for a in (q, k, v)), causal=True) for b, row in enumerate(real)]
gap = max(np.abs(together[b, 0, row] - y[0, 0]).max() for (b, row), y in zip(enumerate(real), alone, strict=True))
print(f"the library's attention, both masks: padded and unpadded texts differ by {gap:.0e}")

# %% [markdown]
r"""
On the right, padding lies in the future of every token, so the causal mask hides it as well; that is why a forgotten
padding mask can go unnoticed in training and show when texts are padded on the left, as they are to be continued in a
batch. In an encoder, which has no causal mask, it shows at once.
"""

# %% [markdown]
r"""
## L3.5 A leak is an entry of the Jacobian

Whether position $t$ can know token $s$ is not a matter of opinion: it can if what it reads moves when $x_s$ moves,
that is, if the block $\partial y_t / \partial x_s$ of the Jacobian is not 0. For a causal model the blocks above the
diagonal are to be 0. Below are six ways to mask, five of them wrong.
"""


# %%
def masked(allowed):
    return lambda score: F.softmax(F.where(allowed, score, -math.inf))


T = 6
past = np.tri(T, dtype=bool)
masks = {"right": masked(past), "product": product, "late": late, "one ahead": masked(np.tri(T, k=1, dtype=bool)),
         "transposed": masked(past.T), "none": masked(np.ones((T, T), bool))}  # fmt: skip
x = rng.standard_normal((T, 8))
jacobians = {name: jacobian_of_reading(way, x) for name, way in masks.items()}
for name, J in jacobians.items():
    print(f"{name:10} largest derivative by the future: {np.triu(J, 1).max():.2e}")

# %%
fig, axes = subplots(2, 3, width=9, height=6.4)
for axis, (name, J) in zip(axes.ravel(), jacobians.items(), strict=True):
    matrix(axis, J, title=name, form="{:.2g}", limit=1.0, xlabel="token s that moves", ylabel="position t that reads")
    edge = np.arange(T + 1).repeat(2)[1:-1] - 0.5
    axis.plot(edge[1:], edge[:-1], color=COLORS[1], linewidth=1.6)
L.figure(fig, "leaks", "The largest derivative of what t reads by token s. Above the line lies the future: white is 0.")

# %% [markdown]
r"""
The Jacobian finds a leak without any training. A loss finds it as well, where we know what no honest model can reach.
For one kind of text everybody knows that: tokens drawn at random. Nothing in it can be learned, so no honest loss
falls below the source's entropy (lesson 1).
"""
# %%
L.ask("L3.5a", "Tokens are drawn at random from 16. Below which loss does no honest model come?", {
    "0 nats": None,
    "2.77 nats": True,
    "that depends on the model": None,
})  # fmt: skip
L.ask("L3.5b", "One attention is trained with each mask on such tokens. Which losses fall below that?", {
    "none: there is nothing to learn": None,
    "only that without a mask": "padding_is_enough",
    "all but that of the right mask": True,
})  # fmt: skip


# %%
V, T, D = 16, 16, 32


class OneAttention(nn.Module):
    """Embedding and positions, one attention whose weights come from the scores by `way`, a head over the vocabulary."""

    def __init__(self, way, rng):
        self.token, self.place = nn.Embedding(V, D, rng, 0.1), nn.Embedding(T, D, rng, 0.1)
        self.query, self.key, self.value = (nn.Linear(D, D, rng, std=0.1) for _ in range(3))
        self.head, self.way = nn.Linear(D, V, rng, std=0.1), way

    def __call__(self, ids):
        x = self.token(ids) + self.place.weight  # (B, T, D)
        score = self.query(x) @ self.key(x).transpose(0, 2, 1) / math.sqrt(D)  # (B, T, T)
        return self.head(x + self.way(score) @ self.value(x))


# %%
def trained(model, sample, steps, rate, what, rng):
    """The loss at each step, on batches (ids, targets) that never come again; the rate falls to 0 in the second half."""
    optimizer, losses = optim.AdamW(model.named_parameters(), decay=0.0), []
    for step in L.steps(steps, what):
        ids, targets = sample(rng)
        loss = F.cross_entropy(model(ids).reshape(targets.size, -1), targets.reshape(-1))
        loss.backward()
        optimizer.step(rate * min(1, 2 * (1 - step / steps)))
        optimizer.zero_grad()
        losses.append(loss.item())
    return np.array(losses)


# %%
def random_tokens(rng):
    ids = rng.integers(0, V, (32, T + 1))
    return ids[:, :-1], ids[:, 1:]


past = np.tri(T, dtype=bool)
masks = {"right": masked(past), "product": product, "late": late, "one ahead": masked(np.tri(T, k=1, dtype=bool)),
         "none": masked(np.ones((T, T), bool)), "score −4": lambda score: F.softmax(F.where(past, score, -4.0))}  # fmt: skip
losses = {name: trained(OneAttention(way, np.random.default_rng(0)), random_tokens, 400, 1e-2, f"mask: {name}",
                        np.random.default_rng(1)) for name, way in masks.items()}  # fmt: skip
last = {name: found[-50:].mean() for name, found in losses.items()}

# %%
floor = math.log(V)
L.answer("L3.5a", f"{floor:.2f} nats")
below = {name for name, loss in last.items() if loss < floor - 0.02}
L.answer("L3.5b", "all but that of the right mask" if below == masks.keys() - {"right"} else str(below))
for name, loss in last.items():
    print(f"{name:10} {loss:.3f} nats, {loss - floor:+.3f} from the entropy {floor:.3f}")
L.said("0.17", floor / T)
L.said("less than 0.25", last["one ahead"])
L.said("about 2.6", last["late"])
L.said("less than 2.2", last["score −4"])

# %%
fig, axis = subplots(width=7.5, height=4)
for i, (name, found) in enumerate(losses.items()):
    mean = found.reshape(-1, 20).mean(1)
    axis.plot(
        np.arange(10, 400, 20), mean, color=COLORS[i], linestyle=STYLES[i], marker=MARKERS[i], markersize=4, label=name
    )
axis.axhline(floor, color="black", linewidth=0.8)
axis.annotate("entropy of the source, ln 16", (398, floor + 0.05), ha="right", fontsize=8)
axis.set(xlabel="step", ylabel="loss (nats a token)", ylim=(0, 3.1), xlim=(0, 400))
axis.legend(frameon=False, fontsize=8, ncols=3, loc="lower right", bbox_to_anchor=(1, 0.3))
L.figure(fig, "entropy", "Losses on random tokens. Whoever falls below the line has read what it is to predict.")

# %% [markdown]
r"""
The right mask stays at the line. Those that see the next token copy it, and end below 0.25: that leaves little more
than the last position, whose next token is not in the input, and whose share of the loss is ln 16 / 16 = 0.17. `late`
leaks through its denominator alone, and slowly: about 2.6 nats would pass for a good loss in any text whose entropy
nobody knows. And a forbidden score of −4 instead of $-\infty$ is learned around: the allowed scores are pushed below
it, to a loss of less than 2.2. With −10,000 this takes longer, and has happened (karpathy/minGPT#75).
"""

# %% [markdown]
r"""
## L3.6 Heads: H maps for the price of one

A row of weights is one way to look. If a position needs feature $a$ from the token before it and feature $b$ from the
token before that, one row has to serve both, and mixes them. **Attention heads** share the width out: each of the $H$
heads has its own $K = D / H$ columns of $W_Q$, $W_K$ and $W_V$, and so its own map. What they read stands side by
side and passes through one more matrix, $W_O$ (Vaswani et al. 2017, section 3.2.2).
"""
# %%
L.ask("L3.6a", "One head reads two independent tokens; half of its features should come from either. What part of the "
      "variance is wrong at best?", {
    "none: a wide head has room for both": "one_wide_head",
    "half of it": True,
    "all of it": None,
})  # fmt: skip
# %%
one_back, two_back = rng.standard_normal((2, 4000, 2))  # tokens of two features, drawn 4,000 times
wanted = np.stack([one_back[:, 0], two_back[:, 1]], -1)
wrong = []
for weight in (0.05, 0.25, 0.5, 0.75, 0.95):
    read = weight * one_back + (1 - weight) * two_back  # one map
    best = np.linalg.lstsq(read, wanted, rcond=None)[0]  # whatever matrices come after it
    wrong.append(((read @ best - wanted) ** 2).mean() / (wanted**2).mean())
    print(f"weight {weight:.2f} on the token before: {wrong[-1]:.3f} of the variance is wrong")
L.answer("L3.6a", "half of it" if np.allclose(wrong, 0.5, atol=0.02) else "all of it")

# %%
for heads in (1, 2, 4, 8):
    layer = nn.MultiHeadAttention(64, heads, rng)
    print(f"heads: {heads}, each {64 // heads:2} wide: {layer.num_parameters():,} parameters")
    L.said("16,640", layer.num_parameters())
L.show(nn.attention.split_heads, nn.attention.merge_heads)

# %% [markdown]
r"""
With weights $w$ and $w'$ and the best factor after them, the first feature is left with the share
$w'^2 / (w^2 + w'^2)$ of its variance and the second with $w^2 / (w^2 + w'^2)$: half on average, whatever the weights.
Two heads read both exactly.

A layer of width 64 has 16,640 parameters, $4 D^2 + 4 D$ with its biases, however many heads it has, and its products
$q \cdot k$ and $p\,v$ cost $T^2 D$ multiplications each: $H$ times $T^2 K$. In the library's functions the reshape
and the transpose belong together. To reshape from $(T, D)$ straight to $(H, T, K)$ runs without an error, and makes
"heads" of whole stretches of the text: the first head would hold the first tokens, with all of their features.
"""

# %% [markdown]
r"""
## L3.7 Without positions, attention is blind to order

Let $P$ be a permutation matrix, and read the tokens $PX$ instead of $X$. The scores become $P A P^\top$; the softmax
works row by row and does not care for the order within a row, so the weights become $P\,p\,P^\top$; and what is read
is $P\,p\,P^\top P V = P\,(p V)$. Each token gets what it got before, wherever it stands: "dog bites man" is "man
bites dog". Layers that work on each position by itself change nothing about that, so it holds at any depth.

A causal mask is tied to places, and breaks the argument. How far?
"""
# %%
L.ask("L3.7a", "One causal layer, no positions; the tokens before the last change places. Does the last output change?", {
    "no": True,
    "yes": None,
})  # fmt: skip
L.ask("L3.7b", "And with two causal layers?", {"no": None, "yes": True})
# %%
order = np.array([2, 0, 3, 1, 4])
x = rng.standard_normal((1, 5, 8)).astype(np.float32)


def change_of_the_last(depth, causal):
    layers = [nn.MultiHeadAttention(8, 2, np.random.default_rng(i), causal, std=0.5, out_std=0.5) for i in range(depth)]

    def run(x):
        for layer in layers:
            x = x + layer(x).numpy()
        return x[0, -1]

    return np.abs(run(x[:, order]) - run(x)).max()


# %%
rounding = 1e-5  # float32
found = {}
for causal in (False, True):
    for layers in (1, 2, 3):
        found[layers, causal] = change_of_the_last(layers, causal)
        print(
            f"{'causal' if causal else 'no mask'}, depth {layers}: the last output changes by {found[layers, causal]:.1e}"
        )
L.answer("L3.7a", "yes" if found[1, True] > rounding else "no")
L.answer("L3.7b", "yes" if found[2, True] > rounding else "no")
assert max(found[layers, False] for layers in (1, 2, 3)) < rounding

# %% [markdown]
r"""
One causal layer gives the last position a weighted mean over the *set* of tokens before it. But what the others read
has changed: each has another set before it, and the second layer reads that. So deep causal models can learn
something of order without being told, and do (Haviv et al. 2022); a model without a mask cannot.
"""

# %% [markdown]
r"""
## L3.8 Positions: a clock with many hands

So positions are added to what attention reads, $x_t + r_t$. Take pairs of features, each a hand that turns at its own
pace (Vaswani et al. 2017, section 3.5):

$$r_{t,2i} = \sin(\omega_i t), \qquad r_{t,2i+1} = \cos(\omega_i t), \qquad \omega_i = 10000^{-2i/D}$$

The fastest hand turns by 1 radian a step, the slowest by little more than $1/10000$. A step of $k$ positions turns
hand $i$ by $\omega_i k$, wherever it starts: a rotation $R_k$, so "$k$ back" is a matrix that can be learned once for
all places. And inner products depend on the distance alone, as $\cos a \cos b + \sin a \sin b = \cos(a - b)$:

$$r_t \cdot r_s = \sum_i \cos(\omega_i (t - s)), \qquad (r_t R_{-k}) \cdot r_s = \sum_i \cos(\omega_i (t - k - s))$$
"""
# %%
D = 64
omega = 10000.0 ** (-np.arange(0, D, 2) / D)  # (D / 2,)
distance = np.arange(-30, 31)
fig, axes = subplots(1, 2, width=9, height=3.4)
for i, hand in enumerate((0, 8, 16)):
    axes[0].plot(distance[30:], np.sin(omega[hand] * distance[30:]), color=COLORS[i], linestyle=STYLES[i], marker=MARKERS[i],
                 markersize=3, label=f"pair {hand}, ω = {omega[hand]:.2g}")  # fmt: skip
for i, k in enumerate((0, 1, 5)):
    axes[1].plot(distance, np.cos(np.outer(distance - k, omega)).mean(1), color=COLORS[i], linestyle=STYLES[i],
                 marker=MARKERS[i], markersize=3, label=f"{k} back")  # fmt: skip
axes[0].set(xlabel="position t", ylabel="sin(ω t)", ylim=(-1.1, 1.7))
axes[1].set(xlabel="distance t − s", ylabel="inner product (share of its maximum)", ylim=(0, 1.02))

# %%
axes[0].legend(frameon=False, fontsize=8, loc="upper center", ncols=2)
axes[1].legend(frameon=False, fontsize=8, loc="upper right")
L.figure(fig, "positions", "Left: three of the 32 hands. Right: how position t, turned back by k, matches position s.")

# %% [markdown]
r"""
On the right are queries that ask for "here", "1 back" and "5 back": each has its peak where it should, at every place
of the text. GPT instead learns a table of positions, one row for each (lesson 4); nothing then ties one place to the
next but training.
"""

# %% [markdown]
r"""
## L3.9 A map that we know: induction

Which map *should* attention learn? Usually nobody can say. Here is a text for which we can: a stretch of tokens, all
different, which then comes again and again. From the second round on the next token is certain: it is the one that
followed this token the last time. No single attention can find it, since it must match the token *before* a position
and read the token *at* it. Two in a row can: the first gives each position the token before it, the second asks for
the position whose token before is mine. This is called **induction** (Elhage et al. 2021; Olsson et al. 2022). With
weights set by hand it is an exact count of what followed, which the last task has you build and claim L3.9 proves.

Will training find it? The stretch has 6 to 12 tokens, so that no fixed distance is right.
"""
# %%
V, T = 24, 24


def rounds(rng, B=64):
    """Ids (B, T), the tokens after them, and how long each stretch is (B, 1)."""
    period = rng.integers(6, 13, (B, 1))
    stretch = rng.random((B, V)).argsort(1)  # all tokens, shuffled
    text = np.take_along_axis(stretch, np.arange(T + 1) % period, 1)
    return text[:, :-1], text[:, 1:], period


def right_places(ids):
    """True at [b, t, s] where s may be read and the token before s is that of t."""
    same = ids[:, :, None] == np.roll(ids, 1, axis=1)[:, None, :]
    return same & np.tri(T, dtype=bool) & (np.arange(T) > 0)


# %%
class Attentions(nn.Module):
    """Nothing but attention: embedding, positions if wanted, some causal attentions of one head, a head for tokens."""

    def __init__(self, layers, positions, rng):
        self.token = nn.Embedding(V, 64, rng, 0.05)
        self.place = nn.Embedding(T, 64, rng, 0.05) if positions else None
        self.layers = [nn.MultiHeadAttention(64, 1, rng, std=0.05, out_std=0.05) for _ in range(layers)]
        self.head = nn.Linear(64, V, rng, std=0.05)

    def __call__(self, ids, maps=None):
        x = self.token(ids) + (self.place.weight if self.place else 0.0)
        for layer in self.layers:
            if maps is not None:
                maps.append(layer.weights(x).numpy()[:, 0])  # (B, T, T)
            x = x + layer(x)
        return self.head(x)


# %%
L.ask("L3.9a", "Three models are trained: two attentions; one; two without positions. In the later rounds, which are right "
      "nearly always?", {
    "all three": None,
    "both that have two attentions": None,
    "only the first": True,
})  # fmt: skip
# %%
kinds = {"two attentions": (2, True), "one attention": (1, True), "two, no positions": (2, False)}
models = {name: Attentions(*kind, np.random.default_rng(0)) for name, kind in kinds.items()}
curves = {name: trained(model, lambda rng: rounds(rng)[:2], 500, 5e-3, name, np.random.default_rng(1))
          for name, model in models.items()}  # fmt: skip

ids, targets, period = rounds(np.random.default_rng(2), 512)  # texts that none has seen
known = np.arange(T) >= period  # (B, T): from the second round on
accuracy = {name: float((model(ids).numpy().argmax(-1) == targets)[known].mean()) for name, model in models.items()}
for name, share in accuracy.items():
    print(f"{name:18} right in {share:.1%} of the later rounds")

# %%
good = [name for name, share in accuracy.items() if share > 0.95]
L.answer("L3.9a", "only the first" if good == ["two attentions"] else ", ".join(good))
maps = []
models["two attentions"](ids, maps)
right = (maps[1] * right_places(ids)).sum(-1)[known].mean()
first_round = np.arange(1, T) < period  # (B, T − 1)
one_back = (maps[0].argmax(-1)[:, 1:] == np.arange(T - 1))[first_round].mean()
by_chance = (right_places(ids).sum(-1) / np.arange(1, T + 1))[known].mean()
print(f"second attention: weight {right:.3f} on the right places, {by_chance:.3f} if it read all alike")
print(f"first attention: in {one_back:.1%} of the first rounds it reads the token before most")
L.said("more than 0.9", right)
L.said("less than 0.1", by_chance)
L.said("more than 95 %", one_back)

# %%
text = np.take_along_axis(np.random.default_rng(7).permutation(V)[None], np.arange(T)[None] % 7, 1)  # rounds of 7
letters = [chr(ord("a") + token) for token in text[0]]
maps = []
models["two attentions"](text, maps)
shown = right_places(text)[0] / np.maximum(right_places(text)[0].sum(-1, keepdims=True), 1)
fig, axes = subplots(1, 3, width=12, height=4.4)
titles = "first attention", "second attention", "the map that is right for the second"
for axis, A, title in zip(axes, (maps[0][0], maps[1][0], shown), titles, strict=True):
    matrix(axis, A, rows=letters, columns=letters, form=None, limit=1.0, title=title, xlabel="position s that is read",
           ylabel="position t that reads")  # fmt: skip
bar = fig.colorbar(axes[0].images[0], ax=axes, shrink=0.75, label="weight")
L.figure(fig, "maps", "Attention maps of a text in rounds of 7. A white row on the right: a token that is new.")

# %%
n = np.arange(1, 13)  # tokens read, all different so far: the next is new, or the stretch is over and the first comes
over = np.where(n < 6, 0.0, 1 / (13 - n))  # the chance that it is over now
new = (1 - over) * np.log((V - n) / np.maximum(1 - over, 1e-300))  # − Σ P log P over the V − n tokens not yet seen
surprise = new - over * np.log(np.maximum(over, 1e-300))
entropy = float((np.minimum(1, (13 - n) / 7) * surprise).sum() / T)
print(f"entropy of the source {entropy:.3f} nats a token, two attentions {curves['two attentions'][-50:].mean():.3f}")
L.said("1.06", entropy)

# %%
fig, axis = subplots(width=7.5, height=3.8)
for i, (name, curve) in enumerate(curves.items()):
    mean = curve.reshape(-1, 20).mean(1)
    axis.plot(np.arange(10, 500, 20), mean, color=COLORS[i], linestyle=STYLES[i], marker=MARKERS[i], label=name)
axis.axhline(entropy, color="black", linewidth=0.8)
axis.annotate("entropy of the source", (5, entropy - 0.16), fontsize=8)
axis.set(xlabel="step", ylabel="loss (nats a token)", xlim=(0, 500), ylim=(0, None))
axis.legend(frameon=False, fontsize=8, loc="lower left")
L.figure(fig, "induction", "Training on texts in rounds. What is above the line could be known and is not.")

# %% [markdown]
r"""
The second attention puts more than 0.9 of its weight on the right places, where reading all alike would put less than
0.1. Nobody told it. The first attention reads the token before more than any other in more than 95 % of the rows of
the first round, where it matters; later rounds have their answer in the first one, and there its rows are free. An
**attention map** tells something only where something depends on it.

In the first round the second attention has nothing to find. Its rows must sum to 1 all the same, and it puts them on
the first token, which stands for "not here". Large models do so too (Xiao et al. 2023).

One attention alone finds which tokens belong to the text, and guesses among them. Two without positions are in
between: the causal mask tells the second one something (L3.7), and training makes of it what it can in these few
steps. The entropy of this source can be written down as well (lesson 1): 1.06 nats a token, as nobody knows the
tokens of the first round, nor when it ends. Two attentions stay above that. They would also have to rule out tokens
that have been, and to count.
"""

# %% [markdown]
r"""
## What goes wrong in practice

- A finite number for $-\infty$. Training pushed real scores below it and read the future: losses near 0, and nonsense
  when asked to write (karpathy/minGPT#75, "Perfect training and evaluation loss, but terrible test-time
  performance"). It also happens to trained models on plain text, at −100,000
  (TransformerLensOrg/TransformerLens#318). And a slip of the sign of the exponent, $10^{-9}$ for $10^9$, masks
  nothing at all (Shujun-He/RibonanzaNet#5, "attention value is not masked out by attention mask").
- A mask that is lost on the way. A second path through the code, taken with dropout or when weights are asked for,
  had none (keras-team/keras#23038); the causal mask was skipped when no other mask was given
  (facebookresearch/xformers#103); from one version on, four decoders read the future, which was found by a loss of
  almost 0 on random tokens (huggingface/transformers#48745). L3.5 is the test for all of these: run it on every path.
- A row with nothing to read: $-\infty - (-\infty)$ gives NaN, in the values or, worse, in the gradient only
  (tracel-ai/burn#4694, "attention_fallback produces NaN for fully-masked rows";
  jadore801120/attention-is-all-you-need-pytorch#5, "nan loss when training").
- Why not multiply by the mask? Asked again and again, and answered by $e^0 = 1$ (huggingface/transformers#542,
  "Clarifying attention mask").
- Heads made by a reshape without a transpose (reczoo/FuxiCTR#30, "MultiHeadAttention bug when num_heads is greater
  than 1"), or put together without one: the toy task of that repository was learned all the same, so nobody noticed
  (jsbaan/transformer-from-scratch#6).
- Padding on the left moves the text to later positions, unless somebody counts positions from the first token: a
  model with learned positions then answers wrongly for every text but the longest, without an error
  (ndif-team/nnsight#672).

## Sources

- Bahdanau, Cho and Bengio (2015), *Neural machine translation by jointly learning to align and translate*: attention,
  additive.
- Graves, Wayne and Danihelka (2014), *Neural Turing machines*: reading a memory by content, with a key strength.
- Vaswani et al. (2017), *Attention is all you need*: sections 3.2 and 3.5 are this lesson.
- Haviv et al. (2022), *Transformer language models without positional encodings still learn positional information*.
- Elhage et al. (2021), *A mathematical framework for Transformer circuits*; Olsson et al. (2022), *In-context
  learning and induction heads*.
- Xiao et al. (2023), *Efficient streaming language models with attention sinks*.
- Yang et al. (2022), *Tensor programs V: tuning large neural networks via zero-shot hyperparameter transfer*.

## Summary

| idea | formula | how to know that it is right |
|---|---|---|
| reading by content | $y_t = \sum_s p_{ts} v_s$, $p$ a softmax of scores | limits: the mean, and one entry |
| scale | $a = q \cdot k / \sqrt K$ | spread 1 for random vectors of any width |
| masks | score $-\infty$ before the softmax; a row with nothing to read is 0 | weights exactly 0, rows sum to 1 or 0, gradient finite |
| causal and padding | $s \le t$ and $s$ is text | the Jacobian's forbidden blocks are 0; random tokens never below ln V |
| heads | $K = D / H$ columns each, side by side, then $W_O$ | equals the sum over heads; permute heads, nothing changes |
| order | none without positions; a rotation a step with sinusoids | permute the tokens; inner products depend on distance |
| induction | attention to "the token before", then to its match | equals counting what followed |
"""
# %%
L.prove()
