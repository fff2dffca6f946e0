"""JAX at work: functions of parameters, the whole step under jit, its state donated so that it is updated in place."""

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from batches import with_places
from recipe import BETAS, CLIP, DECAY, EPSILON, RATE
from sizes import Size

Parameters = dict[str, jax.Array]  # by minilm's names
Batch = dict[str, jax.Array]


def kernels() -> str:
    """Its version, and what it computes on."""
    return f"jax {jax.__version__} {jax.default_backend()}"


# ---------------------------------------------------------------------------------------------------------- models


def linear(p: Parameters, name: str, x: jax.Array) -> jax.Array:
    return x @ p[f"{name}.weight"] + p[f"{name}.bias"]


def layer_norm(p: Parameters, name: str, x: jax.Array, epsilon: float) -> jax.Array:
    centred = x - x.mean(-1, keepdims=True)
    variance = (centred * centred).mean(-1, keepdims=True)
    return centred * jax.lax.rsqrt(variance + epsilon) * p[f"{name}.weight"] + p[f"{name}.bias"]


def attention(p: Parameters, name: str, x: jax.Array, heads: int, **reads: Any) -> jax.Array:
    """(B, T, D) -> (B, T, D). reads: which positions, as dot_product_attention has it."""
    B, T, D = x.shape
    query, key, val = (a.reshape(B, T, heads, -1) for a in jnp.split(linear(p, f"{name}.qkv", x), 3, axis=-1))
    y = jax.nn.dot_product_attention(query, key, val, **reads)  # (B, T, H, K)
    return linear(p, f"{name}.out", y.reshape(B, T, D))


def cross_entropy(logits: jax.Array, targets: jax.Array) -> jax.Array:
    """The mean over all rows."""
    logp = jax.nn.log_softmax(logits)
    return -jnp.take_along_axis(logp, targets[..., None], axis=-1).mean()


def gpt_loss(p: Parameters, batch: Batch, size: Size) -> jax.Array:
    """GPT-2's kind: pre-norm, tanh GELU, tied head."""
    x = p["token_embedding.weight"][batch["ids"]] + p["position_embedding.weight"]  # (B, T, D)
    for i in range(size.layers):
        at = f"blocks.{i}"
        x = x + attention(p, f"{at}.attention", layer_norm(p, f"{at}.norm1", x, 1e-5), size.heads, is_causal=True)
        hidden = linear(p, f"{at}.mlp.up", layer_norm(p, f"{at}.norm2", x, 1e-5))
        x = x + linear(p, f"{at}.mlp.down", jax.nn.gelu(hidden, approximate=True))
    logits = layer_norm(p, "final_norm", x, 1e-5) @ p["token_embedding.weight"].T  # (B, T, V)
    return cross_entropy(logits, batch["targets"])


def bert_loss(p: Parameters, batch: Batch, size: Size) -> jax.Array:
    """Masked words, of which alone logits are made, and whether the second text follows the first."""
    x = p["bert.token_embedding.weight"][batch["ids"]] + p["bert.segment_embedding.weight"][batch["segments"]]
    x = layer_norm(p, "bert.embedding_norm", x + p["bert.position_embedding.weight"], 1e-12)  # (B, T, D)
    visible = batch["attention_mask"][:, None, None, :]  # (B, 1, 1, T)
    for i in range(size.layers):
        at = f"bert.blocks.{i}"
        x = layer_norm(p, f"{at}.norm1", x + attention(p, f"{at}.attention", x, size.heads, mask=visible), 1e-12)
        hidden = jax.nn.gelu(linear(p, f"{at}.mlp.up", x), approximate=False)
        x = layer_norm(p, f"{at}.norm2", x + linear(p, f"{at}.mlp.down", hidden), 1e-12)
    chosen = x.reshape(-1, size.width)[batch["places"]]  # (n, D)
    features = layer_norm(p, "norm", jax.nn.gelu(linear(p, "dense", chosen), approximate=False), 1e-12)
    words = features @ p["bert.token_embedding.weight"].T + p["bias"]  # (n, V)
    follows = linear(p, "next_sentence", jnp.tanh(linear(p, "bert.pooler", x[:, 0])))  # (B, 2)
    return cross_entropy(words, batch["words"]) + cross_entropy(follows, batch["next_label"])


LOSSES = {"training": gpt_loss, "bert": bert_loss}


# -------------------------------------------------------------------------------------------------------- training


def update(loss_of: Callable[..., jax.Array], state: Any, batch: Batch) -> tuple[Any, jax.Array]:
    """A step of AdamW, its gradient clipped: (parameters, first moments, second moments, steps) and the loss."""
    p, m, v, t = state
    loss, gradients = jax.value_and_grad(loss_of)(p, batch)
    norm = jnp.sqrt(sum(jnp.vdot(g, g) for g in gradients.values()))
    g = jax.tree.map(lambda g: g * jnp.minimum(1, CLIP / norm), gradients)
    t = t + 1
    m = jax.tree.map(lambda m, g: BETAS[0] * m + (1 - BETAS[0]) * g, m, g)
    v = jax.tree.map(lambda v, g: BETAS[1] * v + (1 - BETAS[1]) * g * g, v, g)
    c1, c2 = 1 - BETAS[0] ** t, 1 - BETAS[1] ** t

    def moved(p: jax.Array, m: jax.Array, v: jax.Array) -> jax.Array:
        decay = DECAY if p.ndim >= 2 else 0.0
        return p * (1 - RATE * decay) - RATE * (m / c1) / (jnp.sqrt(v / c2) + EPSILON)

    return (jax.tree.map(moved, p, m, v), m, v, t), loss


@contextlib.contextmanager
def training(workload: str, size: Size, weights: str, threads: int) -> Iterator[Callable[..., float]]:
    """XLA's threads are as many as this process may use processors."""
    jax.config.update("jax_platforms", "cpu")
    with np.load(weights) as arrays:
        parameters = {name: jnp.asarray(arrays[name]) for name in arrays}
    state = (parameters, *(jax.tree.map(jnp.zeros_like, parameters) for _ in range(2)), jnp.zeros((), jnp.int32))
    loss_of = functools.partial(LOSSES[workload], size=size)
    jitted = jax.jit(functools.partial(update, loss_of), donate_argnums=0)

    def step(batch: dict[str, np.ndarray]) -> float:
        nonlocal state
        state, loss = jitted(state, with_places(batch))
        jax.block_until_ready(state)
        return float(loss)

    yield step


ENGINES = {workload: functools.partial(training, workload) for workload in LOSSES}
