"""The tasks of lesson 10, answered."""

import math

import numpy as np

from minilm.course import task


@task("L10.1", worked=True, plain=True)
def kaplan_loss(N, D, Nc, Dc, alpha_N, alpha_D):
    """Loss of N parameters trained on D tokens until they overfit, in nats (Kaplan et al. 2020, equation 1.5).

    L(N, D) = [ (Nc / N)^(α_N / α_D) + Dc / D ]^α_D. All arguments are numbers above 0, and large ones -> a number. With
    endless data it is (Nc / N)^α_N, with an endless model (Dc / D)^α_D.
    """
    size = (Nc / N) ** (alpha_N / alpha_D)
    data = Dc / D
    return (size + data) ** alpha_D


@task("L10.2", points=1, keep=1, plain=True)
def training_flops(width, layers, context, vocabulary, tokens):
    """What it costs to train a GPT: three counts of floating-point operations, each with more in it than the last.

    A block has the matrices of its queries, keys, values and output, 4 d², and those of its MLP, 8 d². Each entry of
    a matrix costs 6 operations a token: a multiplication and an addition forward, twice that backward. -> three
    numbers: the matrices of the blocks alone; with attention, which takes 2 L T d operations a token forward (half of
    the context is masked) and three times that in all; with the head as well, a d x V matrix. Looking up an embedding
    costs nothing.
    """
    blocks = 6 * 12 * layers * width**2 * tokens
    attention = 3 * 2 * layers * context * width * tokens
    head = 6 * width * vocabulary * tokens
    return blocks, blocks + attention, blocks + attention + head


@task("L10.4", points=2, plain=True)
def power_law(x, y):
    """Fit y = c x^(−α) by least squares on logarithms: the exponent, and its standard error.

    x, y: positive numbers (n,), n ≥ 3, not all x equal -> α, s. With the residuals r of ln y after the straight line in
    ln x, s = √( Σ r² / (n − 2) / Σ (ln x − mean of ln x)² ).
    """
    u, v = np.log(x), np.log(y)
    u, v = u - u.mean(), v - v.mean()
    slope = (u @ v) / (u @ u)
    residual = v - slope * u
    return -slope, math.sqrt(residual @ residual / (len(x) - 2) / (u @ u))


@task("L10.5", points=1, plain=True)
def apparent_exponent(x, floor, scale, exponent):
    """The exponent that a log-log plot of a loss shows at x, if nobody subtracts the floor.

    The loss is L(x) = floor + scale · x^(−exponent). x: positive numbers (n,), floor ≥ 0, scale > 0 -> (n,), −d ln L
    / d ln x.
    """
    above = scale * x**-exponent
    return exponent * above / (floor + above)


@task("L10.6", points=3, plain=True)
def objective_gradient(theta, N, D, L, delta):
    """The gradient of Chinchilla's objective by its five parameters, by hand.

    theta: (a, b, e, α, β) as an array (5,). The model is ln L̂ = ln( e^(a − α ln N) + e^(b − β ln D) + e^e ), so A =
    e^a, B = e^b, E = e^e. The objective is the SUM over the runs of Huber(ln L̂ − ln L), where Huber(r) is r² / 2 for
    |r| ≤ δ and δ (|r| − δ / 2) beyond. N, D, L: (n,) -> (5,), in the order of theta.
    """
    a, b, e, alpha, beta = theta
    terms = np.stack([a - alpha * np.log(N), b - beta * np.log(D), np.full(len(N), e)])  # (3, n)
    total = np.logaddexp.reduce(terms)
    share = np.exp(terms - total)  # of each term in L̂
    pull = np.clip(total - np.log(L), -delta, delta)  # Huber's derivative
    by_a, by_b, by_e = share @ pull
    by_alpha, by_beta = -(share[0] * np.log(N)) @ pull, -(share[1] * np.log(D)) @ pull
    return np.array([by_a, by_b, by_e, by_alpha, by_beta])


@task("L10.7", points=2, plain=True)
def optimal_size(C, A, B, alpha, beta):
    """How to spend C operations: the N and D with 6 N D = C at which A / N^α + B / D^β is least.

    All arguments are numbers above 0 -> N, D. With G = (α A / (β B))^(1 / (α + β)), N = G (C / 6)^(β / (α + β)).
    """
    G = (alpha * A / (beta * B)) ** (1 / (alpha + beta))
    N = G * (C / 6) ** (beta / (alpha + beta))
    return N, C / 6 / N


@task("L10.8", points=3, plain=True)
def local_exponent(n, omega, alpha, beta):
    """The exponent with which the best size grows with compute, if embeddings are left out of both.

    The loss is E + A / N^α + B / D^β with N = n + ω n^(1/3) all parameters, of which n are not embeddings. Compute is
    C = 6 n D. n: positive numbers (m,), ω ≥ 0 -> (m,), d ln n / d ln C along the optimum. There
    α A N^(−α) · d ln N / d ln n = β B D^(−β): solve for ln D, and derive by ln n. With u = ω n^(−2/3),
    s = d ln N / d ln n = (1 + u/3) / (1 + u) and d ln s / d ln n = 4u / (3 (1 + u) (3 + u)).
    """
    u = omega * n ** (-2 / 3)
    s = (1 + u / 3) / (1 + u)
    bend = 4 * u / (3 * (1 + u) * (3 + u))
    return 1 / (1 + (alpha * s - bend) / beta)


@task("L10.9", points=2, plain=True)
def unseen_mass(p, n):
    """The probability that the next fact is one that n facts before it, drawn independently, did not hold: its mean.

    p: probabilities (K,), which sum to 1, n: a whole number of at least 0 -> Σ p (1 − p)^n.
    """
    return float(np.sum(p * (1 - p) ** n))
