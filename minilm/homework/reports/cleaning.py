"""What a student controls, made fit to be shown: nothing that steers, hides or floods, and everything else as it is.

Escaping is the template's part. Here what is no visible character (control characters, the ones that turn the direction
of writing, halves of surrogates) becomes a written escape such as \\u202e, and what is too long is cut.
"""

import unicodedata

HIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}  # categories of Unicode
JOINERS = "\u200c\u200d"  # which Persian, Hindi and families of emoji are written with
MARKS = 4  # accents on one letter

LINE, LINES, WIDTH = 300, 40, 240


def line(text: object, most: int = LINE) -> str:
    """Text as one line."""
    return cut(_visible(" ".join(str(text)[: 4 * most].split())), most)


def block(text: object, lines: int = LINES, width: int = WIDTH) -> str:
    """Text as lines, line ends and tabs kept."""
    given = str(text)[: 4 * lines * width].expandtabs(4).replace("\r\n", "\n").strip("\n").split("\n")
    shown = [cut(_visible(one), width) for one in given[:lines]]
    return "\n".join([*shown, "…"] if len(given) > lines else shown)


def cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 2].rstrip() + " …"


def _visible(text: str) -> str:
    if text.isascii() and text.isprintable():
        return text
    shown, marks = [], 0
    for c in text:
        category = unicodedata.category(c)
        marks = marks + 1 if category in ("Mn", "Me") else 0
        if marks > MARKS:
            continue
        hidden = category in HIDDEN and c not in JOINERS
        shown.append(c.encode("unicode_escape").decode("ascii") if hidden else c)
    return "".join(shown)
