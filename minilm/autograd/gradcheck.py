"""Is a gradient right? Compare it with differences of the function itself, along random directions.

For a random cotangent u and direction v, backward gives ⟨u, J v⟩ = ⟨Jᵀu, v⟩. The slope of t ↦ ⟨u, f(x + t v)⟩ at 0 is
the same number, and needs no gradient rule. A wrong Jacobian entry escapes only if u or v is 0 just there: probability
zero. A check that backpropagates from a plain sum has u = 1, and passes any gradient of a softmax or a layer norm,
whose rows sum to a constant.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minilm import backend
from minilm.autograd.backward import grad
from minilm.autograd.tensor import Tensor
from minilm.backend import xp
from minilm.errors import DTypeError, MinilmError
from minilm.i18n import tr

TOLERANCE = {1: 1e-7, 2: 1e-5}
STEP = 1e-3
DIRECTIONS = 0x6469726563  # the purpose, in a generator's key: an input that a user drew from `seed` is no u or v
ROUNDING = 8 * float(np.finfo(np.float64).eps)  # of a function of a few operations


class GradientError(MinilmError, AssertionError):
    """A gradient that differs from the function's own slope; the message is the report."""


def slope(f: Callable[[float], float], step: float = STEP) -> float:
    """f'(0) by central differences of five points: error f⁽⁵⁾ step⁴/30 (Abramowitz & Stegun 25.3.6)."""
    return (8 * (f(step) - f(-step)) - (f(2 * step) - f(-2 * step))) / (12 * step)


def gradcheck(
    f: Callable[..., Tensor],
    *inputs: Any,
    order: int = 1,
    seed: int = 0,
    every_entry: bool = False,
    tolerance: float | None = None,
) -> bool:
    """True if every gradient of f at the inputs is right, in float64; else GradientError with a report.

    f: takes Tensors, returns one. inputs: floating arrays or Tensors are checked (as float64 copies), each along a
    random direction of its own; all else is handed on as it is. order 2 also checks the gradient's gradient, with
    respect to the inputs and the cotangent. every_entry: check each entry by itself, not only a random direction.
    tolerance: relative error that passes; 1e-7 at order 1, 1e-5 at order 2.
    """
    values = [_as_float64(x) for x in inputs]
    rng = np.random.default_rng([seed, DIRECTIONS])
    tolerance = TOLERANCE[order] if tolerance is None else tolerance
    first = tolerance if order == 1 else TOLERANCE[1]
    noise = _check_first_order(f, values, rng, every_entry, first, tr("gradient"))
    if order == 2:
        y = f(*[_constant(x) for x in values])
        directions = [_random(rng, x.shape) for x in values if _is_float(x)]
        cotangent = _random(rng, y.shape)

        def directional_derivative(u: Tensor, *xs: Any) -> Tensor:
            floats = [x if x.requires_grad else Tensor(x.data, requires_grad=True) for x in xs if isinstance(x, Tensor)]
            it = iter(floats)
            y = f(*[next(it) if isinstance(x, Tensor) else x for x in xs])
            gradients = grad(y, floats, u, create_graph=True)
            return sum(((g * v).sum() for g, v in zip(gradients, directions, strict=True)), start=Tensor(xp.zeros(())))

        second = tr("gradient of the gradient")
        _check_first_order(directional_derivative, [cotangent, *values], rng, every_entry, tolerance, second, noise)
    return True


def _is_float(x: Any) -> bool:
    return getattr(x, "dtype", None) is not None and x.dtype.kind == "f"


def _as_float64(x: Any) -> Any:
    raw = x.data if isinstance(x, Tensor) else x
    return xp.array(raw, dtype=np.float64) if _is_float(raw) else raw


def _random(rng: np.random.Generator, shape: tuple[int, ...]) -> Any:
    return backend.asarray(rng.standard_normal(shape), np.float64)


def _check_first_order(
    f: Callable,
    values: Sequence[Any],
    rng: np.random.Generator,
    every_entry: bool,
    tolerance: float,
    what: str,
    noise: float = 0.0,
) -> float:
    """GradientError if a gradient is wrong by more than `tolerance`, relative, and by more than the noise.

    Returns the noise: how far rounding ⟨u, f⟩ can put a slope off, below which differences say nothing.
    """
    tensors = [Tensor(x, requires_grad=True) if _is_float(x) else x for x in values]
    y = f(*tensors)
    if y.dtype != np.float64:
        raise DTypeError(tr("gradcheck: f returned {got}; it must compute in float64 when its inputs are", got=y.dtype))
    u = _random(rng, y.shape)
    noise += ROUNDING * float(xp.abs(u * y.data).sum()) / STEP
    inputs = [t for t in tensors if isinstance(t, Tensor)]
    gradients = iter([g.data for g in grad(y, inputs, u)]) if y.requires_grad else (xp.zeros(t.shape) for t in inputs)

    for i, x in enumerate(values):
        if not _is_float(x):
            continue
        g = next(gradients)

        def along(v: Any, i: int = i, x: Any = x) -> float:
            """The slope of ⟨u, f⟩ when only argument i moves, in direction v."""

            def value(t: float) -> float:
                moved = f(*[Tensor(x + t * v) if j == i else _constant(z) for j, z in enumerate(values)])
                return float((u * moved.data).sum())

            return slope(value)

        v = _random(rng, x.shape)
        expected, got = along(v), float((g * v).sum())
        scale = max(abs(expected), abs(got), 0.1 * float(xp.sqrt((g * g).sum())))
        if every_entry or not (abs(expected - got) <= tolerance * scale + noise):
            _check_entries(along, g, i, tolerance, noise, what, expected, got, scale)
    return noise


def _constant(z: Any) -> Any:
    return Tensor(z) if _is_float(z) else z


def _check_entries(
    along: Callable,
    g: Any,
    i: int,
    tolerance: float,
    noise: float,
    what: str,
    expected: float,
    got: float,
    scale: float,
) -> None:
    """Every entry by itself; raise the report of the worst one if one is wrong, or if the direction already was."""
    g = backend.to_numpy(g)
    slopes = np.empty_like(g)
    for index in np.ndindex(g.shape):
        unit = np.zeros(g.shape)
        unit[index] = 1
        slopes[index] = along(backend.asarray(unit))
    size = max(float(np.abs(slopes).max(initial=0)), float(np.abs(g).max(initial=0)))
    errors = np.abs(slopes - g)
    wrong = ~(errors <= tolerance * size + noise)  # so that NaN counts as wrong
    if not wrong.any() and abs(expected - got) <= tolerance * scale + noise:
        return
    worst = np.unravel_index(int(np.argmax(np.where(np.isnan(errors), np.inf, errors))), g.shape) if g.size else ()
    raise GradientError(_report(what, i, tuple(int(k) for k in worst), slopes, g, wrong, expected, got))


def _report(
    what: str,
    i: int,
    worst: tuple[int, ...],
    slopes: np.ndarray,
    g: np.ndarray,
    wrong: np.ndarray,
    e: float,
    got: float,
) -> str:
    lines = [
        tr("{what} of argument {i} is wrong in {n} of {size} entries", what=what, i=i, n=int(wrong.sum()), size=g.size),
        tr("  along a random direction: expected {e:.8g}, got {got:.8g}", e=e, got=got),
    ]
    if g.size:
        expected_entry, got_entry = float(slopes[worst]), float(g[worst])
        ratio = got_entry / expected_entry if expected_entry else float("nan")
        lines.append(
            tr(
                "  worst entry {index}: expected {e:.8g}, got {got:.8g}, ratio {ratio:.6g}",
                index=worst,
                e=expected_entry,
                got=got_entry,
                ratio=ratio,
            )
        )
    large = np.abs(slopes) > 1e-6 * np.abs(slopes).max(initial=0)
    ratios = g[large] / slopes[large]
    if ratios.size and np.ptp(ratios) <= 1e-4 * np.abs(ratios).max():
        lines.append(tr("  every entry is {ratio:.6g} times what it should be", ratio=float(ratios.mean())))
    return "\n".join(lines)
