"""The zygote's own side: builds the outer walls, loads what workers need, forks workers on request and ends them."""

import contextlib
import gc
import json
import os
import shutil
import signal
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from minilm.homework import sandbox
from minilm.homework.limits import Limits
from minilm.i18n import language, tr

OWN = "own"  # where the workers' folders lie: the one place in a zygote's folder that they may write to


def main(fd: int) -> None:
    """Build the outer walls, load what workers need, and fork them on request until the trusted side is gone."""
    control = socket.socket(fileno=fd)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    order, _ = _next(control)
    if order is None:
        return
    wanted = set(order["layers"])
    if order["lesson"]:
        wanted = {"session", "limits"}
    troubles = {name: sandbox.trouble(name) for name in sandbox.LAYERS if name in wanted}
    active = {name for name, why in troubles.items() if not why}
    if sys.platform == "linux":
        _become_first_process(active, control, order["folder"])
    nursery = Nursery(control, order, active)
    left_out = tr("not asked for")
    told = [[name, name in active, troubles.get(name, left_out)] for name in sandbox.LAYERS]
    told.append(["bwrap", "bwrap" in wanted, "" if "bwrap" in wanted else left_out])
    nursery.say({"layers": told})
    nursery.serve()


def _next(control: socket.socket) -> tuple[dict | None, list[int]]:
    """The next request and its descriptors; None when the trusted side is gone."""
    raw, descriptors = b"", []
    while not raw.endswith(b"\n"):
        try:
            part, found, _, _ = socket.recv_fds(control, 65536, 3)
        except OSError:
            return None, []
        if not part:
            return None, []
        raw += part
        descriptors += found
    return json.loads(raw), descriptors


def _become_first_process(active: set[str], control: socket.socket, folder: str) -> None:
    """With namespaces: go on as the first process of a new one, with which all others in it end.

    The one that stays outside waits, and removes the folder, which is out of sight within.
    """
    from minilm.homework import linux

    linux.prctl(linux.PR_SET_CHILD_SUBREAPER, 1)
    if "namespaces" not in active:
        return
    above = os.open(os.path.dirname(folder), os.O_RDONLY)
    sandbox.isolate()
    pid = os.fork()
    if pid:
        control.close()
        os.waitpid(pid, 0)
        with contextlib.suppress(OSError):
            shutil.rmtree(os.path.basename(folder), dir_fd=above)
        os._exit(0)
    os.close(above)
    linux.prctl(linux.PR_SET_PDEATHSIG, signal.SIGKILL)


class Nursery:
    """Forks workers and ends them."""

    def __init__(self, control: socket.socket, order: dict[str, Any], active: set[str]):
        self.control, self.active, self.folder = control, active, order["folder"]
        self.live: dict[int, tuple[int, int]] = {}  # number -> (pid, uid)
        self.tasks = _load_lesson(order["lesson"]) if order["lesson"] else None
        _load_runtime()
        self.prepare(order)

    def prepare(self, order: dict[str, Any]) -> None:
        self.own_processes = -1
        scratch = os.path.join(self.folder, OWN)
        os.makedirs(scratch, 0o711, exist_ok=True)
        if "namespaces" in self.active:
            self.own_processes = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
        taken = sandbox.address_space()
        if "namespaces" in self.active:
            sandbox.enter_own_root(os.path.join(self.folder, "root"), order["readable"], order["secret"])
            scratch = sandbox.SCRATCHES
        self.walls = sandbox.Walls.prepare(self.active, order["readable"], order["secret"], scratch)
        self.walls.taken = taken
        if sys.platform == "linux":
            from minilm.homework import linux

            linux.prctl(linux.PR_SET_DUMPABLE, 0)  # no process of the same user looks into this one
        gc.collect()
        gc.freeze()  # so that a worker's collections do not copy what it shares

    def say(self, data: dict[str, Any], descriptors: Sequence[int] = ()) -> None:
        with contextlib.suppress(OSError):
            socket.send_fds(self.control, [json.dumps(data).encode() + b"\n"], descriptors)

    def serve(self) -> None:
        while True:
            request, descriptors = _next(self.control)
            if request is None:
                break
            if request["do"] == "start":
                pid = self.fork(request, descriptors)
                for fd in descriptors:
                    os.close(fd)
                self.live[request["id"]] = pid, request["uid"]
                self.say({"pid": pid}, handle := _handle(pid))
                for fd in handle:
                    os.close(fd)
            else:
                self.say(self.end(request["id"]))
        for number in list(self.live):
            self.end(number)
        if "namespaces" not in self.active:
            sandbox.remove_scratch(self.folder)
        os._exit(0)

    def scratch(self, number: int) -> str:
        return os.path.join(self.folder, OWN, str(number))

    def fork(self, request: dict[str, Any], descriptors: list[int]) -> int:
        number, uid = request["id"], request["uid"]
        if "namespaces" in self.active:
            from minilm.homework import linux

            linux.setns(self.own_processes, linux.CLONE_NEWPID)
            linux.unshare(linux.CLONE_NEWPID)
        else:
            os.mkdir(self.scratch(number), 0o700)
            if "uid" in self.active:
                os.chown(self.scratch(number), uid, uid)
        pid = os.fork()
        if not pid:
            status = 70
            try:
                self.become_worker(Limits(**request["limits"]), uid, number, descriptors)
                status = 0
            except BaseException as error:  # our own fault: told on the descriptor for what is printed
                with contextlib.suppress(OSError):
                    os.write(2, repr(error).encode())
            finally:
                os._exit(status)
        return pid

    def become_worker(self, limits: Limits, uid: int, number: int, descriptors: list[int]) -> None:
        from minilm.homework.limits import descriptors as places
        from minilm.homework.worker import serve

        os.setsid()
        if sys.platform == "linux":
            from minilm.homework import linux

            linux.prctl(linux.PR_SET_PDEATHSIG, signal.SIGKILL)
        question, answer = places(limits)
        keep = getattr(self.walls.ruleset, "fd", -1)
        keep = _arrange(descriptors, question, answer, keep)
        if self.walls.ruleset is not None:
            self.walls.ruleset.fd = keep  # type: ignore[attr-defined]
        scratch = sandbox.SCRATCH if "namespaces" in self.active else self.scratch(number)
        os.environ.clear()
        os.environ.update({"HOME": scratch, "TMPDIR": scratch, "LANG": "C.UTF-8", "MINILM_LANG": language(),
                           "MPLBACKEND": "agg", "MPLCONFIGDIR": scratch, "PATH": os.defpath})  # fmt: skip
        self.walls.close_in(limits, uid, scratch)
        self.control = None  # type: ignore[assignment]
        serve(question, answer, self.tasks)

    def end(self, number: int) -> dict[str, Any]:
        pid, uid = self.live.pop(number, (0, 0))
        if not pid:
            return {"status": 0, "cpu": 0.0, "memory": 0}
        done, status, used = os.wait4(pid, os.WNOHANG)
        if not done:
            for kill in (os.kill, os.killpg):
                with contextlib.suppress(OSError):
                    kill(pid, signal.SIGKILL)
            done, status, used = os.wait4(pid, 0)
        else:
            with contextlib.suppress(OSError):
                os.killpg(pid, signal.SIGKILL)
        if "namespaces" not in self.active:
            self.sweep(uid)
            sandbox.remove_scratch(self.scratch(number))
        memory = used.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
        return {"status": os.waitstatus_to_exitcode(status), "cpu": used.ru_utime + used.ru_stime, "memory": memory}

    def sweep(self, uid: int) -> None:
        """End what a worker left: all of its user's processes, and all that came to this process as its orphans."""
        if "uid" in self.active:
            pid = os.fork()
            if not pid:
                with contextlib.suppress(OSError):
                    sandbox.become(uid)
                    os.kill(-1, signal.SIGKILL)
                os._exit(0)
            os.waitpid(pid, 0)
        known = {pid for pid, _ in self.live.values()}
        for _ in range(100):
            orphans = _children() - known
            if not orphans:
                return
            for orphan in orphans:
                with contextlib.suppress(OSError):
                    os.kill(orphan, signal.SIGKILL)
                with contextlib.suppress(OSError):
                    os.waitpid(orphan, 0)


def _handle(pid: int) -> list[int]:
    """A descriptor of a process, by which it has its number in the trusted side's eyes; none where there is no such."""
    with contextlib.suppress(OSError, AttributeError):
        return [os.pidfd_open(pid)]
    return []


def _children() -> set[int]:
    """This process's children, on Linux."""
    own, found = os.getpid(), set[int]()
    with contextlib.suppress(OSError):  # where the kernel keeps a list
        return {int(pid) for pid in Path(f"/proc/self/task/{own}/children").read_text().split()}
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            if int(fields[1]) == own:
                found.add(int(folder.name))
    return found


def _arrange(descriptors: list[int], question: int, answer: int, keep: int) -> int:
    """Leave open: nothing to read as 0, what is printed as 1 and 2, the two channels at their places, and `keep`."""
    import fcntl

    high = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 200) for fd in descriptors]
    kept = fcntl.fcntl(keep, fcntl.F_DUPFD_CLOEXEC, 200) if keep >= 0 else -1
    nothing = fcntl.fcntl(os.open("/dev/null", os.O_RDONLY), fcntl.F_DUPFD_CLOEXEC, 200)
    os.closerange(3, 200)
    os.dup2(nothing, 0)
    os.dup2(high[2], 1)
    os.dup2(high[2], 2)
    os.dup2(high[0], question, inheritable=False)
    os.dup2(high[1], answer, inheritable=False)
    if kept >= 0:
        os.dup2(kept, 3, inheritable=False)
    os.closerange(200, 4096)
    return 3 if kept >= 0 else -1


def _load_lesson(folder: str) -> Any:
    from minilm.course.banks import load, read_about

    return load(read_about(Path(folder))).tasks


def _load_runtime() -> None:
    """Import what a student's file is likely to import, and run it once, so that no worker has to."""
    import importlib

    names = "collections copy dataclasses functools heapq itertools math operator random re string textwrap typing"
    for name in names.split():
        importlib.import_module(name)
    for name in ("minilm.functional", "minilm.nn", "minilm.course.marks", "minilm.homework.worker"):
        importlib.import_module(name)
    from minilm.course import task  # noqa: F401, so that `from minilm.course import task` is ready
    from minilm.course.implementations import Local, Raised
    from minilm.course.marks import Task

    def once(x: Any) -> Any:
        import minilm.functional as F

        return F.softmax(x @ x.T)

    warm = Local({"L1.1": Task("L1.1", once, 1, 0, False, False)})
    with contextlib.suppress(Raised):  # a student runtime may withhold softmax
        warm.gradient("once", [np.eye(3)], (0,), [np.ones((3, 3))])
    np.random.default_rng(0).standard_normal(3)
