"""SmolLM2, a real model of 135 million parameters: minilm beside transformers, float32, greedy, with a cache.

Both read one file. `python tests/benchmarks/smollm2.py minilm` (or torch) makes one text, and prints how many bytes of
memory it took at most.
"""

import contextlib
import io
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from environment import in_clean_process, run_again_if_unclean

TEXTS = ["The capital of France is", "Once upon a time", "def fibonacci(n):", "The sea is", "To cook rice, you"]


@dataclass(frozen=True)
class Checkpoint:
    """A published model, and how many tokens a round makes."""

    name: str
    new_tokens: int

    def __str__(self) -> str:
        return f"135M, {self.new_tokens} tokens"


SMOLLM2 = Checkpoint("smollm2", 64)


@contextlib.contextmanager
def minilm_engine(size: Checkpoint, weights: Any, threads: int) -> Iterator[Callable[[list[int]], list[int]]]:
    from minilm.generation import generate
    from minilm.published import open_language_model
    from minilm.training.parallel import Threads

    model = open_language_model(size.name).model
    with Threads(threads):
        yield lambda ids: generate(model, ids, size.new_tokens, temperature=0).tolist()


@contextlib.contextmanager
def torch_engine(size: Checkpoint, weights: Any, threads: int) -> Iterator[Callable[[list[int]], list[int]]]:
    import torch
    from transformers import AutoModelForCausalLM

    torch.set_num_threads(threads)
    with contextlib.redirect_stderr(io.StringIO()):  # its bars
        model = AutoModelForCausalLM.from_pretrained(**_file(), dtype=torch.float32).eval()
    model.generation_config.eos_token_id = None  # every text is as long as any other
    how = {"max_new_tokens": size.new_tokens, "do_sample": False, "pad_token_id": 2}

    def generate(ids: list[int]) -> list[int]:
        given = torch.tensor([ids])
        return model.generate(given, attention_mask=torch.ones_like(given), **how)[0].tolist()

    yield generate


ENGINES = {"minilm": minilm_engine, "torch": torch_engine}


def prompt(size: Checkpoint, number: int) -> list[int]:
    """The ids of a round's text."""
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


def peak_memory(engine: str) -> int:
    """The bytes that a process of its own takes at most to load the model and to make one text."""
    return int(in_clean_process(__file__, engine).split()[-1])


def most_memory() -> int:
    """The bytes that this process has had at most. Linux's ru_maxrss counts those of the parent too, so not that."""
    facts = Path("/proc/self/status")
    for line in facts.read_text().splitlines() if facts.is_file() else ():
        if line.startswith("VmHWM:"):
            return 1024 * int(line.split()[1])
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


if __name__ == "__main__":
    run_again_if_unclean()
    with ENGINES[sys.argv[1]](SMOLLM2, None, 1) as engine:
        engine(prompt(SMOLLM2, 0))
    print(most_memory())
