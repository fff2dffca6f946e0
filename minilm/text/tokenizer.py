"""What every tokenizer has: a name, a vocabulary size, encode and decode, one JSON file, a fingerprint."""

import hashlib
import importlib
import json
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from minilm.errors import DataError
from minilm.i18n import tr
from minilm.resources import read_text, write_atomically

if TYPE_CHECKING:
    from minilm.text.inputs import InputRules

FORMAT = "minilm tokenizer 1"
KINDS = {
    "char": "minilm.text.char:CharTokenizer",
    "byte_bpe": "minilm.text.bpe:ByteBPE",
    "wordpiece": "minilm.text.wordpiece:WordPiece",
    "words": "minilm.text.words:WordTokenizer",
}


class Tokenizer(ABC):
    """A map between texts and lists of token ids 0 … V−1.

    decode(encode(text)) == text, but for a tokenizer that says it normalizes.
    """

    name: ClassVar[str]
    inputs: "InputRules | None" = None  # what a published tokenizer's file says of a model's inputs (inputs.py)

    @property
    @abstractmethod
    def vocab_size(self) -> int:
        """V, the number of token ids."""

    @property
    def special_tokens(self) -> dict[str, int]:
        """The tokens that stand for no text, e.g. {"<|endoftext|>": 50256}; empty for most tokenizers."""
        return {}

    @abstractmethod
    def encode(self, text: str) -> list[int]:
        """The token ids of `text`."""

    @abstractmethod
    def decode(self, ids: Iterable[int]) -> str:
        """The text of token ids."""

    @abstractmethod
    def description(self) -> dict[str, Any]:
        """All that defines this tokenizer, as values that JSON can hold; `from_description` undoes it."""

    @classmethod
    @abstractmethod
    def from_description(cls, description: dict[str, Any]) -> Self:
        """The tokenizer of a `description`; DataError if it describes none."""

    @property
    def fingerprint(self) -> str:
        """SHA-256 (64 hex digits) of name and description: equal exactly when two tokenizers are.

        A checkpoint keeps its tokenizer's, so that weights are never read with another vocabulary.
        """
        definition = json.dumps([self.name, self.description()], sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(definition.encode("ascii")).hexdigest()

    def save(self, path: str | Path) -> None:
        """Write one JSON file, whole or not at all; `load_tokenizer` reads it."""
        content = {"format": FORMAT, "kind": self.name, "fingerprint": self.fingerprint, **self.description()}
        write_atomically(path, json.dumps(content) + "\n")

    def allowed(self, names: str | Collection[str]) -> set[str]:
        """The special tokens named: a set, one, or "all"; DataError for a name that is none."""
        if names == "all":
            return set(self.special_tokens)
        names = {names} if isinstance(names, str) else set(names)
        if unknown := sorted(names - set(self.special_tokens)):
            known = ", ".join(self.special_tokens) or tr("none")
            raise DataError(
                tr("{name} is no special token of this tokenizer; it has: {known}", name=unknown[0], known=known)
            )
        return names

    def check_disallowed(self, text: str, names: str | Collection[str], allowed: Collection[str]) -> None:
        """DataError if one of the special tokens named (or "all") stands in `text`, but for the allowed ones."""
        places = {name: text.find(name) for name in self.allowed(names) - set(allowed)}
        if found := sorted((place, name) for name, place in places.items() if place >= 0):
            raise DataError(
                tr(
                    "the text has the special token {name} at position {position}; allow it (allowed_special), or let "
                    "it be plain text (leave it out of disallowed_special)",
                    name=found[0][1],
                    position=found[0][0],
                )
            )

    def checked(self, ids: Iterable[int]) -> list[int]:
        """`ids` (list or integer array) as Python ints, all in [0, V); DataError names the first that is not."""
        numbers = np.asarray(ids if isinstance(ids, np.ndarray) else list(ids))
        if numbers.size == 0:
            return []
        if numbers.ndim != 1 or numbers.dtype.kind not in "iu":
            raise DataError(
                tr(
                    "token ids must be one list of integers, not {kind} of shape {shape}; pass one row",
                    kind=numbers.dtype,
                    shape=numbers.shape,
                )
            )
        wrong = np.flatnonzero((numbers < 0) | (numbers >= self.vocab_size))
        if wrong.size:
            raise DataError(
                tr(
                    "token id {id} (position {position}) is outside this tokenizer's 0 … {last}; "
                    "decode with the tokenizer that made it",
                    id=numbers[wrong[0]],
                    position=wrong[0],
                    last=self.vocab_size - 1,
                )
            )
        return numbers.tolist()


def load_tokenizer(path: str | Path) -> Tokenizer:
    """The tokenizer that `save` wrote to `path`; DataError if the file is missing, damaged or of another kind."""
    content = read_json(path)
    if not isinstance(content, dict) or content.get("format") != FORMAT or content.get("kind") not in KINDS:
        raise DataError(tr("{path} is no tokenizer file of minilm; save one with tokenizer.save(path)", path=path))
    module, _, name = KINDS[content["kind"]].partition(":")
    kind = getattr(importlib.import_module(module), name)
    try:
        tokenizer = kind.from_description(content)
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise DataError(tr("{path} is a damaged tokenizer file ({reason})", path=path, reason=error)) from error
    if tokenizer.fingerprint != content.get("fingerprint"):
        raise DataError(
            tr("{path} is a damaged tokenizer file: its fingerprint does not fit; use a copy or train again", path=path)
        )
    return tokenizer


def check_encodable(text: str) -> None:
    """DataError for a lone surrogate, which no UTF-8 can hold."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise DataError(
            tr(
                "the text has a lone surrogate (U+{code}) at position {position}, which is no character; "
                "read the text as UTF-8 or remove it",
                code=f"{ord(text[error.start]):04X}",
                position=error.start,
            )
        ) from error


def read_json(path: str | Path) -> Any:
    """The value of a UTF-8 JSON file; DataError if it is missing, binary or no JSON."""
    text = read_text(path)
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise DataError(
            tr("{path} is not JSON ({reason}); it is damaged or another kind of file", path=path, reason=error)
        ) from error
