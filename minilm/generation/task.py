"""What is to be generated, checked and put together; and the loop that makes one token after the other."""

import dataclasses
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from minilm import backend
from minilm.autograd import value
from minilm.errors import ConfigError, DTypeError, ShapeError
from minilm.generation.beams import Beams, search
from minilm.generation.ending import Ending
from minilm.generation.reading import Reader, history, open_prompts, window_start
from minilm.generation.sampling import Sampling
from minilm.i18n import tr


class LongPromptWarning(UserWarning):
    """A prompt is longer than the model's context, so only its end is read."""


@dataclass(frozen=True)
class Task:
    """B prompts, each W = `beams` times, and how they are to be continued."""

    reader: Reader
    ids: np.ndarray  # (B·W, T), what the model goes on from: the prompts, or an encoder-decoder's start token
    pads: np.ndarray | None  # (B·W,), how much padding each row begins with
    count: int
    sampling: Sampling
    ending: Ending
    beams: Beams
    rng: np.random.Generator
    single: bool  # one prompt was given as (T,), and one sequence is wanted

    @property
    def prompts(self) -> np.ndarray:
        """What stands before the new tokens of each sequence that is given back: (B·R, T)."""
        return np.repeat(self.ids[:: self.beams.beams], self.beams.num_return_sequences, axis=0)

    def plain(self, rows: np.ndarray) -> Any:
        """Tokens (B·R,) or ids (B·R, n), as they are or, of a single sequence, an int or (n,)."""
        if not self.single:
            return rows
        return int(rows[0]) if rows.ndim == 1 else rows[0]

    def tokens(self) -> Iterator[np.ndarray]:
        """The new tokens, (B·R,) at a time."""
        if self.beams.beams > 1:
            yield from self.search()[0].T
        else:
            yield from self._chosen()

    def search(self) -> tuple[np.ndarray, np.ndarray]:
        """The new tokens of a beam search (B·R, n), and scores (B·R,)."""
        return search(self.reader, self.ids, self.pads, self.count, self.beams, self.sampling, self.ending)

    def _chosen(self) -> Iterator[np.ndarray]:
        ids, pad = self.ids, self.ending.pad
        ended = np.zeros(len(ids), bool)
        for made in range(self.count):
            past = None
            if self.sampling.remembers:  # a row that ended is held to nothing
                past = np.where(ended[:, None], -1, history(ids, self.pads))
            logits, banned = self.reader.logits(ids), self.ending.banned(made)
            tokens = self.sampling.choose(logits, self.rng, past, banned)  # (B,)
            tokens = np.where(ended, ids[:, -1] if pad is None else pad, tokens)
            ids = np.concatenate([ids, tokens[:, None]], axis=1)  # (B, T + made + 1)
            yield tokens
            ended |= np.isin(tokens, self.ending.stops)
            if ended.all():
                return


def prepare(
    model: Any,
    ids: Any,
    max_new_tokens: int,
    *,
    seed: int | None = None,
    cache: bool = True,
    attention_mask: Any = None,
    on_notice: Callable[[str], None] | None = None,
    **settings: Any,
) -> Task:
    """The task of `generate`, whose arguments these are; settings: the fields of Sampling, Ending and Beams."""
    prompts = _checked_prompt(ids)  # (T,) or (B, T)
    rows = np.atleast_2d(prompts)
    if not isinstance(max_new_tokens, (int, np.integer)) or max_new_tokens < 0:
        raise ConfigError(tr("max_new_tokens is {got!r}; it must be a whole number, 0 or more", got=max_new_tokens))
    sampling, ending, beams = (_take(kind, settings) for kind in (Sampling, Ending, Beams))
    if settings:
        raise TypeError(tr("generation has no setting {names}", names=", ".join(settings)))
    ending.check(model.config.vocab_size)
    if beams.beams > 1:
        beams.check(sampling)
    reader, rows, pads = open_prompts(model, rows, attention_mask, cache, beams.beams)
    longest = rows.shape[1] - (0 if pads is None else int(pads.min()))
    _notice_of_long_prompt(longest, getattr(model.config, "context", None), on_notice)
    return Task(
        reader=reader,
        ids=rows,
        pads=pads,
        count=max_new_tokens,
        sampling=sampling,
        ending=ending,
        beams=beams,
        rng=np.random.default_rng(seed),
        single=prompts.ndim == 1 and beams.num_return_sequences == 1,
    )


def _take(kind: Any, settings: dict[str, Any]) -> Any:
    """A `kind` of those settings that are fields of it, which are taken out."""
    names = [field.name for field in dataclasses.fields(kind) if field.init and field.name in settings]
    return kind(**{name: settings.pop(name) for name in names})


def _checked_prompt(ids: Any) -> np.ndarray:
    ids = backend.to_numpy(value(ids))
    if ids.ndim not in (1, 2) or not ids.size:
        raise ShapeError(
            tr("ids: got shape {got}, wanted (T,) or (B, T) with at least one token to go on from", got=ids.shape)
        )
    if ids.dtype.kind not in "iu":
        raise DTypeError(tr("ids: got {got}, wanted integers, the token ids that a tokenizer gives", got=ids.dtype))
    return ids


def _notice_of_long_prompt(length: int, context: int | None, on_notice: Callable[[str], None] | None) -> None:
    if context is None or length <= context:
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
