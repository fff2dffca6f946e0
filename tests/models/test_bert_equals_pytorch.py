"""The same BERT written a second time in PyTorch, by the paper: hidden, pooled, logits, losses and every gradient."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from minilm.models import (
    Bert,
    BertForMultipleChoice,
    BertForQuestionAnswering,
    BertForSequenceClassification,
    BertForTokenClassification,
)

pytestmark = pytest.mark.every_device


def encoder(w, config, ids, segments, mask, prefix="bert."):
    """Hidden states (B, T, D) from named weights, with PyTorch's own attention, norm and GELU; mask (B, T) or None."""
    D, H = config.width, config.heads
    B, T = ids.shape

    def at(name):
        return w[f"{prefix}{name}"]

    def norm(x, name):
        return functional.layer_norm(x, (D,), at(f"{name}.weight"), at(f"{name}.bias"), config.epsilon)

    def attention(x, name):
        qkv = x @ at(f"{name}.qkv.weight") + at(f"{name}.qkv.bias")
        q, k, v = (part.view(B, T, H, D // H).transpose(1, 2) for part in qkv.split(D, dim=-1))
        seen = torch.ones(B, 1, T, T, dtype=torch.bool) if mask is None else mask[:, None, None].expand(B, 1, T, T)
        seen = seen.tril() if config.causal else seen
        y = functional.scaled_dot_product_attention(q, k, v, attn_mask=seen)
        return y.transpose(1, 2).reshape(B, T, D) @ at(f"{name}.out.weight") + at(f"{name}.out.bias")

    def mlp(x, name):
        hidden = activation(x @ at(f"{name}.up.weight") + at(f"{name}.up.bias"), config)
        return hidden @ at(f"{name}.down.weight") + at(f"{name}.down.bias")

    x = at("token_embedding.weight")[ids] + at("segment_embedding.weight")[segments]
    x = norm(x + at("position_embedding.weight")[:T], "embedding_norm")
    for i in range(config.layers):
        x = norm(x + attention(x, f"blocks.{i}.attention"), f"blocks.{i}.norm1")
        x = norm(x + mlp(x, f"blocks.{i}.mlp"), f"blocks.{i}.norm2")
    return x


def activation(x, config):
    return functional.gelu(x, approximate="tanh" if config.activation == "gelu_tanh" else "none")


def pooled(w, hidden, last=0):
    return torch.tanh(hidden[torch.arange(len(hidden)), last] @ w["bert.pooler.weight"] + w["bert.pooler.bias"])


def words(w, config, hidden):
    x = activation(hidden @ w["dense.weight"] + w["dense.bias"], config)
    x = functional.layer_norm(x, (config.width,), w["norm.weight"], w["norm.bias"], config.epsilon)
    return x @ w["bert.token_embedding.weight"].T + w["bias"]


def batch(T, seed):
    """ids, segments, mask, targets, next_label of three rows of length T, T - 1 and about half, the rest padding."""
    rng = np.random.default_rng(seed)
    lengths = np.array([T, max(1, T - 1), (T + 1) // 2])
    mask = np.arange(T) < lengths[:, None]
    ids, targets = rng.integers(0, 13, (2, 3, T))
    targets = np.where(mask & (rng.random((3, T)) < 0.4), targets, -100)
    targets[:, 0] = [3, -100, 7]
    return ids, (np.arange(T) >= lengths[:, None] // 2).astype(int), mask, targets, np.array([1, 0, 1])


def compare(model, weights, ours, theirs):
    """The loss and the gradient of every parameter agree to 1e-9."""
    assert abs(ours.item() - theirs.item()) <= 1e-11 * abs(theirs.item())
    ours.backward()
    theirs.backward()
    for name, p in model.named_parameters():
        grad = weights[name].grad
        np.testing.assert_allclose(p.grad.numpy(), grad.numpy(), rtol=1e-9, atol=1e-11, err_msg=name)


def tensors(model):
    return {n: torch.tensor(a, requires_grad=True) for n, a in model.state_dict().items()}


@pytest.mark.parametrize("settings", [{}, {"activation": "gelu_tanh"}, {"causal": True}], ids=str)
@pytest.mark.parametrize(("T", "padded"), [(1, False), (7, True), (16, True), (9, False)])
def test_pretraining(lively_bert, settings, T, padded):
    model = lively_bert(layers=3, seed=T, **settings)
    ids, segments, mask, targets, label = batch(T, T)
    real = mask if padded else None
    w, t = tensors(model), torch.tensor
    hidden = encoder(w, model.config, t(ids), t(segments), t(real) if padded else None)
    last = (t(mask.sum(1) - 1) if padded else T - 1) if model.config.causal else 0
    vectors = pooled(w, hidden, last)
    logits, answers = words(w, model.config, hidden), vectors @ w["next_sentence.weight"] + w["next_sentence.bias"]

    found = model.bert(ids, segments, real)
    np.testing.assert_allclose(found.hidden.numpy(), hidden.detach(), rtol=1e-9, atol=1e-10)
    np.testing.assert_allclose(found.pooled.numpy(), vectors.detach(), rtol=1e-9, atol=1e-10)
    made = model(ids, segments, real)
    np.testing.assert_allclose(made.mlm.numpy(), logits.detach(), rtol=1e-9, atol=1e-10)
    np.testing.assert_allclose(made.nsp.numpy(), answers.detach(), rtol=1e-9, atol=1e-10)

    mlm = functional.cross_entropy(logits.reshape(-1, 13), t(targets).reshape(-1), ignore_index=-100)
    nsp = functional.cross_entropy(answers, t(label))
    losses = model.loss(ids, targets, label, segments, real)
    assert losses.mlm.item() == pytest.approx(mlm.item(), rel=1e-11)
    assert losses.nsp.item() == pytest.approx(nsp.item(), rel=1e-11)
    assert losses.mlm_right == int((logits.argmax(-1) == t(targets)).sum())
    assert losses.nsp_right == int((answers.argmax(-1) == t(label)).sum())
    compare(model, w, losses.mlm * 0.7 + losses.nsp * 1.9, mlm * 0.7 + nsp * 1.9)


def head(w, x):
    return x @ w["classifier.weight"] + w["classifier.bias"]


def test_the_encoder_alone(lively_bert):
    model = lively_bert(Bert, options={"pooler": False})
    ids, segments, mask, *_ = batch(9, 1)
    w = {f"bert.{n}": a for n, a in tensors(model).items()}
    hidden = encoder(w, model.config, *map(torch.tensor, (ids, segments, mask)))
    found = model(ids, segments, mask)
    assert found.pooled is None
    np.testing.assert_allclose(found.hidden.numpy(), hidden.detach(), rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("classes", [1, 3])
def test_sequence_classification_and_regression(lively_bert, classes, reduction):
    model = lively_bert(BertForSequenceClassification, options={"classes": classes})
    ids, segments, mask, *_ = batch(9, 2)
    w, t = tensors(model), torch.tensor
    logits = head(w, pooled(w, encoder(w, model.config, t(ids), t(segments), t(mask))))
    if classes == 1:
        labels = np.array([0.3, -1.2, 2.5])
        theirs = functional.mse_loss(logits[:, 0], t(labels), reduction=reduction)
        logits = logits[:, 0]
    else:
        labels = np.array([2, 0, 1])
        theirs = functional.cross_entropy(logits, t(labels), reduction=reduction)
    np.testing.assert_allclose(model(ids, segments, mask).numpy(), logits.detach(), rtol=1e-9)
    compare(model, w, model.loss(ids, labels, segments, mask, reduction), theirs)


def test_token_classification(lively_bert):
    model = lively_bert(BertForTokenClassification, options={"classes": 4})
    ids, segments, mask, targets, _ = batch(9, 3)
    labels = np.where(targets >= 0, targets % 4, -100)
    w, t = tensors(model), torch.tensor
    logits = head(w, encoder(w, model.config, t(ids), t(segments), t(mask)))
    np.testing.assert_allclose(model(ids, segments, mask).numpy(), logits.detach(), rtol=1e-9, atol=1e-10)
    theirs = functional.cross_entropy(logits.reshape(-1, 4), t(labels).reshape(-1), ignore_index=-100)
    compare(model, w, model.loss(ids, labels, segments, mask), theirs)


def test_question_answering(lively_bert):
    model = lively_bert(BertForQuestionAnswering)
    ids, segments, mask, *_ = batch(9, 4)
    starts, ends = np.array([5, 0, 3]), np.array([8, 0, 3])
    w, t = tensors(model), torch.tensor
    logits = head(w, encoder(w, model.config, t(ids), t(segments), t(mask)))
    logits = logits.masked_fill(~t(mask)[:, :, None], -torch.inf)
    for found, wanted in zip(model(ids, segments, mask), logits.unbind(-1), strict=True):
        np.testing.assert_allclose(found.numpy()[mask], wanted.detach().numpy()[mask], rtol=1e-9, atol=1e-10)
    theirs = [functional.cross_entropy(logits[..., i], t(y)) for i, y in enumerate((starts, ends))]
    compare(model, w, model.loss(ids, starts, ends, segments, mask), (theirs[0] + theirs[1]) / 2)


def test_multiple_choice(lively_bert):
    """Two rows of three choices each: the softmax runs over the choices of one row."""
    model = lively_bert(BertForMultipleChoice)
    rng = np.random.default_rng(0)
    ids, segments = rng.integers(0, 13, (2, 3, 8)), rng.integers(0, 2, (2, 3, 8))
    mask = np.arange(8) < rng.integers(2, 9, (2, 3, 1))
    labels = np.array([2, 0])
    w, t = tensors(model), torch.tensor
    flat = (t(a.reshape(6, 8)) for a in (ids, segments, mask))
    logits = head(w, pooled(w, encoder(w, model.config, *flat))).reshape(2, 3)
    np.testing.assert_allclose(model(ids, segments, mask).numpy(), logits.detach(), rtol=1e-9)
    compare(model, w, model.loss(ids, labels, segments, mask), functional.cross_entropy(logits, t(labels)))
