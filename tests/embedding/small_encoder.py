"""A small BERT with a Spanish vocabulary, and the vector of a text by the formula."""

import numpy as np

from minilm.models import Bert, BertConfig
from minilm.text import WordPiece

WORDS = "[PAD] [UNK] [CLS] [SEP] [MASK] el gato duerme en la casa un perro come pan ñandú ##s".split()
TOKENIZER = WordPiece(WORDS, WORDS[:5])


def lively(seed=0, **settings):
    """A BERT whose parameters are all large and random, so that every token has something to say."""
    model = Bert(BertConfig(len(WORDS), context=16, width=12, layers=2, heads=3, **settings)).eval()
    rng = np.random.default_rng(seed)
    for p in model.parameters():
        p.assign(0.5 * rng.standard_normal(p.shape))
    return model


MODEL = lively()


def alone(text, longest=16):
    """The vector of one text, without padding, in plain sums."""
    ids = [2, *TOKENIZER.encode(text)[: longest - 2], 3]
    hidden = MODEL(np.array([ids])).hidden.numpy()[0].astype(np.float64)  # (T, D)
    mean = sum(hidden) / len(ids)
    return mean / sum(mean**2) ** 0.5
