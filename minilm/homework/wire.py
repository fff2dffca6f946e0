"""Frames over file descriptors: how data and arrays cross to a process that nobody trusts, and back.

A frame is the length of its header (4 bytes, big-endian), the header (JSON) and the bytes of its arrays, one after the
other. The header names the frame's nonce and kind, its data as a tree in which every array is a number, and what each
array is. Nothing is unpickled or evaluated, and what a header claims is compared with the bounds before any memory is
taken for it.

The tree: None, booleans, numbers and text stand for themselves; ["l", …] is a list, ["t", …] a tuple, ["d", key,
value, …] a dict, ["a", i] array number i.
"""

import contextlib
import json
import math
import os
import select
import struct
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np

from minilm.errors import MinilmError
from minilm.i18n import tr

DTYPES = {"|b1", "|i1", "<i2", "<i4", "<i8", "|u1", "<u2", "<u4", "<u8", "<f2", "<f4", "<f8"}
AXES = 32
LONG = 14_000  # bits of a whole number that may have more than the 4,300 digits which Python turns into text and back

_json = json.JSONEncoder(separators=(",", ":")).encode

Aside = tuple[int, Callable[[bytes], None]]  # a descriptor to empty while waiting, and who gets what was in it
Deadline = float | Callable[[], float] | None  # in time.monotonic(), or what tells it, if it may move


class Fault(StrEnum):
    """What a frame, or a pipe, can lack."""

    CLOSED = "closed"  # the other end is gone
    LATE = "late"
    NONCE = "nonce"  # it answers another question
    HEADER = "header"
    SIZE = "size"
    DEPTH = "depth"
    LEAVES = "leaves"
    TEXT = "text"
    DIGITS = "digits"
    DTYPE = "dtype"
    SHAPE = "shape"
    ENTRIES = "entries"  # a boolean that is neither true nor false
    TYPE = "type"


class WireError(MinilmError):
    """What was sent, or was to be sent, is no frame within the bounds. kind: its Fault."""

    def __init__(self, kind: Fault):
        super().__init__(
            tr(
                "the frame was refused ({kind}): what crosses to a worker must keep the format and its limits",
                kind=kind,
            )
        )
        self.kind = kind


@dataclass(frozen=True)
class Bounds:
    """The most that a frame may hold: bytes of header, of all arrays, nesting, leaves of the tree, letters in all."""

    header_bytes: int = 1 << 20
    array_bytes: int = 16 << 20
    depth: int = 24
    leaves: int = 100_000
    text: int = 200_000


@dataclass(frozen=True)
class Frame:
    """One question or answer."""

    kind: str
    data: Any = None
    nonce: str = ""


# ------------------------------------------------------------------------------------------------------- data to a tree


def pack(frame: Frame) -> list[Any]:
    """The buffers of a frame, in order. WireError where its data are none."""
    arrays: list[np.ndarray] = []
    tree = _tree(frame.data, arrays, 0)
    claims = [{"dtype": a.dtype.str, "shape": a.shape} for a in arrays]
    header = _json({"nonce": frame.nonce, "kind": frame.kind, "data": tree, "arrays": claims}).encode()
    return [struct.pack(">I", len(header)), header, *[_bytes(a) for a in arrays if a.size]]


def _bytes(array: np.ndarray) -> memoryview:
    """Its entries in C's order, whatever its strides are."""
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8).data


def _tree(data: Any, arrays: list[np.ndarray], depth: int) -> Any:
    if depth > 200:
        raise WireError(Fault.DEPTH)
    if data is None or type(data) in (bool, float):
        return data
    if isinstance(data, (np.ndarray, np.generic)):
        return _array(data, arrays)
    if isinstance(data, (bool, int)):
        return _digits(int(data))
    if isinstance(data, float):
        return float(data)
    if isinstance(data, str):
        return str(data)
    if isinstance(data, (list, tuple)):
        return ["l" if isinstance(data, list) else "t", *[_tree(part, arrays, depth + 1) for part in data]]
    if isinstance(data, dict):
        pairs = [part for item in data.items() for part in item]
        return ["d", *[_tree(part, arrays, depth + 1) for part in pairs]]
    raise WireError(Fault.TYPE)


def _digits(number: int) -> int:
    if number.bit_length() > LONG:
        try:
            str(number)
        except ValueError:
            raise WireError(Fault.DIGITS) from None
    return number


def _array(data: Any, arrays: list[np.ndarray]) -> list:
    array = data if type(data) is np.ndarray else np.array(data)
    if array.dtype.str not in DTYPES:
        array = array.astype(array.dtype.newbyteorder("<"))
        if array.dtype.str not in DTYPES:
            raise WireError(Fault.DTYPE)
    arrays.append(array)
    return ["a", len(arrays) - 1]


# ------------------------------------------------------------------------------------------------------- a tree to data


@dataclass(frozen=True)
class _Shape:
    """What a header says about one array."""

    dtype: np.dtype
    sizes: tuple[int, ...]

    @property
    def bytes(self) -> int:
        return math.prod(self.sizes) * self.dtype.itemsize


def _header(raw: bytes, bounds: Bounds) -> tuple[dict, list[_Shape]]:
    """A header whose fields are what they should be, and its arrays' shapes, which fit."""
    try:
        header = json.loads(raw.decode("utf-8"))
    except (ValueError, RecursionError):
        raise WireError(Fault.HEADER) from None
    if not isinstance(header, dict) or header.keys() != {"nonce", "kind", "data", "arrays"}:
        raise WireError(Fault.HEADER)
    if not (isinstance(header["nonce"], str) and isinstance(header["kind"], str) and type(header["arrays"]) is list):
        raise WireError(Fault.HEADER)
    if len(header["arrays"]) > bounds.leaves:
        raise WireError(Fault.LEAVES)
    shapes = [_shape(claimed, bounds) for claimed in header["arrays"]]
    if sum(shape.bytes for shape in shapes) > bounds.array_bytes:
        raise WireError(Fault.SIZE)
    return header, shapes


def _shape(claimed: Any, bounds: Bounds) -> _Shape:
    if not isinstance(claimed, dict) or claimed.keys() != {"dtype", "shape"}:
        raise WireError(Fault.HEADER)
    if not isinstance(claimed["dtype"], str) or claimed["dtype"] not in DTYPES:
        raise WireError(Fault.DTYPE)
    sizes = claimed["shape"]
    if not isinstance(sizes, list) or len(sizes) > AXES or any(type(n) is not int or n < 0 for n in sizes):
        raise WireError(Fault.SHAPE)
    if math.prod(n for n in sizes if n) > bounds.array_bytes:  # also beside a size of 0
        raise WireError(Fault.SIZE)
    return _Shape(np.dtype(claimed["dtype"]), tuple(sizes))


class _Reader:
    """Builds the data of a tree, and counts."""

    def __init__(self, bounds: Bounds, arrays: list[np.ndarray]):
        self.bounds, self.arrays = bounds, arrays
        self.leaves = self.text = 0

    def build(self, tree: Any, depth: int = 0) -> Any:
        self.leaves += 1
        if depth > self.bounds.depth:
            raise WireError(Fault.DEPTH)
        if self.leaves > self.bounds.leaves:
            raise WireError(Fault.LEAVES)
        if isinstance(tree, str):
            self.text += len(tree)
            if self.text > self.bounds.text:
                raise WireError(Fault.TEXT)
            return tree
        if tree is None or isinstance(tree, (bool, int, float)):
            return tree
        if not isinstance(tree, list) or not tree:
            raise WireError(Fault.HEADER)
        return self.inner(tree[0], tree[1:], depth + 1)

    def inner(self, tag: Any, parts: list, depth: int) -> Any:
        if tag == "a":
            if len(parts) != 1 or type(parts[0]) is not int or not 0 <= parts[0] < len(self.arrays):
                raise WireError(Fault.HEADER)
            return self.arrays[parts[0]]
        built = [self.build(part, depth) for part in parts]
        if tag == "l":
            return built
        if tag == "t":
            return tuple(built)
        if tag == "d" and len(built) % 2 == 0:
            with contextlib.suppress(TypeError):  # a key that is a list or an array
                return dict(zip(built[::2], built[1::2], strict=True))
        raise WireError(Fault.HEADER)


# ----------------------------------------------------------------------------------------------------- through a pipe


def send(fd: int, frame: Frame, deadline: Deadline = None) -> None:
    """Write a frame. WireError: closed, late, or what the data lack."""
    write(fd, pack(frame), deadline)


def write(fd: int, packed: list[Any], deadline: Deadline = None) -> None:
    """Write what `pack` made."""
    buffers = [memoryview(buffer).cast("B") for buffer in packed]
    while buffers:
        try:
            written = os.writev(fd, buffers[:64])
        except BlockingIOError:
            _wait(fd, select.POLLOUT, deadline)
            continue
        except OSError:
            raise WireError(Fault.CLOSED) from None
        while buffers and written >= len(buffers[0]):
            written -= len(buffers.pop(0))
        if written:
            buffers[0] = buffers[0][written:]


def receive(
    fd: int, bounds: Bounds, deadline: Deadline = None, aside: Sequence[Aside] = (), nonce: str | None = None
) -> Frame:
    """Read one frame, and meanwhile empty what is `aside`. WireError: closed, late, or what is wrong with the frame.

    nonce: what the frame must carry, so that an answer which was sent before its question is refused.
    """
    (length,) = struct.unpack(">I", _read(fd, 4, deadline, aside))
    if length > bounds.header_bytes:
        raise WireError(Fault.SIZE)
    header, shapes = _header(bytes(_read(fd, length, deadline, aside)), bounds)
    if nonce is not None and header["nonce"] != nonce:
        raise WireError(Fault.NONCE)
    arrays = [_entries(fd, shape, deadline, aside) for shape in shapes]
    return Frame(header["kind"], _Reader(bounds, arrays).build(header["data"]), header["nonce"])


def _entries(fd: int, shape: _Shape, deadline: Deadline, aside: Sequence[Aside]) -> np.ndarray:
    raw = np.frombuffer(_read(fd, shape.bytes, deadline, aside), np.uint8)
    if shape.dtype.kind == "b" and raw.size and raw.max() > 1:
        raise WireError(Fault.ENTRIES)
    return raw.view(shape.dtype).reshape(shape.sizes)


def _read(fd: int, n: int, deadline: Deadline, aside: Sequence[Aside]) -> bytearray:
    """Exactly n bytes."""
    buffer = bytearray(n)
    view = memoryview(buffer)
    while view:
        try:
            got = os.readv(fd, [view])
        except BlockingIOError:
            _wait(fd, select.POLLIN, deadline, aside)
            continue
        except OSError:
            raise WireError(Fault.CLOSED) from None
        if not got:
            raise WireError(Fault.CLOSED)
        view = view[got:]
    return buffer


def _wait(fd: int, event: int, deadline: Deadline, aside: Sequence[Aside] = ()) -> None:
    """Until the descriptor is ready; Late at the deadline. What comes aside meanwhile is passed on."""
    poller = select.poll()
    poller.register(fd, event)
    others = dict(aside)
    for other in others:
        poller.register(other, select.POLLIN)
    while True:
        left = _left(deadline)
        ready = poller.poll(left if left is None else math.ceil(max(0.0, left) * 1000))
        if not ready and (_left(deadline) or 0.0) <= 0:
            raise WireError(Fault.LATE)
        for found, _ in ready:
            if found in others and not empty(found, others[found]):
                poller.unregister(found)
        if any(found == fd for found, _ in ready):
            return
        if (_left(deadline) or 0.0) < 0:
            raise WireError(Fault.LATE)


def _left(deadline: Deadline) -> float | None:
    """Seconds until a deadline."""
    if deadline is None:
        return None
    return (deadline() if callable(deadline) else deadline) - time.monotonic()


def empty(fd: int, sink: Callable[[bytes], None]) -> bool:
    """Pass on what one read of a non-blocking descriptor gives. False where it has ended."""
    try:
        found = os.read(fd, 1 << 16)
    except BlockingIOError:
        return True
    except OSError:
        return False
    sink(found)
    return bool(found)
