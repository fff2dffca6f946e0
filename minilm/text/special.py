"""The tokens that stand for no text, by the names that every tokenizer that has them gives them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np

from minilm.errors import DataError
from minilm.i18n import tr
from minilm.text.tokenizer import Tokenizer

BERT_TOKENS = ("[PAD]", "[CLS]", "[SEP]", "[MASK]")


@dataclass(frozen=True)
class SpecialIds:
    """The ids that BERT's inputs are made with, and `every`, those of all special tokens (int64, sorted)."""

    pad: int
    cls: int
    sep: int
    mask: int
    every: np.ndarray

    @classmethod
    def of(cls, tokenizer: "Tokenizer | Mapping[str, int] | SpecialIds") -> "Self | SpecialIds":
        """Those of a tokenizer, or of a dict such as its `special_tokens`; DataError names those that it lacks."""
        if isinstance(tokenizer, SpecialIds):
            return tokenizer
        found = tokenizer.special_tokens if isinstance(tokenizer, Tokenizer) else tokenizer
        if missing := [name for name in BERT_TOKENS if name not in found]:
            raise DataError(
                tr(
                    "the tokenizer has no {names}, which BERT's inputs need; use one with these special tokens, e.g. "
                    "WordPiece",
                    names=", ".join(missing),
                )
            )
        pad, first, separator, mask = (found[name] for name in BERT_TOKENS)
        return cls(pad, first, separator, mask, np.unique(np.array(list(found.values()), np.int64)))
