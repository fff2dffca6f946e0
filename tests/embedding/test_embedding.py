"""Vectors of sentences: the mean of what BERT says of each token, whatever stands beside them in a batch."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_encoder import MODEL, TOKENIZER, WORDS, alone, lively

from minilm.embedding import embed, load_encoder, nearest
from minilm.errors import CheckpointError, ConfigError, DataError

TEXTS = st.lists(st.lists(st.sampled_from([*WORDS[5:-1], "otro", "Gatos"]), max_size=12).map(" ".join), max_size=9)


@given(texts=TEXTS, batch=st.integers(1, 5), longest=st.integers(3, 20))
def test_each_vector_is_that_of_the_text_alone(texts, batch, longest):
    vectors = embed(MODEL, TOKENIZER, texts, batch, longest)
    assert vectors.shape == (len(texts), 12) and vectors.dtype == np.float32
    for vector, text in zip(vectors, texts, strict=True):
        assert np.abs(vector - alone(text, min(16, longest))).max() <= 1e-5


def test_dropout_and_mode_change_nothing():
    model = lively(dropout=0.5).train()
    assert (embed(model, TOKENIZER, ["el gato"]) == embed(MODEL, TOKENIZER, ["el gato"])).all()
    assert model.training


def test_texts_that_are_cut_are_counted():
    said, seen = [], []
    texts = ["gato " * n for n in (3, 4, 5, 6)]
    embed(MODEL, TOKENIZER, texts, 3, 6, said.append, lambda done, total: seen.append((done, total)))
    assert said == ["2 texts are longer than the 6 tokens that are read: their ends were cut off"]
    assert seen == [(3, 4), (4, 4)]
    embed(MODEL, TOKENIZER, texts[:3], on_notice=said.append)
    assert len(said) == 1


def test_arguments_that_cannot_be():
    with pytest.raises(DataError, match="texts is one text: give a list"):
        embed(MODEL, TOKENIZER, "el gato")
    with pytest.raises(ConfigError, match="batch is 0; it must be at least 1"):
        embed(MODEL, TOKENIZER, ["el gato"], batch=0)
    with pytest.raises(ConfigError, match="longest is 2; it must be at least 3"):
        embed(MODEL, TOKENIZER, ["el gato"], longest=2)


def test_the_nearest_come_first_and_of_equals_the_earlier():
    vectors = np.float32([[0, 1], [1, 0], [0.6, 0.8], [1, 0]])
    found = nearest(vectors, np.float32([1, 0]), 3)
    assert [hit.number for hit in found] == [1, 3, 2]
    assert [hit.score for hit in found] == pytest.approx([1, 1, 0.6])
    assert len(nearest(vectors, vectors[0], 99)) == 4


# ---------------------------------------------------------------------------------------------------------- loading

STEPS = ["Transformer", "Pooling", "Normalize"]
MODES = {"word_embedding_dimension": 12, "pooling_mode_cls_token": False, "pooling_mode_mean_tokens": True}


@pytest.fixture
def folder(tmp_path):
    """A folder as sentence-transformers writes it."""
    MODEL.save_pretrained(tmp_path / "encoder")
    contents = {
        "modules.json": [{"type": f"sentence_transformers.models.{step}"} for step in STEPS],
        "1_Pooling/config.json": MODES,
        "sentence_bert_config.json": {"max_seq_length": 8, "do_lower_case": False},
        "tokenizer_config.json": {"do_lower_case": True, "strip_accents": None},
    }
    put(tmp_path / "encoder", contents)
    TOKENIZER.save_vocab(tmp_path / "encoder" / "vocab.txt")
    return tmp_path / "encoder"


def put(folder, contents):
    for name, content in contents.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(json.dumps(content))


def test_a_folder_gives_model_tokenizer_and_length(folder):
    encoder = load_encoder(folder)
    assert encoder.longest == 8
    texts = ["El GATO duerme", "un perro come pan en la casa"]
    vectors = embed(encoder.model, encoder.tokenizer, texts, longest=encoder.longest)
    assert np.abs(vectors - [alone(text, 8) for text in texts]).max() <= 1e-5


def test_a_cased_folder_keeps_capitals(folder):
    put(folder, {"tokenizer_config.json": {"do_lower_case": False}})
    assert load_encoder(folder).tokenizer.tokenize("El gato") == ["[UNK]", "gato"]


@pytest.mark.parametrize("name", ["modules.json", "1_Pooling/config.json", "sentence_bert_config.json", "vocab.txt"])
def test_a_folder_that_lacks_a_file(folder, name):
    (folder / name).unlink()
    with pytest.raises(CheckpointError, match=f"has no {name}: give a folder that sentence-transformers wrote"):
        load_encoder(folder)


@pytest.mark.parametrize(
    ("contents", "said"),
    [
        ({"modules.json": [{"type": "x.Transformer"}, {"type": "x.Pooling"}]}, r"by Transformer, Pooling \("),
        ({"1_Pooling/config.json": {"pooling_mode_cls_token": True}}, "pooling_mode_cls_token.*takes the mean"),
        (
            {"1_Pooling/config.json": {**MODES, "pooling_mode_max_tokens": True}},
            r"\(pooling_mode_mean_tokens, pooling_mode_max_tokens\)",
        ),
    ],
)
def test_a_folder_that_makes_its_vectors_otherwise(folder, contents, said):
    put(folder, contents)
    with pytest.raises(ConfigError, match=said):
        load_encoder(folder)


def test_a_vocabulary_of_another_size(folder):
    (folder / "vocab.txt").write_text("\n".join(WORDS[:-1]))
    with pytest.raises(CheckpointError, match="its vocabulary has 16 tokens, its model 17"):
        load_encoder(folder)
