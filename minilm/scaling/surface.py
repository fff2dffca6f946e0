"""Loss as a function of size and data, Chinchilla's form, and how to spend a budget of compute on it."""

from typing import Any, NamedTuple

FLOPS_PER_PARAMETER = 6  # to train, a token: C = 6 N D


class Surface(NamedTuple):
    """L(N, D) = E + A / N^α + B / D^β, nats a token (Hoffmann et al. 2022, equation 2). N all parameters, D tokens."""

    E: float
    A: float
    B: float
    alpha: float
    beta: float

    def loss(self, N: Any, D: Any) -> Any:
        """The loss of N parameters trained on D tokens; numbers or arrays, which are broadcast."""
        return self.E + self.A * N**-self.alpha + self.B * D**-self.beta

    @property
    def growth(self) -> float:
        """a of N ∝ C^a along the optimum: β / (α + β). D grows with the rest, 1 − a."""
        return self.beta / (self.alpha + self.beta)

    @property
    def G(self) -> float:
        """(α A / (β B))^(1 / (α + β)) (Hoffmann et al. 2022, equation 4)."""
        return (self.alpha * self.A / (self.beta * self.B)) ** (1 / (self.alpha + self.beta))

    def optimum(self, C: Any) -> tuple[Any, Any]:
        """The N and D with 6 N D = C whose loss is least: N = G (C / 6)^a, D = (C / 6)^(1 − a) / G."""
        half = C / FLOPS_PER_PARAMETER
        return self.G * half**self.growth, half ** (1 - self.growth) / self.G
