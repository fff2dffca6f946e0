"""The tasks of lesson 2."""

import math

import numpy as np

import minilm.functional as F
from minilm.course import task


@task("L2.1", worked=True, plain=True)
def embedding_gradient(ids, g, vocabulary):
    """The gradient of an embedding's table, where its rows `ids` were looked up and received the cotangents g.

    ids: whole numbers (T,) from 0 to vocabulary - 1; g: (T, D); these are NumPy arrays. -> (vocabulary, D): row v is
    the sum of g over all the places where v was looked up; rows that were never looked up are 0.
    """
    gradient = np.zeros((vocabulary, g.shape[1]))
    np.add.at(gradient, ids, g)
    return gradient


@task("L2.2", points=2, keep=2)
def cross_entropy(logits, targets):
    """The mean cross-entropy of the rows, and its gradient by the logits. -> (a number, (T, V))

    logits: (T, V), of any size, thousands as well; targets: whole numbers (T,) from 0 to V - 1. The loss is the mean
    over the rows of -ln p[target], p the row's softmax; the gradient is (p - y) / T, y the target as a row with one 1.
    """
    T, V = logits.shape
    shifted = logits - F.max(logits, -1, True)
    log_p = shifted - F.log(F.sum(F.exp(shifted), -1, True))
    y = np.eye(V)[targets]
    return -F.sum(y * log_p) / T, (F.exp(log_p) - y) / T


@task("L2.3", points=1)
def gelu(x):
    """GELU as GPT and GPT-2 compute it: x (1 + tanh(√(2/π) (x + 0.044715 x³))) / 2. x: any shape -> the same shape."""
    inner = math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x)
    return 0.5 * x * (1 + F.tanh(inner))


@task("L2.4", points=3, keep=2)
def layer_norm_backward(g, x, epsilon):
    """The cotangent of x where y = (x - μ) / √(σ² + ε), row by row, has the cotangent g.

    g, x: (T, D); μ and σ² are a row's mean and variance, the latter divided by D; epsilon: ε. -> (T, D). With
    r = √(σ² + ε) it is (g - mean g - y mean(g ⊙ y)) / r, each mean that of a row.
    """
    centred = x - F.mean(x, -1, True)
    r = F.sqrt(F.mean(centred * centred, -1, True) + epsilon)
    y = centred / r
    return (g - F.mean(g, -1, True) - y * F.mean(g * y, -1, True)) / r


@task("L2.6", points=1)
def dropout(x, keep, p, training):
    """Inverted dropout with a given draw. x: any shape; keep: booleans of that shape, each False with probability p.

    In training, entries where keep is False are 0 and the others are divided by 1 - p; otherwise x itself. 0 ≤ p < 1.
    """
    return x * keep / (1 - p) if training else x


@task("L2.7", points=3, plain=True)
def adamw_step(p, g, m, v, step, rate, beta1, beta2, epsilon, decay):
    """One step of AdamW for one array of parameters. -> (p, m, v) after it, all (n,). These are NumPy arrays.

    p: parameters, g: gradient, m and v: the running means of g and g² from the steps before (0 at first), all (n,);
    step: 1 for the first step. With m̂ = m / (1 - β₁ˢᵗᵉᵖ) and v̂ = v / (1 - β₂ˢᵗᵉᵖ), after their update, the
    parameters become p (1 - rate · decay) - rate m̂ / (√v̂ + ε).
    """
    m = beta1 * m + (1 - beta1) * g
    v = beta2 * v + (1 - beta2) * g * g
    m_hat = m / (1 - beta1**step)
    v_hat = v / (1 - beta2**step)
    return p * (1 - rate * decay) - rate * m_hat / (np.sqrt(v_hat) + epsilon), m, v


@task("L2.8", points=2)
def mlp_logits(ids, table, W1, b1, W2, b2):
    """The logits of an MLP language model: which token follows the C tokens of each row?

    ids: whole numbers (B, C); table: (V, D), a row for each token; W1: (C D, H), b1: (H,), W2: (H, V), b2: (V,)
    -> (B, V). The C rows that a context looks up stand one after the other in a vector of C D numbers, the first
    token's first; then linear, GELU (L2.3), linear. You may use `gelu`.
    """
    B, C = ids.shape
    x = table[ids].reshape(B, C * table.shape[1])
    hidden = gelu(F.matmul(x, W1) + b1)
    return F.matmul(hidden, W2) + b2
