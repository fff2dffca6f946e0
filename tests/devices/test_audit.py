"""The audit lists nothing in minilm, and does list each kind of mistake when it is planted."""

import ast
from pathlib import Path

import pytest
from audit import DIFFERENT, HARMLESS, HOST, METHODS, audit, check_source, check_units, look_up, takes, units

import minilm

pytestmark = pytest.mark.cupy

ROOT = Path(minilm.__file__).parent


@pytest.fixture(scope="module")
def cupy():
    import cupy

    return cupy


def test_minilm_uses_only_what_cupy_has(cupy):
    problems, uses = audit(ROOT, cupy)
    assert not problems, "\n".join(map(str, problems))
    assert uses > 80


PLANTED = {
    "a function that there is not": ("y = xp.softmax(x)", "xp.softmax: CuPy has no softmax"),
    "a function of NumPy's alone": ("y = xp.vecdot(x, x)", "xp.vecdot: CuPy has no vecdot"),
    "no errstate": ("with xp.errstate(divide='ignore'): pass", "CuPy has no errstate"),
    "no nditer": ("for i in xp.nditer(x): pass", "CuPy has no nditer"),
    "no bfloat16": ("y = x.astype(xp.bfloat16)", "CuPy has no bfloat16"),
    "a part that there is not": ("y = xp.random.default_generator(0)", "CuPy has no random.default_generator"),
    "a keyword of NumPy's alone": ("y = xp.sum(x, axis=0, where=m)", "xp.sum: takes no keyword where"),
    "no initial": ("y = xp.max(x, initial=0)", "xp.max: takes no keyword initial"),
    "no correction": ("y = xp.var(x, correction=1)", "xp.var: takes no keyword correction"),
    "clip by other names": ("y = xp.clip(x, min=0, max=1)", "xp.clip: takes no keyword min, max"),
    "a ufunc with where": ("y = xp.exp(x, where=m)", "xp.exp: takes no keyword where"),
    "too many arguments": ("y = xp.triu(x, 1, 2)", "xp.triu: takes 2 arguments, not 3"),
    "too many for a ufunc": ("y = xp.exp(x, y, z)", "xp.exp: takes 2 arguments, not 3"),
    "what brings down a number": ("y = xp.flatnonzero(x)", "brings down how many there are"),
    "another name": ("f = xp.exp", "xp.exp under another name"),
    "the module under another name": ("from minilm.backend import xp as np", "xp under another name"),
    "by way of the backend": ("y = backend.xp.nothing(x)", "CuPy has no nothing"),
    "a method's keyword": ("y = x.sum(axis=0, where=m)", ".sum: takes no keyword where"),
    "a method's second name": ("y = x.std(correction=1)", ".std: takes no keyword correction"),
    "a method that there is not": ("x.setflags(write=False)", ".setflags: CuPy's arrays have no such method"),
    "a generator's method": ("y = rng.permutation(5)", ".permutation: CuPy's random Generator has no such method"),
    "NumPy on data": ("y = np.exp(x)", "np.exp in f, which runs on a device"),
    "NumPy outside of functions": None,
}


def problems_of(source: str, cupy) -> list[str]:
    tree = ast.parse(source)
    return [p.what for p in (*check_source("f.py", source, cupy), *check_units(list(units("f.py", tree)), cupy))]


@pytest.mark.parametrize("name", [name for name in PLANTED if PLANTED[name]])
def test_a_planted_mistake_is_listed(cupy, name):
    line, said = PLANTED[name]
    assert any(said in what for what in problems_of(f"def f(x):\n    {line}\n    return x\n", cupy))


def test_numpy_outside_of_functions_is_listed(cupy):
    assert problems_of("TABLE = np.arange(5)", cupy) == ["np.arange in the module, which runs on a device"]
    assert problems_of("class A:\n    table = np.arange(5)", cupy) != []


RIGHT = {
    "what both have": "return xp.exp(x).sum(axis=0, keepdims=True) + xp.max(x, axis=-1, keepdims=True)",
    "add.at": "xp.add.at(x, i, x)",
    "pad": "return xp.pad(x, 1, constant_values=0)",
    "harmless": "return x.astype(np.float32) if np.broadcast_shapes(s, t) else x",
    "behind is_numpy": "return np.exp(x) if backend.is_numpy() else xp.exp(x)",
    "after a return": "if not is_numpy(): return xp.exp(x)\n    return np.exp(x)",
    "a dict": "return settings.get('a', None)",
}


@pytest.mark.parametrize("name", RIGHT)
def test_what_is_right_is_not_listed(cupy, name):
    assert problems_of(f"def f(x):\n    {RIGHT[name]}\n", cupy) == []


KERNEL = """
@op.kernel
def _(x, *, save):
    return helper(x), None

def helper(x):
    return np.exp(x)
"""


def test_kernels_and_what_only_they_use_may_call_numpy(cupy):
    assert problems_of(KERNEL, cupy) == []
    assert problems_of(KERNEL + "\ndef twin(x):\n    return helper(x)\n", cupy) == [
        "np.exp in helper, which runs on a device"
    ]
    assert problems_of(KERNEL.replace("@op.kernel", "@op.vjp('x')"), cupy) != []


def test_an_idle_entry_of_host_is_listed(cupy, monkeypatch):
    monkeypatch.setitem(HOST, "f.py:gone", "for nothing")
    assert problems_of("def g(x):\n    return x\n", cupy) == ["is in HOST, and there is nothing that needs it"]


def test_the_tables_are_about_things_that_there_are(cupy):
    import numpy as np

    assert all(hasattr(np, name) for name in HARMLESS)
    assert all(look_up(cupy, name.split(".")) for name in DIFFERENT)
    for name in METHODS & {n for n in dir(cupy.ndarray) if callable(getattr(cupy.ndarray, n))}:
        takes(getattr(cupy.ndarray, name))  # CuPy says what each takes
