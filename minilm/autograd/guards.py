"""What a gradient needs does not change unnoticed: outputs are read-only, leaves are remembered and compared.

An operation's output is locked for good (NumPy only: CuPy has no such lock). A leaf's array belongs to the user,
who may change it between forward and backward; its checksum and its version are noted when an operation reads it, and
checked when the gradient rule runs.
"""

import contextlib
import zlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from minilm.errors import GraphError
from minilm.i18n import tr


def owner_of(array: Any) -> Any:
    """The array that owns the memory that this one shows."""
    while isinstance(array.base, type(array)):
        array = array.base
    return array


def raw_array(a: Any) -> Any:
    """The array of a Tensor, anything else as it is (tensor.py stands on this file and has `value` for others)."""
    return getattr(a, "_data", a)


def frozen(y: Any, args: Sequence[Any]) -> Any:
    """`y`, read-only, so that nobody changes an output in place; memory that an argument owns is left as it is."""
    if isinstance(y, np.ndarray):
        owner = owner_of(y)
        if any([isinstance(raw_array(a), np.ndarray) and owner_of(raw_array(a)) is owner for a in args]):
            y = y.view()
        else:
            owner.flags.writeable = False
        y.flags.writeable = False
    return y


def guard(node: Any, a: Any, needed: bool) -> None:
    """Remember what a value is, if it could change: an array's checksum, a leaf's version.

    needed: whether a gradient rule uses the value; if not, only a replay asks for it.
    """
    leaf = a if hasattr(a, "version") and a.node is None else None
    array = raw_array(a)
    if not isinstance(array, np.ndarray) or not owner_of(array).flags.writeable or not (needed or leaf is not None):
        array = None
    if array is not None or leaf is not None:
        node.guards.append(
            (array, array is not None and checksum_of(array), leaf, 0 if leaf is None else leaf.version, needed)
        )


def checksum_of(array: np.ndarray) -> int:
    entries: Any = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
    return zlib.crc32(entries)


def check_guards(node: Any, replay: bool = False) -> None:
    """GraphError if a value that the gradient (or a replay of the forward) needs is no longer what it was."""
    for array, checksum, leaf, version, needed in node.guards:
        replaced = leaf is not None and leaf.version != version and (array is None or replay)
        changed = array is not None and checksum_of(array) != checksum
        if (needed or replay) and (replaced or changed):
            raise GraphError(
                tr(
                    "{op}: an array of shape {shape} that its gradient needs was changed in place after the forward; "
                    "change it after backward, or work on a copy",
                    op=node.label,
                    shape=node.shape if array is None else array.shape,
                )
            )


def is_locked(array: Any) -> bool:
    """Whether nobody may write into the array; never so on a device."""
    return isinstance(array, np.ndarray) and not array.flags.writeable


@contextlib.contextmanager
def writable(array: Any) -> Iterator[Any]:
    """`array`, unlocked while the block runs: for optimizers and loading, who then count up each leaf's version."""
    locked = [a for a in (owner_of(array), array) if is_locked(a)]
    for a in locked:
        a.flags.writeable = True
    try:
        yield array
    finally:
        for a in reversed(locked):
            a.flags.writeable = False
