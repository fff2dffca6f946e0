"""Freed memory stays with the process inside the block, and goes back after the last that asked for it."""

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from minilm.training import malloc
from minilm.training.malloc import DEFAULTS, KEPT, kept_memory

FAULTS = """
import resource, sys
import numpy as np
from minilm.training.malloc import kept_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        np.ones(1 << 20, np.float32)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

with kept_memory():
    faults()
    print(faults())
resident = lambda: int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize()
with kept_memory():
    arrays = [np.ones(1 << 20, np.float32) for _ in range(50)]
    del arrays
    held = resident()
print(held - resident())
"""


class Library:
    """Stands in for glibc: notes what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[int, int]] = []
        self.trimmed = 0

    def mallopt(self, option: int, setting: int) -> None:
        self.told.append((option, setting))

    def malloc_trim(self, pad: int) -> None:
        self.trimmed += 1


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> Library:
    stand_in = Library()
    monkeypatch.setattr(malloc, "_glibc", lambda: stand_in)
    return stand_in


def test_blocks_that_overlap_end_with_the_last(library: Library) -> None:
    with kept_memory():
        with kept_memory():
            assert library.told == list(KEPT.items())
        assert library.told == list(KEPT.items()) and not library.trimmed
    assert library.told == [*KEPT.items(), *DEFAULTS.items()] and library.trimmed == 1


def test_an_error_gives_memory_back_too(library: Library) -> None:
    with pytest.raises(ZeroDivisionError), kept_memory():
        _ = 1 / 0
    assert library.trimmed == 1


def test_threads_may_come_and_go(library: Library) -> None:
    def visit() -> None:
        for _ in range(200):
            with kept_memory():
                pass

    with kept_memory():
        threads = [threading.Thread(target=visit) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not library.trimmed
    assert library.trimmed == 1


def test_without_glibc_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(malloc, "_glibc", lambda: None)
    with kept_memory():
        assert malloc._users == 0


@pytest.mark.skipif(malloc._glibc() is None or not Path("/proc/self/statm").exists(), reason="needs glibc and Linux")
def test_arrays_come_without_new_pages_and_go_back_at_the_end() -> None:
    ran = subprocess.run([sys.executable, "-c", FAULTS], capture_output=True, text=True, check=True)
    faults, given_back = map(int, ran.stdout.split())
    assert faults < 2000  # 20 arrays of 1024 pages
    assert given_back > 100_000_000  # of 200
