"""What a student's hidden cases are made from: a course's secret, and from it a seed for each property of each task.

HMAC-SHA256 (RFC 2104) of lesson, student, task and the property's place. Without the secret nobody can tell the cases;
with it they are the same whenever somebody is graded again.
"""

import hashlib
import hmac
import json
import os
import secrets
import stat
import sys
from dataclasses import dataclass
from pathlib import Path

from minilm.errors import ConfigError, DataError
from minilm.i18n import tr

VARIABLE = "MINILM_SECRET"
SHORTEST = 16  # letters of a secret


@dataclass(frozen=True)
class Secret:
    """A course's secret. notice: what its owner must be told, or ""."""

    key: bytes
    notice: str = ""

    @property
    def name(self) -> str:
        """By which it is known again; it tells nothing about the secret."""
        return hmac.digest(self.key, b"the name of this secret", "sha256").hex()[:16]

    def seed(self, lesson: str, student: str | None, task: str, claim: int) -> int:
        """Of a student's hidden cases of one property; None: of all those of the course."""
        said = json.dumps([lesson, student, task, claim]).encode()
        return int.from_bytes(hmac.digest(self.key, said, hashlib.sha256)[:8])


def find_secret(file: Path | None = None, wanted: str | None = None) -> Secret:
    """The secret of MINILM_SECRET, else of the file, else of the user's own file, which is made where there is none.

    wanted: the name of the secret with which a batch was begun; no other one is taken, and none is made.
    """
    told = os.environ.get(VARIABLE)
    if told is not None and file is not None:
        raise ConfigError(tr("both {variable} and --secret-file are given: give one of them", variable=VARIABLE))
    if told is not None:
        found, where = Secret(_checked(told.encode(), VARIABLE)), VARIABLE
    else:
        path = file or own_file()
        where = str(path)
        if path.exists():
            found = Secret(_checked(_read(path), where), _seen_by_others(path))
        elif wanted is not None:
            raise ConfigError(
                tr(
                    "there is no secret in {path}, with which this batch was begun: bring it back, or name its file "
                    "with --secret-file",
                    path=path,
                )
            )
        else:
            found = make(path)
    if wanted is not None and found.name != wanted:
        raise ConfigError(
            tr(
                "this batch was begun with another secret than that of {where}: students would get other hidden "
                "cases; take the one it was begun with, or grade all of them into another folder",
                where=where,
            )
        )
    return found


def own_file() -> Path:
    """The user's own: $XDG_CONFIG_HOME/minilm/secret, ~/.config/minilm/secret, or the platform's place."""
    if xdg := os.environ.get("XDG_CONFIG_HOME"):
        return Path(xdg) / "minilm" / "secret"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "minilm" / "secret"
    return Path.home() / ".config" / "minilm" / "secret"


def make(path: Path) -> Secret:
    """A new secret, in a file that only its owner can read. What is there is never written over."""
    key = secrets.token_hex(32).encode()
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(key + b"\n")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise DataError(
            tr("the course's secret could not be written to {path} ({reason}); name another file with --secret-file, "
               "or set {variable}", path=path, reason=error.strerror, variable=VARIABLE)
        ) from error  # fmt: skip
    return Secret(
        key,
        tr("{path} is made, the secret of this course: keep it, since without it nobody can be graded again with the "
           "same hidden cases, and show it to no student", path=path),
    )  # fmt: skip


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(tr("{path} cannot be read ({reason})", path=path, reason=error.strerror)) from error


def _checked(raw: bytes, where: str) -> bytes:
    key = raw.strip()
    if len(key) < SHORTEST:
        raise ConfigError(
            tr("the secret of {where} has {n} letters; at least {least} are needed, so that nobody guesses it",
               where=where, n=len(key), least=SHORTEST)
        )  # fmt: skip
    return key


def _seen_by_others(path: Path) -> str:
    if os.name == "posix" and stat.S_IMODE(path.stat().st_mode) & 0o077:
        return tr("other users of this machine can read {path}: run chmod 600 {path}", path=path)
    return ""
