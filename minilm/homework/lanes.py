"""Submissions graded side by side: by processes of this machine, or by those of a Dask cluster.

A process that dies takes one submission with it: that one is given to a fresh process once more, and if this dies too,
it is told as lost. What a process raises because it cannot grade at all ends the batch.
"""

import concurrent.futures
import contextlib
import multiprocessing
import os
import signal
import threading
import time
import traceback
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass

from minilm.errors import ConfigError, MinilmError
from minilm.homework.grading import Grade, Graded, Rules, Seeds, grade_one
from minilm.homework.intake import Submission
from minilm.i18n import tr

PATIENCE = 1200.0  # seconds after which a process is taken for stuck


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


Done = Iterator[tuple[Work, Graded | Lost]]


def grade_here(work: Iterable[Work], rules: Rules, jobs: int, grade: Grade = grade_one) -> Done:
    """Results as they come, by so many processes."""
    waiting, again = deque(work), set[int]()
    lanes = [Lane() for _ in range(min(jobs, len(waiting)))]
    busy: dict[Future, tuple[Lane, Work]] = {}
    try:
        while waiting or busy:
            for lane in lanes:
                if waiting and all(lane is not other for other, _ in busy.values()):
                    one = waiting.popleft()
                    busy[lane.submit(grade, rules, one)] = lane, one
            done, _ = concurrent.futures.wait(busy, timeout=5, return_when=concurrent.futures.FIRST_COMPLETED)
            for lane, _ in busy.values():
                lane.end_if_stuck()
            for future in done:
                lane, one = busy.pop(future)
                try:
                    yield one, future.result()
                except BrokenProcessPool:
                    lane.renew()
                    if id(one) in again:
                        yield one, Lost(tr("the grader's own process ended twice while it graded this"))
                    else:
                        again.add(id(one))
                        waiting.appendleft(one)
                except MinilmError:
                    raise
                except Exception as error:
                    yield one, Lost(_told(error))
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
        self._since = 0.0

    def submit(self, grade: Grade, rules: Rules, work: Work) -> Future:
        before = set(multiprocessing.active_children())
        if self._processes and not self._processes[-1].is_alive():  # it died with nothing to do
            self.renew()
        future = self._pool.submit(grade, rules, work.submission, work.seeds, work.only)
        self._processes += [p for p in multiprocessing.active_children() if p not in before]
        self._since = time.monotonic()
        return future

    def end_if_stuck(self) -> None:
        if time.monotonic() - self._since > PATIENCE:
            self._kill()

    def end(self) -> None:
        """At once, whatever it is doing."""
        self._kill()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _kill(self) -> None:
        for process in self._processes:
            with contextlib.suppress(OSError, ValueError):
                process.kill()


def begin() -> None:
    """In a new process: Ctrl-C is for the one that started it, and without that one it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:

        def follow() -> None:
            parent.join()
            os._exit(1)

        threading.Thread(target=follow, daemon=True).start()


def _told(error: BaseException) -> str:
    """An error nobody foresaw, and where."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f" ({frames[-1].name}, line {frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {error}{where}"[:500]


def grade_on_cluster(work: Iterable[Work], rules: Rules, scheduler: str, grade: Grade = grade_one) -> Done:
    """The same by the workers of a Dask cluster; `scheduler` is its address, as tcp://10.0.0.1:8786."""
    try:
        from distributed import Client, as_completed
    except ImportError as error:
        raise ConfigError(tr("--dask needs the package distributed: pip install 'minilm[cluster]'")) from error
    try:
        client = Client(scheduler, timeout=15, set_as_default=False)
    except (OSError, ValueError, TimeoutError) as error:
        raise ConfigError(
            tr("no Dask scheduler answers at {address}: start one with `dask scheduler`, and its workers with "
               "`dask worker {address} --nthreads 1`", address=scheduler)
        ) from error  # fmt: skip
    with client:
        futures = {client.submit(grade, rules, w.submission, w.seeds, w.only, pure=False): w for w in work}
        for future in as_completed(list(futures), loop=client.loop):
            one, failure = futures.pop(future), future.exception()
            if failure is None:
                yield one, future.result()
            elif isinstance(failure, MinilmError):
                raise failure
            else:
                yield one, Lost(_told(failure))
            future.release()
