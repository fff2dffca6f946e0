"""A process in which a measurement means something: the best kernels of the BLAS, so many threads, what machine it is.

Nothing here imports NumPy: OpenBLAS reads its variables once, when it is loaded.
"""

import importlib.metadata
import os
import platform
import subprocess
import sys
from pathlib import Path

FORCED = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")  # either alone would leave the BLAS half changed: both go together
THREADS = (
    "OPENBLAS_NUM_THREADS",
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NPROC",
)  # the last is XLA's
AVX2 = {  # every library held to the instructions that a processor without AVX-512 has
    "OPENBLAS_CORETYPE": "Haswell",
    "ATEN_CPU_CAPABILITY": "avx2",
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "MKL_ENABLE_INSTRUCTIONS": "AVX2",
}


def clean_environment(threads: int = 1) -> dict[str, str]:
    """This process's variables with the libraries free to choose their kernels, and held to so many threads."""
    kept = {name: value for name, value in os.environ.items() if name not in {*FORCED, *AVX2}}
    return kept | {name: str(threads) for name in THREADS}


def run_again_if_unclean() -> None:
    """Go on if the environment is clean; else begin this same command anew in one that is."""
    wanted = clean_environment()
    if wanted == dict(os.environ):
        return
    command = [sys.executable, *sys.orig_argv[1:]]
    if os.name == "posix":
        os.execve(sys.executable, command, wanted)  # in this very process, so that an interrupt reaches it
    sys.exit(subprocess.run(command, env=wanted, check=False).returncode)


def has_avx512() -> bool:
    """Whether the processor has more than AVX2, so that forcing that would change anything."""
    return "avx512f" in _fact("flags").split()


def processors(threads: int) -> list[int]:
    """So many of the processors that this process may use, no two of them on one core while others are free."""
    if not hasattr(os, "sched_getaffinity"):
        return []
    allowed = sorted(os.sched_getaffinity(0), reverse=True)  # the system's own work is mostly on the first
    cores: dict[str, int] = {}
    for cpu in allowed:
        siblings = Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list")
        cores.setdefault(siblings.read_text() if siblings.is_file() else str(cpu), cpu)
    return [*cores.values(), *(cpu for cpu in allowed if cpu not in cores.values())][:threads]


def machine() -> dict[str, str]:
    """What the numbers depend on: processor, BLAS and its kernels, versions of what is installed."""
    from minilm.doctor import blas

    ours = blas()
    kernels = f"{ours['library']} {ours['version']}, kernels {ours['kernel']}"
    found = {
        "processor": f"{_fact('model name') or platform.processor() or 'unknown processor'}, {os.cpu_count()} cores",
        "system": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        "numpy": f"{importlib.metadata.version('numpy')}, {kernels}",
    }
    return found | {name: version for name in ("torch", "jax", "autograd") if (version := _version(name))}


def load() -> str:
    """How many processes wanted to compute in the last 1, 5 and 15 minutes."""
    return " ".join(f"{load:.2f}" for load in os.getloadavg()) if hasattr(os, "getloadavg") else "unknown"


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _fact(name: str) -> str:
    """What the system says of its first processor."""
    facts = Path("/proc/cpuinfo")
    for line in facts.read_text().splitlines() if facts.is_file() else ():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return ""
