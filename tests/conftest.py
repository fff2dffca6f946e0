"""What all tests share: one BLAS thread, English messages, hypothesis profiles, and which tests run when.

`pytest` runs the fast ones, `pytest --thorough` every one but benchmarks and the network, with more random examples.
What is left out is deselected and counted in a closing line, never skipped in silence.
"""

import os

# Before NumPy is imported, which reads them once.
for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"):
    os.environ.setdefault(variable, "1")
os.environ["MINILM_LANG"] = "en"  # tests read messages; a child process inherits it
os.environ.setdefault("MPLBACKEND", "agg")

import hypothesis
import pytest

hypothesis.settings.register_profile(
    "fast",
    max_examples=30,
    deadline=None,
    derandomize=True,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
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
    "gpu": "on a machine where CuPy finds a device",
}
LEFT_OUT = pytest.StashKey[dict]()


def pytest_addoption(parser):
    parser.addoption("--thorough", action="store_true", help="slow tests too, and many more random examples")


def pytest_configure(config):
    profile = "thorough" if config.getoption("--thorough") else os.environ.get("MINILM_TEST_PROFILE", "fast")
    hypothesis.settings.load_profile(profile)
    config.stash[LEFT_OUT] = {}


def wanted(marker: str, config) -> bool:
    """Whether the tests with this marker run now."""
    if marker == "gpu":
        from minilm.doctor import cupy

        return cupy()["device"] is not None
    return marker in config.getoption("-m") or (marker == "slow" and config.getoption("--thorough"))


def pytest_collection_modifyitems(config, items):
    left_out = config.stash[LEFT_OUT]
    for marker in HOW_TO_RUN:
        marked = [item for item in items if item.get_closest_marker(marker)]
        if marked and not wanted(marker, config):
            config.hook.pytest_deselected(items=marked)
            items[:] = [item for item in items if item not in marked]
            left_out[marker] = len(marked)


def pytest_terminal_summary(terminalreporter, config):
    counts = config.stash[LEFT_OUT]
    for marker, how in HOW_TO_RUN.items():
        if marker in counts:
            terminalreporter.write_line(f"not run: {counts[marker]} tests marked {marker}; they run {how}")


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node, error):
    """Under xdist the workers collect: take the first one's counts, which equal the others'."""
    node.config.stash[LEFT_OUT] |= getattr(node, "workeroutput", {}).get("left_out", {})


def pytest_sessionfinish(session):
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["left_out"] = session.config.stash[LEFT_OUT]
