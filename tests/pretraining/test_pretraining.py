"""Each kind of model on each source: it trains, resumes to the same bits, opens again, and reads what it should."""

import dataclasses
import json
import shutil

import numpy as np
import pytest

from minilm.errors import CheckpointError, ConfigError, DataError
from minilm.mundito import Mundito, MunditoConfig
from minilm.pretraining import BERT_RECIPES, RECIPES, BertRecipe, Pretraining, Recipe, load_trained
from minilm.text.batches import IGNORE
from minilm.training.objectives import KnownSource, MaskedLM, MaskedLMAndNextSentence, NextToken

GPT_TINY = dataclasses.replace(
    RECIPES["tiny"], width=16, context=24, steps=8, warmup=2, evaluate_every=4, validation=12, dropout=0.1
)
BERT_TINY = dataclasses.replace(
    BERT_RECIPES["tiny"], vocabulary=75, width=16, context=24, steps=8, warmup=2, evaluate_every=4, validation=12,
    documents=40, dropout=0.1,
)  # fmt: skip
ANIMALS = "cat dog cow hen fox owl bee ant".split()
PARAGRAPHS = [
    f"The {a} sat on the {b}. It saw a {c} there! Was the {c} as old as the {a}?\nThe {a} said no. The {b} said yes."
    for a in ANIMALS
    for b in ANIMALS
    for c in ("mat", "log")
    if a != b
]
CASES = [(GPT_TINY, "text"), (GPT_TINY, "mundito"), (BERT_TINY, "text"), (BERT_TINY, "mundito")]
each = pytest.mark.parametrize(("recipe", "source"), CASES, ids=lambda x: getattr(x, "kind", x))


@pytest.fixture
def text(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text("\n\n".join(PARAGRAPHS))
    return path


@pytest.fixture
def begun(tmp_path, text):
    """A new pretraining, in a folder of its own."""

    def begin(recipe, source="text", name="run", seed=3, **changes):
        data = text if source == "text" else source
        return Pretraining.start(data, dataclasses.replace(recipe, **changes), tmp_path / name, seed)

    return begin


def bits(model):
    return {name: array.tobytes() for name, array in model.state_dict().items()}


@each
def test_a_training_stopped_in_the_middle_ends_at_the_same_bits(begun, recipe, source):
    """Dropout and two threads on; the second time with recomputed blocks."""
    pretraining = begun(recipe, source)
    whole = pretraining.trainer(threads=2, show=False)
    record = whole.train().record
    assert np.isfinite(record["validation_loss"])
    assert bits(whole.model) != bits(pretraining.model())
    folder = pretraining.run.folder
    for recompute in (False, True):
        shutil.rmtree(folder / "checkpoints" / "step-00000008")
        again = Pretraining.open(folder).trainer(threads=2, show=False, recompute=recompute).resume()
        assert again.step == 4
        again.train()
        assert bits(again.model) == bits(whole.model)
    trained = load_trained(folder)
    assert bits(trained.model) == bits(whole.model) and trained.kind == recipe.kind and not trained.model.training
    assert trained.tokenizer.fingerprint == pretraining.tokenizer.fingerprint


@each
def test_what_is_read_is_a_pure_function_of_the_seed(begun, recipe, source):
    first, second, other = (begun(recipe, source, f"run-{i}", seed) for i, seed in enumerate((3, 3, 4)))
    assert bits(first.model()) == bits(second.model()) != bits(other.model())
    for name, array in first.data.batches.at(1).items():
        np.testing.assert_array_equal(array, second.data.batches.at(1)[name])
    assert not np.array_equal(first.data.batches.at(1)["ids"], other.data.batches.at(1)["ids"])
    assert len(first.data.batches.at(0)["ids"]) == recipe.batch


OBJECTIVES = {("gpt", "text"): NextToken, ("gpt", "mundito"): KnownSource}


@each
def test_it_is_scored_on_what_it_has_not_read(begun, recipe, source):
    pretraining = begun(recipe, source)
    data = pretraining.data
    assert type(data.objective) is OBJECTIVES.get((recipe.kind, source), MaskedLMAndNextSentence)
    found = pretraining.final(pretraining.trainer(threads=1, show=False))
    if recipe.kind == "bert":
        assert abs(found["loss"] - found["mlm_loss"] - found["nsp_loss"]) <= 1e-4
        assert 0 <= found["nsp_accuracy"] <= 1 and found["texts"] >= 4 * 0.9 * sum(
            len(b["ids"]) for b in data.validation
        )
        return
    known = source == "mundito"
    assert abs(found["loss"] - np.log(pretraining.tokenizer.vocab_size)) < 0.4
    assert (found.get("excess", 0) > 3 and 0 < found["excess_se"] < 0.2) if known else "excess" not in found
    trained = {row.tobytes() for step in range(8) for row in data.batches.at(step)["ids"]}
    assert not trained & {row.tobytes() for batch in data.validation for row in batch["ids"]}


def test_a_text_of_an_earlier_version_still_resumes(begun):
    """A config.json with nothing but what that version wrote."""
    pretraining = begun(GPT_TINY)
    whole = pretraining.trainer(threads=1, show=False)
    whole.train()
    folder = pretraining.run.folder
    config = json.loads((folder / "config.json").read_text())
    assert set(config["data"]) == {"name", "sha256", "size", "licence", "provenance"}
    wrote = "tokenizer vocabulary width layers heads context batch steps rate warmup dropout decay norm evaluate_every"
    config["recipe"] = {name: config["recipe"][name] for name in wrote.split()}
    del config["model"]["causal"]
    (folder / "config.json").write_text(json.dumps(config))
    shutil.rmtree(folder / "checkpoints" / "step-00000008")
    again = Pretraining.open(folder).trainer(threads=1, show=False).resume()
    again.train()
    assert bits(again.model) == bits(whole.model) == bits(load_trained(folder).model)


# --------------------------------------------------------------------------------------------------------- sources


def test_a_run_on_mundito_opens_its_own_world(tmp_path):
    config = MunditoConfig("en", seed=5, tail=0.5, facts_only=True)
    pretraining = Pretraining.start(config, GPT_TINY, tmp_path / "run")
    assert pretraining.recipe.tokenizer == "words" and pretraining.tokenizer.words == Mundito(config).words
    opened = Pretraining.open(tmp_path / "run")
    assert opened.source.world.config == config
    batch = opened.data.batches.at(2)
    text = opened.source.world.text(batch["ids"][0])
    assert text.startswith("<bos> in the ") and batch["oracle"].shape == batch["ids"].shape
    saved = json.loads((tmp_path / "run" / "config.json").read_text())
    saved["data"]["world"]["language"] = "es"
    (tmp_path / "run" / "config.json").write_text(json.dumps(saved))
    with pytest.raises(CheckpointError, match="a Mundito with other words"):
        Pretraining.open(tmp_path / "run")


def test_the_documents_of_a_single_file_stand_between_blank_lines(begun):
    source = begun(BERT_TINY).source
    train, validation = source.sentences(BERT_TINY, 0)
    assert len(train) + len(validation) in (len(PARAGRAPHS), len(PARAGRAPHS) + 1)  # one may be cut in two
    assert len(train[0]) == 5
    assert source.tokenizer.decode(train[0][1]) == "it saw a mat there!"


@pytest.mark.parametrize("source", ["text", "mundito"])
def test_documents_to_validate_on_are_no_others(begun, source):
    train, validation = begun(BERT_TINY, source).source.sentences(BERT_TINY, 3)
    flat = [{tuple(t for sentence in document for t in sentence) for document in part} for part in (train, validation)]
    assert len(train) > len(validation) > 5 and not flat[0] & flat[1]
    if source == "mundito":
        other = begun(BERT_TINY, source, "other").source.sentences(BERT_TINY, 4)
        assert len(train) == 40 and len(validation) == 12 and other[0] != train


def test_inputs_of_mundito_begin_where_their_document_does(begun):
    """And hold whole sentences, so that nothing is cut off and the automaton can write what stands there."""
    pretraining = begun(BERT_TINY, "mundito", context=48)
    world = pretraining.source.world
    for document in pretraining.source.sentences(pretraining.recipe, 3)[0]:
        tokens = [world.id_of["<bos>"], *(t for sentence in document for t in sentence)]
        assert len(tokens) <= 46 and np.isfinite(world.logp(tokens)).all()
    assert pretraining.data.counts["truncated"] == 0


def test_what_cannot_be_is_refused_before_a_folder_is_made(begun, tmp_path):
    refused = [
        (ConfigError, "a text has no tokenizer 'words'; choose one of char, bpe", GPT_TINY, {"tokenizer": "words"}),
        (ConfigError, "a text has no tokenizer 'words'; choose one of bpe, wordp", BERT_TINY, {"tokenizer": "words"}),
        (ConfigError, "choose the tokenizer wordpiece, not bpe", BERT_TINY,
         {"tokenizer": "bpe", "vocabulary": 270, "masking": "whole-word"}),
        (DataError, "vocab_size 9999 is too large", BERT_TINY, {"vocabulary": 9999}),
        (ConfigError, "heads must divide width", BERT_TINY, {"heads": 3}),
    ]  # fmt: skip
    for error, sentence, recipe, changes in refused:
        with pytest.raises(error, match=sentence):
            begun(recipe, **changes)
    for kind, changes in ((Recipe, {"tokenizer": "wordpiece"}), (BertRecipe, {"tokenizer": "char"})):
        with pytest.raises(ConfigError, match="choose one of"):
            kind(**{**dataclasses.asdict(GPT_TINY if kind is Recipe else BERT_TINY), **changes})
    with pytest.raises(DataError, match="leave next-sentence prediction out"):
        Pretraining.start(MunditoConfig(facts_only=True), BERT_TINY, tmp_path / "run")
    assert not (tmp_path / "run").exists()


# -------------------------------------------------------------------------------------------------------- ablations


def test_without_the_second_task_one_text_is_read_at_a_time(begun):
    pretraining = begun(BERT_TINY, "mundito", next_sentence=False)
    batch = pretraining.data.batches.at(0)
    assert "next_label" not in batch and not batch["segments"].any()
    assert type(pretraining.data.objective) is MaskedLM and pretraining.model().next_sentence is None
    pretraining.trainer(threads=1, show=False).train()
    assert load_trained(pretraining.run.folder).model.next_sentence is None


def test_from_left_to_right_the_next_token_is_guessed(begun):
    pretraining = begun(BERT_TINY, "mundito", left_to_right=True)
    batch = pretraining.data.batches.at(0)
    mask = pretraining.tokenizer.special_tokens["[MASK]"]
    assert not (batch["ids"] == mask).any() and pretraining.model().config.causal
    real = batch["attention_mask"][:, 1:]
    np.testing.assert_array_equal(batch["targets"][:, :-1][real], batch["ids"][:, 1:][real])
    with pytest.raises(ConfigError, match="fills no masks"):
        pretraining.guesses(pretraining.model(), 1)


MIXTURES = [("80/10/10", 0.8, 0.1), ("100/0/0", 1, 0), ("0/0/100", 0, 0), ("span", 0.8, 0.1), ("whole-word", 0.8, 0.1)]


@pytest.mark.parametrize(("masking", "masked", "random"), MIXTURES)
def test_masks_are_mixed_as_asked(begun, masking, masked, random):
    """Of the chosen tokens; random ones are other than the original one but by chance, one of about 70."""
    pretraining = begun(BERT_TINY, masking=masking, batch=64)
    mask = pretraining.tokenizer.special_tokens["[MASK]"]
    ids, targets = (
        np.concatenate([pretraining.data.batches.at(step)[name].ravel() for step in range(8)])
        for name in ("ids", "targets")
    )
    chosen = targets != IGNORE
    n = chosen.sum()
    error = 4 * np.sqrt(0.25 / n) * (3 if masking == "span" else 1)  # the tokens of a span share their fate
    assert abs((ids[chosen] == mask).mean() - masked) <= (error if 0 < masked < 1 else 0)
    changed = (ids != targets)[chosen] & (ids[chosen] != mask)
    assert abs(changed.mean() - random) <= (error if random else 0)
    if masking == "whole-word":
        original, chosen = np.where(chosen, targets, ids).reshape(-1, 24), chosen.reshape(-1, 24)
        special = np.isin(original, list(pretraining.tokenizer.special_tokens.values()))
        goes_on = np.array(pretraining.tokenizer.continues)[original][:, 1:] & ~special[:, :-1]  # a text may begin so
        assert goes_on[chosen[:, 1:]].any()
        np.testing.assert_array_equal(chosen[:, 1:][goes_on], chosen[:, :-1][goes_on])


def test_static_masks_come_again_and_others_do_not(begun):
    for static in (True, False):
        data = begun(BERT_TINY, name=f"run-{static}", static_masks=static, batch=4).data
        pairs = data.batches.source
        epoch = pairs.pairs_per_epoch
        rows = [
            {name: data.batches.at(n // 4)[name][n % 4].tobytes() for name in ("ids", "targets")}
            for n in (0, 1, 2, epoch, epoch + 1, epoch + 2)
        ]
        assert (rows[:3] == rows[3:]) is static


# ---------------------------------------------------------------------------------------------------------- guesses


@pytest.mark.parametrize("source", ["text", "mundito"])
def test_guesses_are_the_models_at_the_mask_beside_what_can_be_known(begun, source):
    pretraining = begun(BERT_TINY, source, context=64)
    model, special = pretraining.model().eval(), pretraining.tokenizer.special_tokens
    guesses = pretraining.guesses(model, 4)
    assert len(guesses) == 4
    for guess in guesses:
        ids = np.array([[special["[CLS]"], *guess.ids, special["[SEP]"]]])
        place = guess.ids.index(special["[MASK]"])
        logits = model(ids).mlm.numpy()[0, place + 1].astype(float)
        expected = np.exp(logits) / np.exp(logits).sum()
        np.testing.assert_allclose(guess.distribution, expected, rtol=1e-4)
        (word,) = pretraining.tokenizer.encode(guess.word)
        if source == "text":
            assert guess.truth is None
            continue
        world = pretraining.source.world
        weights = np.zeros(world.vocab_size)
        for w in range(world.vocab_size):
            weights[w] = np.exp(
                world.logp([world.id_of["<bos>"], *guess.ids[:place], w, *guess.ids[place + 1 :]]).sum()
            )
        np.testing.assert_allclose(guess.truth, weights / weights.sum(), atol=1e-12)
        assert guess.truth[word] > 0
