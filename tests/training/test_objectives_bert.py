"""BERT's objectives: exact shares however a batch is cut, each mean over its own count; through the trainer."""

import io
import math

import numpy as np
import pytest
from rich.console import Console

from minilm.errors import DataError
from minilm.models import BertConfig, BertForPreTraining
from minilm.text.masking import LeftToRightBatches, MaskedBatches, Masker
from minilm.text.pairs import PairBatches
from minilm.training import MaskedLM, MaskedLMAndNextSentence, Run, TrainConfig, Trainer
from minilm.training.optim import FlatParameters
from minilm.training.parallel import DataParallel, Threads
from minilm.training.progress import TrainingDisplay

SPECIAL = {"[PAD]": 0, "[UNK]": 1, "[CLS]": 2, "[SEP]": 3, "[MASK]": 4}
V, T = 29, 24


def documents(count=60, seed=0):
    """Eight kinds, each with three words of its own that follow one another: there is something to learn."""
    rng = np.random.default_rng(seed)
    made = []
    for d in range(count):
        tokens = 5 + 3 * (d % 8) + (np.arange(40) + rng.integers(3)) % 3
        made.append([tokens[i : i + 4].tolist() for i in range(0, 40, 4)])
    return made


def masked(size=5, **options):
    pairs = PairBatches(documents(), SPECIAL, T, size, **options)
    return MaskedBatches(pairs, Masker(SPECIAL, V))


def make_model(dtype=np.float32, dropout=0.0, **options):
    config = BertConfig(V, context=T, width=16, layers=2, heads=2, dropout=dropout)
    return BertForPreTraining(config, seed=1, **options).astype(dtype)


def uneven_batch():
    """Rows with very different numbers of targets, one pair without a label: no mean of means is the mean."""
    batch = {name: a.copy() for name, a in masked(7).at(0).items()}
    batch["targets"][0] = batch["ids"][0]
    batch["targets"][1:3] = -100
    batch["next_label"][4] = -100
    return batch


def gradients(objective, batch, threads, accumulation):
    model = make_model(np.float64)
    with Threads(threads) as pool:
        flat = FlatParameters(model.named_parameters())
        loss, metrics = DataParallel(model, flat, pool).gradients(objective, batch, accumulation, (0,))
        named = zip(flat.names, flat.parameters, strict=True)
        found = {name: np.zeros(p.shape) if p.grad is None else p.grad.numpy().copy() for name, p in named}
    return loss, metrics, found


@pytest.mark.parametrize("objective", [MaskedLM(), MaskedLMAndNextSentence()], ids=lambda o: type(o).__name__)
def test_shares_add_up_to_the_exact_means_however_the_batch_is_cut(objective):
    batch = uneven_batch()
    model = make_model(np.float64).eval()
    both = isinstance(objective, MaskedLMAndNextSentence)
    label = batch["next_label"]
    whole = model.loss(batch["ids"], batch["targets"], label, batch["segments"], batch["attention_mask"])
    wanted = whole.mlm + whole.nsp if both else whole.mlm
    wanted.backward()
    exact = {name: np.zeros(p.shape) if p.grad is None else p.grad.numpy() for name, p in model.named_parameters()}
    used, pairs = (batch["targets"] != -100).sum(), 6
    assert (label != -100).sum() == pairs
    for threads, accumulation in ((1, 1), (2, 1), (3, 2), (1, 7), (2, 3)):
        loss, metrics, found = gradients(objective, batch, threads, accumulation)
        assert loss == pytest.approx(wanted.item(), rel=1e-12)
        assert metrics["mlm_loss"] == pytest.approx(whole.mlm.item(), rel=1e-12)
        assert metrics["mlm_accuracy"] == pytest.approx(whole.mlm_right / used, rel=1e-12)
        assert set(metrics) == {"mlm_loss", "mlm_accuracy", *(("nsp_loss", "nsp_accuracy") if both else ())}
        if both:
            assert metrics["nsp_loss"] == pytest.approx(whole.nsp.item(), rel=1e-12)
            assert metrics["nsp_accuracy"] == pytest.approx(whole.nsp_right / pairs, rel=1e-12)
        assert set(found) == set(exact)
        for name, gradient in found.items():
            np.testing.assert_allclose(gradient, exact[name], rtol=1e-9, atol=1e-14, err_msg=name)


def test_evaluation_is_the_mean_over_all_batches_together():
    model, objective = make_model(np.float64).eval(), MaskedLMAndNextSentence()
    batches = [uneven_batch(), masked(5).at(3)]
    with Threads(2) as pool:
        parallel = DataParallel(model, FlatParameters(model.named_parameters()), pool)
        loss, metrics = parallel.evaluate(objective, batches)
    sums = [
        model.loss(*(b[n] for n in ("ids", "targets", "next_label", "segments", "attention_mask")), reduction="sum")
        for b in batches
    ]
    words = sum((b["targets"] != -100).sum() for b in batches)
    mlm, nsp = sum(s.mlm.item() for s in sums) / words, sum(s.nsp.item() for s in sums) / 11
    assert (metrics["mlm_loss"], metrics["nsp_loss"]) == (pytest.approx(mlm, rel=1e-12), pytest.approx(nsp, rel=1e-12))
    assert loss == pytest.approx(mlm + nsp, rel=1e-12)
    assert metrics["mlm_accuracy"] == pytest.approx(sum(s.mlm_right for s in sums) / words)
    assert metrics["nsp_accuracy"] == pytest.approx(sum(s.nsp_right for s in sums) / 11)


def test_padding_is_in_no_loss():
    """The same rows with more padding around them: losses and gradients stay."""
    batch = uneven_batch()
    wider = {"ids": 0, "segments": 0, "attention_mask": False, "targets": -100}
    assert not batch["attention_mask"].all()
    short = max(int(batch["attention_mask"].sum(1).max()), 2)
    cut = {name: a if name == "next_label" else a[:, :short] for name, a in batch.items()}
    assert all((batch[name][:, short:] == fill).all() for name, fill in wider.items())
    for objective in (MaskedLM(), MaskedLMAndNextSentence()):
        one, two = gradients(objective, batch, 1, 1), gradients(objective, cut, 1, 1)
        assert one[0] == pytest.approx(two[0], rel=1e-12)
        for name, gradient in one[2].items():
            np.testing.assert_allclose(gradient, two[2][name], rtol=1e-9, atol=1e-13, err_msg=name)


def test_nothing_to_predict():
    batch = masked().at(0)
    nothing = np.full_like(batch["targets"], -100)
    for objective in (MaskedLM(), MaskedLMAndNextSentence()):
        with pytest.raises(DataError, match="every target is -100"):
            objective.counts({**batch, "targets": nothing})
    with pytest.raises(DataError, match="every next_label is -100"):
        MaskedLMAndNextSentence().counts({**batch, "next_label": nothing[:, 0]})
    without = {name: a for name, a in batch.items() if name != "next_label"}
    assert set(MaskedLM().counts(without)) == {"masked"}
    with pytest.raises(DataError, match="there is no next_label"):
        MaskedLMAndNextSentence().counts(without)


# ------------------------------------------------------------------------------------------------------ the trainer


def training(run=None, objective=None, batches=None, model=None, **changes):
    settings = {"steps": 8, "batch_size": 5, "rate": 5e-3, "warmup": 2, "threads": 2, "checkpoint_every": 3, "keep": 9}
    config = TrainConfig(**{**settings, **changes})
    batches = batches or masked(config.batch_size)
    held_out = [masked(config.batch_size).at(10**4)]
    objective = objective or MaskedLMAndNextSentence()
    return Trainer(model or make_model(dropout=0.1), objective, batches, config, held_out, run, show=False)


def bits(model):
    return {name: array.tobytes() for name, array in model.state_dict().items()}


def test_resuming_gives_the_same_bits(tmp_path):
    run = Run.create(tmp_path / "r", {})
    reference = training(run)
    reference.train()
    for step in (3, 6):
        resumed = training(run).resume(f"step-{step:08d}")
        resumed.train()
        assert bits(resumed.model) == bits(reference.model)


def test_recomputing_the_blocks_trains_to_the_same_bits():
    kept, again = (training(recompute=on, accumulation=2) for on in (False, True))
    for trainer in (kept, again):
        trainer.train()
    assert bits(again.model) == bits(kept.model)


def test_both_losses_and_accuracies_are_logged_and_shown_apart():
    record = training().train().record
    assert record["loss"] == pytest.approx(record["mlm_loss"] + record["nsp_loss"], rel=1e-6)
    for name in ("mlm_loss", "nsp_loss", "mlm_accuracy", "nsp_accuracy"):
        assert math.isfinite(record[name]) and math.isfinite(record[f"validation_{name}"])
    said = io.StringIO()
    display = TrainingDisplay(8, console=Console(file=said))
    display.update(record, 0.0, logged=True)
    for prefix in ("", "validation_"):
        assert f"masked words {record[f'{prefix}mlm_loss']:.4f} ({record[f'{prefix}mlm_accuracy']:.1%} right)" in (
            said.getvalue()
        )
        assert f"next sentence {record[f'{prefix}nsp_loss']:.4f} ({record[f'{prefix}nsp_accuracy']:.1%} right)" in (
            said.getvalue()
        )


def test_it_learns_both():
    """Which three words a text has, from those around the mask (ln 3 = 1.10); and that B has other words than A."""
    record = training(steps=250, batch_size=32, rate=1e-2, warmup=10, threads=1).train().record
    assert record["validation_mlm_loss"] < 1.4 < math.log(24)
    assert record["validation_nsp_accuracy"] > 0.7


def test_without_next_sentences_and_from_left_to_right():
    """The two ablations of BERT's table 5: no NSP; and LTR, where each token is guessed from those before it."""
    alone = make_model(next_sentence=False)
    record = training(objective=MaskedLM(), model=alone, batches=masked(5, next_sentence=False)).train().record
    assert "nsp_loss" not in record and record["loss"] == record["mlm_loss"]
    config = BertConfig(V, context=T, width=16, layers=2, heads=2, causal=True)
    ltr = BertForPreTraining(config, next_sentence=False)
    batches = LeftToRightBatches(PairBatches(documents(), SPECIAL, T, 16))
    before = MaskedLM()(ltr, batches.at(0), MaskedLM().counts(batches.at(0)))[0].item()
    settings = {"steps": 60, "batch_size": 16, "rate": 1e-2, "threads": 1}
    Trainer(ltr, MaskedLM(), batches, TrainConfig(**settings), show=False).train()
    after = MaskedLM()(ltr, batches.at(0), MaskedLM().counts(batches.at(0)))[0].item()
    assert before == pytest.approx(math.log(V), abs=0.1) and after < 1.5
