"""Arrays in safetensors files, read where they lie: those of one file, or of the shards that an index names.

The safetensors package verifies a file; its bytes are then read through the map of its header, as NumPy knows no bf16.
"""

import json
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open

from minilm.errors import CheckpointError
from minilm.i18n import tr

WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
_NUMBERS = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2"}


@dataclass(frozen=True)
class Stored:
    """An array in a file; its shape and kind are known before it is read."""

    file: Path
    name: str
    kind: str  # "F32", "BF16", …
    shape: tuple[int, ...]
    raw: np.ndarray  # its bytes, in the file

    def read(self) -> np.ndarray:
        """The values: float64 as they are, all else as float32. CheckpointError unless they are floats."""
        if self.kind not in _NUMBERS:
            raise CheckpointError(
                tr("{file}: {name} holds {got}; wanted floats of 16, 32 or 64 bits", file=self.file, name=self.name,
                   got=self.kind)
            )  # fmt: skip
        numbers = self.raw.view(_NUMBERS[self.kind]).reshape(self.shape)
        if self.kind == "BF16":  # the upper half of a float32
            return (numbers.astype(np.uint32) << 16).view(np.float32)
        return numbers.astype(np.float32) if self.kind == "F16" else numbers

    @property
    def dtype(self) -> Any:
        """What `read` gives."""
        return np.float64 if self.kind == "F64" else np.float32


def open_arrays(folder: Path) -> dict[str, Stored]:
    """Every array of a folder, by its published name. CheckpointError for a file that is missing or damaged, that is
    no safetensors file, or of which index and shards say different things."""
    if (folder / WEIGHTS).exists():
        return open_file(folder / WEIGHTS)
    if (folder / INDEX).exists():
        return _open_shards(folder)
    raise CheckpointError(_why_none(folder))


def open_file(path: Path) -> dict[str, Stored]:
    """Every array of a safetensors file, verified but not yet read."""
    try:
        with safe_open(path, framework="numpy"):
            pass
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(length))
    except OSError as error:
        raise CheckpointError(
            tr("{file} cannot be read ({reason})", file=path, reason=error.strerror or error)
        ) from error
    except SafetensorError as error:
        raise CheckpointError(_what_it_is(path, error)) from error
    header.pop("__metadata__", None)
    size = max((entry["data_offsets"][1] for entry in header.values()), default=0)
    data: Any = np.memmap(path, np.uint8, "r", 8 + length, (size,)) if size else np.empty(0, np.uint8)
    return {
        name: Stored(path, name, entry["dtype"], tuple(entry["shape"]), data[slice(*entry["data_offsets"])])
        for name, entry in header.items()
    }


def _open_shards(folder: Path) -> dict[str, Stored]:
    index = folder / INDEX
    places = read_json(index).get("weight_map")
    if not isinstance(places, dict) or not all(isinstance(file, str) for file in places.values()):
        raise CheckpointError(tr("{file} has no weight_map that says in which file each weight is", file=index))
    found: dict[str, Stored] = {}
    for name in sorted(set(places.values())):
        if Path(name).name != name or name in ("", ".", ".."):
            raise CheckpointError(
                tr("{file} names {name!r}, which lies outside the folder: only files beside it are read", file=index,
                   name=name)
            )  # fmt: skip
        if not (folder / name).is_file():
            raise CheckpointError(tr("{file} names {name}, which is missing: fetch it too", file=index, name=name))
        shard = open_file(folder / name)
        listed = {array for array, file in places.items() if file == name}
        if odd := sorted(listed ^ set(shard)):
            raise CheckpointError(
                tr("{file} and {name} do not agree on which of them has {arrays}: fetch both again", file=index,
                   name=name, arrays=", ".join(odd))
            )  # fmt: skip
        found |= shard
    return found


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file; CheckpointError where there is none."""
    try:
        found = json.loads(path.read_bytes())
    except OSError as error:
        raise CheckpointError(
            tr("{file} cannot be read ({reason})", file=path, reason=error.strerror or error)
        ) from error
    except (ValueError, RecursionError) as error:
        raise CheckpointError(tr("{file} is no JSON: {reason}", file=path, reason=error)) from error
    if not isinstance(found, dict):
        raise CheckpointError(tr("{file} holds no JSON object", file=path))
    return found


def _why_none(folder: Path) -> str:
    """A folder without a safetensors file: pickles are named, with the reason and the way out."""
    pickles = sorted(p.name for pattern in ("*.bin", "*.pt", "*.pth", "*.ckpt") for p in folder.glob(pattern))
    if not pickles:
        return tr("{folder} has neither {weights} nor {index}", folder=folder, weights=WEIGHTS, index=INDEX)
    return tr(
        "{folder} has its weights as {name}, a pickle, which can run any program when it is opened, so minilm never "
        "does; if you trust it, convert it once with transformers, e.g. "
        '`AutoModelForMaskedLM.from_pretrained("{folder}").save_pretrained("NEW")`, and load that folder',
        folder=folder,
        name=pickles[0],
    )


def _what_it_is(path: Path, error: SafetensorError) -> str:
    """A file that safetensors refuses: a pickle or a zip of one under another name, or a damaged one."""
    with path.open("rb") as file:
        start = file.read(4)
    if start[:2] == b"PK" or start[:1] == pickle.PROTO:
        return tr("{file} is no safetensors file but a pickle, which can run any program when it is opened: convert it "
                  "with transformers' save_pretrained", file=path)  # fmt: skip
    return tr("{file} is no whole safetensors file ({reason}): fetch it again", file=path, reason=error)
