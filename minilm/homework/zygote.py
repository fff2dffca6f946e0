"""The trusted side's hold on a process that forks a worker for each submission, and on those workers.

The process is warm: it has Python, NumPy and minilm loaded (nursery.py is its own side). It runs no student's code: a
worker builds its walls, and only then reads the file that it is sent. When the trusted side is gone, however it went,
so are the zygote and all that came of it.
"""

import contextlib
import json
import math
import os
import secrets as tokens
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from minilm.errors import ConfigError
from minilm.homework import sandbox
from minilm.homework.limits import Limits
from minilm.homework.wire import Bounds, Fault, Frame, WireError, empty, pack, receive, send, write
from minilm.i18n import language, tr
from minilm.resources import PACKAGE

RUNTIME = "runtime"  # in a zygote's folder: the minilm that its workers import
PATIENCE = 60.0  # seconds for the zygote's own answers
HOME = 30.0  # … and for one of the reference's, which takes no time of a student's
GRANTED = 5, 30  # times what an answer may take: for the reference, and in the queue for a processor
REFERENCES = Limits(answer=5.0, wall=3600.0, cpu=3600.0)  # of a worker that answers for a lesson's own functions


@dataclass(frozen=True)
class Ending:
    """How a worker ended: its exit status (a signal's number, negative), seconds of CPU, bytes of memory at most."""

    status: int
    cpu: float
    memory: int

    def out_of_time(self, limits: Limits) -> bool:
        """Whether the kernel ended it for its CPU time."""
        spent = self.cpu > 0.7 * limits.cpu  # where it ends a process the kernel counts ticks, more than were used
        return self.status == -signal.SIGXCPU or (self.status == -signal.SIGKILL and spent)

    def __str__(self) -> str:
        if self.status >= 0:
            return tr("exit status {n}", n=self.status)
        with contextlib.suppress(ValueError):
            return signal.Signals(-self.status).name
        return str(self.status)


class Zygote:
    """Start it once, `start` a worker as often as wanted, `close` it.

    layers: the walls that are wanted, all that there are by default; `layers` tells afterwards which ones stand.
    lesson: a lesson's folder, for workers that answer for its own functions (these need no walls but the limits).
    runtime: the files of the minilm that submissions import, as runtime.py makes them; else it is this one.
    """

    def __init__(
        self,
        layers: Iterable[str] | None = None,
        *,
        lesson: Path | None = None,
        runtime: Mapping[str, bytes] | None = None,
    ):
        if os.name != "posix":
            raise ConfigError(tr("submissions are run on Linux and macOS: on Windows, use the Linux subsystem (WSL)"))
        self.wanted = set(sandbox.LAYERS if layers is None else layers) | {"session", "limits"}
        unknown = self.wanted - {*sandbox.LAYERS, *sandbox.OPTIONAL}
        if unknown:
            raise ConfigError(tr("there is no layer {name}; there are {known}", name=min(unknown),
                                 known=", ".join((*sandbox.LAYERS, *sandbox.OPTIONAL))))  # fmt: skip
        self.lesson, self.runtime = lesson, runtime
        self.layers: list[sandbox.Layer] = []
        self._lock = threading.Lock()
        self._count = 0
        self._launch()

    def __enter__(self) -> "Zygote":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _launch(self) -> None:
        self.folder, self._claim = sandbox.own_folder()
        os.makedirs(os.path.join(self.folder, "root"))
        self.package = PACKAGE if self.runtime is None else lay_out(self.runtime, Path(self.folder) / RUNTIME)
        ours, theirs = socket.socketpair()
        ours.settimeout(PATIENCE)
        with theirs:
            command = [*self._around(), sys.executable, "-P", "-s", "-c",
                       "import sys; from minilm.homework.nursery import main; main(int(sys.argv[1]))",
                       str(theirs.fileno())]  # fmt: skip
            self._process = subprocess.Popen(
                command, pass_fds=[theirs.fileno()], env=environment(self.package), cwd="/", stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True,
            )  # fmt: skip
        self._socket = ours
        told = self._ask({
            "layers": sorted(self.wanted), "folder": self.folder, "readable": sandbox.readable(self.package),
            "secret": sandbox.secret(self.package), "lesson": str(self.lesson) if self.lesson else None,
        })  # fmt: skip
        self.layers = [sandbox.Layer(*layer) for layer in told["layers"]]

    def _around(self) -> list[str]:
        """bubblewrap's own command, where it is asked for."""
        if "bwrap" not in self.wanted:
            return []
        program = shutil.which("bwrap")
        if program is None:
            raise ConfigError(tr("bwrap is asked for and not installed: install the package bubblewrap"))
        return [program, *bubblewrap(self.folder, self.package)]

    def _ask(self, question: dict[str, Any], descriptors: Iterable[int] = ()) -> dict[str, Any]:
        """The answer, with the descriptors that came with it as "handles"."""
        handles: list[int] = []
        try:
            socket.send_fds(self._socket, [json.dumps(question).encode() + b"\n"], list(descriptors))
            answer = b""
            while not answer.endswith(b"\n"):
                part, found, _, _ = socket.recv_fds(self._socket, 65536, 1)
                if not part:
                    raise EOFError
                answer += part
                handles += found
        except (OSError, EOFError) as error:
            self._process.kill()
            assert self._process.stderr is not None
            said = self._process.stderr.read().decode(errors="replace").strip().splitlines()
            raise ZygoteLost(
                tr("the process that starts workers ended: {why}", why=said[-1] if said else type(error).__name__)
            ) from error
        return {**json.loads(answer), "handles": handles}

    def start(
        self,
        source: bytes = b"",
        limits: Limits | None = None,
        plain: Iterable[str] = (),
        allowance: "Allowance | None" = None,
    ) -> "Worker":
        """A worker that has been sent a file; `worker.failure` tells whether the file could be run.

        plain: the names of the tasks whose arrays are no Tensors. allowance: of the time for answers, where several
        workers share one; else it has its own, as its limits say. A lesson's own worker is sent no file.
        """
        limits = limits or (Limits() if self.lesson is None else REFERENCES)
        with self._lock:
            try:
                worker = self._fork(limits)
            except ZygoteLost:
                self._clear()
                self._launch()
                worker = self._fork(limits)
        if allowance is not None:
            worker.allowance = allowance
        if self.lesson is None:
            worker.load(source, list(plain))
        return worker

    def _fork(self, limits: Limits) -> "Worker":
        self._count += 1
        (q_in, q_out), (a_in, a_out), (o_in, o_out) = os.pipe(), os.pipe(), os.pipe()
        try:
            uid = sandbox.FIRST_UID + (os.getpid() % (1 << 20)) * 64 + self._count % 64
            question = {"do": "start", "id": self._count, "uid": uid, "limits": asdict(limits)}
            handles = self._ask(question, [q_in, a_out, o_out])["handles"]
        except BaseException:
            for fd in (q_out, a_in, o_in):
                os.close(fd)
            raise
        finally:
            for fd in (q_in, a_out, o_out):
                os.close(fd)
        return Worker(self, self._count, limits, q_out, a_in, o_in, handles)

    def _end(self, number: int) -> Ending:
        with self._lock:
            try:
                told = self._ask({"do": "end", "id": number})
            except ZygoteLost:
                return Ending(-signal.SIGKILL, 0.0, 0)
        return Ending(told["status"], told["cpu"], told["memory"])

    def close(self) -> None:
        """End every worker, and leave nothing behind."""
        with self._lock:
            self._clear()

    def _clear(self) -> None:
        self._socket.close()
        try:
            self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stderr:
            self._process.stderr.close()
        sandbox.remove_scratch(self.folder)
        if self._claim >= 0:
            os.close(self._claim)
            self._claim = -1


class ZygoteLost(ConfigError):
    """The zygote ended, or never began."""


def lay_out(files: Mapping[str, bytes], folder: Path) -> Path:
    """Write a runtime's files, for everybody to read; the folder of its package."""
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    return folder / "minilm"


def environment(package: Path = PACKAGE) -> dict[str, str]:
    """All that a zygote and its workers see of the grader's environment."""
    kept = {name: os.environ[name] for name in ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH") if name in os.environ}
    path = [str(package.parent), *(p for p in sys.path if p.endswith("-packages"))]
    threads = {f"{name}_NUM_THREADS": "1" for name in ("OPENBLAS", "OMP", "MKL", "VECLIB_MAXIMUM")}
    return kept | threads | {
        "PATH": os.defpath, "LANG": "C.UTF-8", "MINILM_LANG": language(), "MPLBACKEND": "agg", "PYTHONHASHSEED": "0",
        "PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": os.pathsep.join(path), "HOME": "/nowhere",
    }  # fmt: skip


def bubblewrap(folder: str, package: Path = PACKAGE) -> list[str]:
    """Its options: what is readable and no secret, a folder, no network, no other process."""
    command = ["--unshare-all", "--die-with-parent", "--new-session", "--dev", "/dev", "--tmpfs", "/tmp"]
    for path in sandbox.readable(package):
        command += ["--ro-bind", path, path]
    for path in sandbox.secret(package):
        command += ["--tmpfs", path]
    return [*command, "--ro-bind", "/usr/bin", "/usr/bin", "--ro-bind", sys.prefix, sys.prefix, "--ro-bind",
            sys.base_prefix, sys.base_prefix, "--bind", folder, folder, "--proc", "/proc"]  # fmt: skip


class Worker:
    """The trusted side's hold on a process that runs a student's file."""

    def __init__(
        self,
        zygote: Zygote,
        number: int,
        limits: Limits,
        question: int,
        answer: int,
        output: int,
        handles: list[int],
    ):
        self.limits = limits
        self.failure: dict[str, Any] | None = None  # why the file could not be run
        self.ending: Ending | None = None
        self._zygote, self._number = zygote, number
        self._question, self._answer, self._output = question, answer, output
        for fd in (question, answer, output):
            os.set_blocking(fd, False)
        self.allowance = Allowance(limits.wall)
        self._waits = Waits(handles)
        self._printed = bytearray()

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def load(self, source: bytes, plain: list[str]) -> None:
        """Send the file. What it lacks is kept in `failure`."""
        kind, data = self.request("load", {"source": np.frombuffer(source, np.uint8), "plain": plain})
        self.failure = data if kind == "failure" else None

    def request(
        self,
        kind: str,
        data: Mapping[str, Any],
        home: Callable[[str, Any, float], Frame] | None = None,
        until: float = math.inf,
    ) -> tuple[str, Any]:
        """("value", what came back) or ("failure", {"kind", "type", "text", "line"}).

        home(kind, data, deadline) answers what the worker asks meanwhile. until: in time.monotonic(), when the answer
        must be there, if that is earlier than the limits say. A worker that breaks off, is late or sends what is no
        answer is ended at once; its failure has the kind crash, time or protocol. WireError where the question itself
        is no data.
        """
        if self.ending is not None:
            return "failure", _failure("crash", str(self.ending))
        nonce = tokens.token_hex(16)
        most = self.limits.load if kind == "load" else self.limits.answer
        clock = Clock(min(most, self.allowance.left), self._waits, until)
        question = pack(Frame(kind, dict(data), nonce))
        try:
            write(self._question, question, clock.deadline)
            while True:
                frame = receive(self._answer, Bounds(), clock.deadline, [(self._output, self._keep)], nonce)
                if frame.kind not in ("reference", "reference_gradient") or home is None:
                    return self._checked(frame)
                with clock.stopped():
                    reply = home(frame.kind, frame.data, min(until, time.monotonic() + HOME))
                send(self._question, Frame(reply.kind, reply.data, nonce), clock.deadline)
        except WireError as error:
            return "failure", self._broken(error.kind)
        finally:
            self.allowance.left -= clock.spent

    def _checked(self, frame: Frame) -> tuple[str, Any]:
        """An answer as it is, a failure only with fields of the right kinds."""
        if frame.kind == "value":
            return frame.kind, frame.data
        fields = {"kind": str, "type": str, "text": str, "line": int}
        told = frame.data if isinstance(frame.data, dict) else {}
        if frame.kind != "failure" or told.keys() != fields.keys():
            raise WireError(Fault.HEADER)
        if any(type(told[name]) is not kind for name, kind in fields.items()) or told["kind"] not in KINDS:
            raise WireError(Fault.HEADER)
        return "failure", told

    def _broken(self, kind: str) -> dict[str, Any]:
        ending = self.close()
        if kind == "late" or (kind == "closed" and ending.out_of_time(self.limits)):
            return _failure("time", "")
        return _failure("crash", str(ending)) if kind == "closed" else _failure("protocol", kind)

    def _keep(self, printed: bytes) -> None:
        self._printed += printed[: self.limits.output - len(self._printed)]

    @property
    def printed(self) -> str:
        """What the file printed, as far as it is kept."""
        if self.ending is None:
            while len(self._printed) < self.limits.output:
                before = len(self._printed)
                if not empty(self._output, self._keep) or len(self._printed) == before:
                    break
        return self._printed.decode("utf-8", "replace")

    def close(self) -> Ending:
        """End the process and all that it started."""
        if self.ending is None:
            _ = self.printed
            ending = self._zygote._end(self._number)
            self.ending = ending
            self._waits.close()
            for fd in (self._question, self._answer, self._output):
                os.close(fd)
        return self.ending


# ------------------------------------------------------------------------------------------------------ a worker's time


@dataclass
class Allowance:
    """Seconds that are left for answers, of one worker or of several that follow each other."""

    left: float


class Waits:
    """How long a process has stood in the queue for a processor: time that is not its own, on a busy machine.

    Linux counts it; elsewhere it is 0, and only the clock on the wall counts.
    """

    def __init__(self, handles: list[int]):
        """handles: a pidfd of the process, or none."""
        self._fd = -1
        for handle in handles:
            with contextlib.suppress(OSError, ValueError, StopIteration):
                lines = Path(f"/proc/self/fdinfo/{handle}").read_text().split("\n")
                pid = int(next(line for line in lines if line.startswith("Pid:")).split()[1])
                if pid > 0:
                    self._fd = os.open(f"/proc/{pid}/schedstat", os.O_RDONLY | os.O_CLOEXEC)
            os.close(handle)

    def seconds(self) -> float:
        """So far, in all."""
        with contextlib.suppress(OSError, ValueError, IndexError):
            if self._fd >= 0:
                return int(os.pread(self._fd, 200, 0).split()[1]) / 1e9
        return 0.0

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
        self._fd = -1


class Clock:
    """Runs while a worker owes an answer, but for what it waits for a processor, and for the reference.

    until: when it must be there at the latest. Both are granted only up to so many times what the answer may take, so
    that no file can wait on purpose without end.
    """

    def __init__(self, most: float, waits: Waits, until: float):
        self.most, self._waits, self._until = most, waits, until
        self._began, self._waited = time.monotonic(), waits.seconds()
        self._stopped = self._queued = 0.0

    def deadline(self) -> float:
        """In time.monotonic(); looked up where it seems to have come."""
        home, queue = (times * self.most for times in GRANTED)
        due = self._began + self.most + min(self._stopped, home)
        if time.monotonic() >= due:
            due += min(self._in_queue(), queue)
        return min(self._until, due)

    def _in_queue(self) -> float:
        self._queued = max(self._queued, self._waits.seconds() - self._waited)
        return self._queued

    @contextlib.contextmanager
    def stopped(self) -> Iterator[None]:
        began = time.monotonic()
        try:
            yield
        finally:
            self._stopped += time.monotonic() - began

    @property
    def spent(self) -> float:
        """Seconds of the worker's own so far."""
        return max(0.0, time.monotonic() - self._began - self._stopped - self._in_queue())


KINDS = {"raised", "missing", "type", "memory", "import", "syntax", "unsolved"}  # that a worker may claim


def _failure(kind: str, text: str) -> dict[str, Any]:
    return {"kind": kind, "type": "", "text": text, "line": 0}
