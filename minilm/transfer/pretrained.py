"""What a pretraining left: the kind of model, its shape, weights and tokenizer; and how a new model takes them over.

How much is taken over, in blocks from the bottom: None is nothing (training from scratch), 0 the embeddings, n these
and the first n blocks, "all" these and what stands above the last block (final norm, pooler).
"""

import dataclasses
import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from minilm.errors import CheckpointError, ConfigError
from minilm.i18n import tr
from minilm.models import GPT, Bert, BertConfig, GPTConfig
from minilm.pretraining.trained import load_trained
from minilm.text.tokenizer import Tokenizer

CONFIGS: dict[str, Any] = {"gpt": GPTConfig, "bert": BertConfig}
Layers = int | str | None  # None, 0 … L, "all"
_BLOCK = re.compile(r"blocks\.(\d+)\.")
_EMBEDDING = re.compile(r"(token|segment|position)_embedding\.|embedding_norm\.")
_OF_PRETRAINING = ("dense.", "norm.", "bias", "next_sentence.")  # BERT's heads, which no task has


@dataclass(frozen=True)
class Pretrained:
    """A pretrained model's kind ("gpt" or "bert"), shape, the weights of its body by name, and tokenizer; and what its
    run says of the data that it learned from."""

    kind: str
    config: Any
    weights: dict[str, np.ndarray]
    tokenizer: Tokenizer
    data: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    @classmethod
    def of(cls, kind: str, config: Any, state: Mapping[str, np.ndarray], tokenizer: Tokenizer) -> "Pretrained":
        """Out of a model's `state_dict()`: a GPT's, or a `BertForPreTraining`'s (whose heads are left out) or Bert's.

        CheckpointError if it is not of that shape, or of another kind.
        """
        weights = dict(state)
        if kind == "bert" and any(name.startswith("bert.") for name in weights):
            strange = [n for n in weights if not n.startswith(("bert.", *_OF_PRETRAINING))]
            if strange:
                raise CheckpointError(tr("these weights are of no BERT: {names}", names=", ".join(strange)))
            weights = {n.removeprefix("bert."): a for n, a in weights.items() if n.startswith("bert.")}
        found = cls(kind, config, weights, tokenizer)
        take_over(found.body(0), found, "all")
        return found

    @classmethod
    def open(cls, path: str | Path, on_notice: Callable[[str], None] | None = None) -> "Pretrained":
        """Of a run folder (its newest checkpoint), of a checkpoint within one, or of a Hugging Face folder; on_notice
        and errors as for `load_trained`."""
        trained = load_trained(path, tuple(CONFIGS), on_notice)
        body = getattr(trained.model, "bert", trained.model)  # whichever head it has
        weights = {name: parameter.numpy() for name, parameter in body.named_parameters()}
        found = cls.of(trained.kind, trained.model.config, weights, trained.tokenizer)
        return dataclasses.replace(found, data=trained.data)

    @property
    def fingerprint(self) -> str:
        """SHA-256 (hex) of shape, weights and vocabulary."""
        digest = hashlib.sha256(f"{self.kind} {self.config} {self.tokenizer.fingerprint}".encode())
        for name, array in sorted(self.weights.items()):
            digest.update(name.encode() + np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()

    def body(self, seed: int) -> Any:
        """A model of the same shape that has learned nothing."""
        if self.kind == "gpt":
            return GPT(self.config, seed)
        return Bert(self.config, seed, pooler=any(name.startswith("pooler.") for name in self.weights))

    def grown_config(self, added: int) -> Any:
        """The shape with that many more tokens."""
        return dataclasses.replace(self.config, vocab_size=self.config.vocab_size + added)


def take_over(body: Any, pretrained: Pretrained, layers: Layers = "all") -> list[str]:
    """Write pretrained weights into a GPT or Bert, as many layers as asked for; returns the names of what stays as it
    was drawn.

    New tokens behind the vocabulary keep their rows. A pooler that was not pretrained (without next sentences) stays
    too; every other difference is a CheckpointError that names it.
    """
    count = pretrained.config.layers
    check_layers(layers, count)
    parameters = dict(body.named_parameters())
    optional = ("pooler.",)
    missing = [n for n in parameters if n not in pretrained.weights and not n.startswith(optional)]
    strange = [n for n in pretrained.weights if n not in parameters and not n.startswith(optional)]
    if missing or strange:
        raise CheckpointError(
            tr("these weights do not fit the model: missing {missing}; unexpected {strange}",
               missing=", ".join(missing) or "–", strange=", ".join(strange) or "–")
        )  # fmt: skip
    fresh = []
    for name, parameter in parameters.items():
        if name in pretrained.weights and _wanted(name, layers):
            parameter.assign(_fitted(name, parameter.numpy(), pretrained.weights[name]))
        else:
            fresh.append(name)
    return fresh


def check_layers(layers: Layers, count: int) -> None:
    """ConfigError unless None, "all", or a number of blocks that there is."""
    if layers is None or layers == "all":
        return
    if not isinstance(layers, int) or isinstance(layers, bool) or not 0 <= layers <= count:
        raise ConfigError(tr("layers is {got!r}; choose 0 (embeddings) to {count}, or all", got=layers, count=count))


def in_first(name: str, layers: int) -> bool:
    """Whether a parameter of a body belongs to the embeddings or the first `layers` blocks."""
    block = _BLOCK.match(name)
    return int(block[1]) < layers if block else bool(_EMBEDDING.match(name))


def _wanted(name: str, layers: Layers) -> bool:
    return layers == "all" or (isinstance(layers, int) and in_first(name, layers))


def _fitted(name: str, drawn: np.ndarray, learned: np.ndarray) -> np.ndarray:
    """The learned array with the rows (or, of an untied head, columns) that were drawn for new tokens behind it."""
    grown = {"token_embedding.weight": 0, "head.weight": 1}.get(name)
    shapes = (drawn.shape, learned.shape)
    if grown is not None and learned.ndim == 2 and shapes[0][1 - grown] == shapes[1][1 - grown]:
        n = shapes[1][grown]
        if n <= shapes[0][grown]:
            rest = drawn[n:] if grown == 0 else drawn[:, n:]
            return np.concatenate([learned.astype(drawn.dtype), rest], axis=grown)
    if shapes[0] != shapes[1]:
        raise CheckpointError(
            tr("the pretrained {name} has shape {got}, the model's has {wanted}: they are not of one size", name=name,
               got=shapes[1], wanted=shapes[0])
        )  # fmt: skip
    return learned
