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
    """The language in use, "en" or the folder's name of a catalogue ("es"): the environment's first that we have."""
    for variable in ("MINILM_LANG", "LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG"):
        if wanted := os.environ.get(variable):
            return _known(wanted)
    return "en"


@functools.cache
def _known(wanted: str) -> str:
    """The first of a list such as "es_MX.UTF-8:en" that is English (C and POSIX are) or has a catalogue."""
    for part in wanted.split(":"):
        locale = part.split(".")[0].split("@")[0].replace("-", "_")
        for name in (locale, locale.split("_")[0].lower()):
            if name in ("en", "C", "POSIX"):
                return "en"
            if name in _translated():
                return name
    return "en"


@functools.cache
def _translated() -> set[str]:
    """The languages with a catalogue: {"es"}."""
    return {path.parts[-3] for path in LOCALE.glob("*/LC_MESSAGES/minilm.mo")}


@functools.cache
def _catalogue(name: str) -> gettext.NullTranslations:
    return gettext.NullTranslations() if name == "en" else gettext.translation("minilm", LOCALE, [name])


def tr(message: str, **values: object) -> str:
    """The sentence in the language in use, its `{names}` filled in; without values, braces stand for themselves."""
    text = _catalogue(language()).gettext(message)
    return text.format(**values) if values else text


def ntr(singular: str, plural: str, n: int, **values: object) -> str:
    """The same with a number, named `{n}`, that chooses between singular and plural."""
    return _catalogue(language()).ngettext(singular, plural, n).format(n=n, **values)
