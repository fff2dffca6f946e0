"""An implementation of a lesson's tasks that is a student's file in another process.

A property cannot tell it from Local, but for two things. Only the task under test is the student's: what else a
property asks for is the reference's answer, and so is what the student's function asks of the tasks before it. And it
fails in more ways (`Raised.kind`):

    raised missing type    as in Local
    unsolved               it is still what the student was given
    syntax import          the file cannot be run
    time memory            it used more than it may
    crash                  its process ended
    protocol               what came back is no answer
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from minilm.course.banks import natural
from minilm.course.implementations import Implementation, Local, Raised, leaves_of
from minilm.course.marks import Task
from minilm.errors import ConfigError
from minilm.homework.wire import Frame, pack
from minilm.homework.zygote import Worker
from minilm.i18n import tr

SMALL, MANY = 1 << 14, 20_000  # bytes of an answer of the reference that is remembered, and how many are
FATAL = ("time", "crash", "protocol")  # after these there is no worker any more


class Remote(Implementation):
    """The task `number`, as a student wrote it; every other one as the lesson has it.

    start: makes a worker that has the student's file, or is one already. references: makes one for the lesson's own
    functions, which answer here what the student's function asks of earlier tasks; without it, that is the file's own
    business. alone: there is no reference, as on a student's machine, and the other tasks too are the file's own.
    lives: how many workers may be lost before every further question is answered with the last failure. known: what the
    reference has answered to the same questions before, to others too.
    """

    def __init__(
        self,
        start: Callable[[], Worker] | Worker,
        tasks: Mapping[str, Task],
        number: str,
        *,
        references: Callable[[], Worker] | None = None,
        alone: bool = False,
        lives: int = 3,
        known: dict[bytes, Frame] | None = None,
    ):
        if number not in tasks:
            raise ConfigError(tr("there is no task {number}; there are {known}", number=number, known=", ".join(tasks)))
        self.task = tasks[number]
        self.last: Failed | None = None  # the last failure of a worker
        self._start, self._references = start, references
        self._local = Local(tasks)
        self._others = set() if alone else {task.name for task in tasks.values()} - {self.task.name}
        self._earlier = [t.name for t in tasks.values() if natural(t.number) < natural(number)] if references else []
        self._plain = self.task.plain
        self._known = {} if known is None else known
        self._worker: Worker | None = None
        self._home: Worker | None = None
        self._lives = lives

    def __enter__(self) -> "Remote":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def spent(self) -> bool:
        """Whether it has lost all its workers."""
        return self._lives <= 0

    def close(self) -> None:
        """End the workers."""
        for worker in (self._worker, self._home):
            if worker is not None:
                worker.close()
        self._worker = self._home = None

    def call(self, name: str, arguments: Sequence[Any]) -> Any:
        if name in self._others:
            return self._local.call(name, arguments)
        return self._ask(name, "call", {"name": name, "arguments": list(arguments)})

    def gradient(
        self, name: str, arguments: Sequence[Any], wrt: Sequence[int], cotangents: Sequence[Any]
    ) -> list[Any] | None:
        if name in self._others or self._plain:
            return self._local.gradient(name, arguments, wrt, cotangents)
        question = {"name": name, "arguments": list(arguments), "wrt": list(wrt), "cotangents": list(cotangents)}
        found = self._ask(name, "gradient", question)
        return None if found is None else _gradients(name, found, [arguments[i] for i in wrt])

    def _ask(self, name: str, kind: str, question: dict[str, Any]) -> Any:
        worker = self._ready(name)
        kind, data = worker.request(kind, question, self._answer_home)
        if kind == "value":
            return data
        raise self._failed(name, data)

    def _ready(self, name: str) -> Worker:
        """The worker, with the file loaded and stubs in the places of the tasks before."""
        if self._worker is None or self._worker.ending is not None:
            if self.last is not None and self.last.kind in FATAL:
                self._lives -= 1
            if self._lives <= 0:
                assert self.last is not None
                raise Failed(str(self.last), kind=self.last.kind, line=self.last.line)
            self._worker = self._start if isinstance(self._start, Worker) else self._start()
            if self._worker.failure is None and self._earlier:
                told, data = self._worker.request("task", {"earlier": self._earlier})
                if told == "failure":
                    raise self._failed(name, data)
        if self._worker.failure is not None:
            raise self._failed(name, self._worker.failure)
        return self._worker

    def _failed(self, name: str, data: Mapping[str, Any]) -> "Failed":
        assert self._worker is not None
        self.last = Failed(sentence(name, data, self._worker), kind=data["kind"], line=data["line"])
        return self.last

    # ------------------------------------------------------------------------------------ what a worker asks meanwhile

    def _answer_home(self, kind: str, data: Any, deadline: float) -> Frame:
        """The reference's answer about an earlier task; anything else is no question."""
        if not isinstance(data, dict) or data.get("name") not in self._earlier or self._references is None:
            return Frame("failure", {"type": "LookupError", "text": tr("that is no task before this one")})
        key = hashlib.sha256(b"".join(pack(Frame(kind, data)))).digest()
        if key in self._known:
            return self._known[key]
        if self._home is None or self._home.ending is not None:
            self._home = self._references()
        told, found = self._home.request(kind, data, until=deadline)
        if told == "failure":
            return Frame("failure", {"type": found["type"] or "RuntimeError", "text": found["text"] or found["kind"]})
        answer = Frame("value", found)
        if sum(leaf.nbytes for leaf in leaves_of(found) if isinstance(leaf, np.ndarray)) <= SMALL:
            if len(self._known) >= MANY:
                self._known.clear()
            self._known[key] = answer
        return answer


class Failed(Raised):
    """Raised, with the line of the student's file, 0 if none is known."""

    def __init__(self, message: str, *, kind: str, line: int = 0):
        super().__init__(message, kind=kind)
        self.line = line
        self.fatal = kind in (*FATAL, "memory")


def _gradients(name: str, found: Any, inputs: Sequence[Any]) -> list[Any]:
    """Arrays of the inputs' shapes, which only a forged answer is not."""
    shapes = [getattr(g, "shape", None) for g in found] if isinstance(found, list) else []
    if shapes != [getattr(x, "shape", ()) for x in inputs] or any(g.dtype.kind != "f" for g in found):
        raise Failed(
            tr("what came back from {name} is no answer ({what})", name=name, what="gradient"), kind="protocol"
        )
    return found


def sentence(name: str, failure: Mapping[str, Any], worker: Worker) -> str:
    """What a student reads about a failure."""
    kind, error, text = failure["kind"], failure["type"], failure["text"]
    match kind:
        case "raised":
            return tr("{name} raised {kind}: {what}", name=name, kind=error, what=text)
        case "missing":
            return tr("there is no function {name}", name=name)
        case "unsolved":
            return tr("{name} is not written yet", name=name)
        case "syntax":
            return tr("line {line} is not Python: {what}", line=failure["line"], what=text)
        case "import":
            return tr(
                "the file cannot be run: {kind} in line {line}: {what}", kind=error, line=failure["line"], what=text
            )
        case "time":
            return tr("{name} took longer than it may ({seconds} seconds for an answer, {all} in all)", name=name,
                      seconds=worker.limits.answer, all=worker.limits.wall)  # fmt: skip
        case "memory":
            return tr("{name} needs more than the {n} MiB of memory that it may have", name=name,
                      n=worker.limits.memory >> 20)  # fmt: skip
        case "crash":
            return tr("the process that ran {name} ended ({how})", name=name, how=text)
        case "protocol":
            return tr("what came back from {name} is no answer ({what})", name=name, what=text)
    return text
