"""WordPiece, BERT's tokenizer: words are cut into the longest pieces that the vocabulary has, from left to right.

Schuster and Nakajima 2012 (the vocabulary), Wu et al. 2016 (its use for translation), Devlin et al. 2019 (BERT): a
piece that goes on a word is written with "##" before it, "unaffable" = "una ##ffa ##ble". A ByteBPE applies merges in
the order in which they were learned; here the order is forgotten, and only the vocabulary counts.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar, Self

from minilm.errors import ConfigError, DataError
from minilm.i18n import tr
from minilm.resources import read_text, write_atomically
from minilm.text.added import AddedToken, Finder, merged
from minilm.text.basic import BasicTokenization, Word, chunks, is_cjk, is_punctuation
from minilm.text.bpe import CACHED_PIECES
from minilm.text.bpe_training import Progress
from minilm.text.inputs import InputRules
from minilm.text.spacing import joined_as_tokenizers, spaced
from minilm.text.tokenizer import Tokenizer, check_encodable
from minilm.text.wordpiece_training import CONTINUES, learn_pieces, rule_named

SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
UNKNOWN = "[UNK]"
LONGEST_WORD = 100
LONGEST_CACHED = 64

BERT_OPTIONS: dict[str, Any] = {
    "unknown": UNKNOWN,
    "prefix": CONTINUES,
    "longest_word": LONGEST_WORD,
    "basic": {},
    "added": [],
    "spacing": "usual",
    "inputs": None,
}

Span = tuple[int, int]
Found = tuple[int, int, int]  # id, start, end


class WordPiece(Tokenizer):
    """Tokens are pieces of words, those that go on a word marked "##"; a word that cannot be cut is "[UNK]".

    It normalizes: spaces, control characters and, as `basic` says, capitals and accents do not come back. What does:
    decode(encode(text), clean=False) == normalized(text) where nothing is unknown.
    """

    name: ClassVar[str] = "wordpiece"

    def __init__(
        self,
        tokens: Sequence[str],
        special_tokens: Iterable[str] = SPECIAL_TOKENS,
        lower: bool = True,
        strip_accents: bool | None = None,
        *,
        unknown: str = UNKNOWN,
        prefix: str = CONTINUES,
        longest_word: int = LONGEST_WORD,
        basic: BasicTokenization | None = None,
        added: Sequence[AddedToken] = (),
        spacing: str = "usual",
        inputs: InputRules | None = None,
    ):
        """tokens: the vocabulary in the order of the ids. special_tokens: those of it that stand for no text.

        lower, strip_accents: see BasicTokenization; strip_accents=None does as `lower` does, as BERT's models do.
        The rest is for vocabularies made elsewhere. unknown: the token of a word that cannot be cut. prefix: the mark
        of a piece that goes on a word. longest_word: a longer one is unknown. basic: in place of lower and
        strip_accents. added: tokens that are more than special (added.py). spacing: how `decode` sets spaces, see
        there. inputs: how a model's inputs are made (inputs.py).
        """
        self.tokens = tuple(tokens)
        self.basic = basic or BasicTokenization(lower, lower if strip_accents is None else strip_accents)
        ids = {token: i for i, token in enumerate(self.tokens)}
        names = dict.fromkeys([*special_tokens, unknown])
        _check_vocabulary(self.tokens, ids, [*names, *(token.text for token in added)])
        self.added = merged({name: ids[name] for name in names}, added)
        self._special = {token.text: token.id for token in self.added if token.special}
        self.unknown, self._unknown, self.longest_word = unknown, ids[unknown], longest_word
        self.prefix, self.spacing, self.inputs = prefix, spacing, inputs
        added_ids = {token.id for token in self.added}
        self._starts = {token: i for token, i in ids.items() if i not in added_ids}
        self._continues = {token[len(prefix) :]: i for token, i in self._starts.items() if token.startswith(prefix)}
        self._longest = max(map(len, self.tokens))
        self._finder = Finder(self.added, self._normal)
        self._cut: dict[str, tuple[Found, ...]] = {}

    @classmethod
    def train(
        cls,
        documents: str | Iterable[str],
        vocab_size: int,
        lower: bool = True,
        strip_accents: bool | None = None,
        special_tokens: Sequence[str] = (),
        alphabet_limit: int | None = None,
        score: str = "likelihood",
        progress: Progress | None = None,
    ) -> Self:
        """Learn a vocabulary: special tokens, characters, then the pieces that score best (wordpiece_training.py).

        Ids: [PAD] [UNK] [CLS] [SEP] [MASK], `special_tokens`, all characters c that the words have by code point, then
        all ##c (none for punctuation and CJK, which are words by themselves), then the pieces as learned. Thus no
        word of characters that were seen is unknown. With `alphabet_limit` only that many characters are kept, the
        most frequent ones. One text gives one vocabulary. `progress(done, wanted)` is called after each join.

        score: "likelihood" (Schuster and Nakajima's words) or "ratio" (the rule of courses); Google's own trainer was
        never published. DataError for a text without words, or a vocab_size that is too small or too large for it.
        """
        rule, special = rule_named(score), [*SPECIAL_TOKENS, *special_tokens]
        _check_special(special, ())
        basic = BasicTokenization(lower, lower if strip_accents is None else strip_accents)
        words = _count_words([documents] if isinstance(documents, str) else documents, basic)
        alphabet = _alphabet(words, alphabet_limit)
        least = len(special) + len(alphabet)
        if vocab_size < least:
            raise DataError(
                tr(
                    "vocab_size {size} is too small: {special} special tokens and {characters} pieces of one character "
                    "come before any longer one; ask for at least {least} or set alphabet_limit",
                    size=vocab_size, special=len(special), characters=len(alphabet), least=least,
                )
            )  # fmt: skip
        pieces = learn_pieces(words, alphabet, vocab_size - least, rule, progress)
        if least + len(pieces) < vocab_size:
            raise DataError(
                tr(
                    "vocab_size {size} is too large for this text: after {most} tokens no pair occurs twice; "
                    "ask for at most {most} or give more text",
                    size=vocab_size,
                    most=least + len(pieces),
                )
            )
        _check_special(special, {*alphabet, *pieces})
        return cls([*special, *alphabet, *pieces], special, lower, strip_accents)

    @classmethod
    def from_vocab(
        cls,
        path: str | Path,
        lower: bool = True,
        strip_accents: bool | None = None,
        special_tokens: Iterable[str] | None = None,
    ) -> Self:
        """Read BERT's vocab.txt, a token a line; the file does not say whether its model is cased: lower=False if so.

        special_tokens: by default those of [PAD] [UNK] [CLS] [SEP] [MASK] that the file has. DataError names the line
        that is empty or repeated, or says that [UNK] is missing.
        """
        lines = read_text(path).removesuffix("\n").split("\n")
        first: dict[str, int] = {}
        for number, token in enumerate(lines, start=1):
            if not token:
                raise DataError(tr("line {n} of {path} is empty; give one token a line", n=number, path=path))
            if token in first:
                raise DataError(
                    tr("line {n} of {path} repeats {token} of line {first}; remove one, and see that ids still fit",
                       n=number, path=path, token=repr(token), first=first[token])
                )  # fmt: skip
            first[token] = number
        if UNKNOWN not in first:
            raise DataError(
                tr("{path} lacks [UNK], the token of unknown words; it is no WordPiece vocabulary", path=path)
            )
        if special_tokens is None:
            special_tokens = [token for token in SPECIAL_TOKENS if token in first]
        return cls(lines, special_tokens, lower, strip_accents)

    def save_vocab(self, path: str | Path) -> None:
        """Write vocab.txt, a token a line, as BERT's programs read it; `lower` and `strip_accents` are not in it."""
        write_atomically(path, "".join(f"{token}\n" for token in self.tokens))

    @property
    def vocab_size(self) -> int:
        """V: special tokens, characters, pieces."""
        return len(self.tokens)

    @property
    def special_tokens(self) -> dict[str, int]:
        """The special tokens and their ids, e.g. {"[PAD]": 0, "[UNK]": 1, ...}."""
        return dict(self._special)

    @property
    def continues(self) -> list[bool]:
        """For each id whether its token goes on a word ("##..."): whole words are masked by it."""
        continuing = set(self._continues.values())
        return [i in continuing for i in range(self.vocab_size)]

    def normalized(self, text: str) -> str:
        """The words of `text` that are cut into pieces, one space between."""
        check_encodable(text)
        return " ".join(self.basic.words(text))

    def tokenize(self, text: str, allowed_special: str | Collection[str] = ()) -> list[str]:
        """The tokens of `text` as they are written in the vocabulary: "una", "##ffa", "##ble"."""
        return [self.tokens[i] for i in self.encode(text, allowed_special)]

    def encode(
        self,
        text: str,
        allowed_special: str | Collection[str] = (),
        disallowed_special: str | Collection[str] = (),
    ) -> list[int]:
        """The ids of `text`: of each word the longest piece that begins it, then the longest that goes on, and so on.

        A word that ends in no piece, or has more than 100 characters, is one [UNK] as a whole. A special token written
        in `text` is plain text unless it is in `allowed_special` (a set of names, or "all"); then it is never cut or
        lower-cased. One in `disallowed_special` (and not allowed) is a DataError. DataError for a lone surrogate.
        """
        self.check_disallowed(text, disallowed_special, self.allowed(allowed_special))
        return [id for id, _, _ in self._encode(text, allowed_special)]

    def encode_with_offsets(
        self, text: str, allowed_special: str | Collection[str] = ()
    ) -> tuple[list[int], list[Span]]:
        """The ids of `text` and the (start, end) of each in it: text[start:end] is what the token was made from.

        Spans neither count what was dropped before and behind (spaces, control characters, a combining accent at the
        end) nor fall back. They overlap where one character gives several tokens (a hangul syllable, decomposed).
        """
        found = self._encode(text, allowed_special)
        return [id for id, _, _ in found], [(start, end) for _, start, end in found]

    def encode_words(self, words: Sequence[str]) -> tuple[list[int], list[int]]:
        """The ids of words given one by one, and for each word the position in the ids of its first token.

        A tagger reads and labels a word at that position. A word of nothing that counts ("" or a control character) is
        [UNK], so that every word has a position. A DataError if `words` is one string.
        """
        if isinstance(words, str):
            raise DataError(tr("words must be a list of words, not one text; split it first"))
        ids: list[int] = []
        first: list[int] = []
        for word in words:
            first.append(len(ids))
            ids += self.encode(word) or [self._unknown]
        return ids, first

    def _encode(self, text: str, allowed_special: str | Collection[str]) -> list[Found]:
        check_encodable(text)
        allowed = self.allowed(allowed_special)
        cut = self._encode_normalized if self._finder.normalizes else self._encode_plain
        found: list[Found] = []
        for added, start, end in self._finder.find(text, allowed):
            found += cut(text[start:end], start, allowed) if added is None else [(added, start, end)]
        return found

    def _normal(self, text: str) -> str:
        return "".join(character for character, _ in self.basic.normalized(text))

    def _encode_normalized(self, text: str, offset: int, allowed: set[str]) -> list[Found]:
        """The tokens of a text in which added tokens are looked for after normalization: nothing is cached."""
        aligned = self.basic.normalized(text)
        found: list[Found] = []
        for added, start, end in self._finder.find("".join(c for c, _ in aligned), allowed, normalized=True):
            part = aligned[start:end]
            if added is None:
                found += [piece for word in self.basic.split(part) for piece in self._pieces(word)]
            else:
                found.append((added, *Word("", tuple(i for _, i in part)).span(0, len(part))))
        return [(id, start + offset, end + offset) for id, start, end in found]

    def _encode_plain(self, text: str, offset: int, _: set[str]) -> list[Found]:
        found: list[Found] = []
        for chunk, position in chunks(text):
            pieces = self._cut.get(chunk)
            if pieces is None:
                pieces = tuple(piece for word in self.basic.cut(chunk) for piece in self._pieces(word))
                if len(chunk) <= LONGEST_CACHED and len(self._cut) < CACHED_PIECES:
                    self._cut[chunk] = pieces
            shift = offset + position
            found += [(id, start + shift, end + shift) for id, start, end in pieces]
        return found

    def _pieces(self, word: Word) -> list[Found]:
        """The pieces of a word and where they stand; one unknown token for all of it if any part cannot be matched."""
        text = word.text
        unknown = [(self._unknown, *word.span(0, len(text)))]
        if len(text) > self.longest_word:
            return unknown
        found: list[Found] = []
        start, vocabulary = 0, self._starts
        while start < len(text):
            end = min(len(text), start + self._longest)
            while end > start and text[start:end] not in vocabulary:
                end -= 1
            if end == start:
                return unknown
            found.append((vocabulary[text[start:end]], *word.span(start, end)))
            start, vocabulary = end, self._continues
        return found

    def decode(self, ids: Iterable[int], clean: bool = True, skip_special: bool = False) -> str:
        """The text of `ids`: "##" joined to what stands before, special tokens as named or (skip_special) left out.

        It is not the text that was encoded: see the class. clean=False puts one space between any two words;
        clean=True leaves out those that are not usual beside punctuation (spacing.py), and changes nothing else.
        spacing="english" (of the tokenizer) joins and cleans as the `tokenizers` library does, "plain" only joins so.
        """
        skipped = self._special if skip_special else ()
        tokens = [token for token in (self.tokens[i] for i in self.checked(ids)) if token not in skipped]
        if self.spacing != "usual":
            return joined_as_tokenizers(tokens, self.prefix, clean and self.spacing == "english")
        words: list[str] = []
        for token in tokens:
            if token in self._special or not token.startswith(self.prefix):
                words.append(token)
            elif words and words[-1] not in self._special:
                words[-1] += token[len(self.prefix) :]
            else:
                words.append(token[len(self.prefix) :])
        return spaced(words) if clean else " ".join(words)

    def description(self) -> dict[str, Any]:
        """{"tokens": [str], "special_tokens": [str], "lower": bool, "strip_accents": bool}.

        What differs from BERT's way stands beside, by the names of __init__.
        """
        basic = {name: value for name, value in asdict(self.basic).items() if name not in ("lower", "strip_accents")}
        found = {
            "unknown": self.unknown,
            "prefix": self.prefix,
            "longest_word": self.longest_word,
            "basic": {name: value for name, value in basic.items() if value != getattr(BasicTokenization(), name)},
            "added": [token.description() for token in self.added if not token.is_plain],
            "spacing": self.spacing,
            "inputs": self.inputs and self.inputs.description(),
        }
        return {
            "tokens": list(self.tokens),
            "special_tokens": list(self._special),
            "lower": self.basic.lower,
            "strip_accents": self.basic.strip_accents,
            **{name: value for name, value in found.items() if value != BERT_OPTIONS[name]},
        }

    @classmethod
    def from_description(cls, description: dict[str, Any]) -> Self:
        """The tokenizer of a `description`."""
        options = {name: description.get(name, usual) for name, usual in BERT_OPTIONS.items()}
        lower, strip_accents = bool(description["lower"]), bool(description["strip_accents"])
        options["basic"] = BasicTokenization(lower, strip_accents, **options["basic"])
        options["added"] = [AddedToken(**token) for token in options["added"]]
        options["inputs"] = options["inputs"] and InputRules.from_description(options["inputs"])
        return cls(description["tokens"], description["special_tokens"], **options)


def _count_words(documents: Iterable[str], basic: BasicTokenization) -> Counter[str]:
    """How often each word occurs, without those that are too long ever to be cut; DataError if there is none."""
    found: Counter[str] = Counter()
    for document in documents:
        check_encodable(document)
        found.update(chunk for chunk, _ in chunks(document))
    words: Counter[str] = Counter()
    for chunk, count in found.items():
        for word in basic.cut(chunk):
            if len(word.text) <= LONGEST_WORD:
                words[word.text] += count
    if not words:
        raise DataError(tr("the text to learn pieces from has no words; give one that has some"))
    return words


def _alphabet(words: Counter[str], limit: int | None) -> list[str]:
    """All characters c by code point, then all ##c but for those that are always a word by themselves."""
    if limit is not None and limit < 1:
        raise ConfigError(
            tr("{name} must be an integer of at least {least}, not {got}",
               name="alphabet_limit", least=1, got=limit)
        )  # fmt: skip
    counts: Counter[str] = Counter()
    for word, count in words.items():
        for character in word:
            counts[character] += count
    kept = sorted(sorted(counts), key=lambda character: -counts[character])[:limit]
    return sorted(kept) + [CONTINUES + c for c in sorted(kept) if not (is_cjk(c) or is_punctuation(c))]


def _check_vocabulary(tokens: Sequence[str], ids: dict[str, int], special: Sequence[str]) -> None:
    if len(ids) != len(tokens):
        twice = next(token for token, n in Counter(tokens).items() if n > 1)
        raise DataError(tr("the token {token} stands in the vocabulary twice; name each once", token=repr(twice)))
    if wrong := [token for token in tokens if not token or "\n" in token or "\r" in token]:
        raise DataError(tr("the token {token} is empty or has a line end; leave it out", token=repr(wrong[0])))
    if missing := [name for name in special if name not in ids]:
        raise DataError(tr("the special tokens {names} are not in the vocabulary", names=", ".join(missing)))


def _check_special(special: Sequence[str], learned: Collection[str]) -> None:
    for text, n in Counter(special).items():
        if n > 1:
            raise DataError(tr("special token {name} is given twice; name each once", name=repr(text)))
        if not text or text in learned:
            raise DataError(
                tr("special token {name} is empty or already in the vocabulary; rename it", name=repr(text))
            )
