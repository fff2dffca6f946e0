"""Answers that a call of the whole library gives to a task, and a lesson's runtime must not: SHORTCUTS["L3.3"](…).

Each takes what the task takes. What stands around the one call puts its arguments in place and no more. The tests see
that each is right on the whole minilm (else it would prove nothing) and that it is refused in the runtime.
"""

import math

import numpy as np

import minilm as ml
import minilm.functional as F

SHORTCUTS = {}


def shortcut(number):
    def put(function):
        SHORTCUTS[number] = function
        return function

    return put


def differentiated(f, inputs, g):
    """The cotangents of the inputs where f(inputs) has the cotangent g."""
    inputs = [ml.Tensor(x.numpy(), requires_grad=True) for x in inputs]
    return ml.grad(f(*inputs), inputs, g)


@shortcut("L0.4")
def unbroadcast(g, shape):
    return ml.autograd.unbroadcast(g, tuple(shape))


@shortcut("L0.5")
def matmul_backward(g, a, b):
    return tuple(differentiated(F.matmul, (a, b), g))


@shortcut("L0.7")
def softmax_backward(g, p):
    return differentiated(F.softmax, (F.log(p),), g)[0]


@shortcut("L1.5")
def perplexity_and_bits(losses, texts):
    nats = np.concatenate(losses)
    size = sum(len(text.encode("utf-8")) for text in texts)
    return math.exp(nats.mean()), ml.text.bits_per_byte(nats.mean(), len(nats), size)


@shortcut("L1.7")
def bigram_loss(table, ids, starts):
    follows = np.where(starts[1:], -100, ids[1:])
    return F.cross_entropy(*((table[ids[:-1]], follows) if len(ids) > 1 else (table, np.full(len(table), -100))))


@shortcut("L2.2")
def cross_entropy(logits, targets):
    logits = ml.Tensor(logits.numpy(), requires_grad=True)
    loss = F.cross_entropy(logits, targets)
    return loss, ml.grad(loss, [logits])[0]


@shortcut("L2.3")
def gelu(x):
    return F.gelu(x)


@shortcut("L2.4")
def layer_norm_backward(g, x, epsilon):
    D = x.shape[-1]
    return differentiated(lambda x: F.layer_norm(x, np.ones(D), np.zeros(D), epsilon), (x,), g)[0]


@shortcut("L2.6")
def dropout(x, keep, p, training):
    return F.masked_scale(x, keep if training else np.ones_like(keep), 1 / (1 - p) if training else 1.0)


@shortcut("L2.7")
def adamw_step(p, g, m, v, step, rate, beta1, beta2, epsilon, decay):
    from minilm.training.optim import adamw_plain

    adamw_plain(p, g, m, v, steps=step, rate=rate, decay=decay, betas=(beta1, beta2), epsilon=epsilon)
    return p, m, v


@shortcut("L3.3")
def attention_weights(scores, mask):
    *rest, T, S = scores.shape
    units = np.broadcast_to(np.eye(S), (1, math.prod(rest), S, S))
    y = F.attention(scores.reshape(1, -1, T, S), units, units, mask.reshape(1, -1, T, S), False, 1.0)
    return y.reshape(*rest, T, S)


@shortcut("L3.6")
def multi_head(x, w_query, w_key, w_value, w_out, heads, mask):
    qkv = F.concatenate([x @ w_query, x @ w_key, x @ w_value], -1)[None]
    return F.self_attention(qkv, heads, mask)[0] @ w_out


@shortcut("L4.4")
def count_parameters(vocabulary, context, width, layers, norm, tied):
    from minilm.models import sizes

    config = ml.models.GPTConfig(vocab_size=vocabulary, context=context, width=width, layers=layers, heads=1,
                                 norm=norm, tied=tied)  # fmt: skip
    return sum(sizes.parameters_by_part(sizes.Shape.of(config)).values())


@shortcut("L4.6")
def next_distribution(logits, temperature, top_k, top_p):
    from minilm.generation.sampling import Sampling

    top_k = None if top_k is None else min(top_k, len(logits))
    return Sampling(temperature=temperature, top_k=top_k, top_p=top_p).probabilities(logits[None])[0]


@shortcut("L4.7")
def attend_with_cache(query, key, value, old_keys, old_values):
    keys, values = F.concatenate([old_keys, key], 1), F.concatenate([old_values, value], 1)
    return F.attention(query[None], keys[None], values[None], None, True)[0], keys, values


@shortcut("L5.2")
def learn_merges(pieces, count):
    from collections import Counter

    from minilm.text.bpe_training import learn_merges

    return learn_merges(Counter(piece.encode("utf-8") for piece in pieces), count, None)[1]


@shortcut("L5.5")
def next_token_loss(logits, targets):
    return F.cross_entropy(logits, targets)


@shortcut("L5.6")
def learning_rate(step, peak, warmup, steps, floor):
    return ml.training.learning_rate(step, peak=peak, steps=steps, warmup=warmup, floor=floor)


@shortcut("L6.5")
def pair_input(a, b, length, special):
    ids = {"[CLS]": special["cls"], "[SEP]": special["sep"], "[PAD]": special["pad"], "[MASK]": 0}
    found = ml.text.encode_pair(ids, a, b, length, pad=True)
    return [list(part.tolist()) for part in (found.ids, found.segments, found.attention_mask)]


@shortcut("L6.7")
def wordpiece(word, vocabulary):
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokens = [*special, *dict.fromkeys(piece for piece in vocabulary if piece not in special)]
    return ml.text.WordPiece(tokens, lower=False).tokenize(word)


@shortcut("L6.8")
def parameters(vocabulary, context, segments, width, layers, mlp_width, pooler):
    from minilm.models import sizes

    config = ml.models.BertConfig(vocab_size=vocabulary, context=context, width=width, layers=layers, heads=1,
                                  mlp_width=mlp_width, segments=segments)  # fmt: skip
    return sum(sizes.parameters_by_part(sizes.Shape.of(config, *["pooler"] * pooler)).values())


@shortcut("L7.4")
def masked_loss(logits, targets):
    return F.cross_entropy(logits, targets)


@shortcut("L8.4")
def best_span(start, end, passage, longest):
    found = ml.models.best_spans((start[None], end[None]), passage[None], longest)
    return (int(found.start[0]), int(found.end[0])) if passage.any() else None


@shortcut("L9.1")
def rms_norm(x, weight, epsilon):
    return F.rms_norm(x, weight, epsilon)


@shortcut("L9.2")
def rotate(x, positions, theta):
    angles = positions[:, None] * theta ** (-2 * np.arange(x.shape[-1] // 2) / x.shape[-1])
    four = x.reshape(1, -1, *x.shape[-2:])
    return F.rotary(four, np.cos(angles), np.sin(angles)).reshape(*x.shape)


@shortcut("L9.3")
def swiglu(x, w_gate, w_up, w_down):
    return F.silu_gate(x @ w_gate, x @ w_up) @ w_down


@shortcut("L9.4")
def grouped_attention(query, key, value):
    from minilm.nn.attention import grouped_attention

    return grouped_attention(query[None], key[None], value[None], None, True)[0]


@shortcut("L9.5")
def cache_bytes(batch, tokens, layers, heads, kv_heads, width, number):
    from minilm.models import sizes

    shape = sizes.Shape(vocab_size=1, context=1, width=width, layers=layers, heads=heads, kv_heads=kv_heads,
                        head_width=width // heads, mlp_width=1, embedding_width=width)  # fmt: skip
    return batch * tokens * sizes.kv_cache_per_token(shape, "float32") * number // 4


@shortcut("L9.6")
def relative_bucket(distance, both_ways, buckets, max_distance):
    from minilm.models.t5 import bucket

    return int(bucket(distance, both_ways, buckets, max_distance))


@shortcut("L10.6")
def objective_gradient(theta, N, D, L, delta):
    theta = ml.Tensor(theta, requires_grad=True)
    a, b, e, alpha, beta = (theta[i] for i in range(5))
    terms = F.stack([a - alpha * np.log(N), b - beta * np.log(D), e + np.zeros(len(N))])
    r = F.logsumexp(terms, 0) - np.log(L)
    size = F.abs(r)
    huber = F.where(size.numpy() <= delta, r * r / 2, delta * (size - delta / 2))
    return ml.grad(F.sum(huber), [theta])[0]
