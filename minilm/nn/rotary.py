"""Rotary positions (Su et al. 2021): by what angles a position turns, and how models read further than they learned.

    a head's pair i of position t turns by t f_i,   f_i = θ^(−2i/K),   i = 0 … K/2 − 1

The first pairs turn fast and tell neighbours apart, the last ones slowly and tell far from near. Read further than a
model learned, the slow ones come to angles that it never saw; each scaling below bends the frequencies f against that.
"""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

from minilm import functional as F
from minilm.backend import asarray, extremes, xp
from minilm.errors import ConfigError
from minilm.i18n import tr


class Rotation(NamedTuple):
    """cos and sin of the angles of some positions, to be broadcast to (B, H, T, K/2)."""

    cos: Any
    sin: Any

    def turn(self, x: Any) -> Any:
        """Queries or keys (B, H, T, K) of these positions, turned."""
        return F.rotary(x, self.cos, self.sin)


class Rotary:
    """The rotations of positions, for heads of width K: cos and sin of t f_i, times the scaling's amplitude.

    Angles are computed in float64 and rounded to the dtype asked for last of all. ConfigError unless K is even.
    """

    def __init__(self, head_width: int, theta: float = 1e4, scaling: "Scaling | None" = None):
        if head_width % 2:
            raise ConfigError(
                tr("head_width is {got}; rotary positions turn pairs of features, so it must be even", got=head_width)
            )
        self.head_width, self.theta, self.scaling = head_width, theta, scaling or Scaling()
        self.scaling.check(head_width)

    def stage(self, positions: Any) -> int:
        """A number for the frequencies of a text with these positions: texts of one stage turn alike."""
        return self.scaling.stage(extremes(positions)[1] + 1) if self.scaling.varies else 0

    def __call__(self, positions: Any, dtype: Any) -> Rotation:
        """positions: integers (T,), the same for each row, or (B, T), the text's last one (of any row) among them."""
        frequencies = self.scaling.frequencies(self.theta, self.head_width, self.stage(positions))  # (K/2,)
        angles = asarray(positions)[..., None] * frequencies
        if angles.ndim == 3:
            angles = angles[:, None]  # (B, 1, T, K/2), the same for each head
        cos, sin = (self.scaling.amplitude * f(angles) for f in (xp.cos, xp.sin))
        return Rotation(asarray(cos, dtype), asarray(sin, dtype))


# --------------------------------------------------------------------------------------------------------- scalings


@dataclass(frozen=True)
class Scaling:
    """None at all: f_i = θ^(−2i/K) at every length. Source: Su et al. 2021, section 3.2.2."""

    kind: ClassVar[str] = "default"
    varies: ClassVar[bool] = False

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            got, optional = getattr(self, field.name), field.default is None
            if field.type is not bool and not (got is None and optional):
                for number in got if isinstance(got, tuple) else (got,):
                    _check_positive(self.kind, field.name, number)

    @property
    def amplitude(self) -> float:
        """What cos and sin are multiplied by; attention's scores by its square."""
        return 1.0

    def stage(self, length: int) -> int:
        """What of a text's length its frequencies depend on."""
        return 0

    def frequencies(self, theta: float, K: int, stage: int) -> Any:
        """f (K/2,) in float64, for texts of that stage."""
        return theta ** (-xp.arange(0, K, 2) / K)

    def check(self, K: int) -> None:
        """ConfigError for a setting that does not suit heads of width K."""

    def to_dict(self) -> dict[str, Any]:
        """The settings as JSON has them."""
        return {"kind": self.kind, **dataclasses.asdict(self)}


@dataclass(frozen=True)
class LinearScaling(Scaling):
    """f_i / factor: positions squeezed between those that were learned. Source: Chen et al. 2023, equation 4."""

    kind: ClassVar[str] = "linear"
    factor: float

    def frequencies(self, theta: float, K: int, stage: int) -> Any:
        return super().frequencies(theta, K, stage) / self.factor


@dataclass(frozen=True)
class DynamicScaling(Scaling):
    """θ grown with the length S beyond the original context C, so that the fast pairs stay as they are:
    θ · (factor · S/C − (factor − 1))^(K/(K−2)), S at least C.

    Source: "NTK-aware", bloc97 and emozilla 2023, told in Peng et al. 2023, sections 3.1 and 3.3.
    """

    kind: ClassVar[str] = "dynamic"
    varies: ClassVar[bool] = True
    factor: float
    original_context: int

    def stage(self, length: int) -> int:
        return max(length, self.original_context)

    def frequencies(self, theta: float, K: int, stage: int) -> Any:
        stretch = self.factor * stage / self.original_context - (self.factor - 1)
        return super().frequencies(theta * stretch ** (K / (K - 2)), K, stage)

    def check(self, K: int) -> None:
        if K < 4:
            raise ConfigError(tr("rope_scaling dynamic: head_width is {got}; it must be at least 4", got=K))


@dataclass(frozen=True)
class YarnScaling(Scaling):
    """f_i where a pair turns more than beta_fast times within the original context C, f_i / factor where fewer than
    beta_slow times, in between a straight line in i; scores a little sharper.

    Turns r within C are those of pair d(r) = K ln(C / 2πr) / (2 ln θ), rounded outwards if truncate.
    amplitude: attention_factor if given; else m(mscale) / m(mscale_all_dim) if both are, else m(1), with
    m(s) = 0.1 s ln factor + 1. Source: Peng et al. 2023, sections 3.2 and 3.4; the two mscales: DeepSeek-V2's code.
    """

    kind: ClassVar[str] = "yarn"
    factor: float
    original_context: int
    attention_factor: float | None = None
    beta_fast: float = 32.0
    beta_slow: float = 1.0
    mscale: float | None = None
    mscale_all_dim: float | None = None
    truncate: bool = True

    @property
    def amplitude(self) -> float:
        if self.attention_factor is not None:
            return self.attention_factor
        if self.mscale and self.mscale_all_dim:
            return self._sharper(self.mscale) / self._sharper(self.mscale_all_dim)
        return self._sharper(1.0)

    def _sharper(self, mscale: float) -> float:
        return 0.1 * mscale * math.log(self.factor) + 1 if self.factor > 1 else 1.0

    def frequencies(self, theta: float, K: int, stage: int) -> Any:
        f = super().frequencies(theta, K, stage)
        first, last = (
            K * math.log(self.original_context / (2 * math.pi * turns)) / (2 * math.log(theta))
            for turns in (self.beta_fast, self.beta_slow)
        )
        if self.truncate:
            first, last = math.floor(first), math.ceil(last)
        first, last = max(first, 0), min(last, K - 1)
        share = (xp.arange(K // 2) - first) / ((last - first) or 0.001)
        share = share.clip(0, 1)  # of what is divided by factor
        return f / self.factor * share + f * (1 - share)


@dataclass(frozen=True)
class Llama3Scaling(Scaling):
    """f_i where a wave 2π/f_i is shorter than C / high_freq_factor, f_i / factor where longer than
    C / low_freq_factor, in between a mixture that is a straight line in C / wave, the number of turns within C.

    C: original_context. Source: the code of LLaMA 3.1 (Meta's llama-models, `apply_scaling`).
    """

    kind: ClassVar[str] = "llama3"
    factor: float
    low_freq_factor: float
    high_freq_factor: float
    original_context: int

    def frequencies(self, theta: float, K: int, stage: int) -> Any:
        f = super().frequencies(theta, K, stage)
        turns = self.original_context * f / (2 * math.pi)  # within the original context
        share = (turns - self.low_freq_factor) / (self.high_freq_factor - self.low_freq_factor)
        share = share.clip(0, 1)  # of what stays as it is
        return (1 - share) * f / self.factor + share * f

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.high_freq_factor > self.low_freq_factor:
            raise ConfigError(
                tr(
                    "rope_scaling llama3: high_freq_factor is {high}; it must be above low_freq_factor, {low}",
                    high=self.high_freq_factor,
                    low=self.low_freq_factor,
                )
            )


@dataclass(frozen=True)
class LongRopeScaling(Scaling):
    """f_i divided by a number for each pair: short_factor up to the original context C, long_factor beyond it.

    amplitude: attention_factor if given, else √(1 + ln factor / ln C), factor being by how much the context has grown.
    Source: Ding et al. 2024, section 3; the amplitude: Phi-3's code.
    """

    kind: ClassVar[str] = "longrope"
    varies: ClassVar[bool] = True
    short_factor: tuple[float, ...]
    long_factor: tuple[float, ...]
    original_context: int
    factor: float
    attention_factor: float | None = None

    @property
    def amplitude(self) -> float:
        if self.attention_factor is not None:
            return self.attention_factor
        return math.sqrt(1 + math.log(self.factor) / math.log(self.original_context)) if self.factor > 1 else 1.0

    def stage(self, length: int) -> int:
        return int(length > self.original_context)

    def frequencies(self, theta: float, K: int, stage: int) -> Any:
        factors = (self.short_factor, self.long_factor)[stage]
        return super().frequencies(theta, K, stage) / asarray(factors, xp.float64)

    def check(self, K: int) -> None:
        for name in ("short_factor", "long_factor"):
            factors = getattr(self, name)
            if len(factors) != K // 2:
                raise ConfigError(
                    tr(
                        "rope_scaling longrope: {name} has {got} numbers; it needs one for each of the {wanted} pairs "
                        "of a head",
                        name=name,
                        got=len(factors),
                        wanted=K // 2,
                    )
                )


SCALINGS: dict[str, type[Scaling]] = {
    scaling.kind: scaling for scaling in (LinearScaling, DynamicScaling, YarnScaling, Llama3Scaling, LongRopeScaling)
}


def rope_scaling(settings: Mapping[str, Any]) -> Scaling:
    """The scaling of {"kind": …, its settings}; ConfigError for an unknown kind or setting, or one that is missing."""
    settings = dict(settings)
    kind = settings.pop("kind", None)
    if kind not in SCALINGS:
        known = ", ".join(map(repr, SCALINGS))
        raise ConfigError(tr("rope_scaling: kind is {got!r}; it must be one of {known}", got=kind, known=known))
    fields = {field.name: field.default is dataclasses.MISSING for field in dataclasses.fields(SCALINGS[kind])}
    missing = [name for name, needed in fields.items() if needed and name not in settings]
    unknown = [name for name in settings if name not in fields]
    if missing or unknown:
        raise ConfigError(
            tr(
                "rope_scaling {kind}: it has the settings {known}; missing: {missing}; unknown: {unknown}",
                kind=kind,
                known=", ".join(fields),
                missing=", ".join(missing) or "-",
                unknown=", ".join(unknown) or "-",
            )
        )
    lists = {name: tuple(got) for name, got in settings.items() if isinstance(got, (list, tuple))}
    return SCALINGS[kind](**{**settings, **lists})


def _check_positive(kind: str, name: str, got: Any) -> None:
    if not isinstance(got, (int, float)) or isinstance(got, bool) or not 0 < got < math.inf:
        raise ConfigError(
            tr("rope_scaling {kind}: {name} is {got!r}; it must be a number above 0", kind=kind, name=name, got=got)
        )
