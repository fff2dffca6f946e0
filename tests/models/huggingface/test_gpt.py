"""GPT-1 and GPT-2 are what transformers' are: logits, hidden states, losses, gradients, folders."""

import numpy as np
import pytest
import torch
from agreement import agree, carried_over, check_every_setting_counts, check_round_trips, exact_losses, make, tensor

from minilm.errors import ConfigError
from minilm.models import GPT, GPTConfig

GPT1 = {"vocab_size": 13, "n_positions": 9, "n_embd": 15, "n_layer": 3, "n_head": 5}
GPT2 = {**GPT1, "bos_token_id": 11, "eos_token_id": 12}
CASES = [
    ("OpenAIGPTLMHeadModel", GPT1),
    ("OpenAIGPTLMHeadModel", {**GPT1, "n_head": 3, "afn": "relu", "layer_norm_epsilon": 0.03}),
    ("OpenAIGPTLMHeadModel", {**GPT1, "afn": "silu", "tie_word_embeddings": False, "pad_token_id": 4}),
    ("GPT2LMHeadModel", GPT2),
    ("GPT2LMHeadModel", {**GPT2, "n_inner": 22, "layer_norm_epsilon": 0.03, "activation_function": "gelu"}),
    ("GPT2LMHeadModel", {**GPT2, "n_head": 1, "tie_word_embeddings": False, "activation_function": "relu"}),
    ("GPT2LMHeadModel", {**GPT2, "scale_attn_weights": False, "activation_function": "silu", "pad_token_id": 4}),
    ("GPT2LMHeadModel", {**GPT2, "scale_attn_by_inverse_layer_idx": True, "activation_function": "gelu_fast"}),
    ("GPT2LMHeadModel", {**GPT2, "scale_attn_by_inverse_layer_idx": True, "scale_attn_weights": False}),
]
IDS = np.random.default_rng(0).integers(0, 13, (3, 9))
RIGHT = np.arange(9) < np.array([[9], [5], [1]])  # padding behind
LEFT = RIGHT[:, ::-1].copy()  # padding before
MASKS = {"no padding": None, "padding behind": RIGHT, "padding before": LEFT}


@pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS)
@pytest.mark.parametrize(("architecture", "settings"), CASES, ids=str)
def test_it_computes_the_same(tmp_path, architecture, settings, mask):
    theirs = make(architecture, **settings)
    ours = carried_over(theirs, tmp_path)
    real = np.ones(IDS.shape, bool) if mask is None else mask
    labels = np.where(real, IDS, -100)
    places = None if mask is None else tensor((real.cumsum(1) - 1).clip(0))  # ours counts what is real by itself
    with exact_losses():
        their = theirs(tensor(IDS), attention_mask=tensor(None if mask is None else mask.astype(int)),
                       labels=tensor(labels), position_ids=places, output_hidden_states=True)  # fmt: skip
    targets = np.pad(labels[:, 1:], ((0, 0), (0, 1)), constant_values=-100)
    if mask is LEFT:  # what is read at the last padding predicts the first real token, in theirs
        targets[:, :-1][~real[:, :-1]] = -100
        their.loss = torch.nn.functional.cross_entropy(their.logits.transpose(1, 2), tensor(targets))
    states = ours.hidden_states(IDS, mask)
    assert len(states) == len(their.hidden_states) == settings["n_layer"] + 1
    pairs = {f"h{i}": pair for i, pair in enumerate(zip(states, their.hidden_states, strict=True))}
    loss = ours.loss(IDS, targets, attention_mask=mask)
    agree(theirs, ours, {**pairs, "logits": (ours(IDS, mask), their.logits), "loss": (loss, their.loss)}, real)


@pytest.mark.parametrize(("architecture", "settings"), CASES, ids=str)
def test_nothing_is_lost_on_the_way_there_and_back(tmp_path, architecture, settings):
    check_round_trips(make(architecture, **settings), tmp_path)


@pytest.mark.parametrize(
    ("architecture", "harmless"), [("OpenAIGPTLMHeadModel", ()), ("GPT2LMHeadModel", ("reorder_and_upcast_attn",))]
)
def test_every_setting_counts_or_is_known_to_be_harmless(architecture, harmless):
    summary = [f"summary_{part}" for part in ("type", "use_proj", "activation", "proj_to_labels", "first_dropout")]
    check_every_setting_counts(architecture, {*harmless, *summary})


@pytest.mark.parametrize("architecture", ["OpenAIGPTModel", "GPT2Model"])
def test_a_body_alone_is_read_and_gets_the_tied_head(tmp_path, architecture):
    theirs = make(architecture, **GPT1, tie_word_embeddings=False)
    ours = carried_over(theirs, tmp_path)
    assert isinstance(ours, GPT) and ours.config.tied
    agree(theirs, ours, {"hidden": (ours.hidden(IDS), theirs(tensor(IDS)).last_hidden_state)})


def test_every_dropout_lands_in_its_place_and_comes_back(tmp_path):
    rates = {"embd_pdrop": 0.11, "attn_pdrop": 0.22, "resid_pdrop": 0.33}
    ours = carried_over(make("GPT2LMHeadModel", **GPT2, **rates), tmp_path)
    block = ours.blocks[1]
    assert (ours.dropout.p, block.attention.dropout.p, block.dropout.p) == (0.11, 0.22, 0.33)


def test_a_model_of_ours_is_saved_with_one_rate_for_all_and_no_special_tokens(tmp_path):
    from transformers import AutoModelForCausalLM

    ours = GPT(GPTConfig(13, 9, 12, 2, 3, dropout=0.2), seed=1)
    ours.save_pretrained(tmp_path)
    theirs = AutoModelForCausalLM.from_pretrained(tmp_path).eval()
    c = theirs.config
    assert (c.embd_pdrop, c.attn_pdrop, c.resid_pdrop, c.eos_token_id) == (0.2, 0.2, 0.2, None)
    np.testing.assert_allclose(
        ours.eval()(IDS).numpy(), theirs(tensor(IDS)).logits.detach().numpy(), rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"causal": False}, "every published GPT has a causal mask"),
        ({"norm": "post", "mlp_width": 20}, "mlp_width = 4 · width"),
        ({"norm": "post", "scale_attention": False}, "divided by √K"),
        ({"norm": "post", "activation": "gelu"}, "activation is 'gelu', which no published model of this kind has"),
    ],
    ids=str,
)
def test_what_no_published_class_computes_is_not_saved(tmp_path, settings, said):
    with pytest.raises(ConfigError, match=said):
        GPT(GPTConfig(13, 9, 12, 2, 3, **settings)).save_pretrained(tmp_path / "new")
    assert not (tmp_path / "new").exists()
