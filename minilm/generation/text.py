"""The text that a model writes, piece by piece."""

import codecs
from collections.abc import Collection, Iterator
from typing import Any

import numpy as np

from minilm.errors import DataError
from minilm.generation.task import prepare
from minilm.i18n import tr

END_OF_TEXT = "<|endoftext|>"


def stream_text(
    model: Any,
    tokenizer: Any,
    prompt: str,
    max_new_tokens: int,
    *,
    stop: int | Collection[int] | None = None,
    **settings: Any,
) -> Iterator[str]:
    """The text that follows `prompt`, piece by piece, never half a character: together `tokenizer.decode` of all.

    The settings are those of `stream`; without `stop`, the text ends at <|endoftext|> where the tokenizer has one. A
    token that stops is not part of the text. An empty prompt starts from <|endoftext|>, or from a line break.
    DataError unless tokenizer and model have vocabularies of one size.
    """
    if tokenizer.vocab_size != model.config.vocab_size:
        raise DataError(
            tr(
                "the tokenizer has {got} tokens, the model was made for {wanted}: use the tokenizer of its training",
                got=tokenizer.vocab_size,
                wanted=model.config.vocab_size,
            )
        )
    if stop is None:
        stop = [id for name, id in tokenizer.special_tokens.items() if name == END_OF_TEXT]
    stops = {int(stop)} if isinstance(stop, (int, np.integer)) else {int(id) for id in stop}
    task = prepare(model, start_ids(tokenizer, prompt), max_new_tokens, stop=stops, **settings)
    return _as_text(map(task.plain, task.tokens()), tokenizer, stops)


def start_ids(tokenizer: Any, prompt: str) -> list[int]:
    """The ids of a prompt; those of <|endoftext|>, or of a line break, for an empty one."""
    if not prompt and END_OF_TEXT in tokenizer.special_tokens:
        return [tokenizer.special_tokens[END_OF_TEXT]]
    return tokenizer.encode(prompt or "\n")


def _as_text(tokens: Iterator[int], tokenizer: Any, stops: set[int]) -> Iterator[str]:
    if not hasattr(tokenizer, "token_bytes"):
        yield from (tokenizer.decode([token]) for token in tokens if token not in stops)
        return
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")  # holds back the bytes of half a character
    for token in tokens:
        if token not in stops and (piece := decoder.decode(tokenizer.token_bytes(token))):
            yield piece
    if rest := decoder.decode(b"", final=True):
        yield rest
