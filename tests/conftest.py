"""What all tests share: one BLAS thread, English messages, hypothesis profiles, which tests run when, and on what.

`pytest` runs the fast ones, `pytest --thorough` every one but benchmarks and the network, with more random examples.
What is left out is deselected and counted in a closing line, never skipped in silence.

A test module that says `pytestmark = pytest.mark.every_device` runs three times: on NumPy, on the strict stand-in for a
GPU (devices/double.py), and on CuPy where it finds a device. In it, arrays that meet Tensors are made by
`backend.asarray`, and come back by `.numpy()` or `backend.to_numpy`. A test that is about NumPy alone says why:
`@pytest.mark.numpy_only("reason")`. Any other test module runs on NumPy and need not know.
"""

import importlib.util
import os
import sys
from collections import Counter
from pathlib import Path

# Before NumPy is imported, which reads them once.
for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"):
    os.environ.setdefault(variable, "1")
os.environ["MINILM_LANG"] = "en"  # tests read messages; a child process inherits it
os.environ.setdefault("MPLBACKEND", "agg")

import hypothesis
import pytest

sys.path.insert(0, str(Path(__file__).parent / "devices"))  # its modules, importable by name

hypothesis.settings.register_profile(
    "fast",
    max_examples=12,
    deadline=None,
    derandomize=True,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
FAST = hypothesis.settings.get_profile("fast")
hypothesis.settings.register_profile(
    "thorough",
    max_examples=1000,
    deadline=None,
    print_blob=True,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)

HOW_TO_RUN = {
    "slow": "--thorough (make thorough)",
    "benchmark": "-m benchmark (make bench prints the same as a table)",
    "network": "-m network (make network)",
    "cupy": "where CuPy is installed (the test extra brings it on Linux, x86-64)",
    "gpu": "on a machine where CuPy finds a device",
}
LEFT_OUT = pytest.StashKey[dict]()
NUMPY_ONLY = pytest.StashKey[dict]()  # reason -> how many tests
DEVICES = ("numpy", "strict", pytest.param("cupy", marks=pytest.mark.gpu))


def pytest_addoption(parser):
    parser.addoption("--thorough", action="store_true", help="slow tests too, and many more random examples")


def pytest_configure(config):
    profile = "thorough" if config.getoption("--thorough") else os.environ.get("MINILM_TEST_PROFILE", "fast")
    hypothesis.settings.load_profile(profile)
    config.stash[LEFT_OUT], config.stash[NUMPY_ONLY] = {}, Counter()


def _marks(module) -> list:
    marks = getattr(module, "pytestmark", [])
    return marks if isinstance(marks, list) else [marks]


def pytest_generate_tests(metafunc):
    """Once for each device, if the module says so (all of it or nothing, so that no test inherits another's device)."""
    if not any(mark.name == "every_device" for mark in _marks(metafunc.module)):
        return
    alone = metafunc.definition.get_closest_marker("numpy_only")
    metafunc.parametrize("device", DEVICES[:1] if alone else DEVICES, indirect=True, scope="module")


@pytest.fixture(scope="module", autouse=True)
def device(request):
    """What the test computes on: "numpy", "strict" or "cupy"."""
    name = getattr(request, "param", "numpy")
    if name == "strict":
        from strict import use_double

        with use_double():
            yield name
    elif name == "cupy":
        from minilm import backend

        backend.use(name)
        yield name
        backend.use("numpy")
    else:
        yield name


@pytest.fixture(scope="session")
def sized(request):
    """sized(fast, thorough): how much of something costly this run tries."""
    thorough = request.config.getoption("--thorough")
    return lambda fast, all_of_it: all_of_it if thorough else fast


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    """Fewer examples on the strict device: it looks for what no GPU would do, which hardly depends on the numbers."""
    function, name = getattr(item, "obj", None), "_hypothesis_internal_use_settings"
    function = getattr(function, "__func__", function)
    usual = getattr(function, name, None)
    if usual is None or usual != FAST or "[strict" not in item.name:
        return (yield)
    setattr(function, name, hypothesis.settings(usual, max_examples=4))
    try:
        return (yield)
    finally:
        setattr(function, name, usual)


def wanted(marker: str, config) -> bool:
    """Whether the tests with this marker run now."""
    if marker == "gpu":
        from minilm.doctor import cupy

        return cupy()["device"] is not None
    if marker == "cupy":
        return importlib.util.find_spec("cupy") is not None
    return marker in config.getoption("-m") or (marker == "slow" and config.getoption("--thorough"))


def pytest_collection_modifyitems(config, items):
    left_out = config.stash[LEFT_OUT]
    for marker in HOW_TO_RUN:
        marked = [item for item in items if item.get_closest_marker(marker)]
        if marked and not wanted(marker, config):
            config.hook.pytest_deselected(items=marked)
            items[:] = [item for item in items if item not in marked]
            left_out[marker] = len(marked)
    alone = [item.get_closest_marker("numpy_only") for item in items]
    config.stash[NUMPY_ONLY].update(mark.args[0] for mark in alone if mark)


def pytest_terminal_summary(terminalreporter, config):
    counts = config.stash[LEFT_OUT]
    for marker, how in HOW_TO_RUN.items():
        if marker in counts:
            terminalreporter.write_line(f"not run: {counts[marker]} tests marked {marker}; they run {how}")
    alone = config.stash[NUMPY_ONLY]
    if alone:
        reasons = "; ".join(f"{reason} ({n})" for reason, n in sorted(alone.items()))
        terminalreporter.write_line(f"on NumPy alone: {sum(alone.values())} tests: {reasons}")


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node, error):
    """Under xdist the workers collect: take the first one's counts, which equal the others'."""
    found = getattr(node, "workeroutput", {})
    node.config.stash[LEFT_OUT] |= found.get("left_out", {})
    node.config.stash[NUMPY_ONLY] |= Counter(found.get("numpy_only", {}))


def pytest_sessionfinish(session):
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["left_out"] = session.config.stash[LEFT_OUT]
        session.config.workeroutput["numpy_only"] = dict(session.config.stash[NUMPY_ONLY])
