"""Engines in processes of their own, of which one computes at a time.

Thread pools of several libraries in one process take the processor from each other (a pool's threads spin for a while
after their work, each library by its own rules), a library's choice of kernels is one for a process, and only a process
of its own shows how much memory an engine needs. So each engine has one, on the same processors as all others, and on
as many as it may have threads: "one thread" is then one processor, whatever a library keeps beside. They take turns,
and between two turns nothing computes until the pools have gone to sleep.
"""

import contextlib
import os
import pickle
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from environment import clean_environment
from recipe import Unavailable

REST = 0.02  # seconds until the threads of a pool sleep


@dataclass(frozen=True)
class Turn:
    """What some steps took and gave: seconds and processor seconds of each, and their outcomes."""

    seconds: list[float]
    processor: list[float]
    outcomes: list[Any]


class EngineProcess:
    """One engine. memory: bytes, the most that it had until the last turn, and what it had after its imports."""

    def __init__(self, order: dict[str, Any], environment: dict[str, str]):
        self.memory = (0, 0)
        self._process = subprocess.Popen(
            [sys.executable, Path(__file__).with_name("serve.py")],
            env=clean_environment(order["threads"]) | environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,  # an interrupt is for the parent, which ends them
        )
        self._send(order)

    def ready(self) -> str:
        """Wait until the model is made; returns with which kernels it computes. Unavailable where it cannot."""
        return self._receive()["kernels"]

    def turn(self, inputs: list[Any], cpus: list[int]) -> Turn:
        """A step for each input, on those processors alone."""
        time.sleep(REST)
        self._send({"cpus": cpus, "inputs": inputs})
        answer = self._receive()
        self.memory = answer["memory"]
        seconds, processor, outcomes = zip(*answer["steps"], strict=True)
        return Turn(list(seconds), list(processor), list(outcomes))

    def close(self) -> None:
        """End it, whatever it does."""
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        if hasattr(os, "killpg"):  # those that it has started too: compilers
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
        self._process.kill()
        self._process.wait()
        self._process.stdout.close()

    def _send(self, message: Any) -> None:
        with contextlib.suppress(BrokenPipeError):  # it has ended, which `_receive` will say
            pickle.dump(message, self._process.stdin)
            self._process.stdin.flush()

    def _receive(self) -> Any:
        try:
            answer = pickle.load(self._process.stdout)
        except EOFError:
            raise Unavailable(f"its process ended with status {self._process.wait()}") from None
        if "unavailable" in answer:
            raise Unavailable(answer["unavailable"])
        return answer
