"""`minilm generate` from a run folder: what it prints, and a sentence for everything that can be wrong."""

import json
import shutil

import numpy as np
import pytest

from minilm.cli.app import main
from minilm.cli.generate import load_trained
from minilm.errors import CheckpointError
from minilm.generation import generate
from minilm.models import GPT, GPTConfig
from minilm.text.char import CharTokenizer
from minilm.training.checkpoint import save_checkpoint
from minilm.training.run import Run

CHARACTERS = CharTokenizer("\n abcdefghijklmnopqrstuvwxyz")
TINY = GPTConfig(CHARACTERS.vocab_size, context=32, width=32, layers=2, heads=2)


def minilm(*args, capsys):
    """(exit status, stdout, stderr) of a command line."""
    try:
        status = main([str(a) for a in args])
    except SystemExit as stopped:
        status = stopped.code
    said = capsys.readouterr()
    return status, said.out, said.err


@pytest.fixture
def run(tmp_path):
    """A run folder with two checkpoints of two models."""
    settings = {"model": TINY.to_dict(), "tokenizer": CHARACTERS.fingerprint}
    made = Run.create(tmp_path / "run", settings, CHARACTERS)
    for step in (100, 200):
        model = GPT(TINY, seed=step)
        save_checkpoint(made.checkpoints, step, model.state_dict(), {}, {"metrics": {}})
    return made.folder


def continuation(seed_of_model, prompt, tokens, **settings):
    model = GPT(TINY, seed=seed_of_model)
    return CHARACTERS.decode(generate(model, CHARACTERS.encode(prompt), tokens, **settings))


def test_the_newest_checkpoint_goes_on_from_the_prompt(run, capsys):
    options = ["--tokens", 40, "--seed", 3, "--temperature", 0.9, "--top-k", 7, "--top-p", 0.8]
    expected = continuation(200, "hello you", 40, seed=3, temperature=0.9, top_k=7, top_p=0.8) + "\n"
    assert minilm("generate", run, "hello you", *options, capsys=capsys) == (0, expected, "")
    assert minilm("generate", run, "hello you", *options, "--no-cache", capsys=capsys) == (0, expected, "")


def test_penalties_and_cuts_of_the_command_line(run, capsys):
    options = ["--seed", 3, "--min-p", 0.05, "--repetition-penalty", 1.5, "--no-repeat-ngram", 2]
    settings = {"seed": 3, "min_p": 0.05, "repetition_penalty": 1.5, "no_repeat_ngram": 2}
    expected = continuation(200, "hello you", 40, **settings) + "\n"
    assert expected != continuation(200, "hello you", 40, seed=3) + "\n"
    assert minilm("generate", run, "hello you", "--tokens", 40, *options, capsys=capsys) == (0, expected, "")


def test_the_text_of_a_beam_search(run, capsys):
    expected = continuation(200, "hello", 12, beams=3, length_penalty=0.5) + "\n"
    options = ["--tokens", 12, "--beams", 3, "--length-penalty", 0.5]
    assert minilm("generate", run, "hello", *options, capsys=capsys) == (0, expected, "")


def test_a_named_checkpoint(run, capsys):
    expected = continuation(100, "a", 10, seed=1) + "\n"
    assert expected != continuation(200, "a", 10, seed=1) + "\n"
    folder = run / "checkpoints" / "step-00000100"
    assert minilm("generate", folder, "a", "--tokens", 10, "--seed", 1, capsys=capsys) == (0, expected, "")


def test_an_empty_prompt_starts_after_a_line_break(run, capsys):
    expected = continuation(200, "\n", 10, seed=0).removeprefix("\n") + "\n"
    assert minilm("generate", run, "--tokens", 10, "--seed", 0, capsys=capsys) == (0, expected, "")


def test_a_long_prompt_is_said_on_stderr(run, capsys):
    status, out, err = minilm("generate", run, "ab " * 20, "--tokens", 5, "--seed", 0, capsys=capsys)
    assert status == 0 and out == continuation(200, "ab " * 20, 5, seed=0, on_notice=str) + "\n"
    assert err == ("minilm: the prompt has 60 tokens, more than the model's context of 32: only the last 28 are read\n")


def test_load_trained_is_ready_to_evaluate(run):
    model, tokenizer = load_trained(run)
    assert not model.training and tokenizer.fingerprint == CHARACTERS.fingerprint
    expected = GPT(model.config, seed=200).state_dict()
    assert all((a == expected[name]).all() for name, a in model.state_dict().items())


# ------------------------------------------------------------------------------------- what is wrong, in one sentence


def refused(*args, capsys):
    status, out, err = minilm("generate", *args, capsys=capsys)
    assert status == 1 and out == "" and err.startswith("minilm: ") and err.count("\n") == 1, (status, out, err)
    return err


def test_no_such_run(tmp_path, capsys):
    assert "there is no run or model" in refused(tmp_path / "none", "a", capsys=capsys)
    assert "is no run" in refused(tmp_path, "a", capsys=capsys)
    (tmp_path / "file").write_text("x")
    assert "there is no run or model" in refused(tmp_path / "file", "a", capsys=capsys)


def test_no_checkpoint_yet(run, capsys):
    shutil.rmtree(run / "checkpoints")
    assert "has no checkpoint yet" in refused(run, "a", capsys=capsys)
    assert "there is no run or model" in refused(run / "checkpoints" / "step-00000200", "a", capsys=capsys)


def test_another_tokenizer(run, capsys):
    CharTokenizer("ab").save(run / "tokenizer.json")
    assert "is not the tokenizer that this model was trained with" in refused(run, "a", capsys=capsys)


def edited(run, **changes):
    config = json.loads((run / "config.json").read_text())
    (run / "config.json").write_text(json.dumps({**config, **changes}))


def test_a_vocabulary_of_another_size(run, capsys):
    other = CharTokenizer("\n abcdefghijklmnopqrstuvwxyzñ")
    other.save(run / "tokenizer.json")
    edited(run, tokenizer=other.fingerprint)
    said = refused(run, "a", capsys=capsys)
    assert "the tokenizer has 29 tokens, the model was made for 28" in said


def test_weights_of_another_model(run, capsys):
    edited(run, model={**TINY.to_dict(), "vocab_size": 30, "layers": 1})
    said = refused(run, "a", capsys=capsys)
    assert "unexpected: blocks.1.attention.out.bias, " in said and "token_embedding.weight (28, 32) ≠ (30, 32)" in said


@pytest.mark.parametrize(
    ("model", "sentence"),
    [
        (None, "describes no model"),
        ({"vocab_size": 28, "heads": 3}, "heads must divide width"),
        ({"colour": 1}, "a GPT has no setting colour"),
    ],
)
def test_settings_that_describe_no_model(run, capsys, model, sentence):
    edited(run, model=model)
    assert sentence in refused(run, "a", capsys=capsys)


def test_damaged_weights(run, capsys):
    weights = run / "checkpoints" / "step-00000200" / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    said = refused(run, "a", capsys=capsys)
    assert "model.safetensors is damaged" in said and "step-00000100" in said


def test_weights_that_are_no_numbers(run, capsys):
    state = {name: np.full_like(a, np.nan) for name, a in load_trained(run)[0].state_dict().items()}
    save_checkpoint(run / "checkpoints", 300, state, {}, {"metrics": {}})
    status, _, err = minilm("generate", run, "a", capsys=capsys)
    assert status == 1 and "its training diverged" in err


def test_a_prompt_with_a_character_that_the_model_does_not_know(run, capsys):
    assert "(U+00E9) at position 3" in refused(run, "café", capsys=capsys)


@pytest.mark.parametrize(
    ("option", "sentence"),
    [
        (["--temperature", "-1"], "temperature is -1"),
        (["--top-k", "0"], "top_k is 0"),
        (["--top-p", "2"], "top_p is 2"),
        (["--min-p", "2"], "min_p is 2"),
        (["--repetition-penalty", "0"], "repetition_penalty is 0"),
        (["--no-repeat-ngram", "0"], "no_repeat_ngram is 0"),
        (["--beams", "0"], "beams is 0"),
        (["--beams", "2", "--top-k", "3"], "top_k is 3, but beam search draws nothing"),
        (["--beams", "2", "--length-penalty", "nan"], "length_penalty is nan"),
    ],
)
def test_options_out_of_range(run, capsys, option, sentence):
    assert sentence in refused(run, "a", *option, capsys=capsys)


def test_load_trained_raises_our_error(tmp_path):
    with pytest.raises(CheckpointError, match="no run"):
        load_trained(tmp_path)
