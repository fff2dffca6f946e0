"""Who handed in nearly the same: winnowing (Schleimer, Wilkerson, Aiken 2003, "Winnowing: local algorithms for document
fingerprinting"), over tokens in which a student's own names, numbers and texts are all alike.

A fingerprint is the hash of K tokens in a row; of each W in a row the smallest is kept, so two files that share
K + W − 1 tokens in a row share a fingerprint, wherever it stands. Those of the file that students were given say
nothing, nor do those that much of the class shares: there is one usual way to write a softmax. What remains is compared
by |A ∩ B| / min(|A|, |B|). It says where to look, and no more. Where compare50 is installed, it finds the pairs.
"""

import hashlib
import keyword
import re
import zlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from minilm.homework.reports import by_compare50

K, W = 10, 6
ALIKE = 0.75  # the share from which on a pair is named
FEW = 6  # fingerprints that must be shared
USUAL, AT_LEAST = 0.2, 4  # a fingerprint of more than this share of the class, and more than so many, is the usual way
MOST = 60  # pairs that are named
BYTES = 1 << 16  # of a file that are read

TOKEN = re.compile(
    r"""(?P<comment>\#[^\n]*)
    |(?P<text>(?:\b[rRbBfFuU]{1,2})?(?:\"\"\"(?:[^\"\\]|\\.|\"(?!\"\"))*(?:\"\"\"|\\?\Z)|'''(?:[^'\\]|\\.|'(?!''))*(?:'''|\\?\Z)
       |\"(?:[^\"\\\n]|\\.)*\"?|'(?:[^'\\\n]|\\.)*'?))
    |(?P<name>[^\W\d]\w*)|(?P<number>\d[\w.]*|\.\d\w*)|(?P<space>\s+)|(?P<sign>\*\*|//|->|[-+*/@%=<>!&|^]=|.)""",
    re.VERBOSE | re.DOTALL,
)


@dataclass(frozen=True)
class Pair:
    """Two students whose files are alike. share: of the smaller one's fingerprints; lines: where, in each."""

    students: tuple[str, str]
    share: float
    lines: tuple[str, str]


@dataclass(frozen=True)
class Alike:
    """groups: students whose files are the same but for names, numbers, texts and comments. pairs: nearly the same,
    the nearest first; of a group only its first member is compared."""

    groups: tuple[tuple[str, ...], ...]
    pairs: tuple[Pair, ...]


@dataclass(frozen=True)
class _File:
    """A file's fingerprints, with the lines where they begin; and a digest of all its tokens."""

    prints: dict[int, tuple[int, ...]]
    digest: bytes


def near_identical(sources: Mapping[str, bytes], given: Sequence[bytes] = ()) -> Alike:
    """The groups and pairs among students' sources. given: what all of them were handed out."""
    files = {student: _file(sources[student]) for student in sorted(sources)}
    handed_out = [_file(source) for source in given]
    ours = {print_ for file in handed_out for print_ in file.prints}
    same: dict[bytes, list[str]] = defaultdict(list)
    for student, file in files.items():
        if file.digest not in {one.digest for one in handed_out} and file.prints.keys() - ours:
            same[file.digest].append(student)
    firsts = [students[0] for students in same.values()]
    counts = Counter(print_ for student in firsts for print_ in files[student].prints)
    usual = {print_ for print_, n in counts.items() if n > max(AT_LEAST, USUAL * len(firsts))} | ours
    own = {student: files[student].prints.keys() - usual for student in firsts}
    groups = sorted(tuple(students) for students in same.values() if len(students) > 1)
    ranked = None
    if by_compare50.installed():
        ranked = by_compare50.ranked({student: sources[student] for student in firsts}, given, MOST)
    if ranked is None:
        return Alike(tuple(groups), tuple(_pairs(own, files)))
    found = [Pair((a, b), share, (stretches(here), stretches(there))) for a, b, share, here, there in ranked]
    return Alike(tuple(groups), tuple(sorted((p for p in found if p.share >= ALIKE), key=_nearest)))


def _pairs(own: Mapping[str, set[int]], files: Mapping[str, _File]) -> list[Pair]:
    owners: dict[int, list[str]] = defaultdict(list)
    for student, prints in own.items():
        for print_ in prints:
            owners[print_].append(student)
    shared: Counter[tuple[str, str]] = Counter()
    for students in owners.values():
        shared.update(combinations(students, 2))
    found = []
    for (a, b), n in shared.items():
        share = n / min(len(own[a]), len(own[b]))
        if n >= FEW and share >= ALIKE:
            both = own[a] & own[b]
            found.append(Pair((a, b), round(share, 4), (_lines(files[a], both), _lines(files[b], both))))
    return sorted(found, key=_nearest)[:MOST]


def _nearest(pair: Pair) -> tuple[float, tuple[str, str]]:
    return -pair.share, pair.students


def _lines(file: _File, prints: set[int]) -> str:
    return stretches(line for print_ in prints for line in file.prints[print_])


def stretches(lines: Iterable[int]) -> str:
    """Lines of a file, near ones joined: "3–12, 40"."""
    found: list[list[int]] = []
    for line in sorted(set(lines)):
        if found and line - found[-1][1] <= 3:
            found[-1][1] = line
        else:
            found.append([line, line])
    shown = [str(a) if a == b else f"{a}–{b}" for a, b in found]
    return ", ".join([*shown[:8], "…"] if len(shown) > 8 else shown)


# --------------------------------------------------------------------------------------------------------- fingerprints


def tokens(source: bytes) -> tuple[list[str], list[int]]:
    """The tokens of a source, a student's own choices all alike, and the line of each. It never fails, nor parses.

    Names after a point, and those of Python, stay: nobody can rename what a library calls its functions. Layout and
    comments go; a text leaves its place.
    """
    text = source[:BYTES].decode("utf-8", "replace")
    found: list[str] = []
    lines: list[int] = []
    line = 1
    for match in TOKEN.finditer(text):
        kind, piece = match.lastgroup, match[0]
        if kind not in ("comment", "space"):
            after_point = kind == "name" and bool(found) and found[-1] == "."
            kept = kind == "sign" or (kind == "name" and (after_point or keyword.iskeyword(piece)))
            found.append(piece if kept else {"text": '"', "number": "0"}.get(str(kind), "x"))
            lines.append(line)
        line += piece.count("\n")
    return found, lines


def _file(source: bytes) -> _File:
    found, lines = tokens(source)
    prints: dict[int, list[int]] = defaultdict(list)
    for place, print_ in winnowed(np.array([zlib.crc32(token.encode()) for token in found], np.uint64)):
        prints[print_].append(lines[place])
    return _File(
        {print_: tuple(at) for print_, at in prints.items()}, hashlib.sha256("\n".join(found).encode()).digest()
    )


def winnowed(codes: np.ndarray) -> list[tuple[int, int]]:
    """The fingerprints of a row of tokens and where they begin: the smallest hash of each window, of equal ones the
    rightmost."""
    if len(codes) < K:
        return []
    powers = np.array([pow(0x9E3779B97F4A7C15, K - 1 - j, 1 << 64) for j in range(K)], np.uint64)
    hashes = (np.lib.stride_tricks.sliding_window_view(codes, K) * powers).sum(axis=1, dtype=np.uint64)
    hashes = _mixed(hashes)
    window = min(W, len(hashes))
    views = np.lib.stride_tricks.sliding_window_view(hashes, window)[:, ::-1]
    places = np.unique(np.arange(len(views)) + window - 1 - views.argmin(axis=1))
    return [(int(place), int(hashes[place])) for place in places]


def _mixed(hashes: np.ndarray) -> np.ndarray:
    """Spread over all bits, so that which one is smallest depends on every token (the finalizer of MurmurHash3)."""
    for factor in (0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53):
        hashes = (hashes ^ (hashes >> np.uint64(33))) * np.uint64(factor)
    return hashes ^ (hashes >> np.uint64(33))
