"""What a lesson is made of: tasks, claims about them, wrong answers, other right answers, and the script that runs.

    tasks.py     @task("L3.2", points=2)                     a function that the student writes; here is the reference
    checks.py    @claim("L3.2", "what holds", strategy)      a property: of any implementation of the task, or of minilm
    mutants.py   @mutant("L3.2", misconception=…, hint=…)    what students write instead
    variants.py  @variant("L3.2", "by a loop")               other ways that are as right
    lesson.py    L = lesson("l03")                           prose and code; it ends with L.prove()

A claim is defined once. The lesson, the tests, a student's check at home and a grader run that one function; they
differ in the implementation that they hand to it, which may be a file of this process or another process altogether.
This floor knows arrays and processes and no model.
"""

import importlib
from typing import Any

_HOME = {
    "Bank": "banks",
    "Claim": "marks",
    "Implementation": "implementations",
    "Lesson": "session",
    "Local": "implementations",
    "Mutant": "marks",
    "Raised": "implementations",
    "Task": "marks",
    "Unmet": "expecting",
    "Variant": "marks",
    "Verdict": "proving",
    "claim": "marks",
    "expect": "expecting",
    "expect_close": "expecting",
    "expect_gradient": "expecting",
    "expect_shape": "expecting",
    "find_lessons": "banks",
    "lesson": "session",
    "load": "banks",
    "mutant": "marks",
    "prove": "proving",
    "task": "marks",
    "variant": "marks",
}


def __getattr__(name: str) -> Any:
    """The name, from its module when first used, so that hypothesis and matplotlib wait until they are needed."""
    if name not in _HOME:
        raise AttributeError(f"module 'minilm.course' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"minilm.course.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})
