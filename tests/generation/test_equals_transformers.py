"""Generation against transformers: every processor, whole distributions, greedy and beam search, padded batches.

Models are tiny and random, in float64; transformers takes their logits to float32 before it looks at them.
"""

import os
import warnings

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TRANSFORMERS_VERBOSITY"] = "error"
os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"

import numpy as np
import pytest
import torch

from minilm.generation import Sampling, beam_search, generate, processors
from minilm.models import GPT, T5

with warnings.catch_warnings():  # of its import alone, which none of our tests is about
    warnings.simplefilter("ignore")
    from transformers import GPT2Config, GPT2LMHeadModel, T5Config, T5ForConditionalGeneration
    from transformers.generation import logits_process as hf
    from transformers.utils.logging import disable_progress_bar
disable_progress_bar()

V = 13


def restless(theirs, seed, scale):
    """Random weights so large that texts wander; biases, the same at every position, would make every text the same."""
    torch.manual_seed(seed)
    with torch.no_grad():
        for p in theirs.parameters():
            if p.ndim == 2:
                p.normal_(0, scale)
    return theirs.double().eval()


@pytest.fixture(scope="module")
def gpts(tmp_path_factory):
    """Pairs of one GPT-2, theirs and ours."""
    pairs = []
    for seed in range(6):
        config = GPT2Config(vocab_size=V, n_positions=40, n_embd=24, n_layer=2, n_head=3,
                            bos_token_id=None, eos_token_id=None, pad_token_id=None)  # fmt: skip
        theirs = restless(GPT2LMHeadModel(config), seed, [0.3, 0.6, 1.0][seed % 3])
        folder = tmp_path_factory.mktemp("gpt2")
        theirs.save_pretrained(folder)
        pairs.append((theirs, GPT.from_pretrained(folder)))
    return pairs


@pytest.fixture(scope="module")
def t5s(tmp_path_factory):
    """Pairs of one T5, theirs and ours: the first kind, and that of 1.1."""
    pairs = []
    for seed in range(4):
        kind = {"feed_forward_proj": "gated-gelu", "tie_word_embeddings": False} if seed % 2 else {}
        config = T5Config(vocab_size=V, d_model=24, d_kv=8, d_ff=32, num_layers=2, num_decoder_layers=1, num_heads=3,
                          decoder_start_token_id=seed, pad_token_id=4, eos_token_id=5, **kind)  # fmt: skip
        theirs = restless(T5ForConditionalGeneration(config), seed, 0.5)
        folder = tmp_path_factory.mktemp("t5")
        theirs.save_pretrained(folder)
        pairs.append((theirs, T5.from_pretrained(folder)))
    return pairs


def left_padded(rng, rows, longest):
    """(ids, mask) of prompts of different lengths."""
    lengths = rng.integers(1, longest + 1, rows)
    mask = np.arange(longest) >= (longest - lengths)[:, None]
    return rng.integers(0, V, mask.shape), mask.astype(int)


def tensors(*arrays):
    return [torch.from_numpy(a) for a in arrays]


# ------------------------------------------------------------------------------------------------------ processors

PAIRS = {
    "repetition penalty": (
        [0.5, 1.0, 1.2, 3.0],
        hf.RepetitionPenaltyLogitsProcessor,
        lambda z, ids, x: processors.penalize_repetition(z, ids, x),
    ),
    "no repeated n-gram": (
        [1, 2, 3, 30],
        hf.NoRepeatNGramLogitsProcessor,
        lambda z, ids, n: processors.ban_repeated_ngrams(z, ids, n),
    ),
    "temperature": ([0.01, 0.7, 5.0], hf.TemperatureLogitsWarper, lambda z, ids, x: processors.scale(z, x)),
    "top k": ([1, 2, V - 1, V, V + 1], hf.TopKLogitsWarper, lambda z, ids, k: processors.keep_top_k(z, k)),
    "top p": ([1e-9, 0.3, 0.9, 0.999, 1.0], hf.TopPLogitsWarper, lambda z, ids, p: processors.keep_top_p(z, p)),
    "min p": ([0.0, 1e-9, 0.1, 0.8, 1.0], hf.MinPLogitsWarper, lambda z, ids, p: processors.keep_min_p(z, p)),
}


@pytest.mark.parametrize("name", PAIRS)
def test_each_processor_on_random_logits(name):
    settings, theirs, ours = PAIRS[name]
    for seed in range(20):
        rng = np.random.default_rng(seed)
        z, ids = 4 * rng.standard_normal((5, V)), rng.integers(0, V, (5, rng.integers(1, 20)))
        for setting in settings:
            wanted = theirs(setting)(*tensors(ids, z)).numpy()
            found = ours(z, ids, setting)
            if name == "temperature":  # ours leaves the largest at 0
                wanted -= wanted.max(axis=1, keepdims=True)
            np.testing.assert_allclose(found, wanted, rtol=1e-12, atol=1e-12, err_msg=f"{seed}, {setting}")


@pytest.mark.parametrize("name", ["top k", "top p", "min p"])
def test_ties_at_the_border(name):
    """Of logits that are equal at the border ours keeps those of lower id; transformers, in top k, all of them."""
    settings, theirs, ours = PAIRS[name]
    for seed in range(20):
        z = np.random.default_rng(seed).integers(-2, 3, (5, V)).astype(float)
        for setting in settings:
            wanted, found = theirs(setting)(*tensors(z.astype(int), z)).numpy(), ours(z, None, setting)
            for row, a, b in zip(z, np.isfinite(found), np.isfinite(wanted), strict=True):
                assert row[a].min() == row[b].min() and (a <= (row >= row[a].min())).all()
                at = row == row[a].min()
                assert (np.diff(a[at].astype(int)) <= 0).all()
                if name == "top k":
                    assert a.sum() == min(setting, V) and (b == (row >= row[a].min())).all()
                else:
                    assert a.sum() == b.sum()


def test_padding_is_no_repetition():
    rng = np.random.default_rng(0)
    ids, mask = left_padded(rng, 5, 9)
    z, pads = rng.standard_normal((5, V)), torch.from_numpy(mask.argmax(1))
    wanted = hf.RepetitionPenaltyLogitsProcessor(1.5, prompt_ignore_length=pads)(*tensors(ids, z)).numpy()
    np.testing.assert_allclose(processors.penalize_repetition(z, np.where(mask, ids, -1), 1.5), wanted, rtol=1e-12)


@pytest.mark.parametrize("seed", range(6))
def test_whole_distributions_of_a_text_that_it_draws(gpts, seed):
    """All processors at once, in transformers' order, at every step of what it drew."""
    theirs, ours = gpts[seed]
    rng = np.random.default_rng(seed)
    common = {
        "temperature": float(rng.choice([0.5, 1.5])),
        "top_k": int(rng.integers(4, 9)),
        "top_p": float(rng.choice([0.7, 0.95])),
        "min_p": float(rng.choice([0.05, 0.2])),
        "repetition_penalty": float(rng.choice([0.8, 1.3])),
    }
    torch.manual_seed(seed)
    ids, real = tensors(rng.integers(0, V, (3, 4)), np.ones((3, 4), int))
    drawn = theirs.generate(ids, attention_mask=real, max_new_tokens=12, min_new_tokens=5, do_sample=True,
                            no_repeat_ngram_size=2, eos_token_id=[1, 2], pad_token_id=0, return_dict_in_generate=True,
                            output_scores=True, **common)  # fmt: skip
    sampling = Sampling(no_repeat_ngram=2, **common)
    for step, scores in enumerate(drawn.scores):
        past = drawn.sequences[:, : 4 + step].numpy()
        banned = np.array([1, 2]) if step < 5 else None
        found = sampling.probabilities(ours(past).numpy()[:, -1], past, banned)
        np.testing.assert_allclose(found, torch.softmax(scores, 1).numpy(), atol=1e-5)


# ---------------------------------------------------------------------------------------------- greedy, beam search


def test_greedy_of_padded_batches(gpts):
    for seed, (theirs, ours) in enumerate(gpts):
        rng = np.random.default_rng(seed)
        ids, mask = left_padded(rng, 4, 7)
        stops = rng.choice(V, 2, replace=False).tolist()
        given, real = tensors(ids, mask)
        wanted = theirs.generate(given, attention_mask=real, max_new_tokens=25, do_sample=False, eos_token_id=stops,
                                 pad_token_id=3, min_new_tokens=2, repetition_penalty=1.2).numpy()  # fmt: skip
        for cache in (True, False):
            found = generate(ours, ids, 25, temperature=0, attention_mask=mask, stop=stops, pad=3, min_new_tokens=2,
                             repetition_penalty=1.2, cache=cache)  # fmt: skip
            assert found.tolist() == wanted.tolist(), (seed, cache)


def test_greedy_and_drawn_texts_of_an_encoder_decoder(t5s):
    """Prompts padded on the right, as is usual, and on the left; of drawn ones, the distribution at every step."""
    for seed, (theirs, ours) in enumerate(t5s):
        ids, mask = left_padded(np.random.default_rng(seed), 4, 7)
        if seed < 2:
            ids, mask = ids[:, ::-1].copy(), mask[:, ::-1].copy()
        given, real = tensors(ids, mask)
        how = {"attention_mask": real, "max_new_tokens": 20, "eos_token_id": [6, 7], "pad_token_id": 3,
               "no_repeat_ngram_size": 2}  # fmt: skip
        wanted = theirs.generate(given, do_sample=False, **how).tolist()
        for cache in (True, False):
            found = generate(ours, ids, 20, temperature=0, attention_mask=mask, stop=[6, 7], pad=3, no_repeat_ngram=2,
                             cache=cache)  # fmt: skip
            assert found.tolist() == wanted, (seed, cache)
        torch.manual_seed(seed)
        drawn = theirs.generate(given, do_sample=True, top_k=6, repetition_penalty=1.4, output_scores=True,
                                return_dict_in_generate=True, **how)  # fmt: skip
        sampling = Sampling(top_k=6, repetition_penalty=1.4, no_repeat_ngram=2)
        for step, scores in enumerate(drawn.scores):
            past = drawn.sequences[:, : 1 + step].numpy()
            found = sampling.probabilities(ours(ids, past, mask).numpy()[:, -1], past)
            np.testing.assert_allclose(found, torch.softmax(scores, 1).numpy(), atol=1e-5)


def one_search(rng):
    """A prompt or several, and settings, (theirs, ours)."""
    beams, count = int(rng.integers(2, 6)), int(rng.integers(1, 14))
    ids, mask = left_padded(rng, int(rng.integers(1, 4)), int(rng.integers(1, 7)))
    stops = rng.choice(V, rng.integers(0, 4), replace=False).tolist()
    common = {
        "num_return_sequences": int(rng.integers(1, beams + 1)),
        "length_penalty": float(rng.choice([-1.0, 0.0, 0.5, 1.0, 2.0])),
        "early_stopping": [False, True, "never"][rng.integers(3)],
        "repetition_penalty": float(rng.choice([1.0, 1.0, 0.7, 2.0])),
        "min_new_tokens": min(count, int(rng.choice([0, 0, 2, 4]))),
    }
    n = [None, None, 2, 3][rng.integers(4)]
    if n is not None:
        mask[:] = 1  # transformers counts n-grams of padding
    pad = int(rng.integers(1, V))  # 0 would be taken for none
    theirs = {"num_beams": beams, "max_new_tokens": count, "eos_token_id": stops or None, "pad_token_id": pad,
              "no_repeat_ngram_size": n, **common}  # fmt: skip
    ours = {"beams": beams, "max_new_tokens": count, "stop": stops, "pad": pad, "no_repeat_ngram": n, **common}
    return ids, mask, theirs, ours


def searched(theirs, ids, mask, settings):
    """The sequences and scores that transformers finds."""
    given, real = tensors(ids, mask)
    found = theirs.generate(given, attention_mask=real, do_sample=False, return_dict_in_generate=True,
                            output_scores=True, **settings)  # fmt: skip
    return found.sequences.numpy(), found.sequences_scores.numpy()


def check_searches(pairs, seeds):
    """That both find the same, with the cache and without; how many searches ended early."""
    early = 0
    for seed in seeds:
        theirs, ours = pairs[seed % len(pairs)]
        ids, mask, their_settings, our_settings = one_search(np.random.default_rng(seed))
        wanted, scores = searched(theirs, ids, mask, their_settings)
        for cache in (True, False):
            found = beam_search(ours, ids, attention_mask=mask, cache=cache, **our_settings)
            assert found.ids.tolist() == wanted.tolist(), (seed, cache, our_settings)
            said = str((seed, cache, our_settings))
            np.testing.assert_allclose(found.scores, scores, rtol=1e-5, atol=1e-6, err_msg=said)  # theirs in float32
        begun = 1 if isinstance(ours, T5) else ids.shape[1]
        early += found.ids.shape[1] < begun + our_settings["max_new_tokens"]
    return early


def test_beam_search_whatever_the_settings(gpts):
    assert check_searches(gpts, range(30)) > 3


def test_beam_search_of_an_encoder_decoder(t5s):
    assert check_searches(t5s, range(100, 116)) > 2


@pytest.mark.slow
def test_beam_search_whatever_the_settings_at_length(gpts):
    assert check_searches(gpts, range(1000, 1300)) > 30
