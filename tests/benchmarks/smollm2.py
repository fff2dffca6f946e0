"""SmolLM2, a real model of 135 million parameters: minilm beside transformers, float32, greedy, with a cache.

Both read one file.
"""

from dataclasses import dataclass
from functools import cache
from typing import Any

TEXTS = ["The capital of France is", "Once upon a time", "def fibonacci(n):", "The sea is", "To cook rice, you"]


@dataclass(frozen=True)
class Checkpoint:
    """A published model, and how many tokens a step makes."""

    name: str
    new_tokens: int

    def __str__(self) -> str:
        return f"135M, {self.new_tokens} tokens"


SMOLLM2 = Checkpoint("smollm2", 64)


def prompt(size: Checkpoint, number: int) -> list[int]:
    """The ids of a text."""
    return _tokenizer().encode(TEXTS[number % len(TEXTS)])


@cache
def _tokenizer() -> Any:
    from minilm.models.gguf import open_gguf
    from minilm.models.gguf.tokenizer import read_speech

    where = file()
    return read_speech(open_gguf(where["pretrained_model_name_or_path"] / where["gguf_file"]).metadata).tokenizer


def file() -> dict[str, Any]:
    """The one file, as transformers wants to be told of it."""
    from minilm.published import SMOLLM2 as published

    return {"pretrained_model_name_or_path": published.fetched(), "gguf_file": next(iter(published.files))}
