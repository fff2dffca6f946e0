"""The system calls of Linux that Python has no function for: namespaces, mounts, Landlock, seccomp."""

import ctypes
import errno
import os
import platform
import struct
from collections.abc import Iterator
from pathlib import Path

CLONE_NEWNS, CLONE_NEWUTS, CLONE_NEWIPC = 0x00020000, 0x04000000, 0x08000000
CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET = 0x10000000, 0x20000000, 0x40000000
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = 1, 2, 4, 32, 4096, 16384, 1 << 18
MNT_DETACH = 2
PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS, PR_SET_CHILD_SUBREAPER = 1, 4, 22, 38, 36

# The same three numbers on every architecture.
LANDLOCK_CREATE, LANDLOCK_ADD, LANDLOCK_RESTRICT = 444, 445, 446
PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}

_libc = ctypes.CDLL(None, use_errno=True)


def _checked(result: int, what: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result


def syscall(what: str, number: int, *arguments: int | bytes | None) -> int:
    """OSError names the call."""
    given = [ctypes.c_ulong(a) if isinstance(a, int) else ctypes.c_char_p(a) for a in arguments]
    return _checked(_libc.syscall(ctypes.c_long(number), *given), what)


def prctl(option: int, value: int, third: int = 0) -> None:
    zero = ctypes.c_ulong(0)
    _checked(_libc.prctl(option, ctypes.c_ulong(value), ctypes.c_ulong(third), zero, zero), "prctl")


def unshare(flags: int) -> None:
    _checked(_libc.unshare(flags), "unshare")


def setns(fd: int, flags: int) -> None:
    _checked(_libc.setns(fd, flags), "setns")


def mount(source: str, target: str, kind: str | None, flags: int, data: str | None = None) -> None:
    text = [None if x is None else os.fsencode(x) for x in (source, target, kind, data)]
    _checked(_libc.mount(text[0], text[1], text[2], ctypes.c_ulong(flags), text[3]), f"mount {target}")


def become_root_of(folder: str) -> None:
    """Make a mounted folder the root of the file system, and forget the old one."""
    os.chdir(folder)
    syscall("pivot_root", PIVOT_ROOT[platform.machine()], b".", b".")
    _checked(_libc.umount2(b".", MNT_DETACH), "umount2")
    os.chdir("/")


def drop_capabilities() -> None:
    header = struct.pack("=Ii", 0x20080522, 0)
    _checked(_libc.capset(header, bytes(24)), "capset")


# ------------------------------------------------------------------------------------------------------------- Landlock

READ_FILE, READ_DIR, WRITE_FILE, TRUNCATE = 1 << 2, 1 << 3, 1 << 1, 1 << 14
ON_FILES = READ_FILE | WRITE_FILE | TRUNCATE
EXECUTE, MAKE_CHAR, MAKE_BLOCK, MAKE_SOCK = 1 << 0, 1 << 6, 1 << 11, 1 << 9
RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}  # version -> how many rights over files there are


def landlock_version() -> int:
    """0 without Landlock."""
    try:
        return syscall("landlock", LANDLOCK_CREATE, 0, 0, 1)
    except OSError:
        return 0


class Ruleset:
    """What a process may still open once it is restricted: nothing that no rule allows, no TCP, no one to signal."""

    def __init__(self) -> None:
        version = landlock_version()
        if not version:
            raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))
        self.handled = (1 << RIGHTS[min(version, 5)]) - 1
        attributes = [self.handled] + [3] * (version >= 4) + [3] * (version >= 6)  # TCP; sockets and signals outward
        packed = struct.pack(f"={len(attributes)}Q", *attributes)
        self.fd = syscall("landlock_create_ruleset", LANDLOCK_CREATE, packed, len(packed), 0)
        os.set_inheritable(self.fd, False)

    def allow(self, path: str, rights: int) -> None:
        """For the path and all beneath it. A path that is not there is left out."""
        try:
            fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
        except OSError:
            return
        try:
            if not os.path.isdir(path):
                rights &= ON_FILES
            rule = struct.pack("=Qi", rights & self.handled, fd)
            syscall("landlock_add_rule", LANDLOCK_ADD, self.fd, 1, rule, 0)
        finally:
            os.close(fd)

    @property
    def everything(self) -> int:
        """All that a scratch folder is for."""
        return self.handled & ~(EXECUTE | MAKE_CHAR | MAKE_BLOCK | MAKE_SOCK)

    def restrict(self) -> None:
        """This process, for ever."""
        syscall("landlock_restrict_self", LANDLOCK_RESTRICT, self.fd, 0)


# -------------------------------------------------------------------------------------------------------------- seccomp

# No new process, program or socket, no signal, no look into another process, no mount, no new limit, nothing that
# outlives the process. Threads, files and memory stay as they are.
_FORBIDDEN = {
    "x86_64": "41 42 43 49 50 53 57 58 59 322 62 200 234 129 297 424 434 438 101 310 311 440 165 166 428 429 430 431 "
    "432 433 442 155 161 272 308 321 298 323 425 426 427 248 249 250 160 112 109 29 64 68 240 135 175 313 176 246 320 "
    "169 303 304 163 167 179",
    "aarch64": "198 199 200 201 202 203 221 281 129 130 131 138 240 424 434 438 117 270 271 440 40 39 428 429 430 431 "
    "432 433 442 41 51 97 268 280 241 282 425 426 427 217 218 219 164 157 154 194 190 186 180 92 105 273 106 104 294 "
    "142 264 265 89 224 60",
}
_CLONE = {"x86_64": 56, "aarch64": 220}
_CLONE3 = 435
_PRLIMIT = {"x86_64": 302, "aarch64": 261}
_PRCTL = {"x86_64": 157, "aarch64": 167}
_ARCHITECTURE = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _REFUSE, _NO_SUCH = 0x7FFF0000, 0x00050000 | errno.EPERM, 0x00050000 | errno.ENOSYS
_CLONE_THREAD = 0x00010000


def _filter(machine: str) -> Iterator[tuple[int, int, int, int]]:
    """The instructions: (code, jump if true, jump if false, operand). Each test is followed by its verdict."""

    def verdict(answer: int) -> tuple[int, int, int, int]:
        return _RETURN, 0, 0, answer

    yield _LOAD, 0, 0, 4
    yield _EQUAL, 1, 0, _ARCHITECTURE[machine]
    yield verdict(_REFUSE)
    yield _LOAD, 0, 0, 0
    yield _AT_LEAST, 0, 1, 0x40000000  # the other numbering of x86-64
    yield verdict(_REFUSE)
    for number in map(int, _FORBIDDEN[machine].split()):
        yield _EQUAL, 0, 1, number
        yield verdict(_REFUSE)
    yield _EQUAL, 0, 1, _CLONE3  # its flags lie in memory, where no filter looks: the C library falls back on clone
    yield verdict(_NO_SUCH)
    yield _EQUAL, 0, 4, _CLONE[machine]
    yield _LOAD, 0, 0, 16
    yield _ANY_BIT, 1, 0, _CLONE_THREAD
    yield verdict(_REFUSE)
    yield verdict(_ALLOW)
    yield _EQUAL, 0, 6, _PRLIMIT[machine]  # may read limits, not set them
    yield _LOAD, 0, 0, 32
    yield _EQUAL, 0, 2, 0
    yield _LOAD, 0, 0, 36
    yield _EQUAL, 1, 0, 0
    yield verdict(_REFUSE)
    yield verdict(_ALLOW)
    yield _EQUAL, 0, 5, _PRCTL[machine]
    yield _LOAD, 0, 0, 16
    yield _EQUAL, 2, 0, PR_SET_PDEATHSIG
    yield _EQUAL, 1, 0, PR_SET_DUMPABLE
    yield verdict(_ALLOW)
    yield verdict(_REFUSE)
    yield verdict(_ALLOW)


def filter_system_calls() -> None:
    """Refuse, in this process and for ever, what no homework needs. It needs no_new_privs."""
    machine = platform.machine()
    if machine not in _ARCHITECTURE:
        raise OSError(errno.EOPNOTSUPP, machine)
    code = b"".join(struct.pack("=HBBI", *instruction) for instruction in _filter(machine))
    buffer = ctypes.create_string_buffer(code)
    program = struct.pack("@HxxxxxxP", len(code) // 8, ctypes.addressof(buffer))
    keep = ctypes.create_string_buffer(program)
    prctl(PR_SET_SECCOMP, 2, ctypes.addressof(keep))


def map_own_user(uid: int, gid: int) -> None:
    """In a new user namespace: one's own user and group, under the numbers that they had."""
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{uid} {uid} 1")
    Path("/proc/self/gid_map").write_text(f"{gid} {gid} 1")
