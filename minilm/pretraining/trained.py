"""A trained model out of a run folder, or a published one out of a Hugging Face folder: the model and its tokenizer."""

from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from minilm.errors import CheckpointError, ConfigError
from minilm.i18n import tr
from minilm.models.base import Model
from minilm.models.bert import BertConfig, BertForPreTraining
from minilm.models.gpt import GPT, GPTConfig
from minilm.models.huggingface import is_published
from minilm.text import load_pretrained_tokenizer
from minilm.text.tokenizer import Tokenizer, load_tokenizer
from minilm.training.run import CHECKPOINTS, Run


class Trained(NamedTuple):
    """A model in evaluation mode, the tokenizer that it was trained with, and the run that it came from, if one did."""

    model: Any
    tokenizer: Tokenizer
    run: Run | None

    @property
    def kind(self) -> str:
        """ "gpt", "bert", …"""
        return self.model.config.kind.lower()

    @property
    def data(self) -> Mapping[str, Any]:
        """What its run says of the data that it learned from."""
        return (self.run and self.run.config.get("data")) or {}


def _gpt(config: Mapping[str, Any]) -> GPT:
    return GPT(GPTConfig.from_dict(config["model"]))


def _bert(config: Mapping[str, Any]) -> BertForPreTraining:
    next_sentence = config.get("recipe", {}).get("next_sentence", True)
    return BertForPreTraining(BertConfig.from_dict(config["model"]), next_sentence=next_sentence)


MODELS: dict[str, Callable[[Mapping[str, Any]], Any]] = {"gpt": _gpt, "bert": _bert}


def load_trained(
    path: str | Path, kind: str | Collection[str] | None = None, on_notice: Callable[[str], None] | None = None
) -> Trained:
    """What a run folder (its newest checkpoint), a checkpoint within one, or a Hugging Face folder holds.

    kind: the only one wanted, or those. on_notice: as for `Model.from_pretrained`. CheckpointError where there is none,
    a file is damaged, or weights, settings and vocabulary do not belong together; DataError for a published tokenizer
    that cannot be used; ConfigError for a model of another kind.
    """
    path = Path(path)
    if not path.is_dir():
        raise CheckpointError(
            tr("there is no run or model {path}: give a folder that a training made, or one of Hugging Face's",
               path=path)
        )  # fmt: skip
    wanted = (kind,) if isinstance(kind, str) else kind
    return _published(path, wanted, on_notice) if is_published(path) else _of_run(path, wanted)


def _published(path: Path, wanted: Collection[str] | None, on_notice: Callable[[str], None] | None) -> Trained:
    trained = Trained(Model.from_pretrained(path, on_notice), load_pretrained_tokenizer(path), None)
    _check_kind(path, trained.kind, wanted)
    return trained


def _of_run(path: Path, wanted: Collection[str] | None) -> Trained:
    within = path.resolve().parent
    checkpoint = path.resolve().name if within.name == CHECKPOINTS else None
    run = Run(within.parent if checkpoint else path)
    found = run.config.get("kind", "gpt")
    if found not in MODELS or not isinstance(run.config.get("model"), dict):
        raise CheckpointError(
            tr("{folder}: its config.json describes no model of a kind that is known ({kinds})", folder=run.folder,
               kinds=", ".join(MODELS))
        )  # fmt: skip
    _check_kind(run.folder, found, wanted)
    tokenizer = load_tokenizer(run.tokenizer)
    if tokenizer.fingerprint != run.config.get("tokenizer", tokenizer.fingerprint):
        raise CheckpointError(
            tr("{file} is not the tokenizer that this model was trained with: restore it", file=run.tokenizer)
        )
    model = MODELS[found](run.config)
    model.load_state_dict(run.load(checkpoint).weights)
    return Trained(model.eval(), tokenizer, run)


def _check_kind(folder: Path, found: str, wanted: Collection[str] | None) -> None:
    if wanted is not None and found not in wanted:
        raise ConfigError(
            tr("{folder} is a {got}, but this needs a {wanted}: give another run", folder=folder, got=found.upper(),
               wanted="/".join(kind.upper() for kind in wanted))
        )  # fmt: skip
