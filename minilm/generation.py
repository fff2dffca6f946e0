"""Generation: a model's distributions over the next token, sampled one token at a time.

    p = softmax(logits / temperature), cut to the top k, then to the nucleus of mass top_p; the next token ~ p

Where the text outgrows the model's context, the model reads a window of it. The window begins at a multiple of half
the context, as a function of the length alone, so that it is the same with the cache of keys and values and without;
the cache is filled anew only when the window moves, once in half a context.
"""

import codecs
import math
import warnings
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from minilm import backend
from minilm.autograd import value
from minilm.errors import ConfigError, DataError, DTypeError, ShapeError
from minilm.i18n import tr

END_OF_TEXT = "<|endoftext|>"


class LongPromptWarning(UserWarning):
    """A prompt is longer than the model's context, so only its end is read."""


# -------------------------------------------------------------------------------------------------------- sampling


@dataclass(frozen=True)
class Sampling:
    """How the next token is chosen from logits; a ConfigError names a setting that cannot be.

    temperature: logits are divided by it; 0 takes the most probable token (the first of equal ones).
    top_k: only the k most probable tokens; of equal ones at the border, those of lower id, so that exactly k remain.
    top_p: only the most probable tokens whose mass first reaches p, the one that crosses p included (nucleus sampling,
    Holtzman et al. 2020, section 3.1); after top_k, whose probabilities are normalised first. None: no cut.
    """

    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.temperature < math.inf:
            raise ConfigError(tr("temperature is {got}; it must be 0 (greedy) or above", got=self.temperature))
        k = self.top_k
        if k is not None and (not isinstance(k, (int, np.integer)) or isinstance(k, bool) or k < 1):
            raise ConfigError(
                tr("top_k is {got!r}; it must be a whole number of at least 1, or None for no cut", got=k)
            )
        if self.top_p is not None and not 0 < self.top_p <= 1:
            raise ConfigError(
                tr("top_p is {got}; it must be above 0 and at most 1, or None for no cut", got=self.top_p)
            )

    def probabilities(self, logits: Any) -> np.ndarray:
        """The distribution that the next token is drawn from: logits (B, V) to float64 (B, V), rows that sum to 1.

        DataError where a row has a NaN or +inf, or nothing but -inf.
        """
        z = _checked_logits(logits)
        if self.temperature == 0:
            return np.eye(z.shape[1])[z.argmax(axis=1)]
        with np.errstate(over="ignore"):  # a tiny temperature sends all but the largest to -inf, as it should
            z = (z - z.max(axis=1, keepdims=True)) / self.temperature
        if self.top_k is not None and self.top_k < z.shape[1]:
            z = np.where(_largest(z, self.top_k), z, -math.inf)
        p = np.exp(z)
        p /= p.sum(axis=1, keepdims=True)
        if self.top_p is not None and self.top_p < 1:
            p = np.where(_nucleus(p, self.top_p), p, 0)
            p /= p.sum(axis=1, keepdims=True)
        return p

    def choose(self, logits: Any, rng: np.random.Generator) -> np.ndarray:
        """One token for each row of logits (B, V): integers (B,). Each row uses up one number of `rng`."""
        if self.temperature == 0:
            return _checked_logits(logits).argmax(axis=1)
        cumulated = np.cumsum(self.probabilities(logits), axis=1)  # (B, V)
        drawn = rng.random((len(cumulated), 1)) * cumulated[:, -1:]  # (B, 1), below the total
        return (cumulated <= drawn).sum(axis=1)


def _checked_logits(logits: Any) -> np.ndarray:
    """Logits as float64 (B, V) on the host."""
    z = backend.to_numpy(value(logits)).astype(np.float64)
    if z.ndim != 2:
        raise ShapeError(tr("logits: got shape {got}, wanted (B, V)", got=z.shape))
    top = z.max(axis=1)  # NaN where there is one
    if not np.isfinite(top).all():
        row = int(np.flatnonzero(~np.isfinite(top))[0])
        raise DataError(
            tr(
                "logits: row {row} gives no distribution (its largest entry is {top}): the model's weights are damaged "
                "or its training diverged",
                row=row,
                top=top[row],
            )
        )
    return z


def _largest(z: np.ndarray, k: int) -> np.ndarray:
    """True at the k largest entries of each row (B, V), those of lower index first among equals."""
    border = np.partition(z, -k, axis=1)[:, -k, None]  # (B, 1), the k-th largest
    above, at = z > border, z == border
    spare = k - above.sum(axis=1, keepdims=True)
    return above | (at & (np.cumsum(at, axis=1) <= spare))


def _nucleus(p: np.ndarray, mass: float) -> np.ndarray:
    """True at the most probable entries of each row (B, V) before which less than `mass` lies."""
    order = np.argsort(-p, axis=1, kind="stable")
    ordered = np.take_along_axis(p, order, axis=1)
    before = np.cumsum(ordered, axis=1) - ordered
    chosen = np.empty(p.shape, bool)
    np.put_along_axis(chosen, order, before < mass, axis=1)
    return chosen


# ------------------------------------------------------------------------------------------------------ generation


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
) -> np.ndarray:
    """`ids` with up to `max_new_tokens` more: integers (T,) -> (T + n,) or (B, T) -> (B, T + n).

    temperature, top_k, top_p: as in Sampling. seed: of the draws; None takes a new one each time. cache: keep the keys
    and values of what was read; the tokens are the same without, only later. stop: a token, or several, that ends a
    sequence; it is part of the result, and a row that ended earlier than others repeats it. on_token: is called with
    each new token, an int or an array (B,). on_notice: is called with the sentence that a prompt is longer than the
    context; otherwise that is a LongPromptWarning. Errors: ConfigError, DTypeError, ShapeError, DataError.
    """
    sampling = Sampling(temperature, top_k, top_p)
    tokens = _start(model, ids, max_new_tokens, sampling, seed, cache, stop, on_notice)
    found = []
    for token in tokens:
        found.append(token)
        if on_token is not None:
            on_token(token)
    prompt = backend.to_numpy(value(ids))
    new = np.array(found, dtype=prompt.dtype).reshape(len(found), *prompt.shape[:-1])  # (n,) or (n, B)
    return np.concatenate([prompt, np.moveaxis(new, 0, -1)], axis=-1)


def stream(
    model: Any,
    ids: Any,
    max_new_tokens: int,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    seed: int | None = None,
    cache: bool = True,
    stop: int | Collection[int] | None = None,
    on_notice: Callable[[str], None] | None = None,
) -> Iterator[Any]:
    """The tokens of `generate` one by one as they are made: ints for ids (T,), arrays (B,) for ids (B, T).

    The arguments are checked at once, before the first token is asked for.
    """
    return _start(model, ids, max_new_tokens, Sampling(temperature, top_k, top_p), seed, cache, stop, on_notice)


def _start(
    model: Any, ids: Any, count: int, sampling: Sampling, seed: int | None, cache: bool, stop: Any, on_notice: Any
) -> Iterator[Any]:
    """Check what `stream` was given, and begin."""
    ids = _checked_prompt(ids)
    rows = np.atleast_2d(ids)  # (B, T)
    if not isinstance(count, (int, np.integer)) or count < 0:
        raise ConfigError(tr("max_new_tokens is {got!r}; it must be a whole number, 0 or more", got=count))
    _notice_of_long_prompt(rows.shape[1], model.config.context, on_notice)
    stops = np.array([] if stop is None else [stop] if isinstance(stop, (int, np.integer)) else list(stop), np.int64)
    reader = _Reader(model, len(rows), cache)
    tokens = _continue(reader, rows, count, sampling, np.random.default_rng(seed), stops)
    return tokens if ids.ndim == 2 else (int(token[0]) for token in tokens)


def _continue(
    reader: "_Reader",
    ids: np.ndarray,
    count: int,
    sampling: Sampling,
    rng: np.random.Generator,
    stops: np.ndarray,
) -> Iterator[np.ndarray]:
    ended = np.zeros(len(ids), bool)
    for _ in range(count):
        tokens = sampling.choose(reader.logits(ids), rng)  # (B,)
        tokens = np.where(ended, ids[:, -1], tokens)
        ids = np.concatenate([ids, tokens[:, None]], axis=1)  # (B, T + 1)
        yield tokens
        ended |= np.isin(tokens, stops)
        if ended.all():
            return


class _Reader:
    """Asks a model for the logits that follow ever longer ids."""

    def __init__(self, model: Any, batch: int, cached: bool):
        self.model = model.bare().eval()  # a copy of the structure: the model itself stays in its mode
        self.cache = model.new_cache(batch) if cached else None
        self.start = 0  # of the window that the cache holds

    def logits(self, ids: np.ndarray) -> Any:
        """Of the token after ids (B, n): (B, V)."""
        start = window_start(ids.shape[1], self.model.config.context)
        if self.cache is not None and start != self.start:
            self.cache.clear()
        self.start = start
        held = self.cache.length if self.cache is not None else 0
        hidden = self.model.hidden(ids[:, start + held :], cache=self.cache)  # (B, t, D), t the ids not yet read
        return self.model.logits(hidden[:, -1])  # (B, V)


def window_start(length: int, context: int) -> int:
    """Where the window that a model reads of `length` tokens begins: the least multiple of context/2 that fits."""
    hop = max(1, context // 2)
    return -(-max(0, length - context) // hop) * hop


def _checked_prompt(ids: Any) -> np.ndarray:
    ids = backend.to_numpy(value(ids))
    if ids.ndim not in (1, 2) or not ids.size:
        raise ShapeError(
            tr("ids: got shape {got}, wanted (T,) or (B, T) with at least one token to go on from", got=ids.shape)
        )
    if ids.dtype.kind not in "iu":
        raise DTypeError(tr("ids: got {got}, wanted integers, the token ids that a tokenizer gives", got=ids.dtype))
    return ids


def _notice_of_long_prompt(length: int, context: int, on_notice: Callable[[str], None] | None) -> None:
    if length <= context:
        return
    said = tr(
        "the prompt has {length} tokens, more than the model's context of {context}: only the last {read} are read",
        length=length,
        context=context,
        read=length - window_start(length, context),
    )
    if on_notice is None:
        warnings.warn(said, LongPromptWarning, stacklevel=4)
    else:
        on_notice(said)


# ------------------------------------------------------------------------------------------------------------ text


def stream_text(
    model: Any,
    tokenizer: Any,
    prompt: str,
    max_new_tokens: int,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    seed: int | None = None,
    cache: bool = True,
    stop: int | Collection[int] | None = None,
    on_notice: Callable[[str], None] | None = None,
) -> Iterator[str]:
    """The text that follows `prompt`, piece by piece, never half a character: together `tokenizer.decode` of all.

    The settings are those of `generate`; without `stop`, the text ends at <|endoftext|> where the tokenizer has one. A
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
    ids = start_ids(tokenizer, prompt)
    sampling = Sampling(temperature, top_k, top_p)
    tokens = _start(model, ids, max_new_tokens, sampling, seed, cache, stops, on_notice)
    return _as_text(tokens, tokenizer, stops)


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
