"""SmolLM2 in transformers."""

import contextlib
import io
from collections.abc import Callable, Iterator

import torch
from smollm2 import Checkpoint, file
from torch_engines import kernels
from transformers import AutoModelForCausalLM

__all__ = ["ENGINES", "kernels"]


@contextlib.contextmanager
def generation(size: Checkpoint, weights: str, threads: int) -> Iterator[Callable[[list[int]], dict[str, list]]]:
    """The most probable tokens after a text."""
    torch.set_num_threads(threads)
    with contextlib.redirect_stderr(io.StringIO()):  # its bars
        model = AutoModelForCausalLM.from_pretrained(**file(), dtype=torch.float32).eval()
    model.generation_config.eos_token_id = None  # every text is as long as any other
    how = {"max_new_tokens": size.new_tokens, "do_sample": False, "pad_token_id": 2}

    def generate(ids: list[int]) -> dict[str, list]:
        given = torch.tensor([ids])
        return {"texts": [model.generate(given, attention_mask=torch.ones_like(given), **how)[0].tolist()]}

    yield generate


ENGINES = {"smollm2": generation}
