"""Freed memory kept for the next step, which needs the same again.

glibc's malloc hands large arrays back to the system as soon as they are freed. The system clears each page before it
gives it out anew: in a training step, which frees and takes the same activations over and over, a tenth of the time.
"""

import contextlib
import ctypes
import threading
from collections.abc import Iterator
from typing import Any

# From glibc's malloc.h: what mallopt can set, and what it says there of the defaults.
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD, M_MMAP_MAX = -1, -2, -3, -4
KEPT = {M_TRIM_THRESHOLD: 2**31 - 1, M_TOP_PAD: 1 << 26, M_MMAP_MAX: 0}
DEFAULTS = {M_TRIM_THRESHOLD: 1 << 17, M_TOP_PAD: 1 << 17, M_MMAP_THRESHOLD: 1 << 17, M_MMAP_MAX: 1 << 16}

_lock = threading.Lock()
_users = 0


@contextlib.contextmanager
def kept_memory() -> Iterator[None]:
    """Within this block freed memory stays with the process; after it (the last, if several overlap) it goes back.

    Where the C library is not glibc nothing happens. The bytes that a process holds at most do not change.
    """
    libc = _glibc()
    if libc is None:
        yield
        return
    _count(libc, +1)
    try:
        yield
    finally:
        _count(libc, -1)


def _count(libc: Any, by: int) -> None:
    global _users
    with _lock:
        before, _users = _users, _users + by
        if before == 0:
            _set(libc, KEPT)
        elif _users == 0:
            _set(libc, DEFAULTS)
            libc.malloc_trim(0)


def _set(libc: Any, options: dict[int, int]) -> None:
    for option, setting in options.items():
        libc.mallopt(option, setting)


def _glibc() -> Any:
    """The C library of this process if it is glibc, else None."""
    try:
        libc = ctypes.CDLL(None)
        return libc if hasattr(libc, "gnu_get_libc_version") and hasattr(libc, "mallopt") else None
    except (OSError, TypeError):  # no such library can be opened; Windows has no None
        return None
