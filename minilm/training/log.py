"""The log of a training: one JSON object a line, so that a killed training loses at most its last line."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from minilm.errors import CheckpointError, TrainingError
from minilm.i18n import tr
from minilm.training.durable import replace_file, write_all

TIMES = ("seconds", "tokens_per_second")  # the fields that differ between two runs of the same training


def read_log(path: Path) -> list[dict[str, Any]]:
    """The records of a log.jsonl, in order; a last line that was cut off by a kill is left out.

    Raises CheckpointError, with the line's number, when another line is damaged.
    """
    return [record for record, _ in _lines(Path(path))]


def _lines(path: Path) -> list[tuple[dict[str, Any], bytes]]:
    *lines, _torn = path.read_bytes().split(b"\n") if path.exists() else [b""]
    found = []
    for number, line in enumerate(lines, 1):
        try:
            record = json.loads(line)
            record["step"]
        except (ValueError, KeyError, TypeError) as error:
            raise CheckpointError(
                tr("{file}, line {number}: is no record of a training; remove the line", file=path, number=number)
            ) from error
        found.append((record, line))
    return found


class Log:
    """An open log.jsonl, appended to one whole line at a time."""

    def __init__(self, path: Path, last_step: int):
        """Open it for a training that goes on after `last_step`: the lines of later steps are cut off."""
        self.path = path
        try:
            kept = b"".join(line + b"\n" for record, line in _lines(path) if record["step"] <= last_step)
            if not path.exists() or path.read_bytes() != kept:
                replace_file(path, kept)
            self._descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | getattr(os, "O_BINARY", 0))
        except OSError as error:
            raise self._failed(error) from error

    def append(self, record: Mapping[str, Any]) -> None:
        """Write one record. Raises TrainingError when the disk does not take it."""
        try:
            write_all(self._descriptor, (json.dumps(record, allow_nan=False) + "\n").encode())
        except OSError as error:
            raise self._failed(error) from error

    def sync(self) -> None:
        """Wait until the disk has every record, as it must before a checkpoint that comes after them."""
        try:
            os.fsync(self._descriptor)
        except OSError as error:
            raise self._failed(error) from error

    def close(self) -> None:
        os.close(self._descriptor)

    def _failed(self, error: OSError) -> TrainingError:
        return TrainingError(
            tr(
                "the log {file} could not be written ({reason}); the checkpoints are untouched: make room and resume",
                file=self.path,
                reason=error.strerror or error,
            )
        )
