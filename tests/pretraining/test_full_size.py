"""What the recipes for Mundito promise, trained to their full size: minutes each."""

import dataclasses

import pytest

from minilm.errors import TrainingError
from minilm.mundito.probes import probe
from minilm.pretraining import BERT_RECIPES, RECIPES, Pretraining

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("full size")]


def test_a_gpt_learns_all_but_a_little_of_what_can_be_known(tmp_path):
    """About 130,000 parameters, 6 million tokens: excess, agreement, questions, entailment without training for it."""
    pretraining = Pretraining.start("mundito", RECIPES["mundito"], tmp_path / "run")
    trainer = pretraining.trainer(show=False)
    assert 110_000 <= trainer.model.num_parameters() <= 150_000
    record = trainer.train().record
    assert 5.9e6 <= record["tokens"] <= 6.1e6
    found = pretraining.final(trainer)
    print({name: round(value, 4) for name, value in found.items()})
    assert -3 * found["excess_se"] <= found["excess"] <= 0.09
    scores = probe(trainer.model, pretraining.source.world, 1000)
    print({name: (round(score.value, 4), round(score.error, 4)) for name, score in scores.items()})
    assert scores["agreement"].value >= 0.95
    assert scores["questions"].value >= 0.6
    assert scores["claims"].value >= 0.95


def test_a_gpt_that_sees_the_future_is_stopped(tmp_path):
    """The same without its causal mask; with it, at no evaluation."""
    recipe = dataclasses.replace(RECIPES["mundito"], causal=False)
    trainer = Pretraining.start("mundito", recipe, tmp_path / "run").trainer(show=False)
    with pytest.raises(TrainingError, match="below the source's entropy: the model sees the future"):
        trainer.train()
    assert trainer.step <= 1000


def test_a_bert_tells_the_next_sentence(tmp_path):
    """From pairs of which lengths tell nothing."""
    pretraining = Pretraining.start("mundito", BERT_RECIPES["mundito"], tmp_path / "run")
    trainer = pretraining.trainer(show=False)
    trainer.train()
    found = pretraining.final(trainer)
    print({name: round(value, 4) for name, value in found.items()})
    assert found["nsp_accuracy"] >= 0.62
