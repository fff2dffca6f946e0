"""Submissions graded side by side: by processes of this machine, or by the workers of a Dask cluster.

What goes wrong with one submission makes that one Lost; what is raised because nothing can be graded at all ends the
batch.
"""

import contextlib
from collections.abc import Generator, Iterable
from dataclasses import dataclass

from minilm import cluster, lanes
from minilm.errors import MinilmError
from minilm.homework.grading import Grade, Graded, Rules, Seeds, grade_one
from minilm.homework.intake import Submission

PATIENCE = 1200.0  # seconds after which a process is taken for stuck
FATAL = (MinilmError,)


@dataclass(frozen=True)
class Work:
    """One student's submission, the seeds of their hidden cases, and the tasks to grade (all, if none is named)."""

    submission: Submission
    seeds: Seeds
    only: tuple[str, ...] = ()


@dataclass(frozen=True)
class Lost:
    """No result, and why: a fault of ours, or of the machine."""

    why: str


Done = Generator[tuple[Work, Graded | Lost], None, None]


def grade_here(work: Iterable[Work], rules: Rules, jobs: int, grade: Grade = grade_one) -> Done:
    """Results as they come, by so many processes."""
    asked = _asked(work, rules, grade)
    return _graded(asked, lanes.run_here(asked, jobs, FATAL, PATIENCE))


def grade_on_cluster(work: Iterable[Work], rules: Rules, scheduler: str, grade: Grade = grade_one) -> Done:
    """The same by the workers of a Dask cluster; `scheduler` is its address, as tcp://10.0.0.1:8786."""
    asked = _asked(work, rules, grade)
    return _graded(asked, cluster.run_on_cluster(asked, scheduler, FATAL))


def _asked(work: Iterable[Work], rules: Rules, grade: Grade) -> dict[lanes.Job, Work]:
    """Jobs by number, for a scheduler shows their names to whoever asks."""
    return {
        lanes.Job(f"submission-{i}", grade, (rules, one.submission, one.seeds, one.only)): one
        for i, one in enumerate(work)
    }


def _graded(asked: dict[lanes.Job, Work], done: lanes.Done) -> Done:
    with contextlib.closing(done):
        for found in done:
            if found is not None:
                job, graded = found
                yield asked[job], Lost(graded.why) if isinstance(graded, lanes.Failed) else graded
