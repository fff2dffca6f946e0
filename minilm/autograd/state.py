"""What a thread is doing, and the switches: whether operations are recorded, whether kernels run, who looks on."""

import contextlib
import threading
from collections.abc import Callable, Iterable, Iterator
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


observers: list["Observer"] = []  # almost always empty, and then an operation pays no more than for asking


class Observer:
    """In a `with` block, sees every operation and gradient rule that runs, in every thread; the base of `ml.trace`.

    Each method may wrap what it is given; here they let everything pass.
    """

    def __enter__(self) -> Self:
        observers.append(self)
        return self

    def __exit__(self, *exc: object) -> None:
        observers.remove(self)

    def forward(self, operation: Any, function: Callable) -> Callable:
        """What runs in place of an operation's array function (or kernel, which also returns residuals)."""
        return function

    def recorded(self, node: Any) -> None:
        """A node has been made."""

    def backward(self, node: Any, g: Any, cotangents: Iterable[tuple[Any, Any]]) -> Iterable[tuple[Any, Any]]:
        """What runs in place of a node's gradient rules: they give (source, its cotangent) one by one."""
        return cotangents


def observed(operation: Any, function: Callable) -> Callable:
    """`function`, as all who look on have wrapped it."""
    for observer in observers:
        function = observer.forward(operation, function)
    return function
