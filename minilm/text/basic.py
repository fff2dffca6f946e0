"""BERT's basic tokenization: what is done to a text before its words are cut into pieces.

After the `BasicTokenizer` that Google published with Devlin et al. 2019 (tokenization.py), and with the position in the
text kept for every character, which tagging and question answering need. The classes of characters are those of the
Unicode version that this Python knows, so a character newer than that may be cut otherwise by a newer Python.
"""

import string
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

import regex

# U+0000 and other control characters fall to _is_dropped, so they stand within a chunk and part no words.
CHUNK = regex.compile(r"[^ \t\n\r\p{Z}]+")
SPACE = regex.compile(r"\p{White_Space}")
CJK_BLOCKS = (
    (0x4E00, 0x9FFF),
    (0x3400, 0x4DBF),
    (0x20000, 0x2A6DF),
    (0x2A700, 0x2B73F),
    (0x2B740, 0x2B81F),
    (0x2B820, 0x2CEAF),
    (0xF900, 0xFAFF),
    (0x2F800, 0x2FA1F),
)
NOT_CJK_IN_TOKENIZERS = range(0x2B820, 0x2B920)
REPLACEMENT = "\ufffd"

Aligned = list[tuple[str, int]]  # characters, each with the position of the one that it was made from


@dataclass(frozen=True)
class Word:
    """A word as WordPiece sees it: `text`, and where in the original each of its characters stands."""

    text: str
    positions: tuple[int, ...]

    def span(self, start: int, end: int) -> tuple[int, int]:
        """(first, last + 1) in the original of the characters text[start:end]."""
        part = self.positions[start:end]
        return min(part), max(part) + 1


@dataclass(frozen=True)
class BasicTokenization:
    """Texts into words: between spaces, with punctuation and CJK characters each a word of its own.

    `lower`: lower case, as in BERT's uncased models. `strip_accents`: decompose (NFD) and drop the marks (category
    Mn), so that ñ becomes n; Spanish keeps its meaning with lower=True, strip_accents=False. `clean`: drop control
    characters. `split_cjk`: make each CJK character a word. `as_tokenizers`: differ from Google's program where the
    library `tokenizers` does: Σ is σ at a word's end too, private-use characters are dropped, and U+2B820 … U+2B91F
    are letters.
    """

    lower: bool = True
    strip_accents: bool = True
    clean: bool = True
    split_cjk: bool = True
    as_tokenizers: bool = False

    def words(self, text: str) -> list[str]:
        """The words of `text`, none empty and none with a space."""
        return [word.text for chunk, _ in chunks(text) for word in self.cut(chunk)]

    def cut(self, chunk: str) -> list[Word]:
        """The words of what stands between two spaces; positions count from the chunk's start.

        Nothing that is done to a character depends on one beyond a space, so a chunk can be cut once for all.
        """
        return self.split(self.normalized(chunk))

    def normalized(self, text: str) -> Aligned:
        """The characters of `text` after all that changes them, CJK characters between spaces."""
        aligned = [(character, i) for i, character in enumerate(text)]
        if self.clean:
            aligned = [(" " if _is_space(c) else c, i) for c, i in aligned if not self._drops(c)]
        if self.split_cjk:
            aligned = [(d, i) for c, i in aligned for d in ((" ", c, " ") if self._stands_alone(c) else c)]
        if self.lower:
            aligned = _lowered_one_by_one(aligned) if self.as_tokenizers else _lowered(aligned)
        if self.strip_accents:
            aligned = [(c, i) for c, i in _decomposed(aligned) if unicodedata.category(c) != "Mn"]
        return aligned

    def split(self, aligned: Aligned) -> list[Word]:
        """The words of a normalized text: what stands between spaces, and each sign of punctuation."""
        words: list[Word] = []
        start = 0
        for end in range(len(aligned) + 1):
            sign = end < len(aligned) and is_punctuation(aligned[end][0])
            if sign or end == len(aligned) or _is_space(aligned[end][0]):
                for part in (aligned[start:end], aligned[end : end + 1] if sign else []):
                    if part:
                        words.append(Word("".join(c for c, _ in part), tuple(i for _, i in part)))
                start = end + 1
        return words

    def _drops(self, character: str) -> bool:
        return _is_dropped(character) or (self.as_tokenizers and unicodedata.category(character) == "Co")

    def _stands_alone(self, character: str) -> bool:
        return is_cjk(character) and not (self.as_tokenizers and ord(character) in NOT_CJK_IN_TOKENIZERS)


def chunks(text: str) -> Iterator[tuple[str, int]]:
    """What stands between spaces (Unicode's separators, tab and line ends), and where each starts."""
    return ((found.group(), found.start()) for found in CHUNK.finditer(text))


def is_cjk(character: str) -> bool:
    """Whether BERT makes it a word of its own: Han characters, not kana or hangul, which are written in words."""
    code = ord(character)
    return code >= 0x3400 and any(first <= code <= last for first, last in CJK_BLOCKS)


def is_punctuation(character: str) -> bool:
    """ASCII's signs that are no letters and digits, `$+<=>^`|~` among them, and Unicode's punctuation (category P)."""
    return character in string.punctuation or unicodedata.category(character)[0] == "P"


def _is_space(character: str) -> bool:
    """Unicode's separators (category Z), tab, line ends, and those that cleaning drops (U+000B, U+000C, U+0085)."""
    return character == " " or SPACE.match(character) is not None


def _is_dropped(character: str) -> bool:
    """Control and format characters (Cc, Cf: NUL, zero-width spaces and joiners, the byte order mark), and U+FFFD."""
    if character in "\t\n\r":
        return False
    return character == REPLACEMENT or unicodedata.category(character) in ("Cc", "Cf")


def _lowered_one_by_one(aligned: Aligned) -> Aligned:
    return [(d, i) for c, i in aligned for d in c.lower()]


def _lowered(aligned: Aligned) -> Aligned:
    """str.lower of the whole, in which a Σ at a word's end becomes ς; of one character it would always be σ."""
    # İ alone has a lower case of two characters (i and a dot above); spread first, lengths agree.
    spread = [(d, i) for c, i in aligned for d in (c.lower() if len(c.lower()) > 1 else c)]
    lower = "".join(character for character, _ in spread).lower()
    return list(zip(lower, [i for _, i in spread], strict=True))


def _decomposed(aligned: Aligned) -> Aligned:
    """Normalization form D: each character decomposed, then the marks in a row sorted by their combining class."""
    parts = [(d, i) for c, i in aligned for d in unicodedata.normalize("NFD", c)]
    start = 0
    for end in range(len(parts) + 1):
        if end == len(parts) or unicodedata.combining(parts[end][0]) == 0:
            parts[start:end] = sorted(parts[start:end], key=lambda part: unicodedata.combining(part[0]))
            start = end + 1
    return parts
