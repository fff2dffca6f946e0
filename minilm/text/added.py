"""Tokens that are looked for in a text before anything else is done to it: special ones, and words added later."""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import regex

# As the `tokenizers` library has them: a token that is a single word has no such character beside it.
OF_A_WORD = regex.compile(r"[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}]")
SPACES = regex.compile(r"\p{White_Space}*")


@dataclass(frozen=True)
class AddedToken:
    """`text` wherever it stands is token `id`, and is neither cut nor changed; nothing else becomes that token.

    special: it stands for no text, and is read only where it is allowed. single_word: not amid a word. lstrip, rstrip:
    the spaces before, or behind, belong to it. normalized: it is looked for in the text after normalization (lower
    case, ...), and is itself normalized.
    """

    text: str
    id: int
    special: bool = True
    single_word: bool = False
    lstrip: bool = False
    rstrip: bool = False
    normalized: bool = False

    @property
    def is_plain(self) -> bool:
        """Whether name and id are all there is to say: a special token that is read as it is written."""
        return self == AddedToken(self.text, self.id)

    def description(self) -> dict[str, Any]:
        """The fields, as JSON can hold them."""
        return asdict(self)


def merged(special_tokens: dict[str, int], added: Sequence[AddedToken]) -> tuple[AddedToken, ...]:
    """All added tokens: the special ones by name and id, each as `added` describes it if it does, and the others."""
    described = {token.text: token for token in added}
    special = [described.pop(text, AddedToken(text, id)) for text, id in special_tokens.items()]
    return (*special, *described.values())


class Finder:
    """Finds added tokens: of those that begin at one place the longest, from left to right."""

    def __init__(self, tokens: Sequence[AddedToken], normalize: Callable[[str], str]):
        self._exact = {token.text: token for token in tokens if not token.normalized}
        self._normal = {normalize(token.text): token for token in tokens if token.normalized}
        self._patterns: dict[tuple[bool, frozenset[str]], Any] = {}

    @property
    def normalizes(self) -> bool:
        """Whether there are tokens to be found after normalization."""
        return bool(self._normal)

    def find(
        self, text: str, allowed: Collection[str], normalized: bool = False
    ) -> Iterator[tuple[int | None, int, int]]:
        """(id, start, end) of each token in `text`, and (None, start, end) of what stands between, none empty.

        allowed: the special tokens to be read; the others are plain text. normalized: those tokens that are looked
        for after normalization, in a text that is normalized; otherwise the others.
        """
        tokens, done = self._normal if normalized else self._exact, 0
        key = normalized, frozenset(allowed)
        if key not in self._patterns:
            self._patterns[key] = _alternatives(text for text, t in tokens.items() if not t.special or t.text in key[1])
        for match in self._patterns[key].finditer(text) if self._patterns[key] else ():
            token, (start, end) = tokens[match.group()], match.span()
            if token.single_word and (OF_A_WORD.match(text[start - 1 : start]) or OF_A_WORD.match(text, end)):
                continue
            while token.lstrip and start > done and SPACES.fullmatch(text[start - 1]):
                start -= 1
            if token.rstrip:
                end = SPACES.match(text, end).end()
            if done < start:
                yield None, done, start
            yield token.id, max(done, start), end  # the token before may have taken its spaces
            done = end
        if done < len(text):
            yield None, done, len(text)


def _alternatives(texts: Iterator[str]) -> Any:
    longest_first = sorted(filter(None, texts), key=len, reverse=True)
    return regex.compile("|".join(map(regex.escape, longest_first))) if longest_first else None
