"""Byte-level byte-pair encoding, GPT-2's tokenizer: any text is bytes, and frequent neighbours become one token.

Sennrich, Haddow and Birch 2016 (merges), section 2.2 of Radford et al. 2019 (bytes, and the pieces whose borders no
merge crosses: splitting.py). How merges are learned is in bpe_training.py.
"""

import heapq
import json
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar, Self

from minilm.errors import DataError
from minilm.i18n import tr
from minilm.resources import read_text, write_atomically
from minilm.text.added import AddedToken, Finder, merged
from minilm.text.bpe_training import Pair, Progress, count_pieces, learn_merges
from minilm.text.inputs import InputRules
from minilm.text.normalization import Normalization
from minilm.text.splitting import Splitting
from minilm.text.tokenizer import Tokenizer, check_encodable, read_json

CACHED_PIECES = 2**18
GPT2_OPTIONS: dict[str, Any] = {
    "splitting": Splitting.of("gpt2").description(),
    "added": [],
    "normalization": [],
    "whole_pieces": False,
    "unknown": None,
    "inputs": None,
}


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


class ByteBPE(Tokenizer):
    """Tokens are byte strings: the 256 bytes and one more for every merge, in the order in which they were learned.

    A vocabulary made elsewhere may have its ids in another order, and may lack bytes that no text of its training had
    (SmolLM2's lacks 21, e.g. 0x04 and 0xFF): such a byte is left out of what `encode` gives, or becomes `unknown`.
    """

    name: ClassVar[str] = "byte_bpe"

    def __init__(
        self,
        tokens: Sequence[bytes | None],
        merges: Sequence[Pair],
        special_tokens: dict[str, int],
        splitting: str | Splitting = "gpt2",
        *,
        added: Sequence[AddedToken] = (),
        normalization: Sequence[str] = (),
        whole_pieces: bool = False,
        unknown: int | None = None,
        inputs: InputRules | None = None,
    ):
        """`tokens`: the bytes of each id (None for an added token); `merges`: pairs of ids, the earliest first.

        splitting: where no merge goes (splitting.py), by name ("gpt2", "smollm", "llama3") or as an object. added:
        tokens that are more than special (added.py). normalization: names of what is done to a text first
        (normalization.py). whole_pieces: a piece that is a token is that token, whatever the merges would make of it.
        unknown: the id of a byte that the vocabulary lacks. inputs: how a model's inputs are made (inputs.py).
        """
        self.added = merged(special_tokens, added)
        self._special = {token.text: token.id for token in self.added if token.special}
        self._merges = list(merges)
        names = {token.id: token.text.encode("utf-8") for token in self.added}
        self._added_ids = frozenset(names)
        self._bytes = [names.get(i, b"") if token is None else token for i, token in enumerate(tokens)]
        self._ids = {token: i for i, token in enumerate(tokens) if token is not None}
        _check_vocabulary(tokens, self._ids, self.added, unknown)
        self.splitting, self.normalization = Splitting.of(splitting), Normalization(normalization)
        self.whole_pieces, self.unknown, self.inputs = whole_pieces, unknown, inputs
        self._byte_ids = [self._ids.get(bytes([byte]), unknown) for byte in range(256)]
        self._ranks = _ranks(self._bytes, self._merges, self._ids)
        self._finder = Finder(self.added, self.normalization)
        self._pieces: dict[str, tuple[int, ...]] = {}

    @classmethod
    def train(
        cls,
        documents: str | Iterable[str],
        vocab_size: int,
        special_tokens: Sequence[str] = (),
        progress: Progress | None = None,
        splitting: str | Splitting = "gpt2",
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
        splitting = Splitting.of(splitting)
        counts = count_pieces([documents] if isinstance(documents, str) else documents, splitting)
        tokens, merges = learn_merges(counts, wanted, progress)
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
        return cls([*tokens, *[None] * len(special)], merges, special, splitting)

    @classmethod
    def from_vocabulary(
        cls,
        tokens: Sequence[str],
        merges: Sequence[str | Sequence[str]],
        special_tokens: dict[str, int],
        splitting: str | Splitting = "gpt2",
        **options: Any,
    ) -> Self:
        """A vocabulary written in byte symbols, as GGUF files and `tokenizer.json` hold it: "Ġthe" is b" the".

        tokens: of every id in order, special tokens by their names. merges: "Ġ the" or ("Ġ", "the"), the earliest
        first. options: see __init__. DataError for what does not fit together.
        """
        added = {*special_tokens.values(), *(token.id for token in options.get("added", ()))}
        numbers = {symbols: i for i, symbols in enumerate(tokens) if i not in added}
        spelled = [None if i in added else _spelled(symbols) for i, symbols in enumerate(tokens)]
        pairs: dict[Pair, None] = {}
        for rank, merge in enumerate(merges):
            parts = merge.split(" ") if isinstance(merge, str) else [*merge]
            if len(parts) != 2 or not all(part in numbers for part in (*parts, "".join(parts))):
                raise DataError(
                    tr("merge {rank}, {merge}, must be two tokens of the vocabulary that make a third; the merges "
                       "belong to another vocabulary", rank=rank, merge=repr(merge))
                )  # fmt: skip
            pair = numbers[parts[0]], numbers[parts[1]]
            if pair in pairs:
                raise DataError(tr("merge {rank}, {merge}, stands there twice", rank=rank, merge=repr(merge)))
            pairs[pair] = None
        return cls(spelled, [*pairs], special_tokens, splitting, **options)

    @classmethod
    def from_files(
        cls, vocab: str | Path, merges: str | Path, splitting: str | Splitting = "gpt2", **options: Any
    ) -> Self:
        """Read GPT-2's two files: vocab.json {symbols: id} and merges.txt (a pair of symbols a line, after a version).

        Entries of vocab.json that are neither a byte nor the result of a merge are special tokens. options: see
        __init__. DataError names the file, and the line, that does not fit.
        """
        ids = read_json(vocab)
        if not isinstance(ids, dict) or not all(type(i) is int for i in ids.values()):
            raise DataError(tr("{path} must map each token to its id, {{token: id}}", path=vocab))
        if sorted(ids.values()) != list(range(len(ids))):
            raise DataError(tr("the ids of {path} must be 0 … {last}, each once", path=vocab, last=len(ids) - 1))
        byte_of = _byte_of()
        if missing := next((symbol for symbol in byte_of if symbol not in ids), None):
            raise DataError(
                tr("{path} lacks the byte {symbol}; it is no byte-level vocabulary", path=vocab, symbol=missing)
            )
        pairs, known = _read_merges(merges, ids, set(byte_of), vocab)
        special = {symbols: i for symbols, i in ids.items() if symbols not in known}
        tokens: list[bytes | None] = [None] * len(ids)
        for symbols in known:
            tokens[ids[symbols]] = bytes(byte_of[symbol] for symbol in symbols)
        return cls(tokens, pairs, special, splitting, **options)

    def save_files(self, folder: str | Path) -> None:
        """Write vocab.json and merges.txt into `folder`, in GPT-2's layout; `from_files` reads them back."""
        vocab = {self._symbols(i): i for i in range(self.vocab_size)}
        lines = ["#version: 0.2", *(f"{self._symbols(left)} {self._symbols(right)}" for left, right in self._merges)]
        write_atomically(Path(folder) / "vocab.json", json.dumps(vocab))
        write_atomically(Path(folder) / "merges.txt", "\n".join(lines) + "\n")

    def _symbols(self, id: int) -> str:
        token = self._bytes[id]
        if id in self._added_ids:
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

    @property
    def missing_bytes(self) -> bytes:
        """The bytes that no token stands for; none where the vocabulary was learned here."""
        return bytes(byte for byte in range(256) if bytes([byte]) not in self._ids)

    def encode(
        self,
        text: str,
        allowed_special: str | Collection[str] = (),
        disallowed_special: str | Collection[str] = (),
    ) -> list[int]:
        """The ids of `text`: each piece of the splitting as bytes, its neighbours merged by lowest rank first.

        A special token written in `text` is plain text unless it is in `allowed_special` (a set of names, or "all");
        one in `disallowed_special` (and not allowed) is a DataError, for texts of strangers. DataError too for a lone
        surrogate, which no UTF-8 can hold.
        """
        check_encodable(text)
        allowed = self.allowed(allowed_special)
        self.check_disallowed(text, disallowed_special, allowed)
        ids: list[int] = []
        for added, start, end in self._finder.find(text, allowed):
            ids += self._encode_normalized(text[start:end], allowed) if added is None else [added]
        return ids

    def _encode_normalized(self, text: str, allowed: set[str]) -> list[int]:
        text = self.normalization(text)
        if not self._finder.normalizes:
            return self._encode_plain(text)
        ids: list[int] = []
        for added, start, end in self._finder.find(text, allowed, normalized=True):
            ids += self._encode_plain(text[start:end]) if added is None else [added]
        return ids

    def _encode_plain(self, text: str) -> list[int]:
        ids: list[int] = []
        pieces = self._pieces
        for piece in self.splitting.pieces(text):
            found = pieces.get(piece)
            if found is None:
                found = tuple(self._encode_piece(piece.encode("utf-8")))
                if len(pieces) < CACHED_PIECES:
                    pieces[piece] = found
            ids += found
        return ids

    def _encode_piece(self, piece: bytes) -> list[int]:
        if self.whole_pieces and piece in self._ids:
            return [self._ids[piece]]
        ids = [self._byte_ids[byte] for byte in piece]
        return self._merge([id for id in ids if id is not None])

    def _merge(self, ids: list[int]) -> list[int]:
        """Merge the neighbours of lowest rank, the leftmost first, until none is left: O(n log n) by a heap."""
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

    def decode(self, ids: Iterable[int], skip_special: bool = False) -> str:
        """The text of `ids`; bytes that are no UTF-8 (a character cut in two) read U+FFFD.

        Special tokens read as they are named, or with skip_special are left out.
        """
        tokens, skipped = self._bytes, set(self._special.values()) if skip_special else ()
        return b"".join([tokens[i] for i in self.checked(ids) if i not in skipped]).decode("utf-8", errors="replace")

    def description(self) -> dict[str, Any]:
        """{"tokens": one string of byte symbols per id, "merges": pairs of ids, "special_tokens": {name: id}}.

        What differs from GPT-2's way stands beside, by the names of __init__.
        """
        found = {
            "splitting": self.splitting.description(),
            "added": [token.description() for token in self.added if not token.is_plain],
            "normalization": list(self.normalization.names),
            "whole_pieces": self.whole_pieces,
            "unknown": self.unknown,
            "inputs": self.inputs and self.inputs.description(),
        }
        return {
            "tokens": [self._symbols(i) for i in range(self.vocab_size)],
            "merges": [list(pair) for pair in self._merges],
            "special_tokens": self._special,
            **{name: value for name, value in found.items() if value != GPT2_OPTIONS[name]},
        }

    @classmethod
    def from_description(cls, description: dict[str, Any]) -> Self:
        """The tokenizer of a `description`."""
        options = {name: description.get(name, usual) for name, usual in GPT2_OPTIONS.items()}
        options["added"] = [AddedToken(**token) for token in options["added"]]
        options["inputs"] = options["inputs"] and InputRules.from_description(options["inputs"])
        special = dict(description["special_tokens"])
        ids = {*special.values(), *(token.id for token in options["added"])}
        tokens = [None if i in ids else _spelled(symbols) for i, symbols in enumerate(description["tokens"])]
        return cls(tokens, [(left, right) for left, right in description["merges"]], special, **options)


@cache
def _byte_of() -> dict[str, int]:
    return {symbol: byte for byte, symbol in enumerate(byte_symbols())}


def _spelled(symbols: str) -> bytes:
    """The bytes that a token's symbols stand for."""
    try:
        return bytes(map(_byte_of().__getitem__, symbols))
    except KeyError as error:
        raise DataError(
            tr("the token {token} has {symbol}, which stands for no byte; it is no byte-level vocabulary",
               token=repr(symbols), symbol=error)
        ) from None  # fmt: skip


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
    """{pair of ids: (rank, id of the merged token)}; halves and merged token are all in the vocabulary."""
    ranks: dict[Pair, tuple[int, int]] = {}
    known = set(ids.values())
    for rank, (left, right) in enumerate(merges):
        if left not in known or right not in known or tokens[left] + tokens[right] not in ids:
            raise DataError(tr("merge {rank} joins or makes tokens that the vocabulary lacks", rank=rank))
        ranks.setdefault((left, right), (rank, ids[tokens[left] + tokens[right]]))
    return ranks


def _check_vocabulary(
    tokens: Sequence[bytes | None], ids: dict[bytes, int], added: Sequence[AddedToken], unknown: int | None
) -> None:
    symbols = byte_symbols()
    names = {"".join(symbols[byte] for byte in token) for token in ids}
    for token in added:
        if not token.text or token.text in names or len(added) != len({token.id for token in added}):
            raise DataError(
                tr("special token {name} is empty or already in the vocabulary; rename it", name=repr(token.text))
            )
    if len(ids) + len(added) != len(tokens) or any(tokens[token.id] is not None for token in added):
        raise DataError(tr("two tokens of the vocabulary have the same bytes, or an id has none"))
    if unknown is not None and unknown not in range(len(tokens)):
        raise DataError(tr("unknown is {got}, which is no id of the vocabulary", got=unknown))
