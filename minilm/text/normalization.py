"""What a tokenizer may do to a text before it cuts it, by the names that Hugging Face's files give."""

import unicodedata
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from minilm.errors import DataError
from minilm.i18n import tr


def lower(text: str) -> str:
    """Each character's lower case by itself: a Σ is σ at a word's end as well, unlike str.lower."""
    return text.lower() if "Σ" not in text else "".join(character.lower() for character in text)


def strip_accents(text: str) -> str:
    """Without its combining marks (category M); an é that is one character keeps its accent, unless NFD came before."""
    return "".join(character for character in text if unicodedata.category(character)[0] != "M")


NORMALIZATIONS: Mapping[str, Callable[[str], str]] = {
    "NFC": partial(unicodedata.normalize, "NFC"),
    "NFD": partial(unicodedata.normalize, "NFD"),
    "NFKC": partial(unicodedata.normalize, "NFKC"),
    "NFKD": partial(unicodedata.normalize, "NFKD"),
    "Lowercase": lower,
    "StripAccents": strip_accents,
}


class Normalization:
    """Named steps, one after the other; none changes nothing."""

    def __init__(self, names: Sequence[str] = ()):
        if unknown := next((name for name in names if name not in NORMALIZATIONS), None):
            raise DataError(
                tr("normalization {got} is not known; choose of {known}",
                   got=repr(unknown), known=", ".join(NORMALIZATIONS))
            )  # fmt: skip
        self.names = tuple(names)

    def __call__(self, text: str) -> str:
        for name in self.names:
            text = NORMALIZATIONS[name](text)
        return text
