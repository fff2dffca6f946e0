"""Generation: a model continues ids, one token at a time, each chosen from the distribution that it gives."""

from collections.abc import Callable, Collection, Iterator
from typing import Any, Literal, NamedTuple

import numpy as np

from minilm.generation.task import prepare


def generate(
    model: Any,
    ids: Any,
    max_new_tokens: int,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    seed: int | None = None,
    cache: bool = True,
    stop: int | Collection[int] | None = None,
    on_token: Callable[[Any], None] | None = None,
    on_notice: Callable[[str], None] | None = None,
    *,
    min_p: float | None = None,
    repetition_penalty: float = 1.0,
    no_repeat_ngram: int | None = None,
    min_new_tokens: int = 0,
    pad: int | None = None,
    attention_mask: Any = None,
    beams: int = 1,
    length_penalty: float = 1.0,
    early_stopping: bool | Literal["never"] = False,
    num_return_sequences: int = 1,
) -> np.ndarray:
    """`ids` with up to `max_new_tokens` more: integers (T,) -> (T + n,) or (B, T) -> (B, T + n).

    temperature, top_k, top_p, min_p, repetition_penalty, no_repeat_ngram: as in Sampling. seed: of the draws; None
    takes a new one each time. cache: keep the keys and values of what was read; the tokens are the same without, only
    later. stop, min_new_tokens, pad: as in Ending; a row that ended earlier than others is filled up with pad, or, if
    that is None, repeats its stop. attention_mask: (B, T), bool or 0/1, for prompts of different lengths, which begin
    with padding: each row goes on as it would alone. on_token: is called with each new token, an int or an array (B,).
    on_notice: is called with the sentence that a prompt is longer than the context; otherwise that is a
    LongPromptWarning. beams (above 1), length_penalty, early_stopping, num_return_sequences: beam search, as in
    Beams; R sequences of each prompt are (B·R, T + n). Errors: ConfigError, DTypeError, ShapeError, DataError.
    """
    task = prepare(
        model,
        ids,
        max_new_tokens,
        seed=seed,
        cache=cache,
        attention_mask=attention_mask,
        on_notice=on_notice,
        temperature=temperature,
        top_k=top_k,
        top_p=top_p,
        min_p=min_p,
        repetition_penalty=repetition_penalty,
        no_repeat_ngram=no_repeat_ngram,
        stop=stop,
        min_new_tokens=min_new_tokens,
        pad=pad,
        beams=beams,
        length_penalty=length_penalty,
        early_stopping=early_stopping,
        num_return_sequences=num_return_sequences,
    )
    columns = list(task.prompts.T)  # T + n of (B·R,)
    for tokens in task.tokens():
        columns.append(tokens)
        if on_token is not None:
            on_token(task.plain(tokens))
    return task.plain(np.stack(columns, axis=1).astype(task.prompts.dtype))


def stream(model: Any, ids: Any, max_new_tokens: int, **settings: Any) -> Iterator[Any]:
    """The tokens of `generate` one by one as they are made: ints for ids (T,), arrays (B,) for ids (B, T).

    The settings are those of `generate`, but on_token, and are checked at once, before the first token is asked for.
    The tokens of a beam search are known only at its end, and come then.
    """
    task = prepare(model, ids, max_new_tokens, **settings)
    return map(task.plain, task.tokens())


class Searched(NamedTuple):
    """What `beam_search` returns: ids (B·R, T + n), those of a prompt together and the best first; scores (B·R,)."""

    ids: np.ndarray
    scores: np.ndarray


def beam_search(model: Any, ids: Any, max_new_tokens: int, beams: int, **settings: Any) -> Searched:
    """What `generate` finds with beams, and the score of each sequence (minilm/generation/beams.py has the formula).

    The settings are those of `generate`, but on_token. After repetition_penalty, no_repeat_ngram and min_new_tokens
    log p is as they leave it, not normalised again.
    """
    task = prepare(model, ids, max_new_tokens, beams=beams, **settings)
    new, scores = task.search()
    return Searched(np.concatenate([task.prompts, new.astype(task.prompts.dtype)], axis=1), scores)
