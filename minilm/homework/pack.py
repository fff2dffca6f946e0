"""The zip that a student hands in: made, looked at, and read once more as a grader will read it."""

import contextlib
import hashlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import minilm
from minilm.course.banks import About, find_lesson
from minilm.errors import DataError
from minilm.homework.archives import STUDENT, Refused
from minilm.homework.assignment import Asked, asked_of, lesson_of
from minilm.homework.intake import MANIFEST, READ, file_item, read_source, submissions
from minilm.homework.runtime import zipped
from minilm.i18n import tr
from minilm.resources import PACKAGE, write_atomically

SECONDS = 60.0


@dataclass(frozen=True)
class Tried:
    """What executing a file has shown: the names it defines, those still unsolved, and what is wrong with it, or ""."""

    defined: list[str]
    unsolved: list[str]
    problem: str


@dataclass(frozen=True)
class Packed:
    """The zip that was made, and what is in it."""

    path: Path
    about: About
    size: int
    tasks: list[Asked]
    tried: Tried

    def state(self, task: Asked) -> str:
        """solved, unsolved or missing; "example" for a worked one."""
        if task.worked:
            return "example"
        if task.name not in self.tried.defined:
            return "missing"
        return "unsolved" if task.name in self.tried.unsolved else "solved"


def pack(file: Path, out: Path | None = None, lesson: str | None = None, seconds: float = SECONDS) -> Packed:
    """Make the zip of a student's .py or .ipynb: l03.zip beside it, or `out`.

    Errors: DataError, and no zip, where the file cannot be read, is too large, does not compile, or raises or takes
    longer than `seconds` when it is imported, since then no task could give a point.
    """
    if file.suffix.lower() not in READ:
        raise DataError(tr("{path}: what is packed is the .py or the .ipynb of a homework", path=file))
    if not file.exists():
        raise DataError(tr("there is no file or folder {path}: check its name", path=file))
    try:
        source = read_source(file_item(file.resolve(), (file.name,)), STUDENT)
    except Refused as error:
        raise DataError(tr("{path} cannot be read: {reason}", path=file, reason=error)) from error
    about = find_lesson(lesson) if lesson else lesson_of(file, source)
    tasks = asked_of(about)
    tried = try_out(source, [task.name for task in tasks], seconds)
    if tried.problem:
        raise DataError(tr("{path} is not packed, because {problem}", path=file, problem=tried.problem))
    path = out or file.with_name(f"{about.short}.zip")
    data = zipped({f"{about.short}.py": source, MANIFEST: _manifest(about, source, tried)})
    write_atomically(path, data)
    _read_again(path, about, source, tasks)
    return Packed(path, about, len(data), tasks, tried)


def _manifest(about: About, source: bytes, tried: Tried) -> bytes:
    """For people and for recognising the zip; a grader believes none of it."""
    said = {"lesson": about.short, "minilm": minilm.__version__, "sha256": hashlib.sha256(source).hexdigest()}
    return json.dumps(said | {"unsolved": tried.unsolved}, indent=1).encode() + b"\n"


def _read_again(path: Path, about: About, source: bytes, tasks: list[Asked]) -> None:
    found = list(submissions(path, about.short, [task.name for task in tasks]))
    if [one.source for one in found] != [source]:
        raise DataError(tr("{path} does not hold what was packed: is the disk full? Pack it again", path=path))


def try_out(source: bytes, names: list[str], seconds: float = SECONDS) -> Tried:
    """Execute a source once, in a fresh process with a time limit, away from the folder where it lies."""
    with tempfile.TemporaryDirectory(prefix="minilm-") as scratch:
        result = Path(scratch) / "result.json"
        command = [sys.executable, "-m", "minilm.homework.trying", str(result), *names]
        paths = [str(PACKAGE.parent), *filter(None, [os.environ.get("PYTHONPATH")])]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "MPLBACKEND": "agg"}
        ended = _run(command, source, environment, scratch, seconds)
        if not ended:
            return Tried([], [], tr("to import it takes more than {seconds:.0f} s", seconds=seconds))
        try:
            found = json.loads(result.read_text("utf-8"))
        except (OSError, ValueError):
            return Tried([], [], tr("it ends the process when it is imported"))
    return Tried(found["defined"], found["unsolved"], _said(found["problem"]))


def _run(command: list[str], source: bytes, environment: dict[str, str], folder: str, seconds: float) -> bool:
    """Whether the process ended in time; if not it is killed, with what it started."""
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=quiet, stderr=quiet, env=environment, cwd=folder, start_new_session=True
    )
    try:
        process.communicate(source, timeout=seconds)
        return True
    except subprocess.TimeoutExpired:
        return False
    finally:
        with contextlib.suppress(OSError):
            if hasattr(os, "killpg"):
                os.killpg(process.pid, signal.SIGKILL)
            else:
                process.kill()
        process.wait()


def _said(problem: dict[str, Any] | None) -> str:
    if problem is None:
        return ""
    line, what = problem["line"] or 1, problem["what"]
    if problem["kind"] == "syntax":
        return tr("line {line} is no Python: {what}", line=line, what=what)
    return tr("importing it fails in line {line}: {what}", line=line, what=what)
