"""HIPS autograd at work: a model in its NumPy, its gradient of it, and AdamW in NumPy proper.

Nothing is written that would turn float32 into float64 (a mean of autograd's does, and scipy's erf in its gradient), as
that would halve its speed.
"""

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import Any

import autograd.numpy as anp
import numpy as np
import scipy.special
from autograd import value_and_grad
from autograd.extend import defvjp, primitive
from autograd.tracer import getval
from batches import with_places
from recipe import BETAS, CLIP, DECAY, EPSILON, RATE
from sizes import Size
from threadpoolctl import threadpool_info

Parameters = dict[str, Any]  # by minilm's names
HIDDEN = np.float32(-1e9)  # a score that is never chosen


def kernels() -> str:
    """The BLAS that NumPy computes with, and for which processors its kernels are."""
    found = [pool for pool in threadpool_info() if pool["user_api"] == "blas"]
    return ", ".join(sorted({f"{pool['internal_api']} {pool.get('architecture', '')}".strip() for pool in found}))


# ---------------------------------------------------------------------------------------------------------- models

erf = primitive(scipy.special.erf)
defvjp(erf, lambda y, x: lambda g: g * (1.1283791670955126 * np.exp(-x * x)))


def gelu(x: Any) -> Any:
    return 0.5 * x * (1 + erf(x * 0.7071067811865476))


def gelu_tanh(x: Any) -> Any:
    return 0.5 * x * (1 + anp.tanh(0.7978845608028654 * (x + 0.044715 * (x * x * x))))


def linear(p: Parameters, name: str, x: Any) -> Any:
    return anp.matmul(x, p[f"{name}.weight"]) + p[f"{name}.bias"]


def mean(x: Any) -> Any:
    """Over the last axis, which is kept."""
    return anp.sum(x, axis=-1, keepdims=True) * (1 / x.shape[-1])


def layer_norm(p: Parameters, name: str, x: Any, epsilon: float) -> Any:
    centred = x - mean(x)
    normal = centred / anp.sqrt(mean(centred * centred) + epsilon)
    return normal * p[f"{name}.weight"] + p[f"{name}.bias"]


def attention(p: Parameters, name: str, x: Any, heads: int, hidden: np.ndarray) -> Any:
    """(B, T, D) -> (B, T, D). hidden: what is added to the scores, 0 or very little."""
    B, T, D = x.shape
    packed = anp.transpose(anp.reshape(linear(p, f"{name}.qkv", x), (B, T, 3, heads, -1)), (2, 0, 3, 1, 4))
    query, key, val = packed[0], packed[1], packed[2]  # (B, H, T, K)
    scores = anp.matmul(query * (D // heads) ** -0.5, anp.swapaxes(key, 2, 3)) + hidden  # (B, H, T, T)
    y = anp.matmul(anp.exp(log_softmax(scores)), val)
    return linear(p, f"{name}.out", anp.reshape(anp.transpose(y, (0, 2, 1, 3)), (B, T, D)))


def log_softmax(x: Any) -> Any:
    shifted = x - np.max(getval(x), axis=-1, keepdims=True)
    return shifted - anp.log(anp.sum(anp.exp(shifted), axis=-1, keepdims=True))


def cross_entropy(logits: Any, targets: np.ndarray) -> Any:
    """The mean over all rows."""
    rows = anp.reshape(logits, (-1, logits.shape[-1]))
    logp = log_softmax(rows)[np.arange(rows.shape[0]), targets.ravel()]
    return -anp.sum(logp) * (1 / rows.shape[0])


def gpt_loss(p: Parameters, batch: dict[str, np.ndarray], size: Size) -> Any:
    """GPT-2's kind: pre-norm, tanh GELU, tied head."""
    hidden = np.triu(np.full((size.context, size.context), HIDDEN), 1)
    x = p["token_embedding.weight"][batch["ids"]] + p["position_embedding.weight"]  # (B, T, D)
    for i in range(size.layers):
        at = f"blocks.{i}"
        x = x + attention(p, f"{at}.attention", layer_norm(p, f"{at}.norm1", x, 1e-5), size.heads, hidden)
        inner = linear(p, f"{at}.mlp.up", layer_norm(p, f"{at}.norm2", x, 1e-5))
        x = x + linear(p, f"{at}.mlp.down", gelu_tanh(inner))
    logits = anp.matmul(layer_norm(p, "final_norm", x, 1e-5), p["token_embedding.weight"].T)  # (B, T, V)
    return cross_entropy(logits, batch["targets"])


def bert_loss(p: Parameters, batch: dict[str, np.ndarray], size: Size) -> Any:
    """Masked words, of which alone logits are made, and whether the second text follows the first."""
    x = p["bert.token_embedding.weight"][batch["ids"]] + p["bert.segment_embedding.weight"][batch["segments"]]
    x = layer_norm(p, "bert.embedding_norm", x + p["bert.position_embedding.weight"], 1e-12)  # (B, T, D)
    hidden = np.where(batch["attention_mask"], np.float32(0), HIDDEN)[:, None, None, :]  # (B, 1, 1, T)
    for i in range(size.layers):
        at = f"bert.blocks.{i}"
        x = layer_norm(p, f"{at}.norm1", x + attention(p, f"{at}.attention", x, size.heads, hidden), 1e-12)
        inner = gelu(linear(p, f"{at}.mlp.up", x))
        x = layer_norm(p, f"{at}.norm2", x + linear(p, f"{at}.mlp.down", inner), 1e-12)
    chosen = anp.reshape(x, (-1, size.width))[batch["places"]]  # (n, D)
    features = layer_norm(p, "norm", gelu(linear(p, "dense", chosen)), 1e-12)
    words = anp.matmul(features, p["bert.token_embedding.weight"].T) + p["bias"]  # (n, V)
    follows = linear(p, "next_sentence", anp.tanh(linear(p, "bert.pooler", x[:, 0])))  # (B, 2)
    return cross_entropy(words, batch["words"]) + cross_entropy(follows, batch["next_label"])


LOSSES = {"training": gpt_loss, "bert": bert_loss}


# -------------------------------------------------------------------------------------------------------- training


@contextlib.contextmanager
def training(workload: str, size: Size, weights: str, threads: int) -> Iterator[Callable[..., float]]:
    """BLAS computes with as many threads as the environment says."""
    with np.load(weights) as arrays:
        p = {name: arrays[name] for name in arrays}
    m, v = ({name: np.zeros_like(a) for name, a in p.items()} for _ in range(2))
    loss_and_gradients = value_and_grad(functools.partial(LOSSES[workload], size=size))
    steps = 0

    def step(batch: dict[str, np.ndarray]) -> float:
        nonlocal steps
        steps += 1
        loss, gradients = loss_and_gradients(p, with_places(batch))
        norm = sum(float(np.vdot(g, g)) for g in gradients.values()) ** 0.5
        for name, g in gradients.items():
            adamw(p[name], g * min(1.0, CLIP / norm), m[name], v[name], steps)
        return float(loss)

    yield step


def adamw(p: np.ndarray, g: np.ndarray, m: np.ndarray, v: np.ndarray, steps: int) -> None:
    """One parameter, in place."""
    m += (1 - BETAS[0]) * (g - m)
    v += (1 - BETAS[1]) * (g * g - v)
    if p.ndim >= 2:
        p *= 1 - RATE * DECAY
    p -= RATE / (1 - BETAS[0] ** steps) * m / (np.sqrt(v / (1 - BETAS[1] ** steps)) + EPSILON)


ENGINES = {workload: functools.partial(training, workload) for workload in LOSSES}
