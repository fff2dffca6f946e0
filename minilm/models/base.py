"""What every model is: a Module that is read from and written to Hugging Face folders; and what keeps its shape."""

import dataclasses
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar, Self

from minilm.errors import ConfigError
from minilm.i18n import tr
from minilm.nn.module import Module


@dataclasses.dataclass(frozen=True)
class Config:
    """The base of every model's configuration, a frozen dataclass of plain values; `kind` is the model's name."""

    kind: ClassVar[str]

    def to_dict(self) -> dict[str, Any]:
        """The settings as JSON has them."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, settings: Mapping[str, Any]) -> Self:
        """The configuration of `to_dict`; ConfigError for a setting that is missing or that no such model has."""
        fields = dataclasses.fields(cls)
        if unknown := [name for name in settings if name not in [field.name for field in fields]]:
            raise ConfigError(
                tr("a {kind} has no setting {names}; it has {known}", kind=cls.kind, names=", ".join(unknown),
                   known=", ".join(field.name for field in fields))
            )  # fmt: skip
        if "vocab_size" not in settings:
            raise ConfigError(
                tr("a {kind}'s settings need vocab_size, the number of its tokenizer's tokens", kind=cls.kind)
            )
        return cls(**settings)


class Model(Module):
    """The base of every model. `published` is what the folder that it was read from says beside its shape: the ids of
    special tokens, the names of labels, …; it is written again by `save_pretrained`."""

    published: Mapping[str, Any] = MappingProxyType({})

    @property
    def end_ids(self) -> tuple[int, ...]:
        """The tokens that end a text, as the folder that it was read from says ("eos_token_id"); else none."""
        ends = self.published.get("eos_token_id")
        return () if ends is None else (ends,) if isinstance(ends, int) else tuple(ends)

    @classmethod
    def from_pretrained(cls, folder: str | Path, on_notice: Callable[[str], None] | None = None) -> Self:
        """The model of a Hugging Face folder, config.json and model.safetensors (or shards and their index), in
        evaluation mode; float64 if its weights are, else float32.

        `Model.from_pretrained` takes any kind that is built here, a subclass its own only. Every setting is honoured or
        refused by name, every weight used or named: `on_notice` is called with a sentence about learned weights that
        the model does not read; without it, that is a warning. Errors: CheckpointError, ConfigError.
        """
        from minilm.models.huggingface import load

        return load(folder, cls, on_notice)

    def save_pretrained(self, folder: str | Path, max_shard_bytes: int | None = None) -> None:
        """Write config.json and model.safetensors as Hugging Face has them, so that transformers loads the folder.

        max_shard_bytes: split the weights into files of at most that many bytes. Whole or not at all. Errors:
        ConfigError if the folder already holds a model, or if no published class computes what this one does;
        DataError if the disk does not take it.
        """
        from minilm.models.huggingface import save

        save(self, folder, max_shard_bytes)


def last(states: Iterator[Any]) -> Any:
    """The last of the hidden states that a model computes one by one; of the others none is held."""
    return deque(states, maxlen=1).pop()
