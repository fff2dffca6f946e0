"""One token a word: for texts whose words are few and known, such as Mundito's."""

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar, Self

from minilm.errors import DataError
from minilm.i18n import tr
from minilm.text.tokenizer import Tokenizer

UNKNOWN = "[UNK]"


class WordTokenizer(Tokenizer):
    """Token i is the i-th word of a vocabulary; words stand between spaces. A word that is not in it is "[UNK]"."""

    name: ClassVar[str] = "words"

    def __init__(self, words: Sequence[str], specials: Sequence[str] = ()):
        """words: the vocabulary in the order of the ids, each once. specials: those of them that stand for no text."""
        self.words, self.specials = tuple(words), tuple(specials)
        self._ids = {word: i for i, word in enumerate(self.words)}
        if not self.words or len(self._ids) != len(self.words) or any(w.split() != [w] for w in self.words):
            raise DataError(tr("a vocabulary of words must name each word once, none empty or with a space"))
        if missing := [w for w in self.specials if w not in self._ids]:
            raise DataError(tr("the special tokens {names} are not in the vocabulary", names=", ".join(missing)))

    @property
    def vocab_size(self) -> int:
        """V, the number of words, special tokens included."""
        return len(self.words)

    @property
    def special_tokens(self) -> dict[str, int]:
        return {word: self._ids[word] for word in self.specials}

    def encode(self, text: str) -> list[int]:
        """One id a word; an unknown word is "[UNK]" or, where the vocabulary has none, a DataError that names it."""
        words, ids = text.split(), self._ids
        if UNKNOWN in ids:
            return [ids.get(word, ids[UNKNOWN]) for word in words]
        try:
            return [ids[word] for word in words]
        except KeyError as error:
            raise DataError(
                tr("the word {word} is not in the vocabulary of {size}; use another text", word=error, size=len(ids))
            ) from None

    def decode(self, ids: Iterable[int]) -> str:
        """The words of `ids`, a space between."""
        return " ".join([self.words[i] for i in self.checked(ids)])

    def description(self) -> dict[str, Any]:
        """{"words": [str], "specials": [str]}."""
        return {"words": list(self.words), "specials": list(self.specials)}

    @classmethod
    def from_description(cls, description: dict[str, Any]) -> Self:
        """The tokenizer of {"words", "specials"}."""
        return cls(description["words"], description["specials"])
