"""What the tests of generation share: a GPT that has learned a text, and one whose every token seems possible."""

import numpy as np
import pytest

from minilm.models import GPT, GPTConfig, gpt_config
from minilm.text.char import CharTokenizer
from minilm.training.optim import AdamW

TEXT = "the cat sat on the mat. a dog ran to the log. the bird flew over a tree. " * 40


@pytest.fixture(scope="session")
def trained():
    """A tiny GPT that has learned a text of three sentences, and its tokenizer."""
    tokenizer = CharTokenizer.train(TEXT)
    model = GPT(gpt_config("tiny", vocab_size=tokenizer.vocab_size))
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


@pytest.fixture(scope="session")
def wild():
    """A small GPT with large random weights in float64, whose texts wander: each token depends on all before."""
    config = GPTConfig(vocab_size=11, context=8, width=12, layers=2, heads=3, tied=False)
    model = GPT(config).astype(np.float64).eval()
    for i, p in enumerate(model.parameters()):
        if p.ndim == 2:  # biases, the same at every position, would make every text the same
            p.assign(np.random.default_rng([1, i]).standard_normal(p.shape))
    return model
