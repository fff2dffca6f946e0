"""`minilm pretrain gpt|bert`, `fill` and `probe` from end to end: what they print, write and refuse."""

import json

import numpy as np
import pytest

from minilm.cli.app import main
from minilm.cli.reports import table
from minilm.training.log import read_log
from minilm.training.run import Run

SHORT = ("--config", "tiny", "--steps", "6", "--evaluate-every", "3", "--threads", "1", "--width", "16")


@pytest.fixture
def minilm(capsys):
    """Run a command line in this process: (exit status, stdout, stderr)."""

    def run(*args):
        try:
            status = main([str(a) for a in args])
        except SystemExit as stopped:
            status = int(stopped.code or 0)
        said = capsys.readouterr()
        assert "Traceback" not in said.err, said.err
        return status, said.out, said.err

    return run


@pytest.fixture
def text(tmp_path):
    path = tmp_path / "text.txt"
    words = "cat dog cow hen fox owl bee ant".split()
    path.write_text("\n\n".join(f"The {a} sat here. It saw the {b}. The {b} said no." for a in words for b in words))
    return path


def table_after(out, heading):
    """The rows of the plain table whose columns begin with `heading`."""
    lines = out.splitlines()
    start = next(i for i, line in enumerate(lines) if line.split("\t")[0] == heading)
    return [line.split("\t") for line in lines[start + 1 :] if "\t" in line]


def test_a_gpt_of_mundito_says_how_far_it_is_from_what_can_be_known(minilm, tmp_path):
    out = tmp_path / "run"
    status, said, _ = minilm(
        "pretrain", "gpt", "--data", "mundito", *SHORT, "--world", 2, "--language", "en", "--out", out
    )
    assert status == 0
    assert "text: Mundito 2 (en)" in said and "1,536 tokens that never come again" in said
    last = read_log(out / "log.jsonl")[-1]
    shown = f"excess {last['validation_excess']:.4f} ± {last['validation_excess_se']:.4f}"
    assert next(line for line in said.splitlines() if line.startswith("step 6/6")).endswith(shown)
    assert "on new documents: " in said and "not probed" not in said
    assert len(table_after(said, "probe")) == 3
    assert (out / "loss.png").stat().st_size > 10_000
    config = json.loads((out / "config.json").read_text())
    assert config["data"] == {
        "kind": "mundito",
        "name": "mundito",
        "world": {"language": "en", "seed": 2, "tail": 1.0, "facts_only": False},
    }
    status, again, _ = minilm("probe", out, "--count", 20)
    assert status == 0 and len(table_after(again, "probe")) == 3


def test_what_is_not_probed_is_said(minilm, tmp_path):
    for options, why in ((["--facts"], "facts only has no one"), (["--context", 16], "reads only 16 at once")):
        out = tmp_path / options[0]
        status, said, _ = minilm("pretrain", "gpt", "--data", "mundito", *SHORT, *options, "--out", out)
        assert status == 0 and f"not probed: {'a Mundito of ' if 'no one' in why else ''}" in said and why in said


def test_a_bert_of_mundito_shows_its_guesses_beside_the_sources(minilm, tmp_path):
    out = tmp_path / "run"
    status, said, _ = minilm("pretrain", "bert", "--data", "mundito", *SHORT, "--documents", 60, "--out", out)
    assert status == 0
    line = next(line for line in said.splitlines() if line.startswith("step 6/6"))
    assert line.count("masked words") == line.count("next sentence") == 2
    tasks = table_after(said, "task")
    assert [row[0] for row in tasks[:2]] == ["masked words", "next sentence"] and " ± " in tasks[1][2]
    assert said.count("it was: ") == 6 and said.count("source\tprobability") == 6
    last = read_log(out / "log.jsonl")[-1]
    names = {
        f"{part}{task}_{what}"
        for part in ("", "validation_")
        for task in ("mlm", "nsp")
        for what in ("loss", "accuracy")
    }
    assert names <= set(last) and (out / "loss.png").stat().st_size > 10_000
    assert Run(out).resume_command.startswith("minilm pretrain bert --resume")

    status, said, err = minilm("fill", out, "Ana tiene una [MASK] negra .", "--words", 5)
    assert (status, err) == (0, "")
    rows = table_after(said, "model")
    assert len(rows) == 5 and all(len(row) == 4 for row in rows)
    p = np.array([[row[1], row[3]] for row in rows], float)
    assert (np.diff(p, axis=0) <= 0).all() and p[0, 1] < 0.3
    status, said, _ = minilm("fill", out, "la [MASK] de Ana")
    assert status == 0 and "no document begins like this" in said and "source" not in said.splitlines()[1]
    status, said, _ = minilm("fill", out, "Ana tiene una [MASK] [MASK] .")
    assert status == 0 and "[MASK] number 2" in said and said.count("source\tprobability") == 2


def test_the_ablations_are_options(minilm, text, tmp_path):
    wanted = {
        "--no-nsp": {"next_sentence": False},
        "--left-to-right": {"left_to_right": True},
        "--static-masks": {"static_masks": True},
        "--masking=span": {"masking": "span"},
    }
    for option, settings in wanted.items():
        out = tmp_path / option
        status, said, err = minilm("pretrain", "bert", "--data", text, *SHORT, "--vocabulary", 60, option, "--out", out)
        assert (status, err) == (0, "")
        recipe = json.loads((out / "config.json").read_text())["recipe"]
        assert settings.items() <= recipe.items()
        assert ("next sentence" in said) == (option != "--no-nsp")
        assert ("it was: " in said) == (option != "--left-to-right")
        assert ("next token\t" in said) == (option == "--left-to-right")


def test_resuming_finds_out_the_kind(minilm, text, tmp_path):
    out = tmp_path / "run"
    minilm("pretrain", "bert", "--data", text, *SHORT, "--vocabulary", 60, "--out", out)
    status, said, _ = minilm("pretrain", "gpt", "--resume", out, "--threads", 1)
    assert status == 0 and "model: BERT" in said and "going on from step-00000006" in said
    status, _, err = minilm("pretrain", "bert", "--resume", out, "--no-nsp", "--masking", "span", "--config", "tiny")
    assert status == 1 and "leave out --no-nsp, --masking, --config" in err


def test_a_terminal_gets_a_table_and_a_file_lines(capsys, monkeypatch):
    rows = [("a", "1.0"), ("b", "2.0")]
    table("title", ["name", "number"], rows)
    assert capsys.readouterr().out == "title\nname\tnumber\na\t1.0\nb\t2.0\n"
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    table("title", ["name", "number"], rows, bold_last=True)
    drawn = capsys.readouterr().out
    assert "│" in drawn and "title" in drawn and all(cell in drawn for row in rows for cell in row)


def test_one_sentence_for_what_cannot_be(minilm, text, tmp_path):
    out = tmp_path / "run"
    minilm("pretrain", "gpt", "--data", text, *SHORT, "--no-ngrams", "--out", out)
    refused = [
        (["pretrain", "gpt", "--data", text, "--world", 3, "--tail", 2.0], "only Mundito has --world, --tail"),
        (["pretrain", "gpt", "--data", "mundito", "--tokenizer", "bpe"], "brings its own tokenizer"),
        (["pretrain", "bert", "--data", "mundito", "--config", "huge"], "choose one of tiny, tour, small, mundito"),
        (["pretrain", "bert", "--masking", "80/10/20"], "three percents that add up to 100"),
        (["pretrain", "bert", "--masking", "words"], "or one of span, whole-word"),
        (["pretrain", "bert", "--data", "mundito", "--facts", *SHORT], "leave next-sentence prediction out"),
        (["pretrain", "gpt", "--data", "mundito", "--language", "fr"], "'fr'"),
        (["fill", out, "a [MASK]"], "is a GPT, but this needs a BERT"),
        (["fill", tmp_path / "none", "a [MASK]"], "there is no run or model"),
        (["probe", out], "was not trained on Mundito"),
    ]
    for command, sentence in refused:
        status, _, err = minilm(*command)
        assert status == 1 and sentence in err and err.count("\n") == 1, (command, err)


def test_a_gpt_without_its_mask_generates_only_without_a_cache(minilm, text, tmp_path):
    out = tmp_path / "run"
    assert minilm("pretrain", "gpt", "--data", text, *SHORT, "--no-causal", "--no-ngrams", "--out", out)[0] == 0
    status, _, err = minilm("generate", out, "The", "--tokens", 3)
    assert status == 1 and "has no causal mask" in err
    assert minilm("generate", out, "The", "--tokens", 3, "--no-cache")[0] == 0
