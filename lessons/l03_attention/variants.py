"""Other right answers."""

import numpy as np

import minilm.functional as F
from minilm.course import variant


@variant("L3.2", "by the library")
def attention_weights(query, key, mask):
    S = key.shape[0]
    return F.attention(query[None, None], key[None, None], np.eye(S)[None, None], mask)[0, 0]
