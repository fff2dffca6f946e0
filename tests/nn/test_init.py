"""How weights begin, where they are to be read from a file at once."""

import numpy as np
import pytest

from minilm.models import Bert, BertConfig
from minilm.nn.init import blank_weights


def make():
    return Bert(BertConfig(20, context=8, width=12, layers=1, heads=3), seed=3)


def test_blank_weights_are_drawn_by_no_one_and_only_within():
    before = make().state_dict()
    with pytest.raises(KeyError), blank_weights():
        blank = make()
        raise KeyError
    assert blank.state_dict().keys() == before.keys()
    assert not any(p.numpy().any() for name, p in blank.named_parameters() if "norm" not in name)
    assert {name: p.shape for name, p in blank.named_parameters()} == {name: a.shape for name, a in before.items()}
    after = make().state_dict()
    assert all(np.array_equal(after[name], before[name]) for name in before)
