"""What a task is, and what an example of one is: token ids and the answer."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from minilm.errors import ConfigError
from minilm.i18n import tr

KINDS = ("classify", "regress", "tag", "spans", "choice")
IGNORE = -100


@dataclass(frozen=True)
class Task:
    """What is asked of a model.

    kind: "classify" a text or a pair into one of `labels`; "regress", a number for a text or a pair; "tag" each token
    with one of `labels`; "spans", where in a text the answer to a question stands; "choice", which of several
    continuations fits. symmetric: neither text of a pair comes first (GPT then reads both orders).
    question_first: in spans the question stands before the passage, as in BERT.
    no_answer: in spans there may be none.
    """

    kind: str
    labels: tuple[str, ...] = ()
    symmetric: bool = False
    question_first: bool = True
    no_answer: bool = False

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ConfigError(tr("task is {got!r}; choose one of {known}", got=self.kind, known=", ".join(KINDS)))
        if self.kind in ("classify", "tag") and len(self.labels) < 2:
            raise ConfigError(
                tr("a task to {kind} needs at least two labels; got {got}", kind=self.kind, got=len(self.labels))
            )


@dataclass(frozen=True)
class Example:
    """Token ids and the answer.

    text: the text, the passage, or what the choices share. second: the other text of a pair, or the question.
    choices: the continuations. label: a class's number; a number; a tag's number for each token of `text`, -100 where
    none is asked; (first, last), the answer's tokens in `text`, or None for no answer; the right choice's number.
    """

    text: Sequence[int]
    label: Any = None
    second: Sequence[int] = ()
    choices: tuple[Sequence[int], ...] = ()
