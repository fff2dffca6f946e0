"""A trained model out of a run folder, whichever kind it is: the model, its tokenizer, and the run."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from minilm.errors import CheckpointError, ConfigError
from minilm.i18n import tr
from minilm.models.bert import BertConfig, BertForPreTraining
from minilm.models.gpt import GPT, GPTConfig
from minilm.text.tokenizer import Tokenizer, load_tokenizer
from minilm.training.run import CHECKPOINTS, Run


class Trained(NamedTuple):
    """A model in evaluation mode, the tokenizer that it was trained with, and the run that it came from."""

    model: Any
    tokenizer: Tokenizer
    run: Run

    @property
    def kind(self) -> str:
        """ "gpt" or "bert"."""
        return self.model.config.kind.lower()

    @property
    def data(self) -> Mapping[str, Any]:
        """What its run says of the data that it learned from."""
        return self.run.config.get("data") or {}


def _gpt(config: Mapping[str, Any]) -> GPT:
    return GPT(GPTConfig.from_dict(config["model"]))


def _bert(config: Mapping[str, Any]) -> BertForPreTraining:
    next_sentence = config.get("recipe", {}).get("next_sentence", True)
    return BertForPreTraining(BertConfig.from_dict(config["model"]), next_sentence=next_sentence)


MODELS: dict[str, Callable[[Mapping[str, Any]], Any]] = {"gpt": _gpt, "bert": _bert}


def load_trained(path: str | Path, kind: str | None = None) -> Trained:
    """What a run folder (its newest checkpoint) or a checkpoint within one holds. kind: the only one wanted.

    CheckpointError where there is none, a file is damaged, or weights, settings and vocabulary do not belong together;
    ConfigError for a model of another kind.
    """
    path = Path(path)
    if not path.is_dir():
        raise CheckpointError(tr("there is no run or checkpoint {path}: give a folder that a training made", path=path))
    within = path.resolve().parent
    checkpoint = path.resolve().name if within.name == CHECKPOINTS else None
    run = Run(within.parent if checkpoint else path)
    found = run.config.get("kind", "gpt")
    if found not in MODELS or not isinstance(run.config.get("model"), dict):
        raise CheckpointError(
            tr("{folder}: its config.json describes no model of a kind that is known ({kinds})", folder=run.folder,
               kinds=", ".join(MODELS))
        )  # fmt: skip
    _check_kind(run.folder, found, kind)
    tokenizer = load_tokenizer(run.tokenizer)
    if tokenizer.fingerprint != run.config.get("tokenizer", tokenizer.fingerprint):
        raise CheckpointError(
            tr("{file} is not the tokenizer that this model was trained with: restore it", file=run.tokenizer)
        )
    model = MODELS[found](run.config)
    model.load_state_dict(run.load(checkpoint).weights)
    return Trained(model.eval(), tokenizer, run)


def _check_kind(folder: Path, found: str, wanted: str | None) -> None:
    if wanted is not None and found != wanted:
        raise ConfigError(
            tr("{folder} is a {got}, but this needs a {wanted}: give another run", folder=folder, got=found.upper(),
               wanted=wanted.upper())
        )  # fmt: skip
