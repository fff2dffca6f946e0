"""Feature-based use: a pretrained body that stays as it is, and a linear layer that reads what it says of a text.

Which layer is read (0 the embeddings, l what block l gives) and how a text becomes one vector: the mean over its
tokens, or the state of its extract token (GPT) or of [CLS] (BERT). A token that was never seen in pretraining has no
features worth the name, so the mean is what serves. Source: Devlin et al. 2019, section 5.3.
"""

from typing import Any

import numpy as np

from minilm import functional as F
from minilm.autograd import Tensor, no_grad, value
from minilm.backend import asarray, xp
from minilm.errors import ConfigError
from minilm.i18n import tr
from minilm.models.bert import HEAD, last_real, rows_at
from minilm.nn.layers import Linear
from minilm.nn.module import Module

POOLING = ("mean", "token")


class FeatureClassifier(Module):
    """softmax(W f(x) + b), with f frozen: only W and b are learned, and nothing is dropped from f."""

    def __init__(self, body: Any, classes: int, seed: int = 0, layers: tuple[int, ...] = (-1,), pooling: str = "mean"):
        """layers: which are read, 0 the embeddings, negative numbers from the last; several stand side by side.

        ConfigError for a layer that there is not, or another pooling than "mean" or "token".
        """
        count = len(body.blocks) + 1
        if any(not -count <= layer < count for layer in layers) or not layers:
            raise ConfigError(tr("layers is {got}; choose among 0 (embeddings) to {last}", got=layers, last=count - 1))
        if pooling not in POOLING:
            raise ConfigError(tr("pooling is {got!r}; choose one of {known}", got=pooling, known=", ".join(POOLING)))
        self.config = body.config
        self.layers, self.pooling = tuple(layer % count for layer in layers), pooling
        self.body = body.freeze().eval()
        self.classifier = Linear(body.config.width * len(layers), classes, np.random.default_rng([seed, HEAD]))

    def train(self, on: bool = True) -> Any:
        """Training mode is the classifier's: features are always those of evaluation."""
        super().train(on)
        self.body.eval()
        return self

    def features(self, ids: Any, segments: Any = None, attention_mask: Any = None) -> Any:
        """(B, T) -> (B, n·D): the chosen layers of the body, each pooled to one vector."""
        B, T = asarray(value(ids)).shape
        mask = xp.ones((B, T), dtype=bool) if attention_mask is None else asarray(value(attention_mask)).astype(bool)
        with no_grad():
            states = _states(self.body, ids, segments, mask)  # L + 1 arrays (B, T, D)
            found = [self._pooled(states[layer], mask) for layer in self.layers]
        return found[0] if len(found) == 1 else xp.concatenate(found, axis=-1)

    def _pooled(self, hidden: Any, mask: Any) -> Any:
        """(B, T, D) -> (B, D)."""
        hidden = value(hidden)
        if self.pooling == "mean":
            weights = mask / mask.sum(1, keepdims=True)
            return (hidden * weights[:, :, None].astype(hidden.dtype)).sum(1)
        B, T, _ = hidden.shape
        at = last_real(mask) if getattr(self.config, "causal", True) else xp.zeros(B, dtype=int)
        return value(rows_at(hidden, xp.arange(B) * T + at))

    def __call__(self, ids: Any, segments: Any = None, attention_mask: Any = None) -> Any:
        """Logits (B, classes)."""
        return self.classifier(self.features(ids, segments, attention_mask))

    def loss(
        self, ids: Any, labels: Any, segments: Any = None, attention_mask: Any = None, reduction: str = "mean"
    ) -> Tensor:
        """−Σ log p(label), or its mean; labels (B,)."""
        logits = self(ids, segments, attention_mask)
        return F.cross_entropy(logits, asarray(value(labels)), reduction=reduction)


def _states(body: Any, ids: Any, segments: Any, mask: Any) -> list[Any]:
    """What each layer says: the embeddings, then each block's output, the last one as the head would read it."""
    bert = hasattr(body, "segment_embedding")
    x = body.embed(ids, segments) if bert else body.embed(ids, mask)
    states = [x]
    for block in body.blocks:
        x = block(x, mask[:, None, None, :])
        states.append(x)
    if not bert and body.final_norm:
        states[-1] = body.final_norm(x)
    return states
