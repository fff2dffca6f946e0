"""What ran in a block: each operation and gradient rule with its time, bytes and FLOPs, as a table.

with ml.trace() as t:
    loss = model.loss(ids, targets)
    loss.backward()
print(t)
"""

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Self

from minilm.autograd.guards import owner_of
from minilm.autograd.operation import Fused
from minilm.autograd.state import Observer
from minilm.autograd.tensor import shape, value
from minilm.errors import ConfigError
from minilm.i18n import tr
from minilm.seeing.flops import Call, Flops, backward_flops, forward_flops
from minilm.seeing.memory import NoMemory, measured, wait_for_device


@dataclass(frozen=True, slots=True)
class Record:
    """One run of an operation, or of its gradient rules.

    direction: "forward" or "backward". shapes: of the arguments that are arrays. output: the shape of the result.
    start: seconds from the block's begin. bytes: of the new arrays returned, the result or the cotangents; a view, or
    a cotangent passed on unchanged, is none. flops: as flops.py counts; products: those of them in matrix products.
    memory: bytes above the block's begin when it was done; None where not measured. thread: its name.
    """

    operation: str
    direction: str
    shapes: tuple[tuple[int, ...], ...]
    output: tuple[int, ...]
    start: float
    seconds: float
    bytes: int
    flops: int
    products: int
    memory: int | None
    thread: str


class trace(Observer):  # noqa: N801 -- reads as the function that it is: ml.trace()
    """A `with` block whose operations and gradient rules, of all threads, are timed and counted.

    memory: whether to measure the peak as well, on NumPy with tracemalloc, on CuPy in its memory pool. (On CuPy each
    operation also waits for the device, so that its time is its own.) Cost: some 7 µs an operation, 3 % of a small
    GPT's training step; with memory 20 to 30 %, and steps of tiny arrays take four times as long.

    Afterwards `print(t)` shows a table and `t.records` holds every run in order. What runs within an operation or a
    gradient rule belongs to it; a rule's time includes adding its cotangents to those of other uses. Seen are the
    operations of `ml.functional` and of Tensors, not what NumPy does with bare arrays.
    """

    def __init__(self, memory: bool = True):
        self.records: list[Record] = []
        self.seconds = 0.0  # of the whole block
        self._memory = measured() if memory else NoMemory()
        self._local = threading.local()

    def __enter__(self) -> Self:
        if self.records or self.seconds:
            raise ConfigError(tr("trace: this one has been used; begin another with ml.trace()"))
        self._memory.start()
        self._begin = time.perf_counter()
        return super().__enter__()

    def __exit__(self, *exc: object) -> None:
        super().__exit__(*exc)
        wait_for_device()
        self.seconds = time.perf_counter() - self._begin
        self._memory.stop()

    # ------------------------------------------------------------------------------------------------- looking on

    def forward(self, operation: Any, function: Callable) -> Callable:
        def timed(*args: Any, **kwargs: Any) -> Any:
            if self._inside():
                return function(*args, **kwargs)
            self._local.inside = True
            try:
                wait_for_device()
                start = time.perf_counter()
                y = function(*args, **kwargs)
                wait_for_device()
                seconds = time.perf_counter() - start
            finally:
                self._local.inside = False
            if y is not NotImplemented:  # else a kernel has declined, and the twin will be seen
                result = y[0] if isinstance(operation, Fused) else y
                call = Call(operation, args, shape(result))
                self._note("forward", call, start, seconds, _new_bytes([result], args), forward_flops(call))
            return y

        return timed

    def backward(self, node: Any, g: Any, cotangents: Iterable[tuple[Any, Any]]) -> Iterator[tuple[Any, Any]]:
        if self._inside():
            yield from cotangents
            return
        sources = node.sources()
        call = Call(node.operation, node.arguments, node.shape)
        reached: list[Any] = []
        new = 0
        self._local.inside = True
        try:
            wait_for_device()
            start = time.perf_counter()
            for source, d in cotangents:
                reached.append(source)
                new += _new_bytes([d], [g])
                yield source, d
            wait_for_device()
            seconds = time.perf_counter() - start
        finally:
            self._local.inside = False
        self._note("backward", call, start, seconds, new, backward_flops(call, _positions(sources, reached)))

    def _inside(self) -> bool:
        return getattr(self._local, "inside", False)

    def _note(self, direction: str, call: Call, start: float, seconds: float, new: int, flops: Flops) -> None:
        shapes = tuple(tuple(a.shape) for a in call.arguments if hasattr(a, "shape"))
        self.records.append(
            Record(
                operation=call.operation.name.lstrip("_"),
                direction=direction,
                shapes=shapes,
                output=call.output,
                start=start - self._begin,
                seconds=seconds,
                bytes=new,
                flops=flops.total,
                products=flops.products,
                memory=self._memory.now(),
                thread=threading.current_thread().name,
            )
        )

    # ---------------------------------------------------------------------------------------------------- the sums

    @property
    def peak_bytes(self) -> int | None:
        """The most memory in use at once above what there was when the block began; None where not measured."""
        return self._memory.peak

    @property
    def flops(self) -> int:
        """FLOPs of all records."""
        return sum(r.flops for r in self.records)

    @property
    def products(self) -> int:
        """FLOPs in matrix products, of all records."""
        return sum(r.products for r in self.records)

    def flops_of(self, direction: str, operation: str | None = None) -> int:
        """FLOPs of the records "forward" or "backward", and of one operation where it is named."""
        if direction not in ("forward", "backward"):
            raise ConfigError(tr("trace: direction is 'forward' or 'backward', not {got!r}", got=direction))
        return sum(r.flops for r in self.records if r.direction == direction and operation in (None, r.operation))

    def rows(self) -> list["Row"]:
        """The records of each operation and direction added up, the longest first."""
        found: dict[tuple[str, str], Row] = {}
        for r in self.records:
            row = found.setdefault((r.operation, r.direction), Row(r.operation, r.direction))
            row.add(r)
        return sorted(found.values(), key=lambda row: -row.seconds)

    def table(self) -> Any:
        """The rows as a table of rich: what `print(t)` shows."""
        from minilm.seeing.table import table

        return table(self)

    __rich__ = table

    def __str__(self) -> str:
        from minilm.seeing.table import rendered

        return rendered(self.table())

    def _repr_html_(self) -> str:
        from minilm.seeing.table import rendered

        return rendered(self.table(), html=True)


@dataclass
class Row:
    """The records of one operation in one direction, added up."""

    operation: str
    direction: str
    calls: int = 0
    seconds: float = 0.0
    bytes: int = 0
    flops: int = 0

    def add(self, record: Record) -> None:
        self.calls += 1
        self.seconds += record.seconds
        self.bytes += record.bytes
        self.flops += record.flops


def _new_bytes(results: Iterable[Any], given: Iterable[Any]) -> int:
    """The bytes of results that do not lie in memory of what was given."""
    owners = {id(owner_of(a)) for a in map(value, given) if hasattr(a, "base")}
    return sum(
        a.nbytes
        for a in map(value, results)
        if hasattr(a, "nbytes") and not (hasattr(a, "base") and id(owner_of(a)) in owners)
    )


def _positions(sources: list[tuple[int, Any]], reached: list[Any]) -> list[int]:
    """The arguments that the sources stand for, both in the order of the arguments."""
    rest = iter(sources)
    return [next((i for i, s in rest if s is source), 0) for source in reached]
