"""A GGUF file: its settings, each to be asked for, and its arrays, which gguf's own formulas turn into float32."""

import fnmatch
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from minilm.errors import CheckpointError, ConfigError
from minilm.i18n import tr

MAGIC = b"GGUF"


@dataclass(frozen=True)
class GGUF:
    """An open file: its settings, and its arrays, which are read when they are asked for."""

    path: Path
    metadata: "Metadata"
    arrays: Mapping[str, Any]  # name -> gguf's ReaderTensor

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape of an array, without reading it; the file counts axes from the last one."""
        return tuple(int(n) for n in reversed(self.arrays[name].shape))

    def read(self, name: str) -> np.ndarray:
        """The values of an array in float32; CheckpointError for a kind of number that gguf cannot make floats of."""
        import gguf

        array = self.arrays[name]
        try:
            return gguf.quants.dequantize(array.data, array.tensor_type).reshape(self.shape(name))
        except NotImplementedError as error:
            raise CheckpointError(
                tr("{file}: {name} holds {kind}, which the package gguf cannot make floats of", file=self.path,
                   name=name, kind=array.tensor_type.name)
            ) from error  # fmt: skip


class Metadata:
    """The keys of a file and their values. `finish` refuses those that nobody asked for: none is passed over."""

    def __init__(self, values: Mapping[str, Callable[[], Any]]):
        """values: functions, since to read a vocabulary takes time."""
        self._values, self._left = values, set(values)

    def take(self, key: str, *default: Any) -> Any:
        """A key's value, or the default; ConfigError where there is neither."""
        self._left.discard(key)
        if key not in self._values and not default:
            raise ConfigError(tr("its metadata lack {key}", key=key))
        return self._values[key]() if key in self._values else default[0]

    def require(self, key: str, *wanted: Any) -> None:
        """ConfigError unless the key is missing or has one of these values: no other one is built here."""
        if (got := self.take(key, wanted[0])) not in wanted:
            raise ConfigError(
                tr("{key} is {got!r}; minilm reads files with {wanted} only", key=key, got=got,
                   wanted=", ".join(map(repr, wanted)))
            )  # fmt: skip

    def ignore(self, *patterns: str) -> None:
        """These change nothing that is computed."""
        self._left = {key for key in self._left if not any(fnmatch.fnmatchcase(key, p) for p in patterns)}

    def finish(self) -> None:
        """ConfigError that names the keys which nobody asked for."""
        if self._left:
            raise ConfigError(
                tr("nothing is known of what {keys} would change, so the file is not read",
                   keys=", ".join(sorted(self._left)))
            )  # fmt: skip


def open_gguf(path: str | Path) -> GGUF:
    """The file, its settings and the places of its arrays; little is read yet.

    CheckpointError for a file that is missing, truncated or no GGUF; ConfigError without the package gguf.
    """
    path = Path(path)
    try:
        import gguf
    except ImportError as error:
        raise ConfigError(tr("to read a GGUF file, install the extra 'minilm[smollm]', the package gguf")) from error
    try:
        with path.open("rb") as file:
            start = file.read(len(MAGIC))
    except OSError as error:
        raise CheckpointError(
            tr("{file} cannot be read ({reason})", file=path, reason=error.strerror or error)
        ) from error
    if start != MAGIC:
        raise CheckpointError(tr("{file} is no GGUF file: it begins with {got!r}", file=path, got=start))

    class Reader(gguf.GGUFReader):
        """Over a plain array: to cut a vocabulary's 150,000 strings out of a memory map takes four times as long."""

        def __setattr__(self, name: str, value: Any) -> None:
            super().__setattr__(name, np.asarray(value) if name == "data" else value)

    try:
        reader = Reader(path)
    except (ValueError, LookupError, OverflowError) as error:
        raise CheckpointError(
            tr("{file} is truncated or damaged ({reason}): fetch it again", file=path, reason=error)
        ) from error
    values = {key: field.contents for key, field in reader.fields.items() if not key.startswith("GGUF.")}
    return GGUF(path, Metadata(values), {array.name: array for array in reader.tensors})
