"""A sweep of seconds, and ways to run it: here, by processes, as a command."""

import contextlib
import sys
from pathlib import Path

from minilm.lanes import attempt
from minilm.sweeps import sweep as sweeps
from minilm.sweeps.config import Data, EvaluationSettings, ModelSettings, Sizes, SourceSettings, Sweep, TrainingSettings
from minilm.sweeps.sweep import Running

TOML = """
title = "small"
[source]
tails = [1.0]
[model]
layers = 1
context = 8
[training]
seeds = 2
batch_tokens = 64
[evaluation]
rows = 8
times = 3
[[families]]
kind = "sizes"
widths = [4, 6]
tokens = {tokens}
[[families]]
kind = "data"
width = 6
tokens = [{least}, {tokens}]
"""


def small(**source):
    """Three trainings of two seeds each."""
    return Sweep("small", (Sizes((4, 6), 512), Data(6, (256, 512))), SourceSettings(**source),
                 ModelSettings(1, 8), TrainingSettings(2, 64), EvaluationSettings(8, 3))  # fmt: skip


def toml(folder, tokens=512, least=256):
    path = Path(folder) / "small.toml"
    path.write_text(TOML.format(tokens=tokens, least=least))
    return path


@contextlib.contextmanager
def in_process(order=lambda jobs: jobs):
    """Jobs one after another, in this process, in another order if so asked; the names of those that were begun."""
    begun = []

    def run_here(jobs, count, fatal):
        for job in order(list(jobs)):
            begun.append(job.name)
            yield None
            yield job, attempt(job.function, job.arguments, fatal)

    kept, sweeps.run_here = sweeps.run_here, run_here
    try:
        yield begun
    finally:
        sweeps.run_here = kept


def run(sweep, folder, resume=False, jobs=1, said=None, scheduler=None):
    """A whole sweep; what is in the folder then."""
    running = Running(sweep, Path(folder), lambda running, sentence: said is not None and said.append(sentence))
    with running.taken(resume):
        running.run(jobs, scheduler)
    return running


def tables(folder):
    return [(Path(folder) / name).read_bytes() for name in ("table.csv", "curves.csv")]


def command(config, out, *more):
    return [sys.executable, "-m", "minilm", "scaling", "run", str(config), "--out", str(out), *map(str, more)]
