"""One input of a model from one text or two: special tokens around them, cut to what fits, and rows of equal length.

BERT reads [CLS] a [SEP] b [SEP] (Devlin et al. 2019, section 3.1). A published tokenizer's file may say otherwise: a
`Layout` says which special tokens stand where, `Truncation` what goes where it is too long, `Padding` what fills a row.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, NamedTuple, Self, TypeVar

import numpy as np

from minilm.errors import ConfigError, DataError
from minilm.i18n import tr
from minilm.text.batches import Batch
from minilm.text.special import BERT_TOKENS, SpecialIds
from minilm.text.tokenizer import Tokenizer

STRATEGIES = ("longest_first", "only_first", "only_second")
SIDES = ("right", "left")

Part = tuple[str | tuple[int, ...], int]  # "a", "b" or ids of special tokens; the segment


# ------------------------------------------------------------------------------------------------------------ rules


@dataclass(frozen=True)
class Layout:
    """What an input of one text, and of two, is made of: parts in order, each with its segment."""

    single: tuple[Part, ...] = (("a", 0),)
    pair: tuple[Part, ...] = (("a", 0), ("b", 1))

    @classmethod
    def of_bert(cls, special: SpecialIds) -> Self:
        """[CLS] a [SEP] in segment 0, b [SEP] in segment 1."""
        single: tuple[Part, ...] = (((special.cls,), 0), ("a", 0), ((special.sep,), 0))
        return cls(single, (*single, ("b", 1), ((special.sep,), 1)))

    def parts(self, texts: int) -> tuple[Part, ...]:
        """The parts of an input of one text or of two."""
        return self.pair if texts == 2 else self.single

    def without_special_tokens(self) -> "Layout":
        """The same texts and segments, and nothing else."""
        single, pair = (tuple(p for p in parts if isinstance(p[0], str)) for parts in (self.single, self.pair))
        return Layout(single, pair)


@dataclass(frozen=True)
class Truncation:
    """At most `max_length` tokens, the special ones counted.

    strategy: "longest_first" takes tokens from the longer text until both are equally long, then from both (an odd
    token stays with the longer, or with b); "only_first" and "only_second" from that text alone. side: where a text
    loses tokens.
    """

    max_length: int
    strategy: str = "longest_first"
    side: str = "right"

    def __post_init__(self) -> None:
        _check_choice("strategy", self.strategy, STRATEGIES)
        _check_choice("side", self.side, SIDES)

    def kept(self, lengths: Sequence[int], special: int) -> list[int]:
        """How many tokens of each text stay beside so many special ones; DataError where the strategy cannot do it."""
        room, over = self.max_length - special, sum(lengths) + special - self.max_length
        if room < len(lengths):
            raise ConfigError(
                tr("max_length is {got}; it must be at least {least}: the special tokens, and one of each text",
                   got=self.max_length, least=special + len(lengths))
            )  # fmt: skip
        kept = list(lengths)
        if over <= 0:
            return kept
        if self.strategy == "longest_first":
            if len(kept) == 1:
                return [room]
            short, long = sorted((0, 1), key=lambda i: lengths[i])
            kept[short] = min(lengths[short], room // 2)
            kept[long] = room - kept[short]
            return kept
        which = STRATEGIES.index(self.strategy) - 1
        if which >= len(kept) or lengths[which] <= over:
            raise DataError(
                tr("truncation {strategy} cannot take {over} tokens from a text of {length}; choose longest_first, a "
                   "larger max_length, or shorter texts",
                   strategy=self.strategy, over=over, length=lengths[which] if which < len(kept) else 0)
            )  # fmt: skip
        kept[which] -= over
        return kept


@dataclass(frozen=True)
class Padding:
    """Rows are filled with token `id` of segment `segment` up to the longest, or to `length`, then to a multiple."""

    id: int
    segment: int = 0
    side: str = "right"
    length: int | None = None
    multiple_of: int | None = None

    def __post_init__(self) -> None:
        _check_choice("side", self.side, SIDES)


@dataclass(frozen=True)
class InputRules:
    """All that a published tokenizer says of a model's inputs; `roles`: {"bos": name of a special token, ...}."""

    layout: Layout = Layout()
    truncation: Truncation | None = None
    padding: Padding | None = None
    roles: Mapping[str, str] = field(default_factory=dict)

    def description(self) -> dict[str, Any]:
        """The fields, as JSON can hold them."""
        return asdict(self)

    @classmethod
    def from_description(cls, description: Mapping[str, Any]) -> Self:
        """The rules of a `description`."""
        single, pair = (
            tuple((part if isinstance(part, str) else tuple(part), segment) for part, segment in parts)
            for parts in (description["layout"]["single"], description["layout"]["pair"])
        )
        truncation, padding = description["truncation"], description["padding"]
        return cls(
            Layout(single, pair),
            None if truncation is None else Truncation(**truncation),
            None if padding is None else Padding(**padding),
            dict(description["roles"]),
        )


def _check_choice(name: str, got: str, known: Sequence[str]) -> None:
    if got not in known:
        raise ConfigError(
            tr("{name} is {got}; choose one of {known}", name=name, got=repr(got), known=", ".join(known))
        )


# ------------------------------------------------------------------------------------------------------- one input


class Encoding(NamedTuple):
    """[CLS] a [SEP], or [CLS] a [SEP] b [SEP]: ids, segments (1 from b on) and attention mask, each (T,); and how many
    tokens did not fit."""

    ids: np.ndarray
    segments: np.ndarray
    attention_mask: np.ndarray
    truncated: int


class LocatedEncoding(NamedTuple):
    """The same with `spans` (T, 2): the place in its text of what each token was made from, (0, 0) for special tokens;
    None where the tokenizer does not know it."""

    ids: np.ndarray
    segments: np.ndarray
    attention_mask: np.ndarray
    truncated: int
    spans: np.ndarray | None


E = TypeVar("E", Encoding, LocatedEncoding)


def laid_out(
    layout: Layout, texts: Sequence[np.ndarray], spans: Sequence[np.ndarray] | None = None, truncated: int = 0
) -> LocatedEncoding:
    """The input that the layout makes of the token ids of one text or two."""
    ids, segments, places = [np.empty(0, np.int64)], list[int](), [np.empty((0, 2), np.int64)]
    for part, segment in layout.parts(len(texts)):
        number = "ab".index(part) if isinstance(part, str) else None
        ids.append(np.array(part, np.int64) if number is None else texts[number])
        segments += [segment] * len(ids[-1])
        places.append(np.zeros((len(ids[-1]), 2), np.int64) if number is None or spans is None else spans[number])
    row = np.concatenate(ids).astype(np.int64), np.array(segments, np.int64), np.ones(len(segments), bool)
    return LocatedEncoding(*row, truncated, None if spans is None else np.concatenate(places))


def padded(encoding: E, padding: Padding, length: int) -> E:
    """The encoding filled up to `length`, the filling masked."""
    fill = length - len(encoding.ids)
    widths = (0, fill) if padding.side == "right" else (fill, 0)
    found = encoding._replace(
        ids=np.pad(encoding.ids, widths, constant_values=padding.id),
        segments=np.pad(encoding.segments, widths, constant_values=padding.segment),
        attention_mask=np.pad(encoding.attention_mask, widths),
    )
    if isinstance(found, LocatedEncoding) and found.spans is not None:
        return found._replace(spans=np.pad(found.spans, (widths, (0, 0))))
    return found


def encode_pair(
    tokenizer: Tokenizer | Mapping[str, int] | SpecialIds,
    a: Sequence[int] | np.ndarray,
    b: Sequence[int] | np.ndarray | None = None,
    max_length: int = 512,
    rng: np.random.Generator | None = None,
    pad: bool = False,
) -> Encoding:
    """One input of BERT from token ids; segment 0 holds [CLS] a [SEP], segment 1 holds b [SEP].

    tokenizer: or its special tokens. Where it is longer than max_length, tokens are taken from the longer text, one at
    a time: from its end, or with `rng` from its front or end at random, as in pretraining (section A.2).
    pad: fill up to max_length. Errors: DataError for an empty text, ConfigError for a max_length without room for a
    token of each.
    """
    special = SpecialIds.of(tokenizer)
    texts = [np.asarray(text, np.int64) for text in ((a,) if b is None else (a, b))]
    for name, text in zip("ab", texts, strict=False):
        if not text.size:
            raise DataError(tr("text {name} is empty: it has no tokens", name=name))
    room = max_length - 1 - len(texts)
    if room < len(texts):
        raise ConfigError(
            tr("max_length is {got}; it must be at least {least}: the special tokens, and one of each text",
               got=max_length, least=1 + 2 * len(texts))
        )  # fmt: skip
    kept = [min(len(texts[0]), room)] if b is None else kept_lengths(len(texts[0]), len(texts[1]), room)
    parts = []
    for text, n in zip(texts, map(int, kept), strict=True):
        front = 0 if rng is None else int(rng.binomial(len(text) - n, 0.5))
        parts.append(text[front : front + n])
    truncated = sum(map(len, texts)) - sum(map(len, parts))
    found = Encoding(*laid_out(Layout.of_bert(special), parts)[:3], truncated)
    return padded(found, Padding(special.pad), max_length) if pad else found


def kept_lengths(a: Any, b: Any, room: int) -> tuple[Any, Any]:
    """How much is left of texts of lengths a and b (numbers or arrays) when one token after another is taken from the
    longer, from b where they are equal, until both fit into `room`."""
    kept_a = np.where(a + b > room, np.minimum(a, np.maximum(room - b, (room + 1) // 2)), a)
    return kept_a, np.minimum(b, room - kept_a)


def collate(encodings: Sequence[Encoding], pad_id: int, length: int | None = None) -> Batch:
    """{"ids", "segments", "attention_mask"}, each (B, T), padded at the end to the longest one, or to `length`."""
    return stacked(encodings, Padding(pad_id, length=length))


def stacked(encodings: Sequence[E], padding: Padding) -> Batch:
    """{"ids", "segments", "attention_mask", each (B, T)}, padded as `padding` says; "spans" (B, T, 2) if known."""
    T = max([len(e.ids) for e in encodings] + ([padding.length] if padding.length else []))
    if padding.multiple_of:
        T = -(-T // padding.multiple_of) * padding.multiple_of
    rows = [padded(e, padding, T) for e in encodings]
    names = ["ids", "segments", "attention_mask"]
    if all(getattr(row, "spans", None) is not None for row in rows):
        names.append("spans")
    return {name: np.stack([getattr(row, name) for row in rows]) for name in names}


# ------------------------------------------------------------------------------------------------- texts to batches


def encode_text(
    tokenizer: Tokenizer,
    a: str,
    b: str | None = None,
    truncation: Truncation | int | None = None,
    special_tokens: bool = True,
    allowed_special: str | Collection[str] = (),
) -> LocatedEncoding:
    """One input of a text, or of two, with the special tokens that the tokenizer's layout puts around them.

    The layout is `tokenizer.inputs`' if a file gave one, else BERT's for a WordPiece, else nothing but the texts.
    truncation: what goes where it is too long; a number is a max_length; None is `tokenizer.inputs`', if any, else
    nothing goes. `truncated` counts what went. special_tokens=False: the texts alone. allowed_special: see `encode`;
    the default lets no text write special tokens, where Hugging Face's programs read all ("all").
    """
    rules = tokenizer.inputs or InputRules(_layout(tokenizer.special_tokens))
    layout = rules.layout if special_tokens else rules.layout.without_special_tokens()
    if isinstance(truncation, int):
        truncation = replace(rules.truncation or Truncation(truncation), max_length=truncation)
    truncation = truncation or rules.truncation
    found = [_encoded(tokenizer, text, allowed_special) for text in ((a,) if b is None else (a, b))]
    lengths = [len(ids) for ids, _ in found]
    special = sum(len(part) for part, _ in layout.parts(len(found)) if not isinstance(part, str))
    kept = lengths if truncation is None else truncation.kept(lengths, special)
    fronts = [n - k if truncation and truncation.side == "left" else 0 for n, k in zip(lengths, kept, strict=True)]
    cuts = [slice(front, front + k) for front, k in zip(fronts, kept, strict=True)]
    ids = [np.array(ids[cut], np.int64) for (ids, _), cut in zip(found, cuts, strict=True)]
    spans = [spans[cut] for (_, spans), cut in zip(found, cuts, strict=True) if spans is not None]
    return laid_out(layout, ids, spans or None, sum(lengths) - sum(kept))


def _encoded(tokenizer: Any, text: str, allowed_special: Any) -> tuple[list[int], np.ndarray | None]:
    """The ids of a text, and their spans (n, 2) if the tokenizer knows them."""
    if not hasattr(tokenizer, "encode_with_offsets"):
        return (tokenizer.encode(text, allowed_special) if tokenizer.special_tokens else tokenizer.encode(text)), None
    ids, spans = tokenizer.encode_with_offsets(text, allowed_special)
    return ids, np.array(spans, np.int64).reshape(-1, 2)


def _layout(special_tokens: Mapping[str, int]) -> Layout:
    """BERT's, if its special tokens are there."""
    return Layout.of_bert(SpecialIds.of(special_tokens)) if set(BERT_TOKENS) <= set(special_tokens) else Layout()


def padding_of(tokenizer: Tokenizer) -> Padding | None:
    """The padding of the tokenizer's file, else with its padding token; None if it has none."""
    rules = tokenizer.inputs or InputRules()
    name = rules.roles.get("pad", "[PAD]")
    plain = Padding(tokenizer.special_tokens[name]) if name in tokenizer.special_tokens else None
    return rules.padding or plain


def encode_batch(
    tokenizer: Tokenizer,
    texts: Sequence[str],
    pairs: Sequence[str] | None = None,
    truncation: Truncation | int | None = None,
    padding: Padding | None = None,
    special_tokens: bool = True,
    allowed_special: str | Collection[str] = (),
) -> Batch:
    """Texts, or pairs of texts, as rows, each as `encode_text` makes it.

    {"ids", "segments", "attention_mask", each (B, T), "truncated" (B,), and "spans" (B, T, 2) from a WordPiece}.

    padding: None is `tokenizer.inputs`', if any, else to the longest with its padding token. DataError where there is
    no such token and the rows are not equally long.
    """
    if isinstance(texts, str) or not texts:
        raise DataError(tr("texts must be a list of one text or more"))
    seconds = [None] * len(texts) if pairs is None else pairs
    if len(seconds) != len(texts):
        raise DataError(tr("there are {a} texts and {b} second texts; give one for each", a=len(texts), b=len(seconds)))
    rows = [
        encode_text(tokenizer, a, b, truncation, special_tokens, allowed_special)
        for a, b in zip(texts, seconds, strict=True)
    ]
    padding = padding or padding_of(tokenizer)
    if padding is None and len({len(row.ids) for row in rows}) > 1:
        raise DataError(tr("the texts are not equally long, and the tokenizer has no padding token; give a padding"))
    return {**stacked(rows, padding or Padding(0)), "truncated": np.array([row.truncated for row in rows])}
