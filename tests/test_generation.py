"""Generation: what is sampled, against brute force; the cache, the window, stopping, streaming, text."""

import itertools
import math
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minilm.autograd import no_grad
from minilm.errors import ConfigError, DataError, DTypeError, ShapeError
from minilm.generation import LongPromptWarning, Sampling, generate, start_ids, stream, stream_text, window_start
from minilm.models import GPT, GPTConfig
from minilm.text.bpe import ByteBPE
from minilm.text.char import CharTokenizer
from minilm.training.optim import AdamW

TEXT = "the cat sat on the mat. a dog ran to the log. the bird flew over a tree. " * 40


@pytest.fixture(scope="module")
def trained():
    """A tiny GPT that has learned a text of three sentences, and its tokenizer."""
    tokenizer = CharTokenizer.train(TEXT)
    model = GPT(GPTConfig(tokenizer.vocab_size, context=32, width=32, layers=2, heads=2))
    optimizer = AdamW(model.named_parameters(), rate=5e-3)
    tokens, T = np.array(tokenizer.encode(TEXT)), model.config.context
    for step in range(200):
        starts = np.random.default_rng([0, step]).integers(0, len(tokens) - T - 1, 8)
        rows = tokens[starts[:, None] + np.arange(T + 1)]
        loss = model.loss(rows[:, :-1], rows[:, 1:])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.5
    return model, tokenizer


@pytest.fixture(scope="module")
def wild():
    """A small GPT with large random weights in float64: every token seems possible, and each depends on all before."""
    model = GPT(GPTConfig(vocab_size=11, context=8, width=12, layers=2, heads=3)).astype(np.float64).eval()
    for i, p in enumerate(model.parameters()):
        p.assign(np.random.default_rng([1, i]).standard_normal(p.shape) * 0.5)
    return model


# ----------------------------------------------------------------------- the distribution, against slow definitions

logit_rows = st.lists(st.integers(-6, 6).map(lambda n: n / 2), min_size=1, max_size=9)  # with many ties


def softmax(z):
    e = [math.exp(x - max(z)) for x in z]
    return [x / sum(e) for x in e]


def ranked(z):
    """Indices from the largest, of equals the lower index first."""
    return sorted(range(len(z)), key=lambda i: (-z[i], i))


def brute_force(z, temperature, k, p):
    """The distribution by its definition, sets and all."""
    z = [x / temperature for x in z]
    allowed = set(ranked(z)[: k or len(z)])
    probabilities = softmax([x if i in allowed else -math.inf for i, x in enumerate(z)])
    if p is not None and p < 1:
        nucleus, mass = set(), 0.0
        for i in ranked(probabilities):
            nucleus.add(i)
            mass += probabilities[i]
            if mass >= p - 1e-12:
                break
        probabilities = [q if i in nucleus else 0.0 for i, q in enumerate(probabilities)]
        probabilities = [q / sum(probabilities) for q in probabilities]
    return probabilities


@given(
    logit_rows,
    st.sampled_from([0.25, 1.0, 3.0]),
    st.one_of(st.none(), st.integers(1, 12)),
    st.one_of(st.none(), st.floats(0.013, 1.0)),
)
def test_distribution_equals_brute_force(z, temperature, k, p):
    found = Sampling(temperature, k, p).probabilities(np.array([z]))[0]
    np.testing.assert_allclose(found, brute_force(z, temperature, k, p), rtol=1e-9, atol=1e-15)


@given(logit_rows, st.integers(1, 12))
def test_top_k_keeps_exactly_k_of_lower_ids_among_equals(z, k):
    kept = np.flatnonzero(Sampling(top_k=k).probabilities(np.array([z]))[0])
    assert sorted(kept) == sorted(ranked(z)[:k])


def test_top_p_keeps_the_token_that_crosses():
    logits = np.log([[0.5, 0.3, 0.15, 0.05]])
    for p, count in ((0.1, 1), (0.49, 1), (0.51, 2), (0.79, 2), (0.81, 3), (0.96, 4), (1.0, 4)):
        assert np.count_nonzero(Sampling(top_p=p).probabilities(logits)) == count, p


def test_top_p_after_top_k_counts_what_is_left():
    """0.5 and 0.3 are 5/8 and 3/8 of the two that top_k leaves, so p = 0.6 needs only the first."""
    logits = np.log([[0.5, 0.3, 0.15, 0.05]])
    np.testing.assert_allclose(Sampling(top_k=2, top_p=0.6).probabilities(logits), [[1, 0, 0, 0]])


def test_rows_are_cut_each_by_itself():
    rows = np.random.default_rng(0).standard_normal((20, 9))
    sampling = Sampling(0.7, 4, 0.8)
    together = sampling.probabilities(rows)
    for row, found in zip(rows, together, strict=True):
        np.testing.assert_allclose(sampling.probabilities(row[None])[0], found)


@given(logit_rows)
def test_no_temperature_is_greedy_and_a_small_one_nearly(z):
    assert Sampling(0).choose(np.array([z]), np.random.default_rng(0)) == [ranked(z)[0]]
    np.testing.assert_array_equal(Sampling(0).probabilities([z])[0], np.eye(len(z))[ranked(z)[0]])
    for tiny in (1e-3, 1e-12, 5e-324):
        top = [i for i, x in enumerate(z) if x == max(z)]
        np.testing.assert_allclose(Sampling(tiny).probabilities([z])[0][top], 1 / len(top))


def test_draws_follow_the_distribution():
    """χ² of 20,000 draws; and what has probability 0 is never drawn."""
    logits = np.array([[0.0, 2.0, 1.0, -1.0, 1.5, -math.inf]])
    for sampling in (Sampling(), Sampling(0.5, 4), Sampling(2.0, None, 0.9)):
        p = sampling.probabilities(logits)[0]
        drawn = sampling.choose(np.repeat(logits, 20_000, 0), np.random.default_rng(0))
        counts = np.bincount(drawn, minlength=6)
        assert (counts[p == 0] == 0).all()
        expected = 20_000 * p[p > 0]
        assert ((counts[p > 0] - expected) ** 2 / expected).sum() < 20  # 5 degrees of freedom at most: p > .001


def test_a_draw_at_the_very_edge_is_a_possible_token():
    class Edge:
        def __init__(self, u):
            self.u = u

        def random(self, shape):
            return np.full(shape, self.u)

    logits = np.array([[-math.inf, 0.0, -math.inf, 0.0, -math.inf]])
    assert Sampling().choose(logits, Edge(0.0)) == [1]
    assert Sampling().choose(logits, Edge(np.nextafter(1, 0))) == [3]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"temperature": -0.1}, "temperature is -0.1"),
        ({"temperature": math.nan}, "temperature is nan"),
        ({"temperature": math.inf}, "temperature is inf"),
        ({"top_k": 0}, "top_k is 0"),
        ({"top_k": 1.5}, "top_k is 1.5"),
        ({"top_k": True}, "top_k is True"),
        ({"top_p": 0.0}, "top_p is 0.0"),
        ({"top_p": 1.1}, "top_p is 1.1"),
        ({"top_p": math.nan}, "top_p is nan"),
    ],
)
def test_settings_that_cannot_be(settings, said):
    with pytest.raises(ConfigError, match=said):
        Sampling(**settings)


@pytest.mark.parametrize("bad", [[0.0, math.nan], [math.inf, 0.0], [-math.inf, -math.inf]])
@pytest.mark.parametrize("temperature", [0, 1])
def test_logits_that_are_no_distribution(bad, temperature):
    with pytest.raises(DataError, match="logits: row 1 gives no distribution"):
        Sampling(temperature).choose(np.array([[0.0, 1.0], bad]), np.random.default_rng(0))


# ------------------------------------------------------------------------------------------------------- generation


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

        def hidden(self, ids, cache=None):
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


def test_damaged_weights_are_named():
    model = GPT(GPTConfig(vocab_size=11, context=8, width=12, layers=1, heads=3))
    model.final_norm.bias.assign(np.full(12, np.nan))
    with pytest.raises(DataError, match="damaged or its training diverged"):
        generate(model, [1], 3)


# ------------------------------------------------------------------------------------------------------------- text


class Script:
    """A model that says what it is told to: one id after the other, whatever it reads."""

    bare = eval = lambda self: self

    def __init__(self, ids, vocab_size):
        self.ids, self.config = ids, GPTConfig(vocab_size=vocab_size, context=1000)
        self.read = 0

    def new_cache(self, batch):
        return None

    def hidden(self, ids, cache=None):
        self.prompt = ids if not self.read else self.prompt
        self.read += 1
        return np.full((1, 1, 1), self.ids[self.read - 1])

    def logits(self, hidden):
        return np.eye(self.config.vocab_size)[hidden[:, 0].astype(int)] * 50


SPOKEN = "ñandú — 你好 🎉🎉 año €"
BPE = ByteBPE.train(
    ["a text to learn a few merges from, año, año " * 5], 256 + 20 + 1, special_tokens=("<|endoftext|>",)
)


def test_streamed_text_is_never_half_a_character():
    ids = BPE.encode(SPOKEN)
    pieces = list(stream_text(Script(ids, BPE.vocab_size), BPE, "x", len(ids), temperature=0))
    assert "".join(pieces) == SPOKEN
    assert len(pieces) > 10 and all(pieces) and not any("\ufffd" in piece for piece in pieces)


@given(st.lists(st.integers(0, BPE.vocab_size - 2), max_size=30))
def test_streamed_text_is_the_decoded_text(ids):
    special = BPE.special_tokens["<|endoftext|>"]
    ids = [id for id in ids if id != special]
    pieces = stream_text(Script(ids, BPE.vocab_size), BPE, "x", len(ids), temperature=0)
    assert "".join(pieces) == BPE.decode(ids)


def test_text_ends_at_end_of_text_unless_told_otherwise():
    end = BPE.special_tokens["<|endoftext|>"]
    ids = [*BPE.encode("one"), end, *BPE.encode("two")]

    def text(**settings):
        return "".join(stream_text(Script(ids, BPE.vocab_size), BPE, "x", len(ids), temperature=0, **settings))

    assert text() == "one"
    assert text(stop=()) == "one<|endoftext|>two"
    assert text(stop=BPE.encode("w")[0]).startswith("one<|endoftext|>t")


def test_text_of_a_trained_model(trained):
    model, tokenizer = trained
    pieces = list(stream_text(model, tokenizer, "the cat ", 15, temperature=0))
    assert "".join(pieces) == "sat on the mat." and len(pieces) == 15


def test_an_empty_prompt_starts_a_text():
    assert start_ids(BPE, "") == [BPE.special_tokens["<|endoftext|>"]]
    assert start_ids(CharTokenizer.train("a\nb"), "") == CharTokenizer.train("a\nb").encode("\n")
    model = Script(BPE.encode("hi"), BPE.vocab_size)
    assert "".join(stream_text(model, BPE, "", 2, temperature=0))
    assert model.prompt.tolist() == [[BPE.special_tokens["<|endoftext|>"]]]


def test_a_tokenizer_of_another_size_is_refused(trained):
    model, tokenizer = trained
    with pytest.raises(DataError, match=f"has {BPE.vocab_size} tokens, the model was made for {tokenizer.vocab_size}"):
        stream_text(model, BPE, "x", 3)
