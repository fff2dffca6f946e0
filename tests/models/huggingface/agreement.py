"""Whether a model here computes what transformers' does: values, every hidden state, losses, and every gradient.

theirs = make("GPT2LMHeadModel", n_embd=15, …)        # float64, every parameter random and lively
ours = carried_over(theirs, tmp_path)                 # through the folder that theirs saves
with exact_losses(): agree(theirs, ours, {"logits": (our Tensor, their tensor), …}, real=mask)
check_round_trips(theirs, tmp_path)                   # ours -> theirs -> ours and back, bit for bit
"""

import contextlib
import json
from unittest import mock

import numpy as np
import torch
import transformers

from minilm import functional as F
from minilm.autograd import Tensor
from minilm.errors import ConfigError
from minilm.models.base import Model
from minilm.models.huggingface.families import FAMILIES
from minilm.models.huggingface.folder import family_of
from minilm.models.huggingface.settings import KEPT, NOT_BUILT, OF_NO_EFFECT, Settings

TOLERANCE = 1e-8
UNSAID = {*OF_NO_EFFECT, *NOT_BUILT}  # settings that change nothing here, which ours does not write


def make(architecture: str, seed: int = 0, **settings):
    """A transformers model in float64 and evaluation mode; the weights of norms lie around 1, all else around 0."""
    kind = getattr(transformers, architecture)
    model = kind(kind.config_class(attn_implementation="eager", **settings)).double().eval()
    generator = torch.Generator().manual_seed(seed)
    for module in model.modules():
        norm = "norm" in type(module).__name__.lower()
        for name, p in module.named_parameters(recurse=False):
            p.data.normal_(1.0 if norm and name == "weight" else 0.0, 0.4, generator=generator)
    model.tie_weights()
    return model


def carried_over(theirs, folder):
    """The model of ours that reads what theirs saves."""
    theirs.save_pretrained(folder)
    return Model.from_pretrained(folder)


@contextlib.contextmanager
def exact_losses():
    """Losses in float64: transformers would round logits to float32 for a language model's."""
    with mock.patch.object(torch.Tensor, "float", torch.Tensor.double):
        yield


def agree(theirs, ours, pairs, real=None, seed=1):
    """Each (our Tensor, their tensor) of `pairs` is equal, and so is, for a random cotangent of each, the gradient of
    every parameter. real: booleans (B, T); where it is False, outputs (B, T, …) are of padding and do not count."""
    rng = np.random.default_rng(seed)
    ours_sum, theirs_sum = Tensor(np.zeros(())), torch.zeros((), dtype=torch.float64)
    for name, (our, their) in pairs.items():
        counts = np.ones(their.shape)
        if real is not None and their.shape[:2] == real.shape:
            counts *= real.reshape(*real.shape, *[1] * (their.ndim - 2))
        close(our.numpy() * counts, their.detach().numpy() * counts, name)
        cotangent = rng.standard_normal(their.shape) * counts
        ours_sum = ours_sum + F.sum(our * cotangent)
        theirs_sum = theirs_sum + (their * torch.tensor(cotangent)).sum()
    ours.zero_grad()
    theirs.zero_grad()
    ours_sum.backward()
    theirs_sum.backward()
    gradients_agree(theirs, ours)


def gradients_agree(theirs, ours):
    """Every parameter of theirs is one of ours by the family's table, and their gradients are equal."""
    family, _ = family_of(ours)
    named, own = dict(theirs.named_parameters(remove_duplicate=False)), dict(ours.named_parameters())
    used = set()
    for weight in family.weights(ours):
        arrays = [gradient(named[n] if n in named else named[family.plain(n)]) for n in weight.theirs]
        used |= {id(named.get(n, named.get(family.plain(n)))) for n in weight.theirs}
        grad = own.pop(weight.ours).grad
        wanted = weight.join(arrays)
        close(np.zeros_like(wanted) if grad is None else grad.numpy(), wanted, f"gradient of {weight.ours}")
    assert not own
    spare = {id(named[name]) for name in family.spare(ours)}
    assert {id(p) for p in theirs.parameters()} == used | spare


def gradient(parameter):
    return np.zeros(parameter.shape) if parameter.grad is None else parameter.grad.numpy()


def close(ours, theirs, name):
    assert ours.dtype == theirs.dtype == np.float64 and ours.shape == theirs.shape, name
    error = np.abs(ours - theirs).max() / max(np.abs(theirs).max(), 1e-3)
    assert error <= TOLERANCE, f"{name}: {error:.1e}"


def check_round_trips(theirs, folder):
    """theirs -> ours -> theirs and ours -> theirs -> ours: every array to the bit, every setting as it was."""
    ours = carried_over(theirs, folder / "theirs")
    ours.save_pretrained(folder / "ours")
    back, report = type(theirs).from_pretrained(folder / "ours", output_loading_info=True)
    assert not any(report.values()), report
    arrays = theirs.state_dict()
    assert arrays.keys() == back.state_dict().keys()
    for name, array in back.state_dict().items():
        if name not in family_of(ours)[0].spare(ours):
            assert array.dtype == torch.float64 and torch.equal(array, arrays[name]), name
    before, after = (settings_of(folder / name) for name in ("theirs", "ours"))
    assert {n: before.get(n) for n in after} == after
    assert before.keys() - after.keys() <= UNSAID
    again = carried_over(back, folder / "again").state_dict()
    for name, array in ours.state_dict().items():
        np.testing.assert_array_equal(again[name], array, name)


def check_every_setting_counts(architecture, harmless):
    """Each setting of transformers' configuration, changed, gives another configuration of ours or is refused by name;
    those that are named harmless change neither, and none is named in vain."""
    family = FAMILIES[getattr(transformers, architecture).config_class.model_type]
    theirs = {**getattr(transformers, architecture).config_class().to_dict(), "architectures": [architecture]}

    def read(settings):
        found = Settings(settings)
        config = family.read_config(found)
        found.finish()
        return config

    def counts(name, value):
        try:
            return read({**theirs, name: value}) != read(theirs)
        except ConfigError:
            return True

    idle = {name for name, value in theirs.items() if not counts(name, another(value))}
    assert idle - {*OF_NO_EFFECT, *KEPT} == set(harmless)
    assert idle >= theirs.keys() & {*OF_NO_EFFECT, *KEPT}


def another(value):
    """Another value of the same kind."""
    if isinstance(value, bool) or value is None:
        return not value
    return value * 2 if isinstance(value, (int, float)) else "relu" if isinstance(value, str) else {"other": 1}


def settings_of(folder):
    return json.loads((folder / "config.json").read_text("utf-8"))


def tensor(array):
    return None if array is None else torch.tensor(np.asarray(array))
