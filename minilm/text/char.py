"""One token a character: the smallest vocabulary that loses nothing, and the longest sequences."""

from collections.abc import Iterable
from typing import Any, ClassVar, Self

from minilm.errors import DataError
from minilm.i18n import tr
from minilm.text.tokenizer import Tokenizer

UNKNOWN = "<unk>"


class CharTokenizer(Tokenizer):
    """Token i is the i-th character of a sorted vocabulary; with `unknown` the last id stands for any other one."""

    name: ClassVar[str] = "char"

    def __init__(self, characters: str, unknown: bool = False):
        """`characters`: the vocabulary, each once, in the order of their ids."""
        if not characters or len(set(characters)) != len(characters):
            raise DataError(tr("a character vocabulary must name each character once and at least one"))
        self.characters = characters
        self.unknown = unknown
        self._ids = {character: i for i, character in enumerate(characters)}
        self._tokens = [*characters, *([UNKNOWN] if unknown else [])]

    @classmethod
    def train(cls, text: str | Iterable[str], unknown: bool = False) -> Self:
        """The vocabulary of all distinct characters of a text or of several, sorted by code point.

        With `unknown`, characters never seen become one token "<unk>"; without, encoding them is a DataError.
        """
        seen = set(text) if isinstance(text, str) else {character for part in text for character in part}
        if not seen:
            raise DataError(tr("the text to learn characters from is empty; give one that has some"))
        return cls("".join(sorted(seen)), unknown)

    @property
    def vocab_size(self) -> int:
        """V: the number of characters, and one more with `unknown`."""
        return len(self._tokens)

    def encode(self, text: str) -> list[int]:
        """One id a character; an unknown character is "<unk>" or else a DataError that names it and its position."""
        ids = self._ids
        if self.unknown:
            last = len(self.characters)
            return [ids.get(character, last) for character in text]
        try:
            return [ids[character] for character in text]
        except KeyError:
            position = next(i for i, character in enumerate(text) if character not in ids)
            raise DataError(
                tr(
                    "character {character} at position {position} is not among the tokenizer's {size}; leave it out, "
                    "train the tokenizer on a text that has it, or with unknown=True",
                    character=f"{text[position]!a} (U+{ord(text[position]):04X})",
                    position=position,
                    size=len(ids),
                )
            ) from None

    def decode(self, ids: Iterable[int]) -> str:
        """The characters of `ids`; an unknown one reads "<unk>"."""
        tokens = self._tokens
        return "".join([tokens[i] for i in self.checked(ids)])

    def description(self) -> dict[str, Any]:
        """{"characters": str, "unknown": bool}."""
        return {"characters": self.characters, "unknown": self.unknown}

    @classmethod
    def from_description(cls, description: dict[str, Any]) -> Self:
        """The tokenizer of {"characters", "unknown"}."""
        return cls(description["characters"], bool(description["unknown"]))
