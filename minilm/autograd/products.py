"""Matrix products, and einsum composed of them."""

import math
from typing import Any

from minilm.autograd.operation import primitive, unbroadcast
from minilm.autograd.ops import check_broadcast, sum
from minilm.autograd.shapes import expand_dims, reshape, squeeze, swapaxes, transpose
from minilm.autograd.tensor import shape
from minilm.backend import xp
from minilm.errors import ConfigError, ShapeError
from minilm.i18n import tr


@primitive
def _matmul(a, b):
    return xp.matmul(a, b)


_matmul.name = "matmul"  # to those who read an error


@_matmul.vjp("a")
def _(g, a_shape, b):
    """ā = g bᵀ, summed over stretched batch axes."""
    return unbroadcast(_matmul(g, swapaxes(b)), a_shape)


@_matmul.vjp("b")
def _(g, a, b_shape):
    """b̄ = aᵀ g."""
    return unbroadcast(_matmul(swapaxes(a), g), b_shape)


def matmul(a, b):
    """y = a b over the last two axes, batch axes broadcast: (…, n, k) @ (…, k, m) -> (…, n, m); vectors as in NumPy."""
    if not shape(a) or not shape(b):
        raise ShapeError(tr("matmul: {a} @ {b}: a single number has no axis to multiply over", a=shape(a), b=shape(b)))
    row, column = len(shape(a)) == 1, len(shape(b)) == 1
    left = expand_dims(a, 0) if row else a
    right = expand_dims(b, 1) if column else b
    if shape(left)[-1] != shape(right)[-2]:
        raise ShapeError(
            tr(
                "matmul: {a} @ {b}: inner sizes {m} and {n} differ",
                a=shape(a),
                b=shape(b),
                m=shape(left)[-1],
                n=shape(right)[-2],
            )
        )
    check_broadcast("matmul", shape(left)[:-2], shape(right)[:-2])
    y = _matmul(left, right)
    y = squeeze(y, -1) if column else y
    return squeeze(y, -1 if column else -2) if row else y


def einsum(spec, *operands):
    """Σ over the letters that are not in the output, e.g. einsum("bthk,bshk->bhts", q, k).

    Composed, two operands at a time, of transpose, reshape and matmul: for reading, not for speed. A letter may not
    repeat within one operand, and the output must be written out.
    """
    inputs, arrow, output = spec.replace(" ", "").partition("->")
    terms = inputs.split(",")
    if not arrow or len(terms) != len(operands) or any(len(set(t)) != len(t) for t in (*terms, output)):
        raise ConfigError(
            tr(
                "einsum: {spec!r} for {n} operands: wanted 'ab,bc->ac', no letter twice in a term",
                spec=spec,
                n=len(operands),
            )
        )
    sizes: dict[str, int] = {}
    for term, x in zip(terms, operands, strict=True):
        if len(term) != len(shape(x)) or any(sizes.setdefault(c, n) != n for c, n in zip(term, shape(x), strict=True)):
            raise ShapeError(tr("einsum: {term!r} does not fit shape {got}", term=term, got=shape(x)))
    if not set(output) <= set(sizes):
        raise ConfigError(tr("einsum: the output of {spec!r} has a letter that no operand has", spec=spec))
    letters, result = terms[0], operands[0]
    for i in range(1, len(operands)):
        later = set(output).union(*terms[i + 1 :])
        letters, result = _contract(letters, result, terms[i], operands[i], later, sizes)
    extra = tuple(i for i, c in enumerate(letters) if c not in output)
    result = sum(result, extra) if extra else result
    letters = "".join(c for c in letters if c in output)
    return transpose(result, tuple(letters.index(c) for c in output))


def _contract(s: str, a: Any, t: str, b: Any, later: set[str], sizes: dict[str, int]) -> tuple[str, Any]:
    """Multiply two operands and sum over the letters that both have and nobody needs later, as one matmul."""
    batch = [c for c in s if c in t and c in later]
    inner = [c for c in s if c in t and c not in later]
    left, right = [c for c in s if c not in t], [c for c in t if c not in s]

    def arranged(x: Any, letters: str, *groups: list[str]) -> Any:
        flat = transpose(x, tuple(letters.index(c) for group in groups for c in group))
        return reshape(flat, tuple(math.prod(sizes[c] for c in group) for group in groups))

    y = matmul(arranged(a, s, batch, left, inner), arranged(b, t, batch, inner, right))
    out = "".join(batch + left + right)
    return out, reshape(y, tuple(sizes[c] for c in out))
