"""What a lesson's prose may say: numbers that are computed or have a source; terms that were explained."""

import re
from collections.abc import Iterable, Iterator

from minilm.course.said import NUMBER, plain, printed

HIDDEN = re.compile(r"```.*?```|`[^`\n]*`|\$\$.*?\$\$|\$[^$\n]*\$|\]\([^)\s]*\)|https?://\S+", re.DOTALL)
YEAR = r"\b(?:19|20)\d\d[a-z]?\b"
# (Vaswani et al. 2017, section 3), Vaswani et al. (2017), or an issue of a repository, owner/name#123.
SOURCE = re.compile(
    rf"\([^()]*[A-Z][^()]*{YEAR}[^()]*\)"
    rf"|[A-Z][\w-]+,? (?:et al\.,? |and [A-Z][\w-]+,? )?\({YEAR}"
    r"|[\w.-]+/[\w.-]+#\d+"
)
LABEL = re.compile(
    r"(?:\b(?:sections?|chapters?|equations?|eqs?\.|figures?|figs?\.|tables?|algorithms?|appendi(?:x|ces)|pages?|lines?"
    r"|lessons?|slides?|claims?|tasks?|cells?|issues?|versions?|python|seed)\s|[\w#/:_]|\w-|\w\.)$",
    re.IGNORECASE,
)
BEFORE = "".join(rf"(?<!\b{short}\.)" for short in ("al", "e\\.g", "i\\.e", "cf", "eq", "fig", "vs"))
SENTENCE = re.compile(rf"{BEFORE}(?<=[.!?])\s+(?=[A-Z*“\"])")
SMALL = 12


def units(prose: str) -> Iterator[str]:
    """What a source covers: a sentence, an item of a list, a row of a table, a heading; without code and formulas."""
    shown = HIDDEN.sub(" ", prose)
    for block in re.split(r"\n\s*\n|\n(?=\s*(?:[-*+]|\d+\.)\s)|\n(?=\s*\|)|\n(?=#)", shown):
        text = " ".join(block.split())
        if re.match(r"(?:[-*+]|\d+\.)\s|\||#", text):
            yield re.sub(r"^\d+\.\s", "", text)
        else:
            yield from SENTENCE.split(text)


def key(match: re.Match) -> tuple:
    """Two prints of the same number are the same key: "83%" and "83 %"; sign and digits count."""
    number = printed(match)
    return round(number.value, 15), number.unit


def numbers(texts: Iterable[str]) -> set[tuple]:
    """The keys of all numbers in texts."""
    return {key(match) for text in texts for match in NUMBER.finditer(plain(text))}


def is_label(text: str, match: re.Match) -> bool:
    """Whether a number names a thing: section 3, L3.2, GPT-2, 2nd."""
    after = text[match.end() : match.end() + 1]
    return bool(LABEL.search(text[: match.start()])) or (after.isalpha() and not match["percent"])


def is_trivial(match: re.Match) -> bool:
    """A small whole number, or a year."""
    if match["power"] or match["percent"] or match["suffix"] or not match["digits"].isdigit():
        return False
    return int(match["digits"]) <= SMALL or re.fullmatch(r"(?:19|20)\d\d", match[0]) is not None


def unsupported_numbers(prose: str, said: Iterable[str], literals: Iterable[int] = ()) -> list[str]:
    """The numbers of a prose that are neither said (computed), nor sourced, nor trivial, each with its sentence.

    said: texts given to L.said. literals: whole numbers that stand in the lesson's code.
    """
    covered, written = numbers(said), {str(n) for n in literals}
    found = []
    for unit in map(plain, units(prose)):
        if SOURCE.search(unit):
            continue
        for match in NUMBER.finditer(unit):
            whole = match[0].replace(",", "") in written
            if not (is_label(unit, match) or is_trivial(match) or key(match) in covered or whole):
                found.append(f"{match[0]!r} in {unit!r}")
    return found


def terms_in(prose: str, terms: Iterable[str]) -> list[str]:
    """Those of the terms that occur as words, in singular or plural; code and formulas do not count."""
    shown = " ".join(HIDDEN.sub(" ", prose).split())
    return [t for t in terms if re.search(rf"(?<![\w-]){re.escape(t)}(?:e?s)?(?![\w-])", shown, re.IGNORECASE)]
