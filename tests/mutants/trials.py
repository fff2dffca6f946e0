"""Mutants on trial: each in a process of its own, forked from one that has imported everything but minilm.

A child loads the mutated source in place of its module's file (no file changes), and runs, the cheapest first, exactly
the tests that run the changed line: those of a clean run, in which `coverage` notes which test runs which line. A
changed line that runs at import may concern every test of its file. The first test that fails kills the mutant.
"""

import ast
import contextlib
import functools
import gc
import importlib
import importlib.abc
import importlib.util
import inspect
import json
import math
import os
import resource
import selectors
import signal
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import coverage
import hypothesis
import pytest
from planting import FOLDERS, ROOT, Mutant

TESTS = ("tests/autograd", "tests/nn", "tests/models", "tests/devices")  # the folders whose tests must catch mistakes
FOREIGN = ("subprocess", "multiprocessing", "getsource")  # a test that names one sees the files, not the mutant
PYTEST = ["-x", "-q", "--tb=no", "-p", "no:cacheprovider", f"--rootdir={ROOT}"]
PATIENCE, FACTOR, LOADING = 6.0, 10.0, 40.0  # seconds: a test may take 6 + 10 times its own; import 40
MEMORY = 6 << 30  # bytes that a child may take on top of what it has when forked
CRASHES = {signal.SIGSEGV, signal.SIGABRT, signal.SIGFPE, signal.SIGBUS, signal.SIGILL}


class CannotTest(Exception):
    """The tests do not pass without a mutant, or there are none."""


@dataclass
class Map:
    """What the clean run found: each test's seconds, and which tests run which line ("" runs it at import)."""

    seconds: dict[str, float]
    lines: dict[str, dict[int, list[str]]]

    def tests_for(self, mutant: Mutant, original: str) -> list[str]:
        """The tests that can tell the mutant from the original, in the order in which to run them."""
        lines = self.lines.get(mutant.file, {})
        start, end, whole_file = statement_at(original, mutant)
        near = {t for n in range(start, end + 1) for t in lines.get(n, ())}
        within = {t for n in function_at(original, mutant.line) for t in lines.get(n, ())}
        near = near if mutant.before else near | within  # what is only added has no line that was run
        chosen = near
        if whole_file or "" in near:  # run at import, or kept by a cache
            chosen = near | {t for tests in lines.values() for t in tests}
        return sorted(chosen - {""}, key=lambda t: (t not in near, t not in within, self.seconds[t], t))


def statement_at(source: str, mutant: Mutant) -> tuple[int, int, bool]:
    """First and last line of the innermost statements that the change touches; whether a cache keeps their result."""
    first, last = mutant.line, mutant.line + max(0, len(mutant.before.split("\n")) - 1)
    start, end, cached = first, last, False
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.stmt) or node.end_lineno < first or node.lineno > last:
            continue
        if not hasattr(node, "body"):
            start, end = min(start, node.lineno), max(end, node.end_lineno)
        elif isinstance(node, ast.FunctionDef):
            cached |= any("cache" in ast.unparse(d) for d in node.decorator_list)
        elif node.lineno <= last < node.body[0].lineno or node.lineno <= first < node.body[0].lineno:
            start, end = min(start, node.lineno), max(end, node.body[0].lineno - 1)  # the head: if …, for …, class …
    return start, end, cached


def function_at(source: str, line: int) -> range:
    """The lines of the outermost function or class around a line, its decorators included."""
    for node in ast.parse(source).body:
        top = min([node.lineno, *[d.lineno for d in getattr(node, "decorator_list", ())]])
        if hasattr(node, "body") and top <= line <= node.end_lineno:
            return range(node.lineno + 1, node.end_lineno + 1)
    return range(0)


# ------------------------------------------------------------------------------------------------------ within a child


class Substitute(importlib.abc.MetaPathFinder, importlib.abc.SourceLoader):
    """Gives one module the mutated source, whatever its file holds."""

    def __init__(self, mutant: Mutant):
        self.mutant, self.path, self.asked = mutant, str(ROOT / mutant.file), False

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        if name != self.mutant.module:
            return None
        return importlib.util.spec_from_file_location(name, self.path, loader=self)

    def get_filename(self, name: str) -> str:
        return self.path

    def get_data(self, path: str) -> bytes:
        if path != self.path:
            raise OSError  # no bytecode of the original
        self.asked = True
        return self.mutant.source.encode()


class Order:
    """pytest plugin: run only these tests (None: all), in this order, and tell what happens."""

    def __init__(self, tests: list[str] | None, tell: Callable[..., None]):
        self.place = None if tests is None else {test: i for i, test in enumerate(tests)}
        self.tell = tell

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, config: Any, items: list) -> None:
        if self.place is None:
            items[:] = [item for item in items if not (_repeated(item) or _foreign(item.function))]
        else:
            items[:] = [item for item in items if item.nodeid in self.place]
            items.sort(key=lambda item: self.place[item.nodeid])

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self.tell(start=nodeid)

    def pytest_exception_interact(self, node: Any, call: Any, report: Any) -> None:
        error = call.excinfo
        self.tell(failed=node.nodeid, exception=error.type.__name__, message=str(error.value)[:300])


@functools.cache  # many items are one function
def _foreign(function: Callable[..., Any]) -> bool:
    source = inspect.getsource(function)
    return any(word in source for word in FOREIGN)


def _repeated(item: Any) -> bool:
    """Whether a test runs on NumPy too: for what goes wrong only where arrays are moved there is tests/devices."""
    device = item.callspec.params.get("device") if hasattr(item, "callspec") else None
    return device == "strict" and "tests/devices" not in item.nodeid


class Watch:
    """pytest plugin of the clean run: each test's seconds, and its name beside the lines that it runs."""

    def __init__(self, measured: coverage.Coverage):
        self.measured, self.seconds = measured, {}

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: Any) -> Iterator[None]:
        self.measured.switch_context(item.nodeid)
        try:
            return (yield)
        finally:
            self.measured.switch_context("")

    def pytest_runtest_logreport(self, report: Any) -> None:
        self.seconds[report.nodeid] = round(self.seconds.get(report.nodeid, 0) + report.duration, 4)


def clean_run(tests: list[str], tell: Callable[..., None]) -> None:
    """Run all tests of some files without a mutant, and tell what they take and run."""
    measured = coverage.Coverage(
        data_file=None, config_file=False, include=[str(ROOT / folder / "*") for folder in FOLDERS]
    )
    measured.start()
    watch = Watch(measured)
    status = pytest.main([*PYTEST, *tests], plugins=[watch, Order(None, tell)])
    measured.stop()
    data, lines = measured.get_data(), {}
    for file in data.measured_files():
        of = data.contexts_by_lineno(file)
        lines[str(Path(file).relative_to(ROOT))] = {str(n): sorted(set(of[n])) for n in sorted(of)}
    tell(seconds=watch.seconds, lines=lines, status=int(status))


def trial(mutant: Mutant, tests: list[str], tell: Callable[..., None]) -> None:
    """Import the mutant, run the tests on it, and tell how it went."""
    substitute = Substitute(mutant)
    sys.meta_path.insert(0, substitute)
    try:
        for name in ("minilm.models", "minilm.functional", mutant.module):
            importlib.import_module(name)
    except BaseException as error:
        tell(unimportable=f"{type(error).__name__}: {error}"[:300])
        return
    if not tests:
        tell(status=int(pytest.ExitCode.OK), loaded=substitute.asked)
        return
    files = list(dict.fromkeys(test.partition("::")[0] for test in tests))
    status = pytest.main([*PYTEST, *files], plugins=[Order(tests, tell)])
    loaded = getattr(sys.modules[mutant.module], "__loader__", None) is substitute and substitute.asked
    tell(status=int(status), loaded=loaded)


# ---------------------------------------------------------------------------------------------------- in the parent


@dataclass
class Outcome:
    """How a mutant fared. kind: killed, timed out, survived, unimportable, or error (the trial itself went wrong)."""

    kind: str
    test: str = ""
    detail: str = ""
    tests: int = 0
    seconds: float = 0.0


@dataclass
class Child:
    """A process at work, what it has told, and until when it may stay silent."""

    pid: int
    pipe: int
    said: list[dict] = field(default_factory=list)
    rest: bytes = b""
    began: float = field(default_factory=time.monotonic)
    until: float = math.inf
    late: bool = False


def fork(work: Callable[[Callable[..., None]], None]) -> Child:
    """Run work(tell) in a child that is silent but for what it tells."""
    reading, writing = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid:
        os.close(writing)
        os.set_blocking(reading, False)
        return Child(pid, reading)
    try:
        os.setsid()  # Ctrl-C reaches the parent alone, who ends its children
        os.close(reading)
        nowhere = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(nowhere, stream)
        with contextlib.suppress(ValueError, OSError):
            limit = _memory_used() + MEMORY
            resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        work(lambda **said: _write_all(writing, json.dumps(said).encode() + b"\n"))
    finally:
        os._exit(0)


def _memory_used() -> int:
    """The address space of this process in bytes, where the system tells."""
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()


def _write_all(to: int, data: bytes) -> None:
    while data:
        data = data[os.write(to, data) :]


def listen(child: Child) -> bool:
    """Take in what a child has told; False once it has ended."""
    while True:
        try:
            chunk = os.read(child.pipe, 1 << 16)
        except BlockingIOError:
            return True
        if not chunk:
            return False
        *lines, child.rest = (child.rest + chunk).split(b"\n")
        child.said += [json.loads(line) for line in lines]


def finish(child: Child) -> int:
    """Close the books of a child, ending it if it runs; how it ended, as `waitstatus_to_exitcode` says."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, signal.SIGKILL)
    os.close(child.pipe)
    return os.waitstatus_to_exitcode(os.waitpid(child.pid, 0)[1])


def in_parallel(
    works: Iterable[tuple[Any, Callable]], jobs: int, limit: Callable[[Any, str], float]
) -> Iterator[tuple[Any, Child, int]]:
    """(name, its finished child, how that ended) for each work, so many at once, in the order in which they finish.

    limit(name, test): the seconds that a test may take, and what is no test, as importing, for "". A child that takes
    longer is ended and marked late.
    """
    waiting, running = iter(works), {}
    selector = selectors.DefaultSelector()
    try:
        while True:
            while len(running) < jobs and (pair := next(waiting, None)) is not None:
                child = fork(pair[1])
                child.until = time.monotonic() + limit(pair[0], "")
                running[child.pipe] = (pair[0], child)
                selector.register(child.pipe, selectors.EVENT_READ)
            if not running:
                return
            ready = {key.fd for key, _ in selector.select(0.2)}
            for pipe, (name, child) in list(running.items()):
                heard, alive = len(child.said), pipe not in ready or listen(child)
                for said in child.said[heard:]:
                    child.until = time.monotonic() + limit(name, said.get("start", ""))
                child.late = alive and time.monotonic() > child.until
                if child.late or not alive:
                    selector.unregister(pipe)
                    del running[pipe]
                    yield name, child, finish(child)
    finally:
        for _, child in running.values():
            finish(child)
        selector.close()


def test_files(folders: Iterable[str] = TESTS) -> list[Path]:
    """The files that hold the tests of some folders (or are named themselves), but for those that plant mistakes."""
    places = [ROOT / folder for folder in folders]
    found = [p for place in places for p in ([place] if place.is_file() else sorted(place.rglob("test_*.py")))]
    return [p for p in found if "planted" not in p.name]


def survey(jobs: int, folders: Iterable[str] = TESTS) -> Map:
    """Run every test once without a mutant; CannotTest unless all pass."""
    found = sorted(test_files(folders), key=lambda p: (-p.stat().st_size, p))
    parts = [[str(p.relative_to(ROOT)) for p in found[i::jobs]] for i in range(jobs)]
    works = [(part, lambda tell, part=part: clean_run(part, tell)) for part in parts if part]
    total = Map({}, {})
    for part, child, _ in in_parallel(works, jobs, lambda *_: 600.0):
        child_said = child.said[-1] if child.said else {}
        if child_said.get("status", 1):
            names = ", ".join(s["failed"] for s in child.said if isinstance(s.get("failed"), str)) or ", ".join(part)
            raise CannotTest(f"without any mutant these tests fail, so they can judge none; repair them first: {names}")
        total.seconds |= child_said["seconds"]
        for file, lines in child_said["lines"].items():
            of = total.lines.setdefault(file, {})
            for n, tests in lines.items():
                of[int(n)] = sorted({*of.get(int(n), ()), *tests})
    if not total.seconds:
        raise CannotTest(f"there are no tests in {', '.join(folders)}")
    return total


def judge(
    mutants: Iterable[Mutant], known: Map, originals: dict[str, str], jobs: int
) -> Iterator[tuple[Mutant, Outcome]]:
    """Each mutant's outcome, in the order in which they come in."""
    plans: dict[str, list[str]] = {}

    def works() -> Iterator[tuple[Mutant, Callable]]:
        for mutant in mutants:
            plans[mutant.key] = tests = known.tests_for(mutant, originals[mutant.file])
            yield mutant, lambda tell, mutant=mutant, tests=tests: trial(mutant, tests, tell)

    def limit(_: Mutant, test: str) -> float:
        return PATIENCE + FACTOR * known.seconds.get(test, 1.0) if test else LOADING

    for mutant, child, ended in in_parallel(works(), jobs, limit):
        outcome = verdict(child, ended, plans[mutant.key])
        outcome.tests, outcome.seconds = len(plans[mutant.key]), round(time.monotonic() - child.began, 2)
        yield mutant, outcome


def verdict(child: Child, ended: int, tests: list[str]) -> Outcome:
    """What a child's words and end mean."""
    last = next((said["start"] for said in reversed(child.said) if "start" in said), "")
    failure = next((said for said in child.said if "failed" in said), None)
    final = child.said[-1] if child.said else {}
    if "unimportable" in final:
        return Outcome("unimportable", detail=final["unimportable"])
    if "status" in final and not final["loaded"]:
        return Outcome("error", last, "the mutated module was never loaded, so nothing was tested")
    if failure and failure["failed"] not in tests and failure["failed"] not in {t.partition("::")[0] for t in tests}:
        return Outcome("error", failure["failed"], f"what failed is no test of this mutant: {failure['message']}")
    if failure:
        return Outcome("killed", failure["failed"], f"{failure['exception']}: {failure['message']}")
    if child.late:
        return Outcome("timed out", last, "") if last else Outcome("timed out", "", "while importing or collecting")
    if "status" not in final:
        crash = ended < 0 and -ended in CRASHES
        return Outcome("killed" if crash else "error", last, f"the process ended with {ended}")
    if final["status"] == pytest.ExitCode.OK:
        return Outcome("survived")
    return Outcome("error", last, f"pytest ended with {final['status']}")


def preload(folders: Iterable[str]) -> None:
    """Import all but minilm that the tests of some folders import, so that no child needs to."""
    paths = {ROOT / "tests" / "conftest.py"} | {p for test in test_files(folders) for p in test.parent.glob("*.py")}
    wanted = {("cupy", "")}  # which conftest.py asks for a device
    for node in (node for path in paths for node in ast.walk(ast.parse(path.read_text("utf-8")))):
        if isinstance(node, ast.Import):
            wanted |= {(alias.name, "") for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            wanted |= {(node.module, alias.name) for alias in node.names}
    for module, name in sorted(wanted):
        if module.partition(".")[0] != "minilm":
            with contextlib.suppress(ImportError):  # not installed, or one of the tests' own
                getattr(importlib.import_module(module), name, None)  # transformers loads what it is asked for


def prepare(folders: Iterable[str] = TESTS) -> None:
    """What the children inherit: all that their tests import but minilm; a path to the checkout's own minilm; quiet
    plugins; hypothesis that does not shrink."""
    if not hasattr(os, "fork"):
        raise CannotTest("mutation testing forks processes, which this system cannot; use Linux or macOS")
    if any(name.partition(".")[0] == "minilm" for name in sys.modules):
        raise CannotTest("minilm is already imported here, so no mutant could take its place; run `make mutants`")
    os.chdir(ROOT)
    sys.path.insert(0, str(ROOT))
    os.environ |= {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "COVERAGE_CORE": "ctrace", "MINILM_TEST_PROFILE": "mutants"}
    hypothesis.settings.register_profile(
        "mutants",
        max_examples=30,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[hypothesis.Phase.explicit, hypothesis.Phase.generate],
        report_multiple_bugs=False,
        suppress_health_check=[hypothesis.HealthCheck.too_slow],
    )
    with warnings.catch_warnings(action="ignore"):
        preload(folders)
    gc.freeze()  # pytest ends by collecting garbage ten times: not among all that was imported here
