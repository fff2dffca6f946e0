"""A cotangent that is made later is the same array, whether made by itself, written over something, or added to it."""

import numpy as np
import pytest

import minilm.functional as F
from minilm.autograd import Tensor, grad
from minilm.autograd.later import Later, Product, Rows, Scaled, made


def cases() -> dict[str, tuple[Later, np.ndarray]]:
    rng = np.random.default_rng(0)
    a, b, rows = rng.standard_normal((4, 3)), rng.standard_normal((3, 5)), rng.standard_normal((2, 3))
    table = np.zeros((6, 3))
    table[[4, 1]] = rows
    return {
        "product": (Product(a, b), a @ b),
        "product in another shape": (Product(a, b, (2, 2, 5)), (a @ b).reshape(2, 2, 5)),
        "scaled": (Scaled(a, 0.5), a / 2),
        "rows": (Rows(np.array([4, 1]), rows, (6, 3)), table),
    }


@pytest.mark.parametrize("name", cases())
def test_made_written_and_added(name: str) -> None:
    later, wanted = cases()[name]
    there = np.random.default_rng(1).standard_normal(wanted.shape)
    written, added = there.copy(), there.copy()
    later.write(written)
    later.add(added)
    assert later.shape == wanted.shape and later.dtype == wanted.dtype
    np.testing.assert_array_equal(made(later), wanted)
    np.testing.assert_array_equal(written, wanted)
    np.testing.assert_allclose(added, there + wanted, rtol=1e-14)


def test_what_is_an_array_already_stays_itself() -> None:
    a = np.ones(3)
    assert made(a) is a


def test_the_optimizers_buffer_receives_the_sum_of_all_uses_and_nothing_that_lay_there() -> None:
    """A tied embedding: looked up twice, used as the head's matrix, and as a plain matrix."""
    rng = np.random.default_rng(0)
    table = Tensor(rng.standard_normal((7, 4)), requires_grad=True)
    ids, other = np.array([[1, 5, 1]]), np.array([[5, 5, 0]])
    targets = np.array([[2, 0, 6]])

    def loss() -> Tensor:
        x = F.embedding(ids, table) + F.embedding(other, table)
        return 0.5 * F.linear_cross_entropy(F.linear(x, F.transpose(table) @ table), table, targets)

    wanted = grad(loss(), table).numpy()
    for before in (None, rng.standard_normal((7, 4))):
        table.grad_buffer = np.full((7, 4), 9.0)
        table.grad = None if before is None else Tensor(before.copy())
        loss().backward()
        np.testing.assert_allclose(table.grad.numpy(), wanted + (0 if before is None else before), rtol=1e-12)
        assert (table.grad.data is table.grad_buffer) == (before is None)


def test_what_nobody_asks_for_is_never_made(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    x, weight = Tensor(rng.standard_normal((3, 4)), requires_grad=True), Tensor(rng.standard_normal((4, 5)))
    y = F.linear(x, weight)
    written = []
    monkeypatch.setattr(
        Product, "write", lambda self, out: (written.append(self.shape), np.matmul(self.a, self.b, out))
    )
    y.backward(np.ones((3, 5)))
    assert written == [(3, 4)]
