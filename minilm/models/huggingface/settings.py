"""A published config.json, read so that no setting is passed over: it is taken, required, kept, or refused by name."""

from collections.abc import Mapping
from typing import Any

from minilm.errors import ConfigError
from minilm.i18n import tr

# Their names of activations -> ours. Those that share one of ours are one formula in several spellings.
ACTIVATIONS = {
    "gelu": "gelu",
    "gelu_python": "gelu",
    "gelu_new": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "gelu_python_tanh": "gelu_tanh",
    "gelu_accurate": "gelu_tanh",
    "gelu_fast": "gelu_tanh",
    "relu": "relu",
    "silu": "silu",
    "swish": "silu",
}

# How a model was made or is run, not what it computes.
OF_NO_EFFECT = (
    "_name_or_path", "architectures", "chunk_size_feed_forward", "dtype", "gradient_checkpointing", "model_type",
    "name_or_path", "output_attentions", "output_hidden_states", "output_past", "return_dict", "torch_dtype",
    "torchscript", "transformers_version", "use_cache",
)  # fmt: skip
# Which tokens are special, what labels are called, how to generate: others read them, so they are written again.
KEPT = (
    "bos_token_id", "cls_token_id", "decoder_start_token_id", "do_sample", "eos_token_id", "finetuning_task",
    "id2label", "label2id", "length_penalty", "mask_token_id", "max_length", "min_length", "no_repeat_ngram_size",
    "num_beams", "num_labels", "pad_token_id", "prefix", "problem_type", "repetition_penalty", "sep_token_id",
    "task_specific_params", "temperature", "tokenizer_class", "top_k", "top_p", "unk_token_id",
)  # fmt: skip
# What is built nowhere here, unless a family asks for it itself.
NOT_BUILT: dict[str, tuple[Any, ...]] = {
    "add_cross_attention": (False,),
    "cross_attention_hidden_size": (None,),
    "is_decoder": (False,),
    "is_encoder_decoder": (False,),
    "pruned_heads": ({}, None),
    "tie_encoder_decoder": (False,),
    "use_bfloat16": (False,),
}

_NOTHING = object()


class Settings:
    """The settings of a config.json. `published` is what says nothing of the shape and is kept as it was."""

    def __init__(self, theirs: Mapping[str, Any]):
        self._theirs = dict(theirs)
        self._known: set[str] = set()
        self.published: dict[str, Any] = {}

    def __contains__(self, name: str) -> bool:
        return name in self._theirs

    def take(self, name: str, default: Any = _NOTHING) -> Any:
        """The value of a setting; the default, theirs, if it is not given; without one, a ConfigError."""
        self._known.add(name)
        if name not in self._theirs and default is _NOTHING:
            raise ConfigError(tr("it lacks {name}, which a {kind} needs", name=name, kind=self.kind))
        return self._theirs.get(name, default)

    def require(self, name: str, *wanted: Any) -> None:
        """ConfigError unless the setting is not given or has one of these values: no other one is built here."""
        self._known.add(name)
        got = self._theirs.get(name, wanted[0])
        if got not in wanted:
            raise ConfigError(
                tr("{name} is {got!r}; minilm builds models with {wanted} only", name=name, got=got,
                   wanted=", ".join(map(repr, wanted)))
            )  # fmt: skip

    def ignore(self, *names: str) -> None:
        """These change nothing that is computed."""
        self._known.update(names)

    def keep(self, *names: str) -> None:
        """These change nothing that is computed here, but are of use to others: `published` has them."""
        self._known.update(names)
        self.published |= {name: self._theirs[name] for name in names if name in self._theirs}

    def activation(self, name: str, default: str, known: Mapping[str, str] = ACTIVATIONS) -> str:
        """Our name of an activation; theirs is kept, as several of them are one formula."""
        got = self.take(name, default)
        if not isinstance(got, str) or got not in known:
            raise ConfigError(
                tr("{name} is {got!r}; minilm builds models with {wanted} only", name=name, got=got,
                   wanted=", ".join(map(repr, known)))
            )  # fmt: skip
        self.keep(name)
        return known[got]

    def finish(self) -> None:
        """ConfigError that names every setting which nobody asked for."""
        self.ignore(*OF_NO_EFFECT)
        self.keep(*KEPT)
        for name in NOT_BUILT.keys() - self._known:
            self.require(name, *NOT_BUILT[name])
        if unknown := sorted(set(self._theirs) - self._known):
            raise ConfigError(
                tr("a {kind} here has no setting {names}: nothing is known of what it would change, so the model is "
                   "not loaded", kind=self.kind, names=", ".join(unknown))
            )  # fmt: skip

    @property
    def kind(self) -> str:
        """ "model_type"."""
        return str(self._theirs.get("model_type"))


def their_activation(ours: str, known: Mapping[str, str] = ACTIVATIONS) -> str:
    """The first of their names for an activation of ours; ConfigError if none is."""
    for name, found in known.items():
        if found == ours:
            return name
    raise ConfigError(
        tr("activation is {got!r}, which no published model of this kind has: it cannot be saved for Hugging Face",
           got=ours)
    )  # fmt: skip
