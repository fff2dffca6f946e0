"""Other right answers."""

import math

import numpy as np

import minilm.functional as F
from minilm.course import variant


@variant("L2.1", "as the product with the one-hot rows")
def embedding_gradient(ids, g, vocabulary):
    return np.eye(vocabulary)[ids].T @ g


@variant("L2.1", "lookup by lookup")
def embedding_gradient(ids, g, vocabulary):
    gradient = np.zeros((vocabulary, g.shape[1]))
    for i, row in zip(ids.tolist(), g, strict=True):
        gradient[i] += row
    return gradient


@variant("L2.1", "row by row of the table")
def embedding_gradient(ids, g, vocabulary):
    return np.stack([g[ids == v].sum(0) for v in range(vocabulary)])


@variant("L2.2", "by the library")
def cross_entropy(logits, targets):
    p = F.softmax(logits)
    return F.cross_entropy(logits, targets), (p - np.eye(p.shape[1])[targets]) / len(targets)


@variant("L2.2", "by logsumexp")
def cross_entropy(logits, targets):
    T = logits.shape[0]
    z = F.logsumexp(logits, -1)
    y = np.eye(logits.shape[1])[targets]
    return F.mean(z - F.sum(logits * y, -1)), (F.exp(logits - z.reshape(T, 1)) - y) / T


@variant("L2.2", "row by row, in plain arrays")
def cross_entropy(logits, targets):
    z = logits.numpy()
    p = np.exp(z - z.max(-1, keepdims=True))
    p /= p.sum(-1, keepdims=True)
    rows = np.arange(len(z))
    loss = np.mean([np.logaddexp.reduce(row) - row[t] for row, t in zip(z, targets, strict=True)])
    p[rows, targets] -= 1
    return float(loss), p / len(z)


@variant("L2.3", "by the library")
def gelu(x):
    return F.gelu(x)


@variant("L2.3", "x σ(2u), as tanh is a sigmoid stretched")
def gelu(x):
    return x * F.sigmoid(2 * math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))


@variant("L2.3", "multiplied out")
def gelu(x):
    u = math.sqrt(2 / math.pi) * x * (1 + 0.044715 * x * x)
    return (x + x * F.tanh(u)) / 2


@variant("L2.4", "by the whole Jacobian of each row")
def layer_norm_backward(g, x, epsilon):
    T, D = x.shape
    P = np.eye(D) - 1 / D
    centred = F.matmul(x, P)
    variance = F.mean(centred * centred, -1, True)
    inverse = ((variance + epsilon) ** -0.5).reshape(T, 1, 1)
    outer = centred.reshape(T, D, 1) * centred.reshape(T, 1, D)
    J = inverse * P - inverse * inverse * inverse * outer / D
    return F.matmul(g.reshape(T, 1, D), J).reshape(T, D)


@variant("L2.4", "by the variance and the mean in turn")
def layer_norm_backward(g, x, epsilon):
    D = x.shape[-1]
    centred = x - F.mean(x, -1, True)
    variance = F.mean(centred * centred, -1, True) + epsilon
    of_variance = F.sum(g * centred, -1, True) * -0.5 * variance**-1.5
    of_centred = g / F.sqrt(variance) + of_variance * 2 * centred / D
    return of_centred - F.mean(of_centred, -1, True)


@variant("L2.4", "row by row")
def layer_norm_backward(g, x, epsilon):
    rows = []
    for t in range(x.shape[0]):
        c = x[t] - F.mean(x[t])
        s = 1 / F.sqrt(F.mean(c * c) + epsilon)
        rows.append(s * (g[t] - F.mean(g[t])) - s * s * s * c * F.mean(g[t] * c))
    return F.stack(rows)


@variant("L2.6", "by where")
def dropout(x, keep, p, training):
    return F.where(keep, x / (1 - p), 0.0) if training else x


@variant("L2.6", "by a mask that holds the scale")
def dropout(x, keep, p, training):
    return x * np.where(keep, 1 / (1 - p), 0.0) if training else x * 1.0


@variant("L2.6", "by taking off what is dropped")
def dropout(x, keep, p, training):
    return (x - x * ~keep) * (1 / (1 - p)) if training else x


@variant("L2.7", "with the corrections in the rate")
def adamw_step(p, g, m, v, step, rate, beta1, beta2, epsilon, decay):
    m, v = m + (1 - beta1) * (g - m), v + (1 - beta2) * (g**2 - v)
    c = math.sqrt(1 - beta2**step)
    return p - rate * decay * p - rate * c / (1 - beta1**step) * m / (np.sqrt(v) + epsilon * c), m, v


@variant("L2.7", "entry by entry")
def adamw_step(p, g, m, v, step, rate, beta1, beta2, epsilon, decay):
    new = []
    for q, d, a, b in zip(p.tolist(), g.tolist(), m.tolist(), v.tolist(), strict=True):
        a, b = beta1 * a + (1 - beta1) * d, beta2 * b + (1 - beta2) * d * d
        move = (a / (1 - beta1**step)) / (math.sqrt(b / (1 - beta2**step)) + epsilon)
        new.append((q - rate * (move + decay * q), a, b))
    return tuple(np.array(column) for column in zip(*new, strict=True))


@variant("L2.7", "in place")
def adamw_step(p, g, m, v, step, rate, beta1, beta2, epsilon, decay):
    m *= beta1
    m += (1 - beta1) * g
    v *= beta2
    v += (1 - beta2) * np.square(g)
    p *= 1 - rate * decay
    p -= rate * (m / (1 - beta1**step)) / (epsilon + (v / (1 - beta2**step)) ** 0.5)
    return p, m, v


@variant("L2.8", "as a sum over places")
def mlp_logits(ids, table, W1, b1, W2, b2):
    D = table.shape[1]
    hidden = b1
    for c in range(ids.shape[1]):
        hidden = hidden + F.matmul(table[ids[:, c]], W1[c * D : (c + 1) * D])
    return F.matmul(F.gelu(hidden), W2) + b2


@variant("L2.8", "with one-hot rows")
def mlp_logits(ids, table, W1, b1, W2, b2):
    B, C = ids.shape
    rows = F.matmul(np.eye(table.shape[0])[ids], table)
    return F.linear(F.gelu(F.linear(rows.reshape(B, C * table.shape[1]), W1, b1)), W2, b2)


@variant("L2.8", "context by context")
def mlp_logits(ids, table, W1, b1, W2, b2):
    rows = [F.concatenate([table[i] for i in context.tolist()]) for context in ids]
    return F.stack([F.matmul(F.gelu(F.matmul(row, W1) + b1), W2) + b2 for row in rows])
