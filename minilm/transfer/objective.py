"""The loss of fine-tuning: the task's own, L₂, and with λ > 0 the language model's (Radford et al. 2018, eq. 5).

    L₃ = (1/N) Σ L₂(example) + λ (1/M) Σ_sequences (1/n) Σ_t −log p(x_t | x_<t)

N: labels that count (examples, or tagged tokens). M: sequences. Each sequence's language loss is its own mean, so that
a long text weighs as much as a short one, as in the paper's code.
"""

from typing import Any

import numpy as np

from minilm.autograd import Tensor
from minilm.errors import ConfigError, DataError
from minilm.i18n import tr
from minilm.transfer.examples import IGNORE


class TaskLoss:
    """The objective of a task; auxiliary: λ, 0 for none (GPT's paper takes .5; BERT has no such loss)."""

    def __init__(self, auxiliary: float = 0.0):
        if not auxiliary >= 0:
            raise ConfigError(tr("auxiliary is {got}; the weight of the language model's loss is 0 or more",
                                 got=auxiliary))  # fmt: skip
        self.auxiliary = auxiliary

    def counts(self, batch: dict[str, np.ndarray]) -> dict[str, int]:
        """{"labels": N, "sequences": M}. DataError where no label counts."""
        ids = batch["ids"]
        labels = batch["starts"] if "starts" in batch else batch["labels"]
        count = int(np.count_nonzero(labels != IGNORE)) if labels.ndim == 2 else len(labels)
        if not count:
            raise DataError(tr("batch: every label is -100, so there is nothing to predict"))
        return {"labels": count, "sequences": ids.size // ids.shape[-1]}

    def __call__(
        self, model: Any, shard: dict[str, np.ndarray], counts: dict[str, int]
    ) -> tuple[Tensor, dict[str, float]]:
        """The shard's share of L₃; with λ also of task_loss and language_loss."""
        inputs = {name: array for name, array in shard.items() if name != "passage"}
        if not self.auxiliary:
            return model.loss(**inputs, reduction="sum") * (1 / counts["labels"]), {}
        if not hasattr(model, "losses"):
            raise ConfigError(tr("auxiliary: {name} has no language model's loss; leave it at 0",
                                 name=type(model).__name__))  # fmt: skip
        found = model.losses(**inputs)
        task, language = found.task * (1 / counts["labels"]), found.language * (1 / counts["sequences"])
        return task + language * self.auxiliary, {"task_loss": task.item(), "language_loss": language.item()}
