"""The layers that a Transformer is made of, but attention: linear, embedding, norms, dropout, MLP."""

from collections.abc import Callable
from typing import Any

import numpy as np

from minilm import functional as F
from minilm.autograd import Tensor
from minilm.errors import ConfigError
from minilm.i18n import tr
from minilm.nn.init import STD, normal, ones, zeros
from minilm.nn.module import Module, Parameter


class Linear(Module):
    """y = x W + b, with W (in, out) ~ N(0, std²) and b = 0 to begin with. x: (…, in); y: (…, out)."""

    def __init__(self, inputs: int, outputs: int, rng: np.random.Generator, bias: bool = True, std: float = STD):
        self.weight = Parameter(normal(rng, (inputs, outputs), std))
        self.bias = Parameter(zeros(outputs)) if bias else None

    def __call__(self, x: Any) -> Any:
        return F.linear(x, self.weight, self.bias)


class Embedding(Module):
    """Row ids of W (V, D) ~ N(0, std²). ids: integers (…) in [0, V); y: (…, D)."""

    def __init__(self, count: int, width: int, rng: np.random.Generator, std: float = STD):
        self.weight = Parameter(normal(rng, (count, width), std))

    def __call__(self, ids: Any) -> Any:
        return F.embedding(ids, self.weight)


class LayerNorm(Module):
    """y = (x − μ) / √(σ² + ε) ⊙ w + b, with mean μ and variance σ² of each vector x (…, D) (Ba et al. 2016, eq. 4)."""

    def __init__(self, width: int, epsilon: float = 1e-5):
        self.weight = Parameter(ones(width))
        self.bias = Parameter(zeros(width))
        self.epsilon = epsilon

    def __call__(self, x: Any) -> Any:
        return F.layer_norm(x, self.weight, self.bias, self.epsilon)


class RMSNorm(Module):
    """y = x / √(mean x² + ε) ⊙ w for each vector x (…, D) (Zhang & Sennrich 2019, eq. 4)."""

    def __init__(self, width: int, epsilon: float = 1e-6):
        self.weight = Parameter(ones(width))
        self.epsilon = epsilon

    def __call__(self, x: Any) -> Any:
        return F.rms_norm(x, self.weight, self.epsilon)


class Dropout(Module):
    """In training each entry is 0 with probability p, else x / (1 − p); otherwise y = x (Srivastava et al. 2014).

    It draws from `generator`, which `model.set_generator(rng)` sets for all dropouts at once.
    """

    def __init__(self, p: float):
        if not 0 <= p < 1:
            raise ConfigError(tr("dropout is {got}; it must be at least 0 and below 1", got=p))
        self.p = p
        self.generator: Any = None

    @property
    def active(self) -> bool:
        """Whether anything is dropped now."""
        return self.training and self.p > 0

    def __call__(self, x: Any) -> Any:
        return F.dropout(x, self.p, self._rng()) if self.active else x

    def mask(self, *of: int) -> tuple[Any, float]:
        """What attention drops weights by: booleans of shape `of`, and the scale of those kept; (None, 1) if off."""
        return F.dropout_mask(self.p, self._rng(), of) if self.active else (None, 1.0)

    def _rng(self) -> Any:
        if self.generator is None:
            raise ConfigError(
                tr("dropout has no random generator: call model.set_generator(np.random.default_rng(seed)) first")
            )
        return self.generator


ACTIVATIONS: dict[str, Callable[[Any], Tensor]] = {
    "gelu_tanh": lambda x: F.gelu(x, "tanh"),  # GPT-1 and GPT-2
    "gelu": lambda x: F.gelu(x, "none"),  # x Φ(x) itself
    "silu": lambda x: F.silu(x),
    "relu": lambda x: F.maximum(x, 0),
}


def activation(name: str) -> Callable[[Any], Tensor]:
    """The function of that name; ConfigError lists the names there are."""
    if name not in ACTIVATIONS:
        raise ConfigError(
            tr("activation {got!r} is unknown: use one of {known}", got=name, known=", ".join(sorted(ACTIVATIONS)))
        )
    return ACTIVATIONS[name]


class MLP(Module):
    """y = φ(x W₁ + b₁) W₂ + b₂, each position by itself: D -> F -> D. x, y: (…, D). dropout: of what φ gives."""

    def __init__(
        self,
        width: int,
        hidden: int,
        rng: np.random.Generator,
        activation_name: str = "gelu_tanh",
        std: float = STD,
        out_std: float = STD,
        bias: bool = True,
        dropout: float = 0.0,
    ):
        self.up = Linear(width, hidden, rng, bias, std)
        self.down = Linear(hidden, width, rng, bias, out_std)
        self.activation = activation(activation_name)
        self.dropout = Dropout(dropout)

    def __call__(self, x: Any) -> Any:
        return self.down(self.dropout(self.activation(self.up(x))))  # (…, D) -> (…, F) -> (…, D)


class GatedMLP(Module):
    """y = (φ(x W₁) ⊙ x W₂) W₃, with biases if asked for: D -> F twice, F -> D (Shazeer 2020, equations 5 and 6).

    φ = silu is SwiGLU, LLaMA's; φ = gelu is GEGLU, that of T5 1.1. W₁ is `gate`, W₂ `up`, W₃ `down`. x, y: (…, D).
    dropout: of the gated product.
    """

    def __init__(
        self,
        width: int,
        hidden: int,
        rng: np.random.Generator,
        activation_name: str = "silu",
        std: float = STD,
        out_std: float = STD,
        bias: bool = False,
        dropout: float = 0.0,
    ):
        self.gate = Linear(width, hidden, rng, bias, std)
        self.up = Linear(width, hidden, rng, bias, std)
        self.down = Linear(hidden, width, rng, bias, out_std)
        self.activation = activation(activation_name)
        self.dropout = Dropout(dropout)

    def __call__(self, x: Any) -> Any:
        gate, up = self.gate(x), self.up(x)  # both (…, F)
        if self.activation is ACTIVATIONS["silu"]:
            return self.down(self.dropout(F.silu_gate(gate, up)))  # the same in fewer passes
        return self.down(self.dropout(self.activation(gate) * up))
