"""Checkpoints: a training at one step, on the disk, whole or not there at all.

A checkpoint is a folder `step-00000500` with three files:

    model.safetensors       the weights, by parameter name
    optimizer.safetensors   what the optimizer remembers, by parameter name
    state.json              the rest: step, settings, data position, metrics; size and sha256 of the two others

It is written to a folder with a temporary name, each file and the folder synced to the disk, then renamed. Only then
are older ones removed. What is read is checked against the sizes and hashes: a damaged checkpoint is refused by name
and the newest whole one before it is named, but never taken in its place unless you ask for it.
"""

import hashlib
import json
import math
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy

from minilm.errors import CheckpointError
from minilm.i18n import tr
from minilm.training.durable import sync_folder, write_synced

FORMAT = 1
WEIGHTS, OPTIMIZER, STATE = "model.safetensors", "optimizer.safetensors", "state.json"
_NAME = re.compile(r"step-(\d{8,})")
_LEFTOVER = re.compile(r"\.step-\d{8,}\.(partial|removed)")


@dataclass(frozen=True)
class Checkpoint:
    """A verified checkpoint: arrays by parameter name, and what state.json says."""

    folder: Path
    step: int
    weights: dict[str, np.ndarray]
    optimizer: dict[str, np.ndarray]
    state: dict[str, Any]


def checkpoint_name(step: int) -> str:
    """`step-00000500`: names in order of the alphabet are in order of the steps."""
    return f"step-{step:08d}"


def checkpoints_in(folder: Path) -> list[Path]:
    """The checkpoints in `folder`, damaged ones included, from the oldest step to the newest."""
    found = [path for path in folder.iterdir() if _NAME.fullmatch(path.name)] if folder.is_dir() else []
    return sorted(found, key=step_of)


def step_of(checkpoint: Path) -> int:
    """The step in a checkpoint's name."""
    match = _NAME.fullmatch(checkpoint.name)
    if match is None:
        raise CheckpointError(tr("{name} is no checkpoint: its name would be like step-00000500", name=checkpoint))
    return int(match[1])


# ---------------------------------------------------------------------------------------------------------- writing


def save_checkpoint(
    folder: Path,
    step: int,
    weights: Mapping[str, np.ndarray],
    optimizer: Mapping[str, np.ndarray],
    state: Mapping[str, Any],
) -> Path:
    """Write `folder/step-…` and return its path; it is whole, synced, and every other checkpoint is untouched.

    state: anything JSON can hold. Raises CheckpointError if there already is one of that step, or when the disk does
    not take it (full, read-only…): then what was half written is removed and the checkpoints before it are intact.
    """
    final = folder / checkpoint_name(step)
    if final.exists():
        raise CheckpointError(tr("checkpoint {name} already exists; remove it or go on from it", name=final))
    contents = {WEIGHTS: _to_bytes(weights), OPTIMIZER: _to_bytes(optimizer)}
    files = {name: {"size": len(data), "sha256": sha256(data)} for name, data in contents.items()}
    contents[STATE] = _sealed({**state, "format": FORMAT, "step": step, "files": files})
    temporary = folder / f".{final.name}.partial"
    try:
        _write_folder(temporary, final, contents)
    except OSError as error:
        needed = sum(len(data) for data in contents.values())
        raise CheckpointError(_not_written(final, error, needed)) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return final


def _write_folder(temporary: Path, final: Path, contents: dict[str, bytes]) -> None:
    final.parent.mkdir(parents=True, exist_ok=True)
    if temporary.exists():
        shutil.rmtree(temporary)
    os.mkdir(temporary)
    for name, data in contents.items():
        write_synced(temporary / name, data)
    sync_folder(temporary)
    os.rename(temporary, final)
    sync_folder(final.parent)


def _to_bytes(arrays: Mapping[str, np.ndarray]) -> bytes:
    return safetensors.numpy.save({name: np.asarray(a, order="C") for name, a in arrays.items()})


def _sealed(state: dict[str, Any]) -> bytes:
    """The state as JSON, with the hash of itself, so that a changed digit in it is seen too."""
    text = json.dumps({**state, "checksum": _checksum(state)}, indent=1, sort_keys=True, allow_nan=False)
    return text.encode()


def _checksum(state: dict[str, Any]) -> str:
    bare = {key: value for key, value in state.items() if key != "checksum"}
    return sha256(json.dumps(bare, sort_keys=True).encode())


def sha256(data: bytes) -> str:
    """The SHA-256 of `data`, in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def _not_written(final: Path, error: OSError, needed: int) -> str:
    before = [path for path in checkpoints_in(final.parent) if path != final]
    said = {
        "name": final.name,
        "reason": error.strerror or error,
        "folder": final.parent,
        "size": f"{needed / 1e6:.1f} MB",
    }
    if before:
        return tr(
            "checkpoint {name} could not be written ({reason}); the one before it, {kept}, is untouched: "
            "make room for {size} in {folder} and resume",
            kept=before[-1].name,
            **said,
        )
    return tr("checkpoint {name} could not be written ({reason}): make room for {size} in {folder}", **said)


# ---------------------------------------------------------------------------------------------------------- reading


def load_checkpoint(folder: Path) -> Checkpoint:
    """Read a checkpoint, every size and hash checked.

    Raises CheckpointError when a file is missing, truncated, corrupted or does not belong there; the sentence names
    the file, and the newest whole checkpoint before it, from which a training goes on only when it is asked for
    (`--checkpoint step-00000400`, or `resume(checkpoint="step-00000400")`).
    """
    folder = Path(folder)
    try:
        return _read(folder)
    except CheckpointError as error:
        raise CheckpointError(f"{error}; {_offer(folder)}") from error


def _read(folder: Path) -> Checkpoint:
    state = read_state(folder)
    files = state["files"]
    expected = {*files, STATE}
    for path in sorted(folder.iterdir()):
        if path.name not in expected:
            raise CheckpointError(
                tr("checkpoint {folder}: {name} does not belong there", folder=folder, name=path.name)
            )
    arrays = {name: _read_arrays(folder / name, files[name]) for name in (WEIGHTS, OPTIMIZER)}
    return Checkpoint(folder, state["step"], arrays[WEIGHTS], arrays[OPTIMIZER], state)


def read_state(folder: Path) -> dict[str, Any]:
    """What state.json says, checked against its own hash. Raises CheckpointError."""
    if not folder.is_dir():
        raise CheckpointError(tr("checkpoint {folder} is not there", folder=folder))
    try:
        state = json.loads(_read_bytes(folder / STATE))
        whole = state["checksum"] == _checksum(state)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise CheckpointError(tr("checkpoint {folder}: state.json is damaged", folder=folder)) from error
    if not whole:
        raise CheckpointError(tr("checkpoint {folder}: state.json is damaged (its hash is another)", folder=folder))
    if state["format"] != FORMAT:
        raise CheckpointError(
            tr(
                "checkpoint {folder} has format {got}, this minilm reads format {wanted}: use the minilm that wrote it",
                folder=folder,
                got=state["format"],
                wanted=FORMAT,
            )
        )
    if checkpoint_name(state["step"]) != folder.name:
        raise CheckpointError(
            tr("checkpoint {folder} holds step {step}: it was renamed", folder=folder, step=state["step"])
        )
    return state


def _read_arrays(path: Path, recorded: dict[str, Any]) -> dict[str, np.ndarray]:
    data = _read_bytes(path)
    said = {"folder": path.parent, "name": path.name}
    if len(data) != recorded["size"]:
        raise CheckpointError(
            tr(
                "checkpoint {folder}: {name} has {got} bytes instead of {wanted}",
                got=len(data),
                wanted=recorded["size"],
                **said,
            )
        )
    if sha256(data) != recorded["sha256"]:
        raise CheckpointError(tr("checkpoint {folder}: {name} is damaged (its hash is another)", **said))
    return safetensors.numpy.load(data)


def _read_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise CheckpointError(
            tr("checkpoint {folder}: {name} is missing", folder=path.parent, name=path.name)
        ) from error
    except OSError as error:
        raise CheckpointError(
            tr(
                "checkpoint {folder}: {name} cannot be read ({reason})",
                folder=path.parent,
                name=path.name,
                reason=error.strerror or error,
            )
        ) from error


def _offer(folder: Path) -> str:
    whole = whole_before(folder)
    if whole is None:
        return tr("no checkpoint before it is whole, so start the training anew")
    return tr(
        "the one before it, {name}, is whole: to go on from there, resume with --checkpoint {name}", name=whole.name
    )


def whole_before(folder: Path) -> Path | None:
    """The newest checkpoint beside `folder` that is of an earlier step and whole, or None."""
    if not _NAME.fullmatch(folder.name):
        return None
    for other in reversed(checkpoints_in(folder.parent)):
        if step_of(other) < step_of(folder):
            try:
                return _read(other).folder
            except CheckpointError:
                continue
    return None


# ---------------------------------------------------------------------------------------------------------- keeping


def prune(folder: Path, keep: int, best: str | None = None) -> None:
    """Remove all but the newest `keep` checkpoints and, with best="loss", the one whose metrics["loss"] is lowest."""
    found = checkpoints_in(folder)
    kept = set(found[-keep:])
    if best is not None:
        kept |= {min(found, key=lambda path: metric_of(path, best))} if found else set()
    for path in found:
        if path not in kept:
            remove_checkpoint(path)


def metric_of(checkpoint: Path, name: str) -> float:
    """metrics[name] of a checkpoint; infinity where there is none, or its state.json is damaged."""
    try:
        return read_state(checkpoint)["metrics"].get(name, math.inf)
    except CheckpointError:
        return math.inf


def remove_checkpoint(checkpoint: Path) -> None:
    """Remove a checkpoint; it loses its name first, so that one half removed is never taken for a whole one."""
    doomed = checkpoint.with_name(f".{checkpoint.name}.removed")
    shutil.rmtree(doomed, ignore_errors=True)
    _rename(checkpoint, doomed)
    shutil.rmtree(doomed, ignore_errors=True)


def set_aside(checkpoint: Path) -> Path:
    """Rename a checkpoint to `aside-step-…`, where nothing looks for it, and return the new path."""
    goal, number = checkpoint.with_name(f"aside-{checkpoint.name}"), 1
    while goal.exists():
        number += 1
        goal = checkpoint.with_name(f"aside-{checkpoint.name}-{number}")
    _rename(checkpoint, goal)
    return goal


def _rename(old: Path, new: Path) -> None:
    try:
        os.rename(old, new)
    except OSError as error:
        raise CheckpointError(
            tr("checkpoint {name} could not be moved away ({reason})", name=old, reason=error.strerror or error)
        ) from error


def remove_leftovers(folder: Path) -> None:
    """Remove what a killed training left half written or half removed."""
    for path in list(folder.iterdir()) if folder.is_dir() else []:
        if _LEFTOVER.fullmatch(path.name):
            shutil.rmtree(path, ignore_errors=True)
