"""`minilm generate --pretrained`: a GGUF file continues a text, or answers."""

import io
import sys

import numpy as np
import pytest
from tiny_gguf import TOKENS, arrays, write

from minilm.chat import ChatML
from minilm.cli.app import main
from minilm.generation import generate
from minilm.models.gguf import load_gguf
from minilm.published import open_language_model

CHATML = (
    "{% for message in messages %}"
    "{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


@pytest.fixture
def file(tmp_path):
    """A model whose texts end at "|": that token is likely after any other."""
    made = arrays(np.random.default_rng(3), tied=False)
    made["output.weight"][2] = made["output.weight"][TOKENS.index("|")]
    return write(tmp_path / "tiny.gguf", made, {"llama.context_length": 300, "tokenizer.chat_template": CHATML})


@pytest.fixture
def minilm(capsys):
    def run(*args):
        try:
            status = main(["generate", *map(str, args)])
        except SystemExit as stopped:
            status = stopped.code
        said = capsys.readouterr()
        return status, said.out, said.err

    return run


def continued(file, ids, tokens=20):
    """The text that follows ids, to the token that ends it, by the library."""
    model, speech = load_gguf(file)
    new = generate(model, ids, tokens, temperature=0, stop=speech.stop)[len(ids) :]
    return speech.tokenizer.decode(new[new != 2])


def test_it_goes_on_from_a_text(file, minilm):
    ids = load_gguf(file)[1].tokenizer.encode("the end")
    wanted = "the end" + continued(file, ids) + "\n"
    assert minilm("--pretrained", file, "the end", "--tokens", 20, "--temperature", 0) == (0, wanted, "")
    assert minilm("--pretrained", file, "the end", "--tokens", 20, "--temperature", 0, "--no-cache")[1] == wanted


def test_an_empty_text_starts_from_the_token_between_texts(file, minilm):
    assert minilm("--pretrained", file, "--tokens", 9, "--temperature", 0)[1] == continued(file, [0], 9) + "\n"


def test_the_ids_that_begin_a_text_stand_before_it(file):
    model = open_language_model(str(file))._replace(begin=(1,))
    assert model.prompt("the")[0] == 1 and model.prompt("the")[1:] == model.tokenizer.encode("the")
    assert model.prompt("") == [1]


def test_an_answer_and_a_conversation(file, minilm, monkeypatch):
    tokenizer = load_gguf(file)[1].tokenizer
    first = continued(file, ChatML().ids(tokenizer, [("user", "who?")]))
    how = ["--pretrained", file, "--chat", "--temperature", 0, "--tokens", 20]
    assert minilm(*how, "who?") == (0, first + "\n", "")
    monkeypatch.setattr(sys, "stdin", io.StringIO("who?\n\n why? \n"))
    said = [("user", "who?"), ("assistant", first), ("user", "why?")]
    assert minilm(*how) == (0, f"{first}\n{continued(file, ChatML().ids(tokenizer, said))}\n", "")


def test_what_does_not_go_together(file, tmp_path, minilm):
    plain = write(tmp_path / "plain.gguf", arrays(np.random.default_rng(3)))
    assert minilm("--pretrained", plain, "--chat", "who?")[2].startswith("minilm: this model has no chat format")
    assert minilm("runs/x", "a", "--chat")[2] == (
        "minilm: --chat needs a model that learned to answer: --pretrained smollm2\n"
    )
    status, _, err = minilm("--pretrained", file, "one", "two")
    assert status == 2 and "give one text, in quotes" in err
    status, _, err = minilm()
    assert status == 2 and "give a run folder, or a model by --pretrained" in err
    assert minilm("--pretrained", "smollm9", "a") == (
        1,
        "",
        "minilm: there is no published model or file smollm9; minilm fetches smollm2 and reads GGUF files\n",
    )
