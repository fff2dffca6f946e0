"""Training and generation on the strict device: the twins' very numbers, and every transfer accounted for."""

import contextlib

import numpy as np
import pytest
from double import counting
from strict import use_double

from minilm import backend
from minilm.autograd import Tensor, fast
from minilm.errors import TrainingError
from minilm.generation import generate
from minilm.models import GPT, T5, GPTConfig, T5Config
from minilm.text import TokenBatches
from minilm.training import NextToken, Run, TrainConfig, Trainer
from minilm.training.optim import SGD, AdamW, clip_by_global_norm

TEXT = np.frombuffer(b"the cat sat on the mat and the dog sat on the log. " * 8, np.uint8).astype(np.int64)
B, T = 3, 8


@contextlib.contextmanager
def twins():
    """NumPy with the formulas that a device runs, in place of the kernels."""
    with fast(False):
        yield


def model(dropout=0.0, **settings):
    return GPT(GPTConfig(vocab_size=128, context=T, width=8, layers=2, heads=2, dropout=dropout, **settings), seed=1)


def trainer(run=None, dropout=0.0, **changes):
    settings = {"steps": 6, "batch_size": B, "rate": 5e-3, "warmup": 2, "threads": 1, "evaluate_every": 3,
                "checkpoint_every": 2, "keep": 9}  # fmt: skip
    batches = TokenBatches(TEXT, T, B, seed=4)
    validation = list(TokenBatches(TEXT[:40], T, B).windows(stride=4))  # has targets that are ignored
    config = TrainConfig(**{**settings, **changes})
    return Trainer(model(dropout).astype(np.float64), NextToken(), batches, config, validation, run, show=False)


def equal(found, wanted):
    """Arrays by name, of float64."""
    assert found.keys() == wanted.keys()
    for name, a in wanted.items():
        np.testing.assert_allclose(found[name], a, rtol=1e-12, atol=1e-12, err_msg=name)


SETTINGS = {
    "adamw, clipped": {"clip": 0.05},
    "not clipped": {"clip": None, "schedule": "linear"},
    "sgd": {"optimizer": "sgd", "nesterov": True, "rate": 0.05},
    "in two parts": {"accumulation": 2},
}


@pytest.mark.parametrize("name", SETTINGS)
def test_a_training_gives_the_twins_weights_losses_and_memory(name):
    with twins():
        wanted = trainer(**SETTINGS[name])
        wanted.train()
    with use_double():
        found = trainer(**SETTINGS[name])
        found.train()
        equal(found.model.state_dict(), wanted.model.state_dict())
        equal(found.optimizer.state_dict(), wanted.optimizer.state_dict())
    for key in ("loss", "validation_loss", "gradient_norm", "rate", "tokens"):
        assert found.record[key] == pytest.approx(wanted.record[key], rel=1e-12), key


def test_resuming_goes_on_to_the_same_weights(tmp_path):
    """To the same bits only on NumPy (tests/training): a device adds up an embedding's gradient in no fixed order."""
    with use_double():
        run = Run.create(tmp_path / "r", {})
        reference = trainer(run, dropout=0.2)
        reference.train()
        for step in (2, 4):
            resumed = trainer(run, dropout=0.2).resume(f"step-{step:08d}")
            resumed.train()
            assert resumed.step == 6
            equal(resumed.model.state_dict(), reference.model.state_dict())


def test_a_checkpoint_of_a_device_is_read_by_numpy_and_back(tmp_path):
    with use_double():
        run = Run.create(tmp_path / "r", {})
        there = trainer(run, steps=2)
        there.train()
        weights = there.model.state_dict()
    here = trainer(run, steps=2).resume()
    for name, array in here.model.state_dict().items():
        np.testing.assert_array_equal(array, weights[name])
    with use_double():
        again = model()
        again.load_state_dict(weights)
        again.load_state_dict({name: Tensor(array) for name, array in weights.items()})
        assert all(isinstance(p.data, backend.xp.ndarray) for p in again.parameters())
        for name, array in again.state_dict().items():
            np.testing.assert_array_equal(array, weights[name].astype(np.float32))


def test_one_thread_unless_told_as_a_device_has_threads_of_its_own():
    with use_double():
        assert trainer(threads=0).threads == 1


def test_a_loss_that_is_no_number_stops_the_training_with_its_sentence():
    with use_double(), pytest.raises(TrainingError, match="is (nan|inf) at step"):
        trainer(steps=40, rate=1e30, warmup=0, clip=None).train()


# -------------------------------------------------------------------------------------------------------- transfers


def moved(transfers):
    """Direction, shape and the function that asks, of each."""
    return [(t.direction, t.shape, t.line.rpartition(" in ")[2]) for t in transfers]


ONE_STEP = [
    ("up", (B, T), "embedding"),  # the ids; their range was looked at on the host
    ("up", (B, T), "_cross_entropy"),  # the targets, likewise
    ("down", (), "item"),  # the loss, which the trainer logs, and stops by when it is no number
    ("down", (), "_squares"),  # the norm of all gradients at once, which decides on clipping
]


@pytest.mark.parametrize("dropout", [0.0, 0.2])
@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_the_transfers_of_one_training_step(optimizer, dropout):
    with use_double():
        training = trainer(dropout=dropout, optimizer=optimizer, clip=1e9)
        with counting() as transfers:
            training._update()
    assert moved(transfers) == ONE_STEP, "\n".join(map(str, transfers))


def test_clipping_costs_one_transfer_more():
    with use_double():
        training = trainer(clip=1e-3)
        with counting() as transfers:
            training._update()
    assert moved(transfers) == [*ONE_STEP, ("down", (), "_squares")], "\n".join(map(str, transfers))


def test_evaluation_moves_a_batch_up_and_one_number_down():
    with use_double():
        training = trainer()
        batches = training.validation
        with counting() as transfers:
            training.evaluate(batches)
    wanted = [t for b in batches for t in [(d, b["ids"].shape if s else (), f) for d, s, f in ONE_STEP[:3]]]
    assert moved(transfers) == wanted, "\n".join(map(str, transfers))


def test_ids_of_the_device_cost_the_check_of_their_range():
    with use_double() as xp:
        ids, targets = xp.asarray(TEXT[:16].reshape(2, 8)), xp.asarray(TEXT[1:17].reshape(2, 8))
        gpt = model()
        with counting() as transfers:
            gpt.loss(ids, targets).backward()
    assert moved(transfers) == [
        ("down", (2,), "checked_ids"),  # by the model, in its own words
        ("down", (2,), "check_indices"),  # by the embedding, which does not know
        ("down", (2,), "check_indices"),  # of the targets
    ]


def test_padding_costs_the_mask_and_the_positions():
    mask = np.arange(8) > np.array([[2], [-1]])
    with use_double():
        gpt = model()
        with counting() as transfers:
            gpt(TEXT[:16].reshape(2, 8), attention_mask=mask)
    assert moved(transfers) == [
        ("up", (2, 8), "embedding"),  # ids
        ("up", (2, 8), "embedding"),  # positions
        ("up", (2, 8), "_states"),  # the mask, once for all layers
    ]


@pytest.mark.parametrize("make", [lambda p: AdamW(p), lambda p: SGD(p, 0.1, momentum=0.9)], ids=["adamw", "sgd"])
def test_an_optimizer_steps_without_a_transfer(make):
    with use_double():
        gpt = model()
        optimizer = make(gpt.named_parameters())
        gpt.loss(TEXT[:8][None], TEXT[1:9][None]).backward()
        with counting() as transfers:
            optimizer.step()
            optimizer.zero_grad()
        assert transfers == []
        gpt.loss(TEXT[:8][None], TEXT[1:9][None]).backward()
        with counting() as transfers:
            assert clip_by_global_norm(optimizer.parameters, 1e-3) > 1e-3
        assert len(transfers) == 1


# ------------------------------------------------------------------------------------------------------- generation

SAMPLINGS = {
    "greedy": {"temperature": 0},
    "temperature": {"temperature": 0.7},
    "top k": {"top_k": 5},
    "top p": {"top_p": 0.8, "temperature": 1.3},
    "both, no cache": {"top_k": 9, "top_p": 0.9, "cache": False},
}
OTHERS = {
    "all processors": {"top_k": 30, "min_p": 0.01, "repetition_penalty": 1.2, "no_repeat_ngram": 2},
    "padding": {"temperature": 0, "attention_mask": [[0, 1, 1], [1, 1, 1]]},
    "beams": {"beams": 3, "num_return_sequences": 2, "attention_mask": [[0, 1, 1], [1, 1, 1]]},
}


@pytest.mark.parametrize("settings", [*SAMPLINGS.values(), *OTHERS.values()], ids=[*SAMPLINGS, *OTHERS])
def test_generation_makes_the_twins_tokens(settings):
    prompts = TEXT[:6].reshape(2, 3)
    with twins():
        wanted = generate(model(), prompts, 12, seed=3, **settings)  # past the context of 8: the window moves
    with use_double():
        found = generate(model(), prompts, 12, seed=3, **settings)
        assert generate(model(), prompts[0].tolist(), 2, seed=3).shape == (5,)
    np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("name", SAMPLINGS)
def test_a_token_costs_its_ids_up_and_its_logits_down(name):
    cached = SAMPLINGS[name].get("cache", True)
    with use_double():
        gpt, prompt = model(), TEXT[:2][None]
        with counting() as transfers:
            generate(gpt, prompt, 4, seed=3, **SAMPLINGS[name])
    read = [2, 1, 1, 1] if cached else [2, 3, 4, 5]
    wanted = [t for n in read for t in (("up", (1, n), "embedding"), ("down", (1, 128), "checked_logits"))]
    assert moved(transfers) == wanted, "\n".join(map(str, transfers))


@pytest.mark.parametrize("settings", [{"temperature": 0}, {"beams": 3}], ids=["greedy", "beams"])
def test_an_encoder_decoder_writes_the_twins_tokens(settings):
    config = T5Config(vocab_size=128, width=12, layers=1, heads=3, head_width=4)
    prompts, mask = TEXT[:6].reshape(2, 3), [[1, 1, 0], [1, 1, 1]]
    with twins():
        wanted = generate(T5(config), prompts, 6, attention_mask=mask, **settings)
    with use_double():
        found = generate(T5(config), prompts, 6, attention_mask=mask, **settings)
    np.testing.assert_array_equal(found, wanted)


@pytest.mark.gpu
def test_cupy_itself_trains_and_writes_the_same(tmp_path):
    with twins():
        wanted = trainer(clip=0.05)
        wanted.train()
        text = generate(wanted.model, TEXT[:4], 6, temperature=0)
    backend.use("cupy")
    try:
        run = Run.create(tmp_path / "r", {})
        found = trainer(run, clip=0.05)
        found.train()
        for name, array in wanted.model.state_dict().items():
            np.testing.assert_allclose(found.model.state_dict()[name], array, rtol=1e-8, atol=1e-9, err_msg=name)
        assert found.record["loss"] == pytest.approx(wanted.record["loss"], rel=1e-9)
        np.testing.assert_array_equal(generate(found.model, TEXT[:4], 6, temperature=0), text)
        assert trainer(run, clip=0.05).resume().step == 6
    finally:
        backend.use("numpy")


def test_dropout_by_a_numpy_generator_is_the_same_on_every_device():
    ids, targets = TEXT[:8][None], TEXT[1:9][None]
    with twins():
        wanted = model(dropout=0.3).set_generator(np.random.default_rng(5)).loss(ids, targets).item()
    with use_double():
        gpt = model(dropout=0.3)
        assert gpt.set_generator(np.random.default_rng(5)).loss(ids, targets).item() == pytest.approx(wanted, rel=1e-6)
        a, b, c = (gpt.set_generator(backend.generator(s)).loss(ids, targets).item() for s in (1, 1, 2))
        assert a == b != c
