"""What jobs do in tests of lanes and clusters: work, fail, or end their process, as often as they are told."""

import os
import signal
import threading
import time
from pathlib import Path

from minilm.errors import ConfigError, TrainingError
from minilm.lanes import THREADS


def begun(folder, name):
    """How often the job of that name was begun."""
    return len(list(Path(folder).glob(f"{name}.*")))


def mark(folder, name):
    (Path(folder) / f"{name}.{time.monotonic_ns()}-{os.getpid()}").touch()


def work(folder, name, seconds=0.0):
    mark(folder, name)
    time.sleep(seconds)
    return name


def threads():
    return [os.environ.get(variable) for variable in THREADS], os.getpid()


def ends(folder, name, times):
    """Ends its process the first `times` times."""
    mark(folder, name)
    if begun(folder, name) <= times:
        os.kill(os.getpid(), signal.SIGKILL)
    return name


def ends_later(seconds):
    """Answers, and then ends its process while it has nothing to do."""
    threading.Timer(seconds, os._exit, (3,)).start()
    return "answered"


def fails(kind):
    errors = {"training": TrainingError("it diverged"), "config": ConfigError("no such thing"),
              "disk": OSError(28, "No space left on device"), "ours": LookupError("a fault of ours")}  # fmt: skip
    raise errors[kind]


def unpicklable():
    return threading.Lock()


def counted_training(point, version, text):
    """train_on_worker, with a mark in the folder that the environment names."""
    from minilm.sweeps.worker import train_on_worker

    mark(os.environ["MARKS"], point.name)
    time.sleep(0.5)
    return train_on_worker(point, version, text)
