"""Jobs side by side in processes of this machine, one thread of BLAS each.

A process that dies takes one job with it: that one is given to a fresh process once more, and if this dies too, the
job is told as failed. An error in a job is that job's failure, unless it is one that all the others would meet.
cluster.py is the same by other machines.
"""

import concurrent.futures
import contextlib
import math
import multiprocessing
import os
import signal
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import Any

from minilm.errors import MinilmError
from minilm.i18n import tr

TICK = 0.5  # seconds between two looks at what is under way
THREADS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")


@dataclass(frozen=True, eq=False)
class Job:
    """function(*arguments), which another process can be given. cost: about how many seconds it takes."""

    name: str
    function: Callable[..., Any]
    arguments: tuple[Any, ...] = ()
    cost: float = 0.0


@dataclass(frozen=True)
class Failed:
    """No result, and why."""

    why: str


Fatal = tuple[type[MinilmError], ...]
Done = Generator[tuple[Job, Any] | None, None, None]  # None: time to look at what is under way


def run_here(jobs: Iterable[Job], count: int, fatal: Fatal, patience: float = math.inf) -> Done:
    """Results, or Failed, as they come, by `count` processes. Jobs are begun in their order, and made when needed.

    fatal: errors that end the whole, raised here. patience: seconds after which a process is taken for stuck and ended.
    Close the iterator to end all processes at once.
    """
    rest, returned, again = iter(jobs), deque[Job](), set[Job]()
    lanes: list[Lane] = []
    busy: dict[Future, tuple[Lane, Job]] = {}
    found: list[tuple[Job, Any]] = []
    try:
        while True:
            while len(busy) < count and (job := returned.popleft() if returned else next(rest, None)) is not None:
                lane = _free(lanes, busy)
                busy[lane.submit(job, fatal)] = lane, job
            yield from found  # while the next ones are under way
            if not busy:
                return
            done, _ = concurrent.futures.wait(busy, timeout=TICK, return_when=concurrent.futures.FIRST_COMPLETED)
            for lane, _ in busy.values():
                lane.end_if_stuck(patience)
            if not done:
                yield None
            found = []
            for future in done:
                lane, job = busy.pop(future)
                try:
                    found.append((job, future.result()))
                except BrokenProcessPool:
                    lane.renew()
                    if job in again:
                        found.append((job, Failed(tr("the process at work on it ended twice"))))
                    else:
                        again.add(job)
                        returned.append(job)
                except fatal:
                    raise
                except Exception as error:  # what came back could not be read
                    found.append((job, Failed(told(error))))
    finally:
        for lane in lanes:
            lane.end()


def _free(lanes: "list[Lane]", busy: "dict[Future, tuple[Lane, Job]]") -> "Lane":
    for lane in lanes:
        if all(lane is not other for other, _ in busy.values()):
            return lane
    lanes.append(Lane())
    return lanes[-1]


class Lane:
    """One process, begun with its first job and replaced when it has died."""

    def __init__(self) -> None:
        self.renew()

    def renew(self) -> None:
        self._pool = ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), initializer=begin)
        self._processes: list[multiprocessing.process.BaseProcess] = []
        self._since = 0.0

    def submit(self, job: Job, fatal: Fatal) -> Future:
        if self._processes and not self._processes[-1].is_alive():  # it died with nothing to do
            self.renew()
        try:
            return self._submit(job, fatal)
        except BrokenProcessPool:  # it died just now
            self.renew()
            return self._submit(job, fatal)

    def _submit(self, job: Job, fatal: Fatal) -> Future:
        before = set(multiprocessing.active_children())
        with _one_thread():
            future = self._pool.submit(attempt, job.function, job.arguments, fatal)
        self._processes += [p for p in multiprocessing.active_children() if p not in before]
        self._since = time.monotonic()
        return future

    def end_if_stuck(self, patience: float) -> None:
        if time.monotonic() - self._since > patience:
            self._kill()

    def end(self) -> None:
        """At once, whatever it is doing."""
        self._kill()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _kill(self) -> None:
        for process in self._processes:
            with contextlib.suppress(OSError, ValueError):
                process.kill()


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


# ------------------------------------------------------------------------------------------------- in another process


def begin() -> None:
    """Ctrl-C is for the process that started this one; when that one has ended, so does this."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:

        def follow() -> None:
            parent.join()
            os._exit(1)

        threading.Thread(target=follow, daemon=True).start()


def attempt(function: Callable[..., Any], arguments: tuple[Any, ...], fatal: Fatal) -> Any:
    """function(*arguments), or Failed; raises what is fatal."""
    try:
        return function(*arguments)
    except fatal:
        raise
    except MinilmError as error:
        return Failed(str(error))
    except Exception as error:
        return Failed(told(error))


def told(error: BaseException) -> str:
    """An error nobody foresaw, and where."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f" ({frames[-1].name}, line {frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {error}{where}"[:500]
