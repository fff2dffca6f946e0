"""GPT's heads for tasks: one linear layer on the state of the extract token (Radford et al. 2018, section 3.3).

The input is one row of tokens that begins with a start token and ends with the extract token, whose state has read
everything; `minilm.transfer.inputs` makes such rows. Padding stands behind the extract token, never is it read.

    P(y | x₁ … x_m) = softmax(h_m W_y)                          eq. 3
    L₃ = L₂ + λ L₁: the task's loss and the language model's    eq. 5

`model(…)` gives logits and `model.loss(…)` L₂ in nats, as BERT's heads do; `model.losses(…)` gives L₂ and L₁ apart.
"""

from typing import Any, NamedTuple

import numpy as np

from minilm import functional as F
from minilm.autograd import Tensor, value
from minilm.backend import asarray, to_numpy, xp
from minilm.errors import ConfigError, DataError, ShapeError
from minilm.i18n import tr
from minilm.models.base import Model
from minilm.models.bert import HEAD, last_real, rows_at
from minilm.models.checks import checked_mask
from minilm.models.gpt import DROPOUT, GPT, GPTConfig
from minilm.models.heads import HIDDEN, SpanLogits
from minilm.nn.layers import Dropout, Linear

IGNORE = -100


class Losses(NamedTuple):
    """Σ over the examples of the task's loss L₂; Σ over the sequences of the language model's mean loss L₁."""

    task: Tensor
    language: Tensor


class _Head(Model):
    """A GPT and a linear layer to `outputs` numbers, behind dropout."""

    def __init__(self, config: GPTConfig, outputs: int, seed: int = 0):
        if not isinstance(outputs, int) or isinstance(outputs, bool) or outputs < 1:
            raise ConfigError(tr("classes is {got!r}; it must be a whole number of at least 1", got=outputs))
        self.config = config
        self.gpt = GPT(config, seed)
        self.dropout = Dropout(config.dropout)
        self.classifier = Linear(config.width, outputs, np.random.default_rng([seed, HEAD]))
        self.set_generator(np.random.default_rng([seed, DROPOUT]))

    def __call__(self, ids: Any, attention_mask: Any = None) -> Any:
        """Logits; attention_mask: like ids, bool or 0/1, False where ids are padding."""
        ids, mask = self._checked(ids, attention_mask)
        return self._logits(self._hidden(ids, mask), mask, ids.shape)

    def loss(self, ids: Any, attention_mask: Any = None, reduction: str = "mean", **labels: Any) -> Tensor:
        """L₂ = −Σ log p(label), or its mean; which labels there are says each head."""
        ids, mask = self._checked(ids, attention_mask)
        return self._loss(self._logits(self._hidden(ids, mask), mask, ids.shape), reduction, **labels)

    def losses(self, ids: Any, attention_mask: Any = None, **labels: Any) -> Losses:
        """Both sums, from the same hidden states: a batch's L₃ is task / examples + λ · language / sequences."""
        ids, mask = self._checked(ids, attention_mask)
        hidden = self._hidden(ids, mask)
        return Losses(
            self._loss(self._logits(hidden, mask, ids.shape), "sum", **labels),
            self._language_loss(hidden, ids.reshape(-1, ids.shape[-1]), mask),
        )

    def _checked(self, ids: Any, attention_mask: Any) -> tuple[Any, Any]:
        """ids as an array, and the mask as booleans with one row for each sequence."""
        ids = asarray(value(ids))
        if ids.ndim < 2:
            raise ShapeError(tr("ids: got shape {got}, wanted (B, T); ids[None] makes a batch of one row",
                                got=ids.shape))  # fmt: skip
        shape = (ids.size // max(ids.shape[-1], 1), ids.shape[-1])
        if attention_mask is None:
            return ids, xp.ones(shape, dtype=bool)
        return ids, checked_mask(asarray(value(attention_mask)).reshape(shape), shape)

    def _hidden(self, ids: Any, mask: Any) -> Any:
        """(…, T) -> (N, T, D), one row for each sequence."""
        return self.gpt.hidden(ids.reshape(mask.shape), mask)

    def _extracted(self, hidden: Any, mask: Any) -> Any:
        """The states of the last real tokens, (N, T, D) -> (N, D)."""
        N, T, _ = hidden.shape
        return rows_at(hidden, xp.arange(N) * T + last_real(mask))

    def _language_loss(self, hidden: Any, ids: Any, mask: Any) -> Tensor:
        """Σ over the sequences of −(1/n) Σ log p(token | those before it), over a sequence's n real tokens but the
        first."""
        _, T = ids.shape
        ids, mask = to_numpy(ids), to_numpy(mask)  # how many are scored is a question of the host
        scored = mask[:, 1:] & mask[:, :-1]  # (N, T − 1)
        at = np.flatnonzero(np.pad(scored, ((0, 0), (0, 1))))  # (n,)
        logits = self.gpt.logits(rows_at(hidden, at))  # (n, V)
        losses = F.cross_entropy(logits, ids.reshape(-1)[at + 1], reduction="none")  # (n,)
        weights = 1 / np.maximum(scored.sum(1), 1)
        return F.sum(losses * asarray(weights[at // T], logits.dtype))

    def _logits(self, hidden: Any, mask: Any, of: tuple[int, ...]) -> Any:
        raise NotImplementedError

    def _loss(self, logits: Any, reduction: str, **labels: Any) -> Tensor:
        return F.cross_entropy(logits, asarray(value(labels["labels"])), reduction=reduction)


class GPTForSequenceClassification(_Head):
    """One text, or a pair, to one of `classes`; with classes=1 to a number, by regression.

    ids: (B, T), or (B, 2, T) for similarity: the pair in both orders, whose two states are added before the linear
    layer, as neither text comes first. Logits (B, classes), or (B,) for regression; labels (B,).
    """

    def __init__(self, config: GPTConfig, classes: int = 2, seed: int = 0):
        super().__init__(config, classes, seed)
        self.classes = classes

    def _logits(self, hidden: Any, mask: Any, of: tuple[int, ...]) -> Any:
        states = self._extracted(hidden, mask)  # (N, D)
        if len(of) == 3:
            states = F.sum(states.reshape(of[0], of[1], -1), axis=1)  # (B, D)
        logits = self.classifier(self.dropout(states))  # (B, classes)
        return logits if self.classes > 1 else logits[:, 0]

    def _loss(self, logits: Any, reduction: str, **labels: Any) -> Tensor:
        if self.classes > 1:
            return super()._loss(logits, reduction, **labels)
        wanted = asarray(value(labels["labels"]))
        if wanted.shape != logits.shape:
            raise ShapeError(tr("labels: got shape {got}, wanted {wanted}", got=wanted.shape, wanted=logits.shape))
        error = logits - wanted.astype(logits.dtype)  # (B,)
        return F.mean(error * error) if reduction == "mean" else F.sum(error * error)


class GPTForMultipleChoice(_Head):
    """Which of C continuations fits: each is read with what they share, and their scores compete.

    ids: (B, C, T); logits (B, C), for a softmax over the C choices of a row; labels (B,), the right one's number.
    """

    def __init__(self, config: GPTConfig, seed: int = 0):
        super().__init__(config, 1, seed)

    def _logits(self, hidden: Any, mask: Any, of: tuple[int, ...]) -> Any:
        if len(of) != 3:
            raise ShapeError(tr("ids: got shape {got}, wanted (B, C, T): C choices for each row", got=of))
        return self.classifier(self.dropout(self._extracted(hidden, mask))).reshape(of[0], of[1])


class GPTForTokenClassification(_Head):
    """Every token to one of `classes`, from what stands before it and itself. ids (B, T), logits (B, T, classes);
    labels (B, T), -100 where none counts."""

    def __init__(self, config: GPTConfig, classes: int = 2, seed: int = 0):
        super().__init__(config, classes, seed)

    def _logits(self, hidden: Any, mask: Any, of: tuple[int, ...]) -> Any:
        return self.classifier(self.dropout(hidden))  # (B, T, classes)


class GPTForQuestionAnswering(_Head):
    """The span of a passage that answers a question, scored as by `BertForQuestionAnswering`. ids (B, T); logits of
    start and end, each (B, T); starts and ends (B,), both 0 where the passage holds no answer."""

    def __init__(self, config: GPTConfig, seed: int = 0):
        super().__init__(config, 2, seed)

    def _logits(self, hidden: Any, mask: Any, of: tuple[int, ...]) -> Any:
        logits = self.classifier(self.dropout(hidden))  # (B, T, 2)
        logits = F.where(mask[:, :, None], logits, xp.asarray(HIDDEN, logits.dtype))
        return SpanLogits(logits[:, :, 0], logits[:, :, 1])

    def _loss(self, logits: Any, reduction: str, **labels: Any) -> Tensor:
        starts, ends = (asarray(value(labels[name])) for name in ("starts", "ends"))
        if bool((ends < starts).any()):
            raise DataError(tr("ends: row {row} ends before it starts", row=int(xp.argmax(ends < starts))))
        losses = (F.cross_entropy(x, y, reduction=reduction) for x, y in zip(logits, (starts, ends), strict=True))
        return F.add(*losses) * 0.5
