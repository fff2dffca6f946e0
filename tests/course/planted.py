"""A small lesson to plant mistakes in: `plant(folder, tasks=…, checks=…)` writes it with some files replaced."""

from pathlib import Path

TOML = """number = 7
title = "Squares"
slide = "none"
minutes = 30
after = []
introduces = []
terms = []
summary = "A lesson for the tests."
"""

TASKS = '''
from minilm.course import task

@task("L7.1", points=2, keep=1)
def square(x):
    """x times x, entry by entry; x: floats of any shape."""
    y = x
    return x * y

@task("L7.2", plain=True)
def total(x):
    """The sum of all entries, a number."""
    return float(x.sum())
'''

CHECKS = """
from minilm.course import claim, expect, expect_close, expect_gradient
from minilm.course.strategies import floats, integers

@claim("L7.1", "it is x squared", floats(3), examples=15)
def value(impl, x):
    expect_close(impl.square(x), [v * v for v in x.tolist()], "the squares")

@claim("L7.1", "its gradient is that of its values", floats(2), examples=15)
def gradient(impl, x):
    expect_gradient(impl.square, (x,))

@claim("L7.2", "it is the sum", floats(3), examples=15)
def sums(impl, x):
    expect_close(impl.total(x), sum(x.tolist()), "the sum")

@claim("L7.3", "numbers are numbers", integers(0, 3), examples=15)
def own(n):
    expect(n >= 0, "not negative")
"""

MUTANTS = """
from minilm.course import mutant
from .tasks import square as right

@mutant("L7.1", misconception="square_is_double", hint="What is 3 squared?")
def square(x):
    return x + x

@mutant("L7.1", misconception="keeps_the_sign", hint="Can a square be negative?")
def square(x):
    return right(x) * (2.0 * (x.numpy() > 0) - 1.0)

@mutant("L7.2", misconception="mean_for_sum", hint="Divided by what?")
def total(x):
    return float(x.mean())
"""

VARIANTS = """
from minilm.course import variant

@variant("L7.1", "as a power")
def square(x):
    return x ** 2.0
"""

LESSON = '''# %% [markdown]
r"""
# Lesson 7. Squares

- **L7.1** Squares.

It holds 0.25 things.
"""
# %%
from minilm.course import lesson
from minilm.course.figures import subplots
L = lesson("FOLDER")
# %% [markdown]
r"""
## L7.1 Squares
"""
# %%
L.ask("L7.1a", "What is 3 squared?", {"6": "square_is_double", "9": True})
# %%
L.answer("L7.1a", 3 * 3)
L.said("0.25", 0.5 * 0.5)
fig, axes = subplots()
L.figure(fig, "nothing", "An empty picture.")
# %%
L.prove()
'''


def plant(folder: Path, **files: str | None) -> Path:
    """Write the lesson; a file given replaces its own, None leaves it out. lesson.py is found at its own place."""
    folder.mkdir(parents=True, exist_ok=True)
    contents = {"lesson.toml": TOML, "tasks.py": TASKS, "checks.py": CHECKS, "mutants.py": MUTANTS,
                "variants.py": VARIANTS, "lesson.py": LESSON}  # fmt: skip
    for name, content in {**contents, **{name.replace("_", "."): text for name, text in files.items()}}.items():
        if content is not None:
            (folder / name).write_text(content.replace("FOLDER", str(folder)), encoding="utf-8")
    return folder
