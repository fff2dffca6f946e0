"""One training of a sweep, in a folder of its own: an ordinary run of `minilm pretrain`, and its result when done.

The result is renamed into place when it is whole, so it is there or not. A training that was killed goes on from its
checkpoint, or, where that cannot be read, begins anew; either way to the same bits (training/trainer.py).
"""

import json
import shutil
import time
from pathlib import Path
from typing import Any

from minilm.errors import CheckpointError, ConfigError
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
from minilm.training.run import CONFIG, LOG, Run

RESULT = "result.json"
PATIENCE = 30.0  # seconds, for a process whose parent was killed to notice and end


def train_point(point: Point, folder: Path, rows: Path) -> dict[str, Any]:
    """Begin the training or go on with it, to the end; its result, which is also in the folder.

    rows: where Mundito's are kept. TrainingError for a loss that is not finite or below what can be.
    """
    if (found := result_in(folder, point)) is not None:
        return found
    _when_free(folder)
    try:
        result = _trained(point, _opened(point, folder, rows))
    except CheckpointError:  # damaged, or of other settings: nothing here is worth more than a new beginning
        shutil.rmtree(folder)
        result = _trained(point, _opened(point, folder, rows))
    write_atomically(folder / RESULT, json.dumps(result, indent=1) + "\n")
    return result


def result_in(folder: Path, point: Point) -> dict[str, Any] | None:
    """The result of a finished training, None of another; ConfigError if it is of other settings."""
    try:
        found = json.loads((folder / RESULT).read_bytes())
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise CheckpointError(tr("{file} is damaged: remove it", file=folder / RESULT)) from error
    if found["settings"] != point.settings:
        raise ConfigError(
            tr("{folder} is a training of other settings than this sweep's: choose another --out", folder=folder)
        )
    return found


def _when_free(folder: Path) -> None:
    """Wait for the last training here, which may not have noticed yet that its sweep was killed."""
    if not (folder / CONFIG).exists():
        return
    until = time.monotonic() + PATIENCE
    while True:
        try:
            with Run(folder).lock():
                return
        except ConfigError:
            if time.monotonic() > until:
                raise
            time.sleep(0.05)


def _opened(point: Point, folder: Path, rows: Path) -> Pretraining:
    source = source_of(point, rows)
    if not (folder / CONFIG).exists():
        shutil.rmtree(folder, ignore_errors=True)
        return Pretraining.begin(source, point.recipe, folder, point.seed)
    run = Run(folder)
    then = (run.config.get("recipe"), run.config.get("seed"), run.config.get("data"))
    if then != (point.settings["recipe"], point.seed, source.description()):
        raise CheckpointError(tr("{folder} is a training of other settings", folder=folder))
    return Pretraining(source, point.recipe, point.seed, run)


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


def _trained(point: Point, pretraining: Pretraining) -> dict[str, Any]:
    trainer = pretraining.trainer(threads=1, show=False).resume()
    seconds = trainer.train().seconds
    final = pretraining.final(trainer)
    shape = pretraining.recipe.model_config(pretraining.tokenizer.vocab_size)
    assert pretraining.run is not None
    return {
        "settings": point.settings,
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
