"""What a worker may use, set before it reads a byte of the student's file, and not to be raised again."""

import sys
from dataclasses import dataclass
from pathlib import Path

MIB = 1 << 20


@dataclass(frozen=True)
class Limits:
    """answer, load: seconds for one answer, and for running the file once. wall, cpu: seconds for all. memory: bytes
    beyond what Python and NumPy take.

    processes: processes and threads. files: open ones. file_size: bytes of one file. output: bytes of what is printed
    that are kept; the rest is thrown away.
    """

    answer: float = 5.0
    load: float = 10.0
    wall: float = 60.0
    cpu: float = 40.0
    memory: int = 1024 * MIB
    processes: int = 32
    files: int = 64
    file_size: int = 8 * MIB
    output: int = 64 * 1024


def descriptors(limits: Limits) -> tuple[int, int]:
    """Where a worker's questions come in and its answers go out: the last two that may be open."""
    return limits.files - 2, limits.files - 1


def impose(limits: Limits, taken: int, others: int = 0) -> None:
    """Limit this process and its children, soft and hard.

    taken: bytes of address space that it has now. others: how many processes its user runs besides, where these count.
    """
    import resource  # which Windows has not

    wanted = {
        "RLIMIT_CPU": max(1, round(limits.cpu)),
        "RLIMIT_NPROC": limits.processes + others,
        "RLIMIT_NOFILE": limits.files,
        "RLIMIT_FSIZE": limits.file_size,
        "RLIMIT_CORE": 0,
        "RLIMIT_MSGQUEUE": 0,
        "RLIMIT_MEMLOCK": 0,
    }
    if sys.platform == "linux":  # elsewhere the system counts what is shared, or nothing at all
        wanted["RLIMIT_AS"] = taken + limits.memory
    for name, most in wanted.items():
        kind = getattr(resource, name, None)
        if kind is not None:
            _, hard = resource.getrlimit(kind)
            most = most if hard == resource.RLIM_INFINITY else min(most, hard)
            resource.setrlimit(kind, (most, most))


def address_space() -> int:
    """Bytes of address space that this process has taken."""
    import resource

    try:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
    except OSError:  # no /proc here: about what a process with NumPy takes
        return 1024 * MIB
    return pages * resource.getpagesize()


def processes_of_user(uid: int) -> int:
    """How many processes and threads a user has, as far as /proc tells."""
    total = 0
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if folder.stat().st_uid == uid:
                total += len(list((folder / "task").iterdir()))
        except OSError:
            continue
    return total
