"""What a thread is doing, and the switches: whether operations are recorded, whether fused kernels run."""

import contextlib
import threading
from collections.abc import Iterator
from typing import Any, Self


class State(threading.local):
    """What a thread is doing: whether it records, and where a replay writes the values of each new node."""

    recording = True
    tape: dict[Any, Any] | None = None


state = State()


@contextlib.contextmanager
def set_recording(on: bool) -> Iterator[None]:
    before, state.recording = state.recording, on
    try:
        yield
    finally:
        state.recording = before


def no_grad() -> Any:
    """Within this block (or decorated function) nothing is recorded: less memory, and no gradients."""
    return set_recording(False)


def is_recording() -> bool:
    """Whether operations of this thread are being recorded."""
    return state.recording


class fast(contextlib.ContextDecorator):  # noqa: N801 -- reads as the function that it is: ml.fast(False)
    """Turn the fused kernels on or off at once, for every thread; as a `with` block, only within the block."""

    on = True

    def __init__(self, on: bool = True):
        self.before, fast.on = fast.on, on

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        fast.on = self.before
