# %% [markdown]
r"""
# Lesson 6. BERT

GPT reads from left to right because it is trained to write from left to right. Whoever only wants to *understand* a
text has all of it at once, and nothing has to be hidden. BERT (Devlin et al. 2019) is what the Transformer becomes
then.

This lesson proves:

- **L6.1** BERT's block is GPT-2's with three switches turned: the mask, the place of the norm, the form of GELU.
- **L6.2** In BERT every position reads every other one; in GPT none reads what follows. The Jacobian shows it.
- **L6.3** A model that reads both sides cannot learn from the next token: it reads it.
- **L6.4** What the blocks read is a normalized sum of three vectors: of the token, of its segment, of its position.
- **L6.5** Two texts become one input, [CLS] a [SEP] b [SEP], cut fairly where they are too long.
- **L6.6** One vector stands for the whole input: a layer on the last state of [CLS].
- **L6.7** WordPiece cuts a word into the longest pieces that it knows, from left to right, and never goes back.
- **L6.8** BERT-base has 109,482,240 parameters, every one of which you can account for.
"""

# %%
import math

import numpy as np

import minilm.functional as F
from minilm import Tensor, jacobian, models, nn, optim, text
from minilm.course import lesson
from minilm.course.figures import COLORS, MARKERS, STYLES, matrix, subplots

L = lesson("l06")
rng = np.random.default_rng(0)

# %% [markdown]
r"""
## L6.1 The same block, three switches turned

The Transformer of Vaswani et al. (2017) translates with two stacks. The *encoder* reads the whole source; the
*decoder* writes the target, reading what it has written and, by a second attention, the encoder's output. GPT keeps
the decoder and drops the encoder, and with it that second attention. BERT keeps the encoder and drops the decoder.
What is left in both cases is lesson 4's block, and between GPT-2 and BERT it differs in three switches:

| switch | GPT-2 | BERT |
|---|---|---|
| `causal` | position t reads 1 … t | position t reads all |
| `norm` | `"pre"`: before attention and before the MLP | `"post"`: after each sum, as in GPT-1 |
| `activation` | `"gelu_tanh"` | `"gelu"`, x Φ(x) itself |

(And ε of the norms, $10^{-5}$ or $10^{-12}$, which is a number and no switch.) We turn them one by one, with the same
weights.
"""
# %%
L.ask(
    "L6.1a",
    "Which switch changes how many parameters a block has?",
    {"the mask": None, "the place of the norm": "norm_inside_the_sum", "the form of GELU": None, "none of them": True},
)

# %%
D, H = 768, 12
switches = {"mask": {"causal": False}, "norm": {"norm": "post"}, "GELU": {"activation": "gelu"}}
switches["all three"] = {"causal": False, "norm": "post", "activation": "gelu"}
x = rng.standard_normal((1, 8, D)).astype(np.float32)


def block(**how):
    return nn.Block(D, H, np.random.default_rng(0), std=0.05, **how)


of_gpt2, counts = block()(x).numpy(), {block().num_parameters()}
for name, how in switches.items():
    turned = block(**how)
    counts.add(turned.num_parameters())
    print(f"{name:10} output moves by {np.linalg.norm(turned(x).numpy() - of_gpt2) / np.linalg.norm(of_gpt2):.1e}")

# %%
L.answer("L6.1a", "none of them" if len(counts) == 1 else "some")
L.said("7,087,872", counts.pop())

# %% [markdown]
r"""
A block of this width has $12 D^2 + 13 D$, that is 7,087,872, parameters, whatever the switches say. The three matter
very differently. The mask decides what can be known at all: that is the rest of this lesson. The place of the norm
decides how well a deep stack trains (lesson 4). The form of GELU matters to whoever compares with published numbers
(lesson 2).

Task L6.1 asks for this block, with one head and without biases.

## L6.2 What BERT sees and GPT cannot

Lesson 3 read a mask off the Jacobian. The same for whole models: let $x_s$ be what the first block reads at position
s and $h_t$ what the last one gives at position t. If $\partial h_t / \partial x_s = 0$, then nothing that stands at s
can influence what the model thinks at t. We take models of two layers with random weights: what is exactly 0 then is
0 by construction, and not by training.
"""
# %%
L.ask(
    "L6.2a",
    "In which entries (t, s) is BERT's Jacobian exactly 0?",
    {"in none": True, "above the diagonal, s > t": "causal_mask_kept", "on the diagonal": None},
)
L.ask(
    "L6.2b",
    "The last two positions are padding, and BERT is told so. Where is it 0 now?",
    {"in the rows of padding": "mask_on_the_readers", "in padding's columns, for real t": True, "nowhere": None},
)

# %%
words = ["[CLS]", "la", "vaca", "es", "roja", "[SEP]"]
sizes = {"vocab_size": 6, "context": 8, "width": 8, "layers": 2, "heads": 2, "initial_std": 0.3}


def influence(model, mask=None):
    """‖∂ h_t / ∂ x_s‖, a matrix (T, T)."""
    x = Tensor(model.embed(np.arange(6)[None]).numpy(), requires_grad=True)
    J = jacobian(model.transform(x, mask), x).numpy()[0, :, :, 0]  # (T, D, T, D)
    return np.sqrt((J**2).sum((1, 3)))


gpt, bert = models.GPT(models.GPTConfig(**sizes)), models.Bert(models.BertConfig(**sizes))
real = np.arange(6)[None] < 4
seen = {"GPT": influence(gpt), "BERT": influence(bert), "BERT, two of padding": influence(bert, real)}

# %%
fig, axes = subplots(1, 3, width=10.5, height=4)
for axis, (name, J) in zip(axes, seen.items(), strict=True):
    labels = words if "padding" not in name else [*words[:4], "[PAD]", "[PAD]"]
    matrix(axis, J / J.max(), rows=labels, columns=labels, title=name, xlabel="is read (s)", ylabel="reads (t)")
    axis.tick_params(axis="x", rotation=60)
L.figure(
    fig,
    "influence",
    "How much what stands at s moves what is thought at t, as a part of the largest entry; a cell without a number is exactly 0.",
)
of_gpt, of_bert, padded = seen.values()
assert (np.triu(of_gpt, 1) == 0).all() and (of_gpt[np.tri(6, dtype=bool)] > 0).all()
L.answer("L6.2a", "in none" if (of_bert > 0).all() else "somewhere")
columns_only = (padded[:4, 4:] == 0).all() and (padded[4:, :4] > 0).all()
L.answer("L6.2b", "in padding's columns, for real t" if columns_only else "elsewhere")

# %% [markdown]
r"""
In the left picture *es* knows nothing of *roja*. In the middle one it does: this is what is meant by *bidirectional*.
Nothing was added for it; a mask was taken away. On the right, no other position reads padding (what is left on its
diagonal is the residual path), but it reads: its rows are computed for nothing, and whoever takes a mean over all
positions afterwards must leave them out himself.

Two models, one from each side, do not give the same. Where GPT and a GPT that reads backwards are put side by side
(as ELMo does, with other networks: Peters et al. 2018, section 3.1), each still decides alone what to pass on. In
BERT the first layer already reads both sides of every word.

## L6.3 The price: it cannot learn from the next token

GPT learns by guessing the next token, at every position at once. BERT cannot: position t reads the very token that it
should guess. Lesson 3 tried masks on tokens drawn at random, in which nothing can be learned; here are whole models
on such noise, of eight tokens: one small GPT, trained twice, with its mask and with `causal=False`.
"""
# %%
L.ask(
    "L6.3a",
    "What loss does next-token training reach on noise, once the mask is taken away?",
    {
        "ln 8 = 2.08, as with the mask": None,
        "half of it: one side is noise": None,
        "nearly 0, but for the last position": True,
    },
)

# %%
V, T = 8, 8


def next_token_losses(causal, steps=300):
    draw = np.random.default_rng(0)
    model = models.GPT(models.GPTConfig(V, T, width=32, layers=1, heads=2, causal=causal, initial_std=0.1))
    optimizer, losses = optim.AdamW(list(model.named_parameters()), rate=1e-2), []
    for _ in L.steps(steps, f"next token, causal={causal}"):
        rows = draw.integers(0, V, (32, T + 1))
        loss = F.cross_entropy(model(rows[:, :-1]), rows[:, 1:])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


# %%
curves = {"with the mask (GPT)": next_token_losses(True), "without (as BERT reads)": next_token_losses(False)}
fig, axis = subplots(width=6.5, height=3.4)
for i, (name, losses) in enumerate(curves.items()):
    axis.plot(losses, color=COLORS[i], linestyle=STYLES[i], label=name)
axis.axhline(math.log(V), color="black", linewidth=0.8)
axis.text(300, math.log(V) - 0.06, "entropy of the source, ln 8", ha="right", va="top", fontsize=8)
axis.set(xlabel="update", ylabel="loss (nats per token)", ylim=(0, 2.6))
axis.legend(fontsize=8, loc="center right", frameon=False)
L.figure(fig, "noise", "Next-token training on noise: whoever falls below the line has read what it should guess.")
honest, cheat = (np.mean(losses[-50:]) for losses in curves.values())
L.said("2.08", math.log(V)), L.said("more than 2.0", honest), L.said("less than 0.5", cheat)
L.answer("L6.3a", "nearly 0, but for the last position" if cheat < 2 * math.log(V) / T else "more")

# %% [markdown]
r"""
The honest one stays above 2.0, at the 2.08 nats that nobody can beat; the other falls below 0.5. What remains is the
last position of the eight, whose next token stands outside the input: $\ln 8 / 8$; the rest is copied from the
position to the right, which teaches nothing about language. So BERT needs another task to learn from: hide some words
from *everybody* and guess those. That is lesson 7.

## L6.4 What goes in: three vectors, added

$$h_0[t] = N\big(E[\text{id}_t] + S[\text{segment}_t] + P[t]\big)$$

E and P are as in GPT. S, the *segment embedding*, has two rows, one for the first text and one for the second. And as
BERT's blocks normalize after each sum, this first sum is normalized too. This is the whole of it:
"""
# %%
L.show(models.Bert.embed)

# %%
ids = np.array([[0, 1, 2, 5, 1, 2, 5]])
one, two = np.zeros((1, 7), int), np.array([[0, 0, 0, 0, 1, 1, 1]])
h_one, h_two = (bert(ids, segments).hidden.numpy()[0] for segments in (one, two))
moved = np.linalg.norm(h_two - h_one, axis=1) / np.linalg.norm(h_one, axis=1)
print("how far each position moves when the second text is called second:", moved.round(2))
assert (moved > 0).all()

# %% [markdown]
r"""
A wrong segment is no detail: it moves every position, also those of the first text, for all of them read the second.
Nothing fails when you forget it: `segments=None` means that all is one text, and the model answers something else.

Positions go on through both texts: the second text does not begin again at 0. P has as many rows as the model can
read positions, 512 in BERT-base. A learned table knows nothing of a position that it has no row for.

## L6.5 Two texts, one input

BERT's tasks are about one text or two: is b a consequence of a, does b answer a? Both go in together, so that each
can read the other. [CLS] begins every input, [SEP] ends every text. A text that is too long loses tokens from its
end, one by one, always the text that is longer at that moment; for if a fixed part was cut from each, a short
question would be cut beside a long page.
"""
# %%
L.ask(
    "L6.5a",
    "a has 3 tokens, b has 9, and the row has room for 11. How many of b's stay?",
    {"4: each text gets half": "each_text_gets_half", "5": True, "8: the row is cut": "special_tokens_not_counted"},
)

# %%
special = {"[PAD]": 0, "[UNK]": 1, "[CLS]": 2, "[SEP]": 3, "[MASK]": 4}
a, b = [11, 12, 13], [21, 22, 23, 24, 25, 26, 27, 28, 29]
row = text.encode_pair(special, a, b, max_length=11)
print("position", *range(11), sep="\t")
print("token", *row.ids, sep="\t")
print("segment", *row.segments, sep="\t")
L.answer("L6.5a", sum(token > 20 for token in row.ids))

# %% [markdown]
r"""
The first [SEP] belongs to the first text, the last one to the second. Shorter inputs of a batch are filled with
[PAD], and a third list says which positions are real. These three lists, ids, segments and mask, are the interface of
every BERT; the frequent errors of this lesson are all about one of them being forgotten.

## L6.6 One vector for the whole

GPT's summary of a text is the state of its last token, the only one that has read everything. In BERT every position
has, so the place is a matter of agreement: the first, where [CLS] stands, which is a word without a meaning of its
own. The *pooler* makes the vector that a classifier reads: $\tanh(h_L[\text{CLS}]\,W + b)$.
"""
# %%
L.ask(
    "L6.6a",
    "On which positions of the input does the pooled vector depend?",
    {"on [CLS] alone": None, "on all": True, "on the last": "last_token_as_in_gpt"},
)

# %%
x = Tensor(bert.embed(np.arange(6)[None]).numpy(), requires_grad=True)
h = bert.transform(x)
by_input = abs(jacobian(bert.pool(h), x).numpy()[0, :, 0]).max((0, 2))
h = Tensor(h.numpy(), requires_grad=True)
by_last = abs(jacobian(bert.pool(h), h).numpy()[0, :, 0]).max((0, 2))
print(" " * 23, *(f"{word:>7}" for word in words))
print("of the last states     ", *(f"{v:7.4f}" for v in by_last))
print("of what the blocks read", *(f"{v:7.4f}" for v in by_input))
assert (by_last[1:] == 0).all()
L.answer("L6.6a", "on all" if (by_input > 0).all() else "on some")

# %% [markdown]
r"""
Of the last states only [CLS]'s counts; but that state has read all. What it has read, training must teach it: before
any training the summary is arbitrary, and after pretraining it is as good as the task that trained it (lessons 7, 8).

## L6.7 WordPiece

Lesson 5 learned merges and applied them in their order. WordPiece learns a vocabulary in a similar way (at each step
it joins the pair that most raises the likelihood of the text: Schuster and Nakajima 2012; Google never published the
program) but forgets the order. To cut a word, it takes the longest piece that begins it, then the longest that goes
on, written with `##`, and so forth. It never goes back; where nothing fits, the whole word becomes [UNK].
"""
# %%
L.ask(
    "L6.7a",
    "The vocabulary is a, ab, ##bc. What becomes of abc?",
    {"a ##bc": "going_back_when_stuck", "ab [UNK]": "unknown_for_the_rest_only", "[UNK]": True},
)

# %%
L.answer("L6.7a", " ".join(text.WordPiece(["[UNK]", "a", "ab", "##bc"], ["[UNK]"]).tokenize("abc")))
documents = text.load_corpus("pydocs").documents
with L.timed("learning a vocabulary"):
    learned = text.WordPiece.train(documents[:-6], 3000)
few = text.WordPiece(learned.tokens[:500])
for word in ("iteration", "iterators", "deserialization", "unhashable"):
    print(f"{word:16} of 500: {' '.join(few.tokenize(word)):44} of 3000: {' '.join(learned.tokenize(word))}")

# %% [markdown]
r"""
Pieces are in the order in which they were learned, so the first 500 of 3000 are a vocabulary as well. With a larger
one words come in fewer pieces, and the model reads further; but each piece costs a row of E. The figure shows it on
six documents that were held back.
"""
# %%
held = " ".join(documents[-6:])
words_of = learned.normalized(held).split()
vocabularies = [300, 500, 1000, 1500, 2000, 3000]
tokenizers = [text.WordPiece(learned.tokens[:n]) for n in vocabularies]
lengths = [[len(tokenizer.encode(w)) for w in words_of] for tokenizer in tokenizers]
fig, (left, right) = subplots(1, 2, width=8.5, height=3.2)
left.plot(vocabularies, [np.mean(n) for n in lengths], color=COLORS[0], marker=MARKERS[0])
left.set(xlabel="size of the vocabulary (pieces)", ylabel="pieces per word", ylim=(0, None))
for i, vocabulary in enumerate((0, 5)):
    shares = np.bincount(lengths[vocabulary], minlength=9)[1:9] / len(words_of)
    right.bar(np.arange(1, 9) + 0.4 * i - 0.2, shares, 0.4, color=COLORS[i], hatch=["", "///"][i], edgecolor="white",
              label=f"vocabulary of {vocabularies[vocabulary]}")  # fmt: skip
right.set(xlabel="pieces of a word", ylabel="part of the words")
right.legend(fontsize=8, frameon=False)
L.figure(fig, "pieces", "Words of held-back text in WordPieces: the larger the vocabulary, the fewer pieces.")

# %%
means = [np.mean(n) for n in lengths]
assert all(later < earlier for earlier, later in zip(means, means[1:], strict=False))
for word in ("Niño", "pingüino", "日本"):
    print(f"{word:10} {' '.join(learned.tokenize(word))}")

# %% [markdown]
r"""
A byte-level BPE can write any text; WordPiece has [UNK], and what is lost there no later layer finds again. It also
*normalizes* first: BERT's uncased models write everything small and take the accents off, so that in Spanish *hacía*
and *hacia* become one word. With `lower=True, strip_accents=False` they stay two.

## L6.8 One hundred and nine million, counted

Everything is on the table now. Per block $12 D^2 + 13 D$ as in lesson 4; three tables; a norm after their sum; a
pooler. No norm at the end, since BERT's blocks end with one.

$$ (V + C + 2)\,D + 2D + L\,(12 D^2 + 13 D) + D^2 + D $$
"""
# %%
L.ask(
    "L6.8a",
    "GPT-2 has 124,439,808 parameters. What makes BERT-base smaller, at the same width and depth?",
    {"its blocks": None, "its vocabulary and its context": True, "that it has no output layer": None},
)

# %%
c = models.bert_config("bert-base-uncased")
V, C, D = L.said("30,522", c.vocab_size), L.said("512", c.context), c.width
parts = {"tokens": V * D, "positions": C * D, "segments and their norm": 2 * D + 2 * D}
parts |= {"blocks": c.layers * (12 * D * D + 13 * D), "pooler": D * D + D}
gpt2 = {"tokens": 50257 * D, "positions": 1024 * D, "blocks": parts["blocks"], "final norm": 2 * D}
L.said("109,482,240", sum(parts.values())), L.said("108,891,648", sum(parts.values()) - parts["pooler"])
L.said("124,439,808", sum(gpt2.values())), L.said("85,054,464", parts["blocks"])
L.said("78 %", parts["blocks"] / sum(parts.values())), L.said("21 %", parts["tokens"] / sum(parts.values()))
smaller = parts["tokens"] + parts["positions"] - gpt2["tokens"] - gpt2["positions"]
L.answer("L6.8a", "its vocabulary and its context" if smaller < sum(parts.values()) - sum(gpt2.values()) else "else")

# %%
model = models.Bert(c)
assert model.num_parameters() == sum(parts.values())
fig, axis = subplots(width=8, height=2.6)
hatches = {"tokens": "", "positions": "///", "blocks": "", "pooler": "\\\\\\"}
for y, counted in enumerate((gpt2, parts)):
    left = 0
    for i, part in enumerate(hatches):
        n = counted.get(part, 0) / 1e6
        axis.barh(y, n, left=left, color=COLORS[i], hatch=hatches[part], edgecolor="white", label=part if y else None)
        if n > 20:
            axis.text(left + n / 2, y, f"{part}\n{n:.1f}", ha="center", va="center", color="white", fontsize=8)
        left += n
# %%
axis.set(xlabel="parameters (millions)", xlim=(0, 130), yticks=[0, 1], yticklabels=["GPT-2", "BERT-base"])
axis.legend(fontsize=8, ncols=4, loc="lower center", bbox_to_anchor=(0.5, 1.0), frameon=False)
L.figure(
    fig, "parts", "Where the parameters of GPT-2 and BERT-base are; what is below a tenth of a million is left out."
)

# %% [markdown]
r"""
The model that we have just made has exactly as many numbers: 109,482,240, with 108,891,648 of them below the pooler.
GPT-2, with 124,439,808, has the same 85,054,464 in its blocks. In BERT-base they are 78 % of the whole, and the token
table is 21 %. It is the smaller one by its vocabulary, 30,522 pieces, and its context, 512 positions. The paper
prints 110M (Devlin et al. 2019, section 3), and so rounds the model with both heads of its pretraining. It has the
width and the depth of GPT-1, so that the two can be compared (Devlin et al. 2019, section 3): what differs is what a
position may read.

## What goes wrong in practice

- **Segments forgotten.** An example that extracts features passed no segments, so two texts were read as one
  ("potential bug in extract_features.py", huggingface/transformers#263).
- **Arguments swapped.** Segments passed by place arrived as the attention mask, so the first text was hidden, and the
  model was sure of nonsense ("BertForNextSentencePrediction is giving high score for non similar sentences",
  huggingface/transformers#1788). Pass both by name.
- **No mask for padding.** With other batches the same text gets other vectors ("PAD symbols change the output",
  huggingface/transformers#278; "Post-padding affects the Bert embedding output", huggingface/transformers#2860).
- **More than 512 tokens.** Pieces are counted, not words, and the table of positions ends ("what is the max length of
  the context?", google-research/bert#190).
- **Capitals and accents.** Lower-casing also strips accents ("do_lower_case strips accents!",
  huggingface/transformers#2742); and where an uncased vocabulary is read without it, every word with a capital is
  [UNK] ("Logic behind [UNK] token for pronouns", digitalepidemiologylab/covid-twitter-bert#5).
- **Pooled is not [CLS].** The pooled vector has gone through one more layer ("Pooled output is different from first
  vector of sequence output", google-research/bert#1067).

## Sources

Devlin, Chang, Lee and Toutanova (2019), *BERT: pre-training of deep bidirectional Transformers for language
understanding*, NAACL. Vaswani et al. (2017), *Attention is all you need*. Radford et al. (2018, 2019), GPT-1 and
GPT-2. Peters et al. (2018), *Deep contextualized word representations*. Schuster and Nakajima (2012), *Japanese and
Korean voice search*. Hendrycks and Gimpel (2016), *Gaussian error linear units*.

## Summary

- Encoder kept, decoder dropped. One block: `causal=False, norm="post", activation="gelu"`; $12 D^2 + 13 D$
  parameters.
- Information: GPT's Jacobian is lower triangular, BERT's is full; padding's columns are 0 where real positions read.
- A position that reads both sides reads its own target: next-token loss falls below the entropy. Another task is
  needed.
- Input: $N(E[\text{id}] + S[\text{segment}] + P[t])$; [CLS] a [SEP] b [SEP]; segment 0 up to the first [SEP], then 1;
  positions run on; the longer text is cut.
- Output: a state for each position, and $\tanh(h_L[\text{CLS}]\,W + b)$ for the whole.
- WordPiece: longest piece first, `##` for what goes on, one [UNK] for a word that cannot be cut, no way back.
- $(V + C + 2) D + 2D + L (12 D^2 + 13 D) + D^2 + D$ = 109,482,240 for BERT-base.
"""
# %%
L.prove()
