"""What a sweep is: where its text comes from, what its models share, which families of them are trained.

The settings are those of a TOML file; configs/facts.toml, the default, says what each means.
"""

import dataclasses
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from minilm.errors import ConfigError
from minilm.i18n import tr
from minilm.mundito.world import MunditoConfig

CONFIGS = Path(__file__).with_name("configs")
MUNDITO = "mundito"


@dataclass(frozen=True)
class SourceSettings:
    """data: "mundito", or a text's name, file or folder. language, world, facts, tails: Mundito's alone.
    tokenizer, vocabulary: a text's alone."""

    data: str = MUNDITO
    language: str = "es"
    world: int = 0
    facts: bool = True
    tails: tuple[float, ...] = (1.0,)
    tokenizer: str = "char"
    vocabulary: int = 0

    def __post_init__(self) -> None:
        if self.data == MUNDITO:
            _rising("tails", sorted(self.tails))
            for tail in self.tails:
                MunditoConfig(self.language, self.world, tail, self.facts)


@dataclass(frozen=True)
class ModelSettings:
    layers: int = 2
    context: int = 32
    head_width: int = 16

    def __post_init__(self) -> None:
        _check_whole(self, 1, "layers", "context", "head_width")

    def heads(self, width: int) -> int:
        """The most heads of at least `head_width` that divide the width; one, if it is narrower."""
        return next(h for h in range(max(1, width // self.head_width), 0, -1) if width % h == 0)


@dataclass(frozen=True)
class TrainingSettings:
    """The peak of the learning rate is min(rate, rate_by_width / width); warmup: the share of the steps."""

    seeds: int = 3
    batch_tokens: int = 2048
    rate: float = 0.06
    rate_by_width: float = 0.5
    warmup: float = 0.05
    decay: float = 0.1
    dropout: float = 0.0

    def __post_init__(self) -> None:
        _check_whole(self, 1, "seeds", "batch_tokens")
        for name in ("rate", "rate_by_width"):
            _check(name, getattr(self, name), getattr(self, name) > 0, tr("a number above 0"))
        for name in ("warmup", "dropout"):
            _check(name, getattr(self, name), 0 <= getattr(self, name) < 1, tr("a share from 0 to below 1"))


@dataclass(frozen=True)
class EvaluationSettings:
    rows: int = 512
    times: int = 10

    def __post_init__(self) -> None:
        _check_whole(self, 2, "rows")
        _check_whole(self, 1, "times")


@dataclass(frozen=True)
class Sizes:
    """N at fixed D."""

    widths: tuple[int, ...]
    tokens: int

    def __post_init__(self) -> None:
        _rising("widths", self.widths)
        _check_whole(self, 1, "tokens")


@dataclass(frozen=True)
class Data:
    """D at fixed N."""

    width: int
    tokens: tuple[int, ...]

    def __post_init__(self) -> None:
        _check_whole(self, 1, "width")
        _rising("tokens", self.tokens)


@dataclass(frozen=True)
class IsoFlop:
    """For each budget of FLOPs every size, with as many tokens as it pays (Hoffmann et al. 2022, approach 2)."""

    flops: tuple[float, ...]
    widths: tuple[int, ...]

    def __post_init__(self) -> None:
        _rising("flops", self.flops)
        _rising("widths", self.widths)


@dataclass(frozen=True)
class Batches:
    """The same data in fewer, larger steps."""

    width: int
    tokens: int
    batch_tokens: tuple[int, ...]

    def __post_init__(self) -> None:
        _check_whole(self, 1, "width", "tokens")
        _rising("batch_tokens", self.batch_tokens)


Family = Sizes | Data | IsoFlop | Batches
KINDS: dict[str, type[Family]] = {"sizes": Sizes, "data": Data, "isoflop": IsoFlop, "batches": Batches}
SECTIONS = {"source": SourceSettings, "model": ModelSettings, "training": TrainingSettings,
            "evaluation": EvaluationSettings}  # fmt: skip


@dataclass(frozen=True)
class Sweep:
    """Everything that decides what a sweep trains. Two sweeps of the same settings give the same table."""

    title: str
    families: tuple[Family, ...]
    source: SourceSettings = field(default_factory=SourceSettings)
    model: ModelSettings = field(default_factory=ModelSettings)
    training: TrainingSettings = field(default_factory=TrainingSettings)
    evaluation: EvaluationSettings = field(default_factory=EvaluationSettings)

    def with_seeds(self, seeds: int) -> "Sweep":
        """The same for another number of seeds."""
        return dataclasses.replace(self, training=dataclasses.replace(self.training, seeds=seeds))

    def as_json(self) -> dict[str, Any]:
        """The settings as the TOML file has them."""
        kinds = {kind: name for name, kind in KINDS.items()}
        sections = {name: dataclasses.asdict(getattr(self, name)) for name in SECTIONS}
        families = [{"kind": kinds[type(one)], **dataclasses.asdict(one)} for one in self.families]
        return {"title": self.title, **sections, "families": families}


def named() -> list[str]:
    """The sweeps that come with minilm."""
    return sorted(path.stem for path in CONFIGS.glob("*.toml"))


def read_sweep(config: str | Path) -> Sweep:
    """The sweep of that name, or of that TOML file. ConfigError names what cannot be."""
    path = CONFIGS / f"{config}.toml" if str(config) in named() else Path(config)
    if not path.is_file():
        raise ConfigError(
            tr("there is no sweep {got}: give a TOML file, or one of {names}", got=config, names=", ".join(named()))
        )
    try:
        settings = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(tr("{path} is no TOML file: {problem}", path=path, problem=error)) from error
    settings.setdefault("title", path.stem)
    return sweep_of(settings, str(path))


def sweep_of(settings: Mapping[str, Any], where: str) -> Sweep:
    """The sweep of these settings; `where` they are from, for messages."""
    _known(settings, ("title", "families", *SECTIONS), where)
    families = settings.get("families")
    if not isinstance(families, list) or not families:
        raise ConfigError(tr("{where} has no [[families]]: say what to train", where=where))
    sections = {
        name: _made(kind, settings.get(name, {}), f"{where} [{name}]") for name, kind in SECTIONS.items()
    }  # fmt: skip
    made = tuple(_family(one, f"{where} [[families]] {i}") for i, one in enumerate(families, 1))
    return Sweep(str(settings.get("title", "sweep")), made, **sections)


def _family(settings: Any, where: str) -> Family:
    kind = settings.get("kind") if isinstance(settings, Mapping) else None
    if kind not in KINDS:
        raise ConfigError(
            tr("{where}: kind is {got!r}; choose one of {names}", where=where, got=kind, names=", ".join(KINDS))
        )
    return _made(KINDS[kind], {name: value for name, value in settings.items() if name != "kind"}, where)


def _made(kind: Any, settings: Any, where: str) -> Any:
    """An object of that class; lists become tuples. ConfigError for a name or type that is not its own."""
    if not isinstance(settings, Mapping):
        raise ConfigError(tr("{where} is {got!r}; it must be a table of settings", where=where, got=settings))
    fields = {one.name: one for one in dataclasses.fields(kind)}
    _known(settings, tuple(fields), where)
    if missing := [
        name for name, one in fields.items()
        if name not in settings and one.default is dataclasses.MISSING
    ]:  # fmt: skip
        raise ConfigError(tr("{where} lacks {missing}", where=where, missing=", ".join(missing)))
    values = {name: tuple(value) if isinstance(value, list) else value for name, value in settings.items()}
    for name, value in values.items():
        _check_type(f"{where}: {name}", value, fields[name].type)
    return kind(**values)


TYPES: dict[Any, tuple[Any, str]] = {
    int: ((int,), "3"), float: ((int, float), "0.5"), bool: ((bool,), "true"), str: ((str,), '"es"'),
    tuple[int, ...]: ((int,), "[1, 2, 3]"), tuple[float, ...]: ((int, float), "[1.0, 2.0]"),
}  # fmt: skip


def _check_type(name: str, value: Any, wanted: Any) -> None:
    allowed, example = TYPES[wanted]
    many = wanted not in (int, float, bool, str)
    values = value if many and isinstance(value, tuple) else () if many else (value,)
    fits = [isinstance(one, allowed) and isinstance(one, bool) == (wanted is bool) for one in values]
    if not fits or not all(fits):
        shown = list(value) if isinstance(value, tuple) else value
        raise ConfigError(tr("{name} is {got!r}; write it like {example}", name=name, got=shown, example=example))


def _known(settings: Mapping[str, Any], names: tuple[str, ...], where: str) -> None:
    if wrong := [name for name in settings if name not in names]:
        raise ConfigError(
            tr("{where} has a setting {got} that is not known; there are {names}", where=where, got=wrong[0],
               names=", ".join(names))
        )  # fmt: skip


def _check(name: str, got: Any, right: bool, wanted: str) -> None:
    if not right:
        raise ConfigError(tr("{name} is {got!r}; wanted {wanted}", name=name, got=got, wanted=wanted))


def _check_whole(settings: Any, least: int, *names: str) -> None:
    for name in names:
        got = getattr(settings, name)
        _check(name, got, isinstance(got, int) and got >= least, tr("a whole number from {least} up", least=least))


def _rising(name: str, values: Any) -> None:
    rises = len(values) > 0 and values[0] > 0 and all(a < b for a, b in zip(values, values[1:], strict=False))
    _check(name, list(values), rises, tr("numbers above 0, from the smallest to the largest"))
