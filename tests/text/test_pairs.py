"""Pairs of sentences: encoding and truncation, what follows what, and lengths that say nothing about it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minilm.errors import ConfigError, DataError
from minilm.text import CharTokenizer, MaskedBatches, Masker, PairBatches, collate, encode_pair, encode_sentences
from minilm.text.pairs import IS_NEXT, NOT_NEXT, kept_lengths
from minilm.text.sentences import split_sentences

SPECIAL = {"[PAD]": 0, "[UNK]": 1, "[CLS]": 2, "[SEP]": 3, "[MASK]": 4}
LIST = st.lists(st.integers(10, 99), min_size=1, max_size=20)


# --------------------------------------------------------------------------------------------------------- encoding


def truncated_one_by_one(a, b, room):
    """The paper's way: while it is too long, take one from the longer, from b where they are equal."""
    while a + b > room:
        if a > b:
            a -= 1
        else:
            b -= 1
    return a, b


@given(st.integers(1, 60), st.integers(1, 60), st.integers(2, 70))
def test_lengths_that_are_kept(a, b, room):
    assert kept_lengths(a, b, room) == truncated_one_by_one(a, b, room)


@given(LIST, st.one_of(st.none(), LIST), st.integers(5, 45), st.booleans(), st.booleans(), st.integers(0, 9))
def test_an_encoded_pair(a, b, max_length, at_random, pad, seed):
    rng = np.random.default_rng(seed) if at_random else None
    ids, segments, mask, truncated = encode_pair(SPECIAL, a, b, max_length, rng, pad)
    T = int(mask.sum())
    assert len(ids) == len(segments) == len(mask) == (max_length if pad else T) and max_length >= T
    assert mask[:T].all() and (ids[T:] == 0).all() and (segments[T:] == 0).all()
    first = 1 + ids[1:].tolist().index(3)
    parts = [ids[1:first].tolist()] + ([] if b is None else [ids[first + 1 : T - 1].tolist()])
    assert ids[0] == 2 and ids[T - 1] == 3 and (ids[:T] == 3).sum() == len(parts)
    assert (segments[: first + 1] == 0).all() and (segments[first + 1 : T] == 1).all()
    texts = [a] if b is None else [a, b]
    for part, text in zip(parts, texts, strict=True):
        assert part, "no text is cut away whole"
        starts = [i for i in range(len(text)) if text[i : i + len(part)] == part]
        assert starts and (at_random or starts[0] == 0)
    assert sum(map(len, texts)) - sum(map(len, parts)) == truncated
    assert truncated == 0 or max_length == T
    if b is not None:
        assert tuple(map(len, parts)) == truncated_one_by_one(len(a), len(b), max_length - 3)


def test_segments_change_right_after_the_first_sep():
    ids, segments, mask, truncated = encode_pair(SPECIAL, [10, 11], [12], 8, pad=True)
    assert ids.tolist() == [2, 10, 11, 3, 12, 3, 0, 0]
    assert segments.tolist() == [0, 0, 0, 0, 1, 1, 0, 0]
    assert mask.tolist() == [True] * 6 + [False] * 2 and truncated == 0


def test_random_truncation_takes_from_front_and_end():
    fronts = [encode_pair(SPECIAL, range(10, 40), [50], 14, np.random.default_rng(s)).ids[1] - 10 for s in range(400)]
    assert abs(np.mean(fronts) - 10) < 0.5 and abs(np.var(fronts) - 5) < 1.5  # 20 are taken: binomial(20, ½)


def test_collate():
    rows = [encode_pair(SPECIAL, [10], [11, 12]), encode_pair(SPECIAL, [13])]
    batch = collate(rows, 7)
    assert batch["ids"].tolist() == [[2, 10, 3, 11, 12, 3], [2, 13, 3, 7, 7, 7]]
    assert batch["segments"].tolist() == [[0, 0, 0, 1, 1, 1], [0] * 6]
    assert batch["attention_mask"].sum(1).tolist() == [6, 3]
    assert collate(rows, 7, length=9)["ids"].shape == (2, 9)


def test_padding_is_told_by_its_place_not_by_its_id():
    """Where [PAD] is [SEP] too, as in vocabularies that have one for both, the true [SEP] still is read."""
    shared = {**SPECIAL, "[PAD]": 3}
    ids, _, mask, _ = encode_pair(shared, [10, 3], [11], 9, pad=True)
    assert ids.tolist() == [2, 10, 3, 3, 11, 3, 3, 3, 3] and mask.tolist() == [True] * 6 + [False] * 3
    batch = collate([encode_pair(shared, [10], [11]), encode_pair(shared, [10, 3])], 3, length=8)
    assert batch["attention_mask"].sum(1).tolist() == [5, 4]
    batches = PairBatches(numbered(20), shared, 40, 5, short=1)
    for batch in batches.epoch():
        assert (batch["ids"] == 3).sum() > 2 * len(batch["ids"])
        assert ((batch["ids"] == 3) & batch["attention_mask"]).sum() == 2 * len(batch["ids"])


def test_texts_that_cannot_be_encoded():
    with pytest.raises(DataError, match="text a is empty"):
        encode_pair(SPECIAL, [], [1])
    with pytest.raises(DataError, match="text b is empty"):
        encode_pair(SPECIAL, [1], [])
    with pytest.raises(ConfigError, match="max_length is 4; it must be at least 5"):
        encode_pair(SPECIAL, [1], [1], 4)
    with pytest.raises(DataError, match=r"the tokenizer has no \[PAD\], \[CLS\], \[SEP\], \[MASK\]"):
        encode_pair(CharTokenizer.train("ab"), [0])


# ------------------------------------------------------------------------------------------------- what follows what


def numbered(count, seed=0, sentences=(1, 9), words=(1, 8)):
    """Documents whose tokens say where they stand: document · 1000 + position."""
    rng = np.random.default_rng(seed)
    documents = []
    for d in range(1, count + 1):
        sizes = rng.integers(*words, rng.integers(*sentences))
        ends = np.cumsum(sizes)
        documents.append([list(range(1000 * d + e - n, 1000 * d + e)) for n, e in zip(sizes, ends, strict=True)])
    return documents


def texts_of(batch):
    """(A, B, label) of each row, as token ids."""
    for ids, segments, mask, label in zip(
        batch["ids"], batch["segments"], batch["attention_mask"], batch["next_label"], strict=True
    ):
        a, b = ids[mask & (segments == 0)], ids[mask & (segments == 1)]
        assert a[0] == 2 and a[-1] == 3 and b[-1] == 3
        yield a[1:-1], b[:-1], label


@pytest.mark.parametrize("match_lengths", [True, False])
@pytest.mark.parametrize("max_length", [14, 40])
def test_a_true_pair_is_one_text_and_a_false_one_of_two_documents(match_lengths, max_length):
    """0: B begins where A ended; 1: it is of another document. Both are cut only where they do not fit."""
    documents = numbered(300)
    starts = {sentence[0] for document in documents for sentence in document}
    batches = PairBatches(documents, SPECIAL, max_length, 50, seed=3, match_lengths=match_lengths)
    labels, rows, amid = [], 0, 0
    for batch in batches.epoch():
        for a, b, label in texts_of(batch):
            assert (np.diff(a) == 1).all() and (np.diff(b) == 1).all()
            full = len(a) + len(b) == max_length - 3
            assert (a[0] in starts and b[0] in starts) or full or match_lengths
            if label == IS_NEXT:
                assert b[0] // 1000 == a[0] // 1000 and b[0] > a[-1]
                assert b[0] == a[-1] + 1 or full or match_lengths
                amid += b[0] != a[-1] + 1
            else:
                assert label == NOT_NEXT and b[0] // 1000 != a[0] // 1000
            labels.append(label)
            rows += 1
    assert amid < (0.02 if max_length > 30 else 0.5) * rows
    counts = batches.pairs(0).counts
    assert counts["pairs"] == rows == batches.pairs_per_epoch > 250
    share = np.mean(labels)
    if match_lengths:
        assert abs(share - 0.5) < 5 * 0.5 / np.sqrt(rows) and counts["forced"] == 0
    else:
        free = counts["pairs"] - counts["forced"]
        assert counts["forced"] == counts["single"] > 0
        assert abs((sum(labels) - counts["forced"]) / free - 0.5) < 5 * 0.5 / np.sqrt(free)


@pytest.mark.parametrize("match_lengths", [True, False])
def test_few_long_documents_take_no_b_of_their_own(match_lengths):
    documents = numbered(3, sentences=(80, 81))
    batches = PairBatches(documents, SPECIAL, 24, 5, short=0.5, match_lengths=match_lengths)
    wrong = 0
    for epoch in range(5):
        pairs = batches.pairs(epoch)
        source = batches.documents.tokens[np.stack([pairs.a[:, 0], pairs.b[:, 0]], 1)] // 1000
        assert (source == pairs.documents + 1).all()
        assert ((source[:, 0] != source[:, 1]) == (pairs.label == NOT_NEXT)).all()
        wrong += pairs.label.sum()
    assert wrong > 50


def test_every_chunk_is_used_once_and_what_is_left_is_counted():
    """Of an epoch: no A twice, each B at most twice (kept, and by its partner), tokens all accounted for."""
    documents = numbered(200, sentences=(1, 6))
    batches = PairBatches(documents, SPECIAL, 128, 10, short=0)
    pairs = batches.pairs(0)
    assert len(np.unique(pairs.a[:, 0])) == len(pairs.label)
    assert np.unique(pairs.b[:, 0], return_counts=True)[1].max() <= 2
    alone = sum(len(document) == 1 for document in documents)
    assert pairs.counts["single"] == alone > 10
    assert pairs.counts["pairs"] + pairs.counts["left_out"] == len(documents) - alone
    assert pairs.counts["left_out"] <= 2 and pairs.counts["truncated"] == 0
    cut = sum(map(sum, ([len(s) for s in document] for document in documents if len(document) > 1)))
    kept_truth = pairs.label == IS_NEXT
    ends = {document[-1][-1] for document in documents}
    shortened = [batches.documents.tokens[stop - 1] not in ends for stop in pairs.b[kept_truth, 1]]
    assert cut > 0 and (pairs.counts["cut"] > 0) == (np.mean(shortened) > 0)


def test_the_same_words_in_another_document_are_no_false_continuation():
    """Every document says the same: no B may be called wrong, so there are no pairs at all."""
    same = [[[10, 11], [12, 13]]] * 6
    with pytest.raises(DataError, match="no pair found a partner"):
        PairBatches(same, SPECIAL, 16, 2)
    some = [*same, [[10, 11], [14, 15]], [[10, 11], [16, 17]], [[20, 21], [12, 13]]]
    batches, wrong = PairBatches(some, SPECIAL, 16, 2), 0
    for epoch in range(30):
        pairs = batches.pairs(epoch)
        for (_, end), (start, stop), label in zip(pairs.a, pairs.b, pairs.label, strict=True):
            true = batches.documents.tokens[end : end + stop - start]
            assert (label == IS_NEXT) == (true == batches.documents.tokens[start:stop]).all()
            wrong += label
    assert wrong > 30


def test_short_inputs_are_known_too():
    lengths = {}
    for short in (0, 0.1, 1):
        batches = PairBatches(numbered(200, sentences=(60, 61), words=(2, 5)), SPECIAL, 64, 50, short=short)
        pairs = batches.pairs(0)
        lengths[short] = (pairs.a[:, 1] - pairs.a[:, 0] + pairs.b[:, 1] - pairs.b[:, 0]) < 40
    assert lengths[0].mean() < lengths[0.1].mean() < lengths[1].mean()
    assert lengths[1].mean() > 0.5


# ------------------------------------------------------------------------------------------------ lengths tell nothing


def told_by(features, label):
    """How often a logistic regression, fitted to one half, is right about the label of the other."""
    x = np.stack(features, 1).astype(float)
    x = np.concatenate([np.ones((len(x), 1)), (x - x.mean(0)) / (x.std(0) + 1e-9)], 1)
    order = np.random.default_rng(0).permutation(len(x))
    fit, test = order[: len(x) // 2], order[len(x) // 2 :]
    w = np.zeros(x.shape[1])
    for _ in range(20):  # Newton's method, with a little decay for features that say the same
        p = 1 / (1 + np.exp(-x[fit] @ w))
        hessian = (x[fit] * (p * (1 - p))[:, None]).T @ x[fit] + 1e-3 * np.eye(len(w))
        w += np.linalg.solve(hessian, x[fit].T @ (label[fit] - p) - 1e-3 * w)
    return ((x[test] @ w > 0) == label[test]).mean()


def lengths_of(pairs):
    """Lengths and positions of [SEP], and what a regression may make of them."""
    a, b = pairs.a[:, 1] - pairs.a[:, 0], pairs.b[:, 1] - pairs.b[:, 0]
    return [a, b, a + b, a / (a + b), a == 1, b == 1, a > b, a * b, a * a, b * b, a % 2, b % 2, np.log(a), np.log(b),
            a + b == (a + b).max()]  # fmt: skip


def cuts_of(pairs, documents):
    """Where B begins or ends amid a sentence, and where it ends its document; by themselves and with the lengths."""
    bounds = np.concatenate(documents.bounds)
    last = np.array([bounds[-1] for bounds in documents.bounds])
    marks = [np.isin(pairs.b[:, 0], bounds), np.isin(pairs.b[:, 1], bounds), np.isin(pairs.b[:, 1], last)]
    room = lengths_of(pairs)[-1]
    return [*marks, *(mark & room for mark in marks), *(mark * lengths_of(pairs)[2] for mark in marks)]


def uneven(count, seed=0):
    """Documents of very different sizes, with long and short sentences."""
    rng = np.random.default_rng(seed)
    return [
        [rng.integers(10, 500, rng.geometric(0.15)).tolist() for _ in range(rng.geometric(0.12))] for _ in range(count)
    ]


def check_nothing_tells(count, tolerance):
    batches = PairBatches(uneven(count), SPECIAL, 64, 32, seed=1)
    pairs = batches.pairs(0)
    for features in (lengths_of(pairs), lengths_of(pairs) + cuts_of(pairs, batches.documents)):
        assert abs(told_by(features, pairs.label) - 0.5) <= tolerance
    assert pairs.counts["cut"] < 0.01 * (pairs.b[:, 1] - pairs.b[:, 0]).sum()
    return len(pairs.label)


def test_lengths_and_positions_do_not_tell_the_label():
    assert check_nothing_tells(12_000, 0.015) > 15_000  # tolerance: about 2.6 standard deviations


@pytest.mark.slow
def test_lengths_and_positions_do_not_tell_the_label_of_100_000_pairs():
    assert check_nothing_tells(80_000, 0.01) >= 100_000


def test_the_regression_sees_what_tells():
    """BERT's own procedure, on such documents, whose lengths tell; and labels that lengths make."""
    batches = PairBatches(uneven(5_000), SPECIAL, 64, 32, seed=1, match_lengths=False)
    pairs = batches.pairs(0)
    assert told_by(lengths_of(pairs), pairs.label) > 0.55
    assert told_by(lengths_of(pairs), (pairs.b[:, 1] - pairs.b[:, 0] > 9).astype(int)) > 0.95


# ---------------------------------------------------------------------------------------------------------- batches


def test_batches_are_functions_of_seed_and_step():
    documents = numbered(60)
    one, two = (PairBatches(documents, SPECIAL, 24, 7, seed=s) for s in (0, 1))
    batch = one.at(5)
    assert {name: a.shape for name, a in batch.items()} == {
        "ids": (7, 24), "segments": (7, 24), "attention_mask": (7, 24), "next_label": (7,)}  # fmt: skip
    assert batch["attention_mask"].dtype == bool and not batch["ids"].flags.writeable
    one.at(100)
    again = PairBatches(documents, SPECIAL, 24, 7).at(5)
    assert all((batch[name] == one.at(5)[name]).all() and (batch[name] == again[name]).all() for name in batch)
    assert (two.at(5)["ids"] != batch["ids"]).any() and (one.at(6)["ids"] != batch["ids"]).any()


def test_an_epoch_goes_once_through_all_pairs_and_the_next_makes_others():
    batches = PairBatches(numbered(60), SPECIAL, 24, 7)
    n = batches.pairs_per_epoch
    keys = [key for step in range(3 * n // 7 + 1) for key in batches.keys(step)]
    assert sorted(keys[:n]) == [(0, i) for i in range(n)]
    assert {version for version, _ in keys[n : 2 * n]} == {1}
    assert batches.steps_per_epoch == n / 7
    epochs = [np.concatenate([b["ids"] for b in batches.epoch(e)]) for e in range(2)]
    assert {row.tobytes() for row in epochs[0]} != {row.tobytes() for row in epochs[1]}


def test_data_with_versions_comes_back_with_its_masks():
    documents = numbered(60, words=(2, 9))
    tokens = 61_000
    for versions, same in ((None, False), (1, True), (3, False)):
        batches = PairBatches(documents, SPECIAL, 24, 1, versions=versions)
        masked = MaskedBatches(batches, Masker(SPECIAL, tokens))
        n = batches.pairs_per_epoch
        first, second = masked.at(0), masked.at(n)
        assert same == all((first[name] == second[name]).all() for name in first)
        if versions == 3:
            fourth = masked.at(3 * n)
            assert all((first[name] == fourth[name]).all() for name in first)


def test_single_texts_have_no_second_segment_and_no_label():
    documents = numbered(40)
    batches = PairBatches(documents, SPECIAL, 24, 6, next_sentence=False, short=0)
    read = []
    for batch in batches.epoch():
        assert set(batch) == {"ids", "segments", "attention_mask"} and (batch["segments"] == 0).all()
        for ids, mask in zip(batch["ids"], batch["attention_mask"], strict=True):
            assert ids[0] == 2 and ids[mask][-1] == 3 and (ids == 3).sum() == 1
            read += ids[mask][1:-1].tolist()
    total = sum(len(s) for d in documents for s in d)
    assert len(set(read)) == len(read) == total - batches.pairs(0).counts["truncated"]


# -------------------------------------------------------------------------------------------------- text and refusals


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("One two. Three!  Four? Five…\nsix", ["One two.", "Three!", "Four?", "Five…", "six"]),
        ("a line\nthat goes on.\n\nA heading\n \n\nEnd", ["a line that goes on.", "A heading", "End"]),
        ('He said "no." (Then yes.) Pi is 3.14 today.', ['He said "no."', "(Then yes.)", "Pi is 3.14 today."]),
        ("¿ cómo es ? roja . «Sí.» Fin", ["¿ cómo es ?", "roja .", "«Sí.»", "Fin"]),
        (" \n\n ", []),
        ("Wait... what?! no\r\n\r\nyes", ["Wait...", "what?!", "no", "yes"]),
    ],
)
def test_sentences_of_a_text(text, sentences):
    assert split_sentences(text) == sentences


def test_one_sentence_a_line():
    assert split_sentences("one\ntwo. three\n\nfour", lines=True) == ["one", "two.", "three", "four"]


def test_text_to_pairs():
    tokenizer = CharTokenizer.train("abcdefgh. ")
    documents = encode_sentences(tokenizer, ["ab. cd.", "", " \n ", "ef. gh.\n\nab"])
    assert [[tokenizer.decode(s) for s in d] for d in documents] == [["ab.", "cd."], ["ef.", "gh.", "ab"]]
    special = {name: 20 + i for name, i in SPECIAL.items()}
    batch = PairBatches(documents, special, 12, 2).at(0)
    assert batch["ids"].shape == (2, 12)


def test_documents_that_give_no_pairs():
    two = "at least two documents of two sentences or more, but of {} documents {} have"
    for documents, said in (
        ([], two.format(0, 0)),
        ([[[1], [2]]], two.format(1, 1)),
        ([[[1]], [[2]], [[3], []]], two.format(3, 0)),
        ([[[1], [2]], [[3]]], two.format(2, 1)),
        ([[[1.5], [2]], [[3], [4]]], "a sentence must be a row of integers"),
    ):
        with pytest.raises(DataError, match=said):
            PairBatches(documents, SPECIAL, 16, 2)
    with pytest.raises(DataError, match="no document with a sentence"):
        PairBatches([[], [[]]], SPECIAL, 16, 2, next_sentence=False)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"max_length": 4}, "max_length must be an integer of at least 5, not 4"),
        ({"batch_size": 0}, "batch_size must be"),
        ({"seed": -1}, "seed must be"),
        ({"versions": 0}, "versions must be"),
        ({"short": 2}, "short is a probability from 0 to 1, not 2"),
    ],
)
def test_numbers_that_cannot_be(change, said):
    with pytest.raises(ConfigError, match=said):
        PairBatches(numbered(9), SPECIAL, **{"max_length": 16, "batch_size": 2, **change})
    with pytest.raises(ConfigError, match="step must be"):
        PairBatches(numbered(9), SPECIAL, 16, 2).at(-1)
