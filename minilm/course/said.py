"""Numbers as prose prints them: which numbers a text holds, and whether a value rounds to one."""

import math
import re
from dataclasses import dataclass

from minilm.errors import ConfigError
from minilm.i18n import tr

# 1,234,567   0.95   .95   −3.1   3.1e-23   83 %   117M   and, once `plain` has read it, 2 · 10⁻⁹
NUMBER = re.compile(
    r"(?<![\w.,])(?P<sign>(?<![-−+–])[-−+])?"
    r"(?P<digits>\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d*\.\d+|\d+)"
    r"(?:[eE](?P<power>[-−+]?\d+))?(?P<suffix>[kMB](?!\w))?(?P<percent>\s?%)?"
)
SUFFIXES = {"k": 1e3, "M": 1e6, "B": 1e9}
RAISED = str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")
KINDS = {"about": 1.0, "roughly": 1.0, "": 0.5}  # how many units of the last digit a value may be off
BOUNDS = {
    "more than": 1,
    "above": 1,
    "at least": 1,
    "over": 1,
    "less than": -1,
    "below": -1,
    "under": -1,
    "at most": -1,
}


def plain(text: str) -> str:
    """Powers of ten in one form: "2 · 10⁻⁹" as "2e-9", "10⁻⁹" as "1e-9"."""
    return re.sub(
        r"(?:(?<![\w.,])(\d[\d.]*)\s?[×·]\s?)?(?<![\w.,])10([⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+)",
        lambda match: f"{match[1] or 1}e{match[2].translate(RAISED)}",
        text,
    )


@dataclass(frozen=True)
class Printed:
    """A number as printed: its value, and one unit of its last digit."""

    value: float
    unit: float
    text: str


def printed(match: re.Match) -> Printed:
    """What a match of NUMBER says; a percentage as a share."""
    digits = match["digits"].replace(",", "")
    scale = 10.0 ** int((match["power"] or "0").replace("−", "-")) / (100 if match["percent"] else 1)
    scale *= SUFFIXES.get(match["suffix"] or "", 1)
    unit = 10.0 ** -len(digits.partition(".")[2])
    sign = -1 if match["sign"] and match["sign"] in "-−" else 1
    return Printed(sign * float(digits) * scale, unit * scale, match[0])


def agrees(text: str, value: float) -> bool:
    """Whether a value is what `text` says: one number, after "about" or a bound such as "more than" if wanted."""
    text = plain(text)
    matches = list(NUMBER.finditer(text))
    if len(matches) != 1:
        raise ConfigError(tr("said {text!r}: it must hold one number, as the prose prints it", text=text))
    number, before = printed(matches[0]), text[: matches[0].start()].strip().lower()
    if not math.isfinite(value):
        return False
    if before in BOUNDS:
        return BOUNDS[before] * (value - number.value) >= 0
    if before not in KINDS:
        known = ", ".join(filter(None, [*KINDS, *BOUNDS]))
        raise ConfigError(tr("said {text!r}: before the number may stand {known}", text=text, known=known))
    return abs(value - number.value) <= number.unit * KINDS[before] * (1 + 1e-9)
