"""One training of a sweep, in a folder of its own: an ordinary run of `minilm pretrain`, and its result when done.

The result is renamed into place when it is whole, so it is there or not. A training that was killed goes on from its
checkpoint, or, where that cannot be read, begins anew; either way to the same bits (training/trainer.py).
"""

import contextlib
import json
import math
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from minilm.errors import CheckpointError, ConfigError, TrainingError
from minilm.i18n import tr
from minilm.models.gpt import GPTConfig
from minilm.pretraining.data import FINAL_ROWS
from minilm.pretraining.pretraining import Pretraining
from minilm.pretraining.sources import Source, TextSource
from minilm.resources import write_atomically
from minilm.scaling.counting import parameters, training_flops
from minilm.sweeps.points import Point
from minilm.sweeps.rows import StoredMundito
from minilm.training.log import read_log
from minilm.training.run import LOG, Run, take
from minilm.training.trainer import Trainer

RESULT = "result.json"
OF_A_RESULT = {"settings", "parameters", "all_parameters", "tokens", "flops", "loss", "curve", "seconds"}
PATIENCE = 30.0  # seconds, for a process whose parent was killed to notice and end


def train_point(point: Point, folder: Path, rows: Path) -> dict[str, Any]:
    """Begin the training or go on with it, to the end; its result, which is also in the folder.

    rows: where Mundito's are kept. TrainingError for a loss that is not finite, and when the disk does not take what
    is to be kept; ConfigError where another training is in the folder.
    """
    try:
        with _alone(folder):
            if (found := result_in(folder, point)) is not None:
                return found
            result = _trained(point, *_ready(point, folder, source_of(point, rows)))
            write_atomically(folder / RESULT, json.dumps(result, indent=1) + "\n")
            return result
    except OSError as error:
        raise TrainingError(
            tr("{folder} could not be read or written ({reason}); what was saved is kept: make room, and go on with "
               "--resume", folder=folder, reason=error.strerror or error)
        ) from error  # fmt: skip


def result_in(folder: Path, point: Point) -> dict[str, Any] | None:
    """The result of a finished training, None of another or of a damaged one, which is soon made again.

    ConfigError if what is in the folder, begun or finished, is a training of other settings.
    """
    try:
        found = json.loads((folder / RESULT).read_bytes())
        whole = found.keys() >= OF_A_RESULT
    except (FileNotFoundError, NotADirectoryError, ValueError, AttributeError):
        whole = False
    if not whole:
        with contextlib.suppress(CheckpointError):
            _check_settings(Run(folder), point)
        return None
    if found["settings"] != point.settings:
        raise _another(folder)
    return found


def _check_settings(run: Run, point: Point) -> None:
    then = [run.config.get(name) for name in ("recipe", "seed", "data")]
    world = then[2].get("world") if isinstance(then[2], dict) else None
    if [*then[:2], world] != [point.settings[name] for name in ("recipe", "seed", "world")]:
        raise _another(run.folder)


def _another(folder: Path) -> ConfigError:
    return ConfigError(
        tr("{folder} is a training of other settings than this sweep's: choose another --out", folder=folder)
    )


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Wait for the last training here, which may not have noticed yet that its sweep was killed; shut out the next."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder.with_name(f".{folder.name}.lock"), os.O_RDWR | os.O_CREAT, 0o666)
    try:
        until = time.monotonic() + PATIENCE
        while True:
            try:
                take(descriptor)
                break
            except OSError as error:
                if time.monotonic() > until:
                    raise ConfigError(
                        tr("another training is writing to {folder}: wait for it, or stop it", folder=folder)
                    ) from error
                time.sleep(0.05)
        yield
    finally:
        os.close(descriptor)


def _ready(point: Point, folder: Path, source: Source) -> tuple[Pretraining, Trainer]:
    """The training, to go on where it was; from its beginning, where there is none or something of it is damaged."""
    try:
        run = Run(folder)
        _check_settings(run, point)
        if run.config.get("data") != source.description():
            raise changed(folder, source.name)
        read_log(run.log)
        pretraining = Pretraining(source, point.recipe, point.seed, run)
        return pretraining, pretraining.trainer(threads=1, show=False).resume()
    except CheckpointError:
        if folder.exists():
            shutil.rmtree(folder)
    pretraining = Pretraining.begin(source, point.recipe, folder, point.seed)
    return pretraining, pretraining.trainer(threads=1, show=False)


def changed(folder: Path, name: str) -> ConfigError:
    """What to raise where a text is no longer what a folder was trained on."""
    return ConfigError(
        tr("the text {name} is no longer what {folder} was trained on: restore it, or choose another --out",
           name=name, folder=folder)
    )  # fmt: skip


def source_of(point: Point, rows: Path) -> Source:
    """Where the training's tokens come from, kept for the next training in this process."""
    key = (point.data, point.world, point.recipe.tokenizer, point.recipe.vocabulary, rows)
    if key not in _SOURCES:
        _SOURCES.clear()
        _SOURCES[key] = (
            TextSource.new(point.data, point.recipe) if point.world is None else StoredMundito(point.world, rows)
        )
    return _SOURCES[key]


_SOURCES: dict[tuple, Source] = {}


def text_of(source: Source) -> dict[str, Any] | None:
    """What identifies a text; None of Mundito, which the settings say all of."""
    return source.description() if isinstance(source, TextSource) else None


def _trained(point: Point, pretraining: Pretraining, trainer: Trainer) -> dict[str, Any]:
    seconds = trainer.train().seconds
    final = pretraining.final(trainer)
    if not all(map(math.isfinite, final.values())):
        raise TrainingError(
            tr("the loss at the end is {loss}: lower the rate (now {rate:g}), or warm up longer", loss=final["loss"],
               rate=point.recipe.rate)
        )  # fmt: skip
    shape = pretraining.recipe.model_config(pretraining.tokenizer.vocab_size)
    assert pretraining.run is not None
    return {
        "settings": point.settings,
        "text": text_of(pretraining.source),
        **_counts(shape, point),
        **final,
        "curve": _curve(pretraining.run.log),
        "seconds": seconds,
    }


def _counts(shape: GPTConfig, point: Point) -> dict[str, int]:
    """N as Kaplan counts it, 12 L D², and all of it; C of every matrix product."""
    found, flops = parameters(shape), training_flops(shape)
    return {"parameters": found.blocks, "all_parameters": found.all, "tokens": point.tokens,
            "flops": flops.products * point.tokens}  # fmt: skip


def _curve(log: Path) -> list[dict[str, float]]:
    """Tokens, loss and, where it is known, excess at each evaluation."""
    return [
        {"tokens": record["tokens"]}
        | {name: record[f"validation_{name}"] for name in ("loss", "excess") if f"validation_{name}" in record}
        for record in read_log(log)
        if "validation_loss" in record
    ]


def steps_done(folder: Path) -> int:
    """How far the training in a folder is, by its log; 0 where none can be read."""
    try:
        return read_log(folder / LOG)[-1]["step"]
    except (OSError, IndexError, CheckpointError):
        return 0


def rows_needed(point: Point) -> dict[str, int]:
    """Part of Mundito -> how many rows this training reads of it."""
    r = point.recipe
    return {"train": r.steps * r.batch, "validation": r.validation, "final": FINAL_ROWS * r.validation}
