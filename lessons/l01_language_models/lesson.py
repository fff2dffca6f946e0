# %% [markdown]
r"""
# Lesson 1. Language models

A language model is a distribution over texts. This lesson builds three of them, by counting, by better counting and
by gradient descent, and measures them against a source whose probabilities are known. It proves:

- **L1.1** A distribution over texts is a product of distributions over the next word, and nothing is lost by that.
- **L1.2** Counting pairs gives the bigram model under which the text is most probable, and it forbids whatever it did
  not see.
- **L1.3** Kneser-Ney smoothing gives what was not seen its share, by asking in how many places a word turned up.
- **L1.4** The mean surprise of a model is the entropy of the source and a divergence that is never negative.
- **L1.5** Perplexity depends on how text is cut into tokens; bits per byte do not.
- **L1.6** Nobody beats the source: a loss below its entropy is a mistake in the measurement.
- **L1.7** A neural bigram, trained by gradient descent, ends where counting does.
- **L1.8** What a language model has learned can be used without training it, by training on top of it, or by training
  it on.

The text comes from **Mundito**, a little world whose documents are written word by word by an automaton, so that the
probability of every word is known.
"""

# %%
import math
import random

import numpy as np

import minilm as ml
import minilm.functional as F
from minilm.course import lesson
from minilm.course.figures import COLORS, MARKERS, STYLES, subplots
from minilm.mundito import Mundito, MunditoConfig
from minilm.ngram import KneserNey

L = lesson("l01")
world = Mundito()
V = world.vocab_size
print(V, "words;", world.text(token.id for token in world.document(random.Random(3))))

# %% [markdown]
r"""
## L1.1 The chain rule of probability

The probability of a text is the probability of its first word, times that of the second given the first, and so on:

$$P(x_1, \dots, x_T) = \prod_{t=1}^{T} P(x_t \mid x_1, \dots, x_{t-1}).$$

This is no assumption: each factor is a quotient of two probabilities of prefixes, and the quotients telescope. So to
know a distribution over all texts is to know, after each prefix, one over the next word; that is what we call a
**language model**. Mundito is one. After each prefix it says what may come, and how probable that is:
"""

# %%
text = world.encode("<bos> Raúl tiene una paloma negra . Julia tiene")
state, total = world.start, 0.0
for word in text:
    p = world.dist(state)
    print(f"{world.words[word]:8} is one of {np.count_nonzero(p):3} words that can come, p = {p[word]:.4f}")
    total += math.log(p[word])
    state = world.step(state, word)
print(f"ln P = {total:.4f}, in one call {world.logp(text).sum():.4f}")

# %% [markdown]
r"""
The rule holds in any order of the positions: a text may as well be factored from its last word to its first. The
factors are then others. **Predict** what becomes of their product.
"""

# %%
L.ask("L1.1a", "The same text, factored from the last word to the first: the product of the factors is …",
      {"the same": True, "smaller, for the end is hard to guess": "order_of_the_rule_is_reversed",
       "the same only if words are independent": "words_are_independent"})  # fmt: skip

# %%
joint = np.random.default_rng(0).gamma(1.0, size=(3, 3, 3))  # texts of three words, from a vocabulary of three
joint /= joint.sum()
a, b, c = 2, 0, 1
forwards = [joint[a].sum(), joint[a, b].sum() / joint[a].sum(), joint[a, b, c] / joint[a, b].sum()]
backwards = [joint[..., c].sum(), joint[:, b, c].sum() / joint[..., c].sum(), joint[a, b, c] / joint[:, b, c].sum()]
print("forwards ", np.round(forwards, 4), math.prod(forwards))
print("backwards", np.round(backwards, 4), math.prod(backwards))
L.answer("L1.1a", "the same" if math.isclose(math.prod(forwards), math.prod(backwards)) else "another")

# %% [markdown]
r"""
A table of all texts has $V^T$ entries, so a model has to say what of a prefix matters. An **n-gram** model looks at
the last $n - 1$ words only; GPT will look at all of them. Both are products of the same form, and so can be compared
by the probability that they give to the same text.

## L1.2 Counting

We let Mundito write 2,500 documents to learn from, and 500 others to measure on.
"""


# %%
def corpus(world, documents, seed):
    """Word ids, the source's own log-probabilities, and where documents begin, as arrays over all words."""
    rng = random.Random(seed)
    tokens = [(t.id, t.logp, i == 0) for _ in range(documents) for i, t in enumerate(world.document(rng))]
    ids, logp, starts = map(np.array, zip(*tokens, strict=True))
    return ids, logp, starts


def count_pairs(ids):
    count = np.zeros((V, V), np.float32)
    np.add.at(count, (ids[:-1], ids[1:]), 1)  # a plain += would count a pair that is there twice only once
    return count


train, _, _ = corpus(world, 2500, seed=1)
held, source, starts = corpus(world, 500, seed=2)
count, count_held = count_pairs(train), count_pairs(held)
print(f"{len(train):,} words to learn from, {len(held):,} to measure on")
L.said("0.66 %", count_held[count == 0].sum() / count_held.sum())

# %% [markdown]
r"""
The bigram model that makes the training text most probable has the relative frequencies $c(ab) / c(a)$ as its
probabilities (task L1.2 proves it). Of the pairs in the held-out text, 0.66 % were never seen in training.
**Predict** what the model's mean surprise, $-\ln p$ of the held-out words, is.
"""

# %%
L.ask("L1.2a", "Two pairs in three hundred are new to the model. What is its mean surprise on the held-out text?",
      {"infinite": True, "a little above that on the training text": "impossible_is_left_out",
       "the same as on the training text": None})  # fmt: skip

# %%
frequency = count / np.maximum(count.sum(1, keepdims=True), 1)


def surprise(p, count):
    """The mean of −ln p over the pairs that are counted."""
    with np.errstate(divide="ignore"):
        return float(-np.sum(np.where(count > 0, np.log(p), 0) * count) / count.sum())


print(f"training {surprise(frequency, count):.3f}, held-out {surprise(frequency, count_held)}")
shares = [1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1]
mixed = [surprise((1 - s) * frequency + s / V, count_held) for s in shares]
print({s: round(m, 4) for s, m in zip(shares, mixed, strict=True)})
L.answer("L1.2a", "infinite" if math.isinf(surprise(frequency, count_held)) else "finite")

# %% [markdown]
r"""
One impossible pair and the whole text is impossible. So some probability has to be taken from what was seen and given
to what was not. The crudest way is a mixture with the uniform distribution, above; adding $k$ to every count is
another (task L1.2). Both give all unseen words the same share.

## L1.3 Kneser-Ney: in how many places did a word turn up?

After a word that we have seen only a few times, what else may follow? Not simply what is frequent: a word may be
frequent and yet stand after one word only, as *Francisco* does after *San*. Kneser and Ney ask how many different
words it was seen after (Kneser and Ney 1995):

$$p(b \mid a) = \frac{\max(c(ab) - d, 0)}{c(a)} + \frac{d \, n(a)}{c(a)} \, q(b), \qquad
  q(b) = \frac{\#\{a' : c(a'b) > 0\}}{\#\{(a', b') : c(a'b') > 0\}}.$$

Each of the $n(a)$ different pairs that begin with $a$ gives up $d$ of its count, and $q$ shares out the sum. With
longer contexts, $q$ is such a model of the order below, and so on down. `KneserNey` is that, with three discounts
estimated from the text (Chen and Goodman 1999, section 3). Longer contexts say more, and were seen less often.
**Predict** the best order.
"""

# %%
L.ask("L1.3a", "Which n-gram model predicts the held-out text best, after 200,000 words?",
      {"of 2 words": None, "of 4 words": True, "of 6 words, the longest": None})  # fmt: skip

# %%
entropy = -source.mean()
ladder = {}
for size in (len(train) // 64, len(train) // 8, len(train)):
    models = [KneserNey(order).fit(train[:size], V) for order in range(1, 7)]
    ladder[size] = [-model.log_probabilities(held).mean() for model in models]
    print(f"{size:7,} words:", " ".join(f"{nats:.3f}" for nats in ladder[size]), "nats a word")
print(f"the source itself: {entropy:.3f}")
L.answer("L1.3a", f"of {1 + int(np.argmin(ladder[len(train)]))} words")

# %%
fig, axes = subplots(width=6, height=3.4)
for i, (size, nats) in enumerate(ladder.items()):
    axes.plot(range(1, 7), nats, color=COLORS[i], linestyle=STYLES[i], marker=MARKERS[i], label=f"{size:,} words")
axes.axhline(entropy, color="black", linewidth=1)
axes.text(6, entropy + 0.06, "entropy of the source", ha="right", va="bottom", fontsize=8)
axes.set(xlabel="order n: words in an n-gram", ylabel="loss on held-out text (nats a word)", ylim=(0, None))
axes.legend(fontsize=8, frameon=False, title="training text", title_fontsize=8)
L.figure(fig, "ladder", "More text lets longer contexts pay; none comes down to the entropy of the source.")

# %% [markdown]
r"""
Even with all the text the ladder stops far above the source, because what matters in Mundito may lie far back: the
colour of an animal is said once and asked for much later.

## L1.4 Entropy, cross-entropy, divergence

The **surprise** at a word is $-\log p$: in bits with $\log_2$, in nats with $\ln$. Its mean under the source's own
$p$ is the **entropy** $H(p)$. A model $q$ that does not know $p$ is surprised, on average, by the **cross-entropy**

$$H(p, q) = -\sum_x p(x) \log q(x) = H(p) + \mathrm{KL}(p \,\|\, q), \qquad
  \mathrm{KL}(p \,\|\, q) = \sum_x p(x) \log \frac{p(x)}{q(x)} \ge 0.$$

The **divergence** is not negative, because $\ln u \le u - 1$:

$$-\mathrm{KL}(p \,\|\, q) = \sum_x p \ln \frac{q}{p} \le \sum_x p \Big(\frac{q}{p} - 1\Big) = 0.$$

It is 0 only for $q = p$. It has a direction. **Predict**:
"""

# %%
L.ask("L1.4a", "Which error costs more bits a throw?",
      {"believing a fair coin to fall 90 : 10": True,
       "believing a coin that falls 90 : 10 to be fair": "p_and_q_are_swapped",
       "both cost the same": "divergence_has_no_direction"})  # fmt: skip

# %%
rng = np.random.default_rng(0)
fair, bent = np.array([0.5, 0.5]), np.array([0.9, 0.1])


def costs(p, q, throws=200_000):
    """The bits that q is surprised by beyond p, on average over throws of p."""
    x = rng.choice(2, throws, p=p)
    return float(np.mean(np.log2(p[x]) - np.log2(q[x])))


a, b = L.said("about 0.74", costs(fair, bent)), L.said("about 0.53", costs(bent, fair))
L.answer(
    "L1.4a", "believing a fair coin to fall 90 : 10" if a > b else "believing a coin that falls 90 : 10 to be fair"
)

# %% [markdown]
r"""
About 0.74 bits against about 0.53: to hold something unlikely that happens half the time is the dear mistake. Here is
the same for words: the surprise of the source at each word of a document, beside that of the best n-gram. Where the
bars of the source are at 0, the word is certain; there the n-gram pays for what it has not understood.
"""

# %%
best = KneserNey(4).fit(train, V)
shown = np.flatnonzero(starts.cumsum() == 12)[:44]
words = held[shown]
own, model = -source[shown] / math.log(2), -best.log_probabilities(held)[shown] / math.log(2)
fig, axes = subplots(width=9, height=3.6)
axes.bar(np.arange(len(words)) - 0.2, own, 0.4, color=COLORS[0], label="source")
axes.bar(np.arange(len(words)) + 0.2, model, 0.4, color=COLORS[4], label="4-gram")
axes.set_xticks(range(len(words)), [world.words[w] for w in words], rotation=90, fontsize=7)
axes.set(xlabel="word of the document", ylabel="surprise (bits)", xlim=(-0.8, len(words) - 0.2))
axes.legend(fontsize=8, frameon=False)
L.figure(fig, "surprise", "How surprised the source and a 4-gram are by each word of one document.")

# %% [markdown]
r"""
## L1.5 Perplexity and bits per byte

$e$ to the loss in nats is the **perplexity**: the number of equally likely words among which a model would be as
unsure. It is a number a *token*, whatever that is. Take the bytes of the text for tokens instead of its words.
**Predict** which model looks better, in perplexity and in **bits per byte**, the bits of the whole text divided by
its bytes.
"""

# %%
L.ask("L1.5a", "6-grams of bytes beside 4-grams of words, on the same text:",
      {"the bytes have the lower perplexity and need more bits": True,
       "the bytes have the lower perplexity and need fewer bits": "bits_per_token",
       "the order is the same in both units": None})  # fmt: skip


# %%
def as_bytes(ids):
    return np.frombuffer((world.text(ids) + " ").encode(), np.uint8)


letters = KneserNey(6).fit(as_bytes(train), 256)
table = {}
for name, grams, tokens in (("words", best, held), ("bytes", letters, as_bytes(held))):
    nats = -grams.log_probabilities(tokens)
    table[name] = math.exp(nats.mean()), nats.sum() / math.log(2) / len(as_bytes(held))
    print(f"{name}: {len(tokens):7,} tokens, perplexity {table[name][0]:.2f}, {table[name][1]:.3f} bits per byte")
lower, fewer = table["bytes"][0] < table["words"][0], table["bytes"][1] < table["words"][1]
kind = "fewer" if fewer else "more"
L.answer(
    "L1.5a",
    f"the bytes have the lower perplexity and need {kind} bits" if lower else "the order is the same in both units",
)

# %% [markdown]
r"""
A byte is easy to guess, and there are many of them. Perplexities compare only models with the same tokens; bits per
byte compare all, for they are what an arithmetic coder with that model would write. (Bytes, not characters: ñ is two
bytes.)

## L1.6 Nobody beats the source

On average over what the source writes, every model loses at least the entropy, by L1.4. On a sample that holds up to
chance, and chance is small when model and source are compared word by word: the **excess** is the mean difference.
One of the next four models was given something that it should not have. **Predict** what that looks like.
"""

# %%
L.ask("L1.6a", "A 9-gram counted on the held-out text itself, and measured there:",
      {"its loss is below the source's": True, "its loss is equal to the source's": None,
       "it is better than the others, above the source": None})  # fmt: skip

# %%
contestants = {"2-gram": KneserNey(2).fit(train, V), "3-gram": KneserNey(3).fit(train, V), "4-gram": best,
               "9-gram, counted on the test": KneserNey(9).fit(held, V)}  # fmt: skip
document, excess = starts.cumsum() - 1, {}
for name, grams in contestants.items():
    gap = source - grams.log_probabilities(held)  # of each word
    of_documents = np.bincount(document, gap - gap.mean())  # words of one document are not independent
    error = math.sqrt(np.sum(of_documents**2)) / len(held)
    excess[name] = gap.mean()
    print(f"{name:28} excess {gap.mean():+.3f} ± {error:.3f} nats a word")
below = excess["9-gram, counted on the test"] < 0
L.answer("L1.6a", "its loss is below the source's" if below else "it is better than the others, above the source")

# %% [markdown]
r"""
Below the floor there is no skill. A loss there says that the model saw the answers: test text in the training text, a
target among the inputs, a mean over the wrong words. In the lessons to come the floor of Mundito will show such leaks
at once. On real text nobody knows the floor, and a leak looks like progress.

## L1.7 A neural bigram

Counting cannot tell that *vaca* and *zorra* are used alike. A network can: give each word $a$ a vector $u_a$ of 16
numbers for what follows it, each word $b$ a vector $w_b$ for what it follows, and let

$$p(b \mid a) = \frac{\exp(u_a \cdot w_b)}{\sum_{b'} \exp(u_a \cdot w_{b'})}, \qquad
\text{loss} = \frac{1}{n} \sum_{a,b} c(ab) \Big( \ln \sum_{b'} \exp(u_a \cdot w_{b'}) - u_a \cdot w_b \Big).$$

The loss is the mean surprise on the training text. Its gradient is Lesson 0's business; we follow it downhill, each
step keeping nine tenths of the one before.
"""


# %%
def loss_of(factors, count):
    u, w = factors
    score = u @ w  # (V, V): row a scores what follows a
    return F.sum((F.logsumexp(score, -1, keepdims=True) - score) * count) / float(count.sum())


def learn(factors, count, steps, rate=3.0, watch=None):
    """Factors after the steps, and the loss before each, on the pairs that are learned or those to watch."""
    speed, losses = [0.0, 0.0], []
    for _ in L.steps(steps, "learning"):
        at = [ml.Tensor(factor, requires_grad=True) for factor in factors]
        loss = loss_of(at, count)
        speed = [0.9 * s + g.numpy() for s, g in zip(speed, ml.grad(loss, at), strict=True)]
        factors = [factor - rate * s for factor, s in zip(factors, speed, strict=True)]
        losses.append(loss.item() if watch is None else loss_of(at, watch).item())
    return factors, losses


# %% [markdown]
r"""
**Predict** where the training loss goes when the vectors are long enough, or when the score of each pair is a number
of its own, and we wait.
"""

# %%
L.ask("L1.7a", "The training loss of a neural bigram with a free score for every pair goes to …",
      {"0": None, "the loss of the relative frequencies": True, "the entropy of the source": None})  # fmt: skip

# %%
rng = np.random.default_rng(1)
start = [0.3 * rng.standard_normal(shape).astype(np.float32) for shape in ((V, 16), (16, V))]
factors, losses = learn(start, count, 300)
at_frequencies = surprise(frequency, count)
best_scores = np.log(np.maximum(frequency, 1e-12)) + rng.standard_normal((V, 1))  # a row may be shifted
free = ml.Tensor(best_scores, requires_grad=True)
free_loss = loss_of((np.eye(V), free), count)
slope = np.abs(ml.grad(free_loss, free).numpy()).max()
print(f"16 numbers a word: training {losses[-1]:.3f}, held-out {loss_of(factors, count_held):.3f}")
print(f"frequencies: {at_frequencies:.3f}; 2-gram, held-out: {ladder[len(train)][1]:.3f}")
print(f"free scores at the frequencies' logarithms: {free_loss.item():.3f}, largest entry of the gradient {slope:.0e}")
near = math.isclose(free_loss.item(), at_frequencies, abs_tol=1e-6) and slope < 1e-7
L.answer("L1.7a", "the loss of the relative frequencies" if near else "0" if free_loss.item() < 0.01 else "another")

# %% [markdown]
r"""
Free scores can be the logarithms of the frequencies, and no table of probabilities is better on the training text;
there the gradient is 0. So gradient descent and counting agree, and share the infinite loss. With 16 numbers a word
the network cannot hold the table: it says the same of words that are used alike, and so gives new pairs a share
without any smoothing. Here it needs 11,584 numbers for what takes the table 131,044.
"""

# %%
L.said("11,584", sum(factor.size for factor in factors))
L.said("131,044", V * V)
fig, axes = subplots(width=6, height=3.2)
axes.plot(losses, color=COLORS[0], label="neural bigram, training text")
axes.axhline(at_frequencies, color=COLORS[1], linestyle=STYLES[1], label="relative frequencies, training text")
axes.axhline(math.log(V), color=COLORS[5], linestyle=STYLES[2], label="all words equally likely")
axes.axhline(entropy, color="black", linewidth=1, label="entropy of the source")
axes.set(xlabel="step", ylabel="loss (nats a word)", ylim=(0, 6.5))
axes.legend(fontsize=8, frameon=False)
L.figure(
    fig,
    "neural",
    "Gradient descent on 16 numbers a word comes close to what counting every pair reaches, far above the source.",
)

# %% [markdown]
r"""
## L1.8 Three ways to use what was learned

Nobody labelled Mundito's words, and yet the vectors know something of them. To use for one task what was learned in
another is **transfer learning**. Everything in this course is one of its three modes:

- **Zero-shot**: no training at all. The task is put as text, and the model's probabilities answer it.
- **Feature-based**: the model stays as it is; its vectors are the input of something small that is trained on labels.
- **Fine-tuning**: training goes on, from the learned weights, on the new task or the new text.

First, zero-shot: is a noun masculine? Ask after which it is more probable, *el* or *la*. The model never heard of
gender.
"""

# %%
lex, of = world.lexicon, world.id_of
nouns = [noun for kind in (lex.animals, lex.objects, lex.places) for noun in kind]
score = factors[0] @ factors[1]
log_p = score - np.log(np.exp(score).sum(1, keepdims=True))
says = [int(log_p[of["la"], of[n.singular]] > log_p[of["el"], of[n.singular]]) for n in nouns]
share = np.mean([said == noun.gender for said, noun in zip(says, nouns, strict=True)])
print(f"gender of {len(nouns)} nouns, zero-shot: {share:.0%} right")
L.said("more than 95 %", share)

# %% [markdown]
r"""
More than 95 % are right. Second, feature-based: is a word a name, an animal, an object, a place or a colour? Three
labelled words a class, and the nearest of the five class means decides. The same is done with vectors that learned
nothing.
"""

# %%
classes = [[n.singular for n in kind] for kind in (lex.names, lex.animals, lex.objects, lex.places)]
classes.append([forms[0] for forms in lex.colours])


def nearest_mean(factors, labels=3):
    """The share of the other words that are nearest to the mean of their own class."""
    vector = np.concatenate([factors[0], factors[1].T], 1)  # (V, 32)
    vector /= np.linalg.norm(vector, axis=1, keepdims=True)
    of_class = [vector[[of[word] for word in words]] for words in classes]
    means = np.stack([vectors[:labels].mean(0) for vectors in of_class])
    right = [(vectors[labels:] @ means.T).argmax(1) == i for i, vectors in enumerate(of_class)]
    return float(np.mean(np.concatenate(right)))


print(f"right: {nearest_mean(factors):.0%} with learned vectors, {nearest_mean(start):.0%} with random ones")
L.said("more than 80 %", nearest_mean(factors))
L.said("less than 40 %", nearest_mean(start))

# %% [markdown]
r"""
More than 80 % with the learned vectors, less than 40 % with random ones: what was learned without labels lets a few
labels go far. Third, fine-tuning: another world, with the same words and grammar and other facts, of which we have 40
documents.
"""

# %%
other = Mundito(MunditoConfig(seed=5))
few, _, _ = corpus(other, 40, seed=3)
many, floor, _ = corpus(other, 200, seed=4)
few_count, many_count = count_pairs(few), count_pairs(many)
_, tuned = learn(factors, few_count, 60, rate=0.1, watch=many_count)
_, scratch = learn(start, few_count, 60, rate=3.0, watch=many_count)
print(f"learned vectors: {tuned[0]:.2f} as they are, {tuned[-1]:.2f} fine-tuned; random vectors: {scratch[-1]:.2f}")
L.said("more than 0.4", scratch[-1] - tuned[-1])

# %%
fig, axes = subplots(width=6, height=3.2)
axes.plot(tuned, color=COLORS[0], linestyle=STYLES[0], label="from the learned vectors")
axes.plot(scratch, color=COLORS[1], linestyle=STYLES[1], label="from random vectors")
axes.axhline(-floor.mean(), color="black", linewidth=1, label="entropy of the new world")
axes.set(
    xlabel="steps on 40 documents of the new world", ylabel="loss on other documents\n(nats a word)", ylim=(0, 6.5)
)
axes.legend(fontsize=8, frameon=False)
L.figure(fig, "transfer", "Fine-tuning begins where training from random vectors does not arrive.")

# %% [markdown]
r"""
Fine-tuning ends more than 0.4 nats a word below training from nothing on the same text. GPT and BERT are this, with
better models and more text: a language model first, a task after. Radford et al. (2018) fine-tuned, Radford et al.
(2019) asked zero-shot, Devlin et al. (2019, section 5.3) compare fine-tuning with features.

## What goes wrong in practice

- A relative-frequency model met a pair, or a start symbol, that it had not counted, and perplexity was infinite for
  every text: nltk/nltk#3065. A smoothed one met a word outside its vocabulary, with the same end: nltk/nltk#3211.
- Kneser-Ney divided by the count of a context that was never seen, which is 0: nltk/nltk#2332. A context without
  counts has to fall through to the lower order.
- Interpolation was done on logarithms instead of probabilities, so nothing summed to 1: smilli/kneser-ney#6. Sum over
  the vocabulary once, in a test.
- The mean of chunks' losses was exponentiated though the last chunk was shorter: huggingface/transformers#34387.
  Perplexities of batches were averaged, and the result changed with the batch size: facebookresearch/ParlAI#623.
- "Bits per character" on enwik8 were bits per byte, and the paper had to say so: facebookresearch/adaptive-span#17.
  Users asked for a perplexity per byte, to compare models with different vocabularies: ggml-org/llama.cpp#7111.

## Sources

- Kneser and Ney (1995), *Improved backing-off for m-gram language modeling*: continuation counts.
- Chen and Goodman (1999), *An empirical study of smoothing techniques for language modeling*: interpolation, three
  discounts.
- Shannon (1951), *Prediction and entropy of printed English*: entropy bounded by guessing.
- Bengio, Ducharme, Vincent and Jauvin (2003), *A neural probabilistic language model*: vectors of words for n-grams.
- Fuentes-Pineda (2023), *Aprendizaje profundo: preentrenamiento autosupervisado*, slide 1: definition, transfer.

## Summary

| | |
|---|---|
| language model | $P(x_1 \dots x_T) = \prod_t P(x_t \mid x_{<t})$; a model chooses what of $x_{<t}$ counts |
| counting | relative frequencies maximize the training text's probability, and forbid what was not seen |
| Kneser-Ney | take $d$ from each seen pair, share it out by the number of contexts a word was seen in |
| loss | mean of $-\ln p$ over held-out words $= H(p) + \mathrm{KL}(p \,\Vert\, q) \ge H(p)$ |
| units | perplexity $e^{\text{loss}}$, per token; bits per byte: all nats over $\ln 2$ and all bytes |
| floor | below the source's entropy there is only error; report the excess, word by word on the same text |
| neural bigram | gradient descent finds the frequencies; short vectors share what is alike |
| transfer | zero-shot: ask; feature-based: train on top; fine-tuning: train on |
"""

# %%
L.prove()
