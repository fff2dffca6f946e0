"""Sentences as vectors that lie close together where they mean alike: a BERT's last hidden states, averaged.

    e = Σ_t m_t h_t / Σ_t m_t,   then e / ‖e‖        m_t: 1 where a token is real, [CLS] and [SEP] too

The cosine of two sentences is then the product of their vectors. A BERT gives such vectors only when it was trained
to, on pairs that belong together. Source: Reimers and Gurevych 2019, section 3.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from minilm.autograd import no_grad, value
from minilm.backend import asarray, to_numpy, xp
from minilm.errors import CheckpointError, ConfigError, DataError
from minilm.i18n import ntr, tr
from minilm.models.bert import Bert
from minilm.text.special import SpecialIds
from minilm.text.tokenizer import Tokenizer, read_json
from minilm.text.wordpiece import WordPiece

TINY = 1e-12  # ‖e‖ is not taken for smaller


class Encoder(NamedTuple):
    """A BERT that was trained to embed, its tokenizer, and how many tokens it is meant to read."""

    model: Bert
    tokenizer: WordPiece
    longest: int


@no_grad()
def embed(
    model: Bert,
    tokenizer: Tokenizer,
    texts: Sequence[str],
    batch: int = 32,
    longest: int | None = None,
    on_notice: Callable[[str], None] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> np.ndarray:
    """The vectors of texts, of length 1: float32 (N, D).

    batch: how many are read at once. longest: of a text, [CLS] and [SEP] included, only so many tokens are read, all
    that the model can if None; on_notice is called with a sentence about texts that are cut. progress(done, N).
    Errors: DataError for one text instead of a list, ConfigError for a batch or a length that cannot be.
    """
    if isinstance(texts, str):
        raise DataError(tr("texts is one text: give a list of them"))
    limit = min(model.config.context, longest or model.config.context)
    for name, got, least in (("batch", batch, 1), ("longest", limit, 3)):
        if got < least:
            raise ConfigError(tr("{name} is {got}; it must be at least {least}", name=name, got=got, least=least))
    special = SpecialIds.of(tokenizer)
    rows, cut = [], 0
    for text in texts:
        ids = tokenizer.encode(text)
        cut += len(ids) > limit - 2
        rows.append([special.cls, *ids[: limit - 2], special.sep])
    if cut and on_notice is not None:
        on_notice(
            ntr("{n} text is longer than the {limit} tokens that are read: its end was cut off",
                "{n} texts are longer than the {limit} tokens that are read: their ends were cut off", cut, limit=limit)
        )  # fmt: skip
    vectors = np.empty((len(rows), model.config.width), np.float32)
    order = sorted(range(len(rows)), key=lambda i: -len(rows[i]))  # texts of one length together need little padding
    with model.evaluating():
        for start in range(0, len(order), batch):
            chosen = order[start : start + batch]
            vectors[chosen] = to_numpy(_vectors(model, *_padded([rows[i] for i in chosen], special.pad)))
            if progress is not None:
                progress(start + len(chosen), len(order))
    return vectors


def _padded(rows: list[list[int]], pad: int) -> tuple[np.ndarray, np.ndarray]:
    """The ids of B texts side by side, and where they are real: both (B, T)."""
    lengths = np.array([len(row) for row in rows])
    real = np.arange(lengths.max()) < lengths[:, None]  # (B, T)
    ids = np.full(real.shape, pad)
    ids[real] = np.concatenate(rows)
    return ids, real


def _vectors(model: Bert, ids: np.ndarray, real: np.ndarray) -> Any:
    """Of B texts: (B, D)."""
    hidden = value(model.transform(model.embed(ids), real))  # (B, T, D)
    weights = asarray(real / real.sum(1, keepdims=True), hidden.dtype)  # (B, T), of a mean
    mean = xp.matmul(weights[:, None], hidden)[:, 0]  # (B, D)
    return mean / xp.maximum(xp.sqrt((mean * mean).sum(-1, keepdims=True)), TINY)


class Hit(NamedTuple):
    """A text that was found: its number, and the cosine of its vector with the query's."""

    number: int
    score: float


def nearest(vectors: np.ndarray, query: np.ndarray, k: int) -> list[Hit]:
    """The k texts, of vectors (N, D), whose cosine with the query (D,) is largest, the best first; all of length 1."""
    scores = vectors @ query  # (N,)
    return [Hit(int(i), float(scores[i])) for i in np.argsort(-scores, kind="stable")[:k]]


# ---------------------------------------------------------------------------------------------------------- loading


def load_encoder(folder: str | Path) -> Encoder:
    """The encoder of a folder that sentence-transformers wrote: a BERT, the mean over its tokens, then length 1.

    Errors: CheckpointError for a folder that is none or lacks files, ConfigError where it does something else.
    """
    folder = Path(folder)
    for name in ("modules.json", "1_Pooling/config.json", "sentence_bert_config.json", "vocab.txt"):
        if not (folder / name).is_file():
            raise CheckpointError(
                tr("{folder} has no {name}: give a folder that sentence-transformers wrote, of a BERT", folder=folder,
                   name=name)
            )  # fmt: skip
    steps = [str(step["type"]).rpartition(".")[2] for step in read_json(folder / "modules.json")]
    pooling = read_json(folder / "1_Pooling" / "config.json")
    modes = [name for name, on in pooling.items() if name.startswith("pooling_mode_") and on]
    if steps != ["Transformer", "Pooling", "Normalize"] or modes != ["pooling_mode_mean_tokens"]:
        raise ConfigError(
            tr("{folder} makes its vectors by {steps} ({modes}); minilm takes the mean of all tokens and normalizes it",
               folder=folder, steps=", ".join(steps), modes=", ".join(modes))
        )  # fmt: skip
    longest = read_json(folder / "sentence_bert_config.json").get("max_seq_length")
    model, tokenizer = Bert.from_pretrained(folder), load_wordpiece(folder)
    if tokenizer.vocab_size != model.config.vocab_size:
        raise CheckpointError(
            tr("{folder}: its vocabulary has {got} tokens, its model {wanted}", folder=folder,
               got=tokenizer.vocab_size, wanted=model.config.vocab_size)
        )  # fmt: skip
    return Encoder(model, tokenizer, longest or model.config.context)


def load_wordpiece(folder: Path) -> WordPiece:
    """The tokenizer of vocab.txt, cased or not as tokenizer_config.json says (uncased if there is none)."""
    settings = read_json(folder / "tokenizer_config.json") if (folder / "tokenizer_config.json").is_file() else {}
    lower = settings.get("do_lower_case", True)
    return WordPiece.from_vocab(folder / "vocab.txt", lower, settings.get("strip_accents"))
