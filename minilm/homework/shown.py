"""Values as people read them: arguments, and what was expected beside what was got, in columns that can be compared."""

import math
import pprint
from collections.abc import Sequence
from typing import Any

import numpy as np

WIDTH, ENTRIES = 88, 120  # letters of a line; entries of an array beyond which its middle is left out
LARGE = 4096  # entries of an array that NumPy draws by itself
LINES, PARTS = 24, (50, 20, 8)  # of a text; of a list, of one within it, and of those within these
NEAR = 1e-6  # what differs by less is marked only where nothing differs by more


def shown(value: Any, width: int = WIDTH) -> str:
    """A value as text of a few lines; as `repr` has it, so nothing in it steers a terminal."""
    if isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
        if value.ndim == 0:
            return shown(value.item(), width)
        return _drawn(value if value.size > LARGE else _texts([value], 6 + _small([value]))[0], width)
    if isinstance(value, float):
        return _number(value, 12)
    if isinstance(value, (tuple, list, dict)):
        value = _short(value)
    text = value if isinstance(value, _Text) else pprint.pformat(value, width=width, compact=True, sort_dicts=False)
    return _cut([line[:400] for line in str(text).split("\n")])


def beside(expected: Any, got: Any, width: int = WIDTH) -> tuple[str, str]:
    """Both as text; of two arrays of one shape every entry stands at its place, those that differ with a mark `*`."""
    if not _comparable(expected, got):
        return shown(expected, width), shown(got, width)
    a, b = np.asarray(expected), np.asarray(got)
    if a.size > LARGE:
        return _drawn(a, width), _drawn(b, width)
    wrong = differing(a, b)
    for digits in (4, 6, 8, 10, 12, 16):
        texts = _texts((a, b), digits + _small((a, b)))
        if (texts[0] != texts[1])[wrong].all():
            break
    if a.ndim == 0:
        return texts[0].item().strip(), texts[1].item().strip()
    if wrong.any():
        marks = np.where(wrong, "*", " ").astype(object)
        texts = [text + marks for text in texts]
    return _drawn(texts[0], width), _drawn(texts[1], width)


def differing(expected: np.ndarray, got: np.ndarray) -> np.ndarray:
    """Entry by entry, whether two arrays differ by more than a trace; by anything, where nothing differs by more."""
    with np.errstate(all="ignore"):
        a, b = expected.astype(np.float64), got.astype(np.float64)
        same = (a == b) | (np.isnan(a) & np.isnan(b))
        wrong = ~same & ~(np.abs(a - b) <= NEAR * np.maximum(1, np.abs(a)))
    return wrong if wrong.any() else ~same


def _comparable(a: Any, b: Any) -> bool:
    kinds = [isinstance(x, np.ndarray) or type(x) in (int, float) for x in (a, b)]
    if not all(kinds):
        return False
    x, y = np.asarray(a), np.asarray(b)
    return x.shape == y.shape and x.dtype.kind in "biuf" and y.dtype.kind in "biuf"


def _texts(arrays: Sequence[np.ndarray], digits: int) -> list[np.ndarray]:
    """The entries of arrays as texts, all of one width and with as many decimals as the one that needs most."""
    entries = [x.ravel().tolist() for x in arrays]
    plain = [e for part in entries for e in part if isinstance(e, float) and _is_plain(e, digits)]
    decimals = max((len(f"{e:.{digits}f}".rstrip("0").partition(".")[2]) for e in plain), default=1)
    made = [[_number(e, digits, decimals) if isinstance(e, float) else str(e) for e in part] for part in entries]
    size = max((len(text) for part in made for text in part), default=0)
    found = []
    for x, part in zip(arrays, made, strict=True):
        found.append(np.empty(x.size, object))
        found[-1][:] = [text.rjust(size) for text in part]
    return [texts.reshape(x.shape) for texts, x in zip(found, arrays, strict=True)]


def _number(x: float, digits: int, decimals: int | None = None) -> str:
    """With so many decimals, or up to `digits` and no zeros that say nothing; a power of ten for what is very large or
    very small."""
    if not _is_plain(x, digits):
        return f"{x:.{min(digits, 15)}g}"
    if decimals is None:
        decimals = len(f"{x:.{digits}f}".rstrip("0").partition(".")[2])
    return f"{x:.{max(1, decimals)}f}"


def _small(arrays: Sequence[np.ndarray]) -> int:
    """How many zeros stand behind the point before the first digit of the largest entry; at most 6."""
    sizes = [abs(e) for x in arrays for e in x.ravel().tolist() if isinstance(e, float) and math.isfinite(e) and e]
    return min(6, max(0, -1 - math.floor(math.log10(max(sizes))))) if sizes else 0


def _is_plain(x: float, digits: int) -> bool:
    """Whether a number is written without a power of ten."""
    return x == 0 or 10.0**-digits <= abs(x) < 1e7


def _drawn(texts: np.ndarray, width: int) -> str:
    """Texts, or numbers, in an array's brackets."""
    if not texts.size:
        return f"[] {texts.shape}"
    with np.printoptions(threshold=ENTRIES, edgeitems=4, linewidth=width):
        return _cut(np.array2string(texts, separator=", ", formatter={"object": str}).split("\n"))


class _Text(str):
    """Shown as it is, without quotes."""

    def __repr__(self) -> str:
        return str(self)


def _short(value: Any, depth: int = 0) -> Any:
    """Tuples, lists and dicts with their numbers and arrays in words, and no more parts than can be read."""
    most = PARTS[min(depth, len(PARTS) - 1)]
    if isinstance(value, dict):
        return {key: _short(part, depth + 1) for key, part in list(value.items())[:most]}
    if isinstance(value, (tuple, list)):
        parts = [_short(part, depth + 1) for part in value[:most]]
        return type(value)([*parts, _Text(f"… {len(value)}")] if len(value) > most else parts)
    if isinstance(value, (float, np.ndarray)):
        return _Text(" ".join(shown(value).split()))
    return value


def _cut(lines: list[str]) -> str:
    return "\n".join(lines if len(lines) <= LINES else [*lines[: LINES - 1], "…"])
