"""Pages from templates: one file, no script, no request, and a browser that is told to make none."""

import base64
import hashlib
from functools import cache
from pathlib import Path
from typing import Any

from minilm.errors import ConfigError
from minilm.i18n import language, tr

TEMPLATES = Path(__file__).parent / "templates"
NEEDS = "jinja2"


def render(template: str, **values: Any) -> str:
    """A page in the language in use. Every value is escaped. ConfigError where Jinja is not installed."""
    style = (TEMPLATES / "style.css").read_text("utf-8")
    return _environment().get_template(template).render(
        **values, language=language(), style=style, policy=_policy(style), skip=tr("to the tasks")
    )  # fmt: skip


def check_installed() -> None:
    """ConfigError where pages cannot be made, before a batch has cost an hour."""
    _environment()


def _policy(style: str) -> str:
    """What the browser may load: this style, known by its hash, and nothing else whatsoever."""
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"


@cache
def _environment() -> Any:
    try:
        import jinja2
    except ImportError as error:
        raise ConfigError(
            tr("reports are made by jinja2, which is not installed: pip install 'minilm[grade]'")
        ) from error
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True, undefined=jinja2.StrictUndefined,
        trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True,
    )  # fmt: skip
