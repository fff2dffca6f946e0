"""All causes that are seen by comparing what was got with what was expected, without asking anything more."""

from collections.abc import Iterator, Sequence

from minilm.homework.diagnosis.axes import order, shape, transpose, turned
from minilm.homework.diagnosis.evidence import Explanation, Pair
from minilm.homework.diagnosis.factors import constant, factor, offset
from minilm.homework.diagnosis.sums import elementwise, kinds, normalised, reductions, sequences
from minilm.homework.diagnosis.terms import masked, missing, multiplied


def causes_of(pairs: Sequence[Pair]) -> Iterator[Explanation]:
    """All that account for these pairs, which belong to one part of the answer."""
    for search in (constant, factor, offset, shape, transpose, turned, elementwise, order, reductions, normalised,
                   sequences, kinds, missing, multiplied, masked):  # fmt: skip
        yield from search(pairs)
