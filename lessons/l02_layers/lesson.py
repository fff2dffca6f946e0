# %% [markdown]
r"""
# Lesson 2. Layers

Most of what a GPT or a BERT is made of is in this lesson: a handful of functions, each with a gradient that fits on a
line and a way to go wrong that no loss curve shows. At the end they are put together to a language model that learns
text. The lesson proves:

- **L2.1** An embedding is a linear layer on one-hot rows, done as a lookup; repeated rows add their gradients.
- **L2.2** The gradient of softmax and cross-entropy together is p − y, and neither needs large exponentials.
- **L2.3** GELU lets x pass by the share Φ(x); its two forms differ by less than a thousandth, and are not the same.
- **L2.4** Two mean terms in a layer norm's gradient take off its part along the constant and along the output.
- **L2.5** A residual step can begin as the identity; a linear layer multiplies sizes by its weights' std times √n.
- **L2.6** Inverted dropout leaves the mean as it is, so that evaluation needs nothing.
- **L2.7** AdamW's step is blind to the gradient's scale, and its decay to the gradient.
- **L2.8** An MLP on concatenated embeddings knows the order of its context.
- **L2.9** Trained on text, it predicts unseen text better than counts of pairs do.
"""

# %%
import math

import numpy as np

import minilm as ml
import minilm.functional as F
from minilm import nn
from minilm.course import lesson
from minilm.course.figures import COLORS, MARKERS, STYLES, subplots

L = lesson("l02")
rng = np.random.default_rng(0)

# %% [markdown]
r"""
## L2.1 Linear layers, and the lookup that is one

A **linear layer** is $y = x W + b$, with $W$ of shape (in, out): one row of weights for each number that comes in.
Its gradients are those of lesson 0: two matrix products and, for $b$, which was broadcast over the rows, a sum.

Text is no vector but ids. Write id $v$ as a **one-hot** row $e_v$, all zeros but a 1 at $v$; then $e_v W$ is simply
row $v$ of $W$. So the first layer of a language model, the **embedding**, is a linear layer that is never multiplied
out: it looks up.
"""
# %%
L.show(nn.Linear, nn.Embedding)

E = nn.Embedding(6, 2, rng, std=1.0)
ids = np.array([2, 5, 2])
one_hot = np.eye(6, dtype=np.float32)[ids]
print("lookup − product:", L.said("0", np.abs(E(ids).numpy() - one_hot @ E.weight.numpy()).max()))
V, D = 50_257, 768
print(f"operations for one token of {V:,}: {2 * V * D:,} as a product, {D} numbers copied as a lookup")
L.said("77,194,752", 2 * V * D)

# %% [markdown]
r"""
The two agree to 0, and at the sizes of a small GPT the lookup spares 77,194,752 operations a token. The gradient is
the product's as well, $\bar W = E_{\text{ids}}^\top \bar y$: every place adds its cotangent to the row that it looked
up. **Predict** what NumPy's indexed addition makes of token 2, which occurs twice.
"""
# %%
L.ask("L2.1a", "ids = [2, 5, 2], each place sends [1, 1]: after gradient[ids] += g, row 2 of the gradient is:",
      {"[2, 2]": "fancy_addition", "[1, 1]": True, "an error": None})  # fmt: skip

# %%
g = np.ones((3, 2))
gradient = np.zeros((6, 2))
gradient[ids] += g
L.answer("L2.1a", str(gradient[2].astype(int).tolist()))

E(ids).backward(g)
print("minilm's engine:", E.weight.grad.numpy()[2], "  one-hot product:", (one_hot.T @ g)[2])

# %% [markdown]
r"""
`gradient[ids] += g` reads the rows, adds, and writes back: the second write replaces the first. In a batch of text
most tokens are repetitions, and what is lost is most of the gradient of the frequent ones.

## L2.2 Cross-entropy and its gradient p − y

The last layer gives a **logit** $z_v$ for every token; softmax makes them probabilities, and the loss of a place
whose next token is $y$ is $-\ln p_y$. Put together, the exponential cancels:

$$\ell = -\ln \frac{e^{z_y}}{\sum_v e^{z_v}} = \ln \sum_v e^{z_v} - z_y, \qquad
\frac{\partial \ell}{\partial z_v} = \frac{e^{z_v}}{\sum_u e^{z_u}} - [v = y] = p_v - [v = y].$$

Each logit is pushed by what the model said minus what was so; the pushes sum to zero. **Predict** for
$p = (0.7, 0.2, 0.1)$ where the second token was right.
"""
# %%
L.ask("L2.2a", "p = (0.7, 0.2, 0.1), the second token was right. The gradient by the logits is:",
      {"[0.7, 0.2, 0.1]": "p_alone", "[0.0, -5.0, 0.0]": "gradient_by_the_probability",
       "[0.7, -0.8, 0.1]": True, "[-0.7, 0.8, -0.1]": "y_minus_p"})  # fmt: skip

# %%
z = ml.Tensor(np.log([[0.7, 0.2, 0.1]]), requires_grad=True)
F.cross_entropy(z, np.array([1])).backward()
L.answer("L2.2a", str(z.grad.numpy()[0].round(9).tolist()))

wild = np.array([[1000.0, 0.0]])
with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
    naive = -np.log(np.exp(wild) / np.exp(wild).sum())[0, 1]
print("logits (1000, 0), the second was right: by the formula as it stands", naive,
      " by minilm", F.cross_entropy(ml.Tensor(wild), np.array([1])).item())  # fmt: skip

# %% [markdown]
r"""
$e^{1000}$ is infinite in floating point. As all logits of a row may be shifted by the same number, subtract the
largest: then the largest exponential is 1. And take $z_y - \ln\sum e^z$, never the logarithm of a softmax, whose
small entries have become 0 before the logarithm sees them.

A check that costs nothing: a model that has learned nothing gives all $V$ tokens the same probability, so its first
loss is $\ln V$.
"""
# %%
V = 65
untrained = nn.Linear(32, V, rng)(rng.standard_normal((500, 32)).astype(np.float32))
first = F.cross_entropy(untrained, rng.integers(0, V, 500)).item()
print(f"first loss {first:.3f}, ln {V} = {L.said('4.174', math.log(V)):.3f}")
L.said("less than 0.05", abs(first - math.log(V)))

# %% [markdown]
r"""
For a vocabulary of 65 that is 4.174, and the first loss is within 0.05 of it. A first loss of twice that much means
logits that are too large, and a smaller one means that the answer leaks.

## L2.3 GELU

Without something that bends between them, two linear layers are one. **GELU** multiplies $x$ by the share of a normal
distribution that lies below it (Hendrycks and Gimpel 2016):

$$\mathrm{gelu}(x) = x\,\Phi(x) = \tfrac{x}{2}\bigl(1 + \operatorname{erf}(x/\sqrt 2)\bigr) \;\approx\;
\tfrac{x}{2}\Bigl(1 + \tanh\bigl(\sqrt{2/\pi}\,(x + 0.044715\,x^3)\bigr)\Bigr).$$

GPT's code uses the form with tanh, BERT's paper names the exact one. **Predict** its slope at 0.
"""
# %%
L.ask("L2.3a", "The slope of GELU at x = 0 is:", {"0": "relu_for_gelu", "0.5": True, "1": None})

# %%
at = ml.Tensor(np.linspace(-4, 4, 321), requires_grad=True)
curves, slopes = {}, {}
for name, f in {
    "tanh form": F.gelu,
    "exact": lambda x: F.gelu(x, "none"),
    "max(x, 0)": lambda x: F.maximum(x, 0),
}.items():
    y = f(at)
    curves[name], slopes[name] = y.numpy(), ml.grad(y, at, np.ones(321)).numpy()
L.answer("L2.3a", f"{slopes['tanh form'][160]:g}")

# %%
gap = np.abs(curves["tanh form"] - curves["exact"])
print(f"the forms differ by at most {gap.max():.1e}, at |x| = {abs(at.numpy()[gap.argmax()]):.2f}")
L.said("less than 0.0005", gap.max())
one = ml.Tensor(np.array([1.0]))
print("gelu(1):", L.said("0.84119", F.gelu(one).item()), L.said("0.84134", F.gelu(one, "none").item()))

# %%
fig, axes = subplots(1, 3, width=10, height=3.2)
for i, name in enumerate(curves):
    axes[0].plot(at.numpy(), curves[name], color=COLORS[i], linestyle=STYLES[i], label=name)
    axes[1].plot(at.numpy(), slopes[name], color=COLORS[i], linestyle=STYLES[i], label=name)
axes[2].plot(at.numpy(), 1000 * (curves["tanh form"] - curves["exact"]), color=COLORS[0])
for one_axes, ylabel, title in zip(axes, ("y", "dy/dx", "1000 × difference of y"),
                                   ("value", "slope", "tanh form − exact"), strict=True):  # fmt: skip
    one_axes.set(xlabel="x", ylabel=ylabel, title=title)
axes[0].legend(frameon=False, fontsize=8)
L.figure(fig, "gelu", "GELU, its slope, and what its two forms differ by; the slope is below 0 left of the minimum.")

# %% [markdown]
r"""
Less than 0.0005 anywhere: no training notices, and a test against someone's published weights does. At 1 the two are
0.84119 and 0.84134, which tells them apart.

## L2.4 Layer norm and its two mean terms

A **layer norm** brings each vector of $D$ numbers to mean 0 and variance 1 (Ba et al. 2016), then lets a weight and a
bias for each coordinate undo that where it helps:

$$y = \frac{x - \mu}{r}, \quad r = \sqrt{\sigma^2 + \varepsilon}, \qquad
\bar x = \frac{1}{r}\Bigl(\bar y - \operatorname{mean}(\bar y) - y \operatorname{mean}(\bar y \odot y)\Bigr).$$

The formula can be had without algebra. Add the same to all of $x$: $y$ stays, so $\bar x$ can have no part along
$(1, \dots, 1)$. Make $x - \mu$ longer: $y$ stays (for $\varepsilon = 0$), so $\bar x$ can have no part along $y$.
What is left of $\bar y / r$ when these two parts are taken off is the gradient; each is one of the mean terms.
Whoever takes $\mu$ and $\sigma$ for constants forgets both. **Predict** how wrong that is for a width of 768 and a
random cotangent.
"""
# %%
L.ask("L2.4a", "Without the two mean terms, at D = 768, the gradient is wrong by about:",
      {"0.1 %": None, "5 %": True, "50 %": None, "100 %": "no_mean_terms"})  # fmt: skip


# %%
def wrong_by(D, mean=False, along=False, rows=200):
    """The relative error of layer norm's gradient with only those of its two mean terms."""
    x, g = ml.Tensor(rng.standard_normal((rows, D)), requires_grad=True), rng.standard_normal((rows, D))
    y = F.layer_norm(x, None, None, 1e-12)
    (right,), y = [t.numpy() for t in ml.grad(y, [x], g)], y.numpy()
    part = g - mean * g.mean(-1, keepdims=True) - along * y * (g * y).mean(-1, keepdims=True)
    wrong = part / np.sqrt(x.numpy().var(-1, keepdims=True))
    return math.sqrt(((wrong - right) ** 2).sum() / (right**2).sum())


widths = 2 ** np.arange(2, 11)
L.answer("L2.4a", f"{wrong_by(768):.0%}".replace("%", " %"))
L.said("less than 1e-9", wrong_by(768, mean=True, along=True))
L.said("5 %", wrong_by(768))

# %%
fig, axes = subplots(width=6, height=3.6)
kinds = {"neither term": {}, "only mean(ȳ)": {"mean": True}, "only y mean(ȳ ⊙ y)": {"along": True}}
for i, (name, terms) in enumerate(kinds.items()):
    axes.loglog(widths, [wrong_by(D, **terms) for D in widths], color=COLORS[i], linestyle=STYLES[i],
                marker=MARKERS[i], markersize=4, label=name)  # fmt: skip
axes.loglog(widths, np.sqrt(2 / widths), color=COLORS[5], linewidth=1, label="√(2/D)")
axes.set_xticks(widths, widths)
axes.set_yticks([0.03, 0.1, 0.3, 1], ["0.03", "0.1", "0.3", "1"])
axes.minorticks_off()
axes.set(xlabel="width D", ylabel="relative error of the gradient", title="Layer norm without its mean terms")
axes.legend(frameon=False, fontsize=8)
L.figure(fig, "norm", "A gradient without the mean terms comes nearer to the right one as the layer grows wider.")

# %% [markdown]
r"""
About 5 %, no more, since only two directions of 768 are wrong. A loss that falls says nothing about such a gradient;
a check of it does. With both terms the error is less than 1e-9.

## L2.5 Residuals, and how weights begin

Let the entries of $x$ have size 1 and those of $W$ be independent with mean 0. Then each output is a sum of $n$ terms
of variance $\mathrm{std}^2$: its size is $\mathrm{std}\sqrt n$. Thirty layers multiply thirty such factors, and GELU
adds one below 1. **Predict** for GPT's 0.02 (Radford et al. 2018, section 4.1) and a width of 128.
"""
# %%
L.ask("L2.5a", "Size 1, then 30 times linear (128 to 128, std 0.02) and GELU. What comes out has the size:",
      {"about 1": None, "about 1e-3": None, "below 1e-20": True})  # fmt: skip


# %%
def through(depth, std, layer):
    """Sizes of what each layer gives, and of the cotangents that each receives, from first to last."""
    x = ml.Tensor(rng.standard_normal((64, 128)), requires_grad=True)
    stages = [x]
    for _ in range(depth):
        stages.append(layer(stages[-1], nn.Linear(128, 128, rng, std=std).astype(np.float64)))
    back = ml.grad(stages[-1], stages[:-1], rng.standard_normal((64, 128)))
    return [s.numpy().std() for s in stages], [g.numpy().std() for g in back]


# %%
norm = nn.LayerNorm(128).astype(np.float64)


def plain(x, linear):
    return F.gelu(linear(x))


def residual(x, linear):
    return x + F.gelu(linear(norm(x)))


ways = {"std 0.02": (0.02, plain), "std 1/√n": (128**-0.5, plain), "std √(2/n)": ((2 / 128) ** 0.5, plain),
        "std 0.02, x + f(norm x)": (0.02, residual)}  # fmt: skip
sizes = {name: through(30, *way) for name, way in ways.items()}
L.answer("L2.5a", "below 1e-20" if sizes["std 0.02"][0][-1] < 1e-20 else "about 1e-3")

# %%
fig, axes = subplots(1, 2, width=9, height=3.4)
for i, (name, (forward, back)) in enumerate(sizes.items()):
    style = {"color": COLORS[i], "linestyle": STYLES[i], "marker": MARKERS[i], "markersize": 3, "label": name}
    axes[0].semilogy(range(31), forward, **style)
    axes[1].semilogy(range(30), back, **style)
axes[0].set(xlabel="layer", ylabel="standard deviation of its output", title="forward", ylim=(1e-15, 10))
axes[1].set(xlabel="layer", ylabel="standard deviation of its cotangent", title="backward", ylim=(1e-15, 10))
axes[1].legend(frameon=False, fontsize=8, loc="lower left")
L.figure(fig, "depth", "What 30 layers do to values and to gradients: without residuals all hangs on the beginning.")
forward, back = sizes["std 0.02, x + f(norm x)"]
print(f"with residuals: forward × {L.said('less than 3', forward[-1] / forward[0]):.2f}, "
      f"backward × {L.said('less than 3', back[0] / back[-1]):.2f}")  # fmt: skip

# %% [markdown]
r"""
The **initialisation** decides whether a plain stack can learn at all. $\sqrt{2/n}$ (He et al. 2015) is made for
functions that pass half, and holds out longest. A **residual** step, $x + f(x)$, needs no such luck: its Jacobian is
$1 + J_f$, so of the paths of lesson 0 one leads past every $f$, and values and gradients both change by a factor less
than 3 over all 30. With $f = 0$ at the beginning the step *is* the identity. Later GPTs divide the std of the last
layer of each $f$ by the root of their number, since that many outputs are added up (Radford et al. 2019, section
2.3).

## L2.6 Dropout

In training, **dropout** sets each entry to 0 with probability $p$, so that no unit can rely on another being there
(Srivastava et al. 2014). What is kept is divided by $1 - p$: the mean over all draws is then $x$ itself, and at
evaluation there is nothing to do. **Predict** what happens to a sum if that division is forgotten.
"""
# %%
L.ask("L2.6a", "Trained with p = 0.5 and no division, then evaluated: a sum of many units is, compared with training:",
      {"of the same size": "not_rescaled", "twice as large": True, "half as large": None})  # fmt: skip

# %%
units = np.ones((2000, 256))
keep = rng.random(units.shape) > 0.5
forgotten = units.sum(1).mean() / (units * keep).sum(1).mean()
L.answer("L2.6a", "twice as large" if 1.9 < forgotten < 2.1 else f"{forgotten:.2f} times")

layer = nn.Dropout(0.5).set_generator(np.random.default_rng(0))
ones = ml.Tensor(units)
print(f"minilm: mean in training {layer(ones).numpy().mean():.3f},", "at evaluation", layer.eval()(ones).numpy().mean())

# %% [markdown]
r"""
## L2.7 Adam, then AdamW

Gradient descent, $p \leftarrow p - \eta g$, takes long steps where the loss is steep and short ones where it is flat,
the opposite of what is wanted; and one $\eta$ must serve layers whose gradients differ a thousandfold. So give up the
size of $g$ and keep its sign: $p \leftarrow p - \eta\, g / |g|$. But $g$ is the gradient of a batch, the true one
plus noise; so take means over the last steps, of $g$ and of $g^2$:

$$m \leftarrow \beta_1 m + (1 - \beta_1) g, \qquad v \leftarrow \beta_2 v + (1 - \beta_2) g^2, \qquad
p \leftarrow p - \eta\,\frac{\hat m}{\sqrt{\hat v} + \varepsilon}.$$

Where $g$ keeps its sign that is a step of about $\eta$; where it is mostly noise, $|\hat m| \ll \sqrt{\hat v}$ and
the step is small. Both means begin at 0, so after $t$ steps their weights add up to $1 - \beta^t$, not to 1: dividing
by that, $\hat m = m / (1 - \beta_1^t)$ and $\hat v = v / (1 - \beta_2^t)$, makes them means. That is **Adam** (Kingma
and Ba 2015). **Predict** its first step.
"""
# %%
L.ask("L2.7a", "The first gradient is 1e-6, the rate 0.001. The first step of Adam has the length:",
      {"1e-9": None, "0.0001": None, "0.001": True, "0.00316": "no_bias_correction"})  # fmt: skip


# %%
def first_step(**how):
    p = nn.Parameter(np.array([1.0]))
    optimizer = ml.optim.AdamW([p], rate=0.001, betas=(0.9, 0.999), epsilon=1e-14, decay=0.0, **how)
    p.grad = ml.Tensor(np.array([1e-6]))
    optimizer.step()
    return 1 - p.item()


L.answer("L2.7a", f"{first_step():.3g}")
print(f"without bias correction {L.said('0.00316', first_step(bias_correction=False)):.5f}")

# %% [markdown]
r"""
Without the correction the first step is 0.00316, more than three times too long, just when the least is known.
(BERT's own code leaves it out.)

**Weight decay** pulls parameters towards 0. For plain descent that is the same as a loss with
$\frac{\lambda}{2}|p|^2$ added, whose gradient is $\lambda p$. For Adam it is not: $\lambda p$ goes through $m$ and is
divided by $\sqrt{\hat v}$ with the rest, so weights with large gradients hardly decay. **AdamW** (Loshchilov and
Hutter 2019) decays outside: $p \leftarrow (1 - \eta\lambda)\,p - \eta\,\hat m/(\sqrt{\hat v} + \varepsilon)$. The
same five weights under both, their gradients pure noise of five sizes:
"""


# %%
def decayed(scales, coupled, steps=2000, rate=1e-3, decay=0.1):
    """What is left of weights of 1 whose gradients are noise of those scales."""
    noise = np.random.default_rng(1)
    p = nn.Parameter(np.ones((200, len(scales))))
    optimizer = ml.optim.AdamW([p], rate=rate, betas=(0.9, 0.999), decay=0.0 if coupled else decay)
    for _ in range(steps):
        g = noise.standard_normal(p.shape) * scales
        p.grad = ml.Tensor(g + decay * p.numpy() if coupled else g)
        optimizer.step()
    return p.numpy().mean(0)


scales = np.array([0.01, 0.1, 1.0, 10.0, 100.0])
inside, outside = decayed(scales, True), decayed(scales, False)
print("decay in the gradient:", inside.round(3), "\ndecay outside:        ", outside.round(3))
L.said("0.82", math.exp(-0.2))
L.said("0.82", outside.mean())

# %%
fig, axes = subplots(1, 2, width=9, height=3.4)
for i, (name, left) in enumerate((("λ p in the gradient", inside), ("AdamW", outside))):
    axes[0].semilogx(scales, left, color=COLORS[i], linestyle=STYLES[i], marker=MARKERS[i], label=name)
axes[0].axhline(math.exp(-0.2), color=COLORS[5], linewidth=1, label="exp(−rate · decay · steps)")
axes[0].set(xlabel="size of the gradient's noise", ylabel="what is left of a weight of 1", title="Two decays")
axes[0].legend(frameon=False, fontsize=8, loc="center right")
for i, (name, make) in enumerate({"plain descent": lambda p: ml.optim.SGD([p], rate=0.018),
                                  "Adam": lambda p: ml.optim.AdamW([p], rate=0.1, decay=0.0)}.items()):  # fmt: skip
    p, path = nn.Parameter(np.array([-4.0, 0.5])), []
    optimizer = make(p)
    for _ in range(60):
        path.append(p.numpy().copy())
        p.grad = ml.Tensor(np.array([1.0, 100.0]) * p.numpy())
        optimizer.step()
    axes[1].plot(*np.transpose(path), color=COLORS[i], linestyle=STYLES[i], marker=MARKERS[i], markersize=3, label=name)

# %%
a, b = np.meshgrid(np.linspace(-4.5, 1, 80), np.linspace(-0.6, 0.6, 80))
axes[1].contour(a, b, (a * a + 100 * b * b) / 2, levels=[0.2, 1, 3, 6, 10, 15], colors=COLORS[5], linewidths=0.6)
axes[1].set(xlabel="flat direction", ylabel="steep direction", title="60 steps on (a² + 100 b²) / 2")
axes[1].legend(edgecolor="none", framealpha=1, fontsize=8, loc="lower right")
L.figure(fig, "adam", "Left: weights after 2000 steps of decay under noise. Right: two optimisers in a narrow valley.")

# %% [markdown]
r"""
Outside the gradient all five end at 0.82, which is $e^{-0.2}$. Inside it, the weight with the least noise is all but
gone and the one with the most has hardly moved. In the valley, plain descent swings across the steep direction and
creeps along the flat one; Adam goes along both at the same pace.

## L2.8 A language model of these parts

The oldest neural language model (Bengio et al. 2003) looks up the last $C$ tokens, lays their embeddings end to end,
and puts an MLP on top. A linear layer on a concatenation is the sum of one linear layer for each place, each with its
own part of the rows of $W$, and so it is written here; what follows are residual steps, each with a layer norm first.
"""


# %%
class MLPLanguageModel(nn.Module):
    """ids (B, C) → logits (B, V): the next token, from the last C."""

    def __init__(self, V, C, D, width, depth, rng, dropout=0.1):
        self.embed = nn.Embedding(V, D, rng, std=1.0)
        self.places = [nn.Linear(D, width, rng, std=(C * D) ** -0.5) for _ in range(C)]
        self.mlps = [nn.MLP(width, 2 * width, rng, std=width**-0.5, dropout=dropout) for _ in range(depth)]
        self.norms = [nn.LayerNorm(width) for _ in range(depth + 1)]
        self.out = nn.Linear(width, V, rng)

    def __call__(self, ids):
        x = sum(place(self.embed(ids[:, c])) for c, place in enumerate(self.places))
        for norm, mlp in zip(self.norms, self.mlps, strict=False):
            x = x + mlp(norm(x))
        return self.out(self.norms[-1](x))


# %%
train, valid = ml.text.load_corpus("pydocs").split(0.1)
tokenizer = ml.text.CharTokenizer.train("\n\n".join(train), unknown=True)
train, valid = (np.array(tokenizer.encode("\n\n".join(part))) for part in (train, valid))
V, C = tokenizer.vocab_size, 8
model = MLPLanguageModel(V, C, 16, 128, 2, np.random.default_rng(0)).set_generator(np.random.default_rng(1))
print(f"{len(train):,} characters to train on, {len(valid):,} to test; V = {V}, {model.num_parameters():,} parameters")


def loss_at(model, tokens, at):
    """Mean cross-entropy of the characters at + C, each from the C before it."""
    return F.cross_entropy(model(tokens[at[:, None] + np.arange(C)]), tokens[at + C])


tests = np.random.default_rng(2).integers(0, len(valid) - C, 4000)
print(f"first loss {loss_at(model.eval(), valid, tests).item():.2f}, ln V = {math.log(V):.2f}")

# %% [markdown]
r"""
The text is the documentation that comes with Python, in characters; its last tenth is kept for the test. Before
training: does the model know in which order its context came? Turn each context round and see whether the logits
move.
"""
# %%
context = valid[tests[:200, None] + np.arange(C)]
with ml.no_grad():
    moved = np.abs(model(context).numpy() - model(context[:, ::-1].copy()).numpy()).mean()
    swapped = MLPLanguageModel(V, C, 16, 128, 2, np.random.default_rng(0)).eval()
    swapped.places = swapped.places[::-1]
    same = np.abs(model(context).numpy() - swapped(context[:, ::-1].copy()).numpy()).max()
print(f"mean change {moved:.3f}; with the places' weights turned round as well {same:.0e}")
L.said("more than 0.01", moved)
L.said("less than 1e-4", same)

# %% [markdown]
r"""
The logits move by more than 0.01, and if the weights of the places are turned round along with the context, by less
than 1e-4, which is rounding. Order is known by nothing but which weights a token meets. So every place needs weights
of its own, and what is learned of a word at one place must be learned again at the next.

## L2.9 It learns

Training is what it will be for GPT: a random batch, the loss, one walk back, one step of AdamW, with a rate that
falls towards the end. The lines to beat are counts, smoothed a little, of single characters and of pairs.
**Predict.**
"""
# %%
L.ask(
    "L2.9a",
    "On unseen text, in nats per character, the MLP of 8 characters ends:",
    {"between single characters and pairs": None, "level with pairs": None, "more than 0.5 below pairs": True},
)

# %%
optimizer = ml.optim.AdamW(model.named_parameters(), rate=3e-3, decay=0.01)
draws, steps, curve = np.random.default_rng(3), 1500, []
for step in L.steps(steps, "training the MLP"):
    optimizer.zero_grad()
    loss_at(model.train(), train, draws.integers(0, len(train) - C, 256)).backward()
    optimizer.step(rate=3e-3 * (1 - step / steps) + 1e-5)
    if step % 100 == 0 or step == steps - 1:
        with ml.no_grad():
            curve.append((step + 1, loss_at(model.eval(), valid, tests).item()))

# %%
singles = np.bincount(train, minlength=V) + 0.1
pairs = np.full((V, V), 0.1)
np.add.at(pairs, (train[:-1], train[1:]), 1)
targets, before = valid[tests + C], valid[tests + C - 1]
by_singles = -np.log(singles / singles.sum())[targets].mean()
by_pairs = -np.log(pairs / pairs.sum(1, keepdims=True))[before, targets].mean()
final = curve[-1][1]
print(f"single characters {by_singles:.3f}   pairs {by_pairs:.3f}   MLP {final:.3f}")
L.said("more than 0.5", by_pairs - final)
L.answer("L2.9a", "more than 0.5 below pairs" if by_pairs - final > 0.5 else "level with pairs")

# %%
fig, axes = subplots(width=6.5, height=3.8)
axes.plot(*np.transpose(curve), color=COLORS[0], marker=MARKERS[0], markersize=4, label="MLP of 8 characters")
for i, (name, level) in enumerate({"ln V": math.log(V), "single characters": by_singles, "pairs": by_pairs}.items(), 1):
    axes.axhline(level, color=COLORS[i], linestyle=STYLES[i], label=name)
axes.set(xlabel="training steps (256 contexts each)", ylabel="nats per character, unseen text", ylim=(0, None),
         title="An MLP language model on Python's documentation")  # fmt: skip
axes.legend(frameon=False, fontsize=8, loc="lower left", bbox_to_anchor=(0.1, 0.02))
L.figure(fig, "training", "The loss on unseen text falls from ln V past counts of single characters and of pairs.")

# %% [markdown]
r"""
It ends more than 0.5 nats below the pairs. What it cannot do is look further back than its $C$ characters, or use at
one place what it learned at another.

## What goes wrong in practice

- *Repeated ids.* Embedding gradients that keep only one of several lookups have been found in autograd
  (HIPS/autograd#39, “numpy.take and duplicate indices”), in PyTorch (pytorch/pytorch#1528, “LongTensor indexing with
  duplication not propagating gradients”) and again, years later, in a new backend (pymc-devs/pytensor#2242).
- *Large logits.* A hand-made cross-entropy turned to NaN after long training (tensorflow/models#181); PyTorch's own
  lost all digits for very large ones (pytorch/pytorch#11752).
- *Softmax twice.* A model that ends in a softmax and a loss that begins with one train, slowly and badly
  (bkitano/llama-from-scratch#5; bowang-lab/Transformer-GCN-QA#32, “Removes erroneous extra softmax”).
- *The other GELU.* Weights trained with the tanh form were served with the exact one; the outputs differed by 0.35 %,
  too little to be heard (kyutai-labs/pocket-tts#278, “Use tanh GELU approximation in the backbone FFN”).
- *A norm at the front.* A wrong backward of a normalisation passed its gradient test because nothing stood before the
  layer, so the gradient by its input was never looked at (mlpack/mlpack#1923).
- *ε and the variance.* $x / (\sigma + \varepsilon)$ for $x / \sqrt{\sigma^2 + \varepsilon}$
  (hkproj/pytorch-transformer#31), and the unbiased variance where others divide by $D$ (LBANN/lbann#2024).
- *Dropout at evaluation.* nanoGPT's fast code dropped while it was evaluated (karpathy/nanoGPT#240, “don't dropout in
  eval mode”); results of a paper were computed that way (ipolharvard/ethos-ares#20).
- *Which decay.* The documentation of PyTorch's Adam named one and the code did the other (pytorch/pytorch#38767,
  “weight_decay in Adam is not an L2 Penalty”).

## Summary

| layer | formula | gradient | check |
|---|---|---|---|
| linear | $xW + b$ | $\bar y W^\top$, $x^\top \bar y$, $\sum \bar y$ | shapes, random cotangent |
| embedding | row $v$ of $W$ | rows add up | repeated ids |
| cross-entropy | $\ln\sum e^z - z_y$ | $p - y$, over $T$ for a mean | first loss $\ln V$; logits of thousands |
| GELU | $x\,\Phi(x)$ | autograd | value at 1 tells the forms apart |
| layer norm | $(x - \mu)/r$ | two mean terms | no part of $\bar x$ along $1$ or $y$ |
| residual | $x + f(x)$ | $1 + J_f$ | $f = 0$ gives the identity |
| dropout | $x \odot k/(1 - p)$ | the same mask | mean over draws; off at evaluation |
| AdamW | $\hat m/(\sqrt{\hat v} + \varepsilon)$, decay apart | | first step $\eta$; $g = 0$: times $1 - \eta\lambda$ |

**Sources.** Bengio et al. (2003); Hendrycks and Gimpel (2016); Ba et al. (2016); He et al. (2015) for the beginning
and, in a second paper of that year, for residuals; Srivastava et al. (2014); Kingma and Ba (2015); Loshchilov and
Hutter (2019); Radford et al. (2018, 2019) and Devlin et al. (2019) for what GPT and BERT take of all this.
"""
# %%
L.prove()
