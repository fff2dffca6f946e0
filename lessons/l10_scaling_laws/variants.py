"""Other ways that are as right."""

import math

import numpy as np

from minilm.course import variant

# ---------------------------------------------------------------------------------------------------------------- L10.1


@variant("L10.1", "by logarithms")
def kaplan_loss(N, D, Nc, Dc, alpha_N, alpha_D):
    size = alpha_N / alpha_D * (math.log(Nc) - math.log(N))
    data = math.log(Dc) - math.log(D)
    return math.exp(alpha_D * float(np.logaddexp(size, data)))


@variant("L10.1", "the two laws first")
def kaplan_loss(N, D, Nc, Dc, alpha_N, alpha_D):
    of_size, of_data = (Nc / N) ** alpha_N, (Dc / D) ** alpha_D
    return (of_size ** (1 / alpha_D) + of_data ** (1 / alpha_D)) ** alpha_D


@variant("L10.1", "the law of data, times what a finite model adds")
def kaplan_loss(N, D, Nc, Dc, alpha_N, alpha_D):
    ratio = (Nc / N) ** (alpha_N / alpha_D) * (D / Dc)
    return (Dc / D) ** alpha_D * (1 + ratio) ** alpha_D


# ---------------------------------------------------------------------------------------------------------------- L10.2


@variant("L10.2", "matrix by matrix")
def training_flops(width, layers, context, vocabulary, tokens):
    block = [(width, 3 * width), (width, width), (width, 4 * width), (4 * width, width)]
    forward = layers * sum(2 * rows * columns for rows, columns in block)
    attention = layers * 2 * (2 * width * context // 2)
    head = 2 * width * vocabulary
    return tuple(3 * tokens * cost for cost in (forward, forward + attention, forward + attention + head))


@variant("L10.2", "per token, then times the tokens")
def training_flops(width, layers, context, vocabulary, tokens):
    N = 12 * layers * width**2
    steps = np.cumsum([6 * N, 6 * layers * context * width, 6 * width * vocabulary])
    return tuple(int(step) * tokens for step in steps)


@variant("L10.2", "the head as more entries, attention as a factor")
def training_flops(width, layers, context, vocabulary, tokens):
    N = 12 * layers * width**2
    with_attention = N * (1 + context / (12 * width))
    return 6.0 * N * tokens, 6 * with_attention * tokens, 6 * (with_attention + width * vocabulary) * tokens


# ---------------------------------------------------------------------------------------------------------------- L10.4


@variant("L10.4", "by the normal equations")
def power_law(x, y):
    X = np.stack([np.ones(len(x)), np.log(x)], 1)
    inverse = np.linalg.inv(X.T @ X)
    best = inverse @ X.T @ np.log(y)
    residual = np.log(y) - X @ best
    return -best[1], math.sqrt(max(residual @ residual, 0) / (len(x) - 2) * inverse[1, 1])


@variant("L10.4", "by covariance and correlation")
def power_law(x, y):
    (uu, uv), (_, vv) = np.cov(np.log(x), np.log(y))
    slope = uv / uu
    return -slope, math.sqrt(max(vv / uu - slope**2, 0.0) / (len(x) - 2))


@variant("L10.4", "by lstsq, in base 2")
def power_law(x, y):
    u, v = np.log2(x), np.log2(y)
    line, *_ = np.linalg.lstsq(np.stack([u, np.ones(len(u))], 1), v, rcond=None)
    rest = v - line[0] * u - line[1]
    return -line[0], math.sqrt((rest**2).sum() / (len(u) - 2) / (len(u) * u.var()))


# ---------------------------------------------------------------------------------------------------------------- L10.5


@variant("L10.5", "the exponent times the share above the floor, from the loss")
def apparent_exponent(x, floor, scale, exponent):
    loss = floor + scale / x**exponent
    return exponent * (1 - floor / loss)


@variant("L10.5", "one fraction")
def apparent_exponent(x, floor, scale, exponent):
    return exponent / (1 + floor / scale * x**exponent)


@variant("L10.5", "point by point")
def apparent_exponent(x, floor, scale, exponent):
    found = []
    for value in x:
        derivative = -exponent * scale * value ** (-exponent - 1)
        found.append(-derivative * value / (floor + scale * value**-exponent))
    return np.array(found)


# ---------------------------------------------------------------------------------------------------------------- L10.6


@variant("L10.6", "run by run")
def objective_gradient(theta, N, D, L, delta):
    a, b, e, alpha, beta = theta
    total = np.zeros(5)
    for n, d, y in zip(N, D, L, strict=True):
        size, data, floor = math.exp(a) / n**alpha, math.exp(b) / d**beta, math.exp(e)
        model = size + data + floor
        pull = min(max(math.log(model / y), -delta), delta) / model
        total += pull * np.array([size, data, floor, -size * math.log(n), -data * math.log(d)])
    return total


@variant("L10.6", "three lines in theta, one matrix")
def objective_gradient(theta, N, D, L, delta):
    X = np.zeros((3, len(N), 5))
    X[0, :, 0] = X[1, :, 1] = X[2, :, 2] = 1
    X[0, :, 3], X[1, :, 4] = -np.log(N), -np.log(D)
    e = np.exp(X @ theta)
    residual = np.log(e.sum(0)) - np.log(L)
    pull = np.where(np.abs(residual) <= delta, residual, delta * np.sign(residual))
    return np.einsum("jni,jn,n->i", X, e / e.sum(0), pull)


@variant("L10.6", "with A, B and E, scaled at the end")
def objective_gradient(theta, N, D, L, delta):
    A, B, E = np.exp(theta[:3])
    alpha, beta = theta[3:]
    model = A * N**-alpha + B * D**-beta + E
    r = np.log(model / L)
    pull = np.maximum(np.minimum(r, delta), -delta) / model
    by_A, by_B = np.sum(pull * N**-alpha), np.sum(pull * D**-beta)
    return np.array([A * by_A, B * by_B, E * pull.sum(), -A * np.sum(pull * N**-alpha * np.log(N)),
                     -B * np.sum(pull * D**-beta * np.log(D))])  # fmt: skip


# ---------------------------------------------------------------------------------------------------------------- L10.7


@variant("L10.7", "by logarithms, the data first")
def optimal_size(C, A, B, alpha, beta):
    log_D = (math.log(beta * B) - math.log(alpha * A) + alpha * math.log(C / 6)) / (alpha + beta)
    return C / 6 / math.exp(log_D), math.exp(log_D)


@variant("L10.7", "the condition solved by bisection")
def optimal_size(C, A, B, alpha, beta):
    low, high = -50.0, math.log(C) + 50
    for _ in range(200):
        middle = (low + high) / 2
        log_D = math.log(C / 6) - middle
        if math.log(alpha * A) - alpha * middle > math.log(beta * B) - beta * log_D:
            low = middle
        else:
            high = middle
    return math.exp(middle), C / 6 / math.exp(middle)


@variant("L10.7", "shares of the budget")
def optimal_size(C, A, B, alpha, beta):
    share = beta / (alpha + beta)
    G = (alpha / beta * A / B) ** (share / beta)
    return G * (C / 6) ** share, (C / 6) ** (1 - share) / G


# ---------------------------------------------------------------------------------------------------------------- L10.8


@variant("L10.8", "beta over a sum")
def local_exponent(n, omega, alpha, beta):
    embedding = omega * np.cbrt(n)
    N = n + embedding
    s = (n + embedding / 3) / N
    bend = (n + embedding / 9) / (s * N) - s  # of s N = n + ω n^(1/3) / 3, less that of N
    return beta / (beta + alpha * s - bend)


@variant("L10.8", "in terms of the embeddings' share")
def local_exponent(n, omega, alpha, beta):
    share = omega * np.cbrt(n) / (n + omega * np.cbrt(n))
    s = 1 - 2 * share / 3
    bend = (-2 / 3) * share * (1 - share) * (-2 / 3) / s
    return 1 / (1 + (alpha * s - bend) / beta)


@variant("L10.8", "compute along the optimum, derived exactly by complex steps")
def local_exponent(n, omega, alpha, beta):
    x = np.log(n) + 1e-30j
    N = np.exp(x) + omega * np.exp(x / 3)
    s = (np.exp(x) + omega * np.exp(x / 3) / 3) / N
    log_C = x + (alpha * np.log(N) - np.log(s)) / beta
    return 1e-30 / log_C.imag


# ---------------------------------------------------------------------------------------------------------------- L10.9


@variant("L10.9", "fact by fact")
def unseen_mass(p, n):
    return math.fsum(float(q) * (1 - float(q)) ** n for q in p)


@variant("L10.9", "as a product of two vectors")
def unseen_mass(p, n):
    return float(p @ np.power(1 - p, n))


@variant("L10.9", "1 less the mass that was seen")
def unseen_mass(p, n):
    seen = 1 - (1 - p) ** n
    return 1 - float(np.dot(seen, p))
