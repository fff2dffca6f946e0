"""The untrusted side: runs a student's file as a module and answers questions about its functions.

Whoever wrote the file owns this process: it can reach every object here and write what it likes into the answers'
descriptor. So nothing in it is relied on. The trusted side takes each answer for a claim, and holds it against a
property.
"""

import builtins
import contextlib
import io
import linecache
import random
import sys
import threading
import types
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from minilm import errors
from minilm.autograd import Tensor
from minilm.autograd.operation import primitive
from minilm.course.implementations import Local, Raised, data_of, leaves_of
from minilm.course.marks import Task
from minilm.errors import GraphError
from minilm.homework.wire import Bounds, Frame, WireError, receive, send
from minilm.i18n import tr

NAME = "submission"
FILE = f"{NAME}.py"
QUESTIONS = Bounds(array_bytes=64 << 20, text=2_000_000)  # they come from the trusted side
ANSWERS = Bounds()
LETTERS = 2000  # of an error's text
IMPORTABLE = {*sys.stdlib_module_names, "hypothesis", "matplotlib", "minilm", "numpy", "regex", "rich", "safetensors",
              "threadpoolctl", "typer", NAME}  # fmt: skip


class Channel:
    """The two descriptors, and the nonce of the question that is being answered."""

    def __init__(self, question: int, answer: int):
        self.question, self.answer = question, answer
        self.nonce = ""
        self.lock = threading.Lock()

    def next(self) -> Frame:
        frame = receive(self.question, QUESTIONS)
        self.nonce = frame.nonce
        return frame

    def reply(self, kind: str, data: Any) -> None:
        send(self.answer, Frame(kind, data, self.nonce))

    def ask_home(self, kind: str, data: Any) -> Any:
        """Ask the trusted side while it waits. An error there is raised here, under its own name."""
        with self.lock:
            self.reply(kind, data)
            frame = receive(self.question, QUESTIONS)
        if frame.kind == "failure":
            raise _error_named(frame.data["type"])(frame.data["text"])
        return frame.data


def _error_named(name: str) -> type[Exception]:
    found = getattr(builtins, name, None) or getattr(errors, name, None)
    return found if isinstance(found, type) and issubclass(found, Exception) else RuntimeError


def serve(question: int, answer: int, tasks: dict[str, Task] | None = None) -> None:
    """Answer until the trusted side hangs up.

    tasks: the reference of a lesson, for a worker that answers for it; else the first question brings a student's file.
    """
    channel = Channel(question, answer)
    answers = References(tasks) if tasks is not None else Answers(channel)
    with contextlib.suppress(WireError):
        while True:
            frame = channel.next()
            kind, data = answers.to(frame)
            with contextlib.suppress(BaseException):  # what was printed comes before the answer
                sys.stdout.flush()
            try:
                channel.reply(kind, data)
            except WireError as error:
                if error.kind == "closed":
                    raise
                channel.reply("failure", {"kind": "type", "type": "", "text": str(error), "line": 0})


# ------------------------------------------------------------------------------------------------ a student's functions


class Submission(Local):
    """A module's functions, called as Local calls a lesson's own; an error comes through as it is."""

    def __init__(self, module: types.ModuleType, plain: set[str]):
        self._module, self._plain = module, plain

    def _run(self, name: str, arguments: list[Any]) -> Any:
        function = vars(self._module).get(name)
        if not callable(function):
            raise Raised("", kind="missing")
        return function(*arguments)


class Answers:
    """What a worker with a student's file says to each kind of question."""

    def __init__(self, channel: Channel):
        self.channel = channel
        self.module = types.ModuleType(NAME)
        self.own: dict[str, Any] = {}  # the student's functions, while stubs stand in their places
        self.submission = Submission(self.module, set())

    def to(self, frame: Frame) -> tuple[str, Any]:
        """The kind and data of the answer."""
        try:
            with np.errstate(all="ignore"), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return "value", within(getattr(self, f"_{frame.kind}")(**frame.data))
        except BaseException as error:  # a student's file may raise anything
            return "failure", described(error, loading=frame.kind == "load")

    def _load(self, source: np.ndarray, plain: Sequence[str]) -> None:
        text = source.tobytes()
        self.submission = Submission(self.module, set(plain))
        execute(text, self.module)

    def _task(self, earlier: Sequence[str]) -> None:
        """Put stubs of the reference in the places of the earlier tasks, and the student's functions back elsewhere."""
        there = vars(self.module)
        for name, function in self.own.items():
            if function is None:
                there.pop(name, None)
            else:
                there[name] = function
        self.own = {name: there.get(name) for name in earlier}
        there.update({name: stub(name, self.channel) for name in earlier})

    def _call(self, name: str, arguments: Sequence[Any]) -> Any:
        return self.submission.call(name, arguments)

    def _gradient(self, name: str, arguments: Sequence[Any], wrt: Sequence[int], cotangents: Sequence[Any]) -> Any:
        return self.submission.gradient(name, arguments, wrt, cotangents)


def execute(source: bytes, module: types.ModuleType) -> None:
    """Run a file's bytes as a module that comes from no path, so that no file beside it is imported."""
    sys.modules[NAME] = module
    module.__file__ = FILE
    sys.meta_path.insert(0, Importable())
    random.seed(0)
    np.random.seed(0)
    code = compile(source, FILE, "exec", dont_inherit=True)
    with contextlib.suppress(Exception):  # so that inspect and tracebacks find its lines
        text = io.TextIOWrapper(io.BytesIO(source), encoding="utf-8", errors="replace").read()
        linecache.cache[FILE] = (len(text), None, text.splitlines(keepends=True), FILE)
    exec(code, vars(module))


class Importable:
    """Refuses what a homework may not import, be it installed here or not, so that it is the same everywhere."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> None:
        if name.partition(".")[0] in IMPORTABLE:
            return
        frame = sys._getframe(1)
        while frame.f_back and "importlib" in frame.f_globals.get("__name__", ""):
            frame = frame.f_back
        if frame.f_globals.get("__name__") == NAME:
            raise ModuleNotFoundError(
                tr("a homework imports the standard library, NumPy and minilm; {name} is something else", name=name),
                name=name,
            )


def within(data: Any) -> Any:
    """Data that fit into an answer. MemoryError where their arrays do not."""
    if sum(leaf.nbytes for leaf in leaves_of(data) if isinstance(leaf, np.ndarray)) > ANSWERS.array_bytes:
        raise MemoryError(tr("the answer is larger than {n} MiB", n=ANSWERS.array_bytes >> 20))
    return data


def described(error: BaseException, *, loading: bool = False) -> dict[str, Any]:
    """An error as data: its kind for the report, its class, its text, and the line of the student's file."""
    kind = "raised"
    if isinstance(error, Raised):
        kind = error.kind
    elif isinstance(error, MemoryError):
        kind = "memory"
    elif loading:
        syntax = isinstance(error, SyntaxError) or (isinstance(error, ValueError) and "null bytes" in _text(error))
        kind = "syntax" if syntax else "import"
    elif isinstance(error, NotImplementedError):
        kind = "unsolved"
    return {"kind": kind, "type": str(type(error).__name__)[:100], "text": _text(error), "line": _line(error)}


def _text(error: BaseException) -> str:
    try:
        return str(str(error))[:LETTERS]
    except BaseException:  # its __str__ is the student's
        return ""


def _line(error: BaseException) -> int:
    """The last line of the student's file that the error passed; 0 without one."""
    line = 0
    if isinstance(error, SyntaxError) and isinstance(error.lineno, int):
        line = error.lineno
    passed = error.__traceback__
    while passed is not None:
        if passed.tb_frame.f_code.co_filename == FILE:
            line = passed.tb_lineno
        passed = passed.tb_next
    return line


# ------------------------------------------------------------------------------------- the reference of earlier tasks


def stub(name: str, channel: Channel) -> Callable:
    """A function that has the reference's answer, and its gradient, from the trusted side."""

    def ask(*arguments: Any, **keywords: Any) -> Any:
        return Asked(name, channel, arguments, keywords).answer()

    ask.__name__ = ask.__qualname__ = name
    return ask


class Asked:
    """One question to the reference. Which leaves are Tensors, and whose gradient is wanted, goes with it."""

    def __init__(self, name: str, channel: Channel, arguments: tuple, keywords: dict):
        self.channel = channel
        self.leaves = list(leaves_of((arguments, keywords)))
        self.live = [i for i, x in enumerate(self.leaves) if isinstance(x, Tensor) and x.requires_grad]
        sent = data_of(name, (arguments, keywords))
        self.question = {"name": name, "given": sent, "kinds": kinds_of(self.leaves), "live": self.live}
        self.pieces: list[np.ndarray] = []
        self._last: tuple[Any, list] | None = None

    def answer(self) -> Any:
        found = self.channel.ask_home("reference", self.question)
        leaves = rebuilt(list(leaves_of(found["value"])), found["kinds"], [])
        self.pieces = [leaves[i].numpy() for i in found["live"]]
        if self.pieces:
            joined = reference(*[self.leaves[i] for i in self.live], asked=self)
            at = 0
            for i, piece in zip(found["live"], self.pieces, strict=True):
                leaves[i] = joined[at : at + piece.size].reshape(piece.shape)
                at += piece.size
        return refilled(found["value"], iter(leaves))

    def flat(self) -> np.ndarray:
        return np.concatenate([piece.reshape(-1) for piece in self.pieces])

    def cotangent(self, g: Any, i: int) -> Any:
        """That of live input i; all are asked for at once."""
        if isinstance(g, Tensor):
            raise GraphError(
                tr("{name} is the reference here, and its gradient cannot be differentiated again",
                   name=self.question["name"])
            )  # fmt: skip
        if self._last is None or self._last[0] is not g:
            cuts = np.cumsum([piece.size for piece in self.pieces])[:-1]
            parts = [u.reshape(p.shape) for u, p in zip(np.split(g, cuts), self.pieces, strict=True)]
            self._last = g, self.channel.ask_home("reference_gradient", {**self.question, "cotangents": parts})
        return self._last[1][i]


@primitive
def reference(*inputs: Any, asked: Asked) -> Any:
    """All live outputs of a lesson's own function, side by side."""
    return asked.flat()


@reference.vjp("inputs")
def _(g: Any, i: int, asked: Asked) -> Any:
    """The reference's own gradient."""
    return asked.cotangent(g, i)


def kinds_of(leaves: Sequence[Any]) -> str:
    """A letter for each leaf: t Tensor, s a NumPy number, d anything else that is data."""
    return "".join("t" if isinstance(x, Tensor) else "s" if isinstance(x, np.generic) else "d" for x in leaves)


def rebuilt(leaves: list[Any], kinds: str, live: Sequence[int]) -> list[Any]:
    """Leaves that are again what they were."""
    made: list[Any] = []
    for i, (leaf, kind) in enumerate(zip(leaves, kinds, strict=True)):
        if kind == "t":
            made.append(Tensor(leaf, requires_grad=i in live))
        else:
            made.append(np.asarray(leaf)[()] if kind == "s" else leaf)
    return made


def refilled(data: Any, leaves: Iterator[Any]) -> Any:
    """The same tuples, lists and dicts with other leaves."""
    if isinstance(data, (tuple, list)):
        return type(data)([refilled(part, leaves) for part in data])
    if isinstance(data, dict):
        return {key: refilled(part, leaves) for key, part in data.items()}
    return next(leaves)


class References:
    """What a worker with a lesson's own functions says to what a stub asks: trusted code, on data that are not."""

    def __init__(self, tasks: dict[str, Task]):
        self.functions = {task.name: task.function for task in tasks.values()}

    def to(self, frame: Frame) -> tuple[str, Any]:
        try:
            with np.errstate(all="ignore"), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return "value", within(getattr(self, f"_{frame.kind}")(**frame.data))
        except Exception as error:
            return "failure", described(error)

    def _look(self, source: np.ndarray) -> list[tuple[int, str]]:
        """What a file has that a homework does not need; here, since to parse a stranger's text may take anything."""
        from minilm.homework.suspicion import suspicious

        return suspicious(source.tobytes())

    def _run(self, name: str, given: tuple, kinds: str, live: Sequence[int]) -> tuple[list[Any], Any]:
        leaves = rebuilt(list(leaves_of(given)), kinds, live)
        arguments, keywords = refilled(given, iter(leaves))
        return [leaves[i] for i in live], self.functions[name](*arguments, **keywords)

    def _reference(self, name: str, given: tuple, kinds: str, live: Sequence[int]) -> dict[str, Any]:
        _, result = self._run(name, given, kinds, live)
        leaves = list(leaves_of(result))
        depends = [i for i, x in enumerate(leaves) if isinstance(x, Tensor) and x.requires_grad]
        return {"value": data_of(name, result), "kinds": kinds_of(leaves), "live": depends}

    def _reference_gradient(
        self, name: str, given: tuple, kinds: str, live: Sequence[int], cotangents: Sequence[Any]
    ) -> list[np.ndarray]:
        from minilm.autograd import grad

        inputs, result = self._run(name, given, kinds, live)
        outputs = [x for x in leaves_of(result) if isinstance(x, Tensor) and x.requires_grad]
        total: Any = 0.0
        for y, u in zip(outputs, cotangents, strict=True):
            total = total + (y * u).sum()
        return [g.numpy() for g in grad(total, inputs)]
