"""Words and signs as text again: which spaces between them are usual. A guess, for a tokenizer that keeps no spaces."""

import unicodedata
from collections.abc import Sequence

from minilm.text.basic import is_cjk

CJK_SIGNS = frozenset("。，、！？；：")
CLINGS_TO_THE_LEFT = frozenset(".,;:!?%…") | CJK_SIGNS
CLINGS_TO_THE_RIGHT = frozenset("¿¡")
APOSTROPHES = frozenset("'’")
ENGLISH_CLITICS = frozenset({"s", "t", "re", "ve", "m", "ll", "d"})
JOINERS = frozenset("-_")

# What the `tokenizers` library takes away in English, in its order.
ENGLISH_SPACES = {
    " .": ".",
    " ?": "?",
    " !": "!",
    " ,": ",",
    " ' ": "'",
    " n't": "n't",
    " 'm": "'m",
    " do not": " don't",
    " 's": "'s",
    " 've": "'ve",
    " 're": "'re",
}


def spaced(words: Sequence[str]) -> str:
    """The words with one space between, but none where this says so.

    Before . , ; : ! ? % … and whatever closes, after ¿ ¡ and whatever opens (Unicode's Ps, Pi, Pe, Pf); in 3.14 and
    10:30; around a hyphen, underscore or apostrophe that joins two words (well-known, self_test, don't); between CJK
    characters. Straight quotes keep their spaces, since nothing tells on which side they belong.
    """
    if not words:
        return ""
    parts = [words[0]]
    for i in range(1, len(words)):
        if not _touch(words, i):
            parts.append(" ")
        parts.append(words[i])
    return "".join(parts)


def joined_as_tokenizers(tokens: Sequence[str], prefix: str, clean: bool) -> str:
    """The tokens as the `tokenizers` library joins them: a space before each that has not the prefix; with `clean`
    none before . ? ! , and English clitics."""
    parts = []
    for i, token in enumerate(tokens):
        if i > 0:
            token = token[len(prefix) :] if token.startswith(prefix) else " " + token
        for written, usual in ENGLISH_SPACES.items() if clean else ():
            token = token.replace(written, usual)
        parts.append(token)
    return "".join(parts)


def _touch(words: Sequence[str], i: int) -> bool:
    """Whether words[i] stands against words[i − 1]."""
    left, right = words[i - 1], words[i]
    before = words[i - 2] if i > 1 else ""
    after = words[i + 1] if i + 1 < len(words) else ""
    if right in CLINGS_TO_THE_LEFT or left in CLINGS_TO_THE_RIGHT or _closes(right) or _opens(left):
        return True
    if left in {".", ":"} and before[-1:].isdigit() and right[:1].isdigit():
        return True
    if _joins(before, left, right) or _joins(left, right, after):
        return True
    return (is_cjk(left[-1]) or left in CJK_SIGNS) and is_cjk(right[0])


def _joins(before: str, sign: str, after: str) -> bool:
    """Whether `sign` stands between two words that it makes one."""
    if not (before[-1:].isalnum() and after[:1].isalnum()):
        return False
    return sign in JOINERS or (sign in APOSTROPHES and after.lower() in ENGLISH_CLITICS)


def _closes(sign: str) -> bool:
    return len(sign) == 1 and unicodedata.category(sign) in ("Pe", "Pf")


def _opens(sign: str) -> bool:
    return len(sign) == 1 and unicodedata.category(sign) in ("Ps", "Pi")
