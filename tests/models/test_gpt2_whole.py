"""GPT-2 as published, really built: it has as many parameters, and reads with a cache what it reads without."""

import numpy as np
import pytest

from minilm.autograd import no_grad
from minilm.models import GPT, gpt_config

pytestmark = pytest.mark.every_device


@pytest.mark.slow
def test_gpt2_really_built():
    model = GPT(gpt_config("gpt2")).eval()
    assert model.num_parameters() == 124_439_808
    ids = np.random.default_rng(0).integers(0, 50_257, (1, 16))
    with no_grad():
        whole = model(ids).numpy()
        cache = model.new_cache()
        parts = [model(ids[:, a:b], cache=cache).numpy() for a, b in ((0, 9), (9, 10), (10, 16))]
    assert whole.shape == (1, 16, 50_257)
    np.testing.assert_allclose(np.concatenate(parts, 1), whole, atol=2e-5)
