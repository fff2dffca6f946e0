"""The floor under a step's time: the products that are timed alone are those of the step."""

import math
from collections import Counter

import numpy as np
import pytest
from minilm_engines import MODELS, OBJECTIVES
from product_engines import _Arrays
from products import TILE_ROWS, flops, of_step
from sizes import TOY, Size
from workloads import WORKLOADS

import minilm as ml

LONGER = Size("longer", width=16, layers=2, heads=2, context=3 * TILE_ROWS + 5, batch=3, vocab_size=29)
MANY = Size("many", width=8, layers=1, heads=1, context=260, batch=2, vocab_size=11)  # more rows than the head's part


@pytest.mark.parametrize("size", [TOY, LONGER, MANY], ids=lambda size: size.name)
@pytest.mark.parametrize("workload", sorted(OBJECTIVES))
def test_the_list_has_the_flops_that_a_trace_counts(workload, size):
    model, objective = MODELS[workload](size), OBJECTIVES[workload]()
    batch = WORKLOADS[workload].input(size, 0)
    with ml.trace(memory=False) as t:
        loss, _ = objective(model, batch, objective.counts(batch))
        loss.backward()
    assert flops(of_step(workload, size, whole=True)) == t.products


@pytest.mark.parametrize("workload", sorted(OBJECTIVES))
def test_linear_layers_have_their_three_products(workload):
    """y = x W, x̄ = ȳ Wᵀ, W̄ = xᵀ ȳ, for each one that a trace sees."""
    model, objective = MODELS[workload](TOY), OBJECTIVES[workload]()
    batch = WORKLOADS[workload].input(TOY, 0)
    with ml.trace(memory=False) as t:
        objective(model, batch, objective.counts(batch))
    wanted = Counter()
    for record in t.records:
        if record.operation == "linear":
            n, (D, F) = math.prod(record.output[:-1]), record.shapes[1]
            wanted.update([(n, D, F), (n, F, D), (D, n, F)])
    listed = Counter()
    for p in of_step(workload, TOY):
        if p.stack == 1 and not p.name.startswith("head"):
            listed[p.n, p.k, p.m] += p.times
    assert wanted and listed == wanted


@pytest.mark.parametrize("size", [TOY, LONGER], ids=lambda size: size.name)
def test_a_causal_step_leaves_out_what_its_tiles_do_not_read(size):
    T = size.context
    unread = sum(T - min(T, t - t % TILE_ROWS + TILE_ROWS) for t in range(T))  # by all queries of a head
    left_out = 6 * 2 * unread * size.width * size.batch * size.layers
    assert flops(of_step("training", size, whole=True)) - flops(of_step("training", size)) == left_out
    assert (left_out > 0) == (T > TILE_ROWS)


@pytest.mark.parametrize("workload", sorted(OBJECTIVES))
def test_what_is_timed_is_what_is_listed(workload):
    arrays = _Arrays(LONGER)
    for p in of_step(workload, LONGER):
        operands = arrays.operands(p)
        assert p.flops == p.times * sum(2 * out.size * a.shape[-1] for a, _, out in operands)
        for a, b, out in operands:
            assert np.matmul(a, b, out=out).shape[-2:] == (p.n, p.m)
            assert all(array.dtype == np.float32 for array in (a, b, out))
            assert all(array.itemsize in array.strides[-2:] for array in (a, b, out))  # BLAS takes them as they lie
