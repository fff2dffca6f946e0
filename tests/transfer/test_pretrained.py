"""What is taken over from a pretraining, what is frozen, and what is refused."""

import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest
from small_models import small, words_tokenizer, write_run

from minilm.errors import CheckpointError, ConfigError
from minilm.models import GPT, Bert, BertForPreTraining, GPTConfig
from minilm.transfer import Example, FineTuning, Pretrained, Task, fine_tune, freeze, make_model, reader_of, take_over
from minilm.transfer.models import bare_model, body_of
from minilm.transfer.pretrained import in_first

CLASSIFY = Task("classify", ("a", "b"))
TASKS = [
    CLASSIFY,
    Task("regress"),
    Task("tag", ("O", "X", "Y")),
    Task("spans"),
    Task("choice"),
]
EXAMPLES = [Example([6 + i % 7, 8, 9], i % 2) for i in range(8)]


def equal(body, pretrained, name: str) -> bool:
    learned = pretrained.weights[name]
    now = dict(body.named_parameters())[name].numpy()
    return bool((now[tuple(map(slice, learned.shape))] == learned).all())


class TestTakingOver:
    @pytest.mark.parametrize("kind", ["gpt", "bert"])
    @pytest.mark.parametrize("layers", [None, 0, 1, 2, "all"])
    def test_takes_the_first_layers_and_no_more(self, kind, layers) -> None:
        pretrained = small(kind)
        body = body_of(make_model(pretrained, CLASSIFY, seed=1, layers=layers))
        drawn = dict(body_of(bare_model(pretrained, CLASSIFY, seed=1)).named_parameters())
        for name, parameter in body.named_parameters():
            wanted = layers == "all" or (layers is not None and in_first(name, layers))
            assert equal(body, pretrained, name) == wanted, name
            assert (parameter.numpy() == drawn[name].numpy()).all() != wanted, name

    def test_says_what_stays_as_drawn(self) -> None:
        pretrained = small("gpt")
        assert take_over(GPT(pretrained.config, 1), pretrained, "all") == []
        fresh = take_over(GPT(pretrained.config, 1), pretrained, 1)
        assert all(name.startswith(("blocks.1.", "final_norm.")) for name in fresh)
        assert len(fresh) == sum(n.startswith(("blocks.1.", "final_norm.")) for n in pretrained.weights)

    @pytest.mark.parametrize("tied", [True, False])
    def test_new_tokens_begin_as_drawn(self, tied) -> None:
        pretrained = small("gpt", tied=tied)
        V = pretrained.config.vocab_size
        body = body_of(make_model(pretrained, CLASSIFY, seed=1))
        rows = body.token_embedding.weight.numpy()
        drawn = body_of(bare_model(pretrained, CLASSIFY, seed=1)).token_embedding.weight.numpy()
        assert rows.shape[0] == V + 3
        assert (rows[:V] == pretrained.weights["token_embedding.weight"]).all()
        assert (rows[V:] == drawn[V:]).all() and 0.005 < rows[V:].std() < 0.05
        if not tied:
            assert (body.head.weight.numpy()[:, :V] == pretrained.weights["head.weight"]).all()

    def test_without_next_sentences_the_pooler_is_new(self) -> None:
        full = small("bert")
        bare = dataclasses.replace(full, weights={n: a for n, a in full.weights.items() if not n.startswith("pooler.")})
        body = body_of(make_model(bare, CLASSIFY, seed=1))
        assert take_over(body, bare, "all") == ["pooler.weight", "pooler.bias"]

    @pytest.mark.parametrize("kind", ["gpt", "bert"])
    @pytest.mark.parametrize("task", TASKS, ids=lambda t: t.kind)
    def test_gives_every_task_its_head(self, kind, task) -> None:
        pretrained = small(kind)
        model = make_model(pretrained, task)
        assert equal(body_of(model), pretrained, "blocks.1.mlp.up.weight")

    def test_refuses_what_does_not_fit(self) -> None:
        gpt = small("gpt")
        some = dict(list(gpt.weights.items())[:-1])
        with pytest.raises(CheckpointError, match="missing final_norm.bias"):
            Pretrained.of("gpt", gpt.config, some, gpt.tokenizer)
        with pytest.raises(CheckpointError, match="unexpected more"):
            Pretrained.of("gpt", gpt.config, {**gpt.weights, "more": np.zeros(1)}, gpt.tokenizer)
        with pytest.raises(CheckpointError, match=r"token_embedding.weight has shape"):
            Pretrained.of("gpt", dataclasses.replace(gpt.config, vocab_size=20), gpt.weights, gpt.tokenizer)
        other = dataclasses.replace(gpt.config, context=12)
        with pytest.raises(CheckpointError, match=r"position_embedding.weight has shape"):
            Pretrained.of("gpt", other, gpt.weights, gpt.tokenizer)
        bert = small("bert")
        state = {**BertForPreTraining(bert.config).state_dict(), "classifier.weight": np.zeros(1)}
        with pytest.raises(CheckpointError, match="of no BERT: classifier.weight"):
            Pretrained.of("bert", bert.config, state, bert.tokenizer)
        for layers in (3, -1, True, "some"):
            with pytest.raises(ConfigError, match="layers is"):
                make_model(gpt, CLASSIFY, layers=layers)


class TestRunFolders:
    @pytest.mark.parametrize("kind", ["gpt", "bert"])
    def test_are_opened_with_their_checkpoint(self, kind, tmp_path: Path) -> None:
        pretrained = small(kind)
        folder = write_run(tmp_path / "run", pretrained)
        for path in (folder, folder / "checkpoints" / "step-00000001"):
            found = Pretrained.open(path)
            assert found.kind == kind and found.config == pretrained.config
            assert found.fingerprint == pretrained.fingerprint
            assert isinstance(found.body(0), GPT if kind == "gpt" else Bert)

    def test_are_refused_when_their_parts_differ(self, tmp_path: Path) -> None:
        with pytest.raises(CheckpointError, match="no run or model"):
            Pretrained.open(tmp_path / "nowhere")
        folder = write_run(tmp_path / "run", small("gpt"))
        words_tokenizer("<bos>").save(folder / "tokenizer.json")
        with pytest.raises(CheckpointError, match="not the tokenizer"):
            Pretrained.open(folder)
        config = folder / "config.json"
        config.write_text(re.sub('"kind": "gpt"', '"kind": "llama"', config.read_text()))
        with pytest.raises(CheckpointError, match="of a kind that is known"):
            Pretrained.open(folder)


class TestFreezing:
    @pytest.mark.parametrize("kind", ["gpt", "bert"])
    @pytest.mark.parametrize("frozen", [None, 0, 1, 2, "all"])
    def test_frozen_layers_keep_every_bit(self, kind, frozen) -> None:
        """Mutant 68: no gradient, no optimizer state, no decay."""
        pretrained = small(kind)
        model = make_model(pretrained, CLASSIFY, seed=1, frozen=frozen)
        before = model.state_dict()
        fine_tune(model, reader_of(pretrained), CLASSIFY, EXAMPLES, FineTuning(rate=1e-2, steps=3, decay=0.5))
        prefix = "gpt." if kind == "gpt" else "bert."
        for name, parameter in model.named_parameters():
            of_body = name.removeprefix(prefix)
            still = name != of_body and (
                frozen == "all" or (frozen is not None and in_first(of_body, frozen))  # type: ignore[arg-type]
            )
            assert (parameter.numpy() == before[name]).all() == still, name

    def test_have_no_gradient_and_no_optimizer_state(self) -> None:
        model = make_model(small("gpt"), CLASSIFY, frozen=1)
        ids = np.arange(6).reshape(1, 6)
        model.loss(ids, labels=np.array([1])).backward()
        without = {name for name, p in model.named_parameters() if p.grad is None}
        assert without == {n for n, _ in model.named_parameters() if in_first(n.removeprefix("gpt."), 1)}
        state = FineTuning().train_config(8).make_optimizer(model.trainable_parameters()).state_dict()
        assert not [name for name in state if name.startswith(tuple(without))]

    def test_replicas_are_frozen_alike_and_can_be_thawed(self) -> None:
        model = make_model(small("gpt"), CLASSIFY, frozen="all")
        assert [n for n, _ in model.replica().trainable_parameters()] == ["classifier.weight", "classifier.bias"]
        model.freeze(False)
        assert all(p.requires_grad for p in model.parameters())
        freeze(model.gpt, 0)
        assert not model.gpt.token_embedding.weight.requires_grad

    def test_threads_make_no_difference(self) -> None:
        pretrained = small("gpt")
        found = []
        for threads in (1, 2):
            model = make_model(pretrained, CLASSIFY, frozen=1)
            settings = FineTuning(rate=1e-2, steps=4, threads=threads, auxiliary=0.5)
            fine_tune(model, reader_of(pretrained), CLASSIFY, EXAMPLES, settings)
            found.append(model(np.arange(12).reshape(2, 6)).numpy())
        assert not (np.abs(found[0] - found[1]).max() > 1e-3 * np.abs(found[0]).max())


def test_a_config_without_room_for_tasks_is_still_a_gpt() -> None:
    assert small("gpt").grown_config(2) == GPTConfig(
        words_tokenizer().vocab_size + 2, context=24, width=16, layers=2, heads=2
    )
