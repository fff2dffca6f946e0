"""Answers with infinities, whose differences are not numbers."""

import numpy as np


def scores(query, key):
    return np.full((*query.shape[:-1], key.shape[-2]), np.inf)
