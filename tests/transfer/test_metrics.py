"""Each measure against scikit-learn, SciPy or seqeval, and the cases in which they differ from what one thinks."""

import warnings

import numpy as np
import pytest
import seqeval.metrics
import sklearn.metrics
from hypothesis import given
from hypothesis import strategies as st

from minilm.errors import DataError
from minilm.transfer import metrics

pairs = st.integers(1, 40).flatmap(
    lambda n: st.tuples(*[st.lists(st.integers(0, 3), min_size=n, max_size=n) for _ in range(2)])
)
tags = st.sampled_from(["O", "B-PER", "I-PER", "B-LOC", "I-LOC"])
tag_rows = st.lists(
    st.integers(1, 8).flatmap(lambda n: st.tuples(*[st.lists(tags, min_size=n, max_size=n) for _ in range(2)])),
    min_size=1,
    max_size=5,
)


def close(a: float, b: float) -> bool:
    return not (abs(a - b) > 1e-9)


@given(pairs)
def test_classes_equal_scikit_learn(pair) -> None:
    gold, guessed = pair
    assert close(metrics.accuracy(gold, guessed), sklearn.metrics.accuracy_score(gold, guessed))
    assert close(
        metrics.macro_f1(gold, guessed), sklearn.metrics.f1_score(gold, guessed, average="macro", zero_division=0)
    )
    one, two = [int(g == 1) for g in gold], [int(g == 1) for g in guessed]
    assert close(metrics.f1(gold, guessed, 1), sklearn.metrics.f1_score(one, two, zero_division=0))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a single class
        assert close(metrics.matthews(gold, guessed), sklearn.metrics.matthews_corrcoef(gold, guessed))
    wanted = sklearn.metrics.confusion_matrix(gold, guessed, labels=range(4))
    assert (metrics.confusion(gold, guessed, range(4)) == wanted).all()


@given(st.lists(st.tuples(st.integers(0, 6), st.floats(-5, 5)), min_size=3, max_size=30))
def test_numbers_equal_scipy(found) -> None:
    from scipy.stats import pearsonr, rankdata, spearmanr

    x, y = (np.array(v, float) for v in zip(*found, strict=True))
    assert (metrics.ranks(x) == rankdata(x)).all()
    if np.ptp(x) > 1e-3 and np.ptp(y) > 1e-3:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            assert not (abs(metrics.pearson(x, y) - pearsonr(x, y)[0]) > 1e-6)
            assert not (abs(metrics.spearman(x, y) - spearmanr(x, y)[0]) > 1e-6)
    positive = x > 2
    if positive.any() and not positive.all():
        assert close(metrics.auc(positive, y), sklearn.metrics.roc_auc_score(positive, y))


@given(tag_rows)
def test_entities_equal_seqeval(rows) -> None:
    gold, guessed = [list(a) for a, _ in rows], [list(b) for _, b in rows]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert close(metrics.entity_f1(gold, guessed), seqeval.metrics.f1_score(gold, guessed))


def test_entities_are_read_as_conlleval_does() -> None:
    assert metrics.entities(["I-A", "I-A", "B-A", "I-B", "O", "B-B"]) == [
        ("A", 0, 1), ("A", 2, 2), ("B", 3, 3), ("B", 5, 5),
    ]  # fmt: skip
    assert metrics.entity_f1([["B-A", "I-A"]], [["B-A", "O"]]) == 0  # half an entity is none
    assert metrics.is_bio(["O", "B-A"]) and not metrics.is_bio(["O"]) and not metrics.is_bio(["PER", "O"])


def test_answers_are_normalized_as_squad_does() -> None:
    assert metrics.normalized_answer(" The  Cat, an animal! ") == "cat animal"
    assert metrics.exact_match(["the cat", ""], ["Cat.", "dog"]) == 0.5
    assert close(metrics.answer_f1(["a big red cat"], ["red dog"]), 2 * 1 / (3 + 2))
    assert metrics.answer_f1(["", ""], ["", "cat"]) == 0.5


def test_nothing_to_measure_is_refused_or_zero() -> None:
    with pytest.raises(DataError, match="2 labels and 1 predictions"):
        metrics.accuracy([1, 2], [1])
    with pytest.raises(DataError, match="at least one"):
        metrics.exact_match([], [])
    with pytest.raises(DataError, match="both positive and negative"):
        metrics.auc([1, 1], [0.1, 0.2])
    assert metrics.pearson([1, 1], [1, 2]) == 0 == metrics.matthews([1, 1], [1, 1])
