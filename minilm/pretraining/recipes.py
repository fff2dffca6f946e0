"""Recipes: everything that decides what a training learns, but the source and the seed. One class a kind of model."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from minilm.errors import ConfigError
from minilm.i18n import tr
from minilm.models.bert import BertConfig, BertForPreTraining
from minilm.models.gpt import GPT, GPTConfig
from minilm.pretraining.data import MaskedTexts
from minilm.text.masking import Masking
from minilm.text.special import BERT_TOKENS
from minilm.training.config import TrainConfig

MASKINGS = {"span": Masking(unit="span"), "whole-word": Masking(unit="word")}


@dataclass(frozen=True)
class BaseRecipe(ABC):
    """What GPT and BERT have in common.

    tokenizer: by name, with `vocabulary` entries where it learns them; a known source brings its own, "words".
    width, layers, heads, context, dropout: of GPTConfig and BertConfig. batch: sequences an update. rate, warmup,
    decay, betas: peak learning rate, steps that lead up to it, and of AdamW; the rate falls along a cosine to a tenth.
    validation: how many rows or documents a source that writes as much as one likes writes to validate on.
    """

    tokenizer: str
    vocabulary: int
    width: int
    layers: int
    heads: int
    context: int
    batch: int
    steps: int
    rate: float
    warmup: int
    dropout: float = 0.1
    decay: float = 0.1
    evaluate_every: int = 100
    betas: tuple[float, float] = (0.9, 0.95)
    validation: int = 400

    kind: ClassVar[str]
    tokenizers: ClassVar[tuple[str, ...]]  # that it can read
    special_tokens: ClassVar[tuple[str, ...]] = ()  # that it needs

    def __post_init__(self) -> None:
        object.__setattr__(self, "betas", tuple(self.betas))  # a list where it comes from JSON
        if self.tokenizer not in self.tokenizers:
            raise ConfigError(
                tr("tokenizer is {got!r}; choose one of {names}", got=self.tokenizer, names=", ".join(self.tokenizers))
            )
        if not isinstance(self.validation, int) or self.validation < 2:
            raise ConfigError(
                tr("{name} is {got!r}; it must be a whole number >= {least}", name="validation", got=self.validation,
                   least=2)
            )  # fmt: skip

    @abstractmethod
    def model_config(self, vocab_size: int) -> Any:
        """The shape of the model that this recipe trains."""

    @abstractmethod
    def model(self, vocab_size: int, seed: int) -> Any:
        """That model as it begins, a pure function of the recipe and the seed."""

    @abstractmethod
    def data(self, source: Any, seed: int) -> Any:
        """What it learns from, out of a source: see data.py."""

    def train_config(self, seed: int, threads: int, recompute: bool = False) -> TrainConfig:
        """How this recipe trains it."""
        return TrainConfig(
            steps=self.steps,
            batch_size=self.batch,
            rate=self.rate,
            warmup=self.warmup,
            betas=self.betas,
            decay=self.decay,
            seed=seed,
            threads=threads,
            recompute=recompute,
            evaluate_every=self.evaluate_every,
            checkpoint_every=self.evaluate_every,
            keep_best=True,
        )

    def _shape(self, vocab_size: int) -> dict[str, Any]:
        names = ("context", "width", "layers", "heads", "dropout")
        return {"vocab_size": vocab_size, **{name: getattr(self, name) for name in names}}


@dataclass(frozen=True)
class Recipe(BaseRecipe):
    """A GPT's: it predicts the next token. norm, causal: of GPTConfig."""

    norm: str = "pre"
    causal: bool = True

    kind: ClassVar[str] = "gpt"
    tokenizers: ClassVar[tuple[str, ...]] = ("char", "bpe", "words")

    def gpt_config(self, vocab_size: int) -> GPTConfig:
        """The model that this recipe trains."""
        return GPTConfig(**self._shape(vocab_size), norm=self.norm, causal=self.causal)

    model_config = gpt_config

    def model(self, vocab_size: int, seed: int) -> GPT:
        return GPT(self.gpt_config(vocab_size), seed=seed)

    def data(self, source: Any, seed: int) -> Any:
        return source.tokens(self, seed)


@dataclass(frozen=True)
class BertRecipe(BaseRecipe):
    """A BERT's: it fills masks, and says whether the second text follows the first. The ablations are its switches.

    next_sentence: False leaves the second task out, and reads one text at a time.
    left_to_right: it reads only what stands before, and guesses the next token instead of masked ones.
    masking: "80/10/10", percents of the chosen that become [MASK], become random and stay; "span" or "whole-word".
    mask_rate: which part of the tokens is chosen; a small model learns faster from more (Wettig et al. 2023).
    static_masks: an epoch is the same examples with the same masks as the one before, not new ones.
    documents: how many a source that writes as much as one likes writes to learn from. initial_std: of BertConfig; at
    a width of 64, BERT's .02 leaves the first hundred steps without a direction.
    """

    decay: float = 0.01
    betas: tuple[float, float] = (0.9, 0.98)
    next_sentence: bool = True
    left_to_right: bool = False
    masking: str = "80/10/10"
    mask_rate: float = 0.15
    static_masks: bool = False
    documents: int = 20_000
    initial_std: float = 0.02

    kind: ClassVar[str] = "bert"
    tokenizers: ClassVar[tuple[str, ...]] = ("wordpiece", "bpe", "words")
    special_tokens: ClassVar[tuple[str, ...]] = BERT_TOKENS

    def __post_init__(self) -> None:
        super().__post_init__()
        self.how_to_mask()
        if not isinstance(self.documents, int) or self.documents < 2:
            raise ConfigError(
                tr("{name} is {got!r}; it must be a whole number >= {least}", name="documents", got=self.documents,
                   least=2)
            )  # fmt: skip

    def how_to_mask(self) -> Masking:
        """What `masking` names, at the rate that is asked for."""
        return replace(masking_named(self.masking), rate=self.mask_rate)

    def model_config(self, vocab_size: int) -> BertConfig:
        return BertConfig(**self._shape(vocab_size), causal=self.left_to_right, initial_std=self.initial_std)

    def model(self, vocab_size: int, seed: int) -> BertForPreTraining:
        return BertForPreTraining(self.model_config(vocab_size), seed=seed, next_sentence=self.next_sentence)

    def data(self, source: Any, seed: int) -> Any:
        return MaskedTexts(source, self, seed)


def masking_named(name: str) -> Masking:
    """The masking of a name: three percents, "80/10/10", or "span" or "whole-word"; ConfigError for another."""
    if name in MASKINGS:
        return MASKINGS[name]
    try:
        masked, random, kept = (float(part) / 100 for part in name.split("/"))
    except (AttributeError, ValueError):
        masked = random = kept = -1.0
    if min(masked, random, kept) < 0 or not abs(masked + random + kept - 1) <= 1e-9:
        raise ConfigError(
            tr("masking is {got!r}; give three percents that add up to 100, such as 80/10/10 (become [MASK], become "
               "random, stay), or one of {names}", got=name, names=", ".join(MASKINGS))
        )  # fmt: skip
    return Masking(masked=masked, random=random)


KINDS: dict[str, type[BaseRecipe]] = {"gpt": Recipe, "bert": BertRecipe}

RECIPES = {
    # Seconds: for tests and to see that everything works.
    "tiny": Recipe(
        "char", 0, 32, 2, 2, 32, batch=8, steps=100, rate=3e-3, warmup=10, dropout=0.0, evaluate_every=50, validation=50
    ),
    # Two to three minutes on two cores: below the n-grams of orders 1 to 4. Tokens of two bytes see more text a step.
    "tour": Recipe("bpe", 512, 128, 4, 4, 128, batch=16, steps=820, rate=3e-3, warmup=50),
    # Under half an hour on two cores: below every n-gram.
    "small": Recipe("char", 0, 128, 4, 4, 256, batch=16, steps=3000, rate=2e-3, warmup=100, evaluate_every=250),
    # Six million words of Mundito, new ones all the time: within .09 nats of what can be known.
    "mundito": Recipe(
        "words", 0, 64, 2, 4, 64, batch=32, steps=2930, rate=8e-3, warmup=150, dropout=0.0, evaluate_every=200
    ),
}  # fmt: skip

BERT_RECIPES = {
    # Seconds.
    "tiny": BertRecipe(
        "wordpiece", 512, 32, 2, 2, 32, batch=8, steps=100, rate=3e-3, warmup=10, dropout=0.0, evaluate_every=50,
        validation=50, documents=300,
    ),
    # Little more than a minute on two cores, on Mundito: one text at a time, of which a fifth is masked.
    "tour": BertRecipe("words", 0, 64, 2, 4, 40, batch=32, steps=2800, rate=2e-3, warmup=100, dropout=0.0,
                       evaluate_every=200, validation=200, next_sentence=False, mask_rate=0.2, documents=6000,
                       initial_std=0.1),
    # For texts of about a megabyte.
    "small": BertRecipe("wordpiece", 2048, 128, 4, 4, 128, batch=32, steps=3000, rate=1e-3, warmup=200,
                        evaluate_every=250),
    # Sixteen million words of Mundito: masked words near what can be known, and two of three pairs told apart.
    "mundito": BertRecipe("words", 0, 64, 2, 4, 64, batch=64, steps=4000, rate=5e-3, warmup=200, dropout=0.0,
                          evaluate_every=250, validation=800, initial_std=0.1),
}  # fmt: skip

RECIPES_OF: dict[str, dict[str, Any]] = {"gpt": RECIPES, "bert": BERT_RECIPES}
