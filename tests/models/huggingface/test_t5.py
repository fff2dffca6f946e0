"""T5 is what transformers' is: logits, the hidden states of both stacks, losses, gradients, folders."""

import json
import math

import numpy as np
import pytest
import torch
from agreement import agree, carried_over, check_round_trips, make, settings_of, tensor
from hypothesis import example, given
from hypothesis import strategies as st
from transformers import T5ForConditionalGeneration
from transformers.models.t5.modeling_t5 import T5Attention, T5LayerNorm

from minilm import functional as F
from minilm.errors import CheckpointError, ConfigError
from minilm.models import T5, T5Config, T5Encoder
from minilm.models.t5 import bucket

SHAPE = {
    "vocab_size": 13, "d_model": 12, "d_kv": 5, "d_ff": 17, "num_layers": 2, "num_decoder_layers": 3, "num_heads": 3,
    "decoder_start_token_id": 0,
}  # fmt: skip
UNTIED = {"an untied head": True}  # of the weights, and not of the settings
CASES = [
    SHAPE,
    {**SHAPE, "num_heads": 5, "d_kv": 2, "pad_token_id": 3, "decoder_start_token_id": 4, "eos_token_id": 12},
    {**SHAPE, "relative_attention_num_buckets": 8, "relative_attention_max_distance": 6},
    {**SHAPE, "relative_attention_num_buckets": 9, "relative_attention_max_distance": 7, "num_decoder_layers": 1},
    {**SHAPE, "feed_forward_proj": "gated-gelu", "tie_word_embeddings": False, **UNTIED},  # T5 1.1
    {**SHAPE, "feed_forward_proj": "gated-silu", "layer_norm_epsilon": 0.03},
    {**SHAPE, "feed_forward_proj": "gated-gelu", "dense_act_fn": "gelu", **UNTIED},
    {**SHAPE, "feed_forward_proj": "gelu", "scale_decoder_outputs": False, "num_layers": 1},
    {**SHAPE, "feed_forward_proj": "gelu_new", "num_heads": 1, "d_kv": 12},
    {**SHAPE, "is_gated_act": True, "tie_word_embeddings": False},
]
IDS = np.random.default_rng(0).integers(0, 13, (3, 9))
LABELS = np.random.default_rng(1).integers(0, 13, (3, 7))
RIGHT, SHORT = np.arange(9) < np.array([[9], [5], [1]]), np.arange(7) < np.array([[4], [7], [2]])
MASKS = {
    "no padding": (None, None),
    "padding behind": (RIGHT, SHORT),
    "padding before": (RIGHT[:, ::-1].copy(), SHORT[:, ::-1].copy()),
}


@pytest.fixture(autouse=True)
def exact_norms(monkeypatch):
    """Norms in float64, where transformers would round the mean of squares to float32."""

    def forward(self, x):
        return self.weight * (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.variance_epsilon))

    monkeypatch.setattr(T5LayerNorm, "forward", forward)


def made(settings, architecture="T5ForConditionalGeneration"):
    """Theirs; with a head that is not tied, as transformers has it after reading one from a file."""
    settings = dict(settings)
    untied = settings.pop("an untied head", False)
    theirs = make(architecture, **settings)
    if untied:
        weight = torch.randn(13, 12, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
        theirs.lm_head.weight = torch.nn.Parameter(weight)
        theirs.all_tied_weights_keys.pop("lm_head.weight")
    return theirs


def real_ones(ours, theirs, real):
    """The pairs of states at positions that are no padding: (n, D)."""
    where = np.ones(ours[0].shape[:2], bool) if real is None else real
    return [(F.getitem(x, where), y[tensor(where)]) for x, y in zip(ours, theirs, strict=True)]


@pytest.mark.parametrize(("mask", "decoder_mask"), MASKS.values(), ids=MASKS)
@pytest.mark.parametrize("settings", CASES, ids=str)
def test_it_computes_the_same(tmp_path, settings, mask, decoder_mask):
    theirs = made(settings)
    ours = carried_over(theirs, tmp_path)
    labels = LABELS if decoder_mask is None else np.where(decoder_mask, LABELS, -100)
    masks = {name: None if m is None else tensor(m.astype(int)) for name, m in
             (("attention_mask", mask), ("decoder_attention_mask", decoder_mask))}  # fmt: skip
    their = theirs(tensor(IDS), labels=tensor(labels), output_hidden_states=True, **masks)
    decoder_ids = ours.shifted(labels)
    states = ours.hidden_states(IDS, decoder_ids, mask, decoder_mask)
    pairs = [
        *real_ones(states.encoder, their.encoder_hidden_states, mask),
        *real_ones(states.decoder, their.decoder_hidden_states, decoder_mask),
        *real_ones([ours(IDS, decoder_ids, mask, decoder_mask)], [their.logits], decoder_mask),
        (ours.loss(IDS, labels, attention_mask=mask, decoder_mask=decoder_mask), their.loss),
    ]
    assert len(pairs) == settings["num_layers"] + 1 + settings["num_decoder_layers"] + 1 + 2
    agree(theirs, ours, {f"number {i}": pair for i, pair in enumerate(pairs)})
    assert (ours.head is not None) == ("an untied head" in settings)


@pytest.mark.parametrize("settings", CASES, ids=str)
def test_nothing_is_lost_on_the_way_there_and_back(tmp_path, settings):
    check_round_trips(made(settings), tmp_path)


@pytest.mark.parametrize("settings", CASES[1:5:3], ids=str)
def test_the_encoder_alone(tmp_path, settings):
    theirs = made({**settings, "an untied head": False}, "T5EncoderModel")
    ours = carried_over(theirs, tmp_path / "one")
    assert type(ours) is T5Encoder
    mask = MASKS["padding before"][0]
    their = theirs(tensor(IDS), attention_mask=tensor(mask.astype(int)), output_hidden_states=True)
    states = ours.hidden_states(IDS, mask)
    pairs = real_ones([*states, ours(IDS, mask)], [*their.hidden_states, their.last_hidden_state], mask)
    agree(theirs, ours, {f"h{i}": pair for i, pair in enumerate(pairs)})
    check_round_trips(theirs, tmp_path)


def test_a_body_alone_is_read_and_gets_the_tied_head(tmp_path):
    theirs = made(SHAPE, "T5Model")
    ours = carried_over(theirs, tmp_path)
    assert type(ours) is T5 and ours.config.tied
    their = theirs(tensor(IDS), decoder_input_ids=tensor(LABELS)).last_hidden_state
    agree(theirs, ours, {"hidden": (ours.hidden(IDS, LABELS), their)})


@pytest.mark.parametrize("settings", [{}, {"tied": False}, {"tied": False, "scale_head": True}, {"scale_head": False}])
@pytest.mark.parametrize("mlp", [{}, {"gated": True, "activation": "gelu_tanh"}, {"gated": True, "activation": "gelu"}])
def test_a_new_model_of_ours_is_loaded_by_transformers(tmp_path, settings, mlp):
    ours = T5(T5Config(13, 12, 2, 3, 3, 5, 17, dropout=0.2, start_id=4, **settings, **mlp), seed=1).astype(np.float64)
    ours.save_pretrained(tmp_path)
    theirs, report = T5ForConditionalGeneration.from_pretrained(tmp_path, output_loading_info=True)
    assert not any(report.values()), report
    assert theirs.config.dropout_rate == 0.2 and theirs.config.eos_token_id is None
    their = theirs.eval()(tensor(IDS), labels=tensor(LABELS))
    pairs = {
        "logits": (ours.eval()(IDS, ours.shifted(LABELS)), their.logits),
        "loss": (ours.loss(IDS, LABELS), their.loss),
    }
    agree(theirs, ours, pairs)


# --------------------------------------------------------------------------------------------------------- distances

DISTANCES = np.arange(-3000, 3001)


@pytest.mark.parametrize("both_ways", [True, False])
@given(st.integers(4, 70), st.integers(1, 1000))
@example(32, 112)  # the published: 32 buckets, 128 the largest distance
def test_distances_fall_into_their_buckets(both_ways, buckets, more):
    """A distance whose logarithm is on a border may fall on either side of it: there each one's rounding decides."""
    largest = buckets // 2 + more
    exact = (buckets // 2 if both_ways else buckets) // 2
    steps = np.log(np.maximum(abs(DISTANCES), 1) / exact) / math.log(largest / exact)
    steps *= (buckets // 2 if both_ways else buckets) - exact
    clear = abs(steps - steps.round()) > 1e-5
    clear |= (buckets, more) == (32, 112)
    found = bucket(DISTANCES, both_ways, buckets, largest)
    theirs = T5Attention._relative_position_bucket(tensor(DISTANCES), both_ways, buckets, largest).numpy()
    np.testing.assert_array_equal(found[clear], theirs[clear])
    assert (abs(found - theirs) <= 1).all()


# ------------------------------------------------------------------------------------------------------- old folders


def test_an_old_folder_holds_copies_of_the_embedding_and_a_table_that_none_reads(tmp_path):
    """As T5's first checkpoints do: what is a copy is checked, what is never read is named."""
    from safetensors.numpy import load_file, save_file

    carried_over(made(SHAPE), tmp_path)
    arrays = load_file(tmp_path / "model.safetensors")
    table = "decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight"
    names = ["encoder.embed_tokens.weight", "decoder.embed_tokens.weight", "lm_head.weight"]
    old = {**arrays, table: np.ones((32, 3)), **{name: arrays["shared.weight"].copy() for name in names}}
    save_file(old, tmp_path / "model.safetensors", {"format": "pt"})
    change_settings(tmp_path, architectures=["T5WithLMHeadModel"], n_positions=512, output_past=True)
    said = []
    ours = T5.from_pretrained(tmp_path, said.append)
    assert len(said) == 1 and table in said[0] and ours.config.tied
    theirs = T5ForConditionalGeneration.from_pretrained(tmp_path)
    agree(theirs, ours, {"logits": (ours(IDS, LABELS), theirs(tensor(IDS), decoder_input_ids=tensor(LABELS)).logits)})
    old["decoder.embed_tokens.weight"][0, 0] += 1
    save_file(old, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(CheckpointError, match=r"decoder\.embed_tokens\.weight differs from shared\.weight"):
        T5.from_pretrained(tmp_path)


@pytest.mark.parametrize(
    ("said", "ours_has"),
    [
        ({}, {}),
        ({"feed_forward_proj": "gated-gelu", "tie_word_embeddings": False, **UNTIED},  # T5 1.1
         {"gated": True, "activation": "gelu_tanh", "tied": False}),
        ({"feed_forward_proj": "gated-silu", "pad_token_id": 3},
         {"gated": True, "activation": "silu", "pad_id": 3, "start_id": 3}),
    ],
    ids=str,
)  # fmt: skip
def test_settings_that_published_ones_leave_out_are_theirs(tmp_path, said, ours_has):
    """T5-small's config.json has neither feed_forward_proj nor the depth of its decoder; none has what follows."""
    theirs = made({**SHAPE, "num_decoder_layers": 2, **said})
    theirs.save_pretrained(tmp_path)
    kept = ("d_ff", "d_kv", "d_model", "num_heads", "num_layers", "vocab_size", "architectures", "model_type")
    settings = {name: settings_of(tmp_path)[name] for name in kept} | said
    settings.pop("an untied head", None)
    (tmp_path / "config.json").write_text(json.dumps(settings))
    ours = T5.from_pretrained(tmp_path)
    assert ours.config == T5Config(13, 12, 2, 2, 3, 5, 17, dropout=0.1, **ours_has)
    agree(theirs, ours, {"logits": (ours(IDS, LABELS), theirs(tensor(IDS), decoder_input_ids=tensor(LABELS)).logits)})


def change_settings(folder, **changes):
    (folder / "config.json").write_text(json.dumps(settings_of(folder) | changes))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"feed_forward_proj": "gated-tanh"}, "feed_forward_proj is 'gated-tanh'; minilm builds models with 'gelu'"),
        ({"feed_forward_proj": "double-relu"}, "feed_forward_proj is 'double-relu'"),
        ({"feed_forward_proj": None}, "feed_forward_proj is None"),
        ({"dense_act_fn": "tanh"}, "dense_act_fn is 'tanh'"),
        ({"is_gated_act": 1}, "gated is 1; it must be True or False"),
        ({"is_decoder": True}, "is_decoder is True"),
        ({"pad_token_id": None}, "pad_id is None; it must be an id of the vocabulary, 0 to 12"),
        ({"decoder_start_token_id": 13}, "start_id is 13"),
        ({"relative_attention_num_buckets": 3}, "buckets is 3"),
        ({"hidden_size": 12}, "a t5 here has no setting hidden_size"),
        ({"architectures": ["T5ForQuestionAnswering"]}, "minilm builds one of T5ForConditionalGeneration"),
    ],
    ids=str,
)
def test_what_is_not_built_is_refused_by_name(tmp_path, changes, said):
    T5(T5Config(13, 12, 1, 1, 3, 5, 17)).save_pretrained(tmp_path)
    change_settings(tmp_path, **changes)
    with pytest.raises(ConfigError, match=said):
        T5.from_pretrained(tmp_path)
