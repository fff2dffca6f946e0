"""What lesson 10 proves."""

import itertools
import math

import numpy as np

import minilm as ml
from minilm import models
from minilm.course import claim, expect, expect_close, expect_shape
from minilm.course.strategies import composite, integers, st

# ---------------------------------------------------------------------------------------------- L10.1 Kaplan's laws

LAWS = (6.4e13, 1.8e13, 0.076, 0.103)  # Nc, Dc, α_N, α_D of the fit of both at once (Kaplan et al. 2020, table 2)


@composite
def sizes_and_tokens(draw):
    """N, D, and laws near Kaplan's."""
    rng = np.random.default_rng(draw(integers(0, 10**6)))
    N, D = 10 ** rng.uniform(5, 11, 2)
    return (float(N), float(D), *(float(c * math.exp(rng.normal(0, 0.3))) for c in LAWS))


@claim("L10.1", "endless data leave the law of size, an endless model the law of data", sizes_and_tokens())
def has_two_limits(impl, N, D, Nc, Dc, a, d):
    expect_close(impl.kaplan_loss(N, 1e300, Nc, Dc, a, d), math.exp(a * math.log(Nc / N)), "with endless data", 1e-6)
    expect_close(
        impl.kaplan_loss(1e300, D, Nc, Dc, a, d), math.exp(d * math.log(Dc / D)), "with an endless model", 1e-6
    )


@claim("L10.1", "to the power 1 / α_D, the two laws add up", sizes_and_tokens())
def powers_add_up(impl, N, D, Nc, Dc, a, d):
    both = impl.kaplan_loss(N, D, Nc, Dc, a, d)
    size, data = math.exp(a * math.log(Nc / N)), math.exp(d * math.log(Dc / D))
    expect_close(both ** (1 / d), size ** (1 / d) + data ** (1 / d), "L to the power 1 / α_D", 1e-6)


@claim("L10.1", "more of either helps, and the loss is above what either alone allows", sizes_and_tokens())
def more_is_better(impl, N, D, Nc, Dc, a, d):
    both = impl.kaplan_loss(N, D, Nc, Dc, a, d)
    expect(impl.kaplan_loss(2 * N, D, Nc, Dc, a, d) < both, "a model twice as large is better")
    expect(impl.kaplan_loss(N, 2 * D, Nc, Dc, a, d) < both, "twice the data are better")
    expect(both > max((Nc / N) ** a, (Dc / D) ** d) * (1 - 1e-12), "the loss is above either law", got=both)


# -------------------------------------------------------------------------------------------------- L10.2 and L10.3


@composite
def shapes(draw):
    """width, layers, context, vocabulary, tokens: all different."""
    rng = np.random.default_rng(draw(integers(0, 10**6)))
    return tuple(
        int(x) for x in (rng.integers(2, 65), rng.integers(1, 7), *rng.integers(8, 3000, 2), rng.integers(1, 10**6))
    )


def entries(width, layers):
    return sum(
        rows * columns
        for rows, columns in layers * [*3 * [(width, width)], (width, width), (width, 4 * width), (4 * width, width)]
    )


@claim("L10.2", "each entry of the blocks' matrices costs six operations a token", shapes())
def six_for_each_entry(impl, d, layers, T, V, tokens):
    blocks, _, _ = impl.training_flops(d, layers, T, V, tokens)
    expect_close(blocks, 6.0 * entries(d, layers) * tokens, "the operations of the blocks")


@claim("L10.2", "attention and head add what they are said to, and nothing else", shapes())
def attention_and_head(impl, d, layers, T, V, tokens):
    blocks, attention, head = impl.training_flops(d, layers, T, V, tokens)
    scores_and_means = 2 * (2 * d) * (T / 2)  # q·k and the mean of the values, over half of the context
    expect_close(attention - blocks, 3 * layers * scores_and_means * tokens, "what attention adds")
    expect_close(head - attention, 6 * sum(d for _ in range(V)) * tokens, "what the head adds")


@claim("L10.2", "twice the tokens cost twice as much, twice the context costs attention only", shapes())
def is_linear(impl, d, layers, T, V, tokens):
    once = np.array(impl.training_flops(d, layers, T, V, tokens), float)
    expect_close(np.array(impl.training_flops(d, layers, T, V, 2 * tokens), float), 2 * once, "for twice the tokens")
    longer = np.array(impl.training_flops(d, layers, 2 * T, V, tokens), float)
    expect_close(longer - once, np.array([0, 1, 1]) * (once[1] - once[0]), "what twice the context adds")


@claim("L10.3", "our engine's matrix products in a training step are six a parameter and token, and attention's",
       st.sampled_from([(8, 1, 6, 11), (16, 2, 4, 7), (12, 3, 8, 20)]), integers(1, 3), examples=6)  # fmt: skip
def the_engine_counts_alike(shape, batch):
    d, layers, T, V = shape
    model = models.GPT(models.GPTConfig(vocab_size=V, context=T, width=d, layers=layers, heads=2))
    ids = np.random.default_rng(0).integers(0, V, (batch, T))
    with ml.trace() as record:
        model.loss(ids, ids).backward()
    whole = 6 * (entries(d, layers) + d * V) * batch * T + 12 * layers * T * d * batch * T  # nothing of it is masked
    expect_close(record.products, whole, "operations in matrix products")


# -------------------------------------------------------------------------------------------------- L10.4 power laws


@composite
def points(draw):
    """x, y near a power law."""
    n = draw(integers(3, 7))
    rng = np.random.default_rng(draw(integers(0, 10**6)))
    x = np.exp(rng.uniform(0, 8, n))
    return x, np.exp(rng.normal(0, 1)) * x ** -rng.uniform(0.05, 1.0) * np.exp(rng.normal(0, 0.2, n))


@claim("L10.4", "on points of a power law it is the exponent, with no error", points())
def finds_the_exponent(impl, x, y):
    for exponent in (0.076, 0.5, 1.25):
        alpha, error = impl.power_law(x, 3.0 * x**-exponent)
        expect_close(alpha, exponent, "the exponent")
        expect_close(error, 0.0, "the standard error", 1e-6)


@claim("L10.4", "no other line is nearer to the logarithms, and the error is that of its residuals", points())
def is_least_squares(impl, x, y):
    alpha, error = impl.power_law(x, y)
    u, v = np.log(x).tolist(), np.log(y).tolist()
    height = math.fsum(b + alpha * a for a, b in zip(u, v, strict=True)) / len(u)
    rest = [b + alpha * a - height for a, b in zip(u, v, strict=True)]
    expect_close(math.fsum(r * a for r, a in zip(rest, u, strict=True)), 0.0, "residuals times ln x", 1e-7)
    middle = math.fsum(u) / len(u)
    spread = math.fsum((a - middle) ** 2 for a in u)
    expect_close(error**2 * spread * (len(u) - 2), math.fsum(r * r for r in rest), "the residuals' squares", 1e-8)


@claim("L10.4", "other units, or another order of the points, change nothing", points())
def units_do_not_matter(impl, x, y):
    found = impl.power_law(x, y)
    expect_close(tuple(impl.power_law(1000 * x, y / 7)), tuple(found), "in other units", 1e-7)
    expect_close(tuple(impl.power_law(x[::-1], y[::-1])), tuple(found), "from the last point to the first", 1e-7)
    expect_close(impl.power_law(x, y**2)[0], 2 * found[0], "the exponent of y squared", 1e-7)


# ------------------------------------------------------------------------------------------------- L10.5 the floor


@composite
def losses_over_a_floor(draw):
    rng = np.random.default_rng(draw(integers(0, 10**6)))
    x = np.exp(rng.uniform(0, 6, draw(integers(1, 4))))
    return x, float(rng.uniform(0, 2)), float(rng.uniform(0.5, 4)), float(rng.uniform(0.1, 1.2))


@claim("L10.5", "it is the slope of the loss on logarithmic axes", losses_over_a_floor())
def is_the_slope(impl, x, floor, scale, exponent):
    found = impl.apparent_exponent(x, floor, scale, exponent)
    expect_shape(found, x.shape, "the exponents")
    h = 1e-4
    for value, seen in zip(x.tolist(), np.asarray(found).tolist(), strict=True):
        up, down = (math.log(floor + scale * (value * math.exp(s)) ** -exponent) for s in (h, -h))
        expect_close(seen, (down - up) / (2 * h), "the slope", 1e-6)


@claim("L10.5", "without a floor it is the exponent; with one it is less, and fades", losses_over_a_floor())
def fades(impl, x, floor, scale, exponent):
    expect_close(impl.apparent_exponent(x, 0.0, scale, exponent), np.full(x.shape, exponent), "without a floor")
    seen = np.asarray(impl.apparent_exponent(x, floor + 0.1, scale, exponent))
    later = np.asarray(impl.apparent_exponent(1e3 * x, floor + 0.1, scale, exponent))
    expect((seen < exponent) & (later < seen) & (later > 0), "it falls from the exponent towards 0", got=later)


# --------------------------------------------------------------------------------------------- L10.6 the objective


@composite
def runs(draw):
    """theta, N, D, L, delta: residuals on both sides of δ, none at it."""
    n = draw(integers(1, 4))
    rng = np.random.default_rng(draw(integers(0, 10**6)))
    theta = np.array([rng.uniform(2, 7), rng.uniform(2, 8), rng.uniform(-0.5, 0.8), *rng.uniform(0.2, 0.5, 2)])
    N, D = np.exp(rng.uniform(10, 20, (2, n)))
    delta = float(rng.choice([0.01, 0.1, 1.0]))
    residual = rng.choice([-3.0, -0.5, 0.4, 2.5], n) * delta * rng.uniform(0.8, 1.2, n)
    return theta, N, D, np.exp(np.array([log_model(theta, a, b) for a, b in zip(N, D, strict=True)]) - residual), delta


def log_model(theta, N, D):
    a, b, e, alpha, beta = (float(t) for t in theta)
    return math.log(math.exp(a) / float(N) ** alpha + math.exp(b) / float(D) ** beta + math.exp(e))


def objective(theta, N, D, L, delta):
    total = 0.0
    for a, b, y in zip(N, D, L, strict=True):
        r = abs(log_model(theta, a, b) - math.log(y))
        total += r * r / 2 if r <= delta else delta * (r - delta / 2)
    return total


@claim("L10.6", "it is the slope of the objective in each of the five directions", runs())
def is_the_gradient(impl, theta, N, D, L, delta):
    found = impl.objective_gradient(theta, N, D, L, delta)
    expect_shape(found, (5,), "the gradient")
    for i in range(5):
        h = 1e-5 * np.eye(5)[i]
        slope = (objective(theta + h, N, D, L, delta) - objective(theta - h, N, D, L, delta)) / 2e-5
        expect_close(found[i], slope, f"the slope by {'a b e α β'.split()[i]}", 2e-5)


@claim("L10.6", "the gradients of two sets of runs add up: it is a sum, no mean", runs())
def adds_up(impl, theta, N, D, L, delta):
    once = np.asarray(impl.objective_gradient(theta, N, D, L, delta))
    twice = impl.objective_gradient(theta, np.tile(N, 3), np.tile(D, 3), np.tile(L, 3), delta)
    expect_close(twice, 3 * once, "with every run three times")


@claim("L10.6", "an outlier pulls no harder the farther away it is", runs(), examples=60)
def outliers_are_tamed(impl, theta, N, D, L, delta):
    far = np.asarray(impl.objective_gradient(theta, N, D, L * math.exp(5 * delta + 5), delta))
    farther = impl.objective_gradient(theta, N, D, L * math.exp(5 * delta + 7), delta)
    expect_close(farther, far, "with losses farther above the model")
    exact = np.exp([log_model(theta, a, b) for a, b in zip(N, D, strict=True)])
    expect_close(impl.objective_gradient(theta, N, D, exact, delta), np.zeros(5), "on runs that fit exactly", 1e-7)


# ---------------------------------------------------------------------------------------- L10.7 spending compute


@composite
def budgets(draw):
    rng = np.random.default_rng(draw(integers(0, 10**6)))
    return tuple(
        float(x) for x in (10 ** rng.uniform(15, 24), *np.exp(rng.uniform(4, 8, 2)), *rng.uniform(0.2, 0.6, 2))
    )


@claim("L10.7", "the budget is spent, and spent better in no other way", budgets())
def is_the_best_way(impl, C, A, B, alpha, beta):
    N, D = impl.optimal_size(C, A, B, alpha, beta)
    expect_close(6 * N * D / C, 1.0, "the share of the budget that is spent")

    def loss(factor):
        return A / (N * factor) ** alpha + B / (D / factor) ** beta

    expect(loss(1.0) < loss(1.02) and loss(1.0) < loss(1 / 1.02), "a little more or less of N is worse", got=loss(1.0))
    expect(all(loss(1.0) < loss(f) for f in (0.01, 0.3, 3.0, 100.0)), "much more or less of N is worse")


@claim("L10.7", "at the best, one percent more of N helps as much as one percent more of D", budgets())
def margins_are_equal(impl, C, A, B, alpha, beta):
    N, D = impl.optimal_size(C, A, B, alpha, beta)
    expect_close(alpha * A / N**alpha, beta * B / D**beta, "what a percent of each saves", 1e-8)


@claim("L10.7", "100 times the compute: N grows by 100 to the power β / (α + β), D by the rest", budgets())
def grow_as_powers(impl, C, A, B, alpha, beta):
    (N, D), (more_N, more_D) = (impl.optimal_size(c, A, B, alpha, beta) for c in (C, 100 * C))
    expect_close(math.log(more_N / N, 100), 1 / (1 + alpha / beta), "the exponent of N")
    expect_close(math.log(more_D / D, 100), 1 / (1 + beta / alpha), "the exponent of D")


# ---------------------------------------------------------------------------------------- L10.8 the reconciliation


@composite
def surfaces(draw):
    """n, ω, α, β around those of the published surface."""
    rng = np.random.default_rng(draw(integers(0, 10**6)))
    n = 10 ** rng.uniform(3, 10, draw(integers(1, 3)))
    return n, float(10 ** rng.uniform(3.5, 5)), *(float(x) for x in rng.uniform(0.25, 0.5, 2))


def best_log_n(log_C, omega, alpha, beta):
    """ln n at which the loss is least for the compute 6 n D, by golden section; A = 500, B = 2000."""

    def loss(x):
        n = math.exp(x)
        return 500 / (n + omega * n ** (1 / 3)) ** alpha + 2000 / math.exp(log_C - math.log(6) - x) ** beta

    low, high, g = 0.0, 60.0, (math.sqrt(5) - 1) / 2
    while high - low > 1e-7:
        left, right = high - g * (high - low), low + g * (high - low)
        low, high = (low, right) if loss(left) < loss(right) else (left, high)
    return (low + high) / 2


@claim("L10.8", "it is the slope of ln n by ln C along the optimum", surfaces(), examples=40)
def is_the_slope_of_the_optimum(impl, n, omega, alpha, beta):
    for log_C in (28.0, 40.0):
        below, here, above = (best_log_n(log_C + h, omega, alpha, beta) for h in (-0.1, 0.0, 0.1))
        (found,) = impl.local_exponent(np.array([math.exp(here)]), omega, alpha, beta)
        expect_close(found, (above - below) / 0.2, f"the slope at n = {math.exp(here):.3g}", 2e-3)


@claim("L10.8", "where embeddings are few, or there are none, it is β / (α + β)", surfaces())
def is_chinchillas_for_large_models(impl, n, omega, alpha, beta):
    expect_shape(impl.local_exponent(n, omega, alpha, beta), n.shape, "the exponents")
    plain = np.full(n.shape, 1 / (1 + alpha / beta))
    expect_close(impl.local_exponent(n, 0.0, alpha, beta), plain, "without embeddings")
    expect_close(impl.local_exponent(n * 1e12, omega, alpha, beta), plain, "for models that are all blocks", 1e-4)


@claim(
    "L10.8", "where embeddings are nearly all, the loss feels a third of the growth: it is 3 β / (α + 3 β)", surfaces()
)
def is_larger_for_small_models(impl, n, omega, alpha, beta):
    small = impl.local_exponent(n * 1e-15, omega, alpha, beta)
    expect_close(small, np.full(n.shape, 3 * beta / (alpha + 3 * beta)), "for models that are all embeddings", 1e-3)
    expect(np.asarray(impl.local_exponent(n, omega, alpha, beta)) > beta / (alpha + beta), "it is above Chinchilla's")


# ------------------------------------------------------------------------------------------------ L10.9 the source


@composite
def facts(draw):
    rng = np.random.default_rng(draw(integers(0, 10**6)))
    p = rng.gamma(0.8, size=draw(integers(2, 4))) + 0.02
    return p / p.sum(), draw(integers(0, 4))


@claim("L10.9", "it is the mean, over all that may have been drawn, of the mass that was not", facts())
def is_the_mean_over_all_draws(impl, p, n):
    total = 0.0
    for drawn in itertools.product(range(len(p)), repeat=n):
        chance = math.prod(float(p[i]) for i in drawn)
        total += chance * math.fsum(float(p[i]) for i in range(len(p)) if i not in drawn)
    expect_close(impl.unseen_mass(p, n), total, f"the unseen mass after {n} draws")


@claim("L10.9", "it is 1 at first, and falls by the probability of a fact seen for the first time", facts())
def falls_by_first_sights(impl, p, n):
    expect_close(impl.unseen_mass(p, 0), 1.0, "before anything is drawn")
    first_at_next = math.fsum(float(q) ** 2 * (1 - float(q)) ** n for q in p)
    expect_close(impl.unseen_mass(p, n) - impl.unseen_mass(p, n + 1), first_at_next, "what one more draw takes from it")


@claim(
    "L10.9", "on a tail of exponent 1 + α it falls as n^(−α / (1 + α))", st.sampled_from([0.5, 1.0, 2.0]), examples=6
)
def falls_as_a_power(impl, alpha):
    p = np.arange(1, 2_000_001) ** -(1 + alpha)
    p /= p.sum()
    few, many = (impl.unseen_mass(p, n) for n in (300, 3000))
    expect_close(math.log10(few / many), alpha / (1 + alpha), "the exponent", 0.03)
