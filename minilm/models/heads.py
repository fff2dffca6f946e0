"""BERT's heads for tasks: one linear layer each on what the encoder gives (Devlin et al. 2019, section 4 and figure 4).

Each has `bert`, the encoder, under the same name as in `BertForPreTraining`, so that pretrained weights find their
place; `model(…)` gives logits and `model.loss(…)` their loss in nats, a mean or a sum over what counts.
"""

from typing import Any, NamedTuple

import numpy as np

from minilm import functional as F
from minilm.autograd import Tensor, value
from minilm.backend import anywhere, asarray, to_numpy, xp
from minilm.errors import ConfigError, DataError, ShapeError
from minilm.i18n import tr
from minilm.models.base import Model
from minilm.models.bert import HEAD, Bert, BertConfig, initial_generator
from minilm.models.checks import checked_mask
from minilm.models.gpt import DROPOUT
from minilm.nn.layers import Dropout, Linear

HIDDEN = -1e9  # a logit that is never chosen, and whose exponential is 0


class _Head(Model):
    """An encoder and a linear layer to `outputs` numbers, behind dropout."""

    def __init__(self, config: BertConfig, outputs: int, seed: int, pooler: bool):
        if not isinstance(outputs, int) or isinstance(outputs, bool) or outputs < 1:
            raise ConfigError(tr("classes is {got!r}; it must be a whole number of at least 1", got=outputs))
        self.config = config
        self.bert = Bert(config, seed, pooler=pooler)
        self.dropout = Dropout(config.dropout if config.classifier_dropout is None else config.classifier_dropout)
        self.classifier = Linear(config.width, outputs, initial_generator(seed, HEAD), std=config.initial_std)
        self.set_generator(np.random.default_rng([seed, DROPOUT]))

    def _of_row(self, ids: Any, segments: Any, attention_mask: Any) -> Any:
        """pooled W + b, (B, outputs)."""
        return self.classifier(self.dropout(self.bert(ids, segments, attention_mask).pooled))

    def _of_positions(self, ids: Any, segments: Any, attention_mask: Any) -> Any:
        """h_t W + b, (B, T, outputs)."""
        return self.classifier(self.dropout(self.bert(ids, segments, attention_mask).hidden))


class BertForSequenceClassification(_Head):
    """One text, or a pair, to one of `classes`; with classes=1 to a number, by regression (figure 4 a, b)."""

    def __init__(self, config: BertConfig, classes: int = 2, seed: int = 0):
        super().__init__(config, classes, seed, pooler=True)
        self.classes = classes

    def __call__(self, ids: Any, segments: Any = None, attention_mask: Any = None) -> Any:
        """Logits (B, classes), or predicted numbers (B,) where classes is 1; arguments as for `Bert`."""
        logits = self._of_row(ids, segments, attention_mask)  # (B, classes)
        return logits if self.classes > 1 else logits[:, 0]

    def loss(
        self, ids: Any, labels: Any, segments: Any = None, attention_mask: Any = None, reduction: str = "mean"
    ) -> Tensor:
        """−Σ log p(label), labels (B,) of integers; (ŷ − y)² for regression, labels (B,) of numbers."""
        logits, labels = self(ids, segments, attention_mask), asarray(value(labels))
        if self.classes > 1:
            return F.cross_entropy(logits, labels, reduction=reduction)
        if labels.shape != logits.shape:
            raise ShapeError(tr("labels: got shape {got}, wanted {wanted}", got=labels.shape, wanted=logits.shape))
        error = logits - labels.astype(logits.dtype)  # (B,)
        return F.mean(error * error) if reduction == "mean" else F.sum(error * error)


class BertForTokenClassification(_Head):
    """Every token to one of `classes`: tags, on the first piece of each word (figure 4 d, section 5.3)."""

    def __init__(self, config: BertConfig, classes: int = 2, seed: int = 0):
        super().__init__(config, classes, seed, pooler=False)

    def __call__(self, ids: Any, segments: Any = None, attention_mask: Any = None) -> Any:
        """Logits (B, T, classes); arguments as for `Bert`."""
        return self._of_positions(ids, segments, attention_mask)

    def loss(
        self, ids: Any, labels: Any, segments: Any = None, attention_mask: Any = None, reduction: str = "mean"
    ) -> Tensor:
        """−Σ log p(label) over the labels (B, T) that are not -100: later pieces, [CLS], [SEP] and padding are."""
        return F.cross_entropy(self(ids, segments, attention_mask), anywhere(value(labels)), reduction=reduction)


class SpanLogits(NamedTuple):
    """Where an answer starts and where it ends, its last token: logits, each (B, T)."""

    start: Any
    end: Any


class BertForQuestionAnswering(_Head):
    """The span of a passage that answers a question: S·h_i + E·h_j for a span i … j (figure 4 c, sections 4.2, 4.3)."""

    def __init__(self, config: BertConfig, seed: int = 0):
        super().__init__(config, 2, seed, pooler=False)

    def __call__(self, ids: Any, segments: Any = None, attention_mask: Any = None) -> SpanLogits:
        """Logits of start and end, each (B, T), padding having no chance; arguments as for `Bert`."""
        logits = self._of_positions(ids, segments, attention_mask)  # (B, T, 2)
        if attention_mask is not None:
            real = asarray(checked_mask(attention_mask, logits.shape[:2]))
            logits = F.where(real[:, :, None], logits, xp.asarray(HIDDEN, logits.dtype))
        return SpanLogits(logits[:, :, 0], logits[:, :, 1])

    def loss(
        self,
        ids: Any,
        starts: Any,
        ends: Any,
        segments: Any = None,
        attention_mask: Any = None,
        reduction: str = "mean",
    ) -> Tensor:
        """−½ Σ (log p(start) + log p(end)). starts, ends: integers (B,), the answer's first and last token; both 0,
        the place of [CLS], where the passage holds no answer. DataError where an end stands before its start.
        """
        starts, ends = anywhere(value(starts)), anywhere(value(ends))
        if bool((ends < starts).any()):
            raise DataError(tr("ends: row {row} ends before it starts", row=int((ends < starts).argmax())))
        logits = self(ids, segments, attention_mask)
        losses = (F.cross_entropy(x, y, reduction=reduction) for x, y in zip(logits, (starts, ends), strict=True))
        return F.add(*losses) * 0.5


class Spans(NamedTuple):
    """The best span of each row, `start` … `end` (0 … 0 for none), and by how much it beats "no answer": each (B,)."""

    start: np.ndarray
    end: np.ndarray
    margin: np.ndarray


def best_spans(logits: SpanLogits, passage: Any, longest: int = 30, threshold: float | None = None) -> Spans:
    """argmax over i ≤ j < i + longest, both in the passage, of S·h_i + E·h_j; and no answer where none is better.

    passage: booleans (B, T), True where an answer may lie. threshold τ: there is an answer if its score is above that
    of [CLS], S·h_0 + E·h_0, by more than τ (section 4.3); None: there always is one. A row whose passage is empty has
    none. Source: Devlin et al. 2019, sections 4.2 and 4.3.
    """
    start, end = (to_numpy(value(x)).astype(np.float64) for x in logits)
    passage = to_numpy(value(passage)).astype(bool)
    if passage.shape != start.shape:
        raise ShapeError(tr("passage: got shape {got}, wanted {wanted}", got=passage.shape, wanted=start.shape))
    B, T = start.shape
    start, end, null = np.where(passage, start, -np.inf), np.where(passage, end, -np.inf), start[:, 0] + end[:, 0]
    i, j = np.indices((T, T))
    scores = start[:, :, None] + end[:, None, :]  # (B, T, T)
    flat = np.where((j >= i) & (j < i + longest), scores, -np.inf).reshape(B, T * T)
    best = flat.argmax(1)
    score = np.take_along_axis(flat, best[:, None], 1)[:, 0]
    margin = score - null
    found = np.isfinite(score) & (margin > (-np.inf if threshold is None else threshold))
    return Spans(np.where(found, best // T, 0), np.where(found, best % T, 0), margin)


class BertForMultipleChoice(_Head):
    """Which of C continuations fits: each is read with the question, and their scores compete (section 4.4)."""

    def __init__(self, config: BertConfig, seed: int = 0):
        super().__init__(config, 1, seed, pooler=True)

    def __call__(self, ids: Any, segments: Any = None, attention_mask: Any = None) -> Any:
        """Logits (B, C), for a softmax over the C choices of a row. ids, segments, attention_mask: (B, C, T)."""
        shape = anywhere(value(ids)).shape
        if len(shape) != 3:
            raise ShapeError(tr("ids: got shape {got}, wanted (B, C, T): C choices for each row", got=shape))
        each = [
            None if a is None else anywhere(value(a)).reshape(-1, shape[2]) for a in (ids, segments, attention_mask)
        ]
        return self._of_row(*each).reshape(shape[0], shape[1])

    def loss(
        self, ids: Any, labels: Any, segments: Any = None, attention_mask: Any = None, reduction: str = "mean"
    ) -> Tensor:
        """−Σ log p(label), labels (B,): the number of the choice that is right."""
        return F.cross_entropy(self(ids, segments, attention_mask), anywhere(value(labels)), reduction=reduction)
