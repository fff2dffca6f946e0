import threading
import traceback

import numpy as np
import pytest
from small_training import Batches, SmallModel
from threadpoolctl import threadpool_info, threadpool_limits

from minilm import backend
from minilm.autograd import is_recording
from minilm.errors import ConfigError, DataError
from minilm.nn import Parameter
from minilm.training import AdamW, NextToken
from minilm.training.parallel import DataParallel, Threads, batch_size, split


def gradients(threads, accumulation=1, size=6, dropout=0.0, dtype=np.float64, key=(1, 2, 3)):
    model = SmallModel(dropout=dropout, dtype=dtype)
    with Threads(threads) as pool:
        data = DataParallel(model, AdamW(model.named_parameters()).flat, pool)
        for _ in range(2):  # a second time, so that what the first left behind would be seen
            loss, _ = data.gradients(NextToken(), Batches(size).at(0), accumulation, key)
    flat = data.flat.gradients
    assert all(np.shares_memory(p.grad.data, flat) for p in data.flat.parameters)
    return loss, flat


def whole_batch():
    model = SmallModel(dtype=np.float64)
    batch = Batches(6).at(0)
    loss = model.loss(batch["ids"], batch["targets"]) * (1 / np.count_nonzero(batch["targets"] != -100))
    loss.backward()
    matrices_first = sorted(dict(model.named_parameters()).values(), key=lambda p: p.ndim < 2)
    return loss.item(), np.concatenate([p.grad.data.ravel() for p in matrices_first])


@pytest.mark.parametrize(
    ("threads", "accumulation"), [(1, 1), (2, 1), (3, 1), (1, 2), (1, 6), (2, 3), (4, 2), (5, 4), (9, 1)]
)
def test_parts_and_shards_add_up_to_the_whole_batch(threads, accumulation):
    loss, flat = gradients(threads, accumulation)
    wanted_loss, wanted = whole_batch()
    assert abs(loss - wanted_loss) <= 1e-14
    assert np.abs(flat - wanted).max() <= 1e-15


def test_the_mean_is_over_tokens_not_over_shards():
    counts = [np.count_nonzero(s["targets"] != -100) for s in split(Batches(6).at(0), 3)]
    assert len(set(counts)) > 1  # else a mean of means would pass the test above


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_same_threads_same_bits(threads):
    first, second = (gradients(threads, 2, dropout=0.3, dtype=np.float32) for _ in range(2))
    assert first[0] == second[0]
    assert np.array_equal(first[1], second[1])


def test_every_shard_of_every_part_draws_from_a_generator_of_its_own():
    class Watched(NextToken):
        def __call__(self, model, shard, counts):
            states.append(str(model.generator.bit_generator.state))
            return super().__call__(model, shard, counts)

    states, model = [], SmallModel(dropout=0.3)
    keys = [(1, 2, 3), (1, 2, 4), (1, 0, 3), (0, 2, 3)]
    with Threads(2) as pool:
        data = DataParallel(model, AdamW(model.named_parameters()).flat, pool)
        for key in keys:
            data.gradients(Watched(), Batches().at(0), 3, key)
    assert len(set(states)) == len(states) == len(keys) * 3 * 2
    wanted = {
        str(backend.generator(*key, part, i).bit_generator.state) for key in keys for part in range(3) for i in (0, 1)
    }
    assert set(states) == wanted


def test_a_smaller_batch_adds_nothing_of_the_larger_one_before():
    results = []
    for sizes in ((6, 2), (2,)):
        model = SmallModel()
        with Threads(3) as pool:
            data = DataParallel(model, AdamW(model.named_parameters()).flat, pool)
            for size in sizes:
                data.gradients(NextToken(), Batches(size).at(0), 1, (0,))
        results.append(data.flat.gradients.copy())
    assert np.array_equal(*results)


def test_a_parameter_without_gradient_counts_as_zeros():
    class Unused(SmallModel):
        def __init__(self):
            super().__init__()
            self.spare = Parameter(np.ones((2, 2), np.float32))

    model = Unused()
    with Threads(2) as pool:
        data = DataParallel(model, AdamW(model.named_parameters()).flat, pool)
        data.flat.gradients[:] = 7
        data.gradients(NextToken(), Batches().at(0), 1, (0,))
    assert not data.flat.parameters[data.flat.names.index("spare")].grad.data.any()


class NotRecorded(NextToken):
    def __call__(self, model, shard, counts):
        assert not is_recording()
        return super().__call__(model, shard, counts)


def test_evaluation_is_the_mean_over_all_tokens_and_leaves_no_trace():
    model = SmallModel(dropout=0.5, dtype=np.float64)
    batches = [Batches(5, seed=8).at(0), Batches(1, seed=9).at(0)]
    with Threads(2) as pool:
        data = DataParallel(model, AdamW(model.named_parameters()).flat, pool)
        model.train()
        loss, _ = data.evaluate(NotRecorded(), iter(batches))
    assert model.training
    assert all(p.grad is None for p in data.flat.parameters)
    model.eval()
    total = sum(model.loss(b["ids"], b["targets"]).item() for b in batches)
    assert abs(loss - total / sum(np.count_nonzero(b["targets"] != -100) for b in batches)) <= 1e-14


def test_metrics_add_up():
    class WithMetrics(NextToken):
        def __call__(self, model, shard, counts):
            loss, _ = super().__call__(model, shard, counts)
            return loss, {"share": np.count_nonzero(shard["targets"] != -100) / counts["tokens"]}

    model = SmallModel()
    with Threads(2) as pool:
        data = DataParallel(model, AdamW(model.named_parameters()).flat, pool)
        assert abs(data.gradients(WithMetrics(), Batches().at(0), 2, (0,))[1]["share"] - 1) <= 1e-12
        assert abs(data.evaluate(WithMetrics(), [Batches().at(i) for i in range(3)])[1]["share"] - 1) <= 1e-12


@pytest.mark.parametrize("count", [1, 3])
def test_an_error_in_a_thread_comes_out_with_its_traceback(count):
    done = []

    def work(i):
        if i == 1:
            raise ZeroDivisionError("in the worker")
        done.append(i)

    with Threads(count) as threads, pytest.raises(ZeroDivisionError, match="in the worker") as caught:
        threads.map(work, range(3))
    assert "in work" in "".join(traceback.format_exception(caught.value))
    assert done == ([0] if count == 1 else [0, 2])  # with threads, the others end before the error is raised


def test_blas_keeps_to_one_thread_inside():
    def blas():
        return {info["num_threads"] for info in threadpool_info() if info["user_api"] == "blas"}

    with threadpool_limits(2, user_api="blas"):
        assert 2 in blas()
        with Threads(1):
            assert blas() == {1}
        with Threads(2) as threads:
            assert blas() == {1}
            seen = threads.map(lambda _: (blas(), threading.current_thread().name[:6]), range(2))
            assert seen == [({1}, "minilm")] * 2
        assert 2 in blas()


def test_no_threads_is_an_error():
    with pytest.raises(ConfigError, match="threads is 0"):
        Threads(0)


def test_split_is_even_and_whole():
    batch = Batches(7).at(0)
    for count in (1, 2, 3, 7, 20):
        parts = split(batch, count)
        sizes = [batch_size(part) for part in parts]
        assert len(parts) == min(count, 7)
        assert max(sizes) - min(sizes) <= 1
        assert np.array_equal(np.concatenate([part["ids"] for part in parts]), batch["ids"])
    with pytest.raises(DataError, match="axis 0"):
        batch_size({"ids": np.zeros((2, 3)), "targets": np.zeros((3, 3))})


def test_a_batch_without_targets_is_an_error():
    with pytest.raises(DataError, match="every target is -100"):
        NextToken().counts({"targets": np.full((2, 3), -100)})
