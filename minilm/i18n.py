"""The language of what people read on screen: `tr("sentence {value}", value=…)`, through gettext.

The language is `MINILM_LANG` (en, es) if set, else the first of LANGUAGE, LC_ALL, LC_MESSAGES, LANG that is; the
catalogues lie in `minilm/locale`. A sentence without a translation appears in English.
"""

import contextlib
import functools
import gettext
import os
from collections.abc import Iterator
from contextvars import ContextVar
from pathlib import Path

LOCALE = Path(__file__).parent / "locale"

_CHOSEN: ContextVar[str | None] = ContextVar("language", default=None)


@contextlib.contextmanager
def speaking(language: str) -> Iterator[None]:
    """Within it, `tr` speaks this language, whatever the environment says: for what is written for somebody else."""
    token = _CHOSEN.set(_known(language))
    try:
        yield
    finally:
        _CHOSEN.reset(token)


def language() -> str:
    """The language in use, "en" or the folder's name of a catalogue ("es"): the environment's first that we have."""
    if chosen := _CHOSEN.get():
        return chosen
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
    if LOCALE.is_dir():
        return {path.parts[-3] for path in LOCALE.glob("*/LC_MESSAGES/minilm.mo")}
    from importlib.resources import files  # minilm was imported from a zip, as the student runtime may be

    folders = files("minilm").joinpath("locale").iterdir()
    return {folder.name for folder in folders if folder.joinpath("LC_MESSAGES", "minilm.mo").is_file()}


@functools.cache
def _catalogue(name: str) -> gettext.NullTranslations:
    if name == "en":
        return gettext.NullTranslations()
    if LOCALE.is_dir():
        return gettext.translation("minilm", LOCALE, [name])
    from importlib.resources import files

    with files("minilm").joinpath("locale", name, "LC_MESSAGES", "minilm.mo").open("rb") as file:
        return gettext.GNUTranslations(file)


def tr(message: str, **values: object) -> str:
    """The sentence in the language in use, its `{names}` filled in; without values, braces stand for themselves."""
    text = _catalogue(language()).gettext(message)
    return text.format(**values) if values else text


def ntr(singular: str, plural: str, n: int, **values: object) -> str:
    """The same with a number, named `{n}`, that chooses between singular and plural."""
    return _catalogue(language()).ngettext(singular, plural, n).format(n=n, **values)
