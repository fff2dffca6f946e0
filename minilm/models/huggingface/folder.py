"""Hugging Face folders: config.json says what a model is, model.safetensors (or several shards) holds its weights."""

import json
import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy

from minilm.errors import CheckpointError, ConfigError
from minilm.i18n import tr
from minilm.models.huggingface.arrays import INDEX, WEIGHTS, Stored, open_arrays, read_json
from minilm.models.huggingface.families import FAMILIES
from minilm.models.huggingface.settings import Settings
from minilm.models.huggingface.tables import Family, Weight, bytes_of
from minilm.nn.init import blank_weights
from minilm.resources import write_atomically

CONFIG = "config.json"


class UnreadWeightsWarning(UserWarning):
    """A folder holds weights that its model does not read."""


# ---------------------------------------------------------------------------------------------------------- reading


def load(folder: str | Path, kind: type | None = None, on_notice: Callable[[str], None] | None = None) -> Any:
    """The model of a folder, in evaluation mode, float64 if its weights are, else float32.

    kind: the class that it must be of. on_notice: called with a sentence that names learned weights of the folder which
    this model does not read; without it, an UnreadWeightsWarning. Errors: CheckpointError for files that are missing,
    damaged or do not belong together; ConfigError for a model or a setting that is not built here.
    """
    folder = Path(folder)
    family, architecture, settings = _describe(folder)
    try:
        config = family.read_config(settings)
        settings.finish()
        stored = _by_plain_name(family, open_arrays(folder, architecture))
        with blank_weights():
            model = family.architectures[architecture](config, settings.published, stored)
    except ConfigError as error:
        raise ConfigError(tr("{file}: {reason}", file=folder / CONFIG, reason=error)) from error
    if kind is not None and not isinstance(model, kind):
        raise ConfigError(
            tr("{folder} holds a {theirs}, here a {got}, not a {wanted}: use {got}.from_pretrained", folder=folder,
               theirs=architecture, got=type(model).__name__, wanted=kind.__name__)
        )  # fmt: skip
    model.published = settings.published
    if unread := fill(model, family, stored, folder):
        said = tr("{folder} has weights that a {kind} does not read: {names}", folder=folder, kind=architecture,
                  names=", ".join(unread))  # fmt: skip
        on_notice(said) if on_notice else warnings.warn(said, UnreadWeightsWarning, stacklevel=3)
    return model.eval()


def is_published(folder: str | Path) -> bool:
    """Whether a folder's config.json is one of Hugging Face's, which names a model_type."""
    try:
        return "model_type" in read_json(Path(folder) / CONFIG)
    except CheckpointError:
        return False


def _describe(folder: Path) -> tuple[Family, str, Settings]:
    """What config.json says that the model is: the kind, the class, and the settings."""
    if not folder.is_dir():
        raise CheckpointError(
            tr("there is no folder {folder}: give one with {config} and {weights}; nothing is downloaded",
               folder=folder, config=CONFIG, weights=WEIGHTS)
        )  # fmt: skip
    if not (folder / CONFIG).exists():
        raise CheckpointError(tr("{folder} has no {config}, which says what model it is", folder=folder, config=CONFIG))
    theirs = read_json(folder / CONFIG)
    kind, names = theirs.get("model_type"), theirs.get("architectures")
    if not isinstance(kind, str) or kind not in FAMILIES:
        raise ConfigError(
            tr("{file}: model_type is {got!r}; minilm builds {known}", file=folder / CONFIG, got=kind,
               known=", ".join(FAMILIES))
        )  # fmt: skip
    family = FAMILIES[kind]
    name = str(names[0]) if isinstance(names, list) and len(names) == 1 else ""
    if name not in family.architectures:
        raise ConfigError(
            tr("{file}: architectures is {got!r}; of a {kind}, minilm builds one of {known}", file=folder / CONFIG,
               got=names, kind=kind, known=", ".join(family.architectures))
        )  # fmt: skip
    return family, name, Settings(theirs)


def _by_plain_name(family: Family, stored: Mapping[str, Stored]) -> dict[str, Stored]:
    """The arrays by their names without the prefix, in today's spelling."""
    found: dict[str, Stored] = {}
    for name, array in stored.items():
        if (plain := family.plain(name)) in found:
            raise CheckpointError(
                tr("{file}: {one} and {other} are names of the same weight", file=array.file, one=found[plain].name,
                   other=name)
            )  # fmt: skip
        found[plain] = array
    return found


def fill(model: Any, family: Family, stored: Mapping[str, Stored], folder: Path) -> list[str]:
    """Write the published arrays, by plain name, into the model's parameters, one at a time; the names of those that
    are learned and that it does not read. CheckpointError, before anything is written, unless all fit."""
    parameters, table = dict(model.named_parameters()), family.weights(model)
    copied = {family.plain(copy): family.plain(of) for copy, of in family.copies(model).items()}
    wanted = [family.plain(name) for weight in table for name in weight.theirs]
    known = {*wanted, *copied, *map(family.plain, family.spare(model))}
    strange = [name for name in stored if name not in known and not _matches(name, family.buffers)]
    unread = [name for name in strange if _matches(name, family.unread)]
    if faults := list(_faults(table, parameters, family, stored, sorted(set(strange) - set(unread)))):
        raise CheckpointError(
            tr("{folder}: its weights do not fit its {config}: ", folder=folder, config=CONFIG) + "; ".join(faults)
        )
    for copy, of in copied.items():
        if copy in stored and not np.array_equal(stored[copy].read(), stored[of].read()):
            raise CheckpointError(
                tr("{folder}: {copy} differs from {of}, though {config} says that they are one (tie_word_embeddings)",
                   folder=folder, copy=copy, of=of, config=CONFIG)
            )  # fmt: skip
    if any(stored[name].dtype == np.float64 for name in wanted):
        model.astype(np.float64)
    for weight in table:
        parameters[weight.ours].assign(weight.join([stored[family.plain(name)].read() for name in weight.theirs]))
    return sorted(stored[name].name for name in unread)


def _matches(name: str, patterns: tuple[str, ...]) -> bool:
    return any(re.fullmatch(pattern, name) for pattern in patterns)


def _faults(
    table: list[Weight], parameters: Mapping[str, Any], family: Family, stored: Mapping[str, Stored], others: list[str]
) -> Iterator[str]:
    """What keeps the arrays from being read, a phrase for each kind of fault; others: those that nobody wants."""
    parts = [
        (weight.ours, name, shape, stored.get(family.plain(name)))
        for weight in table
        for name, _, shape in weight.parts(parameters[weight.ours].shape)
    ]
    if missing := [name for _, name, _, found in parts if found is None]:
        yield tr("missing: {names}", names=", ".join(missing))
    if others:
        yield tr("unexpected: {names}", names=", ".join(others))
    odd = []
    for ours, name, shape, found in parts:
        if found is None or found.shape == shape:
            continue
        if ours.endswith("token_embedding.weight") and found.shape[1:] == shape[1:]:
            yield tr("{name} has {got} rows, but vocab_size is {wanted}: the vocabulary is of another size",
                     name=name, got=found.shape[0], wanted=shape[0])  # fmt: skip
        else:
            odd.append(f"{name} {found.shape} ≠ {shape}")
    if odd:
        yield tr("of another shape: {names}", names=", ".join(odd))


# ---------------------------------------------------------------------------------------------------------- writing


def save(model: Any, folder: str | Path, max_shard_bytes: int | None = None) -> None:
    """Write config.json and model.safetensors, which transformers loads; the folder is made if it is not there.

    max_shard_bytes: split the weights into files of at most that many bytes (a weight that is larger has one alone),
    with an index; no more than one file's arrays are then held beside the model. config.json is written last, so a
    folder with one is whole, and after an error nothing is left. Errors: ConfigError if the folder already holds a
    model, or for a model that no published class is; DataError if the disk does not take it.
    """
    folder = Path(folder)
    if max_shard_bytes is not None and max_shard_bytes < 1:
        raise ConfigError(tr("max_shard_bytes is {got}; it must be at least 1", got=max_shard_bytes))
    family, architecture = family_of(model)
    if folder.exists() and not folder.is_dir():
        raise ConfigError(tr("{folder} is a file: choose another name", folder=folder))
    if held := sorted(path.name for path in folder.glob("*") if path.name == CONFIG or path.suffix == ".safetensors"):
        raise ConfigError(tr("{folder} already holds a model ({name}): choose another name", folder=folder,
                             name=held[0]))  # fmt: skip
    parameters, table = dict(model.named_parameters()), family.weights(model)
    dtype = next(iter(parameters.values())).dtype
    settings = {**family.write_config(model), **model.published}
    settings |= {"architectures": [architecture], "model_type": family.model_type, "dtype": str(dtype)}
    made = not folder.exists()
    alone = {weight.theirs[0]: weight for weight in table}
    table += [replace(alone[of], theirs=(spare,)) for spare, of in family.spare(model).items()]
    shards = _shards(table, parameters, max_shard_bytes)
    written: list[Path] = []
    try:
        for path, content in _files(folder, parameters, shards, settings):
            written.append(path)
            write_atomically(path, content)
    except BaseException:
        for path in written:
            path.unlink(missing_ok=True)
        if made and folder.exists():
            folder.rmdir()
        raise


def family_of(model: Any) -> tuple[Family, str]:
    """The family and the architecture that a model is published as; ConfigError if there is none."""
    for family in FAMILIES.values():
        if architecture := family.architecture_of(model):
            return family, architecture
    raise ConfigError(
        tr("no class that Hugging Face publishes computes what a {kind} does: it cannot be saved for it",
           kind=type(model).__name__)
    )  # fmt: skip


def _shards(table: list[Weight], parameters: Mapping[str, Any], limit: int | None) -> list[list[Weight]]:
    """The weights in their order, cut where a file would grow beyond the limit."""
    shards: list[list[Weight]] = [[]]
    size = 0
    for weight in table:
        own = bytes_of(parameters[weight.ours].shape, parameters[weight.ours].dtype)
        if limit is not None and shards[-1] and size + own > limit:
            shards.append([])
            size = 0
        shards[-1].append(weight)
        size += own
    return shards


def _files(
    folder: Path, parameters: Mapping[str, Any], shards: list[list[Weight]], settings: dict[str, Any]
) -> Iterator[tuple[Path, bytes]]:
    """The files to write, in order; the arrays of one are made when it is its turn."""
    places: dict[str, str] = {}
    for number, shard in enumerate(shards, start=1):
        name = WEIGHTS if len(shards) == 1 else f"model-{number:05}-of-{len(shards):05}.safetensors"
        arrays = {
            theirs: np.ascontiguousarray(part)
            for weight in shard
            for theirs, part in weight.split(parameters[weight.ours].numpy())
        }
        places |= dict.fromkeys(arrays, name)
        yield folder / name, safetensors.numpy.save(arrays, {"format": "pt"})
    if len(shards) > 1:
        total = sum(bytes_of(parameters[w.ours].shape, parameters[w.ours].dtype) for shard in shards for w in shard)
        yield folder / INDEX, _json({"metadata": {"total_size": total}, "weight_map": places})
    yield folder / CONFIG, _json(settings)


def _json(content: dict[str, Any]) -> bytes:
    return (json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode()
