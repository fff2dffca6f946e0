"""Byte-level byte-pair encoding, GPT-2's tokenizer: any text is bytes, and frequent neighbours become one token.

Sennrich, Haddow and Birch 2016 (merges), section 2.2 of Radford et al. 2019 (bytes, and the pattern that keeps a merge
from crossing the border between a word and what stands beside it).
"""

import heapq
import json
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar, Self

import regex

from minilm.errors import DataError
from minilm.i18n import tr
from minilm.resources import write_atomically
from minilm.text.tokenizer import Tokenizer, check_encodable, read_json, read_text

# English clitics | letters | digits | other signs, each with the one space before it | spaces but the last | spaces.
PATTERN = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
CACHED_PIECES = 2**18

Pair = tuple[int, int]
Progress = Callable[[int, int], None]


@cache
def byte_symbols() -> tuple[str, ...]:
    """The printable character that stands for each byte in GPT-2's files.

    A byte whose Latin-1 character prints and is no space stands for itself; the other 68 are, in order, U+0100 + n.
    """
    plain = {*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)}
    symbols, others = [], 0
    for byte in range(256):
        symbols.append(chr(byte if byte in plain else 256 + others))
        others += byte not in plain
    return tuple(symbols)


@cache
def _splitter() -> Any:
    return regex.compile(PATTERN)


def split(text: str) -> list[str]:
    """The pieces of `text` that GPT-2's pattern cuts; they join to `text` again, and no merge crosses their borders."""
    return _splitter().findall(text)


class ByteBPE(Tokenizer):
    """Tokens are byte strings: the 256 bytes and one more for every merge, in the order in which they were learned."""

    name: ClassVar[str] = "byte_bpe"

    def __init__(self, tokens: Sequence[bytes | None], merges: Sequence[Pair], special_tokens: dict[str, int]):
        """`tokens`: the bytes of each id (None for a special token); `merges`: pairs of ids, the earliest first."""
        self._special = dict(special_tokens)
        self._merges = list(merges)
        names = {id: text.encode("utf-8") for text, id in self._special.items()}
        self._bytes = [names.get(i, b"") if token is None else token for i, token in enumerate(tokens)]
        self._ids = {token: i for i, token in enumerate(tokens) if token is not None}
        _check_vocabulary(tokens, self._ids, self._special)
        self._byte_ids = [self._ids[bytes([byte])] for byte in range(256)]
        self._ranks = _ranks(self._bytes, self._merges, self._ids)
        self._pieces: dict[str, tuple[int, ...]] = {}

    @classmethod
    def train(
        cls,
        documents: str | Iterable[str],
        vocab_size: int,
        special_tokens: Sequence[str] = (),
        progress: Progress | None = None,
    ) -> Self:
        """Learn vocab_size − 256 − len(special_tokens) merges: each joins the most frequent pair of neighbours.

        Of equally frequent pairs the one with the smallest (left id, right id) is taken, so that one text gives one
        vocabulary. Ids: the bytes 0 … 255, the merges in order, the special tokens. Each document is cut into pieces
        by itself, and special tokens in it are plain text. `progress(done, wanted)` is called after each merge.
        DataError when no pair occurs twice any more (the text is too small for so many tokens).
        """
        if repeated := next((text for text, n in Counter(special_tokens).items() if n > 1), None):
            raise DataError(tr("special token {name} is given twice; name each once", name=repr(repeated)))
        wanted = vocab_size - 256 - len(special_tokens)
        if wanted < 0:
            raise DataError(
                tr(
                    "vocab_size {size} is too small: 256 bytes and {special} special tokens come before any merge",
                    size=vocab_size,
                    special=len(special_tokens),
                )
            )
        counts = _count_pieces([documents] if isinstance(documents, str) else documents)
        tokens, merges = _learn_merges(counts, wanted, progress)
        if len(tokens) < 256 + wanted:
            raise DataError(
                tr(
                    "vocab_size {size} is too large for this text: after {most} tokens no pair occurs twice; "
                    "ask for at most {most} or give more text",
                    size=vocab_size,
                    most=len(tokens) + len(special_tokens),
                )
            )
        special = {text: len(tokens) + i for i, text in enumerate(special_tokens)}
        return cls([*tokens, *[None] * len(special)], merges, special)

    @classmethod
    def from_files(cls, vocab: str | Path, merges: str | Path) -> Self:
        """Read GPT-2's two files: vocab.json {symbols: id} and merges.txt (a pair of symbols a line, after a version).

        Entries of vocab.json that are neither a byte nor the result of a merge are special tokens. DataError names
        the file, and the line, that does not fit.
        """
        ids = read_json(vocab)
        if not isinstance(ids, dict) or not all(type(i) is int for i in ids.values()):
            raise DataError(tr("{path} must map each token to its id, {{token: id}}", path=vocab))
        if sorted(ids.values()) != list(range(len(ids))):
            raise DataError(tr("the ids of {path} must be 0 … {last}, each once", path=vocab, last=len(ids) - 1))
        byte_of = {symbol: byte for byte, symbol in enumerate(byte_symbols())}
        if missing := next((symbol for symbol in byte_of if symbol not in ids), None):
            raise DataError(
                tr("{path} lacks the byte {symbol}; it is no byte-level vocabulary", path=vocab, symbol=missing)
            )
        pairs, known = _read_merges(merges, ids, set(byte_of), vocab)
        special = {symbols: i for symbols, i in ids.items() if symbols not in known}
        tokens: list[bytes | None] = [None] * len(ids)
        for symbols in known:
            tokens[ids[symbols]] = bytes(byte_of[symbol] for symbol in symbols)
        return cls(tokens, pairs, special)

    def save_files(self, folder: str | Path) -> None:
        """Write vocab.json and merges.txt into `folder`, in GPT-2's layout; `from_files` reads them back."""
        vocab = {self._symbols(i): i for i in range(self.vocab_size)}
        lines = ["#version: 0.2", *(f"{self._symbols(left)} {self._symbols(right)}" for left, right in self._merges)]
        write_atomically(Path(folder) / "vocab.json", json.dumps(vocab))
        write_atomically(Path(folder) / "merges.txt", "\n".join(lines) + "\n")

    def _symbols(self, id: int) -> str:
        token = self._bytes[id]
        if id in self._special.values():
            return token.decode("utf-8")
        return "".join(byte_symbols()[byte] for byte in token)

    @property
    def vocab_size(self) -> int:
        """V = 256 + merges + special tokens."""
        return len(self._bytes)

    @property
    def special_tokens(self) -> dict[str, int]:
        """The special tokens and their ids, e.g. {"<|endoftext|>": 50256}."""
        return dict(self._special)

    def token_bytes(self, id: int) -> bytes:
        """The bytes that token `id` stands for (a special token's name in UTF-8)."""
        return self._bytes[self.checked([id])[0]]

    def encode(self, text: str, allowed_special: str | Collection[str] = ()) -> list[int]:
        """The ids of `text`: each piece of GPT-2's pattern as bytes, its neighbours merged by lowest rank first.

        A special token written in `text` is plain text unless it is in `allowed_special` (a set of names, or "all").
        DataError for a lone surrogate, which no UTF-8 can hold.
        """
        check_encodable(text)
        allowed = self.allowed(allowed_special)
        if not allowed:
            return self._encode_plain(text)
        longest_first = sorted(allowed, key=len, reverse=True)
        parts = regex.split("(" + "|".join(map(regex.escape, longest_first)) + ")", text)
        ids = self._encode_plain(parts[0])
        for special, plain in zip(parts[1::2], parts[2::2], strict=True):
            ids.append(self._special[special])
            ids += self._encode_plain(plain)
        return ids

    def _encode_plain(self, text: str) -> list[int]:
        ids: list[int] = []
        pieces = self._pieces
        for piece in split(text):
            found = pieces.get(piece)
            if found is None:
                found = tuple(self._merge(piece.encode("utf-8")))
                if len(pieces) < CACHED_PIECES:
                    pieces[piece] = found
            ids += found
        return ids

    def _merge(self, piece: bytes) -> list[int]:
        """Merge the neighbours of lowest rank, the leftmost first, until none is left: O(n log n) by a heap."""
        ids = [self._byte_ids[byte] for byte in piece]
        after = list(range(1, len(ids) + 1))
        before = list(range(-1, len(ids) - 1))
        ranks, end = self._ranks, len(ids)
        heap = [(ranks[pair][0], i, pair) for i, pair in enumerate(pairwise(ids)) if pair in ranks]
        heapq.heapify(heap)
        while heap:
            _, left, pair = heapq.heappop(heap)
            right = after[left]
            if right == end or (ids[left], ids[right]) != pair:
                continue
            ids[left], ids[right] = ranks[pair][1], -1
            after[left] = after[right]
            if after[left] < end:
                before[after[left]] = left
            for i, j in ((before[left], left), (left, after[left])):
                if i >= 0 and j < end and (ids[i], ids[j]) in ranks:
                    heapq.heappush(heap, (ranks[ids[i], ids[j]][0], i, (ids[i], ids[j])))
        return [id for id in ids if id >= 0]

    def decode(self, ids: Iterable[int]) -> str:
        """The text of `ids`; bytes that are no UTF-8 (a character cut in two) read U+FFFD, special tokens as named."""
        tokens = self._bytes
        return b"".join([tokens[i] for i in self.checked(ids)]).decode("utf-8", errors="replace")

    def description(self) -> dict[str, Any]:
        """{"tokens": one string of byte symbols per id, "merges": pairs of ids, "special_tokens": {name: id}}."""
        tokens = [self._symbols(i) for i in range(self.vocab_size)]
        return {"tokens": tokens, "merges": [list(pair) for pair in self._merges], "special_tokens": self._special}

    @classmethod
    def from_description(cls, description: dict[str, Any]) -> Self:
        """The tokenizer of a `description`."""
        byte_of = {symbol: byte for byte, symbol in enumerate(byte_symbols())}
        special = dict(description["special_tokens"])
        ids = set(special.values())
        tokens = [
            None if i in ids else bytes(byte_of[symbol] for symbol in symbols)
            for i, symbols in enumerate(description["tokens"])
        ]
        return cls(tokens, [(left, right) for left, right in description["merges"]], special)


def _count_pieces(documents: Iterable[str]) -> Counter[bytes]:
    counts: Counter[bytes] = Counter()
    for document in documents:
        check_encodable(document)
        for piece, count in Counter(split(document)).items():
            counts[piece.encode("utf-8")] += count
    return counts


def _learn_merges(counts: Counter[bytes], wanted: int, progress: Progress | None) -> tuple[list[bytes], list[Pair]]:
    """Merge the most frequent pair `wanted` times; only the pieces that hold it, and its neighbours' counts, change."""
    tokens = [bytes([byte]) for byte in range(256)]
    ids = {token: i for i, token in enumerate(tokens)}
    merges: list[Pair] = []
    pieces = [list(piece) for piece in counts]
    weights = list(counts.values())
    pair_counts: Counter[Pair] = Counter()
    holders: defaultdict[Pair, set[int]] = defaultdict(set)
    for number, piece in enumerate(pieces):
        for pair in pairwise(piece):
            pair_counts[pair] += weights[number]
            holders[pair].add(number)
    heap = [(-count, pair) for pair, count in pair_counts.items()]
    heapq.heapify(heap)
    while heap and len(tokens) < 256 + wanted:
        count, pair = heapq.heappop(heap)
        if -count != pair_counts[pair]:  # an old count; the pair's present one stands elsewhere in the heap
            continue
        if -count < 2:
            break
        joined = tokens[pair[0]] + tokens[pair[1]]
        new = ids.setdefault(joined, len(tokens))
        if new == len(tokens):
            tokens.append(joined)
        merges.append(pair)
        changed, _ = merge_everywhere(pair, new, pieces, weights, pair_counts, holders)
        for pair in changed:
            if pair_counts[pair] > 0:
                heapq.heappush(heap, (-pair_counts[pair], pair))
        if progress is not None:
            progress(len(tokens) - 256, wanted)
    return tokens, merges


def merge_everywhere(
    pair: Pair,
    new: int,
    pieces: list[list[int]],
    weights: list[int],
    pair_counts: Counter[Pair],
    holders: defaultdict[Pair, set[int]],
) -> tuple[set[Pair], int]:
    """Replace `pair` by `new` in all pieces that hold it; the pairs whose counts changed, and how often it stood."""
    changed: set[Pair] = set()
    joined = 0
    for number in holders.pop(pair):
        old, weight = pieces[number], weights[number]
        merged = _replace(old, pair, new)
        if len(merged) == len(old):
            continue
        joined += weight * (len(old) - len(merged))
        for gone in pairwise(old):
            pair_counts[gone] -= weight
            changed.add(gone)
        for come in pairwise(merged):
            pair_counts[come] += weight
            holders[come].add(number)
            changed.add(come)
        pieces[number] = merged
    pair_counts.pop(pair, None)
    changed.discard(pair)
    return changed, joined


def _replace(ids: list[int], pair: Pair, new: int) -> list[int]:
    """`ids` with each `pair`, from left to right, replaced by `new`."""
    result: list[int] = []
    i, last = 0, len(ids) - 1
    while i <= last:
        if i < last and ids[i] == pair[0] and ids[i + 1] == pair[1]:
            result.append(new)
            i += 2
        else:
            result.append(ids[i])
            i += 1
    return result


def _read_merges(
    path: str | Path, ids: dict[str, int], known: set[str], vocab: str | Path
) -> tuple[list[Pair], set[str]]:
    """The pairs of a merges.txt as ids, and all symbols that `known` ones and merges make."""
    pairs: list[Pair] = []
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        if not line or (number == 1 and line.startswith("#version")):
            continue
        parts = line.split(" ")
        if len(parts) != 2 or not all(parts):
            raise DataError(tr("line {n} of {path} must be two tokens with a space between", n=number, path=path))
        if unknown := next((part for part in parts if part not in known), None):
            raise DataError(
                tr("line {n} of {path} merges {token}, which no earlier line makes", n=number, path=path, token=unknown)
            )
        left, right = parts
        if left + right not in ids:
            raise DataError(
                tr("line {n} of {path} makes {token}, which {vocab} lacks; the two files do not belong together",
                   n=number, path=path, token=left + right, vocab=vocab)
            )  # fmt: skip
        pairs.append((ids[left], ids[right]))
        known.add(left + right)
    return pairs, known


def _ranks(tokens: Sequence[bytes], merges: Sequence[Pair], ids: dict[bytes, int]) -> dict[Pair, tuple[int, int]]:
    """{pair of ids: (rank, id of the merged token)}; the halves of a merge are bytes or made by earlier merges."""
    ranks: dict[Pair, tuple[int, int]] = {}
    known = {ids[bytes([byte])] for byte in range(256)}
    for rank, (left, right) in enumerate(merges):
        if left not in known or right not in known or tokens[left] + tokens[right] not in ids:
            raise DataError(tr("merge {rank} joins or makes tokens that the vocabulary lacks", rank=rank))
        merged = ids[tokens[left] + tokens[right]]
        ranks.setdefault((left, right), (rank, merged))
        known.add(merged)
    return ranks


def _check_vocabulary(tokens: Sequence[bytes | None], ids: dict[bytes, int], special: dict[str, int]) -> None:
    symbols = byte_symbols()
    names = {"".join(symbols[byte] for byte in token) for token in ids}
    for text in special:
        if not text or text in names or len(special) != len(set(special.values())):
            raise DataError(
                tr("special token {name} is empty or already in the vocabulary; rename it", name=repr(text))
            )
    if len(ids) + len(special) != len(tokens):
        raise DataError(tr("two tokens of the vocabulary have the same bytes, or an id has none"))
    if any(bytes([byte]) not in ids for byte in range(256)):
        raise DataError(tr("a byte-level vocabulary must have all 256 bytes"))
