"""The trainings that a sweep asks for: one for each setting and seed, whichever families it belongs to."""

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from minilm.models.gpt import GPTConfig
from minilm.mundito.world import MunditoConfig
from minilm.pretraining.recipes import Recipe
from minilm.scaling.counting import TokenFlops, training_flops
from minilm.sweeps.config import KINDS, MUNDITO, Batches, Data, Family, IsoFlop, Sizes, Sweep

SECONDS_A_TOKEN, FLOPS_A_SECOND = 5e-6, 3e10  # about; what is known of the machine corrects them


@dataclass(frozen=True)
class Point:
    """One training. world: Mundito's settings, None on a text; what else: the recipe and the seed."""

    data: str
    world: MunditoConfig | None
    recipe: Recipe
    seed: int

    @property
    def name(self) -> str:
        """As its folder is called."""
        tail = "" if self.world is None else f"tail{self.world.tail:g}-"
        r = self.recipe
        return f"{tail}d{r.width}-b{r.batch}-s{r.steps}-seed{self.seed}"

    @property
    def tokens(self) -> int:
        """D: what it learns from."""
        return self.recipe.steps * self.recipe.batch * self.recipe.context

    @property
    def settings(self) -> dict[str, Any]:
        """All that its result is a function of, as JSON has it."""
        recipe = dataclasses.asdict(self.recipe)
        world = None if self.world is None else dataclasses.asdict(self.world)
        return {"data": self.data, "world": world, "recipe": recipe | {"betas": list(recipe["betas"])},
                "seed": self.seed}  # fmt: skip

    @property
    def cost(self) -> float:
        """About how many seconds it takes."""
        shape = GPTConfig(vocab_size=VOCABULARY, context=self.recipe.context, width=self.recipe.width,
                          layers=self.recipe.layers, heads=self.recipe.heads)  # fmt: skip
        each = SECONDS_A_TOKEN + training_flops(shape).products / FLOPS_A_SECOND
        scored = 8 * self.recipe.validation * self.recipe.context / 3
        return each * (self.tokens + scored)


VOCABULARY = 362  # Mundito's, for which costs were measured


@dataclass
class Planned:
    """A training, the families that it is in, and its budget in each isoFLOP profile."""

    point: Point
    families: set[str] = field(default_factory=set)
    budgets: set[float] = field(default_factory=set)


def planned(sweep: Sweep, vocab_size: int) -> list[Planned]:
    """Each training once, in the order in which they are best begun: seed by seed, the long ones first."""
    found: dict[str, Planned] = {}
    for point, family, budget in _asked_for(sweep, vocab_size):
        one = found.setdefault(point.name, Planned(point))
        one.families.add(family)
        if budget is not None:
            one.budgets.add(budget)
    return sorted(found.values(), key=lambda one: (one.point.seed, -one.point.cost, one.point.name))


def _asked_for(sweep: Sweep, vocab_size: int) -> Iterator[tuple[Point, str, float | None]]:
    names, source = {kind: name for name, kind in KINDS.items()}, sweep.source
    worlds: list[MunditoConfig | None] = [None]
    if source.data == MUNDITO:
        worlds = [MunditoConfig(source.language, source.world, float(tail), source.facts) for tail in source.tails]
    for seed in range(sweep.training.seeds):
        for family in sweep.families:
            for width, tokens, batch_tokens, budget in _settings(sweep, family, vocab_size):
                recipe = recipe_of(sweep, width, tokens, batch_tokens)
                for world in worlds:
                    yield Point(source.data, world, recipe, seed), names[type(family)], budget


def _settings(sweep: Sweep, family: Family, vocab_size: int) -> Iterator[tuple[int, int, int, float | None]]:
    """(width, tokens, tokens a batch, budget) of each member of a family."""
    batch = sweep.training.batch_tokens
    match family:
        case Sizes():
            yield from ((width, family.tokens, batch, None) for width in family.widths)
        case Data():
            yield from ((family.width, tokens, batch, None) for tokens in family.tokens)
        case IsoFlop():
            for budget in family.flops:
                for width in family.widths:
                    each = flops_a_token(sweep, width, vocab_size).products
                    yield width, int(budget / each), batch, float(budget)
        case Batches():
            yield from ((family.width, family.tokens, tokens, None) for tokens in family.batch_tokens)


def flops_a_token(sweep: Sweep, width: int, vocab_size: int) -> TokenFlops:
    """What a token of training costs at this width, in four ways of counting."""
    return training_flops(recipe_of(sweep, width, 1, 1).gpt_config(vocab_size))


def recipe_of(sweep: Sweep, width: int, tokens: int, batch_tokens: int) -> Recipe:
    """Whole batches of whole rows, at least one; the tokens that are left over are not learned from."""
    model, training, source = sweep.model, sweep.training, sweep.source
    batch = max(1, batch_tokens // model.context)
    steps = max(1, tokens // (batch * model.context))
    own = source.data == MUNDITO
    return Recipe(
        "words" if own else source.tokenizer,
        0 if own else source.vocabulary,
        width,
        model.layers,
        model.heads(width),
        model.context,
        batch=batch,
        steps=steps,
        rate=min(training.rate, training.rate_by_width / width),
        warmup=min(steps, max(1, round(training.warmup * steps))) if training.warmup else 0,
        dropout=training.dropout,
        decay=training.decay,
        evaluate_every=max(1, -(-steps // sweep.evaluation.times)),
        validation=sweep.evaluation.rows,
    )
