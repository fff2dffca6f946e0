"""The keys of a JSON object, each of which is honoured, known to change nothing, or refused by name."""

import json
from collections.abc import Callable, Mapping
from typing import Any

from minilm.errors import DataError
from minilm.i18n import tr

NEEDED = object()


class Fields:
    """An object of a file; `where` names it in errors: "tokenizer.json, model"."""

    def __init__(self, found: Any, where: str):
        if not isinstance(found, Mapping):
            raise DataError(tr("{where} must be a JSON object, not {got}", where=where, got=shown(found)))
        self.left, self.where = dict(found), where

    def take(self, name: str, default: Any = NEEDED) -> Any:
        """The value of a key; the default if it is not there, DataError if it must be."""
        if name not in self.left and default is NEEDED:
            raise DataError(tr("{where} lacks {name}", where=self.where, name=name))
        return self.left.pop(name, default)

    def require(self, name: str, *usual: Any) -> None:
        """DataError unless the key is missing or has one of these values, the only ones that can be honoured."""
        found = self.left.pop(name, usual[0])
        if not any(found == value and type(found) is type(value) for value in usual):
            raise DataError(
                tr("{where} has {name} = {got}, which is not supported; only {usual} is",
                   where=self.where, name=name, got=shown(found), usual=", ".join(map(shown, usual)))
            )  # fmt: skip

    def ignore(self, *names: str) -> None:
        """Keys that change nothing of what is read."""
        for name in names:
            self.left.pop(name, None)

    def finish(self) -> None:
        """DataError for keys that nobody took."""
        if self.left:
            raise DataError(
                tr("{where} has {names}, which is not supported", where=self.where, names=", ".join(sorted(self.left)))
            )

    def inner(self, found: Any, name: str) -> "Fields":
        """An object inside this one."""
        return Fields(found, f"{self.where}, {name}")

    def dispatch(self, kinds: Mapping[str, Callable[["Fields"], Any]]) -> Any:
        """What the reader of this object's "type" makes of it, every key used; DataError for another type."""
        kind = self.take("type")
        if kind not in kinds:
            raise DataError(
                tr("{where} is of type {got}, which is not supported; {known} are",
                   where=self.where, got=shown(kind), known=", ".join(kinds))
            )  # fmt: skip
        value = kinds[kind](self)
        self.finish()
        return value


def shown(value: Any) -> str:
    """A value as its file has it, cut where it is long."""
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) < 60 else text[:57] + "..."
