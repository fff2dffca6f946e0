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


class MaskedLM:
    """−(1/N) Σ log p(original | masked text), in nats, over the N targets that are not -100 (Devlin et al. 2019, task 1
    of section 3.1). The batch has `ids` (masked) and `targets`, both (B, T), and may have `segments` and
    `attention_mask`; the model is a `BertForPreTraining`. A next_label in the batch is not looked at.

    Reported: mlm_loss, and mlm_accuracy, the part of the N that was guessed right.
    """

    def counts(self, batch: dict[str, np.ndarray]) -> dict[str, int]:
        """{"masked": N}. Raises DataError when there is no target at all."""
        count = int(np.count_nonzero(batch["targets"] != IGNORE))
        if not count:
            raise DataError(tr("batch: every target is -100, so there is nothing to predict"))
        return {"masked": count}

    def __call__(
        self, model: Any, shard: dict[str, np.ndarray], counts: dict[str, int]
    ) -> tuple[Tensor, dict[str, float]]:
        """The shard's share of the mean, and of what is reported."""
        found = _losses(model, shard, None)
        mlm = found.mlm * (1 / counts["masked"])
        return mlm, {"mlm_loss": mlm.item(), "mlm_accuracy": found.mlm_right / counts["masked"]}


class MaskedLMAndNextSentence(MaskedLM):
    """The loss of `MaskedLM` plus −(1/M) Σ log p(next_label | both texts) over the M pairs (sections 3.1 and A.2): the
    sum of two means, each over terms of its own. The batch has `next_label` (B,) too.

    Reported as well: nsp_loss, and nsp_accuracy.
    """

    def counts(self, batch: dict[str, np.ndarray]) -> dict[str, int]:
        """{"masked": N, "pairs": M}. Raises DataError when there are no targets or no pairs."""
        if "next_label" not in batch:
            raise DataError(tr("batch: there is no next_label; use PairBatches, or train on masked words alone"))
        count = int(np.count_nonzero(batch["next_label"] != IGNORE))
        if not count:
            raise DataError(tr("batch: every next_label is -100, so there is nothing to predict"))
        return {**super().counts(batch), "pairs": count}

    def __call__(
        self, model: Any, shard: dict[str, np.ndarray], counts: dict[str, int]
    ) -> tuple[Tensor, dict[str, float]]:
        """The shard's share of both means, and of what is reported."""
        found = _losses(model, shard, shard["next_label"])
        mlm, nsp = found.mlm * (1 / counts["masked"]), found.nsp * (1 / counts["pairs"])
        return mlm + nsp, {
            "mlm_loss": mlm.item(),
            "nsp_loss": nsp.item(),
            "mlm_accuracy": found.mlm_right / counts["masked"],
            "nsp_accuracy": found.nsp_right / counts["pairs"],
        }


def _losses(model: Any, shard: dict[str, np.ndarray], next_label: Any) -> Any:
    """The sums of a `BertForPreTraining`'s losses over a shard."""
    segments, mask = shard.get("segments"), shard.get("attention_mask")
    return model.loss(shard["ids"], shard["targets"], next_label, segments, mask, reduction="sum")
