"""A run folder: all that belongs to one training.

    config.json      what was asked for: command, model, data, training
    tokenizer.json   how its text becomes ids
    log.jsonl        one record a logged step
    checkpoints/     step-…, the newest whole ones
    lock             held while a training writes here

config.json is written last, so a folder with one is a whole run.
"""

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from minilm.errors import CheckpointError, ConfigError
from minilm.i18n import tr
from minilm.training.checkpoint import Checkpoint, checkpoints_in, load_checkpoint
from minilm.training.durable import replace_file

CONFIG, TOKENIZER, LOG, CHECKPOINTS, LOCK = "config.json", "tokenizer.json", "log.jsonl", "checkpoints", "lock"


class Run:
    """An existing run folder, `Run(folder)`, or a new one, `Run.create(folder, …)`."""

    def __init__(self, folder: str | Path):
        """Open a run. Raises CheckpointError when the folder is none."""
        self.folder = Path(folder)
        try:
            self.config: dict[str, Any] = json.loads((self.folder / CONFIG).read_bytes())
            self.command: str = self.config["command"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise CheckpointError(
                tr("{folder} is no run: it has no readable config.json", folder=self.folder)
            ) from error
        self.log, self.checkpoints = self.folder / LOG, self.folder / CHECKPOINTS
        self.tokenizer = self.folder / TOKENIZER

    @classmethod
    def create(
        cls, folder: str | Path, config: Mapping[str, Any], tokenizer: Any = None, command: str = "minilm pretrain gpt"
    ) -> "Run":
        """Make a run folder. config: anything JSON can hold. tokenizer: anything with `.save(path)`.

        command: what resumes it, without its options. Raises ConfigError when the folder already holds something else
        than the remains of a run that was killed at its very start, and when the disk does not take it.
        """
        folder = Path(folder)
        if (folder / CONFIG).exists():
            raise ConfigError(
                tr(
                    "{folder} already is a run: go on with `{command} --resume {folder}`, or choose another name",
                    folder=folder,
                    command=command,
                )
            )
        try:
            folder.mkdir(parents=True, exist_ok=True)
            remains = (TOKENIZER, LOCK) if any(folder.glob(f"{CHECKPOINTS}/*")) else (TOKENIZER, LOCK, CHECKPOINTS)
            foreign = sorted(p.name for p in folder.iterdir() if p.name not in remains and p.name[0] != ".")
            if foreign:
                raise ConfigError(
                    tr("{folder} already holds {name}: choose another name", folder=folder, name=foreign[0])
                )
            (folder / CHECKPOINTS).mkdir(exist_ok=True)
            if tokenizer is not None:
                _save_tokenizer(tokenizer, folder / TOKENIZER)
            text = json.dumps({**config, "command": command}, indent=1) + "\n"
            replace_file(folder / CONFIG, text.encode())  # the last: with it, the folder is a run
        except OSError as error:
            raise ConfigError(
                tr("{folder} could not be made ({reason})", folder=folder, reason=error.strerror or error)
            ) from error
        return cls(folder)

    def latest(self) -> Path | None:
        """The newest checkpoint, unchecked, or None before the first."""
        found = checkpoints_in(self.checkpoints)
        return found[-1] if found else None

    def load(self, checkpoint: str | None = None) -> Checkpoint:
        """Read and check the newest checkpoint, or the one of that name. Raises CheckpointError, which names the
        newest whole one before a damaged one."""
        folder = self.checkpoints / checkpoint if checkpoint else self.latest()
        if folder is None:
            raise CheckpointError(tr("{folder} has no checkpoint yet: start the training", folder=self.folder))
        return load_checkpoint(folder)

    @property
    def resume_command(self) -> str:
        """The command that goes on with this run."""
        return f"{self.command} --resume {self.folder}"

    def lock(self) -> AbstractContextManager[None]:
        """Hold the run for this process. ConfigError if another training has it; a killed one holds nothing."""
        return held(
            self.folder, tr("another training is writing to {folder}: wait for it, or stop it", folder=self.folder)
        )


@contextlib.contextmanager
def held(folder: Path, busy: str) -> Iterator[None]:
    """A folder for this process alone, by a file in it. ConfigError, with the sentence `busy`, if another has it."""
    try:
        descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise ConfigError(
            tr("{folder} cannot be written to ({reason})", folder=folder, reason=error.strerror or error)
        ) from error
    try:
        take(descriptor)
    except OSError as error:
        os.close(descriptor)
        raise ConfigError(busy) from error
    try:
        yield
    finally:
        os.close(descriptor)  # which also unlocks it


def _save_tokenizer(tokenizer: Any, path: Path) -> None:
    draft = path.with_name(f".{path.name}.draft")
    try:
        tokenizer.save(draft)
        replace_file(path, draft.read_bytes())
    finally:
        draft.unlink(missing_ok=True)


def take(descriptor: int) -> None:
    """Take the file for this process or raise OSError; the system lets go of it when the process ends, however."""
    if os.name == "nt":
        import msvcrt

        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
    else:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
