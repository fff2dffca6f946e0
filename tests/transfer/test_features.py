"""Frozen features: which layer, which tokens, and that nothing of the body moves."""

import numpy as np
import pytest
from small_models import small

from minilm.errors import ConfigError
from minilm.models import GPT
from minilm.models.gpt import attention_weights
from minilm.transfer import Example, FeatureClassifier, FineTuning, Task, evaluate, fine_tune, reader_of
from minilm.transfer.models import bare_model, body_of

TASK = Task("classify", ("a", "b"))
IDS = np.random.default_rng(0).integers(5, 25, (3, 7))
MASK = np.arange(7) < np.array([[7], [4], [2]])


def body(kind: str, **settings):
    pretrained = small(kind, **settings)
    model = body_of(bare_model(pretrained, TASK, 3))
    rng = np.random.default_rng(0)
    for p in model.parameters():
        p.assign(p.numpy() + 0.3 * rng.standard_normal(p.shape))
    return model


class TestFeatures:
    @pytest.mark.parametrize("kind", ["gpt", "bert"])
    @pytest.mark.parametrize("pooling", ["mean", "token"])
    def test_are_of_the_real_tokens(self, kind, pooling) -> None:
        model = FeatureClassifier(body(kind), 2, layers=(0, 1, 2), pooling=pooling)
        together = model.features(IDS, attention_mask=MASK)
        for b, n in enumerate((7, 4, 2)):
            alone = model.features(IDS[b : b + 1, :n])
            assert not (np.abs(together[b] - alone[0]).max() > 1e-5)

    def test_are_the_layers_states(self) -> None:
        gpt = body("gpt")
        found = FeatureClassifier(gpt, 2, layers=(0, -1)).features(IDS)
        embeddings, last = gpt.embed(IDS).numpy().mean(1), gpt.hidden(IDS).numpy().mean(1)
        assert not (np.abs(found - np.concatenate([embeddings, last], 1)).max() > 1e-5)
        bert = body("bert")
        token = FeatureClassifier(bert, 2, layers=(2,), pooling="token").features(IDS, attention_mask=MASK)
        assert not (np.abs(token - bert(IDS, None, MASK).hidden.numpy()[:, 0]).max() > 1e-5)
        token = FeatureClassifier(gpt, 2, layers=(2,), pooling="token").features(IDS, attention_mask=MASK)
        assert not (np.abs(token - gpt.hidden(IDS, MASK).numpy()[[0, 1, 2], [6, 3, 1]]).max() > 1e-5)

    def test_are_learned_from_alone(self) -> None:
        """No gradient, no optimizer state, no decay below the linear layer; and no dropout."""
        pretrained = small("gpt", dropout=0.5)
        model = FeatureClassifier(body("gpt", dropout=0.5), 2, layers=(1, 2))
        assert [name for name, _ in model.trainable_parameters()] == ["classifier.weight", "classifier.bias"]
        before = model.state_dict()
        features = model.features(IDS)
        examples = [Example([10 + i % 2, 13 + i % 5], i % 2) for i in range(24)]
        fine_tune(model, reader_of(pretrained), TASK, examples, FineTuning(rate=3e-2, steps=60, decay=0.5))
        model.train()
        assert not model.body.training and (model.features(IDS) == features).all()
        for name, array in model.state_dict().items():
            assert (array == before[name]).all() != name.startswith("classifier"), name
        assert evaluate(model, reader_of(pretrained), TASK, examples)["accuracy"] > 0.9

    def test_that_there_are_not(self) -> None:
        for layers in ((3,), (-4,), ()):
            with pytest.raises(ConfigError, match="layers is"):
                FeatureClassifier(body("gpt"), 2, layers=layers)
        with pytest.raises(ConfigError, match="pooling is 'max'"):
            FeatureClassifier(body("gpt"), 2, pooling="max")


def test_attention_can_still_be_looked_at_in_a_frozen_body() -> None:
    gpt = body("gpt")
    assert isinstance(gpt, GPT)
    FeatureClassifier(gpt, 2)
    assert len(attention_weights(gpt, IDS)) == 2
