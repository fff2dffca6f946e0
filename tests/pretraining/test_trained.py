"""A Hugging Face folder serves where a run folder does: minilm generate, fill, finetune, predict."""

import json
from pathlib import Path

import pytest

from minilm.cli.app import main
from minilm.errors import CheckpointError, ConfigError, DataError
from minilm.generation import generate, stream_text
from minilm.models import GPT, Bert, BertConfig, BertForPreTraining, BertForSequenceClassification, GPTConfig
from minilm.pretraining import load_trained
from minilm.text import load_pretrained_tokenizer
from minilm.text.bpe import byte_symbols
from minilm.transfer.pretrained import Pretrained

WORDS = "[PAD] [UNK] [CLS] [SEP] [MASK] the cat dog is good bad ##s . yes no".split()
SHAPE = {"width": 12, "layers": 2, "heads": 3}


@pytest.fixture
def gpt(tmp_path) -> Path:
    """A GPT-2 with GPT-2's two files: bytes, two merges, and <|endoftext|>."""
    tokens = [*byte_symbols(), "th", "the", "<|endoftext|>"]
    folder = tmp_path / "gpt2"
    GPT(GPTConfig(len(tokens), context=32, initial_std=0.3, **SHAPE), seed=1).save_pretrained(folder)
    (folder / "vocab.json").write_text(json.dumps({token: i for i, token in enumerate(tokens)}))
    (folder / "merges.txt").write_text("#version: 0.2\nt h\nth e\n")
    return folder


@pytest.fixture
def bert(tmp_path):
    """make(kind) -> the folder of a BERT of that class, with its vocab.txt."""

    def make(kind=BertForPreTraining) -> Path:
        folder = tmp_path / kind.__name__
        kind(BertConfig(len(WORDS), context=16, initial_std=0.3, **SHAPE), seed=1).save_pretrained(folder)
        (folder / "vocab.txt").write_text("\n".join(WORDS) + "\n")
        return folder

    return make


def minilm(*args, capsys):
    """(exit status, stdout, stderr) of a command line."""
    try:
        status = main([str(a) for a in args])
    except SystemExit as stopped:
        status = stopped.code
    said = capsys.readouterr()
    return status, said.out, said.err


def test_generate_goes_on_with_a_published_gpt(gpt, capsys):
    trained = load_trained(gpt)
    assert trained.kind == "gpt" and trained.run is None and trained.data == {} and not trained.model.training
    wanted = "the " + "".join(stream_text(trained.model, trained.tokenizer, "the ", 20, seed=3)) + "\n"
    assert minilm("generate", gpt, "the ", "--tokens", 20, "--seed", 3, capsys=capsys) == (0, wanted, "")


@pytest.mark.parametrize("several", [False, True])
def test_generate_stops_where_a_published_model_says_that_texts_end(gpt, several, capsys):
    trained = load_trained(gpt)
    ids = trained.tokenizer.encode("the ")
    written = generate(trained.model, ids, 20, seed=3)[len(ids) :].tolist()
    end = written[3]
    config = json.loads((gpt / "config.json").read_text())
    (gpt / "config.json").write_text(json.dumps({**config, "eos_token_id": [255, end] if several else end}))
    text = b"the " + b"".join(trained.tokenizer.token_bytes(i) for i in written[: written.index(end)])
    said = minilm("generate", gpt, "the ", "--tokens", 20, "--seed", 3, capsys=capsys)
    assert said == (0, text.decode("utf-8", "replace") + "\n", "")


def test_fill_guesses_with_a_published_bert(bert, capsys):
    status, said, _ = minilm("fill", bert(), "the [MASK] is good .", "--words", 2, capsys=capsys)
    assert status == 0 and len([word for word in WORDS if word in said.split()]) == 2


@pytest.mark.parametrize("kind", [Bert, BertForPreTraining, BertForSequenceClassification])
def test_finetune_takes_the_encoder_of_any_published_bert(bert, kind, tmp_path, capsys):
    folder, out = bert(kind), tmp_path / "out"
    (tmp_path / "train.csv").write_text("text,label\n" + "the cat is good,yes\nthe dog is bad,no\n" * 4)
    files = ("--train", tmp_path / "train.csv", "--dev", tmp_path / "train.csv", "--out", out)
    given = ("--task", "classify", "--steps", 2, "--rates", "1e-3", "--threads", 1)
    assert minilm("finetune", folder, *given, *files, capsys=capsys)[0] == 0
    status, said, _ = minilm("predict", out, "the dog is good", capsys=capsys)
    assert status == 0 and said.split()[0] in ("yes", "no")
    body = getattr(kind.from_pretrained(folder), "bert", None) or Bert.from_pretrained(folder)
    taken = Pretrained.open(folder).weights
    assert all((taken[name] == array).all() for name, array in body.state_dict().items()) and len(taken) > 30


def test_another_kind_is_refused(gpt, bert, capsys):
    with pytest.raises(ConfigError, match="is a GPT, but this needs a BERT: give another run"):
        load_trained(gpt, kind="bert")
    status, _, said = minilm("generate", bert(), "the", capsys=capsys)
    assert status == 1 and "is a BERT, but this needs a GPT/LLAMA" in said
    status, _, said = minilm("fill", bert(Bert), "the [MASK]", capsys=capsys)
    assert status == 1 and "a Bert guesses no words" in said and said.count("\n") == 1


def test_what_is_wrong_in_a_published_folder_is_said_once(gpt, capsys):
    (gpt / "merges.txt").unlink()
    with pytest.raises(DataError, match="has no tokenizer that can be read"):
        load_trained(gpt)
    (gpt / "model.safetensors").write_bytes(b"")
    with pytest.raises(CheckpointError, match="is no whole safetensors file"):
        load_trained(gpt)
    status, _, said = minilm("generate", gpt, "the", capsys=capsys)
    assert status == 1 and said.startswith("minilm: ") and said.count("\n") == 1


def test_weights_that_are_not_read_are_told_of(gpt, bert):
    folder, said = bert(), []
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "architectures": ["BertModel"]}))
    trained = load_trained(folder, on_notice=said.append)
    assert isinstance(trained.model, Bert) and len(said) == 1 and "does not read: cls." in said[0]
    assert load_pretrained_tokenizer(folder).vocab_size == trained.model.config.vocab_size == len(WORDS)
