"""The language of what people read on screen: `tr("sentence {value}", value=…)`, through gettext.

The language is `MINILM_LANG` (en, es) if set, else the first of LANGUAGE, LC_ALL, LC_MESSAGES, LANG that is; the
catalogues lie in `minilm/locale`. A sentence without a translation appears in English.
"""

import functools
import gettext
import os
from pathlib import Path

LOCALE = Path(__file__).parent / "locale"


def language() -> str:
    """The language in use: the first that the environment names, "en" when it names none."""
    for variable in ("MINILM_LANG", "LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG"):
        if value := os.environ.get(variable):
            return value
    return "en"


@functools.cache
def _catalogue(name: str) -> gettext.NullTranslations:
    languages = [part.split(".")[0] for part in name.split(":")]
    return gettext.translation("minilm", LOCALE, languages, fallback=True)


def tr(message: str, **values: object) -> str:
    """The sentence in the language in use, its `{names}` filled in."""
    text = _catalogue(language()).gettext(message)
    return text.format(**values) if values else text


def ntr(singular: str, plural: str, n: int, **values: object) -> str:
    """The same with a number, named `{n}`, that chooses between singular and plural."""
    return _catalogue(language()).ngettext(singular, plural, n).format(n=n, **values)
