"""The comparisons of the papers, as arms of an experiment, and Mundito's tasks to make them on.

pretraining   scratch, pretrained                                       Radford et al. 2018, tables 2 to 5
auxiliary     pretrained, and with the language model's loss beside     Radford et al. 2018, table 5
layers        nothing, the embeddings, the first block, … all           Radford et al. 2018, figure 2 left
features      random features, embeddings, layers, fine-tuned           Devlin et al. 2019, table 7
frozen        the lowest layers frozen, none to all
"""

from collections.abc import Sequence
from typing import Any

from minilm.errors import ConfigError
from minilm.i18n import tr
from minilm.mundito import Mundito, MunditoConfig
from minilm.mundito import tasks as mundito
from minilm.transfer.examples import Example, Task
from minilm.transfer.experiment import Arm, Data
from minilm.transfer.pretrained import Pretrained

COMPARISONS = ("pretraining", "auxiliary", "layers", "features", "frozen")
FEATURE_RATES = (3e-3, 1e-2, 3e-2)  # a linear layer alone bears, and needs, higher ones
TRAIN, DEV, TEST = 1000, 1, 2  # seeds of Mundito's examples: those to learn from have TRAIN + the run's seed

TASKS = {
    "sentiment": Task("classify", mundito.SENTIMENT),
    "entailment": Task("classify", mundito.ENTAILMENT),
    "questions": Task("spans", question_first=False),
    "tagging": Task("tag", mundito.TAGS),
}


def arms_of(comparison: str, layers: int, models: Sequence[str] = ("pretrained",), auxiliary: float = 0.5) -> list[Arm]:
    """The arms of a comparison, for models of that many blocks, the one that others are set against first."""
    if comparison not in COMPARISONS:
        raise ConfigError(tr("compare is {got!r}; choose one of {known}", got=comparison, known=", ".join(COMPARISONS)))
    found = []
    for model in models:
        prefix = "" if len(models) == 1 else f"{model}: "
        for arm in _arms(comparison, layers, auxiliary):
            name, title = prefix + arm.pop("name"), prefix + arm.pop("title")
            found.append(Arm(name, model, title=title, **arm))
    return found


def _arms(comparison: str, layers: int, auxiliary: float) -> list[dict[str, Any]]:
    whole: dict[str, Any] = {"name": "pretrained", "title": tr("pretrained")}
    if comparison == "pretraining":
        return [{"name": "scratch", "title": tr("from scratch"), "layers": None}, whole]
    if comparison == "auxiliary":
        title = tr("with language loss {weight:g}", weight=auxiliary)
        return [whole, {"name": f"auxiliary {auxiliary:g}", "title": title, "auxiliary": auxiliary}]
    if comparison == "layers":
        some = [{"name": f"layers {n}", "title": layers_name(n), "layers": n} for n in (None, *range(layers))]
        return [*some, {"name": "layers all", "title": tr("all layers"), "layers": "all"}]
    if comparison == "frozen":
        some = [
            {"name": f"frozen {n}", "title": tr("frozen: {what}", what=layers_name(n)), "frozen": n}
            for n in (None, *range(layers + 1))
        ]
        return [*some, {"name": "frozen all", "title": tr("only the head is learned"), "frozen": "all"}]
    every = tuple(range(1, layers + 1))
    linear: dict[str, Any] = {"rates": FEATURE_RATES}
    random = {"name": "features random", "title": tr("random features"), "layers": None, "features": every}
    return [
        {**random, **linear},
        {"name": "features embeddings", "title": tr("features: embeddings"), "features": (0,), **linear},
        {"name": "features layers", "title": tr("features: layers"), "features": every, **linear},
        {"name": "fine-tuned", "title": tr("fine-tuned")},
    ]


def layers_name(layers: int | None) -> str:
    """What is taken over, in words."""
    if layers is None:
        return tr("nothing")
    return tr("embeddings") if layers == 0 else tr("embeddings + {n}", n=layers)


def mundito_data(world: Mundito, name: str, dev: int = 300, test: int = 1000) -> Data:
    """A task of Mundito by its name: examples drawn anew for each seed."""
    if name not in TASKS:
        raise ConfigError(tr("task is {got!r}; choose one of {known}", got=name, known=", ".join(TASKS)))

    def draw(count: int, seed: int) -> list[Example]:
        return [Example(e.text, e.label, e.second) for e in mundito.examples(world, name, count, seed)]

    return Data(
        f"mundito {world.config} {name} dev {dev} test {test}",
        TASKS[name],
        lambda count, seed: draw(count, TRAIN + seed),
        draw(dev, DEV),
        draw(test, TEST),
    )


def world_of(pretrained: Pretrained) -> Mundito:
    """The Mundito that a model was pretrained on: as its run says, else the first one with its vocabulary. ConfigError
    where it was none."""
    world = pretrained.data.get("world")
    configs = [MunditoConfig(language=language) for language in ("es", "en")]
    for config in [MunditoConfig(**world)] if isinstance(world, dict) else configs:
        found = Mundito(config)
        if found.tokenizer().fingerprint == pretrained.tokenizer.fingerprint:
            return found
    raise ConfigError(
        tr(
            "this model was not pretrained on mundito, whose tasks these are; for texts of your own use "
            "`minilm finetune`"
        )
    )
