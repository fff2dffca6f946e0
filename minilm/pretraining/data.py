"""What a training reads: its batches, those it is validated on, the objective, and how it is scored at the end.

One class for each way to learn: the next token of a text, the next token of a source whose probabilities are known,
masked texts. Which source the tokens come from is sources.py's.
"""

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from minilm.errors import ConfigError, DataError
from minilm.i18n import tr
from minilm.mundito.rows import MunditoBatches
from minilm.text.batches import Batch, TokenBatches, encode_documents
from minilm.text.masking import LeftToRightBatches, MaskedBatches, Masker
from minilm.text.pairs import PairBatches
from minilm.text.units import bits_per_byte
from minilm.training.objectives import KnownSource, MaskedLM, MaskedLMAndNextSentence, NextToken

if TYPE_CHECKING:
    from minilm.mundito.world import Mundito
    from minilm.pretraining.recipes import BertRecipe, Recipe
    from minilm.pretraining.sources import Source
    from minilm.text.corpora import Corpus
    from minilm.text.tokenizer import Tokenizer
    from minilm.training.trainer import Trainer

SEPARATOR = "\n\n"  # between two documents of a text
FINAL_ROWS, FINAL_EPOCHS = 8, 4  # how many times what it is validated on is scored at the end


class Data(Protocol):
    """batches.at(step), and what the trainer validates on; steps_per_epoch is None where nothing comes again."""

    batches: Any
    validation: list[Batch]
    objective: Any
    steps_per_epoch: float | None

    def final(self, trainer: "Trainer") -> dict[str, float]:
        """What the trained model is scored by, {"loss": …} and what else the objective reports."""
        ...


class TextTokens:
    """The next token of a text: windows of its training part, and of its validation part."""

    def __init__(self, corpus: "Corpus", tokenizer: "Tokenizer", recipe: "Recipe", seed: int):
        self.corpus, self.tokenizer, self.recipe = corpus, tokenizer, recipe
        train, validation = corpus.split()
        self.train_ids = encode_documents(tokenizer, train, SEPARATOR)
        self.validation_ids = encode_documents(tokenizer, validation, SEPARATOR)
        for part, ids in ((tr("training"), self.train_ids), (tr("validation"), self.validation_ids)):
            if len(ids) < recipe.context + 1:
                raise DataError(
                    tr(
                        "the {part} part of {name} has {n} tokens, fewer than the context of {context} and one more: "
                        "give a longer text or a smaller --context",
                        part=part,
                        name=corpus.name,
                        n=len(ids),
                        context=recipe.context,
                    )
                )
        scored = SEPARATOR.join(validation)[len(tokenizer.decode(self.validation_ids[:1])) :]
        self.validation_bytes = len(scored.encode())
        self.batches = TokenBatches(self.train_ids, recipe.context, recipe.batch, seed)
        self.steps_per_epoch: float | None = self.batches.steps_per_epoch
        self._windows = TokenBatches(self.validation_ids, recipe.context, recipe.batch)
        self.validation = list(self._windows.windows())
        self.objective = NextToken()

    def final(self, trainer: "Trainer") -> dict[str, float]:
        """Nats per token over the whole validation part, every token with at least half a context before it."""
        return trainer.evaluate(self._windows.windows(stride=max(1, self.recipe.context // 2)))

    def bits_per_byte(self, nats_per_token: float) -> float:
        """The unit in which models with other tokens compare, on the validation part."""
        return bits_per_byte(nats_per_token, len(self.validation_ids) - 1, self.validation_bytes)

    def ngrams(self, orders: range = range(1, 7)) -> list[dict[str, Any]]:
        """Kneser-Ney models of the very same text: order, nats per token of the model's tokenizer, bits per byte.

        They count the characters where those are the tokens, else the bytes; so the ladder hardly depends on the
        tokenizer, and both columns compare with the model's own.
        """
        from minilm.ngram import KneserNey

        if self.recipe.tokenizer == "char":
            train, validation, first, size = self.train_ids, self.validation_ids, 1, self.tokenizer.vocab_size
        else:
            train, validation = (np.frombuffer(SEPARATOR.join(p).encode(), np.uint8) for p in self.corpus.split())
            first, size = len(validation) - self.validation_bytes, 256  # the first token is scored by no model
        rows = []
        for order in orders:
            losses = -KneserNey(order).fit(train, size).log_probabilities(validation)[first:]
            nats = float(losses.sum()) / (len(self.validation_ids) - 1)
            rows.append({"order": order, "nats": nats, "bits": self.bits_per_byte(nats)})
        return rows


class KnownTokens:
    """The next word of Mundito, row after row that never comes again, each beside the true probabilities."""

    steps_per_epoch: float | None = None

    def __init__(self, world: "Mundito", recipe: "Recipe", seed: int):
        self.world, self.recipe, self.seed = world, recipe, seed
        self.batches = MunditoBatches(world, recipe.context, recipe.batch, seed)
        self.validation = self._rows("validation", recipe.validation)
        self.objective = KnownSource()

    def _rows(self, part: str, count: int) -> list[Batch]:
        rows = MunditoBatches(self.world, self.recipe.context, self.recipe.batch, self.seed, part=part)
        return list(rows.windows(count))

    def final(self, trainer: "Trainer") -> dict[str, float]:
        """Loss, excess over the source and its standard error, on new rows, eight times as many as in validation."""
        return trainer.evaluate(self._rows("final", FINAL_ROWS * self.recipe.validation))


class MaskedTexts:
    """Texts with masks to fill, two by two where there is a next sentence to tell from another."""

    def __init__(self, source: "Source", recipe: "BertRecipe", seed: int):
        tokenizer = source.tokenizer
        train, validation = source.sentences(recipe, seed)

        def pairs_of(documents: Any, versions: int | None = None) -> PairBatches:
            how: dict[str, Any] = {"next_sentence": recipe.next_sentence, "versions": versions}
            return PairBatches(documents, tokenizer, recipe.context, recipe.batch, seed, **how)

        pairs = pairs_of(train, versions=1 if recipe.static_masks else None)
        self.steps_per_epoch: float | None = pairs.steps_per_epoch
        self.counts = pairs.pairs(0).counts
        masked = self._how(recipe, tokenizer, seed)
        self.batches = masked(pairs)
        self._unseen = masked(pairs_of(validation))
        self.validation = list(self._unseen.epoch(0))
        self.objective = MaskedLMAndNextSentence() if recipe.next_sentence else MaskedLM()

    def _how(self, recipe: "BertRecipe", tokenizer: "Tokenizer", seed: int) -> Any:
        """What makes batches of pairs into batches with targets."""
        if recipe.left_to_right:
            return LeftToRightBatches
        masking = recipe.how_to_mask()
        if masking.unit == "word" and not hasattr(tokenizer, "continues") and tokenizer.name != "words":
            raise ConfigError(
                tr("whole words can be masked only where the tokenizer says which tokens go on a word: choose the "
                   "tokenizer wordpiece, not {name}", name=recipe.tokenizer)
            )  # fmt: skip
        masker = Masker(tokenizer, masking=masking, seed=seed)
        return lambda source: MaskedBatches(source, masker)

    def final(self, trainer: "Trainer") -> dict[str, float]:
        """Both losses, and the parts guessed right, over four versions of the validation part, cut and masked anew;
        "texts": how many inputs that were."""
        batches = [batch for epoch in range(FINAL_EPOCHS) for batch in self._unseen.epoch(epoch)]
        return {**trainer.evaluate(batches), "texts": float(sum(len(batch["ids"]) for batch in batches))}
