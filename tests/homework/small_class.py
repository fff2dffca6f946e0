"""A lesson of three short tasks, a class that handed it in, and stand-ins for what grades."""

import os
import time
from pathlib import Path

from planted import TOML, plant

from minilm.homework.grading import Graded, record_of, unreadable
from minilm.homework.seeds import Secret

SECRET = Secret(b"a secret of the tests")
TASKS = '''
from minilm.course import task

@task("L7.1", points=2)
def square(x):
    """x times x, entry by entry; x: floats of any shape."""
    return x * x

@task("L7.2", points=1, plain=True)
def total(x):
    """The sum of all entries, a number."""
    return float(x.sum())

@task("L7.3", points=3)
def fourth(x):
    """x to the fourth, by the square of the square."""
    return square(square(x))
'''
CHECKS = """
from minilm.course import claim, expect, expect_close, expect_gradient
from minilm.course.strategies import floats

@claim("L7.1", "it is x squared", floats(3))
def value(impl, x):
    expect_close(impl.square(x), [v * v for v in x.tolist()], "the squares")

@claim("L7.1", "its gradient is that of its values", floats(2), examples=15)
def gradient(impl, x):
    expect_gradient(impl.square, (x,))

@claim("L7.2", "it is the sum", floats(3))
def sums(impl, x):
    expect_close(impl.total(x), sum(x.tolist()), "the sum")

@claim("L7.3", "it is x to the fourth", floats(3))
def fourths(impl, x):
    expect_close(impl.fourth(x), [v**4 for v in x.tolist()], "the fourth powers")

@claim("L7.3", "it is never negative", floats(3))
def positive(impl, x):
    expect(impl.fourth(x) >= 0, "no entry is negative")
"""
MUTANTS = """
from minilm.course import mutant

@mutant("L7.1", misconception="square_is_double", hint="What is 3 squared?")
def square(x):
    return x + x
"""
GOOD = """
def square(x):
    return x * x

def total(x):
    return float(x.sum())

def fourth(x):
    return square(square(x))
"""
ENDLESS = GOOD + "\ndef total(x):\n    while True: pass\n"
CLASS = {
    "ana": GOOD,
    "bea": GOOD + "\ndef total(x):\n    return float(x.mean())\n",
    "carl": GOOD + "\ndef square(x):\n    return x + x\n",
    "dora": GOOD + "\ndef fourth(x):\n    return x * x\n",
    "emil": "def square(x:\n",
    "fina": GOOD.replace("def total", "def totals"),
    "gil": GOOD + "\ndef fourth(x):\n    raise NotImplementedError\n",
    "hugo": "raise RuntimeError('no')\n",
}
POINTS = {"ana": 6.0, "bea": 5.0, "carl": 5.0, "dora": 4.5, "emil": 0.0, "fina": 5.0, "gil": 3.0, "hugo": 0.0}


def lesson(folder: Path, **files: str) -> Path:
    return plant(folder / "l07_powers", tasks_py=TASKS, mutants_py=MUTANTS, variants_py=None,
                 lesson_toml=TOML, **{"checks_py": CHECKS, **files})  # fmt: skip


def hand_in(folder: Path, sources: dict[str, str] = CLASS) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for student, source in sources.items():
        (folder / f"{student}.py").write_text(source)
    return folder


def seeds(bank, student: str) -> dict[str, tuple[tuple[int, int], ...]]:
    return {
        number: tuple(
            (SECRET.seed("l07", None, number, i), SECRET.seed("l07", student, number, i))
            for i in range(len(bank.claims_of(number)))
        )
        for number in bank.tasks
    }


def fragile(rules, submission, seeds, only):
    """Stands in for grading where processes die: those of "carl" always, those of "bea" the first time."""
    from minilm.course.banks import load

    source = submission.source or b""
    if submission.student == "hugo":
        raise LookupError("a fault of ours")
    if submission.student == "carl":
        os._exit(3)
    if submission.student == "bea":
        mark = Path(source.decode().strip())
        if not mark.exists():
            mark.touch()
            os._exit(3)
    bank = load(rules.lesson)
    tasks = tuple(unreadable(task, "time", "") for task in bank.tasks.values())
    time.sleep(0.01)
    return Graded(record_of(rules, bank, submission, tasks), 0.0, ())
