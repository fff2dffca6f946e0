"""What students write instead."""

import math

import minilm.functional as F
from minilm.course import mutant


@mutant("L3.2", misconception="masking_is_multiplying",
        hint="A score of 0 is not 'no weight': exp(0) = 1. What score has the exponential 0?")  # fmt: skip
def attention_weights(query, key, mask):
    return F.softmax(F.matmul(query, F.swapaxes(key)) / math.sqrt(query.shape[-1]) * mask)
