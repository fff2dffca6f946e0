"""The rows that models read: what stands where, what is cut off, and how batches are drawn."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_models import words_tokenizer

from minilm.errors import ConfigError, DataError
from minilm.transfer.examples import Example, Task
from minilm.transfer.inputs import BertReader, GPTReader, TaskBatches, TaskTokens, collate_task, encode

TOKENS = TaskTokens(100, 101, 102, 3)
CLASSIFY = Task("classify", ("a", "b"))
texts = st.lists(st.integers(5, 20), min_size=1, max_size=30)


def gpt(length: int = 16) -> GPTReader:
    return GPTReader(TOKENS, length)


def bert(length: int = 16) -> BertReader:
    return BertReader(words_tokenizer(), length)


class TestTaskTokens:
    def test_stand_behind_the_vocabulary(self) -> None:
        assert TaskTokens.after(30, words_tokenizer()) == TaskTokens(30, 31, 32, 3)

    def test_begin_as_documents_did(self) -> None:
        assert TaskTokens.after(40, words_tokenizer("<bos>")) == TaskTokens(5, 40, 41, 2)


class TestGPTRows:
    def test_of_one_text(self) -> None:
        row = gpt().row([7, 8, 9])
        assert row.ids.tolist() == [100, 7, 8, 9, 102]
        assert (row.first, row.truncated) == ((1, 3), 0)

    def test_of_a_pair(self) -> None:
        row = gpt().row([7, 8], [9])
        assert row.ids.tolist() == [100, 7, 8, 101, 9, 102]
        assert (row.first, row.second) == ((1, 2), (4, 1))

    def test_of_similarity_are_both_orders(self) -> None:
        task = Task("classify", ("no", "yes"), symmetric=True)
        rows = encode(gpt(), task, Example([7, 8], 1, [9])).rows
        assert [row.ids.tolist() for row in rows] == [[100, 7, 8, 101, 9, 102], [100, 9, 101, 7, 8, 102]]

    def test_of_a_choice_are_one_for_each(self) -> None:
        found = encode(gpt(), Task("choice"), Example([7], 1, (), ([8], [9, 10])))
        assert [row.ids.tolist() for row in found.rows] == [[100, 7, 101, 8, 102], [100, 7, 101, 9, 10, 102]]

    @given(texts, st.none() | texts, st.integers(5, 40))
    def test_fit_and_count_what_does_not(self, a: list[int], b: list[int] | None, length: int) -> None:
        for reader in (gpt(length), bert(length)):
            row = reader.row(a, b)
            assert len(row.ids) <= length
            kept = row.first[1] + row.second[1]
            assert row.truncated == len(a) + len(b or []) - kept
            assert len(row.ids) == kept + (2 if b is None else 3)
            for text, (at, n) in zip((a, b or []), (row.first, row.second), strict=True):
                assert row.ids[at : at + n].tolist() == text[:n]
            if b is not None and row.truncated:
                assert len(row.ids) == length and min(row.first[1], row.second[1]) >= min(len(a), len(b), 1)

    def test_refuse_what_cannot_be(self) -> None:
        for reader in (gpt(), bert()):
            with pytest.raises(DataError, match="empty"):
                reader.row([])
            with pytest.raises(DataError, match="empty"):
                reader.row([1], [])
        for reader in (gpt(4), bert(4)):
            with pytest.raises(ConfigError, match="max_length is 4"):
                reader.row([1], [2])


class TestLabels:
    @pytest.mark.parametrize("reader", [gpt(), bert()], ids=["gpt", "bert"])
    @pytest.mark.parametrize("question_first", [True, False])
    def test_of_spans_point_at_the_answer(self, reader, question_first) -> None:
        task = Task("spans", question_first=question_first)
        found = encode(reader, task, Example([7, 8, 9], (1, 2), [10, 11]))
        start, end = found.label
        assert found.rows[0].ids[start : end + 1].tolist() == [8, 9]
        batch = collate_task(reader, task, [found])
        assert found.rows[0].ids[batch["passage"][0, : len(found.rows[0].ids)]].tolist() == [7, 8, 9]

    def test_of_tags_stand_at_their_tokens(self) -> None:
        task = Task("tag", ("O", "X"))
        for reader in (gpt(), bert()):
            batch = collate_task(reader, task, [encode(reader, task, Example([7, 8, 9], (0, -100, 1)))])
            assert batch["labels"].tolist() == [[-100, 0, -100, 1, -100]]
        with pytest.raises(DataError, match="2 tags for 3 tokens"):
            encode(gpt(), task, Example([7, 8, 9], (0, 1)))

    def test_padding_is_told_by_its_place_not_by_its_id(self) -> None:
        for reader in (gpt(), bert()):
            short, long = (encode(reader, CLASSIFY, Example([reader.pad] * n, 0)) for n in (2, 5))
            mask = collate_task(reader, CLASSIFY, [short, long])["attention_mask"]
            assert mask.sum(1).tolist() == [4, 7]

    def test_of_wrong_spans_are_refused(self) -> None:
        with pytest.raises(DataError, match="tokens 2 to 1"):
            encode(gpt(), Task("spans"), Example([7, 8, 9], (2, 1), [5]))

    def test_tasks_that_cannot_be(self) -> None:
        with pytest.raises(ConfigError, match="choose one of"):
            Task("guess")
        with pytest.raises(ConfigError, match="at least two labels"):
            Task("classify", ("a",))


class TestWindows:
    """Of passages that are longer than a model reads at once."""

    @given(st.integers(1, 60), st.integers(1, 30), st.integers(8, 30), st.booleans(), st.booleans(), st.data())
    def test_cover_the_passage_and_know_where_they_stand(self, n, m, length, question_first, no_answer, data) -> None:
        first = data.draw(st.integers(0, n - 1))
        last = data.draw(st.integers(first, n - 1))
        passage, question = list(range(100, 100 + n)), [7] * m
        task = Task("spans", question_first=question_first, no_answer=no_answer)
        for reader in (gpt(length), bert(length)):
            windows = encode(reader, task, Example(passage, (first, last), question)).windows
            size = windows[0].passage[1]
            assert (len(windows) == 1) == (size >= n)
            seen = set()
            for window in windows:
                (row,), (at, count), begin = window.rows, window.passage, window.begin
                assert len(row.ids) <= length and count == size
                assert row.ids[at : at + count].tolist() == passage[begin : begin + count]
                seen |= set(range(begin, begin + count))
                if begin <= first and last < begin + count:
                    assert row.ids[window.label[0] : window.label[1] + 1].tolist() == passage[first : last + 1]
                    assert not window.lost
                else:
                    assert window.label == (0, 0)
            assert seen == set(range(n))
            assert all(b.begin - a.begin <= max(size // 2, 1) for a, b in pairwise(windows))
            holding = [w for w in windows if w.label != (0, 0)]
            assert holding or last - first + 1 > size // 2
            left_out = [w.lost for w in windows]
            assert left_out == (
                [w.label == (0, 0) and not no_answer for w in windows] if holding else [True] * len(windows)
            )

    @given(st.integers(1, 60), st.integers(8, 30))
    def test_all_are_learned_from_where_there_is_no_answer(self, n, length) -> None:
        found = encode(gpt(length), Task("spans", no_answer=True), Example([9] * n, None, [10]))
        assert all(w.label == (0, 0) and not w.lost for w in found.windows)

    def test_are_examples_to_learn_from_as_far_as_they_teach(self) -> None:
        long, short = Example([7] * 9, (8, 8), [10]), Example([7], (0, 0), [10])
        batches = TaskBatches(gpt(8), Task("spans"), [long, short], 4)  # windows of 4, at 0, 2, 4 and 5
        assert (batches.lost, len(batches), batches.truncated_examples) == (0, 2, 0)
        assert len(TaskBatches(gpt(8), Task("spans", no_answer=True), [long, short], 4)) == 5
        longest = Example([7] * 9, (1, 8), [10])
        batches = TaskBatches(gpt(8), Task("spans", no_answer=True), [longest, short], 4)
        assert (batches.lost, len(batches)) == (1, 1)
        with pytest.raises(DataError, match="every answer is longer"):
            TaskBatches(gpt(8), Task("spans"), [longest], 4)

    def test_a_long_question_is_cut_off_and_counted(self) -> None:
        found = encode(gpt(10), Task("spans"), Example([7] * 9, (8, 8), [10] * 9))
        assert [w.passage[1] for w in found.windows] == [3] * len(found.windows)
        assert found.truncated == 9 - 4


class TestTaskBatches:
    def make(self, n: int, size: int, seed: int = 3) -> TaskBatches:
        return TaskBatches(gpt(), CLASSIFY, [Example([5 + i], i % 2) for i in range(n)], size, seed)

    @given(st.integers(1, 12), st.integers(1, 14), st.integers(0, 5))
    def test_go_through_every_example_once_an_epoch(self, n: int, size: int, seed: int) -> None:
        batches = self.make(n, size, seed)
        steps = 3 * n
        drawn = np.concatenate([batches.at(step)["ids"][:, 1] for step in range(steps)])
        for epoch in range(len(drawn) // n):
            assert sorted(drawn[epoch * n : (epoch + 1) * n]) == list(range(5, 5 + n))

    def test_are_a_function_of_seed_and_step(self) -> None:
        one, other = self.make(9, 4), self.make(9, 4)
        forth = [one.at(step)["ids"].tolist() for step in range(20)]
        back = [other.at(step)["ids"].tolist() for step in reversed(range(20))][::-1]
        assert forth == back
        assert forth != [self.make(9, 4, seed=4).at(step)["ids"].tolist() for step in range(20)]

    def test_come_in_another_order_each_epoch(self) -> None:
        batches = self.make(9, 9)
        assert len({tuple(batches.at(step)["ids"][:, 1].tolist()) for step in range(5)}) == 5

    def test_keep_labels_with_their_texts(self) -> None:
        batch = self.make(9, 6).at(1)
        assert (batch["labels"] == (batch["ids"][:, 1] - 5) % 2).all()

    def test_choices_must_be_as_many(self) -> None:
        task = Task("choice")
        found = [encode(gpt(), task, Example([7], 0, (), ((8,),) * n)) for n in (2, 3)]
        with pytest.raises(DataError, match="different numbers of choices"):
            collate_task(gpt(), task, found)
