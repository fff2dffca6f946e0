"""Answers with an array of a gibibyte."""

import numpy as np


def scores(query, key):
    return np.broadcast_to(np.float64(1), (1 << 27,))
