"""Texts and tokens: tokenizers, corpora, and the batches that training and evaluation read."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from minilm.text.batches import TokenBatches, encode_documents
    from minilm.text.bpe import ByteBPE
    from minilm.text.char import CharTokenizer
    from minilm.text.corpora import Corpus, built_in_corpora, is_available, load_corpus
    from minilm.text.fetch import fetch_corpus
    from minilm.text.inputs import collate, encode_batch, encode_pair, encode_text
    from minilm.text.masking import LeftToRightBatches, MaskedBatches, Masker, Masking
    from minilm.text.pairs import PairBatches
    from minilm.text.pretrained import load_pretrained_tokenizer
    from minilm.text.sentences import encode_sentences, split_sentences
    from minilm.text.special import SpecialIds
    from minilm.text.tokenizer import Tokenizer, load_tokenizer
    from minilm.text.units import bits_per_byte
    from minilm.text.wordpiece import WordPiece
    from minilm.text.words import WordTokenizer

_MODULE_OF = {
    "ByteBPE": "bpe",
    "CharTokenizer": "char",
    "Corpus": "corpora",
    "LeftToRightBatches": "masking",
    "MaskedBatches": "masking",
    "Masker": "masking",
    "Masking": "masking",
    "PairBatches": "pairs",
    "SpecialIds": "special",
    "TokenBatches": "batches",
    "Tokenizer": "tokenizer",
    "WordPiece": "wordpiece",
    "WordTokenizer": "words",
    "bits_per_byte": "units",
    "built_in_corpora": "corpora",
    "collate": "inputs",
    "encode_batch": "inputs",
    "encode_documents": "batches",
    "encode_pair": "inputs",
    "encode_sentences": "sentences",
    "encode_text": "inputs",
    "fetch_corpus": "fetch",
    "is_available": "corpora",
    "load_corpus": "corpora",
    "load_pretrained_tokenizer": "pretrained",
    "load_tokenizer": "tokenizer",
    "split_sentences": "sentences",
}

__all__ = [
    "ByteBPE",
    "CharTokenizer",
    "Corpus",
    "LeftToRightBatches",
    "MaskedBatches",
    "Masker",
    "Masking",
    "PairBatches",
    "SpecialIds",
    "TokenBatches",
    "Tokenizer",
    "WordPiece",
    "WordTokenizer",
    "bits_per_byte",
    "built_in_corpora",
    "collate",
    "encode_batch",
    "encode_documents",
    "encode_pair",
    "encode_sentences",
    "encode_text",
    "fetch_corpus",
    "is_available",
    "load_corpus",
    "load_pretrained_tokenizer",
    "load_tokenizer",
    "split_sentences",
]


def __getattr__(name: str) -> Any:
    """Load a name's module when it is first asked for, so that `import minilm` stays quick."""
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
    globals()[name] = value
    return value
