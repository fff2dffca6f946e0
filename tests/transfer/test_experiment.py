"""Experiments: paired seeds, the rate chosen without the test set, cells that are kept, and the table's arithmetic."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_models import small
from test_finetuning import CLASSIFY, learnable

from minilm.errors import ConfigError, DataError
from minilm.mundito import Mundito, MunditoConfig
from minilm.transfer import Arm, Data, Experiment, FineTuning, Plan
from minilm.transfer.comparisons import COMPARISONS, arms_of, mundito_data, world_of
from minilm.transfer.experiment import Cell, mean_and_deviation
from minilm.transfer.pictures import arms_bars, confusion_matrix, labels_curve

DATA = Data("toy", CLASSIFY, lambda n, seed: learnable(CLASSIFY, n, 10 + seed), learnable(CLASSIFY, 8, 1),
            learnable(CLASSIFY, 8, 2))  # fmt: skip
ARMS = (Arm("scratch", layers=None), Arm("pretrained", title="with pretraining"))
PLAN = Plan(ARMS, (4, 8), seeds=3, rates=(1e-3, 1e-2), trials=2, steps=2, batch_size=4)
MODELS = {"pretrained": small("gpt", std=0.05)}


class Scripted(Experiment):
    """Scores come from a function of the cell; what was run is written down."""

    def __init__(self, *settings: Any, score: Any = None, **more: Any):
        self.ran: list[tuple] = []
        self.score = score or (lambda arm, labels, seed, rate: (rate, seed + labels / 100 + (arm.layers == "all")))
        super().__init__(*settings, **more)

    def _measure(self, arm: Arm, labels: int, seed: int, rate: float) -> tuple[float, float]:
        self.ran.append((arm.name, labels, seed, rate))
        return self.score(arm, labels, seed, rate)


class TestRuns:
    def test_only_the_first_seeds_try_every_rate(self) -> None:
        experiment = Scripted(MODELS, DATA, dataclasses.replace(PLAN, labels=(4,)))
        told: list[tuple[int, int]] = []
        experiment.run(lambda cell, done, most: told.append((done, most)))
        of_arm = [(s, r) for name, _, s, r in experiment.ran if name == "scratch"]
        assert of_arm == [(0, 1e-3), (0, 1e-2), (1, 1e-3), (1, 1e-2), (2, 1e-2)]
        assert told == [(i + 1, 10) for i in range(10)]

    def test_the_rate_is_chosen_on_the_development_set(self) -> None:
        """Not on the test set, whose scores here say the opposite; of equals the lower."""
        found = Scripted(MODELS, DATA, PLAN, score=lambda arm, n, s, rate: (-rate, rate)).run()
        assert {row.rate for row in found} == {1e-3}
        found = Scripted(MODELS, DATA, PLAN, score=lambda arm, n, s, rate: (1.0, rate)).run()
        assert {row.rate for row in found} == {1e-3}

    def test_arms_choose_apart(self) -> None:
        found = Scripted(MODELS, DATA, PLAN, score=lambda arm, n, s, rate: (rate if arm.layers else -rate, 0.0)).run()
        assert [row.rate for row in found] == [1e-3, 1e-2] * 2

    def test_arms_see_the_same_examples_heads_and_order(self, monkeypatch: Any) -> None:
        experiment = Experiment(MODELS, DATA, PLAN)
        models = [experiment._model(arm, MODELS["pretrained"], 7) for arm in ARMS]
        assert (models[0].classifier.weight.numpy() == models[1].classifier.weight.numpy()).all()
        assert experiment._train(4, 1) is experiment._train(4, 1)
        assert experiment._train(4, 1) != experiment._train(4, 2)
        seen = []
        monkeypatch.setattr("minilm.transfer.experiment.fine_tune", lambda *given: seen.append(given[3:]))
        for arm in ARMS:
            experiment.cell(arm, 4, 1, 1e-3)
        assert seen[0] == seen[1] == (experiment._train(4, 1), FineTuning(1e-3, steps=2, batch_size=4, seed=1))

    def test_train_and_measure(self) -> None:
        """The real thing, small: pretrained arms begin where scratch does not, and runs repeat to the bit."""
        plan = dataclasses.replace(PLAN, labels=(8,), seeds=2, rates=(1e-2,), steps=20)
        arms = (*ARMS, Arm("features", features=(0, 1), rates=(1e-2,)), Arm("frozen", frozen="all"))
        plan = dataclasses.replace(plan, arms=arms)
        found, again = (Experiment(MODELS, DATA, plan).run() for _ in range(2))
        assert found == again
        assert len({row.scores for row in found}) > 1
        assert all(0 <= s <= 1 for row in found for s in row.scores)


class TestTable:
    def test_differences_are_paired(self) -> None:
        scores = {"scratch": [0.5, 0.7, 0.9], "pretrained": [0.6, 0.9, 0.8]}
        found = Scripted(
            MODELS, DATA, dataclasses.replace(PLAN, labels=(4,), rates=(1e-3,)),
            score=lambda arm, n, seed, rate: (0.0, scores[arm.name][seed]),
        ).run()  # fmt: skip
        base, row = found
        assert (base.difference, base.difference_se) == (0, 0)
        differences = np.array([0.1, 0.2, -0.1])
        assert row.arm == "with pretraining" and row.scores == (0.6, 0.9, 0.8)
        assert row.mean == pytest.approx(np.mean(scores["pretrained"]))
        assert row.deviation == pytest.approx(np.std(scores["pretrained"], ddof=1))
        assert row.difference == pytest.approx(differences.mean())
        assert row.difference_se == pytest.approx(differences.std(ddof=1) / np.sqrt(3))
        assert mean_and_deviation([2.0]) == (2.0, 0.0)


class TestFolder:
    def test_goes_on_from_the_cells_that_are_there(self, tmp_path: Path) -> None:
        whole = Scripted(MODELS, DATA, PLAN, tmp_path / "whole").run()
        stopped = Scripted(MODELS, DATA, PLAN, tmp_path / "run")
        limit = 7

        def stop(cell: Cell, done: int, most: int) -> None:
            if done == limit:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            stopped.run(stop)
        cells = tmp_path / "run" / "cells.jsonl"
        cells.write_text(cells.read_text() + '{"arm": "scra')  # killed while it wrote
        resumed = Scripted(MODELS, DATA, PLAN, tmp_path / "run")
        assert len(resumed.cells) == limit
        assert resumed.run() == whole
        assert len(resumed.ran) == 20 - limit
        again = Scripted(MODELS, DATA, PLAN, tmp_path / "run")
        assert again.run() == whole and again.ran == []
        results = json.loads((tmp_path / "run" / "results.json").read_text())
        assert len(results["cells"]) == 20 and len(results["table"]) == 4

    def test_more_seeds_labels_and_arms_may_follow(self, tmp_path: Path) -> None:
        Scripted(MODELS, DATA, PLAN, tmp_path / "run").run()
        more = dataclasses.replace(PLAN, seeds=4, labels=(4, 8, 16), arms=(*ARMS, Arm("half", layers=1)))
        found = Scripted(MODELS, DATA, more, tmp_path / "run")
        found.run()
        assert all(labels == 16 or seed == 3 or name == "half" for name, labels, seed, _ in found.ran)

    @pytest.mark.parametrize(
        "change",
        [
            {"plan": dataclasses.replace(PLAN, steps=3)},
            {"data": dataclasses.replace(DATA, name="other")},
            {"models": {"pretrained": small("gpt", seed=6)}},
            {"plan": dataclasses.replace(PLAN, arms=(Arm("scratch", layers=0), ARMS[1]))},
        ],
        ids=["steps", "data", "weights", "arm"],
    )
    def test_of_another_experiment_is_refused(self, change, tmp_path: Path) -> None:
        Scripted(MODELS, DATA, PLAN, tmp_path / "run")
        settings = {"models": MODELS, "data": DATA, "plan": PLAN, **change}
        with pytest.raises(ConfigError, match="holds another experiment"):
            Scripted(settings["models"], settings["data"], settings["plan"], tmp_path / "run")

    def test_with_strange_files_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "thesis.tex").write_text("x")
        with pytest.raises(ConfigError, match="already holds other files"):
            Experiment(MODELS, DATA, PLAN, tmp_path)


class TestWhatCannotBe:
    def test_plans(self) -> None:
        for change in ({"arms": ()}, {"labels": ()}, {"seeds": 0}, {"rates": ()}, {"arms": (ARMS[0], ARMS[0])}):
            with pytest.raises(ConfigError):
                dataclasses.replace(PLAN, **change)
        with pytest.raises(ConfigError, match="no pretrained model named other"):
            Experiment(MODELS, DATA, dataclasses.replace(PLAN, arms=(Arm("x", model="other"),)))
        few = dataclasses.replace(DATA, train=lambda n, seed: learnable(CLASSIFY, 3))
        with pytest.raises(DataError, match="only 3 examples"):
            Experiment(MODELS, few, PLAN).run()

    def test_comparisons_and_worlds(self) -> None:
        with pytest.raises(ConfigError, match="compare is 'x'"):
            arms_of("x", 2)
        with pytest.raises(ConfigError, match="task is 'x'"):
            mundito_data(Mundito(), "x")
        with pytest.raises(ConfigError, match="not pretrained on mundito"):
            world_of(small("gpt"))


class TestComparisons:
    @pytest.mark.parametrize("comparison", COMPARISONS)
    def test_arms_can_be_made(self, comparison: str) -> None:
        for models in (("pretrained",), ("a", "b")):
            arms = arms_of(comparison, 2, models)
            assert len({arm.name for arm in arms}) == len(arms) > 1
            experiment = Experiment(
                dict.fromkeys(models, MODELS["pretrained"]), DATA, dataclasses.replace(PLAN, arms=tuple(arms))
            )
            for arm in arms:
                experiment._model(arm, MODELS["pretrained"], 0)
        layers = [arm.layers for arm in arms_of("layers", 2)]
        assert layers == [None, 0, 1, "all"]

    @pytest.mark.parametrize("language", ["es", "en"])
    @pytest.mark.parametrize("task", ["sentiment", "entailment", "questions", "tagging"])
    def test_mundito_s_tasks_have_parts_that_differ(self, task: str, language: str) -> None:
        world = Mundito(MunditoConfig(language=language))
        assert world_of(small("gpt", world.tokenizer())).config == world.config
        other = Mundito(MunditoConfig(language=language, seed=4, tail=0.5))
        told = dataclasses.replace(small("gpt", other.tokenizer()), data={"world": dataclasses.asdict(other.config)})
        assert world_of(told).config == other.config
        data = mundito_data(world, task, dev=20, test=30)
        assert (len(data.dev), len(data.test), len(data.train(7, 0))) == (20, 30, 7)
        assert data.train(7, 0) == data.train(9, 0)[:7] != data.train(7, 1)
        assert data.dev[:7] != data.test[:7] != data.train(7, 0)


def test_pictures(tmp_path: Path) -> None:
    rows = Scripted(MODELS, DATA, PLAN).run()
    for path in (
        labels_curve(tmp_path / "curve.png", rows, "score", "title"),
        arms_bars(tmp_path / "bars.png", rows[:2], "score", "title"),
        confusion_matrix(tmp_path / "confusion.png", np.array([[3, 1], [0, 2]]), ["a", "b"], "title"),
    ):
        assert path.read_bytes().startswith(b"\x89PNG") and path.stat().st_size > 5000
