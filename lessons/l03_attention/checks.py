"""What lesson 3 proves."""

import math

from minilm.course import claim, expect, expect_close, expect_gradient
from minilm.course.strategies import booleans, composite, floats, integers


@composite
def readings(draw):
    """Query (T, K), key (S, K), mask (T, S)."""
    T, S, K = draw(integers(1, 4)), draw(integers(1, 4)), draw(integers(1, 4))
    return draw(floats(T, K)), draw(floats(S, K)), draw(booleans(T, S))


@claim("L3.2", "a forbidden position has weight exactly 0, and what it holds changes nothing", readings())
def forbidden(impl, query, key, mask):
    weights = impl.attention_weights(query, key, mask)
    expect(weights[~mask] == 0, "a forbidden position has weight 0")
    unread = ~mask.any(0)
    expect_close(impl.attention_weights(query, key + 3.0 * unread[:, None], mask), weights, "with other forbidden keys")


@claim("L3.2", "the weights of a row sum to 1, or to 0 where nothing may be read", readings())
def sums(impl, query, key, mask):
    weights = impl.attention_weights(query, key, mask)
    expect(weights >= 0, "weights are not negative")
    expect_close(weights.sum(-1), mask.any(-1).astype(float), "the sum of a row")


@claim("L3.2", "two weights of a row are in the ratio exp((s - s') / √K)", readings())
def ratios(impl, query, key, mask):
    T, S, K = *mask.shape, query.shape[1]
    weights = impl.attention_weights(query, key, mask)
    for t in range(T):
        for s in range(S):
            for other in range(S):
                if mask[t, s] and mask[t, other]:
                    gap = math.fsum(query[t, i] * (key[s, i] - key[other, i]) for i in range(K)) / math.sqrt(K)
                    expect_close(weights[t, s], weights[t, other] * math.exp(gap), "the ratio of two weights", 1e-7)


@claim("L3.2", "its gradient is that of its values", readings())
def gradient(impl, query, key, mask):
    expect_gradient(impl.attention_weights, (query, key, mask), wrt=(0, 1))
