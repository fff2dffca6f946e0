"""The published laws: Kaplan et al. 2020 (web text, GPT-2's vocabulary) and Hoffmann et al. 2022 (Chinchilla).

Losses are nats a token. Kaplan's N leaves the embeddings out, his compute is in PF-days; Hoffmann's N is all
parameters. Every function takes numbers or arrays.
"""

import math
from typing import Any, NamedTuple

import numpy as np

from minilm.errors import ConfigError
from minilm.i18n import tr
from minilm.models.sizes import PUBLISHED, count_parameters, resolve
from minilm.scaling.surface import FLOPS_PER_PARAMETER, Surface

PF_DAY = 8.64e19  # FLOPs: 1e15 a second for 24 hours (Kaplan et al. 2020, section 1.3)


class Power(NamedTuple):
    """(scale / x)^exponent."""

    scale: float
    exponent: float

    def __call__(self, x: Any) -> Any:
        return (self.scale / x) ** self.exponent


class Growth(NamedTuple):
    """factor · x^exponent."""

    factor: float
    exponent: float

    def __call__(self, x: Any) -> Any:
        return self.factor * x**self.exponent


# ------------------------------------------------------------------------------------------------- Kaplan: the losses

LOSS_OF_SIZE = Power(8.8e13, 0.076)  # N trained to convergence on enough data (Kaplan et al. 2020, equation 1.1)
LOSS_OF_DATA = Power(5.4e13, 0.095)  # a large model, stopped in time (equation 1.2)
LOSS_OF_COMPUTE = Power(3.1e8, 0.050)  # PF-days, best spent (equation 1.3; figure 1 prints 2.3e8)
LOSS_OF_COMPUTE_FIGURE = Power(2.3e8, 0.050)  # as figure 1 prints the same law
LOSS_AT_FIXED_BATCH = Power(1.6e7, 0.057)  # compute as spent with one batch size for all (table 5)

BOTH = {"Nc": 6.4e13, "Dc": 1.8e13, "alpha_N": 0.076, "alpha_D": 0.103}  # table 2
STEPS = {"Nc": 6.5e13, "Sc": 2.1e3, "alpha_N": 0.077, "alpha_S": 0.76}  # table 3


def loss_of_size_and_data(N: Any, D: Any) -> Any:
    """[(Nc/N)^(αN/αD) + Dc/D]^αD, with constants of its own fit (Kaplan et al. 2020, equation 1.5 and table 2)."""
    size = (BOTH["Nc"] / N) ** (BOTH["alpha_N"] / BOTH["alpha_D"])
    return (size + BOTH["Dc"] / D) ** BOTH["alpha_D"]


def loss_of_size_and_steps(N: Any, S: Any) -> Any:
    """(Nc/N)^αN + (Sc/S)^αS; S are steps at a batch far above the critical one (equation 1.6 and table 3)."""
    return (STEPS["Nc"] / N) ** STEPS["alpha_N"] + (STEPS["Sc"] / S) ** STEPS["alpha_S"]


# -------------------------------------------------------------------------------------------------- Kaplan: the batch

CRITICAL_BATCH = 2e8, 0.21  # tokens, exponent (equation 1.4)


def critical_batch(L: Any) -> Any:
    """Bcrit(L) = 2e8 / L^(1/.21) tokens: twice the steps or twice the tokens of the least possible (equation 1.4)."""
    tokens, exponent = CRITICAL_BATCH
    return tokens / L ** (1 / exponent)


def least_steps(S: Any, B: Any, L: Any) -> Any:
    """Smin = S / (1 + Bcrit(L)/B): the steps that an endless batch would have needed to reach L (equation 5.4)."""
    return S / (1 + critical_batch(L) / B)


def least_compute(C: Any, B: Any, L: Any) -> Any:
    """Cmin = C / (1 + B/Bcrit(L)): the compute that a tiny batch would have needed to reach L (equation 5.5)."""
    return C / (1 + B / critical_batch(L))


# ------------------------------------------------------------------------------------- Kaplan: how to spend, and train

OPTIMAL_SIZE = Growth(1.3e9, 0.73)  # parameters, of PF-days (table 6)
OPTIMAL_BATCH = Growth(2.0e6, 0.24)  # tokens
OPTIMAL_STEPS = Growth(5.4e3, 0.03)
OPTIMAL_DATA = Growth(2e10, 0.27)  # tokens
ENOUGH_DATA = Growth(5e3, 0.74)  # tokens below which N parameters overfit (equation 4.4)

TRAINING = {"steps": 2.5e5, "batch": 2**19, "warmup": 3000}  # tokens a batch; cosine to 0 (section 2.2)


RATE = 0.003239, 0.0001395
LARGEST_FOR_THE_RATE = math.exp(RATE[0] / RATE[1])  # where the rule reaches 0: 1.2e10 parameters


def learning_rate(N: Any) -> Any:
    """.003239 − .0001395 ln N: the peak that suits N parameters (appendix D.6); ConfigError where it is not above 0."""
    if np.any(~(np.asarray(N) < LARGEST_FOR_THE_RATE)):
        raise ConfigError(
            tr("N is {got}; Kaplan's rule for the learning rate reaches 0 at {end:.2g} parameters", got=N,
               end=LARGEST_FOR_THE_RATE)
        )  # fmt: skip
    return RATE[0] - RATE[1] * np.log(N)


def share_above_convergence() -> float:
    """αN / αS: how far above its converged loss a model should stop, about a tenth (appendix B.3)."""
    return STEPS["alpha_N"] / STEPS["alpha_S"]


def exponent_of_compute(alpha_S: float = 0.76, alpha_B: float = 0.21, alpha_N: float = 0.076) -> float:
    """1 / (1/αS + 1/αB + 1/αN), the exponent of L(Cmin) that the other fits imply (equation 6.4).

    .0520 with these constants; the paper says .054, and fits .050 directly. In the same way the size would grow with
    αC/αN = .66 and the steps with αC/αS = .066 of the compute, where direct fits gave .73 and .03.
    """
    return 1 / (1 / alpha_S + 1 / alpha_B + 1 / alpha_N)


class Crossing(NamedTuple):
    """Where the laws contradict each other: PF-days, parameters, tokens, nats."""

    compute: float
    parameters: float
    tokens: float
    loss: float


def crossing() -> Crossing:
    """Where the loss that L(Cmin) promises is below what L(D) allows for the tokens of that compute (section 6.3).

    L(D(C)) = L(C) with D(C) = 2e10 C^.27: C = 1.1e4 PF-days, N = 1.2e12, D = 2.5e11, L = 1.67. The paper, which says
    that all could be off by an order of magnitude, has 1e4, 1e12, 1e12, 1.7.
    """
    data, compute = LOSS_OF_DATA, LOSS_OF_COMPUTE
    log_C = (
        compute.exponent * math.log(compute.scale) - data.exponent * math.log(data.scale / OPTIMAL_DATA.factor)
    ) / (compute.exponent - data.exponent * OPTIMAL_DATA.exponent)
    C = math.exp(log_C)
    return Crossing(C, OPTIMAL_SIZE(C), OPTIMAL_DATA(C), compute(C))


# --------------------------------------------------------------------------------------------------------- Chinchilla

HOFFMANN = Surface(1.69, 406.4, 410.7, 0.34, 0.28)  # as printed (Hoffmann et al. 2022, equation 10)
HOFFMANN_TEX = Surface(1.6934, 406.4, 410.7, 0.3392, 0.2849)  # digits that the source of the paper has
EPOCH = Surface(1.8172, 482.01, 2085.43, 0.3478, 0.3658)  # the same runs, fitted again (Besiroglu et al. 2024)
EPOCH_ERRORS = Surface(0.03, 124.58, 1293.23, 0.02, 0.02)  # their standard errors
SURFACES = {"Hoffmann 2022": HOFFMANN, "Hoffmann 2022, TeX": HOFFMANN_TEX, "Besiroglu 2024": EPOCH}

GROWTH_BY_APPROACH = {1: 0.50, 2: 0.49, 3: 0.46}  # a of N ∝ C^a (Hoffmann et al. 2022, table 2)
CHINCHILLA_BUDGET = 5.76e23  # FLOPs, Gopher's


# ------------------------------------------------------------------------------------------- what was trained, and cost


class Training(NamedTuple):
    """A published model, the tokens it was trained on, the FLOPs that its paper prints (None: it prints none)."""

    model: str
    tokens: float
    said: float | None
    source: str


_GPT3 = {
    "small": 2.25e20, "medium": 6.41e20, "large": 1.37e21, "xl": 2.38e21, "2.7b": 4.77e21, "6.7b": 1.20e22,
    "13b": 2.31e22, "175b": 3.14e23,
}  # fmt: skip
_LLAMA = {"7b": 1.0e12, "13b": 1.0e12, "33b": 1.4e12, "65b": 1.4e12}
TRAININGS = (
    *(Training(f"gpt3-{name}", 300e9, said, "Brown et al. 2020, appendix D") for name, said in _GPT3.items()),
    *(Training(f"llama-{name}", tokens, None, "Touvron et al. 2023") for name, tokens in _LLAMA.items()),
    Training("llama3.1-405b", 15.6e12, 3.8e25, "Grattafiori et al. 2024"),
)


def training_compute(model: str, tokens: float) -> float:
    """6 N D in FLOPs with N the exact count of all parameters of a published model, whose name `minilm sizes` lists.

    GPT-3: 6 · 174,604,259,328 · 300e9 = 3.14e23, 3,638 PF-days. LLaMA 65B: 5.48e23.
    """
    return FLOPS_PER_PARAMETER * count_parameters(PUBLISHED[resolve(model)].shape) * tokens


# ------------------------------------------------------------------------------------- what explains Kaplan's exponent

# Porian et al. 2024 (their data for RefinedWeb, and for OpenWebText2): the exponent of the best size, step by step.
PORIAN = {
    "as Kaplan": (0.835, 0.864),
    "with the head counted": (0.706, 0.699),
    "and a shorter warm-up": (0.602, 0.603),
    "and the decay as long as the training": (0.571, 0.574),
    "and a tuned optimizer": (0.497, 0.518),
}
