"""A sweep and what it would find, without a training: losses from a law that is known."""

import numpy as np

from minilm.scaling.counting import parameters
from minilm.sweeps.config import Batches, Data, IsoFlop, Sizes, SourceSettings, Sweep, TrainingSettings
from minilm.sweeps.points import planned
from minilm.sweeps.table import curves_of, rows_of

V, H = 362, 0.8
SIZES, AMOUNTS = (4, 6, 8, 12, 16, 24, 32), (25_000, 50_000, 100_000, 200_000, 400_000, 800_000)
FAMILIES = (Sizes(SIZES, 800_000), Data(32, AMOUNTS))


def sweep(families=FAMILIES, tails=(1.0,), seeds=3, **training):
    return Sweep(
        "made", tuple(families), SourceSettings(tails=tails), training=TrainingSettings(seeds=seeds, **training)
    )


def excess(N, D, tail=1.0):
    """Falls along the size as N^−.5 at tail 1, as N^−.3 at .5; along the data as D^−.8 and D^−.5."""
    alpha, beta = (0.5, 0.8) if tail == 1.0 else (0.3, 0.5)
    return 0.01 * (N / 24_576) ** -alpha * (D / 800_000) ** -beta


def results(plan, known=True, noise=0.03):
    """What `train_point` would return for each, by name."""
    rng, found = np.random.default_rng(0), {}
    for one in plan:
        point, shape = one.point, one.point.recipe.gpt_config(V)
        N, all_of_it = parameters(shape).blocks, parameters(shape).all
        noisy = float(np.exp(noise * rng.standard_normal()))
        tail = 1.0 if point.world is None else point.world.tail
        curve = [{"tokens": int(point.tokens * part), "loss": H + noisy * excess(N, point.tokens * part, tail)}
                 for part in (0.25, 0.5, 1)]  # fmt: skip
        above = noisy * excess(N, point.tokens, tail)
        found[point.name] = {"settings": point.settings, "parameters": N, "all_parameters": all_of_it,
                             "tokens": point.tokens, "flops": 6 * N * point.tokens, "loss": H + above, "curve": curve,
                             "seconds": float(rng.uniform(1, 9))}  # fmt: skip
        if known:
            found[point.name] |= {"excess": above, "excess_se": 0.001}
            for at in curve:
                at["excess"] = at["loss"] - H
    return found


def tables(made, **how):
    """(plan, rows, curves) of a sweep whose trainings are all done."""
    plan = planned(made, V)
    found = results(plan, **how)
    rows = rows_of(plan, found)
    return plan, rows, curves_of(rows, found)


ISOFLOP = IsoFlop((1e9, 3e9, 9e9), (4, 6, 8, 12, 16))
BATCHES = Batches(8, 65_536, (64, 256, 1024))
