"""A process in which a measurement means something: the best kernels of the BLAS, one thread, and what machine it is.

Nothing here imports NumPy: OpenBLAS reads its variables once, when it is loaded.
"""

import importlib.metadata
import os
import platform
import subprocess
import sys
from pathlib import Path

FORCED = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")  # either alone would leave the BLAS half changed: both go together
THREADS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")


def clean_environment(threads: int = 1) -> dict[str, str]:
    """This process's variables with the BLAS free to choose its kernels, and held to so many threads."""
    kept = {name: value for name, value in os.environ.items() if name not in FORCED}
    return kept | {name: str(threads) for name in THREADS}


def run_again_if_unclean() -> None:
    """Go on if the environment is clean; else run this same command in a process that has it, and end as it ends."""
    wanted = clean_environment()
    if wanted != dict(os.environ):
        sys.exit(subprocess.run([sys.executable, *sys.orig_argv[1:]], env=wanted, check=False).returncode)


def in_clean_process(*command: str) -> str:
    """What a program of Python prints when it runs by itself, in the clean environment."""
    ran = subprocess.run([sys.executable, *command], env=clean_environment(), stdout=subprocess.PIPE, check=True)
    return ran.stdout.decode()


def machine() -> dict[str, str]:
    """What the numbers depend on: processor, BLAS and its kernels, PyTorch and its, versions, how busy it was."""
    import torch

    from minilm.doctor import blas

    ours = blas()
    kernels = f"{ours['library']} {ours['version']}, kernels {ours['kernel']}"
    return {
        "processor": f"{_processor()}, {os.cpu_count()} cores",
        "system": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        "numpy": f"{importlib.metadata.version('numpy')}, {kernels}",
        "torch": f"{torch.__version__}, kernels {torch.backends.cpu.get_cpu_capability()}",
        "load": " ".join(f"{load:.2f}" for load in os.getloadavg()) if hasattr(os, "getloadavg") else "unknown",
    }


def _processor() -> str:
    """Its name, as the system tells it."""
    facts = Path("/proc/cpuinfo")
    for line in facts.read_text().splitlines() if facts.is_file() else ():
        key, _, value = line.partition(":")
        if key.strip() == "model name":
            return value.strip()
    return platform.processor() or "unknown processor"
