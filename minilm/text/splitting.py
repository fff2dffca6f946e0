"""Where byte-level BPE may not merge: a text is cut into pieces first, and each piece is encoded by itself.

GPT-2 cuts by one pattern (section 2.2 of Radford et al. 2019). Models since then cut digits otherwise, by another
pattern or in several steps, each of which cuts the pieces of the one before.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import regex

from minilm.errors import DataError
from minilm.i18n import tr

# English clitics | letters | digits | other signs, each with the one space before it | spaces but the last | spaces.
GPT2_PATTERN = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
# Clitics in capitals too | letters with one sign before them | at most three digits | signs, line ends | ...
LLAMA3_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
DIGIT = r"\p{N}"
DIGITS = r"\p{N}+"


@dataclass(frozen=True)
class Cut:
    """One step: what `pattern` finds, and what stands between, are the pieces. A pattern of None cuts nothing.

    keep=False leaves out what it finds, between=False what stands between. space: each text that begins with no space
    gets one in front (byte-level BPE's "add_prefix_space"), before it is cut.
    """

    pattern: str | None
    keep: bool = True
    between: bool = True
    space: bool = False

    def __post_init__(self) -> None:
        _ = self._found  # a wrong pattern is told now

    @cached_property
    def _found(self) -> Any:
        try:
            return regex.compile(self.pattern or "")
        except regex.error as error:
            raise DataError(
                tr("the pattern {pattern} is no regular expression ({reason})", pattern=self.pattern, reason=error)
            ) from error

    def pieces(self, text: str) -> list[str]:
        """The pieces of `text`, none empty."""
        if self.space and not text.startswith(" "):
            text = " " + text
        if self.pattern is None:
            return [text]
        if self.keep and not self._found.groups:
            pieces: list[str] = self._found.findall(text)
            if not self.between or sum(map(len, pieces)) == len(text):  # the usual case: nothing stands between
                return [piece for piece in pieces if piece]
        pieces, end = [], 0
        for found in self._found.finditer(text):
            pieces += [text[end : found.start()] if self.between else "", found.group() if self.keep else ""]
            end = found.end()
        return [piece for piece in [*pieces, text[end:] if self.between else ""] if piece]


@dataclass(frozen=True)
class Splitting:
    """Cuts, one after the other."""

    steps: tuple[Cut, ...] = ()

    def pieces(self, text: str) -> list[str]:
        """The pieces of `text`; with the named splittings they join to `text` again."""
        pieces = [text] if text else []
        for step in self.steps:
            pieces = [cut for piece in pieces for cut in step.pieces(piece)]
        return pieces

    def description(self) -> list[Any]:
        """[[pattern, keep, between, space], ...], as JSON can hold it."""
        return [[step.pattern, step.keep, step.between, step.space] for step in self.steps]

    @classmethod
    def of(cls, given: "str | Splitting | Sequence[Any]") -> "Splitting":
        """A splitting by its name, from a description, or as it is; DataError for a name that is none."""
        if isinstance(given, Splitting):
            return given
        if isinstance(given, str):
            if given not in SPLITTINGS:
                known = ", ".join(SPLITTINGS)
                raise DataError(
                    tr("{name} is {got}; choose one of {known}", name="splitting", got=repr(given), known=known)
                )
            return SPLITTINGS[given]
        return cls(tuple(Cut(*step) for step in given))


SPLITTINGS: Mapping[str, Splitting] = {
    "gpt2": Splitting((Cut(GPT2_PATTERN),)),
    "smollm": Splitting((Cut(DIGIT), Cut(GPT2_PATTERN))),  # digits one by one
    "llama3": Splitting((Cut(LLAMA3_PATTERN),)),  # GPT-4's as well
}
