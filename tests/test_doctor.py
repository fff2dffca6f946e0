"""`minilm doctor`: facts that are true here, and advice for machines that this one is not."""

import copy
import importlib.machinery
import importlib.metadata
import json
import os
import subprocess
import sys
import types

import numpy as np
import pytest
import threadpoolctl

from minilm import doctor
from minilm.cli.doctor import doctor as doctor_command
from minilm.cli.doctor import lines

WELL = {
    "versions": {"python": "3.12.1", "torch": None},
    "blas": {
        "library": "openblas",
        "version": "0.3.30",
        "kernel": "SkylakeX",
        "threads": 2,
        "forced": None,
        "simd": ["X86_V2", "X86_V3", "X86_V4"],
    },
    "matmul_gflops": 80.0,
    "cupy": {"installed": False, "version": None, "device": None, "problem": None},
    "mpi": {"version": None, "library": None, "problem": None},
    "cores": {"logical": 4, "physical": 2, "usable": 4, "training": 2},
    "memory": 8 * 2**30,
    "language": "en",
    "cache": {"path": "/home/ana/.cache/minilm", "writable": True},
    "sandbox": [
        {"name": "session", "active": True, "why": ""},
        {"name": "bwrap", "active": False, "why": "no program"},
    ],
}


def changed(part: str, value) -> dict:
    """The facts of a machine where all is well but `part`, given as "blas.kernel"."""
    facts = copy.deepcopy(WELL)
    *path, last = part.split(".")
    place = facts
    for name in path:
        place = place[name]
    place[last] = value
    return facts


def run(*args: str, **environment: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "minilm", "doctor", *args]
    return subprocess.run(command, capture_output=True, text=True, env={**os.environ, **environment}, check=True)


def test_nothing_to_say_of_a_good_machine():
    assert doctor.advice(WELL) == doctor.notes(WELL) == []


@pytest.mark.parametrize(
    ("part", "value", "words"),
    [
        ("blas.kernel", "Haswell", ["AVX-512", "Haswell"]),
        ("blas.kernel", "Zen", ["AVX-512", "Zen"]),
        ("blas.kernel", "Nehalem", ["without AVX2", "Nehalem"]),
        ("blas.forced", "Haswell", ["OPENBLAS_CORETYPE=Haswell", "unset"]),
        ("blas.library", "blis", ["blis", "not OpenBLAS"]),
        ("blas.library", None, ["not OpenBLAS"]),
        ("cores.training", 1, ["one core"]),
        ("blas.threads", 8, ["8 threads", "2 cores", "OPENBLAS_NUM_THREADS=2"]),
    ],
)
def test_says_what_is_slow_and_why(part, value, words):
    said = " ".join(doctor.advice(changed(part, value)))
    for word in words:
        assert word in said
    assert doctor.notes(changed(part, value)) == []


@pytest.mark.parametrize(
    ("part", "value", "words"),
    [
        ("matmul_gflops", None, ["crashes"]),
        ("memory", 2**30, ["2 GiB"]),
        ("cupy.problem", "no driver", ["no device", "no driver"]),
        ("cache.writable", False, ["/home/ana/.cache/minilm", "MINILM_CACHE"]),
    ],
)
def test_what_does_not_work_is_not_called_slow(part, value, words, monkeypatch, capsys):
    facts = changed(part, value)
    (note,) = doctor.notes(facts)
    assert doctor.advice(facts) == [] and all(word in note for word in words)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setattr(doctor, "facts", lambda: {**facts, "versions": {}})
    doctor_command(as_json=False)
    said = " ".join(capsys.readouterr().out.split())
    assert "Slow: " not in said and "Nothing here will be slow" in said and f"Note: {note}" in said


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("blas.library", "mkl"),
        ("blas.library", "accelerate"),
        ("blas.kernel", "Cooperlake"),
        ("blas.kernel", "neoversen1"),
        ("blas.kernel", None),
        ("memory", None),
        ("blas.threads", 4),
        ("blas.threads", None),
    ],
)
def test_says_nothing_of_what_is_no_loss(part, value):
    assert doctor.advice(changed(part, value)) == []


def test_avx2_kernels_are_the_best_of_a_processor_without_avx512():
    facts = changed("blas.kernel", "Haswell")
    facts["blas"]["simd"] = ["X86_V2", "X86_V3"]
    assert doctor.advice(facts) == []


def test_the_facts_are_this_machines():
    facts = doctor.facts()
    assert facts["versions"]["numpy"] == np.__version__
    assert facts["versions"]["python"].startswith(f"{sys.version_info.major}.{sys.version_info.minor}.")
    blas = [pool for pool in threadpoolctl.threadpool_info() if "numpy" in pool["filepath"]]
    if blas:
        assert facts["blas"]["library"] == blas[0]["internal_api"]
        assert facts["blas"]["threads"] == blas[0]["num_threads"]
    assert 1 <= facts["cores"]["training"] <= facts["cores"]["usable"] <= facts["cores"]["logical"]
    assert 0.1 < facts["matmul_gflops"] < 1e5
    assert json.loads(json.dumps(facts)) == facts


def test_a_folder_that_is_not_yet_there_is_writable_if_its_parent_is(tmp_path):
    assert doctor.folder(tmp_path / "a" / "b") == {"path": str(tmp_path / "a" / "b"), "writable": True}
    assert not (tmp_path / "a").exists()
    assert doctor.folder(tmp_path / "file" / "b")["writable"]
    (tmp_path / "file").write_text("")
    assert not doctor.folder(tmp_path / "file" / "b")["writable"]


def test_a_crash_of_the_product_is_reported_and_survived(monkeypatch):
    monkeypatch.setattr(doctor, "_MEASURE", "import os; os.abort()")
    assert doctor.matmul_gflops() is None


def test_plain_lines_when_not_on_a_terminal():
    ran = run()
    names = [line.partition(":")[0] for line in ran.stdout.splitlines()]
    assert {"python", "numpy", "minilm", "matrix products", "CuPy", "cores", "memory", "language"} <= set(names)
    assert "\x1b" not in ran.stdout and "│" not in ran.stdout


def test_json():
    said = json.loads(run("--json", MINILM_LANG="es").stdout)
    assert said["language"] == "es"
    assert said.keys() == {*doctor.facts(), "advice", "notes"}


@pytest.mark.parametrize(
    ("cupy", "cupy_words", "tests_words"),
    [
        ({"installed": False}, ["not installed", "minilm[cupy]"], ["do not run here", "stand-in"]),
        (
            {"installed": True, "version": "14.2.0", "problem": "no driver"},
            ["14.2.0", "no device answers: no driver"],
            ["do not run here", "stand-in", "signatures of this CuPy"],
        ),
        (
            {"installed": True, "version": "14.2.0", "device": "NVIDIA H200"},
            ["14.2.0", "NVIDIA H200"],
            ["run here, with"],
        ),
    ],
)
def test_says_what_holds_of_the_gpu(cupy, cupy_words, tests_words):
    facts = copy.deepcopy(WELL)
    facts["cupy"] |= cupy
    rows = dict(lines(facts))
    assert all(word in rows["CuPy"] for word in cupy_words)
    assert all(word in rows["GPU tests"] for word in tests_words)


def stand_in(**contents):
    """A module that may be imported as CuPy."""
    module = types.ModuleType("cupy")
    module.__dict__.update(contents)
    module.__spec__ = importlib.machinery.ModuleSpec("cupy", None)
    return module


def fails(*_):
    raise RuntimeError("cudaErrorNoDevice: there is none\nand more")


def test_asks_cupy_itself(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", stand_in(ones=fails, __version__="99"))
    problem = "cudaErrorNoDevice: there is none"
    assert doctor.cupy() == {"installed": True, "version": "99", "device": None, "problem": problem}
    device = types.SimpleNamespace(runtime=types.SimpleNamespace(getDeviceProperties=lambda i: {"name": b"A GPU"}))
    monkeypatch.setitem(sys.modules, "cupy", stand_in(ones=np.ones, cuda=device, __version__="99"))
    assert doctor.cupy() == {"installed": True, "version": "99", "device": "A GPU", "problem": None}


@pytest.mark.parametrize(
    ("mpi", "words"),
    [
        ({}, ["not installed", "minilm[mpi]"]),
        ({"version": "4.1.2", "library": "MPICH Version: 5.0.2"}, ["mpi4py 4.1.2 (MPICH Version: 5.0.2)"]),
        ({"version": "4.1.2", "problem": "cannot load MPI library"}, ["4.1.2", "no MPI: cannot load MPI library"]),
    ],
)
def test_says_which_mpi_there_is(mpi, words):
    said = dict(lines(changed("mpi", WELL["mpi"] | mpi)))["MPI"]
    assert all(word in said for word in words)


def test_asks_mpi4py_itself_in_another_process(monkeypatch):
    found = doctor.mpi()
    assert found["version"][0].isdigit() and "MPI" in found["library"] and found["problem"] is None
    assert "mpi4py" not in sys.modules  # this process has not become one of MPI's
    monkeypatch.setattr(doctor, "_ASK_MPI", "raise RuntimeError('cannot load MPI library')")
    assert doctor.mpi() == {**found, "library": None, "problem": "RuntimeError: cannot load MPI library"}
    monkeypatch.setattr(doctor.importlib.metadata, "version", raise_not_found)
    assert doctor.mpi() == {"version": None, "library": None, "problem": None}


def raise_not_found(name):
    raise importlib.metadata.PackageNotFoundError(name)


def test_a_report_of_any_machine_reads_well():
    for part, value in (("blas.kernel", None), ("memory", None), ("cores.physical", None)):
        rows = dict(lines(changed(part, value)))
        assert all(isinstance(text, str) and text and "None" not in text for text in rows.values())
