"""The process of one engine: it makes its model once, and then does as many steps as it is told, turn after turn.

What it is told and what it answers goes through its standard input and output, one pickle each; `processes.py` is at
the other end. Nothing is imported before the engine's own module, so that its memory is its own.
"""

import contextlib
import importlib
import os
import pickle
import sys
import time
from typing import Any

from memory import most_resident, resident
from recipe import Unavailable


def confine(cpus: list[int]) -> None:
    """Every thread of this process on these processors alone, so that "one thread" is no more than one for anybody,
    however many threads a library keeps."""
    for thread in os.listdir("/proc/self/task") if cpus and os.path.isdir("/proc/self/task") else ():
        with contextlib.suppress(ProcessLookupError):  # it has ended meanwhile
            os.sched_setaffinity(int(thread), cpus)


def serve(receive: Any, send: Any) -> None:
    """Make the engine that the first message describes, then take turns until there is no more message."""
    order = receive()
    confine(order["cpus"])
    try:
        module = importlib.import_module(order["program"])
    except ModuleNotFoundError as error:
        raise Unavailable(f"{error.name} is not installed") from None
    imported = resident()
    make = module.ENGINES[order["workload"]]
    with make(order["size"], order["weights"], order["threads"], **order["options"]) as step:
        send({"kernels": module.kernels()})
        while (turn := receive()) is not None:
            confine(turn["cpus"])
            found = []
            for given in turn["inputs"]:
                start, used = time.perf_counter(), time.process_time()
                outcome = step(given)
                found.append((time.perf_counter() - start, time.process_time() - used, outcome))
            send({"steps": found, "memory": (most_resident(), imported)})


def main() -> None:
    """Serve. Any other error than Unavailable ends the process, and its traceback stands on the standard error."""
    to_parent = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints is no answer

    def send(answer: dict[str, Any]) -> None:
        pickle.dump(answer, to_parent)
        to_parent.flush()

    def receive() -> Any:
        try:
            return pickle.load(sys.stdin.buffer)
        except EOFError:
            return None

    try:
        serve(receive, send)
    except Unavailable as error:
        send({"unavailable": str(error)})


if __name__ == "__main__":
    main()
