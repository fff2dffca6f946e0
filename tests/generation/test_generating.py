"""Generation: the cache, the window, stopping, streaming, and what is refused."""

import itertools
import warnings

import numpy as np
import pytest

from minilm.autograd import no_grad
from minilm.errors import ConfigError, DataError, DTypeError, ShapeError
from minilm.generation import LongPromptWarning, generate, stream, stream_text, window_start
from minilm.models import GPT, GPTConfig
from minilm.text.char import CharTokenizer


def slow_greedy(model, ids, count):
    """Greedy continuation of one row by the definition: the window, a whole forward, the largest logit."""
    ids = list(ids)
    for _ in range(count):
        start = 0
        while len(ids) - start > model.config.context:
            start += model.config.context // 2
        ids.append(int(model(np.array([ids[start:]])).numpy()[0, -1].argmax()))
    return ids


@pytest.mark.parametrize("cache", [True, False])
@pytest.mark.parametrize("length", [1, 5, 8])
def test_greedy_equals_its_definition_past_the_context(wild, cache, length):
    prompt = np.random.default_rng(length).integers(0, 11, length)
    found = generate(wild, prompt, 20, temperature=0, cache=cache)
    assert found.tolist() == slow_greedy(wild, prompt, 20)


def test_window_is_a_function_of_the_length_and_moves_by_half_a_context():
    for context in (1, 2, 3, 7, 8):
        starts = [window_start(n, context) for n in range(1, 40)]
        hop = max(1, context // 2)
        for n, start in enumerate(starts, 1):
            assert (start % hop == 0 and context - hop < n - start <= context) or (start == 0 and n <= context)
    assert [window_start(n, 8) for n in (1, 8, 9, 12, 13, 16, 17)] == [0, 0, 4, 4, 8, 8, 12]


def test_same_tokens_with_and_without_cache_for_50_prompts_and_every_split(trained):
    """Greedy and sampled, 38 tokens in a context of 32: whatever part of them is the prompt."""
    model, tokenizer = trained
    prompts = np.random.default_rng(0).integers(0, tokenizer.vocab_size, (50, 3))
    for settings in ({"temperature": 0}, {"temperature": 0.8, "top_k": 5, "top_p": 0.95}):
        whole = generate(model, prompts, 35, seed=1, cache=False, **settings)
        assert (whole == generate(model, prompts, 35, seed=1, **settings)).all()
        for split in range(4, 38, 1 if settings["temperature"] == 0 else 8):
            prompt = whole[:, :split]
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", LongPromptWarning)
                cached = generate(model, prompt, 38 - split, seed=2, **settings)
                if settings["temperature"] == 0:
                    assert (cached == whole).all(), split
                else:
                    assert (cached == generate(model, prompt, 38 - split, seed=2, cache=False, **settings)).all(), split


@pytest.mark.slow
def test_same_tokens_for_single_prompts_and_every_split(trained):
    model, tokenizer = trained
    for i in range(8):
        prompt = np.random.default_rng(i).integers(0, tokenizer.vocab_size, 1 + 5 * i)
        whole = generate(model, prompt, 44 - len(prompt), temperature=0.8, seed=i, cache=False, on_notice=str)
        for split in range(1, 44):
            pair = [generate(model, whole[:split], 44 - split, seed=i, cache=c, on_notice=str) for c in (True, False)]
            assert (pair[0] == pair[1]).all(), (i, split)


def test_a_batch_continues_as_its_rows_alone(trained):
    model, tokenizer = trained
    prompts = np.random.default_rng(3).integers(0, tokenizer.vocab_size, (6, 5))
    together = generate(model, prompts, 40, temperature=0)
    for row, prompt in zip(together, prompts, strict=True):
        assert (generate(model, prompt, 40, temperature=0) == row).all()


def test_it_has_learned_the_text(trained):
    model, tokenizer = trained
    ids = generate(model, tokenizer.encode("the cat "), 15, temperature=0)
    assert tokenizer.decode(ids) == "the cat sat on the mat."


def test_same_seed_same_tokens(wild):
    a, b, c, d = (generate(wild, [1, 2], 30, seed=s).tolist() for s in (5, 5, 6, None))
    assert a == b and a != c
    assert generate(wild, [1, 2], 30).tolist() != d  # 11^30 to one


def test_generation_leaves_the_prompt_and_the_model_as_they_were(trained):
    model, _ = trained
    prompt = np.array([[1, 2, 3]], np.int32)
    for mode in (True, False):
        model.train(mode)
        before = {name: p.grad for name, p in model.named_parameters()}
        found = generate(model, prompt, 4, seed=0)
        assert model.training is mode and all(m.training is mode for _, m in model.named_modules())
        assert found.dtype == np.int32 and (found[:, :3] == prompt).all() and found.shape == (1, 7)
        assert all(p.grad is before[name] for name, p in model.named_parameters())


def test_a_stream_sees_weights_that_are_loaded_meanwhile(wild):
    model = GPT(wild.config).astype(np.float64)
    tokens = stream(model, [1, 2], 6, temperature=0, cache=False)
    first = next(tokens)
    model.load_state_dict(wild.state_dict())
    assert list(tokens) == slow_greedy(wild, [1, 2, first], 5)[3:]


def test_dropout_is_off_whatever_the_mode():
    model = GPT(GPTConfig(vocab_size=11, context=8, width=12, layers=2, heads=3, dropout=0.5))
    a, b = (generate(model.train(mode), [1, 2], 20, seed=0).tolist() for mode in (True, False))
    assert a == b


def test_no_new_tokens(wild):
    assert generate(wild, [3, 4], 0).tolist() == [3, 4]
    assert generate(wild, [[3, 4]], 0).tolist() == [[3, 4]]


def test_the_cache_reads_each_token_once_but_where_the_window_moves(wild):
    lengths = []

    class Watched:
        config, new_cache, logits = wild.config, wild.new_cache, wild.logits
        bare = eval = lambda self: self

        def hidden(self, ids, mask=None, cache=None):
            lengths.append(ids.shape[1])
            with no_grad():
                return wild.hidden(ids, cache=cache)

    list(stream(Watched(), [1, 2, 3], 14))
    assert lengths == [3, 1, 1, 1, 1, 1, 5, 1, 1, 1, 5, 1, 1, 1]
    lengths.clear()
    list(stream(Watched(), [1, 2, 3], 14, cache=False))
    assert lengths == [3, 4, 5, 6, 7, 8, 5, 6, 7, 8, 5, 6, 7, 8]


# -------------------------------------------------------------------------------------------------- stopping, streams


def test_stop_ends_a_sequence_and_is_part_of_it(wild):
    whole = generate(wild, [1, 2], 30, seed=0).tolist()
    stop = whole[9]
    first = whole.index(stop, 2)
    assert generate(wild, [1, 2], 30, seed=0, stop=stop).tolist() == whole[: first + 1]
    assert generate(wild, [1, 2], 30, seed=0, stop={stop, 99}).tolist() == whole[: first + 1]
    assert generate(wild, [1, stop], 3, seed=0, stop=()).shape == (5,)


def test_a_row_that_ended_repeats_its_stop_and_the_others_go_on(wild):
    prompts = np.random.default_rng(0).integers(0, 11, (4, 3))
    free = generate(wild, prompts, 40, seed=0)
    found = generate(wild, prompts, 40, seed=0, stop=[5, 7])
    ends = [next((t for t in range(3, 43) if row[t] in (5, 7)), 43) for row in free]
    assert len(set(ends)) > 1 and max(ends) < 43
    assert found.shape[1] == max(ends) + 1
    for row, all_of_it, end in zip(found, free, ends, strict=True):
        assert (row[: end + 1] == all_of_it[: end + 1]).all() and (row[end:] == all_of_it[end]).all()


def test_a_row_that_ended_is_filled_up_with_the_pad(wild):
    prompts = np.random.default_rng(0).integers(0, 11, (4, 3))
    repeated = generate(wild, prompts, 40, seed=0, stop=[5, 7])
    found = generate(wild, prompts, 40, seed=0, stop=[5, 7], pad=9)
    assert found.shape == repeated.shape and (found != repeated).any()
    for row, wanted in zip(found, repeated, strict=True):
        end = next(t for t in range(3, len(row)) if row[t] in (5, 7))
        assert (row[: end + 1] == wanted[: end + 1]).all() and (row[end + 1 :] == 9).all()


def test_no_stop_before_its_time(wild):
    """Greedy, the first stop would come at once; then the best that is no stop is taken instead."""
    first = generate(wild, [1, 2], 1, temperature=0)[-1]
    for least in (1, 4):
        new = generate(wild, [1, 2], 60, temperature=0, stop=first, min_new_tokens=least)[2:].tolist()
        assert first not in new[:least]
        assert new[0] == wild(np.array([[1, 2]])).numpy()[0, -1].argsort()[-2]
    assert generate(wild, [1, 2], 60, temperature=0, stop=first).tolist() == [1, 2, first]


def test_what_was_there_is_avoided(wild):
    """In prompt and text together, also before the window that the model reads."""
    for temperature in (0, 1):
        text = generate(wild, [1, 2, 3], 40, temperature, seed=0, no_repeat_ngram=2).tolist()
        assert len(set(itertools.pairwise(text))) == len(text) - 1
    text = [1, 2, 3]
    for _ in range(20):
        z = wild(np.array([text[window_start(len(text), 8) :]])).numpy()[0, -1].copy()
        z[text] = np.where(z > 0, z / 1.5, z * 1.5)[text]
        text.append(int(z.argmax()))
    assert generate(wild, [1, 2, 3], 20, temperature=0, repetition_penalty=1.5).tolist() == text
    with pytest.raises(DataError, match="row 0: no token is left"):
        generate(wild, [1, 2, 3], 9, no_repeat_ngram=1)


def test_a_row_that_ended_asks_for_no_more_tokens(wild):
    """The first row ends with the one token that is left to it; the second goes on."""
    prompts = np.array([[0, 1, 2, 3, 4, 5, 6, 8, 9, 10], [0] * 10])
    found = generate(wild, prompts, 4, temperature=0, stop=7, no_repeat_ngram=1, on_notice=str)
    assert found[0, 10:].tolist() == [7] * (found.shape[1] - 10) and found.shape[1] > 11


def test_stream_and_callback_give_what_generate_returns(wild):
    heard = []
    found = generate(wild, [1, 2], 12, seed=3, on_token=heard.append)
    assert heard == found[2:].tolist() == list(stream(wild, [1, 2], 12, seed=3))
    assert all(type(token) is int for token in heard)
    rows = list(stream(wild, [[1, 2], [3, 4]], 5, seed=3))
    assert (np.stack(rows, 1) == generate(wild, [[1, 2], [3, 4]], 5, seed=3)[:, 2:]).all()


def test_two_streams_at_once_do_not_meet(wild):
    a, b = stream(wild, [1, 2], 20, seed=1), stream(wild, [3], 20, seed=2)
    pairs = list(itertools.zip_longest(a, b))
    assert [x for x, _ in pairs] == list(stream(wild, [1, 2], 20, seed=1))
    assert [y for _, y in pairs] == list(stream(wild, [3], 20, seed=2))


def test_long_prompt_is_read_from_its_window_and_said_once(wild):
    prompt = np.random.default_rng(0).integers(0, 11, 21)
    said = []
    found = generate(wild, prompt, 9, temperature=0, on_notice=said.append)
    assert said == ["the prompt has 21 tokens, more than the model's context of 8: only the last 5 are read"]
    assert found.tolist() == slow_greedy(wild, prompt, 9)
    with pytest.warns(LongPromptWarning, match="has 21 tokens") as caught:
        generate(wild, prompt, 9, temperature=0)
    assert len(caught) == 1 and caught[0].filename == __file__
    with pytest.warns(LongPromptWarning) as caught:
        stream(wild, prompt, 1)
    assert caught[0].filename == __file__
    tokenizer = CharTokenizer("abcdefghijk")
    with pytest.warns(LongPromptWarning) as caught:
        stream_text(wild, tokenizer, "abcdefghi", 1)
    assert caught[0].filename == __file__
    generate(wild, prompt[:8], 9)  # a prompt that fits may grow past the context without a word


@pytest.mark.parametrize(
    ("ids", "error"),
    [([], ShapeError), ([[]], ShapeError), (3, ShapeError), ([[[1]]], ShapeError), ([1.0], DTypeError)],
)
def test_prompts_that_are_none_are_refused_at_once(wild, ids, error):
    with pytest.raises(error, match="ids: got"):
        stream(wild, ids, 3)


def test_other_refusals(wild):
    with pytest.raises(ConfigError, match="max_new_tokens is -1"):
        stream(wild, [1], -1)
    with pytest.raises(ConfigError, match=r"max_new_tokens is 2\.5"):
        stream(wild, [1], 2.5)
    with pytest.raises(DataError, match="got id 11, but the model's vocabulary"):
        generate(wild, [1, 11], 3)
    with pytest.raises(ConfigError, match="min_new_tokens is -1"):
        stream(wild, [1], 3, min_new_tokens=-1)
    for pad in (-1, 11, 2.0):
        with pytest.raises(ConfigError, match=f"pad is {pad}; it must be a token of the vocabulary, 0 to 10"):
            stream(wild, [1], 3, pad=pad)
    with pytest.raises(TypeError, match="no setting temprature"):
        stream(wild, [1], 3, temprature=1)


def test_damaged_weights_are_named():
    model = GPT(GPTConfig(vocab_size=11, context=8, width=12, layers=1, heads=3))
    model.final_norm.bias.assign(np.full(12, np.nan))
    with pytest.raises(DataError, match="damaged or its training diverged"):
        generate(model, [1], 3)
