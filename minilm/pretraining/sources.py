"""Where the text comes from: a corpus, or Mundito. A source gives whichever kind of model what it learns from."""

import dataclasses
import itertools
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Protocol, Self

import numpy as np

from minilm.errors import CheckpointError, ConfigError
from minilm.filling import token_text
from minilm.i18n import tr
from minilm.mundito import Mundito, MunditoConfig
from minilm.mundito.oracle import fill_distribution
from minilm.mundito.tasks import documents
from minilm.pretraining.data import SEPARATOR, KnownTokens, TextTokens
from minilm.text.bpe import ByteBPE
from minilm.text.char import CharTokenizer
from minilm.text.corpora import Corpus, load_corpus
from minilm.text.sentences import BLANK_LINE, encode_sentences
from minilm.text.tokenizer import Tokenizer
from minilm.text.wordpiece import WordPiece

if TYPE_CHECKING:
    from minilm.pretraining.recipes import BaseRecipe, BertRecipe, Recipe

Sentences = list[list[list[int]]]  # documents of sentences of token ids
MUNDITO = "mundito"
ROLES = ("ADJ", "VRB", "SEN", "OBJ", "ANI", "MOOD")  # of the words that are hidden to be guessed, in this order
HIDDEN = 0x68696465  # the purpose, in a generator's key, of which words are hidden ("hide" in ASCII)
DRAWN = 1_000_000  # documents to learn from have seeds from here on, those of tasks small ones


class Hidden(NamedTuple):
    """A text's token ids, which of them is to be guessed, and, where it is known, how probable each token is there
    given all the others, (V,)."""

    ids: list[int]
    position: int
    truth: np.ndarray | None


class Source(Protocol):
    """What a pretraining asks of a source."""

    kind: ClassVar[str]
    name: str
    tokenizer: Tokenizer

    def description(self) -> dict[str, Any]:
        """What a run's config records of it, and `open` finds it again by."""
        ...

    def tokens(self, recipe: "Recipe", seed: int) -> Any:
        """The Data, see data.py, that a GPT of this recipe learns from."""
        ...

    def sentences(self, recipe: "BertRecipe", seed: int) -> tuple[Sentences, Sentences]:
        """Documents to learn from and documents to validate on, cut into sentences."""
        ...

    def hidden_words(self, recipe: "BertRecipe", seed: int, count: int) -> "list[Hidden]":
        """At most `count` words to guess, in texts that a BERT of this recipe can read and has not learned from."""
        ...


# ----------------------------------------------------------------------------------------------------------- texts


def _characters(corpus: Corpus, recipe: "BaseRecipe") -> Tokenizer:
    return CharTokenizer.train(SEPARATOR.join(corpus.documents))  # all of them, so that no text is unknown


def _byte_pairs(corpus: Corpus, recipe: "BaseRecipe") -> Tokenizer:
    return ByteBPE.train(corpus.split()[0], recipe.vocabulary, recipe.special_tokens)


def _word_pieces(corpus: Corpus, recipe: "BaseRecipe") -> Tokenizer:
    return WordPiece.train(corpus.split()[0], recipe.vocabulary)


TOKENIZERS = {"char": _characters, "bpe": _byte_pairs, "wordpiece": _word_pieces}


class TextSource:
    """A corpus of documents and a tokenizer learned from its training part."""

    kind: ClassVar[str] = "text"

    def __init__(self, data: str, corpus: Corpus, tokenizer: Tokenizer):
        """data: the name or path that the corpus was loaded by."""
        self.data, self.corpus, self.tokenizer, self.name = data, corpus, tokenizer, corpus.name

    @classmethod
    def new(cls, data: str | Path, recipe: "BaseRecipe") -> Self:
        """The text of that name or path, with the recipe's tokenizer. ConfigError for one that texts have not."""
        if recipe.tokenizer not in TOKENIZERS:
            raise ConfigError(
                tr("a text has no tokenizer {got!r}; choose one of {names}", got=recipe.tokenizer,
                   names=", ".join(name for name in TOKENIZERS if name in recipe.tokenizers))
            )  # fmt: skip
        corpus = load_corpus(data)
        return cls(str(data), corpus, TOKENIZERS[recipe.tokenizer](corpus, recipe))

    @classmethod
    def open(cls, data: dict[str, Any], tokenizer: Tokenizer, folder: Path) -> Self:
        """The text of a run's config; CheckpointError if it is no longer what it was."""
        corpus, then = load_corpus(data["name"]), data["sha256"]
        if corpus.sha256 != then:
            raise CheckpointError(
                tr(
                    "the text {name} is not what {folder} was trained on (sha256 {now:.12}…, then {then:.12}…): "
                    "restore it, or start a new run",
                    name=data["name"],
                    folder=folder,
                    now=corpus.sha256,
                    then=then,
                )
            )
        return cls(data["name"], corpus, tokenizer)

    def description(self) -> dict[str, Any]:
        """Name, SHA-256, size, licence and provenance, as every version wrote them."""
        corpus = self.corpus
        return {"name": self.data, "sha256": corpus.sha256, "size": corpus.size, "licence": corpus.licence,
                "provenance": corpus.provenance}  # fmt: skip

    def tokens(self, recipe: "Recipe", seed: int) -> TextTokens:
        """Windows of the text and their next tokens."""
        return TextTokens(self.corpus, self.tokenizer, recipe, seed)

    def sentences(self, recipe: "BertRecipe", seed: int) -> tuple[Sentences, Sentences]:
        """The corpus's documents; where it is a single one, what stands between blank lines, as in BERT's own data."""
        single = len(self.corpus.documents) == 1
        train, validation = (
            encode_sentences(self.tokenizer, BLANK_LINE.split(part[0]) if single else part)
            for part in self.corpus.split()
        )
        return train, validation

    def hidden_words(self, recipe: "BertRecipe", seed: int, count: int) -> list[Hidden]:
        """Words of four letters or more that are one token, each in a sentence of the validation part."""
        rng = np.random.default_rng([seed, HIDDEN])
        sentences = [
            s for document in self.sentences(recipe, seed)[1] for s in document if 6 <= len(s) < recipe.context
        ]
        found = []
        for i in rng.permutation(len(sentences)).tolist():
            ids = sentences[i]
            if places := [t for t in range(1, len(ids)) if self._is_word(ids, t)]:
                found.append(Hidden(ids, int(rng.choice(places)), None))
            if len(found) == count:
                break
        return found

    def _is_word(self, ids: list[int], t: int) -> bool:
        """Whether a token is a word of its own, as far as can be told from it and the next one."""
        text = token_text(self.tokenizer, ids[t])
        following = token_text(self.tokenizer, ids[t + 1]) if t + 1 < len(ids) else ""
        return text.strip().isalpha() and len(text.strip()) >= 4 and not following.startswith("##")


# --------------------------------------------------------------------------------------------------------- Mundito


class MunditoSource:
    """The little world, which writes as much as one likes."""

    kind: ClassVar[str] = MUNDITO

    def __init__(self, config: MunditoConfig):
        self.world = Mundito(config)
        self.name = MUNDITO
        self.tokenizer: Tokenizer = self.world.tokenizer()

    @classmethod
    def open(cls, data: dict[str, Any], tokenizer: Tokenizer, folder: Path) -> Self:
        """The world of a run's config; CheckpointError if its words are no longer the same."""
        source = cls(MunditoConfig(**data["world"]))
        if source.tokenizer.fingerprint != tokenizer.fingerprint:
            raise CheckpointError(tr("{folder} was trained on a Mundito with other words", folder=folder))
        return source

    def description(self) -> dict[str, Any]:
        """The world's settings, which it is a function of."""
        return {"kind": self.kind, "name": self.name, "world": dataclasses.asdict(self.world.config)}

    def tokens(self, recipe: "Recipe", seed: int) -> KnownTokens:
        """Rows of documents, with the true probability of every word."""
        return KnownTokens(self.world, recipe, seed)

    def sentences(self, recipe: "BertRecipe", seed: int) -> tuple[Sentences, Sentences]:
        """As many documents as the recipe says, all new ones to validate on; of each the whole sentences that fit into
        one input. So almost every input begins where its document does, and all that its words go back to is there."""
        drawn, room = DRAWN + 2 * seed, recipe.context - 3

        def made(count: int, number: int) -> Sentences:
            return [_that_fit(document, room) for document in documents(self.world, count, number)]

        return made(recipe.documents, drawn), made(recipe.validation, drawn + 1)

    def hidden_words(self, recipe: "BertRecipe", seed: int, count: int) -> list[Hidden]:
        """In each of new documents, cut after a sentence, the last word with a role: a colour's, a verb's, and so on in
        turn; with the automaton's own distribution of it."""
        found: list[Hidden] = []
        for document in documents(self.world, 50 * count, DRAWN + 2 * seed + 1):
            ids = [token for sentence in _that_fit(document, recipe.context - 2) for token in sentence]
            roles = [self.world.lexicon.categories.get(self.world.words[t]) for t in ids]
            role = ROLES[len(found) % len(ROLES)]
            if role in roles:
                place = len(roles) - 1 - roles[::-1].index(role)
                truth = fill_distribution(self.world, [self.world.id_of["<bos>"], *ids], place + 1)
                found.append(Hidden(ids, place, truth))
            if len(found) == count:
                break
        return found


def _that_fit(document: list[list[int]], room: int) -> list[list[int]]:
    """As many whole sentences of a document, from its beginning, as have at most `room` tokens."""
    ends = itertools.accumulate(map(len, document))
    return document[: sum(end <= room for end in ends)]


SOURCES: dict[str, type[TextSource] | type[MunditoSource]] = {"text": TextSource, MUNDITO: MunditoSource}


def new_source(data: str | Path | MunditoConfig, recipe: "BaseRecipe") -> "tuple[Source, BaseRecipe]":
    """The source that is named: "mundito" or the config of one, else a corpus, a file or a folder; and the recipe,
    with the tokenizer that the source has where it brings its own."""
    if data == MUNDITO:
        data = MunditoConfig()
    if isinstance(data, MunditoConfig):
        return MunditoSource(data), dataclasses.replace(recipe, tokenizer="words", vocabulary=0)
    return TextSource.new(data, recipe), recipe


def open_source(data: dict[str, Any], tokenizer: Tokenizer, folder: Path) -> Source:
    """The source that a run's config records."""
    return SOURCES[data.get("kind", TextSource.kind)].open(data, tokenizer, folder)
