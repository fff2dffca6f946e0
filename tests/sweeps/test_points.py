"""The trainings that a sweep asks for: sizes, data, budgets, batches, and the rule of the learning rate."""

import dataclasses
import json

import pytest

from minilm.models.gpt import GPT
from minilm.scaling.counting import parameters
from minilm.sweeps.config import Batches, Data, IsoFlop, Sizes, Sweep, TrainingSettings, read_sweep
from minilm.sweeps.points import flops_a_token, planned, recipe_of

V = 362


def test_the_default_has_fifteen_settings_for_three_seeds_each_once():
    plan = planned(read_sweep("facts"), V)
    assert len(plan) == 45 == len({one.point.name for one in plan})
    both = [one for one in plan if one.families == {"sizes", "data"}]
    assert [(one.point.recipe.width, one.point.seed) for one in both] == [(64, 0), (64, 1), (64, 2)]
    of_a_seed = [one.point for one in plan if one.point.seed == 1]
    assert len({point.recipe.width for point in of_a_seed}) == 9
    assert len({point.tokens for point in of_a_seed}) == 7
    assert all(one.point.recipe.steps * 2048 == one.point.tokens for one in plan)
    asked = (46_875, 93_750, 187_500, 375_000, 750_000, 1_500_000, 3_000_000)
    assert all(0 <= want - got < 2048 for want, got in zip(asked, sorted({p.tokens for p in of_a_seed}), strict=True))


@pytest.mark.parametrize(("width", "rate"), [(4, 0.06), (8, 0.06), (9, 0.5 / 9), (16, 0.03125), (64, 0.0078125)])
def test_the_rate_is_the_less_of_the_two(width, rate):
    recipe = recipe_of(read_sweep("facts"), width, 3_000_000, 2048)
    assert recipe.rate == pytest.approx(rate)
    config = recipe.train_config(seed=0, threads=1)
    assert config.warmup == pytest.approx(0.05 * config.steps, abs=0.5)
    rates = [config.rate_at(step) for step in range(config.steps)]
    assert max(rates) == pytest.approx(rate) and rates[-1] == pytest.approx(rate / 10, rel=0.01)
    assert rates.index(max(rates)) in (config.warmup - 1, config.warmup)
    assert (config.betas, config.decay, config.batch_size) == ((0.9, 0.95), 0.1, 64)


def test_even_the_least_training_is_one():
    for warmup in (0.0, 0.05, 0.99):
        sweep = Sweep("a", (), training=TrainingSettings(warmup=warmup))
        recipe = recipe_of(sweep, 4, 1, 1)
        assert (recipe.steps, recipe.batch, recipe.warmup) == (1, 1, int(warmup > 0))
        recipe.train_config(seed=0, threads=1)


def test_a_budget_is_spent_to_the_last_batch():
    budgets = (2e9, 8e9)
    sweep = Sweep("a", (IsoFlop(budgets, (4, 8, 16)),), training=TrainingSettings(seeds=1, batch_tokens=64))
    plan = planned(sweep, V)
    assert len(plan) == 6
    for one in plan:
        (budget,) = one.budgets
        each = flops_a_token(sweep, one.point.recipe.width, V).products
        assert budget - 64 * each < each * one.point.tokens <= budget


def test_the_products_that_are_budgeted_are_those_of_the_model():
    """6 for each entry of a matrix, and attention's over the whole context."""
    sweep = read_sweep("facts")
    model = GPT(recipe_of(sweep, 16, 1, 1).gpt_config(V), seed=0)
    entries = sum(p.size for name, p in model.named_parameters() if p.ndim == 2 and "position" not in name)
    assert flops_a_token(sweep, 16, V).products == 6 * entries + 2 * 12 * 32 * 16
    assert parameters(model.config).blocks == 12 * 2 * 16**2


def test_a_run_of_two_budgets_is_trained_once():
    sweep = Sweep("a", (IsoFlop((1e9, 1.0001e9), (8,)),), training=TrainingSettings(seeds=1))
    (one,) = planned(sweep, V)
    assert one.budgets == {1e9, 1.0001e9}


def test_larger_batches_are_of_the_same_data():
    sweep = Sweep("a", (Batches(8, 65_536, (64, 256, 1024)),), training=TrainingSettings(seeds=1))
    recipes = [one.point.recipe for one in planned(sweep, V)]
    assert {recipe.steps * recipe.batch * 32 for recipe in recipes} == {65_536}
    assert sorted(recipe.batch for recipe in recipes) == [2, 8, 32]


def test_long_trainings_of_a_seed_are_begun_first():
    plan = planned(read_sweep("tails"), V)
    assert [one.point.seed for one in plan] == sorted(one.point.seed for one in plan)
    costs = [one.point.cost for one in plan if one.point.seed == 0]
    assert costs == sorted(costs, reverse=True) and costs[0] > 5 * costs[-1]


def test_another_setting_has_another_name_and_other_settings():
    sweep = Sweep("a", (Sizes((8, 16), 4096), Data(16, (2048, 4096))))
    sweeps = [
        sweep,
        dataclasses.replace(sweep, source=dataclasses.replace(sweep.source, tails=(0.5,))),
        dataclasses.replace(sweep, training=dataclasses.replace(sweep.training, batch_tokens=1024)),
    ]
    points = [one.point for each in sweeps for one in planned(each, V)]
    assert len({point.name for point in points}) == len(points) == 27
    settings = [json.dumps(point.settings) for point in points]
    assert len(set(settings)) == 27
    assert all(json.loads(json.dumps(point.settings)) == point.settings for point in points)
    slower = dataclasses.replace(sweep, training=dataclasses.replace(sweep.training, rate=0.01))
    for one, other in zip(planned(sweep, V), planned(slower, V), strict=True):
        assert one.point.name == other.point.name and one.point.settings != other.point.settings
