"""What a training minimizes: an objective turns a model and a part of a batch into that part's share of the loss.

`objective.counts(batch)` says over how many terms each mean is taken; `objective(model, shard, counts)` is
Σ over the shard / counts of the whole batch. So the losses and gradients of shards simply add up to the exact mean,
however the batch was cut among threads and accumulation, and however unevenly its terms lie.
"""

from typing import Any, Protocol

import numpy as np

from minilm import functional as F
from minilm.autograd import Tensor
from minilm.errors import DataError
from minilm.i18n import tr

IGNORE = -100  # a target that counts for nothing


class Objective(Protocol):
    """What the trainer asks of an objective."""

    def counts(self, batch: dict[str, np.ndarray]) -> dict[str, int]: ...

    def __call__(
        self, model: Any, shard: dict[str, np.ndarray], counts: dict[str, int]
    ) -> tuple[Tensor, dict[str, float]]: ...


class NextToken:
    """−(1/N) Σ log p(target | what stands before it), in nats, over the N targets that are not -100 (Radford et al.
    2018, eq. 1). The batch has `ids` and `targets`, both (B, T)."""

    def counts(self, batch: dict[str, np.ndarray]) -> dict[str, int]:
        """{"tokens": N}. Raises DataError when there is no target at all."""
        count = int(np.count_nonzero(batch["targets"] != IGNORE))
        if not count:
            raise DataError(tr("batch: every target is -100, so there is nothing to predict"))
        return {"tokens": count}

    def __call__(
        self, model: Any, shard: dict[str, np.ndarray], counts: dict[str, int]
    ) -> tuple[Tensor, dict[str, float]]:
        """The shard's share of the mean. A model with `loss(ids, targets, reduction=)` computes it without logits."""
        ids, targets = shard["ids"], shard["targets"]
        if hasattr(model, "loss"):
            total = model.loss(ids, targets, reduction="sum")
        else:
            total = F.cross_entropy(model(ids), targets, reduction="sum")
        return total * (1 / counts["tokens"]), {}
