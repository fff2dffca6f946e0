"""How much memory a block of code takes above what there was at its start: the highest, and at any moment."""

import contextlib
import importlib
import threading
import tracemalloc
from typing import Any

from minilm import backend
from minilm.backend import xp


class NoMemory:
    """Nothing is measured."""

    peak: int | None = None

    def start(self) -> None:
        """The block begins."""

    def now(self) -> int | None:
        """Bytes above the start; negative where the block has freed more than it took. None: not measured."""
        return None

    def stop(self) -> None:
        """The block has ended: `peak` is known."""


class HostMemory(NoMemory):
    """What Python and NumPy allocate in this process, all threads together, through tracemalloc.

    What was allocated before and is freed within the block is seen only if tracemalloc was on already.
    """

    _open: list["HostMemory"] = []  # noqa: RUF012 -- one list for all: blocks may lie within each other
    _lock = threading.Lock()

    def start(self) -> None:
        with self._lock:
            self._started = not tracemalloc.is_tracing()
            if self._started:
                tracemalloc.start(1)
            for outer in self._open:
                outer._note()
            self._open.append(self)
            self._base, self._highest = tracemalloc.get_traced_memory()[0], 0
            tracemalloc.reset_peak()

    def now(self) -> int | None:
        return tracemalloc.get_traced_memory()[0] - self._base

    def stop(self) -> None:
        with self._lock:
            for one in self._open:
                one._note()
            self._open.remove(self)
            self.peak = max(0, self._highest - self._base)
            if self._started and not self._open:
                tracemalloc.stop()
            elif self._started:
                self._open[0]._started = True  # blocks of two threads may end in any order

    def _note(self) -> None:
        self._highest = max(self._highest, tracemalloc.get_traced_memory()[1])


class DeviceMemory(NoMemory):
    """What CuPy's memory pool has given out, seen after each allocation of this thread and after each operation."""

    def start(self) -> None:
        self._pool = xp.get_default_memory_pool()
        self._base, self._highest = self._pool.used_bytes(), 0
        self._stack = contextlib.ExitStack()
        self._stack.enter_context(_hook(self.now))

    def now(self) -> int | None:
        above = self._pool.used_bytes() - self._base
        self._highest = max(self._highest, above)
        return above

    def stop(self) -> None:
        self.now()
        self._stack.close()
        self.peak = self._highest


def _hook(allocated: Any) -> Any:
    """A block in which CuPy calls `allocated` after each allocation."""
    base: Any = importlib.import_module("cupy.cuda.memory_hook").MemoryHook

    class Hook(base):
        name = "minilm"

        def malloc_postprocess(self, **kwargs: Any) -> None:
            allocated()

    return Hook()


def measured() -> NoMemory:
    """The memory of the backend in use."""
    return DeviceMemory() if backend.name() == "cupy" else HostMemory()


def wait_for_device() -> None:
    """Until the device has done what it was asked to; CuPy's calls return before their work is done."""
    if backend.name() == "cupy":
        xp.cuda.get_current_stream().synchronize()
