"""What students write instead, and the question that leads on."""

import math

import numpy as np

from minilm.course import mutant

# ---------------------------------------------------------------------------------------------------------------- L10.1


@mutant("L10.1", misconception="the_laws_add_up",
        hint="With endless data your loss is right, and with an endless model. What are the two laws raised to "
             "before they are added?")  # fmt: skip
def kaplan_loss(N, D, Nc, Dc, alpha_N, alpha_D):
    return (Nc / N) ** alpha_N + (Dc / D) ** alpha_D


@mutant("L10.1", misconception="outer_exponent_is_missing",
        hint="Let N be endless: what is left should be the law of data. To which power is it?")  # fmt: skip
def kaplan_loss(N, D, Nc, Dc, alpha_N, alpha_D):
    return (Nc / N) ** (alpha_N / alpha_D) + Dc / D


@mutant("L10.1", misconception="ratio_is_upside_down",
        hint="(x^(α_N / α_D))^α_D is x^α_N. What is (x^(α_D / α_N))^α_D?")  # fmt: skip
def kaplan_loss(N, D, Nc, Dc, alpha_N, alpha_D):
    return ((Nc / N) ** (alpha_D / alpha_N) + Dc / D) ** alpha_D


@mutant("L10.1", misconception="exponents_are_swapped",
        hint="Let D be endless: which exponent should N have, and which has it here?")  # fmt: skip
def kaplan_loss(N, D, Nc, Dc, alpha_N, alpha_D):
    return (Nc / N + (Dc / D) ** (alpha_D / alpha_N)) ** alpha_D


@mutant("L10.1", misconception="larger_is_worse",
        hint="Double N: does your loss fall?")  # fmt: skip
def kaplan_loss(N, D, Nc, Dc, alpha_N, alpha_D):
    return ((N / Nc) ** (alpha_N / alpha_D) + D / Dc) ** alpha_D


@mutant("L10.1", misconception="the_laws_multiply",
        hint="With endless data the second law should drop out. To which value does yours go?")  # fmt: skip
def kaplan_loss(N, D, Nc, Dc, alpha_N, alpha_D):
    return (Nc / N) ** alpha_N * (Dc / D) ** alpha_D


@mutant("L10.1", misconception="the_larger_law_alone",
        hint="A model held up by its size is also held up by its data. Is the loss near the crossing only the "
             "larger of the two?")  # fmt: skip
def kaplan_loss(N, D, Nc, Dc, alpha_N, alpha_D):
    return max((Nc / N) ** alpha_N, (Dc / D) ** alpha_D)


@mutant("L10.1", misconception="scales_are_swapped",
        hint="Which of the two scales belongs to parameters, which to tokens?")  # fmt: skip
def kaplan_loss(N, D, Nc, Dc, alpha_N, alpha_D):
    return ((Dc / N) ** (alpha_N / alpha_D) + Nc / D) ** alpha_D


@mutant("L10.1", misconception="product_of_exponents",
        hint="The inner exponent is a quotient. What is (x^(α_N α_D))^α_D?")  # fmt: skip
def kaplan_loss(N, D, Nc, Dc, alpha_N, alpha_D):
    return ((Nc / N) ** (alpha_N * alpha_D) + Dc / D) ** alpha_D


# ---------------------------------------------------------------------------------------------------------------- L10.2


def counts(width, layers, context, vocabulary, tokens, block=12, per_entry=6, attention=6, head=6):
    a = per_entry * block * layers * width**2 * tokens
    b = a + attention * layers * context * width * tokens
    return a, b, b + head * width * vocabulary * tokens


@mutant("L10.2", misconception="forward_only",
        hint="Two operations an entry are those of the forward. What does the backward cost?")  # fmt: skip
def training_flops(width, layers, context, vocabulary, tokens):
    return counts(width, layers, context, vocabulary, tokens, per_entry=2, attention=2, head=2)


@mutant("L10.2", misconception="a_product_is_one_operation",
        hint="A multiplication and an addition: how many operations are they?")  # fmt: skip
def training_flops(width, layers, context, vocabulary, tokens):
    return counts(width, layers, context, vocabulary, tokens, per_entry=3, attention=3, head=3)


@mutant("L10.2", misconception="backward_costs_as_much_as_forward",
        hint="A product has two gradients, one for each factor. How many products is that backward?")  # fmt: skip
def training_flops(width, layers, context, vocabulary, tokens):
    return counts(width, layers, context, vocabulary, tokens, per_entry=4, attention=4, head=4)


@mutant("L10.2", misconception="layers_are_not_counted",
        hint="Your first number is that of one block. How many are there?")  # fmt: skip
def training_flops(width, layers, context, vocabulary, tokens):
    return counts(width, 1, context, vocabulary, tokens, attention=6 * layers)


@mutant("L10.2", misconception="the_mask_saves_nothing",
        hint="A position reads what is before it: how much of the context is that, on average?")  # fmt: skip
def training_flops(width, layers, context, vocabulary, tokens):
    return counts(width, layers, context, vocabulary, tokens, attention=12)


@mutant("L10.2", misconception="looking_up_is_a_product",
        hint="To look up a row of a table, how many multiplications does it take?")  # fmt: skip
def training_flops(width, layers, context, vocabulary, tokens):
    return counts(width, layers, context, vocabulary, tokens, head=12)


@mutant("L10.2", misconception="mlp_is_forgotten",
        hint="Per block: 4 d² for attention's matrices. Where are those of the MLP?")  # fmt: skip
def training_flops(width, layers, context, vocabulary, tokens):
    return counts(width, layers, context, vocabulary, tokens, block=4)


@mutant("L10.2", misconception="attention_has_no_backward",
        hint="You tripled the matrices' cost for the backward. And attention's?")  # fmt: skip
def training_flops(width, layers, context, vocabulary, tokens):
    return counts(width, layers, context, vocabulary, tokens, attention=2)


@mutant("L10.2", misconception="context_squared_per_token",
        hint="Attention is quadratic for a text. How does it grow with the context for one token?")  # fmt: skip
def training_flops(width, layers, context, vocabulary, tokens):
    return counts(width, layers, context**2, vocabulary, tokens)


@mutant("L10.2", misconception="cost_of_one_token",
        hint="Twice the tokens: does your count double?")  # fmt: skip
def training_flops(width, layers, context, vocabulary, tokens):
    return counts(width, layers, context, vocabulary, 1)


@mutant("L10.2", misconception="each_count_alone",
        hint="The second number holds the first, the third both. Do yours grow?")  # fmt: skip
def training_flops(width, layers, context, vocabulary, tokens):
    a, b, c = counts(width, layers, context, vocabulary, tokens)
    return a, b - a, c - b


# ---------------------------------------------------------------------------------------------------------------- L10.4


def line(u, v, free=2):
    u, v = u - u.mean(), v - v.mean()
    slope = (u @ v) / (u @ u)
    r = v - slope * u
    return slope, math.sqrt(r @ r / max(len(u) - free, 1) / (u @ u))


@mutant("L10.4", misconception="sign_of_the_exponent",
        hint="y = c x^(−α): a falling line has a positive α. What sign has yours?")  # fmt: skip
def power_law(x, y):
    return line(np.log(x), np.log(y))


@mutant("L10.4", misconception="bases_are_mixed",
        hint="Any base will do, as long as both axes have the same. Which have yours?")  # fmt: skip
def power_law(x, y):
    slope, error = line(np.log10(x), np.log(y))
    return -slope, error


@mutant("L10.4", misconception="exponential_for_power",
        hint="The logarithm of y alone is a line in x for an exponential. Which axes make a power a line?")  # fmt: skip
def power_law(x, y):
    slope, error = line(x, np.log(y))
    return -slope, error


@mutant("L10.4", misconception="the_line_starts_at_the_origin",
        hint="Multiply y by 7: does your exponent change? Where is the prefactor c?")  # fmt: skip
def power_law(x, y):
    u, v = np.log(x), np.log(y)
    slope = (u @ v) / (u @ u)
    r = v - slope * u
    return -slope, math.sqrt(r @ r / max(len(u) - 2, 1) / (u @ u))


@mutant("L10.4", misconception="x_and_y_are_swapped",
        hint="You fit ln x as a line in ln y and invert the slope. Whose errors does that make small?")  # fmt: skip
def power_law(x, y):
    slope, error = line(np.log(y), np.log(x))
    return -1 / slope, error / slope**2


@mutant("L10.4", misconception="only_the_ends_count",
        hint="Your slope is that of the first and the last point. What do those between them say?")  # fmt: skip
def power_law(x, y):
    first, last = np.argmin(x), np.argmax(x)
    alpha = -math.log(y[last] / y[first]) / math.log(x[last] / x[first])
    return alpha, line(np.log(x), np.log(y))[1]


@mutant("L10.4", misconception="degrees_of_freedom",
        hint="Two numbers were fitted. With two points the residuals are 0, and would your error "
             "be 0 as well?")  # fmt: skip
def power_law(x, y):
    slope, error = line(np.log(x), np.log(y), free=0)
    return -slope, error


@mutant("L10.4", misconception="spread_is_no_standard_error",
        hint="Your second number is how far points lie from the line. How sure is its slope when x spans "
             "a wide range?")  # fmt: skip
def power_law(x, y):
    u, v = np.log(x), np.log(y)
    slope, error = line(u, v)
    return -slope, error * math.sqrt(((u - u.mean()) ** 2).sum())


@mutant("L10.4", misconception="variance_for_error",
        hint="Double the residuals: an error doubles, a variance is four times as large. What does yours?")  # fmt: skip
def power_law(x, y):
    slope, error = line(np.log(x), np.log(y))
    return -slope, error**2


@mutant("L10.4", misconception="fitted_without_logarithms",
        hint="On raw axes the largest y decide nearly alone. Are all points equally near your "
             "curve, in percent?")  # fmt: skip
def power_law(x, y):
    grid = np.linspace(0.0, 3.0, 601)
    basis = x[:, None] ** -grid
    c = (y @ basis) / (basis**2).sum(0)
    alpha = grid[np.argmin(((y[:, None] - c * basis) ** 2).sum(0))]
    return float(alpha), line(np.log(x), np.log(y))[1]


# ---------------------------------------------------------------------------------------------------------------- L10.5


@mutant("L10.5", misconception="the_floor_does_not_matter",
        hint="For very large x the loss is the floor: how steep is it there on logarithmic axes?")  # fmt: skip
def apparent_exponent(x, floor, scale, exponent):
    return np.full(x.shape, exponent)


@mutant("L10.5", misconception="slope_on_raw_axes",
        hint="You derived L by x. The slope on a log-log plot is d ln L / d ln x: what is missing?")  # fmt: skip
def apparent_exponent(x, floor, scale, exponent):
    return exponent * scale * x ** (-exponent - 1)


@mutant("L10.5", misconception="only_x_is_logarithmic",
        hint="You derived L by ln x. And the logarithm on the other axis?")  # fmt: skip
def apparent_exponent(x, floor, scale, exponent):
    return exponent * scale * x**-exponent


@mutant("L10.5", misconception="sign_of_the_exponent",
        hint="The loss falls, the exponent is to be positive. What sign has yours?")  # fmt: skip
def apparent_exponent(x, floor, scale, exponent):
    return -exponent * scale * x**-exponent / (floor + scale * x**-exponent)


@mutant("L10.5", misconception="share_of_the_floor",
        hint="Without a floor yours is 0. Which share of the loss still falls?")  # fmt: skip
def apparent_exponent(x, floor, scale, exponent):
    return exponent * floor / (floor + scale * x**-exponent)


@mutant("L10.5", misconception="scale_is_forgotten",
        hint="Change the scale: the point where the floor takes over moves. Does yours?")  # fmt: skip
def apparent_exponent(x, floor, scale, exponent):
    return exponent * x**-exponent / (floor + x**-exponent)


@mutant("L10.5", misconception="exponent_is_forgotten",
        hint="You give the share of the loss that is above the floor. At which rate does that share fall?")  # fmt: skip
def apparent_exponent(x, floor, scale, exponent):
    return scale * x**-exponent / (floor + scale * x**-exponent)


@mutant("L10.5", misconception="chord_for_tangent",
        hint="You take the slope from 1 to x, not at x. Where is the point?")  # fmt: skip
def apparent_exponent(x, floor, scale, exponent):
    loss = floor + scale * x**-exponent
    return np.log((floor + scale) / loss) / np.log(x + 1e-9)


@mutant("L10.5", misconception="the_floor_is_subtracted",
        hint="Above the floor the slope is the exponent everywhere. What was asked is the plot of those who do "
             "not know the floor.")  # fmt: skip
def apparent_exponent(x, floor, scale, exponent):
    loss = scale * x**-exponent
    return exponent * loss / (loss + 0 * floor)


# ---------------------------------------------------------------------------------------------------------------- L10.6


def pieces(theta, N, D, L):
    a, b, e, alpha, beta = theta
    terms = np.stack([a - alpha * np.log(N), b - beta * np.log(D), np.full(len(N), e)])
    total = np.logaddexp.reduce(terms)
    return np.exp(terms - total), total - np.log(L), np.exp(total)


def assemble(share, pull, N, D):
    by_a, by_b, by_e = share @ pull
    return np.array([by_a, by_b, by_e, -(share[0] * np.log(N)) @ pull, -(share[1] * np.log(D)) @ pull])


@mutant("L10.6", misconception="mean_for_sum",
        hint="Every run three times: does your gradient triple? What happens to a stopping rule if all numbers "
             "are 240 times smaller?")  # fmt: skip
def objective_gradient(theta, N, D, L, delta):
    share, r, _ = pieces(theta, N, D, L)
    return assemble(share, np.clip(r, -delta, delta), N, D) / len(N)


@mutant("L10.6", misconception="squares_for_huber",
        hint="Move one run's loss far away: how much harder does it pull in yours? And with Huber?")  # fmt: skip
def objective_gradient(theta, N, D, L, delta):
    share, r, _ = pieces(theta, N, D, L)
    return assemble(share, r, N, D)


@mutant("L10.6", misconception="sign_instead_of_huber",
        hint="Near 0 Huber is a parabola: what is its slope where a run fits exactly?")  # fmt: skip
def objective_gradient(theta, N, D, L, delta):
    share, r, _ = pieces(theta, N, D, L)
    return assemble(share, delta * np.sign(r), N, D)


@mutant("L10.6", misconception="fits_the_loss_itself",
        hint="The residual is ln L̂ − ln L. Which residual did you derive?")  # fmt: skip
def objective_gradient(theta, N, D, L, delta):
    share, _, model = pieces(theta, N, D, L)
    return assemble(share, np.clip(model - L, -delta, delta) * model, N, D)


@mutant("L10.6", misconception="the_logarithm_is_not_derived",
        hint="d ln(A + B + E) by a: each term counts by its share of the sum. You left out the division.")  # fmt: skip
def objective_gradient(theta, N, D, L, delta):
    share, r, model = pieces(theta, N, D, L)
    return assemble(share * model, np.clip(r, -delta, delta), N, D)


@mutant("L10.6", misconception="shares_are_equal",
        hint="Which of the three terms does a large model's loss consist of? By that share it pulls.")  # fmt: skip
def objective_gradient(theta, N, D, L, delta):
    share, r, _ = pieces(theta, N, D, L)
    return assemble(np.ones_like(share), np.clip(r, -delta, delta), N, D)


@mutant("L10.6", misconception="sign_of_the_exponents",
        hint="A larger α makes the term smaller. Which sign has its slope?")  # fmt: skip
def objective_gradient(theta, N, D, L, delta):
    share, r, _ = pieces(theta, N, D, L)
    return assemble(share, np.clip(r, -delta, delta), N, D) * np.array([1, 1, 1, -1, -1])


@mutant("L10.6", misconception="exponent_without_its_logarithm",
        hint="d (a − α ln N) / dα is not −1. What is it?")  # fmt: skip
def objective_gradient(theta, N, D, L, delta):
    share, r, _ = pieces(theta, N, D, L)
    by = share @ np.clip(r, -delta, delta)
    return np.array([*by, -by[0], -by[1]])


@mutant("L10.6", misconception="by_the_scale_not_its_logarithm",
        hint="You derived by A, B and E; the parameters are their logarithms. How do the two "
             "slopes differ?")  # fmt: skip
def objective_gradient(theta, N, D, L, delta):
    share, r, _ = pieces(theta, N, D, L)
    return assemble(share, np.clip(r, -delta, delta), N, D) / np.exp([*theta[:3], 0, 0])


@mutant("L10.6", misconception="residual_has_the_wrong_sign",
        hint="If the model's loss is too high, e has to fall. Which sign has your slope by e there?")  # fmt: skip
def objective_gradient(theta, N, D, L, delta):
    share, r, _ = pieces(theta, N, D, L)
    return assemble(share, np.clip(-r, -delta, delta), N, D)


@mutant("L10.6", misconception="size_and_data_are_swapped",
        hint="α belongs to N, β to D. Which logarithm stands beside which?")  # fmt: skip
def objective_gradient(theta, N, D, L, delta):
    share, r, _ = pieces(theta, N, D, L)
    return assemble(share, np.clip(r, -delta, delta), D, N)


# ---------------------------------------------------------------------------------------------------------------- L10.7


def spent(C, A, B, alpha, beta, exponent):
    N = (alpha * A / (beta * B)) ** (1 / (alpha + beta)) * (C / 6) ** exponent
    return N, C / 6 / N


@mutant("L10.7", misconception="exponents_are_swapped",
        hint="If data help little, β is small: should the model then grow faster or slower with compute?")  # fmt: skip
def optimal_size(C, A, B, alpha, beta):
    return spent(C, A, B, alpha, beta, alpha / (alpha + beta))


@mutant("L10.7", misconception="always_half_and_half",
        hint="N and D grow alike only if α = β. Where do the exponents enter in yours?")  # fmt: skip
def optimal_size(C, A, B, alpha, beta):
    return spent(C, A, B, alpha, beta, 0.5)


@mutant("L10.7", misconception="terms_are_equal_at_the_best",
        hint="You make A / N^α and B / D^β equal. What has to be equal is what one percent more "
             "of each saves.")  # fmt: skip
def optimal_size(C, A, B, alpha, beta):
    N = (A / B) ** (1 / (alpha + beta)) * (C / 6) ** (beta / (alpha + beta))
    return N, C / 6 / N


@mutant("L10.7", misconception="six_is_forgotten",
        hint="How much does it cost to train your N on your D? Is that C?")  # fmt: skip
def optimal_size(C, A, B, alpha, beta):
    N, D = spent(6 * C, A, B, alpha, beta, beta / (alpha + beta))
    return N, D


@mutant("L10.7", misconception="data_are_compute_over_size",
        hint="6 N D = C. What is D?")  # fmt: skip
def optimal_size(C, A, B, alpha, beta):
    N, _ = spent(C, A, B, alpha, beta, beta / (alpha + beta))
    return N, C / N


@mutant("L10.7", misconception="constant_is_upside_down",
        hint="If A grows, size matters more. Does your N grow with A?")  # fmt: skip
def optimal_size(C, A, B, alpha, beta):
    return optimal_by(C, beta * B / (alpha * A), alpha, beta)


def optimal_by(C, ratio, alpha, beta):
    N = ratio ** (1 / (alpha + beta)) * (C / 6) ** (beta / (alpha + beta))
    return N, C / 6 / N


@mutant("L10.7", misconception="root_is_missing",
        hint="α A / N^α = β B / D^β with D = C / (6 N): to which power does N stand there?")  # fmt: skip
def optimal_size(C, A, B, alpha, beta):
    N = alpha * A / (beta * B) * (C / 6) ** (beta / (alpha + beta))
    return N, C / 6 / N


@mutant("L10.7", misconception="twenty_tokens_a_parameter",
        hint="Twenty tokens a parameter is what one fit gave at one budget. Where do A, B, α and β "
             "enter in yours?")  # fmt: skip
def optimal_size(C, A, B, alpha, beta):
    N = math.sqrt(C / 120)
    return N, 20 * N


@mutant("L10.7", misconception="size_and_data_are_swapped",
        hint="Which of the two numbers is N? Look at the order that is asked.")  # fmt: skip
def optimal_size(C, A, B, alpha, beta):
    N, D = spent(C, A, B, alpha, beta, beta / (alpha + beta))
    return D, N


# ---------------------------------------------------------------------------------------------------------------- L10.8


def ratio_and_slope(n, omega):
    u = omega * n ** (-2 / 3)
    return u, (1 + u / 3) / (1 + u)


@mutant("L10.8", misconception="embeddings_do_not_matter",
        hint="Your exponent is the same for all n. How much of a model of 10,000 parameters "
             "are embeddings?")  # fmt: skip
def local_exponent(n, omega, alpha, beta):
    return np.full(n.shape, beta / (alpha + beta))


@mutant("L10.8", misconception="slope_is_held_fixed",
        hint="s changes with n too. What is the derivative of ln D = (α ln N − ln s) / β by ln n?")  # fmt: skip
def local_exponent(n, omega, alpha, beta):
    _, s = ratio_and_slope(n, omega)
    return 1 / (1 + alpha * s / beta)


@mutant("L10.8", misconception="sign_of_the_bend",
        hint="ln s stands in ln D with a minus sign. Which sign has its derivative in yours?")  # fmt: skip
def local_exponent(n, omega, alpha, beta):
    u, s = ratio_and_slope(n, omega)
    return 1 / (1 + (alpha * s + 4 * u / (3 * (1 + u) * (3 + u))) / beta)


@mutant("L10.8", misconception="exponents_are_swapped",
        hint="For large n it should be β / (α + β). What is yours?")  # fmt: skip
def local_exponent(n, omega, alpha, beta):
    u, s = ratio_and_slope(n, omega)
    return 1 / (1 + (beta * s - 4 * u / (3 * (1 + u) * (3 + u))) / alpha)


@mutant("L10.8", misconception="exponent_of_the_data",
        hint="d ln n / d ln C and d ln D / d ln C add up to 1. Which of them do you return?")  # fmt: skip
def local_exponent(n, omega, alpha, beta):
    u, s = ratio_and_slope(n, omega)
    growth = (alpha * s - 4 * u / (3 * (1 + u) * (3 + u))) / beta
    return growth / (1 + growth)


@mutant("L10.8", misconception="derivative_upside_down",
        hint="You return d ln C / d ln n. Can an exponent of n in C be above 1 here?")  # fmt: skip
def local_exponent(n, omega, alpha, beta):
    u, s = ratio_and_slope(n, omega)
    return 1 + (alpha * s - 4 * u / (3 * (1 + u) * (3 + u))) / beta


@mutant("L10.8", misconception="compute_counts_embeddings",
        hint="You took C = 6 N D with all parameters. Which compute did Kaplan et al. have on their axis?")  # fmt: skip
def local_exponent(n, omega, alpha, beta):
    _, s = ratio_and_slope(n, omega)
    return beta / (alpha + beta) / s


@mutant("L10.8", misconception="embeddings_grow_like_blocks",
        hint="Embeddings grow with the width, n with its cube. What is d ln (n + ω n^(1/3)) / d ln n "
             "for small n?")  # fmt: skip
def local_exponent(n, omega, alpha, beta):
    u = omega * n ** (-2 / 3)
    s = 1 / (1 + u)
    return 1 / (1 + (alpha * s - 2 * u / (3 * (1 + u))) / beta)


@mutant("L10.8", misconception="power_of_n_in_u",
        hint="u is ω n^(1/3) over n. Which power of n is that?")  # fmt: skip
def local_exponent(n, omega, alpha, beta):
    u = omega * n ** (-1 / 3)
    s = (1 + u / 3) / (1 + u)
    return 1 / (1 + (alpha * s - 4 * u / (3 * (1 + u) * (3 + u))) / beta)


@mutant("L10.8", misconception="one_term_dominates",
        hint="Between all embeddings and all blocks there is a long way. Is your exponent smooth in n?")  # fmt: skip
def local_exponent(n, omega, alpha, beta):
    return np.where(omega * n ** (1 / 3) > n, 3 * beta / (alpha + 3 * beta), beta / (alpha + beta))


# ---------------------------------------------------------------------------------------------------------------- L10.9


@mutant("L10.9", misconception="the_fact_must_not_be_likely",
        hint="You add up the chances that a fact is unseen. How likely is it that the next fact "
             "is that one?")  # fmt: skip
def unseen_mass(p, n):
    return float(np.sum((1 - p) ** n))


@mutant("L10.9", misconception="mean_over_the_kinds",
        hint="You take the mean over the facts. Are all equally likely to come next?")  # fmt: skip
def unseen_mass(p, n):
    return float(np.mean((1 - p) ** n))


@mutant("L10.9", misconception="draws_replace_powers",
        hint="(1 − p)^n and 1 − n p differ when n p is not small. Can your mass be negative?")  # fmt: skip
def unseen_mass(p, n):
    return float(np.sum(p * (1 - n * p)))


@mutant("L10.9", misconception="poisson_for_binomial",
        hint="e^(−np) is near (1 − p)^n for small p only. How small is the p of the most frequent fact?")  # fmt: skip
def unseen_mass(p, n):
    return float(np.sum(p * np.exp(-n * p)))


@mutant("L10.9", misconception="never_one_that_was_seen_once",
        hint="You count the next draw among the n. What is the unseen mass before anything is drawn?")  # fmt: skip
def unseen_mass(p, n):
    return float(np.sum(p * (1 - p) ** (n + 1)))


@mutant("L10.9", misconception="seen_for_unseen",
        hint="Does your mass grow or fall with n? Which is asked?")  # fmt: skip
def unseen_mass(p, n):
    return float(np.sum(p * (1 - (1 - p) ** n)))


@mutant("L10.9", misconception="drawn_without_replacement",
        hint="You take the n most frequent facts away. Does a draw choose the next most frequent "
             "fact, or any?")  # fmt: skip
def unseen_mass(p, n):
    return float(np.sort(p)[::-1][n:].sum())


@mutant("L10.9", misconception="power_of_the_wrong_number",
        hint="That a fact is missed n times in a row: is that 1 − p^n, or (1 − p)^n?")  # fmt: skip
def unseen_mass(p, n):
    return float(np.sum(p * (1 - p**n)))


@mutant("L10.9", misconception="facts_drive_each_other_out",
        hint="You multiply over the facts: all of them unseen at once. Each is to be unseen for itself, "
             "weighted, and added up.")  # fmt: skip
def unseen_mass(p, n):
    return float(np.prod(1 - p) ** n)
