"""The loss of fine-tuning, its schedule, the choice of a rate, and what a fine-tuned model answers."""

from typing import Any

import numpy as np
import pytest
from small_models import small

from minilm.errors import ConfigError, DataError
from minilm.training.schedule import learning_rate
from minilm.transfer import Example, FineTuning, Task, answers, choose_rate, evaluate, fine_tune, make_model, reader_of
from minilm.transfer.inputs import collate_task, encode
from minilm.transfer.objective import TaskLoss
from minilm.transfer.predicting import Answer, score

CLASSIFY = Task("classify", ("a", "b", "c"))
TAG = Task("tag", ("O", "X", "Y"))
SPANS = Task("spans")
CHOICE = Task("choice")
SIMILAR = Task("classify", ("no", "yes"), symmetric=True)
NUMBER = Task("regress")


def learnable(task: Task, n: int, seed: int = 0) -> list[Example]:
    """Examples whose answer stands in the text: a token between 10 and 12 says it."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(n):
        text, key = rng.integers(13, 24, 5).tolist(), int(rng.integers(3))
        at = int(rng.integers(5))
        text[at] = 10 + key
        if task.kind == "tag":
            found.append(Example(text, tuple(2 if t == 12 else int(t < 13) for t in text)))
        elif task.kind == "spans":
            found.append(Example(text, (at, at), [7]))
        elif task.kind == "choice":
            others = [[13 + int(rng.integers(9))], [13 + int(rng.integers(9))]]
            others.insert(key, [10])
            found.append(Example(text, key, (), tuple(others)))
        elif task.symmetric:
            found.append(Example([10, 14], key % 2, [10 + key % 2, 15]))
        else:
            found.append(Example(text, float(key) if task.kind == "regress" else key))
    return found


@pytest.mark.parametrize("kind", ["gpt", "bert"])
@pytest.mark.parametrize(
    "task", [CLASSIFY, TAG, SPANS, CHOICE, SIMILAR, NUMBER], ids=lambda t: t.kind + "s" * t.symmetric
)
def test_every_task_is_learned(kind: str, task: Task) -> None:
    """From labels through batches, loss, optimizer and back to answers: an error of one anywhere would show."""
    pretrained = small(kind, std=0.05, dropout=0.05)
    model, reader = make_model(pretrained, task), reader_of(pretrained)
    fine_tune(model, reader, task, learnable(task, 64), FineTuning(rate=1e-2, steps=120, batch_size=16))
    scores = evaluate(model, reader, task, learnable(task, 60, seed=1))
    assert not (next(iter(scores.values())) < 0.9), scores


class TestLoss:
    def batch(self, reader: Any, task: Task, examples: list[Example]) -> dict[str, np.ndarray]:
        return collate_task(reader, task, [encode(reader, task, e) for e in examples])

    def test_shards_add_up_to_the_mean_of_what_counts(self) -> None:
        """Tagged tokens for tags, examples else; sequences for the language model."""
        pretrained = small("gpt")
        reader = reader_of(pretrained)
        for task, labels, sequences in ((TAG, 13, 3), (CHOICE, 3, 9), (CLASSIFY, 3, 3), (SPANS, 3, 3)):
            examples = learnable(task, 3)
            if task is TAG:
                examples[0] = Example(examples[0].text, (0, -100, -100, 1, 2))
            model = make_model(pretrained, task).astype(np.float64).eval()
            batch, objective = self.batch(reader, task, examples), TaskLoss(0.5)
            counts = objective.counts(batch)
            assert counts == {"labels": labels, "sequences": sequences}
            whole, metrics = objective(model, batch, counts)
            shards = [{name: a[i : i + 1] for name, a in batch.items()} for i in range(3)]
            parts = sum(objective(model, shard, counts)[0].item() for shard in shards)
            assert not (abs(whole.item() - parts) > 1e-9)
            assert not (abs(metrics["task_loss"] + 0.5 * metrics["language_loss"] - whole.item()) > 1e-9)
            inputs = {name: array for name, array in batch.items() if name != "passage"}
            assert not (abs(metrics["task_loss"] - model.loss(**inputs).item()) > 1e-9)

    def test_needs_a_label_and_a_language_model(self) -> None:
        with pytest.raises(DataError, match="every label is -100"):
            TaskLoss().counts({"ids": np.zeros((1, 2), int), "labels": np.full((1, 2), -100)})
        with pytest.raises(ConfigError, match="auxiliary is -1"):
            TaskLoss(-1)
        pretrained = small("bert")
        with pytest.raises(ConfigError, match="has no language model's loss"):
            fine_tune(
                make_model(pretrained, CLASSIFY), reader_of(pretrained), CLASSIFY, learnable(CLASSIFY, 4),
                FineTuning(auxiliary=0.5),
            )  # fmt: skip


class TestSettings:
    def test_epochs_warmup_and_decay(self) -> None:
        config = FineTuning(rate=2.0, epochs=3, batch_size=8).train_config(80)
        assert (config.steps, config.batch_size, config.warmup) == (30, 8, 3)
        rates = [config.rate_at(step) for step in range(31)]
        assert rates[3] == 2.0 and rates[30] == 0.0
        assert not (abs(rates[18] - 2 * 12 / 27) > 1e-12)
        assert rates[1] == learning_rate(1, peak=2.0, steps=30, warmup=3, shape="linear", floor=0.0)

    def test_few_examples_make_small_batches(self) -> None:
        assert FineTuning(steps=7, batch_size=32).train_config(5).batch_size == 5

    def test_what_cannot_be(self) -> None:
        for wrong in ({"epochs": 0}, {"warmup": 1.0}, {"rate": -1.0}, {"batch_size": 0}, {"auxiliary": -1.0}):
            with pytest.raises(ConfigError):
                FineTuning(**wrong)  # type: ignore[arg-type]


class TestChoiceOfTheRate:
    def test_is_by_the_development_set(self) -> None:
        pretrained = small("gpt", std=0.05)
        reader = reader_of(pretrained)
        told: list[float] = []
        chosen = choose_rate(
            lambda: make_model(pretrained, CLASSIFY), reader, CLASSIFY, learnable(CLASSIFY, 32),
            learnable(CLASSIFY, 40, 1), (1e-2, 1e-7, 1e-6), FineTuning(steps=60, batch_size=16),
            tell=lambda rate, scores: told.append(rate),
        )  # fmt: skip
        assert told == [1e-7, 1e-6, 1e-2] and list(chosen.tried) == told
        assert chosen.settings.rate == 1e-2 and chosen.scores == chosen.tried[1e-2]
        assert evaluate(chosen.model, reader, CLASSIFY, learnable(CLASSIFY, 40, 1)) == chosen.scores


class TestAnswers:
    def test_are_the_same_in_any_batch(self) -> None:
        """And without dropout, in whatever mode the model was left."""
        for kind in ("gpt", "bert"):
            pretrained = small(kind, dropout=0.3)
            for task in (CLASSIFY, SPANS, CHOICE, TAG, NUMBER):
                model, reader = make_model(pretrained, task), reader_of(pretrained)
                examples = learnable(task, 5)
                examples[1] = Example(examples[1].text[:3], None, examples[1].second, examples[1].choices)
                if task is TAG:
                    examples[1] = Example(examples[1].text, (0, 0, 0))
                encoded = [encode(reader, task, e) for e in examples]
                together = answers(model, reader, task, encoded)
                for a, e in zip(together, encoded, strict=True):
                    (b,) = answers(model, reader, task, [e])
                    assert np.allclose(a.label, b.label) if a.label is not None else b.label is None  # type: ignore[arg-type]
                    assert a.p is None or (abs(a.p.sum() - 1) < 1e-9 and np.allclose(a.p, b.p, atol=1e-5))

    @pytest.mark.parametrize("kind", ["gpt", "bert"])
    def test_spans_never_end_before_they_start_nor_leave_the_passage(self, kind: str) -> None:
        """Mutant 52."""
        pretrained = small(kind)
        reader = reader_of(pretrained)
        rng = np.random.default_rng(0)
        for seed in range(12):
            task = Task("spans", question_first=bool(seed % 2), no_answer=bool(seed % 3 == 0))
            model = make_model(pretrained, task, seed=seed)
            model.classifier.weight.assign(rng.standard_normal(model.classifier.weight.shape))
            examples = [Example(rng.integers(5, 25, int(n)).tolist(), None, [6, 7, 8]) for n in rng.integers(1, 9, 6)]
            for e, a in zip(
                examples, answers(model, reader, task, [encode(reader, task, e) for e in examples]), strict=True
            ):
                assert task.no_answer if a.label is None else 0 <= a.label[0] <= a.label[1] < len(e.text)

    @pytest.mark.parametrize("kind", ["gpt", "bert"])
    @pytest.mark.parametrize("no_answer", [True, False])
    def test_of_windows_the_best_span_wins_and_what_fits_keeps_every_bit(self, kind: str, no_answer: bool) -> None:
        pretrained, rng = small(kind), np.random.default_rng(0)
        task, reader = Task("spans", no_answer=no_answer), reader_of(pretrained)
        model = make_model(pretrained, task)
        model.classifier.weight.assign(rng.standard_normal(model.classifier.weight.shape))
        texts = [rng.integers(5, 25, n).tolist() for n in (4, 70, 9, 33, 2, 50)]
        encoded = [encode(reader, task, Example(text, None, [6, 7])) for text in texts]
        assert [len(e.windows) > 1 for e in encoded] == [False, True, False, True, False, True]
        found = answers(model, reader, task, encoded)
        cut = answers(model, reader, task, [e._replace(more=()) for e in encoded])  # as if nothing were in windows
        for e, text, best, of_first in zip(encoded, texts, found, cut, strict=True):
            each = [answers(model, reader, task, [w])[0] for w in e.windows]
            spans = [a for a in each if a.label is not None]
            assert (best.label is None) == (not spans)
            if spans:
                top = max(spans, key=lambda a: a.score)
                assert best.label == top.label and not (abs(best.score - top.score) > 1e-4)
                assert 0 <= best.label[0] <= best.label[1] < len(text)
            if not e.more:
                assert best == of_first

    @pytest.mark.parametrize("no_answer", [True, False])
    def test_answers_are_found_beyond_what_the_model_reads_at_once(self, no_answer: bool) -> None:
        task, pretrained, rng = Task("spans", no_answer=no_answer), small("bert", std=0.05), np.random.default_rng(0)

        def long(n: int) -> list[Example]:
            found = []
            for i in range(n):
                text, at = rng.integers(13, 24, 50).tolist(), int(rng.integers(50))
                asked = not (no_answer and i % 4 == 0)
                text[at] = 10 if asked else 13
                found.append(Example(text, (at, at) if asked else None, [7]))
            return found

        model, reader = make_model(pretrained, task), reader_of(pretrained)
        fine_tune(model, reader, task, long(48), FineTuning(rate=1e-2, steps=120, batch_size=16))
        assert not (evaluate(model, reader, task, long(40))["exact_match"] < 0.9)

    def test_without_no_answer_there_always_is_one(self) -> None:
        pretrained = small("bert")
        model, reader = make_model(pretrained, SPANS), reader_of(pretrained)
        examples = learnable(SPANS, 6)
        encoded = [encode(reader, SPANS, e) for e in examples]
        assert all(a.label is not None for a in answers(model, reader, SPANS, encoded))
        never = answers(model, reader, Task("spans", no_answer=True), encoded, threshold=1e9)
        assert all(a.label is None for a in never)

    def test_scores_of_spans_and_tags_that_were_cut_off(self) -> None:
        gold = [Example([1, 2, 3, 4], (1, 2)), Example([1], None)]
        scores = score(SPANS, gold, [Answer((1, 3)), Answer(None)])
        assert scores == {"exact_match": 0.5, "f1": pytest.approx((0.8 + 1) / 2)}
        tags = [Example([1, 2, 3], (0, 1, 2))]
        assert score(TAG, tags, [Answer(np.array([0, 1]))])["accuracy"] == pytest.approx(2 / 3)
