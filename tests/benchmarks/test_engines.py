"""What the benchmark compares is the same work: at a toy size the engines agree, and where they do not, it says so."""

import math
import shutil
from functools import partial

import numpy as np
import pytest
from batches import CLS, IGNORE, SEP, masked_pairs, next_tokens, with_places
from minilm_engines import initial_weights
from recipe import Unavailable
from rows import COMPILED, JAX, MINILM, PRODUCTS, ROWS, Contender
from sizes import TOY
from workloads import WORKLOADS, losses_differ, texts_differ

STEPS = 6
TRAINED = ["training", "bert", "llama", "finetuning"]


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A file of weights by workload, which leave no part of a model idle: no bias is 0, and attention chooses."""

    def made(workload):
        rng, path = np.random.default_rng(5), tmp_path_factory.mktemp("weights") / f"{workload}.npz"
        found = initial_weights(WORKLOADS[workload].engine, TOY)
        if not workload.startswith("generation"):
            found = {name: a + rng.normal(0, 0.3, a.shape).astype(a.dtype) for name, a in found.items()}
        np.savez(path, **found)
        return str(path)

    return made


def outcomes(contender: Contender, workload: str, weights: str, threads: int = 1) -> list:
    """What an engine does in six steps, in this process."""
    module = __import__(contender.program)
    with module.ENGINES[WORKLOADS[workload].engine](TOY, weights, threads, **contender.options) as step:
        return [step(WORKLOADS[workload].input(TOY, number)) for number in range(STEPS)]


def contenders(workload: str) -> list[Contender]:
    """Those that take part anywhere and do the work."""
    found = {c.name: c for row in ROWS if row.workload == workload for c in row.contenders}
    return [c for c in found.values() if c is not PRODUCTS]


def same(losses: list[float], wanted: list[float]) -> bool:
    """To a tenth of what a row is allowed: at this size, rounding errors are small."""
    return losses == pytest.approx(wanted, abs=2e-4) and losses[0] == pytest.approx(wanted[0], abs=1e-5)


@pytest.mark.parametrize("workload", TRAINED)
def test_losses_agree_in_every_step(workload, weights):
    path = weights(workload)
    found = {c.name: outcomes(c, workload, path) for c in contenders(workload) if c not in (JAX, COMPILED)}
    assert len(found) >= 3 and losses_differ(found) is None
    assert all(same(losses, found["minilm"]) for losses in found.values())
    assert len({round(loss, 3) for loss in found["minilm"]}) == STEPS


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # PyTorch's of itself
@pytest.mark.parametrize("contender", [JAX, COMPILED], ids=lambda contender: contender.name)
@pytest.mark.parametrize("workload", ["training", "bert"])
def test_losses_of_those_that_compile_agree_too(workload, contender, weights):
    if contender is COMPILED and not shutil.which("g++"):
        pytest.skip("torch.compile needs g++, and there is none on this machine")
    path = weights(workload)
    assert contender in contenders(workload)
    assert same(outcomes(contender, workload, path), outcomes(MINILM, workload, path))


def test_without_a_compiler_torch_compile_says_so(weights, monkeypatch):
    monkeypatch.setattr("shutil.which", lambda name: None)
    with pytest.raises(Unavailable, match="needs g"):
        outcomes(COMPILED, "training", weights("training"))


@pytest.mark.parametrize("workload", ["training", "bert"])
def test_autograd_computes_in_float32(workload, weights):
    """A float64 anywhere would make it slower than its users have it."""
    import autograd_engines
    from autograd import value_and_grad

    with np.load(weights(workload)) as arrays:
        loss, gradients = value_and_grad(autograd_engines.LOSSES[workload])(
            dict(arrays), with_places(WORKLOADS[workload].input(TOY, 0)), TOY
        )
    assert {loss.dtype, *(g.dtype for g in gradients.values())} == {np.dtype(np.float32)}


@pytest.mark.parametrize("workload", TRAINED)
def test_two_threads_do_the_same(workload, weights):
    path = weights(workload)
    one, two = (outcomes(contenders(workload)[0], workload, path, threads) for threads in (1, 2))
    assert two == pytest.approx(one, abs=1e-4) and contenders(workload)[0].name == "minilm"


@pytest.mark.parametrize("workload", ["generation", "generation-16"])
def test_texts_agree_and_wander(workload, weights):
    path = weights(workload)
    found = {c.name: outcomes(c, workload, path) for c in contenders(workload)}
    assert texts_differ(found) is None and found["minilm"][0]["texts"] is not None
    rows = 16 if workload.endswith("16") else 1
    for outcome in found["minilm"]:
        assert len(outcome["texts"]) == rows and len(outcome["seconds"]) == TOY.context
        assert all(len(text) == 1 + TOY.context and len(set(text)) >= 5 for text in outcome["texts"])
    assert found["attention alone"][0]["texts"] is None


@pytest.mark.parametrize("wrong", [1.1e-4, math.nan])
def test_a_first_loss_that_differs_makes_the_row_invalid(wrong):
    losses = {"minilm": [3.0, 2.0, 1.0], "torch": [3.0, 2.0]}
    assert losses_differ(losses) is None
    assert "loss 1 of torch is" in losses_differ({**losses, "torch": [3.0 + wrong, 2.0]})
    assert "loss 1 of " in losses_differ({**losses, "minilm": [3.0 + wrong, 2.0]})


def test_a_later_loss_that_differs_makes_the_row_invalid():
    assert losses_differ({"minilm": [3.0, 2.0], "torch": [3.0, 2.0019]}) is None
    assert "loss 2 of torch is 2.002100" in losses_differ({"minilm": [3.0, 2.0], "torch": [3.0, 2.0021]})


def test_texts_that_differ_make_the_row_invalid():
    one, two = {"texts": [[1, 2], [3, 4]]}, {"texts": [[1, 2], [3, 5]]}
    assert texts_differ({"minilm": [one], "torch": [one]}) is None
    said = texts_differ({"minilm": [one], "torch": [two]})
    assert said == "1 of 2 texts of minilm and torch go apart, the first after 1 tokens of text 1"
    assert texts_differ({"minilm": [one] * 10, "torch": [one] * 9 + [two]}) is None  # one in twenty


def test_a_wrong_model_is_seen(weights):
    """Each mistake alone makes the losses differ: of attention's mask, of how it is trained."""
    import recipe
    import torch_engines

    path = weights("training")
    wanted = outcomes(contenders("training")[0], "training", path)
    plain = Contender("torch", "torch_engines", {"explicit": True})
    assert same(outcomes(plain, "training", path), wanted)
    for name, value in (("DECAY", 0.9), ("CLIP", 1e9), ("RATE", 2e-3), ("BETAS", (0.5, 0.95))):
        with pytest.MonkeyPatch.context() as patch:
            assert getattr(torch_engines, name) == getattr(recipe, name)
            patch.setattr(torch_engines, name, value)
            assert not same(outcomes(plain, "training", path), wanted), name
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("torch_models.attend", partial(_unmasked, __import__("torch_models").attend))
        assert not same(outcomes(plain, "training", path), wanted)


def _unmasked(attend, query, key, val, visible, causal, explicit):
    return attend(query, key, val, None, causal, explicit)


def test_batches_are_a_function_of_the_number_and_can_be_learned():
    one, again, other = (next_tokens(TOY, number) for number in (0, 0, 1))
    assert (one["ids"] == again["ids"]).all() and (one["ids"] != other["ids"]).any()
    assert (one["ids"][:, 1:] == one["targets"][:, :-1]).all()
    follows = (one["targets"] - one["ids"]) % TOY.vocab_size == 2
    assert 0.5 < follows.mean() < 1


def test_pairs_are_as_bert_reads_them():
    short = 0
    for number in range(20):
        batch = masked_pairs(TOY, number)
        real, chosen = batch["attention_mask"], batch["targets"] != IGNORE
        short += (real.sum(1) < TOY.context).sum()
        assert (batch["ids"][:, 0] == CLS).all() and not batch["ids"][~real].any()
        assert ((batch["ids"] == SEP).sum(1) == 2).all() and (chosen.sum(1) == TOY.masked).all()
        assert real[chosen].all() and (batch["targets"][chosen] > SEP).all()
        last = real.sum(1) - 1
        assert (batch["ids"][range(TOY.batch), last] == SEP).all()
        assert (batch["segments"][range(TOY.batch), last] == 1).all() and not batch["segments"][~real].any()
    assert 5 <= short <= 40
