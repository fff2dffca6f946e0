"""Causes that are seen through the reference: does the function answer as the right one would if an argument were
another: ignored, negated, exchanged, transposed, shifted, scaled?"""

import itertools
import operator
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from minilm.course.marks import Task
from minilm.homework.diagnosis.sizes import argument_names, sizes_of
from minilm.i18n import tr

SAME = object()  # the alteration changes nothing in this question
CANNOT = object()  # it cannot be made in this question

Arguments = tuple[Any, ...]
Alter = Callable[[Arguments], Any]  # other arguments, SAME or CANNOT
After = Callable[[Any, Arguments], Any]  # what is done to each part of the reference's answer


@dataclass(frozen=True, eq=False)
class Alteration:
    """A way to be wrong. key: equal for equal alterations. rank: as in Explanation."""

    key: str
    cause: str
    line: str
    rank: int
    alter: Alter
    after: After | None = None


@dataclass(frozen=True)
class Place:
    """An argument, or an entry of one that is a dict."""

    index: int
    key: str | None
    shown: str

    def get(self, arguments: Arguments) -> Any:
        value = arguments[self.index]
        return value if self.key is None else value[self.key]

    def put(self, arguments: Arguments, value: Any) -> Arguments:
        made = list(arguments)
        made[self.index] = value if self.key is None else {**arguments[self.index], self.key: value}
        return tuple(made)


def alterations(task: Task, questions: Sequence[Arguments]) -> Iterator[Alteration]:
    """All that are to be tried for a task, made from what its arguments are in these questions."""
    places = list(_places(task, questions))
    kinds = {place: kind for place in places if (kind := _kind(place, questions))}
    for place, kind in kinds.items():
        yield from OF_KIND[kind](place, questions)
    yield from _exchanged(kinds, questions)
    yield from _scaled(task, kinds, questions)
    yield from _together(kinds)
    yield from _masks(kinds, questions)
    yield from _repeated(kinds, questions)


def _places(task: Task, questions: Sequence[Arguments]) -> Iterator[Place]:
    for i, name in enumerate(argument_names(task)):
        values = [arguments[i] for arguments in questions if i < len(arguments)]
        if len(values) == len(questions) and values and all(isinstance(v, dict) for v in values):
            for key in set.intersection(*(set(v) for v in values)) if all(values) else ():
                yield Place(i, key, f"{name}[{key!r}]")
        elif len(values) == len(questions):
            yield Place(i, None, name)


def _kind(place: Place, questions: Sequence[Arguments]) -> str:
    values = [place.get(arguments) for arguments in questions]
    if all(isinstance(v, np.ndarray) for v in values):
        return {"b": "mask", "f": "floats", "i": "ids"}.get(values[0].dtype.kind, "")
    if all(isinstance(v, bool) for v in values):
        return "switch"
    if all(type(v) is int for v in values):
        return "whole"
    if all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in values):
        return "number"
    if all(isinstance(v, str) for v in values) and len(set(values)) <= 6:
        return "word"
    if all(isinstance(v, list) for v in values):
        return "list"
    if any(v is None for v in values):
        return "option"
    return ""


# ------------------------------------------------------------------------------------------------ of one argument alone


def _one(place: Place, key: str, cause: str, line: str, f: Callable[[Any], Any], rank: int = 20) -> Alteration:
    """The argument replaced by a function of itself, which may answer SAME or CANNOT."""

    def alter(arguments: Arguments) -> Any:
        value = place.get(arguments)
        made = f(value)
        if made is SAME or made is CANNOT:
            return made
        return SAME if _equal(made, value) else place.put(arguments, made)

    return Alteration(f"{key} {place.shown}", cause, line, rank, alter)


def _equal(a: Any, b: Any) -> bool:
    if isinstance(a, np.ndarray) or isinstance(b, np.ndarray):
        return np.shape(a) == np.shape(b) and bool(np.array_equal(a, b))
    return type(a) is type(b) and bool(a == b)


def _of_mask(place: Place, questions: Sequence[Arguments]) -> Iterator[Alteration]:
    n = place.shown
    for key, cause, line, f, rank in (
        ("not", "mask_inverted", tr("Mask inverted: True of `{n}` is taken for False, and False for True", n=n),
         np.logical_not, 12),
        ("true", "mask_ignored", tr("Mask forgotten: it is as if `{n}` were True everywhere", n=n), np.ones_like, 12),
        ("false", "mask_ignored", tr("Mask forgotten: it is as if `{n}` were False everywhere", n=n),
         np.zeros_like, 13),
    ):  # fmt: skip
        yield _one(place, key, cause, line, f, rank)
    line = tr("Mask on the wrong side: `{n}` is used transposed", n=n)
    yield _one(place, "T", "mask_side", line, _transposed, 14)
    yield from _of_array(place)


def _of_floats(place: Place, questions: Sequence[Arguments]) -> Iterator[Alteration]:
    n = place.shown
    for key, cause, line, f, rank in (
        ("0", "missing_term", tr("Missing term: `{n}` has no effect, as if it were 0", n=n), np.zeros_like, 12),
        ("1", "missing_factor", tr("A factor is missing: `{n}` has no effect, as if it were 1", n=n), np.ones_like, 13),
        ("-", "sign", tr("Sign: `{n}` is taken with the opposite sign", n=n), np.negative, 12),
        ("abs", "sign", tr("Sign: of `{n}` only the size counts, without its sign", n=n), np.abs, 16),
        ("int", "dtype", tr("Data type: `{n}` is cut off to whole numbers", n=n), np.trunc, 16),
        ("T", "transpose", tr("Transposed: `{n}` is used transposed", n=n), _transposed, 14),
        ("mean", "extra_reduction", tr("Reduced too far: of `{n}` only the mean counts", n=n), _averaged, 24),
    ):
        yield _one(place, key, cause, line, f, rank)
    yield from _of_array(place)


def _of_ids(place: Place, questions: Sequence[Arguments]) -> Iterator[Alteration]:
    n = place.shown
    yield _one(place, "0", "ignored", tr("`{n}` has no effect, as if it were 0", n=n), np.zeros_like, 14)
    yield _one(place, "T", "transpose", tr("Transposed: `{n}` is used transposed", n=n), _transposed, 14)
    yield from _of_array(place)


def _of_array(place: Place) -> Iterator[Alteration]:
    """Shifted, reversed, the first or the last row for all."""
    n = place.shown
    for axis in (-1, -2):
        for k in (1, -1):
            by = f"{k:+d}"
            line = tr(
                "Off by one: `{n}` is used {k} place along axis {axis} from where it stands", n=n, k=by, axis=axis
            )
            yield _one(place, f"roll{axis}{k}", "off_by_one", line, partial(_rolled, k=k, axis=axis), 22)
        line = tr("Reversed: `{n}` is used in reverse along axis {axis}", n=n, axis=axis)
        yield _one(place, f"flip{axis}", "reversed", line, partial(_flipped, axis=axis), 22)
    for i, line in (
        (0, tr("One for all: only the first row of `{n}` is used", n=n)),
        (-1, tr("One for all: only the last row of `{n}` is used", n=n)),
    ):
        yield _one(place, f"row{i}", "one_for_all", line, partial(_row, i=i), 21)


def _transposed(x: np.ndarray) -> Any:
    square = x.ndim > 1 and x.shape[-1] == x.shape[-2]
    return np.swapaxes(x, -1, -2).copy() if square else CANNOT


def _averaged(x: np.ndarray) -> Any:
    return np.full_like(x, x.mean()) if x.size else SAME


def _rolled(x: np.ndarray, k: int, axis: int) -> Any:
    return np.roll(x, k, axis) if x.ndim >= -axis else SAME


def _flipped(x: np.ndarray, axis: int) -> Any:
    return np.flip(x, axis).copy() if x.ndim >= -axis else SAME


def _row(x: np.ndarray, i: int) -> Any:
    return np.broadcast_to(x[i], x.shape).copy() if x.ndim and len(x) else SAME


def _always(value: Any) -> Callable[[Any], Any]:
    return lambda _: value


def _no_effect(place: Place, value: Any, rank: int = 12) -> Alteration:
    line = tr("`{n}` has no effect: it is always as if it were {value}", n=place.shown, value=value)
    return _one(place, f"always {value!r}", "ignored", line, _always(value), rank)


def _of_switch(place: Place, questions: Sequence[Arguments]) -> Iterator[Alteration]:
    line = tr("Inverted: `{n}` is taken for its opposite", n=place.shown)
    yield _one(place, "not", "inverted", line, operator.not_, 12)
    for value in (True, False):
        yield _no_effect(place, value)


def _of_number(place: Place, questions: Sequence[Arguments]) -> Iterator[Alteration]:
    n = place.shown
    for value in (0.0, 1.0):
        yield _no_effect(place, value)
    for key, cause, line, f in (
        ("-", "sign", tr("Sign: `{n}` is taken with the opposite sign", n=n), operator.neg),
        ("1/", "upside_down", tr("Upside down: 1/`{n}` is used instead of `{n}`", n=n), lambda v: 1 / v),
        ("sq", "another_power", tr("Another power: `{n}` is squared", n=n), lambda v: v * v),
        ("sqrt", "another_power", tr("Another power: the root of `{n}` is used", n=n), np.sqrt),
        ("1-", "complement", tr("1 − `{n}` is used instead of `{n}`", n=n), lambda v: 1 - v),
        ("ln", "another_function", tr("The logarithm of `{n}` is used instead of `{n}`", n=n), np.log),
        ("exp", "another_function", tr("The exponential of `{n}` is used instead of `{n}`", n=n), np.exp),
        ("2", "wrong_scale", tr("Wrong scale: twice `{n}` is used instead of `{n}`", n=n), lambda v: 2 * v),
        ("half", "wrong_scale", tr("Wrong scale: half of `{n}` is used instead of `{n}`", n=n), lambda v: v / 2),
        ("10", "wrong_scale", tr("Wrong scale: ten times `{n}` is used instead of `{n}`", n=n), lambda v: 10 * v),
    ):
        yield _one(place, key, cause, line, partial(_if_finite, f=f), 18)


def _if_finite(v: Any, f: Callable[[Any], Any]) -> Any:
    made = float(f(v))
    return made if np.isfinite(made) else CANNOT


def _of_whole(place: Place, questions: Sequence[Arguments]) -> Iterator[Alteration]:
    n = place.shown
    yield from _off_by_one(place)
    for value in (0, 1, 2):
        yield _no_effect(place, value, 14)
    for key, cause, line, f in (
        ("2", "wrong_scale", tr("Wrong scale: twice `{n}` is used instead of `{n}`", n=n), lambda v: 2 * v),
        ("half", "wrong_scale", tr("Wrong scale: half of `{n}` is used instead of `{n}`", n=n), lambda v: v // 2),
        ("sq", "another_power", tr("Another power: `{n}` is squared", n=n), lambda v: v * v),
    ):
        yield _one(place, key, cause, line, f, 18)


def _off_by_one(place: Place) -> Iterator[Alteration]:
    for k, line in (
        (1, tr("Off by one: it is as if `{n}` were one larger", n=place.shown)),
        (-1, tr("Off by one: it is as if `{n}` were one smaller", n=place.shown)),
    ):
        yield _one(place, f"{k:+d}", "off_by_one", line, partial(_plus, k=k), 12)


def _plus(v: Any, k: int) -> Any:
    return v + k if type(v) is int else SAME


def _of_word(place: Place, questions: Sequence[Arguments]) -> Iterator[Alteration]:
    values = sorted({place.get(arguments) for arguments in questions})
    if len(values) == 2:
        other = dict(zip(values, values[::-1], strict=True))
        line = tr("Exchanged: `{n}` {a} is answered as {b}, and {b} as {a}", n=place.shown, a=repr(values[0]),
                  b=repr(values[1]))  # fmt: skip
        yield _one(place, "swap", "inverted", line, lambda v: other.get(v, CANNOT), 12)
    for value in values:
        yield _no_effect(place, value)


def _of_option(place: Place, questions: Sequence[Arguments]) -> Iterator[Alteration]:
    yield _no_effect(place, None)
    yield from _off_by_one(place)


def _of_list(place: Place, questions: Sequence[Arguments]) -> Iterator[Alteration]:
    n = place.shown
    for key, cause, line, f in (
        ("rev", "reversed", tr("Reversed: `{n}` is used in reverse order", n=n), lambda v: v[::-1]),
        ("cut", "off_by_one", tr("Off by one: the last of `{n}` is not used", n=n), lambda v: v[:-1] or CANNOT),
        ("tail", "off_by_one", tr("Off by one: the first of `{n}` is not used", n=n), lambda v: v[1:] or CANNOT),
        ("first", "one_for_all", tr("Only the first of `{n}` is used", n=n), lambda v: v[:1]),
        ("last", "one_for_all", tr("Only the last of `{n}` is used", n=n), lambda v: v[-1:]),
        ("same", "one_for_all", tr("The first of `{n}` is used in place of all", n=n), lambda v: v[:1] * len(v)),
        ("end", "one_for_all", tr("The last of `{n}` is used in place of all", n=n), lambda v: v[-1:] * len(v)),
    ):
        yield _one(place, key, cause, line, f, 16)


OF_KIND: dict[str, Callable[[Place, Sequence[Arguments]], Iterator[Alteration]]] = {
    "mask": _of_mask, "floats": _of_floats, "ids": _of_ids, "switch": _of_switch, "number": _of_number,
    "whole": _of_whole, "word": _of_word, "option": _of_option, "list": _of_list,
}  # fmt: skip


# --------------------------------------------------------------------------------------------------- of several at once


def _exchanged(kinds: dict[Place, str], questions: Sequence[Arguments]) -> Iterator[Alteration]:
    """Two of one kind that have changed places; one that is used in place of another."""
    alike = {("number", "whole"), ("whole", "number")}
    for a, b in itertools.combinations(kinds, 2):
        if kinds[a] != kinds[b] and (kinds[a], kinds[b]) not in alike:
            continue

        def swapped(arguments: Arguments, a: Place = a, b: Place = b) -> Any:
            x, y = a.get(arguments), b.get(arguments)
            return SAME if _equal(x, y) else b.put(a.put(arguments, y), x)

        line = tr("Exchanged: `{a}` and `{b}` have changed places", a=a.shown, b=b.shown)
        yield Alteration(f"swap {a.shown} {b.shown}", "exchanged", line, 12, swapped)
        for one, other in ((a, b), (b, a)):

            def instead(arguments: Arguments, one: Place = one, other: Place = other) -> Any:
                value = other.get(arguments)
                return SAME if _equal(one.get(arguments), value) else one.put(arguments, value)

            line = tr("`{b}` is used in place of `{a}`", a=one.shown, b=other.shown)
            yield Alteration(f"{other.shown} for {one.shown}", "exchanged", line, 13, instead)


def _scaled(task: Task, kinds: dict[Place, str], questions: Sequence[Arguments]) -> Iterator[Alteration]:
    """A floating argument times a size, its root, or one divided by these."""
    names = [n for n in sizes_of(task, questions[0]) if all(n in sizes_of(task, q) for q in questions[:8])]
    forms = [("√{s}", 0.5), ("1/√{s}", -0.5), ("{s}", 1.0), ("1/{s}", -1.0)]
    for place, kind in kinds.items():
        if kind not in ("floats", "number"):
            continue
        for name in names:
            if name == f"`{place.shown}`":
                continue
            for form, power in forms:

                def alter(arguments: Arguments, place: Place = place, name: str = name, power: float = power) -> Any:
                    n = sizes_of(task, arguments).get(name, 0.0)
                    return (
                        CANNOT if not n else SAME if n == 1 else place.put(arguments, place.get(arguments) * n**power)
                    )

                line = tr(
                    "Wrong scale: `{n}` enters {c} times as large as it should", n=place.shown, c=form.format(s=name)
                )
                yield Alteration(f"{place.shown} × {form.format(s=name)}", "wrong_scale", line, 26, alter)


def _together(kinds: dict[Place, str]) -> Iterator[Alteration]:
    """Another axis: rows and columns exchanged in all arrays and in the result; all rows as if they were one."""
    arrays = [place for place, kind in kinds.items() if kind in ("floats", "mask", "ids")]

    def across(arguments: Arguments) -> Any:
        made, moved = arguments, False
        for place in arrays:
            x = place.get(arguments)
            if x.ndim > 1:
                made, moved = place.put(made, np.swapaxes(x, -1, -2).copy()), True
        return made if moved else SAME

    def back(part: Any, arguments: Arguments) -> Any:
        return np.swapaxes(part, -1, -2) if isinstance(part, np.ndarray) and part.ndim > 1 else part

    line = tr("Wrong axis: rows are treated as columns, and columns as rows")
    yield Alteration("across", "wrong_axis", line, 11, across, back)

    def flat(arguments: Arguments) -> Any:
        shapes = {place.get(arguments).shape for place in arrays if place.get(arguments).ndim > 1}
        if len(shapes) != 1:
            return CANNOT
        made = arguments
        for place in arrays:
            x = place.get(arguments)
            made = place.put(made, x.reshape(1, -1)) if x.ndim > 1 else made
        return made

    def shaped(part: Any, arguments: Arguments) -> Any:
        for place in arrays:
            x = place.get(arguments)
            if isinstance(part, np.ndarray) and x.ndim > 1 and x.size == part.size:
                return part.reshape(x.shape)
        return part

    line = tr("Wrong axis: a sum, mean or maximum runs over all entries instead of over each row's own")
    yield Alteration("flat", "wrong_axis", line, 11, flat, shaped)


def _masks(kinds: dict[Place, str], questions: Sequence[Arguments]) -> Iterator[Alteration]:
    """The mask as a factor before, or after, instead of within."""
    masks = [place for place, kind in kinds.items() if kind == "mask"]
    floats = [place for place, kind in kinds.items() if kind == "floats"]
    for mask in masks:

        def open_(arguments: Arguments, mask: Place = mask) -> Any:
            m = mask.get(arguments)
            return SAME if m.all() else mask.put(arguments, np.ones_like(m))

        def times(part: Any, arguments: Arguments, mask: Place = mask) -> Any:
            m = mask.get(arguments)
            try:
                return part * np.broadcast_to(m, part.shape) if isinstance(part, np.ndarray) else part
            except ValueError:
                return part

        line = tr("Mask after the softmax: the result is computed without `{m}`, and only then multiplied by it",
                  m=mask.shown)  # fmt: skip
        yield Alteration(f"after {mask.shown}", "mask_after_softmax", line, 10, open_, times)
        for place in floats:

            def before(arguments: Arguments, mask: Place = mask, place: Place = place) -> Any:
                m, x = mask.get(arguments), place.get(arguments)
                if m.shape != x.shape:
                    return CANNOT
                return SAME if m.all() else mask.put(place.put(arguments, x * m), np.ones_like(m))

            line = tr(
                "The mask as a factor: where `{m}` is False, `{n}` is 0 and still takes part",
                m=mask.shown,
                n=place.shown,
            )
            yield Alteration(f"{place.shown} × {mask.shown}", "mask_as_factor", line, 10, before)


def _repeated(kinds: dict[Place, str], questions: Sequence[Arguments]) -> Iterator[Alteration]:
    """`=` for `+=`: of places that are named several times only the last counts, or the first."""
    for ids, kind in kinds.items():
        if kind != "ids" or any(ids.get(q).ndim != 1 for q in questions):
            continue
        beside = [
            place
            for place, other in kinds.items()
            if other in ("ids", "floats", "mask") and all(place.get(q).shape[:1] == ids.get(q).shape for q in questions)
        ]
        for which, line in (
            (-1, tr("`=` for `+=`: of the places that `{n}` names several times, only the last counts", n=ids.shown)),
            (0, tr("`=` for `+=`: of the places that `{n}` names several times, only the first counts", n=ids.shown)),
        ):

            def once(arguments: Arguments, ids: Place = ids, which: int = which, beside: Any = beside) -> Any:
                x = ids.get(arguments)
                at = {int(v): i for i, v in (enumerate(x) if which else reversed(list(enumerate(x))))}
                keep = np.array(sorted(at.values()), int)
                if len(keep) == len(x):
                    return SAME
                made = arguments
                for place in beside:
                    made = place.put(made, place.get(arguments)[keep])
                return made

            yield Alteration(f"once {ids.shown} {which}", "overwritten", line, 9, once)
