"""Optimizers over one flat array: every parameter of a model in it, every gradient in another of the same layout.

One pass over a flat array costs a third less than a loop over a hundred small ones, and a thread can take any part of
it. The matrices lie first, so what weight decay touches is one prefix.

    optimizer = AdamW(model.named_parameters(), rate=1e-3)
    loss.backward()
    clip_by_global_norm(optimizer.parameters, 1.0)
    optimizer.step()                 # or optimizer.step(rate=…), where a schedule says so
    optimizer.zero_grad()
"""

import itertools
import math
from collections.abc import Iterable, Mapping
from typing import Any, Protocol

import numpy as np

from minilm import backend
from minilm.autograd import Tensor, writable
from minilm.backend import xp
from minilm.errors import CheckpointError, ConfigError, DTypeError, GraphError, TrainingError
from minilm.i18n import tr

CHUNK = 32768  # entries at a time: five float32 arrays of this length fit in a core's cache

Named = Iterable[Tensor] | Iterable[tuple[str, Tensor]] | Mapping[str, Tensor]


class Mapper(Protocol):
    """What shares work out among threads (see parallel.Threads)."""

    count: int

    def map(self, function: Any, *items: Iterable[Any]) -> list[Any]: ...


class FlatParameters:
    """The memory of a model's parameters: `values` and `gradients`, flat arrays of one layout, matrices first.

    Each parameter's `.data` becomes a read-only view of `values`, so that the optimizer is the only one who changes
    it (and `tensor.assign`, for loading); its `.grad` will be a view of `gradients`.

    parameters: Tensors, (name, Tensor) pairs, or a dict; all of one floating dtype (else DTypeError).
    names, parameters: in the order of the layout. matrices: how many entries belong to arrays of two or more axes.
    """

    def __init__(self, parameters: Named):
        named = sorted(_with_names(parameters), key=lambda pair: pair[1].ndim < 2)
        self.names = [name for name, _ in named]
        self.parameters = [p for _, p in named]
        self.shapes = [p.shape for p in self.parameters]
        self._stops = np.cumsum([p.size for p in self.parameters]).tolist()
        self.dtype = self.parameters[0].dtype
        self.size = self._stops[-1]
        self.matrices = sum(p.size for p in self.parameters if p.ndim >= 2)
        self.values = xp.empty(self.size, self.dtype)
        for view, p in zip(self.views(self.values), self.parameters, strict=True):
            view[...] = p.data
        if backend.is_numpy():
            self.values.flags.writeable = False
        self._views = self.views(self.values)
        for view, p in zip(self._views, self.parameters, strict=True):
            p._data, p.version, p.grad = view, p.version + 1, None
        self.gradients = self.gradient_array(self.parameters)

    def views(self, flat: Any) -> list[Any]:
        """A flat array of this layout as one array per parameter, sharing its memory."""
        starts = [0, *self._stops[:-1]]
        return [flat[i:j].reshape(s) for i, j, s in zip(starts, self._stops, self.shapes, strict=True)]

    def gradient_array(self, parameters: list[Tensor]) -> Any:
        """A new flat array into which `backward` will write these parameters' gradients (this layout's, or a
        replica's of it, in its order)."""
        flat = xp.zeros(self.size, self.dtype)
        for view, p in zip(self.views(flat), parameters, strict=True):
            p.grad_buffer = view
        return flat

    @staticmethod
    def collect(parameters: list[Tensor]) -> None:
        """Make the flat gradients say what `.grad` says: zeros where there is none, a copy where it lies elsewhere."""
        for p in parameters:
            if p.grad is None:
                p.grad_buffer[...] = 0
            elif p.grad.data is not p.grad_buffer:
                p.grad_buffer[...] = p.grad.data

    def check_owned(self) -> None:
        """Raise a GraphError when another optimizer has taken the parameters over."""
        for name, view, p in zip(self.names, self._views, self.parameters, strict=True):
            if p.data is not view:
                raise GraphError(tr("parameter {name} belongs to a newer optimizer: step that one", name=name))

    def parts(self, count: int) -> list[slice]:
        """The layout cut into `count` slices, each a whole number of chunks but the last."""
        chunks = -(-self.size // CHUNK)
        cuts = [min(self.size, chunks * i // count * CHUNK) for i in range(count + 1)]
        return [slice(i, j) for i, j in itertools.pairwise(cuts) if i < j]


def _with_names(parameters: Named) -> list[tuple[str, Tensor]]:
    items: list[Any] = list(parameters.items() if isinstance(parameters, Mapping) else parameters)
    named = [
        (item.name or str(i), item) if isinstance(item, Tensor) else (str(item[0]), item[1])
        for i, item in enumerate(items)
    ]
    if not named:
        raise ConfigError(tr("parameters: an optimizer needs at least one"))
    if len({name for name, _ in named}) < len(named) or len({id(p) for _, p in named}) < len(named):
        raise ConfigError(tr("parameters: the same name or the same parameter is there twice"))
    for name, p in named:
        if p.dtype.kind != "f" or p.dtype != named[0][1].dtype:
            raise DTypeError(
                tr(
                    "parameter {name} is {got}, {first} is {wanted}: an optimizer needs one floating dtype for all",
                    name=name,
                    got=p.dtype,
                    first=named[0][0],
                    wanted=named[0][1].dtype,
                )
            )
    return named


# ------------------------------------------------------------------------------------------------------ optimizers


class Optimizer:
    """What AdamW and SGD share. `memory` maps a name to a flat array that is carried from step to step."""

    memory: dict[str, Any]

    def __init__(self, parameters: Named, rate: float, decay: float):
        _check("rate", rate, rate >= 0, ">= 0")
        _check("decay", decay, decay >= 0, ">= 0")
        self.flat = FlatParameters(parameters)
        self.rate, self.decay, self.steps = rate, decay, 0
        self.memory = {}

    @property
    def parameters(self) -> list[Tensor]:
        """The parameters, matrices first."""
        return self.flat.parameters

    def zero_grad(self) -> None:
        """Forget every `.grad`."""
        for p in self.parameters:
            p.grad = None

    def step(self, rate: float | None = None, threads: Mapper | None = None) -> None:
        """Update every parameter from its `.grad` (none counts as zeros).

        rate: this step's learning rate, instead of the one given at the start. threads: share the work out; every
        entry is updated by the same operations, so the result has the same bits.
        """
        rate = self.rate if rate is None else rate
        _check("rate", rate, rate >= 0, ">= 0")
        self.flat.check_owned()
        self.flat.collect(self.parameters)
        self.steps += 1
        with writable(self.flat.values):
            if threads is None:
                self._update_part(slice(0, self.flat.size), rate)
            else:
                threads.map(lambda part: self._update_part(part, rate), self.flat.parts(threads.count))
        for p in self.parameters:
            p.version += 1

    def _update_part(self, part: slice, rate: float) -> None:
        """Update the entries in `part`: first those that decay, then the others."""
        cut = min(max(self.flat.matrices, part.start), part.stop)
        for section, decay in ((slice(part.start, cut), self.decay), (slice(cut, part.stop), 0.0)):
            if section.start < section.stop:
                arrays = [a[section] for a in (self.flat.values, self.flat.gradients, *self.memory.values())]
                self._update(*arrays, rate=rate, decay=decay)

    def _update(self, *arrays: Any, rate: float, decay: float) -> None:
        raise NotImplementedError

    def state_dict(self) -> dict[str, np.ndarray]:
        """What the optimizer remembers: `{parameter name}.{what}` for each, and `steps`, the number of steps taken."""
        state = {"steps": np.array(self.steps, np.int64)}
        for what, array in self.memory.items():
            for name, view in zip(self.flat.names, self.flat.views(array), strict=True):
                state[f"{name}.{what}"] = backend.to_numpy(view)
        return state

    def check_state_dict(self, state: Mapping[str, np.ndarray]) -> None:
        """Raise a CheckpointError that names the first entry that does not fit."""
        expected = self.state_dict()
        for name in {**expected, **state}:
            if name not in state:
                raise CheckpointError(tr("optimizer state: {name} is missing", name=name))
            if name not in expected:
                raise CheckpointError(tr("optimizer state: {name} belongs to no parameter of this model", name=name))
            if np.shape(state[name]) != expected[name].shape or state[name].dtype != expected[name].dtype:
                raise CheckpointError(
                    tr(
                        "optimizer state: {name} is {got}, wanted {wanted}",
                        name=name,
                        got=f"{state[name].dtype} {np.shape(state[name])}",
                        wanted=f"{expected[name].dtype} {expected[name].shape}",
                    )
                )

    def load_state_dict(self, state: Mapping[str, np.ndarray]) -> None:
        """Take over a `state_dict()`. Raises CheckpointError, with nothing changed, unless it fits exactly."""
        self.check_state_dict(state)
        self.steps = int(state["steps"])
        for what, array in self.memory.items():
            for name, view in zip(self.flat.names, self.flat.views(array), strict=True):
                view[...] = backend.asarray(state[f"{name}.{what}"])


class AdamW(Optimizer):
    """Adam with decoupled weight decay on matrices (Kingma & Ba 2015, alg. 1; Loshchilov & Hutter 2019, alg. 2).

        m ← β₁ m + (1 − β₁) g            v ← β₂ v + (1 − β₂) g²            t ← t + 1
        p ← p (1 − rate · decay) − rate · m̂ / (√v̂ + ε)        with m̂ = m / (1 − β₁ᵗ), v̂ = v / (1 − β₂ᵗ)

    decay applies to parameters of two or more axes only; biases and norms keep theirs. bias_correction=False takes
    m and v themselves, as BERT's own optimizer does (Devlin et al. 2019, in its released code).
    Raises ConfigError on a rate, decay, beta or epsilon that cannot be.
    """

    def __init__(
        self,
        parameters: Named,
        rate: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.95),
        epsilon: float = 1e-8,
        decay: float = 0.1,
        bias_correction: bool = True,
    ):
        for beta in betas:
            _check("betas", beta, 0 <= beta < 1, ">= 0, < 1")
        _check("epsilon", epsilon, epsilon > 0, "> 0")
        super().__init__(parameters, rate, decay)
        self.betas, self.epsilon, self.bias_correction = betas, epsilon, bias_correction
        self.memory = {name: xp.zeros(self.flat.size, self.flat.dtype) for name in ("first_moment", "second_moment")}

    def _update(self, *arrays: Any, rate: float, decay: float) -> None:
        steps = self.steps if self.bias_correction else None
        update = adamw_in_chunks if backend.is_numpy() else adamw_plain
        update(*arrays, steps=steps, rate=rate, decay=decay, betas=self.betas, epsilon=self.epsilon)


def adamw_plain(
    p: Any,
    g: Any,
    m: Any,
    v: Any,
    *,
    steps: int | None,
    rate: float,
    decay: float,
    betas: tuple[float, float],
    epsilon: float,
) -> None:
    """The formula of AdamW, written as it is read; p, m and v are changed. steps=None: without bias correction."""
    beta1, beta2 = betas
    m[...] = beta1 * m + (1 - beta1) * g
    v[...] = beta2 * v + (1 - beta2) * g * g
    m_hat, v_hat = (m, v) if steps is None else (m / (1 - beta1**steps), v / (1 - beta2**steps))
    p[...] = p * (1 - rate * decay) - rate * m_hat / (xp.sqrt(v_hat) + epsilon)


def adamw_in_chunks(
    p: np.ndarray,
    g: np.ndarray,
    m: np.ndarray,
    v: np.ndarray,
    *,
    steps: int | None,
    rate: float,
    decay: float,
    betas: tuple[float, float],
    epsilon: float,
) -> None:
    """The same in place, a cache full at a time: with c = √(1 − β₂ᵗ), rate · m̂ / (√v̂ + ε) is
    (rate · c / (1 − β₁ᵗ)) · m / (√v + ε c)."""
    c1, c2 = (1.0, 1.0) if steps is None else (1 - betas[0] ** steps, 1 - betas[1] ** steps)
    size, floor, keep = rate * math.sqrt(c2) / c1, epsilon * math.sqrt(c2), 1 - rate * decay
    buffer = np.empty(min(CHUNK, p.size), p.dtype)
    for start in range(0, p.size, CHUNK):
        pc, gc, mc, vc = (a[start : start + CHUNK] for a in (p, g, m, v))
        t = buffer[: pc.size]
        np.multiply(gc, gc, out=t)
        t -= vc
        t *= 1 - betas[1]
        vc += t
        np.subtract(gc, mc, out=t)
        t *= 1 - betas[0]
        mc += t
        np.sqrt(vc, out=t)
        t += floor
        np.divide(mc, t, out=t)
        t *= size
        pc *= keep
        pc -= t


class SGD(Optimizer):
    """Stochastic gradient descent with momentum μ (Sutskever et al. 2013, §2, with the rate outside the velocity).

        d = g + decay · p (matrices only)        u ← μ u + d        p ← p − rate · u        (nesterov: d + μ u for u)

    Raises ConfigError on a rate, momentum or decay that cannot be.
    """

    def __init__(
        self, parameters: Named, rate: float, momentum: float = 0.0, nesterov: bool = False, decay: float = 0.0
    ):
        _check("momentum", momentum, 0 <= momentum < 1, ">= 0, < 1")
        if nesterov and not momentum:
            raise ConfigError(tr("nesterov: it needs a momentum above 0, such as 0.9"))
        super().__init__(parameters, rate, decay)
        self.momentum, self.nesterov = momentum, nesterov
        self.memory = {"velocity": xp.zeros(self.flat.size, self.flat.dtype)} if momentum else {}

    def _update(self, *arrays: Any, rate: float, decay: float) -> None:
        chunk = CHUNK if backend.is_numpy() else arrays[0].size
        for start in range(0, arrays[0].size, chunk):
            p, g, *velocity = (a[start : start + chunk] for a in arrays)
            d = g + decay * p
            for u in velocity:
                u *= self.momentum
                u += d
                d = d + self.momentum * u if self.nesterov else u
            p -= rate * d


def _check(name: str, got: float, right: bool, wanted: str) -> None:
    if not (math.isfinite(got) and right):
        raise ConfigError(tr("{name} is {got}; it must be {wanted}", name=name, got=got, wanted=wanted))


# -------------------------------------------------------------------------------------------------------- clipping


def global_norm(arrays: Iterable[Any]) -> float:
    """‖(a₁, a₂, …)‖ = √ Σ a², over all entries of all arrays; summed in float64 from chunk to chunk."""
    flat = [array.reshape(-1) for array in arrays]
    if not backend.is_numpy():
        return math.sqrt(_squares(*flat))  # a device needs no chunks, and one transfer is better than many
    return math.sqrt(sum(_squares(a[i : i + CHUNK]) for a in flat for i in range(0, a.size, CHUNK)))


def _squares(*flat: Any) -> float:
    """Σ a² over all entries of one-dimensional arrays, as one number of the host."""
    with np.errstate(over="ignore", invalid="ignore"):
        total = float(sum([xp.dot(a, a) for a in flat]))
        if math.isfinite(total):
            return total
        wide = [a.astype(np.float64) for a in flat]  # squares that overflow float32 need not overflow float64
        return float(sum([xp.dot(a, a) for a in wide]))


def clip_by_global_norm(parameters: Iterable[Tensor], limit: float) -> float:
    """Scale all gradients by min(1, limit / n), n the norm of them all together (Pascanu et al. 2013, alg. 1).

    Returns n, the norm before. Raises TrainingError, with nothing changed, when n is not a finite number, and
    ConfigError on a limit that is not above 0.
    """
    _check("limit", limit, limit > 0, "> 0")
    gradients = [p.grad.data for p in parameters if p.grad is not None]
    norm = global_norm(gradients)
    if not math.isfinite(norm):
        raise TrainingError(tr("the norm of the gradient is {norm}: lower the rate, or clip earlier", norm=norm))
    if norm > limit:
        for g in gradients:
            g *= limit / norm
    return norm
