"""The text that a model writes, piece by piece."""

import codecs
from collections.abc import Collection, Iterator, Sequence
from typing import Any

import numpy as np

from minilm.errors import ConfigError, DataError
from minilm.generation.task import prepare
from minilm.i18n import tr

END_OF_TEXT = "<|endoftext|>"


def stream_text(
    model: Any,
    tokenizer: Any,
    prompt: str | Sequence[int],
    max_new_tokens: int,
    *,
    stop: int | Collection[int] | None = None,
    **settings: Any,
) -> Iterator[str]:
    """The text that follows `prompt`, piece by piece, never half a character: together `tokenizer.decode` of all.

    The settings are those of `stream`; without `stop`, the text ends at <|endoftext|> where the tokenizer has one. A
    token that stops is not part of the text. A beam search gives its best text once it is found. An empty prompt starts
    from <|endoftext|>, or from a line break; one of ids is read as it is. DataError unless tokenizer and model have
    vocabularies of one size.
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
    if not task.single:
        raise ConfigError(
            tr("num_return_sequences is {got}, but one text is written: use beam_search, and decode each sequence",
               got=task.beams.num_return_sequences)
        )  # fmt: skip
    return _as_text(map(task.plain, task.tokens()), tokenizer, stops)


def start_ids(tokenizer: Any, prompt: str | Sequence[int]) -> list[int]:
    """The ids of a prompt, unless it is ids; those of <|endoftext|>, or of a line break, for an empty one."""
    if not isinstance(prompt, str):
        return list(prompt)
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
