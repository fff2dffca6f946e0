"""Choosing what computes: by name, by module, by the command line; what cannot be is one sentence."""

import sys
import types

import numpy as np
import pytest
from strict import strict, use_double

from minilm import backend
from minilm.cli.app import explain, main
from minilm.errors import ConfigError


@pytest.fixture(autouse=True)
def numpy_again():
    yield
    backend.use("numpy")


def fails(*_):
    raise RuntimeError("cudaErrorInsufficientDriver: CUDA driver version is insufficient\n  and more")


class Unfinished:
    """An array of a CuPy that makes memory, and for want of a library cannot compute."""

    def __init__(self, has_compiler=False):
        self.has_compiler = has_compiler

    def __matmul__(self, other):
        if self.has_compiler:
            raise ImportError("CuPy failed to load libcublas.so.12: OSError: cannot open\nand more")
        return self

    def sum(self):
        raise RuntimeError(
            "CuPy failed to load libnvrtc.so.12: OSError: libnvrtc.so.12: cannot open shared object file"
        )


WITHOUT = {
    "no CuPy": (None, "import of cupy halted"),
    "no driver": (
        types.SimpleNamespace(ones=fails),
        "cudaErrorInsufficientDriver: CUDA driver version is insufficient",
    ),
    "a driver without CUDA's compiler": (
        types.SimpleNamespace(ones=lambda shape: Unfinished()),
        "CuPy failed to load libnvrtc.so.12: OSError: libnvrtc.so.12: cannot open shared object file",
    ),
    "a driver without CUDA's products": (
        types.SimpleNamespace(ones=lambda shape: Unfinished(has_compiler=True)),
        "CuPy failed to load libcublas.so.12",
    ),
    "a broken wheel": (types.SimpleNamespace(), "ones"),
}


def machine_of(gpus, taken):
    """A CuPy on a machine with so many GPUs, which notes what is done on which."""

    def count():
        if not gpus:
            fails()
        return gpus

    def device(i):
        return types.SimpleNamespace(use=lambda: taken.append(i))

    def ones(shape):
        taken.append("computes")
        return np.ones(shape)

    cuda = types.SimpleNamespace(Device=device, runtime=types.SimpleNamespace(getDeviceCount=count))
    return types.SimpleNamespace(ones=ones, cuda=cuda, __name__="cupy")


@pytest.mark.parametrize(("gpu", "gpus", "taken"), [(0, 4, 0), (3, 4, 3), (5, 4, 1), (1, 1, 0)])
def test_a_gpu_is_taken_before_anything_is_computed(gpu, gpus, taken, monkeypatch):
    """Counted round, so that more ranks than GPUs share them."""
    done = []
    monkeypatch.setitem(sys.modules, "cupy", machine_of(gpus, done))
    backend.use("cupy", gpu)
    assert done == [taken, "computes"]


def test_unless_one_is_named_cupy_keeps_its_own(monkeypatch):
    done = []
    monkeypatch.setitem(sys.modules, "cupy", machine_of(4, done))
    backend.use("cupy")
    assert done == ["computes"]
    monkeypatch.setitem(sys.modules, "cupy", machine_of(0, done))
    with pytest.raises(ConfigError, match="CuPy cannot compute here .cudaErrorInsufficientDriver"):
        backend.use("cupy", 1)
    backend.use("numpy", 1)  # which has none to take


@pytest.mark.parametrize("name", WITHOUT)
def test_without_a_gpu_it_is_one_sentence_and_numpy_stays(monkeypatch, name):
    module, reason = WITHOUT[name]
    monkeypatch.setitem(sys.modules, "cupy", module)
    with pytest.raises(ConfigError) as error:
        backend.use("cupy")
    said = str(error.value)
    assert said.startswith("CuPy cannot compute here (") and reason in said and "minilm[cupy]" in said
    assert "\n" not in said and backend.is_numpy()


def test_by_name_and_by_module():
    with pytest.raises(ConfigError, match="backend 'torch' is unknown: use 'numpy' or 'cupy'"):
        backend.use("torch")
    with use_double():
        assert backend.name() == "strict" and not backend.is_numpy()
        assert backend.is_array(backend.asarray([1.0])) and not backend.is_array(np.ones(1))
    assert backend.name() == "numpy" and backend.is_numpy()


def test_a_full_gpu_is_one_sentence():
    class OutOfMemoryError(MemoryError):
        pass

    said = explain(OutOfMemoryError("Out of memory allocating 4,096 bytes (allocated so far: 0 bytes).\nmore"))
    assert said is not None and said.startswith("the memory of the GPU is full (Out of memory allocating 4,096 bytes")
    assert "smaller batch" in said and "\n" not in said
    assert "GPU" not in str(explain(MemoryError()))


def minilm(*args, capsys):
    try:
        status = main([str(a) for a in args])
    except SystemExit as stopped:
        status = stopped.code
    said = capsys.readouterr()
    return status, said.out, said.err


def test_the_command_line_trains_and_writes_there(tmp_path, capsys, monkeypatch):
    text, run = tmp_path / "text.txt", tmp_path / "run"
    text.write_text("the cat sat on the mat and the dog sat on the log.\n" * 40, encoding="utf-8")
    small = ["--config", "tiny", "--steps", "3", "--width", "8", "--batch", "2", "--context", "8", "--no-ngrams"]
    monkeypatch.setitem(backend._LOADERS, "cupy", lambda gpu: strict)
    with use_double():
        command = ["pretrain", "gpt", "--data", text, "--out", run, *small, "--backend", "cupy"]
        status, out, err = minilm(*command, capsys=capsys)
        assert (status, err) == (0, "") and "threads: 1" in out
        assert not backend.is_numpy()
        options = ["generate", run, "the ", "--tokens", 5, "--seed", 1]
        there = minilm(*options, "--backend", "cupy", capsys=capsys)
    here = minilm(*options, capsys=capsys)
    assert backend.is_numpy() and there == here and here[0] == 0 and here[1].startswith("the ")


@pytest.mark.parametrize("command", [("pretrain", "gpt"), ("generate", ".")])
def test_the_command_line_says_why_it_cannot(command, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", None)
    status, _, err = minilm(*command, "--backend", "cupy", capsys=capsys)
    assert status == 1 and err.startswith("minilm: CuPy cannot compute here (") and len(err.splitlines()) == 1
