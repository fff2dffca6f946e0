import numpy as np
import pytest
import torch

from minilm.autograd import Tensor
from minilm.errors import CheckpointError, ConfigError, DTypeError, GraphError, TrainingError
from minilm.training import optim
from minilm.training.optim import (
    SGD,
    AdamW,
    FlatParameters,
    adamw_in_chunks,
    adamw_plain,
    clip_by_global_norm,
    global_norm,
)
from minilm.training.parallel import Threads

SHAPES = {"bias": (5,), "table": (300, 130), "weight": (7, 5), "scale": (40001,), "kernel": (2, 3, 4)}


def made(dtype, seed=0):
    rng = np.random.default_rng(seed)
    arrays = {name: rng.standard_normal(shape).astype(dtype) for name, shape in SHAPES.items()}
    return {name: Tensor(a.copy(), requires_grad=True) for name, a in arrays.items()}, arrays


def torch_twins(arrays, make, decay):
    twins = {name: torch.nn.Parameter(torch.tensor(a)) for name, a in arrays.items()}
    groups = [
        {"params": [p for p in twins.values() if p.ndim >= 2], "weight_decay": decay},
        {"params": [p for p in twins.values() if p.ndim < 2], "weight_decay": 0.0},
    ]
    return twins, make(groups)


def compare(ours, make_ours, make_theirs, dtype, decay, steps, tolerance):
    parameters, arrays = made(dtype)
    optimizer = make_ours(parameters)
    twins, reference = torch_twins(arrays, make_theirs, decay)
    rng = np.random.default_rng(1)
    for step in range(steps):
        rate = 0.01 * (1 + step % 3)
        for name, p in parameters.items():
            g = rng.standard_normal(p.shape).astype(dtype) * dtype(rng.choice([1e-3, 1.0]))
            p.grad, twins[name].grad = Tensor(g), torch.tensor(g)
        optimizer.step(rate)
        for group in reference.param_groups:
            group["lr"] = rate
        reference.step()
    for name, p in parameters.items():
        error = np.abs(p.numpy() - twins[name].detach().numpy()).max() / np.abs(p.numpy()).max()
        assert error <= tolerance, (name, error)


@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float32, 1e-6), (np.float64, 1e-12)])
def test_adamw_equals_torch(dtype, tolerance):
    compare(
        AdamW,
        lambda p: AdamW(p, 0.1, betas=(0.9, 0.95), epsilon=1e-8, decay=0.1),
        lambda groups: torch.optim.AdamW(groups, lr=0.1, betas=(0.9, 0.95), eps=1e-8),
        dtype,
        0.1,
        60,
        tolerance,
    )


@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float32, 1e-6), (np.float64, 1e-12)])
@pytest.mark.parametrize(("momentum", "nesterov"), [(0.0, False), (0.9, False), (0.9, True)])
def test_sgd_equals_torch(dtype, tolerance, momentum, nesterov):
    compare(
        SGD,
        lambda p: SGD(p, 0.1, momentum, nesterov, decay=0.1),
        lambda groups: torch.optim.SGD(groups, lr=0.1, momentum=momentum, nesterov=nesterov),
        dtype,
        0.1,
        40,
        tolerance,
    )


@pytest.mark.parametrize("steps", [None, 1, 2, 1000])
@pytest.mark.parametrize("size", [1, 32768, 70001])
def test_chunks_equal_the_plain_formula(steps, size):
    rng = np.random.default_rng(size)
    first = [*rng.standard_normal((3, size)), rng.random(size)]
    second = [a.copy() for a in first]
    settings = {"steps": steps, "rate": 0.03, "decay": 0.2, "betas": (0.8, 0.99), "epsilon": 1e-3}
    adamw_plain(*first, **settings)
    adamw_in_chunks(*second, **settings)
    for a, b in zip(first, second, strict=True):
        assert np.abs(a - b).max() <= 1e-14 * np.abs(a).max()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_without_gradient_only_matrices_shrink(dtype):
    parameters, arrays = made(dtype)
    optimizer = AdamW(parameters, rate=0.03, decay=0.5)
    optimizer.flat.gradients[:] = 7  # of a step before
    optimizer.step()  # no .grad at all counts as zeros
    for name, p in parameters.items():
        wanted = arrays[name] * (1 - 0.03 * 0.5) if p.ndim >= 2 else arrays[name]
        assert np.array_equal(p.numpy(), wanted)


@pytest.mark.parametrize("bias_correction", [True, False])
def test_first_step_is_the_sign_of_the_gradient(bias_correction):
    parameters, arrays = made(np.float64)
    optimizer = AdamW(parameters, rate=0.03, decay=0.0, epsilon=1e-30, bias_correction=bias_correction)
    rng = np.random.default_rng(5)
    signs = {name: rng.choice([-1.0, 1.0], p.shape) for name, p in parameters.items()}
    for name, p in parameters.items():
        p.grad = Tensor(signs[name] * rng.uniform(1e-6, 1e3, p.shape))
    optimizer.step()
    length = 0.03 if bias_correction else 0.03 * 0.1 / np.sqrt(0.05)
    for name, p in parameters.items():
        assert np.abs(p.numpy() - (arrays[name] - length * signs[name])).max() <= 1e-12


def test_threads_change_no_bit(monkeypatch):
    monkeypatch.setattr(optim, "CHUNK", 1000)
    results = []
    for count in (None, 1, 2, 3):
        parameters, _ = made(np.float32)
        optimizer = AdamW(parameters)
        rng = np.random.default_rng(2)
        for p in parameters.values():
            p.grad = Tensor(rng.standard_normal(p.shape).astype(np.float32))
        if count is None:
            optimizer.step()
        else:
            with Threads(count) as threads:
                optimizer.step(threads=threads)
        results.append(optimizer.flat.values.tobytes())
    assert len(set(results)) == 1


def test_parts_cover_the_layout_once():
    parameters, _ = made(np.float32)
    flat = FlatParameters(parameters)
    for count in (1, 2, 3, 5, 100):
        parts = flat.parts(count)
        assert [i for part in parts for i in (part.start, part.stop)][1:-1:2] == [p.start for p in parts[1:]]
        assert parts[0].start == 0
        assert parts[-1].stop == flat.size


def test_backward_writes_into_the_flat_array_and_step_reads_it():
    w, b = Tensor(np.ones((3, 2)), requires_grad=True), Tensor(np.zeros(2), requires_grad=True)
    optimizer = SGD([b, w], rate=0.5)
    assert [p.ndim for p in optimizer.parameters] == [2, 1]
    x = np.array([[1.0, 2.0, 3.0]])
    for _ in range(2):
        ((x @ w + b) * np.array([1.0, -1.0])).sum().backward()
    assert w.grad.data.base is optimizer.flat.gradients
    assert np.array_equal(optimizer.flat.gradients, [2, -2, 4, -4, 6, -6, 2, -2])
    optimizer.step()
    assert np.array_equal(w.numpy(), [[0, 2], [-1, 3], [-2, 4]])
    optimizer.zero_grad()
    assert w.grad is None


def test_only_the_optimizer_writes():
    parameters, arrays = made(np.float32)
    optimizer = AdamW(parameters)
    w = parameters["weight"]
    with pytest.raises(ValueError, match="read-only"):
        w.data[0] = 1
    with pytest.raises(ValueError, match="read-only"):
        w.data += 1
    w.assign(2 * arrays["weight"])
    w.grad = Tensor(np.zeros(w.shape, np.float32))
    optimizer.step(rate=0.0)
    assert np.array_equal(w.numpy(), 2 * arrays["weight"])


def test_a_step_between_forward_and_backward_is_seen():
    w = Tensor(np.ones((2, 2)), requires_grad=True)
    optimizer = SGD([w], rate=0.1)
    y = (w * w).sum()
    optimizer.step()
    with pytest.raises(GraphError, match="changed in place"):
        y.backward()


def test_a_second_optimizer_takes_the_parameters_over():
    parameters, arrays = made(np.float32)
    old = AdamW(parameters)
    new = AdamW(parameters, rate=0.1, decay=0.0)
    with pytest.raises(GraphError, match="newer optimizer"):
        old.step()
    parameters["bias"].grad = Tensor(np.ones(5, np.float32))
    new.step()
    assert np.allclose(parameters["bias"].numpy(), arrays["bias"] - 0.1, atol=1e-6)


@pytest.mark.parametrize("make", [lambda p: AdamW(p, 0.01), lambda p: SGD(p, 0.01, 0.9)])
def test_state_goes_on_exactly(make):
    def steps(optimizer, parameters, seeds):
        for seed in seeds:
            rng = np.random.default_rng(seed)
            for p in parameters.values():
                p.grad = Tensor(rng.standard_normal(p.shape).astype(np.float32))
            optimizer.step()

    whole, _ = made(np.float32)
    steps(make(whole), whole, range(6))
    half, _ = made(np.float32)
    first = make(half)
    steps(first, half, range(3))
    state = {name: a.copy() for name, a in first.state_dict().items()}
    rest = {name: Tensor(p.numpy().copy(), requires_grad=True) for name, p in half.items()}
    second = make(rest)
    second.load_state_dict(state)
    steps(second, rest, range(3, 6))
    assert all(np.array_equal(whole[name].numpy(), rest[name].numpy()) for name in whole)


def test_a_state_that_does_not_fit_changes_nothing():
    parameters, _ = made(np.float32)
    optimizer = AdamW(parameters)
    good = {name: a.copy() + 1 for name, a in optimizer.state_dict().items()}
    for wrong, named in [
        ({k: v for k, v in good.items() if k != "bias.first_moment"}, "bias.first_moment is missing"),
        ({**good, "other": np.zeros(1)}, "other belongs to no"),
        ({**good, "bias.first_moment": np.zeros(6, np.float32)}, r"float32 \(6,\)"),
        ({**good, "bias.first_moment": np.zeros(5)}, "float64"),
    ]:
        with pytest.raises(CheckpointError, match=named):
            optimizer.load_state_dict(wrong)
        assert optimizer.steps == 0
        assert not optimizer.memory["first_moment"].any()
    optimizer.load_state_dict(good)
    assert optimizer.steps == 1


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("limit", [0.5, 1e9])
def test_clipping_equals_torch(dtype, limit):
    parameters, arrays = made(dtype)
    twins, _ = torch_twins(arrays, torch.optim.SGD, 0.0)
    for name, p in parameters.items():
        p.grad, twins[name].grad = Tensor(arrays[name] * 3), torch.tensor(arrays[name] * 3)
    norm = clip_by_global_norm(parameters.values(), limit)
    theirs = torch.nn.utils.clip_grad_norm_(twins.values(), limit).item()
    assert abs(norm - theirs) <= 1e-6 * theirs
    if dtype is np.float64:
        assert abs(norm - np.sqrt(sum((9 * a * a).sum() for a in arrays.values()))) <= 1e-12 * norm
    for name, p in parameters.items():
        assert np.abs(p.grad.numpy() - twins[name].grad.numpy()).max() <= 1e-6
    after = global_norm([p.grad.data for p in parameters.values()])
    assert abs(after - min(norm, limit)) <= (1e-6 if dtype is np.float32 else 1e-12) * after


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_norm_that_is_no_number_is_an_error_and_changes_nothing(bad):
    parameters, _ = made(np.float32)
    for p in parameters.values():
        p.grad = Tensor(np.full(p.shape, 100, np.float32))
    parameters["kernel"].grad.data[1, 1, 1] = bad
    with pytest.raises(TrainingError, match="norm of the gradient"):
        clip_by_global_norm(parameters.values(), 1.0)
    assert (parameters["bias"].grad.data == 100).all()


def test_a_norm_beyond_the_squares_of_float32_is_still_a_number():
    assert abs(global_norm([np.full(4, 1e30, np.float32)]) - 2e30) <= 1e24


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda p: AdamW(p, rate=-1.0), "rate"),
        (lambda p: AdamW(p, betas=(0.9, 1.0)), "betas"),
        (lambda p: AdamW(p, epsilon=0.0), "epsilon"),
        (lambda p: AdamW(p, decay=float("nan")), "decay"),
        (lambda p: SGD(p, 0.1, momentum=1.0), "momentum"),
        (lambda p: SGD(p, 0.1, nesterov=True), "nesterov"),
        (lambda p: AdamW([]), "at least one"),
        (lambda p: AdamW([p["bias"], p["bias"]]), "twice"),
    ],
)
def test_what_cannot_be_is_named(make, named):
    with pytest.raises(ConfigError, match=named):
        make(made(np.float32)[0])


def test_one_dtype_for_all():
    with pytest.raises(DTypeError, match=r"parameter b is float64, a is float32"):
        AdamW({"a": Tensor(np.ones(2, np.float32)), "b": Tensor(np.ones(2))})
