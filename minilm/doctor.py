"""What this machine has and what will be slow on it: the facts behind `minilm doctor`.

facts()    a dict that JSON can hold: versions, blas, speed, cupy, mpi, cores, memory, language, cache, sandbox
advice(f)  sentences: what will be slow, why, what to do
notes(f)   sentences: what will not work, or not all of it, however fast the rest is
"""

import importlib.metadata
import importlib.util
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from minilm.cores import available_cores
from minilm.i18n import language, tr
from minilm.resources import cache_folder

EXTRAS = ("matplotlib", "safetensors", "regex", "threadpoolctl", "typer", "rich", "torch")
AVX512 = {"skylakex", "cooperlake", "sapphirerapids"}  # OpenBLAS's names for its kernels
AVX2 = {"haswell", "zen"}
OTHER_FAST = {"armv8", "neoversen1", "neoversev1", "neoversen2", "vortex", "vortexm4", "thunderx2t99", "a64fx"}

# Run apart: a kernel that the processor lacks (OPENBLAS_CORETYPE) kills the process that calls it.
_MEASURE = """
import time, numpy
a = numpy.ones((1024, 1024), numpy.float32)
a @ a
best = float("inf")
for _ in range(5):
    start = time.perf_counter()
    a @ a
    best = min(best, time.perf_counter() - start)
print(2 * 1024**3 / best / 1e9)
"""

# Run apart: this process shall not become one of MPI's.
_ASK_MPI = """
import mpi4py
mpi4py.rc.initialize = False
from mpi4py import MPI
print(MPI.Get_library_version())
"""


def facts() -> dict[str, Any]:
    """Everything that the report shows, by name."""
    return {
        "versions": versions(),
        "blas": blas(),
        "matmul_gflops": matmul_gflops(),
        "cupy": cupy(),
        "mpi": mpi(),
        "cores": cores(),
        "memory": memory(),
        "language": language(),
        "cache": folder(cache_folder()),
        "sandbox": layers(),
    }


def layers() -> list[dict[str, Any]]:
    """The layers that stand between a homework's file and this machine: name, active, and why one is not."""
    if os.name != "posix":
        return []
    from minilm.homework.sandbox import available

    return [{"name": layer.name, "active": layer.active, "why": layer.why} for layer in available()]


def versions() -> dict[str, str | None]:
    """Of Python, minilm, NumPy and what else minilm can use; None for one that is not installed."""
    import numpy

    import minilm

    machine = f"{platform.python_implementation()}, {platform.system()} {platform.machine()}"
    found: dict[str, str | None] = {
        "python": f"{platform.python_version()} ({machine})",
        "minilm": minilm.__version__,
        "numpy": numpy.__version__,
    }
    for package in EXTRAS:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = None
    return found


def blas() -> dict[str, Any]:
    """NumPy's BLAS: the library, its version, its kernels and threads; the processor's instructions."""
    import numpy
    import threadpoolctl

    config: Any = numpy.show_config(mode="dicts")
    pools = [pool for pool in threadpoolctl.threadpool_info() if pool["user_api"] == "blas"]
    pools.sort(key=lambda pool: "numpy" not in pool["filepath"])
    pool = pools[0] if pools else {}
    simd = config.get("SIMD Extensions", {})
    return {
        "library": pool.get("internal_api") or config.get("Build Dependencies", {}).get("blas", {}).get("name"),
        "version": pool.get("version"),
        "kernel": pool.get("architecture"),
        "threads": pool.get("num_threads"),
        "forced": os.environ.get("OPENBLAS_CORETYPE") or None,
        "simd": [*simd.get("baseline", []), *simd.get("found", [])],
    }


def matmul_gflops() -> float | None:
    """Billions of operations a second in a product of 1024 × 1024 float32 matrices; None if the product crashed."""
    ran = subprocess.run([sys.executable, "-c", _MEASURE], capture_output=True, text=True, timeout=120, check=False)
    return round(float(ran.stdout), 1) if ran.returncode == 0 else None


def cupy() -> dict[str, Any]:
    """Whether CuPy is installed, its version, the device that answers, or why none does."""
    found: dict[str, Any] = {"installed": importlib.util.find_spec("cupy") is not None}
    found |= {"version": None, "device": None, "problem": None}
    if not found["installed"]:
        return found
    from minilm.backend import try_cupy

    try:
        module = importlib.import_module("cupy")
        found["version"] = module.__version__
        try_cupy(module)
        name = module.cuda.runtime.getDeviceProperties(0)["name"]
    except Exception as error:  # CuPy's errors depend on what is missing: a library, the driver, the device
        return {**found, "problem": str(error).strip().split("\n")[0]}
    device = name.decode() if isinstance(name, bytes) else str(name)
    return {**found, "device": device}


def mpi() -> dict[str, str | None]:
    """The version of mpi4py, the MPI that it finds, or why it finds none; all None where mpi4py is not installed."""
    found: dict[str, str | None] = {"version": None, "library": None, "problem": None}
    try:
        found["version"] = importlib.metadata.version("mpi4py")
    except importlib.metadata.PackageNotFoundError:
        return found
    ran = subprocess.run([sys.executable, "-c", _ASK_MPI], capture_output=True, text=True, timeout=120, check=False)
    if ran.returncode:
        return {**found, "problem": (ran.stderr.strip().split("\n") or [""])[-1]}
    return {**found, "library": " ".join(ran.stdout.split("\n")[0].strip("\0 ").split())}


def cores() -> dict[str, int | None]:
    """Logical and physical cores, those that this process may use, and how many a training takes by itself."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {"logical": os.cpu_count(), "physical": _physical_cores(), "usable": usable, "training": available_cores()}


def _physical_cores() -> int | None:
    siblings = Path("/sys/devices/system/cpu").glob("cpu[0-9]*/topology/thread_siblings_list")
    groups = {path.read_text().strip() for path in siblings}
    if groups:
        return len(groups)
    if sys.platform == "darwin":
        ran = subprocess.run(["sysctl", "-n", "hw.physicalcpu"], capture_output=True, text=True, check=False)
        return int(ran.stdout) if ran.stdout.strip().isdigit() else None
    return None


def memory() -> int | None:
    """Bytes that this process can have: the machine's, or its container's limit where that is less."""
    try:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError):
        return None
    limit = Path("/sys/fs/cgroup/memory.max")
    text = limit.read_text().strip() if limit.is_file() else "max"
    return total if text == "max" else min(total, int(text))


def folder(path: Path) -> dict[str, Any]:
    """The folder, and whether a file can be written in it, or in its nearest parent while it does not exist."""
    existing = next(parent for parent in (path, *path.parents) if parent.exists())
    try:
        with tempfile.TemporaryFile(dir=existing):
            return {"path": str(path), "writable": True}
    except OSError:
        return {"path": str(path), "writable": False}


def advice(found: dict[str, Any]) -> list[str]:
    """What will be slow on a machine with these facts, why, and what to do; nothing when all is well."""
    return [*_blas_advice(found["blas"]), *_cores_advice(found["cores"]["training"], found["blas"]["threads"] or 1)]


def _blas_advice(blas: dict[str, Any]) -> list[str]:
    said = []
    kernel = (blas["kernel"] or "").lower()
    simd = set(blas["simd"])
    if blas["forced"]:
        said.append(
            tr(
                "OPENBLAS_CORETYPE={kernel} forces the kernels of the BLAS: unset it, so that it takes the best that "
                "this processor has",
                kernel=blas["forced"],
            )
        )
    if blas["library"] not in ("openblas", "mkl", "accelerate"):
        said.append(
            tr(
                "the BLAS is {library}, not OpenBLAS, MKL or Accelerate: matrix products, most of the work, may be "
                "many times slower; NumPy from its own wheel (pip install numpy) carries OpenBLAS",
                library=blas["library"] or "?",
            )
        )
    elif kernel in AVX2 and simd & {"X86_V4", "AVX512F", "AVX512_SKX"}:
        said.append(
            tr(
                "the processor has AVX-512 and the BLAS uses its AVX2 kernels ({kernel}): products run slower than "
                "they could; a newer NumPy may know the processor",
                kernel=blas["kernel"],
            )
        )
    elif kernel and blas["library"] == "openblas" and kernel not in AVX512 | AVX2 | OTHER_FAST:
        said.append(
            tr(
                "the BLAS uses kernels without AVX2 ({kernel}): products are several times slower than with it",
                kernel=blas["kernel"],
            )
        )
    return said


def _cores_advice(cores: int, threads: int) -> list[str]:
    said = []
    if cores < 2:
        said.append(
            tr("one core only: a training uses as many as there are, so it takes about twice as long as on two")
        )
    if threads > 2 * cores:
        said.append(
            tr(
                "the BLAS starts {threads} threads and this process has {cores} cores: "
                "set OPENBLAS_NUM_THREADS={cores}",
                threads=threads,
                cores=cores,
            )
        )
    return said


def notes(found: dict[str, Any]) -> list[str]:
    """What will not work, or not all of it, on a machine with these facts; nothing when all is well."""
    said = []
    if found["matmul_gflops"] is None:
        said.append(tr("a product of two matrices crashes: reinstall NumPy, and unset OPENBLAS_CORETYPE if it is set"))
    if found["memory"] is not None and found["memory"] < 2 * 2**30:
        said.append(tr("less than 2 GiB of memory: the larger configurations may not fit"))
    if found["cupy"]["problem"]:
        said.append(
            tr(
                "CuPy is installed and no device answers ({problem}): nothing can run with --backend cupy; without an "
                "NVIDIA GPU that is as it should be",
                problem=found["cupy"]["problem"],
            )
        )
    if not found["cache"]["writable"]:
        said.append(
            tr(
                "cannot write in {path}: texts cannot be fetched; set MINILM_CACHE to a folder of yours",
                path=found["cache"]["path"],
            )
        )
    return said
