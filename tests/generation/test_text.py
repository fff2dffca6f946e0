"""Text as it is written: whole characters, the end of a text, the prompt that begins one."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minilm.errors import DataError
from minilm.generation import start_ids, stream_text
from minilm.models import GPTConfig
from minilm.text.bpe import ByteBPE
from minilm.text.char import CharTokenizer


class Script:
    """A model that says what it is told to: one id after the other, whatever it reads."""

    bare = eval = lambda self: self

    def __init__(self, ids, vocab_size):
        self.ids, self.config = ids, GPTConfig(vocab_size=vocab_size, context=1000)
        self.read = 0

    def new_cache(self, batch):
        return None

    def hidden(self, ids, mask=None, cache=None):
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
