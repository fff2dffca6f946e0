"""A pretraining: a kind of model, by its recipe, on a source, in a run folder that keeps what comes of it."""

import dataclasses
import itertools
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import minilm
from minilm.errors import CheckpointError
from minilm.filling import fill_positions, token_text
from minilm.i18n import tr
from minilm.mundito.world import MunditoConfig
from minilm.pretraining.recipes import KINDS, BaseRecipe
from minilm.pretraining.sources import Source, new_source, open_source
from minilm.text.inputs import encode_pair
from minilm.text.tokenizer import load_tokenizer
from minilm.training.ranks import ALONE, Alone
from minilm.training.run import Run
from minilm.training.trainer import Trainer


class Pretraining:
    """`data` is what the model learns from (see data.py), made when first asked for; `final` scores it at the end."""

    def __init__(self, source: Source, recipe: BaseRecipe, seed: int, run: Run | None = None):
        self.source, self.recipe, self.seed, self.run = source, recipe, seed, run
        self.tokenizer = source.tokenizer

    @classmethod
    def start(
        cls, data: str | Path | MunditoConfig, recipe: BaseRecipe, folder: str | Path, seed: int = 0
    ) -> "Pretraining":
        """A new training with a new run folder. data: a corpus's name, a file or a folder, "mundito" or its config.

        What cannot be is refused before the folder is made.
        """
        return cls.begin(*new_source(data, recipe), folder, seed)

    @classmethod
    def begin(cls, source: Source, recipe: BaseRecipe, folder: str | Path, seed: int = 0) -> "Pretraining":
        """The same on a source that is already there."""
        pretraining = cls(source, recipe, seed)
        recipe.train_config(seed, threads=0)
        model = recipe.model_config(source.tokenizer.vocab_size)
        _ = pretraining.data
        config = {
            "minilm": minilm.__version__,
            "kind": recipe.kind,
            "model": model.to_dict(),
            "recipe": dataclasses.asdict(recipe),
            "seed": seed,
            "data": source.description(),
            "tokenizer": source.tokenizer.fingerprint,
        }
        pretraining.run = Run.create(folder, config, source.tokenizer, f"minilm pretrain {recipe.kind}")
        return pretraining

    @classmethod
    def open(cls, folder: str | Path) -> "Pretraining":
        """The training of an existing run folder. CheckpointError if its source or tokenizer is no longer the same."""
        run = Run(folder)
        try:
            recipe = KINDS[run.config.get("kind", "gpt")](**run.config["recipe"])
            data, seed, fingerprint = run.config["data"], run.config["seed"], run.config["tokenizer"]
            source = open_source(data, load_tokenizer(run.tokenizer), Path(folder))
        except (KeyError, TypeError) as error:
            raise CheckpointError(
                tr("{folder} is no run of `minilm pretrain` ({why})", folder=folder, why=error)
            ) from error
        if source.tokenizer.fingerprint != fingerprint:
            raise CheckpointError(tr("{file} is not the tokenizer that this run began with", file=run.tokenizer))
        return cls(source, recipe, seed, run)

    @cached_property
    def data(self) -> Any:
        """What the model learns from and is scored on, a pure function of source, recipe and seed."""
        return self.recipe.data(self.source, self.seed)

    def model(self) -> Any:
        """The model as it begins, a pure function of the recipe and the seed."""
        return self.recipe.model(self.tokenizer.vocab_size, self.seed)

    def trainer(
        self,
        threads: int = 0,
        show: bool = True,
        callback: Any = None,
        recompute: bool = False,
        ranks: Alone = ALONE,
    ) -> Trainer:
        """The training, ready to begin or to resume. threads: 0 for one a physical core. recompute: of TrainConfig.
        ranks: the processes that train together (training/ranks.py)."""
        config, data = self.recipe.train_config(self.seed, threads, recompute), self.data
        how: tuple[Any, ...] = (data.validation, self.run, callback, show, ranks)
        return Trainer(self.model(), data.objective, data.batches, config, *how)

    def final(self, trainer: Trainer) -> dict[str, float]:
        """How the trained model is scored, on what it did not learn from: see the `final` of what it reads."""
        return self.data.final(trainer)

    def final_loss(self, trainer: Trainer) -> float:
        """The loss of `final`; of a GPT in nats per token."""
        return self.final(trainer)["loss"]

    def guesses(self, model: Any, count: int = 6) -> "list[Guess]":
        """What a BERT makes of words that are hidden from it, beside what can be known of them where that is known."""
        special, tokenizer = self.tokenizer.special_tokens, self.tokenizer
        found = []
        for ids, position, truth in self.source.hidden_words(self.recipe, self.seed, count):  # type: ignore[arg-type]
            masked = [*ids[:position], special["[MASK]"], *ids[position + 1 :]]
            (p,) = fill_positions(model, encode_pair(tokenizer, masked, max_length=self.recipe.context), [position + 1])
            found.append(Guess(masked, token_text(tokenizer, ids[position]), p, truth))
        return found

    # ---- of a GPT on a text, which alone has them

    corpus = property(lambda self: self.source.corpus, doc="The text.")
    train_ids = property(lambda self: self.data.train_ids, doc="The tokens of its training part, (N,).")
    validation_ids = property(lambda self: self.data.validation_ids, doc="The tokens of its validation part, (M,).")

    def bits_per_byte(self, nats_per_token: float) -> float:
        """The unit in which models with other tokens compare, on the validation part."""
        return self.data.bits_per_byte(nats_per_token)

    def ngrams(self, orders: range = range(1, 7)) -> list[dict[str, Any]]:
        """Kneser-Ney models of the very same text: see TextTokens."""
        return self.data.ngrams(orders)


class Guess(NamedTuple):
    """A text's ids with a [MASK], the word that stood there, the model's distribution (V,), the true one or None."""

    ids: list[int]
    word: str
    distribution: np.ndarray
    truth: np.ndarray | None


def free_folder(wanted: str | Path) -> Path:
    """`wanted`, or with the first number that makes it new: runs/tour, runs/tour-2, …"""
    wanted = Path(wanted)
    names = itertools.chain([wanted], (wanted.with_name(f"{wanted.name}-{i}") for i in itertools.count(2)))
    return next(path for path in names if not path.exists())
