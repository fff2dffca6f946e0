"""The strict device itself: it refuses what CuPy refuses (and some more), counts what moves, has what CuPy has."""

import contextlib
import inspect

import double
import numpy as np
import pytest
import strict as module
from audit import look_up, takes
from double import counting, refusing
from strict import strict, use_double

from minilm import backend
from minilm import functional as F
from minilm.autograd import Tensor, primitive
from minilm.errors import DeviceError, DTypeError, GraphError, MinilmError
from minilm.models import GPT, GPTConfig


@pytest.fixture
def xp():
    with use_double() as xp:
        yield xp


@pytest.fixture(params=["strict", pytest.param("cupy", marks=pytest.mark.gpu)])
def device_xp(request):
    """The double, and CuPy itself where there is a device: what is claimed of both."""
    if request.param == "strict":
        with use_double() as xp:
            yield xp
    else:
        backend.use("cupy")
        yield backend.xp._module
        backend.use("numpy")


# -------------------------------------------------------------------------------------------------- what it refuses

HOST = np.ones(3)
REFUSED = {
    "np.asarray": lambda a: np.asarray(a),
    "np.array": lambda a: np.array(a, dtype=float),
    "a NumPy function": lambda a: np.sum(a),
    "a NumPy function that asks for the shape": lambda a: np.shape(a),
    "a NumPy ufunc": lambda a: np.exp(a),
    "a NumPy ufunc of two": lambda a: np.add(a, a),
    "host + device": lambda a: HOST + a,
    "device + host": lambda a: a + HOST,
    "device + host of no axes": lambda a: a + np.array(1.0),
    "device == host": lambda a: a == HOST,
    "in place with host": lambda a: a.__iadd__(HOST),
    "host in place with device": lambda a: HOST.copy().__iadd__(a),
    "xp.add of host": lambda a: strict.add(a, HOST),
    "xp.sum of host": lambda a: strict.sum(HOST),
    "xp.reshape of host": lambda a: strict.reshape(HOST, (3, 1)),
    "xp.where of host": lambda a: strict.where(HOST > 0, a, 0),
    "xp.concatenate with host": lambda a: strict.concatenate([a, HOST]),
    "matmul with host": lambda a: a @ HOST,
    "dot with host": lambda a: a.dot(HOST),
    "index of the host": lambda a: a[np.array([0])],
    "a list as index": lambda a: a[[0, 1]],
    "a mask of the host": lambda a: a[HOST > 0],
    "a value of the host": lambda a: a.__setitem__(0, HOST[:1]),
    "all values of the host": lambda a: a.__setitem__(..., HOST),
    "host indexed by device": lambda a: HOST[strict.arange(2)],
    "repeated indices": lambda a: a.__setitem__(strict.asarray([0, 0]), 1.0),
    "where alone": lambda a: strict.where(a > 0),
    "add.at with host": lambda a: strict.add.at(a, strict.asarray([0]), HOST[:1]),
}


@pytest.mark.parametrize("name", REFUSED)
def test_is_refused_and_noted(xp, name):
    a = xp.asarray(HOST)
    with refusing() as noted, pytest.raises((TypeError, IndexError)):
        REFUSED[name](a)
    assert len(noted) >= 1 and f"{__file__}:" in noted[0]


def test_a_refusal_that_somebody_swallows_is_found_at_the_end():
    swallowed = contextlib.suppress(TypeError)
    with pytest.raises(AssertionError, match="transfer in silence"), use_double() as xp, swallowed:
        np.exp(xp.zeros(3))
    with refusing():
        del double.refused[:]


@pytest.mark.parametrize(
    "planted",
    [
        lambda x: np.exp(x),
        lambda x: backend.xp.exp(x) + np.zeros(x.shape, x.dtype),
        lambda x: x * np.asarray(2 * x),
        lambda x: backend.xp.sum(x, where=True),
        lambda x: backend.xp.vecdot(x, x),
    ],
)
def test_a_mistake_planted_in_an_operation_fails(xp, planted):
    op = primitive(planted)
    op.name = "planted"
    with refusing(), pytest.raises((TypeError, AttributeError)):
        op(Tensor(HOST, requires_grad=True))


def test_a_transfer_planted_in_a_layer_is_counted_with_its_line(xp, monkeypatch):
    gpt, ids = GPT(GPTConfig(7, context=4, width=4, layers=1, heads=2)), np.array([[1, 2]])
    with counting() as before:
        gpt(ids)
    norm = gpt.final_norm
    monkeypatch.setattr(type(norm), "__call__", lambda self, x: x * float(x.data.max()))
    with counting() as after:
        gpt(ids)
    more = after[len(before) :] if len(after) > len(before) else []
    assert len(after) - len(before) == 3 and "test_double.py" in more[-1].line  # two norms of the block, and the last


# ---------------------------------------------------------------------------------------------- what it does instead


def test_numbers_mix_and_tensors_take_over(device_xp):
    xp = device_xp
    a = xp.asarray(np.arange(3, dtype=np.float32))
    for y in (a * 2.0, 2.0 * a, np.float32(2) * a, a * np.float32(2), 1 - a, a**2, -a, a % 2, a < 2):
        assert isinstance(y, xp.ndarray)
    assert (a * 2.0).dtype == np.float32
    assert isinstance(a * Tensor(HOST.astype(np.float32)), Tensor)
    a += 1
    np.testing.assert_array_equal(a.get(), [1, 2, 3])


def test_everything_stays_an_array(device_xp):
    xp = device_xp
    a = xp.asarray(np.arange(6.0).reshape(2, 3))
    for y in (a.sum(), a.max(), xp.dot(a[0], a[0]), a[0, 0], a.mean(axis=None), xp.exp(a[1, 1]), a[(a > 2)].sum()):
        assert isinstance(y, xp.ndarray) and y.shape == ()
    a[0, 0][...] = 5  # a view, as on a device
    assert a.get()[0, 0] == 5
    assert a[0].base is a and a.reshape(3, 2)[0].base is a and (a + 0).base is None and a.copy().base is None
    with pytest.raises(TypeError):
        hash(a)
    host = np.zeros(2)
    xp.asarray(host)[0] = 1
    assert host[0] == 0  # memory of its own


def test_cannot_be_locked(xp):
    with pytest.raises(AttributeError):  # CuPy takes the flag, and locks nothing
        xp.zeros(3).flags.writeable = False


def test_what_computes_puts_rows_in_order(xp):
    a = xp.asarray(np.arange(24.0).reshape(2, 3, 4)).T
    by_entry = (a + 0, 2 * a, -a, a < 2, xp.exp(a), xp.maximum(a, 1), xp.where(a > 1, a, 0), xp.clip(a, 0, 1))
    for y in (*by_entry, xp.cumsum(a, 0), xp.stack([a, a]), xp.concatenate([a, a]), xp.triu(a), a.copy()):
        assert y.flags.c_contiguous and not a.flags.c_contiguous
    assert xp.empty_like(a).flags.f_contiguous and a.astype(np.float32).flags.f_contiguous


def test_there_are_the_dtypes_of_a_gpu(device_xp):
    xp = device_xp
    for make in (
        lambda: xp.zeros(2).astype(np.longdouble),
        lambda: xp.asarray(["a"]),
        lambda: xp.ones(2, dtype=object),
    ):
        with pytest.raises(ValueError, match="Unsupported dtype"):
            make()


def test_what_is_added_up_in_one_place_comes_in_no_fixed_order(xp):
    parts, found = np.random.default_rng(0).standard_normal(50), set()
    for _ in range(9):
        a = xp.zeros(1)
        xp.add.at(a, xp.zeros(50, dtype=int), xp.asarray(parts))
        assert a.item() == pytest.approx(parts.sum(), rel=1e-12)
        found.add(a.item())
    assert len(found) > 1


def test_indices_that_are_out_of_range_wrap_if_they_lie_in_arrays(device_xp):
    xp = device_xp
    a = xp.arange(3.0)
    np.testing.assert_array_equal(a[xp.asarray([1, 3, -4])].get(), [1, 0, 2])
    xp.add.at(a, xp.asarray([4, 1]), 10)
    np.testing.assert_array_equal(a.get(), [0, 21, 2])
    table = xp.arange(12).reshape(3, 4)
    np.testing.assert_array_equal(table[:, xp.asarray([5])].get()[:, 0], [1, 5, 9])
    np.testing.assert_array_equal(table[..., None, xp.asarray([5])].get()[:, 0, 0], [1, 5, 9])
    with pytest.raises(IndexError):
        a[3]


def test_atomic_addition_exists_for_few_dtypes(xp):
    with pytest.raises(TypeError, match="atomic"):
        xp.add.at(xp.zeros(2, bool), xp.asarray([0]), True)


def test_counts_what_moves_and_says_where(xp):
    with counting() as transfers:
        a = xp.asarray(HOST)
        xp.asarray(a), xp.zeros(3), a.astype(np.float32), a[1:]  # nothing moves
        float(a[0]), int(a[0]), bool(a[0]), a[0].item(), a.tolist(), a.get(), backend.to_numpy(a), a[a > 0]
    assert [t.direction for t in transfers] == ["up"] + ["down"] * 8
    assert all("test_double.py" in t.line for t in transfers)
    assert str(transfers[0]).startswith("up by array of shape (3,) at ")


# ------------------------------------------------------------------------------------------------- that CuPy has it all


def _parameters(function):
    return [
        p.name for p in inspect.signature(function).parameters.values() if p.kind not in (2, 4) and p.name != "self"
    ]


def test_a_generator_goes_on_from_the_state_that_it_is_given(device_xp):
    xp = device_xp
    rng = backend.generator(3)
    state, first = rng.bit_generator._state.copy(), rng.standard_normal(5).get()
    second = rng.standard_normal(5).get()
    assert (first != second).all() and (first == backend.generator(3).standard_normal(5).get()).all()
    rng.bit_generator._state[...] = state
    assert (rng.standard_normal(5).get() == first).all()
    draws = rng.integers(0, 7, size=1000), rng.random(1000), rng.uniform(2, 3, 1000), rng.standard_exponential(9)
    assert all(isinstance(draw, xp.ndarray) for draw in draws)
    assert sorted(set(draws[0].tolist())) == list(range(7))
    assert 0 <= draws[1].min().item() < draws[1].max().item() < 1


@pytest.mark.cupy
def test_has_nothing_that_cupy_has_not():
    import cupy

    for function in module.FUNCTIONS:
        theirs = takes(look_up(cupy, [function.__name__]))
        own = _parameters(function)
        assert theirs.any_keyword or set(own) <= set(theirs.names), function.__name__
    for name in (*module.UFUNCS, *module.NUMBERS, "abs"):
        look_up(cupy, [name])
    for name in module.UFUNCS:
        assert look_up(cupy, [name]).nin == getattr(np, name).nin, name
    for name, member in vars(double.ndarray).items():
        if name[:1] != "_":
            theirs = look_up(cupy, ["ndarray", name])
            if inspect.isfunction(member):
                assert set(_parameters(member)) <= set(takes(theirs).names), name
    for name, member in vars(module.Generator).items():
        if name[:1] != "_":
            assert set(_parameters(member)) <= set(takes(look_up(cupy, ["random", "Generator", name])).names), name
    assert set(double.Flags.__slots__) <= set(dir(cupy._core.flags.Flags))
    specials = {n for n in vars(double.ndarray) if n.startswith("__")} - {"__slots__", "__weakref__"}
    assert specials <= set(dir(cupy.ndarray)) | {"__module__"}


# ---------------------------------------------------------------------------------------------- two homes, one error

X = np.arange(6.0).reshape(2, 3)
MIXED = {
    "add: argument b": lambda x: x + X,
    "multiply: argument a": lambda x: F.multiply(X, x),
    "where: argument condition": lambda x: F.where(X > 0, x, 0),
    "getitem: argument index": lambda x: x[np.array([0])],
    "concatenate: argument xs": lambda x: F.concatenate([x, X]),
    "linear: argument weight": lambda x: F.linear(x, np.ones((3, 2))),
    "layer_norm: argument bias": lambda x: F.layer_norm(x, None, np.ones(3)),
    "attention: argument key": lambda x: F.attention(
        x.reshape(1, 1, 2, 3), X.reshape(1, 1, 2, 3), X.reshape(1, 1, 2, 3)
    ),
    "backward: argument cotangent": lambda x: (x * x).backward(OLD),
    "add: argument a": lambda x: OLD + x,
    "sum: argument x": lambda x: OLD.sum(),
    "reshape: argument x": lambda x: OLD.reshape(-1),
    "linear: argument x": lambda x: F.linear(x=OLD, weight=Tensor(np.ones((3, 2)))),
}
OLD = Tensor(X)  # made on NumPy, before backend.use


@pytest.mark.parametrize("said", MIXED)
def test_arrays_of_two_homes_are_named(device_xp, said):
    x, name = Tensor(X, requires_grad=True), device_xp.__name__
    if said == "getitem: argument index" and name == "cupy":
        return np.testing.assert_array_equal(MIXED[said](x).numpy(), X[[0]])  # CuPy itself moves it
    with refusing(), pytest.raises(DeviceError) as error:
        MIXED[said](x)
    assert str(error.value).startswith(
        f"{said} is an array of numpy, but the backend is {name}: move it with ml.Tensor"
    )
    assert isinstance(error.value, (MinilmError, TypeError))


def test_a_device_array_among_those_of_numpy_is_named_too():
    with use_double():
        there = Tensor(X)
    with refusing(), pytest.raises(DeviceError, match="multiply: argument b is an array of double, but the backend is"):
        Tensor(X) * there


def test_other_errors_stay_what_they_are(xp):
    with pytest.raises(TypeError, match="power: argument 'b' is missing"):
        F.power(Tensor(X))
    with pytest.raises(DTypeError, match="x is of int64"):
        F.softmax(Tensor(np.ones(3, int)))


def test_assign_takes_what_lies_anywhere_and_is_noticed(xp):
    x = Tensor(X, requires_grad=True)
    y = x * x
    x.assign(X + 1)
    with pytest.raises(GraphError, match="changed in place"):
        y.backward(np.ones((2, 3)))
    x.assign(xp.asarray(X))
    x.assign(Tensor(X))
    x.assign(X.tolist())
    np.testing.assert_array_equal(x.numpy(), X)
    x.data -= 1.0
    x.data = X
    assert isinstance(x.data, xp.ndarray)
