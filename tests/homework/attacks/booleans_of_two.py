"""Answers with booleans that are neither true nor false."""

import numpy as np


def scores(query, key):
    return np.full((*query.shape[:-1], key.shape[-2]), 2, np.uint8).view(bool)
