# %% [markdown]
r"""
# Lesson 10. Scaling laws

How good will a language model be, before it is trained? Kaplan et al. (2020) found that the loss falls as a power of
size, data and compute, over many orders of magnitude. This lesson computes with these laws, repeats the measurement
on a source whose floor is known, and shows how such fits mislead. It proves:

- **L10.1** Kaplan's law of size and data is one formula that holds the law of each.
- **L10.2** What training costs is six operations a parameter and token, if one says which parameters.
- **L10.3** Our engine's own count of operations is that formula.
- **L10.4** On Mundito the excess over the floor falls as a power of size, and of data, with an exponent known to some
  error.
- **L10.5** If the floor is not subtracted, the exponent seen is smaller, and fades as models improve.
- **L10.6** Chinchilla's objective has a gradient that one can write by hand; a mean instead of a sum stops it too
  early.
- **L10.7** For a fitted surface the best size and data for a budget are powers of the budget, in closed form.
- **L10.8** Kaplan's exponent $.73$ and Chinchilla's $.50$ describe the same surface, with the embeddings left out and
  small models.
- **L10.9** The exponent of a small run is that of its source: of how rare facts are.
"""

# %%
import math

import numpy as np

import minilm as ml
import minilm.functional as F
from minilm import models
from minilm.course import lesson
from minilm.course.figures import COLORS, MARKERS, STYLES, subplots
from minilm.mundito import Mundito, MunditoBatches, MunditoConfig
from minilm.training import KnownSource, TrainConfig, Trainer

L = lesson("l10")

# %% [markdown]
r"""
## L10.1 Formulas to compute with

Kaplan et al. trained Transformers on web text, the vocabulary of GPT-2, contexts of 1,024 tokens, and found, in nats
a token (Kaplan et al. 2020, equations 1.1 to 1.3):

$$L(N) = \Big(\frac{8.8 \cdot 10^{13}}{N}\Big)^{.076}, \quad
  L(D) = \Big(\frac{5.4 \cdot 10^{13}}{D}\Big)^{.095}, \quad
  L(C_{\min}) = \Big(\frac{3.1 \cdot 10^{8}}{C_{\min}}\Big)^{.050}.$$

$N$ counts parameters without embeddings, $D$ tokens, $C_{\min}$ compute in PF-days, $8.64 \cdot 10^{19}$ operations
each; each law holds while the other two do not limit. Size and data together (equation 1.5, with constants fitted
anew in their Table 2):

$$L(N, D) = \Big[ \Big(\frac{N_c}{N}\Big)^{\alpha_N / \alpha_D} + \frac{D_c}{D} \Big]^{\alpha_D}.$$

**Predict**: by how much must a model grow to halve its loss?
"""

# %%
L.ask("L10.1a", "To halve the loss by size alone, N has to grow by a factor of about …",
      {"2": None, "100": None, "9,000": True})  # fmt: skip


# %%
def loss_of_size(N):
    return (8.8e13 / N) ** 0.076


factor = 2 ** (1 / 0.076)
print(
    f"L(1e8) = {loss_of_size(1e8):.2f}, L(1e9) = {loss_of_size(1e9):.2f}: {10**-0.076:.2f} of it for ten times the size"
)
print(f"half the loss: N times {factor:,.0f}")
L.said("2.83", loss_of_size(1e8))
L.said("2.38", loss_of_size(1e9))
L.said("16 %", 1 - 10**-0.076)
L.answer("L10.1a", f"{round(factor, -3):,.0f}")

# %% [markdown]
r"""
Ten times the size takes the loss from 2.83 to 2.38 nats, 16 % less; each further factor of ten takes 16 % again. A
small exponent is a long way. And a model that grows while its data do not soon gains nothing:
"""


# %%
def loss_of_both(N, D, Nc=6.4e13, Dc=1.8e13, alpha_N=0.076, alpha_D=0.103):
    return ((Nc / N) ** (alpha_N / alpha_D) + Dc / D) ** alpha_D


tokens = np.logspace(7, 11.5, 100)
fig, axes = subplots(width=6, height=3.6)
for i, N in enumerate((1e6, 1e7, 1e8, 1e9)):
    axes.plot(
        tokens, loss_of_both(N, tokens), color=COLORS[i], linestyle=STYLES[i], label=f"N = $10^{{{math.log10(N):.0f}}}$"
    )
axes.plot(tokens, (1.8e13 / tokens) ** 0.103, color="black", linewidth=0.8, label="endless model")
axes.set(xscale="log", xlabel="D (tokens)", ylabel="L(N, D) (nats a token)")
axes.legend(fontsize=8, frameon=False)
L.figure(fig, "kaplan", "Kaplan's law of size and data: every size has a point from which more data help little.")

# %% [markdown]
r"""
## L10.2 Which parameters, which operations

An entry of a matrix costs a multiplication and an addition for each token forward, and twice as much backward: once
for the gradient of the input, once for its own. So training costs $C = 6ND$. But which $N$? Kaplan et al. leave the
embeddings out: $N = 12 L d^2$ (section 2.1); Hoffmann et al. (2022) count everything. For GPT-2 that is 84,934,656 of
124,439,808. For the models of a study that begins small it is another world. **Predict**:
"""

# %%
L.ask("L10.2a", "A GPT of width 4 with two layers, for the 362 words of Mundito: how much of it is blocks, 12 L d²?",
      {"more than half": "looking_up_is_a_product", "about a fifth": True,
       "about one part in a hundred": None})  # fmt: skip


# %%
def gpt(width):
    config = models.GPTConfig(vocab_size=362, context=32, width=width, layers=2, heads=max(1, width // 16))
    return models.GPT(config, seed=1)


L.said("84,934,656", 12 * 12 * 768**2)
L.said("124,439,808", (50257 + 1024) * 768 + 12 * (12 * 768**2 + 13 * 768) + 2 * 768)
for width in (4, 16, 64):
    N, blocks = gpt(width).num_parameters(), 12 * 2 * width**2
    print(f"width {width:2}: {N:7,} parameters, {blocks:6,} = {blocks / N:.0%} in the blocks' matrices")
share = 12 * 2 * 4**2 / gpt(4).num_parameters()
L.answer("L10.2a", "about a fifth" if 0.15 < share < 0.25 else "more than half" if share > 0.5 else "less")

# %% [markdown]
r"""
Over our widths the blocks grow 256 times, the whole model about 60 times; a slope against one is no slope against the
other. That will come back in L10.8. One more use of the formula: GPT-3, with 174.6 billion parameters and 300 billion
tokens, cost $6ND$, about 3.14e23 operations (Brown et al. 2020, appendix D).
"""

# %%
L.said("3.14e23", 6 * 174.6e9 * 300e9)
L.said("about 60", gpt(64).num_parameters() / gpt(4).num_parameters())
L.said("256", (64 / 4) ** 2)

# %% [markdown]
r"""
## L10.3 What the engine counts

`ml.trace` notes every operation of a training step. Its count of matrix products is $6ND$ with the head in $N$, for
the head is a product, and with attention beside it. (Our engine computes the masked half of attention too; the
formula has $12 L T d$ a token then, instead of $6 L T d$.)
"""

# %%
model, tokens = gpt(64), 8 * 32
ids = np.random.default_rng(0).integers(0, 362, (8, 32))
with ml.trace() as record:
    model.loss(ids, ids).backward()
blocks, head, attention = 12 * 2 * 64**2, 362 * 64, 12 * 2 * 32 * 64
print(f"counted {record.products:,}; 6 N D {6 * (blocks + head) * tokens:,}, attention {attention * tokens:,}")
print(f"6 D times all parameters is {6 * model.num_parameters() * tokens / record.products:.2f} of what was counted")
L.said("0", record.products - (6 * (blocks + head) + attention) * tokens)

# %% [markdown]
r"""
## L10.4 The laws on Mundito

In Mundito's variant with facts only, each document is one fact, of 24,576 whose frequencies fall as
$(\text{rank} + 21)^{-2}$. A model has to learn the grammar, which is soon done, and then fact after fact, the
frequent ones first. The source's own loss on the held-out rows is known, so what falls is the excess over it. We
train GPTs of two layers, of growing width on the same 1.64 million tokens, and the widest on growing parts of these;
one pass, with a peak rate of `min(0.06, 0.5 / d)`.
"""

# %%
world = Mundito(MunditoConfig(facts_only=True))
with L.timed("writing documents"):
    train = list(MunditoBatches(world, 32, 64, seed=7).windows(51200))  # 800 batches of 64 rows of 32 tokens
    held = list(MunditoBatches(world, 32, 512, seed=7, part="validation").windows(3072))
entropy = np.mean([batch["oracle"].mean() for batch in held])
L.said("24,576", world.joint.size)
L.said("1.64", 800 * 2048 / 1e6)


class Stored:
    """Batches that are there already, as the trainer asks for them."""

    def at(self, step):
        return train[step]


# %%
def run(width, steps):
    """A GPT trained for so many batches: all parameters, those of the blocks' matrices, tokens, excess, its error."""
    model, rate = gpt(width), min(0.06, 0.5 / width)
    config = TrainConfig(steps=steps, batch_size=64, rate=rate, warmup=max(1, steps // 20), threads=2, log_every=0)
    trainer = Trainer(model, KnownSource(), Stored(), config, show=False)
    trainer.train()
    found = trainer.evaluate(held)
    print(f"width {width:2}, {2048 * steps:9,} tokens: excess {found['excess']:.3f} ± {found['excess_se']:.3f}")
    return model.num_parameters(), 24 * width**2, 2048 * steps, found["excess"], found["excess_se"]


with L.timed("training"):
    by_size = np.array([run(width, 800) for width in (4, 6, 8, 12, 16, 24, 32, 64)])
    by_data = np.array([*(run(64, steps) for steps in (50, 100, 200, 400)), by_size[-1]])

# %% [markdown]
r"""
On logarithmic axes a power is a line, so the exponent is the slope of a least-squares line. How sure is it?
**Bootstrap**: draw the runs anew, with repetition, fit again, and look at the middle $95\,\%$ of the slopes.
**Predict** which count of parameters gives the larger exponent.
"""

# %%
L.ask("L10.4a", "The exponent of the excess in N is larger …",
      {"against all parameters": True, "against the blocks' alone": None,
       "the same, a power is a power": None})  # fmt: skip


# %%
def exponent(x, y, draws=2000):
    """The exponent α of y = c x^−α, c, and the middle 95 % of α over bootstraps."""
    slope, height = np.polyfit(np.log(x), np.log(y), 1)
    rng, slopes = np.random.default_rng(0), []
    while len(slopes) < draws:
        i = rng.integers(0, len(x), len(x))
        if len(set(i)) > 2:
            slopes.append(-np.polyfit(np.log(x[i]), np.log(y[i]), 1)[0])
    return -slope, math.exp(height), *np.percentile(slopes, [2.5, 97.5])


# %%
N, blocks, _, excess, _ = by_size.T
_, _, D, excess_D, _ = by_data.T
laws = {"all parameters": exponent(N, excess), "blocks": exponent(blocks, excess), "tokens": exponent(D, excess_D)}
for name, (alpha, _, low, high) in laws.items():
    print(f"{name:15} exponent {alpha:.2f}, 95 % of bootstraps in {low:.2f} to {high:.2f}")
larger = laws["all parameters"][0] > laws["blocks"][0]
L.answer("L10.4a", "against all parameters" if larger else "against the blocks' alone")

# %%
fig, axes = subplots(1, 2, width=9, height=3.6, sharey=True)
data = ((0, N, excess, "all parameters"), (0, blocks, excess, "blocks"), (1, D, excess_D, "tokens"))
for i, (place, x, y, name) in enumerate(data):
    alpha, c, low, high = laws[name]
    label = f"{name}: {alpha:.2f} ({low:.2f} to {high:.2f})"
    axes[place].plot(x, y, MARKERS[i], color=COLORS[i], label=label)
    axes[place].plot(x, c * x**-alpha, color=COLORS[i], linestyle=STYLES[i])
for axis, xlabel in zip(axes, ("parameters", "millions of training tokens, width 64"), strict=True):
    axis.set(xscale="log", yscale="log", xlabel=xlabel, ylim=(0.035, 1.2))
    axis.legend(fontsize=8, frameon=False, title="exponent (95 % of bootstraps)", title_fontsize=8, loc="lower left")
    axis.minorticks_off()
    axis.set_yticks([0.05, 0.1, 0.2, 0.4, 0.8], ["0.05", "0.1", "0.2", "0.4", "0.8"])
axes[1].set_xticks([1e5, 2e5, 5e5, 1e6, 2e6], ["0.1", "0.2", "0.5", "1", "2"])
axes[0].set_ylabel("excess (nats a token)")
L.figure(fig, "runs", "Excess over the source's entropy against size, counted in two ways, and against data.")

# %% [markdown]
r"""
The points are near lines, not on them: the large models have too few tokens to fill them, and bend away.
Extrapolation is the test of a law. From the five smallest models, what is the excess of the largest?
"""

# %%
alpha, c, _, _ = exponent(N[:5], excess[:5])
ratio = c * N[-1] ** -alpha / excess[-1]
print(f"predicted {c * N[-1] ** -alpha:.3f}, measured {excess[-1]:.3f}: {ratio:.2f} of it")
L.said("less than 0.6", ratio)
L.said("more than 0.3", laws["all parameters"][0])
L.said("more than 0.3", laws["tokens"][0])

# %% [markdown]
r"""
It comes out at less than 0.6 of what was measured. A power fitted on one side of a bend says nothing about the other.
Both exponents are more than 0.3 all the same, many times Kaplan's $.076$: L10.9 asks why.

## L10.5 Without the floor

On real text nobody knows the entropy of the source, and Kaplan et al. fit the loss itself. If
$L = E + A x^{-\alpha}$, the slope on logarithmic axes is $\alpha (L - E) / L$, the exponent times the share of the
loss that can still be lost. **Predict** what our runs show when nothing is subtracted.
"""

# %%
L.ask("L10.5a", "The exponent of the loss itself, not the excess, against all parameters:",
      {"the same": "the_floor_does_not_matter", "much smaller": True,
       "larger, for the loss is larger": "share_of_the_floor"})  # fmt: skip

# %%
loss = excess + entropy
raw = exponent(N, loss)
known = laws["all parameters"]
print(f"loss: {raw[0]:.3f} ({raw[2]:.3f} to {raw[3]:.3f}); excess: {known[0]:.2f} ({known[2]:.2f} to {known[3]:.2f})")
steps = -np.diff(np.log(loss)) / np.diff(np.log(N))
print("slope of the loss from each model to the next:", np.round(steps, 3))
L.said("less than 0.2", raw[0])
L.said("less than 0.3", raw[3])
L.answer(
    "L10.5a",
    "much smaller" if raw[0] < known[0] / 2 else "the same" if raw[0] <= known[0] else "larger, for the loss is larger",
)

# %% [markdown]
r"""
The interval of the bootstrap ends at less than 0.3 and does not reach the other exponent: it knows nothing of a
floor, and measures the noise of a wrong formula. The slope is less than 0.2 and, by and large, falls from model to
model. So a law without a floor, as Kaplan's is, can only hold where the floor is far below; they say themselves that
it must flatten out before the loss reaches 0 (Kaplan et al. 2020, section 1.1).

## L10.6 Fitting a surface, and how it goes wrong

Hoffmann et al. (2022) fit the loss of all their runs, of any size and data, by

$$\hat L(N, D) = E + \frac{A}{N^\alpha} + \frac{B}{D^\beta}, \qquad
\text{minimizing } \sum_i \mathrm{Huber}_\delta\big(\ln \hat L(N_i, D_i) - \ln L_i\big), \quad \delta = 10^{-3},$$

with $A = e^a$, $B = e^b$, $E = e^e$, so that $\ln \hat L$ is the logarithm of a sum of three exponentials of lines in
the parameters. Huber's function is a parabola near 0 and a line beyond $\delta$: a failed run does not pull harder
than another. Besiroglu et al. (2024) fitted the same runs again and found other numbers. We do both on points whose
truth is known: 240 runs drawn from the surface that Besiroglu et al. found, with noise.
"""

# %%
TRUTH = {"E": 1.8172, "A": 482.01, "B": 2085.43, "alpha": 0.3478, "beta": 0.3658}  # (Besiroglu et al. 2024)
E, A, B, alpha, beta = TRUTH.values()


def synthetic(seed, runs=240):
    """Sizes and data around the best for budgets of 10^18.5 to 10^21.5, and losses with heavy-tailed noise of .4 %."""
    rng = np.random.default_rng(seed)
    budget = 10 ** rng.uniform(18.5, 21.5, runs)
    N = 0.13 * budget**0.51 * np.exp(rng.normal(0, 0.8, runs))
    D = budget / (6 * N)
    return N, D, (E + A / N**alpha + B / D**beta) * np.exp(0.004 * rng.standard_t(3, runs))


# %%
def lines(*columns):
    """The lines of ln L̂ = ln Σ exp(X θ), with θ = (ln of each scale, ln E, each exponent)."""
    k, X = len(columns), np.zeros((len(columns[0]), len(columns) + 1, 2 * len(columns) + 1))
    X[:, range(k + 1), range(k + 1)] = 1
    for i, column in enumerate(columns):
        X[:, i, k + 1 + i] = -np.log(column)
    return X


# %% [markdown]
r"""
The objective is written with our own operations, so its gradient comes from the engine (task L10.6 finds it by hand).
The minimizer is BFGS; it stops as SciPy's L-BFGS-B does by default: when a step saves less than $2.2 \cdot 10^{-9}$
of $\max(1, \text{value})$, or no slope is above $10^{-5}$.
"""


# %%
def objective(X, loss, weight=1.0, delta=1e-3):
    """θ -> the sum of Huber's function over the runs, times the weight, and its gradient."""

    def f(theta):
        at = ml.Tensor(theta, requires_grad=True)
        residual = F.logsumexp(ml.Tensor(X) @ at, -1) - np.log(loss)
        near = residual.clip(-delta, delta)
        value = weight * (near * (residual - near / 2)).sum()
        return value.item(), ml.grad(value, at).numpy()

    return f


# %%
def minimize(f, at, ftol=2.2e-9, gtol=1e-5):
    inverse, (value, slope) = None, f(at)
    for _ in range(500):
        step = -slope if inverse is None else -inverse @ slope
        while not (new := f(at + step))[0] <= value + 1e-4 * (slope @ step) and abs(step).max() > 1e-12:
            step = step / 2
        bend = new[1] - slope
        if bend @ step > 0:
            inverse = np.eye(len(at)) * (bend @ step) / (bend @ bend) if inverse is None else inverse
            M = np.eye(len(at)) - np.outer(step, bend) / (bend @ step)
            inverse = M @ inverse @ M.T + np.outer(step, step) / (bend @ step)
        saved, at, (value, slope) = value - new[0], at + step, new
        if saved <= ftol * max(1, abs(value)) or abs(slope).max() <= gtol:
            break
    return at, value


# %% [markdown]
r"""
Nine starts, $a$ and $b$ each $5$, $10$ or $15$, and the best of what comes back. Now divide the objective by 240, to
have the **mean** over the runs. Its minimum is at the same place. **Predict** what the minimizer returns.
"""

# %%
L.ask("L10.6a", "The same data, starts and stopping rule, with the mean instead of the sum:",
      {"the same five numbers": "mean_for_sum", "A and B nearly as they were at a start": True,
       "all five near 0, for the gradient is smaller": None})  # fmt: skip

# %%
starts = [np.array([a, b, 0.0, 0.5, 0.5]) for a in (5.0, 10.0, 15.0) for b in (5.0, 10.0, 15.0)]


def fit(N, D, loss, weight=1.0, **rule):
    """E, A, B, α, β of the best end of all starts."""
    f = objective(lines(N, D), loss, weight)
    theta, _ = min((minimize(f, start, **rule) for start in starts), key=lambda end: end[1])
    return np.array([math.exp(theta[2]), math.exp(theta[0]), math.exp(theta[1]), *theta[3:]])


points = synthetic(0)
rules = {"sum": {}, "mean": {"weight": 1 / 240}, "mean, patient": {"weight": 1 / 240, "ftol": 1e-16, "gtol": 1e-10}}
fits = {name: fit(*points, **rule) for name, rule in rules.items()}
print("truth         ", *(f"{value:9.4g}" for value in TRUTH.values()), f"  β / (α + β) = {beta / (alpha + beta):.3f}")
for name, found in fits.items():
    print(f"{name:14}", *(f"{value:9.4g}" for value in found), f"  β / (α + β) = {found[4] / found[3:].sum():.3f}")
near = [abs(math.log(fits["mean"][i]) - start) < 0.3 for i, start in ((1, 5.0), (2, 10.0))]
L.answer("L10.6a", "A and B nearly as they were at a start" if all(near) else "the same five numbers")

# %% [markdown]
r"""
The mean is not wrong, it is small: a few millionths in all, where the rule stops at savings of billionths *of 1*.
Slopes of that size by $a$ and $b$ move them nowhere, so $A$ and $B$ stay near $e^5$ and $e^{10}$ and the exponents
bend to make up for it. With patience the mean gives what the sum gives. So, it seems, did the constants printed in
Hoffmann et al. (2022) come about: marin-community/marin#749. What they matter for is the exponent with which the best
size grows, $\beta / (\alpha + \beta)$ (L10.7). Over ten samples of runs:
"""

# %%
with L.timed("twenty fits"):
    growth = {name: [(lambda v: v[4] / (v[3] + v[4]))(fit(*synthetic(seed), **rules[name])) for seed in range(1, 11)]
              for name in ("sum", "mean")}  # fmt: skip
for name, values in growth.items():
    print(f"{name}: {np.mean(values):.3f} ± {np.std(values):.3f}; the truth is {beta / (alpha + beta):.3f}")
L.said("less than 0.02", abs(np.mean(growth["sum"]) - beta / (alpha + beta)))
L.said("more than 0.08", abs(np.mean(growth["mean"]) - beta / (alpha + beta)))

# %% [markdown]
r"""
The sum is off by less than 0.02 on average, the mean by more than 0.08, and *all its ten values agree*: the spread
over samples says nothing of a minimizer that stops where it began.

A second way to be misled is to fit $L$ instead of $\ln L$. Take a pure power, $y = x^{-1/2}$, at eleven $x$ from 1 to
1,024, with noise of a tenth on each. Least squares on $y$ looks at the few large values only. **Predict** how much
less sure the exponent is.
"""

# %%
L.ask("L10.6b", "The spread of the exponent over samples, fitted on y instead of ln y, is …",
      {"about the same": None, "several times as large": True,
       "smaller, for no logarithm is taken of noise": "fitted_without_logarithms"})  # fmt: skip

# %%
x, rng = 2.0 ** np.arange(11), np.random.default_rng(0)
trials = np.array([1 / np.sqrt(x) * np.exp(0.1 * rng.standard_normal(11)) for _ in range(1000)])
on_logarithms = -np.polyfit(np.log(x), np.log(trials).T, 1)[0]
grid = np.linspace(0, 1.5, 601)
basis = x[:, None] ** -grid  # (11, 601)
c = trials @ basis / (basis**2).sum(0)  # the best prefactor for each exponent
on_values = grid[np.argmin((trials**2).sum(1, keepdims=True) - c**2 * (basis**2).sum(0), axis=1)]
print(f"on ln y: spread {on_logarithms.std():.3f}, on y: spread {on_values.std():.3f}")
times = L.said("more than 3", on_values.std() / on_logarithms.std())
L.answer("L10.6b", "several times as large" if times > 2 else "about the same")

# %%
fig, axes = subplots(1, 2, width=9, height=3.2)
for i, values in enumerate(growth.values()):
    axes[0].plot(values, np.full(10, i), MARKERS[i], color=COLORS[i], markersize=6)
axes[0].axvline(beta / (alpha + beta), color="black", linewidth=1)
axes[0].set_yticks([0, 1], ["sum", "mean"])
axes[0].set(xlabel="fitted β / (α + β); line: the truth", ylim=(-0.6, 1.6))
axes[0].set_title("Chinchilla's objective, ten samples", fontsize=9)
bins = np.linspace(0.3, 0.7, 41)
axes[1].hist(on_values, bins, color=COLORS[4], label="fitted on y")
axes[1].hist(on_logarithms, bins, histtype="step", linewidth=1.5, color=COLORS[0], label="fitted on ln y")
axes[1].set(xlabel="fitted exponent; the truth is 0.5", ylabel="samples of 1,000")
axes[1].set_title("a power, noise of a tenth", fontsize=9)
axes[1].legend(fontsize=8, frameon=False)
L.figure(fig, "fits", "Two ways to be misled: a minimizer that stops early, and least squares without logarithms.")

# %% [markdown]
r"""
The spread is more than 3 times as large. Last, the floor: fitted to our eight sizes instead of known. Three numbers
from eight points, and the points bend.
"""

# %%
f = objective(lines(N), loss)
ends = [minimize(f, np.array([a, e, 0.5]), ftol=1e-16, gtol=1e-10) for a in (0.0, 5.0) for e in (-1.0, 0.0)]
(a, e, slope), _ = min(ends, key=lambda end: end[1])
print(f"fitted floor {math.exp(e):.3f}, known {entropy:.3f}; exponent {slope:.2f}, with the known floor {known[0]:.2f}")
print(f"the best model's excess, by the fitted floor {loss.min() - math.exp(e):.3f}, by the known {excess.min():.3f}")

# %% [markdown]
r"""
A floor found by a fit is a guess about models nobody trained; a few hundredths of a nat in it change the exponent a
good deal. Where the floor is not known, that is a reason for modest claims, not for leaving it out.

## L10.7 Spending a budget

Given $C = 6ND$, how large should the model be? On a surface $E + A/N^\alpha + B/D^\beta$ each budget has a best size:
where a percent more of $N$ saves as much as a percent more of $D$, $\alpha A / N^\alpha = \beta B / D^\beta$. With
$D = C / 6N$ that is $N^{\alpha + \beta} = \frac{\alpha A}{\beta B} (C / 6)^\beta$. Below, the best sizes are found by
search, without this formula: **predict** how they grow.
"""

# %%
L.ask("L10.7a", "α ≈ β. With 100 times the compute, the best N grows by about …",
      {"10": True, "29, as 100^.73": "exponents_are_swapped", "100, all of it": None})  # fmt: skip

# %%
sizes, best = np.logspace(7, 12.5, 4000), {}
fig, axes = subplots(width=6, height=3.6)
for i, power in enumerate((19, 20, 21, 22, 23)):
    curve = E + A / sizes**alpha + B / (10**power / 6 / sizes) ** beta
    k, near = curve.argmin(), curve < curve.min() + 0.25
    best[power] = sizes[k]
    axes.plot(sizes[near], curve[near], color=COLORS[i], linestyle=STYLES[i], label=f"$10^{{{power}}}$")
    axes.plot(sizes[k], curve[k], "o", color=COLORS[i])
axes.set(xscale="log", xlabel="N (parameters)", ylabel="loss (nats a token)")
axes.legend(fontsize=8, frameon=False, title="operations", title_fontsize=8)
L.figure(fig, "budgets", "Loss against size for five budgets on one surface; the points are the best sizes.")
L.answer("L10.7a", f"{round(best[23] / best[21], -1):.0f}")

# %% [markdown]
r"""
The minima are flat: twice or half the best size costs little. That makes the best size hard to measure, and three
published sets of constants give three answers for Chinchilla's own budget, $5.76 \cdot 10^{23}$ operations: 32.2B
parameters with the numbers as printed in Hoffmann et al. (2022), 40.3B with the same numbers unrounded, 72.2B with
those of Besiroglu et al. (2024). They trained one of 70B (Hoffmann et al. 2022, section 4).
"""


# %%
def best_size(A, B, alpha, beta, budget=5.76e23):
    sizes = np.logspace(10, 11.5, 200_001)
    return sizes[np.argmin(A / sizes**alpha + B / (budget / 6 / sizes) ** beta)]


L.said("32.2B", best_size(406.4, 410.7, 0.34, 0.28))
L.said("40.3B", best_size(406.4, 410.7, 0.3392, 0.2849))
L.said("72.2B", best_size(A, B, alpha, beta))

# %% [markdown]
r"""
## L10.8 Two exponents, one surface

Kaplan et al. (2020, equation 1.7) let the best size grow as $C^{.73}$, Hoffmann et al. (2022) as $C^{.50}$. Large
models were built on the first and were too large for their data by the second. Pearce and Song (2024) derive one from
the other. Let $n$ be the parameters without embeddings. In Kaplan's family, all parameters are
$N = n + \omega n^{1/3}$ with $\omega = 47491$. Take Besiroglu's surface for the truth, in $N$, and look for the best
$n$ at equal $6nD$, as Kaplan et al. did. The condition is that of L10.7, with a factor $s$ for what a percent of $n$
is of $N$:

$$\alpha A N^{-\alpha} \cdot s = \beta B D^{-\beta}, \qquad
  s = \frac{d \ln N}{d \ln n} = \frac{n + \omega n^{1/3} / 3}{N}.$$

So for each $n$ we know $D$, hence the compute at which $n$ is best; no training, no search. **Predict** the exponent
that this surface shows over the sizes from 768 to 1.5 billion (Kaplan et al. 2020).
"""

# %%
L.ask("L10.8a", "For large models it is β / (α + β) = .51. From 768 to 1.5 billion parameters without embeddings:",
      {".51, it is the same surface": "embeddings_do_not_matter", "about .8": True,
       "about .3": "exponent_of_the_data"})  # fmt: skip

# %%
omega = 47491
n = np.logspace(2.5, 13, 4001)
N_all = n + omega * np.cbrt(n)
s = (n + omega * np.cbrt(n) / 3) / N_all
D_best = (beta * B * N_all**alpha / (alpha * A * s)) ** (1 / beta)
C_best = 6 * n * D_best
local = np.gradient(np.log(n), np.log(C_best))


def measured(low, high):
    """The slope of ln n by ln C over a range of sizes that are best for evenly spaced budgets."""
    budgets = np.linspace(np.log(np.interp(low, n, C_best)), np.log(np.interp(high, n, C_best)), 200)
    return np.polyfit(budgets, np.interp(budgets, np.log(C_best), np.log(n)), 1)[0]


small, large = L.said("0.79", measured(768, 1.5e9)), L.said("0.52", measured(1e9, 8e10))
L.answer("L10.8a", "about .8" if 0.75 < small < 0.85 else ".51, it is the same surface")

# %%
fig, axes = subplots(width=6.5, height=3.6)
axes.plot(n, local, color=COLORS[0], label="exponent of the best n in 6 n D")
axes.axhline(beta / (alpha + beta), color=COLORS[1], linestyle=STYLES[1], label="β / (α + β), all parameters counted")
axes.axhline(0.73, color=COLORS[2], linestyle=STYLES[2], label="Kaplan et al.: .73")
axes.axvspan(768, 1.5e9, color=COLORS[5], alpha=0.15, label="sizes of Kaplan et al.")
axes.set(xscale="log", xlabel="n (parameters without embeddings)", ylabel="local exponent", ylim=(0.4, 1.1))
axes.legend(fontsize=8, frameon=False, loc="upper right")
L.figure(
    fig,
    "reconciled",
    "One surface, seen without embeddings: a large exponent for small models, Chinchilla's for large.",
)

# %% [markdown]
r"""
Over Kaplan's range one measures 0.79, between one and eighty billion 0.52: the same surface, the same optimum. What
differs is what was counted, and where. That is not all of the story: Porian et al. (2024) repeat Kaplan's set-up by
training and move its exponent from .84 to .71 by counting the head's operations, to .60 by a shorter warm-up, to .57
by a learning-rate decay that fits the budget, and to .50 by tuning batch and rate (Porian et al. 2024, their summary
data for RefinedWeb).

## L10.9 What a small run's exponent says

Our runs have exponents many times Kaplan's. Are small models better? No: it is the text. Suppose a model of capacity
$K$ holds the $K$ most frequent facts. What is left to lose is the mass of the others, and for frequencies
$\propto k^{-(1 + \alpha)}$ that falls as $K^{-\alpha}$. Hutter (2021) and Michaud et al. (2023) have such models.
Suppose instead that it knows each fact that it has seen: then what is left after $D$ facts is the mass of those
unseen, and falls as $D^{-\alpha / (1 + \alpha)}$. **Predict** which world has the steeper laws.
"""

# %%
L.ask("L10.9a", "Two worlds, facts with tails α = 1 and α = .5. Which has the larger exponents?",
      {"α = 1, whose rare facts are rarer": True, "α = .5, where there is more to learn": "seen_for_unseen",
       "both the same: it is the model's": None})  # fmt: skip


# %%
def slope(x, y):
    return -np.polyfit(np.log(x), np.log(y), 1)[0]


capacity, draws, fig_data = np.array([30, 100, 300, 1000, 3000]), np.array([100, 300, 1000, 3000, 10000]), {}
for tail in (1.0, 0.5):
    p = np.sort(Mundito(MunditoConfig(tail=tail, facts_only=True)).joint.ravel())[::-1]
    left = np.array([p[K:].sum() for K in capacity])
    rng, unseen = np.random.default_rng(0), []
    for D in draws:  # by drawing: the mean over five samples of the mass that none of D facts was
        unseen.append(np.mean([1 - p[np.unique(rng.choice(len(p), D, p=p))].sum() for _ in range(5)]))
    fig_data[tail] = left, np.array(unseen)
    print(f"α = {tail}: capacity {slope(capacity, left):.2f}, data {slope(draws, unseen):.2f}")
steeper = all(slope(x, fig_data[1.0][i]) > slope(x, fig_data[0.5][i]) for i, x in enumerate((capacity, draws)))
L.answer("L10.9a", "α = 1, whose rare facts are rarer" if steeper else "α = .5, where there is more to learn")

# %%
fig, axes = subplots(1, 2, width=9, height=3.4, sharey=True)
for i, (tail, found) in enumerate(fig_data.items()):
    for axis, x, y in zip(axes, (capacity, draws), found, strict=True):
        axis.plot(
            x, y, color=COLORS[i], linestyle=STYLES[i], marker=MARKERS[i], label=f"tail α = {tail:g}: {slope(x, y):.2f}"
        )
for axis, xlabel in zip(axes, ("facts that a model holds", "facts that a model has seen"), strict=True):
    axis.set(xscale="log", yscale="log", xlabel=xlabel)
    axis.legend(fontsize=8, frameon=False, title="exponent", title_fontsize=8)
axes[0].set_ylabel("probability of a fact\nthat it does not know")
L.figure(
    fig, "tails", "What cannot be known yet, by capacity and by data, in two worlds: computed, no model is trained."
)

# %% [markdown]
r"""
The exponents come from the tail of the facts, before any network is there. Our networks do not have just these
exponents: they do not learn facts one by one, few tokens also have to teach the grammar, which makes the law of data
steeper, and a fact costs more parameters in one place than in another. And 24,576 facts end, so that no power holds
for ever. What does a run like ours show? How such a law is measured, and what spoils it: counting, floors, fits. What
does it not show? Kaplan's exponent, or a best size for anything but Mundito. Our largest run took about 1.2e12
operations; Deshpande et al. (2023) find that the law of compute breaks for models under 2.2e15.
"""

# %%
L.said("about 1.2e12", 6 * gpt(64).num_parameters() * 800 * 2048)

# %% [markdown]
r"""
## What goes wrong in practice

- The mean of Huber's function went to L-BFGS, which stopped early; the sum fits better, most of all far out:
  marin-community/marin#749. The rule that stops it is relative to max(|f|, 1), and a wrapper told its users that
  there was no such rule: sods/paramz#47.
- Whether the embeddings belong into 6N was changed after a discussion, and questioned again later:
  pytorch/torchtitan#280, pytorch/torchtitan#452. A look-up is no product, the head is one, tied or not:
  huggingface/trl#5698.
- "6N is for the MLP only": it is for every matrix, and attention's scores come on top: karpathy/nanoGPT#322.
- The errors of a power-law fit were printed beside the wrong parameters: scipy/scipy-cookbook#2. The covariance that
  a general fit gives depends on the units of x: scipy/scipy#12715. Take logarithms, and bootstrap.
- A tool for the tails of distributions was asked to fit a curve with a floor: powerlaw-devs/powerlaw#70. They are two
  problems.

## Sources

- Kaplan et al. (2020), *Scaling laws for neural language models*: the laws, 12 L d², C = 6ND, .73.
- Hoffmann et al. (2022), *Training compute-optimal large language models*: the surface, Huber on logarithms, .50,
  Chinchilla.
- Besiroglu et al. (2024), *Chinchilla scaling: a replication attempt*: constants, errors, the minimizer that stopped.
- Pearce and Song (2024), *Reconciling Kaplan and Chinchilla scaling laws*: embeddings and small models.
- Porian et al. (2024), *Resolving discrepancies in compute-optimal scaling of language models*: the same by training.
- Hutter (2021), *Learning curve theory*; Michaud et al. (2023), *The quantization model of neural scaling*: exponents
  from tails.
- Deshpande et al. (2023), *Honey, I shrunk the language*: where laws break for small models.

## Summary

| | |
|---|---|
| laws | $L(N) \propto N^{-.076}$, $L(D) \propto D^{-.095}$, joined by the power $1 / \alpha_D$; ten times N: 16 % off |
| cost | $C = 6ND$; say whether N holds the embeddings; attention adds $6 L T d$ a token, the head is a matrix |
| fit | on logarithms, above the floor, with an interval, and tested by extrapolation |
| floor | without it the slope is $\alpha (L - E) / L$: it fades; fitted, it is poorly known |
| minimizer | sum, not mean, and look whether it has left its start |
| budget | the best N is a power of C, $\beta / (\alpha + \beta)$, and D the rest; the minimum is flat |
| $.73$ and $.50$ | one surface; embeddings left out, and small models |
| small runs | show the method; the exponent is the source's |
"""

# %%
L.prove()
