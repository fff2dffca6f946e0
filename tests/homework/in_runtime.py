"""Run with a lesson's runtime first on the path: `python in_runtime.py FOLDER --claims N` prints JSON of what it is.

FOLDER is the lesson in the checkout, whose tasks.py plays a submission that solves everything.
"""

import argparse
import contextlib
import importlib
import json
import pkgutil
import sys
import warnings
from pathlib import Path

import numpy as np


def reference(folder):
    """The marks of a tasks.py that runs as a stranger's module."""
    from minilm.course.marks import MARKS

    namespace = {"__name__": "submission"}
    exec(compile((folder / "tasks.py").read_text("utf-8"), "submission", "exec"), namespace)
    return {task.number: task for task in namespace[MARKS]}


def called(name):
    """What a call of a name of minilm ends with: the error's class."""
    import minilm

    found = minilm
    for part in name.split("."):
        if (found, part) == (minilm, "F"):
            found = minilm.functional
        else:
            with contextlib.suppress(ModuleNotFoundError):
                importlib.import_module(f"{getattr(found, '__name__', 'none')}.{part}")
            found = getattr(found, part)
    return outcome(found)


def outcome(function, *arguments):
    try:
        function(*arguments)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "an answer"


def unimportable():
    import minilm

    names = [info.name for info in pkgutil.walk_packages(minilm.__path__, "minilm.") if ".lessons" not in info.name]
    found = {name: outcome(importlib.import_module, name) for name in names if not name.endswith("__main__")}
    return {name: what for name, what in found.items() if what != "an answer"}


def broken_claims(bank, tasks, examples):
    """The claims about tasks that the reference does not meet here."""
    from minilm.course import Local, prove

    impl, found = Local(tasks), {}
    for claim in bank.claims:
        if claim.number in tasks and claim.of_task:
            verdict = prove(claim, impl, tasks[claim.number].name, seed=1, examples=examples, shrink=False)
            if not verdict.passed and (verdict.kind != "constant" or examples > 5):  # of few cases many are alike
                found[f"{claim.number} {claim.what}"] = verdict.message
    return found


def taken(shortcuts, folder):
    """How the shortcuts of the lesson end, on cases of the claims."""
    import one_call

    from minilm.course.banks import load, read_about

    bank = load(read_about(folder))
    cases = one_call.recorded(bank, {number: bank.tasks[number] for number in shortcuts})
    return {
        number: [outcome(function, *one_call.made(case[0], not bank.tasks[number].plain))
                 for case in cases[bank.tasks[number].name]]
        for number, function in shortcuts.items()
    }  # fmt: skip


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--claims", type=int, required=True)
    parser.add_argument("--whole", action="store_true", help="import every module too")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    np.seterr(all="ignore")
    sys.path.append(str(Path(__file__).parent))

    from shortcuts import SHORTCUTS

    import minilm
    from minilm.course.banks import load, read_about
    from minilm.homework.assignment import asked_of

    about = read_about(options.folder)
    bank = load(about.short)  # the runtime's own, without answers
    names = [name for table in (about.withheld, about.guarded) for listed in table.values() for name in listed]
    own = {number: f for number, f in SHORTCUTS.items() if number.startswith(f"L{about.number}.")}
    found = {
        "minilm": minilm.__file__,
        "asked": [task.number for task in asked_of(bank.about)],
        "answers": [len(bank.tasks), len(bank.mutants), len(bank.variants)],
        "unimportable": unimportable() if options.whole else {},
        "refused": {name: called(name) for name in names},
        "shortcuts": taken(own, options.folder),
        "broken": broken_claims(bank, reference(options.folder), options.claims),
    }
    print("\n" + json.dumps(found))


if __name__ == "__main__":
    main()
