"""What a training minimizes: an objective turns a model and a part of a batch into that part's share of the loss.

`objective.counts(batch)` says over how many terms each mean is taken; `objective(model, shard, counts)` is
Σ over the shard / counts of the whole batch. So the losses and gradients of shards simply add up to the exact mean,
however the batch was cut among threads and accumulation, and however unevenly its terms lie.
"""

import math
from typing import Any, Protocol

import numpy as np

from minilm import functional as F
from minilm.autograd import Tensor, is_recording, value
from minilm.backend import to_numpy
from minilm.errors import DataError, TrainingError
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


class KnownSource(NextToken):
    """NextToken on a source whose true probabilities are known: it also reports the excess over them.

    The batch has, beside `ids` and `targets`, `oracle` (B, T): -ln p(target | what stands before it) by the source.
    excess = model's mean - oracle's mean, on the same tokens. Without recording (in an evaluation) also excess_se, its
    standard error over rows; there an excess below -3 of these is a TrainingError, since no model can beat the source:
    it sees what it should predict.
    """

    def __call__(
        self, model: Any, shard: dict[str, np.ndarray], counts: dict[str, int]
    ) -> tuple[Tensor, dict[str, float]]:
        n, scored = counts["tokens"], shard["targets"] != IGNORE
        oracle = np.where(scored, shard["oracle"], 0).sum(1)  # (B,)
        if is_recording():
            loss, _ = super().__call__(model, shard, counts)
            return loss, {"excess": loss.item() - float(oracle.sum()) / n}
        losses = F.cross_entropy(model(shard["ids"]), shard["targets"], reduction="none")  # (B, T)
        of_rows = to_numpy(value(losses)).sum(1, dtype=np.float64)
        excess = (of_rows - oracle) / n
        found = {"excess": excess.sum(), "excess_squares": (excess**2).sum(), "rows": len(excess)}
        return Tensor(np.asarray(of_rows.sum() / n)), {name: float(x) for name, x in found.items()}

    def finish(self, metrics: dict[str, float]) -> dict[str, float]:
        """What the sums over all shards of an evaluation amount to. TrainingError for an excess that cannot be."""
        rows, squares, excess = metrics.pop("rows"), metrics.pop("excess_squares"), metrics["excess"]
        error = math.sqrt(max(squares - excess**2 / rows, 0) * rows / max(rows - 1, 1))
        if excess < -3 * error and rows > 1:
            raise TrainingError(
                tr(
                    "below the source's entropy: the model sees the future. Its loss is {excess:.4f} nats below that "
                    "of the true probabilities, with a standard error of {error:.4f}; look at the causal mask and at "
                    "how targets are shifted",
                    excess=-excess,
                    error=error,
                )
            )
        return {**metrics, "excess_se": error}
