"""A small language model and its training; run as a program, it trains in a run folder (and is killed by tests)."""

import sys
from pathlib import Path

import numpy as np

import minilm.functional as F
from minilm.nn import Module, Parameter
from minilm.training import NextToken, Run, TrainConfig, Trainer

V, D, T = 11, 8, 6


class SmallModel(Module):
    """Predicts the next symbol from this one: logits = tanh(E[id] W + b) U, with dropout before U."""

    def __init__(self, seed=0, dropout=0.0, dtype=np.float32, width=D):
        rng = np.random.default_rng(seed)
        for name, shape in (
            ("table", (V, width)),
            ("bias", (width,)),
            ("weight", (width, width)),
            ("head", (width, V)),
        ):
            setattr(self, name, Parameter((0.3 * rng.standard_normal(shape)).astype(dtype)))
        self.dropout, self.generator = dropout, None

    def loss(self, ids, targets, reduction="sum"):
        h = F.tanh(self.table[ids] @ self.weight + self.bias)  # (B, T, D)
        if self.training and self.dropout:
            keep = self.generator.random(h.shape) >= self.dropout
            h = h * (keep / np.asarray(1 - self.dropout, h.dtype)).astype(h.dtype)
        logits = h @ self.head  # (B, T, V)
        counted = targets != -100
        chosen = F.take_along_axis(logits, np.where(counted, targets, 0)[..., None], -1)[..., 0]
        return F.sum((F.logsumexp(logits, axis=-1) - chosen) * counted.astype(logits.dtype))


class Batches:
    """Sequences in which each symbol is twice the one before, plus noise; some targets do not count."""

    def __init__(self, size=6, seed=0, fingerprint="doubling"):
        self.size, self.seed, self.fingerprint = size, seed, fingerprint

    def at(self, step):
        rng = np.random.default_rng([self.seed, step])
        ids = rng.integers(0, V, (self.size, T))
        targets = (2 * ids + rng.integers(0, 2, ids.shape)) % V
        targets[rng.random(targets.shape) < 0.2] = -100
        targets[0, 0] = 2 * ids[0, 0] % V
        return {"ids": ids, "targets": targets}


def config(**changes):
    settings = {"steps": 12, "batch_size": 6, "rate": 0.02, "warmup": 2, "threads": 1, "log_every": 1, "seed": 3}
    return TrainConfig(**{**settings, **changes})


def new_run(folder, **settings):
    return Run.create(folder, {"model": "small", "training": settings})


def trainer(run=None, *, dropout=0.2, batches=None, validation=True, objective=None, **settings):
    held_out = (Batches(5, seed=99).at(i) for i in range(2)) if validation else None
    made = config(**settings)
    return Trainer(
        SmallModel(dropout=dropout),
        objective or NextToken(),
        batches or Batches(made.batch_size),
        made,
        validation=held_out,
        run=run,
        show=False,
    )


def bits(model):
    return b"".join(array.tobytes() for _, array in sorted(model.state_dict().items()))


KILLED = {"steps": 160, "checkpoint_every": 3, "evaluate_every": 10, "keep_best": True, "threads": 2, "accumulation": 2}


def main(folder):
    """Make the run or go on with it, say so, train."""
    made = Run(folder) if (Path(folder) / "config.json").exists() else new_run(folder)
    training = trainer(made, **KILLED).resume()
    print("training", training.step, flush=True)
    training.train()


if __name__ == "__main__":
    main(sys.argv[1])
