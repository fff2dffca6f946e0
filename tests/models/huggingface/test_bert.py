"""BERT and its heads are what transformers' are: logits, hidden states, losses, gradients, folders."""

import json
import re

import numpy as np
import pytest
import torch
from agreement import agree, carried_over, check_every_setting_counts, check_round_trips, make, settings_of, tensor

from minilm.errors import ConfigError
from minilm.models import Bert, BertConfig, BertForPreTraining, BertForSequenceClassification
from minilm.models.base import Model
from minilm.models.huggingface.folder import UnreadWeightsWarning

PLAIN = {"vocab_size": 13, "max_position_embeddings": 11, "hidden_size": 15, "num_hidden_layers": 3,
         "num_attention_heads": 5, "intermediate_size": 22}  # fmt: skip
CASES = [
    PLAIN,
    {**PLAIN, "num_attention_heads": 3, "layer_norm_eps": 0.03, "hidden_act": "gelu_new", "pad_token_id": 4},
    {**PLAIN, "type_vocab_size": 4, "hidden_act": "relu", "pad_token_id": None, "num_attention_heads": 1},
    {**PLAIN, "hidden_act": "silu", "tie_word_embeddings": False, "chunk_size_feed_forward": 3},
]
PAD = 4
RNG = np.random.default_rng(0)
REAL = np.arange(9) < np.array([[9], [5], [2]])
IDS = np.where(REAL, RNG.choice([i for i in range(13) if i not in (0, PAD)], (3, 9)), PAD)
SEGMENTS = (np.arange(9) >= np.array([[4], [3], [1]])).astype(int)
TARGETS = np.where(REAL & (RNG.random((3, 9)) < 0.5), RNG.integers(0, 13, (3, 9)), -100)
HEADS = ["BertForSequenceClassification", "BertForTokenClassification", "BertForQuestionAnswering"]


def both(theirs, folder, padded=True, segments=SEGMENTS, ids=IDS, **labels):
    """The model of ours; their answer; and the inputs of ours."""
    mask = REAL if padded else np.ones_like(REAL)
    inputs = {"attention_mask": tensor(mask.astype(int)), "token_type_ids": tensor(segments)}
    their = theirs(tensor(ids), **inputs, **{n: tensor(a) for n, a in labels.items()}, output_hidden_states=True)
    return carried_over(theirs, folder), their, (ids, segments, mask)


def states(bert, their, inputs):
    found = bert.hidden_states(*inputs)
    return {f"h{i}": pair for i, pair in enumerate(zip(found, their.hidden_states, strict=True))}


@pytest.mark.parametrize("settings", CASES, ids=str)
def test_the_encoder(tmp_path, settings):
    theirs = make("BertModel", **settings)
    segments = SEGMENTS * (settings.get("type_vocab_size", 2) - 1)
    ours, their, inputs = both(theirs, tmp_path, segments=segments)
    found = ours(*inputs)
    pairs = {"hidden": (found.hidden, their.last_hidden_state), "pooled": (found.pooled, their.pooler_output)}
    agree(theirs, ours, pairs | states(ours, their, inputs), REAL)


@pytest.mark.parametrize("settings", CASES, ids=str)
def test_both_heads_of_pretraining_with_their_losses(tmp_path, settings):
    theirs, follows = make("BertForPreTraining", **settings), np.array([1, 0, 1])
    ours, their, inputs = both(theirs, tmp_path, labels=TARGETS, next_sentence_label=follows)
    ids, segments, mask = inputs
    made, loss = ours(*inputs), ours.loss(ids, TARGETS, follows, segments, mask)
    pairs = {
        "words": (made.mlm, their.prediction_logits),
        "follows": (made.nsp, their.seq_relationship_logits),
        "loss": (loss.mlm + loss.nsp, their.loss),
    }
    agree(theirs, ours, pairs | states(ours.bert, their, inputs), REAL)


@pytest.mark.parametrize("settings", CASES, ids=str)
def test_masked_words_alone(tmp_path, settings):
    theirs = make("BertForMaskedLM", **settings)
    ours, their, inputs = both(theirs, tmp_path, labels=TARGETS)
    assert isinstance(ours, BertForPreTraining) and ours.next_sentence is None and ours.bert.pooler is None
    loss = ours.loss(IDS, TARGETS, None, SEGMENTS, REAL).mlm
    agree(theirs, ours, {"words": (ours(*inputs).mlm, their.logits), "loss": (loss, their.loss)}, REAL)


@pytest.mark.parametrize("labels", [[2, 0, 1], [0.3, -1.2, 2.5]], ids=["classes", "regression"])
def test_sequence_classification_and_regression(tmp_path, labels):
    classes = 3 if isinstance(labels[0], int) else 1
    theirs, labels = make("BertForSequenceClassification", **CASES[1], num_labels=classes), np.array(labels)
    ours, their, inputs = both(theirs, tmp_path, labels=labels)
    logits = their.logits if classes > 1 else their.logits[:, 0]
    loss = ours.loss(IDS, labels, SEGMENTS, REAL)
    agree(theirs, ours, {"logits": (ours(*inputs), logits), "loss": (loss, their.loss)})


def test_token_classification(tmp_path):
    theirs = make("BertForTokenClassification", **CASES[1], num_labels=4)
    labels = np.where(TARGETS < 0, -100, TARGETS % 4)
    ours, their, inputs = both(theirs, tmp_path, labels=labels)
    loss = ours.loss(IDS, labels, SEGMENTS, REAL)
    agree(theirs, ours, {"logits": (ours(*inputs), their.logits), "loss": (loss, their.loss)}, REAL)


def test_question_answering(tmp_path):
    """Without padding; with it the logits of what is real are theirs, and ours gives padding no chance."""
    theirs, starts, ends = make("BertForQuestionAnswering", **CASES[1]), np.array([5, 0, 3]), np.array([8, 0, 3])
    full = np.where(IDS == PAD, 1, IDS)  # theirs never learns the embedding of PAD, wherever it stands
    ours, their, inputs = both(theirs, tmp_path, False, ids=full, start_positions=starts, end_positions=ends)
    found, loss = ours(*inputs), ours.loss(full, starts, ends, SEGMENTS)
    pairs = {"start": (found.start, their.start_logits), "end": (found.end, their.end_logits)}
    agree(theirs, ours, {**pairs, "loss": (loss, their.loss)})
    ours, their, inputs = both(theirs, tmp_path)
    found = ours(*inputs)
    agree(theirs, ours, {"start": (found.start, their.start_logits), "end": (found.end, their.end_logits)}, REAL)


def test_multiple_choice(tmp_path):
    theirs, labels = make("BertForMultipleChoice", **CASES[1]), np.array([2, 0])
    ids, segments = RNG.integers(0, 13, (2, 3, 8)), RNG.integers(0, 2, (2, 3, 8))
    mask = np.arange(8) < RNG.integers(2, 9, (2, 3, 1))
    ids = np.where(mask, np.where(ids == PAD, 1, ids), PAD)
    their = theirs(tensor(ids), attention_mask=tensor(mask.astype(int)), token_type_ids=tensor(segments),
                   labels=tensor(labels))  # fmt: skip
    ours = carried_over(theirs, tmp_path)
    found, loss = ours(ids, segments, mask), ours.loss(ids, labels, segments, mask)
    agree(theirs, ours, {"logits": (found, their.logits), "loss": (loss, their.loss)})


# ------------------------------------------------------------------------------------------------------------ folders


def test_every_setting_counts_or_is_known_to_be_harmless():
    check_every_setting_counts("BertForMaskedLM", ())


@pytest.mark.parametrize("architecture", ["BertModel", "BertForPreTraining", "BertForMaskedLM"])
@pytest.mark.parametrize("settings", CASES, ids=str)
def test_nothing_is_lost_on_the_way_there_and_back(tmp_path, settings, architecture):
    check_round_trips(make(architecture, **settings), tmp_path)


@pytest.mark.parametrize("architecture", [*HEADS, "BertForMultipleChoice"])
def test_nor_are_heads_and_the_names_of_their_labels(tmp_path, architecture):
    labels = ["malo", "bueno"] if architecture == "BertForQuestionAnswering" else ["malo", "regular", "bueno"]
    names = {"id2label": dict(enumerate(labels)), "label2id": {n: i for i, n in enumerate(labels)}}
    check_round_trips(make(architecture, **CASES[1], **names, classifier_dropout=0.25), tmp_path)
    assert list(settings_of(tmp_path / "ours")["id2label"].values()) == labels


def test_every_dropout_lands_in_its_place(tmp_path):
    rates = {"hidden_dropout_prob": 0.11, "attention_probs_dropout_prob": 0.22, "classifier_dropout": 0.33}
    ours = carried_over(make("BertForTokenClassification", **PLAIN, **rates), tmp_path)
    block = ours.bert.blocks[1]
    assert (ours.bert.dropout.p, block.dropout.p, block.attention.dropout.p, ours.dropout.p) == (0.11, 0.11, 0.22, 0.33)


def test_a_model_of_ours_is_saved_with_its_number_of_classes(tmp_path):
    from transformers import AutoModelForSequenceClassification

    ours = BertForSequenceClassification(BertConfig(13, 11, 12, 2, 3, dropout=0.2), classes=5, seed=1).eval()
    ours.save_pretrained(tmp_path)
    theirs = AutoModelForSequenceClassification.from_pretrained(tmp_path).eval()
    c = theirs.config
    assert (c.num_labels, c.attention_probs_dropout_prob, c.pad_token_id) == (5, 0.2, None)
    found = theirs(tensor(IDS)).logits.detach().numpy()
    np.testing.assert_allclose(ours(IDS).numpy(), found, rtol=1e-4, atol=1e-5)


def rewrite(folder, **settings):
    """Other settings in a folder's config.json."""
    (folder / "config.json").write_text(json.dumps({**settings_of(folder), **settings}))


def rename(folder, change):
    """Other names in a folder's weights, or fewer weights, where change(name) is None."""
    from safetensors.torch import load_file, save_file

    arrays = {change(n): a.clone() for n, a in load_file(folder / "model.safetensors").items()}
    save_file({n: a for n, a in arrays.items() if n is not None}, folder / "model.safetensors")


def test_older_names_and_buffers_are_known(tmp_path):
    """As in the published bert-base-uncased, which calls itself a masked LM and holds the other head as well."""
    from safetensors.torch import load_file, save_file

    theirs = make("BertForPreTraining", **PLAIN)
    theirs.save_pretrained(tmp_path)
    older = {"weight": "LayerNorm.gamma", "bias": "LayerNorm.beta"}
    rename(tmp_path, lambda n: re.sub(r"LayerNorm\.(\w+)", lambda found: older[found[1]], n))
    arrays = load_file(tmp_path / "model.safetensors")
    arrays["bert.embeddings.position_ids"] = torch.arange(11)[None]
    arrays["cls.predictions.decoder.weight"] = arrays["bert.embeddings.word_embeddings.weight"].clone()
    save_file(arrays, tmp_path / "model.safetensors")
    rewrite(tmp_path, architectures=["BertForMaskedLM"])
    ours = BertForPreTraining.from_pretrained(tmp_path)
    found = theirs(tensor(IDS))
    agree(theirs, ours, {"words": (ours(IDS).mlm, found.prediction_logits), "follows": (ours(IDS).nsp, found[1])})


@pytest.mark.parametrize("prefix", [True, False])
def test_the_bodys_prefix_may_be_there_or_not(tmp_path, prefix):
    theirs = make("BertModel" if prefix else "BertForMaskedLM", **PLAIN)
    theirs.save_pretrained(tmp_path)
    rename(tmp_path, lambda n: f"bert.{n}" if prefix else n.removeprefix("bert."))
    ours, found = Model.from_pretrained(tmp_path), theirs(tensor(IDS))
    agree(theirs, ours, {"output": (ours(IDS)[0], found[0])})


def test_an_encoder_without_a_pooler_stays_one(tmp_path):
    ours = Bert(BertConfig(13, 11, 12, 2, 3), pooler=False)
    ours.save_pretrained(tmp_path)
    assert Bert.from_pretrained(tmp_path).pooler is None


def test_learned_weights_that_are_not_read_are_named(tmp_path):
    make("BertForPreTraining", **PLAIN).save_pretrained(tmp_path)
    rename(tmp_path, lambda n: None if "seq_relationship" in n else n)
    said = []
    BertForPreTraining.from_pretrained(tmp_path, on_notice=said.append)
    assert len(said) == 1 and "does not read: bert.pooler.dense.bias, bert.pooler.dense.weight" in said[0]
    with pytest.warns(UnreadWeightsWarning, match="a BertForPreTraining does not read"):
        BertForPreTraining.from_pretrained(tmp_path)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"problem_type": "multi_label_classification"}, "problem_type is 'multi_label_classification' with 2 labels"),
        ({"num_labels": 3, "problem_type": "regression"}, "problem_type is 'regression' with 3 labels"),
        ({"position_embedding_type": "relative_key"}, "position_embedding_type is 'relative_key'"),
        ({"is_decoder": True}, "is_decoder is True"),
        ({"add_cross_attention": 1}, "add_cross_attention is 1"),
        ({"hidden_act": "mish"}, "hidden_act is 'mish'; minilm builds models with 'gelu', "),
        ({"num_labels": 2, "id2label": {"0": "a"}}, "id2label names 1 labels, num_labels is 2"),
        ({"layer_norm_eps": "1e-5"}, "epsilon is '1e-5'"),
        ({"num_attention_heads": 4}, "heads must divide width"),
    ],
    ids=str,
)
def test_settings_that_are_not_built_are_refused_by_name(tmp_path, settings, said):
    make("BertForSequenceClassification", **PLAIN).save_pretrained(tmp_path)
    rewrite(tmp_path, **settings)
    with pytest.raises(ConfigError, match=f"config.json: .*{said}"):
        Model.from_pretrained(tmp_path)


def test_one_that_reads_from_left_to_right_is_not_saved(tmp_path):
    with pytest.raises(ConfigError, match="reads both ways"):
        Bert(BertConfig(13, 11, 12, 2, 3, causal=True)).save_pretrained(tmp_path)
