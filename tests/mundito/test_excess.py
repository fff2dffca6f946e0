"""The excess over the true probabilities: what it is, how sure it is, and that a leak shows as the impossible."""

import numpy as np
import pytest

from minilm.autograd import Tensor, no_grad
from minilm.errors import TrainingError
from minilm.models import GPT, GPTConfig
from minilm.mundito import Mundito, MunditoBatches
from minilm.training import TrainConfig, Trainer
from minilm.training.objectives import KnownSource

WORLD = Mundito()


class Oracle:
    """A model that is the source itself, its logits off by `noise`; `peek`: it puts all on the target that it sees."""

    def __init__(self, peek=0.0):
        self.peek = peek

    def __call__(self, ids):
        p = np.full((*ids.shape, WORLD.vocab_size), 1e-30)
        for b, row in enumerate(ids):
            state = WORLD.step(WORLD.start, row[0])
            for t in range(len(row)):
                p[b, t] += WORLD.dist(state)
                if t + 1 < len(row):
                    p[b, t] = (1 - self.peek) * p[b, t] + self.peek * (np.arange(WORLD.vocab_size) == row[t + 1])
                    state = WORLD.step(state, row[t + 1])
        return Tensor(np.log(p))


def evaluated(model, batches):
    """The sums of an evaluation, as the trainer makes them."""
    objective, sums = KnownSource(), {}
    counts = {"tokens": sum(objective.counts(b)["tokens"] for b in batches)}
    with no_grad():
        for batch in batches:
            for name, share in objective(model, batch, counts)[1].items():
                sums[name] = sums.get(name, 0.0) + share
    return objective.finish(sums)


def batches(rows=60):
    return list(MunditoBatches(WORLD, context=20, batch_size=16, part="validation").windows(rows))


def test_the_source_itself_has_no_excess():
    found = evaluated(Oracle(), batches())
    assert abs(found["excess"]) <= 1e-12 and found["excess_se"] <= 1e-12


def test_excess_and_its_error_are_those_of_the_rows():
    class Flat:
        def __call__(self, ids):
            return Tensor(np.zeros((*ids.shape, WORLD.vocab_size)))

    found, all_batches = evaluated(Flat(), batches()), batches()
    oracle = np.concatenate([b["oracle"] for b in all_batches])
    of_rows = np.log(WORLD.vocab_size) - oracle.mean(1)
    assert abs(found["excess"] - of_rows.mean()) <= 1e-12
    assert abs(found["excess_se"] - of_rows.std(ddof=1) / np.sqrt(len(of_rows))) <= 1e-9


def test_a_model_that_peeks_a_little_is_found_out():
    with pytest.raises(TrainingError, match="below the source's entropy: the model sees the future"):
        evaluated(Oracle(peek=0.05), batches())


def training(causal, steps, **changes):
    model = GPT(GPTConfig(WORLD.vocab_size, context=20, width=32, layers=1, heads=2), seed=0)
    for block in model.blocks:
        block.attention.causal = causal
    data = MunditoBatches(WORLD, context=20, batch_size=16, seed=1)
    config = TrainConfig(steps, 16, rate=1e-2, warmup=min(10, steps), threads=2, evaluate_every=steps, **changes)
    return Trainer(model, KnownSource(), data, config, batches(200), show=False)


def test_training_reports_the_excess_with_threads_and_parts():
    trainer = training(True, 3, accumulation=2)
    record = trainer.train().record
    batch = MunditoBatches(WORLD, context=20, batch_size=16, seed=1).at(2)
    assert abs(record["loss"] - batch["oracle"].mean() - record["excess"]) <= 1e-6
    assert record["validation_excess"] > 3 and 0 < record["validation_excess_se"] < 0.5
    assert "validation_rows" not in record
    found = trainer.evaluate(batches(200))
    oracle = np.concatenate([b["oracle"] for b in batches(200)]).mean()
    assert abs(found["loss"] - oracle - found["excess"]) <= 1e-6


@pytest.mark.slow
def test_without_the_causal_mask_the_training_is_stopped():
    with pytest.raises(TrainingError, match="sees the future"):
        training(False, 400).train()
    assert training(True, 400).train().record["validation_excess"] > 0
