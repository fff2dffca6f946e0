"""A small training of several ranks, run by mpirun: `ranked.py FOLDER [steps=…] [die=RANK:STEP] [hang=…] [fail=…]`."""

import os
import signal
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
from small_training import Batches, SmallModel, config, new_run

from minilm.errors import DataError
from minilm.training import NextToken, Run, Trainer
from minilm.training.ranks import ALONE, Ranks

SETTINGS = {"steps": 100, "batch_size": 7, "checkpoint_every": 10, "evaluate_every": 20, "keep_best": True,
            "accumulation": 2, "threads": 1, "keep": 2}  # fmt: skip


class Troubled(Batches):
    """Batches at one of which a rank dies, hangs or fails; or from which on each takes its time."""

    def __init__(self, size, rank=0, **trouble):
        super().__init__(size)
        self.rank, self.trouble = rank, trouble

    def at(self, step):
        for kind, at in self.trouble.items():
            if at == (self.rank, step):
                if kind == "fail":
                    raise DataError("this rank's disk is gone")
                os.kill(os.getpid(), {"die": signal.SIGKILL, "hang": signal.SIGSTOP}[kind])
        if "slow" in self.trouble:
            time.sleep(0.01)
        return super().at(step)


def training(run=None, ranks=ALONE, batches=None, dropout=0.0, seed=0, kind=SmallModel, **changes):
    made = config(**SETTINGS | changes)
    held_out = [Batches(5, seed=99).at(i) for i in range(3)]
    model = kind(seed, dropout=dropout, dtype=np.float64)
    batches = batches or Batches(made.batch_size)
    return Trainer(model, NextToken(), batches, made, validation=held_out, run=run, show=False, ranks=ranks)


def main(folder, *options):
    given = dict(option.split("=") for option in options)
    changes = {"steps": int(given.pop("steps"))} if "steps" in given else {}
    trouble = {kind: tuple(map(int, at.split(":"))) for kind, at in given.items()}
    ranks = Ranks()
    with ranks.together():
        if ranks.rank == 0 and not Path(folder, "config.json").exists():
            new_run(folder)
        run = Run(ranks.from_first(folder))
        batches = Troubled(SETTINGS["batch_size"], ranks.rank, **trouble)
        training(run, ranks, batches, **changes).resume().train()


if __name__ == "__main__":
    main(*sys.argv[1:])
