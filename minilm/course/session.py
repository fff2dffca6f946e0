"""`L = lesson("l03")`, what a lesson's script speaks to: predictions, numbers of the prose, figures, proofs.

The same script runs by `minilm lesson run`, by itself, and as a notebook; the settings of a run lie in RUN.
"""

import contextlib
import hashlib
import inspect
import json
import shutil
import sys
import textwrap
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import threadpoolctl

import minilm
from minilm.course.banks import Bank, load
from minilm.course.implementations import Local
from minilm.course.proving import Verdict, prove
from minilm.course.said import agrees
from minilm.course.tables import in_notebook, table
from minilm.errors import ConfigError, MinilmError
from minilm.i18n import tr
from minilm.resources import write_atomically


class Refuted(MinilmError):
    """Something that a lesson says is not so: a number of its prose, an answer, a claim."""


@dataclass
class Settings:
    """Of the run in this process. out: the folder to write; None: runs/lessons/NAME. step: the learner answers."""

    out: Path | None = None
    step: bool = False


RUN = Settings()


def lesson(name: str) -> "Lesson":
    """What the script of that lesson speaks to. From here on BLAS has one thread: a lesson's matrices are small, and
    threads that wait for each other, on cores that others use too, cost far more than they bring.
    """
    threadpoolctl.threadpool_limits(1, user_api="blas")
    return Lesson(load(name))


class Lesson:
    """One run of one lesson."""

    def __init__(self, bank: Bank):
        self.bank = bank
        self.folder = RUN.out or Path("runs") / "lessons" / bank.about.short
        self._asked: dict[str, tuple[dict[str, Any], str | None]] = {}
        self._answered: set[str] = set()
        self._right: list[bool] = []  # of the predictions that a learner made
        self._started = time.perf_counter()

    # ------------------------------------------------------------------------------------------------- predictions

    def ask(self, label: str, question: str, options: dict[str, Any]) -> None:
        """A prediction, before the cell that decides it. options: text -> True (the right one), the name of the
        misconception that a wrong one shows, or None. On a terminal with --step the learner chooses."""
        if label in self._asked:
            raise ConfigError(tr("question {label} is asked twice", label=label))
        if len(options) < 2 or [value for value in options.values() if value is True] != [True]:
            raise ConfigError(tr("question {label}: one option must be True, of two or more", label=label))
        print()
        say(f"{label}  {question}")
        for letter, option in zip("abcdefgh", options, strict=False):
            say(f"  {letter}) {option}", "     ")
        self._asked[label] = options, self._choose(list(options)) if RUN.step else None

    def _choose(self, options: list[str]) -> str | None:
        letters = "abcdefgh"[: len(options)]
        while True:
            typed = input(tr("your prediction ({first} to {last}):", first=letters[0], last=letters[-1]) + " ").strip()
            if len(typed) == 1 and typed.lower() in letters:
                return options[letters.index(typed.lower())]

    def answer(self, label: str, shown: Any) -> None:
        """The option that the run has shown to be right, as text; Refuted if that is not the one marked True."""
        if label not in self._asked:
            raise ConfigError(tr("question {label} is answered before it is asked", label=label))
        options, chosen = self._asked[label]
        right = next(option for option, value in options.items() if value is True)
        if str(shown) != right:
            raise Refuted(
                tr("{label}: the run shows “{shown}”, the lesson says “{right}”", label=label, shown=shown, right=right)
            )
        self._answered.add(label)
        print(tr("{label}  the answer: {right}", label=label, right=right))
        if chosen is not None:
            self._right.append(chosen == right)
            print(tr("as you predicted") if chosen == right else tr("you predicted: {chosen}", chosen=chosen))
            hint = self.bank.hint(options[chosen]) if isinstance(options[chosen], str) else None
            if hint:
                say(hint)

    # ---------------------------------------------------------------------------------------- numbers, figures, source

    def said(self, text: str, value: Any) -> Any:
        """A number of the prose, computed: Refuted unless the value rounds to what `text` prints. Returns the value.

        text: as in the prose: "124,439,808", "1.88", "83 %" (of a value .83), "3.1e23", "about 1.9" (one unit of the
        last digit more or less), "more than 0.95", "less than 0.1".
        """
        if not agrees(text, float(value)):
            raise Refuted(tr("the prose says {text}, the run gives {value}", text=text, value=float(value)))
        return value

    def figure(self, figure: Any, name: str, caption: str) -> Path:
        """Save a figure of Matplotlib, or a graph that `ml.draw` drew, as name.png in the run's folder and print its
        caption; in a notebook show it."""
        path = self.folder / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        save = figure.savefig if hasattr(figure, "savefig") else figure.save
        save(path)
        if in_notebook():
            from IPython.display import Image, display

            display(Image(filename=str(path)))
            print(caption)
        else:
            say(tr("figure {path}: {caption}", path=path, caption=caption))
        return path

    def show(self, *functions: Any) -> None:
        """Print the source of library functions or classes, as it is."""
        for function in functions:
            source = textwrap.dedent(inspect.getsource(inspect.unwrap(function))).rstrip()
            say_code(source)

    # ------------------------------------------------------------------------------------------------- what takes long

    def steps(self, n: int, what: str) -> Iterator[int]:
        """0 … n - 1, with a bar on a terminal, and a line at the end: `for step in L.steps(300, "training")`."""
        start = time.perf_counter()
        yield from _with_bar(range(n), what)
        print(tr("{what}: {n} steps, {seconds:.1f} s", what=what, n=n, seconds=time.perf_counter() - start))

    @contextlib.contextmanager
    def timed(self, what: str) -> Iterator[None]:
        """How long a block takes, printed after it."""
        start = time.perf_counter()
        yield
        print(f"{what}: {time.perf_counter() - start:.1f} s")

    # --------------------------------------------------------------------------------------------------------- proofs

    def prove(self, examples: int | None = None, seed: int = 0) -> list[Verdict]:
        """Run every claim on our own implementation, print the table, write claims.json; Refuted if one fails.

        Where there are no reference answers (in what students are given), the claims about tasks are left to their
        own: `minilm homework check`.
        """
        unanswered = [label for label in self._asked if label not in self._answered]
        if unanswered:
            raise ConfigError(tr("asked and never answered: {labels}", labels=", ".join(unanswered)))
        impl = Local(self.bank.tasks)
        names = {task.number: task.name for task in self.bank.tasks.values()}
        claims = [claim for claim in self.bank.claims if not claim.of_task or claim.number in names]
        verdicts = [
            prove(claim, impl if claim.of_task else None, names.get(claim.number, ""), seed=seed, examples=examples)
            for claim in _with_bar(claims, tr("proving the claims"))
        ]
        if self._right:
            print(tr("predictions: {right} of {n} right", right=sum(self._right), n=len(self._right)))
        self._report(verdicts)
        failed = [v for v in verdicts if not v.passed]
        if failed:
            raise Refuted(
                tr("{number} does not hold: {what}: {reason}", number=failed[0].claim.number,
                   what=failed[0].claim.what, reason=failed[0].message)
            )  # fmt: skip
        return verdicts

    def _report(self, verdicts: Sequence[Verdict]) -> None:
        seconds = time.perf_counter() - self._started
        names = {task.number: task.name for task in self.bank.tasks.values()}
        rows = [
            (
                v.claim.number,
                names.get(v.claim.number, "minilm"),
                v.claim.what,
                tr("holds") if v.passed else tr("FAILS"),
            )
            for v in verdicts
        ]
        print()
        table([tr("claim"), tr("of"), tr("what"), tr("verdict")], rows, [not v.passed for v in verdicts])
        record = {
            "lesson": self.bank.about.folder.name,
            "digest": digest(self.bank.about.folder),
            "seconds": round(seconds, 1),
            "claims": [
                {"number": v.claim.number, "what": v.claim.what, "holds": v.passed, "message": v.message}
                for v in verdicts
            ],
        }
        write_atomically(self.folder / "claims.json", json.dumps(record, indent=2, ensure_ascii=False) + "\n")
        held = sum(v.passed for v in verdicts)
        print(
            tr("{held} of {n} claims hold; {seconds:.0f} s; figures and claims.json in {folder}", held=held,
               n=len(verdicts), seconds=seconds, folder=self.folder)
        )  # fmt: skip


def _with_bar(items: Sequence[Any], what: str) -> Iterable[Any]:
    """The items, with a bar on a terminal that goes away at the end."""
    if not sys.stdout.isatty():
        return items
    from rich.progress import track

    return track(items, description=what, transient=True)


def say(text: str, indent: str = "") -> None:
    """Print a line; on a terminal broken between words, later lines after the indent."""
    if sys.stdout.isatty():
        width = min(100, shutil.get_terminal_size().columns)
        text = textwrap.fill(text, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
    print(text)


def say_code(source: str) -> None:
    """Print Python; on a terminal coloured, and broken where it is wider than the terminal."""
    if not sys.stdout.isatty():
        return print(source)
    from rich.console import Console
    from rich.syntax import Syntax

    console = Console()
    console.print(Syntax(source, "python", word_wrap=True), width=min(console.width, 124))


def digest(folder: Path) -> str:
    """SHA-256 of a lesson's files and minilm's version: a run's result stands as long as it is the same."""
    found = hashlib.sha256(minilm.__version__.encode())
    for path in sorted(folder.glob("*.*")):
        found.update(path.name.encode() + b"\0" + path.read_bytes())
    return found.hexdigest()
