"""The cores that this process may use."""

import math
import os
from pathlib import Path


def allowed_cpus() -> set[int]:
    """The logical processors that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return os.sched_getaffinity(0)
    return set(range(os.cpu_count() or 1))


def available_cores() -> int:
    """The physical cores that this process may use: its affinity, one per pair of hyperthreads, within its quota."""
    cores = {_siblings(cpu) for cpu in allowed_cpus()}
    return max(1, math.ceil(min(len(cores), _quota())))


def _siblings(cpu: int, root: Path = Path("/sys/devices/system/cpu")) -> str:
    try:
        return (root / f"cpu{cpu}" / "topology" / "thread_siblings_list").read_text().strip()
    except OSError:
        return str(cpu)


def _quota(root: Path = Path("/sys/fs/cgroup")) -> float:
    """The processors' worth of time that the control group allows (version 2, then 1); infinity without a limit."""
    for paths in (("cpu.max",), ("cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us")):
        try:
            quota, period = " ".join((root / path).read_text() for path in paths).split()
            return float(quota) / float(period) if quota not in ("max", "-1") else math.inf
        except (OSError, ValueError):
            continue
    return math.inf
