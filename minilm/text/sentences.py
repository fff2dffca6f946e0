"""From plain text to documents of sentences, which next-sentence pairs are made of."""

import re
from collections.abc import Iterable

from minilm.text.tokenizer import Tokenizer

BLANK_LINE = re.compile(r"\n[^\S\n]*\n\s*")
# After . ! ? … and any closing quotes or brackets, where white space follows.
SENTENCE_END = re.compile(r"(?<=[.!?…])[\"'”’»)\]]*\s+")


def split_sentences(text: str, lines: bool = False) -> list[str]:
    """The sentences of a text, by a simple rule: none is empty, white space within one is single spaces.

    A sentence ends at a blank line, and after . ! ? or … (with the quotes and brackets that it closes) where white
    space follows; so "Dr. Moss" counts as two. A line's end counts for white space, as in text that is wrapped;
    with lines=True it ends a sentence too, as in a file with one sentence a line.
    """
    parts = BLANK_LINE.split(text.replace("\r\n", "\n").replace("\r", "\n"))
    if lines:
        parts = [line for part in parts for line in part.split("\n")]
    found = (sentence for part in parts for sentence in _sentences(part))
    return [" ".join(sentence.split()) for sentence in found if sentence.strip()]


def _sentences(part: str) -> Iterable[str]:
    start = 0
    for end in SENTENCE_END.finditer(part):
        yield part[start : end.end()]
        start = end.end()
    yield part[start:]


def encode_sentences(tokenizer: Tokenizer, documents: Iterable[str], lines: bool = False) -> list[list[list[int]]]:
    """Each document as its sentences, each sentence as its ids; what has no token is left out."""
    encoded = ([tokenizer.encode(s) for s in split_sentences(text, lines)] for text in documents)
    kept = ([ids for ids in sentences if ids] for sentences in encoded)
    return [sentences for sentences in kept if sentences]
