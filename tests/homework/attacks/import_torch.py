"""Imports a framework that would take the gradients for it."""

import torch


def scores(query, key):
    return torch.tensor(query.numpy()) @ torch.tensor(key.numpy()).swapaxes(-1, -2)
