"""Files of people: what is read from them, and for each fault one sentence that names it."""

import json
from pathlib import Path
from typing import Any

import pytest
from small_models import small, words_tokenizer

from minilm.errors import CheckpointError, ConfigError, DataError, MinilmError
from minilm.text import CharTokenizer
from minilm.transfer import FineTuning, Task
from minilm.transfer.folder import load
from minilm.transfer.tables import read_table, write_csv
from minilm.transfer.texts import Columns, TextTask, encode_with_places, encode_words, labels_of, span_of
from minilm.transfer.workflow import Request, default_rates, one_text, predict_table, run

TRAIN = "text,label\nthe cat is good,yes\nthe dog is bad,no\nthe fox is good,yes\nthe cat was bad,no\n"
DEV = "text,label\nthe dog is good,yes\nthe fox was bad,no\n"


def write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def finetune(tmp: Path, train: str | bytes = TRAIN, dev: str | bytes = DEV, what: str = "classify", kind: str = "gpt",
             end: str = "csv", **settings: Any) -> tuple[Any, list[str], Path]:  # fmt: skip
    """Run the workflow; what was chosen, what was said, and the folder."""
    columns = settings.pop("columns", Columns())
    of_model = settings.pop("model", {})
    request = Request(
        what, write(tmp / f"train.{end}", train), write(tmp / f"dev.{end}", dev), columns, FineTuning(steps=2),
        (1e-3,), **settings,
    )  # fmt: skip
    said: list[str] = []
    return run(small(kind, **of_model), request, tmp / "out", said.append, show=False), said, tmp / "out"


class TestTables:
    def test_csv_tsv_and_json_lines_say_the_same(self, tmp_path: Path) -> None:
        csv = write(tmp_path / "a.csv", '\ufefftext,label\r\n"a, ""b""\nc",1\r\n\r\nd,2\r\n')
        tsv = write(tmp_path / "a.tsv", 'text\tlabel\n"a, ""b""\nc"\t1\nd\t2\n')
        lines = write(tmp_path / "a.jsonl", '{"text": "a, \\"b\\"\\nc", "label": "1"}\n\n{"text": "d", "label": "2"}\n')
        tables = [read_table(path) for path in (csv, tsv, lines)]
        for table in tables:
            assert table.columns == ("text", "label")
            assert [r.values for r in table.records] == [
                {"text": 'a, "b"\nc', "label": "1"},
                {"text": "d", "label": "2"},
            ]
        assert [r.line for r in tables[0].records] == [2, 5]
        assert [r.line for r in tables[2].records] == [1, 3]

    def test_what_is_written_is_read(self, tmp_path: Path) -> None:
        for name in ("a.csv", "a.tsv"):
            write_csv(tmp_path / name, ["x", "y"], [["a,b\t", 'c"'], ["", "ñ\n"]])
            assert [r.values for r in read_table(tmp_path / name).records] == [
                {"x": "a,b\t", "y": 'c"'}, {"x": "", "y": "ñ\n"},
            ]  # fmt: skip

    @pytest.mark.parametrize(
        ("name", "content", "sentence"),
        [
            ("a.xlsx", "x", r"ends in none of .csv, .tsv, .jsonl"),
            ("a.csv", "  \n", "is empty"),
            ("a.csv", "text,label\n", "no rows"),
            ("a.csv", "text,label\na,b\nc\n", "line 3: 1 values for 2 columns"),
            ("a.csv", "text,text\na,b\n", "line 1: every column needs a name of its own"),
            ("a.csv", 'text,label\na,"b\n', "line 2: this is no row"),
            ("a.csv", "text,label\na,b\nñ,c\n".encode("latin-1"), "line 3: byte 0xf1 is not UTF-8"),
            ("a.jsonl", '{"text": "a"}\n{"text" "b"}\n', "line 2: this is no JSON"),
            ("a.jsonl", "[1, 2]\n", "line 1: wanted an object"),
        ],
    )
    def test_faults_are_named(self, name: str, content: Any, sentence: str, tmp_path: Path) -> None:
        with pytest.raises(DataError, match=sentence) as caught:
            read_table(write(tmp_path / name, content))
        assert "\n" not in str(caught.value) and name in str(caught.value)

    def test_a_file_that_is_missing(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match="there is no file .*nowhere.csv"):
            read_table(tmp_path / "nowhere.csv")


class TestBadInput:
    """Done when 8: each in one sentence, before anything is trained."""

    @pytest.mark.parametrize(
        ("change", "sentence"),
        [
            ({"labels": ("yes", "maybe")}, r"train.csv, line 3: the label 'no' is unknown; there are yes, maybe"),
            ({"train": TRAIN + " ,yes\n"}, r"train.csv, line 6: the text is empty"),
            ({"train": TRAIN + "it,\n"}, r"train.csv, line 6: the label is empty"),
            ({"columns": Columns(text="review")}, r"train.csv has no column review; it has text, label"),
            ({"columns": Columns(label="stars")}, r"train.csv has no column stars; it has text, label"),
            ({"dev": "text,class\nit,yes\n"}, r"dev.csv has no column label; it has text, class"),
            ({"train": TRAIN + "it,maybe\n"}, r"train.csv has a single example of maybe"),
            ({"train": "text,label\nit,yes\nhe,yes\n"}, r"train.csv has the label 'yes' only"),
            ({"train": TRAIN.encode() + b"\xff,yes\n"}, r"train.csv, line 6: byte 0xff is not UTF-8"),
            ({"dev": DEV + "it,maybe\n"}, r"dev.csv has labels that .*train.csv lacks: maybe; .* has no, yes"),
            ({"what": "guess"}, r"task is 'guess'"),
            ({"what": "pair"}, r"has no column second"),
            ({"what": "regress"}, r"line 2: 'yes' is no number"),
            ({"symmetric": True}, r"only pairs of texts"),
        ],
    )
    def test_is_one_clear_sentence(self, change: dict, sentence: str, tmp_path: Path) -> None:
        with pytest.raises(MinilmError, match=sentence) as caught:
            finetune(tmp_path, **change)
        assert "\n" not in str(caught.value)
        assert not (tmp_path / "out").exists()

    def test_long_texts_are_cut_off_and_counted(self, tmp_path: Path) -> None:
        long = " ".join(["cat"] * 30)
        _, said, _ = finetune(tmp_path, train=TRAIN + f"{long},yes\n{long},no\n")
        told = "2 texts are longer than the model can read and were cut off (16 tokens left out)"
        assert [s for s in said if "train.csv" in s] == [f"{tmp_path / 'train.csv'}: {told}"]
        assert not [s for s in said if "dev.csv" in s]

    def test_labels_that_only_train_has_are_told(self, tmp_path: Path) -> None:
        _, said, _ = finetune(tmp_path, train=TRAIN + "it,maybe\nhe,maybe\n")
        assert any("no example of maybe" in s for s in said)

    def test_an_existing_folder_is_not_touched(self, tmp_path: Path) -> None:
        (tmp_path / "out").mkdir()
        write(tmp_path / "out" / "thesis.tex", "x")
        with pytest.raises(ConfigError, match="choose another name"):
            finetune(tmp_path)
        assert [p.name for p in (tmp_path / "out").iterdir()] == ["thesis.tex"]

    @pytest.mark.parametrize(
        ("what", "row", "sentence"),
        [
            ("tag", {"text": "the cat", "label": "O O O"}, "3 tags for 2 words"),
            ("tag", {"text": "the cat"}, "there is no value for label"),
            ("tag", {"text": " ", "label": ""}, "the label is empty|the text is empty"),
            ("spans", {"text": "the cat", "second": "who", "label": "dog"}, "the answer 'dog' is not in the passage"),
            ("spans", {"text": "the cat", "second": "", "label": "cat"}, "the second is empty"),
            (
                "spans",
                {"text": "a cat", "second": "x", "label": "cat", "answer_start": 1},
                "'cat' is not in the passage",
            ),
            ("choice", {"text": "a", "choices": ["b", "c"], "label": "d"}, "'d' is no choice"),
            ("choice", {"text": "a", "choices": "b", "label": "b"}, "must be a list"),
            ("choice", {"text": "a", "choices": ["b"], "label": "b"}, "1 choices; give at least two"),
        ],
    )
    def test_of_other_tasks(self, what: str, row: dict, sentence: str, tmp_path: Path) -> None:
        good = {"tag": {"text": "the cat", "label": "O B-X"},
                "spans": {"text": "the cat", "second": "who", "label": "cat"},
                "choice": {"text": "a", "choices": ["b", "c"], "label": "b"}}[what]  # fmt: skip
        train = "".join(json.dumps(r) + "\n" for r in (good, good, row))
        with pytest.raises(DataError, match=sentence):
            finetune(tmp_path, train, json.dumps(good) + "\n", what, end="jsonl")


class TestPieces:
    def test_places_and_words_without_help_of_the_tokenizer(self) -> None:
        words = words_tokenizer()
        assert encode_with_places(words, " the  cat ") == (words.encode("the cat"), [(1, 4), (6, 9)])
        chars = CharTokenizer.train("the cat")
        ids, places = encode_with_places(chars, "the cat")
        assert chars.decode(ids) == "the cat" and places == [(0, 3)] * 3 + [(4, 7)] * 4
        ids, bounds = encode_words(chars, ["the", "cat"])
        assert chars.decode(ids) == "the cat" and bounds == [(0, 3), (3, 7)]

    def test_the_tokenizer_s_own_are_taken(self) -> None:
        class Pieces:
            def encode_with_offsets(self, text: str) -> Any:
                return [1, 2], [(0, 1), (1, 3)]

            def encode_words(self, words: Any) -> Any:
                return [1, 2, 3], [0, 2]

        assert encode_with_places(Pieces(), "abc") == ([1, 2], [(0, 1), (1, 3)])
        assert encode_words(Pieces(), ["ab", "c"]) == ([1, 2, 3], [(0, 2), (2, 3)])

    def test_tags_stand_at_the_first_piece_for_bert_and_the_last_for_gpt(self, tmp_path: Path) -> None:
        chars = CharTokenizer.train("the cat")
        table = read_table(write(tmp_path / "a.csv", "text,label\nthe cat,O X\n"))
        for by_last, at in ((False, [0, 3]), (True, [2, 6])):
            texts = TextTask("tag", Task("tag", ("O", "X")), Columns(), chars, by_last)
            found = texts.read(table)
            label = found.examples[0].label
            assert [i for i, tag in enumerate(label) if tag != -100] == at
            assert [label[i] for i in at] == [0, 1]
            assert texts.said(label, found.places[0]) == ["O", "X"]

    def test_spans_are_tokens(self) -> None:
        places = [(0, 3), (4, 7), (8, 10), (11, 14)]
        passage = "the cat is cat"
        assert span_of(passage, "cat", None, places) == (1, 1)
        assert span_of(passage, "cat", 11, places) == (3, 3)
        assert span_of(passage, "cat is", "", places) == (1, 2)
        assert span_of(passage, "at i", "5", places) == (1, 2)

    def test_labels_are_in_order_of_the_alphabet_or_as_asked(self, tmp_path: Path) -> None:
        table = read_table(write(tmp_path / "a.csv", TRAIN))
        assert labels_of(table, "classify", Columns()) == ("no", "yes")
        assert labels_of(table, "classify", Columns(), ("yes", "no")) == ("yes", "no")

    def test_rates_fall_with_the_width(self) -> None:
        assert [max(default_rates(w)) for w in (64, 256, 768)] == [3e-3, 5e-4, 5e-5]


ROWS: dict[str, tuple[list[dict], Any]] = {
    "classify": ([{"text": "the cat", "label": "a"}, {"text": "the dog", "label": "b"}], {"a", "b"}),
    "pair": ([{"text": "cat", "second": "dog", "label": "a"},
              {"text": "it", "second": "he", "label": "b"}], {"a", "b"}),
    "regress": ([{"text": "cat", "label": 1.5}, {"text": "dog", "label": "2"}], None),
    "tag": ([{"text": ["the", "cat"], "label": ["O", "B-X"]}, {"text": "a dog", "label": "O B-X"}], {"O", "B-X"}),
    "spans": ([{"text": "the cat sat", "second": "who", "label": "cat"},
               {"text": "it", "second": "who", "label": ""}], None),
    "choice": ([{"text": "the", "choices": ["cat", "dog"], "label": "dog"},
                {"text": "a", "choices": ["fox", "it"], "label": 0}], None),
}  # fmt: skip


class TestFolders:
    @pytest.mark.parametrize("kind", ["gpt", "bert"])
    @pytest.mark.parametrize("what", ROWS)
    def test_predict_as_the_model_that_was_trained(self, what: str, kind: str, tmp_path: Path) -> None:
        rows, labels = ROWS[what]
        content = "".join(json.dumps(row) + "\n" for row in rows * 2)
        chosen, _, out = finetune(tmp_path, content, content, what, kind, "jsonl")
        found = load(out)
        for (name, array), other in zip(
            chosen.model.state_dict().items(), found.model.state_dict().values(), strict=True
        ):
            assert (array == other).all(), name
        table, answers = predict_table(found, read_table(tmp_path / "dev.jsonl"), print)
        predictions = read_table(out / "predictions.csv")
        for record, place, answer in zip(predictions.records, table.places, answers, strict=True):
            said = found.texts.said(answer.label, place)
            said = " ".join(said) if isinstance(said, list) else str(said)
            assert record.values["prediction"] == said
            assert labels is None or set(said.split()) <= labels
        assert (out / "confusion.png").exists() == (what in ("classify", "pair"))

    def test_typed_texts_need_what_the_task_needs(self, tmp_path: Path) -> None:
        rows = "".join(json.dumps(row) + "\n" for row in ROWS["pair"][0] * 2)
        *_, out = finetune(tmp_path, rows, rows, "pair", end="jsonl")
        found = load(out)
        with pytest.raises(DataError, match="--second"):
            one_text(found, "cat")
        _, (answer,) = predict_table(found, one_text(found, "cat", "dog"), print)
        assert answer.label in (0, 1)

    def test_that_are_none_or_damaged(self, tmp_path: Path) -> None:
        with pytest.raises(CheckpointError, match="is no fine-tuned model"):
            load(tmp_path)
        *_, out = finetune(tmp_path)
        weights = out / "model.safetensors"
        weights.write_bytes(weights.read_bytes()[:-9])
        with pytest.raises(CheckpointError, match="its weights cannot be used"):
            load(out)
        words_tokenizer("<bos>").save(out / "tokenizer.json")
        with pytest.raises(CheckpointError, match="not the tokenizer"):
            load(out)
