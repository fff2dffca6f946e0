"""The tasks of lesson 3."""

import math

import minilm.functional as F
from minilm.course import task


@task("L3.2", points=2)
def attention_weights(query, key, mask):
    """Row t holds the weights with which position t reads the S positions.

    query: (T, K), key: (S, K), mask: booleans (T, S) -> (T, S). The score of t and s is q_t · k_s / √K; the weights of
    a row are the softmax of its scores over the positions where mask is True; exactly 0 where it is False; a row with
    no True is all zeros.
    """
    scores = F.matmul(query, F.swapaxes(key)) / math.sqrt(query.shape[-1])
    scores = F.where(mask, scores, -math.inf)
    anything = mask.any(-1, keepdims=True)
    e = F.exp(scores - F.where(anything, F.max(scores, -1, True), 0.0))
    return e / F.where(anything, F.sum(e, -1, True), 1.0)
