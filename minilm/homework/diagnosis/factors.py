"""Wrong by a number: a factor, which may be a size of the arguments, a sign, an amount, a constant."""

import math
from collections.abc import Iterator, Sequence

import numpy as np

from minilm.homework.diagnosis.evidence import (
    NOTHING,
    Explanation,
    Pair,
    accounts,
    arrays_only,
    same_shapes,
)
from minilm.homework.diagnosis.sizes import as_size
from minilm.i18n import tr

KNOWN = {
    2.0: "2", 0.5: "½", 3.0: "3", 4.0: "4", 0.25: "¼", 1 / 3: "⅓", 6.0: "6", 1 / 6: "1/6", 8.0: "8",
    math.log(2): "ln 2", 1 / math.log(2): "1/ln 2", math.pi: "π", math.sqrt(2): "√2", math.sqrt(0.5): "1/√2",
    math.e: "e", 10.0: "10", 100.0: "100", 1000.0: "1000", math.log(10): "ln 10", 1 / math.log(10): "1/ln 10",
}  # fmt: skip


def number(x: float) -> str:
    """A factor as it is read: ½, ln 2, 0.37."""
    for known, text in KNOWN.items():
        if abs(abs(x) - known) <= 1e-7 * known:
            return ("−" if x < 0 else "") + text
    return f"{x:.6g}".replace("-", "−")


@arrays_only
def constant(pairs: Sequence[Pair]) -> Iterator[Explanation]:
    """One number everywhere, where others are expected."""
    values = {round(float(v), 9) for p in pairs[:3] for v in np.ravel(p.got)[:1000]}
    if len(values) != 1:
        return
    values |= {round(float(v), 9) for p in pairs for v in np.ravel(p.got)[:1000]}
    expected = {round(float(v), 9) for p in pairs for v in np.ravel(p.expected)[:1000]}
    if len(values) == 1 and len(expected) > 2 and same_shapes(pairs) and sum(p.wrong for p in pairs) >= 3:
        what = number(values.pop() + 0.0)
        yield Explanation("constant", tr("Always {n}: the answer does not depend on the arguments", n=what), 0)


@arrays_only
def factor(pairs: Sequence[Pair]) -> Iterator[Explanation]:
    """got = c · expected, with c the same for all entries of a question: a number, or made of sizes."""
    if not same_shapes(pairs):
        return
    telling = [p for p in pairs if p.expected.dtype.kind in "if" and np.any(p.expected)]
    used = [(p, fitted(p)) for p in telling if np.isfinite(p.expected).all()]
    if not used:
        return
    of = {id(p): c for p, c in used}
    if not accounts(pairs, lambda p: p.expected * of[id(p)] if id(p) in of else NOTHING):
        return
    factors = [c for _, c in used]
    c = factors[int(np.argmax(np.abs(np.array(factors) - 1)))]
    if np.allclose(factors, c, rtol=1e-7, atol=0):
        if c == 0:
            return
        if abs(c + 1) < 1e-7:
            yield Explanation("sign", tr("Sign: every number is the negative of the right one"), 1)
        else:
            yield Explanation(
                "constant_factor", tr("Constant factor: every number is {c} times the right one", c=number(c)), 2
            )
        return
    many = len({round(f, 7) for f in factors})
    fits = as_size(factors, [p.sizes for p, _ in used])
    if not fits or many < 2 or (many < 3 and sum(np.size(p.expected) > 1 for p, _ in used) < 3):
        return
    text, form, times = fits[0]
    others = [other for other, same, k in fits[1:] if k == times and same == form]
    said = text if not others else tr("{a} (or {b}, which is the same here)", a=text, b=others[0])
    yield _sized(form, times, said)


def fitted(pair: Pair) -> float:
    """The factor of one question, by the largest expected entry."""
    i = np.argmax(np.abs(pair.expected))
    return float(np.ravel(pair.got)[i] / np.ravel(pair.expected)[i])


def _sized(form: str, times: float, text: str) -> Explanation:
    if times == 1.0 and form in ("1/{s}", "1/({s} · {t})"):
        line = tr("Constant factor {c}: a mean where a sum is wanted, or divided once too often", c=text)
        return Explanation("mean_for_sum", line, 2)
    if times == 1.0 and form in ("{s}", "{s} · {t}"):
        line = tr("Constant factor {c}: a sum where a mean is wanted, or not divided", c=text)
        return Explanation("sum_for_mean", line, 2)
    if "√" in form:
        return Explanation("wrong_scale", tr("Wrong scale: every number is the right one times {c}", c=text), 2)
    return Explanation(
        "constant_factor", tr("Constant factor {c}: every number is the right one times that", c=text), 2
    )


@arrays_only
def offset(pairs: Sequence[Pair]) -> Iterator[Explanation]:
    """got = expected + c."""
    if not same_shapes(pairs) or any(p.expected.dtype.kind == "b" or p.got.dtype.kind == "b" for p in pairs):
        return
    wrong = [p for p in pairs if p.wrong and p.got.size and np.isfinite(p.got).all()]
    gaps = [float(np.ravel(p.got - p.expected)[0]) for p in wrong]
    if gaps and accounts(pairs, lambda p: p.expected + gaps[0]):
        if all(p.expected.dtype.kind == "i" for p in pairs) and abs(gaps[0]) == 1:
            yield Explanation("off_by_one", tr("Off by one: every number is {c} too large", c=number(gaps[0])), 3)
        else:
            yield Explanation("offset", tr("Every number is too large by the same amount, {c}", c=number(gaps[0])), 6)
