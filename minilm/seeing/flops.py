"""How many floating-point operations (FLOPs) each operation and gradient rule counts as: one table of formulas.

The convention:

- a product (n, k) @ (k, m) is 2 n k m: a multiplication and an addition for each of its terms;
- an elementwise operation is 1 per entry of its output, whatever the function; a reduction 1 per entry of its input;
- what only moves, picks or repeats entries is 0;
- a gradient rule is what its operation is, once for each gradient that is asked for, so that a product has twice its
  FLOPs in the backward; sums over broadcast axes, and of the cotangents that several uses of a value send, are not
  counted;
- a fused operation is what its plain twin would be, forward and backward, whatever its kernel spares or repeats.

Masked positions of attention count like the others; `linear_cross_entropy` counts the gradients that its kernel makes
early in the backward, where they belong. Source of the convention: Kaplan et al. 2020, section 2.1, where a
Transformer's forward is 2 FLOPs, its backward 4, for each parameter and token.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from minilm.autograd.tensor import shape


class Flops(NamedTuple):
    """FLOPs in matrix products, and in everything else."""

    products: int = 0
    others: int = 0

    @property
    def total(self) -> int:
        return self.products + self.others

    def times(self, n: int) -> "Flops":
        return Flops(n * self.products, n * self.others)


@dataclass(frozen=True, slots=True)
class Call:
    """One run of an operation: its arguments (arrays, Tensors or nodes: only shapes count) and its output's shape."""

    operation: Any
    arguments: tuple
    output: tuple[int, ...]

    def __getitem__(self, name: str) -> Any:
        """The argument of that name."""
        position = self.operation.parameters.index(name)
        return self.arguments[position] if position < len(self.arguments) else self.operation.defaults[name]

    def size(self, name: str) -> int:
        return math.prod(shape(self[name]))

    def rows(self, name: str) -> int:
        """How many vectors an argument (..., D) holds."""
        return math.prod(shape(self[name])[:-1])


Wanted = frozenset[str]  # the arguments whose gradients are asked for


class Cost(NamedTuple):
    """The formulas of one operation. backward: None where it is the forward's, once for each gradient."""

    forward: Callable[[Call], Flops]
    backward: Callable[[Call, Wanted], Flops] | None = None


def forward_flops(call: Call) -> Flops:
    """What the operation itself counts as; one that is not in the table, 1 per entry of its output."""
    return COSTS.get(call.operation.name, ELEMENTWISE).forward(call)


def backward_flops(call: Call, positions: list[int]) -> Flops:
    """What its gradient rules count as, for the arguments at those positions."""
    cost = COSTS.get(call.operation.name, ELEMENTWISE)
    if cost.backward is None:
        return cost.forward(call).times(len(positions))
    return cost.backward(call, frozenset(call.operation.parameters[i] for i in positions))


# ------------------------------------------------------------------------------------------------------- the formulas


ELEMENTWISE = Cost(lambda call: Flops(0, math.prod(call.output)))
REDUCTION = Cost(lambda call: Flops(0, call.size("x")))
MOVEMENT = Cost(lambda call: Flops())


def _product(call: Call) -> Flops:
    """2 n k m for each entry of the batch."""
    return Flops(2 * math.prod(call.output) * shape(call["a"])[-1])


def _per_entry(forward: int, backward: int) -> Cost:
    """A function of each entry of x, composed of so many elementwise operations and so many of their gradients."""
    return Cost(lambda c: Flops(0, forward * c.size("x")), lambda c, wanted: Flops(0, backward * c.size("x")))


def _gelu(call: Call) -> Flops:
    return Flops(0, (9 if call["approximate"] == "tanh" else 5) * call.size("x"))


def _gelu_back(call: Call, wanted: Wanted) -> Flops:
    return Flops(0, (13 if call["approximate"] == "tanh" else 6) * call.size("x"))


def _silu_gate(call: Call) -> Flops:
    return Flops(0, 3 * call.size("x"))


def _silu_gate_back(call: Call, wanted: Wanted) -> Flops:
    """A product for each gradient; behind that of the gate, silu's own."""
    return Flops(0, (len(wanted) + 3 * ("gate" in wanted)) * call.size("x"))


def _linear(call: Call) -> Flops:
    y = math.prod(call.output)
    return Flops(2 * y * shape(call["weight"])[0], 0 if call["bias"] is None else y)


def _linear_back(call: Call, wanted: Wanted) -> Flops:
    """2 n D F for x̄ and for W̄; the sum with the bias once for its own gradient, once on the way to theirs."""
    y = math.prod(call.output)
    inner = len(wanted & {"x", "weight"})
    bias = 0 if call["bias"] is None else y * (("bias" in wanted) + (inner > 0))
    return Flops(2 * y * shape(call["weight"])[0] * inner, bias)


def _layer_norm(call: Call) -> Flops:
    """Two means, centring, squaring and dividing, each of all entries; then weight and bias; 4 numbers a row."""
    parts = (call["weight"] is not None) + (call["bias"] is not None)
    return Flops(0, (5 + parts) * call.size("x") + 4 * call.rows("x"))


def _layer_norm_back(call: Call, wanted: Wanted) -> Flops:
    return _norm_back(call, wanted, Flops(0, 8 * call.size("x") + 4 * call.rows("x")), ("weight", "bias"))


def _rms_norm(call: Call) -> Flops:
    return Flops(0, (3 + (call["weight"] is not None)) * call.size("x") + 3 * call.rows("x"))


def _rms_norm_back(call: Call, wanted: Wanted) -> Flops:
    return _norm_back(call, wanted, Flops(0, 5 * call.size("x") + 3 * call.rows("x")), ("weight",))


def _norm_back(call: Call, wanted: Wanted, core: Flops, parts: tuple[str, ...]) -> Flops:
    """The core for x̄; each of weight and bias once for its own gradient, once on the way to those before it."""
    total, before = core.others * ("x" in wanted), "x" in wanted
    for name in parts:
        if call[name] is not None:
            total += call.size("x") * (before + (name in wanted))
            before = before or name in wanted
    return Flops(0, total)


class _Scores(NamedTuple):
    """The sizes of an attention: of its queries, of its scores, its inner width and that of its values."""

    queries: int  # B H T K
    scores: int  # B H T S
    K: int
    Kv: int
    dropped: bool
    biased: bool


def _scores(call: Call) -> _Scores:
    options = (call["keep"] is not None, call["bias"] is not None)
    if call.operation.name == "self_attention":
        B, T, D = call.output
        K = D // call["heads"]
        return _Scores(B * T * D, B * call["heads"] * T * T, K, K, *options)
    B, H, T, K = shape(call["query"])
    S, Kv = shape(call["value"])[2:]
    return _Scores(B * H * T * K, B * H * T * S, K, Kv, *options)


def _attention(call: Call) -> Flops:
    """2 K and 2 Kv for each score; its shift, exp, sum and division, the scale of what dropout keeps, and the bias."""
    s = _scores(call)
    return Flops(2 * s.scores * (s.K + s.Kv), s.queries + s.scores * (4 + s.dropped + s.biased))


def _attention_back(call: Call, wanted: Wanted) -> Flops:
    """A product for each gradient, and one for that of the weights, which the scores' need; the softmax's own.

    Where there is a bias, the sum with it counts once for its own gradient, once on the way to theirs.
    """
    s = _scores(call)
    wanted = wanted | {"query", "key", "value"} if "qkv" in wanted else wanted
    inner = len(wanted & {"query", "key"})
    below = inner > 0 or "bias" in wanted
    products = 2 * s.scores * (s.K * inner + s.Kv * (below + ("value" in wanted)))
    bias = s.biased * ((inner > 0) + ("bias" in wanted))
    return Flops(products, s.queries * ("query" in wanted) + s.scores * ((5 + s.dropped) * below + bias))


def _cross_entropy(call: Call) -> Flops:
    """log_softmax, 2 V a row; picking, weighing and adding up the targets' entries; smoothing is a product with w."""
    return _losses(call, call.rows("logits"), shape(call["logits"])[-1])


def _cross_entropy_back(call: Call, wanted: Wanted) -> Flops:
    return _losses_back(call, call.rows("logits"), shape(call["logits"])[-1])


def _losses(call: Call, rows: int, V: int) -> Flops:
    smoothing = bool(call["label_smoothing"])
    reduction = {"none": 0, "sum": rows, "mean": rows + 1}[call["reduction"]]
    return Flops(2 * rows * V * smoothing, 2 * rows * V + rows * (1 + 2 * smoothing) + reduction)


def _losses_back(call: Call, rows: int, V: int) -> Flops:
    smoothing = bool(call["label_smoothing"])
    reduction = {"none": 0, "sum": rows, "mean": rows + 1}[call["reduction"]]
    return Flops(2 * rows * V * smoothing, 3 * rows * V + rows * (1 + 3 * smoothing) + reduction)


def _head(call: Call) -> Flops:
    """The logits, 2 n D V, and their cross-entropy."""
    rows, (V, D) = call.rows("x"), shape(call["weight"])
    losses = _losses(call, rows, V)
    bias = 0 if call["bias"] is None else rows * V
    return Flops(2 * rows * D * V + losses.products, bias + losses.others)


def _head_back(call: Call, wanted: Wanted) -> Flops:
    rows, (V, D) = call.rows("x"), shape(call["weight"])
    losses = _losses_back(call, rows, V)
    inner = len(wanted & {"x", "weight"})
    bias = 0 if call["bias"] is None else rows * V * (("bias" in wanted) + (inner > 0))
    return Flops(2 * rows * D * V * inner + losses.products, bias + losses.others)


# ---------------------------------------------------------------------------------------------------------- the table


COSTS: dict[str, Cost] = {
    **dict.fromkeys(
        "add subtract multiply divide negative power maximum minimum exp log sqrt tanh sigmoid erf sign abs clip "
        "equal greater greater_equal less less_equal".split(),
        ELEMENTWISE,
    ),
    **dict.fromkeys("sum max min argmax logsumexp cumsum".split(), REDUCTION),
    **dict.fromkeys(
        "reshape transpose swapaxes broadcast_to concatenate pad triu tril getitem scatter where astype "
        "embedding".split(),
        MOVEMENT,
    ),
    "matmul": Cost(_product),
    "linear": Cost(_linear, _linear_back),
    "softmax": _per_entry(4, 5),
    "log_softmax": _per_entry(2, 3),
    "gelu": Cost(_gelu, _gelu_back),
    "silu": _per_entry(2, 3),
    "silu_gate": Cost(_silu_gate, _silu_gate_back),
    "rotary": _per_entry(3, 4),
    "masked_scale": _per_entry(2, 2),
    "layer_norm": Cost(_layer_norm, _layer_norm_back),
    "rms_norm": Cost(_rms_norm, _rms_norm_back),
    "attention": Cost(_attention, _attention_back),
    "self_attention": Cost(_attention, _attention_back),
    "cross_entropy": Cost(_cross_entropy, _cross_entropy_back),
    "linear_cross_entropy": Cost(_head, _head_back),
}
