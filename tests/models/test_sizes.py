"""The published parameter counts, to the last one, by formula; and the formula, against modules really built."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minilm.autograd import no_grad
from minilm.errors import ConfigError
from minilm.models import GPT, SIZES, GPTConfig, count_parameters, gpt_config, parameters_by_part

pytestmark = pytest.mark.every_device

PUBLISHED = {
    "gpt": 116_534_784,
    "gpt2": 124_439_808,
    "gpt2-medium": 354_823_168,
    "gpt2-large": 774_030_080,
    "gpt2-xl": 1_557_611_200,
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_counts(name):
    assert count_parameters(gpt_config(name)) == PUBLISHED[name]


@pytest.mark.parametrize(("name", "kaplan"), [("gpt2", 84_934_656), ("gpt2-medium", 301_989_888)])
def test_a_block_is_12_d_squared_and_13_d(name, kaplan):
    config = gpt_config(name)
    assert 12 * config.layers * config.width**2 == kaplan
    assert parameters_by_part(config)["blocks"] == kaplan + 13 * config.layers * config.width


@given(
    st.integers(1, 40), st.integers(1, 20), st.integers(1, 3), st.integers(1, 3), st.integers(1, 4),
    st.sampled_from(["pre", "post"]), st.booleans(), st.one_of(st.none(), st.integers(1, 9)),
)  # fmt: skip
def test_formula_equals_the_modules(vocab_size, context, layers, heads, head_width, norm, tied, mlp_width):
    config = GPTConfig(vocab_size, context, heads * head_width, layers, heads, mlp_width, norm=norm, tied=tied)
    model = GPT(config)
    assert model.num_parameters() == count_parameters(config)
    arrays = {id(p.data): p.size for p in model.parameters()}
    assert sum(arrays.values()) == count_parameters(config)


def test_names_and_changes():
    assert set(SIZES) == {*PUBLISHED, "tiny"}
    tiny = gpt_config("tiny", vocab_size=65, dropout=0.5)
    assert (tiny.width, tiny.layers, tiny.heads, tiny.context, tiny.dropout) == (32, 2, 2, 32, 0.5)
    with pytest.raises(ConfigError, match="vocab_size"):
        gpt_config("tiny")
    with pytest.raises(ConfigError, match="there is no model size 'huge'; there are gpt, gpt2, "):
        gpt_config("huge")


@pytest.mark.slow
def test_gpt2_really_built():
    model = GPT(gpt_config("gpt2")).eval()
    assert model.num_parameters() == PUBLISHED["gpt2"]
    ids = np.random.default_rng(0).integers(0, 50_257, (1, 16))
    with no_grad():
        whole = model(ids).numpy()
        cache = model.new_cache()
        parts = [model(ids[:, a:b], cache=cache).numpy() for a, b in ((0, 9), (9, 10), (10, 16))]
    assert whole.shape == (1, 16, 50_257)
    np.testing.assert_allclose(np.concatenate(parts, 1), whole, atol=2e-5)
