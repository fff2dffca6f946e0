"""Ctrl-C and SIGTERM as a request to stop after the step in hand; a second one stops at once."""

import signal
import threading
from types import FrameType
from typing import Any, Self

from minilm.errors import TrainingError


class Interrupted(TrainingError):
    """The training was stopped by Ctrl-C or SIGTERM, after it saved what there was to save."""

    exit_status = 130  # what a shell reports of a program that Ctrl-C ended


class StopRequest:
    """`with StopRequest() as stop:` turns the first signal into `stop.asked`, the second into KeyboardInterrupt.

    Outside the main thread Python delivers no signals; there it asks for nothing, and `stop.asked` may be set by hand.
    """

    SIGNALS = (signal.SIGINT, signal.SIGTERM)

    def __init__(self) -> None:
        self.asked = False
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._previous = {number: signal.signal(number, self._on_signal) for number in self.SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
