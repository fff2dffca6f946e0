"""SmolLM2, a real model of 135 million parameters: minilm beside transformers, float32, greedy, with a cache.

Both read one file.
"""

import contextlib
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from recipe import Unavailable

TEXTS = ["The capital of France is", "Once upon a time", "def fibonacci(n):", "The sea is", "To cook rice, you"]


@dataclass(frozen=True)
class Checkpoint:
    """A published model, and how many tokens a step makes."""

    name: str
    new_tokens: int

    def __str__(self) -> str:
        return f"135M, {self.new_tokens} tokens"


SMOLLM2 = Checkpoint("smollm2", 64)


def kernels() -> str:
    """What minilm_engines.py and torch_engines.py say of theirs."""
    return ""


def _text(ids: list[int]) -> dict[str, Any]:
    return {"texts": [ids]}


@contextlib.contextmanager
def _minilm(size: Checkpoint, threads: int) -> Iterator[Callable[[list[int]], dict[str, Any]]]:
    from minilm.generation import generate
    from minilm.published import open_language_model
    from minilm.training.parallel import Threads

    model = open_language_model(size.name).model
    with Threads(threads):
        yield lambda ids: _text(generate(model, ids, size.new_tokens, temperature=0).tolist())


@contextlib.contextmanager
def _torch(size: Checkpoint, threads: int) -> Iterator[Callable[[list[int]], dict[str, Any]]]:
    import torch
    from transformers import AutoModelForCausalLM

    torch.set_num_threads(threads)
    with contextlib.redirect_stderr(io.StringIO()):  # its bars
        model = AutoModelForCausalLM.from_pretrained(**_file(), dtype=torch.float32).eval()
    model.generation_config.eos_token_id = None  # every text is as long as any other
    how = {"max_new_tokens": size.new_tokens, "do_sample": False, "pad_token_id": 2}

    def generate(ids: list[int]) -> dict[str, Any]:
        given = torch.tensor([ids])
        return _text(model.generate(given, attention_mask=torch.ones_like(given), **how)[0].tolist())

    yield generate


@contextlib.contextmanager
def engine(size: Checkpoint, weights: str, threads: int, by: str) -> Iterator[Callable[[list[int]], dict[str, Any]]]:
    """by: "minilm" or "torch"."""
    make = {"minilm": _minilm, "torch": _torch}[by]
    try:
        opened = contextlib.ExitStack()
        generate = opened.enter_context(make(size, threads))
    except ModuleNotFoundError as error:
        raise Unavailable(f"{error.name} is not installed") from None
    with opened:
        yield generate


ENGINES = {"smollm2": engine}


def prompt(size: Checkpoint, number: int) -> list[int]:
    """The ids of a text."""
    return _tokenizer().encode(TEXTS[number % len(TEXTS)])


@cache
def _tokenizer() -> Any:
    from minilm.models.gguf import open_gguf
    from minilm.models.gguf.tokenizer import read_speech

    where = _file()
    return read_speech(open_gguf(where["pretrained_model_name_or_path"] / where["gguf_file"]).metadata).tokenizer


def _file() -> dict[str, Any]:
    """The one file, as transformers wants to be told of it."""
    from minilm.published import SMOLLM2 as published

    return {"pretrained_model_name_or_path": published.fetched(), "gguf_file": next(iter(published.files))}
