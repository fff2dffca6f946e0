"""The real GPT through the trainer: threads, parts of a batch, dropout, resuming."""

import numpy as np
import pytest

from minilm.models.gpt import GPT, GPTConfig
from minilm.training import NextToken, Run, TrainConfig, Trainer
from minilm.training.checkpoint import load_checkpoint

TEXT = np.frombuffer(b"the cat sat on the mat and the dog sat on the log. " * 8, np.uint8).astype(np.int64)


class Windows:
    def __init__(self, size=5, context=16):
        self.size, self.context = size, context

    def at(self, step):
        starts = np.random.default_rng([7, step]).integers(0, len(TEXT) - self.context - 1, self.size)
        both = TEXT[starts[:, None] + np.arange(self.context + 1)]
        return {"ids": both[:, :-1], "targets": both[:, 1:]}


def training(run=None, dropout=0.1, **changes):
    settings = {"steps": 8, "batch_size": 5, "rate": 5e-3, "warmup": 2, "threads": 2, "checkpoint_every": 3, "keep": 9}
    model = GPT(GPTConfig(vocab_size=128, context=16, width=32, layers=2, heads=2, dropout=dropout), seed=1)
    config = TrainConfig(**{**settings, **changes})
    return Trainer(model, NextToken(), Windows(), config, [Windows().at(1000)], run, show=False)


def bits(model):
    return {name: array.tobytes() for name, array in model.state_dict().items()}


def test_resuming_gives_the_same_bits_and_the_same_optimizer(tmp_path):
    run = Run.create(tmp_path / "r", {})
    reference = training(run)
    reference.train()
    last = load_checkpoint(run.latest())
    assert bits(training().model) != bits(reference.model)
    for step in (3, 6):
        resumed = training(run).resume(f"step-{step:08d}")
        resumed.train()
        assert bits(resumed.model) == bits(reference.model)
        again = load_checkpoint(run.latest())
        assert {k: a.tobytes() for k, a in again.optimizer.items()} == {
            k: a.tobytes() for k, a in last.optimizer.items()
        }


@pytest.mark.parametrize("changes", [{"threads": 2}, {"threads": 3, "accumulation": 2}, {"accumulation": 5}])
def test_threads_and_parts_change_the_loss_by_rounding_only(changes):
    wanted = training(dropout=0.0, threads=1).train().record
    found = training(dropout=0.0, **{"threads": 1, **changes}).train().record
    for key in ("loss", "validation_loss", "gradient_norm"):
        assert abs(found[key] - wanted[key]) <= 1e-4 * wanted[key]


def test_dropout_is_the_same_each_time_and_another_for_another_seed():
    first, second, other = (training(seed=seed) for seed in (0, 0, 1))
    for each in (first, second, other):
        each.train()
    assert bits(first.model) == bits(second.model)
    assert bits(first.model) != bits(other.model)


def test_it_learns_a_sentence():
    record = training(dropout=0.0, steps=60, rate=1e-2).train().record
    assert record["validation_loss"] < 1.6  # from ln 128 = 4.85


def test_only_matrices_decay_and_the_tied_head_is_one_parameter():
    trainer = training()
    flat = trainer.optimizer.flat
    assert flat.size == trainer.model.num_parameters()
    decayed = [name for name, p in zip(flat.names, flat.parameters, strict=True) if p.ndim >= 2]
    assert all(name.endswith("weight") and "norm" not in name for name in decayed)
    assert flat.names[: len(decayed)] == decayed
    assert flat.matrices == sum(p.size for p in flat.parameters[: len(decayed)])


def test_recomputing_the_blocks_trains_to_the_same_bits():
    """Dropout, two threads and accumulation on: what is forgotten and computed again drops the same entries."""
    kept, again = training(dropout=0.3, accumulation=2), training(dropout=0.3, accumulation=2, recompute=True)
    for trainer in (kept, again):
        trainer.train()
    assert all(block.recompute for block in again.model.blocks) and not kept.model.blocks[0].recompute
    assert bits(again.model) == bits(kept.model)
