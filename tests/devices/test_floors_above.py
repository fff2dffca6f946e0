"""What stands on the models computes on a device what it computes on NumPy: pretraining, tasks, features, vectors.

Each test makes the same twice, on NumPy with the kernels off and on the strict device, or on CuPy where there is a GPU.
"""

import sys
from pathlib import Path

import numpy as np
import pytest
from strict import use_double

import minilm as ml
from minilm import backend
from minilm import functional as F
from minilm.autograd import Tensor, fast
from minilm.embedding import embed
from minilm.errors import AnomalyError
from minilm.filling import fill
from minilm.generation import generate
from minilm.models import GPT, T5, Bert, BertConfig, BertForPreTraining, GPTConfig, Llama, LlamaConfig, T5Config
from minilm.models.gpt import attention_weights
from minilm.text.masking import MaskedBatches, Masker
from minilm.text.pairs import PairBatches
from minilm.training.objectives import KnownSource, MaskedLMAndNextSentence
from minilm.transfer import Example, FeatureClassifier, FineTuning, Task, answers, fine_tune, make_model, reader_of
from minilm.transfer.inputs import TaskBatches, encode
from minilm.transfer.objective import TaskLoss
from minilm.transfer.zero_shot import log_probabilities

sys.path.insert(0, str(Path(__file__).parents[1] / "transfer"))
from small_models import small, words_tokenizer

RNG = np.random.default_rng(0)
IDS = RNG.integers(8, 28, (3, 8))
REAL = np.arange(8) < np.array([[8], [5], [6]])
SHAPE = {"vocab_size": 28, "context": 24, "width": 16, "layers": 2, "heads": 2}


@pytest.fixture(params=["strict", pytest.param("cupy", marks=pytest.mark.gpu)])
def both(request):
    """both(make): what make() comes to on NumPy, and on the device."""

    def run(make):
        with fast(False):
            wanted = make()
        if request.param == "strict":
            with use_double():
                return wanted, make()
        backend.use("cupy")
        return wanted, make()

    yield run
    backend.use("numpy")


def close(found, wanted, tolerance=1e-9):
    """Numbers, arrays, and lists and dicts of them."""
    if isinstance(wanted, dict):
        assert found.keys() == wanted.keys()
        found, wanted = list(found.values()), list(wanted.values())
    if isinstance(wanted, (list, tuple)):
        assert len(found) == len(wanted)
        for a, b in zip(found, wanted, strict=True):
            close(a, b, tolerance)
        return
    assert isinstance(found, (int, float, np.ndarray, np.generic))  # of the host
    np.testing.assert_allclose(found, wanted, rtol=tolerance, atol=1e-14 + tolerance * np.abs(wanted).max(initial=0))


def gradients(model, objective, batch):
    """The loss of a batch, what is reported with it, and every gradient, in float64."""
    model = model.astype(np.float64).eval()
    loss, reported = objective(model, batch, objective.counts(batch))
    loss.backward()
    return loss.item(), reported, {n: p.grad.numpy() for n, p in model.named_parameters() if p.grad is not None}


# ------------------------------------------------------------------------------------------------------- pretraining


def test_bert_learns_from_masks_and_pairs(both):
    rng = np.random.default_rng(1)
    documents = [[[int(t) for t in rng.integers(8, 28, 4)] for _ in range(6)] for _ in range(5)]
    tokenizer = words_tokenizer()
    batch = MaskedBatches(PairBatches(documents, tokenizer, 20, 4), Masker(tokenizer)).at(0)
    assert (batch["targets"] >= 0).any()
    wanted, found = both(
        lambda: gradients(
            BertForPreTraining(BertConfig(**{**SHAPE, "vocab_size": tokenizer.vocab_size})),
            MaskedLMAndNextSentence(),
            batch,
        )
    )
    close(found, wanted)


@pytest.mark.parametrize("recording", [True, False])
def test_excess_over_a_known_source(both, recording):
    batch = {"ids": IDS, "targets": np.where(REAL, np.roll(IDS, -1, 1), -100), "oracle": np.full(IDS.shape, 1.5)}

    def make():
        objective, model = KnownSource(), GPT(GPTConfig(**SHAPE)).astype(np.float64).eval()
        if recording:
            return gradients(model, objective, batch)
        with ml.no_grad():
            loss, reported = objective(model, batch, objective.counts(batch))
        return loss.item(), objective.finish(reported)

    wanted, found = both(make)
    close(found, wanted)


# ------------------------------------------------------------------------------------------------------------- tasks


def examples(**makes):
    """Twelve examples of words; each argument makes a part of the i-th."""
    return [Example(**{"text": row(6), **{name: make(i) for name, make in makes.items()}}) for i in range(12)]


def row(n):
    return [int(t) for t in RNG.integers(8, 28, n)]


TWO = ("a", "b")
TASKS = {
    "classify": (Task("classify", TWO), examples(label=lambda i: i % 2)),
    "pair": (Task("classify", TWO, symmetric=True), examples(label=lambda i: i % 2, second=lambda i: row(4))),
    "regress": (Task("regress"), examples(label=lambda i: i / 12)),
    "tag": (Task("tag", TWO), examples(label=lambda i: [i % 2, 1, -100, 0, 1, 0])),
    "spans": (
        Task("spans", no_answer=True),
        examples(label=lambda i: (1, 3) if i % 3 else None, second=lambda i: row(3)),
    ),
    "choice": (Task("choice"), examples(label=lambda i: i % 2, choices=lambda i: (row(3), row(4)))),
}


@pytest.mark.parametrize("name", TASKS)
@pytest.mark.parametrize("kind", ["gpt", "bert"])
def test_a_task_is_learned_and_answered(both, kind, name):
    task, learned = TASKS[name]
    pretrained = small(kind)
    reader = reader_of(pretrained)
    encoded = [encode(reader, task, e) for e in learned]

    def make():
        model = make_model(pretrained, task)
        batch = TaskBatches(reader, task, learned, 4).at(0)
        found = gradients(model, TaskLoss(0.5 if (kind, name) == ("gpt", "classify") else 0.0), batch)
        return found, [(a.label, [] if a.p is None else a.p, a.score) for a in answers(model, reader, task, encoded)]

    (wanted, wanted_answers), (found, found_answers) = both(make)
    close(found, wanted)
    for (label, *numbers), (wanted_label, *wanted_numbers) in zip(found_answers, wanted_answers, strict=True):
        if isinstance(wanted_label, float):
            close(label, wanted_label)
        else:
            assert np.array_equal(label, wanted_label)
        close(numbers, wanted_numbers)


def test_fine_tuning_goes_through_the_trainer(both):
    task, learned = TASKS["classify"]
    pretrained = small("gpt")

    def make():
        model = make_model(pretrained, task)
        fine_tune(model, reader_of(pretrained), task, learned, FineTuning(steps=3, batch_size=4))
        return model.state_dict()

    wanted, found = both(make)
    close(found, wanted, 1e-2)  # Adam divides small gradients by small ones
    assert any(not np.allclose(wanted[name], make_model(pretrained, task).state_dict()[name], 1e-2) for name in wanted)


@pytest.mark.parametrize("pooling", ["mean", "token"])
@pytest.mark.parametrize(
    "body", [lambda: GPT(GPTConfig(**SHAPE)), lambda: Bert(BertConfig(**SHAPE))], ids=["gpt", "bert"]
)
def test_features_of_a_frozen_body(both, body, pooling):
    def make():
        model = FeatureClassifier(body().astype(np.float64), 2, layers=(0, -1), pooling=pooling).astype(np.float64)
        loss = model.loss(IDS, np.array([0, 1, 1]), None, REAL)
        loss.backward()
        return loss.item(), model.classifier.weight.grad.numpy()

    wanted, found = both(make)
    close(found, wanted)


def test_zero_shot(both):
    prompts, answered = [[8, 9], [10]], [[11, 12], [13, 14, 15]]
    wanted, found = both(lambda: log_probabilities(GPT(GPTConfig(**SHAPE)).astype(np.float64), prompts, answered))
    close(found, wanted)


# --------------------------------------------------------------------------------------- what models are asked besides


def test_texts_as_vectors_and_masks_filled(both):
    tokenizer = words_tokenizer()
    config = BertConfig(**{**SHAPE, "vocab_size": tokenizer.vocab_size})

    def make():
        vectors = embed(Bert(config), tokenizer, ["the cat sat", "the dog was not big", "it"], batch=2)
        guesses = fill(BertForPreTraining(config), tokenizer, "the [MASK] sat on the [MASK]")
        return vectors, [guess.distribution for guess in guesses]

    wanted, found = both(make)
    close(found, wanted, 1e-5)


MODELS = {
    "gpt": lambda: GPT(GPTConfig(**SHAPE)),
    "bert": lambda: BertForPreTraining(BertConfig(**SHAPE)),
    "llama": lambda: Llama(LlamaConfig(**SHAPE, kv_heads=1)),
    "t5": lambda: T5(T5Config(28, width=16, layers=2, heads=2, head_width=8)),
}


@pytest.mark.parametrize("name", MODELS)
def test_a_folder_of_weights_is_the_same_from_either(both, name, tmp_path):
    def make():
        model = MODELS[name]()
        folder = tmp_path / backend.name()
        model.save_pretrained(folder)
        again = type(model).from_pretrained(folder).state_dict()
        assert all((again[key] == array).all() for key, array in model.state_dict().items())
        return (folder / "model.safetensors").read_bytes()

    wanted, found = both(make)
    assert found == wanted


@pytest.mark.parametrize("settings", [{"temperature": 0}, {"seed": 1, "top_p": 0.9}, {"beams": 3}], ids=str)
@pytest.mark.parametrize("name", ["gpt", "llama", "t5"])
def test_generation_with_and_without_a_cache(both, name, settings):
    def make():
        model = MODELS[name]().astype(np.float64)
        ask = {"attention_mask": REAL[::-1, ::-1], **settings}
        return [generate(model, IDS, 9, cache=cache, **ask) for cache in (True, False)]

    wanted, found = both(make)
    for tokens in found:
        np.testing.assert_array_equal(tokens, wanted[0])


def test_attention_weights(both):
    wanted, found = both(lambda: attention_weights(GPT(GPTConfig(**SHAPE)).astype(np.float64), IDS))
    close(found, wanted)


# --------------------------------------------------------------------------------------------- the engine's instruments


def test_second_derivatives(both):
    x = np.random.default_rng(1).standard_normal((3, 4))

    def make():
        leaf = Tensor(x, requires_grad=True)
        return [
            h.numpy()
            for h in (ml.hessian((F.gelu(leaf) * F.softmax(leaf)).sum(), leaf), ml.jacobian(F.softmax(leaf), leaf))
        ]

    wanted, found = both(make)
    close(found, wanted)


def test_a_picture_and_a_table_of_what_ran(both):
    def make():
        x = Tensor(IDS / 7, requires_grad=True)
        with ml.trace() as seen:
            y = F.softmax(x * 2.0).sum()
            y.backward(retain_graph=True)
        assert all(record.seconds >= 0 and isinstance(record.memory, int) for record in seen.records)
        return str(ml.draw(y)), [(r.operation, r.direction, r.output, r.flops) for r in seen.records]

    wanted, found = both(make)
    assert found == wanted and len(found[1]) > 4


def test_where_a_nan_arises(both):
    def make():
        with ml.detect_anomaly(), pytest.raises(AnomalyError) as error:
            F.log(Tensor(-np.ones(3), requires_grad=True)).sum().backward()
        return str(error.value).partition("\n")[0]

    wanted, found = both(make)
    assert found == wanted and "log: the forward gave 3 NaN" in wanted
