"""The commands from end to end: finetune, predict, zeroshot, transfer."""

import json
from pathlib import Path
from typing import Any

import pytest
from small_models import small, write_run
from test_user_data import DEV, TRAIN, write

from minilm.cli.app import main
from minilm.mundito import Mundito
from minilm.transfer.tables import read_table


@pytest.fixture
def minilm(capsys: Any) -> Any:
    """Run a command line in this process; its exit status, what it said, and what it said on stderr."""

    def run(*args: object) -> tuple[int, str, str]:
        try:
            status = main([str(a) for a in args])
        except SystemExit as stopped:
            status = int(stopped.code or 0)
        said = capsys.readouterr()
        assert "Traceback" not in said.err
        return status, said.out, said.err

    return run


def files(tmp: Path) -> tuple[object, ...]:
    write(tmp / "train.csv", TRAIN.replace("label", "stars"))
    write(tmp / "dev.csv", DEV.replace("label", "stars"))
    return ("--train", tmp / "train.csv", "--dev", tmp / "dev.csv", "--label-column", "stars")


@pytest.mark.parametrize("kind", ["gpt", "bert"])
def test_finetune_and_predict(kind: str, minilm: Any, tmp_path: Path) -> None:
    run, out = write_run(tmp_path / "run", small(kind, std=0.05)), tmp_path / "out"
    options = ("--steps", 30, "--rates", "1e-3,1e-2", "--threads", 1, "--out", out)
    status, said, _ = minilm("finetune", run, "--task", "classify", *files(tmp_path), *options)
    assert status == 0
    assert "rate 0.001: accuracy" in said and "rate 0.01: accuracy" in said
    assert f"confusion matrix: {out / 'confusion.png'}" in said
    predictions = read_table(out / "predictions.csv")
    assert predictions.columns == ("text", "stars", "prediction", "p(no)", "p(yes)")
    for record in predictions.records:
        p = {name: float(record.values[f"p({name})"]) for name in ("no", "yes")}
        assert abs(sum(p.values()) - 1) < 1e-3 and record.values["prediction"] == max(p, key=lambda k: p[k])
    status, said, _ = minilm("predict", out, "the cat is good")
    assert status == 0 and said.split()[0] in ("yes", "no")
    texts = write(tmp_path / "texts.tsv", "text\nthe cat is good\nthe dog\n")
    status, said, _ = minilm("predict", out, texts)
    assert status == 0 and said == f"2 predictions: {tmp_path / 'texts-predictions.csv'}\n"
    assert [r.values["text"] for r in read_table(tmp_path / "texts-predictions.csv").records] == [
        "the cat is good", "the dog",
    ]  # fmt: skip
    status, said, _ = minilm("predict", out, " ".join(["cat"] * 40))
    assert status == 0 and "1 text is longer than the model can read" in said


def test_finetune_partly_frozen_with_the_language_model_s_loss(minilm: Any, tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", small("gpt"))
    options = ("--epochs", 1, "--auxiliary", 0.5, "--layers", 1, "--freeze", 0, "--rates", "1e-3", "--max-length", 4)
    out = ("--out", tmp_path / "out", "--threads", 1)
    status, said, _ = minilm("finetune", run, "--task", "classify", *files(tmp_path), *options, *out)
    assert status == 0 and "cut off" in said
    assert json.loads((tmp_path / "out" / "config.json").read_text())["max_length"] == 4


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--rates", "fast"), "--rates is 'fast'"),
        (("--layers", "some"), "--layers is 'some'"),
        (("--layers", "7"), "layers is 7; choose 0 (embeddings) to 2"),
        (("--task", "guess"), "task is 'guess'"),
        (("--text-column", "review"), "has no column review; it has text, stars"),
        (("--max-length", "2"), "max_length is 2"),
        (("--auxiliary", "-1"), "auxiliary is -1"),
    ],
)
def test_finetune_says_in_one_sentence_what_cannot_be(
    options: tuple, sentence: str, minilm: Any, tmp_path: Path
) -> None:
    run = write_run(tmp_path / "run", small("gpt"))
    given = ("--task", "classify", *files(tmp_path), "--steps", 1, "--threads", 1, "--out", tmp_path / "out")
    status, _, error = minilm("finetune", run, *given, *options)
    assert status == 1 and sentence in error and error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_tags_spans_and_choices_of_a_typed_text(minilm: Any, tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", small("bert"))
    rows = {
        "tag": '{"text": "the cat", "label": "O B-X"}\n',
        "spans": '{"text": "the cat", "second": "who", "label": "cat"}\n',
        "choice": '{"text": "the", "choices": ["cat", "dog"], "label": "dog"}\n',
    }
    typed = {"tag": (), "spans": ("--second", "who"), "choice": ("--choice", "cat", "--choice", "dog")}
    for task, row in rows.items():
        path = write(tmp_path / f"{task}.jsonl", row * 2)
        given = ("--train", path, "--dev", path, "--steps", 1, "--threads", 1, "--out", tmp_path / task)
        assert minilm("finetune", run, "--task", task, *given)[0] == 0
        status, said, _ = minilm("predict", tmp_path / task, "the cat sat", *typed[task])
        assert status == 0
        if task == "tag":
            assert [line.split("\t")[0] for line in said.splitlines()] == ["the", "cat", "sat"]
        elif task == "choice":
            assert said.split()[0] in ("cat", "dog")
        else:
            assert said.strip() in "the cat sat"
    status, _, error = minilm("predict", tmp_path / "spans", "the cat")
    assert status == 1 and "--second" in error


def test_zeroshot(minilm: Any, tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", small("gpt"))
    data = write(tmp_path / "data.csv", "text,label\nthe cat,+\nthe dog,-\n")
    given = ("zeroshot", run, data, "--template", "{text} is", "--answers", "good,bad", "--classes", "+,-")
    status, said, _ = minilm(*given)
    assert status == 0 and "accuracy" in said and "2 predictions" in said
    for record in read_table(tmp_path / "data-predictions.csv").records:
        scores = {name: float(record.values[f"score({name})"]) for name in "+-"}
        assert record.values["prediction"] == max(scores, key=lambda k: scores[k])
    status, _, error = minilm("zeroshot", run, data, "--answers", "good")
    assert status == 1 and "at least two" in error
    bert = write_run(tmp_path / "bert", small("bert"))
    status, _, error = minilm("zeroshot", bert, data, "--answers", "a,b")
    assert status == 1 and "only a language model" in error


def test_transfer_measures_compares_draws_and_goes_on(minilm: Any, tmp_path: Path) -> None:
    tokenizer = Mundito().tokenizer()
    gpt = write_run(tmp_path / "one", small("gpt", tokenizer, context=32))
    bert = write_run(tmp_path / "two", small("bert", tokenizer, context=32))
    out = tmp_path / "out"
    given = ("transfer", gpt, "--labels", "4,8", "--seeds", 2, "--steps", 2, "--test", 20, "--trials", 1, "--out", out)
    status, said, _ = minilm(*given)
    assert status == 0 and "12/12" in said and "from scratch" in said and "difference" in said
    assert {p.name for p in out.iterdir()} == {"cells.jsonl", "settings.json", "results.json", "labels.png"}
    status, said, _ = minilm(*given)
    assert status == 0 and "going on: 12 runs are there already" in said
    other = ("--against", bert, "--task", "questions", "--out", tmp_path / "other", "--labels", 4)
    status, said, _ = minilm(*given[:-2], *other)
    assert status == 0 and "two: pretrained" in said
    status, _, error = minilm("transfer", write_run(tmp_path / "x", small("gpt")), "--out", tmp_path / "y")
    assert status == 1 and "not pretrained on mundito" in error
    status, _, error = minilm("transfer", gpt, "--labels", "4.5", "--out", tmp_path / "z")
    assert status == 1 and "--labels is '4.5'" in error


def test_transfer_that_is_stopped_says_what_is_kept(minilm: Any, tmp_path: Path, monkeypatch: Any) -> None:
    from minilm.training.interrupt import Interrupted
    from minilm.transfer.experiment import Experiment

    def stop(*_: Any) -> None:
        raise Interrupted("stopped")

    monkeypatch.setattr(Experiment, "run", stop)
    gpt = write_run(tmp_path / "run", small("gpt", Mundito().tokenizer(), context=32))
    status, _, error = minilm("transfer", gpt, "--out", tmp_path / "out")
    assert status == Interrupted.exit_status and f"kept in {tmp_path / 'out'}" in error
