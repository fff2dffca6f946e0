"""A pretraining from one name: a recipe says how, a text says on what, a run folder keeps what comes of it.

    pretraining = Pretraining.start("pydocs", RECIPES["tour"], "runs/tour")
    pretraining.trainer().train()

`Pretraining.open(folder)` builds the same again from the folder, to resume the training or to use the model.
"""

import dataclasses
import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import minilm
from minilm.errors import CheckpointError, ConfigError, DataError
from minilm.i18n import tr
from minilm.models.gpt import GPT, GPTConfig
from minilm.text.batches import TokenBatches, encode_documents
from minilm.text.bpe import ByteBPE
from minilm.text.char import CharTokenizer
from minilm.text.corpora import Corpus, load_corpus
from minilm.text.tokenizer import Tokenizer, load_tokenizer
from minilm.text.units import bits_per_byte
from minilm.training.config import TrainConfig
from minilm.training.objectives import NextToken
from minilm.training.run import Run
from minilm.training.trainer import Trainer

SEPARATOR = "\n\n"  # between two documents of a text


@dataclass(frozen=True)
class Recipe:
    """Everything that decides what a training learns, but the text and the seed.

    tokenizer: "char", or "bpe" with `vocabulary` entries. width, layers, heads, context, dropout, norm: of GPTConfig.
    batch: sequences an update. rate, warmup, decay: peak learning rate, steps that lead up to it, weight decay; the
    rate falls along a cosine to a tenth.
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
    norm: str = "pre"
    evaluate_every: int = 100

    def __post_init__(self) -> None:
        if self.tokenizer not in ("char", "bpe"):
            raise ConfigError(tr("tokenizer is {got!r}; choose 'char' or 'bpe'", got=self.tokenizer))

    def gpt_config(self, vocab_size: int) -> GPTConfig:
        """The model that this recipe trains."""
        return GPTConfig(
            vocab_size=vocab_size,
            context=self.context,
            width=self.width,
            layers=self.layers,
            heads=self.heads,
            dropout=self.dropout,
            norm=self.norm,
        )

    def train_config(self, seed: int, threads: int, recompute: bool = False) -> TrainConfig:
        """How this recipe trains it."""
        return TrainConfig(
            steps=self.steps,
            batch_size=self.batch,
            rate=self.rate,
            warmup=self.warmup,
            decay=self.decay,
            seed=seed,
            threads=threads,
            recompute=recompute,
            evaluate_every=self.evaluate_every,
            checkpoint_every=self.evaluate_every,
            keep_best=True,
        )


RECIPES = {
    # Seconds: for tests and to see that everything works.
    "tiny": Recipe("char", 0, 32, 2, 2, 32, batch=8, steps=100, rate=3e-3, warmup=10, dropout=0.0, evaluate_every=50),
    # About four minutes on two cores: below the n-grams of orders 1 to 4. Tokens of two bytes see more text a step.
    "tour": Recipe("bpe", 512, 128, 4, 4, 128, batch=16, steps=1000, rate=3e-3, warmup=50),
    # Under half an hour on two cores: below every n-gram.
    "small": Recipe("char", 0, 128, 4, 4, 256, batch=16, steps=3000, rate=2e-3, warmup=100, evaluate_every=250),
}


def train_tokenizer(recipe: Recipe, corpus: Corpus) -> Tokenizer:
    """The recipe's tokenizer: all characters of the text, or merges learned from its training part alone."""
    if recipe.tokenizer == "char":
        return CharTokenizer.train(SEPARATOR.join(corpus.documents))
    return ByteBPE.train(corpus.split()[0], recipe.vocabulary)


class Pretraining:
    """A text, cut into tokens, the recipe, and the run folder of one training."""

    def __init__(self, corpus: Corpus, tokenizer: Tokenizer, recipe: Recipe, seed: int, run: Run | None = None):
        self.corpus, self.tokenizer, self.recipe, self.seed, self.run = corpus, tokenizer, recipe, seed, run
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

    @classmethod
    def start(cls, data: str, recipe: Recipe, folder: str | Path, seed: int = 0) -> "Pretraining":
        """A new training on the text `data` (a corpus's name, a file or a folder) with a new run folder."""
        corpus = load_corpus(data)
        pretraining = cls(corpus, train_tokenizer(recipe, corpus), recipe, seed)
        recipe.train_config(seed, threads=0)  # what cannot be is refused before a folder is made
        config = {
            "minilm": minilm.__version__,
            "kind": "gpt",
            "model": recipe.gpt_config(pretraining.tokenizer.vocab_size).to_dict(),
            "recipe": dataclasses.asdict(recipe),
            "seed": seed,
            "data": {"name": str(data), "sha256": corpus.sha256, "size": corpus.size, "licence": corpus.licence,
                     "provenance": corpus.provenance},
            "tokenizer": pretraining.tokenizer.fingerprint,
        }  # fmt: skip
        pretraining.run = Run.create(folder, config, pretraining.tokenizer)
        return pretraining

    @classmethod
    def open(cls, folder: str | Path) -> "Pretraining":
        """The training of an existing run folder. CheckpointError if its text or tokenizer is no longer the same."""
        run = Run(folder)
        try:
            recipe, data, seed = Recipe(**run.config["recipe"]), run.config["data"], run.config["seed"]
            fingerprint, recorded = run.config["tokenizer"], data["sha256"]
        except (KeyError, TypeError) as error:
            raise CheckpointError(
                tr("{folder} is no run of `minilm pretrain` ({why})", folder=folder, why=error)
            ) from error
        corpus, tokenizer = load_corpus(data["name"]), load_tokenizer(run.tokenizer)
        if corpus.sha256 != recorded:
            raise CheckpointError(
                tr(
                    "the text {name} is not what {folder} was trained on (sha256 {now:.12}…, then {then:.12}…): "
                    "restore it, or start a new run",
                    name=data["name"],
                    folder=folder,
                    now=corpus.sha256,
                    then=recorded,
                )
            )
        if tokenizer.fingerprint != fingerprint:
            raise CheckpointError(tr("{file} is not the tokenizer that this run began with", file=run.tokenizer))
        return cls(corpus, tokenizer, recipe, seed, run)

    def model(self) -> GPT:
        """The model as it begins, a pure function of the recipe and the seed."""
        return GPT(self.recipe.gpt_config(self.tokenizer.vocab_size), seed=self.seed)

    def trainer(self, threads: int = 0, show: bool = True, callback: Any = None, recompute: bool = False) -> Trainer:
        """The training, ready to begin or to resume. threads: 0 for one a physical core. recompute: of TrainConfig."""
        batches = TokenBatches(self.train_ids, self.recipe.context, self.recipe.batch, self.seed)
        validation = list(TokenBatches(self.validation_ids, self.recipe.context, self.recipe.batch).windows())
        config = self.recipe.train_config(self.seed, threads, recompute)
        return Trainer(self.model(), NextToken(), batches, config, validation, self.run, callback, show)

    def bits_per_byte(self, nats_per_token: float) -> float:
        """The unit in which models with other tokens compare, on the validation part."""
        return bits_per_byte(nats_per_token, len(self.validation_ids) - 1, self.validation_bytes)

    def final_loss(self, trainer: Trainer) -> float:
        """Nats per token over the whole validation part, every token with at least half a context before it."""
        windows = TokenBatches(self.validation_ids, self.recipe.context, self.recipe.batch)
        return trainer.evaluate(windows.windows(stride=max(1, self.recipe.context // 2)))["loss"]

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


def free_folder(wanted: str | Path) -> Path:
    """`wanted`, or with the first number that makes it new: runs/tour, runs/tour-2, …"""
    wanted = Path(wanted)
    names = itertools.chain([wanted], (wanted.with_name(f"{wanted.name}-{i}") for i in itertools.count(2)))
    return next(path for path in names if not path.exists())
