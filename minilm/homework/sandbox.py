"""The walls between a student's file and everything else, one within the other; each is left out where it cannot be.

session     own session and process group, no inherited descriptor, clean environment, an empty folder to work in
limits      time, memory, processes, files, output
uid         where the grader is root: a user that owns nothing
namespaces  a file system of its own that holds Python and minilm and no lesson, no network, no other process
landlock    the kernel opens nothing but those same folders
seccomp     no new process, no program, no socket, no signal
bwrap       the first of these again, by bubblewrap; only when it is asked for
"""

import contextlib
import json
import os
import shutil
import stat
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from minilm.homework.limits import Limits, address_space, impose, processes_of_user
from minilm.i18n import tr
from minilm.resources import PACKAGE

LAYERS = ("session", "limits", "uid", "namespaces", "landlock", "seccomp")
OPTIONAL = ("bwrap",)
STRICT = ("session", "limits", "namespaces", "landlock", "seccomp")
FIRST_UID = 2_000_000_000  # far from every account's; a worker's own is this plus a number
PREFIX = "minilm-"  # of the folders of zygotes, among temporary files
SCRATCHES = "/scratch"
SCRATCH = f"{SCRATCHES}/own"  # what is allowed beneath a folder holds in what is mounted below it, not upon it
DEVICES = ("/dev/null", "/dev/zero", "/dev/urandom", "/dev/random")


@dataclass(frozen=True)
class Layer:
    """A wall: whether it stands here, and if not, why."""

    name: str
    active: bool
    why: str = ""


def available() -> list[Layer]:
    """Every layer, tried in a process of its own."""
    environment = {"PYTHONPATH": str(PACKAGE.parent), "PATH": os.defpath}
    command = [sys.executable, "-P", "-s", "-c", "from minilm.homework import sandbox; sandbox.main()"]
    ran = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    told = json.loads(ran.stdout) if ran.returncode == 0 else {}
    return [
        Layer(name, name in told and not told[name], told.get(name, ran.stderr[-200:])) for name in (*LAYERS, *OPTIONAL)
    ]


def missing_for_strict(layers: Iterable[Layer]) -> list[Layer]:
    """The layers without which a strict grader does not start: as root, a user of its own as well.

    bubblewrap, where it is active, stands for both that user and the namespaces.
    """
    found = list(layers)
    needed = {*STRICT, *(("uid",) if _is_root() else ())}
    if any(layer.name == "bwrap" and layer.active for layer in found):
        needed -= {"uid", "namespaces"}
    return [layer for layer in found if layer.name in needed and not layer.active]


def main() -> None:
    """Print, as JSON, why each layer is not active here ("" for one that is)."""
    print(json.dumps({name: trouble(name) for name in (*LAYERS, *OPTIONAL)}))


def trouble(name: str) -> str:
    """Why a layer cannot be had here; "" if it can. Tried in a child, which may harm itself."""
    if name == "bwrap":
        return "" if shutil.which("bwrap") else tr("the program bwrap is not installed")
    if name == "uid" and not _is_root():
        return tr("only root can run a file as another user")
    if name in ("namespaces", "landlock", "seccomp") and sys.platform != "linux":
        return tr("only Linux has it")
    reader, writer = os.pipe()
    pid = os.fork()
    if not pid:
        message = ""
        try:
            _TRIALS[name]()
        except (OSError, KeyError, ValueError) as error:
            message = str(error) or type(error).__name__
        os.write(writer, message.encode()[:500])
        os._exit(0)
    os.close(writer)
    with open(reader, "rb") as file:
        told = file.read().decode()
    _, status = os.waitpid(pid, 0)
    return told if status == 0 else told or tr("it could not be tried")


def _is_root() -> bool:
    return hasattr(os, "geteuid") and os.geteuid() == 0


# ------------------------------------------------------------------------------------------------ what may be looked at


def readable(package: Path = PACKAGE) -> list[str]:
    """The folders and files that Python, NumPy and minilm consist of. package: the minilm that is meant."""
    from minilm.resources import data_folder

    names = ("stdlib", "platstdlib", "purelib", "platlib")
    found = [sysconfig.get_path(name) for name in names]
    found += [str(package), *([str(data_folder())] if package == PACKAGE else [])]
    inside = (sys.prefix, sys.base_prefix)
    found += [p for p in sys.path if (p and p.startswith(inside)) or p.endswith("-packages")]
    found += ["/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", f"{sys.base_prefix}/lib"]
    found += ["/etc/ld.so.cache", "/etc/localtime", "/usr/share/zoneinfo"]
    found += [os.path.realpath(p) for p in found]
    return [p for p in dict.fromkeys(found) if os.path.exists(p)]


def secret(package: Path = PACKAGE) -> list[str]:
    """What lies among the readable and is none of a submission's business: the lessons with their answers.

    A package that is installed to be edited, or a second one, may have left another copy of them beside other packages.
    Beside a student runtime, all of any other minilm is secret.
    """
    copies = [PACKAGE, *(Path(p) / "minilm" for p in readable(package))]
    places = {Path(p) for copy in copies for p in (copy, os.path.realpath(copy))} - {package}
    if package == PACKAGE:
        places = {place / "lessons" for place in (*places, package)}
    return sorted(str(p) for p in places if p.is_dir())


def spread(path: str, secrets: list[str]) -> Iterator[tuple[str, bool]]:
    """(path, whether with all beneath it): the path, or what is in it but for the secrets."""
    if path in secrets:
        return
    if not any(s.startswith(path.rstrip("/") + "/") for s in secrets):
        yield path, True
        return
    yield path, False
    for name in sorted(os.listdir(path)):
        yield from spread(os.path.join(path, name), secrets)


# ----------------------------------------------------------------------------------------------- around all the workers


def isolate() -> None:
    """New namespaces for this process and, of processes, for its children. OSError where the kernel refuses."""
    from minilm.homework import linux

    flags = linux.CLONE_NEWNS | linux.CLONE_NEWPID | linux.CLONE_NEWNET | linux.CLONE_NEWIPC | linux.CLONE_NEWUTS
    uid, gid = os.getuid(), os.getgid()
    if _is_root():
        linux.unshare(flags)
    else:
        linux.unshare(flags | linux.CLONE_NEWUSER)
        linux.map_own_user(uid, gid)
    linux.mount("none", "/", None, linux.MS_REC | linux.MS_PRIVATE)


def enter_own_root(folder: str, paths: list[str], secrets: list[str]) -> None:
    """Make an empty folder the root of a file system that holds the paths, read-only, but for the secrets."""
    from minilm.homework import linux

    linux.mount("tmpfs", folder, "tmpfs", linux.MS_NOSUID | linux.MS_NODEV, "mode=755,size=1m")
    kept = [p for p in sorted(paths, key=len) if not os.path.islink(p)]
    outer: list[str] = []
    for path in kept:
        if not any(path.startswith(o + "/") for o in outer):
            outer.append(path)
            _show(folder, path, writable=False)
    for path in paths:
        if os.path.islink(path) and not os.path.lexists(folder + path):
            os.makedirs(os.path.dirname(folder + path), exist_ok=True)
            os.symlink(os.path.realpath(path), folder + path)
    for path in secrets:
        if os.path.isdir(folder + path):
            linux.mount("tmpfs", folder + path, "tmpfs", linux.MS_RDONLY, "mode=755,size=4k")
    for path in DEVICES:
        _show(folder, path, writable=True)
    os.makedirs(folder + SCRATCH)
    for name in ("/tmp", "/var/tmp"):
        os.makedirs(os.path.dirname(folder + name), exist_ok=True)
        if not os.path.lexists(folder + name):  # minilm itself may lie there
            os.symlink(SCRATCH, folder + name)
    linux.mount(
        "none", folder, None, linux.MS_REMOUNT | linux.MS_BIND | linux.MS_RDONLY | linux.MS_NOSUID | linux.MS_NODEV
    )
    linux.become_root_of(folder)


def _show(folder: str, path: str, *, writable: bool) -> None:
    """The path at its place within the folder."""
    from minilm.homework import linux

    target = folder + path
    os.makedirs(target if os.path.isdir(path) else os.path.dirname(target), exist_ok=True)
    if not os.path.isdir(path):
        Path(target).touch()
    linux.mount(path, target, None, linux.MS_BIND | linux.MS_REC)
    if not writable:
        kept = os.statvfs(target).f_flag & (os.ST_NOSUID | os.ST_NODEV | os.ST_NOEXEC | os.ST_NOATIME | os.ST_RELATIME)
        linux.mount("none", target, None, linux.MS_REMOUNT | linux.MS_BIND | linux.MS_RDONLY | _mount_flags(kept))


def _mount_flags(flags: int) -> int:
    """Of statvfs, as mount wants them: what the outer system has locked must be repeated."""
    return flags & (os.ST_NOSUID | os.ST_NODEV | os.ST_NOEXEC | os.ST_NOATIME) | (
        (1 << 21) if flags & os.ST_RELATIME else 0
    )


# ------------------------------------------------------------------------------------------------------ around a worker


@dataclass
class Walls:
    """What a zygote has ready for the workers that it forks."""

    active: set[str]
    ruleset: object | None = None
    taken: int = 0

    @classmethod
    def prepare(cls, active: set[str], paths: list[str], secrets: list[str], scratch: str) -> "Walls":
        """scratch: the folder in which the workers' folders lie."""
        ruleset = None
        if "landlock" in active:
            ruleset = _ruleset(paths, secrets, scratch)
        return cls(active, ruleset, address_space())

    def close_in(self, limits: Limits, uid: int, scratch: str) -> None:
        """Build them all around this process. OSError where one that was there a moment ago is not."""
        others = 0 if self.active & {"uid", "namespaces"} else processes_of_user(os.getuid())
        if "namespaces" in self.active:
            _own_scratch(limits, uid if "uid" in self.active else os.getuid())
            scratch = SCRATCH
        os.chdir(scratch)
        impose(limits, self.taken, others)
        if "uid" in self.active:
            become(uid)
        if sys.platform == "linux":
            self._of_linux()

    def _of_linux(self) -> None:
        from minilm.homework import linux

        linux.drop_capabilities()
        linux.prctl(linux.PR_SET_NO_NEW_PRIVS, 1)
        linux.prctl(linux.PR_SET_DUMPABLE, 0)
        if isinstance(self.ruleset, linux.Ruleset):
            self.ruleset.restrict()
            os.close(self.ruleset.fd)
        if "seccomp" in self.active:
            linux.filter_system_calls()


def _ruleset(paths: list[str], secrets: list[str], scratch: str) -> object:
    from minilm.homework import linux

    rules = linux.Ruleset()
    for path in paths:
        for part, whole in spread(path, secrets):
            rules.allow(part, linux.READ_DIR | (linux.READ_FILE if whole else 0))
    for path in DEVICES:
        rules.allow(path, linux.READ_FILE | linux.WRITE_FILE)
    rules.allow(scratch, rules.everything)
    return rules


def _own_scratch(limits: Limits, uid: int) -> None:
    """A folder in memory that nobody else sees, and that is gone when the worker is."""
    from minilm.homework import linux

    linux.unshare(linux.CLONE_NEWNS)
    linux.mount("none", "/", None, linux.MS_REC | linux.MS_PRIVATE)
    options = f"mode=700,size={4 * limits.file_size},nr_inodes=1000"
    linux.mount("tmpfs", SCRATCH, "tmpfs", linux.MS_NOSUID | linux.MS_NODEV, options)
    os.chown(SCRATCH, uid, -1)


def become(uid: int) -> None:
    """Another user, of no group but its own, for ever."""
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)


def _try_namespaces() -> None:
    """As a zygote does it: the namespaces, and within them those of one worker."""
    from minilm.homework import linux

    isolate()
    pid = os.fork()
    if not pid:
        try:
            linux.unshare(linux.CLONE_NEWPID)
            linux.unshare(linux.CLONE_NEWNS)
            linux.mount("tmpfs", "/tmp", "tmpfs", 0, "size=4k")
        except OSError as error:
            os._exit(error.errno or 1)
        os._exit(0)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if status:
        raise OSError(status, os.strerror(abs(status)))


def _try_landlock() -> None:
    from minilm.homework import linux

    linux.prctl(linux.PR_SET_NO_NEW_PRIVS, 1)
    linux.Ruleset().restrict()


def _try_seccomp() -> None:
    from minilm.homework import linux

    linux.prctl(linux.PR_SET_NO_NEW_PRIVS, 1)
    linux.filter_system_calls()


_TRIALS: dict[str, Callable[[], object]] = {
    "session": os.setsid,
    "limits": lambda: impose(Limits(), address_space()),
    "uid": lambda: become(FIRST_UID),
    "namespaces": _try_namespaces,
    "landlock": _try_landlock,
    "seccomp": _try_seccomp,
}


# -------------------------------------------------------------------------------------------------------- clearing away


def remove_tree(folder: str) -> None:
    """A folder with all in it, however deep, whatever its names and permissions; links are not followed."""
    count, waiting = 0, [folder]
    while waiting:
        here = waiting[-1]
        os.chmod(here, 0o700)
        inner = []
        for entry in list(os.scandir(os.fsencode(here))):
            if entry.is_dir(follow_symlinks=False):
                inner.append(entry.path)
            else:
                os.unlink(entry.path)
        if not inner:
            os.rmdir(waiting.pop())
        for path in inner:  # up beside the folder, so that no path gets long
            count += 1
            os.chmod(path, 0o700)
            moved = f"{folder}.{count}"
            os.rename(path, moved)
            waiting.append(moved)


def remove_scratch(folder: str) -> None:
    """As remove_tree; what is already gone is no error."""
    with contextlib.suppress(FileNotFoundError):
        remove_tree(folder)


def own_folder() -> tuple[str, int]:
    """A new folder, and a descriptor by whose lock others see that it is in use.

    Whatever a grader left that was killed at once with all its processes is cleared away first.
    """
    import fcntl

    parent = tempfile.gettempdir()
    for entry in os.scandir(parent):
        if entry.name.startswith(PREFIX):
            with contextlib.suppress(OSError):
                _remove_if_left(entry.path)
    folder = tempfile.mkdtemp(prefix=PREFIX)
    lock = os.open(folder, os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    os.chmod(folder, 0o711)
    return folder, lock


def _remove_if_left(folder: str) -> None:
    """Remove it if it is this user's, not just made, and nobody has its lock. OSError if somebody has."""
    import fcntl

    about = os.stat(folder, follow_symlinks=False)
    if not stat.S_ISDIR(about.st_mode) or about.st_uid != os.geteuid() or time.time() - about.st_mtime < 60:
        return
    lock = os.open(folder, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        remove_scratch(folder)
    finally:
        os.close(lock)
