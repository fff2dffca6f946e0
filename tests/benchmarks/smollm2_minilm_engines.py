"""SmolLM2 in minilm."""

import contextlib
from collections.abc import Callable, Iterator

from minilm_engines import kernels
from smollm2 import Checkpoint

from minilm.generation import generate
from minilm.published import open_language_model
from minilm.training.parallel import Threads

__all__ = ["ENGINES", "kernels"]


@contextlib.contextmanager
def generation(size: Checkpoint, weights: str, threads: int) -> Iterator[Callable[[list[int]], dict[str, list]]]:
    """The most probable tokens after a text."""
    model = open_language_model(size.name).model
    with Threads(threads):
        yield lambda ids: {"texts": [generate(model, ids, size.new_tokens, temperature=0).tolist()]}


ENGINES = {"smollm2": generation}
