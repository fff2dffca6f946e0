"""Is a task's answer to be had by one call of the library? Every function of minilm is called with a task's arguments.

`python one_call.py LESSON…` with a runtime first on sys.path prints what was found, a line each, as JSON. The arguments
are those of real cases, recorded while the claims run on the reference; they are tried in every order and choice, with
NumPy arrays and with Tensors. What answers as the reference does in every case is found.
"""

import contextlib
import importlib
import inspect
import io
import itertools
import json
import pkgutil
import random
import signal
import sys
import types
import warnings
from pathlib import Path

import numpy as np

# Modules whose functions only compute; the others write files, fetch, start processes or speak.
PURE = ("autograd", "functional", "generation", "mundito", "models.sizes", "ngram", "nn", "text", "training.optim",
        "training.schedule", "transfer.inputs", "transfer.metrics", "models.bert", "models.gpt")  # fmt: skip
IMPURE = ("text.fetch", "text.corpora", "text.pretrained", "text.tokenizer_json")
CASES = 6


def recorded(bank, tasks):
    """Task's name -> [(arguments, result)], as data, from one run of each claim."""
    from minilm.course import Local, prove

    found = {task.name: [] for task in tasks.values()}

    class Recorder(Local):
        def call(self, name, arguments):
            result = super().call(name, arguments)
            if not any(same(arguments, old) for old, _ in found[name]):
                found[name].append((arguments, result))
            return result

        def gradient(self, name, arguments, wrt, cotangents):
            with contextlib.suppress(Exception):
                self.call(name, arguments)
            return super().gradient(name, arguments, wrt, cotangents)

    for claim in bank.claims:
        if claim.of_task and claim.number in tasks:
            with contextlib.suppress(Exception):
                prove(claim, Recorder(tasks), tasks[claim.number].name, examples=8, seed=3, shrink=False)
    return {name: chosen(cases) for name, cases in found.items()}


def chosen(cases):
    """Some of the cases, whose results are not all alike and of a size that decides."""
    rng = random.Random(0)
    cases = [case for case in cases if size(case[0]) < 5000]
    return rng.sample(cases, min(CASES, len(cases)))


def size(data):
    return sum(np.size(leaf) for leaf in leaves(data))


def leaves(data):
    from minilm.course.implementations import leaves_of

    return list(leaves_of(data))


def same(a, b):
    """Whether two results are the same data, to rounding; a Tensor is its array, a tuple a list."""
    from minilm.autograd import Tensor

    a, b = ([x.numpy() if isinstance(x, Tensor) else x for x in leaves(part)] for part in (a, b))
    if len(a) != len(b):
        return False
    for x, y in zip(a, b, strict=True):
        if isinstance(x, str) or isinstance(y, str) or x is None or y is None:
            if x is not y and not (isinstance(x, str) and isinstance(y, str) and x == y):
                return False
            continue
        try:
            x, y = np.asarray(x, float), np.asarray(y, float)
        except (TypeError, ValueError):
            return False
        if x.shape != y.shape or not np.allclose(x, y, rtol=1e-6, atol=1e-9, equal_nan=True):
            return False
    return True


def functions():
    """Every function of the pure modules, with its dotted name: operations, functions, methods of classes by name."""
    import minilm

    for info in pkgutil.walk_packages(minilm.__path__, "minilm."):
        short = info.name.removeprefix("minilm.")
        if not within(short, PURE) or within(short, IMPURE):
            continue
        module = importlib.import_module(info.name)
        for name, value in sorted(vars(module).items(), key=lambda item: item[0]):
            own = getattr(inspect.unwrap(value) if callable(value) else value, "__module__", None) == info.name
            if isinstance(value, types.ModuleType) or not callable(value):
                continue
            if isinstance(value, type):
                methods = [m for m, f in vars(value).items() if own and isinstance(f, (classmethod, staticmethod))]
                yield from ((f"{short}.{name}.{m}", getattr(value, m)) for m in methods)
            elif own or type(value).__name__ in ("Fused", "Primitive"):
                yield f"{short}.{name}", value


def within(name, roots):
    return any(name == root or name.startswith(f"{root}.") for root in roots)


def orders(arguments):
    """The arguments, in the choices and orders that a short call may have: all of up to three, of more those that keep
    the order, and every pair."""
    n = len(arguments)
    for k in range(n, 0, -1):
        keep = n > 3 and k > 2
        yield from itertools.combinations(range(n), k) if keep else itertools.permutations(range(n), k)


def takes(function, n):
    """Whether the function can be called with n arguments."""
    try:
        inspect.signature(function).bind(*[None] * n)
    except TypeError:
        return False
    except ValueError:  # it has no signature to read
        return True
    return True


def made(data, tensors):
    from minilm.course.implementations import copied
    from minilm.course.implementations import tensors as as_tensors

    return as_tensors(data) if tensors else copied(data)


def answers(function, cases, order, tensors):
    """Whether a call with these arguments says what the reference says, in every case."""
    for arguments, result in cases:
        try:
            got = function(*[made(arguments[i], tensors) for i in order])
            if isinstance(got, types.GeneratorType):
                return False
            if not same(got, result):
                return False
        except Exception:
            return False
    return True


def search(about):
    """[(task, function, order of arguments)] of what answers a task of the lesson."""
    from minilm.course import load

    bank = load(about)
    tasks, found = bank.tasks, []
    cases = recorded(bank, tasks)
    worked = {task.name for task in tasks.values() if task.worked}
    for where, function in functions():
        for task in tasks.values():
            if task.name in worked or len(cases[task.name]) < 2 or constant(cases[task.name]):
                continue
            for order in orders(cases[task.name][0][0]):
                if not takes(function, len(order)):
                    continue
                for tensors in (False, True):
                    if answers(function, cases[task.name], order, tensors):
                        found.append((task.number, where, order))
    return found


def constant(cases):
    return all(same(cases[0][1], result) for _, result in cases)


if __name__ == "__main__":
    from minilm.course.banks import find_lesson

    warnings.simplefilter("ignore")
    np.seterr(all="ignore")
    signal.alarm(500)
    for name in sys.argv[1:]:
        with contextlib.redirect_stdout(io.StringIO()):
            found = search(find_lesson(Path(name)))
        for line in found:
            print(json.dumps(line))
