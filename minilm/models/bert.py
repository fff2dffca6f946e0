"""BERT, the encoder-only Transformer: every position reads every other; learned by filling masks (Devlin et al. 2019).

    h₀ = N(E[ids] + S[segments] + P[0…T−1])     token, segment and position embeddings, normalized
    h_l = Block(h_{l−1})                        l = 1 … L, GPT-1's block without its causal mask
    pooled = tanh(h_L[CLS] W + b)               one vector for the whole, of the first position

Before a task: masked words are guessed from h_L by a head tied to E, and from `pooled` whether the second text follows
the first (sections 3 and A.1). Heads for tasks stand in heads.py.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np

from minilm import functional as F
from minilm.autograd import Tensor, value
from minilm.backend import anywhere, asarray, to_numpy, xp
from minilm.errors import ConfigError, DataError, ShapeError
from minilm.i18n import tr
from minilm.models.base import Config, Model, last
from minilm.models.checks import (
    check_counts,
    check_dropout,
    check_epsilon,
    check_initial_std,
    check_switch,
    checked_ids,
    checked_mask,
    checked_segments,
)
from minilm.models.gpt import DROPOUT, INIT
from minilm.nn.attention import check_heads
from minilm.nn.block import Block, check_choice
from minilm.nn.init import STD, TruncatedGenerator, zeros
from minilm.nn.layers import ACTIVATIONS, Dropout, Embedding, LayerNorm, Linear, activation
from minilm.nn.module import Parameter

HEAD = 0x68656164  # the purpose, in a generator's key, of how a head's weights begin ("head" in ASCII)
ROWS = 512  # as many rows of logits are held at once where only the largest is asked for


@dataclass(frozen=True)
class BertConfig(Config):
    """What fixes a BERT's shape; a ConfigError names the first setting that cannot be.

    vocab_size V, context (the most positions it can read), width D, layers L, heads H (must divide D).
    mlp_width: F, 4 D if None. dropout: of the embeddings, of what attention and MLP add, and, if they are None,
    attention_dropout, of the attention's weights, and classifier_dropout, of what a task's head reads. epsilon: of the
    norms. activation: "gelu", x Φ(x) as in the paper, or "gelu_tanh", as in its code. segments: how many texts can
    stand side by side. initial_std: of the weights, cut off at twice that. causal: read from left to right only, the
    ablation "LTR" of table 5; `pooled` is then of the last real position. tied: masked words are guessed with the token
    embedding.
    """

    kind: ClassVar[str] = "BERT"

    vocab_size: int
    context: int = 512
    width: int = 128
    layers: int = 4
    heads: int = 4
    mlp_width: int | None = None
    dropout: float = 0.0
    epsilon: float = 1e-12
    activation: str = "gelu"
    segments: int = 2
    initial_std: float = STD
    causal: bool = False
    attention_dropout: float | None = None
    classifier_dropout: float | None = None
    tied: bool = True

    def __post_init__(self) -> None:
        if self.mlp_width is None:
            object.__setattr__(self, "mlp_width", 4 * self.width if isinstance(self.width, int) else None)
        check_counts(self, ("vocab_size", "context", "width", "layers", "heads", "mlp_width", "segments"))
        check_heads(self.width, self.heads)
        check_choice("activation", self.activation, ACTIVATIONS)
        for name in ("dropout", "attention_dropout", "classifier_dropout"):
            check_dropout(self, name)
        check_epsilon(self.epsilon)
        check_initial_std(self.initial_std)
        for name in ("causal", "tied"):
            check_switch(self, name)


class BertOutput(NamedTuple):
    """The last hidden states (B, T, D), and one vector for each row (B, D), or None for a BERT without a pooler."""

    hidden: Any
    pooled: Any


class Bert(Model):
    """A BERT of the given shape, its weights a pure function of `seed`: N(0, .02²) cut off at 2σ, biases 0.

    pooler: whether it has the layer that makes `pooled`.
    """

    def __init__(self, config: BertConfig, seed: int = 0, pooler: bool = True):
        self.config = c = config
        rng, std = initial_generator(seed, INIT), c.initial_std
        self.token_embedding = Embedding(c.vocab_size, c.width, rng, std)
        self.segment_embedding = Embedding(c.segments, c.width, rng, std)
        self.position_embedding = Embedding(c.context, c.width, rng, std)
        self.embedding_norm = LayerNorm(c.width, c.epsilon)
        self.dropout = Dropout(c.dropout)
        self.blocks = [
            Block(
                c.width,
                c.heads,
                rng,
                mlp_width=c.mlp_width,
                norm="post",
                epsilon=c.epsilon,
                activation=c.activation,
                causal=c.causal,
                dropout=c.dropout,
                attention_dropout=c.attention_dropout,
                std=std,
                residual_std=std,
            )
            for _ in range(c.layers)
        ]
        self.pooler = Linear(c.width, c.width, rng, std=std) if pooler else None
        self.set_generator(np.random.default_rng([seed, DROPOUT]))

    def __call__(self, ids: Any, segments: Any = None, attention_mask: Any = None) -> BertOutput:
        """The last hidden states (B, T, D) and the pooled vectors (B, D) of token ids (B, T).

        ids: [CLS] first, T at most the context. segments: (B, T), 0 for the first text and 1 for the second; all 0 if
        None. attention_mask: (B, T), bool or 0/1, False where ids are padding, which no position reads; every row must
        begin with a real token. Errors: ShapeError, DTypeError, DataError (an id outside the vocabulary).
        """
        hidden = self.transform(self.embed(ids, segments), attention_mask)  # (B, T, D)
        return BertOutput(hidden, self.pool(hidden, attention_mask))

    def embed(self, ids: Any, segments: Any = None) -> Any:
        """h₀ = N(E[ids] + S[segments] + P[0…T−1]), (B, T, D)."""
        c = self.config
        ids = checked_ids(ids, c.vocab_size, c.context)
        segments = checked_segments(segments, ids.shape, c.segments)
        x = self.token_embedding(ids) + self.segment_embedding(segments)  # (B, T, D)
        places = F.getitem(self.position_embedding.weight, slice(ids.shape[1]))  # (T, D)
        return self.dropout(self.embedding_norm(x + places))  # (B, T, D)

    def transform(self, x: Any, attention_mask: Any = None) -> Any:
        """From embeddings h₀ to the last hidden states, both (B, T, D)."""
        return last(self._states(x, attention_mask))

    def hidden_states(self, ids: Any, segments: Any = None, attention_mask: Any = None) -> list[Any]:
        """h₀ … h_L, each (B, T, D); arguments as for a call."""
        return list(self._states(self.embed(ids, segments), attention_mask))

    def _states(self, x: Any, attention_mask: Any) -> Iterator[Any]:
        """h₀ … h_L, one by one, so that each can be freed when the next is made."""
        real = _real(attention_mask, x.shape[:2])
        mask = None if real is None else asarray(real)[:, None, None, :]  # (B, 1, 1, T)
        yield x
        for block in self.blocks:
            x = block(x, mask)  # (B, T, D)
            yield x

    def pool(self, hidden: Any, attention_mask: Any = None) -> Any:
        """tanh(h W + b), (B, D), h being the hidden state of [CLS]; None without a pooler.

        From left to right [CLS] has read nothing but itself, so there the last real position takes its place.
        """
        if self.pooler is None:
            return None
        B, T, _ = hidden.shape
        at: Any = 0
        if self.config.causal:
            real = _real(attention_mask, (B, T))
            at = T - 1 if real is None else to_numpy(last_real(real))  # (B,)
        return F.tanh(self.pooler(rows_at(hidden, np.arange(B) * T + at)))  # (B, D)


class PreTrainingLogits(NamedTuple):
    """Of the words: (B, T, V). Of "the second text follows" (0) and "it does not" (1): (B, 2), or None."""

    mlm: Any
    nsp: Any


class PreTrainingLoss(NamedTuple):
    """Both losses in nats, apart (nsp is None where there is none), and how many were guessed right."""

    mlm: Tensor
    nsp: Tensor | None
    mlm_right: int
    nsp_right: int


class BertForPreTraining(Model):
    """BERT with the heads that it is pretrained with (section 3.1); next_sentence=False leaves the second one out.

    MLM: logits = N(φ(h W + b)) Eᵀ + b_V, with the token embedding E, or with a matrix of its own where the
    configuration is not tied. NSP: logits = pooled W + b.
    """

    def __init__(self, config: BertConfig, seed: int = 0, next_sentence: bool = True):
        self.config = c = config
        rng = initial_generator(seed, HEAD)
        self.bert = Bert(c, seed, pooler=next_sentence)
        self.dense = Linear(c.width, c.width, rng, std=c.initial_std)
        self.activation = activation(c.activation)
        self.norm = LayerNorm(c.width, c.epsilon)
        self.bias = Parameter(zeros(c.vocab_size))
        self.decoder = None if c.tied else Linear(c.width, c.vocab_size, rng, bias=False, std=c.initial_std)
        self.next_sentence = Linear(c.width, 2, rng, std=c.initial_std) if next_sentence else None
        self.set_generator(np.random.default_rng([seed, DROPOUT]))

    def __call__(self, ids: Any, segments: Any = None, attention_mask: Any = None) -> PreTrainingLogits:
        """The logits of every word at every position, and of the two answers; arguments as for `Bert`."""
        hidden, pooled = self.bert(ids, segments, attention_mask)
        words = F.linear(self._features(hidden), F.transpose(self._words()), self.bias)
        return PreTrainingLogits(words, self.next_sentence(pooled) if self.next_sentence else None)

    def loss(
        self,
        ids: Any,
        targets: Any,
        next_label: Any = None,
        segments: Any = None,
        attention_mask: Any = None,
        reduction: str = "mean",
        ignore_index: int = -100,
    ) -> PreTrainingLoss:
        """mlm = −Σ log p(targets[b, t] | ids[b]) over the targets that are not ignore_index, or their mean;
        nsp = −Σ log p(next_label[b] | ids[b]), likewise, or None without next_label.

        ids: (B, T), masked. targets: (B, T), the tokens to guess. next_label: (B,), 0 where the second text follows
        the first, 1 where not. Only the rows that count are made logits of, and never all at once.
        """
        hidden, pooled = self.bert(ids, segments, attention_mask)
        mlm, mlm_right = self.word_loss(hidden, targets, reduction, ignore_index)
        if next_label is None:
            return PreTrainingLoss(mlm, None, mlm_right, 0)
        if self.next_sentence is None:
            raise ConfigError(tr("next_label: this model has no next-sentence head; make it with next_sentence=True"))
        next_label, logits = anywhere(value(next_label)), self.next_sentence(pooled)  # (B,), (B, 2)
        right = to_numpy(value(logits).argmax(-1)) == to_numpy(next_label)  # (B,)
        nsp = F.cross_entropy(logits, next_label, ignore_index=ignore_index, reduction=reduction)
        return PreTrainingLoss(mlm, nsp, mlm_right, int(right.sum()))

    def word_loss(
        self, hidden: Any, targets: Any, reduction: str = "mean", ignore_index: int = -100
    ) -> tuple[Tensor, int]:
        """The loss of the words from hidden states (B, T, D), and how many of them were guessed right."""
        targets = anywhere(value(targets))
        flat = checked_targets(targets, hidden.shape[:2]).reshape(-1)  # (B·T,)
        chosen = (flat != ignore_index).nonzero()[0]  # (n,)
        features, wanted = self._features(rows_at(hidden, chosen)), flat[chosen]  # (n, D), (n,)
        E = self._words()  # (V, D)
        loss = F.linear_cross_entropy(features, E, wanted, self.bias, ignore_index, reduction=reduction)
        return loss, self._right(value(features), wanted)

    def _features(self, x: Any) -> Any:
        """What the decoder reads: (…, D) -> (…, D)."""
        return self.norm(self.activation(self.dense(x)))

    def _words(self) -> Any:
        """The decoder's weights (V, D)."""
        return F.transpose(self.decoder.weight) if self.decoder else self.bert.token_embedding.weight

    def _right(self, features: Any, wanted: Any) -> int:
        """For how many rows (n, D) the largest logit is that of the wanted token (n,)."""
        E, bias = value(self._words()), value(self.bias)
        guesses = [(xp.matmul(features[i : i + ROWS], E.T) + bias).argmax(-1) for i in range(0, len(wanted), ROWS)]
        return int((to_numpy(xp.concatenate(guesses)) == to_numpy(wanted)).sum()) if guesses else 0


def initial_generator(seed: int, purpose: int) -> TruncatedGenerator:
    """What weights begin with: normal numbers cut off at 2σ, a pure function of (seed, purpose)."""
    return TruncatedGenerator(np.random.PCG64([seed, purpose]))


def rows_at(x: Any, flat: Any) -> Any:
    """Rows of x (B, T, D) by their numbers b·T + t: flat (n,) -> (n, D)."""
    return F.embedding(flat, x.reshape(-1, x.shape[-1]))  # whose gradient is quicker than an index's


def last_real(real: Any) -> Any:
    """The index of the last real position of each row: booleans (B, T) -> (B,); padding may stand on any side."""
    return real.shape[1] - 1 - real[:, ::-1].argmax(1)


def checked_targets(targets: Any, wanted: tuple[int, ...]) -> Any:
    """The targets, one for each position, else a ShapeError; their values are checked where they are used."""
    if targets.shape != wanted:
        raise ShapeError(
            tr("targets: got shape {got}, wanted {wanted}: one for each position, -100 where none counts",
               got=targets.shape, wanted=wanted)
        )  # fmt: skip
    return targets


def _real(attention_mask: Any, wanted: tuple[int, int]) -> Any:
    """The attention mask as booleans (B, T), or None; DataError where a row begins with padding."""
    if attention_mask is None:
        return None
    real = checked_mask(attention_mask, wanted)
    if not bool(real[:, 0].all()):
        raise DataError(
            tr(
                "attention_mask: row {row} begins with padding; BERT reads [CLS] at the first position, so put the "
                "padding at the end",
                row=int(real[:, 0].argmin()),
            )
        )
    return real
