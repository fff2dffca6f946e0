"""The same GPT written a second time in PyTorch, by the papers: logits, loss and every gradient in float64."""

import numpy as np
import pytest
import torch
from torch.nn import functional

pytestmark = pytest.mark.every_device


def reference(weights, config, ids):
    """Logits of GPT-1 or GPT-2 from named weights, with PyTorch's own attention, norm and GELU."""
    w, D, H = weights, config.width, config.heads
    B, T = ids.shape

    def norm(x, name):
        return functional.layer_norm(x, (D,), w[f"{name}.weight"], w[f"{name}.bias"], config.epsilon)

    def attention(x, name):
        qkv = x @ w[f"{name}.qkv.weight"] + w[f"{name}.qkv.bias"]
        q, k, v = (part.view(B, T, H, D // H).transpose(1, 2) for part in qkv.split(D, dim=-1))
        y = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        return y.transpose(1, 2).reshape(B, T, D) @ w[f"{name}.out.weight"] + w[f"{name}.out.bias"]

    def mlp(x, name):
        hidden = functional.gelu(x @ w[f"{name}.up.weight"] + w[f"{name}.up.bias"], approximate="tanh")
        return hidden @ w[f"{name}.down.weight"] + w[f"{name}.down.bias"]

    x = w["token_embedding.weight"][ids] + w["position_embedding.weight"][:T]
    for i in range(config.layers):
        b = f"blocks.{i}"
        if config.norm == "pre":
            x = x + attention(norm(x, f"{b}.norm1"), f"{b}.attention")
            x = x + mlp(norm(x, f"{b}.norm2"), f"{b}.mlp")
        else:
            x = norm(x + attention(x, f"{b}.attention"), f"{b}.norm1")
            x = norm(x + mlp(x, f"{b}.mlp"), f"{b}.norm2")
    if config.norm == "pre":
        x = norm(x, "final_norm")
    return x @ w["token_embedding.weight"].T


@pytest.mark.parametrize("norm", ["pre", "post"])
@pytest.mark.parametrize("T", [1, 7, 16])
def test_logits_loss_and_gradients(lively_gpt, norm, T):
    model = lively_gpt(norm=norm, layers=3, epsilon=0.05, seed=T)
    rng = np.random.default_rng(T)
    ids, targets = rng.integers(0, 13, (3, T)), rng.integers(0, 13, (3, T))
    targets[0, 0] = -100

    weights = {n: torch.tensor(a, requires_grad=True) for n, a in model.state_dict().items()}
    logits = reference(weights, model.config, torch.tensor(ids))
    loss = functional.cross_entropy(logits.reshape(-1, 13), torch.tensor(targets).reshape(-1), ignore_index=-100)
    loss.backward()

    np.testing.assert_allclose(model(ids).numpy(), logits.detach().numpy(), rtol=1e-10, atol=1e-10)
    ours = model.loss(ids, targets)
    assert ours.item() == pytest.approx(loss.item(), rel=1e-12)
    ours.backward()
    for name, p in model.named_parameters():
        np.testing.assert_allclose(p.grad.numpy(), weights[name].grad.numpy(), rtol=1e-9, atol=1e-11, err_msg=name)
