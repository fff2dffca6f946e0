"""A fine-tuned model on the disk: config.json (task, labels, columns, shape), model.safetensors and tokenizer.json."""

import dataclasses
import json
from pathlib import Path
from typing import Any, NamedTuple

import safetensors.numpy

import minilm
from minilm.errors import CheckpointError, ConfigError, MinilmError
from minilm.i18n import tr
from minilm.resources import write_atomically
from minilm.text.tokenizer import load_tokenizer
from minilm.transfer.examples import Task
from minilm.transfer.models import bare_model, reader_of
from minilm.transfer.pretrained import CONFIGS, Pretrained
from minilm.transfer.texts import Columns, TextTask

FORMAT = "minilm fine-tuned model 1"
CONFIG, WEIGHTS, TOKENIZER = "config.json", "model.safetensors", "tokenizer.json"


class FineTuned(NamedTuple):
    """A model for a task, what reads its rows, the task of texts, and what config.json says beside."""

    model: Any
    reader: Any
    texts: TextTask
    config: dict[str, Any]


def save(folder: Path, model: Any, pretrained: Pretrained, texts: TextTask, facts: dict[str, Any]) -> None:
    """Write the folder; config.json is the last, so that a folder with one is whole. facts: what else is to be known,
    as JSON has it."""
    pretrained.tokenizer.save(folder / TOKENIZER)
    write_atomically(folder / WEIGHTS, safetensors.numpy.save(model.state_dict()))
    config = {
        "format": FORMAT,
        "minilm": minilm.__version__,
        "kind": pretrained.kind,
        "model": pretrained.config.to_dict(),
        "what": texts.what,
        "task": dataclasses.asdict(texts.task),
        "columns": texts.columns.as_json(),
        "tokenizer": pretrained.tokenizer.fingerprint,
        **facts,
    }
    write_atomically(folder / CONFIG, json.dumps(config, indent=1, ensure_ascii=False) + "\n")


def load(folder: str | Path) -> FineTuned:
    """The model of a folder; CheckpointError where it is none or its parts do not belong together."""
    folder = Path(folder)
    try:
        config = json.loads((folder / CONFIG).read_text("utf-8"))
        if config["format"] != FORMAT:
            raise KeyError(FORMAT)
        shape = CONFIGS[config["kind"]].from_dict(config["model"])
        task, columns = Task(**_tuples(config["task"])), Columns(**_tuples(config["columns"]))
        what, fingerprint = config["what"], config["tokenizer"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(
            tr("{folder} is no fine-tuned model; give a folder that `minilm finetune` made", folder=folder)
        ) from error
    tokenizer = load_tokenizer(folder / TOKENIZER)
    if tokenizer.fingerprint != fingerprint:
        raise CheckpointError(
            tr("{file} is not the tokenizer that this model was trained with: restore it", file=folder / TOKENIZER)
        )
    like = Pretrained(config["kind"], shape, {}, tokenizer)
    model = bare_model(like, task)
    try:
        model.load_state_dict(safetensors.numpy.load_file(folder / WEIGHTS))
    except (OSError, safetensors.SafetensorError, MinilmError) as error:
        raise CheckpointError(tr("{folder}: its weights cannot be used ({reason})", folder=folder,
                                 reason=error)) from error  # fmt: skip
    texts = TextTask(what, task, columns, tokenizer, by_last=like.kind == "gpt")
    return FineTuned(model.eval(), reader_of(like, config.get("max_length")), texts, config)


def _tuples(settings: dict[str, Any]) -> dict[str, Any]:
    """The same with tuples for JSON's lists."""
    return {name: tuple(value) if isinstance(value, list) else value for name, value in settings.items()}


def new_folder(folder: Path) -> Path:
    """The folder, if nothing is in it yet; else a ConfigError."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigError(tr("{folder} already is there: choose another name with --out", folder=folder))
    return folder
