"""Masking: how many, which, by what, what is guessed; by chi-squared on a million tokens and by properties."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minilm.errors import ConfigError, DataError, ShapeError
from minilm.text import CharTokenizer
from minilm.text.masking import (
    SPAN_LENGTHS,
    LeftToRightBatches,
    MaskedBatches,
    Masker,
    Masking,
)

SPECIAL = {"[PAD]": 0, "[UNK]": 3, "[CLS]": 5, "[SEP]": 6, "[MASK]": 9}  # not the first ids, nor neighbours
EVERY = sorted(SPECIAL.values())
V = 40
PLAIN = [i for i in range(V) if i not in EVERY]
IGNORE = -100


def rows(lengths, T, seed=0):
    """[CLS] … [SEP] … [SEP] [PAD]…, with plain tokens between, and which positions are real."""
    rng = np.random.default_rng(seed)
    ids = rng.choice(PLAIN, (len(lengths), T))
    ids[:, 0] = SPECIAL["[CLS]"]
    for row, n in zip(ids, lengths, strict=True):
        row[[n // 2, n - 1]] = SPECIAL["[SEP]"]
        row[n:] = SPECIAL["[PAD]"]
    return ids, np.arange(T) < np.array(lengths)[:, None]


def chi_squared(observed, expected):
    """Σ (o − e)² / e, and the value that it passes once in a million (Wilson and Hilferty's approximation)."""
    observed, expected = np.asarray(observed, float), np.asarray(expected, float)
    assert observed.sum() == pytest.approx(expected.sum(), rel=1e-9) and expected.min() > 50
    k = len(observed) - 1
    return ((observed - expected) ** 2 / expected).sum(), k * (1 - 2 / (9 * k) + 4.753 * np.sqrt(2 / (9 * k))) ** 3


def assert_fits(observed, expected):
    found, limit = chi_squared(observed, expected)
    assert found < limit, (observed, expected)


def test_the_test_rejects_what_does_not_fit():
    assert_fits([5010, 4990], [5000, 5000])
    with pytest.raises(AssertionError):
        assert_fits([5300, 4700], [5000, 5000])


# ------------------------------------------------------------------------------------------------------- statistics


@pytest.fixture(scope="module")
def million():
    """10^6 tokens: 8,000 rows of 125 and their masks."""
    ids, real = rows([125] * 8000, 125)
    return ids, *Masker(SPECIAL, V, seed=11)(ids, real, [(0, i) for i in range(len(ids))])


def test_rates_of_a_million_tokens(million):
    """round(.15 · 125) = 19 a row, each plain position equally often; 80 % masked, 10 % random, 10 % kept."""
    ids, masked, targets = million
    assert ids.size == 10**6
    chosen = targets != IGNORE
    assert (chosen.sum(1) == 19).all()
    plain = ~np.isin(ids[0], EVERY)
    assert plain.sum() == 122
    assert_fits(chosen[:, plain].sum(0), np.full(122, 8000 * 19 / 122))
    n, kinds = chosen.sum(), len(PLAIN)
    is_mask, same = masked[chosen] == SPECIAL["[MASK]"], masked[chosen] == ids[chosen]
    # a random token is the original itself once in `kinds`
    expected = np.array([0.8, 0.1 * (1 - 1 / kinds), 0.1 + 0.1 / kinds]) * n
    assert_fits([is_mask.sum(), (~is_mask & ~same).sum(), same.sum()], expected)


def test_a_random_token_is_any_but_a_special_one_equally_often_whatever_stood_there(million):
    ids, masked, targets = million
    other = (targets != IGNORE) & (masked != ids) & (masked != SPECIAL["[MASK]"])
    assert not np.isin(masked[other], EVERY).any()
    counts = np.bincount(masked[other], minlength=V)[PLAIN]
    # each token replaces any of the other kinds: uniform but for the original's own share
    originals = np.bincount(ids[other], minlength=V)[PLAIN]
    assert_fits(counts, (originals.sum() - originals) / (len(PLAIN) - 1))
    table = np.zeros((len(PLAIN), len(PLAIN)))
    np.add.at(table, (np.searchsorted(PLAIN, ids[other]), np.searchsorted(PLAIN, masked[other])), 1)
    assert (np.diag(table) == 0).all() and np.count_nonzero(table) > 0.95 * len(PLAIN) * (len(PLAIN) - 1)


def test_no_special_token_is_chosen_and_targets_are_the_originals(million):
    ids, masked, targets = million
    chosen = targets != IGNORE
    assert not np.isin(ids[chosen], EVERY).any()
    assert (targets[chosen] == ids[chosen]).all() and (masked[~chosen] == ids[~chosen]).all()


def test_neighbours_and_rows_are_chosen_independently(million):
    """Pairs of neighbours are both chosen as often as drawing without replacement says."""
    _, _, targets = million
    chosen = targets[:, 1:62] != IGNORE
    pairs = (chosen[:, :-1] & chosen[:, 1:]).sum()
    wanted = 8000 * 60 * (19 / 122) * (18 / 121)
    assert abs(pairs - wanted) < 5 * np.sqrt(wanted)
    assert abs(np.corrcoef(chosen[:-1].ravel(), chosen[1:].ravel())[0, 1]) < 5 / np.sqrt(chosen.size)


@pytest.mark.parametrize(
    ("masked", "random", "expected"),
    [(1, 0, (1, 0, 0)), (0, 0, (0, 0, 1)), (0, 1, (0, 1, 0)), (0.5, 0.2, (0.5, 0.2, 0.3))],
)
def test_other_mixtures(masked, random, expected):
    ids, real = rows([125] * 800, 125)
    found, targets = Masker(SPECIAL, V, Masking(masked=masked, random=random))(ids, real)
    chosen = targets != IGNORE
    is_mask, same = found[chosen] == SPECIAL["[MASK]"], found[chosen] == ids[chosen]
    n, lucky = chosen.sum(), expected[1] / len(PLAIN)
    parts = np.array([expected[0], expected[1] - lucky, expected[2] + lucky])
    seen = np.array([is_mask.sum(), (~is_mask & ~same).sum(), same.sum()])
    assert (seen[parts == 0] == 0).all()
    if (parts > 0).sum() > 1:
        assert_fits(seen[parts > 0], parts[parts > 0] * n)


# ------------------------------------------------------------------------------------------------------- properties


@pytest.mark.parametrize(
    ("length", "most", "count"),
    [(3, None, 1), (9, None, 1), (10, None, 2), (11, None, 2), (20, None, 3), (30, None, 4), (50, None, 8),
     (125, None, 19), (128, 20, 19), (512, 76, 76), (512, None, 77), (512, 1, 1)],
)  # fmt: skip
def test_the_count_rule(length, most, count):
    """min(max_predictions, max(1, round(.15 n))), n with [CLS] and [SEP], halves to even as Python rounds."""
    assert count == min(most or 10**9, max(1, round(0.15 * length)))
    ids, real = rows([length], length + 4)
    masker = Masker(SPECIAL, V, Masking(max_predictions=most))
    candidates = int((~np.isin(ids, EVERY)).sum())
    assert (masker(ids, real)[1] != IGNORE).sum() == min(count, candidates)


@given(
    st.lists(st.integers(3, 24), min_size=1, max_size=5),
    st.sampled_from(["token", "word", "span"]),
    st.floats(0, 1),
    st.one_of(st.none(), st.integers(1, 9)),
    st.integers(0, 99),
)
def test_whatever_is_asked(lengths, unit, rate, most, seed):
    """Specials and padding never; targets are originals; elsewhere nothing changes; as many as the rule says."""
    ids, real = rows(lengths, max(lengths) + 2, seed)
    continues = np.isin(np.arange(V), PLAIN[::3])
    masking = Masking(rate, most, unit=unit)
    found, targets = Masker(SPECIAL, V, masking, seed, continues)(ids, real)
    chosen = targets != IGNORE
    assert not (chosen & (np.isin(ids, EVERY) | ~real)).any()
    assert (targets[chosen] == ids[chosen]).all() and (found[~chosen] == ids[~chosen]).all()
    assert not np.isin(found[chosen], [i for i in EVERY if i != SPECIAL["[MASK]"]]).any()
    wanted = np.minimum(masking.count(np.array(lengths)), (real & ~np.isin(ids, EVERY)).sum(1))
    if unit == "word":  # whole words need not fill the count; one that is longer than it is taken only alone
        words = Masker(SPECIAL, V, masking, seed, continues)
        assert (chosen.any(1) == (wanted > 0)).all()
        for row in range(len(ids)):
            if chosen[row].sum() > wanted[row]:
                assert len(spans_of(chosen[row], ids[row], words.continues)) == 1
    else:
        assert (chosen.sum(1) == wanted).all()
    again, same = Masker(SPECIAL, V, masking, seed, continues)(ids, real)
    assert (again == found).all() and (same == targets).all()


def spans_of(chosen, ids, continues):
    """The words that are chosen, as lists of positions."""
    words = []
    for t in np.flatnonzero(chosen):
        if words and words[-1][-1] == t - 1 and continues[ids[t]]:
            words[-1].append(t)
        else:
            words.append([t])
    return words


def test_a_mask_is_a_function_of_seed_and_key_alone():
    ids, real = rows([20, 17, 24, 24], 24)
    ids[3] = ids[2]
    masker = Masker(SPECIAL, V, seed=4)
    keys = [(7, 0), (7, 1), (7, 2), (7, 3)]
    found, targets = masker(ids, real, keys)
    assert (targets[2] != targets[3]).any(), "equal rows have masks of their own"
    alone = masker(ids[1:2, :17], real[1:2, :17], [(7, 1)])
    assert (alone[0][0] == found[1, :17]).all() and (alone[1][0] == targets[1, :17]).all()
    for other in (Masker(SPECIAL, V, seed=5)(ids, real, keys), masker(ids, real, [(8, i) for i in range(4)])):
        assert (other[1] != targets).any()
    assert (masker(ids)[1] == masker(ids, real)[1]).all(), "what is [PAD] is padding"


def test_whole_words_go_together():
    """Pieces with ## go with what stands before them; a piece after [SEP] is a word of its own."""
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "##b", "##c", "d", "##"]
    continues = [token in ("##b", "##c") for token in tokens]
    special = {name: i for i, name in enumerate(tokens[:5])}
    ids = np.tile([[2, 5, 6, 7, 8, 5, 6, 3, 7, 6, 8, 9, 8, 3]], (300, 1))
    words = [{1, 2, 3}, {4}, {5, 6}, {8, 9}, {10}, {11}, {12}]
    _, targets = Masker(special, 10, Masking(rate=0.3, unit="word"), continues=continues)(ids)
    seen = set()
    for row in targets != IGNORE:
        chosen = set(np.flatnonzero(row).tolist())
        hit = [i for i, word in enumerate(words) if word & chosen]
        assert set().union(*(words[i] for i in hit)) == chosen
        assert len(chosen) == 4, "there are words of one token to fill the rest"
        seen.update(hit)
    assert seen == set(range(7))
    # a word that is longer than the count is still guessed when there is no other
    long = np.array([[2, 5, 6, 7, 6, 3]])
    _, targets = Masker(special, 10, Masking(rate=0.1, unit="word"), continues=continues)(long)
    assert (targets != IGNORE).tolist() == [[False, True, True, True, True, False]]


class Pieces(CharTokenizer):
    """A tokenizer that knows special tokens, and which tokens go on a word."""

    special_tokens = SPECIAL
    continues = tuple(i in PLAIN[::2] for i in range(V))


def test_a_tokenizer_says_what_its_vocabulary_and_its_words_are():
    tokenizer = Pieces.train("".join(map(chr, range(200, 200 + V))))
    masker, plain = Masker(tokenizer, masking=Masking(unit="word")), Masker(SPECIAL, V, Masking(unit="word"))
    assert masker.continues.tolist() == list(Pieces.continues) and not plain.continues.any()
    ids, real = rows([30] * 20, 30)
    assert (masker(ids, real)[1] != plain(ids, real)[1]).any()


def test_pieces_of_a_word_meet_fates_of_their_own_and_those_of_a_span_one():
    ids, real = rows([120] * 300, 120)
    continues = np.isin(np.arange(V), PLAIN[::2])
    for unit, together in (("word", False), ("span", True)):
        found, targets = Masker(SPECIAL, V, Masking(unit=unit, random=0.2), continues=continues)(ids, real)
        mixed = 0
        for row, goal, original in zip(found, targets, ids, strict=True):
            for word in spans_of(goal != IGNORE, original, continues):
                mixed += len({bool(row[t] == SPECIAL["[MASK]"]) for t in word}) > 1
        assert (mixed > 20) != together
        assert together == (mixed == 0)


def test_spans_have_spanberts_lengths():
    """ℓ ∝ .2 · .8^(ℓ−1) up to 10, mean 3.8; one span a row so that none touches another, nor is cut."""
    ids, real = rows([102] * 6000, 102)
    ids[:, 51] = PLAIN[0]  # no [SEP] amid the row
    masker = Masker(SPECIAL, V, Masking(rate=0.0999, unit="span"))
    assert masker.masking.count(np.array([102])) == 10
    lengths = []
    for row in masker(ids, real)[1] != IGNORE:
        edges = np.flatnonzero(np.diff(np.concatenate([[0], row, [0]])))
        runs = edges[1::2] - edges[::2]
        lengths.append(runs)
        assert runs.sum() == 10
    p = 0.2 * 0.8 ** np.arange(10)
    p /= p.sum()
    assert (p * np.arange(1, 11)).sum() == pytest.approx(3.797, abs=1e-3)
    np.testing.assert_allclose(np.diff(SPAN_LENGTHS, prepend=0), p, rtol=1e-12)
    # only a span of ten leaves one run of ten, but for neighbours that grow together: about 6 % + few
    whole = np.mean([len(runs) == 1 for runs in lengths])
    assert p[9] < whole < p[9] + 0.05
    assert 2.0 < np.mean([len(runs) for runs in lengths]) < 3.5


# ---------------------------------------------------------------------------------------------------------- batches


class Source:
    """Two batches of three rows, over and over."""

    def __init__(self, keyed):
        if keyed:
            self.keys = lambda step: [(0, 3 * (step % 2) + i) for i in range(3)]

    def at(self, step):
        ids, real = rows([20, 16, 12], 20, seed=step % 2)
        return {"ids": ids, "attention_mask": real, "next_label": np.array([0, 1, 0])}

    def epoch(self, epoch):
        return (self.at(step) for step in range(2))


def test_dynamic_masks_are_new_each_time_and_static_ones_come_again():
    for keyed in (False, True):
        batches = MaskedBatches(Source(keyed), Masker(SPECIAL, V, seed=1))
        first, second, again = batches.at(0), batches.at(2), batches.at(0)
        assert (first["targets"] == again["targets"]).all() and (first["ids"] == again["ids"]).all()
        assert keyed == (first["targets"] == second["targets"]).all()
        assert (first["next_label"] == [0, 1, 0]).all() and not first["ids"].flags.writeable
        original = Source(keyed).at(0)["ids"]
        chosen = first["targets"] != IGNORE
        assert (first["targets"][chosen] == original[chosen]).all()
    keyed = MaskedBatches(Source(True), Masker(SPECIAL, V, seed=1))
    for step, batch in enumerate(keyed.epoch(0)):
        assert (batch["targets"] == keyed.at(step)["targets"]).all()


def test_left_to_right_guesses_the_next_real_token():
    batch = LeftToRightBatches(Source(False)).at(0)
    ids, real = rows([20, 16, 12], 20)
    assert (batch["ids"] == ids).all()
    for row, n in enumerate((20, 16, 12)):
        assert (batch["targets"][row, : n - 1] == ids[row, 1:n]).all()
        assert (batch["targets"][row, n - 1 :] == IGNORE).all()
    assert real.sum() - 3 == (batch["targets"] != IGNORE).sum()
    assert len(list(LeftToRightBatches(Source(False)).epoch(0))) == 2


# --------------------------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"rate": 1.5}, "rate is a part from 0 to 1, not 1.5"),
        ({"masked": -0.1}, "masked is a part from 0 to 1, not -0.1"),
        ({"random": "much"}, "random is a part from 0 to 1, not 'much'"),
        ({"masked": 0.8, "random": 0.3}, "masked 0.8 and random 0.3 are more than all"),
        ({"max_predictions": 0}, "max_predictions is 0; it must be a whole number of at least 1"),
        ({"unit": "letter"}, "unit is 'letter'; it must be one of 'token', 'word', 'span'"),
    ],
)
def test_settings_that_cannot_be(settings, said):
    with pytest.raises(ConfigError, match=said):
        Masking(**settings)


def test_vocabularies_and_ids_that_do_not_fit():
    with pytest.raises(DataError, match=r"the tokenizer has no \[SEP\], \[MASK\]"):
        Masker({"[PAD]": 0, "[CLS]": 1}, V)
    with pytest.raises(ConfigError, match="vocab_size is 9, but there is a special token with id 9"):
        Masker(SPECIAL, 9)
    with pytest.raises(ConfigError, match="vocab_size is 4: there is no token but special ones"):
        Masker({"[PAD]": 0, "[CLS]": 1, "[SEP]": 2, "[MASK]": 3}, 4)
    with pytest.raises(ShapeError, match="continues: got shape"):
        Masker(SPECIAL, V, continues=np.zeros(V - 1, bool))
    with pytest.raises(ConfigError, match="vocab_size is needed"):
        Masker(SPECIAL)
    for bad in (-1, V):
        with pytest.raises(DataError, match="the vocabulary has 0 to 39"):
            Masker(SPECIAL, V)(np.array([[5, bad, 6]]))
