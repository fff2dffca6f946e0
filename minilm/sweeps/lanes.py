"""Jobs side by side in processes of this machine, one thread of BLAS each.

A process that dies takes one job with it: that one is given to a fresh process once more, and goes on from its
checkpoint; if this one dies too, the job is told as lost.
"""

import concurrent.futures
import contextlib
import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import Any

from minilm.errors import ConfigError, MinilmError
from minilm.i18n import tr

TICK = 0.5  # seconds between two looks at what is under way
THREADS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")


@dataclass(frozen=True)
class Job:
    """function(*arguments), which another process can be given; cost: about how many seconds it takes."""

    name: str
    cost: float
    function: Callable[..., Any]
    arguments: tuple[Any, ...]


@dataclass(frozen=True)
class Failed:
    """No result, and why."""

    why: str


Done = Iterator[tuple[Job, Any] | None]  # None: time to look at what is under way


def run_here(jobs: Iterable[Job], count: int) -> Done:
    """Results as they come, jobs begun in their order, by so many processes.

    A TrainingError or another of our errors is a job's Failed; a ConfigError, which all would meet, ends the whole.
    """
    waiting, again = deque(jobs), set[str]()
    lanes = [Lane() for _ in range(min(count, len(waiting)))]
    busy: dict[Future, tuple[Lane, Job]] = {}
    try:
        while waiting or busy:
            for lane in lanes:
                if waiting and all(lane is not other for other, _ in busy.values()):
                    job = waiting.popleft()
                    busy[lane.submit(job)] = lane, job
            done, _ = concurrent.futures.wait(busy, timeout=TICK, return_when=concurrent.futures.FIRST_COMPLETED)
            if not done:
                yield None
            for future in done:
                lane, job = busy.pop(future)
                try:
                    yield job, future.result()
                except BrokenProcessPool:
                    lane.renew()
                    if job.name in again:
                        yield job, Failed(tr("the process that trained it ended twice"))
                    else:
                        again.add(job.name)
                        waiting.appendleft(job)
                except ConfigError:
                    raise
                except MinilmError as error:
                    yield job, Failed(str(error))
    finally:
        for lane in lanes:
            lane.end()


class Lane:
    """One process, replaced when it has died."""

    def __init__(self) -> None:
        self.renew()

    def renew(self) -> None:
        self._pool = ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), initializer=begin)
        self._processes: list[multiprocessing.process.BaseProcess] = []

    def submit(self, job: Job) -> Future:
        before = set(multiprocessing.active_children())
        if self._processes and not self._processes[-1].is_alive():  # it died with nothing to do
            self.renew()
        with _one_thread():
            future = self._pool.submit(job.function, *job.arguments)
        self._processes += [p for p in multiprocessing.active_children() if p not in before]
        return future

    def end(self) -> None:
        """At once, whatever it is doing: what it has saved is whole."""
        for process in self._processes:
            with contextlib.suppress(OSError, ValueError):
                process.kill()
        self._pool.shutdown(wait=True, cancel_futures=True)


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """A process that begins in this block has one thread of BLAS from its first import on."""
    before = {name: os.environ.get(name) for name in THREADS}
    os.environ.update(dict.fromkeys(THREADS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def begin() -> None:
    """In a new process: Ctrl-C is for the one that started it, and without that one it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:

        def follow() -> None:
            parent.join()
            os._exit(1)

        threading.Thread(target=follow, daemon=True).start()
